/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_prune.c - takes out values that their VR cannot hold, as if the file did not have them.
 *
 * Only a file that cannot be compiled comes here, so it costs a sound one nothing. An item, a group
 * or a table that loses what it is for goes with it, by the rules of meta.c.
 */
#include "meta_prune.h"

#include <string.h>

#include "dcb_error.h"
#include "meta_value.h"
#include "vr.h"

typedef struct pruner {
    dcb__entries *top;
    uint32_t nslices;
    dcb__meta_counts *counts;
    dcb__writer scratch;
    dcb_error *first; /* what was wrong with the first value */
    dcb_error *error;
} pruner;

static const dcb__text_form utf8 = {NULL, true};

/* Can it be written? Else the reason of the first is kept, and it counts. */
static dcb_status judge(bool *sound, pruner *p, dcb_status status, const dcb_error *cause)
{
    *sound = status == DCB_OK;
    if (status != DCB_ERR_META) {
        if (status != DCB_OK && p->error != NULL)
            *p->error = *cause;
        return status;
    }
    if (p->first->status == DCB_OK)
        *p->first = *cause;
    return DCB_OK;
}

static dcb_status check_entry(bool *sound, pruner *p, const dcb__entry *entry)
{
    dcb_error cause = DCB_ERROR_INIT;
    dcb__writer writer;
    dcb__writer_init(&writer, DCB_SYNTAX_EXPLICIT_LE);
    dcb_status status = dcb__entry_write(&writer, &p->scratch, entry, &utf8, &cause);
    dcb__writer_free(&writer);
    return judge(sound, p, status, &cause);
}

/* A copy of the entry's values, in which those that cannot be written are missing (rule 4). */
static dcb_status prune_slices(bool *all_sound, pruner *p, dcb__entry *entry)
{
    static const dcb__json missing = {.type = DCB_JSON_STRING, .count = 4, {.text = "None"}};
    static const dcb__json empty = {.type = DCB_JSON_NULL};
    const bool flat_text = entry->flat && dcb__vr_info_or_un(entry->vr)->trim != DCB_TRIM_NONE &&
                           entry->vr != DCB_VR('D', 'S') && entry->vr != DCB_VR('I', 'S') &&
                           entry->vr != DCB_VR_PN && entry->vr != DCB_VR_AT;
    dcb__json *array = NULL, *values = NULL;
    *all_sound = true;
    for (uint32_t i = 0; i < p->nslices; i++) {
        dcb_error cause = DCB_ERROR_INIT;
        bool sound = true;
        p->scratch.nbytes = 0;
        dcb_status status = judge(&sound, p,
                                  dcb__value_bytes(&p->scratch, entry->tag, entry->vr,
                                                   dcb__entry_values(entry, i), &utf8, &cause),
                                  &cause);
        if (status != DCB_OK)
            return status;
        if (sound)
            continue;
        *all_sound = false;
        if (array == NULL) {
            array = dcb__arena_alloc(p->top->arena, sizeof *array, 8);
            values = dcb__arena_alloc(p->top->arena, p->nslices * sizeof *values, 8);
            if (array == NULL || values == NULL)
                return dcb__fail_no_memory(p->error, p->nslices * sizeof *values);
            memcpy(values, entry->json->values, p->nslices * sizeof *values);
            *array = *entry->json;
            array->values = values;
            entry->json = array;
        }
        values[i] = flat_text ? empty : missing;
    }
    return DCB_OK;
}

static dcb_status prune_entries(unsigned *lost, pruner *p, dcb__entries *entries, uint32_t depth);

/* *keep is false where nothing is left of the sequence. */
static dcb_status prune_items(bool *keep, pruner *p, dcb__entry *entry, uint32_t depth)
{
    dcb__entries *items = (dcb__entries *)entry->items;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < entry->nitems; i++) {
        unsigned lost = 0;
        dcb_status status = prune_entries(&lost, p, &items[i], depth + 1);
        if (status != DCB_OK)
            return status;
        if (dcb__meta_item_stays(&items[i], lost))
            items[kept++] = items[i];
    }
    *keep = kept > 0 || entry->nitems == 0;
    entry->nitems = kept;
    return DCB_OK;
}

/* *keep is false where the element goes. */
static dcb_status prune_entry(bool *keep, pruner *p, dcb__entry *entry, uint32_t depth)
{
    bool sound = true;
    dcb_status status = DCB_OK;
    *keep = true;
    if (entry->kind == DCB_ENTRY_ITEMS)
        return prune_items(keep, p, entry, depth);
    if (entry->kind == DCB_ENTRY_SLICES)
        status = prune_slices(&sound, p, entry);
    else
        status = check_entry(&sound, p, entry);
    if (!sound)
        p->counts->invalid_elements++;
    *keep = sound || entry->kind == DCB_ENTRY_SLICES;
    return status;
}

static dcb_status prune_entries(unsigned *lost, pruner *p, dcb__entries *entries, uint32_t depth)
{
    uint32_t kept = 0, lost_groups[32], nlost = 0;
    for (uint32_t i = 0; i < entries->count; i++) {
        dcb__entry *entry = &entries->list[i];
        const uint32_t tag = entry->tag;
        bool keep = true;
        dcb_status status = prune_entry(&keep, p, entry, depth);
        if (status != DCB_OK)
            return status;
        if (keep) {
            entries->list[kept++] = *entry;
            continue;
        }
        *lost |= dcb__meta_loss(p->counts, tag, depth);
        if (dcb__meta_is_repeating_data(tag) && nlost < sizeof lost_groups / sizeof *lost_groups)
            lost_groups[nlost++] = tag >> 16;
    }
    entries->count = kept;
    for (uint32_t i = 0; i < nlost; i++)
        dcb__meta_remove_group(entries, lost_groups[i]);
    return DCB_OK;
}

dcb_status dcb__meta_prune(dcb__entries *entries, uint32_t nslices, dcb__meta_counts *counts,
                           dcb_error *first, dcb_error *error)
{
    pruner p = {
        .top = entries, .nslices = nslices, .counts = counts, .first = first, .error = error};
    unsigned lost = 0;
    *first = (dcb_error)DCB_ERROR_INIT;
    dcb__writer_init(&p.scratch, DCB_SYNTAX_EXPLICIT_LE);
    dcb_status status = prune_entries(&lost, &p, entries, 0);
    dcb__writer_free(&p.scratch);
    return status;
}
