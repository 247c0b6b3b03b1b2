/* SPDX-License-Identifier: Apache-2.0 */
/* golden_frames.c - the header is <8sI13Q>: frame_offsets at 76, frame_lengths at 92, count at 108.
 */
#include "golden_frames.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "temp_dir.h"

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

static size_t visit_file(const char *path, golden_frame_visit visit, void *context)
{
    size_t nbytes;
    uint8_t *file = read_whole_file(path, &nbytes);
    golden_frame frame = {.path = path, .count = get_u64(file + 108)};
    const uint8_t *offsets = file + get_u64(file + 76), *lengths = file + get_u64(file + 92);

    for (; frame.index < frame.count; frame.index++) {
        frame.offset = get_u64(offsets + 8 * frame.index);
        frame.nbytes = (size_t)get_u64(lengths + 8 * frame.index);
        if (frame.offset > nbytes || frame.nbytes > nbytes - frame.offset) {
            fprintf(stderr, "%s: frame %llu is outside of the file\n", path,
                    (unsigned long long)frame.index);
            abort();
        }
        frame.bytes = file + frame.offset;
        if (frame.nbytes > 0)
            visit(&frame, context);
    }
    free(file);
    return (size_t)frame.count;
}

static int no_dots(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

size_t golden_frames_each(const char *folder, golden_frame_visit visit, void *context)
{
    struct dirent **entries;
    size_t total = 0;
    int count = scandir(folder, &entries, no_dots, alphasort);

    for (int i = 0; i < count; i++) {
        char *path = path_join(folder, entries[i]->d_name);
        size_t length = strlen(path);
        struct stat status;
        if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
            total += golden_frames_each(path, visit, context);
        else if (length > 5 && strcmp(path + length - 5, ".dcbs") == 0)
            total += visit_file(path, visit, context);
        free(path);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return total;
}
