/* SPDX-License-Identifier: Apache-2.0 */
/* ingest_journal_read.c - what segments hold: one record, or all of them at the start. */
#include "ingest_journal_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

uint64_t journal_hash(const void *bytes, size_t nbytes)
{
    return XXH3_64bits(bytes, nbytes);
}

void journal__segment_name(char name[SEGMENT_NAME_SIZE], unsigned i)
{
    snprintf(name, SEGMENT_NAME_SIZE, "journal-%u", i);
}

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

/* ---- One record ---- */

static bool is_whole(const record_header *header, const uint8_t *bytes)
{
    const size_t payload_nbytes = (size_t)header->nbytes - JOURNAL_SEAL_NBYTES;
    return header->seal_hash == journal_hash(bytes, JOURNAL_SEAL_NBYTES) &&
           header->payload_hash == journal_hash(bytes + JOURNAL_SEAL_NBYTES, payload_nbytes);
}

record_state journal__read_record(record_header *header, uint8_t *buffer, int fd, uint64_t sequence,
                                  uint64_t at)
{
    if (!read_at(fd, header, sizeof *header, at) || header->magic != RECORD_MAGIC ||
        header->sequence != sequence)
        return RECORD_END;
    if (header->hash != journal_hash(header, offsetof(record_header, hash)) ||
        header->nbytes < JOURNAL_SEAL_NBYTES || header->nbytes > JOURNAL_RECORD_MAX)
        return RECORD_END_TORN;
    return read_at(fd, buffer, (size_t)header->nbytes, at + JOURNAL_BLOCK) &&
                   is_whole(header, buffer)
               ? RECORD_WHOLE
               : RECORD_TORN;
}

/* ---- Replay ---- */

/* 0: it holds nothing. */
static int segment_sequence(uint64_t *sequence, const char *folder, const char *name, int fd,
                            scp_error *error)
{
    static const char AS_OLD[] = "DCBJRNL"; /* and a digit */
    segment_header header;
    const bool whole = read_at(fd, &header, sizeof header, 0) &&
                       header.hash == journal_hash(&header, offsetof(segment_header, hash));
    const bool ours = whole && header.magic == SEGMENT_MAGIC;
    if (whole && !ours && memcmp(&header, AS_OLD, sizeof AS_OLD - 1) == 0)
        return scp_fail(error,
                        "%s/%s is of another dcbscp that was not stopped in order; start and stop "
                        "that one once more",
                        folder, name);
    *sequence = ours ? header.sequence : 0;
    return 0;
}

typedef struct replaying {
    journal_taker take;
    void *context;
    journal_replay_stats *stats;
    uint8_t *buffer;
} replaying;

static int replay_segment(const replaying *r, int fd, uint64_t sequence, scp_error *error)
{
    record_header header;
    record_state state;
    bool torn = false;
    for (uint64_t at = JOURNAL_BLOCK;
         (state = journal__read_record(&header, r->buffer, fd, sequence, at)) < RECORD_END;
         at += record_nbytes(header.nbytes)) {
        torn = torn || state == RECORD_TORN;
        if (state == RECORD_TORN)
            continue; /* what follows may be older than a disk's error */
        const journal_record record = {.number = header.number,
                                       .arrived_ns = header.arrived_ns,
                                       .bytes = r->buffer,
                                       .nbytes = (size_t)header.nbytes};
        r->stats->records++;
        if (r->take(r->context, &record, error) != 0)
            return -1;
    }
    r->stats->torn_segments += torn || state == RECORD_END_TORN;
    return 0;
}

int journal_replay(const char *folder, int folder_fd, journal_taker take, void *context,
                   journal_replay_stats *stats, scp_error *error)
{
    int fds[SEGMENTS_MAX];
    uint64_t sequences[SEGMENTS_MAX] = {0};
    const replaying r = {take, context, stats, malloc(JOURNAL_RECORD_MAX)};
    *stats = (journal_replay_stats){0};
    int result = r.buffer != NULL ? 0 : scp_fail(error, "out of memory to replay %s", folder);
    for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
        char name[SEGMENT_NAME_SIZE];
        journal__segment_name(name, i);
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
        result = replay_segment(&r, fds[next], done, error);
    }
    free(r.buffer);
    for (int i = 0; i < SEGMENTS_MAX; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    return result;
}
