/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta.c - reads dicommeta's JSON into the list of elements, by the rules of format section 2.
 *
 * Invariant: an entry of kind SLICES has exactly nslices values whose order is the slices' order.
 */
#include "meta.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dcb_error.h"
#include "vr.h"

typedef struct reader {
    dcb__arena *arena;
    uint32_t nslices;
    uint32_t max_depth;
    bool source_signed; /* PixelRepresentation: what "US or SS" means */
    dcb__meta_counts *counts;
    dcb_error *error;
} reader;

static dcb_status fail_element(const reader *r, uint32_t tag, const char *what)
{
    return dcb__fail(r->error, DCB_ERR_META, DCB_NO_OFFSET,
                     "dicommeta: element (%04" PRIX32 ",%04" PRIX32 ") %s", tag >> 16, tag & 0xFFFF,
                     what);
}

static bool parse_tag(uint32_t *tag, const dcb__json *key)
{
    if (key->count != 8)
        return false;
    *tag = 0;
    for (int i = 0; i < 8; i++) {
        char c = key->text[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                           : -1;
        if (digit < 0)
            return false;
        *tag = *tag << 4 | (uint32_t)digit;
    }
    return true;
}

/* What is no element of a data set, or is ours to write. An icon in an item keeps its pixels. */
static bool is_ignored(uint32_t tag, uint32_t depth)
{
    uint32_t group = tag >> 16;
    return (tag & 0xFFFF) == 0 || group < 8 || group == 0xFFFE || (group == 0x7FE0 && depth == 0) ||
           tag == DCB_TAG(0x0008, 0x0001);
}

/* A reference without its UID, a code without its value, a table without its data (PS3.3 tables
   10-11, 8.8-1, C.11-1, C.7-9): what is left of such an item is worse than no item. */
static bool is_essential(uint32_t tag)
{
    static const uint32_t tags[] = {DCB_TAG(0x0008, 0x0100), DCB_TAG(0x0008, 0x0102),
                                    DCB_TAG(0x0008, 0x0104), DCB_TAG(0x0008, 0x1150),
                                    DCB_TAG(0x0008, 0x1155), DCB_TAG(0x0028, 0x3002),
                                    DCB_TAG(0x0028, 0x3006), DCB_TAG(0x7FE0, 0x0010)};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (tags[i] == tag)
            return true;
    return false;
}

static bool is_binary(dcb_vr vr)
{
    return vr == DCB_VR_UN || vr >> 8 == 'O';
}

static bool json_equal(const dcb__json *a, const dcb__json *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case DCB_JSON_NULL:
        return true;
    case DCB_JSON_BOOL:
        return a->boolean == b->boolean;
    case DCB_JSON_STRING:
        return a->count == b->count && memcmp(a->text, b->text, a->count) == 0;
    case DCB_JSON_ARRAY:
    case DCB_JSON_OBJECT: {
        size_t n = (size_t)a->count * (a->type == DCB_JSON_OBJECT ? 2 : 1);
        if (a->count != b->count)
            return false;
        for (size_t i = 0; i < n; i++)
            if (!json_equal(&a->values[i], &b->values[i]))
                return false;
        return true;
    }
    default: /* bits: 0.0 and -0.0 are different texts */
        return a->natural == b->natural;
    }
}

static bool all_equal(const dcb__json *array)
{
    for (uint32_t i = 1; i < array->count; i++)
        if (!json_equal(&array->values[0], &array->values[i]))
            return false;
    return true;
}

static bool has_list(const dcb__json *array)
{
    for (uint32_t i = 0; i < array->count; i++)
        if (array->values[i].type == DCB_JSON_ARRAY)
            return true;
    return false;
}

static bool is_only_null(const dcb__json *array)
{
    for (uint32_t i = 0; i < array->count; i++)
        if (array->values[i].type != DCB_JSON_NULL)
            return false;
    return true;
}

/* pydicom leaves "US or SS" and the like for elements that it read from implicit encodings. */
static dcb_status read_vr(dcb_vr *out, const reader *r, uint32_t tag, const dcb__json *entry,
                          bool binary)
{
    const dcb__json *vr = dcb__json_member(entry, "vr");
    if (vr == NULL || vr->type != DCB_JSON_STRING || vr->count < 2)
        return fail_element(r, tag, "has no VR");
    *out = DCB_VR((uint8_t)vr->text[0], (uint8_t)vr->text[1]);
    if (vr->count == 2 && dcb_vr_is_known(*out))
        return DCB_OK;
    if (strcmp(vr->text, "OB or OW") == 0 || (binary && strstr(vr->text, "OW") != NULL)) {
        *out = DCB_VR_OW;
        return DCB_OK;
    }
    if (strncmp(vr->text, "US or ", 6) == 0) {
        *out = r->source_signed ? DCB_VR('S', 'S') : DCB_VR('U', 'S');
        return DCB_OK;
    }
    /* A VR of a later edition: bytes can be passed on as UN, values cannot be written. */
    if (binary || dcb__json_member(entry, "Value") == NULL) {
        *out = DCB_VR_UN;
        return DCB_OK;
    }
    return fail_element(r, tag, "has a VR that is not of PS3.5 table 6.2-1");
}

/* Which key holds the data (rule 5): Value of nulls is a companion of the others. */
static const dcb__json *find_data(const dcb__json *entry, bool *in_order, bool *binary)
{
    const dcb__json *data = dcb__json_member(entry, "InlineBinary");
    *in_order = false;
    *binary = true;
    if (data == NULL)
        data = dcb__json_member(entry, "BulkDataURI");
    if (data != NULL)
        return data;
    *binary = false;
    data = dcb__json_member(entry, "null");
    if (data != NULL)
        return data;
    *in_order = true;
    return dcb__json_member(entry, "Value");
}

static dcb_status read_entries(dcb__entries *out, unsigned *lost, const reader *r,
                               const dcb__json *object, uint32_t depth);

bool dcb__meta_item_stays(const dcb__entries *item, unsigned lost)
{
    bool says_something = lost == 0;
    for (uint32_t i = 0; i < item->count && !says_something; i++)
        says_something = item->list[i].kind != DCB_ENTRY_EMPTY;
    return says_something && (lost & DCB_LOST_ESSENTIAL) == 0;
}

static dcb_status read_items(dcb__entry *entry, bool *lost, const reader *r, const dcb__json *data,
                             uint32_t depth)
{
    entry->kind = DCB_ENTRY_ITEMS;
    if (data == NULL || data->type == DCB_JSON_NULL)
        return DCB_OK;
    if (data->type != DCB_JSON_ARRAY)
        return fail_element(r, entry->tag, "is a sequence whose Value is not a list");
    if (depth >= r->max_depth)
        return dcb__fail(r->error, DCB_ERR_LIMIT, DCB_NO_OFFSET,
                         "dicommeta: sequences are nested deeper than the limit, %" PRIu32,
                         r->max_depth);
    dcb__entries *items =
        dcb__arena_alloc(r->arena, (data->count > 0 ? data->count : 1) * sizeof *items, 8);
    if (items == NULL)
        return dcb__fail_no_memory(r->error, data->count * sizeof *items);
    entry->items = items;
    for (uint32_t i = 0; i < data->count; i++) {
        unsigned item_lost = 0;
        dcb__entries *item = &items[entry->nitems];
        if (data->values[i].type != DCB_JSON_OBJECT)
            return fail_element(r, entry->tag, "has an item that is not an object");
        dcb_status status = read_entries(item, &item_lost, r, &data->values[i], depth + 1);
        if (status != DCB_OK)
            return status;
        if (dcb__meta_item_stays(item, item_lost))
            entry->nitems++;
        else
            *lost = true;
    }
    /* All items gone: the sequence goes too. An empty one of the source stays. */
    return DCB_OK;
}

/* A value for each slice. *keep is false where it cannot be attributed (rule 7). */
static dcb_status read_slices(dcb__entry *entry, bool *keep, const reader *r, const dcb__json *data,
                              bool in_order, bool binary)
{
    if (data->type != DCB_JSON_ARRAY || data->count != r->nslices) {
        return dcb__fail(r->error, DCB_ERR_META, DCB_NO_OFFSET,
                         "dicommeta: element (%04" PRIX32 ",%04" PRIX32 ") has %" PRIu32
                         " values for %" PRIu32 " slices",
                         entry->tag >> 16, entry->tag & 0xFFFF,
                         data->type == DCB_JSON_ARRAY ? data->count : 1, r->nslices);
    }
    if (is_only_null(data))
        return DCB_OK; /* stays empty */
    entry->flat = binary || !has_list(data);
    if (all_equal(data)) {
        entry->kind = binary ? DCB_ENTRY_BINARY : DCB_ENTRY_VALUES;
        entry->json = &data->values[0];
        return DCB_OK;
    }
    *keep = in_order && !binary;
    entry->kind = DCB_ENTRY_SLICES;
    entry->json = data;
    return DCB_OK;
}

static dcb_status read_shared(dcb__entry *entry, bool *keep, const reader *r, const dcb__json *data,
                              bool binary)
{
    if (data == NULL || data->type == DCB_JSON_NULL ||
        (data->type == DCB_JSON_ARRAY && data->count == 0)) {
        if (is_binary(entry->vr)) {
            *keep = false;
            r->counts->dropped_binaries++;
        }
        return DCB_OK;
    }
    if (binary && data->type == DCB_JSON_ARRAY && data->count == 1)
        data = &data->values[0];
    if (binary && data->type != DCB_JSON_STRING)
        return fail_element(r, entry->tag, "has binary data that are not text");
    if (!binary && is_binary(entry->vr))
        return fail_element(r, entry->tag, "has a binary VR and no binary data");
    entry->kind = binary ? DCB_ENTRY_BINARY : DCB_ENTRY_VALUES;
    entry->json = data;
    return DCB_OK;
}

/* *keep is false where the element is left out. */
static dcb_status read_element(dcb__entry *entry, bool *keep, const reader *r,
                               const dcb__json *json, uint32_t depth)
{
    *keep = true;
    if (json->type != DCB_JSON_OBJECT)
        return fail_element(r, entry->tag, "is not an object");
    bool in_order = false, binary = false;
    const dcb__json *data = find_data(json, &in_order, &binary);
    const dcb__json *shared = dcb__json_member(json, "shared");
    bool per_slice = shared != NULL && shared->type == DCB_JSON_BOOL && !shared->boolean;
    dcb_status status = read_vr(&entry->vr, r, entry->tag, json, binary);
    if (status != DCB_OK)
        return status;
    if (entry->vr == DCB_VR_SQ && !per_slice) {
        bool items_lost = false;
        status = read_items(entry, &items_lost, r, data, depth);
        *keep = !items_lost || entry->nitems > 0;
        return status;
    }
    if (!per_slice)
        return read_shared(entry, keep, r, data, binary);
    if (data == NULL)
        return DCB_OK;
    status = read_slices(entry, keep, r, data, in_order && depth == 0, binary);
    /* No writer has sequences by slice: what it would mean is not known. */
    if (status == DCB_OK && entry->vr == DCB_VR_SQ)
        *keep = false;
    if (status == DCB_OK && !*keep)
        r->counts->unattributable++;
    return status;
}

static int compare_entries(const void *left, const void *right)
{
    uint32_t a = ((const dcb__entry *)left)->tag, b = ((const dcb__entry *)right)->tag;
    return a < b ? -1 : a > b;
}

void dcb__meta_remove_group(dcb__entries *entries, uint32_t group)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < entries->count; i++)
        if (entries->list[i].tag >> 16 != group)
            entries->list[kept++] = entries->list[i];
    entries->count = kept;
}

bool dcb__meta_is_repeating_data(uint32_t tag)
{
    uint32_t family = tag >> 24;
    return (family == 0x60 || family == 0x50) && (tag & 0xFFFF) == 0x3000;
}

unsigned dcb__meta_loss(dcb__meta_counts *counts, uint32_t tag, uint32_t depth)
{
    if (tag == DCB_TAG(0x0028, 0x3000) && depth == 0)
        counts->lost_modality_lut = true;
    return is_essential(tag) ? DCB_LOST_SOMETHING | DCB_LOST_ESSENTIAL : DCB_LOST_SOMETHING;
}

/* Sorted, and without the groups that lost what they are for. */
static dcb_status finish_entries(dcb__entries *out, const reader *r, bool in_order,
                                 const uint32_t *lost_groups, uint32_t nlost)
{
    for (uint32_t i = 0; i < nlost; i++)
        dcb__meta_remove_group(out, lost_groups[i]);
    if (in_order)
        return DCB_OK;
    qsort(out->list, out->count, sizeof *out->list, compare_entries);
    for (uint32_t i = 1; i < out->count; i++)
        if (out->list[i - 1].tag == out->list[i].tag)
            return fail_element(r, out->list[i].tag, "is there twice");
    return DCB_OK;
}

static dcb_status read_entries(dcb__entries *out, unsigned *lost, const reader *r,
                               const dcb__json *object, uint32_t depth)
{
    uint32_t lost_groups[32], nlost = 0; /* 16 overlays and 16 curves are all there can be */
    *out = (dcb__entries){.arena = r->arena};
    out->capacity = object->count;
    out->list = dcb__arena_alloc(r->arena, (object->count + 1) * sizeof *out->list, 8);
    if (out->list == NULL)
        return dcb__fail_no_memory(r->error, object->count * sizeof *out->list);
    bool in_order = true;
    for (uint32_t i = 0; i < object->count; i++) {
        const dcb__json *key = &object->values[2 * (size_t)i];
        uint32_t tag;
        if (!parse_tag(&tag, key)) {
            /* The oldest files have the elements at the root, beside slice_count. */
            if (depth == 0 && strcmp(key->text, "slice_count") == 0)
                continue;
            return dcb__fail(r->error, DCB_ERR_META, DCB_NO_OFFSET,
                             "dicommeta: key number %" PRIu32 " is not a tag of 8 hex digits", i);
        }
        if (is_ignored(tag, depth))
            continue;
        bool keep = true;
        dcb__entry *entry = &out->list[out->count];
        *entry = (dcb__entry){.tag = tag, .kind = DCB_ENTRY_EMPTY};
        dcb_status status = read_element(entry, &keep, r, key + 1, depth);
        if (status != DCB_OK)
            return status;
        if (!keep) {
            *lost |= dcb__meta_loss(r->counts, tag, depth);
            if (dcb__meta_is_repeating_data(tag) &&
                nlost < sizeof lost_groups / sizeof *lost_groups)
                lost_groups[nlost++] = tag >> 16;
            continue;
        }
        in_order = in_order && (out->count == 0 || entry[-1].tag < tag);
        out->count++;
    }
    return finish_entries(out, r, in_order, lost_groups, nlost);
}

dcb_status dcb__meta_read(dcb__entries *out, dcb__meta_counts *counts, dcb__arena *arena,
                          const dcb__json *root, uint32_t nslices, const dcb_limits *limits,
                          dcb_error *error)
{
    *out = (dcb__entries){.arena = arena};
    *counts = (dcb__meta_counts){0};
    const dcb__json *merged = dcb__json_member(root, "_merged_data");
    const dcb__json *object = merged != NULL ? merged : root;
    if (object->type != DCB_JSON_OBJECT)
        return dcb__fail(error, DCB_ERR_META, DCB_NO_OFFSET, "dicommeta is not a JSON object");
    reader r = {.arena = arena,
                .nslices = nslices,
                .max_depth = limits->max_sequence_depth,
                .counts = counts,
                .error = error};
    const dcb__json *representation = dcb__json_member(object, "00280103");
    const dcb__json *values =
        representation == NULL ? NULL : dcb__json_member(representation, "Value");
    counts->wrapped = merged != NULL;
    counts->inline_pixels = dcb__json_member(object, "7FE00010") != NULL;
    double number = 0;
    if (values != NULL && values->type == DCB_JSON_ARRAY && values->count > 0)
        r.source_signed = dcb__json_number(&values->values[0], &number) && number == 1;
    unsigned lost = 0;
    return read_entries(out, &lost, &r, object, 0);
}
