/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixel_module.c - the pixel header's and the codestream's word against dicommeta's.
 *
 * Invariant afterwards: the elements of PS3.3 C.7.6.3.1.1 are all there and describe the stored
 * values; what was a stored value of the source is one of the file's, or gone.
 *
 * Real values that the writer had to round (edge: slopes that differ by slice) stay under their
 * UIDs and Image Type: the references of other objects must still find them, and the difference is
 * less than one step of 65535.
 */
#include "pixel_module.h"

#include <math.h>
#include <string.h>

#include "bytes.h"
#include "dcb_error.h"
#include "value_text.h"
#include "vr.h"

#define TAG_SAMPLES        DCB_TAG(0x0028, 0x0002)
#define TAG_PHOTOMETRIC    DCB_TAG(0x0028, 0x0004)
#define TAG_PLANAR         DCB_TAG(0x0028, 0x0006)
#define TAG_FRAMES         DCB_TAG(0x0028, 0x0008)
#define TAG_ROWS           DCB_TAG(0x0028, 0x0010)
#define TAG_COLUMNS        DCB_TAG(0x0028, 0x0011)
#define TAG_ALLOCATED      DCB_TAG(0x0028, 0x0100)
#define TAG_STORED         DCB_TAG(0x0028, 0x0101)
#define TAG_HIGH_BIT       DCB_TAG(0x0028, 0x0102)
#define TAG_REPRESENTATION DCB_TAG(0x0028, 0x0103)
#define TAG_INTERCEPT      DCB_TAG(0x0028, 0x1052)
#define TAG_SLOPE          DCB_TAG(0x0028, 0x1053)
#define TAG_REAL_WORLD     DCB_TAG(0x0040, 0x9096)

typedef struct module {
    dcb__entries *entries;
    uint32_t nslices;
    const dcb__pixel_header *header;
    dcb__pixel_module *out;
    bool source_signed;
    bool full; /* out of memory */
} module;

/* The source's rescale of a slice; 1 and 0 where it had none. */
static void source_rescale(const module *m, uint32_t slice, double *slope, double *intercept)
{
    if (!dcb__entry_number(dcb__entry_find(m->entries, TAG_SLOPE), slice, slope) || *slope == 0)
        *slope = 1;
    if (!dcb__entry_number(dcb__entry_find(m->entries, TAG_INTERCEPT), slice, intercept))
        *intercept = 0;
}

static void compare_rescale(module *m)
{
    double whole;
    bool fraction = modf(m->header->slope, &whole) != 0;
    const dcb__entry *slopes = dcb__entry_find(m->entries, TAG_SLOPE);
    const dcb__entry *intercepts = dcb__entry_find(m->entries, TAG_INTERCEPT);
    bool vary = (slopes != NULL && dcb__entry_is_per_slice(slopes)) ||
                (intercepts != NULL && dcb__entry_is_per_slice(intercepts));
    for (uint32_t i = 0; i < (vary ? m->nslices : 1); i++) {
        double slope, intercept;
        source_rescale(m, i, &slope, &intercept);
        if (slope != m->header->slope || intercept != m->header->intercept)
            m->out->rescaled = true;
        if (slope != m->header->slope && fraction)
            m->out->lossy_rescale = true;
    }
}

/* A stored value of the source as one of the file. False: none is exactly that. */
static bool shift(const module *m, uint32_t slice, double value, int64_t *shifted)
{
    double slope, intercept;
    source_rescale(m, slice, &slope, &intercept);
    double result = value;
    if (slope != m->header->slope || intercept != m->header->intercept)
        result = (value * slope + intercept - m->header->intercept) / m->header->slope;
    /* These elements are US or SS, whatever the pixels' width. */
    double low = m->out->format.is_signed ? -32768 : 0;
    double high = m->out->format.is_signed ? 32767 : 65535;
    if (m->out->format.bits_allocated == 8) {
        low = m->out->format.is_signed ? -128 : 0;
        high = m->out->format.is_signed ? 127 : 255;
    }
    if (!(result >= low && result <= high) || result != nearbyint(result))
        return false;
    *shifted = (int64_t)result;
    return true;
}

/* Smallest.../Largest..., padding: by slice, since rescale and value may both differ by slice. */
static void shift_element(module *m, uint32_t tag)
{
    const dcb__entry *entry = dcb__entry_find(m->entries, tag);
    if (entry == NULL || entry->kind == DCB_ENTRY_EMPTY)
        return;
    dcb__raw *raw = dcb__arena_alloc(m->entries->arena, m->nslices * sizeof *raw, 8);
    uint8_t *bytes = dcb__arena_alloc(m->entries->arena, 2 * (size_t)m->nslices, 2);
    if (raw == NULL || bytes == NULL) {
        m->full = true;
        return;
    }
    bool same = true, any = false;
    for (uint32_t i = 0; i < m->nslices; i++) {
        double value;
        int64_t shifted = 0;
        raw[i] = (dcb__raw){NULL, 0};
        if (dcb__entry_number(entry, i, &value)) {
            /* US where the pixels are signed: a common slip of senders. */
            if (m->source_signed && value > 32767 && value < 65536)
                value -= 65536;
            if (shift(m, i, value, &shifted)) {
                dcb__store(bytes + 2 * (size_t)i, (uint64_t)shifted, 2);
                raw[i] = (dcb__raw){bytes + 2 * (size_t)i, 2};
                any = true;
            }
        }
        same = same && raw[i].nbytes == raw[0].nbytes &&
               (raw[i].nbytes == 0 || memcmp(raw[i].bytes, raw[0].bytes, 2) == 0);
    }
    if (!any) {
        dcb__entry_remove(m->entries, tag);
        return;
    }
    dcb_vr vr = m->out->format.is_signed ? DCB_VR('S', 'S') : DCB_VR('U', 'S');
    dcb__entry *place = dcb__entry_place(m->entries, tag, vr);
    if (place == NULL) {
        m->full = true;
        return;
    }
    place->kind = same ? DCB_ENTRY_RAW : DCB_ENTRY_RAW_SLICES;
    place->raw = raw;
}

/* The term for what the samples are now; NULL: none is right. Samples are never subsampled and, by
   the codec's inverse transform, never YBR_RCT or YBR_ICT. */
static const char *photometric_for(const char *source, uint16_t samples)
{
    static const char *const one[] = {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"};
    static const char *const three[] = {"RGB", "YBR_FULL"};
    size_t nbytes = source == NULL ? 0 : strlen(source);
    while (nbytes > 0 && source[nbytes - 1] == ' ')
        nbytes--;
    if (samples == 1) {
        for (size_t i = 0; i < 3; i++)
            if (nbytes == strlen(one[i]) && memcmp(source, one[i], nbytes) == 0)
                return one[i];
        return "MONOCHROME2";
    }
    if (samples != 3)
        return NULL;
    for (size_t i = 0; i < 2; i++)
        if (nbytes == strlen(three[i]) && memcmp(source, three[i], nbytes) == 0)
            return three[i];
    if (nbytes == 12 && memcmp(source, "YBR_FULL_422", 12) == 0)
        return "YBR_FULL";
    if (nbytes >= 11 && memcmp(source, "YBR_PARTIAL", 11) == 0)
        return NULL;
    return "RGB";
}

/* What is wrong with the palette; NULL: nothing. Indices without their colours are no image, and
   the writer drops tables of over 7680 bytes; nor do rescaled indices point where they did. */
static const char *palette_problem(const module *m)
{
    for (uint32_t i = 0; i < 3; i++) {
        const dcb__entry *descriptor = dcb__entry_find(m->entries, DCB_TAG(0x0028, 0x1101) + i);
        if (dcb__entry_find(m->entries, DCB_TAG(0x0028, 0x1201) + i) == NULL &&
            dcb__entry_find(m->entries, DCB_TAG(0x0028, 0x1221) + i) == NULL)
            return "PALETTE COLOR, and the writer dropped the palette's data";
        /* set_palette_vr made bytes of three numbers */
        if (descriptor == NULL ||
            (descriptor->kind != DCB_ENTRY_RAW && descriptor->kind != DCB_ENTRY_SLICES))
            return "PALETTE COLOR, and a descriptor of the palette is not three numbers";
    }
    return m->out->rescaled ? "PALETTE COLOR, and the writer rescaled the palette's indices" : NULL;
}

static void put_photometric(module *m)
{
    const dcb__entry *entry = dcb__entry_find(m->entries, TAG_PHOTOMETRIC);
    bool per_slice = entry != NULL && dcb__entry_is_per_slice(entry);
    dcb__raw *raw = dcb__arena_alloc(m->entries->arena, m->nslices * sizeof *raw, 8);
    if (raw == NULL) {
        m->full = true;
        return;
    }
    for (uint32_t i = 0; i < (per_slice ? m->nslices : 1); i++) {
        const char *term =
            photometric_for(dcb__entry_text(entry, i), m->out->format.samples_per_pixel);
        if (term == NULL) {
            m->out->problem = m->out->format.samples_per_pixel == 3
                                  ? "YBR_PARTIAL pixels without subsampling have no name in DICOM"
                                  : "images of 2 or of more than 3 samples per pixel";
            return;
        }
        const char *problem = strcmp(term, "PALETTE COLOR") == 0 ? palette_problem(m) : NULL;
        m->out->problem = problem != NULL ? problem : m->out->problem;
        raw[i] = (dcb__raw){(const uint8_t *)term, strlen(term)};
    }
    dcb__entry *place = dcb__entry_place(m->entries, TAG_PHOTOMETRIC, DCB_VR_CS);
    if (place == NULL) {
        m->full = true;
        return;
    }
    place->kind = per_slice ? DCB_ENTRY_RAW_SLICES : DCB_ENTRY_RAW;
    place->raw = raw;
}

static void put_u16(module *m, uint32_t tag, uint32_t value)
{
    if (!dcb__entry_put_u16(m->entries, tag, (uint16_t)value))
        m->full = true;
}

static void put_number(module *m, uint32_t tag, double value)
{
    char text[DCB_NUMBER_TEXT];
    dcb__ds_text(text, value);
    if (!dcb__entry_put_text(m->entries, tag, DCB_VR('D', 'S'), text))
        m->full = true;
}

static void put_rescale(module *m)
{
    const dcb__entry *slope = dcb__entry_find(m->entries, TAG_SLOPE);
    const dcb__entry *intercept = dcb__entry_find(m->entries, TAG_INTERCEPT);
    bool had = (slope != NULL && slope->kind != DCB_ENTRY_EMPTY) ||
               (intercept != NULL && intercept->kind != DCB_ENTRY_EMPTY);
    if (had || m->header->slope != 1 || m->header->intercept != 0) {
        put_number(m, TAG_SLOPE, m->header->slope);
        put_number(m, TAG_INTERCEPT, m->header->intercept);
    }
}

/* Rows or Columns: the metadata's stand, a slice that has none gets the codestream's, which
   frame_codestream.c holds its frame to. */
static void put_size(module *m, uint32_t tag, uint32_t codestream)
{
    const dcb__entry *entry = dcb__entry_find(m->entries, tag);
    bool per_slice = entry != NULL && dcb__entry_is_per_slice(entry), missing = false;
    uint32_t n = per_slice ? m->nslices : 1;
    dcb__raw *raw = dcb__arena_alloc(m->entries->arena, n * sizeof *raw, 8);
    uint8_t *bytes = dcb__arena_alloc(m->entries->arena, 2 * (size_t)n, 2);
    if (raw == NULL || bytes == NULL) {
        m->full = true;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t size = dcb__entry_size(entry, i);
        missing = missing || size == 0;
        dcb__store(bytes + 2 * (size_t)i, size != 0 ? size : codestream, 2);
        raw[i] = (dcb__raw){bytes + 2 * (size_t)i, 2};
    }
    if (!missing)
        return;
    dcb__entry *place = dcb__entry_place(m->entries, tag, DCB_VR('U', 'S'));
    if (place == NULL) {
        m->full = true;
        return;
    }
    place->kind = per_slice ? DCB_ENTRY_RAW_SLICES : DCB_ENTRY_RAW;
    place->raw = raw;
}

static void put_format(module *m)
{
    const dcb_pixel_format *format = &m->out->format;
    put_u16(m, TAG_SAMPLES, format->samples_per_pixel);
    if (format->samples_per_pixel > 1)
        put_u16(m, TAG_PLANAR, 0);
    else
        dcb__entry_remove(m->entries, TAG_PLANAR);
    put_size(m, TAG_ROWS, format->rows);
    put_size(m, TAG_COLUMNS, format->columns);
    put_u16(m, TAG_ALLOCATED, format->bits_allocated);
    put_u16(m, TAG_STORED, format->bits_stored);
    put_u16(m, TAG_HIGH_BIT, format->bits_stored - 1u);
    put_u16(m, TAG_REPRESENTATION, format->is_signed ? 1 : 0);
}

/* The VR of a palette's descriptor follows Pixel Representation (PS3.3 C.7.6.3.1.5); its bits stay.
 */
static void set_palette_vr(module *m)
{
    for (uint32_t tag = DCB_TAG(0x0028, 0x1101); tag <= DCB_TAG(0x0028, 0x1103); tag++) {
        const dcb__entry *entry = dcb__entry_find(m->entries, tag);
        if (entry == NULL || entry->kind != DCB_ENTRY_VALUES ||
            entry->json->type != DCB_JSON_ARRAY || entry->json->count != 3)
            continue;
        uint8_t bytes[6];
        bool numbers = true;
        for (uint32_t i = 0; i < 3; i++) {
            double value = 0;
            numbers = numbers && dcb__json_number(&entry->json->values[i], &value) &&
                      value >= -32768 && value <= 65535;
            dcb__store(bytes + 2 * (size_t)i, numbers ? (uint64_t)(int64_t)value : 0, 2);
        }
        dcb_vr vr = m->out->format.is_signed ? DCB_VR('S', 'S') : DCB_VR('U', 'S');
        if (numbers && !dcb__entry_put(m->entries, tag, vr, bytes, sizeof bytes))
            m->full = true;
    }
}

static uint32_t number_or(const module *m, uint32_t tag, uint32_t missing)
{
    double number;
    if (!dcb__entry_number(dcb__entry_find(m->entries, tag), 0, &number) || number < 1 ||
        number > 65535)
        return missing;
    return (uint32_t)number;
}

dcb_status dcb__pixel_module_apply(dcb__pixel_module *out, dcb__entries *entries, uint32_t nslices,
                                   const dcb__pixel_header *header,
                                   const dcb__codestream *codestream, dcb_error *error)
{
    static const uint32_t stored_values[] = {DCB_TAG(0x0028, 0x0104), DCB_TAG(0x0028, 0x0105),
                                             DCB_TAG(0x0028, 0x0106), DCB_TAG(0x0028, 0x0107),
                                             DCB_TAG(0x0028, 0x0108), DCB_TAG(0x0028, 0x0109),
                                             DCB_TAG(0x0028, 0x0110), DCB_TAG(0x0028, 0x0111),
                                             DCB_TAG(0x0028, 0x0120), DCB_TAG(0x0028, 0x0121)};
    *out = (dcb__pixel_module){0};
    module m = {.entries = entries, .nslices = nslices, .header = header, .out = out};
    double number;
    m.source_signed =
        dcb__entry_number(dcb__entry_find(entries, TAG_REPRESENTATION), 0, &number) && number == 1;
    out->format = (dcb_pixel_format){
        .rows = codestream != NULL ? codestream->rows : number_or(&m, TAG_ROWS, 0),
        .columns = codestream != NULL ? codestream->columns : number_or(&m, TAG_COLUMNS, 0),
        .samples_per_pixel =
            codestream != NULL ? codestream->components : (uint16_t)number_or(&m, TAG_SAMPLES, 1),
        .bits_allocated = header->bits,
        .bits_stored = codestream != NULL && codestream->precision < header->bits
                           ? codestream->precision
                           : header->bits,
        .is_signed = header->is_signed,
        .rescale_slope = header->slope,
        .rescale_intercept = header->intercept};
    double frames = 1;
    if (dcb__entry_number(dcb__entry_find(entries, TAG_FRAMES), 0, &frames) && frames > 1)
        out->problem = "a multi-frame instance whose frames the writer did not keep apart";
    compare_rescale(&m);
    for (size_t i = 0; i < sizeof stored_values / sizeof *stored_values; i++)
        shift_element(&m, stored_values[i]);
    if (out->rescaled) /* maps the source's stored values, of which there are none any more */
        dcb__entry_remove(entries, TAG_REAL_WORLD);
    set_palette_vr(&m);
    put_photometric(&m);
    put_rescale(&m);
    put_format(&m);
    return m.full ? dcb__fail_no_memory(error, nslices * sizeof(dcb__raw)) : DCB_OK;
}
