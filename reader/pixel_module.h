/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixel_module.h - makes the elements that describe pixels agree with the pixels that are in the
 * file (format section 3), which need not be the source's.
 *
 * Threads: one at a time, while a file is opened.
 */
#ifndef PIXEL_MODULE_H
#define PIXEL_MODULE_H

#include "codec.h"
#include "meta.h"
#include "pixel_header.h"

typedef struct dcb__pixel_module {
    dcb_pixel_format format;
    bool rescaled;       /* the source's stored values became others */
    bool lossy_rescale;  /* real values were rounded by the writer */
    const char *problem; /* why no pixels can be sent, or NULL: static text */
} dcb__pixel_module;

/* codestream: the main header that stands for all frames; NULL where none can be read (then the
   elements themselves are believed). Fails only for lack of memory. */
dcb_status dcb__pixel_module_apply(dcb__pixel_module *out, dcb__entries *entries, uint32_t nslices,
                                   const dcb__pixel_header *header,
                                   const dcb__codestream *codestream, dcb_error *error);

#endif
