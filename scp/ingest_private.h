/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_private.h - what the files of the ingest share: ingest.c (life, replay), ingest_instance.c
 * (one instance from its first byte to its answer), ingest_file.c (files of the spool),
 * ingest_pending.c (duplicates, and the thread that writes files and index), ingest_unwritten.c
 * (what stays in the journal), ingest_backlog.c (what waits to be packed), ingest_packer.c (the
 * thread that packs).
 */
#ifndef INGEST_PRIVATE_H
#define INGEST_PRIVATE_H

#include "ingest.h"

#include "index_record.h"
#include "ingest_journal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define INGEST_PATH_SIZE 4096
#define PREAMBLE         JOURNAL_SEAL_NBYTES /* of a Part 10 file, where the seal stands */

/* An instance in the spool. */
typedef struct ingest_spooled {
    uint64_t number, nbytes;
} ingest_spooled;

/* What the spool has of a series. */
typedef struct ingest_series {
    struct ingest_series *next; /* in its bucket */
    char study_uid[UL_UID_SIZE], series_uid[UL_UID_SIZE];
    ingest_spooled *files; /* in the order of arrival */
    size_t nfiles, capacity;
    int64_t last_arrival_ms;
    int64_t not_before_ms; /* after a failure */
    uint32_t nfailures;    /* in a row */
    bool wanted;           /* at once: somebody asked */
} ingest_series;

/* Packings that are done, whose notes must stay while the journal holds what they dropped. */
typedef struct ingest_retired {
    struct {
        uint64_t id, mark; /* journal_mark */
    } * notes;
    size_t n, capacity;
} ingest_retired;

#define BUFFERS_KEPT    16
#define BACKLOG_BUCKETS 1024u

/* The series that wait to be packed. */
typedef struct ingest_backlog {
    pthread_mutex_t lock;   /* all below */
    pthread_cond_t changed; /* by the monotonic clock */
    ingest_series *buckets[BACKLOG_BUCKETS];
    ingest_stats stats;
    bool stopping, has_thread, busy; /* busy: a series is being packed */
    pthread_t thread;                /* the packer */
} ingest_backlog;

/* An instance between its arrival and the commit that makes it known to the index. Until it is
   acknowledged, and after that the index thread, who brought it owns all but the UID. */
typedef struct ingest_pending {
    struct ingest_pending *next;
    char sop_instance_uid[UL_UID_SIZE];
    bool acknowledged; /* durable: the index thread has it; else being checked or written */
    bool written;      /* the file is there, and `stamp` is its */
    uint64_t order;    /* among the acknowledged */
    uint64_t number, nbytes;
    char *path;
    file_stamp stamp;
    index_record *record;
    int64_t arrived_ns;  /* 0: not yet; under the lock until it is acknowledged */
    uint8_t *bytes;      /* a journal_buffer: the file, which is to be written at once; else NULL */
    journal_place place; /* while it has bytes */
} ingest_pending;

/* Instances that stay in the journal, by number and in the order of arrival. */
typedef struct ingest_unwritten ingest_unwritten;
#define UNWRITTEN_BUCKETS 4096u
typedef struct ingest_unwritten_table {
    pthread_mutex_t lock;   /* all below */
    pthread_cond_t changed; /* a claim ended */
    ingest_unwritten *buckets[UNWRITTEN_BUCKETS];
    ingest_unwritten *oldest, *newest;
    int64_t wait_ms; /* after so long the file is written, where nobody asked for it */
} ingest_unwritten_table;

struct scp_ingest {
    const scp_options *options;
    scp_index *index;
    series_pool *series;
    char *folder; /* of the spool */
    int folder_fd, lock_fd;
    ingest_journal *journal; /* NULL: durability is async */
    atomic_uint_fast64_t next_number;
    atomic_int_least64_t last_arrival_ns;
    atomic_uint_fast64_t numbers_end; /* those below may be in use (ingest_number.c) */
    pthread_mutex_t numbers_lock;

    pthread_mutex_t buffers_lock;     /* the three below */
    uint8_t *buffers[BUFFERS_KEPT];   /* journal_buffers that nobody uses: their memory is there */
    uint32_t nbuffers, nbuffers_made; /* these; and those that are in use, too */

    ingest_unwritten_table unwritten;
    series_maker maker; /* makes their files for who wants to open one */
    ingest_backlog backlog;
    ingest_retired retired; /* the packer's */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    ingest_pending *pending; /* in the order of arrival */
    uint64_t nacknowledged, nindexed;
    uint64_t nheld;        /* instances in memory, until their files are written */
    uint64_t journal_only; /* bytes of these, and of those that stay in the journal */
    uint32_t nwaiting;     /* threads that wait for files or the index */
    bool failing;          /* files or index cannot be written: the last try failed */
    bool stopping, has_thread;
    int64_t stopping_ms; /* since when */
    pthread_t thread;
};

/* ---- ingest_file.c ---- */

/* The preamble of a spool file tells whether the file is whole (INGEST.md). */
void ingest__seal(uint8_t preamble[PREAMBLE], uint64_t nbytes, uint64_t hash);
/* "<folder>/000001/000001234<suffix>" */
void ingest__path(char path[INGEST_PATH_SIZE], const scp_ingest *ingest, uint64_t number,
                  const char *suffix);
/* Makes the folder that the number's file goes into; 0 or errno. */
int ingest__make_folder(const scp_ingest *ingest, uint64_t number);
file_stamp ingest__stamp_of(const struct stat *st);
/* To where the file stands. 0 or errno. */
int ingest__write_all(int fd, const uint8_t *bytes, size_t nbytes);
typedef struct ingest_content {
    const uint8_t *bytes;
    size_t nbytes;
    int64_t arrived_ns; /* the file's time; 0: now, for what is no instance */
    bool cached;        /* it is read soon: through the system's cache */
} ingest_content;
/* A whole file; *stamp is its. 0 or errno, and then nothing of it is left. */
int ingest__write_file(const scp_ingest *ingest, const char *path, const ingest_content *content,
                       file_stamp *stamp);
/* The same of an instance, under its number, whose folder is made where it is not there. */
int ingest__write_spooled(const scp_ingest *ingest, uint64_t number, const char *suffix,
                          const ingest_content *content, file_stamp *stamp);
/* A small file of the spool's folder: 0 when it is durable under its name; else errno, and whether
   it is there is not known. */
int ingest__write_durably(const scp_ingest *ingest, const char *name, const char *text,
                          size_t nbytes);
/* Sets the file's time; 0 or errno. */
int ingest__set_time(const char *path, int64_t arrived_ns);
/* Gives a finished .part its time and its name, and makes both durable where that is asked for. */
int ingest__settle_file(const scp_ingest *ingest, int fd, const char *part, const char *path,
                        int64_t arrived_ns, file_stamp *stamp);
typedef enum ingest_file_state { INGEST_WHOLE, INGEST_TORN, INGEST_UNREADABLE } ingest_file_state;
/* Checks the file against its preamble; the stamp too. */
ingest_file_state ingest__check_file(const char *path, file_stamp *stamp);
/* Does the file begin with this preamble? */
bool ingest__has_seal(const char *path, const uint8_t preamble[PREAMBLE]);
/* The instance will be read soon: so that nobody waits for the disk then. */
void ingest__read_ahead(scp_ingest *ingest, uint64_t number);
/* False where less than the reserve, beside nbytes, is free. */
bool ingest__disk_has_room(const scp_ingest *ingest, uint64_t nbytes);
/* The time of one that has arrived (ns since 1970): later than that of all that were seen. */
int64_t ingest__arrival_time(scp_ingest *ingest);
/* What comes from now on is newer than that, whatever the clock says. */
void ingest__see_time(scp_ingest *ingest, int64_t arrived_ns);

/* A journal_buffer; NULL: out of memory. */
uint8_t *ingest__take_buffer(scp_ingest *ingest);
void ingest__give_buffer(scp_ingest *ingest, uint8_t *buffer);

/* ---- ingest_number.c ---- */

/* After all numbers were seen that are in use: none of those that ever were is given again. */
int ingest__numbers_open(scp_ingest *ingest, scp_error *error);
void ingest__numbers_close(scp_ingest *ingest);
/* 0: the disk does not take what is to be written down first. */
uint64_t ingest__next_number(scp_ingest *ingest);

/* ---- ingest_pending.c ---- */

int ingest__start_indexing(scp_ingest *ingest, scp_error *error);
/* All that was acknowledged is written and indexed, then the thread ends. Where that fails, the
   journal or the next start has it. */
void ingest__stop_indexing(scp_ingest *ingest);

/* Enters the instance among the pending ones; waits until another with its UID has its file, or is
   gone. NULL: out of memory, or that other's file cannot be written now. */
ingest_pending *ingest__enter(scp_ingest *ingest, const char *sop_instance_uid);
/* Takes it out again: it was not kept. */
void ingest__leave(scp_ingest *ingest, ingest_pending *entry);
/* Room for a file that will be written after its answer: waits while too many others wait for that.
   0, or an errno value where files cannot be written now. */
int ingest__reserve(scp_ingest *ingest, uint64_t nbytes);
/* False where there would not be room for nbytes beside all that waits for its file. */
bool ingest__has_room(scp_ingest *ingest, uint64_t nbytes);
/* Gives the room back: the instance was not kept. */
void ingest__unreserve(scp_ingest *ingest, uint64_t nbytes);
/* The instance stays in the journal: it needs room on the disk, and none in memory. */
void ingest__reserve_disk_only(scp_ingest *ingest);
/* The file of such a one was written, or will not be. */
void ingest__release_room(scp_ingest *ingest, uint64_t nbytes);
/* Gives the entry its time, before it is written. */
int64_t ingest__arrive(scp_ingest *ingest, ingest_pending *entry);
/* A time that is later than that of no instance which is on its way now, or still to come. */
int64_t ingest__time_before_pending(scp_ingest *ingest);
/* It is durable: the index thread has the entry from now on, and then the packer. */
void ingest__acknowledge(scp_ingest *ingest, ingest_pending *entry);

/* Where an instance with this UID is. */
typedef struct ingest_place {
    char *path; /* free() it; NULL: nowhere */
    uint32_t frame;
    bool same_series;
} ingest_place;
/* Looks among the acknowledged and in the index; 0 or -1. */
int ingest__find(ingest_place *out, scp_ingest *ingest, const char *sop_instance_uid,
                 const char *series_uid, scp_error *error);

/* ---- ingest_unwritten.c ---- */

void ingest__unwritten_init(ingest_unwritten_table *table);
/* What is in it stays in the journal. */
void ingest__unwritten_free(ingest_unwritten_table *table);
/* From now on the record is read at its place, which may_stay. False: out of memory. */
bool ingest__unwritten_add(scp_ingest *ingest, const journal_record *record,
                           const journal_place *place);
/* Reads its file's bytes into a buffer of JOURNAL_RECORD_MAX. 0, ENOENT where it does not stay in
   the journal (any more), or EIO: it is not what was written. */
int ingest__unwritten_read(scp_ingest *ingest, uint64_t number, uint8_t *buffer, size_t *nbytes,
                           int64_t *arrived_ns);
/* False where it does not stay in the journal. */
bool ingest__unwritten_read_ahead(scp_ingest *ingest, uint64_t number);
bool ingest__unwritten_has(scp_ingest *ingest, uint64_t number);
/* It was packed: its file will not be written. */
void ingest__unwritten_drop(scp_ingest *ingest, uint64_t number);
/* Writes its file, if it stays in the journal. 0 or errno. */
int ingest__make_file(scp_ingest *ingest, uint64_t number);
/* When the file of the oldest is to be written, by the steady clock; INT64_MAX: there is none. */
int64_t ingest__unwritten_due(scp_ingest *ingest);
int ingest__write_oldest(scp_ingest *ingest, scp_error *error);

/* ---- ingest_backlog.c ---- */

void ingest__backlog_init(ingest_backlog *backlog);
void ingest__backlog_free(ingest_backlog *backlog);
/* Where memory runs out the instance waits for the next start. */
void ingest__backlog_add(ingest_backlog *backlog, const char *study_uid, const char *series_uid,
                         const ingest_spooled *file);
/* The series whose turn it is, or NULL, and then *due_ms is when the next one's comes (INT64_MAX:
   none waits). after_ms: how long a series must be quiet; 0: until it is wanted. Called with the
   lock held, as the next. */
ingest_series *ingest__backlog_due(int64_t *due_ms, ingest_backlog *backlog, int64_t now_ms,
                                   int64_t after_ms);
/* The first n of its files are dealt with; frees the series where none is left. */
void ingest__backlog_take_out(ingest_backlog *backlog, ingest_series *series, size_t n);
/* Adds to the counters under the lock. */
void ingest__count(ingest_backlog *backlog, uint64_t *counter, uint64_t n);

#endif
