/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer_instance.c - reads from a data set what the writer needs to know, and refuses what a DCB
 * cannot hold exactly (format section 5).
 *
 * Invariant: an instance that passes can be given back byte by byte, and its codestream means to
 * any reader what the source's Pixel Data meant.
 */
#include "writer_instance.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "dcb_error.h"
#include "trailer.h"
#include "vr.h"

#define MAX_TAIL 65536u

static dcb_status refuse(dcb_error *error, const char *why)
{
    return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET, "%s", why);
}

/* ---- Values ---------------------------------------------------------------------------------- */

static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* Up to n numbers of a DS or IS element; returns how many there are, 0 where any is none. */
static size_t numbers_of(double *numbers, size_t n, const dcb_dataset *dataset, uint32_t tag)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char text[512];
    pthread_once(&once, make_c_locale);
    ptrdiff_t length = dcb_dataset_get_text(dataset, tag, text, sizeof text);
    if (length <= 0 || (size_t)length >= sizeof text || c_locale == (locale_t)0)
        return 0;
    size_t count = 0;
    for (const char *at = text; count < n;) {
        char *end = NULL;
        numbers[count] = strtod_l(at, &end, c_locale);
        if (end == at || !isfinite(numbers[count]))
            return 0;
        count++;
        end += strspn(end, " ");
        if (*end == '\0')
            return count;
        if (*end != '\\')
            return 0;
        at = end + 1;
    }
    return count;
}

/* The first value of a US element; false where there is none. */
static bool u16_of(uint16_t *value, const dcb_dataset *dataset, uint32_t tag)
{
    const dcb_element *element = dcb_dataset_find(dataset, tag);
    if (element == NULL || element->vr != DCB_VR('U', 'S') || element->nbytes != 2)
        return false;
    *value = (uint16_t)(element->value[0] | element->value[1] << 8);
    return true;
}

static bool has_text(const dcb_dataset *dataset, uint32_t tag, const char *text)
{
    char own[64];
    ptrdiff_t length = dcb_dataset_get_text(dataset, tag, own, sizeof own);
    return length == (ptrdiff_t)strlen(text) && memcmp(own, text, (size_t)length) == 0;
}

static dcb_status uid_of(char uid[DCB_UID_ROOM], const dcb_dataset *dataset, uint32_t tag,
                         const char *name, dcb_error *error)
{
    ptrdiff_t length = dcb_dataset_get_text(dataset, tag, uid, DCB_UID_ROOM);
    if (length <= 0 || length >= DCB_UID_ROOM || strspn(uid, "0123456789.") != (size_t)length)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET, "the instance has no %s", name);
    return DCB_OK;
}

/* ---- Transfer syntaxes ----------------------------------------------------------------------- */

static dcb_status read_syntax(dcb__instance *out, const char *uid, dcb_error *error)
{
    static const struct {
        const char *uid;
        dcb__pixel_kind kind;
    } known[] = {
        {"1.2.840.10008.1.2", DCB_PIXELS_NATIVE},
        {"1.2.840.10008.1.2.1", DCB_PIXELS_NATIVE},
        {"1.2.840.10008.1.2.2", DCB_PIXELS_NATIVE},
        {"1.2.840.10008.1.2.1.99", DCB_PIXELS_NATIVE},
        {"1.2.840.10008.1.2.5", DCB_PIXELS_GIVEN},    /* RLE */
        {"1.2.840.10008.1.2.4.57", DCB_PIXELS_GIVEN}, /* JPEG lossless */
        {"1.2.840.10008.1.2.4.70", DCB_PIXELS_GIVEN}, /* the same, first order */
        {"1.2.840.10008.1.2.4.80", DCB_PIXELS_GIVEN}, /* JPEG-LS lossless */
        {"1.2.840.10008.1.2.4.90", DCB_PIXELS_GIVEN}, /* JPEG 2000 lossless */
        {"1.2.840.10008.1.2.4.201", DCB_PIXELS_HTJ2K},
        {"1.2.840.10008.1.2.4.202", DCB_PIXELS_HTJ2K},
    };
    for (size_t i = 0; uid != NULL && i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].uid, uid) == 0) {
            memcpy(out->syntax_uid, uid, strlen(uid) + 1);
            out->kind = known[i].kind;
            return DCB_OK;
        }
    }
    return refuse(error, "the transfer syntax is lossy or not known");
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

static dcb_status check_photometric(dcb__instance *out, dcb_error *error)
{
    static const struct {
        const char *term;
        uint16_t samples;
        bool compressed; /* has a meaning in codestreams alone */
    } terms[] = {{"MONOCHROME1", 1, false}, {"MONOCHROME2", 1, false}, {"PALETTE COLOR", 1, false},
                 {"RGB", 3, false},         {"YBR_FULL", 3, false},    {"YBR_RCT", 3, true}};
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) {
        if (!has_text(out->dataset, DCB_TAG(0x0028, 0x0004), terms[i].term))
            continue;
        if (terms[i].samples != out->layout.samples ||
            (terms[i].compressed && out->kind == DCB_PIXELS_NATIVE))
            break;
        if (terms[i].compressed)
            out->flags |= DCB_SLICE_EDIT_STORED | DCB_SLICE_EDIT_NATIVE;
        return DCB_OK;
    }
    return refuse(error, "the Photometric Interpretation does not fit the samples");
}

/* What tells of more, or of another, than one frame of plain samples. */
static dcb_status check_kind_of_image(const dcb__instance *out, dcb_error *error)
{
    const dcb_dataset *d = out->dataset;
    double frames = 0;
    if (dcb_dataset_find(d, DCB_TAG(0x0028, 0x0008)) != NULL &&
        (numbers_of(&frames, 1, d, DCB_TAG(0x0028, 0x0008)) != 1 || frames != 1))
        return refuse(error, "a multi-frame instance");
    if (dcb_dataset_find(d, DCB_TAG(0x7FE0, 0x0008)) != NULL ||
        dcb_dataset_find(d, DCB_TAG(0x7FE0, 0x0009)) != NULL)
        return refuse(error, "pixels that are floating-point numbers");
    if (dcb_dataset_find(d, DCB_TAG(0x0028, 0x7FE0)) != NULL)
        return refuse(error, "pixels that are at another place");
    for (uint32_t group = 0x6000; group < 0x6020; group += 2) {
        uint16_t bits = 1;
        if (u16_of(&bits, d, DCB_TAG(group, 0x0100)) && bits != 1)
            return refuse(error, "an overlay inside Pixel Data");
    }
    return DCB_OK;
}

static dcb_status read_layout(dcb__instance *out, dcb_error *error)
{
    const dcb_dataset *d = out->dataset;
    uint16_t rows = 0, columns = 0, samples = 0, allocated = 0, high = 0, sign = 0, planar = 0;
    if (!u16_of(&rows, d, DCB_TAG(0x0028, 0x0010)) ||
        !u16_of(&columns, d, DCB_TAG(0x0028, 0x0011)) ||
        !u16_of(&samples, d, DCB_TAG(0x0028, 0x0002)) ||
        !u16_of(&allocated, d, DCB_TAG(0x0028, 0x0100)) ||
        !u16_of(&out->stored, d, DCB_TAG(0x0028, 0x0101)) ||
        !u16_of(&high, d, DCB_TAG(0x0028, 0x0102)) || !u16_of(&sign, d, DCB_TAG(0x0028, 0x0103)) ||
        rows == 0 || columns == 0)
        return refuse(error, "the elements that describe its pixels are not all there");
    if (samples != 1 && samples != 3)
        return refuse(error, "neither one nor three samples per pixel");
    if (allocated != 8 && allocated != 16 && allocated != 32)
        return refuse(error, "Bits Allocated is not 8, 16 or 32");
    if (out->stored == 0 || out->stored > allocated || high != out->stored - 1 || sign > 1)
        return refuse(error, "Bits Stored, High Bit and Pixel Representation are not of a kind "
                             "that a codestream can say");
    u16_of(&planar, d, DCB_TAG(0x0028, 0x0006));
    if (samples > 1 && planar > 1)
        return refuse(error, "Planar Configuration is neither 0 nor 1");
    out->layout = (dcb__pixel_layout){.rows = rows,
                                      .columns = columns,
                                      .samples = samples,
                                      .allocated = allocated,
                                      .by_plane = samples > 1 && planar == 1,
                                      .is_signed = sign == 1};
    return DCB_OK;
}

static dcb_status take_samples(dcb__instance *out, const dcb_writer_instance *given,
                               dcb_error *error)
{
    uint64_t nbytes = dcb__layout_nbytes(&out->layout);
    bool encapsulated = out->kind != DCB_PIXELS_NATIVE;
    if (out->place.encapsulated != encapsulated)
        return refuse(error, "Pixel Data is not as the transfer syntax says");
    if (encapsulated) { /* what native Pixel Data would be */
        out->pixel_vr = out->layout.allocated > 8 ? DCB_VR_OW : DCB_VR_OB;
        if (out->kind == DCB_PIXELS_HTJ2K)
            return DCB_OK;
        if (given->samples == NULL || given->samples_nbytes != nbytes)
            return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                             "%zu bytes of decoded samples, the data set describes %" PRIu64,
                             given->samples_nbytes, nbytes);
        out->samples = given->samples;
        return DCB_OK;
    }
    out->pixel_vr = out->place.vr;
    out->samples = out->bytes + out->place.value;
    out->samples_by_plane = out->layout.by_plane;
    if (out->pixel_vr != DCB_VR_OW && out->pixel_vr != DCB_VR_OB)
        return refuse(error, "Pixel Data is neither OB nor OW");
    if (out->place.nbytes < nbytes || out->place.nbytes - nbytes > MAX_TAIL)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, out->place.start,
                         "Pixel Data has %zu bytes, the data set describes %" PRIu64,
                         out->place.nbytes, nbytes);
    out->tail_nbytes = out->place.nbytes - (size_t)nbytes;
    return DCB_OK;
}

/* A group length of 7FE0 is right for the source's own encoding alone. */
static bool has_pixel_group_length(const dcb__instance *instance)
{
    static const uint8_t tag[] = {0xE0, 0x7F, 0x00, 0x00, 'U', 'L'};
    return memmem(instance->bytes, instance->place.start, tag, sizeof tag) != NULL;
}

static void set_flags(dcb__instance *out)
{
    bool length = has_pixel_group_length(out);
    if (out->layout.by_plane)
        out->flags |= DCB_SLICE_BY_PLANE;
    if (out->kind != DCB_PIXELS_HTJ2K && (out->layout.by_plane || length))
        out->flags |= DCB_SLICE_EDIT_STORED;
    if (out->kind != DCB_PIXELS_NATIVE && length)
        out->flags |= DCB_SLICE_EDIT_NATIVE;
}

/* ---- Rescale, window, geometry --------------------------------------------------------------- */

static dcb_status read_rescale(dcb__instance *out, dcb_error *error)
{
    const dcb_element *slope = dcb_dataset_find(out->dataset, DCB_TAG(0x0028, 0x1053));
    const dcb_element *intercept = dcb_dataset_find(out->dataset, DCB_TAG(0x0028, 0x1052));
    out->slope = 1;
    out->intercept = 0;
    if (slope != NULL && slope->nbytes > 0 &&
        numbers_of(&out->slope, 1, out->dataset, slope->tag) != 1)
        return refuse(error, "Rescale Slope is not a number");
    if (intercept != NULL && intercept->nbytes > 0 &&
        numbers_of(&out->intercept, 1, out->dataset, intercept->tag) != 1)
        return refuse(error, "Rescale Intercept is not a number");
    if (out->slope == 0)
        return refuse(error, "Rescale Slope is 0");
    double center[64], width[64];
    out->has_window = numbers_of(center, 64, out->dataset, DCB_TAG(0x0028, 0x1050)) > 0 &&
                      numbers_of(width, 64, out->dataset, DCB_TAG(0x0028, 0x1051)) > 0;
    if (out->has_window) {
        out->window_center = center[0];
        out->window_width = width[0];
    }
    return DCB_OK;
}

static void read_geometry(dcb__geometry *out, const dcb_dataset *dataset)
{
    double number = 0;
    *out = (dcb__geometry){.has_number = false};
    out->has_number =
        numbers_of(&number, 1, dataset, DCB_TAG(0x0020, 0x0013)) == 1 && fabs(number) < 1e15;
    out->number = out->has_number ? (int64_t)number : 0;
    out->has_spacing = numbers_of(out->spacing, 2, dataset, DCB_TAG(0x0028, 0x0030)) == 2;
    out->has_direction = numbers_of(out->direction, 6, dataset, DCB_TAG(0x0020, 0x0037)) == 6;
    out->has_position = numbers_of(out->position, 3, dataset, DCB_TAG(0x0020, 0x0032)) == 3;
    if (numbers_of(&out->thickness, 1, dataset, DCB_TAG(0x0018, 0x0050)) != 1)
        out->thickness = 0;
}

/* ---- All of it ------------------------------------------------------------------------------- */

/* The data set without Pixel Data, parsed: what it says is checked by that too. */
static dcb_status parse_around_pixels(dcb__instance *out, const dcb_limits *limits,
                                      dcb_error *error)
{
    size_t after = out->nbytes - out->place.end, nbytes = out->place.start + after;
    uint8_t *joined = malloc(nbytes > 0 ? nbytes : 1);
    if (joined == NULL)
        return dcb__fail_no_memory(error, nbytes);
    memcpy(joined, out->bytes, out->place.start);
    memcpy(joined + out->place.start, out->bytes + out->place.end, after);
    dcb_status status = nbytes > limits->max_meta_bytes
                            ? refuse(error, "the data set without Pixel Data is too long")
                            : dcb_dataset_parse(&out->dataset, joined, nbytes,
                                                DCB_SYNTAX_EXPLICIT_LE, NULL, NULL, limits, error);
    free(joined);
    return status;
}

/* All but the samples, once it is known where Pixel Data is. */
static dcb_status describe_elements(dcb__instance *out, const dcb_limits *limits, dcb_error *error)
{
    dcb_status status = parse_around_pixels(out, limits, error);
    if (status == DCB_OK)
        status =
            uid_of(out->class_uid, out->dataset, DCB_TAG(0x0008, 0x0016), "SOP Class UID", error);
    if (status == DCB_OK)
        status = uid_of(out->instance_uid, out->dataset, DCB_TAG(0x0008, 0x0018),
                        "SOP Instance UID", error);
    if (status == DCB_OK)
        status = uid_of(out->study_uid, out->dataset, DCB_TAG(0x0020, 0x000D), "Study Instance UID",
                        error);
    if (status == DCB_OK)
        status = uid_of(out->series_uid, out->dataset, DCB_TAG(0x0020, 0x000E),
                        "Series Instance UID", error);
    if (status == DCB_OK)
        status = check_kind_of_image(out, error);
    if (status == DCB_OK)
        status = read_layout(out, error);
    if (status == DCB_OK)
        status = check_photometric(out, error);
    if (status == DCB_OK)
        status = read_rescale(out, error);
    if (status == DCB_OK)
        read_geometry(&out->geometry, out->dataset);
    return status;
}

static dcb_status describe(dcb__instance *out, const dcb_writer_instance *given,
                           const dcb_limits *limits, dcb_error *error)
{
    dcb_status status = read_syntax(out, given->syntax_uid, error);
    if (status == DCB_OK)
        status = dcb__pixel_place_find(&out->place, out->bytes, out->nbytes, error);
    if (status == DCB_OK)
        status = describe_elements(out, limits, error);
    if (status == DCB_OK)
        status = take_samples(out, given, error);
    return status;
}

dcb_status dcb__instance_describe(dcb__instance *out, const dcb_writer_instance *given,
                                  const dcb_limits *limits, dcb_error *error)
{
    *out = (dcb__instance){.bytes = given->dataset, .nbytes = given->dataset_nbytes};
    dcb_status status = describe(out, given, limits, error);
    if (status != DCB_OK) {
        dcb__instance_free(out);
        return status;
    }
    set_flags(out);
    out->source_nbytes = out->nbytes;
    return DCB_OK;
}

dcb_status dcb__instance_describe_slice(dcb__instance *out, const dcb__given_slice *given,
                                        const dcb_limits *limits, dcb_error *error)
{
    const size_t end = given->before_nbytes + given->tail_nbytes;
    *out = (dcb__instance){.bytes = given->bytes,
                           .nbytes = end + given->after_nbytes,
                           .place = {.start = given->before_nbytes,
                                     .end = end,
                                     .value = given->before_nbytes,
                                     .nbytes = given->tail_nbytes,
                                     .vr = given->pixel_vr}};
    dcb_status status = read_syntax(out, given->syntax_uid, error);
    if (status == DCB_OK)
        status = describe_elements(out, limits, error);
    if (status != DCB_OK) {
        dcb__instance_free(out);
        return status;
    }
    out->kind = DCB_PIXELS_NATIVE; /* where its tail stands */
    out->tail_nbytes = given->tail_nbytes;
    out->pixel_vr = given->pixel_vr;
    out->flags = given->flags;
    out->source_nbytes = out->nbytes + dcb__layout_nbytes(&out->layout);
    return DCB_OK;
}

void dcb__instance_free(dcb__instance *instance)
{
    dcb_dataset_close(instance->dataset);
    instance->dataset = NULL;
}
