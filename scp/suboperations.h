/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suboperations.h - the C-STORE sub-operations of a C-MOVE: a retrieve's instances sent to one
 * destination over one or more associations, each with a thread of its own.
 *
 * The threads take the instances in the list's order, so that all associations are busy until the
 * last instance. An association that breaks off is requested anew; the instance that was under way
 * on it is sent once more, then counted as failed. Where no association can be had any more, all
 * that is left fails.
 *
 * Threads: the calls come from one thread; suboperations_lock guards the retrieve against the
 * others from start to close.
 */
#ifndef SUBOPERATIONS_H
#define SUBOPERATIONS_H

#include "retrieve.h"
#include "store_link.h"

#define SUBOPERATIONS_ASSOCIATIONS_MAX 8

typedef struct suboperations suboperations;

typedef struct suboperations_setting {
    const store_link_kind *links;
    store_target target;
    uint32_t nassociations;    /* at a time, 1 to SUBOPERATIONS_ASSOCIATIONS_MAX */
    uint32_t retries;          /* of a request, and of associations that end without any answer */
    int retry_pause_ms;        /* between two requests that fail */
    const char *const *prefer; /* transfer syntaxes, the best first; borrowed */
    size_t nprefer;
} suboperations_setting;

/* Begins to send r's list. setting is copied, r borrowed until close. NULL where memory or threads
   ran out. */
suboperations *suboperations_start(const suboperations_setting *setting, retrieve *r);

typedef enum suboperations_state {
    SUBOPERATIONS_QUIET,    /* nothing changed in the time */
    SUBOPERATIONS_PROGRESS, /* the destination was reached for the first time, or counts changed */
    SUBOPERATIONS_OVER,     /* no more will be counted */
} suboperations_state;

/* Waits at most timeout_ms for a change since the last call. */
suboperations_state suboperations_wait(suboperations *s, int timeout_ms);
void suboperations_lock(suboperations *s);
void suboperations_unlock(suboperations *s);

/* Takes no more instances: those under way are finished and counted. */
void suboperations_stop(suboperations *s);
/* The same, and breaks off those under way: they are not counted. */
void suboperations_interrupt(suboperations *s);
/* Ends what runs; what is over has its associations released. */
void suboperations_close(suboperations *s);

#endif
