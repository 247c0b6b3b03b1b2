/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trailer_chunks.c - unpacks chunks of data sets, and keeps the last few.
 *
 * Invariant: a slot holds one reference to what it names. Two threads may unpack the same chunk at
 * once; the later one's goes with its last user.
 *
 * Threads: any. Chunks are read, unpacked and freed without the lock.
 */
#include "trailer.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <zstd.h>

#include "dcb_error.h"

struct dcb__unpacked {
    atomic_uint references;
    uint32_t chunk;
    uint8_t bytes[];
};

static void release(dcb__unpacked *unpacked)
{
    if (unpacked != NULL &&
        atomic_fetch_sub_explicit(&unpacked->references, 1, memory_order_acq_rel) == 1)
        free(unpacked);
}

void dcb__trailer_close(dcb__trailer *trailer)
{
    if (trailer == NULL)
        return;
    for (unsigned i = 0; i < DCB_CHUNKS_KEPT; i++)
        release(trailer->kept[i].chunk);
    dcb__mutex_destroy(&trailer->lock);
    free(trailer->directory);
    free(trailer->chunks);
    free(trailer->slices);
    free(trailer);
}

/* A reference to the chunk, where it is kept. */
static dcb__unpacked *find(dcb__trailer *trailer, uint32_t chunk)
{
    dcb__unpacked *found = NULL;
    dcb__mutex_lock(&trailer->lock);
    for (unsigned i = 0; i < DCB_CHUNKS_KEPT && found == NULL; i++) {
        dcb__unpacked *here = trailer->kept[i].chunk;
        if (here == NULL || here->chunk != chunk)
            continue;
        trailer->kept[i].used = ++trailer->clock;
        atomic_fetch_add_explicit(&here->references, 1, memory_order_relaxed);
        found = here;
    }
    dcb__mutex_unlock(&trailer->lock);
    return found;
}

static void keep(dcb__trailer *trailer, dcb__unpacked *unpacked)
{
    dcb__mutex_lock(&trailer->lock);
    unsigned oldest = 0;
    for (unsigned i = 1; i < DCB_CHUNKS_KEPT; i++)
        if (trailer->kept[i].used < trailer->kept[oldest].used)
            oldest = i;
    dcb__unpacked *leaves = trailer->kept[oldest].chunk;
    trailer->kept[oldest].chunk = unpacked;
    trailer->kept[oldest].used = ++trailer->clock;
    atomic_fetch_add_explicit(&unpacked->references, 1, memory_order_relaxed);
    dcb__mutex_unlock(&trailer->lock);
    release(leaves);
}

static dcb_status unpack(dcb__unpacked *to, const dcb__chunk *chunk, const dcb__source *source,
                         uint32_t slice, dcb_error *error)
{
    uint8_t *packed = malloc((size_t)chunk->nbytes);
    if (packed == NULL)
        return dcb__fail_no_memory(error, (size_t)chunk->nbytes);
    dcb_status status = dcb__source_read(source, packed, (size_t)chunk->nbytes, chunk->offset,
                                         "a chunk of data sets", error);
    if (status == DCB_OK && dcb__checksum(packed, (size_t)chunk->nbytes) != chunk->checksum)
        status = dcb__fail(error, DCB_ERR_FORMAT, chunk->offset,
                           "frame %" PRIu32 ": the chunk that holds its data set does not have its "
                           "checksum: the file is damaged",
                           slice);
    if (status == DCB_OK) {
        size_t got = ZSTD_decompress(to->bytes, (size_t)chunk->unpacked_nbytes, packed,
                                     (size_t)chunk->nbytes);
        if (ZSTD_isError(got) || got != chunk->unpacked_nbytes)
            status =
                dcb__fail(error, DCB_ERR_FORMAT, chunk->offset,
                          "frame %" PRIu32 ": the chunk that holds its data set: zstd: %s", slice,
                          ZSTD_isError(got) ? ZSTD_getErrorName(got) : "shorter than told");
    }
    free(packed);
    return status;
}

static dcb_status get_chunk(dcb__unpacked **out, dcb__trailer *trailer, const dcb__source *source,
                            uint32_t slice, dcb_error *error)
{
    uint32_t number = trailer->slices[slice].chunk;
    const dcb__chunk *chunk = &trailer->chunks[number];
    *out = find(trailer, number);
    if (*out != NULL)
        return DCB_OK;
    size_t size = sizeof(dcb__unpacked) + (size_t)chunk->unpacked_nbytes;
    dcb__unpacked *made = malloc(size);
    if (made == NULL)
        return dcb__fail_no_memory(error, size);
    atomic_init(&made->references, 1);
    made->chunk = number;
    dcb_status status = unpack(made, chunk, source, slice, error);
    if (status != DCB_OK) {
        free(made);
        return status;
    }
    keep(trailer, made);
    *out = made;
    return DCB_OK;
}

dcb_status dcb__slice_open(dcb__slice_bytes *out, dcb__trailer *trailer, const dcb__source *source,
                           uint32_t slice, dcb_error *error)
{
    const dcb__slice *row = &trailer->slices[slice];
    dcb__unpacked *chunk = NULL;
    *out = (dcb__slice_bytes){0};
    dcb_status status = get_chunk(&chunk, trailer, source, slice, error);
    if (status != DCB_OK)
        return status;
    const uint8_t *bytes = chunk->bytes + row->start;
    size_t nbytes = (size_t)row->before + row->after + row->tail;
    if (dcb__checksum(bytes, nbytes) != row->data_set_checksum) {
        release(chunk);
        return dcb__fail(error, DCB_ERR_FORMAT, trailer->chunks[row->chunk].offset,
                         "frame %" PRIu32 ": its data set does not have its checksum", slice);
    }
    *out = (dcb__slice_bytes){bytes,       bytes + row->before, bytes + row->before + row->after,
                              row->before, row->after,          row->tail,
                              chunk};
    return DCB_OK;
}

void dcb__slice_close(dcb__slice_bytes *bytes)
{
    release(bytes->chunk);
    bytes->chunk = NULL;
}
