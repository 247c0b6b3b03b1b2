/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_get.c - C-GET, Patient Root and Study Root (PS3.4 C.4.3): the instances of a retrieve.h
 * go out in their order on the association that the request came on.
 *
 * Invariant: each listed instance is counted once, and none but the listed one is sent in its
 * place; the one under way is the one behind those that are counted.
 */
#include "retrieval.h"
#include "retrieve.h"
#include "service.h"

#include <stdlib.h>

typedef struct get_operation {
    retrieve retrieve;
    bool cancelled;
    bool response_due; /* the counts changed since the last response */
    retrieval *retrieval;
    retrieval_instance instance; /* of the sub-operation under way */
} get_operation;

static void *get_start(const scp_node *node, const service_peer *peer,
                       const service_request *request)
{
    get_operation *op = calloc(1, sizeof *op);
    if (op == NULL)
        return NULL;
    retrieve *r = &op->retrieve;
    retrieve_begin(r, "get", node, peer, request);
    if (r->list.count > 0 && r->fault.status == 0) {
        op->retrieval = retrieval_create(node, peer->request, &r->list);
        if (op->retrieval != NULL)
            retrieval_set_query(op->retrieval, &r->query);
        else
            query_fail(&r->fault, DIMSE_OUT_OF_RESOURCES_MATCHES, 0, "out of memory");
    }
    return op;
}

/* The next instance into op->instance, or counted as failed. */
static bool make_instance(get_operation *op)
{
    retrieve *r = &op->retrieve;
    const size_t i = retrieve_ndone(r);
    retrieval_get(&op->instance, op->retrieval, i);
    if (op->instance.frame == NULL && op->instance.status != 0) {
        query_fail(&r->fault, op->instance.status, 0, "%s", op->instance.comment);
        return false;
    }
    if (op->instance.frame == NULL) {
        retrieve_count_failure(r, i, op->instance.comment, op->instance.reason);
        op->response_due = true;
        return false;
    }
    if (op->instance.context.encoding == DCB_ENCODING_STORED)
        r->nstored++;
    else
        r->ndecoded++;
    return true;
}

static void get_suboperation_done(void *operation, uint16_t status)
{
    get_operation *op = operation;
    dcb_frame_release(op->instance.frame);
    op->instance.frame = NULL;
    retrieve_count_status(&op->retrieve, retrieve_ndone(&op->retrieve), status);
    op->response_due = true;
}

static service_step get_next(void *operation, service_output *out)
{
    get_operation *op = operation;
    retrieve *r = &op->retrieve;
    *out = (service_output){0};
    /* A cancel that comes when all is done is too late to change anything. */
    if (r->fault.status != 0 || op->cancelled || retrieve_ndone(r) == r->list.count) {
        retrieve_final(r, out);
        return SERVICE_FINAL;
    }
    if (op->response_due) {
        op->response_due = false;
        retrieve_pending(r, out);
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
    retrieve_describe(&((const get_operation *)operation)->retrieve, buffer, size);
}

static void get_progress(const void *operation, service_progress *out)
{
    retrieve_progress(&((const get_operation *)operation)->retrieve, out);
}

static void get_finish(void *operation)
{
    get_operation *op = operation;
    dcb_frame_release(op->instance.frame);
    retrieval_close(op->retrieval); /* before the list, which it borrows */
    retrieve_clear(&op->retrieve);
    free(op);
}

static const audit_studies *get_studies(const void *operation)
{
    return &((const get_operation *)operation)->retrieve.studies;
}

const service service_get = {
    .name = "get",
    .command_field = DIMSE_C_GET_RQ,
    .start = get_start,
    .next = get_next,
    .suboperation_done = get_suboperation_done,
    .cancel = get_cancel,
    .describe = get_describe,
    .progress = get_progress,
    .studies = get_studies,
    .finish = get_finish,
};
