/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trailer.c - reads the footer and the directory of the exact trailer.
 *
 * The directory's checksum is compared first, so what fails after that was written so: it is still
 * held against the file, since a checksum is no proof of good will.
 */
#include "trailer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bytes.h"
#include "dcb_error.h"

#define FOOTER_MAGIC "DCBEXACT"
#define MAX_UID      64u

uint64_t dcb__checksum(const void *bytes, size_t nbytes)
{
    return XXH3_64bits(bytes, nbytes);
}

static dcb_status fail_damaged(uint64_t offset, const char *what, dcb_error *error)
{
    return dcb__fail(error, DCB_ERR_FORMAT, offset,
                     "the exact trailer is damaged: %s; restore the file from a copy", what);
}

static uint16_t load16(const uint8_t *from)
{
    return (uint16_t)(from[0] | from[1] << 8);
}

/* ---- The footer ------------------------------------------------------------------------------ */

/* *found is false where the file does not end with a footer. */
static dcb_status read_footer(dcb__trailer *t, uint64_t *checksum, bool *found,
                              const dcb__source *source, dcb_error *error)
{
    uint8_t footer[DCB_FOOTER_NBYTES];
    uint64_t size = dcb__source_size(source);
    *found = false;
    if (size < DCB_HEADER_NBYTES + sizeof footer)
        return DCB_OK;
    uint64_t at = size - sizeof footer;
    dcb_status status =
        dcb__source_read(source, footer, sizeof footer, at, "the trailer's footer", error);
    if (status != DCB_OK || memcmp(footer, FOOTER_MAGIC, 8) != 0)
        return status;
    *found = true;
    if (dcb__load64(footer + 56) != dcb__checksum(footer, 56))
        return fail_damaged(at, "the footer's checksum", error);
    uint32_t version = dcb__load32(footer + 8);
    if (version != DCB_TRAILER_VERSION)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, at + 8,
                         "version %" PRIu32 " of the exact trailer, version %u is known: use a "
                         "newer release",
                         version, DCB_TRAILER_VERSION);
    if (dcb__load64(footer + 40) != size)
        return fail_damaged(at + 40, "the file has another length", error);
    t->offset = dcb__load64(footer + 16);
    t->nbytes = dcb__load64(footer + 24);
    *checksum = dcb__load64(footer + 32);
    if (t->offset < DCB_HEADER_NBYTES || !dcb__in_range(t->offset, t->nbytes, at) ||
        t->nbytes < DCB_DIRECTORY_HEAD_NBYTES)
        return fail_damaged(at + 16, "the directory's place", error);
    return DCB_OK;
}

/* ---- The directory --------------------------------------------------------------------------- */

typedef struct strings {
    const char *text;
    uint32_t nbytes;
} strings;

/* NULL where `at` is not a string. */
static const char *string_at(const strings *s, uint32_t at)
{
    if (at >= s->nbytes || memchr(s->text + at, '\0', s->nbytes - at) == NULL)
        return NULL;
    return s->text + at;
}

static const char *uid_at(const strings *s, uint32_t at)
{
    const char *text = string_at(s, at);
    size_t nbytes = text == NULL ? 0 : strlen(text);
    return nbytes > 0 && nbytes <= MAX_UID && strspn(text, "0123456789.") == nbytes ? text : NULL;
}

static dcb_status read_head(dcb__trailer *t, strings *s, const dcb__container *container,
                            dcb_error *error)
{
    const uint8_t *head = t->directory;
    t->nslices = dcb__load32(head + 8);
    t->nchunks = dcb__load32(head + 12);
    t->allocated = load16(head + 16);
    t->samples = load16(head + 18);
    t->header_checksum = dcb__load64(head + 24);
    for (unsigned i = 0; i < DCB_SECTION_COUNT; i++)
        t->section_checksums[i] = dcb__load64(head + 32 + 8 * i);
    s->nbytes = dcb__load32(head + 80);
    uint64_t rows =
        (uint64_t)t->nchunks * DCB_CHUNK_ROW_NBYTES + (uint64_t)t->nslices * DCB_SLICE_ROW_NBYTES;
    if (dcb__load32(head) != DCB_TRAILER_VERSION ||
        dcb__load32(head + 4) != DCB_DIRECTORY_HEAD_NBYTES || t->nslices != container->nframes ||
        t->nbytes != DCB_DIRECTORY_HEAD_NBYTES + rows + s->nbytes)
        return fail_damaged(t->offset, "the directory's size", error);
    if ((t->allocated != 8 && t->allocated != 16 && t->allocated != 32) ||
        (t->samples != 1 && t->samples != 3))
        return fail_damaged(t->offset + 16, "the form of its pixels", error);
    s->text = (const char *)head + DCB_DIRECTORY_HEAD_NBYTES + rows;
    t->study_uid = uid_at(s, dcb__load32(head + 84));
    t->series_uid = uid_at(s, dcb__load32(head + 88));
    t->writer = string_at(s, dcb__load32(head + 92));
    if (t->study_uid == NULL || t->series_uid == NULL || t->writer == NULL)
        return fail_damaged(t->offset + 84, "a UID", error);
    return DCB_OK;
}

static dcb_status read_chunks(dcb__trailer *t, const dcb_limits *limits, dcb_error *error)
{
    const uint8_t *row = t->directory + DCB_DIRECTORY_HEAD_NBYTES;
    for (uint32_t i = 0; i < t->nchunks; i++, row += DCB_CHUNK_ROW_NBYTES) {
        dcb__chunk *chunk = &t->chunks[i];
        *chunk = (dcb__chunk){dcb__load64(row), dcb__load64(row + 8), dcb__load64(row + 16),
                              dcb__load64(row + 24)};
        uint64_t at = t->offset + (uint64_t)(row - t->directory);
        if (chunk->offset < DCB_HEADER_NBYTES ||
            !dcb__in_range(chunk->offset, chunk->nbytes, t->offset) || chunk->nbytes == 0)
            return fail_damaged(at, "a chunk's place", error);
        if (chunk->unpacked_nbytes > limits->max_meta_bytes)
            return dcb__fail(error, DCB_ERR_LIMIT, at + 16,
                             "a chunk of data sets unpacks to %" PRIu64
                             " bytes, the limit is %" PRIu64,
                             chunk->unpacked_nbytes, limits->max_meta_bytes);
    }
    return DCB_OK;
}

static dcb_status read_slices(dcb__trailer *t, const strings *s, dcb_error *error)
{
    const uint8_t *row =
        t->directory + DCB_DIRECTORY_HEAD_NBYTES + (size_t)t->nchunks * DCB_CHUNK_ROW_NBYTES;
    for (uint32_t i = 0; i < t->nslices; i++, row += DCB_SLICE_ROW_NBYTES) {
        dcb__slice *slice = &t->slices[i];
        *slice = (dcb__slice){
            .frame_checksum = dcb__load64(row),
            .data_set_checksum = dcb__load64(row + 8),
            .chunk = dcb__load32(row + 16),
            .start = dcb__load32(row + 20),
            .before = dcb__load32(row + 24),
            .after = dcb__load32(row + 28),
            .tail = dcb__load32(row + 32),
            .class_uid = uid_at(s, dcb__load32(row + 36)),
            .instance_uid = uid_at(s, dcb__load32(row + 40)),
            .syntax_uid = uid_at(s, dcb__load32(row + 44)),
            .rows = load16(row + 48),
            .columns = load16(row + 50),
            .pixel_vr = DCB_VR(row[52], row[53]),
            .flags = load16(row + 54),
        };
        uint64_t at = t->offset + (uint64_t)(row - t->directory);
        if (slice->class_uid == NULL || slice->instance_uid == NULL || slice->syntax_uid == NULL)
            return fail_damaged(at + 36, "a UID", error);
        uint64_t nbytes = (uint64_t)slice->before + slice->after + slice->tail;
        if (slice->chunk >= t->nchunks ||
            !dcb__in_range(slice->start, nbytes, t->chunks[slice->chunk].unpacked_nbytes))
            return fail_damaged(at + 16, "a data set's place", error);
        if (slice->rows == 0 || slice->columns == 0 ||
            (slice->pixel_vr != DCB_VR('O', 'B') && slice->pixel_vr != DCB_VR('O', 'W')))
            return fail_damaged(at + 48, "the form of a frame", error);
    }
    return DCB_OK;
}

static dcb_status read_directory(dcb__trailer *t, uint64_t checksum, const dcb__source *source,
                                 const dcb__container *container, const dcb_limits *limits,
                                 dcb_error *error)
{
    if (t->nbytes > limits->max_meta_bytes)
        return dcb__fail(error, DCB_ERR_LIMIT, t->offset,
                         "the exact trailer's directory has %" PRIu64
                         " bytes, the limit is %" PRIu64,
                         t->nbytes, limits->max_meta_bytes);
    t->directory = malloc((size_t)t->nbytes);
    if (t->directory == NULL)
        return dcb__fail_no_memory(error, (size_t)t->nbytes);
    dcb_status status = dcb__source_read(source, t->directory, (size_t)t->nbytes, t->offset,
                                         "the trailer's directory", error);
    if (status == DCB_OK && dcb__checksum(t->directory, (size_t)t->nbytes) != checksum)
        status = fail_damaged(t->offset, "the directory's checksum", error);
    strings s = {NULL, 0};
    if (status == DCB_OK)
        status = read_head(t, &s, container, error);
    if (status != DCB_OK)
        return status;
    t->chunks = malloc(((size_t)t->nchunks + 1) * sizeof *t->chunks);
    t->slices = malloc((size_t)t->nslices * sizeof *t->slices);
    if (t->chunks == NULL || t->slices == NULL)
        return dcb__fail_no_memory(error, (size_t)t->nslices * sizeof *t->slices);
    status = read_chunks(t, limits, error);
    return status == DCB_OK ? read_slices(t, &s, error) : status;
}

dcb_status dcb__trailer_read(dcb__trailer **out, const dcb__source *source,
                             const dcb__container *container, const dcb_limits *limits,
                             bool announced, dcb_error *error)
{
    *out = NULL;
    dcb__trailer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return dcb__fail_no_memory(error, sizeof *t);
    dcb__mutex_init(&t->lock, DCB_LOCK_TRAILER);
    bool found = false;
    uint64_t checksum = 0;
    dcb_status status = read_footer(t, &checksum, &found, source, error);
    if (status == DCB_OK && found)
        status = read_directory(t, checksum, source, container, limits, error);
    if (status == DCB_OK && !found && announced)
        status = dcb__fail(error, DCB_ERR_FORMAT, container->file_nbytes,
                           "the exact trailer that pixel_header announces is not there: the file "
                           "was cut short or changed");
    if (status != DCB_OK || !found) {
        dcb__trailer_close(t);
        return status;
    }
    *out = t;
    return DCB_OK;
}

dcb_status dcb__trailer_check_section(const dcb__trailer *trailer, const dcb__source *source,
                                      const dcb__container *container, unsigned section,
                                      dcb_error *error)
{
    static const char *const names[DCB_SECTION_COUNT + 1] = {
        "dicom_status",  "dicommeta",     "space",     "pixel_header",
        "frame_offsets", "frame_lengths", "the header"};
    dcb_section place = {0, DCB_HEADER_NBYTES};
    uint64_t expected = trailer->header_checksum;
    if (section < DCB_SECTION_COUNT) {
        place = container->sections[section];
        expected = trailer->section_checksums[section];
    }
    uint8_t *bytes = NULL;
    dcb_status status = dcb__container_section(&bytes, source, &place, 0, names[section], error);
    if (status == DCB_OK && dcb__checksum(bytes, (size_t)place.nbytes) != expected)
        status = dcb__fail(error, DCB_ERR_FORMAT, place.offset,
                           "%s does not have the checksum of the exact trailer: the file is "
                           "damaged",
                           names[section]);
    free(bytes);
    return status;
}
