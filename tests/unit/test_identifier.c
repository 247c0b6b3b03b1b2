/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers: what is refused, with which status and offending element, and what a query holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataset_text.h"
#include "dictionary.h"
#include "identifier.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const uids[2][2] = {{UID_PATIENT_ROOT_FIND, UID_STUDY_ROOT_FIND},
                                       {UID_PATIENT_ROOT_GET, UID_STUDY_ROOT_GET}};

static bool read_bytes(scp_query *out, query_purpose purpose, const char *abstract_syntax,
                       const char *transfer_syntax, const uint8_t *bytes, size_t nbytes,
                       query_fault *fault)
{
    const service_request request = {.transfer_syntax_uid = transfer_syntax,
                                     .abstract_syntax_uid = abstract_syntax,
                                     .identifier = bytes,
                                     .identifier_nbytes = nbytes};
    return identifier_read(out, purpose, &request, fault);
}

/* Every syntax must give the same. */
static bool read_text(scp_query *out, query_purpose purpose, query_model model, const char *text,
                      query_fault *fault)
{
    static const struct {
        dcb_syntax syntax;
        const char *uid;
    } syntaxes[] = {{DCB_SYNTAX_EXPLICIT_BE, UID_EXPLICIT_BE},
                    {DCB_SYNTAX_EXPLICIT_LE, UID_EXPLICIT_LE},
                    {DCB_SYNTAX_IMPLICIT_LE, UID_IMPLICIT_LE}};
    bool ok = false;
    query_fault first = {0};
    for (size_t i = 0; i < COUNT(syntaxes); i++) {
        if (i > 0)
            query_clear(out);
        size_t nbytes = 0;
        uint8_t *bytes = dataset_text_encode(&nbytes, text, syntaxes[i].syntax);
        bool same = read_bytes(out, purpose, uids[purpose][model - MODEL_PATIENT_ROOT],
                               syntaxes[i].uid, bytes, nbytes, fault);
        free(bytes);
        if (i == 0) {
            ok = same;
            first = *fault;
        }
        assert_int_equal(same, ok);
        assert_memory_equal(&first, fault, sizeof first);
    }
    return ok;
}

#define F QUERY_FIND
#define G QUERY_RETRIEVE
#define P MODEL_PATIENT_ROOT
#define S MODEL_STUDY_ROOT

/* Refused: always A900, with the offending element and something to read. */
static const struct {
    query_purpose purpose;
    query_model model;
    const char *identifier;
    uint32_t offending;
} bad[] = {
    /* The level. */
    {F, P, "00100020 LO 1", TAG_QUERY_RETRIEVE_LEVEL},
    {F, P, "00080052 CS|00100020 LO 1", TAG_QUERY_RETRIEVE_LEVEL},
    {F, S, "00080052 CS  |0020000D UI 1.2", TAG_QUERY_RETRIEVE_LEVEL},
    {F, S, "00080052 CS study", TAG_QUERY_RETRIEVE_LEVEL},
    {F, S, "00080052 CS STUDIES", TAG_QUERY_RETRIEVE_LEVEL},
    {F, S, "00080052 CS STUDY\\SERIES", TAG_QUERY_RETRIEVE_LEVEL},
    {F, S, "00080052 CS ST*", TAG_QUERY_RETRIEVE_LEVEL},
    {F, S, "00080052 CS FRAME", TAG_QUERY_RETRIEVE_LEVEL},
    {F, S, "00080052 CS PATIENT|00100020 LO 1", TAG_QUERY_RETRIEVE_LEVEL},
    {G, S, "00080052 CS PATIENT|00100020 LO 1", TAG_QUERY_RETRIEVE_LEVEL},
    {G, P, "0020000D UI 1.2", TAG_QUERY_RETRIEVE_LEVEL},
    /* Above the level: one value, no wildcard. */
    {F, P, "00080052 CS STUDY|0020000D UI", TAG_PATIENT_ID},
    {F, P, "00080052 CS STUDY|00100020 LO|0020000D UI", TAG_PATIENT_ID},
    {F, P, "00080052 CS STUDY|00100020 LO *", TAG_PATIENT_ID},
    {F, P, "00080052 CS STUDY|00100020 LO A?", TAG_PATIENT_ID},
    {F, P, "00080052 CS STUDY|00100020 LO A\\B", TAG_PATIENT_ID},
    {F, P, "00080052 CS SERIES|00100020 LO 1", TAG_STUDY_INSTANCE_UID},
    {F, P, "00080052 CS SERIES|0020000D UI 1.2", TAG_PATIENT_ID},
    {F, S, "00080052 CS SERIES|0020000E UI 1.3", TAG_STUDY_INSTANCE_UID},
    {F, S, "00080052 CS SERIES|0020000D UI", TAG_STUDY_INSTANCE_UID},
    {F, S, "00080052 CS SERIES|0020000D UI 1.2\\1.3", TAG_STUDY_INSTANCE_UID},
    {F, S, "00080052 CS SERIES|0020000D UI 1.*", TAG_STUDY_INSTANCE_UID},
    {F, S, "00080052 CS IMAGE|0020000D UI 1.2", TAG_SERIES_INSTANCE_UID},
    {F, S, "00080052 CS IMAGE|0020000E UI 1.2", TAG_STUDY_INSTANCE_UID},
    {F, S, "00080052 CS IMAGE|0020000D UI 1.2|0020000E UI 1\\2", TAG_SERIES_INSTANCE_UID},
    {G, P, "00080052 CS STUDY|0020000D UI 1.2", TAG_PATIENT_ID},
    {G, P, "00080052 CS IMAGE|00100020 LO 1|0020000D UI 1.2|00080018 UI 1.4",
     TAG_SERIES_INSTANCE_UID},
    {G, S, "00080052 CS SERIES|0020000E UI 1.3", TAG_STUDY_INSTANCE_UID},
    {G, S, "00080052 CS SERIES|0020000D UI 1\\2|0020000E UI 1.3", TAG_STUDY_INSTANCE_UID},
    {G, S, "00080052 CS IMAGE|00080018 UI 1.4", TAG_STUDY_INSTANCE_UID},
    /* Below the level: none. */
    {F, P, "00080052 CS PATIENT|0020000D UI 1.2", TAG_STUDY_INSTANCE_UID},
    {F, P, "00080052 CS PATIENT|0020000E UI 1.2", TAG_SERIES_INSTANCE_UID},
    {F, S, "00080052 CS STUDY|0020000E UI 1.3", TAG_SERIES_INSTANCE_UID},
    {F, S, "00080052 CS STUDY|00080018 UI 1.4", TAG_SOP_INSTANCE_UID},
    {F, S, "00080052 CS SERIES|0020000D UI 1.2|00080018 UI 1.4", TAG_SOP_INSTANCE_UID},
    {G, P, "00080052 CS PATIENT|00100020 LO 1|0020000D UI 1.2", TAG_STUDY_INSTANCE_UID},
    {G, S, "00080052 CS STUDY|0020000D UI 1.2|0020000E UI 1.3", TAG_SERIES_INSTANCE_UID},
    {G, S, "00080052 CS SERIES|0020000D UI 1.2|0020000E UI 1.3|00080018 UI 1.4",
     TAG_SOP_INSTANCE_UID},
    /* At the level of a retrieval: an empty key never means everything. */
    {G, P, "00080052 CS PATIENT", TAG_PATIENT_ID},
    {G, P, "00080052 CS PATIENT|00100020 LO", TAG_PATIENT_ID},
    {G, P, "00080052 CS PATIENT|00100020 LO *", TAG_PATIENT_ID},
    {G, P, "00080052 CS PATIENT|00100020 LO A\\B", TAG_PATIENT_ID},
    {G, P, "00080052 CS STUDY|00100020 LO 1", TAG_STUDY_INSTANCE_UID},
    {G, S, "00080052 CS STUDY", TAG_STUDY_INSTANCE_UID},
    {G, S, "00080052 CS STUDY|0020000D UI", TAG_STUDY_INSTANCE_UID},
    {G, S, "00080052 CS STUDY|0020000D UI \\", TAG_STUDY_INSTANCE_UID},
    {G, S, "00080052 CS STUDY|0020000D UI *", TAG_STUDY_INSTANCE_UID},
    {G, S, "00080052 CS STUDY|0020000D UI 1.2\\1.?", TAG_STUDY_INSTANCE_UID},
    {G, S, "00080052 CS SERIES|0020000D UI 1.2|0020000E UI", TAG_SERIES_INSTANCE_UID},
    {G, S, "00080052 CS IMAGE|0020000D UI 1.2|0020000E UI 1.3", TAG_SOP_INSTANCE_UID},
    /* A retrieval has unique keys only. */
    {G, P, "00080052 CS PATIENT|00100010 PN Doe|00100020 LO 1", TAG_PATIENT_NAME},
    {G, S, "00080052 CS STUDY|00080060 CS CT|0020000D UI 1.2", TAG_MODALITY},
    {G, S, "00080020 DA 20240101|00080052 CS STUDY|0020000D UI 1.2", TAG_STUDY_DATE},
    {G, S, "00080052 CS STUDY|00100010 PN *|0020000D UI 1.2", TAG_PATIENT_NAME},
    {G, S, "00080052 CS STUDY|00081140 SQ [00081155 UI 1.2]|0020000D UI 1.2",
     DCB_TAG(0x0008, 0x1140)},
    {G, S, "00080052 CS STUDY|00100020 LO A*|0020000D UI 1.2", TAG_PATIENT_ID},
    {G, S, "00080052 CS STUDY|0020000D UI 1.2|00280010 US ab", DCB_TAG(0x0028, 0x0010)},
    /* Others. */
    {F, S, "00080005 CS KLINGON|00080052 CS STUDY", TAG_SPECIFIC_CHARACTER_SET},
    {F, S, "00080052 CS STUDY|00081110 SQ [00081150 UI][00081155 UI]", DCB_TAG(0x0008, 0x1110)},
    {F, S, "00080052 CS STUDY|00081110 SQ [0040A170 SQ [00080100 SH][00080100 SH]]",
     DCB_TAG(0x0040, 0xA170)},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        scp_query query;
        query_fault fault;
        if (read_text(&query, bad[i].purpose, bad[i].model, bad[i].identifier, &fault))
            fail_msg("accepted: %s", bad[i].identifier);
        if (fault.offending_element != bad[i].offending)
            fail_msg("%s: offending element %08X, not %08X (%s)", bad[i].identifier,
                     (unsigned)fault.offending_element, (unsigned)bad[i].offending, fault.comment);
        assert_int_equal(fault.status, 0xA900);
        assert_true(strlen(fault.comment) > 10);
        query_clear(&query);
    }
}

/* Accepted: the level, and the unique keys that restrict, as "patient;study,study;series;sop". */
static const struct {
    query_purpose purpose;
    query_model model;
    const char *identifier;
    query_level level;
    const char *unique;
} good[] = {
    {F, P, "00080052 CS PATIENT", LEVEL_PATIENT, ";;;"},
    {F, P, "00080052 CS PATIENT|00100020 LO A*", LEVEL_PATIENT, "A*;;;"},
    {F, P, "00080052 CS  STUDY |00100020 LO  A 1 ", LEVEL_STUDY, "A 1;;;"},
    {F, P, "00080052 CS IMAGE|00100020 LO A|0020000D UI 1.2|0020000E UI 1.3", LEVEL_IMAGE,
     "A;1.2;1.3;"},
    {F, S, "00080052 CS STUDY", LEVEL_STUDY, ";;;"},
    {F, S, "00080052 CS STUDY|00100020 LO A*|0020000D UI 1.2\\1.3", LEVEL_STUDY, ";1.2,1.3;;"},
    /* Empty keys are no keys, below the level too; and other levels' keys may be asked for. */
    {F, S, "00080018 UI|00080052 CS STUDY|00080060 CS CT|0020000D UI|0020000E UI", LEVEL_STUDY,
     ";;;"},
    {F, S, "00080052 CS SERIES|00100010 PN Doe*|0020000D UI 1.2|0020000E UI", LEVEL_SERIES,
     ";1.2;;"},
    {F, S, "00080052 CS IMAGE|0020000D UI 1.2|0020000E UI 1.3|00080018 UI 1.4\\1.5", LEVEL_IMAGE,
     ";1.2;1.3;1.4,1.5"},
    {F, S, "00080052 CS STUDY|00081110 SQ|00081111 SQ []", LEVEL_STUDY, ";;;"},
    {G, P, "00080052 CS PATIENT|00100020 LO A", LEVEL_PATIENT, "A;;;"},
    {G, P, "00080052 CS STUDY|00100020 LO A|0020000D UI 1.2\\1.3", LEVEL_STUDY, "A;1.2,1.3;;"},
    {G, P, "00080052 CS SERIES|00100020 LO A|0020000D UI 1.2|0020000E UI 1.3", LEVEL_SERIES,
     "A;1.2;1.3;"},
    {G, S, "00080052 CS STUDY|0020000D UI 1.2", LEVEL_STUDY, ";1.2;;"},
    {G, S, "00080052 CS STUDY|0020000D UI 1.2\\\\1.3\\", LEVEL_STUDY, ";1.2,1.3;;"},
    {G, S, "00080052 CS STUDY|00100020 LO A|0020000D UI 1.2", LEVEL_STUDY, "A;1.2;;"},
    {G, S, "00080052 CS STUDY|00100010 PN|00100020 LO|0020000D UI 1.2|0020000E UI|00081110 SQ",
     LEVEL_STUDY, ";1.2;;"},
    {G, S, "00080005 CS ISO_IR 100|00080052 CS STUDY|00080053 CS CLASSIC|0020000D UI 1.2",
     LEVEL_STUDY, ";1.2;;"},
    {G, S, "00080018 UI 1.4\\1.5|00080052 CS IMAGE|0020000D UI 1.2|0020000E UI 1.3", LEVEL_IMAGE,
     ";1.2;1.3;1.4,1.5"},
};

static void join_unique(char *out, size_t size, const scp_query *query)
{
    out[0] = '\0';
    for (int level = 0; level < QUERY_LEVELS; level++) {
        const query_values *values = &query->unique[level];
        for (uint32_t i = 0; i < values->count; i++)
            snprintf(out + strlen(out), size - strlen(out), "%s%s", i > 0 ? "," : "",
                     values->values[i]);
        if (level + 1 < QUERY_LEVELS)
            snprintf(out + strlen(out), size - strlen(out), ";");
    }
}

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        scp_query query;
        query_fault fault;
        if (!read_text(&query, good[i].purpose, good[i].model, good[i].identifier, &fault))
            fail_msg("refused: %s: %s", good[i].identifier, fault.comment);
        assert_int_equal(query.level, good[i].level);
        assert_int_equal(query.model, good[i].model);
        assert_int_equal(query.syntax, DCB_SYNTAX_IMPLICIT_LE);
        char unique[200];
        join_unique(unique, sizeof unique, &query);
        assert_string_equal(unique, good[i].unique);
        query_clear(&query);
    }
}

static void test_no_identifier(void **state)
{
    (void)state;
    scp_query query;
    query_fault fault;
    static const uint8_t nothing[1];
    assert_false(
        read_bytes(&query, QUERY_FIND, UID_STUDY_ROOT_FIND, UID_IMPLICIT_LE, NULL, 0, &fault));
    assert_int_equal(fault.status, 0xA900);
    assert_int_equal(fault.offending_element, TAG_QUERY_RETRIEVE_LEVEL);
    query_clear(&query);
    assert_false(
        read_bytes(&query, QUERY_FIND, UID_STUDY_ROOT_FIND, UID_IMPLICIT_LE, nothing, 0, &fault));
    assert_int_equal(fault.status, 0xA900);
    query_clear(&query);
}

/* Every truncation is refused or is a shorter, whole identifier; none crashes. */
static void test_truncated(void **state)
{
    (void)state;
    size_t nbytes = 0;
    uint8_t *bytes = dataset_text_encode(
        &nbytes, "00080052 CS STUDY|00081110 SQ [00081150 UI 1.2]|0020000D UI 1.2.3.4",
        DCB_SYNTAX_EXPLICIT_LE);
    size_t naccepted = 0;
    for (size_t n = 1; n <= nbytes; n++) {
        uint8_t *cut = malloc(n);
        memcpy(cut, bytes, n);
        scp_query query;
        query_fault fault;
        if (read_bytes(&query, QUERY_FIND, UID_STUDY_ROOT_FIND, UID_EXPLICIT_LE, cut, n, &fault)) {
            naccepted++;
            assert_int_equal(query.level, LEVEL_STUDY);
        } else {
            assert_int_equal(fault.status, 0xA900);
            assert_int_equal(fault.offending_element, 0);
            assert_non_null(strstr(fault.comment, "not a data set"));
        }
        query_clear(&query);
        free(cut);
    }
    assert_int_equal(naccepted, 3); /* after each of its elements */
    free(bytes);
}

static void test_sop_classes(void **state)
{
    (void)state;
    size_t nbytes = 0;
    uint8_t *bytes =
        dataset_text_encode(&nbytes, "00080052 CS STUDY|0020000D UI 1.2", DCB_SYNTAX_IMPLICIT_LE);
    static const struct {
        query_purpose purpose;
        const char *uid, *syntax;
        uint16_t status; /* 0: accepted */
    } rows[] = {
        {F, UID_STUDY_ROOT_FIND, UID_IMPLICIT_LE, 0},
        {F, UID_STUDY_ROOT_GET, UID_IMPLICIT_LE, 0x0122},
        {F, UID_VERIFICATION, UID_IMPLICIT_LE, 0x0122},
        {F, "1.2.3", UID_IMPLICIT_LE, 0x0122},
        {G, UID_STUDY_ROOT_GET, UID_IMPLICIT_LE, 0},
        {G, UID_STUDY_ROOT_MOVE, UID_IMPLICIT_LE, 0},
        {G, UID_STUDY_ROOT_FIND, UID_IMPLICIT_LE, 0x0122},
        {F, UID_STUDY_ROOT_FIND, UID_HTJ2K, 0xC000},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        scp_query query;
        query_fault fault;
        bool ok =
            read_bytes(&query, rows[i].purpose, rows[i].uid, rows[i].syntax, bytes, nbytes, &fault);
        assert_int_equal(ok, rows[i].status == 0);
        assert_int_equal(fault.status, rows[i].status);
        query_clear(&query);
    }
    free(bytes);
}

/* Text is matched in UTF-8, whatever it came in; the answer goes by the request's set. */
static void test_character_set(void **state)
{
    (void)state;
    scp_query query;
    query_fault fault;
    assert_true(read_text(&query, QUERY_FIND, MODEL_STUDY_ROOT,
                          "00080005 CS ISO_IR 100|00080052 CS STUDY|00100010 PN M\xFCller",
                          &fault));
    assert_string_equal(query.charset, "ISO_IR 100");
    char name[32];
    dcb_dataset_get_text(query.keys, TAG_PATIENT_NAME, name, sizeof name);
    assert_string_equal(name, "Müller");
    query_clear(&query);
    assert_true(read_text(&query, QUERY_FIND, MODEL_STUDY_ROOT, "00080052 CS STUDY", &fault));
    assert_null(query.charset);
    query_clear(&query);
}

/* PS3.5 6.2.2 note 2: what came as UN has the VR that the dictionary knows. */
static void test_unknown_vrs(void **state)
{
    (void)state;
    size_t nbytes = 0;
    uint8_t *bytes = dataset_text_encode(
        &nbytes, "00080052 UN STUDY|00100010 UN Doe*|0020000D UN 1.2|00291001 UN xy",
        DCB_SYNTAX_EXPLICIT_LE);
    scp_query query;
    query_fault fault;
    assert_true(read_bytes(&query, QUERY_FIND, UID_STUDY_ROOT_FIND, UID_EXPLICIT_LE, bytes, nbytes,
                           &fault));
    assert_int_equal(query.unique[LEVEL_STUDY].count, 1);
    char *text = dataset_to_text(query.keys);
    assert_string_equal(text, "00080052 CS STUDY|00100010 PN Doe*|0020000D UI 1.2|00291001 UN xy");
    free(text);
    query_clear(&query);
    free(bytes);
}

static void test_dictionary(void **state)
{
    (void)state;
    static const struct {
        uint32_t tag;
        char vr[3];
    } rows[] = {
        {0x00080018, "UI"}, {0x00080020, "DA"}, {0x00080052, "CS"}, {0x00081140, "SQ"},
        {0x00100010, "PN"}, {0x00200013, "IS"}, {0x00200032, "DS"}, {0x00280010, "US"},
        {0x00280106, "US"}, {0x7FE00010, "OW"}, {0x60003000, "OW"}, {0x00290010, "LO"},
        {0x00189074, "DT"}, {0x00200062, "CS"}, {0x00082111, "ST"}, {0x00189087, "FD"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(dictionary_vr(NULL, rows[i].tag), DCB_VR(rows[i].vr[0], rows[i].vr[1]));
    assert_int_equal(dictionary_vr(NULL, 0x00291001), 0);
    assert_int_equal(dictionary_vr(NULL, 0x00080003), 0);
}

/* ---- Relational retrieval, and composite instances ---- */

static bool read_as(scp_query *out, const char *abstract_syntax, bool relational, const char *text,
                    query_fault *fault)
{
    size_t nbytes = 0;
    uint8_t *bytes = dataset_text_encode(&nbytes, text, DCB_SYNTAX_EXPLICIT_LE);
    const service_request request = {.transfer_syntax_uid = UID_EXPLICIT_LE,
                                     .abstract_syntax_uid = abstract_syntax,
                                     .identifier = bytes,
                                     .identifier_nbytes = nbytes,
                                     .relational = relational};
    const bool is_read = identifier_read(out, QUERY_RETRIEVE, &request, fault);
    free(bytes);
    return is_read;
}

static void test_relational(void **state)
{
    (void)state;
    static const struct {
        const char *model, *identifier;
        bool is_good;
    } rows[] = {
        {UID_STUDY_ROOT_GET, "00080018 UI 1.2.3\\1.2.4|00080052 CS IMAGE", true},
        {UID_PATIENT_ROOT_GET, "00080018 UI 1.2.3|00080052 CS IMAGE", true},
        {UID_STUDY_ROOT_MOVE, "00080052 CS SERIES|0020000E UI 1.2.3", true},
        {UID_PATIENT_ROOT_GET, "00080052 CS STUDY|0020000D UI 1.2.3", true},
        {UID_STUDY_ROOT_GET, "00080018 UI 1.2.3|00080052 CS IMAGE|0020000D UI 1.2\\1.3", true},
        /* Still: something at the level, nothing below it, no wildcards. */
        {UID_STUDY_ROOT_GET, "00080052 CS IMAGE", false},
        {UID_STUDY_ROOT_GET, "00080018 UI|00080052 CS IMAGE|0020000D UI 1.2", false},
        {UID_STUDY_ROOT_GET, "00080018 UI 1.2*|00080052 CS IMAGE", false},
        {UID_STUDY_ROOT_GET, "00080018 UI 1.2|00080052 CS IMAGE|0020000D UI 1.*", false},
        {UID_STUDY_ROOT_GET, "00080018 UI 1.2|00080052 CS SERIES|0020000E UI 1.2", false},
        {UID_PATIENT_ROOT_GET, "00080018 UI 1.2|00080052 CS IMAGE|00100020 LO A\\B", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        scp_query query;
        query_fault fault;
        assert_int_equal(read_as(&query, rows[i].model, true, rows[i].identifier, &fault),
                         rows[i].is_good);
        assert_int_equal(fault.status, rows[i].is_good ? 0 : DIMSE_IDENTIFIER_MISMATCH);
        query_clear(&query);
        /* Where it was not negotiated, what is above the level is needed. */
        assert_false(read_as(&query, rows[i].model, false, rows[i].identifier, &fault));
        query_clear(&query);
    }
}

/* The identifier's numbers come after it: frames of 32 bits, or a time range that ends at `to`. */
static void check_composite(const char *model, const char *text, const uint32_t *frames,
                            size_t nframes, uint32_t tag, uint16_t status, frame_key key)
{
    dcb_dataset *dataset = dataset_from_text(text);
    uint8_t *bytes = NULL;
    size_t nbytes = 0;
    scp_query query;
    query_fault fault;
    if (tag != 0)
        assert_int_equal(
            dcb_dataset_put(dataset, tag,
                            tag == TAG_TIME_RANGE ? DCB_VR('F', 'D') : DCB_VR('U', 'L'), frames,
                            nframes * sizeof *frames, NULL),
            DCB_OK);
    assert_int_equal(dcb_dataset_encode(&bytes, &nbytes, dataset, DCB_SYNTAX_EXPLICIT_LE, NULL),
                     DCB_OK);
    const service_request request = {.transfer_syntax_uid = UID_EXPLICIT_LE,
                                     .abstract_syntax_uid = model,
                                     .identifier = bytes,
                                     .identifier_nbytes = nbytes};
    assert_int_equal(identifier_read(&query, QUERY_RETRIEVE, &request, &fault), status == 0);
    assert_int_equal(fault.status, status);
    if (status == 0) {
        assert_int_equal(query.level, LEVEL_IMAGE);
        assert_int_equal(query.frames.key, key);
        if (key == FRAMES_SIMPLE || key == FRAMES_CALCULATED) {
            assert_int_equal(query.frames.count, nframes);
            assert_memory_equal(query.frames.numbers, frames, nframes * sizeof *frames);
        }
    }
    query_clear(&query);
    free(bytes);
    dcb_dataset_close(dataset);
}

static void test_composite(void **state)
{
    (void)state;
#define FRAME  "00080018 UI 1.2|00080052 CS FRAME"
#define SIMPLE TAG_SIMPLE_FRAME_LIST
#define RANGES TAG_CALCULATED_FRAME_LIST
    static const struct {
        const char *model, *identifier;
        uint32_t tag, frames[6], nframes;
        uint16_t status;
        frame_key key;
    } rows[] = {
        {UID_COMPOSITE_GET, "00080018 UI 1.2.3\\1.2.4|00080052 CS IMAGE", 0, {0}, 0, 0, FRAMES_ALL},
        {UID_COMPOSITE_MOVE, "00080018 UI 1.2.3|00080052 CS IMAGE", 0, {0}, 0, 0, FRAMES_ALL},
        {UID_WITHOUT_BULK_GET, "00080018 UI 1.2|00080052 CS IMAGE", 0, {0}, 0, 0, FRAMES_ALL},
        {UID_COMPOSITE_GET, FRAME, SIMPLE, {1, 3, 4}, 3, 0, FRAMES_SIMPLE},
        {UID_COMPOSITE_GET, FRAME, RANGES, {1, 7, 2, 8, 10, 1}, 6, 0, FRAMES_CALCULATED},
        {UID_COMPOSITE_GET, FRAME, TAG_TIME_RANGE, {0, 0, 0, 0x3FF00000}, 4, 0, FRAMES_TIME},
        {UID_COMPOSITE_GET, "00080052 CS IMAGE", 0, {0}, 0, 0xA900, 0},
        {UID_COMPOSITE_GET, "00080018 UI 1.2|00080052 CS STUDY", 0, {0}, 0, 0xA900, 0},
        {UID_COMPOSITE_GET, "00080018 UI 1.2", 0, {0}, 0, 0xA900, 0},
        {UID_COMPOSITE_GET, "00080018 UI 1.*|00080052 CS IMAGE", 0, {0}, 0, 0xA900, 0},
        {UID_COMPOSITE_GET,
         "00080018 UI 1.2|00080052 CS IMAGE|00080060 CS CT",
         0,
         {0},
         0,
         0xA900,
         0},
        {UID_COMPOSITE_GET, "00080018 UI 1.2\\1.3|00080052 CS FRAME", SIMPLE, {1}, 1, 0xA900, 0},
        {UID_WITHOUT_BULK_GET, FRAME, SIMPLE, {1}, 1, 0xA900, 0},
        {UID_COMPOSITE_GET, FRAME, 0, {0}, 0, 0xAA04, 0},
        {UID_COMPOSITE_GET, FRAME, SIMPLE, {0}, 0, 0xAA04, 0},
        {UID_COMPOSITE_GET, FRAME "|00081162 UL aaaa", SIMPLE, {1}, 1, 0xAA04, 0},
        {UID_COMPOSITE_GET, FRAME, SIMPLE, {2, 1}, 2, 0xAA04, 0},
        {UID_COMPOSITE_GET, FRAME, SIMPLE, {2, 2}, 2, 0xAA04, 0},
        {UID_COMPOSITE_GET, FRAME, SIMPLE, {0}, 1, 0xAA04, 0},
        {UID_COMPOSITE_GET, FRAME, RANGES, {1, 7}, 2, 0xAA04, 0},
        {UID_COMPOSITE_GET, FRAME, RANGES, {1, 7, 0}, 3, 0xAA04, 0},
        {UID_COMPOSITE_GET, FRAME, RANGES, {7, 1, 1}, 3, 0xAA04, 0},
        {UID_COMPOSITE_GET, FRAME, RANGES, {1, 7, 1, 7, 9, 1}, 6, 0xAA04, 0},
        {UID_COMPOSITE_GET, FRAME, TAG_TIME_RANGE, {0, 0x3FF00000, 0, 0}, 4, 0xAA04, 0},
        {UID_COMPOSITE_GET, FRAME, TAG_TIME_RANGE, {0, 0}, 2, 0xAA04, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_composite(rows[i].model, rows[i].identifier, rows[i].frames, rows[i].nframes,
                        rows[i].tag, rows[i].status, rows[i].key);
}

static int load_dictionary(void **state)
{
    (void)state;
    scp_error error = SCP_ERROR_INIT;
    return dictionary_load(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),           cmocka_unit_test(test_good),
        cmocka_unit_test(test_no_identifier), cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_sop_classes),   cmocka_unit_test(test_character_set),
        cmocka_unit_test(test_unknown_vrs),   cmocka_unit_test(test_relational),
        cmocka_unit_test(test_composite),     cmocka_unit_test(test_dictionary),
    };
    return cmocka_run_group_tests(tests, load_dictionary, NULL);
}
