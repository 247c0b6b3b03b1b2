/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_private.h - what the files of the HTTP side share: http_server.c (life, the socket, the way
 * of a request), http_answer.c (what stands where), http_guard.c (who may ask), http_search.c,
 * http_thumbnail.c, http_pages.h (files of the page, made by the build).
 */
#ifndef HTTP_PRIVATE_H
#define HTTP_PRIVATE_H

#include "http_server.h"
#include "http_tls.h"
#include "node_status.h"

#include <stdatomic.h>

/* ---- What is answered ---- */

typedef struct http_reply {
    unsigned status;
    const char *type; /* static */
    text_buffer body;
    const char *fixed; /* in place of body: static bytes */
    size_t fixed_nbytes;
} http_reply;

/* Plain text. */
void http_reply_text(http_reply *reply, unsigned status, const char *text);
/* {"error": text} */
void http_reply_error(http_reply *reply, unsigned status, const char *text);

/* A parameter of the query, a header; NULL where there is none. */
typedef struct http_request {
    void *connection;
    const char *(*parameter)(void *connection, const char *name);
    const char *(*header)(void *connection, const char *name);
} http_request;

/* ---- http_guard.c ---- */

#define HTTP_TOKEN_MAX   256
#define HTTP_TOKEN_LEAST 16

typedef struct http_guard {
    bool required;                  /* whoever asks has to show a token, or a client certificate */
    char token[HTTP_TOKEN_MAX + 1]; /* "": there is none */
} http_guard;

bool http_is_loopback(const char *address);
/* Reads the token's file; fails where the address is reached from elsewhere and there is none. */
int http_guard_open(http_guard *out, const scp_options *options, scp_error *error);
/* Is none required, or the Authorization header's value right (Bearer TOKEN, or Basic with it as
   the password)? Takes the same time wherever it is wrong. */
bool http_guard_admits(const http_guard *guard, const char *authorization);
/* Without a token, the names that a browser may have reached the node by: addresses and localhost.
   Else any page of the web could ask through a name that it has let point to this machine. */
bool http_guard_knows_host(const char *host);

/* ---- http_connections.c ---- */

/* Connections that are open; one more ends the oldest, as does taking too long. */
#define HTTP_CONNECTIONS     48
#define HTTP_CONNECTIONS_MAX 128 /* those included that are ending */

typedef struct http_connections http_connections;

http_connections *http_connections_create(void);
void http_connections_free(http_connections *all);
/* Its place, for the calls below; NULL where it is to be closed at once. */
void *http_connections_begin(http_connections *all, int fd);
/* Its request is answered: the time for the next begins. */
void http_connections_answered(http_connections *all, void *place);
void http_connections_end(http_connections *all, void *place);

/* After all other threads of the process: it is for looking. The thread is the connection's own. */
void http_step_back(void);

/* ---- http_search.c ---- */

void http_studies(http_reply *reply, const scp_node *node, const http_request *request);
void http_series(http_reply *reply, const scp_node *node, const http_request *request);

/* ---- http_thumbnail.c ---- */

typedef struct http_thumbnails http_thumbnails;

http_thumbnails *http_thumbnails_create(void);
void http_thumbnails_free(http_thumbnails *all);
void http_thumbnail(http_reply *reply, http_thumbnails *all, const scp_node *node,
                    const http_request *request);

/* ---- http_server.c ---- */

struct http_server {
    const scp_node *node;
    http_guard guard;
    http_tls *tls; /* NULL: plain */
    node_watch *watch;
    http_connections *connections;
    http_thumbnails *thumbnails;
    _Atomic(scp_archive *) archive; /* NULL: not now */
    struct MHD_Daemon *daemon;
    uint16_t port;
};

/* ---- http_answer.c ---- */

/* For those who may ask. */
void http_answer(http_reply *reply, http_server *server, const char *method, const char *path,
                 const http_request *request);
/* For everyone; why not is for those who may know. */
void http_answer_ready(http_reply *reply, http_server *server, bool admitted);

#endif
