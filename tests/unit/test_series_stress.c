/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_series_stress.c - 16 threads over many openings of a few files, with a cache too small for
 * them: opens, closes, reads in all encodings, clears, at random. Every byte that anybody gets is
 * compared with what one thread made without a cache. Most telling in ThreadSanitizer and
 * AddressSanitizer builds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "dcb.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NTHREADS   16
#define NPLACES    50
#define FRAMES_MAX 16

#define NSTEPS 150

static const char *const files[] = {
    TEST_DATA_DIR "/golden/tiny3/series.dcbs",
    TEST_DATA_DIR "/golden/ct_phantom_small/series.dcbs",
    TEST_DATA_DIR "/golden/ct_phantom_edge/series.dcbs",
    TEST_DATA_DIR "/golden/edge_missing_seq/series.dcbs",
    TEST_DATA_DIR "/golden/edge_mono1/series.dcbs",
    TEST_DATA_DIR "/golden/older_v0.2.2/series.dcbs",
};
#define NFILES (sizeof files / sizeof *files)

/* What one thread without a cache gets. */
typedef struct reference {
    uint32_t nframes;
    struct {
        dcb_status status;
        dcb_frame *instance;
    } frames[FRAMES_MAX][DCB_ENCODING_COUNT];
} reference;

/* A series that threads share; NULL while it is not open. */
typedef struct place {
    pthread_mutex_t lock; /* guards series */
    dcb_series *series;
} place;

typedef struct stress {
    dcb_cache *cache;
    reference references[NFILES];
    place places[NPLACES];
    atomic_uint right, closed, wrong;
} stress;

static void make_reference(reference *of, const char *path)
{
    dcb_series *series;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_open(&series, path, NULL, &error) != DCB_OK)
        fail_msg("%s: %s", path, error.message);
    of->nframes = dcb_series_get_info(series)->nframes;
    assert_in_range(of->nframes, 1, FRAMES_MAX);
    for (uint32_t i = 0; i < of->nframes; i++) {
        for (int e = 0; e < DCB_ENCODING_COUNT; e++)
            of->frames[i][e].status =
                dcb_series_frame(&of->frames[i][e].instance, series, i, (dcb_encoding)e, NULL);
    }
    dcb_series_close(series);
}

static dcb_series *open_for(stress *all, uint32_t i)
{
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.cache = i % 7 == 6 ? NULL : all->cache;
    options.cache_frames = i % 3 == 0 ? 4 : 0;
    options.prefetch_frames = i % 2 == 0 ? 3 : 0;
    dcb_series *series;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_open(&series, files[i % NFILES], &options, &error) != DCB_OK) {
        fprintf(stderr, "%s: %s\n", files[i % NFILES], error.message);
        atomic_fetch_add(&all->wrong, 1);
    }
    return series;
}

/* The place's series, opened if it is not; a reference for the caller. */
static dcb_series *borrow(stress *all, uint32_t i)
{
    place *at = &all->places[i];
    pthread_mutex_lock(&at->lock);
    if (at->series == NULL)
        at->series = open_for(all, i);
    dcb_series *series = at->series == NULL ? NULL : dcb_series_ref(at->series);
    pthread_mutex_unlock(&at->lock);
    return series;
}

static void close_place(stress *all, uint32_t i)
{
    pthread_mutex_lock(&all->places[i].lock);
    dcb_series *series = all->places[i].series;
    all->places[i].series = NULL;
    pthread_mutex_unlock(&all->places[i].lock);
    dcb_series_close(series);
}

static bool same(const dcb_frame *a, const dcb_frame *b)
{
    size_t a_nbytes, b_nbytes;
    const uint8_t *a_bytes = dcb_frame_part10(a, &a_nbytes);
    const uint8_t *b_bytes = dcb_frame_part10(b, &b_nbytes);
    return a_nbytes == b_nbytes && memcmp(a_bytes, b_bytes, a_nbytes) == 0 &&
           strcmp(dcb_frame_sop_instance_uid(a), dcb_frame_sop_instance_uid(b)) == 0 &&
           strcmp(dcb_frame_transfer_syntax_uid(a), dcb_frame_transfer_syntax_uid(b)) == 0;
}

static void read_frame(stress *all, uint32_t i, dcb_series *series, uint32_t frame,
                       dcb_encoding encoding)
{
    const reference *of = &all->references[i % NFILES];
    frame %= of->nframes;
    dcb_frame *instance;
    dcb_status status = dcb_series_frame(&instance, series, frame, encoding, NULL);
    const dcb_frame *expected = of->frames[frame][encoding].instance;
    if (status == DCB_ERR_CLOSED && instance == NULL)
        atomic_fetch_add(&all->closed, 1);
    else if (status == of->frames[frame][encoding].status &&
             (instance == NULL ? expected == NULL : expected != NULL && same(instance, expected)))
        atomic_fetch_add(&all->right, 1);
    else
        atomic_fetch_add(&all->wrong, 1);
    dcb_frame_release(instance);
}

/* A few frames onward: others may close the series in between. */
static void read_some(stress *all, uint32_t i, dcb_series *series, uint32_t frame, unsigned what)
{
    dcb_encoding encoding = DCB_ENCODING_STORED;
    if (what >= 75)
        encoding = (dcb_encoding)(what % DCB_ENCODING_COUNT);
    for (uint32_t n = 0; n < 4; n++)
        read_frame(all, i, series, frame + n, encoding);
}

/* What else may be asked of a series while others read, close and clear. */
static void look_around(stress *all, dcb_series *series, uint32_t frame)
{
    dcb_frame_info info;
    dcb_dataset *dataset;
    dcb_series_cache_stats stats;
    frame %= dcb_series_get_info(series)->nframes;
    dcb_status status = dcb_series_frame_info(&info, series, frame, NULL);
    bool wrong = status == DCB_OK && info.sop_instance_uid[0] == '\0';
    if (dcb_series_dataset(&dataset, series, frame, false, NULL) == DCB_OK)
        wrong |= dcb_dataset_find(dataset, DCB_TAG(0x0008, 0x0018)) == NULL;
    dcb_dataset_close(dataset);
    dcb_series_get_cache_stats(series, &stats);
    wrong |= stats.cache_frames > 4;
    if (wrong)
        atomic_fetch_add(&all->wrong, 1);
}

typedef struct one {
    stress *all;
    unsigned random;
} one;

static void *run(void *argument)
{
    one *self = argument;
    stress *all = self->all;
    uint32_t i = 0, frame = 0;
    for (unsigned step = 0; step < NSTEPS; step++) {
        unsigned what = (unsigned)rand_r(&self->random) % 100;
        if (step % 6 == 0) {
            i = (uint32_t)rand_r(&self->random) % NPLACES;
            i = what < 60 ? i % 5 : i; /* a few are used most */
            frame = (uint32_t)rand_r(&self->random) % FRAMES_MAX;
        }
        if (what < 4) {
            close_place(all, i);
            continue;
        }
        dcb_series *series = borrow(all, i);
        if (series == NULL)
            break;
        if (what == 4)
            dcb_cache_clear(all->cache);
        else if (what < 8)
            dcb_series_clear_cache(series);
        else if (what < 14)
            look_around(all, series, frame);
        else
            read_some(all, i, series, frame, what);
        dcb_series_release(series);
    }
    return NULL;
}

static void test_stress(void **state)
{
    (void)state;
    static stress all;
    dcb_cache_options options = DCB_CACHE_OPTIONS_INIT;
    options.budget_bytes = 2u << 20;
    assert_int_equal(dcb_cache_create(&all.cache, &options, NULL), DCB_OK);
    for (size_t i = 0; i < NFILES; i++)
        make_reference(&all.references[i], files[i]);
    for (uint32_t i = 0; i < NPLACES; i++)
        pthread_mutex_init(&all.places[i].lock, NULL);

    pthread_t threads[NTHREADS];
    one each[NTHREADS];
    for (unsigned i = 0; i < NTHREADS; i++) {
        each[i] = (one){&all, i * 7919 + 17};
        assert_int_equal(pthread_create(&threads[i], NULL, run, &each[i]), 0);
    }
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);

    dcb_cache_stats stats;
    for (uint32_t i = 0; i < NPLACES; i++)
        close_place(&all, i);
    dcb_cache_get_stats(all.cache, &stats);
    print_message("right %u, closed %u; hits %lu, misses %lu, coalesced %lu, evictions %lu, "
                  "prefetches %lu (used %lu)\n",
                  all.right, all.closed, stats.hits, stats.misses, stats.coalesced, stats.evictions,
                  stats.prefetches, stats.prefetches_used);
    assert_int_equal(all.wrong, 0);
    assert_true(all.right > NTHREADS * NSTEPS);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.bytes, 0);
    assert_int_equal(stats.loading, 0);
    assert_true(stats.hits > 0 && stats.evictions > 0 && stats.prefetches > 0);

    dcb_cache_close(all.cache);
    for (size_t i = 0; i < NFILES; i++) {
        for (uint32_t frame = 0; frame < all.references[i].nframes; frame++) {
            for (int e = 0; e < DCB_ENCODING_COUNT; e++)
                dcb_frame_release(all.references[i].frames[frame][e].instance);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stress)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
