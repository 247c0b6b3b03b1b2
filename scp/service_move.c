/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_move.c - C-MOVE, Patient Root and Study Root (PS3.4 C.4.2): the instances of a retrieve.h
 * go to a destination of the configuration by suboperations.h; here are the destination's choice
 * and the responses.
 *
 * The first pending response leaves as soon as the destination is reached, before it has answered:
 * a requester that receives on the same thread then looks at its own listener (DCMTK's movescu
 * would do so a second later).
 */
#include "access.h"
#include "node.h"
#include "retrieve.h"
#include "service.h"
#include "steady_clock.h"
#include "suboperations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS        50  /* a cancel, or a requester that is gone, is looked for that often */
#define CHANGE_MS      20  /* between two responses because of a change */
#define CANCEL_MS      800 /* instances under way at a cancel are finished in that time */
#define RETRY_PAUSE_MS 1000

typedef struct move_operation {
    retrieve retrieve;
    suboperations_setting setting;
    suboperations *suboperations; /* NULL: not begun, or nothing to send */
    bool cancelled;
    int64_t cancelled_ms;
    bool response_due; /* something changed since the last response */
    int64_t responded_ms;
    int64_t keep_alive_ms;
} move_operation;

/* ---- The destination ---- */

static const scp_destination *find_destination(const scp_options *options, const char *ae_title)
{
    for (uint32_t i = 0; i < options->ndestinations; i++) {
        if (strcmp(options->destinations[i].ae_title, ae_title) == 0)
            return &options->destinations[i];
    }
    return NULL;
}

static void set_target(store_target *target, const scp_destination *destination,
                       const scp_node *node, const service_peer *peer, const dimse_command *request)
{
    const scp_options *options = peer->options;
    const bool is_peer = strcmp(destination->host, DESTINATION_PEER) == 0;
    *target = (store_target){
        .port = (uint16_t)destination->port,
        .connect_timeout_ms = (int)options->connect_timeout_s * 1000,
        .io_timeout_ms = (int)options->io_timeout_s * 1000,
        .max_pdu = options->max_pdu,
        .priority = request->priority,
        .originator_message_id = request->message_id,
    };
    snprintf(target->host, sizeof target->host, "%s",
             is_peer ? peer->request->peer_address : destination->host);
    snprintf(target->called_ae_title, sizeof target->called_ae_title, "%s", destination->ae_title);
    snprintf(target->calling_ae_title, sizeof target->calling_ae_title, "%s",
             node->options->ae_title);
    snprintf(target->originator_ae_title, sizeof target->originator_ae_title, "%s",
             peer->request->calling_ae_title);
}

/* False with the fault. */
static bool choose_destination(move_operation *op, const scp_node *node, const service_peer *peer,
                               const dimse_command *request)
{
    query_fault *fault = &op->retrieve.fault;
    const scp_destination *found = find_destination(peer->options, request->move_destination);
    if (found == NULL)
        return query_fail(fault, DIMSE_MOVE_DESTINATION_UNKNOWN, 0,
                          "%.16s is not a configured destination", request->move_destination);
    if (found->only_self && strcmp(peer->request->calling_ae_title, found->ae_title) != 0)
        return query_fail(fault, DIMSE_MOVE_DESTINATION_UNKNOWN, 0,
                          "%.16s is sent to only at its own request", found->ae_title);
    if (!access_may_send_to(peer->access, found->ae_title))
        return query_fail(fault, DIMSE_NOT_AUTHORIZED, 0, "no right to send to %.16s by %s",
                          found->ae_title, peer->access->text);
    if (found->tls && node->tls == NULL) /* began to after our start */
        return query_fail(fault, DIMSE_OUT_OF_RESOURCES_SUBOPERATIONS, 0,
                          "%.16s wants TLS: restart the node for it", found->ae_title);
    op->setting = (suboperations_setting){
        .links = &store_link_network,
        .nassociations = found->associations,
        .retries = found->retries,
        .retry_pause_ms = RETRY_PAUSE_MS,
        .prefer = (const char *const *)found->prefer,
        .nprefer = found->nprefer,
    };
    set_target(&op->setting.target, found, node, peer, request);
    op->setting.target.tls = found->tls ? node->tls : NULL;
    return true;
}

/* ---- The service ---- */

static void *move_start(const scp_node *node, const service_peer *peer,
                        const service_request *request)
{
    move_operation *op = calloc(1, sizeof *op);
    if (op == NULL)
        return NULL;
    op->keep_alive_ms = (int64_t)peer->options->pending_interval_s * 1000;
    op->responded_ms = steady_clock_ms() - CHANGE_MS; /* the first one need not wait */
    retrieve_begin(&op->retrieve, "move", node, peer, request);
    if (op->retrieve.fault.status == 0)
        choose_destination(op, node, peer, request->command);
    return op;
}

/* False: there is nothing to wait for. */
static bool begin(move_operation *op)
{
    retrieve *r = &op->retrieve;
    if (op->suboperations != NULL)
        return true;
    if (r->fault.status != 0 || r->list.count == 0 || op->cancelled)
        return false;
    op->suboperations = suboperations_start(&op->setting, r);
    if (op->suboperations == NULL)
        query_fail(&r->fault, DIMSE_OUT_OF_RESOURCES_SUBOPERATIONS, 0, "out of memory or threads");
    return op->suboperations != NULL;
}

static void lock(const move_operation *op)
{
    if (op->suboperations != NULL)
        suboperations_lock(op->suboperations);
}

static void unlock(const move_operation *op)
{
    if (op->suboperations != NULL)
        suboperations_unlock(op->suboperations);
}

/* How long nothing need be said. */
static int wait_ms(const move_operation *op, int64_t now)
{
    const int64_t left = CHANGE_MS - (now - op->responded_ms);
    return op->response_due && left > 0 && left < LOOK_MS ? (int)left : LOOK_MS;
}

static bool is_response_due(const move_operation *op, int64_t now)
{
    const int64_t silent_ms = now - op->responded_ms;
    return silent_ms >= (op->response_due ? CHANGE_MS : op->keep_alive_ms);
}

static service_step move_next(void *operation, service_output *out)
{
    move_operation *op = operation;
    *out = (service_output){0};
    suboperations_state state = SUBOPERATIONS_OVER;
    if (begin(op))
        state = suboperations_wait(op->suboperations, wait_ms(op, steady_clock_ms()));
    if (state == SUBOPERATIONS_OVER) {
        retrieve_final(&op->retrieve, out);
        return SERVICE_FINAL;
    }
    const int64_t now = steady_clock_ms();
    op->response_due = op->response_due || state == SUBOPERATIONS_PROGRESS;
    if (op->cancelled) {
        if (now - op->cancelled_ms >= CANCEL_MS)
            suboperations_interrupt(op->suboperations);
        return SERVICE_WORKING;
    }
    if (!is_response_due(op, now))
        return SERVICE_WORKING;
    op->response_due = false;
    op->responded_ms = now;
    lock(op);
    retrieve_pending(&op->retrieve, out);
    unlock(op);
    return SERVICE_RESPONSE;
}

static void move_cancel(void *operation)
{
    move_operation *op = operation;
    op->cancelled = true;
    op->cancelled_ms = steady_clock_ms();
    if (op->suboperations != NULL)
        suboperations_stop(op->suboperations);
}

static void move_describe(const void *operation, char *buffer, size_t size)
{
    const move_operation *op = operation;
    const size_t n =
        (size_t)snprintf(buffer, size, "destination=%s ", op->retrieve.request.move_destination);
    lock(op);
    if (n < size)
        retrieve_describe(&op->retrieve, buffer + n, size - n);
    unlock(op);
}

static void move_progress(const void *operation, service_progress *out)
{
    const move_operation *op = operation;
    lock(op);
    retrieve_progress(&op->retrieve, out);
    unlock(op);
}

static void move_finish(void *operation)
{
    move_operation *op = operation;
    suboperations_close(op->suboperations); /* before what it borrows */
    retrieve_clear(&op->retrieve);
    free(op);
}

static const audit_studies *move_studies(const void *operation)
{
    return &((const move_operation *)operation)->retrieve.studies;
}

const service service_move = {
    .name = "move",
    .command_field = DIMSE_C_MOVE_RQ,
    .start = move_start,
    .next = move_next,
    .cancel = move_cancel,
    .describe = move_describe,
    .progress = move_progress,
    .studies = move_studies,
    .finish = move_finish,
};
