/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_bad_files.c - damaged files, made from tiny3: each gives one clear error, of the whole file
 * or of one frame, and nothing is read past the end (which sanitizer builds would see).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

#include "make_dcbs.h"
#include "make_series.h"
#include "temp_dir.h"

/* tiny3's header: see dcb-format.md section 1. */
#define STATUS_OFFSET  12
#define META_OFFSET    28
#define META_LENGTH    36
#define HEADER_OFFSET  60
#define HEADER_LENGTH  68
#define OFFSETS_OFFSET 76
#define OFFSETS_LENGTH 84
#define LENGTHS_OFFSET 92
#define FRAME_COUNT    108
#define META           126
#define OFFSETS        1114
#define LENGTHS        1138
#define FRAME2         1686

typedef struct patch {
    size_t at;
    unsigned nbytes; /* 0: the file ends at `at` */
    uint64_t value;
} patch;

static uint8_t *tiny3(size_t *nbytes)
{
    return read_whole_file(TEST_DATA_DIR "/golden/tiny3/series.dcbs", nbytes);
}

static uint8_t *patched(size_t *nbytes, const patch *patches, size_t count)
{
    uint8_t *bytes = tiny3(nbytes);
    assert_int_equal(*nbytes, 1948);
    for (size_t i = 0; i < count; i++) {
        for (unsigned k = 0; k < patches[i].nbytes; k++)
            bytes[patches[i].at + k] = (uint8_t)(patches[i].value >> (8 * k));
        if (patches[i].nbytes == 0 && patches[i].value == 0 && (patches[i].at > 0 || i == 0))
            *nbytes = patches[i].at;
    }
    /* Exactly as long as it says, so that a read past the end is one past an allocation. */
    uint8_t *exact = malloc(*nbytes > 0 ? *nbytes : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, *nbytes);
    free(bytes);
    return exact;
}

/* A message that ends in ": " goes on in a library's own words. */
static bool is_message(const char *message, const char *expected)
{
    size_t nbytes = strlen(expected);
    if (nbytes > 2 && strcmp(expected + nbytes - 2, ": ") == 0)
        return strncmp(message, expected, nbytes) == 0 && message[nbytes] != '\0';
    return strcmp(message, expected) == 0;
}

static const struct {
    const char *name;
    patch patches[3];
    size_t npatches;
    dcb_status status;
    uint64_t offset;
    const char *message;
} files[] = {
    {"empty",
     {{0, 0, 0}},
     1,
     DCB_ERR_FORMAT,
     0,
     "the file has 0 bytes, a DCB header alone has 116"},
    {"short header",
     {{115, 0, 0}},
     1,
     DCB_ERR_FORMAT,
     0,
     "the file has 115 bytes, a DCB header alone has 116"},
    {"other magic",
     {{0, 1, 'X'}},
     1,
     DCB_ERR_FORMAT,
     0,
     "not a DCB file: the magic is not DCMCUBES"},
    {"base magic",
     {{7, 1, 0}},
     1,
     DCB_ERR_UNSUPPORTED,
     0,
     "a DiCube base file (magic DCMCUBE\\0): only .dcbs files are read"},
    {"dcba",
     {{7, 1, 'A'}},
     1,
     DCB_ERR_UNSUPPORTED,
     0,
     "a DiCube .dcba file (magic DCMCUBEA): only .dcbs files are read"},
    {"dcbl, cut short",
     {{7, 1, 'L'}, {60, 0, 0}},
     2,
     DCB_ERR_UNSUPPORTED,
     0,
     "a DiCube .dcbl file (magic DCMCUBEL): only .dcbs files are read"},
    {"version",
     {{8, 4, 2}},
     1,
     DCB_ERR_UNSUPPORTED,
     8,
     "version 2 of the format: only version 1 is read"},
    {"no frames", {{FRAME_COUNT, 8, 0}}, 1, DCB_ERR_FORMAT, 108, "the file has no frames"},
    {"huge frame count",
     {{FRAME_COUNT, 8, UINT64_MAX}},
     1,
     DCB_ERR_LIMIT,
     108,
     "18446744073709551615 frames, the limit is 1048576"},
    {"frame count disagrees",
     {{FRAME_COUNT, 8, 4}},
     1,
     DCB_ERR_FORMAT,
     108,
     "4 frames need tables of 32 bytes: frame_offsets has 24, frame_lengths 24"},
    {"frame count and tables past the end",
     {{FRAME_COUNT, 8, 200}, {OFFSETS_LENGTH, 8, 1600}, {LENGTHS_OFFSET + 8, 8, 1600}},
     3,
     DCB_ERR_FORMAT,
     76,
     "section frame_offsets (1600 bytes at 1114) ends past the end of the file, 1948"},
    {"meta past the end",
     {{META_LENGTH, 8, 1900}},
     1,
     DCB_ERR_FORMAT,
     28,
     "section dicommeta (1900 bytes at 126) ends past the end of the file, 1948"},
    {"offset that would overflow",
     {{META_OFFSET, 8, UINT64_MAX - 100}},
     1,
     DCB_ERR_FORMAT,
     28,
     "section dicommeta (626 bytes at 18446744073709551515) ends past the end of the file, 1948"},
    {"section in the header",
     {{STATUS_OFFSET, 8, 100}},
     1,
     DCB_ERR_FORMAT,
     12,
     "section dicom_status begins inside the header, at byte 100"},
    {"overlapping sections",
     {{HEADER_OFFSET, 8, 900}},
     1,
     DCB_ERR_FORMAT,
     60,
     "sections space and pixel_header overlap"},
    {"overlapping tables",
     {{LENGTHS_OFFSET, 8, OFFSETS + 8}},
     1,
     DCB_ERR_FORMAT,
     92,
     "sections frame_offsets and frame_lengths overlap"},
    {"truncated in the metadata",
     {{500, 0, 0}},
     1,
     DCB_ERR_FORMAT,
     28,
     "section dicommeta (626 bytes at 126) ends past the end of the file, 500"},
    {"not zstd",
     {{META, 4, 0x12345678}},
     1,
     DCB_ERR_META,
     META,
     "dicommeta: zstd: not a zstd frame"},
    {"damaged zstd", {{META + 9, 8, UINT64_MAX}}, 1, DCB_ERR_META, META, "dicommeta: zstd: "},
    {"no pixel header",
     {{HEADER_LENGTH, 8, 0}},
     1,
     DCB_ERR_FORMAT,
     936,
     "the file has no pixel_header"},
    {"pixel header is not JSON",
     {{936, 1, '['}},
     1,
     DCB_ERR_META,
     936,
     "pixel_header is not JSON: "},
    {"status is no word",
     {{116, 1, ' '}},
     1,
     DCB_ERR_FORMAT,
     116,
     "dicom_status is not an ASCII word"},
};

static void test_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        dcb_error error = DCB_ERROR_INIT;
        dcb_series *series = (dcb_series *)&error;
        size_t nbytes = 0;
        uint8_t *bytes = patched(&nbytes, files[i].patches, files[i].npatches);
        dcb_status status = dcb_series_open_memory(&series, bytes, nbytes, NULL, &error);
        if (status != files[i].status || error.status != status ||
            error.offset != files[i].offset || !is_message(error.message, files[i].message))
            fail_msg("%s: status %d at %llu: %s", files[i].name, (int)status,
                     (unsigned long long)error.offset, error.message);
        assert_null(series);
        free(bytes);
    }
}

/* The file opens; one frame fails and the others are served. */
static const struct {
    const char *name;
    patch patches[3];
    size_t npatches;
    uint32_t bad; /* bits of frames */
    dcb_status status;
    const char *message; /* of the first bad one; NULL: any */
} frames[] = {
    {"truncated last frame",
     {{1900, 0, 0}},
     1,
     4,
     DCB_ERR_FORMAT,
     "frame 2 (262 bytes at 1686) ends past the end of the file, 1900"},
    {"offset past the end",
     {{OFFSETS + 8, 8, 5000}},
     1,
     2,
     DCB_ERR_FORMAT,
     "frame 1 (262 bytes at 5000) ends past the end of the file, 1948"},
    {"length past the end",
     {{LENGTHS, 8, UINT64_MAX}},
     1,
     1,
     DCB_ERR_FORMAT,
     "frame 0 (18446744073709551615 bytes at 1162) ends past the end of the file, 1948"},
    {"empty by offset", {{OFFSETS, 8, 0}}, 1, 1, DCB_ERR_FORMAT, "frame 0 is empty"},
    {"empty by length", {{LENGTHS + 16, 8, 0}}, 1, 4, DCB_ERR_FORMAT, "frame 2 is empty"},
    {"two frames in one place",
     {{OFFSETS + 8, 8, 1162}},
     1,
     3,
     DCB_ERR_FORMAT,
     "frame 0 shares bytes with another frame"},
    {"a frame that reaches into the next",
     {{LENGTHS + 8, 8, 300}},
     1,
     6,
     DCB_ERR_FORMAT,
     "frame 1 shares bytes with another frame"},
    {"a frame in a section",
     {{OFFSETS + 16, 8, 800}, {LENGTHS + 16, 8, 100}},
     2,
     4,
     DCB_ERR_FORMAT,
     "frame 2 overlaps the header or a section"},
    {"no codestream", {{FRAME2, 4, 0}}, 1, 4, DCB_ERR_CODESTREAM, NULL},
    {"one codestream of other height",
     /* SIZ: Ysiz is at 4 + 2 + 2 + 4 = 12 */
     {{FRAME2 + 12, 4, 0x11000000}},
     1,
     4,
     DCB_ERR_CODESTREAM,
     "frame 2: the codestream has 17 rows and 24 columns, the metadata say 16 and 24"},
    {"one codestream of other sign",
     {{FRAME2 + 42, 1, 0x0F}},
     1,
     4,
     DCB_ERR_CODESTREAM,
     "frame 2: the codestream has unsigned samples of 16 bits, pixel_header says signed of 16"},
    {"cut short inside", {{LENGTHS + 16, 8, 250}}, 1, 4, DCB_ERR_CODESTREAM, NULL},
};

static void check_frames(size_t row, dcb_series *series, dcb_encoding encoding)
{
    bool told = false;
    for (uint32_t f = 0; f < 3; f++) {
        dcb_error error = DCB_ERROR_INIT;
        dcb_frame *frame = (dcb_frame *)&error;
        dcb_status status = dcb_series_frame(&frame, series, f, encoding, &error);
        bool bad = frames[row].bad >> f & 1;
        if (status != (bad ? frames[row].status : DCB_OK))
            fail_msg("%s: frame %u: status %d: %s", frames[row].name, f, (int)status,
                     error.message);
        if (bad) {
            assert_null(frame);
            assert_true(error.message[0] != '\0');
            if (!told && frames[row].message != NULL)
                assert_string_equal(error.message, frames[row].message);
            told = true;
        }
        dcb_frame_release(frame);
    }
}

static void test_frames(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        dcb_error error = DCB_ERROR_INIT;
        dcb_series *series = NULL;
        size_t nbytes = 0;
        uint8_t *bytes = patched(&nbytes, frames[i].patches, frames[i].npatches);
        if (dcb_series_open_memory(&series, bytes, nbytes, NULL, &error) != DCB_OK)
            fail_msg("%s: %s", frames[i].name, error.message);
        for (int encoding = 0; encoding < DCB_ENCODING_COUNT; encoding++)
            check_frames(i, series, (dcb_encoding)encoding);
        dcb_series_close(series);
        free(bytes);
    }
}

/* Every byte cut off, and every byte of header and tables changed: an error or not, never a crash.
 */
static void test_every_cut_and_change(void **state)
{
    (void)state;
    size_t nbytes = 0;
    uint8_t *bytes = tiny3(&nbytes);
    for (size_t cut = 0; cut < 2 * nbytes; cut++) {
        size_t size = cut < nbytes ? cut : nbytes;
        uint8_t *exact = malloc(size > 0 ? size : 1);
        assert_non_null(exact);
        memcpy(exact, bytes, size);
        if (cut >= nbytes)
            exact[cut - nbytes] ^= 0x40;
        dcb_series *series = NULL;
        if (dcb_series_open_memory(&series, exact, size, NULL, NULL) == DCB_OK) {
            for (uint32_t f = 0; f < dcb_series_get_info(series)->nframes && f < 4; f++) {
                dcb_frame *frame = NULL;
                dcb_series_frame(&frame, series, f, DCB_ENCODING_STORED, NULL);
                dcb_frame_release(frame);
            }
            dcb_series_close(series);
        } else {
            assert_null(series);
        }
        free(exact);
    }
    free(bytes);
}

static void check_meta(const char *json, const dcb_limits *limits, dcb_status status,
                       const char *message)
{
    dcb_error error = DCB_ERROR_INIT;
    dcb_series *series = NULL;
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    if (limits != NULL)
        options.limits = *limits;
    make_series what = {.meta_json = json};
    assert_int_equal(make_series_open(&series, &what, &options, &error), status);
    assert_true(is_message(error.message, message));
}

static void test_bad_meta(void **state)
{
    (void)state;
    char deep[141] = "";
    memset(deep, '[', 70);
    memset(deep + 70, ']', 70);
    check_meta(deep, NULL, DCB_ERR_LIMIT, "dicommeta: nested deeper than the limit, 64");
    check_meta("[1]", NULL, DCB_ERR_META, "dicommeta is not a JSON object");
    check_meta("{\"_merged_data\":3}", NULL, DCB_ERR_META, "dicommeta is not a JSON object");
    check_meta("{\"_merged_data\":", NULL, DCB_ERR_META, "dicommeta is not JSON: ");
    dcb_limits limits = DCB_LIMITS_INIT;
    limits.max_meta_bytes = 1000;
    char *large = calloc(1, 2002);
    assert_non_null(large);
    memset(large, ' ', 2000);
    memcpy(large + 1990, "{}", 2);
    check_meta(large, &limits, DCB_ERR_LIMIT, "dicommeta unpacks to 2000 bytes, the limit is 1000");
    free(large);
}

/* Short text, much memory: [0,0,0...] is refused before it is parsed. */
static void test_many_values(void **state)
{
    (void)state;
    dcb_limits limits = DCB_LIMITS_INIT;
    limits.max_meta_bytes = 1u << 20;
    for (size_t nvalues = 65536; nvalues <= 65537; nvalues++) {
        char *json = calloc(1, 2 * nvalues + 2);
        assert_non_null(json);
        for (size_t i = 0; i < nvalues; i++)
            memcpy(json + 2 * i, i == 0 ? "[0" : ",0", 2);
        json[2 * nvalues] = ']';
        if (nvalues > 65536)
            check_meta(json, &limits, DCB_ERR_LIMIT,
                       "dicommeta has more than 65536 values, the limit");
        else
            check_meta(json, &limits, DCB_ERR_META, "dicommeta is not a JSON object");
        free(json);
    }
}

/* A frame of 64 MB of zeros packs to a few kilobytes; one whose header does not tell its size is
   stopped while it unpacks. */
static void test_zstd_bomb_without_size(void **state)
{
    (void)state;
    const size_t nbytes = 64u << 20;
    char *zeros = calloc(1, nbytes);
    size_t room = ZSTD_compressBound(nbytes);
    uint8_t *packed = malloc(room);
    assert_non_null(zeros);
    assert_non_null(packed);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    size_t packed_nbytes = ZSTD_compress2(context, packed, room, zeros, nbytes);
    assert_false(ZSTD_isError(packed_nbytes));
    ZSTD_freeCCtx(context);
    free(zeros);

    size_t base_nbytes = 0;
    uint8_t *base = tiny3(&base_nbytes);
    uint8_t *file = malloc(base_nbytes + packed_nbytes);
    assert_non_null(file);
    memcpy(file, base, base_nbytes);
    memcpy(file + base_nbytes, packed, packed_nbytes);
    for (unsigned k = 0; k < 8; k++) {
        file[META_OFFSET + k] = (uint8_t)(base_nbytes >> (8 * k));
        file[META_LENGTH + k] = (uint8_t)(packed_nbytes >> (8 * k));
    }
    dcb_error error = DCB_ERROR_INIT;
    dcb_series *series = NULL;
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.limits.max_meta_bytes = 1u << 20;
    assert_int_equal(
        dcb_series_open_memory(&series, file, base_nbytes + packed_nbytes, &options, &error),
        DCB_ERR_LIMIT);
    assert_string_equal(error.message, "dicommeta unpacks to more than the limit, 1048576");
    free(base);
    free(packed);
    free(file);
}

static void test_limits(void **state)
{
    (void)state;
    size_t nbytes = 0;
    uint8_t *bytes = tiny3(&nbytes);
    static const struct {
        size_t field;
        uint64_t limit;
        const char *message;
    } limits[] = {
        {offsetof(dcb_limits, max_meta_bytes), 600,
         "section dicommeta has 626 bytes, the limit is 600"},
        {offsetof(dcb_limits, max_section_bytes), 100,
         "section space has 184 bytes, the limit is 100"},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        dcb_error error = DCB_ERROR_INIT;
        dcb_series *series = NULL;
        dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
        memcpy((char *)&options.limits + limits[i].field, &limits[i].limit, sizeof(uint64_t));
        assert_int_equal(dcb_series_open_memory(&series, bytes, nbytes, &options, &error),
                         DCB_ERR_LIMIT);
        assert_string_equal(error.message, limits[i].message);
    }
    dcb_error error = DCB_ERROR_INIT;
    dcb_series *series = NULL;
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.limits.max_frames = 2;
    assert_int_equal(dcb_series_open_memory(&series, bytes, nbytes, &options, &error),
                     DCB_ERR_LIMIT);
    assert_string_equal(error.message, "3 frames, the limit is 2");
    options = (dcb_open_options)DCB_OPEN_OPTIONS_INIT;
    options.limits.max_frame_bytes = 261;
    assert_int_equal(dcb_series_open_memory(&series, bytes, nbytes, &options, &error), DCB_OK);
    dcb_frame *frame = NULL;
    assert_int_equal(dcb_series_frame(&frame, series, 1, DCB_ENCODING_STORED, &error),
                     DCB_ERR_LIMIT);
    assert_string_equal(error.message, "frame 1 has 262 bytes, the limit is 261");
    dcb_series_close(series);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_every_cut_and_change),
        cmocka_unit_test(test_bad_meta),
        cmocka_unit_test(test_many_values),
        cmocka_unit_test(test_zstd_bomb_without_size),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
