/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_destination.h - a destination of C-MOVE that answers by a script: associations without a
 * network.
 *
 * Threads: what is said of it while it is at work is read and changed under its lock.
 */
#ifndef FAKE_DESTINATION_H
#define FAKE_DESTINATION_H

#include "store_link.h"

#include <pthread.h>

#define FAKE_STORES_MAX 1000
#define FAKE_NEVER      UINT32_MAX

typedef struct fake_destination {
    /* The script. */
    uint32_t refuse_from, refuse_to; /* associations (from 0) that are refused */
    uint32_t odd_from;               /* from this one on, other contexts are accepted */
    const char *accepted;        /* the only transfer syntax that is accepted; NULL: the first */
    uint32_t lost_from, lost_to; /* C-STOREs (from 0) under which the association breaks off */
    uint32_t silent;             /* the C-STORE that is not answered */
    uint32_t blocked;            /* the C-STORE that waits for an interrupt */
    uint16_t status[8];          /* of the first ones */
    uint32_t together;           /* the first so many C-STOREs wait for one another */
    /* What happened. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t nopened, nreleased, nclosed, ninterrupts;
    uint32_t nstores, nat_once, most_at_once;
    uint32_t ncontexts; /* proposed at the last one */
    char stored[FAKE_STORES_MAX][UL_UID_SIZE];
    char syntaxes[FAKE_STORES_MAX][UL_UID_SIZE];
} fake_destination;

extern fake_destination destination;
/* Nothing has happened, and all goes well: then the script is to be written. */
void fake_destination_reset(void);
extern const store_link_kind fake_destination_links;

#endif
