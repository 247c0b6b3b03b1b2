/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_lookup.c - see ul_lookup.h.
 *
 * Invariant: a lookup belongs to its thread and to its caller; whoever lets go last frees it.
 */
#include "ul_lookup.h"

#include "steady_clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct lookup {
    atomic_int owners;
    atomic_bool done; /* result and found are there */
    int done_fd;      /* readable then */
    ul_resolver resolve;
    char *host;
    char service[8];
    int result;
    struct addrinfo *found;
} lookup;

static atomic_int nlookups;

static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

static void let_go(lookup *l)
{
    if (atomic_fetch_sub(&l->owners, 1) > 1)
        return;
    if (l->found != NULL)
        freeaddrinfo(l->found);
    if (l->done_fd >= 0)
        close(l->done_fd);
    free(l->host);
    free(l);
}

static void *lookup_main(void *context)
{
    lookup *l = context;
    const uint64_t one = 1;
    l->result = l->resolve(l->host, l->service, &hints, &l->found);
    atomic_store(&l->done, true);
    ssize_t written = write(l->done_fd, &one, sizeof one);
    (void)written; /* cannot be full */
    atomic_fetch_sub(&nlookups, 1);
    let_go(l);
    return NULL;
}

static lookup *create(const ul_lookup_request *request)
{
    lookup *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    atomic_init(&l->owners, 1);
    l->resolve = request->resolve != NULL ? request->resolve : getaddrinfo;
    l->host = strdup(request->host);
    l->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    snprintf(l->service, sizeof l->service, "%u", (unsigned)request->port);
    if (l->host != NULL && l->done_fd >= 0)
        return l;
    let_go(l);
    return NULL;
}

static bool start(lookup *l)
{
    pthread_attr_t attributes;
    pthread_t thread;
    if (atomic_fetch_add(&nlookups, 1) < UL_LOOKUPS_MAX) {
        atomic_fetch_add(&l->owners, 1);
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        const int failed = pthread_create(&thread, &attributes, lookup_main, l);
        pthread_attr_destroy(&attributes);
        if (failed == 0)
            return true;
        atomic_fetch_sub(&l->owners, 1);
    }
    atomic_fetch_sub(&nlookups, 1);
    return false;
}

/* Waits for the thread. */
static ul_io await(lookup *l, const ul_lookup_request *request)
{
    const int64_t until = steady_clock_ms() + request->timeout_ms;
    struct pollfd fds[2] = {{.fd = l->done_fd, .events = POLLIN},
                            {.fd = request->wake_fd, .events = POLLIN}};
    for (;;) {
        const int64_t left = until - steady_clock_ms();
        const int n = poll(fds, 2, left > 0 ? (int)left : 0);
        if (n < 0 && errno != EINTR)
            return UL_IO_BROKEN;
        if (n > 0 && fds[1].revents != 0)
            return UL_IO_WOKEN;
        if (n > 0 && atomic_load(&l->done))
            return UL_IO_OK;
        if (n == 0)
            return UL_IO_TIMEOUT;
    }
}

static ul_io look_up_name(struct addrinfo **out, const ul_lookup_request *request, scp_error *error)
{
    lookup *l = create(request);
    if (l == NULL || !start(l)) {
        if (l != NULL)
            let_go(l);
        scp_fail(error, "host %s cannot be looked up: out of memory or threads", request->host);
        return UL_IO_BROKEN;
    }
    ul_io io = await(l, request);
    if (io == UL_IO_OK && l->result == 0) {
        *out = l->found;
        l->found = NULL;
    } else if (io == UL_IO_OK) {
        scp_fail(error, "host %s cannot be found: %s", request->host, gai_strerror(l->result));
        io = UL_IO_BROKEN;
    } else if (io == UL_IO_TIMEOUT) {
        scp_fail(error, "host %s was not found within %d ms", request->host, request->timeout_ms);
    } else {
        scp_fail(error, "interrupted while host %s was looked up", request->host);
    }
    let_go(l);
    return io;
}

ul_io ul_lookup(struct addrinfo **out, const ul_lookup_request *request, scp_error *error)
{
    struct addrinfo numeric = hints;
    char service[8];
    *out = NULL;
    numeric.ai_flags = AI_NUMERICHOST;
    snprintf(service, sizeof service, "%u", (unsigned)request->port);
    if (getaddrinfo(request->host, service, &numeric, out) == 0)
        return UL_IO_OK;
    return look_up_name(out, request, error);
}
