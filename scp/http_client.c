/* SPDX-License-Identifier: Apache-2.0 */
/* http_client.c - HTTP/1.0 over a socket: the answer ends with the connection. */
#include "http_client.h"

#include <errno.h>
#include <netdb.h>
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
    static const char scheme[] = "http://";
    *out = (http_endpoint){"", "80", ""};
    if (strncasecmp(url, scheme, sizeof scheme - 1) != 0)
        return scp_fail(error, "\"%.80s\": expected an address such as " HTTP_DEFAULT_URL, url);
    const char *host = url + sizeof scheme - 1;
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

static int send_request(int fd, const http_endpoint *endpoint, const char *method, const char *path,
                        scp_error *error)
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
        const ssize_t n = send(fd, request.bytes + done, request.nbytes - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            result = scp_fail(error, "%s: %s", endpoint->host, strerror(errno));
        else if (n > 0)
            done += (size_t)n;
    }
    text_free(&request);
    return result;
}

static int read_all(text_buffer *to, int fd, const char *host, scp_error *error)
{
    char piece[16384];
    for (;;) {
        const ssize_t n = recv(fd, piece, sizeof piece, 0);
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
    const int fd = connect_to(endpoint, error);
    if (fd < 0)
        return -1;
    int result = send_request(fd, endpoint, method, path, error);
    if (result == 0)
        result = read_all(body, fd, endpoint->host, error);
    close(fd);
    if (result == 0)
        result = take_head(status, body, endpoint->host, error);
    if (result != 0)
        text_free(body);
    return result;
}
