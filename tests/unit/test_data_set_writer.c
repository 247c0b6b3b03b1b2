/* SPDX-License-Identifier: Apache-2.0 */
/* Element headers, padding, byte order and lengths against bytes written out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data_set_writer.h"
#include "vr.h"

#define VR(name) DCB_VR((name)[0], (name)[1])

typedef struct element_case {
    const char *vr;
    uint32_t tag;
    const char *value;
    size_t nbytes;
    /* the element in the three encodings */
    const char *implicit_le, *explicit_le, *explicit_be;
    size_t implicit_nbytes, explicit_nbytes;
} element_case;

#define S(literal) literal, sizeof(literal) - 1
#define CASE(vr, tag, value, implicit_le, explicit_le, explicit_be)                                \
    {                                                                                              \
        vr, tag, S(value), implicit_le, explicit_le, explicit_be, sizeof(implicit_le) - 1,         \
            sizeof(explicit_le) - 1                                                                \
    }

static const element_case element_cases[] = {
    CASE("PN", 0x00100010, "Doe^J", "\x10\0\x10\0\x06\0\0\0Doe^J ", "\x10\0\x10\0PN\x06\0Doe^J ",
         "\0\x10\0\x10PN\0\x06"
         "Doe^J "),
    CASE("UI", 0x00080018, "1.2",
         "\x08\0\x18\0\x04\0\0\0"
         "1.2\0",
         "\x08\0\x18\0UI\x04\0"
         "1.2\0",
         "\0\x08\0\x18UI\0\x04"
         "1.2\0"),
    CASE("SH", 0x00080050, "", "\x08\0\x50\0\0\0\0\0", "\x08\0\x50\0SH\0\0", "\0\x08\0\x50SH\0\0"),
    CASE("US", 0x00280010, "\x34\x12", "\x28\0\x10\0\x02\0\0\0\x34\x12",
         "\x28\0\x10\0US\x02\0\x34\x12", "\0\x28\0\x10US\0\x02\x12\x34"),
    CASE("AT", 0x00280009, "\x54\0\x10\0", "\x28\0\x09\0\x04\0\0\0\x54\0\x10\0",
         "\x28\0\x09\0AT\x04\0\x54\0\x10\0",
         "\0\x28\0\x09"
         "AT\0\x04\0\x54\0\x10"),
    CASE("UL", 0x00081161, "\x04\x03\x02\x01", "\x08\0\x61\x11\x04\0\0\0\x04\x03\x02\x01",
         "\x08\0\x61\x11UL\x04\0\x04\x03\x02\x01", "\0\x08\x11\x61UL\0\x04\x01\x02\x03\x04"),
    CASE("FD", 0x00186028, "\x08\x07\x06\x05\x04\x03\x02\x01",
         "\x18\0\x28\x60\x08\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01",
         "\x18\0\x28\x60"
         "FD\x08\0\x08\x07\x06\x05\x04\x03\x02\x01",
         "\0\x18\x60\x28"
         "FD\0\x08\x01\x02\x03\x04\x05\x06\x07\x08"),
    CASE("OW", 0x7FE00010, "\x01\x02\x03\x04", "\xE0\x7F\x10\0\x04\0\0\0\x01\x02\x03\x04",
         "\xE0\x7F\x10\0OW\0\0\x04\0\0\0\x01\x02\x03\x04",
         "\x7F\xE0\0\x10OW\0\0\0\0\0\x04\x02\x01\x04\x03"),
    CASE("OB", 0x00291001, "\x01\x02\x03", "\x29\0\x01\x10\x04\0\0\0\x01\x02\x03\0",
         "\x29\0\x01\x10OB\0\0\x04\0\0\0\x01\x02\x03\0",
         "\0\x29\x10\x01OB\0\0\0\0\0\x04\x01\x02\x03\0"),
    CASE("UT", 0x0040A160, "abc",
         "\x40\0\x60\xA1\x04\0\0\0"
         "abc ",
         "\x40\0\x60\xA1UT\0\0\x04\0\0\0"
         "abc ",
         "\0\x40\xA1\x60UT\0\0\0\0\0\x04"
         "abc "),
    /* a VR that no table has goes out as UN, its bytes as they are */
    CASE("ZZ", 0x00291002, "\x01\x02\x03", "\x29\0\x02\x10\x04\0\0\0\x01\x02\x03\0",
         "\x29\0\x02\x10UN\0\0\x04\0\0\0\x01\x02\x03\0",
         "\0\x29\x10\x02UN\0\0\0\0\0\x04\x01\x02\x03\0"),
    /* SV is one of the short names with a long length */
    CASE("SV", 0x00720082, "\x08\x07\x06\x05\x04\x03\x02\x01",
         "\x72\0\x82\0\x08\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01",
         "\x72\0\x82\0SV\0\0\x08\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01",
         "\0\x72\0\x82SV\0\0\0\0\0\x08\x01\x02\x03\x04\x05\x06\x07\x08"),
};

static void check_element(const element_case *c, dcb_syntax syntax, const char *expected,
                          size_t expected_nbytes)
{
    dcb__writer writer;
    uint8_t *bytes;
    size_t nbytes;
    dcb__writer_init(&writer, syntax);
    dcb__writer_element(&writer, c->tag, VR(c->vr), c->value, c->nbytes);
    assert_int_equal(dcb__writer_finish(&bytes, &nbytes, &writer, NULL), DCB_OK);
    assert_int_equal(nbytes, expected_nbytes);
    assert_memory_equal(bytes, expected, nbytes);
    free(bytes);
}

static void test_elements(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof element_cases / sizeof *element_cases; i++) {
        const element_case *c = &element_cases[i];
        check_element(c, DCB_SYNTAX_IMPLICIT_LE, c->implicit_le, c->implicit_nbytes);
        check_element(c, DCB_SYNTAX_EXPLICIT_LE, c->explicit_le, c->explicit_nbytes);
        check_element(c, DCB_SYNTAX_EXPLICIT_BE, c->explicit_be, c->explicit_nbytes);
    }
}

static void test_long_value_in_short_vr(void **state)
{
    (void)state;
    static const struct {
        size_t nbytes;
        dcb_syntax syntax;
        const char *head;
        size_t head_nbytes;
    } cases[] = {
        {65534, DCB_SYNTAX_EXPLICIT_LE, S("\x28\0\x06\x30US\xFE\xFF")},
        {65535, DCB_SYNTAX_EXPLICIT_LE, S("\x28\0\x06\x30UN\0\0\0\0\x01\0")},
        {65536, DCB_SYNTAX_EXPLICIT_LE, S("\x28\0\x06\x30UN\0\0\0\0\x01\0")},
        {65536, DCB_SYNTAX_EXPLICIT_BE, S("\0\x28\x30\x06UN\0\0\0\x01\0\0")},
        {65536, DCB_SYNTAX_IMPLICIT_LE, S("\x28\0\x06\x30\0\0\x01\0")},
    };
    uint8_t *value = malloc(65536);
    for (size_t i = 0; i < 65536; i++)
        value[i] = i % 2 ? 0x12 : 0x34;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dcb__writer writer;
        uint8_t *bytes;
        size_t nbytes;
        dcb__writer_init(&writer, cases[i].syntax);
        dcb__writer_element(&writer, 0x00283006, VR("US"), value, cases[i].nbytes);
        assert_int_equal(dcb__writer_finish(&bytes, &nbytes, &writer, NULL), DCB_OK);
        assert_int_equal(nbytes, cases[i].head_nbytes + (cases[i].nbytes + 1) / 2 * 2);
        assert_memory_equal(bytes, cases[i].head, cases[i].head_nbytes);
        assert_int_equal(bytes[cases[i].head_nbytes], 0x34); /* UN: never swapped (PS3.5 6.2.2) */
        free(bytes);
    }
    free(value);
}

static void test_sequence(void **state)
{
    (void)state;
    static const struct {
        dcb_syntax syntax;
        const char *bytes;
        size_t nbytes;
    } cases[] = {
        {DCB_SYNTAX_IMPLICIT_LE,
         S("\x08\0\x40\x11\x1A\0\0\0\xFE\xFF\0\xE0\x0A\0\0\0\x28\0\x10\0\x02\0\0\0\x34\x12"
           "\xFE\xFF\0\xE0\0\0\0\0\x08\0\x50\0\0\0\0\0")},
        {DCB_SYNTAX_EXPLICIT_LE,
         S("\x08\0\x40\x11SQ\0\0\x1A\0\0\0\xFE\xFF\0\xE0\x0A\0\0\0\x28\0\x10\0US\x02\0\x34\x12"
           "\xFE\xFF\0\xE0\0\0\0\0\x08\0\x50\0SH\0\0")},
        {DCB_SYNTAX_EXPLICIT_BE,
         S("\0\x08\x11\x40SQ\0\0\0\0\0\x1A\xFF\xFE\xE0\0\0\0\0\x0A\0\x28\0\x10US\0\x02\x12\x34"
           "\xFF\xFE\xE0\0\0\0\0\0\0\x08\0\x50SH\0\0")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dcb__writer writer;
        uint8_t *bytes;
        size_t nbytes;
        dcb__writer_init(&writer, cases[i].syntax);
        size_t sequence = dcb__writer_begin_sequence(&writer, 0x00081140);
        size_t item = dcb__writer_begin_item(&writer);
        dcb__writer_element(&writer, 0x00280010, VR("US"), "\x34\x12", 2);
        dcb__writer_end_item(&writer, item);
        item = dcb__writer_begin_item(&writer);
        dcb__writer_end_item(&writer, item);
        dcb__writer_end_sequence(&writer, sequence);
        dcb__writer_element(&writer, 0x00080050, VR("SH"), NULL, 0);
        assert_int_equal(dcb__writer_finish(&bytes, &nbytes, &writer, NULL), DCB_OK);
        assert_int_equal(nbytes, cases[i].nbytes);
        assert_memory_equal(bytes, cases[i].bytes, nbytes);
        free(bytes);
    }
}

static void test_errors_stick(void **state)
{
    (void)state;
    dcb__writer writer;
    dcb_error error = DCB_ERROR_INIT;
    uint8_t *bytes = (uint8_t *)"";
    size_t nbytes = 1;
    dcb__writer_init(&writer, DCB_SYNTAX_EXPLICIT_LE);
    dcb__writer_element(&writer, 0x00280010, VR("US"), "\x34\x12", 2);
    dcb__writer_element(&writer, 0x7FE00010, VR("OB"), "", 0xFFFFFFFFu);
    dcb__writer_append(&writer, "more", 4);
    size_t mark = dcb__writer_begin_sequence(&writer, 0x00081140);
    dcb__writer_end_sequence(&writer, mark);
    assert_int_equal(writer.nbytes, 10);
    assert_int_equal(dcb__writer_finish(&bytes, &nbytes, &writer, &error), DCB_ERR_ENCODING);
    assert_null(bytes);
    assert_int_equal(nbytes, 0);
    assert_int_equal(error.offset, 10);
    assert_string_equal(error.message, "element (7FE0,0010) has 4294967295 bytes, the most that a "
                                       "length can say is 4294967294");
}

static void test_empty_and_append(void **state)
{
    (void)state;
    dcb__writer writer;
    uint8_t *bytes;
    size_t nbytes;
    dcb__writer_init(&writer, DCB_SYNTAX_EXPLICIT_LE);
    dcb__writer_append(&writer, NULL, 0);
    assert_int_equal(dcb__writer_finish(&bytes, &nbytes, &writer, NULL), DCB_OK);
    assert_non_null(bytes);
    assert_int_equal(nbytes, 0);
    free(bytes);

    dcb__writer_init(&writer, DCB_SYNTAX_EXPLICIT_LE);
    for (int i = 0; i < 5000; i++)
        dcb__writer_append(&writer, "abc", 3);
    assert_int_equal(dcb__writer_finish(&bytes, &nbytes, &writer, NULL), DCB_OK);
    assert_int_equal(nbytes, 15000);
    for (size_t i = 0; i < nbytes; i++)
        assert_int_equal(bytes[i], "abc"[i % 3]);
    free(bytes);
}

static void test_vr_table(void **state)
{
    (void)state;
    static const char all[][3] = {"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL",
                                  "IS", "LO", "LT", "OB", "OD", "OF", "OL", "OV", "OW",
                                  "PN", "SH", "SL", "SQ", "SS", "ST", "SV", "TM", "UC",
                                  "UI", "UL", "UN", "UR", "US", "UT", "UV"};
    static const char longs[] = "OB OD OF OL OV OW SQ SV UC UN UR UT UV";
    static const char texts[] = "LO LT PN SH ST UC UT";
    size_t known = 0;
    for (unsigned vr = 0; vr <= 0xFFFF; vr++)
        known += dcb_vr_is_known((dcb_vr)vr);
    assert_int_equal(known, sizeof all / sizeof *all);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_true(dcb_vr_is_known(VR(all[i])));
        assert_int_equal(dcb_vr_has_long_length(VR(all[i])), strstr(longs, all[i]) != NULL);
        assert_int_equal(dcb_vr_is_text(VR(all[i])), strstr(texts, all[i]) != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elements),         cmocka_unit_test(test_long_value_in_short_vr),
        cmocka_unit_test(test_sequence),         cmocka_unit_test(test_errors_stick),
        cmocka_unit_test(test_empty_and_append), cmocka_unit_test(test_vr_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
