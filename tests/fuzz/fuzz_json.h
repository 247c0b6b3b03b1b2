/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_json.h - a check that text is JSON: one object of so many members. */
#ifndef FUZZ_JSON_H
#define FUZZ_JSON_H

#include <string.h>

#include "fuzz.h"
#include "json.h"

static inline void fuzz_check_json(const char *json, size_t nbytes, size_t nmembers)
{
    FUZZ_CHECK(strlen(json) == nbytes);
    uint8_t *padded = malloc(nbytes + DCB_JSON_PADDING);
    FUZZ_CHECK(padded != NULL);
    memcpy(padded, json, nbytes);
    memset(padded + nbytes, 0, DCB_JSON_PADDING);
    dcb__json_document *document;
    FUZZ_CHECK(dcb__json_parse(&document, padded, nbytes, 1000, "json", 0, NULL) == DCB_OK);
    FUZZ_CHECK(dcb__json_root(document)->type == DCB_JSON_OBJECT);
    FUZZ_CHECK(dcb__json_root(document)->count == nmembers);
    dcb__json_close(document);
    free(padded);
}

#endif
