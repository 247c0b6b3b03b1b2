/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dcbtool_extract.c - frames of a .dcbs file as DICOM Part 10 files.
 *
 * Invariant: a name is made of the frame's number alone, and a file appears whole or not at all.
 */
#include "dcbtool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct extraction {
    const char *path;
    const char *frames; /* -f's list; NULL: all */
    bool all;           /* --all was given */
    const char *folder;
    dcb_encoding encoding;
    bool source; /* each in the syntax it came in */
} extraction;

/* ---- The list of frames ---------------------------------------------------------------------- */

static bool read_frame_number(uint32_t *out, const char **at)
{
    size_t ndigits = strspn(*at, "0123456789");
    if (ndigits == 0 || ndigits > 9)
        return false;
    *out = (uint32_t)strtoul(*at, NULL, 10);
    *at += ndigits;
    return true;
}

/* Marks the frames of "N[,N-N]..." in wanted. */
static int mark_frames(uint8_t *wanted, uint32_t nframes, const char *list)
{
    const char *at = list;
    for (;;) {
        uint32_t from = 0;
        bool good = read_frame_number(&from, &at);
        uint32_t to = from;
        if (good && *at == '-') {
            at++;
            good = read_frame_number(&to, &at);
        }
        if (!good || from > to || (*at != ',' && *at != '\0'))
            return dcbtool_usage_error("extract: -f expects frame numbers such as 0,3,5-9, not "
                                       "\"%.40s\"",
                                       list);
        if (to >= nframes)
            return dcbtool_usage_error("extract: there is no frame %" PRIu32
                                       ": the file has frames 0 to %" PRIu32,
                                       to, nframes - 1);
        memset(wanted + from, 1, (size_t)(to - from) + 1);
        if (*at == '\0')
            return DCBTOOL_OK;
        at++;
    }
}

/* ---- Files ----------------------------------------------------------------------------------- */

static int write_whole(int file, const uint8_t *bytes, size_t nbytes)
{
    while (nbytes > 0) {
        ssize_t n = write(file, bytes, nbytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        nbytes -= (size_t)n;
    }
    return 0;
}

/* Under a name of its own first. folder: open. Fails with errno. */
static int write_instance(int folder, const char *name, const dcb_frame *frame)
{
    char part[48];
    snprintf(part, sizeof part, ".%s.part", name);
    size_t nbytes = 0;
    const uint8_t *bytes = dcb_frame_part10(frame, &nbytes);
    int file = openat(folder, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (file < 0)
        return -1;
    int result = write_whole(file, bytes, nbytes);
    int trouble = errno;
    if (close(file) != 0 && result == 0) {
        result = -1;
        trouble = errno;
    }
    if (result == 0 && renameat(folder, part, folder, name) != 0) {
        result = -1;
        trouble = errno;
    }
    if (result != 0)
        unlinkat(folder, part, 0);
    errno = trouble;
    return result;
}

static int open_folder(const char *path)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return -1;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* ---- The command ----------------------------------------------------------------------------- */

/* What gives a frame's source back: another compressed syntax comes decoded. */
static dcb_encoding source_encoding(dcb_series *series, uint32_t frame)
{
    static const dcb_encoding decoded[] = {DCB_ENCODING_IMPLICIT_LE, DCB_ENCODING_EXPLICIT_BE,
                                           DCB_ENCODING_DEFLATED};
    dcb_frame_info info;
    if (dcb_series_frame_info(&info, series, frame, NULL) != DCB_OK ||
        info.source_syntax_uid == NULL)
        return DCB_ENCODING_EXPLICIT_LE;
    if (strncmp(info.source_syntax_uid, "1.2.840.10008.1.2.4.20", 22) == 0)
        return DCB_ENCODING_STORED;
    for (size_t i = 0; i < sizeof decoded / sizeof *decoded; i++)
        if (strcmp(info.source_syntax_uid, dcb_encoding_uid(decoded[i])) == 0)
            return decoded[i];
    return DCB_ENCODING_EXPLICIT_LE;
}

/* A frame that cannot be had is reported, and the others go on; a folder that cannot be written
   ends it. */
static int write_frames(const extraction *what, dcb_series *series, const uint8_t *wanted,
                        int folder)
{
    uint32_t nframes = dcb_series_get_info(series)->nframes, nwritten = 0, nfailed = 0;
    for (uint32_t i = 0; i < nframes; i++) {
        if (!wanted[i])
            continue;
        dcb_frame *frame = NULL;
        dcb_error error = DCB_ERROR_INIT;
        dcb_encoding encoding = what->source ? source_encoding(series, i) : what->encoding;
        if (dcb_series_frame(&frame, series, i, encoding, &error) != DCB_OK) {
            dcbtool_frame_failed(what->path, i, &error);
            nfailed++;
            continue;
        }
        char name[32];
        snprintf(name, sizeof name, "%04" PRIu32 ".dcm", i);
        int result = write_instance(folder, name, frame);
        dcb_frame_release(frame);
        if (result != 0)
            return dcbtool_failed("%s/%s: cannot be written: %s", what->folder, name,
                                  strerror(errno));
        nwritten++;
    }
    printf("%" PRIu32 " file%s written to %s", nwritten, nwritten == 1 ? "" : "s", what->folder);
    if (nfailed > 0)
        printf(", %" PRIu32 " frame%s could not be read", nfailed, nfailed == 1 ? "" : "s");
    putchar('\n');
    return nfailed > 0 ? DCBTOOL_FAILED : DCBTOOL_OK;
}

static int extract_from(const extraction *what, dcb_series *series)
{
    uint32_t nframes = dcb_series_get_info(series)->nframes;
    uint8_t *wanted = malloc((size_t)nframes + 1);
    if (wanted == NULL)
        return dcbtool_failed("out of memory");
    memset(wanted, what->frames == NULL, nframes);
    int status = what->frames != NULL ? mark_frames(wanted, nframes, what->frames) : DCBTOOL_OK;
    if (status == DCBTOOL_OK) {
        int folder = open_folder(what->folder);
        if (folder >= 0) {
            status = write_frames(what, series, wanted, folder);
            close(folder);
        } else {
            status = dcbtool_failed("%s: not a folder that can be made or used: %s", what->folder,
                                    strerror(errno));
        }
    }
    free(wanted);
    return status;
}

static int parse_syntax(extraction *out, const char *name)
{
    static const struct {
        const char *name;
        dcb_encoding encoding;
    } SYNTAXES[] = {{"htj2k", DCB_ENCODING_STORED},
                    {"explicit", DCB_ENCODING_EXPLICIT_LE},
                    {"implicit", DCB_ENCODING_IMPLICIT_LE}};
    for (size_t i = 0; i < sizeof SYNTAXES / sizeof SYNTAXES[0]; i++) {
        if (strcmp(SYNTAXES[i].name, name) == 0) {
            out->encoding = SYNTAXES[i].encoding;
            return DCBTOOL_OK;
        }
    }
    out->source = strcmp(name, "source") == 0;
    if (out->source)
        return DCBTOOL_OK;
    return dcbtool_usage_error("extract: --syntax expects htj2k, explicit, implicit or source, "
                               "not \"%.40s\"",
                               name);
}

static int parse_arguments(extraction *what, int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"frames", required_argument, NULL, 'f'},
                                            {"all", no_argument, NULL, 'a'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"syntax", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":f:o:", OPTIONS, NULL)) != -1;) {
        if (option == ':')
            return dcbtool_usage_error("extract: %.40s needs a value; see dcbtool --help",
                                       argv[optind - 1]);
        if (option == '?')
            return dcbtool_usage_error("extract: unknown option \"%.40s\"; see dcbtool --help",
                                       argv[optind - 1]);
        if (option == 'f')
            what->frames = optarg;
        else if (option == 'a')
            what->all = true;
        else if (option == 'o')
            what->folder = optarg;
        else if (parse_syntax(what, optarg) != DCBTOOL_OK)
            return DCBTOOL_USAGE;
    }
    if (what->all && what->frames != NULL)
        return dcbtool_usage_error("extract: -f and --all exclude each other");
    if (argc - optind != 1)
        return dcbtool_usage_error("extract: expected one file, not %d; see dcbtool --help",
                                   argc - optind);
    what->path = argv[optind];
    return DCBTOOL_OK;
}

int dcbtool_extract(int argc, char **argv)
{
    extraction what = {.folder = ".", .encoding = DCB_ENCODING_STORED};
    int status = parse_arguments(&what, argc, argv);
    if (status != DCBTOOL_OK)
        return status;
    dcb_series *series = NULL;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_open(&series, what.path, NULL, &error) != DCB_OK)
        return dcbtool_file_failed(what.path, &error);
    status = extract_from(&what, series);
    dcb_series_close(series);
    return status;
}
