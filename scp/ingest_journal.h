/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_journal.h - the write-ahead journal of the spool: one durable write keeps the instances of
 * all associations that wait together.
 *
 * A record is a whole Part 10 file. Segments are used in turn: a full one is free again when every
 * record's file was written (journal_release) and is durable (syncfs).
 *
 * Invariant: journal_write returned 0 only after the record reached the disk, and the record stays
 * until its file did. Threads: any.
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

typedef struct journal_replay_stats {
    uint64_t records;
    uint64_t torn_segments; /* those whose last record was cut off */
} journal_replay_stats;

/* Hands every whole record of the folder's segments over, in their order. take returns 0, or -1
   with the error to stop. */
int journal_replay(const char *folder, int folder_fd,
                   int (*take)(void *context, uint64_t number, const uint8_t *bytes, size_t nbytes,
                               scp_error *error),
                   void *context, journal_replay_stats *stats, scp_error *error);
/* Empties the segments: what they held must be durable. 0 or errno. */
int journal_clear(int folder_fd);

/* folder_fd: the spool's folder, which holds the segments and, on the same disk, the files. */
int journal_open(ingest_journal **out, int folder_fd, scp_error *error);
/* Makes the files durable and empties the segments; where a record was not released, or its file
   may not have reached the disk, they stay for the next replay. */
void journal_close(ingest_journal *journal);
/* 0, or an errno value: then the record may or may not come back at a replay. bytes are a
   journal_buffer's, from its beginning; payload_hash is the journal_hash of what follows the seal.
   *held_in, a segment, holds the record until it is released. */
int journal_write(ingest_journal *journal, uint64_t number, uint8_t *bytes, size_t nbytes,
                  uint64_t payload_hash, unsigned *held_in);
/* The file of a record in that segment was written. */
void journal_release(ingest_journal *journal, unsigned held_in);
/* Files cannot be written (or can again): nobody then waits for a segment to become free. */
void journal_note_files(ingest_journal *journal, bool failing);

/* Room for JOURNAL_RECORD_MAX bytes, aligned for a disk, which goes there without a copy: the
   journal's own header and padding have their place before and behind. NULL: out of memory. */
uint8_t *journal_buffer(void);
void journal_buffer_free(uint8_t *buffer);

/* All that was written before the mark was taken is gone from the disk once the journal is past it.
 */
uint64_t journal_mark(ingest_journal *journal);
bool journal_is_past(ingest_journal *journal, uint64_t mark);

#endif
