/* SPDX-License-Identifier: Apache-2.0 */
/* data_set_walk.c - steps over elements, items and fragments. Threads: any. */
#include "data_set_walk.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "bytes.h"
#include "dcb_error.h"

#define UNDEFINED        0xFFFFFFFFu
#define TAG_ITEM         DCB_TAG(0xFFFE, 0xE000)
#define TAG_ITEM_END     DCB_TAG(0xFFFE, 0xE00D)
#define TAG_SEQUENCE_END DCB_TAG(0xFFFE, 0xE0DD)
#define MAX_DEPTH        32

static uint32_t load16(const uint8_t *p, bool big)
{
    return big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t load32(const uint8_t *p, bool big)
{
    return big ? load16(p, true) << 16 | load16(p + 2, true) : dcb__load32(p);
}

typedef struct header {
    uint32_t tag, length;
    dcb_vr vr; /* 0: not told */
    size_t nbytes;
} header;

static dcb__walk_result read_header(header *h, const dcb__walk *w, size_t at, dcb_syntax syntax)
{
    const size_t left = w->nbytes - at;
    const bool big = syntax == DCB_SYNTAX_EXPLICIT_BE;
    *h = (header){0};
    if (left < 8)
        return left == 0 ? DCB_WALK_END : DCB_WALK_CUT;
    const uint8_t *p = w->bytes + at;
    h->tag = load16(p, big) << 16 | load16(p + 2, big);
    h->nbytes = 8;
    if (syntax == DCB_SYNTAX_IMPLICIT_LE || h->tag >> 16 == 0xFFFE) {
        h->length = load32(p + 4, big);
        return DCB_WALK_ELEMENT;
    }
    h->vr = DCB_VR(p[4], p[5]);
    if (!dcb_vr_is_known(h->vr))
        return DCB_WALK_BAD;
    if (!dcb_vr_has_long_length(h->vr)) {
        h->length = load16(p + 6, big);
        return DCB_WALK_ELEMENT;
    }
    if (left < 12)
        return DCB_WALK_CUT;
    h->length = load32(p + 8, big);
    h->nbytes = 12;
    return DCB_WALK_ELEMENT;
}

/* Moves *at over one element, with what is in it where its length is undefined. */
static dcb__walk_result skip(const dcb__walk *w, size_t *at, dcb_syntax syntax, header *h,
                             unsigned depth);

/* Items of a sequence, or fragments, up to the sequence's delimiter. */
static dcb__walk_result skip_items(const dcb__walk *w, size_t *at, dcb_syntax syntax,
                                   unsigned depth)
{
    if (depth > MAX_DEPTH)
        return DCB_WALK_BAD;
    for (;;) {
        header item, inner;
        dcb__walk_result result = read_header(&item, w, *at, syntax);
        if (result != DCB_WALK_ELEMENT)
            return result == DCB_WALK_END ? DCB_WALK_CUT : result;
        *at += item.nbytes;
        if (item.tag == TAG_SEQUENCE_END)
            return DCB_WALK_ELEMENT;
        if (item.tag != TAG_ITEM)
            return DCB_WALK_BAD;
        if (item.length != UNDEFINED) {
            if (item.length > w->nbytes - *at)
                return DCB_WALK_CUT;
            *at += item.length;
            continue;
        }
        do {
            result = skip(w, at, syntax, &inner, depth + 1);
            if (result != DCB_WALK_ELEMENT)
                return result == DCB_WALK_END ? DCB_WALK_CUT : result;
        } while (inner.tag != TAG_ITEM_END);
    }
}

static dcb__walk_result skip(const dcb__walk *w, size_t *at, dcb_syntax syntax, header *h,
                             unsigned depth)
{
    dcb__walk_result result = read_header(h, w, *at, syntax);
    if (result != DCB_WALK_ELEMENT)
        return result;
    if (h->tag == TAG_ITEM_END && depth > 0) {
        *at += h->nbytes;
        return DCB_WALK_ELEMENT;
    }
    if (h->tag >> 16 == 0xFFFE)
        return DCB_WALK_BAD;
    if (h->length != UNDEFINED) {
        if (h->length > w->nbytes - *at - h->nbytes)
            return DCB_WALK_CUT;
        *at += h->nbytes + h->length;
        return DCB_WALK_ELEMENT;
    }
    *at += h->nbytes;
    /* PS3.5 6.2.2 note 2: what is in a UN of undefined length is Implicit VR Little Endian. */
    return skip_items(w, at, h->vr == DCB_VR('U', 'N') ? DCB_SYNTAX_IMPLICIT_LE : syntax, depth);
}

dcb__walk_result dcb__walk_next(dcb__walked *out, dcb__walk *walk)
{
    header h;
    size_t at = walk->at;
    *out = (dcb__walked){.start = at};
    dcb__walk_result result = skip(walk, &at, walk->syntax, &h, 0);
    out->tag = h.tag;
    out->value = out->start + h.nbytes;
    out->end = at;
    if (result == DCB_WALK_ELEMENT)
        walk->at = at;
    return result;
}

dcb_syntax dcb__syntax_of(const char *uid, bool *deflated)
{
    *deflated = strcmp(uid, "1.2.840.10008.1.2.1.99") == 0;
    if (strcmp(uid, "1.2.840.10008.1.2") == 0)
        return DCB_SYNTAX_IMPLICIT_LE;
    return strcmp(uid, "1.2.840.10008.1.2.2") == 0 ? DCB_SYNTAX_EXPLICIT_BE
                                                   : DCB_SYNTAX_EXPLICIT_LE;
}

bool dcb__syntax_is_native(const char *uid)
{
    return strncmp(uid, "1.2.840.10008.1.2", 17) == 0 && strncmp(uid + 17, ".4", 2) != 0 &&
           strcmp(uid + 17, ".5") != 0;
}

/* ---- Deflate ---- */

dcb_status dcb__inflate(uint8_t **out, size_t *out_nbytes, const uint8_t *bytes, size_t nbytes,
                        size_t limit, bool whole, dcb_error *error)
{
    *out = NULL;
    *out_nbytes = 0;
    z_stream stream = {0};
    if (nbytes > UINT_MAX)
        return dcb__fail(error, DCB_ERR_LIMIT, DCB_NO_OFFSET,
                         "a deflated data set of %zu bytes is too large", nbytes);
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return dcb__fail_no_memory(error, 1u << 16);
    uint8_t *own = NULL;
    size_t had = 0, capacity = 0;
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)nbytes;
    int result = Z_OK;
    while (result == Z_OK && had < limit) {
        size_t room = capacity == 0 ? 1u << 16 : capacity;
        if (room > limit - capacity)
            room = limit - capacity;
        if (room > 1u << 30)
            room = 1u << 30;
        uint8_t *grown = realloc(own, capacity + room);
        if (grown == NULL) {
            inflateEnd(&stream);
            free(own);
            return dcb__fail_no_memory(error, capacity + room);
        }
        own = grown;
        capacity += room;
        stream.next_out = own + had;
        stream.avail_out = (uInt)(capacity - had);
        result = inflate(&stream, Z_NO_FLUSH);
        had = capacity - stream.avail_out;
    }
    inflateEnd(&stream);
    const bool enough = whole ? result == Z_STREAM_END
                              : result == Z_STREAM_END || result == Z_OK || result == Z_BUF_ERROR;
    if (!enough) {
        free(own);
        if (had >= limit)
            return dcb__fail(error, DCB_ERR_LIMIT, DCB_NO_OFFSET,
                             "the deflated data set is over the limit, %zu bytes", limit);
        return dcb__fail(error, DCB_ERR_DATASET, DCB_NO_OFFSET, "the deflated data set is damaged");
    }
    *out = own;
    *out_nbytes = had;
    return DCB_OK;
}

dcb_status dcb__deflate(uint8_t **packed, size_t *packed_nbytes, const uint8_t *bytes,
                        size_t nbytes, dcb_error *error)
{
    *packed = NULL;
    z_stream stream = {0};
    if (nbytes > UINT32_MAX)
        return dcb__fail(error, DCB_ERR_LIMIT, DCB_NO_OFFSET,
                         "a data set of %zu bytes is too large to be deflated", nbytes);
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return dcb__fail_no_memory(error, 1u << 18);
    size_t room = deflateBound(&stream, (uLong)nbytes) + 1;
    uint8_t *own = room > UINT32_MAX ? NULL : malloc(room);
    if (own == NULL) {
        deflateEnd(&stream);
        return dcb__fail_no_memory(error, room);
    }
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)nbytes;
    stream.next_out = own;
    stream.avail_out = (uInt)room - 1;
    int result = deflate(&stream, Z_FINISH);
    size_t got = room - 1 - stream.avail_out;
    deflateEnd(&stream);
    if (result != Z_STREAM_END) {
        free(own);
        return dcb__fail(error, DCB_ERR_ENCODING, DCB_NO_OFFSET, "the data set cannot be deflated");
    }
    if (got & 1)
        own[got++] = 0;
    *packed = own;
    *packed_nbytes = got;
    return DCB_OK;
}
