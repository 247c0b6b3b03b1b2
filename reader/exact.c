/* SPDX-License-Identifier: Apache-2.0 */
/* exact.c - opens files with the exact trailer, and gives slices' data sets for each encoding. */
#include "exact.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "dataset.h"
#include "dcb_error.h"
#include "vr.h"

#define TAG_PHOTOMETRIC DCB_TAG(0x0028, 0x0004)
#define TAG_PLANAR      DCB_TAG(0x0028, 0x0006)
#define TAG_PIXEL_DATA  DCB_TAG(0x7FE0, 0x0010)

/* ---- Opening --------------------------------------------------------------------------------- */

/* Of what is used: the rest is dcb_series_verify's. */
static dcb_status check_sections(const dcb_series *series, dcb_error *error)
{
    static const unsigned used[] = {DCB_SECTION_COUNT, DCB_SECTION_DICOM_STATUS,
                                    DCB_SECTION_PIXEL_HEADER, DCB_SECTION_FRAME_OFFSETS,
                                    DCB_SECTION_FRAME_LENGTHS};
    dcb_status status = DCB_OK;
    for (size_t i = 0; status == DCB_OK && i < sizeof used / sizeof *used; i++)
        status = dcb__trailer_check_section(series->trailer, series->source, &series->container,
                                            used[i], error);
    return status;
}

static dcb_status take_shapes(dcb_series *series, dcb_error *error)
{
    const dcb__trailer *t = series->trailer;
    for (uint32_t i = 1; i < t->nslices && !series->shapes_differ; i++)
        series->shapes_differ =
            t->slices[i].rows != t->slices[0].rows || t->slices[i].columns != t->slices[0].columns;
    uint32_t n = series->shapes_differ ? t->nslices : 1;
    series->shapes = malloc(n * sizeof *series->shapes);
    if (series->shapes == NULL)
        return dcb__fail_no_memory(error, n * sizeof *series->shapes);
    for (uint32_t i = 0; i < n; i++)
        series->shapes[i] = (dcb__shape){t->slices[i].rows, t->slices[i].columns};
    return DCB_OK;
}

/* A model of UIDs alone: the trailer owns the text. */
static dcb_status take_uids(dcb_series *series, dcb_error *error)
{
    const dcb__trailer *t = series->trailer;
    dcb__model *model = calloc(1, sizeof *model);
    if (model == NULL)
        return dcb__fail_no_memory(error, sizeof *model);
    series->model = model;
    model->nslices = t->nslices;
    model->study_uid = t->study_uid;
    model->series_uid = t->series_uid;
    model->class_uids = malloc(t->nslices * sizeof *model->class_uids);
    model->instance_uids = malloc(t->nslices * sizeof *model->instance_uids);
    if (model->class_uids == NULL || model->instance_uids == NULL)
        return dcb__fail_no_memory(error, t->nslices * sizeof *model->class_uids);
    for (uint32_t i = 0; i < t->nslices; i++) {
        model->class_uids[i] = t->slices[i].class_uid;
        model->instance_uids[i] = t->slices[i].instance_uid;
    }
    return DCB_OK;
}

/* How much JSON there is, without unpacking it; 0 where it is not told. */
static uint64_t unpacked_meta_nbytes(const dcb_series *series)
{
    uint8_t head[18]; /* the longest header of a zstd frame */
    const dcb_section *meta = &series->container.sections[DCB_SECTION_DICOMMETA];
    size_t nbytes = meta->nbytes < sizeof head ? (size_t)meta->nbytes : sizeof head;
    if (dcb__source_read(series->source, head, nbytes, meta->offset, "dicommeta", NULL) != DCB_OK)
        return 0;
    unsigned long long size = ZSTD_getFrameContentSize(head, nbytes);
    return size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN ? 0 : size;
}

static void fill_info(dcb_series *series, const dcb__pixel_header *header)
{
    const dcb__trailer *t = series->trailer;
    dcb_series_info *info = &series->info;
    info->nframes = series->container.nframes;
    info->dicom_status = series->dicom_status;
    info->series_instance_uid = t->series_uid;
    info->study_instance_uid = t->study_uid;
    info->empty_frames = series->container.empty_frames;
    info->cut_off_frames = series->container.cut_off_frames;
    info->pixel.rows = t->slices[0].rows;
    info->pixel.columns = t->slices[0].columns;
    info->pixel.samples_per_pixel = t->samples;
    info->pixel.bits_stored = series->has_common ? series->common.precision : header->bits;
    info->pixel.rescale_slope = header->slope;
    info->pixel.rescale_intercept = header->intercept;
    info->file_bytes = series->container.file_nbytes;
    info->meta_bytes = unpacked_meta_nbytes(series);
    memcpy(info->sections, series->container.sections, sizeof info->sections);
    info->writer = t->writer;
    info->has_trailer = true;
    info->trailer = (dcb_section){t->nchunks > 0 ? t->chunks[0].offset : t->offset, 0};
    info->trailer.nbytes = info->file_bytes - info->trailer.offset;
    if (series->has_common &&
        (series->common.components != t->samples || series->common.precision > t->allocated))
        series->pixel_problem = "the codestreams are not what the exact trailer says";
}

dcb_status dcb__exact_read(dcb_series *series, const dcb__pixel_header *header, dcb_error *error)
{
    dcb_status status = check_sections(series, error);
    if (status == DCB_OK)
        status = take_shapes(series, error);
    if (status == DCB_OK)
        status = take_uids(series, error);
    if (status != DCB_OK)
        return status;
    series->info.pixel.bits_allocated = header->bits; /* dcb__frame_header compares with these */
    series->info.pixel.is_signed = header->is_signed;
    status = dcb__series_find_common(series, error);
    if (status == DCB_OK)
        fill_info(series, header);
    return status;
}

/* ---- Data sets ------------------------------------------------------------------------------- */

static dcb_syntax syntax_of(dcb_encoding encoding)
{
    return encoding == DCB_ENCODING_IMPLICIT_LE   ? DCB_SYNTAX_IMPLICIT_LE
           : encoding == DCB_ENCODING_EXPLICIT_BE ? DCB_SYNTAX_EXPLICIT_BE
                                                  : DCB_SYNTAX_EXPLICIT_LE;
}

/* PS3.5 8.2.4: encapsulated samples go by pixel. YBR_RCT names a transform inside a codestream:
   samples that left it, or never were in it, are RGB. */
static dcb_status edit(dcb_dataset *dataset, const dcb_series *series, dcb_encoding encoding,
                       dcb_error *error)
{
    static const uint8_t by_pixel[2] = {0, 0};
    bool stored = encoding == DCB_ENCODING_STORED;
    char term[20];
    dcb_status status = DCB_OK;
    if (stored && dcb_dataset_find(dataset, TAG_PLANAR) != NULL)
        status = dcb_dataset_put(dataset, TAG_PLANAR, DCB_VR('U', 'S'), by_pixel, 2, error);
    dcb_dataset_get_text(dataset, TAG_PHOTOMETRIC, term, sizeof term);
    bool inside = stored && series->common.component_transform;
    if (status == DCB_OK && strcmp(term, "YBR_RCT") == 0 && !inside)
        status = dcb_dataset_put_text(dataset, TAG_PHOTOMETRIC, DCB_VR_CS, "RGB", error);
    return status;
}

/* The bytes of a slice as a data set; edits are made. */
static dcb_status parse_slice(dcb_dataset **out, const dcb__slice_bytes *slice,
                              const dcb_series *series, dcb_encoding encoding, dcb_error *error)
{
    dcb_limits limits = series->limits;
    limits.max_pixel_bytes = UINT64_MAX; /* the chunk met its own limit */
    dcb_dataset *dataset = NULL;
    dcb_status status =
        dcb_dataset_parse(&dataset, slice->before, slice->before_nbytes + slice->after_nbytes,
                          DCB_SYNTAX_EXPLICIT_LE, NULL, NULL, &limits, error);
    if (status == DCB_OK)
        status = edit(dataset, series, encoding, error);
    if (status != DCB_OK) {
        dcb_dataset_close(dataset);
        return status;
    }
    *out = dataset;
    return DCB_OK;
}

static dcb_status make_edited(dcb__exact_parts *parts, const dcb_series *series,
                              dcb_encoding encoding, dcb_error *error)
{
    dcb_dataset *dataset = NULL;
    dcb_status status = parse_slice(&dataset, &parts->slice, series, encoding, error);
    if (status != DCB_OK)
        return status;
    dcb__writer writer;
    dcb__writer_init(&writer, syntax_of(encoding));
    dcb__dataset_write(&writer, dataset, 0, TAG_PIXEL_DATA - 1);
    parts->edited_cut = writer.nbytes;
    dcb__dataset_write(&writer, dataset, TAG_PIXEL_DATA + 1, UINT32_MAX);
    dcb_dataset_close(dataset);
    return dcb__writer_finish(&parts->edited, &parts->edited_nbytes, &writer, error);
}

dcb_status dcb__exact_parts_open(dcb__exact_parts *out, dcb_series *series, uint32_t frame,
                                 dcb_encoding encoding, dcb_error *error)
{
    *out = (dcb__exact_parts){.edited = NULL};
    const dcb__slice *row = &series->trailer->slices[frame];
    dcb_status status = dcb__slice_open(&out->slice, series->trailer, series->source, frame, error);
    if (status != DCB_OK)
        return status;
    unsigned flag = encoding == DCB_ENCODING_STORED ? DCB_SLICE_EDIT_STORED : DCB_SLICE_EDIT_NATIVE;
    if ((row->flags & flag) != 0 || syntax_of(encoding) != DCB_SYNTAX_EXPLICIT_LE) {
        dcb_error own = DCB_ERROR_INIT;
        status = make_edited(out, series, encoding, &own);
        if (status != DCB_OK)
            dcb__fail(error, status, DCB_NO_OFFSET, "frame %" PRIu32 ": %s", frame, own.message);
    }
    if (status != DCB_OK)
        dcb__exact_parts_close(out);
    return status;
}

void dcb__exact_parts_close(dcb__exact_parts *parts)
{
    dcb__slice_close(&parts->slice);
    free(parts->edited);
    parts->edited = NULL;
}

void dcb__exact_parts_write(dcb__writer *writer, const dcb__exact_parts *parts, dcb__part part)
{
    bool before = part == DCB_BEFORE_PIXELS;
    const dcb__slice_bytes *slice = &parts->slice;
    if (parts->edited == NULL)
        dcb__writer_append(writer, before ? slice->before : slice->after,
                           before ? slice->before_nbytes : slice->after_nbytes);
    else if (before)
        dcb__writer_append(writer, parts->edited, parts->edited_cut);
    else
        dcb__writer_append(writer, parts->edited + parts->edited_cut,
                           parts->edited_nbytes - parts->edited_cut);
}

dcb__pixel_layout dcb__exact_layout(const dcb_series *series, uint32_t frame)
{
    const dcb__trailer *t = series->trailer;
    return (dcb__pixel_layout){.rows = t->slices[frame].rows,
                               .columns = t->slices[frame].columns,
                               .samples = t->samples,
                               .allocated = t->allocated,
                               .by_plane = (t->slices[frame].flags & DCB_SLICE_BY_PLANE) != 0,
                               .is_signed = series->info.pixel.is_signed};
}

dcb_status dcb__exact_check_frame(const dcb_series *series, uint32_t frame, uint64_t offset,
                                  const uint8_t *codestream, size_t nbytes, dcb_error *error)
{
    if (dcb__checksum(codestream, nbytes) == series->trailer->slices[frame].frame_checksum)
        return DCB_OK;
    return dcb__fail(error, DCB_ERR_CODESTREAM, offset,
                     "frame %" PRIu32 ": the codestream does not have its checksum: the file is "
                     "damaged",
                     frame);
}

static bool same_element(const dcb_element *a, const dcb_element *b)
{
    if (b == NULL || a->vr != b->vr || a->nbytes != b->nbytes || a->nitems != b->nitems ||
        (a->nbytes > 0 && memcmp(a->value, b->value, a->nbytes) != 0))
        return false;
    for (uint32_t i = 0; i < a->nitems; i++) {
        const dcb_dataset *x = a->items[i], *y = b->items[i];
        if (x->count != y->count)
            return false;
        for (uint32_t k = 0; k < x->count; k++)
            if (x->elements[k].tag != y->elements[k].tag ||
                !same_element(&x->elements[k], &y->elements[k]))
                return false;
    }
    return true;
}

dcb_status dcb__exact_shared(uint8_t **bytes, size_t *nbytes, dcb_series *series, dcb_error *error)
{
    dcb_dataset *shared = NULL;
    dcb_status status = DCB_OK;
    *bytes = NULL;
    for (uint32_t i = 0; status == DCB_OK && i < series->info.nframes; i++) {
        dcb__slice_bytes slice;
        dcb_dataset *dataset = NULL;
        status = dcb__slice_open(&slice, series->trailer, series->source, i, error);
        if (status != DCB_OK)
            break;
        status = parse_slice(&dataset, &slice, series, DCB_ENCODING_EXPLICIT_LE, error);
        dcb__slice_close(&slice);
        if (status != DCB_OK)
            break;
        if (i == 0) {
            shared = dataset;
            continue;
        }
        uint32_t kept = 0;
        for (uint32_t k = 0; k < shared->count; k++)
            if (same_element(&shared->elements[k],
                             dcb_dataset_find(dataset, shared->elements[k].tag)))
                shared->elements[kept++] = shared->elements[k];
        shared->count = kept;
        dcb_dataset_close(dataset);
    }
    if (status == DCB_OK)
        status = dcb_dataset_encode(bytes, nbytes, shared, DCB_SYNTAX_EXPLICIT_LE, error);
    dcb_dataset_close(shared);
    return status;
}
