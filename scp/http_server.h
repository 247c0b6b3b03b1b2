/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server.h - the node's HTTP port, for those who run it: /healthz, /readyz, /metrics, the
 * status page and what it asks for. HTTP.md in this folder lists it all.
 *
 * It only looks (but for POST /rescan), has threads and limits of its own, and takes nothing that
 * DICOM waits for.
 *
 * Threads: open, ready, stopping and close from one.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "archive.h"
#include "node.h"

typedef struct http_server http_server;

/* Listens by node->options (http_port and its kin), which must be on. The node's index, series and
   ahead must be there; until http_server_ready the page tells that it starts. All is borrowed. */
int http_server_open(http_server **out, const scp_node *node, dcb_cache *cache, scp_error *error);
/* DICOM listens on that port; archive is what POST /rescan is for. The node is complete. */
void http_server_ready(http_server *server, uint16_t dicom_port, scp_archive *archive);
/* Running operations are being finished; the archive is not touched any more. */
void http_server_stopping(http_server *server);
/* Before any part of the node is closed. NULL: nothing to do. */
void http_server_close(http_server *server);

uint16_t http_server_port(const http_server *server);

#endif
