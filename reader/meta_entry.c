/* SPDX-License-Identifier: Apache-2.0 */
/* meta_entry.c - the sorted list of elements: finding, putting, and reading single values. */
#include "meta.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "vr.h"

static uint32_t lower_bound(const dcb__entries *entries, uint32_t tag)
{
    uint32_t low = 0, high = entries->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (entries->list[middle].tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const dcb__entry *dcb__entry_find(const dcb__entries *entries, uint32_t tag)
{
    uint32_t at = lower_bound(entries, tag);
    return at < entries->count && entries->list[at].tag == tag ? &entries->list[at] : NULL;
}

dcb__entry *dcb__entry_place(dcb__entries *entries, uint32_t tag, dcb_vr vr)
{
    uint32_t at = lower_bound(entries, tag);
    if (at == entries->count || entries->list[at].tag != tag) {
        if (entries->count == entries->capacity) {
            uint32_t capacity = entries->capacity * 2 + 32;
            dcb__entry *grown = dcb__arena_alloc(entries->arena, capacity * sizeof *grown, 8);
            if (grown == NULL)
                return NULL;
            if (entries->count > 0)
                memcpy(grown, entries->list, entries->count * sizeof *grown);
            entries->list = grown;
            entries->capacity = capacity;
        }
        memmove(&entries->list[at + 1], &entries->list[at],
                (entries->count - at) * sizeof *entries->list);
        entries->count++;
    }
    entries->list[at] = (dcb__entry){.tag = tag, .vr = vr, .kind = DCB_ENTRY_EMPTY};
    return &entries->list[at];
}

void dcb__entry_remove(dcb__entries *entries, uint32_t tag)
{
    uint32_t at = lower_bound(entries, tag);
    if (at == entries->count || entries->list[at].tag != tag)
        return;
    entries->count--;
    memmove(&entries->list[at], &entries->list[at + 1],
            (entries->count - at) * sizeof *entries->list);
}

bool dcb__entry_put(dcb__entries *entries, uint32_t tag, dcb_vr vr, const void *bytes,
                    size_t nbytes)
{
    /* NUL-terminated, so that texts can be read back. */
    uint8_t *copy = dcb__arena_alloc(entries->arena, nbytes + 1, 1);
    dcb__raw *raw = dcb__arena_alloc(entries->arena, sizeof *raw, 8);
    if (copy == NULL || raw == NULL)
        return false;
    memcpy(copy, bytes, nbytes);
    copy[nbytes] = 0;
    *raw = (dcb__raw){copy, nbytes};
    dcb__entry *entry = dcb__entry_place(entries, tag, vr);
    if (entry == NULL)
        return false;
    entry->kind = DCB_ENTRY_RAW;
    entry->raw = raw;
    return true;
}

bool dcb__entry_put_text(dcb__entries *entries, uint32_t tag, dcb_vr vr, const char *text)
{
    return dcb__entry_put(entries, tag, vr, text, strlen(text));
}

bool dcb__entry_put_u16(dcb__entries *entries, uint32_t tag, uint16_t value)
{
    uint8_t bytes[2];
    dcb__store(bytes, value, 2);
    return dcb__entry_put(entries, tag, DCB_VR('U', 'S'), bytes, 2);
}

bool dcb__entry_is_per_slice(const dcb__entry *entry)
{
    return entry->kind == DCB_ENTRY_SLICES || entry->kind == DCB_ENTRY_RAW_SLICES;
}

/* Numbers, tags, and names, which are objects: a bare "None" (rule 4) is no value of theirs. */
static bool holds_no_text(dcb_vr vr)
{
    return vr == DCB_VR_PN || vr == DCB_VR_AT || vr == DCB_VR('D', 'S') || vr == DCB_VR('I', 'S') ||
           dcb__vr_info_or_un(vr)->trim == DCB_TRIM_NONE;
}

static bool is_none(const dcb__json *value)
{
    return value->type == DCB_JSON_STRING && strcmp(value->text, "None") == 0;
}

const dcb__json *dcb__entry_values(const dcb__entry *entry, uint32_t slice)
{
    if (entry->kind == DCB_ENTRY_VALUES)
        return entry->json;
    if (entry->kind != DCB_ENTRY_SLICES)
        return NULL;
    const dcb__json *value = &entry->json->values[slice];
    if (entry->flat)
        return holds_no_text(entry->vr) && is_none(value) ? NULL : value;
    return value->type == DCB_JSON_ARRAY ? value : NULL; /* "None" among lists: missing (rule 4) */
}

static const dcb__json *first_value(const dcb__entry *entry, uint32_t slice)
{
    const dcb__json *value = entry == NULL ? NULL : dcb__entry_values(entry, slice);
    if (value != NULL && value->type == DCB_JSON_ARRAY)
        value = value->count > 0 ? &value->values[0] : NULL;
    return value;
}

bool dcb__entry_number(const dcb__entry *entry, uint32_t slice, double *number)
{
    const dcb__json *value = first_value(entry, slice);
    if (dcb__json_number(value, number))
        return true;
    if (value == NULL || value->type != DCB_JSON_STRING)
        return false;
    char *end = NULL;
    *number = strtod(value->text, &end);
    if (end == value->text)
        return false;
    while (isspace((unsigned char)*end))
        end++;
    return *end == '\0' && isfinite(*number);
}

uint32_t dcb__entry_size(const dcb__entry *entry, uint32_t slice)
{
    double number;
    bool sound = dcb__entry_number(entry, slice, &number) && number >= 1 && number <= 65535;
    return sound ? (uint32_t)number : 0;
}

const char *dcb__entry_text(const dcb__entry *entry, uint32_t slice)
{
    if (entry != NULL && entry->kind == DCB_ENTRY_RAW)
        return (const char *)entry->raw->bytes;
    if (entry != NULL && entry->kind == DCB_ENTRY_RAW_SLICES)
        return (const char *)entry->raw[slice].bytes;
    const dcb__json *value = first_value(entry, slice);
    return value != NULL && value->type == DCB_JSON_STRING ? value->text : NULL;
}
