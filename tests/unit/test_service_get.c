/* SPDX-License-Identifier: Apache-2.0 */
/* C-GET as a service: which instances leave on which context, all counters, every final status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataset_text.h"
#include "get_contexts.h"
#include "index_backend.h"
#include "instance_list.h"
#include "make_dcbs.h"
#include "series_pool.h"
#include "service_driver.h"
#include "sop_classes.h"
#include "temp_dir.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define P            UID_PATIENT_ROOT_GET
#define S            UID_STUDY_ROOT_GET
#define CT           "1.2.840.10008.5.1.4.1.1.2"
#define MR           "1.2.840.10008.5.1.4.1.1.4"
#define TINY3        TEST_DATA_DIR "/golden/tiny3/series.dcbs"

/* In the archive: tiny3 (P1, study 1.2.4, series 1.2.5, CT, 1.2.3.1 to .3), an MR of the same study
   (series 1.2.6, 1.2.7.1 and .2, the second frame cut off), and ct_phantom_small. */
static test_archive archive;
static char *tiny3_path, *mr_path;

static const struct {
    const char *uid, *name;
} syntaxes[] = {
    {UID_HTJ2K_LOSSLESS, "201"},
    {UID_HTJ2K_LOSSLESS_RPCL, "202"},
    {UID_HTJ2K, "203"},
    {UID_EXPLICIT_LE, "explicit"},
    {UID_IMPLICIT_LE, "implicit"},
    {UID_EXPLICIT_BE, "big"},
    {UID_DEFLATED, "deflated"},
    {UID_J2K_LOSSLESS, "j2k"},
    {UID_J2K, "j2k-any"},
    {UID_JPEG_LS_LOSSLESS, "jpeg-ls"},
    {UID_JPEG_LOSSLESS_SV1, "jpeg"},
    {UID_JPEG_LOSSLESS, "jpeg-any"},
    {UID_RLE, "rle"},
};

static const char *syntax_name(const char *uid)
{
    for (size_t i = 0; i < COUNT(syntaxes); i++) {
        if (strcmp(syntaxes[i].uid, uid) == 0)
            return syntaxes[i].name;
    }
    return uid;
}

static const char *syntax_uid(const char *name)
{
    for (size_t i = 0; i < COUNT(syntaxes); i++) {
        if (strcmp(syntaxes[i].name, name) == 0)
            return syntaxes[i].uid;
    }
    fail_msg("no syntax %s", name);
    return NULL;
}

/* "CT 201,MR explicit,CT! implicit": contexts 1, 3, 5, ...; "!" without the SCP role, "?" refused.
 */
static ul_request make_contexts(ul_context *contexts, const char *text)
{
    ul_request request = {.contexts = contexts};
    char *copy = strdup(text), *save = NULL;
    for (char *word = strtok_r(copy, ",", &save); word != NULL; word = strtok_r(NULL, ",", &save)) {
        const uint32_t i = request.ncontexts++;
        contexts[i] = test_context((uint8_t)(2 * i + 1), word[0] == 'C' ? CT : MR,
                                   syntax_uid(strchr(word, ' ') + 1), word[2] != '!');
        if (word[2] == '?')
            contexts[i].result = 3;
    }
    free(copy);
    return request;
}

/* ---- A whole retrieve as one line ---- */

static void add_counts(make_text *trace, const dimse_command *command)
{
    if ((command->present & DIMSE_HAS_COUNTS) == 0)
        return;
    if ((command->present & DIMSE_HAS_REMAINING) != 0)
        make_text_add(trace, " r%u", command->remaining);
    make_text_add(trace, " %u/%u/%u", command->completed, command->failed, command->warning);
}

static void add_step(make_text *trace, test_run *run, service_step step)
{
    const dimse_command *command = &run->output.command;
    if (step == SERVICE_SUBOPERATION) {
        const dcb_frame *frame = run->output.frame;
        make_text_add(trace, "%u:%s:%s; ", run->output.suboperation_context_id,
                      dcb_frame_sop_instance_uid(frame),
                      syntax_name(dcb_frame_transfer_syntax_uid(frame)));
        return;
    }
    assert_int_equal(command->command_field, 0x8010);
    assert_int_equal(command->message_id_responded, 77);
    make_text_add(trace, "%04X", command->status);
    add_counts(trace, command);
    char *identifier = test_run_identifier(run, UID_IMPLICIT_LE);
    assert_int_equal(command->data_set_type != DIMSE_NO_DATA_SET, identifier != NULL);
    if (identifier != NULL)
        make_text_add(trace, " {%s}", identifier);
    if (command->error_comment[0] != '\0')
        make_text_add(trace, " (%s)", command->error_comment);
    if (step != SERVICE_FINAL)
        make_text_add(trace, "; ");
    free(identifier);
}

/* statuses: of the sub-operations in turn, ended by -1; the last one goes on. cancel_after: that
   many steps, or -1. free() the result. */
static char *trace_get(const char *model, const char *identifier, const char *contexts,
                       const int *statuses, int cancel_after)
{
    ul_context list[16];
    ul_request request = make_contexts(list, contexts);
    test_run run;
    make_text trace = {0};
    test_run_start(&run, &archive, &service_get, model, UID_IMPLICIT_LE, identifier, &request);
    service_step step = SERVICE_RESPONSE;
    for (int i = 0; step != SERVICE_FINAL; i++) {
        if (i == cancel_after)
            service_get.cancel(run.operation);
        step = test_run_next(&run);
        add_step(&trace, &run, step);
        if (step == SERVICE_SUBOPERATION) {
            service_get.suboperation_done(run.operation, (uint16_t)*statuses);
            if (statuses[1] >= 0)
                statuses++;
        }
    }
    test_run_end(&run);
    return trace.text;
}

static const int ok[] = {0x0000, -1};

static void assert_trace(const char *model, const char *identifier, const char *contexts,
                         const int *statuses, int cancel_after, const char *expected)
{
    char *trace = trace_get(model, identifier, contexts, statuses, cancel_after);
    if (strcmp(trace, expected) != 0)
        fail_msg("%s on %s:\n%s\ninstead of\n%s", identifier, contexts, trace, expected);
    free(trace);
}

#define TINY_SERIES "00080052 CS SERIES|0020000D UI 1.2.4|0020000E UI 1.2.5"
#define MR_SERIES   "00080052 CS SERIES|0020000D UI 1.2.4|0020000E UI 1.2.6"
#define ALL_OF_TINY                                                                                \
    "1:1.2.3.1:201; FF00 r2 1/0/0; 1:1.2.3.2:201; FF00 r1 2/0/0; 1:1.2.3.3:201; 0000 3/0/0"

/* A frame that is damaged fails alone. */
#define CUT_OFF(completed)                                                                         \
    "B000 " completed "/1/0 {00080058 UI 1.2.7.2} "                                                \
    "(the frame's codestream is damaged or disagrees with its header)"

/* ---- What is sent ---- */

static void test_levels(void **state)
{
    (void)state;
    static const struct {
        const char *model, *identifier, *expected;
    } rows[] = {
        {S, TINY_SERIES, ALL_OF_TINY},
        {P, "00080052 CS SERIES|00100020 LO P1|0020000D UI 1.2.4|0020000E UI 1.2.5", ALL_OF_TINY},
        {S,
         "00080018 UI 1.2.3.1\\1.2.3.2\\1.2.3.3|00080052 CS IMAGE|0020000D UI 1.2.4"
         "|0020000E UI 1.2.5",
         ALL_OF_TINY},
        {S, "00080018 UI 1.2.3.3\\1.2.3.9|00080052 CS IMAGE|0020000D UI 1.2.4|0020000E UI 1.2.5",
         "1:1.2.3.3:201; 0000 1/0/0"},
        {S, "00080052 CS SERIES|0020000D UI 1.2.4|0020000E UI 1.2.5\\1.2.6",
         "1:1.2.3.1:201; FF00 r4 1/0/0; 1:1.2.3.2:201; FF00 r3 2/0/0; 1:1.2.3.3:201; "
         "FF00 r2 3/0/0; 3:1.2.7.1:201; FF00 r1 4/0/0; " CUT_OFF("4")},
        {S, "00080052 CS STUDY|0020000D UI 1.2.4",
         "1:1.2.3.1:201; FF00 r4 1/0/0; 1:1.2.3.2:201; FF00 r3 2/0/0; 1:1.2.3.3:201; "
         "FF00 r2 3/0/0; 3:1.2.7.1:201; FF00 r1 4/0/0; " CUT_OFF("4")},
        {P, "00080052 CS PATIENT|00100020 LO P1",
         "1:1.2.3.1:201; FF00 r4 1/0/0; 1:1.2.3.2:201; FF00 r3 2/0/0; 1:1.2.3.3:201; "
         "FF00 r2 3/0/0; 3:1.2.7.1:201; FF00 r1 4/0/0; " CUT_OFF("4")},
        /* No match: success, and nothing done. */
        {S, "00080052 CS STUDY|0020000D UI 1.2.99", "0000 0/0/0"},
        {P, "00080052 CS PATIENT|00100020 LO p1", "0000 0/0/0"},
        {P, "00080052 CS STUDY|00100020 LO P2|0020000D UI 1.2.4", "0000 0/0/0"},
        {S, "00080052 CS STUDY|00100020 LO P2|0020000D UI 1.2.4", "0000 0/0/0"},
        {S, "00080052 CS SERIES|0020000D UI 1.2.99|0020000E UI 1.2.5", "0000 0/0/0"},
        {S, "00080018 UI 1.2.3.1|00080052 CS IMAGE|0020000D UI 1.2.4|0020000E UI 1.2.6",
         "0000 0/0/0"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_trace(rows[i].model, rows[i].identifier, "CT 201,MR 201", ok, -1, rows[i].expected);
}

static void test_encodings(void **state)
{
    (void)state;
    static const struct {
        const char *contexts, *expected; /* of the first instance */
    } rows[] = {
        {"CT 201", "1:1.2.3.1:201; "},
        {"CT explicit,CT 201", "3:1.2.3.1:201; "},
        {"CT implicit,CT 203,CT explicit", "3:1.2.3.1:201; "}, /* any HTJ2K */
        {"CT implicit,CT explicit", "3:1.2.3.1:explicit; "},
        {"CT 202,CT explicit", "3:1.2.3.1:explicit; "}, /* .202 needs more than the frame has */
        {"CT deflated,CT big,CT implicit", "5:1.2.3.1:implicit; "},
        {"CT deflated,CT big", "3:1.2.3.1:big; "},
        {"CT deflated", "1:1.2.3.1:deflated; "},
        {"CT! 201,CT implicit", "3:1.2.3.1:implicit; "},
        {"CT? 201,CT big", "3:1.2.3.1:big; "},
        {"MR 201,CT implicit", "3:1.2.3.1:implicit; "},
        {"CT explicit,CT explicit", "1:1.2.3.1:explicit; "},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *trace = trace_get(S, TINY_SERIES, rows[i].contexts, ok, -1);
        if (strncmp(trace, rows[i].expected, strlen(rows[i].expected)) != 0)
            fail_msg("%s: %s", rows[i].contexts, trace);
        assert_non_null(strstr(trace, "; 0000 3/0/0"));
        free(trace);
    }
}

static void test_choice(void **state)
{
    (void)state;
    static const struct {
        const char *contexts, *stored;
        get_context_result result;
        int id;
        dcb_encoding encoding;
    } rows[] = {
        {"CT 203,CT 201,CT 202", "202", GET_CONTEXT_FOUND, 5, DCB_ENCODING_STORED},
        {"CT explicit,CT 201", "202", GET_CONTEXT_FOUND, 3, DCB_ENCODING_STORED},
        {"CT explicit,CT 203", "202", GET_CONTEXT_FOUND, 3, DCB_ENCODING_STORED},
        {"CT 202,CT 203", "201", GET_CONTEXT_FOUND, 3, DCB_ENCODING_STORED},
        {"CT 201,CT 202,CT explicit", "203", GET_CONTEXT_FOUND, 5, DCB_ENCODING_EXPLICIT_LE},
        {"CT 202", "201", GET_CONTEXT_SYNTAX, 0, 0},
        {"CT! 201,CT 202", "203", GET_CONTEXT_SYNTAX, 0, 0},
        /* compressed anew where there is nothing else */
        {"CT 201", "203", GET_CONTEXT_FOUND, 1, DCB_ENCODING_HTJ2K},
        {"CT 203", "explicit", GET_CONTEXT_FOUND, 1, DCB_ENCODING_HTJ2K},
        {"CT rle,CT j2k", "201", GET_CONTEXT_FOUND, 3, DCB_ENCODING_J2K},
        {"CT rle,CT j2k-any,CT deflated", "201", GET_CONTEXT_FOUND, 5, DCB_ENCODING_DEFLATED},
        {"CT rle,CT j2k-any", "201", GET_CONTEXT_FOUND, 3, DCB_ENCODING_J2K},
        {"CT jpeg,CT j2k,CT jpeg-ls", "201", GET_CONTEXT_FOUND, 5, DCB_ENCODING_JPEG_LS},
        {"CT explicit,CT j2k-any", "j2k", GET_CONTEXT_FOUND, 3, DCB_ENCODING_STORED},
        {"CT rle,CT jpeg-any", "jpeg", GET_CONTEXT_FOUND, 3, DCB_ENCODING_STORED},
        {"CT j2k", "j2k-any", GET_CONTEXT_FOUND, 1, DCB_ENCODING_J2K},
        {"CT! 201,MR 201", "201", GET_CONTEXT_NO_ROLE, 0, 0},
        {"MR 201,CT? 201", "201", GET_CONTEXT_NONE, 0, 0},
        {"", "201", GET_CONTEXT_NONE, 0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ul_context list[8];
        const ul_request request = make_contexts(list, rows[i].contexts);
        get_context choice = {0, 0, 0};
        assert_int_equal(get_context_choose(&choice, &request, CT, syntax_uid(rows[i].stored)),
                         rows[i].result);
        assert_int_equal(choice.id, rows[i].id);
        assert_int_equal(choice.encoding, rows[i].encoding);
    }
}

/* What an encoding turns out not to hold goes to the next best context, to the last. */
static void test_next_choice(void **state)
{
    (void)state;
    ul_context list[8];
    const ul_request request = make_contexts(list, "CT rle,CT jpeg-ls,MR implicit,CT j2k");
    get_context choice = {0, 0, 0};
    assert_int_equal(get_context_choose(&choice, &request, CT, UID_EXPLICIT_LE), GET_CONTEXT_FOUND);
    assert_int_equal(choice.id, 3);
    assert_true(get_context_next(&choice, &request, CT, UID_EXPLICIT_LE));
    assert_int_equal(choice.encoding, DCB_ENCODING_J2K);
    assert_true(get_context_next(&choice, &request, CT, UID_EXPLICIT_LE));
    assert_int_equal(choice.encoding, DCB_ENCODING_RLE);
    assert_int_equal(choice.id, 1);
    assert_false(get_context_next(&choice, &request, CT, UID_EXPLICIT_LE));
}

/* ---- Counters and statuses ---- */

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        int statuses[4];
        const char *expected;
    } rows[] = {
        /* Warnings are warnings, and not in the failed list. */
        {{0x0000, 0xB000, 0x0000, -1},
         "1:1.2.3.1:201; FF00 r2 1/0/0; 1:1.2.3.2:201; FF00 r1 1/0/1; 1:1.2.3.3:201; B000 2/0/1"},
        {{0xB007, -1},
         "1:1.2.3.1:201; FF00 r2 0/0/1; 1:1.2.3.2:201; FF00 r1 0/0/2; 1:1.2.3.3:201; B000 0/0/3"},
        {{0x0000, 0xA700, 0x0000, -1},
         "1:1.2.3.1:201; FF00 r2 1/0/0; 1:1.2.3.2:201; FF00 r1 1/1/0; 1:1.2.3.3:201; "
         "B000 2/1/0 {00080058 UI 1.2.3.2} (the peer refused an instance: status A700H)"},
        {{0xC000, 0xB000, 0xA900, -1},
         "1:1.2.3.1:201; FF00 r2 0/1/0; 1:1.2.3.2:201; FF00 r1 0/1/1; 1:1.2.3.3:201; "
         "B000 0/2/1 {00080058 UI 1.2.3.1\\1.2.3.3} (the peer refused an instance: status C000H)"},
        {{0x0122, -1},
         "1:1.2.3.1:201; FF00 r2 0/1/0; 1:1.2.3.2:201; FF00 r1 0/2/0; 1:1.2.3.3:201; A702 0/3/0 "
         "{00080058 UI 1.2.3.1\\1.2.3.2\\1.2.3.3} (the peer refused an instance: status 0122H)"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_trace(S, TINY_SERIES, "CT 201", rows[i].statuses, -1, rows[i].expected);
}

/* What cannot be sent is one failed sub-operation each; the rest goes on. */
static void test_cannot_send(void **state)
{
    (void)state;
    static const struct {
        const char *identifier, *contexts, *expected;
    } rows[] = {
        {TINY_SERIES, "MR 201",
         "FF00 r2 0/1/0; FF00 r1 0/2/0; A702 0/3/0 {00080058 UI 1.2.3.1\\1.2.3.2\\1.2.3.3} "
         "(no presentation context for CTImageStorage)"},
        {TINY_SERIES, "CT! 201",
         "FF00 r2 0/1/0; FF00 r1 0/2/0; A702 0/3/0 {00080058 UI 1.2.3.1\\1.2.3.2\\1.2.3.3} "
         "(no SCP role for CTImageStorage)"},
        {TINY_SERIES, "CT 202",
         "FF00 r2 0/1/0; FF00 r1 0/2/0; A702 0/3/0 {00080058 UI 1.2.3.1\\1.2.3.2\\1.2.3.3} "
         "(no usable transfer syntax for CTImageStorage)"},
        {"00080052 CS STUDY|0020000D UI 1.2.4", "MR 201",
         "FF00 r4 0/1/0; FF00 r3 0/2/0; FF00 r2 0/3/0; 1:1.2.7.1:201; FF00 r1 1/3/0; "
         "B000 1/4/0 {00080058 UI 1.2.3.1\\1.2.3.2\\1.2.3.3\\1.2.7.2} "
         "(no presentation context for CTImageStorage)"},
        {MR_SERIES, "MR explicit", "1:1.2.7.1:explicit; FF00 r1 1/0/0; " CUT_OFF("1")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_trace(S, rows[i].identifier, rows[i].contexts, ok, -1, rows[i].expected);
    }
}

/* An index that is behind the files never makes a wrong instance leave. */
static void test_stale_index(void **state)
{
    (void)state;
    size_t nbytes = 0;
    uint8_t *bytes = read_whole_file(tiny3_path, &nbytes);
    /* Another file under the same name. */
    size_t other_nbytes = 0;
    void *other =
        read_whole_file(TEST_DATA_DIR "/golden/ct_phantom_small/series.dcbs", &other_nbytes);
    replace_file(tiny3_path, other, other_nbytes);
    free(other);
    assert_trace(S, TINY_SERIES, "CT 201", ok, -1,
                 "FF00 r2 0/1/0; FF00 r1 0/2/0; A702 0/3/0 "
                 "{00080058 UI 1.2.3.1\\1.2.3.2\\1.2.3.3} "
                 "(the file changed since it was indexed)");
    /* No DCB file any more. */
    replace_file(tiny3_path, "hello", 5);
    char *trace = trace_get(S, TINY_SERIES, "CT 201", ok, -1);
    assert_non_null(strstr(trace, "FF00 r2 0/1/0; FF00 r1 0/2/0; A702 0/3/0 "
                                  "{00080058 UI 1.2.3.1\\1.2.3.2\\1.2.3.3} "
                                  "(not a DCB file, or damaged)"));
    free(trace);
    assert_int_equal(remove(tiny3_path), 0);
    trace = trace_get(S, "00080052 CS STUDY|0020000D UI 1.2.4", "CT 201,MR 201", ok, -1);
    assert_non_null(strstr(trace, "B000 1/4/0 {00080058 UI 1.2.3.1\\1.2.3.2\\1.2.3.3\\1.2.7.2} "
                                  "(reading or writing failed)"));
    free(trace);
    replace_file(tiny3_path, bytes, nbytes);
    free(bytes);
    assert_trace(S, TINY_SERIES, "CT 201", ok, -1, ALL_OF_TINY);
}

static void test_cancel(void **state)
{
    (void)state;
    static const int refused[] = {0xA700, 0x0000, -1};
    static const struct {
        int after; /* steps */
        const int *statuses;
        const char *expected;
    } rows[] = {
        {0, ok, "FE00 r3 0/0/0"},
        {1, ok, "1:1.2.3.1:201; FE00 r2 1/0/0"},
        {2, ok, "1:1.2.3.1:201; FF00 r2 1/0/0; FE00 r2 1/0/0"},
        {3, ok, "1:1.2.3.1:201; FF00 r2 1/0/0; 1:1.2.3.2:201; FE00 r1 2/0/0"},
        /* Cancelled even with failures. */
        {3, refused,
         "1:1.2.3.1:201; FF00 r2 0/1/0; 1:1.2.3.2:201; FE00 r1 1/1/0 {00080058 UI 1.2.3.1} "
         "(the peer refused an instance: status A700H)"},
        /* Too late: all is done. */
        {5, ok, ALL_OF_TINY},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_trace(S, TINY_SERIES, "CT 201", rows[i].statuses, rows[i].after, rows[i].expected);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *model, *identifier;
        uint16_t status;
        uint32_t offending;
    } rows[] = {
        {S, NULL, 0xA900, 0x00080052},
        {S, "00080052 CS STUDY", 0xA900, 0x0020000D},
        {S, "00080052 CS STUDY|0020000D UI", 0xA900, 0x0020000D},
        {S, "00080052 CS STUDY|0020000D UI 1.2.*", 0xA900, 0x0020000D},
        {S, "00080052 CS STUDY|00100010 PN M*|0020000D UI 1.2.4", 0xA900, 0x00100010},
        {S, "00080052 CS PATIENT|00100020 LO P1", 0xA900, 0x00080052},
        {P, "00080052 CS STUDY|0020000D UI 1.2.4", 0xA900, 0x00100020},
        {UID_STUDY_ROOT_FIND, "00080052 CS STUDY|0020000D UI 1.2.4", 0x0122, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        test_run run;
        test_run_start(&run, &archive, &service_get, rows[i].model, UID_EXPLICIT_LE,
                       rows[i].identifier, NULL);
        assert_int_equal(test_run_next(&run), SERVICE_FINAL);
        assert_int_equal(run.output.command.status, rows[i].status);
        assert_int_equal(run.output.command.offending_element, rows[i].offending);
        assert_true(strlen(run.output.command.error_comment) > 10);
        assert_int_equal(run.output.command.present & (DIMSE_HAS_COUNTS | DIMSE_HAS_REMAINING), 0);
        assert_null(run.output.identifier);
        test_run_end(&run);
    }
}

/* The peer may be gone at any time, also in the middle of a sub-operation. */
static void test_dropped(void **state)
{
    (void)state;
    for (int nsteps = 0; nsteps <= 4; nsteps++) {
        ul_context list[4];
        ul_request request = make_contexts(list, "CT explicit");
        test_run run;
        test_run_start(&run, &archive, &service_get, S, UID_IMPLICIT_LE, TINY_SERIES, &request);
        for (int i = 0; i < nsteps; i++) {
            if (test_run_next(&run) == SERVICE_SUBOPERATION && i + 1 < nsteps)
                service_get.suboperation_done(run.operation, 0x0000);
        }
        test_run_end(&run);
    }
}

static void test_describe(void **state)
{
    (void)state;
    ul_context list[4];
    ul_request request = make_contexts(list, "CT explicit,MR 201");
    test_run run;
    test_run_start(&run, &archive, &service_get, S, UID_IMPLICIT_LE,
                   "00080052 CS STUDY|0020000D UI 1.2.4", &request);
    while (true) {
        const service_step step = test_run_next(&run);
        if (step == SERVICE_FINAL)
            break;
        if (step == SERVICE_SUBOPERATION)
            service_get.suboperation_done(run.operation, 0x0000);
    }
    char *text = test_run_describe(&run);
    assert_string_equal(text, "model=STUDY level=STUDY stored=1 decoded=3");
    service_progress progress;
    service_get.progress(run.operation, &progress);
    assert_int_equal(progress.total, 5);
    assert_int_equal(progress.completed, 4);
    assert_int_equal(progress.failed, 1);
    assert_int_equal(progress.warning, 0);
    free(text);
    test_run_end(&run);
}

/* ---- An index of our own: failures, and very many instances ---- */

typedef struct fake_index {
    scp_index base;
    index_cursor cursor;
    bool find_fails, next_fails;
    uint32_t next, count;
    char uid[UL_UID_SIZE];
} fake_index;

static fake_index fake;

static int fake_find_instances(index_cursor **out, scp_index *index, const index_filter *filter,
                               scp_error *error)
{
    (void)index;
    (void)filter;
    *out = NULL;
    if (fake.find_fails)
        return scp_fail(error, "disk on fire");
    fake.next = 0;
    *out = &fake.cursor;
    return 0;
}

static int fake_next_instance(index_cursor *cursor, index_instance *instance, scp_error *error)
{
    (void)cursor;
    if (fake.next_fails && fake.next == 2)
        return scp_fail(error, "disk on fire");
    if (fake.next == fake.count)
        return 0;
    snprintf(fake.uid, sizeof fake.uid, "1.2.%u", fake.next++);
    *instance = (index_instance){"/gone/x.dcbs", fake.next - 1, CT, fake.uid, "1.2.5", "1.2.4"};
    return 1;
}

static void fake_close(index_cursor *cursor)
{
    (void)cursor;
}

static const index_backend fake_backend = {.find_instances = fake_find_instances,
                                           .cursor_next_instance = fake_next_instance,
                                           .cursor_close = fake_close};

static void start_fake(test_run *run)
{
    static test_archive fake_archive;
    static const ul_request none;
    fake.base.backend = &fake_backend;
    fake.cursor.backend = &fake_backend;
    fake_archive.options = archive.options;
    fake_archive.node = archive.node;
    fake_archive.node.options = &fake_archive.options;
    fake_archive.node.index = &fake.base;
    test_run_start(run, &fake_archive, &service_get, S, UID_IMPLICIT_LE, TINY_SERIES,
                   (ul_request *)&none);
}

static void test_index_failures(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        fake = (fake_index){.find_fails = i == 0, .next_fails = i == 1, .count = 5};
        test_run run;
        start_fake(&run);
        assert_int_equal(test_run_next(&run), SERVICE_FINAL);
        assert_int_equal(run.output.command.status, 0xA701);
        assert_string_equal(run.output.command.error_comment, "the index cannot be read");
        assert_null(run.output.identifier);
        test_run_end(&run);
    }
}

/* The counters have 16 bits: more than they hold stays at 65535. The failed list has all. */
static void test_many(void **state)
{
    (void)state;
    fake = (fake_index){.count = 70000};
    test_run run;
    start_fake(&run);
    uint32_t nresponses = 0;
    while (test_run_next(&run) == SERVICE_RESPONSE) {
        const uint32_t remaining = 70000 - ++nresponses;
        assert_int_equal(run.output.command.remaining, remaining < 65535 ? remaining : 65535);
        assert_int_equal(run.output.command.failed, nresponses < 65535 ? nresponses : 65535);
    }
    assert_int_equal(nresponses, 69999);
    assert_int_equal(run.output.command.status, 0xA702);
    assert_int_equal(run.output.command.failed, 65535);
    char *identifier = test_run_identifier(&run, UID_IMPLICIT_LE);
    size_t nuids = 1;
    for (const char *c = identifier; *c != '\0'; c++)
        nuids += *c == '\\';
    assert_int_equal(nuids, 70000);
    assert_non_null(strstr(identifier, "\\1.2.69999\\"));
    free(identifier);
    test_run_end(&run);
}

static void test_instance_list(void **state)
{
    (void)state;
    instance_list list = {0};
    char uid[UL_UID_SIZE], expected[UL_UID_SIZE], path[32];
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(path, sizeof path, "/archive/%u.dcbs", i / 500);
        snprintf(uid, sizeof uid, i % 7 == 0 ? "2.25.%u" : "1.2.826.0.1.3680043.10.9999.77.3.%u",
                 i * 7919);
        const index_instance instance = {path, i % 500, CT, uid, "1", "2"};
        assert_true(instance_list_add(&list, &instance));
    }
    const char *const odd[] = {"", "1",
                               "1.2.826.0.1.3680043.10.9999.77.3.1234567890123456789012345678901"};
    for (size_t i = 0; i < COUNT(odd); i++) {
        const index_instance instance = {"/archive/9.dcbs", (uint32_t)i, CT, odd[i], "1", "2"};
        assert_true(instance_list_add(&list, &instance));
    }
    char too_long[UL_UID_SIZE + 1];
    memset(too_long, '1', sizeof too_long);
    too_long[UL_UID_SIZE] = '\0';
    const index_instance refused = {"/archive/9.dcbs", 0, CT, too_long, "1", "2"};
    assert_false(instance_list_add(&list, &refused));
    assert_int_equal(list.count, 5003);
    assert_int_equal(list.nfiles, 10);
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(path, sizeof path, "/archive/%u.dcbs", i / 500);
        snprintf(expected, sizeof expected,
                 i % 7 == 0 ? "2.25.%u" : "1.2.826.0.1.3680043.10.9999.77.3.%u", i * 7919);
        instance_list_uid(uid, &list, i);
        assert_string_equal(uid, expected);
        assert_string_equal(instance_list_path(&list, i), path);
        assert_int_equal(instance_list_frame(&list, i), i % 500);
    }
    for (size_t i = 0; i < COUNT(odd); i++) {
        instance_list_uid(uid, &list, 5000 + i);
        assert_string_equal(uid, odd[i]);
    }
    instance_list_clear(&list);
    assert_int_equal(list.count, 0);
}

/* ---- The archive ---- */

/* tiny3's first frame twice, the second time cut off, as another SOP class. */
static void write_mr(const char *path)
{
    size_t nbytes = 0;
    uint8_t *tiny = read_whole_file(TINY3, &nbytes);
    uint8_t *good = tiny + 1162;
    make_meta meta = {0};
    make_meta_begin(&meta, 2);
    make_meta_text(&meta, "00080016", "UI", MR);
    make_meta_begin_slices(&meta, "00080018", "UI");
    make_meta_slice(&meta, "\"1.2.7.1\"");
    make_meta_slice(&meta, "\"1.2.7.2\"");
    make_meta_end_slices(&meta);
    make_meta_text(&meta, "00080060", "CS", "MR");
    make_meta_name(&meta, "00100010", "Müller^Jörg");
    make_meta_text(&meta, "00100020", "LO", "P1");
    make_meta_text(&meta, "0020000D", "UI", "1.2.4");
    make_meta_text(&meta, "0020000E", "UI", "1.2.6");
    make_meta_text(&meta, "00280004", "CS", "MONOCHROME2");
    make_meta_end(&meta);
    const make_frame frames[] = {{good, 262}, {good, 200}};
    const make_dcbs file = {
        .meta_json = meta.json.text,
        .pixel_header_json = "{\"RescaleSlope\": 1.0, \"RescaleIntercept\": 0.0,"
                             " \"OriginalPixelDtype\": \"int16\", \"PixelDtype\": \"int16\"}",
        .nframes = 2,
        .frames = frames,
    };
    assert_int_equal(make_dcbs_write(path, &file), 0);
    free(meta.json.text);
    free(tiny);
}

static int set_up(void **state)
{
    (void)state;
    test_archive_create(&archive);
    tiny3_path = test_archive_add(&archive, TINY3, "tiny3.dcbs");
    char *made = path_join(archive.folder, "made.tmp");
    write_mr(made);
    mr_path = test_archive_add(&archive, made, "mr.dcbs");
    remove(made);
    free(made);
    free(test_archive_add(&archive, TEST_DATA_DIR "/golden/ct_phantom_small/series.dcbs",
                          "phantom.dcbs"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(tiny3_path);
    free(mr_path);
    test_archive_remove(&archive);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),      cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_choice),      cmocka_unit_test(test_next_choice),
        cmocka_unit_test(test_statuses),    cmocka_unit_test(test_cannot_send),
        cmocka_unit_test(test_stale_index), cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_describe),    cmocka_unit_test(test_index_failures),
        cmocka_unit_test(test_many),        cmocka_unit_test(test_instance_list),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
