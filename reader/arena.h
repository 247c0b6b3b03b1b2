/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h - the arena of data sets (dataset.h) for other short-lived trees: many small pieces,
   freed together. */
#ifndef ARENA_H
#define ARENA_H

#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif
#include "dataset.h"
#ifdef __cplusplus
}
#endif

#define DCB_ARENA_FIRST_BLOCK 8192u

static inline void dcb__arena_init(dcb__arena *arena)
{
    arena->blocks = NULL;
    arena->free = NULL;
    arena->left = 0;
    arena->next_block = DCB_ARENA_FIRST_BLOCK;
}

static inline void dcb__arena_free(dcb__arena *arena)
{
    while (arena->blocks != NULL) {
        dcb__arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    dcb__arena_init(arena);
}

#endif
