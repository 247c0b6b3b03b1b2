/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - the listening node: a thread for each association.
 *
 * One thread, the leader, waits on the listener. When a connection is there it makes another thread
 * the leader, before it reads a byte: silent and slow peers hold up nobody but themselves.
 *
 * Threads: server_start and server_stop from one; the others from any.
 */
#ifndef SERVER_H
#define SERVER_H

#include "scp_error.h"
#include "service.h"

#include <stddef.h>
#include <stdint.h>

typedef struct scp_server scp_server;

typedef struct server_stats {
    uint32_t associations; /* now */
    uint64_t accepted, rejected;
    uint64_t without_request; /* connections that never came to a proper request */
} server_stats;

/* Listens by node->options and serves until server_stop. node and services must outlive it. */
int server_start(scp_server **out, const scp_node *node, const service *const *services,
                 size_t nservices, scp_error *error);
uint16_t server_port(const scp_server *server);
uint16_t server_tls_port(const scp_server *server); /* 0: no port of its own */
void server_get_stats(scp_server *server, server_stats *stats);
/* Takes no more associations, lets running operations finish for up to timeout_s, aborts the rest,
   joins all threads, frees. */
void server_stop(scp_server *server, uint32_t timeout_s);

#endif
