/* SPDX-License-Identifier: Apache-2.0 */
/* option_parse.h - private to option_value.c: one text to a value of a row's kind. */
#ifndef OPTION_PARSE_H
#define OPTION_PARSE_H

#include "option_value.h"

/* Bytes of one value (a list: of an item), and whether it is a char * that free() frees. */
size_t option_size(const option_row *row);
bool option_is_text(const option_row *row);

/* Into *out, which has option_size bytes and owns nothing before. The error tells what was
   expected. Not for KIND_RECORD. */
int option_parse_text(void *out, const option_row *row, const char *text, const char *base,
                      scp_error *error);

#define OPTION_TEXT_MAX 128

/* What option_parse_text would take for this value, which is no text (option_is_text). In buffer,
   or constant. */
const char *option_text(char buffer[OPTION_TEXT_MAX], const option_row *row, const void *value);

#endif
