/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_journal.c - records: group commit, reading, releasing.
 *
 * Who comes first when nobody writes becomes the leader: it writes what waits, its own record
 * included, with one call that returns when the disk has it, and wakes the others. So one sender
 * pays for no change of threads, and many share a write.
 */
#include "ingest_journal_private.h"

#include "log.h"
#include "steady_clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BURST_MS  60000 /* who fills a segment within this time */
#define HUGE_PAGE (2u << 20)
_Static_assert(JOURNAL_BLOCK + JOURNAL_RECORD_MAX <= HUGE_PAGE, "a buffer is one page");

/* ---- Writing ---- */

uint8_t *journal_buffer(bool lasting)
{
    const size_t nbytes = lasting ? HUGE_PAGE : JOURNAL_BLOCK + JOURNAL_RECORD_MAX;
    uint8_t *block = aligned_alloc(lasting ? HUGE_PAGE : JOURNAL_BLOCK, nbytes);
    if (block == NULL)
        return NULL;
    if (lasting)
        madvise(block, nbytes, MADV_HUGEPAGE);
    return block + JOURNAL_BLOCK;
}

void journal_buffer_free(uint8_t *buffer)
{
    if (buffer != NULL)
        free(buffer - JOURNAL_BLOCK);
}

/* What the segment held before is gone then. */
static int write_segment_header(segment *s, uint64_t sequence)
{
    const int result = journal__write_first_block(s->fd, sequence);
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
    struct iovec parts[JOURNAL_GROUP_MAX];
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
    const int result = journal__write_all(j->active->fd, parts, n, j->position);
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
            j->active->lasting = false;
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
    if (*result == 0 && journal__count_free(j) >= JOURNAL_CYCLE)
        j->active->lasting = true;
    if (*result != 0 && j->active != NULL)
        retire_active(j);
    uint64_t end = j->position;
    waiter *group = j->first, **link = &j->first;
    for (int n = 0; *link != NULL && n < JOURNAL_GROUP_MAX; n++, link = &(*link)->next) {
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
        /* Where a disk failed nothing more is put. */
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

/* ---- Life ---- */

int journal_clear(int folder_fd)
{
    const segment_header nothing = journal__header(0);
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
        const int failed = journal__write_first_block(fd, 0);
        if (failed != 0 || fdatasync(fd) != 0)
            result = failed != 0 ? failed : errno;
        close(fd);
    }
    return result;
}

static void destroy(ingest_journal *j)
{
    journal__close_segments(j);
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
    journal__take_segments(j, most_mb);
    j->last = &j->first;
    /* Never one that an earlier run used: its records may still stand in the segments. */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    j->next_sequence = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->changed, NULL);
    steady_cond_init(&j->work);
    int rc = pthread_create(&j->thread, NULL, journal__run, j);
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
