/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare_series.c - elements for files that bring none (PS3.3 A.8.1: Secondary Capture Image).
 *
 * Patient ID is derived from the content too: with an empty one, all such files would be one
 * patient's in Patient Root queries.
 */
#include "bare_series.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dcb_error.h"
#include "value_text.h"
#include "vr.h"

#define TAG_SOP_CLASS    DCB_TAG(0x0008, 0x0016)
#define TAG_SOP_INSTANCE DCB_TAG(0x0008, 0x0018)
#define TAG_STUDY        DCB_TAG(0x0020, 0x000D)
#define TAG_SERIES       DCB_TAG(0x0020, 0x000E)

#define SECONDARY_CAPTURE "1.2.840.10008.5.1.4.1.1.7"

#define DS DCB_VR('D', 'S')
#define IS DCB_VR('I', 'S')

/* A text for each slice in place of an element. texts live in the arena. */
static bool put_slices(dcb__entries *entries, uint32_t tag, dcb_vr vr, const char *const *texts,
                       uint32_t nslices)
{
    dcb__raw *raw = dcb__arena_alloc(entries->arena, nslices * sizeof *raw, 8);
    dcb__entry *entry = raw == NULL ? NULL : dcb__entry_place(entries, tag, vr);
    if (entry == NULL)
        return false;
    for (uint32_t i = 0; i < nslices; i++)
        raw[i] = (dcb__raw){(const uint8_t *)texts[i], strlen(texts[i])};
    entry->kind = nslices == 1 ? DCB_ENTRY_RAW : DCB_ENTRY_RAW_SLICES;
    entry->raw = raw;
    return true;
}

static const char *copy_text(dcb__arena *arena, const char *text)
{
    size_t nbytes = strlen(text) + 1;
    char *copy = dcb__arena_alloc(arena, nbytes, 1);
    return copy == NULL ? NULL : memcpy(copy, text, nbytes);
}

static bool put_numbers(dcb__entries *entries, uint32_t tag, const double *numbers, int count)
{
    char text[6 * DCB_NUMBER_TEXT];
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0)
            text[n++] = '\\';
        n += dcb__ds_text(text + n, numbers[i]);
    }
    return dcb__entry_put(entries, tag, DS, text, n);
}

/* Position, orientation, spacing of the slices. */
static bool put_geometry(dcb__entries *entries, uint32_t nslices, const dcb__space *space)
{
    const double orientation[6] = {space->x[0], space->x[1], space->x[2],
                                   space->y[0], space->y[1], space->y[2]};
    const double spacing[2] = {space->spacing[1], space->spacing[0]}; /* rows, columns */
    bool ok = put_numbers(entries, DCB_TAG(0x0018, 0x0050), &space->spacing[2], 1) &&
              put_numbers(entries, DCB_TAG(0x0018, 0x0088), &space->spacing[2], 1) &&
              put_numbers(entries, DCB_TAG(0x0020, 0x0037), orientation, 6) &&
              put_numbers(entries, DCB_TAG(0x0028, 0x0030), spacing, 2);
    const char **texts = dcb__arena_alloc(entries->arena, nslices * sizeof *texts, 8);
    if (!ok || texts == NULL)
        return false;
    for (uint32_t i = 0; i < nslices; i++) {
        char text[3 * DCB_NUMBER_TEXT];
        size_t n = 0;
        for (int k = 0; k < 3; k++) {
            if (k > 0)
                text[n++] = '\\';
            n += dcb__ds_text(text + n, space->origin[k] + i * space->spacing[2] * space->z[k]);
        }
        texts[i] = copy_text(entries->arena, text);
        if (texts[i] == NULL)
            return false;
    }
    return put_slices(entries, DCB_TAG(0x0020, 0x0032), DS, texts, nslices);
}

static bool put_instance_numbers(dcb__entries *entries, uint32_t nslices)
{
    const char **texts = dcb__arena_alloc(entries->arena, nslices * sizeof *texts, 8);
    if (texts == NULL)
        return false;
    for (uint32_t i = 0; i < nslices; i++) {
        char text[DCB_NUMBER_TEXT];
        dcb__integer_text(text, (int64_t)i + 1);
        texts[i] = copy_text(entries->arena, text);
        if (texts[i] == NULL)
            return false;
    }
    return put_slices(entries, DCB_TAG(0x0020, 0x0013), IS, texts, nslices);
}

static bool put_fixed(dcb__entries *entries)
{
    static const struct {
        uint32_t tag;
        dcb_vr vr;
        const char *text;
    } fixed[] = {
        {DCB_TAG(0x0008, 0x0008), DCB_VR('C', 'S'), "DERIVED\\SECONDARY"},
        {TAG_SOP_CLASS, DCB_VR('U', 'I'), SECONDARY_CAPTURE},
        {DCB_TAG(0x0008, 0x0020), DCB_VR('D', 'A'), ""},
        {DCB_TAG(0x0008, 0x0030), DCB_VR('T', 'M'), ""},
        {DCB_TAG(0x0008, 0x0050), DCB_VR('S', 'H'), ""},
        {DCB_TAG(0x0008, 0x0060), DCB_VR('C', 'S'), "OT"},
        {DCB_TAG(0x0008, 0x0064), DCB_VR('C', 'S'), "WSD"},
        {DCB_TAG(0x0008, 0x0090), DCB_VR('P', 'N'), ""},
        {DCB_TAG(0x0010, 0x0010), DCB_VR('P', 'N'), ""},
        {DCB_TAG(0x0010, 0x0030), DCB_VR('D', 'A'), ""},
        {DCB_TAG(0x0010, 0x0040), DCB_VR('C', 'S'), ""},
        {DCB_TAG(0x0020, 0x0010), DCB_VR('S', 'H'), ""},
        {DCB_TAG(0x0020, 0x0011), DCB_VR('I', 'S'), "1"},
        {DCB_TAG(0x0020, 0x0060), DCB_VR('C', 'S'), ""},
        {DCB_TAG(0x0020, 0x0020), DCB_VR('C', 'S'), ""},
    };
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof fixed / sizeof *fixed; i++)
        ok = dcb__entry_put_text(entries, fixed[i].tag, fixed[i].vr, fixed[i].text);
    return ok;
}

dcb_status dcb__bare_series_fill(dcb__entries *entries, uint32_t nslices,
                                 const dcb__content_hash *content, const dcb__space *space,
                                 const dcb__pixel_header *header, uint32_t rows, uint32_t columns,
                                 dcb_error *error)
{
    char patient[32];
    snprintf(patient, sizeof patient, "DCB-%016" PRIX64, content->low);
    bool ok = put_fixed(entries) &&
              dcb__entry_put_text(entries, DCB_TAG(0x0010, 0x0020), DCB_VR_LO, patient) &&
              put_instance_numbers(entries, nslices);
    if (ok && space->known && space->columns == columns && space->rows == rows &&
        space->slices == nslices) {
        char uid[DCB_UID_ROOM];
        dcb__derive_uid(uid, content, "frame of reference", 0);
        ok = put_geometry(entries, nslices, space) &&
             dcb__entry_put_text(entries, DCB_TAG(0x0020, 0x0052), DCB_VR_UI, uid) &&
             dcb__entry_put_text(entries, DCB_TAG(0x0020, 0x1040), DCB_VR_LO, "");
    }
    if (ok && header->has_window)
        ok = put_numbers(entries, DCB_TAG(0x0028, 0x1050), &header->window_center, 1) &&
             put_numbers(entries, DCB_TAG(0x0028, 0x1051), &header->window_width, 1);
    if (ok && (header->slope != 1 || header->intercept != 0)) /* 1C beside Rescale Slope */
        ok = dcb__entry_put_text(entries, DCB_TAG(0x0028, 0x1054), DCB_VR_LO, "US");
    return ok ? DCB_OK : dcb__fail_no_memory(error, nslices * sizeof(dcb__raw));
}

static const struct {
    uint32_t tag;
    const char *role; /* NULL: the SOP class */
    bool each;        /* differs by slice */
} identity[] = {{TAG_SOP_CLASS, NULL, false},
                {TAG_SOP_INSTANCE, "instance", true},
                {TAG_STUDY, "study", false},
                {TAG_SERIES, "series", false}};

#define NIDENTITY (sizeof identity / sizeof *identity)

static bool is_missing(const dcb__entry *entry, uint32_t slice)
{
    const char *text = entry == NULL ? NULL : dcb__entry_text(entry, slice);
    return text == NULL || text[0] == '\0';
}

bool dcb__identity_is_missing(const dcb__entries *entries, uint32_t nslices)
{
    for (size_t k = 0; k < NIDENTITY; k++) {
        const dcb__entry *entry = dcb__entry_find(entries, identity[k].tag);
        for (uint32_t i = 0; i < nslices; i++)
            if (is_missing(entry, i))
                return true;
        /* Several instances of one UID: the same as none. */
        if (identity[k].each && nslices > 1 && !dcb__entry_is_per_slice(entry))
            return true;
    }
    return false;
}

dcb_status dcb__identity_complete(dcb__entries *entries, uint32_t nslices,
                                  const dcb__content_hash *content, dcb_error *error)
{
    for (size_t k = 0; k < NIDENTITY; k++) {
        const dcb__entry *entry = dcb__entry_find(entries, identity[k].tag);
        bool same =
            identity[k].each && nslices > 1 && entry != NULL && !dcb__entry_is_per_slice(entry);
        bool any = same,
             each = identity[k].each || (entry != NULL && dcb__entry_is_per_slice(entry));
        const char **texts = dcb__arena_alloc(entries->arena, nslices * sizeof *texts, 8);
        for (uint32_t i = 0; texts != NULL && i < nslices; i++) {
            char uid[DCB_UID_ROOM] = SECONDARY_CAPTURE;
            if (!same && !is_missing(entry, i)) {
                texts[i] = dcb__entry_text(entry, i);
                continue;
            }
            any = true;
            if (identity[k].role != NULL)
                dcb__derive_uid(uid, content, identity[k].role, identity[k].each ? i : 0);
            texts[i] = copy_text(entries->arena, uid);
            if (texts[i] == NULL)
                texts = NULL;
        }
        bool ok = texts != NULL;
        if (ok && any && each)
            ok = put_slices(entries, identity[k].tag, DCB_VR_UI, texts, nslices);
        else if (ok && any)
            ok = dcb__entry_put_text(entries, identity[k].tag, DCB_VR_UI, texts[0]);
        if (!ok)
            return dcb__fail_no_memory(error, nslices * sizeof(char *));
    }
    return DCB_OK;
}
