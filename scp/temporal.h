/* SPDX-License-Identifier: Apache-2.0 */
/*
 * temporal.h - DA, TM and DT values as spans of time, so that matching is one comparison.
 *
 * A value of less than full precision (TM "10", DT "2024") is the whole span that it may mean
 * (PS3.5 6.2). Days, or microseconds for TM and DT; DT is in UTC, an absent offset taken as +0000.
 */
#ifndef TEMPORAL_H
#define TEMPORAL_H

#include "element_values.h"

typedef struct time_span {
    int64_t first, last; /* both inside */
} time_span;

static inline bool vr_is_temporal(dcb_vr vr)
{
    return vr == DCB_VR('D', 'A') || vr == DCB_VR('T', 'M') || vr == DCB_VR('D', 'T');
}

/* One value, trimmed. The old forms YYYY.MM.DD and HH:MM:SS are read too. */
bool temporal_read(time_span *out, value_text value, dcb_vr vr);
/* A key: one value, or a range "a-b", "a-", "-b" (PS3.4 C.2.2.2.5). */
bool temporal_read_key(time_span *out, value_text value, dcb_vr vr);
/* Range and single value matching: a value is in the key when it begins there. */
static inline bool temporal_in(const time_span *value, const time_span *key)
{
    return value->first >= key->first && value->first <= key->last;
}

#endif
