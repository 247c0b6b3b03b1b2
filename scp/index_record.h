/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_record.h - what an index keeps of one file: for each series in it, which is one nearly
 * always, the records of its patient, study and series, the keys that they are found by, and its
 * instances.
 *
 * Invariant: study and series UIDs are there and at most 64 characters long, and there is at least
 * one instance; a file that cannot give these makes no record. No two records of a file have the
 * same patient, study and series. Threads: a record is a plain value.
 */
#ifndef INDEX_RECORD_H
#define INDEX_RECORD_H

#include "../reader/dcb.h"

#define INDEX_UID_SIZE 65 /* PS3.5 section 9 */

typedef struct index_record_instance {
    uint32_t frame; /* in the file */
    char sop_instance_uid[INDEX_UID_SIZE];
    char sop_class_uid[INDEX_UID_SIZE];
    bool has_number;
    int32_t number; /* InstanceNumber */
} index_record_instance;

struct index_record {
    dcb_dataset *patient, *study, *series; /* UTF-8, without (0008,0005) */
    char *patient_key;  /* the same for the same patient: PatientID and issuer, or the study */
    char *patient_id;   /* trimmed; "" where there is none */
    char *folded_names; /* text_fold of PatientName and of its groups, separated by backslashes */
    char *study_uid, *series_uid;
    char *study_date; /* YYYYMMDD, or "" */
    char *accession_number, *modality;
    /* Bit i: the instances differ in series attribute i of index_record_tags(2), or it is too long
       to be kept, so that only the file can tell an instance's value. */
    uint64_t varying;
    uint32_t ninstances, capacity;
    index_record_instance *instances; /* ascending by frame */
    /* The file's next series: the writer stacks whatever lies in a folder. NULL: no more. */
    struct index_record *next;
    /* In the first record, of the whole file: slices without usable UIDs, which cannot be asked
       for and are in no record. */
    uint32_t nunusable;
    dcb_error unusable_reason; /* of the first of them */
};
typedef struct index_record index_record;

/* The status and message tell why a file cannot be indexed. */
dcb_status index_record_create(index_record **out, dcb_series *series, dcb_error *error);
/* The same from any source of data sets in UTF-8: get gives the one of a slice. */
dcb_status index_record_create_from(index_record **out, uint32_t nframes,
                                    dcb_status (*get)(dcb_dataset **out, void *context,
                                                      uint32_t frame, dcb_error *error),
                                    void *context, dcb_error *error);
/* The data set of a frame in UTF-8, also where its character set is not known: then all but ASCII
   becomes U+FFFD, as an instance is none the worse for an odd (0008,0005). */
dcb_status index_record_dataset(dcb_dataset **out, dcb_series *series, uint32_t frame,
                                dcb_error *error);
/* The same of a data set that is at hand. */
dcb_status index_record_to_utf8(dcb_dataset *dataset, dcb_error *error);
/* All records of the file. */
void index_record_close(index_record *record);

/* The attributes of a level that its records hold (LEVEL_PATIENT to LEVEL_SERIES in query_level's
   order, 0 to 2), ascending, ended by 0. */
const uint32_t *index_record_tags(int level);

#endif
