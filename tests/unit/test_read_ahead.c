/* SPDX-License-Identifier: Apache-2.0 */
/* test_read_ahead.c - where readers travel, and that reading ahead never stands in their way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_frames.h"
#include "read_ahead.h"

#include <sched.h>
#include <stdio.h>

#define STORED DCB_ENCODING_STORED

/* ---- Policy ---------------------------------------------------------------------------------- */

/* notes: "reader:frame" with an optional "d" for decoded, as one reader after the other asks.
   plans: for each note "-" or [x]first+count or [x]first-count; x cancels what was queued. */
static const struct {
    const char *name;
    uint32_t nframes, window;
    const char *notes, *plans;
} travel_cases[] = {
    {"upward, opening the window", 100, 8, "1:10 1:11 1:12 1:13 1:14 1:15 1:16 1:17 1:18",
     "- 12+2 14+3 17+5 - - - 22+4 -"},
    {"downward", 100, 4, "1:50 1:49 1:48 1:47 1:46 1:45", "- 48-2 46-3 - 43-2 -"},
    {"the same frame tells nothing", 100, 4, "1:50 1:50 1:51 1:51 1:50", "- - 52+2 - x49-2"},
    {"stops at the last frame", 16, 8, "1:12 1:13 1:14 1:15", "- 14+2 - -"},
    {"stops at the first frame", 16, 8, "1:2 1:1 1:0", "- 0-1 -"},
    {"a jump cancels and begins anew", 100, 4, "1:10 1:11 1:60 1:61", "- 12+2 x- 62+2"},
    {"turning round cancels", 100, 4, "1:10 1:11 1:12 1:11 1:10", "- 12+2 14+3 x10-2 8-3"},
    {"frames left out are travel", 100, 8, "1:10 1:12 1:14 1:17", "- 13+2 15+4 19+7"},
    {"random is nothing", 1000, 8, "1:500 1:3 1:700 1:90 1:444 1:222", "- - - - - -"},
    {"two readers do not disturb each other", 100, 4, "1:10 2:60 1:11 2:59 1:12 2:58 1:90 2:57",
     "- - 12+2 58-2 14+3 56-3 x- -"},
    {"threads of a pool share the way", 100, 4, "1:10 2:11 1:12 2:13 1:14", "- 12+2 14+3 - 17+2"},
    {"one of them overtaken turns nobody round", 100, 4, "1:10 2:12 1:11 2:13", "- 13+2 - 15+3"},
    {"encodings are different ways", 100, 4, "1:10 2:11d 1:11 2:12d", "- - 12+2 13+2"},
    {"a fifth reader takes the longest silent one's place", 100, 4,
     "1:10 1:11 2:30 3:50 4:70 5:90 5:91 1:12 3:51", "- 12+2 - - - x- 92+2 - 52+2"},
    {"no room, no plan", 100, 0, "1:10 1:11 1:12", "- - -"},
};

static void describe(char *text, size_t size, const dcb__travel_plan *plan)
{
    size_t n = 0;
    if (plan->cancel)
        n = (size_t)snprintf(text, size, "x");
    if (plan->count == 0)
        snprintf(text + n, size - n, "-");
    else
        snprintf(text + n, size - n, "%u%c%u", plan->first, plan->direction > 0 ? '+' : '-',
                 plan->count);
}

static void test_travel(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof travel_cases / sizeof *travel_cases; c++) {
        dcb__travel travel = {.nframes = travel_cases[c].nframes};
        char plans[400] = "";
        size_t n = 0;
        const char *next = travel_cases[c].notes;
        unsigned reader, frame;
        int length;
        while (sscanf(next, "%u:%u%n", &reader, &frame, &length) == 2) {
            next += length;
            dcb_encoding encoding = *next == 'd' ? DCB_ENCODING_EXPLICIT_LE : STORED;
            next += *next == 'd';
            dcb__travel_plan plan =
                dcb__travel_note(&travel, reader, frame, encoding, travel_cases[c].window);
            char text[40];
            describe(text, sizeof text, &plan);
            n += (size_t)snprintf(plans + n, sizeof plans - n, "%s%s", n > 0 ? " " : "", text);
        }
        if (strcmp(plans, travel_cases[c].plans) != 0)
            fail_msg("%s: planned %s, not %s", travel_cases[c].name, plans, travel_cases[c].plans);
    }
}

/* A reader who goes through a whole series is asked for each frame once, ahead of him. */
static void test_travel_covers_all(void **state)
{
    (void)state;
    for (uint32_t window = 1; window <= 40; window++) {
        dcb__travel travel = {.nframes = 200};
        unsigned asked[200] = {0};
        for (uint32_t frame = 0; frame < 200; frame++) {
            dcb__travel_plan plan = dcb__travel_note(&travel, 1, frame, STORED, window);
            assert_false(plan.cancel);
            for (uint32_t i = 0; i < plan.count; i++) {
                assert_in_range(plan.first + i, frame + 1, frame + window);
                asked[plan.first + i]++;
            }
        }
        assert_int_equal(asked[0] + asked[1], 0);
        for (uint32_t frame = 2; frame < 200; frame++)
            assert_int_equal(asked[frame], 1);
    }
}

/* ---- Carrying it out --------------------------------------------------------------------------
 */

typedef struct reading {
    dcb_cache *cache;
    fake_series series;
    dcb__read_ahead *ahead;
    pthread_t foreground;
    gate door; /* where workers wait */
} reading;

/* Workers wait at the door; the reader himself goes through. So with the door closed he must not
   ask for what a worker has. */
static dcb_status load(dcb_frame **out, void *context, uint32_t frame, dcb_encoding encoding,
                       dcb_error *error)
{
    reading *self = context;
    if (!pthread_equal(pthread_self(), self->foreground))
        gate_pass(&self->door);
    return fake_load(out, &self->series, frame, encoding, error);
}

static void begin(reading *self, uint32_t nworkers, uint32_t window, uint32_t max_frames)
{
    *self = (reading){.door = GATE_INIT, .foreground = pthread_self()};
    self->series = (fake_series){.number = 21, .nbytes = 1000};
    dcb_cache_options options = DCB_CACHE_OPTIONS_INIT;
    options.budget_bytes = 1000 * fake_footprint(&self->series);
    options.nworkers = nworkers;
    assert_int_equal(dcb_cache_create(&self->cache, &options, NULL), DCB_OK);
    assert_int_equal(
        dcb__cache_series_open(&self->series.membership, self->cache, max_frames, NULL), DCB_OK);
    assert_int_equal(dcb__read_ahead_create(&self->ahead, self->series.membership, 100, window,
                                            load, self, NULL),
                     DCB_OK);
    assert_non_null(self->ahead);
}

static void end(reading *self)
{
    dcb__read_ahead_close(self->ahead);
    dcb__cache_series_close(self->series.membership);
    dcb_cache_close(self->cache);
}

static void get(reading *self, uint32_t frame)
{
    dcb_frame *instance;
    dcb__read_ahead_note(self->ahead, dcb__this_reader(), frame, STORED);
    assert_int_equal(
        dcb__cache_get(&instance, self->series.membership, frame, STORED, 1, load, self, NULL),
        DCB_OK);
    assert_true(fake_is(instance, &self->series, frame, STORED));
    dcb_frame_release(instance);
}

static dcb_series_cache_stats stats_of(const reading *self)
{
    dcb_series_cache_stats stats;
    dcb__cache_series_get_stats(self->series.membership, &stats);
    return stats;
}

static void test_the_next_are_hits(void **state)
{
    (void)state;
    reading self;
    begin(&self, 2, 10, 0);
    gate_open(&self.door);
    for (uint32_t frame = 0; frame < 100; frame++) {
        get(&self, frame);
        dcb__read_ahead_wait(self.ahead);
    }
    dcb_series_cache_stats stats = stats_of(&self);
    assert_int_equal(stats.misses, 2); /* then the direction was known */
    assert_int_equal(stats.hits, 98);
    assert_int_equal(stats.prefetches, 98);
    assert_int_equal(stats.prefetches_used, 98);
    assert_int_equal(stats.prefetches_wasted, 0);
    assert_int_equal(self.series.loads, 100);
    end(&self);
}

static void test_the_reader_never_waits_for_the_queue(void **state)
{
    (void)state;
    reading self;
    begin(&self, 1, 8, 0);
    get(&self, 0);
    get(&self, 1); /* asks for 2 and 3 */
    gate_await(&self.door, 1);
    assert_int_equal(dcb__read_ahead_queued(self.ahead), 1);
    get(&self, 3); /* queued, not being loaded: the reader takes it over */
    assert_int_equal(stats_of(&self).misses, 3);
    get(&self, 4);
    assert_int_equal(self.series.loads, 4); /* the worker is still at the door with 2 */
    gate_open(&self.door);
    dcb__read_ahead_wait(self.ahead);
    get(&self, 2);
    assert_int_equal(stats_of(&self).misses, 4);
    assert_true(dcb__cache_has(self.series.membership, 5, STORED));
    /* 3 and 4 were not loaded again by the worker. */
    assert_int_equal(self.series.loads, 4 + stats_of(&self).prefetches);
    end(&self);
}

static void test_a_jump_cancels(void **state)
{
    (void)state;
    reading self;
    begin(&self, 1, 8, 0);
    get(&self, 0);
    get(&self, 1); /* asks for 2 and 3 */
    gate_await(&self.door, 1);
    get(&self, 4); /* asks for more */
    assert_in_range(dcb__read_ahead_queued(self.ahead), 3, 8);
    get(&self, 70);
    assert_int_equal(dcb__read_ahead_queued(self.ahead), 0);
    gate_open(&self.door);
    dcb__read_ahead_wait(self.ahead);
    assert_int_equal(stats_of(&self).prefetches, 1); /* the one at the door */
    assert_int_equal(self.series.loads, 5);
    end(&self);
}

static void test_close_with_loads_under_way(void **state)
{
    (void)state;
    reading self;
    begin(&self, 2, 8, 0);
    get(&self, 50);
    get(&self, 49);
    gate_await(&self.door, 2); /* 48 and 47 */
    get(&self, 46);
    assert_in_range(dcb__read_ahead_queued(self.ahead), 1, 8);
    dcb__read_ahead_cancel(self.ahead);
    assert_int_equal(dcb__read_ahead_queued(self.ahead), 0);
    gate_open(&self.door);
    end(&self); /* returns when the two are done */
}

static void test_a_share_bounds_it(void **state)
{
    (void)state;
    reading self;
    begin(&self, 2, 50, 6);
    gate_open(&self.door);
    for (uint32_t frame = 0; frame < 100; frame++) {
        get(&self, frame);
        dcb__read_ahead_wait(self.ahead);
        assert_true(stats_of(&self).cached_frames <= 6);
    }
    assert_int_equal(stats_of(&self).prefetches_wasted, 0);
    assert_int_equal(stats_of(&self).misses, 2);
    end(&self);
}

static void test_nothing_to_read_ahead(void **state)
{
    (void)state;
    static const struct {
        bool prefetch;
        uint64_t budget;
        uint32_t nframes, window;
    } cases[] = {
        {false, 1 << 20, 100, 10},
        {true, 0, 100, 10},
        {true, 1 << 20, 1, 10},
        {true, 1 << 20, 100, 0},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        dcb_cache_options options = DCB_CACHE_OPTIONS_INIT;
        options.prefetch = cases[c].prefetch;
        options.budget_bytes = cases[c].budget;
        dcb_cache *cache;
        assert_int_equal(dcb_cache_create(&cache, &options, NULL), DCB_OK);
        dcb__cache_series *series;
        assert_int_equal(dcb__cache_series_open(&series, cache, 0, NULL), DCB_OK);
        dcb__read_ahead *ahead;
        assert_int_equal(dcb__read_ahead_create(&ahead, series, cases[c].nframes, cases[c].window,
                                                fake_load, NULL, NULL),
                         DCB_OK);
        assert_null(ahead);
        dcb__read_ahead_note(ahead, 1, 0, STORED);
        dcb__read_ahead_cancel(ahead);
        dcb__read_ahead_wait(ahead);
        assert_int_equal(dcb__read_ahead_queued(ahead), 0);
        dcb__read_ahead_close(ahead);
        dcb__cache_series_close(series);
        dcb_cache_close(cache);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_travel),
        cmocka_unit_test(test_travel_covers_all),
        cmocka_unit_test(test_the_next_are_hits),
        cmocka_unit_test(test_the_reader_never_waits_for_the_queue),
        cmocka_unit_test(test_a_jump_cancels),
        cmocka_unit_test(test_close_with_loads_under_way),
        cmocka_unit_test(test_a_share_bounds_it),
        cmocka_unit_test(test_nothing_to_read_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
