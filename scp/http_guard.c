/* SPDX-License-Identifier: Apache-2.0 */
/* http_guard.c - who may ask: the token, and the names that the node goes by. */
#include "http_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- Addresses ---- */

bool http_is_loopback(const char *address)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, address, &four) == 1)
        return (ntohl(four.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, address, &six) == 1 &&
           (IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127));
}

bool http_guard_knows_host(const char *host)
{
    char name[64];
    unsigned char binary[sizeof(struct in6_addr)];
    const bool bracketed = host[0] == '[';
    const char *begin = bracketed ? host + 1 : host;
    const size_t n = strcspn(begin, bracketed ? "]" : ":");
    const char *end = begin + n + (bracketed && begin[n] == ']' ? 1 : 0);
    if ((bracketed && begin[n] != ']') || n == 0 || n >= sizeof name ||
        (*end != '\0' && *end != ':') ||
        (*end == ':' && strspn(end + 1, "0123456789") != strlen(end + 1)))
        return false;
    snprintf(name, sizeof name, "%.*s", (int)n, begin);
    return bracketed ? inet_pton(AF_INET6, name, binary) == 1
                     : strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, binary) == 1;
}

/* ---- The token ---- */

static int read_token(char token[HTTP_TOKEN_MAX + 1], const char *path, scp_error *error)
{
    char line[HTTP_TOKEN_MAX + 3] = "";
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return scp_fail(error, "cannot read http_token_file %s: %s", path, strerror(errno));
    const size_t nread = fread(line, 1, sizeof line - 1, file);
    const bool failed = ferror(file) != 0;
    fclose(file);
    size_t n = strcspn(line, "\r\n");
    const bool rest = n < nread && strspn(line + n, "\r\n") + n != nread;
    bool good = !failed && !rest && n >= HTTP_TOKEN_LEAST && n <= HTTP_TOKEN_MAX;
    for (size_t i = 0; good && i < n; i++)
        good = line[i] > ' ' && line[i] <= '~';
    if (!good)
        return scp_fail(error,
                        "http_token_file %s: expected one line of %d to %d characters without "
                        "spaces; \"openssl rand -hex 32\" makes one",
                        path, HTTP_TOKEN_LEAST, HTTP_TOKEN_MAX);
    snprintf(token, HTTP_TOKEN_MAX + 1, "%.*s", (int)n, line);
    return 0;
}

int http_guard_open(http_guard *out, const scp_options *options, scp_error *error)
{
    const bool beyond = !http_is_loopback(options->http_bind_address);
    *out = (http_guard){.required = beyond || options->http_token_file != NULL};
    if (options->http_token_file != NULL)
        return read_token(out->token, options->http_token_file, error);
    if (!beyond || (options->http_tls && options->tls_ca_file != NULL))
        return 0;
    return scp_fail(error,
                    "http_bind_address %s is reached from other machines: set http_token_file, or "
                    "http_tls and tls_ca_file, or bind it to 127.0.0.1",
                    options->http_bind_address);
}

/* All of it, however early they differ. */
static bool is_token(const char *token, const char *given, size_t nbytes)
{
    const size_t n = strlen(token);
    unsigned differ = n != nbytes;
    for (size_t i = 0; i < nbytes && n > 0; i++)
        differ |= (unsigned char)((unsigned char)token[i % n] ^ (unsigned char)given[i]);
    return differ == 0 && n > 0;
}

/* Returns the number of bytes; 0 where it is no base64, or too long. */
static size_t decode_base64(char *to, size_t size, const char *from)
{
    const size_t nbytes = strlen(from);
    if (nbytes == 0 || nbytes / 4 * 3 > size)
        return 0;
    const int n = EVP_DecodeBlock((unsigned char *)to, (const unsigned char *)from, (int)nbytes);
    /* It counts the padding as zero bytes. */
    const size_t padding = (from[nbytes - 1] == '=') + (nbytes > 1 && from[nbytes - 2] == '=');
    return n < (int)padding ? 0 : (size_t)n - padding;
}

bool http_guard_admits(const http_guard *guard, const char *authorization)
{
    char pair[HTTP_TOKEN_MAX + 128];
    if (!guard->required)
        return true;
    if (guard->token[0] == '\0' || authorization == NULL)
        return false;
    if (strncasecmp(authorization, "Bearer ", 7) == 0)
        return is_token(guard->token, authorization + 7, strlen(authorization + 7));
    if (strncasecmp(authorization, "Basic ", 6) != 0)
        return false;
    const size_t n = decode_base64(pair, sizeof pair, authorization + 6);
    const char *colon = memchr(pair, ':', n);
    if (colon == NULL)
        return false;
    return is_token(guard->token, colon + 1, n - (size_t)(colon + 1 - pair));
}
