/* SPDX-License-Identifier: Apache-2.0 */
/* series_open.c - reads all of a file but its frames, and compiles what every frame will need. */
#include "series.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "bare_series.h"
#include "dcb_error.h"
#include "exact.h"
#include "json.h"
#include "meta.h"
#include "meta_prune.h"
#include "pixel_module.h"

/* How many frames are looked at for one that is whole. */
#define MAX_CANDIDATES 16u
/* dicommeta may have max_meta_bytes / BYTES_PER_VALUE values, and MIN_VALUES in any case. */
#define BYTES_PER_VALUE 16u
#define MIN_VALUES      65536u

static dcb_status read_status(dcb_series *series, dcb_error *error)
{
    const dcb_section *section = &series->container.sections[DCB_SECTION_DICOM_STATUS];
    memcpy(series->dicom_status, "consistent", sizeof "consistent");
    if (section->nbytes == 0)
        return DCB_OK;
    size_t nbytes = (size_t)section->nbytes;
    if (nbytes >= sizeof series->dicom_status)
        return dcb__fail(error, DCB_ERR_FORMAT, section->offset,
                         "dicom_status has %zu bytes, a word of at most %zu is allowed", nbytes,
                         sizeof series->dicom_status - 1);
    dcb_status status = dcb__source_read(series->source, series->dicom_status, nbytes,
                                         section->offset, "dicom_status", error);
    series->dicom_status[nbytes] = '\0';
    for (size_t i = 0; status == DCB_OK && i < nbytes; i++)
        if (series->dicom_status[i] <= ' ' || series->dicom_status[i] > '~')
            return dcb__fail(error, DCB_ERR_FORMAT, section->offset + i,
                             "dicom_status is not an ASCII word");
    return status;
}

static dcb_status fail_zstd(const dcb_series *series, const char *what, dcb_error *error)
{
    return dcb__fail(error, DCB_ERR_META, series->container.sections[DCB_SECTION_DICOMMETA].offset,
                     "dicommeta: zstd: %s", what);
}

/* A frame that does not tell its size: unpacked into a buffer that grows up to the limit. */
static dcb_status unpack_untold(uint8_t **json, size_t *nbytes, const dcb_series *series,
                                const uint8_t *packed, dcb_error *error)
{
    uint64_t limit = series->limits.max_meta_bytes;
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_inBuffer in = {packed, (size_t)series->container.sections[DCB_SECTION_DICOMMETA].nbytes,
                        0};
    ZSTD_outBuffer out = {NULL, 0, 0};
    dcb_status status = stream == NULL ? dcb__fail_no_memory(error, 1u << 17) : DCB_OK;
    for (size_t left = 1; status == DCB_OK && left != 0;) {
        if (out.pos == out.size) {
            size_t size = out.size == 0 ? 1u << 18 : 2 * out.size;
            uint8_t *grown = out.size >= limit ? NULL : realloc(out.dst, size + DCB_JSON_PADDING);
            if (grown == NULL) {
                status =
                    out.size >= limit
                        ? dcb__fail(error, DCB_ERR_LIMIT,
                                    series->container.sections[DCB_SECTION_DICOMMETA].offset,
                                    "dicommeta unpacks to more than the limit, %" PRIu64, limit)
                        : dcb__fail_no_memory(error, size);
                break;
            }
            out.dst = grown;
            out.size = size;
        }
        size_t had = out.pos;
        left = ZSTD_decompressStream(stream, &out, &in);
        if (ZSTD_isError(left))
            status = fail_zstd(series, ZSTD_getErrorName(left), error);
        else if (left != 0 && in.pos == in.size && out.pos == had)
            status = fail_zstd(series, "the frame is cut short", error);
    }
    ZSTD_freeDStream(stream);
    if (status != DCB_OK) {
        free(out.dst);
        return status;
    }
    *json = out.dst;
    *nbytes = out.pos;
    return DCB_OK;
}

static dcb_status unpack(uint8_t **json, size_t *nbytes, const dcb_series *series,
                         const uint8_t *packed, unsigned long long size, dcb_error *error)
{
    if (size > series->limits.max_meta_bytes || size > SIZE_MAX / 2)
        return dcb__fail(error, DCB_ERR_LIMIT,
                         series->container.sections[DCB_SECTION_DICOMMETA].offset,
                         "dicommeta unpacks to %llu bytes, the limit is %" PRIu64, size,
                         series->limits.max_meta_bytes);
    uint8_t *own = malloc((size_t)size + DCB_JSON_PADDING);
    if (own == NULL)
        return dcb__fail_no_memory(error, (size_t)size + DCB_JSON_PADDING);
    size_t got = ZSTD_decompress(own, (size_t)size, packed,
                                 (size_t)series->container.sections[DCB_SECTION_DICOMMETA].nbytes);
    if (ZSTD_isError(got) || got != size) {
        free(own);
        return fail_zstd(series, ZSTD_isError(got) ? ZSTD_getErrorName(got) : "shorter than told",
                         error);
    }
    *json = own;
    *nbytes = got;
    return DCB_OK;
}

/* zstd, within the limit whatever the frame says. free() *json, which has DCB_JSON_PADDING. */
static dcb_status decompress_meta(uint8_t **json, size_t *nbytes, const dcb_series *series,
                                  const uint8_t *packed, dcb_error *error)
{
    unsigned long long size = ZSTD_getFrameContentSize(
        packed, (size_t)series->container.sections[DCB_SECTION_DICOMMETA].nbytes);
    if (size == ZSTD_CONTENTSIZE_ERROR)
        return fail_zstd(series, "not a zstd frame", error);
    dcb_status status = size == ZSTD_CONTENTSIZE_UNKNOWN
                            ? unpack_untold(json, nbytes, series, packed, error)
                            : unpack(json, nbytes, series, packed, size, error);
    if (status == DCB_OK)
        memset(*json + *nbytes, 0, DCB_JSON_PADDING);
    return status;
}

dcb_status dcb__series_unpack_meta(uint8_t **json, size_t *nbytes, const dcb_series *series,
                                   dcb_error *error)
{
    const dcb_section *section = &series->container.sections[DCB_SECTION_DICOMMETA];
    uint8_t *packed = NULL;
    *json = NULL;
    *nbytes = 0;
    dcb_status status =
        dcb__container_section(&packed, series->source, section, 0, "dicommeta", error);
    if (status == DCB_OK)
        status = decompress_meta(json, nbytes, series, packed, error);
    free(packed);
    return status;
}

/* Parsed, a value takes some 40 bytes beside its text: lists of zeros, which pack to next to
   nothing, would make gigabytes. Each value but the first of its list follows a comma, or a colon.
 */
static dcb_status check_value_count(const dcb_series *series, const uint8_t *json, size_t nbytes,
                                    dcb_error *error)
{
    uint64_t limit = series->limits.max_meta_bytes / BYTES_PER_VALUE;
    limit = limit > MIN_VALUES ? limit : MIN_VALUES;
    if (nbytes <= limit)
        return DCB_OK;
    uint64_t commas = 0;
    for (size_t i = 0; i < nbytes; i++)
        commas += json[i] == ',';
    if (commas < limit)
        return DCB_OK;
    return dcb__fail(error, DCB_ERR_LIMIT, series->container.sections[DCB_SECTION_DICOMMETA].offset,
                     "dicommeta has more than %" PRIu64 " values, the limit", limit);
}

static dcb_status read_meta(dcb__json_document **document, dcb_series *series, dcb_error *error)
{
    uint8_t *json = NULL;
    size_t nbytes = 0;
    dcb_status status = dcb__series_unpack_meta(&json, &nbytes, series, error);
    if (status == DCB_OK)
        status = dcb__source_check_cancelled(series->source, error);
    if (status == DCB_OK)
        status = check_value_count(series, json, nbytes, error);
    if (status == DCB_OK) {
        series->info.meta_bytes = nbytes;
        status = dcb__json_parse(document, json, nbytes, series->limits.max_json_depth, "dicommeta",
                                 series->container.sections[DCB_SECTION_DICOMMETA].offset, error);
    }
    free(json);
    return status;
}

static dcb_status read_pixel_header(dcb__pixel_header *out, const dcb_series *series,
                                    dcb_error *error)
{
    const dcb_section *section = &series->container.sections[DCB_SECTION_PIXEL_HEADER];
    uint8_t *bytes = NULL;
    dcb_status status = dcb__container_section(&bytes, series->source, section, DCB_JSON_PADDING,
                                               "pixel_header", error);
    if (status == DCB_OK)
        status =
            dcb__pixel_header_read(out, bytes, (size_t)section->nbytes, section->offset, error);
    free(bytes);
    return status;
}

dcb_status dcb__series_read_space(dcb__space *out, const dcb_series *series, dcb_error *error)
{
    const dcb_section *section = &series->container.sections[DCB_SECTION_SPACE];
    uint8_t *bytes = NULL;
    dcb_status status =
        dcb__container_section(&bytes, series->source, section, DCB_JSON_PADDING, "space", error);
    if (status == DCB_OK)
        status = dcb__space_read(out, bytes, (size_t)section->nbytes, section->offset, error);
    free(bytes);
    return status;
}

/* Rows and Columns as the metadata has them: the codestreams must agree. */
static dcb_status read_shapes(dcb_series *series, const dcb__entries *entries, dcb_error *error)
{
    const dcb__entry *rows = dcb__entry_find(entries, DCB_TAG(0x0028, 0x0010));
    const dcb__entry *columns = dcb__entry_find(entries, DCB_TAG(0x0028, 0x0011));
    series->shapes_differ = (rows != NULL && dcb__entry_is_per_slice(rows)) ||
                            (columns != NULL && dcb__entry_is_per_slice(columns));
    uint32_t n = series->shapes_differ ? series->container.nframes : 1;
    series->shapes = calloc(n, sizeof *series->shapes);
    if (series->shapes == NULL)
        return dcb__fail_no_memory(error, n * sizeof *series->shapes);
    for (uint32_t i = 0; i < n; i++) {
        series->shapes[i].rows = dcb__entry_size(rows, i);
        series->shapes[i].columns = dcb__entry_size(columns, i);
    }
    return DCB_OK;
}

/* The main header that frames are compared with: of the first frame that agrees with the metadata.
   That none does is no error: each frame will say so. */
dcb_status dcb__series_find_common(dcb_series *series, dcb_error *error)
{
    uint32_t looked = 0;
    for (uint32_t i = 0; i < series->container.nframes && looked < MAX_CANDIDATES; i++) {
        const dcb__frame_place *entry = &series->container.frames[i];
        if (entry->offset == 0 || entry->nbytes == 0)
            continue;
        looked++;
        dcb__codestream header;
        dcb__frame_place place;
        dcb_error own = DCB_ERROR_INIT;
        switch (dcb__frame_header(&header, &place, series, i, &own)) {
        case DCB_OK:
            series->common = header;
            series->has_common = true;
            return DCB_OK;
        case DCB_ERR_CANCELLED: /* these say nothing of the frame */
        case DCB_ERR_CHANGED:
        case DCB_ERR_NO_MEMORY:
            if (error != NULL)
                *error = own;
            return own.status;
        default:
            break;
        }
    }
    return DCB_OK;
}

static dcb_status complete_identity(dcb_series *series, dcb__entries *entries,
                                    const dcb__pixel_header *header,
                                    const dcb__codestream *codestream, dcb_error *error)
{
    uint32_t n = series->container.nframes;
    if (series->info.has_meta && !dcb__identity_is_missing(entries, n))
        return DCB_OK;
    dcb__content_hash content;
    dcb_status status = dcb__content_hash_read(&content, series->source, error);
    if (status == DCB_OK && !series->info.has_meta) {
        dcb__space space = {0};
        if (series->info.has_space)
            status = dcb__series_read_space(&space, series, error);
        if (status == DCB_OK)
            status = dcb__bare_series_fill(entries, n, &content, &space, header,
                                           codestream != NULL ? codestream->rows : 0,
                                           codestream != NULL ? codestream->columns : 0, error);
    }
    if (status == DCB_OK)
        status = dcb__identity_complete(entries, n, &content, error);
    return status;
}

/* By the marks of format section 4; a file does not name its writer. */
static const char *tell_writer(const dcb_series *series, const dcb__meta_counts *counts,
                               const dcb__pixel_header *header, const dcb__pixel_module *module)
{
    if (!series->info.has_meta)
        return header->upper_snake ? "DiCube before v0.2.0" : "DiCube v0.2.0 or later";
    if (!counts->wrapped)
        return "DiCube before v0.1.0";
    if (header->upper_snake)
        return "DiCube v0.1";
    if (counts->inline_pixels)
        return "DiCube v0.2.0 to v0.2.2";
    if (module->rescaled)
        return "DiCube v0.2.6 or later";
    return header->slope != 1 || header->intercept != 0 ? "DiCube v0.2.4"
                                                        : "DiCube v0.2.4 or later";
}

static void fill_info(dcb_series *series, const dcb__meta_counts *counts,
                      const dcb__pixel_header *header, const dcb__pixel_module *module)
{
    dcb_series_info *info = &series->info;
    info->nframes = series->container.nframes;
    info->dicom_status = series->dicom_status;
    info->series_instance_uid = series->model->series_uid;
    info->study_instance_uid = series->model->study_uid;
    info->unattributable = counts->unattributable;
    info->dropped_binaries = counts->dropped_binaries;
    info->invalid_elements = counts->invalid_elements;
    if (counts->invalid_elements > 0)
        info->invalid_reason = series->invalid_value.message;
    info->empty_frames = series->container.empty_frames;
    info->cut_off_frames = series->container.cut_off_frames;
    info->lossy_rescale = module->lossy_rescale;
    info->pixel = module->format;
    info->file_bytes = series->container.file_nbytes;
    memcpy(info->sections, series->container.sections, sizeof info->sections);
    info->writer = tell_writer(series, counts, header, module);
    series->pixel_problem = module->problem;
    if (series->pixel_problem == NULL && counts->lost_modality_lut)
        series->pixel_problem = "the writer dropped the data of the Modality LUT";
}

/* prune: without the values that cannot be written. */
static dcb_status build(dcb_series *series, dcb__arena *arena, const dcb__json *root,
                        const dcb__pixel_header *header, bool prune, dcb_error *error)
{
    dcb__entries entries = {.arena = arena};
    dcb__meta_counts counts = {0};
    dcb__pixel_module module;
    uint32_t n = series->container.nframes;
    dcb_status status = DCB_OK;
    if (root != NULL)
        status = dcb__meta_read(&entries, &counts, arena, root, n, &series->limits, error);
    if (status == DCB_OK && prune)
        status = dcb__meta_prune(&entries, n, &counts, &series->invalid_value, error);
    if (status == DCB_OK)
        status = read_shapes(series, &entries, error);
    if (status != DCB_OK)
        return status;
    /* dcb__frame_header compares with these. */
    series->info.pixel.bits_allocated = header->bits;
    series->info.pixel.is_signed = header->is_signed;
    status = dcb__series_find_common(series, error);
    const dcb__codestream *codestream = series->has_common ? &series->common : NULL;
    if (status == DCB_OK)
        status = complete_identity(series, &entries, header, codestream, error);
    if (status == DCB_OK)
        status = dcb__pixel_module_apply(&module, &entries, n, header, codestream, error);
    if (status == DCB_OK)
        status = dcb__source_check_cancelled(series->source, error);
    if (status == DCB_OK)
        status = dcb__model_create(&series->model, &entries, n, error);
    if (status == DCB_OK)
        fill_info(series, &counts, header, &module);
    return status;
}

static dcb_status read_from_json(dcb_series *series, const dcb__pixel_header *header,
                                 dcb_error *error)
{
    dcb__json_document *document = NULL;
    dcb_status status = DCB_OK;
    if (series->info.has_meta)
        status = read_meta(&document, series, error);
    if (status == DCB_OK) {
        const dcb__json *root = document != NULL ? dcb__json_root(document) : NULL;
        dcb__arena arena;
        dcb__arena_init(&arena);
        status = build(series, &arena, root, header, false, error);
        dcb__arena_free(&arena);
        if (status == DCB_ERR_META && root != NULL) {
            free(series->shapes);
            series->shapes = NULL;
            dcb__arena_init(&arena);
            status = build(series, &arena, root, header, true, error);
            dcb__arena_free(&arena);
        }
    }
    dcb__json_close(document);
    return status;
}

dcb_status dcb__series_read(dcb_series *series, dcb_error *error)
{
    dcb_status status =
        dcb__container_read(&series->container, series->source, &series->limits, error);
    if (status == DCB_OK)
        status = read_status(series, error);
    if (status != DCB_OK)
        return status;
    series->info.has_meta = series->container.sections[DCB_SECTION_DICOMMETA].nbytes > 0;
    series->info.has_space = series->container.sections[DCB_SECTION_SPACE].nbytes > 0;
    series->known = calloc(series->container.nframes, sizeof *series->known);
    if (series->known == NULL)
        return dcb__fail_no_memory(error, series->container.nframes);
    dcb__pixel_header header;
    status = read_pixel_header(&header, series, error);
    if (status == DCB_OK && !series->ignore_trailer)
        status = dcb__trailer_read(&series->trailer, series->source, &series->container,
                                   &series->limits, header.has_trailer, error);
    if (status != DCB_OK)
        return status;
    return series->trailer != NULL ? dcb__exact_read(series, &header, error)
                                   : read_from_json(series, &header, error);
}
