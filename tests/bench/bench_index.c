/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_index.c - what the index costs: putting many synthetic studies in, queries over them, then
 * scanning that many small files on disk, for the first time and unchanged.
 *
 *     bench_index [STUDIES, default 100000 [FILES, default 2000]]
 */
#include "archive.h"
#include "index_file.h"
#include "temp_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define IMAGES_STUDY 777 /* the one with 200 instances */

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static void need(int result, const scp_error *error)
{
    if (result == 0)
        return;
    fprintf(stderr, "bench_index: %s\n", error->message);
    exit(1);
}

/* ---- Rows ---- */

static void put_studies(scp_index *index, int n)
{
    scp_error error = SCP_ERROR_INIT;
    double start = now_ms();
    index_begin_batch(index);
    for (int i = 0; i < n; i++) {
        char path[64], id[32], name[64], study[64], series[64], sop[64], date[40], accession[16];
        snprintf(path, sizeof path, "/archive/%03d/%06d.dcbs", i % 1000, i);
        snprintf(id, sizeof id, "PID%06d", i / 2);
        snprintf(name, sizeof name, "Name%05d^First%d", i / 2 % 50000, i % 7);
        snprintf(study, sizeof study, "1.2.826.0.1.3680043.8.498.%d.1", i);
        snprintf(series, sizeof series, "%.50s.1", study);
        snprintf(sop, sizeof sop, "%.50s.1", series);
        snprintf(date, sizeof date, "20%02d%02d%02d", i % 25, 1 + i % 12, 1 + i % 28);
        snprintf(accession, sizeof accession, "A%07d", i);
        index_file file = {.path = path,
                           .mtime_ns = 1000 + i,
                           .patient_id = id,
                           .name = name,
                           .study = study,
                           .date = date,
                           .accession = accession,
                           .description = "CT ABDOMEN",
                           .series = series,
                           .modality = i % 3 ? "CT" : "MR",
                           .sop = sop,
                           .first = 1,
                           .n = i == IMAGES_STUDY ? 200
                                : i % 10 == 0     ? 40
                                                  : 4};
        index_file_put(index, &file);
    }
    need(index_end_batch(index, &error), &error);
    double ms = now_ms() - start;
    index_totals totals;
    need(index_get_totals(index, &totals, &error), &error);
    printf("put %d studies, %llu instances: %.0f studies/s\n", n,
           (unsigned long long)totals.instances, n / ms * 1e3);
}

static void query(scp_index *index, const char *what, query_level level, const index_filter *filter)
{
    double best = 1e9;
    long n = 0;
    for (int i = 0; i < 5; i++) {
        scp_error error = SCP_ERROR_INIT;
        index_cursor *cursor = NULL;
        const dcb_dataset *record = NULL;
        double start = now_ms();
        need(index_find(&cursor, index, level, filter, &error), &error);
        for (n = 0; index_cursor_next(cursor, &record, &error) == 1;)
            n++;
        index_cursor_close(cursor);
        double ms = now_ms() - start;
        best = ms < best ? ms : best;
    }
    printf("%-36s %7ld records %9.3f ms\n", what, n, best);
}

static void bench_rows(int nstudies)
{
    char *dir = temp_dir_create();
    scp_index *index = NULL;
    scp_error error = SCP_ERROR_INIT;
    need(index_open(&index, dir, &error), &error);
    put_studies(index, nstudies);
    const char *study[] = {"1.2.826.0.1.3680043.8.498.777.1"};
    index_filter patient = {.patient_id = "PID000388"},
                 accession = {.accession_number = "A0000777"};
    index_filter one_study = {.study_uids = study, .nstudy_uids = 1};
    index_filter month = {.study_date_from = "20170101", .study_date_to = "20170131"};
    index_filter prefix = {.patient_name_prefix = "name012"}, modality = {.modality = "MR"};
    query(index, "studies of a PatientID", LEVEL_STUDY, &patient);
    query(index, "studies of an AccessionNumber", LEVEL_STUDY, &accession);
    query(index, "studies of a month", LEVEL_STUDY, &month);
    query(index, "studies by the start of a name", LEVEL_STUDY, &prefix);
    query(index, "studies of a modality", LEVEL_STUDY, &modality);
    query(index, "all studies", LEVEL_STUDY, NULL);
    query(index, "series of a study", LEVEL_SERIES, &one_study);
    query(index, "images of a study", LEVEL_IMAGE, &one_study);
    index_close(index);
    temp_dir_remove(dir);
}

/* ---- Files ---- */

static void make_files(const char *root, int n)
{
    size_t nbytes = 0;
    uint8_t *golden = read_whole_file(TEST_DATA_DIR "/golden/tiny3/series.dcbs", &nbytes);
    for (int i = 0; i < n; i++) {
        char path[4096], sop[32];
        snprintf(path, sizeof path, "%s/%02d", root, i % 100);
        mkdir(path, 0700);
        snprintf(path, sizeof path, "%s/%02d/%06d.dcbs", root, i % 100, i);
        snprintf(sop, sizeof sop, "1.2.3.%d", i);
        index_file file = {.patient_id = "P",
                           .name = "Doe^Jane",
                           .study = "1.2.3",
                           .series = sop,
                           .modality = "CT",
                           .sop = sop,
                           .first = 1,
                           .n = 10};
        uint8_t *bytes = index_file_dcbs(&nbytes, &file, golden + 1162, 262);
        write_file(path, bytes, nbytes);
        free(bytes);
    }
    free(golden);
}

static void scan(const char *what, const scp_options *options, int nfiles)
{
    scp_index *index = NULL;
    series_pool *pool = NULL;
    scp_archive *archive = NULL;
    scp_error error = SCP_ERROR_INIT;
    index_totals totals;
    double start = now_ms();
    need(index_open(&index, options->state_dir, &error), &error);
    need(series_pool_create(&pool, 8, NULL, NULL) == DCB_OK ? 0 : -1, &error);
    need(archive_start(&archive, options, index, pool, NULL, &error), &error);
    need(index_get_totals(index, &totals, &error), &error);
    double ms = now_ms() - start;
    archive_stop(archive);
    index_close(index);
    series_pool_close(pool);
    printf("%s: %llu files, %llu instances in %.0f ms, %.0f files/s\n", what,
           (unsigned long long)totals.files, (unsigned long long)totals.instances, ms,
           nfiles / ms * 1e3);
}

static void bench_files(int nfiles)
{
    char *dir = temp_dir_create();
    char *archives[] = {path_join(dir, "archive")};
    scp_options options = {.archives = archives, .narchives = 1};
    options.state_dir = path_join(dir, "state");
    mkdir(archives[0], 0700);
    make_files(archives[0], nfiles);
    scan("first scan", &options, nfiles);
    scan("unchanged", &options, nfiles);
    free(options.state_dir);
    free(archives[0]);
    temp_dir_remove(dir);
}

int main(int argc, char **argv)
{
    log_configure(LOG_WARN, LOG_TEXT);
    bench_rows(argc > 1 ? (int)strtol(argv[1], NULL, 10) : 100000);
    bench_files(argc > 2 ? (int)strtol(argv[2], NULL, 10) : 2000);
    return 0;
}
