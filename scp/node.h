/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node.h - what the services of one running node share. Made by main, read-only afterwards; each
 * part is safe for any thread by its own header.
 */
#ifndef NODE_H
#define NODE_H

#include "../reader/dcb.h"
#include "index.h"

#include "settings.h"
#include "users.h"

typedef struct series_pool series_pool; /* open series by path: series_pool.h */
typedef struct ahead_pool ahead_pool;   /* threads that make instances before their turn: ahead.h */

typedef struct scp_audit scp_audit;   /* who did what: audit.h */
typedef struct scp_ingest scp_ingest; /* what takes instances in: ingest.h */

typedef struct scp_node {
    const scp_options *options; /* as at its start */
    scp_settings *settings;     /* in force now, of those that reload; NULL: these */
    scp_index *index;
    series_pool *series;
    ahead_pool *ahead;           /* NULL: none */
    scp_ingest *ingest;          /* NULL: nothing is stored */
    ul_tls *tls;                 /* NULL: neither accepted nor asked for */
    scp_users *users;            /* NULL: user identity is off */
    scp_audit *audit;            /* NULL: off */
    const struct scp_node *next; /* another AE title of the same port: titles.h; NULL: none */
} scp_node;

#endif
