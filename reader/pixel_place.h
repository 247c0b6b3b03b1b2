/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixel_place.h - where Pixel Data stands in the bytes of a data set, which are otherwise left as
 * they are.
 *
 * Threads: any.
 */
#ifndef PIXEL_PLACE_H
#define PIXEL_PLACE_H

#include "dcb.h"

typedef struct dcb__pixel_place {
    size_t start, end;    /* of the element, header included */
    size_t value, nbytes; /* native: its value; encapsulated: items and delimiter */
    dcb_vr vr;
    bool encapsulated;
} dcb__pixel_place;

/* bytes are Explicit VR Little Endian. Walks the outermost elements; what is in sequences is only
   skipped. DCB_ERR_UNSUPPORTED where there is no Pixel Data. */
dcb_status dcb__pixel_place_find(dcb__pixel_place *out, const uint8_t *bytes, size_t nbytes,
                                 dcb_error *error);

/* The fragments of an encapsulated frame as one codestream, without the byte that pads it; free()
 * *codestream. */
dcb_status dcb__pixel_place_codestream(uint8_t **codestream, size_t *codestream_nbytes,
                                       const dcb__pixel_place *place, const uint8_t *bytes,
                                       dcb_error *error);

#endif
