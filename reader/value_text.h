/* SPDX-License-Identifier: Apache-2.0 */
/* value_text.h - numbers as the text of DS and IS (PS3.5 6.2). */
#ifndef VALUE_TEXT_H
#define VALUE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Room for any text of these functions, with its NUL. */
#define DCB_NUMBER_TEXT 32

/* The shortest text of at most 16 characters that reads back to the same double, in plain notation
   where that fits; else the text of 16 characters that reads back nearest. Returns its length; 0
   for NaN and infinities, which DS cannot hold. */
size_t dcb__ds_text(char text[DCB_NUMBER_TEXT], double value);
size_t dcb__integer_text(char text[DCB_NUMBER_TEXT], int64_t value);

#endif
