/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_series_changed.c - a file that is overwritten, cut, made longer or replaced while it is open
 * gives the old content or an error: never a signal, never bytes of two files in one instance.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "dcb.h"
#include "make_series.h"
#include "temp_dir.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NFRAMES 6
#define NKINDS  (DCB_ENCODING_COUNT + 1) /* the encodings, and samples */

/* Two series of the same size whose every frame differs in its data set and in its pixels. */
typedef struct version {
    uint8_t *bytes;
    size_t nbytes;
    void *results[NKINDS][NFRAMES];
    size_t result_nbytes[NKINDS][NFRAMES];
} version;

/* One call; *bytes is a copy to free(). */
static dcb_status get(void **bytes, size_t *nbytes, dcb_series *series, int kind, uint32_t frame,
                      dcb_error *error)
{
    if (kind == DCB_ENCODING_COUNT) {
        dcb_pixel_format format;
        return dcb_series_pixels(bytes, nbytes, &format, series, frame, 0, error);
    }
    dcb_frame *instance;
    dcb_status status = dcb_series_frame(&instance, series, frame, (dcb_encoding)kind, error);
    *bytes = NULL;
    if (status != DCB_OK)
        return status;
    const uint8_t *part10 = dcb_frame_part10(instance, nbytes);
    *bytes = malloc(*nbytes);
    assert_non_null(*bytes);
    memcpy(*bytes, part10, *nbytes);
    dcb_frame_release(instance);
    return DCB_OK;
}

static void exchange(uint8_t *bytes, size_t at)
{
    uint8_t first[8];
    memcpy(first, bytes + at, 8);
    memmove(bytes + at, bytes + at + 8, 8);
    memcpy(bytes + at + 8, first, 8);
}

/* The same size to the byte: frames exchanged two by two, another Rescale Intercept. */
static void make_other(version *other, const version *v)
{
    other->nbytes = v->nbytes;
    other->bytes = malloc(v->nbytes);
    assert_non_null(other->bytes);
    memcpy(other->bytes, v->bytes, v->nbytes);
    uint64_t header, offsets, lengths;
    memcpy(&header, v->bytes + 60, 8);
    memcpy(&offsets, v->bytes + 76, 8);
    memcpy(&lengths, v->bytes + 92, 8);
    for (size_t i = 0; i + 1 < NFRAMES; i += 2) {
        exchange(other->bytes, offsets + 8 * i);
        exchange(other->bytes, lengths + 8 * i);
    }
    static const char key[] = "\"RescaleIntercept\":";
    uint8_t *found = memmem(other->bytes + header, 200, key, sizeof key - 1);
    assert_non_null(found);
    assert_int_equal(found[sizeof key - 1], '0');
    found[sizeof key - 1] = '5';
}

static void learn(version *v)
{
    dcb_series *series;
    assert_int_equal(dcb_series_open_memory(&series, v->bytes, v->nbytes, NULL, NULL), DCB_OK);
    for (int kind = 0; kind < NKINDS; kind++)
        for (uint32_t i = 0; i < NFRAMES; i++)
            assert_int_equal(
                get(&v->results[kind][i], &v->result_nbytes[kind][i], series, kind, i, NULL),
                DCB_OK);
    dcb_series_close(series);
}

static void forget(version *v)
{
    for (int kind = 0; kind < NKINDS; kind++)
        for (uint32_t i = 0; i < NFRAMES; i++)
            free(v->results[kind][i]);
    free(v->bytes);
}

static bool is_of(const version *v, const void *bytes, size_t nbytes, int kind, uint32_t frame)
{
    return nbytes == v->result_nbytes[kind][frame] &&
           memcmp(bytes, v->results[kind][frame], nbytes) == 0;
}

static void test_versions_differ(void **state)
{
    version *v = *state;
    assert_int_equal(v[0].nbytes, v[1].nbytes);
    for (int kind = 0; kind < NKINDS; kind++)
        for (uint32_t i = 0; i < NFRAMES; i++)
            assert_false(is_of(&v[0], v[1].results[kind][i], v[1].result_nbytes[kind][i], kind, i));
}

/* ---- One change -------------------------------------------------------------------------------
 */

static void overwrite(const char *path, const version *other)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(file, other->bytes, other->nbytes, 0), other->nbytes);
    close(file);
}

static void overwrite_the_end(const char *path, const version *other)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    size_t from = other->nbytes - 100;
    assert_int_equal(pwrite(file, other->bytes + from, 100, (off_t)from), 100);
    close(file);
}

static void empty(const char *path, const version *other)
{
    (void)other;
    assert_int_equal(truncate(path, 0), 0);
}

static void cut(const char *path, const version *other)
{
    assert_int_equal(truncate(path, (off_t)other->nbytes / 2), 0);
}

static void make_longer(const char *path, const version *other)
{
    assert_int_equal(truncate(path, (off_t)other->nbytes + 1), 0);
}

static void write_anew(const char *path, const version *other)
{
    write_file(path, other->bytes, other->nbytes); /* O_TRUNC, then the bytes */
}

static void test_changed_in_place(void **state)
{
    version *v = *state;
    void (*const changes[])(const char *, const version *) = {
        overwrite, overwrite_the_end, empty, cut, make_longer, write_anew};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char *folder = temp_dir_create(), *path = path_join(folder, "a.dcbs");
        write_file(path, v[0].bytes, v[0].nbytes);
        dcb_series *series;
        assert_int_equal(dcb_series_open(&series, path, NULL, NULL), DCB_OK);
        void *bytes;
        size_t nbytes;
        assert_int_equal(get(&bytes, &nbytes, series, DCB_ENCODING_STORED, 0, NULL), DCB_OK);
        assert_true(is_of(&v[0], bytes, nbytes, DCB_ENCODING_STORED, 0));
        free(bytes);
        changes[i](path, &v[1]);
        for (int kind = 0; kind < NKINDS; kind++) {
            for (uint32_t frame = 0; frame < NFRAMES; frame++) {
                dcb_error error = DCB_ERROR_INIT;
                dcb_status status = get(&bytes, &nbytes, series, kind, frame, &error);
                if (status != DCB_ERR_CHANGED || error.status != DCB_ERR_CHANGED)
                    fail_msg("change %zu, kind %d: status %d, %s", i, kind, status, error.message);
                assert_null(bytes);
            }
        }
        dcb_series_close(series);
        free(path);
        temp_dir_remove(folder);
    }
}

static void test_replaced_by_renaming(void **state)
{
    version *v = *state;
    char *folder = temp_dir_create(), *path = path_join(folder, "a.dcbs");
    write_file(path, v[0].bytes, v[0].nbytes);
    dcb_series *old, *new;
    assert_int_equal(dcb_series_open(&old, path, NULL, NULL), DCB_OK);
    replace_file(path, v[1].bytes, v[1].nbytes);
    assert_int_equal(dcb_series_open(&new, path, NULL, NULL), DCB_OK);
    unlink(path);
    for (int kind = 0; kind < NKINDS; kind++) {
        for (uint32_t frame = 0; frame < NFRAMES; frame++) {
            void *bytes;
            size_t nbytes;
            assert_int_equal(get(&bytes, &nbytes, old, kind, frame, NULL), DCB_OK);
            assert_true(is_of(&v[0], bytes, nbytes, kind, frame));
            free(bytes);
            assert_int_equal(get(&bytes, &nbytes, new, kind, frame, NULL), DCB_OK);
            assert_true(is_of(&v[1], bytes, nbytes, kind, frame));
            free(bytes);
        }
    }
    dcb_series_close(old);
    dcb_series_close(new);
    free(path);
    temp_dir_remove(folder);
}

/* What the cache has is of the file that was opened. */
static void test_cached_frames_stay(void **state)
{
    version *v = *state;
    char *folder = temp_dir_create(), *path = path_join(folder, "a.dcbs");
    write_file(path, v[0].bytes, v[0].nbytes);
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    assert_int_equal(dcb_cache_create(&options.cache, NULL, NULL), DCB_OK);
    dcb_series *series;
    assert_int_equal(dcb_series_open(&series, path, &options, NULL), DCB_OK);
    void *bytes;
    size_t nbytes;
    assert_int_equal(get(&bytes, &nbytes, series, DCB_ENCODING_STORED, 1, NULL), DCB_OK);
    free(bytes);
    overwrite(path, &v[1]);
    assert_int_equal(get(&bytes, &nbytes, series, DCB_ENCODING_STORED, 1, NULL), DCB_OK);
    assert_true(is_of(&v[0], bytes, nbytes, DCB_ENCODING_STORED, 1));
    free(bytes);
    assert_int_equal(get(&bytes, &nbytes, series, DCB_ENCODING_STORED, 2, NULL), DCB_ERR_CHANGED);
    dcb_series_close(series);
    dcb_cache_close(options.cache);
    free(path);
    temp_dir_remove(folder);
}

/* ---- Without end ------------------------------------------------------------------------------
 */

typedef struct writer {
    const char *path;
    const version *versions;
    atomic_bool stop;
} writer;

/* In place, in pieces, sometimes by truncating. */
static void *keep_writing(void *context)
{
    writer *w = context;
    for (unsigned round = 0; !atomic_load(&w->stop); round++) {
        const version *v = &w->versions[round % 2];
        int file = open(w->path, O_WRONLY | O_CLOEXEC | (round % 5 == 4 ? O_TRUNC : 0));
        for (size_t at = 0; at < v->nbytes;) {
            size_t piece = v->nbytes - at < 700 ? v->nbytes - at : 700;
            if (pwrite(file, v->bytes + at, piece, (off_t)at) != (ssize_t)piece)
                abort();
            at += piece;
        }
        close(file);
    }
    return NULL;
}

static void test_changing_all_the_time(void **state)
{
    version *v = *state;
    char *folder = temp_dir_create(), *path = path_join(folder, "a.dcbs");
    write_file(path, v[0].bytes, v[0].nbytes);
    writer w = {.path = path, .versions = v};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, keep_writing, &w), 0);
    for (unsigned round = 0; round < 60; round++) {
        if (round == 30) { /* from here on nobody writes any more */
            atomic_store(&w.stop, true);
            pthread_join(thread, NULL);
        }
        dcb_series *series;
        dcb_error error = DCB_ERROR_INIT;
        dcb_status status = dcb_series_open(&series, path, NULL, &error);
        assert_true(status == DCB_OK || (round < 30 && status != DCB_ERR_ARGUMENT));
        for (uint32_t i = 0; status == DCB_OK && i < NFRAMES * NKINDS; i++) {
            void *bytes;
            size_t nbytes;
            int kind = (int)(i % NKINDS);
            dcb_status got = get(&bytes, &nbytes, series, kind, i / NKINDS, &error);
            if (got == DCB_OK && !is_of(&v[0], bytes, nbytes, kind, i / NKINDS) &&
                !is_of(&v[1], bytes, nbytes, kind, i / NKINDS))
                fail_msg("round %u: bytes of neither file", round);
            if (got != DCB_OK && round >= 30)
                fail_msg("round %u: %s", round, error.message);
            free(bytes);
        }
        dcb_series_close(series);
    }
    free(path);
    temp_dir_remove(folder);
}

static int set_up(void **state)
{
    static version versions[2];
    make_series what = {.nframes = NFRAMES, .rows = 40, .columns = 50};
    versions[0].bytes = make_series_bytes(&versions[0].nbytes, &what);
    make_other(&versions[1], &versions[0]);
    learn(&versions[0]);
    learn(&versions[1]);
    *state = versions;
    return 0;
}

static int tear_down(void **state)
{
    version *v = *state;
    forget(&v[0]);
    forget(&v[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions_differ),       cmocka_unit_test(test_changed_in_place),
        cmocka_unit_test(test_replaced_by_renaming),  cmocka_unit_test(test_cached_frames_stay),
        cmocka_unit_test(test_changing_all_the_time),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
