/* SPDX-License-Identifier: Apache-2.0 */
/* Out of memory at every point: the call says so, and the index is as it was. */
#include "fail_alloc.h"
#include "index_file.h"
#include "temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const index_file first = {"/a/1.dcbs", 1,       "P",  NULL, "Müller^Jörg=山田",
                                 "1",         NULL,    NULL, "d",  "1.1",
                                 "CT",        "1.1.1", 1,    3};
static const index_file second = {"/a/2.dcbs", 2,       "P",  NULL, "Müller^Jörg=山田",
                                  "1",         NULL,    NULL, "d",  "1.1",
                                  "CT",        "1.1.1", 2,    2};

typedef struct fixture {
    char *dir;
    scp_index *index;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->dir = temp_dir_create();
    assert_int_equal(index_open(&f->index, f->dir, NULL), 0);
    index_file_put(f->index, &first);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    index_close(f->index);
    temp_dir_remove(f->dir);
    free(f);
    return 0;
}

static void assert_totals(scp_index *index, uint64_t files, uint64_t instances)
{
    index_totals totals;
    assert_int_equal(index_get_totals(index, &totals, NULL), 0);
    assert_int_equal(totals.files, files);
    assert_int_equal(totals.instances, instances);
    assert_int_equal(totals.patients, 1);
}

static void putting(void **state)
{
    fixture *f = *state;
    index_record *record = index_file_record(&second);
    file_stamp stamp = index_file_stamp(&second);
    bool failed = true;
    for (unsigned n = 1; failed; n++) {
        uint32_t nduplicates = 0;
        scp_error error = SCP_ERROR_INIT;
        fail_alloc_at(n);
        int result = index_put_file(f->index, second.path, &stamp, record, &nduplicates, &error);
        failed = fail_alloc_end();
        assert_int_equal(result, failed ? -1 : 0);
        if (failed) {
            assert_non_null(strstr(error.message, "out of memory"));
            assert_totals(f->index, 1, 3);
        } else {
            assert_true(n > 10);
            assert_int_equal(nduplicates, 2);
        }
    }
    assert_totals(f->index, 2, 3);
    index_record_close(record);
}

static void removing(void **state)
{
    fixture *f = *state;
    index_file_put(f->index, &second);
    bool failed = true, removed = false;
    for (unsigned n = 1; failed; n++) {
        fail_alloc_at(n);
        int result = index_remove_file(f->index, second.path, &removed, NULL);
        failed = fail_alloc_end();
        assert_int_equal(result, failed ? -1 : 0);
        assert_totals(f->index, failed ? 2 : 1, 3);
    }
    assert_true(removed);
}

/* All of it, or nothing. */
static void switching(void **state)
{
    fixture *f = *state;
    index_record *record = index_file_record(&second);
    const index_entry entry = {second.path, index_file_stamp(&second), record};
    const char *const gone[] = {first.path, "/a/never.dcbs"};
    bool failed = true;
    for (unsigned n = 1; failed; n++) {
        scp_error error = SCP_ERROR_INIT;
        fail_alloc_at(n);
        int result = index_switch_files(f->index, &entry, 1, gone, 2, &error);
        failed = fail_alloc_end();
        assert_int_equal(result, failed ? -1 : 0);
        assert_totals(f->index, 1, failed ? 3 : 2);
        assert_true(!failed || strstr(error.message, "out of memory") != NULL);
    }
    index_record_close(record);
}

/* One query from start to end; the number of records, or -1. */
static int query(scp_index *index, scp_error *error)
{
    static const char *const studies[] = {"1", "2"};
    index_filter filter = {.study_uids = studies, .nstudy_uids = 2, .patient_name_prefix = "mull"};
    index_cursor *cursor = NULL;
    if (index_find(&cursor, index, LEVEL_IMAGE, &filter, error) != 0) {
        assert_null(cursor);
        return -1;
    }
    const dcb_dataset *record = NULL;
    int n = 0, result;
    while ((result = index_cursor_next(cursor, &record, error)) == 1)
        n++;
    index_cursor_close(cursor);
    return result == 0 ? n : -1;
}

static void querying(void **state)
{
    fixture *f = *state;
    bool failed = true;
    for (unsigned n = 1; failed; n++) {
        scp_error error = SCP_ERROR_INIT;
        fail_alloc_at(n);
        int nrecords = query(f->index, &error);
        failed = fail_alloc_end();
        assert_int_equal(nrecords, failed ? -1 : 3);
        assert_int_equal(failed, strstr(error.message, "out of memory") != NULL);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(putting),
        TEST(removing),
        TEST(switching),
        TEST(querying),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
