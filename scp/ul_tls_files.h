/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_tls_files.h - the files of ul_tls_options into an OpenSSL context. Private to the ul_tls*
 * files. Each failure names the option, the file and what is wrong with it.
 */
#ifndef UL_TLS_FILES_H
#define UL_TLS_FILES_H

#include "ul_tls.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ssl_ctx_st ul_ssl_context; /* OpenSSL's SSL_CTX */

/* Certificate and key; nothing where there is no certificate. Tells the log how long it lasts. */
int ul_tls_load_identity(ul_ssl_context *context, const ul_tls_options *options, scp_error *error);
/* Trusted authorities and revoked certificates. */
int ul_tls_load_trust(ul_ssl_context *context, const ul_tls_options *options, scp_error *error);

#ifdef __cplusplus
}
#endif
#endif
