/* SPDX-License-Identifier: Apache-2.0 */
/*
 * render.h - frames as pictures for people: the grayscale pipeline of PS3.4 annex N reduced to
 * modality rescale, VOI window and presentation shape; palettes and colour as they are.
 *
 * For looking, not for diagnosis: no presentation state, no overlays, 8 bits.
 *
 * Threads: any; a picture is a plain value.
 */
#ifndef RENDER_H
#define RENDER_H

#include "../reader/dcb.h"
#include "scp_error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct picture {
    uint32_t width, height;
    uint8_t *rgb; /* width * height * 3, rows from the top; free with picture_free */
} picture;

#define PICTURE_INIT                                                                               \
    {                                                                                              \
        0, 0, NULL                                                                                 \
    }

int picture_create(picture *out, uint32_t width, uint32_t height, scp_error *error);
void picture_free(picture *image);

/* A VOI window in real-world units (PS3.3 C.11.2.1.2). */
typedef struct render_window {
    double center, width; /* width > 0 */
} render_window;

typedef struct render_options {
    const render_window *window; /* NULL: the data set's own, else the frame's range of values */
    uint32_t size;               /* of the longer side, in pixels; 0: as the frame is */
} render_options;

/* Decodes one frame and renders it, decoding no more resolution than `size` needs. */
int render_frame(picture *out, dcb_series *series, uint32_t frame, const render_options *options,
                 scp_error *error);

/* How samples become gray or colour, taken from a data set. */
typedef struct render_recipe {
    bool inverted; /* MONOCHROME1 */
    bool ybr;      /* YBR_FULL and YBR_FULL_422, which decode to full YBR samples */
    double slope, intercept;
    render_window window;
    bool has_window;
    enum { VOI_LINEAR, VOI_LINEAR_EXACT, VOI_SIGMOID } function;
    bool has_padding; /* stored values that are not image: left out of the automatic window */
    int64_t padding_low, padding_high;
    uint32_t palette_entries; /* 0: no palette */
    int64_t palette_first;
    uint8_t *palette; /* palette_entries RGB triples; freed by render_recipe_free */
} render_recipe;

/* Never fails for missing attributes: what is not there takes its default. */
int render_recipe_read(render_recipe *out, const dcb_dataset *dataset,
                       const dcb_pixel_format *format, scp_error *error);
void render_recipe_free(render_recipe *recipe);

/* Samples as dcb_series_pixels gives them to a picture of the same size. */
int render_samples(picture *out, const void *samples, const dcb_pixel_format *format,
                   const render_recipe *recipe, scp_error *error);

/* Resamples by the mean of the covered pixels (smaller) or by the nearest (larger), keeping the
   proportions: the longer side becomes size. */
int picture_scale(picture *out, const picture *image, uint32_t size, scp_error *error);

/* Copies image into sheet with its top left corner at x, y; what lies outside is cut off. */
void picture_paste(picture *sheet, const picture *image, uint32_t x, uint32_t y);
/* Writes a number in small digits, light on dark, at x, y. */
void picture_draw_number(picture *image, uint32_t number, uint32_t x, uint32_t y);

/* A PNG in memory; free() *bytes. */
int picture_encode_png(uint8_t **bytes, size_t *nbytes, const picture *image, scp_error *error);
/* Writes a PNG, complete at once (by rename). */
int picture_write_png(const picture *image, const char *path, scp_error *error);

#endif
