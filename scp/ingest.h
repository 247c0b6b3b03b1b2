/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest.h - takes instances in (C-STORE): from the socket to the spool, durable before they are
 * acknowledged, found and retrieved from there at once. INGEST.md tells the files and the crash
 * cases.
 *
 * Invariant: what ingest_finish answered with success or a warning is there after any crash.
 *
 * Threads: an ingest_instance belongs to one thread, the rest may be called from any.
 */
#ifndef INGEST_H
#define INGEST_H

#include "index.h"
#include "options.h"
#include "series_pool.h"
#include "ul.h"

typedef struct scp_ingest scp_ingest;
typedef struct ingest_instance ingest_instance;

/* The folder of the spool in the store folder: hidden, so that no scan goes in. */
#define INGEST_FOLDER ".dcbscp-spool"

/* Replays the journal, drops what is torn, brings the index up to date with the spool; then takes
   instances. All arguments must outlive it. */
int ingest_open(scp_ingest **out, const scp_options *options, scp_index *index, series_pool *series,
                scp_error *error);
/* No instance may be under way. */
void ingest_close(scp_ingest *ingest);

/* Returns when all that was acknowledged before the call can be found in the index: true. False
   where the spool or the index cannot be written, and the node stops or that has not passed within
   seconds. */
bool ingest_settle(scp_ingest *ingest);

/* Packs every series that waits in the spool now, and returns when each was tried: true where none
   failed. */
bool ingest_pack(scp_ingest *ingest);
/* Begins that, and returns at once. */
void ingest_pack_start(scp_ingest *ingest);

/* Since the start, but for what waits and is under way. */
typedef struct ingest_stats {
    uint64_t received, received_bytes; /* kept: answered with success or a warning */
    uint64_t repeated;                 /* came again with the same content: nothing new */
    uint64_t refused;                  /* every other answer */
    uint64_t spool_series, spool_instances, spool_bytes; /* that wait to be packed, now */
    uint64_t failing_series;    /* of these: whose packing failed, and is tried again later */
    bool failing;               /* files or the index cannot be written: nothing small is taken */
    uint64_t packing_instances; /* of the series that is being packed now; 0: none is */
    uint64_t packed_series, packed_instances; /* into .dcbs files */
    uint64_t packed_source_bytes, packed_file_bytes;
    uint64_t kept_instances, kept_bytes; /* verbatim: a .dcbs file cannot hold them exactly */
    uint64_t replaced_instances;         /* set aside for a newer one with their UID */
    uint64_t pack_failures, pack_ms;
} ingest_stats;

void ingest_get_stats(ingest_stats *out, scp_ingest *ingest);

typedef struct ingest_request {
    uint32_t association_number;
    const char *transfer_syntax_uid;
    const char *sop_class_uid; /* of the command */
    const char *sop_instance_uid;
} ingest_request;

typedef struct ingest_verdict {
    uint16_t status;  /* of the C-STORE-RSP */
    char comment[65]; /* "" where there is nothing to say */
} ingest_verdict;

/* NULL: out of memory. */
ingest_instance *ingest_begin(scp_ingest *ingest, const ingest_request *request);
/* The next bytes of the data set. After a failure they are only passed over. */
void ingest_take(ingest_instance *instance, const uint8_t *bytes, size_t nbytes);
/* All of it came: checks it, keeps it, and gives the answer when it is durable. */
void ingest_finish(ingest_instance *instance, ingest_verdict *verdict);
/* Frees; where it was not finished nothing of it stays behind. */
void ingest_free(ingest_instance *instance);

#endif
