/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_journal.h - the write-ahead journal of the spool: one durable write keeps the instances of
 * all associations that wait together.
 *
 * A record is a whole Part 10 file. Segments are used in turn: a full one is free again when every
 * record was released (its file was written, or it is needed no more) and a syncfs made that
 * durable. Where there are segments enough, a record may stay in its segment and be read from
 * there.
 *
 * Invariant: journal_write returned 0 only after the record reached the disk, and the record stays
 * until it was released and its file reached the disk. Threads: any.
 */
#ifndef INGEST_JOURNAL_H
#define INGEST_JOURNAL_H

#include "scp_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ingest_journal ingest_journal;

/* Larger ones are made durable in their own file. */
#define JOURNAL_RECORD_MAX (1u << 20)
/* What a disk writes past the system's cache is made of: buffers and records are aligned to it. */
#define JOURNAL_BLOCK 4096u
/* A record begins with the seal of a spool file, which holds the hash of all that follows. */
#define JOURNAL_SEAL_NBYTES 128u

/* The hash that guards records and spool files. */
uint64_t journal_hash(const void *bytes, size_t nbytes);

typedef struct journal_record {
    uint64_t number;
    int64_t arrived_ns; /* since 1970: the time that its file gets */
    uint8_t *bytes;
    size_t nbytes;
    uint64_t payload_hash; /* to write it: the journal_hash of what follows the seal */
} journal_record;

typedef struct journal_replay_stats {
    uint64_t records;
    uint64_t torn_segments;    /* those whose last records were cut off */
    uint64_t damaged_segments; /* those that are not what was written: told in the log */
} journal_replay_stats;

/* 0, or -1 with the error to stop. */
typedef int (*journal_taker)(void *context, const journal_record *record, scp_error *error);
/* Hands every whole record of the folder's segments over, in their order. */
int journal_replay(const char *folder, int folder_fd, journal_taker take, void *context,
                   journal_replay_stats *stats, scp_error *error);
/* Empties the segments: what they held must be durable. 0 or errno. */
int journal_clear(int folder_fd);

/* folder_fd: the spool's folder, which holds the segments and, on the same disk, the files.
   most_mb: what the journal may grow to (three segments at the least); it does where much comes. */
int journal_open(ingest_journal **out, int folder_fd, uint32_t most_mb, scp_error *error);
/* Makes the files durable and empties the segments; where a record was not released, or its file
   may not have reached the disk, they stay for the next replay. */
void journal_close(ingest_journal *journal);

/* Where a record is, until it is released. */
typedef struct journal_place {
    unsigned segment;
    uint64_t sequence, at;
    bool may_stay; /* for minutes: there are segments enough. Else its file is to be written now */
} journal_place;

/* 0, or an errno value: then the record may or may not come back at a replay. Its bytes are a
   journal_buffer's, from its beginning. */
int journal_write(ingest_journal *journal, const journal_record *record, journal_place *place);
/* Reads a record that was not released into a buffer of JOURNAL_RECORD_MAX. 0, or EIO: it is not
   what was written. */
int journal_read(ingest_journal *journal, const journal_place *place, uint64_t number,
                 uint8_t *buffer, size_t *nbytes);
/* It will be read soon. */
void journal_read_ahead(ingest_journal *journal, const journal_place *place, uint64_t nbytes);
/* The record is needed no more: its file was written, for one. */
void journal_release(ingest_journal *journal, const journal_place *place);
/* Files cannot be written (or can again): nobody then waits for a segment to become free. */
void journal_note_files(ingest_journal *journal, bool failing);

/* Room for JOURNAL_RECORD_MAX bytes, aligned for a disk, which goes there without a copy: the
   journal's own header and padding have their place before and behind. One that is used again and
   again (lasting) is a page of 2 MiB where the system gives such: what a disk is given in one piece
   it takes 12 % faster than in 129. NULL: out of memory. */
uint8_t *journal_buffer(bool lasting);
void journal_buffer_free(uint8_t *buffer);

/* All that was written before the mark was taken is gone from the disk once the journal is past it.
 */
uint64_t journal_mark(ingest_journal *journal);
bool journal_is_past(ingest_journal *journal, uint64_t mark);

#endif
