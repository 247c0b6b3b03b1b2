/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_codestream.c - a frame's codestream, read and held against the metadata: pixels that are
 * not what the data set says fail that frame.
 *
 * Threads: any.
 */
#include "series.h"

#include <inttypes.h>
#include <stdlib.h>

#include "dcb_error.h"
#include "exact.h"

/* Main headers have some 150 bytes; a comment may make them longer. */
#define HEADER_READ 1024u
#define LONG_HEADER 65536u

dcb_pixel_format dcb__pixel_format_of(const dcb_series *series, const dcb__codestream *header)
{
    dcb_pixel_format format = series->info.pixel;
    format.rows = header->rows;
    format.columns = header->columns;
    return format;
}

static bool same_kind(const dcb__codestream *a, const dcb__codestream *b)
{
    return a->components == b->components && a->precision == b->precision &&
           a->is_signed == b->is_signed && a->component_transform == b->component_transform;
}

static dcb_status check_header(const dcb_series *series, uint32_t frame, uint64_t offset,
                               const dcb__codestream *header, dcb_error *error)
{
    dcb__shape shape = series->shapes[series->shapes_differ ? frame : 0];
    const dcb_pixel_format *pixel = &series->info.pixel;
    /* A slice without Rows and Columns got those of the common header. */
    const char *said_by =
        shape.rows != 0 || shape.columns != 0 ? "the metadata say" : "others have";
    if (shape.rows == 0)
        shape.rows = series->has_common ? series->common.rows : header->rows;
    if (shape.columns == 0)
        shape.columns = series->has_common ? series->common.columns : header->columns;
    if (shape.rows != header->rows || shape.columns != header->columns)
        return dcb__fail(error, DCB_ERR_CODESTREAM, offset,
                         "frame %" PRIu32 ": the codestream has %" PRIu32 " rows and %" PRIu32
                         " columns, %s %" PRIu32 " and %" PRIu32,
                         frame, header->rows, header->columns, said_by, shape.rows, shape.columns);
    if (header->is_signed != pixel->is_signed ||
        8 * dcb__codestream_sample_nbytes(header) != pixel->bits_allocated)
        return dcb__fail(error, DCB_ERR_CODESTREAM, offset,
                         "frame %" PRIu32 ": the codestream has %s samples of %u bits, "
                         "pixel_header says %s of %u",
                         frame, header->is_signed ? "signed" : "unsigned", header->precision,
                         pixel->is_signed ? "signed" : "unsigned", pixel->bits_allocated);
    if (header->rows > UINT16_MAX || header->columns > UINT16_MAX)
        return dcb__fail(error, DCB_ERR_CODESTREAM, offset,
                         "frame %" PRIu32 ": %" PRIu32 " rows and %" PRIu32
                         " columns, DICOM holds up to 65535",
                         frame, header->rows, header->columns);
    if (series->has_common && !same_kind(header, &series->common))
        return dcb__fail(error, DCB_ERR_CODESTREAM, offset,
                         "frame %" PRIu32 ": the codestream's samples (%u of %u bits) are not "
                         "those of the other frames (%u of %u bits)",
                         frame, header->components, header->precision, series->common.components,
                         series->common.precision);
    return DCB_OK;
}

static bool is_common(const dcb_series *series, const dcb__codestream *header)
{
    const dcb__codestream *common = &series->common;
    return series->has_common && header->rows == common->rows &&
           header->columns == common->columns && header->rpcl == common->rpcl &&
           header->has_tlm == common->has_tlm && header->reversible == common->reversible &&
           header->levels == common->levels;
}

static dcb_status parse_header(dcb__codestream *out, dcb_series *series, uint32_t frame,
                               const dcb__frame_place *place, const uint8_t *bytes, size_t nbytes,
                               dcb_error *error)
{
    dcb_error own = DCB_ERROR_INIT;
    dcb_status status =
        dcb__codestream_read(out, bytes, nbytes, place->offset, &series->limits, &own);
    if (status != DCB_OK)
        dcb__fail(error, status, own.offset, "frame %" PRIu32 ": %s", frame, own.message);
    if (status == DCB_OK)
        status = check_header(series, frame, place->offset, out, error);
    if (status == DCB_OK && is_common(series, out))
        atomic_store_explicit(&series->known[frame], 1, memory_order_relaxed);
    return status;
}

dcb_status dcb__frame_header(dcb__codestream *out, dcb__frame_place *place, dcb_series *series,
                             uint32_t frame, dcb_error *error)
{
    *out = (dcb__codestream){0};
    dcb_status status = dcb__container_frame(place, &series->container, frame, error);
    if (status != DCB_OK)
        return status;
    if (atomic_load_explicit(&series->known[frame], memory_order_relaxed) != 0) {
        *out = series->common;
        return DCB_OK;
    }
    uint8_t bytes[HEADER_READ];
    size_t nbytes = place->nbytes < sizeof bytes ? (size_t)place->nbytes : sizeof bytes;
    status =
        dcb__source_read(series->source, bytes, nbytes, place->offset, "the codestream", error);
    if (status != DCB_OK)
        return status;
    status = parse_header(out, series, frame, place, bytes, nbytes, error);
    if (status == DCB_OK || place->nbytes <= HEADER_READ || out->rows > 0)
        return status;
    nbytes = place->nbytes < LONG_HEADER ? (size_t)place->nbytes : LONG_HEADER;
    uint8_t *more = malloc(nbytes);
    if (more == NULL)
        return dcb__fail_no_memory(error, nbytes);
    status = dcb__source_read(series->source, more, nbytes, place->offset, "the codestream", error);
    if (status == DCB_OK)
        status = parse_header(out, series, frame, place, more, nbytes, error);
    free(more);
    return status;
}

dcb_status dcb__read_codestream(uint8_t *to, dcb__codestream *header, dcb_series *series,
                                uint32_t frame, const dcb__frame_place *place, dcb_error *error)
{
    size_t nbytes = (size_t)place->nbytes;
    dcb_status status =
        dcb__source_read(series->source, to, nbytes, place->offset, "the codestream", error);
    if (status == DCB_OK && series->trailer != NULL)
        status = dcb__exact_check_frame(series, frame, place->offset, to, nbytes, error);
    if (status == DCB_OK)
        status = parse_header(header, series, frame, place, to, nbytes, error);
    if (status == DCB_OK && series->trailer != NULL)
        return DCB_OK; /* before it was given its checksum, the writer decoded it */
    /* One that stops short would be decoded to a wrong picture by a forgiving viewer. */
    dcb_error own = DCB_ERROR_INIT;
    if (status == DCB_OK && dcb__codestream_check(header, to, nbytes, &own) != DCB_OK)
        status = dcb__fail(error, own.status,
                           place->offset + (own.offset != DCB_NO_OFFSET ? own.offset : 0),
                           "frame %" PRIu32 ": %s", frame, own.message);
    return status;
}

dcb_status dcb__frame_codestream(uint8_t **bytes, dcb__codestream *header, dcb__frame_place *place,
                                 dcb_series *series, uint32_t frame, dcb_error *error)
{
    *bytes = NULL;
    dcb_status status = dcb__container_frame(place, &series->container, frame, error);
    if (status != DCB_OK)
        return status;
    uint8_t *own = malloc((size_t)place->nbytes);
    if (own == NULL)
        return dcb__fail_no_memory(error, (size_t)place->nbytes);
    status = dcb__read_codestream(own, header, series, frame, place, error);
    if (status != DCB_OK) {
        free(own);
        return status;
    }
    *bytes = own;
    return DCB_OK;
}
