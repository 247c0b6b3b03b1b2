/* SPDX-License-Identifier: Apache-2.0 */
/* index_file.h - series made from a few words each: as an index sees them, or as .dcbs files. */
#ifndef INDEX_FILE_H
#define INDEX_FILE_H

#include "index.h"
#include "index_record.h"

/* NULL: the attribute is missing. UIDs of instances are sop.1 to sop.n. */
typedef struct index_file {
    const char *path;
    int64_t mtime_ns;
    const char *patient_id, *issuer, *name;
    const char *study, *date, *accession, *description;
    const char *series, *modality;
    const char *sop;
    int first, n; /* InstanceNumber from first on */
} index_file;

/* As a reader would give it; the caller closes it. */
index_record *index_file_record(const index_file *file);
file_stamp index_file_stamp(const index_file *file);
/* Puts it; returns the number of duplicates, or ends the test. */
uint32_t index_file_put(scp_index *index, const index_file *file);
/* The whole .dcbs file, each slice with the given codestream; free(). */
uint8_t *index_file_dcbs(size_t *nbytes, const index_file *file, const void *codestream,
                         size_t codestream_nbytes);

#endif
