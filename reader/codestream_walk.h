/* SPDX-License-Identifier: Apache-2.0 */
/* codestream_walk.h - between codestream_tiles.c, which knows where packets are and which blocks
   they cover, and codestream_packets.c, which reads them. */
#ifndef CODESTREAM_WALK_H
#define CODESTREAM_WALK_H

#include "codec.h"

/* A precinct's part of one band. */
typedef struct dcb__packet_band {
    uint32_t across, down; /* blocks; 0 where the band is empty */
    unsigned planes;
} dcb__packet_band;

/* Scratch that grows with the largest packet. */
typedef struct dcb__packet_walker {
    const uint8_t *bytes;
    dcb_error *error;
    uint8_t *scratch;
    size_t capacity;
} dcb__packet_walker;

/* Reads the packet at *pos, which may go up to end, and moves *pos behind it. */
dcb_status dcb__walk_packet(size_t *pos, dcb__packet_walker *walker, size_t end,
                            const dcb__packet_band *bands, unsigned nbands);
void dcb__packet_walker_free(dcb__packet_walker *walker);

#endif
