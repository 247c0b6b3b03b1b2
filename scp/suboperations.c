/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suboperations.c - see suboperations.h.
 *
 * Invariant: an instance is with one sender, or was handed back, or is counted, or its turn has not
 * come. At most one sender at a time is the maker, who alone touches the plan and the retrieval,
 * without the lock. The contexts change only while no instance is under way, so that an instance
 * is made for the contexts that it is sent on; each change begins a generation of associations,
 * whose first one tells what the destination takes.
 */
#include "suboperations.h"

#include "log.h"
#include "move_plan.h"
#include "retrieval.h"
#include "steady_clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK_BYTES (2u << 20)

typedef struct job {
    size_t i; /* in the list */
    retrieval_instance instance;
    bool again; /* an association broke off under it */
} job;

typedef struct sender {
    suboperations *owner;
    pthread_t thread;
    uint32_t number; /* from 1 */
    void *link;
    uint32_t generation; /* of its association; 0: it has none */
    bool opens;          /* it requests the first one of the generation */
    uint32_t nlost;      /* associations that ended since the last answer */
} sender;

struct suboperations {
    suboperations_setting setting;
    retrieve *retrieve;
    size_t count;         /* instances in its list */
    move_plan plan;       /* the maker's */
    retrieval *retrieval; /* the maker's; NULL: none for this generation yet */
    pthread_mutex_t lock; /* all below, the counts in retrieve, and each sender's fields */
    pthread_cond_t changed;
    bool making;         /* there is a maker */
    size_t next;         /* the instance whose turn it is */
    size_t planned;      /* instances before this one find their contexts in the plan */
    bool outgrown;       /* the plan's contexts are no longer the proposed ones */
    uint32_t generation; /* of the proposed ones; 0: nothing is proposed */
    ul_request proposal; /* without contexts: no instance can be sent */
    ul_request answers;  /* of the generation's first association */
    bool has_answers;
    bool opening;     /* a sender requests that first association */
    char trouble[48]; /* the last one with an association: "broke off the association" */
    size_t ntaken;    /* instances with senders */
    size_t nreturned;
    job returned[SUBOPERATIONS_ASSOCIATIONS_MAX]; /* handed back */
    size_t nuseless;                              /* of returned: counted, only to be freed */
    dcb_frame *unsent;                            /* made, but the requester wants no more */
    bool stopping, lost;
    bool reached; /* the destination, once */
    uint64_t nchanges, nchanges_seen;
    uint32_t nrunning;
    uint32_t nsenders; /* set before they run */
    sender senders[SUBOPERATIONS_ASSOCIATIONS_MAX];
};

/* ---- All with the lock held ---- */

static void note_change(suboperations *s)
{
    s->nchanges++;
    pthread_cond_broadcast(&s->changed);
}

static bool is_all_counted(const suboperations *s)
{
    return s->next == s->count && s->ntaken == 0 && s->nreturned == 0 && !s->making;
}

static bool has_association(const sender *me)
{
    return me->generation != 0 && me->generation == me->owner->generation;
}

/* Nothing can be sent any more. What is with other senders they count themselves. */
static void give_up(suboperations *s)
{
    char text[65];
    if (s->lost || s->stopping)
        return;
    s->lost = true;
    snprintf(text, sizeof text, "%.16s %s", s->setting.target.called_ae_title, s->trouble);
    for (size_t i = 0; i < s->nreturned; i++)
        retrieve_count_failure(s->retrieve, s->returned[i].i, text, "");
    s->nuseless = s->nreturned;
    s->nreturned = 0;
    for (; s->next < s->count; s->next++)
        retrieve_count_failure(s->retrieve, s->next, text, "");
    note_change(s);
}

static void note_trouble(suboperations *s, const char *text)
{
    snprintf(s->trouble, sizeof s->trouble, "%.47s", text);
}

static void wait_until(suboperations *s, int64_t until_ms)
{
    steady_cond_wait(&s->changed, &s->lock, until_ms);
}

static void give_up_for_memory(suboperations *s)
{
    note_trouble(s, "cannot be sent to: out of memory");
    give_up(s);
}

/* ---- The maker: the lock is held at call and return, not while something is made ---- */

static void begin_making(suboperations *s)
{
    s->making = true;
    pthread_mutex_unlock(&s->lock);
}

static void end_making(suboperations *s)
{
    pthread_mutex_lock(&s->lock);
    s->making = false;
    pthread_cond_broadcast(&s->changed);
}

/* Looks at the next stretch of the list. */
static void plan_more(suboperations *s)
{
    begin_making(s);
    const move_plan_result result = move_plan_look(&s->plan);
    end_making(s);
    s->planned = s->plan.end;
    if (result == MOVE_PLAN_FAILED)
        give_up_for_memory(s);
    if (result == MOVE_PLAN_CHANGED)
        s->outgrown = true;
}

/* The plan's contexts become the proposed ones. */
static void renew_contexts(suboperations *s)
{
    ul_request proposal = {0};
    begin_making(s);
    retrieval_close(s->retrieval);
    s->retrieval = NULL;
    const bool proposed = move_plan_propose(&s->plan, &proposal);
    end_making(s);
    ul_request_clear(&s->proposal);
    ul_request_clear(&s->answers);
    s->proposal = proposal;
    s->has_answers = s->outgrown = false;
    s->generation++;
    if (!proposed)
        give_up_for_memory(s);
}

/* The next instance; false where it was counted as failed. */
static bool make_next(suboperations *s, job *out)
{
    retrieve *r = s->retrieve;
    *out = (job){.i = s->next++};
    begin_making(s);
    if (s->retrieval == NULL) {
        s->retrieval = retrieval_create(r->node, &s->answers, &r->list);
        if (s->retrieval != NULL)
            retrieval_set_query(s->retrieval, &r->query);
    }
    if (s->retrieval != NULL)
        retrieval_get(&out->instance, s->retrieval, out->i);
    else
        snprintf(out->instance.comment, sizeof out->instance.comment, "out of memory");
    end_making(s);
    if (s->stopping) {
        s->unsent = out->instance.frame; /* the last one: nothing is made any more */
        return false;
    }
    if (out->instance.frame == NULL && out->instance.status != 0) {
        query_fail(&r->fault, out->instance.status, 0, "%s", out->instance.comment);
        s->stopping = true;
        note_change(s);
        return false;
    }
    if (out->instance.frame == NULL) {
        retrieve_count_failure(r, out->i, out->instance.comment, out->instance.reason);
        note_change(s);
        return false;
    }
    *(out->instance.context.encoding == DCB_ENCODING_STORED ? &r->nstored : &r->ndecoded) += 1;
    s->ntaken++;
    return true;
}

/* ---- What a sender does next ---- */

typedef enum turn { TURN_STORE, TURN_CONNECT, TURN_OVER, TURN_WAIT, TURN_AGAIN } turn;

static turn take_returned(suboperations *s, job *out)
{
    *out = s->returned[--s->nreturned];
    s->ntaken++;
    return TURN_STORE;
}

/* TURN_AGAIN: something was done, look again. */
static turn choose_turn(sender *me, job *out)
{
    suboperations *s = me->owner;
    const bool is_left = s->next < s->count;
    const bool needs_none = s->proposal.ncontexts == 0;
    if (s->stopping || s->lost || is_all_counted(s))
        return TURN_OVER;
    if (s->nreturned > 0 && has_association(me))
        return take_returned(s, out);
    if (!s->making && s->outgrown && s->ntaken == 0 && s->nreturned == 0) {
        renew_contexts(s);
        return TURN_AGAIN;
    }
    if (!s->making && !s->outgrown && is_left) {
        if (s->next == s->planned) {
            plan_more(s);
            return TURN_AGAIN;
        }
        if (needs_none || (has_association(me) && s->has_answers))
            return make_next(s, out) ? TURN_STORE : TURN_AGAIN;
    }
    if (!has_association(me) && !needs_none && !s->outgrown && (is_left || s->nreturned > 0) &&
        (s->has_answers || !s->opening))
        return TURN_CONNECT;
    return TURN_WAIT;
}

static turn take_turn(sender *me, job *out)
{
    suboperations *s = me->owner;
    turn chosen;
    pthread_mutex_lock(&s->lock);
    while ((chosen = choose_turn(me, out)) == TURN_WAIT || chosen == TURN_AGAIN) {
        if (chosen == TURN_WAIT)
            pthread_cond_wait(&s->changed, &s->lock);
    }
    if (chosen == TURN_CONNECT && !s->has_answers)
        s->opening = me->opens = true;
    pthread_mutex_unlock(&s->lock);
    return chosen;
}

/* ---- Associations ---- */

static void on_connected(void *context)
{
    suboperations *s = context;
    pthread_mutex_lock(&s->lock);
    if (!s->reached) {
        s->reached = true;
        note_change(s);
    }
    pthread_mutex_unlock(&s->lock);
}

static bool same_answers(const ul_request *a, const ul_request *b)
{
    if (a->ncontexts != b->ncontexts)
        return false;
    for (uint32_t i = 0; i < a->ncontexts; i++) {
        if (a->contexts[i].id != b->contexts[i].id ||
            a->contexts[i].result != b->contexts[i].result ||
            strcmp(a->contexts[i].accepted_syntax, b->contexts[i].accepted_syntax) != 0)
            return false;
    }
    return true;
}

/* Takes a new association into use, with the lock held. False: it is of no use. */
static bool adopt(sender *me, ul_request *request, uint32_t generation, ul_connect_fault *fault)
{
    suboperations *s = me->owner;
    if (generation != s->generation)
        return true; /* the contexts changed meanwhile: it will be asked for again */
    if (!s->has_answers) {
        move_plan_like(&s->plan, request);
        s->answers = *request;
        *request = (ul_request){0};
        s->has_answers = true;
    } else if (!same_answers(&s->answers, request)) {
        snprintf(fault->comment, sizeof fault->comment, "accepts other contexts each time");
        scp_fail(&fault->message, "accepts other contexts than on its other associations");
        return false;
    }
    me->generation = generation;
    return true;
}

static void log_connection(const sender *me, const ul_request *request, uint32_t naccepted,
                           const ul_connect_fault *fault)
{
    const suboperations *s = me->owner;
    const store_target *target = &s->setting.target;
    if (fault == NULL)
        log_event(LOG_INFO, "move.connected", LOG_U("association", s->retrieve->association_number),
                  LOG_U("connection", me->number), LOG_T("destination", target->called_ae_title),
                  LOG_T("address", request->peer_address), LOG_U("port", target->port),
                  LOG_U("max_pdu", request->peer_max_pdu), LOG_U("accepted", naccepted),
                  LOG_U("proposed", request->ncontexts));
    else
        log_event(LOG_WARN, "move.unreachable",
                  LOG_U("association", s->retrieve->association_number),
                  LOG_U("connection", me->number), LOG_T("destination", target->called_ae_title),
                  LOG_T("host", target->host), LOG_U("port", target->port),
                  LOG_T("reason", fault->message.message));
}

static uint32_t count_accepted(const ul_request *request)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < request->ncontexts; i++)
        n += request->contexts[i].result == 0;
    return n;
}

/* One request for an association. */
static bool request_association(sender *me, ul_connect_fault *fault)
{
    suboperations *s = me->owner;
    const store_link_kind *links = s->setting.links;
    ul_request request = {0};
    pthread_mutex_lock(&s->lock);
    const uint32_t generation = s->generation;
    me->generation = 0;
    const bool copied = ul_request_copy(&request, &s->proposal);
    pthread_mutex_unlock(&s->lock);
    bool opened = false;
    if (copied) {
        links->release(me->link); /* of an earlier generation */
        opened = links->open(me->link, &request, on_connected, s, fault);
    } else {
        snprintf(fault->comment, sizeof fault->comment, "cannot be sent to: out of memory");
        scp_fail(&fault->message, "out of memory");
    }
    if (opened)
        log_connection(me, &request, count_accepted(&request), NULL);
    pthread_mutex_lock(&s->lock);
    if (opened)
        opened = adopt(me, &request, generation, fault);
    pthread_mutex_unlock(&s->lock);
    if (!opened && !fault->stopped)
        log_connection(me, &request, 0, fault);
    ul_request_clear(&request);
    return opened;
}

/* False where the sender is to end. */
static bool connect_sender(sender *me)
{
    suboperations *s = me->owner;
    ul_connect_fault fault = {0};
    bool connected = false, go_on = true;
    for (uint32_t i = 0; go_on && !connected && i <= s->setting.retries; i++) {
        if (i > 0) {
            const int64_t until = steady_clock_ms() + s->setting.retry_pause_ms;
            pthread_mutex_lock(&s->lock);
            while ((go_on = !s->stopping && !s->lost && !is_all_counted(s)) &&
                   steady_clock_ms() < until)
                wait_until(s, until);
            pthread_mutex_unlock(&s->lock);
        }
        connected = go_on && request_association(me, &fault);
        go_on = go_on && !fault.stopped;
    }
    pthread_mutex_lock(&s->lock);
    if (!connected && !fault.stopped)
        note_trouble(s, fault.comment);
    if (!connected && (me->opens || s->nrunning == 1))
        give_up(s);
    if (me->opens)
        s->opening = me->opens = false;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return connected;
}

/* ---- Instances ---- */

/* What became of a job, with the lock held. False: it is handed back, and keeps its frame. */
static bool settle(sender *me, job *done, store_result result, uint16_t status,
                   const scp_error *error)
{
    suboperations *s = me->owner;
    s->ntaken--;
    if (result == STORE_ANSWERED) {
        me->nlost = 0;
        retrieve_count_status(s->retrieve, done->i, status);
    } else if (result == STORE_UNFIT) {
        retrieve_count_failure(s->retrieve, done->i, "no usable presentation context",
                               error->message);
    } else {
        me->generation = 0;
        me->nlost++;
        note_trouble(s, result == STORE_SILENT ? "does not answer in time"
                                               : "broke off the association");
        if (s->stopping) {
            /* not counted: it remains */
        } else if (result == STORE_LOST && !done->again && !s->lost) {
            done->again = true;
            s->returned[s->nreturned++] = *done;
            note_change(s);
            return false;
        } else {
            retrieve_count_failure(s->retrieve, done->i,
                                   result == STORE_SILENT
                                       ? "the destination did not answer in time"
                                       : "the destination broke off the association",
                                   error->message);
        }
    }
    note_change(s);
    return true;
}

/* False where the sender is to end. */
static bool store(sender *me, job *next)
{
    suboperations *s = me->owner;
    uint16_t status = DIMSE_UNABLE_TO_PROCESS;
    scp_error error = SCP_ERROR_INIT;
    dcb_frame *frame = next->instance.frame;
    const store_result result =
        s->setting.links->store(me->link, next->instance.context.id, frame, &status, &error);
    pthread_mutex_lock(&s->lock);
    const bool is_settled = settle(me, next, result, status, &error);
    const bool has_had_enough = me->nlost > s->setting.retries;
    if (has_had_enough && s->nrunning == 1)
        give_up(s);
    const bool told = (result == STORE_LOST || result == STORE_SILENT) && !s->stopping;
    pthread_mutex_unlock(&s->lock);
    if (is_settled)
        dcb_frame_release(frame);
    if (told)
        log_event(LOG_WARN, "move.lost", LOG_U("association", s->retrieve->association_number),
                  LOG_U("connection", me->number),
                  LOG_T("destination", s->setting.target.called_ae_title),
                  LOG_T("reason", error.message));
    return !has_had_enough;
}

/* Others may still be waiting for a connection that nobody needs. */
static void leave(sender *me)
{
    suboperations *s = me->owner;
    pthread_mutex_lock(&s->lock);
    s->nrunning--;
    if (s->nrunning == 0 && !is_all_counted(s))
        give_up(s);
    if (is_all_counted(s)) {
        for (uint32_t i = 0; i < s->nsenders; i++) {
            if (s->senders[i].generation == 0)
                s->setting.links->interrupt(s->senders[i].link);
        }
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void *sender_main(void *context)
{
    sender *me = context;
    job next;
    turn chosen;
    bool go_on = true;
    while (go_on && (chosen = take_turn(me, &next)) != TURN_OVER)
        go_on = chosen == TURN_CONNECT ? connect_sender(me) : store(me, &next);
    leave(me);
    me->owner->setting.links->release(me->link);
    return NULL;
}

/* ---- suboperations.h ---- */

static void init(suboperations *s, const suboperations_setting *setting, retrieve *r)
{
    *s = (suboperations){.setting = *setting, .retrieve = r, .count = r->list.count};
    move_plan_init(&s->plan, r->node, &r->list, setting->prefer, setting->nprefer);
    pthread_mutex_init(&s->lock, NULL);
    steady_cond_init(&s->changed);
}

static bool start_sender(suboperations *s, sender *me)
{
    pthread_attr_t attributes;
    me->owner = s;
    me->number = s->nsenders + 1;
    me->link = s->setting.links->create(&s->setting.target);
    if (me->link == NULL)
        return false;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    const int failed = pthread_create(&me->thread, &attributes, sender_main, me);
    pthread_attr_destroy(&attributes);
    if (failed == 0)
        return true;
    s->setting.links->close(me->link);
    return false;
}

suboperations *suboperations_start(const suboperations_setting *setting, retrieve *r)
{
    suboperations *s = malloc(sizeof *s);
    if (s == NULL)
        return NULL;
    init(s, setting, r);
    pthread_mutex_lock(&s->lock); /* they begin when all are there */
    while (s->nsenders < setting->nassociations && s->nsenders < s->count &&
           start_sender(s, &s->senders[s->nsenders]))
        s->nsenders++;
    s->nrunning = s->nsenders;
    pthread_mutex_unlock(&s->lock);
    if (s->nsenders > 0)
        return s;
    suboperations_close(s);
    return NULL;
}

suboperations_state suboperations_wait(suboperations *s, int timeout_ms)
{
    const int64_t until = steady_clock_ms() + timeout_ms;
    pthread_mutex_lock(&s->lock);
    while (s->nchanges == s->nchanges_seen && s->nrunning > 0 && steady_clock_ms() < until)
        wait_until(s, until);
    const suboperations_state state = s->nrunning == 0                  ? SUBOPERATIONS_OVER
                                      : s->nchanges != s->nchanges_seen ? SUBOPERATIONS_PROGRESS
                                                                        : SUBOPERATIONS_QUIET;
    s->nchanges_seen = s->nchanges;
    pthread_mutex_unlock(&s->lock);
    return state;
}

void suboperations_lock(suboperations *s)
{
    pthread_mutex_lock(&s->lock);
}

void suboperations_unlock(suboperations *s)
{
    pthread_mutex_unlock(&s->lock);
}

void suboperations_stop(suboperations *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    for (uint32_t i = 0; i < s->nsenders; i++) {
        if (s->senders[i].generation == 0)
            s->setting.links->interrupt(s->senders[i].link);
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void suboperations_interrupt(suboperations *s)
{
    suboperations_stop(s);
    for (uint32_t i = 0; i < s->nsenders; i++)
        s->setting.links->interrupt(s->senders[i].link);
}

void suboperations_close(suboperations *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    const bool runs = s->nrunning > 0;
    pthread_mutex_unlock(&s->lock);
    if (runs)
        suboperations_interrupt(s);
    for (uint32_t i = 0; i < s->nsenders; i++)
        pthread_join(s->senders[i].thread, NULL);
    for (uint32_t i = 0; i < s->nsenders; i++)
        s->setting.links->close(s->senders[i].link);
    for (size_t i = 0; i < s->nreturned + s->nuseless; i++)
        dcb_frame_release(s->returned[i].instance.frame);
    dcb_frame_release(s->unsent);
    retrieval_close(s->retrieval);
    move_plan_clear(&s->plan);
    ul_request_clear(&s->proposal);
    ul_request_clear(&s->answers);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
