/* SPDX-License-Identifier: Apache-2.0 */
/*
 * container.h - the DCB container (format section 1): header, sections, tables of frames.
 *
 * Invariant after dcb__container_read: every section lies inside the file, none overlaps another or
 * the header. Frames are checked one by one (dcb__container_frame), so that a bad one fails alone.
 *
 * Threads: immutable once read.
 */
#ifndef CONTAINER_H
#define CONTAINER_H

#include "dcb.h"
#include "source.h"

#define DCB_HEADER_NBYTES 116u

typedef struct dcb__frame_place {
    uint64_t offset, nbytes;
} dcb__frame_place;

typedef struct dcb__container {
    dcb_section sections[DCB_SECTION_COUNT];
    uint32_t nframes, empty_frames, cut_off_frames;
    uint64_t file_nbytes, max_frame_nbytes;
    dcb__frame_place *frames; /* as the tables have it, unchecked */
    uint8_t *overlapped;      /* a bit for each frame that shares bytes with another; may be NULL */
} dcb__container;

dcb_status dcb__container_read(dcb__container *out, const dcb__source *source,
                               const dcb_limits *limits, dcb_error *error);
void dcb__container_free(dcb__container *container);

/* The place of a frame's codestream, checked: inside the file, not empty, not over the limit, not
   in a section, not shared with another frame. frame < nframes. */
dcb_status dcb__container_frame(dcb__frame_place *out, const dcb__container *container,
                                uint32_t frame, dcb_error *error);

/* A section's bytes with a NUL and `padding` zero bytes after them; free() *bytes. Absent: NULL. */
dcb_status dcb__container_section(uint8_t **bytes, const dcb__source *source,
                                  const dcb_section *section, size_t padding, const char *name,
                                  dcb_error *error);

#endif
