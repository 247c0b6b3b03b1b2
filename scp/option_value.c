/* SPDX-License-Identifier: Apache-2.0 */
/* option_value.c - values, lists and records by their rows. */
#include "option_value.h"

#include "option_parse.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ITEMS 100000

/* How far down a value lies: "", ", record 2", ", record 2: port". */
typedef struct place {
    const option_source *source;
    const char *option;
    char rest[96];
} place;

static void *at(void *target, size_t offset)
{
    return (char *)target + offset;
}

static int fail_at(const place *where, uint32_t line, const char *what, scp_error *error)
{
    if (where->source->is_file)
        return scp_fail(error, "%s:%u: %s%s: %s", where->source->name, (unsigned)line,
                        where->option, where->rest, what);
    return scp_fail(error, "%s%s: %s", where->source->name, where->rest, what);
}

/* ---- Names ----------------------------------------------------------------------------------- */

const option_row *option_find(const option_row *rows, size_t nrows, const char *name)
{
    for (size_t i = 0; i < nrows; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}

/* Edits (insert, delete, replace) between two names of less than 32 characters. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[33];
    size_t na = strlen(a), nb = strlen(b);
    if (na > 32 || nb > 32)
        return UINT_MAX;
    for (size_t j = 0; j <= nb; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned above = row[j];
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[nb];
}

unsigned option_misspelling(const char *text, const char *name)
{
    const unsigned distance = edit_distance(text, name);
    return distance <= 3 && distance * 2 <= strlen(name) ? distance : UINT_MAX;
}

int option_unknown(const option_row *rows, size_t nrows, const char *where, const char *name,
                   scp_error *error)
{
    const option_row *nearest = NULL;
    unsigned least = UINT_MAX;
    for (size_t i = 0; i < nrows; i++) {
        const unsigned distance = option_misspelling(name, rows[i].name);
        if (distance < least) {
            least = distance;
            nearest = &rows[i];
        }
    }
    if (nearest != NULL)
        return scp_fail(error, "%sunknown option \"%.40s\"; did you mean \"%s\"?", where, name,
                        nearest->name);
    return scp_fail(error, "%sunknown option \"%.40s\"", where, name);
}

/* ---- Records --------------------------------------------------------------------------------- */

static void clear_record(void *record, const option_record *type)
{
    for (size_t i = 0; i < type->nrows; i++)
        option_clear(record, &type->rows[i]);
}

static int set_value(void *target, const option_row *row, const config_value *value, place *where,
                     scp_error *error);

static int unknown_field(const option_record *type, const config_value *field, const place *where,
                         scp_error *error)
{
    char prefix[320];
    scp_error told = SCP_ERROR_INIT;
    fail_at(where, field->name_line, "", &told);
    snprintf(prefix, sizeof prefix, "%s", told.message);
    return option_unknown(type->rows, type->nrows, prefix, field->name, error);
}

static int set_field(void *record, const option_record *type, const config_value *field, bool *seen,
                     const place *where, scp_error *error)
{
    const option_row *row = option_find(type->rows, type->nrows, field->name);
    if (row == NULL)
        return unknown_field(type, field, where, error);
    place below = {where->source, where->option, ""};
    snprintf(below.rest, sizeof below.rest, "%.50s: %.40s", where->rest, row->name);
    if (seen[row - type->rows])
        return fail_at(&below, field->name_line, "given a second time", error);
    seen[row - type->rows] = true;
    if (row->count_offset != 0)
        option_clear(record, row); /* what is given takes the place of the default */
    if (set_value(record, row, field, &below, error) != 0)
        return -1;
    const bool is_empty = row->count_offset != 0 && *(uint32_t *)at(record, row->count_offset) == 0;
    if (is_empty && (row->marks & OPTION_FILLED) != 0)
        return fail_at(&below, field->line, "an empty list; leave it out where any will do", error);
    return 0;
}

#define MOST_FIELDS 32

static int set_record(void *record, const option_record *type, const config_value *value,
                      const place *where, scp_error *error)
{
    bool seen[MOST_FIELDS] = {false};
    if (value->kind != CONFIG_RECORD)
        return fail_at(where, value->line, "expected `name: value` lines or {name: value, ...}",
                       error);
    if (option_set_defaults(record, type->rows, type->nrows, error) != 0)
        return -1;
    for (uint32_t i = 0; i < value->count; i++) {
        const config_value field = config_item(value, i);
        if (set_field(record, type, &field, seen, where, error) != 0)
            return -1;
    }
    for (size_t i = 0; i < type->nrows; i++) {
        char what[64];
        snprintf(what, sizeof what, "%s is missing", type->rows[i].name);
        if ((type->rows[i].marks & OPTION_REQUIRED) != 0 && !seen[i])
            return fail_at(where, value->line, what, error);
    }
    return 0;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static const char *text_at(const void *item)
{
    return *(char *const *)item;
}

/* The last item of a list must not repeat another: the whole of it, or its unique fields. */
static int check_repeats(const option_row *row, char *items, uint32_t n, const place *where,
                         uint32_t line, scp_error *error)
{
    const size_t size = option_size(row);
    const option_row one = {.offset = 0};
    const option_row *keys = option_is_text(row) ? &one : NULL;
    size_t nkeys = keys != NULL;
    if (row->kind == KIND_RECORD) {
        keys = row->record->rows;
        nkeys = row->record->nrows;
    }
    for (size_t k = 0; k < nkeys; k++) {
        if (row->kind == KIND_RECORD && (keys[k].marks & OPTION_UNIQUE) == 0)
            continue;
        const char *last = text_at(items + n * size + keys[k].offset);
        for (uint32_t i = 0; i < n; i++) {
            char what[128];
            if (strcmp(text_at(items + i * size + keys[k].offset), last) != 0)
                continue;
            snprintf(what, sizeof what, "\"%.80s\" is given twice", last);
            return fail_at(where, line, what, error);
        }
    }
    return 0;
}

static int set_item(void *item, const option_row *row, const config_value *value, place *where,
                    scp_error *error)
{
    if (row->kind == KIND_RECORD)
        return set_record(item, row->record, value, where, error);
    scp_error inner = SCP_ERROR_INIT;
    if (value->kind != CONFIG_TEXT)
        return fail_at(where, value->line, "a list may hold plain values only", error);
    if (option_parse_text(item, row, value->text, where->source->base, &inner) != 0)
        return fail_at(where, value->line, inner.message, error);
    return 0;
}

static void drop_item(void *item, const option_row *row)
{
    if (row->kind == KIND_RECORD)
        clear_record(item, row->record);
    else if (option_is_text(row))
        free(*(char **)item);
}

static int add_item(void *target, const option_row *row, const config_value *value, place *where,
                    scp_error *error)
{
    char **items = at(target, row->offset);
    uint32_t *count = at(target, row->count_offset);
    const size_t size = option_size(row);
    if (*count >= MOST_ITEMS)
        return fail_at(where, value->line, "more than 100000 items", error);
    char *grown = realloc(*items, (*count + 1) * size);
    if (grown == NULL)
        return fail_at(where, value->line, "out of memory", error);
    *items = grown;
    memset(grown + *count * size, 0, size);
    if (row->kind == KIND_RECORD)
        snprintf(where->rest, sizeof where->rest, ", record %u", (unsigned)*count + 1);
    if (set_item(grown + *count * size, row, value, where, error) != 0 ||
        check_repeats(row, grown, *count, where, value->line, error) != 0) {
        drop_item(grown + *count * size, row);
        return -1;
    }
    ++*count;
    return 0;
}

static int set_members(void *target, const option_row *row, const config_value *list, place *where,
                       scp_error *error)
{
    for (uint32_t i = 0; i < list->count; i++) {
        const config_value member = config_item(list, i);
        if (set_item(at(target, row->offset), row, &member, where, error) != 0)
            return -1;
    }
    return 0;
}

static int set_value(void *target, const option_row *row, const config_value *value, place *where,
                     scp_error *error)
{
    scp_error inner = SCP_ERROR_INIT;
    if (row->kind == KIND_SET && value->kind == CONFIG_LIST)
        return set_members(target, row, value, where, error);
    if (row->count_offset != 0) {
        if (value->kind != CONFIG_LIST)
            return add_item(target, row, value, where, error);
        for (uint32_t i = 0; i < value->count; i++) {
            const config_value item = config_item(value, i);
            if (add_item(target, row, &item, where, error) != 0)
                return -1;
        }
        return 0;
    }
    if (value->kind != CONFIG_TEXT)
        return fail_at(where, value->line, "expected one value, not a list or a record", error);
    char **text = at(target, row->offset), *fresh = NULL;
    void *out = option_is_text(row) ? &fresh : at(target, row->offset);
    if (option_parse_text(out, row, value->text, where->source->base, &inner) != 0)
        return fail_at(where, value->line, inner.message, error);
    if (option_is_text(row)) {
        free(*text);
        *text = fresh;
    }
    return 0;
}

/* ---- For options.c --------------------------------------------------------------------------- */

int option_set(void *target, const option_row *row, const config_value *value,
               const option_source *source, scp_error *error)
{
    place where = {source, row->name, ""};
    return set_value(target, row, value, &where, error);
}

int option_set_defaults(void *target, const option_row *rows, size_t nrows, scp_error *error)
{
    const option_source source = {"a default", false, "/"};
    for (size_t i = 0; i < nrows; i++) {
        const config_value value = {.kind = CONFIG_TEXT, .text = rows[i].default_text};
        if (value.text != NULL && option_set(target, &rows[i], &value, &source, error) != 0)
            return -1;
    }
    return 0;
}

void option_clear(void *target, const option_row *row)
{
    char **value = at(target, row->offset);
    if (row->count_offset == 0) {
        if (option_is_text(row)) {
            free(*value);
            *value = NULL;
        }
        return;
    }
    uint32_t *count = at(target, row->count_offset);
    for (uint32_t i = 0; i < *count; i++)
        drop_item(*value + i * option_size(row), row);
    free(*value);
    *value = NULL;
    *count = 0;
}
