/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_series_cancel.c - the hook that cancels long calls: at every step at which it is asked, and
 * while others wait for the same load. Beside it the limits of dcb_open_options, each at its edge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "dcb.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define TINY    TEST_DATA_DIR "/golden/tiny3/series.dcbs"
#define PHANTOM TEST_DATA_DIR "/golden/ct_phantom_small/series.dcbs"

/* Says yes at the n-th question, once, as a user who changes his mind would. */
typedef struct countdown {
    int asked, yes_at;
} countdown;

static bool ask(void *context)
{
    countdown *count = context;
    return ++count->asked == count->yes_at;
}

static dcb_open_options with_hook(countdown *count)
{
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.cancelled = ask;
    options.cancel_context = count;
    return options;
}

static void test_opening(void **state)
{
    (void)state;
    int steps = 0;
    for (dcb_status status = DCB_ERR_CANCELLED; status != DCB_OK; steps++) {
        countdown count = {.yes_at = steps + 1};
        dcb_open_options options = with_hook(&count);
        dcb_series *series = (dcb_series *)&options;
        dcb_error error = DCB_ERROR_INIT;
        status = dcb_series_open(&series, PHANTOM, &options, &error);
        assert_true(status == DCB_OK || status == DCB_ERR_CANCELLED);
        assert_int_equal(error.status, status);
        assert_true((status == DCB_OK) == (series != NULL));
        assert_true(status == DCB_OK || count.asked == steps + 1);
        dcb_series_close(series);
    }
    assert_true(steps > 6);
}

static dcb_status call(dcb_series *series, int what, dcb_error *error)
{
    dcb_frame *frame = NULL;
    void *samples = NULL;
    size_t nbytes;
    dcb_pixel_format format;
    if (what == DCB_ENCODING_COUNT) {
        dcb_status status = dcb_series_pixels(&samples, &nbytes, &format, series, 2, 0, error);
        assert_true((status == DCB_OK) == (samples != NULL));
        free(samples);
        return status;
    }
    dcb_status status = dcb_series_frame(&frame, series, 2, (dcb_encoding)what, error);
    assert_true((status == DCB_OK) == (frame != NULL));
    dcb_frame_release(frame);
    return status;
}

static void test_calls(void **state)
{
    (void)state;
    dcb_cache *cache;
    assert_int_equal(dcb_cache_create(&cache, NULL, NULL), DCB_OK);
    for (int what = 0; what <= DCB_ENCODING_COUNT; what++) {
        countdown count = {.yes_at = -1};
        dcb_open_options options = with_hook(&count);
        options.cache = what % 2 == 0 ? cache : NULL;
        dcb_series *series;
        assert_int_equal(dcb_series_open(&series, PHANTOM, &options, NULL), DCB_OK);
        int steps = 0;
        for (dcb_status status = DCB_ERR_CANCELLED; status != DCB_OK; steps++) {
            dcb_error error = DCB_ERROR_INIT;
            count = (countdown){.yes_at = steps + 1};
            status = call(series, what, &error);
            assert_true(status == DCB_OK || status == DCB_ERR_CANCELLED);
            assert_int_equal(error.status, status);
        }
        assert_true(steps > (what == DCB_ENCODING_STORED ? 1 : 2));
        dcb_series_close(series);
    }
    dcb_cache_close(cache);
}

/* A hook that one thread's work runs into, and that keeps it there till another waits. */
typedef struct meeting {
    dcb_series *series;
    dcb_cache *cache;
    atomic_int victim_in; /* 1: the hook holds the first thread; 2: it was let go */
    atomic_bool armed;
    pthread_t victim;
    dcb_status victims, waiters;
    dcb_frame *frame;
} meeting;

static bool hold_the_victim(void *context)
{
    meeting *m = context;
    if (!atomic_load(&m->armed) || !pthread_equal(pthread_self(), m->victim))
        return false;
    atomic_store(&m->victim_in, 1);
    dcb_cache_stats stats;
    do {
        sched_yield();
        dcb_cache_get_stats(m->cache, &stats);
    } while (stats.coalesced == 0);
    return true;
}

static void *wait_for_it(void *context)
{
    meeting *m = context;
    while (atomic_load(&m->victim_in) == 0)
        sched_yield();
    m->waiters = dcb_series_frame(&m->frame, m->series, 1, DCB_ENCODING_EXPLICIT_LE, NULL);
    return NULL;
}

static void test_waiters_load_themselves(void **state)
{
    (void)state;
    meeting m = {.victim = pthread_self()};
    assert_int_equal(dcb_cache_create(&m.cache, NULL, NULL), DCB_OK);
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.cache = m.cache;
    options.cancelled = hold_the_victim;
    options.cancel_context = &m;
    assert_int_equal(dcb_series_open(&m.series, PHANTOM, &options, NULL), DCB_OK);
    atomic_store(&m.armed, true);
    pthread_t waiter;
    assert_int_equal(pthread_create(&waiter, NULL, wait_for_it, &m), 0);
    dcb_frame *frame;
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(dcb_series_frame(&frame, m.series, 1, DCB_ENCODING_EXPLICIT_LE, &error),
                     DCB_ERR_CANCELLED);
    assert_null(frame);
    pthread_join(waiter, NULL);
    assert_int_equal(m.waiters, DCB_OK);
    assert_non_null(m.frame);
    dcb_cache_stats stats;
    dcb_cache_get_stats(m.cache, &stats);
    assert_int_equal(stats.misses, 2);
    assert_int_equal(stats.coalesced, 1);
    assert_int_equal(stats.entries, 1);
    dcb_frame_release(m.frame);
    dcb_series_close(m.series);
    dcb_cache_close(m.cache);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

typedef struct limit_row {
    const char *name;
    size_t offset;
    bool is_64;
    uint64_t enough; /* for tiny3, one less is not */
    bool at_open;
} limit_row;

#define LIMIT(field, enough, at_open)                                                              \
    {                                                                                              \
#field, offsetof(dcb_limits, field), sizeof((dcb_limits){0}.field) == 8, enough, at_open   \
    }

static dcb_status open_with(dcb_series **series, const limit_row *row, uint64_t value,
                            dcb_error *error)
{
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    uint8_t *field = (uint8_t *)&options.limits + row->offset;
    uint32_t narrow = (uint32_t)value;
    memcpy(field, row->is_64 ? (void *)&value : (void *)&narrow, row->is_64 ? 8 : 4);
    return dcb_series_open(series, TINY, &options, error);
}

static void test_limits(void **state)
{
    (void)state;
    static const limit_row rows[] = {
        LIMIT(max_meta_bytes, 2454, true),
        LIMIT(max_section_bytes, 184, true), /* space */
        LIMIT(max_frame_bytes, 262, false),
        LIMIT(max_pixel_bytes, 24 * 16 * 2, false),
        LIMIT(max_frames, 3, true),
        /* {_merged_data: {tag: {Value: [{tag: {Value: [value: the value counts. */
        LIMIT(max_json_depth, 8, true),
        LIMIT(max_sequence_depth, 1, true),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dcb_series *series;
        dcb_frame *frame;
        dcb_error error = DCB_ERROR_INIT;
        if (open_with(&series, &rows[i], rows[i].enough, &error) != DCB_OK)
            fail_msg("%s: %s", rows[i].name, error.message);
        if (dcb_series_frame(&frame, series, 0, DCB_ENCODING_EXPLICIT_LE, &error) != DCB_OK)
            fail_msg("%s: %s", rows[i].name, error.message);
        dcb_frame_release(frame);
        dcb_series_close(series);

        dcb_status status = open_with(&series, &rows[i], rows[i].enough - 1, &error);
        if ((status != DCB_OK) != rows[i].at_open)
            fail_msg("%s: opening gave %d, %s", rows[i].name, status, error.message);
        if (status == DCB_OK) {
            status = dcb_series_frame(&frame, series, 0, DCB_ENCODING_STORED, &error);
            assert_null(frame);
        }
        if (status != DCB_ERR_LIMIT || error.status != DCB_ERR_LIMIT)
            fail_msg("%s: status %d, %s", rows[i].name, status, error.message);
        dcb_series_close(series);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opening),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_waiters_load_themselves),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
