/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client.h - one request to a node's HTTP port: what dcbtool needs and no more. Plain or TLS;
 * no redirects.
 *
 * Threads: any.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "scp_error.h"
#include "text_buffer.h"

#include <stdint.h>

#define HTTP_DEFAULT_URL "http://127.0.0.1:11180/"

typedef struct http_endpoint {
    char host[256];
    char port[8];
    char token[257]; /* "": none is sent */
    bool tls;
    const char *ca_file; /* whom TLS trusts; NULL: whom the system does */
} http_endpoint;

/* http://HOST[:PORT][/] or https://...; an IPv6 address in brackets. */
int http_endpoint_parse(http_endpoint *out, const char *url, scp_error *error);
/* path NULL: none. */
int http_endpoint_read_token(http_endpoint *out, const char *path, scp_error *error);
/* method "GET" or "POST"; path with its query. Fails where no whole answer comes; any status is an
   answer. body is the caller's to free. */
int http_ask(unsigned *status, text_buffer *body, const http_endpoint *endpoint, const char *method,
             const char *path, scp_error *error);

#endif
