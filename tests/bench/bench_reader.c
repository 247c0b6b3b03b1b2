/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_reader.c - what libdcb costs, with a warm page cache:
 *
 *     bench_reader [FILE...]
 *
 * Without files it measures three series of its own (reader_series.h). One line for each figure,
 * its fields separated by tabs: series, figure, value, unit. reader.sh makes a table of them.
 *
 * Times of single calls are the wall's; "CPU" figures are processor time, in which other programs
 * on the machine do not count.
 */
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "codec.h"
#include "dcb.h"
#include "reader_series.h"
#include "temp_dir.h"

#define NOPENS       201
#define MAX_CALLS    100000
#define PASS_SECONDS 0.4
#define NTHREADS     8
#define NROUNDS      3
#define NOPEN_SERIES 1000
#define RSS_BUDGET   (64u << 20)

/* ---- Allocations: all of the process, C++ libraries included ----------------------------------
 */

static _Thread_local uint64_t allocations;

void *__libc_malloc(size_t nbytes);
void *__libc_calloc(size_t n, size_t nbytes);
void *__libc_realloc(void *old, size_t nbytes);
void *__libc_memalign(size_t alignment, size_t nbytes);

void *malloc(size_t nbytes)
{
    allocations++;
    return __libc_malloc(nbytes);
}

void *calloc(size_t n, size_t nbytes)
{
    allocations++;
    return __libc_calloc(n, nbytes);
}

void *realloc(void *old, size_t nbytes)
{
    allocations++;
    return __libc_realloc(old, nbytes);
}

void *aligned_alloc(size_t alignment, size_t nbytes)
{
    allocations++;
    return __libc_memalign(alignment, nbytes);
}

/* ---- Measuring --------------------------------------------------------------------------------
 */

static const char *name; /* of the series */

static void report(const char *figure, double value, const char *unit)
{
    printf("%s\t%s\t%.6g\t%s\n", name, figure, value, unit);
    fflush(stdout);
}

static void stop(const char *path, const dcb_error *error)
{
    fprintf(stderr, "%s: %s\n", path, error->message);
    exit(1);
}

static double read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static double median(double values[NROUNDS])
{
    qsort(values, NROUNDS, sizeof *values, compare);
    return values[NROUNDS / 2];
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static dcb_series *open_series(const char *path, const dcb_open_options *options)
{
    dcb_series *series = NULL;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_open(&series, path, options, &error) != DCB_OK)
        stop(path, &error);
    return series;
}

static size_t get(dcb_series *series, uint32_t frame, dcb_encoding encoding)
{
    dcb_frame *instance = NULL;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_frame(&instance, series, frame, encoding, &error) != DCB_OK)
        stop(name, &error);
    size_t nbytes;
    dcb_frame_part10(instance, &nbytes);
    dcb_frame_release(instance);
    return nbytes;
}

/* ---- One thread -------------------------------------------------------------------------------
 */

static void bench_open(const char *path, bool first_frame)
{
    static double seconds[NOPENS];
    double cpu = -read_clock(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < NOPENS; i++) {
        double start = now();
        dcb_series *series = open_series(path, NULL);
        if (first_frame)
            get(series, 0, DCB_ENCODING_STORED);
        seconds[i] = now() - start;
        dcb_series_close(series);
    }
    cpu += read_clock(CLOCK_THREAD_CPUTIME_ID);
    qsort(seconds, NOPENS, sizeof *seconds, compare);
    report(first_frame ? "open and first frame" : "open", 1e3 * seconds[NOPENS / 2], "ms");
    if (first_frame)
        report("open and first frame, CPU", 1e3 * cpu / NOPENS, "ms");
}

/* Frames without a cache; returns how many a second of the wall's. */
static double bench_cold(const char *path, dcb_encoding encoding, bool random, const char *figure)
{
    static double seconds[MAX_CALLS];
    dcb_series *series = open_series(path, NULL);
    uint32_t nframes = dcb_series_get_info(series)->nframes, state = 1;
    get(series, 0, encoding);
    char text[80];
    int count = 0;
    uint64_t before = allocations;
    double begin = now(), cpu = -read_clock(CLOCK_THREAD_CPUTIME_ID), start = begin, end = begin;
    while (count < MAX_CALLS && end - begin < PASS_SECONDS) {
        get(series, (random ? next_random(&state) : (uint32_t)count) % nframes, encoding);
        end = now();
        seconds[count++] = end - start;
        start = end;
    }
    cpu += read_clock(CLOCK_THREAD_CPUTIME_ID);
    uint64_t made = allocations - before;
    qsort(seconds, (size_t)count, sizeof *seconds, compare);
    snprintf(text, sizeof text, "%s", figure);
    report(text, count / (end - begin), "/s");
    snprintf(text, sizeof text, "%s, CPU", figure);
    report(text, count / cpu, "/s");
    snprintf(text, sizeof text, "%s, p99", figure);
    report(text, 1e3 * seconds[count - 1 - count / 100], "ms");
    if (!random) {
        snprintf(text, sizeof text, "%s, allocations", figure);
        report(text, (double)made / count, "a frame");
    }
    dcb_series_close(series);
    return count / (end - begin);
}

/* ---- Several threads --------------------------------------------------------------------------
 */

typedef struct crowd crowd;

typedef struct codestream {
    uint8_t *bytes;
    size_t nbytes;
} codestream;

typedef struct member {
    crowd *all;
    uint32_t index;
    uint64_t count;
    pthread_t thread;
} member;

struct crowd {
    dcb_series *series[NTHREADS]; /* of each thread */
    uint32_t nframes;
    dcb_encoding encoding;
    void (*step)(member *m, uint32_t *state); /* does one piece of work */
    pthread_barrier_t start;
    atomic_bool stop;
    dcb__codestream header;
    codestream *codestreams; /* one a frame */
};

static void *run_member(void *context)
{
    member *m = context;
    uint32_t state = m->index * 7919 + 1;
    pthread_barrier_wait(&m->all->start);
    while (!atomic_load_explicit(&m->all->stop, memory_order_relaxed)) {
        m->all->step(m, &state);
        m->count++;
    }
    return NULL;
}

/* Pieces of work a second by n threads; *cpu: by a second of processor time. */
static double run_crowd(crowd *all, uint32_t n, double seconds, double *cpu)
{
    member members[NTHREADS] = {{0}};
    pthread_barrier_init(&all->start, NULL, n + 1);
    atomic_store(&all->stop, false);
    for (uint32_t i = 0; i < n; i++) {
        members[i] = (member){.all = all, .index = i};
        if (pthread_create(&members[i].thread, NULL, run_member, &members[i]) != 0)
            abort();
    }
    double used = -read_clock(CLOCK_PROCESS_CPUTIME_ID);
    pthread_barrier_wait(&all->start);
    double begin = now();
    struct timespec pause = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&pause, NULL);
    atomic_store(&all->stop, true);
    uint64_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        pthread_join(members[i].thread, NULL);
    double took = now() - begin;
    used += read_clock(CLOCK_PROCESS_CPUTIME_ID);
    for (uint32_t i = 0; i < n; i++)
        count += members[i].count;
    pthread_barrier_destroy(&all->start);
    if (cpu != NULL)
        *cpu = (double)count / used;
    return (double)count / took;
}

static void step_random(member *m, uint32_t *state)
{
    get(m->all->series[m->index], next_random(state) % m->all->nframes, m->all->encoding);
}

/* A hundred hits: the loop's own costs do not count then. */
static void step_hits(member *m, uint32_t *state)
{
    for (int i = 0; i < 100; i++)
        step_random(m, state);
}

static void step_through(member *m, uint32_t *state)
{
    (void)state;
    get(m->all->series[m->index], (uint32_t)(m->count % m->all->nframes), m->all->encoding);
}

static void step_codec(member *m, uint32_t *state)
{
    (void)state;
    static _Thread_local void *samples;
    const crowd *all = m->all;
    const codestream *frame = &all->codestreams[m->count % all->nframes];
    size_t nbytes = (size_t)all->header.rows * all->header.columns * all->header.components *
                    dcb__codestream_sample_nbytes(&all->header);
    if (samples == NULL)
        samples = malloc(nbytes);
    dcb_error error = DCB_ERROR_INIT;
    if (dcb__decode(samples, nbytes, &all->header, frame->bytes, frame->nbytes, 0, DCB_CODEC_ANY,
                    &error) != DCB_OK)
        stop(name, &error);
}

static void share_series(crowd *all, dcb_series *series)
{
    for (int i = 0; i < NTHREADS; i++)
        all->series[i] = series;
    all->nframes = dcb_series_get_info(series)->nframes;
}

static void bench_hits(const char *path)
{
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    dcb_cache_options cache = DCB_CACHE_OPTIONS_INIT;
    cache.prefetch = false;
    if (dcb_cache_create(&options.cache, &cache, NULL) != DCB_OK)
        abort();
    dcb_series *series = open_series(path, &options);
    crowd all = {.encoding = DCB_ENCODING_STORED, .step = step_hits};
    share_series(&all, series);
    for (uint32_t i = 0; i < all.nframes; i++)
        get(series, i, DCB_ENCODING_STORED);
    double cpu1, cpu8;
    double one = run_crowd(&all, 1, PASS_SECONDS, &cpu1) * 100;
    double eight = run_crowd(&all, NTHREADS, PASS_SECONDS, &cpu8) * 100;
    report("cached hit", 1e6 / one, "us");
    report("cached hit, CPU", 1e6 / (cpu1 * 100), "us");
    report("cached hits, 8 threads to 1", eight / one, "x");
    report("cached hits, 8 threads, CPU", 1e6 / (cpu8 * 100), "us");
    dcb_series_close(series);
    dcb_cache_close(options.cache);
}

/* What more threads gain on this machine now, with work that shares nothing. */
static void step_arithmetic(member *m, uint32_t *state)
{
    (void)m;
    for (int i = 0; i < 10000; i++)
        next_random(state);
    atomic_signal_fence(memory_order_seq_cst);
}

static void bench_cold_threads(const char *path)
{
    dcb_series *series = open_series(path, NULL);
    crowd all = {.encoding = DCB_ENCODING_STORED, .step = step_random};
    crowd control = {.step = step_arithmetic};
    share_series(&all, series);
    double gains[NROUNDS], own[NROUNDS], rates[NROUNDS], cpu_gains[NROUNDS];
    for (int i = 0; i < NROUNDS; i++) {
        double cpu1, cpu8;
        double one = run_crowd(&all, 1, PASS_SECONDS, &cpu1);
        rates[i] = run_crowd(&all, NTHREADS, PASS_SECONDS, &cpu8);
        gains[i] = rates[i] / one;
        cpu_gains[i] = cpu8 / cpu1;
        one = run_crowd(&control, 1, PASS_SECONDS, NULL);
        own[i] = run_crowd(&control, NTHREADS, PASS_SECONDS, NULL) / one;
    }
    report("cold random, 8 threads", median(rates), "/s");
    report("cold random, 8 threads to 1", median(gains), "x");
    report("arithmetic, 8 threads to 1", median(own), "x");
    report("cold random, 8 threads to 1, CPU", median(cpu_gains), "x");
    dcb_series_close(series);
}

/* All codestreams of the series, so that the codec alone gets the same work as the viewers. */
static void read_codestreams(crowd *all, const char *path, dcb_series *series)
{
    dcb_error error = DCB_ERROR_INIT;
    FILE *file = fopen(path, "rb");
    all->nframes = dcb_series_get_info(series)->nframes;
    all->codestreams = calloc(all->nframes, sizeof *all->codestreams);
    if (file == NULL || all->codestreams == NULL)
        abort();
    for (uint32_t i = 0; i < all->nframes; i++) {
        dcb_frame_info info;
        if (dcb_series_frame_info(&info, series, i, &error) != DCB_OK)
            stop(path, &error);
        uint8_t *bytes = malloc(info.nbytes);
        if (bytes == NULL || fseek(file, (long)info.offset, SEEK_SET) != 0 ||
            fread(bytes, 1, info.nbytes, file) != info.nbytes)
            abort();
        all->codestreams[i] = (codestream){bytes, info.nbytes};
    }
    fclose(file);
    if (dcb__codestream_read(&all->header, all->codestreams[0].bytes, all->codestreams[0].nbytes, 0,
                             NULL, &error) != DCB_OK)
        stop(path, &error);
}

static void free_codestreams(crowd *all)
{
    for (uint32_t i = 0; i < all->nframes; i++)
        free(all->codestreams[i].bytes);
    free(all->codestreams);
}

/* Two viewers scroll through a series each, in a cache that keeps half of one at most (an eighth of
   it may be frames that were read ahead and not yet asked for); beside it, two threads that do
   nothing but decode the same frames. In turns, since others may load the machine. */
static void bench_decoded(const char *path)
{
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    dcb_cache_options cache = DCB_CACHE_OPTIONS_INIT;
    crowd viewers = {.encoding = DCB_ENCODING_EXPLICIT_LE, .step = step_through};
    crowd codec = {.step = step_codec};
    dcb_series *probe = open_series(path, NULL);
    read_codestreams(&codec, path, probe);
    cache.budget_bytes = (codec.nframes < 128 ? codec.nframes / 2 : 64) *
                         (uint64_t)get(probe, 0, DCB_ENCODING_EXPLICIT_LE);
    cache.nworkers = 2;
    options.prefetch_frames = 2;
    if (dcb_cache_create(&options.cache, &cache, NULL) != DCB_OK)
        abort();
    for (int i = 0; i < 2; i++)
        viewers.series[i] = open_series(path, &options);
    viewers.nframes = dcb_series_get_info(probe)->nframes;
    double rates[NROUNDS], cpu_rates[NROUNDS], decoded[NROUNDS];
    for (int i = 0; i < NROUNDS; i++) {
        double cpu_viewers, cpu_codec;
        double alone = run_crowd(&codec, 2, PASS_SECONDS, &cpu_codec);
        decoded[i] = run_crowd(&viewers, 2, PASS_SECONDS, &cpu_viewers);
        rates[i] = decoded[i] / alone;
        cpu_rates[i] = cpu_viewers / cpu_codec;
    }
    dcb_cache_stats stats;
    dcb_cache_get_stats(options.cache, &stats);
    report("decoded, 2 threads with prefetch", median(decoded), "/s");
    report("decoded, to the codec alone", 100 * median(rates), "%");
    report("decoded, to the codec alone, CPU", 100 * median(cpu_rates), "%");
    report("decoded, prefetches wasted",
           100.0 * (double)stats.prefetches_wasted / (double)(stats.prefetches + !stats.prefetches),
           "%");
    for (int i = 0; i < 2; i++)
        dcb_series_close(viewers.series[i]);
    dcb_series_close(probe);
    dcb_cache_close(options.cache);
    free_codestreams(&codec);
}

/* ---- Memory -----------------------------------------------------------------------------------
 */

static double resident_mb(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
        abort();
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* What is resident beyond the cache's budget, once the cache is full. */
static void measure_memory(const char *path)
{
    static dcb_series *all[NOPEN_SERIES];
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    dcb_cache_options cache = DCB_CACHE_OPTIONS_INIT;
    cache.budget_bytes = RSS_BUDGET;
    options.prefetch_frames = 2;
    if (dcb_cache_create(&options.cache, &cache, NULL) != DCB_OK)
        abort();
    for (int i = 0; i < NOPEN_SERIES; i++)
        all[i] = open_series(path, &options);
    report("1,000 open series", resident_mb(), "MB");
    for (uint32_t k = 0; k < 20; k++)
        for (int i = 0; i < NOPEN_SERIES; i++)
            get(all[i], k % dcb_series_get_info(all[i])->nframes, DCB_ENCODING_STORED);
    report("1,000 open series, beyond the budget", resident_mb() - RSS_BUDGET / 1e6, "MB");
}

/* In a new process: of this one, what was measured before is still resident. */
static void bench_memory(char *path)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "bench_reader", "--memory", path, (char *)NULL);
        _exit(1);
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        exit(1);
}

static void name_series(const char *path)
{
    static char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    name = basename(copy);
    if (strcmp(name, "series.dcbs") == 0) /* the golden files are told apart by their folders */
        name = basename(dirname(copy));
}

static void bench(char *path)
{
    name_series(path);
    dcb_series *series = open_series(path, NULL);
    report("frames", dcb_series_get_info(series)->nframes, "");
    report("JSON", (double)dcb_series_get_info(series)->meta_bytes / 1e3, "KB");
    dcb_series_close(series);
    bench_open(path, false);
    bench_open(path, true);
    bench_cold(path, DCB_ENCODING_STORED, false, "cold in order");
    bench_cold(path, DCB_ENCODING_STORED, true, "cold random");
    bench_cold(path, DCB_ENCODING_EXPLICIT_LE, false, "decoded, 1 thread");
    bench_hits(path);
    bench_cold_threads(path);
    bench_decoded(path);
    bench_memory(path);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--memory") == 0) {
        name_series(argv[2]);
        measure_memory(argv[2]);
        return 0;
    }
    for (int i = 1; i < argc; i++)
        bench(argv[i]);
    if (argc == 1) {
        char *folder = temp_dir_create();
        char *made[] = {reader_series_ct(folder), reader_series_mr(folder),
                        reader_series_dense(folder)};
        for (int i = 0; i < 3; i++) {
            bench(made[i]);
            free(made[i]);
        }
        temp_dir_remove(folder);
    }
    return 0;
}
