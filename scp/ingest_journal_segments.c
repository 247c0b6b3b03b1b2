/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_journal_segments.c - the journal's files: made, made free again, and more of them.
 *
 * Three segments in turn are enough where each record's file is written at once. Where a burst
 * filled one, more are made when nothing comes; while three others are free, records may stay in
 * the active one (journal_place), and a burst costs one write an instance, not two.
 */
#include "ingest_journal_private.h"

#include "log.h"
#include "steady_clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SEGMENT_NBYTES (64u << 20)
#define SEGMENT_SMALL  (4u << 20) /* on a small disk, or for a small journal */
#define SMALL_MB       256
#define DISK_SHARE     16  /* of what is free, this part may become the journal's */
#define QUIET_MS       200 /* more segments are made when nothing came for so long */
#define FILL_NBYTES    (1u << 20)
#define RETRY_MS       1000

/* ---- Writing ---- */

int journal__write_all(int fd, const struct iovec *parts, int nparts, uint64_t at)
{
    struct iovec left[JOURNAL_GROUP_MAX];
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

int journal__write_first_block(int fd, uint64_t sequence)
{
    const segment_header header = journal__header(sequence);
    uint8_t *block = aligned_alloc(JOURNAL_BLOCK, JOURNAL_BLOCK);
    if (block == NULL)
        return ENOMEM;
    memset(block, 0, JOURNAL_BLOCK);
    memcpy(block, &header, sizeof header);
    const struct iovec part = {block, JOURNAL_BLOCK};
    int result = journal__write_all(fd, &part, 1, 0);
    free(block);
    return result;
}

/* ---- One segment ---- */

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
        result = journal__write_all(fd, &part, 1, at);
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
    if (journal__write_first_block(fd, 0) == EINVAL)
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
        if (result == 0)
            result = journal__write_first_block(fd, 0);
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

/* ---- How many ---- */

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
    return n < JOURNAL_CYCLE ? JOURNAL_CYCLE : n > SEGMENTS_MAX ? SEGMENTS_MAX : (uint32_t)n;
}

uint32_t journal__count_free(const ingest_journal *j)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < j->nsegments; i++)
        n += j->segments[i].state == SEGMENT_FREE;
    return n;
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
void journal__take_segments(ingest_journal *j, uint32_t most_mb)
{
    char name[SEGMENT_NAME_SIZE];
    choose_size(j, most_mb);
    const uint32_t nmost = count_most(j);
    while (j->nsegments < nmost && segment_on_disk(j, j->nsegments) == j->segment_nbytes &&
           make_segment(j, j->nsegments, &j->segments[j->nsegments]) == 0)
        j->nsegments++;
    for (unsigned i = nmost; i < SEGMENTS_MAX; i++) {
        journal__segment_name(name, i);
        unlinkat(j->folder_fd, name, 0);
    }
}

void journal__close_segments(ingest_journal *j)
{
    for (uint32_t i = 0; i < j->nsegments; i++) {
        close(j->segments[i].fd);
        close(j->segments[i].read_fd);
    }
}

/* ---- The thread ---- */

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
    return j->nsegments < JOURNAL_CYCLE && journal__count_free(j) == 0 &&
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
            result = journal__write_first_block(j->segments[i].fd, 0);
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

static void add_segment(ingest_journal *j)
{
    const uint32_t i = j->nsegments;
    segment made;
    pthread_mutex_unlock(&j->lock);
    int result = make_segment(j, i, &made);
    if (result != 0)
        log_event(LOG_ERROR, "spool.journal_failed", LOG_T("reason", strerror(result)));
    pthread_mutex_lock(&j->lock);
    if (i < JOURNAL_CYCLE)
        j->create_failed = result;
    if (result == 0)
        j->segments[j->nsegments++] = made;
    else if (i >= JOURNAL_CYCLE)
        j->grows = false; /* it works without */
    pthread_cond_broadcast(&j->changed);
    if (result != 0)
        wait_to_retry(j);
}

/* Beyond those that it cannot do without: as many as the disk has room for now. */
static void grow(ingest_journal *j)
{
    pthread_mutex_unlock(&j->lock);
    const uint32_t nmost = count_most(j), n = j->nsegments; /* nobody else makes any */
    if (n >= nmost && n > JOURNAL_CYCLE)
        log_event(LOG_INFO, "spool.journal_grown", LOG_U("segments", n),
                  LOG_U("bytes", n * j->segment_nbytes),
                  LOG_T("effect", "bursts of this size are written once"));
    pthread_mutex_lock(&j->lock);
    if (n < nmost)
        add_segment(j);
    else
        j->grows = false;
}

void *journal__run(void *context)
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
