/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_part.h - instances made of stored ones for the composite instance retrievals: headers
 * without bulk data (PS3.4 annex Z), and new instances of some frames (PS3.4 Y.3.3).
 *
 * Threads: any.
 */
#ifndef INSTANCE_PART_H
#define INSTANCE_PART_H

#include "identifier.h"

/* series has the one instance. It fails with what is for the peer in comment, and more of that for
   the log; status: of the whole retrieval where that ends for it, or 0. */
typedef struct instance_part {
    dcb_series *series;
    uint8_t *part10;
    uint16_t status;
    char comment[65], reason[240];
} instance_part;

/* Is to be closed in any case. uid: the instance that it must be. No frame is read for it. */
bool instance_headers(instance_part *out, dcb_series *series, uint32_t frame, const char *uid);
/* The frames that the query asks for; frame_extraction.c. */
bool instance_frames(instance_part *out, dcb_series *series, uint32_t frame, const char *uid,
                     const scp_query *query);
void instance_part_close(instance_part *part);

/* ---- For these two ---- */

/* A series of the one instance whose data set is `head`, encoded, and then `tail`. */
bool instance_part_open(instance_part *out, const dcb_dataset *head, const uint8_t *tail,
                        size_t tail_nbytes, const char *transfer_syntax_uid);
/* Always false. */
bool instance_part_fail(instance_part *out, uint16_t status, const char *comment,
                        const char *reason);

#endif
