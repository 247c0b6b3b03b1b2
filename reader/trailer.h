/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trailer.h - the exact trailer of our own files: its layout (FORMAT.md) and what is read of it.
 *
 * Invariant after dcb__trailer_read: every chunk lies inside the file, every slice inside its
 * chunk's unpacked bytes, every UID is one.
 *
 * Threads: any, once read; chunks that are unpacked are kept under the lock.
 */
#ifndef TRAILER_H
#define TRAILER_H

#include "container.h"
#include "lock.h"
#include "pixel_layout.h"

#define DCB_TRAILER_VERSION       1u
#define DCB_FOOTER_NBYTES         64u
#define DCB_DIRECTORY_HEAD_NBYTES 128u
#define DCB_CHUNK_ROW_NBYTES      32u
#define DCB_SLICE_ROW_NBYTES      64u
#define DCB_CHUNKS_KEPT           8u

typedef enum dcb__slice_flag {
    DCB_SLICE_BY_PLANE = 1,    /* Planar Configuration 1 */
    DCB_SLICE_EDIT_STORED = 2, /* the data set is not as HTJ2K demands */
    DCB_SLICE_EDIT_NATIVE = 4, /* the data set is not as decoded pixels demand */
} dcb__slice_flag;

typedef struct dcb__slice {
    uint64_t frame_checksum, data_set_checksum;
    uint32_t chunk, start;        /* where its bytes begin in the unpacked chunk */
    uint32_t before, after, tail; /* bytes: elements before and after Pixel Data, its end */
    const char *class_uid, *instance_uid, *syntax_uid;
    uint16_t rows, columns;
    dcb_vr pixel_vr;
    uint16_t flags;
} dcb__slice;

typedef struct dcb__chunk {
    uint64_t offset, nbytes, unpacked_nbytes, checksum;
} dcb__chunk;

/* An unpacked chunk; shared by references. */
typedef struct dcb__unpacked dcb__unpacked;

typedef struct dcb__trailer {
    uint32_t nslices, nchunks;
    uint16_t allocated, samples;
    uint64_t header_checksum, section_checksums[DCB_SECTION_COUNT];
    uint64_t offset, nbytes; /* of the directory */
    uint8_t *directory;      /* its bytes: strings are borrowed from them */
    dcb__chunk *chunks;
    dcb__slice *slices;
    const char *study_uid, *series_uid, *writer;
    dcb__mutex lock; /* guards the fields below */
    struct {
        dcb__unpacked *chunk;
        uint64_t used;
    } kept[DCB_CHUNKS_KEPT];
    uint64_t clock;
} dcb__trailer;

/* xxh3-64. */
uint64_t dcb__checksum(const void *bytes, size_t nbytes);

/* *out is NULL, with DCB_OK, where the file has no trailer; `announced` makes that an error. */
dcb_status dcb__trailer_read(dcb__trailer **out, const dcb__source *source,
                             const dcb__container *container, const dcb_limits *limits,
                             bool announced, dcb_error *error);
void dcb__trailer_close(dcb__trailer *trailer);

/* Reads one section (or, with DCB_SECTION_COUNT, the header) and compares its checksum. */
dcb_status dcb__trailer_check_section(const dcb__trailer *trailer, const dcb__source *source,
                                      const dcb__container *container, unsigned section,
                                      dcb_error *error);

/* A slice's bytes: elements before Pixel Data, after it, and the end of its value. Borrowed till
   dcb__slice_close. */
typedef struct dcb__slice_bytes {
    const uint8_t *before, *after, *tail;
    size_t before_nbytes, after_nbytes, tail_nbytes;
    dcb__unpacked *chunk;
} dcb__slice_bytes;

/* Both checksums, the chunk's and the slice's own, have been compared. */
dcb_status dcb__slice_open(dcb__slice_bytes *out, dcb__trailer *trailer, const dcb__source *source,
                           uint32_t slice, dcb_error *error);
void dcb__slice_close(dcb__slice_bytes *bytes);

#endif
