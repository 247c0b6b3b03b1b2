/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta_prune.h - a list of elements without the values that cannot be written: numbers out of the
 * range of their VR, text where a number belongs, what is no base64.
 *
 * Nothing is ever changed to fit. Threads: as meta.h.
 */
#ifndef META_PRUNE_H
#define META_PRUNE_H

#include "meta.h"

/* entries: as dcb__meta_read gave them. A slice's value goes alone, any other with its element;
   each such element counts in counts->invalid_elements, and *first tells of the first. */
dcb_status dcb__meta_prune(dcb__entries *entries, uint32_t nslices, dcb__meta_counts *counts,
                           dcb_error *first, dcb_error *error);

#endif
