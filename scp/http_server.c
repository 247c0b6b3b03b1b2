/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server.c - the socket, and the way of a request: guarded, led to what answers it, sent with
 * the headers that keep a browser from doing anything else.
 *
 * Invariant: nothing that came with a request stands in an answer but through text_put_json.
 *
 * Threads: libmicrohttpd has one for each connection, so that none waits for another.
 */
#include "http_private.h"

#include "log.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_MAX_BYTES 16384u
#define IDLE_S           15u
#define STACK_BYTES      (1u << 20)

static const char *find_parameter(void *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static const char *find_header(void *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* ---- Requests ---- */

static enum MHD_Result send_reply(struct MHD_Connection *connection, http_reply *reply,
                                  const char *method)
{
    static const char *const HEADERS[][2] = {
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
         "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cache-Control", "no-store"},
    };
    if (reply->body.failed) {
        text_free(&reply->body);
        reply->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        reply->fixed = "out of memory\n";
        reply->fixed_nbytes = strlen(reply->fixed);
        reply->type = "text/plain";
    }
    struct MHD_Response *response =
        reply->fixed != NULL
            ? MHD_create_response_from_buffer(reply->fixed_nbytes, (void *)(uintptr_t)reply->fixed,
                                              MHD_RESPMEM_PERSISTENT)
            : MHD_create_response_from_buffer(reply->body.nbytes, reply->body.bytes,
                                              MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        text_free(&reply->body);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
    for (size_t i = 0; i < sizeof HEADERS / sizeof HEADERS[0]; i++)
        MHD_add_response_header(response, HEADERS[i][0], HEADERS[i][1]);
    if (reply->status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                                "Basic realm=\"dcbscp: any name, the token as password\"");
    if (reply->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
                                strcmp(method, "POST") == 0 ? "GET, HEAD" : "GET, HEAD, POST");
    enum MHD_Result queued = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return queued;
}

static void log_refused(struct MHD_Connection *connection, const char *reason)
{
    char peer[64] = "";
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info != NULL && info->client_addr != NULL)
        getnameinfo(info->client_addr,
                    info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                             : sizeof(struct sockaddr_in),
                    peer, sizeof peer, NULL, 0, NI_NUMERICHOST);
    log_event(LOG_WARN, "http.refused", LOG_T("peer", peer), LOG_T("reason", reason));
}

static bool has_certificate(const http_server *server, struct MHD_Connection *connection)
{
    if (server->tls == NULL)
        return false;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info != NULL && http_tls_admits(server->tls, info->tls_session);
}

static void guard_and_answer(http_reply *reply, http_server *server,
                             struct MHD_Connection *connection, const char *method,
                             const char *path)
{
    const http_request request = {connection, find_parameter, find_header};
    const char *authorization =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    const char *host =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    const bool admitted =
        http_guard_admits(&server->guard, authorization) || has_certificate(server, connection);
    if (strcmp(path, "/healthz") == 0) {
        http_reply_text(reply, MHD_HTTP_OK, "alive");
    } else if (strcmp(path, "/readyz") == 0) {
        http_answer_ready(reply, server, admitted);
    } else if (!admitted) {
        if (authorization != NULL) /* a browser's first request has none */
            log_refused(connection, "wrong token");
        http_reply_error(reply, MHD_HTTP_UNAUTHORIZED, "a token is wanted: http_token_file");
    } else if (!server->guard.required && host != NULL && !http_guard_knows_host(host)) {
        log_refused(connection, "unknown host name");
        http_reply_error(reply, MHD_HTTP_FORBIDDEN,
                         "without a token the node answers to localhost and to addresses only");
    } else {
        http_answer(reply, server, method, path, &request);
    }
}

/* MHD calls this once for the headers, then for each piece of a body, of which there should be
   none, then once more. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_nbytes, void **seen)
{
    static int mark;
    (void)version;
    (void)upload;
    const bool known =
        strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "POST") == 0;
    http_reply reply = {.status = MHD_HTTP_OK, .type = "application/json"};
    if (*seen == NULL) {
        *seen = &mark;
        const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                                         MHD_HTTP_HEADER_CONTENT_LENGTH);
        const char *coding = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                                         MHD_HTTP_HEADER_TRANSFER_ENCODING);
        if (known && coding == NULL && (length == NULL || strcmp(length, "0") == 0))
            return MHD_YES;
        if (known)
            http_reply_error(&reply, MHD_HTTP_CONTENT_TOO_LARGE, "requests have no body here");
        else
            http_reply_error(&reply, MHD_HTTP_NOT_IMPLEMENTED, "GET, HEAD and POST are known here");
        return send_reply(connection, &reply, method);
    }
    if (*upload_nbytes != 0) {
        *upload_nbytes = 0;
        return MHD_YES;
    }
    guard_and_answer(&reply, context, connection, method, path);
    return send_reply(connection, &reply, method);
}

static int descriptor(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL ? info->connect_fd : -1;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **place,
                          enum MHD_ConnectionNotificationCode what)
{
    http_server *server = context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        *place = http_connections_begin(server->connections, descriptor(connection));
    else
        http_connections_end(server->connections, *place);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **seen,
                         enum MHD_RequestTerminationCode how)
{
    http_server *server = context;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    (void)seen;
    (void)how;
    if (info != NULL)
        http_connections_answered(server->connections, info->socket_context);
}

static void on_trouble(void *context, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void on_trouble(void *context, const char *format, va_list arguments)
{
    char text[200];
    (void)context;
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    log_event(LOG_DEBUG, "http.trouble", LOG_T("reason", text));
}

/* ---- Life ---- */

static int listen_on(uint16_t *port, const scp_options *options, scp_error *error)
{
    const char *address = options->http_bind_address;
    char service[16];
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    snprintf(service, sizeof service, "%d", options->http_port);
    int rc = getaddrinfo(address, service, &hints, &found);
    if (rc != 0)
        return scp_fail(error, "http_bind_address %s: %s", address, gai_strerror(rc));
    const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    bool good = fd >= 0;
    if (good)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    good = good && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 32) == 0 &&
           getsockname(fd, (struct sockaddr *)&bound, &size) == 0;
    rc = errno;
    freeaddrinfo(found);
    if (!good) {
        if (fd >= 0)
            close(fd);
        return scp_fail(error, "cannot listen for HTTP on %s port %d: %s", address,
                        options->http_port, strerror(rc));
    }
    *port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                              : ((struct sockaddr_in *)&bound)->sin_port);
    return fd;
}

static void list_tls(struct MHD_OptionItem list[8], const http_tls *tls)
{
    size_t n = 0;
    const struct {
        enum MHD_OPTION option;
        const char *value;
    } VALUES[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, tls != NULL ? http_tls_certificate(tls) : NULL},
        {MHD_OPTION_HTTPS_MEM_KEY, tls != NULL ? http_tls_key(tls) : NULL},
        {MHD_OPTION_HTTPS_KEY_PASSWORD, tls != NULL ? http_tls_password(tls) : NULL},
        {MHD_OPTION_HTTPS_MEM_TRUST, tls != NULL ? http_tls_authorities(tls) : NULL},
        {MHD_OPTION_HTTPS_PRIORITIES, tls != NULL ? HTTP_TLS_PRIORITIES : NULL},
    };
    for (size_t i = 0; i < sizeof VALUES / sizeof VALUES[0]; i++) {
        if (VALUES[i].value != NULL)
            list[n++] =
                (struct MHD_OptionItem){VALUES[i].option, 0, (void *)(uintptr_t)VALUES[i].value};
    }
    list[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
}

static int start_daemon(http_server *server, scp_error *error)
{
    const int fd = listen_on(&server->port, server->node->options, error);
    if (fd < 0)
        return -1;
    struct MHD_OptionItem tls[8];
    list_tls(tls, server->tls);
    server->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
            MHD_USE_ERROR_LOG | (server->tls != NULL ? MHD_USE_TLS : 0),
        0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_trouble, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEADER_MAX_BYTES, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, server, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (server->daemon != NULL)
        return 0;
    close(fd);
    return scp_fail(error, "the HTTP server cannot be started");
}

int http_server_open(http_server **out, const scp_node *node, dcb_cache *cache, scp_error *error)
{
    *out = NULL;
    http_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return scp_fail(error, "out of memory for the HTTP server");
    server->node = node;
    server->connections = http_connections_create();
    server->thumbnails = http_thumbnails_create();
    int result = server->connections != NULL && server->thumbnails != NULL
                     ? 0
                     : scp_fail(error, "out of memory for the HTTP server");
    if (result == 0)
        result = http_guard_open(&server->guard, node->options, error);
    if (result == 0 && node->options->http_tls)
        result = http_tls_open(&server->tls, node->options, error);
    if (result == 0)
        result = node_watch_open(&server->watch, node, cache, error);
    if (result == 0)
        result = start_daemon(server, error);
    if (result != 0) {
        http_server_close(server);
        return -1;
    }
    log_event(LOG_INFO, "http.listening", LOG_T("address", node->options->http_bind_address),
              LOG_U("port", server->port), LOG_T("tls", server->tls != NULL ? "yes" : "no"),
              LOG_T("token", server->guard.required ? "required" : "none"),
              LOG_T("patient_data", node->options->http_patient_data ? "shown" : "hidden"));
    *out = server;
    return 0;
}

void http_server_ready(http_server *server, uint16_t dicom_port, scp_archive *archive)
{
    if (server == NULL)
        return;
    atomic_store(&server->archive, archive);
    node_watch_ready(server->watch, dicom_port);
}

void http_server_stopping(http_server *server)
{
    if (server == NULL)
        return;
    node_watch_stopping(server->watch);
    atomic_store(&server->archive, NULL);
}

void http_server_close(http_server *server)
{
    if (server == NULL)
        return;
    if (server->daemon != NULL)
        MHD_stop_daemon(server->daemon);
    node_watch_close(server->watch);
    http_thumbnails_free(server->thumbnails);
    http_connections_free(server->connections);
    http_tls_close(server->tls);
    free(server);
}

uint16_t http_server_port(const http_server *server)
{
    return server->port;
}
