/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_journal.c - segments, group commit, checkpoints, replay.
 *
 * Who comes first when nobody writes becomes the leader: it writes what waits, its own record
 * included, with one call that returns when the disk has it, and wakes the others. So one sender
 * pays for no change of threads, and many share a write.
 *
 * Layout of a segment: a block with its sequence number, then records: a block with the record's
 * header, and the bytes from the next block's start. A record counts where its header names the
 * segment's sequence and its hashes agree; the first that does not ends the segment.
 */
#include "ingest_journal.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#define SEGMENT_NBYTES (64u << 20)
#define SEGMENT_SMALL  (4u << 20) /* on a small disk */
#define SEGMENTS_MAX   3
#define SEGMENT_MAGIC  UINT64_C(0x324C4E524A424344) /* "DCBJRNL2" */
#define SEGMENT_OLDER  UINT64_C(0x314C4E524A424344) /* "DCBJRNL1": bytes right behind headers */
#define RECORD_MAGIC   UINT64_C(0x3244524F43455244) /* "DRECORD2" */
#define FILL_NBYTES    (1u << 20)
#define GROUP_MAX      64
#define RETRY_SECONDS  1

typedef struct segment_header {
    uint64_t magic, sequence, hash; /* of the two before */
} segment_header;

typedef struct record_header {
    uint64_t magic, sequence, number, nbytes;
    uint64_t seal_hash, payload_hash; /* of the first JOURNAL_SEAL_NBYTES, and of the others */
    uint64_t reserved;
    uint64_t hash; /* of all before */
} record_header;
_Static_assert(sizeof(record_header) == 64, "as INGEST.md says");

typedef enum segment_state { SEGMENT_FREE, SEGMENT_ACTIVE, SEGMENT_FULL } segment_state;

typedef struct segment {
    int fd;
    segment_state state;
    uint64_t sequence;
    uint64_t nheld; /* records whose files are not yet written */
    bool suspect;   /* a syncfs failed: of its files the kernel may have dropped what it could not
                       write, and says so only once. Kept for the next start's replay */
} segment;

/* One who waits for his record; on his stack. */
typedef struct waiter {
    struct waiter *next;
    uint64_t number, nbytes, payload_hash;
    uint8_t *bytes; /* of a journal_buffer */
    unsigned segment;
    int result;
    bool done;
} waiter;

struct ingest_journal {
    int folder_fd;
    uint64_t segment_nbytes;
    pthread_mutex_t lock;   /* all below; the leader writes without it */
    pthread_cond_t changed; /* a group was written, or a segment became free */
    pthread_cond_t work;    /* for the thread: a segment may be due */
    waiter *first, **last;
    bool leading;
    segment segments[SEGMENTS_MAX];
    uint32_t nsegments;
    segment *active; /* the leader's */
    uint64_t position, next_sequence;
    int checkpoint_failed; /* errno of the last one; 0: it went well */
    int create_failed;     /* errno of the last try to make a segment */
    bool files_failing;    /* journal_note_files */
    bool stopping;
    pthread_t thread;
};

uint64_t journal_hash(const void *bytes, size_t nbytes)
{
    return XXH3_64bits(bytes, nbytes);
}

/* Of the whole record. */
static uint64_t record_nbytes(uint64_t nbytes)
{
    return JOURNAL_BLOCK + (nbytes + JOURNAL_BLOCK - 1) / JOURNAL_BLOCK * JOURNAL_BLOCK;
}

static void segment_name(char name[32], unsigned i)
{
    snprintf(name, 32, "journal-%u", i);
}

/* ---- Writing ---- */

static int write_all(int fd, const struct iovec *parts, int nparts, uint64_t at)
{
    struct iovec left[GROUP_MAX];
    memcpy(left, parts, (size_t)nparts * sizeof *parts);
    for (int i = 0; i < nparts;) {
        ssize_t n = pwritev(fd, left + i, nparts - i, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        at += (uint64_t)n;
        for (; i < nparts && (size_t)n >= left[i].iov_len; i++)
            n -= (ssize_t)left[i].iov_len;
        if (i < nparts) {
            left[i].iov_base = (char *)left[i].iov_base + n;
            left[i].iov_len -= (size_t)n;
        }
    }
    return 0;
}

uint8_t *journal_buffer(void)
{
    uint8_t *block = aligned_alloc(JOURNAL_BLOCK, JOURNAL_BLOCK + JOURNAL_RECORD_MAX);
    return block != NULL ? block + JOURNAL_BLOCK : NULL;
}

void journal_buffer_free(uint8_t *buffer)
{
    if (buffer != NULL)
        free(buffer - JOURNAL_BLOCK);
}

/* The first block; header NULL: of a segment that holds nothing. */
static int write_first_block(int fd, const segment_header *header)
{
    uint8_t *block = aligned_alloc(JOURNAL_BLOCK, JOURNAL_BLOCK);
    if (block == NULL)
        return ENOMEM;
    memset(block, 0, JOURNAL_BLOCK);
    if (header != NULL)
        memcpy(block, header, sizeof *header);
    const struct iovec part = {block, JOURNAL_BLOCK};
    int result = write_all(fd, &part, 1, 0);
    free(block);
    return result;
}

/* What the segment held before is gone then. */
static int write_segment_header(segment *s, uint64_t sequence)
{
    segment_header header = {SEGMENT_MAGIC, sequence, 0};
    header.hash = journal_hash(&header, offsetof(segment_header, hash));
    const int result = write_first_block(s->fd, &header);
    if (result == 0)
        s->sequence = sequence;
    return result;
}

/* The record as it goes to the disk: the header's block, bytes, zeros up to the block's end. */
static struct iovec make_record(const ingest_journal *j, const waiter *w)
{
    record_header header = {.magic = RECORD_MAGIC,
                            .sequence = j->active->sequence,
                            .number = w->number,
                            .nbytes = w->nbytes,
                            .seal_hash = journal_hash(w->bytes, JOURNAL_SEAL_NBYTES),
                            .payload_hash = w->payload_hash};
    header.hash = journal_hash(&header, offsetof(record_header, hash));
    const size_t used = JOURNAL_BLOCK + (size_t)w->nbytes, whole = (size_t)record_nbytes(w->nbytes);
    uint8_t *block = w->bytes - JOURNAL_BLOCK;
    memset(block, 0, JOURNAL_BLOCK);
    memcpy(block, &header, sizeof header);
    memset(block + used, 0, whole - used);
    return (struct iovec){block, whole};
}

/* They stand one behind the other. */
static int write_group(ingest_journal *j, const waiter *group)
{
    struct iovec parts[GROUP_MAX];
    int n = 0;
    uint64_t nbytes = 0;
    for (const waiter *w = group; w != NULL; w = w->next, n++) {
        parts[n] = make_record(j, w);
        nbytes += parts[n].iov_len;
    }
    const int result = write_all(j->active->fd, parts, n, j->position);
    if (result == 0)
        j->position += nbytes;
    return result;
}

/* A segment to write to. The lock is held, and let go while there is none. 0 or errno. */
static int activate_segment(ingest_journal *j)
{
    for (;;) {
        for (uint32_t i = 0; i < j->nsegments; i++) {
            if (j->segments[i].state != SEGMENT_FREE)
                continue;
            j->active = &j->segments[i];
            j->active->state = SEGMENT_ACTIVE;
            j->position = JOURNAL_BLOCK;
            pthread_cond_signal(&j->work); /* the next one may be due */
            return write_segment_header(j->active, j->next_sequence++);
        }
        if (j->checkpoint_failed != 0)
            return j->checkpoint_failed;
        if (j->nsegments == 0 && j->create_failed != 0)
            return j->create_failed;
        if (j->files_failing)
            return EIO;
        pthread_cond_wait(&j->changed, &j->lock);
    }
}

static void retire_active(ingest_journal *j)
{
    j->active->state = SEGMENT_FULL;
    j->active = NULL;
    pthread_cond_signal(&j->work);
}

/* Takes from the queue what fits in the active segment; the lock is held. NULL with *result where
   there is no segment to be had. */
static waiter *take_group(ingest_journal *j, int *result)
{
    const uint64_t nbytes = record_nbytes(j->first->nbytes);
    if (j->active != NULL && j->position + nbytes > j->segment_nbytes)
        retire_active(j);
    *result = j->active == NULL ? activate_segment(j) : 0;
    if (*result != 0 && j->active != NULL)
        retire_active(j);
    uint64_t end = j->position;
    waiter *group = j->first, **link = &j->first;
    for (int n = 0; *link != NULL && n < GROUP_MAX; n++, link = &(*link)->next) {
        end += record_nbytes((*link)->nbytes);
        if (n > 0 && *result == 0 && end > j->segment_nbytes)
            break;
    }
    j->first = *link;
    if (j->first == NULL)
        j->last = &j->first;
    *link = NULL;
    return group;
}

/* Writes the group, durably; the lock is held on entry and return. */
static void lead(ingest_journal *j)
{
    int result = 0;
    waiter *group = take_group(j, &result);
    if (result == 0) {
        pthread_mutex_unlock(&j->lock);
        result = write_group(j, group);
        pthread_mutex_lock(&j->lock);
        for (waiter *w = group; w != NULL && result == 0; w = w->next) {
            w->segment = (unsigned)(j->active - j->segments);
            j->active->nheld++;
        }
        /* What follows a damaged record would never be read. */
        if (result != 0)
            retire_active(j);
    }
    for (waiter *w = group, *next; w != NULL; w = next) {
        next = w->next;
        w->result = result;
        w->done = true;
    }
}

int journal_write(ingest_journal *j, uint64_t number, uint8_t *bytes, size_t nbytes,
                  uint64_t payload_hash, unsigned *held_in)
{
    waiter own = {.number = number, .nbytes = nbytes, .bytes = bytes, .payload_hash = payload_hash};
    pthread_mutex_lock(&j->lock);
    *j->last = &own;
    j->last = &own.next;
    while (!own.done) {
        if (j->leading) {
            pthread_cond_wait(&j->changed, &j->lock);
            continue;
        }
        j->leading = true;
        lead(j);
        j->leading = false;
        pthread_cond_broadcast(&j->changed);
    }
    pthread_mutex_unlock(&j->lock);
    *held_in = own.segment;
    return own.result;
}

void journal_release(ingest_journal *j, unsigned held_in)
{
    segment *s = &j->segments[held_in];
    pthread_mutex_lock(&j->lock);
    if (--s->nheld == 0 && s->state == SEGMENT_FULL)
        pthread_cond_signal(&j->work);
    pthread_mutex_unlock(&j->lock);
}

void journal_note_files(ingest_journal *j, bool failing)
{
    pthread_mutex_lock(&j->lock);
    j->files_failing = failing;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

uint64_t journal_mark(ingest_journal *j)
{
    pthread_mutex_lock(&j->lock);
    const uint64_t mark = j->next_sequence;
    pthread_mutex_unlock(&j->lock);
    return mark;
}

bool journal_is_past(ingest_journal *j, uint64_t mark)
{
    bool past = true;
    pthread_mutex_lock(&j->lock);
    for (uint32_t i = 0; i < j->nsegments; i++)
        past = past && (j->segments[i].sequence == 0 || j->segments[i].sequence >= mark);
    pthread_mutex_unlock(&j->lock);
    return past;
}

/* ---- The thread: segments made ready ---- */

/* Written through with zeros: a flush of what is only allocated would have to write the file
   system's own journal too, each time. */
static int fill_segment(int fd, uint64_t nbytes)
{
    uint8_t *zeros = aligned_alloc(JOURNAL_BLOCK, FILL_NBYTES);
    if (zeros == NULL)
        return ENOMEM;
    memset(zeros, 0, FILL_NBYTES);
    const struct iovec part = {zeros, FILL_NBYTES};
    int result = 0;
    for (uint64_t at = 0; at < nbytes && result == 0; at += FILL_NBYTES)
        result = write_all(fd, &part, 1, at);
    free(zeros);
    return result == 0 && fsync(fd) != 0 ? errno : result;
}

/* Past the system's cache where the file system can: what is written is not read again, and a copy
   costs as much as all else here. Each write is durable when it returns (O_DSYNC): a disk that can
   write one block through its own cache need not empty all of that, as a flush would. */
static int open_segment(const ingest_journal *j, const char *name)
{
    const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_DSYNC;
    int fd = openat(j->folder_fd, name, flags | O_DIRECT, 0600);
    if (fd < 0)
        return errno == EINVAL ? openat(j->folder_fd, name, flags, 0600) : -1;
    /* Some take the flag, and no write. A segment holds nothing here (after a replay, or new). */
    if (write_first_block(fd, NULL) == EINVAL)
        fcntl(fd, F_SETFL, 0);
    return fd;
}

/* Opens the segment that is there from before, or makes it. 0 or errno. */
static int make_segment(const ingest_journal *j, unsigned i, int *out)
{
    char name[32];
    struct stat st;
    segment_name(name, i);
    int fd = open_segment(j, name);
    if (fd < 0)
        return errno;
    int result = fstat(fd, &st) == 0 ? 0 : errno;
    if (result == 0 && (uint64_t)st.st_size != j->segment_nbytes) {
        result = ftruncate(fd, 0) == 0 ? fill_segment(fd, j->segment_nbytes) : errno;
        if (result == 0 && fsync(j->folder_fd) != 0)
            result = errno;
    }
    if (result != 0) {
        close(fd);
        unlinkat(j->folder_fd, name, 0);
        return result;
    }
    *out = fd;
    return 0;
}

static bool has_state(const ingest_journal *j, segment_state state)
{
    for (uint32_t i = 0; i < j->nsegments; i++) {
        if (j->segments[i].state == state)
            return true;
    }
    return false;
}

/* May it be used again, once its files are durable? */
static bool is_done(const segment *s)
{
    return s->state == SEGMENT_FULL && s->nheld == 0 && !s->suspect;
}

static bool has_done_segment(const ingest_journal *j)
{
    for (uint32_t i = 0; i < j->nsegments; i++) {
        if (is_done(&j->segments[i]))
            return true;
    }
    return false;
}

static bool wants_segment(const ingest_journal *j)
{
    return j->nsegments < SEGMENTS_MAX && !has_state(j, SEGMENT_FREE) &&
           (j->create_failed == 0 || j->nsegments == 0);
}

static void wait_to_retry(ingest_journal *j)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RETRY_SECONDS;
    while (!j->stopping && pthread_cond_timedwait(&j->work, &j->lock, &until) != ETIMEDOUT)
        ;
}

static void checkpoint(ingest_journal *j)
{
    bool done[SEGMENTS_MAX];
    for (uint32_t i = 0; i < SEGMENTS_MAX; i++)
        done[i] = i < j->nsegments && is_done(&j->segments[i]);
    pthread_mutex_unlock(&j->lock);
    int result = syncfs(j->folder_fd) == 0 ? 0 : errno;
    /* Not to be replayed after its files went elsewhere. */
    for (uint32_t i = 0; i < SEGMENTS_MAX && result == 0; i++) {
        if (done[i])
            result = write_first_block(j->segments[i].fd, NULL);
    }
    if (result != 0)
        log_event(LOG_ERROR, "spool.checkpoint_failed", LOG_T("reason", strerror(result)),
                  LOG_T("effect", "the journal stays as it is until the next start"));
    pthread_mutex_lock(&j->lock);
    j->checkpoint_failed = result;
    for (uint32_t i = 0; i < j->nsegments && result != 0; i++)
        j->segments[i].suspect = j->segments[i].suspect || j->segments[i].state != SEGMENT_FREE;
    for (uint32_t i = 0; i < SEGMENTS_MAX && result == 0; i++) {
        if (done[i])
            j->segments[i].state = SEGMENT_FREE;
    }
    pthread_cond_broadcast(&j->changed);
    if (result != 0)
        wait_to_retry(j);
}

static void add_segment(ingest_journal *j)
{
    const uint32_t i = j->nsegments;
    int fd = -1;
    pthread_mutex_unlock(&j->lock);
    int result = make_segment(j, i, &fd);
    if (result != 0)
        log_event(LOG_ERROR, "spool.journal_failed", LOG_T("reason", strerror(result)));
    pthread_mutex_lock(&j->lock);
    j->create_failed = result;
    if (result == 0)
        j->segments[j->nsegments++] = (segment){.fd = fd, .state = SEGMENT_FREE};
    pthread_cond_broadcast(&j->changed);
    if (result != 0)
        wait_to_retry(j);
}

static void *run_thread(void *context)
{
    ingest_journal *j = context;
    pthread_mutex_lock(&j->lock);
    while (!j->stopping) {
        if (wants_segment(j))
            add_segment(j);
        else if (has_done_segment(j))
            checkpoint(j);
        else
            pthread_cond_wait(&j->work, &j->lock);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* ---- Replay ---- */

static bool read_at(int fd, void *buffer, size_t nbytes, uint64_t at)
{
    for (size_t got = 0; got < nbytes;) {
        ssize_t n = pread(fd, (char *)buffer + got, nbytes - got, (off_t)(at + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

/* 0: it holds nothing. */
static int segment_sequence(uint64_t *sequence, const char *folder, const char *name, int fd,
                            scp_error *error)
{
    segment_header header;
    const bool whole = read_at(fd, &header, sizeof header, 0) &&
                       header.hash == journal_hash(&header, offsetof(segment_header, hash));
    if (whole && header.magic == SEGMENT_OLDER)
        return scp_fail(error,
                        "%s/%s is of an older dcbscp that was not stopped in order; start and stop "
                        "that one once more",
                        folder, name);
    *sequence = whole && header.magic == SEGMENT_MAGIC ? header.sequence : 0;
    return 0;
}

static bool is_whole(const record_header *header, const uint8_t *bytes)
{
    const size_t payload_nbytes = (size_t)header->nbytes - JOURNAL_SEAL_NBYTES;
    return header->seal_hash == journal_hash(bytes, JOURNAL_SEAL_NBYTES) &&
           header->payload_hash == journal_hash(bytes + JOURNAL_SEAL_NBYTES, payload_nbytes);
}

static int replay_segment(int fd, uint64_t sequence, uint8_t *buffer,
                          int (*take)(void *context, uint64_t number, const uint8_t *bytes,
                                      size_t nbytes, scp_error *error),
                          void *context, journal_replay_stats *stats, scp_error *error)
{
    record_header header;
    for (uint64_t at = JOURNAL_BLOCK; read_at(fd, &header, sizeof header, at);
         at += record_nbytes(header.nbytes)) {
        if (header.magic != RECORD_MAGIC || header.sequence != sequence)
            return 0;
        if (header.hash != journal_hash(&header, offsetof(record_header, hash)) ||
            header.nbytes < JOURNAL_SEAL_NBYTES || header.nbytes > JOURNAL_RECORD_MAX ||
            !read_at(fd, buffer, (size_t)header.nbytes, at + JOURNAL_BLOCK) ||
            !is_whole(&header, buffer)) {
            stats->torn_segments++;
            return 0;
        }
        stats->records++;
        if (take(context, header.number, buffer, (size_t)header.nbytes, error) != 0)
            return -1;
    }
    return 0;
}

int journal_replay(const char *folder, int folder_fd,
                   int (*take)(void *context, uint64_t number, const uint8_t *bytes, size_t nbytes,
                               scp_error *error),
                   void *context, journal_replay_stats *stats, scp_error *error)
{
    int fds[SEGMENTS_MAX];
    uint64_t sequences[SEGMENTS_MAX] = {0};
    *stats = (journal_replay_stats){0};
    uint8_t *buffer = malloc(JOURNAL_RECORD_MAX);
    int result = buffer != NULL ? 0 : scp_fail(error, "out of memory to replay %s", folder);
    for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
        char name[32];
        segment_name(name, i);
        fds[i] = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
        if (fds[i] >= 0 && result == 0)
            result = segment_sequence(&sequences[i], folder, name, fds[i], error);
    }
    for (uint64_t done = 0; result == 0;) {
        int next = -1;
        for (int i = 0; i < SEGMENTS_MAX; i++) {
            if (sequences[i] > done && (next < 0 || sequences[i] < sequences[next]))
                next = i;
        }
        if (next < 0)
            break;
        done = sequences[next];
        result = replay_segment(fds[next], done, buffer, take, context, stats, error);
    }
    free(buffer);
    for (int i = 0; i < SEGMENTS_MAX; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    return result;
}

int journal_clear(int folder_fd)
{
    static const segment_header nothing;
    int result = 0;
    for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
        char name[32];
        segment_name(name, i);
        int fd = openat(folder_fd, name, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        const struct iovec part = {(void *)(uintptr_t)&nothing, sizeof nothing};
        const int failed = write_all(fd, &part, 1, 0);
        if (failed != 0 || fdatasync(fd) != 0)
            result = failed != 0 ? failed : errno;
        close(fd);
    }
    return result;
}

/* ---- Life ---- */

int journal_open(ingest_journal **out, int folder_fd, scp_error *error)
{
    *out = NULL;
    ingest_journal *j = calloc(1, sizeof *j);
    if (j == NULL)
        return scp_fail(error, "out of memory for the journal");
    struct statvfs disk;
    j->folder_fd = folder_fd;
    j->segment_nbytes = SEGMENT_NBYTES;
    if (fstatvfs(folder_fd, &disk) == 0 &&
        (uint64_t)disk.f_bavail * disk.f_frsize < 16 * (uint64_t)SEGMENT_NBYTES)
        j->segment_nbytes = SEGMENT_SMALL;
    j->last = &j->first;
    /* Never one that an earlier run used: its records may still stand in the segments. */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    j->next_sequence = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->changed, NULL);
    pthread_cond_init(&j->work, NULL);
    int rc = pthread_create(&j->thread, NULL, run_thread, j);
    if (rc != 0) {
        pthread_cond_destroy(&j->changed);
        pthread_cond_destroy(&j->work);
        pthread_mutex_destroy(&j->lock);
        free(j);
        return scp_fail(error, "cannot start a thread: %s", strerror(rc));
    }
    *out = j;
    return 0;
}

void journal_close(ingest_journal *j)
{
    if (j == NULL)
        return;
    pthread_mutex_lock(&j->lock);
    j->stopping = true;
    pthread_cond_signal(&j->work);
    pthread_mutex_unlock(&j->lock);
    pthread_join(j->thread, NULL);
    bool needed = false;
    for (uint32_t i = 0; i < j->nsegments; i++)
        needed = needed || j->segments[i].nheld > 0 || j->segments[i].suspect;
    if (needed)
        log_event(LOG_WARN, "spool.journal_kept",
                  LOG_T("effect", "the next start writes into the spool what is missing there"));
    else if (syncfs(j->folder_fd) != 0 || journal_clear(j->folder_fd) != 0)
        log_event(LOG_ERROR, "spool.checkpoint_failed", LOG_T("reason", strerror(errno)));
    for (uint32_t i = 0; i < j->nsegments; i++)
        close(j->segments[i].fd);
    pthread_cond_destroy(&j->changed);
    pthread_cond_destroy(&j->work);
    pthread_mutex_destroy(&j->lock);
    free(j);
}
