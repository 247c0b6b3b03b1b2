/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read_ahead.c - where readers travel, and the loads for it.
 *
 * The one invariant: a track's tasks carry its number as tag, so that cancelling one reader's
 * leaves the others'.
 *
 * Threads: any. The policy is a hint: where another thread is in it, a note is dropped rather than
 * waited for.
 */
#include "read_ahead.h"
#include "dcb_error.h"
#include "lock.h"
#include "worker_pool.h"

#include <stdlib.h>

/* Steps of up to this many frames are travel, not jumps: viewers drop frames, threads overtake. */
#define STEP_MAX 4
/* Before the direction is known, and for turning round, a step must be as short as this. */
#define SHORT_STEP 2

/* ---- Policy ---------------------------------------------------------------------------------- */

/* How a frame lies to a track. */
typedef enum relation { UNRELATED, SAME, ONWARD, BACK } relation;

static uint32_t distance(uint32_t a, uint32_t b)
{
    return a > b ? a - b : b - a;
}

static relation relate(const dcb__track *track, uint32_t frame, dcb_encoding encoding)
{
    if (!track->used || track->encoding != encoding)
        return UNRELATED;
    if (frame == track->frame)
        return SAME;
    uint32_t step = distance(frame, track->frame);
    int direction = frame > track->frame ? 1 : -1;
    if (track->direction == 0)
        return step <= SHORT_STEP ? ONWARD : UNRELATED;
    if (direction == track->direction)
        return step <= STEP_MAX || step <= track->ahead ? ONWARD : UNRELATED;
    return step <= SHORT_STEP ? BACK : UNRELATED;
}

/* The track that the frame belongs to best; DCB_NO_TRACK where it begins a new one. */
static uint32_t find_track(const dcb__travel *travel, uint64_t reader, uint32_t frame,
                           dcb_encoding encoding, relation *how)
{
    uint32_t best = DCB_NO_TRACK;
    *how = UNRELATED;
    for (uint32_t i = 0; i < DCB_TRACKS; i++) {
        const dcb__track *track = &travel->tracks[i];
        relation is = relate(track, frame, encoding);
        if (is != UNRELATED && (best == DCB_NO_TRACK || track->reader == reader)) {
            best = i;
            *how = is;
        }
    }
    return best;
}

/* A place for a reader who jumped or is new: his own, a free one, or the longest silent. */
static uint32_t choose_place(const dcb__travel *travel, uint64_t reader)
{
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < DCB_TRACKS; i++) {
        const dcb__track *track = &travel->tracks[i];
        if (track->used && track->reader == reader)
            return i;
    }
    for (uint32_t i = 0; i < DCB_TRACKS; i++) {
        const dcb__track *track = &travel->tracks[i];
        if (!track->used)
            return i;
        if (track->last_note < travel->tracks[oldest].last_note)
            oldest = i;
    }
    return oldest;
}

/* Asks for what is missing in front of the track. Half a window at a time: fewer wake-ups. */
static void plan_ahead(dcb__travel_plan *plan, const dcb__travel *travel, dcb__track *track,
                       uint32_t window)
{
    /* The window opens with the run: two neighbours by chance cost two frames, not all. */
    uint32_t target = track->run < 31 && window > 1u << track->run ? 1u << track->run : window;
    if (track->ahead > target / 2)
        return;
    uint32_t left = track->direction > 0 ? travel->nframes - 1 - track->frame : track->frame;
    if (target > left)
        target = left;
    if (target <= track->ahead)
        return;
    plan->count = target - track->ahead;
    plan->direction = track->direction;
    plan->first =
        track->direction > 0 ? track->frame + track->ahead + 1 : track->frame - track->ahead - 1;
    track->ahead = target;
}

dcb__travel_plan dcb__travel_note(dcb__travel *travel, uint64_t reader, uint32_t frame,
                                  dcb_encoding encoding, uint32_t window)
{
    dcb__travel_plan plan = {.track = DCB_NO_TRACK};
    relation how;
    uint32_t i = find_track(travel, reader, frame, encoding, &how);
    if (how == SAME)
        return plan;
    if (how == BACK && travel->tracks[i].reader != reader)
        return plan; /* another thread of a pool was overtaken; nobody turned round */

    plan.track = how == UNRELATED ? choose_place(travel, reader) : i;
    dcb__track *track = &travel->tracks[plan.track];
    uint32_t step = distance(frame, track->frame);
    if (how == ONWARD) {
        if (track->direction == 0)
            track->direction = frame > track->frame ? 1 : -1;
        track->run++;
        track->ahead = track->ahead > step ? track->ahead - step : 0;
    } else {
        plan.cancel = track->used && track->ahead > 0;
        track->direction = how == BACK ? (int8_t)-track->direction : 0;
        track->run = how == BACK ? 1 : 0;
        track->ahead = 0;
    }
    track->used = true;
    track->reader = reader;
    track->encoding = (uint8_t)encoding;
    track->frame = frame;
    track->last_note = ++travel->notes;
    if (track->direction != 0)
        plan_ahead(&plan, travel, track, window);
    return plan;
}

/* ---- Carrying it out ------------------------------------------------------------------------- */

struct dcb__read_ahead {
    dcb__cache_series *series;
    dcb__worker_pool *workers;
    uint32_t window;
    dcb__cache_load load;
    void *context;
    dcb__mutex lock; /* guards travel */
    dcb__travel travel;
};

dcb_status dcb__read_ahead_create(dcb__read_ahead **out, dcb__cache_series *series,
                                  uint32_t nframes, uint32_t window, dcb__cache_load load,
                                  void *context, dcb_error *error)
{
    *out = NULL;
    dcb__worker_pool *workers = dcb__cache_workers(dcb__cache_series_cache(series));
    if (workers == NULL || window == 0 || nframes < 2)
        return DCB_OK;
    dcb_status status = dcb__worker_pool_start(workers, error);
    if (status != DCB_OK)
        return status;
    dcb__read_ahead *ahead = calloc(1, sizeof *ahead);
    if (ahead == NULL)
        return dcb__fail_no_memory(error, sizeof *ahead);
    ahead->series = series;
    ahead->workers = workers;
    ahead->window = window;
    ahead->load = load;
    ahead->context = context;
    ahead->travel.nframes = nframes;
    dcb__mutex_init(&ahead->lock, DCB_LOCK_READ_AHEAD);
    *out = ahead;
    return DCB_OK;
}

void dcb__read_ahead_close(dcb__read_ahead *ahead)
{
    if (ahead == NULL)
        return;
    dcb__worker_pool_drain(ahead->workers, ahead);
    dcb__mutex_destroy(&ahead->lock);
    free(ahead);
}

static void load_ahead(const dcb__task *task)
{
    dcb__read_ahead *ahead = task->owner;
    uint32_t frame = (uint32_t)(task->argument >> 8);
    dcb_encoding encoding = (dcb_encoding)(task->argument & 0xff);
    dcb__cache_prefetch(ahead->series, frame, encoding, ahead->load, ahead->context);
}

void dcb__read_ahead_note(dcb__read_ahead *ahead, uint64_t reader, uint32_t frame,
                          dcb_encoding encoding)
{
    if (ahead == NULL || !dcb__mutex_try_lock(&ahead->lock))
        return;
    uint32_t room = dcb__cache_prefetch_room(ahead->series);
    uint32_t window = ahead->window < room ? ahead->window : room;
    dcb__travel_plan plan = dcb__travel_note(&ahead->travel, reader, frame, encoding, window);
    if (plan.cancel)
        dcb__worker_pool_cancel(ahead->workers, ahead, plan.track);
    for (uint32_t i = 0; i < plan.count; i++) {
        uint64_t next = plan.direction > 0 ? plan.first + i : plan.first - i;
        /* Waking a worker costs more than looking. */
        if (dcb__cache_has(ahead->series, (uint32_t)next, encoding))
            continue;
        dcb__task task = {load_ahead, ahead, plan.track, next << 8 | (uint64_t)encoding};
        if (!dcb__worker_pool_submit(ahead->workers, &task))
            break; /* the workers are behind: reading ahead further would come too late */
    }
    dcb__mutex_unlock(&ahead->lock);
}

void dcb__read_ahead_cancel(dcb__read_ahead *ahead)
{
    if (ahead != NULL)
        dcb__worker_pool_cancel(ahead->workers, ahead, DCB_TASK_ANY_TAG);
}

void dcb__read_ahead_wait(dcb__read_ahead *ahead)
{
    if (ahead != NULL)
        dcb__worker_pool_wait(ahead->workers, ahead);
}

uint32_t dcb__read_ahead_queued(dcb__read_ahead *ahead)
{
    return ahead == NULL ? 0 : dcb__worker_pool_queued(ahead->workers, ahead);
}

uint64_t dcb__this_reader(void)
{
    static _Thread_local char mark;
    return (uint64_t)(uintptr_t)&mark;
}
