/* SPDX-License-Identifier: Apache-2.0 */
/* find_file.c - see find_file.h. */
#include "find_file.h"

#include "dataset_equal.h"
#include "identifier.h"
#include "index_record.h"
#include "relocate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void find_file_clear(find_file *file)
{
    free(file->path);
    dcb_series_release(file->series);
    dcb_dataset_close(file->dataset);
    *file = (find_file){0};
}

static dcb_status fail(dcb_error *error, dcb_status status, const char *message)
{
    *error = (dcb_error){.status = status, .offset = UINT64_MAX};
    snprintf(error->message, sizeof error->message, "%s", message);
    return status;
}

static dcb_status keep_common(dcb_dataset *dataset, dcb_series *series, uint32_t frame,
                              dcb_error *error)
{
    dcb_dataset *other = NULL;
    dcb_status status = index_record_dataset(&other, series, frame, error);
    for (size_t i = dcb_dataset_count(dataset); status == DCB_OK && i > 0; i--) {
        const dcb_element *element = dcb_dataset_at(dataset, i - 1);
        if (!dataset_same_element(element, dcb_dataset_find(other, element->tag)))
            dcb_dataset_remove(dataset, element->tag);
    }
    dcb_dataset_close(other);
    return status;
}

static dcb_status open_series(find_file *file, series_pool *pool, const char *path,
                              dcb_error *error)
{
    if (file->path != NULL && strcmp(file->path, path) == 0)
        return DCB_OK;
    find_file_clear(file);
    file->path = strdup(path);
    if (file->path == NULL)
        return fail(error, DCB_ERR_NO_MEMORY, "out of memory");
    dcb_status status = series_pool_get(&file->series, pool, path, error);
    if (status != DCB_OK)
        find_file_clear(file);
    return status;
}

/* Opens what holds the instance now, where that is no longer the file in which it was listed. */
static dcb_status open_holder(uint32_t *frame, find_file *file, scp_index *index, series_pool *pool,
                              const index_instance *instance, dcb_error *error)
{
    *frame = instance->frame;
    dcb_status status = open_series(file, pool, instance->path, error);
    if (status == DCB_ERR_NO_MEMORY ||
        (status == DCB_OK && relocate_holds(file->series, *frame, instance->sop_instance_uid)))
        return status;
    dcb_series *moved =
        relocate(frame, index, pool, instance->series_instance_uid, instance->sop_instance_uid);
    if (moved == NULL)
        return status;
    find_file_clear(file);
    file->series = moved;
    file->path = strdup(instance->path);
    return file->path != NULL ? DCB_OK : fail(error, DCB_ERR_NO_MEMORY, "out of memory");
}

static bool agrees(const dcb_dataset *dataset, uint32_t tag, const char *uid)
{
    char found[72];
    return dcb_dataset_get_text(dataset, tag, found, sizeof found) >= 0 && strcmp(found, uid) == 0;
}

dcb_status find_file_dataset(const dcb_dataset **out, find_file *file, scp_index *index,
                             series_pool *pool, query_level level, const index_instance *instance,
                             dcb_error *error)
{
    uint32_t frame = 0;
    *out = NULL;
    dcb_status status = open_holder(&frame, file, index, pool, instance, error);
    if (status != DCB_OK)
        return status;
    dcb_dataset_close(file->dataset);
    file->dataset = NULL;
    const uint32_t nframes = dcb_series_get_info(file->series)->nframes;
    status = index_record_dataset(&file->dataset, file->series, frame, error);
    if (status != DCB_OK)
        return status;
    if (!agrees(file->dataset, TAG_SERIES_INSTANCE_UID, instance->series_instance_uid) ||
        !agrees(file->dataset, TAG_SOP_INSTANCE_UID, instance->sop_instance_uid))
        return fail(error, DCB_ERR_CHANGED, "the file changed since it was indexed");
    const uint32_t others[] = {0, nframes / 2, nframes - 1};
    for (size_t i = 0; level < LEVEL_IMAGE && status == DCB_OK && i < 3; i++) {
        if (others[i] != frame && others[i] < nframes)
            status = keep_common(file->dataset, file->series, others[i], error);
    }
    if (status == DCB_OK)
        *out = file->dataset;
    return status;
}
