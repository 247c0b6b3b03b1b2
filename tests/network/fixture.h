/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.h - a server on a free loopback port, and clients for it. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "dimse_client.h"
#include "fake_service.h"
#include "node.h"
#include "server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define VERIFICATION "1.2.840.10008.1.1"
#define FIND         "1.2.840.10008.5.1.4.1.2.2.1"
#define GET          "1.2.840.10008.5.1.4.1.2.2.3"
#define CT           "1.2.840.10008.5.1.4.1.1.2"
#define IMPLICIT_LE  "1.2.840.10008.1.2"
#define EXPLICIT_LE  "1.2.840.10008.1.2.1"

enum { CONTEXT_ECHO = 1, CONTEXT_FIND = 3, CONTEXT_GET = 5, CONTEXT_CT = 7, NCONTEXTS = 4 };
enum { ECHO_RQ = 0x0030, FIND_RQ = 0x0020, GET_RQ = 0x0010, STORE_RQ = 0x0001 };

typedef struct fixture {
    scp_options options;
    scp_node node;
    scp_server *server;
    client_options client;
    client_context contexts[NCONTEXTS]; /* the four above */
} fixture;

/* cmocka's setup and teardown; options for one test are changed between prepare and start. */
int fixture_prepare(void **state);
void fixture_start(fixture *f);
int fixture_teardown(void **state);

/* An association that must be accepted. */
void fixture_open(fixture *f, dimse_client *client);
/* Sends a request whose identifier is that text (NULL: none). */
void fixture_request(dimse_client *client, uint8_t context, uint16_t command_field, uint16_t id,
                     const char *sop_class, const char *identifier);
/* The next message must be a response with that status. */
void fixture_expect(dimse_client *client, uint16_t command_field, uint16_t status);
/* C-ECHO on an open association. */
void fixture_echo(dimse_client *client);
/* An association of its own for one C-ECHO, released. */
void fixture_echo_alone(fixture *f);
/* Waits until the server has n associations. */
void fixture_expect_associations(fixture *f, uint32_t n);
/* A-ABORT with that source and reason must come, then the end of the connection. */
void fixture_expect_abort(dimse_client *client, uint8_t source, uint8_t reason);

double fixture_now_ms(void);
void fixture_pause_ms(int ms);

#endif
