/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_association.c - bytes as all that a peer sends on one connection, over loopback, in one
 * thread: the A-ASSOCIATE-RQ is received and answered, PDVs are read and put together to messages
 * until the stream ends. What DCMTK parses is parsed by DCMTK.
 *
 * Input: two bytes, the length of the A-ASSOCIATE-RQ; that without its 6-byte head; the rest of the
 * stream as it is.
 *
 * Beyond not crashing, hanging or leaking: a failure has a reason; a message's parts are from
 * contexts with an odd number.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "incoming.h"
#include "log.h"
#include "negotiation.h"
#include "options.h"
#include "ul.h"

#define DATA_LIMIT 4096
#define MAX_STREAM (32u << 10) /* fits into the socket's buffer */

static ul_listener *open_listener(void)
{
    ul_listener *listener = NULL;
    scp_error error = SCP_ERROR_INIT;
    const ul_listener_options options = {.bind_address = "127.0.0.1",
                                         .max_pdu = 16384,
                                         .request_timeout_ms = 5000,
                                         .io_timeout_ms = 5000,
                                         .max_pending = 4};
    log_configure(LOG_ERROR, LOG_TEXT);
    FUZZ_CHECK(ul_global_init(&error) == 0);
    FUZZ_CHECK(ul_listener_open(&listener, &options, &error) == 0);
    return listener;
}

/* Connects, sends all and ends its side; nothing is read. */
static int send_stream(uint16_t port, const uint8_t *bytes, size_t nbytes)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct linger at_once = {1, 0}; /* or the ports run out */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FUZZ_CHECK(fd >= 0);
    FUZZ_CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    /* Ports that others have used up come back. */
    int refused = connect(fd, (const struct sockaddr *)&address, sizeof address);
    for (int i = 0; refused != 0 && errno == EADDRNOTAVAIL && i < 6000; i++) {
        usleep(10000);
        refused = connect(fd, (const struct sockaddr *)&address, sizeof address);
    }
    FUZZ_CHECK(refused == 0);
    FUZZ_CHECK(send(fd, bytes, nbytes, MSG_NOSIGNAL) == (ssize_t)nbytes);
    FUZZ_CHECK(shutdown(fd, SHUT_WR) == 0);
    return fd;
}

static void ignore(void *context)
{
    (void)context;
}

static void read_messages(ul_association *association)
{
    incoming message = {0};
    scp_error error = SCP_ERROR_INIT;
    ul_pdv pdv;
    ul_result result;
    incoming_state state = INCOMING_MORE;
    while (state != INCOMING_BROKEN &&
           (result = ul_read_pdv(association, &pdv, 5000, &error)) == UL_OK) {
        state = incoming_add(&message, &pdv, DATA_LIMIT, &error);
        if (state == INCOMING_COMPLETE) {
            dimse_command response;
            uint8_t bytes[DIMSE_COMMAND_MAX];
            dimse_response_init(&response, &message.command, 0x0122);
            size_t nbytes = dimse_command_encode(bytes, sizeof bytes, &response);
            (void)ul_send_message(association, message.context_id, bytes, nbytes, NULL, 0, &error);
            incoming_reset(&message);
        }
    }
    if (state == INCOMING_BROKEN)
        FUZZ_CHECK(error.message[0] != '\0');
    else
        FUZZ_CHECK(result != UL_TIMEOUT && result != UL_STOPPED);
    if (state != INCOMING_BROKEN && result == UL_RELEASED)
        ul_association_finish_release(association);
    else
        ul_association_abort(association);
    incoming_free(&message);
}

static void serve(ul_listener *listener)
{
    static const negotiation_policy policy = {
        .ae_title = "DCBSCP", .get_without_role = true, .store = true, .rights = ACCESS_ALL};
    ul_association *association = NULL;
    scp_error error = SCP_ERROR_INIT;
    ul_result result = ul_receive(&association, listener, ignore, NULL, &error);
    FUZZ_CHECK((result == UL_OK) == (association != NULL));
    FUZZ_CHECK(result == UL_OK || (error.message[0] != '\0' && result != UL_TIMEOUT));
    if (result != UL_OK)
        return;
    negotiation_verdict verdict = negotiate(ul_association_request(association), &policy);
    if (!verdict.accepted)
        ul_association_reject(association, verdict.result, verdict.source, verdict.reason);
    else if (ul_association_accept(association, &error) == UL_OK)
        read_messages(association);
    ul_association_close(association);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    static ul_listener *listener;
    static uint8_t stream[MAX_STREAM];
    if (listener == NULL)
        listener = open_listener();
    fuzz_input input = {bytes, nbytes};
    size_t length = (size_t)fuzz_take_byte(&input) << 8;
    length |= fuzz_take_byte(&input);
    if (input.nbytes > sizeof stream - 6)
        return 0;
    fuzz_input request = fuzz_take(&input, length);
    const uint8_t head[6] = {1, 0, 0, 0, (uint8_t)(request.nbytes >> 8), (uint8_t)request.nbytes};
    memcpy(stream, head, sizeof head);
    memcpy(stream + sizeof head, request.bytes, request.nbytes + input.nbytes);
    int fd = send_stream(ul_listener_port(listener), stream,
                         sizeof head + request.nbytes + input.nbytes);
    serve(listener);
    close(fd);
    return 0;
}
