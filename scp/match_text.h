/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match_text.h - comparing single values: wildcards, and numbers as text.
 *
 * Stateless; any thread.
 */
#ifndef MATCH_TEXT_H
#define MATCH_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* "*" is any run of characters, also none; "?" is one character of UTF-8 (PS3.4 C.2.2.2.4). Time is
   bounded by the product of the lengths. */
bool match_wildcards(const char *pattern, size_t pattern_nbytes, const char *text,
                     size_t text_nbytes);

/* Both are numbers as IS and DS write them, and the same one. */
bool match_same_number(const char *a, size_t a_nbytes, const char *b, size_t b_nbytes);

#endif
