/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest.c - the spool's life: opening it with the replay of what a crash left, closing it.
 *
 * Invariant: the replay only adds what the journal holds and removes what is not whole; it may be
 * ended and begun anew at any point. Threads: the opener's; then ingest.h's.
 */
#include "ingest_pack.h"

#include "dictionary.h"
#include "log.h"
#include "steady_clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct replay_counts {
    uint64_t files, restored, torn, unfinished, indexed;
} replay_counts;

/* ---- The folder ---- */

static int open_folder(scp_ingest *ingest, scp_error *error)
{
    const char *store = ingest->options->store;
    if (asprintf(&ingest->folder, "%s/%s", store, INGEST_FOLDER) < 0) {
        ingest->folder = NULL;
        return scp_fail(error, "out of memory for the spool");
    }
    if (strlen(ingest->folder) > INGEST_PATH_SIZE - 64)
        return scp_fail(error, "the path of the store folder %s is too long", store);
    /* Only the owner: it holds patients' data. */
    if (mkdir(ingest->folder, 0700) != 0 && errno != EEXIST)
        return scp_fail(error,
                        "cannot write in the store folder %s: %s; make it writable or leave "
                        "`store` out",
                        store, strerror(errno));
    ingest->folder_fd = open(ingest->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ingest->folder_fd < 0 || access(ingest->folder, W_OK) != 0)
        return scp_fail(error, "cannot use the spool %s: %s", ingest->folder, strerror(errno));
    ingest->lock_fd = openat(ingest->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (ingest->lock_fd < 0 || flock(ingest->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return scp_fail(error, "cannot lock the spool %s: %s", ingest->folder,
                        errno == EWOULDBLOCK ? "another dcbscp uses it" : strerror(errno));
    return 0;
}

/* ---- Replay ---- */

static void see_number(scp_ingest *ingest, uint64_t number)
{
    if (number >= atomic_load(&ingest->next_number))
        atomic_store(&ingest->next_number, number + 1);
}

typedef struct replay {
    scp_ingest *ingest;
    replay_counts counts;
    uint64_t *packed; /* numbers that were dropped from the spool, ascending */
    size_t npacked;
} replay;

static bool was_packed(const replay *r, uint64_t number)
{
    size_t low = 0, high = r->npacked;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (r->packed[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->npacked && r->packed[low] == number;
}

/* So that the file is read from the disk: after a write that failed the kernel may still show what
   never got there. */
static void forget_cached(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    fdatasync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static int restore_record(void *context, const journal_record *record, scp_error *error)
{
    replay *r = context;
    char path[INGEST_PATH_SIZE];
    file_stamp stamp;
    const ingest_content content = {record->bytes, record->nbytes, record->arrived_ns, true};
    see_number(r->ingest, record->number);
    ingest__see_time(r->ingest, record->arrived_ns);
    if (was_packed(r, record->number))
        return 0;
    ingest__path(path, r->ingest, record->number, ".dcm");
    forget_cached(path);
    const bool whole = ingest__check_file(path, &stamp) == INGEST_WHOLE;
    if (whole && !ingest__has_seal(path, record->bytes)) { /* only a damaged journal can say so */
        log_event(LOG_ERROR, "spool.other_instance", LOG_T("path", path),
                  LOG_T("effect", "the journal has another one of this number: the file stays"));
        return 0;
    }
    if (whole) {
        const int cause =
            stamp.mtime_ns != record->arrived_ns ? ingest__set_time(path, record->arrived_ns) : 0;
        return cause == 0 ? 0
                          : scp_fail(error, "cannot set the time of %s: %s", path, strerror(cause));
    }
    const int cause = ingest__write_spooled(r->ingest, record->number, ".dcm", &content, &stamp);
    if (cause != 0)
        return scp_fail(error, "cannot restore %s from the journal: %s", path, strerror(cause));
    r->counts.restored++;
    return 0;
}

/* Into the index, where that does not have it, and among what waits to be packed. */
static int take_file(replay *r, uint64_t number, const char *path, const file_stamp *stamp,
                     scp_error *error)
{
    dcb_series *series = NULL;
    index_record *record = NULL;
    dcb_error cause = DCB_ERROR_INIT;
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    const ingest_spooled file = {number, stamp->nbytes};
    uint32_t nduplicates = 0;
    bool known = false, bad = false;
    if (index_has_file(r->ingest->index, path, stamp, &known, &bad, error) != 0)
        return -1;
    known = known && !bad;
    options.vr_lookup = dictionary_vr;
    if (dcb_series_open(&series, path, &options, &cause) != DCB_OK ||
        (!known && index_record_create(&record, series, &cause) != DCB_OK)) {
        log_event(LOG_ERROR, "spool.not_indexed", LOG_T("path", path),
                  LOG_T("reason", cause.message));
        dcb_series_release(series);
        return 0;
    }
    const dcb_series_info *info = dcb_series_get_info(series);
    ingest__backlog_add(&r->ingest->backlog, info->study_instance_uid, info->series_instance_uid,
                        &file);
    r->counts.indexed += !known;
    int result =
        known ? 0 : index_put_file(r->ingest->index, path, stamp, record, &nduplicates, error);
    index_record_close(record);
    dcb_series_release(series);
    return result;
}

/* It has its name only since it was durable: what is wrong with it, a disk did. */
static int set_aside(const replay *r, uint64_t number, const char *path, scp_error *error)
{
    char aside[INGEST_PATH_SIZE];
    ingest__path(aside, r->ingest, number, ".damaged");
    log_event(LOG_ERROR, "spool.damaged", LOG_U("number", number),
              LOG_T("effect", "the file is not what was written: it is kept as .damaged"));
    return rename(path, aside) == 0
               ? 0
               : scp_fail(error, "cannot rename %s: %s", path, strerror(errno));
}

/* With async: a torn file was being written when the node ended. */
static int replay_file(replay *r, uint64_t number, const char *path, scp_error *error)
{
    file_stamp stamp;
    switch (ingest__check_file(path, &stamp)) {
    case INGEST_UNREADABLE:
        return scp_fail(error, "cannot read %s: %s", path, strerror(errno));
    case INGEST_TORN:
        r->counts.torn++;
        if (r->ingest->options->durability == DURABILITY_FSYNC)
            return set_aside(r, number, path, error);
        log_event(LOG_WARN, "spool.torn", LOG_T("path", path),
                  LOG_T("effect", "cut off before it was acknowledged: removed"));
        return unlink(path) == 0 ? 0
                                 : scp_fail(error, "cannot remove %s: %s", path, strerror(errno));
    case INGEST_WHOLE:
        break;
    }
    r->counts.files++;
    ingest__see_time(r->ingest, stamp.mtime_ns);
    return take_file(r, number, path, &stamp, error);
}

/* The number that a name of nothing but digits and the suffix tells; 0: none. */
static uint64_t number_of(const char *name, const char *suffix)
{
    char *end;
    const uint64_t number = strtoull(name, &end, 10);
    return name[0] >= '0' && name[0] <= '9' && strcmp(end, suffix) == 0 ? number : 0;
}

static int replay_folder(replay *r, const char *name, scp_error *error)
{
    char path[INGEST_PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", r->ingest->folder, name);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return scp_fail(error, "cannot read %s: %s", path, strerror(errno));
    int result = 0;
    for (const struct dirent *e; result == 0 && (e = readdir(folder)) != NULL;) {
        uint64_t number = number_of(e->d_name, ".part");
        if (number != 0) {
            see_number(r->ingest, number);
            ingest__path(path, r->ingest, number, ".part");
            r->counts.unfinished += unlink(path) == 0;
        } else if ((number = number_of(e->d_name, ".damaged")) != 0) {
            see_number(r->ingest, number);
        } else if ((number = number_of(e->d_name, ".dcm")) != 0) {
            see_number(r->ingest, number);
            ingest__path(path, r->ingest, number, ".dcm");
            result = replay_file(r, number, path, error);
        }
    }
    closedir(folder);
    rmdir(path); /* where all of it was packed */
    return result;
}

static int replay_folders(replay *r, scp_error *error)
{
    DIR *folder = opendir(r->ingest->folder);
    if (folder == NULL)
        return scp_fail(error, "cannot read %s: %s", r->ingest->folder, strerror(errno));
    int result = 0;
    scp_error batch_error = SCP_ERROR_INIT;
    index_begin_batch(r->ingest->index);
    for (const struct dirent *e; result == 0 && (e = readdir(folder)) != NULL;) {
        if (e->d_name[0] >= '0' && e->d_name[0] <= '9' &&
            strspn(e->d_name, "0123456789") == strlen(e->d_name))
            result = replay_folder(r, e->d_name, error);
    }
    closedir(folder);
    if (index_end_batch(r->ingest->index, result == 0 ? error : &batch_error) != 0)
        result = -1;
    return result;
}

static int replay_into(replay *r, journal_replay_stats *stats, scp_error *error)
{
    scp_ingest *ingest = r->ingest;
    uint64_t newest = 0;
    if (ingest__switch_redo(ingest, &r->packed, &r->npacked, &newest, error) != 0)
        return -1;
    see_number(ingest, newest); /* a note that comes back must not name another instance */
    if (journal_replay(ingest->folder, ingest->folder_fd, restore_record, r, stats, error) != 0)
        return -1;
    /* What the journal held is durable in files before the journal goes. */
    if (stats->records > 0 && syncfs(ingest->folder_fd) != 0)
        return scp_fail(error, "cannot write the spool %s: %s", ingest->folder, strerror(errno));
    if (replay_folders(r, error) != 0 || ingest__numbers_open(ingest, error) != 0)
        return -1;
    int cause = journal_clear(ingest->folder_fd);
    if (cause != 0)
        return scp_fail(error, "cannot empty the journal in %s: %s", ingest->folder,
                        strerror(cause));
    return ingest__switch_forget(ingest, error);
}

static int replay_all(scp_ingest *ingest, scp_error *error)
{
    replay r = {.ingest = ingest};
    journal_replay_stats stats = {0};
    const int result = replay_into(&r, &stats, error);
    free(r.packed);
    if (result != 0)
        return -1;
    const bool crashed = stats.records > 0 || r.counts.torn > 0 || r.counts.unfinished > 0;
    log_event(crashed ? LOG_WARN : LOG_INFO, "spool.opened", LOG_T("folder", ingest->folder),
              LOG_U("instances", r.counts.files), LOG_U("journal_records", stats.records),
              LOG_U("torn_tails", stats.torn_segments),
              LOG_U("damaged_segments", stats.damaged_segments),
              LOG_U("restored", r.counts.restored), LOG_U("torn", r.counts.torn),
              LOG_U("unfinished", r.counts.unfinished), LOG_U("indexed", r.counts.indexed),
              LOG_U("packed", r.npacked));
    return 0;
}

/* ---- Life ---- */

/* 0: it is not the path of a spool file. */
static uint64_t number_of_path(const scp_ingest *ingest, const char *path)
{
    char own[INGEST_PATH_SIZE];
    const char *name = strrchr(path, '/');
    const uint64_t number = name != NULL ? number_of(name + 1, ".dcm") : 0;
    ingest__path(own, ingest, number, ".dcm");
    return strcmp(own, path) == 0 ? number : 0;
}

static bool has_for_reader(void *context, const char *path)
{
    scp_ingest *ingest = context;
    const uint64_t number = number_of_path(ingest, path);
    return number != 0 && ingest__unwritten_has(ingest, number);
}

/* Somebody wants to open this path, and there is nothing. */
static void make_for_reader(void *context, const char *path)
{
    scp_ingest *ingest = context;
    const uint64_t number = number_of_path(ingest, path);
    const int cause = number != 0 ? ingest__make_file(ingest, number) : 0;
    if (cause != 0)
        log_event(LOG_ERROR, "spool.not_written", LOG_T("path", path),
                  LOG_T("reason", strerror(cause)));
}

int ingest_open(scp_ingest **out, const scp_options *options, scp_index *index, series_pool *series,
                scp_error *error)
{
    *out = NULL;
    scp_ingest *ingest = calloc(1, sizeof *ingest);
    if (ingest == NULL)
        return scp_fail(error, "out of memory for the spool");
    ingest->options = options;
    ingest->index = index;
    ingest->series = series;
    ingest->folder_fd = ingest->lock_fd = -1;
    atomic_init(&ingest->next_number, 1);
    ingest__unwritten_init(&ingest->unwritten);
    ingest__backlog_init(&ingest->backlog);
    pthread_mutex_init(&ingest->numbers_lock, NULL);
    pthread_mutex_init(&ingest->buffers_lock, NULL);
    pthread_mutex_init(&ingest->lock, NULL);
    steady_cond_init(&ingest->changed);
    int result = open_folder(ingest, error);
    if (result == 0)
        result = replay_all(ingest, error);
    if (result == 0 && options->durability == DURABILITY_FSYNC)
        result =
            journal_open(&ingest->journal, ingest->folder_fd, options->store_journal_mb, error);
    if (result == 0)
        result = ingest__start_indexing(ingest, error);
    if (result == 0)
        result = ingest__packer_start(ingest, error);
    if (result != 0) {
        ingest_close(ingest);
        return -1;
    }
    ingest->maker = (series_maker){NULL, has_for_reader, make_for_reader, ingest};
    series_pool_add_maker(series, &ingest->maker);
    *out = ingest;
    return 0;
}

void ingest_close(scp_ingest *ingest)
{
    if (ingest == NULL)
        return;
    series_pool_remove_maker(ingest->series, &ingest->maker);
    ingest__packer_stop(ingest);
    ingest__stop_indexing(ingest);
    free(ingest->retired.notes);
    journal_close(ingest->journal);
    ingest->journal = NULL;
    ingest__numbers_close(ingest);
    if (ingest->lock_fd >= 0)
        close(ingest->lock_fd);
    if (ingest->folder_fd >= 0)
        close(ingest->folder_fd);
    free(ingest->folder);
    ingest__backlog_free(&ingest->backlog);
    ingest__unwritten_free(&ingest->unwritten);
    while (ingest->nbuffers > 0)
        journal_buffer_free(ingest->buffers[--ingest->nbuffers]);
    pthread_mutex_destroy(&ingest->buffers_lock);
    pthread_mutex_destroy(&ingest->numbers_lock);
    pthread_cond_destroy(&ingest->changed);
    pthread_mutex_destroy(&ingest->lock);
    free(ingest);
}
