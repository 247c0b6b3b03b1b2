/* SPDX-License-Identifier: Apache-2.0 */
/* The golden series as the index keeps them, against what the reader says of each frame. */
#include "index.h"
#include "index_record.h"
#include "temp_dir.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Indexes all files that match; returns how many. */
static int check_files(scp_index *index, const char *pattern)
{
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i];
        dcb_series *series = NULL;
        index_record *record = NULL;
        dcb_error error = DCB_ERROR_INIT;
        if (dcb_series_open(&series, path, NULL, &error) != DCB_OK ||
            index_record_create(&record, series, &error) != DCB_OK)
            fail_msg("%s: %s", path, error.message);
        const dcb_series_info *info = dcb_series_get_info(series);
        assert_int_equal(record->ninstances, info->nframes);
        assert_int_equal(record->nunusable, 0);
        assert_null(record->next);
        assert_string_equal(record->study_uid, info->study_instance_uid);
        assert_string_equal(record->series_uid, info->series_instance_uid);
        file_stamp stamp = {info->file_bytes, 1, i};
        uint32_t nduplicates = 0;
        assert_int_equal(index_put_file(index, path, &stamp, record, &nduplicates, NULL), 0);
        index_record_close(record);
        dcb_series_release(series);
    }
    int n = (int)found.gl_pathc;
    globfree(&found);
    return n;
}

/* Every instance that the index gives is what its file has there. */
static uint64_t check_instances(scp_index *index)
{
    index_cursor *cursor = NULL;
    index_instance instance;
    uint64_t n = 0;
    assert_int_equal(index_find_instances(&cursor, index, NULL, NULL), 0);
    char path[4096] = "";
    dcb_series *series = NULL;
    while (index_cursor_next_instance(cursor, &instance, NULL) == 1) {
        if (strcmp(path, instance.path) != 0) {
            dcb_series_release(series);
            snprintf(path, sizeof path, "%s", instance.path);
            assert_int_equal(dcb_series_open(&series, path, NULL, NULL), DCB_OK);
        }
        dcb_dataset *dataset = NULL;
        char uid[80];
        assert_int_equal(dcb_series_dataset(&dataset, series, instance.frame, true, NULL), DCB_OK);
        dcb_dataset_get_text(dataset, 0x00080018, uid, sizeof uid);
        assert_string_equal(uid, instance.sop_instance_uid);
        dcb_dataset_get_text(dataset, 0x00080016, uid, sizeof uid);
        assert_string_equal(uid, instance.sop_class_uid);
        dcb_dataset_get_text(dataset, 0x0020000d, uid, sizeof uid);
        assert_string_equal(uid, instance.study_instance_uid);
        dcb_dataset_close(dataset);
        n++;
    }
    dcb_series_release(series);
    index_cursor_close(cursor);
    return n;
}

static void golden_series(void **state)
{
    (void)state;
    char *dir = temp_dir_create();
    scp_index *index = NULL;
    assert_int_equal(index_open(&index, dir, NULL), 0);
    assert_true(check_files(index, TEST_DATA_DIR "/golden/*/series.dcbs") >= 10);
    check_files(index, GOLDEN_DIR "/*/series.dcbs"); /* more, where they are */
    index_totals totals;
    assert_int_equal(index_get_totals(index, &totals, NULL), 0);
    assert_true(totals.instances > 0);
    assert_int_equal(check_instances(index), totals.instances);
    index_close(index);
    temp_dir_remove(dir);
}

/* tiny3 by hand: format section 1 shows its metadata. */
static void tiny3(void **state)
{
    (void)state;
    dcb_series *series = NULL;
    index_record *record = NULL;
    assert_int_equal(
        dcb_series_open(&series, TEST_DATA_DIR "/golden/tiny3/series.dcbs", NULL, NULL), DCB_OK);
    assert_int_equal(index_record_create(&record, series, NULL), DCB_OK);
    assert_int_equal(record->ninstances, 3);
    assert_string_equal(record->instances[0].sop_instance_uid, "1.2.3.1");
    assert_string_equal(record->instances[1].sop_instance_uid, "1.2.3.2");
    assert_string_equal(record->instances[2].sop_instance_uid, "1.2.3.3");
    assert_string_equal(record->folded_names, "muller^jorg\\muller^jorg");
    index_record_close(record);
    dcb_series_release(series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_series),
        cmocka_unit_test(tiny3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
