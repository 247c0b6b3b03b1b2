/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_codec.c - pixels: both libraries give the same ones, and what is encoded comes back bit by
 * bit. Built without OpenJPH, only what OpenJPEG decodes is tested. For damaged data see
 * test_codec_damage.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "foreign_codestreams.h"
#include "golden_frames.h"

/* ---- Golden frames --------------------------------------------------------------------------- */

typedef struct golden_count {
    size_t decoded, too_many_components;
} golden_count;

static void decode_golden(const golden_frame *frame, golden_count *count, uint32_t reduce)
{
    dcb__codestream h;
    dcb_error error = DCB_ERROR_INIT;

    assert_int_equal(dcb__codestream_read(&h, frame->bytes, frame->nbytes, 0, NULL, &error),
                     DCB_OK);
    size_t nbytes = decoded_nbytes(&h, reduce);
    uint8_t *samples[2] = {malloc(nbytes), malloc(nbytes)};
    for (int i = 0; i < 2; i++) {
        dcb__codec codec = i == 0 ? DCB_CODEC_ANY : DCB_CODEC_OPENJPEG;
        memset(samples[i], i, nbytes);
        dcb_status status =
            dcb__decode(samples[i], nbytes, &h, frame->bytes, frame->nbytes, reduce, codec, &error);
        if (h.components > 4)
            assert_int_equal(status, DCB_ERR_UNSUPPORTED);
        else if (status != DCB_OK)
            fail_msg("%s frame %llu: %s", frame->path, (unsigned long long)frame->index,
                     error.message);
    }
    count->too_many_components += h.components > 4;
    count->decoded += h.components <= 4;
    if (h.components <= 4)
        assert_memory_equal(samples[0], samples[1], nbytes);
    free(samples[0]);
    free(samples[1]);
}

static void visit_golden(const golden_frame *frame, void *context)
{
    decode_golden(frame, context, 0);
    decode_golden(frame, context, 1);
}

static void test_golden(void **state)
{
    (void)state;
    golden_count count = {0, 0};
    assert_true(golden_frames_each(TEST_DATA_DIR "/golden", visit_golden, &count) >= 59);
    assert_int_equal(count.too_many_components, 0);
    if (golden_frames_each(GOLDEN_DIR, visit_golden, &count) > 0)
        assert_int_equal(count.too_many_components, 2 * 2); /* rtdose and mf_ect */
}

/* ---- Foreign codestreams --------------------------------------------------------------------- */

static void check_foreign(const dcb__codestream *h, const uint8_t *samples, uint32_t tolerance)
{
    size_t i = 0;
    for (uint32_t y = 0; y < h->rows; y++) {
        for (uint32_t x = 0; x < h->columns; x++) {
            for (unsigned c = 0; c < h->components; c++, i++) {
                uint32_t got = get_sample(samples, i, dcb__codestream_sample_nbytes(h));
                uint32_t expected = foreign_sample(h, x, y, c);
                if (got > expected + tolerance || expected > got + tolerance)
                    fail_msg("sample %u at %u, %u is %u, not %u", c, x, y, got, expected);
            }
        }
    }
}

static void test_foreign(void **state)
{
    (void)state;
    for (size_t i = 0; i < FOREIGN_COUNT; i++) {
        size_t nbytes;
        uint8_t *bytes = read_foreign(i, &nbytes);
        dcb__codestream h;
        dcb_error error = DCB_ERROR_INIT;
        if (dcb__codestream_read(&h, bytes, nbytes, 0, NULL, &error) != DCB_OK)
            fail_msg("%s: %s", foreign[i].name, error.message);
        assert_int_equal(h.columns, foreign[i].columns);
        assert_int_equal(h.rows, foreign[i].rows);
        assert_int_equal(h.components, foreign[i].components);
        assert_int_equal(h.precision, foreign[i].precision);
        assert_string_equal(dcb__codestream_syntax_uid(&h) + 19, foreign[i].uid);
        size_t samples_nbytes = decoded_nbytes(&h, 0);
        uint8_t *samples = malloc(samples_nbytes);
        for (int codec = DCB_CODEC_ANY; codec <= DCB_CODEC_OPENJPEG; codec++) {
            bool can = codec != DCB_CODEC_OPENJPH ||
                       (foreign[i].plain && dcb__codec_available(DCB_CODEC_OPENJPH));
            dcb_status status = dcb__decode(samples, samples_nbytes, &h, bytes, nbytes, 0,
                                            (dcb__codec)codec, &error);
            if (status != (can ? DCB_OK : DCB_ERR_UNSUPPORTED))
                fail_msg("%s with codec %d: %d, %s", foreign[i].name, codec, status, error.message);
            if (can)
                check_foreign(&h, samples, foreign[i].tolerance);
        }
        free(samples);
        free(bytes);
    }
}

/* ---- Round trips ----------------------------------------------------------------------------- */

/* What the libraries were found to do; beyond, they must say so. */
enum { OPENJPEG_MAX_PRECISION = 26 }; /* at most 30 bit planes of precision + 4 */

typedef enum pattern { RAMP, NOISE, EXTREMES, CHECKERS, CONSTANT, PATTERNS } pattern;

typedef struct image {
    uint32_t columns, rows;
    uint16_t components, precision;
    bool is_signed;
    size_t nbytes;
    uint8_t *samples;
} image;

static void fill(image *im, pattern p)
{
    size_t container = im->precision <= 8 ? 1 : im->precision <= 16 ? 2 : 4;
    size_t count = (size_t)im->columns * im->rows * im->components;
    int64_t values = (int64_t)1 << im->precision, min = im->is_signed ? -values / 2 : 0;
    uint32_t seed = 2463534242u + (uint32_t)p;

    im->nbytes = count * container;
    im->samples = malloc(im->nbytes);
    for (size_t i = 0; i < count; i++) {
        size_t pixel = i / im->components, x = pixel % im->columns, y = pixel / im->columns;
        int64_t value = p == RAMP       ? (int64_t)(i * 37 + y * 11) % values
                        : p == NOISE    ? (int64_t)next_random(&seed) % values
                        : p == EXTREMES ? (x % 2 ? values - 1 : 0)
                        : p == CHECKERS ? ((x + y) % 2 ? values - 1 : 0)
                                        : values - 1;
        value += min;
        memcpy(im->samples + i * container, &value, container); /* little-endian machines */
    }
}

static void check_round_trip(const image *im, const char *what)
{
    dcb_error error = DCB_ERROR_INIT;
    uint8_t *bytes;
    size_t nbytes;
    dcb__codestream h;

    if (dcb__encode(&bytes, &nbytes, im->samples, im->rows, im->columns, im->components,
                    im->precision, im->is_signed, &error) != DCB_OK)
        fail_msg("encode %s: %s", what, error.message);
    assert_int_equal(dcb__codestream_read(&h, bytes, nbytes, 0, NULL, &error), DCB_OK);
    assert_int_equal(h.columns, im->columns);
    assert_int_equal(h.rows, im->rows);
    assert_int_equal(h.components, im->components);
    assert_int_equal(h.precision, im->precision);
    assert_int_equal(h.is_signed, im->is_signed);
    assert_true(h.plain && h.reversible && h.rpcl && h.single_tile && !h.component_transform);
    assert_true(h.levels >= 1 && h.levels <= 5 && h.block_width == 64 && h.block_height == 64);

    uint8_t *samples = malloc(im->nbytes);
    for (int codec = DCB_CODEC_ANY; codec <= DCB_CODEC_OPENJPEG; codec++) {
        memset(samples, 0xA5, im->nbytes);
        dcb_status status =
            dcb__decode(samples, im->nbytes, &h, bytes, nbytes, 0, (dcb__codec)codec, &error);
        bool may_refuse = codec == DCB_CODEC_OPENJPH ||
                          (codec == DCB_CODEC_OPENJPEG && im->precision > OPENJPEG_MAX_PRECISION);
        if (status == DCB_ERR_UNSUPPORTED && may_refuse)
            continue;
        if (status != DCB_OK)
            fail_msg("decode %s with codec %d: %s", what, codec, error.message);
        if (memcmp(samples, im->samples, im->nbytes) != 0)
            fail_msg("%s with codec %d differs", what, codec);
    }
    free(samples);
    free(bytes);
}

static void round_trip(uint32_t columns, uint32_t rows, uint16_t components, uint16_t precision,
                       bool is_signed)
{
    for (pattern p = RAMP; p < PATTERNS; p++) {
        image im = {columns, rows, components, precision, is_signed, 0, NULL};
        char what[96];
        snprintf(what, sizeof what, "%u x %u x %u of %u bits %s, pattern %d", columns, rows,
                 components, precision, is_signed ? "signed" : "unsigned", (int)p);
        fill(&im, p);
        check_round_trip(&im, what);
        free(im.samples);
    }
}

/* The highest precision that is encoded; all below it must be. */
static uint16_t max_encoded_precision(void)
{
    static const uint8_t samples[4];
    uint16_t precision = 0;
    for (uint16_t p = 1; p <= 32; p++) {
        uint8_t *bytes;
        size_t nbytes;
        dcb_error error = DCB_ERROR_INIT;
        dcb_status status = dcb__encode(&bytes, &nbytes, samples, 1, 1, 1, p, false, &error);
        if (status == DCB_OK) {
            assert_int_equal(precision, p - 1);
            precision = p;
        } else {
            assert_int_equal(status, DCB_ERR_UNSUPPORTED);
            assert_non_null(strstr(error.message, "OpenJPH"));
            assert_null(bytes);
            assert_int_equal(nbytes, 0);
        }
        free(bytes);
    }
    return precision;
}

static void test_round_trip(void **state)
{
    (void)state;
    static const uint16_t precisions[] = {1, 2, 7, 8, 10, 12, 15, 16, 17, 20, 24, 26, 29, 32};
    static const uint16_t components[] = {1, 3, 4};
    static const uint32_t sizes[][2] = {{1, 1},   {1, 7},   {7, 1},   {2, 2},
                                        {3, 100}, {513, 2}, {64, 64}, {65, 130}};
    uint16_t limit = max_encoded_precision();

    if (!dcb__codec_available(DCB_CODEC_OPENJPH)) {
        assert_int_equal(limit, 0);
        skip();
    }
    assert_true(limit == 26 || limit == 32); /* before OpenJPH 0.21, from there on */
    for (size_t p = 0; p < sizeof precisions / sizeof precisions[0]; p++) {
        for (size_t c = 0; c < sizeof components / sizeof components[0]; c++) {
            for (size_t s = 0; s < sizeof sizes / sizeof sizes[0] && precisions[p] <= limit; s++) {
                round_trip(sizes[s][0], sizes[s][1], components[c], precisions[p], false);
                round_trip(sizes[s][0], sizes[s][1], components[c], precisions[p], true);
            }
        }
    }
    round_trip(512, 512, 1, 16, true);
    round_trip(512, 512, 3, 8, false);
}

static void test_encode_arguments(void **state)
{
    (void)state;
    static const uint16_t samples[4] = {0, 4095, 4096, 1};
    static const struct {
        uint32_t rows, columns;
        uint16_t components, precision;
        dcb_status status;
        const char *message;
    } rows[] = {
        {0, 4, 1, 16, DCB_ERR_ARGUMENT, "1 to 65535 each way"},
        {4, 0, 1, 16, DCB_ERR_ARGUMENT, "1 to 65535 each way"},
        {1, 65536, 1, 16, DCB_ERR_ARGUMENT, "1 to 65535 each way"},
        {1, 1, 0, 16, DCB_ERR_ARGUMENT, "1 to 4"},
        {1, 1, 5, 16, DCB_ERR_ARGUMENT, "1 to 4"},
        {1, 1, 1, 0, DCB_ERR_ARGUMENT, "of 1 to 32"},
        {1, 1, 1, 33, DCB_ERR_ARGUMENT, "of 1 to 32"},
        {2, 2, 1, 12, DCB_ERR_ARGUMENT, "row 1 does not fit into 12 bits"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t *bytes = (uint8_t *)1;
        size_t nbytes = 1;
        dcb_error error = DCB_ERROR_INIT;
        if (i == 7 && !dcb__codec_available(DCB_CODEC_OPENJPH))
            break;
        assert_int_equal(dcb__encode(&bytes, &nbytes, samples, rows[i].rows, rows[i].columns,
                                     rows[i].components, rows[i].precision, false, &error),
                         rows[i].status);
        assert_non_null(strstr(error.message, rows[i].message));
        assert_null(bytes);
        assert_int_equal(nbytes, 0);
    }
}

/* ---- Lower resolutions and arguments --------------------------------------------------------- */

static void test_reduce(void **state)
{
    (void)state;
    static const size_t chosen[] = {0, 3, 4, 6, 8, 10}; /* of foreign */
    for (size_t k = 0; k < sizeof chosen / sizeof chosen[0]; k++) {
        size_t nbytes;
        uint8_t *bytes = read_foreign(chosen[k], &nbytes);
        dcb__codestream h;
        dcb_error error = DCB_ERROR_INIT;
        assert_int_equal(dcb__codestream_read(&h, bytes, nbytes, 0, NULL, &error), DCB_OK);
        for (uint32_t reduce = 1; reduce <= h.levels + 1u; reduce++) {
            size_t size = decoded_nbytes(&h, reduce);
            uint8_t *any = malloc(size + 1), *jpeg = malloc(size);
            any[size] = 0x5A;
            dcb_status status =
                dcb__decode(any, size, &h, bytes, nbytes, reduce, DCB_CODEC_ANY, &error);
            assert_int_equal(status, reduce <= h.levels ? DCB_OK : DCB_ERR_ARGUMENT);
            if (status == DCB_OK) {
                assert_int_equal(
                    dcb__decode(jpeg, size, &h, bytes, nbytes, reduce, DCB_CODEC_OPENJPEG, &error),
                    DCB_OK);
                assert_memory_equal(any, jpeg, size);
                assert_int_equal(any[size], 0x5A);
                assert_int_equal(
                    dcb__decode(any, size + 1, &h, bytes, nbytes, reduce, DCB_CODEC_ANY, &error),
                    DCB_ERR_ARGUMENT);
            }
            free(any);
            free(jpeg);
        }
        free(bytes);
    }
}

static void test_other_header(void **state)
{
    (void)state;
    size_t nbytes;
    uint8_t *bytes = read_foreign(0, &nbytes), samples[37 * 29 * 3];
    dcb__codestream h;
    dcb_error error = DCB_ERROR_INIT;

    assert_int_equal(dcb__codestream_read(&h, bytes, nbytes, 0, NULL, &error), DCB_OK);
    h.rows--;
    assert_int_equal(dcb__decode(samples, 37 * 28 * 3, &h, bytes, nbytes, 0, DCB_CODEC_ANY, &error),
                     DCB_ERR_CODESTREAM);
    assert_non_null(strstr(error.message, "37 x 28 x 3 of 8 were expected"));
    h.rows++;
    assert_int_equal(
        dcb__decode(samples, sizeof samples - 1, &h, bytes, nbytes, 0, DCB_CODEC_ANY, &error),
        DCB_ERR_ARGUMENT);
    free(bytes);
}

/* ---- Threads --------------------------------------------------------------------------------- */

/* Returns context, which is not NULL, where something is wrong. */
static void *decode_many(void *context)
{
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < FOREIGN_COUNT; i++) {
            size_t nbytes;
            uint8_t *bytes = read_foreign(i, &nbytes);
            dcb__codestream h;
            dcb_error error = DCB_ERROR_INIT;
            if (dcb__codestream_read(&h, bytes, nbytes, 0, NULL, &error) != DCB_OK)
                return context;
            size_t size = decoded_nbytes(&h, 0);
            uint8_t *samples = malloc(size);
            dcb_status status =
                dcb__decode(samples, size, &h, bytes, nbytes, 0, DCB_CODEC_ANY, &error);
            bool right = status == DCB_OK;
            for (size_t k = 0; right && foreign[i].tolerance == 0 && k < h.components; k++)
                right = get_sample(samples, k, dcb__codestream_sample_nbytes(&h)) ==
                        foreign_sample(&h, 0, 0, (unsigned)k);
            /* An error in between: its message must be this thread's. */
            status = dcb__decode(samples, size, &h, bytes, nbytes - 1, 0, DCB_CODEC_ANY, &error);
            right = right && status == DCB_ERR_CODESTREAM;
            free(samples);
            free(bytes);
            if (!right)
                return context;
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, decode_many, state), 0);
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads), /* first: they race for the libraries' set-up */
        cmocka_unit_test(test_golden),     cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_encode_arguments),
        cmocka_unit_test(test_reduce),     cmocka_unit_test(test_other_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
