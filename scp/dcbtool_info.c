/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dcbtool_info.c - what a .dcbs file holds, for a person at a terminal.
 *
 * It shows patient data: the file is the operator's own. Control characters of the file's texts
 * never reach the terminal.
 */
#include "dcbtool.h"

#include "sop_classes.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENT_NAME    DCB_TAG(0x0010, 0x0010)
#define IMAGE_POSITION  DCB_TAG(0x0020, 0x0032)
#define IMAGE_DIRECTION DCB_TAG(0x0020, 0x0037)
#define TEXT_SIZE       256

/* ---- Gathering ------------------------------------------------------------------------------- */

static void count_syntax(info_summary *summary, const char *uid)
{
    uint32_t i = 0;
    while (i < summary->nsyntaxes && strcmp(summary->syntaxes[i].uid, uid) != 0)
        i++;
    if (i == sizeof summary->syntaxes / sizeof summary->syntaxes[0])
        return;
    if (i == summary->nsyntaxes) {
        snprintf(summary->syntaxes[i].uid, sizeof summary->syntaxes[i].uid, "%s", uid);
        summary->nsyntaxes++;
    }
    summary->syntaxes[i].nframes++;
}

static int look_at_frames(info_summary *summary, dcb_series *series)
{
    uint32_t nframes = summary->series->nframes;
    summary->bad_frames = calloc((size_t)nframes + 1, sizeof *summary->bad_frames);
    if (summary->bad_frames == NULL)
        return dcbtool_failed("out of memory");
    for (uint32_t frame = 0; frame < nframes; frame++) {
        dcb_frame_info info;
        dcb_error error = DCB_ERROR_INIT;
        if (dcb_series_frame_info(&info, series, frame, &error) != DCB_OK) {
            if (summary->nbad_frames == 0)
                summary->first_bad = error;
            summary->bad_frames[summary->nbad_frames++] = frame;
            continue;
        }
        count_syntax(summary, info.stored_syntax_uid);
        summary->frame_bytes += info.nbytes;
    }
    return DCBTOOL_OK;
}

/* n numbers of a DS element. */
static bool read_numbers(double *numbers, size_t n, const dcb_dataset *dataset, uint32_t tag)
{
    char text[TEXT_SIZE];
    ptrdiff_t length = dcb_dataset_get_text(dataset, tag, text, sizeof text);
    if (length <= 0 || (size_t)length >= sizeof text)
        return false;
    const char *at = text;
    for (size_t i = 0; i < n; i++) {
        char *end = NULL;
        numbers[i] = strtod(at, &end);
        if (end == at || !isfinite(numbers[i]))
            return false;
        end += strspn(end, " ");
        if (*end != (i + 1 < n ? '\\' : '\0'))
            return false;
        at = end + 1;
    }
    return true;
}

/* PS3.3 C.7.6.2.1.1: along the normal of the rows and columns. */
static double slice_step(const info_summary *summary)
{
    double from[3], to[3], d[6];
    if (summary->series->nframes < 2 || !read_numbers(from, 3, summary->first, IMAGE_POSITION) ||
        !read_numbers(to, 3, summary->last, IMAGE_POSITION) ||
        !read_numbers(d, 6, summary->first, IMAGE_DIRECTION))
        return 0;
    double normal[3] = {d[1] * d[5] - d[2] * d[4], d[2] * d[3] - d[0] * d[5],
                        d[0] * d[4] - d[1] * d[3]};
    double distance = 0;
    for (int i = 0; i < 3; i++)
        distance += normal[i] * (to[i] - from[i]);
    return distance / (summary->series->nframes - 1);
}

static int gather(info_summary *summary, dcb_series *series)
{
    dcb_error error = DCB_ERROR_INIT;
    summary->series = dcb_series_get_info(series);
    if (dcb_series_dataset(&summary->first, series, 0, true, &error) != DCB_OK ||
        dcb_series_dataset(&summary->last, series, summary->series->nframes - 1, true, &error) !=
            DCB_OK)
        return dcbtool_file_failed(summary->path, &error);
    summary->step = slice_step(summary);
    dcb_dataset_get_text(summary->first, DCB_TAG(0x0008, 0x0016), summary->sop_class_uid,
                         sizeof summary->sop_class_uid);
    return look_at_frames(summary, series);
}

/* ---- Printing -------------------------------------------------------------------------------- */

/* Text for one line of a terminal: control characters become question marks. "" where missing. */
static const char *text_of(char *text, const dcb_dataset *dataset, uint32_t tag)
{
    ptrdiff_t length = dcb_dataset_get_text(dataset, tag, text, TEXT_SIZE);
    if (length < 0)
        text[0] = '\0';
    for (char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    }
    return text;
}

static void print_bytes(uint64_t nbytes)
{
    static const char *const UNITS[] = {"bytes", "kB", "MB", "GB", "TB"};
    double number = (double)nbytes;
    unsigned unit = 0;
    for (; number >= 1000 && unit < 4; unit++)
        number /= 1000;
    printf(unit == 0 ? "%.0f %s" : "%.1f %s", number, UNITS[unit]);
}

static void begin_line(const char *label)
{
    printf("  %-12s", label);
}

/* ", NAME VALUE" where there is a value. */
static void add_text(const char *before, const info_summary *summary, uint32_t tag)
{
    char text[TEXT_SIZE];
    if (*text_of(text, summary->first, tag) != '\0')
        printf("%s%s", before, text);
}

/* The values of a multi-valued element. */
static void print_values(const char *text, const char *separator)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            fputs(separator, stdout);
        else
            putchar(*text);
    }
}

static void print_people_and_times(const info_summary *summary)
{
    char text[TEXT_SIZE];
    begin_line("Patient");
    text_of(text, summary->first, PATIENT_NAME);
    printf("%s", text[0] != '\0' ? text : "(no name)");
    add_text(", ID ", summary, DCB_TAG(0x0010, 0x0020));
    add_text(", born ", summary, DCB_TAG(0x0010, 0x0030));
    add_text(", sex ", summary, DCB_TAG(0x0010, 0x0040));
    printf("\n");
    begin_line("Study");
    printf("%s", summary->series->study_instance_uid);
    add_text("\n              ", summary, DCB_TAG(0x0008, 0x0020));
    add_text(" ", summary, DCB_TAG(0x0008, 0x0030));
    add_text("  ", summary, DCB_TAG(0x0008, 0x1030));
    printf("\n");
    begin_line("Series");
    printf("%s", summary->series->series_instance_uid);
    add_text("\n              ", summary, DCB_TAG(0x0008, 0x0060));
    add_text(" ", summary, DCB_TAG(0x0020, 0x0011));
    add_text("  ", summary, DCB_TAG(0x0008, 0x103e));
    printf("\n");
}

static void print_image(const info_summary *summary)
{
    char text[TEXT_SIZE];
    const dcb_pixel_format *pixel = &summary->series->pixel;
    begin_line("Instances");
    printf("%" PRIu32 " of %s\n", summary->series->nframes, sop_class_name(summary->sop_class_uid));
    begin_line("Image");
    printf("%" PRIu32 " x %" PRIu32 ", %u bit %s, %u sample%s%s%s\n", pixel->columns, pixel->rows,
           pixel->bits_stored, pixel->is_signed ? "signed" : "unsigned", pixel->samples_per_pixel,
           pixel->samples_per_pixel == 1 ? "" : "s",
           *text_of(text, summary->first, DCB_TAG(0x0028, 0x0004)) != '\0' ? ", " : "", text);
    begin_line("Values");
    printf("real = stored x %.10g %c %.10g%s\n", pixel->rescale_slope,
           pixel->rescale_intercept < 0 ? '-' : '+', fabs(pixel->rescale_intercept),
           summary->series->lossy_rescale ? " (rounded by the writer)" : "");
    if (*text_of(text, summary->first, DCB_TAG(0x0028, 0x0030)) != '\0' || summary->step != 0) {
        begin_line("Geometry");
        fputs("pixel spacing ", stdout);
        print_values(text[0] != '\0' ? text : "?", " x ");
        fputs(" mm", stdout);
        add_text(", slice thickness ", summary, DCB_TAG(0x0018, 0x0050));
        if (summary->step != 0)
            printf(", step %.6g mm", summary->step);
        printf("\n");
    }
    char first[TEXT_SIZE], last[TEXT_SIZE];
    if (*text_of(first, summary->first, IMAGE_POSITION) != '\0' &&
        *text_of(last, summary->last, IMAGE_POSITION) != '\0') {
        begin_line("");
        fputs("from (", stdout);
        print_values(first, ", ");
        fputs(") to (", stdout);
        print_values(last, ", ");
        puts(")");
    }
}

static const char *syntax_name(const char *uid)
{
    if (strcmp(uid, UID_HTJ2K_LOSSLESS) == 0)
        return "HTJ2K lossless";
    if (strcmp(uid, UID_HTJ2K_LOSSLESS_RPCL) == 0)
        return "HTJ2K lossless RPCL";
    return strcmp(uid, UID_HTJ2K) == 0 ? "HTJ2K" : "another";
}

static void print_encoding(const info_summary *summary)
{
    const dcb_pixel_format *pixel = &summary->series->pixel;
    for (uint32_t i = 0; i < summary->nsyntaxes; i++) {
        begin_line(i == 0 ? "Stored as" : "");
        printf("%s, %s", syntax_name(summary->syntaxes[i].uid), summary->syntaxes[i].uid);
        if (summary->nsyntaxes > 1)
            printf(": %" PRIu32 " frames", summary->syntaxes[i].nframes);
        printf("\n");
    }
    uint32_t good = summary->series->nframes - summary->nbad_frames;
    if (summary->frame_bytes > 0) {
        double raw = (double)pixel->rows * pixel->columns * pixel->samples_per_pixel *
                     (pixel->bits_allocated / 8) * good;
        begin_line("");
        print_bytes(summary->frame_bytes);
        printf(" of frames, %.2f : 1\n", raw / (double)summary->frame_bytes);
    }
}

static void print_condition(const info_summary *summary)
{
    const dcb_series_info *series = summary->series;
    begin_line("Status");
    printf("%s\n", series->dicom_status);
    begin_line("Writer");
    printf("%s\n", series->writer != NULL ? series->writer : "not known");
    if (series->has_trailer) {
        begin_line("Exact");
        fputs("every instance as it came; a trailer of ", stdout);
        print_bytes(series->trailer.nbytes);
        printf(" at byte %" PRIu64 "\n", series->trailer.offset);
    }
    if (!series->has_meta) {
        begin_line("Metadata");
        printf("none: served as Secondary Capture with UIDs derived from the content\n");
    }
    if (series->unattributable > 0 || series->dropped_binaries > 0) {
        begin_line("Left out");
        printf("%" PRIu32 " values that the file does not attribute to a slice, %" PRIu32
               " binary elements dropped by the writer\n",
               series->unattributable, series->dropped_binaries);
    }
    if (series->invalid_elements > 0) {
        begin_line("Invalid");
        printf("%" PRIu32 " element%s left out, the first: %s\n", series->invalid_elements,
               series->invalid_elements == 1 ? "" : "s", series->invalid_reason);
    }
    if (series->empty_frames > 0) {
        begin_line("Empty");
        printf("%" PRIu32 " frames\n", series->empty_frames);
    }
    if (series->cut_off_frames > 0) {
        begin_line("Cut off");
        printf("the file ends before %" PRIu32 " frame%s\n", series->cut_off_frames,
               series->cut_off_frames == 1 ? " does" : "s do");
    }
    if (summary->nbad_frames > 0) {
        begin_line("Unreadable");
        printf("%" PRIu32 " frame%s, the first is %" PRIu32 "\n", summary->nbad_frames,
               summary->nbad_frames == 1 ? "" : "s", summary->bad_frames[0]);
    }
}

const char *const dcbtool_section_names[DCB_SECTION_COUNT] = {
    "dicom_status", "dicommeta", "space", "pixel_header", "frame_offsets", "frame_lengths"};

static void print_sections(const info_summary *summary)
{
    begin_line("Sections");
    printf("%-14s %12s %12s\n", "", "at byte", "bytes");
    for (int i = 0; i < DCB_SECTION_COUNT; i++) {
        const dcb_section *section = &summary->series->sections[i];
        begin_line("");
        if (section->nbytes == 0)
            printf("%-14s %12s %12s\n", dcbtool_section_names[i], "-", "absent");
        else
            printf("%-14s %12" PRIu64 " %12" PRIu64 "\n", dcbtool_section_names[i], section->offset,
                   section->nbytes);
    }
}

static void print_for_people(const info_summary *summary)
{
    printf("%s: ", summary->path);
    print_bytes(summary->series->file_bytes);
    printf(", %" PRIu32 " frame%s\n", summary->series->nframes,
           summary->series->nframes == 1 ? "" : "s");
    print_people_and_times(summary);
    print_image(summary);
    print_encoding(summary);
    print_condition(summary);
    print_sections(summary);
}

/* ---- The command ----------------------------------------------------------------------------- */

static int info_of_file(const char *path, bool json)
{
    info_summary summary = {.path = path, .first_bad = DCB_ERROR_INIT};
    dcb_series *series = NULL;
    dcb_error error = DCB_ERROR_INIT;
    if (dcb_series_open(&series, path, NULL, &error) != DCB_OK)
        return dcbtool_file_failed(path, &error);
    int status = gather(&summary, series);
    if (status == DCBTOOL_OK) {
        if (json)
            dcbtool_print_json(&summary);
        else
            print_for_people(&summary);
        if (summary.nbad_frames > 0)
            status = dcbtool_frame_failed(path, summary.bad_frames[0], &summary.first_bad);
    }
    dcb_dataset_close(summary.first);
    dcb_dataset_close(summary.last);
    free(summary.bad_frames);
    dcb_series_close(series);
    return status;
}

int dcbtool_info(int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    bool json = false;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        if (option != 'j')
            return dcbtool_usage_error("info: unknown option \"%.40s\"; see dcbtool --help",
                                       argv[optind - 1]);
        json = true;
    }
    if (argc - optind != 1)
        return dcbtool_usage_error("info: expected one file, not %d; see dcbtool --help",
                                   argc - optind);
    return info_of_file(argv[optind], json);
}
