/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match.h - does a record answer to the keys of an identifier? (PS3.4 C.2.2.2)
 *
 * Keys and records are data sets in UTF-8. A key that matches everything (no value; a lone "*" in
 * the VRs that have wildcards) is dropped when the matcher is made; every other must match, so an
 * attribute that is missing or empty answers to universal keys only. Where the standard leaves
 * room:
 * - an attribute of several values matches when any of them does; so does a key of several values,
 *   which the standard has for UI only;
 * - text is compared as it is (case and accents count) except PN, which is compared folded, each
 *   component group by itself: a key of one group may match any group, of more each its own;
 * - "DOE" and "DOE^^" are the same name, and "DOE^*" finds it too;
 * - IS and DS that are the same number match ("5", "05", "5.0");
 * - DA, TM, DT: a value matches a key that its begin falls in ("10" of TM is the whole hour);
 *   date and time keys are matched apart (combined matching is by extended negotiation only).
 *
 * Threads: a matcher is immutable once made; any number may use it.
 */
#ifndef MATCH_H
#define MATCH_H

#include "../reader/dcb.h"

typedef struct scp_matcher scp_matcher;

typedef enum matcher_status {
    MATCHER_OK,
    MATCHER_BAD_KEY, /* *offending has a value that its VR does not allow */
    MATCHER_NO_MEMORY,
} matcher_status;

/* keys is not needed afterwards. */
matcher_status matcher_create(scp_matcher **out, const dcb_dataset *keys, uint32_t *offending);
void matcher_close(scp_matcher *matcher);
/* Keys that restrict; 0: every record matches. */
size_t matcher_count(const scp_matcher *matcher);
bool matcher_restricts(const scp_matcher *matcher, uint32_t tag);
/* 1 matches, 0 does not, -1 out of memory. */
int matcher_matches(const scp_matcher *matcher, const dcb_dataset *record);

/* True for the VRs in which * and ? are wildcards: AE CS LO LT PN SH ST UC UR UT (C.2.2.2.4). */
bool match_vr_has_wildcards(dcb_vr vr);
/* Does the element's value restrict a query? */
bool match_key_restricts(const dcb_element *key);

#endif
