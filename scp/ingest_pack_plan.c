/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_pack_plan.c - what there is of a series, in the spool and in files that we made before,
 * and what is to become of each instance.
 *
 * Invariant: of several instances with one UID the newest is packed or kept, as it is the one that
 * answers; the others are set aside, unless they have the same content.
 */
#include "ingest_pack.h"

#include "log.h"
#include "pack_same.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_AHEAD 8 /* of the spool: some megabytes, which the disk reads meanwhile */

void ingest__pack_free(pack_job *job)
{
    for (uint32_t i = 0; i < job->nolds; i++)
        dcb_series_release(job->olds[i].series);
    free(job->olds);
    free(job->candidates);
    free(job->files);
    ingest__switch_clear(&job->changes);
}

/* ---- Old files ------------------------------------------------------------------------------- */

/* Only a file with our name, our trailer and the series' UIDs is ever written anew. */
static int open_old(pack_job *job, const char *file_name)
{
    char path[INGEST_PATH_SIZE], name[96];
    dcb_series *series = NULL;
    dcb_error cause = DCB_ERROR_INIT;
    snprintf(name, sizeof name, "%s/%.70s", job->study, file_name);
    ingest__final_path(path, job->ingest, name);
    if (dcb_series_open(&series, path, NULL, &cause) != DCB_OK) {
        log_event(LOG_WARN, "pack.old_file", LOG_T("path", path), LOG_T("reason", cause.message),
                  LOG_T("effect", "it stays as it is; new instances get a file of their own"));
        return 0;
    }
    const dcb_series_info *info = dcb_series_get_info(series);
    pack_old *grown = NULL;
    const bool ours = info->has_trailer && strcmp(info->study_instance_uid, job->study_uid) == 0 &&
                      strcmp(info->series_instance_uid, job->series_uid) == 0;
    if (ours)
        grown = realloc(job->olds, (job->nolds + 1) * sizeof *grown);
    if (grown == NULL) {
        dcb_series_release(series);
        return ours ? scp_fail(&job->error, "out of memory") : 0;
    }
    job->olds = grown;
    memcpy(job->olds[job->nolds].name, name, sizeof name);
    job->olds[job->nolds++].series = series;
    return 0;
}

static bool is_name_of(const pack_job *job, const char *name)
{
    const size_t n = strlen(name), head = strlen(job->series);
    return n > head + 6 && n < 70 && strncmp(name, job->series, head) == 0 && name[head] == '-' &&
           strspn(name + head + 1, "0123456789") == n - head - 6 &&
           strcmp(name + n - 5, ".dcbs") == 0;
}

static int open_olds(pack_job *job)
{
    char path[INGEST_PATH_SIZE];
    ingest__final_path(path, job->ingest, job->study);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return errno == ENOENT ? 0
                               : scp_fail(&job->error, "cannot read %s: %s", path, strerror(errno));
    int result = 0;
    for (const struct dirent *e; result == 0 && (e = readdir(folder)) != NULL;) {
        if (is_name_of(job, e->d_name))
            result = open_old(job, e->d_name);
    }
    closedir(folder);
    return result;
}

static int read_old(pack_job *job, uint32_t old)
{
    char path[INGEST_PATH_SIZE];
    struct stat st;
    dcb_series *series = job->olds[old].series;
    ingest__final_path(path, job->ingest, job->olds[old].name);
    if (stat(path, &st) != 0)
        return scp_fail(&job->error, "cannot read %s: %s", path, strerror(errno));
    const uint32_t nframes = dcb_series_get_info(series)->nframes;
    for (uint32_t i = 0; i < nframes; i++) {
        pack_candidate *c = &job->candidates[job->ncandidates++];
        dcb_frame_info info;
        dcb_dataset *elements = NULL;
        dcb_error cause = DCB_ERROR_INIT;
        *c = (pack_candidate){.old = old, .frame = i, .mtime_ns = ingest__stamp_of(&st).mtime_ns};
        if (dcb_series_frame_info(&info, series, i, &cause) != DCB_OK ||
            dcb_series_dataset(&elements, series, i, false, &cause) != DCB_OK)
            return scp_fail(&job->error, "%s: %s", path, cause.message);
        snprintf(c->sop_instance_uid, UL_UID_SIZE, "%s", info.sop_instance_uid);
        pack_slice_read(&c->slice, elements);
        dcb_dataset_close(elements);
        c->content = pack_content_of_frame(series, i);
    }
    return 0;
}

/* ---- The spool ------------------------------------------------------------------------------- */

static void keep(pack_candidate *c, const char *why)
{
    c->fate = FATE_KEEP;
    snprintf(c->why, sizeof c->why, "%.110s", why);
}

/* Its SOP Instance UID is there in any case: it was taken in. */
static void read_uid(pack_candidate *c, const pack_source *from)
{
    dcb_series *series = NULL;
    dcb_frame_info info;
    if (ingest__spooled_series(&series, from) == DCB_OK &&
        dcb_series_frame_info(&info, series, 0, NULL) == DCB_OK)
        snprintf(c->sop_instance_uid, UL_UID_SIZE, "%s", info.sop_instance_uid);
    else
        c->fate = FATE_LEAVE;
    dcb_series_release(series);
}

static void read_candidate(pack_candidate *c, const pack_source *from)
{
    part10_file source = {.bytes = NULL};
    dcb_dataset *elements = NULL;
    scp_error why = SCP_ERROR_INIT;
    read_uid(c, from);
    if (c->fate == FATE_LEAVE)
        return;
    if (ingest__spooled_read(&source, from, &why) != PART10_OK ||
        (elements = part10_file_elements(&source, &why)) == NULL) {
        keep(c, why.message);
    } else {
        pack_slice_read(&c->slice, elements);
        c->content = pack_content_of_source(&source, elements);
    }
    dcb_dataset_close(elements);
    part10_file_close(&source);
}

static void read_spooled(pack_job *job, const ingest_spooled *file)
{
    pack_source from;
    pack_candidate *c = &job->candidates[job->ncandidates++];
    *c = (pack_candidate){.in_spool = true, .number = file->number, .nbytes = file->nbytes};
    if (ingest__spooled_open(&from, job->ingest, file->number) && ingest__spooled_check(&from)) {
        c->mtime_ns = from.mtime_ns;
        read_candidate(c, &from);
    } else {
        log_event(LOG_ERROR, "pack.damaged", LOG_T("path", from.path),
                  LOG_T("effect", "the file is not what was written: it stays where it is"));
        c->fate = FATE_LEAVE;
    }
    ingest__spooled_close(&from);
}

/* ---- One UID, several instances -------------------------------------------------------------- */

static int compare_uids(const void *left, const void *right)
{
    const pack_candidate *a = *(pack_candidate *const *)left, *b = *(pack_candidate *const *)right;
    const int by_uid = strcmp(a->sop_instance_uid, b->sop_instance_uid);
    if (by_uid != 0)
        return by_uid;
    if (a->mtime_ns != b->mtime_ns)
        return a->mtime_ns < b->mtime_ns ? -1 : 1;
    if (a->in_spool != b->in_spool)
        return a->in_spool ? 1 : -1; /* it came later */
    return a->number < b->number ? -1 : a->number > b->number;
}

static bool has_same_content(const pack_job *job, const pack_candidate *old,
                             const pack_candidate *spooled)
{
    pack_source from;
    part10_file source = {.bytes = NULL};
    if (old->in_spool || !spooled->in_spool || old->content == 0 ||
        old->content != spooled->content)
        return false;
    const bool same = ingest__spooled_open(&from, job->ingest, spooled->number) &&
                      ingest__spooled_read(&source, &from, NULL) == PART10_OK &&
                      pack_holds(job->olds[old->old].series, old->frame, &source);
    part10_file_close(&source);
    ingest__spooled_close(&from);
    return same;
}

/* Two old files: a crash before the older was removed, or a person's copy. */
static bool is_same_slice(const pack_job *job, const pack_candidate *a, const pack_candidate *b)
{
    dcb_frame *x = NULL, *y = NULL;
    size_t nx = 0, ny = 0;
    if (a->in_spool || b->in_spool)
        return false;
    bool same = dcb_series_frame(&x, job->olds[a->old].series, a->frame, DCB_ENCODING_EXPLICIT_LE,
                                 NULL) == DCB_OK &&
                dcb_series_frame(&y, job->olds[b->old].series, b->frame, DCB_ENCODING_EXPLICIT_LE,
                                 NULL) == DCB_OK;
    const uint8_t *bytes_x = same ? dcb_frame_dataset(x, &nx) : NULL;
    const uint8_t *bytes_y = same ? dcb_frame_dataset(y, &ny) : NULL;
    same = same && nx == ny && memcmp(bytes_x, bytes_y, nx) == 0;
    dcb_frame_release(x);
    dcb_frame_release(y);
    return same;
}

static void judge_pair(pack_job *job, pack_candidate *older, pack_candidate *newer)
{
    if (has_same_content(job, older, newer)) {
        older->fate =
            newer->fate == FATE_PACK || newer->fate == FATE_KEEP ? FATE_PACK : newer->fate;
        newer->fate = FATE_REPEATED;
    } else if (has_same_content(job, newer, older)) {
        older->fate = FATE_REPEATED; /* of the spool: packed long ago, and brought back */
    } else {
        older->fate = is_same_slice(job, older, newer) ? FATE_REPEATED : FATE_REPLACED;
    }
}

static int settle_uids(pack_job *job)
{
    pack_candidate **sorted = malloc((job->ncandidates + 1) * sizeof *sorted);
    size_t n = 0;
    if (sorted == NULL)
        return scp_fail(&job->error, "out of memory");
    for (size_t i = 0; i < job->ncandidates; i++) {
        if (job->candidates[i].fate != FATE_LEAVE)
            sorted[n++] = &job->candidates[i];
    }
    qsort(sorted, n, sizeof *sorted, compare_uids);
    for (size_t i = n; i > 1; i--) {
        if (strcmp(sorted[i - 1]->sop_instance_uid, sorted[i - 2]->sop_instance_uid) == 0)
            judge_pair(job, sorted[i - 2], sorted[i - 1]);
    }
    free(sorted);
    return 0;
}

/* ---- Which are of one kind ------------------------------------------------------------------- */

/* The old files' kind stays theirs; else that of most instances. 0: none. */
static int common_kind(uint64_t *kind, pack_job *job)
{
    pack_slice *slices = malloc((job->ncandidates + 1) * sizeof *slices);
    size_t n = 0;
    if (slices == NULL)
        return scp_fail(&job->error, "out of memory");
    *kind = 0;
    for (size_t i = 0; i < job->ncandidates; i++) {
        const pack_candidate *c = &job->candidates[i];
        if (c->fate == FATE_PACK && !c->in_spool)
            *kind = c->slice.kind;
        if (c->fate == FATE_PACK)
            slices[n++] = c->slice;
    }
    if (*kind == 0)
        *kind = pack_common_kind(slices, n);
    free(slices);
    return 0;
}

static int settle_kinds(pack_job *job)
{
    uint64_t kind = 0;
    if (common_kind(&kind, job) != 0)
        return -1;
    for (size_t i = 0; i < job->ncandidates; i++) {
        pack_candidate *c = &job->candidates[i];
        if (c->fate != FATE_PACK || c->slice.kind == kind)
            continue;
        if (!c->in_spool)
            return scp_fail(&job->error, "old files of the series differ in rescale or samples");
        keep(c, kind == 0 ? "most slices of the series differ in rescale or kind of samples"
                          : "its rescale or kind of samples is not the series'");
    }
    return 0;
}

int ingest__pack_plan(pack_job *job)
{
    if (open_olds(job) != 0)
        return -1;
    size_t n = job->nfiles;
    for (uint32_t i = 0; i < job->nolds; i++)
        n += dcb_series_get_info(job->olds[i].series)->nframes;
    job->candidates = calloc(n + 1, sizeof *job->candidates);
    if (job->candidates == NULL)
        return scp_fail(&job->error, "out of memory");
    for (uint32_t i = 0; i < job->nolds; i++) {
        if (read_old(job, i) != 0)
            return -1;
    }
    for (size_t i = 0, ahead = 0; i < job->nfiles; i++) {
        if (ingest__stopping(job->ingest))
            return scp_fail(&job->error, "the node stops");
        for (; ahead < job->nfiles && ahead <= i + FILES_AHEAD; ahead++)
            ingest__read_ahead(job->ingest, job->files[ahead].number);
        read_spooled(job, &job->files[i]);
    }
    return settle_uids(job) == 0 ? settle_kinds(job) : -1;
}
