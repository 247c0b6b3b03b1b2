/* SPDX-License-Identifier: Apache-2.0 */
/* base64.c - base64 in both directions. Threads: any. */
#include "base64.h"

static int digit_of(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool dcb__base64_decode(uint8_t *to, size_t *decoded, const char *text, size_t nbytes)
{
    while (nbytes > 0 && text[nbytes - 1] == '=')
        nbytes--;
    if (nbytes % 4 == 1)
        return false;
    size_t out = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < nbytes; i++) {
        int digit = digit_of((unsigned char)text[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[out++] = (uint8_t)(bits >> have);
        }
    }
    *decoded = out;
    return true;
}

void dcb__base64_encode(char *to, const uint8_t *bytes, size_t nbytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < nbytes; i += 3) {
        size_t have = nbytes - i < 3 ? nbytes - i : 3;
        uint32_t bits = (uint32_t)bytes[i] << 16;
        if (have > 1)
            bits |= (uint32_t)bytes[i + 1] << 8;
        if (have > 2)
            bits |= bytes[i + 2];
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = have > 1 ? digits[bits >> 6 & 63] : '=';
        *to++ = have > 2 ? digits[bits & 63] : '=';
    }
}
