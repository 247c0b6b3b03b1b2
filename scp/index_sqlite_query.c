/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_sqlite_query.c - from a filter to a bound statement. Its SQL depends on the query's shape
 * only (level, and which parts of the filter there are), so a connection keeps the statements of
 * the shapes that it met last. Values are bound, never written into SQL.
 */
#include "index_sqlite_query.h"

#include <stdio.h>
#include <stdlib.h>

/* A query's shape: its level, and which parts of the filter it has. */
enum {
    SHAPE_LEVEL = 3,
    SHAPE_RETRIEVE = 1 << 2, /* instances for retrieval instead of records */
    SHAPE_PATIENT_ID = 1 << 3,
    SHAPE_NAME = 1 << 4,
    SHAPE_STUDY = 1 << 5,
    SHAPE_STUDIES = 1 << 6, /* with SHAPE_STUDY: a list */
    SHAPE_DATE_FROM = 1 << 7,
    SHAPE_DATE_TO = 1 << 8,
    SHAPE_ACCESSION = 1 << 9,
    SHAPE_MODALITY = 1 << 10,
    SHAPE_SERIES = 1 << 11,
    SHAPE_SERIES_LIST = 1 << 12,
    SHAPE_SOP = 1 << 13,
    SHAPE_SOPS = 1 << 14,
};

static const char *const level_columns[] = {
    "SELECT p.newest, p.nstudies, p.nseries, p.ninstances, p.id",
    ", st.newest, st.nseries, st.ninstances, st.modalities, st.sop_classes, st.id",
    ", se.newest, se.ninstances, se.id",
    ", f.path, i.frame, i.sop_class, i.sop_uid, se.uid, st.uid, i.number, f.id",
};

static uint32_t filter_shape(query_level level, bool retrieve, const index_filter *filter)
{
    uint32_t shape = (uint32_t)level | (retrieve ? SHAPE_RETRIEVE : 0);
    if (filter == NULL)
        return shape;
    if (filter->patient_id != NULL)
        shape |= SHAPE_PATIENT_ID;
    if (filter->patient_name_prefix != NULL && filter->patient_name_prefix[0] != '\0')
        shape |= SHAPE_NAME;
    if (level >= LEVEL_STUDY) {
        if (filter->nstudy_uids > 0)
            shape |= SHAPE_STUDY | (filter->nstudy_uids > 1 ? SHAPE_STUDIES : 0);
        if (filter->study_date_from != NULL)
            shape |= SHAPE_DATE_FROM;
        if (filter->study_date_to != NULL)
            shape |= SHAPE_DATE_TO;
        if (filter->accession_number != NULL)
            shape |= SHAPE_ACCESSION;
        if (filter->modality != NULL)
            shape |= SHAPE_MODALITY;
    }
    if (level >= LEVEL_SERIES && filter->nseries_uids > 0)
        shape |= SHAPE_SERIES | (filter->nseries_uids > 1 ? SHAPE_SERIES_LIST : 0);
    if (level >= LEVEL_IMAGE && filter->nsop_uids > 0)
        shape |= SHAPE_SOP | (filter->nsop_uids > 1 ? SHAPE_SOPS : 0);
    return shape;
}

static void write_uid_condition(FILE *sql, const char *column, bool list, int parameter)
{
    if (list)
        fprintf(sql, " AND %s IN (SELECT value FROM json_each(?%d))", column, parameter);
    else
        fprintf(sql, " AND %s = ?%d", column, parameter);
}

/* Parameters have fixed numbers, so that binding need not know the shape. */
enum {
    PARAMETER_PATIENT_ID = 1,
    PARAMETER_NAME_FROM,
    PARAMETER_NAME_TO,
    PARAMETER_STUDY,
    PARAMETER_DATE_FROM,
    PARAMETER_DATE_TO,
    PARAMETER_ACCESSION,
    PARAMETER_MODALITY,
    PARAMETER_SERIES,
    PARAMETER_SOP,
};

static void write_conditions(FILE *sql, uint32_t shape)
{
    query_level level = (query_level)(shape & SHAPE_LEVEL);
    if (shape & SHAPE_PATIENT_ID)
        fprintf(sql, " AND p.patient_id = ?%d", PARAMETER_PATIENT_ID);
    if (shape & SHAPE_NAME)
        fprintf(sql,
                " AND p.id IN (SELECT patient FROM patient_name WHERE folded >= ?%d"
                " AND folded < ?%d)",
                PARAMETER_NAME_FROM, PARAMETER_NAME_TO);
    if (shape & SHAPE_STUDY)
        write_uid_condition(sql, "st.uid", shape & SHAPE_STUDIES, PARAMETER_STUDY);
    if (shape & SHAPE_DATE_FROM)
        fprintf(sql, " AND st.study_date >= ?%d", PARAMETER_DATE_FROM);
    if (shape & SHAPE_DATE_TO)
        fprintf(sql, " AND st.study_date <= ?%d AND st.study_date <> ''", PARAMETER_DATE_TO);
    if (shape & SHAPE_ACCESSION)
        fprintf(sql, " AND st.accession = ?%d", PARAMETER_ACCESSION);
    if (shape & SHAPE_MODALITY && level == LEVEL_STUDY)
        fprintf(sql, " AND instr('\\' || st.modalities || '\\', '\\' || ?%d || '\\') > 0",
                PARAMETER_MODALITY);
    else if (shape & SHAPE_MODALITY)
        fprintf(sql, " AND se.modality = ?%d", PARAMETER_MODALITY);
    if (shape & SHAPE_SERIES)
        write_uid_condition(sql, "se.uid", shape & SHAPE_SERIES_LIST, PARAMETER_SERIES);
    if (shape & SHAPE_SOP)
        write_uid_condition(sql, "i.sop_uid", shape & SHAPE_SOPS, PARAMETER_SOP);
}

static void write_query(FILE *sql, uint32_t shape)
{
    static const char *const tables[] = {
        "patient AS p",
        "study AS st JOIN patient AS p ON p.id = st.patient",
        "series AS se JOIN study AS st ON st.id = se.study JOIN patient AS p ON p.id = st.patient",
        ("instance AS i JOIN file AS f ON f.id = i.file JOIN series AS se ON se.id = f.series"
         " JOIN study AS st ON st.id = se.study JOIN patient AS p ON p.id = st.patient"),
    };
    /* Not entities whose instances are all answered by newer files elsewhere. */
    static const char *const conditions[] = {"p.ninstances > 0", "st.ninstances > 0",
                                             "se.ninstances > 0", "i.visible"};
    query_level level = (query_level)(shape & SHAPE_LEVEL);
    if (shape & SHAPE_RETRIEVE) {
        fputs(INSTANCE_COLUMNS, sql);
    } else {
        for (int i = 0; i <= (int)level; i++)
            fputs(level_columns[i], sql);
    }
    fprintf(sql, " FROM %s WHERE %s", tables[level], conditions[level]);
    write_conditions(sql, shape);
    if (level == LEVEL_IMAGE)
        fputs(INSTANCE_ORDER, sql);
}

/* The statement of the shape, from the connection's or made now in place of the longest unused. */
static int get_statement(sqlite3_stmt **out, sqlite_reader *reader, uint32_t shape)
{
    sqlite_query *oldest = &reader->queries[0];
    reader->clock++;
    for (int i = 0; i < READ_STATEMENTS_MAX; i++) {
        sqlite_query *query = &reader->queries[i];
        if (query->statement != NULL && query->shape == shape) {
            query->last_used = reader->clock;
            *out = query->statement;
            return SQLITE_OK;
        }
        if (query->last_used < oldest->last_used)
            oldest = query;
    }
    char *text = NULL;
    size_t nbytes = 0;
    FILE *sql = open_memstream(&text, &nbytes);
    if (sql == NULL)
        return SQLITE_NOMEM;
    write_query(sql, shape);
    if (fclose(sql) != 0) {
        free(text);
        return SQLITE_NOMEM;
    }
    sqlite3_finalize(oldest->statement);
    oldest->statement = NULL;
    int rc = sqlite3_prepare_v3(reader->db, text, -1, SQLITE_PREPARE_PERSISTENT, &oldest->statement,
                                NULL);
    free(text);
    oldest->shape = shape;
    oldest->last_used = reader->clock;
    *out = oldest->statement;
    return rc;
}

/* ---- Binding ---- */

/* A copy: the caller's text need not live as long as the cursor. */
static int bind_text(sqlite3_stmt *statement, int parameter, const char *text)
{
    return sqlite3_bind_text(statement, parameter, text, -1, SQLITE_TRANSIENT);
}

/* One UID as it is, several as a JSON array. */
static int bind_uids(sqlite3_stmt *statement, int parameter, const char *const *uids, uint32_t n)
{
    if (n == 1)
        return bind_text(statement, parameter, uids[0]);
    char *text = NULL;
    size_t nbytes = 0;
    FILE *json = open_memstream(&text, &nbytes);
    if (json == NULL)
        return SQLITE_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        fputs(i == 0 ? "[\"" : ",\"", json);
        for (const unsigned char *c = (const unsigned char *)uids[i]; *c != '\0'; c++) {
            if (*c == '"' || *c == '\\' || *c < 0x20)
                fprintf(json, "\\u%04x", *c);
            else
                fputc(*c, json);
        }
        fputc('"', json);
    }
    fputc(']', json);
    int rc = fclose(json) == 0 ? bind_text(statement, parameter, text) : SQLITE_NOMEM;
    free(text);
    return rc;
}

/* From the prefix to, exclusively, what follows all that begins with it: 0xff is in no UTF-8. */
static int bind_prefix(sqlite3_stmt *statement, const char *prefix)
{
    char *end = NULL;
    if (asprintf(&end, "%s\xff", prefix) < 0)
        return SQLITE_NOMEM;
    int rc = bind_text(statement, PARAMETER_NAME_FROM, prefix);
    if (rc == SQLITE_OK)
        rc = bind_text(statement, PARAMETER_NAME_TO, end);
    free(end);
    return rc;
}

static int bind_filter(sqlite3_stmt *statement, uint32_t shape, const index_filter *filter)
{
    int rc = SQLITE_OK;
    const struct {
        uint32_t bit;
        int parameter;
        const char *text;
    } texts[] = {
        {SHAPE_PATIENT_ID, PARAMETER_PATIENT_ID, filter->patient_id},
        {SHAPE_DATE_FROM, PARAMETER_DATE_FROM, filter->study_date_from},
        {SHAPE_DATE_TO, PARAMETER_DATE_TO, filter->study_date_to},
        {SHAPE_ACCESSION, PARAMETER_ACCESSION, filter->accession_number},
        {SHAPE_MODALITY, PARAMETER_MODALITY, filter->modality},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && rc == SQLITE_OK; i++) {
        if (shape & texts[i].bit)
            rc = bind_text(statement, texts[i].parameter, texts[i].text);
    }
    if (rc == SQLITE_OK && shape & SHAPE_NAME)
        rc = bind_prefix(statement, filter->patient_name_prefix);
    if (rc == SQLITE_OK && shape & SHAPE_STUDY)
        rc = bind_uids(statement, PARAMETER_STUDY, filter->study_uids, filter->nstudy_uids);
    if (rc == SQLITE_OK && shape & SHAPE_SERIES)
        rc = bind_uids(statement, PARAMETER_SERIES, filter->series_uids, filter->nseries_uids);
    if (rc == SQLITE_OK && shape & SHAPE_SOP)
        rc = bind_uids(statement, PARAMETER_SOP, filter->sop_uids, filter->nsop_uids);
    return rc;
}

int sqlite_query_start(sqlite3_stmt **out, sqlite_reader *reader, query_level level, bool retrieve,
                       const index_filter *filter)
{
    static const index_filter everything;
    uint32_t shape = filter_shape(level, retrieve, filter);
    int rc = get_statement(out, reader, shape);
    return rc == SQLITE_OK ? bind_filter(*out, shape, filter != NULL ? filter : &everything) : rc;
}
