/* SPDX-License-Identifier: Apache-2.0 */
/* temp_dir.c - a folder of a test's own, and files in it. */
#include "temp_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void give_up(const char *what, const char *path)
{
    fprintf(stderr, "test support: cannot %s %s: %s\n", what, path, strerror(errno));
    exit(2);
}

char *temp_dir_create(void)
{
    const char *base = getenv("TMPDIR");
    char *path = path_join(base != NULL ? base : "/tmp", "dcbscp-test-XXXXXX");
    if (mkdtemp(path) == NULL)
        give_up("make", path);
    return path;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

void temp_dir_remove(char *path)
{
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        give_up("remove", path);
    free(path);
}

char *path_join(const char *folder, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        give_up("name", folder);
    return path;
}

void write_file(const char *path, const void *bytes, size_t nbytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, nbytes) != (ssize_t)nbytes || close(fd) != 0)
        give_up("write", path);
}

void replace_file(const char *path, const void *bytes, size_t nbytes)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.tmp", path) < 0)
        give_up("name", path);
    write_file(temporary, bytes, nbytes);
    if (rename(temporary, path) != 0)
        give_up("rename", temporary);
    free(temporary);
}

void *read_whole_file(const char *path, size_t *nbytes)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        give_up("open", path);
    char *bytes = malloc((size_t)st.st_size + 1);
    if (bytes == NULL || read(fd, bytes, (size_t)st.st_size) != st.st_size)
        give_up("read", path);
    close(fd);
    *nbytes = (size_t)st.st_size;
    return bytes;
}
