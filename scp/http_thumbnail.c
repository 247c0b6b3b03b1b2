/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_thumbnail.c - /thumbnail.png?series=UID: the middle instance of a series, small.
 *
 * Files are opened here and not in the node's pool, whose places are for associations; one picture
 * is made at a time, by a thread that goes after all others, and kept for the next who asks.
 */
#include "http_private.h"

#include "dictionary.h"
#include "pixel_codec.h"
#include "render.h"
#include "series_pool.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_PX   160
#define KEPT      256
#define BYTES_MAX (256u << 10)

typedef struct thumbnail {
    const scp_node *node;  /* whose archive has it */
    char uid[UL_UID_SIZE]; /* of the instance; "": free */
    uint64_t last_used;
    uint8_t *png;
    size_t nbytes;
} thumbnail;

struct http_thumbnails {
    pthread_mutex_t making; /* taken before the other */
    pthread_mutex_t lock;   /* all below */
    uint64_t clock;
    thumbnail kept[KEPT];
};

http_thumbnails *http_thumbnails_create(void)
{
    http_thumbnails *all = calloc(1, sizeof *all);
    if (all != NULL) {
        pthread_mutex_init(&all->making, NULL);
        pthread_mutex_init(&all->lock, NULL);
    }
    return all;
}

void http_thumbnails_free(http_thumbnails *all)
{
    if (all == NULL)
        return;
    for (size_t i = 0; i < KEPT; i++)
        free(all->kept[i].png);
    pthread_mutex_destroy(&all->lock);
    pthread_mutex_destroy(&all->making);
    free(all);
}

/* ---- Which instance ---- */

typedef struct chosen {
    char *path;
    uint32_t frame;
    char uid[UL_UID_SIZE];
} chosen;

/* Walks the series' instances; at number `stop` keeps it. Returns how many were met, or -1. */
static long walk(chosen *out, scp_index *index, const char *series_uid, long stop, scp_error *error)
{
    const index_filter filter = {.series_uids = &series_uid, .nseries_uids = 1};
    index_cursor *cursor;
    index_instance instance;
    long n = 0;
    int result = 1;
    if (index_find_instances(&cursor, index, &filter, error) != 0)
        return -1;
    while (n <= stop && (result = index_cursor_next_instance(cursor, &instance, error)) == 1) {
        if (n++ != stop)
            continue;
        out->path = strdup(instance.path);
        out->frame = instance.frame;
        snprintf(out->uid, sizeof out->uid, "%s", instance.sop_instance_uid);
    }
    index_cursor_close(cursor);
    return result < 0 ? -1 : n;
}

/* False where the series has no instances. */
static bool choose(chosen *out, scp_index *index, const char *series_uid)
{
    *out = (chosen){NULL, 0, ""};
    const long n = walk(out, index, series_uid, LONG_MAX - 1, NULL);
    return n > 0 && walk(out, index, series_uid, n / 2, NULL) > 0 && out->path != NULL;
}

/* ---- Keeping ---- */

static bool find_kept(http_reply *reply, http_thumbnails *all, const scp_node *node,
                      const char *uid)
{
    bool found = false;
    pthread_mutex_lock(&all->lock);
    for (size_t i = 0; i < KEPT && !found; i++) {
        if (all->kept[i].png == NULL || all->kept[i].node != node ||
            strcmp(all->kept[i].uid, uid) != 0)
            continue;
        all->kept[i].last_used = ++all->clock;
        text_put_bytes(&reply->body, (const char *)all->kept[i].png, all->kept[i].nbytes);
        found = true;
    }
    pthread_mutex_unlock(&all->lock);
    return found;
}

/* Takes png over. */
static void keep(http_thumbnails *all, const scp_node *node, const char *uid, uint8_t *png,
                 size_t nbytes)
{
    pthread_mutex_lock(&all->lock);
    thumbnail *oldest = &all->kept[0];
    for (size_t i = 1; i < KEPT; i++) {
        if (all->kept[i].last_used < oldest->last_used)
            oldest = &all->kept[i];
    }
    uint8_t *dropped = oldest->png;
    *oldest = (thumbnail){node, "", ++all->clock, png, nbytes};
    snprintf(oldest->uid, sizeof oldest->uid, "%s", uid);
    pthread_mutex_unlock(&all->lock);
    free(dropped);
}

/* ---- Making ---- */

static int make(uint8_t **png, size_t *nbytes, const chosen *what, series_pool *pool,
                scp_error *error)
{
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    dcb_series *series = NULL;
    dcb_error reason = DCB_ERROR_INIT;
    dcb_frame_info info;
    picture image = PICTURE_INIT;
    const render_options how = {.size = SIZE_PX};
    options.vr_lookup = dictionary_vr;
    options.pixel_codec = &pixel_codec;
    series_pool_make(pool, what->path); /* of one that has just come in */
    if (dcb_series_open(&series, what->path, &options, &reason) != DCB_OK ||
        dcb_series_frame_info(&info, series, what->frame, &reason) != DCB_OK) {
        dcb_series_release(series);
        return scp_fail(error, "%s", reason.message);
    }
    int result = -1;
    if (strcmp(info.sop_instance_uid, what->uid) != 0)
        scp_fail(error, "the file changed since it was indexed");
    else if (render_frame(&image, series, what->frame, &how, error) == 0)
        result = picture_encode_png(png, nbytes, &image, error);
    picture_free(&image);
    dcb_series_release(series);
    return result;
}

void http_thumbnail(http_reply *reply, http_thumbnails *all, const scp_node *node,
                    const http_request *request)
{
    scp_error error = SCP_ERROR_INIT;
    chosen what;
    uint8_t *png = NULL;
    size_t nbytes = 0;
    const char *uid = request->parameter(request->connection, "series");
    if (uid == NULL || !choose(&what, node->index, uid)) {
        http_reply_error(reply, 404, "there is no such series");
        return;
    }
    pthread_mutex_lock(&all->making);
    int result = find_kept(reply, all, node, what.uid)
                     ? 0
                     : make(&png, &nbytes, &what, node->series, &error);
    pthread_mutex_unlock(&all->making);
    if (png != NULL) {
        text_put_bytes(&reply->body, (const char *)png, nbytes);
        if (nbytes <= BYTES_MAX)
            keep(all, node, what.uid, png, nbytes);
        else
            free(png);
    }
    free(what.path);
    reply->type = "image/png";
    if (result != 0) /* no pixels, or an encoding that is not decoded here */
        http_reply_error(reply, 404, "there is no picture of this series");
}
