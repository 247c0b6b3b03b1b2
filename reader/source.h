/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.h - where a file's bytes come from: a path, memory, or the caller's callbacks. Reads are
 * positional and complete or failed; the file is never mapped, so that one cut short while it is
 * open gives an error and no SIGBUS.
 *
 * Threads: any, after opening.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include "dcb.h"

typedef struct dcb__source dcb__source;

dcb_status dcb__source_open_path(dcb__source **out, const char *path, dcb_error *error);
dcb_status dcb__source_open_memory(dcb__source **out, const void *bytes, size_t nbytes,
                                   dcb_error *error);
/* callbacks->close is called also where this fails. */
dcb_status dcb__source_open_callbacks(dcb__source **out, const dcb_source_callbacks *callbacks,
                                      dcb_error *error);
void dcb__source_close(dcb__source *source);

/* The hook of dcb_open_options; set before any other thread has the source. */
void dcb__source_set_cancelled(dcb__source *source, bool (*cancelled)(void *context),
                               void *context);
/* DCB_ERR_CANCELLED where the hook says so. Every read asks too, long ones in between. */
dcb_status dcb__source_check_cancelled(const dcb__source *source, dcb_error *error);

uint64_t dcb__source_size(const dcb__source *source);

/* All of [offset, offset + nbytes) or an error: DCB_ERR_FORMAT where it ends past the end,
   DCB_ERR_CHANGED where the file is not the one that was opened any more, DCB_ERR_IO. what names
   the thing that is read ("the metadata"). */
dcb_status dcb__source_read(const dcb__source *source, void *buffer, size_t nbytes, uint64_t offset,
                            const char *what, dcb_error *error);
/* A hint: these bytes will be read soon. Returns at once. */
void dcb__source_will_need(const dcb__source *source, uint64_t offset, uint64_t nbytes);

#endif
