/* SPDX-License-Identifier: Apache-2.0 */
/* writer_directory.c - the exact trailer, written (FORMAT.md). */
#include "writer.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "bytes.h"
#include "dcb_error.h"

#define CHUNK_LEVEL 9

static dcb_status first_failure(const dcb__writer *const *buffers, unsigned n, dcb_error *error)
{
    for (unsigned i = 0; i < n; i++) {
        if (buffers[i]->status == DCB_OK)
            continue;
        if (error != NULL)
            *error = buffers[i]->error;
        return buffers[i]->status;
    }
    return DCB_OK;
}

/* ---- Chunks ---------------------------------------------------------------------------------- */

/* Packed, unpacked again and compared. */
static dcb_status pack(dcb__writer *out, size_t *packed_nbytes, const dcb__writer *chunk,
                       dcb_error *error)
{
    size_t room = ZSTD_compressBound(chunk->nbytes);
    uint8_t *packed = malloc(room), *again = malloc(chunk->nbytes);
    dcb_status status = DCB_OK;
    if (packed == NULL || again == NULL)
        status = dcb__fail_no_memory(error, room);
    size_t n = 0;
    if (status == DCB_OK) {
        n = ZSTD_compress(packed, room, chunk->bytes, chunk->nbytes, CHUNK_LEVEL);
        if (ZSTD_isError(n) || ZSTD_decompress(again, chunk->nbytes, packed, n) != chunk->nbytes ||
            memcmp(again, chunk->bytes, chunk->nbytes) != 0)
            status = dcb__fail(error, DCB_ERR_NO_MEMORY, DCB_NO_OFFSET,
                               "data sets cannot be compressed: zstd: %s",
                               ZSTD_isError(n) ? ZSTD_getErrorName(n) : "not what it was given");
    }
    if (status == DCB_OK)
        dcb__writer_append(out, packed, n);
    *packed_nbytes = n;
    free(packed);
    free(again);
    return status == DCB_OK ? first_failure((const dcb__writer *const[]){out}, 1, error) : status;
}

dcb_status dcb__directory_close_chunk(dcb_writer *writer, dcb_error *error)
{
    if (writer->chunk.nbytes == 0)
        return DCB_OK;
    uint8_t row[DCB_CHUNK_ROW_NBYTES];
    size_t start = writer->packed.nbytes, nbytes = 0;
    dcb_status status = pack(&writer->packed, &nbytes, &writer->chunk, error);
    if (status != DCB_OK)
        return status;
    dcb__store(row, start, 8); /* the file's part before it is added at the commit */
    dcb__store(row + 8, nbytes, 8);
    dcb__store(row + 16, writer->chunk.nbytes, 8);
    dcb__store(row + 24, dcb__checksum(writer->packed.bytes + start, nbytes), 8);
    dcb__writer_append(&writer->chunk_rows, row, sizeof row);
    writer->chunk.nbytes = 0;
    writer->nchunks++;
    return first_failure((const dcb__writer *const[]){&writer->chunk_rows}, 1, error);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static uint32_t put_string(dcb__writer *strings, const char *text)
{
    uint32_t at = (uint32_t)strings->nbytes;
    dcb__writer_append(strings, text, strlen(text) + 1);
    return at;
}

/* Slices mostly have the class and the syntax of the one before. */
static uint32_t put_repeated(dcb__writer *strings, char last[DCB_UID_ROOM], uint32_t *last_at,
                             const char *text)
{
    if (strcmp(last, text) != 0) {
        *last_at = put_string(strings, text);
        memcpy(last, text, strlen(text) + 1);
    }
    return *last_at;
}

dcb_status dcb__directory_add(dcb_writer *writer, const dcb__instance *instance, dcb_error *error)
{
    static const uint8_t pad[1] = {0};
    const uint8_t *bytes = instance->bytes;
    const dcb__pixel_place *place = &instance->place;
    bool native = instance->kind == DCB_PIXELS_NATIVE;
    size_t before = place->start, after = instance->nbytes - place->end;
    size_t tail =
        native ? instance->tail_nbytes : (size_t)(dcb__layout_nbytes(&instance->layout) & 1);
    const uint8_t *tail_bytes = native ? bytes + place->value + place->nbytes - tail : pad;
    size_t nbytes = before + after + tail;
    dcb_status status = DCB_OK;
    if (writer->chunk.nbytes > 0 && writer->chunk.nbytes + nbytes > DCB_CHUNK_ROOM)
        status = dcb__directory_close_chunk(writer, error);
    if (status != DCB_OK)
        return status;
    size_t start = writer->chunk.nbytes;
    dcb__writer_append(&writer->chunk, bytes, before);
    dcb__writer_append(&writer->chunk, bytes + place->end, after);
    dcb__writer_append(&writer->chunk, tail_bytes, tail);

    uint32_t class_at = put_repeated(&writer->strings, writer->last_class, &writer->last_class_at,
                                     instance->class_uid);
    uint32_t syntax_at = put_repeated(&writer->strings, writer->last_syntax,
                                      &writer->last_syntax_at, instance->syntax_uid);
    uint32_t instance_at = put_string(&writer->strings, instance->instance_uid);
    uint8_t row[DCB_SLICE_ROW_NBYTES] = {0};
    if (writer->chunk.status == DCB_OK)
        dcb__store(row + 8, dcb__checksum(writer->chunk.bytes + start, nbytes), 8);
    dcb__store(row + 16, writer->nchunks, 4);
    dcb__store(row + 20, start, 4);
    dcb__store(row + 24, before, 4);
    dcb__store(row + 28, after, 4);
    dcb__store(row + 32, tail, 4);
    dcb__store(row + 36, class_at, 4);
    dcb__store(row + 40, instance_at, 4);
    dcb__store(row + 44, syntax_at, 4);
    dcb__store(row + 48, instance->layout.rows, 2);
    dcb__store(row + 50, instance->layout.columns, 2);
    row[52] = (uint8_t)(instance->pixel_vr >> 8);
    row[53] = (uint8_t)instance->pixel_vr;
    dcb__store(row + 54, instance->flags, 2);
    dcb__writer_append(&writer->rows, row, sizeof row);
    return first_failure(
        (const dcb__writer *const[]){&writer->chunk, &writer->strings, &writer->rows}, 3, error);
}

/* ---- The directory and the footer ------------------------------------------------------------ */

static void put_head(uint8_t head[DCB_DIRECTORY_HEAD_NBYTES], const dcb_writer *writer,
                     uint64_t header_checksum, const uint64_t *section_checksums)
{
    memset(head, 0, DCB_DIRECTORY_HEAD_NBYTES);
    dcb__store(head, DCB_TRAILER_VERSION, 4);
    dcb__store(head + 4, DCB_DIRECTORY_HEAD_NBYTES, 4);
    dcb__store(head + 8, writer->nslices, 4);
    dcb__store(head + 12, writer->nchunks, 4);
    dcb__store(head + 16, writer->kind.allocated, 2);
    dcb__store(head + 18, writer->kind.samples, 2);
    dcb__store(head + 24, header_checksum, 8);
    for (unsigned i = 0; i < DCB_SECTION_COUNT; i++)
        dcb__store(head + 32 + 8 * i, section_checksums[i], 8);
}

static void put_footer(dcb__writer *out, uint64_t offset, uint64_t nbytes, uint64_t checksum)
{
    uint8_t footer[DCB_FOOTER_NBYTES] = {'D', 'C', 'B', 'E', 'X', 'A', 'C', 'T'};
    dcb__store(footer + 8, DCB_TRAILER_VERSION, 4);
    dcb__store(footer + 12, DCB_FOOTER_NBYTES, 4);
    dcb__store(footer + 16, offset, 8);
    dcb__store(footer + 24, nbytes, 8);
    dcb__store(footer + 32, checksum, 8);
    dcb__store(footer + 40, offset + nbytes + DCB_FOOTER_NBYTES, 8);
    dcb__store(footer + 56, dcb__checksum(footer, 56), 8);
    dcb__writer_append(out, footer, sizeof footer);
}

dcb_status dcb__directory_write(dcb__writer *out, const dcb_writer *writer, uint64_t offset,
                                uint64_t header_checksum,
                                const uint64_t section_checksums[DCB_SECTION_COUNT],
                                dcb_error *error)
{
    uint8_t head[DCB_DIRECTORY_HEAD_NBYTES];
    size_t start = out->nbytes;
    put_head(head, writer, header_checksum, section_checksums);
    dcb__writer_append(out, head, sizeof head);
    size_t chunk_rows = out->nbytes;
    dcb__writer_append(out, writer->chunk_rows.bytes, writer->chunk_rows.nbytes);
    size_t rows = out->nbytes;
    dcb__writer_append(out, writer->rows.bytes, writer->rows.nbytes);
    size_t strings = out->nbytes;
    dcb__writer_append(out, writer->strings.bytes, writer->strings.nbytes);
    uint32_t uids[3]; /* study, series, writer; in strings */
    const char *texts[3] = {writer->kind.study_uid, writer->kind.series_uid, "dcbscp " DCB_VERSION};
    for (unsigned i = 0; i < 3; i++) {
        uids[i] = (uint32_t)(out->nbytes - strings);
        dcb__writer_append(out, texts[i], strlen(texts[i]) + 1);
    }
    if (out->status != DCB_OK)
        return first_failure((const dcb__writer *const[]){out}, 1, error);
    dcb__store(out->bytes + start + 80, out->nbytes - strings, 4);
    for (unsigned i = 0; i < 3; i++)
        dcb__store(out->bytes + start + 84 + 4 * i, uids[i], 4);
    for (uint32_t i = 0; i < writer->nchunks; i++) {
        uint8_t *row = out->bytes + chunk_rows + (size_t)i * DCB_CHUNK_ROW_NBYTES;
        dcb__store(row, dcb__load64(row) + offset, 8);
    }
    for (uint32_t i = 0; i < writer->nslices; i++)
        dcb__store(out->bytes + rows + (size_t)i * DCB_SLICE_ROW_NBYTES, writer->frames[i].checksum,
                   8);
    size_t nbytes = out->nbytes - start;
    put_footer(out, offset + writer->packed.nbytes, nbytes,
               dcb__checksum(out->bytes + start, nbytes));
    return first_failure((const dcb__writer *const[]){out}, 1, error);
}
