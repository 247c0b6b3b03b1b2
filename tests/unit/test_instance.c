/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_instance.c - instances byte by byte: Part 10 head, encapsulation, native pixels in every
 * encoding, padding, byte order; the elements that describe pixels; files without metadata.
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
    dcb_series *series = open_made(&what);
    size_t file_nbytes = 0;
    uint8_t *file = make_series_bytes(&file_nbytes, &what);
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
    free(file);
    dcb_series_close(series);
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

/* ---- The elements that describe pixels ------------------------------------------------------- */

static const struct {
    const char *name;
    const char *elements, *pixel_header;
    uint16_t components, precision;
    bool is_unsigned;
    uint32_t tag;
    const char *vr;       /* NULL: the element must be missing */
    const char *expected; /* text, or US/SS as a number */
} pixel_rows[] = {
#define RESCALED                                                                                   \
    "\"00281052\":{\"vr\":\"DS\",\"shared\":true,\"Value\":[-1024.0]},"                            \
    "\"00281053\":{\"vr\":\"DS\",\"shared\":true,\"Value\":[1.0]},"                                \
    "\"00280103\":{\"vr\":\"US\",\"shared\":true,\"Value\":[0]}"
    {"source bits are replaced",
     "\"00280101\":{\"vr\":\"US\",\"shared\":true,\"Value\":[12]},"
     "\"00280103\":{\"vr\":\"US\",\"shared\":true,\"Value\":[0]}",
     NULL, 1, 16, false, 0x00280101, "US", "16"},
    {"high bit", NULL, NULL, 1, 16, false, 0x00280102, "US", "15"},
    {"sign", NULL, NULL, 1, 16, false, 0x00280103, "US", "1"},
    {"8 bits", NULL, NULL, 1, 8, true, 0x00280100, "US", "8"},
    {"32 bits", NULL, NULL, 1, 26, true, 0x00280100, "US", "32"},
    {"12 stored bits of our own files", NULL, NULL, 1, 12, true, 0x00280101, "US", "12"},
    {"12 stored bits of our own files", NULL, NULL, 1, 12, true, 0x00280100, "US", "16"},
    {"no rescale where there was none", NULL, NULL, 1, 16, false, 0x00281053, NULL, NULL},
    {"rescale that the source had", RESCALED, NULL, 1, 16, false, 0x00281052, "DS", "0"},
    {"rescale of the pixel header", NULL,
     "{\"RescaleSlope\":2,\"RescaleIntercept\":-3,\"PixelDtype\":\"int16\"}", 1, 16, false,
     0x00281053, "DS", "2"},
    {"rescale of the pixel header, upper case", NULL,
     "{\"RESCALE_SLOPE\":2.0,\"RESCALE_INTERCEPT\":-3.0,\"PIXEL_DTYPE\":\"int16\"}", 1, 16, false,
     0x00281052, "DS", "-3"},
    {"padding is shifted",
     RESCALED ",\"00280120\":{\"vr\":\"US\",\"shared\":true,\"Value\":[63536]}", NULL, 1, 16, false,
     0x00280120, NULL, NULL}, /* 62512 does not fit into SS */
    {"padding is shifted", RESCALED ",\"00280120\":{\"vr\":\"US\",\"shared\":true,\"Value\":[24]}",
     NULL, 1, 16, false, 0x00280120, "SS", "-1000"},
    {"padding of signed pixels told as US",
     "\"00280103\":{\"vr\":\"US\",\"shared\":true,\"Value\":[1]},"
     "\"00280120\":{\"vr\":\"US\",\"shared\":true,\"Value\":[63536]}",
     NULL, 1, 16, false, 0x00280120, "SS", "-2000"},
    {"smallest value, no rescale", "\"00280106\":{\"vr\":\"US\",\"shared\":true,\"Value\":[5]}",
     NULL, 1, 16, true, 0x00280106, "US", "5"},
    {"same rescale in file and source",
     RESCALED ",\"00280107\":{\"vr\":\"US\",\"shared\":true,\"Value\":[4000]}",
     "{\"RescaleSlope\":1,\"RescaleIntercept\":-1024,\"PixelDtype\":\"uint16\"}", 1, 16, true,
     0x00280107, "US", "4000"},
    {"a value that is no integer any more",
     RESCALED ",\"00280107\":{\"vr\":\"US\",\"shared\":true,\"Value\":[4001]}",
     "{\"RescaleSlope\":2,\"RescaleIntercept\":0,\"PixelDtype\":\"int16\"}", 1, 16, false,
     0x00280107, NULL, NULL},
    {"real world mapping of values that are gone",
     RESCALED ",\"00409096\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":[]}", NULL, 1, 16, false,
     0x00409096, NULL, NULL},
    {"real world mapping of values that stayed",
     "\"00409096\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":[]}", NULL, 1, 16, false, 0x00409096,
     "SQ", ""},
    {"MONOCHROME1 stays",
     "\"00280004\":{\"vr\":\"CS\",\"shared\":true,\"Value\":[\"MONOCHROME1\"]}", NULL, 1, 16, false,
     0x00280004, "CS", "MONOCHROME1"},
    {"no term", NULL, NULL, 1, 16, false, 0x00280004, "CS", "MONOCHROME2"},
    {"no term, colour", NULL, NULL, 3, 8, true, 0x00280004, "CS", "RGB"},
    {"term of other samples", "\"00280004\":{\"vr\":\"CS\",\"shared\":true,\"Value\":[\"RGB\"]}",
     NULL, 1, 8, true, 0x00280004, "CS", "MONOCHROME2"},
    {"YBR_FULL stays", "\"00280004\":{\"vr\":\"CS\",\"shared\":true,\"Value\":[\"YBR_FULL\"]}",
     NULL, 3, 8, true, 0x00280004, "CS", "YBR_FULL"},
    {"samples are not subsampled",
     "\"00280004\":{\"vr\":\"CS\",\"shared\":true,\"Value\":[\"YBR_FULL_422\"]}", NULL, 3, 8, true,
     0x00280004, "CS", "YBR_FULL"},
    {"samples are not transformed",
     "\"00280004\":{\"vr\":\"CS\",\"shared\":true,\"Value\":[\"YBR_RCT\"]}", NULL, 3, 8, true,
     0x00280004, "CS", "RGB"},
    {"samples are interleaved", "\"00280006\":{\"vr\":\"US\",\"shared\":true,\"Value\":[1]}", NULL,
     3, 8, true, 0x00280006, "US", "0"},
    {"one sample has no planes", "\"00280006\":{\"vr\":\"US\",\"shared\":true,\"Value\":[1]}", NULL,
     1, 8, true, 0x00280006, NULL, NULL},
    {"samples by codestream", "\"00280002\":{\"vr\":\"US\",\"shared\":true,\"Value\":[1]}", NULL, 3,
     8, true, 0x00280002, "US", "3"},
    {"a rounded rescale is told by the information alone",
     "\"00281053\":{\"vr\":\"DS\",\"shared\":true,\"Value\":[0.75]}",
     "{\"RescaleSlope\":0.0196,\"RescaleIntercept\":0,\"PixelDtype\":\"uint16\"}", 1, 16, true,
     0x00082111, NULL, NULL},
    {"the source's own slope is not lossy",
     "\"00281053\":{\"vr\":\"DS\",\"shared\":true,\"Value\":[0.75]}",
     "{\"RescaleSlope\":0.75,\"RescaleIntercept\":0,\"PixelDtype\":\"uint16\"}", 1, 16, true,
     0x00082111, NULL, NULL},
};

static void check_pixel_row(size_t i)
{
    make_series what = {.elements = pixel_rows[i].elements,
                        .pixel_header = pixel_rows[i].pixel_header,
                        .components = pixel_rows[i].components,
                        .precision = pixel_rows[i].precision,
                        .is_unsigned = pixel_rows[i].is_unsigned};
    dcb_series *series = open_made(&what);
    dcb_dataset *dataset = NULL;
    assert_int_equal(dcb_series_dataset(&dataset, series, 0, false, NULL), DCB_OK);
    const dcb_element *element = dcb_dataset_find(dataset, pixel_rows[i].tag);
    char text[96] = "";
    if ((element != NULL) != (pixel_rows[i].vr != NULL))
        fail_msg("%s: the element is %s", pixel_rows[i].name, element ? "there" : "missing");
    if (element != NULL) {
        const char vr[3] = {(char)(element->vr >> 8), (char)element->vr, 0};
        assert_string_equal(vr, pixel_rows[i].vr);
        if (strcmp(vr, "US") == 0)
            snprintf(text, sizeof text, "%u", element->value[0] | element->value[1] << 8);
        else if (strcmp(vr, "SS") == 0)
            snprintf(text, sizeof text, "%d",
                     (int16_t)(element->value[0] | element->value[1] << 8));
        else if (strcmp(vr, "SQ") != 0)
            dcb_dataset_get_text(dataset, pixel_rows[i].tag, text, sizeof text);
        if (strcmp(text, pixel_rows[i].expected) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", pixel_rows[i].name, text,
                     pixel_rows[i].expected);
    }
    assert_int_equal(
        dcb_series_get_info(series)->lossy_rescale,
        strcmp(pixel_rows[i].name, "a rounded rescale is told by the information alone") == 0);
    dcb_dataset_close(dataset);
    dcb_series_close(series);
}

static void test_pixel_elements(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pixel_rows / sizeof *pixel_rows; i++)
        check_pixel_row(i);
}

/* Slopes by slice: each slice's values are shifted by its own. */
static void test_shift_by_slice(void **state)
{
    (void)state;
    make_series what = {
        .nframes = 3,
        .elements =
            "\"00281053\":{\"vr\":\"DS\",\"shared\":false,\"Value\":[1,2,3]},"
            "\"00281052\":{\"vr\":\"DS\",\"shared\":true,\"Value\":[-10]},"
            "\"00280106\":{\"vr\":\"US\",\"shared\":true,\"Value\":[100]},"
            "\"00280107\":{\"vr\":\"US\",\"shared\":false,\"Value\":[[10],\"None\",[30000]]}"};
    static const int smallest[3] = {90, 190, 290};
    dcb_series *series = open_made(&what);
    for (uint32_t i = 0; i < 3; i++) {
        dcb_dataset *dataset = NULL;
        char text[20];
        assert_int_equal(dcb_series_dataset(&dataset, series, i, false, NULL), DCB_OK);
        const dcb_element *element = dcb_dataset_find(dataset, 0x00280106);
        assert_non_null(element);
        assert_int_equal(element->value[0] | element->value[1] << 8, smallest[i]);
        element = dcb_dataset_find(dataset, 0x00280107);
        assert_int_equal(element != NULL, i == 0); /* missing; 89990 does not fit */
        dcb_dataset_get_text(dataset, 0x00281053, text, sizeof text);
        assert_string_equal(text, "1");
        dcb_dataset_close(dataset);
    }
    dcb_series_close(series);
}

static const struct {
    const char *elements;
    uint16_t components;
    const char *pixel_header;
    dcb_status status;
    const char *message;
} refused[] = {
    {NULL, 4, NULL, DCB_ERR_UNSUPPORTED,
     "frame 0: images of 2 or of more than 3 samples per pixel"},
    {"\"00280004\":{\"vr\":\"CS\",\"shared\":true,\"Value\":[\"YBR_PARTIAL_422\"]}", 3, NULL,
     DCB_ERR_UNSUPPORTED, "frame 0: YBR_PARTIAL pixels without subsampling have no name in DICOM"},
    {"\"00280004\":{\"vr\":\"CS\",\"shared\":true,\"Value\":[\"PALETTE COLOR\"]},"
     "\"00281201\":{\"vr\":\"OW\",\"shared\":true}",
     1, NULL, DCB_ERR_UNSUPPORTED,
     "frame 0: PALETTE COLOR, and the writer dropped the palette's data"},
    {"\"00283000\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":["
     "{\"00283006\":{\"vr\":\"OW\",\"shared\":true}}]}",
     1, NULL, DCB_ERR_UNSUPPORTED, "frame 0: the writer dropped the data of the Modality LUT"},
    {"\"00280008\":{\"vr\":\"IS\",\"shared\":true,\"Value\":[5]}", 1, NULL, DCB_ERR_UNSUPPORTED,
     "frame 0: a multi-frame instance whose frames the writer did not keep apart"},
    {"\"00280010\":{\"vr\":\"US\",\"shared\":true,\"Value\":[5]}", 1, NULL, DCB_ERR_CODESTREAM,
     "frame 0: the codestream has 4 rows and 6 columns, the metadata say 5 and 0"},
    {NULL, 1, "{\"PixelDtype\":\"int16\"}", DCB_ERR_CODESTREAM,
     "frame 0: the codestream has unsigned samples of 8 bits, pixel_header says signed of 16"},
};

static void test_refused_pixels(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        make_series what = {.elements = refused[i].elements,
                            .components = refused[i].components,
                            .precision = 8,
                            .is_unsigned = true,
                            .pixel_header = refused[i].pixel_header};
        dcb_series *series = open_made(&what);
        for (int encoding = 0; encoding < DCB_ENCODING_COUNT; encoding++) {
            dcb_error error = DCB_ERROR_INIT;
            dcb_frame *frame = NULL;
            assert_int_equal(dcb_series_frame(&frame, series, 0, (dcb_encoding)encoding, &error),
                             refused[i].status);
            assert_string_equal(error.message, refused[i].message);
            assert_null(frame);
        }
        dcb_series_close(series);
    }
}

static const struct {
    const char *json;
    dcb_status status;
    const char *message;
} headers[] = {
    {"{\"PixelDtype\":\"int16\",\"RescaleSlope\":0}", DCB_ERR_META,
     "pixel_header: RescaleSlope is 0"},
    {"{\"PixelDtype\":\"int16\",\"RescaleSlope\":\"1\"}", DCB_ERR_META,
     "pixel_header: RescaleSlope is not a finite number"},
    {"{\"PixelDtype\":\"int16\",\"RescaleIntercept\":NaN}", DCB_ERR_META,
     "pixel_header: RescaleIntercept is not a finite number"},
    {"{\"PixelDtype\":\"float32\"}", DCB_ERR_UNSUPPORTED,
     "pixel_header: PixelDtype is none of (u)int8, (u)int16, (u)int32"},
    {"{\"RescaleSlope\":1}", DCB_ERR_META, "pixel_header: PixelDtype is missing"},
    {"[]", DCB_ERR_META, "pixel_header is not a JSON object"},
    {"{\"PixelDtype\":\"int16\",\"RescaleSlope\":null,\"RescaleIntercept\":null,"
     "\"WindowCenter\":null,\"More\":[1]}",
     DCB_OK, ""},
};

static void test_pixel_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        dcb_error error = DCB_ERROR_INIT;
        dcb_series *series = NULL;
        make_series what = {.pixel_header = headers[i].json};
        assert_int_equal(make_series_open(&series, &what, NULL, &error), headers[i].status);
        assert_string_equal(error.message, headers[i].message);
        dcb_series_close(series);
    }
}

/* ---- Files without metadata ------------------------------------------------------------------ */

static void check_value(const dcb_dataset *dataset, uint32_t tag, const char *expected)
{
    char text[80] = "(missing)";
    dcb_dataset_get_text(dataset, tag, text, sizeof text);
    assert_string_equal(text, expected);
}

static void test_bare_series(void **state)
{
    (void)state;
    make_series what = {
        .meta_json = "",
        .nframes = 3,
        .space_json = "{\"shape\":[6,4,3],\"origin\":[-10,20,0.5],\"spacing\":[0.75,0.5,2.5],"
                      "\"x_orientation\":[1,0,0],\"y_orientation\":[0,0,-1],"
                      "\"z_orientation\":[0,1,0]}",
        .pixel_header = "{\"RescaleSlope\":2.0,\"RescaleIntercept\":-5,\"PixelDtype\":\"int16\","
                        "\"WindowCenter\":40.0,\"WindowWidth\":400}"};
    dcb_series *series = open_made(&what), *again = open_made(&what);
    const dcb_series_info *info = dcb_series_get_info(series);
    assert_false(info->has_meta);
    assert_true(strncmp(info->series_instance_uid, "2.25.", 5) == 0);
    assert_string_equal(info->series_instance_uid, dcb_series_get_info(again)->series_instance_uid);
    assert_string_not_equal(info->series_instance_uid, info->study_instance_uid);
    dcb_dataset *dataset = NULL;
    assert_int_equal(dcb_series_dataset(&dataset, series, 1, false, NULL), DCB_OK);
    check_value(dataset, 0x00080016, "1.2.840.10008.5.1.4.1.1.7");
    check_value(dataset, 0x00080060, "OT");
    check_value(dataset, 0x00100010, "");
    check_value(dataset, 0x0020000E, info->series_instance_uid);
    check_value(dataset, 0x00200013, "2");
    check_value(dataset, 0x00200032, "-10\\22.5\\0.5");
    check_value(dataset, 0x00200037, "1\\0\\0\\0\\0\\-1");
    check_value(dataset, 0x00280030, "0.5\\0.75");
    check_value(dataset, 0x00281050, "40");
    check_value(dataset, 0x00281052, "-5");
    check_value(dataset, 0x00281053, "2");
    check_value(dataset, 0x00281054, "US");
    check_value(dataset, 0x00280004, "MONOCHROME2");
    dcb_frame_info frames[2], same;
    assert_int_equal(dcb_series_frame_info(&frames[0], series, 0, NULL), DCB_OK);
    assert_int_equal(dcb_series_frame_info(&frames[1], series, 1, NULL), DCB_OK);
    assert_int_equal(dcb_series_frame_info(&same, again, 1, NULL), DCB_OK);
    assert_string_not_equal(frames[0].sop_instance_uid, frames[1].sop_instance_uid);
    assert_string_equal(frames[1].sop_instance_uid, same.sop_instance_uid);
    assert_true(strlen(same.sop_instance_uid) <= 64);
    check_value(dataset, 0x00080018, same.sop_instance_uid);
    dcb_dataset_close(dataset);
    dcb_frame_release(get_frame(series, 2, DCB_ENCODING_STORED));
    dcb_series_close(series);
    dcb_series_close(again);
}

/* Geometry that is not this image's is not used; another content has other UIDs. */
static void test_bare_series_without_space(void **state)
{
    (void)state;
    make_series what = {.meta_json = "",
                        .space_json = "{\"shape\":[4,6,1],\"origin\":[0,0,0],\"spacing\":[1,1,1],"
                                      "\"x_orientation\":[1,0,0],\"y_orientation\":[0,1,0],"
                                      "\"z_orientation\":[0,0,1]}"};
    make_series other = {.meta_json = "", .space_json = "{\"shape\":"};
    dcb_series *series = open_made(&what), *second = open_made(&other);
    assert_string_not_equal(dcb_series_get_info(series)->study_instance_uid,
                            dcb_series_get_info(second)->study_instance_uid);
    dcb_dataset *dataset = NULL;
    assert_int_equal(dcb_series_dataset(&dataset, series, 0, false, NULL), DCB_OK);
    assert_null(dcb_dataset_find(dataset, 0x00200032));
    assert_null(dcb_dataset_find(dataset, 0x00200052));
    dcb_dataset_close(dataset);
    dcb_series_close(series);
    dcb_series_close(second);
}

/* Metadata that lack UIDs, or give all slices one. */
static void test_missing_uids(void **state)
{
    (void)state;
    make_series what = {.nframes = 2,
                        .meta_json =
                            "{\"_merged_data\":{"
                            "\"00080018\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"1.2.3\"]},"
                            "\"0020000D\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"1.2.4\"]},"
                            "\"00100020\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"P\"]}}}"};
    dcb_series *series = open_made(&what);
    dcb_frame_info a, b;
    assert_int_equal(dcb_series_frame_info(&a, series, 0, NULL), DCB_OK);
    assert_int_equal(dcb_series_frame_info(&b, series, 1, NULL), DCB_OK);
    assert_string_not_equal(a.sop_instance_uid, b.sop_instance_uid);
    assert_true(strncmp(b.sop_instance_uid, "2.25.", 5) == 0);
    assert_string_equal(a.sop_class_uid, "1.2.840.10008.5.1.4.1.1.7");
    assert_string_equal(dcb_series_get_info(series)->study_instance_uid, "1.2.4");
    assert_true(strncmp(dcb_series_get_info(series)->series_instance_uid, "2.25.", 5) == 0);
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
    assert_int_equal(dcb_series_frame(&frame, series, 0, (dcb_encoding)9, &error),
                     DCB_ERR_ARGUMENT);
    assert_string_equal(error.message, "there is no encoding 9");

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
        cmocka_unit_test(test_part10_head),
        cmocka_unit_test(test_encapsulation),
        cmocka_unit_test(test_native),
        cmocka_unit_test(test_deflated),
        cmocka_unit_test(test_encodings_agree),
        cmocka_unit_test(test_pixel_elements),
        cmocka_unit_test(test_shift_by_slice),
        cmocka_unit_test(test_refused_pixels),
        cmocka_unit_test(test_pixel_headers),
        cmocka_unit_test(test_bare_series),
        cmocka_unit_test(test_bare_series_without_space),
        cmocka_unit_test(test_missing_uids),
        cmocka_unit_test(test_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
