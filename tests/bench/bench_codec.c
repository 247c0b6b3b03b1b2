/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_codec.c - milliseconds of processor time a frame for decoding and encoding 512 x 512 x 16
 * bits, for each library.
 *
 * Neither library's objects can be used for a second image (OpenJPH before 0.22, OpenJPEG), so what
 * can be reused is memory: the caller's sample buffer, and what the C library keeps of the
 * libraries' freed buffers. Each row is measured with everything given back to the system after
 * each frame ("fresh"), as glibc does it by itself ("default"), and with everything kept ("kept").
 *
 *     bench_codec [seconds for each row, 1]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "codec.h"

enum { SIZE = 512 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* others on the machine do not count */
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A body of noise, as CT has it: an ellipse with structure, air around it. */
static void fill(int16_t *samples)
{
    uint32_t seed = 1;
    for (int y = 0; y < SIZE; y++) {
        for (int x = 0; x < SIZE; x++) {
            double dx = (x - 256) / 220.0, dy = (y - 256) / 160.0;
            seed = seed * 1664525u + 1013904223u;
            int noise = (int)(seed >> 26) - 32;
            int value = dx * dx + dy * dy > 1 ? -1000 : 40 + (x / 40 % 3) * 60 + (y / 50 % 2) * 90;
            samples[y * SIZE + x] = (int16_t)(value + (value < -900 ? noise / 4 : noise));
        }
    }
}

typedef struct work {
    uint8_t *bytes;
    size_t nbytes;
    dcb__codestream header;
    int16_t *samples;
    uint32_t reduce;
    dcb__codec codec;
} work;

static dcb_status decode(work *w, void *buffer, dcb_error *error)
{
    size_t size = dcb__codestream_reduced(SIZE, w->reduce);
    return dcb__decode(buffer, size * size * 2, &w->header, w->bytes, w->nbytes, w->reduce,
                       w->codec, error);
}

static dcb_status encode(work *w, void *buffer, dcb_error *error)
{
    uint8_t *bytes;
    size_t nbytes;
    (void)buffer;
    dcb_status status = dcb__encode(&bytes, &nbytes, w->samples, SIZE, SIZE, 1, 16, true, error);
    free(bytes);
    return status;
}

static dcb_status check(work *w, void *buffer, dcb_error *error)
{
    dcb__codestream header;
    (void)buffer;
    dcb_status status = dcb__codestream_read(&header, w->bytes, w->nbytes, 0, NULL, error);
    return status != DCB_OK ? status : dcb__codestream_check(&header, w->bytes, w->nbytes, error);
}

typedef enum memory { FRESH, DEFAULT, KEPT } memory;

static double measure(dcb_status (*run)(work *, void *, dcb_error *), work *w, memory m,
                      double seconds)
{
    size_t size = (size_t)SIZE * SIZE * 2;
    void *buffer = malloc(size);
    double start = now(), end = start;
    unsigned count = 0;

    if (m == KEPT) {
        mallopt(M_MMAP_THRESHOLD, 32 << 20);
        mallopt(M_TRIM_THRESHOLD, 512 << 20);
    }
    while (end - start < seconds) {
        dcb_error error = DCB_ERROR_INIT;
        if (m == FRESH) {
            free(buffer);
            malloc_trim(0);
            buffer = malloc(size);
        }
        if (run(w, buffer, &error) != DCB_OK) {
            fprintf(stderr, "%s\n", error.message);
            exit(1);
        }
        count++;
        end = now();
    }
    free(buffer);
    return (end - start) * 1000 / count;
}

/* In a process of its own: what one setting does to the heap must not help the next. */
static double measure_apart(dcb_status (*run)(work *, void *, dcb_error *), work *w, memory m,
                            double seconds)
{
    int ends[2];
    double result = 0;
    if (pipe(ends) != 0)
        return 0;
    pid_t child = fork();
    if (child == 0) {
        measure(run, w, m, seconds / 10);
        result = measure(run, w, m, seconds);
        _exit(write(ends[1], &result, sizeof result) != sizeof result);
    }
    close(ends[1]);
    if (read(ends[0], &result, sizeof result) != sizeof result)
        fprintf(stderr, "a measurement failed\n");
    close(ends[0]);
    waitpid(child, NULL, 0);
    return result;
}

static void row(const char *name, dcb_status (*run)(work *, void *, dcb_error *), work *w,
                double seconds)
{
    printf("%-32s", name);
    for (memory m = FRESH; m <= KEPT; m++)
        printf(" %8.3f", measure_apart(run, w, m, seconds));
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    work w = {.samples = malloc((size_t)SIZE * SIZE * 2), .codec = DCB_CODEC_OPENJPH};
    dcb_error error = DCB_ERROR_INIT;

    fill(w.samples);
    if (dcb__encode(&w.bytes, &w.nbytes, w.samples, SIZE, SIZE, 1, 16, true, &error) != DCB_OK ||
        dcb__codestream_read(&w.header, w.bytes, w.nbytes, 0, NULL, &error) != DCB_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("%d x %d x 16 bits, %zu bytes encoded\n%-32s %8s %8s %8s\n", SIZE, SIZE, w.nbytes,
           "ms a frame", "fresh", "default", "kept");
    fflush(stdout);
    row("header and packet check", check, &w, seconds);
    row("decode, OpenJPH", decode, &w, seconds);
    w.codec = DCB_CODEC_OPENJPEG;
    row("decode, OpenJPEG", decode, &w, seconds);
    w.reduce = 3;
    row("decode 64 x 64, OpenJPEG", decode, &w, seconds);
    w.codec = DCB_CODEC_OPENJPH;
    row("decode 64 x 64, OpenJPH", decode, &w, seconds);
    row("encode, OpenJPH, and compare", encode, &w, seconds);
    free(w.bytes);
    free(w.samples);
    return 0;
}
