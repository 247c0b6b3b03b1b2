/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset_text.h - data sets as one line of text, so that tests read as tables.
 *
 *     00080052 CS STUDY|00081140 SQ [00081155 UI 1.2|00081150 UI][]|00100010 PN
 *
 * is three elements, one of them a sequence of two items, and an empty name. Values are text; a
 * value with | [ or ] cannot be written.
 */
#ifndef DATASET_TEXT_H
#define DATASET_TEXT_H

#include "dcb.h"

/* Ends the test where the text is wrong. */
dcb_dataset *dataset_from_text(const char *text);
/* free() it. Trailing padding is left out; other bytes that are not printable become dots. */
char *dataset_to_text(const dcb_dataset *dataset);
/* The text's data set in a syntax; free(). */
uint8_t *dataset_text_encode(size_t *nbytes, const char *text, dcb_syntax syntax);

#endif
