/* SPDX-License-Identifier: Apache-2.0 */
/* element_values.c - see element_values.h. */
#include "element_values.h"

#include <string.h>

static bool is_single_valued(dcb_vr vr)
{
    return vr == DCB_VR('S', 'T') || vr == DCB_VR('L', 'T') || vr == DCB_VR('U', 'T') ||
           vr == DCB_VR('U', 'R');
}

bool vr_is_string(dcb_vr vr)
{
    switch (vr) {
    case DCB_VR('A', 'E'):
    case DCB_VR('A', 'S'):
    case DCB_VR('C', 'S'):
    case DCB_VR('D', 'A'):
    case DCB_VR('D', 'S'):
    case DCB_VR('D', 'T'):
    case DCB_VR('I', 'S'):
    case DCB_VR('T', 'M'):
    case DCB_VR('U', 'I'):
    case DCB_VR('U', 'R'):
        return true;
    default:
        return dcb_vr_is_text(vr);
    }
}

value_text value_trim(value_text value, dcb_vr vr)
{
    while (value.nbytes > 0 &&
           (value.text[value.nbytes - 1] == ' ' || value.text[value.nbytes - 1] == '\0'))
        value.nbytes--;
    if (!is_single_valued(vr) && vr != DCB_VR('U', 'C')) {
        while (value.nbytes > 0 && value.text[0] == ' ') {
            value.text++;
            value.nbytes--;
        }
    }
    return value;
}

value_cursor value_cursor_start(const dcb_element *element, dcb_vr vr)
{
    value_cursor cursor = {"", "", vr};
    if (element != NULL && element->value != NULL) {
        cursor.next = (const char *)element->value;
        cursor.end = cursor.next + element->nbytes;
    } else {
        cursor.end = cursor.next;
    }
    return cursor;
}

bool value_cursor_next(value_cursor *cursor, value_text *out)
{
    if (cursor->next == NULL)
        return false;
    const char *end = NULL;
    if (!is_single_valued(cursor->vr))
        end = memchr(cursor->next, '\\', (size_t)(cursor->end - cursor->next));
    const char *start = cursor->next;
    cursor->next = end != NULL ? end + 1 : NULL;
    if (end == NULL)
        end = cursor->end;
    *out = value_trim((value_text){start, (size_t)(end - start)}, cursor->vr);
    return true;
}

bool element_is_empty(const dcb_element *element)
{
    if (element->nitems > 0)
        return false;
    if (element->value == NULL || element->nbytes == 0)
        return true;
    if (!vr_is_string(element->vr) && element->vr != DCB_VR('U', 'N'))
        return false;
    const value_text value = {(const char *)element->value, element->nbytes};
    return value_trim(value, DCB_VR('L', 'O')).nbytes == 0;
}
