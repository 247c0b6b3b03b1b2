/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dcbtool_reindex.c - the index made anew from the files: by the node that runs, or here.
 *
 * Here the index is the tool's alone, by the same lock that a node takes; the old one is kept as
 * index.sqlite.old. What lies in a spool is put in by the node's next start.
 */
#include "dcbtool.h"

#include "archive.h"
#include "dictionary.h"
#include "http_client.h"
#include "options.h"
#include "series_pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct node_request {
    const char *url, *token_file, *ca_file;
} node_request;

static int ask_node(const node_request *request)
{
    http_endpoint endpoint;
    scp_error error = SCP_ERROR_INIT;
    text_buffer body;
    unsigned status = 0;
    if (http_endpoint_parse(&endpoint, request->url, &error) != 0)
        return dcbtool_usage_error("reindex: %s", error.message);
    endpoint.ca_file = request->ca_file;
    if (http_endpoint_read_token(&endpoint, request->token_file, &error) != 0 ||
        http_ask(&status, &body, &endpoint, "POST", "/rescan?all=1", &error) != 0)
        return dcbtool_failed("%s", error.message);
    int result = DCBTOOL_OK;
    if (status == 202)
        puts("The node reads all files again; meanwhile it answers from what it knows.");
    else
        result = dcbtool_http_failed(&endpoint, status, body.bytes);
    text_free(&body);
    return result;
}

static int scan(const scp_options *options, scp_index *index, scp_error *error)
{
    series_pool *pool = NULL;
    scp_archive *archive = NULL;
    index_totals totals;
    dcb_error reason = DCB_ERROR_INIT;
    dcb_open_options open = DCB_OPEN_OPTIONS_INIT;
    open.vr_lookup = dictionary_vr;
    if (dictionary_load(error) != 0)
        return -1;
    if (series_pool_create(&pool, 1, &open, &reason) != DCB_OK)
        return scp_fail(error, "%s", reason.message);
    archive_tuning tuning = ARCHIVE_TUNING_INIT;
    tuning.settle_ms = 0; /* nobody waits here for a file to be finished */
    int result = archive_start(&archive, options, index, pool, &tuning, error);
    archive_stop(archive);
    if (result == 0)
        result = index_get_totals(index, &totals, error);
    series_pool_close(pool);
    if (result == 0)
        printf("%" PRIu64 " patients, %" PRIu64 " studies, %" PRIu64 " series, %" PRIu64
               " instances in %" PRIu64 " files; %" PRIu64 " files that cannot be read\n",
               totals.patients, totals.studies, totals.series, totals.instances, totals.files,
               totals.bad_files);
    return result;
}

static int rebuild(const scp_options *options)
{
    scp_index *index = NULL;
    scp_error error = SCP_ERROR_INIT;
    log_configure(LOG_WARN, options->log_format);
    int result = index_open_anew(&index, options->state_dir, &error);
    if (result == 0)
        result = scan(options, index, &error);
    index_close(index);
    if (result == 0)
        return DCBTOOL_OK;
    return dcbtool_failed("%s%s", error.message,
                          strstr(error.message, "in use") != NULL
                              ? "; that node does it itself: dcbtool reindex URL"
                              : "");
}

/* reindex URL [--token-file FILE] [--ca-file FILE] */
static int ask(int argc, char **argv)
{
    node_request request = {argv[1], getenv("DCBSCP_HTTP_TOKEN_FILE"),
                            getenv("DCBSCP_TLS_CA_FILE")};
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--token-file") == 0)
            request.token_file = argv[i + 1];
        else if (i + 1 < argc && strcmp(argv[i], "--ca-file") == 0)
            request.ca_file = argv[i + 1];
        else
            return dcbtool_usage_error("reindex: one URL is wanted; --token-file FILE where the "
                                       "node asks for a token, --ca-file FILE for https");
    }
    return ask_node(&request);
}

int dcbtool_reindex(int argc, char **argv)
{
    scp_options options;
    options_action action;
    scp_error error = SCP_ERROR_INIT;
    if (argc > 1 && strncmp(argv[1], "http", 4) == 0)
        return ask(argc, argv);
    /* The archive and its state are told as to dcbscp. */
    if (options_parse(&options, &action, argc, argv, &error) != 0)
        return dcbtool_usage_error("reindex: %s", error.message);
    int result = action == OPTIONS_RUN ? rebuild(&options)
                                       : dcbtool_usage_error("reindex: -c FILE, --archive DIR, "
                                                             "--state DIR or a URL is wanted");
    options_free(&options);
    return result;
}
