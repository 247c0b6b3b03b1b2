/* SPDX-License-Identifier: Apache-2.0 */
/* test_http_guard.c - tokens, host names, and places for connections. */
#include "http_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void loopback_is_told_from_the_rest(void **state)
{
    (void)state;
    static const char *const NEAR[] = {"127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"};
    static const char *const FAR[] = {
        "0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "fe80::1", "::ffff:10.0.0.1", "localhost", ""};
    for (size_t i = 0; i < sizeof NEAR / sizeof NEAR[0]; i++)
        assert_true(http_is_loopback(NEAR[i]));
    for (size_t i = 0; i < sizeof FAR / sizeof FAR[0]; i++)
        assert_false(http_is_loopback(FAR[i]));
}

static void hosts_are_names_of_this_machine(void **state)
{
    (void)state;
    static const char *const KNOWN[] = {"localhost", "LocalHost:80", "127.0.0.1:1", "10.1.2.3",
                                        "[::1]",     "[fe80::1]:99", "localhost:"};
    static const char *const UNKNOWN[] = {"",
                                          ":80",
                                          "evil.example",
                                          "localhost.evil.example",
                                          "localhost:80x",
                                          "127.0.0.1.",
                                          "[::1",
                                          "[::1]x",
                                          "::1",
                                          "[]",
                                          "[10.0.0.1]",
                                          "localhost/x",
                                          "10.0.0.1:80:80"};
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++) {
        if (!http_guard_knows_host(KNOWN[i]))
            fail_msg("%s", KNOWN[i]);
    }
    for (size_t i = 0; i < sizeof UNKNOWN / sizeof UNKNOWN[0]; i++) {
        if (http_guard_knows_host(UNKNOWN[i]))
            fail_msg("%s", UNKNOWN[i]);
    }
}

static void only_the_token_is_admitted(void **state)
{
    (void)state;
    const http_guard guard = {true, "0123456789abcdef"};
    const http_guard open = {false, ""};
    const http_guard closed = {true, ""}; /* but for client certificates */
    static const char *const RIGHT[] = {
        "Bearer 0123456789abcdef", "bearer 0123456789abcdef",
        "Basic YWRtaW46MDEyMzQ1Njc4OWFiY2RlZg==", /* admin:0123456789abcdef */
        "Basic OjAxMjM0NTY3ODlhYmNkZWY=",         /* :0123456789abcdef */
    };
    static const char *const WRONG[] = {
        "",
        "Bearer",
        "Bearer ",
        "Bearer 0123456789abcde",
        "Bearer 0123456789abcdef0123456789abcdef",
        "Bearer 0123456789abcdeF",
        "0123456789abcdef",
        "Basic 0123456789abcdef",
        "Basic MDEyMzQ1Njc4OWFiY2RlZg==", /* without a name */
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic YWRtaW46", /* admin: */
    };
    for (size_t i = 0; i < sizeof RIGHT / sizeof RIGHT[0]; i++) {
        assert_true(http_guard_admits(&guard, RIGHT[i]));
        assert_false(http_guard_admits(&closed, RIGHT[i]));
    }
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        if (http_guard_admits(&guard, WRONG[i]))
            fail_msg("%s", WRONG[i]);
        assert_true(http_guard_admits(&open, WRONG[i]));
        assert_false(http_guard_admits(&closed, WRONG[i]));
    }
    assert_false(http_guard_admits(&guard, NULL));
    char longer[4096] = "Basic ";
    memset(longer + 6, 'A', sizeof longer - 7);
    assert_false(http_guard_admits(&guard, longer));
}

/* Was the descriptor's socket shut down? */
static bool is_ended(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void one_connection_more_ends_the_oldest(void **state)
{
    (void)state;
    http_connections *all = http_connections_create();
    assert_non_null(all);
    int pairs[HTTP_CONNECTIONS + 2][2];
    void *places[HTTP_CONNECTIONS + 2];
    for (int i = 0; i < HTTP_CONNECTIONS + 2; i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
    for (int i = 0; i < HTTP_CONNECTIONS; i++) {
        places[i] = http_connections_begin(all, pairs[i][0]);
        assert_non_null(places[i]);
    }
    for (int i = 0; i < HTTP_CONNECTIONS; i++)
        assert_false(is_ended(pairs[i][0]));
    for (int i = HTTP_CONNECTIONS; i < HTTP_CONNECTIONS + 2; i++) {
        places[i] = http_connections_begin(all, pairs[i][0]);
        assert_non_null(places[i]);
        int nended = 0;
        for (int k = 0; k <= i; k++)
            nended += is_ended(pairs[k][0]);
        assert_int_equal(nended, i - HTTP_CONNECTIONS + 1);
        assert_false(is_ended(pairs[i][0]));
    }
    for (int i = 0; i < HTTP_CONNECTIONS + 2; i++) {
        http_connections_answered(all, places[i]);
        http_connections_end(all, places[i]);
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
    http_connections_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_is_told_from_the_rest),
        cmocka_unit_test(hosts_are_names_of_this_machine),
        cmocka_unit_test(only_the_token_is_admitted),
        cmocka_unit_test(one_connection_more_ends_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
