/* SPDX-License-Identifier: Apache-2.0 */
/* fail_alloc.c - the wrapped allocators (see fail_alloc.h); the linker's --wrap calls them. */
#include "fail_alloc.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint allocations, fails_at;
static atomic_bool has_failed;

void fail_alloc_at(unsigned n)
{
    atomic_store(&has_failed, false);
    atomic_store(&allocations, 0);
    atomic_store(&fails_at, n);
}

bool fail_alloc_end(void)
{
    atomic_store(&fails_at, 0);
    return atomic_load(&has_failed);
}

unsigned fail_alloc_count(void)
{
    return atomic_load(&allocations);
}

static bool fails_now(void)
{
    unsigned n = atomic_fetch_add(&allocations, 1) + 1;
    if (n != atomic_load(&fails_at))
        return false;
    atomic_store(&has_failed, true);
    errno = ENOMEM;
    return true;
}

void *__real_malloc(size_t nbytes);
void *__real_calloc(size_t n, size_t nbytes);
void *__real_realloc(void *old, size_t nbytes);
void *__real_aligned_alloc(size_t alignment, size_t nbytes);
int __real_posix_memalign(void **out, size_t alignment, size_t nbytes);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
void *__wrap_malloc(size_t nbytes);
void *__wrap_calloc(size_t n, size_t nbytes);
void *__wrap_realloc(void *old, size_t nbytes);
void *__wrap_reallocarray(void *old, size_t n, size_t nbytes);
void *__wrap_aligned_alloc(size_t alignment, size_t nbytes);
int __wrap_posix_memalign(void **out, size_t alignment, size_t nbytes);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t nbytes);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);

void *__wrap_malloc(size_t nbytes)
{
    return fails_now() ? NULL : __real_malloc(nbytes);
}

void *__wrap_calloc(size_t n, size_t nbytes)
{
    return fails_now() ? NULL : __real_calloc(n, nbytes);
}

void *__wrap_realloc(void *old, size_t nbytes)
{
    return fails_now() ? NULL : __real_realloc(old, nbytes);
}

void *__wrap_reallocarray(void *old, size_t n, size_t nbytes)
{
    if (nbytes != 0 && n > SIZE_MAX / nbytes) {
        errno = ENOMEM;
        return NULL;
    }
    return fails_now() ? NULL : __real_realloc(old, n * nbytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t nbytes)
{
    return fails_now() ? NULL : __real_aligned_alloc(alignment, nbytes);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t nbytes)
{
    return fails_now() ? ENOMEM : __real_posix_memalign(out, alignment, nbytes);
}

char *__wrap_strndup(const char *text, size_t nbytes)
{
    if (fails_now())
        return NULL;
    size_t length = strnlen(text, nbytes);
    char *copy = __real_malloc(length + 1);
    if (copy != NULL) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, SIZE_MAX);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument)
{
    return fails_now() ? EAGAIN : __real_pthread_create(thread, attributes, run, argument);
}
