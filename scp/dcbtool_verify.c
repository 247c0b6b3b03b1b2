/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dcbtool_verify.c - checks .dcbs files against the format, and that every frame can be sent in
 * every encoding.
 *
 * Files one after the other, the frames of each by one thread for each processor. Problems are
 * printed in the order of frames.
 */
#include "dcbtool.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_JOBS   256
#define MAX_DEPTH  64   /* of folders */
#define BATCH      4096 /* frames whose problems are held till they can be printed in order */
#define PATH_SHOWN 60

typedef struct problem {
    uint32_t frame;
    uint32_t order; /* in which it was found */
    dcb_error what;
} problem;

typedef struct run {
    unsigned njobs;
    bool progress;
    struct timespec shown; /* when progress was */
    uint64_t nfiles, nbad_files, nframes, nproblems;
    bool failed; /* something could not be checked */
} run;

/* One file, a batch of its frames at a time. */
typedef struct file_check {
    run *run;
    const char *path;
    dcb_series *series;
    uint32_t nframes, end; /* of the batch */
    _Atomic uint32_t next;
    pthread_mutex_t lock; /* guards what is below */
    problem *problems;
    size_t count, capacity;
    dcb_error stopped; /* why the check could not go on; OK: it could */
} file_check;

/* ---- Printing -------------------------------------------------------------------------------- */

static void clear_progress(const run *r)
{
    if (r->progress)
        fputs("\r\033[K", stderr);
}

/* Names of files hold anything; a line must stay one. */
static void print_path(FILE *to, const char *path, size_t most)
{
    size_t length = strlen(path);
    if (length > most) {
        fputs("...", to);
        path += length - most;
    }
    for (; *path != '\0'; path++)
        fputc((unsigned char)*path < 0x20 || *path == 0x7F ? '?' : *path, to);
}

static void show_progress(run *r, const char *path, uint32_t done, uint32_t nframes)
{
    struct timespec now;
    if (!r->progress)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if ((now.tv_sec - r->shown.tv_sec) * 1000 + (now.tv_nsec - r->shown.tv_nsec) / 1000000 < 100)
        return;
    r->shown = now;
    clear_progress(r);
    print_path(stderr, path, PATH_SHOWN);
    fprintf(stderr, ": frame %" PRIu32 " of %" PRIu32, done, nframes);
    fflush(stderr);
}

static void print_problem(run *r, const char *path, uint32_t frame, const dcb_error *what)
{
    clear_progress(r);
    print_path(stdout, path, SIZE_MAX);
    if (frame != DCB_NO_FRAME)
        printf(": frame %" PRIu32, frame);
    printf(": %s", what->message);
    if (what->offset != UINT64_MAX)
        printf(" (at byte %" PRIu64 ")", what->offset);
    putchar('\n');
    fflush(stdout);
    r->nproblems++;
}

static int compare_problems(const void *left, const void *right)
{
    const problem *a = left, *b = right;
    if (a->frame != b->frame)
        return a->frame < b->frame ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static void print_problems(file_check *file)
{
    if (file->count > 1)
        qsort(file->problems, file->count, sizeof *file->problems, compare_problems);
    for (size_t i = 0; i < file->count; i++)
        print_problem(file->run, file->path, file->problems[i].frame, &file->problems[i].what);
    file->count = 0;
}

/* ---- Checking -------------------------------------------------------------------------------- */

static void stop(file_check *file, const dcb_error *why)
{
    pthread_mutex_lock(&file->lock);
    if (file->stopped.status == DCB_OK)
        file->stopped = *why;
    pthread_mutex_unlock(&file->lock);
    atomic_store(&file->next, UINT32_MAX / 2);
}

static void report(void *context, uint32_t frame, const dcb_error *what)
{
    file_check *file = context;
    pthread_mutex_lock(&file->lock);
    bool have_room = file->count < file->capacity;
    if (!have_room) {
        size_t capacity = file->capacity * 2 + 16;
        problem *grown = realloc(file->problems, capacity * sizeof *grown);
        have_room = grown != NULL;
        if (have_room) {
            file->problems = grown;
            file->capacity = capacity;
        } else if (file->stopped.status == DCB_OK) {
            file->stopped = (dcb_error){DCB_ERR_NO_MEMORY, UINT64_MAX, "out of memory"};
        }
    }
    if (have_room) {
        file->problems[file->count] = (problem){frame, (uint32_t)file->count, *what};
        file->count++;
    }
    pthread_mutex_unlock(&file->lock);
}

static void check_frames(file_check *file, bool shows)
{
    for (uint32_t frame; (frame = atomic_fetch_add(&file->next, 1)) < file->end;) {
        dcb_error error = DCB_ERROR_INIT;
        if (shows)
            show_progress(file->run, file->path, frame, file->nframes);
        if (dcb_series_verify_frame(file->series, frame, report, file, &error) != DCB_OK)
            stop(file, &error);
    }
}

static void *work(void *context)
{
    check_frames(context, false);
    return NULL;
}

/* As many threads as can be had: this one is enough. */
static void check_batch(file_check *file, uint32_t first)
{
    pthread_t threads[MAX_JOBS];
    unsigned nthreads = 0;
    file->end = file->nframes - first < BATCH ? file->nframes : first + BATCH;
    atomic_store(&file->next, first);
    while (nthreads + 1 < file->run->njobs && nthreads + 1 < file->end - first &&
           pthread_create(&threads[nthreads], NULL, work, file) == 0)
        nthreads++;
    check_frames(file, true);
    for (unsigned i = 0; i < nthreads; i++)
        pthread_join(threads[i], NULL);
    print_problems(file);
}

static void check_series(file_check *file)
{
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_verify(file->series, report, file, &error) != DCB_OK)
        stop(file, &error);
    print_problems(file);
    for (uint32_t first = 0; first < file->nframes && file->stopped.status == DCB_OK;
         first += BATCH)
        check_batch(file, first);
    if (file->stopped.status != DCB_OK) {
        print_problem(file->run, file->path, DCB_NO_FRAME, &file->stopped);
        file->run->failed = true;
    }
}

static void check_file(run *r, const char *path)
{
    file_check file = {.run = r, .path = path, .stopped = DCB_ERROR_INIT};
    dcb_error error = DCB_ERROR_INIT;
    uint64_t before = r->nproblems;
    r->nfiles++;
    if (dcb_series_open(&file.series, path, NULL, &error) != DCB_OK) {
        print_problem(r, path, DCB_NO_FRAME, &error);
    } else {
        pthread_mutex_init(&file.lock, NULL);
        file.nframes = dcb_series_get_info(file.series)->nframes;
        r->nframes += file.nframes;
        check_series(&file);
        pthread_mutex_destroy(&file.lock);
        dcb_series_close(file.series);
    }
    free(file.problems);
    r->nbad_files += r->nproblems > before;
}

/* ---- Folders --------------------------------------------------------------------------------- */

static void cannot_read(run *r, const char *path)
{
    dcb_error error = {DCB_ERR_IO, UINT64_MAX, ""};
    snprintf(error.message, sizeof error.message, "%s", strerror(errno));
    print_problem(r, path, DCB_NO_FRAME, &error);
    r->failed = true;
}

static bool is_dcbs(const char *name)
{
    size_t length = strlen(name);
    return length > 5 && strcmp(name + length - 5, ".dcbs") == 0;
}

/* Links to files are followed, links to folders are not: they may lead round in a circle. */
static void check_folder(run *r, const char *folder, int depth)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, NULL, alphasort);
    if (count < 0 || depth > MAX_DEPTH) {
        errno = count < 0 ? errno : ELOOP;
        cannot_read(r, folder);
    }
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        char *path = NULL;
        struct stat link, target;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && depth <= MAX_DEPTH) {
            if (asprintf(&path, "%s/%s", folder, name) < 0) {
                path = NULL;
                errno = ENOMEM;
                cannot_read(r, folder);
            } else if (lstat(path, &link) == 0 && S_ISDIR(link.st_mode)) {
                check_folder(r, path, depth + 1);
            } else if (is_dcbs(name) && stat(path, &target) == 0 && !S_ISDIR(target.st_mode)) {
                check_file(r, path);
            }
        }
        free(path);
        free(entries[i]);
    }
    free(entries);
}

static void check_path(run *r, const char *path)
{
    struct stat st;
    uint64_t before = r->nfiles;
    if (stat(path, &st) != 0) {
        cannot_read(r, path);
    } else if (!S_ISDIR(st.st_mode)) {
        check_file(r, path);
    } else {
        check_folder(r, path, 0);
        if (r->nfiles == before) {
            dcb_error none = {DCB_ERR_IO, UINT64_MAX, "there are no .dcbs files in it"};
            print_problem(r, path, DCB_NO_FRAME, &none);
            r->failed = true;
        }
    }
}

/* ---- The command ----------------------------------------------------------------------------- */

static void print_summary(const run *r)
{
    clear_progress(r);
    printf("%" PRIu64 " file%s, %" PRIu64 " frame%s: ", r->nfiles, r->nfiles == 1 ? "" : "s",
           r->nframes, r->nframes == 1 ? "" : "s");
    if (r->nproblems == 0)
        puts("all is well");
    else
        printf("%" PRIu64 " problem%s, %" PRIu64 " file%s with any\n", r->nproblems,
               r->nproblems == 1 ? "" : "s", r->nbad_files, r->nbad_files == 1 ? "" : "s");
}

static unsigned processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MAX_JOBS ? MAX_JOBS : (unsigned)n;
}

int dcbtool_verify(int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"jobs", required_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    run r = {.njobs = processors(), .progress = isatty(STDERR_FILENO) != 0};
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "j:", OPTIONS, NULL)) != -1;) {
        char *end = NULL;
        long jobs = option == 'j' ? strtol(optarg, &end, 10) : 0;
        if (option != 'j')
            return dcbtool_usage_error("verify: unknown option \"%.40s\"; see dcbtool --help",
                                       argv[optind - 1]);
        if (end == optarg || *end != '\0' || jobs < 1 || jobs > MAX_JOBS)
            return dcbtool_usage_error("verify: --jobs takes a number from 1 to %d", MAX_JOBS);
        r.njobs = (unsigned)jobs;
    }
    if (optind == argc)
        return dcbtool_usage_error("verify: a file or folder is missing; see dcbtool --help");
    for (int i = optind; i < argc; i++)
        check_path(&r, argv[i]);
    print_summary(&r);
    return r.nproblems == 0 && !r.failed ? DCBTOOL_OK : DCBTOOL_FAILED;
}
