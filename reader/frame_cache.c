/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_cache.c - dcb_cache: hits, misses that load once for all who ask, statistics.
 *
 * The one invariant: a key is in the hash table, or being loaded by one thread, or neither; the
 * step from loading to kept is one critical section, so nobody can miss in between.
 *
 * Threads: any. A load lives until the last thread that waits for it has taken its result.
 */
#include "frame_cache.h"
#include "cache_store.h"
#include "dcb_error.h"
#include "frame.h"
#include "worker_pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHARDS_MAX                64
#define SHARDS_FOR_EACH_PROCESSOR 8
#define WORKERS_MAX               256
/* Requests to read ahead that wait; what is more is not worth waiting for. */
#define WORKER_QUEUE 1024

static uint32_t processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (uint32_t)n;
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void cache_free(dcb_cache *cache)
{
    dcb__worker_pool_close(cache->workers);
    assert(atomic_load(&cache->nentries) == 0 && atomic_load(&cache->loading) == 0);
    dcb__store_free(cache);
    free(cache);
}

dcb_status dcb_cache_create(dcb_cache **out, const dcb_cache_options *options, dcb_error *error)
{
    *out = NULL;
    const dcb_cache_options defaults = DCB_CACHE_OPTIONS_INIT;
    if (options == NULL)
        options = &defaults;
    if (options->struct_size != sizeof *options)
        return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET,
                         "dcb_cache_options.struct_size is %zu, not %zu: use "
                         "DCB_CACHE_OPTIONS_INIT",
                         options->struct_size, sizeof *options);
    if (options->nworkers > WORKERS_MAX)
        return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET,
                         "%u threads for reading ahead: at most %d", options->nworkers,
                         WORKERS_MAX);

    dcb_cache *cache = aligned_alloc(CACHE_LINE, sizeof *cache);
    if (cache == NULL)
        return dcb__fail_no_memory(error, sizeof *cache);
    memset(cache, 0, sizeof *cache);
    atomic_init(&cache->references, 1);
    cache->budget = options->budget_bytes;
    /* The papers have a tenth to a quarter; frames read ahead need their time there. */
    cache->small_target = cache->budget / 4;
    cache->prefetch_limit = cache->budget / 8;
    uint32_t nshards = options->nshards;
    if (nshards == 0)
        nshards = processors() * SHARDS_FOR_EACH_PROCESSOR;
    dcb_status status = dcb__store_init(cache, nshards > SHARDS_MAX ? SHARDS_MAX : nshards, error);
    if (status == DCB_OK && options->prefetch && cache->budget > 0)
        status = dcb__worker_pool_create(&cache->workers,
                                         options->nworkers == 0 ? processors() : options->nworkers,
                                         WORKER_QUEUE, error);
    if (status != DCB_OK) {
        cache_free(cache);
        return status;
    }
    *out = cache;
    return DCB_OK;
}

dcb_cache *dcb__cache_ref(dcb_cache *cache)
{
    atomic_fetch_add_explicit(&cache->references, 1, memory_order_relaxed);
    return cache;
}

void dcb_cache_close(dcb_cache *cache)
{
    if (cache != NULL &&
        atomic_fetch_sub_explicit(&cache->references, 1, memory_order_acq_rel) == 1)
        cache_free(cache);
}

dcb__worker_pool *dcb__cache_workers(const dcb_cache *cache)
{
    return cache->workers;
}

dcb_status dcb__cache_series_open(dcb__cache_series **out, dcb_cache *cache, uint32_t max_frames,
                                  dcb_error *error)
{
    *out = NULL;
    size_t nbytes = sizeof(dcb__cache_series) + cache->nshards * sizeof(dcb__cache_counters);
    dcb__cache_series *series = aligned_alloc(CACHE_LINE, nbytes);
    if (series == NULL)
        return dcb__fail_no_memory(error, nbytes);
    memset(series, 0, nbytes);
    series->cache = dcb__cache_ref(cache);
    series->id = atomic_fetch_add(&cache->series_ids, 1) + 1;
    series->max_frames = max_frames;
    dcb__mutex_init(&series->lock, DCB_LOCK_CACHE_SERIES);
    *out = series;
    return DCB_OK;
}

void dcb__cache_series_close(dcb__cache_series *series)
{
    if (series == NULL)
        return;
    dcb__cache_series_forget(series);
    assert(series->loading == 0);
    dcb__mutex_destroy(&series->lock);
    dcb_cache_close(series->cache);
    free(series);
}

void dcb__cache_series_forget(dcb__cache_series *series)
{
    dcb__mutex_lock(&series->lock);
    series->generation++;
    dcb__mutex_unlock(&series->lock);
    dcb__cache_victims victims = NULL;
    dcb__store_trim_series(series, 0, NULL, &victims);
    dcb__store_release(&victims);
}

void dcb__cache_series_retire(dcb__cache_series *series)
{
    dcb__mutex_lock(&series->lock);
    series->retired = true;
    dcb__mutex_unlock(&series->lock);
    dcb__cache_series_forget(series);
}

dcb_cache *dcb__cache_series_cache(const dcb__cache_series *series)
{
    return series->cache;
}

void dcb_cache_clear(dcb_cache *cache)
{
    atomic_fetch_add(&cache->generation, 1);
    for (uint32_t i = 0; i < cache->nshards; i++) {
        dcb__cache_victims victims = NULL;
        dcb__store_clear_shard(cache, i, &victims);
        dcb__store_release(&victims);
    }
}

/* ---- Loads under way ------------------------------------------------------------------------- */

/* What is asked for, with its hash and shard. */
typedef struct request {
    dcb_cache *cache;
    dcb__cache_series *series;
    uint64_t hash;
    uint32_t frame;
    dcb_encoding encoding;
    uint32_t shard_index;
    dcb__cache_shard *shard;
} request;

static request request_make(dcb__cache_series *series, uint32_t frame, dcb_encoding encoding)
{
    request asked = {.cache = series->cache, .series = series, .frame = frame};
    asked.encoding = encoding;
    asked.hash = dcb__store_hash(series, frame, encoding);
    asked.shard_index = dcb__store_shard(series->cache, asked.hash);
    asked.shard = &series->cache->shards[asked.shard_index];
    return asked;
}

/* These are called with the shard's lock held. */

static dcb__cache_entry *find_entry(const request *asked)
{
    return dcb__store_find(asked->cache, asked->shard, asked->series, asked->hash, asked->frame,
                           asked->encoding);
}

static dcb__cache_loading *find_loading(const request *asked)
{
    dcb__cache_loading *loading = asked->shard->loadings;
    while (loading != NULL &&
           (loading->hash != asked->hash || loading->series != asked->series ||
            loading->frame != asked->frame || loading->encoding != asked->encoding))
        loading = loading->next;
    return loading;
}

static void loading_start(dcb__cache_loading *loading, const request *asked, bool prefetch)
{
    loading->series = asked->series;
    loading->hash = asked->hash;
    loading->frame = asked->frame;
    loading->encoding = asked->encoding;
    loading->holders = 1;
    loading->prefetch = prefetch;
    loading->generation = dcb__store_generation(asked->series);
    loading->next = asked->shard->loadings;
    asked->shard->loadings = loading;
    atomic_fetch_add(&asked->cache->loading, 1);
    atomic_fetch_add(&asked->series->loading, 1);
    dcb__store_count(asked->series, asked->shard_index, prefetch ? COUNT_PREFETCHES : COUNT_MISSES);
}

static void loading_unlist(const request *asked, dcb__cache_loading *loading)
{
    dcb__cache_loading **link = &asked->shard->loadings;
    while (*link != loading)
        link = &(*link)->next;
    *link = loading->next;
    atomic_fetch_sub(&asked->cache->loading, 1);
    atomic_fetch_sub(&asked->series->loading, 1);
}

/* These without any. */

static dcb__cache_loading *loading_create(void)
{
    dcb__cache_loading *loading = calloc(1, sizeof *loading);
    if (loading != NULL)
        pthread_cond_init(&loading->finished, NULL);
    return loading;
}

static void loading_free(dcb__cache_loading *loading)
{
    if (loading == NULL)
        return;
    dcb_frame_release(loading->instance);
    pthread_cond_destroy(&loading->finished);
    free(loading);
}

/* Takes the result of a load: the shard's lock is held on entry and not on return. */
static dcb_status loading_take(dcb_frame **out, const request *asked, dcb__cache_loading *loading,
                               dcb_error *error)
{
    while (!loading->done)
        dcb__mutex_wait(&loading->finished, &asked->shard->lock);
    dcb_status status = loading->error.status;
    if (loading->instance != NULL)
        *out = dcb_frame_ref(loading->instance);
    else if (error != NULL)
        *error = loading->error;
    bool last = --loading->holders == 0;
    dcb__mutex_unlock(&asked->shard->lock);
    if (last)
        loading_free(loading);
    return status;
}

/* An entry with its bytes reserved; NULL where the cache cannot keep it. */
static dcb__cache_entry *entry_prepare(const request *asked, dcb_frame *instance,
                                       dcb__cache_victims *victims)
{
    size_t nbytes = dcb__frame_footprint(instance);
    atomic_store_explicit(&asked->series->frame_nbytes, nbytes, memory_order_relaxed);
    if (nbytes > asked->cache->budget)
        return NULL;
    dcb__cache_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    if (!dcb__store_reserve(asked->cache, nbytes, victims)) {
        free(entry);
        return NULL;
    }
    entry->series = asked->series;
    entry->hash = asked->hash;
    entry->frame = asked->frame;
    entry->encoding = (uint8_t)asked->encoding;
    entry->nbytes = nbytes;
    return entry;
}

static bool entry_keep(const request *asked, dcb__cache_entry *entry, dcb__cache_loading *loading)
{
    entry->prefetched = loading->prefetch;
    if (!dcb__store_insert(asked->cache, entry, loading->generation))
        return false;
    entry->instance = dcb_frame_ref(loading->instance);
    if (entry->prefetched)
        atomic_fetch_add(&asked->cache->prefetched_bytes, entry->nbytes);
    return true;
}

/* Loads, keeps, and tells those who wait. Afterwards the load is done; the shard's lock is held. */
static void loading_run(const request *asked, dcb__cache_loading *loading, dcb__cache_load load,
                        void *context)
{
    dcb_frame *instance = NULL;
    dcb_error failure = DCB_ERROR_INIT;
    dcb__lock_check_none();
    dcb_status status = load(&instance, context, asked->frame, asked->encoding, &failure);
    assert((status == DCB_OK) == (instance != NULL));
    failure.status = status;

    dcb__cache_victims victims = NULL;
    dcb__cache_entry *entry = NULL;
    if (status == DCB_OK)
        entry = entry_prepare(asked, instance, &victims);

    dcb__mutex_lock(&asked->shard->lock);
    loading_unlist(asked, loading);
    loading->instance = instance;
    loading->error = failure;
    bool kept = entry != NULL && entry_keep(asked, entry, loading);
    if (!kept && loading->prefetch)
        dcb__store_count(asked->series, asked->shard_index, COUNT_PREFETCHES_WASTED);
    loading->done = true;
    pthread_cond_broadcast(&loading->finished);
    dcb__mutex_unlock(&asked->shard->lock);

    if (entry != NULL && !kept) {
        dcb__store_unreserve(asked->cache, entry->nbytes);
        free(entry);
    }
    if (kept && asked->series->max_frames > 0)
        dcb__store_trim_series(asked->series, asked->series->max_frames, entry, &victims);
    dcb__store_release(&victims);
    dcb__mutex_lock(&asked->shard->lock);
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static dcb_frame *hit(const request *asked)
{
    dcb__cache_entry *entry = find_entry(asked);
    if (entry == NULL)
        return NULL;
    dcb__store_touch(asked->cache, entry, asked->shard_index);
    return dcb_frame_ref(entry->instance);
}

/* Joins a load under way, if there is one. */
static dcb__cache_loading *join(const request *asked)
{
    dcb__cache_loading *loading = find_loading(asked);
    if (loading == NULL)
        return NULL;
    loading->holders++;
    dcb__store_count(asked->series, asked->shard_index, COUNT_COALESCED);
    if (loading->prefetch) {
        loading->prefetch = false;
        dcb__store_count(asked->series, asked->shard_index, COUNT_PREFETCHES_USED);
    }
    return loading;
}

static void note_access(const request *asked, int64_t now_ms)
{
    atomic_store_explicit(&asked->series->counters[asked->shard_index].last_access_ms, now_ms,
                          memory_order_relaxed);
}

/* *loaded: the result is of this caller's own load. */
static dcb_status load_or_wait(dcb_frame **out, bool *loaded, const request *asked, bool may_wait,
                               dcb__cache_load load, void *context, dcb_error *error)
{
    dcb__cache_loading *mine = loading_create();
    if (mine == NULL)
        return dcb__fail_no_memory(error, sizeof *mine);
    dcb__mutex_lock(&asked->shard->lock);
    *out = hit(asked); /* it may have come while there was no lock */
    if (*out != NULL || (!may_wait && find_loading(asked) != NULL)) {
        dcb__mutex_unlock(&asked->shard->lock);
        loading_free(mine);
        return DCB_OK;
    }
    dcb__cache_loading *loading = join(asked);
    *loaded = loading == NULL;
    if (loading == NULL) {
        loading = mine;
        mine = NULL;
        loading_start(loading, asked, false);
        dcb__mutex_unlock(&asked->shard->lock);
        loading_run(asked, loading, load, context);
    }
    dcb_status status = loading_take(out, asked, loading, error);
    loading_free(mine);
    return status;
}

/* That another's load was cancelled says nothing to those who waited for it. */
static dcb_status get_by_load(dcb_frame **out, const request *asked, bool may_wait,
                              dcb__cache_load load, void *context, dcb_error *error)
{
    bool loaded = false;
    dcb_status status;
    do
        status = load_or_wait(out, &loaded, asked, may_wait, load, context, error);
    while (status == DCB_ERR_CANCELLED && !loaded);
    return status;
}

static dcb_status get(dcb_frame **out, const request *asked, bool may_wait, int64_t now_ms,
                      dcb__cache_load load, void *context, dcb_error *error)
{
    dcb__mutex_lock(&asked->shard->lock);
    note_access(asked, now_ms);
    *out = hit(asked);
    dcb__mutex_unlock(&asked->shard->lock);
    if (*out != NULL)
        return DCB_OK;
    return get_by_load(out, asked, may_wait, load, context, error);
}

dcb_status dcb__cache_get(dcb_frame **out, dcb__cache_series *series, uint32_t frame,
                          dcb_encoding encoding, int64_t now_ms, dcb__cache_load load,
                          void *context, dcb_error *error)
{
    const request asked = request_make(series, frame, encoding);
    return get(out, &asked, true, now_ms, load, context, error);
}

dcb_status dcb__cache_try_get(dcb_frame **out, dcb__cache_series *series, uint32_t frame,
                              dcb_encoding encoding, int64_t now_ms, dcb__cache_load load,
                              void *context, dcb_error *error)
{
    const request asked = request_make(series, frame, encoding);
    return get(out, &asked, false, now_ms, load, context, error);
}

void dcb__cache_prefetch(dcb__cache_series *series, uint32_t frame, dcb_encoding encoding,
                         dcb__cache_load load, void *context)
{
    request asked = request_make(series, frame, encoding);
    dcb_cache *cache = asked.cache;
    size_t expected = atomic_load_explicit(&series->frame_nbytes, memory_order_relaxed);
    if (atomic_fetch_add(&cache->prefetched_bytes, expected) + expected <= cache->prefetch_limit) {
        dcb__cache_loading *loading = loading_create();
        dcb__mutex_lock(&asked.shard->lock);
        if (loading == NULL || find_entry(&asked) != NULL || find_loading(&asked) != NULL) {
            dcb__mutex_unlock(&asked.shard->lock);
            loading_free(loading);
        } else {
            loading_start(loading, &asked, true);
            dcb__mutex_unlock(&asked.shard->lock);
            loading_run(&asked, loading, load, context);
            dcb_frame *instance = NULL;
            loading_take(&instance, &asked, loading, NULL);
            dcb_frame_release(instance);
        }
    }
    atomic_fetch_sub(&cache->prefetched_bytes, expected);
}

uint32_t dcb__cache_prefetch_room(const dcb__cache_series *series)
{
    uint64_t room = UINT32_MAX;
    size_t nbytes = atomic_load_explicit(&series->frame_nbytes, memory_order_relaxed);
    if (nbytes > 0 && series->cache->prefetch_limit / nbytes < room)
        room = series->cache->prefetch_limit / nbytes;
    if (series->max_frames > 0 && series->max_frames - 1 < room)
        room = series->max_frames - 1;
    return (uint32_t)room;
}

bool dcb__cache_has(dcb__cache_series *series, uint32_t frame, dcb_encoding encoding)
{
    request asked = request_make(series, frame, encoding);
    dcb__mutex_lock(&asked.shard->lock);
    bool has = find_entry(&asked) != NULL || find_loading(&asked) != NULL;
    dcb__mutex_unlock(&asked.shard->lock);
    return has;
}

/* ---- Statistics ------------------------------------------------------------------------------ */

static void add_counters(uint64_t sums[COUNTERS], const dcb__cache_counters *counters)
{
    for (int i = 0; i < COUNTERS; i++)
        sums[i] += atomic_load_explicit(&counters->counts[i], memory_order_relaxed);
}

void dcb_cache_get_stats(const dcb_cache *cache, dcb_cache_stats *stats)
{
    uint64_t sums[COUNTERS] = {0};
    *stats = (dcb_cache_stats){.entries = atomic_load(&cache->nentries),
                               .bytes = atomic_load(&cache->bytes),
                               .budget_bytes = cache->budget,
                               .loading = atomic_load(&cache->loading)};
    for (uint32_t i = 0; i < cache->nshards; i++)
        add_counters(sums, &cache->shards[i].counters);
    stats->hits = sums[COUNT_HITS];
    stats->misses = sums[COUNT_MISSES];
    stats->coalesced = sums[COUNT_COALESCED];
    stats->evictions = sums[COUNT_EVICTIONS];
    stats->prefetches = sums[COUNT_PREFETCHES];
    stats->prefetches_used = sums[COUNT_PREFETCHES_USED];
    stats->prefetches_wasted = sums[COUNT_PREFETCHES_WASTED];
}

void dcb__cache_series_get_stats(dcb__cache_series *series, dcb_series_cache_stats *stats)
{
    uint64_t sums[COUNTERS] = {0};
    *stats = (dcb_series_cache_stats){.loading_frames = atomic_load(&series->loading),
                                      .cache_frames = series->max_frames};
    for (uint32_t i = 0; i < series->cache->nshards; i++) {
        add_counters(sums, &series->counters[i]);
        int64_t last =
            atomic_load_explicit(&series->counters[i].last_access_ms, memory_order_relaxed);
        if (last > stats->last_access_ms)
            stats->last_access_ms = last;
    }
    stats->hits = sums[COUNT_HITS];
    stats->misses = sums[COUNT_MISSES];
    stats->coalesced = sums[COUNT_COALESCED];
    stats->evictions = sums[COUNT_EVICTIONS];
    stats->prefetches = sums[COUNT_PREFETCHES];
    stats->prefetches_used = sums[COUNT_PREFETCHES_USED];
    stats->prefetches_wasted = sums[COUNT_PREFETCHES_WASTED];
    dcb__mutex_lock(&series->lock);
    stats->cached_frames = series->nentries;
    stats->bytes = series->nbytes;
    dcb__mutex_unlock(&series->lock);
}
