/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_driver.h - a service run as an association would, without one.
 *
 * An archive in a folder of its own: an index, a pool of open series, the node that holds them.
 */
#ifndef SERVICE_DRIVER_H
#define SERVICE_DRIVER_H

#include "dcb.h"
#include "index_file.h"
#include "node.h"
#include "service.h"

typedef struct test_archive {
    char *folder;
    scp_options options;
    scp_node node;
} test_archive;

/* Failures end the test program, here and below. */
void test_archive_create(test_archive *archive);
void test_archive_remove(test_archive *archive);
/* Copies a file in under a name, and indexes it; returns its path: free(). */
char *test_archive_add(test_archive *archive, const char *source, const char *name);
/* Indexes a file as if it were what `file` says. */
void test_archive_pretend(test_archive *archive, const index_file *file);

/* A presentation context of the peer. */
ul_context test_context(uint8_t id, const char *abstract_syntax, const char *transfer_syntax,
                        bool peer_is_scp);

typedef struct test_run {
    const service *service;
    void *operation;
    service_output output; /* of the last step */
    dimse_command request;
} test_run;

/* Starts a service with the identifier (dataset_text.h) in a syntax. contexts may be NULL; it is
   borrowed until test_run_end. */
void test_run_start(test_run *run, const test_archive *archive, const service *kind,
                    const char *abstract_syntax, const char *transfer_syntax,
                    const char *identifier, ul_request *contexts);
/* The next step that sends something. */
service_step test_run_next(test_run *run);
/* The last output's identifier as text; free(). NULL where there is none. */
char *test_run_identifier(const test_run *run, const char *transfer_syntax);
/* What the service tells the log; free(). */
char *test_run_describe(const test_run *run);
void test_run_end(test_run *run);

#endif
