/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_cache.h - the shared cache of instances (dcb_cache): one byte budget for all series,
 * shards, an order of eviction that one long scan cannot flush, one load per miss however many ask.
 * Nothing is loaded, freed or released under a lock, and the bytes kept never exceed the budget.
 *
 * Threads: any. dcb__cache_series_close is the last call for its series: nobody may be in another.
 */
#ifndef FRAME_CACHE_H
#define FRAME_CACHE_H

#include "dcb.h"

typedef struct dcb__worker_pool dcb__worker_pool;

/* One series' membership of a cache: the owner of its entries, its share and its statistics. */
typedef struct dcb__cache_series dcb__cache_series;

/* Makes the frame; called without any lock, by one thread for each miss. The caller takes over
 *out's reference. */
typedef dcb_status (*dcb__cache_load)(dcb_frame **out, void *context, uint32_t frame,
                                      dcb_encoding encoding, dcb_error *error);

dcb_cache *dcb__cache_ref(dcb_cache *cache);
/* NULL where the cache reads nothing ahead. */
dcb__worker_pool *dcb__cache_workers(const dcb_cache *cache);

/* max_frames: the most entries that the series may have; 0: only the budget counts. Holds a
   reference to the cache. */
dcb_status dcb__cache_series_open(dcb__cache_series **out, dcb_cache *cache, uint32_t max_frames,
                                  dcb_error *error);
/* Drops the entries and the reference to the cache. */
void dcb__cache_series_close(dcb__cache_series *series);
/* Drops the entries; loads under way are delivered to those who wait, but not kept. */
void dcb__cache_series_forget(dcb__cache_series *series);
/* The same, and what is loaded from now on is not kept either: a frame may be read ahead just then.
 */
void dcb__cache_series_retire(dcb__cache_series *series);
dcb_cache *dcb__cache_series_cache(const dcb__cache_series *series);

/* One reference for the caller: from the cache, from another thread's load that is under way, or by
   load. A failed load is told to all who waited and is not kept; after a cancelled one
   (DCB_ERR_CANCELLED) they load themselves. now_ms is for last_access only. */
dcb_status dcb__cache_get(dcb_frame **out, dcb__cache_series *series, uint32_t frame,
                          dcb_encoding encoding, int64_t now_ms, dcb__cache_load load,
                          void *context, dcb_error *error);
/* The same, but DCB_OK with *out NULL where another thread's load is under way. */
dcb_status dcb__cache_try_get(dcb_frame **out, dcb__cache_series *series, uint32_t frame,
                              dcb_encoding encoding, int64_t now_ms, dcb__cache_load load,
                              void *context, dcb_error *error);

/* Loads and keeps a frame that nobody asked for yet; returns at once where it is held or being
   loaded, or where frames read ahead and not yet used fill their part of the budget. */
void dcb__cache_prefetch(dcb__cache_series *series, uint32_t frame, dcb_encoding encoding,
                         dcb__cache_load load, void *context);
/* How many frames of this series may wait to be used without evicting one another. */
uint32_t dcb__cache_prefetch_room(const dcb__cache_series *series);

/* True where the frame is held or being loaded. */
bool dcb__cache_has(dcb__cache_series *series, uint32_t frame, dcb_encoding encoding);

/* All but prefetch_frames and queued_frames, which are 0. */
void dcb__cache_series_get_stats(dcb__cache_series *series, dcb_series_cache_stats *stats);

#endif
