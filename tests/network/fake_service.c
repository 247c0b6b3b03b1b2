/* SPDX-License-Identifier: Apache-2.0 */
/* fake_service.c - what fake_service.h promises. */
#include "fake_service.h"

#include "frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

fake_counts fake;

typedef struct fake_operation {
    unsigned n, size, step_ms, wrong;
    unsigned i, ncompleted, nfailed;
    bool cancelled;
    const ul_context *context;
    uint8_t *identifier;
    dcb_frame *frame;
} fake_operation;

static void *start(const scp_node *node, const service_peer *peer, const service_request *request)
{
    (void)node;
    fake_operation *op = calloc(1, sizeof *op);
    char text[128];
    size_t n =
        request->identifier_nbytes < sizeof text - 1 ? request->identifier_nbytes : sizeof text - 1;
    if (op == NULL)
        return NULL;
    if (n > 0)
        memcpy(text, request->identifier, n);
    text[n] = '\0';
    sscanf(text, "n=%u size=%u step_ms=%u wrong=%u", &op->n, &op->size, &op->step_ms, &op->wrong);
    op->identifier = malloc(op->size + 1);
    for (uint32_t i = 0; i < peer->request->ncontexts && op->context == NULL; i++) {
        if (peer->request->contexts[i].result == 0 && peer->request->contexts[i].peer_is_scp)
            op->context = &peer->request->contexts[i];
    }
    atomic_fetch_add(&fake.started, 1);
    return op;
}

static void step(fake_operation *op)
{
    struct timespec pause = {op->step_ms / 1000, (long)(op->step_ms % 1000) * 1000000};
    if (op->step_ms != 0)
        nanosleep(&pause, NULL);
    op->i++;
}

static bool is_done(const fake_operation *op)
{
    return op->cancelled || op->i == op->n;
}

static service_step final(const fake_operation *op, service_output *out)
{
    out->command.status = op->cancelled ? DIMSE_CANCEL : DIMSE_SUCCESS;
    return SERVICE_FINAL;
}

static service_step find_next(void *operation, service_output *out)
{
    fake_operation *op = operation;
    if (is_done(op))
        return final(op, out);
    step(op);
    for (unsigned at = 0; at < op->size; at++)
        op->identifier[at] = fake_byte(op->i, at);
    out->command.status = DIMSE_PENDING;
    out->identifier = op->identifier;
    out->identifier_nbytes = op->size;
    return SERVICE_RESPONSE;
}

static service_step get_next(void *operation, service_output *out)
{
    fake_operation *op = operation;
    dcb_frame_release(op->frame);
    op->frame = NULL;
    if (is_done(op) || op->context == NULL) {
        out->command.present = DIMSE_HAS_COUNTS;
        out->command.completed = (uint16_t)op->ncompleted;
        out->command.failed = (uint16_t)op->nfailed;
        return final(op, out);
    }
    step(op);
    char instance[65];
    uint8_t *bytes;
    snprintf(instance, sizeof instance, "1.2.3.%u", op->i);
    const dcb__frame_layout layout = {
        op->size, 0, op->wrong == op->i ? "1.2.840.10008.1.2.4.50" : op->context->accepted_syntax,
        op->context->abstract_syntax, instance};
    if (dcb__frame_create(&op->frame, &bytes, &layout, NULL) != DCB_OK)
        abort();
    for (unsigned at = 0; at < op->size; at++)
        bytes[at] = fake_byte(op->i, at);
    out->suboperation_context_id = op->context->id;
    out->frame = op->frame;
    return SERVICE_SUBOPERATION;
}

static void suboperation_done(void *operation, uint16_t status)
{
    fake_operation *op = operation;
    if (op->i <= 8)
        atomic_store(&fake.statuses[op->i - 1], status);
    atomic_fetch_add(&fake.stored, 1);
    *(dimse_classify(status) == DIMSE_CLASS_FAILURE ? &op->nfailed : &op->ncompleted) += 1;
}

static void cancel(void *operation)
{
    ((fake_operation *)operation)->cancelled = true;
    atomic_fetch_add(&fake.cancelled, 1);
}

static void describe(const void *operation, char *buffer, size_t size)
{
    snprintf(buffer, size, "i=%u", ((const fake_operation *)operation)->i);
}

static void finish(void *operation)
{
    fake_operation *op = operation;
    dcb_frame_release(op->frame);
    free(op->identifier);
    free(op);
    atomic_fetch_add(&fake.finished, 1);
}

const service fake_find = {.name = "find",
                           .command_field = DIMSE_C_FIND_RQ,
                           .start = start,
                           .next = find_next,
                           .cancel = cancel,
                           .describe = describe,
                           .finish = finish};

const service fake_get = {.name = "get",
                          .command_field = DIMSE_C_GET_RQ,
                          .start = start,
                          .next = get_next,
                          .suboperation_done = suboperation_done,
                          .cancel = cancel,
                          .describe = describe,
                          .finish = finish};
