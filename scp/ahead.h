/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead.h - items of lists made before their turn, by threads that all lists share.
 *
 * A list's owner takes its items in their order. While he is busy with one, workers make those that
 * follow it: one item of each list in turn, so that a long list holds up no other, and within
 * bounds of items and bytes. What was made waits for its turn; it is dropped where the list is
 * closed or its owner takes nothing any more.
 *
 * Making takes processors and memory: the items made at a time are bounded, those included that an
 * owner makes himself because their turn has come. They go first; of them, an owner's first item
 * goes before all.
 *
 * Knows nothing of what an item is. Threads: a pool belongs to all, a list to one thread.
 */
#ifndef AHEAD_H
#define AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AHEAD_WINDOW_MAX 16
#define AHEAD_NONE       SIZE_MAX

typedef struct ahead_pool ahead_pool;
typedef struct ahead_list ahead_list;

typedef struct ahead_options {
    uint32_t nworkers;     /* 0: one for each processor */
    uint32_t nmakers;      /* items made at a time, by workers and owners; 0: the workers and one */
    uint32_t window;       /* items that may wait for their turn in one list */
    uint64_t budget_bytes; /* of all that wait; each list has an equal share, one item at least */
    int64_t stall_ms;      /* an owner who takes nothing for so long loses what waits; 0: never */
} ahead_options;

#define AHEAD_OPTIONS_INIT                                                                         \
    {                                                                                              \
        0, 0, 8, 32u << 20, 500                                                                    \
    }

typedef struct ahead_work {
    /* Makes item i; called on workers, for several items at a time. A failure is something made,
       too. False: another thread is at it and would have to be waited for; the worker does
       something else meanwhile. */
    bool (*make)(void *context, size_t i, void **made, size_t *nbytes);
    void (*drop)(void *made); /* frees what make gave */
} ahead_work;

/* NULL where memory or threads ran out. */
ahead_pool *ahead_pool_create(const ahead_options *options);
/* After all its lists. */
void ahead_pool_close(ahead_pool *pool);

/* NULL where memory ran out. */
ahead_list *ahead_list_open(ahead_pool *pool, const ahead_work *work, void *context);
/* Drops what waits, and waits for what is being made: one item for each worker at most. */
void ahead_list_close(ahead_list *list);

/* What to make while item i is used. Of unknown size, a list's items are made one at a time. */
typedef struct ahead_wish {
    size_t first, end; /* items after i from first to before end; the window bounds them */
    size_t beyond;     /* and this later one; AHEAD_NONE: none */
    size_t nbytes;     /* what each may have; 0: as those before, or unknown */
} ahead_wish;

/* Item i, which is now the caller's to drop; NULL where nobody has begun it: the caller makes it
   himself. Each i is to be taken once, in order. now_ms: on a steady clock. */
void *ahead_take(ahead_list *list, size_t i, ahead_wish wish, int64_t now_ms);

/* Around the owner's own making of an item: waits till there are not too many at it. */
void ahead_begin_own(ahead_list *list);
void ahead_end_own(ahead_list *list);

/* Drops what waits in lists from which nothing was taken since that time; they go on with their
   owner's next take. Workers call it by themselves where stall_ms is not 0. */
void ahead_drop_stalled(ahead_pool *pool, int64_t since_ms);

typedef struct ahead_stats {
    uint64_t lists, waiting, waiting_bytes, running;
    uint64_t owners_waiting; /* to make an item themselves */
    uint64_t made;           /* by workers */
    uint64_t used;           /* of those: taken by the owner */
    uint64_t dropped;        /* of those: not taken */
    uint64_t deferred;       /* make gave false */
} ahead_stats;

void ahead_get_stats(ahead_pool *pool, ahead_stats *stats);

#endif
