/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the log, caught from standard error. */
#include "log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char caught[16384];

static const char *catch_line(log_level level, const char *event, const log_field *fields,
                              size_t nfields)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    log_event_fields(level, event, fields, nfields);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    size_t n = fread(caught, 1, sizeof caught - 1, file);
    caught[n] = '\0';
    fclose(file);
    return caught;
}

/* The time differs: everything after it. */
static const char *text_line(const log_field *fields, size_t nfields)
{
    log_configure(LOG_INFO, LOG_TEXT);
    const char *line = catch_line(LOG_INFO, "e", fields, nfields);
    assert_true(strlen(line) > 25);
    assert_int_equal(line[4], '-');
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[23], 'Z');
    return line + 25;
}

static const char *json_line(const log_field *fields, size_t nfields)
{
    log_configure(LOG_INFO, LOG_JSON);
    const char *line = catch_line(LOG_INFO, "e", fields, nfields);
    assert_int_equal(strncmp(line, "{\"time\":\"", 9), 0);
    return strstr(line, "\"level\"");
}

static void test_text_values(void **state)
{
    (void)state;
    static const struct {
        const char *value, *line;
    } cases[] = {
        {"plain", "info e f=plain\n"},
        {"", "info e f=\"\"\n"},
        {"two words", "info e f=\"two words\"\n"},
        {"a=b", "info e f=\"a=b\"\n"},
        {"say \"x\"", "info e f=\"say \\\"x\\\"\"\n"},
        {"back\\slash", "info e f=\"back\\\\slash\"\n"},
        {"line\nbreak\r", "info e f=\"line\\nbreak\\u000d\"\n"},
        {"\x1b[31m", "info e f=\"\\u001b[31m\"\n"},
        {"J\xc3\xb6rg", "info e f=\"J\xc3\xb6rg\"\n"},
        {"J\xf6rg", "info e f=\"J\\ufffdrg\"\n"},
        {"\xc3", "info e f=\"\\ufffd\"\n"},
        {"\xed\xa0\x80", "info e f=\"\\ufffd\\ufffd\\ufffd\"\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        log_field field = LOG_T("f", cases[i].value);
        assert_string_equal(text_line(&field, 1), cases[i].line);
    }
}

static void test_kinds(void **state)
{
    (void)state;
    const log_field fields[] = {LOG_T("t", NULL), LOG_U("u", UINT64_MAX), LOG_I("i", -5),
                                LOG_MS("ms", 12.345)};
    assert_string_equal(text_line(fields, 4),
                        "info e t=\"\" u=18446744073709551615 i=-5 ms=12.3\n");
    assert_string_equal(json_line(fields, 4),
                        "\"level\":\"info\",\"event\":\"e\",\"t\":\"\",\"u\":18446744073709551615,"
                        "\"i\":-5,\"ms\":12.3}\n");
}

static void test_json_escapes(void **state)
{
    (void)state;
    log_field field = LOG_T("f", "a\"b\\c\nd\x01\xff");
    assert_string_equal(json_line(&field, 1),
                        "\"level\":\"info\",\"event\":\"e\",\"f\":\"a\\\"b\\\\c\\nd\\u0001"
                        "\\ufffd\"}\n");
}

static void test_levels(void **state)
{
    (void)state;
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (int configured = LOG_ERROR; configured <= LOG_DEBUG; configured++) {
        log_configure((log_level)configured, LOG_TEXT);
        for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
            const char *line = catch_line((log_level)level, "e", NULL, 0);
            assert_int_equal(log_enabled((log_level)level), level <= configured);
            if (level <= configured)
                assert_non_null(strstr(line, names[level]));
            else
                assert_string_equal(line, "");
        }
    }
}

/* A line is cut where it would be too long, at any length, and stays one sound line. */
static void test_long_lines(void **state)
{
    (void)state;
    static char text[6000];
    for (size_t n = 3950; n < 4200; n++) {
        memset(text, 'x', n);
        text[n] = '\0';
        const log_field fields[] = {LOG_T("f", text), LOG_T("g", "last")};
        size_t length = strlen(text_line(fields, 2)) + 25;
        assert_true(length <= 4096);
        assert_int_equal(strchr(caught, '\n') - caught, length - 1);
        assert_true(strstr(caught, " g=last\n") != NULL || strstr(caught, " ...\n") != NULL);

        const char *line = json_line(fields, 2);
        length = strlen(line);
        assert_true(strlen(caught) <= 4096);
        assert_string_equal(line + length - 3, "\"}\n");
        size_t quotes = 0;
        for (const char *c = caught; *c != '\0'; c++)
            quotes += *c == '"';
        assert_int_equal(quotes % 2, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_values),  cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_json_escapes), cmocka_unit_test(test_levels),
        cmocka_unit_test(test_long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
