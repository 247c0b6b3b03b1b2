/* SPDX-License-Identifier: Apache-2.0 */
/*
 * association.c - the message loop of one association.
 *
 * Invariant: at most one operation runs (no asynchronous window is negotiated). What breaks the
 * protocol ends the association by A-ABORT; what is merely wrong with a request is answered with a
 * status.
 *
 * A release or abort in the middle of an operation is normal: the operation is finished unseen.
 */
#include "association_private.h"

#include "association_audit.h"
#include "audit.h"
#include "log.h"
#include "metrics.h"
#include "negotiation.h"
#include "node.h"
#include "sop_classes.h"
#include "steady_clock.h"
#include "titles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IDENTIFIER_MAX (1u << 20)

double association_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int association_to_ms(uint32_t seconds)
{
    return seconds < 2000000 ? (int)seconds * 1000 : 2000000000;
}

void association_note_traffic(association *a)
{
    ul_traffic now;
    ul_association_traffic(a->ul, &now);
    metrics_add(METRIC_BYTES_IN, now.bytes_in - a->counted.bytes_in);
    metrics_add(METRIC_BYTES_OUT, now.bytes_out - a->counted.bytes_out);
    atomic_store_explicit(&a->activity.bytes_in, now.bytes_in, memory_order_relaxed);
    atomic_store_explicit(&a->activity.bytes_out, now.bytes_out, memory_order_relaxed);
    a->counted = now;
}

/* ---- Receiving ---- */

static void decide_access(association *a)
{
    const ul_secure *secure = &a->request->secure;
    access_caller caller = {.calling_ae_title = a->request->calling_ae_title,
                            .called_ae_title = a->request->called_ae_title,
                            .address = a->request->peer_address,
                            .user = a->request->user,
                            .is_encrypted = secure->protocol[0] != '\0'};
    if (secure->subject[0] != '\0')
        caller.names[caller.nnames++] = secure->subject;
    for (uint32_t i = 0; i < secure->nnames && caller.nnames < ACCESS_MOST_NAMES; i++)
        caller.names[caller.nnames++] = secure->names[i];
    a->access = access_decide(a->options, &caller);
}

/* Before each request; those of its begin are in force to its end. */
static void look_at_settings(association *a)
{
    scp_settings *settings = a->setting.node->settings;
    const scp_options *before = a->options;
    a->options = settings != NULL ? settings_look(&a->view, settings) : a->setting.node->options;
    if (before != NULL && a->options != before)
        decide_access(a);
}

bool association_spent_bytes(const association *a)
{
    ul_traffic traffic;
    const uint64_t most = (uint64_t)a->options->max_mb_per_association << 20;
    ul_association_traffic(a->ul, &traffic);
    return most != 0 && traffic.bytes_in + traffic.bytes_out >= most;
}

const ul_context *association_find_context(const association *a, uint8_t id)
{
    for (uint32_t i = 0; i < a->request->ncontexts; i++) {
        const ul_context *context = &a->request->contexts[i];
        if (context->id == id && context->result == 0)
            return context;
    }
    return NULL;
}

/* What is wrong with the request in a->message; status 0: nothing. */
typedef struct request_check {
    const service *service;
    uint16_t status;
    const char *comment;
} request_check;

static request_check check_request(association *a);

/* The command is there, its data set follows: where a service takes it as it comes, it does from
   here on. A request that is not acceptable has its data set passed over. */
static void begin_stream(association *a)
{
    look_at_settings(a);
    const request_check check = check_request(a);
    if (check.status == 0 && check.service->take != NULL)
        operation_begin_stream(a, check.service,
                               association_find_context(a, a->message.context_id));
}

ul_result association_receive(association *a, int timeout_ms, scp_error *error)
{
    for (;;) {
        ul_pdv pdv;
        int patience = timeout_ms != 0 && a->message.begun
                           ? association_to_ms(a->options->io_timeout_s)
                           : timeout_ms;
        ul_result result = ul_read_pdv(a->ul, &pdv, patience, error);
        if (result == UL_TIMEOUT && timeout_ms != 0 && a->message.begun) {
            scp_fail(error, "the peer stopped within a message");
            return UL_FAILED;
        }
        if (result != UL_OK)
            return result;
        association_note_traffic(a);
        if (association_find_context(a, pdv.context_id) == NULL) {
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
            if (pdv.is_command && a->message.command_complete && !a->running)
                begin_stream(a);
            break;
        }
    }
}

/* ---- Sending ---- */

ul_result association_respond(association *a, const ul_context *context, dimse_command *response,
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

ul_result association_refuse(association *a, const ul_context *context, uint16_t status,
                             const char *comment, scp_error *error)
{
    dimse_command response;
    dimse_response_init(&response, &a->message.command, status);
    snprintf(response.error_comment, sizeof response.error_comment, "%s", comment);
    log_event(LOG_WARN, "request.refused", LOG_U("association", a->number),
              LOG_T("peer", a->request->peer_address), LOG_U("status", status),
              LOG_T("reason", comment));
    metrics_add(METRIC_REFUSED, 1);
    activity_refuse("request", a->request->peer_address, a->request->calling_ae_title, comment);
    return association_respond(a, context, &response, &a->message.command, NULL, 0, error);
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

static uint32_t right_for(uint16_t command_field)
{
    switch (command_field) {
    case DIMSE_C_ECHO_RQ:
        return ACCESS_ECHO;
    case DIMSE_C_FIND_RQ:
        return ACCESS_FIND;
    case DIMSE_C_GET_RQ:
        return ACCESS_GET;
    case DIMSE_C_MOVE_RQ:
        return ACCESS_MOVE;
    default:
        return ACCESS_STORE;
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

/* What the association used up already; status 0: nothing of it. */
static request_check check_limits(association *a, const service *kind)
{
    const scp_options *options = a->options;
    const uint16_t field = kind->command_field;
    const bool retrieves = field == DIMSE_C_GET_RQ || field == DIMSE_C_MOVE_RQ;
    if (field == DIMSE_C_FIND_RQ && options->max_queries_per_association != 0 &&
        a->nqueries >= options->max_queries_per_association)
        return (request_check){kind, DIMSE_OUT_OF_RESOURCES,
                               "as many queries as max_queries_per_association allows"};
    if (field != DIMSE_C_ECHO_RQ && association_spent_bytes(a))
        return (request_check){
            kind, retrieves ? DIMSE_OUT_OF_RESOURCES_SUBOPERATIONS : DIMSE_OUT_OF_RESOURCES,
            "as many bytes as max_mb_per_association allows"};
    return (request_check){kind, 0, ""};
}

static request_check check_request(association *a)
{
    dimse_command *command = &a->message.command;
    const ul_context *context = association_find_context(a, a->message.context_id);
    const service *kind = find_service(a, command->command_field);
    if (kind == NULL)
        return (request_check){NULL, DIMSE_UNRECOGNIZED_OPERATION, "operation not supported"};
    if (command->affected_sop_class_uid[0] == '\0')
        snprintf(command->affected_sop_class_uid, sizeof command->affected_sop_class_uid, "%s",
                 context->abstract_syntax);
    if (strcmp(command->affected_sop_class_uid, context->abstract_syntax) != 0)
        return (request_check){kind, DIMSE_SOP_CLASS_NOT_SUPPORTED,
                               "SOP class is not the presentation context's"};
    if (command_for(sop_class_kind(context->abstract_syntax)) != command->command_field)
        return (request_check){kind, DIMSE_UNRECOGNIZED_OPERATION,
                               "operation does not belong to the SOP class"};
    if ((a->access.rights & right_for(command->command_field)) == 0)
        return (request_check){kind, DIMSE_NOT_AUTHORIZED, a->access.text};
    if (kind->take == NULL)
        return check_limits(a, kind);
    if (!context->peer_stores)
        return (request_check){kind, DIMSE_SOP_CLASS_NOT_SUPPORTED,
                               "the presentation context is not for C-STORE to this node"};
    if (command->affected_sop_instance_uid[0] == '\0' || !dimse_has_data_set(command))
        return (request_check){kind, DIMSE_UNABLE_TO_PROCESS,
                               "C-STORE without SOP Instance UID or data set"};
    return check_limits(a, kind);
}

/* What came of a data set is let go: the peer went away within it, or it is too large. */
static void drop_stream(association *a)
{
    if (a->stream == NULL)
        return;
    const int64_t began_ms = (int64_t)a->activity.operation_ms;
    metrics_operation(a->stream_service->name, METRIC_NO_STATUS,
                      (double)(steady_clock_ms() - began_ms) / 1e3);
    a->stream_service->finish(a->stream);
    a->stream = NULL;
}

static ul_result answer(association *a, scp_error *error)
{
    const dimse_command *command = &a->message.command;
    const ul_context *context = association_find_context(a, a->message.context_id);
    /* No response is due to a cancel that comes too late, nor to a response. */
    if (command->command_field == DIMSE_C_CANCEL_RQ ||
        (command->command_field & DIMSE_RESPONSE) != 0)
        return UL_OK;
    if ((command->present & DIMSE_HAS_MESSAGE_ID) == 0) {
        scp_fail(error, "command %04XH without Message ID", (unsigned)command->command_field);
        return UL_FAILED;
    }
    const request_check check = check_request(a);
    if (check.status != 0)
        return association_refuse(a, context, check.status, check.comment, error);
    if (check.service->take != NULL && a->stream == NULL)
        return association_refuse(a, context, DIMSE_OUT_OF_RESOURCES, "out of memory", error);
    if (a->message.data_too_long && a->stream != NULL) {
        drop_stream(a);
        return association_refuse(a, context, DIMSE_OUT_OF_RESOURCES,
                                  "data set is larger than max_data_set_mb allows", error);
    }
    if (a->message.data_too_long)
        return association_refuse(a, context, DIMSE_UNABLE_TO_PROCESS, "identifier is over 1 MiB",
                                  error);
    return operation_run(a, check.service, context, error);
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
    ul_result result = UL_OK;
    while (result == UL_OK) {
        const uint32_t idle_s = a->options->idle_timeout_s;
        result = association_receive(a, idle_s != 0 ? association_to_ms(idle_s) : -1, error);
        if (result == UL_TIMEOUT)
            scp_fail(error, "idle for %u s", (unsigned)idle_s);
        if (result != UL_OK)
            break;
        bool go_on = set_busy(a, true);
        if (a->stream == NULL)
            look_at_settings(a);
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

/* Negotiated for a SOP class, and so for all its contexts. */
static void note_relational(ul_request *request, const char *sop_class_uid)
{
    for (uint32_t i = 0; i < request->ncontexts; i++) {
        ul_context *context = &request->contexts[i];
        context->relational =
            context->relational || strcmp(context->abstract_syntax, sop_class_uid) == 0;
    }
}

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
        const size_t n =
            negotiate_extended(bytes, sizeof bytes, context->abstract_syntax, proposed, nbytes);
        if (n > 0 &&
            ul_association_extended_answer(a->ul, context->abstract_syntax, bytes, n, NULL) == 0 &&
            bytes[0] == 1)
            note_relational(ul_association_request(a->ul), context->abstract_syntax);
    }
}

/* Is the user who it says it is? Before access rules, which look at it. */
static bool identify(association *a, scp_error *why)
{
    scp_users *users = a->setting.node->users;
    return users == NULL ||
           users_identify(users, ul_association_request(a->ul), a->options->user_identity,
                          a->options->users_file, (int64_t)association_now_ms(), why);
}

static bool answer_request(association *a, const char *full)
{
    char text[96];
    scp_error who = SCP_ERROR_INIT;
    const bool known =
        full != NULL || identify(a, &who); /* where there is no room it costs nothing */
    decide_access(a);
    const negotiation_policy policy = {
        .ae_title = a->options->check_called_ae_title ? a->setting.node->options->ae_title
                                                      : a->request->called_ae_title,
        .get_without_role = a->options->get_without_role,
        .store = a->setting.node->ingest != NULL,
        .store_unknown = a->options->store_unknown_sop_classes,
        .rights = a->access.rights,
        .access = a->access.text,
    };
    negotiation_verdict verdict = negotiate(ul_association_request(a->ul), &policy);
    /* Who the user is was not asked then, and nobody is told "never" for want of room. */
    if (full != NULL && (verdict.accepted || policy.rights == 0)) {
        snprintf(text, sizeof text, "as many associations as are allowed (%s)", full);
        verdict = (negotiation_verdict){false, 2, 3, 2, text};
    }
    if (!known)
        verdict = (negotiation_verdict){false, 1, 1, 1, who.message};
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
    metrics_reject(verdict.source, verdict.reason);
    activity_refuse("association", a->request->peer_address, a->request->calling_ae_title,
                    verdict.text);
    audit_tell(a->setting.node, AUDIT_REFUSED, a->request, verdict.text);
    ul_association_reject(a->ul, verdict.result, verdict.source, verdict.reason);
    return false;
}

static void note_accepted(association *a)
{
    activity_entry *entry = &a->activity;
    entry->number = a->number;
    snprintf(entry->peer, sizeof entry->peer, "%s", a->request->peer_address);
    snprintf(entry->calling, sizeof entry->calling, "%s", a->request->calling_ae_title);
    snprintf(entry->called, sizeof entry->called, "%s", a->request->called_ae_title);
    activity_begin(entry);
    metrics_add(METRIC_ACCEPTED, 1);
}

static void note_end(association *a, ul_result result)
{
    association_note_traffic(a);
    activity_end(&a->activity);
    metrics_add(result == UL_RELEASED  ? METRIC_ENDED_RELEASED
                : result == UL_ABORTED ? METRIC_ENDED_ABORTED
                                       : METRIC_ENDED_FAILED,
                1);
}

static void log_accepted(const association *a)
{
    uint32_t naccepted = 0;
    for (uint32_t i = 0; i < a->request->ncontexts; i++)
        naccepted += a->request->contexts[i].result == 0;
    const ul_secure *secure = &a->request->secure;
    const log_field fields[] = {
        LOG_U("association", a->number),
        LOG_T("peer", a->request->peer_address),
        LOG_U("port", a->request->peer_port),
        LOG_T("calling", a->request->calling_ae_title),
        LOG_T("implementation", a->request->implementation_version),
        LOG_U("max_pdu", a->request->peer_max_pdu),
        LOG_U("accepted", naccepted),
        LOG_U("proposed", a->request->ncontexts),
        LOG_T("user", a->request->user),
        LOG_T("tls", secure->protocol),
        LOG_T("cipher", secure->cipher),
        LOG_T("certificate", secure->subject),
    };
    const size_t n = sizeof fields / sizeof fields[0];
    log_event_fields(LOG_INFO, "association.accepted", fields,
                     secure->protocol[0] != '\0'   ? n
                     : a->request->user[0] != '\0' ? n - 3
                                                   : n - 4);
}

static void log_end(const association *a, ul_result result, const scp_error *error, double started)
{
    ul_traffic traffic;
    ul_association_traffic(a->ul, &traffic);
    log_event(result == UL_FAILED ? LOG_WARN : LOG_INFO,
              result == UL_RELEASED ? "association.released" : "association.aborted",
              LOG_U("association", a->number), LOG_T("peer", a->request->peer_address),
              LOG_T("calling", a->request->calling_ae_title), LOG_U("bytes_in", traffic.bytes_in),
              LOG_U("bytes_out", traffic.bytes_out), LOG_U("stored", a->nstored),
              LOG_MS("ms", association_now_ms() - started),
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
    look_at_settings(a);
    const scp_node *called = titles_find(setting->node, a->request->called_ae_title);
    a->setting.node = called != NULL ? called : setting->node;
    return a;
}

const scp_options *association_options(const association *a)
{
    return a->options;
}

const ul_request *association_request(const association *a)
{
    return a->request;
}

bool association_run(association *a, const char *full)
{
    scp_error error = SCP_ERROR_INIT;
    const double started = association_now_ms();
    if (!answer_request(a, full))
        return false;
    note_accepted(a);
    ul_result result = ul_association_accept(a->ul, &error);
    if (result == UL_OK) {
        log_accepted(a);
        result = serve(a, &error);
    }
    if (result == UL_RELEASED)
        ul_association_finish_release(a->ul);
    else if (result != UL_ABORTED)
        ul_association_abort(a->ul);
    drop_stream(a); /* before the log tells of the end: nothing of it is left then */
    association_audit_close(a);
    note_end(a, result);
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
    drop_stream(a);
    settings_drop(&a->view);
    ul_association_close(a->ul);
    incoming_free(&a->message);
    pthread_mutex_destroy(&a->lock);
    free(a);
}
