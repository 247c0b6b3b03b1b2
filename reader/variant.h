/* SPDX-License-Identifier: Apache-2.0 */
/*
 * variant.h - a text form of the model in one encoding, cut where each column's values go in, so
 * that a slice's data set costs a few copies however much the slices share.
 *
 * Threads: immutable once made.
 */
#ifndef VARIANT_H
#define VARIANT_H

#include "data_set_writer.h"
#include "series_model.h"

typedef struct dcb__variant {
    const dcb__form *form;
    dcb_syntax syntax;
    const uint8_t *shared;
    size_t shared_nbytes;
    uint8_t *own;          /* shared, where it is not the form's */
    size_t pixel_cut;      /* where Pixel Data goes in */
    uint32_t pixel_column; /* the first column after Pixel Data */
    size_t cuts[];         /* where column k goes in */
} dcb__variant;

typedef enum dcb__part { DCB_BEFORE_PIXELS, DCB_AFTER_PIXELS } dcb__part;

/* photometric: NULL, or the term to put in place of the model's, for encodings that differ in it.
 */
dcb_status dcb__variant_create(dcb__variant **out, const dcb__form *form, dcb_syntax syntax,
                               const char *photometric, dcb_error *error);
void dcb__variant_free(dcb__variant *variant);
/* Appends the elements of a slice that come before or after Pixel Data. */
void dcb__variant_write(dcb__writer *writer, const dcb__variant *variant, uint32_t slice,
                        dcb__part part);

/* Tag and whole length of the element at bytes, which this library wrote: its length is defined. */
uint32_t dcb__scan_element(const uint8_t *bytes, dcb_syntax syntax, size_t *nbytes);

#endif
