/* SPDX-License-Identifier: Apache-2.0 */
/* steady_clock.h - milliseconds on a clock that nobody sets. */
#ifndef STEADY_CLOCK_H
#define STEADY_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t steady_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
