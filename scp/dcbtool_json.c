/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dcbtool_json.c - dcbtool info --json: one object, always valid UTF-8 and JSON, whatever the file
 * and its name hold.
 */
#include "dcbtool.h"

#include "sop_classes.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static void put_string(const char *text)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t left = (utf8proc_ssize_t)strlen(text);
    putchar('"');
    while (left > 0) {
        utf8proc_int32_t code = 0;
        utf8proc_ssize_t n = utf8proc_iterate(at, left, &code);
        if (n <= 0) {
            fputs("\\ufffd", stdout);
            n = 1;
        } else if (code < 0x20 || code == 0x7f) {
            printf("\\u%04x", (unsigned)code);
        } else if (code == '"' || code == '\\') {
            printf("\\%c", (int)code);
        } else {
            fwrite(at, 1, (size_t)n, stdout);
        }
        at += n;
        left -= n;
    }
    putchar('"');
}

/* The shortest text that reads back to the same number; JSON has no NaN and no infinity. */
static void put_number(double number)
{
    char text[40];
    if (!isfinite(number)) {
        fputs("null", stdout);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    fputs(text, stdout);
}

static void put_text_member(const char *name, const char *text)
{
    printf(", \"%s\": ", name);
    put_string(text);
}

/* null where the element is missing. */
static void put_element(const char *before, const char *name, const dcb_dataset *dataset,
                        uint32_t tag)
{
    char small[256];
    printf("%s\"%s\": ", before, name);
    ptrdiff_t length = dcb_dataset_get_text(dataset, tag, small, sizeof small);
    char *text = length >= (ptrdiff_t)sizeof small ? malloc((size_t)length + 1) : NULL;
    if (length < 0) {
        fputs("null", stdout);
    } else if (text != NULL) {
        dcb_dataset_get_text(dataset, tag, text, (size_t)length + 1);
        put_string(text);
    } else {
        put_string(small);
    }
    free(text);
}

typedef struct named_tag {
    const char *name;
    uint32_t tag;
} named_tag;

static void put_group(const char *name, const dcb_dataset *dataset, const named_tag *tags,
                      size_t ntags)
{
    printf(", \"%s\": {", name);
    for (size_t i = 0; i < ntags; i++)
        put_element(i == 0 ? "" : ", ", tags[i].name, dataset, tags[i].tag);
    putchar('}');
}

static void put_elements(const info_summary *summary)
{
    static const named_tag PATIENT[] = {{"name", DCB_TAG(0x0010, 0x0010)},
                                        {"id", DCB_TAG(0x0010, 0x0020)},
                                        {"birth_date", DCB_TAG(0x0010, 0x0030)},
                                        {"sex", DCB_TAG(0x0010, 0x0040)}};
    static const named_tag STUDY[] = {{"date", DCB_TAG(0x0008, 0x0020)},
                                      {"time", DCB_TAG(0x0008, 0x0030)},
                                      {"description", DCB_TAG(0x0008, 0x1030)},
                                      {"id", DCB_TAG(0x0020, 0x0010)},
                                      {"accession_number", DCB_TAG(0x0008, 0x0050)}};
    static const named_tag SERIES[] = {{"modality", DCB_TAG(0x0008, 0x0060)},
                                       {"number", DCB_TAG(0x0020, 0x0011)},
                                       {"description", DCB_TAG(0x0008, 0x103e)}};
    put_group("patient", summary->first, PATIENT, 4);
    put_group("study", summary->first, STUDY, 5);
    put_group("series", summary->first, SERIES, 3);
}

static void put_geometry(const info_summary *summary)
{
    fputs(", \"geometry\": {", stdout);
    put_element("", "pixel_spacing", summary->first, DCB_TAG(0x0028, 0x0030));
    put_element(", ", "slice_thickness", summary->first, DCB_TAG(0x0018, 0x0050));
    put_element(", ", "orientation", summary->first, DCB_TAG(0x0020, 0x0037));
    put_element(", ", "first_position", summary->first, DCB_TAG(0x0020, 0x0032));
    put_element(", ", "last_position", summary->last, DCB_TAG(0x0020, 0x0032));
    fputs(", \"step\": ", stdout);
    put_number(summary->step != 0 ? summary->step : NAN);
    putchar('}');
}

static void put_pixel(const info_summary *summary)
{
    const dcb_pixel_format *pixel = &summary->series->pixel;
    printf(", \"pixel\": {\"rows\": %" PRIu32 ", \"columns\": %" PRIu32
           ", \"samples_per_pixel\": %u, \"bits_allocated\": %u, \"bits_stored\": %u, "
           "\"signed\": %s, \"rescale_slope\": ",
           pixel->rows, pixel->columns, pixel->samples_per_pixel, pixel->bits_allocated,
           pixel->bits_stored, pixel->is_signed ? "true" : "false");
    put_number(pixel->rescale_slope);
    fputs(", \"rescale_intercept\": ", stdout);
    put_number(pixel->rescale_intercept);
    printf(", \"lossy_rescale\": %s", summary->series->lossy_rescale ? "true" : "false");
    put_element(", ", "photometric_interpretation", summary->first, DCB_TAG(0x0028, 0x0004));
    putchar('}');
}

static void put_frames(const info_summary *summary)
{
    printf(", \"frame_bytes\": %" PRIu64 ", \"empty_frames\": %" PRIu32
           ", \"cut_off_frames\": %" PRIu32 ", \"stored_syntaxes\": [",
           summary->frame_bytes, summary->series->empty_frames, summary->series->cut_off_frames);
    for (uint32_t i = 0; i < summary->nsyntaxes; i++) {
        fputs(i == 0 ? "{\"uid\": " : ", {\"uid\": ", stdout);
        put_string(summary->syntaxes[i].uid);
        printf(", \"frames\": %" PRIu32 "}", summary->syntaxes[i].nframes);
    }
    fputs("], \"unreadable_frames\": [", stdout);
    for (uint32_t i = 0; i < summary->nbad_frames; i++)
        printf(i == 0 ? "%" PRIu32 : ", %" PRIu32, summary->bad_frames[i]);
    putchar(']');
}

static void put_sections(const info_summary *summary)
{
    fputs(", \"sections\": {", stdout);
    for (int i = 0; i < DCB_SECTION_COUNT; i++)
        printf("%s\"%s\": {\"offset\": %" PRIu64 ", \"bytes\": %" PRIu64 "}", i == 0 ? "" : ", ",
               dcbtool_section_names[i], summary->series->sections[i].offset,
               summary->series->sections[i].nbytes);
    putchar('}');
}

void dcbtool_print_json(const info_summary *summary)
{
    const dcb_series_info *series = summary->series;
    fputs("{\"file\": ", stdout);
    put_string(summary->path);
    printf(", \"bytes\": %" PRIu64 ", \"frames\": %" PRIu32, series->file_bytes, series->nframes);
    put_text_member("dicom_status", series->dicom_status);
    put_text_member("writer", series->writer != NULL ? series->writer : "not known");
    printf(", \"has_meta\": %s, \"has_space\": %s, \"meta_bytes\": %" PRIu64,
           series->has_meta ? "true" : "false", series->has_space ? "true" : "false",
           series->meta_bytes);
    if (series->has_trailer)
        printf(", \"trailer\": {\"offset\": %" PRIu64 ", \"bytes\": %" PRIu64 "}",
               series->trailer.offset, series->trailer.nbytes);
    put_text_member("study_instance_uid", series->study_instance_uid);
    put_text_member("series_instance_uid", series->series_instance_uid);
    put_text_member("sop_class_uid", summary->sop_class_uid);
    put_elements(summary);
    put_pixel(summary);
    put_geometry(summary);
    put_frames(summary);
    printf(", \"unattributable\": %" PRIu32 ", \"dropped_binaries\": %" PRIu32
           ", \"invalid_elements\": %" PRIu32,
           series->unattributable, series->dropped_binaries, series->invalid_elements);
    put_sections(summary);
    puts("}");
}
