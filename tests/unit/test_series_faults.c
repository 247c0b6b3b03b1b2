/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_series_faults.c - each allocation of our C code fails once while a series is opened and
 * used: the call says so or does without, nothing leaks (AddressSanitizer), and the next call is
 * right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "dcb.h"
#include "fail_alloc.h"

#include <stdlib.h>
#include <string.h>

static const char *const files[] = {
    TEST_DATA_DIR "/golden/tiny3/series.dcbs",
    TEST_DATA_DIR "/golden/edge_missing_seq/series.dcbs",
    TEST_DATA_DIR "/golden/older_v0.2.2/series.dcbs",
};
#define NFILES (sizeof files / sizeof *files)

static void check(const char *what, unsigned n, bool failed, dcb_status status,
                  const dcb_error *error)
{
    if (status == DCB_OK)
        return;
    if (!failed || status != DCB_ERR_NO_MEMORY || error->status != status ||
        error->message[0] == '\0')
        fail_msg("%s, allocation %u: status %d, error %d \"%s\"", what, n, (int)status,
                 (int)error->status, error->message);
}

static void test_open(void **state)
{
    (void)state;
    dcb_cache *cache;
    assert_int_equal(dcb_cache_create(&cache, NULL, NULL), DCB_OK);
    for (size_t f = 0; f < NFILES; f++) {
        bool failed = true;
        unsigned n, refused = 0;
        for (n = 1; failed; n++) {
            dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
            options.cache = cache;
            options.prefetch_frames = 2;
            dcb_series *series = (dcb_series *)&options;
            dcb_error error = DCB_ERROR_INIT;
            fail_alloc_at(n);
            dcb_status status = dcb_series_open(&series, files[f], &options, &error);
            failed = fail_alloc_end();
            check(files[f], n, failed, status, &error);
            assert_true((status == DCB_OK) == (series != NULL));
            refused += status != DCB_OK;
            dcb_series_close(series);
        }
        assert_true(refused >= 10);
    }
    dcb_cache_close(cache);
}

static void test_frame(void **state)
{
    (void)state;
    for (size_t f = 0; f < NFILES; f++) {
        for (int e = 0; e < DCB_ENCODING_COUNT; e++) {
            bool failed = true;
            dcb_frame *instance = NULL, *whole = NULL;
            dcb_series *series;
            assert_int_equal(dcb_series_open(&series, files[f], NULL, NULL), DCB_OK);
            assert_int_equal(dcb_series_frame(&whole, series, 1, (dcb_encoding)e, NULL), DCB_OK);
            dcb_series_close(series);
            for (unsigned n = 1; failed; n++) {
                dcb_error error = DCB_ERROR_INIT;
                /* Opened anew: what is made at the first call is to fail too. */
                assert_int_equal(dcb_series_open(&series, files[f], NULL, NULL), DCB_OK);
                fail_alloc_at(n);
                dcb_status status = dcb_series_frame(&instance, series, 1, (dcb_encoding)e, &error);
                failed = fail_alloc_end();
                check(files[f], n, failed, status, &error);
                if (status != DCB_OK) {
                    assert_null(instance);
                    assert_int_equal(dcb_series_frame(&instance, series, 1, (dcb_encoding)e, NULL),
                                     DCB_OK);
                }
                size_t nbytes, whole_nbytes;
                const uint8_t *bytes = dcb_frame_part10(instance, &nbytes);
                const uint8_t *whole_bytes = dcb_frame_part10(whole, &whole_nbytes);
                assert_int_equal(nbytes, whole_nbytes);
                assert_memory_equal(bytes, whole_bytes, nbytes);
                dcb_frame_release(instance);
                dcb_series_close(series);
            }
            dcb_frame_release(whole);
        }
    }
}

static void test_pixels_and_data_sets(void **state)
{
    (void)state;
    for (size_t f = 0; f < NFILES; f++) {
        dcb_series *series;
        assert_int_equal(dcb_series_open(&series, files[f], NULL, NULL), DCB_OK);
        bool failed = true;
        for (unsigned n = 1; failed; n++) {
            void *samples;
            size_t nbytes;
            dcb_pixel_format format;
            dcb_error error = DCB_ERROR_INIT;
            fail_alloc_at(n);
            dcb_status status = dcb_series_pixels(&samples, &nbytes, &format, series, 0, 0, &error);
            failed = fail_alloc_end();
            check("pixels", n, failed, status, &error);
            assert_true((status == DCB_OK) == (samples != NULL));
            free(samples);
        }
        failed = true;
        for (unsigned n = 1; failed; n++) {
            dcb_dataset *dataset;
            dcb_error error = DCB_ERROR_INIT;
            fail_alloc_at(n);
            dcb_status status = dcb_series_dataset(&dataset, series, 0, n % 2 == 0, &error);
            failed = fail_alloc_end();
            check("data set", n, failed, status, &error);
            assert_true((status == DCB_OK) == (dataset != NULL));
            if (status == DCB_OK)
                assert_non_null(dcb_dataset_find(dataset, DCB_TAG(0x0020, 0x000e)));
            dcb_dataset_close(dataset);
        }
        failed = true;
        for (unsigned n = 1; failed; n++) {
            dcb_dataset *element;
            char *json = NULL;
            size_t nbytes;
            dcb_error error = DCB_ERROR_INIT;
            fail_alloc_at(n);
            dcb_status status = dcb_series_element(&element, NULL, series, 0,
                                                   DCB_TAG(0x0010, 0x0010), true, &error);
            if (status == DCB_OK)
                status = dcb_series_json(&json, &nbytes, series, 0, &error);
            failed = fail_alloc_end();
            check("element and JSON", n, failed, status, &error);
            assert_true((status == DCB_OK) == (json != NULL));
            dcb_dataset_close(element);
            free(json);
        }
        dcb_series_close(series);
    }
}

static void no_problem(void *context, uint32_t frame, const dcb_error *problem)
{
    (void)context;
    fail_msg("frame %d: %s", (int)frame, problem->message);
}

/* Too little memory for a check is no problem of the file. */
static void test_verify(void **state)
{
    (void)state;
    for (size_t f = 0; f < NFILES; f++) {
        dcb_series *series;
        bool failed = true;
        assert_int_equal(dcb_series_open(&series, files[f], NULL, NULL), DCB_OK);
        for (unsigned n = 1; failed; n++) {
            dcb_error error = DCB_ERROR_INIT;
            fail_alloc_at(n);
            dcb_status status = dcb_series_verify(series, no_problem, NULL, &error);
            if (status == DCB_OK)
                status = dcb_series_verify_frame(series, 0, no_problem, NULL, &error);
            failed = fail_alloc_end();
            check("verify", n, failed, status, &error);
        }
        dcb_series_close(series);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_frame),
        cmocka_unit_test(test_pixels_and_data_sets),
        cmocka_unit_test(test_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
