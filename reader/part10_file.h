/* SPDX-License-Identifier: Apache-2.0 */
/*
 * part10_file.h - a single DICOM Part 10 file (PS3.10 section 7) as a series of one frame: kept
 * verbatim, given as it is, or in another transfer syntax.
 *
 * Threads: any, once opened.
 */
#ifndef PART10_FILE_H
#define PART10_FILE_H

#include "source.h"

typedef struct dcb__part10_file {
    char transfer_syntax_uid[65], sop_class_uid[65], sop_instance_uid[65];
    char study_uid[65], series_uid[65];
    uint64_t dataset_offset, file_nbytes;
    dcb_pixel_format pixel; /* rows 0: no pixels */
    dcb_vr_lookup lookup;   /* for Implicit VR; NULL: none */
    void *lookup_context;
} dcb__part10_file;

/* Does the source begin like a Part 10 file? */
dcb_status dcb__part10_detect(bool *out, const dcb__source *source, dcb_error *error);

/* *out is owned: free() it. */
dcb_status dcb__part10_open(dcb__part10_file **out, dcb__source *source, const dcb_limits *limits,
                            dcb_vr_lookup lookup, void *lookup_context, dcb_error *error);
/* The data set up to its Pixel Data. */
dcb_status dcb__part10_dataset(dcb_dataset **out, const dcb__part10_file *file,
                               const dcb__source *source, const dcb_limits *limits,
                               dcb_error *error);
/* STORED, or the file's own transfer syntax: the file itself. codec may be NULL. */
dcb_status dcb__part10_frame(dcb_frame **out, const dcb__part10_file *file,
                             const dcb__source *source, const dcb_limits *limits,
                             const dcb_pixel_codec *codec, dcb_encoding encoding, dcb_error *error);
/* The samples of its first frame, as dcb_series_pixels gives them. codec may be NULL. */
dcb_status dcb__part10_samples(void **samples, size_t *nbytes, dcb_pixel_format *format,
                               const dcb__part10_file *file, const dcb__source *source,
                               const dcb_limits *limits, const dcb_pixel_codec *codec,
                               dcb_error *error);

#endif
