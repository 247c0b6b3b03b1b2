/* SPDX-License-Identifier: Apache-2.0 */
/* bytes.h - little-endian loads and stores, and the one test of ranges that every offset from a
   file meets before it is used. */
#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* True where [offset, offset + length) lies in [0, total): no sum can overflow. */
static inline bool dcb__in_range(uint64_t offset, uint64_t length, uint64_t total)
{
    return offset <= total && length <= total - offset;
}

static inline uint32_t dcb__load16(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8;
}

static inline uint32_t dcb__load32(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

static inline uint64_t dcb__load64(const uint8_t *from)
{
    return (uint64_t)dcb__load32(from) | (uint64_t)dcb__load32(from + 4) << 32;
}

/* The nbytes lowest bytes of value, lowest first. */
static inline void dcb__store(uint8_t *to, uint64_t value, unsigned nbytes)
{
    for (unsigned i = 0; i < nbytes; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

#endif
