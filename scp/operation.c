/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operation.c - one request answered by a service: its responses and C-STORE sub-operations.
 *
 * Invariant: while it runs the peer may send only C-CANCEL-RQ and the C-STORE-RSP that is due; a
 * C-CANCEL-RQ is looked for before each of the service's steps. Whatever ends it, the service's
 * finish is called.
 */
#include "association_private.h"

#include "association_audit.h"
#include "get_contexts.h"
#include "log.h"
#include "metrics.h"
#include "node.h"

#include <stdio.h>
#include <string.h>

typedef struct operation {
    const service *service;
    void *state;
    dimse_command request;
    const ul_context *context;
    uint16_t awaited_id; /* of the C-STORE-RSP that is due */
    bool awaiting;
    uint16_t store_status;
    uint32_t nresponses;
    service_progress counted; /* of its sub-operations: in the metrics already */
    uint16_t status;          /* of the final response */
    char comment[65];         /* its error comment */
} operation;

static int io_timeout_ms(const association *a)
{
    return association_to_ms(a->options->io_timeout_s);
}

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
    while ((result = association_receive(a, 0, error)) == UL_OK) {
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
    const ul_context *context =
        get_context_check(a->request, out->suboperation_context_id, out->frame);
    if (context == NULL)
        log_event(LOG_ERROR, "suboperation.context", LOG_U("association", a->number),
                  LOG_U("context", out->suboperation_context_id),
                  LOG_T("sop_class", dcb_frame_sop_class_uid(out->frame)),
                  LOG_T("syntax", dcb_frame_transfer_syntax_uid(out->frame)));
    return context;
}

static ul_result send_store(association *a, operation *op, const ul_context *context,
                            const dcb_frame *frame, scp_error *error)
{
    uint8_t bytes[DIMSE_COMMAND_MAX];
    dimse_command store;
    dimse_store_init(&store, ++a->last_message_id, op->request.priority,
                     dcb_frame_sop_class_uid(frame), dcb_frame_sop_instance_uid(frame));
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
        const double until = association_now_ms() + io_timeout_ms(a);
        while (result == UL_OK && op->awaiting) {
            double left = until - association_now_ms();
            result = association_receive(a, left > 1 ? (int)left : 1, error);
            if (result == UL_OK) {
                result = take_message(a, op, error);
            } else if (result == UL_TIMEOUT) {
                scp_fail(error, "no C-STORE-RSP within %u s", (unsigned)a->options->io_timeout_s);
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

static void set(atomic_uint_fast64_t *to, uint64_t n)
{
    atomic_store_explicit(to, n, memory_order_relaxed);
}

/* What others see of the operation under way. */
static void note_response(association *a, operation *op, const dimse_command *response)
{
    op->nresponses++;
    op->status = response->status;
    snprintf(op->comment, sizeof op->comment, "%s", response->error_comment);
    set(&a->activity.nresponses, op->nresponses);
}

static void note_progress(association *a, operation *op)
{
    service_progress now = {0};
    association_note_traffic(a);
    if (op->service->progress == NULL)
        return;
    op->service->progress(op->state, &now);
    set(&a->activity.total, now.total);
    set(&a->activity.completed, now.completed);
    set(&a->activity.failed, now.failed);
    set(&a->activity.warning, now.warning);
    metrics_add(METRIC_SUB_COMPLETED, now.completed - op->counted.completed);
    metrics_add(METRIC_SUB_FAILED, now.failed - op->counted.failed);
    metrics_add(METRIC_SUB_WARNING, now.warning - op->counted.warning);
    op->counted = now;
}

static ul_result drive(association *a, operation *op, scp_error *error)
{
    bool held = false;
    for (;;) {
        /* A held response was made at once after the last look. */
        ul_result result = held ? UL_OK : look_for_cancel(a, op, error);
        if (result != UL_OK)
            return result;
        held = false;
        service_output out = {0};
        service_step step = op->service->next(op->state, &out);
        if (step == SERVICE_WORKING) {
            note_progress(a, op);
            continue;
        }
        if (step == SERVICE_SUBOPERATION) {
            result = run_suboperation(a, op, &out, error);
        } else {
            note_response(a, op, &out.command);
            /* The counters of a retrieval, which the next instance follows at once. */
            held = step == SERVICE_RESPONSE && op->service->suboperation_done != NULL;
            if (held)
                ul_association_hold(a->ul);
            result = association_respond(a, op->context, &out.command, &op->request, out.identifier,
                                         out.identifier_nbytes, error);
        }
        note_progress(a, op);
        if (result != UL_OK || step == SERVICE_FINAL)
            return result;
        if (association_spent_bytes(a)) {
            scp_fail(error, "as many bytes as max_mb_per_association allows");
            return UL_FAILED;
        }
    }
}

static void note_end(association *a, const operation *op, double started, ul_result result)
{
    activity_operation(&a->activity, NULL);
    metrics_operation(op->service->name, result == UL_OK ? op->status : METRIC_NO_STATUS,
                      (association_now_ms() - started) / 1e3);
    if (op->service->take != NULL && result == UL_OK &&
        dimse_classify(op->status) != DIMSE_CLASS_FAILURE) {
        set(&a->activity.stored, ++a->nstored);
        association_audit_stored(a, op->request.affected_sop_instance_uid);
    }
    if (result != UL_OK || dimse_classify(op->status) != DIMSE_CLASS_FAILURE)
        return;
    char reason[120];
    snprintf(reason, sizeof reason, "%04X %s", (unsigned)op->status,
             op->comment[0] != '\0' ? op->comment : dimse_status_text(op->status));
    activity_refuse(op->service->name, a->request->peer_address, a->request->calling_ae_title,
                    reason);
}

static void log_operation(const association *a, const operation *op, double started,
                          const ul_traffic *before, ul_result result)
{
    char detail[256] = "", status[8] = "none";
    ul_traffic traffic;
    log_field fields[16];
    size_t n = 0;
    if (result == UL_OK)
        snprintf(status, sizeof status, "%04X", (unsigned)op->status);
    if (op->service->describe != NULL)
        op->service->describe(op->state, detail, sizeof detail);
    ul_association_traffic(a->ul, &traffic);
    fields[n++] = LOG_U("association", a->number);
    fields[n++] = LOG_T("peer", a->request->peer_address);
    fields[n++] = LOG_T("calling", a->request->calling_ae_title);
    fields[n++] = LOG_T("operation", op->service->name);
    fields[n++] = LOG_T("outcome", result == UL_OK ? dimse_outcome(op->status) : "aborted");
    fields[n++] = LOG_T("status", status);
    if (op->service->progress != NULL) {
        fields[n++] = LOG_U("instances", op->counted.total);
        fields[n++] = LOG_U("completed", op->counted.completed);
        fields[n++] = LOG_U("failed", op->counted.failed);
        fields[n++] = LOG_U("warning", op->counted.warning);
    }
    fields[n++] = LOG_U("responses", op->nresponses);
    fields[n++] = LOG_U("bytes_in", traffic.bytes_in - before->bytes_in);
    fields[n++] = LOG_U("bytes_out", traffic.bytes_out - before->bytes_out);
    fields[n++] = LOG_MS("ms", association_now_ms() - started);
    if (detail[0] != '\0')
        fields[n++] = LOG_T("detail", detail);
    /* Of instances that come in, the association's end tells the number. */
    const bool routine = op->service->take != NULL && result == UL_OK && op->status == 0;
    log_event_fields(routine ? LOG_DEBUG : LOG_INFO, "operation", fields, n);
}

static void *start(association *a, const service *kind, const ul_context *context)
{
    const service_peer peer = {a->number, a->request, a->options, &a->access};
    const bool held = kind->take == NULL && dimse_has_data_set(&a->message.command);
    const service_request request = {
        .command = &a->message.command,
        .context_id = context->id,
        .transfer_syntax_uid = context->accepted_syntax,
        .abstract_syntax_uid = context->abstract_syntax,
        .identifier = held ? a->message.data : NULL,
        .identifier_nbytes = held ? a->message.data_nbytes : 0,
        .relational = context->relational,
    };
    return kind->start(a->setting.node, &peer, &request);
}

bool operation_begin_stream(association *a, const service *kind, const ul_context *context)
{
    a->stream = start(a, kind, context);
    if (a->stream == NULL)
        return false;
    a->stream_service = kind;
    a->stream_started = association_now_ms();
    ul_association_traffic(a->ul, &a->stream_before);
    activity_operation(&a->activity, kind->name);
    a->message.sink = kind->take;
    a->message.sink_context = a->stream;
    a->message.sink_limit = (uint64_t)a->options->max_data_set_mb << 20;
    return true;
}

ul_result operation_run(association *a, const service *kind, const ul_context *context,
                        scp_error *error)
{
    operation op = {.service = kind, .request = a->message.command, .context = context};
    const bool streams = a->stream != NULL;
    const double started = streams ? a->stream_started : association_now_ms();
    ul_traffic before = a->stream_before;
    if (!streams) {
        ul_association_traffic(a->ul, &before);
        activity_operation(&a->activity, kind->name);
    }
    op.state = streams ? a->stream : start(a, kind, context);
    a->stream = NULL;
    if (op.state == NULL) {
        activity_operation(&a->activity, NULL);
        return association_refuse(a, context, DIMSE_OUT_OF_RESOURCES, "out of memory", error);
    }
    a->nqueries += kind->command_field == DIMSE_C_FIND_RQ;
    audit_event *audited = association_audit_begin(a, kind, op.state, context);
    incoming_reset(&a->message);
    a->running = true;
    ul_result result = drive(a, &op, error);
    a->running = false;
    note_end(a, &op, started, result);
    association_audit_end(a, audited, op.status, &op.counted, result);
    log_operation(a, &op, started, &before, result);
    kind->finish(op.state);
    return result;
}
