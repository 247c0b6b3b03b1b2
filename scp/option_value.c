/* SPDX-License-Identifier: Apache-2.0 */
/* option_value.c - a setting's text to its value, with what was expected where it is not that. */
#include "option_value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *member(scp_options *options, const option_row *row)
{
    return (char *)options + row->offset;
}

static int replace_text(char **text, char *with, scp_error *error)
{
    if (with == NULL)
        return scp_fail(error, "out of memory");
    free(*text);
    *text = with;
    return 0;
}

char *option_absolute_path(const char *base, const char *path)
{
    char *joined = NULL;
    int made = path[0] == '/'
                   ? asprintf(&joined, "%s", path)
                   : asprintf(&joined, "%s/%s", strcmp(base, "/") == 0 ? "" : base, path);
    if (made < 0)
        return NULL;
    size_t n = strlen(joined);
    while (n > 1 && joined[n - 1] == '/')
        joined[--n] = '\0';
    return joined;
}

static int add_archive(scp_options *options, char *path, scp_error *error)
{
    for (uint32_t i = 0; path != NULL && i < options->narchives; i++) {
        if (strcmp(options->archives[i], path) == 0) {
            scp_fail(error, "the archive \"%s\" is given twice", path);
            free(path);
            return -1;
        }
    }
    char **grown = path == NULL ? NULL
                                : realloc(options->archives,
                                          (options->narchives + 1) * sizeof *options->archives);
    if (grown == NULL) {
        free(path);
        return scp_fail(error, "out of memory");
    }
    options->archives = grown;
    options->archives[options->narchives++] = path;
    return 0;
}

static int parse_folder(scp_options *options, const option_row *row, const char *text,
                        const char *base, scp_error *error)
{
    if (text[0] == '\0')
        return scp_fail(error, "expected a folder, not an empty value");
    char *path = option_absolute_path(base, text);
    if (row->kind == KIND_FOLDERS)
        return add_archive(options, path, error);
    return replace_text(member(options, row), path, error);
}

static int parse_number(uint32_t *out, const option_row *row, const char *text, scp_error *error)
{
    char *end = NULL;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    bool digits = text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
    if (!digits || *end != '\0' || errno != 0 || number < row->least || number > row->most)
        return scp_fail(error, "expected a number from %" PRIu32 " to %" PRIu32 ", not \"%.40s\"",
                        row->least, row->most, text);
    *out = (uint32_t)number;
    return 0;
}

static int parse_word(int *out, const char *text, const char *const *words, const char *expected,
                      scp_error *error)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return 0;
        }
    }
    return scp_fail(error, "expected %s, not \"%.40s\"", expected, text);
}

/* PS3.5 6.2, AE: up to 16 characters of the default repertoire, no backslash, not blank. */
static int parse_ae_title(char **out, const char *text, scp_error *error)
{
    size_t begin = strspn(text, " "), end = strlen(text);
    while (end > begin && text[end - 1] == ' ')
        end--;
    bool good = end > begin && end - begin <= 16;
    for (size_t i = begin; good && i < end; i++)
        good = text[i] >= 0x20 && text[i] < 0x7f && text[i] != '\\';
    if (!good)
        return scp_fail(error,
                        "expected 1 to 16 ASCII characters without a backslash, not "
                        "\"%.40s\"",
                        text);
    return replace_text(out, strndup(text + begin, end - begin), error);
}

static int parse_address(char **out, const char *text, scp_error *error)
{
    unsigned char binary[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, text, binary) != 1 && inet_pton(AF_INET6, text, binary) != 1)
        return scp_fail(error,
                        "expected a numeric address such as 127.0.0.1 or ::1, not "
                        "\"%.40s\"",
                        text);
    return replace_text(out, strdup(text), error);
}

int option_parse(scp_options *options, const option_row *row, const char *text, const char *base,
                 scp_error *error)
{
    static const char *const LEVELS[] = {"error", "warn", "info", "debug", NULL};
    static const char *const FORMATS[] = {"text", "json", NULL};
    static const char *const DURABILITIES[] = {"fsync", "async", NULL};
    static const char *const DUPLICATES[] = {"keep-first", "replace", "reject", NULL};
    static const char *const SWITCH[] = {"false", "true", NULL};
    int word = 0;
    switch (row->kind) {
    case KIND_FOLDERS:
    case KIND_FOLDER:
        return parse_folder(options, row, text, base, error);
    case KIND_ADDRESS:
        return parse_address(member(options, row), text, error);
    case KIND_AE_TITLE:
        return parse_ae_title(member(options, row), text, error);
    case KIND_NUMBER:
        return parse_number(member(options, row), row, text, error);
    case KIND_SWITCH:
        if (parse_word(&word, text, SWITCH, "true or false", error) != 0)
            return -1;
        *(bool *)member(options, row) = word == 1;
        return 0;
    case KIND_LOG_LEVEL:
        if (parse_word(&word, text, LEVELS, "error, warn, info or debug", error) != 0)
            return -1;
        *(log_level *)member(options, row) = (log_level)word;
        return 0;
    case KIND_LOG_FORMAT:
        if (parse_word(&word, text, FORMATS, "text or json", error) != 0)
            return -1;
        *(log_format *)member(options, row) = (log_format)word;
        return 0;
    case KIND_DURABILITY:
        if (parse_word(&word, text, DURABILITIES, "fsync or async", error) != 0)
            return -1;
        *(store_durability *)member(options, row) = (store_durability)word;
        return 0;
    case KIND_DUPLICATES:
        if (parse_word(&word, text, DUPLICATES, "keep-first, replace or reject", error) != 0)
            return -1;
        *(store_duplicates *)member(options, row) = (store_duplicates)word;
        return 0;
    }
    return scp_fail(error, "an option of no kind");
}

void option_drop_archives(scp_options *options)
{
    for (uint32_t i = 0; i < options->narchives; i++)
        free(options->archives[i]);
    free(options->archives);
    options->archives = NULL;
    options->narchives = 0;
}
