/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - how libdcb makes a dcb_frame: one allocation with the three UIDs and the Part 10 bytes.
 *
 * Threads: the bytes may be written by the maker until the frame is handed to anybody else.
 */
#ifndef FRAME_H
#define FRAME_H

#include "dcb.h"

typedef struct dcb__frame_layout {
    size_t part10_nbytes;  /* of the whole file */
    size_t dataset_offset; /* where the data set begins in it */
    const char *transfer_syntax_uid;
    const char *sop_class_uid;
    const char *sop_instance_uid;
} dcb__frame_layout;

/* The UIDs are copied; *bytes is to be filled, all layout->part10_nbytes of it. */
dcb_status dcb__frame_create(dcb_frame **out, uint8_t **bytes, const dcb__frame_layout *layout,
                             dcb_error *error);

/* Bytes of the allocation: what a frame costs the cache. */
size_t dcb__frame_footprint(const dcb_frame *frame);

#endif
