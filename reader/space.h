/* SPDX-License-Identifier: Apache-2.0 */
/* space.h - the space section: where the volume lies, in x, y, z order (format section 1). */
#ifndef SPACE_H
#define SPACE_H

#include "dcb.h"

typedef struct dcb__space {
    bool known; /* everything below is there and finite, spacings and directions are not zero */
    double columns, rows, slices;
    double origin[3];        /* of the first slice's first pixel */
    double spacing[3];       /* between columns, rows, slices */
    double x[3], y[3], z[3]; /* directions of rising column, row, slice */
} dcb__space;

/* Geometry is a help, not the image: a section that makes no sense is not known rather than an
   error. Fails only for lack of memory or a limit. */
dcb_status dcb__space_read(dcb__space *out, const uint8_t *bytes, size_t nbytes, uint64_t base,
                           dcb_error *error);

#endif
