/* SPDX-License-Identifier: Apache-2.0 */
/* pack_same.c - see pack_same.h. */
#include "pack_same.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define TAG_PHOTOMETRIC DCB_TAG(0x0028, 0x0004)
#define TAG_SAMPLES     DCB_TAG(0x0028, 0x0002)
#define TAG_PLANAR      DCB_TAG(0x0028, 0x0006)
#define TAG_PIXEL_DATA  DCB_TAG(0x7FE0, 0x0010)

static bool is_native(const char *syntax_uid)
{
    static const char *const native[] = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1",
                                         "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"};
    for (size_t i = 0; i < sizeof native / sizeof *native; i++) {
        if (strcmp(syntax_uid, native[i]) == 0)
            return true;
    }
    return false;
}

/* ---- Elements -------------------------------------------------------------------------------- */

static uint64_t content_of(const dcb_dataset *elements, bool native)
{
    dcb_dataset *head = NULL;
    uint8_t *bytes = NULL;
    size_t nbytes = 0;
    uint64_t hash = 0;
    dcb_status status = dcb_dataset_create(&head, NULL);
    for (size_t i = 0; status == DCB_OK && i < dcb_dataset_count(elements); i++) {
        const dcb_element *element = dcb_dataset_at(elements, i);
        if (element->tag >= TAG_PIXEL_DATA)
            break;
        if (native || (element->tag != TAG_PHOTOMETRIC && element->tag != TAG_PLANAR))
            status = dcb_dataset_put_element(head, element, NULL);
    }
    if (status == DCB_OK &&
        dcb_dataset_encode(&bytes, &nbytes, head, DCB_SYNTAX_EXPLICIT_LE, NULL) == DCB_OK)
        hash = XXH3_64bits(bytes, nbytes) | 1;
    free(bytes);
    dcb_dataset_close(head);
    return hash;
}

uint64_t pack_content_of_source(const part10_file *source, const dcb_dataset *elements)
{
    return content_of(elements, is_native(source->syntax_uid));
}

uint64_t pack_content_of_frame(dcb_series *series, uint32_t frame)
{
    dcb_frame_info info;
    dcb_dataset *elements = NULL;
    uint64_t hash = 0;
    if (dcb_series_frame_info(&info, series, frame, NULL) == DCB_OK &&
        dcb_series_dataset(&elements, series, frame, false, NULL) == DCB_OK)
        hash = content_of(elements,
                          info.source_syntax_uid == NULL || is_native(info.source_syntax_uid));
    dcb_dataset_close(elements);
    return hash;
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

static dcb_dataset *parse(const uint8_t *bytes, size_t nbytes)
{
    dcb_dataset *dataset = NULL;
    dcb_dataset_parse(&dataset, bytes, nbytes, DCB_SYNTAX_EXPLICIT_LE, NULL, NULL, NULL, NULL);
    return dataset;
}

static unsigned u16_of(const dcb_dataset *dataset, uint32_t tag)
{
    const dcb_element *element = dcb_dataset_find(dataset, tag);
    return element != NULL && element->nbytes >= 2
               ? (unsigned)element->value[0] | (unsigned)element->value[1] << 8
               : 0;
}

/* Samples by plane against samples by pixel. */
static bool same_planes(const uint8_t *by_plane, const uint8_t *by_pixel, size_t nbytes,
                        unsigned samples, unsigned width)
{
    const size_t npixels = nbytes / samples / width;
    for (size_t p = 0; p < npixels; p++) {
        for (unsigned s = 0; s < samples; s++) {
            if (memcmp(by_plane + (s * npixels + p) * width, by_pixel + (p * samples + s) * width,
                       width) != 0)
                return false;
        }
    }
    return true;
}

static bool same_given(const dcb_dataset *known, const part10_file *source)
{
    const dcb_element *pixels = dcb_dataset_find(known, TAG_PIXEL_DATA);
    const unsigned samples = u16_of(known, TAG_SAMPLES);
    const unsigned width = u16_of(known, DCB_TAG(0x0028, 0x0100)) / 8;
    if (pixels == NULL || samples == 0 || width == 0 || pixels->nbytes < source->samples_nbytes ||
        pixels->nbytes - source->samples_nbytes > 1)
        return false;
    if (samples > 1 && u16_of(known, TAG_PLANAR) == 1)
        return same_planes(pixels->value, source->samples, source->samples_nbytes, samples, width);
    return memcmp(pixels->value, source->samples, source->samples_nbytes) == 0;
}

static bool same_native(const dcb_dataset *known, const part10_file *source)
{
    dcb_dataset *dataset = parse(source->dataset, source->dataset_nbytes);
    const dcb_element *a = dcb_dataset_find(known, TAG_PIXEL_DATA);
    const dcb_element *b = dataset != NULL ? dcb_dataset_find(dataset, TAG_PIXEL_DATA) : NULL;
    const bool same = a != NULL && b != NULL && a->nbytes == b->nbytes && a->value != NULL &&
                      memcmp(a->value, b->value, a->nbytes) == 0;
    dcb_dataset_close(dataset);
    return same;
}

static bool same_codestream(dcb_series *series, uint32_t frame, const part10_file *source)
{
    dcb_frame *stored = NULL;
    uint8_t *a = NULL, *b = NULL;
    size_t na = 0, nb = 0, nbytes = 0;
    bool same = dcb_series_frame(&stored, series, frame, DCB_ENCODING_STORED, NULL) == DCB_OK;
    const uint8_t *dataset = same ? dcb_frame_dataset(stored, &nbytes) : NULL;
    same =
        same && dcb_encapsulated_frame(&a, &na, dataset, nbytes, NULL) == DCB_OK &&
        dcb_encapsulated_frame(&b, &nb, source->dataset, source->dataset_nbytes, NULL) == DCB_OK &&
        na == nb && memcmp(a, b, na) == 0;
    free(a);
    free(b);
    dcb_frame_release(stored);
    return same;
}

static bool same_pixels(dcb_series *series, uint32_t frame, part10_file *source)
{
    const bool native = is_native(source->syntax_uid);
    if (!native && source->samples == NULL && !part10_file_decode(source, NULL))
        return false;
    if (!native && source->samples == NULL)
        return same_codestream(series, frame, source);
    dcb_frame *decoded = NULL;
    size_t nbytes = 0;
    if (dcb_series_frame(&decoded, series, frame, DCB_ENCODING_EXPLICIT_LE, NULL) != DCB_OK)
        return false;
    const uint8_t *bytes = dcb_frame_dataset(decoded, &nbytes);
    dcb_dataset *known = parse(bytes, nbytes);
    const bool same =
        known != NULL && (native ? same_native(known, source) : same_given(known, source));
    dcb_dataset_close(known);
    dcb_frame_release(decoded);
    return same;
}

bool pack_holds(dcb_series *series, uint32_t frame, part10_file *source)
{
    dcb_frame_info info;
    if (!dcb_series_get_info(series)->has_trailer ||
        dcb_series_frame_info(&info, series, frame, NULL) != DCB_OK ||
        info.source_syntax_uid == NULL ||
        is_native(info.source_syntax_uid) != is_native(source->syntax_uid))
        return false;
    dcb_dataset *elements = part10_file_elements(source, NULL);
    const uint64_t content = elements != NULL ? pack_content_of_source(source, elements) : 0;
    dcb_dataset_close(elements);
    return content != 0 && content == pack_content_of_frame(series, frame) &&
           same_pixels(series, frame, source);
}
