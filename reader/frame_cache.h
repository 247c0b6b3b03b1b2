/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_cache.h - the shared cache of instances (dcb_cache): byte budget, shards, LRU that one long
 * scan cannot flush, one load per miss however many ask. Nothing is loaded, freed or released under
 * a lock.
 *
 * Threads: any.
 */
#ifndef FRAME_CACHE_H
#define FRAME_CACHE_H

#include "dcb.h"

typedef struct dcb__cache_key {
    uint64_t series; /* from dcb__cache_new_series: never used again */
    uint32_t frame;
    uint32_t encoding;
} dcb__cache_key;

/* Makes the entry; called without any lock, by one thread for each miss. The cache takes over
   *out's reference. */
typedef dcb_status (*dcb__cache_load)(dcb_frame **out, void *context, const dcb__cache_key *key,
                                      dcb_error *error);

dcb_cache *dcb__cache_ref(dcb_cache *cache);
uint64_t dcb__cache_new_series(dcb_cache *cache);

/* One reference for the caller, from the cache, from another thread's load that is under way, or
   by load. A failed load is told to all who waited and is not kept. */
dcb_status dcb__cache_get(dcb_frame **out, dcb_cache *cache, const dcb__cache_key *key,
                          dcb__cache_load load, void *context, dcb_error *error);
/* True where the key is held or being loaded. */
bool dcb__cache_has(dcb_cache *cache, const dcb__cache_key *key);
/* Drops a series' entries. */
void dcb__cache_forget_series(dcb_cache *cache, uint64_t series);

#endif
