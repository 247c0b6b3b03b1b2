/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.h - a file that is being written; for writer*.c alone.
 *
 * Frames are encoded by a pool, written in order to a spool (a file without a name in the target's
 * folder), and copied from there to the new file at the commit.
 *
 * Threads: the caller's, one at a time; pool threads see nothing but their job.
 */
#ifndef WRITER_H
#define WRITER_H

#include "trailer.h"
#include "worker_pool.h"
#include "writer_geometry.h"
#include "writer_instance.h"
#include "writer_merge.h"

#define DCB_CHUNK_ROOM (4u << 20) /* unpacked bytes of data sets that share a chunk */

/* One frame on its way through the pool. */
typedef struct dcb__encoding_job {
    uint32_t slice;
    uint8_t *samples; /* for codecs; NULL: bytes are there already */
    uint32_t rows, columns;
    uint16_t components, precision;
    bool is_signed;
    uint8_t *bytes;
    size_t nbytes;
    dcb_status status;
    dcb_error error;
} dcb__encoding_job;

/* Where a frame stands in the spool. */
typedef struct dcb__spooled {
    uint64_t offset, nbytes, checksum;
} dcb__spooled;

/* What all slices have in common: the first one's. */
typedef struct dcb__common_kind {
    uint16_t allocated, samples, precision;
    bool is_signed, component_transform;
    double slope, intercept;
    bool has_window;
    double window_center, window_width;
    char study_uid[DCB_UID_ROOM], series_uid[DCB_UID_ROOM];
} dcb__common_kind;

struct dcb_writer {
    dcb_writer_options options;
    char *folder, *name; /* of the target */
    int folder_fd, spool_fd;
    uint64_t spool_nbytes;
    dcb_error broken; /* status is not DCB_OK once nothing more can be done */

    dcb__worker_pool *pool;
    dcb__encoding_job **ring; /* jobs in order, from the oldest */
    uint32_t ring_first, ring_count, ring_capacity;

    uint32_t nslices, capacity; /* of the arrays below */
    dcb__spooled *frames;
    dcb__slice_shape *shapes;
    uint64_t *uid_hashes;
    dcb__common_kind kind;
    uint64_t source_bytes;

    dcb__merge merge;
    dcb__writer chunk;                     /* unpacked bytes of the open chunk */
    dcb__writer packed;                    /* closed chunks */
    dcb__writer chunk_rows, rows, strings; /* of the directory; in rows checksums are 0 yet */
    uint32_t nchunks;
    char last_class[DCB_UID_ROOM], last_syntax[DCB_UID_ROOM];
    uint32_t last_class_at, last_syntax_at; /* in strings */
};

/* writer.c */

/* A codestream that is there already, for an instance to come in with. */
typedef struct dcb__given_frame {
    uint8_t *bytes; /* taken over */
    size_t nbytes;
    dcb__codestream header;
} dcb__given_frame;
/* DCB_OK, or why nothing more can be done. */
dcb_status dcb__writer_usable(const dcb_writer *writer, dcb_error *error);
/* Adds what was described; frame NULL: its samples are in the instance. */
dcb_status dcb__writer_add(dcb_writer *writer, dcb__instance *instance, dcb__given_frame *frame,
                           dcb_error *error);

/* writer_frames.c */

/* Queues a frame; its bytes come to frames[job->slice]. Takes the job over, also where it fails. */
dcb_status dcb__frames_add(dcb_writer *writer, dcb__encoding_job *job, dcb_error *error);
/* Waits for all frames. */
dcb_status dcb__frames_drain(dcb_writer *writer, dcb_error *error);
/* Encodes all frames anew, with the precision of their containers. */
dcb_status dcb__frames_widen(dcb_writer *writer, dcb_error *error);
void dcb__frames_cancel(dcb_writer *writer);
void dcb__job_free(dcb__encoding_job *job);
/* A file without a name in the target's folder. */
dcb_status dcb__spool_open(int *fd, const dcb_writer *writer, dcb_error *error);
/* All of it, or DCB_ERR_IO. what names the file in errors. */
dcb_status dcb__write_at(int fd, const void *bytes, size_t nbytes, uint64_t offset,
                         const char *what, dcb_error *error);
dcb_status dcb__read_at(int fd, void *bytes, size_t nbytes, uint64_t offset, const char *what,
                        dcb_error *error);
dcb_status dcb__fail_errno(dcb_error *error, const char *what, int number);

/* writer_directory.c */

/* Adds a slice's bytes to a chunk, and its row to the directory. */
dcb_status dcb__directory_add(dcb_writer *writer, const dcb__instance *instance, dcb_error *error);
dcb_status dcb__directory_close_chunk(dcb_writer *writer, dcb_error *error);
/* The directory and the footer, for a file in which chunks begin at `offset`. sections and the
   header's checksum stand for the rest of the file. Appended to out. */
dcb_status dcb__directory_write(dcb__writer *out, const dcb_writer *writer, uint64_t offset,
                                uint64_t header_checksum,
                                const uint64_t section_checksums[DCB_SECTION_COUNT],
                                dcb_error *error);

/* writer_commit.c */
dcb_status dcb__writer_put_file(dcb_writer *writer, dcb_writer_summary *summary, dcb_error *error);

#endif
