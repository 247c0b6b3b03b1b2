/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data_set_writer.h - bytes of a data set in one of the encodings of PS3.5 section 7, appended to a
 * growing buffer. The only code that writes element headers, padding and sequences; both the fast
 * path of instances and dcb_dataset_encode stand on it.
 *
 * Errors stick: after the first failure calls do nothing, and dcb__writer_finish tells.
 */
#ifndef DATA_SET_WRITER_H
#define DATA_SET_WRITER_H

#include "dcb.h"

typedef struct dcb__writer {
    uint8_t *bytes;
    size_t nbytes, capacity;
    dcb_syntax syntax;
    dcb_status status;
    dcb_error error;
} dcb__writer;

void dcb__writer_init(dcb__writer *writer, dcb_syntax syntax);
/* Frees the buffer (after finish: nothing). */
void dcb__writer_free(dcb__writer *writer);
/* Hands the buffer over: free() *bytes. Fails with the first error. */
dcb_status dcb__writer_finish(uint8_t **bytes, size_t *nbytes, dcb__writer *writer,
                              dcb_error *error);

/* Makes room for nbytes more at once, where the size is known. */
void dcb__writer_reserve(dcb__writer *writer, size_t nbytes);
void dcb__writer_append(dcb__writer *writer, const void *bytes, size_t nbytes);

/* A whole element. value is little-endian, of any length: it is padded as the VR asks (NUL for UI
   and binary, space for text) and swapped for big endian. A value over 65534 bytes in a
   short-length VR is written as UN in the explicit syntaxes (PS3.5 6.2.2 note 2). */
void dcb__writer_element(dcb__writer *writer, uint32_t tag, dcb_vr vr, const void *value,
                         size_t nbytes);

/* Sequences and items with defined lengths: begin returns a mark for end, which fills the length
   in. Nothing may be written between a sequence's begin and its items' begins. */
size_t dcb__writer_begin_sequence(dcb__writer *writer, uint32_t tag);
void dcb__writer_end_sequence(dcb__writer *writer, size_t mark);
size_t dcb__writer_begin_item(dcb__writer *writer);
void dcb__writer_end_item(dcb__writer *writer, size_t mark);

/* Swaps a value of the VR between little and big endian in place (units of 2, 4 or 8 bytes). */
void dcb__swap_value(dcb_vr vr, uint8_t *value, size_t nbytes);

#endif
