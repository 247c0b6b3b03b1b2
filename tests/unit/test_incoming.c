/* SPDX-License-Identifier: Apache-2.0 */
/* PDVs to messages, in and out of order. */
#include "incoming.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LIMIT 1000

static const uint8_t echo[] = "\0\0\0\1\2\0\0\0\x30\0\0\0\0\x08\2\0\0\0\1\1"; /* no data set */
static const uint8_t find[] = "\0\0\0\1\2\0\0\0\x20\0\0\0\0\x08\2\0\0\0\1\0";
#define COMMAND_NBYTES (sizeof echo - 1)

static ul_pdv pdv(uint8_t context, bool command, bool last, const void *bytes, size_t nbytes)
{
    return (ul_pdv){context, command, last, bytes, nbytes};
}

static incoming_state add(incoming *m, uint8_t context, bool command, bool last, const void *bytes,
                          size_t nbytes)
{
    ul_pdv p = pdv(context, command, last, bytes, nbytes);
    return incoming_add(m, &p, LIMIT, NULL);
}

static void count_bytes(void *context, const uint8_t *bytes, size_t nbytes)
{
    (void)bytes;
    *(size_t *)context += nbytes;
}

/* A sink takes what its limit allows; the rest of the message is passed over. */
static void test_sink_limit(void **state)
{
    (void)state;
    static const uint8_t bytes[100] = {0};
    for (uint64_t limit = 0; limit <= 300; limit += 150) {
        incoming m = {0};
        size_t ntaken = 0;
        assert_int_equal(add(&m, 1, true, true, find, COMMAND_NBYTES), INCOMING_MORE);
        m.sink = count_bytes;
        m.sink_context = &ntaken;
        m.sink_limit = limit;
        assert_int_equal(add(&m, 1, false, false, bytes, 100), INCOMING_MORE);
        assert_int_equal(add(&m, 1, false, false, bytes, 100), INCOMING_MORE);
        assert_int_equal(add(&m, 1, false, true, bytes, 100), INCOMING_COMPLETE);
        assert_int_equal(ntaken, limit == 150 ? 100 : 300);
        assert_int_equal(m.data_too_long, limit == 150);
        incoming_reset(&m);
        assert_true(m.sink_limit == 0 && m.sink_nbytes == 0 && !m.data_too_long);
        incoming_free(&m);
    }
}

static void test_whole_messages(void **state)
{
    (void)state;
    incoming m = {0};
    assert_int_equal(add(&m, 1, true, true, echo, COMMAND_NBYTES), INCOMING_COMPLETE);
    assert_int_equal(m.command.command_field, DIMSE_C_ECHO_RQ);
    assert_int_equal(m.data_nbytes, 0);
    incoming_reset(&m);
    /* byte by byte, with empty PDVs between */
    for (size_t i = 0; i < COMMAND_NBYTES; i++) {
        assert_int_equal(add(&m, 3, true, false, "", 0), INCOMING_MORE);
        assert_int_equal(add(&m, 3, true, i + 1 == COMMAND_NBYTES, find + i, 1), INCOMING_MORE);
    }
    assert_int_equal(add(&m, 3, false, false, "ab", 2), INCOMING_MORE);
    assert_int_equal(add(&m, 3, false, false, "c", 1), INCOMING_MORE);
    assert_int_equal(add(&m, 3, false, true, "", 0), INCOMING_COMPLETE);
    assert_int_equal(m.context_id, 3);
    assert_int_equal(m.data_nbytes, 3);
    assert_memory_equal(m.data, "abc", 3);
    assert_false(m.data_too_long);
    incoming_reset(&m);
    assert_int_equal(add(&m, 5, true, true, echo, COMMAND_NBYTES), INCOMING_COMPLETE);
    incoming_free(&m);
}

static void test_limit(void **state)
{
    (void)state;
    static const uint8_t data[LIMIT + 1];
    static const struct {
        size_t first, second;
        bool too_long;
    } cases[] = {{LIMIT, 0, false},    {LIMIT - 1, 1, false}, {LIMIT, 1, true},
                 {LIMIT + 1, 0, true}, {LIMIT + 1, 1, true},  {1, LIMIT, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        incoming m = {0};
        assert_int_equal(add(&m, 1, true, true, find, COMMAND_NBYTES), INCOMING_MORE);
        assert_int_equal(add(&m, 1, false, false, data, cases[i].first), INCOMING_MORE);
        assert_int_equal(add(&m, 1, false, true, data, cases[i].second), INCOMING_COMPLETE);
        assert_int_equal(m.data_too_long, cases[i].too_long);
        assert_true(m.data_capacity <= LIMIT);
        incoming_free(&m);
    }
}

static void test_broken(void **state)
{
    (void)state;
    static const uint8_t long_command[DIMSE_COMMAND_MAX + 1];
    scp_error error;
    incoming m = {0};

    assert_int_equal(add(&m, 1, false, true, "x", 1), INCOMING_BROKEN);
    incoming_reset(&m);
    assert_int_equal(add(&m, 1, true, false, echo, 4), INCOMING_MORE);
    assert_int_equal(add(&m, 1, false, true, "x", 1), INCOMING_BROKEN);
    incoming_reset(&m);
    assert_int_equal(add(&m, 1, true, false, echo, 4), INCOMING_MORE);
    assert_int_equal(add(&m, 3, true, true, echo + 4, COMMAND_NBYTES - 4), INCOMING_BROKEN);
    incoming_reset(&m);
    assert_int_equal(add(&m, 1, true, true, find, COMMAND_NBYTES), INCOMING_MORE);
    assert_int_equal(add(&m, 1, true, true, echo, COMMAND_NBYTES), INCOMING_BROKEN);
    incoming_reset(&m);
    assert_int_equal(add(&m, 1, true, true, echo, COMMAND_NBYTES - 1), INCOMING_BROKEN);
    incoming_reset(&m);
    ul_pdv p = pdv(1, true, false, long_command, sizeof long_command);
    assert_int_equal(incoming_add(&m, &p, LIMIT, &error), INCOMING_BROKEN);
    assert_string_equal(error.message, "a command set of more than 4096 bytes");
    incoming_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sink_limit),
                                       cmocka_unit_test(test_whole_messages),
                                       cmocka_unit_test(test_limit), cmocka_unit_test(test_broken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
