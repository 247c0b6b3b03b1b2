/* SPDX-License-Identifier: Apache-2.0 */
/* node_status_text.c - a node's state as a table for a terminal. */
#include "node_status.h"

#include "activity.h"
#include "dimse_status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ASSOCIATIONS_SHOWN 50
#define REFUSALS_SHOWN     10

typedef struct small_text {
    char text[32];
} small_text;

static small_text as_bytes(uint64_t n)
{
    static const char *const UNITS[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    small_text out;
    double value = (double)n;
    size_t unit = 0;
    while (value >= 1024 && unit < sizeof UNITS / sizeof UNITS[0] - 1) {
        value /= 1024;
        unit++;
    }
    snprintf(out.text, sizeof out.text, unit > 0 && value < 10 ? "%.1f %s" : "%.0f %s", value,
             UNITS[unit]);
    return out;
}

static small_text as_age(double seconds)
{
    small_text out;
    if (seconds < 100)
        snprintf(out.text, sizeof out.text, "%.1f s", seconds);
    else if (seconds < 6000)
        snprintf(out.text, sizeof out.text, "%.0f min", seconds / 60);
    else if (seconds < 172800)
        snprintf(out.text, sizeof out.text, "%.1f h", seconds / 3600);
    else
        snprintf(out.text, sizeof out.text, "%.0f days", seconds / 86400);
    return out;
}

static void put_archive(text_buffer *to, const node_status *status)
{
    const index_totals *totals = &status->totals;
    const dcb_cache_stats *cache = &status->cache;
    const uint64_t asked = cache->hits + cache->coalesced + cache->misses;
    if (status->has_totals)
        text_format(to,
                    "archive       %" PRIu64 " patients, %" PRIu64 " studies, %" PRIu64
                    " series, %" PRIu64 " instances; %s in %" PRIu64 " files, %" PRIu64
                    " more cannot be read\n",
                    totals->patients, totals->studies, totals->series, totals->instances,
                    as_bytes(totals->file_bytes).text, totals->files, totals->bad_files);
    else
        text_put(to, "archive       not known\n");
    text_format(to,
                "cache         %s of %s, %.0f%% of %" PRIu64 " instances asked for were in it\n",
                as_bytes(cache->bytes).text, as_bytes(cache->budget_bytes).text,
                asked > 0 ? 100.0 * (double)(asked - cache->misses) / (double)asked : 0.0, asked);
    const ingest_stats *ingest = &status->ingest;
    if (status->takes_in)
        text_format(to,
                    "spool         %" PRIu64 " instances of %" PRIu64
                    " series, %s, to be packed; %" PRIu64 " received, %" PRIu64
                    " packed since the start\n",
                    ingest->spool_instances, ingest->spool_series,
                    as_bytes(ingest->spool_bytes).text, ingest->received, ingest->packed_instances);
    for (size_t i = 0; i < status->ndisks; i++)
        text_format(to, "disk          %s: %s free of %s\n", status->disks[i].use,
                    as_bytes(status->disks[i].free_bytes).text,
                    as_bytes(status->disks[i].total_bytes).text);
    text_format(to, "process       %s of memory, %s of processor time\n",
                as_bytes(status->resident_bytes).text, as_age(status->cpu_s).text);
}

static void put_operations(text_buffer *to, const metrics_snapshot *metrics)
{
    static const char *const NAMES[METRIC_SERVICES] = METRIC_SERVICE_NAMES;
    for (size_t i = 0; i < metrics->noutcomes; i++) {
        const metric_outcome *outcome = &metrics->outcomes[i];
        const bool ended = outcome->status == METRIC_NO_STATUS;
        text_format(to, "%-13s %-6s ", i == 0 ? "operations" : "", NAMES[outcome->service]);
        if (ended)
            text_put(to, "none");
        else
            text_format(to, "%04X", (unsigned)outcome->status);
        text_format(to, "  %8" PRIu64 "  %s\n", outcome->count,
                    ended ? "association ended before"
                          : dimse_status_text((uint16_t)outcome->status));
    }
}

static void put_associations(text_buffer *to, const metrics_snapshot *metrics)
{
    activity_view *views = calloc(ASSOCIATIONS_SHOWN, sizeof *views);
    const size_t n = views != NULL ? activity_list(views, ASSOCIATIONS_SHOWN) : 0;
    uint64_t rejected = 0;
    for (int i = METRIC_REJECTED_CALLED; i <= METRIC_REJECTED_OTHER; i++)
        rejected += metrics->counters[i];
    text_format(to, "associations  %zu open, %" PRIu64 " accepted, %" PRIu64 " rejected; %s in, ",
                n, metrics->counters[METRIC_ACCEPTED], rejected,
                as_bytes(metrics->counters[METRIC_BYTES_IN]).text);
    text_format(to, "%s out\n", as_bytes(metrics->counters[METRIC_BYTES_OUT]).text);
    if (n > 0)
        text_format(to, "\n%8s  %-16s  %-24s %-6s  %-16s %-8s  %9s  %9s\n", "NUMBER", "CALLING",
                    "PEER", "RUNS", "PROGRESS", "FOR", "IN", "OUT");
    for (size_t i = 0; i < n && i < ASSOCIATIONS_SHOWN; i++) {
        const activity_view *v = &views[i];
        char progress[64] = "";
        if (v->total > 0)
            snprintf(progress, sizeof progress, "%" PRIu64 "/%" PRIu64,
                     v->completed + v->failed + v->warning, v->total);
        else if (v->stored > 0)
            snprintf(progress, sizeof progress, "%" PRIu64 " stored", v->stored);
        else if (v->nresponses > 0)
            snprintf(progress, sizeof progress, "%" PRIu64 " responses", v->nresponses);
        const int64_t age_ms = v->operation != NULL ? v->operation_age_ms : v->age_ms;
        text_format(to, "%8" PRIu32 "  %-16s  %-24s %-6s  %-16s %-8s  %9s  %9s\n", v->number,
                    v->calling, v->peer, v->operation != NULL ? v->operation : "-", progress,
                    as_age((double)age_ms / 1e3).text, as_bytes(v->bytes_in).text,
                    as_bytes(v->bytes_out).text);
    }
    if (n > ASSOCIATIONS_SHOWN)
        text_format(to, "%8s  %zu more\n", "", n - ASSOCIATIONS_SHOWN);
    free(views);
}

static void put_refusals(text_buffer *to)
{
    activity_refusal refusals[ACTIVITY_REFUSALS];
    const size_t n = activity_refusals(refusals);
    if (n > 0)
        text_put(to, "\nlast refusals\n");
    for (size_t i = 0; i < n && i < REFUSALS_SHOWN; i++) {
        char when[32];
        struct tm utc;
        const time_t at = (time_t)refusals[i].unix_s;
        gmtime_r(&at, &utc);
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
        text_format(to, "  %s  %s %s %s: %s\n", when, refusals[i].what, refusals[i].calling,
                    refusals[i].peer, refusals[i].reason);
    }
}

void node_status_text(text_buffer *to, const node_status *status)
{
    text_format(to, "dcbscp " DCB_VERSION "  %s on %s port %u, up %s: %s\n", status->ae_title,
                status->address, status->port, as_age(status->uptime_s).text,
                status->not_ready[0] == '\0' ? "ready" : status->not_ready);
    put_archive(to, status);
    put_operations(to, &status->metrics);
    put_associations(to, &status->metrics);
    put_refusals(to);
}
