/* SPDX-License-Identifier: Apache-2.0 */
/* test_bare_series.c - files without metadata, or whose metadata lack UIDs. */
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

static dcb_frame *get_frame(dcb_series *series, uint32_t index, dcb_encoding encoding)
{
    dcb_error error = DCB_ERROR_INIT;
    dcb_frame *frame = NULL;
    if (dcb_series_frame(&frame, series, index, encoding, &error) != DCB_OK)
        fail_msg("%s", error.message);
    return frame;
}

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
    /* The same bytes twice: OpenJPH 0.9 does not encode small images to the same bytes each time.
     */
    size_t nbytes = 0;
    uint8_t *bytes = make_series_bytes(&nbytes, &what), *copy = malloc(nbytes);
    assert_non_null(copy);
    memcpy(copy, bytes, nbytes);
    dcb_series *series = NULL, *again = NULL;
    assert_int_equal(open_bytes(&series, bytes, nbytes, NULL, NULL), DCB_OK);
    assert_int_equal(open_bytes(&again, copy, nbytes, NULL, NULL), DCB_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bare_series),
        cmocka_unit_test(test_bare_series_without_space),
        cmocka_unit_test(test_missing_uids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
