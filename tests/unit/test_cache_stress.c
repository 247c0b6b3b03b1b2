/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cache_stress.c - 16 threads, 50 series that come and go, a budget for a few of their frames:
 * every frame that anybody gets is whole and the right one, and nothing is left over. Most telling
 * in ThreadSanitizer and AddressSanitizer builds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_frames.h"
#include "read_ahead.h"

#include <sched.h>
#include <stdlib.h>

#define NTHREADS 16
#define NSERIES  50
#define NFRAMES  40
#define NSTEPS   20000
#define NHELD    4
#define STORED   DCB_ENCODING_STORED

/* A place where series are opened and closed, as a pool of open files does it. */
typedef struct place {
    pthread_rwlock_t lock; /* guards what follows: read to use it, write to open and close */
    fake_series series;
    dcb__read_ahead *ahead;
} place;

typedef struct stress {
    dcb_cache *cache;
    place places[NSERIES];
    uint64_t budget;
    atomic_uint failures, wrong, over_budget, gets;
} stress;

/* Each 31st load fails; others may come in between, so that they ask for the same. */
static dcb_status load(dcb_frame **out, void *context, uint32_t frame, dcb_encoding encoding,
                       dcb_error *error)
{
    fake_series *series = context;
    *out = NULL;
    sched_yield();
    if (atomic_load(&series->loads) % 31 == 30) {
        atomic_fetch_add(&series->loads, 1);
        return dcb__fail(error, DCB_ERR_IO, frame, "read failed");
    }
    return fake_load(out, series, frame, encoding, error);
}

static bool open_place(stress *all, uint32_t i)
{
    place *at = &all->places[i];
    at->series.number = i;
    at->series.nbytes = 500 + i * 40;
    return dcb__cache_series_open(&at->series.membership, all->cache, i % 3 == 0 ? 5 : 0, NULL) ==
               DCB_OK &&
           dcb__read_ahead_create(&at->ahead, at->series.membership, NFRAMES, i % 2 == 0 ? 6 : 0,
                                  load, &at->series, NULL) == DCB_OK;
}

static void close_place(place *at)
{
    dcb__read_ahead_close(at->ahead);
    dcb__cache_series_close(at->series.membership);
    at->ahead = NULL;
    at->series.membership = NULL;
}

static dcb_frame *use(stress *all, place *at, uint32_t frame, dcb_encoding encoding)
{
    dcb_frame *instance;
    dcb_error error = DCB_ERROR_INIT;
    dcb__read_ahead_note(at->ahead, dcb__this_reader(), frame, encoding);
    dcb_status status = dcb__cache_get(&instance, at->series.membership, frame, encoding, 1, load,
                                       &at->series, &error);
    atomic_fetch_add(&all->gets, 1);
    if (status == DCB_ERR_IO && instance == NULL && error.offset == frame)
        atomic_fetch_add(&all->failures, 1);
    else if (status != DCB_OK || !fake_is(instance, &at->series, frame, encoding))
        atomic_fetch_add(&all->wrong, 1);
    return instance;
}

static void check_stats(stress *all, place *at)
{
    dcb_cache_stats stats;
    dcb_cache_get_stats(all->cache, &stats);
    if (stats.bytes > all->budget)
        atomic_fetch_add(&all->over_budget, 1);
    dcb_series_cache_stats of_series;
    dcb__cache_series_get_stats(at->series.membership, &of_series);
    if (of_series.bytes > all->budget)
        atomic_fetch_add(&all->over_budget, 1);
}

static void *run(void *argument)
{
    stress *all = argument;
    unsigned random = (unsigned)dcb__this_reader() ^ 0x5bd1e995u;
    dcb_frame *held[NHELD] = {NULL};
    uint32_t frame = 0, i = 0;
    for (unsigned step = 0; step < NSTEPS; step++) {
        unsigned what = (unsigned)rand_r(&random) % 1000;
        if (step % 8 == 0) {
            i = (uint32_t)rand_r(&random) % NSERIES;
            i = what < 600 ? i % 5 : i; /* a few are used most */
        }
        place *at = &all->places[i];
        if (what == 0) {
            dcb_cache_clear(all->cache);
        } else if (what < 6) {
            pthread_rwlock_wrlock(&at->lock);
            close_place(at);
            if (!open_place(all, (uint32_t)(at - all->places)))
                atomic_fetch_add(&all->wrong, 1);
            pthread_rwlock_unlock(&at->lock);
        } else {
            frame = what % 16 == 0 ? (uint32_t)rand_r(&random) % NFRAMES : (frame + 1) % NFRAMES;
            pthread_rwlock_rdlock(&at->lock);
            unsigned slot = step % NHELD;
            dcb_frame_release(held[slot]);
            held[slot] = use(all, at, frame, what % 7 == 0 ? DCB_ENCODING_DEFLATED : STORED);
            if (what < 30)
                dcb__cache_series_forget(at->series.membership);
            else if (what < 60)
                check_stats(all, at);
            pthread_rwlock_unlock(&at->lock);
        }
    }
    for (int slot = 0; slot < NHELD; slot++)
        dcb_frame_release(held[slot]);
    return NULL;
}

static void test_stress(void **state)
{
    (void)state;
    static stress all;
    all.budget = 200 * 1500;
    dcb_cache_options options = DCB_CACHE_OPTIONS_INIT;
    options.budget_bytes = all.budget;
    assert_int_equal(dcb_cache_create(&all.cache, &options, NULL), DCB_OK);
    for (uint32_t i = 0; i < NSERIES; i++) {
        pthread_rwlock_init(&all.places[i].lock, NULL);
        assert_true(open_place(&all, i));
    }
    pthread_t threads[NTHREADS];
    for (int i = 0; i < NTHREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, &all), 0);
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);

    for (uint32_t i = 0; i < NSERIES; i++)
        close_place(&all.places[i]);
    dcb_cache_stats stats;
    dcb_cache_get_stats(all.cache, &stats);
    assert_int_equal(all.wrong, 0);
    assert_int_equal(all.over_budget, 0);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.bytes, 0);
    assert_int_equal(stats.loading, 0);
    assert_int_equal(stats.hits + stats.misses + stats.coalesced, all.gets);
    /* All that was to be stressed took place. */
    assert_true(stats.hits > 0 && stats.evictions > 0 && stats.prefetches > 0);
    assert_true(stats.prefetches >= stats.prefetches_used + stats.prefetches_wasted);
    assert_true(all.failures > 0);
    print_message("gets %u, hits %lu, misses %lu, coalesced %lu, evictions %lu, failures %u, "
                  "prefetches %lu (used %lu, wasted %lu)\n",
                  all.gets, stats.hits, stats.misses, stats.coalesced, stats.evictions,
                  all.failures, stats.prefetches, stats.prefetches_used, stats.prefetches_wasted);
    dcb_cache_close(all.cache);
    for (uint32_t i = 0; i < NSERIES; i++)
        pthread_rwlock_destroy(&all.places[i].lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stress)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
