/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_tls.h - TLS on the HTTP port: the node's certificate (tls_certificate, tls_key), and client
 * certificates that tls_ca_file vouches for. libmicrohttpd brings GnuTLS for the connections; files
 * and client certificates are judged by OpenSSL, as those of DICOM are.
 *
 * Threads: any, but for open and close.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "options.h"
#include "scp_error.h"

#include <stdbool.h>

typedef struct http_tls http_tls;

/* By http_tls and the options beginning with tls_. */
int http_tls_open(http_tls **out, const scp_options *options, scp_error *error);
void http_tls_close(http_tls *tls);

/* For libmicrohttpd: PEM texts; authorities and password may be NULL. */
const char *http_tls_certificate(const http_tls *tls);
const char *http_tls_key(const http_tls *tls);
const char *http_tls_password(const http_tls *tls);
const char *http_tls_authorities(const http_tls *tls);
/* GnuTLS' name for TLS 1.2 and newer. */
#define HTTP_TLS_PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* Has the connection's peer a certificate for clients that we trust? session is GnuTLS'. */
bool http_tls_admits(const http_tls *tls, void *session);

#endif
