/* SPDX-License-Identifier: Apache-2.0 */
/*
 * series_metadata.c - what a series knows besides pixels: data sets of frames, single elements,
 * what all frames share, JSON.
 *
 * Threads: any; the model is immutable.
 */
#include "series.h"

#include <inttypes.h>
#include <stdlib.h>

#include "dcb_error.h"
#include "exact.h"
#include "vr.h"

#define TAG_CHARSET DCB_TAG(0x0008, 0x0005)

static const dcb__form *form_of(const dcb_series *series, uint32_t frame)
{
    const dcb__model *model = series->model;
    if (frame == DCB_FRAME_SHARED)
        return model->native != NULL ? model->native : model->utf8;
    return dcb__model_form(model, frame);
}

static dcb_status check_call(dcb_series *series, uint32_t frame, dcb_error *error)
{
    return dcb__series_check_call(series, frame == DCB_FRAME_SHARED ? 0 : frame, error);
}

/* The metadata met their own limit when the series was opened. */
static dcb_status parse(dcb_dataset **out, const dcb_series *series, const uint8_t *bytes,
                        size_t nbytes, bool utf8, dcb_error *error)
{
    dcb_limits limits = series->limits;
    limits.max_pixel_bytes = UINT64_MAX;
    dcb_dataset *dataset = NULL;
    dcb_status status = dcb_dataset_parse(&dataset, bytes, nbytes, DCB_SYNTAX_EXPLICIT_LE, NULL,
                                          NULL, &limits, error);
    if (status == DCB_OK && utf8)
        status = dcb_dataset_to_utf8(dataset, error);
    if (status != DCB_OK) {
        dcb_dataset_close(dataset);
        return status;
    }
    *out = dataset;
    return DCB_OK;
}

static dcb_status part10_dataset(dcb_dataset **out, const dcb_series *series, bool utf8,
                                 dcb_error *error)
{
    dcb_dataset *dataset = NULL;
    dcb_status status =
        dcb__part10_dataset(&dataset, series->part10, series->source, &series->limits, error);
    if (status == DCB_OK && utf8)
        status = dcb_dataset_to_utf8(dataset, error);
    if (status != DCB_OK) {
        dcb_dataset_close(dataset);
        return status;
    }
    *out = dataset;
    return DCB_OK;
}

dcb_status dcb_series_dataset(dcb_dataset **out, dcb_series *series, uint32_t frame, bool utf8,
                              dcb_error *error)
{
    *out = NULL;
    dcb_status status = check_call(series, frame, error);
    if (status != DCB_OK)
        return status;
    if (series->part10 != NULL)
        return part10_dataset(out, series, utf8, error);
    uint8_t *bytes = NULL;
    size_t nbytes = 0;
    if (frame == DCB_FRAME_SHARED && series->trailer == NULL) {
        const dcb__form *form = form_of(series, frame);
        return parse(out, series, form->shared, form->shared_nbytes, utf8, error);
    }
    if (frame == DCB_FRAME_SHARED)
        status = dcb__exact_shared(&bytes, &nbytes, series, error);
    else
        status = dcb__instance_dataset(&bytes, &nbytes, series, frame, error);
    if (status == DCB_OK)
        status = parse(out, series, bytes, nbytes, utf8, error);
    free(bytes);
    return status;
}

/* Appends the element as it stands in the frame's data set; false where there is none. */
static bool append_element(dcb__writer *writer, bool *shared, const dcb__form *form, uint32_t frame,
                           uint32_t tag)
{
    for (uint32_t i = 0; frame != DCB_FRAME_SHARED && i < form->ncolumns; i++) {
        const dcb__column *column = &form->columns[i];
        if (column->tag != tag)
            continue;
        size_t nbytes = 0;
        const uint8_t *value = dcb__column_value(form, column, frame, &nbytes);
        if (value != NULL)
            dcb__writer_element(writer, tag, column->vr, value, nbytes);
        *shared = false;
        return value != NULL;
    }
    *shared = true;
    for (size_t at = 0, nbytes = 0; at < form->shared_nbytes; at += nbytes) {
        uint32_t here = dcb__scan_element(form->shared + at, DCB_SYNTAX_EXPLICIT_LE, &nbytes);
        if (here == tag)
            dcb__writer_append(writer, form->shared + at, nbytes);
        if (here >= tag)
            return here == tag;
    }
    return false;
}

static dcb_status fail_not_found(uint32_t tag, dcb_error *error)
{
    return dcb__fail(error, DCB_ERR_NOT_FOUND, DCB_NO_OFFSET,
                     "there is no element (%04" PRIX32 ",%04" PRIX32 ")", tag >> 16, tag & 0xFFFF);
}

/* Of files with the exact trailer, and Part 10 files: from the whole data set. What all frames
   share is looked up in all of them, and only where it is asked for. */
static dcb_status exact_element(dcb_dataset **out, bool *shared, dcb_series *series, uint32_t frame,
                                uint32_t tag, bool utf8, dcb_error *error)
{
    dcb_dataset *whole = NULL, *common = NULL, *made = NULL;
    dcb_status status = dcb_series_dataset(&whole, series, frame, false, error);
    if (status == DCB_OK && shared != NULL)
        status = dcb_series_dataset(&common, series, DCB_FRAME_SHARED, false, error);
    const dcb_element *element = status == DCB_OK ? dcb_dataset_find(whole, tag) : NULL;
    if (status == DCB_OK && element == NULL)
        status = fail_not_found(tag, error);
    if (status == DCB_OK)
        status = dcb_dataset_create(&made, error);
    if (status == DCB_OK)
        status = dcb_dataset_put_element(made, element, error);
    const dcb_element *charset =
        status == DCB_OK && tag != TAG_CHARSET ? dcb_dataset_find(whole, TAG_CHARSET) : NULL;
    if (charset != NULL)
        status = dcb_dataset_put_element(made, charset, error);
    if (status == DCB_OK && utf8 && tag != TAG_CHARSET)
        status = dcb_dataset_to_utf8(made, error);
    if (status == DCB_OK) {
        if (shared != NULL)
            *shared = dcb_dataset_find(common, tag) != NULL;
        *out = made;
        made = NULL;
    }
    dcb_dataset_close(whole);
    dcb_dataset_close(common);
    dcb_dataset_close(made);
    return status;
}

dcb_status dcb_series_element(dcb_dataset **out, bool *shared, dcb_series *series, uint32_t frame,
                              uint32_t tag, bool utf8, dcb_error *error)
{
    *out = NULL;
    dcb_status status = check_call(series, frame, error);
    if (status != DCB_OK)
        return status;
    if (series->trailer != NULL || series->part10 != NULL)
        return exact_element(out, shared, series, frame, tag, utf8, error);
    const dcb__form *form = form_of(series, frame);
    bool own_shared = false, charset_shared = false;
    dcb__writer writer;
    dcb__writer_init(&writer, DCB_SYNTAX_EXPLICIT_LE);
    if (!append_element(&writer, &own_shared, form, frame, tag)) {
        dcb__writer_free(&writer);
        return fail_not_found(tag, error);
    }
    if (tag == TAG_CHARSET) {
        utf8 = false; /* the name of a set stays what it is */
        own_shared = own_shared && series->model->utf8_slices == NULL;
    } else {
        append_element(&writer, &charset_shared, form, frame, TAG_CHARSET);
    }
    uint8_t *bytes = NULL;
    size_t nbytes = 0;
    status = dcb__writer_finish(&bytes, &nbytes, &writer, error);
    if (status == DCB_OK)
        status = parse(out, series, bytes, nbytes, utf8, error);
    free(bytes);
    if (status == DCB_OK && shared != NULL)
        *shared = own_shared;
    return status;
}

dcb_status dcb_series_json(char **json, size_t *nbytes, dcb_series *series, uint32_t frame,
                           dcb_error *error)
{
    *json = NULL;
    *nbytes = 0;
    dcb_dataset *dataset = NULL;
    dcb_status status = dcb_series_dataset(&dataset, series, frame, true, error);
    if (status == DCB_OK)
        status = dcb_dataset_to_json(json, nbytes, dataset, series->limits.max_meta_bytes, error);
    dcb_dataset_close(dataset);
    return status;
}
