/* SPDX-License-Identifier: Apache-2.0 */
/* dcb_error.h - how libdcb's own code fails: `return dcb__fail(error, DCB_ERR_FORMAT, pos, ...)`.
 */
#ifndef DCB_ERROR_H
#define DCB_ERROR_H

#include "dcb.h"

#define DCB_NO_OFFSET UINT64_MAX

#ifdef __cplusplus
extern "C" {
#endif

/* Returns status, so that it can be the return statement. error may be NULL. */
dcb_status dcb__fail(dcb_error *error, dcb_status status, uint64_t offset, const char *format, ...)
    DCB_PRINTF(4, 5);
dcb_status dcb__fail_no_memory(dcb_error *error, size_t nbytes);

#ifdef __cplusplus
}
#endif

#endif
