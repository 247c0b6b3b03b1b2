/* SPDX-License-Identifier: Apache-2.0 */
/*
 * golden_frames.h - every codestream of every .dcbs file below a folder, found by the container's
 * table alone (not by reader/).
 */
#ifndef GOLDEN_FRAMES_H
#define GOLDEN_FRAMES_H

#include <stddef.h>
#include <stdint.h>

typedef struct golden_frame {
    const char *path; /* of the file */
    uint64_t index, count;
    const uint8_t *bytes;
    size_t nbytes;
    uint64_t offset;
} golden_frame;

typedef void (*golden_frame_visit)(const golden_frame *frame, void *context);

/* Visits them in order of names; returns their number, 0 where there is no such folder. */
size_t golden_frames_each(const char *folder, golden_frame_visit visit, void *context);

#endif
