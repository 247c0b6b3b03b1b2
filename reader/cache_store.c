/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_store.c - hash tables, queues and the order of eviction (see cache_store.h).
 *
 * Threads: any. Lock order: shard, then series.
 */
#include "cache_store.h"
#include "dcb_error.h"
#include "frame.h"

#include <stdlib.h>
#include <string.h>

/* Of 3 hits or 300 the entry in the main queue survives 3 rounds: what was hot once must be able
   to leave. */
#define USES_MAX 3
/* Entries passed over in one search for a victim; bounds what one miss pays. */
#define SPARES_MAX 32
/* A table for entries of this size fills the budget with one entry to a bucket. */
#define BYTES_PER_BUCKET 4096
#define BUCKETS_MIN      64
#define BUCKETS_MAX      (1u << 20)

static uint64_t power_of_two_at_least(uint64_t n)
{
    uint64_t power = 1;
    while (power < n)
        power <<= 1;
    return power;
}

dcb_status dcb__store_init(dcb_cache *cache, uint32_t nshards, dcb_error *error)
{
    cache->nshards = (uint32_t)power_of_two_at_least(nshards);
    uint64_t nbuckets = cache->budget / BYTES_PER_BUCKET / cache->nshards;
    if (nbuckets < BUCKETS_MIN)
        nbuckets = BUCKETS_MIN;
    if (nbuckets > BUCKETS_MAX)
        nbuckets = BUCKETS_MAX;
    nbuckets = power_of_two_at_least(nbuckets);
    cache->bucket_mask = nbuckets - 1;

    size_t nbytes = cache->nshards * sizeof *cache->shards;
    cache->shards = aligned_alloc(CACHE_LINE, nbytes);
    if (cache->shards == NULL)
        return dcb__fail_no_memory(error, nbytes);
    memset(cache->shards, 0, nbytes);
    for (uint32_t i = 0; i < cache->nshards; i++) {
        dcb__cache_shard *shard = &cache->shards[i];
        dcb__mutex_init(&shard->lock, DCB_LOCK_CACHE_SHARD);
        for (int queue = 0; queue < QUEUES; queue++)
            atomic_init(&shard->oldest_stamps[queue], UINT64_MAX);
    }
    for (uint32_t i = 0; i < cache->nshards; i++) {
        cache->shards[i].buckets = calloc(nbuckets, sizeof(dcb__cache_bucket));
        if (cache->shards[i].buckets == NULL) {
            dcb__store_free(cache);
            return dcb__fail_no_memory(error, nbuckets * sizeof(dcb__cache_bucket));
        }
    }
    return DCB_OK;
}

void dcb__store_free(dcb_cache *cache)
{
    if (cache->shards == NULL)
        return;
    for (uint32_t i = 0; i < cache->nshards; i++) {
        free(cache->shards[i].buckets);
        dcb__mutex_destroy(&cache->shards[i].lock);
    }
    free(cache->shards);
    cache->shards = NULL;
}

/* Bits of the hash: the low ones choose the bucket, 32 and up the shard, 26 and up the ghost. */
uint64_t dcb__store_hash(const dcb__cache_series *series, uint32_t frame, dcb_encoding encoding)
{
    uint64_t hash = series->id * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= ((uint64_t)frame << 4 | (uint64_t)encoding) * UINT64_C(0xd6e8feb86659fd93);
    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 29;
}

uint32_t dcb__store_shard(const dcb_cache *cache, uint64_t hash)
{
    return (uint32_t)(hash >> 32) & (cache->nshards - 1);
}

static uint32_t ghost_of(uint64_t hash)
{
    return (uint32_t)(hash >> 26) | 1; /* 0 is an empty place */
}

static dcb__cache_bucket *bucket_of(const dcb_cache *cache, const dcb__cache_shard *shard,
                                    uint64_t hash)
{
    return &shard->buckets[hash & cache->bucket_mask];
}

dcb__cache_entry *dcb__store_find(const dcb_cache *cache, const dcb__cache_shard *shard,
                                  const dcb__cache_series *series, uint64_t hash, uint32_t frame,
                                  dcb_encoding encoding)
{
    dcb__cache_entry *entry = bucket_of(cache, shard, hash)->first;
    while (entry != NULL &&
           (entry->frame != frame || entry->series != series || entry->encoding != encoding))
        entry = entry->chain;
    return entry;
}

/* ---- Counting: under the shard's lock ------------------------------------------------------- */

static void count_up(_Atomic uint64_t *count)
{
    /* The lock makes this the only writer: no locked instruction is needed. */
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void dcb__store_count(dcb__cache_series *series, uint32_t shard, dcb__cache_counter counter)
{
    count_up(&series->cache->shards[shard].counters.counts[counter]);
    count_up(&series->counters[shard].counts[counter]);
}

/* ---- Queues: under the shard's lock --------------------------------------------------------- */

static void publish_oldest(dcb__cache_shard *shard, dcb__cache_queue_id id)
{
    const dcb__cache_entry *oldest = shard->queues[id].oldest;
    atomic_store(&shard->oldest_stamps[id], oldest == NULL ? UINT64_MAX : oldest->stamp);
}

static void queue_remove(dcb_cache *cache, dcb__cache_shard *shard, dcb__cache_entry *entry)
{
    dcb__cache_queue *queue = &shard->queues[entry->queue];
    *(entry->older != NULL ? &entry->older->newer : &queue->oldest) = entry->newer;
    *(entry->newer != NULL ? &entry->newer->older : &queue->newest) = entry->older;
    if (entry->queue == QUEUE_SMALL)
        atomic_fetch_sub(&cache->small_bytes, entry->nbytes);
    publish_oldest(shard, (dcb__cache_queue_id)entry->queue);
}

static void queue_append(dcb_cache *cache, dcb__cache_shard *shard, dcb__cache_entry *entry,
                         dcb__cache_queue_id id)
{
    dcb__cache_queue *queue = &shard->queues[id];
    entry->queue = (uint8_t)id;
    entry->stamp = atomic_fetch_add(&cache->stamps, 1);
    entry->older = queue->newest;
    entry->newer = NULL;
    *(queue->newest != NULL ? &queue->newest->newer : &queue->oldest) = entry;
    queue->newest = entry;
    if (id == QUEUE_SMALL)
        atomic_fetch_add(&cache->small_bytes, entry->nbytes);
    publish_oldest(shard, id);
}

/* ---- A series' list: under its lock --------------------------------------------------------- */

static void series_append(dcb__cache_series *series, dcb__cache_entry *entry)
{
    entry->series_older = series->newest;
    entry->series_newer = NULL;
    *(series->newest != NULL ? &series->newest->series_newer : &series->oldest) = entry;
    series->newest = entry;
}

static void series_remove(dcb__cache_series *series, dcb__cache_entry *entry)
{
    dcb__cache_entry *older = entry->series_older, *newer = entry->series_newer;
    *(older != NULL ? &older->series_newer : &series->oldest) = newer;
    *(newer != NULL ? &newer->series_older : &series->newest) = older;
}

/* ---- In and out ------------------------------------------------------------------------------ */

uint64_t dcb__store_generation(dcb__cache_series *series)
{
    uint64_t of_cache = atomic_load(&series->cache->generation);
    dcb__mutex_lock(&series->lock);
    uint64_t of_series = series->generation;
    dcb__mutex_unlock(&series->lock);
    return of_cache + of_series; /* both only grow: the sum stands still only if both do */
}

bool dcb__store_insert(dcb_cache *cache, dcb__cache_entry *entry, uint64_t generation)
{
    dcb__cache_series *series = entry->series;
    dcb__cache_shard *shard = &cache->shards[dcb__store_shard(cache, entry->hash)];
    dcb__mutex_lock(&series->lock);
    bool fresh =
        !series->retired && atomic_load(&cache->generation) + series->generation == generation;
    if (fresh) {
        series_append(series, entry);
        series->nentries++;
        series->nbytes += entry->nbytes;
    }
    dcb__mutex_unlock(&series->lock);
    if (!fresh)
        return false;

    dcb__cache_bucket *bucket = bucket_of(cache, shard, entry->hash);
    uint32_t age = atomic_load(&cache->ghost_clock) - bucket->ghost_time;
    uint64_t nentries = atomic_fetch_add(&cache->nentries, 1);
    bool came_back = bucket->ghost == ghost_of(entry->hash) && age <= nentries;
    entry->chain = bucket->first;
    bucket->first = entry;
    entry->uses = 0;
    queue_append(cache, shard, entry, came_back ? QUEUE_MAIN : QUEUE_SMALL);
    return true;
}

/* Takes an entry out of everything; the shard's lock is held. The series is last: after that it
   may be closed. */
static void take_out(dcb_cache *cache, uint32_t shard_index, dcb__cache_entry *entry,
                     dcb__cache_victims *victims)
{
    dcb__cache_shard *shard = &cache->shards[shard_index];
    dcb__cache_series *series = entry->series;
    dcb__cache_entry **link = &bucket_of(cache, shard, entry->hash)->first;
    while (*link != entry)
        link = &(*link)->chain;
    *link = entry->chain;
    atomic_fetch_sub(&cache->nentries, 1);
    queue_remove(cache, shard, entry);
    if (entry->prefetched) {
        atomic_fetch_sub(&cache->prefetched_bytes, entry->nbytes);
        dcb__store_count(series, shard_index, COUNT_PREFETCHES_WASTED);
    }
    atomic_fetch_sub(&cache->bytes, entry->nbytes);
    entry->chain = *victims;
    *victims = entry;

    dcb__mutex_lock(&series->lock);
    series_remove(series, entry);
    series->nentries--;
    series->nbytes -= entry->nbytes;
    dcb__mutex_unlock(&series->lock);
}

void dcb__store_release(dcb__cache_victims *victims)
{
    while (*victims != NULL) {
        dcb__cache_entry *entry = *victims;
        *victims = entry->chain;
        dcb_frame_release(entry->instance);
        free(entry);
    }
}

void dcb__store_touch(dcb_cache *cache, dcb__cache_entry *entry, uint32_t shard)
{
    dcb__store_count(entry->series, shard, COUNT_HITS);
    if (entry->prefetched) {
        /* The use it was read for, not a second one: it proves nothing yet. */
        entry->prefetched = false;
        atomic_fetch_sub(&cache->prefetched_bytes, entry->nbytes);
        dcb__store_count(entry->series, shard, COUNT_PREFETCHES_USED);
    } else if (entry->queue == QUEUE_SMALL) {
        dcb__cache_shard *home = &cache->shards[shard];
        queue_remove(cache, home, entry);
        queue_append(cache, home, entry, QUEUE_MAIN);
    } else if (entry->uses < USES_MAX) {
        entry->uses++;
    }
}

/* ---- Eviction -------------------------------------------------------------------------------- */

/* The shard whose queue has the oldest entry of all; -1 where all are empty. */
static int oldest_shard(const dcb_cache *cache, dcb__cache_queue_id id)
{
    int oldest = -1;
    uint64_t oldest_stamp = UINT64_MAX;
    for (uint32_t i = 0; i < cache->nshards; i++) {
        uint64_t stamp = atomic_load(&cache->shards[i].oldest_stamps[id]);
        if (stamp < oldest_stamp) {
            oldest_stamp = stamp;
            oldest = (int)i;
        }
    }
    return oldest;
}

/* Moves the oldest entry on, or takes it out: true. The shard's lock is held. */
static bool advance(dcb_cache *cache, uint32_t shard_index, dcb__cache_queue_id id, bool sparing,
                    dcb__cache_victims *victims)
{
    dcb__cache_shard *shard = &cache->shards[shard_index];
    dcb__cache_entry *entry = shard->queues[id].oldest;
    if (entry == NULL)
        return false;
    if (sparing && entry->uses > 0) {
        queue_remove(cache, shard, entry);
        entry->uses--;
        queue_append(cache, shard, entry, QUEUE_MAIN);
        return false;
    }
    if (id == QUEUE_SMALL) {
        dcb__cache_bucket *bucket = bucket_of(cache, shard, entry->hash);
        bucket->ghost = ghost_of(entry->hash);
        bucket->ghost_time = atomic_fetch_add(&cache->ghost_clock, 1);
    }
    dcb__store_count(entry->series, shard_index, COUNT_EVICTIONS);
    take_out(cache, shard_index, entry, victims);
    return true;
}

static bool evict_one(dcb_cache *cache, dcb__cache_victims *victims)
{
    for (unsigned step = 0;; step++) {
        bool small_first = atomic_load(&cache->small_bytes) > cache->small_target;
        dcb__cache_queue_id id = small_first ? QUEUE_SMALL : QUEUE_MAIN;
        int shard = oldest_shard(cache, id);
        if (shard < 0) {
            id = small_first ? QUEUE_MAIN : QUEUE_SMALL;
            shard = oldest_shard(cache, id);
        }
        if (shard < 0)
            return false;
        dcb__mutex_lock(&cache->shards[shard].lock);
        bool evicted = advance(cache, (uint32_t)shard, id, step < SPARES_MAX, victims);
        dcb__mutex_unlock(&cache->shards[shard].lock);
        if (evicted)
            return true;
    }
}

bool dcb__store_reserve(dcb_cache *cache, size_t nbytes, dcb__cache_victims *victims)
{
    if (nbytes > cache->budget)
        return false;
    uint64_t bytes = atomic_load(&cache->bytes);
    for (;;) {
        if (bytes <= cache->budget - nbytes) {
            if (atomic_compare_exchange_weak(&cache->bytes, &bytes, bytes + nbytes))
                return true;
        } else {
            /* Nothing to evict: others have taken room for entries that are not in yet. */
            if (!evict_one(cache, victims))
                return false;
            bytes = atomic_load(&cache->bytes);
        }
    }
}

void dcb__store_unreserve(dcb_cache *cache, size_t nbytes)
{
    atomic_fetch_sub(&cache->bytes, nbytes);
}

static bool deserves_another_round(dcb__cache_entry *entry)
{
    if (entry->uses == 0)
        return entry->prefetched;
    entry->uses--;
    return true;
}

void dcb__store_trim_series(dcb__cache_series *series, uint64_t most, const dcb__cache_entry *spare,
                            dcb__cache_victims *victims)
{
    dcb_cache *cache = series->cache;
    for (unsigned step = 0;; step++) {
        /* The order of locks is shard, then series: look, let go, and look again. */
        dcb__mutex_lock(&series->lock);
        const dcb__cache_entry *oldest = series->nentries > most ? series->oldest : NULL;
        uint32_t frame = oldest != NULL ? oldest->frame : 0;
        dcb_encoding encoding = oldest != NULL ? (dcb_encoding)oldest->encoding : 0;
        dcb__mutex_unlock(&series->lock);
        if (oldest == NULL)
            return;

        uint64_t hash = dcb__store_hash(series, frame, encoding);
        uint32_t shard = dcb__store_shard(cache, hash);
        dcb__mutex_lock(&cache->shards[shard].lock);
        dcb__cache_entry *entry =
            dcb__store_find(cache, &cache->shards[shard], series, hash, frame, encoding);
        if (entry != NULL && spare != NULL && step < SPARES_MAX &&
            (entry == spare || deserves_another_round(entry))) {
            dcb__mutex_lock(&series->lock);
            series_remove(series, entry);
            series_append(series, entry);
            dcb__mutex_unlock(&series->lock);
        } else if (entry != NULL) {
            if (spare != NULL)
                dcb__store_count(series, shard, COUNT_EVICTIONS);
            take_out(cache, shard, entry, victims);
        }
        dcb__mutex_unlock(&cache->shards[shard].lock);
    }
}

void dcb__store_clear_shard(dcb_cache *cache, uint32_t shard, dcb__cache_victims *victims)
{
    dcb__mutex_lock(&cache->shards[shard].lock);
    for (int queue = 0; queue < QUEUES; queue++) {
        while (cache->shards[shard].queues[queue].oldest != NULL)
            take_out(cache, shard, cache->shards[shard].queues[queue].oldest, victims);
    }
    dcb__mutex_unlock(&cache->shards[shard].lock);
}
