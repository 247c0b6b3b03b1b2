/* SPDX-License-Identifier: Apache-2.0 */
/* The end of the server, whatever its associations are doing. */
#include "fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct stopping {
    scp_server *server;
    uint32_t timeout_s;
    double took_ms;
    pthread_t thread;
} stopping;

static void *stop(void *context)
{
    stopping *s = context;
    double started = fixture_now_ms();
    server_stop(s->server, s->timeout_s);
    s->took_ms = fixture_now_ms() - started;
    return NULL;
}

static void begin_stop(fixture *f, stopping *s, uint32_t timeout_s)
{
    *s = (stopping){.server = f->server, .timeout_s = timeout_s};
    f->server = NULL;
    assert_int_equal(pthread_create(&s->thread, NULL, stop, s), 0);
}

static void test_nothing_to_do(void **state)
{
    fixture *f = *state;
    stopping s;
    fixture_start(f);
    begin_stop(f, &s, 5);
    pthread_join(s.thread, NULL);
    assert_true(s.took_ms < 1000);
    assert_int_equal(client_connect("127.0.0.1", f->client.port), -1);
}

/* Idle associations and silent connections end at once. */
static void test_idle(void **state)
{
    fixture *f = *state;
    stopping s;
    dimse_client clients[5];
    fixture_start(f);
    int silent = client_connect("127.0.0.1", f->client.port);
    for (size_t i = 0; i < 5; i++)
        fixture_open(f, &clients[i]);
    begin_stop(f, &s, 5);
    for (size_t i = 0; i < 5; i++) {
        fixture_expect_abort(&clients[i], 0, 0);
        client_close(&clients[i]);
    }
    pthread_join(s.thread, NULL);
    assert_true(s.took_ms < 4000);
    close(silent);
}

/* An operation may finish within the time that is given. */
static void test_operation_finishes(void **state)
{
    fixture *f = *state;
    stopping s;
    dimse_client client;
    fixture_start(f);
    fixture_open(f, &client);
    fixture_request(&client, CONTEXT_FIND, FIND_RQ, 9, FIND, "n=10 size=10 step_ms=50");
    fixture_expect(&client, FIND_RQ, 0xFF00);
    begin_stop(f, &s, 20);
    for (int i = 2; i <= 10; i++)
        fixture_expect(&client, FIND_RQ, 0xFF00);
    fixture_expect(&client, FIND_RQ, 0x0000);
    fixture_expect_abort(&client, 0, 0);
    client_close(&client);
    pthread_join(s.thread, NULL);
    assert_true(s.took_ms < 5000);
}

/* One that does not is cut. */
static void test_operation_is_cut(void **state)
{
    fixture *f = *state;
    stopping s;
    dimse_client client, stuck;
    fixture_start(f);
    fixture_open(f, &client);
    fixture_request(&client, CONTEXT_FIND, FIND_RQ, 9, FIND, "n=100000 size=10 step_ms=10");
    fixture_expect(&client, FIND_RQ, 0xFF00);
    fixture_open(f, &stuck); /* it never reads its instances */
    fixture_request(&stuck, CONTEXT_GET, GET_RQ, 9, GET, "n=100 size=8000000");
    fixture_pause_ms(100);
    begin_stop(f, &s, 1);
    fixture_expect_abort(&client, 0, 0);
    client_close(&client);
    pthread_join(s.thread, NULL);
    assert_true(s.took_ms > 900 && s.took_ms < 5000);
    client_close(&stuck);
    assert_int_equal(fake.finished, 2);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_prepare, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_nothing_to_do), TEST(test_idle),
                                       TEST(test_operation_finishes), TEST(test_operation_is_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
