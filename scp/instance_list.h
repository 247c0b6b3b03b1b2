/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_list.h - the instances of a retrieval, in a few bytes each: a path is kept once for the
 * file, a UID as what differs from the file's first one. 100 000 instances take about 3 MB.
 *
 * Threads: one at a time, or many that only read.
 */
#ifndef INSTANCE_LIST_H
#define INSTANCE_LIST_H

#include "index.h"
#include "ul.h"

typedef struct instance_list {
    struct listed_instance *instances;
    size_t count, capacity;
    struct listed_file *files;
    uint32_t nfiles, files_capacity;
    char *text; /* tails of UIDs */
    size_t text_nbytes, text_capacity;
    char (*classes)[UL_UID_SIZE]; /* SOP classes, each once */
    size_t nclasses, classes_capacity;
} instance_list;

/* Zero it to begin. False where memory ran out or an instance cannot be listed; what is in stays.
 */
bool instance_list_add(instance_list *list, const index_instance *instance);
void instance_list_clear(instance_list *list);

uint32_t instance_list_frame(const instance_list *list, size_t i);
const char *instance_list_path(const instance_list *list, size_t i);
/* The series of its file's first instance; NULL: not told. */
const char *instance_list_series(const instance_list *list, size_t i);
/* Its file, counted from 0; the instances of a file follow one another. */
uint32_t instance_list_file(const instance_list *list, size_t i);
/* The first instance of a file, the list's count for file nfiles. */
size_t instance_list_first(const instance_list *list, uint32_t file);
/* Its SOP class, as an index into list->classes. */
size_t instance_list_class(const instance_list *list, size_t i);
/* Its SOP Instance UID as the index has it. */
void instance_list_uid(char uid[UL_UID_SIZE], const instance_list *list, size_t i);

#endif
