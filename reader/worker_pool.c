/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_pool.c - a ring of tasks and the threads that empty it.
 *
 * The one invariant: a task is queued, or runs on exactly one worker and is told by running[],
 * until it is done; so drain can tell when an owner is no longer used.
 *
 * Threads: any; tasks run without the lock.
 */
#include "worker_pool.h"
#include "dcb_error.h"
#include "lock.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct worker {
    dcb__worker_pool *pool;
    pthread_t thread;
    const void *running; /* the owner of the task that runs; NULL: none */
} worker;

struct dcb__worker_pool {
    /* Guards everything below but nworkers and capacity, which never change. */
    dcb__mutex lock;
    pthread_cond_t work; /* there is a task, or the end */
    pthread_cond_t done; /* a task is done, or tasks were cancelled, and somebody waits for that */
    uint32_t nwaiting;   /* threads in dcb__worker_pool_wait */
    uint32_t nidle;      /* workers that wait for work */
    bool closing;
    uint32_t first, ntasks; /* in the ring */
    uint32_t nstarted;
    uint32_t nworkers, capacity;
    worker *workers;
    dcb__task *ring;
};

static dcb__task *task_at(const dcb__worker_pool *pool, uint32_t i)
{
    return &pool->ring[((uint64_t)pool->first + i) % pool->capacity];
}

dcb_status dcb__worker_pool_create(dcb__worker_pool **out, uint32_t nworkers, uint32_t capacity,
                                   dcb_error *error)
{
    *out = NULL;
    dcb__worker_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return dcb__fail_no_memory(error, sizeof *pool);
    pool->nworkers = nworkers;
    pool->capacity = capacity;
    pool->workers = calloc(nworkers, sizeof *pool->workers);
    pool->ring = calloc(capacity, sizeof *pool->ring);
    if (pool->workers == NULL || pool->ring == NULL) {
        free(pool->workers);
        free(pool->ring);
        free(pool);
        return dcb__fail_no_memory(error, capacity * sizeof *pool->ring);
    }
    dcb__mutex_init(&pool->lock, DCB_LOCK_WORKER_POOL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    *out = pool;
    return DCB_OK;
}

static void *worker_main(void *argument)
{
    worker *self = argument;
    dcb__worker_pool *pool = self->pool;
    dcb__mutex_lock(&pool->lock);
    for (;;) {
        while (pool->ntasks == 0 && !pool->closing) {
            pool->nidle++;
            dcb__mutex_wait(&pool->work, &pool->lock);
            pool->nidle--;
        }
        if (pool->closing)
            break;
        dcb__task task = *task_at(pool, 0);
        pool->first = (pool->first + 1) % pool->capacity;
        pool->ntasks--;
        self->running = task.owner;
        dcb__mutex_unlock(&pool->lock);
        task.run(&task);
        dcb__mutex_lock(&pool->lock);
        self->running = NULL;
        if (pool->nwaiting > 0)
            pthread_cond_broadcast(&pool->done);
    }
    dcb__mutex_unlock(&pool->lock);
    return NULL;
}

dcb_status dcb__worker_pool_start(dcb__worker_pool *pool, dcb_error *error)
{
    dcb_status status = DCB_OK;
    /* Signals are for the threads of the program, not of this library. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    dcb__mutex_lock(&pool->lock);
    while (pool->nstarted < pool->nworkers && status == DCB_OK) {
        worker *next = &pool->workers[pool->nstarted];
        next->pool = pool;
        int failure = pthread_create(&next->thread, NULL, worker_main, next);
        if (failure == 0)
            pool->nstarted++;
        else if (pool->nstarted > 0)
            break; /* fewer threads do the same work */
        else
            status =
                dcb__fail(error, DCB_ERR_NO_MEMORY, DCB_NO_OFFSET,
                          "cannot start a thread for reading ahead: %s", strerrordesc_np(failure));
    }
    dcb__mutex_unlock(&pool->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

void dcb__worker_pool_close(dcb__worker_pool *pool)
{
    if (pool == NULL)
        return;
    dcb__mutex_lock(&pool->lock);
    pool->closing = true;
    pool->ntasks = 0;
    pthread_cond_broadcast(&pool->work);
    dcb__mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->nstarted; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->done);
    dcb__mutex_destroy(&pool->lock);
    free(pool->workers);
    free(pool->ring);
    free(pool);
}

bool dcb__worker_pool_submit(dcb__worker_pool *pool, const dcb__task *task)
{
    dcb__mutex_lock(&pool->lock);
    bool room = pool->ntasks < pool->capacity && !pool->closing;
    if (room) {
        *task_at(pool, pool->ntasks) = *task;
        pool->ntasks++;
    }
    bool wake = room && pool->nidle > 0;
    dcb__mutex_unlock(&pool->lock);
    /* After the unlock, so that who wakes does not wait for it at once. */
    if (wake)
        pthread_cond_signal(&pool->work);
    return room;
}

static bool is_of(const dcb__task *task, const void *owner, uint64_t tag)
{
    return task->owner == owner && (tag == DCB_TASK_ANY_TAG || task->tag == tag);
}

uint32_t dcb__worker_pool_cancel(dcb__worker_pool *pool, const void *owner, uint64_t tag)
{
    dcb__mutex_lock(&pool->lock);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < pool->ntasks; i++) {
        if (!is_of(task_at(pool, i), owner, tag))
            *task_at(pool, kept++) = *task_at(pool, i);
    }
    uint32_t dropped = pool->ntasks - kept;
    pool->ntasks = kept;
    if (dropped > 0 && pool->nwaiting > 0)
        pthread_cond_broadcast(&pool->done);
    dcb__mutex_unlock(&pool->lock);
    return dropped;
}

static bool is_busy(const dcb__worker_pool *pool, const void *owner)
{
    for (uint32_t i = 0; i < pool->nstarted; i++) {
        if (pool->workers[i].running == owner)
            return true;
    }
    for (uint32_t i = 0; i < pool->ntasks; i++) {
        if (task_at(pool, i)->owner == owner)
            return true;
    }
    return false;
}

void dcb__worker_pool_wait(dcb__worker_pool *pool, const void *owner)
{
    dcb__mutex_lock(&pool->lock);
    pool->nwaiting++;
    while (is_busy(pool, owner))
        dcb__mutex_wait(&pool->done, &pool->lock);
    pool->nwaiting--;
    dcb__mutex_unlock(&pool->lock);
}

void dcb__worker_pool_drain(dcb__worker_pool *pool, const void *owner)
{
    dcb__worker_pool_cancel(pool, owner, DCB_TASK_ANY_TAG);
    dcb__worker_pool_wait(pool, owner);
}

uint32_t dcb__worker_pool_queued(dcb__worker_pool *pool, const void *owner)
{
    dcb__mutex_lock(&pool->lock);
    uint32_t n = 0;
    for (uint32_t i = 0; i < pool->ntasks; i++)
        n += task_at(pool, i)->owner == owner;
    dcb__mutex_unlock(&pool->lock);
    return n;
}
