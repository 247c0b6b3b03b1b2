/* SPDX-License-Identifier: Apache-2.0 */
/* test_writer_faults.c - a disk that fails, memory that runs out, a process that dies: the old file
   or the new one, whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dcb.h"
#include "fail_alloc.h"
#include "fail_io.h"
#include "source_instance.h"
#include "temp_dir.h"

#define NSLICES 3
#define MAX_N   4000u

static const source_kind old_kind = {.name = "old", .stored = 10};
static const source_kind new_kind = {.name = "new", .stored = 12, .rich = true};
/* The second slice makes the writer encode the first anew. */
static const source_kind wide_kind = {.name = "wide", .stored = 12, .high_bits = true};

typedef struct sources {
    const source_kind *kind;
    uint8_t *bytes[NSLICES];
    size_t nbytes[NSLICES];
} sources;

/* Made before anything is to fail. */
static sources all_sources[] = {{.kind = &old_kind}, {.kind = &new_kind}, {.kind = &wide_kind}};

static const sources *sources_of(const source_kind *kind)
{
    const sources *s = all_sources;
    while (s->kind != kind)
        s++;
    return s;
}

/* No cmocka: it runs in children too. */
static dcb_status write_series(const char *path, const source_kind *kind, dcb_error *error)
{
    const sources *s = sources_of(kind);
    dcb_writer_options options = DCB_WRITER_OPTIONS_INIT;
    options.nthreads = 1;
    dcb_writer *writer = NULL;
    dcb_status status = dcb_writer_create(&writer, path, &options, error);
    for (uint32_t i = 0; status == DCB_OK && i < NSLICES; i++) {
        dcb_writer_instance instance = DCB_WRITER_INSTANCE_INIT;
        instance.dataset = s->bytes[i];
        instance.dataset_nbytes = s->nbytes[i];
        instance.syntax_uid = "1.2.840.10008.1.2.1";
        status = dcb_writer_add_instance(writer, &instance, error);
        if (status != DCB_OK)
            dcb_writer_abort(writer);
    }
    if (status == DCB_OK)
        status = dcb_writer_commit(writer, NULL, error);
    return status;
}

/* True where the file is the kind's, whole. */
static bool is_kind(const char *path, const source_kind *kind)
{
    dcb_series *series = NULL;
    if (dcb_series_open(&series, path, NULL, NULL) != DCB_OK)
        return false;
    bool same = dcb_series_get_info(series)->nframes == NSLICES;
    for (uint32_t i = 0; same && i < NSLICES; i++) {
        size_t got = 0, nbytes = sources_of(kind)->nbytes[i];
        dcb_frame *frame = NULL;
        same = dcb_series_frame(&frame, series, i, DCB_ENCODING_EXPLICIT_LE, NULL) == DCB_OK;
        const uint8_t *made = same ? dcb_frame_dataset(frame, &got) : NULL;
        same = same && got == nbytes && memcmp(made, sources_of(kind)->bytes[i], nbytes) == 0;
        dcb_frame_release(frame);
    }
    dcb_series_close(series);
    return same;
}

static unsigned count_files(const char *folder)
{
    unsigned n = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return n;
}

typedef struct place {
    char *folder, *file;
} place;

static int make_place(void **state)
{
    static place p;
    for (size_t k = 0; k < sizeof all_sources / sizeof *all_sources; k++)
        for (uint32_t i = 0; i < NSLICES; i++)
            all_sources[k].bytes[i] =
                source_instance(&all_sources[k].nbytes[i], all_sources[k].kind, i);
    p.folder = temp_dir_create();
    p.file = path_join(p.folder, "series.dcbs");
    *state = &p;
    return write_series(p.file, &old_kind, NULL) == DCB_OK ? 0 : -1;
}

static int remove_place(void **state)
{
    place *p = *state;
    for (size_t k = 0; k < sizeof all_sources / sizeof *all_sources; k++)
        for (uint32_t i = 0; i < NSLICES; i++)
            free(all_sources[k].bytes[i]);
    free(p->file);
    temp_dir_remove(p->folder);
    return 0;
}

static void test_a_disk_that_fails(void **state)
{
    static const source_kind *const kinds[] = {&new_kind, &wide_kind};
    const place *p = *state;
    for (size_t k = 0; k < 2; k++) {
        for (int kind = FAIL_IO_OPENAT; kind <= FAIL_IO_ANY; kind++) {
            unsigned n = 1;
            for (bool failed = true; failed && n < MAX_N; n++) {
                dcb_error error = DCB_ERROR_INIT;
                assert_int_equal(write_series(p->file, &old_kind, &error), DCB_OK);
                fail_io_at((fail_io_kind)kind, n);
                dcb_status status = write_series(p->file, kinds[k], &error);
                failed = fail_io_end();
                assert_int_equal(count_files(p->folder), 1);
                if (!failed) {
                    assert_int_equal(status, DCB_OK);
                    assert_true(is_kind(p->file, kinds[k]));
                    continue;
                }
                assert_int_equal(status, DCB_ERR_IO);
                /* Only the last sync comes after the rename, and says so. */
                bool in_place = strstr(error.message, "is in its place") != NULL;
                assert_true(is_kind(p->file, in_place ? kinds[k] : &old_kind));
            }
            assert_true(n > 2); /* there was such a call to fail */
        }
    }
}

static void test_memory_that_runs_out(void **state)
{
    static const source_kind *const kinds[] = {&new_kind, &wide_kind};
    const place *p = *state;
    for (size_t k = 0; k < 2; k++) {
        bool failed = true;
        for (unsigned n = 1; failed && n < MAX_N; n++) {
            dcb_error error = DCB_ERROR_INIT;
            assert_int_equal(write_series(p->file, &old_kind, &error), DCB_OK);
            fail_alloc_at(n);
            dcb_status status = write_series(p->file, kinds[k], &error);
            failed = fail_alloc_end();
            assert_int_equal(count_files(p->folder), 1);
            if (status == DCB_OK)
                assert_true(is_kind(p->file, kinds[k]));
            else if (status != DCB_ERR_NO_MEMORY && status != DCB_ERR_IO)
                fail_msg("allocation %u: %d %s", n, (int)status, error.message);
            else
                assert_true(is_kind(p->file, &old_kind));
            if (!failed)
                assert_int_equal(status, DCB_OK);
        }
        assert_false(failed);
    }
}

/* A process that dies in the n-th call: the next one finds the old file or the new one. */
static void test_a_process_that_dies(void **state)
{
    const place *p = *state;
    bool was_old = false, was_new = false;
    for (unsigned n = 1; n < MAX_N && !was_new; n++) {
        assert_int_equal(write_series(p->file, &old_kind, NULL), DCB_OK);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            fail_io_exit_at(n);
            _exit(write_series(p->file, &new_kind, NULL) == DCB_OK ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) == 42 || WEXITSTATUS(status) == 0);
        bool old_file = is_kind(p->file, &old_kind), new_file = is_kind(p->file, &new_kind);
        assert_true(old_file != new_file);
        was_old = was_old || old_file;
        was_new = WEXITSTATUS(status) == 0;
        assert_true(!was_new || new_file);
    }
    assert_true(was_old && was_new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_disk_that_fails),
        cmocka_unit_test(test_memory_that_runs_out),
        cmocka_unit_test(test_a_process_that_dies),
    };
    return cmocka_run_group_tests(tests, make_place, remove_place);
}
