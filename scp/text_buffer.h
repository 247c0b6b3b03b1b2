/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text_buffer.h - text that grows, and JSON in it.
 *
 * Where memory runs out the buffer fails for good: what follows is dropped, and the maker looks
 * once, at the end. Threads: a buffer is a plain value.
 */
#ifndef TEXT_BUFFER_H
#define TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct text_buffer {
    char *bytes; /* NUL-terminated once anything was put; free with text_free */
    size_t nbytes, capacity;
    bool failed;
} text_buffer;

#define TEXT_BUFFER_INIT                                                                           \
    {                                                                                              \
        NULL, 0, 0, false                                                                          \
    }

void text_put(text_buffer *to, const char *text);
void text_put_bytes(text_buffer *to, const char *bytes, size_t nbytes);
void text_format(text_buffer *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string, quotes included, that may also stand in HTML: always valid UTF-8; control
   characters, quotes and < > & are escaped, what is not UTF-8 becomes U+FFFD. */
void text_put_json(text_buffer *to, const char *text);
void text_free(text_buffer *buffer);

#endif
