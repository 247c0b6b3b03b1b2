/* SPDX-License-Identifier: Apache-2.0 */
/*
 * charset_decode.c - text as data sets hold it, to UTF-8 (PS3.5 6.1).
 *
 * Invariant: every step takes at least one byte, and a byte that cannot belong to a character is
 * never taken with it, so that a damaged character spoils itself and not the name or list round it.
 */
#include "charset_sets.h"

#include <string.h>

#define ESC 0x1B

typedef struct decoder {
    const dcb__charset *charset;
    dcb__delimiters delimiters;
    const uint8_t *bytes;
    size_t nbytes, pos;
    dcb__set g0, g1;
    dcb__text text;
} decoder;

static void reset(decoder *d)
{
    d->g0 = d->charset->g0;
    d->g1 = d->charset->g1;
}

/* The table of a set; also of one that an escape names though (0008,0005) does not. */
static const dcb__wide *wide_of(const decoder *d, dcb__set set)
{
    const dcb__wide *wide = d->charset->wide[set];
    if (wide == NULL && dcb__wide_get(&wide, set, NULL) != DCB_OK)
        return NULL;
    return wide;
}

static void put(decoder *d, uint32_t c)
{
    dcb__text_append_utf8(&d->text, c != 0 ? c : DCB_REPLACEMENT);
}

/* pos is at an escape byte. */
static void take_escape(decoder *d)
{
    size_t left = d->nbytes - d->pos - 1;
    const uint8_t *after = d->bytes + d->pos + 1;
    for (dcb__set set = DCB_SET_ASCII; set < DCB_SET_COUNT; set++) {
        const dcb__set_info *info = dcb__set_info_of(set);
        size_t n = strlen(info->escape);
        if (n == 0 || n > left || memcmp(after, info->escape, n) != 0)
            continue;
        *(info->g1 ? &d->g1 : &d->g0) = set;
        d->pos += 1 + n;
        return;
    }
    if (left >= 2 && memcmp(after, "$@", 2) == 0) { /* the edition of 1978, still met */
        d->g0 = DCB_SET_JISX0208;
        d->pos += 3;
        return;
    }
    put(d, 0);
    d->pos++;
}

/* Two bytes of a set, both with the high bit (mask 0x80) or both without. */
static void take_wide(decoder *d, dcb__set set, uint8_t mask)
{
    const dcb__wide *wide = wide_of(d, set);
    uint8_t lead = d->bytes[d->pos] & 0x7F;
    uint8_t second = d->pos + 1 < d->nbytes ? d->bytes[d->pos + 1] : 0;
    uint8_t trail = second & 0x7F;
    if (lead < 0x21 || lead > 0x7E || (second & 0x80) != mask || trail < 0x21 || trail > 0x7E) {
        put(d, 0);
        d->pos++;
        return;
    }
    put(d, wide != NULL ? dcb__wide_char(wide, lead, trail) : 0);
    d->pos += 2;
}

static void take_low(decoder *d)
{
    uint8_t byte = d->bytes[d->pos];
    /* Control characters, space and delete are in every set. */
    bool always = byte <= ' ' || byte == 0x7F;
    if (!always && dcb__set_info_of(d->g0)->wide) {
        take_wide(d, d->g0, 0);
        return;
    }
    d->pos++;
    if (dcb__is_delimiter(d->delimiters, byte)) {
        dcb__text_append(&d->text, &byte, 1);
        reset(d);
    } else if (d->g0 == DCB_SET_ROMAJI && (byte == '\\' || byte == '~')) {
        put(d, byte == '~' ? 0x203E : 0xA5);
    } else {
        dcb__text_append(&d->text, &byte, 1);
    }
}

static void take_high(decoder *d)
{
    dcb__set g1 = d->g1 != DCB_SET_NONE ? d->g1 : d->charset->implied_g1;
    if (g1 != DCB_SET_NONE && dcb__set_info_of(g1)->wide) {
        take_wide(d, g1, 0x80);
        return;
    }
    put(d, g1 != DCB_SET_NONE ? dcb__set_high(g1, d->bytes[d->pos]) : 0);
    d->pos++;
}

static void decode_extended(decoder *d)
{
    reset(d);
    while (d->pos < d->nbytes) {
        uint8_t byte = d->bytes[d->pos];
        if (byte == ESC)
            take_escape(d);
        else if (byte < 0x80)
            take_low(d);
        else
            take_high(d);
    }
}

static void decode_utf8(decoder *d)
{
    while (d->pos < d->nbytes) {
        size_t start = d->pos;
        uint32_t c = dcb__utf8_next(d->bytes, d->nbytes, &d->pos);
        if (c == DCB_BAD_UTF8)
            put(d, 0);
        else
            dcb__text_append(&d->text, d->bytes + start, d->pos - start);
    }
}

/* GBK and GB18030: a trail byte may look like a backslash, so characters are taken whole. */
static void decode_chinese(decoder *d)
{
    const dcb__wide *wide = d->charset->wide[d->charset->alone];
    while (d->pos < d->nbytes) {
        const uint8_t *at = d->bytes + d->pos;
        size_t left = d->nbytes - d->pos;
        uint32_t c = 0;
        if (at[0] < 0x80) {
            dcb__text_append(&d->text, at, 1);
            d->pos++;
        } else if (left >= 2 && (c = dcb__wide_char(wide, at[0], at[1])) != 0) {
            put(d, c);
            d->pos += 2;
        } else if (d->charset->alone == DCB_SET_GB18030 && left >= 4 &&
                   (c = dcb__wide_char4(wide, at)) != 0) {
            put(d, c);
            d->pos += 4;
        } else {
            put(d, 0);
            /* a well-formed but unassigned pair goes as one */
            d->pos +=
                left >= 2 && at[0] > 0x80 && at[0] < 0xFF && at[1] > 0x80 && at[1] < 0xFF ? 2 : 1;
        }
    }
}

dcb_status dcb__charset_decode(char **text, size_t *nbytes, const dcb__charset *charset, dcb_vr vr,
                               const void *bytes, size_t bytes_nbytes, dcb_error *error)
{
    decoder d = {.charset = charset,
                 .delimiters = dcb__delimiters_of(vr),
                 .bytes = bytes,
                 .nbytes = bytes_nbytes};
    dcb__text_init(&d.text, bytes_nbytes);
    if (charset->alone == DCB_SET_NONE)
        decode_extended(&d);
    else if (charset->alone == DCB_SET_UTF8)
        decode_utf8(&d);
    else
        decode_chinese(&d);
    uint8_t *made;
    dcb_status status = dcb__text_finish(&made, nbytes, &d.text, error);
    *text = (char *)made;
    return status;
}
