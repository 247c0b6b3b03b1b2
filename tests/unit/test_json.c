/* SPDX-License-Identifier: Apache-2.0 */
/* test_json.c - JSON trees, and the texts that Python writes though they are not JSON. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "make_dcbs.h"

static dcb_status parse(dcb__json_document **out, const char *text, uint32_t depth,
                        dcb_error *error)
{
    size_t nbytes = strlen(text);
    uint8_t *padded = calloc(1, nbytes + DCB_JSON_PADDING);
    assert_non_null(padded);
    memcpy(padded, text, nbytes);
    dcb_status status = dcb__json_parse(out, padded, nbytes, depth, "the text", 7, error);
    free(padded);
    return status;
}

/* The tree as text with its types: i1 u1 d1 "s" [..] {..} null true. */
static void describe(make_text *out, const dcb__json *json)
{
    switch ((dcb__json_type)json->type) {
    case DCB_JSON_NULL:
        make_text_add(out, "null");
        break;
    case DCB_JSON_BOOL:
        make_text_add(out, json->boolean ? "true" : "false");
        break;
    case DCB_JSON_INT:
        make_text_add(out, "i%" PRId64, json->integer);
        break;
    case DCB_JSON_UINT:
        make_text_add(out, "u%" PRIu64, json->natural);
        break;
    case DCB_JSON_DOUBLE:
        make_text_add(out, "d%g", json->number);
        break;
    case DCB_JSON_STRING:
        assert_int_equal(json->text[json->count], '\0');
        make_text_add(out, "\"%s\"", json->text);
        break;
    case DCB_JSON_ARRAY:
        make_text_add(out, "[");
        for (uint32_t i = 0; i < json->count; i++) {
            make_text_add(out, i > 0 ? "," : "");
            describe(out, &json->values[i]);
        }
        make_text_add(out, "]");
        break;
    case DCB_JSON_OBJECT:
        make_text_add(out, "{");
        for (uint32_t i = 0; i < json->count; i++) {
            make_text_add(out, i > 0 ? "," : "");
            describe(out, &json->values[2 * i]);
            make_text_add(out, ":");
            describe(out, &json->values[2 * i + 1]);
        }
        make_text_add(out, "}");
        break;
    }
}

static const struct {
    const char *text, *tree;
} trees[] = {
    {"5", "i5"},
    {" [1, -2, 9223372036854775807, 9223372036854775808, 18446744073709551615]",
     "[i1,i-2,i9223372036854775807,u9223372036854775808,u18446744073709551615]"},
    {"[1.5, -0.0, 1e300, 1E2]", "[d1.5,d-0,d1e+300,d100]"},
    {"{\"a\":[],\"b\":{},\"a\":[[null,true],false]}",
     "{\"a\":[],\"b\":{},\"a\":[[null,true],false]}"},
    {"[\"\\u00fc\\ud83d\\ude00\\n\"]", "[\"\xC3\xBC\xF0\x9F\x98\x80\n\"]"},
    /* What simdjson refuses and Python writes. */
    {"[NaN, Infinity, -Infinity,NaN]", "[\"NaN\",\"Infinity\",\"-Infinity\",\"NaN\"]"},
    {"{\"NaN\":\"a NaN \\\" Infinity\",\"b\":NaN}",
     "{\"NaN\":\"a NaN \" Infinity\",\"b\":\"NaN\"}"},
    {"[NaN,\"\\\\\",NaN]", "[\"NaN\",\"\\\",\"NaN\"]"},
    {"[123456789012345678901234567890, -99999999999999999999]", "[d1.23457e+29,d-1e+20]"},
    {"[\"\\ud800x\\udc00\\ud83d\\ude00\"]", "[\"\xEF\xBF\xBDx\xEF\xBF\xBD\xF0\x9F\x98\x80\"]"},
};

static void test_trees(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
        dcb_error error = DCB_ERROR_INIT;
        dcb__json_document *document = NULL;
        if (parse(&document, trees[i].text, 10, &error) != DCB_OK)
            fail_msg("%s: %s", trees[i].text, error.message);
        make_text tree = {0};
        describe(&tree, dcb__json_root(document));
        assert_string_equal(tree.text, trees[i].tree);
        free(tree.text);
        dcb__json_close(document);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t depth;
        dcb_status status;
    } texts[] = {
        {"", 10, DCB_ERR_META},
        {"{\"a\":}", 10, DCB_ERR_META},
        {"[1,]", 10, DCB_ERR_META},
        {"[1 2]", 10, DCB_ERR_META},
        {"[nan]", 10, DCB_ERR_META},
        {"[\"abc]", 10, DCB_ERR_META},
        {"[NaN", 10, DCB_ERR_META},
        {"[\"\\", 10, DCB_ERR_META},
        {"[\"\\u12\"]", 10, DCB_ERR_META},
        {"[\"\xFF\"]", 10, DCB_ERR_META},
        {"[-]", 10, DCB_ERR_META},
        {"[[[1]]]", 2, DCB_ERR_LIMIT},
        {"[[[NaN]]]", 2, DCB_ERR_LIMIT},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        dcb_error error = DCB_ERROR_INIT;
        dcb__json_document *document = NULL;
        if (parse(&document, texts[i].text, texts[i].depth, &error) != texts[i].status)
            fail_msg("%s: %d %s", texts[i].text, (int)error.status, error.message);
        assert_null(document);
        assert_int_equal(error.offset, 7);
        assert_true(strncmp(error.message, "the text", 8) == 0);
    }
}

/* Counts that do not fit into the parser's own 24 bits. */
static void test_large_array(void **state)
{
    (void)state;
    const size_t count = 0xFFFFFF + 10;
    char *text = malloc(2 * count + 2);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++) {
        text[2 * i] = ',';
        text[2 * i + 1] = (char)('0' + i % 10);
    }
    text[0] = '[';
    text[2 * count] = ']';
    text[2 * count + 1] = '\0';
    dcb_error error = DCB_ERROR_INIT;
    dcb__json_document *document = NULL;
    assert_int_equal(parse(&document, text, 3, &error), DCB_OK);
    const dcb__json *root = dcb__json_root(document);
    assert_int_equal(root->count, count);
    for (size_t i = 0; i < count; i += 1000)
        assert_int_equal(root->values[i].integer, i % 10);
    assert_int_equal(root->values[count - 1].integer, (count - 1) % 10);
    dcb__json_close(document);
    free(text);
}

static void test_members(void **state)
{
    (void)state;
    dcb_error error = DCB_ERROR_INIT;
    dcb__json_document *document = NULL;
    assert_int_equal(parse(&document, "{\"a\":1,\"bb\":2.5,\"b\":\"x\"}", 3, &error), DCB_OK);
    const dcb__json *root = dcb__json_root(document);
    double number = 0;
    assert_true(dcb__json_number(dcb__json_member(root, "bb"), &number));
    assert_true(number == 2.5);
    assert_true(dcb__json_number(dcb__json_member(root, "a"), &number));
    assert_true(number == 1);
    assert_false(dcb__json_number(dcb__json_member(root, "b"), &number));
    assert_null(dcb__json_member(root, "c"));
    assert_null(dcb__json_member(dcb__json_member(root, "a"), "c"));
    assert_null(dcb__json_member(NULL, "c"));
    dcb__json_close(document);
    dcb__json_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trees),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_large_array),
        cmocka_unit_test(test_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
