/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_reader.c - what opening a file and getting its frames costs, with a warm page cache:
 *
 *     bench_reader FILE...
 *
 * One line for each file and figure: median and 99th percentile of open, of open and first frame,
 * and of cold frames in and out of order, passed through and decoded, on one thread without a
 * cache.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dcb.h"

#define NOPENS      201
#define NSTORED     20000
#define MAX_SECONDS 2.0

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static void report(const char *what, double *seconds, int count)
{
    double total = 0;
    for (int i = 0; i < count; i++)
        total += seconds[i];
    qsort(seconds, (size_t)count, sizeof *seconds, compare);
    printf("  %-24s median %9.4f ms  p99 %9.4f ms  %10.0f a second\n", what,
           1e3 * seconds[count / 2], 1e3 * seconds[count - 1 - count / 100], (double)count / total);
}

static void fail(const char *path, const dcb_error *error)
{
    fprintf(stderr, "%s: %s\n", path, error->message);
    exit(1);
}

static void bench_open(const char *path, double *seconds, int first_frame)
{
    dcb_error error = DCB_ERROR_INIT;
    for (int i = 0; i < NOPENS; i++) {
        dcb_series *series = NULL;
        dcb_frame *frame = NULL;
        double start = now();
        if (dcb_series_open(&series, path, NULL, &error) != DCB_OK ||
            (first_frame &&
             dcb_series_frame(&frame, series, 0, DCB_ENCODING_STORED, &error) != DCB_OK))
            fail(path, &error);
        seconds[i] = now() - start;
        dcb_frame_release(frame);
        dcb_series_close(series);
    }
    report(first_frame ? "open and first frame" : "open", seconds, NOPENS);
}

static void bench_frames(const char *path, double *seconds, dcb_encoding encoding, int random,
                         const char *what)
{
    dcb_error error = DCB_ERROR_INIT;
    dcb_series *series = NULL;
    if (dcb_series_open(&series, path, NULL, &error) != DCB_OK)
        fail(path, &error);
    uint32_t nframes = dcb_series_get_info(series)->nframes, state = 1;
    int count = 0;
    for (double begin = now(); count < NSTORED && now() - begin < MAX_SECONDS; count++) {
        state = state * 1664525u + 1013904223u;
        uint32_t frame = (random ? state >> 8 : (uint32_t)count) % nframes;
        dcb_frame *out = NULL;
        double start = now();
        if (dcb_series_frame(&out, series, frame, encoding, &error) != DCB_OK)
            fail(path, &error);
        seconds[count] = now() - start;
        dcb_frame_release(out);
    }
    report(what, seconds, count);
    dcb_series_close(series);
}

int main(int argc, char **argv)
{
    static double seconds[NSTORED];
    if (argc < 2) {
        fprintf(stderr, "usage: bench_reader FILE...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        printf("%s\n", argv[i]);
        bench_open(argv[i], seconds, 0);
        bench_open(argv[i], seconds, 1);
        bench_frames(argv[i], seconds, DCB_ENCODING_STORED, 0, "stored, in order");
        bench_frames(argv[i], seconds, DCB_ENCODING_STORED, 1, "stored, random");
        bench_frames(argv[i], seconds, DCB_ENCODING_EXPLICIT_LE, 0, "decoded, in order");
        bench_frames(argv[i], seconds, DCB_ENCODING_EXPLICIT_LE, 1, "decoded, random");
    }
    return 0;
}
