/* SPDX-License-Identifier: Apache-2.0 */
/*
 * activity.h - what the node is doing now, for those who look at it: the open associations with
 * what runs on them, and the last refusals with their reasons.
 *
 * One set for the process. Nothing here holds patient data.
 *
 * Threads: an association's thread writes its entry, without a lock; any thread may list. The lock
 * guards the list itself and the refusals.
 */
#ifndef ACTIVITY_H
#define ACTIVITY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* An association, from activity_begin to activity_end. The texts do not change in between. */
typedef struct activity_entry {
    struct activity_entry *next;
    uint32_t number;
    char peer[46], calling[17], called[17];
    int64_t began_ms;                 /* on steady_clock_ms */
    _Atomic(const char *) operation;  /* static text; NULL: none runs */
    atomic_int_fast64_t operation_ms; /* when it began */
    atomic_uint_fast64_t bytes_in, bytes_out;
    atomic_uint_fast64_t nresponses;
    atomic_uint_fast64_t stored; /* instances taken in on the association so far */
    /* Sub-operations of the operation. total 0: not known, or none. */
    atomic_uint_fast64_t total, completed, failed, warning;
} activity_entry;

void activity_begin(activity_entry *entry);
void activity_end(activity_entry *entry);
/* NULL: the operation is over. Begins its counts anew. */
void activity_operation(activity_entry *entry, const char *name);

/* Plain copies, oldest association first. Returns how many there are, also where max is less. */
typedef struct activity_view {
    uint32_t number;
    char peer[46], calling[17], called[17];
    const char *operation;
    int64_t age_ms, operation_age_ms;
    uint64_t bytes_in, bytes_out, stored, nresponses, total, completed, failed, warning;
} activity_view;

size_t activity_list(activity_view *out, size_t max);

#define ACTIVITY_REFUSALS 32

typedef struct activity_refusal {
    int64_t unix_s;
    const char *what; /* static: "connection", "association", "request", or a service's name */
    char peer[46], calling[17];
    char reason[120];
} activity_refusal;

void activity_refuse(const char *what, const char *peer, const char *calling, const char *reason);
/* The last ones, newest first. */
size_t activity_refusals(activity_refusal out[ACTIVITY_REFUSALS]);

#endif
