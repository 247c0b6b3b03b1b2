/* SPDX-License-Identifier: Apache-2.0 */
#include "index.h"
#include "index_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct change {
    int slice; /* -1: all */
    uint32_t tag;
    const char *text; /* NULL: removed */
} change;

/* A series of n slices, changed here and there. */
typedef struct slices {
    int n;
    change changes[4];
    int failing; /* the slice whose data set fails, from 1 on */
    dcb_status failure;
} slices;

static void put(dcb_dataset *dataset, uint32_t tag, const char *vr, const char *text)
{
    assert_int_equal(dcb_dataset_put_text(dataset, tag, DCB_VR(vr[0], vr[1]), text, NULL), DCB_OK);
}

static const char *vr_of(uint32_t tag)
{
    switch (tag) {
    case 0x00080020:
        return "DA";
    case 0x00100010:
        return "PN";
    case 0x00200013:
        return "IS";
    case 0x00080016:
    case 0x00080018:
    case 0x0020000d:
    case 0x0020000e:
        return "UI";
    default:
        return "LO";
    }
}

static dcb_status get_slice(dcb_dataset **out, void *context, uint32_t frame, dcb_error *error)
{
    const slices *s = context;
    if ((int)frame + 1 == s->failing) {
        snprintf(error->message, sizeof error->message, "slice %u is broken", frame);
        error->status = s->failure;
        return s->failure;
    }
    char uid[16], number[16];
    snprintf(uid, sizeof uid, "1.9.%u", frame + 1);
    snprintf(number, sizeof number, " %u ", frame + 10);
    assert_int_equal(dcb_dataset_create(out, error), DCB_OK);
    put(*out, 0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.4");
    put(*out, 0x00080018, "UI", uid);
    put(*out, 0x00080020, "DA", "20240229");
    put(*out, 0x00080050, "SH", " A1 ");
    put(*out, 0x00080060, "CS", "MR");
    put(*out, 0x00080070, "LO", "Maker");
    put(*out, 0x00080080, "LO", "Hospital");
    put(*out, 0x00081030, "LO", "Head");
    put(*out, 0x00100010, "PN", "Müller^Jörg=山田");
    put(*out, 0x00100020, "LO", " P1 ");
    put(*out, 0x00100021, "LO", "Here");
    put(*out, 0x0020000d, "UI", "1.1");
    put(*out, 0x0020000e, "UI", "1.1.1");
    put(*out, 0x00200013, "IS", number);
    put(*out, 0x00200032, "DS", "0\\0\\1");
    for (size_t i = 0; i < 4 && s->changes[i].tag != 0; i++) {
        const change *c = &s->changes[i];
        if (c->slice >= 0 && c->slice != (int)frame)
            continue;
        if (c->text == NULL)
            dcb_dataset_remove(*out, c->tag);
        else
            put(*out, c->tag, vr_of(c->tag), c->text);
    }
    return DCB_OK;
}

static index_record *make(const slices *s)
{
    index_record *record = NULL;
    dcb_error error = DCB_ERROR_INIT;
    if (index_record_create_from(&record, (uint32_t)s->n, get_slice, (void *)s, &error) != DCB_OK)
        fail_msg("%s", error.message);
    return record;
}

static void takes_the_levels(void **state)
{
    (void)state;
    slices s = {.n = 3};
    index_record *record = make(&s);
    assert_string_equal(record->patient_id, "P1");
    assert_string_equal(record->patient_key, "P1\\Here");
    assert_string_equal(record->folded_names, "muller^jorg=山田\\muller^jorg\\山田");
    assert_string_equal(record->study_uid, "1.1");
    assert_string_equal(record->series_uid, "1.1.1");
    assert_string_equal(record->study_date, "20240229");
    assert_string_equal(record->accession_number, "A1");
    assert_string_equal(record->modality, "MR");
    assert_int_equal(record->ninstances, 3);
    assert_int_equal(record->nunusable, 0);
    assert_null(record->next);
    assert_string_equal(record->instances[2].sop_instance_uid, "1.9.3");
    assert_string_equal(record->instances[2].sop_class_uid, "1.2.840.10008.5.1.4.1.1.4");
    assert_true(record->instances[2].has_number);
    assert_int_equal(record->instances[2].number, 12);
    /* Each level has its own attributes; what belongs to slices is in none. */
    static const struct {
        uint32_t tag;
        bool patient, study, series;
    } cases[] = {
        {0x00080018, false, false, false}, {0x00080020, false, true, false},
        {0x00080060, false, false, true},  {0x00080070, false, false, true},
        {0x00080080, false, true, true},   {0x00081030, false, true, false},
        {0x00100010, true, false, false},  {0x0020000d, false, true, false},
        {0x0020000e, false, false, true},  {0x00200013, false, false, false},
        {0x00200032, false, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(dcb_dataset_find(record->patient, cases[i].tag) != NULL, cases[i].patient);
        assert_int_equal(dcb_dataset_find(record->study, cases[i].tag) != NULL, cases[i].study);
        assert_int_equal(dcb_dataset_find(record->series, cases[i].tag) != NULL, cases[i].series);
    }
    index_record_close(record);
}

static void tags_ascend(void **state)
{
    (void)state;
    for (int level = LEVEL_PATIENT; level <= LEVEL_SERIES; level++) {
        const uint32_t *tags = index_record_tags(level);
        assert_true(tags[0] != 0);
        for (; tags[1] != 0; tags++)
            assert_true(tags[0] < tags[1]);
    }
}

static void keys(void **state)
{
    (void)state;
    static const struct {
        change change;
        const char *patient_key, *study_date, *folded_names;
    } cases[] = {
        {{-1, 0x00100020, NULL}, "\\1.1", "20240229", NULL}, /* without ID: by study */
        {{-1, 0x00100020, "  "}, "\\1.1", "20240229", NULL},
        {{-1, 0x00100021, NULL}, "P1\\", "20240229", NULL},
        {{-1, 0x00080020, "1997.04.24"}, "P1\\Here", "19970424", NULL},
        {{-1, 0x00080020, "2024"}, "P1\\Here", "", NULL},
        {{-1, 0x00080020, "2024022x"}, "P1\\Here", "", NULL},
        {{-1, 0x00080020, NULL}, "P1\\Here", "", NULL},
        {{-1, 0x00100010, NULL}, "P1\\Here", "20240229", "\\"},
        {{-1, 0x00100010, "DOE^Jane"}, "P1\\Here", "20240229", "doe^jane\\doe^jane"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        slices s = {.n = 1, .changes = {cases[i].change}};
        index_record *record = make(&s);
        assert_string_equal(record->patient_key, cases[i].patient_key);
        assert_string_equal(record->study_date, cases[i].study_date);
        if (cases[i].folded_names != NULL)
            assert_string_equal(record->folded_names, cases[i].folded_names);
        index_record_close(record);
    }
}

/* Each slice under its own patient, study and series, whatever file it lies in. */
static void parts_series(void **state)
{
    (void)state;
    static const struct {
        change changes[4];
        uint32_t part[5]; /* the record that each slice goes to */
    } cases[] = {
        {{{1, 0x0020000d, "1.2"}, {2, 0x0020000e, "1.1.2"}, {3, 0x00100020, "P2"}},
         {0, 1, 2, 3, 0}},
        {{{1, 0x0020000e, "1.1.2"}, {3, 0x0020000e, "1.1.2"}}, {0, 1, 0, 1, 0}},
        {{{2, 0x00100021, "There"}}, {0, 0, 1, 0, 0}},
        /* Nothing said of the patient is no contradiction; where the first says nothing, it is. */
        {{{1, 0x00100020, NULL}, {2, 0x00100021, NULL}, {3, 0x00100020, "  "}}, {0, 0, 0, 0, 0}},
        {{{0, 0x00100020, NULL}}, {0, 1, 1, 1, 1}},
        {{{-1, 0x00100020, NULL}, {-1, 0x00100021, NULL}}, {0, 0, 0, 0, 0}},
        {{{1, 0x00100010, "Other^Name"}, {2, 0x00081030, "Other"}}, {0, 0, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        slices s = {.n = 5};
        memcpy(s.changes, cases[i].changes, sizeof s.changes);
        index_record *list = make(&s);
        uint32_t part = 0, nslices = 0;
        for (index_record *record = list; record != NULL; record = record->next, part++) {
            assert_true(record->ninstances > 0);
            for (uint32_t k = 0; k < record->ninstances; k++, nslices++) {
                const index_record_instance *instance = &record->instances[k];
                assert_int_equal(cases[i].part[instance->frame], part);
                assert_int_equal(instance->number, instance->frame + 10);
                assert_true(k == 0 || instance[-1].frame < instance->frame);
            }
        }
        assert_int_equal(nslices, 5);
        assert_int_equal(list->nunusable, 0);
        index_record_close(list);
    }
    slices s = {.n = 3, .changes = {{1, 0x00100020, "P2"}, {1, 0x0020000d, "1.2"}}};
    index_record *list = make(&s);
    assert_string_equal(list->patient_key, "P1\\Here");
    assert_string_equal(list->next->patient_key, "P2\\Here");
    assert_string_equal(list->next->study_uid, "1.2");
    assert_string_equal(list->next->instances[0].sop_instance_uid, "1.9.2");
    index_record_close(list);
}

static dcb_status get_own_series(dcb_dataset **out, void *context, uint32_t frame, dcb_error *error)
{
    static const slices plain = {.n = 1};
    char uid[16];
    (void)context;
    snprintf(uid, sizeof uid, "1.1.%u", frame + 1);
    dcb_status status = get_slice(out, (void *)&plain, frame, error);
    put(*out, 0x0020000e, "UI", uid);
    return status;
}

static void has_a_limit_of_series(void **state)
{
    (void)state;
    index_record *list = NULL;
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(index_record_create_from(&list, 300, get_own_series, NULL, &error), DCB_OK);
    assert_int_equal(list->nunusable, 44);
    assert_string_equal(list->unusable_reason.message,
                        "there are more than 256 series in the file");
    index_record_close(list);
}

static const char long_uid[] =
    "1.2.3456789.123456789.123456789.123456789.123456789.123456789.123"; /* 65 */

static void leaves_unusable_slices_out(void **state)
{
    (void)state;
    assert_int_equal(strlen(long_uid), 65);
    static const struct {
        change change;
        int failing;
        const char *reason;
    } cases[] = {
        {{1, 0x00080018, NULL}, 0, "slice 1 has no usable SOPInstanceUID (0008,0018)"},
        {{1, 0x00080018, long_uid}, 0, "slice 1 has no usable SOPInstanceUID (0008,0018)"},
        {{1, 0x00080016, ""}, 0, "slice 1 has no usable SOPClassUID (0008,0016)"},
        {{0, 0, NULL}, 2, "slice 1 is broken"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        slices s = {.n = 3,
                    .changes = {cases[i].change},
                    .failing = cases[i].failing,
                    .failure = DCB_ERR_CODESTREAM};
        index_record *record = make(&s);
        assert_int_equal(record->ninstances, 2);
        assert_int_equal(record->nunusable, 1);
        assert_string_equal(record->unusable_reason.message, cases[i].reason);
        assert_string_equal(record->instances[0].sop_instance_uid, "1.9.1");
        assert_int_equal(record->instances[1].frame, 2);
        assert_string_equal(record->instances[1].sop_instance_uid, "1.9.3");
        index_record_close(record);
    }
    /* The first slice that can be read speaks for the series. */
    slices first = {.n = 2, .failing = 1, .failure = DCB_ERR_META};
    index_record *record = make(&first);
    assert_string_equal(record->study_uid, "1.1");
    assert_int_equal(record->instances[0].frame, 1);
    assert_string_equal(record->instances[0].sop_instance_uid, "1.9.2");
    index_record_close(record);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool has_number;
        int32_t number;
    } cases[] = {{"-3", true, -3},         {"2147483647", true, INT32_MAX},
                 {"2147483648", false, 0}, {"", false, 0},
                 {"1.5", false, 0},        {NULL, false, 0},
                 {"1\\2", false, 0},       {"99999999999999999999", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        slices s = {.n = 1, .changes = {{-1, 0x00200013, cases[i].text}}};
        index_record *record = make(&s);
        assert_int_equal(record->instances[0].has_number, cases[i].has_number);
        if (cases[i].has_number)
            assert_int_equal(record->instances[0].number, cases[i].number);
        index_record_close(record);
    }
}

static void tells_why_a_file_cannot_be_indexed(void **state)
{
    (void)state;
    static const struct {
        slices slices;
        dcb_status status;
        const char *reason;
    } cases[] = {
        {{.n = 0}, DCB_ERR_FORMAT, "the file has no frames"},
        {{.n = 2, .changes = {{-1, 0x0020000d, NULL}}},
         DCB_ERR_META,
         "it has no usable StudyInstanceUID (0020,000D)"},
        {{.n = 2, .changes = {{-1, 0x0020000e, long_uid}}},
         DCB_ERR_META,
         "it has no usable SeriesInstanceUID (0020,000E)"},
        {{.n = 2, .changes = {{-1, 0x00080018, NULL}}},
         DCB_ERR_META,
         "slice 0 has no usable SOPInstanceUID (0008,0018)"},
        {{.n = 1, .failing = 1, .failure = DCB_ERR_META}, DCB_ERR_META, "slice 0 is broken"},
        {{.n = 3, .failing = 2, .failure = DCB_ERR_NO_MEMORY},
         DCB_ERR_NO_MEMORY,
         "slice 1 is broken"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        index_record *record = NULL;
        dcb_error error = DCB_ERROR_INIT;
        assert_int_equal(index_record_create_from(&record, (uint32_t)cases[i].slices.n, get_slice,
                                                  (void *)&cases[i].slices, &error),
                         cases[i].status);
        assert_null(record);
        assert_string_equal(error.message, cases[i].reason);
    }
}

static void long_values_stay_in_the_file(void **state)
{
    (void)state;
    char *text = malloc(70001);
    memset(text, 'x', 70000);
    text[70000] = '\0';
    slices s = {.n = 1, .changes = {{-1, 0x00104000, text}}};
    index_record *record = make(&s);
    assert_null(dcb_dataset_find(record->patient, 0x00104000));
    assert_non_null(dcb_dataset_find(record->patient, 0x00100020));
    index_record_close(record);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_levels),
        cmocka_unit_test(tags_ascend),
        cmocka_unit_test(keys),
        cmocka_unit_test(parts_series),
        cmocka_unit_test(has_a_limit_of_series),
        cmocka_unit_test(leaves_unusable_slices_out),
        cmocka_unit_test(numbers),
        cmocka_unit_test(tells_why_a_file_cannot_be_indexed),
        cmocka_unit_test(long_values_stay_in_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
