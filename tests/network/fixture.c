/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.c - see fixture.h. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

double fixture_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

void fixture_pause_ms(int ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

int fixture_prepare(void **state)
{
    static char address[] = "127.0.0.1", title[] = "DCBSCP";
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL)
        return -1;
    f->options = (scp_options){
        .bind_address = address,
        .ae_title = title,
        .max_associations = 300,
        .max_pdu = 65536,
        .request_timeout_s = 20,
        .idle_timeout_s = 60,
        .io_timeout_s = 20,
        .get_without_role = true,
        .check_called_ae_title = true,
    };
    f->node.options = &f->options;
    f->client = (client_options){.host = "127.0.0.1",
                                 .calling = "TEST",
                                 .called = "DCBSCP",
                                 .max_pdu = 16384,
                                 .timeout_ms = 20000};
    static const char *const classes[NCONTEXTS] = {VERIFICATION, FIND, GET, CT};
    for (size_t i = 0; i < NCONTEXTS; i++)
        f->contexts[i] = (client_context){.id = (uint8_t)(2 * i + 1),
                                          .abstract_syntax = classes[i],
                                          .syntaxes = {EXPLICIT_LE},
                                          .nsyntaxes = 1,
                                          .role = i == 3 ? CLIENT_SCP : CLIENT_NO_ROLE};
    memset(&fake, 0, sizeof fake);
    log_configure(getenv("TEST_LOG") != NULL ? LOG_DEBUG : LOG_ERROR, LOG_TEXT);
    *state = f;
    return 0;
}

void fixture_start(fixture *f)
{
    static const service *const services[] = {&service_echo, &fake_find, &fake_get};
    scp_error error;
    assert_int_equal(server_start(&f->server, &f->node, services, 3, &error), 0);
    f->client.port = server_port(f->server);
    assert_int_not_equal(f->client.port, 0);
}

int fixture_teardown(void **state)
{
    fixture *f = *state;
    server_stop(f->server, 5);
    bool even = fake.started == fake.finished;
    free(f);
    return even ? 0 : -1;
}

void fixture_open(fixture *f, dimse_client *client)
{
    client_event event = client_open(client, &f->client, f->contexts, NCONTEXTS);
    if (event == CLIENT_GARBAGE)
        fail_msg("%s", client->complaint);
    assert_int_equal(event, CLIENT_OK);
    for (size_t i = 0; i < NCONTEXTS; i++)
        assert_int_equal(f->contexts[i].result, 0);
}

void fixture_request(dimse_client *client, uint8_t context, uint16_t command_field, uint16_t id,
                     const char *sop_class, const char *identifier)
{
    client_buffer b = {0};
    client_request(&b, command_field, id, sop_class, identifier != NULL);
    assert_true(client_send(client, context, b.bytes, b.nbytes, identifier,
                            identifier != NULL ? strlen(identifier) : 0));
    free(b.bytes);
}

void fixture_expect(dimse_client *client, uint16_t command_field, uint16_t status)
{
    client_event event = client_receive(client, client->options.timeout_ms);
    if (event == CLIENT_GARBAGE)
        fail_msg("%s", client->complaint);
    assert_int_equal(event, CLIENT_OK);
    assert_int_equal(client_u16(&client->message, 0x00000100, 0), command_field | 0x8000);
    assert_int_equal(client_u16(&client->message, 0x00000900, 0xFFFF), status);
}

void fixture_echo(dimse_client *client)
{
    fixture_request(client, CONTEXT_ECHO, ECHO_RQ, 77, VERIFICATION, NULL);
    fixture_expect(client, ECHO_RQ, 0x0000);
    assert_int_equal(client_u16(&client->message, 0x00000120, 0), 77);
}

void fixture_echo_alone(fixture *f)
{
    dimse_client client;
    client_context echo = f->contexts[0];
    assert_int_equal(client_open(&client, &f->client, &echo, 1), CLIENT_OK);
    fixture_echo(&client);
    assert_int_equal(client_release(&client), CLIENT_RELEASED);
    client_close(&client);
}

void fixture_expect_associations(fixture *f, uint32_t n)
{
    server_stats stats;
    for (int i = 0; i < 1000; i++) {
        server_get_stats(f->server, &stats);
        if (stats.associations == n)
            return;
        fixture_pause_ms(10);
    }
    fail_msg("%u associations where %u are due", stats.associations, n);
}

void fixture_expect_abort(dimse_client *client, uint8_t source, uint8_t reason)
{
    client_event event;
    /* What was on its way before does not matter. */
    while ((event = client_read_pdu(client, client->options.timeout_ms)) == CLIENT_OK &&
           client->pdu[0] != 7)
        ;
    assert_int_equal(event, CLIENT_OK);
    assert_int_equal(client->pdu_nbytes, 10);
    assert_int_equal(client->pdu[8], source);
    assert_int_equal(client->pdu[9], reason);
    assert_int_equal(client_read_pdu(client, client->options.timeout_ms), CLIENT_CLOSED);
}
