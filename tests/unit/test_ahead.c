/* SPDX-License-Identifier: Apache-2.0 */
/* Items made before their turn: how far, for whom first, and what becomes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ahead.h"
#include "fail_alloc.h"
#include "fake_frames.h"

#include <sched.h>
#include <stdlib.h>

#define NITEMS 100

/* Items that weigh 100 bytes each. The made pointer tells the item; what becomes of it is counted.
 */
typedef struct source {
    gate *door; /* passed before an item is made; NULL: none */
    uint32_t number;
    bool busy; /* another thread is at all of its items */
    atomic_uint made[NITEMS], dropped[NITEMS];
    char marks[NITEMS];
} source;

/* The order in which sources were asked, one digit each. */
static pthread_mutex_t order_lock = PTHREAD_MUTEX_INITIALIZER;
static char order[256];
static size_t norder;
static source *current; /* for drop, which has no context */

static bool make(void *context, size_t i, void **made, size_t *nbytes)
{
    source *from = context;
    pthread_mutex_lock(&order_lock);
    order[norder++] = (char)('0' + from->number);
    pthread_mutex_unlock(&order_lock);
    if (from->door != NULL)
        gate_pass(from->door);
    if (from->busy)
        return false;
    atomic_fetch_add(&from->made[i], 1);
    *made = &from->marks[i];
    *nbytes = 100;
    return true;
}

static void drop(void *made)
{
    atomic_fetch_add(&current->dropped[(char *)made - current->marks], 1);
}

static const ahead_work work = {make, drop};

static ahead_pool *make_pool(uint32_t nworkers, uint32_t window, uint64_t budget)
{
    const ahead_options options = {nworkers, nworkers, window, budget, 0};
    ahead_pool *pool = ahead_pool_create(&options);
    assert_non_null(pool);
    norder = 0;
    return pool;
}

static ahead_list *open_list(ahead_pool *pool, source *from)
{
    ahead_list *list = ahead_list_open(pool, &work, from);
    assert_non_null(list);
    current = from;
    return list;
}

static ahead_stats stats_of(ahead_pool *pool)
{
    ahead_stats stats;
    ahead_get_stats(pool, &stats);
    return stats;
}

/* Returns once that many items were made or put off. A count that is never reached is ended by the
   test's time limit. */
static void await(ahead_pool *pool, uint64_t count)
{
    ahead_stats stats;
    do {
        sched_yield();
        stats = stats_of(pool);
    } while (stats.made + stats.deferred < count || stats.running > 0);
}

/* Takes item i and wishes for those that follow. */
static void *take(ahead_list *list, size_t i, size_t count, int64_t now_ms)
{
    return ahead_take(list, i, (ahead_wish){i + 1, i + 1 + count, AHEAD_NONE, 100}, now_ms);
}

static size_t item_of(const source *from, const void *made)
{
    return made == NULL ? AHEAD_NONE : (size_t)((const char *)made - from->marks);
}

static void test_window(void **state)
{
    (void)state;
    ahead_pool *pool = make_pool(2, 3, 1 << 20);
    source from = {.number = 0};
    ahead_list *list = open_list(pool, &from);
    assert_null(take(list, 0, 50, 0));
    await(pool, 3);
    assert_int_equal(stats_of(pool).waiting, 3);
    assert_int_equal(stats_of(pool).waiting_bytes, 300);
    for (size_t i = 1; i < 20; i++) {
        assert_int_equal(item_of(&from, take(list, i, 50, 0)), i);
        await(pool, 3 + i);
        assert_int_equal(from.made[i + 3], 1);
        assert_int_equal(from.made[i + 4], 0);
    }
    /* A shorter wish than the window. */
    assert_int_equal(item_of(&from, take(list, 20, 2, 0)), 20);
    assert_int_equal(stats_of(pool).made, 22);
    assert_int_equal(stats_of(pool).used, 20);
    ahead_list_close(list);
    assert_int_equal(stats_of(pool).dropped, 2);
    assert_int_equal(from.dropped[21] + from.dropped[22], 2);
    assert_int_equal(stats_of(pool).waiting_bytes, 0);
    ahead_pool_close(pool);
}

static void test_bytes(void **state)
{
    (void)state;
    ahead_pool *pool = make_pool(1, 16, 250);
    source from = {.number = 0};
    ahead_list *list = open_list(pool, &from);
    take(list, 0, 50, 0);
    await(pool, 2);
    assert_int_equal(stats_of(pool).waiting, 2);
    /* A second list: its share is half, one item, and the first keeps to that from now on. */
    source other = {.number = 1};
    ahead_list *second = ahead_list_open(pool, &work, &other);
    take(second, 0, 50, 0);
    take(list, 1, 50, 0);
    await(pool, 3);
    assert_int_equal(other.made[1], 1);
    assert_int_equal(from.made[3], 0);
    take(second, 1, 0, 0);
    ahead_list_close(second);
    /* Items larger than the budget: one at a time. */
    ahead_list_close(list);
    ahead_pool_close(pool);
    pool = make_pool(2, 16, 50);
    list = open_list(pool, &from);
    take(list, 0, 50, 0);
    await(pool, 1);
    assert_int_equal(stats_of(pool).made, 1);
    ahead_list_close(list);
    ahead_pool_close(pool);
}

static void test_lists_in_turn(void **state)
{
    (void)state;
    ahead_pool *pool = make_pool(1, 4, 1 << 20);
    gate door = GATE_INIT;
    source first = {.number = 1, .door = &door}, second = {.number = 2}, third = {.number = 3};
    ahead_list *lists[] = {open_list(pool, &first), ahead_list_open(pool, &work, &second),
                           ahead_list_open(pool, &work, &third)};
    take(lists[0], 0, 50, 0);
    gate_await(&door, 1); /* the only worker is busy while the others queue up */
    take(lists[1], 0, 50, 0);
    take(lists[2], 0, 50, 0);
    gate_open(&door);
    await(pool, 12);
    order[norder] = '\0';
    assert_string_equal(order, "123123123123");
    for (size_t i = 0; i < 3; i++) {
        current = i == 0 ? &first : i == 1 ? &second : &third;
        ahead_list_close(lists[i]);
    }
    ahead_pool_close(pool);
}

/* Who comes for an item that is being made waits for it; another one he makes himself. */
static void *open_door_once_waited_for(void *context)
{
    gate *door = context;
    gate_await(door, 2);
    gate_open(door);
    return NULL;
}

static void test_turn_comes_early(void **state)
{
    (void)state;
    ahead_pool *pool = make_pool(2, 2, 1 << 20);
    gate door = GATE_INIT;
    source from = {.number = 0, .door = &door};
    ahead_list *list = open_list(pool, &from);
    assert_null(take(list, 0, 2, 0));
    pthread_t opener;
    gate_await(&door, 2);
    assert_int_equal(pthread_create(&opener, NULL, open_door_once_waited_for, &door), 0);
    assert_int_equal(item_of(&from, take(list, 1, 1, 0)), 1);
    assert_int_equal(item_of(&from, take(list, 2, 0, 0)), 2);
    assert_null(take(list, 3, 0, 0));
    pthread_join(opener, NULL);
    ahead_list_close(list);
    ahead_pool_close(pool);
}

/* Owners who make items themselves: as many at a time as there are workers, the new one first, and
   before what workers would begin. */
typedef struct owner {
    ahead_list *list;
    char name;
    pthread_t thread;
} owner;

static void *make_own(void *context)
{
    const owner *self = context;
    ahead_begin_own(self->list);
    pthread_mutex_lock(&order_lock);
    order[norder++] = self->name;
    pthread_mutex_unlock(&order_lock);
    ahead_end_own(self->list);
    return NULL;
}

static void start_owner(owner *who, ahead_pool *pool, uint64_t nwaiting)
{
    assert_int_equal(pthread_create(&who->thread, NULL, make_own, who), 0);
    while (stats_of(pool).owners_waiting < nwaiting)
        sched_yield();
}

static void test_own_items_in_turn(void **state)
{
    (void)state;
    ahead_pool *pool = make_pool(1, 4, 1 << 20);
    source from = {.number = 7};
    owner owners[] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}};
    for (int i = 0; i < 4; i++)
        owners[i].list = open_list(pool, &from);
    make_own(&owners[0]);
    make_own(&owners[1]);
    ahead_begin_own(owners[3].list); /* the only processor is taken */
    take(owners[0].list, 0, 2, 0);   /* so no worker begins */
    start_owner(&owners[0], pool, 1);
    start_owner(&owners[1], pool, 2);
    start_owner(&owners[2], pool, 3); /* new: before the two */
    assert_int_equal(stats_of(pool).running, 0);
    ahead_end_own(owners[3].list);
    for (int i = 0; i < 3; i++)
        pthread_join(owners[i].thread, NULL);
    await(pool, 2);
    order[norder] = '\0';
    assert_string_equal(order, "abcab77");
    for (int i = 0; i < 4; i++)
        ahead_list_close(owners[i].list);
    ahead_pool_close(pool);
}

static void test_put_off(void **state)
{
    (void)state;
    ahead_pool *pool = make_pool(1, 2, 1 << 20);
    source from = {.number = 0, .busy = true};
    ahead_list *list = open_list(pool, &from);
    assert_null(take(list, 0, 50, 0));
    await(pool, 2); /* each once, and not again before the next take */
    assert_int_equal(stats_of(pool).deferred, 2);
    from.busy = false;
    assert_null(take(list, 1, 50, 0));
    await(pool, 4);
    assert_int_equal(item_of(&from, take(list, 2, 0, 0)), 2);
    ahead_list_close(list);
    assert_int_equal(stats_of(pool).deferred, 2);
    ahead_pool_close(pool);
}

/* Items that need not be made are left out. */
static void test_some_are_there(void **state)
{
    (void)state;
    ahead_pool *pool = make_pool(2, 4, 1 << 20);
    source from = {.number = 0};
    ahead_list *list = open_list(pool, &from);
    assert_null(ahead_take(list, 0, (ahead_wish){3, 90, AHEAD_NONE, 0}, 0));
    await(pool, 2);
    assert_int_equal(from.made[1] + from.made[2], 0);
    assert_int_equal(from.made[3] + from.made[4], 2);
    assert_null(ahead_take(list, 1, (ahead_wish){8, 90, AHEAD_NONE, 0}, 0)); /* out of the window */
    ahead_list_close(list);
    assert_int_equal(stats_of(pool).made, 2);
    ahead_pool_close(pool);
}

static void test_beyond(void **state)
{
    (void)state;
    ahead_pool *pool = make_pool(2, 16, 1 << 20);
    source from = {.number = 0};
    ahead_list *list = open_list(pool, &from);
    const ahead_wish far = {0, 0, 40, 0};
    ahead_take(list, 0, far, 0);
    await(pool, 1);
    for (size_t i = 1; i < 40; i++)
        assert_null(ahead_take(list, i, far, 0));
    assert_int_equal(item_of(&from, take(list, 40, 0, 0)), 40);
    assert_int_equal(stats_of(pool).made, 1);
    ahead_list_close(list);
    ahead_pool_close(pool);
}

static void test_stalled(void **state)
{
    (void)state;
    ahead_pool *pool = make_pool(2, 4, 1 << 20);
    source from = {.number = 0};
    ahead_list *list = open_list(pool, &from);
    take(list, 0, 50, 1000);
    await(pool, 4);
    ahead_drop_stalled(pool, 1000);
    assert_int_equal(stats_of(pool).waiting, 4);
    ahead_drop_stalled(pool, 1001);
    assert_int_equal(stats_of(pool).waiting, 0);
    assert_int_equal(stats_of(pool).waiting_bytes, 0);
    assert_int_equal(stats_of(pool).dropped, 4);
    /* Nothing more for him, till he comes. */
    source other = {.number = 1};
    ahead_list *second = ahead_list_open(pool, &work, &other);
    take(second, 0, 4, 2000);
    await(pool, 8);
    assert_int_equal(from.made[1], 1);
    assert_null(take(list, 1, 50, 3000));
    await(pool, 12);
    assert_int_equal(from.made[2], 2);
    ahead_list_close(list);
    current = &other;
    ahead_list_close(second);
    ahead_pool_close(pool);
}

static void test_slow_owner(void **state)
{
    (void)state;
    const int64_t later = INT64_C(1) << 60; /* than any time that the workers know */
    const ahead_options options = {1, 1, 4, 1 << 20, 1000};
    ahead_pool *pool = ahead_pool_create(&options);
    source from = {.number = 0};
    ahead_list *list = open_list(pool, &from);
    take(list, 0, 50, later);
    await(pool, 4);
    /* The time from one take to the next says how long sending takes. */
    assert_int_equal(item_of(&from, take(list, 1, 50, later + 1001)), 1);
    assert_int_equal(item_of(&from, take(list, 2, 50, later + 2002)), 2);
    assert_int_equal(stats_of(pool).made, 4);
    assert_int_equal(item_of(&from, take(list, 3, 50, later + 2003)), 3);
    await(pool, 7);
    ahead_list_close(list);
    ahead_pool_close(pool);
}

static void test_close_waits(void **state)
{
    (void)state;
    ahead_pool *pool = make_pool(2, 8, 1 << 20);
    gate door = GATE_INIT;
    source from = {.number = 0, .door = &door};
    ahead_list *list = open_list(pool, &from);
    take(list, 0, 50, 0);
    pthread_t opener;
    gate_await(&door, 2);
    assert_int_equal(pthread_create(&opener, NULL, open_door_once_waited_for, &door), 0);
    ahead_list_close(list);
    pthread_join(opener, NULL);
    const ahead_stats stats = stats_of(pool);
    assert_int_equal(stats.lists, 0);
    assert_int_equal(stats.running, 0);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.dropped, stats.made);
    /* The door was open only when closing had begun, or shortly before: not all eight. */
    for (size_t i = 1; i <= 8; i++)
        assert_int_equal(from.made[i], from.dropped[i]);
    ahead_pool_close(pool);
}

static void test_no_memory(void **state)
{
    (void)state;
    const ahead_options options = {2, 0, 4, 1 << 20, 0};
    for (unsigned n = 1; n <= 2; n++) { /* the pool, its first thread */
        fail_alloc_at(n);
        ahead_pool *pool = ahead_pool_create(&options);
        assert_true(fail_alloc_end());
        assert_null(pool);
    }
    fail_alloc_at(3); /* one thread does the work as well */
    ahead_pool *pool = ahead_pool_create(&options);
    assert_true(fail_alloc_end());
    assert_non_null(pool);
    source from = {.number = 0};
    fail_alloc_at(1);
    assert_null(ahead_list_open(pool, &work, &from));
    assert_true(fail_alloc_end());
    ahead_list *list = open_list(pool, &from);
    take(list, 0, 2, 0);
    await(pool, 2);
    ahead_list_close(list);
    ahead_pool_close(pool);
    ahead_pool_close(NULL);
    ahead_list_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window),         cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_lists_in_turn),  cmocka_unit_test(test_turn_comes_early),
        cmocka_unit_test(test_put_off),        cmocka_unit_test(test_own_items_in_turn),
        cmocka_unit_test(test_some_are_there), cmocka_unit_test(test_beyond),
        cmocka_unit_test(test_stalled),        cmocka_unit_test(test_slow_owner),
        cmocka_unit_test(test_close_waits),    cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
