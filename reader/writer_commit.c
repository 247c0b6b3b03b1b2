/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer_commit.c - puts the whole file together under a name of its own, reads it again, and
 * renames it to its place.
 *
 * Invariant: the target's name is touched by one rename, after the new file's bytes are on the
 * disk. A process that dies before leaves a hidden file that ends in .part, which means nothing to
 * anybody.
 */
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "bytes.h"
#include "dcb_error.h"

#define META_LEVEL 9
#define MAX_TRIES  100

static const char CANNOT_WRITE[] = "the new file cannot be written";

/* ---- Sections -------------------------------------------------------------------------------- */

typedef struct sections {
    dcb__writer buffers[DCB_SECTION_COUNT];
    const char *status;
} sections;

static void sections_free(sections *s)
{
    for (unsigned i = 0; i < DCB_SECTION_COUNT; i++)
        dcb__writer_free(&s->buffers[i]);
}

static dcb_status make_meta(dcb__writer *out, const dcb_writer *writer, dcb_error *error)
{
    dcb__writer json;
    dcb__writer_init(&json, DCB_SYNTAX_EXPLICIT_LE);
    dcb_status status = dcb__merge_write(&json, &writer->merge, error);
    size_t room = ZSTD_compressBound(json.nbytes);
    uint8_t *packed = status == DCB_OK ? malloc(room) : NULL;
    if (status == DCB_OK && packed == NULL)
        status = dcb__fail_no_memory(error, room);
    if (status == DCB_OK) {
        size_t n = ZSTD_compress(packed, room, json.bytes, json.nbytes, META_LEVEL);
        if (ZSTD_isError(n))
            status = dcb__fail(error, DCB_ERR_NO_MEMORY, DCB_NO_OFFSET, "dicommeta: zstd: %s",
                               ZSTD_getErrorName(n));
        else
            dcb__writer_append(out, packed, n);
    }
    free(packed);
    dcb__writer_free(&json);
    return status;
}

static void put(dcb__writer *out, const char *text)
{
    dcb__writer_append(out, text, strlen(text));
}

static void put_pair(dcb__writer *out, const char *key, bool known, double value)
{
    put(out, key);
    if (known)
        dcb__put_json_number(out, value);
    else
        put(out, "null");
}

static void make_pixel_header(dcb__writer *out, const dcb_writer *writer)
{
    const dcb__common_kind *kind = &writer->kind;
    char types[96];
    snprintf(types, sizeof types, ", \"OriginalPixelDtype\": \"%s%u\", \"PixelDtype\": \"%s%u\"",
             kind->is_signed ? "int" : "uint", kind->allocated, kind->is_signed ? "int" : "uint",
             8 * dcb__codec_container(kind->precision));
    put_pair(out, "{\"RescaleSlope\": ", true, kind->slope);
    put_pair(out, ", \"RescaleIntercept\": ", true, kind->intercept);
    put(out, types);
    put_pair(out, ", \"WindowCenter\": ", kind->has_window, kind->window_center);
    put_pair(out, ", \"WindowWidth\": ", kind->has_window, kind->window_width);
    put(out, ", \"MaxVal\": null, \"MinVal\": null, \"DcbTrailer\": 1}");
}

/* The tables of frames follow the other sections, and the frames the tables. */
static dcb_status make_tables(sections *s, const dcb_writer *writer, dcb_error *error)
{
    uint64_t at = DCB_HEADER_NBYTES + 16 * (uint64_t)writer->nslices;
    for (unsigned i = 0; i < DCB_SECTION_FRAME_OFFSETS; i++)
        at += s->buffers[i].nbytes;
    for (uint32_t i = 0; i < writer->nslices; i++) {
        uint8_t offset[8], nbytes[8];
        dcb__store(offset, at, 8);
        dcb__store(nbytes, writer->frames[i].nbytes, 8);
        dcb__writer_append(&s->buffers[DCB_SECTION_FRAME_OFFSETS], offset, 8);
        dcb__writer_append(&s->buffers[DCB_SECTION_FRAME_LENGTHS], nbytes, 8);
        at += writer->frames[i].nbytes;
    }
    for (unsigned i = 0; i < DCB_SECTION_COUNT; i++) {
        if (s->buffers[i].status == DCB_OK)
            continue;
        if (error != NULL)
            *error = s->buffers[i].error;
        return s->buffers[i].status;
    }
    return DCB_OK;
}

static dcb_status make_sections(sections *s, const dcb_writer *writer, dcb_error *error)
{
    for (unsigned i = 0; i < DCB_SECTION_COUNT; i++)
        dcb__writer_init(&s->buffers[i], DCB_SYNTAX_EXPLICIT_LE);
    int64_t *scratch = malloc(writer->nslices * sizeof *scratch);
    if (scratch == NULL)
        return dcb__fail_no_memory(error, writer->nslices * sizeof *scratch);
    s->status = dcb__geometry_status(writer->shapes, writer->nslices, scratch);
    free(scratch);
    put(&s->buffers[DCB_SECTION_DICOM_STATUS], s->status);
    dcb_status status = make_meta(&s->buffers[DCB_SECTION_DICOMMETA], writer, error);
    dcb__geometry_space(&s->buffers[DCB_SECTION_SPACE], writer->shapes, writer->nslices);
    make_pixel_header(&s->buffers[DCB_SECTION_PIXEL_HEADER], writer);
    return status == DCB_OK ? make_tables(s, writer, error) : status;
}

static void make_header(uint8_t header[DCB_HEADER_NBYTES], const sections *s, uint32_t nframes)
{
    memset(header, 0, DCB_HEADER_NBYTES);
    memcpy(header, "DCMCUBES", 8);
    dcb__store(header + 8, 1, 4);
    uint64_t at = DCB_HEADER_NBYTES;
    for (unsigned i = 0; i < DCB_SECTION_COUNT; i++) {
        dcb__store(header + 12 + 16 * i, at, 8);
        dcb__store(header + 20 + 16 * i, s->buffers[i].nbytes, 8);
        at += s->buffers[i].nbytes;
    }
    dcb__store(header + 108, nframes, 8);
}

/* ---- The file -------------------------------------------------------------------------------- */

/* The checksum is taken of what is copied: the spool is not trusted either. */
static dcb_status copy_frame(int to, uint64_t *at, const dcb_writer *writer, uint32_t slice,
                             dcb_error *error)
{
    const dcb__spooled *frame = &writer->frames[slice];
    uint8_t *bytes = malloc((size_t)frame->nbytes);
    if (bytes == NULL)
        return dcb__fail_no_memory(error, (size_t)frame->nbytes);
    dcb_status status = dcb__read_at(writer->spool_fd, bytes, (size_t)frame->nbytes, frame->offset,
                                     "the temporary file cannot be read", error);
    if (status == DCB_OK && dcb__checksum(bytes, (size_t)frame->nbytes) != frame->checksum)
        status = dcb__fail(error, DCB_ERR_IO, DCB_NO_OFFSET,
                           "the temporary file does not give back what was written");
    if (status == DCB_OK)
        status = dcb__write_at(to, bytes, (size_t)frame->nbytes, *at, CANNOT_WRITE, error);
    free(bytes);
    *at += frame->nbytes;
    return status;
}

static dcb_status write_file(int fd, const dcb_writer *writer, const sections *s,
                             dcb_writer_summary *summary, dcb_error *error)
{
    uint8_t header[DCB_HEADER_NBYTES];
    uint64_t checksums[DCB_SECTION_COUNT], at = sizeof header;
    make_header(header, s, writer->nslices);
    dcb_status status = dcb__write_at(fd, header, sizeof header, 0, CANNOT_WRITE, error);
    for (unsigned i = 0; status == DCB_OK && i < DCB_SECTION_COUNT; i++) {
        const dcb__writer *section = &s->buffers[i];
        checksums[i] = dcb__checksum(section->bytes, section->nbytes);
        status = dcb__write_at(fd, section->bytes, section->nbytes, at, CANNOT_WRITE, error);
        at += section->nbytes;
    }
    uint64_t frames = at;
    for (uint32_t i = 0; status == DCB_OK && i < writer->nslices; i++)
        status = copy_frame(fd, &at, writer, i, error);
    if (status == DCB_OK)
        status =
            dcb__write_at(fd, writer->packed.bytes, writer->packed.nbytes, at, CANNOT_WRITE, error);
    dcb__writer directory;
    dcb__writer_init(&directory, DCB_SYNTAX_EXPLICIT_LE);
    if (status == DCB_OK)
        status = dcb__directory_write(&directory, writer, at, dcb__checksum(header, sizeof header),
                                      checksums, error);
    uint64_t end = at + writer->packed.nbytes;
    if (status == DCB_OK)
        status = dcb__write_at(fd, directory.bytes, directory.nbytes, end, CANNOT_WRITE, error);
    end += directory.nbytes;
    dcb__writer_free(&directory);
    *summary = (dcb_writer_summary){.nframes = writer->nslices,
                                    .source_bytes = writer->source_bytes,
                                    .file_bytes = end,
                                    .frame_bytes = at - frames,
                                    .trailer_bytes = end - at,
                                    .dicom_status = s->status};
    return status;
}

/* As any reader would: opened, every data set and every frame held against its checksum. */
static dcb_status read_again(const dcb_writer *writer, const char *name, dcb_error *error)
{
    size_t room = strlen(writer->folder) + strlen(name) + 2;
    char *path = malloc(room);
    if (path == NULL)
        return dcb__fail_no_memory(error, room);
    snprintf(path, room, "%s/%s", writer->folder, name);
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.limits = writer->options.limits;
    dcb_series *series = NULL;
    dcb_error own = DCB_ERROR_INIT;
    dcb_status status = dcb_series_open(&series, path, &options, &own);
    if (status == DCB_OK && !dcb_series_get_info(series)->has_trailer)
        status = dcb__fail(&own, DCB_ERR_IO, DCB_NO_OFFSET, "the trailer is not there");
    for (uint32_t i = 0; status == DCB_OK && i < writer->nslices; i++) {
        dcb_frame *frame = NULL;
        status = dcb_series_frame(&frame, series, i, DCB_ENCODING_STORED, &own);
        dcb_frame_release(frame);
    }
    dcb_series_close(series);
    free(path);
    if (status == DCB_OK)
        return DCB_OK;
    return dcb__fail(error, status == DCB_ERR_NO_MEMORY ? status : DCB_ERR_IO, own.offset,
                     "the new file, read again: %s", own.message);
}

static dcb_status create_temporary(int *fd, char **name, const dcb_writer *writer, dcb_error *error)
{
    size_t room = strlen(writer->name) + 64;
    *name = malloc(room);
    if (*name == NULL)
        return dcb__fail_no_memory(error, room);
    for (unsigned i = 0; i < MAX_TRIES; i++) {
        snprintf(*name, room, ".%s.%ld.%u.part", writer->name, (long)getpid(), i);
        *fd = openat(writer->folder_fd, *name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (*fd >= 0)
            return DCB_OK;
        if (errno != EEXIST)
            break;
    }
    return dcb__fail_errno(error, "the new file cannot be created", errno);
}

static dcb_status put_in_place(const dcb_writer *writer, const char *temporary, dcb_error *error)
{
    if (renameat(writer->folder_fd, temporary, writer->folder_fd, writer->name) != 0)
        return dcb__fail_errno(error, "the new file cannot be put in its place", errno);
    if (writer->options.sync && fsync(writer->folder_fd) != 0)
        return dcb__fail_errno(error,
                               "the file is in its place, but whether that would outlast a loss "
                               "of power is not known",
                               errno);
    return DCB_OK;
}

dcb_status dcb__writer_put_file(dcb_writer *writer, dcb_writer_summary *summary, dcb_error *error)
{
    sections s = {.status = NULL};
    dcb_writer_summary own;
    char *temporary = NULL;
    int fd = -1;
    dcb_status status = make_sections(&s, writer, error);
    if (status == DCB_OK)
        status = create_temporary(&fd, &temporary, writer, error);
    if (status == DCB_OK)
        status = write_file(fd, writer, &s, &own, error);
    if (status == DCB_OK && writer->options.sync && fsync(fd) != 0)
        status = dcb__fail_errno(error, "the new file cannot be synced", errno);
    if (fd >= 0 && close(fd) != 0 && status == DCB_OK)
        status = dcb__fail_errno(error, CANNOT_WRITE, errno);
    if (status == DCB_OK)
        status = read_again(writer, temporary, error);
    if (status == DCB_OK)
        status = put_in_place(writer, temporary, error);
    if (status != DCB_OK && fd >= 0)
        unlinkat(writer->folder_fd, temporary, 0); /* nothing is there any more after a rename */
    if (status == DCB_OK && summary != NULL)
        *summary = own;
    sections_free(&s);
    free(temporary);
    return status;
}
