/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_value.c - values by VR: joined text in the character set, numbers, tags, base64.
 *
 * Numbers are taken where text belongs and text where numbers belong (format section 2, rule 10),
 * but nothing is ever cut to fit: a number that its VR cannot hold is an error.
 */
#include "meta_value.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "bytes.h"
#include "dcb_error.h"
#include "value_text.h"
#include "vr.h"

typedef struct value_writer {
    dcb__writer *buffer;
    uint32_t tag;
    dcb_vr vr;
    bool ascii; /* all text so far is the same bytes in every character set */
    dcb_error *error;
} value_writer;

static dcb_status fail_value(const value_writer *w, const char *what)
{
    return dcb__fail(w->error, DCB_ERR_META, DCB_NO_OFFSET,
                     "dicommeta: element (%04" PRIX32 ",%04" PRIX32 ") has a value that is %s",
                     w->tag >> 16, w->tag & 0xFFFF, what);
}

/* Printable ASCII and the control characters of text, without the two places where ISO_IR 13 and
   its like differ from ASCII (backslash and tilde). */
static bool is_invariant(const char *text, size_t nbytes)
{
    for (size_t i = 0; i < nbytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x7E || c == '\\' ||
            (c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f'))
            return false;
    }
    return true;
}

static void append_text(value_writer *w, const char *text, size_t nbytes)
{
    w->ascii = w->ascii && is_invariant(text, nbytes);
    dcb__writer_append(w->buffer, text, nbytes);
}

/* {"Alphabetic": a, "Ideographic": b, "Phonetic": c} as a=b=c without trailing delimiters. */
static dcb_status append_person_name(value_writer *w, const dcb__json *name)
{
    static const char *const groups[] = {"Alphabetic", "Ideographic", "Phonetic"};
    int last = -1;
    for (int i = 0; i < 3; i++) {
        const dcb__json *group = dcb__json_member(name, groups[i]);
        if (group != NULL && group->type == DCB_JSON_STRING && group->count > 0)
            last = i;
    }
    for (int i = 0; i <= last; i++) {
        const dcb__json *group = dcb__json_member(name, groups[i]);
        if (i > 0)
            append_text(w, "=", 1);
        if (group != NULL && group->type == DCB_JSON_STRING)
            append_text(w, group->text, group->count);
    }
    return DCB_OK;
}

static bool text_number(const char *text, double *number)
{
    char *end = NULL;
    *number = strtod(text, &end);
    return end != text && end[strspn(end, " ")] == '\0';
}

static dcb_status append_as_text(value_writer *w, const dcb__json *value)
{
    char text[DCB_NUMBER_TEXT];
    switch (value->type) {
    case DCB_JSON_NULL:
        return DCB_OK;
    case DCB_JSON_STRING: {
        /* What json_repair.c made of bare NaN and infinities; DS has no text for them. */
        bool number = w->vr == DCB_VR('D', 'S') || w->vr == DCB_VR('I', 'S');
        if (number && (strcmp(value->text, "NaN") == 0 || strstr(value->text, "Infinity") != NULL))
            return DCB_OK;
        /* A DS has 16 characters at most; longer text goes the way of numbers (rule 10). */
        double decimal = 0;
        if (w->vr == DCB_VR('D', 'S') && value->count > 16 && text_number(value->text, &decimal)) {
            dcb__writer_append(w->buffer, text, dcb__ds_text(text, decimal));
            return DCB_OK;
        }
        append_text(w, value->text, value->count);
        return DCB_OK;
    }
    case DCB_JSON_INT:
        if (w->vr == DCB_VR('D', 'S'))
            dcb__writer_append(w->buffer, text, dcb__ds_text(text, (double)value->integer));
        else
            dcb__writer_append(w->buffer, text, dcb__integer_text(text, value->integer));
        return DCB_OK;
    case DCB_JSON_UINT:
        dcb__writer_append(w->buffer, text, dcb__ds_text(text, (double)value->natural));
        return DCB_OK;
    case DCB_JSON_DOUBLE:
        dcb__writer_append(w->buffer, text, dcb__ds_text(text, value->number));
        return DCB_OK;
    case DCB_JSON_OBJECT:
        if (w->vr == DCB_VR_PN)
            return append_person_name(w, value);
        break;
    default:
        break;
    }
    return fail_value(w, "neither text nor a number");
}

/* A value as an integer; false where it is none. */
static bool integer_of(const dcb__json *value, int64_t *integer, uint64_t *natural)
{
    *natural = 0;
    double number = 0;
    switch (value->type) {
    case DCB_JSON_INT:
        *integer = value->integer;
        *natural = value->integer < 0 ? 0 : (uint64_t)value->integer;
        return true;
    case DCB_JSON_UINT:
        *integer = -1; /* callers look at natural first */
        *natural = value->natural;
        return true;
    case DCB_JSON_DOUBLE:
        number = value->number;
        break;
    case DCB_JSON_STRING: {
        char *end = NULL;
        errno = 0;
        *integer = strtoll(value->text, &end, 10);
        *natural = *integer < 0 ? 0 : (uint64_t)*integer;
        if (end != value->text && *end == '\0' && errno == 0)
            return true;
        if (value->text[0] == '-')
            return false;
        errno = 0;
        *natural = strtoull(value->text, &end, 10);
        *integer = -1;
        return end != value->text && *end == '\0' && errno == 0;
    }
    default:
        return false;
    }
    if (number != floor(number) || fabs(number) > 9007199254740992.0)
        return false;
    *integer = (int64_t)number;
    *natural = number < 0 ? 0 : (uint64_t)number;
    return true;
}

static dcb_status append_integer(value_writer *w, const dcb__json *value, unsigned nbytes,
                                 bool is_signed)
{
    int64_t integer = 0;
    uint64_t natural = 0;
    if (!integer_of(value, &integer, &natural))
        return fail_value(w, "not an integer");
    bool over_int64 = integer < 0 && natural > 0; /* only naturals over INT64_MAX */
    unsigned bits = 8 * nbytes;
    bool fits;
    if (is_signed)
        fits = !over_int64 && (bits == 64 || (integer >= -((int64_t)1 << (bits - 1)) &&
                                              integer < ((int64_t)1 << (bits - 1))));
    else
        fits = (integer >= 0 || over_int64) && (bits == 64 || natural >> bits == 0);
    if (!fits)
        return fail_value(w, "out of the range of its VR");
    uint8_t bytes[8];
    dcb__store(bytes, over_int64 ? natural : (uint64_t)integer, nbytes);
    dcb__writer_append(w->buffer, bytes, nbytes);
    return DCB_OK;
}

static dcb_status append_float(value_writer *w, const dcb__json *value, unsigned nbytes)
{
    double number = 0;
    if (value->type == DCB_JSON_STRING) {
        char *end = NULL;
        number = strtod(value->text, &end);
        if (end == value->text || *end != '\0')
            return fail_value(w, "not a number");
    } else if (!dcb__json_number(value, &number)) {
        return fail_value(w, "not a number");
    }
    uint8_t bytes[8];
    uint64_t bits = 0;
    if (nbytes == 4) {
        if (isfinite(number) && fabs(number) > FLT_MAX)
            return fail_value(w, "out of the range of its VR");
        float single = (float)number;
        uint32_t bits32;
        memcpy(&bits32, &single, 4);
        bits = bits32;
    } else {
        memcpy(&bits, &number, 8);
    }
    dcb__store(bytes, bits, nbytes);
    dcb__writer_append(w->buffer, bytes, nbytes);
    return DCB_OK;
}

static dcb_status append_tag(value_writer *w, const dcb__json *value)
{
    uint64_t tag = 0;
    int64_t integer = 0;
    if (value->type == DCB_JSON_STRING) {
        char *end = NULL;
        tag = strtoull(value->text, &end, 16);
        if (value->count != 8 || *end != '\0')
            return fail_value(w, "not a tag of 8 hex digits");
    } else if (!integer_of(value, &integer, &tag) || integer < 0 || tag > UINT32_MAX) {
        return fail_value(w, "not a tag");
    }
    uint8_t bytes[4];
    dcb__store(bytes, tag >> 16, 2);
    dcb__store(bytes + 2, tag & 0xFFFF, 2);
    dcb__writer_append(w->buffer, bytes, 4);
    return DCB_OK;
}

static dcb_status append_value(value_writer *w, const dcb__json *value)
{
    switch (w->vr) {
    case DCB_VR('U', 'S'):
        return append_integer(w, value, 2, false);
    case DCB_VR('S', 'S'):
        return append_integer(w, value, 2, true);
    case DCB_VR('U', 'L'):
        return append_integer(w, value, 4, false);
    case DCB_VR('S', 'L'):
        return append_integer(w, value, 4, true);
    case DCB_VR('U', 'V'):
        return append_integer(w, value, 8, false);
    case DCB_VR('S', 'V'):
        return append_integer(w, value, 8, true);
    case DCB_VR('F', 'L'):
        return append_float(w, value, 4);
    case DCB_VR('F', 'D'):
        return append_float(w, value, 8);
    case DCB_VR_AT:
        return append_tag(w, value);
    default:
        return append_as_text(w, value);
    }
}

static bool is_text_by_bytes(dcb_vr vr)
{
    const dcb__vr_info *info = dcb__vr_info_or_un(vr);
    return info->trim != DCB_TRIM_NONE;
}

/* The UTF-8 that was appended from `start` on becomes bytes of the character set. */
static dcb_status apply_charset(value_writer *w, size_t start, const dcb__text_form *form)
{
    if (w->ascii || w->buffer->status != DCB_OK)
        return DCB_OK;
    const char *text = (const char *)w->buffer->bytes + start;
    size_t nbytes = w->buffer->nbytes - start;
    if (dcb_vr_is_text(w->vr)) {
        if (form->utf8)
            return DCB_OK;
        uint8_t *encoded = NULL;
        size_t encoded_nbytes = 0;
        dcb_status status = dcb__charset_encode(&encoded, &encoded_nbytes, form->charset, w->vr,
                                                text, nbytes, w->error);
        if (status != DCB_OK)
            return status;
        w->buffer->nbytes = start;
        dcb__writer_append(w->buffer, encoded, encoded_nbytes);
        free(encoded);
        return DCB_OK;
    }
    /* Codes, dates and the like are ASCII by the standard; a sender's byte over 7F came through
       the writer as the Latin-1 character of that value, and goes back. */
    uint8_t *to = w->buffer->bytes + start;
    size_t out = 0;
    for (size_t i = 0; i < nbytes; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c < 0x80)
            to[out++] = c;
        else if ((c == 0xC2 || c == 0xC3) && i + 1 < nbytes)
            to[out++] = (uint8_t)((c & 3) << 6 | ((uint8_t)text[++i] & 0x3F));
        else if ((c & 0xC0) == 0xC0)
            to[out++] = '?';
    }
    w->buffer->nbytes = start + out;
    return DCB_OK;
}

dcb_status dcb__value_bytes(dcb__writer *buffer, uint32_t tag, dcb_vr vr, const dcb__json *values,
                            const dcb__text_form *form, dcb_error *error)
{
    value_writer w = {.buffer = buffer, .tag = tag, .vr = vr, .ascii = true, .error = error};
    size_t start = buffer->nbytes;
    if (values == NULL)
        return DCB_OK;
    bool list = values->type == DCB_JSON_ARRAY, text = is_text_by_bytes(vr);
    uint32_t count = list ? values->count : 1;
    const dcb__json *value = list ? values->values : values;
    if (!text && count == 1 && value->type == DCB_JSON_NULL)
        return DCB_OK;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && text)
            dcb__writer_append(buffer, "\\", 1);
        dcb_status status = append_value(&w, &value[i]);
        if (status != DCB_OK)
            return status;
    }
    dcb_status status = text ? apply_charset(&w, start, form) : DCB_OK;
    if (status == DCB_OK && buffer->status != DCB_OK)
        status = dcb__fail_no_memory(error, buffer->capacity);
    return status;
}

static dcb_status append_base64(dcb__writer *buffer, const dcb__entry *entry, dcb_error *error)
{
    value_writer w = {.buffer = buffer, .tag = entry->tag, .vr = entry->vr, .error = error};
    const dcb__json *json = entry->json;
    if (json->type != DCB_JSON_STRING)
        return fail_value(&w, "not base64 text");
    size_t room = dcb__base64_room(json->count), decoded = 0;
    uint8_t *bytes = malloc(room);
    if (bytes == NULL)
        return dcb__fail_no_memory(error, room);
    bool ok = dcb__base64_decode(bytes, &decoded, json->text, json->count);
    if (ok)
        dcb__writer_append(buffer, bytes, decoded);
    free(bytes);
    return ok ? DCB_OK : fail_value(&w, "not base64 text");
}

/* An item may name a character set of its own (PS3.3 C.12.1.1.2). */
static dcb_status write_item(dcb__writer *writer, dcb__writer *scratch, const dcb__entries *item,
                             const dcb__text_form *form, dcb_error *error)
{
    dcb__text_form own = *form;
    dcb__charset *charset = NULL;
    const uint32_t charset_tag = DCB_TAG(0x0008, 0x0005);
    const dcb__entry *named = dcb__entry_find(item, charset_tag);
    if (named != NULL && !form->utf8) {
        scratch->nbytes = 0;
        dcb_status status =
            dcb__value_bytes(scratch, charset_tag, DCB_VR_CS,
                             named->kind == DCB_ENTRY_VALUES ? named->json : NULL, form, error);
        dcb__writer_append(scratch, "", 1);
        if (status == DCB_OK && scratch->status == DCB_OK)
            status = dcb__charset_open(&charset, (const char *)scratch->bytes, error);
        /* Unknown: the instance goes as UTF-8, which has none. */
        if (status != DCB_OK)
            return status == DCB_ERR_UNSUPPORTED ? DCB_ERR_ENCODING : status;
        own.charset = charset;
    }
    size_t mark = dcb__writer_begin_item(writer);
    dcb_status status = DCB_OK;
    for (uint32_t i = 0; status == DCB_OK && i < item->count; i++)
        if (item->list[i].tag != charset_tag || !form->utf8)
            status = dcb__entry_write(writer, scratch, &item->list[i], &own, error);
    dcb__writer_end_item(writer, mark);
    dcb__charset_close(charset);
    return status;
}

dcb_status dcb__entry_write(dcb__writer *writer, dcb__writer *scratch, const dcb__entry *entry,
                            const dcb__text_form *form, dcb_error *error)
{
    if (entry->kind == DCB_ENTRY_ITEMS) {
        size_t mark = dcb__writer_begin_sequence(writer, entry->tag);
        for (uint32_t i = 0; i < entry->nitems; i++) {
            dcb_status status = write_item(writer, scratch, &entry->items[i], form, error);
            if (status != DCB_OK)
                return status;
        }
        dcb__writer_end_sequence(writer, mark);
        return DCB_OK;
    }
    dcb_status status = DCB_OK;
    scratch->nbytes = 0;
    if (entry->kind == DCB_ENTRY_VALUES)
        status = dcb__value_bytes(scratch, entry->tag, entry->vr, entry->json, form, error);
    else if (entry->kind == DCB_ENTRY_BINARY)
        status = append_base64(scratch, entry, error);
    else if (entry->kind == DCB_ENTRY_RAW)
        dcb__writer_append(scratch, entry->raw->bytes, entry->raw->nbytes);
    if (status == DCB_OK && scratch->status != DCB_OK)
        status = dcb__fail_no_memory(error, scratch->nbytes);
    if (status == DCB_OK)
        dcb__writer_element(writer, entry->tag, entry->vr, scratch->bytes, scratch->nbytes);
    return status;
}
