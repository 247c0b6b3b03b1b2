/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.c - positional reads from a path, memory or callbacks.
 *
 * Invariant: size does not change after opening. A path's size and time of change are compared
 * after each read, so that bytes written meanwhile are not taken for the file's.
 */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "dcb_error.h"

/* A long read is done in such pieces, so that it can be cancelled in between. */
#define PIECE (16u << 20)
/* A file that is still changing at each of so many looks is not opened. */
#define MAX_LOOKS 8

typedef enum source_kind { SOURCE_PATH, SOURCE_MEMORY, SOURCE_CALLBACKS } source_kind;

struct dcb__source {
    source_kind kind;
    uint64_t size;
    int descriptor;
    struct timespec modified;
    const uint8_t *memory;
    dcb_source_callbacks callbacks;
    bool (*cancelled)(void *context); /* may be NULL */
    void *cancel_context;
};

static dcb_status new_source(dcb__source **out, source_kind kind, uint64_t size, dcb_error *error)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL)
        return dcb__fail_no_memory(error, sizeof **out);
    (*out)->kind = kind;
    (*out)->size = size;
    (*out)->descriptor = -1;
    return DCB_OK;
}

static dcb_status fail_errno(dcb_error *error, uint64_t offset, const char *what, int number)
{
    char text[96];
    return dcb__fail(error, DCB_ERR_IO, offset, "%s: %s", what,
                     strerror_r(number, text, sizeof text));
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* True for a time of this tick of the kernel's clock, or a little later (another machine's). */
static bool is_fresh(const struct timespec *time)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    double age = (double)(now.tv_sec - time->tv_sec) + 1e-9 * (double)(now.tv_nsec - time->tv_nsec);
    return age <= 0 && age > -1;
}

/* Times of change have the grain of the kernel's tick: of two changes within one, the second would
   not show. So a file that was changed in this very tick is looked at again in the next. (On a file
   system with coarser times, changes within one of its grains stay unseen.) */
static dcb_status stat_settled(int descriptor, struct stat *st, dcb_error *error)
{
    struct timespec before = {0}, grain = {0};
    clock_getres(CLOCK_REALTIME_COARSE, &grain);
    for (int look = 0; look < MAX_LOOKS; look++) {
        if (fstat(descriptor, st) != 0)
            return fail_errno(error, DCB_NO_OFFSET, "the file's size cannot be told", errno);
        if (!S_ISREG(st->st_mode))
            return dcb__fail(error, DCB_ERR_IO, DCB_NO_OFFSET, "not a regular file");
        if (!is_fresh(&st->st_mtim) || (look > 0 && same_time(&st->st_mtim, &before)))
            return DCB_OK;
        before = st->st_mtim;
        nanosleep(&grain, NULL);
    }
    return dcb__fail(error, DCB_ERR_CHANGED, DCB_NO_OFFSET, "the file is being written");
}

dcb_status dcb__source_open_path(dcb__source **out, const char *path, dcb_error *error)
{
    *out = NULL;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
        return fail_errno(error, DCB_NO_OFFSET, "the file cannot be opened", errno);
    struct stat st;
    dcb_status status = stat_settled(descriptor, &st, error);
    if (status == DCB_OK)
        status = new_source(out, SOURCE_PATH, (uint64_t)st.st_size, error);
    if (status != DCB_OK) {
        close(descriptor);
        return status;
    }
    (*out)->descriptor = descriptor;
    (*out)->modified = st.st_mtim;
    return DCB_OK;
}

dcb_status dcb__source_open_memory(dcb__source **out, const void *bytes, size_t nbytes,
                                   dcb_error *error)
{
    dcb_status status = new_source(out, SOURCE_MEMORY, nbytes, error);
    if (status == DCB_OK)
        (*out)->memory = bytes;
    return status;
}

dcb_status dcb__source_open_callbacks(dcb__source **out, const dcb_source_callbacks *callbacks,
                                      dcb_error *error)
{
    dcb_status status = new_source(out, SOURCE_CALLBACKS, callbacks->size, error);
    if (status == DCB_OK)
        (*out)->callbacks = *callbacks;
    else if (callbacks->close != NULL)
        callbacks->close(callbacks->context);
    return status;
}

void dcb__source_close(dcb__source *source)
{
    if (source == NULL)
        return;
    if (source->kind == SOURCE_PATH)
        close(source->descriptor);
    if (source->kind == SOURCE_CALLBACKS && source->callbacks.close != NULL)
        source->callbacks.close(source->callbacks.context);
    free(source);
}

void dcb__source_set_cancelled(dcb__source *source, bool (*cancelled)(void *context), void *context)
{
    source->cancelled = cancelled;
    source->cancel_context = context;
}

dcb_status dcb__source_check_cancelled(const dcb__source *source, dcb_error *error)
{
    if (source->cancelled == NULL || !source->cancelled(source->cancel_context))
        return DCB_OK;
    return dcb__fail(error, DCB_ERR_CANCELLED, DCB_NO_OFFSET, "cancelled by the caller");
}

uint64_t dcb__source_size(const dcb__source *source)
{
    return source->size;
}

static dcb_status check_unchanged(const dcb__source *source, dcb_error *error)
{
    struct stat st;
    if (fstat(source->descriptor, &st) != 0)
        return fail_errno(error, DCB_NO_OFFSET, "the file's size cannot be told", errno);
    if ((uint64_t)st.st_size == source->size && same_time(&st.st_mtim, &source->modified))
        return DCB_OK;
    return dcb__fail(error, DCB_ERR_CHANGED, DCB_NO_OFFSET,
                     "the file was changed in place while it was open: open it again");
}

static dcb_status read_path(const dcb__source *source, uint8_t *buffer, size_t nbytes,
                            uint64_t offset, const char *what, dcb_error *error)
{
    size_t have = 0;
    while (have < nbytes) {
        ssize_t got =
            pread(source->descriptor, buffer + have, nbytes - have, (off_t)(offset + have));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(error, offset + have, what, errno);
        if (got == 0)
            break; /* shorter than it was: check_unchanged says so */
        have += (size_t)got;
    }
    dcb_status status = check_unchanged(source, error);
    if (status == DCB_OK && have < nbytes)
        return dcb__fail(error, DCB_ERR_IO, offset + have, "%s: reading stopped at byte %" PRIu64,
                         what, offset + have);
    return status;
}

static dcb_status read_piece(const dcb__source *source, uint8_t *buffer, size_t nbytes,
                             uint64_t offset, const char *what, dcb_error *error)
{
    int number = 0;
    switch (source->kind) {
    case SOURCE_PATH:
        return read_path(source, buffer, nbytes, offset, what, error);
    case SOURCE_MEMORY:
        memcpy(buffer, source->memory + offset, nbytes);
        break;
    case SOURCE_CALLBACKS:
        number = source->callbacks.read_at(source->callbacks.context, buffer, nbytes, offset);
        break;
    }
    return number == 0 ? DCB_OK : fail_errno(error, offset, what, number);
}

dcb_status dcb__source_read(const dcb__source *source, void *buffer, size_t nbytes, uint64_t offset,
                            const char *what, dcb_error *error)
{
    if (!dcb__in_range(offset, nbytes, source->size))
        return dcb__fail(error, DCB_ERR_FORMAT, offset,
                         "%s: bytes %" PRIu64 " to %" PRIu64 " of a file of %" PRIu64, what, offset,
                         offset + nbytes, source->size);
    dcb_status status = DCB_OK;
    for (size_t at = 0; status == DCB_OK && at < nbytes;) {
        size_t piece = nbytes - at < PIECE ? nbytes - at : PIECE;
        status = dcb__source_check_cancelled(source, error);
        if (status == DCB_OK)
            status = read_piece(source, (uint8_t *)buffer + at, piece, offset + at, what, error);
        at += piece;
    }
    return status;
}

void dcb__source_will_need(const dcb__source *source, uint64_t offset, uint64_t nbytes)
{
    if (source->kind == SOURCE_PATH)
        posix_fadvise(source->descriptor, (off_t)offset, (off_t)nbytes, POSIX_FADV_WILLNEED);
}
