/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixel_place.c - walks the elements of a data set (PS3.5 7.1) and the fragments of Pixel Data
 * (PS3.5 A.4).
 *
 * Invariant: pos <= nbytes, and no length is used before it was held against what is left.
 */
#include "pixel_place.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "dcb_error.h"
#include "vr.h"

#define UNDEFINED        0xFFFFFFFFu
#define TAG_PIXEL_DATA   DCB_TAG(0x7FE0, 0x0010)
#define TAG_ITEM         DCB_TAG(0xFFFE, 0xE000)
#define TAG_ITEM_END     DCB_TAG(0xFFFE, 0xE00D)
#define TAG_SEQUENCE_END DCB_TAG(0xFFFE, 0xE0DD)
#define MAX_DEPTH        64u

typedef struct walk {
    const uint8_t *bytes;
    size_t nbytes, pos;
    dcb_error *error;
} walk;

typedef struct head {
    size_t start;
    uint32_t tag, length;
    dcb_vr vr; /* 0: an item or delimiter */
} head;

static dcb_status read_head(walk *w, head *out, bool implicit)
{
    size_t left = w->nbytes - w->pos;
    const uint8_t *at = w->bytes + w->pos;
    out->start = w->pos;
    out->vr = 0;
    if (left < 8)
        return dcb__fail(w->error, DCB_ERR_DATASET, w->pos,
                         "an element's header needs 8 bytes, %zu are left", left);
    out->tag = (uint32_t)(at[0] | at[1] << 8) << 16 | (uint32_t)(at[2] | at[3] << 8);
    size_t nbytes = 8;
    if (implicit || out->tag >> 16 == 0xFFFE) {
        out->length = dcb__load32(at + 4);
    } else {
        const dcb__vr_info *info = dcb__vr_info_or_un(DCB_VR(at[4], at[5]));
        if (at[4] < 'A' || at[4] > 'Z' || at[5] < 'A' || at[5] > 'Z')
            return dcb__fail(w->error, DCB_ERR_DATASET, w->pos,
                             "element (%04" PRIX32 ",%04" PRIX32 ") has no VR", out->tag >> 16,
                             out->tag & 0xFFFF);
        out->vr = info->vr;
        nbytes = info->long_length ? 12 : 8;
        if (left < nbytes)
            return dcb__fail(w->error, DCB_ERR_DATASET, w->pos,
                             "an element's header needs 12 bytes, %zu are left", left);
        out->length =
            info->long_length ? dcb__load32(at + 8) : (uint32_t)(at[6] | (unsigned)at[7] << 8);
    }
    w->pos += nbytes;
    if (out->length != UNDEFINED && out->length > w->nbytes - w->pos)
        return dcb__fail(w->error, DCB_ERR_DATASET, out->start,
                         "(%04" PRIX32 ",%04" PRIX32 ") has a length of %" PRIu32
                         ", %zu bytes are left",
                         out->tag >> 16, out->tag & 0xFFFF, out->length, w->nbytes - w->pos);
    return DCB_OK;
}

/* Past items up to the sequence's delimiter; of fragments too, which have defined lengths. */
static dcb_status skip_items(walk *w, bool implicit, unsigned depth);

/* Past the elements of an item of undefined length. */
static dcb_status skip_elements(walk *w, bool implicit, unsigned depth)
{
    for (;;) {
        head h;
        dcb_status status = read_head(w, &h, implicit);
        if (status != DCB_OK)
            return status;
        if (h.tag == TAG_ITEM_END)
            return DCB_OK;
        if (h.length != UNDEFINED)
            w->pos += h.length;
        else if ((status = skip_items(w, implicit || h.vr == DCB_VR_UN, depth + 1)) != DCB_OK)
            return status;
    }
}

static dcb_status skip_items(walk *w, bool implicit, unsigned depth)
{
    if (depth >= MAX_DEPTH)
        return dcb__fail(w->error, DCB_ERR_LIMIT, w->pos,
                         "sequences are nested deeper than %u levels", MAX_DEPTH);
    for (;;) {
        head h;
        dcb_status status = read_head(w, &h, implicit);
        if (status != DCB_OK)
            return status;
        if (h.tag == TAG_SEQUENCE_END)
            return DCB_OK;
        if (h.tag != TAG_ITEM)
            return dcb__fail(w->error, DCB_ERR_DATASET, h.start,
                             "(%04" PRIX32 ",%04" PRIX32 ") stands where an item should",
                             h.tag >> 16, h.tag & 0xFFFF);
        if (h.length != UNDEFINED)
            w->pos += h.length;
        else if ((status = skip_elements(w, implicit, depth)) != DCB_OK)
            return status;
    }
}

dcb_status dcb__pixel_place_find(dcb__pixel_place *out, const uint8_t *bytes, size_t nbytes,
                                 dcb_error *error)
{
    walk w = {bytes, nbytes, 0, error};
    bool found = false;
    while (w.pos < nbytes) {
        head h;
        dcb_status status = read_head(&w, &h, false);
        if (status != DCB_OK)
            return status;
        if (h.tag >> 16 == 0xFFFE)
            return dcb__fail(error, DCB_ERR_DATASET, h.start,
                             "a delimiter stands where an element should");
        size_t value = w.pos;
        if (h.length != UNDEFINED)
            w.pos += h.length;
        else if ((status = skip_items(&w, h.vr == DCB_VR_UN, 0)) != DCB_OK)
            return status;
        if (h.tag != TAG_PIXEL_DATA)
            continue;
        if (found)
            return dcb__fail(error, DCB_ERR_DATASET, h.start, "Pixel Data comes twice");
        found = true;
        *out =
            (dcb__pixel_place){h.start, w.pos, value, w.pos - value, h.vr, h.length == UNDEFINED};
    }
    return found ? DCB_OK
                 : dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                             "the instance has no Pixel Data");
}

dcb_status dcb__pixel_place_codestream(uint8_t **codestream, size_t *codestream_nbytes,
                                       const dcb__pixel_place *place, const uint8_t *bytes,
                                       dcb_error *error)
{
    *codestream = NULL;
    walk w = {bytes, place->end, place->value, error};
    uint8_t *own = malloc(place->nbytes > 0 ? place->nbytes : 1);
    size_t have = 0;
    if (own == NULL)
        return dcb__fail_no_memory(error, place->nbytes);
    for (unsigned i = 0;; i++) { /* the first item is the Basic Offset Table */
        head h;
        dcb_status status = read_head(&w, &h, false);
        if (status == DCB_OK &&
            (h.length == UNDEFINED || (h.tag != TAG_ITEM && h.tag != TAG_SEQUENCE_END)))
            status = dcb__fail(error, DCB_ERR_DATASET, h.start, "Pixel Data has no fragments");
        if (status != DCB_OK) {
            free(own);
            return status;
        }
        if (h.tag == TAG_SEQUENCE_END)
            break;
        if (i > 0)
            memcpy(own + have, bytes + w.pos, h.length);
        have += i > 0 ? h.length : 0;
        w.pos += h.length;
    }
    /* A fragment is even in length (PS3.5 A.4): what follows the end marker is padding. */
    if (have >= 3 && own[have - 1] == 0 && own[have - 2] == 0xD9 && own[have - 3] == 0xFF)
        have--;
    *codestream = own;
    *codestream_nbytes = have;
    return DCB_OK;
}

dcb_status dcb_encapsulated_frame(uint8_t **codestream, size_t *nbytes, const void *dataset,
                                  size_t dataset_nbytes, dcb_error *error)
{
    dcb__pixel_place place;
    *codestream = NULL;
    *nbytes = 0;
    dcb_status status = dcb__pixel_place_find(&place, dataset, dataset_nbytes, error);
    if (status == DCB_OK && !place.encapsulated)
        status =
            dcb__fail(error, DCB_ERR_UNSUPPORTED, place.start, "Pixel Data is not encapsulated");
    return status == DCB_OK
               ? dcb__pixel_place_codestream(codestream, nbytes, &place, dataset, error)
               : status;
}
