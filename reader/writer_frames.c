/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer_frames.c - frames through the encoder's threads into the spool, in order.
 *
 * Invariant: jobs in the ring are submitted or ready; they leave it from the oldest, so that the
 * spool is written by one thread.
 */
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec.h"
#include "dcb_error.h"

/* ---- Files ----------------------------------------------------------------------------------- */

dcb_status dcb__fail_errno(dcb_error *error, const char *what, int number)
{
    char text[96];
    return dcb__fail(error, DCB_ERR_IO, DCB_NO_OFFSET, "%s: %s", what,
                     strerror_r(number, text, sizeof text));
}

dcb_status dcb__write_at(int fd, const void *bytes, size_t nbytes, uint64_t offset,
                         const char *what, dcb_error *error)
{
    const uint8_t *from = bytes;
    while (nbytes > 0) {
        ssize_t n = pwrite(fd, from, nbytes, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return dcb__fail_errno(error, what, n < 0 ? errno : ENOSPC);
        from += n;
        offset += (uint64_t)n;
        nbytes -= (size_t)n;
    }
    return DCB_OK;
}

dcb_status dcb__read_at(int fd, void *bytes, size_t nbytes, uint64_t offset, const char *what,
                        dcb_error *error)
{
    uint8_t *to = bytes;
    while (nbytes > 0) {
        ssize_t n = pread(fd, to, nbytes, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return dcb__fail_errno(error, what, n < 0 ? errno : EIO);
        to += n;
        offset += (uint64_t)n;
        nbytes -= (size_t)n;
    }
    return DCB_OK;
}

dcb_status dcb__spool_open(int *fd, const dcb_writer *writer, dcb_error *error)
{
    *fd = openat(writer->folder_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    for (unsigned i = 0; *fd < 0 && i < 100; i++) { /* a file system without O_TMPFILE */
        char name[64];
        snprintf(name, sizeof name, ".dcb-spool.%ld.%u.part", (long)getpid(), i);
        *fd = openat(writer->folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (*fd >= 0)
            unlinkat(writer->folder_fd, name, 0);
        else if (errno != EEXIST)
            break;
    }
    return *fd >= 0 ? DCB_OK : dcb__fail_errno(error, "the folder cannot be written to", errno);
}

/* ---- Jobs ------------------------------------------------------------------------------------ */

void dcb__job_free(dcb__encoding_job *job)
{
    if (job == NULL)
        return;
    free(job->samples);
    free(job->bytes);
    free(job);
}

static void encode(dcb__encoding_job *job)
{
    job->status = dcb__encode(&job->bytes, &job->nbytes, job->samples, job->rows, job->columns,
                              job->components, job->precision, job->is_signed, &job->error);
}

static void run_job(const dcb__task *task)
{
    encode(task->owner);
}

/* Takes the oldest job out of the ring and writes its frame to the spool. */
static dcb_status collect(dcb_writer *writer, dcb_error *error)
{
    dcb__encoding_job *job = writer->ring[writer->ring_first];
    writer->ring_first = (writer->ring_first + 1) % writer->ring_capacity;
    writer->ring_count--;
    if (job->samples != NULL)
        dcb__worker_pool_wait(writer->pool, job);
    dcb_status status = job->status;
    if (status != DCB_OK)
        dcb__fail(error, status, DCB_NO_OFFSET, "frame %" PRIu32 ": %s", job->slice,
                  job->error.message);
    if (status == DCB_OK)
        status = dcb__write_at(writer->spool_fd, job->bytes, job->nbytes, writer->spool_nbytes,
                               "the temporary file cannot be written", error);
    if (status == DCB_OK) {
        writer->frames[job->slice] = (dcb__spooled){writer->spool_nbytes, job->nbytes,
                                                    dcb__checksum(job->bytes, job->nbytes)};
        writer->spool_nbytes += job->nbytes;
    }
    dcb__job_free(job);
    return status;
}

dcb_status dcb__frames_add(dcb_writer *writer, dcb__encoding_job *job, dcb_error *error)
{
    dcb_status status = DCB_OK;
    if (writer->ring_count == writer->ring_capacity)
        status = collect(writer, error);
    if (status != DCB_OK) {
        dcb__job_free(job);
        return status;
    }
    if (job->samples != NULL &&
        !dcb__worker_pool_submit(writer->pool, &(dcb__task){.run = run_job, .owner = job})) {
        dcb__job_free(job);
        return dcb__fail(error, DCB_ERR_NO_MEMORY, DCB_NO_OFFSET, "the encoder's queue is full");
    }
    writer->ring[(writer->ring_first + writer->ring_count) % writer->ring_capacity] = job;
    writer->ring_count++;
    return DCB_OK;
}

dcb_status dcb__frames_drain(dcb_writer *writer, dcb_error *error)
{
    dcb_status status = DCB_OK;
    while (writer->ring_count > 0 && status == DCB_OK)
        status = collect(writer, error);
    return status;
}

void dcb__frames_cancel(dcb_writer *writer)
{
    for (; writer->ring_count > 0; writer->ring_count--) {
        dcb__encoding_job *job = writer->ring[writer->ring_first];
        writer->ring_first = (writer->ring_first + 1) % writer->ring_capacity;
        if (job->samples != NULL)
            dcb__worker_pool_drain(writer->pool, job);
        dcb__job_free(job);
    }
}

/* ---- Widening -------------------------------------------------------------------------------- */

static dcb_status read_frame(dcb__encoding_job *job, int spool, const dcb__spooled *frame,
                             const dcb_writer *writer, dcb_error *error)
{
    dcb__codestream header;
    uint8_t *samples = NULL, *bytes = malloc((size_t)frame->nbytes);
    if (bytes == NULL)
        return dcb__fail_no_memory(error, (size_t)frame->nbytes);
    dcb_status status = dcb__read_at(spool, bytes, (size_t)frame->nbytes, frame->offset,
                                     "the temporary file cannot be read", error);
    if (status == DCB_OK)
        status = dcb__codestream_read(&header, bytes, (size_t)frame->nbytes, 0,
                                      &writer->options.limits, error);
    dcb__pixel_layout layout = {job->rows,      job->columns, job->components,
                                job->precision, false,        job->is_signed};
    size_t nbytes = (size_t)dcb__layout_nbytes(&layout);
    size_t codec_nbytes =
        status == DCB_OK ? nbytes / (layout.allocated / 8u) * dcb__codec_container(header.precision)
                         : 0;
    if (status == DCB_OK) {
        samples = malloc(codec_nbytes);
        job->samples = malloc(nbytes);
        if (samples == NULL || job->samples == NULL)
            status = dcb__fail_no_memory(error, nbytes);
    }
    if (status == DCB_OK)
        status = dcb__decode(samples, codec_nbytes, &header, bytes, (size_t)frame->nbytes, 0,
                             DCB_CODEC_ANY, error);
    if (status == DCB_OK)
        dcb__layout_from_codec(job->samples, &layout, samples, header.precision);
    free(samples);
    free(bytes);
    return status;
}

dcb_status dcb__frames_widen(dcb_writer *writer, dcb_error *error)
{
    int spool = -1;
    dcb_status status = dcb__frames_drain(writer, error);
    if (status == DCB_OK)
        status = dcb__spool_open(&spool, writer, error);
    if (status != DCB_OK)
        return status;
    int old = writer->spool_fd;
    writer->spool_fd = spool;
    writer->spool_nbytes = 0;
    writer->kind.precision = writer->kind.allocated;
    writer->kind.component_transform = false;
    for (uint32_t i = 0; status == DCB_OK && i < writer->nslices; i++) {
        dcb__encoding_job *job = calloc(1, sizeof *job);
        if (job == NULL) {
            status = dcb__fail_no_memory(error, sizeof *job);
            break;
        }
        *job = (dcb__encoding_job){.slice = i,
                                   .rows = writer->shapes[i].rows,
                                   .columns = writer->shapes[i].columns,
                                   .components = writer->kind.samples,
                                   .precision = writer->kind.precision,
                                   .is_signed = writer->kind.is_signed};
        const dcb__spooled from = writer->frames[i];
        status = read_frame(job, old, &from, writer, error);
        if (status == DCB_OK)
            status = dcb__frames_add(writer, job, error);
        else
            dcb__job_free(job);
    }
    if (status == DCB_OK)
        status = dcb__frames_drain(writer, error);
    close(old);
    return status;
}
