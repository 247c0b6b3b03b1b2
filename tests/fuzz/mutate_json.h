/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mutate_json.h - one mutation of JSON text that mostly leaves it JSON: a value goes, comes twice,
 * becomes another or is mutated inside. For libFuzzer's custom mutators alone.
 */
#ifndef MUTATE_JSON_H
#define MUTATE_JSON_H

#include <stddef.h>
#include <stdint.h>

/* libFuzzer's own. */
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t nbytes, size_t capacity);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t nbytes, size_t capacity, unsigned seed);

/* Returns the new length, at most capacity; nbytes where nothing could be done. */
size_t mutate_json(uint8_t *bytes, size_t nbytes, size_t capacity, unsigned seed);

#endif
