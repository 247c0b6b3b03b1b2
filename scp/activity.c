/* SPDX-License-Identifier: Apache-2.0 */
/* activity.c - the list of open associations, and a ring of refusals. */
#include "activity.h"

#include "steady_clock.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all below */
static activity_entry *entries;                          /* newest first */
static activity_refusal refusals[ACTIVITY_REFUSALS];
static size_t nrefused; /* ever; the next goes to nrefused % ACTIVITY_REFUSALS */

/* A peer's own text: what a terminal might take for a command becomes "?". */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

void activity_begin(activity_entry *entry)
{
    make_printable(entry->peer);
    make_printable(entry->calling);
    make_printable(entry->called);
    entry->began_ms = steady_clock_ms();
    pthread_mutex_lock(&lock);
    entry->next = entries;
    entries = entry;
    pthread_mutex_unlock(&lock);
}

void activity_end(activity_entry *entry)
{
    pthread_mutex_lock(&lock);
    activity_entry **link = &entries;
    while (*link != entry && *link != NULL)
        link = &(*link)->next;
    if (*link == entry)
        *link = entry->next;
    pthread_mutex_unlock(&lock);
}

static void set(atomic_uint_fast64_t *to, uint64_t n)
{
    atomic_store_explicit(to, n, memory_order_relaxed);
}

static uint64_t get(const atomic_uint_fast64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

void activity_operation(activity_entry *entry, const char *name)
{
    if (name != NULL) {
        atomic_store_explicit(&entry->operation_ms, steady_clock_ms(), memory_order_relaxed);
        set(&entry->nresponses, 0);
        set(&entry->total, 0);
        set(&entry->completed, 0);
        set(&entry->failed, 0);
        set(&entry->warning, 0);
    }
    atomic_store_explicit(&entry->operation, name, memory_order_release);
}

static void look_at(activity_view *out, const activity_entry *entry, int64_t now_ms)
{
    *out = (activity_view){
        .number = entry->number,
        .operation = atomic_load_explicit(&entry->operation, memory_order_acquire),
        .age_ms = now_ms - entry->began_ms,
        .bytes_in = get(&entry->bytes_in),
        .bytes_out = get(&entry->bytes_out),
        .stored = get(&entry->stored),
        .nresponses = get(&entry->nresponses),
        .total = get(&entry->total),
        .completed = get(&entry->completed),
        .failed = get(&entry->failed),
        .warning = get(&entry->warning),
    };
    if (out->operation != NULL)
        out->operation_age_ms =
            now_ms - atomic_load_explicit(&entry->operation_ms, memory_order_relaxed);
    snprintf(out->peer, sizeof out->peer, "%s", entry->peer);
    snprintf(out->calling, sizeof out->calling, "%s", entry->calling);
    snprintf(out->called, sizeof out->called, "%s", entry->called);
}

size_t activity_list(activity_view *out, size_t max)
{
    const int64_t now_ms = steady_clock_ms();
    size_t n = 0, skip;
    pthread_mutex_lock(&lock);
    for (const activity_entry *entry = entries; entry != NULL; entry = entry->next)
        n++;
    skip = n > max ? n - max : 0;
    size_t at = n - skip;
    for (const activity_entry *entry = entries; entry != NULL; entry = entry->next) {
        if (skip > 0)
            skip--;
        else
            look_at(&out[--at], entry, now_ms);
    }
    pthread_mutex_unlock(&lock);
    return n;
}

void activity_refuse(const char *what, const char *peer, const char *calling, const char *reason)
{
    pthread_mutex_lock(&lock);
    activity_refusal *r = &refusals[nrefused++ % ACTIVITY_REFUSALS];
    r->unix_s = (int64_t)time(NULL);
    r->what = what;
    snprintf(r->peer, sizeof r->peer, "%s", peer);
    snprintf(r->calling, sizeof r->calling, "%s", calling);
    snprintf(r->reason, sizeof r->reason, "%s", reason);
    make_printable(r->calling);
    make_printable(r->reason);
    pthread_mutex_unlock(&lock);
}

size_t activity_refusals(activity_refusal out[ACTIVITY_REFUSALS])
{
    pthread_mutex_lock(&lock);
    const size_t n = nrefused < ACTIVITY_REFUSALS ? nrefused : ACTIVITY_REFUSALS;
    for (size_t i = 0; i < n; i++)
        out[i] = refusals[(nrefused - 1 - i) % ACTIVITY_REFUSALS];
    pthread_mutex_unlock(&lock);
    return n;
}
