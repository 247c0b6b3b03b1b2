/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network_address.h - numeric addresses and ranges of them (CIDR), IPv4 and IPv6.
 *
 * An IPv4 address that is written as IPv6 (::ffff:10.0.0.1) is the IPv4 one.
 *
 * Pure functions; any thread.
 */
#ifndef NETWORK_ADDRESS_H
#define NETWORK_ADDRESS_H

#include "scp_error.h"

#include <stdbool.h>

/* Whether it is an address or a range, and not a name. */
bool network_is_numeric(const char *text);
/* A range with bits beyond its length is refused: one of the two is a mistake. */
int network_check(const char *text, scp_error *error);
/* False too where either is no address. */
bool network_holds(const char *network, const char *address);
bool network_is_loopback(const char *address);

#endif
