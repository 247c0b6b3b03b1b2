/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data_set_walk.h - from one top-level element of an encoded data set to the next, without parsing
 * what is in them (PS3.5 section 7).
 *
 * Invariant: nothing outside bytes[0..nbytes) is looked at, and every step moves forward.
 * Threads: one for each walk.
 */
#ifndef DATA_SET_WALK_H
#define DATA_SET_WALK_H

#include "dcb.h"

typedef struct dcb__walk {
    const uint8_t *bytes;
    size_t nbytes, at;
    dcb_syntax syntax;
} dcb__walk;

typedef struct dcb__walked {
    uint32_t tag;
    size_t start; /* of the element's header */
    size_t value; /* of its value */
    size_t end;   /* after it */
} dcb__walked;

typedef enum dcb__walk_result {
    DCB_WALK_ELEMENT,
    DCB_WALK_END, /* the bytes end where an element does */
    DCB_WALK_CUT, /* the bytes end within an element: *out has its tag where that is there */
    DCB_WALK_BAD, /* no data set: at `at` */
} dcb__walk_result;

dcb__walk_result dcb__walk_next(dcb__walked *out, dcb__walk *walk);

/* How an encapsulated or native data set of a transfer syntax is laid out. *deflated: unpack it
   first. */
dcb_syntax dcb__syntax_of(const char *transfer_syntax_uid, bool *deflated);
/* Native pixels: not encapsulated. */
bool dcb__syntax_is_native(const char *transfer_syntax_uid);

/* Unpacks a deflated data set (PS3.5 A.5), or as much of it as is there; no more than limit bytes:
   DCB_ERR_LIMIT where `whole` asks for more. free() *out. */
dcb_status dcb__inflate(uint8_t **out, size_t *out_nbytes, const uint8_t *bytes, size_t nbytes,
                        size_t limit, bool whole, dcb_error *error);
/* The reverse, padded to even length; free() *packed. */
dcb_status dcb__deflate(uint8_t **packed, size_t *packed_nbytes, const uint8_t *bytes,
                        size_t nbytes, dcb_error *error);

#endif
