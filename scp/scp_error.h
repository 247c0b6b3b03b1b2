/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scp_error.h - why a call of the node failed, as one line for its operator.
 *
 * Functions of scp/ that can fail return 0 or -1 and fill the caller's scp_error (which may be
 * NULL). The message says what, where and what to do; it holds no patient data.
 */
#ifndef SCP_ERROR_H
#define SCP_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct scp_error {
    char message[320];
} scp_error;

#define SCP_ERROR_INIT                                                                             \
    {                                                                                              \
        ""                                                                                         \
    }

/* Always -1, so that a caller can write `return scp_fail(error, ...)`. */
int scp_fail(scp_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
#endif
