/* SPDX-License-Identifier: Apache-2.0 */
/* derived_uid.h - UIDs for files that bring none: always the same for the same content (PS3.5 B.2).
 */
#ifndef DERIVED_UID_H
#define DERIVED_UID_H

#include "dcb.h"
#include "source.h"

#define DCB_UID_ROOM 65

typedef struct dcb__content_hash {
    uint64_t low, high;
} dcb__content_hash;

/* A hash of all bytes of the file. */
dcb_status dcb__content_hash_read(dcb__content_hash *out, const dcb__source *source,
                                  dcb_error *error);

/* 2.25.<UUID as a number>, of the content, what the UID is for ("study") and a number. */
void dcb__derive_uid(char uid[DCB_UID_ROOM], const dcb__content_hash *content, const char *role,
                     uint32_t number);

#endif
