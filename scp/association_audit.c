/* SPDX-License-Identifier: Apache-2.0 */
/* association_audit.c - see association_audit.h. */
#include "association_audit.h"

#include "audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static audit_event *query(association *a, const ul_context *context)
{
    audit_event *event = audit_event_new(a->setting.node, AUDIT_QUERY, a->request);
    if (event == NULL)
        return NULL;
    const size_t n =
        a->message.data_nbytes < AUDIT_QUERY_MAX ? a->message.data_nbytes : AUDIT_QUERY_MAX;
    snprintf(event->sop_class_uid, UL_UID_SIZE, "%s", context->abstract_syntax);
    snprintf(event->syntax_uid, UL_UID_SIZE, "%s", context->accepted_syntax);
    event->query = n > 0 ? malloc(n) : NULL;
    if (event->query != NULL) {
        memcpy(event->query, a->message.data, n);
        event->query_nbytes = n;
    }
    return event;
}

static audit_event *transfer(association *a, audit_kind kind, const audit_studies *studies)
{
    audit_event *event = audit_event_new(a->setting.node, kind, a->request);
    if (event == NULL)
        return NULL;
    audit_studies_copy(&event->studies, studies);
    snprintf(event->destination, sizeof event->destination, "%s",
             a->message.command.move_destination);
    return event;
}

audit_event *association_audit_begin(association *a, const service *kind, const void *operation,
                                     const ul_context *context)
{
    if (a->setting.node->audit == NULL)
        return NULL;
    if (kind->command_field == DIMSE_C_FIND_RQ)
        return query(a, context);
    const audit_studies *studies = kind->studies != NULL ? kind->studies(operation) : NULL;
    if (studies == NULL || studies->count == 0)
        return NULL;
    audit_submit(a->setting.node->audit, transfer(a, AUDIT_BEGINS, studies));
    return transfer(a, AUDIT_TRANSFERRED, studies);
}

void association_audit_end(association *a, audit_event *event, uint16_t status,
                           const service_progress *counted, ul_result result)
{
    if (event == NULL)
        return;
    clock_gettime(CLOCK_REALTIME, &event->time);
    const dimse_status_class class = dimse_classify(status);
    event->outcome = result != UL_OK || class == DIMSE_CLASS_FAILURE ? 8
                     : class == DIMSE_CLASS_SUCCESS                  ? 0
                                                                     : 4;
    if (result != UL_OK)
        snprintf(event->reason, sizeof event->reason, "the association broke off");
    else if (event->outcome != 0)
        snprintf(event->reason, sizeof event->reason, "status %04X", (unsigned)status);
    if (event->kind == AUDIT_TRANSFERRED && event->outcome != 0) {
        const size_t n = strlen(event->reason);
        snprintf(event->reason + n, sizeof event->reason - n,
                 ": %" PRIu64 " of %" PRIu64 " instances sent",
                 counted->completed + counted->warning, counted->total);
    }
    audit_submit(a->setting.node->audit, event);
}

void association_audit_stored(association *a, const char *sop_instance_uid)
{
    if (a->setting.node->audit == NULL)
        return;
    if (a->stored == NULL) {
        a->stored = audit_event_new(a->setting.node, AUDIT_STORED, a->request);
        if (a->stored == NULL)
            return;
        a->stored->stored = calloc(AUDIT_STORED_MAX, UL_UID_SIZE);
    }
    audit_event *event = a->stored;
    if (event->stored == NULL)
        event->studies.nleft_out++;
    else
        snprintf(event->stored[event->nstored++], UL_UID_SIZE, "%s", sop_instance_uid);
    if (event->nstored == AUDIT_STORED_MAX)
        association_audit_close(a);
}

void association_audit_close(association *a)
{
    if (a->stored == NULL)
        return;
    clock_gettime(CLOCK_REALTIME, &a->stored->time);
    audit_submit(a->setting.node->audit, a->stored);
    a->stored = NULL;
}
