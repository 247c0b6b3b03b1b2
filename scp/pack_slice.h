/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack_slice.h - what tells an instance's place in a .dcbs file: which instances go into one, and
 * in which order.
 *
 * Threads: plain values.
 */
#ifndef PACK_SLICE_H
#define PACK_SLICE_H

#include "../reader/dcb.h"

typedef struct pack_slice {
    uint64_t kind;  /* of rescale and samples: the same in one .dcbs file */
    bool has_place; /* position and direction are known */
    double direction[6], position[3];
    double location; /* along the normal of the series' first slice */
    int64_t number;  /* Instance Number; INT64_MAX: none */
    size_t source;   /* the caller's: which instance it is; settles ties */
} pack_slice;

#define PACK_SLICE_INIT                                                                            \
    {                                                                                              \
        .number = INT64_MAX                                                                        \
    }

/* The elements before Pixel Data are enough. */
void pack_slice_read(pack_slice *out, const dcb_dataset *dataset);
/* Along the normal of the slices, where all have a place of their own, else by Instance Number. */
void pack_slices_sort(pack_slice *slices, size_t n);
/* The kind of more than half of them; 0: there is none. */
uint64_t pack_common_kind(const pack_slice *slices, size_t n);

/* FNV-1a, one text after another: names files and groups them; nothing is kept out by it. */
uint64_t pack_hash(uint64_t hash, const char *text);
#define PACK_HASH_START UINT64_C(0xCBF29CE484222325)

/* Copies a file to a new name, synced; fails where the name is there. 0 or errno. */
int pack_copy(const char *from, const char *to);

#endif
