/* SPDX-License-Identifier: Apache-2.0 */
/* audit_studies.h - how many instances of which class in which study: what an audit message tells
   of a transfer. Threads: a plain value. */
#ifndef AUDIT_STUDIES_H
#define AUDIT_STUDIES_H

#include "ul.h"

#define AUDIT_STUDIES_MAX 512

/* All of one class in a study; classes of a study follow one another. */
typedef struct audit_study {
    char study_uid[UL_UID_SIZE], sop_class_uid[UL_UID_SIZE];
    uint32_t ninstances;
} audit_study;

/* {0} is empty. */
typedef struct audit_studies {
    audit_study *items;
    uint32_t count, capacity;
    uint32_t nleft_out; /* instances for which there was no room */
} audit_studies;

/* Instances of a study should come one after the other. */
void audit_studies_add(audit_studies *studies, const char *study_uid, const char *sop_class_uid);
void audit_studies_copy(audit_studies *to, const audit_studies *from);
void audit_studies_clear(audit_studies *studies);

#endif
