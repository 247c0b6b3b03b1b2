/* SPDX-License-Identifier: Apache-2.0 */
/* derived_uid.c - hashes content and writes 128-bit numbers. Threads: any. */
#include "derived_uid.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bytes.h"
#include "dcb_error.h"

#define CHUNK (1u << 20)

dcb_status dcb__content_hash_read(dcb__content_hash *out, const dcb__source *source,
                                  dcb_error *error)
{
    XXH3_state_t *state = XXH3_createState();
    uint8_t *chunk = malloc(CHUNK);
    dcb_status status = DCB_OK;
    if (state == NULL || chunk == NULL || XXH3_128bits_reset(state) != XXH_OK)
        status = dcb__fail_no_memory(error, CHUNK);
    uint64_t size = dcb__source_size(source);
    for (uint64_t at = 0; status == DCB_OK && at < size; at += CHUNK) {
        size_t nbytes = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
        status = dcb__source_read(source, chunk, nbytes, at, "the file's content", error);
        if (status == DCB_OK)
            XXH3_128bits_update(state, chunk, nbytes);
    }
    if (status == DCB_OK) {
        XXH128_hash_t hash = XXH3_128bits_digest(state);
        *out = (dcb__content_hash){hash.low64, hash.high64};
    }
    free(chunk);
    XXH3_freeState(state);
    return status;
}

void dcb__derive_uid(char uid[DCB_UID_ROOM], const dcb__content_hash *content, const char *role,
                     uint32_t number)
{
    uint8_t seed[64] = {0};
    dcb__store(seed, content->low, 8);
    dcb__store(seed + 8, content->high, 8);
    dcb__store(seed + 16, number, 4);
    strncpy((char *)seed + 20, role, sizeof seed - 21);
    XXH128_hash_t hash = XXH3_128bits(seed, sizeof seed);
    /* RFC 9562: version 8 (made by a rule of one's own), variant 10. */
    uint64_t high = (hash.high64 & ~(uint64_t)0xF000) | 0x8000;
    uint64_t low = (hash.low64 & ~((uint64_t)3 << 62)) | (uint64_t)1 << 63;
    uint32_t words[4] = {(uint32_t)(high >> 32), (uint32_t)high, (uint32_t)(low >> 32),
                         (uint32_t)low};
    char digits[40];
    size_t n = 0;
    while (words[0] | words[1] | words[2] | words[3]) { /* long division by ten */
        uint64_t rest = 0;
        for (int i = 0; i < 4; i++) {
            rest = rest << 32 | words[i];
            words[i] = (uint32_t)(rest / 10);
            rest %= 10;
        }
        digits[n++] = (char)('0' + rest);
    }
    memcpy(uid, "2.25.", 5);
    for (size_t i = 0; i < n; i++)
        uid[5 + i] = digits[n - 1 - i];
    uid[5 + n] = '\0';
}
