/* SPDX-License-Identifier: Apache-2.0 */
/* index.c - leads every call to the backend; nothing here knows how an index is kept. */
#include "index_backend.h"
#include "index_record.h"

static int opened(int result, scp_index **out)
{
    if (result == 0)
        pthread_mutex_init(&(*out)->write_lock, NULL);
    return result;
}

int index_open(scp_index **out, const char *state_dir, scp_error *error)
{
    return opened(index_sqlite_open(out, state_dir, false, error), out);
}

int index_open_anew(scp_index **out, const char *state_dir, scp_error *error)
{
    return opened(index_sqlite_open(out, state_dir, true, error), out);
}

int index_open_reading(scp_index **out, const char *state_dir, scp_error *error)
{
    return opened(index_sqlite_open_reading(out, state_dir, error), out);
}

void index_close(scp_index *index)
{
    if (index == NULL)
        return;
    pthread_mutex_destroy(&index->write_lock);
    index->backend->close(index);
}

int index_get_totals(scp_index *index, index_totals *totals, scp_error *error)
{
    return index->backend->get_totals(index, totals, error);
}

int index_has_file(scp_index *index, const char *path, const file_stamp *stamp, bool *known,
                   bool *bad, scp_error *error)
{
    pthread_mutex_lock(&index->write_lock);
    int result = index->backend->has_file(index, path, stamp, known, bad, error);
    pthread_mutex_unlock(&index->write_lock);
    return result;
}

int index_put_file(scp_index *index, const char *path, const file_stamp *stamp,
                   const index_record *record, uint32_t *nduplicates, scp_error *error)
{
    pthread_mutex_lock(&index->write_lock);
    int result = index->backend->put_file(index, path, stamp, record, nduplicates, error);
    pthread_mutex_unlock(&index->write_lock);
    return result;
}

int index_put_bad_file(scp_index *index, const char *path, const file_stamp *stamp,
                       const char *reason, bool *is_news, scp_error *error)
{
    pthread_mutex_lock(&index->write_lock);
    int result = index->backend->put_bad_file(index, path, stamp, reason, is_news, error);
    pthread_mutex_unlock(&index->write_lock);
    return result;
}

int index_remove_file(scp_index *index, const char *path, bool *removed, scp_error *error)
{
    pthread_mutex_lock(&index->write_lock);
    int result = index->backend->remove_file(index, path, removed, error);
    pthread_mutex_unlock(&index->write_lock);
    return result;
}

int index_remove_files(scp_index *index, const char *folder,
                       bool (*keep)(void *context, const char *path), void *context,
                       uint32_t *nremoved, scp_error *error)
{
    pthread_mutex_lock(&index->write_lock);
    int result = index->backend->remove_files(index, folder, keep, context, nremoved, error);
    pthread_mutex_unlock(&index->write_lock);
    return result;
}

void index_begin_batch(scp_index *index)
{
    pthread_mutex_lock(&index->write_lock);
    index->batching = true;
    index->batch_lost = false;
    index->backend->begin_batch(index);
    pthread_mutex_unlock(&index->write_lock);
}

int index_end_batch(scp_index *index, scp_error *error)
{
    pthread_mutex_lock(&index->write_lock);
    index->batching = false;
    int result = index->backend->end_batch(index, error);
    if (result == 0 && index->batch_lost)
        result = scp_fail(error, "a part of the batch could not be written to the index");
    pthread_mutex_unlock(&index->write_lock);
    return result;
}

/* What a scan has gathered is committed first, so that no failure there can undo what follows.
   The lock is held. */
static void interrupt_batch(scp_index *index)
{
    scp_error other = SCP_ERROR_INIT;
    if (index->batching && index->backend->end_batch(index, &other) != 0)
        index->batch_lost = true;
}

int index_put_files(scp_index *index, const index_entry *entries, uint32_t nentries,
                    scp_error *error)
{
    scp_error other = SCP_ERROR_INIT;
    pthread_mutex_lock(&index->write_lock);
    interrupt_batch(index);
    int result = 0;
    index->backend->begin_batch(index);
    for (uint32_t i = 0; i < nentries; i++) {
        uint32_t nduplicates = 0;
        if (index->backend->put_file(index, entries[i].path, &entries[i].stamp, entries[i].record,
                                     &nduplicates, result == 0 ? error : &other) != 0)
            result = -1;
    }
    if (index->backend->end_batch(index, result == 0 ? error : &other) != 0)
        result = -1;
    if (index->batching)
        index->backend->begin_batch(index);
    pthread_mutex_unlock(&index->write_lock);
    return result;
}

int index_switch_files(scp_index *index, const index_entry *entries, uint32_t nentries,
                       const char *const *gone, uint32_t ngone, scp_error *error)
{
    pthread_mutex_lock(&index->write_lock);
    interrupt_batch(index);
    int result = index->backend->switch_files(index, entries, nentries, gone, ngone, error);
    if (index->batching)
        index->backend->begin_batch(index);
    pthread_mutex_unlock(&index->write_lock);
    return result;
}

int index_find(index_cursor **out, scp_index *index, query_level level, const index_filter *filter,
               scp_error *error)
{
    return index->backend->find(out, index, level, filter, error);
}

int index_find_instances(index_cursor **out, scp_index *index, const index_filter *filter,
                         scp_error *error)
{
    return index->backend->find_instances(out, index, filter, error);
}

int index_cursor_next(index_cursor *cursor, const dcb_dataset **record, scp_error *error)
{
    return cursor->backend->cursor_next(cursor, record, error);
}

bool index_cursor_varies(const index_cursor *cursor, uint32_t tag)
{
    const uint64_t varying = cursor->backend->cursor_varying(cursor);
    const uint32_t *tags = index_record_tags(LEVEL_SERIES);
    for (int i = 0; varying >> i != 0 && tags[i] != 0; i++) {
        if (tags[i] == tag)
            return (varying >> i & 1) != 0;
    }
    return false;
}

int index_cursor_instance(index_cursor *cursor, index_instance *instance, scp_error *error)
{
    return cursor->backend->cursor_instance(cursor, instance, error);
}

int index_cursor_next_instance(index_cursor *cursor, index_instance *instance, scp_error *error)
{
    return cursor->backend->cursor_next_instance(cursor, instance, error);
}

void index_cursor_close(index_cursor *cursor)
{
    if (cursor != NULL)
        cursor->backend->cursor_close(cursor);
}
