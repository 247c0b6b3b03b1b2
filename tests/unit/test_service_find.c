/* SPDX-License-Identifier: Apache-2.0 */
/* C-FIND as a service: which records answer, with exactly what, and every status on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataset_text.h"
#include "index_backend.h"
#include "make_series.h"
#include "series_pool.h"
#include "service_driver.h"
#include "sop_classes.h"
#include "temp_dir.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define P            UID_PATIENT_ROOT_FIND
#define S            UID_STUDY_ROOT_FIND

/* Known to the index only: their files are not there. */
static const index_file pretended[] = {
    {"/gone/1.dcbs", 1, "ID1", NULL, "Müller^Jörg", "1.1", "20240105", "A1", "CT Kopf", "1.1.1",
     "CT", "1.1.1", 1, 2},
    {"/gone/2.dcbs", 1, "ID1", NULL, "Müller^Jörg", "1.1", "20240105", "A1", "CT Kopf", "1.1.2",
     "MR", "1.1.2", 1, 1},
    {"/gone/3.dcbs", 1, "ID2", NULL, "Doe^John", "1.2", "20240210", "A2", "MR knee", "1.2.1", "MR",
     "1.2.1", 1, 3},
    {"/gone/4.dcbs", 1, "ID3", NULL, "Yamada^Tarou=山田^太郎", "1.3", NULL, NULL, NULL, "1.3.1",
     "US", "1.3.1", 7, 1},
};

static test_archive archive;

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All answers, "FF00 elements" each, sorted, one a line; free(). The final response stays in run.
 */
static char *collect(test_run *run, const char *syntax)
{
    char *lines[64];
    size_t count = 0;
    while (test_run_next(run) == SERVICE_RESPONSE) {
        assert_true(count < COUNT(lines));
        assert_non_null(run->output.identifier);
        assert_int_equal(run->output.command.data_set_type, 1);
        assert_int_equal(run->output.command.message_id_responded, 77);
        assert_int_equal(run->output.command.command_field, 0x8020);
        assert_string_equal(run->output.command.affected_sop_class_uid,
                            run->request.affected_sop_class_uid);
        char *text = test_run_identifier(run, syntax);
        assert_true(asprintf(&lines[count++], "%04X %s", run->output.command.status, text) >= 0);
        free(text);
    }
    assert_null(run->output.identifier);
    assert_int_equal(run->output.command.data_set_type, DIMSE_NO_DATA_SET);
    qsort(lines, count, sizeof *lines, compare_lines);
    char *all = calloc(1, 1);
    for (size_t i = 0; i < count; i++) {
        char *more = NULL;
        assert_true(asprintf(&more, "%s%s\n", all, lines[i]) >= 0);
        free(all);
        free(lines[i]);
        all = more;
    }
    return all;
}

#define AE "|00080054 AE ARCHIVE1"

/* Each in all three syntaxes. */
static const struct {
    const char *model, *identifier, *answers;
} queries[] = {
    /* Levels, and the attributes that the index counts. */
    {P, "00080052 CS PATIENT|00100020 LO|00201200 IS|00201202 IS|00201204 IS",
     "FF00 00080052 CS PATIENT" AE "|00100020 LO ID1|00201200 IS 1|00201202 IS 2|00201204 IS 3\n"
     "FF00 00080052 CS PATIENT" AE "|00100020 LO ID2|00201200 IS 1|00201202 IS 1|00201204 IS 3\n"
     "FF00 00080052 CS PATIENT" AE "|00100020 LO ID3|00201200 IS 1|00201202 IS 1|00201204 IS 1\n"
     "FF00 00080052 CS PATIENT" AE "|00100020 LO P1|00201200 IS 1|00201202 IS 1|00201204 IS 3\n"},
    {P,
     "00080052 CS STUDY|00080061 CS|00080062 UI|00100020 LO ID1|0020000D UI|00201206 IS"
     "|00201208 IS",
     "FF00 00080052 CS STUDY" AE "|00080061 CS CT\\MR|00080062 UI 1.2.840.10008.5.1.4.1.1.2"
     "|00100020 LO ID1|0020000D UI 1.1|00201206 IS 2|00201208 IS 3\n"},
    {S, "00080052 CS SERIES|00080060 CS|0020000D UI 1.1|0020000E UI|00201209 IS",
     "FF00 00080052 CS SERIES" AE "|00080060 CS CT|0020000D UI 1.1|0020000E UI 1.1.1"
     "|00201209 IS 2\n"
     "FF00 00080052 CS SERIES" AE "|00080060 CS MR|0020000D UI 1.1|0020000E UI 1.1.2"
     "|00201209 IS 1\n"},
    {S, "00080016 UI|00080018 UI|00080052 CS IMAGE|0020000D UI 1.2|0020000E UI 1.2.1|00200013 IS",
     "FF00 00080016 UI 1.2.840.10008.5.1.4.1.1.2|00080018 UI 1.2.1.1|00080052 CS IMAGE" AE
     "|0020000D UI 1.2|0020000E UI 1.2.1|00200013 IS 1\n"
     "FF00 00080016 UI 1.2.840.10008.5.1.4.1.1.2|00080018 UI 1.2.1.2|00080052 CS IMAGE" AE
     "|0020000D UI 1.2|0020000E UI 1.2.1|00200013 IS 2\n"
     "FF00 00080016 UI 1.2.840.10008.5.1.4.1.1.2|00080018 UI 1.2.1.3|00080052 CS IMAGE" AE
     "|0020000D UI 1.2|0020000E UI 1.2.1|00200013 IS 3\n"},
    /* In Study Root the patient is an attribute of the study. */
    {S, "00080052 CS STUDY|00100010 PN doe*|00100020 LO",
     "FF00 00080052 CS STUDY" AE "|00100010 PN Doe^John|00100020 LO ID2\n"},
    /* Exactly what was asked; availability when asked; known but empty is empty. */
    {S, "00080050 SH|00080052 CS STUDY|00080056 CS|00081030 LO|0020000D UI 1.3",
     "FF00 00080050 SH|00080052 CS STUDY" AE
     "|00080056 CS UNAVAILABLE|00081030 LO|0020000D UI 1.3\n"},
    {S,
     "00080052 CS STUDY|00080053 CS CLASSIC|00080054 AE OTHER|00080056 CS NEARLINE"
     "|00080201 SH +0100|0020000D UI 1.2",
     "FF00 00080052 CS STUDY" AE "|00080056 CS UNAVAILABLE|0020000D UI 1.2\n"},
    {S, "00080052 CS SERIES|00080056 CS|0020000D UI 1.2.4",
     "FF00 00080052 CS SERIES" AE "|00080056 CS ONLINE|0020000D UI 1.2.4\n"},
    {S, "00080052 CS STUDY|0020000D UI 1.2\\1.3\\1.99",
     "FF00 00080052 CS STUDY" AE "|0020000D UI 1.2\n"
     "FF00 00080052 CS STUDY" AE "|0020000D UI 1.3\n"},
    {S, "00080052 CS STUDY|0020000D UI 9.9", ""},
    /* Matching, by the index and after it. */
    {S, "00080020 DA 20240101-20240131|00080052 CS STUDY",
     "FF00 00080020 DA 20240105|00080052 CS STUDY" AE "\n"},
    {S, "00080020 DA -20240105|00080052 CS STUDY",
     "FF00 00080020 DA 20240105|00080052 CS STUDY" AE "\n"},
    {S, "00080020 DA 2024.02.10-|00080052 CS STUDY",
     "FF00 00080020 DA 20240210|00080052 CS STUDY" AE "\n"},
    {S, "00080020 DA 20240106|00080052 CS STUDY", ""},
    {S, "00080050 SH A1|00080052 CS STUDY", "FF00 00080050 SH A1|00080052 CS STUDY" AE "\n"},
    {S, "00080050 SH a1|00080052 CS STUDY", ""},
    {S, "00080050 SH A?|00080052 CS STUDY",
     "FF00 00080050 SH A1|00080052 CS STUDY" AE "\nFF00 00080050 SH A2|00080052 CS STUDY" AE "\n"},
    {S, "00080052 CS STUDY|00080061 CS MR|0020000D UI",
     "FF00 00080052 CS STUDY" AE "|00080061 CS CT\\MR|0020000D UI 1.1\n"
     "FF00 00080052 CS STUDY" AE "|00080061 CS MR|0020000D UI 1.2\n"},
    {S, "00080052 CS STUDY|00080061 CS U?\\XA|0020000D UI",
     "FF00 00080052 CS STUDY" AE "|00080061 CS US|0020000D UI 1.3\n"},
    {S, "00080052 CS STUDY|00080061 CS CR\\MR|0020000D UI 1.1\\1.3",
     "FF00 00080052 CS STUDY" AE "|00080061 CS CT\\MR|0020000D UI 1.1\n"},
    {S, "00080052 CS SERIES|00080060 CS CT|0020000D UI 1.1|0020000E UI",
     "FF00 00080052 CS SERIES" AE "|00080060 CS CT|0020000D UI 1.1|0020000E UI 1.1.1\n"},
    {S, "00080052 CS STUDY|00100020 LO ID2|0020000D UI",
     "FF00 00080052 CS STUDY" AE "|00100020 LO ID2|0020000D UI 1.2\n"},
    {S, "00080052 CS STUDY|00201208 IS 03|0020000D UI 1.1\\1.3",
     "FF00 00080052 CS STUDY" AE "|0020000D UI 1.1|00201208 IS 3\n"},
    {S, "00080052 CS IMAGE|0020000D UI 1.2|0020000E UI 1.2.1|00200013 IS 2",
     "FF00 00080052 CS IMAGE" AE "|0020000D UI 1.2|0020000E UI 1.2.1|00200013 IS 2\n"},
    {S, "00080018 UI 1.2.1.1\\1.2.1.3\\1.1.1.1|00080052 CS IMAGE|0020000D UI 1.2|0020000E UI 1.2.1",
     "FF00 00080018 UI 1.2.1.1|00080052 CS IMAGE" AE "|0020000D UI 1.2|0020000E UI 1.2.1\n"
     "FF00 00080018 UI 1.2.1.3|00080052 CS IMAGE" AE "|0020000D UI 1.2|0020000E UI 1.2.1\n"},
    /* A study of another patient does not answer. */
    {P, "00080052 CS SERIES|00100020 LO ID2|0020000D UI 1.1|0020000E UI", ""},
    /* Names. */
    {P, "00080052 CS PATIENT|00100010 PN DOE^JOHN",
     "FF00 00080052 CS PATIENT" AE "|00100010 PN Doe^John\n"},
    {P, "00080052 CS PATIENT|00100010 PN *john",
     "FF00 00080052 CS PATIENT" AE "|00100010 PN Doe^John\n"},
    {P, "00080005 CS ISO_IR 192|00080052 CS PATIENT|00100010 PN 山田*",
     "FF00 00080005 CS ISO_IR 192|00080052 CS PATIENT" AE "|00100010 PN Yamada^Tarou=山田^太郎\n"},
    /* Character sets: the requester's own where it holds the text, else UTF-8. */
    {P, "00080052 CS PATIENT|00100010 PN muller*|00100020 LO ID1",
     "FF00 00080005 CS ISO_IR 192|00080052 CS PATIENT" AE
     "|00100010 PN Müller^Jörg|00100020 LO ID1\n"},
    {P, "00080005 CS ISO_IR 100|00080052 CS PATIENT|00100010 PN M\xDCLLER*|00100020 LO ID1",
     "FF00 00080005 CS ISO_IR 100|00080052 CS PATIENT" AE
     "|00100010 PN M\xFCller^J\xF6rg|00100020 LO ID1\n"},
    {P, "00080005 CS ISO_IR 100|00080052 CS PATIENT|00100010 PN yamada*",
     "FF00 00080005 CS ISO_IR 192|00080052 CS PATIENT" AE "|00100010 PN Yamada^Tarou=山田^太郎\n"},
    {P, "00080005 CS ISO_IR 100|00080052 CS PATIENT|00100010 PN doe*",
     "FF00 00080052 CS PATIENT" AE "|00100010 PN Doe^John\n"},
    /* Not supported at the level: empty, and FF01. */
    {S, "00080052 CS STUDY|00180050 DS|0020000D UI 1.1",
     "FF01 00080052 CS STUDY" AE "|00180050 DS|0020000D UI 1.1\n"},
    {S, "00080052 CS STUDY|00180050 DS 2.5|0020000D UI 1.1",
     "FF01 00080052 CS STUDY" AE "|00180050 DS|0020000D UI 1.1\n"},
    {S, "00080052 CS STUDY|00082112 SQ [00081155 UI 1.2]|0020000D UI 1.1",
     "FF01 00080052 CS STUDY" AE "|00082112 SQ|0020000D UI 1.1\n"},
    {P, "00080052 CS PATIENT|00081030 LO|00100020 LO ID1",
     "FF01 00080052 CS PATIENT" AE "|00081030 LO|00100020 LO ID1\n"},
    {S, "00080018 UI|00080052 CS SERIES|0020000D UI 1.2.4|0020000E UI 1.2.5",
     "FF01 00080018 UI|00080052 CS SERIES" AE "|0020000D UI 1.2.4|0020000E UI 1.2.5\n"},
    /* Keys that only the file answers: at SERIES level what its instances share. */
    {S, "00080052 CS SERIES|00180050 DS|0020000D UI 1.2.4|0020000E UI|00200032 DS|00280010 US",
     "FF00 00080052 CS SERIES" AE "|00180050 DS 2.5|0020000D UI 1.2.4|0020000E UI 1.2.5"
     "|00200032 DS|00280010 US .\n"},
    {S, "00080052 CS SERIES|00180050 DS 2.50|0020000D UI 1.2.4|0020000E UI",
     "FF00 00080052 CS SERIES" AE "|00180050 DS 2.5|0020000D UI 1.2.4|0020000E UI 1.2.5\n"},
    {S, "00080052 CS SERIES|00180050 DS 3|0020000D UI 1.2.4|0020000E UI", ""},
    {S,
     "00080018 UI|00080052 CS IMAGE|0020000D UI 1.2.4|0020000E UI 1.2.5|00200032 DS"
     "|00204000 LT",
     "FF00 00080018 UI 1.2.3.1|00080052 CS IMAGE" AE "|0020000D UI 1.2.4|0020000E UI 1.2.5"
     "|00200032 DS -10\\-10\\0|00204000 LT c0\n"
     "FF00 00080018 UI 1.2.3.2|00080052 CS IMAGE" AE "|0020000D UI 1.2.4|0020000E UI 1.2.5"
     "|00200032 DS -10\\-10\\2.5|00204000 LT\n"
     "FF00 00080018 UI 1.2.3.3|00080052 CS IMAGE" AE "|0020000D UI 1.2.4|0020000E UI 1.2.5"
     "|00200032 DS -10\\-10\\5|00204000 LT c2\n"},
    {S, "00080018 UI|00080052 CS IMAGE|0020000D UI 1.2.4|0020000E UI 1.2.5|00204000 LT c*",
     "FF00 00080018 UI 1.2.3.1|00080052 CS IMAGE" AE "|0020000D UI 1.2.4|0020000E UI 1.2.5"
     "|00204000 LT c0\n"
     "FF00 00080018 UI 1.2.3.3|00080052 CS IMAGE" AE "|0020000D UI 1.2.4|0020000E UI 1.2.5"
     "|00204000 LT c2\n"},
    /* Sequences: the asked items' attributes, or all. */
    {S,
     "00080018 UI 1.2.3.2|00080052 CS IMAGE|00081140 SQ [00081150 UI]|0020000D UI 1.2.4"
     "|0020000E UI 1.2.5",
     "FF00 00080018 UI 1.2.3.2|00080052 CS IMAGE" AE "|00081140 SQ [00081150 UI]|0020000D UI 1.2.4"
     "|0020000E UI 1.2.5\n"},
    {S,
     "00080018 UI 1.2.3.2|00080052 CS IMAGE|00081140 SQ [00081155 UI 1.9.99]"
     "|0020000D UI 1.2.4|0020000E UI 1.2.5",
     "FF00 00080018 UI 1.2.3.2|00080052 CS IMAGE" AE
     "|00081140 SQ [00081155 UI 1.9.99]|0020000D UI 1.2.4|0020000E UI 1.2.5\n"},
    {S,
     "00080018 UI 1.2.3.2|00080052 CS IMAGE|00081140 SQ [00081155 UI 1.9.98]"
     "|0020000D UI 1.2.4|0020000E UI 1.2.5",
     ""},
    {S, "00080018 UI 1.2.3.2|00080052 CS IMAGE|00081140 SQ|0020000D UI 1.2.4|0020000E UI 1.2.5",
     "FF00 00080018 UI 1.2.3.2|00080052 CS IMAGE" AE "|00081140 SQ [00081155 UI 1.9.99]"
     "|0020000D UI 1.2.4|0020000E UI 1.2.5\n"},
    /* The file is gone: its keys are empty and FF01; where one must match, nothing is shown to. */
    {S, "00080052 CS SERIES|00180050 DS|0020000D UI 1.2|0020000E UI",
     "FF01 00080052 CS SERIES" AE "|00180050 DS|0020000D UI 1.2|0020000E UI 1.2.1\n"},
    {S, "00080052 CS SERIES|00180050 DS 2.5|0020000D UI 1.2|0020000E UI", ""},
};

static void test_answers(void **state)
{
    (void)state;
    static const char *const syntaxes[] = {UID_IMPLICIT_LE, UID_EXPLICIT_LE, UID_EXPLICIT_BE};
    for (size_t i = 0; i < COUNT(queries); i++) {
        for (size_t k = 0; k < COUNT(syntaxes); k++) {
            test_run run;
            test_run_start(&run, &archive, &service_find, queries[i].model, syntaxes[k],
                           queries[i].identifier, NULL);
            char *answers = collect(&run, syntaxes[k]);
            if (strcmp(answers, queries[i].answers) != 0)
                fail_msg("%s (%s): answered\n%sinstead of\n%s", queries[i].identifier, syntaxes[k],
                         answers, queries[i].answers);
            assert_int_equal(run.output.command.status, 0x0000);
            assert_string_equal(run.output.command.error_comment, "");
            free(answers);
            test_run_end(&run);
        }
    }
}

/* Series attributes in which the slices of a file differ: each instance answers, and matches, with
   its own; where its file is gone they are empty, and FF01. */
static void test_series_attributes_by_instance(void **state)
{
    (void)state;
#define ASK(keys) "00080018 UI|00080052 CS IMAGE|0020000D UI 1.2.4|0020000E UI 1.2.5|" keys
#define ANSWER(status, n, keys)                                                                    \
    status " 00080018 UI 1.2.3." #n "|00080052 CS IMAGE" AE                                        \
           "|0020000D UI 1.2.4|0020000E UI 1.2.5|" keys "\n"
    static const struct {
        bool gone;
        const char *identifier, *answers;
    } rows[] = {
        {false, ASK("00200011 IS|00200060 CS"),
         ANSWER("FF00", 1, "00200011 IS 7|00200060 CS L")
             ANSWER("FF00", 2, "00200011 IS 7|00200060 CS R")
                 ANSWER("FF00", 3, "00200011 IS 7|00200060 CS")},
        {false, ASK("00200060 CS R"), ANSWER("FF00", 2, "00200060 CS R")},
        {false, ASK("00200060 CS L|00201041 DS 2"),
         ANSWER("FF00", 1, "00200060 CS L|00201041 DS 2")},
        {false, ASK("00200060 CS B|00201041 DS 2"), ""},
        {true, ASK("00200011 IS 7|00200060 CS"),
         ANSWER("FF01", 1, "00200011 IS 7|00200060 CS")
             ANSWER("FF01", 2, "00200011 IS 7|00200060 CS")
                 ANSWER("FF01", 3, "00200011 IS 7|00200060 CS")},
        {true, ASK("00200060 CS L"), ""},
    };
    const make_series what = {.nframes = 3,
                              .elements =
                                  "\"00201041\":{\"vr\":\"DS\",\"shared\":true,\"Value\":[2]},"
                                  "\"00200011\":{\"vr\":\"IS\",\"shared\":true,\"Value\":[7]},"
                                  "\"00200060\":{\"vr\":\"CS\",\"shared\":false,"
                                  "\"Value\":[[\"L\"],[\"R\"],\"None\"]}"};
    size_t nbytes = 0;
    uint8_t *bytes = make_series_bytes(&nbytes, &what);
    test_archive both;
    test_archive_create(&both);
    char *source = path_join(both.folder, "source"), *path = NULL;
    write_file(source, bytes, nbytes);
    path = test_archive_add(&both, source, "both.dcbs");
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].gone)
            remove(path);
        series_pool_forget(both.node.series, path);
        test_run run;
        test_run_start(&run, &both, &service_find, S, UID_IMPLICIT_LE, rows[i].identifier, NULL);
        char *answers = collect(&run, UID_IMPLICIT_LE);
        assert_string_equal(answers, rows[i].answers);
        assert_int_equal(run.output.command.status, 0x0000);
        test_run_end(&run);
        free(answers);
    }
    free(bytes);
    free(source);
    free(path);
    test_archive_remove(&both);
}

/* Several items: any may match, and all are answered (PS3.4 C.2.2.2.6). */
static void test_sequences(void **state)
{
    (void)state;
    static const struct {
        const char *key, *answer; /* NULL: no match */
    } rows[] = {
        {"", "[00100020 LO ALT0|00100021 LO ISS0][00100020 LO ALT1|00100021 LO ISS1]"},
        {"[]", "[00100020 LO ALT0|00100021 LO ISS0][00100020 LO ALT1|00100021 LO ISS1]"},
        {"[00100021 LO]", "[00100021 LO ISS0][00100021 LO ISS1]"},
        {"[00100020 LO ALT1]", "[00100020 LO ALT0][00100020 LO ALT1]"},
        {"[00100020 LO ALT1|00100021 LO I*]",
         "[00100020 LO ALT0|00100021 LO ISS0][00100020 LO ALT1|00100021 LO ISS1]"},
        {"[00100020 LO ALT1|00100022 CS]",
         "[00100020 LO ALT0|00100022 CS][00100020 LO ALT1|00100022 CS]"},
        {"[00100020 LO ALT1|00100021 LO ISS0]", NULL},
        {"[00100020 LO ALT2]", NULL},
    };
    test_archive phantom;
    test_archive_create(&phantom);
    free(test_archive_add(&phantom, TEST_DATA_DIR "/golden/ct_phantom_small/series.dcbs",
                          "phantom.dcbs"));
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *identifier = NULL, *expected = NULL;
        assert_true(asprintf(&identifier, "00080052 CS PATIENT|00101002 SQ %s", rows[i].key) > 0);
        assert_true(asprintf(&expected, "FF00 00080052 CS PATIENT" AE "|00101002 SQ %s\n",
                             rows[i].answer != NULL ? rows[i].answer : "") > 0);
        test_run run;
        test_run_start(&run, &phantom, &service_find, P, UID_IMPLICIT_LE, identifier, NULL);
        char *answers = collect(&run, UID_IMPLICIT_LE);
        assert_string_equal(answers, rows[i].answer != NULL ? expected : "");
        assert_int_equal(run.output.command.status, 0x0000);
        test_run_end(&run);
        free(answers);
        free(expected);
        free(identifier);
    }
    test_archive_remove(&phantom);
}

/* The first and only response is the refusal. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *model, *identifier;
        uint16_t status;
        uint32_t offending;
    } rows[] = {
        {S, NULL, 0xA900, 0x00080052},
        {S, "0020000D UI", 0xA900, 0x00080052},
        {S, "00080052 CS PATIENT", 0xA900, 0x00080052},
        {S, "00080052 CS SERIES|0020000E UI", 0xA900, 0x0020000D},
        {P, "00080052 CS STUDY|0020000D UI", 0xA900, 0x00100020},
        {S, "00080052 CS STUDY|0020000E UI 1.1.1", 0xA900, 0x0020000E},
        {S, "00080020 DA yesterday|00080052 CS STUDY", 0xA900, 0x00080020},
        {S, "00080030 TM 25|00080052 CS STUDY", 0xA900, 0x00080030},
        {S, "00080022 DA 2024|00080052 CS IMAGE|0020000D UI 1|0020000E UI 1", 0xA900, 0x00080022},
        {UID_STUDY_ROOT_GET, "00080052 CS STUDY", 0x0122, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        test_run run;
        test_run_start(&run, &archive, &service_find, rows[i].model, UID_EXPLICIT_LE,
                       rows[i].identifier, NULL);
        assert_int_equal(test_run_next(&run), SERVICE_FINAL);
        assert_int_equal(run.output.command.status, rows[i].status);
        assert_int_equal(run.output.command.offending_element, rows[i].offending);
        assert_true(strlen(run.output.command.error_comment) > 10);
        assert_null(run.output.identifier);
        assert_int_equal(run.output.command.command_field, 0x8020);
        test_run_end(&run);
    }
}

static void test_cancel(void **state)
{
    (void)state;
    for (int nanswers = 0; nanswers <= 2; nanswers++) {
        test_run run;
        test_run_start(&run, &archive, &service_find, S, UID_IMPLICIT_LE, "00080052 CS STUDY",
                       NULL);
        for (int i = 0; i < nanswers; i++)
            assert_int_equal(test_run_next(&run), SERVICE_RESPONSE);
        service_find.cancel(run.operation);
        assert_int_equal(test_run_next(&run), SERVICE_FINAL);
        assert_int_equal(run.output.command.status, 0xFE00);
        assert_null(run.output.identifier);
        test_run_end(&run);
    }
}

/* An operation may be dropped at any time: the peer hung up. */
static void test_dropped(void **state)
{
    (void)state;
    for (int nsteps = 0; nsteps <= 3; nsteps++) {
        test_run run;
        test_run_start(&run, &archive, &service_find, S, UID_IMPLICIT_LE,
                       "00080052 CS STUDY|0020000D UI", NULL);
        for (int i = 0; i < nsteps; i++)
            test_run_next(&run);
        test_run_end(&run);
    }
}

/* The log's line tells what was done, and nothing of the patient. */
static void test_describe(void **state)
{
    (void)state;
    test_run run;
    test_run_start(&run, &archive, &service_find, S, UID_IMPLICIT_LE,
                   "00080052 CS STUDY|00100010 PN *doe*|00100020 LO", NULL);
    free(collect(&run, UID_IMPLICIT_LE));
    char *text = test_run_describe(&run);
    assert_string_equal(text, "model=STUDY level=STUDY matches=1 examined=4");
    free(text);
    test_run_end(&run);
    test_run_start(&run, &archive, &service_find, S, UID_IMPLICIT_LE, "00100010 PN Doe", NULL);
    test_run_next(&run);
    text = test_run_describe(&run);
    assert_string_equal(text, "refused: QueryRetrieveLevel is missing");
    free(text);
    test_run_end(&run);
}

/* ---- An index that fails ---- */

typedef struct broken_index {
    scp_index base;
    index_cursor cursor;
    bool find_fails;
    int nrecords; /* then the cursor fails, or (below 0) never ends */
    dcb_dataset *record;
} broken_index;

static broken_index broken;

static int broken_find(index_cursor **out, scp_index *index, query_level level,
                       const index_filter *filter, scp_error *error)
{
    (void)level;
    (void)filter;
    broken_index *self = (broken_index *)index;
    *out = NULL;
    if (self->find_fails)
        return scp_fail(error, "disk on fire");
    *out = &self->cursor;
    return 0;
}

static int broken_next(index_cursor *cursor, const dcb_dataset **record, scp_error *error)
{
    (void)cursor;
    if (broken.nrecords == 0)
        return scp_fail(error, "disk on fire");
    broken.nrecords--;
    *record = broken.record;
    return 1;
}

static void broken_close(index_cursor *cursor)
{
    (void)cursor;
}

static const index_backend broken_backend = {
    .find = broken_find, .cursor_next = broken_next, .cursor_close = broken_close};

static void start_broken(test_run *run, const char *identifier)
{
    static test_archive broken_archive;
    broken.base.backend = &broken_backend;
    broken.cursor.backend = &broken_backend;
    broken_archive.options = archive.options;
    broken_archive.node = (scp_node){.options = &broken_archive.options, .index = &broken.base};
    test_run_start(run, &broken_archive, &service_find, S, UID_IMPLICIT_LE, identifier, NULL);
}

static void test_index_failures(void **state)
{
    (void)state;
    test_run run;
    broken.record = dataset_from_text("0020000D UI 1.2.3");
    broken.find_fails = true;
    start_broken(&run, "00080052 CS STUDY|0020000D UI");
    assert_int_equal(test_run_next(&run), SERVICE_FINAL);
    assert_int_equal(run.output.command.status, 0xC000);
    assert_string_equal(run.output.command.error_comment, "the index cannot be read");
    test_run_end(&run);
    /* In the middle: what was found was sent, then it ends. */
    broken.find_fails = false;
    broken.nrecords = 2;
    start_broken(&run, "00080052 CS STUDY|0020000D UI");
    assert_int_equal(test_run_next(&run), SERVICE_RESPONSE);
    assert_int_equal(test_run_next(&run), SERVICE_RESPONSE);
    assert_int_equal(test_run_next(&run), SERVICE_FINAL);
    assert_int_equal(run.output.command.status, 0xC000);
    test_run_end(&run);
    dcb_dataset_close(broken.record);
}

/* A query over many records that do not match comes up for air, so that it can be cancelled. */
static void test_long_scan(void **state)
{
    (void)state;
    test_run run;
    broken.record = dataset_from_text("00081030 LO knee|0020000D UI 1.2.3");
    broken.find_fails = false;
    broken.nrecords = -1;
    start_broken(&run, "00080052 CS STUDY|00081030 LO head*");
    assert_int_equal(service_find.next(run.operation, &run.output), SERVICE_WORKING);
    assert_int_equal(service_find.next(run.operation, &run.output), SERVICE_WORKING);
    service_find.cancel(run.operation);
    assert_int_equal(service_find.next(run.operation, &run.output), SERVICE_FINAL);
    assert_int_equal(run.output.command.status, 0xFE00);
    test_run_end(&run);
    dcb_dataset_close(broken.record);
}

static int set_up(void **state)
{
    (void)state;
    test_archive_create(&archive);
    for (size_t i = 0; i < COUNT(pretended); i++)
        test_archive_pretend(&archive, &pretended[i]);
    free(test_archive_add(&archive, TEST_DATA_DIR "/golden/tiny3/series.dcbs", "tiny3.dcbs"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_archive_remove(&archive);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),   cmocka_unit_test(test_series_attributes_by_instance),
        cmocka_unit_test(test_sequences), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cancel),    cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_describe),  cmocka_unit_test(test_index_failures),
        cmocka_unit_test(test_long_scan),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
