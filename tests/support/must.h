/* SPDX-License-Identifier: Apache-2.0 */
/* must.h - what a test needs before it can test anything: where it fails the program ends. */
#ifndef MUST_H
#define MUST_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static inline void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "test support: %s\n", what);
    abort();
}

#endif
