/* SPDX-License-Identifier: Apache-2.0 */
/* render.c - samples to pictures: window, inversion, palette, colour. */
#include "render.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int picture_create(picture *out, uint32_t width, uint32_t height, scp_error *error)
{
    *out = (picture)PICTURE_INIT;
    uint8_t *rgb = calloc((size_t)width * height, 3);
    if (rgb == NULL)
        return scp_fail(error, "out of memory for a picture of %u x %u", width, height);
    *out = (picture){.width = width, .height = height, .rgb = rgb};
    return 0;
}

void picture_free(picture *image)
{
    free(image->rgb);
    *image = (picture)PICTURE_INIT;
}

/* Sample i, from little-endian containers of 1, 2 or 4 bytes. */
static int64_t load_sample(const uint8_t *samples, const dcb_pixel_format *format, size_t i)
{
    switch (format->bits_allocated) {
    case 8:
        return format->is_signed ? (int8_t)samples[i] : samples[i];
    case 16: {
        uint16_t bits = (uint16_t)(samples[2 * i] | samples[2 * i + 1] << 8);
        return format->is_signed ? (int16_t)bits : bits;
    }
    default: {
        const uint8_t *p = samples + 4 * i;
        uint32_t bits =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        return format->is_signed ? (int64_t)(int32_t)bits : (int64_t)bits;
    }
    }
}

static bool is_padding(const render_recipe *recipe, int64_t value)
{
    return recipe->has_padding && value >= recipe->padding_low && value <= recipe->padding_high;
}

/* The window that shows the frame's whole range of values. */
static render_window automatic_window(const uint8_t *samples, size_t count,
                                      const dcb_pixel_format *format, const render_recipe *recipe)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (size_t i = 0; i < count; i++) {
        int64_t value = load_sample(samples, format, i);
        if (is_padding(recipe, value))
            continue;
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    if (low > high)
        low = high = 0;
    double a = (double)low * recipe->slope + recipe->intercept;
    double b = (double)high * recipe->slope + recipe->intercept;
    double width = fabs(b - a) + 1;
    return (render_window){.center = (a + b + 1) / 2, .width = width};
}

/* PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT); 0 to 255. */
static uint8_t window_value(double x, const render_window *window, const render_recipe *recipe)
{
    double c = window->center, w = window->width, y;
    switch (recipe->function) {
    case VOI_SIGMOID:
        y = 1 / (1 + exp(-4 * (x - c) / w));
        break;
    case VOI_LINEAR_EXACT:
        y = (x - c) / w + 0.5;
        break;
    default:
        y = w > 1 ? (x - (c - 0.5)) / (w - 1) + 0.5 : (x > c - 0.5 ? 1 : 0);
        break;
    }
    y = y < 0 ? 0 : y > 1 ? 1 : y;
    return (uint8_t)lround(y * 255);
}

static void render_gray(picture *image, const uint8_t *samples, const dcb_pixel_format *format,
                        const render_recipe *recipe)
{
    size_t count = (size_t)image->width * image->height;
    render_window window =
        recipe->has_window ? recipe->window : automatic_window(samples, count, format, recipe);
    for (size_t i = 0; i < count; i++) {
        int64_t stored = load_sample(samples, format, i);
        uint8_t gray =
            window_value((double)stored * recipe->slope + recipe->intercept, &window, recipe);
        memset(image->rgb + 3 * i, recipe->inverted ? 255 - gray : gray, 3);
    }
}

static void render_palette(picture *image, const uint8_t *samples, const dcb_pixel_format *format,
                           const render_recipe *recipe)
{
    size_t count = (size_t)image->width * image->height;
    for (size_t i = 0; i < count; i++) {
        /* Values outside the table take its first or last entry (PS3.3 C.7.6.3.1.5). */
        int64_t entry = load_sample(samples, format, i) - recipe->palette_first;
        if (entry < 0)
            entry = 0;
        if (entry >= recipe->palette_entries)
            entry = recipe->palette_entries - 1;
        memcpy(image->rgb + 3 * i, recipe->palette + 3 * entry, 3);
    }
}

static uint8_t clamp_byte(double value)
{
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)lround(value);
}

static void render_colour(picture *image, const uint8_t *samples, const dcb_pixel_format *format,
                          const render_recipe *recipe)
{
    size_t count = (size_t)image->width * image->height;
    unsigned shift = format->bits_stored > 8 ? format->bits_stored - 8u : 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t *rgb = image->rgb + 3 * i;
        double v[3];
        for (size_t k = 0; k < 3; k++) {
            int64_t value = load_sample(samples, format, i * format->samples_per_pixel + k);
            v[k] = (double)((uint64_t)(value < 0 ? 0 : value) >> shift);
        }
        if (recipe->ybr) { /* PS3.3 C.7.6.3.1.2 */
            double y = v[0], cb = v[1] - 128, cr = v[2] - 128;
            v[0] = y + 1.402 * cr;
            v[1] = y - 0.344136 * cb - 0.714136 * cr;
            v[2] = y + 1.772 * cb;
        }
        for (size_t k = 0; k < 3; k++)
            rgb[k] = clamp_byte(v[k]);
    }
}

int render_samples(picture *out, const void *samples, const dcb_pixel_format *format,
                   const render_recipe *recipe, scp_error *error)
{
    if (picture_create(out, format->columns, format->rows, error) != 0)
        return -1;
    if (format->samples_per_pixel >= 3)
        render_colour(out, samples, format, recipe);
    else if (recipe->palette_entries > 0)
        render_palette(out, samples, format, recipe);
    else
        render_gray(out, samples, format, recipe);
    return 0;
}

/* Levels that may be dropped so that the longer side still has `size` pixels. */
static uint32_t levels_to_drop(const dcb_pixel_format *format, uint32_t size)
{
    uint32_t longer = format->rows > format->columns ? format->rows : format->columns;
    uint32_t reduce = 0;
    while (size > 0 && reduce < 5 && longer >> (reduce + 1) >= size)
        reduce++;
    return reduce;
}

int render_frame(picture *out, dcb_series *series, uint32_t frame, const render_options *options,
                 scp_error *error)
{
    *out = (picture)PICTURE_INIT;
    dcb_error why = DCB_ERROR_INIT;
    dcb_frame_info info;
    void *samples = NULL;
    size_t nbytes = 0;
    dcb_pixel_format format;
    dcb_dataset *dataset = NULL;
    render_recipe recipe = {0};
    picture whole = PICTURE_INIT;
    int result = -1;

    if (dcb_series_frame_info(&info, series, frame, &why) != DCB_OK ||
        dcb_series_dataset(&dataset, series, frame, true, &why) != DCB_OK)
        goto failed;
    /* A palette's indices must not be averaged, so they are decoded whole. */
    bool indices = dcb_dataset_find(dataset, DCB_TAG(0x0028, 0x1101)) != NULL;
    uint32_t reduce = indices ? 0 : levels_to_drop(&info.pixel, options->size);
    dcb_status status = dcb_series_pixels(&samples, &nbytes, &format, series, frame, reduce, &why);
    if (status != DCB_OK && reduce > 0) /* the codestream may have fewer levels than that */
        status = dcb_series_pixels(&samples, &nbytes, &format, series, frame, 0, &why);
    if (status != DCB_OK)
        goto failed;

    if (render_recipe_read(&recipe, dataset, &format, error) != 0)
        goto done;
    if (options->window != NULL) {
        recipe.window = *options->window;
        recipe.has_window = true;
    }
    if (render_samples(&whole, samples, &format, &recipe, error) != 0)
        goto done;
    if (options->size == 0) {
        *out = whole;
        whole = (picture)PICTURE_INIT;
        result = 0;
    } else {
        result = picture_scale(out, &whole, options->size, error);
    }
    goto done;

failed:
    scp_fail(error, "frame %u: %s", frame, why.message);
done:
    picture_free(&whole);
    render_recipe_free(&recipe);
    dcb_dataset_close(dataset);
    free(samples);
    return result;
}
