/* SPDX-License-Identifier: Apache-2.0 */
/* option_value.h - private to options.c: a row of its table, and how a row's text becomes a value.
 */
#ifndef OPTION_VALUE_H
#define OPTION_VALUE_H

#include "options.h"

typedef enum option_kind {
    KIND_FOLDERS, /* list; relative ones are taken from the file's folder or the working folder */
    KIND_FOLDER,
    KIND_ADDRESS,
    KIND_AE_TITLE,
    KIND_NUMBER,
    KIND_SWITCH,
    KIND_LOG_LEVEL,
    KIND_LOG_FORMAT,
    KIND_DURABILITY,
    KIND_DUPLICATES,
} option_kind;

typedef struct option_row {
    const char *name; /* in the configuration file */
    option_kind kind;
    size_t offset;
    uint32_t least, most;     /* KIND_NUMBER */
    const char *default_text; /* NULL: none */
    const char *flag;         /* on the command line; NULL: only in the file */
    const char *argument;     /* how the usage text calls its value */
    const char *help;
} option_row;

/* Checks the text by the row and stores the value. base: the folder that relative paths are taken
   from. A list grows by one at each call. */
int option_parse(scp_options *options, const option_row *row, const char *text, const char *base,
                 scp_error *error);
void option_drop_archives(scp_options *options);
/* Absolute and without trailing slashes; the folder need not exist. free() the result, which is
   NULL where memory ran out. */
char *option_absolute_path(const char *base, const char *path);

#endif
