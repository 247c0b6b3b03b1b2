/* SPDX-License-Identifier: Apache-2.0 */
/* node_status_metrics.c - a node's state in Prometheus' text format. */
#include "node_status.h"

#include "dimse_status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const SERVICE_NAMES[METRIC_SERVICES] = METRIC_SERVICE_NAMES;

static void put_head(text_buffer *to, const char *name, const char *type, const char *help)
{
    text_format(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_gauge(text_buffer *to, const char *name, double value, const char *help)
{
    put_head(to, name, "gauge", help);
    text_format(to, "%s %.17g\n", name, value);
}

static void put_count(text_buffer *to, const char *name, uint64_t value, const char *help)
{
    put_head(to, name, "counter", help);
    text_format(to, "%s %" PRIu64 "\n", name, value);
}

/* ---- What was counted ---- */

static void put_counters(text_buffer *to, const metrics_snapshot *metrics)
{
    static const struct {
        const char *name, *label, *help;
    } ROWS[METRIC_COUNTERS] = {
#define METRIC_COUNTER_ROW(id, name, label, help) {"dcbscp_" name, label, help},
        METRIC_COUNTER_MAP(METRIC_COUNTER_ROW)
#undef METRIC_COUNTER_ROW
    };
    for (size_t i = 0; i < METRIC_COUNTERS; i++) {
        if (i == 0 || strcmp(ROWS[i].name, ROWS[i - 1].name) != 0)
            put_head(to, ROWS[i].name, "counter", ROWS[i].help);
        text_format(to, "%s%s%s%s %" PRIu64 "\n", ROWS[i].name, ROWS[i].label[0] != '\0' ? "{" : "",
                    ROWS[i].label, ROWS[i].label[0] != '\0' ? "}" : "", metrics->counters[i]);
    }
}

static void put_operations(text_buffer *to, const metrics_snapshot *metrics)
{
    const char *name = "dcbscp_operations_total";
    put_head(to, name, "counter",
             "Operations that are over, by service and final status; status none: the "
             "association ended before.");
    for (size_t i = 0; i < metrics->noutcomes; i++) {
        const metric_outcome *outcome = &metrics->outcomes[i];
        text_format(to, "%s{service=\"%s\",status=\"", name, SERVICE_NAMES[outcome->service]);
        if (outcome->status == METRIC_NO_STATUS)
            text_put(to, "none");
        else
            text_format(to, "%04X", (unsigned)outcome->status);
        text_format(to, "\",outcome=\"%s\"} %" PRIu64 "\n",
                    outcome->status == METRIC_NO_STATUS ? "aborted"
                                                        : dimse_outcome((uint16_t)outcome->status),
                    outcome->count);
    }
}

/* label: "" or one with a comma behind it. */
static void put_histogram(text_buffer *to, const char *name, const char *label, const char *value,
                          const metric_buckets *buckets)
{
    char pair[64] = "", braces[80] = "";
    if (label[0] != '\0') {
        snprintf(pair, sizeof pair, "%s=\"%s\",", label, value);
        snprintf(braces, sizeof braces, "{%s=\"%s\"}", label, value);
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < METRIC_BUCKETS; i++) {
        sum += buckets->counts[i];
        text_format(to, "%s_bucket{%sle=\"", name, pair);
        if (i < METRIC_BUCKETS - 1)
            text_format(to, "%g", metric_bounds[i]);
        else
            text_put(to, "+Inf");
        text_format(to, "\"} %" PRIu64 "\n", sum);
    }
    text_format(to, "%s_sum%s %.9g\n%s_count%s %" PRIu64 "\n", name, braces, buckets->sum, name,
                braces, sum);
}

static void put_histograms(text_buffer *to, const metrics_snapshot *metrics)
{
    const char *operation = "dcbscp_operation_duration_seconds";
    put_head(to, operation, "histogram", "From a request to its final response.");
    for (size_t i = 0; i < METRIC_SERVICES - 1; i++)
        put_histogram(to, operation, "service", SERVICE_NAMES[i],
                      &metrics->histograms[METRIC_OPERATION_SECONDS + i]);
    const char *decode = "dcbscp_decode_duration_seconds";
    put_head(to, decode, "histogram",
             "Making a decoded instance that the cache did not have, reading included.");
    put_histogram(to, decode, "", "", &metrics->histograms[METRIC_DECODE_SECONDS]);
}

/* ---- What there is ---- */

static void put_node(text_buffer *to, const node_status *status)
{
    put_head(to, "dcbscp_build_info", "gauge", "The version that runs; always 1.");
    text_put(to, "dcbscp_build_info{version=\"" DCB_VERSION "\"} 1\n");
    put_gauge(to, "dcbscp_uptime_seconds", status->uptime_s, "Since the node was started.");
    put_gauge(to, "dcbscp_ready", status->not_ready[0] == '\0',
              "1 where /readyz says ready, else 0.");
    put_gauge(to, "dcbscp_associations", status->associations, "Associations that are open now.");
    if (status->has_totals) {
        const char *name = "dcbscp_index_entries";
        const index_totals *totals = &status->totals;
        const struct {
            const char *level;
            uint64_t n;
        } ROWS[] = {{"patient", totals->patients},
                    {"study", totals->studies},
                    {"series", totals->series},
                    {"instance", totals->instances}};
        put_head(to, name, "gauge", "What the archive holds, by level.");
        for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++)
            text_format(to, "%s{level=\"%s\"} %" PRIu64 "\n", name, ROWS[i].level, ROWS[i].n);
        put_gauge(to, "dcbscp_index_files", (double)totals->files, "Files that the index knows.");
        put_gauge(to, "dcbscp_archive_bytes", (double)totals->file_bytes, "These files, in bytes.");
        put_gauge(to, "dcbscp_index_bytes", (double)totals->index_bytes, "The index itself.");
        put_gauge(to, "dcbscp_index_bad_files", (double)totals->bad_files,
                  "Files that cannot be read; the log tells why.");
    }
}

static void put_cache(text_buffer *to, const dcb_cache_stats *cache)
{
    put_gauge(to, "dcbscp_cache_bytes", (double)cache->bytes, "Instances in the cache, in bytes.");
    put_gauge(to, "dcbscp_cache_limit_bytes", (double)cache->budget_bytes, "cache_mb, in bytes.");
    put_gauge(to, "dcbscp_cache_entries", (double)cache->entries, "Instances in the cache.");
    put_gauge(to, "dcbscp_cache_loading", (double)cache->loading,
              "Instances that are being read or decoded now.");
    put_count(to, "dcbscp_cache_hits_total", cache->hits, "Instances that the cache had.");
    put_count(to, "dcbscp_cache_misses_total", cache->misses,
              "Instances that had to be read or decoded.");
    put_count(to, "dcbscp_cache_coalesced_total", cache->coalesced,
              "Instances that another was reading or decoding already.");
    put_count(to, "dcbscp_cache_evictions_total", cache->evictions,
              "Instances dropped to make room.");
}

static void put_ahead(text_buffer *to, const ahead_stats *ahead)
{
    put_gauge(to, "dcbscp_ahead_retrievals", (double)ahead->lists,
              "Retrievals for which instances are made before their turn.");
    put_gauge(to, "dcbscp_ahead_waiting", (double)ahead->waiting,
              "Instances made that wait for their turn.");
    put_gauge(to, "dcbscp_ahead_waiting_bytes", (double)ahead->waiting_bytes, "The same in bytes.");
    put_gauge(to, "dcbscp_ahead_running", (double)ahead->running,
              "Instances that are being made before their turn.");
    put_gauge(to, "dcbscp_decode_queue", (double)ahead->owners_waiting,
              "Retrievals that wait for a processor to decode their next instance.");
    put_count(to, "dcbscp_ahead_used_total", ahead->used, "Instances made before their turn.");
    put_count(to, "dcbscp_ahead_dropped_total", ahead->dropped,
              "Instances made before their turn that nobody took.");
}

static void put_disks(text_buffer *to, const node_status *status)
{
    put_head(to, "dcbscp_disk_free_bytes", "gauge",
             "Free for the node on the disk of its store, its state and its first archive.");
    for (size_t i = 0; i < status->ndisks; i++)
        text_format(to, "dcbscp_disk_free_bytes{use=\"%s\"} %" PRIu64 "\n", status->disks[i].use,
                    status->disks[i].free_bytes);
    put_head(to, "dcbscp_disk_size_bytes", "gauge", "The size of these disks.");
    for (size_t i = 0; i < status->ndisks; i++)
        text_format(to, "dcbscp_disk_size_bytes{use=\"%s\"} %" PRIu64 "\n", status->disks[i].use,
                    status->disks[i].total_bytes);
    put_gauge(
        to, "dcbscp_disk_reserve_bytes", (double)status->reserve_bytes,
        "store_reserve_mb, in bytes: with less free on the store's disk nothing is taken in.");
}

static void put_ingest(text_buffer *to, const ingest_stats *ingest)
{
    put_gauge(to, "dcbscp_spool_instances", (double)ingest->spool_instances,
              "Instances that were taken in and wait to be packed.");
    put_gauge(to, "dcbscp_spool_bytes", (double)ingest->spool_bytes, "The same in bytes.");
    put_gauge(to, "dcbscp_spool_series", (double)ingest->spool_series, "The same in series.");
    put_gauge(to, "dcbscp_spool_failing_series", (double)ingest->failing_series,
              "Of these, series whose packing failed; it is tried again.");
    put_gauge(to, "dcbscp_spool_failing", ingest->failing ? 1.0 : 0.0,
              "1: what comes in cannot be written; small instances are refused.");
    put_count(to, "dcbscp_received_instances_total", ingest->received,
              "Instances that were kept: answered with success or a warning.");
    put_count(to, "dcbscp_packed_instances_total", ingest->packed_instances,
              "Instances packed into .dcbs files.");
    put_count(to, "dcbscp_packed_series_total", ingest->packed_series,
              "Series packed into .dcbs files.");
    put_count(to, "dcbscp_pack_failures_total", ingest->pack_failures,
              "Packings of a series that failed.");
}

/* By the names that Prometheus' own libraries use. */
static void put_process(text_buffer *to, const node_status *status)
{
    put_head(to, "process_cpu_seconds_total", "counter", "Processor time used, user and system.");
    text_format(to, "process_cpu_seconds_total %.3f\n", status->cpu_s);
    put_gauge(to, "process_resident_memory_bytes", (double)status->resident_bytes,
              "Memory in use.");
    put_gauge(to, "process_open_fds", (double)status->open_files, "Open descriptors.");
    put_gauge(to, "process_max_fds", (double)status->max_files, "Descriptors that may be open.");
    put_gauge(to, "process_start_time_seconds", (double)status->start_unix_ms / 1e3,
              "When the node was started, in Unix time.");
}

void node_status_metrics(text_buffer *to, const node_status *status)
{
    put_node(to, status);
    put_counters(to, &status->metrics);
    put_operations(to, &status->metrics);
    put_histograms(to, &status->metrics);
    put_cache(to, &status->cache);
    put_ahead(to, &status->ahead);
    put_disks(to, status);
    if (status->takes_in)
        put_ingest(to, &status->ingest);
    put_process(to, status);
}
