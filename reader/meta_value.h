/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_value.h - JSON values as the bytes of an element (PS3.18 F.2 backwards), and whole elements
 * with their items through the writer.
 *
 * Threads: one at a time for each writer.
 */
#ifndef META_VALUE_H
#define META_VALUE_H

#include "charset.h"
#include "data_set_writer.h"
#include "meta.h"

/* How text is written. */
typedef struct dcb__text_form {
    const dcb__charset *charset; /* not used with utf8 */
    bool utf8;                   /* the data set says ISO_IR 192 */
} dcb__text_form;

/* Appends the unpadded little-endian bytes of values (an array or one value; NULL: none) to buffer.
   DCB_ERR_ENCODING: the character set cannot hold the text. */
dcb_status dcb__value_bytes(dcb__writer *buffer, uint32_t tag, dcb_vr vr, const dcb__json *values,
                            const dcb__text_form *form, dcb_error *error);

/* Writes a shared element, items and all. scratch is a buffer that is kept between calls. */
dcb_status dcb__entry_write(dcb__writer *writer, dcb__writer *scratch, const dcb__entry *entry,
                            const dcb__text_form *form, dcb_error *error);

#endif
