/* SPDX-License-Identifier: Apache-2.0 */
/* ingest_pack_read.c - an instance of the spool for the packer, from its file or the journal. */
#include "ingest_pack.h"

#include <errno.h>

bool ingest__spooled_open(pack_source *out, scp_ingest *ingest, uint64_t number)
{
    *out = (pack_source){.ingest = ingest};
    ingest__path(out->path, ingest, number, ".dcm");
    out->buffer = ingest__take_buffer(ingest);
    if (out->buffer == NULL)
        return false;
    const int cause =
        ingest__unwritten_read(ingest, number, out->buffer, &out->nbytes, &out->mtime_ns);
    if (cause == 0)
        return true;
    ingest__give_buffer(ingest, out->buffer);
    out->buffer = NULL;
    return cause == ENOENT;
}

bool ingest__spooled_check(pack_source *source)
{
    file_stamp stamp;
    if (source->buffer != NULL)
        return true; /* the journal compared its hashes */
    if (ingest__check_file(source->path, &stamp) != INGEST_WHOLE)
        return false;
    source->mtime_ns = stamp.mtime_ns;
    return true;
}

part10_result ingest__spooled_read(part10_file *out, const pack_source *source, scp_error *error)
{
    return source->buffer != NULL ? part10_file_copy(out, source->buffer, source->nbytes, error)
                                  : part10_file_read(out, source->path, error);
}

dcb_status ingest__spooled_series(dcb_series **out, const pack_source *source)
{
    return source->buffer != NULL
               ? dcb_series_open_memory(out, source->buffer, source->nbytes, NULL, NULL)
               : dcb_series_open(out, source->path, NULL, NULL);
}

void ingest__spooled_close(pack_source *source)
{
    ingest__give_buffer(source->ingest, source->buffer);
    source->buffer = NULL;
}
