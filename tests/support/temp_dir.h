/* SPDX-License-Identifier: Apache-2.0 */
/* temp_dir.h - a folder of a test's own, and files in it. Failures end the test program. */
#ifndef TEMP_DIR_H
#define TEMP_DIR_H

#include <stddef.h>

/* A new empty folder; free() the path. */
char *temp_dir_create(void);
/* Removes the folder with all that is in it, and frees the path. */
void temp_dir_remove(char *path);

/* folder/name; free(). */
char *path_join(const char *folder, const char *name);
/* Writes a file in place: what is there is overwritten. */
void write_file(const char *path, const void *bytes, size_t nbytes);
/* Writes beside it and renames: the file changes at once. */
void replace_file(const char *path, const void *bytes, size_t nbytes);
void *read_whole_file(const char *path, size_t *nbytes);

#endif
