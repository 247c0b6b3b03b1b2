/* SPDX-License-Identifier: Apache-2.0 */
/* test_dataset_json.c - data sets in the DICOM JSON Model (PS3.18 F.2), value by value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "dcb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG DCB_TAG(0x0011, 0x1001)

static char *to_json(const dcb_dataset *dataset)
{
    char *json;
    size_t nbytes;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_dataset_to_json(&json, &nbytes, dataset, 1 << 20, &error) != DCB_OK)
        fail_msg("%s", error.message);
    assert_int_equal(strlen(json), nbytes);
    return json;
}

static void test_values(void **state)
{
    (void)state;
#define ROW(a, b, bytes, json)                                                                     \
    {                                                                                              \
        DCB_VR(a, b), bytes, sizeof bytes - 1, json                                                \
    }
    static const struct {
        dcb_vr vr;
        const char *bytes;
        size_t nbytes;
        const char *json; /* what follows the VR */
    } rows[] = {
        ROW('C', 'S', "ORIGINAL\\PRIMARY\\ AXIAL ",
            ",\"Value\":[\"ORIGINAL\",\"PRIMARY\",\"AXIAL\"]"),
        ROW('C', 'S', "A\\\\B", ",\"Value\":[\"A\",null,\"B\"]"),
        ROW('C', 'S', "", ""),
        ROW('C', 'S', "  ", ""),
        ROW('U', 'I', "1.2.3\0", ",\"Value\":[\"1.2.3\"]"),
        ROW('L', 'O', "M\xC3\xBCller", ",\"Value\":[\"M\xC3\xBCller\"]"),
        ROW('L', 'O', "a\xFF\xC3(", ",\"Value\":[\"a\\ufffd\\ufffd(\"]"),
        ROW('L', 'O', "\xED\xA0\x80x", NULL), /* half of a surrogate pair: replaced */
        ROW('L', 'T', " a\\b\r\n\"c\" \x1b\x7f ",
            ",\"Value\":[\" a\\\\b\\u000d\\u000a\\\"c\\\" \\u001b\\u007f\"]"),
        ROW('U', 'T', "x\\y", ",\"Value\":[\"x\\\\y\"]"),
        ROW('U', 'C', "x\\y", ",\"Value\":[\"x\",\"y\"]"),
        ROW('P', 'N', "Yamada^Tarou=\xE5\xB1\xB1=\xE3\x82\x84",
            ",\"Value\":[{\"Alphabetic\":\"Yamada^Tarou\",\"Ideographic\":\"\xE5\xB1\xB1\","
            "\"Phonetic\":\"\xE3\x82\x84\"}]"),
        ROW('P', 'N', "==x\\A^B", ",\"Value\":[{\"Phonetic\":\"x\"},{\"Alphabetic\":\"A^B\"}]"),
        ROW('P', 'N',
            "a\\\\=b=", ",\"Value\":[{\"Alphabetic\":\"a\"},null,{\"Ideographic\":\"b\"}]"),
        ROW('D', 'S', "1.50\\-0.25\\ +3 \\.5\\7.\\-00.10\\1e-07\\2.5E+3",
            ",\"Value\":[1.50,-0.25,3,0.5,7,-0.10,1e-07,2.5e+3]"),
        ROW('D', 'S', "12.345678901234567890", ",\"Value\":[12.345678901234567890]"),
        ROW('D', 'S', "abc\\1,5\\1e999\\-\\.\\1e\\1.5x\\NaN",
            ",\"Value\":[\"abc\",\"1,5\",\"1e999\",\"-\",\".\",\"1e\",\"1.5x\",\"NaN\"]"),
        ROW('I', 'S', "007\\-3\\000", ",\"Value\":[7,-3,0]"),
        ROW('U', 'S', "\x01\x02\xFF\xFF", ",\"Value\":[513,65535]"),
        ROW('S', 'S', "\xFE\xFF\x00\x80", ",\"Value\":[-2,-32768]"),
        ROW('U', 'L', "\xFF\xFF\xFF\xFF", ",\"Value\":[4294967295]"),
        ROW('S', 'L', "\x00\x00\x00\x80\x01\x00\x00\x00", ",\"Value\":[-2147483648,1]"),
        ROW('U', 'V', "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", ",\"Value\":[\"18446744073709551615\"]"),
        ROW('U', 'V', "\x00\x00\x00\x00\x00\x00\x20\x00", ",\"Value\":[9007199254740992]"),
        ROW('S', 'V', "\x00\x00\x00\x00\x00\x00\x00\x80", ",\"Value\":[\"-9223372036854775808\"]"),
        ROW('S', 'V', "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", ",\"Value\":[-1]"),
        ROW('F', 'L', "\xcd\xcc\xcc\x3d\x00\x00\x80\xbf\x00\x00\xc0\x7f",
            ",\"Value\":[0.10000000149011612,-1,\"NaN\"]"),
        ROW('F', 'L', "\xff\xff\x7f\x7f\x01\x00\x00\x00\x00\x00\x80\xff",
            ",\"Value\":[3.4028234663852886e38,1.401298464324817e-45,\"-Infinity\"]"),
        ROW('F', 'D',
            "\x9a\x99\x99\x99\x99\x99\xb9\x3f\x00\x00\x00\x00\x00\x00\xf8\x3f"
            "\x00\x00\x00\x00\x00\x88\xc3\xc0\x00\x00\x00\x00\x00\x00\x00\x80",
            ",\"Value\":[0.1,1.5,-10000,-0]"),
        ROW('A', 'T', "\x10\x00\x20\x00\xe0\x7f\x10\x00", ",\"Value\":[\"00100020\",\"7FE00010\"]"),
        ROW('O', 'B', "\x00\x01\x02\x03", ",\"InlineBinary\":\"AAECAw==\""),
        ROW('U', 'N', "\xde\xad\xbe\xef\x00\x00", ",\"InlineBinary\":\"3q2+7wAA\""),
        ROW('O', 'W', "", ""),
    };
#undef ROW
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dcb_dataset *dataset;
        assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
        assert_int_equal(
            dcb_dataset_put(dataset, TAG, rows[i].vr, rows[i].bytes, rows[i].nbytes, NULL), DCB_OK);
        char *json = to_json(dataset), expected[512];
        if (rows[i].json != NULL) {
            snprintf(expected, sizeof expected, "{\"00111001\":{\"vr\":\"%c%c\"%s}}",
                     rows[i].vr >> 8, rows[i].vr & 0xFF, rows[i].json);
            assert_string_equal(json, expected);
        } else {
            assert_null(memchr(json, 0xED, strlen(json)));
            assert_non_null(strstr(json, "\\ufffd"));
        }
        free(json);
        dcb_dataset_close(dataset);
    }
}

static void test_doubles(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {1e15, "1000000000000000"},
        {1e16, "1e16"},
        {1e-5, "0.00001"},
        {1e-6, "1e-6"},
        {-0.0125, "-0.0125"},
        {1.0 / 3, NULL},
        {123456.789, "123456.789"},
        {0.1 + 0.2, "0.30000000000000004"},
        {-5e-324, NULL},
        {1.7976931348623157e308, "1.7976931348623157e308"},
        {2.5e-7, "2.5e-7"},
        {9007199254740993.0, NULL},
        {100, "100"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dcb_dataset *dataset;
        assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
        assert_int_equal(dcb_dataset_put(dataset, TAG, DCB_VR('F', 'D'), &rows[i].value, 8, NULL),
                         DCB_OK);
        char *json = to_json(dataset), *number = strchr(json, '[') + 1, *end;
        double back = strtod(number, &end);
        assert_memory_equal(&back, &rows[i].value, sizeof back);
        assert_string_equal(end, "]}}");
        *end = '\0';
        if (rows[i].text != NULL)
            assert_string_equal(number, rows[i].text);
        free(json);
        dcb_dataset_close(dataset);
    }
}

static void test_items_and_order(void **state)
{
    (void)state;
    dcb_dataset *dataset, *item;
    assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
    dcb_dataset_put_text(dataset, DCB_TAG(0x0010, 0x0020), DCB_VR('L', 'O'), "P1", NULL);
    dcb_dataset_add_item(&item, dataset, DCB_TAG(0x0008, 0x1140), NULL);
    dcb_dataset_put_text(item, DCB_TAG(0x0008, 0x1155), DCB_VR('U', 'I'), "1.2", NULL);
    dcb_dataset_add_item(&item, dataset, DCB_TAG(0x0008, 0x1140), NULL); /* stays empty */
    dcb_dataset_add_item(NULL, dataset, DCB_TAG(0x0040, 0x0275), NULL);  /* without items */
    char *json = to_json(dataset);
    assert_string_equal(
        json, "{\"00081140\":{\"vr\":\"SQ\",\"Value\":[{\"00081155\":{\"vr\":\"UI\","
              "\"Value\":[\"1.2\"]}},{}]},\"00100020\":{\"vr\":\"LO\",\"Value\":[\"P1\"]},"
              "\"00400275\":{\"vr\":\"SQ\"}}");
    free(json);
    dcb_dataset_close(dataset);
}

static void test_bound(void **state)
{
    (void)state;
    dcb_dataset *dataset;
    assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
    dcb_dataset_put_text(dataset, TAG, DCB_VR('L', 'O'), "\x01\x02\x03\x04", NULL);
    char *json = to_json(dataset);
    size_t whole = strlen(json);
    free(json);
    for (size_t max = 0; max <= whole; max++) {
        size_t nbytes = 77;
        dcb_error error = DCB_ERROR_INIT;
        json = (char *)&nbytes;
        dcb_status status = dcb_dataset_to_json(&json, &nbytes, dataset, max, &error);
        assert_int_equal(status, max < whole ? DCB_ERR_LIMIT : DCB_OK);
        assert_int_equal(error.status, status);
        assert_true((json == NULL) == (max < whole));
        assert_int_equal(nbytes, max < whole ? 0 : whole);
        free(json);
    }
    dcb_dataset_close(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_items_and_order),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
