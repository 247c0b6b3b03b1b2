/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec_openjpeg.c - decodes with OpenJPEG (libopenjp2 2.5 or later): whatever OpenJPH cannot, and
 * everything where OpenJPH is not compiled in.
 *
 * Strict mode: data that end early are an error. OpenJPEG only warns about some damage and goes on
 * with zeros; a warning while it decodes is an error here too. Its codec objects are good for one
 * image only, so nothing can be kept between calls (see tests/bench/bench_codec.c).
 *
 * Threads: any; OpenJPEG gets no threads of its own.
 */
#include "codec_backend.h"

#include <openjpeg.h>
#include <stdlib.h>
#include <string.h>

#include "dcb_error.h"

/* Its words of 32 bits hold no more (it says so itself, but only at the first block that is over).
 */
enum { MAX_PRECISION = 31, MAX_BIT_PLANES = 30 };

/* What the callbacks write to. Messages come with a newline. */
typedef struct messages {
    char text[160];
    bool complained; /* an error or a warning */
} messages;

static void on_message(const char *text, void *context)
{
    messages *m = context;
    if (!m->complained) { /* the first one tells the cause */
        size_t nbytes = strnlen(text, sizeof m->text - 1);
        memcpy(m->text, text, nbytes);
        m->text[nbytes] = 0;
        m->text[strcspn(m->text, "\r\n")] = 0;
    }
    m->complained = true;
}

static void ignore_message(const char *text, void *context)
{
    (void)text;
    (void)context;
}

/* ---- The codestream as OpenJPEG's stream ----------------------------------------------------- */

typedef struct source {
    const uint8_t *bytes;
    size_t pos, nbytes;
} source;

static OPJ_SIZE_T source_read(void *buffer, OPJ_SIZE_T nbytes, void *context)
{
    source *s = context;
    if (s->pos == s->nbytes)
        return (OPJ_SIZE_T)-1;
    if (nbytes > s->nbytes - s->pos)
        nbytes = s->nbytes - s->pos;
    memcpy(buffer, s->bytes + s->pos, nbytes);
    s->pos += nbytes;
    return nbytes;
}

static OPJ_OFF_T source_skip(OPJ_OFF_T nbytes, void *context)
{
    source *s = context;
    if (nbytes < 0 || (uint64_t)nbytes > s->nbytes - s->pos)
        return -1;
    s->pos += (size_t)nbytes;
    return nbytes;
}

static OPJ_BOOL source_seek(OPJ_OFF_T offset, void *context)
{
    source *s = context;
    if (offset < 0 || (uint64_t)offset > s->nbytes)
        return OPJ_FALSE;
    s->pos = (size_t)offset;
    return OPJ_TRUE;
}

static opj_stream_t *open_source(source *s)
{
    /* Small: reads larger than it bypass it. */
    opj_stream_t *stream = opj_stream_create(4096, OPJ_TRUE);
    if (stream != NULL) {
        opj_stream_set_user_data(stream, s, NULL);
        opj_stream_set_user_data_length(stream, s->nbytes);
        opj_stream_set_read_function(stream, source_read);
        opj_stream_set_skip_function(stream, source_skip);
        opj_stream_set_seek_function(stream, source_seek);
    }
    return stream;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

static dcb_status copy_samples(const dcb__decode_job *job, const opj_image_t *image,
                               dcb_error *error)
{
    for (unsigned c = 0; c < job->header->components; c++) {
        const opj_image_comp_t *component = &image->comps[c];
        if (component->data == NULL || component->w != job->columns || component->h != job->rows ||
            component->prec != job->header->precision ||
            (component->sgnd != 0) != job->header->is_signed)
            return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                             "OpenJPEG: component %u came out as %u x %u of %u bits", c,
                             component->w, component->h, component->prec);
        for (uint32_t row = 0; row < job->rows; row++) {
            if (!dcb__put_row(job, row, c, component->data + (size_t)row * job->columns))
                return dcb__fail(error, DCB_ERR_CODESTREAM, DCB_NO_OFFSET,
                                 "a decoded sample does not fit into %u bits",
                                 job->header->precision);
        }
    }
    return DCB_OK;
}

static dcb_status run(opj_codec_t *codec, opj_stream_t *stream, opj_image_t **image,
                      const dcb__decode_job *job, const messages *m, dcb_error *error)
{
    opj_dparameters_t parameters;

    opj_set_default_decoder_parameters(&parameters);
    parameters.cp_reduce = job->reduce;
    if (!opj_setup_decoder(codec, &parameters) || !opj_decoder_set_strict_mode(codec, OPJ_TRUE) ||
        !opj_read_header(stream, codec, image) || *image == NULL ||
        !opj_decode(codec, stream, *image) || !opj_end_decompress(codec, stream) || m->complained)
        return dcb__fail(error, DCB_ERR_CODESTREAM, DCB_NO_OFFSET, "OpenJPEG: %s",
                         m->complained ? m->text : "the codestream cannot be decoded");
    if ((*image)->numcomps != job->header->components)
        return dcb__fail(error, DCB_ERR_CODESTREAM, DCB_NO_OFFSET,
                         "OpenJPEG: %u components came out of %u", (*image)->numcomps,
                         job->header->components);
    return copy_samples(job, *image, error);
}

dcb_status dcb__openjpeg_decode(const dcb__decode_job *job, dcb_error *error)
{
    if (job->header->precision > MAX_PRECISION || job->header->max_bit_planes > MAX_BIT_PLANES)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                         "OpenJPEG decodes at most %d bits in %d bit planes, not %u in %u",
                         MAX_PRECISION, MAX_BIT_PLANES, job->header->precision,
                         job->header->max_bit_planes);

    messages m = {"", false};
    source s = {job->bytes, 0, job->nbytes};
    opj_image_t *image = NULL;
    opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
    opj_stream_t *stream = open_source(&s);
    dcb_status status;

    if (codec == NULL || stream == NULL) {
        status = dcb__fail(error, DCB_ERR_NO_MEMORY, DCB_NO_OFFSET, "out of memory for OpenJPEG");
    } else {
        opj_set_error_handler(codec, on_message, &m);
        opj_set_warning_handler(codec, on_message, &m);
        opj_set_info_handler(codec, ignore_message, NULL);
        status = run(codec, stream, &image, job, &m, error);
    }
    opj_image_destroy(image);
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    return status;
}
