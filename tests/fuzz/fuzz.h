/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - what the fuzz targets share: a check that crashes, and a cursor over the input.
 *
 * A cursor never reads past the input: what is missing is zero.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes);

#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

typedef struct fuzz_input {
    const uint8_t *bytes;
    size_t nbytes; /* left */
} fuzz_input;

static inline uint8_t fuzz_take_byte(fuzz_input *input)
{
    if (input->nbytes == 0)
        return 0;
    input->nbytes--;
    return *input->bytes++;
}

/* At most nbytes. */
static inline fuzz_input fuzz_take(fuzz_input *input, size_t nbytes)
{
    fuzz_input taken = {input->bytes, nbytes < input->nbytes ? nbytes : input->nbytes};
    input->bytes += taken.nbytes;
    input->nbytes -= taken.nbytes;
    return taken;
}

#endif
