/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_cache.c - what a cached hit costs: one thread, then 8, over frames spread by chance (the
 * usual case), over one frame that all ask for (the worst case: one lock and one reference count),
 * and with reading ahead looking on; beside a bare mutex with a counter, for scale.
 *
 *     bench_cache [SECONDS for each figure, default 1]
 */
#include "fake_frames.h"
#include "read_ahead.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NFRAMES     1000
#define THREADS_MAX 8
#define BATCH       256

typedef enum kind { SPREAD, ONE_FRAME, NOTED, BARE_MUTEX } kind;

typedef struct run {
    kind what;
    fake_series series;
    dcb__read_ahead *ahead;
    pthread_barrier_t start;
    atomic_bool stop;
    pthread_mutex_t mutex;
    uint64_t counter;
} run;

typedef struct one {
    run *of;
    uint64_t gets;
    double cpu_seconds;
    unsigned random;
} one;

/* Hits in a second of all threads, and what one costs a processor: the latter tells what is lost
   to locks even where other programs run. */
typedef struct figure {
    double rate, cpu_ns;
} figure;

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void get(run *of, uint32_t frame, int64_t now_ms)
{
    dcb_frame *instance;
    if (of->what == NOTED)
        dcb__read_ahead_note(of->ahead, dcb__this_reader(), frame, DCB_ENCODING_STORED);
    if (dcb__cache_get(&instance, of->series.membership, frame, DCB_ENCODING_STORED, now_ms,
                       fake_load, &of->series, NULL) != DCB_OK)
        abort();
    dcb_frame_release(instance);
}

static void *measure(void *argument)
{
    one *self = argument;
    run *of = self->of;
    uint32_t random = self->random;
    pthread_barrier_wait(&of->start);
    while (!atomic_load_explicit(&of->stop, memory_order_relaxed)) {
        for (int i = 0; i < BATCH; i++) {
            random = random * 1664525 + 1013904223;
            if (of->what == BARE_MUTEX) {
                pthread_mutex_lock(&of->mutex);
                of->counter++;
                pthread_mutex_unlock(&of->mutex);
            } else {
                get(of, of->what == ONE_FRAME ? 0 : (random >> 8) % NFRAMES, (int64_t)i);
            }
        }
        self->gets += BATCH;
    }
    self->cpu_seconds = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

static figure run_for(run *of, kind what, int nthreads, double seconds)
{
    of->what = what;
    atomic_store(&of->stop, false);
    pthread_barrier_init(&of->start, NULL, (unsigned)nthreads + 1);
    pthread_t threads[THREADS_MAX];
    one all[THREADS_MAX] = {{0}};
    for (int i = 0; i < nthreads; i++) {
        all[i] = (one){of, 0, 0, (unsigned)i * 7919 + 1};
        if (pthread_create(&threads[i], NULL, measure, &all[i]) != 0)
            abort();
    }
    pthread_barrier_wait(&of->start);
    double begin = seconds_of(CLOCK_MONOTONIC);
    struct timespec pause = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&pause, NULL);
    atomic_store(&of->stop, true);
    uint64_t gets = 0;
    double cpu_seconds = 0;
    for (int i = 0; i < nthreads; i++) {
        pthread_join(threads[i], NULL);
        gets += all[i].gets;
        cpu_seconds += all[i].cpu_seconds;
    }
    double took = seconds_of(CLOCK_MONOTONIC) - begin;
    pthread_barrier_destroy(&of->start);
    return (figure){(double)gets / took, cpu_seconds * 1e9 / (double)gets};
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    static run of = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    of.series = (fake_series){.number = 1, .nbytes = 8192};
    dcb_cache_options options = DCB_CACHE_OPTIONS_INIT;
    dcb_cache *cache;
    if (dcb_cache_create(&cache, &options, NULL) != DCB_OK ||
        dcb__cache_series_open(&of.series.membership, cache, 0, NULL) != DCB_OK ||
        dcb__read_ahead_create(&of.ahead, of.series.membership, NFRAMES, 10, fake_load, &of.series,
                               NULL) != DCB_OK)
        return 1;
    for (uint32_t i = 0; i < NFRAMES; i++)
        get(&of, i, 0);

    static const struct {
        const char *name;
        kind what;
    } rows[] = {
        {"hits, frames by chance", SPREAD},
        {"the same, reading ahead looks on", NOTED},
        {"hits, one frame for all", ONE_FRAME},
        {"a bare mutex and a counter", BARE_MUTEX},
    };
    printf("%ld processors; %d frames of 8 KB, all cached\n", sysconf(_SC_NPROCESSORS_ONLN),
           NFRAMES);
    printf("%-34s %17s %17s %17s\n", "million hits/s (CPU ns a hit)", "1 thread", "2 threads",
           "8 threads");
    static const int thread_counts[] = {1, 2, 8};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        printf("%-34s", rows[i].name);
        for (size_t t = 0; t < sizeof thread_counts / sizeof *thread_counts; t++) {
            figure is = run_for(&of, rows[i].what, thread_counts[t], seconds);
            printf("   %6.2f (%5.1f)", is.rate / 1e6, is.cpu_ns);
        }
        printf("\n");
    }
    dcb__read_ahead_close(of.ahead);
    dcb__cache_series_close(of.series.membership);
    dcb_cache_close(cache);
    return 0;
}
