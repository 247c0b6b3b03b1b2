/* SPDX-License-Identifier: Apache-2.0 */
/* source_instance.c - builds data sets byte by byte, so that what no encoder of ours would write
   can be in them. */
#include "source_instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bytes {
    uint8_t *at;
    size_t nbytes, capacity;
} bytes;

static void put(bytes *b, const void *from, size_t nbytes)
{
    if (b->nbytes + nbytes > b->capacity) {
        b->capacity = 2 * (b->nbytes + nbytes) + 256;
        b->at = realloc(b->at, b->capacity);
        if (b->at == NULL)
            abort();
    }
    if (nbytes > 0)
        memcpy(b->at + b->nbytes, from, nbytes);
    b->nbytes += nbytes;
}

static void put_le(bytes *b, uint64_t value, unsigned nbytes)
{
    for (unsigned i = 0; i < nbytes; i++)
        put(b, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

static void put_head(bytes *b, uint32_t tag, const char *vr, uint32_t nbytes)
{
    put_le(b, tag >> 16, 2);
    put_le(b, tag & 0xFFFF, 2);
    put(b, vr, 2);
    bool wide = strstr("OB OW OF OD OL OV SQ UN UC UR UT SV UV", vr) != NULL;
    if (wide)
        put_le(b, 0, 2);
    put_le(b, nbytes, wide ? 4 : 2);
}

static void put_value(bytes *b, uint32_t tag, const char *vr, const void *value, size_t nbytes)
{
    put_head(b, tag, vr, (uint32_t)nbytes);
    put(b, value, nbytes);
}

/* Text, padded. */
static void put_text(bytes *b, uint32_t tag, const char *vr, const char *text)
{
    size_t nbytes = strlen(text);
    put_head(b, tag, vr, (uint32_t)(nbytes + (nbytes & 1)));
    put(b, text, nbytes);
    if (nbytes & 1)
        put(b, strcmp(vr, "UI") == 0 ? "" : " ", 1);
}

static void put_u16(bytes *b, uint32_t tag, uint16_t value)
{
    put_head(b, tag, "US", 2);
    put_le(b, value, 2);
}

static uint16_t or16(uint16_t value, uint16_t missing)
{
    return value != 0 ? value : missing;
}

static source_kind with_defaults(const source_kind *kind)
{
    source_kind k = *kind;
    k.rows = or16(k.rows, 5);
    k.columns = or16(k.columns, 7);
    k.allocated = or16(k.allocated, 16);
    k.stored = or16(k.stored, k.allocated == 16 ? 12 : k.allocated);
    k.samples = or16(k.samples, 1);
    if (k.photometric == NULL)
        k.photometric = k.samples == 1 ? "MONOCHROME2" : "RGB";
    if (k.charset == NULL)
        k.charset = "ISO_IR 100";
    if (k.patient == NULL)
        k.patient = "M\xFCller^J\xF6rg";
    return k;
}

int64_t source_sample(const source_kind *kind, uint32_t slice, uint32_t row, uint32_t column,
                      uint16_t sample)
{
    source_kind k = with_defaults(kind);
    uint64_t mixed = (slice + 1) * 2654435761u ^ (row * 40503u) ^ (column * 69069u) ^
                     ((uint64_t)sample * 1013904223u);
    mixed ^= mixed >> 13;
    int64_t range = (int64_t)1 << k.stored, value = (int64_t)(mixed % (uint64_t)range);
    if (row == 0 && column == 0)
        value = 0;
    if (row == 0 && column == 1)
        value = range - 1;
    if (k.is_signed)
        value -= range / 2;
    if (k.high_bits && slice > 0 && row == 1)
        value = k.is_signed ? range / 2 + 5 : range + 7;
    return value;
}

static void put_pixels(bytes *b, const source_kind *k, uint32_t slice)
{
    size_t n = (size_t)k->rows * k->columns * k->samples, size = k->allocated / 8u;
    put_head(b, DCB_TAG(0x7FE0, 0x0010), k->byte_pixels ? "OB" : "OW",
             (uint32_t)(n * size + k->excess));
    for (size_t i = 0; i < n; i++) {
        size_t pixel = k->by_plane ? i % (n / k->samples) : i / k->samples;
        size_t sample = k->by_plane ? i / (n / k->samples) : i % k->samples;
        put_le(b,
               (uint64_t)source_sample(k, slice, (uint32_t)(pixel / k->columns),
                                       (uint32_t)(pixel % k->columns), (uint16_t)sample),
               (unsigned)size);
    }
    for (uint32_t i = 0; i < k->excess; i++)
        put_le(b, 0xA0 + i, 1);
}

/* What careful encoders never write, and modalities do. */
static void put_odd_things(bytes *b, uint32_t slice)
{
    put_head(b, DCB_TAG(0x0009, 0x0000), "UL", 4); /* a group length, and a wrong one */
    put_le(b, 12345, 4);
    put_text(b, DCB_TAG(0x0009, 0x0010), "LO", "SENDER");
    put_value(b, DCB_TAG(0x0009, 0x1001), "UN", "\xDE\xAD\x00\xBE", 4);
    put_value(b, DCB_TAG(0x0009, 0x1002), "LO", "odd", 3);
    put_value(b, DCB_TAG(0x0009, 0x1003), "OB", &slice, 1);
    put_text(b, DCB_TAG(0x0009, 0x1004), "DS", slice % 2 == 0 ? "1.50" : " 1.5 ");
    if (slice != 1)
        put_text(b, DCB_TAG(0x0009, 0x1005), "LT", slice == 2 ? "" : "  text \\ with things  ");
    uint8_t big[9000];
    memset(big, (int)slice, sizeof big);
    put_value(b, DCB_TAG(0x0009, 0x1006), "OB", big, sizeof big);
    put_value(b, DCB_TAG(0x0009, 0x1007), "FD", "\0\0\0\0\0\0\xF8\x7F", 8); /* NaN */
}

static void put_sequences(bytes *b, uint32_t slice)
{
    static const uint8_t item_end[] = {0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0};
    static const uint8_t sequence_end[] = {0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0};
    static const uint8_t item[] = {0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF};
    char uid[32];
    put_head(b, DCB_TAG(0x0040, 0x0275), "SQ", 0xFFFFFFFFu);
    for (uint32_t i = 0; i < 1 + slice % 2; i++) {
        put(b, item, sizeof item);
        put_head(b, DCB_TAG(0x0040, 0x0008), "SQ", 0xFFFFFFFFu);
        put(b, item, sizeof item);
        snprintf(uid, sizeof uid, "CODE%u", (unsigned)(slice + i));
        put_text(b, DCB_TAG(0x0008, 0x0100), "SH", uid);
        put_text(b, DCB_TAG(0x0008, 0x0104), "LO", "caf\xE9");
        put(b, item_end, 8);
        put(b, sequence_end, 8);
        put(b, item_end, 8);
    }
    put(b, sequence_end, 8);
    put_head(b, DCB_TAG(0x0040, 0x0555), "SQ", 0);
    /* Of unknown VR: items in Implicit VR (PS3.5 6.2.2). */
    put_head(b, DCB_TAG(0x0043, 0x1010), "UN", 0xFFFFFFFFu);
    put(b, item, sizeof item);
    put_le(b, 0x00080100u >> 16, 2);
    put_le(b, 0x0100, 2);
    put_le(b, 4, 4);
    put(b, "ABCD", 4);
    put(b, item_end, 8);
    put(b, sequence_end, 8);
}

static void put_image(bytes *b, const source_kind *k)
{
    put_u16(b, DCB_TAG(0x0028, 0x0002), k->samples);
    put_text(b, DCB_TAG(0x0028, 0x0004), "CS", k->photometric);
    if (k->samples > 1)
        put_u16(b, DCB_TAG(0x0028, 0x0006), k->by_plane);
    put_u16(b, DCB_TAG(0x0028, 0x0010), k->rows);
    put_u16(b, DCB_TAG(0x0028, 0x0011), k->columns);
    put_text(b, DCB_TAG(0x0028, 0x0030), "DS", "0.500\\0.75");
    put_u16(b, DCB_TAG(0x0028, 0x0100), k->allocated);
    put_u16(b, DCB_TAG(0x0028, 0x0101), k->stored);
    put_u16(b, DCB_TAG(0x0028, 0x0102), (uint16_t)(k->stored - 1));
    put_u16(b, DCB_TAG(0x0028, 0x0103), k->is_signed);
    if (k->intercept != NULL)
        put_text(b, DCB_TAG(0x0028, 0x1052), "DS", k->intercept);
    if (k->slope != NULL)
        put_text(b, DCB_TAG(0x0028, 0x1053), "DS", k->slope);
    if (strcmp(k->photometric, "PALETTE COLOR") != 0)
        return;
    for (uint32_t i = 0; i < 3; i++) {
        put_head(b, DCB_TAG(0x0028, 0x1101) + i, "US", 6);
        put_le(b, 256, 2);
        put_le(b, 0, 2);
        put_le(b, 16, 2);
    }
    uint8_t table[512];
    for (uint32_t i = 0; i < 3; i++) {
        for (size_t n = 0; n < sizeof table; n++)
            table[n] = (uint8_t)(n * (i + 3));
        put_value(b, DCB_TAG(0x0028, 0x1201) + i, "OW", table, sizeof table);
    }
}

uint8_t *source_instance(size_t *nbytes, const source_kind *kind, uint32_t slice)
{
    source_kind k = with_defaults(kind);
    char text[96];
    bytes b = {NULL, 0, 0};
    put_text(&b, DCB_TAG(0x0008, 0x0005), "CS", k.charset);
    put_text(&b, DCB_TAG(0x0008, 0x0016), "UI", "1.2.840.10008.5.1.4.1.1.2");
    snprintf(text, sizeof text, "1.2.3.4.%u", (unsigned)(slice + 100));
    put_text(&b, DCB_TAG(0x0008, 0x0018), "UI", text);
    put_text(&b, DCB_TAG(0x0008, 0x0020), "DA", "20240229");
    put_text(&b, DCB_TAG(0x0008, 0x0050), "SH", "");
    put_text(&b, DCB_TAG(0x0008, 0x0060), "CS", "CT");
    if (k.rich)
        put_odd_things(&b, slice);
    put_text(&b, DCB_TAG(0x0010, 0x0010), "PN", k.patient);
    put_text(&b, DCB_TAG(0x0010, 0x0020), "LO", "ID 1");
    put_text(&b, DCB_TAG(0x0018, 0x0050), "DS", "2.50");
    put_text(&b, DCB_TAG(0x0020, 0x000D), "UI", "1.2.3.4.1");
    put_text(&b, DCB_TAG(0x0020, 0x000E), "UI", "1.2.3.4.2");
    snprintf(text, sizeof text, "%u", (unsigned)(slice + 1));
    put_text(&b, DCB_TAG(0x0020, 0x0013), "IS", text);
    snprintf(text, sizeof text, "-10.0\\-20.50\\%u.50", (unsigned)slice);
    put_text(&b, DCB_TAG(0x0020, 0x0032), "DS", text);
    put_text(&b, DCB_TAG(0x0020, 0x0037), "DS", "1\\0\\0\\0\\1.0\\0");
    put_image(&b, &k);
    if (k.rich)
        put_sequences(&b, slice);
    put_pixels(&b, &k, slice);
    if (k.after)
        put_value(&b, DCB_TAG(0xFFFC, 0xFFFC), "OB", "\1\2\3\4\5\6", 6);
    *nbytes = b.nbytes;
    return b.at;
}

const source_kind source_kinds[] = {
    {.name = "plain", .slope = "1", .intercept = "-1024"},
    {.name = "signed", .is_signed = true, .slope = "2.500", .intercept = "-0.5"},
    {.name = "16 bits", .stored = 16},
    {.name = "signed 16 bits", .stored = 16, .is_signed = true},
    {.name = "8 bits", .allocated = 8, .byte_pixels = true},
    {.name = "8 bits, OW, odd size", .allocated = 8, .excess = 1},
    {.name = "8 bits, odd length", .allocated = 8, .byte_pixels = true},
    {.name = "signed 8 bits", .allocated = 8, .is_signed = true, .byte_pixels = true, .excess = 1},
    {.name = "6 of 8 bits", .allocated = 8, .stored = 6, .byte_pixels = true, .excess = 1},
    {.name = "8 of 16 bits", .stored = 8},
    {.name = "signed 7 of 16 bits", .stored = 7, .is_signed = true},
    {.name = "10 bits, OB", .stored = 10, .byte_pixels = true},
    {.name = "1 bit of 8", .allocated = 8, .stored = 1, .excess = 1},
    {.name = "16 of 32 bits", .allocated = 32, .stored = 16},
    {.name = "24 of 32 bits", .allocated = 32, .stored = 24},
    {.name = "inverse", .photometric = "MONOCHROME1"},
    {.name = "palette", .allocated = 8, .photometric = "PALETTE COLOR", .excess = 1},
    {.name = "palette of 16 bits", .stored = 16, .photometric = "PALETTE COLOR"},
    {.name = "rgb", .allocated = 8, .samples = 3, .excess = 1},
    {.name = "rgb by plane", .allocated = 8, .samples = 3, .by_plane = true, .excess = 1},
    {.name = "rgb of 16 bits by plane", .stored = 16, .samples = 3, .by_plane = true},
    {.name = "ybr", .allocated = 8, .samples = 3, .photometric = "YBR_FULL", .excess = 1},
    {.name = "above bits stored", .high_bits = true},
    {.name = "signed above bits stored", .high_bits = true, .is_signed = true},
    {.name = "8 of 16 bits, above", .stored = 8, .high_bits = true},
    {.name = "rich", .rich = true, .after = true},
    {.name = "rich by plane", .rich = true, .allocated = 8, .samples = 3, .by_plane = true},
    {.name = "excess", .excess = 14, .after = true},
    {.name = "utf-8", .charset = "ISO_IR 192", .patient = "M\xC3\xBCller"},
    {.name = "japanese",
     .charset = "\\ISO 2022 IR 87",
     .patient = "Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B"},
    {.name = "unknown charset", .charset = "ISO_IR 999", .patient = "M\xFCller"},
    {.name = "wrong bytes", .charset = "ISO_IR 192", .patient = "M\xFCller"},
    {.name = "large", .rows = 200, .columns = 130, .is_signed = true},
};
const size_t source_nkinds = sizeof source_kinds / sizeof *source_kinds;
