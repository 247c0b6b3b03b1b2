/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_service.h - FIND and GET services without an archive, for tests of associations.
 *
 * The identifier is plain text that tells what to do: "n=5 size=8192 step_ms=0 wrong=2":
 * n responses or instances of `size` bytes, step_ms before each, the wrong-th instance offered on a
 * context that cannot carry it. Identifier and instances hold fake_byte(i, at).
 */
#ifndef FAKE_SERVICE_H
#define FAKE_SERVICE_H

#include "service.h"

#include <stdatomic.h>

typedef struct fake_counts {
    atomic_uint started, finished, cancelled, stored;
    atomic_uint statuses[8]; /* of the first sub-operations */
} fake_counts;

extern fake_counts fake;
extern const service fake_find, fake_get;

static inline uint8_t fake_byte(uint32_t i, size_t at)
{
    return (uint8_t)(i * 31 + at * 7 + at / 251);
}

#endif
