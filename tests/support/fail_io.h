/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail_io.h - makes the n-th call that changes files fail, or end the process. A unit test that
 * includes this (tests/unit/CMakeLists.txt) is linked with openat, pwrite, fsync and renameat of
 * our code going through here.
 *
 * Threads: counting is atomic.
 */
#ifndef FAIL_IO_H
#define FAIL_IO_H

#include <stdbool.h>

typedef enum fail_io_kind {
    FAIL_IO_OPENAT,
    FAIL_IO_PWRITE, /* ENOSPC; every second one that fails has written half before */
    FAIL_IO_FSYNC,
    FAIL_IO_RENAMEAT,
    FAIL_IO_ANY,
} fail_io_kind;

/* The n-th call of that kind from now on fails, and so do all after it. */
void fail_io_at(fail_io_kind kind, unsigned n);
/* The process ends (_exit) in place of the n-th call of any kind, or half-way through it. */
void fail_io_exit_at(unsigned n);
/* Ends that; true where a call failed. */
bool fail_io_end(void);

#endif
