/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_pool.h - threads that do what nobody waits for. The queue is bounded and holds no memory
 * of its own beyond what creation took: submitting never blocks and never allocates.
 *
 * Threads: any. dcb__worker_pool_close is the last call. Tasks must not call drain, wait or close.
 */
#ifndef WORKER_POOL_H
#define WORKER_POOL_H

#include "dcb.h"

typedef struct dcb__worker_pool dcb__worker_pool;

typedef struct dcb__task {
    void (*run)(const struct dcb__task *task);
    void *owner;  /* what the task works for: never NULL */
    uint64_t tag; /* which of the owner's strands of work */
    uint64_t argument;
} dcb__task;

/* Cancels all tags. */
#define DCB_TASK_ANY_TAG UINT64_MAX

/* No thread is started yet. */
dcb_status dcb__worker_pool_create(dcb__worker_pool **out, uint32_t nworkers, uint32_t capacity,
                                   dcb_error *error);
/* Starts the threads, if they do not run. */
dcb_status dcb__worker_pool_start(dcb__worker_pool *pool, dcb_error *error);
/* Drops what is queued, waits for what runs, ends the threads. */
void dcb__worker_pool_close(dcb__worker_pool *pool);

/* Queues a task behind the others. False where the queue is full. */
bool dcb__worker_pool_submit(dcb__worker_pool *pool, const dcb__task *task);
/* Drops the queued tasks of an owner; what runs goes on. Returns how many were dropped. */
uint32_t dcb__worker_pool_cancel(dcb__worker_pool *pool, const void *owner, uint64_t tag);
/* Returns when none of the owner's tasks is queued or runs. */
void dcb__worker_pool_wait(dcb__worker_pool *pool, const void *owner);
/* Cancel and wait: afterwards the owner may be freed. */
void dcb__worker_pool_drain(dcb__worker_pool *pool, const void *owner);
/* The number of queued tasks of an owner. */
uint32_t dcb__worker_pool_queued(dcb__worker_pool *pool, const void *owner);

#endif
