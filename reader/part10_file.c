/* SPDX-License-Identifier: Apache-2.0 */
/*
 * part10_file.c - reads Part 10 files: File Meta Information, the data set's head, the whole.
 *
 * Invariant: what goes out as STORED is the file's own bytes; what is transcoded has passed the
 * parser and the writer that all data sets here pass. Threads: any.
 */
#include "part10_file.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "data_set_walk.h"
#include "dcb_error.h"
#include "frame.h"
#include "part10.h"
#include "transcode.h"

#define TAG_SOP_CLASS    DCB_TAG(0x0008, 0x0016)
#define TAG_SOP_INSTANCE DCB_TAG(0x0008, 0x0018)
#define TAG_STUDY        DCB_TAG(0x0020, 0x000D)
#define TAG_SERIES       DCB_TAG(0x0020, 0x000E)
#define TAG_SIGN         DCB_TAG(0x0028, 0x0103)
#define TAG_PIXELS       DCB_TAG(0x7FE0, 0x0008) /* Float Pixel Data, the first of the three */

#define PREAMBLE   132u
#define META_MAX   (64u << 10)
#define FIRST_HEAD (256u << 10)

dcb_status dcb__part10_detect(bool *out, const dcb__source *source, dcb_error *error)
{
    char mark[4] = "";
    *out = false;
    if (dcb__source_size(source) < PREAMBLE)
        return DCB_OK;
    dcb_status status = dcb__source_read(source, mark, 4, 128, "the preamble", error);
    *out = status == DCB_OK && memcmp(mark, "DICM", 4) == 0;
    return status;
}

/* ---- File Meta Information ---- */

static void take_uid(char out[65], const uint8_t *value, size_t nbytes)
{
    while (nbytes > 0 && (value[nbytes - 1] == '\0' || value[nbytes - 1] == ' '))
        nbytes--;
    if (nbytes > 64 || memchr(value, '\0', nbytes) != NULL)
        nbytes = 0;
    memcpy(out, value, nbytes);
    out[nbytes] = '\0';
}

static dcb_status read_file_meta(dcb__part10_file *file, const uint8_t *bytes, size_t nbytes,
                                 dcb_error *error)
{
    dcb__walk walk = {bytes, nbytes, 0, DCB_SYNTAX_EXPLICIT_LE};
    dcb__walked element;
    for (;;) {
        const size_t at = walk.at;
        /* The data set that follows may be in another syntax: its group is looked at first. */
        if (at == nbytes || (nbytes - at >= 2 && dcb__load16(bytes + at) != 0x0002))
            break;
        if (dcb__walk_next(&element, &walk) != DCB_WALK_ELEMENT)
            return dcb__fail(error, DCB_ERR_FORMAT, PREAMBLE + at,
                             "the File Meta Information is damaged or over %u bytes", META_MAX);
        const uint8_t *value = bytes + element.value;
        const size_t length = element.end - element.value;
        if (element.tag == DCB_TAG(0x0002, 0x0010))
            take_uid(file->transfer_syntax_uid, value, length);
    }
    if (file->transfer_syntax_uid[0] == '\0')
        return dcb__fail(error, DCB_ERR_FORMAT, PREAMBLE,
                         "the File Meta Information has no Transfer Syntax UID (0002,0010)");
    file->dataset_offset = PREAMBLE + walk.at;
    return DCB_OK;
}

/* ---- The data set ---- */

/* Little: true where the whole of it is in *bytes. */
static dcb_status read_dataset_bytes(uint8_t **bytes, size_t *nbytes, bool *whole,
                                     const dcb__part10_file *file, const dcb__source *source,
                                     uint64_t wanted, dcb_error *error)
{
    const uint64_t there = file->file_nbytes - file->dataset_offset;
    const uint64_t n = wanted < there ? wanted : there;
    *bytes = NULL;
    uint8_t *own = n > SIZE_MAX / 2 ? NULL : malloc((size_t)n + 1);
    if (own == NULL)
        return dcb__fail_no_memory(error, (size_t)n);
    dcb_status status =
        dcb__source_read(source, own, (size_t)n, file->dataset_offset, "the data set", error);
    if (status != DCB_OK) {
        free(own);
        return status;
    }
    *bytes = own;
    *nbytes = (size_t)n;
    *whole = n == there;
    return DCB_OK;
}

/* The data set up to a tag. */
static dcb_status read_until(dcb_dataset **out, const dcb__part10_file *file,
                             const dcb__source *source, const dcb_limits *limits, uint32_t until,
                             dcb_error *error)
{
    *out = NULL;
    for (uint64_t wanted = FIRST_HEAD;; wanted *= 4) {
        if (wanted > limits->max_meta_bytes)
            wanted = limits->max_meta_bytes;
        uint8_t *bytes = NULL;
        size_t nbytes = 0;
        bool whole = false;
        dcb_head_end end = DCB_HEAD_CUT;
        dcb_status status =
            read_dataset_bytes(&bytes, &nbytes, &whole, file, source, wanted, error);
        if (status == DCB_OK)
            status = dcb_dataset_parse_head(out, &end, bytes, nbytes, file->transfer_syntax_uid,
                                            until, file->lookup, file->lookup_context, error);
        free(bytes);
        if (status != DCB_OK || end != DCB_HEAD_CUT)
            return status;
        dcb_dataset_close(*out);
        *out = NULL;
        if (whole)
            return dcb__fail(error, DCB_ERR_FORMAT, file->file_nbytes,
                             "the file is cut off: it ends within an element");
        if (wanted == limits->max_meta_bytes)
            return dcb__fail(error, DCB_ERR_LIMIT, file->dataset_offset,
                             "the elements before Pixel Data are over the limit, %llu bytes",
                             (unsigned long long)wanted);
    }
}

dcb_status dcb__part10_dataset(dcb_dataset **out, const dcb__part10_file *file,
                               const dcb__source *source, const dcb_limits *limits,
                               dcb_error *error)
{
    return read_until(out, file, source, limits, TAG_PIXELS, error);
}

/* What an instance is can be told though elements behind its UIDs be malformed: it goes out as it
   is then. */
static dcb_status read_identity(dcb_dataset **out, const dcb__part10_file *file,
                                const dcb__source *source, const dcb_limits *limits,
                                dcb_error *error)
{
    dcb_status status = dcb__part10_dataset(out, file, source, limits, error);
    if (status == DCB_ERR_DATASET || status == DCB_ERR_UNSUPPORTED) {
        const dcb_status again = read_until(out, file, source, limits, TAG_SERIES + 1, NULL);
        status = again == DCB_OK ? DCB_OK : status;
    }
    return status;
}

static uint32_t number_of(const dcb_dataset *dataset, uint32_t tag, uint32_t otherwise)
{
    const dcb_element *element = dcb_dataset_find(dataset, tag);
    return element != NULL && element->nbytes >= 2 && element->value != NULL
               ? dcb__load16(element->value)
               : otherwise;
}

static double decimal_of(const dcb_dataset *dataset, uint32_t tag, double otherwise)
{
    char text[64], *end;
    const ptrdiff_t length = dcb_dataset_get_text(dataset, tag, text, sizeof text);
    if (length <= 0 || length >= (ptrdiff_t)sizeof text)
        return otherwise;
    const double value = strtod(text, &end);
    return *end == '\0' ? value : otherwise;
}

static dcb_pixel_format pixel_format_of(const dcb_dataset *dataset)
{
    return (dcb_pixel_format){
        .rows = number_of(dataset, DCB_TAG(0x0028, 0x0010), 0),
        .columns = number_of(dataset, DCB_TAG(0x0028, 0x0011), 0),
        .samples_per_pixel = (uint16_t)number_of(dataset, DCB_TAG(0x0028, 0x0002), 1),
        .bits_allocated = (uint16_t)number_of(dataset, DCB_TAG(0x0028, 0x0100), 0),
        .bits_stored = (uint16_t)number_of(dataset, DCB_TAG(0x0028, 0x0101), 0),
        .is_signed = number_of(dataset, TAG_SIGN, 0) != 0,
        .rescale_slope = decimal_of(dataset, DCB_TAG(0x0028, 0x1053), 1),
        .rescale_intercept = decimal_of(dataset, DCB_TAG(0x0028, 0x1052), 0),
    };
}

static dcb_status take_identity(dcb__part10_file *file, const dcb_dataset *dataset,
                                dcb_error *error)
{
    const struct {
        char *out;
        uint32_t tag;
        const char *name;
    } uids[] = {{file->sop_class_uid, TAG_SOP_CLASS, "SOP Class UID (0008,0016)"},
                {file->sop_instance_uid, TAG_SOP_INSTANCE, "SOP Instance UID (0008,0018)"},
                {file->study_uid, TAG_STUDY, "Study Instance UID (0020,000D)"},
                {file->series_uid, TAG_SERIES, "Series Instance UID (0020,000E)"}};
    for (size_t i = 0; i < sizeof uids / sizeof uids[0]; i++) {
        const ptrdiff_t length = dcb_dataset_get_text(dataset, uids[i].tag, uids[i].out, 65);
        if (length <= 0 || length > 64)
            return dcb__fail(error, DCB_ERR_META, file->dataset_offset,
                             "the data set has no usable %s", uids[i].name);
    }
    return DCB_OK;
}

dcb_status dcb__part10_open(dcb__part10_file **out, dcb__source *source, const dcb_limits *limits,
                            dcb_vr_lookup lookup, void *lookup_context, dcb_error *error)
{
    *out = NULL;
    dcb__part10_file *file = calloc(1, sizeof *file);
    uint8_t *meta = malloc(META_MAX);
    dcb_dataset *dataset = NULL;
    dcb_status status = DCB_OK;
    if (file == NULL || meta == NULL)
        status = dcb__fail_no_memory(error, META_MAX);
    if (status == DCB_OK) {
        file->file_nbytes = dcb__source_size(source);
        file->lookup = lookup;
        file->lookup_context = lookup_context;
        const uint64_t left = file->file_nbytes - PREAMBLE;
        const size_t nbytes = left < META_MAX ? (size_t)left : META_MAX;
        status = dcb__source_read(source, meta, nbytes, PREAMBLE, "the file meta", error);
        if (status == DCB_OK)
            status = read_file_meta(file, meta, nbytes, error);
    }
    free(meta);
    if (status == DCB_OK)
        status = read_identity(&dataset, file, source, limits, error);
    if (status == DCB_OK)
        status = take_identity(file, dataset, error);
    if (status == DCB_OK)
        file->pixel = pixel_format_of(dataset);
    dcb_dataset_close(dataset);
    if (status != DCB_OK) {
        free(file);
        return status;
    }
    *out = file;
    return DCB_OK;
}

/* ---- Instances ---- */

static dcb_status make_frame(dcb_frame **out, const dcb__part10_file *file, const char *syntax_uid,
                             const uint8_t *dataset, size_t nbytes, dcb_error *error)
{
    uint8_t head[DCB_PART10_ROOM], *to = NULL;
    const size_t head_nbytes =
        dcb__part10_header(head, syntax_uid, file->sop_class_uid, file->sop_instance_uid);
    const dcb__frame_layout layout = {head_nbytes + nbytes, head_nbytes, syntax_uid,
                                      file->sop_class_uid, file->sop_instance_uid};
    dcb_status status = dcb__frame_create(out, &to, &layout, error);
    if (status == DCB_OK) {
        memcpy(to, head, head_nbytes);
        memcpy(to + head_nbytes, dataset, nbytes);
    }
    return status;
}

static dcb_status make_stored(dcb_frame **out, const dcb__part10_file *file,
                              const dcb__source *source, dcb_error *error)
{
    uint8_t *to = NULL;
    const dcb__frame_layout layout = {(size_t)file->file_nbytes, (size_t)file->dataset_offset,
                                      file->transfer_syntax_uid, file->sop_class_uid,
                                      file->sop_instance_uid};
    dcb_frame *frame = NULL;
    dcb_status status = dcb__frame_create(&frame, &to, &layout, error);
    if (status == DCB_OK)
        status = dcb__source_read(source, to, layout.part10_nbytes, 0, "the file", error);
    if (status != DCB_OK) {
        dcb_frame_release(frame);
        return status;
    }
    *out = frame;
    return DCB_OK;
}

/* Elements that are US or SS by (0028,0103), of those that a dictionary gives as US. */
static bool follows_sign(uint32_t tag)
{
    static const uint32_t tags[] = {0x00280106, 0x00280107, 0x00280108, 0x00280109,
                                    0x00280110, 0x00280111, 0x00280120, 0x00280121,
                                    0x0028071A, 0x00409211, 0x00409216};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        if (tags[i] == tag)
            return true;
    }
    return false;
}

static dcb_vr lookup_signed(void *context, uint32_t tag)
{
    const dcb__part10_file *file = context;
    const dcb_vr vr = file->lookup(file->lookup_context, tag);
    return vr == DCB_VR('U', 'S') && follows_sign(tag) ? DCB_VR('S', 'S') : vr;
}

static dcb_status transcode(uint8_t **bytes, size_t *nbytes, const dcb__part10_file *file,
                            const uint8_t *stored, size_t stored_nbytes, dcb_syntax from,
                            dcb_syntax to, const dcb_limits *limits, dcb_error *error)
{
    dcb_limits own = *limits;
    own.max_pixel_bytes = UINT64_MAX; /* the file's size has met its limit */
    const bool is_signed = file->pixel.is_signed;
    dcb_dataset *dataset = NULL;
    dcb_status status = dcb_dataset_parse(
        &dataset, stored, stored_nbytes, from, is_signed ? lookup_signed : file->lookup,
        is_signed ? (void *)(uintptr_t)file : file->lookup_context, &own, error);
    if (status == DCB_OK)
        status = dcb_dataset_encode(bytes, nbytes, dataset, to, error);
    dcb_dataset_close(dataset);
    return status;
}

static dcb_syntax syntax_of_encoding(dcb_encoding encoding)
{
    if (encoding == DCB_ENCODING_IMPLICIT_LE)
        return DCB_SYNTAX_IMPLICIT_LE;
    return encoding == DCB_ENCODING_EXPLICIT_BE ? DCB_SYNTAX_EXPLICIT_BE : DCB_SYNTAX_EXPLICIT_LE;
}

static dcb_status make_native(dcb_frame **out, const dcb__part10_file *file,
                              const dcb__source *source, const dcb_limits *limits,
                              dcb_encoding encoding, dcb_error *error)
{
    uint8_t *stored = NULL, *bytes = NULL;
    size_t stored_nbytes = 0, nbytes = 0;
    bool whole = false, deflated = false;
    const dcb_syntax from = dcb__syntax_of(file->transfer_syntax_uid, &deflated);
    const dcb_syntax to = syntax_of_encoding(encoding);
    if (from == DCB_SYNTAX_IMPLICIT_LE && file->lookup == NULL)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, file->dataset_offset,
                         "Implicit VR cannot become another encoding without a dictionary");
    dcb_status status =
        read_dataset_bytes(&stored, &stored_nbytes, &whole, file, source, UINT64_MAX, error);
    if (status == DCB_OK && deflated) {
        uint8_t *plain = NULL;
        status = dcb__inflate(&plain, &nbytes, stored, stored_nbytes,
                              (size_t)limits->max_frame_bytes, true, error);
        free(stored);
        stored = plain;
        stored_nbytes = nbytes;
    }
    if (status == DCB_OK)
        status = transcode(&bytes, &nbytes, file, stored, stored_nbytes, from, to, limits, error);
    free(stored);
    if (status == DCB_OK && encoding == DCB_ENCODING_DEFLATED) {
        uint8_t *packed = NULL;
        size_t packed_nbytes = 0;
        status = dcb__deflate(&packed, &packed_nbytes, bytes, nbytes, error);
        free(bytes);
        bytes = packed;
        nbytes = packed_nbytes;
    }
    if (status == DCB_OK)
        status = make_frame(out, file, dcb_encoding_uid(encoding), bytes, nbytes, error);
    free(bytes);
    return status;
}

/* What a transcoding reads: the whole data set in Explicit VR Little Endian, and what holds it. */
typedef struct whole_source {
    dcb__transcode_source from;
    dcb_frame *plain; /* of a native file */
    uint8_t *stored;  /* of a compressed one */
} whole_source;

static dcb_status open_whole(whole_source *out, const dcb__part10_file *file,
                             const dcb__source *source, const dcb_limits *limits,
                             const dcb_pixel_codec *codec, dcb_error *error)
{
    const char *explicit_uid = dcb_encoding_uid(DCB_ENCODING_EXPLICIT_LE);
    dcb__transcode_source *from = &out->from;
    bool whole = false;
    *out = (whole_source){.from = {.syntax_uid = file->transfer_syntax_uid,
                                   .sop_class_uid = file->sop_class_uid,
                                   .sop_instance_uid = file->sop_instance_uid,
                                   .limits = limits,
                                   .codec = codec}};
    if (!dcb__syntax_is_native(file->transfer_syntax_uid)) {
        dcb_status status = read_dataset_bytes(&out->stored, &from->nbytes, &whole, file, source,
                                               UINT64_MAX, error);
        from->dataset = out->stored;
        return status;
    }
    from->syntax_uid = explicit_uid;
    dcb_status status =
        strcmp(file->transfer_syntax_uid, explicit_uid) == 0
            ? make_stored(&out->plain, file, source, error)
            : make_native(&out->plain, file, source, limits, DCB_ENCODING_EXPLICIT_LE, error);
    if (status == DCB_OK)
        from->dataset = dcb_frame_dataset(out->plain, &from->nbytes);
    return status;
}

static void close_whole(whole_source *whole)
{
    dcb_frame_release(whole->plain);
    free(whole->stored);
}

static dcb_status check_size(const dcb__part10_file *file, const dcb_limits *limits,
                             dcb_error *error)
{
    if (file->file_nbytes <= limits->max_frame_bytes && file->file_nbytes <= SIZE_MAX / 4)
        return DCB_OK;
    return dcb__fail(
        error, DCB_ERR_LIMIT, DCB_NO_OFFSET, "the file has %llu bytes, the limit is %llu",
        (unsigned long long)file->file_nbytes, (unsigned long long)limits->max_frame_bytes);
}

dcb_status dcb__part10_frame(dcb_frame **out, const dcb__part10_file *file,
                             const dcb__source *source, const dcb_limits *limits,
                             const dcb_pixel_codec *codec, dcb_encoding encoding, dcb_error *error)
{
    *out = NULL;
    const char *wanted = dcb_encoding_uid(encoding);
    dcb_status status = check_size(file, limits, error);
    if (status != DCB_OK)
        return status;
    if (wanted == NULL || strcmp(wanted, file->transfer_syntax_uid) == 0)
        return make_stored(out, file, source, error);
    if (encoding < DCB_ENCODING_COUNT && dcb__syntax_is_native(file->transfer_syntax_uid))
        return make_native(out, file, source, limits, encoding, error);
    whole_source whole;
    status = open_whole(&whole, file, source, limits, codec, error);
    if (status == DCB_OK)
        status = dcb__transcode(out, &whole.from, encoding, error);
    close_whole(&whole);
    return status;
}

dcb_status dcb__part10_samples(void **samples, size_t *nbytes, dcb_pixel_format *format,
                               const dcb__part10_file *file, const dcb__source *source,
                               const dcb_limits *limits, const dcb_pixel_codec *codec,
                               dcb_error *error)
{
    uint8_t *own = NULL;
    whole_source whole;
    dcb_status status = check_size(file, limits, error);
    if (status != DCB_OK)
        return status;
    dcb_pixel_format made = file->pixel; /* the rescale is there */
    status = open_whole(&whole, file, source, limits, codec, error);
    if (status == DCB_OK)
        status = dcb__transcode_samples(&own, nbytes, &made, &whole.from, error);
    close_whole(&whole);
    if (status == DCB_OK) {
        *samples = own;
        *format = made;
    }
    return status;
}
