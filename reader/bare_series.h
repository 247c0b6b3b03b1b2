/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare_series.h - what a file without dicommeta is sent as (DiCube makes such files from NIfTI):
 * Secondary Capture of modality OT, with UIDs derived from its content.
 *
 * Threads: one at a time, while a file is opened.
 */
#ifndef BARE_SERIES_H
#define BARE_SERIES_H

#include "derived_uid.h"
#include "meta.h"
#include "pixel_header.h"
#include "space.h"

/* Fills empty entries with all but the elements of the pixel module. format tells rows and columns,
   which geometry must agree with to be used. */
dcb_status dcb__bare_series_fill(dcb__entries *entries, uint32_t nslices,
                                 const dcb__content_hash *content, const dcb__space *space,
                                 const dcb__pixel_header *header, uint32_t rows, uint32_t columns,
                                 dcb_error *error);

/* True where a UID that every instance needs is missing for some slice. */
bool dcb__identity_is_missing(const dcb__entries *entries, uint32_t nslices);
/* Puts derived UIDs where they are missing. */
dcb_status dcb__identity_complete(dcb__entries *entries, uint32_t nslices,
                                  const dcb__content_hash *content, dcb_error *error);

#endif
