/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_sqlite_query.h - the SQL of a query: which columns it has, and its statement for a filter.
 * Threads: a reader belongs to one thread at a time.
 */
#ifndef INDEX_SQLITE_QUERY_H
#define INDEX_SQLITE_QUERY_H

#include "index_sqlite.h"

/* Columns of a record query; a level's query has those of the levels above too. */
enum {
    COLUMN_PATIENT_NEWEST,
    COLUMN_PATIENT_STUDIES,
    COLUMN_PATIENT_SERIES,
    COLUMN_PATIENT_INSTANCES,
    COLUMN_PATIENT,
    COLUMN_STUDY_NEWEST,
    COLUMN_STUDY_SERIES,
    COLUMN_STUDY_INSTANCES,
    COLUMN_STUDY_MODALITIES,
    COLUMN_STUDY_CLASSES,
    COLUMN_STUDY,
    COLUMN_SERIES_NEWEST,
    COLUMN_SERIES_INSTANCES,
    COLUMN_SERIES,
    COLUMN_PATH, /* the same six in the same order are what a retrieval has */
    COLUMN_FRAME,
    COLUMN_SOP_CLASS,
    COLUMN_SOP_UID,
    COLUMN_SERIES_UID,
    COLUMN_STUDY_UID,
    COLUMN_NUMBER,
    COLUMN_FILE,
};

#define INSTANCE_COLUMNS "SELECT f.path, i.frame, i.sop_class, i.sop_uid, se.uid, st.uid "
#define INSTANCE_TABLES                                                                            \
    "FROM study AS st JOIN series AS se ON se.study = st.id JOIN file AS f ON f.series = se.id "   \
    "JOIN instance AS i ON i.file = f.id "
#define INSTANCE_ORDER " ORDER BY st.id, se.id, f.first_number, f.path, i.frame"

/* The statement for the filter with its values bound, ready to step; the reader's. retrieve: the
   instance columns instead of the level's record. Returns an SQLite code. */
int sqlite_query_start(sqlite3_stmt **out, sqlite_reader *reader, query_level level, bool retrieve,
                       const index_filter *filter);

#endif
