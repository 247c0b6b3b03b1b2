/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.h - who may do what: the rules of `access`, the first that matches decides.
 *
 * Pure functions over options and what is known of a caller; only a rule that names a host has the
 * system's resolver asked.
 *
 * Threads: any.
 */
#ifndef ACCESS_H
#define ACCESS_H

#include "options.h"

#define ACCESS_MOST_NAMES 16

/* What is known of a peer that asks for an association. */
typedef struct access_caller {
    const char *calling_ae_title;
    const char *called_ae_title;
    const char *address; /* numeric */
    const char *user;    /* who proved to be it; NULL or "": nobody */
    const char
        *names[ACCESS_MOST_NAMES]; /* of its verified certificate: the subject, then others */
    uint32_t nnames;
    bool is_encrypted;
} access_caller;

typedef struct access_decision {
    uint32_t rights;             /* access_right, or-ed; 0: the association is refused */
    const scp_access_rule *rule; /* NULL: none matched, or there are none */
    char text[96];               /* which rule, for people and the log: "access rule 2 (CTs)" */
} access_decision;

/* Lives as long as the options. Without rules everybody may do everything as long as the node
   listens on loopback only, and nobody anything beyond. */
access_decision access_decide(const scp_options *options, const access_caller *caller);

/* Whether the rule that gave ACCESS_MOVE also names the destination. */
bool access_may_send_to(const access_decision *decision, const char *destination_ae_title);

/* The node listens beyond loopback, and no rule lets anybody in. */
bool access_is_closed(const scp_options *options);
/* Then one line in the log says so, and what to write. */
void access_warn_if_closed(const scp_options *options);

/* For tests: what a host's name stands for. The default asks the system's resolver. */
typedef bool (*access_resolver)(const char *host, const char *address);
access_decision access_decide_with(const scp_options *options, const access_caller *caller,
                                   access_resolver resolves_to);

#endif
