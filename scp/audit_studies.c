/* SPDX-License-Identifier: Apache-2.0 */
/* audit_studies.c - see audit_studies.h. */
#include "audit_studies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(audit_studies *studies, uint32_t wanted)
{
    if (wanted <= studies->capacity)
        return true;
    const uint32_t capacity = wanted < 8 ? 8 : wanted * 2;
    audit_study *items = realloc(studies->items, capacity * sizeof *items);
    if (items == NULL)
        return false;
    studies->items = items;
    studies->capacity = capacity;
    return true;
}

void audit_studies_add(audit_studies *studies, const char *study_uid, const char *sop_class_uid)
{
    for (uint32_t i = studies->count; i > 0; i--) {
        audit_study *study = &studies->items[i - 1];
        if (strcmp(study->study_uid, study_uid) != 0)
            break;
        if (strcmp(study->sop_class_uid, sop_class_uid) == 0) {
            study->ninstances++;
            return;
        }
    }
    if (studies->count == AUDIT_STUDIES_MAX || !make_room(studies, studies->count + 1)) {
        studies->nleft_out++;
        return;
    }
    audit_study *study = &studies->items[studies->count++];
    snprintf(study->study_uid, UL_UID_SIZE, "%s", study_uid);
    snprintf(study->sop_class_uid, UL_UID_SIZE, "%s", sop_class_uid);
    study->ninstances = 1;
}

void audit_studies_copy(audit_studies *to, const audit_studies *from)
{
    *to = (audit_studies){.nleft_out = from->nleft_out};
    if (from->count == 0 || !make_room(to, from->count))
        return;
    memcpy(to->items, from->items, from->count * sizeof *from->items);
    to->count = from->count;
}

void audit_studies_clear(audit_studies *studies)
{
    free(studies->items);
    *studies = (audit_studies){0};
}
