/* SPDX-License-Identifier: Apache-2.0 */
/* replay_corpus.c - runs a fuzz target once on every file of the folders (or files) that are named.
   A fault shows as a crash or abort; a folder without files is a failure, as it would prove
   nothing. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILE (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(MAX_FILE);
    if (file == NULL || bytes == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(EXIT_FAILURE);
    }
    size_t nbytes = fread(bytes, 1, MAX_FILE, file);
    fclose(file);
    /* Exactly as long as the input, so that the address sanitizer sees a read past its end. */
    uint8_t *exact = realloc(bytes, nbytes > 0 ? nbytes : 1);
    LLVMFuzzerTestOneInput(exact != NULL ? exact : bytes, nbytes);
    free(exact != NULL ? exact : bytes);
    return 1;
}

static int replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    int nfiles = 0;
    if (folder == NULL)
        return replay_file(path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char name[4096];
        struct stat info;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (stat(name, &info) == 0 && S_ISREG(info.st_mode))
            nfiles += replay_file(name);
    }
    closedir(folder);
    return nfiles;
}

int main(int argc, char **argv)
{
    int nfiles = 0;
    for (int i = 1; i < argc; i++)
        nfiles += replay_folder(argv[i]);
    printf("%d inputs\n", nfiles);
    return nfiles > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
