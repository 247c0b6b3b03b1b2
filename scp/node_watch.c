/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_watch.c - asks a node's parts how they are: the quick ones when somebody wants to know, the
 * slow ones from a thread.
 *
 * Invariant: the state is NODE_READY only after the node's last part was made; before, nothing here
 * looks at its ingest.
 */
#include "node_status.h"

#include "activity.h"
#include "log.h"
#include "steady_clock.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define TOTALS_MS    5000 /* how often the index is counted, at most */
#define TOTALS_SHARE 50   /* and for how little of the time, 1 in so many */

struct node_watch {
    const scp_node *node;
    dcb_cache *cache;
    int64_t began_ms, start_unix_ms;
    atomic_int state;
    atomic_uint port;       /* of DICOM */
    atomic_bool has_titles; /* the node's others are there, until the watch ends */
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t wake;
    bool stopping;
    bool has_totals;
    index_totals totals;
    size_t ndisks;
    node_disk disks[NODE_DISKS];
    size_t nsampled; /* ever */
    node_sample samples[NODE_SAMPLES];
};

static int64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- The thread ---- */

static const scp_node *next_title(const node_watch *watch, const scp_node *node)
{
    return atomic_load(&watch->has_titles) ? node->next : NULL;
}

/* Of all stores the one with the least room. */
static const char *fullest_store(const node_watch *watch)
{
    const char *fullest = NULL;
    uint64_t least = UINT64_MAX;
    for (const scp_node *n = watch->node; n != NULL; n = next_title(watch, n)) {
        struct statvfs disk;
        if (n->options->store == NULL || statvfs(n->options->store, &disk) != 0 ||
            (uint64_t)disk.f_bavail * disk.f_frsize >= least)
            continue;
        least = (uint64_t)disk.f_bavail * disk.f_frsize;
        fullest = n->options->store;
    }
    return fullest;
}

static void ask_disks(node_watch *watch)
{
    const scp_options *options = watch->node->options;
    const struct {
        const char *use, *path;
    } PLACES[NODE_DISKS] = {{"store", fullest_store(watch)},
                            {"state", options->state_dir},
                            {"archive", options->archives[0]}};
    node_disk disks[NODE_DISKS];
    size_t n = 0;
    for (size_t i = 0; i < NODE_DISKS; i++) {
        struct statvfs disk;
        if (PLACES[i].path != NULL && statvfs(PLACES[i].path, &disk) == 0)
            disks[n++] = (node_disk){PLACES[i].use, (uint64_t)disk.f_bavail * disk.f_frsize,
                                     (uint64_t)disk.f_blocks * disk.f_frsize};
    }
    pthread_mutex_lock(&watch->lock);
    watch->ndisks = n;
    memcpy(watch->disks, disks, n * sizeof disks[0]);
    pthread_mutex_unlock(&watch->lock);
}

/* Sums over all AE titles. */
static bool add_totals(const node_watch *watch, index_totals *sum, scp_error *error)
{
    for (const scp_node *n = watch->node; n != NULL; n = next_title(watch, n)) {
        index_totals of_one = {0};
        if (index_get_totals(n->index, &of_one, error) != 0)
            return false;
        sum->patients += of_one.patients;
        sum->studies += of_one.studies;
        sum->series += of_one.series;
        sum->instances += of_one.instances;
        sum->files += of_one.files;
        sum->bad_files += of_one.bad_files;
        sum->file_bytes += of_one.file_bytes;
        sum->index_bytes += of_one.index_bytes;
    }
    return true;
}

static void ask_index(node_watch *watch)
{
    scp_error error = SCP_ERROR_INIT;
    index_totals totals = {0};
    const bool known = add_totals(watch, &totals, &error);
    pthread_mutex_lock(&watch->lock);
    const bool news = watch->has_totals && !known;
    watch->has_totals = known;
    watch->totals = totals;
    pthread_mutex_unlock(&watch->lock);
    if (news)
        log_event(LOG_ERROR, "status.index", LOG_T("reason", error.message));
}

static void take_sample(node_watch *watch)
{
    static metrics_snapshot metrics; /* this thread's alone */
    dcb_cache_stats cache;
    metrics_read(&metrics);
    dcb_cache_get_stats(watch->cache, &cache);
    const node_sample sample = {unix_ms(),
                                metrics.counters[METRIC_BYTES_IN],
                                metrics.counters[METRIC_BYTES_OUT],
                                cache.hits + cache.coalesced,
                                cache.misses,
                                cache.bytes,
                                activity_list(NULL, 0)};
    pthread_mutex_lock(&watch->lock);
    watch->samples[watch->nsampled++ % NODE_SAMPLES] = sample;
    pthread_mutex_unlock(&watch->lock);
}

/* False where the watch is over. */
static bool wait_until(node_watch *watch, int64_t due_ms)
{
    pthread_mutex_lock(&watch->lock);
    while (!watch->stopping && steady_cond_wait(&watch->wake, &watch->lock, due_ms))
        ;
    const bool go_on = !watch->stopping;
    pthread_mutex_unlock(&watch->lock);
    return go_on;
}

static void *look_around(void *context)
{
    node_watch *watch = context;
    int64_t totals_due_ms = 0;
    int64_t now_ms = steady_clock_ms();
    do {
        take_sample(watch);
        ask_disks(watch);
        if (now_ms >= totals_due_ms) {
            ask_index(watch);
            const int64_t took_ms = steady_clock_ms() - now_ms;
            const int64_t pause_ms = took_ms * TOTALS_SHARE;
            totals_due_ms = now_ms + (pause_ms > TOTALS_MS ? pause_ms : TOTALS_MS);
        }
        const int64_t due_ms = now_ms + NODE_SAMPLE_MS;
        now_ms = steady_clock_ms();
        if (now_ms < due_ms)
            now_ms = due_ms;
    } while (wait_until(watch, now_ms));
    return NULL;
}

/* ---- Life ---- */

int node_watch_open(node_watch **out, const scp_node *node, dcb_cache *cache, scp_error *error)
{
    *out = NULL;
    node_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return scp_fail(error, "out of memory for the node's status");
    watch->node = node;
    watch->cache = cache;
    watch->began_ms = steady_clock_ms();
    watch->start_unix_ms = unix_ms();
    steady_cond_init(&watch->wake);
    pthread_mutex_init(&watch->lock, NULL);
    int rc = pthread_create(&watch->thread, NULL, look_around, watch);
    if (rc != 0) {
        pthread_cond_destroy(&watch->wake);
        pthread_mutex_destroy(&watch->lock);
        free(watch);
        return scp_fail(error, "cannot start a thread: %s", strerror(rc));
    }
    *out = watch;
    return 0;
}

void node_watch_close(node_watch *watch)
{
    if (watch == NULL)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->stopping = true;
    pthread_cond_signal(&watch->wake);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->wake);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

void node_watch_ready(node_watch *watch, uint16_t port)
{
    if (watch == NULL)
        return;
    /* What was counted before may be half an archive. */
    atomic_store(&watch->has_titles, true);
    ask_index(watch);
    ask_disks(watch);
    atomic_store(&watch->port, port);
    atomic_store(&watch->state, NODE_READY);
}

void node_watch_stopping(node_watch *watch)
{
    if (watch == NULL)
        return;
    atomic_store(&watch->state, NODE_STOPPING);
}

const scp_node *node_watch_node(const node_watch *watch)
{
    return watch->node;
}

bool node_watch_is_serving(const node_watch *watch)
{
    return atomic_load(&watch->state) == NODE_READY;
}

/* ---- Reading ---- */

static void judge(node_status *out, const scp_options *options)
{
    char *why = out->not_ready;
    const size_t size = sizeof out->not_ready;
    if (out->state == NODE_STARTING)
        snprintf(why, size, "starting: the archive is being scanned");
    else if (out->state == NODE_STOPPING)
        snprintf(why, size, "stopping");
    else if (!out->has_totals)
        snprintf(why, size, "the index cannot be read; the log tells why");
    else if (out->ingest.failing)
        snprintf(why, size, "what comes in cannot be written; the log tells why");
    for (size_t i = 0; i < out->ndisks && why[0] == '\0'; i++) {
        if (strcmp(out->disks[i].use, "store") == 0 &&
            out->disks[i].free_bytes < out->reserve_bytes)
            snprintf(why, size,
                     "less than store_reserve_mb (%u) is free on the store's disk: nothing is "
                     "taken in",
                     (unsigned)options->store_reserve_mb);
    }
}

/* Sums over all AE titles that take instances in. */
static void read_ingest(const node_watch *watch, node_status *out)
{
    ingest_stats *sum = &out->ingest;
    for (const scp_node *n = watch->node; n != NULL && out->state != NODE_STARTING;
         n = next_title(watch, n)) {
        ingest_stats of_one;
        if (n->ingest == NULL)
            continue;
        out->takes_in = true;
        ingest_get_stats(&of_one, n->ingest);
        sum->received += of_one.received;
        sum->spool_series += of_one.spool_series;
        sum->spool_instances += of_one.spool_instances;
        sum->spool_bytes += of_one.spool_bytes;
        sum->failing_series += of_one.failing_series;
        sum->failing = sum->failing || of_one.failing;
        sum->packed_series += of_one.packed_series;
        sum->packed_instances += of_one.packed_instances;
        sum->pack_failures += of_one.pack_failures;
    }
}

static void read_process(node_status *out)
{
    struct rusage usage;
    struct rlimit limit;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        out->cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        out->max_files = limit.rlim_cur;
    FILE *statm = fopen("/proc/self/statm", "re");
    unsigned long long size, resident;
    if (statm != NULL && fscanf(statm, "%llu %llu", &size, &resident) == 2)
        out->resident_bytes = resident * (uint64_t)sysconf(_SC_PAGESIZE);
    if (statm != NULL)
        fclose(statm);
    DIR *folder = opendir("/proc/self/fd");
    for (struct dirent *e; folder != NULL && (e = readdir(folder)) != NULL;)
        out->open_files += e->d_name[0] != '.';
    if (folder != NULL)
        closedir(folder);
}

void node_watch_read(node_watch *watch, node_status *out)
{
    const scp_options *options = watch->node->options;
    *out = (node_status){.state = (node_state)atomic_load(&watch->state)};
    snprintf(out->ae_title, sizeof out->ae_title, "%s", options->ae_title);
    out->titles = options->titles;
    out->ntitles = options->ntitles;
    snprintf(out->address, sizeof out->address, "%s", options->bind_address);
    out->port = (uint16_t)atomic_load(&watch->port);
    out->unix_ms = unix_ms();
    out->start_unix_ms = watch->start_unix_ms;
    out->uptime_s = (double)(steady_clock_ms() - watch->began_ms) / 1e3;
    out->associations = (uint32_t)activity_list(NULL, 0);
    out->reserve_bytes = (uint64_t)options->store_reserve_mb << 20;
    dcb_cache_get_stats(watch->cache, &out->cache);
    if (watch->node->ahead != NULL)
        ahead_get_stats(watch->node->ahead, &out->ahead);
    read_ingest(watch, out);
    metrics_read(&out->metrics);
    read_process(out);
    pthread_mutex_lock(&watch->lock);
    out->has_totals = watch->has_totals;
    out->totals = watch->totals;
    out->ndisks = watch->ndisks;
    memcpy(out->disks, watch->disks, sizeof out->disks);
    pthread_mutex_unlock(&watch->lock);
    judge(out, options);
}

bool node_watch_is_ready(node_watch *watch, char *reason, size_t size)
{
    const scp_options *options = watch->node->options;
    node_status status = {.state = (node_state)atomic_load(&watch->state)};
    status.reserve_bytes = (uint64_t)options->store_reserve_mb << 20;
    read_ingest(watch, &status);
    pthread_mutex_lock(&watch->lock);
    status.has_totals = watch->has_totals;
    status.ndisks = watch->ndisks;
    memcpy(status.disks, watch->disks, sizeof status.disks);
    pthread_mutex_unlock(&watch->lock);
    judge(&status, options);
    snprintf(reason, size, "%s", status.not_ready);
    return status.not_ready[0] == '\0';
}

size_t node_watch_samples(node_watch *watch, node_sample out[NODE_SAMPLES])
{
    pthread_mutex_lock(&watch->lock);
    const size_t n = watch->nsampled < NODE_SAMPLES ? watch->nsampled : NODE_SAMPLES;
    for (size_t i = 0; i < n; i++)
        out[i] = watch->samples[(watch->nsampled - n + i) % NODE_SAMPLES];
    pthread_mutex_unlock(&watch->lock);
    return n;
}
