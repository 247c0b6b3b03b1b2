/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extract.c - some frames of a multi-frame instance, as they are: native samples or whole
 * codestreams.
 *
 * Threads: any.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "data_set_writer.h"
#include "dataset.h"
#include "dcb_error.h"
#include "transcode.h"

#define TAG_PIXEL_DATA DCB_TAG(0x7FE0, 0x0010)

/* PS3.5 A.4: an item with its bytes, even in length. */
static void put_item(dcb__writer *writer, const uint8_t *bytes, size_t nbytes)
{
    uint8_t head[8] = {0xFE, 0xFF, 0x00, 0xE0};
    dcb__store(head + 4, nbytes + (nbytes & 1), 4);
    dcb__writer_append(writer, head, sizeof head);
    dcb__writer_append(writer, bytes, nbytes);
    if (nbytes & 1)
        dcb__writer_append(writer, "", 1);
}

static dcb_status put_codestreams(dcb__writer *writer, const dcb__frames *f, const uint32_t *frames,
                                  uint32_t nframes, dcb_error *error)
{
    static const uint8_t start[] = {0xE0, 0x7F, 0x10, 0x00, 'O', 'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF};
    static const uint8_t end[] = {0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0};
    dcb__writer_append(writer, start, sizeof start);
    put_item(writer, NULL, 0);
    for (uint32_t i = 0; i < nframes; i++) {
        const uint8_t *codestream;
        size_t nbytes;
        uint8_t *own;
        const dcb_status status =
            dcb__fragments_frame(&codestream, &nbytes, &own, &f->fragments, frames[i], error);
        if (status != DCB_OK)
            return status;
        put_item(writer, codestream, nbytes);
        free(own);
    }
    dcb__writer_append(writer, end, sizeof end);
    return DCB_OK;
}

static void put_samples(dcb__writer *writer, const dcb__frames *f, const uint32_t *frames,
                        uint32_t nframes)
{
    const dcb_vr vr = f->place.vr;
    const uint64_t nbytes = (uint64_t)f->frame_nbytes * nframes; /* less than there is */
    uint8_t head[12] = {0xE0, 0x7F, 0x10, 0x00, (uint8_t)(vr >> 8), (uint8_t)vr};
    dcb__store(head + 8, nbytes + (nbytes & 1), 4);
    dcb__writer_append(writer, head, sizeof head);
    for (uint32_t i = 0; i < nframes; i++)
        dcb__writer_append(writer,
                           f->source->dataset + f->place.value + frames[i] * f->frame_nbytes,
                           f->frame_nbytes);
    if (nbytes & 1)
        dcb__writer_append(writer, "", 1);
}

static dcb_status check_frames(const dcb__frames *f, const uint32_t *frames, uint32_t nframes,
                               dcb_error *error)
{
    for (uint32_t i = 0; i < nframes; i++) {
        if (frames[i] >= f->nframes || (i > 0 && frames[i] <= frames[i - 1]))
            return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET,
                             "frames must ascend below %" PRIu32, f->nframes);
    }
    return nframes > 0 ? DCB_OK
                       : dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET, "no frames to extract");
}

dcb_status dcb_frame_extract(uint8_t **bytes, size_t *nbytes, const dcb_frame *source,
                             const uint32_t *frames, uint32_t nframes, dcb_error *error)
{
    const dcb_limits limits = DCB_LIMITS_INIT;
    dcb__transcode_source from = {.syntax_uid = dcb_frame_transfer_syntax_uid(source),
                                  .limits = &limits};
    dcb__pixel_place place;
    dcb_dataset *head = NULL;
    dcb__frames f;
    dcb__writer writer;
    *bytes = NULL;
    *nbytes = 0;
    from.dataset = dcb_frame_dataset(source, &from.nbytes);
    dcb_status status = dcb__pixel_place_find(&place, from.dataset, from.nbytes, error);
    if (status == DCB_OK)
        status = dcb__dataset_parse_headers(&head, from.dataset, place.start,
                                            DCB_SYNTAX_EXPLICIT_LE, NULL, NULL, &limits, error);
    if (status != DCB_OK)
        return status;
    dcb__writer_init(&writer, DCB_SYNTAX_EXPLICIT_LE);
    status = dcb__frames_open(&f, &from, &place, head, error);
    if (status == DCB_OK)
        status = check_frames(&f, frames, nframes, error);
    if (status == DCB_OK && place.encapsulated)
        status = put_codestreams(&writer, &f, frames, nframes, error);
    else if (status == DCB_OK)
        put_samples(&writer, &f, frames, nframes);
    if (status == DCB_OK) {
        dcb__writer_append(&writer, from.dataset + place.end, from.nbytes - place.end);
        status = dcb__writer_finish(bytes, nbytes, &writer, error);
    }
    dcb__writer_free(&writer);
    dcb__frames_close(&f);
    dcb_dataset_close(head);
    return status;
}
