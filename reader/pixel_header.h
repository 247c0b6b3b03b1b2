/* SPDX-License-Identifier: Apache-2.0 */
/* pixel_header.h - the pixel_header section: how stored values become real ones (format sections 1
   and 4). Both spellings of its keys are taken, unknown keys are tolerated. */
#ifndef PIXEL_HEADER_H
#define PIXEL_HEADER_H

#include "dcb.h"

typedef struct dcb__pixel_header {
    double slope, intercept; /* 1 and 0 where null */
    uint16_t bits;           /* of the container: 8, 16 or 32 */
    bool is_signed;
    bool upper_snake; /* the keys' spelling before v0.2.0 */
    bool has_trailer; /* it announces the exact trailer (FORMAT.md) */
    bool has_window;
    double window_center, window_width;
} dcb__pixel_header;

/* bytes as dcb__container_section gives them, with DCB_JSON_PADDING; base is the section's offset.
 */
dcb_status dcb__pixel_header_read(dcb__pixel_header *out, const uint8_t *bytes, size_t nbytes,
                                  uint64_t base, dcb_error *error);

#endif
