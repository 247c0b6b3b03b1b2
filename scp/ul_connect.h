/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_connect.h - associations that the node requests (PS3.8), to send instances on.
 *
 * Our own encoding, not DCMTK's requestor: that one looks names up and connects in the calling
 * thread without a way to interrupt it, and hides why a peer said no. The transport is the one of
 * accepted associations: one sendmsg for a message, no wait for delayed acknowledgements.
 *
 * Threads: a connection belongs to one thread, except ul_connection_interrupt.
 */
#ifndef UL_CONNECT_H
#define UL_CONNECT_H

#include "ul.h"
#include "ul_tls.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ul_connection ul_connection;

/* Borrowed for ul_connection_open. */
typedef struct ul_target {
    const char *host; /* a name, or a numeric IPv4 or IPv6 address */
    uint16_t port;
    int connect_timeout_ms; /* for name, connection, handshake and answer, together */
    int io_timeout_ms;      /* a read or write that makes no progress */
    uint32_t max_pdu;       /* what we announce */
    ul_tls *tls; /* the connection is by TLS, and its certificate for host; NULL: plain */
    /* Called once the connection is there, before the answer to the request: a peer that serves
       only one connection at a time may have to be woken first. NULL: nobody is told. */
    void (*on_connected)(void *context);
    void *on_connected_context;
} ul_target;

/* Why there is no association. */
typedef struct ul_connect_fault {
    bool stopped;      /* ul_connection_interrupt, nothing else */
    char comment[65];  /* for a DIMSE Error Comment: "unreachable: connection refused" */
    scp_error message; /* for the log: with address, and codes */
} ul_connect_fault;

/* NULL where memory or descriptors ran out. */
ul_connection *ul_connection_create(void);
/* Requests an association with request's AE titles and contexts, and fills in what became of them
   and the peer's address. May be called again after any end of the association. */
bool ul_connection_open(ul_connection *connection, const ul_target *target, ul_request *request,
                        ul_connect_fault *fault);

/* As ul_send_message and ul_read_pdv; UL_RELEASED: the peer wants to end it, which is answered. */
ul_result ul_connection_send(ul_connection *connection, uint8_t context_id, const void *command,
                             size_t command_nbytes, const struct iovec *slices, size_t nslices,
                             scp_error *error);
ul_result ul_connection_read_pdv(ul_connection *connection, ul_pdv *out, int timeout_ms,
                                 scp_error *error);

/* Ends the association, if there is one: asks for release and waits that long for the answer. */
void ul_connection_release(ul_connection *connection, int timeout_ms);
/* The same by A-ABORT, at once. */
void ul_connection_abort(ul_connection *connection);
/* From any thread: ends the owner's waits for good. */
void ul_connection_interrupt(ul_connection *connection);
/* Frees it; an association still open is aborted. */
void ul_connection_close(ul_connection *connection);

uint64_t ul_connection_bytes_out(const ul_connection *connection);

#ifdef __cplusplus
}
#endif
#endif
