/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - leader and followers.
 *
 * Invariant: at most one worker is the leader. A worker that accepted a connection hands the lead
 * over at once, to an idle worker or a new one, and comes back for it when its association is over;
 * where no thread can be made the lead stays free for the first that comes back.
 */
#include "server.h"

#include "activity.h"
#include "association.h"
#include "audit.h"
#include "log.h"
#include "metrics.h"
#include "node.h"
#include "steady_clock.h"
#include "ul.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define MAX_PENDING 256 /* connections that have not sent a whole request yet */
#define IDLE_KEPT   8   /* workers kept waiting for a turn; more of them end */
#define STACK_BYTES (2u << 20)

typedef enum worker_state { WORKER_NONE, WORKER_RUNS, WORKER_ENDED } worker_state;

typedef struct worker {
    scp_server *server;
    pthread_t thread;
    worker_state state;
    bool handed_over; /* this turn's connection was accepted and the lead passed on */
} worker;

/* An association that its worker serves now; it lives on that worker's stack. */
typedef struct seat {
    struct seat *next;
    association *association;
} seat;

struct scp_server {
    association_setting setting;
    ul_listener *listener;
    uint32_t nworkers;
    worker *workers;
    pthread_mutex_t lock;     /* everything below, and each worker's state */
    pthread_cond_t lead_free; /* or stopping */
    pthread_cond_t seat_free;
    bool has_leader;
    bool stopping;
    uint32_t nidle;
    uint32_t last_number;
    seat *seats;
    server_stats stats;
};

static void *worker_main(void *context);

/* ---- The lead; all under the lock ---- */

static bool start_worker(scp_server *s)
{
    for (uint32_t i = 0; i < s->nworkers; i++) {
        worker *w = &s->workers[i];
        if (w->state == WORKER_RUNS)
            continue;
        if (w->state == WORKER_ENDED)
            pthread_join(w->thread, NULL); /* it only has to return */
        w->state = WORKER_NONE;
        w->server = s;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        int failed = pthread_create(&w->thread, &attributes, worker_main, w);
        pthread_attr_destroy(&attributes);
        if (failed != 0) {
            log_event(LOG_WARN, "server.no_thread", LOG_T("reason", strerror(failed)));
            return false;
        }
        w->state = WORKER_RUNS;
        return true;
    }
    return false;
}

static void pass_lead(scp_server *s)
{
    s->has_leader = false;
    if (s->stopping)
        return;
    if (s->nidle > 0)
        pthread_cond_signal(&s->lead_free);
    else
        start_worker(s);
}

/* ul_receive's on_accept */
static void hand_over(void *context)
{
    worker *w = context;
    pthread_mutex_lock(&w->server->lock);
    w->handed_over = true;
    pass_lead(w->server);
    pthread_mutex_unlock(&w->server->lock);
}

/* ---- Associations ---- */

/* The name of the limit that one more association would break; NULL: none. */
static const char *reached_limit(const scp_server *s, const seat *mine)
{
    const scp_options *options = association_options(mine->association);
    const ul_request *request = association_request(mine->association);
    uint32_t of_ae = 0, of_address = 0;
    if (s->stats.associations >= options->max_associations)
        return "max_associations";
    for (const seat *at = s->seats; at != NULL; at = at->next) {
        const ul_request *other = association_request(at->association);
        of_ae += strcmp(other->calling_ae_title, request->calling_ae_title) == 0;
        of_address += strcmp(other->peer_address, request->peer_address) == 0;
    }
    if (options->max_associations_per_ae != 0 && of_ae >= options->max_associations_per_ae)
        return "max_associations_per_ae";
    if (options->max_associations_per_address != 0 &&
        of_address >= options->max_associations_per_address)
        return "max_associations_per_address";
    return NULL;
}

static const char *take_seat(scp_server *s, seat *mine)
{
    const char *full = reached_limit(s, mine);
    s->stats.associations++;
    mine->next = s->seats;
    s->seats = mine;
    if (s->stopping)
        association_stop(mine->association, false);
    return full;
}

static void leave_seat(scp_server *s, const seat *mine, bool accepted)
{
    seat **link = &s->seats;
    while (*link != mine)
        link = &(*link)->next;
    *link = mine->next;
    s->stats.associations--;
    *(accepted ? &s->stats.accepted : &s->stats.rejected) += 1;
    pthread_cond_broadcast(&s->seat_free);
}

static void serve(scp_server *s, ul_association *ul)
{
    pthread_mutex_lock(&s->lock);
    const uint32_t number = ++s->last_number;
    pthread_mutex_unlock(&s->lock);
    seat mine = {NULL, association_create(&s->setting, ul, number)};
    if (mine.association == NULL) {
        ul_association_abort(ul);
        ul_association_close(ul);
        return;
    }
    pthread_mutex_lock(&s->lock);
    const char *full = take_seat(s, &mine);
    pthread_mutex_unlock(&s->lock);
    bool accepted = association_run(mine.association, full);
    pthread_mutex_lock(&s->lock);
    leave_seat(s, &mine, accepted);
    pthread_mutex_unlock(&s->lock);
    association_close(mine.association);
}

static void note_no_request(scp_server *s, ul_result result, const scp_error *error)
{
    pthread_mutex_lock(&s->lock);
    s->stats.without_request++;
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    /* Monitoring probes connect and hang up: no news. */
    bool quiet = stopping || result == UL_ABORTED;
    metrics_add(METRIC_NO_REQUEST, 1);
    if (!quiet)
        activity_refuse("connection", "", "", error->message);
    log_event(quiet ? LOG_DEBUG : LOG_WARN, "association.no_request",
              LOG_T("reason", error->message));
    if (result == UL_FAILED)
        audit_tell(s->setting.node, AUDIT_REFUSED, NULL, error->message);
}

/* Waits for one connection and sees it through. */
static void take_turn(worker *w)
{
    scp_server *s = w->server;
    scp_error error = SCP_ERROR_INIT;
    ul_association *ul;
    w->handed_over = false;
    ul_result result = ul_receive(&ul, s->listener, hand_over, w, &error);
    if (result == UL_OK) {
        serve(s, ul);
    } else if (w->handed_over) {
        note_no_request(s, result, &error);
    } else {
        pthread_mutex_lock(&s->lock);
        pass_lead(s);
        pthread_mutex_unlock(&s->lock);
    }
}

static void *worker_main(void *context)
{
    worker *w = context;
    scp_server *s = w->server;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        if (!s->has_leader) {
            s->has_leader = true;
            pthread_mutex_unlock(&s->lock);
            take_turn(w);
            pthread_mutex_lock(&s->lock);
        } else if (s->nidle < IDLE_KEPT) {
            s->nidle++;
            pthread_cond_wait(&s->lead_free, &s->lock);
            s->nidle--;
        } else {
            break;
        }
    }
    w->state = WORKER_ENDED;
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- Start and stop ---- */

/* Two descriptors for each connection, and some for files and the index. */
static void raise_descriptor_limit(uint32_t nconnections)
{
    struct rlimit limit;
    const rlim_t wanted = 2 * (rlim_t)nconnections + 512;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static uint32_t timeout_ms(uint32_t seconds)
{
    return seconds < 2000000 ? seconds * 1000 : 2000000000;
}

static void server_free(scp_server *s)
{
    ul_listener_close(s->listener);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->lead_free);
    pthread_cond_destroy(&s->seat_free);
    free(s->workers);
    free(s);
}

static scp_server *server_create(const scp_node *node, const service *const *services,
                                 size_t nservices)
{
    scp_server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->lead_free, NULL);
    steady_cond_init(&s->seat_free);
    s->setting = (association_setting){node, services, nservices};
    /* The limit may grow while the node runs. Room also for those that are being rejected or say
       goodbye. */
    s->nworkers = OPTIONS_MOST_ASSOCIATIONS + 2 * MAX_PENDING;
    s->workers = calloc(s->nworkers, sizeof *s->workers);
    if (s->workers == NULL) {
        server_free(s);
        return NULL;
    }
    return s;
}

int server_start(scp_server **out, const scp_node *node, const service *const *services,
                 size_t nservices, scp_error *error)
{
    *out = NULL;
    if (ul_global_init(error) != 0)
        return -1;
    scp_server *s = server_create(node, services, nservices);
    if (s == NULL)
        return scp_fail(error, "out of memory");
    const ul_listener_options listen = {
        .bind_address = node->options->bind_address,
        .port = (uint16_t)node->options->port,
        .tls_port = (uint16_t)node->options->tls_port,
        .tls_mode = node->options->tls_mode,
        .tls = node->tls,
        .max_pdu = node->options->max_pdu,
        .request_timeout_ms = (int)timeout_ms(node->options->request_timeout_s),
        .io_timeout_ms = (int)timeout_ms(node->options->io_timeout_s),
        .max_pending = MAX_PENDING,
    };
    raise_descriptor_limit(node->options->max_associations + 2 * MAX_PENDING);
    if (ul_listener_open(&s->listener, &listen, error) != 0) {
        server_free(s);
        return -1;
    }
    pthread_mutex_lock(&s->lock);
    bool started = start_worker(s);
    pthread_mutex_unlock(&s->lock);
    if (!started) {
        server_free(s);
        return scp_fail(error, "cannot start a thread");
    }
    *out = s;
    return 0;
}

uint16_t server_port(const scp_server *server)
{
    return ul_listener_port(server->listener);
}

uint16_t server_tls_port(const scp_server *server)
{
    return ul_listener_tls_port(server->listener);
}

void server_get_stats(scp_server *server, server_stats *stats)
{
    pthread_mutex_lock(&server->lock);
    *stats = server->stats;
    pthread_mutex_unlock(&server->lock);
}

static void stop_all(scp_server *s, bool now)
{
    for (seat *at = s->seats; at != NULL; at = at->next)
        association_stop(at->association, now);
}

void server_stop(scp_server *s, uint32_t timeout_s)
{
    if (s == NULL)
        return;
    const int64_t until_ms = steady_clock_ms() + (int64_t)timeout_s * 1000;

    ul_listener_stop(s->listener);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->lead_free);
    stop_all(s, false);
    while (s->seats != NULL && steady_cond_wait(&s->seat_free, &s->lock, until_ms))
        ;
    stop_all(s, true);
    /* No new worker can start now: pass_lead looks at stopping. */
    for (uint32_t i = 0; i < s->nworkers; i++) {
        if (s->workers[i].state == WORKER_NONE)
            continue;
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->workers[i].thread, NULL);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    server_free(s);
}
