/* SPDX-License-Identifier: Apache-2.0 */
#include "index_file.h"
#include "index_record.h"
#include "log.h"
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

typedef struct fixture {
    char *dir;
    scp_index *index;
} fixture;

static scp_index *open_index(const char *dir)
{
    scp_index *index = NULL;
    scp_error error = SCP_ERROR_INIT;
    if (index_open(&index, dir, &error) != 0)
        fail_msg("%s", error.message);
    return index;
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    log_configure(LOG_ERROR, LOG_TEXT);
    f->dir = temp_dir_create();
    f->index = open_index(f->dir);
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

/* Two patients of one PatientID under different issuers, and one without any. */
static const index_file archive[] = {
    {"/a/ct1.dcbs", 100, "P1", "A", "Müller^Jörg", "1.1", "20240101", "ACC1", "old", "1.1.1", "CT",
     "1.1.1.1", 1, 3},
    {"/a/ct1b.dcbs", 200, "P1", "A", "Müller^Jörg", "1.1", "20240101", "ACC1", "new", "1.1.1", "CT",
     "1.1.1.2", 4, 2},
    {"/a/sr.dcbs", 150, "P1", "A", "Müller^Jörg", "1.1", "20240101", "ACC1", "sr", "1.1.2", "SR",
     "1.1.2.1", 1, 1},
    {"/a/mr.dcbs", 110, "P1", "A", "Mueller^Joerg", "1.2", "20250615", "ACC2", "mr", "1.2.1", "MR",
     "1.2.1.1", 1, 4},
    {"/b/other.dcbs", 100, "P1", "B", "Yamada^Tarou=山田^太郎=やまだ^たろう", "1.3", "2023.12.31",
     NULL, "x", "1.3.1", "CT", "1.3.1.1", 1, 2},
    {"/b/noid.dcbs", 100, NULL, NULL, "Nobody", "1.4", NULL, NULL, "x", "1.4.1", "US", "1.4.1.1", 1,
     1},
    {"/b/noid2.dcbs", 100, NULL, NULL, "Nobody", "1.5", NULL, NULL, "x", "1.5.1", "US", "1.5.1.1",
     1, 1},
};

static void fill(scp_index *index)
{
    for (size_t i = 0; i < sizeof archive / sizeof archive[0]; i++)
        assert_int_equal(index_file_put(index, &archive[i]), 0);
}

/* What a query gives, one line a record: the values of the tags, separated by "|". "-": missing. */
static char *find(scp_index *index, query_level level, const index_filter *filter,
                  const uint32_t *tags)
{
    char *text = NULL;
    size_t nbytes = 0;
    FILE *stream = open_memstream(&text, &nbytes);
    index_cursor *cursor = NULL;
    scp_error error = SCP_ERROR_INIT;
    if (index_find(&cursor, index, level, filter, &error) != 0)
        fail_msg("%s", error.message);
    const dcb_dataset *record = NULL;
    int result;
    while ((result = index_cursor_next(cursor, &record, &error)) == 1) {
        for (const uint32_t *tag = tags; *tag != 0; tag++) {
            char value[200];
            ptrdiff_t length = dcb_dataset_get_text(record, *tag, value, sizeof value);
            fprintf(stream, "%s%s", tag == tags ? "" : "|", length < 0 ? "-" : value);
        }
        fputc('\n', stream);
    }
    if (result != 0)
        fail_msg("%s", error.message);
    assert_int_equal(index_cursor_next(cursor, &record, &error), 0); /* and stays there */
    index_cursor_close(cursor);
    fclose(stream);
    return text;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Queries give no order but of images; the planner's must not matter to a test. */
static void sort_lines(char *text)
{
    char *lines[100], *copy = strdup(text), *rest = copy;
    size_t n = 0;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0' && n < 100;)
        lines[n++] = line;
    qsort(lines, n, sizeof lines[0], compare_lines);
    for (size_t i = 0; i < n; i++) {
        text = stpcpy(text, lines[i]);
        *text++ = '\n';
    }
    free(copy);
}

#define assert_find(index, level, filter, expected, ...)                                           \
    do {                                                                                           \
        char *found_ = find((index), (level), (filter), (const uint32_t[]){__VA_ARGS__, 0});       \
        if ((level) != LEVEL_IMAGE)                                                                \
            sort_lines(found_);                                                                    \
        assert_string_equal(found_, (expected));                                                   \
        free(found_);                                                                              \
    } while (0)

static char *find_instances(scp_index *index, const index_filter *filter)
{
    char *text = NULL;
    size_t nbytes = 0;
    FILE *stream = open_memstream(&text, &nbytes);
    index_cursor *cursor = NULL;
    scp_error error = SCP_ERROR_INIT;
    if (index_find_instances(&cursor, index, filter, &error) != 0)
        fail_msg("%s", error.message);
    index_instance instance;
    while (index_cursor_next_instance(cursor, &instance, &error) == 1)
        fprintf(stream, "%s#%u %s\n", instance.path, instance.frame, instance.sop_instance_uid);
    index_cursor_close(cursor);
    fclose(stream);
    return text;
}

#define assert_instances(index, filter, expected)                                                  \
    do {                                                                                           \
        char *found_ = find_instances((index), (filter));                                          \
        assert_string_equal(found_, (expected));                                                   \
        free(found_);                                                                              \
    } while (0)

#define CHARSET     0x00080005
#define CLASS       0x00080016
#define SOP         0x00080018
#define DATE        0x00080020
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
    fixture *f = *state;
    fill(f->index);
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
    fixture *f = *state;
    fill(f->index);
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
    fixture *f = *state;
    fill(f->index);
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
    fixture *f = *state;
    fill(f->index);
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

static void duplicates(void **state)
{
    fixture *f = *state;
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
    fixture *f = *state;
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
    fixture *f = *state;
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
    fixture *f = *state;
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

/* The same StudyInstanceUID under another PatientID is never merged. */
static void patients_are_not_merged(void **state)
{
    fixture *f = *state;
    index_file first = {"/a/x.dcbs", 100, "P1",  NULL, "A", "1", NULL,
                        NULL,        "d", "1.1", "CT", "8", 1,   1};
    index_file second = first;
    second.path = "/a/y.dcbs", second.patient_id = "P2", second.name = "B", second.sop = "9";
    index_file_put(f->index, &first);
    index_file_put(f->index, &second);
    assert_find(f->index, LEVEL_STUDY, NULL, "P1|A|1|1\nP2|B|1|1\n", ID, NAME, STUDY, 0x00201208);
}

/* A file whose slices name two patients: each is found under its own, and both go with the file. */
static void several_series_in_a_file(void **state)
{
    fixture *f = *state;
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
    fixture *f = *state;
    fill(f->index);
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
    for (size_t i = 0; i < sizeof archive / sizeof archive[0]; i++)
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
    fixture *f = *state;
    index_file both = archive[0];
    index_cursor *before = NULL;
    index_instance instance;
    both.path = "/a/packed.dcbs", both.mtime_ns = 199;
    fill(f->index);
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
    fixture *f = *state;
    fill(f->index);
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
    fixture *f = *state;
    file_stamp stamp = {10, 100, 1}, later = {10, 101, 1};
    bool news = false, known = false, bad = false;
    assert_int_equal(index_put_bad_file(f->index, "/a/x.dcbs", &stamp, "short", &news, NULL), 0);
    assert_true(news);
    assert_int_equal(index_put_bad_file(f->index, "/a/x.dcbs", &later, "short", &news, NULL), 0);
    assert_true(news);
    assert_int_equal(index_put_bad_file(f->index, "/a/x.dcbs", &later, "short", &news, NULL), 0);
    assert_false(news);
    index_close(f->index); /* remembered */
    f->index = open_index(f->dir);
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

static void readers_see_one_state(void **state)
{
    fixture *f = *state;
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

static void many_cursors(void **state)
{
    fixture *f = *state;
    fill(f->index);
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
    fixture *f = *state;
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
    fixture *f = *state;
    scp_index *second = NULL;
    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(index_open(&second, f->dir, &error), -1);
    assert_null(second);
    assert_non_null(strstr(error.message, "in use by another dcbscp"));
    assert_non_null(strstr(error.message, f->dir));
}

static void state_dirs_that_cannot_be(void **state)
{
    fixture *f = *state;
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
    fixture *f = *state;
    static const struct {
        const char *bytes;
        long offset;
    } cases[] = {{"not a database at all", 0},
                 {"\x7f\x7f\x7f\x7f", 60}, /* user_version */
                 {"garbage in the first page's cells", 100}};
    char *database = path_join(f->dir, "index.sqlite"),
         *aside = path_join(f->dir, "index.sqlite.old");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fill(f->index);
        index_close(f->index);
        overwrite(database, cases[i].bytes, cases[i].offset);
        f->index = open_index(f->dir);
        index_totals totals;
        assert_int_equal(index_get_totals(f->index, &totals, NULL), 0);
        assert_int_equal(totals.files, 0);
        assert_int_equal(access(aside, F_OK), 0);
        assert_int_equal(unlink(aside), 0);
    }
    /* A usable one is kept. */
    fill(f->index);
    index_close(f->index);
    f->index = open_index(f->dir);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(levels_and_counts),
        TEST(filters),
        TEST(instances_in_order),
        TEST(first_instance_of_a_record),
        TEST(duplicates),
        TEST(duplicates_in_another_study),
        TEST(duplicates_in_another_series),
        TEST(a_series_in_two_files),
        TEST(patients_are_not_merged),
        TEST(several_series_in_a_file),
        TEST(replaced_and_removed),
        TEST(switched),
        TEST(removes_folders),
        TEST(bad_files),
        TEST(readers_see_one_state),
        TEST(many_cursors),
        TEST(readers_beside_a_writer),
        TEST(one_node_for_a_state_dir),
        TEST(state_dirs_that_cannot_be),
        TEST(unusable_indexes_are_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
