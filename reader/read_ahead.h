/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read_ahead.h - loads the frames that a reader will ask for next, on the cache's workers.
 *
 * dcb__travel tells from the frames asked for which way readers travel, and what to load; it knows
 * no threads. dcb__read_ahead carries that out for one series. A reader who gets a frame that is
 * queued loads it himself; one that is being loaded he waits for. A reader who jumps or turns round
 * cancels what was queued for him.
 *
 * Threads: dcb__travel one at a time; dcb__read_ahead any, close being the last call.
 */
#ifndef READ_AHEAD_H
#define READ_AHEAD_H

#include "frame_cache.h"

/* Readers of one series told apart; more share the places, the longest silent losing his. */
#define DCB_TRACKS   4
#define DCB_NO_TRACK UINT32_MAX

/* Where one reader is. */
typedef struct dcb__track {
    bool used;
    uint8_t encoding;
    int8_t direction; /* +1, -1; 0: not known yet */
    uint64_t reader;
    uint64_t last_note;
    uint32_t frame; /* asked for last */
    uint32_t run;   /* steps in this direction */
    uint32_t ahead; /* frames beyond `frame` that were asked to be loaded */
} dcb__track;

typedef struct dcb__travel {
    uint32_t nframes;
    uint64_t notes;
    dcb__track tracks[DCB_TRACKS];
} dcb__travel;

/* What to do: cancel what is queued for a track, load frames for it. */
typedef struct dcb__travel_plan {
    uint32_t track;   /* whose; DCB_NO_TRACK: nothing to do */
    bool cancel;      /* what was queued for the track, before the new frames */
    uint32_t first;   /* frame */
    uint32_t count;   /* 0: none */
    int8_t direction; /* of the frames after the first */
} dcb__travel_plan;

/* reader tells callers apart (a thread), window is the most to load ahead. */
dcb__travel_plan dcb__travel_note(dcb__travel *travel, uint64_t reader, uint32_t frame,
                                  dcb_encoding encoding, uint32_t window);

typedef struct dcb__read_ahead dcb__read_ahead;

/* window: frames to load ahead. load must serve any thread till close returns. *out stays NULL,
   with DCB_OK, where the cache reads nothing ahead or window is 0. */
dcb_status dcb__read_ahead_create(dcb__read_ahead **out, dcb__cache_series *series,
                                  uint32_t nframes, uint32_t window, dcb__cache_load load,
                                  void *context, dcb_error *error);
/* Drops what is queued, waits for what is being loaded. */
void dcb__read_ahead_close(dcb__read_ahead *ahead);
/* Tells that a reader is about to get a frame. Never blocks, never loads. NULL does nothing. */
void dcb__read_ahead_note(dcb__read_ahead *ahead, uint64_t reader, uint32_t frame,
                          dcb_encoding encoding);
/* Drops what is queued. NULL does nothing. */
void dcb__read_ahead_cancel(dcb__read_ahead *ahead);
/* Returns when all that was queued is loaded or dropped. NULL does nothing. */
void dcb__read_ahead_wait(dcb__read_ahead *ahead);
/* Frames queued and not yet being loaded. */
uint32_t dcb__read_ahead_queued(dcb__read_ahead *ahead);

/* A number of the calling thread's, for `reader`. */
uint64_t dcb__this_reader(void);

#endif
