/* SPDX-License-Identifier: Apache-2.0 */
/* security.h - what the options say of TLS and users, checked with all the files that they name. */
#ifndef SECURITY_H
#define SECURITY_H

#include "options.h"

/* Checks all; *out is NULL where the options want no TLS. ul_tls_close it. */
int security_open(ul_tls **out, const scp_options *options, scp_error *error);
/* Reads the files again; new connections have what is in them now. On failure nothing changes.
   tls may be NULL. */
int security_reload(ul_tls *tls, const scp_options *options, scp_error *error);

#endif
