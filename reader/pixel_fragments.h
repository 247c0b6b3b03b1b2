/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixel_fragments.h - which fragments of encapsulated Pixel Data make up which frame (PS3.5 A.4).
 *
 * Threads: any, once read.
 */
#ifndef PIXEL_FRAGMENTS_H
#define PIXEL_FRAGMENTS_H

#include "pixel_place.h"

typedef struct dcb__fragment {
    size_t at;
    uint32_t nbytes;
} dcb__fragment;

typedef struct dcb__fragments {
    const uint8_t *bytes; /* borrowed */
    dcb__fragment *items; /* without the offset table */
    uint32_t nitems;
    uint32_t nframes;
    bool marked;     /* codestreams end with FFD9: JPEG's family */
    uint32_t *first; /* of each frame, and nitems */
} dcb__fragments;

/* A fragment a frame where there are as many, else by the Basic Offset Table, else by end markers
   where the codestreams have them (marked). Where the fragments cannot be attributed to nframes:
   DCB_ERR_CODESTREAM. */
dcb_status dcb__fragments_read(dcb__fragments *out, const dcb__pixel_place *place,
                               const uint8_t *bytes, uint32_t nframes, bool marked,
                               dcb_error *error);
void dcb__fragments_free(dcb__fragments *fragments);

/* A frame's codestream without the byte that pads it, in place or joined in *own: free() that. */
dcb_status dcb__fragments_frame(const uint8_t **codestream, size_t *nbytes, uint8_t **own,
                                const dcb__fragments *fragments, uint32_t frame, dcb_error *error);

#endif
