/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_vectors.c - see frame_vectors.h.
 *
 * Invariant: nothing that is left tells of a frame that is gone, as far as the standard's own
 * attributes go.
 */
#include "frame_vectors.h"

#include <stdlib.h>
#include <string.h>

#define TAG_FRAME_TIME           DCB_TAG(0x0018, 0x1063)
#define TAG_FRAME_TIME_VECTOR    DCB_TAG(0x0018, 0x1065)
#define TAG_INCREMENT_POINTER    DCB_TAG(0x0028, 0x0009)
#define TAG_REPRESENTATIVE_FRAME DCB_TAG(0x0028, 0x6010)
#define TAG_PER_FRAME_GROUPS     DCB_TAG(0x5200, 0x9230)

typedef struct cutting {
    dcb_dataset *dataset;
    const uint32_t *frames;
    uint32_t nframes, nsource;
} cutting;

/* ---- Attributes with a value for each frame -------------------------------------------------- */

static bool cut_numbers(const cutting *c, const dcb_element *vector)
{
    const uint32_t tag = vector->tag;
    if (vector->nbytes != 2 * c->nsource || vector->value == NULL)
        return false;
    uint8_t *cut = malloc(2 * (size_t)c->nframes);
    if (cut == NULL)
        return false;
    for (uint32_t i = 0; i < c->nframes; i++)
        memcpy(cut + 2 * (size_t)i, vector->value + 2 * (size_t)c->frames[i], 2);
    const bool good = dcb_dataset_put(c->dataset, tag, DCB_VR('U', 'S'), cut,
                                      2 * (size_t)c->nframes, NULL) == DCB_OK;
    free(cut);
    return good;
}

/* Values of text, separated by backslashes. */
static bool cut_text(const cutting *c, const dcb_element *vector)
{
    char *cut = malloc(vector->nbytes + 1u);
    const char *at = (const char *)vector->value, *end = at != NULL ? at + vector->nbytes : at;
    size_t have = 0;
    uint32_t value = 0, chosen = 0;
    if (cut == NULL || at == NULL) {
        free(cut);
        return false;
    }
    for (;; value++) {
        const char *next = memchr(at, '\\', (size_t)(end - at));
        const size_t n = (size_t)((next != NULL ? next : end) - at);
        if (chosen < c->nframes && c->frames[chosen] == value) {
            if (chosen++ > 0)
                cut[have++] = '\\';
            memcpy(cut + have, at, n);
            have += n;
        }
        if (next == NULL)
            break;
        at = next + 1;
    }
    const bool good =
        value + 1 == c->nsource &&
        dcb_dataset_put(c->dataset, vector->tag, vector->vr, cut, have, NULL) == DCB_OK;
    free(cut);
    return good;
}

static bool cut_vector(const cutting *c, const dcb_element *vector)
{
    return vector->vr == DCB_VR('U', 'S') ? cut_numbers(c, vector) : cut_text(c, vector);
}

/* Those that Frame Increment Pointer names (PS3.3 C.7.6.6) must be cut. */
static bool cut_pointed(const cutting *c)
{
    const dcb_element *pointer = dcb_dataset_find(c->dataset, TAG_INCREMENT_POINTER);
    for (uint32_t at = 0; pointer != NULL && pointer->value != NULL && at + 4 <= pointer->nbytes;
         at += 4) {
        const uint8_t *p = pointer->value + at;
        const uint32_t tag = DCB_TAG(p[0] | p[1] << 8, p[2] | p[3] << 8);
        const dcb_element *vector = dcb_dataset_find(c->dataset, tag);
        if (tag == TAG_FRAME_TIME || tag == TAG_FRAME_TIME_VECTOR || vector == NULL)
            continue;
        if (!cut_vector(c, vector))
            return false;
        pointer = dcb_dataset_find(c->dataset, TAG_INCREMENT_POINTER);
    }
    return true;
}

static uint32_t count_values(const dcb_element *element)
{
    uint32_t n = 1;
    for (uint32_t i = 0; i < element->nbytes && element->value != NULL; i++)
        n += element->value[i] == '\\';
    return n;
}

static bool is_pointed(const cutting *c, uint32_t tag)
{
    const dcb_element *pointer = dcb_dataset_find(c->dataset, TAG_INCREMENT_POINTER);
    const uint8_t wanted[4] = {(uint8_t)(tag >> 16), (uint8_t)(tag >> 24), (uint8_t)tag,
                               (uint8_t)(tag >> 8)};
    for (uint32_t at = 0; pointer != NULL && pointer->value != NULL && at + 4 <= pointer->nbytes;
         at += 4) {
        if (memcmp(pointer->value + at, wanted, 4) == 0)
            return true;
    }
    return false;
}

/* Those that have a value for each frame where the gantry, or what is shown, moves with them. */
static bool cut_others(const cutting *c)
{
    static const uint32_t tags[] = {
        DCB_TAG(0x0018, 0x1135), /* Table Vertical, Longitudinal, Lateral Increment */
        DCB_TAG(0x0018, 0x1137), DCB_TAG(0x0018, 0x1136),
        DCB_TAG(0x0018, 0x1520), /* Positioner Primary, Secondary Angle Increment */
        DCB_TAG(0x0018, 0x1521), DCB_TAG(0x0018, 0x2002), /* Frame Label Vector */
        DCB_TAG(0x0018, 0x2003), /* Frame Primary, Secondary Angle Vector */
        DCB_TAG(0x0018, 0x2004), DCB_TAG(0x0018, 0x2005), /* Slice Location Vector */
        DCB_TAG(0x0018, 0x2006),                          /* Display Window Label Vector */
    };
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        const dcb_element *vector = dcb_dataset_find(c->dataset, tags[i]);
        if (vector != NULL && !is_pointed(c, tags[i]) && c->nsource > 1 &&
            count_values(vector) == c->nsource && !cut_text(c, vector))
            return false;
    }
    return true;
}

static bool cut_groups(const cutting *c)
{
    const dcb_element *groups = dcb_dataset_find(c->dataset, TAG_PER_FRAME_GROUPS);
    if (groups == NULL)
        return true;
    if (groups->nitems != c->nsource)
        return false;
    dcb_dataset **items = calloc(c->nframes, sizeof(dcb_dataset *));
    if (items == NULL)
        return false;
    for (uint32_t i = 0; i < c->nframes; i++)
        items[i] = groups->items[c->frames[i]];
    const dcb_element cut = {
        .tag = TAG_PER_FRAME_GROUPS, .vr = DCB_VR('S', 'Q'), .nitems = c->nframes, .items = items};
    /* By way of another data set: what is copied must not be what is replaced. */
    dcb_dataset *holder = NULL;
    const bool good =
        dcb_dataset_create(&holder, NULL) == DCB_OK &&
        dcb_dataset_put_element(holder, &cut, NULL) == DCB_OK &&
        dcb_dataset_put_element(c->dataset, dcb_dataset_find(holder, TAG_PER_FRAME_GROUPS), NULL) ==
            DCB_OK;
    dcb_dataset_close(holder);
    free(items);
    return good;
}

/* ---- Numbers of frames ----------------------------------------------------------------------- */

static bool renumber_representative(const cutting *c)
{
    const dcb_element *element = dcb_dataset_find(c->dataset, TAG_REPRESENTATIVE_FRAME);
    if (element == NULL || element->nbytes != 2)
        return true;
    const uint32_t number = (uint32_t)(element->value[0] | element->value[1] << 8);
    for (uint32_t i = 0; i < c->nframes; i++) {
        const uint8_t now[2] = {(uint8_t)(i + 1), (uint8_t)((i + 1) >> 8)};
        if (c->frames[i] + 1 == number)
            return dcb_dataset_put(c->dataset, TAG_REPRESENTATIVE_FRAME, DCB_VR('U', 'S'), now, 2,
                                   NULL) == DCB_OK;
    }
    dcb_dataset_remove(c->dataset, TAG_REPRESENTATIVE_FRAME);
    return true;
}

/* Optional ones that name frames which may be gone, or tell of all frames together. */
static void remove_references(dcb_dataset *dataset)
{
    static const uint32_t tags[] = {
        DCB_TAG(0x0008, 0x2142),                          /* Start Trim, Stop Trim */
        DCB_TAG(0x0008, 0x2143), DCB_TAG(0x0018, 0x0072), /* Effective Duration */
        DCB_TAG(0x0028, 0x6020), /* Frame Numbers of Interest, with description and type */
        DCB_TAG(0x0028, 0x6022), DCB_TAG(0x0028, 0x6023),
        DCB_TAG(0x0028, 0x6040), /* R Wave Pointer */
        DCB_TAG(0x0028, 0x6100), /* Mask Subtraction Sequence */
    };
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        dcb_dataset_remove(dataset, tags[i]);
}

bool frame_vectors_cut(dcb_dataset *dataset, const uint32_t *frames, uint32_t nframes,
                       uint32_t nsource)
{
    const cutting c = {dataset, frames, nframes, nsource};
    remove_references(dataset);
    return cut_pointed(&c) && cut_others(&c) && cut_groups(&c) && renumber_representative(&c);
}
