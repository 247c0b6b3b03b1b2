/* SPDX-License-Identifier: Apache-2.0 */
/* node_tls.h - the node's TLS from its options: made at the start, made anew on SIGHUP. */
#ifndef NODE_TLS_H
#define NODE_TLS_H

#include "options.h"

/* *out is NULL where the options want no TLS. */
int node_tls_create(ul_tls **out, const scp_options *options, scp_error *error);
/* Reads the files again; new connections have what is in them now. On failure nothing changes.
   tls may be NULL. */
int node_tls_reload(ul_tls *tls, const scp_options *options, scp_error *error);

#endif
