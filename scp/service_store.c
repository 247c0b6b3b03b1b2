/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_store.c - C-STORE to the node (PS3.4 B.2): hands the data set on to the ingest as it
 * comes, and answers when it is kept.
 */
#include "ingest.h"
#include "log.h"
#include "node.h"
#include "service.h"
#include "sop_classes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct store_operation {
    dimse_command request;
    ingest_instance *instance;
    ingest_verdict verdict;
    uint64_t nbytes;
    char transfer_syntax_uid[UL_UID_SIZE];
} store_operation;

static void *store_start(const scp_node *node, const service_peer *peer,
                         const service_request *request)
{
    store_operation *op = calloc(1, sizeof *op);
    if (op == NULL)
        return NULL;
    op->request = *request->command;
    snprintf(op->transfer_syntax_uid, UL_UID_SIZE, "%s", request->transfer_syntax_uid);
    const ingest_request wanted = {peer->association_number, request->transfer_syntax_uid,
                                   request->abstract_syntax_uid,
                                   request->command->affected_sop_instance_uid};
    op->instance = ingest_begin(node->ingest, &wanted);
    if (op->instance == NULL) {
        free(op);
        return NULL;
    }
    return op;
}

static void store_take(void *operation, const uint8_t *bytes, size_t nbytes)
{
    store_operation *op = operation;
    op->nbytes += nbytes;
    ingest_take(op->instance, bytes, nbytes);
}

static service_step store_next(void *operation, service_output *out)
{
    store_operation *op = operation;
    ingest_finish(op->instance, &op->verdict);
    dimse_response_init(&out->command, &op->request, op->verdict.status);
    snprintf(out->command.error_comment, sizeof out->command.error_comment, "%s",
             op->verdict.comment);
    return SERVICE_FINAL;
}

static void store_describe(const void *operation, char *buffer, size_t size)
{
    const store_operation *op = operation;
    snprintf(buffer, size, "class=%s syntax=%s data=%llu%s%s",
             sop_class_name(op->request.affected_sop_class_uid), op->transfer_syntax_uid,
             (unsigned long long)op->nbytes, op->verdict.comment[0] != '\0' ? " " : "",
             op->verdict.comment);
}

static void store_finish(void *operation)
{
    store_operation *op = operation;
    ingest_free(op->instance);
    free(op);
}

const service service_store = {
    .name = "store",
    .command_field = DIMSE_C_STORE_RQ,
    .start = store_start,
    .take = store_take,
    .next = store_next,
    .describe = store_describe,
    .finish = store_finish,
};
