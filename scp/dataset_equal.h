/* SPDX-License-Identifier: Apache-2.0 */
/* dataset_equal.h - are two elements the same, to the byte and through all items? Stateless. */
#ifndef DATASET_EQUAL_H
#define DATASET_EQUAL_H

#include "../reader/dcb.h"

/* NULL: missing, which equals nothing but missing. */
bool dataset_same_element(const dcb_element *a, const dcb_element *b);

#endif
