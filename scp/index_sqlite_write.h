/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_sqlite_write.h - one write to the SQLite index as an operation: its prepared statements,
 * its savepoint, and the rows that it touched.
 *
 * Invariant: errors stick. After the first one every step does nothing, and sqlite_write_end undoes
 * the whole operation. The writer's thread only.
 */
#ifndef INDEX_SQLITE_WRITE_H
#define INDEX_SQLITE_WRITE_H

#include "index_sqlite.h"

/* Every statement that the writer uses. */
#define STATEMENT_MAP(X)                                                                           \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(SAVEPOINT, "SAVEPOINT write")                                                                \
    X(RELEASE, "RELEASE write")                                                                    \
    X(ROLLBACK_TO, "ROLLBACK TO write")                                                            \
    X(FILE_STAMP, "SELECT nbytes, mtime_ns, inode, reason FROM file WHERE path = ?1 AND part = 0") \
    X(FILE_ID, "SELECT id, series FROM file WHERE path = ?1 LIMIT 1")                              \
    X(FILE_DELETE, "DELETE FROM file WHERE id = ?1")                                               \
    X(FILE_INSERT,                                                                                 \
      "INSERT INTO file (path, nbytes, mtime_ns, inode, reason, part, series, first_number)"       \
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                                  \
    X(FILES_BELOW, "SELECT path FROM file WHERE path >= ?1 AND path < ?2 AND part = 0")            \
    X(FILES_ALL, "SELECT path FROM file WHERE part = 0")                                           \
    X(RECORD_DELETE, "DELETE FROM record WHERE file = ?1")                                         \
    X(RECORD_INSERT, "INSERT INTO record (file, patient, study, series, folded_names, study_date," \
                     " accession, modality, varying) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)") \
    X(INSTANCES_DELETE, "DELETE FROM instance WHERE file = ?1")                                    \
    X(INSTANCE_INSERT, "INSERT INTO instance (file, frame, sop_uid, sop_class, number, visible)"   \
                       " VALUES (?1, ?2, ?3, ?4, ?5, 1)")                                          \
    X(INSTANCE_SHARED, "SELECT count(*) FROM (SELECT 1 FROM instance WHERE sop_uid = ?1 LIMIT 2)") \
    X(SHARED_OF_FILE, "SELECT DISTINCT i.sop_uid FROM instance AS i WHERE i.file = ?1 AND EXISTS"  \
                      " (SELECT 1 FROM instance AS j WHERE j.sop_uid = i.sop_uid"                  \
                      "  AND j.file <> i.file)")                                                   \
    X(INSTANCE_CLAIMS, "SELECT i.file, i.frame, i.visible, f.series, s.uid FROM instance AS i"     \
                       " JOIN file AS f ON f.id = i.file JOIN series AS s ON s.id = f.series"      \
                       " WHERE i.sop_uid = ?1"                                                     \
                       " ORDER BY s.uid, f.mtime_ns DESC, f.path DESC, i.frame")                   \
    X(INSTANCE_SHOW, "UPDATE instance SET visible = ?3 WHERE file = ?1 AND frame = ?2")            \
    X(PATIENT_ID, "SELECT id FROM patient WHERE key = ?1")                                         \
    X(PATIENT_INSERT, "INSERT INTO patient (key, patient_id) VALUES (?1, ?2)")                     \
    X(PATIENT_DELETE, "DELETE FROM patient WHERE id = ?1")                                         \
    X(PATIENT_PARTS,                                                                               \
      "SELECT s.newest, f.mtime_ns, f.path, s.nseries, s.ninstances FROM study AS s"               \
      " JOIN file AS f ON f.id = s.newest WHERE s.patient = ?1")                                   \
    X(PATIENT_UPDATE, "UPDATE patient SET newest = ?2, nstudies = ?3, nseries = ?4,"               \
                      " ninstances = ?5 WHERE id = ?1")                                            \
    X(NAMES_DELETE, "DELETE FROM patient_name WHERE patient = ?1")                                 \
    X(NAMES_OF_FILE, "SELECT folded_names FROM record WHERE file = ?1")                            \
    X(NAME_INSERT, "INSERT OR IGNORE INTO patient_name (patient, folded) VALUES (?1, ?2)")         \
    X(STUDY_ID, "SELECT id FROM study WHERE patient = ?1 AND uid = ?2")                            \
    X(STUDY_INSERT, "INSERT INTO study (patient, uid) VALUES (?1, ?2)")                            \
    X(STUDY_PATIENT, "SELECT patient FROM study WHERE id = ?1")                                    \
    X(STUDY_DELETE, "DELETE FROM study WHERE id = ?1")                                             \
    X(STUDY_PARTS, "SELECT s.newest, f.mtime_ns, f.path, s.modality, s.sop_classes, s.ninstances"  \
                   " FROM series AS s JOIN file AS f ON f.id = s.newest WHERE s.study = ?1")       \
    X(STUDY_UPDATE,                                                                                \
      "UPDATE study SET newest = ?2, nseries = ?3, ninstances = ?4, modalities = ?5,"              \
      " sop_classes = ?6, (study_date, accession) ="                                               \
      " (SELECT study_date, accession FROM record WHERE file = ?2) WHERE id = ?1")                 \
    X(SERIES_ID, "SELECT id FROM series WHERE study = ?1 AND uid = ?2")                            \
    X(SERIES_INSERT, "INSERT INTO series (study, uid) VALUES (?1, ?2)")                            \
    X(SERIES_STUDY, "SELECT study FROM series WHERE id = ?1")                                      \
    X(SERIES_DELETE, "DELETE FROM series WHERE id = ?1")                                           \
    X(SERIES_NEWEST, "SELECT id FROM file WHERE series = ?1 ORDER BY mtime_ns DESC, path DESC")    \
    X(SERIES_CLASSES, "SELECT i.sop_class, count(*) FROM file AS f JOIN instance AS i"             \
                      " ON i.file = f.id WHERE f.series = ?1 AND i.visible GROUP BY i.sop_class")  \
    X(SERIES_UPDATE, "UPDATE series SET newest = ?2, ninstances = ?3, sop_classes = ?4,"           \
                     " modality = (SELECT modality FROM record WHERE file = ?2) WHERE id = ?1")

typedef enum sqlite_write_statement {
#define SQLITE_WRITE_ENUM(name, sql) DO_##name,
    STATEMENT_MAP(SQLITE_WRITE_ENUM)
#undef SQLITE_WRITE_ENUM
        WRITE_STATEMENTS
} sqlite_write_statement;
_Static_assert(WRITE_STATEMENTS <= WRITE_STATEMENTS_MAX, "raise WRITE_STATEMENTS_MAX");

typedef struct write_op {
    sqlite_index *index;
    int rc; /* SQLITE_OK until something fails */
} write_op;

void sqlite_write_begin(write_op *op, sqlite_index *index);
/* Keeps the operation, or undoes it: 0, or -1 with the first error. Commits unless a batch is under
   way and young. */
int sqlite_write_end(write_op *op, scp_error *error);

/* Statement steps; types and values as for sqlite_bind. */
void write_run(write_op *op, sqlite_write_statement which, const char *types, ...);
/* The first row's first column; 0: no row. */
int64_t write_find_id(write_op *op, sqlite_write_statement which, const char *types, ...);
/* For `while (write_next(op, rows))`: NULL (no rows) where the operation has failed. */
sqlite3_stmt *write_start(write_op *op, sqlite_write_statement which, const char *types, ...);
/* True while there are rows; then the statement is reset. */
bool write_next(write_op *op, sqlite3_stmt *statement);

/* The series is to be brought up to date, with its study and patient, before the commit. */
void write_touch_series(write_op *op, int64_t id);
void write_touch(write_op *op, sqlite_id_set *set, int64_t id);

/* index_sqlite_entities.c: brings the rows of the touched series, their studies and patients up to
   date, and deletes those that no file names any more. */
void write_refresh_entities(write_op *op);

#endif
