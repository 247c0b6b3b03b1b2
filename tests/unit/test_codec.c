/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_codec.c - pixels: both libraries give the same ones, what is encoded comes back bit by bit,
 * and damaged data fail or at least do no harm. Built without OpenJPH, only what OpenJPEG decodes
 * is tested.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "golden_frames.h"

static size_t decoded_nbytes(const dcb__codestream *h, uint32_t reduce)
{
    return (size_t)dcb__codestream_reduced(h->columns, reduce) *
           dcb__codestream_reduced(h->rows, reduce) * h->components *
           dcb__codestream_sample_nbytes(h);
}

/* ---- Golden frames --------------------------------------------------------------------------- */

typedef struct golden_count {
    size_t decoded, too_many_components;
} golden_count;

static void decode_golden(const golden_frame *frame, golden_count *count, uint32_t reduce)
{
    dcb__codestream h;
    dcb_error error = DCB_ERROR_INIT;

    assert_int_equal(dcb__codestream_read(&h, frame->bytes, frame->nbytes, 0, NULL, &error),
                     DCB_OK);
    size_t nbytes = decoded_nbytes(&h, reduce);
    uint8_t *samples[2] = {malloc(nbytes), malloc(nbytes)};
    for (int i = 0; i < 2; i++) {
        dcb__codec codec = i == 0 ? DCB_CODEC_ANY : DCB_CODEC_OPENJPEG;
        memset(samples[i], i, nbytes);
        dcb_status status =
            dcb__decode(samples[i], nbytes, &h, frame->bytes, frame->nbytes, reduce, codec, &error);
        if (h.components > 4)
            assert_int_equal(status, DCB_ERR_UNSUPPORTED);
        else if (status != DCB_OK)
            fail_msg("%s frame %llu: %s", frame->path, (unsigned long long)frame->index,
                     error.message);
    }
    count->too_many_components += h.components > 4;
    count->decoded += h.components <= 4;
    if (h.components <= 4)
        assert_memory_equal(samples[0], samples[1], nbytes);
    free(samples[0]);
    free(samples[1]);
}

static void visit_golden(const golden_frame *frame, void *context)
{
    decode_golden(frame, context, 0);
    decode_golden(frame, context, 1);
}

static void test_golden(void **state)
{
    (void)state;
    golden_count count = {0, 0};
    assert_true(golden_frames_each(TEST_DATA_DIR "/golden", visit_golden, &count) >= 59);
    assert_int_equal(count.too_many_components, 0);
    if (golden_frames_each(GOLDEN_DIR, visit_golden, &count) > 0)
        assert_int_equal(count.too_many_components, 2 * 2); /* rtdose and mf_ect */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
