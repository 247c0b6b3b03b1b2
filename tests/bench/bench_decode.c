/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_decode.c - what the codec gives on all processors, nothing sent:
 *
 *     bench_decode FILE [SECONDS]
 *
 * Prints decoded instances a second: one thread for each processor, each frame made anew.
 */
#include "dcb.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 256

typedef struct work {
    dcb_series *series;
    atomic_uint next;
    double until;
    atomic_uint failed;
} work;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *decode(void *context)
{
    work *all = context;
    const uint32_t nframes = dcb_series_get_info(all->series)->nframes;
    while (now() < all->until) {
        dcb_frame *frame;
        const uint32_t i = atomic_fetch_add(&all->next, 1) % nframes;
        if (dcb_series_frame(&frame, all->series, i, DCB_ENCODING_EXPLICIT_LE, NULL) != DCB_OK)
            atomic_fetch_add(&all->failed, 1);
        dcb_frame_release(frame);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static work all;
    dcb_error error = DCB_ERROR_INIT;
    pthread_t threads[THREADS_MAX];
    if (argc < 2) {
        fputs("usage: bench_decode FILE [SECONDS]\n", stderr);
        return 2;
    }
    if (dcb_series_open(&all.series, argv[1], NULL, &error) != DCB_OK) {
        fprintf(stderr, "bench_decode: %s: %s\n", argv[1], error.message);
        return 1;
    }
    const long nprocessors = sysconf(_SC_NPROCESSORS_ONLN);
    const long nthreads = nprocessors < THREADS_MAX ? nprocessors : THREADS_MAX;
    const double started = now();
    all.until = started + (argc > 2 ? strtod(argv[2], NULL) : 1.0);
    for (long i = 0; i < nthreads; i++) {
        if (pthread_create(&threads[i], NULL, decode, &all) != 0)
            return 1;
    }
    for (long i = 0; i < nthreads; i++)
        pthread_join(threads[i], NULL);
    printf("rate=%.1f failed=%u\n", (double)all.next / (now() - started), all.failed);
    dcb_series_close(all.series);
    return all.failed != 0;
}
