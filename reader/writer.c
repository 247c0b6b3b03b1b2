/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.c - dcb_writer of dcb.h: takes instances in.
 *
 * Invariant: an instance that is refused has changed nothing. What can refuse comes before what
 * changes; once a step that changes has failed, the writer is broken.
 */
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dcb_error.h"

#define MAX_THREADS 256u

/* ---- Creating and ending --------------------------------------------------------------------- */

static dcb_status open_folder(dcb_writer *writer, const char *path, dcb_error *error)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET, "the path names no file");
    writer->name = strdup(name);
    writer->folder =
        slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (writer->name == NULL || writer->folder == NULL)
        return dcb__fail_no_memory(error, strlen(path));
    writer->folder_fd = open(writer->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (writer->folder_fd < 0)
        return dcb__fail_errno(error, "the folder cannot be opened", errno);
    return dcb__spool_open(&writer->spool_fd, writer, error);
}

static dcb_status start_threads(dcb_writer *writer, dcb_error *error)
{
    uint32_t n = writer->options.nthreads;
    if (n == 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        n = online > 0 ? (uint32_t)online : 1;
    }
    n = n > MAX_THREADS ? MAX_THREADS : n;
    writer->ring_capacity = 2 * n + 2;
    writer->ring = calloc(writer->ring_capacity, sizeof(dcb__encoding_job *));
    if (writer->ring == NULL)
        return dcb__fail_no_memory(error, writer->ring_capacity * sizeof(dcb__encoding_job *));
    dcb_status status = dcb__worker_pool_create(&writer->pool, n, writer->ring_capacity, error);
    return status == DCB_OK ? dcb__worker_pool_start(writer->pool, error) : status;
}

dcb_status dcb_writer_create(dcb_writer **out, const char *path, const dcb_writer_options *options,
                             dcb_error *error)
{
    *out = NULL;
    dcb_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return dcb__fail_no_memory(error, sizeof *writer);
    writer->options = (dcb_writer_options)DCB_WRITER_OPTIONS_INIT;
    if (options != NULL && options->struct_size > 0)
        memcpy(&writer->options, options,
               options->struct_size < sizeof *options ? options->struct_size : sizeof *options);
    writer->folder_fd = writer->spool_fd = -1;
    dcb__merge_init(&writer->merge);
    dcb__writer *const buffers[] = {&writer->chunk, &writer->packed, &writer->chunk_rows,
                                    &writer->rows, &writer->strings};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        dcb__writer_init(buffers[i], DCB_SYNTAX_EXPLICIT_LE);
    dcb_status status = open_folder(writer, path, error);
    if (status == DCB_OK)
        status = start_threads(writer, error);
    if (status != DCB_OK) {
        dcb_writer_abort(writer);
        return status;
    }
    *out = writer;
    return DCB_OK;
}

void dcb_writer_abort(dcb_writer *writer)
{
    if (writer == NULL)
        return;
    dcb__frames_cancel(writer);
    dcb__worker_pool_close(writer->pool);
    if (writer->spool_fd >= 0)
        close(writer->spool_fd);
    if (writer->folder_fd >= 0)
        close(writer->folder_fd);
    dcb__merge_free(&writer->merge);
    dcb__writer *const buffers[] = {&writer->chunk, &writer->packed, &writer->chunk_rows,
                                    &writer->rows, &writer->strings};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        dcb__writer_free(buffers[i]);
    free(writer->ring);
    free(writer->frames);
    free(writer->shapes);
    free(writer->uid_hashes);
    free(writer->folder);
    free(writer->name);
    free(writer);
}

dcb_status dcb_writer_commit(dcb_writer *writer, dcb_writer_summary *summary, dcb_error *error)
{
    dcb_status status = writer->broken.status;
    if (status != DCB_OK && error != NULL)
        *error = writer->broken;
    if (status == DCB_OK && writer->nslices == 0)
        status = dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET,
                           "no instance was added: there is nothing to write");
    if (status == DCB_OK)
        status = dcb__frames_drain(writer, error);
    if (status == DCB_OK)
        status = dcb__directory_close_chunk(writer, error);
    if (status == DCB_OK)
        status = dcb__writer_put_file(writer, summary, error);
    dcb_writer_abort(writer);
    return status;
}

/* ---- Adding ---------------------------------------------------------------------------------- */

static bool has_uid(const dcb_writer *writer, uint64_t hash)
{
    for (uint32_t i = 0; i < writer->nslices; i++)
        if (writer->uid_hashes[i] == hash)
            return true;
    return false;
}

static dcb_status differs(dcb_error *error, const char *what)
{
    return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                     "%s differs from that of the series' first instance", what);
}

/* Two UIDs with the same 64-bit hash would be refused for nothing: such an instance is kept as it
   came, as every other that is refused. */
static dcb_status check_series(const dcb_writer *writer, const dcb__instance *instance,
                               uint64_t uid_hash, dcb_error *error)
{
    const dcb__common_kind *kind = &writer->kind;
    if (writer->nslices == 0)
        return DCB_OK;
    if (writer->nslices >= writer->options.limits.max_frames)
        return dcb__fail(error, DCB_ERR_LIMIT, DCB_NO_OFFSET, "more than %" PRIu32 " frames",
                         writer->options.limits.max_frames);
    if (strcmp(kind->series_uid, instance->series_uid) != 0 ||
        strcmp(kind->study_uid, instance->study_uid) != 0)
        return differs(error, "the series' or study's UID");
    if (has_uid(writer, uid_hash))
        return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET,
                         "an instance with this SOP Instance UID is there already");
    if (kind->allocated != instance->layout.allocated ||
        kind->samples != instance->layout.samples || kind->is_signed != instance->layout.is_signed)
        return differs(error, "the kind of samples");
    if (kind->slope != instance->slope || kind->intercept != instance->intercept)
        return differs(error, "Rescale Slope or Intercept");
    return DCB_OK;
}

static dcb_status check_header(const dcb__codestream *header, const dcb__pixel_layout *layout,
                               dcb_error *error)
{
    if (header->rows == layout->rows && header->columns == layout->columns &&
        header->components == layout->samples && header->is_signed == layout->is_signed &&
        header->precision <= layout->allocated && header->reversible)
        return DCB_OK;
    return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                     "the codestream is not what the data set describes");
}

static dcb_status decode_job(const dcb__encoding_job *job, const dcb__codestream *header,
                             uint8_t **samples, dcb_error *error)
{
    size_t nbytes = (size_t)header->rows * header->columns * header->components *
                    dcb__codec_container(header->precision);
    *samples = malloc(nbytes);
    if (*samples == NULL)
        return dcb__fail_no_memory(error, nbytes);
    return dcb__decode(*samples, nbytes, header, job->bytes, job->nbytes, 0, DCB_CODEC_ANY, error);
}

/* The codestream of an instance that came in HTJ2K, decoded once, and so known to be whole. */
static dcb_status take_codestream(dcb__encoding_job *job, dcb__codestream *header,
                                  uint8_t **samples, const dcb__instance *instance,
                                  const dcb_limits *limits, dcb_error *error)
{
    dcb_status status = dcb__pixel_place_codestream(&job->bytes, &job->nbytes, &instance->place,
                                                    instance->bytes, error);
    if (status == DCB_OK)
        status = dcb__codestream_read(header, job->bytes, job->nbytes, 0, limits, error);
    if (status == DCB_OK)
        status = check_header(header, &instance->layout, error);
    return status == DCB_OK ? decode_job(job, header, samples, error) : status;
}

/* Samples in the data set's containers, by pixel, of a decoded codestream. */
static dcb_status spread(dcb__instance *instance, uint8_t **spread_samples, const uint8_t *samples,
                         unsigned precision, dcb_error *error)
{
    dcb__pixel_layout layout = instance->layout;
    layout.by_plane = false;
    size_t nbytes = (size_t)dcb__layout_nbytes(&layout);
    *spread_samples = malloc(nbytes);
    if (*spread_samples == NULL)
        return dcb__fail_no_memory(error, nbytes);
    dcb__layout_from_codec(*spread_samples, &layout, samples, precision);
    instance->samples = *spread_samples;
    return DCB_OK;
}

/* A codestream stays as it is where the frames before are of its kind; else its samples go through
   the encoder as all others do. */
static bool keeps_codestream(const dcb_writer *writer, const dcb__codestream *header)
{
    return writer->nslices == 0 ||
           (header->precision == writer->kind.precision &&
            header->component_transform == writer->kind.component_transform);
}

/* One of another file of ours, which was decoded and compared when it was made, and has its
   checksum: decoded only where it is not to be kept. */
static dcb_status take_given(dcb__encoding_job *job, uint8_t **samples, dcb__given_frame *frame,
                             const dcb_writer *writer, const dcb__instance *instance,
                             dcb_error *error)
{
    job->bytes = frame->bytes;
    job->nbytes = frame->nbytes;
    frame->bytes = NULL;
    dcb_status status = check_header(&frame->header, &instance->layout, error);
    if (status != DCB_OK || keeps_codestream(writer, &frame->header))
        return status;
    return decode_job(job, &frame->header, samples, error);
}

static dcb_status fill_samples(dcb__encoding_job *job, const dcb__instance *instance,
                               uint16_t precision, dcb_error *error)
{
    dcb__pixel_layout layout = instance->layout;
    layout.by_plane = instance->samples_by_plane;
    size_t nbytes =
        (size_t)layout.rows * layout.columns * layout.samples * dcb__codec_container(precision);
    job->precision = precision;
    job->samples = malloc(nbytes);
    if (job->samples == NULL)
        return dcb__fail_no_memory(error, nbytes);
    dcb__layout_to_codec(job->samples, &layout, instance->samples, precision);
    return DCB_OK;
}

/* What the samples need: the series' precision, or all bits of their containers. */
static uint16_t choose_precision(const dcb_writer *writer, const dcb__instance *instance)
{
    dcb__pixel_layout layout = instance->layout;
    layout.by_plane = instance->samples_by_plane;
    uint16_t wanted = writer->nslices == 0 ? instance->stored : writer->kind.precision;
    return dcb__layout_fits(&layout, instance->samples, wanted) ? wanted : layout.allocated;
}

/* Beyond 16 bits not every encoder can: one that cannot refuses here and not at the commit. */
static dcb_status try_encoder(dcb__encoding_job *job, dcb_error *error)
{
    if (job->samples == NULL || job->precision <= 16)
        return DCB_OK;
    dcb_status status =
        dcb__encode(&job->bytes, &job->nbytes, job->samples, job->rows, job->columns,
                    job->components, job->precision, job->is_signed, error);
    if (status == DCB_OK) {
        free(job->samples);
        job->samples = NULL;
    }
    return status;
}

/* Everything that may refuse. *transform: of the codestream. */
static dcb_status prepare_job(dcb__encoding_job *job, bool *transform, dcb_writer *writer,
                              dcb__instance *instance, dcb__given_frame *frame, dcb_error *error)
{
    uint8_t *decoded = NULL, *samples = NULL;
    dcb__codestream header = {0};
    dcb_status status = DCB_OK;
    bool keep = false;
    *transform = false;
    if (frame != NULL || instance->kind == DCB_PIXELS_HTJ2K) {
        if (frame != NULL) {
            header = frame->header;
            status = take_given(job, &decoded, frame, writer, instance, error);
        } else {
            status =
                take_codestream(job, &header, &decoded, instance, &writer->options.limits, error);
        }
        keep = status == DCB_OK && keeps_codestream(writer, &header);
        if (keep) {
            job->precision = header.precision;
            *transform = header.component_transform;
        } else if (status == DCB_OK) {
            free(job->bytes);
            job->bytes = NULL;
            status = spread(instance, &samples, decoded, header.precision, error);
        }
    }
    if (status == DCB_OK && !keep && writer->nslices > 0 && writer->kind.component_transform)
        status = differs(error, "the codestream's colour transform");
    if (status == DCB_OK && !keep)
        status = fill_samples(job, instance, choose_precision(writer, instance), error);
    if (status == DCB_OK)
        status = try_encoder(job, error);
    free(decoded);
    free(samples);
    return status;
}

static bool grow_array(void **array, size_t size, uint32_t capacity)
{
    void *grown = realloc(*array, size * capacity);
    if (grown != NULL)
        *array = grown;
    return grown != NULL;
}

static dcb_status reserve_slice(dcb_writer *writer, dcb_error *error)
{
    if (writer->nslices < writer->capacity)
        return DCB_OK;
    uint32_t capacity = writer->capacity > 0 ? writer->capacity * 2 : 64;
    if (!grow_array((void **)&writer->frames, sizeof *writer->frames, capacity) ||
        !grow_array((void **)&writer->shapes, sizeof *writer->shapes, capacity) ||
        !grow_array((void **)&writer->uid_hashes, sizeof *writer->uid_hashes, capacity))
        return dcb__fail_no_memory(error, capacity * sizeof *writer->shapes);
    writer->capacity = capacity;
    return DCB_OK;
}

/* The data set into the JSON: in UTF-8 where its character set is known. */
static dcb_status merge_data_set(dcb_writer *writer, const dcb__instance *instance,
                                 dcb_error *error)
{
    dcb_dataset *utf8 = NULL;
    dcb_status status = dcb_dataset_copy(&utf8, instance->dataset, error);
    if (status == DCB_OK) {
        dcb_error own = DCB_ERROR_INIT;
        dcb_status converted = dcb_dataset_to_utf8(utf8, &own);
        if (converted == DCB_ERR_NO_MEMORY) {
            status = converted;
            if (error != NULL)
                *error = own;
        }
    }
    if (status == DCB_OK)
        status =
            dcb__merge_add(&writer->merge, utf8,
                           dcb_dataset_find(instance->dataset, DCB_TAG(0x0008, 0x0005)), error);
    dcb_dataset_close(utf8);
    return status;
}

static void take_kind(dcb_writer *writer, const dcb__instance *instance, uint16_t precision,
                      bool transform)
{
    dcb__common_kind *kind = &writer->kind;
    *kind = (dcb__common_kind){.allocated = instance->layout.allocated,
                               .samples = instance->layout.samples,
                               .precision = precision,
                               .is_signed = instance->layout.is_signed,
                               .component_transform = transform,
                               .slope = instance->slope,
                               .intercept = instance->intercept,
                               .has_window = instance->has_window,
                               .window_center = instance->window_center,
                               .window_width = instance->window_width};
    memcpy(kind->study_uid, instance->study_uid, sizeof kind->study_uid);
    memcpy(kind->series_uid, instance->series_uid, sizeof kind->series_uid);
}

/* What changes the writer; a failure breaks it. Takes the job over. */
static dcb_status take_in(dcb_writer *writer, const dcb__instance *instance, dcb__encoding_job *job,
                          bool transform, uint64_t uid_hash, dcb_error *error)
{
    dcb_status status = DCB_OK;
    if (writer->nslices == 0)
        take_kind(writer, instance, job->precision, transform);
    else if (job->precision > writer->kind.precision)
        status = dcb__frames_widen(writer, error);
    job->slice = writer->nslices;
    if (status == DCB_OK)
        status = merge_data_set(writer, instance, error);
    if (status == DCB_OK)
        status = dcb__directory_add(writer, instance, error);
    if (status != DCB_OK) {
        dcb__job_free(job);
        return status;
    }
    writer->shapes[job->slice] =
        (dcb__slice_shape){instance->geometry, instance->layout.rows, instance->layout.columns};
    writer->uid_hashes[job->slice] = uid_hash;
    status = dcb__frames_add(writer, job, error);
    if (status != DCB_OK)
        return status;
    writer->nslices++;
    writer->source_bytes += instance->source_nbytes;
    return DCB_OK;
}

dcb_status dcb__writer_add(dcb_writer *writer, dcb__instance *instance, dcb__given_frame *frame,
                           dcb_error *error)
{
    uint64_t uid_hash = dcb__checksum(instance->instance_uid, strlen(instance->instance_uid));
    dcb_status status = check_series(writer, instance, uid_hash, error);
    if (status == DCB_OK)
        status = reserve_slice(writer, error);
    if (status != DCB_OK)
        return status;
    dcb__encoding_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return dcb__fail_no_memory(error, sizeof *job);
    job->rows = instance->layout.rows;
    job->columns = instance->layout.columns;
    job->components = instance->layout.samples;
    job->is_signed = instance->layout.is_signed;
    bool transform = false;
    status = prepare_job(job, &transform, writer, instance, frame, error);
    if (status != DCB_OK) {
        dcb__job_free(job);
        return status;
    }
    dcb_error own = DCB_ERROR_INIT;
    status = take_in(writer, instance, job, transform, uid_hash, &own);
    if (status != DCB_OK) { /* none of these is the fault of the instance alone */
        writer->broken = own;
        writer->broken.status = status == DCB_ERR_NO_MEMORY ? status : DCB_ERR_IO;
        if (error != NULL)
            *error = writer->broken;
        return writer->broken.status;
    }
    return DCB_OK;
}

dcb_status dcb__writer_usable(const dcb_writer *writer, dcb_error *error)
{
    if (writer->broken.status != DCB_OK && error != NULL)
        *error = writer->broken;
    return writer->broken.status;
}

dcb_status dcb_writer_add_instance(dcb_writer *writer, const dcb_writer_instance *instance,
                                   dcb_error *error)
{
    if (dcb__writer_usable(writer, error) != DCB_OK)
        return writer->broken.status;
    dcb_writer_instance given = DCB_WRITER_INSTANCE_INIT;
    memcpy(&given, instance,
           instance->struct_size < sizeof given ? instance->struct_size : sizeof given);
    dcb__instance described;
    dcb_status status = dcb__instance_describe(&described, &given, &writer->options.limits, error);
    if (status != DCB_OK)
        return status;
    status = dcb__writer_add(writer, &described, NULL, error);
    dcb__instance_free(&described);
    return status;
}
