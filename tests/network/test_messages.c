/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on an association: services driven, peers that break the rules or go away. */
#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- What a C-GET's instances must be ---- */

static void expect_store(dimse_client *client, uint32_t i, size_t size)
{
    const client_message *m = &client->message;
    char text[65], expected[65];
    assert_int_equal(client_u16(m, 0x00000100, 0), STORE_RQ);
    assert_int_equal(m->context_id, CONTEXT_CT);
    client_text(m, 0x00000002, text, sizeof text);
    assert_string_equal(text, CT);
    client_text(m, 0x00001000, text, sizeof text);
    snprintf(expected, sizeof expected, "1.2.3.%u", i);
    assert_string_equal(text, expected);
    size_t n;
    assert_null(client_find(m->command, m->command_nbytes, 0x00001030, &n));
    assert_null(client_find(m->command, m->command_nbytes, 0x00001031, &n));
    assert_non_null(client_find(m->command, m->command_nbytes, 0x00000700, &n));
    assert_int_equal(m->data_nbytes, size);
    for (size_t at = 0; at < size; at++) {
        if (m->data[at] != fake_byte(i, at))
            fail_msg("instance %u differs at byte %zu", i, at);
    }
}

static void answer_store(dimse_client *client, uint16_t status)
{
    client_buffer response = {0};
    client_store_response(&response, &client->message, status);
    assert_true(
        client_send(client, client->message.context_id, response.bytes, response.nbytes, NULL, 0));
    free(response.bytes);
}

static client_event receive(dimse_client *client)
{
    client_event event = client_receive(client, client->options.timeout_ms);
    if (event == CLIENT_GARBAGE)
        fail_msg("%s", client->complaint);
    return event;
}

static void expect_counts(const dimse_client *client, uint16_t completed, uint16_t failed)
{
    assert_int_equal(client_u16(&client->message, 0x00001021, 0xFFFF), completed);
    assert_int_equal(client_u16(&client->message, 0x00001022, 0xFFFF), failed);
    size_t n;
    assert_null(
        client_find(client->message.command, client->message.command_nbytes, 0x00001020, &n));
}

static void send_cancel(dimse_client *client, uint8_t context, uint16_t id)
{
    client_buffer b = {0};
    client_cancel(&b, id);
    assert_true(client_send(client, context, b.bytes, b.nbytes, NULL, 0));
    free(b.bytes);
}

/* ---- Operations ---- */

static void test_find(void **state)
{
    fixture *f = *state;
    dimse_client client;
    fixture_start(f);
    fixture_open(f, &client);
    for (uint16_t id = 1; id <= 3; id++) {
        fixture_request(&client, CONTEXT_FIND, FIND_RQ, id, FIND, "n=4 size=100");
        for (uint32_t i = 1; i <= 4; i++) {
            fixture_expect(&client, FIND_RQ, 0xFF00);
            assert_int_equal(client_u16(&client.message, 0x00000120, 0), id);
            char text[65];
            client_text(&client.message, 0x00000002, text, sizeof text);
            assert_string_equal(text, FIND);
            assert_int_equal(client.message.data_nbytes, 100);
            assert_int_equal(client.message.data[99], fake_byte(i, 99));
        }
        fixture_expect(&client, FIND_RQ, 0x0000);
        assert_false(client.message.has_data);
    }
    fixture_echo(&client);
    assert_int_equal(client_release(&client), CLIENT_RELEASED);
    client_close(&client);
}

/* PDUs of every size that the peer may want, down to a few bytes. */
static void test_get_pdu_sizes(void **state)
{
    static const uint32_t sizes[] = {0, 14, 15, 64, 4096, 4097, 16384, 65536, 1 << 20, UINT32_MAX};
    fixture *f = *state;
    fixture_start(f);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        dimse_client client;
        f->client.max_pdu = sizes[s];
        fixture_open(f, &client);
        client.largest_pdu = 0;
        fixture_request(&client, CONTEXT_GET, GET_RQ, 9, GET, "n=2 size=70002");
        for (uint32_t i = 1; i <= 2; i++) {
            assert_int_equal(receive(&client), CLIENT_OK);
            expect_store(&client, i, 70002);
            answer_store(&client, 0);
        }
        fixture_expect(&client, GET_RQ, 0x0000);
        expect_counts(&client, 2, 0);
        assert_int_equal(client_release(&client), CLIENT_RELEASED);
        /* as large as they may be */
        if (sizes[s] == 0 || sizes[s] > 70008)
            assert_int_equal(client.largest_pdu, 70008);
        else
            assert_int_equal(client.largest_pdu, sizes[s] & ~1u);
        client_close(&client);
    }
}

/* A client that writes head and body apart, with Nagle's algorithm on, as DCMTK's do: 40 ms for
   each exchange unless the server sees to it. */
static void test_no_stall(void **state)
{
    fixture *f = *state;
    dimse_client client;
    f->client.split_writes = true;
    fixture_start(f);
    fixture_open(f, &client);
    fixture_request(&client, CONTEXT_GET, GET_RQ, 9, GET, "n=200 size=8192");
    double started = fixture_now_ms();
    for (uint32_t i = 1; i <= 200; i++) {
        assert_int_equal(receive(&client), CLIENT_OK);
        expect_store(&client, i, 8192);
        answer_store(&client, 0);
    }
    fixture_expect(&client, GET_RQ, 0x0000);
    double took = fixture_now_ms() - started;
    if (took > 2000)
        fail_msg("200 instances took %.0f ms", took);
    client_close(&client);
}

static void test_store_statuses(void **state)
{
    static const uint16_t statuses[] = {0x0000, 0xA700, 0xB007, 0x0122, 0xC123};
    fixture *f = *state;
    dimse_client client;
    fixture_start(f);
    fixture_open(f, &client);
    fixture_request(&client, CONTEXT_GET, GET_RQ, 9, GET, "n=5 size=10");
    for (uint32_t i = 1; i <= 5; i++) {
        assert_int_equal(receive(&client), CLIENT_OK);
        expect_store(&client, i, 10);
        answer_store(&client, statuses[i - 1]);
    }
    fixture_expect(&client, GET_RQ, 0x0000);
    expect_counts(&client, 2, 3);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(fake.statuses[i], statuses[i]);
    client_close(&client);
}

/* A service that offers an instance where it cannot go costs that instance only. */
static void test_wrong_context(void **state)
{
    fixture *f = *state;
    dimse_client client;
    fixture_start(f);
    fixture_open(f, &client);
    fixture_request(&client, CONTEXT_GET, GET_RQ, 9, GET, "n=3 size=10 step_ms=0 wrong=2");
    log_configure(LOG_ERROR - 1, LOG_TEXT);
    for (uint32_t i = 1; i <= 3; i += 2) {
        assert_int_equal(receive(&client), CLIENT_OK);
        expect_store(&client, i, 10);
        answer_store(&client, 0);
    }
    fixture_expect(&client, GET_RQ, 0x0000);
    expect_counts(&client, 2, 1);
    assert_int_equal(fake.statuses[1], 0xC000);
    client_close(&client);
}

static void test_cancel(void **state)
{
    fixture *f = *state;
    dimse_client client;
    fixture_start(f);
    fixture_open(f, &client);
    fixture_request(&client, CONTEXT_GET, GET_RQ, 9, GET, "n=1000 size=1000");
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(receive(&client), CLIENT_OK);
        expect_store(&client, i, 1000);
        if (i == 2)
            send_cancel(&client, CONTEXT_GET, 8); /* another operation's: nothing happens */
        if (i == 3)
            send_cancel(&client, CONTEXT_GET, 9);
        answer_store(&client, 0);
    }
    fixture_expect(&client, GET_RQ, 0xFE00);
    expect_counts(&client, 3, 0);
    assert_int_equal(fake.cancelled, 1);
    send_cancel(&client, CONTEXT_GET, 9); /* too late: ignored */
    fixture_echo(&client);

    fixture_request(&client, CONTEXT_FIND, FIND_RQ, 10, FIND, "n=100000 size=100 step_ms=1");
    fixture_expect(&client, FIND_RQ, 0xFF00);
    send_cancel(&client, CONTEXT_FIND, 10);
    do {
        assert_int_equal(receive(&client), CLIENT_OK);
    } while (client_u16(&client.message, 0x00000900, 0) == 0xFF00);
    assert_int_equal(client_u16(&client.message, 0x00000900, 0), 0xFE00);
    fixture_echo(&client);
    assert_int_equal(client_release(&client), CLIENT_RELEASED);
    client_close(&client);
}

/* ---- Requests that are answered with a status ---- */

static void test_refused_requests(void **state)
{
    static const struct {
        uint8_t context;
        uint16_t command_field;
        const char *sop_class, *identifier;
        uint16_t status;
    } cases[] = {
        {CONTEXT_ECHO, 0x0150, VERIFICATION, NULL, 0x0211},
        {CONTEXT_ECHO, 0x0021, VERIFICATION, "x", 0x0211},
        {CONTEXT_ECHO, FIND_RQ, VERIFICATION, "n=1 size=1", 0x0211},
        {CONTEXT_ECHO, ECHO_RQ, FIND, NULL, 0x0122},
        {CONTEXT_FIND, GET_RQ, FIND, "n=1 size=1", 0x0211},
        {CONTEXT_GET, GET_RQ, FIND, "n=1 size=1", 0x0122},
        {CONTEXT_CT, STORE_RQ, CT, "data", 0x0211},
        {CONTEXT_CT, ECHO_RQ, CT, NULL, 0x0211},
        {CONTEXT_ECHO, ECHO_RQ, VERIFICATION, "a data set that is not due", 0x0000},
        {CONTEXT_ECHO, ECHO_RQ, "", NULL, 0x0000},
    };
    fixture *f = *state;
    dimse_client client;
    fixture_start(f);
    fixture_open(f, &client);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_request(&client, cases[i].context, cases[i].command_field, 5, cases[i].sop_class,
                        cases[i].identifier);
        fixture_expect(&client, cases[i].command_field, cases[i].status);
        assert_int_equal(client_u16(&client.message, 0x00000120, 0), 5);
        assert_int_equal(client.message.context_id, cases[i].context);
    }
    assert_int_equal(fake.started, 0);
    client_close(&client);
}

static void test_long_identifier(void **state)
{
    fixture *f = *state;
    dimse_client client;
    fixture_start(f);
    fixture_open(f, &client);
    static char identifier[(3 << 20) + 1];
    memset(identifier, ' ', sizeof identifier - 1);
    fixture_request(&client, CONTEXT_FIND, FIND_RQ, 5, FIND, identifier);
    fixture_expect(&client, FIND_RQ, 0xC000);
    char comment[65];
    client_text(&client.message, 0x00000902, comment, sizeof comment);
    assert_string_equal(comment, "identifier is over 1 MiB");
    fixture_echo(&client);
    memcpy(identifier, "n=1 size=2", 10);
    identifier[1 << 20] = '\0';
    fixture_request(&client, CONTEXT_FIND, FIND_RQ, 6, FIND, identifier);
    fixture_expect(&client, FIND_RQ, 0xFF00);
    fixture_expect(&client, FIND_RQ, 0x0000);
    client_close(&client);
}

static void put_pdv(client_buffer *pdu, uint8_t context, uint8_t control, const uint8_t *bytes,
                    size_t nbytes)
{
    const uint8_t head[6] = {0,       0,      (uint8_t)((nbytes + 2) >> 8), (uint8_t)(nbytes + 2),
                             context, control};
    const size_t needed = pdu->nbytes + sizeof head + nbytes;
    pdu->bytes = realloc(pdu->bytes, needed);
    assert_non_null(pdu->bytes);
    memcpy(pdu->bytes + pdu->nbytes, head, sizeof head);
    if (nbytes > 0)
        memcpy(pdu->bytes + pdu->nbytes + sizeof head, bytes, nbytes);
    pdu->nbytes = pdu->capacity = needed;
}

/* A request in one PDU, in pieces of several sizes. */
static void test_many_pdvs_in_one_pdu(void **state)
{
    static const size_t cuts[] = {0, 3, 3, 40, 41, 60};
    fixture *f = *state;
    dimse_client client;
    fixture_start(f);
    fixture_open(f, &client);
    client_buffer request = {0}, pdu = {0};
    client_request(&request, ECHO_RQ, 21, VERIFICATION, false);
    for (size_t i = 0; i + 1 < sizeof cuts / sizeof cuts[0]; i++)
        put_pdv(&pdu, CONTEXT_ECHO, 1, request.bytes + cuts[i], cuts[i + 1] - cuts[i]);
    put_pdv(&pdu, CONTEXT_ECHO, 3, request.bytes + 60, request.nbytes - 60);
    const uint8_t head[6] = {4, 0, 0, 0, (uint8_t)(pdu.nbytes >> 8), (uint8_t)pdu.nbytes};
    assert_true(client_write(client.fd, head, sizeof head));
    assert_true(client_write(client.fd, pdu.bytes, pdu.nbytes));
    fixture_expect(&client, ECHO_RQ, 0x0000);
    assert_int_equal(client_u16(&client.message, 0x00000120, 0), 21);
    assert_int_equal(client_release(&client), CLIENT_RELEASED);
    client_close(&client);
    free(request.bytes);
    free(pdu.bytes);
}

/* ---- Broken rules: A-ABORT ---- */

typedef struct violation {
    const char *name;
    const char *bytes; /* raw PDUs */
    size_t nbytes;
    uint8_t source, reason;
} violation;

#define PDU(name, bytes, source, reason)                                                           \
    {                                                                                              \
        name, bytes, sizeof(bytes) - 1, source, reason                                             \
    }
static const violation violations[] = {
    PDU("context not accepted", "\4\0\0\0\0\x08\0\0\0\4\x63\3xx", 0, 0),
    PDU("context 0", "\4\0\0\0\0\x08\0\0\0\4\0\3xx", 0, 0),
    PDU("data set without command", "\4\0\0\0\0\x08\0\0\0\4\1\2xx", 0, 0),
    PDU("malformed command", "\4\0\0\0\0\x08\0\0\0\4\1\3xx", 0, 0),
    PDU("empty command", "\4\0\0\0\0\6\0\0\0\2\1\3", 0, 0),
    PDU("no message ID", "\4\0\0\0\0\x1a\0\0\0\x16\1\3\0\0\0\1\2\0\0\0\x30\0\0\0\0\x08\2\0\0\0\1\1",
        0, 0),
    PDU("no PDV", "\4\0\0\0\0\0", 2, 6),
    PDU("PDV of one byte", "\4\0\0\0\0\5\0\0\0\1\1", 2, 6),
    PDU("PDV longer than its PDU", "\4\0\0\0\0\6\0\0\0\x20\1\3", 2, 6),
    PDU("PDV length of 4 GiB", "\4\0\0\0\0\6\xff\xff\xff\xff\1\3", 2, 6),
    PDU("PDU longer than we allow", "\4\0\0\2\0\0\0\1\xff\xfc\1\3", 2, 6),
    PDU("PDU of 4 GiB", "\4\0\xff\xff\xff\xff\0\0", 2, 6),
    PDU("unknown PDU", "\x20\0\0\0\0\4\0\0\0\0", 2, 1),
    PDU("another request", "\1\0\0\0\0\4\0\0\0\0", 2, 2),
    PDU("an answer", "\2\0\0\0\0\4\0\0\0\0", 2, 2),
    PDU("a release response", "\6\0\0\0\0\4\0\0\0\0", 2, 2),
};

static void test_violations(void **state)
{
    fixture *f = *state;
    fixture_start(f);
    for (size_t i = 0; i < sizeof violations / sizeof violations[0]; i++) {
        dimse_client client;
        fixture_open(f, &client);
        assert_true(client_write(client.fd, violations[i].bytes, violations[i].nbytes));
        fixture_expect_abort(&client, violations[i].source, violations[i].reason);
        client_close(&client);
    }
    fixture_expect_associations(f, 0);
}

/* A request, or a response that nobody waits for, while an operation runs. */
static void test_interleaved(void **state)
{
    fixture *f = *state;
    fixture_start(f);
    for (int kind = 0; kind < 2; kind++) {
        dimse_client client;
        fixture_open(f, &client);
        fixture_request(&client, CONTEXT_GET, GET_RQ, 9, GET, "n=1000 size=100");
        assert_int_equal(receive(&client), CLIENT_OK);
        expect_store(&client, 1, 100);
        if (kind == 0) {
            fixture_request(&client, CONTEXT_ECHO, ECHO_RQ, 10, VERIFICATION, NULL);
        } else {
            answer_store(&client, 0);
            answer_store(&client, 0);
        }
        fixture_expect_abort(&client, 0, 0);
        client_close(&client);
    }
    fixture_expect_associations(f, 0);
    assert_int_equal(fake.finished, 2);
}

static void test_no_store_response(void **state)
{
    fixture *f = *state;
    dimse_client client;
    f->options.io_timeout_s = 1;
    fixture_start(f);
    fixture_open(f, &client);
    fixture_request(&client, CONTEXT_GET, GET_RQ, 9, GET, "n=10 size=100");
    assert_int_equal(receive(&client), CLIENT_OK);
    double started = fixture_now_ms();
    fixture_expect_abort(&client, 0, 0);
    double took = fixture_now_ms() - started;
    assert_true(took > 800 && took < 4000);
    client_close(&client);
}

/* A message that stops half-way is not idleness. */
static void test_half_message(void **state)
{
    fixture *f = *state;
    dimse_client client;
    f->options.io_timeout_s = 1;
    fixture_start(f);
    fixture_open(f, &client);
    assert_true(client_send_pdv(&client, CONTEXT_ECHO, CLIENT_COMMAND, "\0\0", 2));
    fixture_expect_abort(&client, 0, 0);
    client_close(&client);
}

static void test_idle(void **state)
{
    fixture *f = *state;
    dimse_client idle, busy;
    f->options.idle_timeout_s = 1;
    fixture_start(f);
    fixture_open(f, &busy);
    fixture_request(&busy, CONTEXT_FIND, FIND_RQ, 9, FIND, "n=2 size=10 step_ms=1200");
    fixture_open(f, &idle);
    fixture_expect_abort(&idle, 0, 0);
    client_close(&idle);
    fixture_expect(&busy, FIND_RQ, 0xFF00);
    fixture_expect(&busy, FIND_RQ, 0xFF00);
    fixture_expect(&busy, FIND_RQ, 0x0000);
    fixture_expect_abort(&busy, 0, 0);
    client_close(&busy);
}

/* ---- Peers that leave in the middle ---- */

static void test_release_within_get(void **state)
{
    fixture *f = *state;
    dimse_client client;
    fixture_start(f);
    fixture_open(f, &client);
    fixture_request(&client, CONTEXT_GET, GET_RQ, 9, GET, "n=1000 size=100");
    assert_int_equal(receive(&client), CLIENT_OK);
    assert_int_equal(client_release(&client), CLIENT_RELEASED);
    assert_int_equal(client_read_pdu(&client, 1000), CLIENT_TIMEOUT); /* it waits for us */
    client_close(&client);
    fixture_expect_associations(f, 0);
    assert_int_equal(fake.finished, 1);
}

static void test_leaving_within_get(void **state)
{
    fixture *f = *state;
    fixture_start(f);
    for (int kind = 0; kind < 3; kind++) {
        dimse_client client;
        fixture_open(f, &client);
        fixture_request(&client, CONTEXT_GET, GET_RQ, 9, GET, "n=1000 size=4000000");
        if (kind == 0) {
            assert_true(client_abort(&client));
        } else if (kind == 1) {
            assert_int_equal(receive(&client), CLIENT_OK);
        } else { /* a reset with data on its way */
            struct linger hard = {1, 0};
            setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        client_close(&client);
        fixture_expect_associations(f, 0);
        assert_int_equal(fake.finished, fake.started);
    }
    fixture_echo_alone(f);
}

/* ---- Many at once ---- */

static void *many_echoes(void *context)
{
    fixture mine = *(fixture *)context;
    for (int i = 0; i < 20; i++) {
        dimse_client client;
        fixture_echo_alone(&mine);
        if (client_open(&client, &mine.client, mine.contexts, NCONTEXTS) == CLIENT_OK)
            client_close(&client); /* gone without a word */
    }
    return NULL;
}

static void test_many(void **state)
{
    enum { NTHREADS = 16 };
    fixture *f = *state;
    pthread_t threads[NTHREADS];
    fixture_start(f);
    for (size_t i = 0; i < NTHREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many_echoes, f), 0);
    for (size_t i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    fixture_expect_associations(f, 0);
    server_stats stats;
    server_get_stats(f->server, &stats);
    assert_int_equal(stats.accepted, 2 * 20 * NTHREADS);
    assert_int_equal(stats.rejected, 0);
    assert_int_equal(stats.without_request, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_prepare, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_find),
        TEST(test_get_pdu_sizes),
        TEST(test_no_stall),
        TEST(test_store_statuses),
        TEST(test_wrong_context),
        TEST(test_cancel),
        TEST(test_refused_requests),
        TEST(test_long_identifier),
        TEST(test_many_pdvs_in_one_pdu),
        TEST(test_violations),
        TEST(test_interleaved),
        TEST(test_no_store_response),
        TEST(test_half_message),
        TEST(test_idle),
        TEST(test_release_within_get),
        TEST(test_leaving_within_get),
        TEST(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
