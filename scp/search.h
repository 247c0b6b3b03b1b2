/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search.h - the index searched by people: what C-FIND does, without a network.
 *
 * Values are as in C-FIND: wildcards, ranges of dates, names without regard to case and accents.
 *
 * Threads: a search belongs to one.
 */
#ifndef SEARCH_H
#define SEARCH_H

#include "index.h"

/* NULL or "": does not restrict. UTF-8. */
typedef struct search_keys {
    const char *patient_name, *patient_id, *accession_number;
    const char *study_date;  /* YYYYMMDD, or a range with a hyphen */
    const char *description; /* of the study */
    const char *modality;
    const char *study_uid, *series_uid; /* one each */
} search_keys;

typedef struct search search;

/* level: LEVEL_PATIENT, LEVEL_STUDY or LEVEL_SERIES. Keys of deeper levels do not count, but for
   modality at LEVEL_STUDY. keys are not needed afterwards. The error tells which key is wrong. */
int search_open(search **out, scp_index *index, query_level level, const search_keys *keys,
                scp_error *error);
/* It ends after that time; search_was_cut tells whether it did. */
void search_set_patience(search *s, int64_t ms);
bool search_was_cut(const search *s);
/* 1 with *record (borrowed until the next step; index_cursor_next tells what is in it), 0 at the
   end, -1. */
int search_next(search *s, const dcb_dataset **record, scp_error *error);
void search_close(search *s);

/* An element of a record as text, "" where it has none. Returns buffer. */
const char *search_text(const dcb_dataset *record, uint32_t tag, char *buffer, size_t size);

#endif
