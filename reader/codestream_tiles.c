/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codestream_tiles.c - finds a codestream's tile-parts and walks all their packets in order
 * (ISO/IEC 15444-1 annexes A.4 and B). With one layer and without subsampling, which
 * dcb__codestream_read has made sure of, a packet is a precinct of one component, and all
 * components have the same precincts.
 *
 * Work and memory are bounded by the bytes that are there: a tile-part takes 14 of them at least, a
 * packet one.
 *
 * Threads: any; nothing is kept.
 */
#include "codestream_walk.h"

#include <stdlib.h>
#include <string.h>

#include "dcb_error.h"

enum {
    PLT = 0xFF58,
    COM = 0xFF64,
    SOT = 0xFF90,
    SOD = 0xFF93,
    EOC = 0xFFD9,
};

enum { SOT_NBYTES = 12, NO_PART = -1 };

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
    int64_t next; /* of the same tile, in the list */
} tile_part;

typedef struct tile_parts {
    int64_t first, last; /* in the list, or NO_PART */
    unsigned nparts;
    size_t nbytes; /* of packets */
} tile_parts;

typedef struct walk {
    const dcb__codestream *header;
    const uint8_t *bytes;
    size_t nbytes;
    dcb_error *error;
    dcb__packet_walker packets;
    tile_part *parts;
    size_t nparts, capacity;
    tile_parts *tiles;
} walk;

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

/* A.4.2. Reads SOT and the markers up to SOD at pos. */
static dcb_status read_part(tile_part *out, const walk *w, size_t pos)
{
    const uint8_t *bytes = w->bytes;
    if (w->nbytes - pos < SOT_NBYTES || get_u16(bytes + pos + 2) != 10)
        return dcb__fail(w->error, DCB_ERR_CODESTREAM, pos,
                         "tile-part header is cut off or damaged");
    size_t length = get_u32(bytes + pos + 6), left = w->nbytes - pos;
    size_t end = length == 0 ? find_end(bytes, w->nbytes) : length <= left ? pos + length : 0;
    out->tile = get_u16(bytes + pos + 4);
    out->index = bytes[pos + 10];
    out->next = NO_PART;
    if (end < pos + SOT_NBYTES + 2)
        return dcb__fail(w->error, DCB_ERR_CODESTREAM, pos,
                         "tile-part of %zu bytes does not fit into the %zu bytes left", length,
                         left);
    for (pos += SOT_NBYTES;;) {
        if (end - pos >= 2 && get_u16(bytes + pos) == SOD)
            break;
        if (end - pos < 4)
            return dcb__fail(w->error, DCB_ERR_CODESTREAM, pos, "tile-part has no start of data");
        unsigned marker = get_u16(bytes + pos);
        size_t segment = get_u16(bytes + pos + 2);
        if (marker < 0xFF40 || segment < 2 || segment > end - pos - 2)
            return dcb__fail(w->error, DCB_ERR_CODESTREAM, pos,
                             "%04X is no marker segment of a tile-part header", marker);
        if (marker != PLT && marker != COM)
            return dcb__fail(w->error, DCB_ERR_UNSUPPORTED, pos,
                             "marker %04X is not supported in a tile-part", marker);
        pos += 2 + segment;
    }
    out->body = pos + 2;
    out->end = end;
    return DCB_OK;
}

/* No packet holds a byte pair over FF8F (annex B.10.1, 15444-15 7.1): it would look like a marker.
   The block decoders of all three libraries assert so, that is they abort the process. */
static dcb_status check_body(const walk *w, const tile_part *part)
{
    const uint8_t *at = w->bytes + part->body, *end = w->bytes + part->end;
    while (at < end && (at = memchr(at, 0xFF, (size_t)(end - at))) != NULL) {
        if (at + 1 == end || at[1] > 0x8F)
            return dcb__fail(w->error, DCB_ERR_CODESTREAM, (uint64_t)(at - w->bytes),
                             "codestream is damaged: it holds what only a marker may look like");
        at += 2;
    }
    return DCB_OK;
}

static dcb_status add_part(walk *w, const tile_part *part, size_t pos)
{
    uint32_t ntiles = w->header->tiles_across * w->header->tiles_down;
    if (part->tile >= ntiles || part->index != w->tiles[part->tile].nparts)
        return dcb__fail(w->error, DCB_ERR_CODESTREAM, pos,
                         "tile-part %u of tile %u is out of order", part->index, part->tile);
    if (w->nparts == w->capacity) {
        size_t capacity = w->capacity * 2 + 8;
        tile_part *parts = realloc(w->parts, capacity * sizeof *parts);
        if (parts == NULL)
            return dcb__fail_no_memory(w->error, capacity * sizeof *parts);
        w->parts = parts;
        w->capacity = capacity;
    }
    tile_parts *t = &w->tiles[part->tile];
    int64_t number = (int64_t)w->nparts++;
    w->parts[number] = *part;
    if (t->first == NO_PART)
        t->first = number;
    else
        w->parts[t->last].next = number;
    t->last = number;
    t->nparts++;
    t->nbytes += part->end - part->body;
    return DCB_OK;
}

/* All tile-parts, up to the end marker. */
static dcb_status list_parts(walk *w)
{
    size_t pos = w->header->header_nbytes;
    for (;;) {
        tile_part part;
        dcb_status status = read_part(&part, w, pos);
        if (status == DCB_OK)
            status = check_body(w, &part);
        if (status == DCB_OK)
            status = add_part(w, &part, pos);
        if (status != DCB_OK)
            return status;
        pos = part.end;
        if (w->nbytes - pos < 2)
            return dcb__fail(w->error, DCB_ERR_CODESTREAM, pos,
                             "codestream is cut off before its end marker");
        if (get_u16(w->bytes + pos) == EOC)
            return DCB_OK;
        if (get_u16(w->bytes + pos) != SOT)
            return dcb__fail(w->error, DCB_ERR_CODESTREAM, pos,
                             "neither a tile-part nor the end marker follows a tile-part");
    }
}

/* ---- Where packets are (annex B.5 to B.9) ---------------------------------------------------- */

typedef struct rect {
    uint64_t x0, y0, x1, y1;
} rect;

static uint64_t shift_up(uint64_t value, unsigned shift)
{
    return (value + (1ull << shift) - 1) >> shift;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static rect tile_rect(const dcb__codestream *h, uint32_t number)
{
    uint64_t x = h->tile_x0 + (uint64_t)(number % h->tiles_across) * h->tile_width;
    uint64_t y = h->tile_y0 + (uint64_t)(number / h->tiles_across) * h->tile_height;
    uint64_t x1 = (uint64_t)h->x0 + h->columns, y1 = (uint64_t)h->y0 + h->rows;
    return (rect){larger(x, h->x0), larger(y, h->y0), smaller(x + h->tile_width, x1),
                  smaller(y + h->tile_height, y1)};
}

/* A resolution of a tile and its precincts. */
typedef struct resolution {
    rect area;
    unsigned width_log2, height_log2; /* of precincts */
    uint64_t first_x, first_y;        /* precinct that holds the corner */
    uint64_t across, down;
} resolution;

static resolution resolution_of(const dcb__codestream *h, const rect *t, unsigned number)
{
    unsigned shift = h->levels - number;
    resolution r = {.area = {shift_up(t->x0, shift), shift_up(t->y0, shift), shift_up(t->x1, shift),
                             shift_up(t->y1, shift)},
                    .width_log2 = h->precincts[number] & 0x0F,
                    .height_log2 = h->precincts[number] >> 4};
    if (r.area.x0 < r.area.x1 && r.area.y0 < r.area.y1) {
        r.first_x = r.area.x0 >> r.width_log2;
        r.first_y = r.area.y0 >> r.height_log2;
        r.across = shift_up(r.area.x1, r.width_log2) - r.first_x;
        r.down = shift_up(r.area.y1, r.height_log2) - r.first_y;
    }
    return r;
}

/* Blocks of one dimension: those that [from, to) within the precinct touches. */
static uint32_t blocks_across(uint64_t from, uint64_t to, uint64_t precinct, unsigned precinct_log2,
                              uint32_t block)
{
    uint64_t start = precinct << precinct_log2, end = (precinct + 1) << precinct_log2;
    uint64_t size = smaller(block, 1ull << precinct_log2);
    from = larger(from, start);
    to = smaller(to, end);
    return from < to ? (uint32_t)((to - 1) / size - from / size + 1) : 0;
}

/* One edge of a band (equation B-15). */
static uint64_t band_edge(uint64_t edge, unsigned level, bool high)
{
    uint64_t half = high ? 1ull << (level - 1) : 0;
    return edge > half ? shift_up(edge - half, level) : 0;
}

typedef struct precinct {
    uint64_t x, y; /* where it comes in orders by position */
    uint32_t across, down;
    uint8_t resolution;
} precinct;

/* The bands of a precinct, LL alone or HL, LH, HH; returns how many. */
static unsigned precinct_bands(dcb__packet_band bands[3], const dcb__codestream *h, const rect *t,
                               const precinct *p)
{
    resolution r = resolution_of(h, t, p->resolution);
    unsigned halves = p->resolution == 0 ? 0 : 1, nbands = p->resolution == 0 ? 1 : 3;
    unsigned level = h->levels - p->resolution + halves;

    for (unsigned i = 0; i < nbands; i++) {
        unsigned type = i + halves; /* LL HL LH HH: bit 0 is high across, bit 1 down */
        bool high_x = (type & 1) != 0, high_y = (type & 2) != 0;
        dcb__packet_band *b = &bands[i];
        b->across = blocks_across(band_edge(t->x0, level, high_x), band_edge(t->x1, level, high_x),
                                  r.first_x + p->across, r.width_log2 - halves, h->block_width);
        b->down = blocks_across(band_edge(t->y0, level, high_y), band_edge(t->y1, level, high_y),
                                r.first_y + p->down, r.height_log2 - halves, h->block_height);
        if (b->across == 0 || b->down == 0)
            b->across = b->down = 0;
        b->planes = h->bit_planes[p->resolution == 0 ? 0 : 3 * (p->resolution - 1) + type];
    }
    return nbands;
}

/* ---- The order of packets (annex B.12) ------------------------------------------------------- */

enum { LRCP, RLCP, RPCL, PCRL, CPRL };

static int compare_positions(const void *a, const void *b)
{
    const precinct *p = a, *q = b;
    if (p->y != q->y)
        return p->y < q->y ? -1 : 1;
    if (p->x != q->x)
        return p->x < q->x ? -1 : 1;
    return (int)p->resolution - (int)q->resolution;
}

/* Orders differ in how many precincts of a component come before the next component's. */
static bool same_run(const dcb__codestream *h, const precinct *p, const precinct *q)
{
    switch (h->order) {
    case LRCP:
    case RLCP:
        return p->resolution == q->resolution;
    case RPCL:
        return false;
    case PCRL:
        return p->x == q->x && p->y == q->y;
    default:
        return true;
    }
}

static uint64_t count_precincts(const dcb__codestream *h, const rect *t, uint64_t limit)
{
    uint64_t count = 0;
    for (unsigned i = 0; i <= h->levels; i++) {
        resolution r = resolution_of(h, t, i);
        if (r.across > 0 && r.down > limit / r.across)
            return UINT64_MAX;
        count += r.across * r.down;
    }
    return count;
}

/* Fills in all precincts of a tile, in the order of the first component's packets. */
static void list_precincts(precinct *out, size_t count, const dcb__codestream *h, const rect *t)
{
    size_t n = 0;
    for (unsigned i = 0; i <= h->levels; i++) {
        resolution r = resolution_of(h, t, i);
        unsigned shift = h->levels - i;
        for (uint64_t y = 0; y < r.down; y++) {
            for (uint64_t x = 0; x < r.across; x++) {
                out[n++] = (precinct){
                    .x = larger(t->x0, ((r.first_x + x) << r.width_log2) << shift),
                    .y = larger(t->y0, ((r.first_y + y) << r.height_log2) << shift),
                    .across = (uint32_t)x,
                    .down = (uint32_t)y,
                    .resolution = (uint8_t)i,
                };
            }
        }
    }
    if (h->order == PCRL || h->order == CPRL)
        qsort(out, count, sizeof *out, compare_positions);
}

/* ---- The walk -------------------------------------------------------------------------------- */

/* Packets of a tile go on from one of its tile-parts to the next, but none is split. */
typedef struct cursor {
    int64_t next_part;
    size_t pos, end;
} cursor;

static dcb_status walk_packet(cursor *c, walk *w, const rect *t, const precinct *p)
{
    dcb__packet_band bands[3];
    while (c->pos == c->end) {
        if (c->next_part == NO_PART)
            return dcb__fail(w->error, DCB_ERR_CODESTREAM, c->end,
                             "tile ends before its resolution %u of %u", p->resolution,
                             w->header->levels);
        const tile_part *part = &w->parts[c->next_part];
        *c = (cursor){part->next, part->body, part->end};
    }
    unsigned nbands = precinct_bands(bands, w->header, t, p);
    return dcb__walk_packet(&c->pos, &w->packets, c->end, bands, nbands);
}

static dcb_status walk_precincts(walk *w, const tile_parts *parts, const rect *t,
                                 const precinct *list, size_t count)
{
    cursor c = {parts->first, 0, 0};
    for (size_t start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && same_run(w->header, &list[start], &list[end]);)
            end++;
        for (unsigned component = 0; component < w->header->components; component++) {
            for (size_t i = start; i < end; i++) {
                dcb_status status = walk_packet(&c, w, t, &list[i]);
                if (status != DCB_OK)
                    return status;
            }
        }
    }
    /* Empty tile-parts may follow. */
    while (c.pos == c.end && c.next_part != NO_PART) {
        const tile_part *part = &w->parts[c.next_part];
        c = (cursor){part->next, part->body, part->end};
    }
    if (c.pos != c.end)
        return dcb__fail(w->error, DCB_ERR_CODESTREAM, c.pos, "tile goes on after its last packet");
    return DCB_OK;
}

static dcb_status walk_tile(walk *w, uint32_t number)
{
    const tile_parts *parts = &w->tiles[number];
    rect t = tile_rect(w->header, number);

    if (parts->first == NO_PART)
        return dcb__fail(w->error, DCB_ERR_CODESTREAM, w->nbytes, "tile %u is missing", number);
    uint64_t count = count_precincts(w->header, &t, parts->nbytes);
    if (count > parts->nbytes)
        return dcb__fail(w->error, DCB_ERR_CODESTREAM, w->parts[parts->first].body,
                         "tile %u has %zu bytes for more packets", number, parts->nbytes);
    precinct few[DCB_CODESTREAM_MAX_LEVELS + 1];
    precinct *list = few;
    if (count > sizeof few / sizeof few[0]) {
        list = malloc((size_t)count * sizeof *list);
        if (list == NULL)
            return dcb__fail_no_memory(w->error, (size_t)count * sizeof *list);
    }
    list_precincts(list, (size_t)count, w->header, &t);
    dcb_status status = walk_precincts(w, parts, &t, list, (size_t)count);
    if (list != few)
        free(list);
    return status;
}

dcb_status dcb__codestream_check(const dcb__codestream *header, const uint8_t *bytes, size_t nbytes,
                                 dcb_error *error)
{
    uint32_t ntiles = header->tiles_across * header->tiles_down;
    walk w = {.header = header,
              .bytes = bytes,
              .nbytes = nbytes,
              .error = error,
              .packets = {.bytes = bytes, .error = error}};

    if (header->header_nbytes > nbytes || ntiles > nbytes)
        return dcb__fail(error, DCB_ERR_CODESTREAM, nbytes, "codestream is cut off");
    w.tiles = malloc(ntiles * sizeof *w.tiles);
    if (w.tiles == NULL)
        return dcb__fail_no_memory(error, ntiles * sizeof *w.tiles);
    for (uint32_t i = 0; i < ntiles; i++)
        w.tiles[i] = (tile_parts){NO_PART, NO_PART, 0, 0};
    dcb_status status = list_parts(&w);
    for (uint32_t i = 0; status == DCB_OK && i < ntiles; i++)
        status = walk_tile(&w, i);
    dcb__packet_walker_free(&w.packets);
    free(w.parts);
    free(w.tiles);
    return status;
}
