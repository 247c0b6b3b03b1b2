/* SPDX-License-Identifier: Apache-2.0 */
/*
 * charset_wide.c - the multi-byte sets, read out of iconv into tables at first use.
 *
 * Invariant: a published table never changes and is never freed. Threads that race for the first
 * use may build the same table; one of them wins, the others free theirs.
 */
#include "charset_sets.h"

#include <iconv.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dcb_error.h"

#define BMP                  0x10000u
#define FOUR_BYTE_BMP        39420u /* codes 81308130 to 8431A439: what two bytes leave of the BMP */
#define FOUR_BYTE_SUPPLEMENT 189000u /* code 90308130: from here U+10000 and on, in order */
#define MAX_EXTRAS           32

struct dcb__wide {
    uint8_t first_lead, last_lead, first_trail, last_trail;
    uint16_t *chars;   /* by lead and trail; 0: not defined */
    uint16_t *codes;   /* by BMP code point */
    uint16_t *chars4;  /* GB18030: by place among the codes of four bytes */
    uint16_t *places4; /* by BMP code point: place + 1 */
    /* The few two-byte codes of GB18030 that stand for code points above the BMP. */
    struct {
        uint32_t code_point;
        uint16_t code;
    } extras[MAX_EXTRAS];
    unsigned nextras;
};

typedef struct wide_source {
    const char *iconv_name;
    char prefix[2]; /* before each code in the form that iconv reads */
    uint8_t high;   /* the bit that iconv's form has and ours has not */
    uint8_t first_lead, last_lead, first_trail, last_trail;
    bool four;
} wide_source;

static const wide_source sources[DCB_SET_COUNT] = {
    [DCB_SET_JISX0208] = {"EUC-JP", "", 0x80, 0x21, 0x7E, 0x21, 0x7E, false},
    [DCB_SET_JISX0212] = {"EUC-JP", "\x8F", 0x80, 0x21, 0x7E, 0x21, 0x7E, false},
    [DCB_SET_KSX1001] = {"EUC-KR", "", 0x80, 0x21, 0x7E, 0x21, 0x7E, false},
    [DCB_SET_GB2312] = {"EUC-CN", "", 0x80, 0x21, 0x7E, 0x21, 0x7E, false},
    [DCB_SET_GBK] = {"GBK", "", 0, 0x81, 0xFE, 0x40, 0xFE, false},
    [DCB_SET_GB18030] = {"GB18030", "", 0, 0x81, 0xFE, 0x40, 0xFE, true},
};

static _Atomic(dcb__wide *) loaded[DCB_SET_COUNT];

static size_t trails(const dcb__wide *wide)
{
    return wide->last_trail - wide->first_trail + 1u;
}

static void free_wide(dcb__wide *wide)
{
    if (wide == NULL)
        return;
    free(wide->chars);
    free(wide->codes);
    free(wide->chars4);
    free(wide->places4);
    free(wide);
}

static dcb__wide *new_wide(const wide_source *source)
{
    dcb__wide *wide = calloc(1, sizeof *wide);
    if (wide == NULL)
        return NULL;
    wide->first_lead = source->first_lead;
    wide->last_lead = source->last_lead;
    wide->first_trail = source->first_trail;
    wide->last_trail = source->last_trail;
    size_t leads = wide->last_lead - wide->first_lead + 1u;
    wide->chars = calloc(leads * trails(wide), sizeof *wide->chars);
    wide->codes = calloc(BMP, sizeof *wide->codes);
    bool complete = wide->chars != NULL && wide->codes != NULL;
    if (source->four) {
        wide->chars4 = calloc(FOUR_BYTE_BMP, sizeof *wide->chars4);
        wide->places4 = calloc(BMP, sizeof *wide->places4);
        complete = complete && wide->chars4 != NULL && wide->places4 != NULL;
    }
    if (complete)
        return wide;
    free_wide(wide);
    return NULL;
}

/* One character by iconv; 0 where the bytes are not exactly one beyond ASCII. */
static uint32_t convert(iconv_t converter, const uint8_t *bytes, size_t nbytes)
{
    char copy[8], *in = copy;
    uint8_t out[16];
    char *to = (char *)out;
    size_t in_left = nbytes, out_left = sizeof out;
    memcpy(copy, bytes, nbytes);
    iconv(converter, NULL, NULL, NULL, NULL);
    if (iconv(converter, &in, &in_left, &to, &out_left) == (size_t)-1 || in_left > 0 ||
        out_left != sizeof out - 4)
        return 0;
    uint32_t c =
        (uint32_t)out[0] | (uint32_t)out[1] << 8 | (uint32_t)out[2] << 16 | (uint32_t)out[3] << 24;
    return c < 0x80 ? 0 : c;
}

static void fill_two(dcb__wide *wide, const wide_source *source, iconv_t converter)
{
    size_t prefix = strlen(source->prefix);
    for (unsigned lead = source->first_lead; lead <= source->last_lead; lead++) {
        for (unsigned trail = source->first_trail; trail <= source->last_trail; trail++) {
            uint8_t bytes[3] = {(uint8_t)source->prefix[0]};
            bytes[prefix] = (uint8_t)(lead | source->high);
            bytes[prefix + 1] = (uint8_t)(trail | source->high);
            uint32_t c = convert(converter, bytes, prefix + 2);
            uint16_t code = (uint16_t)(lead << 8 | trail);
            if (c > 0 && c < BMP) {
                wide->chars[(lead - wide->first_lead) * trails(wide) + trail - wide->first_trail] =
                    (uint16_t)c;
                if (wide->codes[c] == 0)
                    wide->codes[c] = code;
            } else if (c >= BMP && wide->nextras < MAX_EXTRAS) {
                wide->extras[wide->nextras].code_point = c;
                wide->extras[wide->nextras++].code = code;
            }
        }
    }
}

static void place_to_bytes(uint32_t place, uint8_t bytes[4])
{
    bytes[3] = (uint8_t)(0x30 + place % 10);
    bytes[2] = (uint8_t)(0x81 + place / 10 % 126);
    bytes[1] = (uint8_t)(0x30 + place / 1260 % 10);
    bytes[0] = (uint8_t)(0x81 + place / 12600);
}

static void fill_four(dcb__wide *wide, iconv_t converter)
{
    for (uint32_t place = 0; place < FOUR_BYTE_BMP; place++) {
        uint8_t bytes[4];
        place_to_bytes(place, bytes);
        uint32_t c = convert(converter, bytes, sizeof bytes);
        if (c == 0 || c >= BMP)
            continue;
        wide->chars4[place] = (uint16_t)c;
        if (wide->places4[c] == 0)
            wide->places4[c] = (uint16_t)(place + 1);
    }
}

dcb_status dcb__wide_get(const dcb__wide **out, dcb__set set, dcb_error *error)
{
    *out = atomic_load(&loaded[set]);
    if (*out != NULL)
        return DCB_OK;
    const wide_source *source = &sources[set];
    iconv_t converter = iconv_open("UCS-4LE", source->iconv_name);
    if (converter == (iconv_t)-1)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                         "this system's iconv has no %s: install its converters (Debian: "
                         "libc-gconv-modules-extra)",
                         source->iconv_name);
    dcb__wide *wide = new_wide(source);
    if (wide != NULL) {
        fill_two(wide, source, converter);
        if (source->four)
            fill_four(wide, converter);
    }
    iconv_close(converter);
    if (wide == NULL)
        return dcb__fail_no_memory(error, BMP * sizeof *wide->codes);
    dcb__wide *other = NULL;
    if (!atomic_compare_exchange_strong(&loaded[set], &other, wide)) {
        free_wide(wide);
        wide = other;
    }
    *out = wide;
    return DCB_OK;
}

uint32_t dcb__wide_char(const dcb__wide *wide, uint8_t lead, uint8_t trail)
{
    if (lead < wide->first_lead || lead > wide->last_lead || trail < wide->first_trail ||
        trail > wide->last_trail)
        return 0;
    uint32_t c = wide->chars[(lead - wide->first_lead) * trails(wide) + trail - wide->first_trail];
    for (unsigned i = 0; c == 0 && i < wide->nextras; i++) {
        if (wide->extras[i].code == (lead << 8 | trail))
            c = wide->extras[i].code_point;
    }
    return c;
}

uint32_t dcb__wide_code(const dcb__wide *wide, uint32_t code_point)
{
    if (code_point < BMP)
        return wide->codes[code_point];
    for (unsigned i = 0; i < wide->nextras; i++) {
        if (wide->extras[i].code_point == code_point)
            return wide->extras[i].code;
    }
    return DCB_NO_CODE;
}

uint32_t dcb__wide_char4(const dcb__wide *wide, const uint8_t bytes[4])
{
    static const uint8_t first[4] = {0x81, 0x30, 0x81, 0x30}, last[4] = {0xFE, 0x39, 0xFE, 0x39};
    uint32_t place = 0;
    for (int i = 0; i < 4; i++) {
        if (bytes[i] < first[i] || bytes[i] > last[i])
            return 0;
        place = place * (last[i] - first[i] + 1u) + (bytes[i] - first[i]);
    }
    if (place < FOUR_BYTE_BMP)
        return wide->chars4[place];
    if (place < FOUR_BYTE_SUPPLEMENT || place - FOUR_BYTE_SUPPLEMENT > 0x10FFFF - BMP)
        return 0;
    return place - FOUR_BYTE_SUPPLEMENT + BMP;
}

bool dcb__wide_code4(const dcb__wide *wide, uint32_t code_point, uint8_t bytes[4])
{
    if (wide->places4 == NULL)
        return false;
    if (code_point < BMP && wide->places4[code_point] == 0)
        return false;
    place_to_bytes(code_point < BMP ? wide->places4[code_point] - 1u
                                    : code_point - BMP + FOUR_BYTE_SUPPLEMENT,
                   bytes);
    return true;
}
