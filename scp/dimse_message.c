/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dimse_message.c - command sets between bytes and struct.
 *
 * Decoding is lenient where senders are known to be careless (a wrong group length, elements out
 * of order, unknown elements, padding with NUL or space) and strict where a wrong guess would
 * mislead: lengths, value sizes, the command field.
 */
#include "dimse_message.h"

#include <stdio.h>
#include <string.h>

enum {
    TAG_GROUP_LENGTH = 0x00000000,
    TAG_AFFECTED_SOP_CLASS = 0x00000002,
    TAG_REQUESTED_SOP_CLASS = 0x00000003,
    TAG_COMMAND_FIELD = 0x00000100,
    TAG_MESSAGE_ID = 0x00000110,
    TAG_MESSAGE_ID_RESPONDED = 0x00000120,
    TAG_MOVE_DESTINATION = 0x00000600,
    TAG_PRIORITY = 0x00000700,
    TAG_DATA_SET_TYPE = 0x00000800,
    TAG_STATUS = 0x00000900,
    TAG_OFFENDING_ELEMENT = 0x00000901,
    TAG_ERROR_COMMENT = 0x00000902,
    TAG_AFFECTED_SOP_INSTANCE = 0x00001000,
    TAG_REQUESTED_SOP_INSTANCE = 0x00001001,
    TAG_REMAINING = 0x00001020,
    TAG_COMPLETED = 0x00001021,
    TAG_FAILED = 0x00001022,
    TAG_WARNING = 0x00001023,
    TAG_ORIGINATOR_AE_TITLE = 0x00001030,
    TAG_ORIGINATOR_MESSAGE_ID = 0x00001031,
};

/* ---- Decoding ---- */

typedef struct element {
    uint32_t tag;
    uint32_t nbytes;
    const uint8_t *value;
} element;

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)get_u16(p) | (uint32_t)get_u16(p + 2) << 16;
}

static int read_u16(uint16_t *out, const element *e, scp_error *error)
{
    if (e->nbytes != 2)
        return scp_fail(error, "command element (0000,%04X) has %u bytes where 2 are due",
                        (unsigned)e->tag, (unsigned)e->nbytes);
    *out = get_u16(e->value);
    return 0;
}

/* Without the padding at either end: NUL and space. */
static int read_text(char *out, size_t size, const element *e, scp_error *error)
{
    const char *text = (const char *)e->value;
    size_t n = e->nbytes;
    while (n > 0 && (text[n - 1] == '\0' || text[n - 1] == ' '))
        n--;
    while (n > 0 && *text == ' ') {
        text++;
        n--;
    }
    if (n >= size || memchr(text, '\0', n) != NULL)
        return scp_fail(error, "command element (0000,%04X) is longer than %zu characters",
                        (unsigned)e->tag, size - 1);
    memcpy(out, text, n);
    out[n] = '\0';
    return 0;
}

static int read_comment(dimse_command *out, const element *e)
{
    size_t n =
        e->nbytes < sizeof out->error_comment - 1 ? e->nbytes : sizeof out->error_comment - 1;
    memcpy(out->error_comment, e->value, n);
    out->error_comment[n] = '\0';
    return 0;
}

static int read_offending_element(dimse_command *out, const element *e)
{
    /* AT, VM 1-n: the first one tells enough. A malformed one tells nothing. */
    if (e->nbytes >= 4)
        out->offending_element = (uint32_t)get_u16(e->value) << 16 | get_u16(e->value + 2);
    return 0;
}

static int read_element(dimse_command *out, const element *e, scp_error *error)
{
    switch (e->tag) {
    case TAG_AFFECTED_SOP_CLASS:
    case TAG_REQUESTED_SOP_CLASS:
        return read_text(out->affected_sop_class_uid, sizeof out->affected_sop_class_uid, e, error);
    case TAG_AFFECTED_SOP_INSTANCE:
    case TAG_REQUESTED_SOP_INSTANCE:
        return read_text(out->affected_sop_instance_uid, sizeof out->affected_sop_instance_uid, e,
                         error);
    case TAG_MOVE_DESTINATION:
        return read_text(out->move_destination, sizeof out->move_destination, e, error);
    case TAG_ORIGINATOR_AE_TITLE:
        return read_text(out->originator_ae_title, sizeof out->originator_ae_title, e, error);
    case TAG_MESSAGE_ID:
        out->present |= DIMSE_HAS_MESSAGE_ID;
        return read_u16(&out->message_id, e, error);
    case TAG_MESSAGE_ID_RESPONDED:
        out->present |= DIMSE_HAS_MESSAGE_ID_RESPONDED;
        return read_u16(&out->message_id_responded, e, error);
    case TAG_PRIORITY:
        out->present |= DIMSE_HAS_PRIORITY;
        return read_u16(&out->priority, e, error);
    case TAG_DATA_SET_TYPE:
        out->present |= DIMSE_HAS_DATA_SET_TYPE;
        return read_u16(&out->data_set_type, e, error);
    case TAG_STATUS:
        out->present |= DIMSE_HAS_STATUS;
        return read_u16(&out->status, e, error);
    case TAG_REMAINING:
        out->present |= DIMSE_HAS_REMAINING;
        return read_u16(&out->remaining, e, error);
    case TAG_COMPLETED:
        out->present |= DIMSE_HAS_COUNTS;
        return read_u16(&out->completed, e, error);
    case TAG_FAILED:
        out->present |= DIMSE_HAS_COUNTS;
        return read_u16(&out->failed, e, error);
    case TAG_WARNING:
        out->present |= DIMSE_HAS_COUNTS;
        return read_u16(&out->warning, e, error);
    case TAG_ORIGINATOR_MESSAGE_ID:
        out->present |= DIMSE_HAS_ORIGINATOR;
        return read_u16(&out->originator_message_id, e, error);
    case TAG_OFFENDING_ELEMENT:
        return read_offending_element(out, e);
    case TAG_ERROR_COMMENT:
        return read_comment(out, e);
    default:
        return 0;
    }
}

int dimse_command_decode(dimse_command *out, const uint8_t *bytes, size_t nbytes, scp_error *error)
{
    dimse_command command = {0};
    bool has_command_field = false;
    size_t pos = 0;
    while (pos < nbytes) {
        if (nbytes - pos < 8)
            return scp_fail(error, "command set ends within an element, at byte %zu of %zu", pos,
                            nbytes);
        uint16_t group = get_u16(bytes + pos);
        element e = {.tag = get_u16(bytes + pos + 2), .nbytes = get_u32(bytes + pos + 4)};
        if (group != 0)
            return scp_fail(error, "element (%04X,%04X) in a command set, at byte %zu",
                            (unsigned)group, (unsigned)e.tag, pos);
        pos += 8;
        if (e.nbytes > nbytes - pos)
            return scp_fail(error, "command element (0000,%04X) ends past the command set",
                            (unsigned)e.tag);
        e.value = bytes + pos;
        pos += e.nbytes;
        if (e.tag == TAG_COMMAND_FIELD) {
            has_command_field = true;
            if (read_u16(&command.command_field, &e, error) != 0)
                return -1;
        } else if (read_element(&command, &e, error) != 0) {
            return -1;
        }
    }
    if (!has_command_field)
        return scp_fail(error, "command set of %zu bytes without Command Field (0000,0100)",
                        nbytes);
    *out = command;
    return 0;
}

/* ---- Encoding ---- */

/* Once something did not fit, nothing more is written and the result is 0 bytes. */
typedef struct writer {
    uint8_t *bytes;
    size_t capacity, nbytes;
    bool full;
} writer;

static void put_u16_at(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void put_element(writer *w, uint32_t tag, const void *value, size_t nbytes, char padding)
{
    size_t padded = nbytes + (nbytes & 1);
    if (w->full || w->capacity - w->nbytes < 8 + padded) {
        w->full = true;
        return;
    }
    uint8_t *p = w->bytes + w->nbytes;
    put_u16_at(p, 0);
    put_u16_at(p + 2, (uint16_t)tag);
    put_u16_at(p + 4, (uint16_t)padded);
    put_u16_at(p + 6, 0);
    memcpy(p + 8, value, nbytes);
    if (padded != nbytes)
        p[8 + nbytes] = (uint8_t)padding;
    w->nbytes += 8 + padded;
}

static void put_us(writer *w, uint32_t tag, uint16_t value)
{
    uint8_t bytes[2];
    put_u16_at(bytes, value);
    put_element(w, tag, bytes, sizeof bytes, 0);
}

static void put_text(writer *w, uint32_t tag, const char *text, char padding)
{
    if (*text != '\0')
        put_element(w, tag, text, strlen(text), padding);
}

static void put_us_if(writer *w, const dimse_command *c, unsigned flag, uint32_t tag,
                      uint16_t value)
{
    if ((c->present & flag) != 0)
        put_us(w, tag, value);
}

static void put_counts(writer *w, const dimse_command *c)
{
    put_us_if(w, c, DIMSE_HAS_REMAINING, TAG_REMAINING, c->remaining);
    put_us_if(w, c, DIMSE_HAS_COUNTS, TAG_COMPLETED, c->completed);
    put_us_if(w, c, DIMSE_HAS_COUNTS, TAG_FAILED, c->failed);
    put_us_if(w, c, DIMSE_HAS_COUNTS, TAG_WARNING, c->warning);
}

static void put_offending_element(writer *w, const dimse_command *c)
{
    if (c->offending_element == 0)
        return;
    uint8_t bytes[4];
    put_u16_at(bytes, (uint16_t)(c->offending_element >> 16));
    put_u16_at(bytes + 2, (uint16_t)c->offending_element);
    put_element(w, TAG_OFFENDING_ELEMENT, bytes, sizeof bytes, 0);
}

size_t dimse_command_encode(uint8_t *buffer, size_t capacity, const dimse_command *c)
{
    writer w = {.bytes = buffer, .capacity = capacity};
    put_element(&w, TAG_GROUP_LENGTH, (const uint8_t[4]){0}, 4, 0);
    put_text(&w, TAG_AFFECTED_SOP_CLASS, c->affected_sop_class_uid, '\0');
    put_us(&w, TAG_COMMAND_FIELD, c->command_field);
    put_us_if(&w, c, DIMSE_HAS_MESSAGE_ID, TAG_MESSAGE_ID, c->message_id);
    put_us_if(&w, c, DIMSE_HAS_MESSAGE_ID_RESPONDED, TAG_MESSAGE_ID_RESPONDED,
              c->message_id_responded);
    put_text(&w, TAG_MOVE_DESTINATION, c->move_destination, ' ');
    put_us_if(&w, c, DIMSE_HAS_PRIORITY, TAG_PRIORITY, c->priority);
    put_us(&w, TAG_DATA_SET_TYPE,
           (c->present & DIMSE_HAS_DATA_SET_TYPE) != 0 ? c->data_set_type : DIMSE_NO_DATA_SET);
    put_us_if(&w, c, DIMSE_HAS_STATUS, TAG_STATUS, c->status);
    put_offending_element(&w, c);
    put_text(&w, TAG_ERROR_COMMENT, c->error_comment, ' ');
    put_text(&w, TAG_AFFECTED_SOP_INSTANCE, c->affected_sop_instance_uid, '\0');
    put_counts(&w, c);
    put_text(&w, TAG_ORIGINATOR_AE_TITLE, c->originator_ae_title, ' ');
    put_us_if(&w, c, DIMSE_HAS_ORIGINATOR, TAG_ORIGINATOR_MESSAGE_ID, c->originator_message_id);
    if (w.full)
        return 0;
    put_u16_at(buffer + 8, (uint16_t)(w.nbytes - 12));
    return w.nbytes;
}

void dimse_response_init(dimse_command *response, const dimse_command *request, uint16_t status)
{
    *response = (dimse_command){
        .present = DIMSE_HAS_MESSAGE_ID_RESPONDED | DIMSE_HAS_STATUS | DIMSE_HAS_DATA_SET_TYPE,
        .command_field = (uint16_t)(request->command_field | DIMSE_RESPONSE),
        .message_id_responded = request->message_id,
        .data_set_type = DIMSE_NO_DATA_SET,
        .status = status,
    };
    snprintf(response->affected_sop_class_uid, sizeof response->affected_sop_class_uid, "%s",
             request->affected_sop_class_uid);
    if (request->command_field == DIMSE_C_STORE_RQ)
        snprintf(response->affected_sop_instance_uid, sizeof response->affected_sop_instance_uid,
                 "%s", request->affected_sop_instance_uid);
}

void dimse_store_init(dimse_command *request, uint16_t message_id, uint16_t priority,
                      const char *sop_class_uid, const char *sop_instance_uid)
{
    *request = (dimse_command){
        .present = DIMSE_HAS_MESSAGE_ID | DIMSE_HAS_PRIORITY | DIMSE_HAS_DATA_SET_TYPE,
        .command_field = DIMSE_C_STORE_RQ,
        .message_id = message_id,
        .priority = priority,
        .data_set_type = 1,
    };
    snprintf(request->affected_sop_class_uid, sizeof request->affected_sop_class_uid, "%s",
             sop_class_uid);
    snprintf(request->affected_sop_instance_uid, sizeof request->affected_sop_instance_uid, "%s",
             sop_instance_uid);
}
