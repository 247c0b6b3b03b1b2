/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relocate.h - finds an instance again that left the file in which the index had it: packing moves
 * instances, and removes the files that they were in.
 *
 * Threads: any.
 */
#ifndef RELOCATE_H
#define RELOCATE_H

#include "index.h"
#include "series_pool.h"

/* The open series and the frame that hold the SOP instance now; NULL where it is nowhere, or
   there is no index. Two series may have an instance of the same UID: that of series_uid is meant
   (NULL: of any). One reference for the caller. */
dcb_series *relocate(uint32_t *frame, scp_index *index, series_pool *pool, const char *series_uid,
                     const char *sop_instance_uid);
/* Is this frame the SOP instance? */
bool relocate_holds(dcb_series *series, uint32_t frame, const char *sop_instance_uid);

#endif
