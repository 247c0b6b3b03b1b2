/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor.h - what systemd, or whatever else started the node, is told about it.
 *
 * The protocol of sd_notify(3): a datagram to the socket that NOTIFY_SOCKET names. Where there is
 * none, nothing is sent. Libsystemd would do the same, and bring a dozen libraries into the image.
 *
 * Threads: any. The environment is read when a function is called.
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "scp_error.h"

typedef struct supervisor_watchdog supervisor_watchdog;

/* Sends variables as sd_notify(3) has them: "READY=1\nSTATUS=...". A supervisor that cannot be
   reached is no reason to stop serving: one line at warn. */
void supervisor_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Where WATCHDOG_USEC asks for signs of life, a thread gives one twice in that time, each after
 * probe has returned. A probe takes the locks and asks the parts without which the node serves
 * nobody: if it hangs, the supervisor ends the process and starts it anew. What merely fails is no
 * matter for a restart. *out is NULL where none is asked for.
 */
int supervisor_watch(supervisor_watchdog **out, void (*probe)(void *context), void *context,
                     scp_error *error);
void supervisor_watch_end(supervisor_watchdog *watchdog);

#endif
