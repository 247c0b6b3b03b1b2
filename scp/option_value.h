/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_value.h - private to options*.c: what a row of the table of settings is, and what can be
 * done with any value by its row: take it from a configuration, copy, free.
 *
 * A value lies in a struct (scp_options, or a record such as scp_destination) at the row's offset.
 * A list is a pointer to its items there and their number (uint32_t) at count_offset; a record's
 * fields are rows again.
 */
#ifndef OPTION_VALUE_H
#define OPTION_VALUE_H

#include "config_yaml.h"
#include "options.h"

typedef enum option_kind {
    KIND_FOLDER, /* char *, made absolute from the file's folder or the working folder */
    KIND_FILE,   /* the same */
    KIND_ADDRESS,
    KIND_AE_TITLE,
    KIND_HOST,    /* char *: a name, a numeric address, or "peer" */
    KIND_SYNTAX,  /* char *: a transfer syntax's UID, given by UID or keyword */
    KIND_TEXT,    /* char *: 1 to 255 characters, none of them a control character */
    KIND_NETWORK, /* char *: an address, a range of them, or a host's name */
    KIND_NUMBER,  /* uint32_t; from here on no kind is a char * */
    KIND_PORT,    /* int32_t: -1 for off */
    KIND_SWITCH,  /* bool */
    KIND_WORD,    /* an enumeration: the word's place in row->words */
    KIND_SET,     /* uint32_t: any number of row->words, a bit each; also "all" and "none" */
    KIND_RECORD,  /* only as a list */
} option_kind;

typedef struct option_row option_row;

typedef struct option_record {
    size_t size;
    const option_row *rows;
    size_t nrows;
} option_record;

struct option_row {
    const char *name; /* in the configuration file */
    option_kind kind;
    size_t offset;
    size_t count_offset;         /* a list; 0: one value */
    uint32_t least, most;        /* KIND_NUMBER */
    const char *const *words;    /* KIND_WORD, KIND_SET; NULL after the last */
    const option_record *record; /* KIND_RECORD */
    const char *default_text;    /* NULL: none, an empty list */
    const char *flag;            /* on the command line; NULL: only in the file */
    const char *argument;        /* how the usage text calls its value */
    unsigned marks;
    const char *help;
};

enum option_marks {
    OPTION_RELOADS = 1,  /* a changed value counts from SIGHUP on; others from the next start */
    OPTION_REQUIRED = 2, /* of a record: it is nothing without */
    OPTION_UNIQUE = 4,   /* of a record: no other in the list has the same */
    OPTION_FILLED = 8,   /* a list that is given must not be empty: it would seem to mean nobody */
};

/* Where a value stands, for errors and relative folders. */
typedef struct option_source {
    const char *name; /* the file's path; else what to call the option: "--port", "DCBSCP_PORT" */
    bool is_file;
    const char *base; /* the folder that relative ones are taken from */
} option_source;

/* Checks the value by the row and stores it in `target`, a struct that has the row; to a list it is
   added, with all its items. On failure the error tells the whole story. */
int option_set(void *target, const option_row *row, const config_value *value,
               const option_source *source, scp_error *error);
int option_set_defaults(void *target, const option_row *rows, size_t nrows, scp_error *error);
/* Frees the value; a list is empty then. */
void option_clear(void *target, const option_row *row);

bool option_same(const void *a, const void *b, const option_row *row);
/* Over what is empty or owned by another; -1 where memory ran out: option_clear frees what came. */
int option_copy(void *to, const void *from, const option_row *row);

/* The row of that name, or NULL. */
const option_row *option_find(const option_row *rows, size_t nrows, const char *name);
/* The error for a name that is none of theirs, after `where` ("FILE:LINE: "). */
int option_unknown(const option_row *rows, size_t nrows, const char *where, const char *name,
                   scp_error *error);
/* How many letters differ: within three, and half of `name` at most, else UINT_MAX. */
unsigned option_misspelling(const char *text, const char *name);

/* Absolute and without trailing slashes; the folder need not exist. free() the result, which is
   NULL where memory ran out. */
char *option_absolute_path(const char *base, const char *path);

#endif
