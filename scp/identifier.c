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

void query_clear(scp_query *query)
{
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

static bool check_unique_keys(scp_query *query, query_purpose purpose, query_fault *fault)
{
    /* In Study Root PatientID is an attribute of the study and no unique key (table C.6-5). */
    const int top = query->model == MODEL_PATIENT_ROOT ? LEVEL_PATIENT : LEVEL_STUDY;
    for (int level = top; level < QUERY_LEVELS; level++) {
        query_values *values = &query->unique[level];
        if (!read_values(values, query, level, fault))
            return false;
        if (level < (int)query->level && !check_single(query, level, fault))
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

/* PS3.4 C.4.3.1.3.1: a retrieval has unique keys only. */
static bool check_retrieve_keys(const scp_query *query, query_fault *fault)
{
    for (size_t i = 0; i < dcb_dataset_count(query->keys); i++) {
        const dcb_element *key = dcb_dataset_at(query->keys, i);
        if (key->tag == TAG_SPECIFIC_CHARACTER_SET || key->tag == TAG_QUERY_RETRIEVE_LEVEL ||
            key->tag == TAG_QUERY_RETRIEVE_VIEW || key->tag == TAG_TIMEZONE_OFFSET ||
            is_unique_tag(key->tag) || element_is_empty(key))
            continue;
        return query_fail(fault, DIMSE_IDENTIFIER_MISMATCH, key->tag,
                          "(%04X,%04X) is no unique key: it cannot select instances",
                          (unsigned)(key->tag >> 16), (unsigned)(key->tag & 0xFFFF));
    }
    return true;
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
    if (!decode(out, request, fault) || !read_level(out, fault) ||
        !check_unique_keys(out, purpose, fault))
        return false;
    return purpose == QUERY_FIND ? check_sequences(out->keys, fault)
                                 : check_retrieve_keys(out, fault);
}
