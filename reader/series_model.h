/* SPDX-License-Identifier: Apache-2.0 */
/*
 * series_model.h - a series' data sets, compact and ready to be written: the elements that all
 * slices share as one encoded data set, the others as columns of values.
 *
 * It exists in one or two text forms: the series' own character set, and UTF-8 for those slices
 * whose text that set cannot hold.
 *
 * Threads: immutable once made.
 */
#ifndef SERIES_MODEL_H
#define SERIES_MODEL_H

#include "meta.h"

/* One element's values, one after the other in form->values, even in length, little endian. Where
   slices' values begin takes more memory than most values: so lengths are kept in bytes, and where
   every 16th value begins. */
typedef struct dcb__column {
    uint32_t tag;
    dcb_vr vr;
    bool wide; /* some value is too long for that: starts has nslices + 1 entries */
    const uint32_t *starts;
    const uint8_t *lengths; /* nslices, in units of 2 bytes; NULL where wide */
} dcb__column;

#define DCB_COLUMN_GROUP        16u
#define DCB_COLUMN_ABSENT       0x80000000u /* in wide starts: the slice lacks the element */
#define DCB_COLUMN_ABSENT_SHORT 0xFFu       /* in lengths */

typedef struct dcb__form {
    uint8_t *shared; /* Explicit VR Little Endian, defined lengths, ascending tags */
    size_t shared_nbytes;
    dcb__column *columns; /* ascending tags, none of them in shared */
    uint32_t ncolumns;
    uint8_t *places; /* starts and lengths of all columns */
    uint8_t *values;
} dcb__form;

typedef struct dcb__model {
    uint32_t nslices;
    dcb__form *native;    /* NULL: every slice goes as UTF-8 */
    dcb__form *utf8;      /* NULL: no slice does */
    uint8_t *utf8_slices; /* a bit for each slice that does; NULL: all or none */
    char *uids;           /* all that class_uids and instance_uids point to */
    const char **class_uids, **instance_uids; /* of each slice */
    const char *study_uid, *series_uid;
} dcb__model;

/* entries are changed: (0008,0005) for the UTF-8 form. They must have the four UIDs. */
dcb_status dcb__model_create(dcb__model **out, dcb__entries *entries, uint32_t nslices,
                             dcb_error *error);
void dcb__model_free(dcb__model *model);
/* The form that a slice is written from. */
const dcb__form *dcb__model_form(const dcb__model *model, uint32_t slice);

/* The value of a slice; NULL where it lacks the element. */
static inline const uint8_t *dcb__column_value(const dcb__form *form, const dcb__column *column,
                                               uint32_t slice, size_t *nbytes)
{
    if (column->wide) {
        uint32_t start = column->starts[slice];
        uint32_t end = column->starts[slice + 1] & ~DCB_COLUMN_ABSENT;
        if (start & DCB_COLUMN_ABSENT)
            return NULL;
        *nbytes = end - start;
        return form->values + start;
    }
    const uint8_t *lengths = column->lengths;
    if (lengths[slice] == DCB_COLUMN_ABSENT_SHORT)
        return NULL;
    size_t start = column->starts[slice / DCB_COLUMN_GROUP];
    for (uint32_t i = slice - slice % DCB_COLUMN_GROUP; i < slice; i++)
        start += lengths[i] == DCB_COLUMN_ABSENT_SHORT ? 0 : 2u * lengths[i];
    *nbytes = 2u * lengths[slice];
    return form->values + start;
}

#endif
