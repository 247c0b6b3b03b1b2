/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffers.h - memory for frames, handed on from one to the next.
 *
 * A block of half a megabyte that malloc gives back to the system and takes again costs a page
 * fault for each 4 KiB: a tenth of the time of decoding a frame into it. So large blocks that are
 * given up are kept for the next who asks, up to a limit for the whole process.
 *
 * Threads: any.
 */
#ifndef BUFFERS_H
#define BUFFERS_H

#include <stddef.h>

/* Bytes that are kept at most, by the whole process. */
#define DCB_BUFFERS_KEPT_NBYTES ((size_t)16 << 20)

/* What a block for nbytes really takes: up to a sixteenth more. */
size_t dcb__buffer_size(size_t nbytes);

/* As malloc: aligned for everything, not cleared, NULL where there is no memory. */
void *dcb__buffer_take(size_t nbytes);

/* NULL is fine. nbytes: as it was asked for, or the size it really has. */
void dcb__buffer_give(void *buffer, size_t nbytes);

#endif
