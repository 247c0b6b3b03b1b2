/* SPDX-License-Identifier: Apache-2.0 */
/*
 * render_recipe.c - what a data set says of how its samples are to be shown.
 *
 * Numbers come as DS text or as binary of the pixels' sign; both are read leniently, since a
 * picture with a default window is better than none.
 */
#include "render.h"

#include <stdlib.h>
#include <string.h>

#define TAG_PHOTOMETRIC_INTERPRETATION DCB_TAG(0x0028, 0x0004)
#define TAG_PIXEL_PADDING_VALUE        DCB_TAG(0x0028, 0x0120)
#define TAG_PIXEL_PADDING_RANGE_LIMIT  DCB_TAG(0x0028, 0x0121)
#define TAG_WINDOW_CENTER              DCB_TAG(0x0028, 0x1050)
#define TAG_WINDOW_WIDTH               DCB_TAG(0x0028, 0x1051)
#define TAG_VOI_LUT_FUNCTION           DCB_TAG(0x0028, 0x1056)
#define TAG_RED_PALETTE_DESCRIPTOR     DCB_TAG(0x0028, 0x1101)
#define TAG_RED_PALETTE_DATA           DCB_TAG(0x0028, 0x1201)

/* The first value of a DS element. */
static bool first_number(double *out, const dcb_dataset *dataset, uint32_t tag)
{
    char text[64];
    if (dcb_dataset_get_text(dataset, tag, text, sizeof text) <= 0)
        return false;
    char *end = NULL;
    *out = strtod(text, &end);
    return end != text;
}

static uint16_t load_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static bool stored_value(int64_t *out, const dcb_dataset *dataset, uint32_t tag, bool is_signed)
{
    const dcb_element *element = dcb_dataset_find(dataset, tag);
    if (element == NULL || element->nbytes < 2 || element->value == NULL)
        return false;
    uint16_t bits = load_u16(element->value);
    *out = is_signed ? (int16_t)bits : bits;
    return true;
}

/* One colour of the palette (PS3.3 C.7.6.3.1.5): 8-bit entries are packed two to a word; 16-bit
   ones keep their high byte. False where the table is missing or short. */
static bool read_palette_plane(uint8_t *triples, uint32_t entries, const dcb_element *descriptor,
                               const dcb_element *data)
{
    if (descriptor == NULL || data == NULL || descriptor->nbytes < 6 || data->value == NULL)
        return false;
    uint32_t count = load_u16(descriptor->value);
    if ((count == 0 ? 65536 : count) != entries)
        return false;
    uint16_t bits = load_u16(descriptor->value + 4);
    /* Some writers say 16 bits with values of 8, or give 8-bit entries a word each: the length
       tells how they lie. */
    bool words = data->nbytes >= entries * 2;
    if (!words && data->nbytes < entries)
        return false;
    for (uint32_t i = 0; i < entries; i++) {
        if (words)
            triples[3 * i] = bits > 8 ? data->value[2 * i + 1] : data->value[2 * i];
        else
            triples[3 * i] = data->value[i];
    }
    return true;
}

static int read_palette(render_recipe *recipe, const dcb_dataset *dataset,
                        const dcb_pixel_format *format, scp_error *error)
{
    const dcb_element *descriptor = dcb_dataset_find(dataset, TAG_RED_PALETTE_DESCRIPTOR);
    if (descriptor == NULL || descriptor->nbytes < 6)
        return 0;
    uint32_t entries = load_u16(descriptor->value);
    if (entries == 0)
        entries = 65536;
    uint8_t *triples = malloc((size_t)entries * 3);
    if (triples == NULL)
        return scp_fail(error, "out of memory for a palette of %u entries", entries);
    for (uint32_t plane = 0; plane < 3; plane++) {
        if (!read_palette_plane(triples + plane, entries,
                                dcb_dataset_find(dataset, TAG_RED_PALETTE_DESCRIPTOR + plane),
                                dcb_dataset_find(dataset, TAG_RED_PALETTE_DATA + plane))) {
            free(triples);
            return 0; /* shown as gray: the palette was dropped by the file's writer */
        }
    }
    uint16_t first = load_u16(descriptor->value + 2);
    recipe->palette = triples;
    recipe->palette_entries = entries;
    recipe->palette_first = format->is_signed ? (int16_t)first : first;
    return 0;
}

static void read_padding(render_recipe *recipe, const dcb_dataset *dataset,
                         const dcb_pixel_format *format)
{
    int64_t value = 0;
    if (!stored_value(&value, dataset, TAG_PIXEL_PADDING_VALUE, format->is_signed))
        return;
    int64_t limit = value;
    stored_value(&limit, dataset, TAG_PIXEL_PADDING_RANGE_LIMIT, format->is_signed);
    recipe->has_padding = true;
    recipe->padding_low = value < limit ? value : limit;
    recipe->padding_high = value < limit ? limit : value;
}

int render_recipe_read(render_recipe *out, const dcb_dataset *dataset,
                       const dcb_pixel_format *format, scp_error *error)
{
    *out = (render_recipe){.slope = format->rescale_slope, .intercept = format->rescale_intercept};

    char text[32];
    if (dcb_dataset_get_text(dataset, TAG_PHOTOMETRIC_INTERPRETATION, text, sizeof text) > 0) {
        out->inverted = strcmp(text, "MONOCHROME1") == 0;
        out->ybr = strncmp(text, "YBR_FULL", 8) == 0;
        if (strcmp(text, "PALETTE COLOR") == 0 && read_palette(out, dataset, format, error) != 0)
            return -1;
    }
    if (first_number(&out->window.center, dataset, TAG_WINDOW_CENTER) &&
        first_number(&out->window.width, dataset, TAG_WINDOW_WIDTH))
        out->has_window = out->window.width > 0;
    if (dcb_dataset_get_text(dataset, TAG_VOI_LUT_FUNCTION, text, sizeof text) > 0) {
        if (strcmp(text, "SIGMOID") == 0)
            out->function = VOI_SIGMOID;
        else if (strcmp(text, "LINEAR_EXACT") == 0)
            out->function = VOI_LINEAR_EXACT;
    }
    read_padding(out, dataset, format);
    return 0;
}

void render_recipe_free(render_recipe *recipe)
{
    free(recipe->palette);
    recipe->palette = NULL;
    recipe->palette_entries = 0;
}
