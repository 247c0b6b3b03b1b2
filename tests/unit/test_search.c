/* SPDX-License-Identifier: Apache-2.0 */
/* test_search.c - the index searched by people: keys and levels, wrong dates, an end to patience;
   an index opened for reading beside its owner, and one made anew. */
#include "search.h"

#include "index_file.h"
#include "temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TAG_STUDY  DCB_TAG(0x0020, 0x000D)
#define TAG_SERIES DCB_TAG(0x0020, 0x000E)

static const index_file FILES[] = {
    {"/a/1.dcbs", 1, "P1", NULL, "Müller^Jörg", "1", "20260101", "A1", "Thorax", "1.1", "CT",
     "1.1.1", 1, 3},
    {"/a/2.dcbs", 2, "P1", NULL, "Müller^Jörg", "1", "20260101", "A1", "Thorax", "1.2", "SR",
     "1.2.1", 1, 1},
    {"/a/3.dcbs", 3, "P2", NULL, "Doe^Jane", "2", "20260131", "A2", "Head", "2.1", "MR", "2.1.1", 1,
     2},
};

typedef struct fixture {
    char *dir;
    scp_index *index;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->dir = temp_dir_create();
    assert_int_equal(index_open(&f->index, f->dir, NULL), 0);
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++)
        index_file_put(f->index, &FILES[i]);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    index_close(f->index);
    temp_dir_remove(f->dir);
    free(f);
    return 0;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The UIDs (patients: IDs) found, sorted, with a space after each. */
static void find(char found[200], scp_index *index, query_level level, search_keys keys)
{
    static const uint32_t TAGS[] = {DCB_TAG(0x0010, 0x0020), TAG_STUDY, TAG_SERIES};
    search *s;
    const dcb_dataset *record;
    scp_error error = SCP_ERROR_INIT;
    char all[8][70];
    size_t n = 0;
    int result;
    if (search_open(&s, index, level, &keys, &error) != 0)
        fail_msg("%s", error.message);
    while ((result = search_next(s, &record, &error)) == 1 && n < 8)
        search_text(record, TAGS[level], all[n++], sizeof all[0]);
    assert_int_equal(result, 0);
    assert_false(search_was_cut(s));
    search_close(s);
    qsort(all, n, sizeof all[0], compare_texts);
    found[0] = '\0';
    for (size_t i = 0; i < n; i++)
        snprintf(found + strlen(found), 200 - strlen(found), "%s ", all[i]);
}

static void keys_restrict(void **state)
{
    fixture *f = *state;
    static const struct {
        query_level level;
        search_keys keys;
        const char *found;
    } CASES[] = {
        {LEVEL_STUDY, {0}, "1 2 "},
        {LEVEL_STUDY, {.patient_name = ""}, "1 2 "},
        {LEVEL_STUDY, {.patient_name = "MULLER*"}, "1 "},
        {LEVEL_STUDY, {.patient_name = "*jane"}, "2 "},
        {LEVEL_STUDY, {.patient_id = "P2"}, "2 "},
        {LEVEL_STUDY, {.patient_id = "P"}, ""},
        {LEVEL_STUDY, {.accession_number = "A?"}, "1 2 "},
        {LEVEL_STUDY, {.study_date = "20260102-"}, "2 "},
        {LEVEL_STUDY, {.study_date = "20260101-20260131"}, "1 2 "},
        {LEVEL_STUDY, {.modality = "SR"}, "1 "},
        {LEVEL_STUDY, {.description = "H*"}, "2 "},
        {LEVEL_STUDY, {.study_uid = "2"}, "2 "},
        {LEVEL_STUDY, {.study_uid = "2", .patient_id = "P1"}, ""},
        {LEVEL_SERIES, {.study_uid = "1"}, "1.1 1.2 "},
        {LEVEL_SERIES, {.study_uid = "1", .modality = "SR"}, "1.2 "},
        {LEVEL_SERIES, {.series_uid = "2.1"}, "2.1 "},
        {LEVEL_PATIENT, {.patient_name = "doe*"}, "P2 "},
        {LEVEL_PATIENT, {.study_date = "19000101"}, "P1 P2 "},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char found[200];
        find(found, f->index, CASES[i].level, CASES[i].keys);
        if (strcmp(found, CASES[i].found) != 0)
            fail_msg("case %zu: \"%s\", not \"%s\"", i, found, CASES[i].found);
    }
}

static void wrong_dates_are_refused(void **state)
{
    fixture *f = *state;
    static const char *const DATES[] = {"yesterday", "2026-01-01", "20260101-x", "202601"};
    for (size_t i = 0; i < sizeof DATES / sizeof DATES[0]; i++) {
        search *s;
        scp_error error = SCP_ERROR_INIT;
        const search_keys keys = {.study_date = DATES[i]};
        if (search_open(&s, f->index, LEVEL_STUDY, &keys, &error) != -1)
            fail_msg("%s", DATES[i]);
        assert_null(s);
        assert_non_null(strstr(error.message, "expected a date"));
    }
}

static void patience_ends(void **state)
{
    fixture *f = *state;
    search *s;
    const dcb_dataset *record;
    const search_keys keys = {0};
    assert_int_equal(search_open(&s, f->index, LEVEL_STUDY, &keys, NULL), 0);
    search_set_patience(s, 60000);
    assert_int_equal(search_next(s, &record, NULL), 1);
    search_set_patience(s, 0);
    assert_int_equal(search_next(s, &record, NULL), 0);
    assert_true(search_was_cut(s));
    search_close(s);
}

static void another_reads_what_its_owner_writes(void **state)
{
    fixture *f = *state;
    scp_index *other;
    char found[200];
    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(index_open(&other, f->dir, &error), -1);
    assert_non_null(strstr(error.message, "in use"));
    assert_int_equal(index_open_anew(&other, f->dir, &error), -1);
    assert_int_equal(index_open_reading(&other, f->dir, &error), 0);
    find(found, other, LEVEL_STUDY, (search_keys){0});
    assert_string_equal(found, "1 2 ");
    bool removed;
    assert_int_equal(index_remove_file(f->index, "/a/3.dcbs", &removed, NULL), 0);
    find(found, other, LEVEL_STUDY, (search_keys){0});
    assert_string_equal(found, "1 ");
    index_close(other);
}

static void anew_is_empty(void **state)
{
    fixture *f = *state;
    char found[200], kept[512];
    index_close(f->index);
    assert_int_equal(index_open_anew(&f->index, f->dir, NULL), 0);
    find(found, f->index, LEVEL_STUDY, (search_keys){0});
    assert_string_equal(found, "");
    snprintf(kept, sizeof kept, "%s/index.sqlite.old", f->dir);
    FILE *old = fopen(kept, "rb");
    assert_non_null(old);
    fclose(old);
    index_file_put(f->index, &FILES[2]);
    find(found, f->index, LEVEL_STUDY, (search_keys){0});
    assert_string_equal(found, "2 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_restrict, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_dates_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(patience_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_reads_what_its_owner_writes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(anew_is_empty, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
