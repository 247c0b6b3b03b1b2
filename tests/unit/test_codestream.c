/* SPDX-License-Identifier: Apache-2.0 */
/* test_codestream.c - main headers, tile-parts and packet headers; see test_codec.c for pixels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "golden_frames.h"

/* ---- A codestream made by hand: 4 x 3 pixels of 8 bits, one level, five empty packets ---------
 */

/* clang-format off */
static const uint8_t tiny[] = {
    0xFF, 0x4F,                                                             /* 0 SOC */
    0xFF, 0x51, 0, 41, 0x40, 0,                                             /* 2 SIZ */
    0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0,                         /* 8 size, offset */
    0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0,                         /* 24 tile */
    0, 1, 7, 1, 1,                                                          /* 40 component */
    0xFF, 0x50, 0, 8, 0, 2, 0, 0, 0, 2,                                     /* 45 CAP */
    0xFF, 0x52, 0, 12, 0, 2, 0, 1, 0, 1, 4, 4, 0x40, 1,                     /* 55 COD */
    0xFF, 0x5C, 0, 7, 0x20, 0x48, 0x50, 0x50, 0x50,                         /* 69 QCD */
    0xFF, 0x90, 0, 10, 0, 0, 0, 0, 0, 16, 0, 1,                             /* 78 SOT */
    0xFF, 0x93, 0, 0,                                                       /* 90 SOD, 2 packets */
    0xFF, 0xD9,                                                             /* 94 EOC */
};
/* clang-format on */

static dcb_status read_tiny(dcb__codestream *header, const uint8_t *bytes, size_t nbytes,
                            dcb_error *error)
{
    return dcb__codestream_read(header, bytes, nbytes, 1000, NULL, error);
}

static void test_fields(void **state)
{
    (void)state;
    dcb__codestream h;
    dcb_error error = DCB_ERROR_INIT;

    assert_int_equal(read_tiny(&h, tiny, sizeof tiny, &error), DCB_OK);
    assert_int_equal(h.columns, 4);
    assert_int_equal(h.rows, 3);
    assert_int_equal(h.components, 1);
    assert_int_equal(h.precision, 8);
    assert_false(h.is_signed);
    assert_true(h.reversible);
    assert_true(h.rpcl);
    assert_false(h.has_tlm);
    assert_int_equal(h.levels, 1);
    assert_int_equal(h.block_width, 64);
    assert_int_equal(h.block_height, 64);
    assert_true(h.single_tile);
    assert_false(h.component_transform);
    assert_true(h.plain);
    assert_false(h.has_empty_resolution);
    assert_int_equal(h.header_nbytes, 78);
    assert_int_equal(h.bit_planes[0], 9);
    assert_int_equal(h.bit_planes[3], 10);
    assert_int_equal(h.max_bit_planes, 10);
    assert_int_equal(dcb__codestream_check(&h, tiny, sizeof tiny, &error), DCB_OK);
    assert_int_equal(dcb__codestream_sample_nbytes(&h), 1);
    /* The start alone is enough, up to the SOT marker and its length. */
    assert_int_equal(read_tiny(&h, tiny, 82, &error), DCB_OK);
}

/* One byte changed; what must come out of reading, or of the check where reading passes. */
typedef struct change {
    size_t at;
    uint8_t byte;
    dcb_status status;
    uint64_t offset; /* in the file: 1000 for a header, 0 for the check */
    const char *message;
} change;

static const change changes[] = {
    {0, 0xFE, DCB_ERR_CODESTREAM, 1000, "does not begin as a JPEG 2000"},
    {3, 0x52, DCB_ERR_CODESTREAM, 1000, "does not begin as a JPEG 2000"},
    {5, 44, DCB_ERR_CODESTREAM, 1002, "SIZ marker segment has a wrong length"},
    {11, 0, DCB_ERR_CODESTREAM, 1002, "no rows or no columns"},
    {15, 0, DCB_ERR_CODESTREAM, 1002, "no rows or no columns"},
    {19, 4, DCB_ERR_CODESTREAM, 1002, "no rows or no columns"},
    {27, 0, DCB_ERR_CODESTREAM, 1002, "first tile is empty"},
    {35, 1, DCB_ERR_CODESTREAM, 1002, "first tile is empty"},
    {8, 0x7F, DCB_ERR_CODESTREAM, 1002, "more than 65535 tiles"},
    {42, 32, DCB_ERR_UNSUPPORTED, 1002, "samples of 33 bits"},
    {43, 2, DCB_ERR_UNSUPPORTED, 1002, "subsampled"},
    {44, 0, DCB_ERR_UNSUPPORTED, 1002, "subsampled"},
    {46, 0x64, DCB_ERR_UNSUPPORTED, 1078, "no CAP marker"},
    {48, 10, DCB_ERR_CODESTREAM, 1045, "CAP marker segment has a wrong length"},
    {50, 3, DCB_ERR_CODESTREAM, 1045, "CAP marker segment has a wrong length"},
    {50, 4, DCB_ERR_UNSUPPORTED, 1045, "other parts of JPEG 2000"},
    {56, 0x64, DCB_ERR_CODESTREAM, 1078, "lacks COD"},
    {58, 13, DCB_ERR_CODESTREAM, 1055, "COD marker segment has a wrong length"},
    {59, 1, DCB_ERR_CODESTREAM, 1055, "COD marker segment has a wrong length"},
    {59, 2, DCB_ERR_UNSUPPORTED, 1055, "coding style 02"},
    {59, 4, DCB_ERR_UNSUPPORTED, 1055, "coding style 04"},
    {62, 2, DCB_ERR_UNSUPPORTED, 1055, "2 layers"},
    {60, 5, DCB_ERR_CODESTREAM, 1055, "does not allow"},
    {62, 0, DCB_ERR_CODESTREAM, 1055, "does not allow"},
    {63, 1, DCB_ERR_CODESTREAM, 1078, "component transform"},
    {64, 33, DCB_ERR_CODESTREAM, 1055, "does not allow"},
    {64, 2, DCB_ERR_CODESTREAM, 1069, "QCD marker segment does not fit"},
    {65, 9, DCB_ERR_CODESTREAM, 1055, "does not allow"},
    {66, 5, DCB_ERR_CODESTREAM, 1055, "does not allow"},
    {67, 0, DCB_ERR_UNSUPPORTED, 1055, "not all coded with HTJ2K"},
    {67, 0xC0, DCB_ERR_UNSUPPORTED, 1055, "not all coded with HTJ2K"},
    {68, 0, DCB_ERR_CODESTREAM, 1069, "QCD marker segment does not fit"},
    {70, 0x52, DCB_ERR_CODESTREAM, 1069, "comes twice"},
    {70, 0x53, DCB_ERR_UNSUPPORTED, 1069, "may change what samples mean"},
    {70, 0x93, DCB_ERR_CODESTREAM, 1069, "no marker segment of a main header"},
    {70, 0x4F, DCB_ERR_CODESTREAM, 1069, "no marker segment of a main header"},
    {70, 0x76, DCB_ERR_UNSUPPORTED, 1069, "marker FF76 is not supported"},
    {69, 0x00, DCB_ERR_CODESTREAM, 1069, "no marker segment of a main header"},
    {71, 1, DCB_ERR_CODESTREAM, 1069, "is cut off after 25 of 263"},
    {73, 0x23, DCB_ERR_CODESTREAM, 1069, "QCD marker segment is malformed"},
    {81, 11, DCB_ERR_CODESTREAM, 78, "tile-part header"},
    {83, 1, DCB_ERR_CODESTREAM, 78, "out of order"},
    {87, 13, DCB_ERR_CODESTREAM, 78, "does not fit"},
    {87, 17, DCB_ERR_CODESTREAM, 94, "what only a marker may look like"},
    {87, 19, DCB_ERR_CODESTREAM, 78, "does not fit"},
    {88, 1, DCB_ERR_CODESTREAM, 78, "out of order"},
    {91, 0x92, DCB_ERR_CODESTREAM, 90, "FF92 is no marker segment of a tile-part"},
    {92, 0xC0, DCB_ERR_CODESTREAM, 94, "block without bit planes"},
    {92, 0xE0, DCB_ERR_CODESTREAM, 93, "block of 0 bytes is damaged"},
    {92, 0x7F, DCB_OK, UINT64_MAX, ""}, /* an empty packet, whatever the padding */
    {92, 0xFF, DCB_ERR_UNSUPPORTED, 93, "more than 3 coding passes"},
    {93, 0xFF, DCB_ERR_CODESTREAM, 93, "what only a marker may look like"},
    {93, 0xE8, DCB_ERR_CODESTREAM, 93, "packet header is cut off"},
    {95, 0xD8, DCB_ERR_CODESTREAM, 94, "neither a tile-part nor the end"},
};

static void test_changed_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const change *c = &changes[i];
        uint8_t bytes[sizeof tiny];
        dcb__codestream header;
        dcb_error error = DCB_ERROR_INIT;
        memcpy(bytes, tiny, sizeof tiny);
        bytes[c->at] = c->byte;

        dcb_status status = read_tiny(&header, bytes, sizeof bytes, &error);
        if (status == DCB_OK)
            status = dcb__codestream_check(&header, bytes, sizeof bytes, &error);
        if (status != c->status || error.offset != c->offset ||
            strstr(error.message, c->message) == NULL)
            fail_msg("byte %zu = %02x: %d at %llu: %s", c->at, c->byte, status,
                     (unsigned long long)error.offset, error.message);
    }
}

/* What OpenJPH is not trusted with. */
static void test_not_plain(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t byte;
    } rows[] = {
        {27, 2},    /* tiles */
        {53, 0x80}, /* mixed block coding allowed */
        {60, 3},    /* position before resolution */
        {65, 1},    /* blocks of 8 columns */
        {67, 0x48}, /* vertically causal */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[sizeof tiny];
        dcb__codestream header;
        dcb_error error = DCB_ERROR_INIT;
        memcpy(bytes, tiny, sizeof tiny);
        bytes[rows[i].at] = rows[i].byte;
        assert_int_equal(read_tiny(&header, bytes, sizeof bytes, &error), DCB_OK);
        if (header.plain)
            fail_msg("byte %zu = %02x is taken for plain", rows[i].at, rows[i].byte);
    }
}

/* Comments may stand in a tile-part's header, what changes coding may not. */
static void test_tile_part_markers(void **state)
{
    (void)state;
    static const struct {
        uint8_t marker;
        dcb_status status;
    } rows[] = {{0x64, DCB_OK},
                {0x58, DCB_OK},
                {0x52, DCB_ERR_UNSUPPORTED},
                {0x5D, DCB_ERR_UNSUPPORTED},
                {0x5F, DCB_ERR_UNSUPPORTED},
                {0x61, DCB_ERR_UNSUPPORTED}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[sizeof tiny + 4];
        dcb__codestream header;
        memcpy(bytes, tiny, 90);
        memcpy(bytes + 90, "\xFF\x00\x00\x02", 4);
        memcpy(bytes + 94, tiny + 90, 6);
        bytes[87] = 20;
        bytes[91] = rows[i].marker;
        assert_int_equal(read_tiny(&header, bytes, sizeof bytes, NULL), DCB_OK);
        assert_int_equal(dcb__codestream_check(&header, bytes, sizeof bytes, NULL), rows[i].status);
    }
}

static void test_limits(void **state)
{
    (void)state;
    dcb__codestream header;
    dcb_limits limits = DCB_LIMITS_INIT;
    dcb_error error = DCB_ERROR_INIT;

    limits.max_pixel_bytes = 12;
    assert_int_equal(dcb__codestream_read(&header, tiny, sizeof tiny, 0, &limits, &error), DCB_OK);
    limits.max_pixel_bytes = 11;
    assert_int_equal(dcb__codestream_read(&header, tiny, sizeof tiny, 0, &limits, &error),
                     DCB_ERR_LIMIT);
    assert_non_null(strstr(error.message, "4 x 3 pixels"));
    /* 2^32 - 1 by 2^32 - 1 in one tile must not wrap around. */
    uint8_t huge[sizeof tiny];
    memcpy(huge, tiny, sizeof tiny);
    memset(huge + 8, 0xFF, 8);
    memset(huge + 24, 0xFF, 8);
    assert_int_equal(read_tiny(&header, huge, sizeof huge, &error), DCB_ERR_LIMIT);
}

static void test_syntax(void **state)
{
    (void)state;
    static const struct {
        uint32_t columns, rows;
        uint8_t levels;
        bool reversible, rpcl, has_tlm;
        const char *uid;
    } rows[] = {
        {512, 512, 5, true, true, false, "1.2.840.10008.1.2.4.201"},
        {512, 512, 5, true, true, true, "1.2.840.10008.1.2.4.202"},
        {512, 512, 5, true, false, true, "1.2.840.10008.1.2.4.201"},
        {512, 512, 5, false, true, true, "1.2.840.10008.1.2.4.203"},
        {512, 512, 3, true, true, true, "1.2.840.10008.1.2.4.202"},
        {513, 513, 3, true, true, true, "1.2.840.10008.1.2.4.201"},
        {513, 512, 3, true, true, true, "1.2.840.10008.1.2.4.202"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dcb__codestream h = {.columns = rows[i].columns,
                             .rows = rows[i].rows,
                             .levels = rows[i].levels,
                             .reversible = rows[i].reversible,
                             .rpcl = rows[i].rpcl,
                             .has_tlm = rows[i].has_tlm};
        assert_string_equal(dcb__codestream_syntax_uid(&h), rows[i].uid);
    }
    assert_int_equal(dcb__codestream_reduced(513, 0), 513);
    assert_int_equal(dcb__codestream_reduced(513, 1), 257);
    assert_int_equal(dcb__codestream_reduced(513, 9), 2);
    assert_int_equal(dcb__codestream_reduced(513, 10), 1);
    assert_int_equal(dcb__codestream_reduced(UINT32_MAX, 32), 1);
}

/* Reads nothing past the end: every length, from a buffer of exactly that length (for ASan). */
static void test_every_length(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof tiny; n++) {
        uint8_t *bytes = malloc(n + (n == 0));
        dcb__codestream header;
        memcpy(bytes, tiny, n);
        dcb_status status = read_tiny(&header, bytes, n, NULL);
        assert_int_equal(status, n < 82 ? DCB_ERR_CODESTREAM : DCB_OK);
        if (status == DCB_OK)
            assert_int_equal(dcb__codestream_check(&header, bytes, n, NULL), DCB_ERR_CODESTREAM);
        free(bytes);
    }
}

/* ---- Golden frames --------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint32_t columns, rows;
    uint16_t components, precision;
    bool is_signed;
    uint8_t levels;
} golden[] = {
    {"tiny3/", 24, 16, 1, 16, true, 5},
    {"ct_phantom_small/", 128, 128, 1, 16, true, 5},
    {"edge_pet_slopes/", 128, 128, 1, 16, false, 5},
    {"older_23b902b/", 128, 128, 1, 16, true, 6},
    {"ct_ge_tilt_28/", 512, 512, 1, 16, true, 5},
    {"us_palette/", 800, 350, 1, 8, false, 5},
    {"us_rgb_pydicom/", 320, 240, 3, 8, false, 5},
    {"sc_rgb16/", 100, 100, 3, 16, false, 5},
    {"rtdose/", 10, 15, 10, 32, false, 5},
    {"mf_ect/", 512, 2, 512, 16, false, 5},
};

static void visit_golden(const golden_frame *frame, void *context)
{
    dcb__codestream h;
    dcb_error error = DCB_ERROR_INIT;
    bool *seen = context;

    if (dcb__codestream_read(&h, frame->bytes, frame->nbytes, frame->offset, NULL, &error) ||
        dcb__codestream_check(&h, frame->bytes, frame->nbytes, &error))
        fail_msg("%s frame %llu: %s", frame->path, (unsigned long long)frame->index, error.message);
    assert_true(h.plain && h.reversible && h.rpcl && !h.has_tlm && h.single_tile);
    assert_int_equal(h.block_width, 64);
    assert_string_equal(dcb__codestream_syntax_uid(&h), "1.2.840.10008.1.2.4.201");
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        if (strstr(frame->path, golden[i].name) == NULL)
            continue;
        seen[i] = true;
        assert_int_equal(h.columns, golden[i].columns);
        assert_int_equal(h.rows, golden[i].rows);
        assert_int_equal(h.components, golden[i].components);
        assert_int_equal(h.precision, golden[i].precision);
        assert_int_equal(h.is_signed, golden[i].is_signed);
        assert_int_equal(h.levels, golden[i].levels);
    }
}

static void test_golden(void **state)
{
    (void)state;
    bool seen[sizeof golden / sizeof golden[0]] = {false};
    assert_true(golden_frames_each(TEST_DATA_DIR "/golden", visit_golden, seen) >= 59);
    for (size_t i = 0; i < 4; i++)
        assert_true(seen[i]);
    if (golden_frames_each(GOLDEN_DIR, visit_golden, seen) > 0) {
        for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++)
            assert_true(seen[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_changed_bytes),
        cmocka_unit_test(test_not_plain),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_tile_part_markers),
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
