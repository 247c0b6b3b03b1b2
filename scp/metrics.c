/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.c - the process's counters.
 *
 * Invariant: an outcome's slot, once its key is set, keeps it; where all are taken (a service that
 * makes up statuses) the last one counts the rest, so that a sum over all stays true.
 */
#include "metrics.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct cell {
    _Alignas(64) atomic_uint_fast64_t n;
} cell;

typedef struct histogram {
    _Alignas(64) atomic_uint_fast64_t counts[METRIC_BUCKETS];
    atomic_uint_fast64_t sum_ns;
} histogram;

typedef struct outcome {
    atomic_uint_fast32_t key; /* service and status, plus 1; 0: free */
    atomic_uint_fast64_t count;
} outcome;

const double metric_bounds[METRIC_BUCKETS - 1] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                  0.25,  0.5,    1,     5,    30,    300};

static cell counters[METRIC_COUNTERS];
static histogram histograms[METRIC_HISTOGRAMS];
static outcome outcomes[METRIC_OUTCOMES_MAX];

void metrics_add(metric_counter counter, uint64_t n)
{
    atomic_fetch_add_explicit(&counters[counter].n, n, memory_order_relaxed);
}

void metrics_reject(unsigned source, unsigned reason)
{
    static const struct {
        unsigned source, reason;
        metric_counter counter;
    } REASONS[] = {
        {1, 2, METRIC_REJECTED_CONTEXT},    {1, 3, METRIC_REJECTED_CALLING},
        {1, 7, METRIC_REJECTED_CALLED},     {2, 2, METRIC_REJECTED_VERSION},
        {3, 1, METRIC_REJECTED_CONGESTION}, {3, 2, METRIC_REJECTED_LIMIT},
    };
    metric_counter counter = METRIC_REJECTED_OTHER;
    for (size_t i = 0; i < sizeof REASONS / sizeof REASONS[0]; i++) {
        if (REASONS[i].source == source && REASONS[i].reason == reason)
            counter = REASONS[i].counter;
    }
    metrics_add(counter, 1);
}

void metrics_observe(metric_histogram which, double seconds)
{
    histogram *h = &histograms[which];
    unsigned i = 0;
    while (i < METRIC_BUCKETS - 1 && seconds > metric_bounds[i])
        i++;
    atomic_fetch_add_explicit(&h->counts[i], 1, memory_order_relaxed);
    if (seconds > 0)
        atomic_fetch_add_explicit(&h->sum_ns, (uint64_t)(seconds * 1e9), memory_order_relaxed);
}

static unsigned service_index(const char *name)
{
    static const char *const NAMES[METRIC_SERVICES] = METRIC_SERVICE_NAMES;
    unsigned i = 0;
    while (i < METRIC_SERVICES - 1 && strcmp(NAMES[i], name) != 0)
        i++;
    return i;
}

static outcome *find_outcome(uint32_t key)
{
    for (size_t i = 0; i < METRIC_OUTCOMES_MAX - 1; i++) {
        uint_fast32_t there = atomic_load_explicit(&outcomes[i].key, memory_order_relaxed);
        if (there == 0 &&
            atomic_compare_exchange_strong_explicit(&outcomes[i].key, &there, key,
                                                    memory_order_relaxed, memory_order_relaxed))
            there = key;
        if (there == key)
            return &outcomes[i];
    }
    outcome *last = &outcomes[METRIC_OUTCOMES_MAX - 1];
    const uint_fast32_t rest = ((METRIC_SERVICES - 1) << 17 | METRIC_NO_STATUS) + 1;
    atomic_store_explicit(&last->key, rest, memory_order_relaxed);
    return last;
}

void metrics_operation(const char *service, uint32_t status, double seconds)
{
    const unsigned index = service_index(service);
    outcome *found = find_outcome((index << 17 | status) + 1);
    atomic_fetch_add_explicit(&found->count, 1, memory_order_relaxed);
    metrics_observe(METRIC_OPERATION_SECONDS + index, seconds);
}

static int compare_outcomes(const void *a, const void *b)
{
    const metric_outcome *x = a, *y = b;
    if (x->service != y->service)
        return x->service < y->service ? -1 : 1;
    return x->status < y->status ? -1 : x->status > y->status;
}

void metrics_read(metrics_snapshot *out)
{
    *out = (metrics_snapshot){0};
    for (size_t i = 0; i < METRIC_COUNTERS; i++)
        out->counters[i] = atomic_load_explicit(&counters[i].n, memory_order_relaxed);
    for (size_t i = 0; i < METRIC_HISTOGRAMS; i++) {
        for (size_t j = 0; j < METRIC_BUCKETS; j++)
            out->histograms[i].counts[j] =
                atomic_load_explicit(&histograms[i].counts[j], memory_order_relaxed);
        out->histograms[i].sum =
            (double)atomic_load_explicit(&histograms[i].sum_ns, memory_order_relaxed) / 1e9;
    }
    for (size_t i = 0; i < METRIC_OUTCOMES_MAX; i++) {
        const uint_fast32_t key = atomic_load_explicit(&outcomes[i].key, memory_order_relaxed);
        if (key == 0)
            continue;
        out->outcomes[out->noutcomes++] =
            (metric_outcome){(unsigned)((key - 1) >> 17), (uint32_t)((key - 1) & 0x1FFFF),
                             atomic_load_explicit(&outcomes[i].count, memory_order_relaxed)};
    }
    qsort(out->outcomes, out->noutcomes, sizeof out->outcomes[0], compare_outcomes);
}
