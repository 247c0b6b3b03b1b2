/* SPDX-License-Identifier: Apache-2.0 */
/*
 * part10_file.h - a DICOM file of any transfer syntax (PS3.10), made ready for a dcb_writer.
 *
 * Threads: any, each with its own.
 */
#ifndef PART10_FILE_H
#define PART10_FILE_H

#include "../reader/dcb.h"
#include "scp_error.h"

typedef enum part10_result {
    PART10_OK,
    PART10_NOT_DICOM, /* no preamble with DICM */
    PART10_UNREADABLE,
} part10_result;

typedef struct part10_file {
    uint8_t *bytes; /* the whole file */
    size_t nbytes;
    char syntax_uid[65];
    const uint8_t *dataset; /* Explicit VR Little Endian: the file's own bytes, or converted ones */
    size_t dataset_nbytes;
    uint8_t *converted;
    uint8_t *samples; /* decoded, where the syntax asks for it (dcb_writer_instance) */
    size_t samples_nbytes;
} part10_file;

/* Reads the file and makes the data set Explicit VR Little Endian. out is to be closed in any case.
 */
part10_result part10_file_read(part10_file *out, const char *path, scp_error *error);
/* The same of a file that is in memory, which is copied. */
part10_result part10_file_copy(part10_file *out, const void *bytes, size_t nbytes,
                               scp_error *error);
/* Decodes pixels where a writer cannot take them as they are. False where that cannot be done. */
bool part10_file_decode(part10_file *file, scp_error *error);
void part10_file_close(part10_file *file);

/* The elements before Pixel Data, or all where it is not encapsulated; NULL where they cannot be
   parsed. dcb_dataset_close it. */
dcb_dataset *part10_file_elements(const part10_file *file, scp_error *error);

#endif
