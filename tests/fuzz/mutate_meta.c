/* SPDX-License-Identifier: Apache-2.0 */
/* mutate_meta.c - fuzz_meta's input: one byte, then JSON. Three in four mutations know that. */
#include "mutate_json.h"

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t nbytes, size_t capacity, unsigned seed)
{
    if (seed % 4 == 0 || nbytes < 2)
        return LLVMFuzzerMutate(bytes, nbytes, capacity);
    return 1 + mutate_json(bytes + 1, nbytes - 1, capacity - 1, seed / 4);
}
