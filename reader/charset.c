/* SPDX-License-Identifier: Apache-2.0 */
/*
 * charset.c - what the defined terms of (0008,0005) mean (PS3.3 C.12.1.1.2), and the buffer and
 * UTF-8 primitives that both directions of conversion use.
 *
 * Invariant: an open charset has the tables of every set that it names.
 */
#include "charset_sets.h"

#include <stdlib.h>
#include <string.h>

#include "dcb_error.h"
#include "vr.h"

#define MAX_TERM 32

/* Upper case, without any of the separators that senders mix up. */
static size_t normalize(char normal[MAX_TERM], const char *term, size_t nbytes)
{
    size_t n = 0;
    for (size_t i = 0; i < nbytes; i++) {
        char c = term[i];
        if (c == ' ' || c == '_' || c == '-' || c == '\0')
            continue;
        if (n == MAX_TERM - 1)
            break;
        normal[n++] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    normal[n] = '\0';
    return n;
}

static dcb__set set_of_number(const char *digits)
{
    char *end;
    unsigned long ir = strtoul(digits, &end, 10);
    if (digits[0] < '1' || digits[0] > '9' || *end != '\0')
        return DCB_SET_NONE;
    for (dcb__set set = DCB_SET_ASCII; set < DCB_SET_COUNT; set++) {
        if (dcb__set_info_of(set)->ir == ir)
            return set;
    }
    return DCB_SET_NONE;
}

/* DCB_SET_NONE: unknown. An empty term is the default repertoire. */
static dcb__set set_of_term(const char *term, size_t nbytes)
{
    static const struct {
        const char *name;
        dcb__set set;
    } names[] = {
        {"", DCB_SET_ASCII},       {"GB18030", DCB_SET_GB18030}, {"GBK", DCB_SET_GBK},
        {"GB2312", DCB_SET_GBK},   {"UTF8", DCB_SET_UTF8},       {"ASCII", DCB_SET_ASCII},
        {"88591", DCB_SET_LATIN1},
    };
    char normal[MAX_TERM];
    normalize(normal, term, nbytes);
    const char *rest = normal;
    bool extended = false;
    if (strncmp(rest, "ISO", 3) == 0) {
        rest += 3;
        extended = strncmp(rest, "2022", 4) == 0;
        rest += extended ? 4 : 0;
        if (*rest == '\0')
            return DCB_SET_NONE;
    }
    if (strncmp(rest, "IR", 2) == 0)
        return set_of_number(rest + 2);
    if (extended && *rest >= '0' && *rest <= '9')
        return set_of_number(rest);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(rest, names[i].name) == 0)
            return names[i].set;
    }
    return DCB_SET_NONE;
}

static bool stands_alone(dcb__set set)
{
    return set == DCB_SET_UTF8 || set == DCB_SET_GBK || set == DCB_SET_GB18030;
}

/* Splits value into sets; 0 terms: an unknown one. */
static unsigned read_terms(dcb__set sets[DCB_MAX_TERMS], const char *value)
{
    unsigned n = 0;
    for (const char *term = value;; term++) {
        size_t nbytes = strcspn(term, "\\");
        if (n == DCB_MAX_TERMS || (sets[n++] = set_of_term(term, nbytes)) == DCB_SET_NONE)
            return 0;
        term += nbytes;
        if (*term == '\0')
            return n;
    }
}

static void set_initial(dcb__charset *charset, dcb__set first)
{
    const dcb__set_info *info = dcb__set_info_of(first);
    charset->g0 = first == DCB_SET_KATAKANA ? DCB_SET_ROMAJI : DCB_SET_ASCII;
    charset->g1 = info->g1 && !info->wide ? first : DCB_SET_NONE;
}

/* The sets that may be switched to: all when there are several, or one that needs an escape. */
static void set_extensions(dcb__charset *charset, const dcb__set *sets, unsigned n)
{
    unsigned ng1 = 0;
    for (unsigned i = 0; i < n; i++) {
        const dcb__set_info *info = dcb__set_info_of(sets[i]);
        if (sets[i] == DCB_SET_ASCII || (n == 1 && !info->wide))
            continue;
        charset->extensions[charset->nextensions++] = sets[i];
        if (info->g1 && charset->implied_g1 != sets[i]) {
            charset->implied_g1 = sets[i];
            ng1++;
        }
    }
    if (ng1 != 1)
        charset->implied_g1 = DCB_SET_NONE;
}

static dcb_status load_tables(dcb__charset *charset, dcb_error *error)
{
    dcb_status status = DCB_OK;
    if (charset->alone == DCB_SET_GBK || charset->alone == DCB_SET_GB18030)
        return dcb__wide_get(&charset->wide[charset->alone], charset->alone, error);
    for (unsigned i = 0; i < charset->nextensions && status == DCB_OK; i++) {
        dcb__set set = charset->extensions[i];
        if (dcb__set_info_of(set)->wide)
            status = dcb__wide_get(&charset->wide[set], set, error);
    }
    return status;
}

dcb_status dcb__charset_open(dcb__charset **out, const char *value, dcb_error *error)
{
    *out = NULL;
    dcb__set sets[DCB_MAX_TERMS];
    unsigned n = read_terms(sets, value != NULL ? value : "");
    if (n == 0)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                         "SpecificCharacterSet (0008,0005) names an unknown set");
    dcb__charset *charset = calloc(1, sizeof *charset);
    if (charset == NULL)
        return dcb__fail_no_memory(error, sizeof *charset);
    unsigned other = n;
    for (unsigned i = 0; i < n; i++) {
        if (stands_alone(sets[i]) && charset->alone == DCB_SET_NONE)
            charset->alone = sets[i];
        else if (sets[i] != DCB_SET_ASCII && other == n)
            other = i;
    }
    /* Such a set allows no other. First, it is what the text is in; after another, who knows. */
    if (charset->alone != DCB_SET_NONE && charset->alone != sets[0] && other < n) {
        free(charset);
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                         "SpecificCharacterSet (0008,0005) mixes sets that cannot be mixed");
    }
    set_initial(charset, sets[0]);
    if (charset->alone == DCB_SET_NONE)
        set_extensions(charset, sets, n);
    dcb_status status = load_tables(charset, error);
    if (status == DCB_OK)
        *out = charset;
    else
        free(charset);
    return status;
}

void dcb__charset_close(dcb__charset *charset)
{
    free(charset);
}

bool dcb__charset_is_same(const dcb__charset *charset, const void *bytes, size_t nbytes)
{
    const uint8_t *b = bytes;
    if (charset->g0 == DCB_SET_ROMAJI && nbytes > 0 &&
        (memchr(b, '\\', nbytes) != NULL || memchr(b, '~', nbytes) != NULL))
        return false;
    uint8_t all = 0;
    for (size_t i = 0; i < nbytes; i++)
        all |= b[i];
    return all < 0x80 && (nbytes == 0 || memchr(b, 0x1B, nbytes) == NULL);
}

dcb__delimiters dcb__delimiters_of(dcb_vr vr)
{
    return (dcb__delimiters){dcb__vr_info_or_un(vr)->several, vr == DCB_VR_PN};
}

void dcb__text_init(dcb__text *text, size_t expected)
{
    size_t capacity = expected + expected / 2 + 16;
    *text = (dcb__text){.bytes = malloc(capacity), .capacity = capacity};
    text->failed = text->bytes == NULL;
}

void dcb__text_append(dcb__text *text, const void *bytes, size_t nbytes)
{
    if (text->failed)
        return;
    /* One byte is kept for the NUL. */
    if (nbytes >= text->capacity - text->nbytes) {
        size_t capacity = text->capacity * 2 + nbytes;
        uint8_t *grown = realloc(text->bytes, capacity);
        if (grown == NULL) {
            text->failed = true;
            return;
        }
        text->bytes = grown;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->nbytes, bytes, nbytes);
    text->nbytes += nbytes;
}

void dcb__text_append_utf8(dcb__text *text, uint32_t c)
{
    uint8_t b[4];
    if (c < 0x80) {
        b[0] = (uint8_t)c;
        dcb__text_append(text, b, 1);
    } else if (c < 0x800) {
        b[0] = (uint8_t)(0xC0 | c >> 6);
        b[1] = (uint8_t)(0x80 | (c & 0x3F));
        dcb__text_append(text, b, 2);
    } else if (c < 0x10000) {
        b[0] = (uint8_t)(0xE0 | c >> 12);
        b[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        b[2] = (uint8_t)(0x80 | (c & 0x3F));
        dcb__text_append(text, b, 3);
    } else {
        b[0] = (uint8_t)(0xF0 | c >> 18);
        b[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
        b[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        b[3] = (uint8_t)(0x80 | (c & 0x3F));
        dcb__text_append(text, b, 4);
    }
}

dcb_status dcb__text_finish(uint8_t **bytes, size_t *nbytes, dcb__text *text, dcb_error *error)
{
    *bytes = NULL;
    *nbytes = 0;
    if (text->failed) {
        free(text->bytes);
        return dcb__fail_no_memory(error, text->capacity);
    }
    text->bytes[text->nbytes] = '\0';
    *bytes = text->bytes;
    *nbytes = text->nbytes;
    return DCB_OK;
}

uint32_t dcb__utf8_next(const uint8_t *bytes, size_t nbytes, size_t *pos)
{
    uint8_t lead = bytes[(*pos)++];
    if (lead < 0x80)
        return lead;
    if (lead < 0xC2 || lead > 0xF4)
        return DCB_BAD_UTF8;
    unsigned more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    uint32_t c = lead & (0x3Fu >> more);
    for (unsigned i = 0; i < more; i++) {
        /* The second byte excludes overlong forms, surrogates and what is beyond U+10FFFF. */
        uint8_t low = 0x80, high = 0xBF;
        if (i == 0) {
            low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
            high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        }
        if (*pos == nbytes || bytes[*pos] < low || bytes[*pos] > high)
            return DCB_BAD_UTF8;
        c = c << 6 | (bytes[(*pos)++] & 0x3F);
    }
    return c;
}
