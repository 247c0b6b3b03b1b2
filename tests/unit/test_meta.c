/* SPDX-License-Identifier: Apache-2.0 */
/* test_meta.c - every rule of format sections 2 and 4, from JSON to the data set of a slice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataset_text.h"
#include "make_series.h"

/* What every made series has is taken away, so that the table shows what it is about. */
static dcb_dataset *dataset_of(dcb_series *series, uint32_t slice)
{
    dcb_error error = DCB_ERROR_INIT;
    dcb_dataset *dataset = NULL;
    assert_int_equal(dcb_series_dataset(&dataset, series, slice, false, &error), DCB_OK);
    static const uint32_t made[] = {0x00080016, 0x00080018, 0x0020000D, 0x0020000E,
                                    0x00280002, 0x00280004, 0x00280010, 0x00280011,
                                    0x00280100, 0x00280101, 0x00280102, 0x00280103};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        assert_non_null(dcb_dataset_find(dataset, made[i]));
        dcb_dataset_remove(dataset, made[i]);
    }
    return dataset;
}

static const struct {
    const char *name;
    const char *elements;
    uint32_t nslices, slice;
    const char *expected;
    uint32_t unattributable, dropped;
} rows[] = {
    {"shared", "\"00180050\":{\"vr\":\"DS\",\"shared\":true,\"Value\":[2.5]}", 2, 1,
     "00180050 DS 2.5", 0, 0},
    {"shared, several", "\"00080008\":{\"vr\":\"CS\",\"shared\":true,\"Value\":[\"A\",\"B\"]}", 2,
     1, "00080008 CS A\\B", 0, 0},
    {"empty", "\"00080050\":{\"vr\":\"SH\",\"shared\":true}", 2, 0, "00080050 SH", 0, 0},
    {"empty values",
     "\"00081030\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[null,\"b\",\"\",\"d\"]}", 1, 0,
     "00081030 LO \\b\\\\d", 0, 0},
    {"flat by slice", "\"00200013\":{\"vr\":\"IS\",\"shared\":false,\"Value\":[7,8,9]}", 3, 1,
     "00200013 IS 8", 0, 0},
    {"flat text None is genuine",
     "\"00204000\":{\"vr\":\"LT\",\"shared\":false,\"Value\":[\"a\",\"None\",\"c\"]}", 3, 1,
     "00204000 LT None", 0, 0},
    {"numbers: None is none, flat or not",
     "\"00180088\":{\"vr\":\"DS\",\"shared\":false,\"Value\":[1.0,\"None\",2.0]},"
     "\"00280034\":{\"vr\":\"US\",\"shared\":false,\"Value\":[1,\"None\",2]},"
     "\"00081050\":{\"vr\":\"PN\",\"shared\":false,\"Value\":[{\"Alphabetic\":\"A\"},\"None\","
     "{\"Alphabetic\":\"None\"}]}",
     3, 1, "", 0, 0},
    {"numbers beside None",
     "\"00180088\":{\"vr\":\"DS\",\"shared\":false,\"Value\":[1.0,\"None\",2.0]},"
     "\"00081050\":{\"vr\":\"PN\",\"shared\":false,\"Value\":[{\"Alphabetic\":\"A\"},\"None\","
     "{\"Alphabetic\":\"None\"}]}",
     3, 2, "00081050 PN None|00180088 DS 2", 0, 0},
    {"lists by slice",
     "\"00200032\":{\"vr\":\"DS\",\"shared\":false,\"Value\":[[1.0,2.0],[3.5,-4.25]]}", 2, 1,
     "00200032 DS 3.5\\-4.25", 0, 0},
    {"None among lists is missing",
     "\"00204000\":{\"vr\":\"LT\",\"shared\":false,\"Value\":[[\"a\"],\"None\",[\"c\"]]}", 3, 1, "",
     0, 0},
    {"present beside None",
     "\"00204000\":{\"vr\":\"LT\",\"shared\":false,\"Value\":[[\"a\"],\"None\",[\"c\"]]}", 3, 2,
     "00204000 LT c", 0, 0},
    {"key null is in no order",
     "\"00204000\":{\"vr\":\"LT\",\"shared\":false,\"null\":[[\"a\"],\"None\"],"
     "\"Value\":[null,null]}",
     2, 0, "", 1, 0},
    {"key null of one slice",
     "\"00204000\":{\"vr\":\"LT\",\"shared\":false,\"null\":[[\"a\"]],\"Value\":[null]}", 1, 0,
     "00204000 LT a", 0, 0},
    {"binary by slice is in no order",
     "\"00291001\":{\"vr\":\"UN\",\"shared\":false,\"InlineBinary\":[\"QUI=\",\"QUM=\"],"
     "\"Value\":[null,null]}",
     2, 0, "", 1, 0},
    {"binary by slice, all equal",
     "\"00291001\":{\"vr\":\"UN\",\"shared\":false,\"InlineBinary\":[\"QUI=\",\"QUI=\"],"
     "\"Value\":[null,null]}",
     2, 1, "00291001 UN AB", 0, 0},
    {"BulkDataURI holds base64",
     "\"00291001\":{\"vr\":\"UN\",\"shared\":true,\"BulkDataURI\":\"QUI=\"}", 1, 0,
     "00291001 UN AB", 0, 0},
    {"dropped binary", "\"00291001\":{\"vr\":\"OB\",\"shared\":true}", 1, 0, "", 0, 1},
    {"dropped overlay takes its group",
     "\"60000010\":{\"vr\":\"US\",\"shared\":true,\"Value\":[16705]},"
     "\"60003000\":{\"vr\":\"OW\",\"shared\":true},"
     "\"60020022\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"kept\"]}",
     1, 0, "60020022 LO kept", 0, 1},
    {"sequence, all items",
     "\"00101002\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":["
     "{\"00100020\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"A\"]}},"
     "{\"00100020\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"B\"]},"
     "\"00100024\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":["
     "{\"00400032\":{\"vr\":\"UT\",\"shared\":true,\"Value\":[\"u\"]}}]}}]}",
     2, 0, "00101002 SQ [00100020 LO A][00100020 LO B|00100024 SQ [00400032 UT u]]", 0, 0},
    {"empty sequence", "\"00081120\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":[]}", 2, 0,
     "00081120 SQ", 0, 0},
    {"values by slice in an item",
     "\"00101002\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":["
     "{\"00100020\":{\"vr\":\"LO\",\"shared\":false,\"Value\":[\"A\",\"B\"]},"
     "\"00100021\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"I\"]}}]}",
     2, 0, "00101002 SQ [00100021 LO I]", 1, 0},
    {"equal values by slice in an item",
     "\"00101002\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":["
     "{\"00100020\":{\"vr\":\"LO\",\"shared\":false,\"Value\":[\"A\",\"A\"]}}]}",
     2, 0, "00101002 SQ [00100020 LO A]", 0, 0},
    {"item of which nothing is left",
     "\"00081032\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":["
     "{\"00080103\":{\"vr\":\"SH\",\"shared\":false,\"null\":[\"None\",[\"1\"]]},"
     "\"00080105\":{\"vr\":\"CS\",\"shared\":true}}]}",
     2, 0, "", 1, 0},
    {"reference that lost its UID",
     "\"00081140\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":["
     "{\"00081150\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"1.2\"]},"
     "\"00081155\":{\"vr\":\"UI\",\"shared\":false,\"Value\":[\"1.9.1\",\"1.9.2\"]}},"
     "{\"00081155\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"1.9.99\"]}}]}",
     2, 0, "00081140 SQ [00081155 UI 1.9.99]", 1, 0},
    {"person name",
     "\"00100010\":{\"vr\":\"PN\",\"shared\":true,\"Value\":[{\"Alphabetic\":\"Doe^Jo\"},"
     "{\"Alphabetic\":\"\",\"Phonetic\":\"P\"},\"Plain\"]}",
     1, 0, "00100010 PN Doe^Jo\\==P\\Plain", 0, 0},
    {"person name by slice",
     "\"00100010\":{\"vr\":\"PN\",\"shared\":false,\"Value\":[{\"Alphabetic\":\"A\"},"
     "{\"Alphabetic\":\"B\",\"Ideographic\":\"C\"}]}",
     2, 1, "00100010 PN B=C", 0, 0},
    {"text for numbers, numbers for text",
     "\"00200011\":{\"vr\":\"IS\",\"shared\":true,\"Value\":[\"4\"]},"
     "\"00200012\":{\"vr\":\"IS\",\"shared\":true,\"Value\":[5.0]},"
     "\"00201041\":{\"vr\":\"DS\",\"shared\":true,\"Value\":[3,\"1.50\"]},"
     "\"00200010\":{\"vr\":\"SH\",\"shared\":true,\"Value\":[12]}",
     1, 0, "00200010 SH 12|00200011 IS 4|00200012 IS 5|00201041 DS 3\\1.50", 0, 0},
    {"decimal text of more than 16 characters",
     "\"00180050\":{\"vr\":\"DS\",\"shared\":true,\"Value\":[\"0.12345678901234567\",\"1.50\","
     "\"-1234567890.50000000\"]}",
     1, 0, "00180050 DS 0.12345678901235\\1.50\\-1234567890.5", 0, 0},
    {"numbers that are none",
     "\"00180050\":{\"vr\":\"DS\",\"shared\":true,\"Value\":[NaN,1,-Infinity]}", 1, 0,
     "00180050 DS \\1\\", 0, 0},
    {"not ours to pass on",
     "\"00020010\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"1.2\"]},"
     "\"00080000\":{\"vr\":\"UL\",\"shared\":true,\"Value\":[8]},"
     "\"00080001\":{\"vr\":\"UL\",\"shared\":true,\"Value\":[8]},"
     "\"7FE00010\":{\"vr\":\"OW\",\"shared\":true,\"InlineBinary\":\"QUI=\"},"
     "\"FFFCFFFC\":{\"vr\":\"OB\",\"shared\":true,\"InlineBinary\":\"QUI=\"}",
     1, 0, "FFFCFFFC OB AB", 0, 0},
    {"any order, lower case",
     "\"00200010\":{\"vr\":\"SH\",\"shared\":true,\"Value\":[\"b\"]},"
     "\"0008103e\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"a\"]}",
     1, 0, "0008103E LO a|00200010 SH b", 0, 0},
    {"after the pixels",
     "\"7FE10010\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"X\"]},"
     "\"7FE11001\":{\"vr\":\"LO\",\"shared\":false,\"Value\":[\"y\",\"z\"]}",
     2, 1, "7FE10010 LO X|7FE11001 LO z", 0, 0},
    {"a VR of a later edition passes as UN",
     "\"00291001\":{\"vr\":\"ZZ\",\"shared\":true,\"InlineBinary\":\"QUI=\"}", 1, 0,
     "00291001 UN AB", 0, 0},
};

static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dcb_error error = DCB_ERROR_INIT;
        dcb_series *series = NULL;
        make_series what = {.elements = rows[i].elements, .nframes = rows[i].nslices};
        if (make_series_open(&series, &what, NULL, &error) != DCB_OK)
            fail_msg("%s: %s", rows[i].name, error.message);
        dcb_dataset *dataset = dataset_of(series, rows[i].slice);
        char *text = dataset_to_text(dataset);
        const dcb_series_info *info = dcb_series_get_info(series);
        if (strcmp(text, rows[i].expected) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", rows[i].name, text, rows[i].expected);
        if (info->unattributable != rows[i].unattributable ||
            info->dropped_binaries != rows[i].dropped)
            fail_msg("%s: %u unattributable, %u dropped", rows[i].name, info->unattributable,
                     info->dropped_binaries);
        free(text);
        dcb_dataset_close(dataset);
        dcb_series_close(series);
    }
}

static const struct {
    const char *vr, *values, *hex;
} binary_rows[] = {
    {"US", "[1,65535]", "0100ffff"},
    {"SS", "[-2,32767]", "feffff7f"},
    {"UL", "[4294967295,1]", "ffffffff01000000"},
    {"SL", "[-1,2.0]", "ffffffff02000000"},
    {"UV", "[18446744073709551615]", "ffffffffffffffff"},
    {"UV", "[\"18446744073709551615\"]", "ffffffffffffffff"},
    {"SV", "[-9223372036854775808]", "0000000000000080"},
    {"FL", "[1.5,0.10000000149011612]", "0000c03fcdcccc3d"},
    {"FD", "[-2.25e-07]", "314514eef0328ebe"},
    {"FD", "[NaN]", "000000000000f87f"},
    {"FL", "[Infinity,-Infinity]", "0000807f000080ff"},
    {"AT", "[\"00100010\",\"7FE00010\"]", "10001000e07f1000"},
    {"US or SS", "[1]", "0100"},
    {"FD", "[null]", ""},
};

static void test_binary_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof binary_rows / sizeof *binary_rows; i++) {
        char elements[256], hex[64] = "";
        snprintf(elements, sizeof elements,
                 "\"00291001\":{\"vr\":\"%s\",\"shared\":true,\"Value\":%s}", binary_rows[i].vr,
                 binary_rows[i].values);
        dcb_error error = DCB_ERROR_INIT;
        dcb_series *series = NULL;
        make_series what = {.elements = elements};
        if (make_series_open(&series, &what, NULL, &error) != DCB_OK)
            fail_msg("%s: %s", elements, error.message);
        dcb_dataset *dataset = dataset_of(series, 0);
        const dcb_element *element = dcb_dataset_find(dataset, 0x00291001);
        assert_non_null(element);
        for (uint32_t k = 0; k < element->nbytes; k++)
            snprintf(hex + 2 * k, 3, "%02x", element->value[k]);
        assert_string_equal(hex, binary_rows[i].hex);
        dcb_dataset_close(dataset);
        dcb_series_close(series);
    }
}

static const struct {
    const char *elements;
    dcb_status status;
    const char *message;
} bad_rows[] = {
    {"\"001000\":{\"vr\":\"LO\"}", DCB_ERR_META,
     "dicommeta: key number 4 is not a tag of 8 hex digits"},
    {"\"00100020\":5", DCB_ERR_META, "dicommeta: element (0010,0020) is not an object"},
    {"\"00100020\":{\"shared\":true}", DCB_ERR_META, "dicommeta: element (0010,0020) has no VR"},
    {"\"00100020\":{\"vr\":\"ZZ\",\"shared\":true,\"Value\":[\"a\"]}", DCB_ERR_META,
     "dicommeta: element (0010,0020) has a VR that is not of PS3.5 table 6.2-1"},
    {"\"00100020\":{\"vr\":\"LO\",\"shared\":false,\"Value\":[\"a\"]}", DCB_ERR_META,
     "dicommeta: element (0010,0020) has 1 values for 2 slices"},
    {"\"00290001\":{\"vr\":\"OB\",\"shared\":true,\"Value\":[1]}", DCB_ERR_META,
     "dicommeta: element (0029,0001) has a binary VR and no binary data"},
    {"\"00081140\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":[1]}", DCB_ERR_META,
     "dicommeta: element (0008,1140) has an item that is not an object"},
    {"\"00081140\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":{}}", DCB_ERR_META,
     "dicommeta: element (0008,1140) is a sequence whose Value is not a list"},
    {"\"00100020\":{\"vr\":\"LO\",\"shared\":true},\"00100020\":{\"vr\":\"LO\",\"shared\":true}",
     DCB_ERR_META, "dicommeta: element (0010,0020) is there twice"},
    {"\"00080018\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"1.2\"]}", DCB_ERR_META,
     "dicommeta: element (0008,0018) is there twice"},
};

static void test_bad_elements(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_rows / sizeof *bad_rows; i++) {
        dcb_error error = DCB_ERROR_INIT;
        dcb_series *series = NULL;
        make_series what = {.elements = bad_rows[i].elements, .nframes = 2};
        assert_int_equal(make_series_open(&series, &what, NULL, &error), bad_rows[i].status);
        assert_null(series);
        assert_string_equal(error.message, bad_rows[i].message);
    }
}

/* Values that their VR cannot hold: what is left, and what is said of the first. */
static const struct {
    const char *elements;
    uint32_t slice;
    const char *left;
    uint32_t ninvalid;
    const char *reason;
} invalid_rows[] = {
    {"\"00100020\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[[\"a\"]]}", 0, "", 1,
     "(0010,0020) has a value that is neither text nor a number"},
    {"\"00180089\":{\"vr\":\"US\",\"shared\":true,\"Value\":[65536]},"
     "\"00200010\":{\"vr\":\"SH\",\"shared\":true,\"Value\":[\"kept\"]}",
     0, "00200010 SH kept", 1, "(0018,0089) has a value that is out of the range of its VR"},
    {"\"00180089\":{\"vr\":\"US\",\"shared\":true,\"Value\":[1.5]},"
     "\"0018008A\":{\"vr\":\"FL\",\"shared\":true,\"Value\":[1e39]}",
     0, "", 2, "(0018,0089) has a value that is not an integer"},
    {"\"00290001\":{\"vr\":\"FD\",\"shared\":true,\"Value\":[\"x\"]}", 0, "", 1,
     "(0029,0001) has a value that is not a number"},
    {"\"00290001\":{\"vr\":\"AT\",\"shared\":true,\"Value\":[\"0010\"]}", 0, "", 1,
     "(0029,0001) has a value that is not a tag of 8 hex digits"},
    {"\"00290001\":{\"vr\":\"OB\",\"shared\":true,\"InlineBinary\":\"!!!!\"}", 0, "", 1,
     "(0029,0001) has a value that is not base64 text"},
    /* By slice: only that slice's, flat or as lists. */
    {"\"00180089\":{\"vr\":\"SS\",\"shared\":false,\"Value\":[-32769,8]}", 0, "", 1,
     "(0018,0089) has a value that is out of the range of its VR"},
    {"\"00180089\":{\"vr\":\"SS\",\"shared\":false,\"Value\":[[1,32768],[2,3]]},"
     "\"00180090\":{\"vr\":\"DS\",\"shared\":false,\"Value\":[true,1.5]},"
     "\"00204000\":{\"vr\":\"LT\",\"shared\":false,\"Value\":[{},\"b\"]}",
     0, "00204000 LT", 3, "(0018,0089) has a value that is out of the range of its VR"},
    {"\"00180090\":{\"vr\":\"DS\",\"shared\":false,\"Value\":[true,1.5]},"
     "\"00204000\":{\"vr\":\"LT\",\"shared\":false,\"Value\":[{},\"b\"]}",
     1, "00180090 DS 1.5|00204000 LT b", 2,
     "(0018,0090) has a value that is neither text nor a number"},
    /* In an item: the element, or the item with it where that is what it is for. */
    {"\"00081140\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":[{"
     "\"00081155\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"1.2\"]},"
     "\"00180089\":{\"vr\":\"US\",\"shared\":true,\"Value\":[-1]}}]}",
     0, "00081140 SQ [00081155 UI 1.2]", 1,
     "(0018,0089) has a value that is out of the range of its VR"},
    {"\"00283010\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":[{"
     "\"00283002\":{\"vr\":\"US\",\"shared\":true,\"Value\":[256,0,70000]},"
     "\"00283003\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"x\"]}}]}",
     0, "", 1, "(0028,3002) has a value that is out of the range of its VR"},
    {"\"60000010\":{\"vr\":\"US\",\"shared\":true,\"Value\":[1]},"
     "\"60003000\":{\"vr\":\"OW\",\"shared\":true,\"InlineBinary\":\"*\"}",
     0, "", 1, "(6000,3000) has a value that is not base64 text"},
};

static void test_invalid_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof invalid_rows / sizeof *invalid_rows; i++) {
        dcb_error error = DCB_ERROR_INIT;
        dcb_series *series = NULL;
        make_series what = {.elements = invalid_rows[i].elements, .nframes = 2};
        if (make_series_open(&series, &what, NULL, &error) != DCB_OK)
            fail_msg("%s: %s", invalid_rows[i].elements, error.message);
        dcb_dataset *dataset = dataset_of(series, invalid_rows[i].slice);
        char *text = dataset_to_text(dataset);
        const dcb_series_info *info = dcb_series_get_info(series);
        assert_string_equal(text, invalid_rows[i].left);
        assert_int_equal(info->invalid_elements, invalid_rows[i].ninvalid);
        assert_string_equal(info->invalid_reason + strlen("dicommeta: element "),
                            invalid_rows[i].reason);
        free(text);
        dcb_dataset_close(dataset);
        dcb_series_close(series);
    }
}

static void test_depth_of_sequences(void **state)
{
    (void)state;
    static const char begin[] = "\"00081140\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":[{";
    static const char end[] = "}]}";
    char elements[4096] = "";
    size_t at = 0;
    for (int i = 0; i < 17; i++, at += sizeof begin - 1)
        memcpy(elements + at, begin, sizeof begin);
    for (int i = 0; i < 17; i++, at += sizeof end - 1)
        memcpy(elements + at, end, sizeof end);
    dcb_error error = DCB_ERROR_INIT;
    dcb_series *series = NULL;
    make_series what = {.elements = elements};
    assert_int_equal(make_series_open(&series, &what, NULL, &error), DCB_ERR_LIMIT);
    assert_string_equal(error.message, "dicommeta: sequences are nested deeper than the limit, 16");
}

/* The oldest files: elements at the root. */
static void test_root_without_wrapper(void **state)
{
    (void)state;
    dcb_error error = DCB_ERROR_INIT;
    dcb_series *series = NULL;
    make_series what = {.meta_json =
                            "{\"00080016\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"1.2\"]},"
                            "\"00080018\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"1.3\"]},"
                            "\"0020000D\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"1.4\"]},"
                            "\"0020000E\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"1.5\"]},"
                            "\"00100020\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"P\"]},"
                            "\"slice_count\":1}",
                        .pixel_header = "{\"RESCALE_SLOPE\":1.0,\"RESCALE_INTERCEPT\":-1024,"
                                        "\"PIXEL_DTYPE\":\"int16\",\"EXTRA\":{}}"};
    assert_int_equal(make_series_open(&series, &what, NULL, &error), DCB_OK);
    dcb_dataset *dataset = NULL;
    assert_int_equal(dcb_series_dataset(&dataset, series, 0, false, &error), DCB_OK);
    char text[64];
    assert_int_equal(dcb_dataset_get_text(dataset, 0x00100020, text, sizeof text), 1);
    assert_string_equal(text, "P");
    assert_true(dcb_dataset_get_text(dataset, 0x00281052, text, sizeof text) > 0);
    assert_string_equal(text, "-1024");
    assert_string_equal(dcb_series_get_info(series)->writer, "DiCube before v0.1.0");
    dcb_dataset_close(dataset);
    dcb_series_close(series);
}

static void check_text(dcb_series *series, uint32_t slice, uint32_t tag, const char *expected,
                       const char *charset)
{
    dcb_error error = DCB_ERROR_INIT;
    dcb_dataset *dataset = NULL;
    assert_int_equal(dcb_series_dataset(&dataset, series, slice, false, &error), DCB_OK);
    char text[64] = "";
    dcb_dataset_get_text(dataset, tag, text, sizeof text);
    assert_string_equal(text, expected);
    text[0] = '\0';
    dcb_dataset_get_text(dataset, 0x00080005, text, sizeof text);
    assert_string_equal(text, charset);
    dcb_dataset_close(dataset);
    /* And back. */
    assert_int_equal(dcb_series_dataset(&dataset, series, slice, true, &error), DCB_OK);
    dcb_dataset_close(dataset);
}

#define LATIN1 "\"00080005\":{\"vr\":\"CS\",\"shared\":true,\"Value\":[\"ISO_IR 100\"]},"

static void test_character_sets(void **state)
{
    (void)state;
    static const struct {
        const char *elements;
        const char *text[2], *charset[2];
    } sets[] = {
        {LATIN1 "\"00100020\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"M\\u00fc\"]}",
         {"M\xFC", "M\xFC"},
         {"ISO_IR 100", "ISO_IR 100"}},
        /* The set cannot hold it: all instances. */
        {LATIN1 "\"00100020\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"\\u5c71\"]}",
         {"\xE5\xB1\xB1", "\xE5\xB1\xB1"},
         {"ISO_IR 192", "ISO_IR 192"}},
        /* One slice's value alone: that instance. */
        {LATIN1 "\"00100020\":{\"vr\":\"LO\",\"shared\":false,\"Value\":[\"\\u00fc\",\"\\u5c71\"]}",
         {"\xFC", "\xE5\xB1\xB1"},
         {"ISO_IR 100", "ISO_IR 192"}},
        /* None said, and more than ASCII. */
        {"\"00100020\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"\\u00fc\"]}",
         {"\xC3\xBC", "\xC3\xBC"},
         {"ISO_IR 192", "ISO_IR 192"}},
        {"\"00100020\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"u\"]}", {"u", "u"}, {"", ""}},
        /* A set that nobody knows. */
        {"\"00080005\":{\"vr\":\"CS\",\"shared\":true,\"Value\":[\"ISO_IR 999\"]},"
         "\"00100020\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"\\u00fc\"]}",
         {"\xC3\xBC", "\xC3\xBC"},
         {"ISO_IR 192", "ISO_IR 192"}},
        /* By slice. */
        {"\"00080005\":{\"vr\":\"CS\",\"shared\":false,\"Value\":[\"ISO_IR 100\",\"ISO_IR 144\"]},"
         "\"00100020\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"\\u00fc\"]}",
         {"\xC3\xBC", "\xC3\xBC"},
         {"ISO_IR 192", "ISO_IR 192"}},
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        dcb_error error = DCB_ERROR_INIT;
        dcb_series *series = NULL;
        make_series what = {.elements = sets[i].elements, .nframes = 2};
        assert_int_equal(make_series_open(&series, &what, NULL, &error), DCB_OK);
        for (uint32_t slice = 0; slice < 2; slice++)
            check_text(series, slice, 0x00100020, sets[i].text[slice], sets[i].charset[slice]);
        dcb_series_close(series);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_binary_values),
        cmocka_unit_test(test_bad_elements),
        cmocka_unit_test(test_invalid_values),
        cmocka_unit_test(test_depth_of_sequences),
        cmocka_unit_test(test_root_without_wrapper),
        cmocka_unit_test(test_character_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
