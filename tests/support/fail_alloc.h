/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail_alloc.h - makes the n-th allocation fail. A unit test that includes this
 * (tests/unit/CMakeLists.txt) is linked with malloc, calloc, realloc, reallocarray, aligned_alloc,
 * posix_memalign, strdup, strndup and pthread_create of our code (not of shared libraries) going
 * through here.
 *
 *     for (unsigned n = 1, failed = 1; failed; n++) {
 *         fail_alloc_at(n);
 *         status = thing_open(&thing, &error);
 *         failed = fail_alloc_end();
 *         if (failed) assert_int_equal(status, DCB_ERR_NO_MEMORY) ... else assert_int_equal(...OK);
 *         thing_close(thing);
 *     }
 *
 * Leaks show in an AddressSanitizer build.
 *
 * Threads: counting is atomic, so which thread's allocation fails may differ from run to run.
 */
#ifndef FAIL_ALLOC_H
#define FAIL_ALLOC_H

#include <stdbool.h>

/* The n-th allocation from now on fails, once; the others do not. */
void fail_alloc_at(unsigned n);
/* Ends that; true where one failed. */
bool fail_alloc_end(void);
/* The number of allocations since fail_alloc_at. */
unsigned fail_alloc_count(void);

#endif
