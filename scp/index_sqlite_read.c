/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_sqlite_read.c - cursors over the rows of queries.
 *
 * At IMAGE level the series' record is the one of the instance's own file, and without what differs
 * among the instances of that file.
 *
 * A cursor owns a read connection and one read transaction on it, so all that it sees is one state
 * of the index. Rows hold ids and counts; the level records that they point to are read and parsed
 * when they change from one row to the next, which for instances is once for each series.
 */
#include "index_sqlite_query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct sqlite_cursor {
    index_cursor base;
    sqlite_index *index;
    sqlite_reader *reader;
    query_level level;
    bool in_row;
    sqlite3_stmt *rows;     /* the reader's */
    sqlite3_stmt *instance; /* the reader's, while its strings are borrowed; or NULL */
    int64_t level_ids[3];   /* what records[0..2] are of; 0: nothing yet */
    uint64_t varying;       /* at IMAGE level: index_record.varying of the row's file */
    dcb_dataset *records[4];
} sqlite_cursor;

/* ---- Cursors ---- */

static int open_cursor(index_cursor **out, scp_index *base, query_level level, bool retrieve,
                       const index_filter *filter, scp_error *error)
{
    sqlite_index *index = (sqlite_index *)base;
    *out = NULL;
    sqlite_cursor *cursor = calloc(1, sizeof *cursor);
    if (cursor == NULL)
        return sqlite_index_fail(index, NULL, "read", error);
    cursor->base.backend = base->backend;
    cursor->index = index;
    cursor->level = level;
    if (sqlite_reader_take(&cursor->reader, index, error) != 0) {
        free(cursor);
        return -1;
    }
    /* The first SELECT fixes what the transaction sees. */
    int rc =
        sqlite3_exec(cursor->reader->db, "BEGIN; SELECT 1 FROM file LIMIT 1", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite_query_start(&cursor->rows, cursor->reader, level, retrieve, filter);
    if (rc != SQLITE_OK) {
        int result =
            sqlite_index_fail(index, rc == SQLITE_NOMEM ? NULL : cursor->reader->db, "read", error);
        sqlite_cursor_close(&cursor->base);
        return result;
    }
    *out = &cursor->base;
    return 0;
}

int sqlite_find(index_cursor **out, scp_index *index, query_level level, const index_filter *filter,
                scp_error *error)
{
    return open_cursor(out, index, level, false, filter, error);
}

int sqlite_find_instances(index_cursor **out, scp_index *index, const index_filter *filter,
                          scp_error *error)
{
    return open_cursor(out, index, LEVEL_IMAGE, true, filter, error);
}

void sqlite_cursor_close(index_cursor *base)
{
    sqlite_cursor *cursor = (sqlite_cursor *)base;
    sqlite3_reset(cursor->instance);
    if (cursor->rows != NULL) {
        sqlite3_reset(cursor->rows);
        sqlite3_clear_bindings(cursor->rows);
    }
    if (sqlite3_get_autocommit(cursor->reader->db) == 0)
        sqlite3_exec(cursor->reader->db, "ROLLBACK", NULL, NULL, NULL);
    sqlite_reader_give_back(cursor->index, cursor->reader);
    for (int i = 0; i < 4; i++)
        dcb_dataset_close(cursor->records[i]);
    free(cursor);
}

/* 1 with a row, 0 at the end (and ever after), -1. */
static int step(sqlite_cursor *cursor, scp_error *error)
{
    sqlite3_reset(cursor->instance);
    cursor->instance = NULL;
    if (cursor->rows == NULL)
        return 0;
    int rc = sqlite3_step(cursor->rows);
    cursor->in_row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW)
        return 1;
    int result =
        rc == SQLITE_DONE ? 0 : sqlite_index_fail(cursor->index, cursor->reader->db, "read", error);
    sqlite3_reset(cursor->rows);
    sqlite3_clear_bindings(cursor->rows);
    cursor->rows = NULL;
    return result;
}

/* ---- Records ---- */

static int fail_record(const sqlite_cursor *cursor, const dcb_error *cause, scp_error *error)
{
    return scp_fail(error, "cannot read the index %s: %s", cursor->index->path, cause->message);
}

static dcb_status put_count(dcb_dataset *record, uint32_t tag, int64_t n, dcb_error *error)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)n);
    return dcb_dataset_put_text(record, tag, DCB_VR('I', 'S'), text, error);
}

static const char *column_text(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text != NULL ? text : "";
}

/* The attributes that no file has (PS3.4 C.3.4). */
static dcb_status put_computed(dcb_dataset *record, int level, sqlite3_stmt *row, dcb_error *error)
{
    static const struct {
        int level, column;
        uint32_t tag;
    } counts[] = {
        {LEVEL_PATIENT, COLUMN_PATIENT_STUDIES, DCB_TAG(0x0020, 0x1200)},
        {LEVEL_PATIENT, COLUMN_PATIENT_SERIES, DCB_TAG(0x0020, 0x1202)},
        {LEVEL_PATIENT, COLUMN_PATIENT_INSTANCES, DCB_TAG(0x0020, 0x1204)},
        {LEVEL_STUDY, COLUMN_STUDY_SERIES, DCB_TAG(0x0020, 0x1206)},
        {LEVEL_STUDY, COLUMN_STUDY_INSTANCES, DCB_TAG(0x0020, 0x1208)},
        {LEVEL_SERIES, COLUMN_SERIES_INSTANCES, DCB_TAG(0x0020, 0x1209)},
    };
    dcb_status status = DCB_OK;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0] && status == DCB_OK; i++) {
        if (counts[i].level == level)
            status = put_count(record, counts[i].tag, sqlite3_column_int64(row, counts[i].column),
                               error);
    }
    if (status == DCB_OK && level == LEVEL_STUDY)
        status = dcb_dataset_put_text(record, DCB_TAG(0x0008, 0x0061), DCB_VR('C', 'S'),
                                      column_text(row, COLUMN_STUDY_MODALITIES), error);
    if (status == DCB_OK && level == LEVEL_STUDY)
        status = dcb_dataset_put_text(record, DCB_TAG(0x0008, 0x0062), DCB_VR('U', 'I'),
                                      column_text(row, COLUMN_STUDY_CLASSES), error);
    return status;
}

static bool is_ascii(const dcb_dataset *dataset)
{
    bool ascii = true;
    for (size_t i = 0; ascii && i < dcb_dataset_count(dataset); i++) {
        const dcb_element *element = dcb_dataset_at(dataset, i);
        for (uint32_t k = 0; ascii && k < element->nitems; k++)
            ascii = is_ascii(element->items[k]);
        for (uint32_t k = 0; ascii && dcb_vr_is_text(element->vr) && k < element->nbytes; k++)
            ascii = element->value[k] < 0x80;
    }
    return ascii;
}

static dcb_status put_all(dcb_dataset *record, const uint8_t *bytes, size_t nbytes,
                          dcb_error *error)
{
    dcb_dataset *part = NULL;
    dcb_status status =
        dcb_dataset_parse(&part, bytes, nbytes, DCB_SYNTAX_EXPLICIT_LE, NULL, NULL, NULL, error);
    for (size_t i = 0; status == DCB_OK && i < dcb_dataset_count(part); i++)
        status = dcb_dataset_put_element(record, dcb_dataset_at(part, i), error);
    dcb_dataset_close(part);
    if (status == DCB_OK && !is_ascii(record))
        status = dcb_dataset_put_text(record, DCB_TAG(0x0008, 0x0005), DCB_VR('C', 'S'),
                                      "ISO_IR 192", error);
    return status;
}

static void remove_varying(dcb_dataset *record, uint64_t varying)
{
    const uint32_t *tags = index_record_tags(LEVEL_SERIES);
    for (int i = 0; varying >> i != 0 && tags[i] != 0; i++) {
        if (varying >> i & 1)
            dcb_dataset_remove(record, tags[i]);
    }
}

/* records[level] = records[level - 1] + the level's record of its newest file + counts. */
static int make_level_record(sqlite_cursor *cursor, int level, int64_t newest, scp_error *error)
{
    static const char *const sql[] = {"SELECT patient FROM record WHERE file = ?1",
                                      "SELECT study FROM record WHERE file = ?1",
                                      "SELECT series, varying FROM record WHERE file = ?1"};
    sqlite_reader *reader = cursor->reader;
    sqlite3_stmt **statement = &reader->level_record[level];
    int rc = SQLITE_OK;
    if (*statement == NULL)
        rc = sqlite3_prepare_v3(reader->db, sql[level], -1, SQLITE_PREPARE_PERSISTENT, statement,
                                NULL);
    if (rc == SQLITE_OK)
        rc = sqlite_bind(*statement, "i", newest);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(*statement);
    if (rc != SQLITE_ROW) {
        int result = sqlite_index_fail(cursor->index, reader->db, "read", error);
        sqlite3_reset(*statement);
        return result;
    }
    dcb_dataset_close(cursor->records[level]);
    cursor->records[level] = NULL;
    dcb_error cause = DCB_ERROR_INIT;
    dcb_status status =
        level > 0 ? dcb_dataset_copy(&cursor->records[level], cursor->records[level - 1], &cause)
                  : dcb_dataset_create(&cursor->records[level], &cause);
    if (status == DCB_OK)
        status = put_all(cursor->records[level], sqlite3_column_blob(*statement, 0),
                         (size_t)sqlite3_column_bytes(*statement, 0), &cause);
    if (cursor->level == LEVEL_IMAGE && level == LEVEL_SERIES) {
        cursor->varying = (uint64_t)sqlite3_column_int64(*statement, 1);
        remove_varying(cursor->records[level], cursor->varying);
    }
    sqlite3_reset(*statement);
    if (status == DCB_OK)
        status = put_computed(cursor->records[level], level, cursor->rows, &cause);
    return status == DCB_OK ? 0 : fail_record(cursor, &cause, error);
}

static int make_image_record(sqlite_cursor *cursor, scp_error *error)
{
    dcb_error cause = DCB_ERROR_INIT;
    dcb_status status = DCB_OK;
    dcb_dataset **record = &cursor->records[LEVEL_IMAGE];
    if (*record == NULL)
        status = dcb_dataset_copy(record, cursor->records[LEVEL_SERIES], &cause);
    if (status == DCB_OK)
        status = dcb_dataset_put_text(*record, DCB_TAG(0x0008, 0x0016), DCB_VR('U', 'I'),
                                      column_text(cursor->rows, COLUMN_SOP_CLASS), &cause);
    if (status == DCB_OK)
        status = dcb_dataset_put_text(*record, DCB_TAG(0x0008, 0x0018), DCB_VR('U', 'I'),
                                      column_text(cursor->rows, COLUMN_SOP_UID), &cause);
    if (status == DCB_OK && sqlite3_column_type(cursor->rows, COLUMN_NUMBER) == SQLITE_NULL)
        dcb_dataset_remove(*record, DCB_TAG(0x0020, 0x0013));
    else if (status == DCB_OK)
        status = put_count(*record, DCB_TAG(0x0020, 0x0013),
                           sqlite3_column_int64(cursor->rows, COLUMN_NUMBER), &cause);
    return status == DCB_OK ? 0 : fail_record(cursor, &cause, error);
}

int sqlite_cursor_next(index_cursor *base, const dcb_dataset **record, scp_error *error)
{
    static const struct {
        int id, newest;
    } columns[] = {{COLUMN_PATIENT, COLUMN_PATIENT_NEWEST},
                   {COLUMN_STUDY, COLUMN_STUDY_NEWEST},
                   {COLUMN_SERIES, COLUMN_SERIES_NEWEST},
                   {COLUMN_FILE, COLUMN_FILE}};
    sqlite_cursor *cursor = (sqlite_cursor *)base;
    *record = NULL;
    int result = step(cursor, error);
    if (result != 1)
        return result;
    bool changed = false;
    for (int level = 0; level <= (int)cursor->level && level < 3; level++) {
        int from = cursor->level == LEVEL_IMAGE && level == LEVEL_SERIES ? LEVEL_IMAGE : level;
        int64_t id = sqlite3_column_int64(cursor->rows, columns[from].id);
        changed = changed || cursor->level_ids[level] != id;
        if (!changed)
            continue;
        cursor->level_ids[level] = 0;
        int64_t newest = sqlite3_column_int64(cursor->rows, columns[from].newest);
        if (make_level_record(cursor, level, newest, error) != 0)
            return -1;
        cursor->level_ids[level] = id;
    }
    if (cursor->level == LEVEL_IMAGE) {
        if (changed) {
            dcb_dataset_close(cursor->records[LEVEL_IMAGE]);
            cursor->records[LEVEL_IMAGE] = NULL;
        }
        if (make_image_record(cursor, error) != 0)
            return -1;
    }
    *record = cursor->records[cursor->level];
    return 1;
}

uint64_t sqlite_cursor_varying(const index_cursor *base)
{
    return ((const sqlite_cursor *)base)->varying;
}

/* ---- Instances ---- */

static void take_instance(index_instance *instance, sqlite3_stmt *row, int column)
{
    *instance = (index_instance){
        .path = column_text(row, column),
        .frame = (uint32_t)sqlite3_column_int64(row, column + 1),
        .sop_class_uid = column_text(row, column + 2),
        .sop_instance_uid = column_text(row, column + 3),
        .series_instance_uid = column_text(row, column + 4),
        .study_instance_uid = column_text(row, column + 5),
    };
}

int sqlite_cursor_next_instance(index_cursor *base, index_instance *instance, scp_error *error)
{
    sqlite_cursor *cursor = (sqlite_cursor *)base;
    int result = step(cursor, error);
    if (result == 1)
        take_instance(instance, cursor->rows, 0);
    return result;
}

int sqlite_cursor_instance(index_cursor *base, index_instance *instance, scp_error *error)
{
    static const char *const sql[] = {
        INSTANCE_COLUMNS INSTANCE_TABLES "WHERE st.patient = ?1 AND i.visible" INSTANCE_ORDER
                                         " LIMIT 1",
        INSTANCE_COLUMNS INSTANCE_TABLES "WHERE st.id = ?1 AND i.visible" INSTANCE_ORDER " LIMIT 1",
        INSTANCE_COLUMNS INSTANCE_TABLES "WHERE se.id = ?1 AND i.visible" INSTANCE_ORDER " LIMIT 1",
    };
    sqlite_cursor *cursor = (sqlite_cursor *)base;
    if (!cursor->in_row || cursor->rows == NULL)
        return scp_fail(error, "the index cursor is at no record");
    if (cursor->level == LEVEL_IMAGE) {
        take_instance(instance, cursor->rows, COLUMN_PATH);
        return 0;
    }
    sqlite3_stmt **statement = &cursor->reader->first_instance[cursor->level];
    int rc = SQLITE_OK;
    if (*statement == NULL)
        rc = sqlite3_prepare_v3(cursor->reader->db, sql[cursor->level], -1,
                                SQLITE_PREPARE_PERSISTENT, statement, NULL);
    sqlite3_reset(*statement);
    if (rc == SQLITE_OK)
        rc = sqlite_bind(*statement, "i", cursor->level_ids[cursor->level]);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(*statement);
    cursor->instance = *statement;
    if (rc != SQLITE_ROW)
        return sqlite_index_fail(cursor->index, cursor->reader->db, "read", error);
    take_instance(instance, *statement, 0);
    return 0;
}

/* ---- Totals ---- */

int sqlite_get_totals(scp_index *base, index_totals *totals, scp_error *error)
{
    static const char sql[] = "SELECT (SELECT count(*) FROM patient WHERE ninstances > 0),"
                              " (SELECT count(*) FROM study WHERE ninstances > 0),"
                              " (SELECT count(*) FROM series WHERE ninstances > 0),"
                              " (SELECT total(ninstances) FROM series),"
                              " (SELECT count(*) FROM file WHERE reason IS NULL AND part = 0),"
                              " (SELECT count(*) FROM file WHERE reason IS NOT NULL),"
                              " (SELECT total(nbytes) FROM file WHERE part = 0),"
                              " (SELECT page_count * page_size"
                              "  FROM pragma_page_count, pragma_page_size)";
    sqlite_index *index = (sqlite_index *)base;
    sqlite_reader *reader = NULL;
    if (sqlite_reader_take(&reader, index, error) != 0)
        return -1;
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(reader->db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    int result = 0;
    if (rc == SQLITE_ROW) {
        uint64_t *const counts[] = {&totals->patients,   &totals->studies,    &totals->series,
                                    &totals->instances,  &totals->files,      &totals->bad_files,
                                    &totals->file_bytes, &totals->index_bytes};
        for (int i = 0; i < 8; i++)
            *counts[i] = (uint64_t)sqlite3_column_int64(statement, i);
    } else {
        result = sqlite_index_fail(index, reader->db, "read", error);
    }
    sqlite3_finalize(statement);
    sqlite_reader_give_back(index, reader);
    return result;
}
