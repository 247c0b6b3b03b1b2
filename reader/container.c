/* SPDX-License-Identifier: Apache-2.0 */
/*
 * container.c - reads and checks the header, the sections' places and the tables of frames.
 *
 * Nothing is allocated by a number of the file before that number has met its limit and the file's
 * size.
 */
#include "container.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "dcb_error.h"

static dcb_status check_magic(const uint8_t *header, dcb_error *error)
{
    if (memcmp(header, "DCMCUBE", 7) == 0) {
        switch (header[7]) {
        case 'S':
            return DCB_OK;
        case '\0':
            return dcb__fail(error, DCB_ERR_UNSUPPORTED, 0,
                             "a DiCube base file (magic DCMCUBE\\0): only .dcbs files are read");
        case 'A':
            return dcb__fail(error, DCB_ERR_UNSUPPORTED, 0,
                             "a DiCube .dcba file (magic DCMCUBEA): only .dcbs files are read");
        case 'L':
            return dcb__fail(error, DCB_ERR_UNSUPPORTED, 0,
                             "a DiCube .dcbl file (magic DCMCUBEL): only .dcbs files are read");
        default:
            break;
        }
    }
    return dcb__fail(error, DCB_ERR_FORMAT, 0, "not a DCB file: the magic is not DCMCUBES");
}

static dcb_status check_sections(const dcb__container *container, const dcb_limits *limits,
                                 dcb_error *error)
{
    static const char *const names[DCB_SECTION_COUNT] = {
        "dicom_status", "dicommeta", "space", "pixel_header", "frame_offsets", "frame_lengths"};
    for (int i = 0; i < DCB_SECTION_COUNT; i++) {
        const dcb_section *a = &container->sections[i];
        if (a->nbytes == 0)
            continue;
        uint64_t field = 12 + 16 * (uint64_t)i;
        if (a->offset < DCB_HEADER_NBYTES)
            return dcb__fail(error, DCB_ERR_FORMAT, field,
                             "section %s begins inside the header, at byte %" PRIu64, names[i],
                             a->offset);
        if (!dcb__in_range(a->offset, a->nbytes, container->file_nbytes))
            return dcb__fail(error, DCB_ERR_FORMAT, field,
                             "section %s (%" PRIu64 " bytes at %" PRIu64
                             ") ends past the end of the file, %" PRIu64,
                             names[i], a->nbytes, a->offset, container->file_nbytes);
        uint64_t limit =
            i == DCB_SECTION_DICOMMETA ? limits->max_meta_bytes : limits->max_section_bytes;
        if (a->nbytes > limit)
            return dcb__fail(error, DCB_ERR_LIMIT, field,
                             "section %s has %" PRIu64 " bytes, the limit is %" PRIu64, names[i],
                             a->nbytes, limit);
        for (int j = 0; j < i; j++) {
            const dcb_section *b = &container->sections[j];
            if (b->nbytes > 0 && a->offset < b->offset + b->nbytes &&
                b->offset < a->offset + a->nbytes)
                return dcb__fail(error, DCB_ERR_FORMAT, field, "sections %s and %s overlap",
                                 names[j], names[i]);
        }
    }
    return DCB_OK;
}

static dcb_status check_frame_count(const dcb__container *container, const dcb_limits *limits,
                                    dcb_error *error)
{
    if (container->nframes == 0)
        return dcb__fail(error, DCB_ERR_FORMAT, 108, "the file has no frames");
    if (container->nframes > limits->max_frames)
        return dcb__fail(error, DCB_ERR_LIMIT, 108, "%" PRIu64 " frames, the limit is %" PRIu32,
                         (uint64_t)container->nframes, limits->max_frames);
    uint64_t table = 8 * (uint64_t)container->nframes;
    if (container->sections[DCB_SECTION_FRAME_OFFSETS].nbytes != table ||
        container->sections[DCB_SECTION_FRAME_LENGTHS].nbytes != table)
        return dcb__fail(error, DCB_ERR_FORMAT, 108,
                         "%" PRIu32 " frames need tables of %" PRIu64
                         " bytes: frame_offsets has %" PRIu64 ", frame_lengths %" PRIu64,
                         container->nframes, table,
                         container->sections[DCB_SECTION_FRAME_OFFSETS].nbytes,
                         container->sections[DCB_SECTION_FRAME_LENGTHS].nbytes);
    return DCB_OK;
}

static dcb_status read_header(dcb__container *container, const dcb__source *source,
                              const dcb_limits *limits, dcb_error *error)
{
    uint8_t header[DCB_HEADER_NBYTES];
    container->file_nbytes = dcb__source_size(source);
    if (container->file_nbytes < sizeof header) {
        uint8_t magic[8];
        if (container->file_nbytes < sizeof magic ||
            dcb__source_read(source, magic, sizeof magic, 0, "the magic", error) != DCB_OK ||
            check_magic(magic, error) == DCB_OK)
            return dcb__fail(error, DCB_ERR_FORMAT, 0,
                             "the file has %" PRIu64 " bytes, a DCB header alone has %u",
                             container->file_nbytes, DCB_HEADER_NBYTES);
        return error != NULL ? error->status : DCB_ERR_FORMAT;
    }
    dcb_status status = dcb__source_read(source, header, sizeof header, 0, "the header", error);
    if (status == DCB_OK)
        status = check_magic(header, error);
    if (status != DCB_OK)
        return status;
    uint32_t version = dcb__load32(header + 8);
    if (version != 1)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, 8,
                         "version %" PRIu32 " of the format: only version 1 is read", version);

    for (int i = 0; i < DCB_SECTION_COUNT; i++)
        container->sections[i] =
            (dcb_section){dcb__load64(header + 12 + 16 * i), dcb__load64(header + 20 + 16 * i)};
    uint64_t nframes = dcb__load64(header + 108);
    container->nframes = nframes > UINT32_MAX ? UINT32_MAX : (uint32_t)nframes;
    if (nframes > limits->max_frames)
        return dcb__fail(error, DCB_ERR_LIMIT, 108, "%" PRIu64 " frames, the limit is %" PRIu32,
                         nframes, limits->max_frames);
    status = check_frame_count(container, limits, error);
    return status == DCB_OK ? check_sections(container, limits, error) : status;
}

static dcb_status read_tables(dcb__container *container, const dcb__source *source,
                              dcb_error *error)
{
    size_t n = container->nframes, table = 8 * n;
    container->frames = malloc(n * sizeof *container->frames);
    uint8_t *raw = malloc(2 * table);
    if (container->frames == NULL || raw == NULL) {
        free(raw);
        return dcb__fail_no_memory(error, n * sizeof *container->frames + 2 * table);
    }
    dcb_status status =
        dcb__source_read(source, raw, table, container->sections[DCB_SECTION_FRAME_OFFSETS].offset,
                         "the table of offsets", error);
    if (status == DCB_OK)
        status = dcb__source_read(source, raw + table, table,
                                  container->sections[DCB_SECTION_FRAME_LENGTHS].offset,
                                  "the table of lengths", error);
    for (size_t i = 0; status == DCB_OK && i < n; i++) {
        dcb__frame_place *place = &container->frames[i];
        *place = (dcb__frame_place){dcb__load64(raw + 8 * i), dcb__load64(raw + table + 8 * i)};
        if (place->offset == 0 || place->nbytes == 0)
            container->empty_frames++;
        else if (!dcb__in_range(place->offset, place->nbytes, container->file_nbytes))
            container->cut_off_frames++;
    }
    free(raw);
    return status;
}

static bool is_empty(const dcb__frame_place *place)
{
    return place->offset == 0 || place->nbytes == 0;
}

static int compare_places(const void *left, const void *right, void *context)
{
    const dcb__frame_place *frames = context;
    uint64_t a = frames[*(const uint32_t *)left].offset;
    uint64_t b = frames[*(const uint32_t *)right].offset;
    return a < b ? -1 : a > b;
}

/* Two slices with the same bytes would be one slice's pixels under another's position: both fail.
   Writers put frames in order, which costs one pass; any other order is sorted first. */
static dcb_status find_overlaps(dcb__container *container, dcb_error *error)
{
    const dcb__frame_place *frames = container->frames;
    uint32_t n = container->nframes;
    uint64_t end = 0;
    bool in_order = true;
    for (uint32_t i = 0; i < n && in_order; i++) {
        if (is_empty(&frames[i]))
            continue;
        in_order = frames[i].offset >= end && frames[i].nbytes <= UINT64_MAX - frames[i].offset;
        end = frames[i].offset + frames[i].nbytes;
    }
    if (in_order)
        return DCB_OK;

    uint32_t *order = malloc(n * sizeof *order);
    container->overlapped = calloc(n / 8 + 1, 1);
    if (order == NULL || container->overlapped == NULL) {
        free(order);
        return dcb__fail_no_memory(error, n * sizeof *order);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!is_empty(&frames[i]) &&
            dcb__in_range(frames[i].offset, frames[i].nbytes, container->file_nbytes))
            order[count++] = i;
    qsort_r(order, count, sizeof *order, compare_places, container->frames);
    uint32_t reaching = 0; /* the one before that reaches furthest */
    for (uint32_t k = 1; k < count; k++) {
        const dcb__frame_place *before = &frames[order[reaching]], *here = &frames[order[k]];
        if (here->offset < before->offset + before->nbytes) {
            container->overlapped[order[reaching] / 8] |= (uint8_t)(1u << (order[reaching] % 8));
            container->overlapped[order[k] / 8] |= (uint8_t)(1u << (order[k] % 8));
        }
        if (here->offset + here->nbytes > before->offset + before->nbytes)
            reaching = k;
    }
    free(order);
    return DCB_OK;
}

dcb_status dcb__container_read(dcb__container *out, const dcb__source *source,
                               const dcb_limits *limits, dcb_error *error)
{
    *out = (dcb__container){.max_frame_nbytes = limits->max_frame_bytes};
    dcb_error own = DCB_ERROR_INIT;
    dcb_status status = read_header(out, source, limits, &own);
    if (status == DCB_OK)
        status = read_tables(out, source, &own);
    if (status == DCB_OK)
        status = find_overlaps(out, &own);
    if (status != DCB_OK) {
        dcb__container_free(out);
        if (error != NULL)
            *error = own;
    }
    return status;
}

void dcb__container_free(dcb__container *container)
{
    free(container->frames);
    free(container->overlapped);
    container->frames = NULL;
    container->overlapped = NULL;
}

static bool touches(const dcb_section *section, const dcb__frame_place *place)
{
    return section->nbytes > 0 && place->offset < section->offset + section->nbytes &&
           section->offset < place->offset + place->nbytes;
}

dcb_status dcb__container_frame(dcb__frame_place *out, const dcb__container *container,
                                uint32_t frame, dcb_error *error)
{
    const dcb__frame_place place = container->frames[frame];
    if (is_empty(&place))
        return dcb__fail(error, DCB_ERR_FORMAT,
                         container->sections[DCB_SECTION_FRAME_OFFSETS].offset +
                             8 * (uint64_t)frame,
                         "frame %" PRIu32 " is empty", frame);
    if (!dcb__in_range(place.offset, place.nbytes, container->file_nbytes))
        return dcb__fail(error, DCB_ERR_FORMAT, place.offset,
                         "frame %" PRIu32 " (%" PRIu64 " bytes at %" PRIu64
                         ") ends past the end of the file, %" PRIu64,
                         frame, place.nbytes, place.offset, container->file_nbytes);
    if (place.nbytes > container->max_frame_nbytes)
        return dcb__fail(error, DCB_ERR_LIMIT, place.offset,
                         "frame %" PRIu32 " has %" PRIu64 " bytes, the limit is %" PRIu64, frame,
                         place.nbytes, container->max_frame_nbytes);
    bool overlaps = place.offset < DCB_HEADER_NBYTES;
    for (int i = 0; i < DCB_SECTION_COUNT; i++)
        overlaps = overlaps || touches(&container->sections[i], &place);
    if (overlaps)
        return dcb__fail(error, DCB_ERR_FORMAT, place.offset,
                         "frame %" PRIu32 " overlaps the header or a section", frame);
    if (container->overlapped != NULL && container->overlapped[frame / 8] >> (frame % 8) & 1)
        return dcb__fail(error, DCB_ERR_FORMAT, place.offset,
                         "frame %" PRIu32 " shares bytes with another frame", frame);
    *out = place;
    return DCB_OK;
}

dcb_status dcb__container_section(uint8_t **bytes, const dcb__source *source,
                                  const dcb_section *section, size_t padding, const char *name,
                                  dcb_error *error)
{
    *bytes = NULL;
    if (section->nbytes == 0)
        return DCB_OK;
    size_t nbytes = (size_t)section->nbytes;
    uint8_t *own = malloc(nbytes + 1 + padding);
    if (own == NULL)
        return dcb__fail_no_memory(error, nbytes + 1 + padding);
    dcb_status status = dcb__source_read(source, own, nbytes, section->offset, name, error);
    if (status != DCB_OK) {
        free(own);
        return status;
    }
    memset(own + nbytes, 0, 1 + padding);
    *bytes = own;
    return DCB_OK;
}
