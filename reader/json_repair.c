/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_repair.c - small helpers on JSON trees, and the slow path for texts that Python's json
 * module writes though they are not JSON.
 *
 * Invariant: bytes inside strings are copied as they are, but for halves of surrogate pairs.
 */
#include "json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_INTEGER_DIGITS 19

const dcb__json *dcb__json_member(const dcb__json *json, const char *key)
{
    if (json == NULL || json->type != DCB_JSON_OBJECT)
        return NULL;
    size_t nbytes = strlen(key);
    for (uint32_t i = 0; i < json->count; i++) {
        const dcb__json *name = &json->values[2 * (size_t)i];
        if (name->count == nbytes && memcmp(name->text, key, nbytes) == 0)
            return name + 1;
    }
    return NULL;
}

bool dcb__json_number(const dcb__json *json, double *number)
{
    if (json == NULL)
        return false;
    switch (json->type) {
    case DCB_JSON_INT:
        *number = (double)json->integer;
        return true;
    case DCB_JSON_UINT:
        *number = (double)json->natural;
        return true;
    case DCB_JSON_DOUBLE:
        *number = json->number;
        return true;
    default:
        return false;
    }
}

typedef struct copier {
    const uint8_t *from, *end;
    uint8_t *to;
    bool changed;
} copier;

static void copy(copier *c, size_t nbytes)
{
    memcpy(c->to, c->from, nbytes);
    c->to += nbytes;
    c->from += nbytes;
}

static bool starts_with(const copier *c, const char *word)
{
    size_t nbytes = strlen(word);
    return (size_t)(c->end - c->from) >= nbytes && memcmp(c->from, word, nbytes) == 0;
}

/* The value of \uXXXX at `at`, or -1. */
static int read_unicode_escape(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    int value = 0;
    for (int i = 2; i < 6; i++) {
        int digit = at[i] >= '0' && at[i] <= '9'   ? at[i] - '0'
                    : at[i] >= 'a' && at[i] <= 'f' ? at[i] - 'a' + 10
                    : at[i] >= 'A' && at[i] <= 'F' ? at[i] - 'A' + 10
                                                   : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static void copy_escape(copier *c)
{
    int first = read_unicode_escape(c->from, c->end);
    if (first < 0xD800 || first > 0xDFFF) {
        copy(c, c->end - c->from >= 2 ? 2 : 1);
        return;
    }
    int second = first < 0xDC00 ? read_unicode_escape(c->from + 6, c->end) : -1;
    if (second >= 0xDC00 && second <= 0xDFFF) {
        copy(c, 12);
        return;
    }
    memcpy(c->to, "\\uFFFD", 6);
    c->to += 6;
    c->from += 6;
    c->changed = true;
}

static void copy_string(copier *c)
{
    copy(c, 1);
    while (c->from < c->end && *c->from != '"') {
        if (*c->from == '\\')
            copy_escape(c);
        else
            copy(c, 1);
    }
    if (c->from < c->end)
        copy(c, 1);
}

static void copy_quoted(copier *c, size_t nbytes)
{
    *c->to++ = '"';
    copy(c, nbytes);
    *c->to++ = '"';
    c->changed = true;
}

static void copy_number(copier *c)
{
    size_t digits = 0, nbytes = 0;
    bool integer = true;
    for (const uint8_t *p = c->from; p < c->end; p++, nbytes++) {
        if (*p >= '0' && *p <= '9')
            digits++;
        else if (*p == '.' || *p == 'e' || *p == 'E' || (*p == '+' && nbytes > 0))
            integer = false;
        else if (*p != '-')
            break;
    }
    copy(c, nbytes > 0 ? nbytes : 1);
    if (integer && digits > MAX_INTEGER_DIGITS) {
        *c->to++ = 'e';
        *c->to++ = '0';
        c->changed = true;
    }
}

uint8_t *dcb__json_repair(bool *changed, size_t *nbytes, const uint8_t *text, size_t text_nbytes)
{
    /* The shortest thing that grows is NaN, by two bytes. */
    *changed = true;
    if (text_nbytes > SIZE_MAX / 2 - DCB_JSON_PADDING)
        return NULL;
    uint8_t *repaired = malloc(text_nbytes / 3 * 5 + 8 + DCB_JSON_PADDING);
    if (repaired == NULL)
        return NULL;
    copier c = {text, text + text_nbytes, repaired, false};
    while (c.from < c.end) {
        if (*c.from == '"')
            copy_string(&c);
        else if (starts_with(&c, "NaN"))
            copy_quoted(&c, 3);
        else if (starts_with(&c, "Infinity"))
            copy_quoted(&c, 8);
        else if (starts_with(&c, "-Infinity"))
            copy_quoted(&c, 9);
        else if (*c.from == '-' || (*c.from >= '0' && *c.from <= '9'))
            copy_number(&c);
        else
            copy(&c, 1);
    }
    *nbytes = (size_t)(c.to - repaired);
    memset(c.to, 0, DCB_JSON_PADDING);
    *changed = c.changed;
    if (!c.changed) {
        free(repaired);
        return NULL;
    }
    return repaired;
}
