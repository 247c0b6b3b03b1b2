/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_vectors.h - what a data set says of each frame, cut to some of them: functional groups,
 * attributes with a value for each frame, and references to frames by their numbers.
 *
 * Stateless; any thread.
 */
#ifndef FRAME_VECTORS_H
#define FRAME_VECTORS_H

#include "../reader/dcb.h"

/* frames: from 0, ascending, of nsource. False where what is there is not for each frame; the data
   set is of no use then. Frame Time and Frame Time Vector are the caller's. */
bool frame_vectors_cut(dcb_dataset *dataset, const uint32_t *frames, uint32_t nframes,
                       uint32_t nsource);

#endif
