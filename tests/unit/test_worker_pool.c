/* SPDX-License-Identifier: Apache-2.0 */
/* test_worker_pool.c - the threads for reading ahead: bounds, cancelling, draining, ending. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_frames.h"
#include "worker_pool.h"

#include <signal.h>

/* Tasks that write down what ran, after passing a gate. */
typedef struct record {
    gate door;
    atomic_uint nrun;
    atomic_ullong sum; /* of the arguments */
} record;

static void run_recorded(const dcb__task *task)
{
    record *of = task->owner;
    gate_pass(&of->door);
    atomic_fetch_add(&of->sum, task->argument);
    atomic_fetch_add(&of->nrun, 1);
}

static dcb__task task_of(record *owner, uint64_t tag, uint64_t argument)
{
    return (dcb__task){run_recorded, owner, tag, argument};
}

static dcb__worker_pool *make_pool(uint32_t nworkers, uint32_t capacity)
{
    dcb__worker_pool *pool;
    assert_int_equal(dcb__worker_pool_create(&pool, nworkers, capacity, NULL), DCB_OK);
    assert_int_equal(dcb__worker_pool_start(pool, NULL), DCB_OK);
    return pool;
}

static bool submit(dcb__worker_pool *pool, record *owner, uint64_t tag, uint64_t argument)
{
    dcb__task task = task_of(owner, tag, argument);
    return dcb__worker_pool_submit(pool, &task);
}

static void test_everything_runs_once(void **state)
{
    (void)state;
    dcb__worker_pool *pool = make_pool(3, 8);
    record of = {.door = GATE_INIT};
    gate_open(&of.door);
    uint64_t submitted = 0, sum = 0;
    for (uint64_t i = 1; i <= 1000; i++) {
        if (submit(pool, &of, 0, i)) {
            submitted++;
            sum += i;
        } else {
            dcb__worker_pool_wait(pool, &of);
        }
    }
    dcb__worker_pool_wait(pool, &of);
    assert_true(submitted >= 500);
    assert_int_equal(of.nrun, submitted);
    assert_int_equal(of.sum, sum);
    dcb__worker_pool_close(pool);
}

static void test_the_queue_is_bounded(void **state)
{
    (void)state;
    dcb__worker_pool *pool = make_pool(1, 4);
    record of = {.door = GATE_INIT};
    assert_true(submit(pool, &of, 0, 1));
    gate_await(&of.door, 1); /* the worker has it and stays in it */
    for (uint64_t i = 0; i < 4; i++)
        assert_true(submit(pool, &of, 0, 10));
    assert_false(submit(pool, &of, 0, 100));
    assert_int_equal(dcb__worker_pool_queued(pool, &of), 4);
    gate_open(&of.door);
    dcb__worker_pool_wait(pool, &of);
    assert_int_equal(of.sum, 41);
    assert_int_equal(dcb__worker_pool_queued(pool, &of), 0);
    dcb__worker_pool_close(pool);
}

static void test_cancel_by_owner_and_tag(void **state)
{
    (void)state;
    dcb__worker_pool *pool = make_pool(1, 16);
    record a = {.door = GATE_INIT}, b = {.door = GATE_INIT};
    gate_open(&b.door);
    assert_true(submit(pool, &a, 1, 1));
    gate_await(&a.door, 1);
    for (uint64_t i = 0; i < 4; i++) {
        assert_true(submit(pool, &a, 1, 10));
        assert_true(submit(pool, &a, 2, 100));
        assert_true(submit(pool, &b, 1, 1000));
    }
    assert_int_equal(dcb__worker_pool_cancel(pool, &a, 1), 4);
    assert_int_equal(dcb__worker_pool_cancel(pool, &a, 1), 0);
    assert_int_equal(dcb__worker_pool_queued(pool, &a), 4);
    gate_open(&a.door);
    dcb__worker_pool_wait(pool, &a);
    dcb__worker_pool_wait(pool, &b);
    assert_int_equal(a.sum, 401); /* what ran was not stopped, tag 2 was not touched */
    assert_int_equal(b.sum, 4000);
    dcb__worker_pool_close(pool);
}

typedef struct drainer {
    dcb__worker_pool *pool;
    record *owner;
    atomic_bool drained;
} drainer;

static void *drain(void *argument)
{
    drainer *self = argument;
    dcb__worker_pool_drain(self->pool, self->owner);
    atomic_store(&self->drained, true);
    return NULL;
}

static void test_drain_waits_for_what_runs(void **state)
{
    (void)state;
    dcb__worker_pool *pool = make_pool(2, 16);
    record of = {.door = GATE_INIT};
    for (uint64_t i = 0; i < 8; i++)
        assert_true(submit(pool, &of, i, 1));
    gate_await(&of.door, 2);
    drainer self = {.pool = pool, .owner = &of};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, drain, &self), 0);
    while (dcb__worker_pool_queued(pool, &of) > 0)
        ;
    assert_false(atomic_load(&self.drained)); /* two of them are at the gate */
    gate_open(&of.door);
    pthread_join(thread, NULL);
    assert_int_equal(of.nrun, 2);
    dcb__worker_pool_drain(pool, &of); /* again: nothing to do */
    dcb__worker_pool_close(pool);
}

static void *open_door(void *argument)
{
    record *of = argument;
    gate_open(&of->door);
    return NULL;
}

static void test_close_drops_the_queue(void **state)
{
    (void)state;
    dcb__worker_pool *pool = make_pool(1, 16);
    record of = {.door = GATE_INIT};
    assert_true(submit(pool, &of, 0, 1));
    gate_await(&of.door, 1);
    for (uint64_t i = 0; i < 8; i++)
        assert_true(submit(pool, &of, 0, 10));
    assert_int_equal(dcb__worker_pool_cancel(pool, &of, DCB_TASK_ANY_TAG), 8);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, open_door, &of), 0);
    dcb__worker_pool_close(pool);
    pthread_join(thread, NULL);
    assert_int_equal(of.sum, 1);

    /* Never started, never used. */
    assert_int_equal(dcb__worker_pool_create(&pool, 4, 4, NULL), DCB_OK);
    dcb__worker_pool_close(pool);
    dcb__worker_pool_close(NULL);
}

static atomic_bool worker_blocks_signals;

static void look_at_signals(const dcb__task *task)
{
    (void)task;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    atomic_store(&worker_blocks_signals,
                 sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGINT) == 1);
}

static void test_workers_leave_signals_alone(void **state)
{
    (void)state;
    dcb__worker_pool *pool = make_pool(1, 4);
    int owner;
    dcb__task task = {look_at_signals, &owner, 0, 0};
    assert_true(dcb__worker_pool_submit(pool, &task));
    dcb__worker_pool_wait(pool, &owner);
    assert_true(atomic_load(&worker_blocks_signals));
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_int_equal(sigismember(&blocked, SIGTERM), 0);
    dcb__worker_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_runs_once),
        cmocka_unit_test(test_the_queue_is_bounded),
        cmocka_unit_test(test_cancel_by_owner_and_tag),
        cmocka_unit_test(test_drain_waits_for_what_runs),
        cmocka_unit_test(test_close_drops_the_queue),
        cmocka_unit_test(test_workers_leave_signals_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
