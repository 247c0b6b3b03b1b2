/* SPDX-License-Identifier: Apache-2.0 */
/* test_ingest_damage.c - what stays in the journal, and disks that fail, processes that end, blocks
   that are not what was written: nothing that was acknowledged is lost. */
#include "dimse_status.h"
#include "fail_disk.h"
#include "ingest_fixture.h"
#include "temp_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define EXPLICIT "1.2.840.10008.1.2.1"

typedef ingest_fixture fixture;

/* ---- Errors ---------------------------------------------------------------------------------- */

/* Changes a byte of the slice's record, or of its header. */
static void damage(const fixture *f, uint32_t slice, bool header)
{
    char uid[32];
    size_t nbytes;
    ingest_settle(f->ingest);
    ingest_fixture_uid(uid, slice);
    char *path = ingest_fixture_path(f, "journal-0");
    uint8_t *bytes = read_whole_file(path, &nbytes);
    uint8_t *at = memmem(bytes, nbytes, uid, strlen(uid));
    assert_non_null(at);
    if (header) /* small ones have one block, and one before it for the header */
        at = bytes + (size_t)(at - bytes) / JOURNAL_BLOCK * JOURNAL_BLOCK - JOURNAL_BLOCK + 20;
    at[0] ^= 1;
    write_file(path, bytes, nbytes);
    free(bytes);
    free(path);
}

/* One record is not what was written: the others are written when it is time, and at the stop. */
static void test_damage(void **state)
{
    fixture *f = *state;
    f->ingest->unwritten.wait_ms = 300;
    ingest_fixture_send_all(f, &ingest_usual, 0, 4);
    damage(f, 1, false);
    assert_false(ingest_fixture_holds(f, &ingest_usual, 1));
    assert_held(f, &ingest_usual, 0, 1);
    assert_held(f, &ingest_usual, 2, 4);
    assert_int_equal(ingest_fixture_count_spooled(f), 3);
    ingest_fixture_send_all(f, &ingest_usual, 4, 5); /* the node goes on */
    for (int tries = 0; tries < 200 && ingest_fixture_count_spooled(f) < 4; tries++)
        usleep(50000);
    assert_int_equal(ingest_fixture_count_spooled(f), 4);
    f->ingest->unwritten.wait_ms = 60000;
    ingest_fixture_send_all(f, &ingest_usual, 5, 6);
    ingest_fixture_stop(f);
    assert_int_equal(ingest_fixture_count(f, true, ".dcm"), 5);
    ingest_fixture_start(f);
    assert_held(f, &ingest_usual, 0, 1);
    assert_held(f, &ingest_usual, 2, 6);
    assert_false(ingest_fixture_holds(f, &ingest_usual, 1));
}

/* Who sends again what cannot be read any more is not told that it is there. */
static void test_damaged_one_is_taken_again(void **state)
{
    fixture *f = *state;
    char text[32];
    const char *uid = text;
    const index_filter filter = {.sop_uids = &uid, .nsop_uids = 1};
    ingest_fixture_send_all(f, &ingest_usual, 0, 2);
    damage(f, 1, false);
    assert_int_equal(ingest_fixture_send(f, &ingest_usual, 1, EXPLICIT), DIMSE_WARNING_DUPLICATE);
    assert_true(ingest_settle(f->ingest));
    /* The newer answers: the first one found. */
    index_cursor *cursor = NULL;
    index_instance found;
    dcb_series *series = NULL;
    ingest_fixture_uid(text, 1);
    assert_int_equal(index_find_instances(&cursor, f->index, &filter, NULL), 0);
    assert_int_equal(index_cursor_next_instance(cursor, &found, NULL), 1);
    assert_int_equal(series_pool_get(&series, f->series, found.path, NULL), DCB_OK);
    dcb_series_release(series);
    index_cursor_close(cursor);
    ingest_fixture_stop(f);
    ingest_fixture_start(f);
    assert_held(f, &ingest_usual, 0, 2);
}

/* The same at a start after a crash: before anything has a file. */
static void test_damage_at_a_replay(void **state)
{
    fixture *f = *state;
    journal_copy journal;
    for (int header = 0; header < 3; header++) {
        const uint32_t from = (uint32_t)header * 10;
        ingest_fixture_send_all(f, &ingest_usual, from, from + 5);
        if (header < 2)
            damage(f, from + 1, header == 1);
        ingest_settle(f->ingest);
        ingest_fixture_copy_journal(&journal, f);
        if (header == 2) /* the segment's own */
            memset((uint8_t *)journal.segments[0] + 9, 0x55, 4);
        /* As if the process had ended here. */
        fail_disk_at(1, ENOSPC, FAIL_DISK_FOREVER);
        ingest_fixture_stop(f);
        fail_disk_end();
        const size_t nfiles = ingest_fixture_count(f, true, ".dcm");
        ingest_fixture_put_journal(&journal, f);
        ingest_fixture_start(f);
        assert_int_equal(ingest_fixture_count(f, true, ".dcm"), nfiles + (header < 2 ? 4 : 5));
        assert_held(f, &ingest_usual, from, from + 1);
        assert_held(f, &ingest_usual, from + 2, from + 5);
        assert_int_equal(ingest_fixture_holds(f, &ingest_usual, from + 1), header == 2);
        ingest_fixture_drop_copy(&journal);
    }
}

/* As if the process had ended, with the journal as it was then and as it was changed since. */
static void crash_with(fixture *f, const journal_copy *journal)
{
    fail_disk_at(1, ENOSPC, FAIL_DISK_FOREVER);
    ingest_fixture_stop(f);
    fail_disk_end();
    ingest_fixture_put_journal(journal, f);
    ingest_fixture_start(f);
}

/* A block that reads as zeros is no header of an empty segment. */
static void test_a_header_of_zeros(void **state)
{
    fixture *f = *state;
    journal_copy journal;
    ingest_fixture_send_all(f, &ingest_usual, 0, 5);
    ingest_settle(f->ingest);
    ingest_fixture_copy_journal(&journal, f);
    memset(journal.segments[0], 0, JOURNAL_BLOCK);
    crash_with(f, &journal);
    assert_int_equal(ingest_fixture_count(f, true, ".dcm"), 5);
    assert_held(f, &ingest_usual, 0, 5);
    ingest_fixture_drop_copy(&journal);
}

/* What a free segment held before may come back where its header is damaged: under numbers that
   nothing else has. */
static void test_damage_of_a_free_segment(void **state)
{
    fixture *f = *state;
    journal_copy journal;
    ingest_fixture_send_all(f, &ingest_usual, 0, 3);
    assert_true(ingest_pack(f->ingest));
    const uint64_t number = atomic_load(&f->ingest->next_number);
    for (int i = 0; i < 2; i++) {
        ingest_fixture_stop(f);
        ingest_fixture_start(f);
    }
    assert_true(atomic_load(&f->ingest->next_number) >= number);
    ingest_fixture_send_all(f, &ingest_large, 50, 51);
    ingest_settle(f->ingest);
    ingest_fixture_stop(f);
    ingest_fixture_copy_journal(&journal, f);
    assert_memory_equal(journal.segments[0], "DCBJRNL4\0\0\0\0\0\0\0\0", 16);
    ((uint8_t *)journal.segments[0])[9] ^= 1;
    ingest_fixture_put_journal(&journal, f);
    ingest_fixture_start(f);
    assert_held(f, &ingest_large, 50, 51);
    assert_true(ingest_pack(f->ingest));
    assert_held(f, &ingest_usual, 0, 3);
    assert_held(f, &ingest_large, 50, 51);
    assert_int_equal(ingest_fixture_count(f, false, ".dcbs"), 1);
    assert_int_equal(ingest_fixture_count(f, false, ".dcm"), 0);
    ingest_fixture_drop_copy(&journal);
}

/* After a crash numbers go on well behind those that may be in use. */
static void test_no_number_twice(void **state)
{
    fixture *f = *state;
    journal_copy journal;
    ingest_fixture_send_all(f, &ingest_usual, 0, 3);
    assert_true(ingest_pack(f->ingest));
    const uint64_t number = atomic_load(&f->ingest->next_number);
    ingest_fixture_copy_journal(&journal, f);
    crash_with(f, &journal);
    assert_true(atomic_load(&f->ingest->next_number) > number + 1000);
    ingest_fixture_send_all(f, &ingest_usual, 3, 4);
    assert_held(f, &ingest_usual, 0, 4);
    ingest_fixture_drop_copy(&journal);

    char *path = ingest_fixture_path(f, "numbers");
    scp_error error = SCP_ERROR_INIT;
    ingest_fixture_stop(f);
    write_file(path, "x", 1);
    assert_int_equal(index_open(&f->index, f->state, &error), 0);
    assert_int_equal(ingest_open(&f->ingest, &f->options, f->index, f->series, &error), -1);
    assert_non_null(strstr(error.message, "numbers is damaged"));
    index_close(f->index);
    assert_int_equal(unlink(path), 0);
    ingest_fixture_start(f);
    assert_held(f, &ingest_usual, 0, 4);
    free(path);
}

/* A large one that was acknowledged is not thrown away for a bit. */
static void test_a_damaged_file_is_kept(void **state)
{
    fixture *f = *state;
    size_t nbytes;
    ingest_fixture_send_all(f, &ingest_large, 0, 2);
    ingest_settle(f->ingest);
    ingest_fixture_stop(f);
    char *path = ingest_fixture_path(f, "000000/000000001.dcm");
    char *aside = ingest_fixture_path(f, "000000/000000001.damaged");
    uint8_t *bytes = read_whole_file(path, &nbytes);
    bytes[nbytes - 1] ^= 1;
    write_file(path, bytes, nbytes);
    for (int i = 0; i < 2; i++) {
        ingest_fixture_start(f);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(access(aside, F_OK), 0);
        assert_held(f, &ingest_large, 1, 2);
        assert_false(ingest_fixture_holds(f, &ingest_large, 0));
        ingest_fixture_stop(f);
    }
    ingest_fixture_start(f);
    free(bytes);
    free(path);
    free(aside);
}

/* A journal that cannot be read is not an empty one. */
static void test_unreadable_journal(void **state)
{
    fixture *f = *state;
    scp_error error = SCP_ERROR_INIT;
    ingest_fixture_send_all(f, &ingest_usual, 0, 2);
    ingest_fixture_stop(f);
    char *path = ingest_fixture_path(f, "journal-1"), *aside = ingest_fixture_path(f, "aside");
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(index_open(&f->index, f->state, &error), 0);
    assert_int_equal(ingest_open(&f->ingest, &f->options, f->index, f->series, &error), -1);
    assert_non_null(strstr(error.message, "cannot read"));
    assert_non_null(strstr(error.message, "journal-1"));
    index_close(f->index);
    assert_int_equal(rmdir(path), 0);
    ingest_fixture_start(f);
    assert_held(f, &ingest_usual, 0, 2);
    free(path);
    free(aside);
}

/* Whatever call fails, while files are made and at the stop: nothing that was answered is lost. */
static void test_each_write_fails(void **state)
{
    for (int forever = 0; forever < 2; forever++) {
        bool failed = true;
        unsigned n = 0;
        while (failed) {
            fixture *f = *state;
            ingest_fixture_send_all(f, &ingest_usual, 0, 3);
            ingest_settle(f->ingest);
            fail_disk_at(++n, forever != 0 ? ENOSPC : EIO,
                         forever != 0 ? FAIL_DISK_FOREVER : FAIL_DISK_ANY_CALL);
            ingest_fixture_holds(f, &ingest_usual, 1);
            ingest_fixture_stop(f);
            failed = fail_disk_end();
            ingest_fixture_start(f);
            assert_held(f, &ingest_usual, 0, 3);
            ingest_fixture_teardown(state);
            ingest_fixture_setup_grown(state);
        }
        assert_true(n > 6);
    }
}

/* ---- Crashes --------------------------------------------------------------------------------- */

/* In a process of its own, which ends at the n-th call; how far it came it tells in its exit. */
static void send_and_crash(fixture *f, unsigned n)
{
    ingest_fixture_start(f);
    ingest_fixture_send_all(f, &ingest_usual, 0, 3);
    if (!ingest_settle(f->ingest))
        _exit(1);
    fail_disk_crash_at(n);
    ingest_fixture_holds(f, &ingest_usual, 1);
    if (!ingest_pack(f->ingest))
        _exit(1);
    ingest_fixture_send_all(f, &ingest_usual, 3, 5);
    ingest_fixture_stop(f);
    _exit(0);
}

static void test_crash_at_each_step(void **state)
{
    int status = DISK_CRASH;
    unsigned n = 0;
    while (status == DISK_CRASH) {
        fixture *f = *state;
        ingest_fixture_stop(f);
        fflush(NULL);
        const pid_t child = fork();
        n++;
        if (child == 0)
            send_and_crash(f, n);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        status = WEXITSTATUS(status);
        ingest_fixture_start(f);
        assert_held(f, &ingest_usual, 0, status == DISK_CRASH ? 3 : 5);
        assert_true(ingest_pack(f->ingest));
        assert_held(f, &ingest_usual, 0, status == DISK_CRASH ? 3 : 5);
        assert_int_equal(ingest_fixture_count_spooled(f), 0);
        assert_int_equal(ingest_fixture_count(f, false, ".dcbs"), 1);
        ingest_fixture_teardown(state);
        ingest_fixture_setup_grown(state);
    }
    assert_int_equal(status, 0);
    assert_true(n > 20);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, ingest_fixture_setup_grown, ingest_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_damage),
        TEST(test_damaged_one_is_taken_again),
        TEST(test_damage_at_a_replay),
        TEST(test_a_header_of_zeros),
        TEST(test_damage_of_a_free_segment),
        TEST(test_no_number_twice),
        TEST(test_a_damaged_file_is_kept),
        TEST(test_unreadable_journal),
        TEST(test_each_write_fails),
        TEST(test_crash_at_each_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
