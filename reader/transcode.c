/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transcode.c - the data set around transcoded frames, and what it says of them.
 *
 * Invariant: elements that do not describe the pixels' encoding go out as they came.
 */
#include "transcode.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "data_set_walk.h"
#include "data_set_writer.h"
#include "dataset.h"
#include "dcb_error.h"
#include "frame.h"
#include "part10.h"

#define TAG_PHOTOMETRIC   DCB_TAG(0x0028, 0x0004)
#define TAG_PLANAR        DCB_TAG(0x0028, 0x0006)
#define TAG_LOSSY         DCB_TAG(0x0028, 0x2110)
#define TAG_LOSSY_RATIO   DCB_TAG(0x0028, 0x2112)
#define TAG_LOSSY_METHOD  DCB_TAG(0x0028, 0x2114)
#define TAG_EXTENDED      DCB_TAG(0x7FE0, 0x0001) /* Extended Offset Table, and its lengths */
#define TAG_FLOAT_PIXELS  DCB_TAG(0x7FE0, 0x0008)
#define TAG_DOUBLE_PIXELS DCB_TAG(0x7FE0, 0x0009)

#define MAX_PIXEL_VALUE 0xFFFFFFFEu
#define ITEM_HEAD       8u

typedef struct transcoding {
    const dcb__transcode_source *source;
    dcb_encoding encoding;
    bool has_pixels, has_frames;
    dcb__frames frames;
    dcb_dataset *head, *tail; /* before and after Pixel Data */
    dcb__writer before, after;
} transcoding;

static bool is_native(dcb_encoding encoding)
{
    return encoding <= DCB_ENCODING_DEFLATED;
}

static dcb_syntax syntax_of(dcb_encoding encoding)
{
    return encoding == DCB_ENCODING_IMPLICIT_LE   ? DCB_SYNTAX_IMPLICIT_LE
           : encoding == DCB_ENCODING_EXPLICIT_BE ? DCB_SYNTAX_EXPLICIT_BE
                                                  : DCB_SYNTAX_EXPLICIT_LE;
}

/* ---- What the data set says of its pixels ---------------------------------------------------- */

/* PS3.3 C.7.6.1.1.5: lossy once, lossy for ever. What the sender said is not overwritten. */
static dcb_status note_lossy(dcb_dataset *head, const dcb__frames *f, dcb_error *error)
{
    static const struct {
        const char *syntax_prefix, *method;
    } methods[] = {{"1.2.840.10008.1.2.4.5", "ISO_10918_1"},
                   {"1.2.840.10008.1.2.4.8", "ISO_14495_1"},
                   {"1.2.840.10008.1.2.4.9", "ISO_15444_1"},
                   {"1.2.840.10008.1.2.4.20", "ISO_15444_15"}};
    const double whole = (double)f->frame_nbytes * f->nframes;
    char ratio[17];
    dcb_status status = dcb_dataset_put_text(head, TAG_LOSSY, DCB_VR('C', 'S'), "01", error);
    if (dcb_dataset_find(head, TAG_LOSSY_METHOD) != NULL)
        return status;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0] && status == DCB_OK; i++) {
        if (strncmp(f->source->syntax_uid, methods[i].syntax_prefix,
                    strlen(methods[i].syntax_prefix)) == 0)
            status = dcb_dataset_put_text(head, TAG_LOSSY_METHOD, DCB_VR('C', 'S'),
                                          methods[i].method, error);
    }
    if (status != DCB_OK || dcb_dataset_find(head, TAG_LOSSY_RATIO) != NULL)
        return status;
    snprintf(ratio, sizeof ratio, "%.4g", whole / (double)f->place.nbytes);
    return dcb_dataset_put_text(head, TAG_LOSSY_RATIO, DCB_VR('D', 'S'), ratio, error);
}

static dcb_status describe_pixels(transcoding *t, dcb_error *error)
{
    static const uint8_t by_pixel[2] = {0, 0};
    const dcb__frames *f = &t->frames;
    dcb_status status = DCB_OK;
    if (f->layout.samples > 1)
        status = dcb_dataset_put(t->head, TAG_PLANAR, DCB_VR('U', 'S'), by_pixel, 2, error);
    const char *photometric = dcb__frames_photometric(f, t->encoding);
    if (status == DCB_OK && strcmp(photometric, f->photometric) != 0)
        status =
            dcb_dataset_put_text(t->head, TAG_PHOTOMETRIC, DCB_VR('C', 'S'), photometric, error);
    if (!f->place.encapsulated)
        return status;
    if (status == DCB_OK && dcb__frames_lossy(f))
        status = note_lossy(t->head, f, error);
    dcb_dataset_remove(t->head, TAG_EXTENDED);
    dcb_dataset_remove(t->head, TAG_EXTENDED + 1);
    return status;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static dcb_status parse(dcb_dataset **out, const transcoding *t, size_t from, size_t to,
                        dcb_error *error)
{
    dcb_limits limits = *t->source->limits;
    limits.max_pixel_bytes = UINT64_MAX; /* the whole has met its limit */
    return dcb__dataset_parse_headers(out, t->source->dataset + from, to - from,
                                      DCB_SYNTAX_EXPLICIT_LE, NULL, NULL, &limits, error);
}

/* Float samples have no compressed form. */
static dcb_status check_without_pixels(const transcoding *t, dcb_error *error)
{
    if (is_native(t->encoding) || (dcb_dataset_find(t->head, TAG_FLOAT_PIXELS) == NULL &&
                                   dcb_dataset_find(t->head, TAG_DOUBLE_PIXELS) == NULL))
        return DCB_OK;
    return dcb__fail(error, DCB_ERR_ENCODING, DCB_NO_OFFSET,
                     "samples in floating point cannot be compressed");
}

static dcb_status open_transcoding(transcoding *t, const dcb__transcode_source *source,
                                   dcb_encoding encoding, dcb_error *error)
{
    dcb__pixel_place place = {source->nbytes, source->nbytes, 0, 0, 0, false};
    *t = (transcoding){.source = source, .encoding = encoding};
    dcb__writer_init(&t->before, syntax_of(encoding));
    dcb__writer_init(&t->after, syntax_of(encoding));
    dcb_status status = dcb__pixel_place_find(&place, source->dataset, source->nbytes, error);
    t->has_pixels = status == DCB_OK;
    if (status == DCB_ERR_UNSUPPORTED)
        status = DCB_OK; /* none */
    if (status == DCB_OK)
        status = parse(&t->head, t, 0, place.start, error);
    if (status == DCB_OK)
        status = parse(&t->tail, t, place.end, source->nbytes, error);
    if (status == DCB_OK && !t->has_pixels)
        return check_without_pixels(t, error);
    if (status == DCB_OK)
        status = dcb__frames_open(&t->frames, source, &place, t->head, error);
    return status == DCB_OK ? describe_pixels(t, error) : status;
}

static void close_transcoding(transcoding *t)
{
    if (t->has_pixels)
        dcb__frames_close(&t->frames);
    dcb_dataset_close(t->head);
    dcb_dataset_close(t->tail);
    dcb__writer_free(&t->before);
    dcb__writer_free(&t->after);
}

/* ---- The result ------------------------------------------------------------------------------ */

/* The frame, with all in place but `nbytes` at *pixels. */
static dcb_status create_frame(dcb_frame **out, uint8_t **pixels, const transcoding *t,
                               const char *syntax_uid, size_t nbytes, dcb_error *error)
{
    uint8_t head[DCB_PART10_ROOM], *to = NULL;
    const dcb__writer *failed = t->before.status != DCB_OK ? &t->before : &t->after;
    if (failed->status != DCB_OK) {
        if (error != NULL)
            *error = failed->error;
        return failed->status;
    }
    const size_t head_nbytes =
        dcb__part10_header(head, syntax_uid, t->source->sop_class_uid, t->source->sop_instance_uid);
    const size_t before = head_nbytes + t->before.nbytes;
    const dcb__frame_layout layout = {before + nbytes + t->after.nbytes, head_nbytes, syntax_uid,
                                      t->source->sop_class_uid, t->source->sop_instance_uid};
    dcb_status status = dcb__frame_create(out, &to, &layout, error);
    if (status != DCB_OK)
        return status;
    memcpy(to, head, head_nbytes);
    if (t->before.nbytes > 0)
        memcpy(to + head_nbytes, t->before.bytes, t->before.nbytes);
    if (t->after.nbytes > 0)
        memcpy(to + before + nbytes, t->after.bytes, t->after.nbytes);
    *pixels = to + before;
    return DCB_OK;
}

static void put_native_head(transcoding *t, dcb_vr vr, uint64_t nbytes)
{
    const dcb_syntax syntax = t->before.syntax;
    uint8_t head[12] = {0xE0, 0x7F, 0x10, 0x00, (uint8_t)(vr >> 8), (uint8_t)vr};
    const size_t size = syntax == DCB_SYNTAX_IMPLICIT_LE ? 8 : 12;
    dcb__store(head + size - 4, nbytes, 4);
    if (syntax == DCB_SYNTAX_EXPLICIT_BE) {
        static const uint8_t tag[] = {0x7F, 0xE0, 0x00, 0x10};
        memcpy(head, tag, sizeof tag);
        for (unsigned i = 0; i < 4; i++)
            head[8 + i] = (uint8_t)(nbytes >> (8 * (3 - i)));
    }
    dcb__writer_append(&t->before, head, size);
}

static dcb_status make_native(dcb_frame **out, transcoding *t, dcb_error *error)
{
    const dcb__frames *f = &t->frames;
    const dcb_vr vr = f->layout.allocated <= 8 ? DCB_VR('O', 'B') : DCB_VR('O', 'W');
    const uint64_t samples = (uint64_t)f->frame_nbytes * f->nframes;
    const uint64_t whole = samples + (samples & 1);
    uint8_t *pixels = NULL;
    if (whole > MAX_PIXEL_VALUE)
        return dcb__fail(error, DCB_ERR_LIMIT, DCB_NO_OFFSET, "Pixel Data holds at most %u bytes",
                         MAX_PIXEL_VALUE);
    dcb__dataset_write(&t->before, t->head, 0, UINT32_MAX);
    put_native_head(t, vr, whole);
    dcb__dataset_write(&t->after, t->tail, 0, UINT32_MAX);
    dcb_status status =
        create_frame(out, &pixels, t, dcb_encoding_uid(t->encoding), (size_t)whole, error);
    for (uint32_t i = 0; i < f->nframes && status == DCB_OK; i++)
        status = dcb__frames_samples(pixels + i * f->frame_nbytes, f, i, error);
    if (status != DCB_OK)
        return status;
    if (whole > samples)
        pixels[samples] = 0;
    if (t->before.syntax == DCB_SYNTAX_EXPLICIT_BE)
        dcb__swap_value(vr, pixels, (size_t)whole);
    return DCB_OK;
}

typedef struct codestreams {
    struct codestream {
        uint8_t *bytes;
        size_t nbytes;
    } * items;
    uint32_t count;
    uint64_t nbytes; /* of the items with their heads, even */
} codestreams;

static void free_codestreams(codestreams *all)
{
    for (uint32_t i = 0; i < all->count; i++)
        free(all->items[i].bytes);
    free(all->items);
}

static dcb_status encode_all(codestreams *all, const transcoding *t, dcb_error *error)
{
    const dcb__frames *f = &t->frames;
    uint8_t *samples = malloc(f->frame_nbytes);
    all->items = calloc(f->nframes, sizeof *all->items);
    dcb_status status = samples != NULL && all->items != NULL
                            ? DCB_OK
                            : dcb__fail_no_memory(error, f->frame_nbytes);
    for (uint32_t i = 0; i < f->nframes && status == DCB_OK; i++) {
        struct codestream *item = &all->items[i];
        status = dcb__frames_samples(samples, f, i, error);
        if (status == DCB_OK)
            status =
                dcb__frames_encode(&item->bytes, &item->nbytes, f, samples, t->encoding, error);
        if (status == DCB_OK && item->nbytes > MAX_PIXEL_VALUE)
            status = dcb__fail(error, DCB_ERR_LIMIT, DCB_NO_OFFSET, "a frame is over 4 GiB");
        all->count = i + 1;
        all->nbytes += ITEM_HEAD + item->nbytes + (item->nbytes & 1);
    }
    free(samples);
    return status;
}

static uint8_t *put_item_head(uint8_t *to, uint32_t nbytes)
{
    static const uint8_t tag[] = {0xFE, 0xFF, 0x00, 0xE0};
    memcpy(to, tag, sizeof tag);
    dcb__store(to + 4, nbytes, 4);
    return to + ITEM_HEAD;
}

/* PS3.5 A.4: an offset table, a fragment a frame. The table is empty where it would hold nothing
   that matters, or cannot hold what it should. */
static dcb_status make_compressed(dcb_frame **out, transcoding *t, const codestreams *all,
                                  dcb_error *error)
{
    static const uint8_t start[] = {0xE0, 0x7F, 0x10, 0x00, 'O', 'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF};
    static const uint8_t end[] = {0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0};
    const bool has_table = all->count > 1 && all->nbytes <= UINT32_MAX;
    const uint32_t table = has_table ? all->count * 4 : 0;
    uint8_t *to = NULL;
    dcb__dataset_write(&t->before, t->head, 0, UINT32_MAX);
    dcb__writer_append(&t->before, start, sizeof start);
    dcb__writer_append(&t->after, end, sizeof end);
    dcb__dataset_write(&t->after, t->tail, 0, UINT32_MAX);
    dcb_status status = create_frame(out, &to, t, dcb_encoding_uid(t->encoding),
                                     (size_t)(ITEM_HEAD + table + all->nbytes), error);
    if (status != DCB_OK)
        return status;
    to = put_item_head(to, table);
    uint64_t offset = 0;
    for (uint32_t i = 0; has_table && i < all->count; i++, to += 4) {
        dcb__store(to, offset, 4);
        offset += ITEM_HEAD + all->items[i].nbytes + (all->items[i].nbytes & 1);
    }
    for (uint32_t i = 0; i < all->count; i++) {
        const size_t n = all->items[i].nbytes;
        to = put_item_head(to, (uint32_t)(n + (n & 1)));
        memcpy(to, all->items[i].bytes, n);
        if (n & 1)
            to[n] = 0;
        to += n + (n & 1);
    }
    return DCB_OK;
}

static dcb_status make_without_pixels(dcb_frame **out, transcoding *t, dcb_error *error)
{
    uint8_t *pixels;
    dcb__dataset_write(&t->before, t->head, 0, UINT32_MAX);
    return create_frame(out, &pixels, t, dcb_encoding_uid(t->encoding), 0, error);
}

static dcb_status make(dcb_frame **out, const dcb__transcode_source *source, dcb_encoding encoding,
                       dcb_error *error)
{
    transcoding t;
    dcb_status status = open_transcoding(&t, source, encoding, error);
    if (status == DCB_OK && !t.has_pixels) {
        status = make_without_pixels(out, &t, error);
    } else if (status == DCB_OK && is_native(encoding)) {
        status = make_native(out, &t, error);
    } else if (status == DCB_OK) {
        codestreams all = {NULL, 0, 0};
        status = encode_all(&all, &t, error);
        if (status == DCB_OK)
            status = make_compressed(out, &t, &all, error);
        free_codestreams(&all);
    }
    close_transcoding(&t);
    if (status != DCB_OK) {
        dcb_frame_release(*out);
        *out = NULL;
    }
    return status;
}

static dcb_status make_deflated(dcb_frame **out, const dcb__transcode_source *source,
                                dcb_error *error)
{
    dcb_frame *plain = NULL;
    uint8_t *packed = NULL, *to = NULL;
    size_t nbytes = 0, packed_nbytes = 0;
    dcb_status status = make(&plain, source, DCB_ENCODING_EXPLICIT_LE, error);
    if (status == DCB_OK) {
        const uint8_t *bytes = dcb_frame_dataset(plain, &nbytes);
        status = dcb__deflate(&packed, &packed_nbytes, bytes, nbytes, error);
    }
    dcb_frame_release(plain);
    if (status == DCB_OK) {
        transcoding none = {.source = source};
        status = create_frame(out, &to, &none, dcb_encoding_uid(DCB_ENCODING_DEFLATED),
                              packed_nbytes, error);
    }
    if (status == DCB_OK)
        memcpy(to, packed, packed_nbytes);
    free(packed);
    return status;
}

dcb_status dcb__transcode(dcb_frame **out, const dcb__transcode_source *source,
                          dcb_encoding encoding, dcb_error *error)
{
    *out = NULL;
    return encoding == DCB_ENCODING_DEFLATED ? make_deflated(out, source, error)
                                             : make(out, source, encoding, error);
}

dcb_status dcb__transcode_samples(uint8_t **samples, size_t *nbytes, dcb_pixel_format *format,
                                  const dcb__transcode_source *source, dcb_error *error)
{
    transcoding t;
    uint8_t *own = NULL;
    dcb_status status = open_transcoding(&t, source, DCB_ENCODING_EXPLICIT_LE, error);
    if (status == DCB_OK && !t.has_pixels)
        status = dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET, "it has no Pixel Data");
    if (status == DCB_OK && (own = malloc(t.frames.frame_nbytes)) == NULL)
        status = dcb__fail_no_memory(error, t.frames.frame_nbytes);
    t.frames.to_rgb = false;
    if (status == DCB_OK)
        status = dcb__frames_samples(own, &t.frames, 0, error);
    if (status == DCB_OK) {
        const dcb__pixel_layout *l = &t.frames.layout;
        format->rows = l->rows;
        format->columns = l->columns;
        format->samples_per_pixel = l->samples;
        format->bits_allocated = l->allocated;
        format->bits_stored = t.frames.bits_stored;
        format->is_signed = l->is_signed;
        *samples = own;
        *nbytes = t.frames.frame_nbytes;
        own = NULL;
    }
    free(own);
    close_transcoding(&t);
    return status;
}
