/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_yaml.h - a configuration file as keys and values with their lines: a YAML mapping of names
 * to scalars or to lists of scalars, nothing deeper.
 *
 * Threads: any; no state between calls.
 */
#ifndef CONFIG_YAML_H
#define CONFIG_YAML_H

#include "scp_error.h"

#include <stdbool.h>

typedef struct config_entry {
    const char *name;
    const char *value; /* UTF-8; for a list, one item of it */
    bool in_list;
    unsigned item; /* 0 for a scalar and for a list's first item */
} config_entry;

/* Called for every value in the file's order. On failure the error tells what is wrong with the
   value; file and line are put before it. */
typedef int (*config_on_entry)(void *context, const config_entry *entry, scp_error *error);

/* An empty list gives no call. */
int config_yaml_read(const char *path, config_on_entry on_entry, void *context, scp_error *error);

#endif
