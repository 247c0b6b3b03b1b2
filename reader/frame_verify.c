/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_verify.c - checks one frame: codestream, samples by every codec, and each encoding taken
 * apart again.
 *
 * All is held against two things made once: the samples, and the data set without pixels. What an
 * encoding holds must be these and nothing else.
 *
 * Threads: any.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "bytes.h"
#include "dcb_error.h"
#include "exact.h"

#define TAG_PIXEL_DATA  DCB_TAG(0x7FE0, 0x0010)
#define TAG_PHOTOMETRIC DCB_TAG(0x0028, 0x0004)
#define TAG_PLANAR      DCB_TAG(0x0028, 0x0006)
/* Element header, empty offset table, item header (PS3.5 A.4). */
#define ENCAPSULATION 28u

typedef struct frame_check {
    dcb__verifier verifier;
    dcb_series *series;
    uint32_t frame;
    dcb__frame_place place;
    dcb__codestream header;
    uint8_t *codestream;
    uint8_t *samples;
    size_t samples_nbytes;
    dcb_dataset *dataset; /* without pixels */
    dcb_dataset *whole;   /* with decoded ones */
    dcb_error told;       /* the last problem: encodings share most of theirs */
} frame_check;

/* Messages of other functions begin with the frame's number: the report has it already. */
static void tell(frame_check *c, const dcb_error *problem)
{
    char prefix[32];
    size_t length = (size_t)snprintf(prefix, sizeof prefix, "frame %" PRIu32, c->frame);
    dcb_error own = *problem;
    if (strncmp(own.message, prefix, length) == 0) {
        length += strspn(own.message + length, ": ");
        memmove(own.message, own.message + length, strlen(own.message + length) + 1);
    }
    if (strcmp(own.message, c->told.message) == 0)
        return;
    c->told = own;
    c->verifier.report(c->verifier.context, c->frame, &own);
}

static void tell_that(frame_check *c, dcb_status status, const char *what)
{
    dcb_error problem = DCB_ERROR_INIT;
    dcb__fail(&problem, status, c->place.offset, "%s", what);
    tell(c, &problem);
}

/* What says nothing of the frame ends the check. */
static bool ends_the_check(dcb_status status)
{
    return status == DCB_ERR_NO_MEMORY || status == DCB_ERR_CANCELLED ||
           status == DCB_ERR_CHANGED || status == DCB_ERR_CLOSED;
}

/* A failure as a problem, or as the end: true where the check goes on. */
static bool go_on(dcb_status *status, frame_check *c, const dcb_error *problem, dcb_error *error)
{
    if (*status == DCB_OK)
        return true;
    if (!ends_the_check(*status)) {
        tell(c, problem);
        *status = DCB_OK;
    } else if (error != NULL) {
        *error = *problem;
    }
    return false;
}

/* ---- Codestream and samples -------------------------------------------------------------------
 */

static uint32_t big32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

/* Whether the end marker that closes the tile-parts ends the frame too. Decoders look no further;
   that tile-parts are sound they check. */
static bool ends_at_its_end(const frame_check *c)
{
    uint64_t at = c->header.header_nbytes, nbytes = c->place.nbytes;
    while (dcb__in_range(at, 12, nbytes) && c->codestream[at] == 0xFF &&
           c->codestream[at + 1] == 0x90) { /* SOT */
        uint32_t length = big32(c->codestream + at + 6);
        if (length == 0) /* reaches to the end of the frame by definition */
            return true;
        at += length;
    }
    return at + 2 >= nbytes;
}

static void check_form(frame_check *c)
{
    const dcb__codestream *header = &c->header;
    const struct {
        bool is_so;
        const char *what;
    } rules[] = {
        {header->single_tile, "the codestream has more than one tile"},
        {header->rpcl, "the codestream's progression order is not RPCL"},
        {header->reversible, "the codestream is not reversible"},
        {header->block_width == 64 && header->block_height == 64,
         "the codestream's blocks are not 64 x 64"},
        {ends_at_its_end(c), "bytes follow the codestream's end marker"},
        {!header->component_transform, "the codestream transforms its components"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (!rules[i].is_so)
            tell_that(c, DCB_ERR_CODESTREAM, rules[i].what);
}

static dcb_status decode(frame_check *c, uint8_t *samples, dcb__codec codec, dcb_error *problem)
{
    return dcb__decode(samples, c->samples_nbytes, &c->header, c->codestream,
                       (size_t)c->place.nbytes, 0, codec, problem);
}

/* c->samples afterwards, where any codec gives them; all that do must agree. */
static dcb_status check_samples(frame_check *c, dcb_error *error)
{
    static const dcb__codec codecs[] = {DCB_CODEC_OPENJPH, DCB_CODEC_OPENJPEG};
    c->samples_nbytes = (size_t)c->header.rows * c->header.columns * c->header.components *
                        dcb__codestream_sample_nbytes(&c->header);
    uint8_t *samples = malloc(c->samples_nbytes), *other = malloc(c->samples_nbytes);
    dcb_error problem = DCB_ERROR_INIT;
    dcb_status status = DCB_OK;
    bool have = false, failed = false;
    if (samples == NULL || other == NULL)
        status = dcb__fail_no_memory(error, 2 * c->samples_nbytes);
    for (size_t i = 0; i < 2 && status == DCB_OK; i++) {
        if (!dcb__codec_available(codecs[i]))
            continue;
        status = decode(c, have ? other : samples, codecs[i], &problem);
        if (status == DCB_ERR_UNSUPPORTED) { /* for the other to do */
            status = DCB_OK;
        } else if (go_on(&status, c, &problem, error)) {
            if (have && memcmp(samples, other, c->samples_nbytes) != 0)
                tell_that(c, DCB_ERR_CODESTREAM, "OpenJPH and OpenJPEG give different samples");
            have = true;
        } else {
            failed = true;
        }
    }
    if (status == DCB_OK && !have && !failed)
        tell(c, &problem);
    free(other);
    if (!have) {
        free(samples);
        samples = NULL;
    }
    c->samples = samples;
    return status;
}

/* ---- Data sets --------------------------------------------------------------------------------
 */

static dcb_status parse(dcb_dataset **out, frame_check *c, const uint8_t *bytes, size_t nbytes,
                        dcb_syntax syntax, dcb_error *problem)
{
    dcb_limits limits = c->series->limits;
    limits.max_pixel_bytes = UINT64_MAX;
    return dcb_dataset_parse(out, bytes, nbytes, syntax, NULL, NULL, &limits, problem);
}

static bool same_bytes(const uint8_t *a, size_t a_nbytes, const uint8_t *b, size_t b_nbytes)
{
    return a_nbytes == b_nbytes && memcmp(a, b, a_nbytes) == 0;
}

/* *same: bytes, which hold a data set in syntax, are what `expected` is encoded to. */
static dcb_status compare_encoded(bool *same, const dcb_dataset *expected, const uint8_t *bytes,
                                  size_t nbytes, dcb_syntax syntax, dcb_error *problem)
{
    uint8_t *encoded = NULL;
    size_t encoded_nbytes = 0;
    dcb_status status = dcb_dataset_encode(&encoded, &encoded_nbytes, expected, syntax, problem);
    *same = status == DCB_OK && same_bytes(encoded, encoded_nbytes, bytes, nbytes);
    free(encoded);
    return status;
}

/* Pixel Data as the source had it. */
static dcb_status put_exact_pixels(frame_check *c, dcb_error *problem)
{
    dcb_series *series = c->series;
    dcb__pixel_layout layout = dcb__exact_layout(series, c->frame);
    dcb__slice_bytes slice;
    dcb_status status = dcb__slice_open(&slice, series->trailer, series->source, c->frame, problem);
    if (status != DCB_OK)
        return status;
    size_t nbytes = (size_t)dcb__layout_nbytes(&layout);
    uint8_t *value = malloc(nbytes + slice.tail_nbytes + 1);
    if (value == NULL) {
        status = dcb__fail_no_memory(problem, nbytes + slice.tail_nbytes);
    } else {
        dcb__layout_from_codec(value, &layout, c->samples, c->header.precision);
        if (slice.tail_nbytes > 0)
            memcpy(value + nbytes, slice.tail, slice.tail_nbytes);
        status =
            dcb_dataset_put(c->whole, TAG_PIXEL_DATA, series->trailer->slices[c->frame].pixel_vr,
                            value, nbytes + slice.tail_nbytes, problem);
    }
    free(value);
    dcb__slice_close(&slice);
    return status;
}

/* The data set without pixels, and what the decoded encodings must hold. */
static dcb_status make_expected(frame_check *c, dcb_error *problem)
{
    dcb_status status = dcb_series_dataset(&c->dataset, c->series, c->frame, false, problem);
    if (status == DCB_OK && c->samples != NULL)
        status = dcb_dataset_copy(&c->whole, c->dataset, problem);
    if (status != DCB_OK || c->whole == NULL)
        return status;
    if (c->series->trailer != NULL)
        return put_exact_pixels(c, problem);
    dcb_vr vr = c->header.precision <= 8 ? DCB_VR('O', 'B') : DCB_VR('O', 'W');
    return dcb_dataset_put(c->whole, TAG_PIXEL_DATA, vr, c->samples, c->samples_nbytes, problem);
}

/* ---- Encodings --------------------------------------------------------------------------------
 */

/* The source's bytes need not be what our encoder makes: they are parsed and encoded first. */
static dcb_status check_exact(frame_check *c, const uint8_t *bytes, size_t nbytes,
                              dcb_error *problem)
{
    dcb_dataset *parsed = NULL;
    uint8_t *encoded = NULL;
    size_t encoded_nbytes = 0;
    bool same = false;
    dcb_status status = parse(&parsed, c, bytes, nbytes, DCB_SYNTAX_EXPLICIT_LE, problem);
    if (status == DCB_OK)
        status =
            dcb_dataset_encode(&encoded, &encoded_nbytes, parsed, DCB_SYNTAX_EXPLICIT_LE, problem);
    if (status == DCB_OK)
        status = compare_encoded(&same, c->whole, encoded, encoded_nbytes, DCB_SYNTAX_EXPLICIT_LE,
                                 problem);
    if (status == DCB_OK && !same)
        status = dcb__fail(problem, DCB_ERR_DATASET, c->place.offset,
                           "the instance does not hold the data set and the samples");
    free(encoded);
    dcb_dataset_close(parsed);
    return status;
}

static dcb_status check_decoded(frame_check *c, const uint8_t *bytes, size_t nbytes,
                                dcb_syntax syntax, dcb_error *problem)
{
    bool same = false;
    if (c->series->trailer != NULL && syntax == DCB_SYNTAX_EXPLICIT_LE)
        return check_exact(c, bytes, nbytes, problem);
    dcb_status status = compare_encoded(&same, c->whole, bytes, nbytes, syntax, problem);
    if (status != DCB_OK)
        return status;
    if (!same)
        return dcb__fail(problem, DCB_ERR_DATASET, c->place.offset,
                         "the instance does not hold the data set and the samples");
    if (syntax == DCB_SYNTAX_IMPLICIT_LE) /* has no VRs to be parsed by */
        return DCB_OK;
    dcb_dataset *parsed = NULL;
    status = parse(&parsed, c, bytes, nbytes, syntax, problem);
    if (status == DCB_OK)
        status = compare_encoded(&same, parsed, bytes, nbytes, syntax, problem);
    if (status == DCB_OK && !same)
        status = dcb__fail(problem, DCB_ERR_DATASET, c->place.offset,
                           "the instance is another when it is parsed and encoded again");
    dcb_dataset_close(parsed);
    return status;
}

static dcb_status check_deflated(frame_check *c, const uint8_t *bytes, size_t nbytes,
                                 dcb_error *problem)
{
    size_t room = 0;
    uint8_t *expected = NULL;
    dcb_status status =
        dcb_dataset_encode(&expected, &room, c->whole, DCB_SYNTAX_EXPLICIT_LE, problem);
    if (status != DCB_OK)
        return status;
    bool exact = c->series->trailer != NULL;
    room += exact ? room / 2 + 65536 : 0; /* the source's own lengths and group lengths */
    uint8_t *inflated = malloc(room + 1);
    z_stream stream = {.next_in = (Bytef *)bytes, .avail_in = (uInt)nbytes};
    if (inflated == NULL || inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
        free(inflated);
        free(expected);
        return dcb__fail_no_memory(problem, room + 1);
    }
    stream.next_out = inflated;
    stream.avail_out = (uInt)room + 1;
    int result = inflate(&stream, Z_FINISH);
    size_t got = room + 1 - stream.avail_out;
    inflateEnd(&stream);
    if (result == Z_STREAM_END && exact)
        status = check_exact(c, inflated, got, problem);
    else if (result != Z_STREAM_END || !same_bytes(inflated, got, expected, room))
        status = dcb__fail(problem, DCB_ERR_DATASET, c->place.offset,
                           "the deflated instance does not hold the data set and the samples");
    free(inflated);
    free(expected);
    return status;
}

/* Elements before and after the pixels are the data set's; but where the codestream transforms its
   components, Photometric Interpretation says so. */
static dcb_status compare_around(bool *same, frame_check *c, const uint8_t *bytes, size_t before,
                                 size_t after, size_t nbytes, dcb_error *problem)
{
    size_t total = before + nbytes - after;
    uint8_t *joined = malloc(total + 1);
    if (joined == NULL)
        return dcb__fail_no_memory(problem, total + 1);
    memcpy(joined, bytes, before);
    memcpy(joined + before, bytes + after, nbytes - after);
    dcb_dataset *parsed = NULL;
    dcb_status status = parse(&parsed, c, joined, total, DCB_SYNTAX_EXPLICIT_LE, problem);
    free(joined);
    bool exact = c->series->trailer != NULL;
    const dcb_element *photometric = dcb_dataset_find(c->dataset, TAG_PHOTOMETRIC);
    const dcb_element *planar = exact ? dcb_dataset_find(c->dataset, TAG_PLANAR) : NULL;
    if (status == DCB_OK && (c->header.component_transform || exact) && photometric != NULL)
        status = dcb_dataset_put_element(parsed, photometric, problem);
    if (status == DCB_OK && planar != NULL)
        status = dcb_dataset_put_element(parsed, planar, problem);
    uint8_t *encoded = NULL;
    size_t encoded_nbytes = 0;
    if (status == DCB_OK)
        status =
            dcb_dataset_encode(&encoded, &encoded_nbytes, parsed, DCB_SYNTAX_EXPLICIT_LE, problem);
    if (status == DCB_OK)
        status = compare_encoded(same, c->dataset, encoded, encoded_nbytes, DCB_SYNTAX_EXPLICIT_LE,
                                 problem);
    free(encoded);
    dcb_dataset_close(parsed);
    return status;
}

static dcb_status check_stored(frame_check *c, const uint8_t *bytes, size_t nbytes,
                               dcb_error *problem)
{
    static const uint8_t delimiter[] = {0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0};
    dcb_dataset *parsed = NULL;
    dcb_error stop = DCB_ERROR_INIT;
    dcb_status status = parse(&parsed, c, bytes, nbytes, DCB_SYNTAX_EXPLICIT_LE, &stop);
    dcb_dataset_close(parsed);
    if (ends_the_check(status)) {
        *problem = stop;
        return status;
    }
    size_t fragment = (size_t)c->place.nbytes + (size_t)(c->place.nbytes & 1);
    size_t after = ENCAPSULATION + fragment + sizeof delimiter;
    bool same = status == DCB_ERR_UNSUPPORTED && dcb__in_range(stop.offset, after, nbytes);
    if (same) { /* parsing stopped at the encapsulated pixels */
        const uint8_t *pixels = bytes + stop.offset;
        same = dcb__load32(pixels + ENCAPSULATION - 4) == fragment &&
               memcmp(pixels + ENCAPSULATION, c->codestream, (size_t)c->place.nbytes) == 0 &&
               memcmp(pixels + after - sizeof delimiter, delimiter, sizeof delimiter) == 0;
    }
    status = DCB_OK;
    if (same)
        status = compare_around(&same, c, bytes, (size_t)stop.offset, (size_t)stop.offset + after,
                                nbytes, problem);
    if (status == DCB_OK && !same)
        status = dcb__fail(problem, DCB_ERR_DATASET, c->place.offset,
                           "the instance does not hold the data set and the codestream");
    return status;
}

static dcb_status check_encoding(frame_check *c, dcb_encoding encoding, dcb_error *problem)
{
    dcb_frame *instance = NULL;
    dcb_status status = dcb__instance_make(&instance, c->series, c->frame, encoding, problem);
    if (status != DCB_OK)
        return status;
    size_t nbytes = 0;
    const uint8_t *bytes = dcb_frame_dataset(instance, &nbytes);
    if (encoding == DCB_ENCODING_STORED)
        status = check_stored(c, bytes, nbytes, problem);
    else if (c->whole == NULL) /* no samples to compare with: told already */
        status = DCB_OK;
    else if (encoding == DCB_ENCODING_DEFLATED)
        status = check_deflated(c, bytes, nbytes, problem);
    else
        status = check_decoded(c, bytes, nbytes,
                               encoding == DCB_ENCODING_IMPLICIT_LE   ? DCB_SYNTAX_IMPLICIT_LE
                               : encoding == DCB_ENCODING_EXPLICIT_BE ? DCB_SYNTAX_EXPLICIT_BE
                                                                      : DCB_SYNTAX_EXPLICIT_LE,
                               problem);
    dcb_frame_release(instance);
    return status;
}

static dcb_status check_frame(frame_check *c, dcb_error *error)
{
    dcb_error problem = DCB_ERROR_INIT;
    dcb_status status =
        dcb__frame_codestream(&c->codestream, &c->header, &c->place, c->series, c->frame, &problem);
    if (!go_on(&status, c, &problem, error))
        return status;
    if (c->series->trailer == NULL) /* what came as HTJ2K has its sender's form */
        check_form(c);
    status = check_samples(c, error);
    if (status != DCB_OK)
        return status;
    status = make_expected(c, &problem);
    if (!go_on(&status, c, &problem, error))
        return status;
    for (int e = 0; e < DCB_ENCODING_COUNT && status == DCB_OK; e++) {
        status = check_encoding(c, (dcb_encoding)e, &problem);
        go_on(&status, c, &problem, error);
    }
    return status;
}

dcb_status dcb_series_verify_frame(dcb_series *series, uint32_t frame, dcb_problem_report report,
                                   void *context, dcb_error *error)
{
    dcb_status status = dcb__series_check_call(series, frame, error);
    if (status == DCB_OK && series->part10 != NULL)
        status = dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                           "it is a DICOM Part 10 file: there is nothing of a DCB file to verify");
    if (status != DCB_OK)
        return status;
    frame_check c = {
        .verifier = {report, context}, .series = series, .frame = frame, .told = DCB_ERROR_INIT};
    status = check_frame(&c, error);
    free(c.codestream);
    free(c.samples);
    dcb_dataset_close(c.dataset);
    dcb_dataset_close(c.whole);
    return status;
}
