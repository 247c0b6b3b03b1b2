/* SPDX-License-Identifier: Apache-2.0 */
/* network_address.c - addresses as 128 bits: IPv4 ones lie in ::ffff:0:0/96. */
#include "network_address.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct network {
    uint8_t bytes[16];
    unsigned nbits;
} network;

/* The part before a '/' or a scope ("%eth0"). */
static bool parse_address(network *out, const char *text)
{
    static const uint8_t V4_PREFIX[12] = {[10] = 0xff, [11] = 0xff};
    char address[INET6_ADDRSTRLEN];
    const size_t n = strcspn(text, "/%");
    if (n >= sizeof address)
        return false;
    memcpy(address, text, n);
    address[n] = '\0';
    memcpy(out->bytes, V4_PREFIX, sizeof V4_PREFIX);
    out->nbits = 128;
    return inet_pton(AF_INET, address, out->bytes + 12) == 1 ||
           inet_pton(AF_INET6, address, out->bytes) == 1;
}

static bool parse(network *out, const char *text)
{
    if (!parse_address(out, text))
        return false;
    const char *slash = strchr(text, '/');
    if (slash == NULL)
        return true;
    const size_t ndigits = strspn(slash + 1, "0123456789");
    const unsigned long length = strtoul(slash + 1, NULL, 10);
    const unsigned most = strchr(text, ':') != NULL ? 128 : 32;
    out->nbits = (unsigned)(128 - most + length);
    return ndigits > 0 && ndigits <= 3 && slash[1 + ndigits] == '\0' && length <= most;
}

static bool same_beginning(const uint8_t *a, const uint8_t *b, unsigned nbits)
{
    const unsigned nbytes = nbits / 8, rest = nbits % 8;
    if (memcmp(a, b, nbytes) != 0)
        return false;
    return rest == 0 || ((a[nbytes] ^ b[nbytes]) >> (8 - rest)) == 0;
}

static void clear_rest(network *range)
{
    for (unsigned bit = range->nbits; bit < 128; bit++)
        range->bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
}

bool network_is_numeric(const char *text)
{
    network range;
    return parse(&range, text);
}

int network_check(const char *text, scp_error *error)
{
    network range;
    if (!parse(&range, text))
        return scp_fail(error,
                        "expected an address or a range such as 10.1.0.0/16 or fd00::/8, "
                        "not \"%.60s\"",
                        text);
    network first = range;
    clear_rest(&first);
    if (memcmp(first.bytes, range.bytes, sizeof first.bytes) == 0)
        return 0;
    const bool is_v4 = strchr(text, ':') == NULL;
    char address[INET6_ADDRSTRLEN] = "";
    inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? first.bytes + 12 : first.bytes, address,
              sizeof address);
    return scp_fail(error, "\"%.60s\" does not begin a range of that length; did you mean %s%s?",
                    text, address, strchr(text, '/'));
}

bool network_holds(const char *text, const char *address)
{
    network range, one;
    return parse(&range, text) && parse_address(&one, address) &&
           same_beginning(range.bytes, one.bytes, range.nbits);
}

bool network_is_loopback(const char *address)
{
    return network_holds("127.0.0.0/8", address) || network_holds("::1", address);
}
