/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - what the process has done since it began: counters and histograms.
 *
 * One set for the process, as there is one log. Counting is a relaxed atomic addition, each number
 * on a cache line of its own, so that it may stand on hot paths. Numbers only grow.
 *
 * Threads: any. A snapshot is not one moment's: its numbers are read one after the other.
 */
#ifndef METRICS_H
#define METRICS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(id, name, label, help): rows of one name stand together; the first one's help counts. Names
   follow Prometheus; "dcbscp_" goes before them. */
#define METRIC_COUNTER_MAP(X)                                                                      \
    X(ACCEPTED, "associations_accepted_total", "", "Associations that were accepted.")             \
    X(REJECTED_CALLED, "associations_rejected_total", "reason=\"called_ae_title\"",                \
      "Association requests that were rejected, by reason (PS3.8 9.3.4).")                         \
    X(REJECTED_CALLING, "associations_rejected_total", "reason=\"calling_ae_title\"", "")          \
    X(REJECTED_CONTEXT, "associations_rejected_total", "reason=\"application_context\"", "")       \
    X(REJECTED_VERSION, "associations_rejected_total", "reason=\"protocol_version\"", "")          \
    X(REJECTED_CONGESTION, "associations_rejected_total", "reason=\"congestion\"", "")             \
    X(REJECTED_LIMIT, "associations_rejected_total", "reason=\"limit\"", "")                       \
    X(REJECTED_OTHER, "associations_rejected_total", "reason=\"other\"", "")                       \
    X(ENDED_RELEASED, "associations_ended_total", "how=\"released\"",                              \
      "Accepted associations that are over: released or aborted by the peer, aborted by the "      \
      "node.")                                                                                     \
    X(ENDED_ABORTED, "associations_ended_total", "how=\"aborted_by_peer\"", "")                    \
    X(ENDED_FAILED, "associations_ended_total", "how=\"aborted_by_node\"", "")                     \
    X(NO_REQUEST, "connections_without_request_total", "",                                         \
      "Connections that never came to a proper association request.")                              \
    X(REFUSED, "requests_refused_total", "",                                                       \
      "Requests refused before a service saw them: not the context's, or malformed.")              \
    X(BYTES_IN, "received_bytes_total", "", "Bytes received on associations.")                     \
    X(BYTES_OUT, "sent_bytes_total", "", "Bytes sent on associations.")                            \
    X(SUB_COMPLETED, "suboperations_total", "outcome=\"completed\"",                               \
      "C-STORE sub-operations of retrievals, by outcome.")                                         \
    X(SUB_FAILED, "suboperations_total", "outcome=\"failed\"", "")                                 \
    X(SUB_WARNING, "suboperations_total", "outcome=\"warning\"", "")

typedef enum metric_counter {
#define METRIC_COUNTER_ENUM(id, name, label, help) METRIC_##id,
    METRIC_COUNTER_MAP(METRIC_COUNTER_ENUM)
#undef METRIC_COUNTER_ENUM
        METRIC_COUNTERS
} metric_counter;

/* The services, by name; the last stands for any other. */
#define METRIC_SERVICE_NAMES                                                                       \
    {                                                                                              \
        "echo", "find", "get", "move", "store", "other"                                            \
    }
#define METRIC_SERVICES 6

typedef enum metric_histogram {
    METRIC_OPERATION_SECONDS, /* METRIC_SERVICES of them */
    METRIC_DECODE_SECONDS = METRIC_OPERATION_SECONDS + METRIC_SERVICES,
    METRIC_HISTOGRAMS
} metric_histogram;

#define METRIC_BUCKETS 14 /* the last has no upper bound */
/* Upper bounds of the others, in seconds. */
extern const double metric_bounds[METRIC_BUCKETS - 1];

/* In place of a status: the operation came to no final response. */
#define METRIC_NO_STATUS 0x10000u

void metrics_add(metric_counter counter, uint64_t n);
/* An A-ASSOCIATE-RJ with that source and reason (PS3.8 table 9-21). */
void metrics_reject(unsigned source, unsigned reason);
void metrics_observe(metric_histogram histogram, double seconds);
/* One operation is over: its final status or METRIC_NO_STATUS, and how long it took. */
void metrics_operation(const char *service, uint32_t status, double seconds);

typedef struct metric_buckets {
    uint64_t counts[METRIC_BUCKETS]; /* each for itself, not cumulated */
    double sum;                      /* seconds */
} metric_buckets;

#define METRIC_OUTCOMES_MAX 128

typedef struct metric_outcome {
    unsigned service; /* index into METRIC_SERVICE_NAMES */
    uint32_t status;
    uint64_t count;
} metric_outcome;

typedef struct metrics_snapshot {
    uint64_t counters[METRIC_COUNTERS];
    metric_buckets histograms[METRIC_HISTOGRAMS];
    size_t noutcomes;
    metric_outcome outcomes[METRIC_OUTCOMES_MAX]; /* by service, then status */
} metrics_snapshot;

void metrics_read(metrics_snapshot *out);

#ifdef __cplusplus
}
#endif
#endif
