/* SPDX-License-Identifier: Apache-2.0 */
/* ingest_journal_read.c - what segments hold: one record, or all of them at the start. */
#include "ingest_journal_format.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

uint64_t journal_hash(const void *bytes, size_t nbytes)
{
    return XXH3_64bits(bytes, nbytes);
}

segment_header journal__header(uint64_t sequence)
{
    segment_header header = {SEGMENT_MAGIC, sequence, 0};
    header.hash = journal_hash(&header, offsetof(segment_header, hash));
    return header;
}

void journal__segment_name(char name[SEGMENT_NAME_SIZE], unsigned i)
{
    snprintf(name, SEGMENT_NAME_SIZE, "journal-%u", i);
}

/* How many bytes there were, up to nbytes; -1 with errno. */
static ssize_t read_at(int fd, void *buffer, size_t nbytes, uint64_t at)
{
    size_t got = 0;
    while (got < nbytes) {
        ssize_t n = pread(fd, (char *)buffer + got, nbytes - got, (off_t)(at + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

/* ---- One record ---- */

static bool is_whole(const record_header *header, const uint8_t *bytes)
{
    const size_t payload_nbytes = (size_t)header->nbytes - JOURNAL_SEAL_NBYTES;
    return header->seal_hash == journal_hash(bytes, JOURNAL_SEAL_NBYTES) &&
           header->payload_hash == journal_hash(bytes + JOURNAL_SEAL_NBYTES, payload_nbytes);
}

static record_state read_header(record_header *header, int fd, uint64_t at)
{
    const ssize_t n = read_at(fd, header, sizeof *header, at);
    if (n < 0)
        return RECORD_UNREADABLE;
    if (n < (ssize_t)sizeof *header || header->magic != RECORD_MAGIC)
        return RECORD_NONE;
    return header->hash == journal_hash(header, offsetof(record_header, hash)) &&
                   header->nbytes >= JOURNAL_SEAL_NBYTES && header->nbytes <= JOURNAL_RECORD_MAX
               ? RECORD_WHOLE
               : RECORD_HEADER_TORN;
}

record_state journal__read_record(record_header *header, uint8_t *buffer, int fd, uint64_t sequence,
                                  uint64_t at)
{
    const record_state state = read_header(header, fd, at);
    if (state != RECORD_UNREADABLE && state != RECORD_NONE && header->sequence != sequence)
        return RECORD_NONE;
    if (state != RECORD_WHOLE)
        return state;
    const ssize_t n = read_at(fd, buffer, (size_t)header->nbytes, at + JOURNAL_BLOCK);
    if (n < 0)
        return RECORD_UNREADABLE;
    return n == (ssize_t)header->nbytes && is_whole(header, buffer) ? RECORD_WHOLE : RECORD_TORN;
}

/* ---- Replay ---- */

typedef struct replaying {
    journal_taker take;
    void *context;
    journal_replay_stats *stats;
    uint8_t *buffer;
    const char *folder;
} replaying;

/* One segment that is there. */
typedef struct replayed_segment {
    char name[SEGMENT_NAME_SIZE];
    int fd;                    /* -1: there is none */
    uint64_t sequence, nbytes; /* sequence 0: it holds nothing */
} replayed_segment;

static int fail_to_read(const replaying *r, const replayed_segment *s, scp_error *error)
{
    return scp_fail(error,
                    "cannot read %s/%s: %s; it may hold instances that no file has: mend the disk, "
                    "or move the file away to start without them",
                    r->folder, s->name, strerror(errno));
}

static void tell_damage(const replaying *r, const replayed_segment *s, const char *effect)
{
    r->stats->damaged_segments++;
    log_event(LOG_ERROR, "spool.journal_damaged", LOG_T("segment", s->name),
              LOG_T("effect", effect));
}

/* The header of a segment is damaged: its records tell the sequence. Each use of it begins with the
   first; where that is damaged, too, earlier ones had lower sequences, unless the clock went back.
 */
static int find_sequence(replayed_segment *s, const replaying *r, scp_error *error)
{
    record_header header;
    for (uint64_t at = JOURNAL_BLOCK; at < s->nbytes; at += JOURNAL_BLOCK) {
        const record_state state = read_header(&header, s->fd, at);
        if (state == RECORD_UNREADABLE)
            return fail_to_read(r, s, error);
        if (state == RECORD_WHOLE && header.sequence > s->sequence)
            s->sequence = header.sequence;
        if (state == RECORD_WHOLE && at == JOURNAL_BLOCK)
            break;
    }
    if (s->sequence != 0) /* else it is new */
        tell_damage(r, s, "its header is not what was written: what its records hold is taken");
    return 0;
}

static int read_sequence(replayed_segment *s, const replaying *r, scp_error *error)
{
    static const char AS_OTHERS[] = "DCBJRNL"; /* and a digit */
    segment_header header = {0, 0, 0};
    if (read_at(s->fd, &header, sizeof header, 0) < 0)
        return fail_to_read(r, s, error);
    const bool whole = header.hash == journal_hash(&header, offsetof(segment_header, hash));
    if (whole && header.magic == SEGMENT_MAGIC) {
        s->sequence = header.sequence;
        return 0;
    }
    if (whole && memcmp(&header, AS_OTHERS, sizeof AS_OTHERS - 1) == 0)
        return scp_fail(error,
                        "%s/%s is of another dcbscp that was not stopped in order; start and stop "
                        "that one once more",
                        r->folder, s->name);
    return find_sequence(s, r, error);
}

static int open_replayed(replayed_segment *s, const replaying *r, int folder_fd, unsigned i,
                         scp_error *error)
{
    struct stat st;
    journal__segment_name(s->name, i);
    s->fd = openat(folder_fd, s->name, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0 && errno == ENOENT)
        return 0;
    if (s->fd < 0 || fstat(s->fd, &st) != 0)
        return fail_to_read(r, s, error);
    s->nbytes = (uint64_t)st.st_size;
    return read_sequence(s, r, error);
}

/* A crash cuts off the last records, which nobody was told of. Where a whole one follows, it was a
   disk: that one was written later. */
static int replay_segment(const replaying *r, const replayed_segment *s, scp_error *error)
{
    bool torn = false, gap = false, damaged = false;
    for (uint64_t at = JOURNAL_BLOCK; at < s->nbytes;) {
        record_header header;
        const record_state state = journal__read_record(&header, r->buffer, s->fd, s->sequence, at);
        if (state == RECORD_UNREADABLE)
            return fail_to_read(r, s, error);
        at += state == RECORD_WHOLE || state == RECORD_TORN ? record_nbytes(header.nbytes)
                                                            : JOURNAL_BLOCK;
        torn = torn || state == RECORD_TORN || state == RECORD_HEADER_TORN;
        gap = gap || state != RECORD_WHOLE;
        if (state != RECORD_WHOLE)
            continue;
        damaged = damaged || gap;
        const journal_record record = {.number = header.number,
                                       .arrived_ns = header.arrived_ns,
                                       .bytes = r->buffer,
                                       .nbytes = (size_t)header.nbytes};
        r->stats->records++;
        if (r->take(r->context, &record, error) != 0)
            return -1;
    }
    if (damaged)
        tell_damage(r, s,
                    "what was written between whole records is not there: what was acknowledged of "
                    "it, and has no file, is lost");
    r->stats->torn_segments += torn && !damaged;
    return 0;
}

int journal_replay(const char *folder, int folder_fd, journal_taker take, void *context,
                   journal_replay_stats *stats, scp_error *error)
{
    replayed_segment segments[SEGMENTS_MAX];
    const replaying r = {take, context, stats, malloc(JOURNAL_RECORD_MAX), folder};
    *stats = (journal_replay_stats){0};
    int result = r.buffer != NULL ? 0 : scp_fail(error, "out of memory to replay %s", folder);
    for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
        segments[i] = (replayed_segment){.fd = -1};
        if (result == 0)
            result = open_replayed(&segments[i], &r, folder_fd, i, error);
    }
    for (uint64_t done = 0; result == 0;) {
        const replayed_segment *next = NULL;
        for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
            const replayed_segment *s = &segments[i];
            if (s->sequence > done && (next == NULL || s->sequence < next->sequence))
                next = s;
        }
        if (next == NULL)
            break;
        done = next->sequence;
        result = replay_segment(&r, next, error);
    }
    free(r.buffer);
    for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
        if (segments[i].fd >= 0)
            close(segments[i].fd);
    }
    return result;
}
