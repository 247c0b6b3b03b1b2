/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_sqlite.h - what the files of the SQLite backend share: index_sqlite.c (opening, the pool of
 * read connections), index_sqlite_write.c with _op.c and _entities.c, index_sqlite_read.c.
 *
 * Invariant: the entity rows (patient, study, series) agree with the file, record and instance rows
 * in all that is committed.
 */
#ifndef INDEX_SQLITE_H
#define INDEX_SQLITE_H

#include "index_backend.h"
#include "index_record.h"

#include <pthread.h>
#include <stdarg.h>
#include <sqlite3.h>

#define WRITE_STATEMENTS_MAX 48
#define READ_STATEMENTS_MAX  12

/* A query's statement, kept for the next query of the same shape. */
typedef struct sqlite_query {
    uint32_t shape;
    uint64_t last_used;
    sqlite3_stmt *statement;
} sqlite_query;

/* A read connection; belongs to one cursor at a time. */
typedef struct sqlite_reader {
    struct sqlite_reader *next; /* in the idle list */
    sqlite3 *db;
    sqlite3_stmt *level_record[3], *first_instance[3];
    uint64_t clock;
    sqlite_query queries[READ_STATEMENTS_MAX];
} sqlite_reader;

/* A set of row ids; small. */
typedef struct sqlite_id_set {
    int64_t *ids;
    uint32_t n, capacity;
} sqlite_id_set;

typedef struct sqlite_index {
    scp_index base;
    char *path; /* of the database */
    int lock_fd;

    /* The writer's thread alone. */
    sqlite3 *writer;
    sqlite3_stmt *write_statements[WRITE_STATEMENTS_MAX];
    bool batching;
    uint32_t nbatched;
    int64_t batch_start_ms;
    sqlite_id_set series, studies, patients; /* to be brought up to date before the commit */

    pthread_mutex_t readers_lock; /* idle, nidle */
    sqlite_reader *idle;
    uint32_t nidle;
} sqlite_index;

/* -1 with the connection's error; what: "read", "write". */
int sqlite_index_fail(const sqlite_index *index, sqlite3 *db, const char *what, scp_error *error);

/* Binds the parameters from ?1 on: 'i' int64_t, 't' text or NULL, 'b' blob and size_t, 'n' NULL.
   Text and blobs stay the caller's until the statement is reset. */
int sqlite_bind(sqlite3_stmt *statement, const char *types, ...);
int sqlite_vbind(sqlite3_stmt *statement, const char *types, va_list arguments);

int sqlite_reader_take(sqlite_reader **out, sqlite_index *index, scp_error *error);
/* The reader's statements must be reset. */
void sqlite_reader_give_back(sqlite_index *index, sqlite_reader *reader);

/* index_sqlite_op.c */
void sqlite_begin_batch(scp_index *index);
int sqlite_end_batch(scp_index *index, scp_error *error);

/* index_sqlite_write.c */
int sqlite_switch_files(scp_index *index, const index_entry *entries, uint32_t nentries,
                        const char *const *gone, uint32_t ngone, scp_error *error);
int sqlite_has_file(scp_index *index, const char *path, const file_stamp *stamp, bool *known,
                    bool *bad, scp_error *error);
int sqlite_put_file(scp_index *index, const char *path, const file_stamp *stamp,
                    const index_record *record, uint32_t *nduplicates, scp_error *error);
int sqlite_put_bad_file(scp_index *index, const char *path, const file_stamp *stamp,
                        const char *reason, bool *is_news, scp_error *error);
int sqlite_remove_file(scp_index *index, const char *path, bool *removed, scp_error *error);
int sqlite_remove_files(scp_index *index, const char *folder,
                        bool (*keep)(void *context, const char *path), void *context,
                        uint32_t *nremoved, scp_error *error);

/* index_sqlite_read.c */
int sqlite_get_totals(scp_index *index, index_totals *totals, scp_error *error);
int sqlite_find(index_cursor **out, scp_index *index, query_level level, const index_filter *filter,
                scp_error *error);
int sqlite_find_instances(index_cursor **out, scp_index *index, const index_filter *filter,
                          scp_error *error);
int sqlite_cursor_next(index_cursor *cursor, const dcb_dataset **record, scp_error *error);
uint64_t sqlite_cursor_varying(const index_cursor *cursor);
int sqlite_cursor_instance(index_cursor *cursor, index_instance *instance, scp_error *error);
int sqlite_cursor_next_instance(index_cursor *cursor, index_instance *instance, scp_error *error);
void sqlite_cursor_close(index_cursor *cursor);

#endif
