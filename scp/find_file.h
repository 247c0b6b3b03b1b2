/* SPDX-License-Identifier: Apache-2.0 */
/*
 * find_file.h - the data set behind a record of a C-FIND, for keys that the index does not hold.
 *
 * The series stays open from one record to the next. Invariant: a data set is given only where the
 * file still holds what the index says (the series' or instance's UID agrees).
 *
 * Threads: one for each object.
 */
#ifndef FIND_FILE_H
#define FIND_FILE_H

#include "index.h"
#include "series_pool.h"

typedef struct find_file {
    char *path;
    dcb_series *series;
    dcb_dataset *dataset; /* of the last call */
} find_file;

/* *out is borrowed until the next call. At SERIES level it holds what the series' first, middle and
   last instance agree on: a value of one instance is none of its series. */
dcb_status find_file_dataset(const dcb_dataset **out, find_file *file, scp_index *index,
                             series_pool *pool, query_level level, const index_instance *instance,
                             dcb_error *error);
void find_file_clear(find_file *file);

#endif
