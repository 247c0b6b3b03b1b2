/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.h - HTJ2K codestreams to samples and back, whatever library does the work.
 *
 * dcb__decode tries OpenJPH first (codec_openjph.cpp), then OpenJPEG (codec_openjpeg.c) where
 * OpenJPH is not compiled in or cannot; both give identical samples. Codec objects and buffers are
 * kept per thread and reused.
 *
 * Threads: any.
 */
#ifndef CODEC_H
#define CODEC_H

#include "dcb.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a codestream's main header says (ISO/IEC 15444-1 annex A). */
typedef struct dcb__codestream {
    uint32_t columns, rows; /* Xsiz - XOsiz, Ysiz - YOsiz */
    uint16_t components;
    uint16_t precision; /* bits of a sample; the same for all components */
    bool is_signed;
    bool reversible;  /* 5/3 */
    bool high_throughput; /* CAP marker with the HTJ2K bit (Part 15) */
    bool rpcl;        /* progression order */
    bool has_tlm;     /* tile-part lengths in the main header */
    uint8_t levels;   /* decomposition levels */
    uint16_t block_width, block_height;
    bool single_tile;
    bool component_transform; /* MCT */
} dcb__codestream;

/* Reads the main header of bytes[0..nbytes), which may be just the start of the codestream: it
   needs to reach the first SOT marker. Subsampled components, differing precisions, precision over
   32, zero sizes, and sizes over limits->max_pixel_bytes are refused. base is added to offsets in
   errors. */
dcb_status dcb__codestream_read(dcb__codestream *out, const uint8_t *bytes, size_t nbytes,
                                uint64_t base, const dcb_limits *limits, dcb_error *error);

/* 1.2.840.10008.1.2.4.201, .202 or .203 (dimse.md section 3; PS3.5 A.4.10). */
const char *dcb__codestream_syntax_uid(const dcb__codestream *codestream);

typedef enum dcb__codec {
    DCB_CODEC_ANY, /* OpenJPH, then OpenJPEG */
    DCB_CODEC_OPENJPH,
    DCB_CODEC_OPENJPEG
} dcb__codec;

bool dcb__codec_available(dcb__codec codec);

/* Decodes into samples: interleaved by pixel, little-endian containers of 1, 2 or 4 bytes (the
   smallest that holds the precision), sign-extended, of the size that header (after reduce) tells:
   nbytes must be exactly that. Truncated or damaged data fail; they never give partial pixels. */
dcb_status dcb__decode(void *samples, size_t nbytes, const dcb__codestream *header,
                       const uint8_t *codestream, size_t codestream_nbytes, uint32_t reduce,
                       dcb__codec codec, dcb_error *error);

/* Encodes as DiCube does: HTJ2K, 5/3 reversible, RPCL, 64x64 blocks, one tile, one layer, at most 5
   levels, no MCT. samples as dcb__decode gives them. free() *bytes. */
dcb_status dcb__encode(uint8_t **bytes, size_t *nbytes, const void *samples, uint32_t rows,
                       uint32_t columns, uint16_t components, uint16_t precision, bool is_signed,
                       dcb_error *error);

#ifdef __cplusplus
}
#endif
#endif
