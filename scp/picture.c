/* SPDX-License-Identifier: Apache-2.0 */
/* picture.c - what is done to a picture once it is rendered: scale, paste, number, write as PNG. */
#include "render.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The half-open range of source pixels that destination pixel i of n covers. */
static void covered(uint32_t *from, uint32_t *to, uint32_t i, uint32_t n, uint32_t source)
{
    *from = (uint32_t)((uint64_t)i * source / n);
    *to = (uint32_t)((uint64_t)(i + 1) * source / n);
    if (*to <= *from)
        *to = *from + 1;
}

int picture_scale(picture *out, const picture *image, uint32_t size, scp_error *error)
{
    uint32_t longer = image->width > image->height ? image->width : image->height;
    uint32_t width = (uint32_t)(((uint64_t)image->width * size + longer / 2) / longer);
    uint32_t height = (uint32_t)(((uint64_t)image->height * size + longer / 2) / longer);
    if (picture_create(out, width > 0 ? width : 1, height > 0 ? height : 1, error) != 0)
        return -1;
    for (uint32_t y = 0; y < out->height; y++) {
        uint32_t y0, y1;
        covered(&y0, &y1, y, out->height, image->height);
        for (uint32_t x = 0; x < out->width; x++) {
            uint32_t x0, x1;
            covered(&x0, &x1, x, out->width, image->width);
            uint64_t sum[3] = {0};
            for (uint32_t v = y0; v < y1; v++)
                for (uint32_t u = x0; u < x1; u++)
                    for (size_t k = 0; k < 3; k++)
                        sum[k] += image->rgb[3 * ((size_t)v * image->width + u) + k];
            uint64_t n = (uint64_t)(y1 - y0) * (x1 - x0);
            for (size_t k = 0; k < 3; k++)
                out->rgb[3 * ((size_t)y * out->width + x) + k] = (uint8_t)((sum[k] + n / 2) / n);
        }
    }
    return 0;
}

void picture_paste(picture *sheet, const picture *image, uint32_t x, uint32_t y)
{
    if (x >= sheet->width)
        return;
    uint32_t width = image->width < sheet->width - x ? image->width : sheet->width - x;
    for (uint32_t row = 0; row < image->height && y + row < sheet->height; row++)
        memcpy(sheet->rgb + 3 * ((size_t)(y + row) * sheet->width + x),
               image->rgb + 3 * (size_t)row * image->width, (size_t)width * 3);
}

/* Digits of 3 x 5 pixels, a row an octal digit, the top row first. */
static const uint16_t DIGITS[10] = {075557, 026227, 071747, 071717, 055711,
                                    074717, 074757, 071111, 075757, 075717};

void picture_draw_number(picture *image, uint32_t number, uint32_t x, uint32_t y)
{
    char text[16];
    snprintf(text, sizeof text, "%u", number);
    for (size_t i = 0; text[i] != '\0'; i++) {
        for (uint32_t v = 0; v < 7; v++) {
            for (uint32_t u = 0; u < 5; u++) {
                uint32_t px = x + (uint32_t)i * 4 + u, py = y + v;
                if (px >= image->width || py >= image->height)
                    continue;
                bool inside = u >= 1 && u <= 3 && v >= 1 && v <= 5;
                unsigned row = inside ? DIGITS[text[i] - '0'] >> (3 * (5 - v)) & 7 : 0;
                bool lit = inside && (row >> (3 - u) & 1) != 0;
                if (lit || u < 4) /* the next digit's border takes over the last column */
                    memset(image->rgb + 3 * ((size_t)py * image->width + px), lit ? 255 : 0, 3);
            }
        }
    }
}

int picture_encode_png(uint8_t **bytes, size_t *nbytes, const picture *image, scp_error *error)
{
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = image->width,
                     .height = image->height,
                     .format = PNG_FORMAT_RGB};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
    *nbytes = 0;
    *bytes = malloc(size);
    if (*bytes == NULL)
        return scp_fail(error, "out of memory for a picture");
    if (!png_image_write_to_memory(&png, *bytes, &size, 0, image->rgb, 0, NULL)) {
        free(*bytes);
        *bytes = NULL;
        return scp_fail(error, "a picture cannot be encoded: %s", png.message);
    }
    *nbytes = size;
    return 0;
}

int picture_write_png(const picture *image, const char *path, scp_error *error)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.part", path) < 0)
        return scp_fail(error, "out of memory for a file name");
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = image->width,
                     .height = image->height,
                     .format = PNG_FORMAT_RGB};
    int result = 0;
    if (!png_image_write_to_file(&png, temporary, 0, image->rgb, 0, NULL))
        result = scp_fail(error, "%s: %s", path, png.message);
    else if (rename(temporary, path) != 0)
        result = scp_fail(error, "%s: %s", path, strerror(errno));
    if (result != 0)
        unlink(temporary);
    free(temporary);
    return result;
}
