/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_get.c - C-GET, Patient Root and Study Root (PS3.4 C.4.3).
 *
 * All instances are listed first, so that the number of remaining sub-operations is true from the
 * first response on and no read transaction stays open while the peer stores.
 *
 * Invariant: completed + failed + warning <= list.count; each listed instance is counted once,
 * whatever becomes of it, and none but the listed one is sent in its place. Counters on the wire
 * have 16 bits and stay at 65535 where there is more (PS3.7 E.1).
 */
#include "identifier.h"
#include "ingest.h"
#include "instance_list.h"
#include "log.h"
#include "node.h"
#include "retrieval.h"
#include "service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct get_operation {
    const scp_node *node;
    uint32_t association_number;
    dimse_command request;
    query_fault fault; /* of the request or the index: nothing was sent */
    bool is_read, cancelled;
    bool response_due; /* the counters changed since the last response */
    scp_query query;
    instance_list list;
    size_t completed, failed, warning;
    size_t *failures; /* indexes into list, `failed` of them */
    size_t failures_capacity;
    char cause[65]; /* of the first failure */
    retrieval *retrieval;
    retrieval_instance instance; /* of the sub-operation under way */
    uint8_t *identifier;
    size_t identifier_nbytes;
    uint64_t nstored, ndecoded;
} get_operation;

static size_t count_done(const get_operation *op)
{
    return op->completed + op->failed + op->warning;
}

/* ---- Start ---- */

static index_filter make_filter(const scp_query *query)
{
    const query_values *unique = query->unique;
    return (index_filter){
        .patient_id = unique[LEVEL_PATIENT].count > 0 ? unique[LEVEL_PATIENT].values[0] : NULL,
        .study_uids = unique[LEVEL_STUDY].values,
        .nstudy_uids = unique[LEVEL_STUDY].count,
        .series_uids = unique[LEVEL_SERIES].values,
        .nseries_uids = unique[LEVEL_SERIES].count,
        .sop_uids = unique[LEVEL_IMAGE].values,
        .nsop_uids = unique[LEVEL_IMAGE].count,
    };
}

static void fail_listing(get_operation *op, const char *comment, const char *reason)
{
    log_event(LOG_ERROR, "get.index", LOG_U("association", op->association_number),
              LOG_T("reason", reason));
    query_fail(&op->fault, DIMSE_OUT_OF_RESOURCES_MATCHES, 0, "%s", comment);
}

static void list_instances(get_operation *op)
{
    const index_filter filter = make_filter(&op->query);
    ingest_settle(op->node->ingest);
    scp_error error = SCP_ERROR_INIT;
    index_cursor *cursor = NULL;
    int result = index_find_instances(&cursor, op->node->index, &filter, &error);
    if (result == 0) {
        index_instance instance;
        while ((result = index_cursor_next_instance(cursor, &instance, &error)) == 1) {
            if (!instance_list_add(&op->list, &instance)) {
                fail_listing(op, "out of memory for the matches", "out of memory");
                break;
            }
        }
        index_cursor_close(cursor);
    }
    if (result < 0)
        fail_listing(op, "the index cannot be read", error.message);
}

static void *get_start(const scp_node *node, const service_peer *peer,
                       const service_request *request)
{
    get_operation *op = calloc(1, sizeof *op);
    if (op == NULL)
        return NULL;
    op->node = node;
    op->association_number = peer->association_number;
    op->request = *request->command;
    op->is_read = identifier_read(&op->query, QUERY_RETRIEVE, request, &op->fault);
    if (op->is_read)
        list_instances(op);
    if (op->list.count > 0 && op->fault.status == 0) {
        op->retrieval = retrieval_create(node, peer->request, &op->list);
        if (op->retrieval == NULL)
            query_fail(&op->fault, DIMSE_OUT_OF_RESOURCES_MATCHES, 0, "out of memory");
    }
    return op;
}

/* ---- Sub-operations ---- */

/* Counts the instance under way as failed. Only the first cause is told to the peer; the operator
   sees each at debug level. */
static void count_failure(get_operation *op, const char *comment, const char *reason)
{
    const size_t i = count_done(op);
    log_event(op->failed == 0 ? LOG_WARN : LOG_DEBUG, "get.failed",
              LOG_U("association", op->association_number),
              LOG_T("path", instance_list_path(&op->list, i)),
              LOG_U("frame", instance_list_frame(&op->list, i)), LOG_T("cause", comment),
              LOG_T("reason", reason));
    if (op->failed == 0)
        snprintf(op->cause, sizeof op->cause, "%s", comment);
    if (op->failed == op->failures_capacity) {
        const size_t wanted = op->failures_capacity * 2 + 16;
        size_t *grown = realloc(op->failures, wanted * sizeof *grown);
        if (grown != NULL) {
            op->failures = grown;
            op->failures_capacity = wanted;
        }
    }
    /* Without memory the list has a gap at its end; the count stays true. */
    if (op->failed < op->failures_capacity)
        op->failures[op->failed] = i;
    op->failed++;
    op->response_due = true;
}

/* The next instance into op->instance, or counted as failed. */
static bool make_instance(get_operation *op)
{
    retrieval_get(&op->instance, op->retrieval, count_done(op));
    if (op->instance.frame == NULL) {
        count_failure(op, op->instance.comment, op->instance.reason);
        return false;
    }
    if (op->instance.context.encoding == DCB_ENCODING_STORED)
        op->nstored++;
    else
        op->ndecoded++;
    return true;
}

static void get_suboperation_done(void *operation, uint16_t status)
{
    get_operation *op = operation;
    char comment[65];
    dcb_frame_release(op->instance.frame);
    op->instance.frame = NULL;
    switch (dimse_classify(status)) {
    case DIMSE_CLASS_SUCCESS:
        op->completed++;
        break;
    case DIMSE_CLASS_WARNING:
        op->warning++;
        break;
    default:
        snprintf(comment, sizeof comment, "the peer refused an instance: status %04XH",
                 (unsigned)status);
        count_failure(op, comment, "");
        break;
    }
    op->response_due = true;
}

/* ---- Responses ---- */

static uint16_t saturate(size_t count)
{
    return count < UINT16_MAX ? (uint16_t)count : UINT16_MAX;
}

static void set_response(get_operation *op, service_output *out, uint16_t status, bool remaining)
{
    dimse_response_init(&out->command, &op->request, status);
    out->command.present |= DIMSE_HAS_COUNTS | (remaining ? DIMSE_HAS_REMAINING : 0);
    out->command.remaining = saturate(op->list.count - count_done(op));
    out->command.completed = saturate(op->completed);
    out->command.failed = saturate(op->failed);
    out->command.warning = saturate(op->warning);
}

static int compare_uids(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* "1.2.3\1.2.4": each failed SOP Instance UID once; free(). NULL where memory ran out. */
static char *join_failures(const get_operation *op, size_t *nbytes)
{
    const size_t count = op->failed < op->failures_capacity ? op->failed : op->failures_capacity;
    char(*uids)[UL_UID_SIZE] = calloc(count + 1, sizeof *uids);
    char *joined = malloc((count + 1) * UL_UID_SIZE);
    *nbytes = 0;
    if (uids != NULL && joined != NULL) {
        for (size_t i = 0; i < count; i++)
            instance_list_uid(uids[i], &op->list, op->failures[i]);
        qsort(uids, count, sizeof *uids, compare_uids);
        for (size_t i = 0; i < count; i++) {
            if (i > 0 && strcmp(uids[i], uids[i - 1]) == 0)
                continue;
            if (i > 0)
                joined[(*nbytes)++] = '\\';
            const size_t n = strlen(uids[i]);
            memcpy(joined + *nbytes, uids[i], n);
            *nbytes += n;
        }
    } else {
        free(joined);
        joined = NULL;
    }
    free(uids);
    return joined;
}

/* (0008,0058), where there is a failure and memory (C.4.3.1.3.2). */
static void add_failed_list(get_operation *op, service_output *out)
{
    if (op->failed == 0)
        return;
    size_t nbytes = 0;
    char *uids = join_failures(op, &nbytes);
    dcb_dataset *identifier = NULL;
    if (uids != NULL && dcb_dataset_create(&identifier, NULL) == DCB_OK &&
        dcb_dataset_put(identifier, TAG_FAILED_SOP_UID_LIST, DCB_VR('U', 'I'), uids, nbytes,
                        NULL) == DCB_OK &&
        dcb_dataset_encode(&op->identifier, &op->identifier_nbytes, identifier, op->query.syntax,
                           NULL) == DCB_OK) {
        out->identifier = op->identifier;
        out->identifier_nbytes = op->identifier_nbytes;
        out->command.data_set_type = 1;
    }
    dcb_dataset_close(identifier);
    free(uids);
}

/* PS3.4 C.4.3.1.4 and table C.4-3. */
static uint16_t final_status(const get_operation *op)
{
    if (count_done(op) < op->list.count)
        return DIMSE_CANCEL;
    if (op->failed == 0 && op->warning == 0)
        return DIMSE_SUCCESS;
    return op->failed == op->list.count ? DIMSE_OUT_OF_RESOURCES_SUBOPERATIONS
                                        : DIMSE_WARNING_SUBOPERATIONS;
}

static service_step finish_refused(get_operation *op, service_output *out)
{
    dimse_response_init(&out->command, &op->request, op->fault.status);
    out->command.offending_element = op->fault.offending_element;
    snprintf(out->command.error_comment, sizeof out->command.error_comment, "%s",
             op->fault.comment);
    return SERVICE_FINAL;
}

static service_step finish_done(get_operation *op, service_output *out)
{
    const uint16_t status = final_status(op);
    set_response(op, out, status, status == DIMSE_CANCEL);
    if (status != DIMSE_SUCCESS)
        add_failed_list(op, out);
    if (op->failed > 0)
        snprintf(out->command.error_comment, sizeof out->command.error_comment, "%s", op->cause);
    return SERVICE_FINAL;
}

static service_step get_next(void *operation, service_output *out)
{
    get_operation *op = operation;
    *out = (service_output){0};
    if (op->fault.status != 0)
        return finish_refused(op, out);
    /* A cancel that comes when all is done is too late to change anything. */
    if (op->cancelled || count_done(op) == op->list.count)
        return finish_done(op, out);
    if (op->response_due) {
        op->response_due = false;
        set_response(op, out, DIMSE_PENDING, true);
        return SERVICE_RESPONSE;
    }
    if (!make_instance(op))
        return SERVICE_WORKING;
    out->suboperation_context_id = op->instance.context.id;
    out->frame = op->instance.frame;
    return SERVICE_SUBOPERATION;
}

static void get_cancel(void *operation)
{
    ((get_operation *)operation)->cancelled = true;
}

static void get_describe(const void *operation, char *buffer, size_t size)
{
    const get_operation *op = operation;
    if (!op->is_read)
        snprintf(buffer, size, "refused: %s", op->fault.comment);
    else
        snprintf(buffer, size,
                 "model=%s level=%s instances=%zu completed=%zu failed=%zu warning=%zu"
                 " stored=%" PRIu64 " decoded=%" PRIu64 "%s%s",
                 op->query.model == MODEL_PATIENT_ROOT ? "PATIENT" : "STUDY",
                 query_level_name(op->query.level), op->list.count, op->completed, op->failed,
                 op->warning, op->nstored, op->ndecoded, op->fault.status != 0 ? " failed: " : "",
                 op->fault.comment);
}

static void get_finish(void *operation)
{
    get_operation *op = operation;
    dcb_frame_release(op->instance.frame);
    retrieval_close(op->retrieval); /* before the list, which it borrows */
    instance_list_clear(&op->list);
    query_clear(&op->query);
    free(op->failures);
    free(op->identifier);
    free(op);
}

const service service_get = {
    .name = "get",
    .command_field = DIMSE_C_GET_RQ,
    .start = get_start,
    .next = get_next,
    .suboperation_done = get_suboperation_done,
    .cancel = get_cancel,
    .describe = get_describe,
    .finish = get_finish,
};
