/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixel_layout.h - samples as a data set has them (containers of Bits Allocated, by plane or by
 * pixel) and as codecs do (the smallest container that holds the precision, by pixel), both ways.
 *
 * Threads: any.
 */
#ifndef PIXEL_LAYOUT_H
#define PIXEL_LAYOUT_H

#include "dcb.h"

typedef struct dcb__pixel_layout {
    uint32_t rows, columns;
    uint16_t samples;   /* per pixel */
    uint16_t allocated; /* bits of a container: 8, 16 or 32 */
    bool by_plane;      /* Planar Configuration 1 */
    bool is_signed;
} dcb__pixel_layout;

/* Bytes of the samples in the data set's form. */
uint64_t dcb__layout_nbytes(const dcb__pixel_layout *layout);
/* Bytes of a sample's container for codecs: 1, 2 or 4. */
unsigned dcb__codec_container(unsigned precision);

/* True where every sample, read as the whole container says, fits into the precision: then
   narrowing to it and widening again gives the same bytes. */
bool dcb__layout_fits(const dcb__pixel_layout *layout, const uint8_t *samples, unsigned precision);
/* The data set's form to the codec's. All samples must fit. */
void dcb__layout_to_codec(uint8_t *to, const dcb__pixel_layout *layout, const uint8_t *samples,
                          unsigned precision);
/* And back; containers are filled by sign or zeros. */
void dcb__layout_from_codec(uint8_t *to, const dcb__pixel_layout *layout, const uint8_t *samples,
                            unsigned precision);

#endif
