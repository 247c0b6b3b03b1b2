/* SPDX-License-Identifier: Apache-2.0 */
/* test_render.c - samples to pictures: window functions, inversion, padding, palette, colour. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "render.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const dcb_pixel_format SIGNED_16 = {.rows = 1,
                                           .columns = 4,
                                           .samples_per_pixel = 1,
                                           .bits_allocated = 16,
                                           .bits_stored = 16,
                                           .is_signed = true,
                                           .rescale_slope = 1,
                                           .rescale_intercept = -1000};

static void put_text(dcb_dataset *dataset, uint32_t tag, dcb_vr vr, const char *text)
{
    assert_int_equal(dcb_dataset_put_text(dataset, tag, vr, text, NULL), DCB_OK);
}

/* The gray levels of four samples under a data set's recipe. */
static void gray_levels(uint8_t out[4], const dcb_dataset *dataset, const int16_t samples[4])
{
    render_recipe recipe;
    picture image;
    assert_int_equal(render_recipe_read(&recipe, dataset, &SIGNED_16, NULL), 0);
    assert_int_equal(render_samples(&image, samples, &SIGNED_16, &recipe, NULL), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(image.rgb[3 * i], image.rgb[3 * i + 1]);
        assert_int_equal(image.rgb[3 * i], image.rgb[3 * i + 2]);
        out[i] = image.rgb[3 * i];
    }
    picture_free(&image);
    render_recipe_free(&recipe);
}

static void window_functions(void **state)
{
    (void)state;
    /* Real values -50, 0, 50, 150 with the window 50/100: by hand from PS3.3 C.11.2.1. */
    static const int16_t samples[4] = {950, 1000, 1050, 1150};
    static const struct {
        const char *photometric, *function;
        uint8_t expected[4];
    } cases[] = {
        {"MONOCHROME2", "LINEAR", {0, 0, 129, 255}},
        {"MONOCHROME2", "LINEAR_EXACT", {0, 0, 128, 255}},
        {"MONOCHROME2", "SIGMOID", {5, 30, 128, 250}},
        {"MONOCHROME1", "LINEAR", {255, 255, 126, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dcb_dataset *dataset = NULL;
        uint8_t levels[4];
        assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
        put_text(dataset, 0x00280004, DCB_VR('C', 'S'), cases[i].photometric);
        put_text(dataset, 0x00281050, DCB_VR('D', 'S'), "50\\10");
        put_text(dataset, 0x00281051, DCB_VR('D', 'S'), "100\\20");
        put_text(dataset, 0x00281056, DCB_VR('C', 'S'), cases[i].function);
        gray_levels(levels, dataset, samples);
        assert_memory_equal(levels, cases[i].expected, sizeof levels);
        dcb_dataset_close(dataset);
    }
}

static void automatic_window_leaves_padding_out(void **state)
{
    (void)state;
    static const int16_t samples[4] = {-2000, 0, 50, 100};
    static const uint8_t padding[2] = {0x30, 0xF8}; /* -2000 */
    dcb_dataset *dataset = NULL;
    uint8_t levels[4];
    assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
    assert_int_equal(
        dcb_dataset_put(dataset, 0x00280120, DCB_VR('S', 'S'), padding, sizeof padding, NULL),
        DCB_OK);
    gray_levels(levels, dataset, samples);
    assert_int_equal(levels[0], 0);
    assert_int_equal(levels[1], 0);
    assert_in_range(levels[2], 126, 129);
    assert_int_equal(levels[3], 255);
    dcb_dataset_close(dataset);
}

static void palette_of_words(void **state)
{
    (void)state;
    static const dcb_pixel_format format = {.rows = 1,
                                            .columns = 3,
                                            .samples_per_pixel = 1,
                                            .bits_allocated = 8,
                                            .bits_stored = 8,
                                            .rescale_slope = 1};
    static const uint8_t descriptor[6] = {2, 0, 10, 0, 16, 0}; /* 2 entries from 10, 16 bits */
    static const uint8_t planes[3][4] = {
        {0, 0x11, 0, 0x44}, {0, 0x22, 0, 0x55}, {0, 0x33, 0, 0x66}};
    static const uint8_t samples[3] = {10, 11, 200}; /* the last: beyond the table */
    static const uint8_t expected[9] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x44, 0x55, 0x66};
    dcb_dataset *dataset = NULL;
    assert_int_equal(dcb_dataset_create(&dataset, NULL), DCB_OK);
    put_text(dataset, 0x00280004, DCB_VR('C', 'S'), "PALETTE COLOR");
    for (uint32_t i = 0; i < 3; i++) {
        dcb_dataset_put(dataset, 0x00281101 + i, DCB_VR('U', 'S'), descriptor, 6, NULL);
        dcb_dataset_put(dataset, 0x00281201 + i, DCB_VR('O', 'W'), planes[i], 4, NULL);
    }
    render_recipe recipe;
    picture image;
    assert_int_equal(render_recipe_read(&recipe, dataset, &format, NULL), 0);
    assert_int_equal(render_samples(&image, samples, &format, &recipe, NULL), 0);
    assert_memory_equal(image.rgb, expected, sizeof expected);
    picture_free(&image);
    render_recipe_free(&recipe);
    dcb_dataset_close(dataset);
}

static void colour_spaces(void **state)
{
    (void)state;
    static const dcb_pixel_format format = {.rows = 1,
                                            .columns = 2,
                                            .samples_per_pixel = 3,
                                            .bits_allocated = 8,
                                            .bits_stored = 8,
                                            .rescale_slope = 1};
    static const uint8_t ybr[6] = {76, 85, 255, 128, 128, 128}; /* red, mid gray */
    const render_recipe as_ybr = {.ybr = true}, as_rgb = {.ybr = false};
    picture image;
    assert_int_equal(render_samples(&image, ybr, &format, &as_rgb, NULL), 0);
    assert_memory_equal(image.rgb, ybr, sizeof ybr);
    picture_free(&image);
    assert_int_equal(render_samples(&image, ybr, &format, &as_ybr, NULL), 0);
    assert_in_range(image.rgb[0], 252, 255);
    assert_in_range(image.rgb[1], 0, 3);
    assert_in_range(image.rgb[2], 0, 3);
    assert_int_equal(image.rgb[3], 128);
    assert_int_equal(image.rgb[5], 128);
    picture_free(&image);
}

static void scale_keeps_proportions_and_mean(void **state)
{
    (void)state;
    picture image, half, twice;
    assert_int_equal(picture_create(&image, 4, 2, NULL), 0);
    for (size_t i = 0; i < 8; i++)
        memset(image.rgb + 3 * i, (int)(i % 2 ? 100 : 0), 3);
    assert_int_equal(picture_scale(&half, &image, 2, NULL), 0);
    assert_int_equal(half.width, 2);
    assert_int_equal(half.height, 1);
    assert_int_equal(half.rgb[0], 50);
    assert_int_equal(picture_scale(&twice, &image, 8, NULL), 0);
    assert_int_equal(twice.width, 8);
    assert_int_equal(twice.height, 4);
    assert_int_equal(twice.rgb[3 * 2], 100);
    picture_free(&half);
    picture_free(&twice);
    picture_free(&image);
}

static void png_holds_the_pixels(void **state)
{
    (void)state;
    char path[] = "/tmp/test_render.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    picture image;
    assert_int_equal(picture_create(&image, 3, 2, NULL), 0);
    picture_draw_number(&image, 7, 0, 0);
    assert_int_equal(picture_write_png(&image, path, NULL), 0);
    FILE *file = fopen(path, "rb");
    uint8_t head[24];
    assert_non_null(file);
    assert_int_equal(fread(head, 1, sizeof head, file), sizeof head);
    fclose(file);
    assert_memory_equal(head, "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal(head[19], 3); /* IHDR: width, height */
    assert_int_equal(head[23], 2);
    unlink(path);

    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(picture_write_png(&image, "/nonexistent/x.png", &error), -1);
    assert_non_null(strstr(error.message, "/nonexistent/x.png"));
    picture_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window_functions),
        cmocka_unit_test(automatic_window_leaves_padding_out),
        cmocka_unit_test(palette_of_words),
        cmocka_unit_test(colour_spaces),
        cmocka_unit_test(scale_keeps_proportions_and_mean),
        cmocka_unit_test(png_holds_the_pixels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
