/* SPDX-License-Identifier: Apache-2.0 */
/* test_ingest_pack.c - from the spool into .dcbs files: nothing changes, nothing is lost, wherever
   the process ends and whichever write fails. */
#include "dimse_status.h"
#include "fail_disk.h"
#include "ingest_fixture.h"
#include "relocate.h"
#include "source_instance.h"
#include "temp_dir.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define CT       "1.2.840.10008.5.1.4.1.1.2"
#define EXPLICIT "1.2.840.10008.1.2.1"
#define LOSSY    "1.2.840.10008.1.2.4.50"

typedef ingest_fixture fixture;

/* ---- Instances ---- */

static uint16_t send(fixture *f, const source_kind *kind, uint32_t slice)
{
    return ingest_fixture_send(f, kind, slice, EXPLICIT);
}

static void check_holds(fixture *f, const source_kind *kind, uint32_t from, uint32_t to)
{
    index_totals totals;
    assert_held(f, kind, from, to);
    assert_int_equal(index_get_totals(f->index, &totals, NULL), 0);
    assert_int_equal(totals.series, 1);
}

/* ---- Files ---- */

static void check_files(const fixture *f, size_t nspooled, size_t npacked, size_t nkept)
{
    assert_int_equal(ingest_fixture_count(f, true, ".dcm"), nspooled);
    assert_int_equal(ingest_fixture_count(f, false, ".dcbs"), npacked);
    assert_int_equal(ingest_fixture_count(f, false, ".dcm"), nkept);
    assert_int_equal(ingest_fixture_count(f, true, ".dcbs"), 0);
    assert_int_equal(ingest_fixture_count(f, true, ".part"), 0);
}

/* ---- Tests ---- */

static void test_every_kind_comes_back(void **state)
{
    for (size_t k = 0; k < source_nkinds; k++) {
        const source_kind *kind = &source_kinds[k];
        fixture *f = *state;
        ingest_fixture_send_all(f, kind, 0, 5);
        assert_true(ingest_pack(f->ingest));
        check_files(f, 0, 1, 0);
        check_holds(f, kind, 0, 5);
        ingest_fixture_send_all(f, kind, 5, 7); /* and the merged file */
        assert_true(ingest_pack(f->ingest));
        check_files(f, 0, 1, 0);
        check_holds(f, kind, 0, 7);
        ingest_fixture_teardown(state);
        ingest_fixture_setup_async(state);
    }
}

static void test_stats(void **state)
{
    fixture *f = *state;
    ingest_stats stats;
    ingest_fixture_send_all(f, &ingest_usual, 0, 4);
    assert_int_equal(send(f, &ingest_usual, 0), DIMSE_SUCCESS);
    ingest_get_stats(&stats, f->ingest);
    assert_int_equal(stats.received, 4);
    assert_int_equal(stats.repeated, 1);
    assert_int_equal(stats.spool_series, 1);
    assert_int_equal(stats.spool_instances, 4);
    assert_int_equal(stats.spool_bytes, stats.received_bytes);
    ingest_fixture_stop(f);
    ingest_fixture_start(f);
    ingest_get_stats(&stats, f->ingest);
    assert_int_equal(stats.spool_instances, 4);
    assert_true(ingest_pack(f->ingest));
    ingest_get_stats(&stats, f->ingest);
    assert_int_equal(stats.spool_series, 0);
    assert_int_equal(stats.spool_instances, 0);
    assert_int_equal(stats.spool_bytes, 0);
    assert_int_equal(stats.packed_series, 1);
    assert_int_equal(stats.packed_instances, 4);
    assert_int_equal(stats.packing_instances, 0);
    assert_int_equal(stats.pack_failures, 0);
    assert_true(stats.packed_file_bytes > 0);
}

/* A list that was made before the packing names files that are gone. */
static void test_found_again(void **state)
{
    fixture *f = *state;
    ingest_fixture_send_all(f, &ingest_usual, 0, 3);
    assert_true(ingest_pack(f->ingest));
    for (uint32_t i = 0; i < 3; i++) {
        char uid[32];
        uint32_t frame = 99;
        ingest_fixture_uid(uid, i);
        dcb_series *series = relocate(&frame, f->index, f->series, NULL, uid);
        assert_non_null(series);
        assert_true(relocate_holds(series, frame, uid));
        dcb_series_release(series);
    }
    uint32_t frame;
    assert_null(relocate(&frame, f->index, f->series, NULL, "1.2.3"));
}

/* What a .dcbs file cannot hold stays a DICOM file, and is not tried again. */
static void test_kept(void **state)
{
    static const source_kind steep = {.name = "steep", .slope = "2", .intercept = "-1024"};
    fixture *f = *state;
    ingest_stats stats;
    ingest_fixture_send_all(f, &ingest_usual, 0, 3);
    assert_int_equal(send(f, &steep, 3), DIMSE_SUCCESS);
    assert_true(ingest_pack(f->ingest));
    check_files(f, 0, 1, 1);
    check_holds(f, &ingest_usual, 0, 3);
    check_holds(f, &steep, 3, 4);
    ingest_get_stats(&stats, f->ingest);
    assert_int_equal(stats.kept_instances, 1);
    assert_int_equal(stats.spool_instances, 0);
    ingest_fixture_stop(f);
    ingest_fixture_start(f);
    check_holds(f, &steep, 3, 4);
    assert_int_equal(send(f, &steep, 3), DIMSE_SUCCESS); /* the same again */
    check_files(f, 0, 1, 1);
    assert_int_equal(send(f, &steep, 4), DIMSE_SUCCESS);
    assert_true(ingest_pack(f->ingest));
    check_files(f, 0, 1, 2);
    check_holds(f, &steep, 3, 5);
}

static void test_duplicates_of_packed(void **state)
{
    fixture *f = *state;
    ingest_fixture_send_all(f, &ingest_usual, 0, 3);
    assert_true(ingest_pack(f->ingest));
    ingest_fixture_send_all(f, &ingest_usual, 0, 3); /* success, nothing new */
    check_files(f, 0, 1, 0);
    assert_int_equal(send(f, &ingest_other, 1), DIMSE_WARNING_DUPLICATE);
    f->options.store_duplicates = DUPLICATES_REJECT;
    assert_int_equal(send(f, &ingest_other, 1), DIMSE_UNABLE_TO_PROCESS);
    check_files(f, 0, 1, 0);
    check_holds(f, &ingest_usual, 0, 3);

    f->options.store_duplicates = DUPLICATES_REPLACE;
    assert_int_equal(send(f, &ingest_other, 1), DIMSE_WARNING_DUPLICATE);
    for (int packed = 0; packed < 2; packed++) {
        check_holds(f, &ingest_usual, 0, 1);
        check_holds(f, &ingest_other, 1, 2);
        check_holds(f, &ingest_usual, 2, 3);
        assert_true(ingest_pack(f->ingest));
    }
    check_files(f, 0, 1, 1);
    assert_int_equal(ingest_fixture_count(f, false, ".replaced.dcm"), 1);
    /* What comes later does not bring the replaced one back. */
    ingest_fixture_send_all(f, &ingest_usual, 3, 4);
    assert_true(ingest_pack(f->ingest));
    check_holds(f, &ingest_other, 1, 2);
    check_holds(f, &ingest_usual, 2, 4);
}

/* Both still in the spool: the newer is packed, the older set aside. */
static void test_replaced_in_the_spool(void **state)
{
    fixture *f = *state;
    f->options.store_duplicates = DUPLICATES_REPLACE;
    ingest_fixture_send_all(f, &ingest_usual, 0, 2);
    assert_int_equal(send(f, &ingest_other, 1), DIMSE_WARNING_DUPLICATE);
    assert_true(ingest_pack(f->ingest));
    check_files(f, 0, 1, 1);
    check_holds(f, &ingest_usual, 0, 1);
    check_holds(f, &ingest_other, 1, 2);
}

/* One that a .dcbs file cannot hold replaces one that is in it. */
static void test_replaced_by_a_kept_one(void **state)
{
    static const source_kind steep = {.name = "steep", .slope = "2", .intercept = "-1024"};
    fixture *f = *state;
    f->options.store_duplicates = DUPLICATES_REPLACE;
    ingest_fixture_send_all(f, &ingest_usual, 0, 2);
    assert_true(ingest_pack(f->ingest));
    assert_int_equal(send(f, &steep, 1), DIMSE_WARNING_DUPLICATE);
    assert_true(ingest_pack(f->ingest));
    ingest_fixture_send_all(f, &ingest_usual, 2, 3);
    assert_true(ingest_pack(f->ingest));
    check_files(f, 0, 1, 2);
    check_holds(f, &steep, 1, 2);
    check_holds(f, &ingest_usual, 2, 3);
    assert_int_equal(send(f, &steep, 0), DIMSE_WARNING_DUPLICATE);
    assert_int_equal(send(f, &steep, 2), DIMSE_WARNING_DUPLICATE);
    assert_true(ingest_pack(f->ingest)); /* nothing of the old file is left: the new has its kind */
    check_files(f, 0, 1, 4);
    assert_int_equal(ingest_fixture_count(f, false, ".replaced.dcm"), 3);
    check_holds(f, &steep, 0, 3);
}

static char *only_packed(const fixture *f)
{
    char folder[4200];
    char *found = NULL;
    DIR *store = opendir(f->store);
    for (const struct dirent *e; (e = readdir(store)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(folder, sizeof folder, "%s/%s", f->store, e->d_name);
        DIR *study = opendir(folder);
        for (const struct dirent *file; (file = readdir(study)) != NULL;) {
            if (strstr(file->d_name, ".dcbs") != NULL)
                found = path_join(folder, file->d_name);
        }
        closedir(study);
    }
    closedir(store);
    assert_non_null(found);
    return found;
}

/* A file that this node did not write is never written anew, whatever its name. */
static void test_foreign_file_is_left(void **state)
{
    fixture *f = *state;
    ingest_fixture_send_all(f, &ingest_usual, 0, 3);
    assert_true(ingest_pack(f->ingest));
    char *path = only_packed(f);
    size_t nbytes, again_nbytes;
    uint8_t *bytes = read_whole_file(path, &nbytes);
    bytes[nbytes - 1] ^= 1; /* the trailer's footer: it is not ours any more */
    write_file(path, bytes, nbytes);
    ingest_fixture_send_all(f, &ingest_usual, 3, 5);
    assert_true(ingest_pack(f->ingest));
    check_files(f, 0, 2, 0);
    uint8_t *again = read_whole_file(path, &again_nbytes);
    assert_int_equal(again_nbytes, nbytes);
    assert_memory_equal(again, bytes, nbytes);
    assert_true(ingest_fixture_holds(f, &ingest_usual, 4));
    free(again);
    free(bytes);
    free(path);
}

/* The journal still holds what was packed: it does not come back from there. */
static void test_journal_does_not_bring_back(void **state)
{
    fixture *f = *state;
    f->options.durability = DURABILITY_FSYNC;
    ingest_fixture_stop(f);
    ingest_fixture_start(f);
    ingest_fixture_send_all(f, &ingest_usual, 0, 3);
    assert_true(ingest_pack(f->ingest));
    assert_int_equal(send(f, &ingest_usual, 3), DIMSE_SUCCESS);
    char *spool = path_join(f->store, INGEST_FOLDER), *journal = path_join(spool, "journal-0");
    char *note = NULL;
    size_t journal_nbytes, note_nbytes;
    DIR *folder = opendir(spool);
    for (const struct dirent *e; (e = readdir(folder)) != NULL;) {
        if (strncmp(e->d_name, "pack-", 5) == 0)
            note = path_join(spool, e->d_name);
    }
    closedir(folder);
    assert_non_null(note);
    uint8_t *journal_bytes = read_whole_file(journal, &journal_nbytes);
    uint8_t *note_bytes = read_whole_file(note, &note_nbytes);
    ingest_fixture_stop(f);
    assert_int_equal(access(note, F_OK), 0); /* until the next start */
    write_file(journal, journal_bytes, journal_nbytes);
    ingest_fixture_start(f);
    assert_int_equal(access(note, F_OK), -1);
    check_files(f, 1, 1, 0);
    check_holds(f, &ingest_usual, 0, 4);

    /* A note that was tampered with is an error that says so. */
    ingest_fixture_stop(f);
    note_bytes[20] ^= 1;
    write_file(note, note_bytes, note_nbytes);
    scp_error error = SCP_ERROR_INIT;
    scp_ingest *ingest = NULL;
    assert_int_equal(index_open(&f->index, f->state, &error), 0);
    assert_int_equal(ingest_open(&ingest, &f->options, f->index, f->series, &error), -1);
    assert_non_null(strstr(error.message, "is damaged"));
    index_close(f->index);
    assert_int_equal(unlink(note), 0);
    ingest_fixture_start(f);
    free(journal_bytes);
    free(note_bytes);
    free(note);
    free(journal);
    free(spool);
}

/* ---- Crashes ---- */

static void all_is_there(fixture *f)
{
    check_holds(f, &ingest_usual, 0, 2);
    check_holds(f, &ingest_other, 2, 3);
    check_holds(f, &ingest_usual, 3, 4);
}

/* In a process of its own: packs what came late, and replaces one. Ends at the n-th call. */
static void pack_and_crash(fixture *f, unsigned n)
{
    ingest_fixture_start(f);
    fail_disk_crash_at(n);
    const bool good = ingest_pack(f->ingest);
    _exit(good ? 0 : 1);
}

/* Where what came in is. */
typedef enum spool_kind { BY_ASYNC, BY_FSYNC, IN_THE_JOURNAL, NSPOOL_KINDS } spool_kind;

/* Nothing was packed yet; or a file is there, to be merged with a new slice, one of it replaced. */
static void prepare(fixture *f, bool merges, spool_kind kind)
{
    f->options.store_duplicates = DUPLICATES_REPLACE;
    /* Making the files of a journal takes longer than all else: not for every case. */
    f->options.durability = kind != BY_ASYNC ? DURABILITY_FSYNC : DURABILITY_ASYNC;
    ingest_fixture_stop(f);
    if (kind == IN_THE_JOURNAL)
        ingest_fixture_grow_journal(f);
    ingest_fixture_start(f);
    if (!merges) {
        ingest_fixture_send_all(f, &ingest_usual, 0, 2);
        ingest_fixture_send_all(f, &ingest_other, 2, 3);
        ingest_fixture_send_all(f, &ingest_usual, 3, 4);
        return;
    }
    ingest_fixture_send_all(f, &ingest_usual, 0, 3);
    assert_true(ingest_pack(f->ingest));
    assert_int_equal(send(f, &ingest_other, 2), DIMSE_WARNING_DUPLICATE);
    ingest_fixture_send_all(f, &ingest_usual, 3, 4);
}

static void test_crash_at_each_step(void **state)
{
    for (int merges = 0; merges < 2; merges++) {
        int status = DISK_CRASH;
        unsigned n = 0;
        while (status == DISK_CRASH) {
            fixture *f = *state;
            prepare(f, merges != 0, n % 4 == 1 ? BY_FSYNC : BY_ASYNC);
            ingest_fixture_stop(f);
            fflush(NULL);
            pid_t child = fork();
            n++;
            if (child == 0)
                pack_and_crash(f, n);
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_true(WIFEXITED(status));
            status = WEXITSTATUS(status);
            ingest_fixture_start(f);
            all_is_there(f);
            assert_int_equal(ingest_fixture_count(f, true, ".part"), 0);
            assert_true(ingest_pack(f->ingest));
            all_is_there(f);
            check_files(f, 0, 1, merges != 0 ? 1 : 0);
            ingest_fixture_stop(f);
            ingest_fixture_start(f);
            all_is_there(f);
            ingest_fixture_teardown(state);
            ingest_fixture_setup_async(state);
        }
        assert_int_equal(status, 0);
        assert_true(n > 20);
    }
}

/* ---- Errors ---- */

/* Whatever fails: all stays there, and goes through when the disk is good again. */
static void fail_each_write(void **state, spool_kind kind, bool forever)
{
    bool failed = true;
    for (unsigned n = 1; failed; n++) {
        fixture *f = *state;
        ingest_stats stats;
        prepare(f, true, kind);
        ingest_settle(f->ingest);
        fail_disk_at(n, forever ? ENOSPC : EIO, forever ? FAIL_DISK_FOREVER : FAIL_DISK_ANY_CALL);
        /* One that cannot be taken back is tried until it is done: not before the disk is. */
        ingest_get_stats(&stats, f->ingest);
        ingest_pack_start(f->ingest);
        while (stats.pack_failures == 0 && stats.spool_instances > 0) {
            usleep(1000);
            ingest_get_stats(&stats, f->ingest);
        }
        failed = fail_disk_end();
        ingest_settle(f->ingest);
        all_is_there(f);
        ingest_fixture_stop(f);
        ingest_fixture_start(f);
        all_is_there(f);
        assert_true(ingest_pack(f->ingest));
        all_is_there(f);
        check_files(f, 0, 1, 1);
        ingest_fixture_teardown(state);
        ingest_fixture_setup_async(state);
    }
}

static void test_each_write_fails_once(void **state)
{
    for (spool_kind kind = BY_ASYNC; kind < NSPOOL_KINDS; kind++)
        fail_each_write(state, kind, false);
}

static void test_each_write_fails_for_good(void **state)
{
    for (spool_kind kind = BY_ASYNC; kind < NSPOOL_KINDS; kind++)
        fail_each_write(state, kind, true);
}

int main(void)
{
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1); /* thousands of syncs */
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, ingest_fixture_setup_async, ingest_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_kind_comes_back),
        TEST(test_stats),
        TEST(test_found_again),
        TEST(test_kept),
        TEST(test_duplicates_of_packed),
        TEST(test_replaced_in_the_spool),
        TEST(test_replaced_by_a_kept_one),
        TEST(test_foreign_file_is_left),
        TEST(test_journal_does_not_bring_back),
        TEST(test_crash_at_each_step),
        TEST(test_each_write_fails_once),
        TEST(test_each_write_fails_for_good),
    };
    return cmocka_run_group_tests_name("ingest_pack", tests, NULL, NULL);
}
