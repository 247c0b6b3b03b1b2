/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retrievals whose instances are made before their turn: the same bytes in the same order, each
 * frame decoded once for all who ask, nothing left when one ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ahead.h"
#include "retrieval.h"
#include "series_pool.h"
#include "sop_classes.h"
#include "temp_dir.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CT      "1.2.840.10008.5.1.4.1.1.2"
#define PHANTOM TEST_DATA_DIR "/golden/ct_phantom_small/series.dcbs"
#define TINY3   TEST_DATA_DIR "/golden/tiny3/series.dcbs"

typedef struct setting {
    dcb_cache *cache;
    scp_node node;
    ul_context context;
    ul_request request;
    instance_list list;
} setting;

static void list_file(instance_list *list, const char *path)
{
    dcb_series *series;
    assert_int_equal(dcb_series_open(&series, path, NULL, NULL), DCB_OK);
    for (uint32_t i = 0; i < dcb_series_get_info(series)->nframes; i++) {
        dcb_frame_info info;
        assert_int_equal(dcb_series_frame_info(&info, series, i, NULL), DCB_OK);
        const index_instance instance = {
            .path = path, .frame = i, .sop_instance_uid = info.sop_instance_uid};
        assert_true(instance_list_add(list, &instance));
    }
    dcb_series_release(series);
}

/* A peer that takes CT in one syntax; workers with a window and a budget. */
static void begin(setting *s, const char *syntax, uint32_t window, uint64_t cache_bytes)
{
    *s = (setting){0};
    dcb_cache_options cache = DCB_CACHE_OPTIONS_INIT;
    cache.budget_bytes = cache_bytes;
    cache.prefetch = false;
    assert_int_equal(dcb_cache_create(&s->cache, &cache, NULL), DCB_OK);
    dcb_open_options open = DCB_OPEN_OPTIONS_INIT;
    open.cache = s->cache;
    assert_int_equal(series_pool_create(&s->node.series, 8, &open, NULL), DCB_OK);
    const ahead_options ahead = {2, 0, window, 64 << 20, 0};
    s->node.ahead = ahead_pool_create(&ahead);
    assert_non_null(s->node.ahead);
    s->context = (ul_context){.id = 3, .peer_is_scp = true};
    snprintf(s->context.abstract_syntax, UL_UID_SIZE, "%s", CT);
    snprintf(s->context.accepted_syntax, UL_UID_SIZE, "%s", syntax);
    s->request = (ul_request){.ncontexts = 1, .contexts = &s->context};
}

static void end(setting *s)
{
    const ahead_stats stats = {0};
    ahead_stats now;
    ahead_get_stats(s->node.ahead, &now);
    assert_int_equal(now.lists, stats.lists);
    assert_int_equal(now.running, 0);
    assert_int_equal(now.waiting_bytes, 0);
    assert_int_equal(now.made, now.used + now.dropped);
    ahead_pool_close(s->node.ahead);
    series_pool_close(s->node.series);
    dcb_cache_close(s->cache);
    instance_list_clear(&s->list);
}

static ahead_stats stats_of(const setting *s)
{
    ahead_stats stats;
    ahead_get_stats(s->node.ahead, &stats);
    return stats;
}

/* Returns once nothing is being made and that many items were. */
static void await_made(const setting *s, uint64_t count)
{
    ahead_stats stats;
    do {
        sched_yield();
        stats = stats_of(s);
    } while (stats.made < count || stats.running > 0);
}

static retrieval *open_retrieval(setting *s)
{
    retrieval *r = retrieval_create(&s->node, &s->request, &s->list);
    assert_non_null(r);
    return r;
}

/* Takes instance i and holds it against the frame made by itself. */
static void take_and_compare(retrieval *r, const setting *s, size_t i, dcb_encoding encoding)
{
    retrieval_instance got;
    retrieval_get(&got, r, i);
    if (got.frame == NULL)
        fail_msg("instance %zu: %s: %s", i, got.comment, got.reason);
    assert_int_equal(got.context.id, 3);
    assert_int_equal(got.context.encoding, encoding);
    dcb_series *series;
    dcb_frame *alone;
    assert_int_equal(dcb_series_open(&series, instance_list_path(&s->list, i), NULL, NULL), DCB_OK);
    assert_int_equal(
        dcb_series_frame(&alone, series, instance_list_frame(&s->list, i), encoding, NULL), DCB_OK);
    size_t a_nbytes, b_nbytes;
    const uint8_t *a = dcb_frame_part10(got.frame, &a_nbytes);
    const uint8_t *b = dcb_frame_part10(alone, &b_nbytes);
    assert_int_equal(a_nbytes, b_nbytes);
    assert_memory_equal(a, b, a_nbytes);
    dcb_frame_release(alone);
    dcb_series_release(series);
    dcb_frame_release(got.frame);
}

static void test_decoded_ahead(void **state)
{
    (void)state;
    setting s;
    begin(&s, UID_EXPLICIT_LE, 4, 64 << 20);
    list_file(&s.list, PHANTOM);
    assert_true(s.list.count > 6);
    retrieval *r = open_retrieval(&s);
    for (size_t i = 0; i < s.list.count; i++) {
        take_and_compare(r, &s, i, DCB_ENCODING_EXPLICIT_LE);
        const size_t left = s.list.count - 1 - i;
        await_made(&s, i + (left < 4 ? left : 4));
        assert_int_equal(stats_of(&s).waiting, left < 4 ? left : 4);
    }
    assert_int_equal(stats_of(&s).used, s.list.count - 1);
    retrieval_close(r);
    dcb_cache_stats cache;
    dcb_cache_get_stats(s.cache, &cache);
    assert_int_equal(cache.misses, s.list.count);
    end(&s);
}

/* Without room in the cache, too: what waits is held by who waits for it. */
static void test_without_cache(void **state)
{
    (void)state;
    setting s;
    begin(&s, UID_IMPLICIT_LE, 4, 0);
    list_file(&s.list, PHANTOM);
    retrieval *r = open_retrieval(&s);
    for (size_t i = 0; i < s.list.count; i++) {
        take_and_compare(r, &s, i, DCB_ENCODING_IMPLICIT_LE);
        const size_t left = s.list.count - 1 - i;
        await_made(&s, i + (left < 4 ? left : 4));
    }
    retrieval_close(r);
    dcb_cache_stats cache;
    dcb_cache_get_stats(s.cache, &cache);
    assert_int_equal(cache.misses, s.list.count);
    end(&s);
}

/* Several peers ask for the same cold series at the same time. */
typedef struct peer {
    setting *setting;
    pthread_barrier_t *start;
    pthread_t thread;
    char failure[160];
} peer;

static void *run_peer(void *context)
{
    peer *self = context;
    const setting *s = self->setting;
    retrieval *r = retrieval_create(&s->node, &s->request, &s->list);
    pthread_barrier_wait(self->start);
    for (size_t i = 0; r != NULL && i < s->list.count; i++) {
        retrieval_instance got;
        char uid[UL_UID_SIZE];
        retrieval_get(&got, r, i);
        instance_list_uid(uid, &s->list, i);
        if (got.frame == NULL || strcmp(dcb_frame_sop_instance_uid(got.frame), uid) != 0)
            snprintf(self->failure, sizeof self->failure, "instance %zu %.100s", i, got.comment);
        dcb_frame_release(got.frame);
    }
    if (r == NULL)
        snprintf(self->failure, sizeof self->failure, "no retrieval");
    retrieval_close(r);
    return NULL;
}

static void test_decoded_once_for_all(void **state)
{
    (void)state;
    enum { NPEERS = 8 };
    for (int round = 0; round < 5; round++) {
        setting s;
        begin(&s, UID_EXPLICIT_LE, 4, 64 << 20);
        list_file(&s.list, PHANTOM);
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, NPEERS);
        peer peers[NPEERS];
        for (int i = 0; i < NPEERS; i++) {
            peers[i] = (peer){.setting = &s, .start = &start};
            assert_int_equal(pthread_create(&peers[i].thread, NULL, run_peer, &peers[i]), 0);
        }
        for (int i = 0; i < NPEERS; i++) {
            pthread_join(peers[i].thread, NULL);
            assert_string_equal(peers[i].failure, "");
        }
        pthread_barrier_destroy(&start);
        dcb_cache_stats cache;
        dcb_cache_get_stats(s.cache, &cache);
        assert_int_equal(cache.misses, s.list.count);
        end(&s);
    }
}

/* What is stored is not made ahead; but the next file is opened, with its first instance. */
static void test_next_file_is_opened(void **state)
{
    (void)state;
    setting s;
    begin(&s, UID_HTJ2K_LOSSLESS, 4, 64 << 20);
    list_file(&s.list, PHANTOM);
    const size_t boundary = s.list.count;
    list_file(&s.list, TINY3);
    retrieval *r = open_retrieval(&s);
    take_and_compare(r, &s, 0, DCB_ENCODING_STORED);
    await_made(&s, 1);
    for (size_t i = 1; i < s.list.count; i++)
        take_and_compare(r, &s, i, DCB_ENCODING_STORED);
    assert_true(boundary < s.list.count);
    assert_int_equal(stats_of(&s).made, 1);
    assert_int_equal(stats_of(&s).used, 1);
    retrieval_close(r);
    end(&s);
}

/* Decoded, the window goes over the boundary. */
static void test_across_files(void **state)
{
    (void)state;
    setting s;
    begin(&s, UID_EXPLICIT_LE, 6, 64 << 20);
    list_file(&s.list, TINY3);
    list_file(&s.list, PHANTOM);
    retrieval *r = open_retrieval(&s);
    take_and_compare(r, &s, 0, DCB_ENCODING_EXPLICIT_LE);
    for (size_t i = 1; i < s.list.count; i++)
        take_and_compare(r, &s, i, DCB_ENCODING_EXPLICIT_LE);
    retrieval_close(r);
    end(&s);
}

static void test_file_that_is_gone(void **state)
{
    (void)state;
    setting s;
    char *folder = temp_dir_create();
    char *gone = path_join(folder, "gone.dcbs");
    size_t nbytes;
    void *bytes = read_whole_file(TINY3, &nbytes);
    write_file(gone, bytes, nbytes);
    free(bytes);
    begin(&s, UID_EXPLICIT_LE, 4, 64 << 20);
    list_file(&s.list, TINY3);
    const size_t first = s.list.count;
    list_file(&s.list, gone);
    const size_t last = s.list.count;
    list_file(&s.list, PHANTOM);
    assert_int_equal(unlink(gone), 0);
    retrieval *r = open_retrieval(&s);
    for (size_t i = 0; i < s.list.count; i++) {
        if (i < first || i >= last) {
            take_and_compare(r, &s, i, DCB_ENCODING_EXPLICIT_LE);
            continue;
        }
        retrieval_instance got;
        retrieval_get(&got, r, i);
        assert_null(got.frame);
        assert_string_equal(got.comment, dcb_status_text(DCB_ERR_IO));
        assert_non_null(strstr(got.reason, "No such file"));
    }
    retrieval_close(r);
    end(&s);
    free(gone);
    temp_dir_remove(folder);
}

/* A retrieval that ends early leaves nothing, and nothing is made for it any more. */
static void test_cancelled(void **state)
{
    (void)state;
    setting s;
    begin(&s, UID_EXPLICIT_LE, 16, 64 << 20);
    list_file(&s.list, PHANTOM);
    list_file(&s.list, TINY3);
    retrieval *r = open_retrieval(&s);
    take_and_compare(r, &s, 0, DCB_ENCODING_EXPLICIT_LE);
    retrieval_close(r);
    const ahead_stats after = stats_of(&s);
    assert_int_equal(after.lists + after.running + after.waiting, 0);
    assert_int_equal(after.dropped, after.made);
    /* Another one, on the same workers. */
    r = open_retrieval(&s);
    for (size_t i = 0; i < s.list.count; i++)
        take_and_compare(r, &s, i, DCB_ENCODING_EXPLICIT_LE);
    retrieval_close(r);
    r = open_retrieval(&s); /* and one that never began */
    retrieval_close(r);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoded_ahead),
        cmocka_unit_test(test_without_cache),
        cmocka_unit_test(test_decoded_once_for_all),
        cmocka_unit_test(test_next_file_is_opened),
        cmocka_unit_test(test_across_files),
        cmocka_unit_test(test_file_that_is_gone),
        cmocka_unit_test(test_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
