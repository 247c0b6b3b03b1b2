/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_meta.c - bytes as the JSON of dicommeta, in a sound file round it. The first byte tells the
 * number of slices (1 to 16), the rest is JSON.
 *
 * Beyond not crashing: a slice's data set ascends, encodes in each syntax to what parses to the
 * same, bears the UID that the frame's information tells, and its text as UTF-8 is the text made
 * UTF-8 of the other form; single elements are those of the data set, shared ones the same in all
 * slices; its JSON is JSON.
 */
#include <string.h>

#include "dcb.h"
#include "fuzz.h"
#include "fuzz_json.h"
#include "make_dcbs.h"

#define MAX_SLICES   16
#define MAX_ELEMENTS 24 /* that are asked for one by one */
#define MAX_NBYTES   (1u << 20)

/* 4 x 3 pixels of 16 bits, signed, one level, empty packets. */
/* clang-format off */
static const uint8_t codestream[] = {
    0xFF, 0x4F,                                                             /* SOC */
    0xFF, 0x51, 0, 41, 0x40, 0,                                             /* SIZ */
    0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0,                         /* size, offset */
    0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0,                         /* tile */
    0, 1, 0x8F, 1, 1,                                                       /* component */
    0xFF, 0x50, 0, 8, 0, 2, 0, 0, 0, 2,                                     /* CAP */
    0xFF, 0x52, 0, 12, 0, 2, 0, 1, 0, 1, 4, 4, 0x40, 1,                     /* COD */
    0xFF, 0x5C, 0, 7, 0x20, 0x88, 0x90, 0x90, 0x90,                         /* QCD */
    0xFF, 0x90, 0, 10, 0, 0, 0, 0, 0, 16, 0, 1,                             /* SOT */
    0xFF, 0x93, 0, 0,                                                       /* SOD, 2 packets */
    0xFF, 0xD9,                                                             /* EOC */
};
/* clang-format on */

static uint8_t *make_file(size_t *nbytes, const char *json, uint32_t nslices)
{
    static const char pixel_header[] =
        "{\"RescaleSlope\": 2.0, \"RescaleIntercept\": -1024.0, \"PixelDtype\": \"int16\", "
        "\"OriginalPixelDtype\": \"float64\", \"WindowCenter\": 40.0, \"WindowWidth\": null}";
    make_frame frames[MAX_SLICES];
    for (uint32_t i = 0; i < nslices; i++)
        frames[i] = (make_frame){codestream, sizeof codestream};
    make_dcbs file = {
        .meta_json = json, .pixel_header_json = pixel_header, .nframes = nslices, .frames = frames};
    return make_dcbs_bytes(nbytes, &file);
}

typedef struct encoded {
    uint8_t *bytes;
    size_t nbytes;
} encoded;

static encoded encode(const dcb_dataset *dataset, dcb_syntax syntax)
{
    encoded made;
    FUZZ_CHECK(dcb_dataset_encode(&made.bytes, &made.nbytes, dataset, syntax, NULL) == DCB_OK);
    return made;
}

static void check_same(encoded a, encoded b)
{
    FUZZ_CHECK(a.nbytes == b.nbytes && memcmp(a.bytes, b.bytes, a.nbytes) == 0);
    free(a.bytes);
    free(b.bytes);
}

static void check_encodings(const dcb_dataset *dataset)
{
    for (dcb_syntax syntax = DCB_SYNTAX_IMPLICIT_LE; syntax <= DCB_SYNTAX_EXPLICIT_BE; syntax++) {
        encoded once = encode(dataset, syntax);
        dcb_dataset *again;
        FUZZ_CHECK(dcb_dataset_parse(&again, once.bytes, once.nbytes, syntax, NULL, NULL, NULL,
                                     NULL) == DCB_OK);
        check_same(once, encode(again, syntax));
        dcb_dataset_close(again);
    }
}

static void check_order(const dcb_dataset *dataset)
{
    for (size_t i = 0; i < dcb_dataset_count(dataset); i++) {
        const dcb_element *element = dcb_dataset_at(dataset, i);
        FUZZ_CHECK(i == 0 || dcb_dataset_at(dataset, i - 1)->tag < element->tag);
        FUZZ_CHECK(dcb_vr_is_known(element->vr) && element->nbytes % 2 == 0);
        for (uint32_t j = 0; j < element->nitems; j++)
            check_order(element->items[j]);
    }
}

static void check_element(dcb_series *series, uint32_t frame, const dcb_element *element,
                          bool *shared)
{
    dcb_dataset *found, *expected, *got;
    FUZZ_CHECK(dcb_series_element(&found, shared, series, frame, element->tag, false, NULL) ==
               DCB_OK);
    FUZZ_CHECK(dcb_dataset_create(&expected, NULL) == DCB_OK);
    FUZZ_CHECK(dcb_dataset_create(&got, NULL) == DCB_OK);
    FUZZ_CHECK(dcb_dataset_put_element(expected, element, NULL) == DCB_OK);
    FUZZ_CHECK(dcb_dataset_put_element(got, dcb_dataset_find(found, element->tag), NULL) == DCB_OK);
    check_same(encode(got, DCB_SYNTAX_EXPLICIT_LE), encode(expected, DCB_SYNTAX_EXPLICIT_LE));
    dcb_dataset_close(found);
    dcb_dataset_close(expected);
    dcb_dataset_close(got);
}

static void check_elements(dcb_series *series, uint32_t slice, const dcb_dataset *dataset)
{
    for (size_t i = 0; i < dcb_dataset_count(dataset) && i < MAX_ELEMENTS; i++) {
        const dcb_element *element = dcb_dataset_at(dataset, i);
        bool shared, same;
        check_element(series, slice, element, &shared);
        if (shared)
            check_element(series, DCB_FRAME_SHARED, element, &same);
    }
}

static void check_json(dcb_series *series, uint32_t slice, size_t nelements)
{
    char *json;
    size_t nbytes;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb_series_json(&json, &nbytes, series, slice, &error);
    FUZZ_CHECK(status == DCB_OK || (json == NULL && error.message[0] != '\0'));
    if (status != DCB_OK)
        return;
    FUZZ_CHECK(nbytes <= MAX_NBYTES);
    fuzz_check_json(json, nbytes, nelements);
    free(json);
}

/* Two ways to UTF-8. */
static void check_text(dcb_series *series, uint32_t slice, dcb_dataset *dataset)
{
    dcb_dataset *utf8;
    FUZZ_CHECK(dcb_series_dataset(&utf8, series, slice, true, NULL) == DCB_OK);
    if (dcb_dataset_to_utf8(dataset, NULL) == DCB_OK)
        check_same(encode(dataset, DCB_SYNTAX_EXPLICIT_LE), encode(utf8, DCB_SYNTAX_EXPLICIT_LE));
    check_json(series, slice, dcb_dataset_count(utf8));
    dcb_dataset_close(utf8);
}

static void check_slice(dcb_series *series, uint32_t slice)
{
    dcb_dataset *dataset;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb_series_dataset(&dataset, series, slice, false, &error);
    FUZZ_CHECK((status == DCB_OK) == (dataset != NULL));
    FUZZ_CHECK(status == DCB_OK || (error.status == status && error.message[0] != '\0'));
    if (status != DCB_OK)
        return;
    check_order(dataset);
    check_encodings(dataset);
    dcb_frame_info info;
    if (dcb_series_frame_info(&info, series, slice, &error) == DCB_OK) {
        char uid[80];
        FUZZ_CHECK(dcb_dataset_get_text(dataset, DCB_TAG(0x0008, 0x0018), uid, sizeof uid) > 0);
        FUZZ_CHECK(strcmp(uid, info.sop_instance_uid) == 0);
    }
    check_elements(series, slice, dataset);
    check_text(series, slice, dataset);
    dcb_frame *frame;
    if (dcb_series_frame(&frame, series, slice, DCB_ENCODING_STORED, &error) == DCB_OK)
        FUZZ_CHECK(strcmp(dcb_frame_sop_instance_uid(frame), info.sop_instance_uid) == 0);
    dcb_frame_release(frame);
    dcb_dataset_close(dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    fuzz_input input = {bytes, nbytes};
    uint32_t nslices = 1 + fuzz_take_byte(&input) % MAX_SLICES;
    char *json = strndup((const char *)input.bytes, input.nbytes);
    FUZZ_CHECK(json != NULL);
    size_t file_nbytes;
    uint8_t *file = make_file(&file_nbytes, json, nslices);
    free(json);

    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.limits.max_meta_bytes = MAX_NBYTES;
    options.limits.max_json_depth = 32;
    options.limits.max_sequence_depth = 8;
    dcb_series *series;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb_series_open_memory(&series, file, file_nbytes, &options, &error);
    FUZZ_CHECK((status == DCB_OK) == (series != NULL));
    FUZZ_CHECK(status == DCB_OK || (error.status == status && error.message[0] != '\0'));
    for (uint32_t i = 0; status == DCB_OK && i < nslices; i++)
        check_slice(series, i);
    dcb_series_close(series);
    free(file);
    return 0;
}
