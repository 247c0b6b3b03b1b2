/* SPDX-License-Identifier: Apache-2.0 */
/* dataset_head.c - the first elements of a data set that need not be there whole. Threads: any. */
#include "dcb.h"

#include <stdlib.h>

#include "data_set_walk.h"
#include "dataset.h"
#include "dcb_error.h"

#define INFLATED_MAX (8u << 20)

static dcb_status parse_head(dcb_dataset **out, dcb_head_end *end, dcb__walk *walk, uint32_t until,
                             dcb_vr_lookup lookup, void *lookup_context, dcb_error *error)
{
    size_t head = 0;
    bool passed = false;
    dcb__walked element;
    dcb__walk_result result;
    while ((result = dcb__walk_next(&element, walk)) == DCB_WALK_ELEMENT) {
        passed = passed || element.tag >= until;
        if (!passed)
            head = element.end;
    }
    if (result == DCB_WALK_BAD)
        return dcb__fail(error, DCB_ERR_DATASET, walk->at, "there is no element at byte %zu",
                         walk->at);
    if (result == DCB_WALK_CUT && element.tag >= until)
        passed = true;
    if (result == DCB_WALK_END)
        *end = DCB_HEAD_WHOLE;
    else
        *end = passed ? DCB_HEAD_PASSED : DCB_HEAD_CUT;
    return dcb__dataset_parse_headers(out, walk->bytes, head, walk->syntax, lookup, lookup_context,
                                      NULL, error);
}

dcb_status dcb_dataset_parse_head(dcb_dataset **out, dcb_head_end *end, const void *bytes,
                                  size_t nbytes, const char *transfer_syntax_uid, uint32_t until,
                                  dcb_vr_lookup lookup, void *lookup_context, dcb_error *error)
{
    bool deflated = false;
    dcb__walk walk = {bytes, nbytes, 0, dcb__syntax_of(transfer_syntax_uid, &deflated)};
    *out = NULL;
    *end = DCB_HEAD_CUT;
    uint8_t *plain = NULL;
    dcb_status status = DCB_OK;
    if (deflated) {
        status = dcb__inflate(&plain, &walk.nbytes, bytes, nbytes, INFLATED_MAX, false, error);
        walk.bytes = plain;
    }
    if (status == DCB_OK)
        status = parse_head(out, end, &walk, until, lookup, lookup_context, error);
    free(plain);
    return status;
}
