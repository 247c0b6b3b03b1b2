/* SPDX-License-Identifier: Apache-2.0 */
/* test_pixel_module.c - the elements that describe pixels, and pixels that cannot be sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "make_series.h"

static dcb_series *open_made(const make_series *what)
{
    dcb_error error = DCB_ERROR_INIT;
    dcb_series *series = NULL;
    if (make_series_open(&series, what, NULL, &error) != DCB_OK)
        fail_msg("%s", error.message);
    return series;
}

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
    {"Rows without a value", "\"00280010\":{\"vr\":\"US\",\"shared\":true}", NULL, 1, 16, false,
     0x00280010, "US", "4"},
    {"Columns of nothing", "\"00280011\":{\"vr\":\"US\",\"shared\":true,\"Value\":[0]}", NULL, 1,
     16, false, 0x00280011, "US", "6"},
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
#define TABLE(tag)       "\"" tag "\":{\"vr\":\"OW\",\"shared\":true,\"InlineBinary\":\"QUJDRA==\"}"
#define TABLES           TABLE("00281201") "," TABLE("00281202") "," TABLE("00281203") ","
#define DESCRIBE(tag, v) "\"" tag "\":{\"vr\":\"US\",\"shared\":true,\"Value\":" v "}"
#define PALETTE                                                                                    \
    "\"00280004\":{\"vr\":\"CS\",\"shared\":true,\"Value\":[\"PALETTE COLOR\"]}," TABLES DESCRIBE( \
        "00281101", "[2,0,16]") "," DESCRIBE("00281102", "[2,0,16]") ","
    {PALETTE DESCRIBE("00281103", "[2,0]"), 1, NULL, DCB_ERR_UNSUPPORTED,
     "frame 0: PALETTE COLOR, and a descriptor of the palette is not three numbers"},
    {PALETTE DESCRIBE("00281103", "[2,70000,16]"), 1, NULL, DCB_ERR_UNSUPPORTED,
     "frame 0: PALETTE COLOR, and a descriptor of the palette is not three numbers"},
    {PALETTE DESCRIBE("00281103",
                      "[2,0,16]") ","
                                  "\"00281052\":{\"vr\":\"DS\",\"shared\":true,\"Value\":[-5]}",
     1, NULL, DCB_ERR_UNSUPPORTED,
     "frame 0: PALETTE COLOR, and the writer rescaled the palette's indices"},
    {"\"00283000\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":["
     "{\"00283006\":{\"vr\":\"OW\",\"shared\":true}}]}",
     1, NULL, DCB_ERR_UNSUPPORTED, "frame 0: the writer dropped the data of the Modality LUT"},
    {"\"00280008\":{\"vr\":\"IS\",\"shared\":true,\"Value\":[5]}", 1, NULL, DCB_ERR_UNSUPPORTED,
     "frame 0: a multi-frame instance whose frames the writer did not keep apart"},
    {"\"00280010\":{\"vr\":\"US\",\"shared\":true,\"Value\":[5]}", 1, NULL, DCB_ERR_CODESTREAM,
     "frame 0: the codestream has 4 rows and 6 columns, the metadata say 5 and 6"},
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

/* A slice that the metadata give no Rows has those of its codestream. */
static void test_rows_by_slice(void **state)
{
    (void)state;
    make_series what = {
        .nframes = 3,
        .elements = "\"00280010\":{\"vr\":\"US\",\"shared\":false,\"Value\":[[4],\"None\",[4]]},"
                    "\"00280011\":{\"vr\":\"US\",\"shared\":false,\"Value\":[6,6,5]}"};
    dcb_series *series = open_made(&what);
    for (uint32_t i = 0; i < 3; i++) {
        dcb_dataset *dataset = NULL;
        assert_int_equal(dcb_series_dataset(&dataset, series, i, false, NULL), DCB_OK);
        const dcb_element *rows = dcb_dataset_find(dataset, 0x00280010);
        assert_non_null(rows);
        assert_int_equal(rows->nbytes, 2);
        assert_int_equal(rows->value[0] | rows->value[1] << 8, 4);
        dcb_dataset_close(dataset);
    }
    dcb_error error = DCB_ERROR_INIT;
    dcb_frame *frame = NULL;
    assert_int_equal(dcb_series_frame(&frame, series, 1, DCB_ENCODING_STORED, &error), DCB_OK);
    dcb_frame_release(frame);
    assert_int_equal(dcb_series_frame(&frame, series, 2, DCB_ENCODING_STORED, &error),
                     DCB_ERR_CODESTREAM);
    dcb_series_close(series);
}

/* Without Rows in the metadata, one frame's size cannot stand for another's: it would be sent with
   Rows that are not its pixels'. */
static void test_sizes_without_metadata(void **state)
{
    (void)state;
    static const uint8_t start[] = {0xFF, 0x4F, 0xFF, 0x51};
    make_series what = {.meta_json = "", .nframes = 2};
    size_t nbytes = 0;
    uint8_t *bytes = make_series_bytes(&nbytes, &what);
    uint8_t *first = memmem(bytes, nbytes, start, sizeof start);
    assert_non_null(first);
    uint8_t *second = memmem(first + 4, nbytes - (size_t)(first + 4 - bytes), start, sizeof start);
    assert_non_null(second);
    second[15] = 3; /* Ysiz */
    dcb_series *series = NULL;
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(open_bytes(&series, bytes, nbytes, NULL, &error), DCB_OK);
    for (int encoding = 0; encoding < DCB_ENCODING_COUNT; encoding++) {
        dcb_frame *frame = NULL;
        assert_int_equal(dcb_series_frame(&frame, series, 0, (dcb_encoding)encoding, &error),
                         DCB_OK);
        dcb_frame_release(frame);
        assert_int_equal(dcb_series_frame(&frame, series, 1, (dcb_encoding)encoding, &error),
                         DCB_ERR_CODESTREAM);
        assert_string_equal(error.message, "frame 1: the codestream has 3 rows and 6 columns, "
                                           "others have 4 and 6");
    }
    dcb_series_close(series);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pixel_elements),         cmocka_unit_test(test_shift_by_slice),
        cmocka_unit_test(test_refused_pixels),         cmocka_unit_test(test_rows_by_slice),
        cmocka_unit_test(test_sizes_without_metadata), cmocka_unit_test(test_pixel_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
