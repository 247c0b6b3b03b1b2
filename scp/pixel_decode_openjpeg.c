/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixel_decode_openjpeg.c - JPEG 2000 codestreams of part 1, which libdcb does not hold.
 *
 * A codestream that is not reversible, or not of the shape that the data set tells, is refused.
 */
#include "pixel_decode.h"

#include <openjpeg.h>
#include <stdlib.h>
#include <string.h>

typedef struct memory {
    const uint8_t *bytes;
    size_t nbytes, pos;
} memory;

static OPJ_SIZE_T read_memory(void *to, OPJ_SIZE_T nbytes, void *context)
{
    memory *m = context;
    size_t left = m->nbytes - m->pos, n = nbytes < left ? nbytes : left;
    if (n == 0)
        return (OPJ_SIZE_T)-1;
    memcpy(to, m->bytes + m->pos, n);
    m->pos += n;
    return n;
}

static OPJ_OFF_T skip_memory(OPJ_OFF_T nbytes, void *context)
{
    memory *m = context;
    if (nbytes < 0 || (uint64_t)nbytes > m->nbytes - m->pos)
        return -1;
    m->pos += (size_t)nbytes;
    return nbytes;
}

static OPJ_BOOL seek_memory(OPJ_OFF_T at, void *context)
{
    memory *m = context;
    if (at < 0 || (uint64_t)at > m->nbytes)
        return OPJ_FALSE;
    m->pos = (size_t)at;
    return OPJ_TRUE;
}

static void be_quiet(const char *text, void *context)
{
    (void)text;
    (void)context;
}

/* The transform of the first COD marker segment (ISO/IEC 15444-1 A.6.1): 1 is 5/3, reversible. */
static bool is_reversible(const uint8_t *bytes, size_t nbytes)
{
    for (size_t at = 2; at + 4 <= nbytes;) {
        unsigned marker = (unsigned)bytes[at] << 8 | bytes[at + 1];
        unsigned length = (unsigned)bytes[at + 2] << 8 | bytes[at + 3];
        if (marker == 0xFF52)
            return length >= 12 && at + 14 <= nbytes && bytes[at + 13] == 1;
        if (marker == 0xFF90 || marker >> 8 != 0xFF || length < 2) /* the tiles begin */
            return false;
        at += 2 + (size_t)length;
    }
    return false;
}

static bool has_shape(const opj_image_t *image, unsigned rows, unsigned columns,
                      unsigned components, unsigned allocated, bool is_signed)
{
    if (image->numcomps != components)
        return false;
    for (unsigned k = 0; k < components; k++) {
        const opj_image_comp_t *c = &image->comps[k];
        if (c->w != columns || c->h != rows || c->prec > allocated || c->prec > 31 ||
            (c->sgnd != 0) != is_signed || c->data == NULL)
            return false;
    }
    return true;
}

static opj_image_t *decode(const uint8_t *codestream, size_t nbytes)
{
    memory m = {codestream, nbytes, 0};
    opj_image_t *image = NULL;
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_default_create(OPJ_TRUE);
    bool good = codec != NULL && stream != NULL;
    if (good) {
        opj_set_info_handler(codec, be_quiet, NULL);
        opj_set_warning_handler(codec, be_quiet, NULL);
        opj_set_error_handler(codec, be_quiet, NULL);
        opj_stream_set_user_data(stream, &m, NULL);
        opj_stream_set_user_data_length(stream, nbytes);
        opj_stream_set_read_function(stream, read_memory);
        opj_stream_set_skip_function(stream, skip_memory);
        opj_stream_set_seek_function(stream, seek_memory);
        good = opj_setup_decoder(codec, &parameters) != OPJ_FALSE &&
               opj_decoder_set_strict_mode(codec, OPJ_TRUE) != OPJ_FALSE &&
               opj_read_header(stream, codec, &image) != OPJ_FALSE &&
               opj_decode(codec, stream, image) != OPJ_FALSE &&
               opj_end_decompress(codec, stream) != OPJ_FALSE;
    }
    if (!good && image != NULL) {
        opj_image_destroy(image);
        image = NULL;
    }
    if (stream != NULL)
        opj_stream_destroy(stream);
    if (codec != NULL)
        opj_destroy_codec(codec);
    return image;
}

bool pixel_decode_j2k(uint8_t **samples, size_t *nbytes, const uint8_t *codestream,
                      size_t codestream_nbytes, unsigned rows, unsigned columns,
                      unsigned components, unsigned allocated, bool is_signed, scp_error *error)
{
    *samples = NULL;
    *nbytes = 0;
    if (!is_reversible(codestream, codestream_nbytes))
        return scp_fail(error, "its JPEG 2000 codestream is not reversible") == 0;
    opj_image_t *image = decode(codestream, codestream_nbytes);
    if (image == NULL)
        return scp_fail(error, "its JPEG 2000 codestream cannot be decoded") == 0;
    size_t size = allocated / 8, pixels = (size_t)rows * columns;
    uint8_t *own = malloc(pixels * components * size + 1);
    bool good = own != NULL && has_shape(image, rows, columns, components, allocated, is_signed);
    for (unsigned k = 0; good && k < components; k++)
        for (size_t i = 0; i < pixels; i++) {
            uint32_t value = (uint32_t)image->comps[k].data[i];
            for (size_t b = 0; b < size; b++)
                own[(i * components + k) * size + b] = (uint8_t)(value >> (8 * b));
        }
    opj_image_destroy(image);
    if (!good) {
        free(own);
        return scp_fail(error, "its JPEG 2000 codestream is not what the data set describes") == 0;
    }
    *samples = own;
    *nbytes = pixels * components * size;
    return true;
}
