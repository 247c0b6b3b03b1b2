/* SPDX-License-Identifier: Apache-2.0 */
/* options_print.c - the settings in force as a configuration file, each with its origin. */
#include "options.h"

#include "option_parse.h"
#include "option_table.h"

#include <stdio.h>
#include <string.h>

static const void *in(const void *target, size_t offset)
{
    return (const char *)target + offset;
}

/* Double quotes hold any text in YAML. */
static void print_quoted(FILE *out, const char *text)
{
    putc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < 0x20 || *c == 0x7f)
            fprintf(out, "\\x%02X", *c);
        else
            putc(*c, out);
    }
    putc('"', out);
}

static void print_item(FILE *out, const option_row *row, const void *item)
{
    char text[OPTION_TEXT_MAX];
    if (option_is_text(row))
        print_quoted(out, *(char *const *)item);
    else
        fputs(option_text(text, row, item), out);
}

static void print_list(FILE *out, const option_row *row, const void *target)
{
    const uint32_t count = *(const uint32_t *)in(target, row->count_offset);
    const char *const *items = in(target, row->offset);
    putc('[', out);
    for (uint32_t i = 0; i < count; i++) {
        fputs(i == 0 ? "" : ", ", out);
        print_item(out, row, *items + i * option_size(row));
    }
    putc(']', out);
}

static bool is_unset(const option_row *row, const void *target)
{
    return row->count_offset == 0 && option_is_text(row) &&
           *(char *const *)in(target, row->offset) == NULL;
}

static void print_value(FILE *out, const option_row *row, const void *target)
{
    fprintf(out, "%s: ", row->name);
    if (row->count_offset != 0)
        print_list(out, row, target);
    else
        print_item(out, row, in(target, row->offset));
}

static void print_records(FILE *out, const option_row *row, const void *target)
{
    const uint32_t count = *(const uint32_t *)in(target, row->count_offset);
    const char *const *items = in(target, row->offset);
    const option_record *type = row->record;
    for (uint32_t i = 0; i < count; i++) {
        const char *before = "  - ";
        for (size_t k = 0; k < type->nrows; k++) {
            if (is_unset(&type->rows[k], *items + i * type->size))
                continue;
            fputs(before, out);
            print_value(out, &type->rows[k], *items + i * type->size);
            putc('\n', out);
            before = "    ";
        }
    }
}

void options_print(FILE *out, const scp_options *options)
{
    for (size_t i = 0; i < OPTION_NROWS; i++) {
        const option_row *row = &OPTION_ROWS[i];
        const char *origin = options->origins != NULL && options->origins[i] != NULL
                                 ? options->origins[i]
                                 : "default";
        if (is_unset(row, options)) {
            fprintf(out, "# %s: not set\n", row->name);
        } else if (row->kind != KIND_RECORD) {
            print_value(out, row, options);
            fprintf(out, " # %s\n", origin);
        } else if (*(const uint32_t *)in(options, row->count_offset) == 0) {
            fprintf(out, "%s: [] # %s\n", row->name, origin);
        } else {
            fprintf(out, "%s: # %s\n", row->name, origin);
            print_records(out, row, options);
        }
    }
}
