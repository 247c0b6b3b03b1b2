/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_yaml.h - a configuration as a tree of texts, lists and records, each with its line.
 *
 * Threads: any; no state between calls.
 */
#ifndef CONFIG_YAML_H
#define CONFIG_YAML_H

#include "scp_error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct config_tree config_tree;

typedef enum config_kind { CONFIG_TEXT, CONFIG_LIST, CONFIG_RECORD } config_kind;

/* Borrowed from its tree. */
typedef struct config_value {
    config_kind kind;
    uint32_t line;    /* in the file, from 1 */
    const char *text; /* CONFIG_TEXT: UTF-8 */
    uint32_t count;   /* CONFIG_LIST, CONFIG_RECORD: how many items */
    const char *name; /* of a record's item; NULL: of none */
    uint32_t name_line;
    const config_tree *tree;
    int node;
} config_value;

/* A file holds one record, or comments alone: then it is an empty one. `name` stands in errors,
   with the line. */
int config_read_file(config_tree **out, const char *path, scp_error *error);
/* Any one value, as of a variable or an argument; it is told as `name`, without a line. */
int config_read_text(config_tree **out, const char *name, const char *text, scp_error *error);
void config_close(config_tree *tree);

config_value config_root(const config_tree *tree);
config_value config_item(const config_value *of, uint32_t i); /* i < of->count */

#endif
