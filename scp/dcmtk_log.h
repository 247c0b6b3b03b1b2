/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dcmtk_log.h - leads DCMTK's own log into the node's: errors as warnings, the rest as debug.
 */
#ifndef DCMTK_LOG_H
#define DCMTK_LOG_H

#include "scp_error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Once, before threads, after log_configure: DCMTK does not even format what nobody would see. */
int dcmtk_log_init(scp_error *error);

#ifdef __cplusplus
}
#endif
#endif
