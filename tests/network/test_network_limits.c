/* SPDX-License-Identifier: Apache-2.0 */
/* What one association, AE or address may take of the node, and how one is told of the end of it.
 */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

static void expect_full(fixture *f, const char *calling)
{
    dimse_client client;
    f->client.calling = calling;
    assert_int_equal(client_open(&client, &f->client, f->contexts, NCONTEXTS), CLIENT_REJECTED);
    assert_memory_equal(client.reason + 7, "\2\3\2", 3);
    client_close(&client);
}

static void test_per_ae(void **state)
{
    fixture *f = *state;
    dimse_client first, other;
    f->options.max_associations_per_ae = 1;
    f->client.calling = "ONE";
    fixture_start(f);
    fixture_open(f, &first);
    expect_full(f, "ONE");
    f->client.calling = "TWO";
    fixture_open(f, &other);
    expect_full(f, "TWO");
    fixture_echo(&first);
    assert_int_equal(client_release(&first), CLIENT_RELEASED);
    client_close(&first);
    fixture_expect_associations(f, 1);
    f->client.calling = "ONE";
    fixture_echo_alone(f);
    client_close(&other);
}

static void test_per_address(void **state)
{
    fixture *f = *state;
    dimse_client first, second;
    f->options.max_associations_per_address = 2;
    fixture_start(f);
    f->client.calling = "ONE";
    fixture_open(f, &first);
    f->client.calling = "TWO";
    fixture_open(f, &second);
    expect_full(f, "THREE");
    client_close(&first);
    fixture_expect_associations(f, 1);
    fixture_echo_alone(f);
    client_close(&second);
}

/* A user without room is told to come again, though its rule is not looked at. */
static void test_full_before_rules(void **state)
{
    fixture *f = *state;
    dimse_client first;
    static char one[] = "ONE", *calling[] = {one};
    scp_access_rule rule = {.calling = calling, .ncalling = 1, .rights = ACCESS_ALL};
    f->options.access = &rule;
    f->options.naccess = 1;
    f->options.max_associations = 1;
    f->client.calling = "ONE";
    fixture_start(f);
    fixture_open(f, &first);
    expect_full(f, "TWO");
    client_close(&first);
    fixture_expect_associations(f, 0);
}

static void test_queries(void **state)
{
    fixture *f = *state;
    dimse_client client;
    f->options.max_queries_per_association = 2;
    fixture_start(f);
    for (int round = 0; round < 2; round++) { /* each association has its own count */
        fixture_open(f, &client);
        for (uint16_t i = 0; i < 2; i++) {
            fixture_request(&client, CONTEXT_FIND, FIND_RQ, i, FIND, "n=0");
            fixture_expect(&client, FIND_RQ, 0x0000);
        }
        fixture_request(&client, CONTEXT_FIND, FIND_RQ, 9, FIND, "n=0");
        fixture_expect(&client, FIND_RQ, 0xA700);
        char comment[65];
        client_text(&client.message, 0x00000902, comment, sizeof comment);
        assert_non_null(strstr(comment, "max_queries_per_association"));
        fixture_echo(&client);
        assert_int_equal(client_release(&client), CLIENT_RELEASED);
        client_close(&client);
    }
}

static void test_bytes(void **state)
{
    fixture *f = *state;
    dimse_client client;
    enum { LONG = 700000 };
    char *identifier = malloc(LONG + 1);
    assert_non_null(identifier);
    memset(identifier, ' ', LONG);
    memcpy(identifier, "n=0", 3);
    identifier[LONG] = '\0';
    f->options.max_mb_per_association = 1;
    fixture_start(f);
    fixture_open(f, &client);
    fixture_request(&client, CONTEXT_FIND, FIND_RQ, 1, FIND, identifier);
    fixture_expect(&client, FIND_RQ, 0x0000);
    fixture_request(&client, CONTEXT_FIND, FIND_RQ, 2, FIND, identifier);
    fixture_expect(&client, FIND_RQ, 0xA700);
    fixture_request(&client, CONTEXT_GET, GET_RQ, 3, GET, "n=1 size=10");
    fixture_expect(&client, GET_RQ, 0xA702);
    fixture_echo(&client);
    assert_int_equal(client_release(&client), CLIENT_RELEASED);
    client_close(&client);
    free(identifier);

    /* In the middle of an operation there is only the abort. */
    fixture_open(f, &client);
    fixture_request(&client, CONTEXT_FIND, FIND_RQ, 1, FIND, "n=30 size=100000");
    unsigned nresponses = 0;
    client_event event;
    while ((event = client_receive(&client, client.options.timeout_ms)) == CLIENT_OK)
        nresponses++;
    assert_int_equal(event, CLIENT_ABORTED);
    assert_in_range(nresponses, 10, 12);
    client_close(&client);
    fixture_expect_associations(f, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_prepare, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_per_ae),  TEST(test_per_address), TEST(test_full_before_rules),
        TEST(test_queries), TEST(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
