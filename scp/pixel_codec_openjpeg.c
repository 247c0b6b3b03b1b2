/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixel_codec_openjpeg.c - JPEG 2000 codestreams of part 1, which libdcb does not hold.
 *
 * A codestream that is not of the shape that the data set tells is refused.
 */
#include "pixel_codec.h"

#include <openjpeg.h>
#include <stdlib.h>
#include <string.h>

/* ---- Streams in memory ----------------------------------------------------------------------- */

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

/* ---- Decoding -------------------------------------------------------------------------------- */

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

/* By its header alone: before anything is allocated for its samples. */
static bool has_shape(const opj_image_t *image, const dcb_pixel_shape *shape)
{
    if (image->numcomps != shape->samples_per_pixel)
        return false;
    for (unsigned k = 0; k < image->numcomps; k++) {
        const opj_image_comp_t *c = &image->comps[k];
        if (c->w != shape->columns || c->h != shape->rows || c->prec > shape->bits_allocated ||
            c->prec > 31 || (c->sgnd != 0) != shape->is_signed)
            return false;
    }
    return true;
}

static bool has_samples(const opj_image_t *image)
{
    for (unsigned k = 0; k < image->numcomps; k++) {
        if (image->comps[k].data == NULL)
            return false;
    }
    return true;
}

/* Some writers put a JP2 file where a codestream belongs. */
static OPJ_CODEC_FORMAT format_of(const uint8_t *bytes, size_t nbytes)
{
    static const uint8_t jp2[] = {0, 0, 0, 12, 'j', 'P', ' ', ' '};
    return nbytes > sizeof jp2 && memcmp(bytes, jp2, sizeof jp2) == 0 ? OPJ_CODEC_JP2
                                                                      : OPJ_CODEC_J2K;
}

static opj_image_t *decode(const uint8_t *codestream, size_t nbytes, const dcb_pixel_shape *shape)
{
    memory m = {codestream, nbytes, 0};
    opj_image_t *image = NULL;
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    opj_codec_t *codec = opj_create_decompress(format_of(codestream, nbytes));
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
               opj_read_header(stream, codec, &image) != OPJ_FALSE && has_shape(image, shape) &&
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

bool pixel_codec_openjpeg_decode(void *samples, size_t nbytes, const dcb_pixel_shape *shape,
                                 bool reversible, const void *codestream, size_t codestream_nbytes,
                                 scp_error *error)
{
    if (reversible && !is_reversible(codestream, codestream_nbytes))
        return scp_fail(error, "its JPEG 2000 codestream is not reversible") == 0;
    opj_image_t *image = decode(codestream, codestream_nbytes, shape);
    if (image == NULL)
        return scp_fail(error,
                        "its JPEG 2000 codestream cannot be decoded, or is not what the data "
                        "set describes") == 0;
    const size_t size = shape->bits_allocated / 8u, pixels = (size_t)shape->rows * shape->columns;
    const size_t components = shape->samples_per_pixel;
    const bool good =
        has_shape(image, shape) && has_samples(image) && nbytes == pixels * components * size;
    uint8_t *to = samples;
    for (size_t k = 0; good && k < components; k++)
        for (size_t i = 0; i < pixels; i++) {
            const uint32_t value = (uint32_t)image->comps[k].data[i];
            for (size_t b = 0; b < size; b++)
                to[(i * components + k) * size + b] = (uint8_t)(value >> (8 * b));
        }
    opj_image_destroy(image);
    return good ||
           scp_fail(error, "its JPEG 2000 codestream is not what the data set describes") == 0;
}

/* ---- Encoding -------------------------------------------------------------------------------- */

typedef struct growing {
    uint8_t *bytes;
    size_t nbytes, capacity, pos;
} growing;

static bool make_room(growing *g, size_t end)
{
    if (end <= g->capacity)
        return true;
    const size_t wanted = end + end / 2 + 65536;
    uint8_t *grown = realloc(g->bytes, wanted);
    if (grown == NULL)
        return false;
    memset(grown + g->capacity, 0, wanted - g->capacity);
    g->bytes = grown;
    g->capacity = wanted;
    return true;
}

static OPJ_SIZE_T write_growing(void *from, OPJ_SIZE_T nbytes, void *context)
{
    growing *g = context;
    if (nbytes > SIZE_MAX / 4 - g->pos || !make_room(g, g->pos + nbytes))
        return (OPJ_SIZE_T)-1;
    memcpy(g->bytes + g->pos, from, nbytes);
    g->pos += nbytes;
    if (g->pos > g->nbytes)
        g->nbytes = g->pos;
    return nbytes;
}

static OPJ_BOOL seek_growing(OPJ_OFF_T at, void *context)
{
    growing *g = context;
    if (at < 0 || (uint64_t)at > SIZE_MAX / 4 || !make_room(g, (size_t)at))
        return OPJ_FALSE;
    g->pos = (size_t)at;
    return OPJ_TRUE;
}

static OPJ_OFF_T skip_growing(OPJ_OFF_T nbytes, void *context)
{
    const growing *g = context;
    return nbytes >= 0 && seek_growing((OPJ_OFF_T)g->pos + nbytes, context) ? nbytes : -1;
}

static int32_t load_sample(const uint8_t *from, unsigned size, bool is_signed)
{
    if (size == 1)
        return is_signed ? (int8_t)from[0] : from[0];
    const uint16_t value = (uint16_t)(from[0] | from[1] << 8);
    return is_signed ? (int16_t)value : value;
}

static opj_image_t *make_image(const uint8_t *samples, const dcb_pixel_shape *shape)
{
    const unsigned components = shape->samples_per_pixel, size = shape->bits_allocated / 8u;
    const size_t pixels = (size_t)shape->rows * shape->columns;
    opj_image_cmptparm_t parameters[4] = {{0}};
    for (unsigned k = 0; k < components; k++)
        parameters[k] = (opj_image_cmptparm_t){.dx = 1,
                                               .dy = 1,
                                               .w = shape->columns,
                                               .h = shape->rows,
                                               .prec = shape->bits_stored,
                                               .sgnd = shape->is_signed};
    opj_image_t *image = opj_image_create(components, parameters,
                                          components == 3 ? OPJ_CLRSPC_SRGB : OPJ_CLRSPC_GRAY);
    if (image == NULL)
        return NULL;
    image->x1 = shape->columns;
    image->y1 = shape->rows;
    for (unsigned k = 0; k < components; k++)
        for (size_t i = 0; i < pixels; i++)
            image->comps[k].data[i] =
                load_sample(samples + (i * components + k) * size, size, shape->is_signed);
    return image;
}

/* One tile, one layer, 5/3, no component transform: the data set's colours stay as it names them.
 */
static bool encode(growing *out, opj_image_t *image, const dcb_pixel_shape *shape)
{
    opj_cparameters_t parameters;
    opj_set_default_encoder_parameters(&parameters);
    parameters.tcp_numlayers = 1;
    parameters.cp_disto_alloc = 1;
    parameters.irreversible = 0;
    parameters.tcp_mct = strcmp(shape->photometric_interpretation, "YBR_RCT") == 0;
    uint32_t shorter = shape->rows < shape->columns ? shape->rows : shape->columns;
    parameters.numresolution = 1;
    while (parameters.numresolution < 6 && shorter >> parameters.numresolution > 0)
        parameters.numresolution++;
    opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_default_create(OPJ_FALSE);
    bool good = codec != NULL && stream != NULL;
    if (good) {
        opj_set_info_handler(codec, be_quiet, NULL);
        opj_set_warning_handler(codec, be_quiet, NULL);
        opj_set_error_handler(codec, be_quiet, NULL);
        opj_stream_set_user_data(stream, out, NULL);
        opj_stream_set_write_function(stream, write_growing);
        opj_stream_set_skip_function(stream, skip_growing);
        opj_stream_set_seek_function(stream, seek_growing);
        good = opj_setup_encoder(codec, &parameters, image) != OPJ_FALSE &&
               opj_start_compress(codec, image, stream) != OPJ_FALSE &&
               opj_encode(codec, stream) != OPJ_FALSE &&
               opj_end_compress(codec, stream) != OPJ_FALSE;
    }
    if (stream != NULL)
        opj_stream_destroy(stream);
    if (codec != NULL)
        opj_destroy_codec(codec);
    return good;
}

bool pixel_codec_openjpeg_encode(uint8_t **codestream, size_t *codestream_nbytes,
                                 const void *samples, size_t nbytes, const dcb_pixel_shape *shape,
                                 scp_error *error)
{
    *codestream = NULL;
    *codestream_nbytes = 0;
    if ((shape->bits_allocated != 8 && shape->bits_allocated != 16) ||
        (shape->samples_per_pixel != 1 && shape->samples_per_pixel != 3) ||
        nbytes != (size_t)shape->rows * shape->columns * shape->samples_per_pixel *
                      (shape->bits_allocated / 8u))
        return scp_fail(error, "%u samples of %u bits allocated cannot be compressed in JPEG 2000",
                        shape->samples_per_pixel, shape->bits_allocated) == 0;
    growing out = {NULL, 0, 0, 0};
    opj_image_t *image = make_image(samples, shape);
    const bool good = image != NULL && encode(&out, image, shape) && out.nbytes > 0;
    if (image != NULL)
        opj_image_destroy(image);
    if (!good) {
        free(out.bytes);
        return scp_fail(error, "its pixels cannot be compressed in JPEG 2000") == 0;
    }
    *codestream = out.bytes;
    *codestream_nbytes = out.nbytes;
    return true;
}
