/* SPDX-License-Identifier: Apache-2.0 */
/* lock.c - mutexes, and in checked builds the ranks that each thread holds. */
#include "lock.h"

#include <stdio.h>
#include <stdlib.h>

void dcb__mutex_init(dcb__mutex *mutex, dcb__lock_rank rank)
{
    /* Critical sections here are tens of nanoseconds: spinning a little beats a trip to the
       kernel. */
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&mutex->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    mutex->rank = rank;
}

#ifdef DCB_LOCK_CHECKS
static _Thread_local unsigned held_ranks; /* bit n: a lock of rank n is held */

static void broken(const char *what, unsigned rank)
{
    fprintf(stderr, "libdcb: lock order broken: %s rank %u while holding ranks %#x\n", what, rank,
            held_ranks);
    abort();
}

void dcb__lock_check_take(dcb__lock_rank rank)
{
    if (held_ranks >> rank != 0)
        broken("taking", (unsigned)rank);
    held_ranks |= 1u << rank;
}

void dcb__lock_check_drop(dcb__lock_rank rank)
{
    if ((held_ranks & 1u << rank) == 0)
        broken("dropping", (unsigned)rank);
    held_ranks &= ~(1u << rank);
}

void dcb__lock_check_none(void)
{
    if (held_ranks != 0)
        broken("loading or freeing, not taking,", 0);
}
#endif
