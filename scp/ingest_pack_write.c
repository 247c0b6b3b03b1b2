/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_pack_write.c - the new .dcbs file of a series, what is kept beside it, and the list of
 * what changes by that.
 *
 * Invariant: what is listed as dropped is in a staged file that was synced and read again.
 */
#include "ingest_pack.h"

#include "log.h"
#include "pack_same.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int no_memory(pack_job *job)
{
    return scp_fail(&job->error, "out of memory");
}

static int fail_path(pack_job *job, const char *what, const char *path, int cause)
{
    return scp_fail(&job->error, "cannot %s %s: %s", what, path, strerror(cause));
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* A name that nothing in the study's folder has. */
static void choose_name(char staged[96], char final[96], const pack_job *job, uint64_t number,
                        const char *suffix)
{
    char path[INGEST_PATH_SIZE];
    for (unsigned attempt = 0;; attempt++) {
        if (attempt == 0)
            snprintf(staged, 96, "%s-%09" PRIu64 "%s", job->series, number, suffix);
        else
            snprintf(staged, 96, "%s-%09" PRIu64 "%04u%s", job->series, number, attempt, suffix);
        snprintf(final, 96, "%s/%.78s", job->study, staged);
        ingest__final_path(path, job->ingest, final);
        if (access(path, F_OK) != 0)
            return;
    }
}

/* ---- The writer ------------------------------------------------------------------------------ */

static bool is_fatal(dcb_status status)
{
    return status == DCB_ERR_IO || status == DCB_ERR_NO_MEMORY;
}

static int add_old(pack_job *job, dcb_writer *writer, const pack_candidate *c)
{
    dcb_error cause = DCB_ERROR_INIT;
    if (dcb_writer_add_frame(writer, job->olds[c->old].series, c->frame, &cause) == DCB_OK)
        return 0;
    return scp_fail(&job->error, "%s, frame %" PRIu32 ": %s", job->olds[c->old].name, c->frame,
                    cause.message);
}

/* What the writer refuses is kept. */
static int add_spooled(pack_job *job, dcb_writer *writer, pack_candidate *c)
{
    pack_source from;
    part10_file source = {.bytes = NULL};
    scp_error why = SCP_ERROR_INIT;
    dcb_error cause = DCB_ERROR_INIT;
    dcb_status status = DCB_ERR_UNSUPPORTED;
    const bool found = ingest__spooled_open(&from, job->ingest, c->number);
    bool good = found && ingest__spooled_read(&source, &from, &why) == PART10_OK &&
                part10_file_decode(&source, &why);
    if (good) {
        dcb_writer_instance instance = DCB_WRITER_INSTANCE_INIT;
        instance.dataset = source.dataset;
        instance.dataset_nbytes = source.dataset_nbytes;
        instance.syntax_uid = source.syntax_uid;
        instance.samples = source.samples;
        instance.samples_nbytes = source.samples_nbytes;
        status = dcb_writer_add_instance(writer, &instance, &cause);
        good = status == DCB_OK;
        scp_fail(&why, "%s", cause.message);
    }
    part10_file_close(&source);
    ingest__spooled_close(&from);
    if (!found)
        return fail_path(job, "read", from.path, EIO);
    if (is_fatal(status))
        return scp_fail(&job->error, "%s", cause.message);
    if (!good) {
        c->fate = FATE_KEEP;
        snprintf(c->why, sizeof c->why, "%.110s", why.message);
    }
    return 0;
}

/* Candidates for the file, in the order of its slices; free() it. */
static pack_slice *sorted_slices(size_t *n, const pack_job *job)
{
    pack_slice *slices = malloc((job->ncandidates + 1) * sizeof *slices);
    *n = 0;
    for (size_t i = 0; slices != NULL && i < job->ncandidates; i++) {
        if (job->candidates[i].fate != FATE_PACK)
            continue;
        slices[*n] = job->candidates[i].slice;
        slices[(*n)++].source = i;
    }
    if (slices != NULL)
        pack_slices_sort(slices, *n);
    return slices;
}

/* Half of the processors: those who retrieve come first. */
static uint32_t count_threads(void)
{
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 3 ? (uint32_t)(n / 2) : 1;
}

/* In the order of the slices; leaves in it what the file holds. */
static int add_all(pack_job *job, dcb_writer *writer, pack_slice *slices, size_t *n)
{
    size_t added = 0;
    for (size_t i = 0; i < *n; i++) {
        pack_candidate *c = &job->candidates[slices[i].source];
        if (ingest__stopping(job->ingest))
            return scp_fail(&job->error, "the node stops");
        if ((c->in_spool ? add_spooled(job, writer, c) : add_old(job, writer, c)) != 0)
            return -1;
        if (c->fate == FATE_PACK)
            slices[added++] = slices[i];
    }
    *n = added;
    return 0;
}

/* The file is as old as the newest of what it holds, less a nanosecond: what comes later answers
   for it, and so does what was on its way when this began, or has come since. */
static int set_time(pack_job *job, const char *path, const pack_slice *slices, size_t n)
{
    int64_t newest = 0;
    for (size_t i = 0; i < n; i++) {
        const pack_candidate *c = &job->candidates[slices[i].source];
        newest = c->mtime_ns > newest ? c->mtime_ns : newest;
    }
    newest--;
    if (newest > job->latest_ns)
        newest = job->latest_ns;
    const struct timespec times[2] = {{0, UTIME_NOW},
                                      {newest / 1000000000, (long)(newest % 1000000000)}};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int cause = fd < 0 || futimens(fd, times) != 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return cause == 0 ? 0 : fail_path(job, "set the time of", path, cause);
}

/* Opened as any reader would: every slice where it should be, with the elements that came. Its
   samples were compared when they were encoded, and have their checksum since, which the writer
   compared once more. */
static int check_file(pack_job *job, const char *path, const pack_slice *slices, size_t n)
{
    dcb_series *series = NULL;
    dcb_error cause = DCB_ERROR_INIT;
    if (dcb_series_open(&series, path, NULL, &cause) != DCB_OK)
        return scp_fail(&job->error, "the new file cannot be read: %s", cause.message);
    int result = 0;
    if (dcb_series_get_info(series)->nframes != n)
        result = scp_fail(&job->error, "the new file has another number of slices");
    for (uint32_t i = 0; result == 0 && i < n; i++) {
        const pack_candidate *c = &job->candidates[slices[i].source];
        dcb_frame_info info;
        if (dcb_series_frame_info(&info, series, i, &cause) != DCB_OK ||
            strcmp(info.sop_instance_uid, c->sop_instance_uid) != 0 || c->content == 0 ||
            pack_content_of_frame(series, i) != c->content)
            result =
                scp_fail(&job->error, "slice %" PRIu32 " of the new file is not what came in", i);
    }
    dcb_series_release(series);
    return result;
}

/* Nothing can be encoded: all is kept. */
static void keep_all(pack_job *job, const char *why)
{
    for (size_t i = 0; i < job->ncandidates; i++) {
        pack_candidate *c = &job->candidates[i];
        if (c->in_spool && c->fate == FATE_PACK) {
            c->fate = FATE_KEEP;
            snprintf(c->why, sizeof c->why, "%.110s", why);
        }
    }
}

/* 1 where the encoder refused in the end, and all of the spool's is to be kept. */
static int write_file(pack_job *job, const char *staged, pack_slice *slices, size_t *n)
{
    char path[INGEST_PATH_SIZE];
    dcb_writer *writer = NULL;
    dcb_error cause = DCB_ERROR_INIT;
    dcb_writer_summary summary;
    dcb_writer_options options = DCB_WRITER_OPTIONS_INIT;
    options.nthreads = count_threads();
    ingest__staged_path(path, job->ingest, staged);
    if (dcb_writer_create(&writer, path, &options, &cause) != DCB_OK)
        return scp_fail(&job->error, "%s: %s", path, cause.message);
    if (add_all(job, writer, slices, n) != 0 || *n == 0) {
        dcb_writer_abort(writer);
        return *n == 0 ? 0 : -1;
    }
    const dcb_status status = dcb_writer_commit(writer, &summary, &cause);
    if (status != DCB_OK && !is_fatal(status)) {
        keep_all(job, cause.message);
        return 1;
    }
    if (status != DCB_OK)
        return scp_fail(&job->error, "%s: %s", path, cause.message);
    job->file_bytes = summary.file_bytes;
    if (set_time(job, path, slices, *n) != 0)
        return -1;
    return check_file(job, path, slices, *n);
}

/* Is there anything that the old file, if there is one, does not have, or has too much? */
static bool is_news(const pack_job *job)
{
    bool news = job->nolds > 1;
    for (size_t i = 0; i < job->ncandidates; i++) {
        const pack_candidate *c = &job->candidates[i];
        news = news || c->in_spool == (c->fate == FATE_PACK);
    }
    return news;
}

static int make_file(pack_job *job)
{
    char staged[96], final[96];
    size_t n = 0;
    for (int tries = 0; tries < 2 && is_news(job); tries++) {
        pack_slice *slices = sorted_slices(&n, job);
        if (slices == NULL)
            return no_memory(job);
        choose_name(staged, final, job, job->changes.id, ".dcbs");
        const int result = n > 0 ? write_file(job, staged, slices, &n) : 0;
        free(slices);
        if (result < 0)
            return -1;
        if (result == 1)
            continue;
        for (uint32_t i = 0; i < job->nolds; i++) {
            if (!ingest__switch_remove(&job->changes, job->olds[i].name))
                return no_memory(job);
        }
        return n == 0 || ingest__switch_place(&job->changes, staged, final) ? 0 : no_memory(job);
    }
    return 0;
}

/* ---- What is kept or set aside --------------------------------------------------------------- */

/* Syncs what was made under the staged name (cause: 0, or why it was not), and lists it. */
static int finish_staged(pack_job *job, int cause, const char *staged, const char *final,
                         const char *path)
{
    int fd = cause == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (cause == 0 && (fd < 0 || fsync(fd) != 0))
        cause = errno;
    if (fd >= 0)
        close(fd);
    if (cause != 0)
        return fail_path(job, "write", path, cause);
    return ingest__switch_place(&job->changes, staged, final) ? 0 : no_memory(job);
}

/* The same bytes under another name, on the disk: the spool's file may not be there yet. */
static int stage_spooled(pack_job *job, const pack_candidate *c, const char *suffix)
{
    char staged[96], final[96], from[INGEST_PATH_SIZE], to[INGEST_PATH_SIZE];
    choose_name(staged, final, job, c->number, suffix);
    ingest__path(from, job->ingest, c->number, ".dcm");
    ingest__staged_path(to, job->ingest, staged);
    int cause = ingest__make_file(job->ingest, c->number);
    if (cause != 0)
        return fail_path(job, "write", from, cause);
    cause = link(from, to) == 0 ? 0 : errno;
    if (cause != 0) /* a file system without links */
        cause = pack_copy(from, to);
    return finish_staged(job, cause, staged, final, to);
}

/* A slice that was packed, as the file that it was. */
static int stage_slice(pack_job *job, const pack_candidate *c)
{
    char staged[96], final[96], to[INGEST_PATH_SIZE], suffix[40];
    dcb_series *series = job->olds[c->old].series;
    dcb_frame *frame = NULL;
    dcb_error error = DCB_ERROR_INIT;
    file_stamp stamp;
    size_t nbytes = 0;
    if (dcb_series_frame(&frame, series, c->frame, DCB_ENCODING_EXPLICIT_LE, &error) != DCB_OK)
        return scp_fail(&job->error, "%s: %s", job->olds[c->old].name, error.message);
    snprintf(suffix, sizeof suffix, "-%" PRIu32 "-%" PRIu32 ".replaced.dcm", c->old, c->frame);
    choose_name(staged, final, job, job->changes.id, suffix);
    ingest__staged_path(to, job->ingest, staged);
    const uint8_t *bytes = dcb_frame_part10(frame, &nbytes);
    const ingest_content content = {bytes, nbytes, 0, true};
    const int cause = ingest__write_file(job->ingest, to, &content, &stamp);
    dcb_frame_release(frame);
    return finish_staged(job, cause, staged, final, to);
}

static int stage_candidate(pack_job *job, const pack_candidate *c)
{
    int result = 0;
    if (c->fate == FATE_KEEP)
        result = stage_spooled(job, c, ".dcm");
    else if (c->fate == FATE_REPLACED && c->in_spool)
        result = stage_spooled(job, c, ".replaced.dcm");
    else if (c->fate == FATE_REPLACED)
        result = stage_slice(job, c);
    if (result == 0 && c->in_spool && !ingest__switch_drop(&job->changes, c->number))
        result = no_memory(job);
    job->nkept += c->fate == FATE_KEEP;
    job->kept_bytes += c->fate == FATE_KEEP ? c->nbytes : 0;
    job->nreplaced += c->fate == FATE_REPLACED;
    if (c->in_spool && c->fate == FATE_PACK) {
        job->npacked++;
        job->source_bytes += c->nbytes;
    }
    return result;
}

static int make_folder(pack_job *job)
{
    char path[INGEST_PATH_SIZE];
    ingest__final_path(path, job->ingest, job->study);
    if (mkdir(path, 0750) != 0 && errno != EEXIST)
        return fail_path(job, "make", path, errno);
    const int cause = ingest__sync_folder(job->ingest->options->store);
    return cause == 0 ? 0 : fail_path(job, "sync", job->ingest->options->store, cause);
}

int ingest__pack_write(pack_job *job)
{
    char staging[INGEST_PATH_SIZE];
    if (make_folder(job) != 0 || make_file(job) != 0)
        return -1;
    for (size_t i = 0; i < job->ncandidates; i++) {
        if (job->candidates[i].fate != FATE_LEAVE && stage_candidate(job, &job->candidates[i]) != 0)
            return -1;
    }
    if (job->changes.ndrops == 0 && job->changes.nplaces == 0)
        return 0; /* nothing can be done about any of them */
    ingest__staged_path(staging, job->ingest, "");
    const int cause = ingest__sync_folder(staging);
    if (cause != 0)
        return fail_path(job, "sync", staging, cause);
    return ingest__switch_write(job->ingest, &job->changes, &job->error);
}
