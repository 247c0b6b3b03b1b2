/* SPDX-License-Identifier: Apache-2.0 */
#include "writer_fixture.h"

#include "must.h"
#include "temp_dir.h"

#include <string.h>

int writer_fixture_setup(void **state)
{
    static writer_fixture f;
    f.path = temp_dir_create();
    f.file = path_join(f.path, "series.dcbs");
    *state = &f;
    return 0;
}

int writer_fixture_teardown(void **state)
{
    writer_fixture *f = *state;
    free(f->file);
    temp_dir_remove(f->path);
    return 0;
}

dcb_status writer_fixture_add(dcb_writer *writer, const void *bytes, size_t nbytes,
                              const char *syntax, dcb_error *error)
{
    dcb_writer_instance instance = DCB_WRITER_INSTANCE_INIT;
    instance.dataset = bytes;
    instance.dataset_nbytes = nbytes;
    instance.syntax_uid = syntax;
    return dcb_writer_add_instance(writer, &instance, error);
}

void writer_fixture_write(const char *path, const source_kind *kind, uint32_t nslices,
                          dcb_writer_summary *summary)
{
    dcb_writer *writer = NULL;
    dcb_error error = DCB_ERROR_INIT;
    dcb_writer_options options = DCB_WRITER_OPTIONS_INIT;
    options.nthreads = 2;
    must(dcb_writer_create(&writer, path, &options, &error) == DCB_OK, error.message);
    for (uint32_t i = 0; i < nslices; i++) {
        size_t nbytes = 0;
        uint8_t *bytes = source_instance(&nbytes, kind, i);
        must(writer_fixture_add(writer, bytes, nbytes, EXPLICIT, &error) == DCB_OK, error.message);
        memset(bytes, 0xEE, nbytes); /* it was borrowed for the call only */
        free(bytes);
    }
    must(dcb_writer_commit(writer, summary, &error) == DCB_OK, error.message);
}

dcb_series *writer_fixture_open(const char *path, bool ignore_trailer)
{
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    dcb_error error = DCB_ERROR_INIT;
    dcb_series *series = NULL;
    options.ignore_trailer = ignore_trailer;
    must(dcb_series_open(&series, path, &options, &error) == DCB_OK, error.message);
    return series;
}

dcb_frame *writer_fixture_frame(dcb_series *series, uint32_t i, dcb_encoding encoding)
{
    dcb_frame *frame = NULL;
    dcb_error error = DCB_ERROR_INIT;
    must(dcb_series_frame(&frame, series, i, encoding, &error) == DCB_OK, error.message);
    return frame;
}

bool writer_fixture_holds(dcb_series *series, const source_kind *kind, uint32_t i)
{
    size_t nbytes = 0, got = 0;
    uint8_t *bytes = source_instance(&nbytes, kind, i);
    dcb_frame *frame = writer_fixture_frame(series, i, DCB_ENCODING_EXPLICIT_LE);
    const uint8_t *dataset = dcb_frame_dataset(frame, &got);
    const bool same = got == nbytes && memcmp(dataset, bytes, nbytes) == 0;
    if (!same)
        fprintf(stderr, "%s: slice %u is not what was taken in\n", kind->name, (unsigned)i);
    dcb_frame_release(frame);
    free(bytes);
    return same;
}
