/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_sink.h - where audit messages go: lines of a file, or syslog (RFC 5424; datagrams, RFC
 * 5426; with octet counts over TCP, RFC 6587, and TLS, RFC 5425).
 *
 * Threads: one, except audit_sink_interrupt.
 */
#ifndef AUDIT_SINK_H
#define AUDIT_SINK_H

#include "options.h"

#include <time.h>

typedef struct audit_sink audit_sink;

/* Borrows all until audit_sink_close. The file must be writable; a server need not be there yet. */
int audit_sink_open(audit_sink **out, const scp_options *options, ul_tls *tls, scp_error *error);
void audit_sink_close(audit_sink *sink);

/* One message, whole. Connects where there is no connection. On failure nothing is kept: again. */
int audit_sink_write(audit_sink *sink, const char *message, size_t nbytes,
                     const struct timespec *time, scp_error *error);
/* There is nothing more for now: what was written is put on the disk. */
void audit_sink_rest(audit_sink *sink);
/* Ends the waits of the thread that writes, for good. */
void audit_sink_interrupt(audit_sink *sink);

/* The syslog frame's head, for a message of nbytes, which follows; counted: with octet count. */
void audit_sink_head(char out[512], const char *host, long process, size_t nbytes, bool counted,
                     const struct timespec *time);

#endif
