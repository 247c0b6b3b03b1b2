/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exact.h - instances of files with the exact trailer: the source's own bytes, changed only in what
 * another transfer syntax demands (FORMAT.md, "What leaves").
 *
 * Threads: any.
 */
#ifndef EXACT_H
#define EXACT_H

#include "series.h"

/* What stands around the pixels of one slice, in one encoding. */
typedef struct dcb__exact_parts {
    dcb__slice_bytes slice;
    uint8_t *edited; /* both parts anew, where the source's bytes do not fit; else NULL */
    size_t edited_nbytes, edited_cut;
} dcb__exact_parts;

/* All of the file but the frames: in place of the JSON. */
dcb_status dcb__exact_read(dcb_series *series, const dcb__pixel_header *header, dcb_error *error);

dcb_status dcb__exact_parts_open(dcb__exact_parts *out, dcb_series *series, uint32_t frame,
                                 dcb_encoding encoding, dcb_error *error);
void dcb__exact_parts_close(dcb__exact_parts *parts);
void dcb__exact_parts_write(dcb__writer *writer, const dcb__exact_parts *parts, dcb__part part);

/* The form of a slice's pixels in the source. */
dcb__pixel_layout dcb__exact_layout(const dcb_series *series, uint32_t frame);
/* Whether the bytes are those of the frame: DCB_ERR_CODESTREAM names it where they are not. */
dcb_status dcb__exact_check_frame(const dcb_series *series, uint32_t frame, uint64_t offset,
                                  const uint8_t *codestream, size_t nbytes, dcb_error *error);
/* What is the same in all slices, as Explicit VR Little Endian; free() *bytes. */
dcb_status dcb__exact_shared(uint8_t **bytes, size_t *nbytes, dcb_series *series, dcb_error *error);

#endif
