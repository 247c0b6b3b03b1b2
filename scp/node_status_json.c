/* SPDX-License-Identifier: Apache-2.0 */
/* node_status_json.c - a node's state as one JSON object, for the status page and for programs. */
#include "node_status.h"

#include "activity.h"
#include "dimse_status.h"

#include <inttypes.h>
#include <stdlib.h>

#define ASSOCIATIONS_SHOWN 200

static void put_text(text_buffer *to, const char *name, const char *text)
{
    text_format(to, ",\"%s\":", name);
    text_put_json(to, text);
}

static void put_number(text_buffer *to, const char *name, uint64_t n)
{
    text_format(to, ",\"%s\":%" PRIu64, name, n);
}

static void put_association(text_buffer *to, const activity_view *view)
{
    text_format(to, "{\"number\":%" PRIu32, view->number);
    put_text(to, "peer", view->peer);
    put_text(to, "calling", view->calling);
    put_text(to, "called", view->called);
    if (view->operation != NULL)
        put_text(to, "operation", view->operation);
    else
        text_put(to, ",\"operation\":null");
    text_format(to, ",\"age_s\":%.1f,\"operation_age_s\":%.1f", (double)view->age_ms / 1e3,
                (double)view->operation_age_ms / 1e3);
    put_number(to, "responses", view->nresponses);
    put_number(to, "total", view->total);
    put_number(to, "completed", view->completed);
    put_number(to, "failed", view->failed);
    put_number(to, "warning", view->warning);
    put_number(to, "stored", view->stored);
    put_number(to, "bytes_in", view->bytes_in);
    put_number(to, "bytes_out", view->bytes_out);
    text_put(to, "}");
}

static void put_associations(text_buffer *to)
{
    activity_view *views = calloc(ASSOCIATIONS_SHOWN, sizeof *views);
    const size_t n = views != NULL ? activity_list(views, ASSOCIATIONS_SHOWN) : 0;
    text_format(to, ",\"open\":%zu,\"associations\":[", n);
    for (size_t i = 0; i < n && i < ASSOCIATIONS_SHOWN; i++) {
        text_put(to, i == 0 ? "" : ",");
        put_association(to, &views[i]);
    }
    text_put(to, "]");
    free(views);
}

static void put_refusals(text_buffer *to)
{
    activity_refusal refusals[ACTIVITY_REFUSALS];
    const size_t n = activity_refusals(refusals);
    text_put(to, ",\"refusals\":[");
    for (size_t i = 0; i < n; i++) {
        text_format(to, "%s{\"time\":%" PRId64, i == 0 ? "" : ",", refusals[i].unix_s);
        put_text(to, "what", refusals[i].what);
        put_text(to, "peer", refusals[i].peer);
        put_text(to, "calling", refusals[i].calling);
        put_text(to, "reason", refusals[i].reason);
        text_put(to, "}");
    }
    text_put(to, "]");
}

static void put_operations(text_buffer *to, const metrics_snapshot *metrics)
{
    static const char *const NAMES[METRIC_SERVICES] = METRIC_SERVICE_NAMES;
    text_put(to, ",\"operations\":[");
    for (size_t i = 0; i < metrics->noutcomes; i++) {
        const metric_outcome *outcome = &metrics->outcomes[i];
        text_format(to, "%s{\"service\":\"%s\",\"status\":", i == 0 ? "" : ",",
                    NAMES[outcome->service]);
        if (outcome->status == METRIC_NO_STATUS)
            text_put(to, "null,\"meaning\":\"association ended before\"");
        else
            text_format(to, "\"%04X\",\"meaning\":\"%s\"", (unsigned)outcome->status,
                        dimse_status_text((uint16_t)outcome->status));
        text_format(to, ",\"count\":%" PRIu64 "}", outcome->count);
    }
    text_put(to, "]");
}

static void put_archive(text_buffer *to, const node_status *status)
{
    if (!status->has_totals) {
        text_put(to, ",\"archive\":null");
        return;
    }
    const index_totals *totals = &status->totals;
    text_format(to,
                ",\"archive\":{\"patients\":%" PRIu64 ",\"studies\":%" PRIu64 ",\"series\":%" PRIu64
                ",\"instances\":%" PRIu64 ",\"files\":%" PRIu64 ",\"bad_files\":%" PRIu64
                ",\"bytes\":%" PRIu64 ",\"index_bytes\":%" PRIu64 "}",
                totals->patients, totals->studies, totals->series, totals->instances, totals->files,
                totals->bad_files, totals->file_bytes, totals->index_bytes);
}

static void put_cache(text_buffer *to, const dcb_cache_stats *cache)
{
    text_format(to,
                ",\"cache\":{\"bytes\":%" PRIu64 ",\"limit_bytes\":%" PRIu64 ",\"entries\":%" PRIu64
                ",\"hits\":%" PRIu64 ",\"misses\":%" PRIu64 ",\"coalesced\":%" PRIu64
                ",\"evictions\":%" PRIu64 "}",
                cache->bytes, cache->budget_bytes, cache->entries, cache->hits, cache->misses,
                cache->coalesced, cache->evictions);
}

static void put_disks(text_buffer *to, const node_status *status)
{
    text_put(to, ",\"disks\":[");
    for (size_t i = 0; i < status->ndisks; i++)
        text_format(to, "%s{\"use\":\"%s\",\"free_bytes\":%" PRIu64 ",\"total_bytes\":%" PRIu64 "}",
                    i == 0 ? "" : ",", status->disks[i].use, status->disks[i].free_bytes,
                    status->disks[i].total_bytes);
    text_put(to, "]");
    put_number(to, "reserve_bytes", status->reserve_bytes);
    if (status->takes_in)
        text_format(to,
                    ",\"spool\":{\"instances\":%" PRIu64 ",\"bytes\":%" PRIu64
                    ",\"series\":%" PRIu64 ",\"failing_series\":%" PRIu64 ",\"received\":%" PRIu64
                    ",\"packed\":%" PRIu64 ",\"failing\":%s}",
                    status->ingest.spool_instances, status->ingest.spool_bytes,
                    status->ingest.spool_series, status->ingest.failing_series,
                    status->ingest.received, status->ingest.packed_instances,
                    status->ingest.failing ? "true" : "false");
    else
        text_put(to, ",\"spool\":null");
}

/* Columns, as plots want them. */
static void put_samples(text_buffer *to, const node_sample *samples, size_t n)
{
    text_put(to, ",\"samples\":[");
    for (size_t i = 0; i < n; i++)
        text_format(to,
                    "%s[%" PRId64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
                    ",%" PRIu64 "]",
                    i == 0 ? "" : ",", samples[i].unix_ms, samples[i].bytes_in,
                    samples[i].bytes_out, samples[i].cache_hits, samples[i].cache_misses,
                    samples[i].cache_bytes, samples[i].associations);
    text_put(to, "]");
}

void node_status_json(text_buffer *to, const node_status *status, const node_sample *samples,
                      size_t nsamples, bool patient_data)
{
    static const char *const STATES[] = {"starting", "ready", "stopping"};
    const metrics_snapshot *metrics = &status->metrics;
    text_format(to, "{\"version\":\"%s\",\"state\":\"%s\"", DCB_VERSION, STATES[status->state]);
    text_format(to, ",\"ready\":%s", status->not_ready[0] == '\0' ? "true" : "false");
    put_text(to, "not_ready", status->not_ready);
    text_format(to, ",\"patient_data\":%s", patient_data ? "true" : "false");
    put_text(to, "ae_title", status->ae_title);
    text_put(to, ",\"titles\":[");
    text_put_json(to, status->ae_title);
    for (uint32_t i = 0; i < status->ntitles; i++) {
        text_put(to, ",");
        text_put_json(to, status->titles[i].ae_title);
    }
    text_put(to, "]");
    put_text(to, "address", status->address);
    put_number(to, "port", status->port);
    text_format(to, ",\"time_ms\":%" PRId64 ",\"uptime_s\":%.1f", status->unix_ms,
                status->uptime_s);
    put_associations(to);
    put_number(to, "accepted", metrics->counters[METRIC_ACCEPTED]);
    uint64_t rejected = 0;
    for (int i = METRIC_REJECTED_CALLED; i <= METRIC_REJECTED_OTHER; i++)
        rejected += metrics->counters[i];
    put_number(to, "rejected", rejected);
    put_number(to, "bytes_in", metrics->counters[METRIC_BYTES_IN]);
    put_number(to, "bytes_out", metrics->counters[METRIC_BYTES_OUT]);
    put_operations(to, metrics);
    put_archive(to, status);
    put_cache(to, &status->cache);
    text_format(to, ",\"decoding\":{\"running\":%" PRIu64 ",\"waiting\":%" PRIu64 "}",
                status->ahead.running, status->ahead.owners_waiting);
    put_disks(to, status);
    text_format(to, ",\"memory_bytes\":%" PRIu64 ",\"cpu_s\":%.2f", status->resident_bytes,
                status->cpu_s);
    put_refusals(to);
    put_samples(to, samples, nsamples);
    text_put(to, "}\n");
}
