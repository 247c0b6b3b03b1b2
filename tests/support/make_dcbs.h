/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_dcbs.h - writes .dcbs files as DiCube does (format sections 1 and 2), for tests and for the
 * sample archive: a container from its sections, and the JSON of dicommeta element by element.
 *
 * Running out of memory or a wrong use ends the program: this is not for the node.
 * Threads: one for each object.
 */
#ifndef MAKE_DCBS_H
#define MAKE_DCBS_H

#include <stddef.h>
#include <stdint.h>

/* A growing, NUL-terminated text. Zero it to begin; free(text). */
typedef struct make_text {
    char *text;
    size_t nbytes, capacity;
} make_text;

void make_text_add(make_text *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* UTF-8 as a JSON string in pure ASCII, with quotes, \uXXXX and surrogate pairs. */
void make_text_add_json(make_text *out, const char *utf8);

/* ---- dicommeta ---- */

/* Zero it, begin, elements in any order, end; then json.text, which the caller frees. Tags are
   eight upper-case hexadecimal digits. */
typedef struct make_meta {
    make_text json;
    unsigned nslices;
    unsigned nvalues; /* of the per-slice element under way */
} make_meta;

void make_meta_begin(make_meta *meta, unsigned nslices);
/* Shared: one text value; values as JSON ("1,2,3"); a name; nothing. */
void make_meta_text(make_meta *meta, const char *tag, const char *vr, const char *utf8);
void make_meta_json(make_meta *meta, const char *tag, const char *vr, const char *values);
void make_meta_name(make_meta *meta, const char *tag, const char *utf8);
void make_meta_empty(make_meta *meta, const char *tag, const char *vr);
/* Per slice: begin, one make_meta_slice for each slice with its JSON, end. */
void make_meta_begin_slices(make_meta *meta, const char *tag, const char *vr);
void make_meta_slice(make_meta *meta, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void make_meta_end_slices(make_meta *meta);
void make_meta_end(make_meta *meta);

/* ---- The container ---- */

typedef struct make_frame {
    const void *bytes;
    size_t nbytes;
} make_frame;

/* NULL: the section is absent. */
typedef struct make_dcbs {
    const char *dicom_status;
    const char *meta_json; /* compressed here */
    const char *space_json;
    const char *pixel_header_json;
    uint32_t nframes;
    const make_frame *frames;
} make_dcbs;

/* free() the result. */
uint8_t *make_dcbs_bytes(size_t *nbytes, const make_dcbs *file);
/* Written under another name, then renamed to path. Returns 0, or -1 with errno. */
int make_dcbs_write(const char *path, const make_dcbs *file);

#endif
