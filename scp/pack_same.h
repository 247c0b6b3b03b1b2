/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack_same.h - is what a .dcbs file gives back what came in?
 *
 * Threads: any.
 */
#ifndef PACK_SAME_H
#define PACK_SAME_H

#include "part10_file.h"

/* A hash of all elements before Pixel Data, with their values; of sources with encapsulated pixels
   without Photometric Interpretation and Planar Configuration, which decoding may change. 0: they
   cannot be had. */
uint64_t pack_content_of_source(const part10_file *source, const dcb_dataset *elements);
uint64_t pack_content_of_frame(dcb_series *series, uint32_t frame);
/* The frame of a file with the exact trailer holds the very instance: elements and samples. The
   source is decoded where it must be. */
bool pack_holds(dcb_series *series, uint32_t frame, part10_file *source);

#endif
