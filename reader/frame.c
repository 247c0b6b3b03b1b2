/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.c - dcb_frame: immutable once shared, counted references, one allocation.
 *
 * Threads: any.
 */
#include "frame.h"
#include "buffers.h"
#include "dcb_error.h"
#include "lock.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

struct dcb_frame {
    atomic_uint references;
    size_t nbytes;    /* Part 10 bytes */
    size_t dataset;   /* offset of the data set in them */
    size_t footprint; /* of the allocation */
    const char *transfer_syntax_uid, *sop_class_uid, *sop_instance_uid; /* in the tail */
    uint8_t bytes[];                                                    /* Part 10, then the UIDs */
};

static const char *put_text(char **end, const char *text, size_t nbytes)
{
    const char *start = memcpy(*end, text, nbytes);
    *end += nbytes;
    return start;
}

dcb_status dcb__frame_create(dcb_frame **out, uint8_t **bytes, const dcb__frame_layout *layout,
                             dcb_error *error)
{
    *out = NULL;
    *bytes = NULL;
    assert(layout->dataset_offset <= layout->part10_nbytes);
    size_t syntax = strlen(layout->transfer_syntax_uid) + 1;
    size_t sop_class = strlen(layout->sop_class_uid) + 1;
    size_t instance = strlen(layout->sop_instance_uid) + 1;
    size_t overhead = sizeof(dcb_frame) + syntax + sop_class + instance;
    if (layout->part10_nbytes > SIZE_MAX / 2 - overhead)
        return dcb__fail_no_memory(error, layout->part10_nbytes);

    size_t footprint = dcb__buffer_size(overhead + layout->part10_nbytes);
    dcb_frame *frame = dcb__buffer_take(footprint);
    if (frame == NULL)
        return dcb__fail_no_memory(error, footprint);
    atomic_init(&frame->references, 1);
    frame->nbytes = layout->part10_nbytes;
    frame->dataset = layout->dataset_offset;
    frame->footprint = footprint;
    char *end = (char *)frame->bytes + frame->nbytes;
    frame->transfer_syntax_uid = put_text(&end, layout->transfer_syntax_uid, syntax);
    frame->sop_class_uid = put_text(&end, layout->sop_class_uid, sop_class);
    frame->sop_instance_uid = put_text(&end, layout->sop_instance_uid, instance);
    *out = frame;
    *bytes = frame->bytes;
    return DCB_OK;
}

size_t dcb__frame_footprint(const dcb_frame *frame)
{
    return frame->footprint;
}

dcb_frame *dcb_frame_ref(dcb_frame *frame)
{
    atomic_fetch_add_explicit(&frame->references, 1, memory_order_relaxed);
    return frame;
}

void dcb_frame_release(dcb_frame *frame)
{
    if (frame == NULL)
        return;
    dcb__lock_check_none();
    if (atomic_fetch_sub_explicit(&frame->references, 1, memory_order_acq_rel) == 1)
        dcb__buffer_give(frame, frame->footprint);
}

const uint8_t *dcb_frame_part10(const dcb_frame *frame, size_t *nbytes)
{
    *nbytes = frame->nbytes;
    return frame->bytes;
}

const uint8_t *dcb_frame_dataset(const dcb_frame *frame, size_t *nbytes)
{
    *nbytes = frame->nbytes - frame->dataset;
    return frame->bytes + frame->dataset;
}

const char *dcb_frame_transfer_syntax_uid(const dcb_frame *frame)
{
    return frame->transfer_syntax_uid;
}

const char *dcb_frame_sop_class_uid(const dcb_frame *frame)
{
    return frame->sop_class_uid;
}

const char *dcb_frame_sop_instance_uid(const dcb_frame *frame)
{
    return frame->sop_instance_uid;
}
