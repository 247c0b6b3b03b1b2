/* SPDX-License-Identifier: Apache-2.0 */
/* writer_geometry.h - dicom_status and space (format section 1) from what slices say of themselves.
   Threads: any. */
#ifndef WRITER_GEOMETRY_H
#define WRITER_GEOMETRY_H

#include "data_set_writer.h"
#include "writer_instance.h"

typedef struct dcb__slice_shape {
    dcb__geometry geometry;
    uint32_t rows, columns;
} dcb__slice_shape;

/* The word for the first thing that is wrong, in the order of format section 1. */
const char *dcb__geometry_status(const dcb__slice_shape *slices, uint32_t nslices,
                                 int64_t *scratch);
/* Appends the JSON of a regular volume; nothing where the slices are none. */
void dcb__geometry_space(dcb__writer *json, const dcb__slice_shape *slices, uint32_t nslices);
/* A finite number as JSON has it. */
void dcb__put_json_number(dcb__writer *json, double number);

#endif
