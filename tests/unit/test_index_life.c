/* SPDX-License-Identifier: Apache-2.0 */
/* test_index_life.c - readers beside a writer; folders and databases that cannot be used. */
#include "index_fixture.h"
#include "temp_dir.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static void readers_see_one_state(void **state)
{
    index_fixture *f = *state;
    index_file_put(f->index, &archive[0]);
    index_cursor *cursor = NULL;
    assert_int_equal(index_find_instances(&cursor, f->index, NULL, NULL), 0);
    index_begin_batch(f->index);
    index_file_put(f->index, &archive[1]);
    assert_int_equal(index_end_batch(f->index, NULL), 0);
    bool removed = false;
    assert_int_equal(index_remove_file(f->index, archive[0].path, &removed, NULL), 0);
    index_instance instance;
    int n = 0;
    while (index_cursor_next_instance(cursor, &instance, NULL) == 1) {
        assert_string_equal(instance.path, archive[0].path);
        n++;
    }
    assert_int_equal(n, 3);
    index_cursor_close(cursor);
    assert_instances(f->index, NULL, "/a/ct1b.dcbs#0 1.1.1.2.1\n/a/ct1b.dcbs#1 1.1.1.2.2\n");
}

/* ---- Readers beside a writer ---- */

typedef struct reading {
    scp_index *index;
    atomic_bool *done;
    int nfaults, nqueries;
} reading;

/* Every file has four instances: a series must have all four or not be there. */
static void *read_all_the_time(void *context)
{
    reading *r = context;
    do {
        index_cursor *cursor = NULL;
        const dcb_dataset *record = NULL;
        int n = 0, result = 0;
        char count[16] = "";
        if (index_find(&cursor, r->index, LEVEL_IMAGE, NULL, NULL) != 0) {
            r->nfaults++;
            break;
        }
        while ((result = index_cursor_next(cursor, &record, NULL)) == 1) {
            dcb_dataset_get_text(record, 0x00201209, count, sizeof count);
            r->nfaults += strcmp(count, "4") != 0;
            n++;
        }
        r->nfaults += result != 0 || n % 4 != 0;
        r->nqueries++;
        index_cursor_close(cursor);
    } while (!atomic_load(r->done));
    return NULL;
}

static void readers_beside_a_writer(void **state)
{
    index_fixture *f = *state;
    enum { NREADERS = 4 };
    pthread_t threads[NREADERS];
    reading readings[NREADERS];
    atomic_bool done = false;
    for (int i = 0; i < NREADERS; i++) {
        readings[i] = (reading){.index = f->index, .done = &done};
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &readings[i]), 0);
    }
    for (int i = 0; i < 200; i++) {
        char path[32], series[32], sop[32];
        snprintf(path, sizeof path, "/a/%d.dcbs", i % 7);
        snprintf(series, sizeof series, "1.%d", i % 7);
        snprintf(sop, sizeof sop, "2.%d", i);
        index_file file = {path, i, "P", NULL, "N", "1", NULL, NULL, "d", series, "CT", sop, 1, 4};
        bool removed = false;
        if (i % 20 == 0)
            index_begin_batch(f->index);
        if (i % 3 == 0)
            assert_int_equal(index_remove_file(f->index, path, &removed, NULL), 0);
        else
            index_file_put(f->index, &file);
        if (i % 20 == 9)
            assert_int_equal(index_end_batch(f->index, NULL), 0);
    }
    atomic_store(&done, true);
    for (int i = 0; i < NREADERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readings[i].nfaults, 0);
        assert_true(readings[i].nqueries > 0);
    }
}

static void one_node_for_a_state_dir(void **state)
{
    index_fixture *f = *state;
    scp_index *second = NULL;
    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(index_open(&second, f->dir, &error), -1);
    assert_null(second);
    assert_non_null(strstr(error.message, "in use by another dcbscp"));
    assert_non_null(strstr(error.message, f->dir));
}

static void state_dirs_that_cannot_be(void **state)
{
    index_fixture *f = *state;
    char *file = path_join(f->dir, "file"), *missing = path_join(f->dir, "no/such");
    write_file(file, "x", 1);
    scp_index *index = NULL;
    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(index_open(&index, file, &error), -1);
    assert_non_null(strstr(error.message, "is not a folder"));
    assert_int_equal(index_open(&index, missing, &error), -1);
    assert_non_null(strstr(error.message, "cannot make the state folder"));
    free(file);
    free(missing);
}

static void overwrite(const char *database, const char *bytes, long offset)
{
    FILE *file = fopen(database, "r+b");
    assert_non_null(file);
    fseek(file, offset, SEEK_SET);
    fwrite(bytes, 1, strlen(bytes), file);
    fclose(file);
}

static void unusable_indexes_are_made_anew(void **state)
{
    index_fixture *f = *state;
    static const struct {
        const char *bytes;
        long offset;
    } cases[] = {{"not a database at all", 0},
                 {"\x7f\x7f\x7f\x7f", 60}, /* user_version */
                 {"garbage in the first page's cells", 100}};
    char *database = path_join(f->dir, "index.sqlite"),
         *aside = path_join(f->dir, "index.sqlite.old");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        index_fixture_fill(f->index);
        index_close(f->index);
        overwrite(database, cases[i].bytes, cases[i].offset);
        f->index = index_fixture_open(f->dir);
        index_totals totals;
        assert_int_equal(index_get_totals(f->index, &totals, NULL), 0);
        assert_int_equal(totals.files, 0);
        assert_int_equal(access(aside, F_OK), 0);
        assert_int_equal(unlink(aside), 0);
    }
    /* A usable one is kept. */
    index_fixture_fill(f->index);
    index_close(f->index);
    f->index = index_fixture_open(f->dir);
    index_totals totals;
    assert_int_equal(index_get_totals(f->index, &totals, NULL), 0);
    assert_int_equal(totals.files, 7);
    struct stat st;
    assert_int_equal(stat(database, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    free(database);
    free(aside);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, index_fixture_setup, index_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(readers_see_one_state),          TEST(readers_beside_a_writer),
        TEST(one_node_for_a_state_dir),       TEST(state_dirs_that_cannot_be),
        TEST(unusable_indexes_are_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
