/* SPDX-License-Identifier: Apache-2.0 */
/* identifier.c - see identifier.h. */
#include "identifier.h"

#include "dictionary.h"
#include "element_values.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t unique_tag;
    const char *unique_name;
    dcb_vr unique_vr;
} levels[QUERY_LEVELS] = {
    [LEVEL_PATIENT] = {"PATIENT", TAG_PATIENT_ID, "PatientID", DCB_VR('L', 'O')},
    [LEVEL_STUDY] = {"STUDY", TAG_STUDY_INSTANCE_UID, "StudyInstanceUID", DCB_VR('U', 'I')},
    [LEVEL_SERIES] = {"SERIES", TAG_SERIES_INSTANCE_UID, "SeriesInstanceUID", DCB_VR('U', 'I')},
    [LEVEL_IMAGE] = {"IMAGE", TAG_SOP_INSTANCE_UID, "SOPInstanceUID", DCB_VR('U', 'I')},
};

const char *query_level_name(query_level level)
{
    return levels[level].name;
}

uint32_t query_unique_tag(query_level level)
{
    return levels[level].unique_tag;
}

bool query_fail(query_fault *fault, uint16_t status, uint32_t offending_element, const char *format,
                ...)
{
    fault->status = status;
    fault->offending_element = offending_element;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault->comment, sizeof fault->comment, format, arguments);
    va_end(arguments);
    return false;
}

static bool fail_no_memory(query_fault *fault)
{
    return query_fail(fault, DIMSE_OUT_OF_RESOURCES, 0, "out of memory");
}

bool query_syntax(dcb_syntax *out, const char *transfer_syntax_uid)
{
    static const struct {
        const char *uid;
        dcb_syntax syntax;
    } syntaxes[] = {
        {UID_IMPLICIT_LE, DCB_SYNTAX_IMPLICIT_LE},
        {UID_EXPLICIT_LE, DCB_SYNTAX_EXPLICIT_LE},
        {UID_EXPLICIT_BE, DCB_SYNTAX_EXPLICIT_BE},
    };
    for (size_t i = 0; i < sizeof syntaxes / sizeof syntaxes[0]; i++) {
        if (strcmp(syntaxes[i].uid, transfer_syntax_uid) == 0) {
            *out = syntaxes[i].syntax;
            return true;
        }
    }
    return false;
}

const char *query_model_name(query_model model)
{
    static const char *const names[] = {[MODEL_NONE] = "NONE",
                                        [MODEL_PATIENT_ROOT] = "PATIENT",
                                        [MODEL_STUDY_ROOT] = "STUDY",
                                        [MODEL_COMPOSITE] = "COMPOSITE",
                                        [MODEL_WITHOUT_BULK] = "WITHOUT BULK DATA"};
    return names[model];
}

void query_clear(scp_query *query)
{
    free(query->frames.numbers);
    query->frames = (query_frames){0};
    dcb_dataset_close(query->keys);
    query->keys = NULL;
    free(query->charset);
    query->charset = NULL;
    for (int i = 0; i < QUERY_LEVELS; i++) {
        free(query->unique[i].values);
        free(query->unique[i].text);
        query->unique[i] = (query_values){0};
    }
}

/* ---- Decoding ---- */

static bool read_charset(scp_query *out, query_fault *fault)
{
    const dcb_element *element = dcb_dataset_find(out->keys, TAG_SPECIFIC_CHARACTER_SET);
    if (element == NULL || element_is_empty(element))
        return true;
    out->charset = strndup((const char *)element->value, element->nbytes);
    if (out->charset == NULL)
        return fail_no_memory(fault);
    size_t nbytes = strlen(out->charset);
    while (nbytes > 0 && out->charset[nbytes - 1] == ' ')
        out->charset[--nbytes] = '\0';
    return true;
}

/* Elements sent as UN have the dictionary's VR (PS3.5 6.2.2 note 2). */
static dcb_status restore_vrs(dcb_dataset *keys, dcb_error *error)
{
    dcb_status status = DCB_OK;
    for (size_t i = 0; i < dcb_dataset_count(keys) && status == DCB_OK; i++) {
        const dcb_element *element = dcb_dataset_at(keys, i);
        const dcb_vr vr = dictionary_vr(NULL, element->tag);
        if (element->vr != DCB_VR('U', 'N') || element->nitems > 0 || !vr_is_string(vr))
            continue;
        char *copy = malloc(element->nbytes > 0 ? element->nbytes : 1);
        if (copy == NULL)
            return DCB_ERR_NO_MEMORY;
        if (element->nbytes > 0)
            memcpy(copy, element->value, element->nbytes);
        status = dcb_dataset_put(keys, element->tag, vr, copy, element->nbytes, error);
        free(copy);
    }
    return status;
}

static bool decode(scp_query *out, const service_request *request, query_fault *fault)
{
    if (request->identifier == NULL || request->identifier_nbytes == 0)
        return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, TAG_QUERY_RETRIEVE_LEVEL,
                          "the request has no identifier");
    if (!query_syntax(&out->syntax, request->transfer_syntax_uid))
        return query_fail(fault, DIMSE_UNABLE_TO_PROCESS, 0,
                          "no identifiers in this transfer syntax");
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status =
        dcb_dataset_parse(&out->keys, request->identifier, request->identifier_nbytes, out->syntax,
                          dictionary_vr, NULL, NULL, &error);
    if (status == DCB_OK)
        status = restore_vrs(out->keys, &error);
    if (status == DCB_ERR_NO_MEMORY)
        return fail_no_memory(fault);
    if (status != DCB_OK)
        return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, 0, "not a data set, at byte %llu",
                          error.offset != UINT64_MAX ? (unsigned long long)error.offset : 0);
    if (!read_charset(out, fault))
        return false;
    status = dcb_dataset_to_utf8(out->keys, &error);
    if (status == DCB_ERR_NO_MEMORY)
        return fail_no_memory(fault);
    if (status != DCB_OK)
        return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, TAG_SPECIFIC_CHARACTER_SET,
                          "SpecificCharacterSet is not supported");
    return true;
}

/* ---- The level ---- */

static bool read_level(scp_query *out, query_fault *fault)
{
    const dcb_element *element = dcb_dataset_find(out->keys, TAG_QUERY_RETRIEVE_LEVEL);
    if (element == NULL || element_is_empty(element))
        return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, TAG_QUERY_RETRIEVE_LEVEL,
                          "QueryRetrieveLevel is missing");
    const value_text value =
        value_trim((value_text){(const char *)element->value, element->nbytes}, DCB_VR('C', 'S'));
    for (int i = 0; i < QUERY_LEVELS; i++) {
        if (value.text == NULL || strlen(levels[i].name) != value.nbytes ||
            memcmp(levels[i].name, value.text, value.nbytes) != 0)
            continue;
        out->level = (query_level)i;
        if (i == LEVEL_PATIENT && out->model == MODEL_STUDY_ROOT)
            return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, TAG_QUERY_RETRIEVE_LEVEL,
                              "Study Root has no PATIENT level");
        return true;
    }
    return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, TAG_QUERY_RETRIEVE_LEVEL,
                      "QueryRetrieveLevel is none of PATIENT STUDY SERIES IMAGE");
}

/* ---- Unique keys ---- */

static bool read_values(query_values *out, const scp_query *query, int level, query_fault *fault)
{
    const dcb_element *element = dcb_dataset_find(query->keys, levels[level].unique_tag);
    if (element == NULL || element->value == NULL)
        return true;
    uint32_t count = 0;
    value_cursor cursor = value_cursor_start(element, levels[level].unique_vr);
    for (value_text value; value_cursor_next(&cursor, &value);)
        count++;
    out->values = calloc(count, sizeof *out->values);
    out->text = malloc((size_t)element->nbytes + count);
    if (out->values == NULL || out->text == NULL)
        return fail_no_memory(fault);
    char *next = out->text;
    cursor = value_cursor_start(element, levels[level].unique_vr);
    for (value_text value; value_cursor_next(&cursor, &value);) {
        if (value.nbytes == 0)
            continue;
        memcpy(next, value.text, value.nbytes);
        next[value.nbytes] = '\0';
        out->values[out->count++] = next;
        next += value.nbytes + 1;
    }
    return true;
}

static bool has_wildcard(const query_values *values)
{
    for (uint32_t i = 0; i < values->count; i++) {
        if (strpbrk(values->values[i], "*?") != NULL)
            return true;
    }
    return false;
}

static bool check_single(const scp_query *query, int level, query_fault *fault)
{
    const query_values *values = &query->unique[level];
    if (values->count == 1 && !has_wildcard(values))
        return true;
    return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, levels[level].unique_tag,
                      "%s needs exactly one value at %s level", levels[level].unique_name,
                      levels[query->level].name);
}

/* The level's own key in a retrieval: UIDs, or one PatientID (C.4.3.1.3.1). */
static bool check_retrieved(const scp_query *query, query_fault *fault)
{
    const int level = (int)query->level;
    const query_values *values = &query->unique[level];
    if (level == LEVEL_PATIENT)
        return check_single(query, level, fault);
    if (values->count == 0)
        return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, levels[level].unique_tag,
                          "%s is missing or empty", levels[level].unique_name);
    if (has_wildcard(values))
        return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, levels[level].unique_tag,
                          "%s allows no wildcards", levels[level].unique_name);
    return true;
}

/* PS3.4 C.4.3.2.2.1: above the level, what is there narrows. */
static bool check_relational(const scp_query *query, int level, query_fault *fault)
{
    const query_values *values = &query->unique[level];
    if (has_wildcard(values) || (level == LEVEL_PATIENT && values->count > 1))
        return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, levels[level].unique_tag,
                          "%s allows no wildcards%s", levels[level].unique_name,
                          level == LEVEL_PATIENT ? " and one value" : "");
    return true;
}

static bool check_unique_keys(scp_query *query, query_purpose purpose, bool relational,
                              query_fault *fault)
{
    /* In Study Root PatientID is an attribute of the study and no unique key (table C.6-5). */
    const int top = query->model == MODEL_PATIENT_ROOT ? LEVEL_PATIENT : LEVEL_STUDY;
    for (int level = top; level < QUERY_LEVELS; level++) {
        query_values *values = &query->unique[level];
        if (!read_values(values, query, level, fault))
            return false;
        if (level < (int)query->level && !(relational ? check_relational(query, level, fault)
                                                      : check_single(query, level, fault)))
            return false;
        if (level > (int)query->level && values->count > 0)
            return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, levels[level].unique_tag,
                              "%s is below the level %s", levels[level].unique_name,
                              levels[query->level].name);
    }
    if (purpose == QUERY_FIND)
        return true;
    if (top == LEVEL_STUDY) {
        query_values *patient = &query->unique[LEVEL_PATIENT];
        if (!read_values(patient, query, LEVEL_PATIENT, fault) ||
            (patient->count > 0 && !check_single(query, LEVEL_PATIENT, fault)))
            return false;
    }
    return check_retrieved(query, fault);
}

/* ---- Other keys ---- */

static bool is_unique_tag(uint32_t tag)
{
    for (int i = 0; i < QUERY_LEVELS; i++) {
        if (levels[i].unique_tag == tag)
            return true;
    }
    return false;
}

static bool is_frame_key(const scp_query *query, uint32_t tag)
{
    return query->model == MODEL_COMPOSITE && tag >= TAG_SIMPLE_FRAME_LIST && tag <= TAG_TIME_RANGE;
}

/* PS3.4 C.4.3.1.3.1: a retrieval has unique keys only. */
static bool check_retrieve_keys(const scp_query *query, query_fault *fault)
{
    for (size_t i = 0; i < dcb_dataset_count(query->keys); i++) {
        const dcb_element *key = dcb_dataset_at(query->keys, i);
        if (key->tag == TAG_SPECIFIC_CHARACTER_SET || key->tag == TAG_QUERY_RETRIEVE_LEVEL ||
            key->tag == TAG_QUERY_RETRIEVE_VIEW || key->tag == TAG_TIMEZONE_OFFSET ||
            is_unique_tag(key->tag) || is_frame_key(query, key->tag) || element_is_empty(key))
            continue;
        return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, key->tag,
                          "(%04X,%04X) is no unique key: it cannot select instances",
                          (unsigned)(key->tag >> 16), (unsigned)(key->tag & 0xFFFF));
    }
    return true;
}

/* ---- Composite instances (annexes Y and Z) ---- */

static bool fail_frames(query_fault *fault, uint32_t tag, const char *comment)
{
    return query_fail(fault, DIMSE_FRAME_INVALID_REQUEST, tag, "%s", comment);
}

static uint32_t load32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

/* PS3.4 Y.3.2.1.1 and Y.3.2.1.2: frames ascend; ranges of first, last and step do not overlap. */
static bool check_frame_numbers(const query_frames *frames)
{
    const bool ranges = frames->key == FRAMES_CALCULATED;
    uint32_t before = 0;
    for (uint32_t i = 0; i < frames->count; i += ranges ? 3 : 1) {
        const uint32_t *n = &frames->numbers[i];
        if (n[0] <= before || (ranges && (n[1] < n[0] || n[2] == 0)))
            return false;
        before = ranges ? n[1] : n[0];
    }
    return true;
}

static bool read_frame_numbers(query_frames *out, const dcb_element *key, query_fault *fault)
{
    out->key = key->tag == TAG_SIMPLE_FRAME_LIST ? FRAMES_SIMPLE : FRAMES_CALCULATED;
    out->count = key->nbytes / 4;
    out->numbers = malloc(key->nbytes + 1u);
    if (out->numbers == NULL)
        return fail_no_memory(fault);
    for (uint32_t i = 0; i < out->count; i++)
        out->numbers[i] = load32(key->value + (size_t)4 * i);
    if (key->nbytes % 4 != 0 || (out->key == FRAMES_CALCULATED && out->count % 3 != 0) ||
        !check_frame_numbers(out))
        return fail_frames(fault, key->tag, "frame numbers must ascend from 1");
    return true;
}

static bool read_time_range(query_frames *out, const dcb_element *key, query_fault *fault)
{
    out->key = FRAMES_TIME;
    if (key->nbytes != 16)
        return fail_frames(fault, key->tag, "TimeRange has two values");
    memcpy(&out->from, key->value, 8);
    memcpy(&out->to, key->value + 8, 8);
    if (!(out->from <= out->to))
        return fail_frames(fault, key->tag, "TimeRange ends before it begins");
    return true;
}

/* One and only one of the keys of table Y.6-2. */
static bool read_frames(scp_query *out, query_fault *fault)
{
    const dcb_element *found = NULL;
    for (uint32_t tag = TAG_SIMPLE_FRAME_LIST; tag <= TAG_TIME_RANGE; tag++) {
        const dcb_element *key = dcb_dataset_find(out->keys, tag);
        if (key == NULL || key->nbytes == 0 || key->value == NULL)
            continue;
        if (found != NULL)
            return fail_frames(fault, tag, "more than one key tells frames");
        found = key;
    }
    if (found == NULL)
        return fail_frames(fault, TAG_SIMPLE_FRAME_LIST, "no key tells frames");
    return found->tag == TAG_TIME_RANGE ? read_time_range(&out->frames, found, fault)
                                        : read_frame_numbers(&out->frames, found, fault);
}

static bool read_composite(scp_query *out, query_fault *fault)
{
    char level[17] = "";
    dcb_dataset_get_text(out->keys, TAG_QUERY_RETRIEVE_LEVEL, level, sizeof level);
    const bool of_frames = out->model == MODEL_COMPOSITE && strcmp(level, "FRAME") == 0;
    if (!of_frames && strcmp(level, "IMAGE") != 0)
        return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, TAG_QUERY_RETRIEVE_LEVEL,
                          "QueryRetrieveLevel is not IMAGE%s",
                          out->model == MODEL_COMPOSITE ? " or FRAME" : "");
    out->level = LEVEL_IMAGE;
    for (int i = LEVEL_PATIENT; i < QUERY_LEVELS; i++) {
        if (!read_values(&out->unique[i], out, i, fault) || !check_relational(out, i, fault))
            return false;
    }
    if (of_frames ? !check_single(out, LEVEL_IMAGE, fault) : !check_retrieved(out, fault))
        return false;
    return check_retrieve_keys(out, fault) && (!of_frames || read_frames(out, fault));
}

/* PS3.4 C.2.2.2.6: a sequence key has one item. */
static bool check_sequences(const dcb_dataset *keys, query_fault *fault)
{
    for (size_t i = 0; i < dcb_dataset_count(keys); i++) {
        const dcb_element *key = dcb_dataset_at(keys, i);
        if (key->nitems > 1)
            return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, key->tag,
                              "a sequence key has one item");
        if (key->nitems == 1 && !check_sequences(key->items[0], fault))
            return false;
    }
    return true;
}

bool identifier_read(scp_query *out, query_purpose purpose, const service_request *request,
                     query_fault *fault)
{
    *out = (scp_query){0};
    *fault = (query_fault){0};
    const sop_kind kind = purpose == QUERY_FIND ? SOP_FIND : SOP_GET;
    out->model = sop_class_model(request->abstract_syntax_uid);
    const sop_kind asked = sop_class_kind(request->abstract_syntax_uid);
    /* C-MOVE's identifiers are those of C-GET. */
    if (out->model == MODEL_NONE || (asked == SOP_MOVE ? SOP_GET : asked) != kind)
        return query_fail(fault, DIMSE_SOP_CLASS_NOT_SUPPORTED, 0,
                          "the SOP class does not fit the request");
    if (!decode(out, request, fault))
        return false;
    if (out->model == MODEL_COMPOSITE || out->model == MODEL_WITHOUT_BULK)
        return read_composite(out, fault);
    if (!read_level(out, fault) ||
        !check_unique_keys(out, purpose, purpose == QUERY_RETRIEVE && request->relational, fault))
        return false;
    return purpose == QUERY_FIND ? check_sequences(out->keys, fault)
                                 : check_retrieve_keys(out, fault);
}
