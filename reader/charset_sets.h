/* SPDX-License-Identifier: Apache-2.0 */
/*
 * charset_sets.h - the coded character sets that (0008,0005) can name, as look-ups between codes
 * and code points; for charset*.c and their test.
 *
 * Single-byte sets are tables of ours. Multi-byte ones are read out of the C library's iconv once
 * for the process, at their first use, and stay: no converter is opened for a conversion.
 *
 * Threads: any.
 */
#ifndef CHARSET_SETS_H
#define CHARSET_SETS_H

#include "charset.h"

typedef enum dcb__set {
    DCB_SET_NONE,
    DCB_SET_ASCII,  /* ISO-IR 6 */
    DCB_SET_ROMAJI, /* ISO-IR 14: ASCII but for yen and overline */
    DCB_SET_LATIN1, /* from here to DCB_SET_KATAKANA: one byte, G1 */
    DCB_SET_LATIN2,
    DCB_SET_LATIN3,
    DCB_SET_LATIN4,
    DCB_SET_CYRILLIC,
    DCB_SET_ARABIC,
    DCB_SET_GREEK,
    DCB_SET_HEBREW,
    DCB_SET_LATIN5,
    DCB_SET_LATIN9,
    DCB_SET_THAI,
    DCB_SET_KATAKANA, /* ISO-IR 13 */
    DCB_SET_JISX0208, /* ISO-IR 87: two bytes, G0 */
    DCB_SET_JISX0212, /* ISO-IR 159: two bytes, G0 */
    DCB_SET_KSX1001,  /* ISO-IR 149: two bytes, G1 */
    DCB_SET_GB2312,   /* ISO-IR 58: two bytes, G1 */
    DCB_SET_GBK,      /* these are never designated by an escape */
    DCB_SET_GB18030,
    DCB_SET_UTF8,
    DCB_SET_COUNT
} dcb__set;

typedef struct dcb__set_info {
    uint16_t ir;    /* number in the ISO register and in the defined terms; 0: none */
    char escape[4]; /* after ESC (PS3.3 tables C.12-3 and C.12-4) */
    bool g1;        /* codes have the high bit */
    bool wide;      /* two bytes */
} dcb__set_info;

const dcb__set_info *dcb__set_info_of(dcb__set set);

#define DCB_NO_CODE 0u

/* The code point of a byte >= 0x80 in a single-byte set; 0: not defined. */
uint32_t dcb__set_high(dcb__set set, uint8_t byte);
/* The reverse; DCB_NO_CODE: not in the set. */
uint8_t dcb__set_high_code(dcb__set set, uint32_t code_point);

typedef struct dcb__wide dcb__wide;

/* The tables of a wide set, GBK or GB18030. Fails with DCB_ERR_UNSUPPORTED where this system's
   iconv does not have the set. */
dcb_status dcb__wide_get(const dcb__wide **out, dcb__set set, dcb_error *error);
/* Two bytes to a code point; 0: not defined. The escape-designated sets take codes of seven bits.
 */
uint32_t dcb__wide_char(const dcb__wide *wide, uint8_t lead, uint8_t trail);
/* The reverse, lead << 8 | trail; DCB_NO_CODE: not in the set. */
uint32_t dcb__wide_code(const dcb__wide *wide, uint32_t code_point);
/* The same for GB18030's codes of four bytes. */
uint32_t dcb__wide_char4(const dcb__wide *wide, const uint8_t bytes[4]);
bool dcb__wide_code4(const dcb__wide *wide, uint32_t code_point, uint8_t bytes[4]);

/* What a (0008,0005) value means. */
#define DCB_MAX_TERMS 16
struct dcb__charset {
    dcb__set alone;  /* UTF8, GBK or GB18030: the whole text is in it; else DCB_SET_NONE */
    dcb__set g0, g1; /* where each value starts; g1 may be DCB_SET_NONE */
    /* What bytes of the high half mean while g1 is DCB_SET_NONE: the one G1 set that is declared.
       Some senders forget to announce it. */
    dcb__set implied_g1;
    dcb__set extensions[DCB_MAX_TERMS]; /* what escapes may designate when writing */
    unsigned nextensions;
    const dcb__wide *wide[DCB_SET_COUNT]; /* tables of the sets above */
};

/* What ends code extensions in a value of the VR (PS3.5 6.1.2.5.3). */
typedef struct dcb__delimiters {
    bool backslash, name; /* name: ^ and = */
} dcb__delimiters;

dcb__delimiters dcb__delimiters_of(dcb_vr vr);

static inline bool dcb__is_delimiter(dcb__delimiters delimiters, uint32_t c)
{
    return (c < 0x20 && c != 0x1B) || (c == '\\' && delimiters.backslash) ||
           ((c == '^' || c == '=') && delimiters.name);
}

/* A growing buffer of text; status is the first failure. */
typedef struct dcb__text {
    uint8_t *bytes;
    size_t nbytes, capacity;
    bool failed; /* out of memory */
} dcb__text;

void dcb__text_init(dcb__text *text, size_t expected);
void dcb__text_append(dcb__text *text, const void *bytes, size_t nbytes);
void dcb__text_append_utf8(dcb__text *text, uint32_t code_point);
/* Hands the buffer over, NUL-terminated. */
dcb_status dcb__text_finish(uint8_t **bytes, size_t *nbytes, dcb__text *text, dcb_error *error);

/* The code point at bytes[*pos], which is before nbytes; moves *pos on. DCB_BAD_UTF8 for bytes that
   are no UTF-8, of which it passes as many as could have begun a character. */
#define DCB_BAD_UTF8    UINT32_MAX
#define DCB_REPLACEMENT 0xFFFDu
uint32_t dcb__utf8_next(const uint8_t *bytes, size_t nbytes, size_t *pos);

#endif
