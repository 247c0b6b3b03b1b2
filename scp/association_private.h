/* SPDX-License-Identifier: Apache-2.0 */
/*
 * association_private.h - what association.c (negotiation, the loop) and operation.c (one request
 * being answered) share.
 */
#ifndef ASSOCIATION_PRIVATE_H
#define ASSOCIATION_PRIVATE_H

#include "association.h"

#include "activity.h"
#include "access.h"
#include "incoming.h"
#include "settings.h"

#include <pthread.h>

typedef struct audit_event audit_event; /* audit.h */

struct association {
    association_setting setting;
    ul_association *ul;
    const ul_request *request;
    settings_view view;
    const scp_options *options; /* in force for the request that is served */
    access_decision access;     /* by these */
    uint32_t number;
    uint16_t last_message_id; /* of our sub-operations */
    incoming message;
    bool running;                  /* an operation answers its request */
    const service *stream_service; /* takes the data set of the message that is coming in */
    void *stream;                  /* its operation; NULL: none */
    double stream_started;
    ul_traffic stream_before; /* what there was when it began */
    uint64_t nstored;
    uint64_t nqueries;       /* C-FIND requests that were run */
    audit_event *stored;     /* what came in, for the audit trail; NULL: nothing yet */
    activity_entry activity; /* what others see of it */
    ul_traffic counted;      /* of its bytes: in the metrics already */
    pthread_mutex_t lock;    /* busy, stopping */
    bool busy;               /* an operation runs */
    bool stopping;
};

/* As many bytes went over it, both ways, as it may take. */
bool association_spent_bytes(const association *a);

/* The accepted context with that ID, or NULL. */
const ul_context *association_find_context(const association *a, uint8_t id);

/* A whole message into a->message, or UL_TIMEOUT: what came of one by then is kept for the next
   call. Once a message has begun, its rest has the I/O timeout, unless the caller only looks
   (timeout_ms 0). */
ul_result association_receive(association *a, int timeout_ms, scp_error *error);

/* Sends a response to the request; fills in whatever follows from that. identifier may be NULL. */
ul_result association_respond(association *a, const ul_context *context, dimse_command *response,
                              const dimse_command *request, const uint8_t *identifier,
                              size_t identifier_nbytes, scp_error *error);
/* The same with a bare status, for a->message.command, and a line in the log. */
ul_result association_refuse(association *a, const ul_context *context, uint16_t status,
                             const char *comment, scp_error *error);

/* Answers the request in a->message by the service, from its start (or from the a->stream that took
   its data set) to the final response. */
ul_result operation_run(association *a, const service *kind, const ul_context *context,
                        scp_error *error);

/* Begins a->stream for the command in a->message; false where memory ran out. */
bool operation_begin_stream(association *a, const service *kind, const ul_context *context);

/* Brings what others see of the association's bytes up to date. */
void association_note_traffic(association *a);

double association_now_ms(void);
/* Seconds of the options as milliseconds. */
int association_to_ms(uint32_t seconds);

#endif
