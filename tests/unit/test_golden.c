/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_golden.c - series that DiCube wrote: what is told of each file, every frame in every
 * encoding, and, where the source is beside it, that nothing we send differs from it: elements
 * equal, real values exact or within the step that the file states. (tests/integration compares all
 * of them with other software's eyes; this needs none.)
 */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "dcb.h"
#include "temp_dir.h"

#define CT "1.2.840.10008.5.1.4.1.1.2"
#define MR "1.2.840.10008.5.1.4.1.1.4"
#define US "1.2.840.10008.5.1.4.1.1.6.1"
#define SC "1.2.840.10008.5.1.4.1.1.7"

typedef struct golden {
    const char *path, *source; /* source: NULL, or the folder of what it was written from */
    uint32_t nframes;
    const char *dicom_status, *sop_class;
    uint32_t rows, columns;
    uint16_t samples, bits;
    bool is_signed;
    double slope, intercept;
    uint32_t unattributable, dropped;
    bool lossy;
    const char *writer;
} golden;

#define LATER "DiCube v0.2.4 or later"

static const golden ours[] = {
    {"tiny3/series.dcbs", "tiny3/source", 3, "consistent", CT, 16, 24, 1, 16, true, 1, 0, 2, 0,
     false, "DiCube v0.2.6 or later"},
    {"ct_phantom_small/series.dcbs", "ct_phantom_small/source", 8, "consistent", CT, 128, 128, 1,
     16, true, 1, 0, 8, 1, false, "DiCube v0.2.6 or later"},
    {"ct_phantom_edge/series.dcbs", "ct_phantom_edge/source", 8, "consistent", CT, 128, 128, 1, 16,
     true, 1, 0, 10, 1, false, "DiCube v0.2.6 or later"},
    {"edge_missing_ds/series.dcbs", "edge_missing_ds/source", 8, "consistent", CT, 128, 128, 1, 16,
     true, 1, 0, 9, 1, false, "DiCube v0.2.6 or later"},
    {"edge_missing_seq/series.dcbs", "edge_missing_seq/source", 8, "consistent", CT, 128, 128, 1,
     16, true, 1, 0, 11, 1, false, "DiCube v0.2.6 or later"},
    {"edge_mono1/series.dcbs", "edge_mono1/source", 8, "consistent", CT, 128, 128, 1, 16, true, 1,
     0, 8, 1, false, "DiCube v0.2.6 or later"},
    {"edge_pet_slopes/series.dcbs", "edge_pet_slopes/source", 8, "non_uniform_rescale_factor", CT,
     128, 128, 1, 16, false, 0.01960254367895018, 0, 8, 1, true, "DiCube v0.2.6 or later"},
    {"older_23b902b/series.dcbs", "ct_phantom_small/source", 8, "consistent", CT, 128, 128, 1, 16,
     true, 1, -1024, 8, 1, false, "DiCube before v0.1.0"},
    {"older_v0.2.2/series.dcbs", "ct_phantom_small/source", 8, "consistent", CT, 128, 128, 1, 16,
     true, 1, -1024, 8, 0, false, "DiCube v0.2.0 to v0.2.2"},
    {"older_v0.2.4/series.dcbs", "ct_phantom_small/source", 8, "consistent", CT, 128, 128, 1, 16,
     true, 1, -1024, 8, 1, false, "DiCube v0.2.4"},
    {"older_v0.2.6/series.dcbs", "ct_phantom_small/source", 8, "consistent", CT, 128, 128, 1, 16,
     true, 1, 0, 8, 1, false, "DiCube v0.2.6 or later"},
    {"older_v0.2.7/series.dcbs", "ct_phantom_small/source", 8, "consistent", CT, 128, 128, 1, 16,
     true, 1, 0, 8, 1, false, "DiCube v0.2.6 or later"},
};

static const golden others[] = {
    {"ct_small/series.dcbs", NULL, 1, "consistent", CT, 128, 128, 1, 16, true, 1, 0, 0, 0, false,
     "DiCube v0.2.6 or later"},
    {"ct_ge_tilt_28/series.dcbs", NULL, 28, "gap_location", CT, 512, 512, 1, 16, true, 1, 0, 0, 0,
     false, LATER},
    {"mr_small/series.dcbs", NULL, 1, "consistent", MR, 64, 64, 1, 16, true, 1, 0, 0, 0, false,
     LATER},
    {"mr_overlay/series.dcbs", NULL, 1, "consistent", MR, 300, 484, 1, 16, false, 1, 0, 0, 1, false,
     LATER},
    {"mr_siemens_2/series.dcbs", NULL, 2, "dwelling_location", MR, 216, 216, 1, 16, false, 1, 0, 5,
     2, false, LATER},
    {"mr_ge_fmri_150/series.dcbs", NULL, 150, "reversed_location", MR, 64, 64, 1, 16, true, 1, 0, 2,
     0, false, LATER},
    {"us_palette/series.dcbs", NULL, 1, "missing_spacing", US, 350, 800, 1, 8, false, 1, 0, 0, 0,
     false, LATER},
    {"us_rgb_pydicom/series.dcbs", NULL, 1, "missing_spacing", US, 240, 320, 3, 8, false, 1, 0, 0,
     0, false, LATER},
    {"color_planar/series.dcbs", NULL, 1, "missing_spacing", NULL, 120, 256, 3, 8, false, 1, 0, 0,
     0, false, LATER},
    {"sc_rgb16/series.dcbs", NULL, 1, "missing_orientation", SC, 100, 100, 3, 16, false, 1, 0, 0, 0,
     false, LATER},
    {"sc_rgb_philips_2/series.dcbs", NULL, 2, "missing_spacing", SC, 512, 650, 3, 8, false, 1, 0,
     68, 0, false, LATER},
    {"charset_chrH31/series.dcbs", NULL, 1, "missing_spacing", NULL, 32, 32, 1, 8, false, 1, 0, 0,
     0, false, LATER},
    {"older_writers/mr_small/v0.1.0.dcbs", NULL, 1, "consistent", MR, 64, 64, 1, 16, true, 1, 0, 0,
     0, false, "DiCube v0.1"},
    {"older_writers/mr_small/v0.2.2.dcbs", NULL, 1, "consistent", MR, 64, 64, 1, 16, true, 1, 0, 0,
     0, false, "DiCube v0.2.0 to v0.2.2"},
};

/* ---- Sources: Part 10 files in Explicit VR Little Endian ---------------------------------------
 */

typedef struct source_file {
    dcb_dataset *dataset;
    char uid[65];
} source_file;

static source_file read_source(const char *folder, const char *name)
{
    source_file out = {0};
    dcb_error error = DCB_ERROR_INIT;
    size_t nbytes = 0;
    char *path = path_join(folder, name);
    uint8_t *bytes = read_whole_file(path, &nbytes);
    assert_true(nbytes > 144 && memcmp(bytes + 128, "DICM\x02\0\0\0UL\x04\0", 12) == 0);
    size_t start = 144 + (bytes[140] | (size_t)bytes[141] << 8);
    assert_int_equal(dcb_dataset_parse(&out.dataset, bytes + start, nbytes - start,
                                       DCB_SYNTAX_EXPLICIT_LE, NULL, NULL, NULL, &error),
                     DCB_OK);
    dcb_dataset_get_text(out.dataset, 0x00080018, out.uid, sizeof out.uid);
    free(bytes);
    free(path);
    return out;
}

static size_t read_sources(source_file *out, size_t room, const char *folder)
{
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    size_t n = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (entry->d_name[0] != '.') {
            assert_true(n < room);
            out[n++] = read_source(folder, entry->d_name);
        }
    closedir(directory);
    return n;
}

/* ---- Against the source ------------------------------------------------------------------------
 */

/* Elements that describe the stored values, which are others than the source's. */
static bool is_of_pixels(uint32_t tag)
{
    return (tag >= 0x00280100 && tag <= 0x00280121) || tag == 0x00281052 || tag == 0x00281053 ||
           tag == 0x00280002 || tag == 0x7FE00010;
}

static double number_at(const char *text, int index)
{
    for (; index > 0 && text != NULL; index--) {
        text = strchr(text, '\\');
        text = text == NULL ? NULL : text + 1;
    }
    return text == NULL ? NAN : strtod(text, NULL);
}

static bool same_numbers(const dcb_dataset *a, const dcb_dataset *b, uint32_t tag)
{
    char left[1024], right[1024];
    dcb_dataset_get_text(a, tag, left, sizeof left);
    dcb_dataset_get_text(b, tag, right, sizeof right);
    for (int i = 0;; i++) {
        double x = number_at(left, i), y = number_at(right, i);
        if (isnan(x) || isnan(y))
            return isnan(x) && isnan(y);
        if (x != y)
            return false;
    }
}

/* Nothing that is sent may differ from the source; what is left out may be missing. */
static void check_elements(const char *path, const dcb_dataset *sent, const dcb_dataset *source)
{
    for (size_t i = 0; i < dcb_dataset_count(sent); i++) {
        const dcb_element *a = dcb_dataset_at(sent, i);
        if (is_of_pixels(a->tag))
            continue;
        const dcb_element *b = dcb_dataset_find(source, a->tag);
        if (b == NULL || a->vr != b->vr)
            fail_msg("%s: (%08x) is not in the source, or of another VR", path, a->tag);
        if (a->vr == DCB_VR('S', 'Q')) {
            assert_true(a->nitems <= b->nitems);
            for (uint32_t k = 0; a->nitems == b->nitems && k < a->nitems; k++)
                check_elements(path, a->items[k], b->items[k]);
        } else if (a->vr == DCB_VR('D', 'S') || a->vr == DCB_VR('I', 'S')) {
            if (!same_numbers(sent, source, a->tag))
                fail_msg("%s: (%08x) differs", path, a->tag);
        } else if (a->nbytes != b->nbytes || memcmp(a->value, b->value, a->nbytes) != 0) {
            fail_msg("%s: (%08x) differs", path, a->tag);
        }
    }
}

static double get_number(const dcb_dataset *dataset, uint32_t tag, double missing)
{
    char text[32];
    ptrdiff_t n = dcb_dataset_get_text(dataset, tag, text, sizeof text);
    return n > 0 ? strtod(text, NULL) : missing;
}

static unsigned get_u16(const dcb_dataset *dataset, uint32_t tag)
{
    const dcb_element *element = dcb_dataset_find(dataset, tag);
    assert_non_null(element);
    return element->value[0] | (unsigned)element->value[1] << 8;
}

static double real_value(const dcb_dataset *dataset, size_t k)
{
    const dcb_element *pixels = dcb_dataset_find(dataset, 0x7FE00010);
    assert_non_null(pixels);
    assert_true(pixels->nbytes >= 2 * k + 2);
    int stored = pixels->value[2 * k] | pixels->value[2 * k + 1] << 8;
    if (get_u16(dataset, 0x00280103) == 1 && stored > 32767)
        stored -= 65536;
    return stored * get_number(dataset, 0x00281053, 1) + get_number(dataset, 0x00281052, 0);
}

static void check_pixels(const golden *g, const dcb_dataset *sent, const dcb_dataset *source)
{
    size_t n = (size_t)g->rows * g->columns;
    double step = g->lossy ? g->slope : 0;
    for (size_t k = 0; k < n; k++) {
        double difference = fabs(real_value(sent, k) - real_value(source, k));
        if (difference > step)
            fail_msg("%s: pixel %zu differs by %g", g->path, k, difference);
    }
}

/* ---- Every frame
 * --------------------------------------------------------------------------------- */

static dcb_dataset *parse_frame(const dcb_frame *frame, dcb_syntax syntax)
{
    dcb_error error = DCB_ERROR_INIT;
    dcb_dataset *dataset = NULL;
    size_t nbytes = 0;
    const uint8_t *bytes = dcb_frame_dataset(frame, &nbytes);
    if (dcb_dataset_parse(&dataset, bytes, nbytes, syntax, NULL, NULL, NULL, &error) != DCB_OK)
        fail_msg("%s at %llu", error.message, (unsigned long long)error.offset);
    return dataset;
}

/* The data set alone, all instances, and what frame_info says are of one mind. */
static void check_encodings(const golden *g, dcb_series *series, uint32_t index,
                            const source_file *sources, size_t nsources)
{
    dcb_error error = DCB_ERROR_INIT;
    dcb_frame_info info;
    dcb_dataset *dataset = NULL;
    if (dcb_series_frame_info(&info, series, index, &error) != DCB_OK ||
        dcb_series_dataset(&dataset, series, index, false, &error) != DCB_OK)
        fail_msg("%s: frame %u: %s", g->path, index, error.message);
    char uid[65];
    dcb_dataset_get_text(dataset, 0x00080018, uid, sizeof uid);
    assert_string_equal(uid, info.sop_instance_uid);
    if (g->sop_class != NULL)
        assert_string_equal(info.sop_class_uid, g->sop_class);
    size_t count = dcb_dataset_count(dataset);
    for (int encoding = 0; encoding < DCB_ENCODING_COUNT; encoding++) {
        dcb_frame *frame = NULL;
        if (dcb_series_frame(&frame, series, index, (dcb_encoding)encoding, &error) != DCB_OK)
            fail_msg("%s: frame %u: %s", g->path, index, error.message);
        assert_string_equal(dcb_frame_sop_instance_uid(frame), uid);
        const char *syntax = dcb_encoding_uid((dcb_encoding)encoding);
        assert_string_equal(dcb_frame_transfer_syntax_uid(frame),
                            syntax != NULL ? syntax : info.stored_syntax_uid);
        size_t nbytes = 0;
        const uint8_t *bytes = dcb_frame_dataset(frame, &nbytes);
        assert_int_equal(nbytes % 2, 0);
        if (encoding == DCB_ENCODING_STORED) {
            assert_non_null(memmem(bytes, nbytes, "\xE0\x7F\x10\0OB\0\0\xFF\xFF\xFF\xFF", 12));
        } else if (encoding != DCB_ENCODING_DEFLATED) {
            dcb_dataset *parsed =
                parse_frame(frame, encoding == DCB_ENCODING_EXPLICIT_LE   ? DCB_SYNTAX_EXPLICIT_LE
                                   : encoding == DCB_ENCODING_IMPLICIT_LE ? DCB_SYNTAX_IMPLICIT_LE
                                                                          : DCB_SYNTAX_EXPLICIT_BE);
            assert_int_equal(dcb_dataset_count(parsed), count + 1);
            const dcb_element *pixels = dcb_dataset_find(parsed, 0x7FE00010);
            assert_non_null(pixels);
            size_t size = (size_t)g->rows * g->columns * g->samples * g->bits / 8;
            assert_int_equal(pixels->nbytes, size + (size & 1));
            for (size_t k = 0; encoding == DCB_ENCODING_EXPLICIT_LE && k < nsources; k++)
                if (strcmp(sources[k].uid, uid) == 0) {
                    check_elements(g->path, parsed, sources[k].dataset);
                    check_pixels(g, parsed, sources[k].dataset);
                }
            dcb_dataset_close(parsed);
        }
        dcb_frame_release(frame);
    }
    dcb_dataset_close(dataset);
}

static void check_info(const golden *g, const dcb_series_info *info)
{
    assert_int_equal(info->nframes, g->nframes);
    assert_string_equal(info->dicom_status, g->dicom_status);
    assert_int_equal(info->pixel.rows, g->rows);
    assert_int_equal(info->pixel.columns, g->columns);
    assert_int_equal(info->pixel.samples_per_pixel, g->samples);
    assert_int_equal(info->pixel.bits_allocated, g->bits);
    assert_int_equal(info->pixel.bits_stored, g->bits);
    assert_int_equal(info->pixel.is_signed, g->is_signed);
    assert_true(info->pixel.rescale_slope == g->slope);
    assert_true(info->pixel.rescale_intercept == g->intercept);
    assert_int_equal(info->unattributable, g->unattributable);
    assert_int_equal(info->dropped_binaries, g->dropped);
    assert_int_equal(info->lossy_rescale, g->lossy);
    assert_int_equal(info->empty_frames, 0);
    assert_true(info->has_meta);
    assert_string_equal(info->writer, g->writer);
}

static void check_golden(const golden *g, const char *folder)
{
    dcb_error error = DCB_ERROR_INIT;
    dcb_series *series = NULL;
    char *path = path_join(folder, g->path);
    if (dcb_series_open(&series, path, NULL, &error) != DCB_OK)
        fail_msg("%s: %s", path, error.message);
    const dcb_series_info *info = dcb_series_get_info(series);
    check_info(g, info);
    source_file sources[16];
    size_t nsources = 0;
    if (g->source != NULL) {
        char *from = path_join(folder, g->source);
        nsources = read_sources(sources, 16, from);
        free(from);
        assert_int_equal(nsources, g->nframes);
    }
    for (uint32_t i = 0; i < g->nframes; i++)
        check_encodings(g, series, i, sources, nsources);
    for (size_t i = 0; i < nsources; i++) {
        dcb_frame_info frame;
        bool found = false;
        for (uint32_t k = 0; k < g->nframes; k++)
            found = found || (dcb_series_frame_info(&frame, series, k, NULL) == DCB_OK &&
                              strcmp(frame.sop_instance_uid, sources[i].uid) == 0);
        assert_true(found);
        dcb_dataset_close(sources[i].dataset);
    }
    dcb_series_close(series);
    free(path);
}

static void test_ours(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        check_golden(&ours[i], TEST_DATA_DIR "/golden");
}

static bool have_others(void)
{
    struct stat st;
    return stat(GOLDEN_DIR, &st) == 0;
}

static void test_others(void **state)
{
    (void)state;
    if (!have_others())
        skip();
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        check_golden(&others[i], GOLDEN_DIR);
}

/* Multi-frame sources, of which the writer made one codestream of the wrong shape. */
static void test_multi_frame(void **state)
{
    (void)state;
    static const struct {
        const char *path, *message;
    } files[] = {
        {GOLDEN_DIR "/mf_ect/series.dcbs",
         "frame 0: the codestream has 2 rows and 512 columns, the metadata say 512 and 512"},
        {GOLDEN_DIR "/rtdose/series.dcbs",
         "frame 0: the codestream has 15 rows and 10 columns, the metadata say 10 and 10"},
    };
    if (!have_others())
        skip();
    for (size_t i = 0; i < 2; i++) {
        dcb_series *series = NULL;
        assert_int_equal(dcb_series_open(&series, files[i].path, NULL, NULL), DCB_OK);
        for (int encoding = 0; encoding < DCB_ENCODING_COUNT; encoding++) {
            dcb_error error = DCB_ERROR_INIT;
            dcb_frame *frame = NULL;
            assert_int_equal(dcb_series_frame(&frame, series, 0, (dcb_encoding)encoding, &error),
                             DCB_ERR_CODESTREAM);
            assert_string_equal(error.message, files[i].message);
        }
        dcb_dataset *dataset = NULL;
        assert_int_equal(dcb_series_dataset(&dataset, series, 0, true, NULL), DCB_OK);
        dcb_dataset_close(dataset);
        dcb_series_close(series);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ours),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_multi_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
