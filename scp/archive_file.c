/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive_file.c - one file of the archive: whether to read it, reading it, and what the operator
 * hears about it.
 *
 * Invariant: the stamp that is stored was taken before the file was opened, so a later change is
 * never missed. One thread (archive_private.h).
 */
#include "archive_private.h"
#include "dictionary.h"
#include "index_record.h"
#include "log.h"
#include "steady_clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PACKED_MS 5000 /* a packing takes its files into the index itself, within this time */

/* "<16 hexadecimal digits>-<digits>" and the suffix: what packing calls its files. */
static bool is_packed_name(const char *name, const char *suffix)
{
    const size_t hash = strspn(name, "0123456789abcdef");
    if (hash != 16 || name[hash] != '-')
        return false;
    const char *number = name + hash + 1;
    const size_t ndigits = strspn(number, "0123456789");
    return ndigits > 0 && strcmp(number + ndigits, suffix) == 0;
}

/* What packing kept verbatim beside a .dcbs file. */
static bool is_kept_name(const char *name)
{
    return is_packed_name(name, ".dcm");
}

bool archive__is_file_name(const char *name)
{
    static const char suffix[] = ".dcbs";
    size_t length = strlen(name);
    return (name[0] != '.' && length >= sizeof suffix &&
            strcmp(name + length - (sizeof suffix - 1), suffix) == 0) ||
           is_kept_name(name);
}

void archive__index_failed(scp_archive *archive, const scp_error *error)
{
    log_event(LOG_ERROR, "index.write_failed", LOG_T("reason", error->message));
    archive->incomplete = true;
}

static file_stamp stamp_of(const struct stat *st)
{
    return (file_stamp){.nbytes = (uint64_t)st->st_size,
                        .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
                        .inode = (uint64_t)st->st_ino};
}

static bool same_stamp(const file_stamp *a, const file_stamp *b)
{
    return a->nbytes == b->nbytes && a->mtime_ns == b->mtime_ns && a->inode == b->inode;
}

/* ---- Files that may still be growing ---- */

static unsettled_file *find_unsettled(scp_archive *archive, const char *path)
{
    for (uint32_t i = 0; i < archive->nunsettled; i++) {
        if (strcmp(archive->unsettled[i].path, path) == 0)
            return &archive->unsettled[i];
    }
    return NULL;
}

static void drop_unsettled(scp_archive *archive, const char *path)
{
    unsettled_file *file = find_unsettled(archive, path);
    if (file == NULL)
        return;
    free(file->path);
    *file = archive->unsettled[--archive->nunsettled];
}

/* Remembers the file for later; false where that cannot be. */
static bool add_unsettled(scp_archive *archive, const char *path, const file_stamp *stamp,
                          uint32_t wait_ms)
{
    if (archive->nunsettled == archive->unsettled_capacity) {
        uint32_t capacity = archive->unsettled_capacity * 2 + 8;
        unsettled_file *grown = realloc(archive->unsettled, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        archive->unsettled = grown;
        archive->unsettled_capacity = capacity;
    }
    char *copy = strdup(path);
    if (copy == NULL)
        return false;
    archive->unsettled[archive->nunsettled++] =
        (unsettled_file){.path = copy, .stamp = *stamp, .due_ms = steady_clock_ms() + wait_ms};
    return true;
}

/* May its writer still be at it? A file found unchanged after the time to settle is not. */
static bool may_be_growing(scp_archive *archive, const char *path, const file_stamp *stamp,
                           uint32_t wait_ms)
{
    unsettled_file *file = find_unsettled(archive, path);
    if (file != NULL) {
        if (same_stamp(&file->stamp, stamp) && steady_clock_ms() >= file->due_ms) {
            drop_unsettled(archive, path);
            return false;
        }
        if (!same_stamp(&file->stamp, stamp)) {
            file->stamp = *stamp;
            file->due_ms = steady_clock_ms() + wait_ms;
        }
        return true;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - stamp->mtime_ns;
    return age_ns < (int64_t)wait_ms * 1000000 && add_unsettled(archive, path, stamp, wait_ms);
}

/* A file that packing has just put in its place: while the index is switched over, what it holds is
   there twice, which is nothing to tell of. */
static bool may_be_switched(scp_archive *archive, const char *path, const file_stamp *stamp)
{
    const char *store = archive->options->store, *name = strrchr(path, '/');
    if (store == NULL || !archive->scanned || !archive__is_below(path, store) || name == NULL ||
        (!is_packed_name(name + 1, ".dcbs") && !is_kept_name(name + 1)))
        return false;
    const unsettled_file *file = find_unsettled(archive, path);
    if (file == NULL)
        return add_unsettled(archive, path, stamp, PACKED_MS);
    return steady_clock_ms() < file->due_ms;
}

int64_t archive__settle(scp_archive *archive, int64_t now_ms)
{
    int64_t next_ms = -1;
    for (uint32_t i = archive->nunsettled; i > 0; i--) {
        if (i > archive->nunsettled)
            continue; /* the one below took others with it */
        int64_t due_ms = archive->unsettled[i - 1].due_ms;
        if (due_ms <= now_ms) {
            char *path = strdup(archive->unsettled[i - 1].path);
            if (path != NULL)
                archive__file(archive, path, FILE_TOUCHED);
            free(path);
        }
    }
    for (uint32_t i = 0; i < archive->nunsettled; i++) {
        int64_t due_ms = archive->unsettled[i].due_ms;
        if (next_ms < 0 || due_ms < next_ms)
            next_ms = due_ms;
    }
    return next_ms;
}

/* ---- Reading ---- */

static void put_bad(scp_archive *archive, const char *path, const file_stamp *stamp,
                    const dcb_error *cause)
{
    char reason[sizeof cause->message + 32];
    if (cause->offset != UINT64_MAX)
        snprintf(reason, sizeof reason, "%s (byte %llu)", cause->message,
                 (unsigned long long)cause->offset);
    else
        snprintf(reason, sizeof reason, "%s", cause->message);
    bool is_news = false;
    scp_error error = SCP_ERROR_INIT;
    if (index_put_bad_file(archive->index, path, stamp, reason, &is_news, &error) != 0)
        archive__index_failed(archive, &error);
    else if (is_news)
        log_event(LOG_WARN, "file.bad", LOG_T("path", path), LOG_T("reason", reason));
}

static void tell_about(const char *path, const dcb_series_info *info, const index_record *record,
                       uint32_t nduplicates)
{
    log_event(LOG_DEBUG, "file.indexed", LOG_T("path", path), LOG_U("instances", info->nframes));
    if (!info->has_meta)
        log_event(
            LOG_WARN, "file.no_metadata", LOG_T("path", path),
            LOG_T("effect", "served as Secondary Capture with UIDs derived from its content"));
    if (nduplicates > 0)
        log_event(
            LOG_WARN, "file.duplicate_instances", LOG_T("path", path),
            LOG_U("instances", nduplicates),
            LOG_T("effect", "they are there more than once; in each series the newest is served"));
    uint32_t nseries = 0;
    for (const index_record *each = record; each != NULL; each = each->next)
        nseries++;
    if (nseries > 1)
        log_event(LOG_WARN, "file.mixed_series", LOG_T("path", path), LOG_U("series", nseries),
                  LOG_T("effect", "its slices name several patients, studies or series; each is "
                                  "found under its own"));
    if (record->nunusable > 0)
        log_event(LOG_WARN, "file.slices_left_out", LOG_T("path", path),
                  LOG_U("slices", record->nunusable),
                  LOG_T("reason", record->unusable_reason.message));
    if (info->invalid_elements > 0)
        log_event(LOG_WARN, "file.invalid_values", LOG_T("path", path),
                  LOG_U("elements", info->invalid_elements), LOG_T("reason", info->invalid_reason),
                  LOG_T("effect", "these values are left out"));
    if (info->unattributable > 0)
        log_event(LOG_DEBUG, "file.values_left_out", LOG_T("path", path),
                  LOG_U("elements", info->unattributable),
                  LOG_T("effect", "the file does not tell which slices they belong to"));
}

static void put_good(scp_archive *archive, const char *path, const file_stamp *stamp,
                     const dcb_series_info *info, const index_record *record)
{
    uint32_t nduplicates = 0;
    scp_error error = SCP_ERROR_INIT;
    if (index_put_file(archive->index, path, stamp, record, &nduplicates, &error) != 0)
        archive__index_failed(archive, &error);
    else
        tell_about(path, info, record, nduplicates);
}

/* A series of which the end is missing looks like a whole one to who retrieves it. */
static dcb_status check_whole(dcb_series *series, dcb_error *error)
{
    const dcb_series_info *info = dcb_series_get_info(series);
    if (info->cut_off_frames == 0)
        return DCB_OK;
    snprintf(error->message, sizeof error->message,
             "the file is cut off: it ends at byte %llu, before %u of its %u frames; copy it again",
             (unsigned long long)info->file_bytes, info->cut_off_frames, info->nframes);
    return error->status = DCB_ERR_FORMAT;
}

static void read_file(scp_archive *archive, const char *path, const file_stamp *stamp)
{
    dcb_series *series = NULL;
    index_record *record = NULL;
    dcb_error cause = DCB_ERROR_INIT;
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    uint32_t wait_ms = archive->tuning.settle_ms;
    options.vr_lookup = dictionary_vr;
    archive->nfiles_read++;
    dcb_status status = dcb_series_open(&series, path, &options, &cause);
    if (status == DCB_OK) /* its tables are there: a DCB file, whole or not */
        wait_ms = archive->tuning.grow_ms;
    if (status == DCB_OK)
        status = check_whole(series, &cause);
    if (status == DCB_OK)
        status = index_record_create(&record, series, &cause);
    if (status == DCB_OK) {
        drop_unsettled(archive, path);
        put_good(archive, path, stamp, dcb_series_get_info(series), record);
    } else if (status == DCB_ERR_NO_MEMORY) {
        log_event(LOG_ERROR, "file.not_read", LOG_T("path", path), LOG_T("reason", cause.message));
        archive->incomplete = true; /* not the file's fault */
    } else if (may_be_growing(archive, path, stamp, wait_ms)) {
        log_event(LOG_DEBUG, "file.growing", LOG_T("path", path), LOG_T("reason", cause.message));
    } else {
        put_bad(archive, path, stamp, &cause);
    }
    index_record_close(record);
    dcb_series_release(series);
    series_pool_forget(archive->series, path);
}

void archive__file(scp_archive *archive, const char *path, file_news news)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            archive__file_gone(archive, path);
        else
            archive->incomplete = true; /* look again: the disk may come back */
        return;
    }
    if (!S_ISREG(st.st_mode))
        return;
    archive->nfiles_seen++;
    for (uint32_t i = 0; i < archive->options->narchives; i++)
        archive->archive_roots[i].nseen += archive__is_below(path, archive->archive_roots[i].path);
    file_stamp stamp = stamp_of(&st);
    bool known = false, bad = false;
    scp_error error = SCP_ERROR_INIT;
    if (index_has_file(archive->index, path, &stamp, &known, &bad, &error) != 0) {
        archive__index_failed(archive, &error);
        return;
    }
    if (!known && may_be_switched(archive, path, &stamp))
        return;
    if (known && !bad)
        drop_unsettled(archive, path);
    if (!known || archive->read_all || news == FILE_WRITTEN || (bad && news == FILE_TOUCHED))
        read_file(archive, path, &stamp);
}

void archive__file_gone(scp_archive *archive, const char *path)
{
    bool removed = false;
    scp_error error = SCP_ERROR_INIT;
    drop_unsettled(archive, path);
    if (index_remove_file(archive->index, path, &removed, &error) != 0)
        archive__index_failed(archive, &error);
    else if (removed)
        log_event(LOG_INFO, "file.removed", LOG_T("path", path));
    series_pool_forget(archive->series, path);
}
