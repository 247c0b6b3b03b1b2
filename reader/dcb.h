/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dcb.h - the public interface of libdcb: DiCube .dcbs files as DICOM instances.
 *
 * A .dcbs file holds one series: HTJ2K frames and one deduplicated JSON description of all their
 * data sets. libdcb opens such a file and gives any frame back as a complete DICOM instance.
 * "Format section n" below is the section of the DCB format description, "PS3.x" the standard.
 *
 * Threads: every function may be called from any thread. A dcb_series, a dcb_cache and a
 * dcb_frame may be shared by any number of threads without a lock of the caller's. A dcb_dataset
 * is a plain value: one thread at a time, or many that only read.
 *
 * Ownership: create/open and close belong together; ref and release share; `const T *` is borrowed
 * and lives as long as what it was taken from. Closing or releasing NULL does nothing. Where a
 * function fails, its output is NULL (or untouched for a struct that the caller owns).
 *
 * Errors: a function that can fail returns a dcb_status and fills the caller's dcb_error, which may
 * be NULL. Messages say what, where and the limit; they never hold patient data. The library never
 * logs, prints or exits.
 */
#ifndef DCB_H
#define DCB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DCB_VERSION "0.1.0"

#if defined(__GNUC__)
#define DCB_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define DCB_PRINTF(format_index, first)
#endif

/* ---- Errors --------------------------------------------------------------------------------- */

/* The values never change their meaning: they may be stored and sent. */
#define DCB_STATUS_MAP(X)                                                                          \
    X(OK, 0, "ok")                                                                                 \
    X(ERR_ARGUMENT, 1, "an argument is not usable")                                                \
    X(ERR_NO_MEMORY, 2, "out of memory")                                                           \
    X(ERR_IO, 3, "reading or writing failed")                                                      \
    X(ERR_RANGE, 4, "no such frame")                                                               \
    X(ERR_FORMAT, 5, "not a DCB file, or damaged")                                                 \
    X(ERR_UNSUPPORTED, 6, "a kind of file or value that is not supported")                         \
    X(ERR_LIMIT, 7, "a limit was reached")                                                         \
    X(ERR_META, 8, "the metadata cannot be read")                                                  \
    X(ERR_CODESTREAM, 9, "the frame's codestream is damaged or disagrees with its header")         \
    X(ERR_CHANGED, 10, "the file changed while it was open")                                       \
    X(ERR_CLOSED, 11, "the series is closed")                                                      \
    X(ERR_CANCELLED, 12, "cancelled by the caller")                                                \
    X(ERR_DATASET, 13, "the data set is malformed")                                                \
    X(ERR_ENCODING, 14, "the value cannot be held by this encoding")                               \
    X(ERR_NOT_FOUND, 15, "there is no such element")

typedef enum dcb_status {
#define DCB_STATUS_ENUM(name, value, text) DCB_##name = (value),
    DCB_STATUS_MAP(DCB_STATUS_ENUM)
#undef DCB_STATUS_ENUM
} dcb_status;

typedef struct dcb_error {
    dcb_status status;
    uint64_t offset;   /* byte in the file or data set where the trouble is; UINT64_MAX: unknown */
    char message[240]; /* NUL-terminated, no newline */
} dcb_error;

#define DCB_ERROR_INIT                                                                             \
    {                                                                                              \
        DCB_OK, UINT64_MAX, ""                                                                     \
    }

/* The table's text for a status; never NULL. */
const char *dcb_status_text(dcb_status status);

/* ---- Limits --------------------------------------------------------------------------------- */

/* What a file may make the library spend. Nothing is allocated by a number read from a file before
   that number has met its limit and the file's size. */
typedef struct dcb_limits {
    uint64_t max_meta_bytes;     /* dicommeta after zstd; a sixteenth as many values */
    uint64_t max_section_bytes;  /* any other section */
    uint64_t max_frame_bytes;    /* one codestream */
    uint64_t max_pixel_bytes;    /* one decoded frame */
    uint32_t max_frames;         /* frame_count */
    uint32_t max_json_depth;     /* nesting of dicommeta */
    uint32_t max_sequence_depth; /* nesting of SQ in any data set */
} dcb_limits;

#define DCB_LIMITS_INIT                                                                            \
    {                                                                                              \
        256u << 20, 16u << 20, 1u << 30, 1u << 30, 1u << 20, 64, 16                                \
    }

/* ---- Encodings ------------------------------------------------------------------------------ */

/* How an instance leaves. STORED passes the codestream through, in Explicit VR Little Endian; the
   native ones hold decoded pixels; the last hold them losslessly compressed anew, each frame
   decoded again and compared. What a compression cannot hold is DCB_ERR_ENCODING. */
typedef enum dcb_encoding {
    DCB_ENCODING_STORED = 0,
    DCB_ENCODING_EXPLICIT_LE = 1, /* 1.2.840.10008.1.2.1 */
    DCB_ENCODING_IMPLICIT_LE = 2, /* 1.2.840.10008.1.2 */
    DCB_ENCODING_EXPLICIT_BE = 3, /* 1.2.840.10008.1.2.2 (retired, PS3.5 2016b) */
    DCB_ENCODING_DEFLATED = 4,    /* 1.2.840.10008.1.2.1.99 */
    DCB_ENCODING_HTJ2K = 5,       /* 1.2.840.10008.1.2.4.201 */
    DCB_ENCODING_J2K = 6,       /* 1.2.840.10008.1.2.4.90; this and the next by a dcb_pixel_codec */
    DCB_ENCODING_JPEG_LS = 7,   /* 1.2.840.10008.1.2.4.80 */
    DCB_ENCODING_JPEG = 8,      /* 1.2.840.10008.1.2.4.70: lossless, first-order prediction */
    DCB_ENCODING_RLE = 9,       /* 1.2.840.10008.1.2.5 */
    DCB_ENCODING_DEFAULT = 255, /* in calls: what dcb_open_options.encoding says */
} dcb_encoding;
#define DCB_ENCODING_COUNT 5  /* STORED and the native ones */
#define DCB_ENCODING_END   10 /* all but DEFAULT */

/* The transfer syntax UID of an encoding; NULL for STORED, which depends on the frame. */
const char *dcb_encoding_uid(dcb_encoding encoding);

/* A VR as its two letters in a big-endian uint16: 'P' << 8 | 'N'. */
typedef uint16_t dcb_vr;
#define DCB_VR(a, b) ((dcb_vr)((unsigned)(a) << 8 | (unsigned)(b)))

/* Tells the VR of a tag where the encoding does not: 0 means UN. */
typedef dcb_vr (*dcb_vr_lookup)(void *context, uint32_t tag);

/* ---- Codecs of the caller -------------------------------------------------------------------- */

/* One frame's samples: by pixel, little endian, in containers of bits_allocated. */
typedef struct dcb_pixel_shape {
    uint32_t rows, columns;
    uint16_t samples_per_pixel;
    uint16_t bits_allocated; /* 8, 16 or 32 */
    uint16_t bits_stored;    /* to encode: no sample needs more */
    bool is_signed;
    const char *photometric_interpretation;
} dcb_pixel_shape;

/* RLE, JPEG, JPEG-LS and JPEG 2000 (ISO/IEC 15444-1), which this library leaves to others. Called
   by any thread. They fail by filling the error and returning another status than DCB_OK. */
typedef struct dcb_pixel_codec {
    void *context;
    /* Fills samples, nbytes of them, or fails where the codestream is not of that shape. Colours
       stay as they are coded, but for JPEG 2000's own component transform, which is undone. */
    dcb_status (*decode)(void *context, void *samples, size_t nbytes, const dcb_pixel_shape *shape,
                         const char *transfer_syntax_uid, const void *codestream,
                         size_t codestream_nbytes, dcb_error *error);
    /* Losslessly; free() *codestream. JPEG 2000 is to transform its components where the
       Photometric Interpretation is YBR_RCT: samples are RGB then. DCB_ERR_ENCODING: it cannot hold
       such samples. */
    dcb_status (*encode)(void *context, uint8_t **codestream, size_t *codestream_nbytes,
                         const void *samples, size_t nbytes, const dcb_pixel_shape *shape,
                         const char *transfer_syntax_uid, dcb_error *error);
} dcb_pixel_codec;

/* ---- Frames: one instance, ready to be sent or written --------------------------------------- */

/* Immutable, reference-counted, one allocation; may outlive its series and cache. */
typedef struct dcb_frame dcb_frame;

dcb_frame *dcb_frame_ref(dcb_frame *frame);
void dcb_frame_release(dcb_frame *frame);

/* The whole Part 10 file (PS3.10 section 7): preamble, file meta information, data set. */
const uint8_t *dcb_frame_part10(const dcb_frame *frame, size_t *nbytes);
/* The data set alone, as DIMSE sends it: the tail of the same bytes. */
const uint8_t *dcb_frame_dataset(const dcb_frame *frame, size_t *nbytes);
const char *dcb_frame_transfer_syntax_uid(const dcb_frame *frame);
const char *dcb_frame_sop_class_uid(const dcb_frame *frame);
const char *dcb_frame_sop_instance_uid(const dcb_frame *frame);

/* What comes before the data set in a Part 10 file: preamble and File Meta Information, even in
   length. Returns its bytes; UIDs have at most 64 characters. */
#define DCB_PART10_HEADER_MAX 512u
size_t dcb_part10_header(uint8_t to[DCB_PART10_HEADER_MAX], const char *transfer_syntax_uid,
                         const char *sop_class_uid, const char *sop_instance_uid);

/* Some frames (from 0, ascending) of a multi-frame instance whose data set is in Explicit VR Little
   Endian around its pixels: its Pixel Data cut to them, and what follows it in the data set. What
   comes before is the caller's to change and to put before it. free() *bytes. */
dcb_status dcb_frame_extract(uint8_t **bytes, size_t *nbytes, const dcb_frame *source,
                             const uint32_t *frames, uint32_t nframes, dcb_error *error);

/* ---- The shared cache ------------------------------------------------------------------------ */

/* One for a process: instances of all series under one byte budget, and the threads that read and
   decode ahead. Series opened with it hold a reference: it may be closed before them. */
typedef struct dcb_cache dcb_cache;

typedef struct dcb_cache_options {
    size_t struct_size;
    uint64_t budget_bytes; /* 0: keep nothing, but still decode once for concurrent callers. Beside
                              it up to 16 MiB of the process are kept for the next frames */
    uint32_t nshards;      /* 0: chosen from the number of processors */
    uint32_t nworkers;     /* threads for reading ahead; 0: one for each processor */
    bool prefetch;         /* false: no workers, nothing is read ahead */
} dcb_cache_options;

#define DCB_CACHE_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(dcb_cache_options), 256u << 20, 0, 0, true                                          \
    }

typedef struct dcb_cache_stats {
    uint64_t entries, bytes, budget_bytes;
    uint64_t hits, misses; /* a miss loads; a wait for another's load is coalesced, not a miss */
    uint64_t coalesced, evictions;
    uint64_t prefetches, prefetches_used, prefetches_wasted;
    uint64_t loading; /* loads under way now */
} dcb_cache_stats;

dcb_status dcb_cache_create(dcb_cache **out, const dcb_cache_options *options, dcb_error *error);
void dcb_cache_close(dcb_cache *cache);
void dcb_cache_get_stats(const dcb_cache *cache, dcb_cache_stats *stats);
/* Drops every entry; frames that callers hold stay valid. */
void dcb_cache_clear(dcb_cache *cache);

/* ---- Series -----------------------------------------------------------------------------------
 */

typedef struct dcb_series dcb_series;

/* Where the bytes come from, if not from a path: positional, thread-safe, no state between calls.
 */
typedef struct dcb_source_callbacks {
    void *context;
    uint64_t size; /* of the whole file, fixed while it is open */
    /* Fills buffer with nbytes from offset. Returns 0, or an errno value. */
    int (*read_at)(void *context, void *buffer, size_t nbytes, uint64_t offset);
    /* Called once, when the last reference is gone. May be NULL. */
    void (*close)(void *context);
} dcb_source_callbacks;

typedef struct dcb_open_options {
    size_t struct_size;
    dcb_limits limits;
    dcb_cache *cache;         /* NULL: frames are made anew at each call */
    uint32_t cache_frames;    /* this series' share of the cache, in frames; 0: only the budget */
    uint32_t prefetch_frames; /* how far ahead to read in the direction of travel; 0: not at all */
    dcb_encoding encoding;    /* what DCB_ENCODING_DEFAULT means in calls on this series */
    /* Asked between the steps of opening and of every call that reads or decodes, by the thread
       that does the work: the caller's, or one that reads ahead. True ends the call with
       DCB_ERR_CANCELLED; others who were waiting for its result do the work themselves. It must
       not call libdcb. NULL: never. */
    bool (*cancelled)(void *context);
    void *cancel_context;
    /* Reads our own files as a DiCube does, which does not know their exact trailer: for comparing,
       and for rescuing what a damaged trailer leaves. */
    bool ignore_trailer;
    /* For Part 10 files in Implicit VR: without it they go out as they are only. */
    dcb_vr_lookup vr_lookup;
    void *vr_lookup_context;
    /* For Part 10 files that are compressed, and for instances to be compressed otherwise. Borrowed
       until the series is gone. NULL: HTJ2K only. */
    const dcb_pixel_codec *pixel_codec;
} dcb_open_options;

#define DCB_OPEN_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(dcb_open_options), DCB_LIMITS_INIT, NULL, 0, 0, DCB_ENCODING_STORED, NULL, NULL,    \
            false, NULL, NULL, NULL                                                                \
    }

/* Opens a file and reads everything but the frames: container, metadata, pixel header. A single
   DICOM Part 10 file opens too, as a series of one frame, however many are in it: STORED gives its
   bytes as they are; of a compressed one all frames are decoded for the native encodings, and what
   its data set says of them is set right (pixel_codec). The file must not be changed in place while
   it is open (replacing it by rename is fine); where it is, calls fail with DCB_ERR_CHANGED.
   options may be NULL. */
dcb_status dcb_series_open(dcb_series **out, const char *path, const dcb_open_options *options,
                           dcb_error *error);
/* The same from memory that the caller keeps until the last reference is gone. */
dcb_status dcb_series_open_memory(dcb_series **out, const void *bytes, size_t nbytes,
                                  const dcb_open_options *options, dcb_error *error);
/* The same through callbacks. callbacks.close is called also where opening fails. */
dcb_status dcb_series_open_source(dcb_series **out, const dcb_source_callbacks *callbacks,
                                  const dcb_open_options *options, dcb_error *error);

dcb_series *dcb_series_ref(dcb_series *series);
void dcb_series_release(dcb_series *series);
/* Ends the series for all who hold a reference (their calls give DCB_ERR_CLOSED) and releases the
   caller's. Calls under way finish. */
void dcb_series_close(dcb_series *series);

/* What the cache does for one series. All counts are 0 where it was opened without one. */
typedef struct dcb_series_cache_stats {
    /* Each encoding counts by itself; queued: to be read ahead, not begun. */
    uint64_t cached_frames, loading_frames, queued_frames;
    uint64_t bytes;
    uint32_t cache_frames, prefetch_frames;      /* as in dcb_open_options */
    uint64_t hits, misses, coalesced, evictions; /* as in dcb_cache_stats */
    uint64_t prefetches, prefetches_used, prefetches_wasted;
    int64_t last_access_ms; /* Unix time of the last dcb_series_frame; 0: none yet */
} dcb_series_cache_stats;

void dcb_series_get_cache_stats(const dcb_series *series, dcb_series_cache_stats *stats);
/* Drops this series' entries and what is to be read ahead; frames that callers hold stay valid. */
void dcb_series_clear_cache(dcb_series *series);

/* How pixels stand in the file (format section 3). */
typedef struct dcb_pixel_format {
    uint32_t rows, columns;
    uint16_t samples_per_pixel; /* components of the codestream */
    uint16_t bits_allocated;    /* 8, 16 or 32 */
    uint16_t bits_stored;       /* of the container: equal to bits_allocated in DiCube's files */
    bool is_signed;
    double rescale_slope, rescale_intercept; /* real = stored * slope + intercept */
} dcb_pixel_format;

/* Where a part of the file lies; nbytes 0: absent. */
typedef struct dcb_section {
    uint64_t offset, nbytes;
} dcb_section;

typedef enum dcb_section_kind { /* in the header's order (format section 1) */
                                DCB_SECTION_DICOM_STATUS,
                                DCB_SECTION_DICOMMETA,
                                DCB_SECTION_SPACE,
                                DCB_SECTION_PIXEL_HEADER,
                                DCB_SECTION_FRAME_OFFSETS,
                                DCB_SECTION_FRAME_LENGTHS,
} dcb_section_kind;
#define DCB_SECTION_COUNT 6

typedef struct dcb_series_info {
    uint32_t nframes;
    const char *dicom_status; /* format section 1; "consistent" where absent */
    bool has_meta, has_space;
    const char *series_instance_uid; /* derived from the content where has_meta is false */
    const char *study_instance_uid;
    uint32_t unattributable;         /* per-slice values left out (format section 2, rule 7) */
    uint32_t dropped_binaries;       /* elements whose data the writer dropped (rule 8) */
    uint32_t invalid_elements;       /* left out, of all slices or of some: no value of their VR */
    const char *invalid_reason;      /* the first of them and why; NULL: none */
    uint32_t empty_frames;           /* frames with offset or length 0 */
    bool lossy_rescale;              /* the writer had to round real values (format section 3) */
    dcb_pixel_format pixel;          /* rows and columns of the first frame that is not empty */
    uint64_t file_bytes, meta_bytes; /* meta_bytes: JSON after zstd */
    dcb_section sections[DCB_SECTION_COUNT];
    const char *writer;      /* which DiCube wrote the file, as its form tells (format section 4) */
    uint32_t cut_off_frames; /* frames that end past the end of the file: they fail */
    bool has_trailer;        /* our own file: instances are exactly what was taken in (FORMAT.md) */
    dcb_section trailer;     /* to the end of the file */
} dcb_series_info;

/* Borrowed: lives as long as the series. */
const dcb_series_info *dcb_series_get_info(const dcb_series *series);

/* What a frame is, without reading its pixels. Strings are borrowed from the series. */
typedef struct dcb_frame_info {
    const char *sop_class_uid;
    const char *sop_instance_uid;
    const char *stored_syntax_uid; /* HTJ2K: .201, .202 or .203 by the codestream (PS3.5 A.4.10) */
    uint64_t offset, nbytes;       /* the codestream in the file */
    dcb_pixel_format pixel;
    const char *source_syntax_uid; /* in which the instance was taken in; NULL: not known */
} dcb_frame_info;

/* frame: 0 to nframes - 1, in the file's slice order. Reads the codestream's main header at the
   first call for a frame. */
dcb_status dcb_series_frame_info(dcb_frame_info *out, dcb_series *series, uint32_t frame,
                                 dcb_error *error);

/* The instance of one frame, from the cache or made now. One reference for the caller. A damaged
   frame fails alone: the others can still be had. */
dcb_status dcb_series_frame(dcb_frame **out, dcb_series *series, uint32_t frame,
                            dcb_encoding encoding, dcb_error *error);
/* The same for a caller who has other work: where another thread is making this very instance,
   DCB_OK with *out NULL instead of waiting for it. Notes no travel. */
dcb_status dcb_series_try_frame(dcb_frame **out, dcb_series *series, uint32_t frame,
                                dcb_encoding encoding, dcb_error *error);
/* True where the cache has the instance, or somebody is making it. */
bool dcb_series_has_frame(const dcb_series *series, uint32_t frame, dcb_encoding encoding);
/* Tells the system that the codestreams of these frames will be read soon. Returns at once, never
   fails; frames beyond the last are no matter. Does nothing for memory and callbacks. */
void dcb_series_will_need(const dcb_series *series, uint32_t first, uint32_t count);

/* Decoded samples of one frame, for viewers and tests: interleaved by pixel, little-endian
   containers of bits_allocated, rows * columns * samples_per_pixel of them. reduce drops that many
   HTJ2K resolution levels (0: full size); *format tells the resulting size. free() *samples. Of a
   single Part 10 file: its first frame, at full size only. */
dcb_status dcb_series_pixels(void **samples, size_t *nbytes, dcb_pixel_format *format,
                             dcb_series *series, uint32_t frame, uint32_t reduce, dcb_error *error);

/* ---- Data sets --------------------------------------------------------------------------------
 */

/* True for the VRs of PS3.5 table 6.2-1. */
bool dcb_vr_is_known(dcb_vr vr);
/* True for text in the character set of (0008,0005): LO LT PN SH ST UC UT. */
bool dcb_vr_is_text(dcb_vr vr);
/* True where the explicit encoding has a 32-bit length (PS3.5 7.1.2). */
bool dcb_vr_has_long_length(dcb_vr vr);

#define DCB_TAG(group, element) ((uint32_t)(group) << 16 | (uint32_t)(element))

typedef struct dcb_dataset dcb_dataset;

/* value is in little endian and even in length; text is in the character set of the data set.
   For SQ value is NULL and the items count. */
typedef struct dcb_element {
    uint32_t tag;
    dcb_vr vr;
    uint32_t nbytes;
    const uint8_t *value;
    uint32_t nitems;
    dcb_dataset *const *items;
} dcb_element;

/* How bare data sets are encoded on the wire. */
typedef enum dcb_syntax {
    DCB_SYNTAX_IMPLICIT_LE,
    DCB_SYNTAX_EXPLICIT_LE,
    DCB_SYNTAX_EXPLICIT_BE,
} dcb_syntax;

dcb_status dcb_dataset_create(dcb_dataset **out, dcb_error *error);
void dcb_dataset_close(dcb_dataset *dataset);
dcb_status dcb_dataset_copy(dcb_dataset **out, const dcb_dataset *dataset, dcb_error *error);

/* Parses a bare data set. Group lengths are dropped, elements out of order are sorted (both are
   common faults of senders), a tag that comes twice is an error. Sequences in UN of undefined
   length become SQ (PS3.5 6.2.2); encapsulated Pixel Data is DCB_ERR_UNSUPPORTED at its offset.
   limits bounds depth (max_sequence_depth) and size (max_pixel_bytes); NULL: DCB_LIMITS_INIT.
   lookup is for implicit encoding; NULL makes every element there UN. Errors are DCB_ERR_DATASET
   with the element's offset. */
dcb_status dcb_dataset_parse(dcb_dataset **out, const void *bytes, size_t nbytes, dcb_syntax syntax,
                             dcb_vr_lookup lookup, void *lookup_context, const dcb_limits *limits,
                             dcb_error *error);
/* Parses what comes before the tag `until` in a data set of a transfer syntax, of which only the
   beginning need be there: elements that are not whole are left out. A deflated data set is
   unpacked, up to 8 MiB. An icon whose pixels are encapsulated is left out. */
typedef enum dcb_head_end {
    DCB_HEAD_WHOLE,  /* the bytes end where an element does: this may be all of the data set */
    DCB_HEAD_PASSED, /* they end within an element, but `until` was reached before */
    DCB_HEAD_CUT,    /* they end before `until` */
} dcb_head_end;
dcb_status dcb_dataset_parse_head(dcb_dataset **out, dcb_head_end *end, const void *bytes,
                                  size_t nbytes, const char *transfer_syntax_uid, uint32_t until,
                                  dcb_vr_lookup lookup, void *lookup_context, dcb_error *error);
/* Encodes; free() *bytes. Sequences and items get defined lengths. */
dcb_status dcb_dataset_encode(uint8_t **bytes, size_t *nbytes, const dcb_dataset *dataset,
                              dcb_syntax syntax, dcb_error *error);

size_t dcb_dataset_count(const dcb_dataset *dataset);
/* Elements in ascending order of tags. */
const dcb_element *dcb_dataset_at(const dcb_dataset *dataset, size_t i);
/* NULL where there is none. */
const dcb_element *dcb_dataset_find(const dcb_dataset *dataset, uint32_t tag);

/* Puts an element in, in place of one with the same tag; bytes are copied, and padded to even
   length as the VR asks. */
dcb_status dcb_dataset_put(dcb_dataset *dataset, uint32_t tag, dcb_vr vr, const void *bytes,
                           size_t nbytes, dcb_error *error);
dcb_status dcb_dataset_put_text(dcb_dataset *dataset, uint32_t tag, dcb_vr vr, const char *text,
                                dcb_error *error);
/* Puts a copy of the element (with items) in. */
dcb_status dcb_dataset_put_element(dcb_dataset *dataset, const dcb_element *element,
                                   dcb_error *error);
/* Appends an empty item to a sequence, which is made where it is missing; *item is borrowed. tag
   alone with item NULL makes an empty sequence. */
dcb_status dcb_dataset_add_item(dcb_dataset **item, dcb_dataset *dataset, uint32_t tag,
                                dcb_error *error);
void dcb_dataset_remove(dcb_dataset *dataset, uint32_t tag);

/* Copies a text element's bytes without leading and trailing padding, NUL-terminated, into buffer.
   Returns the length that it has (which may be >= size: then it was cut), or -1 where the element
   is missing. A present but empty element gives 0. */
ptrdiff_t dcb_dataset_get_text(const dcb_dataset *dataset, uint32_t tag, char *buffer, size_t size);

/* Rewrites all text (items included) from the data set's own (0008,0005) to UTF-8 and puts
   ISO_IR 192 there when any text is not ASCII; else removes (0008,0005). Bytes that the set does
   not define become U+FFFD. (PS3.3 C.12.1.1.2, PS3.5 6.1) */
dcb_status dcb_dataset_to_utf8(dcb_dataset *dataset, dcb_error *error);
/* The reverse: writes UTF-8 text in `charset`, a (0008,0005) value such as "ISO_IR 100" or
   "\\ISO 2022 IR 87"; text that it cannot hold makes the whole data set ISO_IR 192. Puts
   (0008,0005) in where it is needed. */
dcb_status dcb_dataset_from_utf8(dcb_dataset *dataset, const char *charset, dcb_error *error);

/* The DICOM JSON Model of a data set (PS3.18 F.2) in UTF-8; free() *json, which ends with a NUL
   that nbytes does not count. Text must be UTF-8 already (dcb_dataset_to_utf8); what is not becomes
   U+FFFD. All binary data are InlineBinary. DS and IS are numbers with the digits that they have,
   and strings where they are none; so are SV and UV beyond 2^53, and the NaN and Infinity of FL and
   FD. More than max_nbytes is DCB_ERR_LIMIT. */
dcb_status dcb_dataset_to_json(char **json, size_t *nbytes, const dcb_dataset *dataset,
                               uint64_t max_nbytes, dcb_error *error);

/* ---- Metadata of a series ----------------------------------------------------------------------
 */

/* In place of a frame's number: only what is the same in all frames. */
#define DCB_FRAME_SHARED UINT32_MAX

/* The data set of a frame (or DCB_FRAME_SHARED) without Pixel Data, as the decoded encodings hold
   it. With utf8, text is UTF-8 as after dcb_dataset_to_utf8. */
dcb_status dcb_series_dataset(dcb_dataset **out, dcb_series *series, uint32_t frame, bool utf8,
                              dcb_error *error);
/* One element of that data set, for a fraction of the price: *out holds it, and beside it the
   (0008,0005) that its text is in. *shared (may be NULL) tells whether it is the same in all
   frames. DCB_ERR_NOT_FOUND where the frame has none. */
dcb_status dcb_series_element(dcb_dataset **out, bool *shared, dcb_series *series, uint32_t frame,
                              uint32_t tag, bool utf8, dcb_error *error);
/* dcb_dataset_to_json of dcb_series_dataset; the limit is max_meta_bytes. */
dcb_status dcb_series_json(char **json, size_t *nbytes, dcb_series *series, uint32_t frame,
                           dcb_error *error);

/* ---- Checking ---------------------------------------------------------------------------------
 */

/* In place of a frame's number: the problem is of the whole file. */
#define DCB_NO_FRAME UINT32_MAX

/* Told of each problem that a check finds. problem is borrowed for the call; its message does not
   begin with the frame's number. */
typedef void (*dcb_problem_report)(void *context, uint32_t frame, const dcb_error *problem);

/* Holds all but the frames against the format, what reading forgives included: bytes that belong
   to nothing, dicom_status, dicommeta's rules, UIDs (present, well-formed, unique), space. DCB_OK
   where the check could be made, whatever it found. */
dcb_status dcb_series_verify(dcb_series *series, dcb_problem_report report, void *context,
                             dcb_error *error);
/* Checks one frame, past the cache: its place, the codestream's form and every packet; all codecs
   give the same samples; its data set and each encoding can be made and hold the same elements and
   samples when they are parsed again. Frames may be checked by several threads at once. */
dcb_status dcb_series_verify_frame(dcb_series *series, uint32_t frame, dcb_problem_report report,
                                   void *context, dcb_error *error);

/* ---- Writing -----------------------------------------------------------------------------------
 */

/* Makes one .dcbs file of one series, with the exact trailer (FORMAT.md): every DiCube since 0.2.0
   reads its real-world values, and this library gives back exactly what was taken in. One thread
   at a time; frames are encoded on threads of the writer's own. Memory holds a few frames, what
   the data sets do not share, and their compressed bytes. */
typedef struct dcb_writer dcb_writer;

typedef struct dcb_writer_options {
    size_t struct_size;
    dcb_limits limits; /* max_meta_bytes also bounds one data set without its pixels */
    uint32_t nthreads; /* that encode; 0: one for each processor */
    bool sync;         /* false: the file may be lost, or be empty, after a loss of power */
} dcb_writer_options;

#define DCB_WRITER_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(dcb_writer_options), DCB_LIMITS_INIT, 0, true                                       \
    }

/* An instance to take in. All is borrowed for the call. */
typedef struct dcb_writer_instance {
    size_t struct_size;
    /* The data set (no preamble, no group 2) in Explicit VR Little Endian, with Pixel Data as it
       came. One that came in Implicit VR, big endian or deflated must have been converted. */
    const void *dataset;
    size_t dataset_nbytes;
    const char *syntax_uid; /* the transfer syntax in which it came */
    /* Decoded samples, where that is RLE, JPEG, JPEG-LS or JPEG 2000 (lossless): by pixel, little
       endian, in containers of Bits Allocated. Else NULL. */
    const void *samples;
    size_t samples_nbytes;
} dcb_writer_instance;

#define DCB_WRITER_INSTANCE_INIT                                                                   \
    {                                                                                              \
        sizeof(dcb_writer_instance), NULL, 0, NULL, NULL, 0                                        \
    }

typedef struct dcb_writer_summary {
    uint32_t nframes;
    uint64_t source_bytes; /* of the data sets as they came */
    uint64_t file_bytes, frame_bytes, trailer_bytes;
    const char *dicom_status; /* static text */
} dcb_writer_summary;

/* Nothing is at path, or what was there before, until the commit. options may be NULL. */
dcb_status dcb_writer_create(dcb_writer **out, const char *path, const dcb_writer_options *options,
                             dcb_error *error);
/* Adds the next slice: the order of calls is the order in the file. An instance that a DCB cannot
   hold exactly is refused, with the reason, by any status but DCB_ERR_IO and DCB_ERR_NO_MEMORY; the
   writer is as it was, and the caller keeps the instance as it came. DCB_ERR_ARGUMENT: its SOP
   Instance UID was added before. After DCB_ERR_IO or DCB_ERR_NO_MEMORY the writer can only be
   aborted. */
dcb_status dcb_writer_add_instance(dcb_writer *writer, const dcb_writer_instance *instance,
                                   dcb_error *error);
/* Adds a slice of a file that has the exact trailer (dcb_series_info.has_trailer), as it is there:
   its data set byte by byte, and its codestream, which is encoded anew only where the slices before
   are of another precision. Refused as in dcb_writer_add_instance; a slice that cannot be read is
   the status of the series. */
dcb_status dcb_writer_add_frame(dcb_writer *writer, dcb_series *series, uint32_t frame,
                                dcb_error *error);
/* Puts the file at path, in one step: before it stands what was there, after it the new file,
   whatever happens in between. All frames have been decoded again and compared, and the file read
   again. Ends the writer, also where it fails; then nothing has changed, but for a failure after
   the last step (to sync the folder), which the message tells. summary may be NULL. */
dcb_status dcb_writer_commit(dcb_writer *writer, dcb_writer_summary *summary, dcb_error *error);
/* Ends the writer without a trace. */
void dcb_writer_abort(dcb_writer *writer);

/* The one frame of encapsulated Pixel Data (PS3.5 A.4) in a data set in Explicit VR Little Endian:
   its fragments joined, without padding after a JPEG or JPEG 2000 end marker. free() *codestream.
 */
dcb_status dcb_encapsulated_frame(uint8_t **codestream, size_t *nbytes, const void *dataset,
                                  size_t dataset_nbytes, dcb_error *error);

#ifdef __cplusplus
}
#endif
#endif
