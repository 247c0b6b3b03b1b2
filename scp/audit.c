/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.c - the queue of audit.h and the thread that empties it.
 *
 * Invariant: who submits holds the lock for a few instructions only; looking up, formatting and
 * writing are the thread's, without the lock.
 */
#include "audit.h"

#include "audit_message.h"
#include "audit_sink.h"
#include "identifier.h"
#include "ingest.h"
#include "log.h"
#include "steady_clock.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLOSE_MS       3000 /* for what waits at the end */
#define FIRST_PAUSE_MS 500  /* after a failure; then twice as long each time */
#define LAST_PAUSE_MS  30000
#define LAST_TRIES_MS  100
#define UIDS_AT_ONCE   200

struct scp_audit {
    audit_sink *sink;
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    audit_event *first, *last;
    uint32_t count;
    uint64_t ndropped;
    bool told;   /* the log knows that events are dropped */
    bool outage; /* the thread's own: the log knows that nothing can be written */
    bool stopping, ended;
    int64_t until_ms; /* when stopping: no try after it */
};

/* ---- Events ---- */

static void count_dropped(scp_audit *audit)
{
    pthread_mutex_lock(&audit->lock);
    audit->ndropped++;
    const bool news = !audit->told;
    audit->told = true;
    pthread_mutex_unlock(&audit->lock);
    if (news)
        log_event(LOG_ERROR, "audit.dropping",
                  LOG_T("reason", "the queue is full, or memory ran out"));
}

audit_event *audit_event_new(const scp_node *node, audit_kind kind, const ul_request *request)
{
    if (node->audit == NULL)
        return NULL;
    audit_event *event = calloc(1, sizeof *event);
    if (event == NULL) {
        count_dropped(node->audit);
        return NULL;
    }
    event->node = node;
    event->kind = kind;
    clock_gettime(CLOCK_REALTIME, &event->time);
    if (request != NULL) {
        memcpy(event->calling, request->calling_ae_title, sizeof event->calling);
        memcpy(event->address, request->peer_address, sizeof event->address);
        memcpy(event->user, request->user, sizeof event->user);
        memcpy(event->certificate, request->secure.subject, sizeof event->certificate);
    }
    return event;
}

void audit_event_free(audit_event *event)
{
    if (event == NULL)
        return;
    audit_studies_clear(&event->studies);
    free(event->stored);
    free(event->query);
    free(event);
}

void audit_submit(scp_audit *audit, audit_event *event)
{
    if (event == NULL)
        return;
    pthread_mutex_lock(&audit->lock);
    const bool full = audit->count >= AUDIT_QUEUE_MAX || audit->stopping;
    if (!full) {
        *(audit->last != NULL ? &audit->last->next : &audit->first) = event;
        audit->last = event;
        audit->count++;
        pthread_cond_signal(&audit->changed);
    }
    pthread_mutex_unlock(&audit->lock);
    if (full) {
        audit_event_free(event);
        count_dropped(audit);
    }
}

void audit_tell(const scp_node *node, audit_kind kind, const ul_request *request,
                const char *reason)
{
    audit_event *event = audit_event_new(node, kind, request);
    if (event == NULL)
        return;
    event->outcome = kind == AUDIT_REFUSED ? 8 : 0;
    snprintf(event->reason, sizeof event->reason, "%s", reason);
    audit_submit(node->audit, event);
}

uint64_t audit_ndropped(scp_audit *audit)
{
    if (audit == NULL)
        return 0;
    pthread_mutex_lock(&audit->lock);
    const uint64_t n = audit->ndropped;
    pthread_mutex_unlock(&audit->lock);
    return n;
}

/* ---- What the index knows; the thread's ---- */

/* The studies of what was stored, as far as it is still there. */
static void find_stored(audit_event *event)
{
    ingest_settle(event->node->ingest);
    for (uint32_t from = 0; from < event->nstored; from += UIDS_AT_ONCE) {
        const char *uids[UIDS_AT_ONCE];
        index_filter filter = {.sop_uids = uids};
        index_cursor *cursor;
        index_instance instance;
        scp_error error = SCP_ERROR_INIT;
        while (filter.nsop_uids < UIDS_AT_ONCE && from + filter.nsop_uids < event->nstored) {
            uids[filter.nsop_uids] = event->stored[from + filter.nsop_uids];
            filter.nsop_uids++;
        }
        uint32_t nfound = 0;
        if (index_find_instances(&cursor, event->node->index, &filter, &error) == 0) {
            while (index_cursor_next_instance(cursor, &instance, &error) == 1) {
                nfound++;
                audit_studies_add(&event->studies, instance.study_instance_uid,
                                  instance.sop_class_uid);
            }
            index_cursor_close(cursor);
        }
        if (nfound < filter.nsop_uids)
            event->studies.nleft_out += filter.nsop_uids - nfound;
    }
}

static void find_patient(audit_patient *out, scp_index *index, const char *study_uid)
{
    const index_filter filter = {.study_uids = &study_uid, .nstudy_uids = 1};
    const dcb_dataset *record;
    index_cursor *cursor;
    scp_error error = SCP_ERROR_INIT;
    if (index_find(&cursor, index, LEVEL_STUDY, &filter, &error) != 0)
        return;
    if (index_cursor_next(cursor, &record, &error) == 1) {
        if (dcb_dataset_get_text(record, TAG_PATIENT_ID, out->id, sizeof out->id) < 0)
            out->id[0] = '\0';
        if (dcb_dataset_get_text(record, TAG_PATIENT_NAME, out->name, sizeof out->name) < 0)
            out->name[0] = '\0';
    }
    index_cursor_close(cursor);
}

static audit_patient *find_patients(scp_index *index, const audit_studies *studies)
{
    audit_patient *patients = calloc((size_t)studies->count + 1, sizeof *patients);
    for (uint32_t i = 0; patients != NULL && i < studies->count; i++) {
        if (i > 0 && strcmp(studies->items[i].study_uid, studies->items[i - 1].study_uid) == 0)
            patients[i] = patients[i - 1];
        else
            find_patient(&patients[i], index, studies->items[i].study_uid);
    }
    return patients;
}

/* ---- The thread ---- */

static void put_message(text_buffer *out, audit_event *event)
{
    const scp_options *options = event->node->options;
    const audit_source source = {options->ae_title, options->bind_address, (long)getpid()};
    if (event->nstored > 0)
        find_stored(event);
    if (event->studies.nleft_out > 0 && event->reason[0] == '\0')
        snprintf(event->reason, sizeof event->reason, "%" PRIu32 " more instances",
                 event->studies.nleft_out);
    audit_patient *patients = find_patients(event->node->index, &event->studies);
    if (patients != NULL)
        audit_message_put(out, event, &source, patients);
    else
        out->failed = true;
    free(patients);
}

/* After a failure; short pauses at the end, when time is. */
static void pause_a_while(scp_audit *audit, int *pause_ms)
{
    pthread_mutex_lock(&audit->lock);
    const int64_t until_ms = steady_clock_ms() + (audit->stopping ? LAST_TRIES_MS : *pause_ms);
    const bool stopping = audit->stopping;
    while (audit->stopping == stopping && steady_cond_wait(&audit->changed, &audit->lock, until_ms))
        ;
    pthread_mutex_unlock(&audit->lock);
    *pause_ms = *pause_ms < LAST_PAUSE_MS / 2 ? *pause_ms * 2 : LAST_PAUSE_MS;
}

static bool is_too_late(scp_audit *audit)
{
    pthread_mutex_lock(&audit->lock);
    const bool late = audit->stopping && steady_clock_ms() >= audit->until_ms;
    pthread_mutex_unlock(&audit->lock);
    return late;
}

static bool write_message(scp_audit *audit, const text_buffer *text, const audit_event *event)
{
    int pause_ms = FIRST_PAUSE_MS;
    scp_error error = SCP_ERROR_INIT;
    while (!is_too_late(audit)) {
        if (audit_sink_write(audit->sink, text->bytes, text->nbytes, &event->time, &error) == 0) {
            if (audit->outage)
                log_event(LOG_INFO, "audit.recovered", LOG_U("dropped", audit_ndropped(audit)));
            audit->outage = false;
            return true;
        }
        if (!audit->outage)
            log_event(LOG_ERROR, "audit.failed", LOG_T("reason", error.message),
                      LOG_T("effect", "tried again; events wait, up to a limit"));
        audit->outage = true;
        pause_a_while(audit, &pause_ms);
    }
    return false;
}

static void deliver(scp_audit *audit, audit_event *event)
{
    text_buffer text = TEXT_BUFFER_INIT;
    bool written = false;
    if (!is_too_late(audit)) {
        put_message(&text, event);
        written = !text.failed && write_message(audit, &text, event);
    }
    if (!written)
        count_dropped(audit);
    text_free(&text);
}

static void *run(void *context)
{
    scp_audit *audit = context;
    pthread_mutex_lock(&audit->lock);
    for (;;) {
        audit_event *event = audit->first;
        if (event != NULL) {
            audit->first = event->next;
            audit->last = audit->first != NULL ? audit->last : NULL;
            audit->count--;
            pthread_mutex_unlock(&audit->lock);
            deliver(audit, event);
            audit_event_free(event);
            pthread_mutex_lock(&audit->lock);
            continue;
        }
        audit->told = false;
        pthread_mutex_unlock(&audit->lock);
        audit_sink_rest(audit->sink);
        pthread_mutex_lock(&audit->lock);
        if (audit->first != NULL)
            continue;
        if (audit->stopping)
            break;
        pthread_cond_wait(&audit->changed, &audit->lock);
    }
    audit->ended = true;
    pthread_cond_broadcast(&audit->changed);
    pthread_mutex_unlock(&audit->lock);
    return NULL;
}

/* ---- Life ---- */

int audit_open(scp_audit **out, const scp_node *node, scp_error *error)
{
    *out = NULL;
    if (node->options->audit == AUDIT_OFF)
        return 0;
    scp_audit *audit = calloc(1, sizeof *audit);
    if (audit == NULL)
        return scp_fail(error, "out of memory");
    if (audit_sink_open(&audit->sink, node->options, node->tls, error) != 0) {
        free(audit);
        return -1;
    }
    pthread_mutex_init(&audit->lock, NULL);
    steady_cond_init(&audit->changed);
    if (pthread_create(&audit->thread, NULL, run, audit) != 0) {
        audit_sink_close(audit->sink);
        free(audit);
        return scp_fail(error, "cannot start a thread");
    }
    *out = audit;
    return 0;
}

void audit_close(scp_audit *audit)
{
    if (audit == NULL)
        return;
    pthread_mutex_lock(&audit->lock);
    audit->until_ms = steady_clock_ms() + CLOSE_MS;
    audit->stopping = true;
    pthread_cond_broadcast(&audit->changed);
    while (!audit->ended && steady_cond_wait(&audit->changed, &audit->lock, audit->until_ms))
        ;
    pthread_mutex_unlock(&audit->lock);
    audit_sink_interrupt(audit->sink);
    pthread_join(audit->thread, NULL);
    if (audit->ndropped > 0)
        log_event(LOG_ERROR, "audit.lost", LOG_U("dropped", audit->ndropped));
    audit_sink_close(audit->sink);
    pthread_cond_destroy(&audit->changed);
    pthread_mutex_destroy(&audit->lock);
    free(audit);
}
