/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_dcbs.c - a .dcbs container and its dicommeta, written by the format's description alone.
 *
 * Invariant: independent of reader/: a fault there cannot hide here.
 */
#include "make_dcbs.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define HEADER_BYTES 116

static void *need(void *memory)
{
    if (memory == NULL) {
        fputs("make_dcbs: out of memory\n", stderr);
        abort();
    }
    return memory;
}

/* ---- Text ---- */

void make_text_add(make_text *out, const char *format, ...)
{
    va_list arguments;
    char *piece = NULL;
    va_start(arguments, format);
    int n = vasprintf(&piece, format, arguments);
    va_end(arguments);
    if (n < 0)
        need(NULL);
    if (out->nbytes + (size_t)n + 1 > out->capacity) {
        out->capacity = 2 * (out->nbytes + (size_t)n + 1);
        out->text = need(realloc(out->text, out->capacity));
    }
    memcpy(out->text + out->nbytes, piece, (size_t)n + 1);
    out->nbytes += (size_t)n;
    free(piece);
}

/* One code point of well-formed UTF-8. */
static const unsigned char *next_code(unsigned *code, const unsigned char *at)
{
    unsigned nmore = *at < 0x80 ? 0 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3;
    *code = nmore == 0 ? *at : *at & (0x3fu >> nmore);
    at++;
    for (; nmore > 0 && (*at & 0xc0) == 0x80; nmore--)
        *code = *code << 6 | (*at++ & 0x3fu);
    return at;
}

void make_text_add_json(make_text *out, const char *utf8)
{
    make_text_add(out, "\"");
    const unsigned char *at = (const unsigned char *)utf8;
    while (*at != '\0') {
        unsigned code = 0;
        at = next_code(&code, at);
        if (code > 0xffff)
            make_text_add(out, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10),
                          0xdc00 + ((code - 0x10000) & 0x3ff));
        else if (code < 0x20 || code >= 0x7f)
            make_text_add(out, "\\u%04x", code);
        else
            make_text_add(out, code == '"' || code == '\\' ? "\\%c" : "%c", (int)code);
    }
    make_text_add(out, "\"");
}

/* ---- dicommeta ---- */

static void add_key(make_meta *meta, const char *tag, const char *vr, const char *shared)
{
    bool first = meta->json.text[meta->json.nbytes - 1] == '{';
    make_text_add(&meta->json, "%s\"%s\": {\"vr\": \"%s\", \"shared\": %s", first ? "" : ", ", tag,
                  vr, shared);
}

void make_meta_begin(make_meta *meta, unsigned nslices)
{
    meta->nslices = nslices;
    make_text_add(&meta->json, "{\"_merged_data\": {");
}

void make_meta_text(make_meta *meta, const char *tag, const char *vr, const char *utf8)
{
    add_key(meta, tag, vr, "true, \"Value\": [");
    make_text_add_json(&meta->json, utf8);
    make_text_add(&meta->json, "]}");
}

void make_meta_json(make_meta *meta, const char *tag, const char *vr, const char *values)
{
    add_key(meta, tag, vr, strcmp(vr, "SQ") == 0 ? "null" : "true");
    make_text_add(&meta->json, ", \"Value\": [%s]}", values);
}

void make_meta_name(make_meta *meta, const char *tag, const char *utf8)
{
    add_key(meta, tag, "PN", "true, \"Value\": [{\"Alphabetic\": ");
    make_text_add_json(&meta->json, utf8);
    make_text_add(&meta->json, "}]}");
}

void make_meta_empty(make_meta *meta, const char *tag, const char *vr)
{
    add_key(meta, tag, vr, "true}");
}

void make_meta_begin_slices(make_meta *meta, const char *tag, const char *vr)
{
    add_key(meta, tag, vr, "false, \"Value\": [");
    meta->nvalues = 0;
}

void make_meta_slice(make_meta *meta, const char *format, ...)
{
    va_list arguments;
    char *value = NULL;
    va_start(arguments, format);
    if (vasprintf(&value, format, arguments) < 0)
        need(NULL);
    va_end(arguments);
    make_text_add(&meta->json, "%s%s", meta->nvalues++ == 0 ? "" : ", ", value);
    free(value);
}

void make_meta_end_slices(make_meta *meta)
{
    if (meta->nvalues != meta->nslices) {
        fprintf(stderr, "make_dcbs: %u values for %u slices\n", meta->nvalues, meta->nslices);
        abort();
    }
    make_text_add(&meta->json, "]}");
}

void make_meta_end(make_meta *meta)
{
    make_text_add(&meta->json, "}, \"slice_count\": %u}", meta->nslices);
}

/* ---- The container ---- */

static void put_number(uint8_t *at, uint64_t number, unsigned nbytes)
{
    for (unsigned i = 0; i < nbytes; i++)
        at[i] = (uint8_t)(number >> 8 * i);
}

typedef struct section {
    const void *bytes;
    size_t nbytes;
} section;

static section text_section(const char *text)
{
    return (section){text, text != NULL ? strlen(text) : 0};
}

static section compress_meta(const char *json)
{
    if (json == NULL)
        return (section){NULL, 0};
    size_t room = ZSTD_compressBound(strlen(json));
    void *bytes = need(malloc(room));
    size_t nbytes = ZSTD_compress(bytes, room, json, strlen(json), 3);
    if (ZSTD_isError(nbytes))
        need(NULL);
    return (section){bytes, nbytes};
}

/* Copies the sections behind the header, noting offset and length; returns the end. */
static uint64_t put_sections(uint8_t *bytes, const section *sections, size_t nsections)
{
    uint64_t position = HEADER_BYTES;
    for (size_t i = 0; i < nsections; i++) {
        put_number(bytes + 12 + 16 * i, position, 8);
        put_number(bytes + 20 + 16 * i, sections[i].nbytes, 8);
        if (sections[i].bytes != NULL)
            memcpy(bytes + position, sections[i].bytes, sections[i].nbytes);
        position += sections[i].nbytes;
    }
    return position;
}

uint8_t *make_dcbs_bytes(size_t *nbytes, const make_dcbs *file)
{
    section meta = compress_meta(file->meta_json);
    size_t table_bytes = 8 * (size_t)file->nframes;
    section sections[] = {
        text_section(file->dicom_status),
        meta,
        text_section(file->space_json),
        text_section(file->pixel_header_json),
        {NULL, table_bytes},
        {NULL, table_bytes},
    };
    size_t total = HEADER_BYTES, nsections = sizeof sections / sizeof sections[0];
    for (size_t i = 0; i < nsections; i++)
        total += sections[i].nbytes;
    for (uint32_t i = 0; i < file->nframes; i++)
        total += file->frames[i].nbytes;

    uint8_t *bytes = need(calloc(total, 1));
    memcpy(bytes, "DCMCUBES", 8);
    put_number(bytes + 8, 1, 4);
    put_number(bytes + 108, file->nframes, 8);
    uint64_t position = put_sections(bytes, sections, nsections);
    uint8_t *lengths = bytes + position - table_bytes, *offsets = lengths - table_bytes;
    for (uint32_t i = 0; i < file->nframes; i++) {
        const make_frame *frame = &file->frames[i];
        put_number(offsets + 8 * (size_t)i, frame->nbytes > 0 ? position : 0, 8);
        put_number(lengths + 8 * (size_t)i, frame->nbytes, 8);
        if (frame->nbytes > 0)
            memcpy(bytes + position, frame->bytes, frame->nbytes);
        position += frame->nbytes;
    }
    free((void *)meta.bytes);
    *nbytes = total;
    return bytes;
}

int make_dcbs_write(const char *path, const make_dcbs *file)
{
    size_t nbytes = 0;
    uint8_t *bytes = make_dcbs_bytes(&nbytes, file);
    char *part = NULL;
    if (asprintf(&part, "%s.part", path) < 0)
        need(NULL);
    FILE *out = fopen(part, "wb");
    bool good = out != NULL && fwrite(bytes, 1, nbytes, out) == nbytes;
    if (out != NULL && fclose(out) != 0)
        good = false;
    if (good && rename(part, path) != 0)
        good = false;
    free(part);
    free(bytes);
    return good ? 0 : -1;
}
