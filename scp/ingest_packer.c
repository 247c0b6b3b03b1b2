/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_packer.c - the thread that packs one series after another.
 *
 * What costs time (reading, encoding, comparing) is done by a thread of low priority, and
 * the encoder's threads inherit that; what others wait for (the index's lock) is done by this one,
 * which has the usual priority.
 */
#include "ingest_pack.h"

#include "log.h"
#include "steady_clock.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PACKING_NICE   10
#define FIRST_PAUSE_MS 5000
#define MOST_PAUSE_MS  3600000
#define LOOK_MS        500 /* for the file by which packing is asked for */
#define ASKED          "pack-now"

bool ingest__stopping(scp_ingest *ingest)
{
    pthread_mutex_lock(&ingest->backlog.lock);
    const bool stopping = ingest->backlog.stopping;
    pthread_mutex_unlock(&ingest->backlog.lock);
    return stopping;
}

/* ---- One series ------------------------------------------------------------------------------ */

static void name_hash(char name[PACK_NAME_SIZE], const char *first, const char *second)
{
    const uint64_t hash = pack_hash(PACK_HASH_START, first);
    snprintf(name, PACK_NAME_SIZE, "%016" PRIx64, second != NULL ? pack_hash(hash, second) : hash);
}

/* A copy of what waits now; the lock is held. */
static bool copy_series(pack_job *job, const ingest_series *series)
{
    job->nfiles = series->nfiles;
    job->files = malloc(series->nfiles * sizeof *series->files);
    if (job->files == NULL)
        return false;
    memcpy(job->files, series->files, series->nfiles * sizeof *series->files);
    memcpy(job->study_uid, series->study_uid, sizeof job->study_uid);
    memcpy(job->series_uid, series->series_uid, sizeof job->series_uid);
    name_hash(job->study, job->study_uid, NULL);
    name_hash(job->series, job->study_uid, job->series_uid);
    return true;
}

typedef struct preparation {
    pack_job *job;
    int result;
} preparation;

static void *prepare(void *context)
{
    preparation *p = context;
    setpriority(PRIO_PROCESS, 0, PACKING_NICE); /* on Linux: this thread's */
    p->result = ingest__pack_plan(p->job) == 0 && ingest__pack_write(p->job) == 0 ? 0 : -1;
    return NULL;
}

/* What a job that failed has staged. */
static void drop_staged(const pack_job *job)
{
    char path[INGEST_PATH_SIZE], staged[96];
    for (size_t i = 0; i < job->changes.nplaces; i++) {
        ingest__staged_path(path, job->ingest, job->changes.places[i].staged);
        unlink(path);
    }
    snprintf(staged, sizeof staged, "%s-%09" PRIu64 ".dcbs", job->series, job->changes.id);
    ingest__staged_path(path, job->ingest, staged);
    unlink(path);
}

static void tell(const pack_job *job, double ms)
{
    char ratio[32] = "";
    const char *path = job->study;
    for (size_t i = 0; i < job->changes.nplaces && job->file_bytes > 0; i++) {
        if (strstr(job->changes.places[i].final, ".dcbs") != NULL)
            path = job->changes.places[i].final;
    }
    if (job->file_bytes > 0 && job->nolds == 0)
        snprintf(ratio, sizeof ratio, "%.2f", (double)job->source_bytes / (double)job->file_bytes);
    log_event(LOG_INFO, "pack.done", LOG_T("file", path), LOG_U("packed", job->npacked),
              LOG_U("kept", job->nkept), LOG_U("replaced", job->nreplaced),
              LOG_U("merged", job->file_bytes > 0 ? job->nolds : 0),
              LOG_U("source_bytes", job->source_bytes), LOG_U("file_bytes", job->file_bytes),
              LOG_T("ratio", ratio), LOG_MS("ms", ms));
    for (size_t i = 0; i < job->ncandidates; i++) {
        const pack_candidate *c = &job->candidates[i];
        if (c->fate != FATE_KEEP)
            continue;
        log_event(LOG_INFO, "pack.kept", LOG_T("folder", job->study),
                  LOG_U("instances", job->nkept), LOG_T("reason", c->why));
        break; /* mostly the same for all */
    }
}

static void count(ingest_stats *stats, const pack_job *job, double ms)
{
    stats->packed_series += job->file_bytes > 0;
    stats->packed_instances += job->npacked;
    stats->packed_source_bytes += job->source_bytes;
    stats->packed_file_bytes += job->file_bytes;
    stats->kept_instances += job->nkept;
    stats->kept_bytes += job->kept_bytes;
    stats->replaced_instances += job->nreplaced;
    stats->pack_ms += (uint64_t)ms;
}

/* Waits on `changed`, at most until then; the lock is held. */
static void wait_until(ingest_backlog *backlog, int64_t then_ms)
{
    steady_cond_wait(&backlog->changed, &backlog->lock, then_ms);
}

static int64_t pause_ms(uint32_t nfailures)
{
    const int64_t pause = (int64_t)FIRST_PAUSE_MS << (nfailures < 10 ? nfailures - 1 : 10);
    return pause < MOST_PAUSE_MS ? pause : MOST_PAUSE_MS;
}

/* Once written down it happens: tried until it is done, or the next start does it. */
static bool apply(scp_ingest *ingest, const pack_job *job)
{
    ingest_backlog *backlog = &ingest->backlog;
    scp_error error = SCP_ERROR_INIT;
    uint32_t nfailures = 0;
    while (ingest__switch_apply(ingest, &job->changes, &error) != 0) {
        const int64_t pause = pause_ms(++nfailures);
        log_event(LOG_ERROR, "pack.not_switched", LOG_T("reason", error.message),
                  LOG_U("retry_s", (uint64_t)pause / 1000));
        pthread_mutex_lock(&backlog->lock);
        backlog->stats.pack_failures++;
        const int64_t then_ms = steady_clock_ms() + pause;
        while (!backlog->stopping && steady_clock_ms() < then_ms)
            wait_until(backlog, then_ms);
        const bool stopping = backlog->stopping;
        pthread_mutex_unlock(&backlog->lock);
        if (stopping)
            return false;
    }
    ingest__switch_retire(ingest, job->changes.id);
    return true;
}

/* 0, or -1 where nothing has changed. */
static int run_job(pack_job *job)
{
    preparation p = {job, -1};
    pthread_t thread;
    /* What waits is in the index before it is taken out there. */
    const bool settled = ingest_settle(job->ingest);
    if (ingest__stopping(job->ingest))
        return scp_fail(&job->error, "the node stops");
    if (!settled)
        return scp_fail(&job->error, "the spool or the index cannot be written");
    const int cause = pthread_create(&thread, NULL, prepare, &p);
    if (cause != 0)
        return scp_fail(&job->error, "cannot start a thread: %s", strerror(cause));
    pthread_join(thread, NULL);
    return p.result;
}

static void fail_series(ingest_series *series, const pack_job *job, ingest_backlog *backlog)
{
    series->nfailures++;
    const int64_t pause = pause_ms(series->nfailures);
    series->not_before_ms = steady_clock_ms() + pause;
    if (backlog->stopping)
        return;
    backlog->stats.pack_failures++;
    log_event(LOG_WARN, "pack.failed", LOG_T("series", job->series),
              LOG_U("instances", job->nfiles), LOG_T("reason", job->error.message),
              LOG_U("retry_s", (uint64_t)pause / 1000));
}

/* The lock is held on entry and return. The series stays: only this thread takes out. */
static void pack(scp_ingest *ingest, ingest_series *series)
{
    ingest_backlog *backlog = &ingest->backlog;
    pack_job job = {.ingest = ingest, .error = SCP_ERROR_INIT};
    series->wanted = false;
    backlog->busy = true;
    pthread_mutex_unlock(&backlog->lock);
    job.changes.id = ingest__next_number(ingest);
    job.latest_ns = ingest__time_before_pending(ingest); /* before it is settled what is packed */
    pthread_mutex_lock(&backlog->lock);
    const bool begun = copy_series(&job, series);
    backlog->stats.packing_instances = job.nfiles;
    pthread_mutex_unlock(&backlog->lock);
    const int64_t start_ms = steady_clock_ms();
    if (!begun)
        scp_fail(&job.error, "out of memory");
    else if (job.changes.id == 0)
        scp_fail(&job.error, "the spool cannot be written");
    const bool prepared = begun && job.changes.id != 0 && run_job(&job) == 0;
    if (!prepared)
        drop_staged(&job);
    const bool done = prepared && apply(ingest, &job);
    const double ms = (double)(steady_clock_ms() - start_ms);
    if (done)
        tell(&job, ms);
    pthread_mutex_lock(&backlog->lock);
    if (done) {
        count(&backlog->stats, &job, ms);
        series->nfailures = 0;
        series->not_before_ms = 0;
        ingest__backlog_take_out(backlog, series, job.nfiles);
    } else {
        fail_series(series, &job, backlog);
    }
    backlog->stats.packing_instances = 0;
    backlog->busy = false;
    pthread_cond_broadcast(&backlog->changed);
    ingest__pack_free(&job);
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void want_all(ingest_backlog *backlog)
{
    for (size_t i = 0; i < BACKLOG_BUCKETS; i++) {
        for (ingest_series *s = backlog->buckets[i]; s != NULL; s = s->next)
            s->wanted = s->nfiles > 0;
    }
}

static bool is_wanted(const ingest_backlog *backlog)
{
    bool wanted = backlog->busy;
    for (size_t i = 0; i < BACKLOG_BUCKETS && !wanted; i++) {
        for (const ingest_series *s = backlog->buckets[i]; s != NULL && !wanted; s = s->next)
            wanted = s->wanted;
    }
    return wanted;
}

/* The file goes when all that was there when it came was tried. The lock is held, and let go for a
   moment. */
static void look_for_demand(scp_ingest *ingest, bool *asked)
{
    if (*asked && !is_wanted(&ingest->backlog)) {
        unlinkat(ingest->folder_fd, ASKED, 0);
        *asked = false;
    } else if (!*asked && faccessat(ingest->folder_fd, ASKED, F_OK, 0) == 0) {
        pthread_mutex_unlock(&ingest->backlog.lock);
        *asked = ingest_settle(ingest); /* what was acknowledged waits to be packed */
        pthread_mutex_lock(&ingest->backlog.lock);
        if (*asked)
            want_all(&ingest->backlog);
    }
}

static void *run(void *context)
{
    scp_ingest *ingest = context;
    ingest_backlog *backlog = &ingest->backlog;
    const int64_t after_ms = (int64_t)ingest->options->pack_after_s * 1000;
    bool asked = false;
    pthread_mutex_lock(&backlog->lock);
    while (!backlog->stopping) {
        int64_t due_ms, now_ms = steady_clock_ms();
        look_for_demand(ingest, &asked);
        ingest_series *series = ingest__backlog_due(&due_ms, backlog, now_ms, after_ms);
        if (series != NULL)
            pack(ingest, series);
        else if (!asked)
            wait_until(backlog, due_ms < now_ms + LOOK_MS ? due_ms : now_ms + LOOK_MS);
    }
    pthread_mutex_unlock(&backlog->lock);
    return NULL;
}

void ingest_pack_start(scp_ingest *ingest)
{
    ingest_settle(ingest);
    pthread_mutex_lock(&ingest->backlog.lock);
    want_all(&ingest->backlog);
    pthread_cond_broadcast(&ingest->backlog.changed);
    pthread_mutex_unlock(&ingest->backlog.lock);
}

bool ingest_pack(scp_ingest *ingest)
{
    ingest_backlog *backlog = &ingest->backlog;
    const bool settled = ingest_settle(ingest);
    pthread_mutex_lock(&backlog->lock);
    const uint64_t nfailures = backlog->stats.pack_failures;
    want_all(backlog);
    pthread_cond_broadcast(&backlog->changed);
    while (is_wanted(backlog) && !backlog->stopping)
        pthread_cond_wait(&backlog->changed, &backlog->lock);
    const bool good = settled && backlog->stats.pack_failures == nfailures && !backlog->stopping;
    pthread_mutex_unlock(&backlog->lock);
    return good;
}

int ingest__packer_start(scp_ingest *ingest, scp_error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&ingest->backlog.thread, NULL, run, ingest);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    ingest->backlog.has_thread = rc == 0;
    return rc == 0 ? 0 : scp_fail(error, "cannot start a thread: %s", strerror(rc));
}

void ingest__packer_stop(scp_ingest *ingest)
{
    ingest_backlog *backlog = &ingest->backlog;
    if (!backlog->has_thread)
        return;
    pthread_mutex_lock(&backlog->lock);
    backlog->stopping = true;
    pthread_cond_broadcast(&backlog->changed);
    pthread_mutex_unlock(&backlog->lock);
    pthread_join(backlog->thread, NULL);
}
