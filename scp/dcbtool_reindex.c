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

static int ask_node(const char *url, const char *token_file)
{
    http_endpoint endpoint;
    scp_error error = SCP_ERROR_INIT;
    text_buffer body;
    unsigned status = 0;
    if (http_endpoint_parse(&endpoint, url, &error) != 0)
        return dcbtool_usage_error("reindex: %s", error.message);
    if (http_endpoint_read_token(&endpoint, token_file, &error) != 0 ||
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

int dcbtool_reindex(int argc, char **argv)
{
    const char *token_file = getenv("DCBSCP_HTTP_TOKEN_FILE");
    scp_options options;
    options_action action;
    scp_error error = SCP_ERROR_INIT;
    if (argc > 1 && strncmp(argv[1], "http", 4) == 0) {
        const bool has_token = argc == 4 && strcmp(argv[2], "--token-file") == 0;
        if (argc != 2 && !has_token)
            return dcbtool_usage_error(
                "reindex: one URL is wanted, and --token-file FILE where the "
                "node asks for a token");
        return ask_node(argv[1], has_token ? argv[3] : token_file);
    }
    /* The archive and its state are told as to dcbscp. */
    if (options_parse(&options, &action, argc, argv, &error) != 0)
        return dcbtool_usage_error("reindex: %s", error.message);
    int result = action == OPTIONS_RUN ? rebuild(&options)
                                       : dcbtool_usage_error("reindex: -c FILE, --archive DIR, "
                                                             "--state DIR or a URL is wanted");
    options_free(&options);
    return result;
}
