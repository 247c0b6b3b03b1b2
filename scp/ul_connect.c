/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_connect.c - from a host's name to an association, and the PDUs on it.
 *
 * Invariant: transport.fd is -1 unless an association is open or being opened.
 */
#include "ul_connect.h"

#include "steady_clock.h"
#include "ul_associate.h"
#include "ul_lookup.h"
#include "ul_pdata.h"
#include "ul_tls_session.h"
#include "ul_transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PDU_ASSOCIATE_AC = 2,
    PDU_ASSOCIATE_RJ = 3,
    PDU_DATA = 4,
    PDU_RELEASE_RQ = 5,
    PDU_RELEASE_RP = 6,
    PDU_ABORT = 7,
};

#define LAST_WORDS_MS 200 /* for an A-ABORT or A-RELEASE-RP to leave */

struct ul_connection {
    ul_transport transport;
    uint32_t max_pdu;
    size_t fragment_size;
    uint32_t peer_max_pdu;
    uint8_t *pdu; /* the last one read, behind its head */
    size_t pdu_nbytes, pdu_capacity;
    size_t pdv_pos; /* of the next PDV in it; pdu_nbytes: none is left */
};

/* Plain and closed again, as before a connection. */
static void hang_up(ul_connection *c)
{
    ul_transport_hang_up(&c->transport);
    ul_tls_session_free(c->transport.tls);
    c->transport.tls = NULL;
}

/* ---- Failures ---- */

static bool fail_open(ul_connection *c, ul_connect_fault *fault, const char *comment,
                      const scp_error *message)
{
    hang_up(c);
    snprintf(fault->comment, sizeof fault->comment, "%s", comment);
    if (message != &fault->message)
        fault->message = *message;
    return false;
}

static bool is_interrupted(const ul_connection *c)
{
    return __atomic_load_n(&c->transport.interrupted, __ATOMIC_ACQUIRE) != 0;
}

static bool fail_stopped(ul_connection *c, ul_connect_fault *fault)
{
    fault->stopped = true;
    scp_fail(&fault->message, "interrupted");
    return fail_open(c, fault, "interrupted", &fault->message);
}

static ul_result io_result(const ul_connection *c, const char *doing, scp_error *error)
{
    const ul_transport *t = &c->transport;
    switch (t->last) {
    case UL_IO_WOKEN:
        scp_fail(error, "interrupted while %s", doing);
        return UL_STOPPED;
    case UL_IO_TIMEOUT:
        scp_fail(error, "no progress while %s", doing);
        return UL_TIMEOUT;
    case UL_IO_CLOSED:
        scp_fail(error, "the peer hung up while %s", doing);
        return UL_ABORTED;
    default:
        scp_fail(error, "connection lost while %s: %s", doing, strerror(t->error));
        return UL_ABORTED;
    }
}

/* ---- The connection ---- */

static void describe_address(char *out, size_t size, const struct addrinfo *address)
{
    char host[INET6_ADDRSTRLEN] = "?";
    uint16_t port = 0;
    if (address->ai_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address->ai_addr;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        port = ntohs(v4->sin_port);
    } else if (address->ai_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)address->ai_addr;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        port = ntohs(v6->sin6_port);
    }
    snprintf(out, size, address->ai_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
}

/* UL_IO_BROKEN: *trouble tells. */
static ul_io await_connection(const ul_connection *c, int fd, int timeout_ms, int *trouble)
{
    const int64_t until = steady_clock_ms() + timeout_ms;
    struct pollfd fds[2] = {{.fd = fd, .events = POLLOUT},
                            {.fd = c->transport.wake_fd, .events = POLLIN}};
    for (;;) {
        const int64_t left = until - steady_clock_ms();
        const int n = poll(fds, 2, left > 0 ? (int)left : 0);
        if (n > 0 && fds[1].revents != 0)
            return UL_IO_WOKEN;
        if (n > 0)
            break;
        if (n == 0)
            return UL_IO_TIMEOUT;
        if (errno != EINTR) {
            *trouble = errno;
            return UL_IO_BROKEN;
        }
    }
    socklen_t size = sizeof *trouble;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, trouble, &size) != 0)
        *trouble = errno;
    return *trouble == 0 ? UL_IO_OK : UL_IO_BROKEN;
}

/* One address; the socket is then the transport's. */
static ul_io connect_to(ul_connection *c, const struct addrinfo *address, int timeout_ms,
                        int *trouble)
{
    ul_io io = UL_IO_BROKEN;
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        io = UL_IO_OK;
    else if (fd >= 0 && errno == EINPROGRESS)
        io = await_connection(c, fd, timeout_ms, trouble);
    else
        *trouble = errno;
    if (io == UL_IO_OK)
        ul_transport_attach(&c->transport, fd);
    else if (fd >= 0)
        close(fd);
    return io;
}

/* Tries the host's addresses in their order, each with an equal share of the time that is left. */
static bool connect_any(ul_connection *c, const struct addrinfo *addresses, int64_t deadline_ms,
                        ul_request *request, ul_connect_fault *fault)
{
    int naddresses = 0, trouble = ETIMEDOUT;
    char where[64] = "no address";
    ul_io io = UL_IO_TIMEOUT;
    for (const struct addrinfo *a = addresses; a != NULL; a = a->ai_next)
        naddresses++;
    for (const struct addrinfo *a = addresses; a != NULL; a = a->ai_next, naddresses--) {
        const int64_t left = deadline_ms - steady_clock_ms();
        describe_address(where, sizeof where, a);
        io = connect_to(c, a, left > 0 ? (int)(left / naddresses) : 0, &trouble);
        if (io == UL_IO_WOKEN)
            return fail_stopped(c, fault);
        if (io == UL_IO_OK) {
            getnameinfo(a->ai_addr, a->ai_addrlen, request->peer_address,
                        sizeof request->peer_address, NULL, 0, NI_NUMERICHOST);
            return true;
        }
    }
    char comment[65];
    const char *why = io == UL_IO_TIMEOUT       ? "no answer in time"
                      : trouble == ECONNREFUSED ? "connection refused"
                                                : strerror(trouble);
    snprintf(comment, sizeof comment, "unreachable: %.50s", why);
    scp_fail(&fault->message, "%s cannot be reached: %s", where, why);
    return fail_open(c, fault, comment, &fault->message);
}

static bool connect_host(ul_connection *c, const ul_target *target, int64_t deadline_ms,
                         ul_request *request, ul_connect_fault *fault)
{
    struct addrinfo *addresses;
    const ul_lookup_request lookup = {.host = target->host,
                                      .port = target->port,
                                      .timeout_ms = target->connect_timeout_ms,
                                      .wake_fd = c->transport.wake_fd};
    const ul_io io = ul_lookup(&addresses, &lookup, &fault->message);
    if (io == UL_IO_WOKEN)
        return fail_stopped(c, fault);
    if (io != UL_IO_OK)
        return fail_open(c, fault,
                         io == UL_IO_TIMEOUT ? "unreachable: its host name was not found in time"
                                             : "unreachable: its host name is not known",
                         &fault->message);
    const bool connected = connect_any(c, addresses, deadline_ms, request, fault);
    freeaddrinfo(addresses);
    request->peer_port = target->port;
    return connected;
}

static bool secure(ul_connection *c, const ul_target *target, ul_connect_fault *fault)
{
    char comment[65];
    const ul_io io = ul_tls_handshake(&c->transport, target->tls, target->host);
    if (io == UL_IO_OK)
        return true;
    if (io == UL_IO_WOKEN)
        return fail_stopped(c, fault);
    const char *why = c->transport.tls != NULL ? ul_tls_failure(c->transport.tls) : "";
    if (why[0] == '\0')
        why = io == UL_IO_TIMEOUT ? "no answer in time" : "the peer hung up";
    scp_fail(&fault->message, "TLS handshake with %s failed: %s", target->host, why);
    snprintf(comment, sizeof comment, "TLS failed: %.50s", why);
    return fail_open(c, fault, comment, &fault->message);
}

/* ---- PDUs in ---- */

/* A whole PDU into c->pdu; its type in *type. */
static ul_io read_pdu(ul_connection *c, uint8_t *type, size_t limit)
{
    uint8_t head[6];
    ul_transport *t = &c->transport;
    c->pdu_nbytes = c->pdv_pos = 0;
    ul_io io = ul_transport_read_all(t, head, sizeof head);
    if (io != UL_IO_OK)
        return io;
    const size_t nbytes =
        (size_t)head[2] << 24 | (size_t)head[3] << 16 | (size_t)head[4] << 8 | head[5];
    t->last = UL_IO_BROKEN;
    t->error = EMSGSIZE;
    if (nbytes > limit)
        return UL_IO_BROKEN;
    if (nbytes > c->pdu_capacity) {
        uint8_t *grown = realloc(c->pdu, nbytes);
        t->error = ENOMEM;
        if (grown == NULL)
            return UL_IO_BROKEN;
        c->pdu = grown;
        c->pdu_capacity = nbytes;
    }
    io = nbytes > 0 ? ul_transport_read_all(t, c->pdu, nbytes) : UL_IO_OK;
    c->pdu_nbytes = c->pdv_pos = io == UL_IO_OK ? nbytes : 0;
    *type = head[0];
    return io;
}

static ul_result broke_the_rules(scp_error *error, const char *what)
{
    scp_fail(error, "the peer broke the upper layer protocol: %s", what);
    return UL_FAILED;
}

static void answer_release(ul_connection *c)
{
    uint8_t pdu[10] = {PDU_RELEASE_RP, 0, 0, 0, 0, 4};
    struct iovec iov = {pdu, sizeof pdu};
    c->transport.deadline_ms = steady_clock_ms() + LAST_WORDS_MS;
    ul_transport_write(&c->transport, &iov, 1);
    hang_up(c);
}

static ul_result next_data(ul_connection *c, scp_error *error)
{
    uint8_t type = 0;
    if (read_pdu(c, &type, c->max_pdu) != UL_IO_OK)
        return io_result(c, "reading a PDU", error);
    switch (type) {
    case PDU_DATA:
        c->pdv_pos = 0;
        return c->pdu_nbytes > 0 ? UL_OK : broke_the_rules(error, "P-DATA-TF without a PDV");
    case PDU_RELEASE_RQ:
        answer_release(c);
        scp_fail(error, "the peer released the association");
        return UL_RELEASED;
    case PDU_ABORT:
        scp_fail(error, "the peer sent A-ABORT");
        return UL_ABORTED;
    default:
        return broke_the_rules(error, "an unexpected kind of PDU");
    }
}

ul_result ul_connection_read_pdv(ul_connection *c, ul_pdv *out, int timeout_ms, scp_error *error)
{
    if (c->pdv_pos == c->pdu_nbytes) {
        const ul_io io = ul_transport_wait(&c->transport, timeout_ms);
        if (io == UL_IO_TIMEOUT)
            return UL_TIMEOUT;
        const ul_result result =
            io == UL_IO_OK ? next_data(c, error) : io_result(c, "waiting for a message", error);
        if (result != UL_OK)
            return result;
    }
    const uint8_t *p = c->pdu + c->pdv_pos;
    const size_t left = c->pdu_nbytes - c->pdv_pos;
    const size_t nbytes =
        left < 6 ? 0 : (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (nbytes < 2 || nbytes > left - 4)
        return broke_the_rules(error, "a PDV that does not fit its PDU");
    *out = (ul_pdv){.context_id = p[4],
                    .is_command = (p[5] & 1) != 0,
                    .is_last = (p[5] & 2) != 0,
                    .bytes = p + 6,
                    .nbytes = nbytes - 2};
    c->pdv_pos += 4 + nbytes;
    return UL_OK;
}

/* ---- The association ---- */

static bool fail_rejected(ul_connection *c, ul_connect_fault *fault)
{
    const uint8_t *p = c->pdu; /* reserved, result, source, reason */
    if (c->pdu_nbytes < 4) {
        scp_fail(&fault->message, "an A-ASSOCIATE-RJ of %zu bytes", c->pdu_nbytes);
        return fail_open(c, fault, "rejected", &fault->message);
    }
    char comment[65];
    const char *why = ul_associate_rejection(p[2], p[3]);
    snprintf(comment, sizeof comment, "rejected: %s", why);
    scp_fail(&fault->message, "association rejected %s: %s (%u/%u/%u)",
             p[1] == 2 ? "for now" : "for good", why, p[1], p[2], p[3]);
    return fail_open(c, fault, comment, &fault->message);
}

static bool read_answer(ul_connection *c, ul_request *request, ul_connect_fault *fault)
{
    uint8_t type = 0;
    const ul_io io = read_pdu(c, &type, UL_ANSWER_MAX);
    if (io == UL_IO_WOKEN)
        return fail_stopped(c, fault);
    if (io != UL_IO_OK) {
        io_result(c, "the association was requested", &fault->message);
        return fail_open(c, fault,
                         io == UL_IO_TIMEOUT ? "no answer to the association request in time"
                                             : "hung up on the association request",
                         &fault->message);
    }
    if (type == PDU_ASSOCIATE_RJ)
        return fail_rejected(c, fault);
    if (type != PDU_ASSOCIATE_AC) {
        scp_fail(&fault->message, "a PDU of type %02XH instead of an A-ASSOCIATE-AC", type);
        return fail_open(c, fault,
                         type == PDU_ABORT ? "aborted the association request"
                                           : "no DICOM answer to the association request",
                         &fault->message);
    }
    if (ul_associate_read_answer(request, c->pdu, c->pdu_nbytes, &fault->message) != 0)
        return fail_open(c, fault, "its answer to the association request is broken",
                         &fault->message);
    return true;
}

static bool negotiate(ul_connection *c, const ul_target *target, ul_request *request,
                      ul_connect_fault *fault)
{
    size_t nbytes = 0;
    uint8_t *pdu = ul_associate_encode(&nbytes, request, target->max_pdu);
    struct iovec iov = {pdu, nbytes};
    if (pdu == NULL) {
        scp_fail(&fault->message, "out of memory");
        return fail_open(c, fault, "out of memory", &fault->message);
    }
    /* What cannot be sent shows in what comes back, or does not. */
    ul_transport_write(&c->transport, &iov, 1);
    free(pdu);
    if (!read_answer(c, request, fault))
        return false;
    c->pdv_pos = c->pdu_nbytes;
    c->peer_max_pdu = request->peer_max_pdu;
    c->fragment_size = ul_fragment_size(request->peer_max_pdu);
    return true;
}

bool ul_connection_open(ul_connection *c, const ul_target *target, ul_request *request,
                        ul_connect_fault *fault)
{
    *fault = (ul_connect_fault){0};
    ul_connection_abort(c);
    if (is_interrupted(c))
        return fail_stopped(c, fault);
    const int64_t deadline_ms = steady_clock_ms() + target->connect_timeout_ms;
    c->max_pdu = target->max_pdu;
    c->transport.io_timeout_ms = target->io_timeout_ms;
    c->transport.deadline_ms = deadline_ms;
    c->transport.torn = false;
    if (!connect_host(c, target, deadline_ms, request, fault))
        return false;
    if (target->tls != NULL && !secure(c, target, fault))
        return false;
    if (target->on_connected != NULL)
        target->on_connected(target->on_connected_context);
    if (!negotiate(c, target, request, fault))
        return false;
    c->transport.deadline_ms = INT64_MAX;
    return true;
}

ul_result ul_connection_send(ul_connection *c, uint8_t context_id, const void *command,
                             size_t command_nbytes, const struct iovec *slices, size_t nslices,
                             scp_error *error)
{
    if (c->fragment_size == 0) {
        scp_fail(error, "the peer's maximum PDU length of %u bytes leaves no room for data",
                 c->peer_max_pdu);
        return UL_FAILED;
    }
    const ul_io io = ul_pdata_send(&c->transport, c->fragment_size, context_id, command,
                                   command_nbytes, slices, nslices);
    return io == UL_IO_OK ? UL_OK : io_result(c, "sending a message", error);
}

/* ---- The end ---- */

ul_connection *ul_connection_create(void)
{
    ul_connection *c = malloc(sizeof *c);
    if (c == NULL)
        return NULL;
    memset(c, 0, sizeof *c);
    if (ul_transport_init(&c->transport, -1, 0) == 0)
        return c;
    free(c);
    return NULL;
}

void ul_connection_release(ul_connection *c, int timeout_ms)
{
    uint8_t pdu[10] = {PDU_RELEASE_RQ, 0, 0, 0, 0, 4};
    struct iovec iov = {pdu, sizeof pdu};
    ul_transport *t = &c->transport;
    uint8_t type = 0;
    if (t->fd < 0)
        return;
    t->deadline_ms = steady_clock_ms() + timeout_ms;
    if (t->torn || ul_transport_write(t, &iov, 1) != UL_IO_OK) {
        ul_connection_abort(c);
        return;
    }
    while (read_pdu(c, &type, c->max_pdu) == UL_IO_OK && type != PDU_RELEASE_RP &&
           type != PDU_ABORT)
        ; /* data that was under way, a release of the peer's own at the same time */
    hang_up(c);
}

void ul_connection_abort(ul_connection *c)
{
    uint8_t pdu[10] = {PDU_ABORT, 0, 0, 0, 0, 4};
    struct iovec iov = {pdu, sizeof pdu};
    ul_transport *t = &c->transport;
    if (t->fd < 0)
        return;
    t->deaf = true;
    t->deadline_ms = steady_clock_ms() + LAST_WORDS_MS;
    /* Within a PDU it would be taken for data. */
    if (!t->torn && ul_transport_write(t, &iov, 1) == UL_IO_OK) {
        /* Closing now would make the kernel reset the connection where the peer sends something
           more, A-ABORT and all: it is to hang up first. */
        ul_transport_end_writing(t);
        ul_transport_drain(t, LAST_WORDS_MS);
    }
    t->deaf = false;
    hang_up(c);
    c->pdu_nbytes = c->pdv_pos = 0;
}

void ul_connection_interrupt(ul_connection *c)
{
    ul_transport_interrupt(&c->transport);
}

void ul_connection_close(ul_connection *c)
{
    if (c == NULL)
        return;
    ul_connection_abort(c);
    ul_transport_free(&c->transport);
    free(c->pdu);
    free(c);
}

uint64_t ul_connection_bytes_out(const ul_connection *c)
{
    return c->transport.bytes_out;
}
