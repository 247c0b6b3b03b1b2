/* SPDX-License-Identifier: Apache-2.0 */
/* http_answer.c - what stands at each path. */
#include "http_private.h"

#include "http_pages.h"
#include "titles.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NICE 15

void http_reply_text(http_reply *reply, unsigned status, const char *text)
{
    reply->status = status;
    reply->type = "text/plain; charset=utf-8";
    text_put(&reply->body, text);
    text_put(&reply->body, "\n");
}

void http_reply_error(http_reply *reply, unsigned status, const char *text)
{
    reply->status = status;
    reply->type = "application/json";
    text_put(&reply->body, "{\"error\":");
    text_put_json(&reply->body, text);
    text_put(&reply->body, "}\n");
}

static void answer_page(http_reply *reply, const http_page *page)
{
    reply->type = page->type;
    reply->fixed = (const char *)page->bytes;
    reply->fixed_nbytes = page->nbytes;
}

static void answer_status(http_reply *reply, http_server *server, const char *path)
{
    node_status status;
    node_watch_read(server->watch, &status);
    if (strcmp(path, "/metrics") == 0) {
        reply->type = "text/plain; version=0.0.4; charset=utf-8";
        node_status_metrics(&reply->body, &status);
    } else if (strcmp(path, "/status.txt") == 0) {
        reply->type = "text/plain; charset=utf-8";
        node_status_text(&reply->body, &status);
    } else {
        node_sample *samples = calloc(NODE_SAMPLES, sizeof *samples);
        const size_t n = samples != NULL ? node_watch_samples(server->watch, samples) : 0;
        reply->type = "application/json";
        node_status_json(&reply->body, &status, samples, n,
                         server->node->options->http_patient_data);
        free(samples);
    }
}

/* Why is for those who may know. */
void http_answer_ready(http_reply *reply, http_server *server, bool admitted)
{
    char why[160];
    if (node_watch_is_ready(server->watch, why, sizeof why))
        http_reply_text(reply, 200, "ready");
    else
        http_reply_text(reply, 503, admitted ? why : "not ready");
}

static void answer_rescan(http_reply *reply, http_server *server, const http_request *request)
{
    /* A page elsewhere can have a browser send a POST, but not with a header of its own. */
    if (request->header(request->connection, "X-Requested-With") == NULL) {
        http_reply_error(reply, 403, "a header X-Requested-With is missing");
        return;
    }
    scp_archive *archive = atomic_load(&server->archive);
    const char *all = request->parameter(request->connection, "all");
    if (archive == NULL) {
        http_reply_error(reply, 503, "not now: the node starts or stops");
        return;
    }
    archive_rescan(archive, all != NULL && strcmp(all, "1") == 0);
    reply->status = 202;
    reply->type = "application/json";
    text_put(&reply->body, "{\"rescan\":\"begun\"}\n");
}

void http_step_back(void)
{
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
}

/* The node of the AE title that is asked for, the main one where none is. NULL after an answer. */
static const scp_node *asked_node(http_reply *reply, http_server *server,
                                  const http_request *request)
{
    const char *title = request->parameter(request->connection, "title");
    if (title == NULL || title[0] == '\0' || strcmp(title, server->node->options->ae_title) == 0)
        return server->node;
    if (atomic_load(&server->archive) == NULL) { /* the others are hung behind it before that */
        http_reply_error(reply, 503, "not now: the node starts or stops");
        return NULL;
    }
    const scp_node *node = titles_find(server->node, title);
    if (node == NULL)
        http_reply_error(reply, 404, "there is no such AE title here");
    return node;
}

/* Patient data are shown only where the configuration says so. */
static bool answer_search(http_reply *reply, http_server *server, const char *path,
                          const http_request *request)
{
    const bool studies = strcmp(path, "/studies.json") == 0;
    if (!studies && strcmp(path, "/series.json") != 0 && strcmp(path, "/thumbnail.png") != 0)
        return false;
    http_step_back();
    if (!studies && !server->node->options->http_patient_data) {
        http_reply_error(reply, 403, "patient data are not shown here: http_patient_data is false");
        return true;
    }
    const scp_node *node = asked_node(reply, server, request);
    if (node == NULL)
        return true;
    if (studies)
        http_studies(reply, node, request);
    else if (strcmp(path, "/series.json") == 0)
        http_series(reply, node, request);
    else
        http_thumbnail(reply, server->thumbnails, node, request);
    return true;
}

void http_answer(http_reply *reply, http_server *server, const char *method, const char *path,
                 const http_request *request)
{
    const bool posts = strcmp(method, "POST") == 0;
    if (strcmp(path, "/rescan") == 0) {
        if (posts)
            answer_rescan(reply, server, request);
        else
            http_reply_error(reply, 405, "POST is wanted here");
        return;
    }
    if (posts) {
        http_reply_error(reply, 405, "GET is wanted here");
        return;
    }
    for (size_t i = 0; i < sizeof HTTP_PAGES / sizeof HTTP_PAGES[0]; i++) {
        if (strcmp(path, HTTP_PAGES[i].path) == 0) {
            answer_page(reply, &HTTP_PAGES[i]);
            return;
        }
    }
    if (strcmp(path, "/metrics") == 0 || strcmp(path, "/status.json") == 0 ||
        strcmp(path, "/status.txt") == 0)
        answer_status(reply, server, path);
    else if (!answer_search(reply, server, path, request))
        http_reply_error(reply, 404, "there is nothing here");
}
