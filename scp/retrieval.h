/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retrieval.h - the instances that a retrieval sends, in the order of its list: each is made in its
 * turn, or before it by the node's workers where making it takes longer than sending (decoding,
 * opening the next file).
 *
 * Threads: one; the workers are its own affair.
 */
#ifndef RETRIEVAL_H
#define RETRIEVAL_H

#include "get_contexts.h"
#include "identifier.h"
#include "instance_list.h"
#include "node.h"

typedef struct retrieval retrieval;

typedef struct retrieval_instance {
    dcb_frame *frame; /* one reference; NULL: it cannot be sent */
    get_context context;
    uint16_t status;   /* not 0: the whole retrieval ends with it (AA00 to AA04) */
    char comment[128]; /* why, for the peer */
    char reason[240];  /* more of that, for the log */
} retrieval_instance;

/* What of an instance is sent. */
typedef enum retrieval_part {
    RETRIEVAL_WHOLE,
    RETRIEVAL_HEADERS, /* without bulk data (PS3.4 annex Z) */
    RETRIEVAL_FRAMES,  /* some frames, as a new instance (PS3.4 Y.3.3) */
} retrieval_part;

/* All is borrowed until retrieval_close. NULL where memory ran out. */
retrieval *retrieval_create(const scp_node *node, const ul_request *contexts,
                            const instance_list *list);
/* Before the first retrieval_get; the query is borrowed. Without it instances are sent whole. */
void retrieval_set_query(retrieval *r, const scp_query *query);
/* Instance i of the list; to be called once for each, in order, from any
   first one on. */
void retrieval_get(retrieval_instance *out, retrieval *r, size_t i);
/* Drops what was made before its turn. */
void retrieval_close(retrieval *r);

#endif
