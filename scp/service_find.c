/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_find.c - C-FIND, Patient Root and Study Root (PS3.4 C.4.1).
 *
 * The index narrows, matchers decide, one answer leaves at each next. Keys that the index does not
 * hold, or in which the instances of a series differ, cost one look into the file for each record.
 *
 * Invariant: an operation whose fault.status is not 0 or whose cursor has ended has its final
 * status, and gives nothing else.
 */
#include "find_file.h"
#include "find_filter.h"
#include "find_response.h"
#include "identifier.h"
#include "ingest.h"
#include "log.h"
#include "match.h"
#include "node.h"
#include "service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Records looked at before the association may look for a cancel. */
#define RECORDS_AT_ONCE 256

typedef struct find_operation {
    const scp_node *node;
    uint32_t association_number;
    dimse_command request;
    query_fault fault; /* status 0: none so far */
    bool is_read, cancelled, ended;
    scp_query query;
    find_filter filter;
    scp_matcher *record_matcher, *file_matcher;
    bool wants_file;
    bool optional_keys_missing; /* FF01 instead of FF00 */
    index_cursor *cursor;
    find_file file;
    bool file_warned;
    uint8_t *identifier; /* of the last answer */
    size_t identifier_nbytes;
    uint64_t nexamined, nmatches;
} find_operation;

static void fail_no_memory(find_operation *op)
{
    query_fail(&op->fault, DIMSE_OUT_OF_RESOURCES, 0, "out of memory");
}

static void fail_index(find_operation *op, const scp_error *error)
{
    log_event(LOG_ERROR, "find.index", LOG_U("association", op->association_number),
              LOG_T("reason", error->message));
    query_fail(&op->fault, DIMSE_UNABLE_TO_PROCESS, 0, "the index cannot be read");
}

/* ---- Start ---- */

static bool make_matcher(scp_matcher **out, find_operation *op, key_source source)
{
    dcb_dataset *keys = NULL;
    uint32_t offending = 0;
    if (find_keys_of(&keys, &op->query, source, NULL) != DCB_OK) {
        fail_no_memory(op);
        return false;
    }
    const matcher_status status = matcher_create(out, keys, &offending);
    dcb_dataset_close(keys);
    if (status == MATCHER_NO_MEMORY)
        fail_no_memory(op);
    else if (status == MATCHER_BAD_KEY) /* only dates and times can be bad */
        query_fail(&op->fault, DIMSE_IDENTIFIER_MISMATCH, offending,
                   "(%04X,%04X) holds no date or time, nor a range", (unsigned)(offending >> 16),
                   (unsigned)(offending & 0xFFFF));
    return status == MATCHER_OK;
}

static bool prepare(find_operation *op, const service_request *request)
{
    op->is_read = identifier_read(&op->query, QUERY_FIND, request, &op->fault);
    if (!op->is_read || !make_matcher(&op->record_matcher, op, KEY_RECORD) ||
        !make_matcher(&op->file_matcher, op, KEY_FILE))
        return false;
    op->wants_file = find_has_key(&op->query, KEY_FILE);
    op->optional_keys_missing = !find_keys_supported(&op->query);
    if (!find_filter_make(&op->filter, &op->query)) {
        fail_no_memory(op);
        return false;
    }
    scp_error error = SCP_ERROR_INIT;
    ingest_settle(op->node->ingest);
    if (index_find(&op->cursor, op->node->index, op->query.level, &op->filter.index, &error) != 0)
        fail_index(op, &error);
    return op->cursor != NULL;
}

static void *find_start(const scp_node *node, const service_peer *peer,
                        const service_request *request)
{
    find_operation *op = calloc(1, sizeof *op);
    if (op == NULL)
        return NULL;
    op->node = node;
    op->association_number = peer->association_number;
    op->request = *request->command;
    prepare(op, request);
    return op;
}

/* ---- Records ---- */

/* The file's data set, or NULL where it cannot be had: then its keys stay empty, and a record that
   would have to match one of them is not shown to match. */
static const dcb_dataset *read_file(find_operation *op)
{
    index_instance instance;
    scp_error index_error = SCP_ERROR_INIT;
    if (index_cursor_instance(op->cursor, &instance, &index_error) != 0) {
        fail_index(op, &index_error);
        return NULL;
    }
    const dcb_dataset *dataset = NULL;
    dcb_error error = DCB_ERROR_INIT;
    const dcb_status status = find_file_dataset(
        &dataset, &op->file, op->node->index, op->node->series, op->query.level, &instance, &error);
    if (status == DCB_ERR_NO_MEMORY) {
        fail_no_memory(op);
    } else if (status != DCB_OK && !op->file_warned) {
        op->file_warned = true;
        log_event(LOG_WARN, "find.file", LOG_U("association", op->association_number),
                  LOG_T("path", instance.path), LOG_T("reason", error.message));
    }
    return dataset;
}

/* At IMAGE level: does the record lack a key's value that only the file has? */
static bool wants_own_values(const find_operation *op)
{
    for (size_t i = 0; op->query.level == LEVEL_IMAGE && i < dcb_dataset_count(op->query.keys); i++)
        if (index_cursor_varies(op->cursor, dcb_dataset_at(op->query.keys, i)->tag))
            return true;
    return false;
}

/* The record with the instance's own values of what differs within its series; NULL: no memory. */
static dcb_dataset *add_own_values(find_operation *op, const dcb_dataset *record,
                                   const dcb_dataset *file)
{
    dcb_dataset *own = NULL;
    dcb_status status = dcb_dataset_copy(&own, record, NULL);
    for (size_t i = 0; status == DCB_OK && i < dcb_dataset_count(op->query.keys); i++) {
        const uint32_t tag = dcb_dataset_at(op->query.keys, i)->tag;
        const dcb_element *element = dcb_dataset_find(file, tag);
        if (element != NULL && index_cursor_varies(op->cursor, tag))
            status = dcb_dataset_put_element(own, element, NULL);
    }
    if (status == DCB_OK)
        return own;
    dcb_dataset_close(own);
    fail_no_memory(op);
    return NULL;
}

/* PS3.3 C.4.23.1.1: a file that is known but not there may come back with its disk. */
static const char *availability(find_operation *op)
{
    index_instance instance;
    scp_error error = SCP_ERROR_INIT;
    if (dcb_dataset_find(op->query.keys, TAG_INSTANCE_AVAILABILITY) == NULL)
        return NULL;
    if (index_cursor_instance(op->cursor, &instance, &error) != 0) {
        fail_index(op, &error);
        return NULL;
    }
    return series_pool_has(op->node->series, instance.path) ? "ONLINE" : "UNAVAILABLE";
}

static bool make_answer(find_operation *op, const dcb_dataset *record, const dcb_dataset *file)
{
    dcb_error error = DCB_ERROR_INIT;
    const char *available = availability(op);
    if (op->fault.status != 0)
        return false;
    const dcb_status made =
        find_response_make(&op->identifier, &op->identifier_nbytes, &op->query, record, file,
                           available, op->node->options->ae_title, &error);
    if (made == DCB_ERR_NO_MEMORY) {
        fail_no_memory(op);
    } else if (made != DCB_OK) {
        log_event(LOG_ERROR, "find.answer", LOG_U("association", op->association_number),
                  LOG_T("reason", error.message));
        query_fail(&op->fault, DIMSE_UNABLE_TO_PROCESS, 0, "an answer cannot be encoded");
    }
    return made == DCB_OK;
}

/* 1, 0, or -1 where memory ran out. */
static int file_matches(const find_operation *op, const dcb_dataset *file)
{
    if (matcher_count(op->file_matcher) == 0)
        return 1;
    return file != NULL ? matcher_matches(op->file_matcher, file) : 0;
}

/* True where op->identifier holds an answer. */
static bool answer(find_operation *op, const dcb_dataset *record, uint16_t *status)
{
    op->nexamined++;
    const bool wants_own = wants_own_values(op);
    const dcb_dataset *file = NULL;
    dcb_dataset *own = NULL;
    if (wants_own) {
        file = read_file(op);
        if (file != NULL)
            own = add_own_values(op, record, file);
        record = own != NULL ? own : record;
    }
    int matches = op->fault.status == 0 ? matcher_matches(op->record_matcher, record) : 0;
    if (matches == 1 && op->wants_file && !wants_own)
        file = read_file(op);
    if (matches == 1 && op->wants_file)
        matches = op->fault.status == 0 ? file_matches(op, file) : 0;
    if (matches < 0)
        fail_no_memory(op);
    const bool made = matches == 1 && make_answer(op, record, file);
    dcb_dataset_close(own);
    /* PS3.4 C.4.1.1.4: FF01 where an optional key is not supported for existence or matching. */
    *status = op->optional_keys_missing || ((op->wants_file || wants_own) && file == NULL)
                  ? DIMSE_PENDING_OPTIONAL_KEYS
                  : DIMSE_PENDING;
    return made;
}

/* The next answer into op->identifier; else op->fault, op->ended or nothing yet. */
static bool find_next_answer(find_operation *op, uint16_t *status)
{
    for (int i = 0; i < RECORDS_AT_ONCE && op->fault.status == 0; i++) {
        const dcb_dataset *record = NULL;
        scp_error error = SCP_ERROR_INIT;
        const int result = index_cursor_next(op->cursor, &record, &error);
        if (result < 0)
            fail_index(op, &error);
        op->ended = result == 0;
        if (result != 1)
            return false;
        if (answer(op, record, status))
            return true;
    }
    return false;
}

static service_step finish_with(find_operation *op, service_output *out)
{
    const query_fault *fault = &op->fault;
    dimse_response_init(&out->command, &op->request, op->cancelled ? DIMSE_CANCEL : fault->status);
    if (!op->cancelled) {
        out->command.offending_element = fault->offending_element;
        snprintf(out->command.error_comment, sizeof out->command.error_comment, "%s",
                 fault->comment);
    }
    return SERVICE_FINAL;
}

static service_step find_next(void *operation, service_output *out)
{
    find_operation *op = operation;
    *out = (service_output){0};
    free(op->identifier);
    op->identifier = NULL;
    if (op->cancelled || op->fault.status != 0)
        return finish_with(op, out);
    uint16_t status = DIMSE_PENDING;
    if (find_next_answer(op, &status)) {
        op->nmatches++;
        dimse_response_init(&out->command, &op->request, status);
        out->command.data_set_type = 1;
        out->identifier = op->identifier;
        out->identifier_nbytes = op->identifier_nbytes;
        return SERVICE_RESPONSE;
    }
    return op->fault.status != 0 || op->ended ? finish_with(op, out) : SERVICE_WORKING;
}

static void find_cancel(void *operation)
{
    ((find_operation *)operation)->cancelled = true;
}

static void find_describe(const void *operation, char *buffer, size_t size)
{
    const find_operation *op = operation;
    if (!op->is_read)
        snprintf(buffer, size, "refused: %s", op->fault.comment);
    else
        snprintf(buffer, size, "model=%s level=%s matches=%" PRIu64 " examined=%" PRIu64 "%s%s",
                 op->query.model == MODEL_PATIENT_ROOT ? "PATIENT" : "STUDY",
                 query_level_name(op->query.level), op->nmatches, op->nexamined,
                 op->fault.status != 0 ? " failed: " : "", op->fault.comment);
}

static void find_finish(void *operation)
{
    find_operation *op = operation;
    if (op->cursor != NULL)
        index_cursor_close(op->cursor);
    find_file_clear(&op->file);
    find_filter_clear(&op->filter);
    matcher_close(op->record_matcher);
    matcher_close(op->file_matcher);
    query_clear(&op->query);
    free(op->identifier);
    free(op);
}

const service service_find = {
    .name = "find",
    .command_field = DIMSE_C_FIND_RQ,
    .start = find_start,
    .next = find_next,
    .cancel = find_cancel,
    .describe = find_describe,
    .finish = find_finish,
};
