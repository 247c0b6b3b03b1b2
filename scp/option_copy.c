/* SPDX-License-Identifier: Apache-2.0 */
/* option_copy.c - values compared and copied by their rows. */
#include "option_parse.h"

#include <stdlib.h>
#include <string.h>

static void *at(void *target, size_t offset)
{
    return (char *)target + offset;
}

static const void *in(const void *target, size_t offset)
{
    return (const char *)target + offset;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static bool same_item(const option_row *row, const void *a, const void *b)
{
    if (row->kind == KIND_RECORD) {
        for (size_t i = 0; i < row->record->nrows; i++) {
            if (!option_same(a, b, &row->record->rows[i]))
                return false;
        }
        return true;
    }
    if (!option_is_text(row))
        return memcmp(a, b, option_size(row)) == 0;
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    return x == NULL || y == NULL ? x == y : strcmp(x, y) == 0;
}

bool option_same(const void *a, const void *b, const option_row *row)
{
    if (row->count_offset == 0)
        return same_item(row, in(a, row->offset), in(b, row->offset));
    const uint32_t *na = in(a, row->count_offset), *nb = in(b, row->count_offset);
    const char *const *items_a = in(a, row->offset), *const *items_b = in(b, row->offset);
    bool same = *na == *nb;
    for (uint32_t i = 0; same && i < *na; i++)
        same = same_item(row, *items_a + i * option_size(row), *items_b + i * option_size(row));
    return same;
}

/* ---- Copying --------------------------------------------------------------------------------- */

static int copy_item(void *to, const option_row *row, const void *from)
{
    if (row->kind == KIND_RECORD) {
        for (size_t i = 0; i < row->record->nrows; i++) {
            if (option_copy(to, from, &row->record->rows[i]) != 0)
                return -1;
        }
        return 0;
    }
    const char *text = option_is_text(row) ? *(char *const *)from : NULL;
    if (!option_is_text(row))
        memcpy(to, from, option_size(row));
    else
        *(char **)to = text != NULL ? strdup(text) : NULL;
    return text != NULL && *(char **)to == NULL ? -1 : 0;
}

int option_copy(void *to, const void *from, const option_row *row)
{
    if (row->count_offset == 0)
        return copy_item(at(to, row->offset), row, in(from, row->offset));
    const uint32_t count = *(const uint32_t *)in(from, row->count_offset);
    const char *const *items = in(from, row->offset);
    char **copies = at(to, row->offset);
    uint32_t *ncopies = at(to, row->count_offset);
    *ncopies = 0;
    *copies = count != 0 ? calloc(count, option_size(row)) : NULL;
    if (count != 0 && *copies == NULL)
        return -1;
    *ncopies = count;
    for (uint32_t i = 0; i < count; i++) {
        if (copy_item(*copies + i * option_size(row), row, *items + i * option_size(row)) != 0)
            return -1;
    }
    return 0;
}
