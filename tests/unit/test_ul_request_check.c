/* SPDX-License-Identifier: Apache-2.0 */
/* A-ASSOCIATE-RQ: sound ones pass, each fault has its message, no cut or changed byte is fatal. */
#include "ul_request_check.h"

#include "dimse_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint8_t pdu[1 << 16];

static size_t sound_request(void)
{
    const client_options options = {.calling = "WS",
                                    .called = "DCBSCP",
                                    .max_pdu = 16384,
                                    .extended_sop_class = "1.2.840.10008.5.1.4.1.2.2.1",
                                    .extended = {1, 1},
                                    .extended_nbytes = 2};
    client_context contexts[2] = {{.id = 1,
                                   .abstract_syntax = "1.2.840.10008.1.1",
                                   .syntaxes = {"1.2.840.10008.1.2"},
                                   .nsyntaxes = 1},
                                  {.id = 255,
                                   .abstract_syntax = "1.2.840.10008.5.1.4.1.1.2",
                                   .nsyntaxes = 60,
                                   .role = CLIENT_SCP}};
    for (size_t i = 0; i < 60; i++)
        contexts[1].syntaxes[i] = "1.2.840.10008.1.2.4.201";
    return client_associate_rq(pdu, sizeof pdu, &options, contexts, 2) - 6;
}

#define FIXED 68
/* A request of fixed fields and the given items. */
static int check_items(const void *items, size_t nbytes, scp_error *error)
{
    memset(pdu, 0, FIXED);
    pdu[1] = 1;
    memcpy(pdu + FIXED, items, nbytes);
    return ul_request_check(pdu, FIXED + nbytes, error);
}

static void test_sound(void **state)
{
    (void)state;
    size_t n = sound_request();
    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(ul_request_check(pdu + 6, n, &error), 0);
    assert_int_equal(check_items("", 0, &error), 0); /* nothing proposed: DCMTK's to answer */
    memset(pdu, 0xFF, sizeof pdu);
    pdu[0] = 0;
    pdu[1] = 2; /* another version is not looked into */
    assert_int_equal(ul_request_check(pdu, 200, &error), 0);
}

#define LONG_UID "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.23.24555"

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *items;
        size_t nbytes;
        const char *message;
    } cases[] = {
#define CASE(items, message) {items, sizeof(items) - 1, message}
        CASE("\x10\0\0", "the A-ASSOCIATE-RQ ends within an item's head"),
        CASE("\x10\0\0\2x", "item 10H of 2 bytes ends past the A-ASSOCIATE-RQ"),
        CASE("\x10\0\0\x41" LONG_UID, "application context of 65 characters, at most 64 are "
                                      "allowed"),
        CASE("\x10\0\0\0\x10\0\0\0", "application context item twice"),
        CASE("\x20\0\0\3\1\0\0", "presentation context of 3 bytes"),
        CASE("\x21\0\0\4\1\0\0\0", "presentation context item of an answer in a request"),
        CASE("\x20\0\0\4\2\0\0\0", "presentation context ID 2 is even"),
        CASE("\x20\0\0\4\1\0\0\0",
             "presentation context 1 with 0 abstract and 0 transfer syntaxes"),
        CASE("\x20\0\0\x09\1\0\0\0\x30\0\0\1\x31",
             "presentation context 1 with 1 abstract and 0 transfer syntaxes"),
        CASE("\x20\0\0\x0E\1\0\0\0\x30\0\0\1\x31\x40\0\0\1\x31"
             "\x20\0\0\x0E\1\0\0\0\x30\0\0\1\x31\x40\0\0\1\x31",
             "presentation context ID 1 is used twice"),
        CASE("\x20\0\0\x13\1\0\0\0\x30\0\0\1\x31\x30\0\0\1\x31\x40\0\0\1\x31",
             "presentation context 1 with 2 abstract and 1 transfer syntaxes"),
        CASE("\x20\0\0\x09\1\0\0\0\x30\0\0\2\x31", "item 30H of 2 bytes ends past a presentation "
                                                   "context"),
        CASE("\x50\0\0\4\x51\0\0\4", "item 51H of 4 bytes ends past the user information"),
        CASE("\x50\0\0\6\x51\0\0\2\0\0", "maximum length item twice or not of 4 bytes"),
        CASE("\x50\0\0\x10\x51\0\0\4\0\0\0\0\x51\0\0\4\0\0\0\0",
             "maximum length item twice or not of 4 bytes"),
        CASE("\x50\0\0\0\x50\0\0\0", "user information item twice"),
        CASE("\x50\0\0\7\x54\0\0\3\0\0\0", "role selection item is too short for its SOP class "
                                           "UID"),
        CASE("\x50\0\0\x08\x54\0\0\4\0\1\0\0", "role selection item is too short for its SOP "
                                               "class UID"),
        CASE("\x50\0\0\6\x56\0\0\2\0\1", "extended negotiation item is too short for its SOP "
                                         "class UID"),
        CASE("\x50\0\0\x47\x56\0\0\x43\0\x41" LONG_UID,
             "extended negotiation item with a SOP class UID of over 64 characters"),
        CASE("\x50\0\0\5\x58\0\0\1\1", "user identity item of 1 bytes"),
        CASE("\x50\0\0\x08\x58\0\0\4\1\0\0\1", "user identity item is too short for its fields"),
        CASE("\x50\0\0\x09\x58\0\0\5\1\0\0\1u", "user identity item is too short for its fields"),
        CASE("\x50\0\0\6\x59\0\0\2\0\0", "user identity item of an answer in a request"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scp_error error = SCP_ERROR_INIT;
        assert_int_equal(check_items(cases[i].items, cases[i].nbytes, &error), -1);
        assert_string_equal(error.message, cases[i].message);
    }
    scp_error error;
    assert_int_equal(ul_request_check(pdu, 67, &error), -1);
    assert_string_equal(error.message, "A-ASSOCIATE-RQ of 67 bytes, at least 68 are due");
}

static void test_roles(void **state)
{
    (void)state;
    static const char items[] = "\x50\0\0\x17\x54\0\0\7\0\3"
                                "1.2\0\1\x54\0\0\x08\0\4"
                                "1.3\0\1\1";
    static const struct {
        const char *uid;
        bool found, scu, scp;
    } cases[] = {{"1.2", true, false, true},
                 {"1.3", true, true, true},
                 {"1.", false, false, false},
                 {"1.22", false, false, false}};
    memset(pdu, 0, FIXED);
    pdu[1] = 1;
    memcpy(pdu + FIXED, items, sizeof items - 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool scu, scp;
        assert_int_equal(ul_request_role(pdu, FIXED + sizeof items - 1, cases[i].uid, &scu, &scp),
                         cases[i].found);
        assert_int_equal(scu, cases[i].scu);
        assert_int_equal(scp, cases[i].scp);
    }
}

static void test_identities(void **state)
{
    (void)state;
#define ITEM(bytes) bytes, sizeof(bytes) - 1
    static const struct {
        const char *item; /* of user information, behind another */
        size_t nbytes;
        uint8_t type;
        bool answer_wanted, usable;
        const char *name, *passcode;
    } cases[] = {
        {ITEM("\x58\0\0\x0a\2\1\0\2me\0\2pw"), 2, true, true, "me", "pw"},
        {ITEM("\x58\0\0\x08\1\0\0\2me\0\0"), 1, false, true, "me", ""},
        {ITEM("\x58\0\0\x08\2\0\0\2me\0\0"), 2, false, true, "me", ""},
        {ITEM("\x58\0\0\x06\2\0\0\0\0\0"), 2, false, false, "", ""},
        {ITEM("\x58\0\0\x08\2\0\0\2m\0\0\0"), 2, false, false, "m", ""},
        {ITEM("\x58\0\0\x08\3\1\0\2me\0\0"), 3, true, false, "", ""},
        {ITEM("\x58\0\0\x04\2\1\0\x09"), 2, true, false, "", ""},
        {ITEM("\x59\0\0\x02\0\0"), 0, false, false, "", ""},
    };
#undef ITEM
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ul_identity got;
        memset(pdu, 0, FIXED);
        pdu[1] = 1;
        const size_t n = cases[i].nbytes + 8;
        const uint8_t head[12] = {0x50, 0, 0, (uint8_t)n, 0x51, 0, 0, 4, 0, 0, 0x40, 0};
        memcpy(pdu + FIXED, head, sizeof head);
        memcpy(pdu + FIXED + sizeof head, cases[i].item, cases[i].nbytes);
        ul_request_identity(pdu, FIXED + sizeof head + cases[i].nbytes, &got);
        assert_int_equal(got.type, cases[i].type);
        assert_int_equal(got.answer_wanted, cases[i].answer_wanted);
        assert_int_equal(got.usable, cases[i].usable);
        assert_string_equal(got.name, cases[i].name);
        assert_string_equal(got.passcode, cases[i].passcode);
    }
}

/* Every prefix and every changed byte, in a buffer of just that size: for the sanitizers. */
static void test_mutations(void **state)
{
    (void)state;
    size_t n = sound_request();
    unsigned passed = 0;
    for (size_t cut = 0; cut <= n; cut++) {
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, pdu + 6, cut);
        int result = ul_request_check(copy, cut, NULL);
        passed += result == 0;
        assert_true(cut != n || result == 0);
        free(copy);
    }
    assert_true(passed < 20); /* only cuts between items */
    uint8_t *copy = malloc(n);
    for (size_t at = 0; at < n; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(copy, pdu + 6, n);
            copy[at] ^= (uint8_t)(1u << bit);
            (void)ul_request_check(copy, n, NULL);
            ul_identity identity;
            ul_request_identity(copy, n, &identity);
        }
    }
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound), cmocka_unit_test(test_faults), cmocka_unit_test(test_roles),
        cmocka_unit_test(test_identities), cmocka_unit_test(test_mutations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
