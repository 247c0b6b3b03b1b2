/* SPDX-License-Identifier: Apache-2.0 */
/*
 * charset_encode.c - UTF-8 to the character sets of a data set (PS3.5 6.1 and annexes H, I, K).
 *
 * Invariant: at every delimiter and at the end the initial sets are active, and decoding the result
 * gives the text back.
 */
#include "charset_sets.h"

#include <stdlib.h>
#include <string.h>

#include "dcb_error.h"

typedef struct encoder {
    const dcb__charset *charset;
    dcb__delimiters delimiters;
    const uint8_t *text;
    size_t text_nbytes;
    dcb__set g0, g1;
    dcb__text out;
} encoder;

static void designate(encoder *e, dcb__set set)
{
    const dcb__set_info *info = dcb__set_info_of(set);
    dcb__text_append(&e->out, "\x1B", 1);
    dcb__text_append(&e->out, info->escape, strlen(info->escape));
    *(info->g1 ? &e->g1 : &e->g0) = set;
}

static void return_to_initial(encoder *e)
{
    if (e->g0 != e->charset->g0)
        designate(e, e->charset->g0);
    /* "No set" has no escape: the delimiter itself ends it (the examples of annexes I and K). */
    if (e->g1 != e->charset->g1 && e->charset->g1 != DCB_SET_NONE)
        designate(e, e->charset->g1);
    e->g1 = e->charset->g1;
}

/* The code of c in a set, of two bytes where the set is wide; DCB_NO_CODE: not in it. */
static uint32_t code_in(const encoder *e, dcb__set set, uint32_t c)
{
    const dcb__set_info *info = dcb__set_info_of(set);
    if (!info->wide)
        return info->g1 ? dcb__set_high_code(set, c) : DCB_NO_CODE;
    uint32_t code = dcb__wide_code(e->charset->wide[set], c);
    return code != DCB_NO_CODE && info->g1 ? code | 0x8080 : code;
}

static void put_code(encoder *e, uint32_t code)
{
    uint8_t bytes[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    dcb__text_append(&e->out, code > 0xFF ? bytes : bytes + 1, code > 0xFF ? 2 : 1);
}

static bool put_if_in(encoder *e, dcb__set set, uint32_t c)
{
    uint32_t code = set != DCB_SET_NONE ? code_in(e, set, c) : DCB_NO_CODE;
    if (code == DCB_NO_CODE)
        return false;
    if (set != e->g0 && set != e->g1)
        designate(e, set);
    put_code(e, code);
    return true;
}

/* false: the charset has no such character. */
static bool put_ascii(encoder *e, uint32_t c)
{
    if (dcb__is_delimiter(e->delimiters, c)) {
        return_to_initial(e);
    } else {
        if (e->g0 != e->charset->g0)
            designate(e, e->charset->g0);
        if (e->g0 == DCB_SET_ROMAJI && (c == '\\' || c == '~'))
            return false;
    }
    put_code(e, c);
    return c != 0x1B; /* an escape in text would be taken for one of ours */
}

static bool put_other(encoder *e, uint32_t c)
{
    const dcb__charset *charset = e->charset;
    if (charset->g0 == DCB_SET_ROMAJI && (c == 0x203E || (c == 0xA5 && !e->delimiters.backslash))) {
        if (e->g0 != charset->g0)
            designate(e, charset->g0);
        put_code(e, c == 0xA5 ? '\\' : '~');
        return true;
    }
    if (put_if_in(e, e->g1, c) || put_if_in(e, e->g0, c) || put_if_in(e, charset->g1, c))
        return true;
    for (unsigned i = 0; i < charset->nextensions; i++) {
        if (put_if_in(e, charset->extensions[i], c))
            return true;
    }
    return false;
}

/* A two-byte G1 set is announced where the line or component that needs it begins (annexes I.2,
   K.2), not in its middle. pos is such a beginning. */
static void announce(encoder *e, size_t pos)
{
    dcb__set set = DCB_SET_NONE;
    for (unsigned i = 0; i < e->charset->nextensions && set == DCB_SET_NONE; i++) {
        const dcb__set_info *info = dcb__set_info_of(e->charset->extensions[i]);
        if (info->wide && info->g1)
            set = e->charset->extensions[i];
    }
    if (set == DCB_SET_NONE || e->g1 != DCB_SET_NONE)
        return;
    while (pos < e->text_nbytes) {
        uint32_t c = dcb__utf8_next(e->text, e->text_nbytes, &pos);
        if (dcb__is_delimiter(e->delimiters, c) || c == DCB_BAD_UTF8)
            return;
        if (c >= 0x80 && code_in(e, set, c) != DCB_NO_CODE) {
            designate(e, set);
            return;
        }
    }
}

static bool encode_extended(encoder *e)
{
    e->g0 = e->charset->g0;
    e->g1 = e->charset->g1;
    bool begins = true;
    for (size_t pos = 0; pos < e->text_nbytes;) {
        if (begins)
            announce(e, pos);
        uint32_t c = dcb__utf8_next(e->text, e->text_nbytes, &pos);
        if (c == DCB_BAD_UTF8 || !(c < 0x80 ? put_ascii(e, c) : put_other(e, c)))
            return false;
        begins = dcb__is_delimiter(e->delimiters, c);
    }
    return_to_initial(e);
    return true;
}

static bool encode_utf8(encoder *e)
{
    for (size_t pos = 0; pos < e->text_nbytes;) {
        if (dcb__utf8_next(e->text, e->text_nbytes, &pos) == DCB_BAD_UTF8)
            return false;
    }
    if (e->text_nbytes > 0)
        dcb__text_append(&e->out, e->text, e->text_nbytes);
    return true;
}

static bool encode_chinese(encoder *e)
{
    const dcb__wide *wide = e->charset->wide[e->charset->alone];
    for (size_t pos = 0; pos < e->text_nbytes;) {
        uint32_t c = dcb__utf8_next(e->text, e->text_nbytes, &pos);
        uint8_t four[4];
        uint32_t code = c < 0x80 || c == DCB_BAD_UTF8 ? c : dcb__wide_code(wide, c);
        if (c == DCB_BAD_UTF8)
            return false;
        if (c < 0x80 || code != DCB_NO_CODE)
            put_code(e, code);
        else if (dcb__wide_code4(wide, c, four))
            dcb__text_append(&e->out, four, sizeof four);
        else
            return false;
    }
    return true;
}

dcb_status dcb__charset_encode(uint8_t **bytes, size_t *nbytes, const dcb__charset *charset,
                               dcb_vr vr, const char *text, size_t text_nbytes, dcb_error *error)
{
    encoder e = {.charset = charset,
                 .delimiters = dcb__delimiters_of(vr),
                 .text = (const uint8_t *)text,
                 .text_nbytes = text_nbytes};
    bool held;
    dcb__text_init(&e.out, text_nbytes);
    if (charset->alone == DCB_SET_NONE)
        held = encode_extended(&e);
    else if (charset->alone == DCB_SET_UTF8)
        held = encode_utf8(&e);
    else
        held = encode_chinese(&e);
    if (held)
        return dcb__text_finish(bytes, nbytes, &e.out, error);
    free(e.out.bytes);
    *bytes = NULL;
    *nbytes = 0;
    return dcb__fail(error, DCB_ERR_ENCODING, DCB_NO_OFFSET,
                     "text does not fit the data set's character set");
}
