/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_codestream.c - bytes as a codestream: its header, the walk over its packets, and both
 * decoding libraries. The first byte chooses how many resolution levels are dropped (modulo 4).
 *
 * Beyond not crashing: the header is the same when read from no more bytes than it has; decoding
 * that has succeeded fills every sample and does the same again. That both libraries agree is
 * tested on sound frames: what a damaged code-block means is nowhere defined, and where neither
 * notices the damage (corpus: damaged_block) each conceals it in its own way.
 */
#include <string.h>

#include "codec.h"
#include "fuzz.h"

#define MAX_LEVELS_DROPPED 4

static const dcb_limits limits = {1, 1, 1u << 20, 256u << 10, 1, 1, 1};

typedef struct decoded {
    dcb_status status;
    uint8_t *samples; /* NULL where it failed */
} decoded;

static decoded decode(const dcb__codestream *header, size_t nbytes, fuzz_input input,
                      uint32_t reduce, dcb__codec codec, uint8_t fill)
{
    dcb_error error = DCB_ERROR_INIT;
    decoded made = {DCB_OK, malloc(nbytes)};
    FUZZ_CHECK(made.samples != NULL);
    memset(made.samples, fill, nbytes);
    made.status =
        dcb__decode(made.samples, nbytes, header, input.bytes, input.nbytes, reduce, codec, &error);
    if (made.status == DCB_OK)
        return made;
    FUZZ_CHECK(error.status == made.status && error.message[0] != '\0');
    free(made.samples);
    made.samples = NULL;
    return made;
}

static void check_same(decoded a, decoded b, size_t nbytes)
{
    if (a.samples != NULL && b.samples != NULL)
        FUZZ_CHECK(memcmp(a.samples, b.samples, nbytes) == 0);
}

static void check_decoding(const dcb__codestream *header, fuzz_input input, uint32_t reduce)
{
    size_t nbytes = (size_t)dcb__codestream_reduced(header->columns, reduce) *
                    dcb__codestream_reduced(header->rows, reduce) * header->components *
                    dcb__codestream_sample_nbytes(header);
    FUZZ_CHECK(nbytes <= limits.max_pixel_bytes);
    decoded jph = decode(header, nbytes, input, reduce, DCB_CODEC_OPENJPH, 0x55);
    decoded jpeg = decode(header, nbytes, input, reduce, DCB_CODEC_OPENJPEG, 0xAA);
    decoded any = decode(header, nbytes, input, reduce, DCB_CODEC_ANY, 0x33);
    decoded again = decode(header, nbytes, input, reduce, DCB_CODEC_OPENJPEG, 0xCC);
    check_same(jpeg, again, nbytes);
    check_same(jph.status != DCB_ERR_UNSUPPORTED ? jph : jpeg, any, nbytes);
    FUZZ_CHECK(any.status == (jph.status == DCB_ERR_UNSUPPORTED ? jpeg.status : jph.status));
    free(jph.samples);
    free(jpeg.samples);
    free(any.samples);
    free(again.samples);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    fuzz_input input = {bytes, nbytes};
    uint32_t reduce = fuzz_take_byte(&input) % MAX_LEVELS_DROPPED;
    dcb__codestream header, again;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status =
        dcb__codestream_read(&header, input.bytes, input.nbytes, 0, &limits, &error);
    FUZZ_CHECK(error.status == status && (status == DCB_OK || error.message[0] != '\0'));
    if (status != DCB_OK)
        return 0;
    FUZZ_CHECK(header.header_nbytes <= input.nbytes && dcb__codestream_syntax_uid(&header) != NULL);
    FUZZ_CHECK(dcb__codestream_read(&again, input.bytes, header.header_nbytes + 4, 0, &limits,
                                    NULL) == DCB_OK);
    FUZZ_CHECK(memcmp(&header, &again, sizeof header) == 0);
    check_decoding(&header, input, reduce);
    return 0;
}
