/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_list.c - see instance_list.h.
 *
 * Invariant: every UID is shorter than UL_UID_SIZE, and the first of a file shares nothing.
 */
#include "instance_list.h"

#include <stdlib.h>
#include <string.h>

struct listed_instance {
    uint32_t file, frame;
    uint32_t tail;               /* in text */
    uint8_t shared, tail_nbytes; /* characters of the file's first UID, then of text */
    uint16_t sop_class;          /* in classes */
};

struct listed_file {
    char *path, *series_uid;
    size_t first; /* its first instance */
};

/* Room for one more of `size` bytes each (`more` of them). */
static bool grow(void **array, size_t *capacity, size_t count, size_t more, size_t size)
{
    if (*capacity - count >= more)
        return true;
    const size_t wanted = (*capacity + more) * 2;
    void *grown = realloc(*array, wanted * size);
    if (grown == NULL)
        return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

static bool add_file(instance_list *list, const index_instance *instance)
{
    const char *series_uid = instance->series_instance_uid;
    if (list->nfiles > 0 && strcmp(list->files[list->nfiles - 1].path, instance->path) == 0)
        return true;
    size_t capacity = list->files_capacity;
    void *files = list->files;
    const bool grown = grow(&files, &capacity, list->nfiles, 1, sizeof *list->files);
    list->files = files;
    list->files_capacity = (uint32_t)capacity;
    if (!grown)
        return false;
    struct listed_file *file = &list->files[list->nfiles];
    *file = (struct listed_file){strdup(instance->path),
                                 series_uid != NULL ? strdup(series_uid) : NULL, list->count};
    if (file->path == NULL || (series_uid != NULL && file->series_uid == NULL)) {
        free(file->path);
        free(file->series_uid);
        return false;
    }
    list->nfiles++;
    return true;
}

static bool add_class(uint16_t *out, instance_list *list, const char *uid)
{
    for (size_t i = 0; i < list->nclasses; i++) {
        if (strcmp(list->classes[i], uid) == 0) {
            *out = (uint16_t)i;
            return true;
        }
    }
    void *classes = list->classes;
    const size_t nbytes = strlen(uid);
    if (nbytes >= UL_UID_SIZE || list->nclasses > UINT16_MAX ||
        !grow(&classes, &list->classes_capacity, list->nclasses, 1, UL_UID_SIZE))
        return false;
    list->classes = classes;
    memcpy(list->classes[list->nclasses], uid, nbytes + 1);
    *out = (uint16_t)list->nclasses++;
    return true;
}

bool instance_list_add(instance_list *list, const index_instance *instance)
{
    const char *uid = instance->sop_instance_uid;
    const size_t nbytes = strlen(uid);
    uint16_t sop_class;
    if (nbytes >= UL_UID_SIZE || list->text_nbytes > UINT32_MAX - UL_UID_SIZE ||
        !add_class(&sop_class, list,
                   instance->sop_class_uid != NULL ? instance->sop_class_uid : "") ||
        !add_file(list, instance))
        return false;
    void *instances = list->instances, *text = list->text;
    bool grown = grow(&instances, &list->capacity, list->count, 1, sizeof *list->instances);
    list->instances = instances;
    grown = grown && grow(&text, &list->text_capacity, list->text_nbytes, UL_UID_SIZE, 1);
    list->text = text;
    if (!grown)
        return false;
    const size_t first = list->files[list->nfiles - 1].first;
    size_t shared = 0;
    if (first < list->count) {
        char first_uid[UL_UID_SIZE];
        instance_list_uid(first_uid, list, first);
        while (shared < nbytes && uid[shared] == first_uid[shared])
            shared++;
    }
    list->instances[list->count++] = (struct listed_instance){
        .file = list->nfiles - 1,
        .frame = instance->frame,
        .tail = (uint32_t)list->text_nbytes,
        .shared = (uint8_t)shared,
        .tail_nbytes = (uint8_t)(nbytes - shared),
        .sop_class = sop_class,
    };
    memcpy(list->text + list->text_nbytes, uid + shared, nbytes - shared);
    list->text_nbytes += nbytes - shared;
    return true;
}

void instance_list_clear(instance_list *list)
{
    for (uint32_t i = 0; i < list->nfiles; i++) {
        free(list->files[i].path);
        free(list->files[i].series_uid);
    }
    free(list->files);
    free(list->instances);
    free(list->text);
    free(list->classes);
    *list = (instance_list){0};
}

uint32_t instance_list_frame(const instance_list *list, size_t i)
{
    return list->instances[i].frame;
}

const char *instance_list_path(const instance_list *list, size_t i)
{
    return list->files[list->instances[i].file].path;
}

const char *instance_list_series(const instance_list *list, size_t i)
{
    return list->files[list->instances[i].file].series_uid;
}

uint32_t instance_list_file(const instance_list *list, size_t i)
{
    return list->instances[i].file;
}

size_t instance_list_first(const instance_list *list, uint32_t file)
{
    return file < list->nfiles ? list->files[file].first : list->count;
}

size_t instance_list_class(const instance_list *list, size_t i)
{
    return list->instances[i].sop_class;
}

void instance_list_uid(char uid[UL_UID_SIZE], const instance_list *list, size_t i)
{
    const struct listed_instance *instance = &list->instances[i];
    const struct listed_instance *first = &list->instances[list->files[instance->file].first];
    memcpy(uid, list->text + first->tail, instance->shared);
    memcpy(uid + instance->shared, list->text + instance->tail, instance->tail_nbytes);
    uid[instance->shared + instance->tail_nbytes] = '\0';
}
