/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail_disk.h - makes the n-th call that writes to a disk fail, in a test that is linked with the
 * wraps (tests/unit/CMakeLists.txt): write, pwrite, pwritev, fsync, fdatasync, syncfs, rename,
 * renameat, link. Or ends the process there, as a crash would: at these and at futimens, mkdir,
 * unlink and unlinkat.
 *
 * Threads: counting is atomic. With FAIL_DISK_OWN_CALL the failing call is the same in each run;
 * otherwise it may be another thread's, as chance has it.
 */
#ifndef FAIL_DISK_H
#define FAIL_DISK_H

#include <stdbool.h>

typedef enum fail_disk_reach {
    FAIL_DISK_OWN_CALL, /* calls of the thread that asks are counted, one fails */
    FAIL_DISK_ANY_CALL, /* calls of all threads are counted, one fails */
    FAIL_DISK_FOREVER,  /* calls of all threads are counted, one and all after it fail */
} fail_disk_reach;

/* The n-th of these calls from now on fails with `cause`. */
void fail_disk_at(unsigned n, int cause, fail_disk_reach reach);
/* Ends that; true where one failed. */
bool fail_disk_end(void);

/* The process ends (_exit with DISK_CRASH) in place of the n-th call; returns how many there were
   since the last call of this. 0: never. */
#define DISK_CRASH 77
unsigned fail_disk_crash_at(unsigned n);

#endif
