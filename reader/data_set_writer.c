/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data_set_writer.c - element headers, padding, byte order and sequences (PS3.5 section 7).
 *
 * Invariant: bytes[0..nbytes) is what was written so far, nbytes <= capacity; status is DCB_OK or
 * the first failure, after which nothing is written.
 */
#include "data_set_writer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dcb_error.h"
#include "vr.h"

#define TAG_ITEM        DCB_TAG(0xFFFE, 0xE000)
#define MAX_SHORT_VALUE 65534u
#define MAX_VALUE       0xFFFFFFFEu /* FFFFFFFF is "undefined" */
#define FIRST_CAPACITY  1024u

void dcb__writer_init(dcb__writer *writer, dcb_syntax syntax)
{
    *writer = (dcb__writer){.syntax = syntax, .status = DCB_OK, .error = DCB_ERROR_INIT};
}

void dcb__writer_free(dcb__writer *writer)
{
    free(writer->bytes);
    writer->bytes = NULL;
    writer->nbytes = writer->capacity = 0;
}

dcb_status dcb__writer_finish(uint8_t **bytes, size_t *nbytes, dcb__writer *writer,
                              dcb_error *error)
{
    *bytes = NULL;
    *nbytes = 0;
    /* An empty data set is a buffer too: callers tell it from failure by the pointer. */
    if (writer->status == DCB_OK && writer->bytes == NULL) {
        writer->bytes = malloc(1);
        if (writer->bytes == NULL)
            writer->status = dcb__fail_no_memory(&writer->error, 1);
    }
    dcb_status status = writer->status;
    if (status == DCB_OK) {
        *bytes = writer->bytes;
        *nbytes = writer->nbytes;
        writer->bytes = NULL;
    } else if (error != NULL) {
        *error = writer->error;
    }
    dcb__writer_free(writer);
    return status;
}

/* Room for nbytes more; NULL after a failure. */
static uint8_t *reserve(dcb__writer *writer, size_t nbytes)
{
    if (writer->status != DCB_OK)
        return NULL;
    if (nbytes > writer->capacity - writer->nbytes) {
        if (nbytes > SIZE_MAX / 2 - writer->nbytes) {
            writer->status = dcb__fail_no_memory(&writer->error, nbytes);
            return NULL;
        }
        size_t needed = writer->nbytes + nbytes;
        size_t capacity = writer->capacity <= SIZE_MAX / 4 ? writer->capacity * 2 : needed;
        if (capacity < FIRST_CAPACITY)
            capacity = FIRST_CAPACITY;
        if (capacity < needed)
            capacity = needed;
        uint8_t *grown = realloc(writer->bytes, capacity);
        if (grown == NULL) {
            writer->status = dcb__fail_no_memory(&writer->error, capacity);
            return NULL;
        }
        writer->bytes = grown;
        writer->capacity = capacity;
    }
    return writer->bytes + writer->nbytes;
}

void dcb__writer_reserve(dcb__writer *writer, size_t nbytes)
{
    reserve(writer, nbytes);
}

void dcb__writer_append(dcb__writer *writer, const void *bytes, size_t nbytes)
{
    if (nbytes == 0)
        return;
    uint8_t *room = reserve(writer, nbytes);
    if (room == NULL)
        return;
    memcpy(room, bytes, nbytes);
    writer->nbytes += nbytes;
}

static void store16(uint8_t *to, unsigned value, bool big)
{
    to[big ? 1 : 0] = (uint8_t)value;
    to[big ? 0 : 1] = (uint8_t)(value >> 8);
}

static void store32(uint8_t *to, uint32_t value, bool big)
{
    store16(to + (big ? 2 : 0), value & 0xFFFF, big);
    store16(to + (big ? 0 : 2), value >> 16, big);
}

/* Writes a header into at least 12 bytes and returns its length; the length field is its end. */
static size_t store_header(uint8_t *to, dcb_syntax syntax, uint32_t tag, const dcb__vr_info *info,
                           uint32_t length)
{
    bool big = syntax == DCB_SYNTAX_EXPLICIT_BE;
    store16(to, tag >> 16, big);
    store16(to + 2, tag & 0xFFFF, big);
    if (syntax == DCB_SYNTAX_IMPLICIT_LE || info == NULL) { /* items have no VR */
        store32(to + 4, length, big);
        return 8;
    }
    to[4] = (uint8_t)(info->vr >> 8);
    to[5] = (uint8_t)info->vr;
    if (!info->long_length) {
        store16(to + 6, length, big);
        return 8;
    }
    to[6] = to[7] = 0;
    store32(to + 8, length, big);
    return 12;
}

void dcb__writer_element(dcb__writer *writer, uint32_t tag, dcb_vr vr, const void *value,
                         size_t nbytes)
{
    if (writer->status != DCB_OK)
        return;
    if (nbytes > MAX_VALUE) {
        writer->status = dcb__fail(&writer->error, DCB_ERR_ENCODING, writer->nbytes,
                                   "element (%04" PRIX32 ",%04" PRIX32
                                   ") has %zu bytes, the most that a length can say is %u",
                                   tag >> 16, tag & 0xFFFF, nbytes, MAX_VALUE);
        return;
    }
    const dcb__vr_info *own = dcb__vr_info_or_un(vr), *info = own;
    size_t padded = nbytes + (nbytes & 1);
    if (!info->long_length && padded > MAX_SHORT_VALUE)
        info = dcb__vr_info_of(DCB_VR_UN);
    uint8_t *room = reserve(writer, 12 + padded);
    if (room == NULL)
        return;
    size_t head = store_header(room, writer->syntax, tag, info, (uint32_t)padded);
    uint8_t *to = room + head;
    if (nbytes > 0)
        memcpy(to, value, nbytes);
    if (padded > nbytes)
        to[nbytes] = own->pad;
    if (writer->syntax == DCB_SYNTAX_EXPLICIT_BE)
        dcb__swap_value(info->vr, to, padded); /* UN is little endian everywhere (PS3.5 6.2.2) */
    writer->nbytes += head + padded;
}

static size_t begin(dcb__writer *writer, uint32_t tag, const dcb__vr_info *info)
{
    uint8_t *room = reserve(writer, 12);
    if (room == NULL)
        return 0;
    writer->nbytes += store_header(room, writer->syntax, tag, info, 0);
    return writer->nbytes;
}

static void end(dcb__writer *writer, size_t mark, const char *what)
{
    if (writer->status != DCB_OK)
        return;
    size_t nbytes = writer->nbytes - mark;
    if (nbytes > MAX_VALUE) {
        writer->status = dcb__fail(&writer->error, DCB_ERR_ENCODING, mark,
                                   "%s has %zu bytes, the most that a length can say is %u", what,
                                   nbytes, MAX_VALUE);
        return;
    }
    store32(writer->bytes + mark - 4, (uint32_t)nbytes, writer->syntax == DCB_SYNTAX_EXPLICIT_BE);
}

size_t dcb__writer_begin_sequence(dcb__writer *writer, uint32_t tag)
{
    return begin(writer, tag, dcb__vr_info_of(DCB_VR_SQ));
}

void dcb__writer_end_sequence(dcb__writer *writer, size_t mark)
{
    end(writer, mark, "a sequence");
}

size_t dcb__writer_begin_item(dcb__writer *writer)
{
    return begin(writer, TAG_ITEM, NULL);
}

void dcb__writer_end_item(dcb__writer *writer, size_t mark)
{
    end(writer, mark, "an item");
}

void dcb__swap_value(dcb_vr vr, uint8_t *value, size_t nbytes)
{
    switch (dcb__vr_info_or_un(vr)->unit) {
    case 2:
        for (size_t i = 0; i + 2 <= nbytes; i += 2) {
            uint16_t unit;
            memcpy(&unit, value + i, 2);
            unit = __builtin_bswap16(unit);
            memcpy(value + i, &unit, 2);
        }
        break;
    case 4:
        for (size_t i = 0; i + 4 <= nbytes; i += 4) {
            uint32_t unit;
            memcpy(&unit, value + i, 4);
            unit = __builtin_bswap32(unit);
            memcpy(value + i, &unit, 4);
        }
        break;
    case 8:
        for (size_t i = 0; i + 8 <= nbytes; i += 8) {
            uint64_t unit;
            memcpy(&unit, value + i, 8);
            unit = __builtin_bswap64(unit);
            memcpy(value + i, &unit, 8);
        }
        break;
    default:
        break;
    }
}
