/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixel_decode.h - encapsulated Pixel Data of one frame to samples: by pixel, little endian, in
 * containers of Bits Allocated.
 *
 * Threads: any. No exception leaves these.
 */
#ifndef PIXEL_DECODE_H
#define PIXEL_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scp_error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* RLE, JPEG lossless and JPEG-LS lossless, by DCMTK. dataset is Explicit VR Little Endian with its
   Pixel Data. free() *samples. */
bool pixel_decode_dcmtk(uint8_t **samples, size_t *nbytes, const void *dataset,
                        size_t dataset_nbytes, const char *syntax_uid, scp_error *error);

/* JPEG 2000 lossless, by OpenJPEG. codestream is one frame's; allocated is 8, 16 or 32. */
bool pixel_decode_j2k(uint8_t **samples, size_t *nbytes, const uint8_t *codestream,
                      size_t codestream_nbytes, unsigned rows, unsigned columns,
                      unsigned components, unsigned allocated, bool is_signed, scp_error *error);

#ifdef __cplusplus
}
#endif
#endif
