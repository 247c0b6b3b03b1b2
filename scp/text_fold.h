/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text_fold.h - text as a person's name is compared: without case, accents and typographic variants
 * (PS3.4 C.2.2.2.1 leaves this to the implementation).
 *
 * Two names are the same to a search where their folded forms are the same bytes. A folded form is
 * valid UTF-8, composed, so that one character is one code point wherever Unicode has one: a "?"
 * matches it. Wildcards and delimiters (* ? ^ = \) stay as they are, and none comes into being.
 *
 * Threads: any.
 */
#ifndef TEXT_FOLD_H
#define TEXT_FOLD_H

/* free() the result; NULL only where memory ran out. Bytes that are not UTF-8 become U+FFFD. */
char *text_fold(const char *utf8);

#endif
