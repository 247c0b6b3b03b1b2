/* SPDX-License-Identifier: Apache-2.0 */
/* base64.h - RFC 4648 base64, as InlineBinary has it. */
#ifndef BASE64_H
#define BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most bytes that nbytes of text can decode to. */
static inline size_t dcb__base64_room(size_t nbytes)
{
    return nbytes / 4 * 3 + 3;
}

/* Decodes into to, which has dcb__base64_room(nbytes). False: not base64. Padding may be missing.
 */
bool dcb__base64_decode(uint8_t *to, size_t *decoded, const char *text, size_t nbytes);

/* Four characters for every three bytes, padded; no NUL. */
static inline size_t dcb__base64_length(size_t nbytes)
{
    return (nbytes + 2) / 3 * 4;
}
void dcb__base64_encode(char *to, const uint8_t *bytes, size_t nbytes);

#endif
