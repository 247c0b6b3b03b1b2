/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codestream_packets.c - walks tile-parts and packet headers (ISO/IEC 15444-1 annex B, 15444-15
 * annex B) before a library decodes.
 *
 * Why: a block length that runs past the data makes OpenJPH 0.9 write past a buffer, an overlong
 * length code aborts the process, and missing data are zeros to it, that is wrong pixels without an
 * error. A walk that accounts for every byte costs microseconds and rules all that out. Invariant
 * of both cursors: pos <= end, and end lies within the bytes.
 *
 * Threads: any; nothing is kept.
 */
#include "codec.h"

#include <stdlib.h>
#include <string.h>

#include "dcb_error.h"

enum { SOT = 0xFF90, SOD = 0xFF93, EOC = 0xFFD9, PLT = 0xFF58, COM = 0xFF64 };

enum {
    SOT_NBYTES = 12,
    MAX_PASSES = 3,       /* cleanup, significance propagation, magnitude refinement */
    MAX_SUFFIX = 4079,    /* Scup: 15444-15, 7.1.1 */
    MAX_LENGTH_BITS = 31, /* of a block's length; a longer one cannot fit into any tile-part */
};

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

/* ---- Tile-parts ------------------------------------------------------------------------------ */

typedef struct tile_part {
    size_t body, end; /* after SOD; the next marker */
    uint16_t tile;
    uint8_t index;
} tile_part;

/* Where a last tile-part of unknown length (Psot 0) ends: at the end marker, which must be there.
 */
static size_t find_end(const uint8_t *bytes, size_t nbytes)
{
    while (nbytes > 2 && bytes[nbytes - 1] == 0)
        nbytes--;
    if (nbytes < 2 || get_u16(bytes + nbytes - 2) != EOC)
        return 0;
    return nbytes - 2;
}

/* A.4.2. Reads SOT and the markers up to SOD at pos. Clears *plain where there is a marker that
   changes how the tile is coded. */
static dcb_status read_tile_part(tile_part *out, bool *plain, const uint8_t *bytes, size_t nbytes,
                                 size_t pos, dcb_error *error)
{
    if (nbytes - pos < SOT_NBYTES || get_u16(bytes + pos + 2) != 10)
        return dcb__fail(error, DCB_ERR_CODESTREAM, pos, "tile-part header is cut off or damaged");
    size_t length = get_u32(bytes + pos + 6);
    size_t end = length == 0 ? find_end(bytes, nbytes) : length <= nbytes - pos ? pos + length : 0;
    out->tile = get_u16(bytes + pos + 4);
    out->index = bytes[pos + 10];
    if (end < pos + SOT_NBYTES + 2)
        return dcb__fail(error, DCB_ERR_CODESTREAM, pos,
                         "tile-part of %zu bytes does not fit into the %zu bytes left", length,
                         nbytes - pos);
    for (pos += SOT_NBYTES;;) {
        if (end - pos >= 2 && get_u16(bytes + pos) == SOD)
            break;
        if (end - pos < 4)
            return dcb__fail(error, DCB_ERR_CODESTREAM, pos, "tile-part has no start of data");
        unsigned marker = get_u16(bytes + pos);
        size_t segment = get_u16(bytes + pos + 2);
        if (marker < 0xFF40 || segment < 2 || segment > end - pos - 2)
            return dcb__fail(error, DCB_ERR_CODESTREAM, pos,
                             "%04X is no marker segment of a tile-part header", marker);
        if (marker != PLT && marker != COM)
            *plain = false;
        pos += 2 + segment;
    }
    out->body = pos + 2;
    out->end = end;
    return DCB_OK;
}

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
enum { MAX_TREE_LEVELS = 17 };

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

typedef struct walker {
    const dcb__codestream *header;
    const uint8_t *bytes;
    dcb_error *error;
    tag_tree inclusion, missing;
    block *blocks; /* of one packet, in order */
    uint8_t *nodes;
    size_t nnodes; /* of one tree */
} walker;

typedef struct band {
    uint32_t across, down; /* blocks */
    unsigned planes;
} band;

/* Bands of a resolution (B.5, with the image at the origin). */
static unsigned resolution_bands(band bands[3], const dcb__codestream *header, unsigned resolution)
{
    unsigned level = resolution == 0 ? header->levels : header->levels - resolution + 1;
    unsigned nbands = resolution == 0 ? 1 : 3;

    for (unsigned i = 0; i < nbands; i++) {
        unsigned type = resolution == 0 ? 0 : i + 1; /* LL HL LH HH */
        uint64_t half = level == 0 ? 0 : 1ull << (level - 1);
        uint64_t x0 = (type & 1) ? half : 0, y0 = (type & 2) ? half : 0;
        uint64_t round = (1ull << level) - 1;
        uint64_t width = header->columns > x0 ? (header->columns - x0 + round) >> level : 0;
        uint64_t height = header->rows > y0 ? (header->rows - y0 + round) >> level : 0;
        bool empty = width == 0 || height == 0;
        bands[i].across = empty ? 0 : (uint32_t)(width - 1) / header->block_width + 1;
        bands[i].down = empty ? 0 : (uint32_t)(height - 1) / header->block_height + 1;
        bands[i].planes = header->bit_planes[resolution == 0 ? 0 : 3 * (resolution - 1) + type];
    }
    return nbands;
}

/* B.10.6, B.10.7 and 15444-15 B.3: passes and the lengths of the block's two segments. */
static dcb_status read_block(block *out, walker *w, bit_reader *reader)
{
    unsigned passes = 1, length_bits = 3;

    if (read_bit(reader)) {
        passes = 2 + read_bit(reader);
        if (passes == MAX_PASSES && read_bits(reader, 2) != 0)
            return dcb__fail(w->error, DCB_ERR_UNSUPPORTED, reader->pos,
                             "block with more than %d coding passes", MAX_PASSES);
    }
    while (!reader->failed && read_bit(reader)) {
        if (++length_bits > MAX_LENGTH_BITS - 1)
            return dcb__fail(w->error, DCB_ERR_CODESTREAM, reader->pos,
                             "packet header is damaged: a block's length has too many bits");
    }
    out->cleanup_nbytes = read_bits(reader, length_bits);
    if (passes > 1)
        out->refinement_nbytes = read_bits(reader, length_bits + (passes > 2));
    return DCB_OK;
}

static dcb_status read_band(size_t *nblocks, walker *w, bit_reader *reader, const band *b)
{
    size_t nnodes = tree_layout(&w->inclusion, b->across, b->down);
    tree_layout(&w->missing, b->across, b->down);
    w->inclusion.nodes = w->nodes;
    w->missing.nodes = w->nodes + w->nnodes;
    memset(w->inclusion.nodes, 0, nnodes);
    memset(w->missing.nodes, 0, nnodes);

    for (uint32_t y = 0; y < b->down; y++) {
        for (uint32_t x = 0; x < b->across; x++) {
            if (!read_inclusion(&w->inclusion, reader, x, y))
                continue;
            if (read_missing_planes(&w->missing, reader, x, y, b->planes) >= b->planes)
                return dcb__fail(w->error, DCB_ERR_CODESTREAM, reader->pos,
                                 "packet header is damaged: block without bit planes");
            block *next = &w->blocks[(*nblocks)++];
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

static dcb_status walk_blocks(size_t *pos, walker *w, size_t end, size_t nblocks)
{
    for (size_t i = 0; i < nblocks; i++) {
        const block *b = &w->blocks[i];
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

static dcb_status walk_packet(size_t *pos, walker *w, size_t end, unsigned resolution)
{
    bit_reader reader = {.bytes = w->bytes, .pos = *pos, .end = end};
    band bands[3];
    unsigned nbands = resolution_bands(bands, w->header, resolution);
    size_t nblocks = 0;

    if (read_bit(&reader)) {
        for (unsigned i = 0; i < nbands; i++) {
            if (bands[i].across == 0)
                continue;
            dcb_status status = read_band(&nblocks, w, &reader, &bands[i]);
            if (status != DCB_OK)
                return status;
        }
    }
    finish_bits(&reader);
    if (reader.failed)
        return dcb__fail(w->error, DCB_ERR_CODESTREAM, *pos, "packet header is cut off");
    *pos = reader.pos;
    return walk_blocks(pos, w, end, nblocks);
}

/* Scratch for the packet with the most blocks: the bands of the finest resolutions. */
static dcb_status walker_alloc(walker *w)
{
    size_t max_blocks = 1, max_nodes = 1;
    for (unsigned r = 0; r <= w->header->levels; r++) {
        band bands[3];
        unsigned nbands = resolution_bands(bands, w->header, r);
        size_t nblocks = 0;
        for (unsigned i = 0; i < nbands; i++) {
            tag_tree tree;
            size_t nnodes = tree_layout(&tree, bands[i].across, bands[i].down);
            nblocks += (size_t)bands[i].across * bands[i].down;
            max_nodes = nnodes > max_nodes ? nnodes : max_nodes;
        }
        max_blocks = nblocks > max_blocks ? nblocks : max_blocks;
    }
    size_t nbytes = max_blocks * sizeof(block) + 2 * max_nodes;
    w->blocks = malloc(nbytes);
    if (w->blocks == NULL)
        return dcb__fail_no_memory(w->error, nbytes);
    w->nodes = (uint8_t *)(w->blocks + max_blocks);
    w->nnodes = max_nodes;
    return DCB_OK;
}

/* Packets lie in the order of resolutions, then components (plain promises that). They continue
   from tile-part to tile-part, but none is split. */
static dcb_status walk_packets(walker *w, size_t nbytes)
{
    tile_part part = {0};
    bool plain = true;
    size_t pos = w->header->header_nbytes, end = pos;

    for (unsigned r = 0; r <= w->header->levels; r++) {
        for (unsigned c = 0; c < w->header->components; c++) {
            while (pos == end) {
                if (get_u16(w->bytes + end) != SOT)
                    return dcb__fail(w->error, DCB_ERR_CODESTREAM, pos,
                                     "codestream ends before resolution %u of component %u", r, c);
                dcb_status status = read_tile_part(&part, &plain, w->bytes, nbytes, end, w->error);
                if (status != DCB_OK)
                    return status;
                pos = part.body;
                end = part.end;
            }
            dcb_status status = walk_packet(&pos, w, end, r);
            if (status != DCB_OK)
                return status;
        }
    }
    if (pos != end || get_u16(w->bytes + end) != EOC)
        return dcb__fail(w->error, DCB_ERR_CODESTREAM, pos,
                         "codestream goes on after its last packet");
    return DCB_OK;
}

/* All tile-parts, up to the end marker. */
static dcb_status walk_tile_parts(dcb__codestream *header, const uint8_t *bytes, size_t nbytes,
                                  dcb_error *error)
{
    size_t pos = header->header_nbytes;
    unsigned next_part = 0;

    for (;;) {
        tile_part part;
        dcb_status status = read_tile_part(&part, &header->plain, bytes, nbytes, pos, error);
        if (status != DCB_OK)
            return status;
        if (header->single_tile && (part.tile != 0 || part.index != next_part++))
            return dcb__fail(error, DCB_ERR_CODESTREAM, pos,
                             "tile-part %u of tile %u is out of order", part.index, part.tile);
        pos = part.end;
        if (nbytes - pos < 2)
            return dcb__fail(error, DCB_ERR_CODESTREAM, pos,
                             "codestream is cut off before its end marker");
        if (get_u16(bytes + pos) == EOC)
            return DCB_OK;
        if (get_u16(bytes + pos) != SOT)
            return dcb__fail(error, DCB_ERR_CODESTREAM, pos,
                             "neither a tile-part nor the end marker follows a tile-part");
    }
}

dcb_status dcb__codestream_check(dcb__codestream *header, const uint8_t *bytes, size_t nbytes,
                                 dcb_error *error)
{
    walker w = {.header = header, .bytes = bytes, .error = error};

    if (header->header_nbytes > nbytes)
        return dcb__fail(error, DCB_ERR_CODESTREAM, nbytes, "codestream is cut off");
    dcb_status status = walk_tile_parts(header, bytes, nbytes, error);
    if (status != DCB_OK || !header->plain)
        return status;
    status = walker_alloc(&w);
    if (status == DCB_OK)
        status = walk_packets(&w, nbytes);
    free(w.blocks);
    return status;
}
