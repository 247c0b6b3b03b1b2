/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_series_metadata.c - single elements, what frames share, and JSON of a series, held against
 * its data sets; the encoding that a series was opened with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "dcb.h"
#include "json.h"
#include "make_dcbs.h"
#include "make_series.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TINY     TEST_DATA_DIR "/golden/tiny3/series.dcbs"
#define INSTANCE DCB_TAG(0x0008, 0x0018)
#define CHARSET  DCB_TAG(0x0008, 0x0005)

static dcb_series *open_file(const char *path, const dcb_open_options *options)
{
    dcb_series *series;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_open(&series, path, options, &error) != DCB_OK)
        fail_msg("%s: %s", path, error.message);
    return series;
}

static bool same_element(const dcb_element *a, const dcb_element *b)
{
    if (a->tag != b->tag || a->vr != b->vr || a->nbytes != b->nbytes || a->nitems != b->nitems)
        return false;
    if (a->nbytes > 0 && a->value != NULL && memcmp(a->value, b->value, a->nbytes) != 0)
        return false;
    for (uint32_t i = 0; i < a->nitems; i++) {
        if (dcb_dataset_count(a->items[i]) != dcb_dataset_count(b->items[i]))
            return false;
        for (size_t k = 0; k < dcb_dataset_count(a->items[i]); k++)
            if (!same_element(dcb_dataset_at(a->items[i], k), dcb_dataset_at(b->items[i], k)))
                return false;
    }
    return true;
}

static void check_elements(dcb_series *series, uint32_t frame, bool utf8)
{
    dcb_dataset *whole, *common;
    assert_int_equal(dcb_series_dataset(&whole, series, frame, utf8, NULL), DCB_OK);
    assert_int_equal(dcb_series_dataset(&common, series, DCB_FRAME_SHARED, utf8, NULL), DCB_OK);
    size_t nshared = 0;
    for (size_t i = 0; i < dcb_dataset_count(whole); i++) {
        const dcb_element *expected = dcb_dataset_at(whole, i);
        dcb_dataset *one;
        bool shared = false;
        dcb_error error = DCB_ERROR_INIT;
        if (dcb_series_element(&one, &shared, series, frame, expected->tag, utf8, &error) != DCB_OK)
            fail_msg("%08x: %s", expected->tag, error.message);
        const dcb_element *got = dcb_dataset_find(one, expected->tag);
        assert_non_null(got);
        assert_true(expected->tag == CHARSET || same_element(got, expected));
        assert_true(dcb_dataset_count(one) <= 2);
        nshared += shared;
        assert_true((dcb_dataset_find(common, expected->tag) != NULL) == shared ||
                    expected->tag == CHARSET);
        dcb_dataset_close(one);
    }
    assert_in_range(nshared, dcb_dataset_count(common) - 1, dcb_dataset_count(common));
    dcb_dataset_close(common);
    dcb_dataset_close(whole);
}

/* Valid JSON, with as many attributes as the data set has elements. */
static void check_json(dcb_series *series, uint32_t frame)
{
    char *text;
    size_t nbytes;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_json(&text, &nbytes, series, frame, &error) != DCB_OK)
        fail_msg("%s", error.message);
    dcb_dataset *dataset;
    assert_int_equal(dcb_series_dataset(&dataset, series, frame, true, NULL), DCB_OK);
    uint8_t *padded = calloc(1, nbytes + DCB_JSON_PADDING);
    assert_non_null(padded);
    memcpy(padded, text, nbytes);
    bool repaired;
    size_t repaired_nbytes;
    assert_null(dcb__json_repair(&repaired, &repaired_nbytes, padded, nbytes));
    dcb__json_document *document;
    if (dcb__json_parse(&document, padded, nbytes, 64, "JSON", 0, &error) != DCB_OK)
        fail_msg("%s", error.message);
    const dcb__json *root = dcb__json_root(document);
    assert_int_equal(root->count, dcb_dataset_count(dataset));
    for (uint32_t i = 0; i < root->count; i++) {
        char tag[16];
        const dcb_element *element = dcb_dataset_at(dataset, i);
        snprintf(tag, sizeof tag, "%08X", (unsigned)element->tag);
        assert_string_equal(root->values[2 * i].text, tag);
        const dcb__json *value = dcb__json_member(&root->values[2 * i + 1], "Value");
        if (element->nitems > 0)
            assert_int_equal(value->count, element->nitems);
    }
    dcb__json_close(document);
    free(padded);
    dcb_dataset_close(dataset);
    free(text);
}

static unsigned check_folder(const char *folder)
{
    unsigned nfiles = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s/series.dcbs", folder, entry->d_name);
        dcb_series *series;
        if (entry->d_name[0] == '.' || dcb_series_open(&series, path, NULL, NULL) != DCB_OK)
            continue;
        uint32_t last = dcb_series_get_info(series)->nframes - 1;
        check_elements(series, 0, false);
        check_elements(series, last, true);
        check_json(series, last);
        check_json(series, DCB_FRAME_SHARED);
        dcb_series_close(series);
        nfiles++;
    }
    if (dir != NULL)
        closedir(dir);
    return nfiles;
}

static void test_all_golden_files(void **state)
{
    (void)state;
    assert_true(check_folder(TEST_DATA_DIR "/golden") >= 8);
    check_folder(GOLDEN_DIR);
}

static void test_elements(void **state)
{
    (void)state;
    dcb_series *series = open_file(TINY, NULL);
    dcb_dataset *one;
    bool shared;
    char text[64];
    for (uint32_t frame = 0; frame < 3; frame++) {
        char uid[] = "1.2.3.1";
        uid[6] = (char)('1' + frame);
        assert_int_equal(dcb_series_element(&one, &shared, series, frame, INSTANCE, true, NULL),
                         DCB_OK);
        assert_false(shared);
        dcb_dataset_get_text(one, INSTANCE, text, sizeof text);
        assert_string_equal(text, uid);
        dcb_dataset_close(one);
    }
    assert_int_equal(
        dcb_series_element(&one, &shared, series, 2, DCB_TAG(0x0010, 0x0010), true, NULL), DCB_OK);
    assert_true(shared);
    dcb_dataset_get_text(one, DCB_TAG(0x0010, 0x0010), text, sizeof text);
    assert_string_equal(text, "M\xC3\xBCller^J\xC3\xB6rg");
    dcb_dataset_close(one);

    /* Slice 1 has no (0020,4000). */
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(
        dcb_series_element(&one, NULL, series, 0, DCB_TAG(0x0020, 0x4000), false, NULL), DCB_OK);
    dcb_dataset_close(one);
    static const struct {
        uint32_t frame, tag;
        dcb_status status;
    } rows[] = {
        {1, DCB_TAG(0x0020, 0x4000), DCB_ERR_NOT_FOUND},
        {0, DCB_TAG(0x0099, 0x0099), DCB_ERR_NOT_FOUND},
        {0, DCB_TAG(0x7FE0, 0x0010), DCB_ERR_NOT_FOUND},
        {DCB_FRAME_SHARED, INSTANCE, DCB_ERR_NOT_FOUND},
        {3, INSTANCE, DCB_ERR_RANGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        one = (dcb_dataset *)&error;
        assert_int_equal(
            dcb_series_element(&one, NULL, series, rows[i].frame, rows[i].tag, false, &error),
            rows[i].status);
        assert_null(one);
        assert_int_equal(error.status, rows[i].status);
    }
    dcb_series_ref(series);
    dcb_series_close(series);
    assert_int_equal(dcb_series_element(&one, NULL, series, 0, INSTANCE, false, &error),
                     DCB_ERR_CLOSED);
    char *json;
    size_t nbytes;
    assert_int_equal(dcb_series_json(&json, &nbytes, series, 0, &error), DCB_ERR_CLOSED);
    assert_null(json);
    dcb_series_release(series);
}

/* Values of a column: short ones, ones at the edge of what is kept short, absent ones. */
static size_t column_length(uint32_t slice, size_t longest)
{
    return slice % 5 == 4 ? 0 : slice == 21 ? longest : 1 + slice * 7 % 90;
}

static void test_columns(void **state)
{
    (void)state;
    static const size_t longest[] = {60, 507, 508, 509, 510, 511, 3000};
    enum { NSLICES = 37 };
    for (size_t k = 0; k < sizeof longest / sizeof *longest; k++) {
        make_text elements = {0};
        make_text_add(&elements, "\"00204000\":{\"vr\":\"LT\",\"shared\":false,\"Value\":[");
        for (uint32_t i = 0; i < NSLICES; i++) {
            size_t length = column_length(i, longest[k]);
            make_text_add(&elements, length == 0 ? "%s\"None\"" : "%s[\"", i > 0 ? "," : "");
            for (size_t c = 0; c < length; c++)
                make_text_add(&elements, "%c", 'a' + (int)((i + c) % 26));
            make_text_add(&elements, length == 0 ? "" : "\"]");
        }
        make_text_add(&elements, "]},\"00200013\":{\"vr\":\"IS\",\"shared\":false,\"Value\":[0");
        for (uint32_t i = 1; i < NSLICES; i++)
            make_text_add(&elements, ",%u", (unsigned)i);
        make_text_add(&elements, "]}");
        make_series what = {.elements = elements.text, .nframes = NSLICES};
        dcb_series *series;
        dcb_error error = DCB_ERROR_INIT;
        if (make_series_open(&series, &what, NULL, &error) != DCB_OK)
            fail_msg("%s", error.message);
        free(elements.text);
        for (uint32_t i = 0; i < NSLICES; i++) {
            char text[4096], number[16];
            dcb_dataset *one;
            size_t length = column_length(i, longest[k]);
            dcb_status status =
                dcb_series_element(&one, NULL, series, i, DCB_TAG(0x0020, 0x4000), false, NULL);
            assert_int_equal(status, length == 0 ? DCB_ERR_NOT_FOUND : DCB_OK);
            if (status == DCB_OK) {
                assert_int_equal(
                    dcb_dataset_get_text(one, DCB_TAG(0x0020, 0x4000), text, sizeof text), length);
                for (size_t c = 0; c < length; c++)
                    assert_int_equal(text[c], 'a' + (int)((i + c) % 26));
            }
            dcb_dataset_close(one);
            assert_int_equal(
                dcb_series_element(&one, NULL, series, i, DCB_TAG(0x0020, 0x0013), false, NULL),
                DCB_OK);
            dcb_dataset_get_text(one, DCB_TAG(0x0020, 0x0013), text, sizeof text);
            snprintf(number, sizeof number, "%u", (unsigned)i);
            assert_string_equal(text, number);
            dcb_dataset_close(one);
        }
        dcb_series_close(series);
    }
}

static void test_json_text(void **state)
{
    (void)state;
    dcb_series *series = open_file(TINY, NULL);
    char *json;
    size_t nbytes;
    assert_int_equal(dcb_series_json(&json, &nbytes, series, 1, NULL), DCB_OK);
    assert_non_null(strstr(json, "\"00080005\":{\"vr\":\"CS\",\"Value\":[\"ISO_IR 192\"]}"));
    assert_non_null(strstr(json, "\"00080018\":{\"vr\":\"UI\",\"Value\":[\"1.2.3.2\"]}"));
    assert_non_null(strstr(json, "\"00080050\":{\"vr\":\"SH\"}"));
    assert_non_null(strstr(json, "{\"Alphabetic\":\"M\xC3\xBCller^J\xC3\xB6rg\"}"));
    assert_non_null(strstr(json, "\"00200032\":{\"vr\":\"DS\",\"Value\":[-10,-10,2.5]}"));
    assert_non_null(strstr(json, "\"00291002\":{\"vr\":\"UN\",\"InlineBinary\":\"3q0=\"}"));
    assert_null(strstr(json, "\"00204000\""));
    free(json);
    assert_int_equal(dcb_series_json(&json, &nbytes, series, DCB_FRAME_SHARED, NULL), DCB_OK);
    assert_null(strstr(json, "\"00080018\""));
    assert_non_null(strstr(json, "\"00100010\""));
    free(json);
    dcb_series_close(series);

    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.limits.max_meta_bytes = 2454; /* what tiny3's dicommeta has */
    series = open_file(TINY, &options);
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb_series_json(&json, &nbytes, series, 1, &error);
    assert_true(status == DCB_OK ? nbytes <= 2454 : status == DCB_ERR_LIMIT && json == NULL);
    free(json);
    dcb_series_close(series);
}

static void test_default_encoding(void **state)
{
    (void)state;
    dcb_cache *cache;
    assert_int_equal(dcb_cache_create(&cache, NULL, NULL), DCB_OK);
    for (int cached = 0; cached < 2; cached++) {
        for (int e = 0; e < DCB_ENCODING_COUNT; e++) {
            dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
            assert_int_equal(options.encoding, DCB_ENCODING_STORED);
            options.encoding = (dcb_encoding)e;
            options.cache = cached ? cache : NULL;
            dcb_series *series = open_file(TINY, &options);
            dcb_frame *chosen, *named;
            assert_int_equal(dcb_series_frame(&chosen, series, 1, DCB_ENCODING_DEFAULT, NULL),
                             DCB_OK);
            assert_int_equal(dcb_series_frame(&named, series, 1, (dcb_encoding)e, NULL), DCB_OK);
            assert_true(!cached || chosen == named);
            size_t nchosen, nnamed;
            const uint8_t *chosen_bytes = dcb_frame_part10(chosen, &nchosen);
            const uint8_t *named_bytes = dcb_frame_part10(named, &nnamed);
            assert_int_equal(nchosen, nnamed);
            assert_memory_equal(chosen_bytes, named_bytes, nnamed);
            const char *uid = dcb_encoding_uid((dcb_encoding)e);
            assert_string_equal(dcb_frame_transfer_syntax_uid(chosen),
                                uid != NULL ? uid : "1.2.840.10008.1.2.4.201");
            dcb_frame_release(chosen);
            dcb_frame_release(named);
            dcb_series_close(series);
        }
    }
    dcb_cache_close(cache);
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.encoding = DCB_ENCODING_DEFAULT;
    dcb_series *series;
    assert_int_equal(dcb_series_open(&series, TINY, &options, NULL), DCB_ERR_ARGUMENT);
    assert_null(series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_golden_files), cmocka_unit_test(test_elements),
        cmocka_unit_test(test_columns),          cmocka_unit_test(test_json_text),
        cmocka_unit_test(test_default_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
