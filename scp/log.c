/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - one event, one line, one write() to standard error.
 *
 * Invariant: a line ends with exactly one newline and holds no other control character, whatever
 * the fields are; what does not fit into LINE_MAX_BYTES is cut and marked, the line stays whole
 * (in JSON: still valid).
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define TAIL_RESERVE   8 /* for what closes a cut line: ..."}\n */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static _Atomic int current_level = LOG_INFO;
static _Atomic int current_format = LOG_TEXT;

typedef struct line {
    char bytes[LINE_MAX_BYTES];
    size_t nbytes;
    bool full;
} line;

void log_configure(log_level level, log_format format)
{
    atomic_store(&current_level, (int)level);
    atomic_store(&current_format, (int)format);
}

bool log_enabled(log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

/* All or nothing: a piece that does not fit fills the line. */
static void put(line *to, const char *bytes, size_t nbytes)
{
    if (to->full || nbytes > sizeof to->bytes - TAIL_RESERVE - to->nbytes) {
        to->full = true;
        return;
    }
    memcpy(to->bytes + to->nbytes, bytes, nbytes);
    to->nbytes += nbytes;
}

static void put_text(line *to, const char *text)
{
    put(to, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void put_format(line *to, const char *format, ...)
{
    char piece[64];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if (n > 0)
        put(to, piece, (size_t)n < sizeof piece ? (size_t)n : sizeof piece - 1);
}

/* How many bytes at s are one well-formed UTF-8 character; 0: none. */
static size_t utf8_length(const unsigned char *s)
{
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xC2 && s[0] < 0xE0 ? 2
               : s[0] >= 0xE0 && s[0] < 0xF0 ? 3
               : s[0] >= 0xF0 && s[0] < 0xF5 ? 4
                                             : 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return n;
}

static void put_quoted(line *to, const char *text)
{
    put(to, "\"", 1);
    if (to->full)
        return;
    for (const unsigned char *s = (const unsigned char *)text; *s != '\0' && !to->full;) {
        size_t n = utf8_length(s);
        if (*s == '"' || *s == '\\')
            put(to, (const char[2]){'\\', (char)*s}, 2);
        else if (*s == '\n')
            put(to, "\\n", 2);
        else if (*s < 0x20 || *s == 0x7F)
            put_format(to, "\\u%04x", *s);
        else if (n == 0)
            put_text(to, "\\ufffd");
        else
            put(to, (const char *)s, n);
        s += n != 0 ? n : 1;
    }
    put(to, "\"", 1);
    if (to->full)
        to->bytes[to->nbytes++] = '"'; /* TAIL_RESERVE holds it */
}

static bool needs_quotes(const char *text)
{
    if (*text == '\0')
        return true;
    for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
        if (*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' || *s >= 0x7F)
            return true;
    }
    return false;
}

static void put_value(line *to, const log_field *field, bool json)
{
    const char *text = field->text != NULL ? field->text : "";
    switch (field->kind) {
    case LOG_FIELD_UINT:
        put_format(to, "%llu", (unsigned long long)field->number);
        break;
    case LOG_FIELD_INT:
        put_format(to, "%lld", (long long)(int64_t)field->number);
        break;
    case LOG_FIELD_MS:
        put_format(to, "%.1f", field->ms);
        break;
    case LOG_FIELD_TEXT:
    default:
        if (json || needs_quotes(text))
            put_quoted(to, text);
        else
            put_text(to, text);
    }
}

void log_time(char out[32], const struct timespec *time)
{
    struct tm utc;
    gmtime_r(&time->tv_sec, &utc);
    const size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + n, 32 - n, ".%03uZ", (unsigned)(time->tv_nsec / 1000000) % 1000);
}

static void format_time(char buffer[32])
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    log_time(buffer, &now);
}

static void put_field(line *to, const log_field *field, bool json)
{
    /* A field that does not fit leaves no half of its name behind. */
    size_t before = to->nbytes;
    if (json)
        put_format(to, ",\"%s\":", field->name);
    else
        put_format(to, " %s=", field->name);
    if (to->full) {
        to->nbytes = before;
        return;
    }
    size_t value = to->nbytes;
    put_value(to, field, json);
    if (to->full && to->nbytes == value)
        to->nbytes = before;
}

void log_event_fields(log_level level, const char *event, const log_field *fields, size_t nfields)
{
    if (!log_enabled(level))
        return;
    bool json = atomic_load_explicit(&current_format, memory_order_relaxed) == LOG_JSON;
    char now[32];
    line to = {.nbytes = 0};
    format_time(now);
    if (json) {
        put_text(&to, "{\"time\":\"");
        put_text(&to, now);
        put_format(&to, "\",\"level\":\"%s\",\"event\":", level_names[level]);
        put_quoted(&to, event);
    } else {
        put_text(&to, now);
        put_format(&to, " %s ", level_names[level]);
        put_text(&to, event);
    }
    for (size_t i = 0; i < nfields && !to.full; i++)
        put_field(&to, &fields[i], json);
    if (to.full && !json) {
        memcpy(to.bytes + to.nbytes, " ...", 4);
        to.nbytes += 4;
    }
    if (json)
        to.bytes[to.nbytes++] = '}';
    to.bytes[to.nbytes++] = '\n';

    /* What cannot be logged cannot be reported either: only an interrupted write is tried again. */
    size_t done = 0;
    while (done < to.nbytes) {
        ssize_t n = write(STDERR_FILENO, to.bytes + done, to.nbytes - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        done += (size_t)n;
    }
}
