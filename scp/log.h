/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - the node's log: one line an event, to standard error, as text or JSON.
 *
 * An event has a stable name and fields; the same call gives
 *   2026-01-31T12:00:00.123Z info association.accepted association=7 peer=10.0.0.3 calling=WS1
 *   {"time":"...","level":"info","event":"association.accepted","association":7,...}
 * No field above debug level may hold patient data (names, IDs, dates of a person, identifiers'
 * values). Threads: any; a line is written with one write().
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG } log_level;
typedef enum log_format { LOG_TEXT, LOG_JSON } log_format;

typedef enum log_field_kind {
    LOG_FIELD_TEXT,
    LOG_FIELD_UINT,
    LOG_FIELD_INT,
    LOG_FIELD_MS
} log_field_kind;

typedef struct log_field {
    const char *name;
    log_field_kind kind;
    const char *text;
    uint64_t number;
    double ms;
} log_field;

#define LOG_T(name_, text_) ((log_field){.name = (name_), .kind = LOG_FIELD_TEXT, .text = (text_)})
#define LOG_U(name_, n_)    ((log_field){.name = (name_), .kind = LOG_FIELD_UINT, .number = (n_)})
#define LOG_I(name_, n_)                                                                           \
    ((log_field){.name = (name_), .kind = LOG_FIELD_INT, .number = (uint64_t)(int64_t)(n_)})
#define LOG_MS(name_, ms_) ((log_field){.name = (name_), .kind = LOG_FIELD_MS, .ms = (ms_)})

void log_configure(log_level level, log_format format);
/* "2026-11-24T14:30:00.123Z", as every line has it. */
void log_time(char out[32], const struct timespec *time);
bool log_enabled(log_level level);
/* Text fields with spaces, quotes or control characters are quoted and escaped. */
void log_event_fields(log_level level, const char *event, const log_field *fields, size_t nfields);

/* log_event(LOG_INFO, "file.indexed", LOG_T("path", path), LOG_U("instances", n)); */
#define log_event(level, event, ...)                                                               \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const log_field log_fields_[] = {__VA_ARGS__};                                         \
            log_event_fields((level), (event), log_fields_,                                        \
                             sizeof log_fields_ / sizeof log_fields_[0]);                          \
        }                                                                                          \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
