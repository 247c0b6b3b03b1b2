/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codestream.c - main headers of HTJ2K codestreams (ISO/IEC 15444-1 annex A, 15444-15 annex A).
 *
 * The decoding libraries trust headers more than they should. So everything that sizes a buffer or
 * picks a code path there is read and checked here first. Invariant of the cursor: pos <= nbytes.
 *
 * Threads: any; nothing is kept.
 */
#include "codec.h"

#include <string.h>

#include "dcb_error.h"

enum {
    SOC = 0xFF4F,
    CAP = 0xFF50,
    SIZ = 0xFF51,
    COD = 0xFF52,
    TLM = 0xFF55,
    PRF = 0xFF56,
    PLM = 0xFF57,
    CPF = 0xFF59,
    QCD = 0xFF5C,
    COM = 0xFF64,
    CRG = 0xFF63,
    SOT = 0xFF90,
};

/* One marker segment: the bytes after its length field. */
typedef struct segment {
    const uint8_t *bytes;
    size_t nbytes;
    uint64_t offset; /* of the marker, for errors */
} segment;

typedef struct header_parser {
    dcb__codestream *header;
    const dcb_limits *limits;
    dcb_error *error;
    bool has_siz, has_cap, has_cod, has_qcd;
} header_parser;

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

size_t dcb__codestream_sample_nbytes(const dcb__codestream *header)
{
    return header->precision <= 8 ? 1 : header->precision <= 16 ? 2 : 4;
}

uint32_t dcb__codestream_reduced(uint32_t size, uint32_t reduce)
{
    if (reduce >= 32)
        return size > 0;
    return (uint32_t)(((uint64_t)size + (1ull << reduce) - 1) >> reduce);
}

static dcb_status check_pixel_bytes(header_parser *parser, uint64_t offset)
{
    const dcb__codestream *header = parser->header;
    uint64_t limit = parser->limits->max_pixel_bytes;
    uint64_t pixels = (uint64_t)header->columns * header->rows;
    uint64_t pixel_nbytes = dcb__codestream_sample_nbytes(header) * header->components;

    if (pixels > limit / pixel_nbytes)
        return dcb__fail(parser->error, DCB_ERR_LIMIT, offset,
                         "frame of %u x %u pixels with %u samples is over the limit of %llu bytes",
                         header->columns, header->rows, header->components,
                         (unsigned long long)limit);
    return DCB_OK;
}

static dcb_status read_components(header_parser *parser, const segment *s)
{
    dcb__codestream *header = parser->header;
    const uint8_t *component = s->bytes + 36;

    header->precision = (uint16_t)((component[0] & 0x7F) + 1);
    header->is_signed = (component[0] & 0x80) != 0;
    if (header->precision > 32)
        return dcb__fail(parser->error, DCB_ERR_UNSUPPORTED, s->offset,
                         "samples of %u bits are not supported, 32 is the limit",
                         header->precision);
    for (unsigned i = 0; i < header->components; i++) {
        if (component[3 * i] != component[0])
            return dcb__fail(parser->error, DCB_ERR_UNSUPPORTED, s->offset,
                             "components of differing precision are not supported");
        if (component[3 * i + 1] != 1 || component[3 * i + 2] != 1)
            return dcb__fail(parser->error, DCB_ERR_UNSUPPORTED, s->offset,
                             "subsampled components are not supported");
    }
    return DCB_OK;
}

/* A.5.1 */
static dcb_status read_siz(header_parser *parser, const segment *s)
{
    dcb__codestream *header = parser->header;

    if (s->nbytes < 39 || s->nbytes != 36 + 3 * (size_t)get_u16(s->bytes + 34))
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, s->offset,
                         "SIZ marker segment has a wrong length");
    uint32_t x1 = get_u32(s->bytes + 2), y1 = get_u32(s->bytes + 6);
    uint32_t x0 = get_u32(s->bytes + 10), y0 = get_u32(s->bytes + 14);
    uint32_t tile_width = get_u32(s->bytes + 18), tile_height = get_u32(s->bytes + 22);
    uint32_t tile_x0 = get_u32(s->bytes + 26), tile_y0 = get_u32(s->bytes + 30);
    header->components = get_u16(s->bytes + 34);

    if (x1 <= x0 || y1 <= y0)
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, s->offset,
                         "codestream has no rows or no columns");
    if (tile_width == 0 || tile_height == 0 || tile_x0 > x0 || tile_y0 > y0 ||
        x0 - tile_x0 >= tile_width || y0 - tile_y0 >= tile_height)
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, s->offset,
                         "codestream's first tile is empty");
    if (header->components > 16384)
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, s->offset,
                         "codestream has %u components, 16384 is the limit", header->components);
    header->columns = x1 - x0;
    header->rows = y1 - y0;
    header->x0 = x0;
    header->y0 = y0;
    header->tile_x0 = tile_x0;
    header->tile_y0 = tile_y0;
    header->tile_width = tile_width;
    header->tile_height = tile_height;
    uint64_t across = ((uint64_t)x1 - tile_x0 + tile_width - 1) / tile_width;
    uint64_t down = ((uint64_t)y1 - tile_y0 + tile_height - 1) / tile_height;
    if (across > 65535 || across * down > 65535)
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, s->offset,
                         "codestream has more than 65535 tiles");
    header->tiles_across = (uint32_t)across;
    header->tiles_down = (uint32_t)down;
    header->single_tile = across * down == 1;
    /* Up to 32768 the default precinct covers a whole resolution; OpenJPH 0.9 adds the sizes of
       image and tile in 32 bits, finds no tile and goes through a null pointer. */
    header->plain = header->single_tile && x0 == 0 && y0 == 0 && tile_x0 == 0 && tile_y0 == 0 &&
                    x1 <= 32768 && y1 <= 32768 && tile_width <= INT32_MAX &&
                    tile_height <= INT32_MAX;

    dcb_status status = read_components(parser, s);
    if (status != DCB_OK)
        return status;
    return check_pixel_bytes(parser, s->offset);
}

/* 15444-15 A.3: bit 15 from the left tells of Part 15. */
static dcb_status read_cap(header_parser *parser, const segment *s)
{
    if (s->nbytes < 4 || (s->nbytes - 4) % 2 != 0 ||
        (s->nbytes - 4) / 2 != (size_t)__builtin_popcount(get_u32(s->bytes)))
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, s->offset,
                         "CAP marker segment has a wrong length");
    if (get_u32(s->bytes) != 0x00020000)
        return dcb__fail(parser->error, DCB_ERR_UNSUPPORTED, s->offset,
                         "codestream needs other parts of JPEG 2000 than HTJ2K (capabilities %08x)",
                         get_u32(s->bytes));
    /* Ccap15: HTDECLARED and MIXED, multiple sets, regions of interest, heterogeneous. */
    if ((get_u16(s->bytes + 4) & 0xF800) != 0)
        parser->header->plain = false;
    return DCB_OK;
}

/* A.6.1 */
static dcb_status read_cod(header_parser *parser, const segment *s)
{
    dcb__codestream *header = parser->header;

    if (s->nbytes < 10)
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, s->offset,
                         "COD marker segment has a wrong length");
    uint8_t style = s->bytes[0], order = s->bytes[1], transform = s->bytes[4];
    uint16_t layers = get_u16(s->bytes + 2);
    uint8_t width = s->bytes[6], height = s->bytes[7], block_style = s->bytes[8];

    header->levels = s->bytes[5];
    if (header->levels > DCB_CODESTREAM_MAX_LEVELS || order > 4 || layers == 0 || transform > 1 ||
        width > 8 || height > 8 || width + height > 8 || s->bytes[9] > 1)
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, s->offset,
                         "COD marker segment holds values that the standard does not allow");
    if (s->nbytes != 10 + ((style & 1) ? header->levels + 1u : 0))
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, s->offset,
                         "COD marker segment has a wrong length");
    if ((block_style & 0xC0) != 0x40)
        return dcb__fail(parser->error, DCB_ERR_UNSUPPORTED, s->offset,
                         "blocks are not all coded with HTJ2K (style %02x)", block_style);
    /* SOP and EPH markers, and blocks in pieces, would allow byte pairs that make the libraries'
       block decoders abort (codestream_tiles.c). */
    if ((style & ~1u) != 0 || layers != 1)
        return dcb__fail(parser->error, DCB_ERR_UNSUPPORTED, s->offset,
                         "codestreams with %u layers and coding style %02x are not supported",
                         layers, style);
    header->order = order;
    header->rpcl = order == 2;
    for (unsigned i = 0; i <= header->levels; i++) {
        header->precincts[i] = (style & 1) ? s->bytes[10 + i] : 0xFF;
        if (i > 0 && ((header->precincts[i] & 0x0F) == 0 || header->precincts[i] >> 4 == 0))
            return dcb__fail(parser->error, DCB_ERR_CODESTREAM, s->offset,
                             "COD marker segment holds a precinct without width or height");
    }
    header->component_transform = transform == 1;
    header->block_width = (uint16_t)(4u << width);
    header->block_height = (uint16_t)(4u << height);
    header->reversible = s->bytes[9] == 1;
    if (style != 0 || order > 2 || block_style != 0x40 || header->levels > 15 ||
        header->block_width < 16 || header->block_height < 16)
        header->plain = false;
    return DCB_OK;
}

/* A.6.4; the number of bit planes is exponent + guard bits - 1 (equation E-2). */
static dcb_status read_qcd(header_parser *parser, const segment *s)
{
    dcb__codestream *header = parser->header;
    if (s->nbytes < 2)
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, s->offset,
                         "QCD marker segment has a wrong length");
    unsigned guard_bits = s->bytes[0] >> 5, style = s->bytes[0] & 0x1F;
    size_t step = style == 0 ? 1 : 2;
    size_t nbands = (s->nbytes - 1) / step;

    if (style > 2 || (s->nbytes - 1) % step != 0 || nbands == 0 || (style == 1 && nbands != 1))
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, s->offset,
                         "QCD marker segment is malformed");
    if (nbands > DCB_CODESTREAM_MAX_BANDS)
        nbands = DCB_CODESTREAM_MAX_BANDS;
    for (size_t i = 0; i < DCB_CODESTREAM_MAX_BANDS; i++) {
        unsigned exponent = 0;
        if (style == 1) /* derived: E-5 */
            exponent = s->bytes[1] >> 3;
        else if (i < nbands)
            exponent = s->bytes[1 + i * step] >> 3;
        unsigned level = i == 0 ? 0 : (unsigned)(i - 1) / 3;
        if (style == 1)
            exponent = exponent > level ? exponent - level : 0;
        unsigned planes = exponent + guard_bits;
        header->bit_planes[i] = (uint8_t)(planes == 0 ? 0 : planes - 1);
    }
    return DCB_OK;
}

/* What can be told only when COD and QCD are both known; they come in any order. */
static dcb_status finish(header_parser *parser, const segment *qcd, uint64_t end)
{
    dcb__codestream *header = parser->header;
    if (!parser->has_cap)
        return dcb__fail(parser->error, DCB_ERR_UNSUPPORTED, end,
                         "codestream is not HTJ2K: it has no CAP marker");
    if (!parser->has_cod || !parser->has_qcd)
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, end,
                         "codestream's main header lacks %s", parser->has_cod ? "QCD" : "COD");
    unsigned style = qcd->bytes[0] & 0x1F;
    unsigned nbands = 3u * header->levels + 1;
    if (header->reversible != (style == 0) ||
        (style != 1 && (qcd->nbytes - 1) / (style == 0 ? 1 : 2) < nbands))
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, qcd->offset,
                         "QCD marker segment does not fit to COD");
    if (header->component_transform && header->components < 3)
        return dcb__fail(parser->error, DCB_ERR_CODESTREAM, end,
                         "component transform in a codestream of %u components",
                         header->components);
    header->has_empty_resolution = header->levels > 0 &&
                                   (header->columns - 1) >> (header->levels - 1) == 0 &&
                                   (header->rows - 1) >> (header->levels - 1) == 0;
    for (unsigned i = 0; i < nbands; i++) {
        if (header->bit_planes[i] > header->max_bit_planes)
            header->max_bit_planes = header->bit_planes[i];
    }
    return DCB_OK;
}

static dcb_status read_segment(header_parser *parser, unsigned marker, const segment *s)
{
    bool *seen = marker == SIZ   ? &parser->has_siz
                 : marker == CAP ? &parser->has_cap
                 : marker == COD ? &parser->has_cod
                 : marker == QCD ? &parser->has_qcd
                                 : NULL;
    if (seen != NULL) {
        if (*seen)
            return dcb__fail(parser->error, DCB_ERR_CODESTREAM, s->offset,
                             "marker %04X comes twice in the main header", marker);
        *seen = true;
    }
    switch (marker) {
    case SIZ:
        return read_siz(parser, s);
    case CAP:
        return read_cap(parser, s);
    case COD:
        return read_cod(parser, s);
    case QCD:
        return read_qcd(parser, s);
    case TLM:
        parser->header->has_tlm = true;
        return DCB_OK;
    case COM:
    case CRG:
    case PLM:
    case PRF:
    case CPF:
        return DCB_OK;
    default: /* COC QCC RGN POC PPM, NLT of Part 2, and what we do not know */
        return dcb__fail(parser->error, DCB_ERR_UNSUPPORTED, s->offset,
                         "marker %04X is not supported: it may change what samples mean", marker);
    }
}

dcb_status dcb__codestream_read(dcb__codestream *out, const uint8_t *bytes, size_t nbytes,
                                uint64_t base, const dcb_limits *limits, dcb_error *error)
{
    static const dcb_limits default_limits = DCB_LIMITS_INIT;
    header_parser parser = {.header = out, .error = error};
    segment qcd = {0};
    size_t pos = 2;

    parser.limits = limits != NULL ? limits : &default_limits;
    memset(out, 0, sizeof *out);
    if (nbytes < 4 || get_u16(bytes) != SOC || get_u16(bytes + 2) != SIZ)
        return dcb__fail(error, DCB_ERR_CODESTREAM, base,
                         "frame does not begin as a JPEG 2000 codestream (FF4F FF51)");
    for (;;) {
        if (nbytes - pos < 4)
            return dcb__fail(error, DCB_ERR_CODESTREAM, base + pos,
                             "codestream's main header does not end within %zu bytes", nbytes);
        unsigned marker = get_u16(bytes + pos);
        size_t length = get_u16(bytes + pos + 2);
        if (marker == SOT)
            break;
        /* FF30 to FF3F, SOC, SOD, EOC and EPH have no length and no place here. */
        if (marker < 0xFF40 || marker == SOC || (marker >= 0xFF92 && marker <= 0xFF93) ||
            marker == 0xFFD9 || length < 2)
            return dcb__fail(error, DCB_ERR_CODESTREAM, base + pos,
                             "%04X is no marker segment of a main header", marker);
        if (nbytes - pos - 2 < length)
            return dcb__fail(error, DCB_ERR_CODESTREAM, base + pos,
                             "marker segment %04X is cut off after %zu of %zu bytes", marker,
                             nbytes - pos - 2, length);
        segment s = {bytes + pos + 4, length - 2, base + pos};
        dcb_status status = read_segment(&parser, marker, &s);
        if (status != DCB_OK)
            return status;
        if (marker == QCD)
            qcd = s;
        pos += 2 + length;
    }
    out->header_nbytes = (uint32_t)(pos > UINT32_MAX ? UINT32_MAX : pos);
    return finish(&parser, &qcd, base + pos);
}

const char *dcb__codestream_syntax_uid(const dcb__codestream *codestream)
{
    uint32_t columns = dcb__codestream_reduced(codestream->columns, codestream->levels);
    uint32_t rows = dcb__codestream_reduced(codestream->rows, codestream->levels);

    if (!codestream->reversible)
        return "1.2.840.10008.1.2.4.203";
    if (codestream->rpcl && codestream->has_tlm && (columns <= 64 || rows <= 64))
        return "1.2.840.10008.1.2.4.202";
    return "1.2.840.10008.1.2.4.201";
}
