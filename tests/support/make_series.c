/* SPDX-License-Identifier: Apache-2.0 */
/* make_series.c - see make_series.h. */
#include "make_series.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "make_dcbs.h"

static make_series with_defaults(const make_series *what)
{
    make_series own = *what;
    if (own.nframes == 0)
        own.nframes = 1;
    if (own.rows == 0)
        own.rows = 4;
    if (own.columns == 0)
        own.columns = 6;
    if (own.components == 0)
        own.components = 1;
    if (own.precision == 0)
        own.precision = 16;
    return own;
}

int64_t made_sample(const make_series *what, uint32_t frame, size_t k)
{
    return (int64_t)((frame * 7 + k * 3) % 100) - (what->is_unsigned ? 0 : 50);
}

static void need(bool ok)
{
    if (!ok) {
        fprintf(stderr, "make_series: out of memory\n");
        abort();
    }
}

static make_frame encode_frame(const make_series *what, uint32_t frame)
{
    size_t nsamples = (size_t)what->rows * what->columns * what->components;
    size_t unit = what->precision <= 8 ? 1 : what->precision <= 16 ? 2 : 4;
    uint8_t *samples = malloc(nsamples * unit);
    need(samples != NULL);
    for (size_t k = 0; k < nsamples; k++) {
        uint64_t value = (uint64_t)made_sample(what, frame, k);
        for (size_t b = 0; b < unit; b++)
            samples[k * unit + b] = (uint8_t)(value >> (8 * b));
    }
    make_frame out = {0};
    uint8_t *bytes = NULL;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb__encode(&bytes, &out.nbytes, samples, what->rows, what->columns, what->components,
                    what->precision, !what->is_unsigned, &error) != DCB_OK) {
        fprintf(stderr, "make_series: %s\n", error.message);
        abort();
    }
    out.bytes = bytes;
    free(samples);
    return out;
}

static char *meta_of(const make_series *what)
{
    make_text json = {0};
    make_text_add(&json,
                  "{\"_merged_data\":{"
                  "\"00080016\":{\"vr\":\"UI\",\"shared\":true,"
                  "\"Value\":[\"1.2.840.10008.5.1.4.1.1.2\"]},"
                  "\"00080018\":{\"vr\":\"UI\",\"shared\":%s,\"Value\":[",
                  what->nframes > 1 ? "false" : "true");
    for (uint32_t i = 0; i < what->nframes; i++)
        make_text_add(&json, "%s\"1.2.3.%u\"", i > 0 ? "," : "", (unsigned)i + 1);
    make_text_add(&json,
                  "]},\"0020000D\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"1.2.4\"]},"
                  "\"0020000E\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"1.2.5\"]}%s%s},"
                  "\"slice_count\":%u}",
                  what->elements != NULL ? "," : "", what->elements != NULL ? what->elements : "",
                  (unsigned)what->nframes);
    return json.text;
}

uint8_t *make_series_bytes(size_t *nbytes, const make_series *original)
{
    make_series what = with_defaults(original);
    char header[128];
    snprintf(header, sizeof header,
             "{\"RescaleSlope\":1,\"RescaleIntercept\":0,\"PixelDtype\":\"%sint%d\"}",
             what.is_unsigned ? "u" : "",
             what.precision <= 8    ? 8
             : what.precision <= 16 ? 16
                                    : 32);
    make_frame *frames = calloc(what.nframes, sizeof *frames);
    need(frames != NULL);
    for (uint32_t i = 0; i < what.nframes; i++)
        frames[i] = encode_frame(&what, i);
    char *meta = what.meta_json == NULL ? meta_of(&what) : NULL;
    const char *json = meta != NULL ? meta : what.meta_json;
    make_dcbs file = {.meta_json = *json != '\0' ? json : NULL,
                      .space_json = what.space_json,
                      .pixel_header_json = what.pixel_header != NULL ? what.pixel_header : header,
                      .nframes = what.nframes,
                      .frames = frames};
    uint8_t *bytes = make_dcbs_bytes(nbytes, &file);
    free(meta);
    for (uint32_t i = 0; i < what.nframes; i++)
        free((void *)frames[i].bytes);
    free(frames);
    return bytes;
}

typedef struct held {
    uint8_t *bytes;
    size_t nbytes;
} held;

static int read_held(void *context, void *buffer, size_t nbytes, uint64_t offset)
{
    const held *h = context;
    if (offset > h->nbytes || nbytes > h->nbytes - offset)
        return EIO;
    memcpy(buffer, h->bytes + offset, nbytes);
    return 0;
}

static void close_held(void *context)
{
    held *h = context;
    free(h->bytes);
    free(h);
}

dcb_status open_bytes(dcb_series **out, uint8_t *bytes, size_t nbytes,
                      const dcb_open_options *options, dcb_error *error)
{
    held *h = malloc(sizeof *h);
    need(h != NULL);
    *h = (held){bytes, nbytes};
    dcb_source_callbacks callbacks = {h, nbytes, read_held, close_held};
    return dcb_series_open_source(out, &callbacks, options, error);
}

dcb_status make_series_open(dcb_series **out, const make_series *what,
                            const dcb_open_options *options, dcb_error *error)
{
    size_t nbytes = 0;
    uint8_t *bytes = make_series_bytes(&nbytes, what);
    return open_bytes(out, bytes, nbytes, options, error);
}
