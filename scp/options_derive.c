/* SPDX-License-Identifier: Apache-2.0 */
/* options_derive.c - what follows from the settings of all sources together: stores that are
   served, state folders, and AE titles that get in each other's way. */
#include "option_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_within(const char *path, const char *folder)
{
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/' || n == 1);
}

/* What is taken in is served: the store is an archive, where it is not within one. */
static int add_store(char ***archives, uint32_t *narchives, const char *store, scp_error *error)
{
    if (store == NULL)
        return 0;
    for (uint32_t i = 0; i < *narchives; i++) {
        if (is_within(store, (*archives)[i]))
            return 0;
    }
    char *path = strdup(store);
    char **grown = realloc(*archives, (*narchives + 1) * sizeof **archives);
    if (grown != NULL)
        *archives = grown;
    if (grown == NULL || path == NULL) {
        free(path);
        return scp_fail(error, "out of memory");
    }
    grown[(*narchives)++] = path;
    return 0;
}

/* Of an AE title a file name, the same for no other: letters, digits and '_' stand for themselves.
 */
static void file_name(char *out, size_t size, const char *ae_title)
{
    size_t n = 0;
    for (const char *at = ae_title; *at != '\0' && n + 4 < size; at++) {
        const char c = *at;
        const bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        n += (size_t)snprintf(out + n, size - n, plain ? "%c" : "%%%02X", (unsigned char)c);
    }
}

static int derive_title(scp_title *title, const scp_options *options, scp_error *error)
{
    char name[3 * 16 + 8] = "";
    if (add_store(&title->archives, &title->narchives, title->store, error) != 0)
        return -1;
    if (title->narchives == 0)
        return scp_fail(error, "titles: %s has neither archives nor a store", title->ae_title);
    if (strcmp(title->ae_title, options->ae_title) == 0)
        return scp_fail(error, "titles: %s is the node's own ae_title", title->ae_title);
    if (title->state_dir != NULL)
        return 0;
    file_name(name, sizeof name, title->ae_title);
    return asprintf(&title->state_dir, "%s/title-%s", options->state_dir, name) >= 0
               ? 0
               : scp_fail(error, "out of memory");
}

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* A store's journal and an index have one owner. */
static int check_apart(const scp_title *title, const char *other_title, const char *store,
                       const char *state_dir, scp_error *error)
{
    if (same(title->store, store))
        return scp_fail(error, "titles: %s and %s have the same store, %s", other_title,
                        title->ae_title, store);
    if (same(title->state_dir, state_dir))
        return scp_fail(error, "titles: %s and %s have the same state_dir, %s", other_title,
                        title->ae_title, state_dir);
    return 0;
}

static int derive_titles(scp_options *options, scp_error *error)
{
    for (uint32_t i = 0; i < options->ntitles; i++) {
        scp_title *title = &options->titles[i];
        if (derive_title(title, options, error) != 0 ||
            check_apart(title, options->ae_title, options->store, options->state_dir, error) != 0)
            return -1;
        for (uint32_t k = 0; k < i; k++) {
            const scp_title *other = &options->titles[k];
            if (check_apart(title, other->ae_title, other->store, other->state_dir, error) != 0)
                return -1;
        }
    }
    return 0;
}

int options_derive(scp_options *options, scp_error *error)
{
    if (add_store(&options->archives, &options->narchives, options->store, error) != 0)
        return -1;
    if (options->narchives == 0)
        return scp_fail(error, "no archive given: name a folder of .dcbs files with --archive DIR, "
                               "in DCBSCP_ARCHIVES, or with `archives:` in the configuration file "
                               "(-c FILE)");
    if (options->state_dir == NULL)
        options->state_dir = option_absolute_path(options->archives[0], ".dcbscp");
    if (options->state_dir == NULL)
        return scp_fail(error, "out of memory");
    return derive_titles(options, error);
}
