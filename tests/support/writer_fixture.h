/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer_fixture.h - series written from sources of one kind, and their frames.
 *
 * Failures end the test program.
 */
#ifndef WRITER_FIXTURE_H
#define WRITER_FIXTURE_H

#include "source_instance.h"

#define NSLICES  5
#define EXPLICIT "1.2.840.10008.1.2.1"

typedef struct writer_fixture {
    char *path, *file; /* a folder of the test's own, and a file that may be made in it */
} writer_fixture;

/* For cmocka, of a group. */
int writer_fixture_setup(void **state);
int writer_fixture_teardown(void **state);

dcb_status writer_fixture_add(dcb_writer *writer, const void *bytes, size_t nbytes,
                              const char *syntax_uid, dcb_error *error);
/* A whole file of so many slices; the summary may be NULL. */
void writer_fixture_write(const char *path, const source_kind *kind, uint32_t nslices,
                          dcb_writer_summary *summary);
dcb_series *writer_fixture_open(const char *path, bool ignore_trailer);
dcb_frame *writer_fixture_frame(dcb_series *series, uint32_t i, dcb_encoding encoding);
/* Is it bit by bit what was taken in? */
bool writer_fixture_holds(dcb_series *series, const source_kind *kind, uint32_t i);

#endif
