/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.c - picks the library that decodes or encodes a frame, checks sizes before and samples
 * after. No library sees a codestream that dcb__codestream_check has not passed.
 *
 * Threads: any; nothing is kept here.
 */
#include "codec.h"

#include <stdlib.h>
#include <string.h>

#include "codec_backend.h"
#include "dcb_error.h"

enum { MAX_COMPONENTS = 4, MAX_ENCODE_LEVELS = 5 };

bool dcb__codec_available(dcb__codec codec)
{
#if DCB_HAVE_OPENJPH
    (void)codec;
    return true;
#else
    return codec != DCB_CODEC_OPENJPH;
#endif
}

/* ---- Samples --------------------------------------------------------------------------------- */

typedef struct sample_range {
    int64_t min, max;
} sample_range;

static sample_range range_of(unsigned precision, bool is_signed)
{
    int64_t values = (int64_t)1 << precision;
    return is_signed ? (sample_range){-values / 2, values / 2 - 1} : (sample_range){0, values - 1};
}

/* Of 32-bit unsigned samples the libraries' int32_t hold the same bits. */
static int64_t widen(int32_t value, bool is_unsigned_32)
{
    return is_unsigned_32 ? (int64_t)(uint32_t)value : value;
}

/* One loop for each container, which the compiler turns into vector instructions: a frame has a
   quarter of a million samples, and sample by sample this took a seventh of all decoding. */
#define PUT_ROW(type, wide, value)                                                                 \
    do {                                                                                           \
        type *out = (type *)(job->samples + first * sizeof(type));                                 \
        const wide min = (wide)range.min, max = (wide)range.max;                                   \
        wide outside = 0;                                                                          \
        if (stride == 1) {                                                                         \
            for (uint32_t x = 0; x < columns; x++)                                                 \
                PUT_SAMPLE(out[x], type, wide, value);                                             \
        } else {                                                                                   \
            for (uint32_t x = 0; x < columns; x++)                                                 \
                PUT_SAMPLE(out[(size_t)x * stride], type, wide, value);                            \
        }                                                                                          \
        fits = outside == 0;                                                                       \
    } while (0)

#define PUT_SAMPLE(to, type, wide, value)                                                          \
    do {                                                                                           \
        const wide decoded = (value);                                                              \
        const wide raised = decoded < min ? min : decoded;                                         \
        const wide clamped = raised > max ? max : raised;                                          \
        outside |= clamped ^ decoded;                                                              \
        (to) = (type)clamped;                                                                      \
    } while (0)

bool dcb__put_row(const dcb__decode_job *job, uint32_t row, unsigned component,
                  const int32_t *values)
{
    const dcb__codestream *header = job->header;
    const sample_range range = range_of(header->precision, header->is_signed);
    const bool is_unsigned_32 = header->precision == 32 && !header->is_signed;
    const uint32_t columns = job->columns, stride = header->components;
    const size_t first = (size_t)row * columns * stride + component;
    bool fits = true;

    switch (dcb__codestream_sample_nbytes(header)) {
    case 1:
        PUT_ROW(uint8_t, int32_t, values[x]);
        break;
    case 2:
        PUT_ROW(uint16_t, int32_t, values[x]);
        break;
    default:
        PUT_ROW(uint32_t, int64_t, widen(values[x], is_unsigned_32));
        break;
    }
    return fits || !header->reversible || job->reduce > 0;
}

#define GET_ROW(signed_type, unsigned_type)                                                        \
    do {                                                                                           \
        const unsigned_type *in = (const unsigned_type *)job->samples + first;                     \
        for (uint32_t x = 0; x < job->columns; x++) {                                              \
            unsigned_type raw = in[(size_t)x * job->components];                                   \
            int64_t value = job->is_signed ? (int64_t)(signed_type)raw : (int64_t)raw;             \
            outside |= value < range.min || value > range.max;                                     \
            values[x] = (int32_t)(uint32_t)value;                                                  \
        }                                                                                          \
    } while (0)

bool dcb__get_row(int32_t *values, const dcb__encode_job *job, uint32_t row, unsigned component)
{
    const sample_range range = range_of(job->precision, job->is_signed);
    const size_t first = (size_t)row * job->columns * job->components + component;
    bool outside = false;

    if (job->precision <= 8)
        GET_ROW(int8_t, uint8_t);
    else if (job->precision <= 16)
        GET_ROW(int16_t, uint16_t);
    else
        GET_ROW(int32_t, uint32_t);
    return !outside;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

static dcb_status check_sizes(dcb__decode_job *job, size_t nbytes, dcb_error *error)
{
    const dcb__codestream *header = job->header;

    if (header->components == 0 || header->components > MAX_COMPONENTS)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                         "codestream of %u components: at most %d can be decoded",
                         header->components, MAX_COMPONENTS);
    if (job->reduce > header->levels)
        return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET,
                         "cannot drop %u resolution levels of %u", job->reduce, header->levels);
    job->columns = dcb__codestream_reduced(header->columns, job->reduce);
    job->rows = dcb__codestream_reduced(header->rows, job->reduce);
    /* The header has met max_pixel_bytes: this cannot overflow. */
    uint64_t needed = (uint64_t)job->columns * job->rows * header->components *
                      dcb__codestream_sample_nbytes(header);
    if (nbytes != needed)
        return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET,
                         "buffer of %zu bytes for samples of %llu bytes", nbytes,
                         (unsigned long long)needed);
    return DCB_OK;
}

static bool same_image(const dcb__codestream *a, const dcb__codestream *b)
{
    return a->columns == b->columns && a->rows == b->rows && a->components == b->components &&
           a->precision == b->precision && a->is_signed == b->is_signed && a->levels == b->levels;
}

static dcb_status decode_with(const dcb__decode_job *job, dcb__codec codec, dcb_error *error)
{
#if DCB_HAVE_OPENJPH
    if (codec != DCB_CODEC_OPENJPEG) {
        dcb_status status = dcb__openjph_decode(job, error);
        if (status != DCB_ERR_UNSUPPORTED || codec == DCB_CODEC_OPENJPH)
            return status;
    }
#else
    if (codec == DCB_CODEC_OPENJPH)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET, "OpenJPH is not compiled in");
#endif
    return dcb__openjpeg_decode(job, error);
}

dcb_status dcb__decode(void *samples, size_t nbytes, const dcb__codestream *header,
                       const uint8_t *codestream, size_t codestream_nbytes, uint32_t reduce,
                       dcb__codec codec, dcb_error *error)
{
    /* Read again (under a microsecond): what is decoded must be what the caller made room for. */
    dcb__codestream own;
    dcb_limits limits = DCB_LIMITS_INIT;
    limits.max_pixel_bytes = UINT64_MAX / 2; /* the caller's limit was met by the header */
    dcb_status status =
        dcb__codestream_read(&own, codestream, codestream_nbytes, 0, &limits, error);
    if (status != DCB_OK)
        return status;
    if (!same_image(&own, header))
        return dcb__fail(error, DCB_ERR_CODESTREAM, 0,
                         "codestream is %u x %u x %u of %u bits, %u x %u x %u of %u were expected",
                         own.columns, own.rows, own.components, own.precision, header->columns,
                         header->rows, header->components, header->precision);

    dcb__decode_job job = {.samples = samples,
                           .header = &own,
                           .bytes = codestream,
                           .nbytes = codestream_nbytes,
                           .reduce = reduce};
    status = check_sizes(&job, nbytes, error);
    if (status == DCB_OK)
        status = dcb__codestream_check(&own, codestream, codestream_nbytes, error);
    if (status == DCB_OK)
        status = decode_with(&job, codec, error);
    return status;
}

/* ---- Encoding -------------------------------------------------------------------------------- */

/* As many levels as leave every resolution a sample of its own; at least one, since OpenJPH 0.21
   drops a bit plane where there is none. */
static uint8_t choose_levels(uint32_t rows, uint32_t columns)
{
    uint32_t longer = rows > columns ? rows : columns;
    uint8_t levels = 1;
    while (levels < MAX_ENCODE_LEVELS && longer >> (levels + 1) > 0)
        levels++;
    return levels;
}

#if DCB_HAVE_OPENJPH
/* Decodes what was just encoded. This costs as much as decoding, and has its reason: encoders of
   released OpenJPH versions have lost bits without a word. */
static dcb_status verify(const uint8_t *bytes, size_t nbytes, const dcb__encode_job *job,
                         dcb_error *error)
{
    dcb__codestream header;
    dcb_limits limits = DCB_LIMITS_INIT;
    limits.max_pixel_bytes = UINT64_MAX / 2;
    dcb_status status = dcb__codestream_read(&header, bytes, nbytes, 0, &limits, error);
    if (status != DCB_OK)
        return status;
    size_t samples_nbytes =
        (size_t)job->rows * job->columns * job->components * dcb__codestream_sample_nbytes(&header);
    void *samples = malloc(samples_nbytes);
    if (samples == NULL)
        return dcb__fail_no_memory(error, samples_nbytes);
    status = dcb__decode(samples, samples_nbytes, &header, bytes, nbytes, 0, DCB_CODEC_ANY, error);
    if (status == DCB_OK && memcmp(samples, job->samples, samples_nbytes) != 0)
        status =
            dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                      "OpenJPH did not encode these %u x %u x %u samples of %u bits losslessly",
                      job->columns, job->rows, job->components, job->precision);
    free(samples);
    return status;
}
#endif

dcb_status dcb__encode(uint8_t **bytes, size_t *nbytes, const void *samples, uint32_t rows,
                       uint32_t columns, uint16_t components, uint16_t precision, bool is_signed,
                       dcb_error *error)
{
    *bytes = NULL;
    *nbytes = 0;
    if (rows == 0 || columns == 0 || rows > 65535 || columns > 65535)
        return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET,
                         "cannot encode %u x %u pixels: 1 to 65535 each way", columns, rows);
    if (components == 0 || components > MAX_COMPONENTS || precision == 0 || precision > 32)
        return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET,
                         "cannot encode %u components of %u bits: 1 to %d of 1 to 32", components,
                         precision, MAX_COMPONENTS);
#if DCB_HAVE_OPENJPH
    dcb__encode_job job = {
        samples, columns, rows, components, precision, is_signed, choose_levels(rows, columns)};
    dcb_status status = dcb__openjph_encode(bytes, nbytes, &job, error);
    if (status == DCB_OK)
        status = verify(*bytes, *nbytes, &job, error);
    if (status != DCB_OK) {
        free(*bytes);
        *bytes = NULL;
        *nbytes = 0;
    }
    return status;
#else
    (void)samples;
    (void)is_signed;
    (void)choose_levels;
    return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                     "OpenJPH, which encodes HTJ2K, is not compiled in");
#endif
}
