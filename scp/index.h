/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.h - what the archive holds, as queries and retrievals see it.
 *
 * An index knows files, and for each file its series, nearly always one, with their instances.
 * Records are data sets in
 * UTF-8 of the attributes that the level has (patient, study, series: from the newest file of it;
 * PS3.4 C.6.1.1, C.6.2.1), so that matching is the same code for every backend. A patient is a
 * PatientID with its IssuerOfPatientID; without a PatientID each study has a patient of its own.
 *
 * An SOP Instance UID that several files hold in one series (by its UID) is one instance: the
 * newest file (by mtime, then path) answers, and the others come back when it goes. All counts
 * count it once. In several series it is found in each.
 *
 * A backend is a table of functions (index_backend.h); SQLite's is index_sqlite.c. Another one is
 * added by writing such a table and having index_open choose it.
 *
 * Threads: any may write, one at a time by a lock within, and any number read, each through its own
 * cursor, which sees the index as it was when the cursor was made. A reader sees a file wholly or
 * not at all. Batches are one thread's: the scanner's.
 */
#ifndef INDEX_H
#define INDEX_H

#include "../reader/dcb.h"
#include "scp_error.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum query_level {
    LEVEL_PATIENT,
    LEVEL_STUDY,
    LEVEL_SERIES,
    LEVEL_IMAGE,
} query_level;

/* A file's identity on disk: the same stamp means the same content. */
typedef struct file_stamp {
    uint64_t nbytes;
    int64_t mtime_ns;
    uint64_t inode;
} file_stamp;

typedef struct index_totals {
    uint64_t patients, studies, series, instances;
    uint64_t files, bad_files;
    uint64_t file_bytes;  /* of all files */
    uint64_t index_bytes; /* of the index itself */
} index_totals;

/* One instance for retrieval. Strings are borrowed until the cursor's next step. */
typedef struct index_instance {
    const char *path;
    uint32_t frame;
    const char *sop_class_uid;
    const char *sop_instance_uid;
    const char *series_instance_uid;
    const char *study_instance_uid;
} index_instance;

/* What narrows a query before matching: values that need no interpretation. A restriction is never
   stricter than said here. index_find uses what belongs to its level and the levels above; the
   others do not restrict. Everything is borrowed for the call. NULL or 0: no restriction. */
typedef struct index_filter {
    const char *patient_id; /* exact, trimmed */
    const char *const *study_uids;
    uint32_t nstudy_uids;
    const char *const *series_uids;
    uint32_t nseries_uids;
    const char *const *sop_uids;
    uint32_t nsop_uids;
    const char *study_date_from, *study_date_to; /* YYYYMMDD, inclusive */
    const char *accession_number;                /* exact */
    /* Folded as by text_fold; of the whole PatientName or of any of its component groups. */
    const char *patient_name_prefix;
    const char *modality; /* exact; at study level: any of its series has it */
} index_filter;

typedef struct scp_index scp_index;
typedef struct index_cursor index_cursor;
typedef struct index_record index_record; /* what is kept of one file: index_record.h */

/* state_dir is made where it is missing (its parent is not). An index of another version or a
   damaged one is moved out of the way and begun anew, with a line in the log: it is made from the
   files. Fails where the folder cannot be written or another node uses it. */
int index_open(scp_index **out, const char *state_dir, scp_error *error);
/* The same, with nothing in it; what was there is kept as index.sqlite.old. */
int index_open_anew(scp_index **out, const char *state_dir, scp_error *error);
/* For reading only, also while a node uses it. */
int index_open_reading(scp_index **out, const char *state_dir, scp_error *error);
void index_close(scp_index *index);
int index_get_totals(scp_index *index, index_totals *totals, scp_error *error);

/* ---- Writing ---- */

/* Is the file known with this stamp? *bad tells whether it was bad then. */
int index_has_file(scp_index *index, const char *path, const file_stamp *stamp, bool *known,
                   bool *bad, scp_error *error);
/* Puts a file in, in place of what was known of the path, in one transaction. *nduplicates: its
   instances whose SOP Instance UID is held elsewhere too. */
int index_put_file(scp_index *index, const char *path, const file_stamp *stamp,
                   const index_record *record, uint32_t *nduplicates, scp_error *error);
/* *is_news: it was not known as bad with this stamp and reason, so the operator is to be told. */
int index_put_bad_file(scp_index *index, const char *path, const file_stamp *stamp,
                       const char *reason, bool *is_news, scp_error *error);
/* *removed: it was known. */
int index_remove_file(scp_index *index, const char *path, bool *removed, scp_error *error);
/* Removes the files below the folder (NULL: all files) that `keep` does not want. */
int index_remove_files(scp_index *index, const char *folder,
                       bool (*keep)(void *context, const char *path), void *context,
                       uint32_t *nremoved, scp_error *error);

/* One of several files that come together. */
typedef struct index_entry {
    const char *path;
    file_stamp stamp;
    const index_record *record;
} index_entry;

/* Puts the files in; readers see all of them when it returns 0. They are in or not one by one where
   it fails: put them again. */
int index_put_files(scp_index *index, const index_entry *entries, uint32_t nentries,
                    scp_error *error);

/* The entries' files come in the place of those of `gone`, in one transaction: readers see one
   state or the other, and where it fails nothing has changed. A file of gone may be unknown. */
int index_switch_files(scp_index *index, const index_entry *entries, uint32_t nentries,
                       const char *const *gone, uint32_t ngone, scp_error *error);

/* Between these two, writes are gathered in transactions of some 200 ms: readers see them a little
   later, and a scan is many times faster. A write that fails may take earlier ones of its batch
   with it: scan again. */
void index_begin_batch(scp_index *index);
int index_end_batch(scp_index *index, scp_error *error);

/* ---- Reading: any thread ---- */

/* Records of one level. */
int index_find(index_cursor **out, scp_index *index, query_level level, const index_filter *filter,
               scp_error *error);
/* The next record: 1 with *record (owned by the cursor, until the next step), 0 at the end, -1.
   The record has the level's attributes, those of the levels above, the computed ones
   (NumberOf..., ModalitiesInStudy, SOPClassesInStudy) and, at IMAGE level, SOP UIDs and
   InstanceNumber. */
int index_cursor_next(index_cursor *cursor, const dcb_dataset **record, scp_error *error);
/* At IMAGE level: does the instance's series differ in this series attribute from instance to
   instance? Then the record is without it, and only the file can tell. */
bool index_cursor_varies(const index_cursor *cursor, uint32_t tag);
/* Where the record's first instance lies, for keys that only the file can answer. */
int index_cursor_instance(index_cursor *cursor, index_instance *instance, scp_error *error);
void index_cursor_close(index_cursor *cursor);

/* Instances for retrieval, in order of study, series and the file's slice order; all of the filter
   restricts. */
int index_find_instances(index_cursor **out, scp_index *index, const index_filter *filter,
                         scp_error *error);
/* 1, 0 at the end, -1. */
int index_cursor_next_instance(index_cursor *cursor, index_instance *instance, scp_error *error);

#endif
