/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample_archive.c - writes a small synthetic archive in DiCube's own format: a CT thorax, an MR
 * head and a colour ultrasound of three invented patients.
 *
 * Invariant: the same bytes at each run.
 */
#include "make_dcbs.h"
#include "phantom.h"

#include "codec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

typedef struct sample_series {
    const char *file;
    const char *charset; /* (0008,0005) */
    const char *patient_name, *patient_id, *birth_date, *sex;
    const char *modality, *sop_class_uid, *image_type;
    const char *study_description, *series_description, *body_part;
    const char *date, *time;
    unsigned nslices, rows, columns, components, precision;
    bool is_signed;
    const char *pixel_dtype; /* as numpy calls it */
    void (*describe)(make_meta *meta);
    void (*paint)(void *samples, unsigned slice);
    const char *space;
} sample_series;

/* ---- UIDs ------------------------------------------------------------------------------------ */

/* A UUID-derived UID (PS3.5 B.2) that depends on the name alone. */
static const char *uid_of(char uid[65], const char *name)
{
    XXH128_hash_t hash = XXH3_128bits(name, strlen(name));
    unsigned __int128 number = (unsigned __int128)hash.high64 << 64 | hash.low64;
    number &= ~((unsigned __int128)0xf000 << 64 | (unsigned __int128)0xc0 << 56);
    number |= (unsigned __int128)0x8000 << 64 | (unsigned __int128)0x80 << 56;
    char digits[40];
    size_t n = sizeof digits;
    digits[--n] = '\0';
    for (; number > 0; number /= 10)
        digits[--n] = (char)('0' + (int)(number % 10));
    snprintf(uid, 65, "2.25.%s", digits + n);
    return uid;
}

static void put_uid(make_meta *meta, const char *tag, const sample_series *series, const char *what)
{
    char name[128], uid[65];
    snprintf(name, sizeof name, "dcbscp sample %s %s", series->file, what);
    make_meta_text(meta, tag, "UI", uid_of(uid, name));
}

static void put_instance_uids(make_meta *meta, const sample_series *series)
{
    make_meta_begin_slices(meta, "00080018", "UI");
    for (unsigned i = 0; i < series->nslices; i++) {
        char name[128], uid[65];
        snprintf(name, sizeof name, "dcbscp sample %s instance %u", series->file, i);
        make_meta_slice(meta, "\"%s\"", uid_of(uid, name));
    }
    make_meta_end_slices(meta);
}

/* ---- Attributes of all three ----------------------------------------------------------------- */

static void describe_patient_and_study(make_meta *meta, const sample_series *series)
{
    make_meta_text(meta, "00080005", "CS", series->charset);
    make_meta_text(meta, "00080020", "DA", series->date);
    make_meta_text(meta, "00080030", "TM", series->time);
    make_meta_empty(meta, "00080050", "SH");
    make_meta_empty(meta, "00080090", "PN");
    make_meta_text(meta, "00081030", "LO", series->study_description);
    make_meta_name(meta, "00100010", series->patient_name);
    make_meta_text(meta, "00100020", "LO", series->patient_id);
    make_meta_text(meta, "00100030", "DA", series->birth_date);
    make_meta_text(meta, "00100040", "CS", series->sex);
    put_uid(meta, "0020000D", series, "study");
    make_meta_text(meta, "00200010", "SH", "1");
}

static void describe_series_and_equipment(make_meta *meta, const sample_series *series)
{
    make_meta_text(meta, "00080021", "DA", series->date);
    make_meta_text(meta, "00080031", "TM", series->time);
    make_meta_text(meta, "00080060", "CS", series->modality);
    make_meta_text(meta, "00080070", "LO", "dcbscp");
    make_meta_text(meta, "00081090", "LO", "Ellipsoid phantom");
    make_meta_text(meta, "0008103E", "LO", series->series_description);
    make_meta_text(meta, "00180015", "CS", series->body_part);
    make_meta_text(meta, "00181020", "LO", "1");
    put_uid(meta, "0020000E", series, "series");
    make_meta_json(meta, "00200011", "IS", "1");
}

static void describe_image(make_meta *meta, const sample_series *series)
{
    char number[16];
    make_meta_json(meta, "00080008", "CS", series->image_type);
    make_meta_text(meta, "00080016", "UI", series->sop_class_uid);
    put_instance_uids(meta, series);
    make_meta_text(meta, "00080023", "DA", series->date);
    make_meta_text(meta, "00080033", "TM", series->time);
    make_meta_begin_slices(meta, "00200013", "IS");
    for (unsigned i = 0; i < series->nslices; i++)
        make_meta_slice(meta, "%u", i + 1);
    make_meta_end_slices(meta);
    snprintf(number, sizeof number, "%u", series->components);
    make_meta_json(meta, "00280002", "US", number);
    make_meta_text(meta, "00280004", "CS", series->components == 3 ? "RGB" : "MONOCHROME2");
    snprintf(number, sizeof number, "%u", series->rows);
    make_meta_json(meta, "00280010", "US", number);
    snprintf(number, sizeof number, "%u", series->columns);
    make_meta_json(meta, "00280011", "US", number);
}

/* The source's own bits, which a reader overrides by the pixel header (format section 3). */
static void describe_bits(make_meta *meta, const char *allocated, const char *stored,
                          const char *high)
{
    make_meta_json(meta, "00280100", "US", allocated);
    make_meta_json(meta, "00280101", "US", stored);
    make_meta_json(meta, "00280102", "US", high);
    make_meta_json(meta, "00280103", "US", "0");
}

static void describe_planes(make_meta *meta, unsigned nslices, double (*z_of)(unsigned slice),
                            double spacing, unsigned size, double thickness)
{
    double corner = -((size - 1.0) / 2.0) * spacing;
    char text[64];
    snprintf(text, sizeof text, "%g, %g", spacing, spacing);
    make_meta_json(meta, "00280030", "DS", text);
    snprintf(text, sizeof text, "%g", thickness);
    make_meta_json(meta, "00180050", "DS", text);
    make_meta_text(meta, "00185100", "CS", "HFS");
    make_meta_json(meta, "00200037", "DS", "1.0, 0.0, 0.0, 0.0, 1.0, 0.0");
    make_meta_begin_slices(meta, "00200032", "DS");
    for (unsigned i = 0; i < nslices; i++)
        make_meta_slice(meta, "[%.6g, %.6g, %.6g]", corner, corner, z_of(i));
    make_meta_end_slices(meta);
    make_meta_begin_slices(meta, "00201041", "DS");
    for (unsigned i = 0; i < nslices; i++)
        make_meta_slice(meta, "%.6g", z_of(i));
    make_meta_end_slices(meta);
    make_meta_empty(meta, "00201040", "LO");
}

/* ---- Attributes of each ---------------------------------------------------------------------- */

static void describe_ct(make_meta *meta)
{
    describe_bits(meta, "16", "12", "11");
    describe_planes(meta, CT_SLICES, phantom_ct_z, CT_SPACING, CT_SIZE, CT_STEP);
    make_meta_text(meta, "00200052", "UI", "2.25.151317410541930158473281720359105527297");
    make_meta_json(meta, "00082218", "SQ",
                   "{\"00080100\": {\"vr\": \"SH\", \"shared\": true, \"Value\": [\"51185008\"]}, "
                   "\"00080102\": {\"vr\": \"SH\", \"shared\": true, \"Value\": [\"SCT\"]}, "
                   "\"00080104\": {\"vr\": \"LO\", \"shared\": true, \"Value\": [\"Chest\"]}}");
    make_meta_json(meta, "00180060", "DS", "120.0");
    make_meta_json(meta, "00181151", "IS", "210");
    make_meta_text(meta, "00181210", "SH", "SMOOTH");
    make_meta_json(meta, "00200012", "IS", "1");
    make_meta_json(meta, "00281050", "DS", "40.0, -600.0");
    make_meta_json(meta, "00281051", "DS", "400.0, 1600.0");
    make_meta_json(meta, "00281052", "DS", "-1024.0");
    make_meta_json(meta, "00281053", "DS", "1.0");
    make_meta_text(meta, "00281054", "LO", "HU");
}

static void describe_mr(make_meta *meta)
{
    describe_bits(meta, "16", "12", "11");
    describe_planes(meta, MR_SLICES, phantom_mr_z, MR_SPACING, MR_SIZE, 5.0);
    make_meta_text(meta, "00200052", "UI", "2.25.92250134717120593806627309041563874402");
    make_meta_text(meta, "00180020", "CS", "SE");
    make_meta_text(meta, "00180021", "CS", "SK");
    make_meta_empty(meta, "00180022", "CS");
    make_meta_text(meta, "00180023", "CS", "2D");
    make_meta_json(meta, "00180080", "DS", "4200.0");
    make_meta_json(meta, "00180081", "DS", "98.5");
    make_meta_json(meta, "00180087", "DS", "1.5");
    make_meta_json(meta, "00180088", "DS", "6.0");
    make_meta_json(meta, "00180091", "IS", "11");
    make_meta_json(meta, "00281050", "DS", "1800.0");
    make_meta_json(meta, "00281051", "DS", "3600.0");
}

static void describe_us(make_meta *meta)
{
    describe_bits(meta, "8", "8", "7");
    make_meta_json(meta, "00280006", "US", "0");
    make_meta_text(meta, "00282110", "CS", "00");
    make_meta_empty(meta, "00200020", "CS");
}

static void paint_ct(void *samples, unsigned slice)
{
    phantom_ct(samples, slice);
}

static void paint_mr(void *samples, unsigned slice)
{
    phantom_mr(samples, slice);
}

static void paint_us(void *samples, unsigned slice)
{
    phantom_us(samples, slice);
}

static const sample_series SERIES[] = {
    {
        .file = "ct_thorax.dcbs",
        .charset = "ISO_IR 192",
        .patient_name = "Wi\xc5\x9bniewska^\xc5\x81ucja",
        .patient_id = "SAMPLE-CT",
        .birth_date = "19620314",
        .sex = "F",
        .modality = "CT",
        .sop_class_uid = "1.2.840.10008.5.1.4.1.1.2",
        .image_type = "\"ORIGINAL\", \"PRIMARY\", \"AXIAL\"",
        .study_description = "CT thorax, phantom",
        .series_description = "Thorax 2.5 mm",
        .body_part = "CHEST",
        .date = "20260115",
        .time = "093011",
        .nslices = CT_SLICES,
        .rows = CT_SIZE,
        .columns = CT_SIZE,
        .components = 1,
        .precision = 16,
        .is_signed = true,
        .pixel_dtype = "int16",
        .describe = describe_ct,
        .paint = paint_ct,
        .space = "{\"shape\": [512, 512, 48], \"origin\": [-178.85, -178.85, -58.75], \"spacing\": "
                 "[0.7, 0.7, 2.5], \"x_orientation\": [1.0, 0.0, 0.0], \"y_orientation\": "
                 "[0.0, 1.0, 0.0], \"z_orientation\": [0.0, 0.0, 1.0]}",
    },
    {
        .file = "mr_head.dcbs",
        .charset = "ISO_IR 100",
        .patient_name = "M\xc3\xbcller^J\xc3\xb6rg",
        .patient_id = "SAMPLE-MR",
        .birth_date = "19790802",
        .sex = "M",
        .modality = "MR",
        .sop_class_uid = "1.2.840.10008.5.1.4.1.1.4",
        .image_type = "\"ORIGINAL\", \"PRIMARY\", \"OTHER\"",
        .study_description = "MR Sch\xc3\xa4"
                             "del, Phantom",
        .series_description = "T2 transversal",
        .body_part = "HEAD",
        .date = "20260116",
        .time = "141502",
        .nslices = MR_SLICES,
        .rows = MR_SIZE,
        .columns = MR_SIZE,
        .components = 1,
        .precision = 16,
        .pixel_dtype = "uint16",
        .describe = describe_mr,
        .paint = paint_mr,
    },
    {
        .file = "us_doppler.dcbs",
        .charset = "ISO_IR 100",
        .patient_name = "Sample^Alex",
        .patient_id = "SAMPLE-US",
        .birth_date = "19901130",
        .sex = "O",
        .modality = "US",
        .sop_class_uid = "1.2.840.10008.5.1.4.1.1.6.1",
        .image_type = "\"ORIGINAL\", \"PRIMARY\"",
        .study_description = "Echo, phantom",
        .series_description = "Colour Doppler",
        .body_part = "HEART",
        .date = "20260117",
        .time = "101530",
        .nslices = US_IMAGES,
        .rows = US_ROWS,
        .columns = US_COLUMNS,
        .components = 3,
        .precision = 8,
        .pixel_dtype = "uint8",
        .describe = describe_us,
        .paint = paint_us,
    },
};
#define NSERIES (sizeof SERIES / sizeof SERIES[0])

/* ---- Writing --------------------------------------------------------------------------------- */

static int encode_frames(make_frame *frames, const sample_series *series)
{
    size_t nbytes =
        (size_t)series->rows * series->columns * series->components * (series->precision / 8);
    void *samples = malloc(nbytes);
    if (samples == NULL) {
        fputs("sample_archive: out of memory\n", stderr);
        return -1;
    }
    int result = 0;
    for (unsigned i = 0; i < series->nslices && result == 0; i++) {
        uint8_t *bytes = NULL;
        dcb_error error = DCB_ERROR_INIT;
        series->paint(samples, i);
        if (dcb__encode(&bytes, &frames[i].nbytes, samples, series->rows, series->columns,
                        (uint16_t)series->components, (uint16_t)series->precision,
                        series->is_signed, &error) != DCB_OK) {
            fprintf(stderr, "sample_archive: %s, frame %u: %s\n", series->file, i, error.message);
            result = -1;
        }
        frames[i].bytes = bytes;
    }
    free(samples);
    return result;
}

static int write_series(const char *folder, const sample_series *series)
{
    make_meta meta = {0};
    make_meta_begin(&meta, series->nslices);
    describe_patient_and_study(&meta, series);
    describe_series_and_equipment(&meta, series);
    describe_image(&meta, series);
    series->describe(&meta);
    make_meta_end(&meta);

    make_text header = {0};
    make_text_add(&header,
                  "{\"RescaleSlope\": 1, \"RescaleIntercept\": 0, \"OriginalPixelDtype\": \"%s\", "
                  "\"PixelDtype\": \"%s\", \"WindowCenter\": null, \"WindowWidth\": null, "
                  "\"MaxVal\": null, \"MinVal\": null}",
                  series->is_signed ? "float64" : series->pixel_dtype, series->pixel_dtype);

    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, series->file);
    make_frame frames[64] = {{NULL, 0}};
    int result = encode_frames(frames, series);
    const make_dcbs file = {"consistent", meta.json.text,  series->space,
                            header.text,  series->nslices, frames};
    if (result == 0 && make_dcbs_write(path, &file) != 0) {
        fprintf(stderr, "sample_archive: %s: %s\n", path, strerror(errno));
        result = -1;
    }
    if (result == 0)
        printf("%s: %u instances of %s\n", path, series->nslices, series->modality);
    for (unsigned i = 0; i < series->nslices; i++)
        free((void *)frames[i].bytes);
    free(header.text);
    free(meta.json.text);
    return result;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: sample_archive DIR\n", stderr);
        return 2;
    }
    if (mkdir(argv[1], 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "sample_archive: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    for (size_t i = 0; i < NSERIES; i++) {
        if (write_series(argv[1], &SERIES[i]) != 0)
            return 1;
    }
    return 0;
}
