/* SPDX-License-Identifier: Apache-2.0 */
/* part10.h - preamble and File Meta Information (PS3.10 section 7.1). */
#ifndef PART10_H
#define PART10_H

#include "dcb.h"

/* PS3.5 B.2: from the UUID ee60adb4-8a60-4ac1-9b2f-6a3f0c8ddcb5, made for this project. */
#define DCB_IMPLEMENTATION_CLASS_UID    "2.25.316858246655985346770561353390001872053"
#define DCB_IMPLEMENTATION_VERSION_NAME "DCBSCP_0_1"

/* The most that dcb__part10_header writes: three UIDs of 64 bytes. */
#define DCB_PART10_ROOM 512u

/* Writes everything that comes before the data set and returns its length, which is even. */
size_t dcb__part10_header(uint8_t to[DCB_PART10_ROOM], const char *transfer_syntax_uid,
                          const char *sop_class_uid, const char *sop_instance_uid);

#endif
