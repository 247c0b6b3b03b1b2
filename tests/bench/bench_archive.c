/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_archive.c - writes the archive that retrieve.sh measures with:
 *
 *     bench_archive DIR NSERIES
 *
 * ct.dcbs has 200 slices of 512 x 512 x 16 bit, mr.dcbs 200 of 64 x 64 (8 KB each); cold_000.dcbs
 * and so on, NSERIES of them, 64 slices as ct.dcbs. UIDs: study 1.2.826.1.N, series 1.2.826.1.N.1,
 * instances 1.2.826.1.N.1.I, where N is 1 for ct, 2 for mr, 1000 + n for cold_n. Patients are
 * BENCH-N.
 */
#include "codec.h"
#include "make_dcbs.h"

#include "../sample/phantom.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NSLICES_MAX 200u
#define MR_SIDE     64u

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench_archive: %s: %s\n", what, why);
    exit(1);
}

static make_frame encode(const int16_t *samples, unsigned side)
{
    uint8_t *bytes = NULL;
    make_frame frame = {NULL, 0};
    dcb_error error = DCB_ERROR_INIT;
    if (dcb__encode(&bytes, &frame.nbytes, samples, side, side, 1, 16, true, &error) != DCB_OK)
        fail("encoding", error.message);
    frame.bytes = bytes;
    return frame;
}

/* The phantom's slices are fewer than a series': they come again, turned upside down. */
static make_frame encode_ct(unsigned slice)
{
    static int16_t samples[CT_SIZE * CT_SIZE], turned[CT_SIZE * CT_SIZE];
    phantom_ct(samples, slice % CT_SLICES);
    if (slice / CT_SLICES % 2 == 0)
        return encode(samples, CT_SIZE);
    for (unsigned row = 0; row < CT_SIZE; row++)
        memcpy(turned + row * CT_SIZE, samples + (CT_SIZE - 1 - row) * CT_SIZE,
               CT_SIZE * sizeof *samples);
    return encode(turned, CT_SIZE);
}

static make_frame encode_mr(unsigned slice)
{
    static int16_t samples[CT_SIZE * CT_SIZE], part[MR_SIDE * MR_SIDE];
    phantom_ct(samples, slice % CT_SLICES);
    for (unsigned row = 0; row < MR_SIDE; row++)
        memcpy(part + row * MR_SIDE, samples + (row * 4 + 100) * CT_SIZE + 200,
               MR_SIDE * sizeof *part);
    return encode(part, MR_SIDE);
}

static void describe(make_meta *meta, unsigned number, unsigned nslices, unsigned side,
                     const char *sop_class_uid, const char *modality)
{
    char text[128];
    make_meta_begin(meta, nslices);
    make_meta_text(meta, "00080016", "UI", sop_class_uid);
    make_meta_begin_slices(meta, "00080018", "UI");
    for (unsigned i = 0; i < nslices; i++)
        make_meta_slice(meta, "\"1.2.826.1.%u.1.%u\"", number, i + 1);
    make_meta_end_slices(meta);
    make_meta_text(meta, "00080020", "DA", "20260115");
    make_meta_text(meta, "00080060", "CS", modality);
    make_meta_name(meta, "00100010", "Bench^Mark");
    snprintf(text, sizeof text, "BENCH-%u", number);
    make_meta_text(meta, "00100020", "LO", text);
    snprintf(text, sizeof text, "1.2.826.1.%u", number);
    make_meta_text(meta, "0020000D", "UI", text);
    snprintf(text, sizeof text, "1.2.826.1.%u.1", number);
    make_meta_text(meta, "0020000E", "UI", text);
    make_meta_begin_slices(meta, "00200013", "IS");
    for (unsigned i = 0; i < nslices; i++)
        make_meta_slice(meta, "%u", i + 1);
    make_meta_end_slices(meta);
    make_meta_begin_slices(meta, "00200032", "DS");
    for (unsigned i = 0; i < nslices; i++)
        make_meta_slice(meta, "[-178.85, -178.85, %u.5]", i);
    make_meta_end_slices(meta);
    make_meta_text(meta, "00280004", "CS", "MONOCHROME2");
    snprintf(text, sizeof text, "%u", side);
    make_meta_json(meta, "00280002", "US", "1");
    make_meta_json(meta, "00280010", "US", text);
    make_meta_json(meta, "00280011", "US", text);
    make_meta_json(meta, "00280030", "DS", "0.7, 0.7");
    make_meta_json(meta, "00280100", "US", "16");
    make_meta_json(meta, "00280101", "US", "12");
    make_meta_json(meta, "00280102", "US", "11");
    make_meta_json(meta, "00280103", "US", "1");
    make_meta_end(meta);
}

static void write_series(const char *folder, const char *name, unsigned number, unsigned side,
                         const char *sop_class_uid, const char *modality, const make_frame *frames,
                         unsigned nslices)
{
    char path[4096];
    make_meta meta = {0};
    describe(&meta, number, nslices, side, sop_class_uid, modality);
    static const char header[] = "{\"RescaleSlope\": 1, \"RescaleIntercept\": 0, "
                                 "\"OriginalPixelDtype\": \"int16\", \"PixelDtype\": \"int16\"}";
    const make_dcbs file = {"consistent", meta.json.text, NULL, header, nslices, frames};
    snprintf(path, sizeof path, "%s/%s.dcbs", folder, name);
    if (make_dcbs_write(path, &file) != 0)
        fail(path, strerror(errno));
    free(meta.json.text);
}

int main(int argc, char **argv)
{
    static make_frame ct[NSLICES_MAX], mr[NSLICES_MAX];
    if (argc != 3) {
        fputs("usage: bench_archive DIR NSERIES\n", stderr);
        return 2;
    }
    if (mkdir(argv[1], 0777) != 0 && errno != EEXIST)
        fail(argv[1], strerror(errno));
    size_t nbytes = 0;
    for (unsigned i = 0; i < NSLICES_MAX; i++) {
        ct[i] = i < 2 * CT_SLICES ? encode_ct(i) : ct[i % (2 * CT_SLICES)];
        mr[i] = i < CT_SLICES ? encode_mr(i) : mr[i % CT_SLICES];
        nbytes += ct[i].nbytes;
    }
    write_series(argv[1], "ct", 1, CT_SIZE, "1.2.840.10008.5.1.4.1.1.2", "CT", ct, NSLICES_MAX);
    write_series(argv[1], "mr", 2, MR_SIDE, "1.2.840.10008.5.1.4.1.1.4", "MR", mr, NSLICES_MAX);
    const long nseries = strtol(argv[2], NULL, 10);
    for (unsigned n = 0; (long)n < nseries; n++) {
        char name[32];
        snprintf(name, sizeof name, "cold_%03u", n);
        write_series(argv[1], name, 1000 + n, CT_SIZE, "1.2.840.10008.5.1.4.1.1.2", "CT", ct, 64);
    }
    printf("%zu\n", nbytes / NSLICES_MAX);
    return 0;
}
