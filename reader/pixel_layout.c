/* SPDX-License-Identifier: Apache-2.0 */
/* pixel_layout.c - loads, stores and reorders samples, little endian on both sides. */
#include "pixel_layout.h"

#include <string.h>

#include "bytes.h"

uint64_t dcb__layout_nbytes(const dcb__pixel_layout *layout)
{
    return (uint64_t)layout->rows * layout->columns * layout->samples * (layout->allocated / 8u);
}

unsigned dcb__codec_container(unsigned precision)
{
    return precision <= 8 ? 1 : precision <= 16 ? 2 : 4;
}

static inline int64_t load_sample(const uint8_t *from, unsigned size, bool is_signed)
{
    switch (size) {
    case 1:
        return is_signed ? (int64_t)(int8_t)from[0] : (int64_t)from[0];
    case 2: {
        uint16_t value = (uint16_t)(from[0] | from[1] << 8);
        return is_signed ? (int64_t)(int16_t)value : (int64_t)value;
    }
    default: {
        uint32_t value = dcb__load32(from);
        return is_signed ? (int64_t)(int32_t)value : (int64_t)value;
    }
    }
}

bool dcb__layout_fits(const dcb__pixel_layout *layout, const uint8_t *samples, unsigned precision)
{
    unsigned size = layout->allocated / 8u;
    size_t n = (size_t)(dcb__layout_nbytes(layout) / size);
    if (precision >= layout->allocated)
        return precision == layout->allocated;
    int64_t low = layout->is_signed ? -((int64_t)1 << (precision - 1)) : 0;
    int64_t high = ((int64_t)1 << (layout->is_signed ? precision - 1 : precision)) - 1;
    bool fits = true;
    for (size_t i = 0; i < n; i++) {
        int64_t value = load_sample(samples + i * size, size, layout->is_signed);
        fits &= value >= low && value <= high;
    }
    return fits;
}

/* Copies samples from one form to the other; *_step are distances of pixels, *_plane those of a
   pixel's samples, in samples. */
typedef struct copy {
    uint8_t *to;
    const uint8_t *from;
    unsigned to_size, from_size;
    size_t npixels, to_step, to_plane, from_step, from_plane;
    uint16_t samples;
    bool is_signed;
} copy;

static void copy_samples(const copy *c)
{
    bool contiguous =
        c->to_size == c->from_size && c->to_step == c->from_step && c->to_plane == c->from_plane;
    if (contiguous) {
        memcpy(c->to, c->from, c->npixels * c->samples * c->to_size);
        return;
    }
    for (uint16_t k = 0; k < c->samples; k++) {
        uint8_t *to = c->to + k * c->to_plane * c->to_size;
        const uint8_t *from = c->from + k * c->from_plane * c->from_size;
        for (size_t i = 0; i < c->npixels; i++)
            dcb__store(to + i * c->to_step * c->to_size,
                       (uint64_t)load_sample(from + i * c->from_step * c->from_size, c->from_size,
                                             c->is_signed),
                       c->to_size);
    }
}

void dcb__layout_to_codec(uint8_t *to, const dcb__pixel_layout *layout, const uint8_t *samples,
                          unsigned precision)
{
    size_t npixels = (size_t)layout->rows * layout->columns;
    bool planes = layout->by_plane && layout->samples > 1;
    copy_samples(&(copy){.to = to,
                         .from = samples,
                         .to_size = dcb__codec_container(precision),
                         .from_size = layout->allocated / 8u,
                         .npixels = npixels,
                         .to_step = layout->samples,
                         .to_plane = 1,
                         .from_step = planes ? 1 : layout->samples,
                         .from_plane = planes ? npixels : 1,
                         .samples = layout->samples,
                         .is_signed = layout->is_signed});
}

void dcb__layout_from_codec(uint8_t *to, const dcb__pixel_layout *layout, const uint8_t *samples,
                            unsigned precision)
{
    size_t npixels = (size_t)layout->rows * layout->columns;
    bool planes = layout->by_plane && layout->samples > 1;
    copy_samples(&(copy){.to = to,
                         .from = samples,
                         .to_size = layout->allocated / 8u,
                         .from_size = dcb__codec_container(precision),
                         .npixels = npixels,
                         .to_step = planes ? 1 : layout->samples,
                         .to_plane = planes ? npixels : 1,
                         .from_step = layout->samples,
                         .from_plane = 1,
                         .samples = layout->samples,
                         .is_signed = layout->is_signed});
}
