/* SPDX-License-Identifier: Apache-2.0 */
/* test_writer.c - instances taken in and given back, byte for byte; what old readers make of the
   files. */
#include "codec.h"
#include "pixel_place.h"
#include "temp_dir.h"
#include "writer_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_source_bytes_come_back(void **state)
{
    const writer_fixture *f = *state;
    for (size_t k = 0; k < source_nkinds; k++) {
        dcb_writer_summary summary;
        writer_fixture_write(f->file, &source_kinds[k], NSLICES, &summary);
        assert_int_equal(summary.nframes, NSLICES);
        assert_string_equal(summary.dicom_status, "consistent");
        dcb_series *series = writer_fixture_open(f->file, false);
        const dcb_series_info *info = dcb_series_get_info(series);
        assert_true(info->has_trailer);
        assert_int_equal(info->file_bytes, summary.file_bytes);
        assert_string_equal(info->series_instance_uid, "1.2.3.4.2");
        for (uint32_t i = 0; i < NSLICES; i++)
            assert_true(writer_fixture_holds(series, &source_kinds[k], i));
        dcb_series_close(series);
    }
}

/* Elements of the two, but Pixel Data and those that `may_differ` names. */
static void compare_datasets(const char *name, const dcb_dataset *a, const dcb_dataset *b,
                             uint32_t may_differ)
{
    assert_int_equal(dcb_dataset_count(a), dcb_dataset_count(b));
    for (size_t i = 0; i < dcb_dataset_count(a); i++) {
        const dcb_element *x = dcb_dataset_at(a, i), *y = dcb_dataset_at(b, i);
        assert_int_equal(x->tag, y->tag);
        if (x->tag == may_differ || x->tag == DCB_TAG(0x7FE0, 0x0010))
            continue;
        if (x->nbytes != y->nbytes || x->nitems != y->nitems ||
            (x->nbytes > 0 && memcmp(x->value, y->value, x->nbytes) != 0))
            fail_msg("%s: element %08X", name, (unsigned)x->tag);
        for (uint32_t k = 0; k < x->nitems; k++)
            compare_datasets(name, x->items[k], y->items[k], may_differ);
    }
}

static dcb_vr lookup(void *context, uint32_t tag)
{
    const dcb_element *element = dcb_dataset_find(context, tag);
    if (element != NULL)
        return element->vr;
    return tag == DCB_TAG(0x0040, 0x0008)   ? DCB_VR('S', 'Q')
           : tag == DCB_TAG(0x0008, 0x0100) ? DCB_VR('S', 'H')
           : tag == DCB_TAG(0x0008, 0x0104) ? DCB_VR('L', 'O')
                                            : 0;
}

static dcb_dataset *parse(const uint8_t *bytes, size_t nbytes, dcb_syntax syntax, dcb_dataset *vrs)
{
    dcb_dataset *dataset = NULL;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_dataset_parse(&dataset, bytes, nbytes, syntax, vrs != NULL ? lookup : NULL, vrs, NULL,
                          &error) != DCB_OK)
        fail_msg("%s", error.message);
    return dataset;
}

/* In the other syntaxes: the same elements, the same values. */
static void test_other_encodings(void **state)
{
    static const struct {
        dcb_encoding encoding;
        dcb_syntax syntax;
    } encodings[] = {{DCB_ENCODING_IMPLICIT_LE, DCB_SYNTAX_IMPLICIT_LE},
                     {DCB_ENCODING_EXPLICIT_BE, DCB_SYNTAX_EXPLICIT_BE}};
    const writer_fixture *f = *state;
    for (size_t k = 0; k < source_nkinds; k++) {
        const source_kind *kind = &source_kinds[k];
        writer_fixture_write(f->file, kind, NSLICES, NULL);
        dcb_series *series = writer_fixture_open(f->file, false);
        for (uint32_t i = 0; i < NSLICES; i++) {
            size_t nbytes = 0;
            uint8_t *bytes = source_instance(&nbytes, kind, i);
            dcb_dataset *source = parse(bytes, nbytes, DCB_SYNTAX_EXPLICIT_LE, NULL);
            for (size_t e = 0; e < 2; e++) {
                dcb_frame *frame = writer_fixture_frame(series, i, encodings[e].encoding);
                const uint8_t *made = dcb_frame_dataset(frame, &nbytes);
                dcb_dataset *dataset = parse(made, nbytes, encodings[e].syntax, source);
                compare_datasets(kind->name, source, dataset, 0);
                const dcb_element *x = dcb_dataset_find(source, DCB_TAG(0x7FE0, 0x0010));
                const dcb_element *y = dcb_dataset_find(dataset, DCB_TAG(0x7FE0, 0x0010));
                assert_int_equal(x->nbytes, y->nbytes);
                assert_memory_equal(x->value, y->value, x->nbytes);
                dcb_dataset_close(dataset);
                dcb_frame_release(frame);
            }
            dcb_dataset_close(source);
            free(bytes);
        }
        dcb_series_close(series);
    }
}

/* HTJ2K: the same elements but Planar Configuration, and the samples in the codestream. */
static void test_stored_encoding(void **state)
{
    const writer_fixture *f = *state;
    for (size_t k = 0; k < source_nkinds; k++) {
        const source_kind *kind = &source_kinds[k];
        writer_fixture_write(f->file, kind, NSLICES, NULL);
        dcb_series *series = writer_fixture_open(f->file, false);
        for (uint32_t i = 0; i < NSLICES; i++) {
            size_t nbytes = 0, source_nbytes = 0, codestream_nbytes = 0;
            dcb_frame *frame = writer_fixture_frame(series, i, DCB_ENCODING_STORED);
            const uint8_t *bytes = dcb_frame_dataset(frame, &nbytes);
            uint8_t *source_bytes = source_instance(&source_nbytes, kind, i), *codestream = NULL;
            dcb__pixel_place place, source_place;
            assert_int_equal(dcb__pixel_place_find(&place, bytes, nbytes, NULL), DCB_OK);
            assert_int_equal(
                dcb__pixel_place_find(&source_place, source_bytes, source_nbytes, NULL), DCB_OK);
            assert_true(place.encapsulated);
            dcb_dataset *source =
                parse(source_bytes, source_place.start, DCB_SYNTAX_EXPLICIT_LE, NULL);
            dcb_dataset *made = parse(bytes, place.start, DCB_SYNTAX_EXPLICIT_LE, NULL);
            compare_datasets(kind->name, source, made, DCB_TAG(0x0028, 0x0006));
            if (!kind->by_plane) { /* not even an element's header has changed */
                assert_int_equal(place.start, source_place.start);
                assert_memory_equal(bytes, source_bytes, place.start);
            }
            assert_int_equal(
                dcb__pixel_place_codestream(&codestream, &codestream_nbytes, &place, bytes, NULL),
                DCB_OK);
            dcb__codestream header;
            assert_int_equal(
                dcb__codestream_read(&header, codestream, codestream_nbytes, 0, NULL, NULL),
                DCB_OK);
            size_t size = dcb__codestream_sample_nbytes(&header);
            size_t n = (size_t)header.rows * header.columns * header.components;
            uint8_t *samples = malloc(n * size);
            assert_int_equal(dcb__decode(samples, n * size, &header, codestream, codestream_nbytes,
                                         0, DCB_CODEC_ANY, NULL),
                             DCB_OK);
            for (size_t s = 0; s < n; s++) {
                size_t pixel = s / header.components;
                int64_t expected = source_sample(kind, i, (uint32_t)(pixel / header.columns),
                                                 (uint32_t)(pixel % header.columns),
                                                 (uint16_t)(s % header.components));
                assert_memory_equal(samples + s * size, &expected, size);
            }
            free(samples);
            free(codestream);
            dcb_dataset_close(source);
            dcb_dataset_close(made);
            free(source_bytes);
            dcb_frame_release(frame);
        }
        dcb_series_close(series);
    }
}

static int64_t load_sample(const uint8_t *from, unsigned bits, bool is_signed)
{
    uint64_t value = 0;
    memcpy(&value, from, bits / 8);
    if (is_signed && value >> (bits - 1) != 0)
        value |= UINT64_MAX << (bits - 1);
    return (int64_t)value;
}

/* A reader that does not know the trailer: real-world values, in every slice. */
static void test_real_values_without_the_trailer(void **state)
{
    const writer_fixture *f = *state;
    for (size_t k = 0; k < source_nkinds; k++) {
        const source_kind *kind = &source_kinds[k];
        writer_fixture_write(f->file, kind, NSLICES, NULL);
        dcb_series *series = writer_fixture_open(f->file, true);
        assert_false(dcb_series_get_info(series)->has_trailer);
        double slope = kind->slope != NULL ? strtod(kind->slope, NULL) : 1;
        double intercept = kind->intercept != NULL ? strtod(kind->intercept, NULL) : 0;
        for (uint32_t i = 0; i < NSLICES; i++) {
            void *samples = NULL;
            size_t nbytes = 0;
            dcb_pixel_format format;
            dcb_error error = DCB_ERROR_INIT;
            if (dcb_series_pixels(&samples, &nbytes, &format, series, i, 0, &error) != DCB_OK)
                fail_msg("%s: %s", kind->name, error.message);
            assert_true(format.rescale_slope == slope && format.rescale_intercept == intercept);
            size_t size = format.bits_allocated / 8u, n = nbytes / size;
            for (size_t s = 0; s < n; s++) {
                size_t pixel = s / format.samples_per_pixel;
                int64_t value = load_sample((const uint8_t *)samples + s * size,
                                            format.bits_allocated, format.is_signed);
                if (value != source_sample(kind, i, (uint32_t)(pixel / format.columns),
                                           (uint32_t)(pixel % format.columns),
                                           (uint16_t)(s % format.samples_per_pixel)))
                    fail_msg("%s: slice %u, sample %zu", kind->name, (unsigned)i, s);
            }
            free(samples);
            dcb_dataset *dataset = NULL; /* the JSON is one that can be read */
            assert_int_equal(dcb_series_dataset(&dataset, series, i, false, &error), DCB_OK);
            char text[64], expected[64];
            snprintf(expected, sizeof expected, "-10\\-20.5\\%u.5", (unsigned)i);
            dcb_dataset_get_text(dataset, DCB_TAG(0x0020, 0x0032), text, sizeof text);
            assert_string_equal(text, expected);
            snprintf(expected, sizeof expected, "1.2.3.4.%u", (unsigned)(i + 100));
            dcb_dataset_get_text(dataset, DCB_TAG(0x0008, 0x0018), text, sizeof text);
            assert_string_equal(text, expected);
            dcb_dataset_close(dataset);
            dcb_frame *frame = writer_fixture_frame(series, i, DCB_ENCODING_STORED);
            dcb_frame_release(frame);
        }
        dcb_series_close(series);
    }
}

/* Two slices' worth of a value that differs, and of one that only some slices have. */
static void test_elements(void **state)
{
    const writer_fixture *f = *state;
    writer_fixture_write(f->file, &(source_kind){.name = "rich", .rich = true}, NSLICES, NULL);
    dcb_series *series = writer_fixture_open(f->file, false);
    dcb_dataset *dataset = NULL;
    bool shared = false;
    char text[64];
    assert_int_equal(
        dcb_series_element(&dataset, &shared, series, 2, DCB_TAG(0x0010, 0x0010), true, NULL),
        DCB_OK);
    dcb_dataset_get_text(dataset, DCB_TAG(0x0010, 0x0010), text, sizeof text);
    assert_string_equal(text, "M\xC3\xBCller^J\xC3\xB6rg");
    assert_true(shared);
    dcb_dataset_close(dataset);
    assert_int_equal(
        dcb_series_element(&dataset, &shared, series, 2, DCB_TAG(0x0020, 0x0013), true, NULL),
        DCB_OK);
    assert_false(shared);
    dcb_dataset_close(dataset);
    assert_int_equal(
        dcb_series_element(&dataset, NULL, series, 1, DCB_TAG(0x0009, 0x1005), true, NULL),
        DCB_ERR_NOT_FOUND);
    assert_int_equal(dcb_series_dataset(&dataset, series, DCB_FRAME_SHARED, false, NULL), DCB_OK);
    assert_non_null(dcb_dataset_find(dataset, DCB_TAG(0x0008, 0x0020)));
    assert_null(dcb_dataset_find(dataset, DCB_TAG(0x0020, 0x0013)));
    assert_null(dcb_dataset_find(dataset, DCB_TAG(0x0040, 0x0275)));
    dcb_dataset_close(dataset);
    dcb_frame_info info;
    assert_int_equal(dcb_series_frame_info(&info, series, 3, NULL), DCB_OK);
    assert_string_equal(info.sop_instance_uid, "1.2.3.4.103");
    assert_string_equal(info.source_syntax_uid, EXPLICIT);
    dcb_series_close(series);
}

static void report_problem(void *context, uint32_t frame, const dcb_error *problem)
{
    const source_kind *kind = context;
    fail_msg("%s: frame %u: %s", kind->name, (unsigned)frame, problem->message);
}

/* The library's own check finds nothing to say. */
static void test_verify(void **state)
{
    const writer_fixture *f = *state;
    for (size_t k = 0; k < source_nkinds; k++) {
        source_kind kind = source_kinds[k];
        writer_fixture_write(f->file, &kind, NSLICES, NULL);
        dcb_series *series = writer_fixture_open(f->file, false);
        assert_int_equal(dcb_series_verify(series, report_problem, &kind, NULL), DCB_OK);
        for (uint32_t i = 0; i < NSLICES; i++)
            assert_int_equal(dcb_series_verify_frame(series, i, report_problem, &kind, NULL),
                             DCB_OK);
        dcb_series_close(series);
    }
}

/* An instance with other Pixel Data; free() it. */
static uint8_t *with_fragment(size_t *nbytes, const uint8_t *source, size_t source_nbytes,
                              const uint8_t *codestream, size_t codestream_nbytes)
{
    dcb__pixel_place place;
    assert_int_equal(dcb__pixel_place_find(&place, source, source_nbytes, NULL), DCB_OK);
    static const uint8_t head[] = {0xE0, 0x7F, 0x10, 0,    'O', 'B',  0, 0, 0xFF, 0xFF,
                                   0xFF, 0xFF, 0xFE, 0xFF, 0,   0xE0, 0, 0, 0,    0};
    static const uint8_t end[] = {0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0};
    uint8_t item[8] = {0xFE, 0xFF, 0x00, 0xE0};
    size_t even = codestream_nbytes + (codestream_nbytes & 1);
    for (unsigned i = 0; i < 4; i++)
        item[4 + i] = (uint8_t)(even >> (8 * i));
    uint8_t *out = calloc(1, place.start + even + 64);
    size_t at = place.start;
    memcpy(out, source, at);
    memcpy(out + at, head, sizeof head);
    at += sizeof head;
    memcpy(out + at, item, sizeof item);
    at += sizeof item;
    if (codestream_nbytes > 0)
        memcpy(out + at, codestream, codestream_nbytes);
    at += even;
    memcpy(out + at, end, sizeof end);
    *nbytes = at + sizeof end;
    return out;
}

/* Samples that the caller decoded; Planar Configuration and YBR_RCT are the source's own words. */
static void test_given_samples(void **state)
{
    const writer_fixture *f = *state;
    const source_kind planes = {.name = "rle", .allocated = 8, .samples = 3, .by_plane = true};
    const source_kind pixels = {
        .name = "j2k", .allocated = 8, .samples = 3, .photometric = "YBR_RCT"};
    const source_kind *kinds[] = {&planes, &pixels};
    static const char *const syntaxes[] = {"1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90"};
    for (size_t k = 0; k < 2; k++) {
        uint8_t samples[5 * 7 * 3];
        for (size_t s = 0; s < sizeof samples; s++)
            samples[s] = (uint8_t)source_sample(kinds[k], 0, (uint32_t)(s / 21),
                                                (uint32_t)(s / 3 % 7), (uint16_t)(s % 3));
        size_t nbytes = 0, source_nbytes = 0;
        uint8_t *source = source_instance(&source_nbytes, kinds[k], 0);
        uint8_t *bytes = with_fragment(&nbytes, source, source_nbytes, NULL, 0);
        dcb_writer_instance instance = DCB_WRITER_INSTANCE_INIT;
        instance.dataset = bytes;
        instance.dataset_nbytes = nbytes;
        instance.syntax_uid = syntaxes[k];
        instance.samples = samples;
        instance.samples_nbytes = sizeof samples - 1;
        dcb_writer *writer = NULL;
        dcb_error error = DCB_ERROR_INIT;
        assert_int_equal(dcb_writer_create(&writer, f->file, NULL, NULL), DCB_OK);
        assert_int_equal(dcb_writer_add_instance(writer, &instance, &error), DCB_ERR_UNSUPPORTED);
        instance.samples_nbytes++;
        assert_int_equal(dcb_writer_add_instance(writer, &instance, &error), DCB_OK);
        assert_int_equal(dcb_writer_commit(writer, NULL, &error), DCB_OK);

        dcb_series *series = writer_fixture_open(f->file, false);
        dcb_frame *frame = writer_fixture_frame(series, 0, DCB_ENCODING_EXPLICIT_LE);
        const uint8_t *made = dcb_frame_dataset(frame, &nbytes);
        dcb_dataset *a = parse(source, source_nbytes, DCB_SYNTAX_EXPLICIT_LE, NULL);
        dcb_dataset *b = parse(made, nbytes, DCB_SYNTAX_EXPLICIT_LE, NULL);
        compare_datasets(kinds[k]->name, a, b, DCB_TAG(0x0028, 0x0004));
        const dcb_element *x = dcb_dataset_find(a, DCB_TAG(0x7FE0, 0x0010));
        const dcb_element *y = dcb_dataset_find(b, DCB_TAG(0x7FE0, 0x0010));
        assert_int_equal(y->nbytes, sizeof samples + 1); /* even */
        assert_memory_equal(x->value, y->value, sizeof samples);
        char term[20];
        dcb_dataset_get_text(b, DCB_TAG(0x0028, 0x0004), term, sizeof term);
        assert_string_equal(term, "RGB");
        dcb_dataset_close(a);
        dcb_dataset_close(b);
        dcb_frame_release(frame);
        frame = writer_fixture_frame(series, 0, DCB_ENCODING_STORED);
        dcb__pixel_place place;
        made = dcb_frame_dataset(frame, &nbytes);
        assert_int_equal(dcb__pixel_place_find(&place, made, nbytes, NULL), DCB_OK);
        b = parse(made, place.start, DCB_SYNTAX_EXPLICIT_LE, NULL);
        dcb_dataset_get_text(b, DCB_TAG(0x0028, 0x0004), term, sizeof term);
        assert_string_equal(term, "RGB"); /* our codestreams have no transform */
        assert_int_equal(dcb_dataset_find(b, DCB_TAG(0x0028, 0x0006))->value[0], 0);
        dcb_dataset_close(b);
        dcb_frame_release(frame);
        dcb_series_close(series);
        free(source);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_bytes_come_back),
        cmocka_unit_test(test_other_encodings),
        cmocka_unit_test(test_stored_encoding),
        cmocka_unit_test(test_real_values_without_the_trailer),
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_given_samples),
    };
    return cmocka_run_group_tests(tests, writer_fixture_setup, writer_fixture_teardown);
}
