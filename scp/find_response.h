/* SPDX-License-Identifier: Apache-2.0 */
/*
 * find_response.h - who answers which key of a C-FIND, and the identifier of one answer (PS3.4
 * C.4.1.1.3.2).
 *
 * A key is answered by the index's record, or (SERIES and IMAGE level) by the data set of the file;
 * at PATIENT and STUDY level what the record cannot have is not supported. An answer holds exactly
 * the keys that were asked for, empty where there is no value, and the level, RetrieveAETitle and
 * where it is needed SpecificCharacterSet.
 *
 * Threads: a plan is immutable once made.
 */
#ifndef FIND_RESPONSE_H
#define FIND_RESPONSE_H

#include "identifier.h"

typedef enum key_source {
    KEY_NONE,    /* no key to answer or match: level, character set, group 0002, ... */
    KEY_RECORD,  /* the index's record */
    KEY_FILE,    /* the data set of the record's first instance */
    KEY_UNKNOWN, /* answered empty, not matched: the response is FF01 */
} key_source;

key_source find_key_source(query_level level, uint32_t tag);

/* The elements of the keys that have the source, copied: what a matcher is made of. Private ones
   are left out: their tags mean something in one file only. */
dcb_status find_keys_of(dcb_dataset **out, const scp_query *query, key_source source,
                        dcb_error *error);
/* Is there any key of that source? */
bool find_has_key(const scp_query *query, key_source source);
/* Every key is supported for existence and, where it has a value, for matching. */
bool find_keys_supported(const scp_query *query);

/* The identifier of one answer, encoded; free() *bytes. file may be NULL: its keys stay empty.
   availability: of the record's first instance; NULL where that was not asked for. */
dcb_status find_response_make(uint8_t **bytes, size_t *nbytes, const scp_query *query,
                              const dcb_dataset *record, const dcb_dataset *file,
                              const char *availability, const char *ae_title, dcb_error *error);

#endif
