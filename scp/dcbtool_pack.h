/* SPDX-License-Identifier: Apache-2.0 */
/* dcbtool_pack.h - the files that dcbtool pack is to take, in order. One thread. */
#ifndef DCBTOOL_PACK_H
#define DCBTOOL_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pack_slice.h"

typedef struct pack_file {
    char *path;
    uint64_t nbytes;
    uint64_t series_hash; /* of Study and Series Instance UID */
    pack_slice slice;
    bool added;        /* to the writer */
    char problem[160]; /* why it can only be kept as it is; "": nothing known yet */
} pack_file;

typedef struct pack_list {
    pack_file *files;
    size_t count, capacity;
    uint64_t nothers, nunreadable; /* not DICOM; not to be read, and told so */
} pack_list;

typedef struct pack_reason {
    char text[160];
    uint64_t count;
} pack_reason;

/* A file, or all files of a folder and its folders. Returns a dcbtool_exit. */
int pack_list_add(pack_list *list, const char *path);
/* By series; in each along the normal of its slices, where all have a place of their own, else by
   Instance Number. False: out of memory. */
bool pack_list_sort(pack_list *list);
void pack_list_free(pack_list *list);

#endif
