/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_sqlite.c - the SQLite backend: the state folder and its lock, opening the database, and the
 * connections.
 *
 * Invariant: the index is derived from the files, so what cannot be used of it is moved aside and
 * made anew, never repaired. One connection writes; readers have theirs from a pool (WAL: neither
 * waits for the other).
 */
#include "index_schema.h"
#include "index_sqlite.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATABASE_NAME    "index.sqlite"
#define IDLE_READERS_MAX 8

int sqlite_index_fail(const sqlite_index *index, sqlite3 *db, const char *what, scp_error *error)
{
    int code = db != NULL ? sqlite3_errcode(db) : SQLITE_NOMEM;
    const char *advice = "";
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        advice = "; stop the node and delete this file: it will be made anew";
    else if (code == SQLITE_FULL)
        advice = "; make room on its disk";
    return scp_fail(error, "cannot %s the index %s: %s%s", what, index->path,
                    db != NULL ? sqlite3_errmsg(db) : "out of memory", advice);
}

int sqlite_vbind(sqlite3_stmt *statement, const char *types, va_list arguments)
{
    int rc = SQLITE_OK;
    for (int i = 0; types[i] != '\0' && rc == SQLITE_OK; i++) {
        if (types[i] == 'i') {
            rc = sqlite3_bind_int64(statement, i + 1, va_arg(arguments, int64_t));
        } else if (types[i] == 't') {
            rc = sqlite3_bind_text(statement, i + 1, va_arg(arguments, const char *), -1,
                                   SQLITE_STATIC);
        } else if (types[i] == 'b') {
            const void *bytes = va_arg(arguments, const void *);
            size_t nbytes = va_arg(arguments, size_t);
            rc = sqlite3_bind_blob64(statement, i + 1, bytes, nbytes, SQLITE_STATIC);
        } else {
            rc = sqlite3_bind_null(statement, i + 1);
        }
    }
    return rc;
}

int sqlite_bind(sqlite3_stmt *statement, const char *types, ...)
{
    va_list arguments;
    va_start(arguments, types);
    int rc = sqlite_vbind(statement, types, arguments);
    va_end(arguments);
    return rc;
}

/* ---- Connections ---- */

static int open_connection(sqlite3 **out, const char *path, int flags, const char *settings)
{
    int rc = sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_extended_result_codes(*out, 0);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(*out, 5000);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(*out, settings, NULL, NULL, NULL);
    return rc;
}

static void close_reader(sqlite_reader *reader)
{
    for (int i = 0; i < 3; i++) {
        sqlite3_finalize(reader->level_record[i]);
        sqlite3_finalize(reader->first_instance[i]);
    }
    for (int i = 0; i < READ_STATEMENTS_MAX; i++)
        sqlite3_finalize(reader->queries[i].statement);
    sqlite3_close(reader->db);
    free(reader);
}

int sqlite_reader_take(sqlite_reader **out, sqlite_index *index, scp_error *error)
{
    pthread_mutex_lock(&index->readers_lock);
    sqlite_reader *reader = index->idle;
    if (reader != NULL) {
        index->idle = reader->next;
        index->nidle--;
    }
    pthread_mutex_unlock(&index->readers_lock);
    if (reader == NULL) {
        reader = calloc(1, sizeof *reader);
        if (reader == NULL)
            return sqlite_index_fail(index, NULL, "read", error);
        if (open_connection(&reader->db, index->path, SQLITE_OPEN_READWRITE,
                            "PRAGMA query_only = 1; PRAGMA cache_size = -1024") != SQLITE_OK) {
            int result = sqlite_index_fail(index, reader->db, "open", error);
            close_reader(reader);
            return result;
        }
    }
    *out = reader;
    return 0;
}

void sqlite_reader_give_back(sqlite_index *index, sqlite_reader *reader)
{
    pthread_mutex_lock(&index->readers_lock);
    bool keep = index->nidle < IDLE_READERS_MAX;
    if (keep) {
        reader->next = index->idle;
        index->idle = reader;
        index->nidle++;
    }
    pthread_mutex_unlock(&index->readers_lock);
    if (!keep)
        close_reader(reader);
}

/* ---- The state folder ---- */

static int take_lock(sqlite_index *index, const char *state_dir, scp_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/lock", state_dir);
    index->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (index->lock_fd < 0)
        return scp_fail(error,
                        "cannot write in the state folder %s: %s; make it writable or name another "
                        "one with --state",
                        state_dir, strerror(errno));
    if (flock(index->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return scp_fail(error,
                        "the state folder %s is in use by another dcbscp; give each its own with "
                        "--state",
                        state_dir);
    return scp_fail(error, "cannot lock the state folder %s: %s; it must be on a local disk",
                    state_dir, strerror(errno));
}

static int make_state_dir(const char *state_dir, scp_error *error)
{
    struct stat st;
    if (stat(state_dir, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return 0;
        return scp_fail(error, "the state folder %s is not a folder", state_dir);
    }
    /* Only the owner: the index holds patients' names. */
    if (mkdir(state_dir, 0700) != 0 && errno != EEXIST)
        return scp_fail(error,
                        "cannot make the state folder %s: %s; make it or name another one with "
                        "--state",
                        state_dir, strerror(errno));
    return 0;
}

/* ---- Opening ---- */

typedef enum database_state {
    DATABASE_USABLE,
    DATABASE_EMPTY,
    DATABASE_OTHER,
    DATABASE_DAMAGED
} database_state;

static bool is_damage(int rc)
{
    return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB;
}

/* One value of a pragma or expression as text; "" where there is none. */
static int query_text(sqlite3 *db, const char *sql, char *buffer, size_t size)
{
    sqlite3_stmt *statement = NULL;
    buffer[0] = '\0';
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        const unsigned char *text = sqlite3_column_text(statement, 0);
        snprintf(buffer, size, "%s", text != NULL ? (const char *)text : "");
        rc = SQLITE_OK;
    } else if (rc == SQLITE_DONE) {
        rc = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return rc;
}

/* Looks at what is there. reason tells what is wrong with it. */
static int inspect_database(database_state *state, sqlite3 *db, char *reason, size_t size)
{
    char version[16], check[200], expected[16];
    int rc = query_text(db, "PRAGMA user_version", version, sizeof version);
    if (rc == SQLITE_OK)
        rc = query_text(db, "PRAGMA quick_check(1)", check, sizeof check);
    if (is_damage(rc) || (rc == SQLITE_OK && strcmp(check, "ok") != 0)) {
        *state = DATABASE_DAMAGED;
        snprintf(reason, size, "%s", is_damage(rc) ? sqlite3_errmsg(db) : check);
        return SQLITE_OK;
    }
    if (rc != SQLITE_OK)
        return rc;
    snprintf(expected, sizeof expected, "%d", INDEX_SCHEMA_VERSION);
    char tables[16];
    rc = query_text(db, "SELECT count(*) FROM sqlite_master", tables, sizeof tables);
    if (strcmp(version, expected) == 0)
        *state = DATABASE_USABLE;
    else if (strcmp(tables, "0") == 0)
        *state = DATABASE_EMPTY;
    else
        *state = DATABASE_OTHER;
    snprintf(reason, size, "it has version %s, this program uses %s", version, expected);
    return rc;
}

static int move_aside(const sqlite_index *index, scp_error *error)
{
    char other[4096];
    snprintf(other, sizeof other, "%s.old", index->path);
    if (rename(index->path, other) != 0)
        return scp_fail(error, "cannot move the unusable index %s aside: %s", index->path,
                        strerror(errno));
    static const char *const companions[] = {"-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof companions / sizeof companions[0]; i++) {
        snprintf(other, sizeof other, "%s%s", index->path, companions[i]);
        if (unlink(other) != 0 && errno != ENOENT)
            return scp_fail(error, "cannot remove %s: %s", other, strerror(errno));
    }
    return 0;
}

static int create_schema(sqlite3 *db)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d; COMMIT", INDEX_SCHEMA_VERSION);
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE; " INDEX_SCHEMA_SQL, NULL, NULL, NULL);
    return rc == SQLITE_OK ? sqlite3_exec(db, sql, NULL, NULL, NULL) : rc;
}

/* SQLite gives the database's mode to its companions too. */
static int create_database_file(const sqlite_index *index, scp_error *error)
{
    int fd = open(index->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return scp_fail(error, "cannot write the index %s: %s", index->path, strerror(errno));
    close(fd);
    return 0;
}

static int open_writer(sqlite_index *index, scp_error *error)
{
    static const char settings[] =
        "PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;"
        "PRAGMA cache_size = -16384; PRAGMA journal_size_limit = 16777216";
    for (int attempt = 0; attempt < 2; attempt++) {
        if (create_database_file(index, error) != 0)
            return -1;
        database_state state = DATABASE_DAMAGED;
        char reason[200] = "";
        int rc = open_connection(&index->writer, index->path, SQLITE_OPEN_READWRITE, settings);
        if (rc == SQLITE_OK)
            rc = inspect_database(&state, index->writer, reason, sizeof reason);
        else if (is_damage(rc))
            snprintf(reason, sizeof reason, "%s", sqlite3_errmsg(index->writer)), rc = SQLITE_OK;
        if (rc == SQLITE_OK && state <= DATABASE_EMPTY)
            rc = sqlite3_exec(index->writer, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (rc == SQLITE_OK && state == DATABASE_EMPTY)
            rc = create_schema(index->writer);
        if (rc != SQLITE_OK)
            return sqlite_index_fail(index, index->writer, "open", error);
        if (state <= DATABASE_EMPTY)
            return 0;
        log_event(state == DATABASE_OTHER ? LOG_INFO : LOG_WARN, "index.rebuilt",
                  LOG_T("path", index->path), LOG_T("reason", reason));
        sqlite3_close(index->writer);
        index->writer = NULL;
        if (move_aside(index, error) != 0)
            return -1;
    }
    return scp_fail(error, "cannot make the index %s anew", index->path);
}

static void sqlite_close(scp_index *base)
{
    sqlite_index *index = (sqlite_index *)base;
    while (index->idle != NULL) {
        sqlite_reader *reader = index->idle;
        index->idle = reader->next;
        close_reader(reader);
    }
    for (int i = 0; i < WRITE_STATEMENTS_MAX; i++)
        sqlite3_finalize(index->write_statements[i]);
    sqlite3_close(index->writer);
    if (index->lock_fd >= 0)
        close(index->lock_fd);
    pthread_mutex_destroy(&index->readers_lock);
    free(index->series.ids);
    free(index->studies.ids);
    free(index->patients.ids);
    free(index->path);
    free(index);
}

static const index_backend sqlite_backend = {
    .name = "sqlite",
    .close = sqlite_close,
    .get_totals = sqlite_get_totals,
    .has_file = sqlite_has_file,
    .put_file = sqlite_put_file,
    .switch_files = sqlite_switch_files,
    .put_bad_file = sqlite_put_bad_file,
    .remove_file = sqlite_remove_file,
    .remove_files = sqlite_remove_files,
    .begin_batch = sqlite_begin_batch,
    .end_batch = sqlite_end_batch,
    .find = sqlite_find,
    .find_instances = sqlite_find_instances,
    .cursor_next = sqlite_cursor_next,
    .cursor_varying = sqlite_cursor_varying,
    .cursor_instance = sqlite_cursor_instance,
    .cursor_next_instance = sqlite_cursor_next_instance,
    .cursor_close = sqlite_cursor_close,
};

static sqlite_index *create_index(const char *state_dir, scp_error *error)
{
    sqlite_index *index = calloc(1, sizeof *index);
    if (index == NULL) {
        scp_fail(error, "out of memory for the index");
        return NULL;
    }
    index->base.backend = &sqlite_backend;
    index->lock_fd = -1;
    pthread_mutex_init(&index->readers_lock, NULL);
    if (asprintf(&index->path, "%s/" DATABASE_NAME, state_dir) >= 0)
        return index;
    index->path = NULL;
    sqlite_close(&index->base);
    scp_fail(error, "out of memory for the index");
    return NULL;
}

int index_sqlite_open(scp_index **out, const char *state_dir, bool anew, scp_error *error)
{
    *out = NULL;
    if (make_state_dir(state_dir, error) != 0)
        return -1;
    sqlite_index *index = create_index(state_dir, error);
    if (index == NULL)
        return -1;
    if (take_lock(index, state_dir, error) != 0 ||
        (anew && access(index->path, F_OK) == 0 && move_aside(index, error) != 0) ||
        open_writer(index, error) != 0) {
        sqlite_close(&index->base);
        return -1;
    }
    *out = &index->base;
    return 0;
}

/* Without lock and writer: a reader of WAL sees a whole state whatever others do. */
int index_sqlite_open_reading(scp_index **out, const char *state_dir, scp_error *error)
{
    *out = NULL;
    sqlite_index *index = create_index(state_dir, error);
    sqlite_reader *reader = NULL;
    char version[16] = "";
    int result = index != NULL ? 0 : -1;
    if (result == 0 && access(index->path, R_OK) != 0)
        result = scp_fail(error, "cannot read the index %s: %s", index->path, strerror(errno));
    if (result == 0)
        result = sqlite_reader_take(&reader, index, error);
    if (result == 0 &&
        query_text(reader->db, "PRAGMA user_version", version, sizeof version) != SQLITE_OK)
        result = sqlite_index_fail(index, reader->db, "read", error);
    else if (result == 0 && strtol(version, NULL, 10) != INDEX_SCHEMA_VERSION)
        result = scp_fail(error,
                          "the index %s has version %s, this program uses %d: start its dcbscp, or "
                          "dcbtool reindex",
                          index->path, version, INDEX_SCHEMA_VERSION);
    if (reader != NULL)
        sqlite_reader_give_back(index, reader);
    if (result != 0 && index != NULL)
        sqlite_close(&index->base);
    else if (result == 0)
        *out = &index->base;
    return result;
}
