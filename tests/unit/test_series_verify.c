/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_series_verify.c - good files have no problems; each rule that is broken is told once, for
 * the right frame.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "dcb.h"
#include "make_series.h"
#include "temp_dir.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHANTOM TEST_DATA_DIR "/golden/ct_phantom_small/series.dcbs"
#define FILE_   DCB_NO_FRAME

typedef struct found {
    unsigned count;
    uint32_t frame; /* of the first */
    char text[1024];
} found;

static void note(void *context, uint32_t frame, const dcb_error *problem)
{
    found *f = context;
    assert_true(problem->status != DCB_OK && problem->message[0] != '\0');
    assert_int_not_equal(strncmp(problem->message, "frame ", 6), 0);
    if (f->count++ == 0)
        f->frame = frame;
    size_t used = strlen(f->text);
    snprintf(f->text + used, sizeof f->text - used, "%s; ", problem->message);
}

static found verify_all(dcb_series *series)
{
    found f = {.count = 0};
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_verify(series, note, &f, &error) != DCB_OK)
        fail_msg("%s", error.message);
    for (uint32_t i = 0; i < dcb_series_get_info(series)->nframes; i++)
        if (dcb_series_verify_frame(series, i, note, &f, &error) != DCB_OK)
            fail_msg("%s", error.message);
    return f;
}

static void check(const found *f, uint32_t frame, const char *message)
{
    if (f->count != 1 || f->frame != frame || strstr(f->text, message) == NULL)
        fail_msg("%u problems, frame %d, not \"%s\": %s", f->count, (int)f->frame, message,
                 f->text);
}

static unsigned verify_folder(const char *folder)
{
    unsigned nfiles = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char path[1024];
        dcb_series *series;
        snprintf(path, sizeof path, "%s/%s/series.dcbs", folder, entry->d_name);
        if (entry->d_name[0] == '.' || dcb_series_open(&series, path, NULL, NULL) != DCB_OK)
            continue;
        found f = verify_all(series);
        /* DiCube wrote one bogus codestream for these multi-frame sources. */
        bool bogus = strcmp(entry->d_name, "mf_ect") == 0 || strcmp(entry->d_name, "rtdose") == 0;
        if ((f.count > 0) != bogus)
            fail_msg("%s: %s", path, f.text);
        dcb_series_close(series);
        nfiles++;
    }
    if (dir != NULL)
        closedir(dir);
    return nfiles;
}

static void test_good_files(void **state)
{
    (void)state;
    assert_true(verify_folder(TEST_DATA_DIR "/golden") >= 8);
    verify_folder(GOLDEN_DIR);
    static const make_series made[] = {
        {.nframes = 3},
        {.components = 3, .precision = 8, .is_unsigned = true, .rows = 5, .columns = 7},
        {.precision = 8, .is_unsigned = true, .rows = 3, .columns = 3}, /* odd lengths */
        {.meta_json = "", .nframes = 2},
    };
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        dcb_series *series;
        assert_int_equal(make_series_open(&series, &made[i], NULL, NULL), DCB_OK);
        found f = verify_all(series);
        if (f.count > 0)
            fail_msg("%zu: %s", i, f.text);
        dcb_series_close(series);
    }
}

/* ---- Metadata ---------------------------------------------------------------------------------
 */

#define UID(tag, value) "\"" tag "\":{\"vr\":\"UI\",\"shared\":true,\"Value\":[\"" value "\"]},"
#define OTHERS                                                                                     \
    UID("00080016", "1.2.840.10008.5.1.4.1.1.7") UID("0020000D", "1.2.3") UID("0020000E", "1.2.4")
#define INSTANCES(values) "\"00080018\":{\"vr\":\"UI\",\"shared\":false,\"Value\":[" values "]}"
#define META(members)     "{\"_merged_data\":{" members "},\"slice_count\":3}"
#define GOOD              INSTANCES("\"1.2.5\",\"1.2.6\",\"1.2.7\"")

static void test_metadata(void **state)
{
    (void)state;
    static const struct {
        const char *meta, *space;
        uint32_t frame;
        const char *message;
    } rows[] = {
        {"{\"_merged_data\":{" OTHERS GOOD "},\"slice_count\":4}", NULL, FILE_,
         "slice_count is not"},
        {"{\"_merged_data\":{" OTHERS GOOD "}}", NULL, FILE_, "slice_count is missing"},
        {META(OTHERS GOOD ",\"0010001a\":{\"vr\":\"LO\",\"shared\":true}"), NULL, FILE_,
         "upper-case hex"},
        {META(OTHERS GOOD ",\"00100020\":{\"vr\":\"LO\"}"), NULL, FILE_, "00100020 does not say"},
        {META(OTHERS GOOD ",\"00100020\":{\"vr\":\"LO\",\"shared\":null}"), NULL, FILE_,
         "has null for shared"},
        {META(OTHERS GOOD ",\"00081140\":{\"vr\":\"SQ\",\"shared\":true,\"Value\":[]}"), NULL,
         FILE_, "shared is not null"},
        {META(OTHERS GOOD ",\"00081140\":{\"vr\":\"SQ\",\"shared\":null,\"Value\":[{\"00081150\":"
                          "{\"vr\":\"LO\"}}]}"),
         NULL, FILE_, "00081150 does not say"},
        {META(OTHERS GOOD ",\"00020010\":{\"vr\":\"UI\",\"shared\":true}"), NULL, FILE_,
         "group 0002"},
        {META(OTHERS GOOD ",\"00291001\":{\"vr\":\"OB\",\"shared\":false,\"InlineBinary\":"
                          "[\"AAA=\",\"AAA=\",\"AAA=\"],\"Value\":[null]}"),
         NULL, FILE_, "Value that does not stand for each slice"},
        {META(OTHERS GOOD ",\"00204000\":{\"vr\":\"LT\",\"shared\":false,\"Value\":"
                          "[[\"a\"],\"b\",[\"c\"]]}"),
         NULL, FILE_, "lists of values and single ones"},
        {META(OTHERS GOOD ",\"00100020\":{\"vr\":\"LO\",\"shared\":true,\"Value\":[\"\xC3\xA9\"]}"),
         NULL, FILE_, "not pure ASCII"},
        {META(OTHERS INSTANCES("\"1.2.5\",\"1.2.6\",\"1.2.5\"")), NULL, 2,
         "is that of frame 0 too"},
        {META(OTHERS INSTANCES("\"1.2.5\",\"1.2.06\",\"1.2.7\"")), NULL, 1, "not a valid UID"},
        {META(OTHERS INSTANCES("[\"1.2.5\"],\"None\",[\"1.2.7\"]")), NULL, 1, "is missing"},
        {META(OTHERS UID("00080018", "1.2.5") "\"00100020\":{\"vr\":\"LO\",\"shared\":true}"), NULL,
         FILE_, "all slices have the same SOP Instance UID"},
        {META(UID("00080016", "1.2.3") UID("0020000D", "1.2.3") GOOD), NULL, FILE_,
         "Series Instance UID (0020,000E) is missing"},
        {META(UID("00080016", "1.2.3") UID("0020000D", "1.2.3") GOOD
              ",\"0020000E\":{\"vr\":\"UI\",\"shared\":false,\"Value\":[\"1.3\",\"1.4\",\"1.3\"]}"),
         NULL, FILE_, "of different series"},
        {META(OTHERS GOOD), "{}", FILE_, "space is not"},
        {META(OTHERS GOOD),
         "{\"shape\":[6,4,2],\"origin\":[0,0,0],\"spacing\":[1,1,1],\"x_orientation\":[1,0,0],"
         "\"y_orientation\":[0,1,0],\"z_orientation\":[0,0,1]}",
         FILE_, "another shape"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        make_series what = {.meta_json = rows[i].meta, .space_json = rows[i].space, .nframes = 3};
        dcb_series *series;
        dcb_error error = DCB_ERROR_INIT;
        if (make_series_open(&series, &what, NULL, &error) != DCB_OK)
            fail_msg("%zu: %s", i, error.message);
        found f = verify_all(series);
        check(&f, rows[i].frame, rows[i].message);
        dcb_series_close(series);
    }
}

/* ---- Bytes ------------------------------------------------------------------------------------
 */

static uint64_t load64(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, 8);
    return value;
}

typedef struct phantom {
    uint8_t *bytes; /* with room for as much again */
    size_t nbytes;
    uint8_t *offsets, *lengths; /* tables, in bytes */
} phantom;

static phantom read_phantom(void)
{
    phantom p;
    p.bytes = read_whole_file(PHANTOM, &p.nbytes);
    p.bytes = realloc(p.bytes, 2 * p.nbytes);
    assert_non_null(p.bytes);
    p.offsets = p.bytes + load64(p.bytes + 76);
    p.lengths = p.bytes + load64(p.bytes + 92);
    return p;
}

static uint8_t *frame_of(const phantom *p, unsigned frame)
{
    return p->bytes + load64(p->offsets + 8 * frame);
}

static void break_status(phantom *p)
{
    p->bytes[load64(p->bytes + 12)] = 'C';
}

static void append_bytes(phantom *p)
{
    memset(p->bytes + p->nbytes, 7, 5);
    p->nbytes += 5;
}

static void move_last_frame(phantom *p)
{
    uint64_t nbytes = load64(p->lengths + 8 * 7), offset = p->nbytes;
    memcpy(p->bytes + p->nbytes, frame_of(p, 7), nbytes);
    memcpy(p->offsets + 8 * 7, &offset, 8);
    p->nbytes += nbytes;
}

static void empty_frame(phantom *p)
{
    memset(p->lengths + 8 * 3, 0, 8);
    /* and its bytes to the one before, so that they belong to something */
    uint64_t nbytes = load64(p->offsets + 8 * 4) - load64(p->offsets + 8 * 2);
    memcpy(p->lengths + 8 * 2, &nbytes, 8);
    memmove(frame_of(p, 2) + nbytes - 2, "\xFF\xD9", 2);
}

static void other_progression(phantom *p)
{
    uint8_t *at = frame_of(p, 5);
    while (at[0] != 0xFF || at[1] != 0x52) /* COD */
        at++;
    assert_int_equal(at[5], 2); /* RPCL */
    at[5] = 0;                  /* LRCP: the same packets in the same order, for one component */
}

static void erase_end(phantom *p)
{
    uint64_t nbytes = load64(p->lengths + 8 * 6);
    memset(frame_of(p, 6) + nbytes / 2, 0, nbytes / 2);
}

static void erase_middle(phantom *p)
{
    uint64_t nbytes = load64(p->lengths + 8 * 6);
    memset(frame_of(p, 6) + nbytes / 3, 0, nbytes / 3);
}

static void test_bytes(void **state)
{
    (void)state;
    static const struct {
        void (*damage)(phantom *p);
        uint32_t frame;
        const char *message;
        bool many;
    } rows[] = {
        {break_status, FILE_, "dicom_status is not a word", false},
        {append_bytes, FILE_, "5 bytes after the last frame", false},
        {move_last_frame, FILE_, "belong to nothing", false},
        {empty_frame, 2, "is empty", true},
        {other_progression, 5, "progression order is not RPCL", false},
        {erase_end, 6, "end marker", false},
        {erase_middle, 6, "", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        phantom p = read_phantom();
        rows[i].damage(&p);
        dcb_series *series;
        dcb_error error = DCB_ERROR_INIT;
        if (dcb_series_open_memory(&series, p.bytes, p.nbytes, NULL, &error) != DCB_OK)
            fail_msg("%zu: %s", i, error.message);
        found f = verify_all(series);
        if (rows[i].many) {
            assert_true(f.count >= 1);
            assert_int_equal(f.frame, rows[i].frame);
            assert_non_null(strstr(f.text, rows[i].message));
        } else {
            check(&f, rows[i].frame, rows[i].message);
        }
        dcb_series_close(series);
        free(p.bytes);
    }
}

/* ---- What is no problem of the file -----------------------------------------------------------
 */

static bool yes(void *context)
{
    return *(bool *)context;
}

static void test_the_check_itself_fails(void **state)
{
    (void)state;
    bool cancelled = false;
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.cancelled = yes;
    options.cancel_context = &cancelled;
    dcb_series *series;
    found f = {.count = 0};
    dcb_error error = DCB_ERROR_INIT;
    assert_int_equal(dcb_series_open(&series, PHANTOM, &options, NULL), DCB_OK);
    cancelled = true;
    assert_int_equal(dcb_series_verify(series, note, &f, &error), DCB_ERR_CANCELLED);
    assert_int_equal(dcb_series_verify_frame(series, 1, note, &f, &error), DCB_ERR_CANCELLED);
    assert_int_equal(dcb_series_verify_frame(series, 8, note, &f, &error), DCB_ERR_RANGE);
    assert_int_equal(error.status, DCB_ERR_RANGE);
    dcb_series_ref(series);
    dcb_series_close(series);
    assert_int_equal(dcb_series_verify(series, note, &f, &error), DCB_ERR_CLOSED);
    assert_int_equal(dcb_series_verify_frame(series, 1, note, &f, &error), DCB_ERR_CLOSED);
    assert_int_equal(f.count, 0);
    dcb_series_release(series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_files),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_the_check_itself_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
