/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text_fold.c - case, compatibility and accent folding over utf8proc.
 *
 * Invariant: folding a folded text changes nothing. Stateless.
 */
#include "text_fold.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* The longest decomposition of one code point is 18 (U+FDFA). */
#define MAX_DECOMPOSED 32

static const utf8proc_option_t fold_options =
    UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE | UTF8PROC_STABLE;

/* Letters that people type without their stroke or as two, and Unicode does not decompose. */
static const struct {
    int32_t letter;
    char plain[3];
} letters[] = {
    {0x00e6, "ae"}, {0x0153, "oe"}, {0x00f8, "o"},  {0x0142, "l"}, {0x0111, "d"}, {0x00f0, "d"},
    {0x0127, "h"},  {0x0131, "i"},  {0x00fe, "th"}, {0x0167, "t"}, {0x0138, "k"}, {0x014b, "n"},
};

/* Accents, vowel points and harakat only: the marks of other scripts (Indic vowels, kana voicing)
   make another letter. */
static bool is_accent(int32_t c)
{
    return (c >= 0x0300 && c <= 0x036f) || (c >= 0x0483 && c <= 0x0487) ||
           (c >= 0x0591 && c <= 0x05bd) || c == 0x05bf || (c >= 0x05c1 && c <= 0x05c2) ||
           (c >= 0x05c4 && c <= 0x05c5) || c == 0x05c7 || (c >= 0x064b && c <= 0x065f) ||
           c == 0x0670 || (c >= 0x1ab0 && c <= 0x1aff) || (c >= 0x1dc0 && c <= 0x1dff) ||
           (c >= 0x20d0 && c <= 0x20ff) || (c >= 0xfe20 && c <= 0xfe2f);
}

static bool is_syntax(int32_t c)
{
    return c == '*' || c == '?' || c == '^' || c == '=' || c == '\\';
}

static bool is_ascii(const char *text)
{
    while (*text != '\0' && (unsigned char)*text < 0x80)
        text++;
    return *text == '\0';
}

static char *fold_ascii(const char *text)
{
    char *folded = strdup(text);
    for (char *p = folded; p != NULL && *p != '\0'; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
    }
    return folded;
}

/* The next code point and how many bytes it took. */
static size_t next_code_point(int32_t *c, const char *text, size_t nbytes)
{
    utf8proc_ssize_t n = utf8proc_iterate((const uint8_t *)text, (utf8proc_ssize_t)nbytes, c);
    if (n > 0)
        return (size_t)n;
    *c = 0xfffd;
    return 1;
}

/* Writes the folded form of one code point; returns how many (at most MAX_DECOMPOSED). */
static size_t fold_code_point(int32_t *out, int32_t c)
{
    int32_t parts[MAX_DECOMPOSED];
    int boundary = UTF8PROC_BOUNDCLASS_START;
    utf8proc_ssize_t nparts =
        utf8proc_decompose_char(c, parts, MAX_DECOMPOSED, fold_options, &boundary);
    if (nparts < 0 || nparts > MAX_DECOMPOSED) {
        out[0] = c;
        return 1;
    }
    size_t n = 0;
    for (utf8proc_ssize_t i = 0; i < nparts; i++) {
        /* A full-width or superscript sign must not become a wildcard or delimiter. */
        if (c >= 0x80 && is_syntax(parts[i])) {
            out[0] = c;
            return 1;
        }
        if (is_accent(parts[i]))
            continue;
        const char *plain = NULL;
        for (size_t k = 0; k < sizeof letters / sizeof letters[0]; k++) {
            if (letters[k].letter == parts[i])
                plain = letters[k].plain;
        }
        if (plain == NULL) {
            out[n++] = parts[i];
            continue;
        }
        while (*plain != '\0' && n < MAX_DECOMPOSED)
            out[n++] = *plain++;
    }
    return n;
}

/* Canonical ordering of combining marks (Unicode 3.11): composition stands on it. */
static void order_marks(int32_t *c, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        int class_i = utf8proc_get_property(c[i])->combining_class;
        for (size_t k = i; class_i != 0 && k > 0; k--) {
            if (utf8proc_get_property(c[k - 1])->combining_class <= class_i)
                break;
            int32_t swapped = c[k - 1];
            c[k - 1] = c[k];
            c[k] = swapped;
        }
    }
}

char *text_fold(const char *utf8)
{
    if (is_ascii(utf8))
        return fold_ascii(utf8);
    size_t nbytes = strlen(utf8), n = 0, capacity = 0;
    int32_t *folded = NULL;
    for (size_t pos = 0; pos < nbytes;) {
        if (n + MAX_DECOMPOSED + 1 > capacity) {
            capacity = capacity * 2 + nbytes + 2 * MAX_DECOMPOSED;
            int32_t *grown = realloc(folded, capacity * sizeof *grown);
            if (grown == NULL) {
                free(folded);
                return NULL;
            }
            folded = grown;
        }
        int32_t c;
        pos += next_code_point(&c, utf8 + pos, nbytes - pos);
        n += fold_code_point(folded + n, c);
    }
    order_marks(folded, n);
    /* Works in place: the code points become UTF-8 in their own buffer. */
    utf8proc_ssize_t length =
        utf8proc_reencode(folded, (utf8proc_ssize_t)n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    if (length < 0) {
        free(folded);
        return NULL;
    }
    char *shrunk = realloc(folded, (size_t)length + 1);
    return shrunk != NULL ? shrunk : (char *)folded;
}
