/* SPDX-License-Identifier: Apache-2.0 */
/* writer_reuse.c - slices of files with the exact trailer, taken into a new one as they are. */
#include <stdlib.h>
#include <string.h>

#include "dcb_error.h"
#include "series.h"
#include "writer.h"

/* Before, tail and after in one piece; free() it. */
static uint8_t *join(const dcb__slice_bytes *slice)
{
    const size_t nbytes = slice->before_nbytes + slice->tail_nbytes + slice->after_nbytes;
    uint8_t *joined = malloc(nbytes > 0 ? nbytes : 1);
    if (joined == NULL)
        return NULL;
    memcpy(joined, slice->before, slice->before_nbytes);
    memcpy(joined + slice->before_nbytes, slice->tail, slice->tail_nbytes);
    memcpy(joined + slice->before_nbytes + slice->tail_nbytes, slice->after, slice->after_nbytes);
    return joined;
}

static dcb_status add_slice(dcb_writer *writer, dcb_series *series, uint32_t frame,
                            const dcb__slice_bytes *slice, dcb_error *error)
{
    const dcb__slice *row = &series->trailer->slices[frame];
    uint8_t *bytes = join(slice);
    if (bytes == NULL)
        return dcb__fail_no_memory(error, slice->before_nbytes + slice->after_nbytes);
    const dcb__given_slice given = {.bytes = bytes,
                                    .before_nbytes = slice->before_nbytes,
                                    .tail_nbytes = slice->tail_nbytes,
                                    .after_nbytes = slice->after_nbytes,
                                    .syntax_uid = row->syntax_uid,
                                    .pixel_vr = row->pixel_vr,
                                    .flags = row->flags};
    dcb__instance instance = {.dataset = NULL};
    dcb__given_frame codestream = {.bytes = NULL};
    dcb__frame_place place = {0};
    dcb_status status =
        dcb__instance_describe_slice(&instance, &given, &writer->options.limits, error);
    if (status == DCB_OK)
        status = dcb__frame_codestream(&codestream.bytes, &codestream.header, &place, series, frame,
                                       error);
    codestream.nbytes = (size_t)place.nbytes;
    if (status == DCB_OK)
        status = dcb__writer_add(writer, &instance, &codestream, error);
    free(codestream.bytes);
    dcb__instance_free(&instance);
    free(bytes);
    return status;
}

dcb_status dcb_writer_add_frame(dcb_writer *writer, dcb_series *series, uint32_t frame,
                                dcb_error *error)
{
    dcb_status status = dcb__writer_usable(writer, error);
    if (status == DCB_OK)
        status = dcb__series_check_call(series, frame, error);
    if (status != DCB_OK)
        return status;
    if (series->trailer == NULL)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                         "the file has no exact trailer: what was taken in is not known");
    dcb__slice_bytes slice;
    status = dcb__slice_open(&slice, series->trailer, series->source, frame, error);
    if (status != DCB_OK)
        return status;
    status = add_slice(writer, series, frame, &slice, error);
    dcb__slice_close(&slice);
    return status;
}
