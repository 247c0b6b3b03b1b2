/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_switch.h - one packing's change of files, as a whole: new files come to their places,
 * spool files and old .dcbs files go, the index follows.
 *
 * Invariant: from ingest__switch_write on the change happens, whatever comes: it is done, or done
 * at the next start. Doing it twice is doing it once. Threads: the packer's, or the opener's.
 */
#ifndef INGEST_SWITCH_H
#define INGEST_SWITCH_H

#include "ingest_private.h"

/* In the spool's folder: where new files wait under their names. */
#define INGEST_STAGING "packing"

typedef struct ingest_place_file {
    char staged[96]; /* in INGEST_STAGING */
    char final[96];  /* in the store's folder: "<study>/<name>" */
} ingest_place_file;

typedef struct ingest_switch {
    uint64_t id;
    ingest_place_file *places;
    uint64_t *drops;     /* numbers of spool files */
    char (*removes)[96]; /* old files, as `final` */
    size_t nplaces, ndrops, nremoves;
    size_t places_capacity, drops_capacity, removes_capacity;
} ingest_switch;

/* False: out of memory. */
bool ingest__switch_place(ingest_switch *s, const char *staged, const char *final);
bool ingest__switch_drop(ingest_switch *s, uint64_t number);
bool ingest__switch_remove(ingest_switch *s, const char *final);
void ingest__switch_clear(ingest_switch *s);

/* Writes it down, durably. Until then nothing has happened. */
int ingest__switch_write(scp_ingest *ingest, const ingest_switch *s, scp_error *error);
/* Does it. Where that fails it is to be tried again. */
int ingest__switch_apply(scp_ingest *ingest, const ingest_switch *s, scp_error *error);
/* It is done: what was written down goes when the journal holds nothing of what was dropped. */
void ingest__switch_retire(scp_ingest *ingest, uint64_t id);

/* At the start: does again what was written down. numbers (free() it) are those that were dropped,
   ascending: the journal must not bring them back. newest: the highest number that was in use. */
int ingest__switch_redo(scp_ingest *ingest, uint64_t **numbers, size_t *n, uint64_t *newest,
                        scp_error *error);
/* The journal is empty: forgets what was written down, and removes what waits in INGEST_STAGING. */
int ingest__switch_forget(scp_ingest *ingest, scp_error *error);

/* "<store>/<final>" and "<spool>/packing/<staged>". */
void ingest__final_path(char path[INGEST_PATH_SIZE], const scp_ingest *ingest, const char *final);
void ingest__staged_path(char path[INGEST_PATH_SIZE], const scp_ingest *ingest, const char *staged);
int ingest__sync_folder(const char *path); /* 0 or errno */

#endif
