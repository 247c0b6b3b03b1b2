/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_verify.c - holds dicommeta against the rules of format section 2, the ones that reading
 * forgives included. One problem is told for an element, the first.
 *
 * Threads: any.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dcb_error.h"

#define MAX_UID 64

typedef struct checker {
    const dcb__verifier *verifier;
    uint32_t nslices;
    uint64_t offset; /* of dicommeta in the file */
} checker;

static void tell(const checker *c, const char *tag, const char *what)
{
    dcb__problem(c->verifier, DCB_NO_FRAME, DCB_ERR_META, c->offset, "dicommeta: element %.8s %s",
                 tag, what);
}

/* PS3.5 9.1: components without leading zeros, 64 characters. */
static bool is_uid(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > MAX_UID)
        return false;
    for (const char *at = text;;) {
        size_t digits = strspn(at, "0123456789");
        if (digits == 0 || (digits > 1 && *at == '0'))
            return false;
        at += digits;
        if (*at == '\0')
            return true;
        if (*at++ != '.')
            return false;
    }
}

static bool is_none(const dcb__json *value)
{
    return value->type == DCB_JSON_STRING && strcmp(value->text, "None") == 0;
}

/* ---- Elements ---------------------------------------------------------------------------------
 */

static bool is_key(const dcb__json *key)
{
    return key->count == 8 && strspn(key->text, "0123456789ABCDEF") == 8;
}

static bool is_array_of(const dcb__json *json, uint32_t count)
{
    return json != NULL && json->type == DCB_JSON_ARRAY && json->count == count;
}

/* Rules 3 to 6. */
static const char *slices_problem(const checker *c, const dcb__json *element)
{
    static const char *const others[] = {"InlineBinary", "BulkDataURI", "null"};
    const dcb__json *value = dcb__json_member(element, "Value");
    const dcb__json *data = value;
    unsigned nothers = 0;
    for (int i = 0; i < 3; i++) {
        const dcb__json *other = dcb__json_member(element, others[i]);
        if (other == NULL)
            continue;
        nothers++;
        data = other;
    }
    if (data == NULL)
        return "is by slice and has no values";
    if (nothers > 1)
        return "has its values under more than one key";
    if (!is_array_of(data, c->nslices))
        return "does not have one value for each slice";
    if (data != value && value != NULL && !is_array_of(value, c->nslices))
        return "has a Value that does not stand for each slice";
    bool lists = false;
    for (uint32_t i = 0; i < data->count; i++)
        lists = lists || data->values[i].type == DCB_JSON_ARRAY;
    for (uint32_t i = 0; lists && i < data->count; i++)
        if (data->values[i].type != DCB_JSON_ARRAY && !is_none(&data->values[i]))
            return "has lists of values and single ones";
    return NULL;
}

static void check_elements(const checker *c, const dcb__json *object, unsigned depth);

static void check_element(const checker *c, const dcb__json *key, const dcb__json *element,
                          unsigned depth)
{
    const dcb__json *vr = dcb__json_member(element, "vr");
    const dcb__json *shared = dcb__json_member(element, "shared");
    const dcb__json *value = dcb__json_member(element, "Value");
    bool sequence = vr != NULL && vr->type == DCB_JSON_STRING && strcmp(vr->text, "SQ") == 0;
    const char *problem = NULL;
    if (shared == NULL || (shared->type != DCB_JSON_BOOL && shared->type != DCB_JSON_NULL))
        problem = "does not say whether it is shared";
    else if (sequence != (shared->type == DCB_JSON_NULL))
        problem = sequence ? "is a sequence and shared is not null" : "has null for shared";
    else if (shared->type == DCB_JSON_BOOL && !shared->boolean)
        problem = slices_problem(c, element);
    else if (strncmp(key->text, "0002", 4) == 0)
        problem = "is of group 0002, which no data set has";
    if (problem != NULL)
        tell(c, key->text, problem);
    for (uint32_t i = 0;
         sequence && value != NULL && value->type == DCB_JSON_ARRAY && i < value->count; i++)
        check_elements(c, &value->values[i], depth + 1);
}

static void check_elements(const checker *c, const dcb__json *object, unsigned depth)
{
    for (uint32_t i = 0; object->type == DCB_JSON_OBJECT && i < object->count; i++) {
        const dcb__json *key = &object->values[2 * (size_t)i];
        if (depth == 0 && strcmp(key->text, "slice_count") == 0)
            continue; /* the oldest writer's, beside its elements */
        if (!is_key(key))
            dcb__problem(c->verifier, DCB_NO_FRAME, DCB_ERR_META, c->offset,
                         "dicommeta: key number %" PRIu32 " is not 8 upper-case hex digits", i);
        else
            check_element(c, key, key + 1, depth);
    }
}

/* ---- UIDs -------------------------------------------------------------------------------------
 */

typedef struct slice_uid {
    const char *text;
    uint32_t slice;
} slice_uid;

static int compare_uids(const void *left, const void *right)
{
    const slice_uid *a = left, *b = right;
    int order = strcmp(a->text, b->text);
    return order != 0 ? order : a->slice < b->slice ? -1 : a->slice > b->slice;
}

/* A slice's UID; NULL where there is none. */
static const char *uid_of(const dcb__json *values, bool shared, uint32_t slice)
{
    if (values == NULL || values->type != DCB_JSON_ARRAY || values->count == 0)
        return NULL;
    const dcb__json *value = &values->values[shared ? 0 : slice];
    if (value->type == DCB_JSON_ARRAY)
        value = value->count > 0 ? &value->values[0] : NULL;
    bool usable = value != NULL && value->type == DCB_JSON_STRING && value->text[0] != '\0';
    return usable && !is_none(value) ? value->text : NULL;
}

static void find_duplicates(const checker *c, slice_uid *uids, uint32_t count)
{
    if (count > 1)
        qsort(uids, count, sizeof *uids, compare_uids);
    for (uint32_t i = 1; i < count; i++)
        if (strcmp(uids[i - 1].text, uids[i].text) == 0)
            dcb__problem(c->verifier, uids[i].slice, DCB_ERR_META, c->offset,
                         "SOP Instance UID is that of frame %" PRIu32 " too", uids[i - 1].slice);
}

/* Each slice's UID: present, well-formed. The present ones are kept in found. */
static uint32_t check_uid(const checker *c, const dcb__json *elements, const char *tag,
                          const char *name, slice_uid *found)
{
    const dcb__json *element = dcb__json_member(elements, tag);
    const dcb__json *shared = dcb__json_member(element, "shared");
    const dcb__json *values = dcb__json_member(element, "Value");
    bool one = shared == NULL || shared->type != DCB_JSON_BOOL || shared->boolean;
    uint32_t count = 0;
    if (!one && !is_array_of(values, c->nslices))
        return 0; /* told before */
    for (uint32_t i = 0; i < (one ? 1 : c->nslices); i++) {
        const char *text = uid_of(values, one, i);
        uint32_t frame = one ? DCB_NO_FRAME : i;
        if (text == NULL)
            dcb__problem(c->verifier, frame, DCB_ERR_META, c->offset, "%s (%.4s,%s) is missing",
                         name, tag, tag + 4);
        else if (!is_uid(text))
            dcb__problem(c->verifier, frame, DCB_ERR_META, c->offset,
                         "%s (%.4s,%s) is not a valid UID", name, tag, tag + 4);
        if (text != NULL)
            found[count++] = (slice_uid){text, i};
    }
    return count;
}

static bool differ(const slice_uid *uids, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (strcmp(uids[0].text, uids[i].text) != 0)
            return true;
    return false;
}

static void check_uids(const checker *c, const dcb_series *series, const dcb__json *elements,
                       slice_uid *uids)
{
    check_uid(c, elements, "00080016", "SOP Class UID", uids);
    uint32_t count = check_uid(c, elements, "0020000D", "Study Instance UID", uids);
    if (differ(uids, count))
        dcb__problem(c->verifier, DCB_NO_FRAME, DCB_ERR_META, c->offset,
                     "the slices are of different studies");
    count = check_uid(c, elements, "0020000E", "Series Instance UID", uids);
    if (differ(uids, count) && strcmp(series->dicom_status, "non_uniform_series_uid") != 0)
        dcb__problem(c->verifier, DCB_NO_FRAME, DCB_ERR_META, c->offset,
                     "the slices are of different series, and dicom_status does not say so");
    count = check_uid(c, elements, "00080018", "SOP Instance UID", uids);
    if (count == 1 && c->nslices > 1)
        dcb__problem(c->verifier, DCB_NO_FRAME, DCB_ERR_META, c->offset,
                     "all slices have the same SOP Instance UID");
    else
        find_duplicates(c, uids, count);
}

dcb_status dcb__meta_verify(const dcb__verifier *verifier, const dcb_series *series,
                            const dcb__json *root, dcb_error *error)
{
    checker c = {.verifier = verifier,
                 .nslices = series->container.nframes,
                 .offset = series->container.sections[DCB_SECTION_DICOMMETA].offset};
    const dcb__json *count = dcb__json_member(root, "slice_count");
    const dcb__json *merged = dcb__json_member(root, "_merged_data");
    const dcb__json *elements = merged != NULL ? merged : root;
    double number = -1;
    if (count == NULL && merged != NULL) /* the oldest writer has none */
        dcb__problem(verifier, DCB_NO_FRAME, DCB_ERR_META, c.offset,
                     "dicommeta: slice_count is missing");
    else if (count != NULL && !(dcb__json_number(count, &number) && number == c.nslices))
        dcb__problem(verifier, DCB_NO_FRAME, DCB_ERR_META, c.offset,
                     "dicommeta: slice_count is not the number of frames, %" PRIu32, c.nslices);
    check_elements(&c, elements, 0);
    if (series->info.invalid_elements > 0)
        dcb__problem(verifier, DCB_NO_FRAME, DCB_ERR_META, c.offset, "%s (%" PRIu32 " such)",
                     series->info.invalid_reason, series->info.invalid_elements);
    slice_uid *uids = malloc((size_t)c.nslices * sizeof *uids);
    if (uids == NULL)
        return dcb__fail_no_memory(error, c.nslices * sizeof *uids);
    check_uids(&c, series, elements, uids);
    free(uids);
    return DCB_OK;
}
