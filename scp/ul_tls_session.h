/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_tls_session.h - one connection's TLS. Private to the ul_*.c[c] files.
 *
 * OpenSSL reads and writes through a BIO of ours over the transport's raw calls: these wait, with
 * the transport's deadlines and interruption, so OpenSSL never sees a call that has to be repeated.
 * Records are full wherever there is enough to say, and several leave with one system call.
 *
 * Threads: the transport's owner alone; an SSL object is never read and written by two.
 */
#ifndef UL_TLS_SESSION_H
#define UL_TLS_SESSION_H

#include "ul.h"
#include "ul_tls.h"
#include "ul_transport.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ssl_st ul_ssl; /* OpenSSL's SSL */

/* A new one with the settings of now; NULL where memory ran out. Made by ul_tls_context.cc. */
ul_ssl *ul_tls_ssl(ul_tls *tls, bool accepts);

/* The handshake, within the transport's deadline; afterwards t reads and writes through TLS. On
   failure t->tls stays, for ul_tls_failure; nothing can be sent any more.
   host: whom we connect to, whose certificate must carry that name or address; NULL: we accept. */
ul_io ul_tls_handshake(ul_transport *t, ul_tls *tls, const char *host);
void ul_tls_session_free(ul_tls_session *session);

/* As ul_transport_read and _write. Without `wait`: 0 where no data are there yet. */
ssize_t ul_tls_read(ul_transport *t, void *buffer, size_t size, bool wait);
ul_io ul_tls_write(ul_transport *t, const struct iovec *iov, size_t niov);
void ul_tls_close_notify(ul_transport *t);
/* What OpenSSL complained of; "": nothing. */
const char *ul_tls_failure(const ul_tls_session *session);

/* Protocol, cipher and the peer's certificate, which was verified if there is one. */
void ul_tls_describe(ul_secure *out, const ul_tls_session *session);

#ifdef __cplusplus
}
#endif
#endif
