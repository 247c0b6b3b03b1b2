/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users.h - who a peer's user is: User Identity negotiation (PS3.7 D.3.3.7) against a file of
 * hashed passcodes.
 *
 * The file has a line for each user, NAME:HASH, HASH as crypt(3) makes it (yescrypt, SHA-512 ...;
 * `dcbtool password` writes such lines). NAME: alone is a user without passcode. The file is read
 * at each check: a change counts at once. Empty lines and those that begin with # say nothing.
 *
 * What a stranger can spend is bounded: few checks at a time, and an address that failed a few
 * times is refused without a look for a while. A check takes the same time whether the name is
 * known or not.
 *
 * Threads: any.
 */
#ifndef USERS_H
#define USERS_H

#include "scp_error.h"
#include "ul.h"

typedef enum identity_mode {
    IDENTITY_OFF,     /* what comes is not looked at */
    IDENTITY_ACCEPT,  /* what comes must be right; who says nothing is nobody */
    IDENTITY_REQUIRE, /* who says nothing is rejected */
} identity_mode;

typedef struct scp_users scp_users; /* who failed lately */

scp_users *users_create(void); /* NULL: out of memory */
void users_close(scp_users *users);

/* Is the file good? The error names its line. *nusers: how many it has. */
int users_check_file(const char *path, uint32_t *nusers, scp_error *error);

#define USERS_MOST_CHECKS     8 /* at a time, each some 16 MiB and tens of milliseconds */
#define USERS_MOST_FAILURES   5
#define USERS_FAILURES_FOR_MS 60000

/* Looks at request->identity: true with request->user (and the positive answer, where one is
   wanted), or true with nobody, or false with the reason for the log. Wipes the passcode. now_ms:
   on any clock that only goes forward. */
bool users_identify(scp_users *users, ul_request *request, identity_mode mode, const char *path,
                    int64_t now_ms, scp_error *reason);

/* A line for the file, with its newline. */
int users_make_line(char *line, size_t size, const char *name, const char *passcode,
                    scp_error *error);

#endif
