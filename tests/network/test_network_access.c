/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what, over the wire: rejections, contexts without a right, rights that are taken back.
 */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

static scp_options with_access(const char *access)
{
    char *argv[] = {(char[]){"dcbscp"}, (char[]){"--archive"}, (char[]){"/a"}, NULL};
    scp_options options;
    options_action action;
    scp_error error = SCP_ERROR_INIT;
    setenv("DCBSCP_ACCESS", access, 1);
    if (options_parse(&options, &action, 3, argv, &error) != 0)
        fail_msg("%s", error.message);
    unsetenv("DCBSCP_ACCESS");
    return options;
}

static void expect_rejected(fixture *f, const char *reason)
{
    dimse_client client;
    assert_int_equal(client_open(&client, &f->client, f->contexts, NCONTEXTS), CLIENT_REJECTED);
    assert_memory_equal(client.reason + 7, reason, 3);
    client_close(&client);
}

static void test_beyond_loopback(void **state)
{
    fixture *f = *state;
    static char everywhere[] = "0.0.0.0";
    f->options.bind_address = everywhere;
    fixture_start(f);
    expect_rejected(f, "\1\1\3");
    fixture_expect_associations(f, 0);
}

static void test_no_rule_matches(void **state)
{
    fixture *f = *state;
    scp_options options = with_access("[{calling: OTHER, allow: all}]");
    assert_int_equal(settings_create(&f->node.settings, &options), 0);
    fixture_start(f);
    expect_rejected(f, "\1\1\3");
    f->client.calling = "OTHER";
    fixture_echo_alone(f);
    f->client.called = "ELSE"; /* tells nothing about rules */
    expect_rejected(f, "\1\1\7");
}

static void test_contexts(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *access;
        int results[NCONTEXTS]; /* echo, find, get, CT as SCP */
    } cases[] = {
        {"{addresses: 127.0.0.0/8, allow: echo}", {0, 1, 1, 1}},
        {"{addresses: 127.0.0.0/8, allow: find}", {1, 0, 1, 1}},
        {"{addresses: 127.0.0.0/8, allow: get}", {1, 1, 0, 0}},
        {"{addresses: 127.0.0.0/8, allow: [find, store]}", {1, 0, 1, 1}},
        {"[{calling: X, allow: none}, {allow: all}]", {0, 0, 0, 0}},
    };
    scp_options options = with_access("[]");
    assert_int_equal(settings_create(&f->node.settings, &options), 0);
    fixture_start(f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dimse_client client;
        options = with_access(cases[i].access);
        assert_int_equal(settings_replace(f->node.settings, &options), 0);
        assert_int_equal(client_open(&client, &f->client, f->contexts, NCONTEXTS), CLIENT_OK);
        for (size_t k = 0; k < NCONTEXTS; k++)
            assert_int_equal(f->contexts[k].result, cases[i].results[k]);
        assert_int_equal(client_release(&client), CLIENT_RELEASED);
        client_close(&client);
        fixture_expect_associations(f, 0);
    }
}

/* An open association feels new rules from its next request on. */
static void test_rights_taken_back(void **state)
{
    fixture *f = *state;
    dimse_client client;
    scp_options options = with_access("[{calling: TEST, allow: all}]");
    assert_int_equal(settings_create(&f->node.settings, &options), 0);
    fixture_start(f);
    fixture_open(f, &client);
    fixture_request(&client, CONTEXT_FIND, FIND_RQ, 5, FIND, "x");
    fixture_expect(&client, FIND_RQ, 0x0000);
    fixture_echo(&client);

    options = with_access("[{calling: TEST, allow: echo}]");
    assert_int_equal(settings_replace(f->node.settings, &options), 0);
    fixture_request(&client, CONTEXT_FIND, FIND_RQ, 6, FIND, "x");
    fixture_expect(&client, FIND_RQ, 0x0124);
    assert_int_equal(client_u16(&client.message, 0x00000120, 0), 6);
    fixture_request(&client, CONTEXT_GET, GET_RQ, 7, GET, "x");
    fixture_expect(&client, GET_RQ, 0x0124);
    fixture_echo(&client);

    options = with_access("[{calling: OTHER, allow: all}]");
    assert_int_equal(settings_replace(f->node.settings, &options), 0);
    fixture_request(&client, CONTEXT_ECHO, ECHO_RQ, 8, VERIFICATION, NULL);
    fixture_expect(&client, ECHO_RQ, 0x0124);
    expect_rejected(f, "\1\1\3");
    assert_int_equal(client_release(&client), CLIENT_RELEASED);
    client_close(&client);
    fixture_expect_associations(f, 0);
}

static int teardown(void **state)
{
    fixture *f = *state;
    scp_settings *settings = f->node.settings;
    int result = fixture_teardown(state);
    settings_close(settings);
    return result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_beyond_loopback, fixture_prepare, teardown),
        cmocka_unit_test_setup_teardown(test_no_rule_matches, fixture_prepare, teardown),
        cmocka_unit_test_setup_teardown(test_contexts, fixture_prepare, teardown),
        cmocka_unit_test_setup_teardown(test_rights_taken_back, fixture_prepare, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
