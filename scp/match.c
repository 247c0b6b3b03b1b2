/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match.c - keys become patterns once, then each record is held against them.
 *
 * Invariant: a pattern has at least one value (or, for a sequence, an item with a pattern), so
 * everything in a matcher restricts.
 */
#include "match.h"

#include "element_values.h"
#include "match_name.h"
#include "match_text.h"
#include "temporal.h"

#include <stdlib.h>
#include <string.h>

typedef struct match_pattern {
    uint32_t tag;
    dcb_vr vr;
    uint32_t nvalues; /* of one of these, by VR: */
    char **texts;     /* strings, trimmed */
    time_span *spans; /* DA TM DT */
    name_pattern **names;
    uint8_t *bytes; /* binary VRs: the key's value as it is */
    uint32_t nbytes;
    scp_matcher *item; /* SQ */
} match_pattern;

struct scp_matcher {
    size_t npatterns, capacity;
    match_pattern *patterns;
};

bool match_vr_has_wildcards(dcb_vr vr)
{
    switch (vr) {
    case DCB_VR('A', 'E'):
    case DCB_VR('C', 'S'):
    case DCB_VR('L', 'O'):
    case DCB_VR('L', 'T'):
    case DCB_VR('P', 'N'):
    case DCB_VR('S', 'H'):
    case DCB_VR('S', 'T'):
    case DCB_VR('U', 'C'):
    case DCB_VR('U', 'R'):
    case DCB_VR('U', 'T'):
        return true;
    default:
        return false;
    }
}

/* Universal value matching, also "*" alone (C.2.2.2.3, C.2.2.2.4); a name of delimiters only is an
   empty one. */
static bool is_universal(value_text value, dcb_vr vr)
{
    const char *free_of_meaning = vr == DCB_VR('P', 'N')       ? "*^= "
                                  : match_vr_has_wildcards(vr) ? "*"
                                                               : "";
    for (size_t i = 0; i < value.nbytes; i++) {
        if (value.text[i] == '\0' || strchr(free_of_meaning, value.text[i]) == NULL)
            return false;
    }
    return true;
}

bool match_key_restricts(const dcb_element *key)
{
    if (key->nitems > 0) {
        const dcb_dataset *item = key->items[0];
        for (size_t i = 0; i < dcb_dataset_count(item); i++) {
            if (match_key_restricts(dcb_dataset_at(item, i)))
                return true;
        }
        return false;
    }
    if (!vr_is_string(key->vr) || element_is_empty(key))
        return !element_is_empty(key);
    value_cursor cursor = value_cursor_start(key, key->vr);
    bool has_value = false;
    for (value_text value; value_cursor_next(&cursor, &value);) {
        if (is_universal(value, key->vr) && value.nbytes > 0)
            return false; /* one of several values that matches everything */
        has_value = has_value || value.nbytes > 0;
    }
    return has_value;
}

/* ---- Making ---- */

static void pattern_free(match_pattern *pattern)
{
    for (uint32_t i = 0; i < pattern->nvalues; i++) {
        if (pattern->texts != NULL)
            free(pattern->texts[i]);
        if (pattern->names != NULL)
            name_pattern_close(pattern->names[i]);
    }
    free(pattern->texts);
    free(pattern->names);
    free(pattern->spans);
    free(pattern->bytes);
    matcher_close(pattern->item);
}

void matcher_close(scp_matcher *matcher)
{
    if (matcher == NULL)
        return;
    for (size_t i = 0; i < matcher->npatterns; i++)
        pattern_free(&matcher->patterns[i]);
    free(matcher->patterns);
    free(matcher);
}

static uint32_t count_values(const dcb_element *key)
{
    uint32_t count = 0;
    value_cursor cursor = value_cursor_start(key, key->vr);
    for (value_text value; value_cursor_next(&cursor, &value);)
        count++;
    return count;
}

static matcher_status add_value(match_pattern *pattern, value_text value)
{
    const uint32_t i = pattern->nvalues;
    if (pattern->spans != NULL) {
        if (!temporal_read_key(&pattern->spans[i], value, pattern->vr))
            return MATCHER_BAD_KEY;
    } else if (pattern->names != NULL) {
        pattern->names[i] = name_pattern_create(value);
        if (pattern->names[i] == NULL)
            return MATCHER_NO_MEMORY;
    } else {
        pattern->texts[i] = strndup(value.text, value.nbytes);
        if (pattern->texts[i] == NULL)
            return MATCHER_NO_MEMORY;
    }
    pattern->nvalues++;
    return MATCHER_OK;
}

static matcher_status read_values(match_pattern *pattern, const dcb_element *key)
{
    const uint32_t count = count_values(key);
    void *values = NULL;
    if (vr_is_temporal(key->vr))
        values = pattern->spans = calloc(count, sizeof *pattern->spans);
    else if (key->vr == DCB_VR('P', 'N'))
        values = pattern->names = calloc(count, sizeof *pattern->names);
    else
        values = pattern->texts = calloc(count, sizeof *pattern->texts);
    if (values == NULL)
        return MATCHER_NO_MEMORY;
    matcher_status status = MATCHER_OK;
    value_cursor cursor = value_cursor_start(key, key->vr);
    for (value_text value; status == MATCHER_OK && value_cursor_next(&cursor, &value);) {
        if (value.nbytes > 0)
            status = add_value(pattern, value);
    }
    return status;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static matcher_status read_key(match_pattern *out, const dcb_element *key, uint32_t *offending)
{
    *out = (match_pattern){.tag = key->tag, .vr = key->vr};
    if (key->nitems > 0)
        return matcher_create(&out->item, key->items[0], offending);
    matcher_status status = MATCHER_OK;
    if (vr_is_string(key->vr)) {
        status = read_values(out, key);
        if (status == MATCHER_OK && key->vr == DCB_VR('U', 'I')) /* may be a list of thousands */
            qsort(out->texts, out->nvalues, sizeof *out->texts, compare_texts);
    } else {
        out->bytes = malloc(key->nbytes);
        out->nbytes = key->nbytes;
        if (out->bytes == NULL)
            return MATCHER_NO_MEMORY;
        memcpy(out->bytes, key->value, key->nbytes);
    }
    if (status == MATCHER_BAD_KEY)
        *offending = key->tag;
    return status;
}

matcher_status matcher_create(scp_matcher **out, const dcb_dataset *keys, uint32_t *offending)
{
    *out = NULL;
    *offending = 0;
    const size_t count = dcb_dataset_count(keys);
    scp_matcher *made = calloc(1, sizeof *made);
    if (made == NULL)
        return MATCHER_NO_MEMORY;
    made->patterns = calloc(count > 0 ? count : 1, sizeof *made->patterns);
    matcher_status status = made->patterns != NULL ? MATCHER_OK : MATCHER_NO_MEMORY;
    for (size_t i = 0; i < count && status == MATCHER_OK; i++) {
        const dcb_element *key = dcb_dataset_at(keys, i);
        if (match_key_restricts(key))
            status = read_key(&made->patterns[made->npatterns++], key, offending);
    }
    if (status != MATCHER_OK) {
        matcher_close(made);
        return status;
    }
    *out = made;
    return MATCHER_OK;
}

size_t matcher_count(const scp_matcher *matcher)
{
    return matcher->npatterns;
}

bool matcher_restricts(const scp_matcher *matcher, uint32_t tag)
{
    for (size_t i = 0; i < matcher->npatterns; i++) {
        if (matcher->patterns[i].tag == tag)
            return true;
    }
    return false;
}

/* ---- Matching ---- */

static bool text_matches(const match_pattern *pattern, const char *text, value_text value)
{
    if (match_vr_has_wildcards(pattern->vr))
        return match_wildcards(text, strlen(text), value.text, value.nbytes);
    if (strlen(text) == value.nbytes && memcmp(text, value.text, value.nbytes) == 0)
        return true;
    return (pattern->vr == DCB_VR('I', 'S') || pattern->vr == DCB_VR('D', 'S')) &&
           match_same_number(text, strlen(text), value.text, value.nbytes);
}

static bool uid_matches(const match_pattern *pattern, value_text value)
{
    char uid[72];
    if (value.nbytes >= sizeof uid)
        return false;
    memcpy(uid, value.text, value.nbytes);
    uid[value.nbytes] = '\0';
    const char *key = uid;
    return bsearch(&key, pattern->texts, pattern->nvalues, sizeof *pattern->texts, compare_texts) !=
           NULL;
}

static int value_matches(const match_pattern *pattern, value_text value)
{
    if (value.nbytes == 0)
        return 0;
    if (pattern->spans != NULL) {
        time_span span;
        if (!temporal_read(&span, value, pattern->vr))
            return 0;
        for (uint32_t i = 0; i < pattern->nvalues; i++) {
            if (temporal_in(&span, &pattern->spans[i]))
                return 1;
        }
        return 0;
    }
    if (pattern->names != NULL)
        return name_patterns_match(pattern->names, pattern->nvalues, value);
    if (pattern->vr == DCB_VR('U', 'I'))
        return uid_matches(pattern, value);
    for (uint32_t i = 0; i < pattern->nvalues; i++) {
        if (text_matches(pattern, pattern->texts[i], value))
            return 1;
    }
    return 0;
}

/* How many bytes a value of a binary VR has; 0: the element is one value. */
static uint32_t binary_unit(dcb_vr vr)
{
    switch (vr) {
    case DCB_VR('U', 'S'):
    case DCB_VR('S', 'S'):
        return 2;
    case DCB_VR('U', 'L'):
    case DCB_VR('S', 'L'):
    case DCB_VR('F', 'L'):
    case DCB_VR('A', 'T'):
        return 4;
    case DCB_VR('F', 'D'):
    case DCB_VR('U', 'V'):
    case DCB_VR('S', 'V'):
        return 8;
    default:
        return 0;
    }
}

static bool bytes_match(const match_pattern *pattern, const dcb_element *element)
{
    if (element->value == NULL)
        return false;
    const uint32_t unit = binary_unit(pattern->vr);
    if (unit == 0)
        return pattern->nbytes == element->nbytes &&
               memcmp(pattern->bytes, element->value, element->nbytes) == 0;
    for (uint32_t i = 0; i + unit <= pattern->nbytes; i += unit) {
        for (uint32_t k = 0; k + unit <= element->nbytes; k += unit) {
            if (memcmp(pattern->bytes + i, element->value + k, unit) == 0)
                return true;
        }
    }
    return false;
}

static int pattern_matches(const match_pattern *pattern, const dcb_dataset *record)
{
    const dcb_element *element = dcb_dataset_find(record, pattern->tag);
    if (element == NULL)
        return 0;
    if (pattern->item != NULL) { /* any item (C.2.2.2.6) */
        int result = 0;
        for (uint32_t i = 0; i < element->nitems && result == 0; i++)
            result = matcher_matches(pattern->item, element->items[i]);
        return result;
    }
    if (pattern->bytes != NULL)
        return bytes_match(pattern, element);
    int result = 0;
    value_cursor cursor = value_cursor_start(element, pattern->vr);
    for (value_text value; result == 0 && value_cursor_next(&cursor, &value);)
        result = value_matches(pattern, value);
    return result;
}

int matcher_matches(const scp_matcher *matcher, const dcb_dataset *record)
{
    int result = 1;
    for (size_t i = 0; i < matcher->npatterns && result == 1; i++)
        result = pattern_matches(&matcher->patterns[i], record);
    return result;
}
