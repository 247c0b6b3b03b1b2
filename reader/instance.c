/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance.c - one frame as a complete DICOM instance: Part 10 head, the slice's data set, pixels,
 * each written or decoded straight to where it stays.
 *
 * Threads: any.
 */
#include "series.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "data_set_walk.h"
#include "dcb_error.h"
#include "exact.h"
#include "frame.h"
#include "part10.h"
#include "transcode.h"

#define USUAL_OWN_NBYTES 2048u /* a slice's own elements: more only costs another allocation */
#define MAX_PIXEL_VALUE  0xFFFFFFFEu

static dcb_syntax syntax_of(dcb_encoding encoding)
{
    return encoding == DCB_ENCODING_IMPLICIT_LE   ? DCB_SYNTAX_IMPLICIT_LE
           : encoding == DCB_ENCODING_EXPLICIT_BE ? DCB_SYNTAX_EXPLICIT_BE
                                                  : DCB_SYNTAX_EXPLICIT_LE;
}

/* The variant of a slice's text form, made at the first call. */
static dcb_status get_variant(const dcb__variant **out, dcb_series *series, uint32_t frame,
                              dcb_encoding encoding, dcb_error *error)
{
    const dcb__form *form = dcb__model_form(series->model, frame);
    dcb_syntax syntax = syntax_of(encoding);
    const char *photometric = NULL;
    unsigned which = (unsigned)syntax;
    if (encoding == DCB_ENCODING_STORED && series->common.component_transform) {
        photometric = series->common.reversible ? "YBR_RCT" : "YBR_ICT";
        which = DCB_VARIANT_STORED;
    }
    _Atomic(dcb__variant *) *slot = &series->variants[which][form == series->model->utf8];
    dcb__variant *variant = atomic_load_explicit(slot, memory_order_acquire);
    if (variant == NULL) {
        dcb__variant *own = NULL;
        dcb_status status = dcb__variant_create(&own, form, syntax, photometric, error);
        if (status != DCB_OK)
            return status;
        if (atomic_compare_exchange_strong(slot, &variant, own))
            variant = own;
        else
            dcb__variant_free(own);
    }
    *out = variant;
    return DCB_OK;
}

/* What stands around the pixels: the data set before them with the element's header, and after. */
typedef struct envelope {
    uint8_t head[DCB_PART10_ROOM];
    size_t head_nbytes; /* Part 10 head */
    dcb_syntax syntax;
    const dcb__variant *variant; /* NULL: exact */
    dcb__exact_parts exact;
    dcb__writer before, after;
} envelope;

static dcb_status envelope_open(envelope *e, dcb_series *series, uint32_t frame,
                                dcb_encoding encoding, dcb_error *error)
{
    *e = (envelope){.syntax = syntax_of(encoding)};
    dcb__writer_init(&e->before, e->syntax);
    dcb__writer_init(&e->after, e->syntax);
    if (series->trailer != NULL)
        return dcb__exact_parts_open(&e->exact, series, frame, encoding, error);
    dcb_status status = get_variant(&e->variant, series, frame, encoding, error);
    if (status == DCB_OK)
        dcb__writer_reserve(&e->before, e->variant->shared_nbytes + USUAL_OWN_NBYTES);
    return status;
}

static void put_part(envelope *e, uint32_t frame, dcb__part part)
{
    dcb__writer *writer = part == DCB_BEFORE_PIXELS ? &e->before : &e->after;
    if (e->variant != NULL)
        dcb__variant_write(writer, e->variant, frame, part);
    else
        dcb__exact_parts_write(writer, &e->exact, part);
}

static void envelope_free(envelope *e)
{
    dcb__writer_free(&e->before);
    dcb__writer_free(&e->after);
    dcb__exact_parts_close(&e->exact);
}

static void put_encapsulated(envelope *e, uint64_t nbytes)
{
    /* PS3.5 A.4: OB of undefined length, an empty Basic Offset Table, one fragment. */
    uint8_t start[] = {0xE0, 0x7F, 0x10, 0x00, 'O',  'B',  0, 0, 0xFF, 0xFF,
                       0xFF, 0xFF, 0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0,    0,
                       0xFE, 0xFF, 0x00, 0xE0, 0,    0,    0, 0};
    static const uint8_t end[] = {0, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0};
    uint64_t even = nbytes + (nbytes & 1);
    dcb__store(start + sizeof start - 4, even, 4);
    dcb__writer_append(&e->before, start, sizeof start);
    dcb__writer_append(&e->after, even > nbytes ? end : end + 1, even > nbytes ? 9 : 8);
}

/* Pixel Data's value where it is not encapsulated. */
typedef struct native_form {
    dcb_vr vr;
    bool exact;
    dcb__pixel_layout layout; /* of exact ones */
    uint64_t nbytes;          /* samples, tail and padding */
    size_t samples_nbytes, tail_nbytes, pad;
} native_form;

static native_form native_form_of(const dcb_series *series, uint32_t frame,
                                  const dcb__codestream *header, const envelope *e,
                                  dcb_encoding encoding)
{
    native_form form = {.exact = series->trailer != NULL};
    if (form.exact) {
        form.layout = dcb__exact_layout(series, frame);
        form.vr = series->trailer->slices[frame].pixel_vr;
        form.nbytes = dcb__layout_nbytes(&form.layout);
        form.tail_nbytes = e->exact.slice.tail_nbytes;
    } else {
        /* PS3.5 A.1, A.2: OW in Implicit VR; of 8 bits and less, OB is right in Explicit VR. */
        form.vr = header->precision <= 8 ? DCB_VR('O', 'B') : DCB_VR('O', 'W');
        form.nbytes = (uint64_t)header->rows * header->columns * header->components *
                      dcb__codestream_sample_nbytes(header);
    }
    form.samples_nbytes = (size_t)form.nbytes;
    form.nbytes += form.tail_nbytes;
    /* The source's own length stays as it is, though it be odd. */
    form.pad = !form.exact || encoding != DCB_ENCODING_EXPLICIT_LE ? form.nbytes & 1 : 0;
    form.nbytes += form.pad;
    return form;
}

static void put_native(envelope *e, const native_form *form)
{
    dcb_vr vr = form->vr;
    dcb_syntax syntax = e->syntax;
    uint8_t start[12] = {0xE0, 0x7F, 0x10, 0x00, (uint8_t)(vr >> 8), (uint8_t)vr};
    size_t head = syntax == DCB_SYNTAX_IMPLICIT_LE ? 8 : 12;
    dcb__store(start + head - 4, form->nbytes, 4);
    if (syntax == DCB_SYNTAX_EXPLICIT_BE) {
        static const uint8_t tag[] = {0x7F, 0xE0, 0x00, 0x10};
        memcpy(start, tag, sizeof tag);
        for (unsigned i = 0; i < 4; i++)
            start[8 + i] = (uint8_t)(form->nbytes >> (8 * (3 - i)));
    }
    dcb__writer_append(&e->before, start, head);
}

static dcb_status check_writers(const envelope *e, dcb_error *error)
{
    const dcb__writer *failed = e->before.status != DCB_OK  ? &e->before
                                : e->after.status != DCB_OK ? &e->after
                                                            : NULL;
    if (failed == NULL)
        return DCB_OK;
    if (error != NULL)
        *error = failed->error;
    return failed->status;
}

/* The frame with all bytes in place but the pixels', which begin at *pixels. */
static dcb_status create_frame(dcb_frame **out, uint8_t **pixels, dcb_series *series,
                               uint32_t frame, const char *syntax_uid, envelope *e, size_t nbytes,
                               dcb_error *error)
{
    dcb_status status = check_writers(e, error);
    if (status != DCB_OK)
        return status;
    const dcb__model *model = series->model;
    e->head_nbytes = dcb__part10_header(e->head, syntax_uid, model->class_uids[frame],
                                        model->instance_uids[frame]);
    size_t before = e->head_nbytes + e->before.nbytes;
    dcb__frame_layout layout = {.part10_nbytes = before + nbytes + e->after.nbytes,
                                .dataset_offset = e->head_nbytes,
                                .transfer_syntax_uid = syntax_uid,
                                .sop_class_uid = model->class_uids[frame],
                                .sop_instance_uid = model->instance_uids[frame]};
    uint8_t *bytes = NULL;
    status = dcb__frame_create(out, &bytes, &layout, error);
    if (status != DCB_OK)
        return status;
    memcpy(bytes, e->head, e->head_nbytes);
    memcpy(bytes + e->head_nbytes, e->before.bytes, e->before.nbytes);
    if (e->after.nbytes > 0)
        memcpy(bytes + before + nbytes, e->after.bytes, e->after.nbytes);
    *pixels = bytes + before;
    return DCB_OK;
}

/* One read: the syntax is guessed from the other frames, which it nearly always shares. *guess is
   what the codestream really is, afterwards. */
static dcb_status try_stored(dcb_frame **out, dcb__codestream *guess, dcb_series *series,
                             uint32_t frame, const dcb__frame_place *place, envelope *e,
                             dcb_error *error)
{
    const char *syntax_uid = dcb__codestream_syntax_uid(guess);
    uint8_t *pixels = NULL;
    dcb_frame *made = NULL;
    dcb_status status =
        create_frame(&made, &pixels, series, frame, syntax_uid, e, (size_t)place->nbytes, error);
    if (status == DCB_OK)
        status = dcb__read_codestream(pixels, guess, series, frame, place, error);
    if (status == DCB_OK && strcmp(syntax_uid, dcb__codestream_syntax_uid(guess)) == 0) {
        *out = made;
        return DCB_OK;
    }
    dcb_frame_release(made);
    return status;
}

static dcb_status make_stored(dcb_frame **out, dcb_series *series, uint32_t frame, envelope *e,
                              dcb_error *error)
{
    dcb__frame_place place;
    dcb__codestream header = series->common;
    dcb_status status = dcb__container_frame(&place, &series->container, frame, error);
    if (status == DCB_OK && place.nbytes > MAX_PIXEL_VALUE)
        status = dcb__fail(error, DCB_ERR_LIMIT, place.offset,
                           "frame %" PRIu32 ": a fragment holds at most %u bytes", frame,
                           MAX_PIXEL_VALUE);
    if (status == DCB_OK && !series->has_common)
        status = dcb__frame_header(&header, &place, series, frame, error);
    if (status != DCB_OK)
        return status;
    put_part(e, frame, DCB_BEFORE_PIXELS);
    put_encapsulated(e, place.nbytes);
    put_part(e, frame, DCB_AFTER_PIXELS);
    for (int tries = 0; status == DCB_OK && *out == NULL && tries < 2; tries++)
        status = try_stored(out, &header, series, frame, &place, e, error);
    return status;
}

/* Decoded samples of a frame at `to`, which is even: samples of four bytes may need another place
   to be decoded at. */
static dcb_status decode_to(uint8_t *to, size_t nbytes, const uint8_t *codestream,
                            const dcb__frame_place *place, const dcb__codestream *header,
                            uint32_t frame, dcb_error *error)
{
    dcb_error own = DCB_ERROR_INIT;
    uint8_t *aligned = NULL;
    if ((uintptr_t)to % dcb__codestream_sample_nbytes(header) != 0) {
        aligned = malloc(nbytes);
        if (aligned == NULL)
            return dcb__fail_no_memory(error, nbytes);
    }
    dcb_status status = dcb__decode(aligned != NULL ? aligned : to, nbytes, header, codestream,
                                    (size_t)place->nbytes, 0, DCB_CODEC_ANY, &own);
    if (status == DCB_OK && aligned != NULL)
        memcpy(to, aligned, nbytes);
    free(aligned);
    if (status != DCB_OK)
        dcb__fail(error, status, place->offset, "frame %" PRIu32 ": %s", frame, own.message);
    return status;
}

/* Decoded samples in the form that the data set tells. */
static dcb_status put_samples(uint8_t *to, const native_form *form, const uint8_t *codestream,
                              const dcb__frame_place *place, const dcb__codestream *header,
                              uint32_t frame, dcb_error *error)
{
    if (!form->exact)
        return decode_to(to, form->samples_nbytes, codestream, place, header, frame, error);
    const dcb__pixel_layout *layout = &form->layout;
    if (header->components != layout->samples || header->precision > layout->allocated)
        return dcb__fail(error, DCB_ERR_CODESTREAM, place->offset,
                         "frame %" PRIu32 ": the codestream is not what the exact trailer says",
                         frame);
    unsigned container = dcb__codec_container(header->precision);
    if (container * 8 == layout->allocated && (!layout->by_plane || layout->samples == 1))
        return decode_to(to, form->samples_nbytes, codestream, place, header, frame, error);
    size_t nbytes = (size_t)layout->rows * layout->columns * layout->samples * container;
    uint8_t *samples = malloc(nbytes);
    if (samples == NULL)
        return dcb__fail_no_memory(error, nbytes);
    dcb_status status = decode_to(samples, nbytes, codestream, place, header, frame, error);
    if (status == DCB_OK)
        dcb__layout_from_codec(to, layout, samples, header->precision);
    free(samples);
    return status;
}

static dcb_status make_native(dcb_frame **out, dcb_series *series, uint32_t frame,
                              dcb_encoding encoding, envelope *e, dcb_error *error)
{
    dcb__frame_place place;
    dcb__codestream header;
    uint8_t *codestream = NULL, *pixels = NULL;
    dcb_status status = dcb__frame_codestream(&codestream, &header, &place, series, frame, error);
    if (status == DCB_OK)
        status = dcb__source_check_cancelled(series->source, error);
    if (status != DCB_OK) {
        free(codestream);
        return status;
    }
    native_form form = native_form_of(series, frame, &header, e, encoding);
    if (form.nbytes > MAX_PIXEL_VALUE) {
        free(codestream);
        return dcb__fail(error, DCB_ERR_LIMIT, place.offset,
                         "frame %" PRIu32 ": Pixel Data holds at most %u bytes", frame,
                         MAX_PIXEL_VALUE);
    }
    put_part(e, frame, DCB_BEFORE_PIXELS);
    put_native(e, &form);
    put_part(e, frame, DCB_AFTER_PIXELS);
    status = create_frame(out, &pixels, series, frame, dcb_encoding_uid(encoding), e,
                          (size_t)form.nbytes, error);
    if (status == DCB_OK)
        status = put_samples(pixels, &form, codestream, &place, &header, frame, error);
    if (status == DCB_OK && form.tail_nbytes > 0)
        memcpy(pixels + form.samples_nbytes, e->exact.slice.tail, form.tail_nbytes);
    if (status == DCB_OK)
        memset(pixels + form.nbytes - form.pad, 0, form.pad);
    if (status == DCB_OK && e->syntax == DCB_SYNTAX_EXPLICIT_BE)
        dcb__swap_value(form.vr, pixels, (size_t)form.nbytes);
    free(codestream);
    return status;
}

static dcb_status make_deflated(dcb_frame **out, dcb_series *series, uint32_t frame, envelope *e,
                                dcb_error *error)
{
    dcb_frame *plain = NULL;
    uint8_t *packed = NULL, *place = NULL;
    size_t nbytes = 0, packed_nbytes = 0;
    dcb_status status = make_native(&plain, series, frame, DCB_ENCODING_EXPLICIT_LE, e, error);
    if (status == DCB_OK)
        status = dcb__source_check_cancelled(series->source, error);
    if (status == DCB_OK) {
        const uint8_t *bytes = dcb_frame_dataset(plain, &nbytes);
        status = dcb__deflate(&packed, &packed_nbytes, bytes, nbytes, error);
    }
    dcb_frame_release(plain);
    if (status == DCB_OK) {
        e->before.nbytes = e->after.nbytes = 0;
        status = create_frame(out, &place, series, frame, dcb_encoding_uid(DCB_ENCODING_DEFLATED),
                              e, packed_nbytes, error);
    }
    if (status == DCB_OK)
        memcpy(place, packed, packed_nbytes);
    free(packed);
    return status;
}

/* From decoded pixels. */
static dcb_status make_compressed(dcb_frame **out, dcb_series *series, uint32_t frame,
                                  dcb_encoding encoding, dcb_error *error)
{
    dcb_frame *plain = NULL;
    dcb_status status = dcb__instance_make(&plain, series, frame, DCB_ENCODING_EXPLICIT_LE, error);
    if (status == DCB_OK)
        status = dcb__source_check_cancelled(series->source, error);
    if (status == DCB_OK) {
        dcb__transcode_source from = {.syntax_uid = dcb_frame_transfer_syntax_uid(plain),
                                      .sop_class_uid = dcb_frame_sop_class_uid(plain),
                                      .sop_instance_uid = dcb_frame_sop_instance_uid(plain),
                                      .limits = &series->limits,
                                      .codec = series->codec};
        from.dataset = dcb_frame_dataset(plain, &from.nbytes);
        status = dcb__transcode(out, &from, encoding, error);
    }
    dcb_frame_release(plain);
    return status;
}

dcb_status dcb__instance_make(dcb_frame **out, void *context, uint32_t frame, dcb_encoding encoding,
                              dcb_error *error)
{
    dcb_series *series = context;
    *out = NULL;
    if (series->part10 != NULL)
        return dcb__part10_frame(out, series->part10, series->source, &series->limits,
                                 series->codec, encoding, error);
    if (encoding >= DCB_ENCODING_COUNT)
        return make_compressed(out, series, frame, encoding, error);
    if (series->pixel_problem != NULL) {
        dcb__codestream header;
        dcb__frame_place place;
        dcb_status why = dcb__frame_header(&header, &place, series, frame, error);
        return why != DCB_OK ? why
                             : dcb__fail(error, DCB_ERR_UNSUPPORTED, place.offset,
                                         "frame %" PRIu32 ": %s", frame, series->pixel_problem);
    }
    dcb_frame *made = NULL;
    envelope e;
    dcb_status status = envelope_open(&e, series, frame, encoding, error);
    if (status != DCB_OK)
        return status;
    if (encoding == DCB_ENCODING_STORED)
        status = make_stored(&made, series, frame, &e, error);
    else if (encoding == DCB_ENCODING_DEFLATED)
        status = make_deflated(&made, series, frame, &e, error);
    else
        status = make_native(&made, series, frame, encoding, &e, error);
    envelope_free(&e);
    if (status != DCB_OK) {
        dcb_frame_release(made);
        return status;
    }
    *out = made;
    return DCB_OK;
}

dcb_status dcb__instance_dataset(uint8_t **bytes, size_t *nbytes, dcb_series *series,
                                 uint32_t frame, dcb_error *error)
{
    *bytes = NULL;
    envelope e;
    dcb_status status = envelope_open(&e, series, frame, DCB_ENCODING_EXPLICIT_LE, error);
    if (status != DCB_OK)
        return status;
    put_part(&e, frame, DCB_BEFORE_PIXELS);
    dcb__writer after = e.after; /* one buffer for both */
    e.after = e.before;
    put_part(&e, frame, DCB_AFTER_PIXELS);
    e.before = after;
    status = dcb__writer_finish(bytes, nbytes, &e.after, error);
    envelope_free(&e);
    return status;
}
