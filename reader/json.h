/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - JSON text as a tree of plain C nodes: 16 bytes each, the values of an array side by
 * side, so that element i of n is one step away.
 *
 * Threads: a tree is immutable.
 */
#ifndef JSON_H
#define JSON_H

#include "dcb.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum dcb__json_type {
    DCB_JSON_NULL,
    DCB_JSON_BOOL,   /* boolean */
    DCB_JSON_INT,    /* integer */
    DCB_JSON_UINT,   /* natural: only where it is over INT64_MAX */
    DCB_JSON_DOUBLE, /* number */
    DCB_JSON_STRING, /* text: UTF-8, NUL-terminated, of count bytes */
    DCB_JSON_ARRAY,  /* values[count] */
    DCB_JSON_OBJECT, /* values[2 * count]: key, value, key, value... in the text's order */
} dcb__json_type;

typedef struct dcb__json dcb__json;
struct dcb__json {
    uint32_t type;
    uint32_t count;
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double number;
        const char *text;
        const dcb__json *values;
    };
};

typedef struct dcb__json_document dcb__json_document;

/* What bytes must have after nbytes: they are read, not used. */
#define DCB_JSON_PADDING 64u

/* Bare NaN, Infinity and -Infinity (which Python writes) become the strings of that name, integers
   of more than 19 digits become doubles, halves of surrogate pairs become U+FFFD. depth bounds the
   nesting. what names the text in errors ("dicommeta"); offset is where it stands in the file. */
dcb_status dcb__json_parse(dcb__json_document **out, const uint8_t *bytes, size_t nbytes,
                           uint32_t max_depth, const char *what, uint64_t offset, dcb_error *error);
void dcb__json_close(dcb__json_document *document);
const dcb__json *dcb__json_root(const dcb__json_document *document);

/* The value of a key; NULL where json is not an object or has no such key. */
const dcb__json *dcb__json_member(const dcb__json *json, const char *key);
/* True where json is a number; *number is the nearest double. */
bool dcb__json_number(const dcb__json *json, double *number);

/* json_repair.c: the text with what simdjson refuses rewritten as dcb__json_parse says, and
   DCB_JSON_PADDING after it; free() it. NULL with *changed false: nothing to rewrite. NULL with
   *changed true: out of memory. */
uint8_t *dcb__json_repair(bool *changed, size_t *nbytes, const uint8_t *text, size_t text_nbytes);

#ifdef __cplusplus
}
#endif
#endif
