/* SPDX-License-Identifier: Apache-2.0 */
/* What comes before an association: requests good and bad, silence, dribbling, garbage. */
#include "fixture.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void test_answers(void **state)
{
    fixture *f = *state;
    fixture_start(f);
    client_context contexts[] = {
        {.id = 1, .abstract_syntax = VERIFICATION, .syntaxes = {IMPLICIT_LE}, .nsyntaxes = 1},
        {.id = 3, .abstract_syntax = FIND, .syntaxes = {"1.2.840.10008.1.2.4.50"}, .nsyntaxes = 1},
        {.id = 5,
         .abstract_syntax = GET,
         .syntaxes = {IMPLICIT_LE},
         .nsyntaxes = 1,
         .role = CLIENT_SCU},
        {.id = 7,
         .abstract_syntax = CT,
         .syntaxes = {EXPLICIT_LE},
         .nsyntaxes = 1,
         .role = CLIENT_SCU | CLIENT_SCP},
        {.id = 9, .abstract_syntax = CT, .syntaxes = {"1.2.840.10008.1.2.4.201"}, .nsyntaxes = 1},
        {.id = 11, .abstract_syntax = "1.2.3", .syntaxes = {EXPLICIT_LE}, .nsyntaxes = 1},
        {.id = 253,
         .abstract_syntax = "1.2.840.10008.5.1.4.1.1.128",
         .syntaxes = {EXPLICIT_LE},
         .nsyntaxes = 1,
         .role_item = true}, /* of neither role */
        {.id = 255,
         .abstract_syntax = "1.2.840.10008.5.1.4.1.1.4",
         .syntaxes = {EXPLICIT_LE},
         .nsyntaxes = 1},
    };
    static const struct {
        int result;
        const char *syntax;
        int role;
    } expected[] = {{0, IMPLICIT_LE, -1},
                    {4, "", -1},
                    {0, IMPLICIT_LE, CLIENT_SCU},
                    {0, EXPLICIT_LE, CLIENT_SCP},
                    {0, "1.2.840.10008.1.2.4.201", CLIENT_SCP},
                    {3, "", -1},
                    {3, "", -1},
                    {0, EXPLICIT_LE, -1}};
    const size_t n = sizeof contexts / sizeof contexts[0];
    dimse_client client;
    f->client.extended_sop_class = GET;
    memcpy(f->client.extended, "\1\1", 2);
    f->client.extended_nbytes = 2;
    assert_int_equal(client_open(&client, &f->client, contexts, n), CLIENT_OK);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(contexts[i].result, expected[i].result);
        if (expected[i].result == 0)
            assert_string_equal(contexts[i].accepted_syntax, expected[i].syntax);
        assert_int_equal(contexts[i].answered_role, expected[i].role);
    }
    assert_int_equal(client.peer_max_pdu, 65536);
    assert_int_equal(client.extended_answer_nbytes, 2);
    assert_memory_equal(client.extended_answer, "\1\0", 2); /* relational retrieval */
    /* AE titles come back as they were sent (PS3.8 9.3.3). */
    assert_memory_equal(client.pdu + 10, "DCBSCP          TEST            ", 32);
    fixture_echo(&client);
    assert_int_equal(client_release(&client), CLIENT_RELEASED);
    client_close(&client);
    fixture_expect_associations(f, 0);
}

static void test_many_syntaxes(void **state)
{
    fixture *f = *state;
    fixture_start(f);
    client_context echo = {.id = 1, .abstract_syntax = VERIFICATION, .nsyntaxes = 64};
    for (size_t i = 0; i < 64; i++)
        echo.syntaxes[i] = i == 63 ? IMPLICIT_LE : "1.2.840.10008.1.2.4.50";
    dimse_client client;
    assert_int_equal(client_open(&client, &f->client, &echo, 1), CLIENT_OK);
    assert_int_equal(echo.result, 0);
    fixture_echo(&client);
    client_close(&client);
}

static void test_rejections(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *called, *calling, *application;
        uint16_t version;
        uint32_t max_pdu;
        uint8_t reason[3];
    } cases[] = {
        {"OTHER", "TEST", NULL, 1, 16384, {1, 1, 7}},
        {"", "TEST", NULL, 1, 16384, {1, 1, 7}},
        {"DCBSCP", "", NULL, 1, 16384, {1, 1, 3}},
        {"DCBSCP", "TEST", "1.2.840.10008.3.1.1.9", 1, 16384, {1, 1, 2}},
        {"DCBSCP", "TEST", NULL, 2, 16384, {1, 2, 2}},
        {"DCBSCP", "TEST", NULL, 1, 13, {1, 1, 1}},
    };
    fixture_start(f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dimse_client client;
        client_options options = f->client;
        options.called = cases[i].called;
        options.calling = cases[i].calling;
        options.application_context = cases[i].application;
        options.protocol_version = cases[i].version;
        options.max_pdu = cases[i].max_pdu;
        assert_int_equal(client_open(&client, &options, f->contexts, NCONTEXTS), CLIENT_REJECTED);
        assert_memory_equal(client.reason, "\3\0\0\0\0\4\0", 7);
        assert_memory_equal(client.reason + 7, cases[i].reason, 3);
        client_close(&client);
    }
    fixture_echo_alone(f);
}

static void test_limit(void **state)
{
    fixture *f = *state;
    dimse_client clients[3], extra;
    f->options.max_associations = 3;
    fixture_start(f);
    for (size_t i = 0; i < 3; i++)
        fixture_open(f, &clients[i]);
    assert_int_equal(client_open(&extra, &f->client, f->contexts, NCONTEXTS), CLIENT_REJECTED);
    assert_memory_equal(extra.reason, "\3\0\0\0\0\4\0\2\3\2", 10);
    client_close(&extra);
    for (size_t i = 0; i < 3; i++)
        fixture_echo(&clients[i]);
    assert_true(client_abort(&clients[0]));
    client_close(&clients[0]);
    fixture_expect_associations(f, 2);
    fixture_open(f, &extra);
    server_stats stats;
    server_get_stats(f->server, &stats);
    assert_int_equal(stats.rejected, 1);
    for (size_t i = 1; i < 3; i++)
        client_close(&clients[i]);
    client_close(&extra);
    fixture_expect_associations(f, 0);
}

static void test_silent_peers(void **state)
{
    fixture *f = *state;
    enum { NSILENT = 200 };
    int fds[NSILENT];
    fixture_start(f);
    for (size_t i = 0; i < NSILENT; i++) {
        fds[i] = client_connect("127.0.0.1", f->client.port);
        assert_true(fds[i] >= 0);
    }
    double started = fixture_now_ms();
    fixture_echo_alone(f);
    assert_true(fixture_now_ms() - started < 5000); /* each may be silent for 20 s */
    for (size_t i = 0; i < NSILENT; i++)
        close(fds[i]);
}

static bool is_closed(int fd, int timeout_ms)
{
    char byte;
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    return poll(&readable, 1, timeout_ms) > 0 && recv(fd, &byte, 1, 0) <= 0;
}

/* More silent ones than are kept: the oldest go, nobody waits. */
static void test_too_many_silent_peers(void **state)
{
    fixture *f = *state;
    enum { NSILENT = 300 };
    int fds[NSILENT];
    fixture_start(f);
    for (size_t i = 0; i < NSILENT; i++) {
        fds[i] = client_connect("127.0.0.1", f->client.port);
        assert_true(fds[i] >= 0);
    }
    double started = fixture_now_ms();
    fixture_echo_alone(f);
    assert_true(fixture_now_ms() - started < 2000);
    assert_true(is_closed(fds[0], 2000));
    assert_false(is_closed(fds[NSILENT - 1], 0));
    for (size_t i = 0; i < NSILENT; i++)
        close(fds[i]);
}

/* The other process of the next test: more silent connections than the server has descriptors,
   then an association. */
static int crowd(fixture *f, const struct rlimit *limit)
{
    dimse_client client;
    client_context echo = f->contexts[0];
    setrlimit(RLIMIT_NOFILE, limit);
    for (size_t i = 0; i < 100; i++) {
        if (client_connect("127.0.0.1", f->client.port) < 0)
            return 1;
    }
    if (client_open(&client, &f->client, &echo, 1) != CLIENT_OK)
        return 2;
    return client_release(&client) == CLIENT_RELEASED ? 0 : 3;
}

static void test_no_descriptors(void **state)
{
    fixture *f = *state;
    struct rlimit limit, low;
    int status = -1;
    fixture_start(f);
    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = 60;
    setrlimit(RLIMIT_NOFILE, &low);
    clock_t cpu = clock();
    double started = fixture_now_ms();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(crowd(f, &limit));
    assert_int_equal(waitpid(child, &status, 0), child);
    double used = (double)(clock() - cpu) / CLOCKS_PER_SEC;
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(status, 0);
    assert_true(fixture_now_ms() - started < 10000);
    assert_true(used < 1); /* it does not spin */
}

/* A request that dribbles has one deadline for all of it. */
static void test_slow_request(void **state)
{
    fixture *f = *state;
    uint8_t request[1 << 12];
    f->options.request_timeout_s = 1;
    fixture_start(f);
    size_t n = client_associate_rq(request, sizeof request, &f->client, f->contexts, NCONTEXTS);
    for (int silent = 0; silent < 2; silent++) {
        int fd = client_connect("127.0.0.1", f->client.port);
        double started = fixture_now_ms();
        bool closed = false;
        for (size_t i = 0; i < n && !closed; i++) {
            if (!silent)
                client_write(fd, request + i, 1);
            closed = is_closed(fd, silent ? 5000 : 50);
        }
        double took = fixture_now_ms() - started;
        assert_true(closed);
        assert_true(took > 900);
        assert_true(took < 3000);
        close(fd);
    }
    fixture_echo_alone(f);
}

typedef struct garbage_case {
    const char *name;
    const char *bytes;
    size_t nbytes;
    uint8_t reason; /* of the A-ABORT, source 2; 0: the peer hangs up first */
} garbage_case;

#define GARBAGE(name, bytes, reason)                                                               \
    {                                                                                              \
        name, bytes, sizeof(bytes) - 1, reason                                                     \
    }
static const garbage_case garbage_cases[] = {
    GARBAGE("http", "GET / HTTP/1.0\r\n\r\n", 1),
    GARBAGE("tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 1),
    GARBAGE("p-data", "\4\0\0\0\0\6\0\0\0\2\1\3", 2),
    GARBAGE("release", "\5\0\0\0\0\4\0\0\0\0", 2),
    GARBAGE("abort", "\7\0\0\0\0\4\0\0\0\0", 2),
    GARBAGE("huge", "\1\0\xff\xff\xff\xff", 6),
    GARBAGE("over the limit", "\1\0\0\x10\0\1", 6),
    GARBAGE("empty", "\1\0\0\0\0\0", 6),
    GARBAGE("short", "\1\0\0\0\0\4\0\1\0\0", 6),
    GARBAGE("half a head", "\1\0\0", 0),
    GARBAGE("half a body", "\1\0\0\0\0\x50\0\1\0\0", 0),
    GARBAGE("nothing", "", 0),
};

static void test_garbage(void **state)
{
    fixture *f = *state;
    fixture_start(f);
    for (size_t i = 0; i < sizeof garbage_cases / sizeof garbage_cases[0]; i++) {
        const garbage_case *c = &garbage_cases[i];
        dimse_client client = {.options = f->client};
        client.fd = client_connect("127.0.0.1", f->client.port);
        assert_true(client_write(client.fd, c->bytes, c->nbytes));
        if (c->reason != 0) {
            fixture_expect_abort(&client, 2, c->reason);
        } else {
            shutdown(client.fd, SHUT_WR);
            assert_int_equal(client_read_pdu(&client, 5000), CLIENT_CLOSED);
        }
        client_close(&client);
        fixture_echo_alone(f);
    }
}

/* Every byte of a good request changed: answered or cut, never more than that. */
static void test_mutated_requests(void **state)
{
    fixture *f = *state;
    uint8_t request[1 << 12];
    fixture_start(f);
    client_context echo = f->contexts[0];
    size_t n = client_associate_rq(request, sizeof request, &f->client, &echo, 1);
    for (size_t at = 6; at < n; at++) {
        dimse_client client = {.options = f->client};
        client.fd = client_connect("127.0.0.1", f->client.port);
        request[at] ^= 0x21;
        assert_true(client_write(client.fd, request, n));
        request[at] ^= 0x21;
        shutdown(client.fd, SHUT_WR);
        client_event event = client_read_pdu(&client, 5000);
        assert_true(event == CLIENT_CLOSED ||
                    (event == CLIENT_OK &&
                     (client.pdu[0] == 2 || client.pdu[0] == 3 || client.pdu[0] == 7)));
        client_close(&client);
    }
    fixture_echo_alone(f);
    fixture_expect_associations(f, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_prepare, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers),        TEST(test_many_syntaxes),
        TEST(test_rejections),     TEST(test_limit),
        TEST(test_silent_peers),   TEST(test_too_many_silent_peers),
        TEST(test_no_descriptors), TEST(test_slow_request),
        TEST(test_garbage),        TEST(test_mutated_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
