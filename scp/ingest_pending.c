/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_pending.c - instances on their way into the index: who else has this SOP Instance UID, and
 * the thread that writes files and, in batches, the index.
 *
 * A file that the journal holds is written after its answer, so that no sender waits for it; where
 * the journal is large enough, not even then (ingest_unwritten.c).
 *
 * Invariant: of two instances with one UID the later waits until the earlier has its file or is
 * gone, so no duplicate slips through between them. An acknowledged instance leaves the list only
 * when a commit of the index holds it; its record leaves the journal after its file was written.
 */
#include "ingest_private.h"

#include "log.h"
#include "steady_clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH_MAX 256 /* entries of one transaction */
#define LINGER_MS 20  /* a batch gathers so long, unless somebody waits for it */
#define ROUND_MS  2   /* files gather so long: waking for each would delay its answer */
#define HELD_MAX  64  /* instances that wait in memory for their files */
#define RETRY_NS  100000000L
#define SETTLE_MS 5000 /* how long a query waits where writing fails */
#define STOP_MS   5000 /* how long a stop writes files; what is left the next start does */

/* ---- The list; the lock is held ---- */

static ingest_pending *find_other(const scp_ingest *ingest, const char *uid,
                                  const ingest_pending *but)
{
    ingest_pending *found = NULL;
    for (ingest_pending *p = ingest->pending; p != NULL && p != but; p = p->next) {
        if (strcmp(p->sop_instance_uid, uid) == 0)
            found = p; /* the latest counts */
    }
    return found;
}

static void take_out(scp_ingest *ingest, const ingest_pending *entry)
{
    ingest_pending **link = &ingest->pending;
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
}

static void free_entry(ingest_pending *entry)
{
    free(entry->path);
    index_record_close(entry->record);
    journal_buffer_free(entry->bytes);
    free(entry);
}

/* ---- Arriving ---- */

ingest_pending *ingest__enter(scp_ingest *ingest, const char *sop_instance_uid)
{
    ingest_pending *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    memcpy(entry->sop_instance_uid, sop_instance_uid, strlen(sop_instance_uid) + 1);
    pthread_mutex_lock(&ingest->lock);
    ingest_pending **link = &ingest->pending;
    while (*link != NULL)
        link = &(*link)->next;
    *link = entry;
    const ingest_pending *other;
    while ((other = find_other(ingest, sop_instance_uid, entry)) != NULL && !other->written &&
           !ingest->failing) {
        ingest->nwaiting++;
        pthread_cond_broadcast(&ingest->changed);
        pthread_cond_wait(&ingest->changed, &ingest->lock);
        ingest->nwaiting--;
    }
    if (other != NULL && !other->written) {
        take_out(ingest, entry);
        free_entry(entry);
        entry = NULL;
    }
    pthread_mutex_unlock(&ingest->lock);
    return entry;
}

void ingest__leave(scp_ingest *ingest, ingest_pending *entry)
{
    pthread_mutex_lock(&ingest->lock);
    take_out(ingest, entry);
    pthread_cond_broadcast(&ingest->changed);
    pthread_mutex_unlock(&ingest->lock);
    free_entry(entry);
}

int ingest__reserve(scp_ingest *ingest, uint64_t nbytes)
{
    int result = 0;
    pthread_mutex_lock(&ingest->lock);
    while (ingest->nheld >= HELD_MAX && !ingest->failing)
        pthread_cond_wait(&ingest->changed, &ingest->lock);
    if (ingest->failing)
        result = EIO; /* what was acknowledged comes first */
    else if (!ingest__disk_has_room(ingest, ingest->journal_only + nbytes))
        result = ENOSPC;
    if (result == 0) {
        ingest->nheld++;
        ingest->journal_only += nbytes;
    }
    pthread_mutex_unlock(&ingest->lock);
    return result;
}

bool ingest__has_room(scp_ingest *ingest, uint64_t nbytes)
{
    pthread_mutex_lock(&ingest->lock);
    const uint64_t waiting = ingest->journal_only;
    pthread_mutex_unlock(&ingest->lock);
    return ingest__disk_has_room(ingest, waiting + nbytes);
}

/* The lock is held. */
static void unreserve(scp_ingest *ingest, uint64_t nbytes)
{
    ingest->nheld--;
    ingest->journal_only -= nbytes;
    pthread_cond_broadcast(&ingest->changed);
}

void ingest__unreserve(scp_ingest *ingest, uint64_t nbytes)
{
    pthread_mutex_lock(&ingest->lock);
    unreserve(ingest, nbytes);
    pthread_mutex_unlock(&ingest->lock);
}

void ingest__reserve_disk_only(scp_ingest *ingest)
{
    pthread_mutex_lock(&ingest->lock);
    ingest->nheld--;
    pthread_cond_broadcast(&ingest->changed);
    pthread_mutex_unlock(&ingest->lock);
}

void ingest__release_room(scp_ingest *ingest, uint64_t nbytes)
{
    pthread_mutex_lock(&ingest->lock);
    ingest->journal_only -= nbytes;
    pthread_mutex_unlock(&ingest->lock);
}

int64_t ingest__arrive(scp_ingest *ingest, ingest_pending *entry)
{
    pthread_mutex_lock(&ingest->lock);
    const int64_t arrived_ns = entry->arrived_ns = ingest__arrival_time(ingest);
    pthread_mutex_unlock(&ingest->lock);
    return arrived_ns;
}

int64_t ingest__time_before_pending(scp_ingest *ingest)
{
    pthread_mutex_lock(&ingest->lock);
    int64_t oldest_ns = ingest__arrival_time(ingest);
    for (const ingest_pending *p = ingest->pending; p != NULL; p = p->next) {
        if (p->arrived_ns != 0 && p->arrived_ns < oldest_ns)
            oldest_ns = p->arrived_ns;
    }
    pthread_mutex_unlock(&ingest->lock);
    return oldest_ns - 1;
}

void ingest__acknowledge(scp_ingest *ingest, ingest_pending *entry)
{
    char study_uid[UL_UID_SIZE], series_uid[UL_UID_SIZE];
    const ingest_spooled file = {entry->number, entry->nbytes};
    const bool written = entry->bytes == NULL;
    snprintf(study_uid, sizeof study_uid, "%s", entry->record->study_uid);
    snprintf(series_uid, sizeof series_uid, "%s", entry->record->series_uid);
    pthread_mutex_lock(&ingest->lock);
    entry->acknowledged = true;
    entry->written = written;
    entry->order = ++ingest->nacknowledged;
    /* The thread looks every ROUND_MS by itself while it has something to do. */
    if (ingest->nwaiting > 0 || entry->order == ingest->nindexed + 1)
        pthread_cond_broadcast(&ingest->changed);
    pthread_mutex_unlock(&ingest->lock);
    /* Only now: the packer must find it among what is to be indexed. The entry is not ours now. */
    if (written)
        ingest__backlog_add(&ingest->backlog, study_uid, series_uid, &file);
}

/* ---- Finding ---- */

static int find_pending(ingest_place *out, scp_ingest *ingest, const char *uid,
                        const char *series_uid, scp_error *error)
{
    int result = 0;
    pthread_mutex_lock(&ingest->lock);
    for (const ingest_pending *p = ingest->pending; p != NULL && result == 0; p = p->next) {
        if (!p->acknowledged || strcmp(p->sop_instance_uid, uid) != 0)
            continue;
        free(out->path);
        *out = (ingest_place){.path = strdup(p->path),
                              .same_series = strcmp(p->record->series_uid, series_uid) == 0};
        if (out->path == NULL)
            result = scp_fail(error, "out of memory");
    }
    pthread_mutex_unlock(&ingest->lock);
    return result;
}

int ingest__find(ingest_place *out, scp_ingest *ingest, const char *uid, const char *series_uid,
                 scp_error *error)
{
    *out = (ingest_place){0};
    if (find_pending(out, ingest, uid, series_uid, error) != 0)
        return -1;
    if (out->path != NULL)
        return 0;
    const index_filter filter = {.sop_uids = &uid, .nsop_uids = 1};
    index_cursor *cursor = NULL;
    index_instance found;
    if (index_find_instances(&cursor, ingest->index, &filter, error) != 0)
        return -1;
    int result = 0;
    /* The one of the same series goes before one that another series has. */
    while (!out->same_series && (result = index_cursor_next_instance(cursor, &found, error)) == 1) {
        const bool same_series = strcmp(found.series_instance_uid, series_uid) == 0;
        if (out->path != NULL && !same_series)
            continue;
        free(out->path);
        *out = (ingest_place){
            .path = strdup(found.path), .frame = found.frame, .same_series = same_series};
        if (out->path == NULL) {
            result = scp_fail(error, "out of memory");
            break;
        }
    }
    index_cursor_close(cursor);
    return result < 0 ? -1 : 0;
}

/* ---- The index thread ---- */

static int write_file(scp_ingest *ingest, ingest_pending *entry, scp_error *error)
{
    const ingest_content content = {entry->bytes, (size_t)entry->nbytes, entry->arrived_ns, false};
    const int cause = ingest__write_spooled(ingest, entry->number, ".dcm", &content, &entry->stamp);
    if (cause != 0)
        return scp_fail(error, "cannot write %s: %s", entry->path, strerror(cause));
    journal_release(ingest->journal, &entry->place);
    ingest__give_buffer(ingest, entry->bytes);
    entry->bytes = NULL;
    const ingest_spooled file = {entry->number, entry->nbytes};
    ingest__backlog_add(&ingest->backlog, entry->record->study_uid, entry->record->series_uid,
                        &file);
    return 0;
}

/* Writes the files that are not there yet, of what is acknowledged now: more may come all the time.
   The lock is held, and let go meanwhile. */
static int write_files(scp_ingest *ingest, scp_error *error)
{
    int result = 0;
    const uint64_t up_to = ingest->nacknowledged;
    for (ingest_pending *p = ingest->pending; p != NULL && result == 0; p = p->next) {
        if (!p->acknowledged || p->written || p->order > up_to)
            continue;
        pthread_mutex_unlock(&ingest->lock);
        result = write_file(ingest, p, error);
        pthread_mutex_lock(&ingest->lock); /* p is still there: only this thread takes it out */
        p->written = result == 0;
        if (p->written)
            unreserve(ingest, p->nbytes);
    }
    return result;
}

static void wait_ms(scp_ingest *ingest, int64_t ms)
{
    steady_cond_wait(&ingest->changed, &ingest->lock, steady_clock_ms() + ms);
}

/* Gathers a batch for the index: until it is large, old, or somebody waits for it. Files are
   written meanwhile: their memory is still in the processor's cache. */
static int linger(scp_ingest *ingest, scp_error *error)
{
    for (int waited_ms = 0;; waited_ms += ROUND_MS) {
        if (write_files(ingest, error) != 0)
            return -1;
        if (waited_ms >= LINGER_MS || ingest->stopping || ingest->nwaiting > 0 ||
            ingest->nacknowledged - ingest->nindexed >= BATCH_MAX)
            return 0;
        wait_ms(ingest, ROUND_MS);
    }
}

static uint32_t gather(const scp_ingest *ingest, ingest_pending **batch)
{
    uint32_t n = 0;
    for (ingest_pending *p = ingest->pending; p != NULL && n < BATCH_MAX; p = p->next) {
        if (p->written)
            batch[n++] = p;
    }
    return n;
}

static int put_batch(scp_ingest *ingest, ingest_pending **batch, uint32_t n, scp_error *error)
{
    index_entry entries[BATCH_MAX];
    for (uint32_t i = 0; i < n; i++)
        entries[i] = (index_entry){batch[i]->path, batch[i]->stamp, batch[i]->record};
    return index_put_files(ingest->index, entries, n, error);
}

/* Told when it begins and when it ends. */
static void note_result(scp_ingest *ingest, bool failed, const scp_error *error)
{
    if (failed && !ingest->failing)
        log_event(LOG_ERROR, "spool.failing", LOG_T("reason", error->message),
                  LOG_T("effect", "small instances are refused until it works again"));
    else if (!failed && ingest->failing)
        log_event(LOG_INFO, "spool.recovered", LOG_T("effect", "instances are taken in again"));
    if (ingest->journal != NULL && failed != ingest->failing)
        journal_note_files(ingest->journal, failed);
    ingest->failing = failed;
}

/* Nothing has arrived: time for a file of what waited long in the journal, or when the node stops
   for all of them. The lock is held, and let go meanwhile. False: it stops, and that is done. */
static bool write_or_wait(scp_ingest *ingest)
{
    scp_error error = SCP_ERROR_INIT;
    const int64_t due_ms = ingest__unwritten_due(ingest), now_ms = steady_clock_ms();
    if (ingest->stopping ? due_ms != INT64_MAX && now_ms < ingest->stopping_ms + STOP_MS
                         : due_ms <= now_ms) {
        pthread_mutex_unlock(&ingest->lock);
        const bool failed = ingest__write_oldest(ingest, &error) != 0;
        if (failed)
            nanosleep(&(struct timespec){0, RETRY_NS}, NULL);
        pthread_mutex_lock(&ingest->lock);
        note_result(ingest, failed, &error);
        return true;
    }
    if (ingest->failing)
        note_result(ingest, false, &error); /* what failed needs no file any more */
    if (ingest->stopping)
        return false;
    if (due_ms != INT64_MAX)
        steady_cond_wait(&ingest->changed, &ingest->lock, due_ms);
    else
        pthread_cond_wait(&ingest->changed, &ingest->lock);
    return true;
}

static void *index_arrivals(void *context)
{
    scp_ingest *ingest = context;
    ingest_pending *batch[BATCH_MAX];
    pthread_mutex_lock(&ingest->lock);
    for (;;) {
        if (ingest->failing && ingest->stopping)
            break; /* the next start does it */
        if (ingest->nacknowledged == ingest->nindexed) {
            if (!write_or_wait(ingest))
                break;
            continue;
        }
        scp_error error = SCP_ERROR_INIT;
        bool failed = linger(ingest, &error) != 0;
        const uint32_t n = gather(ingest, batch);
        pthread_mutex_unlock(&ingest->lock);
        const bool indexed = n == 0 || put_batch(ingest, batch, n, &error) == 0;
        failed = failed || !indexed;
        if (failed && ingest->failing)
            nanosleep(&(struct timespec){0, RETRY_NS}, NULL);
        pthread_mutex_lock(&ingest->lock);
        note_result(ingest, failed, &error);
        for (uint32_t i = 0; i < n && indexed; i++) {
            take_out(ingest, batch[i]);
            ingest->nindexed++;
            free_entry(batch[i]);
        }
        pthread_cond_broadcast(&ingest->changed);
    }
    pthread_mutex_unlock(&ingest->lock);
    return NULL;
}

static bool has_unindexed(const scp_ingest *ingest, uint64_t up_to)
{
    const ingest_pending *p = ingest->pending;
    while (p != NULL && !(p->acknowledged && p->order <= up_to))
        p = p->next;
    return p != NULL;
}

bool ingest_settle(scp_ingest *ingest)
{
    if (ingest == NULL)
        return true;
    const int64_t until_ms = steady_clock_ms() + SETTLE_MS;
    pthread_mutex_lock(&ingest->lock);
    const uint64_t target = ingest->nacknowledged;
    ingest->nwaiting++;
    pthread_cond_broadcast(&ingest->changed);
    bool settled;
    while (!(settled = !has_unindexed(ingest, target)) && !ingest->stopping &&
           !(ingest->failing && steady_clock_ms() >= until_ms))
        wait_ms(ingest, SETTLE_MS);
    ingest->nwaiting--;
    pthread_mutex_unlock(&ingest->lock);
    return settled;
}

int ingest__start_indexing(scp_ingest *ingest, scp_error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&ingest->thread, NULL, index_arrivals, ingest);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    ingest->has_thread = rc == 0;
    return rc == 0 ? 0 : scp_fail(error, "cannot start a thread: %s", strerror(rc));
}

void ingest__stop_indexing(scp_ingest *ingest)
{
    if (!ingest->has_thread)
        return;
    pthread_mutex_lock(&ingest->lock);
    ingest->stopping = true;
    ingest->stopping_ms = steady_clock_ms();
    pthread_cond_broadcast(&ingest->changed);
    pthread_mutex_unlock(&ingest->lock);
    pthread_join(ingest->thread, NULL);
    for (ingest_pending *p = ingest->pending, *next; p != NULL; p = next) {
        next = p->next;
        free_entry(p);
    }
    ingest->pending = NULL;
}
