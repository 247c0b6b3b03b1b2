/* SPDX-License-Identifier: Apache-2.0 */
/*
 * titles.c - one scp_node for each further AE title.
 *
 * Invariant: a title's options are the node's, but for its name, folders and state: whatever a part
 * reads of them is its own title's, and what a service is handed is its own title's index.
 */
#include "titles.h"

#include "archive.h"
#include "ingest.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct title_parts {
    scp_options options; /* borrows all that it points to */
    scp_node node;
    scp_archive *archive;
} title_parts;

struct scp_titles {
    uint32_t count;
    title_parts *titles;
};

static void set_options(scp_options *out, const scp_options *node, const scp_title *title)
{
    *out = *node;
    out->ae_title = title->ae_title;
    out->archives = title->archives;
    out->narchives = title->narchives;
    out->store = title->store;
    out->state_dir = title->state_dir;
    out->titles = NULL;
    out->ntitles = 0;
}

static int check_folders(const scp_title *title, scp_error *error)
{
    for (uint32_t i = 0; i < title->narchives; i++) {
        DIR *folder = opendir(title->archives[i]);
        if (folder == NULL)
            return scp_fail(error, "cannot read the archive %s of %s: %s", title->archives[i],
                            title->ae_title, strerror(errno));
        closedir(folder);
    }
    return 0;
}

static int start_title(title_parts *parts, const scp_node *first, const scp_title *title,
                       scp_error *error)
{
    scp_node *node = &parts->node;
    index_totals totals;
    set_options(&parts->options, first->options, title);
    *node = *first;
    node->options = &parts->options;
    node->index = NULL;
    node->ingest = NULL;
    node->next = NULL;
    if (check_folders(title, error) != 0 ||
        index_open(&node->index, title->state_dir, error) != 0 ||
        archive_start(&parts->archive, node->options, node->index, node->series, NULL, error) != 0)
        return -1;
    if (title->store != NULL &&
        ingest_open(&node->ingest, node->options, node->index, node->series, error) != 0)
        return -1;
    if (index_get_totals(node->index, &totals, error) != 0)
        return -1;
    log_event(LOG_INFO, "title.ready", LOG_T("ae_title", title->ae_title),
              LOG_U("series", totals.series), LOG_U("instances", totals.instances),
              LOG_U("bad_files", totals.bad_files));
    return 0;
}

int titles_start(scp_titles **out, scp_node *first, scp_error *error)
{
    const scp_options *options = first->options;
    *out = NULL;
    if (options->ntitles == 0)
        return 0;
    scp_titles *titles = calloc(1, sizeof *titles);
    title_parts *parts = calloc(options->ntitles, sizeof *parts);
    if (titles == NULL || parts == NULL) {
        free(titles);
        free(parts);
        return scp_fail(error, "out of memory");
    }
    *out = titles;
    titles->titles = parts;
    for (uint32_t i = 0; i < options->ntitles; i++) {
        titles->count = i + 1;
        if (start_title(&parts[i], first, &options->titles[i], error) != 0)
            return -1;
    }
    for (uint32_t i = options->ntitles; i-- > 0;) {
        parts[i].node.next = first->next;
        first->next = &parts[i].node;
    }
    return 0;
}

void titles_stop(scp_titles *titles)
{
    if (titles == NULL)
        return;
    for (uint32_t i = 0; i < titles->count; i++) {
        ingest_close(titles->titles[i].node.ingest);
        if (titles->titles[i].archive != NULL)
            archive_stop(titles->titles[i].archive);
        index_close(titles->titles[i].node.index);
    }
    free(titles->titles);
    free(titles);
}

const scp_node *titles_find(const scp_node *first, const char *called_ae_title)
{
    while (first != NULL && strcmp(first->options->ae_title, called_ae_title) != 0)
        first = first->next;
    return first;
}
