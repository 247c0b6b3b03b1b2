/* SPDX-License-Identifier: Apache-2.0 */
/* fail_io.c - the wrapped calls (see fail_io.h); the linker's --wrap calls them. With
   _FILE_OFFSET_BITS=64 two of them go by other names. */
#include "fail_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_uint calls, fails_at;
static atomic_int fails_kind;
static atomic_bool has_failed, exits;

static void begin(fail_io_kind kind, unsigned n, bool exit_there)
{
    atomic_store(&has_failed, false);
    atomic_store(&calls, 0);
    atomic_store(&fails_kind, (int)kind);
    atomic_store(&exits, exit_there);
    atomic_store(&fails_at, n);
}

void fail_io_at(fail_io_kind kind, unsigned n)
{
    begin(kind, n, false);
}

void fail_io_exit_at(unsigned n)
{
    begin(FAIL_IO_ANY, n, true);
}

bool fail_io_end(void)
{
    atomic_store(&fails_at, 0);
    return atomic_load(&has_failed);
}

static bool fails_now(fail_io_kind kind)
{
    unsigned at = atomic_load(&fails_at);
    int wanted = atomic_load(&fails_kind);
    if (at == 0 || (wanted != FAIL_IO_ANY && wanted != (int)kind))
        return false;
    if (atomic_fetch_add(&calls, 1) + 1 < at)
        return false;
    atomic_store(&has_failed, true);
    return true;
}

static void end_if_wanted(void)
{
    if (atomic_load(&exits))
        _exit(42);
}

int __real_openat64(int folder, const char *path, int flags, ...);
ssize_t __real_pwrite64(int fd, const void *bytes, size_t nbytes, off_t offset);
int __real_fsync(int fd);
int __real_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __wrap_openat64(int folder, const char *path, int flags, ...);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t nbytes, off_t offset);
int __wrap_fsync(int fd);
int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to);

int __wrap_openat64(int folder, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t); /* nobody calls it without, in this program */
    va_end(arguments);
    if (fails_now(FAIL_IO_OPENAT)) {
        end_if_wanted();
        errno = ENOSPC;
        return -1;
    }
    return __real_openat64(folder, path, flags, mode);
}

ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t nbytes, off_t offset)
{
    if (fails_now(FAIL_IO_PWRITE)) {
        if (atomic_load(&fails_at) % 2 == 0 && nbytes > 1) { /* a disk fills up in the middle */
            ssize_t half = __real_pwrite64(fd, bytes, nbytes / 2, offset);
            end_if_wanted();
            if (half > 0 && atomic_load(&calls) == atomic_load(&fails_at))
                return half;
        }
        end_if_wanted();
        errno = ENOSPC;
        return -1;
    }
    return __real_pwrite64(fd, bytes, nbytes, offset);
}

int __wrap_fsync(int fd)
{
    if (fails_now(FAIL_IO_FSYNC)) {
        end_if_wanted();
        errno = EIO;
        return -1;
    }
    return __real_fsync(fd);
}

int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    if (fails_now(FAIL_IO_RENAMEAT)) {
        end_if_wanted();
        errno = EIO;
        return -1;
    }
    return __real_renameat(from_folder, from, to_folder, to);
}
