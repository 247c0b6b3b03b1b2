/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codestream_packets.c - reads packet headers (ISO/IEC 15444-1 annex B, 15444-15 annex B) before a
 * library does.
 *
 * Why: a block length that runs past the data makes OpenJPH 0.9 write past a buffer, an overlong
 * length code aborts the process, and missing packets are zeros to all of them, that is wrong
 * pixels without an error. A walk that accounts for every byte costs microseconds and rules all
 * that out. Invariant of the cursor: pos <= end, and end lies within the bytes.
 *
 * Threads: any; nothing is kept.
 */
#include "codestream_walk.h"

#include <stdlib.h>
#include <string.h>

#include "dcb_error.h"

enum {
    MAX_PASSES = 3,       /* cleanup, significance propagation, magnitude refinement */
    MAX_SUFFIX = 4079,    /* Scup: 15444-15, 7.1.1 */
    MAX_LENGTH_BITS = 30, /* of a block's length; a longer one cannot fit into any tile-part */
    MAX_TREE_LEVELS = 33,
};

/* ---- Packet headers: bits with stuffing after FF (B.10.1) ------------------------------------ */

typedef struct bit_reader {
    const uint8_t *bytes;
    size_t pos, end;
    unsigned byte, left; /* bits of byte not yet read */
    bool failed;         /* read past the end: sticks */
} bit_reader;

static unsigned read_bit(bit_reader *reader)
{
    if (reader->left == 0) {
        if (reader->pos == reader->end) {
            reader->failed = true;
            return 0;
        }
        reader->left = reader->byte == 0xFF ? 7 : 8;
        reader->byte = reader->bytes[reader->pos++];
    }
    return reader->byte >> --reader->left & 1;
}

static uint32_t read_bits(bit_reader *reader, unsigned count)
{
    uint32_t value = 0;
    while (count-- > 0)
        value = value << 1 | read_bit(reader);
    return value;
}

/* A header that ends in FF is followed by one stuffed byte. */
static void finish_bits(bit_reader *reader)
{
    if (reader->byte != 0xFF)
        return;
    if (reader->pos == reader->end)
        reader->failed = true;
    else
        reader->pos++;
}

/* ---- Tag trees (B.10.2) ---------------------------------------------------------------------- */

/* A tree over the blocks of one band. Nodes hold 1 + value, or 0 while unknown. */
typedef struct tag_tree {
    uint8_t *nodes;
    size_t start[MAX_TREE_LEVELS];
    uint32_t width[MAX_TREE_LEVELS];
    unsigned nlevels;
} tag_tree;

/* Lays the levels out, leaves first; returns the number of nodes. */
static size_t tree_layout(tag_tree *tree, uint32_t width, uint32_t height)
{
    size_t nnodes = 0;
    for (tree->nlevels = 0;;) {
        tree->start[tree->nlevels] = nnodes;
        tree->width[tree->nlevels++] = width;
        nnodes += (size_t)width * height;
        if (width <= 1 && height <= 1)
            return nnodes;
        width = (width + 1) / 2;
        height = (height + 1) / 2;
    }
}

static uint8_t *tree_node(const tag_tree *tree, unsigned level, uint32_t x, uint32_t y)
{
    return tree->nodes + tree->start[level] + (size_t)(y >> level) * tree->width[level] +
           (x >> level);
}

/* With one layer a block is in the packet (value 0) or nowhere. */
static bool read_inclusion(const tag_tree *tree, bit_reader *reader, uint32_t x, uint32_t y)
{
    for (unsigned level = tree->nlevels; level-- > 0;) {
        uint8_t *node = tree_node(tree, level, x, y);
        if (*node == 0)
            *node = read_bit(reader) ? 1 : 2;
        if (*node != 1)
            return false;
    }
    return true;
}

/* The number of missing bit planes, or limit where it is that or more. */
static unsigned read_missing_planes(const tag_tree *tree, bit_reader *reader, uint32_t x,
                                    uint32_t y, unsigned limit)
{
    unsigned value = 0;
    for (unsigned level = tree->nlevels; level-- > 0;) {
        uint8_t *node = tree_node(tree, level, x, y);
        if (*node == 0) {
            while (value < limit && !reader->failed && !read_bit(reader))
                value++;
            if (value >= limit)
                return limit;
            *node = (uint8_t)(value + 1);
        }
        value = *node - 1u;
    }
    return value;
}

/* ---- Packets --------------------------------------------------------------------------------- */

typedef struct block {
    uint32_t cleanup_nbytes, refinement_nbytes;
} block;

/* What a packet needs of the scratch. */
typedef struct packet {
    block *blocks; /* those that are in it, in order */
    size_t nblocks;
    uint8_t *nodes; /* of both trees of one band */
} packet;

/* B.10.6, B.10.7 and 15444-15 B.3: passes and the lengths of the block's two segments. */
static dcb_status read_block(block *out, dcb__packet_walker *w, bit_reader *reader)
{
    unsigned passes = 1, length_bits = 3;

    if (read_bit(reader)) {
        passes = 2 + read_bit(reader);
        if (passes == MAX_PASSES && read_bits(reader, 2) != 0)
            return dcb__fail(w->error, DCB_ERR_UNSUPPORTED, reader->pos,
                             "block with more than %d coding passes", MAX_PASSES);
    }
    while (!reader->failed && read_bit(reader)) {
        if (++length_bits > MAX_LENGTH_BITS)
            return dcb__fail(w->error, DCB_ERR_CODESTREAM, reader->pos,
                             "packet header is damaged: a block's length has too many bits");
    }
    out->cleanup_nbytes = read_bits(reader, length_bits);
    if (passes > 1)
        out->refinement_nbytes = read_bits(reader, length_bits + (passes > 2));
    return DCB_OK;
}

static dcb_status read_band(packet *p, dcb__packet_walker *w, bit_reader *reader,
                            const dcb__packet_band *b)
{
    tag_tree inclusion, missing;
    size_t nnodes = tree_layout(&inclusion, b->across, b->down);
    memset(p->nodes, 0, 2 * nnodes);
    missing = inclusion;
    inclusion.nodes = p->nodes;
    missing.nodes = p->nodes + nnodes;

    for (uint32_t y = 0; y < b->down; y++) {
        for (uint32_t x = 0; x < b->across; x++) {
            if (!read_inclusion(&inclusion, reader, x, y))
                continue;
            if (read_missing_planes(&missing, reader, x, y, b->planes) >= b->planes)
                return dcb__fail(w->error, DCB_ERR_CODESTREAM, reader->pos,
                                 "packet header is damaged: block without bit planes");
            block *next = &p->blocks[p->nblocks++];
            *next = (block){0, 0};
            dcb_status status = read_block(next, w, reader);
            if (status != DCB_OK)
                return status;
            if (reader->failed)
                return DCB_OK; /* reported by the caller */
        }
    }
    return DCB_OK;
}

/* 15444-15, 7.1.1: the last 12 bits of a cleanup segment tell the size of its suffix. */
static bool cleanup_is_sound(const uint8_t *segment, size_t nbytes)
{
    if (nbytes < 2)
        return false;
    size_t suffix = (size_t)segment[nbytes - 1] << 4 | (segment[nbytes - 2] & 0xF);
    return suffix >= 2 && suffix <= nbytes && suffix <= MAX_SUFFIX;
}

static dcb_status walk_blocks(size_t *pos, dcb__packet_walker *w, size_t end, const packet *p)
{
    for (size_t i = 0; i < p->nblocks; i++) {
        const block *b = &p->blocks[i];
        if (b->cleanup_nbytes > end - *pos || b->refinement_nbytes > end - *pos - b->cleanup_nbytes)
            return dcb__fail(w->error, DCB_ERR_CODESTREAM, *pos,
                             "block of %u bytes goes past the end of its tile-part",
                             b->cleanup_nbytes + b->refinement_nbytes);
        if (!cleanup_is_sound(w->bytes + *pos, b->cleanup_nbytes))
            return dcb__fail(w->error, DCB_ERR_CODESTREAM, *pos, "block of %u bytes is damaged",
                             b->cleanup_nbytes);
        *pos += b->cleanup_nbytes + b->refinement_nbytes;
    }
    return DCB_OK;
}

static dcb_status make_room(packet *p, dcb__packet_walker *w, const dcb__packet_band *bands,
                            unsigned nbands)
{
    size_t max_blocks = 0, max_nodes = 0;
    for (unsigned i = 0; i < nbands; i++) {
        tag_tree tree;
        size_t nnodes = tree_layout(&tree, bands[i].across, bands[i].down);
        max_blocks += (size_t)bands[i].across * bands[i].down;
        max_nodes = nnodes > max_nodes ? nnodes : max_nodes;
    }
    size_t nbytes = max_blocks * sizeof(block) + 2 * max_nodes;
    if (nbytes == 0) /* only empty bands */
        return DCB_OK;
    if (nbytes > w->capacity) {
        dcb__packet_walker_free(w);
        w->scratch = malloc(nbytes);
        if (w->scratch == NULL)
            return dcb__fail_no_memory(w->error, nbytes);
        w->capacity = nbytes;
    }
    p->blocks = (block *)(void *)w->scratch;
    p->nodes = w->scratch + max_blocks * sizeof(block);
    return DCB_OK;
}

dcb_status dcb__walk_packet(size_t *pos, dcb__packet_walker *w, size_t end,
                            const dcb__packet_band *bands, unsigned nbands)
{
    bit_reader reader = {.bytes = w->bytes, .pos = *pos, .end = end};
    packet p = {NULL, 0, NULL};

    if (read_bit(&reader)) {
        dcb_status status = make_room(&p, w, bands, nbands);
        for (unsigned i = 0; status == DCB_OK && i < nbands; i++) {
            if (bands[i].across > 0)
                status = read_band(&p, w, &reader, &bands[i]);
        }
        if (status != DCB_OK)
            return status;
    }
    finish_bits(&reader);
    if (reader.failed)
        return dcb__fail(w->error, DCB_ERR_CODESTREAM, *pos, "packet header is cut off");
    *pos = reader.pos;
    return walk_blocks(pos, w, end, &p);
}

void dcb__packet_walker_free(dcb__packet_walker *w)
{
    free(w->scratch);
    w->scratch = NULL;
    w->capacity = 0;
}
