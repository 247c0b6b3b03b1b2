/* SPDX-License-Identifier: Apache-2.0 */
/* option_table.h - private to options*.c: the table of all settings. */
#ifndef OPTION_TABLE_H
#define OPTION_TABLE_H

#include "option_value.h"

extern const option_row OPTION_ROWS[];
extern const size_t OPTION_NROWS;

/* Of settings that all sources have given, what follows: see options_derive.c. */
int options_derive(scp_options *options, scp_error *error);

#endif
