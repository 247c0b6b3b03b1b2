/* SPDX-License-Identifier: Apache-2.0 */
/* match_text.c - see match_text.h. */
#include "match_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the UTF-8 character at text; never past the end. */
static size_t character_nbytes(const char *text, size_t nbytes)
{
    size_t n = 1;
    while (n < nbytes && ((unsigned char)text[n] & 0xC0) == 0x80)
        n++;
    return n;
}

bool match_wildcards(const char *pattern, size_t pattern_nbytes, const char *text,
                     size_t text_nbytes)
{
    size_t p = 0, t = 0;
    size_t star = SIZE_MAX, star_text = 0; /* where to go on when the last "*" must take more */
    while (t < text_nbytes) {
        const size_t step = character_nbytes(text + t, text_nbytes - t);
        if (p < pattern_nbytes && pattern[p] == '*') {
            star = ++p;
            star_text = t;
        } else if (p < pattern_nbytes && pattern[p] == '?') {
            p++;
            t += step;
        } else if (pattern_nbytes - p >= step && memcmp(pattern + p, text + t, step) == 0) {
            p += step;
            t += step;
        } else if (star != SIZE_MAX) {
            star_text += character_nbytes(text + star_text, text_nbytes - star_text);
            p = star;
            t = star_text;
        } else {
            return false;
        }
    }
    while (p < pattern_nbytes && pattern[p] == '*')
        p++;
    return p == pattern_nbytes;
}

static bool read_number(double *out, const char *text, size_t nbytes)
{
    char buffer[32];
    if (nbytes == 0 || nbytes >= sizeof buffer)
        return false;
    memcpy(buffer, text, nbytes);
    buffer[nbytes] = '\0';
    /* strtod knows more than IS and DS do: hexadecimals, infinities. */
    if (strspn(buffer, "0123456789+-.eE") != nbytes)
        return false;
    char *end;
    *out = strtod(buffer, &end);
    return *end == '\0' && end != buffer;
}

bool match_same_number(const char *a, size_t a_nbytes, const char *b, size_t b_nbytes)
{
    double x, y;
    return read_number(&x, a, a_nbytes) && read_number(&y, b, b_nbytes) && x == y;
}
