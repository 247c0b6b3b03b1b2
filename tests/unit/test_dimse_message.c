/* SPDX-License-Identifier: Apache-2.0 */
/* Command sets: exact bytes out, anything in; statuses. */
#include "dimse_message.h"
#include "dimse_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

static void test_echo_response_bytes(void **state)
{
    (void)state;
    static const char expected[] = "\0\0\0\0\4\0\0\0\x42\0\0\0"
                                   "\0\0\2\0\x12\0\0\0"
                                   "1.2.840.10008.1.1\0"
                                   "\0\0\0\1\2\0\0\0\x30\x80"
                                   "\0\0\x20\1\2\0\0\0\7\0"
                                   "\0\0\0\x08\2\0\0\0\1\1"
                                   "\0\0\0\x09\2\0\0\0\0\0";
    dimse_command request = {.command_field = DIMSE_C_ECHO_RQ,
                             .message_id = 7,
                             .affected_sop_class_uid = "1.2.840.10008.1.1"};
    dimse_command response;
    uint8_t bytes[DIMSE_COMMAND_MAX];
    dimse_response_init(&response, &request, DIMSE_SUCCESS);
    size_t n = dimse_command_encode(bytes, sizeof bytes, &response);
    assert_int_equal(n, sizeof expected - 1);
    assert_memory_equal(bytes, expected, n);
}

static void test_get_response_bytes(void **state)
{
    (void)state;
    static const char expected[] = "\0\0\0\0\4\0\0\0\x76\0\0\0"
                                   "\0\0\2\0\4\0\0\0"
                                   "1.2\0"
                                   "\0\0\0\1\2\0\0\0\x10\x80"
                                   "\0\0\x20\1\2\0\0\0\2\1"
                                   "\0\0\0\x08\2\0\0\0\1\0"
                                   "\0\0\0\x09\2\0\0\0\0\xFE"
                                   "\0\0\1\x09\4\0\0\0\x20\0\x0D\0"
                                   "\0\0\2\x09\6\0\0\0odd c "
                                   "\0\0\x20\x10\2\0\0\0\4\0"
                                   "\0\0\x21\x10\2\0\0\0\3\0"
                                   "\0\0\x22\x10\2\0\0\0\2\0"
                                   "\0\0\x23\x10\2\0\0\0\1\0";
    const dimse_command response = {
        .present = DIMSE_HAS_MESSAGE_ID_RESPONDED | DIMSE_HAS_STATUS | DIMSE_HAS_DATA_SET_TYPE |
                   DIMSE_HAS_REMAINING | DIMSE_HAS_COUNTS,
        .command_field = DIMSE_C_GET_RQ | DIMSE_RESPONSE,
        .message_id_responded = 258,
        .data_set_type = 1,
        .status = DIMSE_CANCEL,
        .affected_sop_class_uid = "1.2",
        .remaining = 4,
        .completed = 3,
        .failed = 2,
        .warning = 1,
        .error_comment = "odd c",
        .offending_element = 0x0020000D,
    };
    uint8_t bytes[DIMSE_COMMAND_MAX];
    size_t n = dimse_command_encode(bytes, sizeof bytes, &response);
    assert_int_equal(n, sizeof expected - 1);
    assert_memory_equal(bytes, expected, n);
    assert_int_equal(dimse_command_encode(bytes, n, &response), n);
    for (size_t capacity = 0; capacity < n; capacity++)
        assert_int_equal(dimse_command_encode(bytes, capacity, &response), 0);
}

static void test_round_trip(void **state)
{
    (void)state;
    dimse_command command = {
        .present = DIMSE_HAS_MESSAGE_ID | DIMSE_HAS_PRIORITY | DIMSE_HAS_DATA_SET_TYPE |
                   DIMSE_HAS_ORIGINATOR,
        .command_field = DIMSE_C_STORE_RQ,
        .message_id = 65535,
        .priority = 2,
        .data_set_type = 0,
        .affected_sop_class_uid = "1.2.840.10008.5.1.4.1.1.2",
        .affected_sop_instance_uid = "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.2"
                                     "3.2455",
        .originator_ae_title = "SIXTEEN_LETTERS_",
        .originator_message_id = 9,
    };
    assert_int_equal(strlen(command.affected_sop_instance_uid), 64);
    uint8_t bytes[DIMSE_COMMAND_MAX];
    size_t n = dimse_command_encode(bytes, sizeof bytes, &command);
    dimse_command back;
    assert_int_equal(dimse_command_decode(&back, bytes, n, NULL), 0);
    assert_memory_equal(&back, &command, sizeof command);
    assert_true(dimse_has_data_set(&back));
    back.data_set_type = DIMSE_NO_DATA_SET;
    assert_false(dimse_has_data_set(&back));
}

/* What careless senders do. */
static void test_lenient(void **state)
{
    (void)state;
    dimse_command c;
    /* wrong group length, unknown element, order, UID padded with a space, leading space */
    assert_int_equal(dimse_command_decode(&c,
                                          BYTES("\0\0\0\x08\2\0\0\0\1\1"
                                                "\0\0\0\0\4\0\0\0\xFF\0\0\0"
                                                "\0\0\x99\x99\1\0\0\0x"
                                                "\0\0\2\0\4\0\0\0"
                                                "1.2 "
                                                "\0\0\x10\1\2\0\0\0\5\0"
                                                "\0\0\0\6\6\0\0\0 DEST "
                                                "\0\0\0\1\2\0\0\0\x20\0"),
                                          NULL),
                     0);
    assert_int_equal(c.command_field, DIMSE_C_FIND_RQ);
    assert_int_equal(c.message_id, 5);
    assert_string_equal(c.affected_sop_class_uid, "1.2");
    assert_string_equal(c.move_destination, "DEST");
    assert_int_equal(c.present, DIMSE_HAS_MESSAGE_ID | DIMSE_HAS_DATA_SET_TYPE);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t nbytes;
        const char *message;
    } cases[] = {
        {BYTES(""), "command set of 0 bytes without Command Field (0000,0100)"},
        {BYTES("\0\0\0\1\2\0\0"), "command set ends within an element, at byte 0 of 7"},
        {BYTES("\0\0\0\1\2\0\0\0\x30"), "command element (0000,0100) ends past the command set"},
        {BYTES("\0\0\0\1\xFF\xFF\xFF\xFF\x30\0"),
         "command element (0000,0100) ends past the command set"},
        {BYTES("\0\0\0\1\4\0\0\0\x30\0\0\0"),
         "command element (0000,0100) has 4 bytes where 2 are due"},
        {BYTES("\0\0\x10\1\1\0\0\0\x30"),
         "command element (0000,0110) has 1 bytes where 2 are due"},
        {BYTES("\x08\0\x10\0\0\0\0\0"), "element (0008,0010) in a command set, at byte 0"},
        {BYTES("\0\0\x10\1\2\0\0\0\1\0"), "command set of 10 bytes without Command Field "
                                          "(0000,0100)"},
        {BYTES("\0\0\2\0\x42\0\0\0"
               "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.23.24555."),
         "command element (0000,0002) is longer than 64 characters"},
        {BYTES("\0\0\2\0\4\0\0\0"
               "1\0.2"),
         "command element (0000,0002) is longer than 64 characters"},
        {BYTES("\0\0\0\6\x12\0\0\0SEVENTEEN_LETTERS_"),
         "command element (0000,0600) is longer than 16 characters"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scp_error error = SCP_ERROR_INIT;
        dimse_command c;
        assert_int_equal(dimse_command_decode(&c, cases[i].bytes, cases[i].nbytes, &error), -1);
        assert_string_equal(error.message, cases[i].message);
    }
}

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        uint16_t status;
        dimse_status_class expected;
    } cases[] = {
        {0x0000, DIMSE_CLASS_SUCCESS}, {0xFF00, DIMSE_CLASS_PENDING}, {0xFF01, DIMSE_CLASS_PENDING},
        {0xFE00, DIMSE_CLASS_CANCEL},  {0xB000, DIMSE_CLASS_WARNING}, {0xB007, DIMSE_CLASS_WARNING},
        {0x0001, DIMSE_CLASS_WARNING}, {0x0107, DIMSE_CLASS_WARNING}, {0x0116, DIMSE_CLASS_WARNING},
        {0xA700, DIMSE_CLASS_FAILURE}, {0xC001, DIMSE_CLASS_FAILURE}, {0x0122, DIMSE_CLASS_FAILURE},
        {0xFF02, DIMSE_CLASS_FAILURE}, {0x1234, DIMSE_CLASS_FAILURE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(dimse_classify(cases[i].status), cases[i].expected);
    assert_string_equal(dimse_status_text(0xA900), "identifier does not match the SOP class");
    assert_string_equal(dimse_status_text(0x1234), "unknown status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_response_bytes), cmocka_unit_test(test_get_response_bytes),
        cmocka_unit_test(test_round_trip),          cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_malformed),           cmocka_unit_test(test_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
