/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retrieval.c - files opened once for a retrieval, instances checked against the index and made.
 *
 * Invariant: what leaves is the listed SOP instance, in a syntax of a context accepted for its SOP
 * class, whichever thread makes it.
 *
 * Threads: the retrieval's own takes; workers make, and open files. A file is opened by whoever
 * comes first.
 */
#include "retrieval.h"

#include "ahead.h"
#include "instance_part.h"
#include "metrics.h"
#include "relocate.h"
#include "series_pool.h"
#include "sop_classes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Codestreams that the system is told of before they are read. */
#define NEEDED_SOON 32

typedef enum file_state { FILE_CLOSED, FILE_OPENING, FILE_OPEN } file_state;

typedef struct open_file {
    file_state state;
    dcb_series *series; /* NULL: it cannot be opened */
    dcb_error *error;   /* why; NULL: memory ran out */
} open_file;

struct retrieval {
    const scp_node *node;
    const ul_request *contexts;
    const instance_list *list;
    ahead_list *ahead;  /* NULL: none */
    bool begun;         /* an instance was taken */
    uint32_t nreleased; /* files behind us */
    retrieval_part part;
    const scp_query *query; /* NULL: whole instances */
    dcb_encoding encoding;  /* of the last instance: the next ones will have it, too */
    size_t cached;          /* instances before this one are sent, or were in the cache */
    size_t nbytes;          /* of the last instance */
    size_t needed;          /* instances before this one are read or the system was told of them */
    pthread_mutex_t lock;   /* files */
    pthread_cond_t opened;
    open_file *files;
};

static void set_failure(retrieval_instance *out, const char *comment, const char *reason)
{
    snprintf(out->comment, sizeof out->comment, "%s", comment);
    snprintf(out->reason, sizeof out->reason, "%s", reason);
}

/* The reader's own words are for the log: they may tell paths. */
static void set_reader_failure(retrieval_instance *out, const dcb_error *error)
{
    set_failure(out, dcb_status_text(error->status), error->message);
}

/* ---- Files ---- */

/* Called and returns with the lock held. */
static void open_series(retrieval *r, uint32_t number)
{
    open_file *file = &r->files[number];
    const char *path = instance_list_path(r->list, instance_list_first(r->list, number));
    dcb_series *series = NULL;
    dcb_error error = DCB_ERROR_INIT, *kept = NULL;
    file->state = FILE_OPENING;
    pthread_mutex_unlock(&r->lock);
    if (series_pool_get(&series, r->node->series, path, &error) != DCB_OK &&
        (kept = malloc(sizeof *kept)) != NULL)
        *kept = error;
    pthread_mutex_lock(&r->lock);
    file->state = FILE_OPEN;
    file->series = series;
    file->error = kept;
    pthread_cond_broadcast(&r->opened);
}

/* The file of instance i, opened once; false where another thread is about that and the caller
   may not wait. */
static bool get_file(const open_file **out, retrieval *r, size_t i, bool may_wait)
{
    const uint32_t number = instance_list_file(r->list, i);
    open_file *file = &r->files[number];
    pthread_mutex_lock(&r->lock);
    if (file->state == FILE_CLOSED)
        open_series(r, number);
    while (file->state == FILE_OPENING && may_wait)
        pthread_cond_wait(&r->opened, &r->lock);
    const bool is_there = file->state == FILE_OPEN;
    pthread_mutex_unlock(&r->lock);
    *out = file;
    return is_there;
}

/* Files before instance i's: nobody makes anything of them any more. */
static void release_files_before(retrieval *r, size_t i)
{
    const uint32_t number = i < r->list->count ? instance_list_file(r->list, i) : r->list->nfiles;
    for (; r->nreleased < number; r->nreleased++) {
        open_file *file = &r->files[r->nreleased];
        dcb_series_release(file->series);
        free(file->error);
        file->series = NULL;
        file->error = NULL;
    }
}

/* ---- Instances ---- */

static bool choose_context(retrieval_instance *out, const retrieval *r, const dcb_frame_info *info)
{
    const get_context_result result = get_context_choose(
        &out->context, r->contexts, info->sop_class_uid, info->stored_syntax_uid);
    if (result == GET_CONTEXT_FOUND)
        return true;
    const char *name = sop_class_name(info->sop_class_uid);
    const char *missing = result == GET_CONTEXT_NO_ROLE  ? "SCP role"
                          : result == GET_CONTEXT_SYNTAX ? "usable transfer syntax"
                                                         : "presentation context";
    snprintf(out->comment, sizeof out->comment, "no %s for %s", missing, name);
    snprintf(out->reason, sizeof out->reason, "%s", info->stored_syntax_uid);
    return false;
}

/* Is instance i what the index says, and how will it leave? Else out says why not. */
static bool examine(retrieval_instance *out, dcb_frame_info *info, const retrieval *r,
                    dcb_series *series, uint32_t frame, const char *uid)
{
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_frame_info(info, series, frame, &error) != DCB_OK) {
        set_reader_failure(out, &error);
        return false;
    }
    if (strcmp(info->sop_instance_uid, uid) != 0) {
        set_failure(out, "the file changed since it was indexed",
                    "the index names another SOP instance");
        return false;
    }
    return choose_context(out, r, info);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* dcb_series_frame or dcb_series_try_frame, by the clock where it decodes. */
static dcb_status take_frame(dcb_frame **out, dcb_series *series, uint32_t frame,
                             dcb_encoding encoding, bool may_wait, dcb_error *error)
{
    const bool decodes =
        encoding != DCB_ENCODING_STORED && !dcb_series_has_frame(series, frame, encoding);
    const double began = decodes ? now_s() : 0;
    const dcb_status status = may_wait ? dcb_series_frame(out, series, frame, encoding, error)
                                       : dcb_series_try_frame(out, series, frame, encoding, error);
    if (decodes && *out != NULL)
        metrics_observe(METRIC_DECODE_SECONDS, now_s() - began);
    return status;
}

/* Another instance than is stored: made in memory, then sent as any other. */
static void make_part(retrieval_instance *out, const retrieval *r, dcb_series *series,
                      uint32_t frame, const char *uid)
{
    instance_part part;
    dcb_error error = DCB_ERROR_INIT;
    dcb_frame_info info;
    if (!(r->part == RETRIEVAL_HEADERS ? instance_headers(&part, series, frame, uid)
                                       : instance_frames(&part, series, frame, uid, r->query))) {
        out->status = part.status;
        set_failure(out, part.comment, part.reason);
    } else if (dcb_series_frame_info(&info, part.series, 0, &error) != DCB_OK) {
        set_reader_failure(out, &error);
    } else if (choose_context(out, r, &info)) {
        dcb_status status;
        do {
            status = dcb_series_frame(&out->frame, part.series, 0, out->context.encoding, &error);
        } while (status == DCB_ERR_ENCODING &&
                 get_context_next(&out->context, r->contexts, info.sop_class_uid,
                                  info.stored_syntax_uid));
        if (status != DCB_OK)
            set_reader_failure(out, &error);
    }
    instance_part_close(&part);
}

static void make_from(retrieval_instance *out, const retrieval *r, dcb_series *series,
                      uint32_t frame, const char *uid, bool may_wait, bool *busy)
{
    if (r->part != RETRIEVAL_WHOLE) {
        make_part(out, r, series, frame, uid);
        return;
    }
    dcb_frame_info info;
    if (!examine(out, &info, r, series, frame, uid))
        return;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status;
    do { /* what an encoding cannot hold, another one may */
        status = take_frame(&out->frame, series, frame, out->context.encoding, may_wait, &error);
    } while (
        status == DCB_ERR_ENCODING &&
        get_context_next(&out->context, r->contexts, info.sop_class_uid, info.stored_syntax_uid));
    if (status != DCB_OK)
        set_reader_failure(out, &error);
    *busy = status == DCB_OK && out->frame == NULL;
}

/* Instance i, or why it cannot be sent. False where another thread would have to be waited for. */
static bool make(retrieval_instance *out, retrieval *r, size_t i, bool may_wait)
{
    static const dcb_error no_memory = {DCB_ERR_NO_MEMORY, UINT64_MAX, "for an error"};
    uint32_t frame = instance_list_frame(r->list, i);
    char uid[UL_UID_SIZE];
    const open_file *file;
    dcb_series *moved = NULL;
    bool busy = false;
    out->frame = NULL;
    out->status = 0;
    out->comment[0] = out->reason[0] = '\0';
    if (!get_file(&file, r, i, may_wait))
        return false;
    instance_list_uid(uid, r->list, i);
    if (file->series == NULL || !relocate_holds(file->series, frame, uid))
        moved = relocate(&frame, r->node->index, r->node->series, instance_list_series(r->list, i),
                         uid);
    if (moved != NULL || file->series != NULL)
        make_from(out, r, moved != NULL ? moved : file->series, frame, uid, may_wait, &busy);
    else
        set_reader_failure(out, file->error != NULL ? file->error : &no_memory);
    dcb_series_release(moved);
    return !busy;
}

/* ---- Before their turn ---- */

static size_t instance_nbytes(const retrieval_instance *instance)
{
    size_t nbytes = 0;
    if (instance->frame != NULL)
        dcb_frame_part10(instance->frame, &nbytes);
    return sizeof *instance + nbytes;
}

static bool make_ahead(void *context, size_t i, void **made, size_t *nbytes)
{
    retrieval_instance *instance = malloc(sizeof *instance);
    if (instance == NULL || !make(instance, context, i, false)) {
        free(instance); /* in its turn, then */
        return false;
    }
    *made = instance;
    *nbytes = instance_nbytes(instance);
    return true;
}

static void drop_made(void *made)
{
    retrieval_instance *instance = made;
    dcb_frame_release(instance->frame);
    free(instance);
}

static const ahead_work work = {make_ahead, drop_made};

static bool decodes(const retrieval *r)
{
    return r->part == RETRIEVAL_WHOLE && r->encoding != DCB_ENCODING_STORED;
}

/* The first instance after i that the cache does not have, as far as that matters. What it has
   costs less than handing it over. */
static size_t first_missing(retrieval *r, size_t i)
{
    const uint32_t number = instance_list_file(r->list, i);
    const size_t file_end = instance_list_first(r->list, number + 1);
    const open_file *file;
    if (r->cached <= i)
        r->cached = i + 1;
    if (!get_file(&file, r, i, false) || file->series == NULL)
        return r->cached;
    while (r->cached < file_end && r->cached <= i + AHEAD_WINDOW_MAX &&
           dcb_series_has_frame(file->series, instance_list_frame(r->list, r->cached), r->encoding))
        r->cached++;
    return r->cached;
}

/* Reading what is stored costs less than handing it over, too: only the next file is opened. */
static ahead_wish wish_after(retrieval *r, size_t i)
{
    const uint32_t next = instance_list_file(r->list, i) + 1;
    ahead_wish wish = {.beyond = next < r->list->nfiles ? instance_list_first(r->list, next)
                                                        : AHEAD_NONE};
    if (decodes(r)) {
        wish.nbytes = r->nbytes;
        wish.first = first_missing(r, i);
        wish.end = r->list->count;
    }
    return wish;
}

/* How the first instance will leave tells what to do about those behind it. */
static void look_at_first(retrieval *r, size_t i)
{
    retrieval_instance first;
    dcb_frame_info info;
    const open_file *file;
    char uid[UL_UID_SIZE];
    get_file(&file, r, i, true);
    instance_list_uid(uid, r->list, i);
    if (r->part == RETRIEVAL_WHOLE && file->series != NULL &&
        examine(&first, &info, r, file->series, instance_list_frame(r->list, i), uid))
        r->encoding = first.context.encoding;
}

static bool is_cached(const retrieval *r, dcb_series *series, size_t i)
{
    return dcb_series_has_frame(series, instance_list_frame(r->list, i), DCB_ENCODING_STORED);
}

/* Lets the system read what workers do not. */
static void tell_needs(retrieval *r, size_t i)
{
    if (r->part == RETRIEVAL_HEADERS || decodes(r) || i + NEEDED_SOON / 2 < r->needed)
        return;
    const uint32_t number = instance_list_file(r->list, i);
    const open_file *file;
    if (get_file(&file, r, i, false) && file->series != NULL) {
        const size_t end = instance_list_first(r->list, number + 1);
        const size_t from = r->needed > i ? r->needed : i;
        r->needed = from + NEEDED_SOON < end ? from + NEEDED_SOON : end;
        /* Where both ends are in the cache, so is nearly always what is between. */
        if (r->needed > from &&
            !(is_cached(r, file->series, from) && is_cached(r, file->series, r->needed - 1)))
            dcb_series_will_need(file->series, instance_list_frame(r->list, from),
                                 (uint32_t)(r->needed - from));
    }
}

/* Decoding waits for its turn among all retrievals; what is there is only taken. */
static void make_in_turn(retrieval_instance *out, retrieval *r, size_t i)
{
    const open_file *file;
    const bool decode =
        r->ahead != NULL && decodes(r) &&
        !(get_file(&file, r, i, true) && file->series != NULL &&
          dcb_series_has_frame(file->series, instance_list_frame(r->list, i), r->encoding));
    if (decode)
        ahead_begin_own(r->ahead);
    make(out, r, i, true);
    if (decode)
        ahead_end_own(r->ahead);
}

void retrieval_get(retrieval_instance *out, retrieval *r, size_t i)
{
    release_files_before(r, i);
    retrieval_instance *made = NULL;
    const bool is_first = !r->begun;
    r->begun = true;
    if (is_first) {
        /* The peer waits for it: nothing else of his is made at the same time. */
        look_at_first(r, i);
        make_in_turn(out, r, i);
        r->nbytes = instance_nbytes(out);
    }
    if (r->ahead != NULL) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        made = ahead_take(r->ahead, i, wish_after(r, i),
                          (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    }
    if (made != NULL)
        *out = *made;
    else if (!is_first)
        make_in_turn(out, r, i);
    free(made);
    if (out->frame != NULL) {
        r->encoding = out->context.encoding;
        r->nbytes = instance_nbytes(out);
    }
    tell_needs(r, i);
}

/* ---- From beginning to end ---- */

retrieval *retrieval_create(const scp_node *node, const ul_request *contexts,
                            const instance_list *list)
{
    retrieval *r = calloc(1, sizeof *r);
    open_file *files = calloc(list->nfiles + 1u, sizeof *files);
    if (r == NULL || files == NULL) {
        free(r);
        free(files);
        return NULL;
    }
    *r = (retrieval){.node = node, .contexts = contexts, .list = list, .files = files};
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->opened, NULL);
    /* Without it every instance is made in its turn. */
    if (node->ahead != NULL && list->count > 1)
        r->ahead = ahead_list_open(node->ahead, &work, r);
    return r;
}

void retrieval_set_query(retrieval *r, const scp_query *query)
{
    r->query = query;
    r->part = query->model == MODEL_WITHOUT_BULK ? RETRIEVAL_HEADERS
              : query->frames.key != FRAMES_ALL  ? RETRIEVAL_FRAMES
                                                 : RETRIEVAL_WHOLE;
}

void retrieval_close(retrieval *r)
{
    if (r == NULL)
        return;
    ahead_list_close(r->ahead);
    release_files_before(r, r->list->count);
    pthread_cond_destroy(&r->opened);
    pthread_mutex_destroy(&r->lock);
    free(r->files);
    free(r);
}
