/* SPDX-License-Identifier: Apache-2.0 */
/* test_make_dcbs.c - the tests' own writer: its container byte by byte, its JSON as text. */
#include "make_dcbs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

static uint64_t number_at(const uint8_t *bytes, size_t offset)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++)
        number |= (uint64_t)bytes[offset + i] << 8 * i;
    return number;
}

static void container(void **state)
{
    (void)state;
    const make_frame frames[] = {{"abc", 3}, {NULL, 0}, {"de", 2}};
    const make_dcbs file = {"consistent", "{}", NULL, "{\"a\": 1}", 3, frames};
    size_t nbytes = 0;
    uint8_t *bytes = make_dcbs_bytes(&nbytes, &file);
    uint64_t meta_nbytes = number_at(bytes, 36);
    uint64_t tables = 126 + meta_nbytes + 8;
    assert_memory_equal(bytes, "DCMCUBES\1\0\0\0", 12);
    assert_int_equal(number_at(bytes, 12), 116);
    assert_int_equal(number_at(bytes, 20), 10);
    assert_memory_equal(bytes + 116, "consistent", 10);
    assert_int_equal(number_at(bytes, 28), 126);
    assert_int_equal(number_at(bytes, 52), 0); /* no space section */
    assert_int_equal(number_at(bytes, 60), 126 + meta_nbytes);
    assert_int_equal(number_at(bytes, 76), tables);
    assert_int_equal(number_at(bytes, 84), 24);
    assert_int_equal(number_at(bytes, 92), tables + 24);
    assert_int_equal(number_at(bytes, 108), 3);
    assert_int_equal(number_at(bytes, tables), tables + 48);
    assert_int_equal(number_at(bytes, tables + 8), 0);
    assert_int_equal(number_at(bytes, tables + 16), tables + 51);
    assert_int_equal(number_at(bytes, tables + 40), 2);
    assert_int_equal(nbytes, tables + 53);
    assert_memory_equal(bytes + nbytes - 5, "abcde", 5);
    char json[8] = "";
    assert_int_equal(ZSTD_decompress(json, sizeof json, bytes + 126, meta_nbytes), 2);
    assert_string_equal(json, "{}");
    free(bytes);
}

static void meta(void **state)
{
    (void)state;
    make_meta meta = {0};
    make_meta_begin(&meta, 2);
    make_meta_text(&meta, "00080060", "CS", "C\"T\\");
    make_meta_name(&meta, "00100010", "M\xc3\xbcller^\xf0\x9f\x98\x80");
    make_meta_empty(&meta, "00080050", "SH");
    make_meta_json(&meta, "00280030", "DS", "0.5, 0.25");
    make_meta_begin_slices(&meta, "00200013", "IS");
    make_meta_slice(&meta, "%d", 1);
    make_meta_slice(&meta, "%d", 2);
    make_meta_end_slices(&meta);
    make_meta_end(&meta);
    assert_string_equal(
        meta.json.text,
        "{\"_merged_data\": {\"00080060\": {\"vr\": \"CS\", \"shared\": true, \"Value\": "
        "[\"C\\\"T\\\\\"]}, \"00100010\": {\"vr\": \"PN\", \"shared\": true, \"Value\": "
        "[{\"Alphabetic\": \"M\\u00fcller^\\ud83d\\ude00\"}]}, \"00080050\": {\"vr\": \"SH\", "
        "\"shared\": true}, \"00280030\": {\"vr\": \"DS\", \"shared\": true, \"Value\": "
        "[0.5, 0.25]}, \"00200013\": {\"vr\": \"IS\", \"shared\": false, \"Value\": [1, 2]}}, "
        "\"slice_count\": 2}");
    free(meta.json.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(container), cmocka_unit_test(meta)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
