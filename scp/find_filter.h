/* SPDX-License-Identifier: Apache-2.0 */
/*
 * find_filter.h - what of a query the index can narrow by.
 *
 * Invariant: the filter never leaves out a record that the query's matcher would take.
 */
#ifndef FIND_FILTER_H
#define FIND_FILTER_H

#include "identifier.h"

/* The strings that the filter borrows; those of the query's unique keys it borrows from there. */
typedef struct find_filter {
    index_filter index;
    char *patient_id, *accession_number, *patient_name_prefix, *modality;
    char date_from[9], date_to[9];
} find_filter;

/* The query's matcher must have been made: values are legal. False where memory ran out. Either way
   find_filter_clear frees; *out must not be moved. */
bool find_filter_make(find_filter *out, const scp_query *query);
void find_filter_clear(find_filter *filter);

#endif
