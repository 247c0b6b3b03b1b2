/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_schema.h - the tables of the SQLite index.
 *
 * file        every .dcbs file met, once for each series in it: part counts them from 0, and all
 *             files have part 0; reason is set for a bad one
 * record      of a good file's part: its level records (Explicit VR LE) and the keys that follow
 * instance    its frames; visible = 0 where a newer file holds the same SOP Instance UID
 *             in the same series
 * patient, study, series
 *             one row for each that a good file names; the columns newest, keys and counts are
 *             brought up to date with each file that comes or goes, so that a query only reads
 *
 * A study belongs to one patient row: the same StudyInstanceUID under another PatientID is another
 * row, never merged.
 */
#ifndef INDEX_SCHEMA_H
#define INDEX_SCHEMA_H

/* To be raised with any change below, or in what index_record.c keeps: the index is then rebuilt.
 */
#define INDEX_SCHEMA_VERSION 3

/* There is no SQL index on modality: it would never narrow as well as the others, and without
   statistics the planner might prefer it. */
#define INDEX_SCHEMA_SQL                                                                           \
    "CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT NOT NULL, part INTEGER NOT NULL,"        \
    "  nbytes INTEGER, mtime_ns INTEGER, inode INTEGER, reason TEXT, series INTEGER,"              \
    "  first_number INTEGER, UNIQUE (path, part));"                                                \
    "CREATE INDEX file_series ON file (series, first_number, path);"                               \
    "CREATE TABLE record (file INTEGER PRIMARY KEY, patient BLOB, study BLOB, series BLOB,"        \
    "  folded_names TEXT, study_date TEXT, accession TEXT, modality TEXT, varying INTEGER);"       \
    "CREATE TABLE instance (file INTEGER, frame INTEGER, sop_uid TEXT, sop_class TEXT,"            \
    "  number INTEGER, visible INTEGER, PRIMARY KEY (file, frame)) WITHOUT ROWID;"                 \
    "CREATE INDEX instance_uid ON instance (sop_uid);"                                             \
    "CREATE TABLE patient (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, patient_id TEXT,"     \
    "  newest INTEGER, nstudies INTEGER, nseries INTEGER, ninstances INTEGER);"                    \
    "CREATE INDEX patient_patient_id ON patient (patient_id);"                                     \
    "CREATE TABLE patient_name (folded TEXT, patient INTEGER, PRIMARY KEY (folded, patient))"      \
    "  WITHOUT ROWID;"                                                                             \
    "CREATE INDEX patient_name_patient ON patient_name (patient);"                                 \
    "CREATE TABLE study (id INTEGER PRIMARY KEY, patient INTEGER, uid TEXT, newest INTEGER,"       \
    "  study_date TEXT, accession TEXT, modalities TEXT, sop_classes TEXT, nseries INTEGER,"       \
    "  ninstances INTEGER, UNIQUE (patient, uid));"                                                \
    "CREATE INDEX study_uid ON study (uid);"                                                       \
    "CREATE INDEX study_date ON study (study_date);"                                               \
    "CREATE INDEX study_accession ON study (accession);"                                           \
    "CREATE TABLE series (id INTEGER PRIMARY KEY, study INTEGER, uid TEXT, newest INTEGER,"        \
    "  modality TEXT, sop_classes TEXT, ninstances INTEGER, UNIQUE (study, uid));"                 \
    "CREATE INDEX series_uid ON series (uid);"

#endif
