/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_pdata.c - the writer of ul_pdata.h: PDU heads and slices of payload are gathered in a batch
 * that leaves with one sendmsg; a command and its data set share batches.
 */
#include "ul_pdata.h"

#include <stdbool.h>

#define HEAD_BYTES  12 /* PDU head 6, PDV length 4, context ID 1, message control header 1 */
#define BATCH_HEADS 128
#define BATCH_IOV   512

enum { CONTROL_COMMAND = 1, CONTROL_LAST = 2 }; /* PS3.8 annex E.2 */

typedef struct batch {
    ul_transport *transport;
    uint8_t context_id;
    size_t nheads, niov;
    uint8_t heads[BATCH_HEADS][HEAD_BYTES];
    struct iovec iov[BATCH_IOV];
} batch;

size_t ul_fragment_size(uint32_t peer_max_pdu)
{
    if (peer_max_pdu == 0 || peer_max_pdu - 6 > UL_PDV_MAX)
        return peer_max_pdu != 0 && peer_max_pdu < 8 ? 0 : UL_PDV_MAX;
    return (peer_max_pdu - 6) & ~(size_t)1;
}

static void put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static ul_io flush(batch *b)
{
    ul_io io = ul_transport_write(b->transport, b->iov, b->niov);
    b->nheads = b->niov = 0;
    return io;
}

static ul_io add_iov(batch *b, const void *bytes, size_t nbytes)
{
    if (b->niov == BATCH_IOV) {
        /* Within a PDU: the heads that wait belong to what goes out now. */
        ul_io io = flush(b);
        if (io != UL_IO_OK)
            return io;
    }
    b->iov[b->niov++] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = nbytes};
    return UL_IO_OK;
}

static ul_io add_head(batch *b, size_t fragment, uint8_t control)
{
    /* Heads live in the batch until it is flushed. */
    if (b->nheads == BATCH_HEADS || b->niov == BATCH_IOV) {
        ul_io io = flush(b);
        if (io != UL_IO_OK)
            return io;
    }
    uint8_t *head = b->heads[b->nheads++];
    head[0] = 0x04;
    head[1] = 0;
    put_u32(head + 2, (uint32_t)fragment + 6);
    put_u32(head + 6, (uint32_t)fragment + 2);
    head[10] = b->context_id;
    head[11] = control;
    return add_iov(b, head, HEAD_BYTES);
}

static ul_io add_stream(batch *b, size_t fragment_size, const struct iovec *slices, size_t nslices,
                        uint8_t control)
{
    size_t left = 0;
    for (size_t i = 0; i < nslices; i++)
        left += slices[i].iov_len;
    size_t slice = 0, offset = 0;
    do {
        size_t fragment = left < fragment_size ? left : fragment_size;
        left -= fragment;
        ul_io io = add_head(b, fragment, left == 0 ? control | CONTROL_LAST : control);
        while (io == UL_IO_OK && fragment > 0) {
            size_t room = slices[slice].iov_len - offset;
            size_t n = room < fragment ? room : fragment;
            if (n > 0)
                io = add_iov(b, (const uint8_t *)slices[slice].iov_base + offset, n);
            fragment -= n;
            offset += n;
            if (offset == slices[slice].iov_len) {
                slice++;
                offset = 0;
            }
        }
        if (io != UL_IO_OK)
            return io;
    } while (left > 0);
    return UL_IO_OK;
}

ul_io ul_pdata_send(ul_transport *t, size_t fragment_size, uint8_t context_id, const void *command,
                    size_t command_nbytes, const struct iovec *slices, size_t nslices)
{
    batch b;
    b.transport = t;
    b.context_id = context_id;
    b.nheads = b.niov = 0;
    const uint64_t before = t->bytes_out;
    ul_io io = UL_IO_OK;
    if (command != NULL) {
        struct iovec slice = {.iov_base = (void *)(uintptr_t)command, .iov_len = command_nbytes};
        io = add_stream(&b, fragment_size, &slice, 1, CONTROL_COMMAND);
    }
    if (io == UL_IO_OK && nslices > 0)
        io = add_stream(&b, fragment_size, slices, nslices, 0);
    if (io == UL_IO_OK)
        io = flush(&b);
    if (io != UL_IO_OK && t->bytes_out != before)
        t->torn = true;
    return io;
}
