/* SPDX-License-Identifier: Apache-2.0 */
/* test_series_cache.c - a series with the shared cache: hits, share, reading ahead, statistics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "dcb.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PHANTOM TEST_DATA_DIR "/golden/ct_phantom_small/series.dcbs"
#define NFRAMES 8

static dcb_cache *make_cache(uint32_t nworkers)
{
    dcb_cache_options options = DCB_CACHE_OPTIONS_INIT;
    options.nworkers = nworkers;
    dcb_cache *cache;
    assert_int_equal(dcb_cache_create(&cache, &options, NULL), DCB_OK);
    return cache;
}

static dcb_series *open_phantom(dcb_cache *cache, uint32_t cache_frames, uint32_t prefetch_frames)
{
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.cache = cache;
    options.cache_frames = cache_frames;
    options.prefetch_frames = prefetch_frames;
    dcb_series *series;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_open(&series, PHANTOM, &options, &error) != DCB_OK)
        fail_msg("%s", error.message);
    assert_int_equal(dcb_series_get_info(series)->nframes, NFRAMES);
    return series;
}

static void get(dcb_series *series, uint32_t frame)
{
    dcb_frame *instance;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_frame(&instance, series, frame, DCB_ENCODING_STORED, &error) != DCB_OK)
        fail_msg("frame %u: %s", frame, error.message);
    dcb_frame_info info;
    assert_int_equal(dcb_series_frame_info(&info, series, frame, NULL), DCB_OK);
    assert_string_equal(dcb_frame_sop_instance_uid(instance), info.sop_instance_uid);
    dcb_frame_release(instance);
}

static dcb_series_cache_stats stats_of(const dcb_series *series)
{
    dcb_series_cache_stats stats;
    dcb_series_get_cache_stats(series, &stats);
    return stats;
}

static void test_hits_and_statistics(void **state)
{
    (void)state;
    dcb_cache *cache = make_cache(0);
    dcb_series *series = open_phantom(cache, 0, 0);
    assert_int_equal(stats_of(series).last_access_ms, 0);
    int64_t before = (int64_t)time(NULL) * 1000;
    for (uint32_t i = 0; i < 2 * NFRAMES; i++)
        get(series, i % NFRAMES);
    dcb_series_cache_stats stats = stats_of(series);
    assert_int_equal(stats.misses, NFRAMES);
    assert_int_equal(stats.hits, NFRAMES);
    assert_int_equal(stats.cached_frames, NFRAMES);
    assert_int_equal(stats.loading_frames, 0);
    assert_int_equal(stats.queued_frames, 0);
    assert_int_equal(stats.prefetches, 0);
    assert_in_range(stats.last_access_ms, before, before + 600000);
    dcb_cache_stats of_cache;
    dcb_cache_get_stats(cache, &of_cache);
    assert_int_equal(of_cache.entries, NFRAMES);
    assert_int_equal(of_cache.bytes, stats.bytes);

    /* Another opening of the same file is another series. */
    dcb_series *other = open_phantom(cache, 0, 0);
    get(other, 0);
    assert_int_equal(stats_of(other).misses, 1);
    dcb_series_clear_cache(series);
    assert_int_equal(stats_of(series).cached_frames, 0);
    assert_int_equal(stats_of(series).bytes, 0);
    assert_int_equal(stats_of(other).cached_frames, 1);
    get(series, 3);
    assert_int_equal(stats_of(series).misses, NFRAMES + 1);

    dcb_series_release(series);
    dcb_cache_close(cache); /* other holds it */
    get(other, 0);
    assert_int_equal(stats_of(other).hits, 1);
    dcb_series_close(other);
}

static void test_without_a_cache(void **state)
{
    (void)state;
    dcb_series *series = open_phantom(NULL, 4, 2);
    get(series, 0);
    get(series, 0);
    dcb_series_clear_cache(series);
    dcb_series_cache_stats stats = stats_of(series);
    assert_int_equal(stats.hits + stats.misses + stats.cached_frames, 0);
    assert_int_equal(stats.cache_frames, 4);
    assert_int_equal(stats.prefetch_frames, 2);
    dcb_series_close(series);
}

static void test_share(void **state)
{
    (void)state;
    dcb_cache *cache = make_cache(0);
    dcb_series *series = open_phantom(cache, 3, 0);
    for (uint32_t i = 0; i < NFRAMES; i++)
        get(series, i);
    assert_int_equal(stats_of(series).cached_frames, 3);
    assert_int_equal(stats_of(series).cache_frames, 3);
    assert_int_equal(stats_of(series).evictions, NFRAMES - 3);
    dcb_series_close(series);
    dcb_cache_close(cache);
}

static void test_a_closed_series_says_so(void **state)
{
    (void)state;
    dcb_cache *cache = make_cache(0);
    dcb_series *series = open_phantom(cache, 0, 4);
    get(series, 0);
    get(series, 1);
    dcb_frame *held;
    assert_int_equal(dcb_series_frame(&held, series, 1, DCB_ENCODING_STORED, NULL), DCB_OK);
    dcb_series *mine = dcb_series_ref(series);
    dcb_series_close(series);
    dcb_frame *instance = held;
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(dcb_series_frame(&instance, mine, 1, DCB_ENCODING_STORED, &error),
                     DCB_ERR_CLOSED);
    assert_null(instance);
    assert_int_equal(error.status, DCB_ERR_CLOSED);
    dcb_cache_stats stats;
    dcb_cache_get_stats(cache, &stats);
    assert_int_equal(stats.entries, 0);
    dcb_series_clear_cache(mine);
    dcb_series_release(mine);
    dcb_cache_close(cache);
    size_t nbytes;
    const uint8_t *bytes = dcb_frame_part10(held, &nbytes);
    assert_memory_equal(bytes + 128, "DICM", 4);
    dcb_frame_release(held);
}

static void test_the_next_frames_are_hits(void **state)
{
    (void)state;
    dcb_cache *cache = make_cache(2);
    dcb_series *series = open_phantom(cache, 0, 4);
    get(series, 0);
    get(series, 1); /* now the direction is known */
    for (uint32_t i = 2; i < NFRAMES; i++) {
        /* Two workers: a later one may be there first. What was being made is there, then. */
        while (!dcb_series_has_frame(series, i, DCB_ENCODING_STORED) ||
               stats_of(series).loading_frames > 0)
            sched_yield();
        get(series, i);
    }
    dcb_series_cache_stats stats = stats_of(series);
    assert_int_equal(stats.misses, 2);
    assert_int_equal(stats.hits, NFRAMES - 2);
    assert_int_equal(stats.prefetches, NFRAMES - 2);
    assert_int_equal(stats.prefetches_used, NFRAMES - 2);
    assert_int_equal(stats.prefetches_wasted, 0);
    assert_int_equal(stats.prefetch_frames, 4);
    dcb_series_close(series);
    dcb_cache_close(cache);
}

/* A file whose reads by other threads than the first wait till they are let through. */
typedef struct slow_file {
    int descriptor;
    pthread_t reader;
    atomic_uint waiting;
    atomic_bool open;
} slow_file;

static int read_slowly(void *context, void *buffer, size_t nbytes, uint64_t offset)
{
    slow_file *file = context;
    if (!pthread_equal(pthread_self(), file->reader)) {
        atomic_fetch_add(&file->waiting, 1);
        while (!atomic_load(&file->open))
            sched_yield();
    }
    return pread(file->descriptor, buffer, nbytes, (off_t)offset) == (ssize_t)nbytes ? 0 : EIO;
}

static void test_a_jump_cancels(void **state)
{
    (void)state;
    slow_file file = {.reader = pthread_self()};
    file.descriptor = open(PHANTOM, O_RDONLY | O_CLOEXEC);
    assert_true(file.descriptor >= 0);
    dcb_source_callbacks callbacks = {.context = &file, .read_at = read_slowly};
    callbacks.size = (uint64_t)lseek(file.descriptor, 0, SEEK_END);
    dcb_cache *cache = make_cache(1);
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.cache = cache;
    options.prefetch_frames = 4;
    dcb_series *series;
    assert_int_equal(dcb_series_open_source(&series, &callbacks, &options, NULL), DCB_OK);
    get(series, 0);
    get(series, 1);
    while (atomic_load(&file.waiting) == 0)
        sched_yield();
    /* The worker is in the middle of frame 2; frame 3 is queued. The reader does not wait. */
    get(series, 4);
    assert_true(stats_of(series).queued_frames >= 2);
    assert_int_equal(stats_of(series).loading_frames, 1);
    get(series, 0);
    assert_int_equal(stats_of(series).queued_frames, 0);
    atomic_store(&file.open, true);
    while (stats_of(series).loading_frames > 0)
        sched_yield();
    dcb_series_cache_stats stats = stats_of(series);
    assert_int_equal(stats.prefetches, 1);
    assert_int_equal(stats.cached_frames, 4);
    assert_int_equal(stats.misses, 3);
    get(series, 2);
    assert_int_equal(stats_of(series).prefetches_used, 1);
    dcb_series_close(series);
    dcb_cache_close(cache);
    close(file.descriptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits_and_statistics),
        cmocka_unit_test(test_without_a_cache),
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_a_closed_series_says_so),
        cmocka_unit_test(test_the_next_frames_are_hits),
        cmocka_unit_test(test_a_jump_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
