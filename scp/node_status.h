/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_status.h - the state of a node as one value, and as text for Prometheus, for programs (JSON)
 * and for people.
 *
 * What may take long (counting the index, asking disks) is asked by a thread of the source's own,
 * now and then; what the texts show of it is its last answer. So reading never waits.
 *
 * Threads: any, but for open and close.
 */
#ifndef NODE_STATUS_H
#define NODE_STATUS_H

#include "ahead.h"
#include "ingest.h"
#include "metrics.h"
#include "node.h"
#include "text_buffer.h"
#include "ul.h"

typedef enum node_state { NODE_STARTING, NODE_READY, NODE_STOPPING } node_state;

/* A disk that the node writes to or reads from. */
typedef struct node_disk {
    const char *use; /* static: "store", "state", "archive" */
    uint64_t free_bytes, total_bytes;
} node_disk;

#define NODE_DISKS 3

typedef struct node_status {
    node_state state;
    char not_ready[160]; /* why; "": ready */
    char ae_title[UL_AE_TITLE_SIZE], address[46];
    const scp_title *titles; /* the others; borrowed from the node's options */
    uint32_t ntitles;
    uint16_t port; /* of DICOM; 0: does not listen yet */
    int64_t unix_ms, start_unix_ms;
    double uptime_s;
    uint32_t associations;
    bool has_totals;
    index_totals totals;
    dcb_cache_stats cache;
    ahead_stats ahead;
    bool takes_in; /* then: */
    ingest_stats ingest;
    uint64_t reserve_bytes;
    size_t ndisks;
    node_disk disks[NODE_DISKS];
    double cpu_s;
    uint64_t resident_bytes, open_files, max_files;
    metrics_snapshot metrics;
} node_status;

/* One point of the plots: what the counters said. */
typedef struct node_sample {
    int64_t unix_ms;
    uint64_t bytes_in, bytes_out, cache_hits, cache_misses, cache_bytes, associations;
} node_sample;

#define NODE_SAMPLES   300
#define NODE_SAMPLE_MS 2000

typedef struct node_watch node_watch;

/* The node's index, series and ahead must be there; its ingest is looked at from
   node_watch_ready on. Both arguments must outlive the watch. */
int node_watch_open(node_watch **out, const scp_node *node, dcb_cache *cache, scp_error *error);
void node_watch_close(node_watch *watch);

/* The node listens, on that port. */
void node_watch_ready(node_watch *watch, uint16_t port);
void node_watch_stopping(node_watch *watch);
/* The node that is watched; its ingest may be used while this is true. */
const scp_node *node_watch_node(const node_watch *watch);
bool node_watch_is_serving(const node_watch *watch);

void node_watch_read(node_watch *watch, node_status *out);
/* The last samples, oldest first. */
size_t node_watch_samples(node_watch *watch, node_sample out[NODE_SAMPLES]);
/* Can the node do its work? Else false, and why. */
bool node_watch_is_ready(node_watch *watch, char *reason, size_t size);

/* Prometheus' text format, version 0.0.4. */
void node_status_metrics(text_buffer *to, const node_status *status);
/* One object. The open associations and the last refusals are activity.h's. patient_data: whether
   the page may ask for them. */
void node_status_json(text_buffer *to, const node_status *status, const node_sample *samples,
                      size_t nsamples, bool patient_data);
/* A table for a terminal. */
void node_status_text(text_buffer *to, const node_status *status);

#endif
