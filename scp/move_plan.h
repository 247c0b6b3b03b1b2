/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move_plan.h - which presentation contexts a retrieval needs at a destination (C-MOVE).
 *
 * For each SOP class of the list: the uncompressed syntaxes in one context, for each syntax in
 * which instances of it are stored a context of its own, and for images the lossless compressed
 * ones in one more, for a destination that takes nothing else. So the destination chooses, and each
 * instance finds its best. An association has room for 128 contexts, so that a long list may need
 * several sets of them, one after the other.
 *
 * How instances are stored only their files tell; they are looked at a stretch at a time, the first
 * instance of each SOP class in each file, so that a long list does not delay its first instance.
 *
 * Threads: one at a time.
 */
#ifndef MOVE_PLAN_H
#define MOVE_PLAN_H

#include "instance_list.h"
#include "node.h"

typedef struct move_plan {
    const scp_node *node;
    const instance_list *list;
    const char *const *prefer; /* transfer syntaxes that the destination prefers */
    size_t nprefer;
    size_t end; /* instances before this one were looked at: they find their contexts in the set */
    struct move_need *needs;
    size_t nneeds, capacity;
} move_plan;

/* All is borrowed until move_plan_clear. */
void move_plan_init(move_plan *plan, const scp_node *node, const instance_list *list,
                    const char *const *prefer, size_t nprefer);
void move_plan_clear(move_plan *plan);

typedef enum move_plan_result {
    MOVE_PLAN_SAME,    /* the set of contexts suffices for what lies before the new end */
    MOVE_PLAN_CHANGED, /* it is another one now */
    MOVE_PLAN_FAILED,  /* memory ran out */
} move_plan_result;

/* Looks at the files behind plan->end. Opens files, so no lock should be held. */
move_plan_result move_plan_look(move_plan *plan);
/* The contexts of the set, into an empty request. False where memory ran out. */
bool move_plan_propose(const move_plan *plan, ul_request *request);
/* Notes which of the accepted contexts the destination prefers. */
void move_plan_like(const move_plan *plan, ul_request *answered);

#endif
