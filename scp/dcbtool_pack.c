/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dcbtool_pack.c - DICOM files into .dcbs files, one for each series; what one cannot hold exactly
 * is copied beside it.
 *
 * Invariant: every DICOM file that was read is in exactly one .dcbs file or copied byte by byte, or
 * the program says that it failed. Nothing in the output folder is replaced. Names there are made
 * of hashes and numbers.
 */
#include "dcbtool_pack.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dcbtool.h"
#include "dictionary.h"
#include "part10_file.h"

typedef struct packing {
    const char *folder;
    uint32_t njobs;
    bool shows_progress;
    pack_list list;
    uint64_t nread, nseries, npacked, nkept, nfailed;
    uint64_t source_bytes, dcbs_bytes, kept_bytes;
    pack_reason reasons[16];
    size_t nreasons;
} packing;

/* ---- Reporting ------------------------------------------------------------------------------- */

static void show_progress(const packing *p, uint64_t done)
{
    enum { WIDTH = 40 };
    if (!p->shows_progress)
        return;
    char bar[WIDTH + 1];
    uint64_t total = p->list.count > 0 ? p->list.count : 1;
    size_t filled = (size_t)(done * WIDTH / total);
    memset(bar, '-', WIDTH);
    memset(bar, '#', filled < WIDTH ? filled : WIDTH);
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %" PRIu64 "/%" PRIu64 "%s", bar, done, total,
            done >= total ? "\n" : "");
    fflush(stderr);
}

static void count_reason(packing *p, const char *text)
{
    const size_t room = sizeof p->reasons / sizeof p->reasons[0];
    for (size_t i = 0; i < p->nreasons; i++) {
        if (strcmp(p->reasons[i].text, text) == 0) {
            p->reasons[i].count++;
            return;
        }
    }
    if (p->nreasons == room) { /* the last one stands for all that follow */
        snprintf(p->reasons[room - 1].text, sizeof p->reasons[0].text, "other reasons");
        p->reasons[room - 1].count++;
        return;
    }
    snprintf(p->reasons[p->nreasons].text, sizeof p->reasons[0].text, "%s", text);
    p->reasons[p->nreasons++].count = 1;
}

static void print_summary(const packing *p)
{
    uint64_t out = p->dcbs_bytes + p->kept_bytes;
    printf("%" PRIu64 " DICOM files, %" PRIu64 " packed into %" PRIu64 " series, %" PRIu64
           " kept as they are",
           p->list.count, p->npacked, p->nseries, p->nkept);
    if (p->list.nothers > 0)
        printf(", %" PRIu64 " files are not DICOM", p->list.nothers);
    putchar('\n');
    printf("%" PRIu64 " bytes in, %" PRIu64 " bytes out", p->source_bytes, out);
    if (out > 0)
        printf(", %.2f : 1", (double)p->source_bytes / (double)out);
    putchar('\n');
    for (size_t i = 0; i < p->nreasons; i++)
        printf("  kept %" PRIu64 ": %s\n", p->reasons[i].count, p->reasons[i].text);
    if (p->nfailed > 0)
        printf("%" PRIu64 " files could not be read or written\n", p->nfailed);
}

/* ---- One series ------------------------------------------------------------------------------ */

typedef struct series_names {
    char dcbs[4200];
    uint64_t hash;
    uint32_t nkept;
} series_names;

/* Beside the series' file, under a number of its own. */
static bool keep(packing *p, series_names *names, const pack_file *file, const char *why)
{
    char name[4200];
    snprintf(name, sizeof name, "%s/%016" PRIx64 "-%04" PRIu32 ".dcm", p->folder, names->hash,
             names->nkept++);
    int trouble = pack_copy(file->path, name);
    if (trouble != 0) {
        dcbtool_failed("%s: cannot be copied to %s: %s", file->path, name, strerror(trouble));
        p->nfailed++;
        return false;
    }
    p->nkept++;
    p->kept_bytes += file->nbytes;
    count_reason(p, why);
    return true;
}

/* What of the writer's answers ends the series. */
static bool is_fatal(dcb_status status)
{
    return status == DCB_ERR_IO || status == DCB_ERR_NO_MEMORY;
}

/* True where the file went into the writer; *why tells else. */
static bool add_file(dcb_writer *writer, const pack_file *file, bool *fatal, scp_error *why)
{
    part10_file read;
    dcb_error error = DCB_ERROR_INIT;
    *fatal = false;
    bool good = part10_file_read(&read, file->path, why) == PART10_OK;
    if (good)
        good = part10_file_decode(&read, why);
    if (good) {
        dcb_writer_instance instance = DCB_WRITER_INSTANCE_INIT;
        instance.dataset = read.dataset;
        instance.dataset_nbytes = read.dataset_nbytes;
        instance.syntax_uid = read.syntax_uid;
        instance.samples = read.samples;
        instance.samples_nbytes = read.samples_nbytes;
        dcb_status status = dcb_writer_add_instance(writer, &instance, &error);
        good = status == DCB_OK;
        *fatal = is_fatal(status);
        if (!good)
            scp_fail(why, "%s", error.message);
    }
    part10_file_close(&read);
    return good;
}

/* Frames that cannot be encoded show only now: then all files are kept as they are. */
static bool commit(packing *p, dcb_writer *writer, series_names *names, const pack_file *files,
                   size_t n, uint64_t nadded)
{
    dcb_writer_summary summary;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb_writer_commit(writer, &summary, &error);
    if (is_fatal(status)) {
        dcbtool_file_failed(names->dcbs, &error);
        return false;
    }
    for (size_t i = 0; status != DCB_OK && i < n; i++)
        if (files[i].added)
            keep(p, names, &files[i], error.message);
    if (status != DCB_OK)
        return true;
    p->npacked += nadded;
    p->nseries++;
    p->dcbs_bytes += summary.file_bytes;
    return true;
}

/* 0: most of the files are of no common kind. */
static uint64_t common_kind(const pack_file *files, size_t n)
{
    pack_slice *slices = malloc(n * sizeof *slices);
    for (size_t i = 0; slices != NULL && i < n; i++)
        slices[i] = files[i].slice;
    const uint64_t kind = slices != NULL ? pack_common_kind(slices, n) : 0;
    free(slices);
    return kind;
}

/* Files of one series, in the order of their slices. */
static void pack_series(packing *p, pack_file *files, size_t n)
{
    series_names names = {.hash = files[0].series_hash};
    snprintf(names.dcbs, sizeof names.dcbs, "%s/%016" PRIx64 ".dcbs", p->folder, names.hash);
    uint64_t kind = common_kind(files, n);
    if (files[0].problem[0] != '\0' || kind == 0) {
        for (size_t i = 0; i < n; i++)
            keep(p, &names, &files[i],
                 files[i].problem[0] != '\0'
                     ? files[i].problem
                     : "most slices of the series differ in rescale or kind of samples");
        p->nread += n;
        return;
    }
    dcb_writer_options options = DCB_WRITER_OPTIONS_INIT;
    options.nthreads = p->njobs;
    dcb_writer *writer = NULL;
    dcb_error error = DCB_ERROR_INIT;
    bool fatal = access(names.dcbs, F_OK) == 0;
    if (fatal)
        dcbtool_failed("%s: is there already: pack into another folder", names.dcbs);
    else if (dcb_writer_create(&writer, names.dcbs, &options, &error) != DCB_OK)
        fatal = dcbtool_file_failed(names.dcbs, &error) != DCBTOOL_OK;
    uint64_t nadded = 0;
    for (size_t i = 0; i < n && !fatal; i++) {
        scp_error why = SCP_ERROR_INIT;
        if (files[i].slice.kind != kind)
            keep(p, &names, &files[i], "its rescale or kind of samples is not the series'");
        else if (add_file(writer, &files[i], &fatal, &why))
            nadded += files[i].added = true;
        else if (fatal)
            dcbtool_failed("%s: %s", names.dcbs, why.message);
        else
            keep(p, &names, &files[i], why.message);
        show_progress(p, p->nread + i + 1);
    }
    p->nread += n;
    if (!fatal && nadded > 0)
        fatal = !commit(p, writer, &names, files, n, nadded);
    else
        dcb_writer_abort(writer);
    if (fatal)
        p->nfailed += nadded > 0 ? nadded : n;
}

/* ---- The command ----------------------------------------------------------------------------- */

static int pack_all(packing *p)
{
    if (mkdir(p->folder, 0777) != 0 && errno != EEXIST)
        return dcbtool_failed("%s: not a folder that can be made: %s", p->folder, strerror(errno));
    if (!pack_list_sort(&p->list))
        return dcbtool_failed("out of memory");
    for (size_t i = 0; i < p->list.count; i++)
        p->source_bytes += p->list.files[i].nbytes;
    for (size_t from = 0, to = 0; from < p->list.count; from = to) {
        while (to < p->list.count &&
               p->list.files[to].series_hash == p->list.files[from].series_hash)
            to++;
        pack_series(p, p->list.files + from, to - from);
    }
    show_progress(p, p->list.count);
    print_summary(p);
    return p->nfailed > 0 || p->list.nunreadable > 0 ? DCBTOOL_FAILED : DCBTOOL_OK;
}

static int parse_arguments(packing *p, int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"output", required_argument, NULL, 'o'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":o:j:", OPTIONS, NULL)) != -1;) {
        if (option == ':')
            return dcbtool_usage_error("pack: %.40s needs a value; see dcbtool --help",
                                       argv[optind - 1]);
        if (option == '?')
            return dcbtool_usage_error("pack: unknown option \"%.40s\"; see dcbtool --help",
                                       argv[optind - 1]);
        if (option == 'o') {
            p->folder = optarg;
            continue;
        }
        char *end = NULL;
        unsigned long n = strtoul(optarg, &end, 10);
        if (*optarg < '0' || *optarg > '9' || *end != '\0' || n < 1 || n > 256)
            return dcbtool_usage_error("pack: --jobs expects a number from 1 to 256, not \"%.40s\"",
                                       optarg);
        p->njobs = (uint32_t)n;
    }
    if (p->folder == NULL)
        return dcbtool_usage_error("pack: -o DIR is missing; see dcbtool --help");
    if (optind == argc)
        return dcbtool_usage_error("pack: no files and folders to pack; see dcbtool --help");
    return DCBTOOL_OK;
}

int dcbtool_pack(int argc, char **argv)
{
    packing p = {.folder = NULL};
    scp_error error = SCP_ERROR_INIT;
    int status = parse_arguments(&p, argc, argv);
    if (status != DCBTOOL_OK)
        return status;
    if (dictionary_load(&error) != 0)
        return dcbtool_failed("%s", error.message);
    p.shows_progress = isatty(STDERR_FILENO) == 1;
    for (int i = optind; i < argc && status == DCBTOOL_OK; i++)
        status = pack_list_add(&p.list, argv[i]);
    if (status == DCBTOOL_OK)
        status = pack_all(&p);
    pack_list_free(&p.list);
    return status;
}
