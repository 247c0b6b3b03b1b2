/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_private.h - what the files of the ingest share: ingest.c (life, replay), ingest_instance.c
 * (one instance from its first byte to its answer), ingest_file.c (files of the spool),
 * ingest_pending.c (duplicates, and the thread that writes the index).
 */
#ifndef INGEST_PRIVATE_H
#define INGEST_PRIVATE_H

#include "ingest.h"

#include "index_record.h"
#include "ingest_journal.h"

#include <pthread.h>
#include <stdatomic.h>

#define INGEST_PATH_SIZE 4096

/* An instance between its arrival and the commit that makes it known to the index. */
typedef struct ingest_pending {
    struct ingest_pending *next;
    char sop_instance_uid[UL_UID_SIZE];
    bool acknowledged; /* durable, for the index to take; else still being checked or written */
    char *path;        /* from here on where acknowledged */
    file_stamp stamp;
    index_record *record;
} ingest_pending;

struct scp_ingest {
    const scp_options *options;
    scp_index *index;
    series_pool *series;
    char *folder; /* of the spool */
    int folder_fd, lock_fd;
    ingest_journal *journal; /* NULL: durability is async */
    atomic_uint_fast64_t next_number;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    ingest_pending *pending; /* in the order of arrival */
    uint64_t nacknowledged, nindexed;
    uint32_t nwaiting; /* callers within ingest_settle */
    bool stopping, has_thread;
    pthread_t thread;
};

/* ---- ingest_file.c ---- */

/* The preamble of a spool file tells whether the file is whole (INGEST.md). */
void ingest__seal(uint8_t preamble[128], uint64_t nbytes, uint64_t hash);
/* "<folder>/000001/000001234<suffix>" */
void ingest__path(char path[INGEST_PATH_SIZE], const scp_ingest *ingest, uint64_t number,
                  const char *suffix);
/* Makes the folder that the number's file goes into; 0 or errno. */
int ingest__make_folder(const scp_ingest *ingest, uint64_t number);
/* A whole file; *stamp is its. 0 or errno, and then nothing of it is left. */
int ingest__write_file(const scp_ingest *ingest, const char *path, const uint8_t *bytes,
                       size_t nbytes, file_stamp *stamp);
/* Renames a finished .part and makes file and name durable where that is asked for. */
int ingest__settle_file(const scp_ingest *ingest, int fd, const char *part, const char *path,
                        file_stamp *stamp);
typedef enum ingest_file_state { INGEST_WHOLE, INGEST_TORN, INGEST_UNREADABLE } ingest_file_state;
/* Checks the file against its preamble; the stamp too. */
ingest_file_state ingest__check_file(const char *path, file_stamp *stamp);
/* False where less than the reserve, beside nbytes, is free. */
bool ingest__has_room(const scp_ingest *ingest, uint64_t nbytes);

/* ---- ingest_pending.c ---- */

int ingest__start_indexing(scp_ingest *ingest, scp_error *error);
/* All that was acknowledged is indexed, then the thread ends. */
void ingest__stop_indexing(scp_ingest *ingest);

/* Enters the instance among the pending ones; waits while another with its UID is being written.
   NULL: out of memory. */
ingest_pending *ingest__enter(scp_ingest *ingest, const char *sop_instance_uid);
/* Takes it out again: it was not kept. */
void ingest__leave(scp_ingest *ingest, ingest_pending *entry);
/* It is durable: the index thread has it from now on. Takes path and record over. */
void ingest__acknowledge(scp_ingest *ingest, ingest_pending *entry, char *path,
                         const file_stamp *stamp, index_record *record);

/* Where an instance with this UID is. */
typedef struct ingest_place {
    char *path; /* free() it; NULL: nowhere */
    uint32_t frame;
    bool same_series;
} ingest_place;
/* Looks among the acknowledged and in the index; 0 or -1. */
int ingest__find(ingest_place *out, scp_ingest *ingest, const char *sop_instance_uid,
                 const char *series_uid, scp_error *error);

#endif
