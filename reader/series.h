/* SPDX-License-Identifier: Apache-2.0 */
/*
 * series.h - how an open series is kept; for series*.c and instance.c alone.
 *
 * Invariant: all but the atomics is set while opening and never changes.
 *
 * Threads: any. What is made lazily (variants, what is known of frames) is made by whoever comes
 * first, without a lock: a loser of the race throws his own away.
 */
#ifndef SERIES_H
#define SERIES_H

#include <stdatomic.h>

#include "codec.h"
#include "container.h"
#include "frame_cache.h"
#include "part10_file.h"
#include "pixel_header.h"
#include "read_ahead.h"
#include "series_model.h"
#include "space.h"
#include "trailer.h"
#include "variant.h"

/* Variants: by syntax, and STORED where its Photometric Interpretation is another. */
#define DCB_VARIANT_STORED 3
#define DCB_NVARIANTS      4

typedef struct dcb__shape {
    uint32_t rows, columns; /* 0: the metadata does not say */
} dcb__shape;

struct dcb_series {
    atomic_uint references;
    atomic_bool closed;
    dcb__source *source;
    dcb__part10_file *part10; /* NULL: a DCB file; else model and container are empty */
    dcb__container container;
    dcb__trailer *trailer; /* of our own files; NULL: none, or not to be used */
    bool ignore_trailer;
    dcb_limits limits;
    const dcb_pixel_codec *codec; /* NULL: none */
    char dicom_status[64];
    dcb_series_info info;
    dcb_error invalid_value;   /* the first of the values left out; status DCB_OK: none */
    const char *pixel_problem; /* no instance can be made: why; static text, or NULL */
    bool has_common;
    dcb__codestream common; /* what all frames' main headers should say */
    dcb__shape *shapes;     /* one for all, or one for each slice */
    bool shapes_differ;
    dcb__model *model;
    atomic_uchar *known; /* for each frame: 1 once its header was found to be the common one */
    _Atomic(dcb__variant *) variants[DCB_NVARIANTS][2]; /* native, UTF-8 */
    uint32_t cache_frames, prefetch_frames;
    dcb_encoding encoding;       /* of DCB_ENCODING_DEFAULT */
    dcb__cache_series *cache;    /* NULL: none */
    dcb__read_ahead *read_ahead; /* NULL: none */
};

/* series.c: DCB_ERR_CLOSED or DCB_ERR_RANGE where no call on this frame can be made. */
dcb_status dcb__series_check_call(dcb_series *series, uint32_t frame, dcb_error *error);

/* series_open.c */

/* Everything but the frames. */
dcb_status dcb__series_read(dcb_series *series, dcb_error *error);
/* The main header that frames are compared with, where any can be read. */
dcb_status dcb__series_find_common(dcb_series *series, dcb_error *error);
/* dicommeta unpacked; free() *json, which has DCB_JSON_PADDING. */
dcb_status dcb__series_unpack_meta(uint8_t **json, size_t *nbytes, const dcb_series *series,
                                   dcb_error *error);
/* *out is not known where the section is absent or makes no sense. */
dcb_status dcb__series_read_space(dcb__space *out, const dcb_series *series, dcb_error *error);

/* frame_codestream.c */

/* The main header of a frame, checked against the metadata; place is set too. Where it was read
   before, it is the common one's, without what only decoders need. */
dcb_status dcb__frame_header(dcb__codestream *out, dcb__frame_place *place, dcb_series *series,
                             uint32_t frame, dcb_error *error);
/* The whole codestream, checked; free() *bytes. */
dcb_status dcb__frame_codestream(uint8_t **bytes, dcb__codestream *header, dcb__frame_place *place,
                                 dcb_series *series, uint32_t frame, dcb_error *error);
/* The same to `to`, which has place->nbytes. */
dcb_status dcb__read_codestream(uint8_t *to, dcb__codestream *header, dcb_series *series,
                                uint32_t frame, const dcb__frame_place *place, dcb_error *error);
/* What the metadata and the header say of a codestream's pixels. */
dcb_pixel_format dcb__pixel_format_of(const dcb_series *series, const dcb__codestream *header);

/* instance.c */

/* The instance, made anew: a dcb__cache_load. */
dcb_status dcb__instance_make(dcb_frame **out, void *series, uint32_t frame, dcb_encoding encoding,
                              dcb_error *error);
/* The data set without Pixel Data in Explicit VR Little Endian; free() *bytes. */
dcb_status dcb__instance_dataset(uint8_t **bytes, size_t *nbytes, dcb_series *series,
                                 uint32_t frame, dcb_error *error);
#endif
