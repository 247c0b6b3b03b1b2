/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.h - HTJ2K codestreams to samples and back, whatever library does the work.
 *
 * dcb__decode tries OpenJPH first (codec_openjph.cpp), then OpenJPEG (codec_openjpeg.c) where
 * OpenJPH is not compiled in or cannot; both give identical samples. Irreversible codestreams (9/7)
 * are OpenJPEG's alone: rounded to the nearest integer there, and clamped to the precision.
 *
 * Memory: at most 8 bytes a sample (OpenJPEG's planes of 32-bit words and its wavelet's) beside the
 * caller's buffer. Sizes have met max_pixel_bytes before.
 *
 * Threads: any.
 */
#ifndef CODEC_H
#define CODEC_H

#include "dcb.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DCB_CODESTREAM_MAX_LEVELS 32
#define DCB_CODESTREAM_MAX_BANDS  (3 * DCB_CODESTREAM_MAX_LEVELS + 1)

/* What a codestream's main header says (ISO/IEC 15444-1 annex A). */
typedef struct dcb__codestream {
    uint32_t columns, rows; /* Xsiz - XOsiz, Ysiz - YOsiz */
    uint32_t x0, y0;        /* XOsiz, YOsiz */
    uint32_t tile_x0, tile_y0, tile_width, tile_height, tiles_across, tiles_down;
    uint16_t components;
    uint16_t precision; /* bits of a sample; the same for all components */
    bool is_signed;
    bool reversible; /* 5/3 */
    uint8_t order;   /* of progression: LRCP, RLCP, RPCL, PCRL, CPRL */
    bool rpcl;
    bool has_tlm;   /* tile-part lengths in the main header */
    uint8_t levels; /* decomposition levels */
    uint16_t block_width, block_height;
    uint8_t precincts[DCB_CODESTREAM_MAX_LEVELS + 1]; /* by resolution: log2 width | height << 4 */
    bool single_tile;
    bool component_transform; /* MCT */
    /* Nothing in it but what DiCube's and our encoders write: one tile at the origin, one precinct
       for each resolution, resolutions before components, plain HT blocks. OpenJPH is given these
       only. */
    bool plain;
    /* Resolutions without any sample of their own: more levels than the size has halves. */
    bool has_empty_resolution;
    uint32_t header_nbytes;                       /* offset of the first SOT marker */
    uint8_t max_bit_planes;                       /* the largest of bit_planes */
    uint8_t bit_planes[DCB_CODESTREAM_MAX_BANDS]; /* Mb (annex E.1) by band: LL, then HL LH HH */
} dcb__codestream;

/* Reads the main header of bytes[0..nbytes), which may be just the start of the codestream: it
   needs to reach the first SOT marker. Codestreams without HTJ2K, subsampled components, differing
   precisions, precision over 32, several layers, coding that differs between components or tiles,
   zero sizes, and sizes over limits->max_pixel_bytes are refused.
   limits may be NULL: DCB_LIMITS_INIT. base is added to offsets in errors. */
dcb_status dcb__codestream_read(dcb__codestream *out, const uint8_t *bytes, size_t nbytes,
                                uint64_t base, const dcb_limits *limits, dcb_error *error);

/* Walks the whole codestream that the header was read from: all tiles are there, every tile-part
   lies within the bytes, every packet header is sound, the packets fill the tile-parts exactly, the
   end marker is there. Truncation at any byte fails here. */
dcb_status dcb__codestream_check(const dcb__codestream *header, const uint8_t *bytes, size_t nbytes,
                                 dcb_error *error);

/* Size of one dimension after `reduce` resolution levels are dropped. */
uint32_t dcb__codestream_reduced(uint32_t size, uint32_t reduce);

/* Bytes of a sample's container: 1, 2 or 4. */
size_t dcb__codestream_sample_nbytes(const dcb__codestream *header);

/* 1.2.840.10008.1.2.4.201; .203 where irreversible; .202 where reversible and it meets the RPCL
   rules (PS3.5 10.18): RPCL, TLM, width or height of the lowest resolution at most 64. */
const char *dcb__codestream_syntax_uid(const dcb__codestream *codestream);

typedef enum dcb__codec {
    DCB_CODEC_ANY, /* OpenJPH, then OpenJPEG */
    DCB_CODEC_OPENJPH,
    DCB_CODEC_OPENJPEG
} dcb__codec;

bool dcb__codec_available(dcb__codec codec);

/* Decodes into samples: interleaved by pixel, little-endian containers of 1, 2 or 4 bytes (the
   smallest that holds the precision), sign-extended, of the size that header (after reduce) tells:
   nbytes must be exactly that. 1 to 4 components; component transforms are undone. Truncated or
   damaged data fail with DCB_ERR_CODESTREAM; they never give partial pixels. What the codec cannot
   do fails with DCB_ERR_UNSUPPORTED, and only then does DCB_CODEC_ANY try the next one. */
dcb_status dcb__decode(void *samples, size_t nbytes, const dcb__codestream *header,
                       const uint8_t *codestream, size_t codestream_nbytes, uint32_t reduce,
                       dcb__codec codec, dcb_error *error);

/* Encodes as DiCube does: HTJ2K, 5/3 reversible, RPCL, 64x64 blocks, one tile, one layer, at most 5
   levels, no MCT. samples as dcb__decode gives them. The result has been decoded again and
   compared. Precisions up to 26 bits with OpenJPH before 0.21, 32 from there on; without OpenJPH
   none (DCB_ERR_UNSUPPORTED). A sample outside the precision is DCB_ERR_ARGUMENT. free() *bytes. */
dcb_status dcb__encode(uint8_t **bytes, size_t *nbytes, const void *samples, uint32_t rows,
                       uint32_t columns, uint16_t components, uint16_t precision, bool is_signed,
                       dcb_error *error);

#ifdef __cplusplus
}
#endif
#endif
