/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_sqlite_write.c - files coming and going.
 *
 * A file is put in or taken out in three steps: its own rows; which of several instances with the
 * same SOP Instance UID is visible; then, before the commit, the series, studies and patients that
 * these touched (index_sqlite_entities.c). The writer's thread only.
 */
#include "index_sqlite_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Instances that several files hold ---- */

typedef struct claim {
    int64_t file, frame, series;
    bool visible;
    bool wins; /* it is the newest of its Series Instance UID */
} claim;

/* In each series the newest file's instance shows, and no other with this UID. Series are told
   apart by their UID alone: a file that was written again with its patient or study put right takes
   the place of what it was. */
static void settle_claims(write_op *op, const char *sop_uid)
{
    claim *claims = NULL;
    size_t n = 0, capacity = 0;
    char series_uid[INDEX_UID_SIZE] = "";
    sqlite3_stmt *rows = write_start(op, DO_INSTANCE_CLAIMS, "t", sop_uid);
    while (write_next(op, rows)) {
        if (n == capacity) {
            capacity = capacity * 2 + 4;
            claim *grown = realloc(claims, capacity * sizeof *grown);
            if (grown == NULL) {
                op->rc = SQLITE_NOMEM;
                continue;
            }
            claims = grown;
        }
        const char *uid = (const char *)sqlite3_column_text(rows, 4);
        claims[n++] = (claim){.file = sqlite3_column_int64(rows, 0),
                              .frame = sqlite3_column_int64(rows, 1),
                              .series = sqlite3_column_int64(rows, 3),
                              .visible = sqlite3_column_int(rows, 2) != 0,
                              .wins = uid != NULL && strcmp(uid, series_uid) != 0};
        snprintf(series_uid, sizeof series_uid, "%s", uid != NULL ? uid : "");
    }
    for (size_t i = 0; i < n; i++) {
        if (claims[i].visible == claims[i].wins)
            continue;
        write_run(op, DO_INSTANCE_SHOW, "iii", claims[i].file, claims[i].frame,
                  (int64_t)claims[i].wins);
        write_touch_series(op, claims[i].series);
    }
    free(claims);
}

/* ---- A file's rows ---- */

/* The SOP Instance UIDs that the file shares with others, NUL-separated, ended by an empty one. */
static char *shared_uids(write_op *op, int64_t file)
{
    char *list = NULL;
    size_t nbytes = 0;
    FILE *stream = open_memstream(&list, &nbytes);
    if (stream == NULL) {
        op->rc = SQLITE_NOMEM;
        return NULL;
    }
    sqlite3_stmt *rows = write_start(op, DO_SHARED_OF_FILE, "i", file);
    while (write_next(op, rows)) {
        const char *uid = (const char *)sqlite3_column_text(rows, 0);
        if (uid != NULL && *uid != '\0')
            fwrite(uid, 1, strlen(uid) + 1, stream);
    }
    fputc('\0', stream);
    if (fclose(stream) != 0) {
        op->rc = SQLITE_NOMEM;
        free(list);
        return NULL;
    }
    return list;
}

/* One of the rows that a file has; false where there is none (left). */
static bool delete_part(write_op *op, const char *path)
{
    int64_t file = 0, series = 0;
    sqlite3_stmt *rows = write_start(op, DO_FILE_ID, "t", path);
    while (write_next(op, rows)) {
        file = sqlite3_column_int64(rows, 0);
        series = sqlite3_column_int64(rows, 1);
    }
    if (file == 0)
        return false;
    if (series != 0) {
        char *shared = shared_uids(op, file);
        write_run(op, DO_INSTANCES_DELETE, "i", file);
        write_run(op, DO_RECORD_DELETE, "i", file);
        for (const char *uid = shared; uid != NULL && *uid != '\0'; uid += strlen(uid) + 1)
            settle_claims(op, uid);
        free(shared);
        write_touch_series(op, series);
    }
    write_run(op, DO_FILE_DELETE, "i", file);
    return op->rc == SQLITE_OK;
}

static bool delete_file(write_op *op, const char *path)
{
    bool deleted = false;
    while (delete_part(op, path))
        deleted = true;
    return deleted;
}

static int64_t find_or_insert_series(write_op *op, const index_record *record)
{
    sqlite3 *db = op->index->writer;
    int64_t patient = write_find_id(op, DO_PATIENT_ID, "t", record->patient_key);
    if (patient == 0) {
        write_run(op, DO_PATIENT_INSERT, "tt", record->patient_key, record->patient_id);
        patient = sqlite3_last_insert_rowid(db);
    }
    int64_t study = write_find_id(op, DO_STUDY_ID, "it", patient, record->study_uid);
    if (study == 0) {
        write_run(op, DO_STUDY_INSERT, "it", patient, record->study_uid);
        study = sqlite3_last_insert_rowid(db);
    }
    int64_t series = write_find_id(op, DO_SERIES_ID, "it", study, record->series_uid);
    if (series == 0) {
        write_run(op, DO_SERIES_INSERT, "it", study, record->series_uid);
        series = sqlite3_last_insert_rowid(db);
    }
    write_touch_series(op, series);
    return series;
}

static void insert_record(write_op *op, int64_t file, const index_record *record)
{
    const dcb_dataset *datasets[3] = {record->patient, record->study, record->series};
    uint8_t *bytes[3] = {0};
    size_t nbytes[3] = {0};
    for (int i = 0; i < 3; i++) {
        if (dcb_dataset_encode(&bytes[i], &nbytes[i], datasets[i], DCB_SYNTAX_EXPLICIT_LE, NULL) !=
            DCB_OK)
            op->rc = SQLITE_NOMEM; /* nothing else can go wrong with what a parser gave */
    }
    write_run(op, DO_RECORD_INSERT, "ibbbtttti", file, bytes[0], nbytes[0], bytes[1], nbytes[1],
              bytes[2], nbytes[2], record->folded_names, record->study_date,
              record->accession_number, record->modality, (int64_t)record->varying);
    for (int i = 0; i < 3; i++)
        free(bytes[i]);
}

static uint32_t insert_instances(write_op *op, int64_t file, const index_record *record)
{
    for (uint32_t i = 0; i < record->ninstances; i++) {
        const index_record_instance *instance = &record->instances[i];
        write_run(op, DO_INSTANCE_INSERT, instance->has_number ? "iitti" : "iittn", file,
                  (int64_t)instance->frame, instance->sop_instance_uid, instance->sop_class_uid,
                  (int64_t)instance->number);
    }
    uint32_t nduplicates = 0;
    for (uint32_t i = 0; i < record->ninstances; i++) {
        const char *uid = record->instances[i].sop_instance_uid;
        if (write_find_id(op, DO_INSTANCE_SHARED, "t", uid) > 1) {
            settle_claims(op, uid);
            nduplicates++;
        }
    }
    return nduplicates;
}

/* The file's place among those of its series. */
static int64_t first_number(const index_record *record)
{
    int64_t lowest = INT64_MAX;
    for (uint32_t i = 0; i < record->ninstances; i++) {
        if (record->instances[i].has_number && record->instances[i].number < lowest)
            lowest = record->instances[i].number;
    }
    return lowest;
}

/* ---- The backend's functions ---- */

/* Does a row of nbytes, mtime_ns, inode tell this stamp? */
static bool row_has_stamp(sqlite3_stmt *row, const file_stamp *stamp)
{
    return sqlite3_column_int64(row, 0) == (int64_t)stamp->nbytes &&
           sqlite3_column_int64(row, 1) == stamp->mtime_ns &&
           sqlite3_column_int64(row, 2) == (int64_t)stamp->inode;
}

int sqlite_has_file(scp_index *base, const char *path, const file_stamp *stamp, bool *known,
                    bool *bad, scp_error *error)
{
    write_op op = {.index = (sqlite_index *)base, .rc = SQLITE_OK};
    *known = *bad = false;
    sqlite3_stmt *rows = write_start(&op, DO_FILE_STAMP, "t", path);
    while (write_next(&op, rows)) {
        *known = row_has_stamp(rows, stamp);
        *bad = *known && sqlite3_column_type(rows, 3) != SQLITE_NULL;
    }
    return op.rc == SQLITE_OK ? 0 : sqlite_index_fail(op.index, op.index->writer, "read", error);
}

/* Returns how many of its instances others hold too. */
static uint32_t put(write_op *op, const char *path, const file_stamp *stamp,
                    const index_record *record)
{
    uint32_t nduplicates = 0;
    delete_file(op, path);
    for (int64_t part = 0; record != NULL; record = record->next, part++) {
        int64_t series = find_or_insert_series(op, record);
        write_run(op, DO_FILE_INSERT, "tiiiniii", path, (int64_t)stamp->nbytes, stamp->mtime_ns,
                  (int64_t)stamp->inode, part, series, first_number(record));
        int64_t file = sqlite3_last_insert_rowid(op->index->writer);
        insert_record(op, file, record);
        nduplicates += insert_instances(op, file, record);
    }
    return nduplicates;
}

int sqlite_put_file(scp_index *base, const char *path, const file_stamp *stamp,
                    const index_record *record, uint32_t *nduplicates, scp_error *error)
{
    write_op op;
    sqlite_write_begin(&op, (sqlite_index *)base);
    *nduplicates = put(&op, path, stamp, record);
    return sqlite_write_end(&op, error);
}

int sqlite_switch_files(scp_index *base, const index_entry *entries, uint32_t nentries,
                        const char *const *gone, uint32_t ngone, scp_error *error)
{
    write_op op;
    sqlite_write_begin(&op, (sqlite_index *)base);
    /* First out, then in: so no instance is ever there twice, which would cost a look at both. */
    for (uint32_t i = 0; i < ngone; i++)
        delete_file(&op, gone[i]);
    for (uint32_t i = 0; i < nentries; i++)
        put(&op, entries[i].path, &entries[i].stamp, entries[i].record);
    return sqlite_write_end(&op, error);
}

int sqlite_put_bad_file(scp_index *base, const char *path, const file_stamp *stamp,
                        const char *reason, bool *is_news, scp_error *error)
{
    write_op op;
    sqlite_write_begin(&op, (sqlite_index *)base);
    *is_news = true;
    sqlite3_stmt *rows = write_start(&op, DO_FILE_STAMP, "t", path);
    while (write_next(&op, rows)) {
        const char *known = (const char *)sqlite3_column_text(rows, 3);
        *is_news = known == NULL || strcmp(known, reason) != 0 || !row_has_stamp(rows, stamp);
    }
    delete_file(&op, path);
    write_run(&op, DO_FILE_INSERT, "tiiitinn", path, (int64_t)stamp->nbytes, stamp->mtime_ns,
              (int64_t)stamp->inode, reason, (int64_t)0);
    return sqlite_write_end(&op, error);
}

int sqlite_remove_file(scp_index *base, const char *path, bool *removed, scp_error *error)
{
    write_op op;
    sqlite_write_begin(&op, (sqlite_index *)base);
    *removed = delete_file(&op, path);
    return sqlite_write_end(&op, error);
}

int sqlite_remove_files(scp_index *base, const char *folder,
                        bool (*keep)(void *context, const char *path), void *context,
                        uint32_t *nremoved, scp_error *error)
{
    write_op op = {.index = (sqlite_index *)base, .rc = SQLITE_OK};
    *nremoved = 0;
    char *list = NULL, *from = NULL, *to = NULL;
    size_t nbytes = 0;
    FILE *stream = open_memstream(&list, &nbytes);
    /* '0' follows '/': the range is all paths that begin with "folder/". */
    if (stream == NULL || (folder != NULL && (asprintf(&from, "%s/", folder) < 0 ||
                                              asprintf(&to, "%s0", folder) < 0)))
        op.rc = SQLITE_NOMEM;
    sqlite3_stmt *rows = folder == NULL ? write_start(&op, DO_FILES_ALL, "")
                                        : write_start(&op, DO_FILES_BELOW, "tt", from, to);
    while (write_next(&op, rows)) {
        const char *path = (const char *)sqlite3_column_text(rows, 0);
        if (path != NULL && !keep(context, path))
            fwrite(path, 1, strlen(path) + 1, stream);
    }
    int result =
        op.rc == SQLITE_OK ? 0 : sqlite_index_fail(op.index, op.index->writer, "read", error);
    if (stream != NULL && fclose(stream) != 0 && result == 0)
        result = sqlite_index_fail(op.index, NULL, "read", error);
    for (size_t pos = 0; result == 0 && pos < nbytes; pos += strlen(list + pos) + 1) {
        bool removed = false;
        result = sqlite_remove_file(base, list + pos, &removed, error);
        *nremoved += removed;
    }
    free(list);
    free(from);
    free(to);
    return result;
}
