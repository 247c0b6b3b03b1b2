/* SPDX-License-Identifier: Apache-2.0 */
/* test_writer_refusals.c - what is refused, and what damage does to a file. */
#include "temp_dir.h"
#include "trailer.h"
#include "writer_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- What is refused ---- */

typedef struct refusal {
    const char *name;
    uint32_t tag;
    const char *vr;
    const char *value;
    size_t nbytes;
    const char *syntax, *says;
} refusal;

static void test_refusals(void **state)
{
    static const refusal refusals[] = {
        {"frames", DCB_TAG(0x0028, 0x0008), "IS", "2 ", 2, NULL, "multi-frame"},
        {"no class", DCB_TAG(0x0008, 0x0016), NULL, NULL, 0, NULL, "SOP Class UID"},
        {"no series", DCB_TAG(0x0020, 0x000E), NULL, NULL, 0, NULL, "Series Instance UID"},
        {"no pixels", DCB_TAG(0x7FE0, 0x0010), NULL, NULL, 0, NULL, "no Pixel Data"},
        {"bits", DCB_TAG(0x0028, 0x0100), "US", "\1\0", 2, NULL, "Bits Allocated"},
        {"high bit", DCB_TAG(0x0028, 0x0102), "US", "\17\0", 2, NULL, "High Bit"},
        {"too short", DCB_TAG(0x0028, 0x0010), "US", "\6\0", 2, NULL, "describes 84"},
        {"photometric", DCB_TAG(0x0028, 0x0004), "CS", "HSV ", 4, NULL, "Photometric"},
        {"slope", DCB_TAG(0x0028, 0x1053), "DS", "0 ", 2, NULL, "Slope is 0"},
        {"no slope", DCB_TAG(0x0028, 0x1053), "DS", "x ", 2, NULL, "Slope is not a number"},
        {"overlay", DCB_TAG(0x6000, 0x0100), "US", "\20\0", 2, NULL, "overlay"},
        {"jpeg", 0, NULL, NULL, 0, "1.2.840.10008.1.2.4.50", "lossy"},
        {"near-lossless", 0, NULL, NULL, 0, "1.2.840.10008.1.2.4.81", "lossy"},
        {"not encapsulated", 0, NULL, NULL, 0, "1.2.840.10008.1.2.4.201", "transfer syntax says"},
        {"another slope", DCB_TAG(0x0028, 0x1053), "DS", "2 ", 2, NULL, "Rescale Slope"},
        {"another series", DCB_TAG(0x0020, 0x000E), "UI", "1.2\0", 4, NULL, "series"},
        {"another sign", DCB_TAG(0x0028, 0x0103), "US", "\1\0", 2, NULL, "kind of samples"},
    };
    const writer_fixture *f = *state;
    const source_kind kind = {.name = "refused"};
    dcb_writer *writer = NULL;
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(dcb_writer_create(&writer, f->file, NULL, NULL), DCB_OK);
    size_t nbytes = 0;
    uint8_t *bytes = source_instance(&nbytes, &kind, 0);
    assert_int_equal(writer_fixture_add(writer, bytes, nbytes, EXPLICIT, NULL), DCB_OK);
    assert_int_equal(writer_fixture_add(writer, bytes, nbytes, EXPLICIT, &error), DCB_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "SOP Instance UID"));
    free(bytes);
    bytes = source_instance(&nbytes, &kind, 1);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        dcb_dataset *dataset = NULL;
        assert_int_equal(dcb_dataset_parse(&dataset, bytes, nbytes, DCB_SYNTAX_EXPLICIT_LE, NULL,
                                           NULL, NULL, NULL),
                         DCB_OK);
        if (r->vr != NULL)
            assert_int_equal(dcb_dataset_put(dataset, r->tag, DCB_VR(r->vr[0], r->vr[1]), r->value,
                                             r->nbytes, NULL),
                             DCB_OK);
        else if (r->tag != 0)
            dcb_dataset_remove(dataset, r->tag);
        uint8_t *changed = NULL;
        size_t changed_nbytes = 0;
        assert_int_equal(
            dcb_dataset_encode(&changed, &changed_nbytes, dataset, DCB_SYNTAX_EXPLICIT_LE, NULL),
            DCB_OK);
        dcb_status status = writer_fixture_add(writer, changed, changed_nbytes,
                                               r->syntax != NULL ? r->syntax : EXPLICIT, &error);
        if (status != DCB_ERR_UNSUPPORTED || strstr(error.message, r->says) == NULL)
            fail_msg("%s: %d %s", r->name, (int)status, error.message);
        free(changed);
        dcb_dataset_close(dataset);
    }
    for (size_t cut = 0; cut < nbytes; cut += 3) /* nothing that is cut short is taken in */
        assert_int_not_equal(writer_fixture_add(writer, bytes, cut, EXPLICIT, &error), DCB_OK);
    assert_int_equal(writer_fixture_add(writer, bytes, nbytes, EXPLICIT, NULL), DCB_OK);
    free(bytes);
    assert_int_equal(dcb_writer_commit(writer, NULL, NULL), DCB_OK);
    dcb_series *series = writer_fixture_open(f->file, false);
    assert_int_equal(dcb_series_get_info(series)->nframes, 2);
    assert_true(writer_fixture_holds(series, &kind, 0));
    assert_true(writer_fixture_holds(series, &kind, 1));
    dcb_series_close(series);
}

static void test_nothing_to_write(void **state)
{
    const writer_fixture *f = *state;
    dcb_writer *writer = NULL;
    dcb_error error = DCB_ERROR_INIT;
    remove(f->file);
    assert_int_equal(dcb_writer_create(&writer, f->file, NULL, NULL), DCB_OK);
    assert_int_equal(dcb_writer_commit(writer, NULL, &error), DCB_ERR_ARGUMENT);
    char *nowhere = path_join(f->path, "nowhere/series.dcbs");
    assert_int_equal(dcb_writer_create(&writer, nowhere, NULL, &error), DCB_ERR_IO);
    assert_null(writer);
    free(nowhere);
    FILE *file = fopen(f->file, "rb");
    assert_null(file);
}

/* ---- Damage ---- */

/* Whether all frames are what was taken in; a failure is an answer too, a wrong byte is not. */
static bool all_right_or_failed(const uint8_t *bytes, size_t nbytes, uint8_t *const *sources,
                                const size_t *source_nbytes, bool *failed)
{
    dcb_series *series = NULL;
    *failed = true;
    if (dcb_series_open_memory(&series, bytes, nbytes, NULL, NULL) != DCB_OK)
        return true;
    bool right = true;
    *failed = false;
    for (uint32_t i = 0; i < 2; i++) {
        dcb_frame *frame = NULL;
        dcb_error error = DCB_ERROR_INIT;
        if (dcb_series_frame(&frame, series, i, DCB_ENCODING_EXPLICIT_LE, &error) != DCB_OK) {
            char name[32];
            snprintf(name, sizeof name, "frame %u", (unsigned)i);
            if (strstr(error.message, name) == NULL)
                fail_msg("%s: %s", name, error.message);
            *failed = true;
            continue;
        }
        size_t got = 0;
        const uint8_t *dataset = dcb_frame_dataset(frame, &got);
        right = right && got == source_nbytes[i] && memcmp(dataset, sources[i], got) == 0;
        dcb_frame_release(frame);
    }
    dcb_series_close(series);
    return right;
}

static void test_damage_is_noticed(void **state)
{
    const writer_fixture *f = *state;
    const source_kind kind = {.name = "damaged", .rows = 3, .columns = 3};
    writer_fixture_write(f->file, &kind, 2, NULL);
    size_t nbytes = 0, source_nbytes[2];
    uint8_t *bytes = read_whole_file(f->file, &nbytes), *sources[2];
    for (uint32_t i = 0; i < 2; i++)
        sources[i] = source_instance(&source_nbytes[i], &kind, i);
    dcb_series *series = writer_fixture_open(f->file, false);
    const dcb_section meta = dcb_series_get_info(series)->sections[DCB_SECTION_DICOMMETA];
    const dcb_section space = dcb_series_get_info(series)->sections[DCB_SECTION_SPACE];
    dcb_series_close(series);
    bool failed = false;
    assert_true(all_right_or_failed(bytes, nbytes, sources, source_nbytes, &failed));
    assert_false(failed);
    for (size_t at = 0; at < nbytes; at++) {
        bytes[at] ^= 0x10;
        if (!all_right_or_failed(bytes, nbytes, sources, source_nbytes, &failed))
            fail_msg("byte %zu changed, and a wrong instance came out", at);
        bool unused = (at >= meta.offset && at < meta.offset + meta.nbytes) ||
                      (at >= space.offset && at < space.offset + space.nbytes);
        if (!failed && !unused)
            fail_msg("byte %zu changed, and nobody noticed", at);
        bytes[at] ^= 0x10;
    }
    for (size_t cut = 0; cut < nbytes; cut++) {
        uint8_t *shorter = malloc(cut + 1);
        memcpy(shorter, bytes, cut);
        assert_true(all_right_or_failed(shorter, cut, sources, source_nbytes, &failed));
        assert_true(failed);
        free(shorter);
    }
    for (uint32_t i = 0; i < 2; i++)
        free(sources[i]);
    free(bytes);
}

/* A later version is refused by name; the JSON can still be had. */
static void test_later_version(void **state)
{
    const writer_fixture *f = *state;
    writer_fixture_write(f->file, &(source_kind){.name = "later"}, 2, NULL);
    size_t nbytes = 0;
    uint8_t *bytes = read_whole_file(f->file, &nbytes);
    dcb_series *series = NULL;
    dcb_error error = DCB_ERROR_INIT;
    bytes[nbytes - 64 + 8] = 2;
    uint64_t checksum = dcb__checksum(bytes + nbytes - 64, 56);
    memcpy(bytes + nbytes - 8, &checksum, 8);
    assert_int_equal(dcb_series_open_memory(&series, bytes, nbytes, NULL, &error),
                     DCB_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "version 2"));
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.ignore_trailer = true;
    assert_int_equal(dcb_series_open_memory(&series, bytes, nbytes, &options, &error), DCB_OK);
    dcb_series_close(series);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_nothing_to_write),
        cmocka_unit_test(test_damage_is_noticed),
        cmocka_unit_test(test_later_version),
    };
    return cmocka_run_group_tests(tests, writer_fixture_setup, writer_fixture_teardown);
}
