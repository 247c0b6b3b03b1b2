/* SPDX-License-Identifier: Apache-2.0 */
/* test_cache_faults.c - each allocation of the cache, its threads and reading ahead fails once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fail_alloc.h"
#include "fake_frames.h"
#include "read_ahead.h"

#define STORED DCB_ENCODING_STORED

static dcb_cache *make_cache(void)
{
    dcb_cache_options options = DCB_CACHE_OPTIONS_INIT;
    options.budget_bytes = 1 << 20;
    options.nworkers = 2;
    options.nshards = 4;
    dcb_cache *cache;
    assert_int_equal(dcb_cache_create(&cache, &options, NULL), DCB_OK);
    return cache;
}

static void test_create(void **state)
{
    (void)state;
    dcb_cache_options options = DCB_CACHE_OPTIONS_INIT;
    options.nshards = 4;
    bool failed = true;
    unsigned n;
    for (n = 1; failed; n++) {
        dcb_cache *cache = (dcb_cache *)&options;
        dcb_error error = DCB_ERROR_INIT;
        fail_alloc_at(n);
        dcb_status status = dcb_cache_create(&cache, &options, &error);
        failed = fail_alloc_end();
        assert_int_equal(status, failed ? DCB_ERR_NO_MEMORY : DCB_OK);
        assert_int_equal(error.status, status);
        assert_true((cache == NULL) == failed);
        dcb_cache_close(cache);
    }
    assert_in_range(n - 2, 6, 20); /* cache, shards, 4 tables, pool: it was all tried */
}

static void test_open_series(void **state)
{
    (void)state;
    bool failed = true;
    unsigned n;
    for (n = 1; failed; n++) {
        dcb_cache *cache = make_cache();
        fake_series series = {.number = 1, .nbytes = 100};
        dcb__read_ahead *ahead = NULL;
        dcb_error error = DCB_ERROR_INIT;
        fail_alloc_at(n);
        dcb_status status = dcb__cache_series_open(&series.membership, cache, 0, &error);
        assert_true((status == DCB_OK) == (series.membership != NULL));
        if (status == DCB_OK)
            status = dcb__read_ahead_create(&ahead, series.membership, 10, 4, fake_load, &series,
                                            &error);
        failed = fail_alloc_end();
        /* The second of two threads is not needed. */
        if (status == DCB_OK)
            assert_non_null(ahead);
        else
            assert_true(failed && status == DCB_ERR_NO_MEMORY && ahead == NULL);
        dcb__read_ahead_close(ahead);
        dcb__cache_series_close(series.membership);
        dcb_cache_close(cache);
    }
    assert_int_equal(n - 2, 4); /* membership, two threads, read-ahead */
}

static void test_get(void **state)
{
    (void)state;
    dcb_cache *cache = make_cache();
    fake_series series = {.number = 2, .nbytes = 100};
    assert_int_equal(dcb__cache_series_open(&series.membership, cache, 0, NULL), DCB_OK);
    bool failed = true;
    unsigned n, refused = 0, not_kept = 0;
    for (n = 1; failed; n++) {
        dcb_frame *instance;
        dcb_error error = DCB_ERROR_INIT;
        fail_alloc_at(n);
        dcb_status status =
            dcb__cache_get(&instance, series.membership, n, STORED, 1, fake_load, &series, &error);
        failed = fail_alloc_end();
        bool kept = dcb__cache_has(series.membership, n, STORED);
        if (status == DCB_OK) {
            /* Without memory for the entry the frame is given all the same. */
            assert_true(fake_is(instance, &series, n, STORED));
            assert_true(kept == !failed);
            not_kept += !kept;
        } else {
            assert_int_equal(status, DCB_ERR_NO_MEMORY);
            assert_null(instance);
            assert_false(kept);
            refused++;
        }
        dcb_frame_release(instance);
    }
    assert_int_equal(refused, 2); /* the load under way, the frame itself */
    assert_int_equal(not_kept, 1);
    dcb__cache_series_close(series.membership);
    dcb_cache_stats stats;
    dcb_cache_get_stats(cache, &stats);
    assert_int_equal(stats.bytes, 0);
    dcb_cache_close(cache);
}

static void test_prefetch(void **state)
{
    (void)state;
    dcb_cache *cache = make_cache();
    fake_series series = {.number = 3, .nbytes = 100};
    assert_int_equal(dcb__cache_series_open(&series.membership, cache, 0, NULL), DCB_OK);
    bool failed = true;
    unsigned n;
    for (n = 1; failed; n++) {
        fail_alloc_at(n);
        dcb__cache_prefetch(series.membership, n, STORED, fake_load, &series);
        failed = fail_alloc_end();
        assert_true(dcb__cache_has(series.membership, n, STORED) == !failed);
    }
    assert_int_equal(n - 2, 3);
    dcb_series_cache_stats stats;
    dcb__cache_series_get_stats(series.membership, &stats);
    assert_int_equal(stats.cached_frames, 1);
    assert_int_equal(stats.loading_frames, 0);
    assert_int_equal(stats.prefetches, 3);
    assert_int_equal(stats.prefetches_wasted, 2);
    dcb__cache_series_close(series.membership);
    dcb_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_open_series),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_prefetch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
