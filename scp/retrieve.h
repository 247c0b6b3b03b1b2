/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retrieve.h - what C-GET and C-MOVE have in common (PS3.4 C.4.2 and C.4.3): the request, the list
 * of instances, the counts of their sub-operations, and the responses that tell them.
 *
 * All instances are listed first, so that the number of remaining sub-operations is true from the
 * first response on and no read transaction stays open while a peer stores.
 *
 * Invariant: completed + failed + warning <= list.count; whoever sends counts each listed instance
 * at most once, whatever becomes of it. Counters on the wire have 16 bits and stay at 65535 where
 * there is more (PS3.7 E.1).
 *
 * Threads: one at a time.
 */
#ifndef RETRIEVE_H
#define RETRIEVE_H

#include "identifier.h"
#include "instance_list.h"
#include "node.h"
#include "service.h"

typedef struct retrieve {
    const char *name; /* of the operation, for the log: "get", "move" */
    const scp_node *node;
    uint32_t association_number;
    dimse_command request;
    query_fault fault; /* status not 0: of the request or the index, nothing was or will be sent */
    bool is_read;
    scp_query query;
    instance_list list;
    audit_studies studies; /* of the list, where there is an audit trail */
    size_t completed, failed, warning;
    size_t *failures; /* indexes into list, `failed` of them */
    size_t failures_capacity;
    char cause[65]; /* of the first failure */
    uint8_t *identifier;
    size_t identifier_nbytes;
    uint64_t nstored, ndecoded; /* instances made as stored, decoded */
} retrieve;

/* Reads and checks the request, lists what matches; what is wrong is in r->fault. r is zeroed
   before; retrieve_clear frees it. */
void retrieve_begin(retrieve *r, const char *name, const scp_node *node, const service_peer *peer,
                    const service_request *request);
void retrieve_clear(retrieve *r);

/* Instances counted so far. */
size_t retrieve_ndone(const retrieve *r);
/* Counts instance i of the list as failed. Only the first cause is told to the requester; the
   operator sees each at debug level, with the reason behind it. */
void retrieve_count_failure(retrieve *r, size_t i, const char *comment, const char *reason);
/* Counts it by the status of its C-STORE-RSP. */
void retrieve_count_status(retrieve *r, size_t i, uint16_t status);

/* The next pending response. */
void retrieve_pending(const retrieve *r, service_output *out);
/* The final one: the fault, or the counts, with the failed list where there is one; cancelled where
   not all is done. out borrows from r. */
void retrieve_final(retrieve *r, service_output *out);
/* For service.describe. */
void retrieve_describe(const retrieve *r, char *buffer, size_t size);
/* For service.progress. */
void retrieve_progress(const retrieve *r, service_progress *out);

#endif
