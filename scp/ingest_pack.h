/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_pack.h - one series of the spool on its way into the study's folder: what is there of it
 * (ingest_pack_plan.c, ingest_pack_read.c), its new .dcbs file (ingest_pack_write.c), and the
 * thread that does so for one series after another (ingest_packer.c).
 *
 * Invariant: until ingest__switch_write nothing has changed but the staging folder.
 */
#ifndef INGEST_PACK_H
#define INGEST_PACK_H

#include "ingest_switch.h"
#include "pack_slice.h"
#include "part10_file.h"

#define PACK_NAME_SIZE 17 /* a hash */

/* What becomes of an instance. */
typedef enum pack_fate {
    FATE_PACK,     /* into the .dcbs file */
    FATE_KEEP,     /* verbatim beside it */
    FATE_REPLACED, /* set aside: a newer one has its UID */
    FATE_REPEATED, /* another with the same content stays */
    FATE_LEAVE,    /* where it is: it cannot be read */
} pack_fate;

/* An instance of the spool, or a slice of an old file. */
typedef struct pack_candidate {
    char sop_instance_uid[UL_UID_SIZE];
    bool in_spool;
    uint64_t number, nbytes; /* of the spool file */
    uint32_t old, frame;     /* else: which file, and where in it */
    int64_t mtime_ns;
    pack_slice slice;
    uint64_t content; /* pack_same.h; 0: it cannot be parsed */
    pack_fate fate;
    char why[120]; /* it is kept */
} pack_candidate;

/* A .dcbs file of this series that we made before. */
typedef struct pack_old {
    char name[96]; /* "<study>/<file>" */
    dcb_series *series;
} pack_old;

typedef struct pack_job {
    scp_ingest *ingest;
    char study[PACK_NAME_SIZE], series[PACK_NAME_SIZE]; /* hashes of the UIDs: names on the disk */
    char study_uid[UL_UID_SIZE], series_uid[UL_UID_SIZE];
    ingest_spooled *files;
    size_t nfiles;
    pack_old *olds;
    uint32_t nolds;
    pack_candidate *candidates;
    size_t ncandidates;
    ingest_switch changes;
    int64_t latest_ns;   /* the new file's time is this at the latest */
    uint64_t file_bytes; /* of the new file; 0: there is none */
    uint64_t npacked, nkept, nreplaced, source_bytes, kept_bytes; /* of the spool's */
    scp_error error;
} pack_job;

bool ingest__stopping(scp_ingest *ingest);

/* ---- ingest_pack_read.c ---- */

/* An instance of the spool: in its file, or in memory as the journal has it. */
typedef struct pack_source {
    scp_ingest *ingest;
    char path[INGEST_PATH_SIZE];
    uint8_t *buffer; /* NULL: the file has it */
    size_t nbytes;   /* in the buffer */
    int64_t mtime_ns;
} pack_source;

/* Finds it; false: the journal does not hold what was written, or memory ran out. Close it in any
   case. Whether a file is whole is not looked at. */
bool ingest__spooled_open(pack_source *out, scp_ingest *ingest, uint64_t number);
/* Is it what was written? The time is known after this. */
bool ingest__spooled_check(pack_source *source);
part10_result ingest__spooled_read(part10_file *out, const pack_source *source, scp_error *error);
/* The source must outlive the series. */
dcb_status ingest__spooled_series(dcb_series **out, const pack_source *source);
void ingest__spooled_close(pack_source *source);

/* ---- ingest_pack_plan.c ---- */

/* Finds and opens the old files, reads the candidates, decides on all but what the writer refuses.
   0 or -1 with the job's error. */
int ingest__pack_plan(pack_job *job);
void ingest__pack_free(pack_job *job);

/* ---- ingest_pack_write.c ---- */

/* Writes, checks and stages what is to come, and lists the changes. 0 or -1. */
int ingest__pack_write(pack_job *job);

/* ---- ingest_packer.c ---- */

int ingest__packer_start(scp_ingest *ingest, scp_error *error);
void ingest__packer_stop(scp_ingest *ingest);

#endif
