/* SPDX-License-Identifier: Apache-2.0 */
/* test_source.c - files that change, end or fail while they are open. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "source.h"
#include "temp_dir.h"

#define CONTENT "0123456789"

static dcb_status read_some(dcb__source *source, char *buffer, size_t nbytes, uint64_t offset,
                            dcb_error *error)
{
    memset(buffer, 0, 16);
    return dcb__source_read(source, buffer, nbytes, offset, "the test", error);
}

static void test_path(void **state)
{
    (void)state;
    char *folder = temp_dir_create(), *path = path_join(folder, "file");
    dcb_error error = DCB_ERROR_INIT;
    dcb__source *source = NULL;
    char buffer[16];
    write_file(path, CONTENT, 10);
    assert_int_equal(dcb__source_open_path(&source, path, &error), DCB_OK);
    assert_int_equal(dcb__source_size(source), 10);
    assert_int_equal(read_some(source, buffer, 4, 3, &error), DCB_OK);
    assert_string_equal(buffer, "3456");
    assert_int_equal(read_some(source, buffer, 0, 10, &error), DCB_OK);
    assert_int_equal(read_some(source, buffer, 1, 10, &error), DCB_ERR_FORMAT);
    assert_string_equal(error.message, "the test: bytes 10 to 11 of a file of 10");
    assert_int_equal(read_some(source, buffer, 4, UINT64_MAX, &error), DCB_ERR_FORMAT);

    /* Replaced by rename: the open file is still the old one. */
    replace_file(path, "abcdefghij", 10);
    assert_int_equal(read_some(source, buffer, 4, 3, &error), DCB_OK);
    assert_string_equal(buffer, "3456");
    dcb__source_close(source);
    free(path);
    temp_dir_remove(folder);
}

static void change_content(const char *path)
{
    /* The clock of files ticks in milliseconds: another time, not another moment. */
    write_file(path, "abcdefghij", 10);
    const struct timespec times[2] = {{1000, 0}, {1000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void cut_short(const char *path)
{
    assert_int_equal(truncate(path, 5), 0);
}

static void make_longer(const char *path)
{
    assert_int_equal(truncate(path, 500), 0);
}

static void test_changed_in_place(void **state)
{
    (void)state;
    void (*const changes[])(const char *) = {change_content, cut_short, make_longer};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char *folder = temp_dir_create(), *path = path_join(folder, "file");
        dcb_error error = DCB_ERROR_INIT;
        dcb__source *source = NULL;
        char buffer[16];
        write_file(path, CONTENT, 10);
        assert_int_equal(dcb__source_open_path(&source, path, &error), DCB_OK);
        changes[i](path);
        assert_int_equal(read_some(source, buffer, 4, 3, &error), DCB_ERR_CHANGED);
        assert_string_equal(error.message,
                            "the file was changed in place while it was open: open it again");
        assert_int_equal(read_some(source, buffer, 4, 6, &error), DCB_ERR_CHANGED);
        dcb__source_close(source);
        free(path);
        temp_dir_remove(folder);
    }
}

static void test_what_cannot_be_opened(void **state)
{
    (void)state;
    char *folder = temp_dir_create(), *path = path_join(folder, "missing");
    dcb_error error = DCB_ERROR_INIT;
    dcb__source *source = NULL;
    assert_int_equal(dcb__source_open_path(&source, path, &error), DCB_ERR_IO);
    assert_string_equal(error.message, "the file cannot be opened: No such file or directory");
    assert_null(source);
    assert_int_equal(dcb__source_open_path(&source, folder, &error), DCB_ERR_IO);
    assert_string_equal(error.message, "not a regular file");
    assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
    assert_int_equal(dcb__source_open_path(&source, path, &error), DCB_ERR_IO);
    assert_string_equal(error.message, "not a regular file");
    free(path);
    temp_dir_remove(folder);
}

static void test_memory(void **state)
{
    (void)state;
    dcb_error error = DCB_ERROR_INIT;
    dcb__source *source = NULL;
    char buffer[16];
    assert_int_equal(dcb__source_open_memory(&source, CONTENT, 10, &error), DCB_OK);
    assert_int_equal(read_some(source, buffer, 3, 7, &error), DCB_OK);
    assert_string_equal(buffer, "789");
    assert_int_equal(read_some(source, buffer, 4, 7, &error), DCB_ERR_FORMAT);
    dcb__source_close(source);
    dcb__source_close(NULL);
}

typedef struct storage {
    int closed, number;
} storage;

static int read_storage(void *context, void *buffer, size_t nbytes, uint64_t offset)
{
    memcpy(buffer, &CONTENT[offset], nbytes);
    return ((storage *)context)->number;
}

static void close_storage(void *context)
{
    ((storage *)context)->closed++;
}

static void test_callbacks(void **state)
{
    (void)state;
    dcb_error error = DCB_ERROR_INIT;
    dcb__source *source = NULL;
    storage s = {0, 0};
    char buffer[16];
    const dcb_source_callbacks callbacks = {&s, 10, read_storage, close_storage};
    assert_int_equal(dcb__source_open_callbacks(&source, &callbacks, &error), DCB_OK);
    assert_int_equal(read_some(source, buffer, 3, 7, &error), DCB_OK);
    assert_string_equal(buffer, "789");
    s.number = EACCES;
    assert_int_equal(read_some(source, buffer, 3, 7, &error), DCB_ERR_IO);
    assert_string_equal(error.message, "the test: Permission denied");
    assert_int_equal(error.offset, 7);
    assert_int_equal(s.closed, 0);
    dcb__source_close(source);
    assert_int_equal(s.closed, 1);

    /* Closed also where the file is not one of ours. */
    s.number = 0;
    dcb_series *series = NULL;
    assert_int_equal(dcb_series_open_source(&series, &callbacks, NULL, &error), DCB_ERR_FORMAT);
    assert_int_equal(s.closed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_changed_in_place),
        cmocka_unit_test(test_what_cannot_be_opened),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
