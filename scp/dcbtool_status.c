/* SPDX-License-Identifier: Apache-2.0 */
/* dcbtool_status.c - asks a running node how it is. */
#include "dcbtool.h"

#include "http_client.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct status_request {
    const char *url, *token_file, *ca_file;
    bool json, quiet;
} status_request;

static int parse_arguments(status_request *request, int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"token-file", required_argument, NULL, 't'},
                                            {"ca-file", required_argument, NULL, 'a'},
                                            {NULL, 0, NULL, 0}};
    int option;
    opterr = 0;
    *request = (status_request){.url = HTTP_DEFAULT_URL,
                                .token_file = getenv("DCBSCP_HTTP_TOKEN_FILE"),
                                .ca_file = getenv("DCBSCP_TLS_CA_FILE")};
    while ((option = getopt_long(argc, argv, "q", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'j':
            request->json = true;
            break;
        case 'q':
            request->quiet = true;
            break;
        case 't':
            request->token_file = optarg;
            break;
        case 'a':
            request->ca_file = optarg;
            break;
        default:
            return dcbtool_usage_error("status: unknown or incomplete option \"%.40s\"; see "
                                       "dcbtool --help",
                                       argv[optind - 1]);
        }
    }
    if (optind < argc)
        request->url = argv[optind++];
    if (optind < argc)
        return dcbtool_usage_error("status: one URL is wanted; see dcbtool --help");
    return DCBTOOL_OK;
}

int dcbtool_http_failed(const http_endpoint *endpoint, unsigned status, const char *body)
{
    if (status == 401)
        return dcbtool_failed("%s port %s wants a token: --token-file FILE, the node's "
                              "http_token_file",
                              endpoint->host, endpoint->port);
    return dcbtool_failed("%s port %s answers %u: %.*s", endpoint->host, endpoint->port, status,
                          (int)strcspn(body, "\r\n"), body);
}

/* Asks, and prints the answer. */
static int print_answer(const http_endpoint *endpoint, const char *path)
{
    scp_error error = SCP_ERROR_INIT;
    text_buffer body;
    unsigned status = 0;
    if (http_ask(&status, &body, endpoint, "GET", path, &error) != 0)
        return dcbtool_failed("%s", error.message);
    int result = DCBTOOL_OK;
    if (status == 200)
        fwrite(body.bytes, 1, body.nbytes, stdout);
    else
        result = dcbtool_http_failed(endpoint, status, body.bytes);
    text_free(&body);
    return result;
}

int dcbtool_status(int argc, char **argv)
{
    status_request request;
    http_endpoint endpoint;
    scp_error error = SCP_ERROR_INIT;
    text_buffer body;
    unsigned ready = 0;
    int result = parse_arguments(&request, argc, argv);
    if (result != DCBTOOL_OK)
        return result;
    if (http_endpoint_parse(&endpoint, request.url, &error) != 0)
        return dcbtool_usage_error("status: %s", error.message);
    endpoint.ca_file = request.ca_file;
    /* /readyz wants no token. */
    if (!request.quiet && http_endpoint_read_token(&endpoint, request.token_file, &error) != 0)
        return dcbtool_failed("%s", error.message);
    if (http_ask(&ready, &body, &endpoint, "GET", "/readyz", &error) != 0)
        return dcbtool_failed("%s", error.message);
    text_free(&body);
    if (!request.quiet)
        result = print_answer(&endpoint, request.json ? "/status.json" : "/status.txt");
    return ready == 200 ? result : DCBTOOL_FAILED;
}
