/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_instance.c - instances byte by byte: Part 10 head, encapsulation, native pixels in every
 * encoding, padding, byte order; and the calls on a series.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "make_series.h"

#define HTJ2K "1.2.840.10008.1.2.4.201"

static dcb_series *open_made(const make_series *what)
{
    dcb_error error = DCB_ERROR_INIT;
    dcb_series *series = NULL;
    if (make_series_open(&series, what, NULL, &error) != DCB_OK)
        fail_msg("%s", error.message);
    return series;
}

static dcb_frame *get_frame(dcb_series *series, uint32_t index, dcb_encoding encoding)
{
    dcb_error error = DCB_ERROR_INIT;
    dcb_frame *frame = NULL;
    if (dcb_series_frame(&frame, series, index, encoding, &error) != DCB_OK)
        fail_msg("%s", error.message);
    return frame;
}

static uint32_t load32(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static void test_part10_head(void **state)
{
    (void)state;
    static const uint8_t expected[] = "DICM\x02\0\0\0UL\x04\0\xA6\0\0\0"
                                      "\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01"
                                      "\x02\0\x02\0UI\x1A\0"
                                      "1.2.840.10008.5.1.4.1.1.2\0"
                                      "\x02\0\x03\0UI\x08\0"
                                      "1.2.3.2\0"
                                      "\x02\0\x10\0UI\x18\0" HTJ2K "\0"
                                      "\x02\0\x12\0UI\x2C\0"
                                      "2.25.316858246655985346770561353390001872053"
                                      "\x02\0\x13\0SH\x0A\0"
                                      "DCBSCP_0_1";
    make_series what = {.nframes = 3};
    dcb_series *series = open_made(&what);
    dcb_frame *frame = get_frame(series, 1, DCB_ENCODING_STORED);
    size_t nbytes = 0, dataset_nbytes = 0;
    const uint8_t *bytes = dcb_frame_part10(frame, &nbytes);
    const uint8_t *dataset = dcb_frame_dataset(frame, &dataset_nbytes);
    for (int i = 0; i < 128; i++)
        assert_int_equal(bytes[i], 0);
    assert_memory_equal(bytes + 128, expected, sizeof expected - 1);
    assert_ptr_equal(dataset, bytes + 128 + sizeof expected - 1);
    assert_int_equal(dataset_nbytes, nbytes - 128 - (sizeof expected - 1));
    assert_string_equal(dcb_frame_transfer_syntax_uid(frame), HTJ2K);
    assert_string_equal(dcb_frame_sop_class_uid(frame), "1.2.840.10008.5.1.4.1.1.2");
    assert_string_equal(dcb_frame_sop_instance_uid(frame), "1.2.3.2");
    dcb_frame_release(frame);
    dcb_series_close(series);
}

/* Where Pixel Data begins in a little-endian data set with no other 7FE0,0010 in it. */
static const uint8_t *find_pixels(const uint8_t *bytes, size_t nbytes)
{
    static const uint8_t tag[] = {0xE0, 0x7F, 0x10, 0x00};
    const uint8_t *found = memmem(bytes, nbytes, tag, sizeof tag);
    assert_non_null(found);
    return found;
}

/* Frames of odd and even length: PS3.5 A.4. */
static void test_encapsulation(void **state)
{
    (void)state;
    bool odd_seen = false, even_seen = false;
    make_series what = {.nframes = 24,
                        .rows = 9,
                        .columns = 11,
                        .elements =
                            "\"7FE10010\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"Z\"]}"};
    size_t file_nbytes = 0;
    uint8_t *file = make_series_bytes(&file_nbytes, &what);
    dcb_series *series = NULL;
    assert_int_equal(dcb_series_open_memory(&series, file, file_nbytes, NULL, NULL), DCB_OK);
    for (uint32_t i = 0; i < what.nframes; i++) {
        dcb_frame *frame = get_frame(series, i, DCB_ENCODING_STORED);
        dcb_frame_info info;
        assert_int_equal(dcb_series_frame_info(&info, series, i, NULL), DCB_OK);
        size_t nbytes = 0, even = info.nbytes + (info.nbytes & 1);
        const uint8_t *bytes = dcb_frame_dataset(frame, &nbytes);
        const uint8_t *at = find_pixels(bytes, nbytes);
        assert_memory_equal(at + 4,
                            "OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\0\0\0\0\xFE\xFF\x00\xE0", 20);
        assert_int_equal(load32(at + 24), even);
        assert_memory_equal(at + 28, file + info.offset, info.nbytes);
        if (even > info.nbytes)
            assert_int_equal(at[28 + info.nbytes], 0);
        assert_memory_equal(at + 28 + even, "\xFE\xFF\xDD\xE0\0\0\0\0", 8);
        assert_memory_equal(at + 36 + even, "\xE1\x7F\x10\0LO\x02\0Z ", 10);
        assert_ptr_equal(at + 46 + even, bytes + nbytes);
        odd_seen = odd_seen || (info.nbytes & 1);
        even_seen = even_seen || !(info.nbytes & 1);
        dcb_frame_release(frame);
    }
    assert_true(odd_seen && even_seen);
    dcb_series_close(series);
    free(file);
}

static uint64_t sample_at(const uint8_t *bytes, size_t k, unsigned unit)
{
    uint64_t value = 0;
    for (unsigned b = 0; b < unit; b++)
        value |= (uint64_t)bytes[k * unit + b] << (8 * b);
    return value;
}

static void check_samples(const make_series *what, const uint8_t *bytes, uint32_t frame)
{
    unsigned unit = what->precision <= 8 ? 1 : what->precision <= 16 ? 2 : 4;
    size_t n = (size_t)what->rows * what->columns * what->components;
    for (size_t k = 0; k < n; k++) {
        uint64_t mask = unit == 4 ? 0xFFFFFFFF : (1u << (8 * unit)) - 1;
        assert_int_equal(sample_at(bytes, k, unit), (uint64_t)made_sample(what, frame, k) & mask);
    }
}

/* The element's value in each encoding, its VR and length; samples in each byte order. */
static void check_native(const make_series *what, dcb_series *series, dcb_encoding encoding,
                         const char *vr)
{
    dcb_frame *frame = get_frame(series, 1, encoding);
    size_t nbytes = 0;
    const uint8_t *bytes = dcb_frame_dataset(frame, &nbytes);
    unsigned unit = what->precision <= 8 ? 1 : what->precision <= 16 ? 2 : 4;
    uint32_t size = what->rows * what->columns * what->components * unit;
    uint32_t even = size + (size & 1);
    assert_string_equal(dcb_frame_transfer_syntax_uid(frame), dcb_encoding_uid(encoding));
    const uint8_t *pixels = bytes + nbytes - even;
    if (size & 1)
        assert_int_equal(pixels[size], 0);
    if (encoding == DCB_ENCODING_IMPLICIT_LE) {
        assert_memory_equal(pixels - 8, "\xE0\x7F\x10\0", 4);
        assert_int_equal(load32(pixels - 4), even);
    } else if (encoding == DCB_ENCODING_EXPLICIT_LE) {
        assert_memory_equal(pixels - 12, "\xE0\x7F\x10\0", 4);
        assert_memory_equal(pixels - 8, vr, 2);
        assert_int_equal(load32(pixels - 4), even);
    } else {
        assert_memory_equal(pixels - 12, "\x7F\xE0\0\x10", 4);
        assert_memory_equal(pixels - 8, vr, 2);
        assert_int_equal(__builtin_bswap32(load32(pixels - 4)), even);
        /* OW is words, whatever the samples are (PS3.5 8.1.1). */
        uint8_t *swapped = malloc(even);
        assert_non_null(swapped);
        for (uint32_t k = 0; k < even; k++)
            swapped[k] = pixels[unit == 1 ? k : k ^ 1];
        check_samples(what, swapped, 1);
        free(swapped);
        dcb_frame_release(frame);
        return;
    }
    check_samples(what, pixels, 1);
    dcb_frame_release(frame);
}

static void test_native(void **state)
{
    (void)state;
    static const struct {
        uint32_t rows, columns;
        uint16_t components, precision;
        bool is_unsigned;
        const char *vr;
    } kinds[] = {
        {4, 6, 1, 16, false, "OW"}, {3, 5, 1, 8, true, "OB"},    {3, 5, 3, 8, true, "OB"},
        {4, 6, 1, 8, false, "OB"},  {4, 6, 3, 16, true, "OW"},   {5, 3, 1, 26, false, "OW"},
        {5, 7, 1, 24, true, "OW"},  {64, 48, 1, 12, true, "OW"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        make_series what = {.nframes = 2,
                            .rows = kinds[i].rows,
                            .columns = kinds[i].columns,
                            .components = kinds[i].components,
                            .precision = kinds[i].precision,
                            .is_unsigned = kinds[i].is_unsigned};
        dcb_series *series = open_made(&what);
        check_native(&what, series, DCB_ENCODING_EXPLICIT_LE, kinds[i].vr);
        check_native(&what, series, DCB_ENCODING_IMPLICIT_LE, kinds[i].vr);
        check_native(&what, series, DCB_ENCODING_EXPLICIT_BE, kinds[i].vr);

        void *samples = NULL;
        size_t nbytes = 0;
        dcb_pixel_format format;
        assert_int_equal(dcb_series_pixels(&samples, &nbytes, &format, series, 1, 0, NULL), DCB_OK);
        check_samples(&what, samples, 1);
        assert_int_equal(format.bits_stored, kinds[i].precision);
        assert_int_equal(format.samples_per_pixel, kinds[i].components);
        free(samples);
        dcb_series_close(series);
    }
}

static void test_deflated(void **state)
{
    (void)state;
    make_series what = {.nframes = 2, .rows = 40, .columns = 41};
    dcb_series *series = open_made(&what);
    for (uint32_t i = 0; i < 2; i++) {
        dcb_frame *plain = get_frame(series, i, DCB_ENCODING_EXPLICIT_LE);
        dcb_frame *deflated = get_frame(series, i, DCB_ENCODING_DEFLATED);
        size_t nbytes = 0, packed_nbytes = 0;
        const uint8_t *bytes = dcb_frame_dataset(plain, &nbytes);
        const uint8_t *packed = dcb_frame_dataset(deflated, &packed_nbytes);
        assert_int_equal(packed_nbytes % 2, 0);
        assert_true(packed_nbytes < nbytes);
        assert_string_equal(dcb_frame_transfer_syntax_uid(deflated), "1.2.840.10008.1.2.1.99");
        uint8_t *unpacked = malloc(nbytes + 16);
        assert_non_null(unpacked);
        z_stream stream = {0};
        assert_int_equal(inflateInit2(&stream, -MAX_WBITS), Z_OK);
        stream.next_in = (Bytef *)packed;
        stream.avail_in = (uInt)packed_nbytes;
        stream.next_out = unpacked;
        stream.avail_out = (uInt)nbytes + 16;
        assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
        assert_int_equal(stream.total_out, nbytes);
        assert_memory_equal(unpacked, bytes, nbytes);
        inflateEnd(&stream);
        free(unpacked);
        dcb_frame_release(plain);
        dcb_frame_release(deflated);
    }
    dcb_series_close(series);
}

/* The same data set, whatever the encoding: implicit and big endian read back as explicit. */
static dcb_vr vr_of_explicit(void *context, uint32_t tag)
{
    const dcb_element *element = dcb_dataset_find(context, tag);
    return element != NULL ? element->vr : 0;
}

static void check_same(const dcb_dataset *a, const dcb_dataset *b)
{
    assert_int_equal(dcb_dataset_count(a), dcb_dataset_count(b));
    for (size_t i = 0; i < dcb_dataset_count(a); i++) {
        const dcb_element *x = dcb_dataset_at(a, i), *y = dcb_dataset_at(b, i);
        assert_int_equal(x->tag, y->tag);
        if (x->tag == 0x7FE00010)
            continue; /* OB beside OW */
        assert_int_equal(x->vr, y->vr);
        assert_int_equal(x->nbytes, y->nbytes);
        assert_int_equal(x->nitems, y->nitems);
        if (x->nbytes > 0 && x->value != NULL)
            assert_memory_equal(x->value, y->value, x->nbytes);
    }
}

static void test_encodings_agree(void **state)
{
    (void)state;
    make_series what = {
        .nframes = 2,
        .elements =
            "\"00080005\":{\"vr\":\"CS\",\"shared\":true,\"Value\":[\"ISO_IR 100\"]},"
            "\"00080008\":{\"vr\":\"CS\",\"shared\":false,\"Value\":[[\"A\",\"B\"],\"None\"]},"
            "\"00100010\":{\"vr\":\"PN\",\"shared\":true,\"Value\":[{\"Alphabetic\":\"\\u00fc\"}]},"
            "\"00189073\":{\"vr\":\"FD\",\"shared\":false,\"Value\":[1.5,-2]},"
            "\"00209165\":{\"vr\":\"AT\",\"shared\":true,\"Value\":[\"00209056\"]},"
            "\"00281101\":{\"vr\":\"US\",\"shared\":false,\"Value\":[[1,2,3],[4,5,6]]}"};
    dcb_series *series = open_made(&what);
    for (uint32_t i = 0; i < 2; i++) {
        dcb_dataset *sets[3] = {NULL};
        static const dcb_encoding encodings[3] = {
            DCB_ENCODING_EXPLICIT_LE, DCB_ENCODING_IMPLICIT_LE, DCB_ENCODING_EXPLICIT_BE};
        static const dcb_syntax syntaxes[3] = {DCB_SYNTAX_EXPLICIT_LE, DCB_SYNTAX_IMPLICIT_LE,
                                               DCB_SYNTAX_EXPLICIT_BE};
        for (int k = 0; k < 3; k++) {
            dcb_error error = DCB_ERROR_INIT;
            dcb_frame *frame = get_frame(series, i, encodings[k]);
            size_t nbytes = 0;
            const uint8_t *bytes = dcb_frame_dataset(frame, &nbytes);
            if (dcb_dataset_parse(&sets[k], bytes, nbytes, syntaxes[k], vr_of_explicit, sets[0],
                                  NULL, &error) != DCB_OK)
                fail_msg("%s", error.message);
            dcb_frame_release(frame);
            if (k > 0)
                check_same(sets[0], sets[k]);
        }
        assert_int_equal(dcb_dataset_find(sets[0], 0x00080008) != NULL, i == 0);
        for (int k = 0; k < 3; k++)
            dcb_dataset_close(sets[k]);
    }
    dcb_series_close(series);
}

/* ---- Calls ------------------------------------------------------------------------------------
 */

static void test_calls(void **state)
{
    (void)state;
    make_series what = {.nframes = 2, .rows = 40, .columns = 30};
    dcb_error error = DCB_ERROR_INIT;
    dcb_series *series = open_made(&what);
    dcb_frame *frame = NULL;
    assert_int_equal(dcb_series_frame(&frame, series, 2, DCB_ENCODING_STORED, &error),
                     DCB_ERR_RANGE);
    assert_string_equal(error.message, "frame 2: the series has 2, counted from 0");
    assert_int_equal(dcb_series_frame(&frame, series, 0, (dcb_encoding)10, &error),
                     DCB_ERR_ARGUMENT);
    assert_string_equal(error.message, "there is no encoding 10");
    /* Without a codec of the caller's. */
    assert_int_equal(dcb_series_frame(&frame, series, 0, DCB_ENCODING_J2K, &error),
                     DCB_ERR_UNSUPPORTED);
    assert_string_equal(error.message, "there is no codec for 1.2.840.10008.1.2.4.90");

    void *samples = NULL;
    size_t nbytes = 0;
    dcb_pixel_format format;
    assert_int_equal(dcb_series_pixels(&samples, &nbytes, &format, series, 0, 2, &error), DCB_OK);
    assert_int_equal(format.rows, 10);
    assert_int_equal(format.columns, 8);
    assert_int_equal(nbytes, 10 * 8 * 2);
    free(samples);
    assert_int_equal(dcb_series_pixels(&samples, &nbytes, &format, series, 0, 33, &error),
                     DCB_ERR_ARGUMENT);
    assert_null(samples);

    frame = get_frame(series, 0, DCB_ENCODING_STORED);
    dcb_series *held = dcb_series_ref(series);
    dcb_series_close(series);
    dcb_dataset *dataset = NULL;
    dcb_frame_info info;
    dcb_frame *none = NULL;
    assert_int_equal(dcb_series_frame(&none, held, 0, DCB_ENCODING_STORED, &error), DCB_ERR_CLOSED);
    assert_int_equal(dcb_series_frame_info(&info, held, 0, &error), DCB_ERR_CLOSED);
    assert_int_equal(dcb_series_dataset(&dataset, held, 0, true, &error), DCB_ERR_CLOSED);
    assert_int_equal(dcb_series_pixels(&samples, &nbytes, &format, held, 0, 0, &error),
                     DCB_ERR_CLOSED);
    assert_string_equal(error.message, "the series is closed");
    assert_int_equal(dcb_series_get_info(held)->nframes, 2);
    dcb_series_release(held);
    dcb_series_close(NULL);
    dcb_series_release(NULL);

    const uint8_t *bytes = dcb_frame_part10(frame, &nbytes);
    assert_memory_equal(bytes + 128, "DICM", 4);
    dcb_frame_release(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_part10_head),     cmocka_unit_test(test_encapsulation),
        cmocka_unit_test(test_native),          cmocka_unit_test(test_deflated),
        cmocka_unit_test(test_encodings_agree), cmocka_unit_test(test_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
