/* SPDX-License-Identifier: Apache-2.0 */
/*
 * element_values.h - the values of a text element one by one, without padding.
 *
 * Padding goes as the VR asks (PS3.5 6.2): both ends, but leading spaces of ST LT UC UR UT count.
 * Trailing NULs go too, which some senders use for all VRs.
 */
#ifndef ELEMENT_VALUES_H
#define ELEMENT_VALUES_H

#include "../reader/dcb.h"

typedef struct value_cursor {
    const char *next, *end; /* next is NULL after the last value */
    dcb_vr vr;
} value_cursor;

typedef struct value_text {
    const char *text; /* borrowed from the element; not NUL-terminated */
    size_t nbytes;
} value_text;

/* vr may differ from the element's: an element sent as UN has the VR that its reader knows. An
   element without values (also NULL and sequences) gives one value, the empty one. */
value_cursor value_cursor_start(const dcb_element *element, dcb_vr vr);
bool value_cursor_next(value_cursor *cursor, value_text *out);

/* Nothing but padding, or no items. */
bool element_is_empty(const dcb_element *element);

value_text value_trim(value_text value, dcb_vr vr);
/* True for the VRs whose bytes are text of any kind, also those outside (0008,0005). */
bool vr_is_string(dcb_vr vr);

#endif
