/* SPDX-License-Identifier: Apache-2.0 */
/* steady_clock.h - milliseconds on a clock that nobody sets, and waits by it. */
#ifndef STEADY_CLOCK_H
#define STEADY_CLOCK_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline int64_t steady_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A condition whose timed waits are by this clock. */
static inline void steady_cond_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* pthread_cond_timedwait on such a condition; false once the time is up. */
static inline bool steady_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock,
                                    int64_t until_ms)
{
    const struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
    return pthread_cond_timedwait(condition, lock, &until) != ETIMEDOUT;
}

#endif
