/* SPDX-License-Identifier: Apache-2.0 */
/* test_frame_cache.c - the shared cache: budget, order of eviction, one load for all, failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_frames.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define FRAME_NBYTES 1000
#define STORED       DCB_ENCODING_STORED

static dcb_cache *make_cache(uint64_t budget, uint32_t nshards)
{
    dcb_cache_options options = DCB_CACHE_OPTIONS_INIT;
    options.budget_bytes = budget;
    options.nshards = nshards;
    options.prefetch = false;
    dcb_cache *cache;
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(dcb_cache_create(&cache, &options, &error), DCB_OK);
    return cache;
}

static void join(fake_series *series, dcb_cache *cache, uint32_t number, uint32_t max_frames)
{
    *series = (fake_series){.number = number, .nbytes = FRAME_NBYTES};
    assert_int_equal(dcb__cache_series_open(&series->membership, cache, max_frames, NULL), DCB_OK);
}

/* Gets a frame, checks that it is the right one, lets it go. */
static void get(fake_series *series, uint32_t frame)
{
    dcb_frame *instance;
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(
        dcb__cache_get(&instance, series->membership, frame, STORED, 1, fake_load, series, &error),
        DCB_OK);
    assert_true(fake_is(instance, series, frame, STORED));
    dcb_frame_release(instance);
}

static dcb_cache_stats stats_of(const dcb_cache *cache)
{
    dcb_cache_stats stats;
    dcb_cache_get_stats(cache, &stats);
    return stats;
}

static dcb_series_cache_stats series_stats(const fake_series *series)
{
    dcb_series_cache_stats stats;
    dcb__cache_series_get_stats(series->membership, &stats);
    return stats;
}

static size_t footprint(void)
{
    fake_series series = {.nbytes = FRAME_NBYTES};
    return fake_footprint(&series);
}

/* ---- One thread ------------------------------------------------------------------------------ */

static void test_hit_and_miss(void **state)
{
    (void)state;
    dcb_cache *cache = make_cache(1 << 20, 0);
    fake_series a, b;
    join(&a, cache, 1, 0);
    join(&b, cache, 2, 0);
    get(&a, 0);
    get(&a, 0);
    get(&b, 0);
    dcb_frame *decoded;
    assert_int_equal(dcb__cache_get(&decoded, a.membership, 0, DCB_ENCODING_IMPLICIT_LE, 77,
                                    fake_load, &a, NULL),
                     DCB_OK);
    assert_true(fake_is(decoded, &a, 0, DCB_ENCODING_IMPLICIT_LE));
    dcb_frame_release(decoded);

    assert_int_equal(a.loads, 2);
    assert_int_equal(b.loads, 1);
    dcb_cache_stats stats = stats_of(cache);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.misses, 3);
    assert_int_equal(stats.entries, 3);
    assert_int_equal(stats.bytes, 3 * footprint());
    assert_int_equal(stats.budget_bytes, 1 << 20);
    assert_int_equal(stats.loading, 0);
    dcb_series_cache_stats of_a = series_stats(&a), of_b = series_stats(&b);
    assert_int_equal(of_a.hits, 1);
    assert_int_equal(of_a.misses, 2);
    assert_int_equal(of_a.cached_frames, 2);
    assert_int_equal(of_a.bytes, 2 * footprint());
    assert_int_equal(of_a.last_access_ms, 77);
    assert_int_equal(of_b.cached_frames, 1);
    assert_int_equal(of_b.hits, 0);
    assert_int_equal(of_b.last_access_ms, 1);

    dcb__cache_series_close(a.membership);
    assert_int_equal(stats_of(cache).entries, 1);
    assert_int_equal(stats_of(cache).bytes, footprint());
    dcb__cache_series_close(b.membership);
    dcb_cache_close(cache);
}

static void test_budget(void **state)
{
    (void)state;
    static const uint32_t shard_counts[] = {1, 2, 16, 64};
    static const uint32_t budgets[] = {1, 2, 7, 50};
    for (size_t s = 0; s < 4; s++) {
        for (size_t b = 0; b < 4; b++) {
            uint64_t budget = budgets[b] * footprint() + footprint() / 2;
            dcb_cache *cache = make_cache(budget, shard_counts[s]);
            fake_series series;
            join(&series, cache, 3, 0);
            for (uint32_t i = 0; i < 300; i++) {
                get(&series, i);
                uint32_t expected = i + 1 < budgets[b] ? i + 1 : budgets[b];
                assert_int_equal(stats_of(cache).entries, expected);
                assert_int_equal(stats_of(cache).bytes, expected * footprint());
                assert_int_equal(series_stats(&series).cached_frames, expected);
                assert_true(dcb__cache_has(series.membership, i, STORED));
            }
            assert_int_equal(stats_of(cache).evictions, 300 - budgets[b]);
            assert_int_equal(series_stats(&series).evictions, 300 - budgets[b]);
            dcb__cache_series_close(series.membership);
            assert_int_equal(stats_of(cache).bytes, 0);
            dcb_cache_close(cache);
        }
    }
}

/* The budget holds four frames, of which one is the small queue's target. */
static const struct {
    const char *name, *gets, *kept;
} eviction_cases[] = {
    {"the oldest leaves", "01234", "1234"},
    {"order of entry, whatever the shard", "0123456789", "6789"},
    {"what was used again stays", "001234", "0234"},
    {"and stays through a scan", "0012345678", "0678"},
    {"two of them", "00112345678", "0178"},
    {"what comes back soon stays", "012340567", "0567"},
    {"what comes back late is new", "0123456780abc9", "9abc"},
    {"what was hot once leaves for what is hot now", "001122334455667788", "5678"},
    {"a hit in the main queue is another round", "0011223304", "0234"},
    {"but not for ever", "0000112233445566778899aa", "789a"},
};

static uint32_t frame_of(char name)
{
    return name >= 'a' ? (uint32_t)(name - 'a') + 10 : (uint32_t)(name - '0');
}

static void test_eviction_order(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof eviction_cases / sizeof *eviction_cases; c++) {
        for (uint32_t nshards = 1; nshards <= 16; nshards *= 16) {
            dcb_cache *cache = make_cache(4 * footprint(), nshards);
            fake_series series;
            join(&series, cache, 4, 0);
            for (const char *name = eviction_cases[c].gets; *name != '\0'; name++)
                get(&series, frame_of(*name));
            char kept[32] = "", *end = kept;
            for (const char *name = "0123456789abc"; *name != '\0'; name++) {
                if (dcb__cache_has(series.membership, frame_of(*name), STORED))
                    *end++ = *name;
            }
            if (strcmp(kept, eviction_cases[c].kept) != 0)
                fail_msg("%s (%u shards): kept %s, not %s", eviction_cases[c].name, nshards, kept,
                         eviction_cases[c].kept);
            dcb__cache_series_close(series.membership);
            dcb_cache_close(cache);
        }
    }
}

static void test_scan_resistance(void **state)
{
    (void)state;
    dcb_cache *cache = make_cache(100 * footprint(), 8);
    fake_series hot, scanned;
    join(&hot, cache, 5, 0);
    join(&scanned, cache, 6, 0);
    /* 60 frames in use; a scan of 20 times the budget between two uses. LRU would keep none. */
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 60; i++)
            get(&hot, i);
    }
    for (uint32_t pass = 0; pass < 5; pass++) {
        for (uint32_t i = 0; i < 2000; i++)
            get(&scanned, pass * 2000 + i);
        for (uint32_t i = 0; i < 60; i++)
            get(&hot, i);
    }
    assert_int_equal(hot.loads, 60);
    assert_int_equal(scanned.loads, 10000);
    assert_int_equal(series_stats(&hot).cached_frames, 60);
    assert_int_equal(series_stats(&hot).evictions, 0);
    dcb__cache_series_close(hot.membership);
    dcb__cache_series_close(scanned.membership);
    dcb_cache_close(cache);
}

static void test_large_frames(void **state)
{
    (void)state;
    dcb_cache *cache = make_cache(10 * footprint(), 16);
    fake_series small, whole, over;
    join(&small, cache, 7, 0);
    join(&whole, cache, 8, 0);
    join(&over, cache, 9, 0);
    whole.nbytes += 9 * footprint();
    over.nbytes = whole.nbytes + 1;
    for (uint32_t i = 0; i < 10; i++)
        get(&small, i);
    /* Larger than the budget: given, not kept, and nothing is evicted for it. */
    get(&over, 0);
    assert_int_equal(stats_of(cache).entries, 10);
    assert_int_equal(stats_of(cache).evictions, 0);
    assert_false(dcb__cache_has(over.membership, 0, STORED));
    /* As large as the budget: kept, though it is 16 times a shard's share of it. */
    get(&whole, 0);
    assert_true(dcb__cache_has(whole.membership, 0, STORED));
    assert_int_equal(stats_of(cache).entries, 1);
    assert_int_equal(stats_of(cache).bytes, 10 * footprint());
    get(&small, 0);
    assert_int_equal(stats_of(cache).entries, 1);
    assert_true(dcb__cache_has(small.membership, 0, STORED));
    dcb__cache_series_close(small.membership);
    dcb__cache_series_close(whole.membership);
    dcb__cache_series_close(over.membership);
    dcb_cache_close(cache);
}

static void test_series_share(void **state)
{
    (void)state;
    dcb_cache *cache = make_cache(1 << 20, 4);
    fake_series limited, free_one;
    join(&limited, cache, 10, 5);
    join(&free_one, cache, 11, 0);
    for (uint32_t i = 0; i < 20; i++) {
        get(&free_one, i);
        get(&limited, i);
        get(&limited, 0); /* in use all the time */
    }
    assert_int_equal(series_stats(&limited).cached_frames, 5);
    assert_int_equal(series_stats(&limited).cache_frames, 5);
    assert_int_equal(series_stats(&limited).evictions, 15);
    assert_int_equal(series_stats(&free_one).cached_frames, 20);
    assert_true(dcb__cache_has(limited.membership, 0, STORED));
    assert_true(dcb__cache_has(limited.membership, 19, STORED));
    assert_int_equal(limited.loads, 20);
    dcb__cache_series_close(limited.membership);
    dcb__cache_series_close(free_one.membership);
    dcb_cache_close(cache);
}

static void test_prefetch(void **state)
{
    (void)state;
    dcb_cache *cache = make_cache(80 * footprint(), 4); /* room for 10 unused */
    fake_series series;
    join(&series, cache, 12, 0);
    assert_int_equal(dcb__cache_prefetch_room(series.membership), UINT32_MAX);
    get(&series, 0);
    assert_int_equal(dcb__cache_prefetch_room(series.membership), 10);
    for (uint32_t i = 1; i <= 20; i++)
        dcb__cache_prefetch(series.membership, i, STORED, fake_load, &series);
    assert_int_equal(stats_of(cache).prefetches, 10); /* and then there was no room */
    assert_int_equal(series.loads, 11);
    dcb__cache_prefetch(series.membership, 3, STORED, fake_load, &series);
    assert_int_equal(series.loads, 11);
    for (uint32_t i = 1; i <= 4; i++)
        get(&series, i);
    assert_int_equal(series.loads, 11);
    assert_int_equal(stats_of(cache).hits, 4);
    assert_int_equal(stats_of(cache).misses, 1);
    assert_int_equal(stats_of(cache).prefetches_used, 4);
    assert_int_equal(stats_of(cache).prefetches_wasted, 0);
    dcb__cache_prefetch(series.membership, 30, STORED, fake_load, &series);
    assert_true(dcb__cache_has(series.membership, 30, STORED));
    /* The first use is what it was read for: it does not make the frame hot. */
    for (uint32_t i = 100; i < 180; i++)
        get(&series, i);
    assert_false(dcb__cache_has(series.membership, 1, STORED));
    assert_int_equal(stats_of(cache).prefetches_wasted, 7);
    assert_int_equal(series_stats(&series).prefetches_wasted, 7);
    dcb__cache_series_close(series.membership);
    dcb_cache_close(cache);

    cache = make_cache(80 * footprint(), 4);
    join(&series, cache, 12, 4);
    assert_int_equal(dcb__cache_prefetch_room(series.membership), 3);
    dcb__cache_series_close(series.membership);
    dcb_cache_close(cache);
}

static void test_frames_outlive_all(void **state)
{
    (void)state;
    dcb_cache *cache = make_cache(1 << 20, 0);
    fake_series series;
    join(&series, cache, 13, 0);
    dcb_frame *instance;
    assert_int_equal(
        dcb__cache_get(&instance, series.membership, 5, STORED, 1, fake_load, &series, NULL),
        DCB_OK);
    dcb_cache_close(cache); /* the series holds it */
    get(&series, 6);
    dcb_frame *again = dcb_frame_ref(instance);
    dcb__cache_series_close(series.membership);
    dcb_frame_release(instance);
    assert_true(fake_is(again, &series, 5, STORED));
    dcb_frame_release(again);
    dcb_frame_release(NULL);
    dcb_cache_close(NULL);
    dcb__cache_series_close(NULL);
}

static void test_options(void **state)
{
    (void)state;
    dcb_cache *cache = (dcb_cache *)&cache;
    dcb_error error = DCB_ERROR_INIT;
    dcb_cache_options options = {.struct_size = 3};
    assert_int_equal(dcb_cache_create(&cache, &options, &error), DCB_ERR_ARGUMENT);
    assert_null(cache);
    assert_non_null(strstr(error.message, "struct_size is 3"));
    options = (dcb_cache_options)DCB_CACHE_OPTIONS_INIT;
    options.nworkers = 100000;
    assert_int_equal(dcb_cache_create(&cache, &options, &error), DCB_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "100000 threads"));
    assert_int_equal(dcb_cache_create(&cache, NULL, &error), DCB_OK);
    assert_int_equal(stats_of(cache).budget_bytes, 256u << 20);
    dcb_cache_close(cache);
}

/* ---- Emptied while a load is under way --------------------------------------------------------
 */

typedef struct emptying {
    fake_series *series;
    dcb_cache *cache; /* NULL: forget the series, else clear the cache */
} emptying;

static dcb_status load_while_emptied(dcb_frame **out, void *context, uint32_t frame,
                                     dcb_encoding encoding, dcb_error *error)
{
    emptying *how = context;
    dcb_status status = fake_load(out, how->series, frame, encoding, error);
    if (how->cache != NULL)
        dcb_cache_clear(how->cache);
    else
        dcb__cache_series_forget(how->series->membership);
    return status;
}

static void test_emptied_during_load(void **state)
{
    (void)state;
    for (int clear = 0; clear < 2; clear++) {
        dcb_cache *cache = make_cache(1 << 20, 0);
        fake_series series, other;
        join(&series, cache, 14, 0);
        join(&other, cache, 15, 0);
        get(&series, 1);
        get(&other, 1);
        emptying how = {&series, clear ? cache : NULL};
        dcb_frame *instance;
        assert_int_equal(dcb__cache_get(&instance, series.membership, 2, STORED, 1,
                                        load_while_emptied, &how, NULL),
                         DCB_OK);
        assert_true(fake_is(instance, &series, 2, STORED));
        dcb_frame_release(instance);
        assert_false(dcb__cache_has(series.membership, 1, STORED));
        assert_false(dcb__cache_has(series.membership, 2, STORED));
        assert_true(dcb__cache_has(other.membership, 1, STORED) == !clear);
        assert_int_equal(stats_of(cache).bytes, clear ? 0 : footprint());
        /* Afterwards it keeps again. */
        get(&series, 2);
        assert_true(dcb__cache_has(series.membership, 2, STORED));
        /* What is read ahead is neither kept nor counted as used. */
        dcb__cache_prefetch(series.membership, 3, STORED, load_while_emptied, &how);
        assert_false(dcb__cache_has(series.membership, 3, STORED));
        assert_int_equal(series_stats(&series).prefetches_wasted, 1);
        assert_int_equal(dcb__cache_prefetch_room(series.membership), (1 << 20) / 8 / footprint());
        dcb__cache_series_close(series.membership);
        dcb__cache_series_close(other.membership);
        assert_int_equal(stats_of(cache).bytes, 0);
        dcb_cache_close(cache);
    }
}

/* ---- Many threads -----------------------------------------------------------------------------
 */

#define NTHREADS 12

typedef enum load_result { LOADS, FAILS, FORGETS } load_result;

typedef struct crowd {
    fake_series series;
    dcb_cache *cache;
    load_result result;
    pthread_barrier_t start;
    uint64_t expected_waiters;
    atomic_uint right;
} crowd;

/* Goes on when all the others wait for it. */
static dcb_status load_for_crowd(dcb_frame **out, void *context, uint32_t frame,
                                 dcb_encoding encoding, dcb_error *error)
{
    crowd *all = context;
    while (stats_of(all->cache).coalesced < all->expected_waiters)
        sched_yield();
    if (all->result == FORGETS)
        dcb__cache_series_forget(all->series.membership);
    if (all->result == FAILS) {
        atomic_fetch_add(&all->series.loads, 1);
        *out = NULL;
        return dcb__fail(error, DCB_ERR_CODESTREAM, 4711, "frame %u is damaged", frame);
    }
    return fake_load(out, &all->series, frame, encoding, error);
}

static void *one_of_crowd(void *argument)
{
    crowd *all = argument;
    pthread_barrier_wait(&all->start);
    dcb_frame *instance = NULL;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb__cache_get(&instance, all->series.membership, 9, STORED, 1,
                                       load_for_crowd, all, &error);
    bool right;
    if (all->result == FAILS)
        right = status == DCB_ERR_CODESTREAM && instance == NULL && error.offset == 4711 &&
                error.status == status && strcmp(error.message, "frame 9 is damaged") == 0;
    else
        right = status == DCB_OK && fake_is(instance, &all->series, 9, STORED);
    if (right)
        atomic_fetch_add(&all->right, 1);
    dcb_frame_release(instance);
    return NULL;
}

static void run_crowd(crowd *all, uint64_t budget, load_result result)
{
    memset(all, 0, sizeof *all);
    all->cache = make_cache(budget, 0);
    join(&all->series, all->cache, 16, 0);
    all->result = result;
    all->expected_waiters = NTHREADS - 1;
    pthread_barrier_init(&all->start, NULL, NTHREADS);
    pthread_t threads[NTHREADS];
    for (int i = 0; i < NTHREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, one_of_crowd, all), 0);
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all->start);
    assert_int_equal(all->right, NTHREADS);
    assert_int_equal(all->series.loads, 1);
    assert_int_equal(stats_of(all->cache).misses, 1);
    assert_int_equal(stats_of(all->cache).coalesced, NTHREADS - 1);
    assert_int_equal(stats_of(all->cache).loading, 0);
    assert_int_equal(series_stats(&all->series).coalesced, NTHREADS - 1);
    assert_int_equal(series_stats(&all->series).loading_frames, 0);
}

static void end_crowd(crowd *all)
{
    dcb__cache_series_close(all->series.membership);
    dcb_cache_close(all->cache);
}

static void test_one_load_for_all(void **state)
{
    (void)state;
    crowd all;
    run_crowd(&all, 1 << 20, LOADS);
    assert_true(dcb__cache_has(all.series.membership, 9, STORED));
    end_crowd(&all);
}

static void test_no_budget_still_one_load(void **state)
{
    (void)state;
    crowd all;
    run_crowd(&all, 0, LOADS);
    assert_false(dcb__cache_has(all.series.membership, 9, STORED));
    assert_int_equal(stats_of(all.cache).entries, 0);
    get(&all.series, 9);
    assert_int_equal(all.series.loads, 2);
    end_crowd(&all);
}

static void test_failure_told_to_all(void **state)
{
    (void)state;
    crowd all;
    run_crowd(&all, 1 << 20, FAILS);
    assert_false(dcb__cache_has(all.series.membership, 9, STORED));
    assert_int_equal(stats_of(all.cache).bytes, 0);
    get(&all.series, 9); /* it is tried again */
    assert_int_equal(all.series.loads, 2);
    end_crowd(&all);
}

static void test_forgotten_is_delivered(void **state)
{
    (void)state;
    crowd all;
    run_crowd(&all, 1 << 20, FORGETS);
    assert_false(dcb__cache_has(all.series.membership, 9, STORED));
    end_crowd(&all);
}

static void *prefetch_for_crowd(void *argument)
{
    crowd *all = argument;
    dcb__cache_prefetch(all->series.membership, 9, STORED, load_for_crowd, all);
    return NULL;
}

static void test_prefetch_is_joined(void **state)
{
    (void)state;
    crowd all = {.expected_waiters = 1};
    all.cache = make_cache(1 << 20, 0);
    join(&all.series, all.cache, 17, 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, prefetch_for_crowd, &all), 0);
    while (stats_of(all.cache).loading == 0)
        sched_yield();
    get(&all.series, 9); /* by fake_load, were it not for the one under way */
    pthread_join(thread, NULL);
    assert_int_equal(all.series.loads, 1);
    dcb_cache_stats stats = stats_of(all.cache);
    assert_int_equal(stats.misses, 0);
    assert_int_equal(stats.coalesced, 1);
    assert_int_equal(stats.prefetches_used, 1);
    end_crowd(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hit_and_miss),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_eviction_order),
        cmocka_unit_test(test_scan_resistance),
        cmocka_unit_test(test_large_frames),
        cmocka_unit_test(test_series_share),
        cmocka_unit_test(test_prefetch),
        cmocka_unit_test(test_frames_outlive_all),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_emptied_during_load),
        cmocka_unit_test(test_one_load_for_all),
        cmocka_unit_test(test_no_budget_still_one_load),
        cmocka_unit_test(test_failure_told_to_all),
        cmocka_unit_test(test_forgotten_is_delivered),
        cmocka_unit_test(test_prefetch_is_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
