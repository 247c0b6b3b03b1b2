/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify.h - what the parts of dcb_series_verify share.
 *
 * Threads: as the public functions; a verifier belongs to one call.
 */
#ifndef VERIFY_H
#define VERIFY_H

#include "json.h"
#include "series.h"

/* To whom problems are told. */
typedef struct dcb__verifier {
    dcb_problem_report report;
    void *context;
} dcb__verifier;

void dcb__problem(const dcb__verifier *verifier, uint32_t frame, dcb_status status, uint64_t offset,
                  const char *format, ...) DCB_PRINTF(5, 6);

/* meta_verify.c: the rules of format section 2, those that reading forgives included. root is
   dicommeta's. Fails only for lack of memory. */
dcb_status dcb__meta_verify(const dcb__verifier *verifier, const dcb_series *series,
                            const dcb__json *root, dcb_error *error);

#endif
