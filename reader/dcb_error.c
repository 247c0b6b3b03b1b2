/* SPDX-License-Identifier: Apache-2.0 */
/* dcb_error.c - the status table and the one place that formats errors. */
#include "dcb_error.h"

#include <stdarg.h>
#include <stdio.h>

const char *dcb_status_text(dcb_status status)
{
    switch (status) {
#define DCB_STATUS_CASE(name, value, text)                                                         \
    case DCB_##name:                                                                               \
        return text;
        DCB_STATUS_MAP(DCB_STATUS_CASE)
#undef DCB_STATUS_CASE
    }
    return "unknown status";
}

dcb_status dcb__fail(dcb_error *error, dcb_status status, uint64_t offset, const char *format, ...)
{
    if (error != NULL) {
        error->status = status;
        error->offset = offset;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

dcb_status dcb__fail_no_memory(dcb_error *error, size_t nbytes)
{
    return dcb__fail(error, DCB_ERR_NO_MEMORY, DCB_NO_OFFSET, "out of memory for %zu bytes",
                     nbytes);
}
