/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixel_fragments.c - see pixel_fragments.h.
 *
 * Invariant: first[0] = 0 < first[1] < ... < first[nframes] = nitems: every frame has a fragment,
 * and every fragment a frame. What is not so is refused: a fragment in the wrong frame is a wrong
 * picture.
 */
#include "pixel_fragments.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "dcb_error.h"

#define TAG_ITEM         DCB_TAG(0xFFFE, 0xE000)
#define TAG_SEQUENCE_END DCB_TAG(0xFFFE, 0xE0DD)

/* The next item of Pixel Data; *is_end at the delimiter. */
static dcb_status next_item(dcb__fragment *item, bool *is_end, size_t *at,
                            const dcb__pixel_place *place, const uint8_t *bytes, dcb_error *error)
{
    const size_t left = place->end - *at;
    const uint8_t *p = bytes + *at;
    uint32_t tag = 0, length = 0;
    if (left >= 8) {
        tag = dcb__load16(p) << 16 | dcb__load16(p + 2);
        length = dcb__load32(p + 4);
    }
    *is_end = tag == TAG_SEQUENCE_END;
    if (!*is_end && (tag != TAG_ITEM || length > left - 8))
        return dcb__fail(error, DCB_ERR_DATASET, *at,
                         "Pixel Data has something else in it than "
                         "whole fragments");
    *item = (dcb__fragment){*at + 8, length};
    *at += 8u + (*is_end ? 0 : length);
    return DCB_OK;
}

static dcb_status read_items(dcb__fragments *out, dcb__fragment *table,
                             const dcb__pixel_place *place, const uint8_t *bytes, dcb_error *error)
{
    size_t capacity = 0, at = place->value;
    bool is_end = false;
    dcb_status status = next_item(table, &is_end, &at, place, bytes, error);
    while (status == DCB_OK && !is_end) {
        dcb__fragment item;
        status = next_item(&item, &is_end, &at, place, bytes, error);
        if (status != DCB_OK || is_end)
            break;
        if (out->nitems == capacity) {
            capacity = capacity * 2 + 16;
            dcb__fragment *grown = realloc(out->items, capacity * sizeof *grown);
            if (grown == NULL)
                return dcb__fail_no_memory(error, capacity * sizeof *grown);
            out->items = grown;
        }
        out->items[out->nitems++] = item;
    }
    return status;
}

/* False where the table tells no frames, or wrongly. Offsets count from the first fragment's item
   tag. */
static bool by_table(dcb__fragments *out, const dcb__fragment *table)
{
    if (table->nbytes != (uint64_t)out->nframes * 4)
        return false;
    uint32_t item = 0;
    for (uint32_t i = 0; i < out->nframes; i++) {
        const uint64_t offset = dcb__load32(out->bytes + table->at + (size_t)i * 4);
        while (item < out->nitems && out->items[item].at - out->items[0].at < offset)
            item++;
        if (item == out->nitems || out->items[item].at - out->items[0].at != offset ||
            (i > 0 && item == out->first[i - 1]))
            return false;
        out->first[i] = item;
    }
    return out->first[0] == 0;
}

/* Bytes without padding behind an end marker (FFD9 in JPEG, JPEG-LS and JPEG 2000). */
static size_t end_of_codestream(const uint8_t *bytes, size_t nbytes)
{
    return nbytes >= 3 && bytes[nbytes - 1] == 0 && bytes[nbytes - 2] == 0xD9 &&
                   bytes[nbytes - 3] == 0xFF
               ? nbytes - 1
               : nbytes;
}

/* No codestream of JPEG's family has an end marker before its end. */
static bool by_end_markers(dcb__fragments *out)
{
    if (!out->marked)
        return false;
    uint32_t frame = 0;
    bool ended = true;
    for (uint32_t i = 0; i < out->nitems; i++) {
        if (ended && frame == out->nframes)
            return false;
        if (ended)
            out->first[frame++] = i;
        const uint8_t *bytes = out->bytes + out->items[i].at;
        const size_t n = end_of_codestream(bytes, out->items[i].nbytes);
        ended = n >= 2 && bytes[n - 1] == 0xD9 && bytes[n - 2] == 0xFF;
    }
    return ended && frame == out->nframes;
}

static dcb_status attribute(dcb__fragments *out, const dcb__fragment *table, dcb_error *error)
{
    if (out->nitems < out->nframes)
        return dcb__fail(error, DCB_ERR_CODESTREAM, DCB_NO_OFFSET,
                         "%" PRIu32 " fragments for %" PRIu32 " frames", out->nitems, out->nframes);
    out->first = calloc((size_t)out->nframes + 1, sizeof *out->first);
    if (out->first == NULL)
        return dcb__fail_no_memory(error, (size_t)out->nframes * sizeof *out->first);
    if (out->nitems == out->nframes) {
        for (uint32_t i = 0; i < out->nframes; i++)
            out->first[i] = i;
    } else if (out->nframes > 1 && !by_table(out, table) && !by_end_markers(out)) {
        return dcb__fail(error, DCB_ERR_CODESTREAM, DCB_NO_OFFSET,
                         "nothing tells which of %" PRIu32 " fragments belong to which of %" PRIu32
                         " frames",
                         out->nitems, out->nframes);
    }
    out->first[out->nframes] = out->nitems;
    return DCB_OK;
}

dcb_status dcb__fragments_read(dcb__fragments *out, const dcb__pixel_place *place,
                               const uint8_t *bytes, uint32_t nframes, bool marked,
                               dcb_error *error)
{
    dcb__fragment table = {0, 0};
    *out = (dcb__fragments){.bytes = bytes, .nframes = nframes, .marked = marked};
    dcb_status status = read_items(out, &table, place, bytes, error);
    if (status == DCB_OK)
        status = attribute(out, &table, error);
    if (status != DCB_OK)
        dcb__fragments_free(out);
    return status;
}

void dcb__fragments_free(dcb__fragments *fragments)
{
    free(fragments->items);
    free(fragments->first);
    *fragments = (dcb__fragments){.bytes = NULL};
}

dcb_status dcb__fragments_frame(const uint8_t **codestream, size_t *nbytes, uint8_t **own,
                                const dcb__fragments *fragments, uint32_t frame, dcb_error *error)
{
    const uint32_t first = fragments->first[frame], last = fragments->first[frame + 1];
    const dcb__fragment *items = fragments->items;
    *own = NULL;
    *codestream = fragments->bytes + items[first].at;
    *nbytes = items[first].nbytes;
    if (last - first > 1) {
        size_t total = 0, have = 0;
        for (uint32_t i = first; i < last; i++)
            total += items[i].nbytes;
        *own = malloc(total > 0 ? total : 1);
        if (*own == NULL)
            return dcb__fail_no_memory(error, total);
        for (uint32_t i = first; i < last; have += items[i++].nbytes)
            memcpy(*own + have, fragments->bytes + items[i].at, items[i].nbytes);
        *codestream = *own;
        *nbytes = total;
    }
    if (fragments->marked)
        *nbytes = end_of_codestream(*codestream, *nbytes);
    return DCB_OK;
}
