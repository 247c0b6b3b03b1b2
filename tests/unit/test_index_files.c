/* SPDX-License-Identifier: Apache-2.0 */
/* test_index_files.c - files that come, change and go. */
#include "index_fixture.h"
#include "index_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SOP         0x00080018
#define MODALITY    0x00080060
#define DESCRIPTION 0x00081030
#define NAME        0x00100010
#define ID          0x00100020
#define STUDY       0x0020000d
#define SERIES      0x0020000e

static void duplicates(void **state)
{
    index_fixture *f = *state;
    index_file older = {"/a/x.dcbs", 100,     "P",   NULL, "N", "1", NULL,
                        NULL,        "older", "1.1", "CT", "9", 1,   3};
    index_file newer = older;
    newer.path = "/a/y.dcbs", newer.mtime_ns = 200, newer.description = "newer", newer.n = 2;
    assert_int_equal(index_file_put(f->index, &newer), 0);
    assert_int_equal(index_file_put(f->index, &older), 2);
    const char *both = "/a/x.dcbs#2 9.3\n/a/y.dcbs#0 9.1\n/a/y.dcbs#1 9.2\n";
    assert_instances(f->index, NULL, both);
    assert_find(f->index, LEVEL_SERIES, NULL, "newer|3|3|3\n", DESCRIPTION, 0x00201204, 0x00201208,
                0x00201209);
    /* The older one touched: now it is the newer. */
    older.mtime_ns = 300;
    assert_int_equal(index_file_put(f->index, &older), 2);
    assert_instances(f->index, NULL, "/a/x.dcbs#0 9.1\n/a/x.dcbs#1 9.2\n/a/x.dcbs#2 9.3\n");
    assert_find(f->index, LEVEL_SERIES, NULL, "older|3\n", DESCRIPTION, 0x00201209);
    /* At the same time the path decides. */
    newer.mtime_ns = 300;
    assert_int_equal(index_file_put(f->index, &newer), 2);
    assert_instances(f->index, NULL, both);
    bool removed = false;
    assert_int_equal(index_remove_file(f->index, "/a/y.dcbs", &removed, NULL), 0);
    assert_true(removed);
    assert_instances(f->index, NULL, "/a/x.dcbs#0 9.1\n/a/x.dcbs#1 9.2\n/a/x.dcbs#2 9.3\n");
}

/* The file was written again under another patient and study: the series is not there twice, until
   the newer one goes. */
static void duplicates_in_another_study(void **state)
{
    index_fixture *f = *state;
    index_file older = {"/a/x.dcbs", 100, "P",   NULL, "N", "1", NULL,
                        NULL,        "d", "1.1", "CT", "9", 1,   2};
    index_file newer = older;
    newer.path = "/a/y.dcbs", newer.mtime_ns = 200, newer.study = "2", newer.patient_id = "Q";
    index_file_put(f->index, &older);
    assert_int_equal(index_file_put(f->index, &newer), 2);
    assert_find(f->index, LEVEL_STUDY, NULL, "Q|2|1|1|2\n", ID, STUDY, 0x00201200, 0x00201202,
                0x00201204);
    assert_find(f->index, LEVEL_SERIES, NULL, "2|1.1\n", STUDY, SERIES);
    index_totals totals;
    assert_int_equal(index_get_totals(f->index, &totals, NULL), 0);
    assert_int_equal(totals.studies, 1);
    assert_int_equal(totals.files, 2);
    assert_int_equal(totals.instances, 2);
    bool removed = false;
    assert_int_equal(index_remove_file(f->index, "/a/y.dcbs", &removed, NULL), 0);
    assert_find(f->index, LEVEL_SERIES, NULL, "1|1.1|2\n", STUDY, SERIES, 0x00201209);
}

/* Two series with the same SOP Instance UIDs: each has all of its own. */
static void duplicates_in_another_series(void **state)
{
    index_fixture *f = *state;
    index_file one = {"/a/x.dcbs", 100, "P",   NULL, "N", "1", NULL,
                      NULL,        "d", "1.1", "CT", "9", 1,   2};
    index_file other = one;
    other.path = "/a/y.dcbs", other.mtime_ns = 200, other.series = "1.2";
    index_file_put(f->index, &one);
    assert_int_equal(index_file_put(f->index, &other), 2);
    assert_find(f->index, LEVEL_SERIES, NULL, "1.1|2|4\n1.2|2|4\n", SERIES, 0x00201209, 0x00201208);
    assert_instances(f->index, NULL,
                     "/a/x.dcbs#0 9.1\n/a/x.dcbs#1 9.2\n/a/y.dcbs#0 9.1\n/a/y.dcbs#1 9.2\n");
    /* The first written anew in another file: its newest shows, the other series is as it was. */
    index_file anew = one;
    anew.path = "/a/z.dcbs", anew.mtime_ns = 150;
    assert_int_equal(index_file_put(f->index, &anew), 2);
    assert_instances(f->index, NULL,
                     "/a/z.dcbs#0 9.1\n/a/z.dcbs#1 9.2\n/a/y.dcbs#0 9.1\n/a/y.dcbs#1 9.2\n");
    bool removed = false;
    assert_int_equal(index_remove_file(f->index, "/a/y.dcbs", &removed, NULL), 0);
    assert_find(f->index, LEVEL_SERIES, NULL, "1.1|2\n", SERIES, 0x00201209);
}

/* At IMAGE level the series' attributes are those of the instance's own file. */
static void a_series_in_two_files(void **state)
{
    index_fixture *f = *state;
    index_file one = {"/a/x.dcbs", 200, "P",   NULL, "N", "1", NULL,
                      NULL,        "d", "1.1", "CT", "8", 1,   1};
    index_file other = one;
    other.path = "/a/y.dcbs", other.mtime_ns = 100, other.modality = "MR", other.sop = "9",
    other.first = 2;
    index_file_put(f->index, &one);
    index_file_put(f->index, &other);
    assert_find(f->index, LEVEL_SERIES, NULL, "1.1|CT|2\n", SERIES, MODALITY, 0x00201209);
    assert_find(f->index, LEVEL_IMAGE, NULL, "8.1|CT|2\n9.1|MR|2\n", SOP, MODALITY, 0x00201209);
}

/* A file whose slices name two patients: each is found under its own, and both go with the file. */
static void several_series_in_a_file(void **state)
{
    index_fixture *f = *state;
    index_file one = {"/a/x.dcbs", 100, "P1",  NULL, "A", "1", NULL,
                      NULL,        "d", "1.1", "CT", "8", 1,   2};
    index_file two = one;
    two.patient_id = "P2", two.name = "B", two.sop = "9", two.n = 1;
    const file_stamp stamp = index_file_stamp(&one);
    for (int times = 0; times < 2; times++) { /* put again, it replaces itself */
        index_record *record = index_file_record(&one);
        record->next = index_file_record(&two);
        record->next->instances[0].frame = 2;
        uint32_t nduplicates = 9;
        assert_int_equal(index_put_file(f->index, one.path, &stamp, record, &nduplicates, NULL), 0);
        assert_int_equal(nduplicates, 0);
        index_record_close(record);
    }
    assert_find(f->index, LEVEL_STUDY, NULL, "P1|A|1|2\nP2|B|1|1\n", ID, NAME, STUDY, 0x00201208);
    assert_find(f->index, LEVEL_IMAGE, &(index_filter){.patient_id = "P2"}, "P2|B|9.1\n", ID, NAME,
                SOP);
    assert_instances(f->index, &(index_filter){.patient_id = "P1"},
                     "/a/x.dcbs#0 8.1\n/a/x.dcbs#1 8.2\n");
    assert_instances(f->index, &(index_filter){.patient_id = "P2"}, "/a/x.dcbs#2 9.1\n");
    bool known = false, bad = false;
    assert_int_equal(index_has_file(f->index, one.path, &stamp, &known, &bad, NULL), 0);
    assert_true(known && !bad);
    index_totals totals, nothing = {0};
    assert_int_equal(index_get_totals(f->index, &totals, NULL), 0);
    assert_int_equal(totals.files, 1);
    assert_int_equal(totals.series, 2);
    bool removed = false;
    assert_int_equal(index_remove_file(f->index, one.path, &removed, NULL), 0);
    assert_true(removed);
    assert_int_equal(index_get_totals(f->index, &totals, NULL), 0);
    totals.index_bytes = 0;
    assert_memory_equal(&totals, &nothing, sizeof totals);
}

static void replaced_and_removed(void **state)
{
    index_fixture *f = *state;
    index_fixture_fill(f->index);
    index_file moved = archive[3];
    moved.patient_id = "P9", moved.study = "7", moved.series = "7.1", moved.mtime_ns = 500;
    index_file_put(f->index, &moved);
    index_filter old = {.patient_id = "P1"}, new = {.patient_id = "P9"};
    assert_find(f->index, LEVEL_STUDY, &old, "1.1\n1.3\n", STUDY);
    assert_find(f->index, LEVEL_STUDY, &new, "7\n", STUDY);
    bool removed = false;
    assert_int_equal(index_remove_file(f->index, "/a/ct1b.dcbs", &removed, NULL), 0);
    assert_true(removed);
    assert_int_equal(index_remove_file(f->index, "/a/ct1b.dcbs", &removed, NULL), 0);
    assert_false(removed);
    /* sr.dcbs is now the newest of study 1.1. */
    assert_find(f->index, LEVEL_STUDY, &old, "1.1|sr|4\n1.3|x|2\n", STUDY, DESCRIPTION, 0x00201208);
    for (size_t i = 0; i < ARCHIVE_NFILES; i++)
        assert_int_equal(index_remove_file(f->index, archive[i].path, &removed, NULL), 0);
    index_totals totals, nothing = {0};
    assert_int_equal(index_get_totals(f->index, &totals, NULL), 0);
    totals.index_bytes = 0;
    assert_memory_equal(&totals, &nothing, sizeof totals);
    assert_find(f->index, LEVEL_PATIENT, NULL, "", ID);
}

/* Two files into one, in the middle of a batch of others: a reader sees the state before or after.
 */
static void switched(void **state)
{
    index_fixture *f = *state;
    index_file both = archive[0];
    index_cursor *before = NULL;
    index_instance instance;
    both.path = "/a/packed.dcbs", both.mtime_ns = 199;
    index_fixture_fill(f->index);
    index_record *record = index_file_record(&both);
    const index_entry entry = {both.path, index_file_stamp(&both), record};
    const char *const gone[] = {archive[0].path, archive[1].path, "/a/unknown.dcbs"};
    const index_filter filter = {.series_uids = &archive[0].series, .nseries_uids = 1};
    assert_int_equal(index_find_instances(&before, f->index, &filter, NULL), 0);
    index_begin_batch(f->index);
    index_file_put(f->index, &archive[3]);
    assert_int_equal(index_switch_files(f->index, &entry, 1, gone, 3, NULL), 0);
    assert_instances(f->index, &filter,
                     "/a/packed.dcbs#0 1.1.1.1.1\n/a/packed.dcbs#1 1.1.1.1.2\n"
                     "/a/packed.dcbs#2 1.1.1.1.3\n");
    assert_int_equal(index_end_batch(f->index, NULL), 0);
    int n = 0;
    while (index_cursor_next_instance(before, &instance, NULL) == 1)
        n += strcmp(instance.path, both.path) != 0;
    assert_int_equal(n, 5);
    index_cursor_close(before);
    index_record_close(record);
}

static bool keep_mr(void *context, const char *path)
{
    ++*(int *)context;
    return strcmp(path, "/a/mr.dcbs") == 0;
}

static void removes_folders(void **state)
{
    index_fixture *f = *state;
    index_fixture_fill(f->index);
    index_file beside = archive[0];
    beside.path = "/a.dcbs", beside.sop = "6.6";
    index_file_put(f->index, &beside);
    int asked = 0;
    uint32_t nremoved = 0;
    assert_int_equal(index_remove_files(f->index, "/a", keep_mr, &asked, &nremoved, NULL), 0);
    assert_int_equal(asked, 4);
    assert_int_equal(nremoved, 3);
    assert_find(f->index, LEVEL_STUDY, NULL, "1.1|3\n1.2|4\n1.3|2\n1.4|1\n1.5|1\n", STUDY,
                0x00201208);
    assert_int_equal(index_remove_files(f->index, NULL, keep_mr, &asked, &nremoved, NULL), 0);
    assert_int_equal(nremoved, 4);
    assert_find(f->index, LEVEL_STUDY, NULL, "1.2|4\n", STUDY, 0x00201208);
}

static void bad_files(void **state)
{
    index_fixture *f = *state;
    file_stamp stamp = {10, 100, 1}, later = {10, 101, 1};
    bool news = false, known = false, bad = false;
    assert_int_equal(index_put_bad_file(f->index, "/a/x.dcbs", &stamp, "short", &news, NULL), 0);
    assert_true(news);
    assert_int_equal(index_put_bad_file(f->index, "/a/x.dcbs", &later, "short", &news, NULL), 0);
    assert_true(news);
    assert_int_equal(index_put_bad_file(f->index, "/a/x.dcbs", &later, "short", &news, NULL), 0);
    assert_false(news);
    index_close(f->index); /* remembered */
    f->index = index_fixture_open(f->dir);
    assert_int_equal(index_has_file(f->index, "/a/x.dcbs", &later, &known, &bad, NULL), 0);
    assert_true(known && bad);
    assert_int_equal(index_has_file(f->index, "/a/x.dcbs", &stamp, &known, &bad, NULL), 0);
    assert_false(known || bad);
    assert_int_equal(index_put_bad_file(f->index, "/a/x.dcbs", &later, "long", &news, NULL), 0);
    assert_true(news);
    index_totals totals;
    index_get_totals(f->index, &totals, NULL);
    assert_int_equal(totals.bad_files, 1);
    assert_int_equal(totals.files, 0);
    index_file mended = archive[0];
    mended.path = "/a/x.dcbs";
    index_file_put(f->index, &mended);
    stamp = index_file_stamp(&mended);
    index_has_file(f->index, "/a/x.dcbs", &stamp, &known, &bad, NULL);
    assert_true(known && !bad);
    /* And bad again: its instances are gone. */
    assert_int_equal(index_put_bad_file(f->index, "/a/x.dcbs", &later, "long", &news, NULL), 0);
    assert_true(news);
    assert_find(f->index, LEVEL_PATIENT, NULL, "", ID);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, index_fixture_setup, index_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(duplicates),
        TEST(duplicates_in_another_study),
        TEST(duplicates_in_another_series),
        TEST(a_series_in_two_files),
        TEST(several_series_in_a_file),
        TEST(replaced_and_removed),
        TEST(switched),
        TEST(removes_folders),
        TEST(bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
