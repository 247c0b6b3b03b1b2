/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer_instance.h - what an instance that is taken in is, and whether a DCB can hold it exactly.
 *
 * Threads: one for each instance.
 */
#ifndef WRITER_INSTANCE_H
#define WRITER_INSTANCE_H

#include "codec.h"
#include "pixel_layout.h"
#include "pixel_place.h"

#define DCB_UID_ROOM 65

typedef enum dcb__pixel_kind {
    DCB_PIXELS_NATIVE, /* in the data set */
    DCB_PIXELS_HTJ2K,  /* in the data set, to be kept as they are */
    DCB_PIXELS_GIVEN,  /* beside it, decoded by the caller */
} dcb__pixel_kind;

typedef struct dcb__geometry {
    bool has_number, has_spacing, has_direction, has_position;
    int64_t number;      /* Instance Number */
    double spacing[2];   /* between rows, between columns */
    double direction[6]; /* of rising column, rising row */
    double position[3];
    double thickness; /* 0: not known */
} dcb__geometry;

typedef struct dcb__instance {
    dcb_dataset *dataset; /* without Pixel Data */
    const uint8_t *bytes; /* the caller's */
    size_t nbytes;
    dcb__pixel_place place;
    dcb__pixel_kind kind;
    dcb__pixel_layout layout;
    const uint8_t *samples; /* of NATIVE and GIVEN */
    bool samples_by_plane;  /* GIVEN ones never are */
    size_t tail_nbytes;     /* of Pixel Data, after the samples */
    dcb_vr pixel_vr;
    uint64_t source_nbytes; /* of the whole data set with its pixels */
    uint16_t stored, flags; /* Bits Stored; dcb__slice_flag */
    double slope, intercept;
    bool has_window;
    double window_center, window_width;
    dcb__geometry geometry;
    char class_uid[DCB_UID_ROOM], instance_uid[DCB_UID_ROOM];
    char study_uid[DCB_UID_ROOM], series_uid[DCB_UID_ROOM], syntax_uid[DCB_UID_ROOM];
} dcb__instance;

/* DCB_ERR_UNSUPPORTED, DCB_ERR_DATASET and the like say why the instance cannot be held. */
dcb_status dcb__instance_describe(dcb__instance *out, const dcb_writer_instance *given,
                                  const dcb_limits *limits, dcb_error *error);
/* The same of a slice that the exact trailer of a file gives back: its bytes before Pixel Data,
   then `tail`, then what comes after. samples are for the caller to fill in. */
typedef struct dcb__given_slice {
    const uint8_t *bytes;
    size_t before_nbytes, tail_nbytes, after_nbytes;
    const char *syntax_uid;
    dcb_vr pixel_vr;
    uint16_t flags;
} dcb__given_slice;
dcb_status dcb__instance_describe_slice(dcb__instance *out, const dcb__given_slice *given,
                                        const dcb_limits *limits, dcb_error *error);
void dcb__instance_free(dcb__instance *instance);

#endif
