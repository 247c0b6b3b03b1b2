/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.h - what a DIMSE service (echo, find, get, ...) is to the association that runs it.
 *
 * A service is data plus a few functions; it never touches the network. The association receives
 * the request, calls start, then next until it gives SERVICE_FINAL; before each call it looks for a
 * C-CANCEL-RQ and passes that on. So a service can be tested without a socket.
 *
 * Threads: an operation belongs to its association's thread.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include "../reader/dcb.h"
#include "audit_studies.h"
#include "dimse_message.h"
#include "dimse_status.h"

typedef struct scp_options scp_options;         /* options.h */
typedef struct access_decision access_decision; /* access.h */
typedef struct scp_node scp_node; /* the archive and settings that services share: node.h */

/* What the association tells a service about itself. Lives as long as the operation. */
typedef struct service_peer {
    uint32_t association_number;
    const ul_request *request;  /* peer, AE titles and the answered presentation contexts */
    const scp_options *options; /* as they are now: others than at the node's start after SIGHUP */
    const access_decision *access; /* what the caller has a right to, by these */
} service_peer;

/* Valid during start only: the next message overwrites it. */
typedef struct service_request {
    const dimse_command *command;
    uint8_t context_id;
    const char *transfer_syntax_uid; /* of the context: how the identifier is encoded */
    const char *abstract_syntax_uid;
    const uint8_t *identifier; /* the request's data set as received; NULL: none came */
    size_t identifier_nbytes;
    bool relational; /* relational retrieval was negotiated (PS3.4 C.4.2.2.2, C.4.3.2.2) */
} service_request;

typedef enum service_step {
    SERVICE_RESPONSE,     /* a pending response: send `command` with `identifier`, go on */
    SERVICE_SUBOPERATION, /* a C-STORE sub-operation: send `frame` on `suboperation_context_id` */
    SERVICE_WORKING,      /* nothing to send yet: look for a cancel, call again */
    SERVICE_FINAL,        /* the last response: send `command` (with `identifier`), stop */
} service_step;

/* Filled by next. The association owns nothing in it: identifier and frame stay valid until the
   service's next call. */
typedef struct service_output {
    dimse_command command;     /* the association fills in the message IDs and the SOP class */
    const uint8_t *identifier; /* in the request's transfer syntax; NULL: none */
    size_t identifier_nbytes;
    uint8_t suboperation_context_id;
    const dcb_frame *frame;
} service_output;

/* How far a retrieval's sub-operations are. */
typedef struct service_progress {
    uint64_t total, completed, failed, warning;
} service_progress;

typedef struct service {
    const char *name;       /* for the log: "echo", "find", "get" */
    uint16_t command_field; /* the request that it answers */
    /* Checks the request and makes the operation. Never fails: what is wrong with the request
       becomes the operation's final response. NULL only where memory ran out. */
    void *(*start)(const scp_node *node, const service_peer *peer, const service_request *request);
    /* Not NULL: the request's data set is handed over as it comes, between start (which then has no
       identifier) and the first next, and is never held. An association that ends within it calls
       finish alone. */
    void (*take)(void *operation, const uint8_t *bytes, size_t nbytes);
    service_step (*next)(void *operation, service_output *out);
    /* The C-STORE-RSP's status for the last SERVICE_SUBOPERATION. NULL: has no sub-operations. */
    void (*suboperation_done)(void *operation, uint16_t status);
    /* The requester cancelled: `next` gives the final response within a second. NULL: cannot. */
    void (*cancel)(void *operation);
    /* One line's worth of what was done, for the log, without patient data: "level=STUDY
       matches=3". Called before finish. */
    void (*describe)(const void *operation, char *buffer, size_t size);
    /* For those who look at the node; called between steps. NULL: has no sub-operations. */
    void (*progress)(const void *operation, service_progress *out);
    /* What it transfers, for the audit trail; after start. NULL: nothing. */
    const audit_studies *(*studies)(const void *operation);
    void (*finish)(void *operation); /* frees; called exactly once, whatever happened */
} service;

extern const service service_echo;
extern const service service_find;
extern const service service_get;
extern const service service_move;
extern const service service_store; /* where node->ingest is not NULL */

#endif
