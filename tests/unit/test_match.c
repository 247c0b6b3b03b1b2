/* SPDX-License-Identifier: Apache-2.0 */
/* Attribute matching (PS3.4 C.2.2.2): one value against one key in each VR, then whole records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "match.h"

#define VR(name)     DCB_VR((name)[0], (name)[1])
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TAG          DCB_TAG(0x0010, 0x0010) /* any: only the VR given with it counts */

enum { NO, YES, BAD };

static void put(dcb_dataset *dataset, uint32_t tag, const char *vr, const char *text)
{
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(dcb_dataset_put(dataset, tag, VR(vr), text, strlen(text), &error), DCB_OK);
}

static dcb_dataset *new_dataset(void)
{
    dcb_dataset *dataset = NULL;
    assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
    return dataset;
}

/* NO, YES or BAD. */
static int match(const dcb_dataset *keys, const dcb_dataset *record, uint32_t *offending)
{
    scp_matcher *matcher = NULL;
    matcher_status status = matcher_create(&matcher, keys, offending);
    if (status == MATCHER_BAD_KEY) {
        assert_null(matcher);
        return BAD;
    }
    assert_int_equal(status, MATCHER_OK);
    int result = matcher_matches(matcher, record);
    matcher_close(matcher);
    return result;
}

static const struct {
    const char *vr, *key, *value; /* value NULL: the record has no such attribute */
    int expected;
} cases[] = {
    /* Universal. */
    {"LO", "", "abc", YES},
    {"LO", "  ", "abc", YES},
    {"LO", "", NULL, YES},
    {"LO", "*", NULL, YES},
    {"LO", "*", "", YES},
    {"LO", "**", "", YES},
    {"UI", "", NULL, YES},
    {"DA", "", NULL, YES},
    /* An empty or missing value answers to nothing else. */
    {"LO", "abc", NULL, NO},
    {"LO", "abc", "", NO},
    {"LO", "?", "", NO},
    {"LO", "?*", "", NO},
    {"LO", "*a", NULL, NO},
    {"DA", "20240101", "", NO},
    {"DA", "-20240101", NULL, NO},
    {"UI", "1.2", "", NO},
    {"PN", "Doe", "", NO},
    {"US", "ab", NULL, NO},
    /* Single values: case and accents count but in PN. */
    {"LO", "abc", "abc", YES},
    {"LO", "abc", "ABC", NO},
    {"LO", "müller", "muller", NO},
    {"LO", "abc", "abcd", NO},
    {"LO", "abcd", "abc", NO},
    {"LO", " abc ", "abc", YES},
    {"LO", "abc", "  abc   ", YES},
    {"SH", "A-1", "A-1 ", YES},
    {"CS", "CT", "CT", YES},
    {"CS", "ct", "CT", NO},
    {"AE", "STORE", " STORE", YES},
    {"ST", " a", "a", NO}, /* leading spaces count in text */
    {"ST", " a ", " a", YES},
    {"ST", "a\\b", "b", NO}, /* a backslash is text there */
    {"ST", "a\\b", "a\\b", YES},
    {"UT", "a\\b", "a\\b", YES},
    {"UR", "http://a/b?c", "http://a/bxc", YES}, /* "?" is a wildcard in UR too */
    /* Lists of UIDs; padding by NUL and, wrongly, by space. */
    {"UI", "1.2.3", "1.2.3", YES},
    {"UI", "1.2.3", "1.2.30", NO},
    {"UI", "1.2.3 ", "1.2.3", YES},
    {"UI", "1.2\\1.3\\1.4", "1.3", YES},
    {"UI", "1.2\\1.3\\1.4", "1.5", NO},
    {"UI", "1.2\\", "1.2", YES},
    {"UI", "\\", "1.2", YES},
    {"UI", "1.*", "1.2", NO},
    {"UI", "*", "1.2", NO},
    {"UI", "1.?", "1.2", NO},
    {"UI", "1.4", "1.3\\1.4", YES}, /* SOPClassesInStudy */
    /* Values and keys of several. */
    {"CS", "MR", "CT\\MR", YES},
    {"CS", "M?", "CT\\MR", YES},
    {"CS", "US", "CT\\MR", NO},
    {"CS", "US\\MR", "CT\\MR", YES},
    {"CS", "US\\P*", "CT\\PT", YES},
    {"CS", "US\\XA", "CT\\MR", NO},
    {"CS", "CT\\*", "US", YES},
    {"CS", "CT\\", "US", NO}, /* an empty one among values adds nothing */
    {"CS", "T\\M", "CT\\MR", NO},
    /* Wildcards. */
    {"LO", "a*", "abc", YES},
    {"LO", "*c", "abc", YES},
    {"LO", "*b*", "abc", YES},
    {"LO", "a*c", "ac", YES},
    {"LO", "a*c", "abcbc", YES},
    {"LO", "a*d", "abc", NO},
    {"LO", "a?c", "abc", YES},
    {"LO", "a?c", "ac", NO},
    {"LO", "a?c", "abbc", NO},
    {"LO", "???", "abc", YES},
    {"LO", "???", "ab", NO},
    {"LO", "a?c", "aéc", YES}, /* one character, not one byte */
    {"LO", "??", "日本", YES},
    {"LO", "?", "日本", NO},
    {"LO", "*本", "日本", YES},
    {"LO", "a**c", "abc", YES},
    {"LO", "*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NO},
    {"UC", "x*", "xyz", YES},
    {"LT", "*fracture*", "a\r\nfracture \r\nof", YES},
    {"AE", "ST*", "STORE", YES},
    /* No wildcards there. */
    {"IS", "1*", "12", NO},
    {"DS", "1?", "12", NO},
    {"AS", "04?Y", "040Y", NO},
    {"AS", "040Y", "040Y", YES},
    {"DA", "2024*", "20240101", BAD},
    {"TM", "1*", "10", BAD},
    /* Numbers as text. */
    {"IS", "5", "5", YES},
    {"IS", "5", "05", YES},
    {"IS", "+5", "5 ", YES},
    {"IS", "5", "50", NO},
    {"IS", "-0", "0", YES},
    {"DS", "2.5", "2.50", YES},
    {"DS", "1e1", "10", YES},
    {"DS", "2.5", "2.51", NO},
    {"DS", "0x10", "16", NO},
    {"DS", "nan", "nan", YES}, /* the same text */
    {"DS", "nan", "NaN", NO},
    {"DS", "0.5", "1\\0.50\\2", YES},
    /* Names: case, accents, groups, trailing delimiters. */
    {"PN", "doe^john", "DOE^John", YES},
    {"PN", "Doe", "Doe^John", NO},
    {"PN", "Doe*", "Doe^John", YES},
    {"PN", "doe^*", "Doe^John", YES},
    {"PN", "doe^*", "Doe", YES},
    {"PN", "doe^*", "Doerr^John", NO},
    {"PN", "doe^?*", "Doe", NO},
    {"PN", "doe^^^dr*", "Doe", NO},
    {"PN", "*^john", "Doe^John", YES},
    {"PN", "doe^john^", "Doe^John", YES},
    {"PN", "doe^john", "Doe^John^^^", YES},
    {"PN", "doe^john", "Doe ^ John  ", YES},
    {"PN", "MULLER^JORG", "Müller^Jörg", YES},
    {"PN", "Müller*", "MULLER^Jorg", YES},
    {"PN", "m?ller*", "Müller^Jörg", YES},
    {"PN", "strauss", "Strauß", YES},
    {"PN", "^", "Doe", YES},
    {"PN", "*^*", NULL, YES},
    {"PN", "Yamada^Tarou", "Yamada^Tarou=山田^太郎=やまだ^たろう", YES},
    {"PN", "山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", YES},
    {"PN", "やまだ^たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう", YES},
    {"PN", "山田", "Yamada^Tarou=山田^太郎=やまだ^たろう", NO},
    {"PN", "Yamada*=山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう", YES},
    {"PN", "=山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう", YES},
    {"PN", "Yamada*=鈴木*", "Yamada^Tarou=山田^太郎=やまだ^たろう", NO},
    {"PN", "=Yamada*", "Yamada^Tarou=山田^太郎", NO},
    {"PN", "*=山田*", "=山田^太郎", YES},
    {"PN", "roe^*", "Doe^J\\Roe^M", YES}, /* OtherPatientNames */
    /* Dates. */
    {"DA", "20240229", "20240229", YES},
    {"DA", "20240229", "2024.02.29", YES},
    {"DA", "2024.02.29", "20240229", YES},
    {"DA", "20240229", "20240228", NO},
    {"DA", "20240101-20241231", "20240101", YES},
    {"DA", "20240101-20241231", "20241231", YES},
    {"DA", "20240101-20241231", "20250101", NO},
    {"DA", "20240101 - 20241231", "20240615", YES},
    {"DA", "20240101-", "20240101", YES},
    {"DA", "20240101-", "20231231", NO},
    {"DA", "-20240101", "20240101", YES},
    {"DA", "-20240101", "20240102", NO},
    {"DA", "20241231-20240101", "20240615", NO},
    {"DA", "20240101\\20240301", "20240301", YES},
    {"DA", "20240101-20241231", "garbage", NO},
    {"DA", "20240101-20241231", "20240230", NO},
    {"DA", "-", "20240101", BAD},
    {"DA", "2024", "20240101", BAD},
    {"DA", "20240230", "20240101", BAD},
    {"DA", "20230229", "20240101", BAD},
    {"DA", "19000229", "19000301", BAD},
    {"DA", "20000229", "20000229", YES},
    {"DA", "2024-01-01", "20240101", BAD},
    {"DA", "20241301", "20240101", BAD},
    {"DA", "202401010", "20240101", BAD},
    {"DA", "today", "20240101", BAD},
    {"DA", "*", "20240101", BAD},
    /* Times: less precision is more time. */
    {"TM", "10", "1030", YES},
    {"TM", "10", "105959.999999", YES},
    {"TM", "10", "11", NO},
    {"TM", "1030", "103059", YES},
    {"TM", "103000", "103000.5", YES},
    {"TM", "103000", "1030", YES},
    {"TM", "103001", "1030", NO},
    {"TM", "10:30:00", "103000", YES},
    {"TM", "103000", "10:30:00", YES},
    {"TM", "10-12", "125959", YES},
    {"TM", "10-12", "1300", NO},
    {"TM", "10-12", "095959", NO},
    {"TM", "-10", "1059", YES},
    {"TM", "2300-", "235959", YES},
    {"TM", "103000.1", "103000.15", YES},
    {"TM", "103000.1", "103000.2", NO},
    {"TM", "235960", "235960", YES},
    {"TM", "24", "10", BAD},
    {"TM", "1060", "10", BAD},
    {"TM", "103000.1234567", "10", BAD},
    {"TM", "103000.", "10", BAD},
    {"TM", "103", "10", BAD},
    /* Date times, with and without an offset from UTC. */
    {"DT", "2024", "20240615103000", YES},
    {"DT", "202402", "20240229", YES},
    {"DT", "202402", "20240301", NO},
    {"DT", "20240615", "20240615235959.999999", YES},
    {"DT", "20240615103000", "20240615103000.5", YES},
    {"DT", "20240101-20241231", "20240615", YES},
    {"DT", "2023-2024", "20241231235959", YES},
    {"DT", "2023-2024", "2025", NO},
    {"DT", "-2024", "20241231", YES},
    {"DT", "2024-", "2025", YES},
    {"DT", "20240101120000+0100", "20240101110000", YES},
    {"DT", "20240101120000+0100", "20240101110000+0000", YES},
    {"DT", "20240101120000-0500", "20240101170000", YES}, /* an offset, no range */
    {"DT", "20240101120000-0500", "20240101130000", NO},
    {"DT", "20240101120000-0500-20240101130000-0500", "20240101173000", YES},
    {"DT", "20240101120000-0500-20240101130000-0500", "20240101123000", NO},
    {"DT", "20240101120000-0500-", "20240102", YES},
    {"DT", "20240101120000+1500", "2024", BAD},
    {"DT", "202", "2024", BAD},
    {"DT", "20240101120000+0100x", "2024", BAD},
    /* Binary values, as they lie. */
    {"US", "ab", "ab", YES},
    {"US", "ab", "cdab", YES},
    {"US", "bc", "abcd", NO},
    {"FD", "12345678", "abcdefgh12345678", YES},
    {"OB", "abcd", "abcd", YES},
    {"OB", "abcd", "abcdef", NO},
    {"UN", "abcd", "abcd", YES},
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        dcb_dataset *keys = new_dataset(), *record = new_dataset();
        put(keys, TAG, cases[i].vr, cases[i].key);
        if (cases[i].value != NULL)
            put(record, TAG, cases[i].vr, cases[i].value);
        uint32_t offending = 0;
        const int result = match(keys, record, &offending);
        if (result != cases[i].expected)
            fail_msg("%s key '%s', value '%s': %d instead of %d", cases[i].vr, cases[i].key,
                     cases[i].value != NULL ? cases[i].value : "(none)", result, cases[i].expected);
        assert_int_equal(offending, result == BAD ? TAG : 0);
        dcb_dataset_close(keys);
        dcb_dataset_close(record);
    }
}

static void test_all_keys_must_match(void **state)
{
    (void)state;
    dcb_dataset *keys = new_dataset(), *record = new_dataset();
    uint32_t offending;
    put(record, DCB_TAG(0x0008, 0x0020), "DA", "20240101");
    put(record, DCB_TAG(0x0008, 0x0060), "CS", "CT");
    assert_int_equal(match(keys, record, &offending), YES);
    put(keys, DCB_TAG(0x0008, 0x0060), "CS", "CT");
    put(keys, DCB_TAG(0x0010, 0x0020), "LO", "");
    assert_int_equal(match(keys, record, &offending), YES);
    put(keys, DCB_TAG(0x0008, 0x0020), "DA", "2023-");
    assert_int_equal(match(keys, record, &offending), BAD);
    assert_int_equal(offending, DCB_TAG(0x0008, 0x0020));
    put(keys, DCB_TAG(0x0008, 0x0020), "DA", "20240102-");
    assert_int_equal(match(keys, record, &offending), NO);
    dcb_dataset_close(keys);
    dcb_dataset_close(record);
}

static void test_what_restricts(void **state)
{
    (void)state;
    dcb_dataset *keys = new_dataset();
    put(keys, DCB_TAG(0x0008, 0x0060), "CS", "*");
    put(keys, DCB_TAG(0x0010, 0x0010), "PN", "Doe*");
    put(keys, DCB_TAG(0x0010, 0x0020), "LO", "");
    dcb_dataset *item = NULL;
    assert_int_equal(dcb_dataset_add_item(&item, keys, DCB_TAG(0x0008, 0x1140), NULL), DCB_OK);
    put(item, DCB_TAG(0x0008, 0x1155), "UI", "");
    uint32_t offending;
    scp_matcher *matcher = NULL;
    assert_int_equal(matcher_create(&matcher, keys, &offending), MATCHER_OK);
    assert_int_equal(matcher_count(matcher), 1);
    assert_true(matcher_restricts(matcher, DCB_TAG(0x0010, 0x0010)));
    assert_false(matcher_restricts(matcher, DCB_TAG(0x0008, 0x0060)));
    assert_false(matcher_restricts(matcher, DCB_TAG(0x0008, 0x1140)));
    matcher_close(matcher);
    matcher_close(NULL);
    dcb_dataset_close(keys);
}

/* PS3.4 C.2.2.2.6: one item must answer to all of the key item's keys. */
static void test_sequences(void **state)
{
    (void)state;
    const uint32_t sequence = DCB_TAG(0x0040, 0x0275);
    const uint32_t id = DCB_TAG(0x0040, 0x1001), text = DCB_TAG(0x0032, 0x1060);
    dcb_dataset *record = new_dataset(), *item = NULL;
    dcb_dataset_add_item(&item, record, sequence, NULL);
    put(item, id, "SH", "R1");
    put(item, text, "LO", "head");
    dcb_dataset_add_item(&item, record, sequence, NULL);
    put(item, id, "SH", "R2");
    put(item, text, "LO", "neck");
    dcb_dataset *empty = new_dataset(), *without = new_dataset();
    assert_int_equal(dcb_dataset_add_item(NULL, empty, sequence, NULL), DCB_OK);
    static const struct {
        const char *id, *text;
        int record, other; /* other: an empty or a missing sequence */
    } rows[] = {
        {"R2", NULL, YES, NO}, {"R2", "neck", YES, NO}, {"R2", "head", NO, NO},
        {"R3", NULL, NO, NO},  {"", "n*", YES, NO},     {"R*", "*", YES, NO},
        {"", "", YES, YES},    {NULL, NULL, YES, YES},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        dcb_dataset *keys = new_dataset();
        dcb_dataset_add_item(&item, keys, sequence, NULL);
        if (rows[i].id != NULL)
            put(item, id, "SH", rows[i].id);
        if (rows[i].text != NULL)
            put(item, text, "LO", rows[i].text);
        uint32_t offending;
        assert_int_equal(match(keys, record, &offending), rows[i].record);
        assert_int_equal(match(keys, empty, &offending), rows[i].other);
        assert_int_equal(match(keys, without, &offending), rows[i].other);
        dcb_dataset_close(keys);
    }
    /* A bad value inside is named by its own tag. */
    dcb_dataset *keys = new_dataset();
    dcb_dataset_add_item(&item, keys, sequence, NULL);
    put(item, DCB_TAG(0x0040, 0x0002), "DA", "soon");
    uint32_t offending;
    assert_int_equal(match(keys, record, &offending), BAD);
    assert_int_equal(offending, DCB_TAG(0x0040, 0x0002));
    dcb_dataset_close(keys);
    /* A value key against what the record holds as a sequence: no match, no crash. */
    keys = new_dataset();
    put(keys, sequence, "LO", "R1");
    assert_int_equal(match(keys, record, &offending), NO);
    dcb_dataset_close(keys);
    dcb_dataset_close(without);
    dcb_dataset_close(empty);
    dcb_dataset_close(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_all_keys_must_match),
        cmocka_unit_test(test_what_restricts),
        cmocka_unit_test(test_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
