/* SPDX-License-Identifier: Apache-2.0 */
/*
 * negotiation.h - what is answered to an association request (PS3.8 section 7.1, PS3.7 annex D).
 *
 * A pure function over ul_request. What it accepts:
 * - Verification, FIND, GET and MOVE contexts, in Explicit LE, Implicit LE or Explicit BE, in this
 * order, for a requestor in the SCU role;
 * - where a GET context was proposed: contexts on which instances can go to the requestor, that is
 *   any SOP class proposed with the SCP role, or (get_without_role) a storage class of the standard
 *   proposed without a role item. Each gets the first of HTJ2K lossless, HTJ2K, Explicit LE,
 *   Implicit LE, Explicit BE, Deflated that it proposes, else of the other lossless compressed
 *   syntaxes, else of those that can only carry what is stored in them. A context has one transfer
 *   syntax: a client that wants what is stored as it is proposes each syntax in a context of its
 *   own.
 * - where we store (policy): storage contexts for a requestor in the SCU role, any abstract syntax
 *   that is no service with store_unknown. Each gets the first of the lossless compressed syntaxes,
 *   Explicit LE, Implicit LE, Deflated, Explicit BE, the lossy ones. A context in both roles is
 *   chosen as for C-GET, then by this list.
 * - of all these, what the caller has a right to; contexts for the rest are refused with 1.
 * Everything else is refused: 3 for an abstract syntax that we do not take in that role, 4 where no
 * transfer syntax suits, 1 where the roles asked for make no sense.
 */
#ifndef NEGOTIATION_H
#define NEGOTIATION_H

#include "ul.h"

typedef struct negotiation_policy {
    const char *ae_title; /* ours: the only one that is answered */
    bool get_without_role;
    bool store, store_unknown; /* C-STORE to us; of SOP classes that are not in the standard too */
    uint32_t rights;           /* access_right, or-ed: contexts for others are refused (1) */
    const char *access;        /* what gave them, for the log; with no right at all it refuses */
} negotiation_policy;

typedef struct negotiation_verdict {
    bool accepted;
    uint8_t result, source, reason; /* where not: PS3.8 table 9-21 */
    const char *text;               /* where not: for the log */
} negotiation_verdict;

/* Answers every context of an acceptable request. */
negotiation_verdict negotiate(ul_request *request, const negotiation_policy *policy);

/* Our answer to a SOP class's extended negotiation (PS3.4 C.5.1.1 for FIND, C.5.2.1 for MOVE,
   C.5.3.1 for GET): as many bytes as were proposed, at most the capacity; 1 for relational
   retrieval where it was asked for, else 0 (not supported) each. Returns their number; 0: no answer
   is due. */
size_t negotiate_extended(uint8_t *answer, size_t capacity, const char *sop_class_uid,
                          const uint8_t *proposed, size_t proposed_nbytes);

#endif
