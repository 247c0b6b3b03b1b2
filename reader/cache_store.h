/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_store.h - the entries of the shared cache: where they are found, in which order they leave,
 * and what they weigh. Private to frame_cache.c and cache_store.c.
 *
 * Order of eviction. New entries enter the small queue, a quarter of the budget; those that are
 * asked for again while there move to the main queue, the others leave at its end. So one long scan
 * flows through the small queue and cannot push out what is in use. In the main queue an entry that
 * was hit since gets another round (CLOCK, an approximation of LRU). An entry that comes back soon
 * after it left the small queue goes to the main one directly: the ghosts remember it. This is 2Q
 * (Johnson, Shasha: VLDB 1994) with the queues of S3-FIFO (Yang et al., SOSP 2023) in place of its
 * LRU list: but for the one that promotes, a hit only counts up in its entry, so the lock is held
 * for a look-up, not for relinking. Unlike S3-FIFO it promotes at the hit and not at the end of the
 * queue, so that finding a victim takes a bounded time.
 *
 * The queues are in the shards, but the order is of the whole cache: each shard publishes the
 * stamps of its oldest entries, and the shard with the oldest one gives up an entry. So the budget
 * is not split and a frame as large as all of it can be kept.
 *
 * The one invariant: bytes <= budget, always; room is made before it is taken.
 *
 * Threads: any; what each lock guards stands at the lock.
 */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H

#include "frame_cache.h"
#include "lock.h"

#include <stdatomic.h>
#include <stddef.h>

#define CACHE_LINE 64

/* Statistics are counted by shard, and for each series by shard, under the shard's lock: no thread
   waits for a cache line of another's. They are read without it. */
typedef enum dcb__cache_counter {
    COUNT_HITS,
    COUNT_MISSES,
    COUNT_COALESCED,
    COUNT_EVICTIONS,
    COUNT_PREFETCHES,
    COUNT_PREFETCHES_USED,
    COUNT_PREFETCHES_WASTED,
    COUNTERS
} dcb__cache_counter;

typedef struct dcb__cache_counters {
    _Atomic uint64_t counts[COUNTERS];
    _Atomic int64_t last_access_ms;
} dcb__cache_counters;
_Static_assert(sizeof(dcb__cache_counters) == CACHE_LINE, "series have one line for each shard");

typedef enum dcb__cache_queue_id { QUEUE_SMALL, QUEUE_MAIN, QUEUES } dcb__cache_queue_id;

typedef struct dcb__cache_entry {
    struct dcb__cache_entry *chain; /* in the bucket */
    dcb__cache_series *series;
    uint64_t hash;
    uint32_t frame;
    uint8_t encoding;
    uint8_t queue;   /* a dcb__cache_queue_id */
    uint8_t uses;    /* hits since it entered the queue, up to USES_MAX */
    bool prefetched; /* read ahead and not used yet */
    dcb_frame *instance;
    size_t nbytes;                                        /* of the instance */
    uint64_t stamp;                                       /* when it entered the queue */
    struct dcb__cache_entry *older, *newer;               /* in the queue */
    struct dcb__cache_entry *series_older, *series_newer; /* guarded by the series' lock */
} dcb__cache_entry;

/* A load under way. */
typedef struct dcb__cache_loading {
    struct dcb__cache_loading *next;
    dcb__cache_series *series;
    uint64_t hash;
    uint32_t frame;
    dcb_encoding encoding;
    uint32_t holders; /* threads that will still look at it: who loads, who wait */
    uint64_t generation;
    bool prefetch; /* nobody asked for it yet */
    bool done;
    dcb_frame *instance; /* once done; NULL where it failed */
    dcb_error error;
    pthread_cond_t finished;
} dcb__cache_loading;

typedef struct dcb__cache_bucket {
    dcb__cache_entry *first;
    /* The last entry of this bucket that left the small queue: a table of ghosts without
       allocations, inexact only where two leave the same bucket. */
    uint32_t ghost, ghost_time;
} dcb__cache_bucket;

typedef struct dcb__cache_queue {
    dcb__cache_entry *oldest, *newest;
} dcb__cache_queue;

typedef struct dcb__cache_shard {
    /* Guards everything below (oldest_stamps and counters: for writing), and the fields of the
       shard's entries and loadings but series_older and series_newer. */
    _Alignas(CACHE_LINE) dcb__mutex lock;
    dcb__cache_bucket *buckets;
    dcb__cache_counters counters; /* the hits are in the lock's line: one less to fetch for a hit */
    dcb__cache_loading *loadings; /* a handful: as many as threads load */
    dcb__cache_queue queues[QUEUES];
    _Atomic uint64_t nentries;
    uint32_t ghost_clock;                   /* entries that left the small queue */
    _Atomic uint64_t oldest_stamps[QUEUES]; /* UINT64_MAX: the queue is empty */
} dcb__cache_shard;
_Static_assert(offsetof(dcb__cache_shard, counters.counts[COUNT_HITS]) < CACHE_LINE, "as it says");

struct dcb__cache_series {
    dcb_cache *cache;
    uint64_t id; /* never used again */
    uint32_t max_frames;
    /* Guards the list of entries, nentries, nbytes, generation and retired. An entry that has left
       the list does not touch the series any more: it may be gone. */
    dcb__mutex lock;
    dcb__cache_entry *oldest, *newest;
    uint64_t nentries, nbytes;
    uint64_t generation;         /* counts forgets */
    bool retired;                /* nothing is kept any more */
    _Atomic uint64_t loading;    /* loads under way */
    _Atomic size_t frame_nbytes; /* of the frame loaded last: what the next may weigh */
    _Alignas(CACHE_LINE) dcb__cache_counters counters[]; /* by shard */
};

struct dcb_cache {
    atomic_uint references;
    uint64_t budget;
    uint64_t small_target;   /* bytes above which the small queue gives up entries first */
    uint64_t prefetch_limit; /* bytes read ahead and not yet used */
    uint32_t nshards;        /* a power of two */
    uint64_t bucket_mask;
    dcb__cache_shard *shards;
    dcb__worker_pool *workers;
    _Alignas(CACHE_LINE) _Atomic uint64_t bytes; /* of entries, and of room taken for new ones */
    _Atomic uint64_t small_bytes;
    _Atomic uint64_t nentries;
    _Atomic uint32_t ghost_clock;      /* entries that left the small queue unused */
    _Atomic uint64_t prefetched_bytes; /* of entries not yet used, and of loads under way */
    _Atomic uint64_t stamps;
    _Atomic uint64_t generation; /* counts clears */
    _Atomic uint64_t loading;
    _Atomic uint64_t series_ids;
};

dcb_status dcb__store_init(dcb_cache *cache, uint32_t nshards, dcb_error *error);
void dcb__store_free(dcb_cache *cache);

uint64_t dcb__store_hash(const dcb__cache_series *series, uint32_t frame, dcb_encoding encoding);
/* The index of the shard of a hash. */
uint32_t dcb__store_shard(const dcb_cache *cache, uint64_t hash);

/* Call these two with the shard's lock held. */
dcb__cache_entry *dcb__store_find(const dcb_cache *cache, const dcb__cache_shard *shard,
                                  const dcb__cache_series *series, uint64_t hash, uint32_t frame,
                                  dcb_encoding encoding);
void dcb__store_count(dcb__cache_series *series, uint32_t shard, dcb__cache_counter counter);

/* Entries taken out, chained by `chain`, to be freed where no lock is held. */
typedef dcb__cache_entry *dcb__cache_victims;
void dcb__store_release(dcb__cache_victims *victims);

/* Takes nbytes of the budget, making room where needed. Call without locks. */
bool dcb__store_reserve(dcb_cache *cache, size_t nbytes, dcb__cache_victims *victims);
void dcb__store_unreserve(dcb_cache *cache, size_t nbytes);

/* Puts an entry with reserved bytes in, unless cache or series were emptied since `generation` was
   read: then false. Call with the shard's lock held. */
uint64_t dcb__store_generation(dcb__cache_series *series);
bool dcb__store_insert(dcb_cache *cache, dcb__cache_entry *entry, uint64_t generation);

/* Takes out the series' oldest entries till it has at most `most`. spare is the entry that they
   make room for (an address to compare with, which may be gone): it, those used since and those
   read ahead get another round. NULL spares none: the series is forgotten. Call without locks. */
void dcb__store_trim_series(dcb__cache_series *series, uint64_t most, const dcb__cache_entry *spare,
                            dcb__cache_victims *victims);
/* Takes out all entries of a shard. Call without locks. */
void dcb__store_clear_shard(dcb_cache *cache, uint32_t shard, dcb__cache_victims *victims);

/* A hit: call with the shard's lock held. */
void dcb__store_touch(dcb_cache *cache, dcb__cache_entry *entry, uint32_t shard);

#endif
