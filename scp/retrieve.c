/* SPDX-License-Identifier: Apache-2.0 */
/* retrieve.c - see retrieve.h. */
#include "retrieve.h"

#include "ingest.h"
#include "log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t retrieve_ndone(const retrieve *r)
{
    return r->completed + r->failed + r->warning;
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

static void fail_listing(retrieve *r, const char *comment, const char *reason)
{
    log_event(LOG_ERROR, "retrieve.index", LOG_U("association", r->association_number),
              LOG_T("operation", r->name), LOG_T("reason", reason));
    query_fail(&r->fault, DIMSE_OUT_OF_RESOURCES_MATCHES, 0, "%s", comment);
}

static void list_instances(retrieve *r)
{
    const index_filter filter = make_filter(&r->query);
    ingest_settle(r->node->ingest);
    scp_error error = SCP_ERROR_INIT;
    index_cursor *cursor = NULL;
    int result = index_find_instances(&cursor, r->node->index, &filter, &error);
    if (result == 0) {
        index_instance instance;
        while ((result = index_cursor_next_instance(cursor, &instance, &error)) == 1) {
            if (!instance_list_add(&r->list, &instance)) {
                fail_listing(r, "out of memory for the matches", "out of memory");
                break;
            }
            if (r->node->audit != NULL)
                audit_studies_add(&r->studies, instance.study_instance_uid, instance.sop_class_uid);
        }
        index_cursor_close(cursor);
    }
    if (result < 0)
        fail_listing(r, "the index cannot be read", error.message);
}

void retrieve_begin(retrieve *r, const char *name, const scp_node *node, const service_peer *peer,
                    const service_request *request)
{
    r->name = name;
    r->node = node;
    r->association_number = peer->association_number;
    r->request = *request->command;
    r->is_read = identifier_read(&r->query, QUERY_RETRIEVE, request, &r->fault);
    if (r->is_read)
        list_instances(r);
    if (r->is_read && r->fault.status == 0 && r->query.frames.key != FRAMES_ALL &&
        r->list.count == 0)
        query_fail(&r->fault, DIMSE_FRAME_NONE_FOUND, TAG_SOP_INSTANCE_UID, "no such instance");
}

void retrieve_clear(retrieve *r)
{
    instance_list_clear(&r->list);
    audit_studies_clear(&r->studies);
    query_clear(&r->query);
    free(r->failures);
    free(r->identifier);
    *r = (retrieve){0};
}

/* ---- Counts ---- */

void retrieve_count_failure(retrieve *r, size_t i, const char *comment, const char *reason)
{
    log_event(r->failed == 0 ? LOG_WARN : LOG_DEBUG, "retrieve.failed",
              LOG_U("association", r->association_number), LOG_T("operation", r->name),
              LOG_T("path", instance_list_path(&r->list, i)),
              LOG_U("frame", instance_list_frame(&r->list, i)), LOG_T("cause", comment),
              LOG_T("reason", reason));
    if (r->failed == 0)
        snprintf(r->cause, sizeof r->cause, "%s", comment);
    if (r->failed == r->failures_capacity) {
        const size_t wanted = r->failures_capacity * 2 + 16;
        size_t *grown = realloc(r->failures, wanted * sizeof *grown);
        if (grown != NULL) {
            r->failures = grown;
            r->failures_capacity = wanted;
        }
    }
    /* Without memory the list has a gap at its end; the count stays true. */
    if (r->failed < r->failures_capacity)
        r->failures[r->failed] = i;
    r->failed++;
}

void retrieve_count_status(retrieve *r, size_t i, uint16_t status)
{
    char comment[65];
    switch (dimse_classify(status)) {
    case DIMSE_CLASS_SUCCESS:
        r->completed++;
        break;
    case DIMSE_CLASS_WARNING:
        r->warning++;
        break;
    default:
        snprintf(comment, sizeof comment, "the peer refused an instance: status %04XH",
                 (unsigned)status);
        retrieve_count_failure(r, i, comment, "");
        break;
    }
}

/* ---- Responses ---- */

static uint16_t saturate(size_t count)
{
    return count < UINT16_MAX ? (uint16_t)count : UINT16_MAX;
}

static void set_response(const retrieve *r, service_output *out, uint16_t status, bool remaining)
{
    dimse_response_init(&out->command, &r->request, status);
    out->command.present |= DIMSE_HAS_COUNTS | (remaining ? DIMSE_HAS_REMAINING : 0);
    out->command.remaining = saturate(r->list.count - retrieve_ndone(r));
    out->command.completed = saturate(r->completed);
    out->command.failed = saturate(r->failed);
    out->command.warning = saturate(r->warning);
}

static int compare_uids(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* "1.2.3\1.2.4": each failed SOP Instance UID once; free(). NULL where memory ran out. */
static char *join_failures(const retrieve *r, size_t *nbytes)
{
    const size_t count = r->failed < r->failures_capacity ? r->failed : r->failures_capacity;
    char(*uids)[UL_UID_SIZE] = calloc(count + 1, sizeof *uids);
    char *joined = malloc((count + 1) * UL_UID_SIZE);
    *nbytes = 0;
    if (uids != NULL && joined != NULL) {
        for (size_t i = 0; i < count; i++)
            instance_list_uid(uids[i], &r->list, r->failures[i]);
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
static void add_failed_list(retrieve *r, service_output *out)
{
    if (r->failed == 0)
        return;
    size_t nbytes = 0;
    char *uids = join_failures(r, &nbytes);
    dcb_dataset *identifier = NULL;
    if (uids != NULL && dcb_dataset_create(&identifier, NULL) == DCB_OK &&
        dcb_dataset_put(identifier, TAG_FAILED_SOP_UID_LIST, DCB_VR('U', 'I'), uids, nbytes,
                        NULL) == DCB_OK &&
        dcb_dataset_encode(&r->identifier, &r->identifier_nbytes, identifier, r->query.syntax,
                           NULL) == DCB_OK) {
        out->identifier = r->identifier;
        out->identifier_nbytes = r->identifier_nbytes;
        out->command.data_set_type = 1;
    }
    dcb_dataset_close(identifier);
    free(uids);
}

/* PS3.4 C.4.3.1.4 and table C.4-3. */
static uint16_t final_status(const retrieve *r)
{
    if (retrieve_ndone(r) < r->list.count)
        return DIMSE_CANCEL;
    if (r->failed == 0 && r->warning == 0)
        return DIMSE_SUCCESS;
    return r->failed == r->list.count ? DIMSE_OUT_OF_RESOURCES_SUBOPERATIONS
                                      : DIMSE_WARNING_SUBOPERATIONS;
}

static void refuse(const retrieve *r, service_output *out)
{
    dimse_response_init(&out->command, &r->request, r->fault.status);
    out->command.offending_element = r->fault.offending_element;
    snprintf(out->command.error_comment, sizeof out->command.error_comment, "%s", r->fault.comment);
}

void retrieve_pending(const retrieve *r, service_output *out)
{
    set_response(r, out, DIMSE_PENDING, true);
}

void retrieve_final(retrieve *r, service_output *out)
{
    if (r->fault.status != 0) {
        refuse(r, out);
        return;
    }
    const uint16_t status = final_status(r);
    set_response(r, out, status, status == DIMSE_CANCEL);
    if (status != DIMSE_SUCCESS)
        add_failed_list(r, out);
    if (r->failed > 0)
        snprintf(out->command.error_comment, sizeof out->command.error_comment, "%s", r->cause);
}

void retrieve_describe(const retrieve *r, char *buffer, size_t size)
{
    if (!r->is_read)
        snprintf(buffer, size, "refused: %s", r->fault.comment);
    else
        snprintf(buffer, size, "model=%s level=%s stored=%" PRIu64 " decoded=%" PRIu64 "%s%s",
                 query_model_name(r->query.model), query_level_name(r->query.level), r->nstored,
                 r->ndecoded, r->fault.status != 0 ? " failed: " : "", r->fault.comment);
}

void retrieve_progress(const retrieve *r, service_progress *out)
{
    *out = (service_progress){r->list.count, r->completed, r->failed, r->warning};
}
