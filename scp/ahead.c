/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead.c - the queue of lists, and the workers that serve them in turn.
 *
 * Invariant: an item is in at most one slot of its list; a slot that is RUNNING belongs to one
 * worker, and its list is not freed before that worker is done. At most nmakers items are being
 * made, and no worker begins one while an owner waits to. Items are made and dropped without the
 * lock.
 */
#include "ahead.h"

#include "steady_clock.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NSLOTS      (AHEAD_WINDOW_MAX + 1) /* and the one beyond */
#define WORKERS_MAX 256

typedef enum slot_state {
    SLOT_FREE,
    SLOT_RUNNING,
    SLOT_WAITING,  /* made */
    SLOT_DEFERRED, /* not before the owner's next take */
} slot_state;

typedef struct slot {
    slot_state state;
    size_t item;
    void *made;
    size_t nbytes; /* while running: what it is expected to have */
} slot;

struct ahead_list {
    ahead_pool *pool;
    const ahead_work *work;
    void *context;
    ahead_list *before, *after; /* in the queue */
    pthread_cond_t changed;     /* a slot is no longer RUNNING, or granted */
    size_t turn;                /* the item taken last; AHEAD_NONE: none yet */
    ahead_wish wish;
    int64_t taken_ms;
    bool stalled;
    bool had_own;            /* its owner has made an item */
    bool granted;            /* its owner, who waited to make one, may */
    ahead_list *next_waiter; /* behind it among those who wait */
    uint32_t nrunning;
    size_t nbytes;   /* of running and waiting items */
    size_t expected; /* what the next may have: as the last one */
    slot slots[NSLOTS];
};

struct ahead_pool {
    ahead_options options;
    pthread_mutex_t lock; /* all below, and all of the lists */
    pthread_cond_t work;
    ahead_list *first, *last; /* whose turn it is stands first */
    uint32_t nidle;
    uint32_t nmaking;    /* items being made, by workers and owners */
    ahead_list *waiters; /* whose owners wait to make one, the longest waiting first */
    uint64_t nbytes;     /* of all lists */
    bool closing;
    ahead_stats stats;
    uint32_t nworkers;
    pthread_t workers[];
};

/* ---- The queue; the lock is held ---- */

static void enqueue(ahead_list *list)
{
    ahead_pool *pool = list->pool;
    list->before = pool->last;
    list->after = NULL;
    *(pool->last != NULL ? &pool->last->after : &pool->first) = list;
    pool->last = list;
}

static void dequeue(ahead_list *list)
{
    ahead_pool *pool = list->pool;
    *(list->before != NULL ? &list->before->after : &pool->first) = list->after;
    *(list->after != NULL ? &list->after->before : &pool->last) = list->before;
}

static slot *find_slot(ahead_list *list, size_t item)
{
    for (size_t i = 0; i < NSLOTS; i++) {
        if (list->slots[i].state != SLOT_FREE && list->slots[i].item == item)
            return &list->slots[i];
    }
    return NULL;
}

static slot *free_slot(ahead_list *list)
{
    size_t i = 0;
    while (i < NSLOTS && list->slots[i].state != SLOT_FREE)
        i++;
    return i < NSLOTS ? &list->slots[i] : NULL;
}

/* May the list hold one more? Its first is refused only where others fill the budget. */
static bool has_room(const ahead_list *list)
{
    const ahead_pool *pool = list->pool;
    const uint64_t budget = pool->options.budget_bytes;
    const uint64_t share = budget / pool->stats.lists;
    if (list->expected == 0 && list->nrunning > 0)
        return false;
    if (list->nbytes + list->expected <= share)
        return true;
    return list->nbytes == 0 && (pool->nbytes == 0 || pool->nbytes + list->expected <= budget);
}

/* The item to make next; AHEAD_NONE: nothing to do. */
static size_t choose_item(ahead_list *list)
{
    if (list->stalled || !has_room(list))
        return AHEAD_NONE;
    for (size_t item = list->wish.first; item < list->wish.end; item++) {
        if (find_slot(list, item) == NULL)
            return item;
    }
    const size_t beyond = list->wish.beyond;
    return beyond != AHEAD_NONE && find_slot(list, beyond) == NULL ? beyond : AHEAD_NONE;
}

/* ---- Who makes; the lock is held ---- */

static bool may_make(const ahead_pool *pool)
{
    return pool->nmaking < pool->options.nmakers && pool->waiters == NULL;
}

/* Takes the one out whose turn it is to make. */
static ahead_list *next_maker(ahead_pool *pool)
{
    ahead_list **link = &pool->waiters;
    for (ahead_list **at = link; *at != NULL; at = &(*at)->next_waiter) {
        if (!(*at)->had_own) {
            link = at;
            break;
        }
    }
    ahead_list *list = *link;
    if (list != NULL)
        *link = list->next_waiter;
    return list;
}

static void end_making(ahead_pool *pool)
{
    ahead_list *next = next_maker(pool);
    if (next != NULL) {
        next->granted = true;
        pthread_cond_broadcast(&next->changed);
        return;
    }
    pool->nmaking--;
    if (pool->nidle > 0)
        pthread_cond_signal(&pool->work);
}

/* The next item of the list whose turn it is, in a slot; that list goes to the end. */
static slot *begin_item(ahead_pool *pool, ahead_list **out)
{
    if (!may_make(pool))
        return NULL;
    for (ahead_list *list = pool->first; list != NULL; list = list->after) {
        const size_t item = choose_item(list);
        slot *place = item != AHEAD_NONE ? free_slot(list) : NULL;
        if (place == NULL)
            continue;
        *place = (slot){SLOT_RUNNING, item, NULL, list->expected};
        list->nrunning++;
        list->nbytes += place->nbytes;
        pool->nbytes += place->nbytes;
        pool->stats.running++;
        pool->nmaking++;
        dequeue(list);
        enqueue(list);
        *out = list;
        return place;
    }
    return NULL;
}

static void set_nbytes(ahead_list *list, slot *place, size_t nbytes)
{
    list->nbytes += nbytes - place->nbytes;
    list->pool->nbytes += nbytes - place->nbytes;
    place->nbytes = nbytes;
}

/* Makes the slot of a made item free; the item is the caller's. */
static void *empty_slot(ahead_list *list, slot *place)
{
    void *made = place->made;
    set_nbytes(list, place, 0);
    *place = (slot){.state = SLOT_FREE};
    return made;
}

/* ---- Workers ---- */

/* Called and returns with the lock held. */
static void make_item(ahead_pool *pool, ahead_list *list, slot *place)
{
    void *made = NULL;
    size_t nbytes = 0;
    const size_t item = place->item;
    pthread_mutex_unlock(&pool->lock);
    const bool is_made = list->work->make(list->context, item, &made, &nbytes);
    pthread_mutex_lock(&pool->lock);
    set_nbytes(list, place, is_made ? nbytes : 0);
    place->state = is_made ? SLOT_WAITING : SLOT_DEFERRED;
    place->made = made;
    if (is_made) {
        list->expected = nbytes;
        pool->stats.made++;
    } else {
        pool->stats.deferred++;
    }
    list->nrunning--;
    pool->stats.running--;
    end_making(pool);
    pthread_cond_broadcast(&list->changed);
}

/* Waits for work; from time to time, where something waits for its turn, looks for owners who do
   not come. Called and returns with the lock held. */
static void wait_for_work(ahead_pool *pool)
{
    pool->nidle++;
    if (pool->options.stall_ms == 0 || pool->nbytes == 0) {
        pthread_cond_wait(&pool->work, &pool->lock);
    } else {
        const int64_t until = steady_clock_ms() + pool->options.stall_ms / 2 + 1;
        steady_cond_wait(&pool->work, &pool->lock, until);
    }
    pool->nidle--;
    if (pool->options.stall_ms != 0 && pool->nbytes > 0) {
        pthread_mutex_unlock(&pool->lock);
        ahead_drop_stalled(pool, steady_clock_ms() - pool->options.stall_ms);
        pthread_mutex_lock(&pool->lock);
    }
}

static void *worker_main(void *context)
{
    ahead_pool *pool = context;
    pthread_mutex_lock(&pool->lock);
    while (!pool->closing) {
        ahead_list *list;
        slot *place = begin_item(pool, &list);
        if (place == NULL) {
            wait_for_work(pool);
            continue;
        }
        /* One wakes the next: there may be work for all, or for nobody else. */
        if (pool->nidle > 0 && may_make(pool))
            pthread_cond_signal(&pool->work);
        make_item(pool, list, place);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void start_workers(ahead_pool *pool, uint32_t nworkers)
{
    /* Signals are for the thread that waits for them. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->nworkers < nworkers &&
           pthread_create(&pool->workers[pool->nworkers], NULL, worker_main, pool) == 0)
        pool->nworkers++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- The pool ---- */

ahead_pool *ahead_pool_create(const ahead_options *options)
{
    const long nprocessors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t nworkers = options->nworkers != 0 ? options->nworkers
                        : nprocessors > 0      ? (uint32_t)nprocessors
                                               : 1;
    if (nworkers > WORKERS_MAX)
        nworkers = WORKERS_MAX;
    ahead_pool *pool = calloc(1, sizeof *pool + nworkers * sizeof pool->workers[0]);
    if (pool == NULL)
        return NULL;
    pool->options = *options;
    if (pool->options.nmakers == 0)
        pool->options.nmakers = nworkers + 1;
    if (pool->options.window > AHEAD_WINDOW_MAX)
        pool->options.window = AHEAD_WINDOW_MAX;
    pthread_mutex_init(&pool->lock, NULL);
    steady_cond_init(&pool->work);
    start_workers(pool, nworkers);
    if (pool->nworkers == 0) {
        ahead_pool_close(pool);
        return NULL;
    }
    return pool;
}

void ahead_pool_close(ahead_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->nworkers; i++)
        pthread_join(pool->workers[i], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void ahead_get_stats(ahead_pool *pool, ahead_stats *stats)
{
    pthread_mutex_lock(&pool->lock);
    *stats = pool->stats;
    for (ahead_list *list = pool->waiters; list != NULL; list = list->next_waiter)
        stats->owners_waiting++;
    for (ahead_list *list = pool->first; list != NULL; list = list->after) {
        for (size_t i = 0; i < NSLOTS; i++) {
            if (list->slots[i].state == SLOT_WAITING) {
                stats->waiting++;
                stats->waiting_bytes += list->slots[i].nbytes;
            }
        }
    }
    pthread_mutex_unlock(&pool->lock);
}

/* ---- Lists ---- */

ahead_list *ahead_list_open(ahead_pool *pool, const ahead_work *work, void *context)
{
    ahead_list *list = calloc(1, sizeof *list);
    if (list == NULL)
        return NULL;
    list->pool = pool;
    list->work = work;
    list->context = context;
    list->turn = AHEAD_NONE;
    list->stalled = true; /* till the first take */
    pthread_cond_init(&list->changed, NULL);
    pthread_mutex_lock(&pool->lock);
    enqueue(list);
    pool->stats.lists++;
    pthread_mutex_unlock(&pool->lock);
    return list;
}

/* Takes what waits out of the slots; returns how many. The lock is held. */
static size_t collect_waiting(ahead_list *list, void *out[NSLOTS])
{
    size_t n = 0;
    for (size_t i = 0; i < NSLOTS; i++) {
        if (list->slots[i].state == SLOT_WAITING)
            out[n++] = empty_slot(list, &list->slots[i]);
    }
    list->pool->stats.dropped += n;
    return n;
}

void ahead_list_close(ahead_list *list)
{
    if (list == NULL)
        return;
    ahead_pool *pool = list->pool;
    void *waiting[NSLOTS];
    pthread_mutex_lock(&pool->lock);
    dequeue(list);
    pool->stats.lists--;
    list->stalled = true;
    while (list->nrunning > 0)
        pthread_cond_wait(&list->changed, &pool->lock);
    const size_t n = collect_waiting(list, waiting);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < n; i++)
        list->work->drop(waiting[i]);
    pthread_cond_destroy(&list->changed);
    free(list);
}

void *ahead_take(ahead_list *list, size_t i, ahead_wish wish, int64_t now_ms)
{
    ahead_pool *pool = list->pool;
    void *made = NULL;
    pthread_mutex_lock(&pool->lock);
    /* Where sending takes longer than that, making an item in its turn delays little, and what was
       made before it would be dropped each time. */
    const bool is_slow = pool->options.stall_ms != 0 && list->turn != AHEAD_NONE &&
                         now_ms - list->taken_ms > pool->options.stall_ms;
    list->turn = i;
    list->wish = is_slow ? (ahead_wish){0, 0, AHEAD_NONE, 0} : wish;
    if (wish.nbytes > 0)
        list->expected = wish.nbytes;
    if (list->wish.end > i + pool->options.window + 1)
        list->wish.end = i + pool->options.window + 1;
    assert(list->wish.first > i || list->wish.first >= list->wish.end);
    list->taken_ms = now_ms;
    list->stalled = false;
    for (size_t k = 0; k < NSLOTS; k++) {
        if (list->slots[k].state == SLOT_DEFERRED)
            list->slots[k].state = SLOT_FREE;
    }
    slot *place = find_slot(list, i);
    if (pool->nidle > 0 && may_make(pool) && choose_item(list) != AHEAD_NONE)
        pthread_cond_signal(&pool->work);
    while (place != NULL && place->state == SLOT_RUNNING)
        pthread_cond_wait(&list->changed, &pool->lock);
    if (place != NULL && place->state == SLOT_WAITING) {
        made = empty_slot(list, place);
        pool->stats.used++;
        /* Its bytes may have been the room that the next one was waiting for. */
        if (pool->nidle > 0 && choose_item(list) != AHEAD_NONE)
            pthread_cond_signal(&pool->work);
    } else if (place != NULL) {
        *place = (slot){.state = SLOT_FREE};
    }
    pthread_mutex_unlock(&pool->lock);
    return made;
}

void ahead_begin_own(ahead_list *list)
{
    ahead_pool *pool = list->pool;
    pthread_mutex_lock(&pool->lock);
    if (may_make(pool)) {
        pool->nmaking++;
    } else {
        ahead_list **link = &pool->waiters;
        while (*link != NULL)
            link = &(*link)->next_waiter;
        list->next_waiter = NULL;
        *link = list;
        while (!list->granted)
            pthread_cond_wait(&list->changed, &pool->lock);
        list->granted = false;
    }
    list->had_own = true;
    pthread_mutex_unlock(&pool->lock);
}

void ahead_end_own(ahead_list *list)
{
    pthread_mutex_lock(&list->pool->lock);
    end_making(list->pool);
    pthread_mutex_unlock(&list->pool->lock);
}

void ahead_drop_stalled(ahead_pool *pool, int64_t since_ms)
{
    pthread_mutex_lock(&pool->lock);
    ahead_list *list = pool->first;
    while (list != NULL) {
        void *waiting[NSLOTS];
        if (list->taken_ms >= since_ms || list->stalled) {
            list = list->after;
            continue;
        }
        list->stalled = true;
        const size_t n = collect_waiting(list, waiting);
        void (*drop)(void *made) = list->work->drop;
        pthread_mutex_unlock(&pool->lock);
        for (size_t i = 0; i < n; i++)
            drop(waiting[i]);
        pthread_mutex_lock(&pool->lock);
        list = pool->first; /* the queue may have changed */
    }
    pthread_mutex_unlock(&pool->lock);
}
