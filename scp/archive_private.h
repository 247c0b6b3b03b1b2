/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive_private.h - what the files of the archive share: archive.c (life, thread, scans),
 * archive_folders.c (folders, their watches and events), archive_folder_table.c, archive_file.c
 * (reading and judging a file).
 *
 * All but what the lock guards belongs to one thread: the starter's until the first scan is done,
 * then the watcher's.
 */
#ifndef ARCHIVE_PRIVATE_H
#define ARCHIVE_PRIVATE_H

#include "archive.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/inotify.h>
#include <sys/stat.h>

/* A folder that is scanned, and watched where wd >= 0. Children form a list. */
typedef struct folder {
    struct folder *parent, *children, *sibling;
    struct folder *next_by_wd, *next_by_identity;
    char *path;
    dev_t device;
    ino_t inode;
    int wd;
    bool via_link;   /* its parent has a symbolic link of its name */
    bool unreadable; /* could not be listed */
} folder;

/* Finds folders by watch, and by identity so that none is scanned twice. */
typedef struct folder_table {
    uint32_t n, mask;
    folder **by_wd, **by_identity;
} folder_table;

/* An archive folder. */
typedef struct archive_root {
    const char *path;   /* the option's */
    char *real;         /* without links; NULL where it is not there */
    struct stat before; /* as it was when it was not lost; st_nlink 0: never */
    uint64_t nseen;     /* files below it, of the scan under way */
    bool lost;          /* nothing of it can be seen, and that was not so */
    int64_t lost_ms;    /* since when */
    uint64_t nkept;     /* files that the scan kept in the index for that */
} archive_root;

/* A file that could not be read but was written to lately. */
typedef struct unsettled_file {
    char *path;
    file_stamp stamp;
    int64_t due_ms;
} unsettled_file;

struct scp_archive {
    const scp_options *options;
    scp_index *index;
    series_pool *series;
    archive_tuning tuning;
    archive_root *archive_roots; /* options->narchives */

    int inotify_fd; /* -1: none to be had */
    uint32_t nwatches;
    folder *roots; /* a list */
    folder_table folders;
    bool incomplete;      /* something is not watched, or was not written: scan again */
    bool told_incomplete; /* that there are too few watches */
    bool scanned;         /* the first scan is over */
    bool scanning_again;
    bool rescan_now;
    bool read_all;    /* in the scan under way: also files that are known */
    atomic_int asked; /* for a scan: 1, 2 of which all files are read */
    int64_t next_check_ms;

    uint32_t nunsettled, unsettled_capacity;
    unsettled_file *unsettled;

    uint64_t nfiles_seen, nfiles_read; /* of the scan under way */
    int64_t scan_start_ms, next_progress_ms;

    pthread_t thread;
    int stop_fd;
    atomic_bool stopping;

    pthread_mutex_t lock; /* generation */
    pthread_cond_t changed;
    uint64_t generation;
};

/* ---- archive_file.c ---- */

typedef enum file_news {
    FILE_SEEN,    /* met in a scan: read if its stamp is new */
    FILE_TOUCHED, /* something about it changed: read also if it was bad */
    FILE_WRITTEN, /* its writer closed it: read in any case */
} file_news;

/* Is the name that of a file to be indexed? */
bool archive__is_file_name(const char *name);
/* Brings the index up to date with the file. */
void archive__file(scp_archive *archive, const char *path, file_news news);
void archive__file_gone(scp_archive *archive, const char *path);
/* Judges the files whose time to settle is over; returns when the next is due, or -1. */
int64_t archive__settle(scp_archive *archive, int64_t now_ms);
/* A failed write of the index: told, and made good by the next scan. */
void archive__index_failed(scp_archive *archive, const scp_error *error);

/* ---- archive_folder_table.c ---- */

/* False: out of memory. */
bool archive__insert_folder(folder_table *table, folder *f);
void archive__take_out_folder(folder_table *table, folder *f);
/* NULL where there is none. */
folder *archive__find_by_wd(const folder_table *table, int wd);
folder *archive__find_by_identity(const folder_table *table, const struct stat *st);
/* The folders themselves stay the caller's. */
void archive__clear_folder_table(folder_table *table);

/* ---- archive_folders.c ---- */

/* Adds a folder with all below it, and reads its files. parent NULL: a root. */
void archive__add_folder(scp_archive *archive, folder *parent, const char *path);
/* One inotify event. */
void archive__event(scp_archive *archive, const struct inotify_event *event);
/* Forgets all folders and their watches; the index stays. */
void archive__drop_folders(scp_archive *archive);
/* Is the path below the folder, by name? */
bool archive__is_below(const char *path, const char *folder_path);
/* Removes from the index what is no longer in the folders, but not what is in a lost one. */
void archive__remove_vanished(scp_archive *archive);

#endif
