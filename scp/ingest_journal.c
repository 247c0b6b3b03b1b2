/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_journal.c - segments, group commit, checkpoints.
 *
 * Who comes first when nobody writes becomes the leader: it writes what waits, its own record
 * included, with one call that returns when the disk has it, and wakes the others. So one sender
 * pays for no change of threads, and many share a write.
 *
 * Three segments in turn are enough where each record's file is written at once. Where a burst
 * filled one, more are made when nothing comes; while more than three are free, records may stay in
 * theirs (journal_place), and a burst costs one write an instance, not two.
 */
#include "ingest_journal_format.h"

#include "log.h"
#include "steady_clock.h"

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

#define SEGMENT_NBYTES (64u << 20)
#define SEGMENT_SMALL  (4u << 20) /* on a small disk, or for a small journal */
#define SMALL_MB       256
#define CYCLE          3     /* segments that are used in turn, whatever comes */
#define DISK_SHARE     16    /* of what is free, this part may become the journal's */
#define BURST_MS       60000 /* who fills a segment within this time */
#define QUIET_MS       200   /* more segments are made when nothing came for so long */
#define FILL_NBYTES    (1u << 20)
#define GROUP_MAX      64
#define RETRY_MS       1000

typedef enum segment_state { SEGMENT_FREE, SEGMENT_ACTIVE, SEGMENT_FULL } segment_state;

typedef struct segment {
    int fd, read_fd; /* past the system's cache, where that can be; and through it */
    segment_state state;
    uint64_t sequence;
    bool lasting;   /* its records may stay */
    uint64_t nheld; /* records that were not released */
    bool suspect;   /* a syncfs failed: of its files the kernel may have dropped what it could not
                       write, and says so only once. Kept for the next start's replay */
} segment;

/* One who waits for his record; on his stack. */
typedef struct waiter {
    struct waiter *next;
    const journal_record *record;
    journal_place place;
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
    uint64_t most_nbytes; /* of all segments */
    bool grows;           /* a burst filled one whose records could not stay */
    segment *active;      /* the leader's */
    int64_t activated_ms; /* by the steady clock */
    int64_t written_ms;   /* the last record */
    uint64_t position, next_sequence;
    int checkpoint_failed; /* errno of the last one; 0: it went well */
    int create_failed;     /* errno of the last try to make a segment */
    bool files_failing;    /* journal_note_files */
    bool stopping;
    pthread_t thread;
};

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
    const journal_record *r = w->record;
    record_header header = {.magic = RECORD_MAGIC,
                            .sequence = j->active->sequence,
                            .number = r->number,
                            .nbytes = r->nbytes,
                            .seal_hash = journal_hash(r->bytes, JOURNAL_SEAL_NBYTES),
                            .payload_hash = r->payload_hash,
                            .arrived_ns = r->arrived_ns};
    header.hash = journal_hash(&header, offsetof(record_header, hash));
    const size_t used = JOURNAL_BLOCK + r->nbytes, whole = (size_t)record_nbytes(r->nbytes);
    uint8_t *block = r->bytes - JOURNAL_BLOCK;
    memset(block, 0, JOURNAL_BLOCK);
    memcpy(block, &header, sizeof header);
    memset(block + used, 0, whole - used);
    return (struct iovec){block, whole};
}

/* They stand one behind the other. */
static int write_group(ingest_journal *j, waiter *group)
{
    struct iovec parts[GROUP_MAX];
    int n = 0;
    uint64_t nbytes = 0;
    for (waiter *w = group; w != NULL; w = w->next, n++) {
        parts[n] = make_record(j, w);
        w->place = (journal_place){.segment = (unsigned)(j->active - j->segments),
                                   .sequence = j->active->sequence,
                                   .at = j->position + nbytes,
                                   .may_stay = j->active->lasting};
        nbytes += parts[n].iov_len;
    }
    const int result = write_all(j->active->fd, parts, n, j->position);
    if (result == 0)
        j->position += nbytes;
    return result;
}

static uint32_t count_free(const ingest_journal *j)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < j->nsegments; i++)
        n += j->segments[i].state == SEGMENT_FREE;
    return n;
}

/* A segment to write to. The lock is held, and let go while there is none. 0 or errno. */
static int activate_segment(ingest_journal *j)
{
    for (;;) {
        for (uint32_t i = 0; i < j->nsegments; i++) {
            if (j->segments[i].state != SEGMENT_FREE)
                continue;
            j->active = &j->segments[i];
            j->active->lasting = count_free(j) > CYCLE;
            j->active->state = SEGMENT_ACTIVE;
            j->activated_ms = steady_clock_ms();
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
    const uint64_t nbytes = record_nbytes(j->first->record->nbytes);
    if (j->active != NULL && j->position + nbytes > j->segment_nbytes) {
        if (!j->active->lasting && steady_clock_ms() - j->activated_ms < BURST_MS)
            j->grows = true;
        retire_active(j);
    }
    *result = j->active == NULL ? activate_segment(j) : 0;
    if (*result != 0 && j->active != NULL)
        retire_active(j);
    uint64_t end = j->position;
    waiter *group = j->first, **link = &j->first;
    for (int n = 0; *link != NULL && n < GROUP_MAX; n++, link = &(*link)->next) {
        end += record_nbytes((*link)->record->nbytes);
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
        j->written_ms = steady_clock_ms();
        for (waiter *w = group; w != NULL && result == 0; w = w->next)
            j->active->nheld++;
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

int journal_write(ingest_journal *j, const journal_record *record, journal_place *place)
{
    waiter own = {.record = record};
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
    *place = own.place;
    return own.result;
}

int journal_read(ingest_journal *j, const journal_place *place, uint64_t number, uint8_t *buffer,
                 size_t *nbytes)
{
    const int fd = j->segments[place->segment].read_fd;
    record_header header;
    for (int i = 0; i < 2; i++) {
        if (journal__read_record(&header, buffer, fd, place->sequence, place->at) == RECORD_WHOLE &&
            header.number == number) {
            *nbytes = (size_t)header.nbytes;
            return 0;
        }
        /* The system's cache may still show what was there before. */
        posix_fadvise(fd, (off_t)place->at, JOURNAL_BLOCK + JOURNAL_RECORD_MAX,
                      POSIX_FADV_DONTNEED);
    }
    return EIO;
}

void journal_read_ahead(ingest_journal *j, const journal_place *place, uint64_t nbytes)
{
    posix_fadvise(j->segments[place->segment].read_fd, (off_t)place->at,
                  (off_t)record_nbytes(nbytes), POSIX_FADV_WILLNEED);
}

void journal_release(ingest_journal *j, const journal_place *place)
{
    segment *s = &j->segments[place->segment];
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
static int make_segment(const ingest_journal *j, unsigned i, segment *out)
{
    char name[SEGMENT_NAME_SIZE];
    struct stat st;
    journal__segment_name(name, i);
    int fd = open_segment(j, name);
    if (fd < 0)
        return errno;
    const int read_fd = openat(j->folder_fd, name, O_RDONLY | O_CLOEXEC);
    int result = read_fd >= 0 && fstat(fd, &st) == 0 ? 0 : errno;
    if (result == 0 && (uint64_t)st.st_size != j->segment_nbytes) {
        result = ftruncate(fd, 0) == 0 ? fill_segment(fd, j->segment_nbytes) : errno;
        if (result == 0 && fsync(j->folder_fd) != 0)
            result = errno;
    }
    if (result != 0) {
        close(fd);
        if (read_fd >= 0)
            close(read_fd);
        unlinkat(j->folder_fd, name, 0);
        return result;
    }
    posix_fadvise(read_fd, 0, 0, POSIX_FADV_RANDOM); /* what follows may just be being written */
    *out = (segment){.fd = fd, .read_fd = read_fd, .state = SEGMENT_FREE};
    return 0;
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

static bool needs_segment(const ingest_journal *j)
{
    return j->nsegments < CYCLE && count_free(j) == 0 &&
           (j->create_failed == 0 || j->nsegments == 0);
}

static void wait_to_retry(ingest_journal *j)
{
    const int64_t until_ms = steady_clock_ms() + RETRY_MS;
    while (!j->stopping && steady_clock_ms() < until_ms)
        steady_cond_wait(&j->work, &j->lock, until_ms);
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
        if (done[i]) {
            j->segments[i].state = SEGMENT_FREE;
            j->segments[i].sequence = 0;
        }
    }
    pthread_cond_broadcast(&j->changed);
    if (result != 0)
        wait_to_retry(j);
}

/* 0: there is no such segment. */
static uint64_t segment_on_disk(const ingest_journal *j, unsigned i)
{
    char name[SEGMENT_NAME_SIZE];
    struct stat st;
    journal__segment_name(name, i);
    return fstatat(j->folder_fd, name, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

/* What is free, and what the journal has. */
static uint64_t disk_available(const ingest_journal *j)
{
    struct statvfs disk;
    if (fstatvfs(j->folder_fd, &disk) != 0)
        return 0;
    uint64_t nbytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    for (unsigned i = 0; i < SEGMENTS_MAX; i++)
        nbytes += segment_on_disk(j, i);
    return nbytes;
}

/* How many segments there may be now. */
static uint32_t count_most(const ingest_journal *j)
{
    const uint64_t share = disk_available(j) / DISK_SHARE;
    const uint64_t n = (j->most_nbytes < share ? j->most_nbytes : share) / j->segment_nbytes;
    return n < CYCLE ? CYCLE : n > SEGMENTS_MAX ? SEGMENTS_MAX : (uint32_t)n;
}

static void add_segment(ingest_journal *j)
{
    const uint32_t i = j->nsegments;
    segment made;
    pthread_mutex_unlock(&j->lock);
    int result = make_segment(j, i, &made);
    if (result != 0)
        log_event(LOG_ERROR, "spool.journal_failed", LOG_T("reason", strerror(result)));
    pthread_mutex_lock(&j->lock);
    if (i < CYCLE)
        j->create_failed = result;
    if (result == 0)
        j->segments[j->nsegments++] = made;
    else if (i >= CYCLE)
        j->grows = false; /* it works without */
    pthread_cond_broadcast(&j->changed);
    if (result != 0)
        wait_to_retry(j);
}

/* Beyond those that it cannot do without: as many as the disk has room for now. */
static void grow(ingest_journal *j)
{
    pthread_mutex_unlock(&j->lock);
    const uint32_t nmost = count_most(j);
    pthread_mutex_lock(&j->lock);
    if (j->nsegments < nmost)
        add_segment(j);
    else
        j->grows = false;
}

static void *run_thread(void *context)
{
    ingest_journal *j = context;
    pthread_mutex_lock(&j->lock);
    while (!j->stopping) {
        const bool grows = j->grows && j->create_failed == 0;
        const int64_t quiet_ms = j->written_ms + QUIET_MS;
        if (needs_segment(j))
            add_segment(j);
        else if (grows && steady_clock_ms() >= quiet_ms)
            grow(j);
        else if (has_done_segment(j))
            checkpoint(j);
        else if (grows)
            steady_cond_wait(&j->work, &j->lock, quiet_ms);
        else
            pthread_cond_wait(&j->work, &j->lock);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* ---- Life ---- */

int journal_clear(int folder_fd)
{
    static const segment_header nothing;
    segment_header there;
    int result = 0;
    for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
        char name[SEGMENT_NAME_SIZE];
        journal__segment_name(name, i);
        int fd = openat(folder_fd, name, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (pread(fd, &there, sizeof there, 0) == sizeof there &&
            memcmp(&there, &nothing, sizeof there) == 0) {
            close(fd);
            continue;
        }
        const struct iovec part = {(void *)(uintptr_t)&nothing, sizeof nothing};
        const int failed = write_all(fd, &part, 1, 0);
        if (failed != 0 || fdatasync(fd) != 0)
            result = failed != 0 ? failed : errno;
        close(fd);
    }
    return result;
}

/* How large its segments are. */
static void choose_size(ingest_journal *j, uint32_t most_mb)
{
    const bool small =
        most_mb < SMALL_MB || disk_available(j) < DISK_SHARE * (uint64_t)SEGMENT_NBYTES;
    j->most_nbytes = (uint64_t)most_mb << 20;
    j->segment_nbytes = small ? SEGMENT_SMALL : SEGMENT_NBYTES;
}

/* A journal that has grown is there from the first instance on; what is too much goes. */
static void take_segments(ingest_journal *j)
{
    char name[SEGMENT_NAME_SIZE];
    const uint32_t nmost = count_most(j);
    while (j->nsegments < nmost && segment_on_disk(j, j->nsegments) == j->segment_nbytes &&
           make_segment(j, j->nsegments, &j->segments[j->nsegments]) == 0)
        j->nsegments++;
    for (unsigned i = nmost; i < SEGMENTS_MAX; i++) {
        journal__segment_name(name, i);
        unlinkat(j->folder_fd, name, 0);
    }
}

static void destroy(ingest_journal *j)
{
    for (uint32_t i = 0; i < j->nsegments; i++) {
        close(j->segments[i].fd);
        close(j->segments[i].read_fd);
    }
    pthread_cond_destroy(&j->changed);
    pthread_cond_destroy(&j->work);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

int journal_open(ingest_journal **out, int folder_fd, uint32_t most_mb, scp_error *error)
{
    *out = NULL;
    ingest_journal *j = calloc(1, sizeof *j);
    if (j == NULL)
        return scp_fail(error, "out of memory for the journal");
    j->folder_fd = folder_fd;
    choose_size(j, most_mb);
    take_segments(j);
    j->last = &j->first;
    /* Never one that an earlier run used: its records may still stand in the segments. */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    j->next_sequence = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->changed, NULL);
    steady_cond_init(&j->work);
    int rc = pthread_create(&j->thread, NULL, run_thread, j);
    if (rc != 0) {
        destroy(j);
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
    destroy(j);
}
