/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset.h - how a dcb_dataset is kept; for dataset*.c alone.
 *
 * A data set and all its items live in one arena, owned by the outermost: making one is one malloc,
 * closing it frees a few blocks however many elements it has. What is replaced or removed stays in
 * the arena until then.
 *
 * Threads: as dcb_dataset (one at a time, or many that only read).
 */
#ifndef DATASET_H
#define DATASET_H

#include "data_set_writer.h"
#include "dcb.h"

typedef struct dcb__arena_block {
    struct dcb__arena_block *next;
    uint8_t bytes[];
} dcb__arena_block;

typedef struct dcb__arena {
    dcb__arena_block *blocks; /* all but the first, which comes with the owner */
    uint8_t *free;            /* free[0..left) is unused */
    size_t left, next_block;
} dcb__arena;

/* Invariant: elements[0..count) ascend strictly by tag. The items of an element are in an array
   with room for the next power of two >= nitems. */
struct dcb_dataset {
    dcb__arena *arena;
    dcb_element *elements;
    uint32_t count, capacity;
};

/* NULL: out of memory. align is a power of two, at most 8. */
void *dcb__arena_alloc(dcb__arena *arena, size_t nbytes, size_t align);

/* An owner whose first block has room for nbytes; NULL: out of memory. */
dcb_dataset *dcb__dataset_new(size_t nbytes);
/* An empty item in the arena; NULL: out of memory. */
dcb_dataset *dcb__dataset_new_item(dcb__arena *arena);
/* Room for one more element; false: out of memory. */
bool dcb__dataset_reserve(dcb_dataset *dataset);
/* The element with that tag, or a new one (zeroed but for the tag) in its place in the order; NULL:
   out of memory, which cannot be after dcb__dataset_reserve. */
dcb_element *dcb__dataset_place(dcb_dataset *dataset, uint32_t tag);
/* A copy of bytes in the arena, padded to even length as the VR asks; NULL: out of memory. */
const uint8_t *dcb__dataset_value(dcb__arena *arena, dcb_vr vr, const void *bytes, size_t nbytes);
/* Room for nitems items, never fewer than the next power of two; NULL: out of memory. */
dcb_dataset **dcb__dataset_item_array(dcb__arena *arena, size_t nitems);

/* dcb_dataset_parse without what is encapsulated in items (PS3.5 A.4 allows it for icons): another
   transfer syntax may not have it. The Icon Image Sequence is left out then. */
dcb_status dcb__dataset_parse_headers(dcb_dataset **out, const void *bytes, size_t nbytes,
                                      dcb_syntax syntax, dcb_vr_lookup lookup, void *lookup_context,
                                      const dcb_limits *limits, dcb_error *error);

/* dataset_encode.c: the elements with first <= tag <= last. */
void dcb__dataset_write(dcb__writer *writer, const dcb_dataset *dataset, uint32_t first,
                        uint32_t last);

#endif
