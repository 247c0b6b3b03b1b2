/* SPDX-License-Identifier: Apache-2.0 */
/* Part 10 files in other syntaxes: there and back for every codec, offset tables, and all that can
   be wrong with fragments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fail_alloc.h"

#include "dcb.h"
#include "pixel_codec.h"
#include "pixel_fragments.h"
#include "source_instance.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define EXPLICIT_LE  "1.2.840.10008.1.2.1"

typedef struct bytes {
    uint8_t *data;
    size_t nbytes;
} bytes;

static void append(bytes *to, const void *from, size_t nbytes)
{
    to->data = realloc(to->data, to->nbytes + nbytes);
    assert_non_null(to->data);
    memcpy(to->data + to->nbytes, from, nbytes);
    to->nbytes += nbytes;
}

static bytes part10_of(const char *syntax_uid, const uint8_t *dataset, size_t nbytes)
{
    uint8_t head[DCB_PART10_HEADER_MAX];
    bytes file = {NULL, 0};
    append(&file, head, dcb_part10_header(head, syntax_uid, "1.2.840.10008.5.1.4.1.1.7", "1.2.3"));
    append(&file, dataset, nbytes);
    return file;
}

static dcb_series *open_bytes(const bytes *file)
{
    dcb_series *series = NULL;
    dcb_error error = DCB_ERROR_INIT;
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.pixel_codec = &pixel_codec;
    if (dcb_series_open_memory(&series, file->data, file->nbytes, &options, &error) != DCB_OK)
        fail_msg("%s", error.message);
    return series;
}

static dcb_frame *get(const bytes *file, dcb_encoding encoding)
{
    dcb_series *series = open_bytes(file);
    dcb_frame *frame = NULL;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_frame(&frame, series, 0, encoding, &error) != DCB_OK)
        fail_msg("encoding %d: %s", (int)encoding, error.message);
    dcb_series_close(series);
    return frame;
}

static dcb_status try(const bytes *file, dcb_encoding encoding, dcb_error *error)
{
    dcb_series *series = open_bytes(file);
    dcb_frame *frame = NULL;
    const dcb_status status = dcb_series_frame(&frame, series, 0, encoding, error);
    assert_int_equal(status == DCB_OK, frame != NULL);
    dcb_frame_release(frame);
    dcb_series_close(series);
    return status;
}

/* Its Pixel Data, by pixel; the rest of the data set must be as it was. */
static void assert_same(const source_kind *kind, const uint8_t *source, size_t source_nbytes,
                        const dcb_frame *frame)
{
    dcb_dataset *theirs = NULL, *ours = NULL;
    dcb_error error = DCB_ERROR_INIT;
    size_t nbytes;
    const uint8_t *dataset = dcb_frame_dataset(frame, &nbytes);
    assert_int_equal(dcb_dataset_parse(&theirs, source, source_nbytes, DCB_SYNTAX_EXPLICIT_LE, NULL,
                                       NULL, NULL, &error),
                     DCB_OK);
    if (dcb_dataset_parse(&ours, dataset, nbytes, DCB_SYNTAX_EXPLICIT_LE, NULL, NULL, NULL,
                          &error) != DCB_OK)
        fail_msg("%s: %s", kind->name, error.message);
    for (size_t i = 0; i < dcb_dataset_count(theirs); i++) {
        const dcb_element *a = dcb_dataset_at(theirs, i);
        const dcb_element *b = dcb_dataset_find(ours, a->tag);
        assert_non_null(b);
        if (a->tag == DCB_TAG(0x0028, 0x0006) || a->tag == DCB_TAG(0x7FE0, 0x0010))
            continue;
        assert_int_equal(a->vr, b->vr);
        assert_int_equal(a->nitems, b->nitems);
        assert_int_equal(a->nbytes, b->nbytes);
        if (a->nbytes > 0 && a->value != NULL)
            assert_memory_equal(a->value, b->value, a->nbytes);
    }
    const dcb_element *a = dcb_dataset_find(theirs, DCB_TAG(0x7FE0, 0x0010));
    const dcb_element *b = dcb_dataset_find(ours, DCB_TAG(0x7FE0, 0x0010));
    assert_int_equal(a->nbytes, b->nbytes);
    /* The byte that pads them is nobody's. */
    const size_t samples = (size_t)(kind->rows != 0 ? kind->rows : 5) *
                           (kind->columns != 0 ? kind->columns : 7) *
                           (kind->samples != 0 ? kind->samples : 1) *
                           ((kind->allocated != 0 ? kind->allocated : 16) / 8u);
    assert_true(a->nbytes == samples + (samples & 1));
    if (!kind->by_plane)
        assert_memory_equal(a->value, b->value, samples);
    dcb_dataset_close(theirs);
    dcb_dataset_close(ours);
}

static void test_there_and_back(void **state)
{
    (void)state;
    size_t compared = 0, refused = 0;
    for (size_t k = 0; k < source_nkinds; k++) {
        size_t nbytes;
        uint8_t *dataset = source_instance(&nbytes, &source_kinds[k], 1);
        bytes file = part10_of(EXPLICIT_LE, dataset, nbytes);
        for (int e = DCB_ENCODING_HTJ2K; e < DCB_ENCODING_END; e++) {
            dcb_error error = DCB_ERROR_INIT;
            const dcb_status status = try(&file, (dcb_encoding)e, &error);
            if (status == DCB_ERR_ENCODING && error.message[0] != '\0') {
                refused++; /* e.g. 32 bits; bytes after the samples */
                continue;
            }
            assert_int_equal(status, DCB_OK);
            dcb_frame *packed = get(&file, (dcb_encoding)e);
            assert_string_equal(dcb_frame_transfer_syntax_uid(packed),
                                dcb_encoding_uid((dcb_encoding)e));
            bytes again = {NULL, 0};
            size_t packed_nbytes;
            const uint8_t *part10 = dcb_frame_part10(packed, &packed_nbytes);
            append(&again, part10, packed_nbytes);
            dcb_frame *plain = get(&again, DCB_ENCODING_EXPLICIT_LE);
            assert_same(&source_kinds[k], dataset, nbytes, plain);
            /* From one compression to another. */
            dcb_frame *other = get(&again, e == DCB_ENCODING_RLE             ? DCB_ENCODING_JPEG_LS
                                           : source_kinds[k].allocated == 32 ? DCB_ENCODING_HTJ2K
                                                                             : DCB_ENCODING_RLE);
            dcb_frame_release(other);
            dcb_frame_release(plain);
            dcb_frame_release(packed);
            free(again.data);
            compared++;
        }
        free(file.data);
        free(dataset);
    }
    assert_true(compared > 5 * refused / 2 && compared > 40);
}

/* An element that comes twice behind the UIDs: it goes out as it is, and in no other way. */
static void test_malformed_as_it_is(void **state)
{
    (void)state;
    static const uint8_t twice[] = {0x28, 0, 0x10, 0, 'U', 'S', 2, 0, 5, 0};
    size_t nbytes, at = 0;
    uint8_t *dataset = source_instance(&nbytes, &source_kinds[0], 0);
    while (at + sizeof twice < nbytes && memcmp(dataset + at, twice, 8) != 0)
        at++;
    assert_true(at + sizeof twice < nbytes);
    bytes malformed = {NULL, 0};
    append(&malformed, dataset, at);
    append(&malformed, twice, sizeof twice);
    append(&malformed, dataset + at, nbytes - at);
    bytes file = part10_of(EXPLICIT_LE, malformed.data, malformed.nbytes);
    dcb_frame *stored = get(&file, DCB_ENCODING_STORED);
    size_t stored_nbytes;
    const uint8_t *part10 = dcb_frame_part10(stored, &stored_nbytes);
    assert_int_equal(stored_nbytes, file.nbytes);
    assert_memory_equal(part10, file.data, file.nbytes);
    dcb_frame_release(stored);
    for (int e = DCB_ENCODING_IMPLICIT_LE; e < DCB_ENCODING_END; e++) {
        dcb_error error = DCB_ERROR_INIT;
        assert_int_equal(try(&file, (dcb_encoding)e, &error), DCB_ERR_DATASET);
    }
    free(file.data);
    free(malformed.data);
    free(dataset);
}

/* ---- Fragments ------------------------------------------------------------------------------- */

/* "|" begins an item; the first is the offset table, in hexadecimal digits as all. */
static bytes make_pixel_data(const char *text)
{
    static const uint8_t start[] = {0xE0, 0x7F, 0x10, 0, 'O', 'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF};
    static const uint8_t end[] = {0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0};
    bytes out = {NULL, 0};
    append(&out, start, sizeof start);
    while (*text == '|') {
        uint8_t item[8 + 64] = {0xFE, 0xFF, 0x00, 0xE0};
        size_t n = 0;
        for (text++; *text != '|' && *text != '\0'; text += 2) {
            unsigned value;
            assert_int_equal(sscanf(text, "%2x", &value), 1);
            item[8 + n++] = (uint8_t)value;
        }
        item[4] = (uint8_t)n;
        append(&out, item, 8 + n);
    }
    append(&out, end, sizeof end);
    return out;
}

static void test_fragments(void **state)
{
    (void)state;
    static const struct {
        const char *pixel_data;
        uint32_t nframes;
        bool marked;
        const char *frames; /* the bytes of each, or NULL: refused */
    } rows[] = {
        {"||0102", 1, true, "0102"},
        {"||0102|0304|05FFD900", 1, true, "0102030405FFD9"},
        {"||01FFD900", 1, true, "01FFD9"},
        {"||01FFD900", 1, false, "01FFD900"},
        {"||01|0203", 2, false, "01 0203"},
        {"|0000000009000000|01|0203", 2, false, "01 0203"},
        {"|0000000013000000|01|0203|04", 2, false, "010203 04"},
        {"|0000000012000000|01|0203|04", 2, false, NULL}, /* within an item */
        {"|0900000013000000|01|0203|04", 2, false, NULL}, /* not from the first */
        {"|0000000000000000|01|0203|04", 2, false, NULL}, /* a frame without a fragment */
        {"|000000001300000040000000|01|0203|04", 2, false, NULL},
        {"||01|0203|04", 2, false, NULL},
        {"||01|02FFD9|03|04FFD900", 2, true, "0102FFD9 0304FFD9"},
        {"||01|02FFD9|03|04FFD900", 2, false, NULL},
        {"||01|02FFD9|03|04", 2, true, NULL},
        {"||01FFD9|02FFD9|03FFD9", 2, true, NULL},
        {"||01", 2, true, NULL},
        {"|", 1, true, NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bytes data = make_pixel_data(rows[i].pixel_data);
        dcb__pixel_place place;
        dcb__fragments fragments;
        dcb_error error = DCB_ERROR_INIT;
        char text[256] = "";
        assert_int_equal(dcb__pixel_place_find(&place, data.data, data.nbytes, &error), DCB_OK);
        const dcb_status status = dcb__fragments_read(&fragments, &place, data.data,
                                                      rows[i].nframes, rows[i].marked, &error);
        if (rows[i].frames == NULL) {
            assert_int_equal(status, DCB_ERR_CODESTREAM);
            assert_string_not_equal(error.message, "");
        } else {
            assert_int_equal(status, DCB_OK);
            for (uint32_t frame = 0; frame < rows[i].nframes; frame++) {
                const uint8_t *codestream;
                uint8_t *own;
                size_t nbytes;
                assert_int_equal(
                    dcb__fragments_frame(&codestream, &nbytes, &own, &fragments, frame, &error),
                    DCB_OK);
                size_t at = strlen(text);
                if (frame > 0)
                    text[at++] = ' ';
                for (size_t b = 0; b < nbytes; b++, at += 2)
                    snprintf(text + at, sizeof text - at, "%02X", codestream[b]);
                free(own);
            }
            assert_string_equal(text, rows[i].frames);
        }
        dcb__fragments_free(&fragments);
        free(data.data);
    }
}

/* ---- Codestreams ----------------------------------------------------------------------------- */

/* What is cut off, or of another shape than is said, is never decoded. */
static void test_damaged_codestreams(void **state)
{
    (void)state;
    enum { ROWS = 29, COLUMNS = 31, SAMPLES = 3 };
    static uint8_t samples[ROWS * COLUMNS * SAMPLES], decoded[2 * sizeof samples];
    for (size_t i = 0; i < sizeof samples; i++)
        samples[i] = (uint8_t)((i / 7) ^ (i * i >> 9));
    const dcb_pixel_shape shape = {ROWS, COLUMNS, SAMPLES, 8, 8, false, "RGB"};
    const dcb_pixel_shape others[] = {{ROWS - 1, COLUMNS, SAMPLES, 8, 8, false, "RGB"},
                                      {ROWS + 1, COLUMNS, SAMPLES, 8, 8, false, "RGB"},
                                      {ROWS, COLUMNS - 1, SAMPLES, 8, 8, false, "RGB"},
                                      {COLUMNS, ROWS, SAMPLES, 8, 8, false, "RGB"},
                                      {ROWS, COLUMNS, 1, 8, 8, false, "MONOCHROME2"},
                                      {ROWS * SAMPLES, COLUMNS, 1, 8, 8, false, "MONOCHROME2"}};
    for (int e = DCB_ENCODING_J2K; e < DCB_ENCODING_END; e++) {
        const char *uid = dcb_encoding_uid((dcb_encoding)e);
        uint8_t *codestream = NULL;
        size_t nbytes = 0;
        dcb_error error = DCB_ERROR_INIT;
        assert_int_equal(pixel_codec.encode(NULL, &codestream, &nbytes, samples, sizeof samples,
                                            &shape, uid, &error),
                         DCB_OK);
        assert_int_equal(pixel_codec.decode(NULL, decoded, sizeof samples, &shape, uid, codestream,
                                            nbytes, &error),
                         DCB_OK);
        assert_memory_equal(decoded, samples, sizeof samples);
        for (size_t n = 0; n + 4 < nbytes; n += 1 + nbytes / 23) {
            /* In memory of its own, so that reading behind its end is found. */
            uint8_t *cut = malloc(n + 1);
            assert_non_null(cut);
            memcpy(cut, codestream, n);
            assert_int_equal(
                pixel_codec.decode(NULL, decoded, sizeof samples, &shape, uid, cut, n, &error),
                DCB_ERR_CODESTREAM);
            assert_string_not_equal(error.message, "");
            free(cut);
        }
        for (size_t i = 0; i < COUNT(others); i++) {
            if (e == DCB_ENCODING_RLE && others[i].rows == COLUMNS)
                continue; /* it knows no rows, only how many samples there are */
            assert_int_equal(pixel_codec.decode(NULL, decoded,
                                                (size_t)others[i].rows * others[i].columns *
                                                    others[i].samples_per_pixel,
                                                &others[i], uid, codestream, nbytes, &error),
                             DCB_ERR_CODESTREAM);
        }
        free(codestream);
    }
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    size_t nbytes;
    uint8_t *dataset = source_instance(&nbytes, &source_kinds[0], 0);
    bytes file = part10_of(EXPLICIT_LE, dataset, nbytes);
    dcb_frame *packed = get(&file, DCB_ENCODING_RLE);
    bytes compressed = {NULL, 0};
    size_t packed_nbytes;
    const uint8_t *part10 = dcb_frame_part10(packed, &packed_nbytes);
    append(&compressed, part10, packed_nbytes);
    for (int e = DCB_ENCODING_EXPLICIT_LE; e <= DCB_ENCODING_J2K; e++) {
        dcb_series *series = open_bytes(&compressed);
        bool failed = true;
        for (unsigned n = 1; failed; n++) {
            dcb_frame *frame = NULL;
            dcb_error error = DCB_ERROR_INIT;
            fail_alloc_at(n);
            const dcb_status status = dcb_series_frame(&frame, series, 0, (dcb_encoding)e, &error);
            failed = fail_alloc_end();
            /* Adapters of libraries have one answer to all that goes wrong in these. */
            assert_true(failed ? status != DCB_OK || frame != NULL : status == DCB_OK);
            assert_int_equal(status == DCB_OK, frame != NULL);
            dcb_frame_release(frame);
        }
        dcb_series_close(series);
    }
    dcb_frame_release(packed);
    free(compressed.data);
    free(file.data);
    free(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),  cmocka_unit_test(test_malformed_as_it_is),
        cmocka_unit_test(test_fragments),       cmocka_unit_test(test_damaged_codestreams),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
