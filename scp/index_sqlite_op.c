/* SPDX-License-Identifier: Apache-2.0 */
/* index_sqlite_op.c - a write operation's statements, savepoint and batch. Writer's thread only. */
#include "index_sqlite_write.h"

#include "steady_clock.h"

#include <stdlib.h>
#include <time.h>

#define BATCH_WRITES_MAX 512
#define BATCH_MS_MAX     200

static const char *const statement_sql[WRITE_STATEMENTS] = {
#define SQLITE_WRITE_SQL(name, sql) sql,
    STATEMENT_MAP(SQLITE_WRITE_SQL)
#undef SQLITE_WRITE_SQL
};

/* ---- Statements ---- */

static sqlite3_stmt *start(write_op *op, sqlite_write_statement which, const char *types,
                           va_list arguments)
{
    if (op->rc != SQLITE_OK)
        return NULL;
    sqlite3_stmt **slot = &op->index->write_statements[which];
    if (*slot == NULL)
        op->rc = sqlite3_prepare_v3(op->index->writer, statement_sql[which], -1,
                                    SQLITE_PREPARE_PERSISTENT, slot, NULL);
    if (op->rc == SQLITE_OK)
        op->rc = sqlite_vbind(*slot, types, arguments);
    return op->rc == SQLITE_OK ? *slot : NULL;
}

sqlite3_stmt *write_start(write_op *op, sqlite_write_statement which, const char *types, ...)
{
    va_list arguments;
    va_start(arguments, types);
    sqlite3_stmt *statement = start(op, which, types, arguments);
    va_end(arguments);
    return statement;
}

bool write_next(write_op *op, sqlite3_stmt *statement)
{
    if (statement == NULL)
        return false;
    int rc = op->rc == SQLITE_OK ? sqlite3_step(statement) : SQLITE_DONE;
    if (rc == SQLITE_ROW)
        return true;
    if (rc != SQLITE_DONE)
        op->rc = rc;
    sqlite3_reset(statement);
    return false;
}

void write_run(write_op *op, sqlite_write_statement which, const char *types, ...)
{
    va_list arguments;
    va_start(arguments, types);
    write_next(op, start(op, which, types, arguments));
    va_end(arguments);
}

int64_t write_find_id(write_op *op, sqlite_write_statement which, const char *types, ...)
{
    va_list arguments;
    va_start(arguments, types);
    sqlite3_stmt *statement = start(op, which, types, arguments);
    va_end(arguments);
    int64_t id = 0;
    if (write_next(op, statement)) {
        id = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return id;
}

void write_touch(write_op *op, sqlite_id_set *set, int64_t id)
{
    for (uint32_t i = set->n; i > 0; i--) {
        if (set->ids[i - 1] == id)
            return;
    }
    if (set->n == set->capacity) {
        uint32_t capacity = set->capacity * 2 + 8;
        int64_t *ids = realloc(set->ids, capacity * sizeof *ids);
        if (ids == NULL) {
            op->rc = SQLITE_NOMEM;
            return;
        }
        set->ids = ids;
        set->capacity = capacity;
    }
    set->ids[set->n++] = id;
}

void write_touch_series(write_op *op, int64_t id)
{
    write_touch(op, &op->index->series, id);
}

/* ---- Operations and batches ---- */

static bool in_transaction(const sqlite_index *index)
{
    return sqlite3_get_autocommit(index->writer) == 0;
}

void sqlite_write_begin(write_op *op, sqlite_index *index)
{
    *op = (write_op){.index = index, .rc = SQLITE_OK};
    if (!in_transaction(index)) {
        write_run(op, DO_BEGIN, "");
        index->nbatched = 0;
        index->batch_start_ms = steady_clock_ms();
    }
    write_run(op, DO_SAVEPOINT, "");
}

static int fail_op(const write_op *op, scp_error *error)
{
    sqlite3 *db = op->rc == SQLITE_NOMEM ? NULL : op->index->writer;
    return sqlite_index_fail(op->index, db, "write", error);
}

/* Back to the last commit. */
static void roll_back(sqlite_index *index)
{
    write_op op = {.index = index, .rc = SQLITE_OK};
    index->series.n = index->studies.n = index->patients.n = 0;
    if (in_transaction(index))
        write_run(&op, DO_ROLLBACK, "");
}

/* Back to before the operation. What failed stays the answer, whatever undoing it gives. */
static int undo(write_op *op, scp_error *error)
{
    int result = fail_op(op, error);
    op->rc = SQLITE_OK;
    if (in_transaction(op->index)) { /* SQLite itself rolls back for a full disk */
        write_run(op, DO_ROLLBACK_TO, "");
        write_run(op, DO_RELEASE, "");
    }
    if (op->rc != SQLITE_OK || !in_transaction(op->index))
        roll_back(op->index);
    return result;
}

static int commit(sqlite_index *index, scp_error *error)
{
    write_op op = {.index = index, .rc = SQLITE_OK};
    write_refresh_entities(&op);
    write_run(&op, DO_COMMIT, "");
    if (op.rc == SQLITE_OK)
        return 0;
    int result = fail_op(&op, error);
    roll_back(index);
    return result;
}

int sqlite_write_end(write_op *op, scp_error *error)
{
    sqlite_index *index = op->index;
    write_run(op, DO_RELEASE, "");
    int result = op->rc == SQLITE_OK ? 0 : undo(op, error);
    index->nbatched++;
    bool old_batch = index->nbatched >= BATCH_WRITES_MAX ||
                     steady_clock_ms() - index->batch_start_ms >= BATCH_MS_MAX;
    if (in_transaction(index) && (!index->batching || old_batch) &&
        commit(index, result == 0 ? error : NULL) != 0)
        result = -1;
    return result;
}

void sqlite_begin_batch(scp_index *base)
{
    ((sqlite_index *)base)->batching = true;
}

int sqlite_end_batch(scp_index *base, scp_error *error)
{
    sqlite_index *index = (sqlite_index *)base;
    index->batching = false;
    return in_transaction(index) ? commit(index, error) : 0;
}
