/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source_instance.h - data sets as modalities send them, in Explicit VR Little Endian with native
 * Pixel Data, of many kinds: for taking in and comparing with what comes out.
 *
 * Failures end the test program.
 */
#ifndef SOURCE_INSTANCE_H
#define SOURCE_INSTANCE_H

#include "dcb.h"

/* What is zero or NULL gets its default. */
typedef struct source_kind {
    const char *name;
    uint16_t rows, columns;     /* 5, 7 */
    uint16_t allocated, stored; /* 16, 12 */
    uint16_t samples;           /* 1 */
    bool is_signed;
    bool by_plane;
    const char *photometric;       /* MONOCHROME2, or RGB */
    const char *slope, *intercept; /* none */
    const char *charset, *patient; /* ISO_IR 100; bytes in that set */
    bool byte_pixels;              /* OB */
    bool high_bits;                /* values above Bits Stored, in slices after the first */
    bool rich;       /* private groups, nested sequences, odd and empty values, group lengths */
    bool after;      /* elements after Pixel Data */
    uint32_t excess; /* bytes of Pixel Data after the samples */
} source_kind;

/* free() it. */
uint8_t *source_instance(size_t *nbytes, const source_kind *kind, uint32_t slice);
/* The sample at a place, as the whole container says. */
int64_t source_sample(const source_kind *kind, uint32_t slice, uint32_t row, uint32_t column,
                      uint16_t sample);

extern const source_kind source_kinds[];
extern const size_t source_nkinds;

#endif
