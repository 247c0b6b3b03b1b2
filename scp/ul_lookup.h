/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_lookup.h - the addresses of a host, with a timeout. Private to the ul_*.c[c] files.
 *
 * getaddrinfo can block for minutes and cannot be interrupted: a name is looked up in a thread of
 * its own, which is left to itself where nobody wants its answer any more. A numeric address needs
 * none.
 */
#ifndef UL_LOOKUP_H
#define UL_LOOKUP_H

#include "scp_error.h"
#include "ul_transport.h"

#include <netdb.h>

#define UL_LOOKUPS_MAX 32 /* threads that may be left to themselves; one more is refused */

/* As getaddrinfo. */
typedef int (*ul_resolver)(const char *host, const char *service, const struct addrinfo *hints,
                           struct addrinfo **out);

typedef struct ul_lookup_request {
    const char *host;
    uint16_t port;
    int timeout_ms;
    int wake_fd;         /* readable: the caller is to stop */
    ul_resolver resolve; /* NULL: getaddrinfo */
} ul_lookup_request;

/* UL_IO_OK with *out for freeaddrinfo (stream sockets), UL_IO_TIMEOUT, UL_IO_WOKEN, or UL_IO_BROKEN
   where there is no such host. The error tells. */
ul_io ul_lookup(struct addrinfo **out, const ul_lookup_request *request, scp_error *error);

#endif
