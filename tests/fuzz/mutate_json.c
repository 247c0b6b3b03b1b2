/* SPDX-License-Identifier: Apache-2.0 */
/* mutate_json.c - finds values by brackets and quotes alone, so that broken JSON will do as well.
 */
#include "mutate_json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct span {
    size_t start, end;
} span;

static bool is_gap(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == ',' || byte == ':' || byte == ']' || byte == '}';
}

static size_t end_of_string(const uint8_t *bytes, size_t nbytes, size_t at)
{
    for (at++; at < nbytes && bytes[at] != '"'; at++) {
        if (bytes[at] == '\\')
            at++;
    }
    return at < nbytes ? at + 1 : nbytes;
}

static size_t end_of_value(const uint8_t *bytes, size_t nbytes, size_t at)
{
    if (bytes[at] == '"')
        return end_of_string(bytes, nbytes, at);
    if (bytes[at] != '[' && bytes[at] != '{') {
        while (at < nbytes && !is_gap(bytes[at]))
            at++;
        return at;
    }
    unsigned depth = 0;
    while (at < nbytes) {
        if (bytes[at] == '"') {
            at = end_of_string(bytes, nbytes, at);
            continue;
        }
        if (bytes[at] == '[' || bytes[at] == '{')
            depth++;
        if ((bytes[at] == ']' || bytes[at] == '}') && --depth == 0)
            return at + 1;
        at++;
    }
    return nbytes;
}

/* Finds the number-th value (or key) of the text, counted as they begin. Returns how many there are
   up to it: more than number only where it was found. */
static size_t find_value(span *out, const uint8_t *bytes, size_t nbytes, size_t number)
{
    size_t count = 0;
    bool due = true; /* a value may begin here */
    for (size_t at = 0; at < nbytes && count <= number;) {
        if (is_gap(bytes[at]) || !due) {
            due = due || is_gap(bytes[at]);
            at++;
            continue;
        }
        bool opens = bytes[at] == '[' || bytes[at] == '{';
        if (count++ == number)
            *out = (span){at, end_of_value(bytes, nbytes, at)};
        at = opens ? at + 1 : end_of_value(bytes, nbytes, at);
        due = opens;
    }
    return count;
}

/* Puts text in place of a span. */
static size_t replace(uint8_t *bytes, size_t nbytes, size_t capacity, span at, const void *text,
                      size_t length)
{
    size_t made = nbytes - (at.end - at.start) + length;
    if (made > capacity)
        return nbytes;
    memmove(bytes + at.start + length, bytes + at.end, nbytes - at.end);
    memcpy(bytes + at.start, text, length);
    return made;
}

/* A copy of the text of one span in place of another, with a comma where it is put before. */
static size_t copy_value(uint8_t *bytes, size_t nbytes, size_t capacity, span from, span to,
                         bool before)
{
    size_t length = from.end - from.start;
    uint8_t *copy = malloc(length + 1);
    if (copy == NULL)
        return nbytes;
    memcpy(copy, bytes + from.start, length);
    copy[length] = ',';
    if (before)
        to.end = to.start;
    nbytes = replace(bytes, nbytes, capacity, to, copy, length + before);
    free(copy);
    return nbytes;
}

static size_t delete_value(uint8_t *bytes, size_t nbytes, span at)
{
    while (at.end < nbytes && bytes[at.end] == ' ')
        at.end++;
    if (at.end < nbytes && bytes[at.end] == ',')
        at.end++;
    return replace(bytes, nbytes, nbytes, at, "", 0);
}

static size_t put_literal(uint8_t *bytes, size_t nbytes, size_t capacity, span at, unsigned choice)
{
    static const char *const literals[] = {"null",
                                           "true",
                                           "false",
                                           "NaN",
                                           "Infinity",
                                           "-Infinity",
                                           "0",
                                           "-1",
                                           "-0.0",
                                           "1e400",
                                           "65536",
                                           "18446744073709551616",
                                           "0.1",
                                           "[]",
                                           "{}",
                                           "\"\"",
                                           "\"None\"",
                                           "\"Value\"",
                                           "\"InlineBinary\"",
                                           "\"BulkDataURI\"",
                                           "\"null\"",
                                           "\"shared\"",
                                           "\"vr\"",
                                           "\"PN\"",
                                           "\"SQ\"",
                                           "\"UN\"",
                                           "\"DS\"",
                                           "\"IS\"",
                                           "\"AT\"",
                                           "\"OB\"",
                                           "\"US\"",
                                           "\"LO\"",
                                           "\"\\ud83d\\ude00\"",
                                           "\"AAEC\"",
                                           "\"00280010\"",
                                           "\"00080018\"",
                                           "{\"Alphabetic\":\"A^B\",\"Ideographic\":\"\\u5c71\"}",
                                           "[[1,2],\"None\",[3]]"};
    const char *text = literals[choice % (sizeof literals / sizeof *literals)];
    return replace(bytes, nbytes, capacity, at, text, strlen(text));
}

/* libFuzzer's own mutations, on the inside of a string or on a number. */
static size_t mutate_inside(uint8_t *bytes, size_t nbytes, size_t capacity, span at)
{
    if (bytes[at.start] == '"' && at.end - at.start >= 2)
        at = (span){at.start + 1, at.end - 1};
    size_t length = at.end - at.start, room = length + 16;
    uint8_t *copy = malloc(room);
    if (copy == NULL)
        return nbytes;
    memcpy(copy, bytes + at.start, length);
    size_t made = LLVMFuzzerMutate(copy, length, room);
    nbytes = replace(bytes, nbytes, capacity, at, copy, made);
    free(copy);
    return nbytes;
}

size_t mutate_json(uint8_t *bytes, size_t nbytes, size_t capacity, unsigned seed)
{
    span at = {0, 0}, other = {0, 0};
    size_t count = find_value(&at, bytes, nbytes, SIZE_MAX);
    if (count == 0)
        return nbytes;
    unsigned choice = seed * 2654435761u >> 16;
    find_value(&at, bytes, nbytes, seed % count);
    find_value(&other, bytes, nbytes, choice / 8 % count);
    switch (choice % 8) {
    case 0:
        return delete_value(bytes, nbytes, at);
    case 1:
        return copy_value(bytes, nbytes, capacity, at, at, true);
    case 2:
    case 3:
        return copy_value(bytes, nbytes, capacity, other, at, choice % 8 == 2);
    case 4:
    case 5:
        return put_literal(bytes, nbytes, capacity, at, choice / 8);
    default:
        return mutate_inside(bytes, nbytes, capacity, at);
    }
}
