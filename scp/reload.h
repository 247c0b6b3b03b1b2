/* SPDX-License-Identifier: Apache-2.0 */
/* reload.h - SIGHUP: the settings read anew, checked whole, then put in force. */
#ifndef RELOAD_H
#define RELOAD_H

#include "settings.h"

typedef struct scp_reload {
    scp_settings *settings;
    int argc; /* the command line is the same; file and environment are read again */
    char **argv;
    ul_tls *tls; /* atomic: its files are read again too; NULL: none, or the node is not up yet */
} scp_reload;

/* Tells in the log what came of it. From one thread at a time, and while no other parses options.
 */
void reload_run(const scp_reload *reload);

#endif
