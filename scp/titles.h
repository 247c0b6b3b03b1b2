/* SPDX-License-Identifier: Apache-2.0 */
/*
 * titles.h - the AE titles beside the node's own: each is a scp_node of its own, with its own
 * index, archive and store; cache, open series, workers, certificates and users are the first
 * one's.
 *
 * Threads: titles_start and titles_stop from one; titles_find from any.
 */
#ifndef TITLES_H
#define TITLES_H

#include "node.h"

typedef struct scp_titles scp_titles;

/* Starts those of first->options, and hangs them behind `first`. */
int titles_start(scp_titles **out, scp_node *first, scp_error *error);
/* After everything that serves. */
void titles_stop(scp_titles *titles);

/* The one of that AE title; NULL: none. */
const scp_node *titles_find(const scp_node *first, const char *called_ae_title);

#endif
