/* SPDX-License-Identifier: Apache-2.0 */
/* dataset_equal.c - see dataset_equal.h. */
#include "dataset_equal.h"

#include <string.h>

static bool same_dataset(const dcb_dataset *a, const dcb_dataset *b);

bool dataset_same_element(const dcb_element *a, const dcb_element *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->vr != b->vr || a->nbytes != b->nbytes || a->nitems != b->nitems)
        return false;
    if (a->value != NULL && b->value != NULL && memcmp(a->value, b->value, a->nbytes) != 0)
        return false;
    for (uint32_t i = 0; i < a->nitems; i++) {
        if (!same_dataset(a->items[i], b->items[i]))
            return false;
    }
    return true;
}

static bool same_dataset(const dcb_dataset *a, const dcb_dataset *b)
{
    if (dcb_dataset_count(a) != dcb_dataset_count(b))
        return false;
    for (size_t i = 0; i < dcb_dataset_count(a); i++) {
        const dcb_element *element = dcb_dataset_at(a, i);
        if (!dataset_same_element(element, dcb_dataset_find(b, element->tag)))
            return false;
    }
    return true;
}
