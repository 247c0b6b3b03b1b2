/* SPDX-License-Identifier: Apache-2.0 */
/* text_buffer.c - a growing buffer, and JSON strings by utf8proc's idea of UTF-8. */
#include "text_buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

static bool reserve(text_buffer *to, size_t nbytes)
{
    if (to->failed || nbytes < to->capacity - to->nbytes)
        return !to->failed;
    size_t wanted = to->capacity != 0 ? to->capacity * 2 : 1024;
    while (wanted <= to->nbytes + nbytes)
        wanted *= 2;
    char *grown = realloc(to->bytes, wanted);
    if (grown == NULL) {
        to->failed = true;
        return false;
    }
    to->bytes = grown;
    to->capacity = wanted;
    return true;
}

void text_put_bytes(text_buffer *to, const char *bytes, size_t nbytes)
{
    if (!reserve(to, nbytes))
        return;
    memcpy(to->bytes + to->nbytes, bytes, nbytes);
    to->nbytes += nbytes;
    to->bytes[to->nbytes] = '\0';
}

void text_put(text_buffer *to, const char *text)
{
    text_put_bytes(to, text, strlen(text));
}

void text_format(text_buffer *to, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int n = vsnprintf(NULL, 0, format, arguments);
    if (n >= 0 && reserve(to, (size_t)n)) {
        vsnprintf(to->bytes + to->nbytes, (size_t)n + 1, format, again);
        to->nbytes += (size_t)n;
    } else {
        to->failed = true;
    }
    va_end(again);
    va_end(arguments);
}

void text_put_json(text_buffer *to, const char *text)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t left = (utf8proc_ssize_t)strlen(text);
    text_put_bytes(to, "\"", 1);
    while (left > 0) {
        utf8proc_int32_t code = 0;
        utf8proc_ssize_t n = utf8proc_iterate(at, left, &code);
        if (n <= 0) {
            n = 1;
            text_put(to, "\\ufffd");
        } else if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code == '<' || code == '>' ||
                   code == '&' || code == 0x2028 || code == 0x2029) {
            text_format(to, "\\u%04x", (unsigned)code);
        } else if (code == '"' || code == '\\') {
            text_format(to, "\\%c", (int)code);
        } else {
            text_put_bytes(to, (const char *)at, (size_t)n);
        }
        at += n;
        left -= n;
    }
    text_put_bytes(to, "\"", 1);
}

void text_free(text_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (text_buffer)TEXT_BUFFER_INIT;
}
