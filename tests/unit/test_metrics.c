/* SPDX-License-Identifier: Apache-2.0 */
/* test_metrics.c - counters and histograms count, from many threads too; the list of associations;
   the ring of refusals; text that grows and its JSON. */
#include "activity.h"
#include "metrics.h"
#include "text_buffer.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NTHREADS 4
#define NROUNDS  5000

static uint64_t count_outcome(const metrics_snapshot *s, unsigned service, uint32_t status)
{
    for (size_t i = 0; i < s->noutcomes; i++) {
        if (s->outcomes[i].service == service && s->outcomes[i].status == status)
            return s->outcomes[i].count;
    }
    return 0;
}

static void *count_much(void *context)
{
    (void)context;
    for (int i = 0; i < NROUNDS; i++) {
        metrics_add(METRIC_BYTES_OUT, 3);
        metrics_operation("find", i % 2 == 0 ? 0 : 0xA900, 0.002);
        metrics_operation("get", METRIC_NO_STATUS, 1000);
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    (void)state;
    static metrics_snapshot before, after;
    pthread_t threads[NTHREADS];
    metrics_read(&before);
    for (int i = 0; i < NTHREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_much, NULL), 0);
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    metrics_read(&after);
    const uint64_t n = (uint64_t)NTHREADS * NROUNDS;
    assert_int_equal(after.counters[METRIC_BYTES_OUT] - before.counters[METRIC_BYTES_OUT], 3 * n);
    assert_int_equal(count_outcome(&after, 1, 0), n / 2);
    assert_int_equal(count_outcome(&after, 1, 0xA900), n / 2);
    assert_int_equal(count_outcome(&after, 2, METRIC_NO_STATUS), n);
    const metric_buckets *find = &after.histograms[METRIC_OPERATION_SECONDS + 1];
    assert_int_equal(find->counts[1], n); /* 1 ms < 2 ms <= 2.5 ms */
    assert_true(find->sum > 0.00199 * (double)n && find->sum < 0.00201 * (double)n);
    assert_int_equal(after.histograms[METRIC_OPERATION_SECONDS + 2].counts[METRIC_BUCKETS - 1], n);
}

static void bounds_belong_to_their_bucket(void **state)
{
    (void)state;
    static metrics_snapshot before, after;
    metrics_read(&before);
    for (int i = 0; i < METRIC_BUCKETS - 1; i++)
        metrics_observe(METRIC_DECODE_SECONDS, metric_bounds[i]);
    metrics_observe(METRIC_DECODE_SECONDS, 301);
    metrics_observe(METRIC_DECODE_SECONDS, 0);
    metrics_read(&after);
    for (int i = 0; i < METRIC_BUCKETS; i++)
        assert_int_equal(after.histograms[METRIC_DECODE_SECONDS].counts[i] -
                             before.histograms[METRIC_DECODE_SECONDS].counts[i],
                         i == 0 ? 2 : 1);
}

static void rejections_go_by_their_reason(void **state)
{
    (void)state;
    static const struct {
        unsigned source, reason;
        metric_counter counter;
    } CASES[] = {{1, 7, METRIC_REJECTED_CALLED},     {1, 3, METRIC_REJECTED_CALLING},
                 {1, 2, METRIC_REJECTED_CONTEXT},    {2, 2, METRIC_REJECTED_VERSION},
                 {3, 1, METRIC_REJECTED_CONGESTION}, {3, 2, METRIC_REJECTED_LIMIT},
                 {1, 1, METRIC_REJECTED_OTHER},      {9, 9, METRIC_REJECTED_OTHER}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        static metrics_snapshot before, after;
        metrics_read(&before);
        metrics_reject(CASES[i].source, CASES[i].reason);
        metrics_read(&after);
        for (size_t j = 0; j < METRIC_COUNTERS; j++)
            assert_int_equal(after.counters[j] - before.counters[j], j == CASES[i].counter);
    }
}

/* Last but one: it takes all slots. */
static void more_statuses_than_slots_are_counted_together(void **state)
{
    (void)state;
    static metrics_snapshot before, after;
    metrics_read(&before);
    for (uint32_t status = 0xC100; status < 0xC100 + 2 * METRIC_OUTCOMES_MAX; status++)
        metrics_operation("no such service", status, 0);
    metrics_read(&after);
    uint64_t n = 0, m = 0;
    for (size_t i = 0; i < after.noutcomes; i++)
        n += after.outcomes[i].count;
    for (size_t i = 0; i < before.noutcomes; i++)
        m += before.outcomes[i].count;
    assert_int_equal(n - m, 2 * METRIC_OUTCOMES_MAX);
    assert_int_equal(after.noutcomes, METRIC_OUTCOMES_MAX);
    for (size_t i = 1; i < after.noutcomes; i++)
        assert_true(after.outcomes[i - 1].service <= after.outcomes[i].service);
}

static void associations_are_listed_oldest_first(void **state)
{
    (void)state;
    static activity_entry entries[3];
    activity_view views[3];
    for (uint32_t i = 0; i < 3; i++) {
        entries[i].number = 10 + i;
        snprintf(entries[i].calling, sizeof entries[i].calling, "WS%u", (unsigned)i);
        activity_begin(&entries[i]);
    }
    activity_operation(&entries[1], "get");
    atomic_store(&entries[1].total, 70000);
    atomic_store(&entries[1].completed, 5);
    assert_int_equal(activity_list(views, 3), 3);
    assert_int_equal(views[0].number, 10);
    assert_null(views[0].operation);
    assert_string_equal(views[1].operation, "get");
    assert_string_equal(views[1].calling, "WS1");
    assert_int_equal(views[1].total, 70000);
    assert_int_equal(views[1].completed, 5);
    assert_true(views[1].operation_age_ms >= 0 && views[1].operation_age_ms < 60000);
    /* Where there is too little room the newest are left out. */
    assert_int_equal(activity_list(views, 2), 3);
    assert_int_equal(views[0].number, 10);
    assert_int_equal(views[1].number, 11);
    /* The next operation begins at 0. */
    activity_operation(&entries[1], NULL);
    activity_operation(&entries[1], "find");
    activity_end(&entries[0]);
    activity_end(&entries[2]);
    assert_int_equal(activity_list(views, 3), 1);
    assert_string_equal(views[0].operation, "find");
    assert_int_equal(views[0].total, 0);
    activity_end(&entries[1]);
    assert_int_equal(activity_list(views, 3), 0);
}

static void the_last_refusals_are_kept(void **state)
{
    (void)state;
    static activity_refusal got[ACTIVITY_REFUSALS];
    char reason[300];
    for (int i = 0; i < ACTIVITY_REFUSALS + 5; i++) {
        snprintf(reason, sizeof reason, "reason %d %0200d", i, 0);
        activity_refuse("association", "10.0.0.1", "WS", reason);
    }
    assert_int_equal(activity_refusals(got), ACTIVITY_REFUSALS);
    snprintf(reason, sizeof reason, "reason %d ", ACTIVITY_REFUSALS + 4);
    assert_memory_equal(got[0].reason, reason, strlen(reason));
    assert_int_equal(strlen(got[0].reason), sizeof got[0].reason - 1);
    assert_memory_equal(got[ACTIVITY_REFUSALS - 1].reason, "reason 5 ", 9);
    assert_string_equal(got[0].peer, "10.0.0.1");
}

static void text_grows(void **state)
{
    (void)state;
    text_buffer text = TEXT_BUFFER_INIT;
    for (int i = 0; i < 1000; i++)
        text_format(&text, "%d,", i);
    text_put(&text, "end");
    assert_false(text.failed);
    assert_int_equal(text.nbytes, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    assert_int_equal(strlen(text.bytes), text.nbytes);
    assert_memory_equal(text.bytes, "0,1,2,", 6);
    assert_string_equal(text.bytes + text.nbytes - 7, "999,end");
    text_free(&text);
    assert_null(text.bytes);
}

static void json_strings_are_harmless(void **state)
{
    (void)state;
    static const struct {
        const char *text, *json;
    } CASES[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"\n\t\x01\x7f", "\"\\u000a\\u0009\\u0001\\u007f\""},
        {"</script><b>&", "\"\\u003c/script\\u003e\\u003cb\\u003e\\u0026\""},
        {"Wi\xc5\x9bniewska \xe5\xb1\xb1", "\"Wi\xc5\x9bniewska \xe5\xb1\xb1\""},
        {"\xff\xc3", "\"\\ufffd\\ufffd\""},
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
        {"\xe2\x80\xa8\xc2\x85", "\"\\u2028\\u0085\""},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        text_buffer text = TEXT_BUFFER_INIT;
        text_put_json(&text, CASES[i].text);
        assert_string_equal(text.bytes, CASES[i].json);
        text_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_lose_nothing),
        cmocka_unit_test(bounds_belong_to_their_bucket),
        cmocka_unit_test(rejections_go_by_their_reason),
        cmocka_unit_test(more_statuses_than_slots_are_counted_together),
        cmocka_unit_test(associations_are_listed_oldest_first),
        cmocka_unit_test(the_last_refusals_are_kept),
        cmocka_unit_test(text_grows),
        cmocka_unit_test(json_strings_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
