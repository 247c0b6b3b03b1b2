/* SPDX-License-Identifier: Apache-2.0 */
/* scp_error.c - formats an operator's line into the caller's error. */
#include "scp_error.h"

#include <stdarg.h>
#include <stdio.h>

int scp_fail(scp_error *error, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return -1;
}
