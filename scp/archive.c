/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive.c - the archive's life: the first scan, the thread that follows the events, and scanning
 * again where events were lost or cannot be had.
 *
 * A scan begins with no folder known and no watch, so that whatever was missed or torn before, the
 * index is right after it. Threads: archive_private.h.
 */
#include "archive_private.h"
#include "log.h"
#include "steady_clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static void tell_generation(scp_archive *archive)
{
    pthread_mutex_lock(&archive->lock);
    archive->generation++;
    pthread_cond_broadcast(&archive->changed);
    pthread_mutex_unlock(&archive->lock);
}

/* Ends the batch: what was written is seen from here on. */
static void end_batch(scp_archive *archive)
{
    scp_error error = SCP_ERROR_INIT;
    if (index_end_batch(archive->index, &error) != 0)
        archive__index_failed(archive, &error);
}

/* ---- Scanning ---- */

static void open_inotify(scp_archive *archive)
{
    if (archive->inotify_fd >= 0)
        close(archive->inotify_fd);
    archive->nwatches = 0;
    archive->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (archive->inotify_fd >= 0)
        return;
    archive->incomplete = true;
    if (!archive->told_incomplete)
        log_event(LOG_WARN, "archive.not_watched", LOG_T("reason", strerror(errno)),
                  LOG_U("rescan_s", archive->tuning.rescan_ms / 1000),
                  LOG_T("effect", "changes are found by scanning; raise "
                                  "fs.inotify.max_user_instances"));
    archive->told_incomplete = true;
}

static void find_real_roots(scp_archive *archive)
{
    for (uint32_t i = 0; i < archive->options->narchives; i++) {
        archive_root *root = &archive->archive_roots[i];
        char *real = realpath(root->path, NULL);
        if (real == NULL && (root->real != NULL || !archive->scanned))
            log_event(LOG_ERROR, "archive.folder_missing", LOG_T("path", root->path),
                      LOG_T("reason", strerror(errno)));
        else if (real != NULL && root->real == NULL && archive->scanned)
            log_event(LOG_INFO, "archive.folder_back", LOG_T("path", root->path));
        free(root->real);
        root->real = real;
        root->nseen = root->nkept = 0;
    }
}

/* A mount point with nothing mounted has no folders, and at most a note that says so. */
static bool has_folders(const scp_archive *archive, const char *path)
{
    for (const folder *root = archive->roots; root != NULL; root = root->sibling)
        if (strcmp(root->path, path) == 0)
            return root->children != NULL;
    return false;
}

/* Which archive folders are lost? One in which a file or folder was seen is not, nor one that is
   the folder that it was: its files were deleted. */
static void find_lost_roots(scp_archive *archive)
{
    for (uint32_t i = 0; i < archive->options->narchives; i++) {
        archive_root *root = &archive->archive_roots[i];
        struct stat now;
        bool there = stat(root->path, &now) == 0 && access(root->path, R_OK | X_OK) == 0;
        bool same = there && root->before.st_nlink > 0 && now.st_dev == root->before.st_dev &&
                    now.st_ino == root->before.st_ino;
        bool lost = root->nseen == 0 && !same && !has_folders(archive, root->path);
        if (lost && !root->lost)
            root->lost_ms = steady_clock_ms();
        root->lost = lost;
        if (there && !lost)
            root->before = now;
    }
}

/* One of which the index knows no file is just empty. */
static void tell_lost_roots(scp_archive *archive)
{
    for (uint32_t i = 0; i < archive->options->narchives; i++) {
        archive_root *root = &archive->archive_roots[i];
        root->lost = root->lost && root->nkept > 0;
        if (!root->lost && root->before.st_nlink == 0 && stat(root->path, &root->before) != 0)
            root->before.st_nlink = 0;
        archive->incomplete |= root->lost; /* to see it come back */
        if (root->lost && root->lost_ms >= archive->scan_start_ms)
            log_event(LOG_ERROR, "archive.folder_lost", LOG_T("path", root->path),
                      LOG_U("files", root->nkept),
                      LOG_U("kept_hours", (uint64_t)archive->tuning.keep_ms / 3600000),
                      LOG_T("effect", "its files are still found and cannot be retrieved; mount "
                                      "it again, or take it out of the configuration"));
    }
}

static void scan(scp_archive *archive)
{
    int64_t start_ms = archive->scan_start_ms = steady_clock_ms();
    archive->nfiles_seen = archive->nfiles_read = 0;
    archive->next_progress_ms = start_ms + 5000;
    archive->incomplete = archive->rescan_now = false;
    archive->scanning_again = archive->scanned;
    archive__drop_folders(archive);
    open_inotify(archive);
    find_real_roots(archive);
    index_begin_batch(archive->index);
    for (uint32_t i = 0; i < archive->options->narchives; i++)
        archive__add_folder(archive, NULL, archive->options->archives[i]);
    if (!atomic_load(&archive->stopping)) {
        find_lost_roots(archive);
        archive__remove_vanished(archive);
        tell_lost_roots(archive);
    }
    end_batch(archive);
    if (!archive->incomplete)
        archive->told_incomplete = false;
    log_event(archive->scanned && archive->nfiles_read == 0 ? LOG_DEBUG : LOG_INFO, "scan.finished",
              LOG_U("files", archive->nfiles_seen), LOG_U("read", archive->nfiles_read),
              LOG_U("folders", archive->folders.n), LOG_U("watched", archive->nwatches),
              LOG_MS("ms", (double)(steady_clock_ms() - start_ms)));
    archive->scanned = true;
    archive->scanning_again = archive->read_all = false;
}

/* Another disk mounted over an archive folder, or taken away, gives no event. */
static bool roots_changed(const scp_archive *archive)
{
    for (const folder *root = archive->roots; root != NULL; root = root->sibling) {
        struct stat st;
        if (stat(root->path, &st) != 0 || st.st_ino != root->inode || st.st_dev != root->device)
            return true;
    }
    return false;
}

/* ---- Watching ---- */

static void take_events(scp_archive *archive, char *buffer)
{
    ssize_t nbytes = read(archive->inotify_fd, buffer, archive->tuning.queue_bytes);
    index_begin_batch(archive->index);
    for (ssize_t pos = 0; pos < nbytes && !atomic_load(&archive->stopping);) {
        const struct inotify_event *event = (const struct inotify_event *)(void *)(buffer + pos);
        archive__event(archive, event);
        pos += (ssize_t)(sizeof *event + event->len);
    }
    end_batch(archive);
}

/* Somebody wrote to stop_fd: the end, or a scan is asked for. */
static void take_request(scp_archive *archive)
{
    uint64_t n;
    if (read(archive->stop_fd, &n, sizeof n) != (ssize_t)sizeof n)
        return;
    const int asked = atomic_exchange(&archive->asked, 0);
    if (asked == 0)
        return;
    archive->rescan_now = true;
    archive->read_all = asked == 2;
    log_event(LOG_INFO, "scan.asked_for", LOG_T("reads", asked == 2 ? "all" : "news"));
}

static int wait_ms(const scp_archive *archive, int64_t next_settle_ms)
{
    int64_t due_ms = archive->next_check_ms;
    if (next_settle_ms >= 0 && next_settle_ms < due_ms)
        due_ms = next_settle_ms;
    int64_t left_ms = due_ms - steady_clock_ms();
    return left_ms < 0 ? 0 : left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

static void *watch(void *context)
{
    scp_archive *archive = context;
    char *buffer = malloc(archive->tuning.queue_bytes);
    int64_t next_settle_ms = archive__settle(archive, 0);
    archive->next_check_ms = steady_clock_ms() + archive->tuning.rescan_ms;
    while (buffer != NULL && !atomic_load(&archive->stopping)) {
        struct pollfd fds[2] = {{.fd = archive->stop_fd, .events = POLLIN},
                                {.fd = archive->inotify_fd, .events = POLLIN}};
        poll(fds, 2, wait_ms(archive, next_settle_ms));
        if (fds[1].revents & POLLIN)
            take_events(archive, buffer);
        if (steady_clock_ms() >= archive->next_check_ms) {
            archive->next_check_ms = steady_clock_ms() + archive->tuning.rescan_ms;
            archive->rescan_now |= archive->incomplete || roots_changed(archive);
        }
        if (fds[0].revents & POLLIN)
            take_request(archive);
        if (archive->rescan_now && !atomic_load(&archive->stopping))
            scan(archive);
        next_settle_ms = archive__settle(archive, steady_clock_ms());
        tell_generation(archive);
    }
    if (buffer == NULL)
        log_event(LOG_ERROR, "archive.not_watched", LOG_T("reason", "out of memory"));
    free(buffer);
    return NULL;
}

static void wake(scp_archive *archive)
{
    const uint64_t one = 1;
    if (write(archive->stop_fd, &one, sizeof one) != (ssize_t)sizeof one)
        log_event(LOG_ERROR, "archive.wake_failed", LOG_T("reason", strerror(errno)));
}

void archive_rescan(scp_archive *archive, bool read_all)
{
    int asked = atomic_load(&archive->asked);
    const int wanted = read_all ? 2 : 1;
    while (asked < wanted && !atomic_compare_exchange_weak(&archive->asked, &asked, wanted))
        ;
    wake(archive);
}

uint64_t archive_generation(scp_archive *archive)
{
    pthread_mutex_lock(&archive->lock);
    uint64_t generation = archive->generation;
    pthread_mutex_unlock(&archive->lock);
    return generation;
}

bool archive_wait(scp_archive *archive, uint64_t *seen, int timeout_ms)
{
    const int64_t until_ms = steady_clock_ms() + timeout_ms;
    pthread_mutex_lock(&archive->lock);
    while (archive->generation == *seen &&
           steady_cond_wait(&archive->changed, &archive->lock, until_ms))
        ;
    bool changed = archive->generation != *seen;
    *seen = archive->generation;
    pthread_mutex_unlock(&archive->lock);
    return changed;
}

/* ---- Life ---- */

static void free_archive(scp_archive *archive)
{
    archive__drop_folders(archive);
    if (archive->inotify_fd >= 0)
        close(archive->inotify_fd);
    if (archive->stop_fd >= 0)
        close(archive->stop_fd);
    for (uint32_t i = 0; i < archive->nunsettled; i++)
        free(archive->unsettled[i].path);
    free(archive->unsettled);
    for (uint32_t i = 0; archive->archive_roots != NULL && i < archive->options->narchives; i++)
        free(archive->archive_roots[i].real);
    free(archive->archive_roots);
    pthread_cond_destroy(&archive->changed);
    pthread_mutex_destroy(&archive->lock);
    free(archive);
}

static int check_roots(const scp_options *options, scp_error *error)
{
    for (uint32_t i = 0; i < options->narchives; i++) {
        struct stat st;
        const char *path = options->archives[i];
        if (stat(path, &st) != 0)
            return scp_fail(error, "cannot read the archive folder %s: %s", path, strerror(errno));
        if (!S_ISDIR(st.st_mode))
            return scp_fail(error, "the archive folder %s is not a folder", path);
        if (access(path, R_OK | X_OK) != 0)
            return scp_fail(error, "cannot read the archive folder %s: %s", path, strerror(errno));
    }
    return 0;
}

/* Signals are the main thread's. */
static int start_thread(scp_archive *archive)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&archive->thread, NULL, watch, archive);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int archive_start(scp_archive **out, const scp_options *options, scp_index *index,
                  series_pool *series, const archive_tuning *tuning, scp_error *error)
{
    static const archive_tuning default_tuning = ARCHIVE_TUNING_INIT;
    *out = NULL;
    if (check_roots(options, error) != 0)
        return -1;
    scp_archive *archive = calloc(1, sizeof *archive);
    if (archive == NULL)
        return scp_fail(error, "out of memory for the archive");
    archive->options = options;
    archive->index = index;
    archive->series = series;
    archive->tuning = tuning != NULL ? *tuning : default_tuning;
    archive->inotify_fd = -1;
    archive->stop_fd = eventfd(0, EFD_CLOEXEC);
    archive->archive_roots = calloc(options->narchives + 1, sizeof *archive->archive_roots);
    for (uint32_t i = 0; archive->archive_roots != NULL && i < options->narchives; i++)
        archive->archive_roots[i].path = options->archives[i];
    steady_cond_init(&archive->changed);
    pthread_mutex_init(&archive->lock, NULL);
    int rc = archive->stop_fd < 0 ? errno : archive->archive_roots == NULL ? ENOMEM : 0;
    if (rc == 0) {
        scan(archive);
        rc = start_thread(archive);
    }
    if (rc != 0) {
        free_archive(archive);
        return scp_fail(error, "cannot watch the archive: %s", strerror(rc));
    }
    *out = archive;
    return 0;
}

void archive_stop(scp_archive *archive)
{
    if (archive == NULL)
        return;
    atomic_store(&archive->stopping, true);
    wake(archive);
    pthread_join(archive->thread, NULL);
    free_archive(archive);
}
