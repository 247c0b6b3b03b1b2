/* SPDX-License-Identifier: Apache-2.0 */
/*
 * series_pool.h - series that are open, shared by all associations, the least recently used closed
 * first. A file that was replaced on disk is opened anew; holders of the old one keep it.
 *
 * Threads: any. Two callers who ask for the same unopened file open it once; opening one file never
 * waits for another.
 */
#ifndef SERIES_POOL_H
#define SERIES_POOL_H

#include "../reader/dcb.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct series_pool series_pool;

/* capacity: series kept open while nobody uses them. open_options is copied. */
dcb_status series_pool_create(series_pool **out, uint32_t capacity,
                              const dcb_open_options *open_options, dcb_error *error);
void series_pool_close(series_pool *pool);
/* One reference for the caller: dcb_series_release. */
dcb_status series_pool_get(dcb_series **out, series_pool *pool, const char *path, dcb_error *error);
/* The file at path changed or is gone: forget it. */
void series_pool_forget(series_pool *pool, const char *path);

/* One who can make files that are not there yet, for series_pool_get; his own until he is taken out
   again. He has a path until its file is there, or it is gone for good. */
typedef struct series_maker {
    struct series_maker *next;
    bool (*has)(void *context, const char *path);
    void (*make)(void *context, const char *path); /* if he has it */
    void *context;
} series_maker;

void series_pool_add_maker(series_pool *pool, series_maker *maker);
/* Returns when he is not at work any more. */
void series_pool_remove_maker(series_pool *pool, const series_maker *maker);
/* Asks them all: there may be a file after this. series_pool_get does so by itself. */
void series_pool_make(series_pool *pool, const char *path);
/* Has one of them the path? */
bool series_pool_can_make(series_pool *pool, const char *path);
/* Is there a file, or one who can make it? The answer true may be old when it comes. */
bool series_pool_has(series_pool *pool, const char *path);

#endif
