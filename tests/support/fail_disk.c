/* SPDX-License-Identifier: Apache-2.0 */
/* fail_disk.c - the wraps behind fail_disk.h. */
#include "fail_disk.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static atomic_uint calls, failing_call; /* failing_call 0: none */
static atomic_int failure;
static atomic_int reach_now; /* fail_disk_reach */
static atomic_bool failed;
static _Thread_local bool asked; /* this thread asked for failures */

void fail_disk_at(unsigned n, int cause, fail_disk_reach reach)
{
    asked = true;
    atomic_store(&calls, 0);
    atomic_store(&failed, false);
    atomic_store(&failure, cause);
    atomic_store(&reach_now, (int)reach);
    atomic_store(&failing_call, n);
}

bool fail_disk_end(void)
{
    asked = false;
    atomic_store(&failing_call, 0);
    return atomic_load(&failed);
}

static bool fails(void)
{
    const unsigned at = atomic_load(&failing_call);
    const int reach = atomic_load(&reach_now);
    if (at == 0 || (reach == FAIL_DISK_OWN_CALL && !asked))
        return false;
    const unsigned n = atomic_fetch_add(&calls, 1) + 1;
    if (n != at && !(n > at && reach == FAIL_DISK_FOREVER))
        return false;
    atomic_store(&failed, true);
    errno = atomic_load(&failure);
    return true;
}

static atomic_uint steps, crashing_step; /* 0: none */

static void step(void)
{
    const unsigned n = atomic_fetch_add(&steps, 1) + 1;
    if (n == atomic_load(&crashing_step))
        _exit(DISK_CRASH);
}

unsigned fail_disk_crash_at(unsigned n)
{
    atomic_store(&crashing_step, n);
    return atomic_exchange(&steps, 0);
}

#define WRAP(type, name, parameters, arguments)                                                    \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        step();                                                                                    \
        return fails() ? -1 : __real_##name arguments;                                             \
    }
#define WRAP_STEP(type, name, parameters, arguments)                                               \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        step();                                                                                    \
        return __real_##name arguments;                                                            \
    }

WRAP(ssize_t, write, (int fd, const void *bytes, size_t nbytes), (fd, bytes, nbytes))
WRAP(ssize_t, pwrite, (int fd, const void *bytes, size_t nbytes, off_t at), (fd, bytes, nbytes, at))
WRAP(ssize_t, pwrite64, (int fd, const void *bytes, size_t nbytes, off_t at),
     (fd, bytes, nbytes, at))
WRAP(ssize_t, pwritev, (int fd, const struct iovec *parts, int n, off_t at), (fd, parts, n, at))
WRAP(ssize_t, pwritev64, (int fd, const struct iovec *parts, int n, off_t at), (fd, parts, n, at))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, syncfs, (int fd), (fd))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, renameat, (int folder, const char *from, int to_folder, const char *to),
     (folder, from, to_folder, to))
WRAP(int, link, (const char *from, const char *to), (from, to))
WRAP_STEP(int, futimens, (int fd, const struct timespec times[2]), (fd, times))
WRAP_STEP(int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP_STEP(int, unlink, (const char *path), (path))
WRAP_STEP(int, unlinkat, (int folder, const char *path, int flags), (folder, path, flags))
