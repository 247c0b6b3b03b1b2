/* SPDX-License-Identifier: Apache-2.0 */
/* index.c - leads every call to the backend; nothing here knows how an index is kept. */
#include "index_backend.h"

int index_open(scp_index **out, const char *state_dir, scp_error *error)
{
    return index_sqlite_open(out, state_dir, error);
}

void index_close(scp_index *index)
{
    if (index != NULL)
        index->backend->close(index);
}

int index_get_totals(scp_index *index, index_totals *totals, scp_error *error)
{
    return index->backend->get_totals(index, totals, error);
}

int index_has_file(scp_index *index, const char *path, const file_stamp *stamp, bool *known,
                   bool *bad, scp_error *error)
{
    return index->backend->has_file(index, path, stamp, known, bad, error);
}

int index_put_file(scp_index *index, const char *path, const file_stamp *stamp,
                   const index_record *record, uint32_t *nduplicates, scp_error *error)
{
    return index->backend->put_file(index, path, stamp, record, nduplicates, error);
}

int index_put_bad_file(scp_index *index, const char *path, const file_stamp *stamp,
                       const char *reason, bool *is_news, scp_error *error)
{
    return index->backend->put_bad_file(index, path, stamp, reason, is_news, error);
}

int index_remove_file(scp_index *index, const char *path, bool *removed, scp_error *error)
{
    return index->backend->remove_file(index, path, removed, error);
}

int index_remove_files(scp_index *index, const char *folder,
                       bool (*keep)(void *context, const char *path), void *context,
                       uint32_t *nremoved, scp_error *error)
{
    return index->backend->remove_files(index, folder, keep, context, nremoved, error);
}

void index_begin_batch(scp_index *index)
{
    index->backend->begin_batch(index);
}

int index_end_batch(scp_index *index, scp_error *error)
{
    return index->backend->end_batch(index, error);
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
