/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h - the mutexes of libdcb, with their order: a thread takes locks in rising rank only, and
 * loads, frees and releases frames with none held. Both are asserted in debug and sanitizer builds
 * and cost nothing in the others.
 *
 * Threads: any.
 */
#ifndef LOCK_H
#define LOCK_H

#include <pthread.h>

/* The order of locks. Equal ranks are never held together. */
typedef enum dcb__lock_rank {
    DCB_LOCK_READ_AHEAD = 1, /* read_ahead.c: one for each series that is read ahead */
    DCB_LOCK_WORKER_POOL,    /* worker_pool.c */
    DCB_LOCK_CACHE_SHARD,    /* frame_cache.c */
    DCB_LOCK_CACHE_SERIES,   /* frame_cache.c */
    DCB_LOCK_TRAILER,        /* trailer_chunks.c */
    DCB_LOCK_BUFFERS,        /* buffers.c: innermost */
} dcb__lock_rank;

typedef struct dcb__mutex {
    pthread_mutex_t mutex;
    dcb__lock_rank rank;
} dcb__mutex;

/* Of one with static storage. Adaptive as in dcb__mutex_init. */
#define DCB_MUTEX_INIT(rank)                                                                       \
    {                                                                                              \
        PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP, rank                                                \
    }

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define DCB_LOCK_CHECKS 1
#endif
#endif
#if !defined(NDEBUG) || defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define DCB_LOCK_CHECKS 1
#endif

/* These abort where the order is broken. */
#ifdef DCB_LOCK_CHECKS
void dcb__lock_check_take(dcb__lock_rank rank);
void dcb__lock_check_drop(dcb__lock_rank rank);
/* Asserts that the calling thread holds no lock of libdcb's. */
void dcb__lock_check_none(void);
#else
#define dcb__lock_check_take(rank) ((void)0)
#define dcb__lock_check_drop(rank) ((void)0)
#define dcb__lock_check_none()     ((void)0)
#endif

void dcb__mutex_init(dcb__mutex *mutex, dcb__lock_rank rank);

static inline void dcb__mutex_destroy(dcb__mutex *mutex)
{
    pthread_mutex_destroy(&mutex->mutex);
}

static inline void dcb__mutex_lock(dcb__mutex *mutex)
{
    dcb__lock_check_take(mutex->rank);
    pthread_mutex_lock(&mutex->mutex);
}

/* For hints that may be skipped: false where another thread holds it. */
static inline int dcb__mutex_try_lock(dcb__mutex *mutex)
{
    if (pthread_mutex_trylock(&mutex->mutex) != 0)
        return 0;
    dcb__lock_check_take(mutex->rank);
    return 1;
}

static inline void dcb__mutex_unlock(dcb__mutex *mutex)
{
    dcb__lock_check_drop(mutex->rank);
    pthread_mutex_unlock(&mutex->mutex);
}

static inline void dcb__mutex_wait(pthread_cond_t *condition, dcb__mutex *mutex)
{
    pthread_cond_wait(condition, &mutex->mutex);
}

#endif
