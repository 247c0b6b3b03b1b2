/* SPDX-License-Identifier: Apache-2.0 */
/* audit_message.h - an event as a DICOM audit message (PS3.15 A.5). A pure function. */
#ifndef AUDIT_MESSAGE_H
#define AUDIT_MESSAGE_H

#include "audit.h"
#include "text_buffer.h"

/* Whose a study is. */
typedef struct audit_patient {
    char id[65], name[200]; /* UTF-8 */
} audit_patient;

typedef struct audit_source {
    const char *ae_title, *address;
    long process;
} audit_source;

/* Without newlines. patients: for each of event->studies.items; those that follow one another and
   are the same are told once. */
void audit_message_put(text_buffer *out, const audit_event *event, const audit_source *source,
                       const audit_patient *patients);

#endif
