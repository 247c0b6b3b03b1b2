/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match_name.h - names of persons (PN) as match.h compares them.
 *
 * A name is folded (text_fold.h), split into its component groups, each without spaces around its
 * components and without trailing "^".
 *
 * Threads: a pattern is immutable; any number may use it.
 */
#ifndef MATCH_NAME_H
#define MATCH_NAME_H

#include "element_values.h"

typedef struct name_pattern name_pattern;

/* NULL only where memory ran out. */
name_pattern *name_pattern_create(value_text key);
void name_pattern_close(name_pattern *pattern);
/* Does any of the patterns match the value? 1, 0, -1 out of memory. */
int name_patterns_match(name_pattern *const *patterns, size_t npatterns, value_text value);

/* The folded text that every name found by the key begins with, in one of its groups: what an index
   can be asked for. free() it; "" where there is none, NULL where memory ran out. */
char *name_key_prefix(value_text key);

#endif
