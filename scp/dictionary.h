/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dictionary.h - the VR of a tag (PS3.6), for identifiers in Implicit VR Little Endian.
 *
 * DCMTK's data dictionary does the work, behind dictionary_dcmtk.cc.
 *
 * Threads: dictionary_load once, before others start; dictionary_vr from any.
 */
#ifndef DICTIONARY_H
#define DICTIONARY_H

#include "../reader/dcb.h"
#include "scp_error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fails where DCMTK finds no dicom.dic: no implicit identifier could be understood without it. */
int dictionary_load(scp_error *error);

/* A dcb_vr_lookup; context is not used. 0 where the tag is unknown or private. */
dcb_vr dictionary_vr(void *context, uint32_t tag);

#ifdef __cplusplus
}
#endif
#endif
