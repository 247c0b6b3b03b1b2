/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffers.c - large blocks of memory, kept for reuse by size.
 *
 * The one invariant: blocks of one size class are of one size, told by the size that is asked for
 * alone, so that nothing has to be written down beside a block that is in use.
 *
 * A new block of 256 KiB or more has all its pages at once (MAP_POPULATE): a fault for each 4 KiB
 * costs a third more.
 *
 * Under AddressSanitizer every block comes from malloc and goes there, so that it sees who uses one
 * that was given back.
 */
#include "buffers.h"
#include "lock.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define KEEP_BLOCKS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP_BLOCKS 0
#endif
#endif
#ifndef KEEP_BLOCKS
#define KEEP_BLOCKS 1
#endif

#define SMALLEST ((size_t)64 << 10) /* below, malloc has it at hand */
#define LARGEST  (DCB_BUFFERS_KEPT_NBYTES / 4)
#define STEPS    16u /* sizes for each doubling: at most a sixteenth of a block is not used */
#define CLASSES  (6 * STEPS + 1) /* from SMALLEST to LARGEST */
_Static_assert(SMALLEST << 6 == LARGEST, "six doublings");

typedef struct block {
    struct block *next;
    int class; /* of one that is kept */
} block;

static struct {
    dcb__mutex lock;
    size_t kept_nbytes;
    block *kept[CLASSES];
} pool = {.lock = DCB_MUTEX_INIT(DCB_LOCK_BUFFERS)};

/* The class of a size, and the size of its blocks; -1: blocks of this size are not kept. */
static int class_of(size_t nbytes, size_t *block_nbytes)
{
    size_t doubled = SMALLEST;
    unsigned first = 0;
    *block_nbytes = nbytes;
    if (!KEEP_BLOCKS || nbytes < SMALLEST || nbytes > LARGEST)
        return -1;
    for (; nbytes > 2 * doubled; doubled *= 2)
        first += STEPS;
    const size_t step = doubled / STEPS, steps = (nbytes - doubled + step - 1) / step;
    *block_nbytes = doubled + steps * step;
    return (int)(first + steps);
}

static size_t class_nbytes(int class)
{
    const size_t doubled = SMALLEST << ((unsigned)class / STEPS);
    return doubled + (unsigned)class % STEPS * (doubled / STEPS);
}

size_t dcb__buffer_size(size_t nbytes)
{
    size_t block_nbytes;
    class_of(nbytes, &block_nbytes);
    return block_nbytes;
}

/* A mapping of its own for each, not for so small ones that a large cache could reach the limit
   that the system sets for their number. */
static bool is_mapped(int class)
{
    return class >= (int)(2 * STEPS);
}

static void *make_block(int class, size_t nbytes)
{
    if (!is_mapped(class))
        return malloc(nbytes);
    void *made = mmap(NULL, nbytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return made != MAP_FAILED ? made : NULL;
}

static void drop_block(int class, void *dropped, size_t nbytes)
{
    if (!is_mapped(class))
        free(dropped);
    else if (dropped != NULL)
        munmap(dropped, nbytes);
}

void *dcb__buffer_take(size_t nbytes)
{
    size_t block_nbytes;
    const int class = class_of(nbytes, &block_nbytes);
    block *kept = NULL;
    if (class >= 0) {
        dcb__mutex_lock(&pool.lock);
        kept = pool.kept[class];
        if (kept != NULL) {
            pool.kept[class] = kept->next;
            pool.kept_nbytes -= block_nbytes;
        }
        dcb__mutex_unlock(&pool.lock);
    }
    return kept != NULL ? kept : make_block(class, block_nbytes);
}

/* Room for nbytes, at the cost of other classes: they may be of sizes that nobody asks for now.
   Returns what is to be freed; the lock is held. */
static block *make_room(int class, size_t nbytes)
{
    block *out = NULL;
    for (int i = 0; i < (int)CLASSES && pool.kept_nbytes + nbytes > DCB_BUFFERS_KEPT_NBYTES; i++) {
        while (i != class && pool.kept[i] != NULL &&
               pool.kept_nbytes + nbytes > DCB_BUFFERS_KEPT_NBYTES) {
            block *dropped = pool.kept[i];
            pool.kept[i] = dropped->next;
            pool.kept_nbytes -= class_nbytes(i);
            dropped->next = out;
            out = dropped;
        }
    }
    return out;
}

void dcb__buffer_give(void *buffer, size_t nbytes)
{
    size_t block_nbytes;
    const int class = class_of(nbytes, &block_nbytes);
    block *dropped = NULL;
    if (buffer != NULL && class >= 0) {
        dcb__mutex_lock(&pool.lock);
        dropped = make_room(class, block_nbytes);
        if (pool.kept_nbytes + block_nbytes <= DCB_BUFFERS_KEPT_NBYTES) {
            block *kept = buffer;
            kept->next = pool.kept[class];
            kept->class = class;
            pool.kept[class] = kept;
            pool.kept_nbytes += block_nbytes;
            buffer = NULL;
        }
        dcb__mutex_unlock(&pool.lock);
    }
    drop_block(class, buffer, block_nbytes);
    while (dropped != NULL) {
        block *next = dropped->next;
        drop_block(dropped->class, dropped, class_nbytes(dropped->class));
        dropped = next;
    }
}
