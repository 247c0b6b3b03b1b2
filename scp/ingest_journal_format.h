/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_journal_format.h - the journal's segments on the disk (INGEST.md), for who writes them
 * (ingest_journal.c) and who reads them (ingest_journal_read.c).
 *
 * Layout of a segment: a block with its sequence number, then records: a block with the record's
 * header, and the bytes from the next block's start. A record counts where its header names the
 * segment's sequence and its hashes agree.
 */
#ifndef INGEST_JOURNAL_FORMAT_H
#define INGEST_JOURNAL_FORMAT_H

#include "ingest_journal.h"

#define SEGMENTS_MAX  40
#define SEGMENT_MAGIC UINT64_C(0x344C4E524A424344) /* "DCBJRNL4" */
#define RECORD_MAGIC  UINT64_C(0x3444524F43455244) /* "DRECORD4" */

typedef struct segment_header {
    uint64_t magic, sequence, hash; /* of the two before; sequence 0: it holds nothing */
} segment_header;

typedef struct record_header {
    uint64_t magic, sequence, number, nbytes;
    uint64_t seal_hash, payload_hash; /* of the first JOURNAL_SEAL_NBYTES, and of the others */
    int64_t arrived_ns;
    uint64_t hash; /* of all before */
} record_header;
_Static_assert(sizeof(record_header) == 64, "as INGEST.md says");

/* Of the whole record. */
static inline uint64_t record_nbytes(uint64_t nbytes)
{
    return JOURNAL_BLOCK + (nbytes + JOURNAL_BLOCK - 1) / JOURNAL_BLOCK * JOURNAL_BLOCK;
}

/* Zeros are no header: that is what a damaged block may read as. */
segment_header journal__header(uint64_t sequence);

#define SEGMENT_NAME_SIZE 32
void journal__segment_name(char name[SEGMENT_NAME_SIZE], unsigned i);

typedef enum record_state {
    RECORD_WHOLE,
    RECORD_TORN,        /* its bytes are not what was written; the header is */
    RECORD_HEADER_TORN, /* neither is the header */
    RECORD_NONE,        /* there is none of this segment */
    RECORD_UNREADABLE,  /* errno tells why */
} record_state;
/* The record at that place of the segment with that sequence; its bytes (JOURNAL_RECORD_MAX at
   most) come into the buffer. */
record_state journal__read_record(record_header *header, uint8_t *buffer, int fd, uint64_t sequence,
                                  uint64_t at);

#endif
