/* SPDX-License-Identifier: Apache-2.0 */
/* variant.c - makes encodings of a text form and merges columns into them. */
#include "variant.h"

#include <stdlib.h>

#include "bytes.h"
#include "dcb_error.h"

#define TAG_PHOTOMETRIC DCB_TAG(0x0028, 0x0004)
#define TAG_PIXEL_DATA  DCB_TAG(0x7FE0, 0x0010)

uint32_t dcb__scan_element(const uint8_t *bytes, dcb_syntax syntax, size_t *nbytes)
{
    bool big = syntax == DCB_SYNTAX_EXPLICIT_BE;
    uint8_t head[12];
    for (unsigned i = 0; i < 4; i++) /* group and element, little endian */
        head[i] = bytes[big ? i ^ 1 : i];
    uint32_t tag = (uint32_t)(head[0] | head[1] << 8) << 16 | (uint32_t)(head[2] | head[3] << 8);
    bool wide = syntax == DCB_SYNTAX_IMPLICIT_LE;
    size_t at = 4;
    if (!wide) {
        wide = dcb_vr_has_long_length(DCB_VR(bytes[4], bytes[5]));
        at = wide ? 8 : 6;
    }
    unsigned size = wide ? 4 : 2;
    uint64_t length = 0;
    for (unsigned i = 0; i < size; i++)
        length |= (uint64_t)bytes[at + (big ? size - 1 - i : i)] << (8 * i);
    *nbytes = at + size + (size_t)length;
    return tag;
}

static void find_cuts(dcb__variant *variant)
{
    const dcb__form *form = variant->form;
    uint32_t column = 0;
    bool after = false;
    variant->pixel_cut = variant->shared_nbytes;
    variant->pixel_column = form->ncolumns;
    for (uint32_t i = 0; i < form->ncolumns; i++) {
        variant->cuts[i] = variant->shared_nbytes;
        if (form->columns[i].tag > TAG_PIXEL_DATA && i < variant->pixel_column)
            variant->pixel_column = i;
    }
    for (size_t at = 0, nbytes = 0; at < variant->shared_nbytes; at += nbytes) {
        uint32_t tag = dcb__scan_element(variant->shared + at, variant->syntax, &nbytes);
        while (column < form->ncolumns && form->columns[column].tag < tag)
            variant->cuts[column++] = at;
        if (!after && tag > TAG_PIXEL_DATA) {
            variant->pixel_cut = at;
            after = true;
        }
    }
}

static dcb_status reencode(dcb__variant *variant, const char *photometric, dcb_error *error)
{
    const dcb__form *form = variant->form;
    for (uint32_t i = 0; photometric != NULL && i < form->ncolumns; i++)
        if (form->columns[i].tag == TAG_PHOTOMETRIC)
            return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                             "Photometric Interpretation differs by slice, and the codestreams "
                             "transform their components");
    dcb_dataset *dataset = NULL;
    dcb_limits limits = DCB_LIMITS_INIT;
    limits.max_sequence_depth = UINT32_MAX; /* these bytes are ours */
    limits.max_pixel_bytes = UINT64_MAX;
    dcb_status status = dcb_dataset_parse(&dataset, form->shared, form->shared_nbytes,
                                          DCB_SYNTAX_EXPLICIT_LE, NULL, NULL, &limits, error);
    if (status == DCB_OK && photometric != NULL)
        status =
            dcb_dataset_put_text(dataset, TAG_PHOTOMETRIC, DCB_VR('C', 'S'), photometric, error);
    if (status == DCB_OK)
        status = dcb_dataset_encode(&variant->own, &variant->shared_nbytes, dataset,
                                    variant->syntax, error);
    dcb_dataset_close(dataset);
    variant->shared = variant->own;
    return status;
}

dcb_status dcb__variant_create(dcb__variant **out, const dcb__form *form, dcb_syntax syntax,
                               const char *photometric, dcb_error *error)
{
    *out = NULL;
    size_t size = sizeof(dcb__variant) + form->ncolumns * sizeof(size_t);
    dcb__variant *variant = calloc(1, size);
    if (variant == NULL)
        return dcb__fail_no_memory(error, size);
    variant->form = form;
    variant->syntax = syntax;
    variant->shared = form->shared;
    variant->shared_nbytes = form->shared_nbytes;
    if (syntax != DCB_SYNTAX_EXPLICIT_LE || photometric != NULL) {
        dcb_status status = reencode(variant, photometric, error);
        if (status != DCB_OK) {
            dcb__variant_free(variant);
            return status;
        }
    }
    find_cuts(variant);
    *out = variant;
    return DCB_OK;
}

void dcb__variant_free(dcb__variant *variant)
{
    if (variant == NULL)
        return;
    free(variant->own);
    free(variant);
}

void dcb__variant_write(dcb__writer *writer, const dcb__variant *variant, uint32_t slice,
                        dcb__part part)
{
    const dcb__form *form = variant->form;
    bool before = part == DCB_BEFORE_PIXELS;
    size_t at = before ? 0 : variant->pixel_cut;
    size_t end = before ? variant->pixel_cut : variant->shared_nbytes;
    uint32_t last = before ? variant->pixel_column : form->ncolumns;
    for (uint32_t i = before ? 0 : variant->pixel_column; i < last; i++) {
        size_t nbytes = 0;
        const uint8_t *value = dcb__column_value(form, &form->columns[i], slice, &nbytes);
        if (value == NULL)
            continue;
        dcb__writer_append(writer, variant->shared + at, variant->cuts[i] - at);
        at = variant->cuts[i];
        dcb__writer_element(writer, form->columns[i].tag, form->columns[i].vr, value, nbytes);
    }
    dcb__writer_append(writer, variant->shared + at, end - at);
}
