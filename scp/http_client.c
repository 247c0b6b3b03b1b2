/* SPDX-License-Identifier: Apache-2.0 */
/* http_client.c - HTTP/1.0: the answer ends with the connection. */
#include "http_client.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TIMEOUT_S        20
#define ANSWER_MAX_BYTES (64u << 20)

int http_endpoint_parse(http_endpoint *out, const char *url, scp_error *error)
{
    const bool tls = strncasecmp(url, "https://", 8) == 0;
    *out = (http_endpoint){.tls = tls};
    snprintf(out->port, sizeof out->port, tls ? "443" : "80");
    if (!tls && strncasecmp(url, "http://", 7) != 0)
        return scp_fail(error, "\"%.80s\": expected an address such as " HTTP_DEFAULT_URL, url);
    const char *host = url + (tls ? 8 : 7);
    const bool bracketed = *host == '[';
    const char *end = host + strcspn(host, bracketed ? "]" : ":/");
    const char *begin = bracketed ? host + 1 : host;
    const size_t n = (size_t)(end - begin);
    const char *after = bracketed && *end == ']' ? end + 1 : end;
    size_t ndigits = 0;
    if (*after == ':') {
        ndigits = strspn(after + 1, "0123456789");
        if (ndigits > 0 && ndigits < sizeof out->port)
            snprintf(out->port, sizeof out->port, "%.*s", (int)ndigits, after + 1);
        after += 1 + ndigits;
    }
    if (n == 0 || n >= sizeof out->host || ndigits > 5 || (bracketed && *end != ']') ||
        (*after != '\0' && strcmp(after, "/") != 0))
        return scp_fail(error, "\"%.80s\": expected an address such as " HTTP_DEFAULT_URL, url);
    snprintf(out->host, sizeof out->host, "%.*s", (int)n, begin);
    return 0;
}

int http_endpoint_read_token(http_endpoint *out, const char *path, scp_error *error)
{
    if (path == NULL)
        return 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return scp_fail(error, "cannot read the token file %s: %s", path, strerror(errno));
    const size_t n = fread(out->token, 1, sizeof out->token - 1, file);
    fclose(file);
    out->token[n] = '\0';
    out->token[strcspn(out->token, "\r\n")] = '\0';
    if (out->token[0] == '\0')
        return scp_fail(error, "the token file %s is empty", path);
    return 0;
}

static int connect_to(const http_endpoint *endpoint, scp_error *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const struct timeval timeout = {TIMEOUT_S, 0};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(endpoint->host, endpoint->port, &hints, &found);
    if (rc != 0)
        return scp_fail(error, "%s: %s", endpoint->host, gai_strerror(rc));
    int fd = -1;
    rc = 0;
    for (const struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
        if (connect(fd, at->ai_addr, at->ai_addrlen) == 0)
            break;
        rc = errno;
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd < 0)
        return scp_fail(error,
                        "no node answers on %s port %s: %s; is it running, with http_port set?",
                        endpoint->host, endpoint->port, strerror(rc));
    return fd;
}

/* ---- The connection -------------------------------------------------------------------------- */

typedef struct connection {
    int fd;
    SSL_CTX *context; /* NULL: plain */
    SSL *ssl;
} connection;

static void close_connection(connection *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->context);
    close(c->fd);
}

/* A node that is asked over loopback has its certificate for another name. */
static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "::1") == 0;
}

static int begin_tls(connection *c, const http_endpoint *endpoint, scp_error *error)
{
    c->context = SSL_CTX_new(TLS_client_method());
    c->ssl = c->context != NULL ? SSL_new(c->context) : NULL;
    if (c->ssl == NULL)
        return scp_fail(error, "out of memory for TLS");
    SSL_CTX_set_min_proto_version(c->context, TLS1_2_VERSION);
    if (endpoint->ca_file != NULL
            ? SSL_CTX_load_verify_locations(c->context, endpoint->ca_file, NULL) != 1
            : SSL_CTX_set_default_verify_paths(c->context) != 1)
        return scp_fail(error, "no authorities can be read from %s",
                        endpoint->ca_file != NULL ? endpoint->ca_file : "the system");
    SSL_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    if (!is_loopback(endpoint->host)) {
        SSL_set_tlsext_host_name(c->ssl, endpoint->host);
        if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), endpoint->host) != 1)
            SSL_set1_host(c->ssl, endpoint->host);
    }
    if (SSL_set_fd(c->ssl, c->fd) == 1 && SSL_connect(c->ssl) == 1)
        return 0;
    const long verdict = SSL_get_verify_result(c->ssl);
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    if (verdict != X509_V_OK)
        return scp_fail(error, "%s: its certificate: %s; --ca-file FILE tells whom to trust",
                        endpoint->host, X509_verify_cert_error_string(verdict));
    return scp_fail(error, "%s: no TLS connection: %s", endpoint->host,
                    reason != NULL ? reason : "it went away");
}

static int open_connection(connection *c, const http_endpoint *endpoint, scp_error *error)
{
    *c = (connection){.fd = connect_to(endpoint, error)};
    if (c->fd < 0)
        return -1;
    if (!endpoint->tls || begin_tls(c, endpoint, error) == 0)
        return 0;
    close_connection(c);
    return -1;
}

static ssize_t put(const connection *c, const char *bytes, size_t nbytes)
{
    if (c->ssl == NULL)
        return send(c->fd, bytes, nbytes, MSG_NOSIGNAL);
    const int n = SSL_write(c->ssl, bytes, (int)nbytes);
    return n > 0 ? n : -1;
}

static ssize_t get(const connection *c, char *bytes, size_t nbytes)
{
    if (c->ssl == NULL)
        return recv(c->fd, bytes, nbytes, 0);
    const int n = SSL_read(c->ssl, bytes, (int)nbytes);
    if (n > 0)
        return n;
    /* How much there should be the head tells. */
    const int why = SSL_get_error(c->ssl, n);
    return why == SSL_ERROR_ZERO_RETURN || why == SSL_ERROR_SSL ? 0 : -1;
}

/* ---- Request and answer ---------------------------------------------------------------------- */

static int send_request(const connection *c, const http_endpoint *endpoint, const char *method,
                        const char *path, scp_error *error)
{
    text_buffer request = TEXT_BUFFER_INIT;
    const bool is_ipv6 = strchr(endpoint->host, ':') != NULL;
    text_format(&request, "%s %s HTTP/1.0\r\nHost: %s%s%s:%s\r\nX-Requested-With: dcbtool\r\n",
                method, path, is_ipv6 ? "[" : "", endpoint->host, is_ipv6 ? "]" : "",
                endpoint->port);
    if (endpoint->token[0] != '\0')
        text_format(&request, "Authorization: Bearer %s\r\n", endpoint->token);
    text_put(&request, "Connection: close\r\n\r\n");
    int result = request.failed ? scp_fail(error, "out of memory") : 0;
    for (size_t done = 0; result == 0 && done < request.nbytes;) {
        const ssize_t n = put(c, request.bytes + done, request.nbytes - done);
        if (n < 0 && errno != EINTR)
            result = scp_fail(error, "%s: %s", endpoint->host, strerror(errno));
        else if (n > 0)
            done += (size_t)n;
    }
    text_free(&request);
    return result;
}

static int read_all(text_buffer *to, const connection *c, const char *host, scp_error *error)
{
    char piece[16384];
    for (;;) {
        const ssize_t n = get(c, piece, sizeof piece);
        if (n == 0)
            return to->failed ? scp_fail(error, "out of memory") : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return scp_fail(error, "%s: %s", host,
                            errno == EAGAIN ? "no answer in time" : strerror(errno));
        text_put_bytes(to, piece, (size_t)n);
        if (to->nbytes > ANSWER_MAX_BYTES)
            return scp_fail(error, "%s: the answer is too long", host);
    }
}

/* Cuts the head off. */
static int take_head(unsigned *status, text_buffer *answer, const char *host, scp_error *error)
{
    char *body = answer->bytes != NULL ? strstr(answer->bytes, "\r\n\r\n") : NULL;
    if (body == NULL || strncmp(answer->bytes, "HTTP/1.", 7) != 0 || strlen(answer->bytes) < 12)
        return scp_fail(error, "%s: what answers there is no node's HTTP port", host);
    *status = (unsigned)strtoul(answer->bytes + 9, NULL, 10);
    *body = '\0';
    const char *length = strcasestr(answer->bytes, "\r\nContent-Length:");
    const size_t head = (size_t)(body + 4 - answer->bytes);
    answer->nbytes -= head;
    if (length != NULL && strtoull(length + 17, NULL, 10) != answer->nbytes)
        return scp_fail(error, "%s: the answer is cut off", host);
    memmove(answer->bytes, answer->bytes + head, answer->nbytes + 1);
    return 0;
}

int http_ask(unsigned *status, text_buffer *body, const http_endpoint *endpoint, const char *method,
             const char *path, scp_error *error)
{
    *body = (text_buffer)TEXT_BUFFER_INIT;
    connection c;
    if (open_connection(&c, endpoint, error) != 0)
        return -1;
    int result = send_request(&c, endpoint, method, path, error);
    if (result == 0)
        result = read_all(body, &c, endpoint->host, error);
    close_connection(&c);
    if (result == 0)
        result = take_head(status, body, endpoint->host, error);
    if (result != 0)
        text_free(body);
    return result;
}
