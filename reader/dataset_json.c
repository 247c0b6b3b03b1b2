/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset_json.c - a data set in the DICOM JSON Model (PS3.18 F.2).
 *
 * Invariant: what was put so far never exceeds max_nbytes; the result is valid UTF-8 and JSON
 * whatever bytes the values hold.
 *
 * Threads: any. The locale's decimal point does not matter.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "bytes.h"
#include "charset_sets.h"
#include "data_set_writer.h"
#include "dcb_error.h"
#include "vr.h"

#define MAX_NUMBER_TEXT 64
#define MAX_EXPONENT    300  /* beyond, parsers disagree whether it is a number */
#define MIN_PLAIN       (-5) /* powers of ten beyond are written with an exponent */
#define MAX_PLAIN       15
#define EXACT_INTEGER   (UINT64_C(1) << 53)

typedef struct json_out {
    dcb__writer text;
    uint64_t max_nbytes;
} json_out;

static void put(json_out *out, const void *bytes, size_t nbytes)
{
    if (out->text.status == DCB_OK && nbytes > out->max_nbytes - out->text.nbytes)
        out->text.status =
            dcb__fail(&out->text.error, DCB_ERR_LIMIT, DCB_NO_OFFSET,
                      "the JSON takes more than the limit, %" PRIu64 " bytes", out->max_nbytes);
    dcb__writer_append(&out->text, bytes, nbytes);
}

static void put_text(json_out *out, const char *text)
{
    put(out, text, strlen(text));
}

/* ---- Strings ----------------------------------------------------------------------------------
 */

static void put_escaped(json_out *out, uint32_t code)
{
    char text[16];
    if (code == '"' || code == '\\')
        snprintf(text, sizeof text, "\\%c", (int)code);
    else
        snprintf(text, sizeof text, "\\u%04x", (unsigned)code);
    put_text(out, text);
}

static void put_string(json_out *out, const uint8_t *bytes, size_t nbytes)
{
    put(out, "\"", 1);
    size_t done = 0; /* what stands for itself is put in one piece */
    for (size_t pos = 0; pos < nbytes;) {
        size_t at = pos;
        uint32_t code = bytes[pos] < 0x80 ? bytes[pos++] : dcb__utf8_next(bytes, nbytes, &pos);
        if (code != DCB_BAD_UTF8 && code >= 0x20 && code != '"' && code != '\\' && code != 0x7F)
            continue;
        put(out, bytes + done, at - done);
        put_escaped(out, code == DCB_BAD_UTF8 ? DCB_REPLACEMENT : code);
        done = pos;
    }
    put(out, bytes + done, nbytes - done);
    put(out, "\"", 1);
}

/* PS3.18 F.2.2: the groups of a name, the empty ones left out. */
static void put_name(json_out *out, const uint8_t *bytes, size_t nbytes)
{
    static const char *const groups[] = {"\"Alphabetic\":", "\"Ideographic\":", "\"Phonetic\":"};
    const char *separator = "";
    put(out, "{", 1);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *end = i < 2 ? memchr(bytes, '=', nbytes) : NULL;
        size_t length = end != NULL ? (size_t)(end - bytes) : nbytes;
        if (length > 0) {
            put_text(out, separator);
            put_text(out, groups[i]);
            put_string(out, bytes, length);
            separator = ",";
        }
        if (end == NULL)
            break;
        nbytes -= length + 1;
        bytes = end + 1;
    }
    put(out, "}", 1);
}

/* ---- Numbers ----------------------------------------------------------------------------------
 */

static size_t count_digits(const uint8_t *text, size_t nbytes)
{
    size_t n = 0;
    while (n < nbytes && text[n] >= '0' && text[n] <= '9')
        n++;
    return n;
}

/* DS or IS text as a JSON number with the same digits: JSON has no leading plus and zeros, and
   wants a digit on both sides of the point. False: it is no number. */
static bool number_text(char to[MAX_NUMBER_TEXT + 8], const uint8_t *text, size_t nbytes)
{
    if (nbytes == 0 || nbytes > MAX_NUMBER_TEXT)
        return false;
    const uint8_t *end = text + nbytes;
    char *at = to;
    if (*text == '-' || *text == '+') {
        if (*text == '-')
            *at++ = '-';
        text++;
    }
    size_t whole = count_digits(text, (size_t)(end - text));
    const uint8_t *fraction = text + whole;
    size_t decimals = 0;
    if (fraction < end && *fraction == '.')
        decimals = count_digits(fraction + 1, (size_t)(end - fraction - 1));
    if (whole + decimals == 0)
        return false;
    const uint8_t *rest = fraction < end && *fraction == '.' ? fraction + 1 + decimals : fraction;
    while (whole > 0 && *text == '0') {
        text++;
        whole--;
    }
    if (whole == 0)
        *at++ = '0';
    memcpy(at, text, whole);
    at += whole;
    if (decimals > 0) {
        *at++ = '.';
        memcpy(at, fraction + 1, decimals);
        at += decimals;
    }
    if (rest < end && (*rest == 'e' || *rest == 'E')) {
        *at++ = 'e';
        rest++;
        if (rest < end && (*rest == '-' || *rest == '+'))
            *at++ = (char)*rest++;
        size_t digits = count_digits(rest, (size_t)(end - rest));
        unsigned exponent = 0;
        for (size_t i = 0; i < digits && exponent <= MAX_EXPONENT; i++)
            exponent = exponent * 10 + (unsigned)(rest[i] - '0');
        if (digits == 0 || exponent > MAX_EXPONENT)
            return false;
        memcpy(at, rest, digits);
        at += digits;
        rest += digits;
    }
    *at = '\0';
    return rest == end;
}

static void put_number_text(json_out *out, const uint8_t *text, size_t nbytes)
{
    char number[MAX_NUMBER_TEXT + 8];
    if (number_text(number, text, nbytes))
        put_text(out, number);
    else
        put_string(out, text, nbytes);
}

/* n significant digits, the first of which counts 10^power. */
static void put_digits(json_out *out, const char *digits, size_t n, long power)
{
    char text[48];
    size_t length = 0;
    bool plain = power >= MIN_PLAIN && power <= MAX_PLAIN;
    size_t whole = plain && power > 0 ? (size_t)power + 1 : 1;
    if (plain && power < 0)
        length = (size_t)snprintf(text, sizeof text, "0.%.*s", (int)(-power - 1), "00000");
    for (size_t i = 0; i < n || i < whole; i++) {
        if (i == whole && (!plain || power >= 0))
            text[length++] = '.';
        text[length++] = i < n ? digits[i] : '0';
    }
    put(out, text, length);
    if (!plain) {
        snprintf(text, sizeof text, "e%ld", power);
        put_text(out, text);
    }
}

/* The shortest text that reads back to the same value. */
static void put_double(json_out *out, double value)
{
    if (!isfinite(value)) {
        put_text(out, isnan(value) ? "\"NaN\"" : value < 0 ? "\"-Infinity\"" : "\"Infinity\"");
        return;
    }
    char raw[48], digits[24];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(raw, sizeof raw, "%.*e", precision - 1, value);
        if (strtod(raw, NULL) == value) /* written and read with the same locale */
            break;
    }
    char *exponent = strchr(raw, 'e');
    size_t n = 0;
    for (const char *at = raw; at < exponent; at++) /* whatever the locale's point is */
        if (*at >= '0' && *at <= '9')
            digits[n++] = *at;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (signbit(value))
        put(out, "-", 1);
    put_digits(out, digits, n, strtol(exponent + 1, NULL, 10));
}

static void put_integer(json_out *out, uint64_t bits, bool is_signed)
{
    char text[32];
    bool negative = is_signed && bits >> 63 != 0;
    uint64_t magnitude = negative ? 0 - bits : bits;
    const char *quote = magnitude > EXACT_INTEGER ? "\"" : "";
    snprintf(text, sizeof text, "%s%s%" PRIu64 "%s", quote, negative ? "-" : "", magnitude, quote);
    put_text(out, text);
}

/* One value of a binary VR, of its unit's size. */
static void put_binary_number(json_out *out, dcb_vr vr, const uint8_t *value, unsigned unit)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < unit; i++)
        bits |= (uint64_t)value[i] << (8 * i);
    bool is_signed = vr == DCB_VR('S', 'S') || vr == DCB_VR('S', 'L') || vr == DCB_VR('S', 'V');
    if (vr == DCB_VR('F', 'D')) {
        double number;
        memcpy(&number, &bits, sizeof number);
        put_double(out, number);
    } else if (vr == DCB_VR('F', 'L')) {
        uint32_t half = (uint32_t)bits;
        float number;
        memcpy(&number, &half, sizeof number);
        put_double(out, (double)number); /* readers of JSON have doubles: exactly this value */
    } else {
        if (is_signed && unit < 8 && bits >> (8 * unit - 1) != 0)
            bits |= UINT64_MAX << (8 * unit);
        put_integer(out, bits, is_signed);
    }
}

/* ---- Elements ---------------------------------------------------------------------------------
 */

static void put_dataset(json_out *out, const dcb_dataset *dataset);

static void put_base64(json_out *out, const uint8_t *bytes, size_t nbytes)
{
    enum { PIECE = 3 * 1024 };
    char text[PIECE / 3 * 4];
    for (size_t at = 0; at < nbytes; at += PIECE) {
        size_t piece = nbytes - at < PIECE ? nbytes - at : PIECE;
        dcb__base64_encode(text, bytes + at, piece);
        put(out, text, dcb__base64_length(piece));
    }
}

/* Padding belongs to the encoding, and so do spaces that the VR does not count. */
static void trim(const uint8_t **text, size_t *nbytes, dcb__vr_trim how)
{
    while (*nbytes > 0 && ((*text)[*nbytes - 1] == ' ' || (*text)[*nbytes - 1] == '\0'))
        --*nbytes;
    while (how == DCB_TRIM_BOTH && *nbytes > 0 && **text == ' ') {
        ++*text;
        --*nbytes;
    }
}

static void put_text_value(json_out *out, const dcb__vr_info *info, const uint8_t *text,
                           size_t nbytes)
{
    trim(&text, &nbytes, info->trim);
    if (nbytes == 0) /* PS3.18 F.2.5 */
        put_text(out, "null");
    else if (info->vr == DCB_VR_PN)
        put_name(out, text, nbytes);
    else if (info->vr == DCB_VR('D', 'S') || info->vr == DCB_VR('I', 'S'))
        put_number_text(out, text, nbytes);
    else
        put_string(out, text, nbytes);
}

static void put_text_values(json_out *out, const dcb__vr_info *info, const dcb_element *element)
{
    const uint8_t *at = element->value, *end = at + element->nbytes;
    for (const char *separator = "";; separator = ",") {
        const uint8_t *stop = info->several ? memchr(at, '\\', (size_t)(end - at)) : NULL;
        put_text(out, separator);
        put_text_value(out, info, at, (size_t)((stop != NULL ? stop : end) - at));
        if (stop == NULL)
            break;
        at = stop + 1;
    }
}

static void put_binary_values(json_out *out, const dcb__vr_info *info, const dcb_element *element)
{
    bool is_tag = info->vr == DCB_VR('A', 'T');
    unsigned unit = is_tag ? 4 : info->unit;
    for (uint32_t at = 0; at + unit <= element->nbytes; at += unit) {
        const uint8_t *value = element->value + at;
        if (at > 0)
            put(out, ",", 1);
        if (is_tag) {
            char text[16];
            snprintf(text, sizeof text, "\"%02X%02X%02X%02X\"", value[1], value[0], value[3],
                     value[2]);
            put_text(out, text);
        } else {
            put_binary_number(out, info->vr, value, unit);
        }
    }
}

static void put_items(json_out *out, const dcb_element *element)
{
    for (uint32_t i = 0; i < element->nitems; i++) {
        if (i > 0)
            put(out, ",", 1);
        put_dataset(out, element->items[i]);
    }
}

/* False for a text of padding alone: an element without a value. */
static bool has_value(const dcb__vr_info *info, const dcb_element *element)
{
    const uint8_t *text = element->value;
    size_t nbytes = element->nbytes;
    if (element->vr == DCB_VR_SQ)
        return element->nitems > 0;
    if (info->trim != DCB_TRIM_NONE)
        trim(&text, &nbytes, info->trim);
    return nbytes > 0;
}

static void put_element(json_out *out, const dcb_element *element)
{
    char head[40];
    const dcb__vr_info *info = dcb__vr_info_or_un(element->vr);
    snprintf(head, sizeof head, "\"%08" PRIX32 "\":{\"vr\":\"%c%c\"", element->tag, info->vr >> 8,
             info->vr & 0xFF);
    put_text(out, head);
    if (has_value(info, element)) {
        bool binary = info->vr == DCB_VR_UN || info->vr >> 8 == 'O';
        put_text(out, binary ? ",\"InlineBinary\":\"" : ",\"Value\":[");
        if (binary)
            put_base64(out, element->value, element->nbytes);
        else if (info->vr == DCB_VR_SQ)
            put_items(out, element);
        else if (info->trim == DCB_TRIM_NONE)
            put_binary_values(out, info, element);
        else
            put_text_values(out, info, element);
        put_text(out, binary ? "\"" : "]");
    }
    put(out, "}", 1);
}

static void put_dataset(json_out *out, const dcb_dataset *dataset)
{
    put(out, "{", 1);
    for (size_t i = 0; i < dcb_dataset_count(dataset); i++) {
        if (i > 0)
            put(out, ",", 1);
        put_element(out, dcb_dataset_at(dataset, i));
    }
    put(out, "}", 1);
}

dcb_status dcb_dataset_to_json(char **json, size_t *nbytes, const dcb_dataset *dataset,
                               uint64_t max_nbytes, dcb_error *error)
{
    json_out out = {.max_nbytes = max_nbytes};
    uint8_t *bytes = NULL;
    dcb__writer_init(&out.text, DCB_SYNTAX_EXPLICIT_LE);
    put_dataset(&out, dataset);
    dcb__writer_append(&out.text, "", 1);
    *json = NULL;
    *nbytes = 0;
    dcb_status status = dcb__writer_finish(&bytes, nbytes, &out.text, error);
    if (status == DCB_OK) {
        *json = (char *)bytes;
        --*nbytes; /* the NUL */
    }
    return status;
}
