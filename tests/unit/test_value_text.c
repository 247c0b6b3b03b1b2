/* SPDX-License-Identifier: Apache-2.0 */
/* test_value_text.c - DS text: short, never over 16 characters, the same double where one can be.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base64.h"
#include "value_text.h"

static const struct {
    double value;
    const char *text;
} rows[] = {
    {0, "0"},
    {-0.0, "-0"},
    {1, "1"},
    {-1024, "-1024"},
    {100000, "100000"},
    {2.5, "2.5"},
    {-0.5, "-0.5"},
    {0.1, "0.1"},
    {0.00853348, "0.00853348"},
    {-17.68746376, "-17.68746376"},
    {0.703125, "0.703125"},
    {949.075, "949.075"},
    {123456789012345, "123456789012345"},
    {1234567890123456, "1234567890123456"},
    {-123456789012345, "-123456789012345"},
    {1e15, "1000000000000000"},
    {1e16, "1e16"},
    {1e300, "1e300"},
    {-2.25e-7, "-0.000000225"},
    {1e-10, "0.0000000001"},
    {1.5e-13, "0.00000000000015"},
    {1e-14, "0.00000000000001"},
    {1e-15, "1e-15"},
    {5e-324, "5e-324"},
    /* More digits than 16 characters hold: the nearest text. */
    {1.0 / 3, "0.33333333333333"},
    {-1.0 / 3, "-0.3333333333333"},
    {2.0 / 3, "0.66666666666667"},
    {0.01960254367895018, "0.01960254367895"},
    {-159.82565509386, "-159.82565509386"},
    {3.141592653589793, "3.14159265358979"},
    {12345.678901234567, "12345.6789012346"},
    {-12345678901234.567, "-12345678901235"},
    {1.0 / 3 * 1e-20, "3.3333333333e-21"},
    {-1.0 / 3 * 1e-120, "-3.33333333e-121"},
    {2.0 / 3 * 1e200, "6.6666666667e199"},
    {NAN, ""},
    {INFINITY, ""},
    {-INFINITY, ""},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[DCB_NUMBER_TEXT];
        size_t n = dcb__ds_text(text, rows[i].value);
        if (strcmp(text, rows[i].text) != 0)
            fail_msg("%.17g: \"%s\" instead of \"%s\"", rows[i].value, text, rows[i].text);
        assert_int_equal(n, strlen(text));
        assert_true(n <= 16);
    }
}

/* For numbers of up to 15 digits, text and number are the same; for all others the text is at least
   as near as the 9 digits that always fit. */
static void test_reads_back(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 200000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        double value;
        char text[DCB_NUMBER_TEXT];
        if (i % 2 == 0) {
            value = (double)((int64_t)(seed >> 30)) / pow(10, (double)(seed % 9));
            value = seed & 1024 ? value : -value;
        } else {
            memcpy(&value, &seed, sizeof value);
            if (!isfinite(value))
                continue;
        }
        size_t n = dcb__ds_text(text, value);
        assert_true(n >= 1 && n <= 16);
        assert_int_equal(strspn(text, "0123456789+-.e"), n);
        double back = strtod(text, NULL);
        if (i % 2 == 0 && n < 16)
            assert_true(back == value);
        assert_true(fabs(back - value) <= fabs(value) * 5e-9);
    }
}

static void test_integers(void **state)
{
    (void)state;
    char text[DCB_NUMBER_TEXT];
    assert_int_equal(dcb__integer_text(text, 0), 1);
    assert_string_equal(text, "0");
    dcb__integer_text(text, -42);
    assert_string_equal(text, "-42");
    dcb__integer_text(text, INT64_MIN);
    assert_string_equal(text, "-9223372036854775808");
    dcb__integer_text(text, INT64_MAX);
    assert_string_equal(text, "9223372036854775807");
}

static void test_base64(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *bytes; /* NULL: refused */
    } texts[] = {
        {"", ""},
        {"QQ==", "A"},
        {"QUI=", "AB"},
        {"QUJD", "ABC"},
        {"QUJDRA==", "ABCD"},
        {"QQ", "A"},
        {"QUI", "AB"},
        {"+/+/", "\xFB\xFF\xBF"},
        {"Q", NULL},
        {"QU J", NULL},
        {"Q=UI", NULL},
        {"QUI\n", NULL},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        uint8_t bytes[32];
        size_t nbytes = 99;
        size_t length = strlen(texts[i].text);
        assert_true(dcb__base64_room(length) <= sizeof bytes);
        bool ok = dcb__base64_decode(bytes, &nbytes, texts[i].text, length);
        assert_int_equal(ok, texts[i].bytes != NULL);
        if (ok) {
            assert_int_equal(nbytes, strlen(texts[i].bytes));
            assert_memory_equal(bytes, texts[i].bytes, nbytes);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_reads_back),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
