/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_backlog.c - the series that wait in the spool to be packed, and the counters.
 *
 * Invariant: every instance of the spool is in one series, in the order of arrival; only the packer
 * takes out. Threads: any, by the lock.
 */
#include "ingest_private.h"

#include "log.h"
#include "steady_clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void ingest__backlog_init(ingest_backlog *backlog)
{
    pthread_mutex_init(&backlog->lock, NULL);
    steady_cond_init(&backlog->changed);
}

static void free_series(ingest_series *series)
{
    free(series->files);
    free(series);
}

void ingest__backlog_free(ingest_backlog *backlog)
{
    for (size_t i = 0; i < BACKLOG_BUCKETS; i++) {
        for (ingest_series *s = backlog->buckets[i], *next; s != NULL; s = next) {
            next = s->next;
            free_series(s);
        }
        backlog->buckets[i] = NULL;
    }
    pthread_cond_destroy(&backlog->changed);
    pthread_mutex_destroy(&backlog->lock);
}

static ingest_series **bucket_of(ingest_backlog *backlog, const char *series_uid)
{
    return &backlog->buckets[journal_hash(series_uid, strlen(series_uid)) % BACKLOG_BUCKETS];
}

static ingest_series *find_or_add(ingest_backlog *backlog, const char *study_uid,
                                  const char *series_uid)
{
    if (strlen(study_uid) >= UL_UID_SIZE || strlen(series_uid) >= UL_UID_SIZE)
        return NULL; /* of no instance that was taken in */
    ingest_series **bucket = bucket_of(backlog, series_uid);
    for (ingest_series *s = *bucket; s != NULL; s = s->next) {
        if (strcmp(s->series_uid, series_uid) == 0 && strcmp(s->study_uid, study_uid) == 0)
            return s;
    }
    ingest_series *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    memcpy(s->study_uid, study_uid, strlen(study_uid) + 1);
    memcpy(s->series_uid, series_uid, strlen(series_uid) + 1);
    s->next = *bucket;
    *bucket = s;
    backlog->stats.spool_series++;
    return s;
}

static bool append(ingest_series *series, const ingest_spooled *file)
{
    if (series->nfiles == series->capacity) {
        const size_t capacity = series->capacity * 2 + 16;
        ingest_spooled *grown = realloc(series->files, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        series->files = grown;
        series->capacity = capacity;
    }
    series->files[series->nfiles++] = *file;
    return true;
}

void ingest__backlog_add(ingest_backlog *backlog, const char *study_uid, const char *series_uid,
                         const ingest_spooled *file)
{
    pthread_mutex_lock(&backlog->lock);
    ingest_series *series = find_or_add(backlog, study_uid, series_uid);
    const bool added = series != NULL && append(series, file);
    if (added) {
        series->last_arrival_ms = steady_clock_ms();
        /* The packer waits for a time that was told it, or for the first. */
        if (backlog->stats.spool_instances++ == 0)
            pthread_cond_broadcast(&backlog->changed);
        backlog->stats.spool_bytes += file->nbytes;
    }
    pthread_mutex_unlock(&backlog->lock);
    if (!added)
        log_event(LOG_ERROR, "pack.not_queued", LOG_U("number", file->number),
                  LOG_T("effect", "it is served, and packed after the next start"));
}

static int64_t due_at(const ingest_series *series, int64_t after_ms)
{
    if (series->wanted)
        return 0;
    if (after_ms == 0)
        return INT64_MAX;
    const int64_t due_ms = series->last_arrival_ms + after_ms;
    return due_ms > series->not_before_ms ? due_ms : series->not_before_ms;
}

ingest_series *ingest__backlog_due(int64_t *due_ms, ingest_backlog *backlog, int64_t now_ms,
                                   int64_t after_ms)
{
    ingest_series *first = NULL;
    *due_ms = INT64_MAX;
    for (size_t i = 0; i < BACKLOG_BUCKETS && backlog->stats.spool_instances > 0; i++) {
        for (ingest_series *s = backlog->buckets[i]; s != NULL; s = s->next) {
            const int64_t due = s->nfiles > 0 ? due_at(s, after_ms) : INT64_MAX;
            if (due < *due_ms) {
                *due_ms = due;
                first = s;
            }
        }
    }
    return *due_ms <= now_ms ? first : NULL;
}

void ingest__backlog_take_out(ingest_backlog *backlog, ingest_series *series, size_t n)
{
    for (size_t i = 0; i < n; i++)
        backlog->stats.spool_bytes -= series->files[i].nbytes;
    backlog->stats.spool_instances -= n;
    series->nfiles -= n;
    memmove(series->files, series->files + n, series->nfiles * sizeof *series->files);
    if (series->nfiles > 0)
        return;
    ingest_series **link = bucket_of(backlog, series->series_uid);
    while (*link != series)
        link = &(*link)->next;
    *link = series->next;
    backlog->stats.spool_series--;
    free_series(series);
}

void ingest__count(ingest_backlog *backlog, uint64_t *counter, uint64_t n)
{
    pthread_mutex_lock(&backlog->lock);
    *counter += n;
    pthread_mutex_unlock(&backlog->lock);
}

void ingest_get_stats(ingest_stats *out, scp_ingest *ingest)
{
    ingest_backlog *backlog = &ingest->backlog;
    pthread_mutex_lock(&backlog->lock);
    *out = backlog->stats;
    for (size_t i = 0; i < BACKLOG_BUCKETS && backlog->stats.spool_series > 0; i++) {
        for (const ingest_series *s = backlog->buckets[i]; s != NULL; s = s->next)
            out->failing_series += s->nfailures > 0;
    }
    pthread_mutex_unlock(&backlog->lock);
    pthread_mutex_lock(&ingest->lock);
    out->failing = ingest->failing;
    pthread_mutex_unlock(&ingest->lock);
}
