/* SPDX-License-Identifier: Apache-2.0 */
/* reader_series.c - the two series of reader_series.h. One thread. */
#include "reader_series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "make_dcbs.h"

/* Frames are repeated: what they hold does not matter, and encoding takes long. */
#define DISTINCT_FRAMES 8

typedef struct series_shape {
    const char *name, *sop_class, *modality;
    unsigned nslices, size;
    unsigned nshared, nprivate; /* elements beside the usual ones: shared; by slice */
    unsigned binary_nbytes;     /* of a private element of each slice; 0: none */
} series_shape;

static void need(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "reader_series: %s\n", what);
        exit(1);
    }
}

/* A body of noise, as CT has it: an ellipse with structure, air around it. */
static make_frame encode_frame(unsigned size, unsigned number)
{
    int16_t *samples = malloc((size_t)size * size * sizeof *samples);
    uint32_t seed = number + 1;
    need(samples != NULL, "out of memory");
    for (unsigned y = 0; y < size; y++) {
        for (unsigned x = 0; x < size; x++) {
            double dx = 2.0 * x / size - 1, dy = 3.0 * y / size - 1.5;
            seed = seed * 1664525u + 1013904223u;
            int noise = (int)(seed >> 26) - 32;
            int body =
                40 + (int)(x * 16 / size % 3) * 60 + (int)((y + number) * 10 / size % 2) * 90;
            samples[y * size + x] =
                (int16_t)(dx * dx + dy * dy > 1 ? -1000 + noise / 4 : body + noise);
        }
    }
    uint8_t *bytes = NULL;
    size_t nbytes = 0;
    dcb_error error = DCB_ERROR_INIT;
    dcb_status status = dcb__encode(&bytes, &nbytes, samples, size, size, 1, 16, true, &error);
    need(status == DCB_OK, error.message);
    free(samples);
    return (make_frame){bytes, nbytes};
}

static void put_usual(make_meta *meta, const series_shape *shape)
{
    make_meta_text(meta, "00080005", "CS", "ISO_IR 100");
    make_meta_text(meta, "00080016", "UI", shape->sop_class);
    make_meta_text(meta, "00080020", "DA", "20240517");
    make_meta_text(meta, "00080060", "CS", shape->modality);
    make_meta_text(meta, "00080070", "LO", "dcbscp");
    make_meta_name(meta, "00100010", "Bench^Reader");
    make_meta_text(meta, "00100020", "LO", "BENCH");
    make_meta_text(meta, "0020000D", "UI", "1.2.826.0.1.3680043.10.511.1");
    make_meta_text(meta, "0020000E", "UI", "1.2.826.0.1.3680043.10.511.1.1");
    make_meta_json(meta, "00200037", "DS", "1,0,0,0,1,0");
    make_meta_json(meta, "00280002", "US", "1");
    make_meta_text(meta, "00280004", "CS", "MONOCHROME2");
    char size[16];
    snprintf(size, sizeof size, "%u", shape->size);
    make_meta_json(meta, "00280010", "US", size);
    make_meta_json(meta, "00280011", "US", size);
    make_meta_json(meta, "00280030", "DS", "0.703125,0.703125");
    make_meta_json(meta, "00280100", "US", "16");
    make_meta_json(meta, "00280101", "US", "16");
    make_meta_json(meta, "00280102", "US", "15");
    make_meta_json(meta, "00280103", "US", "1");
    for (unsigned i = 0; i < shape->nshared; i++) {
        char tag[16];
        snprintf(tag, sizeof tag, "0019%04X", 0x1000 + i);
        make_meta_json(meta, tag, "DS", "0.125,-17.5,1e-06");
    }
}

static void put_slices(make_meta *meta, const series_shape *shape)
{
    make_meta_begin_slices(meta, "00080018", "UI");
    for (unsigned i = 0; i < shape->nslices; i++)
        make_meta_slice(meta, "\"1.2.826.0.1.3680043.10.511.1.1.20240517.%u\"", 1000000 + i);
    make_meta_end_slices(meta);
    make_meta_begin_slices(meta, "00080032", "TM");
    for (unsigned i = 0; i < shape->nslices; i++)
        make_meta_slice(meta, "\"1015%02u.%06u\"", i / 4 % 60, i * 4711 % 1000000);
    make_meta_end_slices(meta);
    make_meta_begin_slices(meta, "00200013", "IS");
    for (unsigned i = 0; i < shape->nslices; i++)
        make_meta_slice(meta, "%u", i + 1);
    make_meta_end_slices(meta);
    make_meta_begin_slices(meta, "00200032", "DS");
    for (unsigned i = 0; i < shape->nslices; i++)
        make_meta_slice(meta, "[-180.0,-180.0,%.3f]", -250 + 1.25 * i);
    make_meta_end_slices(meta);
    for (unsigned k = 0; k < shape->nprivate; k++) {
        char tag[16];
        snprintf(tag, sizeof tag, "0043%04X", 0x1000 + k);
        make_meta_begin_slices(meta, tag, k % 2 == 0 ? "DS" : "LO");
        for (unsigned i = 0; i < shape->nslices; i++) {
            if (k % 2 == 0)
                make_meta_slice(meta, "[%.4f,%u]", 0.37 * i + k, (i * 31 + k) % 997);
            else
                make_meta_slice(meta, "\"scan %u of %u\"", (i * 7 + k) % 611, k);
        }
        make_meta_end_slices(meta);
    }
}

/* As the scanners of two large makers have it: most of the JSON, and of no use (rule 7). */
static void put_binary(make_meta *meta, const series_shape *shape)
{
    if (shape->binary_nbytes == 0)
        return;
    make_text_add(&meta->json, ",\"00431029\":{\"vr\":\"OB\",\"shared\":false,\"InlineBinary\":[");
    for (unsigned i = 0; i < shape->nslices; i++) {
        make_text_add(&meta->json, i > 0 ? ",\"" : "\"");
        for (unsigned k = 0; k < shape->binary_nbytes; k += 3)
            make_text_add(&meta->json, "A%c%cA", 'A' + (int)((i + k) % 26), 'a' + (int)(k % 26));
        make_text_add(&meta->json, "\"");
    }
    make_text_add(&meta->json, "],\"Value\":[null");
    for (unsigned i = 1; i < shape->nslices; i++)
        make_text_add(&meta->json, ",null");
    make_text_add(&meta->json, "]}");
}

static char *write_series(const char *folder, const series_shape *shape)
{
    make_meta meta = {0};
    make_meta_begin(&meta, shape->nslices);
    put_usual(&meta, shape);
    put_slices(&meta, shape);
    put_binary(&meta, shape);
    make_meta_end(&meta);
    make_frame distinct[DISTINCT_FRAMES], *frames = calloc(shape->nslices, sizeof *frames);
    need(frames != NULL, "out of memory");
    for (unsigned i = 0; i < DISTINCT_FRAMES; i++)
        distinct[i] = encode_frame(shape->size, i);
    for (unsigned i = 0; i < shape->nslices; i++)
        frames[i] = distinct[i % DISTINCT_FRAMES];
    make_dcbs file = {.dicom_status = "consistent",
                      .meta_json = meta.json.text,
                      .pixel_header_json = "{\"RescaleSlope\": 1.0, \"RescaleIntercept\": 0.0, "
                                           "\"PixelDtype\": \"int16\"}",
                      .nframes = shape->nslices,
                      .frames = frames};
    size_t room = strlen(folder) + strlen(shape->name) + 2;
    char *path = malloc(room);
    need(path != NULL, "out of memory");
    snprintf(path, room, "%s/%s", folder, shape->name);
    need(make_dcbs_write(path, &file) == 0, "the file cannot be written");
    for (unsigned i = 0; i < DISTINCT_FRAMES; i++)
        free((void *)distinct[i].bytes);
    free(frames);
    free(meta.json.text);
    return path;
}

char *reader_series_ct(const char *folder)
{
    return write_series(folder, &(series_shape){.name = "ct_200.dcbs",
                                                .sop_class = "1.2.840.10008.5.1.4.1.1.2",
                                                .modality = "CT",
                                                .nslices = 200,
                                                .size = 512,
                                                .nshared = 75,
                                                .nprivate = 12,
                                                .binary_nbytes = 300});
}

char *reader_series_mr(const char *folder)
{
    return write_series(folder, &(series_shape){.name = "mr_150.dcbs",
                                                .sop_class = "1.2.840.10008.5.1.4.1.1.4",
                                                .modality = "MR",
                                                .nslices = 150,
                                                .size = 64,
                                                .nshared = 320,
                                                .nprivate = 14,
                                                .binary_nbytes = 2080});
}

char *reader_series_dense(const char *folder)
{
    return write_series(folder, &(series_shape){.name = "dense_200.dcbs",
                                                .sop_class = "1.2.840.10008.5.1.4.1.1.2",
                                                .modality = "CT",
                                                .nslices = 200,
                                                .size = 512,
                                                .nshared = 150,
                                                .nprivate = 35});
}
