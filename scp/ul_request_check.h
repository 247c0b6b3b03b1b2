/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_request_check.h - looks over an A-ASSOCIATE-RQ (PS3.8 9.3.2, PS3.7 annex D) before DCMTK
 * parses it: what that parser would leak on, misread or give up on without a word is refused here.
 *
 * A pure function of bytes.
 */
#ifndef UL_REQUEST_CHECK_H
#define UL_REQUEST_CHECK_H

#include "scp_error.h"
#include "ul.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UL_REQUEST_MAX 0x100000 /* DCMTK's own bound for the PDU's length */

/* pdu: everything after the 6-byte head. 0, or -1 with what is wrong. Another protocol version is
   not looked into: DCMTK answers that one. */
int ul_request_check(const uint8_t *pdu, size_t nbytes, scp_error *error);

/* The SCP/SCU role selection item for a SOP class (PS3.7 D.3.3.4). Returns false where there is
   none, or none that can be read. */
bool ul_request_role(const uint8_t *pdu, size_t nbytes, const char *sop_class_uid, bool *scu,
                     bool *scp);

/* The user identity item (PS3.7 D.3.3.7); type 0 where there is none. */
void ul_request_identity(const uint8_t *pdu, size_t nbytes, ul_identity *out);

#ifdef __cplusplus
}
#endif
#endif
