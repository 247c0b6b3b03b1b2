/* SPDX-License-Identifier: Apache-2.0 */
/*
 * association.c - the message loop of one association.
 *
 * Invariant: at most one operation runs (no asynchronous window is negotiated), and while it runs
 * the peer may send only C-CANCEL-RQ and the C-STORE-RSP that is due. What breaks the protocol ends
 * the association by A-ABORT; what is merely wrong with a request is answered with a status.
 *
 * A release or abort in the middle of an operation is normal: the operation is finished unseen.
 */
#include "association.h"

#include "incoming.h"
#include "log.h"
#include "negotiation.h"
#include "node.h"
#include "sop_classes.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IDENTIFIER_MAX (1u << 20)

struct association {
    association_setting setting;
    ul_association *ul;
    const ul_request *request;
    uint32_t number;
    uint16_t last_message_id; /* of our sub-operations */
    incoming message;
    pthread_mutex_t lock; /* busy, stopping */
    bool busy;            /* an operation runs */
    bool stopping;
};

typedef struct operation {
    const service *service;
    void *state;
    dimse_command request;
    const ul_context *context;
    uint16_t awaited_id; /* of the C-STORE-RSP that is due */
    bool awaiting;
    uint16_t store_status;
    uint32_t nresponses;
    uint16_t status; /* of the final response */
} operation;

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int to_ms(uint32_t seconds)
{
    return seconds < 2000000 ? (int)seconds * 1000 : 2000000000;
}

static int io_timeout_ms(const association *a)
{
    return to_ms(a->setting.node->options->io_timeout_s);
}

/* ---- Receiving ---- */

static const ul_context *find_context(const association *a, uint8_t id)
{
    for (uint32_t i = 0; i < a->request->ncontexts; i++) {
        const ul_context *context = &a->request->contexts[i];
        if (context->id == id && context->result == 0)
            return context;
    }
    return NULL;
}

/* A whole message into a->message, or UL_TIMEOUT: what came of one by then is kept for the next
   call. Once a message has begun, its rest has the I/O timeout, unless the caller only looks. */
static ul_result receive(association *a, int timeout_ms, scp_error *error)
{
    for (;;) {
        ul_pdv pdv;
        int patience = timeout_ms != 0 && a->message.begun ? io_timeout_ms(a) : timeout_ms;
        ul_result result = ul_read_pdv(a->ul, &pdv, patience, error);
        if (result == UL_TIMEOUT && timeout_ms != 0 && a->message.begun) {
            scp_fail(error, "the peer stopped within a message");
            return UL_FAILED;
        }
        if (result != UL_OK)
            return result;
        if (find_context(a, pdv.context_id) == NULL) {
            scp_fail(error, "a PDV on presentation context %u, which was not accepted",
                     pdv.context_id);
            return UL_FAILED;
        }
        switch (incoming_add(&a->message, &pdv, IDENTIFIER_MAX, error)) {
        case INCOMING_COMPLETE:
            return UL_OK;
        case INCOMING_BROKEN:
            return UL_FAILED;
        case INCOMING_MORE:
            break;
        }
    }
}

/* ---- Sending ---- */

static ul_result send_response(association *a, const ul_context *context, dimse_command *response,
                               const dimse_command *request, const uint8_t *identifier,
                               size_t identifier_nbytes, scp_error *error)
{
    uint8_t command[DIMSE_COMMAND_MAX];
    struct iovec slice = {(void *)(uintptr_t)identifier, identifier_nbytes};
    response->present |=
        DIMSE_HAS_MESSAGE_ID_RESPONDED | DIMSE_HAS_STATUS | DIMSE_HAS_DATA_SET_TYPE;
    response->present &= ~(unsigned)DIMSE_HAS_MESSAGE_ID;
    response->command_field = (uint16_t)(request->command_field | DIMSE_RESPONSE);
    response->message_id_responded = request->message_id;
    response->data_set_type = identifier != NULL ? 1 : DIMSE_NO_DATA_SET;
    snprintf(response->affected_sop_class_uid, sizeof response->affected_sop_class_uid, "%s",
             request->affected_sop_class_uid);
    size_t n = dimse_command_encode(command, sizeof command, response);
    return ul_send_message(a->ul, context->id, command, n, &slice, identifier != NULL ? 1 : 0,
                           error);
}

static ul_result send_status(association *a, const ul_context *context, uint16_t status,
                             const char *comment, scp_error *error)
{
    dimse_command response;
    dimse_response_init(&response, &a->message.command, status);
    snprintf(response.error_comment, sizeof response.error_comment, "%s", comment);
    log_event(LOG_WARN, "request.refused", LOG_U("association", a->number),
              LOG_T("peer", a->request->peer_address), LOG_U("status", status),
              LOG_T("reason", comment));
    return send_response(a, context, &response, &a->message.command, NULL, 0, error);
}

/* ---- One operation ---- */

/* What comes while an operation runs. */
static ul_result take_message(association *a, operation *op, scp_error *error)
{
    const dimse_command *command = &a->message.command;
    const uint16_t answers = command->message_id_responded;
    ul_result result = UL_OK;
    if (command->command_field == DIMSE_C_CANCEL_RQ) {
        if (answers == op->request.message_id && op->service->cancel != NULL)
            op->service->cancel(op->state);
    } else if (command->command_field == (DIMSE_C_STORE_RQ | DIMSE_RESPONSE) && op->awaiting &&
               answers == op->awaited_id) {
        op->awaiting = false;
        op->store_status =
            (command->present & DIMSE_HAS_STATUS) != 0 ? command->status : DIMSE_UNABLE_TO_PROCESS;
    } else {
        scp_fail(error, "command %04XH (message %u) while %s runs",
                 (unsigned)command->command_field,
                 (unsigned)((command->command_field & DIMSE_RESPONSE) != 0 ? answers
                                                                           : command->message_id),
                 op->service->name);
        result = UL_FAILED;
    }
    incoming_reset(&a->message);
    return result;
}

/* Looks for a C-CANCEL-RQ, without waiting. */
static ul_result look_for_cancel(association *a, operation *op, scp_error *error)
{
    ul_result result;
    while ((result = receive(a, 0, error)) == UL_OK) {
        result = take_message(a, op, error);
        if (result != UL_OK)
            return result;
    }
    return result == UL_TIMEOUT ? UL_OK : result;
}

/* An instance goes out only on a context accepted for its SOP class, in a syntax that the context
   carries: a service that mistakes itself costs that instance, not the peer's pixels. */
static const ul_context *suboperation_context(const association *a, const service_output *out)
{
    const ul_context *context = find_context(a, out->suboperation_context_id);
    if (context == NULL || !context->peer_is_scp ||
        strcmp(context->abstract_syntax, dcb_frame_sop_class_uid(out->frame)) != 0 ||
        !transfer_syntax_carries(context->accepted_syntax,
                                 dcb_frame_transfer_syntax_uid(out->frame))) {
        log_event(LOG_ERROR, "suboperation.context", LOG_U("association", a->number),
                  LOG_U("context", out->suboperation_context_id),
                  LOG_T("sop_class", dcb_frame_sop_class_uid(out->frame)),
                  LOG_T("syntax", dcb_frame_transfer_syntax_uid(out->frame)));
        return NULL;
    }
    return context;
}

static ul_result send_store(association *a, operation *op, const ul_context *context,
                            const dcb_frame *frame, scp_error *error)
{
    uint8_t bytes[DIMSE_COMMAND_MAX];
    dimse_command store = {
        .present = DIMSE_HAS_MESSAGE_ID | DIMSE_HAS_PRIORITY | DIMSE_HAS_DATA_SET_TYPE,
        .command_field = DIMSE_C_STORE_RQ,
        .message_id = ++a->last_message_id,
        .priority = op->request.priority,
        .data_set_type = 1,
    };
    snprintf(store.affected_sop_class_uid, sizeof store.affected_sop_class_uid, "%s",
             dcb_frame_sop_class_uid(frame));
    snprintf(store.affected_sop_instance_uid, sizeof store.affected_sop_instance_uid, "%s",
             dcb_frame_sop_instance_uid(frame));
    size_t data_nbytes;
    const uint8_t *data = dcb_frame_dataset(frame, &data_nbytes);
    struct iovec slice = {(void *)(uintptr_t)data, data_nbytes};
    op->awaited_id = store.message_id;
    op->awaiting = true;
    size_t n = dimse_command_encode(bytes, sizeof bytes, &store);
    return ul_send_message(a->ul, context->id, bytes, n, &slice, 1, error);
}

static ul_result run_suboperation(association *a, operation *op, const service_output *out,
                                  scp_error *error)
{
    const ul_context *context = suboperation_context(a, out);
    op->store_status = DIMSE_UNABLE_TO_PROCESS;
    if (context != NULL) {
        ul_result result = send_store(a, op, context, out->frame, error);
        const double until = now_ms() + io_timeout_ms(a);
        while (result == UL_OK && op->awaiting) {
            double left = until - now_ms();
            result = receive(a, left > 1 ? (int)left : 1, error);
            if (result == UL_OK) {
                result = take_message(a, op, error);
            } else if (result == UL_TIMEOUT) {
                scp_fail(error, "no C-STORE-RSP within %u s",
                         (unsigned)a->setting.node->options->io_timeout_s);
                result = UL_FAILED;
            }
        }
        if (result != UL_OK)
            return result;
    }
    if (op->service->suboperation_done != NULL)
        op->service->suboperation_done(op->state, op->store_status);
    return UL_OK;
}

static ul_result drive(association *a, operation *op, scp_error *error)
{
    for (;;) {
        ul_result result = look_for_cancel(a, op, error);
        if (result != UL_OK)
            return result;
        service_output out = {0};
        service_step step = op->service->next(op->state, &out);
        if (step == SERVICE_WORKING)
            continue;
        if (step == SERVICE_SUBOPERATION) {
            result = run_suboperation(a, op, &out, error);
        } else {
            op->nresponses++;
            op->status = out.command.status;
            result = send_response(a, op->context, &out.command, &op->request, out.identifier,
                                   out.identifier_nbytes, error);
        }
        if (result != UL_OK || step == SERVICE_FINAL)
            return result;
    }
}

static void log_operation(const association *a, const operation *op, double started,
                          uint64_t bytes_before, ul_result result)
{
    char detail[256] = "", status[8] = "none";
    ul_traffic traffic;
    if (op->service->describe != NULL)
        op->service->describe(op->state, detail, sizeof detail);
    if (result == UL_OK)
        snprintf(status, sizeof status, "%04X", (unsigned)op->status);
    ul_association_traffic(a->ul, &traffic);
    const log_field fields[] = {
        LOG_U("association", a->number),
        LOG_T("peer", a->request->peer_address),
        LOG_T("calling", a->request->calling_ae_title),
        LOG_T("operation", op->service->name),
        LOG_T("status", status),
        LOG_U("responses", op->nresponses),
        LOG_U("bytes", traffic.bytes_out - bytes_before),
        LOG_MS("ms", now_ms() - started),
        LOG_T("detail", detail),
    };
    const size_t n = sizeof fields / sizeof fields[0];
    log_event_fields(LOG_INFO, "operation", fields, detail[0] != '\0' ? n : n - 1);
}

static ul_result run_operation(association *a, const service *kind, const ul_context *context,
                               scp_error *error)
{
    const service_peer peer = {a->number, a->request};
    const service_request request = {
        .command = &a->message.command,
        .context_id = context->id,
        .transfer_syntax_uid = context->accepted_syntax,
        .abstract_syntax_uid = context->abstract_syntax,
        .identifier = dimse_has_data_set(&a->message.command) ? a->message.data : NULL,
        .identifier_nbytes = a->message.data_nbytes,
    };
    operation op = {.service = kind, .request = a->message.command, .context = context};
    const double started = now_ms();
    ul_traffic traffic;
    ul_association_traffic(a->ul, &traffic);
    op.state = kind->start(a->setting.node, &peer, &request);
    if (op.state == NULL)
        return send_status(a, context, DIMSE_OUT_OF_RESOURCES, "out of memory", error);
    incoming_reset(&a->message);
    ul_result result = drive(a, &op, error);
    log_operation(a, &op, started, traffic.bytes_out, result);
    kind->finish(op.state);
    return result;
}

/* ---- Requests ---- */

static uint16_t command_for(sop_kind kind)
{
    switch (kind) {
    case SOP_VERIFICATION:
        return DIMSE_C_ECHO_RQ;
    case SOP_FIND:
        return DIMSE_C_FIND_RQ;
    case SOP_GET:
        return DIMSE_C_GET_RQ;
    case SOP_MOVE:
        return DIMSE_C_MOVE_RQ;
    case SOP_STORAGE:
    case SOP_UNKNOWN:
    default:
        return DIMSE_C_STORE_RQ;
    }
}

static const service *find_service(const association *a, uint16_t command_field)
{
    for (size_t i = 0; i < a->setting.nservices; i++) {
        if (a->setting.services[i]->command_field == command_field)
            return a->setting.services[i];
    }
    return NULL;
}

static ul_result answer(association *a, scp_error *error)
{
    dimse_command *command = &a->message.command;
    const ul_context *context = find_context(a, a->message.context_id);
    /* No response is due to a cancel that comes too late, nor to a response. */
    if (command->command_field == DIMSE_C_CANCEL_RQ ||
        (command->command_field & DIMSE_RESPONSE) != 0)
        return UL_OK;
    if ((command->present & DIMSE_HAS_MESSAGE_ID) == 0) {
        scp_fail(error, "command %04XH without Message ID", (unsigned)command->command_field);
        return UL_FAILED;
    }
    const service *kind = find_service(a, command->command_field);
    if (kind == NULL)
        return send_status(a, context, DIMSE_UNRECOGNIZED_OPERATION, "operation not supported",
                           error);
    if (command->affected_sop_class_uid[0] == '\0')
        snprintf(command->affected_sop_class_uid, sizeof command->affected_sop_class_uid, "%s",
                 context->abstract_syntax);
    if (strcmp(command->affected_sop_class_uid, context->abstract_syntax) != 0)
        return send_status(a, context, DIMSE_SOP_CLASS_NOT_SUPPORTED,
                           "SOP class is not the presentation context's", error);
    if (command_for(sop_class_kind(context->abstract_syntax)) != command->command_field)
        return send_status(a, context, DIMSE_UNRECOGNIZED_OPERATION,
                           "operation does not belong to the SOP class", error);
    if (a->message.data_too_long)
        return send_status(a, context, DIMSE_UNABLE_TO_PROCESS, "identifier is over 1 MiB", error);
    return run_operation(a, kind, context, error);
}

/* False where the association must end now. */
static bool set_busy(association *a, bool busy)
{
    pthread_mutex_lock(&a->lock);
    a->busy = busy;
    bool go_on = !a->stopping;
    pthread_mutex_unlock(&a->lock);
    return go_on;
}

static ul_result serve(association *a, scp_error *error)
{
    const uint32_t idle_s = a->setting.node->options->idle_timeout_s;
    ul_result result = UL_OK;
    while (result == UL_OK) {
        result = receive(a, idle_s != 0 ? to_ms(idle_s) : -1, error);
        if (result == UL_TIMEOUT)
            scp_fail(error, "idle for %u s", (unsigned)idle_s);
        if (result != UL_OK)
            break;
        bool go_on = set_busy(a, true);
        if (go_on)
            result = answer(a, error);
        incoming_reset(&a->message);
        if ((!set_busy(a, false) || !go_on) && result == UL_OK) {
            scp_fail(error, "the node is shutting down");
            result = UL_STOPPED;
        }
    }
    return result;
}

/* ---- From request to end ---- */

static void answer_extended(association *a)
{
    for (uint32_t i = 0; i < a->request->ncontexts; i++) {
        const ul_context *context = &a->request->contexts[i];
        bool answered = context->result != 0;
        for (uint32_t j = 0; j < i && !answered; j++)
            answered =
                a->request->contexts[j].result == 0 &&
                strcmp(a->request->contexts[j].abstract_syntax, context->abstract_syntax) == 0;
        const uint8_t *proposed;
        size_t nbytes;
        if (answered ||
            !ul_association_extended_request(a->ul, context->abstract_syntax, &proposed, &nbytes))
            continue;
        uint8_t bytes[8];
        size_t n = negotiate_extended(bytes, sizeof bytes, context->abstract_syntax, nbytes);
        if (n > 0)
            ul_association_extended_answer(a->ul, context->abstract_syntax, bytes, n, NULL);
    }
}

static bool answer_request(association *a, bool full)
{
    const negotiation_policy policy = {a->setting.node->options->ae_title,
                                       a->setting.node->options->get_without_role};
    negotiation_verdict verdict = negotiate(ul_association_request(a->ul), &policy);
    if (verdict.accepted && full)
        verdict = (negotiation_verdict){false, 2, 3, 2, "as many associations as are allowed"};
    if (verdict.accepted) {
        answer_extended(a);
        return true;
    }
    log_event(LOG_WARN, "association.rejected", LOG_U("association", a->number),
              LOG_T("peer", a->request->peer_address),
              LOG_T("calling", a->request->calling_ae_title),
              LOG_T("called", a->request->called_ae_title), LOG_T("reason", verdict.text),
              LOG_U("result", verdict.result), LOG_U("source", verdict.source),
              LOG_U("diagnostic", verdict.reason));
    ul_association_reject(a->ul, verdict.result, verdict.source, verdict.reason);
    return false;
}

static void log_accepted(const association *a)
{
    uint32_t naccepted = 0;
    for (uint32_t i = 0; i < a->request->ncontexts; i++)
        naccepted += a->request->contexts[i].result == 0;
    log_event(LOG_INFO, "association.accepted", LOG_U("association", a->number),
              LOG_T("peer", a->request->peer_address), LOG_U("port", a->request->peer_port),
              LOG_T("calling", a->request->calling_ae_title),
              LOG_T("implementation", a->request->implementation_version),
              LOG_U("max_pdu", a->request->peer_max_pdu), LOG_U("accepted", naccepted),
              LOG_U("proposed", a->request->ncontexts));
}

static void log_end(const association *a, ul_result result, const scp_error *error, double started)
{
    ul_traffic traffic;
    ul_association_traffic(a->ul, &traffic);
    log_event(result == UL_FAILED ? LOG_WARN : LOG_INFO,
              result == UL_RELEASED ? "association.released" : "association.aborted",
              LOG_U("association", a->number), LOG_T("peer", a->request->peer_address),
              LOG_T("calling", a->request->calling_ae_title), LOG_U("bytes_in", traffic.bytes_in),
              LOG_U("bytes_out", traffic.bytes_out), LOG_MS("ms", now_ms() - started),
              LOG_T("reason", result == UL_RELEASED ? "released by the peer" : error->message));
}

association *association_create(const association_setting *setting, ul_association *ul,
                                uint32_t number)
{
    association *a = calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    a->setting = *setting;
    a->ul = ul;
    a->request = ul_association_request(ul);
    a->number = number;
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

bool association_run(association *a, bool full)
{
    scp_error error = SCP_ERROR_INIT;
    const double started = now_ms();
    if (!answer_request(a, full))
        return false;
    ul_result result = ul_association_accept(a->ul, &error);
    if (result == UL_OK) {
        log_accepted(a);
        result = serve(a, &error);
    }
    if (result == UL_RELEASED)
        ul_association_finish_release(a->ul);
    else if (result != UL_ABORTED)
        ul_association_abort(a->ul);
    log_end(a, result, &error, started);
    return true;
}

void association_stop(association *a, bool now)
{
    pthread_mutex_lock(&a->lock);
    a->stopping = true;
    if (now || !a->busy)
        ul_association_interrupt(a->ul);
    pthread_mutex_unlock(&a->lock);
}

void association_close(association *a)
{
    if (a == NULL)
        return;
    ul_association_close(a->ul);
    incoming_free(&a->message);
    pthread_mutex_destroy(&a->lock);
    free(a);
}
