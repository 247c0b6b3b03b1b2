/* SPDX-License-Identifier: Apache-2.0 */
/* test_writer_frames.c - codestreams that are taken as they are: of a source, of another file;
   samples that came decoded. */
#include "temp_dir.h"
#include "writer_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_htj2k_is_kept(void **state)
{
    const writer_fixture *f = *state;
    const source_kind kind = {.name = "htj2k", .is_signed = true};
    char *again = path_join(f->path, "again.dcbs");
    writer_fixture_write(f->file, &kind, NSLICES, NULL);
    dcb_series *series = writer_fixture_open(f->file, false);
    dcb_writer *writer = NULL;
    assert_int_equal(dcb_writer_create(&writer, again, NULL, NULL), DCB_OK);
    for (uint32_t i = 0; i < NSLICES; i++) {
        dcb_error error = DCB_ERROR_INIT;
        size_t nbytes = 0;
        dcb_frame *frame = writer_fixture_frame(series, i, DCB_ENCODING_STORED);
        const uint8_t *bytes = dcb_frame_dataset(frame, &nbytes);
        if (writer_fixture_add(writer, bytes, nbytes, dcb_frame_transfer_syntax_uid(frame),
                               &error) != DCB_OK)
            fail_msg("%s", error.message);
        dcb_frame_release(frame);
    }
    /* One that came native, in the same series. */
    size_t nbytes = 0;
    uint8_t *bytes = source_instance(&nbytes, &kind, NSLICES);
    assert_int_equal(writer_fixture_add(writer, bytes, nbytes, EXPLICIT, NULL), DCB_OK);
    assert_int_equal(dcb_writer_commit(writer, NULL, NULL), DCB_OK);
    dcb_series *second = writer_fixture_open(again, false);
    for (uint32_t i = 0; i < NSLICES; i++) {
        dcb_frame *x = writer_fixture_frame(series, i, DCB_ENCODING_STORED);
        dcb_frame *y = writer_fixture_frame(second, i, DCB_ENCODING_STORED);
        size_t x_nbytes = 0, y_nbytes = 0;
        const uint8_t *x_bytes = dcb_frame_dataset(x, &x_nbytes);
        const uint8_t *y_bytes = dcb_frame_dataset(y, &y_nbytes);
        assert_int_equal(x_nbytes, y_nbytes);
        assert_memory_equal(x_bytes, y_bytes, x_nbytes);
        dcb_frame_release(x);
        dcb_frame_release(y);
        assert_true(writer_fixture_holds(second, &kind, i));
    }
    assert_true(writer_fixture_holds(second, &kind, NSLICES));
    free(bytes);
    free(again);
    dcb_series_close(series);
    dcb_series_close(second);
}

/* Slices of a file and new ones in a new file: nothing of either is another than it was. */
static void test_frames_of_another_file(void **state)
{
    const writer_fixture *f = *state;
    char *again = path_join(f->path, "again.dcbs");
    for (size_t k = 0; k < source_nkinds; k++) {
        writer_fixture_write(f->file, &source_kinds[k], 3, NULL);
        dcb_series *first = writer_fixture_open(f->file, false);
        dcb_writer *writer = NULL;
        dcb_writer_summary summary;
        dcb_error error = DCB_ERROR_INIT;
        assert_int_equal(dcb_writer_create(&writer, again, NULL, NULL), DCB_OK);
        static const uint32_t order[] = {1, 3, 0, 2, 4}; /* 3 and 4 are new */
        for (size_t i = 0; i < 5; i++) {
            size_t nbytes = 0;
            uint8_t *bytes = source_instance(&nbytes, &source_kinds[k], order[i]);
            dcb_status status = order[i] < 3
                                    ? dcb_writer_add_frame(writer, first, order[i], &error)
                                    : writer_fixture_add(writer, bytes, nbytes, EXPLICIT, &error);
            if (status != DCB_OK)
                fail_msg("%s: slice %u: %s", source_kinds[k].name, order[i], error.message);
            free(bytes);
        }
        assert_int_equal(dcb_writer_add_frame(writer, first, 1, &error), DCB_ERR_ARGUMENT);
        assert_int_equal(dcb_writer_add_frame(writer, first, 3, &error), DCB_ERR_RANGE);
        assert_int_equal(dcb_writer_commit(writer, &summary, &error), DCB_OK);
        assert_int_equal(summary.nframes, 5);
        dcb_series *second = writer_fixture_open(again, false);
        for (uint32_t i = 0; i < 5; i++) {
            size_t nbytes = 0, got = 0;
            uint8_t *bytes = source_instance(&nbytes, &source_kinds[k], order[i]);
            dcb_frame *frame = writer_fixture_frame(second, i, DCB_ENCODING_EXPLICIT_LE);
            const uint8_t *dataset = dcb_frame_dataset(frame, &got);
            if (got != nbytes || memcmp(dataset, bytes, nbytes) != 0)
                fail_msg("%s: slice %u is not what was taken in", source_kinds[k].name, order[i]);
            dcb_frame_release(frame);
            free(bytes);
        }
        dcb_series_close(first);
        dcb_series_close(second);
    }
    free(again);
}

/* A file of another writer does not tell what was taken in. */
static void test_frames_without_trailer(void **state)
{
    const writer_fixture *f = *state;
    char *again = path_join(f->path, "again.dcbs");
    dcb_writer *writer = NULL;
    dcb_error error = DCB_ERROR_INIT;
    writer_fixture_write(f->file, &source_kinds[0], 1, NULL);
    dcb_series *series = writer_fixture_open(f->file, true);
    assert_int_equal(dcb_writer_create(&writer, again, NULL, NULL), DCB_OK);
    assert_int_equal(dcb_writer_add_frame(writer, series, 0, &error), DCB_ERR_UNSUPPORTED);
    dcb_writer_abort(writer);
    dcb_series_close(series);
    free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_htj2k_is_kept),
        cmocka_unit_test(test_frames_of_another_file),
        cmocka_unit_test(test_frames_without_trailer),
    };
    return cmocka_run_group_tests(tests, writer_fixture_setup, writer_fixture_teardown);
}
