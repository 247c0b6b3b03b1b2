/* SPDX-License-Identifier: Apache-2.0 */
/* option_parse.c - a setting's text to its value, with what was expected where it is not that. */
#include "option_parse.h"

#include "network_address.h"
#include "sop_classes.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(log_level) == sizeof(int), "KIND_WORD stores an int");

static int take(char **out, char *text, scp_error *error)
{
    *out = text;
    return text != NULL ? 0 : scp_fail(error, "out of memory");
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

static int parse_path(char **out, const option_row *row, const char *text, const char *base,
                      scp_error *error)
{
    if (text[0] == '\0')
        return scp_fail(error, "expected a %s, not an empty value",
                        row->kind == KIND_FILE ? "file" : "folder");
    return take(out, option_absolute_path(base, text), error);
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

static int parse_port(int32_t *out, const char *text, scp_error *error)
{
    static const option_row any = {.least = 0, .most = UINT16_MAX};
    uint32_t port = 0;
    const bool off = strcmp(text, "off") == 0;
    if (!off && parse_number(&port, &any, text, NULL) != 0)
        return scp_fail(error, "expected off or a number from 0 to 65535, not \"%.40s\"", text);
    *out = off ? -1 : (int32_t)port;
    return 0;
}

static int parse_switch(bool *out, const char *text, scp_error *error)
{
    *out = strcmp(text, "true") == 0;
    if (*out || strcmp(text, "false") == 0)
        return 0;
    return scp_fail(error, "expected true or false, not \"%.40s\"", text);
}

static int parse_word(int *out, const option_row *row, const char *text, scp_error *error)
{
    char expected[160] = "";
    for (int i = 0; row->words[i] != NULL; i++) {
        if (strcmp(row->words[i], text) == 0) {
            *out = i;
            return 0;
        }
        const size_t n = strlen(expected);
        const char *between = i == 0 ? "" : row->words[i + 1] == NULL ? " or " : ", ";
        snprintf(expected + n, sizeof expected - n, "%s%s", between, row->words[i]);
    }
    return scp_fail(error, "expected %s, not \"%.40s\"", expected, text);
}

/* The last two words of a set stand for the whole of it and for nothing. */
static int parse_member(uint32_t *out, const option_row *row, const char *text, scp_error *error)
{
    int word = 0, nwords = 0;
    while (row->words[nwords] != NULL)
        nwords++;
    if (parse_word(&word, row, text, error) != 0)
        return -1;
    const uint32_t all = ((uint32_t)1 << (nwords - 2)) - 1;
    if (word == nwords - 2)
        *out |= all;
    else if (word < nwords - 2)
        *out |= (uint32_t)1 << word;
    return 0;
}

static int parse_plain_text(char **out, const char *text, scp_error *error)
{
    bool good = text[0] != '\0' && strlen(text) < 256;
    for (const char *at = text; good && *at != '\0'; at++)
        good = !iscntrl((unsigned char)*at);
    if (!good)
        return scp_fail(error, "expected 1 to 255 characters without control characters");
    return take(out, strdup(text), error);
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
    return take(out, strndup(text + begin, end - begin), error);
}

static bool is_numeric_address(const char *text)
{
    unsigned char binary[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, text, binary) == 1 || inet_pton(AF_INET6, text, binary) == 1;
}

static int parse_address(char **out, const char *text, scp_error *error)
{
    if (!is_numeric_address(text))
        return scp_fail(error,
                        "expected a numeric address such as 127.0.0.1 or ::1, not "
                        "\"%.40s\"",
                        text);
    return take(out, strdup(text), error);
}

/* A host's name is made of letters, digits, '-' and '.' (RFC 1123); '_' is common in containers. */
static bool is_host_name(const char *text)
{
    bool is_name = text[0] != '\0' && text[0] != '-' && text[0] != '.' && strlen(text) < 254;
    for (const char *at = text; is_name && *at != '\0'; at++)
        is_name = isalnum((unsigned char)*at) || strchr("-._", *at) != NULL;
    return is_name;
}

static int parse_host(char **out, const char *text, scp_error *error)
{
    if (!is_host_name(text) && !is_numeric_address(text))
        return scp_fail(error, "expected a host's name, a numeric address or peer, not \"%.40s\"",
                        text);
    return take(out, strdup(text), error);
}

static int parse_network(char **out, const char *text, scp_error *error)
{
    const bool is_name = strspn(text, "0123456789./") != strlen(text) && strchr(text, ':') == NULL;
    if (is_name ? !is_host_name(text) : network_check(text, error) != 0) {
        if (is_name)
            scp_fail(error,
                     "expected an address, a range such as 10.1.0.0/16, or a host's name, "
                     "not \"%.40s\"",
                     text);
        return -1;
    }
    return take(out, strdup(text), error);
}

static int parse_syntax(char **out, const char *text, scp_error *error)
{
    const char *uid = transfer_syntax_uid(text);
    if (uid == NULL)
        return scp_fail(error,
                        "expected a transfer syntax, by UID or by a name such as "
                        "ExplicitVRLittleEndian or HTJ2KLossless, not \"%.40s\"",
                        text);
    return take(out, strdup(uid), error);
}

size_t option_size(const option_row *row)
{
    switch (row->kind) {
    case KIND_NUMBER:
    case KIND_SET:
        return sizeof(uint32_t);
    case KIND_PORT:
        return sizeof(int32_t);
    case KIND_SWITCH:
        return sizeof(bool);
    case KIND_WORD:
        return sizeof(int);
    case KIND_RECORD:
        return row->record->size;
    case KIND_FOLDER:
    case KIND_FILE:
    case KIND_ADDRESS:
    case KIND_AE_TITLE:
    case KIND_HOST:
    case KIND_SYNTAX:
    case KIND_TEXT:
    case KIND_NETWORK:
        break;
    }
    return sizeof(char *);
}

bool option_is_text(const option_row *row)
{
    return row->kind < KIND_NUMBER;
}

int option_parse_text(void *out, const option_row *row, const char *text, const char *base,
                      scp_error *error)
{
    switch (row->kind) {
    case KIND_FOLDER:
    case KIND_FILE:
        return parse_path(out, row, text, base, error);
    case KIND_ADDRESS:
        return parse_address(out, text, error);
    case KIND_AE_TITLE:
        return parse_ae_title(out, text, error);
    case KIND_HOST:
        return parse_host(out, text, error);
    case KIND_SYNTAX:
        return parse_syntax(out, text, error);
    case KIND_TEXT:
        return parse_plain_text(out, text, error);
    case KIND_NETWORK:
        return parse_network(out, text, error);
    case KIND_NUMBER:
        return parse_number(out, row, text, error);
    case KIND_PORT:
        return parse_port(out, text, error);
    case KIND_SET:
        return parse_member(out, row, text, error);
    case KIND_SWITCH:
        return parse_switch(out, text, error);
    case KIND_WORD:
        return parse_word(out, row, text, error);
    case KIND_RECORD:
        break;
    }
    return scp_fail(error, "expected `name: value` lines, not one value");
}

static const char *set_text(char buffer[OPTION_TEXT_MAX], const option_row *row, uint32_t members)
{
    size_t n = (size_t)snprintf(buffer, OPTION_TEXT_MAX, "[");
    for (int i = 0; row->words[i] != NULL && n < OPTION_TEXT_MAX; i++) {
        if (i < 32 && (members >> i & 1) != 0)
            n += (size_t)snprintf(buffer + n, OPTION_TEXT_MAX - n, "%s%s", n > 1 ? ", " : "",
                                  row->words[i]);
    }
    if (n < OPTION_TEXT_MAX)
        snprintf(buffer + n, OPTION_TEXT_MAX - n, "]");
    return buffer;
}

const char *option_text(char buffer[OPTION_TEXT_MAX], const option_row *row, const void *value)
{
    buffer[0] = '\0';
    if (row->kind == KIND_SWITCH)
        return *(const bool *)value ? "true" : "false";
    if (row->kind == KIND_WORD)
        return row->words[*(const int *)value];
    if (row->kind == KIND_PORT && *(const int32_t *)value < 0)
        return "off";
    if (row->kind == KIND_PORT)
        snprintf(buffer, OPTION_TEXT_MAX, "%" PRId32, *(const int32_t *)value);
    if (row->kind == KIND_SET)
        return set_text(buffer, row, *(const uint32_t *)value);
    if (row->kind == KIND_NUMBER)
        snprintf(buffer, OPTION_TEXT_MAX, "%" PRIu32, *(const uint32_t *)value);
    return buffer;
}
