/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer_merge.h - dicommeta as DiCube has it (format section 2), grown slice by slice.
 *
 * Memory: what slices share once, what differs for each run of slices that have the same.
 * Threads: one at a time.
 */
#ifndef WRITER_MERGE_H
#define WRITER_MERGE_H

#include "arena.h"
#include "data_set_writer.h"
#include "dcb.h"

typedef struct dcb__merged dcb__merged;

/* The elements of one data set, or of the items of one number. Ascends by tag. */
typedef struct dcb__merge_level {
    dcb__merged *list;
    uint32_t count, capacity;
} dcb__merge_level;

typedef struct dcb__merge {
    dcb__arena arena;
    dcb__merge_level root;
    uint32_t nslices;
} dcb__merge;

void dcb__merge_init(dcb__merge *merge);
void dcb__merge_free(dcb__merge *merge);
/* The next slice: its data set in UTF-8 where that can be had, and its own (0008,0005), or NULL. */
dcb_status dcb__merge_add(dcb__merge *merge, const dcb_dataset *dataset, const dcb_element *charset,
                          dcb_error *error);
/* Appends the JSON, in pure ASCII. */
dcb_status dcb__merge_write(dcb__writer *json, const dcb__merge *merge, dcb_error *error);

#endif
