/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_tls.h - what TLS connections are made of (PS3.15 annex B.9 to B.12): profile, certificate,
 * key, trusted authorities. DCMTK knows the profiles and their cipher suites; OpenSSL does the
 * rest.
 *
 * Threads: any. ul_tls_reload replaces everything at once; connections that exist keep what they
 * began with.
 */
#ifndef UL_TLS_H
#define UL_TLS_H

#include "scp_error.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* PS3.15's secure transport connection profiles, as far as the DCMTK that this was built with has
   them. All refuse TLS 1.1 and older. */
typedef enum ul_tls_profile {
    UL_TLS_BCP195,          /* the newest of the next two that there is */
    UL_TLS_BCP195_ND,       /* non-downgrading BCP 195 (RFC 7525) */
    UL_TLS_BCP195_2021,     /* BCP 195 with RFC 8996 and 9325; DCMTK 3.6.8 and newer */
    UL_TLS_BCP195_EXTENDED, /* TLS 1.2 with more suites, no TLS 1.3 */
} ul_tls_profile;

typedef enum ul_tls_client_certificates {
    UL_TLS_CLIENT_REQUIRE, /* none, or one that cannot be verified: no connection */
    UL_TLS_CLIENT_REQUEST, /* one that cannot be verified: no connection */
    UL_TLS_CLIENT_NO,      /* not asked for */
} ul_tls_client_certificates;

/* Files are PEM; NULL: none. */
typedef struct ul_tls_options {
    ul_tls_profile profile;
    const char *certificate; /* ours, then the authorities between it and a trusted one */
    const char *key;
    const char *key_password_file;   /* its first line */
    const char *ca_file, *ca_folder; /* whom we trust; a folder's files are all read */
    const char *crl_file;            /* revoked certificates; peers' must be covered by it */
    ul_tls_client_certificates client_certificates;
    bool accepts; /* connections are accepted with it: a certificate is needed */
} ul_tls_options;

typedef struct ul_tls ul_tls;

/* The error names the file and what is wrong with it. */
int ul_tls_create(ul_tls **out, const ul_tls_options *options, scp_error *error);
/* All of it anew; on failure nothing has changed. */
int ul_tls_reload(ul_tls *tls, const ul_tls_options *options, scp_error *error);
void ul_tls_close(ul_tls *tls);

#ifdef __cplusplus
}
#endif
#endif
