/* SPDX-License-Identifier: Apache-2.0 */
/* test_index.c - what queries find. */
#include "index_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define CHARSET     0x00080005
#define SOP         0x00080018
#define MODALITY    0x00080060
#define MODALITIES  0x00080061
#define CLASSES     0x00080062
#define DESCRIPTION 0x00081030
#define NAME        0x00100010
#define ID          0x00100020
#define STUDY       0x0020000d
#define SERIES      0x0020000e
#define NUMBER      0x00200013

static void levels_and_counts(void **state)
{
    index_fixture *f = *state;
    index_fixture_fill(f->index);
    assert_find(f->index, LEVEL_PATIENT, NULL,
                "-|Nobody|-|1|1|1\n"
                "-|Nobody|-|1|1|1\n"
                "P1|Müller^Jörg|ISO_IR 192|2|3|10\n"
                "P1|Yamada^Tarou=山田^太郎=やまだ^たろう|ISO_IR 192|1|1|2\n",
                ID, NAME, CHARSET, 0x00201200, 0x00201202, 0x00201204);
    assert_find(f->index, LEVEL_STUDY, NULL,
                "-|1.4|x|US|1.2.840.10008.5.1.4.1.1.2|1|1|1\n"
                "-|1.5|x|US|1.2.840.10008.5.1.4.1.1.2|1|1|1\n"
                "P1|1.1|new|CT\\SR|1.2.840.10008.5.1.4.1.1.2|2|6|2\n"
                "P1|1.2|mr|MR|1.2.840.10008.5.1.4.1.1.2|1|4|2\n"
                "P1|1.3|x|CT|1.2.840.10008.5.1.4.1.1.2|1|2|1\n",
                ID, STUDY, DESCRIPTION, MODALITIES, CLASSES, 0x00201206, 0x00201208, 0x00201200);
    const char *study[] = {"1.1"};
    index_filter one = {.study_uids = study, .nstudy_uids = 1};
    assert_find(f->index, LEVEL_SERIES, &one, "1.1|1.1.1|CT|5\n1.1|1.1.2|SR|1\n", STUDY, SERIES,
                MODALITY, 0x00201209);
    assert_find(f->index, LEVEL_IMAGE, &one,
                "1.1.1|1.1.1.1.1|1\n1.1.1|1.1.1.1.2|2\n1.1.1|1.1.1.1.3|3\n1.1.1|1.1.1.2.1|4\n"
                "1.1.1|1.1.1.2.2|5\n1.1.2|1.1.2.1.1|1\n",
                SERIES, SOP, NUMBER);
    /* Only what belongs to the level: not the image's rows. */
    assert_find(f->index, LEVEL_IMAGE, &one, "-|5\n-|5\n-|5\n-|5\n-|5\n-|1\n", 0x00280010,
                0x00201209);
}

static void filters(void **state)
{
    index_fixture *f = *state;
    index_fixture_fill(f->index);
    static const char *const two_studies[] = {"1.2", "1.3", "no \"such\" \\ one\x01"};
    static const char *const series[] = {"1.1.2"}, *const two_series[] = {"1.1.2", "1.5.1"};
    static const char *const sops[] = {"1.1.1.2.2", "1.3.1.1.1"}, *const sop[] = {"1.4.1.1.1"};
    static const struct {
        index_filter filter;
        query_level level;
        const char *found; /* study, series or instance UIDs */
    } cases[] = {
        {{.patient_id = "P1"}, LEVEL_STUDY, "1.1\n1.2\n1.3\n"},
        {{.patient_id = "p1"}, LEVEL_STUDY, ""},
        {{.patient_id = ""}, LEVEL_STUDY, "1.4\n1.5\n"},
        {{.study_uids = two_studies, .nstudy_uids = 3}, LEVEL_STUDY, "1.2\n1.3\n"},
        {{.study_uids = two_studies, .nstudy_uids = 1}, LEVEL_STUDY, "1.2\n"},
        {{.study_date_from = "20240101"}, LEVEL_STUDY, "1.1\n1.2\n"},
        {{.study_date_to = "20240101"}, LEVEL_STUDY, "1.1\n1.3\n"},
        {{.study_date_from = "20231231", .study_date_to = "20231231"}, LEVEL_STUDY, "1.3\n"},
        {{.accession_number = "ACC2"}, LEVEL_STUDY, "1.2\n"},
        {{.patient_name_prefix = "muller"}, LEVEL_STUDY, "1.1\n1.2\n"},
        {{.patient_name_prefix = "mueller"}, LEVEL_STUDY, ""}, /* the newest file's name counts */
        {{.patient_name_prefix = "yamada"}, LEVEL_STUDY, "1.3\n"},
        {{.patient_name_prefix = "山田^太"}, LEVEL_STUDY, "1.3\n"},
        {{.patient_name_prefix = "やまだ^たろう"}, LEVEL_STUDY, "1.3\n"},
        {{.patient_name_prefix = "yamada^tarou=山"}, LEVEL_STUDY, "1.3\n"},
        {{.patient_name_prefix = "yamadb"}, LEVEL_STUDY, ""},
        {{.patient_name_prefix = ""}, LEVEL_STUDY, "1.1\n1.2\n1.3\n1.4\n1.5\n"},
        {{.modality = "SR"}, LEVEL_STUDY, "1.1\n"},
        {{.modality = "S"}, LEVEL_STUDY, ""},
        {{.modality = "CT"}, LEVEL_SERIES, "1.1.1\n1.3.1\n"},
        {{.modality = "CT",
          .patient_id = "P1",
          .study_date_from = "20240101",
          .patient_name_prefix = "m"},
         LEVEL_SERIES,
         "1.1.1\n"},
        {{.series_uids = series, .nseries_uids = 1}, LEVEL_SERIES, "1.1.2\n"},
        {{.series_uids = two_series, .nseries_uids = 2}, LEVEL_SERIES, "1.1.2\n1.5.1\n"},
        {{.series_uids = series, .nseries_uids = 1},
         LEVEL_STUDY, /* below the level: not used */
         "1.1\n1.2\n1.3\n1.4\n1.5\n"},
        {{.sop_uids = sop, .nsop_uids = 1}, LEVEL_IMAGE, "1.4.1.1.1\n"},
        {{.sop_uids = sops, .nsop_uids = 2}, LEVEL_IMAGE, "1.1.1.2.2\n1.3.1.1.1\n"},
        {{.sop_uids = sops, .nsop_uids = 2, .study_uids = two_studies, .nstudy_uids = 3},
         LEVEL_IMAGE,
         "1.3.1.1.1\n"},
    };
    static const uint32_t uid[] = {ID, STUDY, SERIES, SOP};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_find(f->index, cases[i].level, &cases[i].filter, cases[i].found,
                    uid[cases[i].level]);
    /* A prefix of the whole PatientName at the patient level. */
    index_filter name = {.patient_name_prefix = "nob"};
    assert_find(f->index, LEVEL_PATIENT, &name, "Nobody\nNobody\n", NAME);
}

static void instances_in_order(void **state)
{
    index_fixture *f = *state;
    index_fixture_fill(f->index);
    index_filter patient = {.patient_id = "P1", .study_date_to = "20240101"};
    /* /a/ct1.dcbs before /a/ct1b.dcbs by InstanceNumber. */
    assert_instances(f->index, &patient,
                     "/a/ct1.dcbs#0 1.1.1.1.1\n/a/ct1.dcbs#1 1.1.1.1.2\n/a/ct1.dcbs#2 1.1.1.1.3\n"
                     "/a/ct1b.dcbs#0 1.1.1.2.1\n/a/ct1b.dcbs#1 1.1.1.2.2\n/a/sr.dcbs#0 1.1.2.1.1\n"
                     "/b/other.dcbs#0 1.3.1.1.1\n/b/other.dcbs#1 1.3.1.1.2\n");
    static const char *const studies[] = {"1.5", "1.4"};
    index_filter list = {.study_uids = studies, .nstudy_uids = 2};
    assert_instances(f->index, &list, "/b/noid.dcbs#0 1.4.1.1.1\n/b/noid2.dcbs#0 1.5.1.1.1\n");
    index_filter none = {.patient_id = "P2"};
    assert_instances(f->index, &none, "");
}

static void first_instance_of_a_record(void **state)
{
    index_fixture *f = *state;
    index_fixture_fill(f->index);
    static const struct {
        query_level level;
        const char *path, *sop;
    } cases[] = {{LEVEL_PATIENT, "/a/ct1.dcbs", "1.1.1.1.1"},
                 {LEVEL_STUDY, "/a/mr.dcbs", "1.2.1.1.1"},
                 {LEVEL_SERIES, "/a/sr.dcbs", "1.1.2.1.1"},
                 {LEVEL_IMAGE, "/a/ct1b.dcbs", "1.1.1.2.2"}};
    static const char *const study[] = {"1.2"}, *const series[] = {"1.1.2"},
                             *const sop[] = {"1.1.1.2.2"};
    index_filter filters_by_level[] = {{.patient_id = "P1"},
                                       {.study_uids = study, .nstudy_uids = 1},
                                       {.series_uids = series, .nseries_uids = 1},
                                       {.sop_uids = sop, .nsop_uids = 1}};
    for (size_t i = 0; i < 4; i++) {
        index_cursor *cursor = NULL;
        scp_error error = SCP_ERROR_INIT;
        const dcb_dataset *record = NULL;
        index_instance instance;
        assert_int_equal(
            index_find(&cursor, f->index, cases[i].level, &filters_by_level[i], &error), 0);
        assert_int_equal(index_cursor_instance(cursor, &instance, &error), -1); /* no record yet */
        assert_int_equal(index_cursor_next(cursor, &record, &error), 1);
        assert_int_equal(index_cursor_instance(cursor, &instance, &error), 0);
        assert_string_equal(instance.path, cases[i].path);
        assert_string_equal(instance.sop_instance_uid, cases[i].sop);
        assert_string_equal(instance.sop_class_uid, "1.2.840.10008.5.1.4.1.1.2");
        index_cursor_close(cursor);
    }
}

/* The same StudyInstanceUID under another PatientID is never merged. */
static void patients_are_not_merged(void **state)
{
    index_fixture *f = *state;
    index_file first = {"/a/x.dcbs", 100, "P1",  NULL, "A", "1", NULL,
                        NULL,        "d", "1.1", "CT", "8", 1,   1};
    index_file second = first;
    second.path = "/a/y.dcbs", second.patient_id = "P2", second.name = "B", second.sop = "9";
    index_file_put(f->index, &first);
    index_file_put(f->index, &second);
    assert_find(f->index, LEVEL_STUDY, NULL, "P1|A|1|1\nP2|B|1|1\n", ID, NAME, STUDY, 0x00201208);
}

static void many_cursors(void **state)
{
    index_fixture *f = *state;
    index_fixture_fill(f->index);
    index_cursor *cursors[20];
    for (int i = 0; i < 20; i++)
        assert_int_equal(index_find(&cursors[i], f->index, LEVEL_IMAGE, NULL, NULL), 0);
    int n = 0;
    for (int i = 0; i < 20; i++) {
        const dcb_dataset *record;
        while (index_cursor_next(cursors[i], &record, NULL) == 1)
            n++;
    }
    assert_int_equal(n, 20 * 14);
    for (int i = 0; i < 20; i++)
        index_cursor_close(cursors[i]);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, index_fixture_setup, index_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(levels_and_counts),       TEST(filters),
        TEST(instances_in_order),      TEST(first_instance_of_a_record),
        TEST(patients_are_not_merged), TEST(many_cursors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
