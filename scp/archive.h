/* SPDX-License-Identifier: Apache-2.0 */
/*
 * archive.h - keeps the index true to the archive folders: a scan at the start, then a thread that
 * watches them.
 *
 * Files are those named *.dcbs, and the DICOM files that packing keeps verbatim beside them, by
 * their name (INGEST.md). Hidden files and folders (a leading dot) and the state folder are
 * left out. Symbolic links are followed where they lead out of the archive folders; what one leads
 * to within them is there already.
 *
 * A file is read when it is closed by who wrote it, moved in, or found with another stamp than the
 * index knows. One that cannot be read is reported once, with its reason, and read again when it
 * changes. One that ends before its frames do is such a file; where it was written to lately it is
 * given time first.
 *
 * What is deleted leaves the index. But an archive folder that is not there any more, or is another
 * folder now and has neither files nor folders, is taken for a disk that dropped off: its files
 * stay in the index, are found, and fail to be retrieved, until the folder is back or keep_ms is
 * over.
 *
 * Threads: start and stop belong to one thread; the others may be called from any.
 */
#ifndef ARCHIVE_H
#define ARCHIVE_H

#include "index.h"
#include "options.h"
#include "series_pool.h"

typedef struct scp_archive scp_archive;

typedef struct archive_tuning {
    uint32_t max_watches; /* folders watched at most; beyond, the folders are scanned regularly */
    uint32_t rescan_ms;   /* how often, where not all can be watched */
    uint32_t settle_ms;   /* a file that cannot be read is judged when unchanged for so long */
    uint32_t grow_ms;     /* the same for one that ends before its frames do */
    int64_t keep_ms;      /* how long the files of a lost archive folder stay in the index */
    uint32_t queue_bytes; /* events taken at once */
} archive_tuning;

#define ARCHIVE_TUNING_INIT                                                                        \
    {                                                                                              \
        UINT32_MAX, 60000, 2000, 30000, 7 * 86400000LL, 65536                                      \
    }

/* Scans all folders (this may take long; a line in the log every few seconds tells how far it is),
   then starts the thread that watches them. tuning: NULL for the defaults. Fails where an
   archive folder cannot be read. All arguments must outlive the archive. */
int archive_start(scp_archive **out, const scp_options *options, scp_index *index,
                  series_pool *series, const archive_tuning *tuning, scp_error *error);
/* Ends the thread, within the time that reading one file takes. */
void archive_stop(scp_archive *archive);

/* Has all folders scanned soon, by the archive's thread; with read_all every file is read again,
   also where the index knows it as it is. Nothing vanishes meanwhile. */
void archive_rescan(scp_archive *archive, bool read_all);

/* How often the index was brought up to date so far. */
uint64_t archive_generation(scp_archive *archive);
/* Waits until the generation is another than *seen, and stores it there; false after timeout_ms. */
bool archive_wait(scp_archive *archive, uint64_t *seen, int timeout_ms);

#endif
