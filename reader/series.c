/* SPDX-License-Identifier: Apache-2.0 */
/*
 * series.c - the series of dcb.h: opening, references, closing, and the calls on frames.
 *
 * Closing only says that the series is closed: memory goes with the last reference, so that no call
 * under way can lose it.
 */
#include "series.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dcb_error.h"

/* Options of an older caller may be shorter than ours: what he does not know stays at its default.
 */
static dcb_open_options take_options(const dcb_open_options *options)
{
    dcb_open_options own = DCB_OPEN_OPTIONS_INIT;
    if (options != NULL && options->struct_size > 0)
        memcpy(&own, options,
               options->struct_size < sizeof own ? options->struct_size : sizeof own);
    return own;
}

static void destroy(dcb_series *series)
{
    if (series == NULL)
        return;
    dcb__read_ahead_close(series->read_ahead); /* before what its loads use */
    if (series->cache != NULL)
        dcb__cache_series_close(series->cache);
    for (int i = 0; i < DCB_NVARIANTS; i++)
        for (int form = 0; form < 2; form++)
            dcb__variant_free(atomic_load(&series->variants[i][form]));
    dcb__model_free(series->model);
    dcb__trailer_close(series->trailer);
    free(series->shapes);
    free(series->known);
    free(series->part10);
    dcb__container_free(&series->container);
    dcb__source_close(series->source);
    free(series);
}

static dcb_status join_cache(dcb_series *series, dcb_cache *cache, dcb_error *error)
{
    if (cache == NULL)
        return DCB_OK;
    dcb_status status = dcb__cache_series_open(&series->cache, cache, series->cache_frames, error);
    if (status == DCB_OK)
        status = dcb__read_ahead_create(&series->read_ahead, series->cache, series->info.nframes,
                                        series->prefetch_frames, dcb__instance_make, series, error);
    return status;
}

static dcb_status check_encoding(dcb_encoding encoding, dcb_error *error)
{
    if ((unsigned)encoding < DCB_ENCODING_END)
        return DCB_OK;
    return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET, "there is no encoding %d",
                     (int)encoding);
}

static dcb_status read_part10(dcb_series *series, const dcb_open_options *options, dcb_error *error)
{
    dcb_status status = dcb__part10_open(&series->part10, series->source, &series->limits,
                                         options->vr_lookup, options->vr_lookup_context, error);
    if (status != DCB_OK)
        return status;
    const dcb__part10_file *file = series->part10;
    memcpy(series->dicom_status, "consistent", sizeof "consistent");
    series->info = (dcb_series_info){.nframes = 1,
                                     .dicom_status = series->dicom_status,
                                     .has_meta = true,
                                     .series_instance_uid = file->series_uid,
                                     .study_instance_uid = file->study_uid,
                                     .pixel = file->pixel,
                                     .file_bytes = file->file_nbytes,
                                     .writer = "a DICOM Part 10 file"};
    return DCB_OK;
}

/* Takes the source over, also where it fails. */
static dcb_status open_source(dcb_series **out, dcb__source *source,
                              const dcb_open_options *options, dcb_error *error)
{
    *out = NULL;
    dcb_open_options own = take_options(options);
    dcb_series *series = calloc(1, sizeof *series);
    if (series == NULL) {
        dcb__source_close(source);
        return dcb__fail_no_memory(error, sizeof *series);
    }
    atomic_init(&series->references, 1);
    atomic_init(&series->closed, false);
    series->source = source;
    series->limits = own.limits;
    series->cache_frames = own.cache_frames;
    series->prefetch_frames = own.prefetch_frames;
    series->ignore_trailer = own.ignore_trailer;
    series->encoding = own.encoding;
    series->codec = own.pixel_codec;
    dcb__source_set_cancelled(source, own.cancelled, own.cancel_context);
    dcb_status status = check_encoding(own.encoding, error);
    bool is_part10 = false;
    if (status == DCB_OK)
        status = dcb__part10_detect(&is_part10, source, error);
    if (status == DCB_OK && is_part10)
        status = read_part10(series, &own, error);
    else if (status == DCB_OK)
        status = dcb__series_read(series, error);
    if (status == DCB_OK)
        status = join_cache(series, own.cache, error);
    if (status != DCB_OK) {
        destroy(series);
        return status;
    }
    *out = series;
    return DCB_OK;
}

dcb_status dcb_series_open(dcb_series **out, const char *path, const dcb_open_options *options,
                           dcb_error *error)
{
    *out = NULL;
    dcb__source *source = NULL;
    dcb_status status = dcb__source_open_path(&source, path, error);
    return status == DCB_OK ? open_source(out, source, options, error) : status;
}

dcb_status dcb_series_open_memory(dcb_series **out, const void *bytes, size_t nbytes,
                                  const dcb_open_options *options, dcb_error *error)
{
    *out = NULL;
    dcb__source *source = NULL;
    dcb_status status = dcb__source_open_memory(&source, bytes, nbytes, error);
    return status == DCB_OK ? open_source(out, source, options, error) : status;
}

dcb_status dcb_series_open_source(dcb_series **out, const dcb_source_callbacks *callbacks,
                                  const dcb_open_options *options, dcb_error *error)
{
    *out = NULL;
    dcb__source *source = NULL;
    dcb_status status = dcb__source_open_callbacks(&source, callbacks, error);
    return status == DCB_OK ? open_source(out, source, options, error) : status;
}

dcb_series *dcb_series_ref(dcb_series *series)
{
    atomic_fetch_add_explicit(&series->references, 1, memory_order_relaxed);
    return series;
}

void dcb_series_release(dcb_series *series)
{
    if (series != NULL &&
        atomic_fetch_sub_explicit(&series->references, 1, memory_order_acq_rel) == 1)
        destroy(series);
}

void dcb_series_close(dcb_series *series)
{
    if (series == NULL)
        return;
    atomic_store(&series->closed, true);
    dcb__read_ahead_cancel(series->read_ahead);
    if (series->cache != NULL)
        dcb__cache_series_retire(series->cache);
    dcb_series_release(series);
}

void dcb_series_clear_cache(dcb_series *series)
{
    dcb__read_ahead_cancel(series->read_ahead);
    if (series->cache != NULL)
        dcb__cache_series_forget(series->cache);
}

void dcb_series_get_cache_stats(const dcb_series *series, dcb_series_cache_stats *stats)
{
    *stats = (dcb_series_cache_stats){0};
    if (series->cache != NULL)
        dcb__cache_series_get_stats(series->cache, stats);
    stats->cache_frames = series->cache_frames;
    stats->prefetch_frames = series->prefetch_frames;
    stats->queued_frames = dcb__read_ahead_queued(series->read_ahead);
}

const dcb_series_info *dcb_series_get_info(const dcb_series *series)
{
    return &series->info;
}

dcb_status dcb__series_check_call(dcb_series *series, uint32_t frame, dcb_error *error)
{
    if (atomic_load_explicit(&series->closed, memory_order_relaxed))
        return dcb__fail(error, DCB_ERR_CLOSED, DCB_NO_OFFSET, "the series is closed");
    if (frame >= series->info.nframes)
        return dcb__fail(error, DCB_ERR_RANGE, DCB_NO_OFFSET,
                         "frame %" PRIu32 ": the series has %" PRIu32 ", counted from 0", frame,
                         series->info.nframes);
    return DCB_OK;
}

dcb_status dcb_series_frame_info(dcb_frame_info *out, dcb_series *series, uint32_t frame,
                                 dcb_error *error)
{
    dcb_status status = dcb__series_check_call(series, frame, error);
    dcb__codestream header;
    dcb__frame_place place;
    if (status == DCB_OK && series->part10 != NULL) {
        const dcb__part10_file *file = series->part10;
        *out = (dcb_frame_info){.sop_class_uid = file->sop_class_uid,
                                .sop_instance_uid = file->sop_instance_uid,
                                .stored_syntax_uid = file->transfer_syntax_uid,
                                .source_syntax_uid = file->transfer_syntax_uid,
                                .offset = file->dataset_offset,
                                .nbytes = file->file_nbytes - file->dataset_offset,
                                .pixel = file->pixel};
        return DCB_OK;
    }
    if (status == DCB_OK)
        status = dcb__frame_header(&header, &place, series, frame, error);
    if (status != DCB_OK)
        return status;
    *out = (dcb_frame_info){.sop_class_uid = series->model->class_uids[frame],
                            .sop_instance_uid = series->model->instance_uids[frame],
                            .stored_syntax_uid = dcb__codestream_syntax_uid(&header),
                            .offset = place.offset,
                            .nbytes = place.nbytes,
                            .pixel = dcb__pixel_format_of(series, &header),
                            .source_syntax_uid = series->trailer != NULL
                                                     ? series->trailer->slices[frame].syntax_uid
                                                     : NULL};
    return DCB_OK;
}

/* Puts what DCB_ENCODING_DEFAULT means in its place. */
static dcb_status check_frame_call(dcb_encoding *encoding, dcb_series *series, uint32_t frame,
                                   dcb_error *error)
{
    dcb_status status = dcb__series_check_call(series, frame, error);
    if (*encoding == DCB_ENCODING_DEFAULT)
        *encoding = series->encoding;
    return status == DCB_OK ? check_encoding(*encoding, error) : status;
}

static int64_t unix_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

dcb_status dcb_series_frame(dcb_frame **out, dcb_series *series, uint32_t frame,
                            dcb_encoding encoding, dcb_error *error)
{
    *out = NULL;
    dcb_status status = check_frame_call(&encoding, series, frame, error);
    if (status != DCB_OK)
        return status;
    if (series->cache == NULL)
        return dcb__instance_make(out, series, frame, encoding, error);
    dcb__read_ahead_note(series->read_ahead, dcb__this_reader(), frame, encoding);
    return dcb__cache_get(out, series->cache, frame, encoding, unix_now_ms(), dcb__instance_make,
                          series, error);
}

dcb_status dcb_series_try_frame(dcb_frame **out, dcb_series *series, uint32_t frame,
                                dcb_encoding encoding, dcb_error *error)
{
    *out = NULL;
    dcb_status status = check_frame_call(&encoding, series, frame, error);
    if (status != DCB_OK)
        return status;
    if (series->cache == NULL)
        return dcb__instance_make(out, series, frame, encoding, error);
    return dcb__cache_try_get(out, series->cache, frame, encoding, unix_now_ms(),
                              dcb__instance_make, series, error);
}

bool dcb_series_has_frame(const dcb_series *series, uint32_t frame, dcb_encoding encoding)
{
    if (encoding == DCB_ENCODING_DEFAULT)
        encoding = series->encoding;
    return series->cache != NULL && dcb__cache_has(series->cache, frame, encoding);
}

void dcb_series_will_need(const dcb_series *series, uint32_t first, uint32_t count)
{
    dcb__frame_place place;
    if (series->part10 != NULL)
        return;
    /* One call for each run of neighbours: most files hold their frames in order. */
    uint64_t from = 0, to = 0;
    for (uint32_t i = first; i < series->info.nframes && i - first < count; i++) {
        if (dcb__container_frame(&place, &series->container, i, NULL) != DCB_OK)
            continue;
        if (place.offset != to && to > from)
            dcb__source_will_need(series->source, from, to - from);
        if (place.offset != to)
            from = place.offset;
        to = place.offset + place.nbytes;
    }
    if (to > from)
        dcb__source_will_need(series->source, from, to - from);
}

static dcb_status decode_reduced(void **samples, size_t *nbytes, dcb_pixel_format *format,
                                 const dcb__codestream *header, const dcb__frame_place *place,
                                 const uint8_t *codestream, uint32_t reduce, uint32_t frame,
                                 dcb_error *error)
{
    if (reduce > header->levels)
        return dcb__fail(error, DCB_ERR_ARGUMENT, place->offset,
                         "frame %" PRIu32 " has %u resolution levels to drop, not %" PRIu32, frame,
                         header->levels, reduce);
    format->rows = dcb__codestream_reduced(header->rows, reduce);
    format->columns = dcb__codestream_reduced(header->columns, reduce);
    uint64_t size = (uint64_t)format->rows * format->columns * header->components *
                    dcb__codestream_sample_nbytes(header);
    void *own = size > SIZE_MAX ? NULL : malloc((size_t)size);
    if (own == NULL)
        return dcb__fail_no_memory(error, (size_t)size);
    dcb_error inner = DCB_ERROR_INIT;
    dcb_status status = dcb__decode(own, (size_t)size, header, codestream, (size_t)place->nbytes,
                                    reduce, DCB_CODEC_ANY, &inner);
    if (status != DCB_OK) {
        free(own);
        return dcb__fail(error, status, place->offset, "frame %" PRIu32 ": %s", frame,
                         inner.message);
    }
    *samples = own;
    *nbytes = (size_t)size;
    return DCB_OK;
}

dcb_status dcb_series_pixels(void **samples, size_t *nbytes, dcb_pixel_format *format,
                             dcb_series *series, uint32_t frame, uint32_t reduce, dcb_error *error)
{
    *samples = NULL;
    *nbytes = 0;
    dcb_status status = dcb__series_check_call(series, frame, error);
    if (status != DCB_OK)
        return status;
    if (series->part10 != NULL && reduce > 0)
        return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET,
                         "a Part 10 file has no resolution levels to drop");
    if (series->part10 != NULL)
        return dcb__part10_samples(samples, nbytes, format, series->part10, series->source,
                                   &series->limits, series->codec, error);
    uint8_t *codestream = NULL;
    dcb__codestream header;
    dcb__frame_place place;
    status = dcb__frame_codestream(&codestream, &header, &place, series, frame, error);
    if (status != DCB_OK)
        return status;
    dcb_pixel_format own = dcb__pixel_format_of(series, &header);
    status = dcb__source_check_cancelled(series->source, error);
    if (status == DCB_OK)
        status = decode_reduced(samples, nbytes, &own, &header, &place, codestream, reduce, frame,
                                error);
    if (status == DCB_OK)
        *format = own;
    free(codestream);
    return status;
}

const char *dcb_encoding_uid(dcb_encoding encoding)
{
    switch (encoding) {
    case DCB_ENCODING_EXPLICIT_LE:
        return "1.2.840.10008.1.2.1";
    case DCB_ENCODING_IMPLICIT_LE:
        return "1.2.840.10008.1.2";
    case DCB_ENCODING_EXPLICIT_BE:
        return "1.2.840.10008.1.2.2";
    case DCB_ENCODING_DEFLATED:
        return "1.2.840.10008.1.2.1.99";
    case DCB_ENCODING_HTJ2K:
        return "1.2.840.10008.1.2.4.201";
    case DCB_ENCODING_J2K:
        return "1.2.840.10008.1.2.4.90";
    case DCB_ENCODING_JPEG_LS:
        return "1.2.840.10008.1.2.4.80";
    case DCB_ENCODING_JPEG:
        return "1.2.840.10008.1.2.4.70";
    case DCB_ENCODING_RLE:
        return "1.2.840.10008.1.2.5";
    default:
        return NULL;
    }
}
