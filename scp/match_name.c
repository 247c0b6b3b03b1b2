/* SPDX-License-Identifier: Apache-2.0 */
/* match_name.c - see match_name.h. */
#include "match_name.h"

#include "match_text.h"
#include "text_fold.h"

#include <stdlib.h>
#include <string.h>

#define GROUPS 3 /* alphabetic, ideographic, phonetic (PS3.5 6.2.1) */

/* groups[i] points into text, which has room for the carets that a pattern may ask for. */
typedef struct person_name {
    char *text;
    char *groups[GROUPS]; /* never NULL; "" where the group is missing */
    size_t ngroups;
} person_name;

struct name_pattern {
    person_name key;
    size_t ncarets[GROUPS];
    bool wild[GROUPS];
};

/* Takes spaces around components away, and trailing carets; in place. */
static void tidy_group(char *group)
{
    char *out = group;
    for (const char *in = group; *in != '\0'; in++) {
        if (*in == ' ' && (out == group || out[-1] == '^'))
            continue;
        if (*in == '^') {
            while (out > group && out[-1] == ' ')
                out--;
        }
        *out++ = *in;
    }
    while (out > group && (out[-1] == ' ' || out[-1] == '^'))
        out--;
    *out = '\0';
}

static bool name_read(person_name *out, value_text value)
{
    *out = (person_name){0};
    char *raw = strndup(value.text, value.nbytes);
    out->text = raw != NULL ? text_fold(raw) : NULL;
    free(raw);
    if (out->text == NULL)
        return false;
    char *next = out->text;
    for (size_t i = 0; i < GROUPS; i++) {
        out->groups[i] = next;
        char *end = next + strcspn(next, "=");
        next = end;
        if (*end == '=') {
            *end = '\0';
            next = end + 1;
        }
        if (*out->groups[i] != '\0')
            out->ngroups = i + 1;
    }
    for (size_t i = 0; i < GROUPS; i++)
        tidy_group(out->groups[i]);
    return true;
}

name_pattern *name_pattern_create(value_text key)
{
    name_pattern *pattern = calloc(1, sizeof *pattern);
    if (pattern == NULL)
        return NULL;
    if (!name_read(&pattern->key, key)) {
        free(pattern);
        return NULL;
    }
    for (size_t i = 0; i < GROUPS; i++) {
        for (const char *c = pattern->key.groups[i]; *c != '\0'; c++) {
            pattern->ncarets[i] += *c == '^';
            pattern->wild[i] = pattern->wild[i] || *c == '*' || *c == '?';
        }
    }
    return pattern;
}

void name_pattern_close(name_pattern *pattern)
{
    if (pattern == NULL)
        return;
    free(pattern->key.text);
    free(pattern);
}

/* A missing component is an empty one: "doe" answers to "doe^*" as "doe^" would. */
static int group_matches(const name_pattern *pattern, size_t i, const char *group)
{
    const char *key = pattern->key.groups[i];
    const size_t nbytes = strlen(group);
    if (nbytes == 0)
        return 0;
    if (!pattern->wild[i])
        return strcmp(key, group) == 0;
    if (match_wildcards(key, strlen(key), group, nbytes))
        return 1;
    size_t ncarets = 0;
    for (const char *c = group; *c != '\0'; c++)
        ncarets += *c == '^';
    if (ncarets >= pattern->ncarets[i])
        return 0;
    const size_t missing = pattern->ncarets[i] - ncarets;
    char *padded = malloc(nbytes + missing);
    if (padded == NULL)
        return -1;
    memcpy(padded, group, nbytes);
    memset(padded + nbytes, '^', missing);
    const bool matches = match_wildcards(key, strlen(key), padded, nbytes + missing);
    free(padded);
    return matches;
}

static int name_matches(const name_pattern *pattern, const person_name *value)
{
    int result = 0;
    if (pattern->key.ngroups <= 1) {
        for (size_t i = 0; i < GROUPS && result == 0; i++)
            result = group_matches(pattern, 0, value->groups[i]);
        return result;
    }
    for (size_t i = 0; i < GROUPS; i++) {
        const char *key = pattern->key.groups[i];
        if (key[strspn(key, "*")] == '\0')
            continue;
        result = group_matches(pattern, i, value->groups[i]);
        if (result != 1)
            return result;
    }
    return 1;
}

int name_patterns_match(name_pattern *const *patterns, size_t npatterns, value_text value)
{
    person_name read;
    if (!name_read(&read, value))
        return -1;
    int result = 0;
    for (size_t i = 0; i < npatterns && result == 0; i++)
        result = name_matches(patterns[i], &read);
    free(read.text);
    return result;
}

char *name_key_prefix(value_text key)
{
    char *raw = strndup(key.text, key.nbytes);
    char *folded = raw != NULL ? text_fold(raw) : NULL;
    free(raw);
    /* Up to the first component's end: what follows may be spaced otherwise in a record. Several
       groups may begin otherwise in each: no prefix then. */
    if (folded != NULL)
        folded[strchr(folded, '=') != NULL ? 0 : strcspn(folded, "*?^ ")] = '\0';
    return folded;
}
