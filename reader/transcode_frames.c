/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transcode_frames.c - frames of an instance to samples, and samples to codestreams.
 *
 * Invariant: what the data set says of the pixels, the codestreams say too, and there are exactly
 * as many frames as it says; else nothing is given.
 */
#include "transcode.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "codec.h"
#include "data_set_walk.h"
#include "dcb_error.h"

static bool is_one_of(const char *uid, const char *const *uids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(uid, uids[i]) == 0)
            return true;
    }
    return false;
}

static bool is_htj2k(const char *uid)
{
    static const char *const uids[] = {"1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202",
                                       "1.2.840.10008.1.2.4.203"};
    return is_one_of(uid, uids, 3);
}

/* DCT: baseline, extended, spectral selection, full progression. */
static bool is_lossy_jpeg(const char *uid)
{
    static const char *const uids[] = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51",
                                       "1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"};
    return is_one_of(uid, uids, 4);
}

/* ---- What the data set says ------------------------------------------------------------------ */

static uint32_t number_of(const dcb_dataset *dataset, uint32_t tag, uint32_t otherwise)
{
    const dcb_element *element = dcb_dataset_find(dataset, tag);
    return element != NULL && element->nbytes == 2 && element->value != NULL
               ? dcb__load16(element->value)
               : otherwise;
}

static bool read_nframes(uint32_t *out, const dcb_dataset *dataset)
{
    char text[16], *end;
    const ptrdiff_t length =
        dcb_dataset_get_text(dataset, DCB_TAG(0x0028, 0x0008), text, sizeof text);
    *out = 1;
    if (length <= 0)
        return true;
    const long value = length < (ptrdiff_t)sizeof text ? strtol(text, &end, 10) : 0;
    *out = (uint32_t)value;
    return value > 0 && value <= INT32_MAX && *end == '\0';
}

static dcb_status read_shape(dcb__frames *out, const dcb_dataset *head, dcb_error *error)
{
    const dcb_limits *limits = out->source->limits;
    dcb__pixel_layout *l = &out->layout;
    *l = (dcb__pixel_layout){
        .rows = number_of(head, DCB_TAG(0x0028, 0x0010), 0),
        .columns = number_of(head, DCB_TAG(0x0028, 0x0011), 0),
        .samples = (uint16_t)number_of(head, DCB_TAG(0x0028, 0x0002), 1),
        .allocated = (uint16_t)number_of(head, DCB_TAG(0x0028, 0x0100), 0),
        .by_plane = number_of(head, DCB_TAG(0x0028, 0x0006), 0) == 1,
        .is_signed = number_of(head, DCB_TAG(0x0028, 0x0103), 0) == 1,
    };
    out->bits_stored = (uint16_t)number_of(head, DCB_TAG(0x0028, 0x0101), l->allocated);
    if (l->allocated != 8 && l->allocated != 16 && l->allocated != 32)
        return dcb__fail(error, DCB_ERR_ENCODING, DCB_NO_OFFSET,
                         "samples of %u bits allocated: 8, 16 or 32 can be transcoded",
                         l->allocated);
    if (!read_nframes(&out->nframes, head) || l->rows == 0 || l->columns == 0 || l->samples == 0 ||
        l->samples > 4 || out->bits_stored == 0 || out->bits_stored > l->allocated)
        return dcb__fail(error, DCB_ERR_META, DCB_NO_OFFSET,
                         "the data set does not say how its pixels lie");
    const uint64_t frame = dcb__layout_nbytes(l);
    if (out->nframes > limits->max_frames || frame > limits->max_pixel_bytes / out->nframes)
        return dcb__fail(error, DCB_ERR_LIMIT, DCB_NO_OFFSET,
                         "%" PRIu32 " frames of %" PRIu64 " bytes are over the limit, %" PRIu64
                         " bytes",
                         out->nframes, frame, limits->max_pixel_bytes);
    out->frame_nbytes = (size_t)frame;
    dcb_dataset_get_text(head, DCB_TAG(0x0028, 0x0004), out->photometric, sizeof out->photometric);
    return DCB_OK;
}

static dcb_status check_native(const dcb__frames *f, dcb_error *error)
{
    const uint64_t wanted = (uint64_t)f->frame_nbytes * f->nframes;
    if (!f->place.encapsulated && f->place.nbytes == wanted + (wanted & 1))
        return DCB_OK;
    return dcb__fail(error, DCB_ERR_ENCODING, f->place.start,
                     "Pixel Data has %zu bytes, %" PRIu64 " make up its frames", f->place.nbytes,
                     wanted);
}

dcb_status dcb__frames_open(dcb__frames *out, const dcb__transcode_source *source,
                            const dcb__pixel_place *place, const dcb_dataset *head,
                            dcb_error *error)
{
    *out = (dcb__frames){.source = source, .place = *place};
    dcb_status status = read_shape(out, head, error);
    if (status != DCB_OK)
        return status;
    if (dcb__syntax_is_native(source->syntax_uid))
        return check_native(out, error);
    if (!place->encapsulated)
        return dcb__fail(error, DCB_ERR_DATASET, place->start,
                         "Pixel Data is native in a compressed transfer syntax");
    out->layout.by_plane = false; /* codestreams have an order of their own */
    out->to_rgb = is_lossy_jpeg(source->syntax_uid) && out->layout.samples == 3 &&
                  out->layout.allocated == 8 && strncmp(out->photometric, "YBR_FULL", 8) == 0;
    return dcb__fragments_read(&out->fragments, place, source->dataset, out->nframes,
                               strcmp(source->syntax_uid, "1.2.840.10008.1.2.5") != 0, error);
}

void dcb__frames_close(dcb__frames *frames)
{
    dcb__fragments_free(&frames->fragments);
}

static dcb_pixel_shape shape_of(const dcb__frames *f)
{
    return (dcb_pixel_shape){f->layout.rows,      f->layout.columns, f->layout.samples,
                             f->layout.allocated, f->bits_stored,    f->layout.is_signed,
                             f->photometric};
}

/* ---- Decoding -------------------------------------------------------------------------------- */

static dcb_status decode_htj2k(uint8_t *to, const dcb__frames *f, const uint8_t *codestream,
                               size_t nbytes, dcb_error *error)
{
    const dcb__pixel_layout *l = &f->layout;
    dcb__codestream header;
    dcb_status status =
        dcb__codestream_read(&header, codestream, nbytes, 0, f->source->limits, error);
    if (status != DCB_OK)
        return status;
    if (header.rows != l->rows || header.columns != l->columns || header.components != l->samples ||
        header.precision > l->allocated || header.is_signed != l->is_signed)
        return dcb__fail(error, DCB_ERR_CODESTREAM, DCB_NO_OFFSET,
                         "its codestream is %u x %u x %u of %u bits, not what the data set says",
                         header.columns, header.rows, header.components, header.precision);
    const size_t size =
        (size_t)l->rows * l->columns * l->samples * dcb__codestream_sample_nbytes(&header);
    uint8_t *samples = malloc(size);
    if (samples == NULL)
        return dcb__fail_no_memory(error, size);
    status = dcb__decode(samples, size, &header, codestream, nbytes, 0, DCB_CODEC_ANY, error);
    if (status == DCB_OK)
        dcb__layout_from_codec(to, l, samples, header.precision);
    free(samples);
    return status;
}

static uint8_t clamp(int32_t value)
{
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

/* PS3.3 C.7.6.3.1.2, in 16 bits of fraction, rounded, as the usual JPEG libraries do. */
static void convert_to_rgb(uint8_t *samples, size_t npixels)
{
    for (size_t i = 0; i < npixels; i++, samples += 3) {
        const int32_t y = samples[0], cb = samples[1] - 128, cr = samples[2] - 128;
        samples[0] = clamp(y + ((91881 * cr + 32768) >> 16));
        samples[1] = clamp(y + ((-22554 * cb - 46802 * cr + 32768) >> 16));
        samples[2] = clamp(y + ((116130 * cb + 32768) >> 16));
    }
}

static dcb_status decode(uint8_t *to, const dcb__frames *f, uint32_t frame, dcb_error *error)
{
    const dcb__transcode_source *source = f->source;
    const dcb_pixel_codec *codec = source->codec;
    const uint8_t *codestream;
    size_t nbytes;
    uint8_t *own;
    dcb_status status =
        dcb__fragments_frame(&codestream, &nbytes, &own, &f->fragments, frame, error);
    if (status != DCB_OK)
        return status;
    const dcb_pixel_shape shape = shape_of(f);
    if (is_htj2k(source->syntax_uid))
        status = decode_htj2k(to, f, codestream, nbytes, error);
    else if (codec == NULL)
        status =
            dcb__fail(error, DCB_ERR_UNSUPPORTED, f->place.start,
                      "it is compressed (%s), and there is no codec for that", source->syntax_uid);
    else
        status = codec->decode(codec->context, to, f->frame_nbytes, &shape, source->syntax_uid,
                               codestream, nbytes, error);
    if (status == DCB_OK && f->to_rgb)
        convert_to_rgb(to, (size_t)f->layout.rows * f->layout.columns);
    free(own);
    return status;
}

dcb_status dcb__frames_samples(uint8_t *to, const dcb__frames *f, uint32_t frame, dcb_error *error)
{
    if (f->place.encapsulated)
        return decode(to, f, frame, error);
    const uint8_t *from = f->source->dataset + f->place.value + frame * f->frame_nbytes;
    if (f->layout.by_plane && f->layout.samples > 1)
        dcb__layout_to_codec(to, &f->layout, from, f->layout.allocated);
    else
        memcpy(to, from, f->frame_nbytes);
    return DCB_OK;
}

/* ---- Lossy or not ---------------------------------------------------------------------------- */

/* The parameter NEAR of the first scan (ISO/IEC 14495-1 C.2.3); 0 is lossless. */
static bool is_near_lossless(const uint8_t *bytes, size_t nbytes)
{
    for (size_t at = 2; at + 5 <= nbytes && bytes[at] == 0xFF;) {
        const size_t length = (size_t)bytes[at + 2] << 8 | bytes[at + 3];
        const size_t near = at + 5 + (size_t)2 * bytes[at + 4];
        if (bytes[at + 1] == 0xDA)
            return near >= nbytes || bytes[near] != 0;
        at += 2 + length;
    }
    return true;
}

/* The transform of the first COD marker segment (ISO/IEC 15444-1 A.6.1): 1 is reversible. A JP2
   file around the codestream is passed over by looking for its start. */
static bool is_irreversible(const uint8_t *bytes, size_t nbytes)
{
    static const uint8_t start[] = {0xFF, 0x4F, 0xFF, 0x51};
    const uint8_t *found = memmem(bytes, nbytes, start, sizeof start);
    if (found == NULL)
        return true;
    for (size_t at = (size_t)(found - bytes) + 2; at + 14 <= nbytes && bytes[at] == 0xFF;) {
        if (bytes[at + 1] == 0x52)
            return bytes[at + 13] != 1;
        at += 2 + ((size_t)bytes[at + 2] << 8 | bytes[at + 3]);
    }
    return true;
}

bool dcb__frames_lossy(const dcb__frames *f)
{
    static const char *const j2k[] = {"1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"};
    const char *uid = f->source->syntax_uid;
    const uint8_t *codestream;
    size_t nbytes;
    uint8_t *own;
    if (is_lossy_jpeg(uid))
        return true;
    if (!f->place.encapsulated ||
        dcb__fragments_frame(&codestream, &nbytes, &own, &f->fragments, 0, NULL) != DCB_OK)
        return false;
    bool lossy = false;
    if (strcmp(uid, "1.2.840.10008.1.2.4.81") == 0)
        lossy = is_near_lossless(codestream, nbytes);
    else if (is_one_of(uid, j2k, 2))
        lossy = is_irreversible(codestream, nbytes);
    free(own);
    return lossy;
}

/* ---- Encoding -------------------------------------------------------------------------------- */

/* Decoders undo JPEG 2000's transforms and give chrominance its full resolution. */
static const char *decoded_photometric(const dcb__frames *f)
{
    if (f->to_rgb || strcmp(f->photometric, "YBR_RCT") == 0 ||
        strcmp(f->photometric, "YBR_ICT") == 0)
        return "RGB";
    return strcmp(f->photometric, "YBR_FULL_422") == 0 ? "YBR_FULL" : f->photometric;
}

const char *dcb__frames_photometric(const dcb__frames *f, dcb_encoding encoding)
{
    const char *now = f->place.encapsulated ? decoded_photometric(f) : f->photometric;
    /* PS3.5 8.2.4: RGB is what JPEG 2000's reversible component transform is for. */
    return encoding == DCB_ENCODING_J2K && strcmp(now, "RGB") == 0 ? "YBR_RCT" : now;
}

/* The fewest bits that hold all samples: those stored, or the whole container where some go beyond
   (overlays in unused bits). Other codecs than JPEG 2000's see containers as unsigned. */
static uint16_t precision_of(const dcb__frames *f, const uint8_t *samples, bool is_signed)
{
    dcb__pixel_layout by_pixel = f->layout;
    by_pixel.by_plane = false;
    by_pixel.is_signed = is_signed;
    return dcb__layout_fits(&by_pixel, samples, f->bits_stored) ? f->bits_stored
                                                                : f->layout.allocated;
}

static dcb_status encode_htj2k(uint8_t **codestream, size_t *nbytes, const dcb__frames *f,
                               const uint8_t *samples, dcb_error *error)
{
    const uint16_t precision = precision_of(f, samples, f->layout.is_signed);
    dcb__pixel_layout by_pixel = f->layout;
    by_pixel.by_plane = false;
    const size_t size =
        f->frame_nbytes / (f->layout.allocated / 8u) * dcb__codec_container(precision);
    uint8_t *narrow = malloc(size);
    if (narrow == NULL)
        return dcb__fail_no_memory(error, size);
    dcb__layout_to_codec(narrow, &by_pixel, samples, precision);
    dcb_status status = dcb__encode(codestream, nbytes, narrow, f->layout.rows, f->layout.columns,
                                    f->layout.samples, precision, f->layout.is_signed, error);
    free(narrow);
    if (status == DCB_ERR_UNSUPPORTED && error != NULL)
        error->status = DCB_ERR_ENCODING;
    return status == DCB_ERR_UNSUPPORTED ? DCB_ERR_ENCODING : status;
}

static dcb_status check_decoded(const dcb__frames *f, const dcb_pixel_shape *shape, const char *uid,
                                const uint8_t *codestream, size_t nbytes, const uint8_t *samples,
                                dcb_error *error)
{
    const dcb_pixel_codec *codec = f->source->codec;
    uint8_t *again = malloc(f->frame_nbytes);
    if (again == NULL)
        return dcb__fail_no_memory(error, f->frame_nbytes);
    dcb_status status = codec->decode(codec->context, again, f->frame_nbytes, shape, uid,
                                      codestream, nbytes, error);
    if (status != DCB_OK || memcmp(again, samples, f->frame_nbytes) != 0)
        status = dcb__fail(error, DCB_ERR_ENCODING, DCB_NO_OFFSET,
                           "samples of %u bits do not come back from %s as they went in",
                           shape->bits_stored, uid);
    free(again);
    return status;
}

dcb_status dcb__frames_encode(uint8_t **codestream, size_t *nbytes, const dcb__frames *f,
                              const uint8_t *samples, dcb_encoding encoding, dcb_error *error)
{
    const dcb_pixel_codec *codec = f->source->codec;
    const char *uid = dcb_encoding_uid(encoding);
    *codestream = NULL;
    *nbytes = 0;
    if (encoding == DCB_ENCODING_HTJ2K)
        return encode_htj2k(codestream, nbytes, f, samples, error);
    if (codec == NULL)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET, "there is no codec for %s",
                         uid);
    dcb_pixel_shape shape = shape_of(f);
    shape.photometric_interpretation = dcb__frames_photometric(f, encoding);
    shape.bits_stored =
        precision_of(f, samples, encoding == DCB_ENCODING_J2K && f->layout.is_signed);
    dcb_status status = codec->encode(codec->context, codestream, nbytes, samples, f->frame_nbytes,
                                      &shape, uid, error);
    if (status == DCB_OK)
        status = check_decoded(f, &shape, uid, *codestream, *nbytes, samples, error);
    if (status != DCB_OK) {
        free(*codestream);
        *codestream = NULL;
        *nbytes = 0;
    }
    return status;
}
