/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail_disk.h - makes the n-th call that writes to a disk fail, in a test that is linked with the
 * wraps (tests/unit/CMakeLists.txt): write, pwrite, pwritev, fsync, fdatasync, syncfs, rename.
 *
 * Threads: counting is atomic; which thread's call fails may differ from run to run.
 */
#ifndef FAIL_DISK_H
#define FAIL_DISK_H

#include <stdbool.h>

/* The n-th of these calls from now on fails with `cause`, once; `forever`: that and all after it.
 */
void fail_disk_at(unsigned n, int cause, bool forever);
/* Ends that; true where one failed. */
bool fail_disk_end(void);

#endif
