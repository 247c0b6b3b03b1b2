/* SPDX-License-Identifier: Apache-2.0 */
/*
 * series_verify.c - holds a file against the format: what lies where, dicom_status, dicommeta,
 * space. Frames are frame_verify.c's.
 *
 * Threads: any.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "bytes.h"
#include "dcb_error.h"
#include "exact.h"

void dcb__problem(const dcb__verifier *verifier, uint32_t frame, dcb_status status, uint64_t offset,
                  const char *format, ...)
{
    dcb_error problem = {.status = status, .offset = offset};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem.message, sizeof problem.message, format, arguments);
    va_end(arguments);
    verifier->report(verifier->context, frame, &problem);
}

/* ---- Layout -----------------------------------------------------------------------------------
 */

static int compare_sections(const void *left, const void *right)
{
    uint64_t a = ((const dcb_section *)left)->offset, b = ((const dcb_section *)right)->offset;
    return a < b ? -1 : a > b;
}

/* DiCube writes its sections and frames without a gap: bytes that belong to nothing are a sign of
   damage, or of another writer. What overlaps is told when opening, or by the frame. */
static dcb_status check_layout(const dcb__verifier *verifier, const dcb_series *series,
                               dcb_error *error)
{
    const dcb__container *container = &series->container;
    const dcb__trailer *trailer = series->trailer;
    size_t room = 1 + DCB_SECTION_COUNT + (size_t)container->nframes, n = 0;
    if (trailer != NULL)
        room += (size_t)trailer->nchunks + 1;
    dcb_section *parts = malloc(room * sizeof *parts);
    if (parts == NULL)
        return dcb__fail_no_memory(error, room * sizeof *parts);
    parts[n++] = (dcb_section){0, DCB_HEADER_NBYTES};
    for (int i = 0; i < DCB_SECTION_COUNT; i++)
        if (container->sections[i].nbytes > 0)
            parts[n++] = container->sections[i];
    for (uint32_t i = 0; i < container->nframes; i++) {
        const dcb__frame_place *frame = &container->frames[i];
        if (frame->offset > 0 && frame->nbytes > 0 &&
            dcb__in_range(frame->offset, frame->nbytes, container->file_nbytes))
            parts[n++] = (dcb_section){frame->offset, frame->nbytes};
    }
    for (uint32_t i = 0; trailer != NULL && i < trailer->nchunks; i++)
        parts[n++] = (dcb_section){trailer->chunks[i].offset, trailer->chunks[i].nbytes};
    if (trailer != NULL)
        parts[n++] = (dcb_section){trailer->offset, trailer->nbytes + DCB_FOOTER_NBYTES};
    qsort(parts, n, sizeof *parts, compare_sections);
    uint64_t end = 0;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].offset > end)
            dcb__problem(verifier, DCB_NO_FRAME, DCB_ERR_FORMAT, end,
                         "%" PRIu64 " bytes from byte %" PRIu64 " on belong to nothing",
                         parts[i].offset - end, end);
        if (parts[i].offset + parts[i].nbytes > end)
            end = parts[i].offset + parts[i].nbytes;
    }
    if (end < container->file_nbytes)
        dcb__problem(verifier, DCB_NO_FRAME, DCB_ERR_FORMAT, end,
                     "%" PRIu64 " bytes after the last frame belong to nothing",
                     container->file_nbytes - end);
    free(parts);
    return DCB_OK;
}

/* ---- Sections ---------------------------------------------------------------------------------
 */

static void check_status_word(const dcb__verifier *verifier, const dcb_series *series)
{
    static const char *const words[] = {
        "consistent",
        "inconsistent",
        "non_uniform_series_uid",
        "missing_series_uid",
        "duplicate_instance_numbers",
        "missing_instance_number",
        "gap_instance_number",
        "missing_spacing",
        "non_uniform_spacing",
        "missing_shape",
        "non_uniform_shape",
        "missing_orientation",
        "non_uniform_orientation",
        "non_uniform_rescale_factor",
        "missing_dtype",
        "non_uniform_dtype",
        "missing_location",
        "reversed_location",
        "dwelling_location",
        "gap_location",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(series->dicom_status, words[i]) == 0)
            return;
    dcb__problem(verifier, DCB_NO_FRAME, DCB_ERR_FORMAT,
                 series->container.sections[DCB_SECTION_DICOM_STATUS].offset,
                 "dicom_status is not a word of the format");
}

/* One zstd frame and nothing behind it. */
static dcb_status check_packing(const dcb__verifier *verifier, const dcb_series *series,
                                dcb_error *error)
{
    const dcb_section *section = &series->container.sections[DCB_SECTION_DICOMMETA];
    uint8_t *packed = NULL;
    dcb_status status =
        dcb__container_section(&packed, series->source, section, 0, "dicommeta", error);
    if (status == DCB_OK) {
        size_t used = ZSTD_findFrameCompressedSize(packed, (size_t)section->nbytes);
        if (ZSTD_isError(used) || used != section->nbytes)
            dcb__problem(verifier, DCB_NO_FRAME, DCB_ERR_META, section->offset,
                         "dicommeta is not one zstd frame");
    }
    free(packed);
    return status;
}

static dcb_status check_meta(const dcb__verifier *verifier, const dcb_series *series,
                             dcb_error *error)
{
    const dcb_section *section = &series->container.sections[DCB_SECTION_DICOMMETA];
    uint8_t *json = NULL;
    size_t nbytes = 0;
    dcb__json_document *document = NULL;
    dcb_status status = check_packing(verifier, series, error);
    if (status == DCB_OK)
        status = dcb__series_unpack_meta(&json, &nbytes, series, error);
    for (size_t i = 0; status == DCB_OK && i < nbytes; i++) {
        if (json[i] < 0x80)
            continue;
        dcb__problem(verifier, DCB_NO_FRAME, DCB_ERR_META, section->offset,
                     "dicommeta is not pure ASCII");
        break;
    }
    if (status == DCB_OK)
        status = dcb__json_parse(&document, json, nbytes, series->limits.max_json_depth,
                                 "dicommeta", section->offset, error);
    free(json);
    if (status == DCB_OK)
        status = dcb__meta_verify(verifier, series, dcb__json_root(document), error);
    dcb__json_close(document);
    return status;
}

static dcb_status check_space(const dcb__verifier *verifier, const dcb_series *series,
                              dcb_error *error)
{
    const dcb_section *section = &series->container.sections[DCB_SECTION_SPACE];
    dcb__space space;
    dcb_status status = dcb__series_read_space(&space, series, error);
    if (status != DCB_OK)
        return status;
    if (!space.known)
        dcb__problem(verifier, DCB_NO_FRAME, DCB_ERR_META, section->offset,
                     "space is not shape, origin, spacing and orientations");
    else if (space.slices != series->info.nframes ||
             (series->has_common &&
              (space.rows != series->common.rows || space.columns != series->common.columns)))
        dcb__problem(verifier, DCB_NO_FRAME, DCB_ERR_META, section->offset,
                     "space has another shape than the frames");
    return DCB_OK;
}

/* Of our own files: the header and all sections; frames and data sets are
 * dcb_series_verify_frame's.
 */
static dcb_status check_checksums(const dcb__verifier *verifier, const dcb_series *series,
                                  dcb_error *error)
{
    for (unsigned i = 0; i <= DCB_SECTION_COUNT; i++) {
        dcb_error problem = DCB_ERROR_INIT;
        dcb_status status = dcb__trailer_check_section(series->trailer, series->source,
                                                       &series->container, i, &problem);
        if (status == DCB_ERR_FORMAT) {
            verifier->report(verifier->context, DCB_NO_FRAME, &problem);
        } else if (status != DCB_OK) {
            if (error != NULL)
                *error = problem;
            return status;
        }
    }
    return DCB_OK;
}

dcb_status dcb_series_verify(dcb_series *series, dcb_problem_report report, void *context,
                             dcb_error *error)
{
    const dcb__verifier verifier = {report, context};
    dcb_status status = dcb__series_check_call(series, 0, error);
    if (status == DCB_OK && series->part10 != NULL)
        status = dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                           "it is a DICOM Part 10 file: there is nothing of a DCB file to verify");
    if (status == DCB_OK)
        status = check_layout(&verifier, series, error);
    if (status != DCB_OK)
        return status;
    check_status_word(&verifier, series);
    if (series->trailer != NULL)
        status = check_checksums(&verifier, series, error);
    if (status == DCB_OK && series->info.has_meta)
        status = check_meta(&verifier, series, error);
    if (status == DCB_OK && series->info.has_space)
        status = check_space(&verifier, series, error);
    return status;
}
