/* SPDX-License-Identifier: Apache-2.0 */
/* test_codec_damage.c - damaged codestreams fail wherever that can be told, and do no harm where it
   cannot. See test_codestream.c for headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "foreign_codestreams.h"

/* Every truncation fails, that of the end marker alone too. */
static void test_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < FOREIGN_COUNT; i++) {
        size_t nbytes;
        uint8_t *bytes = read_foreign(i, &nbytes);
        dcb__codestream h;
        assert_int_equal(dcb__codestream_read(&h, bytes, nbytes, 0, NULL, NULL), DCB_OK);
        size_t size = decoded_nbytes(&h, 0);
        uint8_t *samples = malloc(size);
        for (size_t n = 0; n < nbytes; n++) {
            uint8_t *cut = malloc(n + (n == 0)); /* of its own, so that ASan sees reads past it */
            memcpy(cut, bytes, n);
            for (int codec = DCB_CODEC_ANY; codec <= DCB_CODEC_OPENJPEG; codec++) {
                dcb_error error = DCB_ERROR_INIT;
                dcb_status status =
                    dcb__decode(samples, size, &h, cut, n, 0, (dcb__codec)codec, &error);
                if (status != DCB_ERR_CODESTREAM || error.message[0] == 0)
                    fail_msg("%s cut to %zu of %zu bytes, codec %d: %d %s", foreign[i].name, n,
                             nbytes, codec, status, error.message);
            }
            free(cut);
        }
        free(samples);
        free(bytes);
    }
}

/* Decodes what is left of a codestream whose lengths claim no more than there is. */
static void decode_rest(const char *name, const dcb__codestream *h, const uint8_t *bytes,
                        size_t nbytes, dcb_status expected)
{
    size_t size = decoded_nbytes(h, 0);
    uint8_t *samples = malloc(size);
    for (int codec = DCB_CODEC_ANY; codec <= DCB_CODEC_OPENJPEG; codec += DCB_CODEC_OPENJPEG) {
        dcb_error error = DCB_ERROR_INIT;
        dcb_status status =
            dcb__decode(samples, size, h, bytes, nbytes, 0, (dcb__codec)codec, &error);
        if (status != expected)
            fail_msg("%s cut to %zu bytes, codec %d: %d %s", name, nbytes, codec, status,
                     error.message);
    }
    free(samples);
}

/* Ends the last tile-part early, at every byte, or leaves it out; the end marker follows. */
static void cut_packets(const char *name, const uint8_t *bytes, size_t nbytes)
{
    dcb__codestream h;
    assert_int_equal(dcb__codestream_read(&h, bytes, nbytes, 0, NULL, NULL), DCB_OK);
    size_t last = h.header_nbytes, end = last;
    while (bytes[end + 1] == 0x90) { /* SOT */
        last = end;
        end += (size_t)bytes[last + 8] << 8 | bytes[last + 9];
    }
    for (size_t n = last + 14; n <= end; n++) {
        uint8_t *cut = malloc(n + 2);
        memcpy(cut, bytes, n);
        cut[last + 8] = (uint8_t)((n - last) >> 8);
        cut[last + 9] = (uint8_t)(n - last);
        memcpy(cut + n, "\xFF\xD9", 2);
        decode_rest(name, &h, cut, n + 2, n < end ? DCB_ERR_CODESTREAM : DCB_OK);
        if (n == end && last > h.header_nbytes) {
            memcpy(cut + last, "\xFF\xD9", 2);
            decode_rest(name, &h, cut, last + 2, DCB_ERR_CODESTREAM);
        }
        free(cut);
    }
}

static void test_missing_packets(void **state)
{
    (void)state;
    for (size_t i = 0; i < FOREIGN_COUNT; i++) {
        size_t nbytes;
        uint8_t *bytes = read_foreign(i, &nbytes);
        cut_packets(foreign[i].name, bytes, nbytes);
        free(bytes);
    }
}

static bool is_expected_failure(dcb_status status)
{
    return status == DCB_ERR_CODESTREAM || status == DCB_ERR_UNSUPPORTED ||
           status == DCB_ERR_LIMIT || status == DCB_ERR_ARGUMENT;
}

/* Damage within blocks cannot always be told from sound data; it must do no harm. */
static void test_mutations(void **state)
{
    (void)state;
    uint32_t seed = 88675123;
    dcb_limits limits = DCB_LIMITS_INIT;
    limits.max_pixel_bytes = 1 << 20;

    for (unsigned round = 0; round < 6000; round++) {
        size_t nbytes;
        uint8_t *bytes = read_foreign(round % (FOREIGN_COUNT), &nbytes);
        unsigned changes = 1 + next_random(&seed) % 3;
        while (changes-- > 0) {
            size_t range = next_random(&seed) % 2 ? nbytes : nbytes < 160 ? nbytes : 160;
            bytes[next_random(&seed) % range] = (uint8_t)next_random(&seed);
        }
        dcb__codestream h;
        dcb_error error = DCB_ERROR_INIT;
        dcb_status status = dcb__codestream_read(&h, bytes, nbytes, 0, &limits, &error);
        if (status == DCB_OK && h.components <= 4) {
            size_t size = decoded_nbytes(&h, 0);
            uint8_t *samples = malloc(size);
            status = dcb__decode(samples, size, &h, bytes, nbytes, 0,
                                 round % 2 ? DCB_CODEC_OPENJPEG : DCB_CODEC_ANY, &error);
            free(samples);
        }
        if (status != DCB_OK && (!is_expected_failure(status) || error.message[0] == 0))
            fail_msg("round %u: %d %s", round, status, error.message);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_missing_packets),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
