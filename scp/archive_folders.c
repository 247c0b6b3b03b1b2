/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive_folders.c - the folders of the archive as a tree, each with its inotify watch, and what
 * an event means.
 *
 * Invariant: a folder is watched before it is listed, so a change is either listed or told. No
 * folder is in the tree twice, whatever links and overlapping archive folders there are. One thread
 * (archive_private.h).
 */
#include "archive_private.h"
#include "log.h"
#include "steady_clock.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WATCHED_EVENTS                                                                             \
    (IN_CREATE | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |            \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* ---- The tree ---- */

static folder *find_child(folder *parent, const char *path)
{
    folder *child = parent->children;
    while (child != NULL && strcmp(child->path, path) != 0)
        child = child->sibling;
    return child;
}

/* ---- Dropping ---- */

static void drop_subtree(scp_archive *archive, folder *f)
{
    while (f->children != NULL) {
        folder *child = f->children;
        f->children = child->sibling;
        drop_subtree(archive, child);
    }
    archive__take_out_folder(&archive->folders, f);
    if (f->wd >= 0) {
        inotify_rm_watch(archive->inotify_fd, f->wd); /* fails where the folder is gone: fine */
        archive->nwatches--;
    }
    free(f->path);
    free(f);
}

void archive__drop_folders(scp_archive *archive)
{
    while (archive->roots != NULL) {
        folder *root = archive->roots;
        archive->roots = root->sibling;
        drop_subtree(archive, root);
    }
    archive__clear_folder_table(&archive->folders);
}

bool archive__is_below(const char *path, const char *folder_path)
{
    size_t length = strlen(folder_path);
    return strncmp(path, folder_path, length) == 0 &&
           (path[length] == '/' || (length > 0 && folder_path[length - 1] == '/'));
}

static bool forget_file(void *context, const char *path)
{
    scp_archive *archive = context;
    series_pool_forget(archive->series, path);
    return false;
}

static bool still_there(void *context, const char *path)
{
    scp_archive *archive = context;
    struct stat st;
    const bool to_be_made = series_pool_can_make(archive->series, path); /* asked first */
    int cause = stat(path, &st) == 0 ? 0 : errno;
    bool there = to_be_made || (cause == 0 && S_ISREG(st.st_mode)), below = false, lost = false;
    for (uint32_t i = 0; i < archive->options->narchives; i++) {
        archive_root *root = &archive->archive_roots[i];
        if (!archive__is_below(path, root->path))
            continue;
        below = true;
        if (there || !root->lost || steady_clock_ms() - root->lost_ms > archive->tuning.keep_ms)
            continue;
        lost = true;
        root->nkept++;
    }
    /* A disk that cannot be read says nothing of what is on it. */
    bool unknown = cause != 0 && cause != ENOENT && cause != ENOTDIR;
    if (below && (there || lost || unknown))
        return true;
    return forget_file(archive, path);
}

static void remove_files(scp_archive *archive, const char *folder_path,
                         bool (*keep)(void *context, const char *path))
{
    uint32_t nremoved = 0;
    scp_error error = SCP_ERROR_INIT;
    if (index_remove_files(archive->index, folder_path, keep, archive, &nremoved, &error) != 0)
        archive__index_failed(archive, &error);
    if (nremoved > 0)
        log_event(LOG_INFO, "files.removed",
                  LOG_T("folder", folder_path != NULL ? folder_path : ""),
                  LOG_U("files", nremoved));
}

void archive__remove_vanished(scp_archive *archive)
{
    remove_files(archive, NULL, still_there);
}

/* The folder was removed, renamed or moved away. */
static void remove_folder(scp_archive *archive, folder *f)
{
    char *path = strdup(f->path);
    folder **link = f->parent != NULL ? &f->parent->children : &archive->roots;
    while (*link != f)
        link = &(*link)->sibling;
    *link = f->sibling;
    drop_subtree(archive, f);
    if (path != NULL)
        remove_files(archive, path, forget_file);
    else
        archive->rescan_now = true;
    free(path);
}

/* ---- Adding ---- */

/* Told in the first scan and by events, not again by each scan that follows. A folder that we may
   not read is no reason to scan again: its permissions are watched. */
static void complain(scp_archive *archive, const char *path, int cause)
{
    if (cause != EACCES)
        archive->incomplete = true;
    if (!archive->scanning_again)
        log_event(LOG_WARN, "folder.unreadable", LOG_T("path", path),
                  LOG_T("reason", strerror(cause)));
}

static int add_watch(scp_archive *archive, const char *path)
{
    int wd = -1;
    errno = ENOSPC;
    if (archive->inotify_fd >= 0 && archive->nwatches < archive->tuning.max_watches)
        wd = inotify_add_watch(archive->inotify_fd, path, WATCHED_EVENTS);
    if (wd >= 0) {
        archive->nwatches++;
        return wd;
    }
    if (errno == ENOSPC || errno == ENOMEM) {
        archive->incomplete = true;
        if (!archive->told_incomplete)
            log_event(LOG_WARN, "archive.watch_limit", LOG_U("watched", archive->nwatches),
                      LOG_U("rescan_s", archive->tuning.rescan_ms / 1000),
                      LOG_T("effect", "changes are found by scanning; raise "
                                      "fs.inotify.max_user_watches"));
        archive->told_incomplete = true;
    }
    return -1;
}

/* A link to what is in the archive anyway is not followed, nor one that leads nowhere. */
static bool link_is_followed(const scp_archive *archive, const char *path)
{
    char *target = realpath(path, NULL);
    bool followed = target != NULL;
    for (uint32_t i = 0; followed && i < archive->options->narchives; i++) {
        const char *root = archive->archive_roots[i].real;
        followed = root == NULL || (!archive__is_below(target, root) && strcmp(target, root) != 0);
    }
    free(target);
    return followed;
}

/* Is the folder known, where it is now? One that was moved here before its event was seen is not:
   what is known of its old place goes. */
static bool is_in_tree(scp_archive *archive, const folder *parent, const char *path,
                       const struct stat *st)
{
    folder *known = archive__find_by_identity(&archive->folders, st);
    struct stat there;
    if (known == NULL)
        return false;
    for (const folder *above = parent; above != NULL; above = above->parent) {
        if (above == known) { /* it changed places while it is being listed */
            archive->rescan_now = strcmp(known->path, path) != 0;
            return true;
        }
    }
    if (strcmp(known->path, path) == 0 ||
        (stat(known->path, &there) == 0 && there.st_ino == st->st_ino &&
         there.st_dev == st->st_dev))
        return true;
    remove_folder(archive, known);
    return false;
}

static folder *make_folder(scp_archive *archive, folder *parent, const char *path,
                           const struct stat *st)
{
    folder *f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    f->path = strdup(path);
    f->device = st->st_dev;
    f->inode = st->st_ino;
    f->parent = parent;
    f->wd = f->path != NULL ? add_watch(archive, path) : -1;
    if (f->path == NULL || !archive__insert_folder(&archive->folders, f)) {
        free(f->path);
        free(f);
        return NULL;
    }
    folder **list = parent != NULL ? &parent->children : &archive->roots;
    f->sibling = *list;
    *list = f;
    return f;
}

static void add_entry(scp_archive *archive, folder *f, const char *name, unsigned char type);

static void tell_progress(scp_archive *archive)
{
    int64_t now_ms = steady_clock_ms();
    if (now_ms < archive->next_progress_ms)
        return;
    archive->next_progress_ms = now_ms + 5000;
    log_event(LOG_INFO, "scan.progress", LOG_U("files", archive->nfiles_seen),
              LOG_U("read", archive->nfiles_read));
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

void archive__add_folder(scp_archive *archive, folder *parent, const char *path)
{
    struct stat st;
    if (strcmp(path, archive->options->state_dir) == 0)
        return;
    if (stat(path, &st) != 0) {
        if (errno != ENOENT || parent == NULL)
            complain(archive, path, errno);
        return;
    }
    if (!S_ISDIR(st.st_mode) || is_in_tree(archive, parent, path, &st))
        return;
    folder *f = make_folder(archive, parent, path, &st);
    if (f == NULL) {
        complain(archive, path, ENOMEM);
        return;
    }
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_visible, alphasort);
    f->unreadable = n < 0;
    /* Gone again is no complaint: its parent tells. */
    if (n < 0 && (errno != ENOENT || parent == NULL))
        complain(archive, path, errno);
    for (int i = 0; i < n; i++) {
        if (!atomic_load(&archive->stopping))
            add_entry(archive, f, entries[i]->d_name, entries[i]->d_type);
        free(entries[i]);
        tell_progress(archive);
    }
    free(entries);
}

/* A name that was listed or told. type: DT_..., DT_UNKNOWN where it is to be looked up. */
static void add_entry(scp_archive *archive, folder *f, const char *name, unsigned char type)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", f->path, name) < 0) {
        complain(archive, f->path, ENOMEM);
        return;
    }
    struct stat st;
    if (type == DT_UNKNOWN && lstat(path, &st) == 0)
        type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISLNK(st.st_mode) ? DT_LNK : DT_REG;
    bool via_link = type == DT_LNK;
    if (via_link && link_is_followed(archive, path) && stat(path, &st) == 0)
        type = S_ISDIR(st.st_mode) ? DT_DIR : DT_REG;
    if (type == DT_DIR) {
        archive__add_folder(archive, f, path);
        folder *child = f->children;
        if (child != NULL && strcmp(child->path, path) == 0)
            child->via_link = via_link;
    } else if (type == DT_REG && archive__is_file_name(name)) {
        archive__file(archive, path, archive->scanned ? FILE_SEEN : FILE_TOUCHED);
    }
    free(path);
}

/* ---- Events ---- */

/* A name came into being without being written to: a link, or a folder. A new file is told again
   when it is closed. */
static void name_created(scp_archive *archive, folder *f, const char *name, const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && (!S_ISREG(st.st_mode) || st.st_nlink > 1))
        add_entry(archive, f, name, DT_UNKNOWN);
}

static void name_gone(scp_archive *archive, folder *f, const char *name, const char *path)
{
    folder *child = find_child(f, path);
    if (child != NULL)
        remove_folder(archive, child);
    else if (archive__is_file_name(name))
        archive__file_gone(archive, path);
}

static void name_event(scp_archive *archive, folder *f, const char *name, uint32_t mask)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", f->path, name) < 0) {
        archive->rescan_now = true;
        return;
    }
    if (mask & (IN_DELETE | IN_MOVED_FROM)) {
        name_gone(archive, f, name, path);
    } else if (mask & IN_MOVED_TO) {
        add_entry(archive, f, name, DT_UNKNOWN);
    } else if (mask & IN_CREATE) {
        name_created(archive, f, name, path);
    } else if (mask & IN_ISDIR) {
        folder *child = find_child(f, path); /* its permissions changed */
        if (child != NULL && child->unreadable)
            remove_folder(archive, child);
        archive__add_folder(archive, f, path);
    } else if (archive__is_file_name(name)) {
        archive__file(archive, path, mask & IN_CLOSE_WRITE ? FILE_WRITTEN : FILE_TOUCHED);
    }
    free(path);
}

void archive__event(scp_archive *archive, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW) {
        log_event(LOG_WARN, "archive.events_lost",
                  LOG_T("effect", "scanning all folders; raise fs.inotify.max_queued_events"));
        archive->rescan_now = true;
        return;
    }
    folder *f = archive__find_by_wd(&archive->folders, event->wd);
    if (f == NULL)
        return; /* of a folder that we dropped */
    if (event->len > 0) {
        if (event->name[0] != '.')
            name_event(archive, f, event->name, event->mask);
        return;
    }
    /* The parent's events tell of a folder that goes; nobody else does of these. */
    if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT) &&
        (f->parent == NULL || f->via_link || event->mask & IN_UNMOUNT))
        archive->rescan_now = true;
}
