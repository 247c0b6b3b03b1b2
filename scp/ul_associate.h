/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_associate.h - an association that we request, as bytes: A-ASSOCIATE-RQ out, A-ASSOCIATE-AC and
 * -RJ in (PS3.8 9.3.2 to 9.3.4, PS3.7 annex D). Private to the ul_*.c[c] files.
 *
 * Pure functions of bytes. What is proposed and what became of it stand in the same ul_request: in
 * an association of ours the peer may store on a context (peer_is_scp) where it was accepted.
 */
#ifndef UL_ASSOCIATE_H
#define UL_ASSOCIATE_H

#include "ul.h"

#ifdef __cplusplus
extern "C" {
#endif

#define UL_ANSWER_MAX 0x100000 /* of an A-ASSOCIATE-AC's length: a whole one has some 20 KiB */

/* The A-ASSOCIATE-RQ with its head; free(). Calling and called AE title and the contexts are
   request's, the implementation is ours. NULL where memory ran out. */
uint8_t *ul_associate_encode(size_t *nbytes, const ul_request *request, uint32_t max_pdu);

/* Reads an A-ASSOCIATE-AC, everything after the 6-byte head, into request: each context's result
   and syntax, the peer's maximum PDU length and implementation. A context that is not answered, or
   with a syntax that was not proposed for it, is not accepted. */
int ul_associate_read_answer(ul_request *request, const uint8_t *pdu, size_t nbytes,
                             scp_error *error);

/* What an A-ASSOCIATE-RJ says (PS3.8 table 9-21): "called AE title not recognized". */
const char *ul_associate_rejection(uint8_t source, uint8_t reason);

#ifdef __cplusplus
}
#endif
#endif
