/* SPDX-License-Identifier: Apache-2.0 */
/* association_audit.h - what an association tells the audit trail. The association's thread. */
#ifndef ASSOCIATION_AUDIT_H
#define ASSOCIATION_AUDIT_H

#include "association_private.h"

/* An operation has started; its request is still in a->message. What is to be told at its end, or
   NULL. */
audit_event *association_audit_begin(association *a, const service *kind, const void *operation,
                                     const ul_context *context);
/* It is over, with that status; result not UL_OK: broken off. */
void association_audit_end(association *a, audit_event *event, uint16_t status,
                           const service_progress *counted, ul_result result);
/* An instance was stored. */
void association_audit_stored(association *a, const char *sop_instance_uid);
/* No more will be. */
void association_audit_close(association *a);

#endif
