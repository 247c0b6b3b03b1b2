/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_series.c - bytes as a whole .dcbs file, opened from memory under tight limits; of the first
 * frames everything that can be had is had.
 *
 * Beyond not crashing: an error has a message and no output; an instance names itself as the
 * frame's information does; its data set is that of dcb_series_dataset in every encoding; its
 * pixels are those of dcb_series_pixels.
 */
#include <string.h>

#include "dcb.h"
#include "fuzz.h"

#define MAX_FRAMES 2
#define PIXEL_DATA DCB_TAG(0x7FE0, 0x0010)

static const dcb_limits limits = {1u << 20, 64u << 10, 1u << 20, 1u << 20, 64, 32, 8};

static void check_status(dcb_status status, const dcb_error *error, bool has_output)
{
    FUZZ_CHECK((status == DCB_OK) == has_output);
    if (status != DCB_OK)
        FUZZ_CHECK(error->status == status && error->message[0] != '\0');
}

static void check_info(const dcb_series_info *info)
{
    FUZZ_CHECK(info->nframes > 0 && info->nframes <= limits.max_frames);
    FUZZ_CHECK(info->dicom_status != NULL && info->writer != NULL);
    FUZZ_CHECK(info->series_instance_uid != NULL && info->study_instance_uid != NULL);
    FUZZ_CHECK(info->empty_frames <= info->nframes && info->cut_off_frames <= info->nframes);
}

typedef struct frame_parts {
    dcb_dataset *dataset; /* without pixels */
    void *samples;
    size_t nbytes;
    dcb_frame_info info;
} frame_parts;

static dcb_vr vr_of_dataset(void *context, uint32_t tag)
{
    const dcb_element *element = dcb_dataset_find(context, tag);
    return element != NULL ? element->vr : 0;
}

static bool has_sequence(const dcb_dataset *dataset)
{
    for (size_t i = 0; i < dcb_dataset_count(dataset); i++) {
        if (dcb_dataset_at(dataset, i)->vr == DCB_VR('S', 'Q'))
            return true;
    }
    return false;
}

static void check_same(const dcb_dataset *a, const dcb_dataset *b, dcb_syntax syntax)
{
    uint8_t *bytes_a, *bytes_b;
    size_t nbytes_a, nbytes_b;
    FUZZ_CHECK(dcb_dataset_encode(&bytes_a, &nbytes_a, a, syntax, NULL) == DCB_OK);
    FUZZ_CHECK(dcb_dataset_encode(&bytes_b, &nbytes_b, b, syntax, NULL) == DCB_OK);
    FUZZ_CHECK(nbytes_a == nbytes_b && memcmp(bytes_a, bytes_b, nbytes_a) == 0);
    free(bytes_a);
    free(bytes_b);
}

/* The data set of a decoded instance: the frame's own, and Pixel Data. */
static void check_decoded(const dcb_frame *frame, const frame_parts *parts, dcb_syntax syntax)
{
    size_t nbytes;
    const uint8_t *bytes = dcb_frame_dataset(frame, &nbytes);
    dcb_dataset *parsed;
    FUZZ_CHECK(dcb_dataset_parse(&parsed, bytes, nbytes, syntax, vr_of_dataset, parts->dataset,
                                 NULL, NULL) == DCB_OK);
    const dcb_element *pixels = dcb_dataset_find(parsed, PIXEL_DATA);
    FUZZ_CHECK(pixels != NULL && pixels->nbytes == parts->nbytes + (parts->nbytes & 1));
    if (syntax != DCB_SYNTAX_IMPLICIT_LE)
        FUZZ_CHECK(memcmp(pixels->value, parts->samples, parts->nbytes) == 0);
    dcb_dataset_remove(parsed, PIXEL_DATA);
    /* Of implicit items the VRs are not known here. */
    if (syntax != DCB_SYNTAX_IMPLICIT_LE || !has_sequence(parts->dataset))
        check_same(parsed, parts->dataset, syntax);
    dcb_dataset_close(parsed);
}

static void check_names(const dcb_frame *frame, const frame_parts *parts)
{
    size_t nbytes, dataset_nbytes;
    const uint8_t *part10 = dcb_frame_part10(frame, &nbytes);
    const uint8_t *dataset = dcb_frame_dataset(frame, &dataset_nbytes);
    FUZZ_CHECK(nbytes > 132 && memcmp(part10 + 128, "DICM", 4) == 0);
    FUZZ_CHECK(dataset_nbytes < nbytes && dataset == part10 + nbytes - dataset_nbytes);
    FUZZ_CHECK(strcmp(dcb_frame_sop_class_uid(frame), parts->info.sop_class_uid) == 0);
    FUZZ_CHECK(strcmp(dcb_frame_sop_instance_uid(frame), parts->info.sop_instance_uid) == 0);
    char uid[80];
    FUZZ_CHECK(dcb_dataset_get_text(parts->dataset, DCB_TAG(0x0008, 0x0018), uid, sizeof uid) > 0);
    FUZZ_CHECK(strcmp(uid, parts->info.sop_instance_uid) == 0);
}

static void check_encodings(dcb_series *series, uint32_t index, const frame_parts *parts)
{
    for (dcb_encoding encoding = DCB_ENCODING_STORED; encoding < DCB_ENCODING_COUNT; encoding++) {
        dcb_frame *frame;
        dcb_error error = DCB_ERROR_INIT;
        dcb_status status = dcb_series_frame(&frame, series, index, encoding, &error);
        check_status(status, &error, frame != NULL);
        if (encoding != DCB_ENCODING_STORED)
            FUZZ_CHECK(status != DCB_OK || parts->samples != NULL);
        if (status != DCB_OK)
            continue;
        check_names(frame, parts);
        if (encoding == DCB_ENCODING_EXPLICIT_LE)
            check_decoded(frame, parts, DCB_SYNTAX_EXPLICIT_LE);
        else if (encoding == DCB_ENCODING_IMPLICIT_LE)
            check_decoded(frame, parts, DCB_SYNTAX_IMPLICIT_LE);
        else if (encoding == DCB_ENCODING_EXPLICIT_BE)
            check_decoded(frame, parts, DCB_SYNTAX_EXPLICIT_BE);
        dcb_frame_release(frame);
    }
}

static void *take_pixels(size_t *nbytes, dcb_series *series, uint32_t index, uint32_t reduce)
{
    void *samples;
    dcb_pixel_format format;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb_series_pixels(&samples, nbytes, &format, series, index, reduce, &error);
    check_status(status, &error, samples != NULL);
    if (status == DCB_OK)
        FUZZ_CHECK(*nbytes == (size_t)format.rows * format.columns * format.samples_per_pixel *
                                  format.bits_allocated / 8 &&
                   *nbytes > 0 && *nbytes <= limits.max_pixel_bytes);
    return samples;
}

static void check_text(dcb_series *series, uint32_t index)
{
    dcb_dataset *dataset;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb_series_dataset(&dataset, series, index, true, &error);
    check_status(status, &error, dataset != NULL);
    if (status == DCB_OK)
        check_same(dataset, dataset, DCB_SYNTAX_EXPLICIT_LE);
    dcb_dataset_close(dataset);
}

static void check_frame(dcb_series *series, uint32_t index)
{
    frame_parts parts = {0};
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb_series_dataset(&parts.dataset, series, index, false, &error);
    check_status(status, &error, parts.dataset != NULL);
    check_text(series, index);
    dcb_status info_status = dcb_series_frame_info(&parts.info, series, index, &error);
    if (status == DCB_OK && info_status == DCB_OK) {
        parts.samples = take_pixels(&parts.nbytes, series, index, 0);
        check_encodings(series, index, &parts);
        size_t nbytes;
        free(take_pixels(&nbytes, series, index, 1));
        free(parts.samples);
    }
    dcb_dataset_close(parts.dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.limits = limits;
    dcb_series *series;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb_series_open_memory(&series, bytes, nbytes, &options, &error);
    check_status(status, &error, series != NULL);
    if (status != DCB_OK)
        return 0;
    const dcb_series_info *info = dcb_series_get_info(series);
    check_info(info);
    for (uint32_t i = 0; i < info->nframes && i < MAX_FRAMES; i++)
        check_frame(series, i);
    dcb_frame *none;
    FUZZ_CHECK(dcb_series_frame(&none, series, info->nframes, DCB_ENCODING_STORED, NULL) ==
               DCB_ERR_RANGE);
    dcb_series_close(series);
    return 0;
}
