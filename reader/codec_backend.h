/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec_backend.h - what a decoding library must do for codec.c, and what codec.c does for it.
 *
 * A backend is given a codestream that dcb__codestream_check has passed and a buffer of the right
 * size. It fails with DCB_ERR_UNSUPPORTED for what it cannot do, before it decodes.
 *
 * Threads: any.
 */
#ifndef CODEC_BACKEND_H
#define CODEC_BACKEND_H

#include "codec.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dcb__decode_job {
    uint8_t *samples;
    const dcb__codestream *header;
    const uint8_t *bytes;
    size_t nbytes;
    uint32_t reduce;
    uint32_t columns, rows; /* after reduce */
} dcb__decode_job;

/* Puts one row of one component into its place. False where a sample of a reversible codestream is
   outside its precision: the data are damaged. In irreversible ones and at lower resolutions a
   sound codestream may overshoot: there samples are clamped. */
bool dcb__put_row(const dcb__decode_job *job, uint32_t row, unsigned component,
                  const int32_t *values);

typedef struct dcb__encode_job {
    const uint8_t *samples;
    uint32_t columns, rows;
    uint16_t components, precision;
    bool is_signed;
    uint8_t levels;
} dcb__encode_job;

/* The reverse: false where a sample does not fit into the precision. */
bool dcb__get_row(int32_t *values, const dcb__encode_job *job, uint32_t row, unsigned component);

#if DCB_HAVE_OPENJPH
dcb_status dcb__openjph_decode(const dcb__decode_job *job, dcb_error *error);
dcb_status dcb__openjph_encode(uint8_t **bytes, size_t *nbytes, const dcb__encode_job *job,
                               dcb_error *error);
#endif
dcb_status dcb__openjpeg_decode(const dcb__decode_job *job, dcb_error *error);

#ifdef __cplusplus
}
#endif
#endif
