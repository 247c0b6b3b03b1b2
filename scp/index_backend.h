/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_backend.h - what an index backend has to bring. Its index and cursor types begin with the
 * structs below; the functions mean what their namesakes in index.h say.
 */
#ifndef INDEX_BACKEND_H
#define INDEX_BACKEND_H

#include "index.h"

#include <pthread.h>

typedef struct index_backend {
    const char *name;
    void (*close)(scp_index *index);
    int (*get_totals)(scp_index *index, index_totals *totals, scp_error *error);

    int (*has_file)(scp_index *index, const char *path, const file_stamp *stamp, bool *known,
                    bool *bad, scp_error *error);
    int (*put_file)(scp_index *index, const char *path, const file_stamp *stamp,
                    const index_record *record, uint32_t *nduplicates, scp_error *error);
    int (*put_bad_file)(scp_index *index, const char *path, const file_stamp *stamp,
                        const char *reason, bool *is_news, scp_error *error);
    int (*remove_file)(scp_index *index, const char *path, bool *removed, scp_error *error);
    int (*remove_files)(scp_index *index, const char *folder,
                        bool (*keep)(void *context, const char *path), void *context,
                        uint32_t *nremoved, scp_error *error);
    /* Never within a batch. */
    int (*switch_files)(scp_index *index, const index_entry *entries, uint32_t nentries,
                        const char *const *gone, uint32_t ngone, scp_error *error);
    void (*begin_batch)(scp_index *index);
    int (*end_batch)(scp_index *index, scp_error *error);

    int (*find)(index_cursor **out, scp_index *index, query_level level, const index_filter *filter,
                scp_error *error);
    int (*find_instances)(index_cursor **out, scp_index *index, const index_filter *filter,
                          scp_error *error);
    int (*cursor_next)(index_cursor *cursor, const dcb_dataset **record, scp_error *error);
    uint64_t (*cursor_varying)(const index_cursor *cursor); /* as index_record.varying */
    int (*cursor_instance)(index_cursor *cursor, index_instance *instance, scp_error *error);
    int (*cursor_next_instance)(index_cursor *cursor, index_instance *instance, scp_error *error);
    void (*cursor_close)(index_cursor *cursor);
} index_backend;

/* Initialised by index_open, once the backend made it. */
struct scp_index {
    const index_backend *backend;
    pthread_mutex_t write_lock; /* the backend's writing functions, and the two below */
    bool batching;              /* between index_begin_batch and index_end_batch */
    bool batch_lost;            /* a commit of that batch failed when others needed the index */
};

struct index_cursor {
    const index_backend *backend;
};

int index_sqlite_open(scp_index **out, const char *state_dir, bool anew, scp_error *error);
int index_sqlite_open_reading(scp_index **out, const char *state_dir, scp_error *error);

#endif
