/* SPDX-License-Identifier: Apache-2.0 */
/*
 * association.h - one association from its request to its end: negotiation, then messages, each
 * request handed to the service that answers it.
 *
 * Threads: association_run belongs to one thread; association_stop may come from any other as long
 * as the association is not closed.
 */
#ifndef ASSOCIATION_H
#define ASSOCIATION_H

#include "service.h"
#include "ul.h"

typedef struct association association;

typedef struct association_setting {
    const scp_node *node;
    const service *const *services;
    size_t nservices;
} association_setting;

/* Takes ul over. NULL where memory ran out: ul is then still the caller's. */
association *association_create(const association_setting *setting, ul_association *ul,
                                uint32_t number);
/* What is in force at its begin, and what the peer asked for; as long as it is not closed. */
const scp_options *association_options(const association *a);
const ul_request *association_request(const association *a);
/* Answers the request; where a limit is reached, which the option `full` sets, by A-ASSOCIATE-RJ
   (local limit exceeded). Then serves until the peer releases or aborts, goes away, stays idle too
   long, or association_stop. Returns false where the association was rejected. */
bool association_run(association *a, const char *full);
/* Ends it by A-ABORT: at once where it runs no operation or with now, else after that operation. */
void association_stop(association *a, bool now);
void association_close(association *a);

#endif
