/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixel_codec.h - the codecs that libdcb leaves to its caller (dcb_pixel_codec): RLE, JPEG and
 * JPEG-LS by DCMTK (pixel_codec_dcmtk.cc), JPEG 2000 by OpenJPEG (pixel_codec_openjpeg.c).
 *
 * Threads: any. No exception leaves these.
 */
#ifndef PIXEL_CODEC_H
#define PIXEL_CODEC_H

#include "../reader/dcb.h"
#include "scp_error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Decodes RLE, JPEG (baseline, extended, progressive, lossless), JPEG-LS and JPEG 2000; encodes
   RLE, JPEG lossless (first-order prediction), JPEG-LS lossless and JPEG 2000 lossless. */
extern const dcb_pixel_codec pixel_codec;

/* The adapters: as dcb_pixel_codec has it, but for how they fail. */
bool pixel_codec_dcmtk_decode(void *samples, size_t nbytes, const dcb_pixel_shape *shape,
                              const char *transfer_syntax_uid, const void *codestream,
                              size_t codestream_nbytes, scp_error *error);
bool pixel_codec_dcmtk_encode(uint8_t **codestream, size_t *codestream_nbytes, const void *samples,
                              size_t nbytes, const dcb_pixel_shape *shape,
                              const char *transfer_syntax_uid, scp_error *error);
/* False where a codestream of JPEG, JPEG-LS or RLE is not of that shape. */
bool pixel_codec_check(const dcb_pixel_shape *shape, bool is_rle, const void *codestream,
                       size_t nbytes, scp_error *error);
/* reversible: fails where the codestream is not. */
bool pixel_codec_openjpeg_decode(void *samples, size_t nbytes, const dcb_pixel_shape *shape,
                                 bool reversible, const void *codestream, size_t codestream_nbytes,
                                 scp_error *error);
bool pixel_codec_openjpeg_encode(uint8_t **codestream, size_t *codestream_nbytes,
                                 const void *samples, size_t nbytes, const dcb_pixel_shape *shape,
                                 scp_error *error);

#ifdef __cplusplus
}
#endif
#endif
