/* SPDX-License-Identifier: Apache-2.0 */
/* test_ingest_unwritten.c - instances that stay in the journal: found, read and packed from there,
   and written when it is time. */
#include "dimse_status.h"
#include "ingest_fixture.h"
#include "relocate.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define EXPLICIT "1.2.840.10008.1.2.1"
#define LOSSY    "1.2.840.10008.1.2.4.50"

typedef ingest_fixture fixture;

/* 8 of them fill a segment. */
static const source_kind big = {
    .name = "big", .rows = 480, .columns = 512, .slope = "1", .intercept = "-1024"};

static uint64_t journal_only(const fixture *f)
{
    pthread_mutex_lock(&f->ingest->lock);
    const uint64_t nbytes = f->ingest->journal_only;
    pthread_mutex_unlock(&f->ingest->lock);
    return nbytes;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Who reads one gets a file; the others stay, until the node stops. */
static void test_files_for_readers_only(void **state)
{
    fixture *f = *state;
    ingest_fixture_send_all(f, &ingest_usual, 0, 5);
    assert_int_equal(ingest_fixture_count_spooled(f), 0);
    assert_true(journal_only(f) > 0);
    assert_held(f, &ingest_usual, 1, 3);
    assert_int_equal(ingest_fixture_count_spooled(f), 2);
    assert_held(f, &ingest_usual, 1, 3);
    assert_int_equal(ingest_fixture_count_spooled(f), 2);
    ingest_fixture_stop(f);
    assert_int_equal(ingest_fixture_count(f, true, ".dcm"), 5);
    journal_copy journal;
    ingest_fixture_copy_journal(&journal, f);
    for (int i = 0; i < FIXTURE_SEGMENTS; i++)
        assert_memory_equal(journal.segments[i], "DCBJRNL4\0\0\0\0\0\0\0\0", 16); /* nothing */
    ingest_fixture_drop_copy(&journal);
    ingest_fixture_start(f);
    assert_int_equal(journal_only(f), 0);
    assert_held(f, &ingest_usual, 0, 5);
}

static void *read_all(void *context)
{
    for (uint32_t i = 0; i < 8; i++) {
        if (!ingest_fixture_holds(context, &big, i))
            return (void *)1;
    }
    return NULL;
}

/* They ask for the same files at the same time. */
static void test_many_readers(void **state)
{
    fixture *f = *state;
    pthread_t threads[4];
    ingest_fixture_send_all(f, &big, 0, 8);
    assert_true(ingest_settle(f->ingest));
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, f), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(ingest_fixture_count_spooled(f), 8);
    assert_int_equal(journal_only(f), 0);
}

/* Senders, readers and the packer at once, while segments are used again and again. */
typedef struct sender {
    fixture *f;
    uint32_t from, to;
    atomic_uint sent; /* this one is there, and all before it */
} sender;

static void *send_slowly(void *context)
{
    sender *s = context;
    for (uint32_t i = s->from; i < s->to; i++) {
        if (ingest_fixture_send(s->f, &big, i, EXPLICIT) != DIMSE_SUCCESS)
            return (void *)1;
        atomic_store(&s->sent, i + 1);
    }
    return NULL;
}

static void *read_what_was_sent(void *context)
{
    sender *s = context;
    for (uint32_t i = s->from; i < s->to;) {
        if (i >= atomic_load(&s->sent)) {
            usleep(1000);
            continue;
        }
        ingest_settle(s->f->ingest);
        /* Packing may move it between the two looks: then once more. */
        if (!ingest_fixture_holds(s->f, &big, i) && !ingest_fixture_holds(s->f, &big, i))
            return (void *)1;
        i += 3;
    }
    return NULL;
}

static void test_all_at_once(void **state)
{
    enum { EACH = 60 };
    fixture *f = *state;
    sender senders[2] = {{f, 0, EACH, 0}, {f, EACH, 2 * EACH, EACH}};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? send_slowly : read_what_was_sent,
                                        &senders[i % 2]),
                         0);
    for (uint32_t n = 0; n < 2 * EACH;) {
        n = atomic_load(&senders[0].sent) + atomic_load(&senders[1].sent) - EACH;
        assert_true(ingest_pack(f->ingest));
    }
    for (int i = 0; i < 4; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_true(ingest_pack(f->ingest));
    assert_held(f, &big, 0, 2 * EACH);
    assert_int_equal(ingest_fixture_count_spooled(f), 0);
    assert_int_equal(journal_only(f), 0);
}

static void test_written_after_a_while(void **state)
{
    fixture *f = *state;
    f->ingest->unwritten.wait_ms = 300;
    ingest_fixture_send_all(f, &ingest_usual, 0, 3);
    assert_int_equal(ingest_fixture_count_spooled(f), 0);
    for (int tries = 0; tries < 200 && journal_only(f) > 0; tries++)
        usleep(50000);
    assert_int_equal(journal_only(f), 0);
    assert_int_equal(ingest_fixture_count_spooled(f), 3);
    assert_held(f, &ingest_usual, 0, 3);
}

/* ---- More than there is room for ------------------------------------------------------------- */

/* In the segments that are left files are written at once. */
static void test_more_than_may_stay(void **state)
{
    enum { STAY = FIXTURE_SEGMENTS_LASTING * 8, ALL = STAY + 40 };
    fixture *f = *state;
    ingest_fixture_send_all(f, &big, 0, ALL);
    assert_int_equal(ingest_fixture_count_spooled(f), ALL - STAY);
    assert_held(f, &big, 0, ALL);
    assert_int_equal(ingest_fixture_count_spooled(f), ALL);
    /* All segments are free again. */
    for (int tries = 0; tries < 200; tries++) {
        const uint32_t slice = ALL + (uint32_t)tries;
        const size_t before = ingest_fixture_count_spooled(f);
        ingest_fixture_send_all(f, &big, slice, slice + 1);
        if (ingest_fixture_count_spooled(f) == before)
            return;
        usleep(20000);
    }
    fail_msg("nothing stays in the journal any more");
}

static void test_packed_from_the_journal(void **state)
{
    fixture *f = *state;
    /* Three times what the journal can hold, so that its segments are used again. */
    for (uint32_t round = 0; round < 4; round++) {
        ingest_fixture_send_all(f, &big, round * 64, round * 64 + 64);
        assert_int_equal(ingest_fixture_count_spooled(f), 0);
        assert_true(ingest_pack(f->ingest));
        assert_int_equal(journal_only(f), 0);
        assert_int_equal(ingest_fixture_count_spooled(f), 0);
        assert_int_equal(ingest_fixture_count(f, false, ".dcbs"), 1);
        usleep(300000); /* a checkpoint */
    }
    assert_held(f, &big, 0, 256);
    ingest_fixture_stop(f);
    ingest_fixture_start(f);
    assert_held(f, &big, 0, 256);
}

/* What cannot be packed gets its file, and that its place in the study. */
static void test_kept_from_the_journal(void **state)
{
    fixture *f = *state;
    ingest_fixture_send_all(f, &ingest_usual, 0, 2);
    assert_int_equal(ingest_fixture_send(f, &ingest_usual, 2, LOSSY), DIMSE_SUCCESS);
    assert_int_equal(ingest_fixture_count_spooled(f), 0);
    assert_true(ingest_pack(f->ingest));
    assert_int_equal(ingest_fixture_count(f, false, ".dcbs"), 1);
    assert_int_equal(ingest_fixture_count(f, false, ".dcm"), 1);
    assert_int_equal(ingest_fixture_count_spooled(f), 0);
    assert_int_equal(journal_only(f), 0);
    assert_held(f, &ingest_usual, 0, 2);
}

/* ---- Duplicates ------------------------------------------------------------------------------ */

static void test_duplicates(void **state)
{
    fixture *f = *state;
    ingest_fixture_send_all(f, &ingest_usual, 0, 2);
    ingest_fixture_send_all(f, &ingest_usual, 0, 1);
    assert_int_equal(ingest_fixture_send(f, &ingest_other, 0, EXPLICIT), DIMSE_WARNING_DUPLICATE);
    assert_held(f, &ingest_usual, 0, 2);
    f->options.store_duplicates = DUPLICATES_REPLACE;
    assert_int_equal(ingest_fixture_send(f, &ingest_other, 1, EXPLICIT), DIMSE_WARNING_DUPLICATE);
    assert_held(f, &ingest_usual, 0, 1);
    assert_held(f, &ingest_other, 1, 2);
}

/* What comes later is newer, though the clock was ahead when the other came. */
static void test_the_newer_answers_whatever_the_clock_says(void **state)
{
    fixture *f = *state;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    f->options.store_duplicates = DUPLICATES_REPLACE;
    atomic_store(&f->ingest->last_arrival_ns, ((int64_t)now.tv_sec + 3600) * 1000000000);
    ingest_fixture_send_all(f, &ingest_usual, 0, 2);
    assert_true(ingest_pack(f->ingest));
    ingest_fixture_stop(f); /* and is set right */
    ingest_fixture_start(f);
    assert_int_equal(ingest_fixture_send(f, &ingest_other, 0, EXPLICIT), DIMSE_WARNING_DUPLICATE);
    ingest_settle(f->ingest);
    const char *uid = "1.2.3.4.100";
    const index_filter filter = {.sop_uids = &uid, .nsop_uids = 1};
    index_cursor *cursor = NULL;
    index_instance found;
    assert_int_equal(index_find_instances(&cursor, f->index, &filter, NULL), 0);
    assert_int_equal(index_cursor_next_instance(cursor, &found, NULL), 1);
    assert_non_null(strstr(found.path, INGEST_FOLDER)); /* the new one, not the .dcbs */
    index_cursor_close(cursor);
    assert_true(ingest_pack(f->ingest));
    assert_held(f, &ingest_other, 0, 1);
    assert_held(f, &ingest_usual, 1, 2);
}

/* What has its time and is not durable yet when a packing begins: it will answer for the file. */
static void test_what_is_on_its_way_is_newer(void **state)
{
    fixture *f = *state;
    index_cursor *cursor = NULL;
    index_instance found;
    struct stat st;
    char found_path[4200];
    ingest_fixture_send_all(f, &ingest_usual, 0, 1);
    ingest_pending *entry = ingest__enter(f->ingest, "1.2.3.4.999");
    const int64_t arrived_ns = ingest__arrive(f->ingest, entry);
    ingest_fixture_send_all(f, &ingest_usual, 1, 2);
    assert_true(ingest_pack(f->ingest));
    assert_int_equal(index_find_instances(&cursor, f->index, NULL, NULL), 0);
    assert_int_equal(index_cursor_next_instance(cursor, &found, NULL), 1);
    snprintf(found_path, sizeof found_path, "%s", found.path);
    assert_int_equal(stat(found_path, &st), 0);
    assert_int_equal(ingest__stamp_of(&st).mtime_ns, arrived_ns - 1);
    index_cursor_close(cursor);
    /* Of a time when the clock was ahead: what comes while it is packed again is newer all the
     * same. */
    const struct timespec ahead[2] = {{0, UTIME_OMIT}, {st.st_mtim.tv_sec + 3600, 0}};
    assert_int_equal(utimensat(AT_FDCWD, found_path, ahead, 0), 0);
    ingest_fixture_send_all(f, &ingest_usual, 2, 3);
    assert_true(ingest_pack(f->ingest));
    assert_int_equal(index_find_instances(&cursor, f->index, NULL, NULL), 0);
    assert_int_equal(index_cursor_next_instance(cursor, &found, NULL), 1);
    assert_int_equal(stat(found.path, &st), 0);
    assert_int_equal(ingest__stamp_of(&st).mtime_ns, arrived_ns - 1);
    index_cursor_close(cursor);
    ingest__leave(f->ingest, entry);
    assert_held(f, &ingest_usual, 0, 3);
}

/* ---- One UID in two series ---- */

static uint16_t send_to_series(fixture *f, const source_kind *kind, uint32_t slice, char series)
{
    char uid[32];
    size_t nbytes;
    ingest_verdict verdict;
    ingest_fixture_uid(uid, slice);
    uint8_t *bytes = source_instance(&nbytes, kind, slice);
    uint8_t *at = memmem(bytes, nbytes, "1.2.3.4.2", 10);
    assert_non_null(at);
    at[8] = (uint8_t)series;
    const ingest_request request = {7, EXPLICIT, "1.2.840.10008.5.1.4.1.1.2", uid};
    ingest_instance *instance = ingest_begin(f->ingest, &request);
    ingest_take(instance, bytes, nbytes);
    ingest_finish(instance, &verdict);
    ingest_free(instance);
    free(bytes);
    return verdict.status;
}

/* Who is looked for again after a packing is looked for in his series. */
static void test_moved_within_its_series(void **state)
{
    fixture *f = *state;
    assert_int_equal(send_to_series(f, &ingest_other, 1, '2'), DIMSE_SUCCESS);
    assert_int_equal(send_to_series(f, &ingest_usual, 1, '3'), DIMSE_WARNING_DUPLICATE);
    assert_true(ingest_pack(f->ingest));
    for (char series = '2'; series <= '3'; series++) {
        char uid[] = "1.2.3.4.2";
        uint32_t frame = 9;
        uid[8] = series;
        dcb_series *found = relocate(&frame, f->index, f->series, uid, "1.2.3.4.101");
        assert_non_null(found);
        assert_string_equal(dcb_series_get_info(found)->series_instance_uid, uid);
        assert_int_equal(frame, 0);
        dcb_series_release(found);
    }
}

/* The newer one answers after a crash too, whichever of them is in the journal. */
static void test_the_newer_answers_after_a_crash(void **state)
{
    fixture *f = *state;
    journal_copy journal;
    f->options.store_duplicates = DUPLICATES_REPLACE;
    ingest_fixture_send_all(f, &ingest_usual, 0, 1);
    assert_int_equal(ingest_fixture_send(f, &ingest_large, 0, EXPLICIT), DIMSE_WARNING_DUPLICATE);
    ingest_fixture_send_all(f, &ingest_large, 1, 2);
    assert_int_equal(ingest_fixture_send(f, &ingest_usual, 1, EXPLICIT), DIMSE_WARNING_DUPLICATE);
    ingest_settle(f->ingest);
    ingest_fixture_copy_journal(&journal, f);
    for (int lost = 0; lost < 2; lost++) {
        ingest_fixture_stop(f);
        for (unsigned number = 1; number <= 4 && lost != 0; number++) {
            char name[40];
            snprintf(name, sizeof name, "000000/%09u.dcm", number);
            char *path = ingest_fixture_path(f, name);
            struct stat st;
            if (stat(path, &st) == 0 && st.st_size < 1 << 20)
                assert_int_equal(unlink(path), 0);
            free(path);
        }
        ingest_fixture_put_journal(&journal, f);
        ingest_fixture_start(f);
        assert_held(f, &ingest_large, 0, 1);
        assert_held(f, &ingest_usual, 1, 2);
    }
    ingest_fixture_drop_copy(&journal);
}

/* ---- Growth ---------------------------------------------------------------------------------- */

/* A young journal writes each file at once; a segment that was filled makes it grow. */
static void test_grows_where_much_comes(void **state)
{
    fixture *f = ingest_fixture_create(DURABILITY_FSYNC);
    (void)state;
    f->options.store_journal_mb = 48;
    ingest_fixture_stop(f);
    ingest_fixture_start(f);
    ingest_fixture_send_all(f, &big, 0, 7);
    assert_int_equal(ingest_fixture_count_spooled(f), 7);
    assert_true(ingest_fixture_count(f, true, "journal-3") == 0);
    ingest_fixture_send_all(f, &big, 7, 20);
    assert_int_equal(ingest_fixture_count_spooled(f), 20);
    char *last = ingest_fixture_path(f, "journal-11"), *more = ingest_fixture_path(f, "journal-12");
    for (int tries = 0; tries < 400 && access(last, F_OK) != 0; tries++)
        usleep(50000);
    assert_int_equal(access(last, F_OK), 0);
    assert_int_equal(access(more, F_OK), -1);
    ingest_fixture_send_all(f, &big, 20, 40);
    assert_true(ingest_fixture_count_spooled(f) < 40);
    assert_held(f, &big, 0, 40);

    /* A smaller one from the next start on. */
    f->options.store_journal_mb = 16;
    ingest_fixture_stop(f);
    ingest_fixture_start(f);
    assert_int_equal(access(last, F_OK), -1);
    assert_held(f, &big, 0, 40);
    free(last);
    free(more);
    ingest_fixture_free(f);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, ingest_fixture_setup_grown, ingest_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_files_for_readers_only),
        TEST(test_many_readers),
        TEST(test_all_at_once),
        TEST(test_written_after_a_while),
        TEST(test_more_than_may_stay),
        TEST(test_packed_from_the_journal),
        TEST(test_kept_from_the_journal),
        TEST(test_duplicates),
        TEST(test_the_newer_answers_whatever_the_clock_says),
        TEST(test_what_is_on_its_way_is_newer),
        TEST(test_moved_within_its_series),
        TEST(test_the_newer_answers_after_a_crash),
        cmocka_unit_test(test_grows_where_much_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
