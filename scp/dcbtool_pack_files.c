/* SPDX-License-Identifier: Apache-2.0 */
/* dcbtool_pack_files.c - finds files, reads what tells their series and order, and sorts them. */
#include "dcbtool_pack.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dcbtool.h"
#include "part10_file.h"

/* ---- What a file says ------------------------------------------------------------------------ */

static void read_elements(pack_file *file, const dcb_dataset *dataset)
{
    char study[80], series[80];
    dcb_dataset_get_text(dataset, DCB_TAG(0x0020, 0x000D), study, sizeof study);
    dcb_dataset_get_text(dataset, DCB_TAG(0x0020, 0x000E), series, sizeof series);
    file->series_hash = pack_hash(pack_hash(PACK_HASH_START, study), series);
    pack_slice_read(&file->slice, dataset);
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
    pack_file file = {.slice = PACK_SLICE_INIT,
                      .series_hash = pack_hash(PACK_HASH_START, "unreadable")};
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

static int compare_series(const void *left, const void *right)
{
    const pack_file *a = left, *b = right;
    if (a->series_hash != b->series_hash)
        return a->series_hash < b->series_hash ? -1 : 1;
    return strcmp(a->path, b->path);
}

/* Files of one series. */
static bool sort_slices(pack_file *files, size_t n)
{
    pack_slice *slices = malloc(n * sizeof *slices);
    pack_file *sorted = malloc(n * sizeof *sorted);
    const bool good = slices != NULL && sorted != NULL;
    for (size_t i = 0; good && i < n; i++) {
        slices[i] = files[i].slice;
        slices[i].source = i;
    }
    if (good)
        pack_slices_sort(slices, n);
    for (size_t i = 0; good && i < n; i++)
        sorted[i] = files[slices[i].source];
    if (good)
        memcpy(files, sorted, n * sizeof *sorted);
    free(slices);
    free(sorted);
    return good;
}

bool pack_list_sort(pack_list *list)
{
    if (list->count == 0)
        return true;
    qsort(list->files, list->count, sizeof *list->files, compare_series);
    bool good = true;
    for (size_t from = 0, to = 0; good && from < list->count; from = to) {
        while (to < list->count && list->files[to].series_hash == list->files[from].series_hash)
            to++;
        good = sort_slices(list->files + from, to - from);
    }
    return good;
}
