/* SPDX-License-Identifier: Apache-2.0 */
/* dcbtool_pack_files.c - finds files, reads what tells their series and order, and sorts them. */
#include "dcbtool_pack.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dcbtool.h"
#include "part10_file.h"

/* ---- What a file says ------------------------------------------------------------------------ */

/* FNV-1a: names files and groups them; nothing is kept out by it. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001B3u;
    return (hash ^ 0x1F) * 0x100000001B3u;
}

#define HASH_START UINT64_C(0xCBF29CE484222325)

static size_t numbers_of(double *numbers, size_t n, const dcb_dataset *dataset, uint32_t tag)
{
    char text[256];
    ptrdiff_t length = dcb_dataset_get_text(dataset, tag, text, sizeof text);
    size_t count = 0;
    for (const char *at = text; length > 0 && (size_t)length < sizeof text && count < n;) {
        char *end = NULL;
        numbers[count] = strtod(at, &end);
        if (end == at || !isfinite(numbers[count]))
            return 0;
        count++;
        if (*end != '\\')
            break;
        at = end + 1;
    }
    return count;
}

static uint64_t kind_of(const dcb_dataset *dataset)
{
    static const uint32_t numbers[] = {DCB_TAG(0x0028, 0x0002), DCB_TAG(0x0028, 0x0100),
                                       DCB_TAG(0x0028, 0x0103)};
    static const uint32_t texts[] = {DCB_TAG(0x0028, 0x1053), DCB_TAG(0x0028, 0x1052)};
    uint64_t hash = HASH_START;
    char text[64];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const dcb_element *element = dcb_dataset_find(dataset, numbers[i]);
        snprintf(text, sizeof text, "%u",
                 element != NULL && element->nbytes >= 2
                     ? (unsigned)element->value[0] | (unsigned)element->value[1] << 8
                     : 0);
        hash = hash_text(hash, text);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        double number = i == 0 ? 1 : 0; /* what a missing one means */
        numbers_of(&number, 1, dataset, texts[i]);
        snprintf(text, sizeof text, "%.17g", number);
        hash = hash_text(hash, text);
    }
    return hash != 0 ? hash : 1;
}

static void read_elements(pack_file *file, const dcb_dataset *dataset)
{
    char study[80], series[80];
    dcb_dataset_get_text(dataset, DCB_TAG(0x0020, 0x000D), study, sizeof study);
    dcb_dataset_get_text(dataset, DCB_TAG(0x0020, 0x000E), series, sizeof series);
    file->series_hash = hash_text(hash_text(HASH_START, study), series);
    file->kind = kind_of(dataset);
    file->has_place = numbers_of(file->direction, 6, dataset, DCB_TAG(0x0020, 0x0037)) == 6 &&
                      numbers_of(file->position, 3, dataset, DCB_TAG(0x0020, 0x0032)) == 3;
    double number;
    if (numbers_of(&number, 1, dataset, DCB_TAG(0x0020, 0x0013)) == 1 && fabs(number) < 1e15)
        file->number = (int64_t)number;
}

/* ---- The list -------------------------------------------------------------------------------- */

static bool append(pack_list *list, const pack_file *file)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? list->capacity * 2 : 256;
        pack_file *grown = realloc(list->files, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        list->files = grown;
        list->capacity = capacity;
    }
    list->files[list->count++] = *file;
    return true;
}

/* A DICOM file that cannot be parsed is one to be kept, not one to be dropped. */
static int add_one(pack_list *list, const char *path)
{
    part10_file read;
    scp_error error = SCP_ERROR_INIT;
    pack_file file = {.number = INT64_MAX, .series_hash = hash_text(HASH_START, "unreadable")};
    part10_result result = part10_file_read(&read, path, &error);
    dcb_dataset *dataset = NULL;
    if (result == PART10_OK)
        dataset = part10_file_elements(&read, &error);
    file.nbytes = read.nbytes;
    bool has_bytes = read.bytes != NULL;
    part10_file_close(&read);
    if (result == PART10_NOT_DICOM) {
        list->nothers++;
        return DCBTOOL_OK;
    }
    if (result == PART10_UNREADABLE && !has_bytes) {
        dcbtool_failed("%s: %s", path, error.message);
        list->nunreadable++;
        return DCBTOOL_OK;
    }
    if (dataset != NULL)
        read_elements(&file, dataset);
    else
        snprintf(file.problem, sizeof file.problem, "%.150s", error.message);
    dcb_dataset_close(dataset);
    file.path = strdup(path);
    if (file.path == NULL || !append(list, &file)) {
        free(file.path);
        return dcbtool_failed("out of memory");
    }
    return DCBTOOL_OK;
}

static int by_name(const FTSENT **left, const FTSENT **right)
{
    return strcmp((*left)->fts_name, (*right)->fts_name);
}

int pack_list_add(pack_list *list, const char *path)
{
    char *roots[] = {(char *)path, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    if (tree == NULL)
        return dcbtool_failed("%s: cannot be read: %s", path, strerror(errno));
    int status = DCBTOOL_OK;
    errno = 0;
    for (FTSENT *entry; status == DCBTOOL_OK && (entry = fts_read(tree)) != NULL;) {
        switch (entry->fts_info) {
        case FTS_F:
            status = add_one(list, entry->fts_path);
            break;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
            dcbtool_failed("%s: cannot be read: %s", entry->fts_path, strerror(entry->fts_errno));
            list->nunreadable++;
            break;
        default:
            break;
        }
    }
    fts_close(tree);
    return status;
}

void pack_list_free(pack_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->files[i].path);
    free(list->files);
}

/* ---- Order ----------------------------------------------------------------------------------- */

static int compare_numbers(const pack_file *a, const pack_file *b)
{
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return strcmp(a->path, b->path);
}

static int compare_series(const void *left, const void *right)
{
    const pack_file *a = left, *b = right;
    if (a->series_hash != b->series_hash)
        return a->series_hash < b->series_hash ? -1 : 1;
    return compare_numbers(a, b);
}

static int compare_locations(const void *left, const void *right)
{
    const pack_file *a = left, *b = right;
    if (a->location != b->location)
        return a->location < b->location ? -1 : 1;
    return compare_numbers(a, b);
}

static int compare_by_number(const void *left, const void *right)
{
    return compare_numbers(left, right);
}

/* False where a slice has no place, another plane, or the place of another. */
static bool sort_by_location(pack_file *files, size_t n)
{
    const double *d = files[0].direction;
    const double first[6] = {d[0], d[1], d[2], d[3], d[4], d[5]};
    const double normal[3] = {d[1] * d[5] - d[2] * d[4], d[2] * d[3] - d[0] * d[5],
                              d[0] * d[4] - d[1] * d[3]};
    for (size_t i = 0; i < n; i++) {
        if (!files[i].has_place)
            return false;
        files[i].location = 0;
        for (unsigned k = 0; k < 6; k++)
            if (fabs(files[i].direction[k] - first[k]) > 1e-4)
                return false;
        for (unsigned k = 0; k < 3; k++)
            files[i].location += normal[k] * files[i].position[k];
    }
    qsort(files, n, sizeof *files, compare_locations);
    for (size_t i = 1; i < n; i++)
        if (files[i].location - files[i - 1].location < 1e-4)
            return false;
    return true;
}

void pack_list_sort(pack_list *list)
{
    if (list->count == 0)
        return;
    qsort(list->files, list->count, sizeof *list->files, compare_series);
    for (size_t from = 0, to = 0; from < list->count; from = to) {
        while (to < list->count && list->files[to].series_hash == list->files[from].series_hash)
            to++;
        if (!sort_by_location(list->files + from, to - from))
            qsort(list->files + from, to - from, sizeof *list->files, compare_by_number);
    }
}

uint64_t pack_common_kind(const pack_file *files, size_t n)
{
    uint64_t candidate = 0; /* the majority vote of Boyer and Moore */
    size_t votes = 0, count = 0;
    for (size_t i = 0; i < n; i++) {
        if (votes == 0)
            candidate = files[i].kind;
        votes = files[i].kind == candidate ? votes + 1 : votes - 1;
    }
    for (size_t i = 0; i < n; i++)
        count += files[i].kind == candidate;
    return 2 * count > n ? candidate : 0;
}

/* ---- Copies ---------------------------------------------------------------------------------- */

static bool copy_bytes(int from, int to)
{
    static char buffer[1 << 18];
    for (;;) {
        ssize_t n = read(from, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        for (ssize_t done = 0; done < n;) {
            ssize_t written = write(to, buffer + done, (size_t)(n - done));
            if (written < 0 && errno == EINTR)
                continue;
            if (written <= 0)
                return false;
            done += written;
        }
    }
}

bool pack_copy(const char *from, const char *to, scp_error *error)
{
    int source = open(from, O_RDONLY | O_CLOEXEC);
    int target = source < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool good = target >= 0 && copy_bytes(source, target) && fsync(target) == 0;
    int trouble = errno;
    if (source >= 0)
        close(source);
    if (target >= 0 && close(target) != 0 && good) {
        good = false;
        trouble = errno;
    }
    if (!good) {
        if (target >= 0)
            unlink(to);
        scp_fail(error, "cannot be copied to %s: %s", to, strerror(trouble));
    }
    return good;
}
