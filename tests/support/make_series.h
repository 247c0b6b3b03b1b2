/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_series.h - small series made in memory, of any metadata and any kind of pixels.
 *
 * Sample k of frame f is (f * 7 + k * 3) % 100, minus 50 where signed.
 *
 * Failures end the test program.
 */
#ifndef MAKE_SERIES_H
#define MAKE_SERIES_H

#include "dcb.h"

/* What is zero or NULL gets its default. */
typedef struct make_series {
    const char *elements;  /* members of _merged_data beside the four UIDs: "\"00100020\":{...}" */
    const char *meta_json; /* all of dicommeta instead; "": none */
    const char *pixel_header; /* PixelDtype by precision and sign, slope 1, intercept 0 */
    const char *space_json;   /* none */
    uint32_t nframes;         /* 1 */
    uint32_t rows, columns;   /* 4, 6 */
    uint16_t components;      /* 1 */
    uint16_t precision;       /* 16 */
    bool is_unsigned;
} make_series;

/* free() it. */
uint8_t *make_series_bytes(size_t *nbytes, const make_series *what);
dcb_status make_series_open(dcb_series **out, const make_series *what,
                            const dcb_open_options *options, dcb_error *error);
/* Opens bytes and frees them with the last reference, or where opening fails. */
dcb_status open_bytes(dcb_series **out, uint8_t *bytes, size_t nbytes,
                      const dcb_open_options *options, dcb_error *error);
/* The sample that a made frame has. */
int64_t made_sample(const make_series *what, uint32_t frame, size_t k);

#endif
