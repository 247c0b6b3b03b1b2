/* SPDX-License-Identifier: Apache-2.0 */
/* store_link.c - store_link.h over the network. */
#include "store_link.h"

#include "dimse_message.h"
#include "dimse_status.h"
#include "get_contexts.h"
#include "incoming.h"
#include "steady_clock.h"

#include <stdio.h>
#include <stdlib.h>

#define RELEASE_MS 2000 /* for the answer to our release; then the connection is closed anyway */

typedef struct network_link {
    const store_target *target;
    ul_connection *connection;
    ul_request request; /* as answered */
    incoming message;
    uint16_t last_message_id;
} network_link;

static void network_close(void *link)
{
    network_link *l = link;
    if (l == NULL)
        return;
    ul_connection_close(l->connection);
    ul_request_clear(&l->request);
    incoming_free(&l->message);
    free(l);
}

static void *network_create(const store_target *target)
{
    network_link *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->target = target;
    l->connection = ul_connection_create();
    if (l->connection != NULL)
        return l;
    free(l);
    return NULL;
}

static bool network_open(void *link, ul_request *request, void (*on_connected)(void *context),
                         void *context, ul_connect_fault *fault)
{
    network_link *l = link;
    const store_target *t = l->target;
    const ul_target target = {.host = t->host,
                              .port = t->port,
                              .connect_timeout_ms = t->connect_timeout_ms,
                              .io_timeout_ms = t->io_timeout_ms,
                              .max_pdu = t->max_pdu,
                              .tls = t->tls,
                              .on_connected = on_connected,
                              .on_connected_context = context};
    snprintf(request->calling_ae_title, sizeof request->calling_ae_title, "%s",
             t->calling_ae_title);
    snprintf(request->called_ae_title, sizeof request->called_ae_title, "%s", t->called_ae_title);
    incoming_reset(&l->message);
    ul_request_clear(&l->request);
    if (!ul_connection_open(l->connection, &target, request, fault))
        return false;
    if (ul_request_copy(&l->request, request))
        return true;
    ul_connection_abort(l->connection);
    snprintf(fault->comment, sizeof fault->comment, "out of memory");
    scp_fail(&fault->message, "out of memory");
    return false;
}

static ul_result send_request(network_link *l, uint8_t context_id, const dcb_frame *frame,
                              scp_error *error)
{
    const store_target *t = l->target;
    uint8_t command[DIMSE_COMMAND_MAX];
    dimse_command request;
    dimse_store_init(&request, ++l->last_message_id, t->priority, dcb_frame_sop_class_uid(frame),
                     dcb_frame_sop_instance_uid(frame));
    if (t->originator_ae_title[0] != '\0') {
        snprintf(request.originator_ae_title, sizeof request.originator_ae_title, "%s",
                 t->originator_ae_title);
        request.originator_message_id = t->originator_message_id;
        request.present |= DIMSE_HAS_ORIGINATOR;
    }
    const size_t n = dimse_command_encode(command, sizeof command, &request);
    size_t nbytes;
    const uint8_t *data = dcb_frame_dataset(frame, &nbytes);
    const struct iovec slice = {(void *)(uintptr_t)data, nbytes};
    return ul_connection_send(l->connection, context_id, command, n, &slice, 1, error);
}

/* The next whole message; the time is for all of it. */
static ul_result receive(network_link *l, int64_t until_ms, scp_error *error)
{
    ul_pdv pdv;
    incoming_reset(&l->message);
    for (;;) {
        const int64_t left = until_ms - steady_clock_ms();
        ul_result result =
            ul_connection_read_pdv(l->connection, &pdv, left > 0 ? (int)left : 0, error);
        if (result != UL_OK)
            return result;
        switch (incoming_add(&l->message, &pdv, 0, error)) {
        case INCOMING_COMPLETE:
            return UL_OK;
        case INCOMING_BROKEN:
            return UL_FAILED;
        case INCOMING_MORE:
            break;
        }
    }
}

static ul_result await_response(network_link *l, uint16_t *status, scp_error *error)
{
    const ul_result result = receive(l, steady_clock_ms() + l->target->io_timeout_ms, error);
    if (result != UL_OK)
        return result;
    const dimse_command *response = &l->message.command;
    if (response->command_field != (DIMSE_C_STORE_RQ | DIMSE_RESPONSE) ||
        response->message_id_responded != l->last_message_id) {
        scp_fail(error, "command %04XH (message %u) where a C-STORE-RSP is due",
                 (unsigned)response->command_field, (unsigned)response->message_id_responded);
        return UL_FAILED;
    }
    *status =
        (response->present & DIMSE_HAS_STATUS) != 0 ? response->status : DIMSE_UNABLE_TO_PROCESS;
    return UL_OK;
}

static store_result network_store(void *link, uint8_t context_id, const dcb_frame *frame,
                                  uint16_t *status, scp_error *error)
{
    network_link *l = link;
    if (get_context_check(&l->request, context_id, frame) == NULL) {
        scp_fail(error, "context %u does not carry it", (unsigned)context_id);
        return STORE_UNFIT;
    }
    ul_result result = send_request(l, context_id, frame, error);
    if (result == UL_OK)
        result = await_response(l, status, error);
    if (result == UL_OK)
        return STORE_ANSWERED;
    if (result == UL_TIMEOUT)
        scp_fail(error, "no C-STORE-RSP within %d ms", l->target->io_timeout_ms);
    ul_connection_abort(l->connection);
    return result == UL_TIMEOUT ? STORE_SILENT : STORE_LOST;
}

static void network_release(void *link)
{
    ul_connection_release(((network_link *)link)->connection, RELEASE_MS);
}

static void network_interrupt(void *link)
{
    ul_connection_interrupt(((network_link *)link)->connection);
}

const store_link_kind store_link_network = {
    .create = network_create,
    .open = network_open,
    .store = network_store,
    .release = network_release,
    .interrupt = network_interrupt,
    .close = network_close,
};
