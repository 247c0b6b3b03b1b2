/* SPDX-License-Identifier: Apache-2.0 */
/* test_buffers.c - blocks for frames: their sizes, that they are handed on, and the limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "buffers.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB      ((size_t)1024)
#define SLACK    (256 * KIB) /* for what else the process does */
#define NTHREADS 8
#define NROUNDS  2000

/* Under AddressSanitizer nothing is kept. */
static bool keeps_blocks(void)
{
    return dcb__buffer_size(100 * KIB + 1) != 100 * KIB + 1;
}

/* Bytes in the process's memory: all pages that are there are counted. */
static size_t resident(void)
{
    size_t npages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %zu", &npages), 1);
    fclose(file);
    return npages * (size_t)sysconf(_SC_PAGESIZE);
}

static void sizes_are_stable_and_tight(void **state)
{
    (void)state;
    for (size_t nbytes = 1; nbytes < 20000 * KIB; nbytes += 1 + nbytes / 50) {
        const size_t size = dcb__buffer_size(nbytes);
        assert_in_range(size, nbytes, nbytes + nbytes / 16);
        assert_int_equal(dcb__buffer_size(size), size);
    }
    assert_int_equal(dcb__buffer_size(SIZE_MAX), SIZE_MAX);
}

static void a_block_is_handed_on(void **state)
{
    (void)state;
    const size_t nbytes = 514 * KIB;
    uint8_t *first = dcb__buffer_take(nbytes);
    uint8_t *second = dcb__buffer_take(nbytes);
    assert_non_null(first);
    assert_non_null(second);
    memset(first, 1, dcb__buffer_size(nbytes));
    memset(second, 2, nbytes);
    dcb__buffer_give(first, nbytes);
    /* Of another size: not this one. */
    uint8_t *smaller = dcb__buffer_take(300 * KIB);
    assert_ptr_not_equal(smaller, first);
    /* A little smaller or larger is the same class; its real size is as good as what was asked. */
    uint8_t *again = dcb__buffer_take(nbytes - 100);
    assert_ptr_equal(again, first);
    assert_int_equal(second[nbytes - 1], 2);
    dcb__buffer_give(again, dcb__buffer_size(nbytes - 100));
    dcb__buffer_give(second, nbytes);
    dcb__buffer_give(smaller, 300 * KIB);
    dcb__buffer_give(NULL, nbytes);
}

static void no_more_is_kept_than_the_limit(void **state)
{
    (void)state;
    enum { N = 40 };
    const size_t nbytes = DCB_BUFFERS_KEPT_NBYTES / 16;
    void *blocks[N];
    const size_t before = resident();
    for (int i = 0; i < N; i++)
        assert_non_null(blocks[i] = dcb__buffer_take(nbytes));
    /* All pages of a large block are there, though nobody touched them. */
    assert_true(resident() - before >= N * nbytes);
    for (int i = 0; i < N; i++)
        dcb__buffer_give(blocks[i], nbytes);
    const size_t after = resident();
    assert_true(after - before <= DCB_BUFFERS_KEPT_NBYTES + SLACK);
    /* What the limit is for is kept, and larger ones never. */
    assert_true(after - before >= DCB_BUFFERS_KEPT_NBYTES / 2);
    const size_t large = DCB_BUFFERS_KEPT_NBYTES;
    assert_int_equal(dcb__buffer_size(large), large);
    dcb__buffer_give(dcb__buffer_take(large), large);
    assert_true(resident() <= after + SLACK);
}

static void take_many(void **blocks, int n, size_t nbytes)
{
    for (int i = 0; i < n; i++)
        assert_non_null(blocks[i] = dcb__buffer_take(nbytes));
}

static void give_many(void **blocks, int n, size_t nbytes)
{
    for (int i = 0; i < n; i++)
        dcb__buffer_give(blocks[i], nbytes);
}

/* A size that nobody asks for any more does not keep the others from being kept. */
static void other_sizes_give_way(void **state)
{
    (void)state;
    enum { FILLS = 64, SOME = 16 };
    const size_t usual = 300 * KIB, other = 500 * KIB;
    void *blocks[FILLS];
    take_many(blocks, FILLS, usual);
    give_many(blocks, FILLS, usual);
    take_many(blocks, SOME, other);
    give_many(blocks, SOME, other);
    const size_t before = resident();
    take_many(blocks, SOME, other); /* none is new */
    assert_true(resident() <= before + SLACK);
    give_many(blocks, SOME, other);
}

/* Each block is one thread's alone. */
static void *take_and_give(void *context)
{
    const uint8_t mark = *(const uint8_t *)context;
    for (unsigned i = 0; i < NROUNDS; i++) {
        const size_t nbytes = (64 + 16 * (i % 20)) * KIB;
        uint8_t *block = dcb__buffer_take(nbytes);
        if (block == NULL)
            return context;
        block[0] = block[nbytes / 2] = block[nbytes - 1] = mark;
        const bool own = block[0] == mark && block[nbytes / 2] == mark && block[nbytes - 1] == mark;
        dcb__buffer_give(block, nbytes);
        if (!own)
            return context;
    }
    return NULL;
}

static void threads_do_not_share_blocks(void **state)
{
    (void)state;
    pthread_t threads[NTHREADS];
    uint8_t marks[NTHREADS];
    for (unsigned i = 0; i < NTHREADS; i++) {
        marks[i] = (uint8_t)(i + 1);
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &marks[i]), 0);
    }
    for (unsigned i = 0; i < NTHREADS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

/* ThreadSanitizer, whose malloc tells nothing, takes memory of its own for each page. */
static bool malloc_counts(void)
{
    void *volatile probe = malloc(1000);
    const bool counts = mallinfo2().uordblks >= 1000;
    free(probe);
    return counts;
}

int main(void)
{
    const struct CMUnitTest always[] = {
        cmocka_unit_test(sizes_are_stable_and_tight),
        cmocka_unit_test(threads_do_not_share_blocks),
    };
    const struct CMUnitTest where_kept[] = {
        cmocka_unit_test(a_block_is_handed_on),
    };
    const struct CMUnitTest where_counted[] = {
        cmocka_unit_test(no_more_is_kept_than_the_limit),
        cmocka_unit_test(other_sizes_give_way),
    };
    int failed = 0;
    /* First, while nothing is kept yet. */
    if (keeps_blocks() && malloc_counts())
        failed += cmocka_run_group_tests(where_counted, NULL, NULL);
    if (keeps_blocks())
        failed += cmocka_run_group_tests(where_kept, NULL, NULL);
    return failed + cmocka_run_group_tests(always, NULL, NULL);
}
