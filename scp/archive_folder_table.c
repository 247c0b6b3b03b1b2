/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive_folder_table.c - folders by watch and by identity: two hash tables of the same size.
 *
 * Invariant: a folder is in both chains or in neither; its wd and identity do not change meanwhile.
 * One thread (archive_private.h).
 */
#include "archive_private.h"

#include <stdlib.h>

static folder **wd_bucket(const folder_table *table, int wd)
{
    return &table->by_wd[(uint32_t)wd & table->mask];
}

static folder **identity_bucket(const folder_table *table, ino_t inode)
{
    return &table->by_identity[((uint64_t)inode * 0x9e3779b97f4a7c15u >> 40) & table->mask];
}

static bool grow_table(folder_table *table)
{
    uint32_t nbuckets = table->by_wd == NULL ? 64 : (table->mask + 1) * 4;
    folder_table grown = {.n = table->n, .mask = nbuckets - 1};
    grown.by_wd = calloc(nbuckets, sizeof(folder *));
    grown.by_identity = calloc(nbuckets, sizeof(folder *));
    if (grown.by_wd == NULL || grown.by_identity == NULL) {
        free(grown.by_wd);
        free(grown.by_identity);
        return false;
    }
    for (uint32_t i = 0; table->by_wd != NULL && i <= table->mask; i++) {
        for (folder *f = table->by_wd[i], *next; f != NULL; f = next) {
            next = f->next_by_wd;
            folder **bucket = wd_bucket(&grown, f->wd);
            f->next_by_wd = *bucket;
            *bucket = f;
        }
        for (folder *f = table->by_identity[i], *next; f != NULL; f = next) {
            next = f->next_by_identity;
            folder **bucket = identity_bucket(&grown, f->inode);
            f->next_by_identity = *bucket;
            *bucket = f;
        }
    }
    free(table->by_wd);
    free(table->by_identity);
    *table = grown;
    return true;
}

bool archive__insert_folder(folder_table *table, folder *f)
{
    if ((table->by_wd == NULL || table->n > table->mask * 2) && !grow_table(table) &&
        table->by_wd == NULL)
        return false;
    folder **bucket = wd_bucket(table, f->wd);
    f->next_by_wd = *bucket;
    *bucket = f;
    bucket = identity_bucket(table, f->inode);
    f->next_by_identity = *bucket;
    *bucket = f;
    table->n++;
    return true;
}

void archive__take_out_folder(folder_table *table, folder *f)
{
    folder **link = wd_bucket(table, f->wd);
    while (*link != f)
        link = &(*link)->next_by_wd;
    *link = f->next_by_wd;
    link = identity_bucket(table, f->inode);
    while (*link != f)
        link = &(*link)->next_by_identity;
    *link = f->next_by_identity;
    table->n--;
}

folder *archive__find_by_wd(const folder_table *table, int wd)
{
    folder *f = table->by_wd != NULL ? *wd_bucket(table, wd) : NULL;
    while (f != NULL && f->wd != wd)
        f = f->next_by_wd;
    return f;
}

folder *archive__find_by_identity(const folder_table *table, const struct stat *st)
{
    folder *f = table->by_identity != NULL ? *identity_bucket(table, st->st_ino) : NULL;
    while (f != NULL && (f->inode != st->st_ino || f->device != st->st_dev))
        f = f->next_by_identity;
    return f;
}

void archive__clear_folder_table(folder_table *table)
{
    free(table->by_wd);
    free(table->by_identity);
    *table = (folder_table){0};
}
