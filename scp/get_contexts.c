/* SPDX-License-Identifier: Apache-2.0 */
/* get_contexts.c - see get_contexts.h. */
#include "get_contexts.h"

#include "sop_classes.h"

#include <string.h>

#define NO_RANK 100

/* Smaller is better. */
static int rank(dcb_encoding *encoding, const char *accepted, const char *stored)
{
    static const dcb_encoding decoded[] = {DCB_ENCODING_EXPLICIT_LE, DCB_ENCODING_IMPLICIT_LE,
                                           DCB_ENCODING_EXPLICIT_BE, DCB_ENCODING_DEFLATED};
    *encoding = DCB_ENCODING_STORED;
    if (strcmp(accepted, stored) == 0)
        return 0;
    if (transfer_syntax_carries(accepted, stored))
        return 1;
    for (int i = 0; i < (int)(sizeof decoded / sizeof decoded[0]); i++) {
        *encoding = decoded[i];
        if (strcmp(accepted, dcb_encoding_uid(decoded[i])) == 0)
            return 2 + i;
    }
    return NO_RANK;
}

get_context_result get_context_choose(get_context *out, const ul_request *request,
                                      const char *sop_class_uid, const char *stored_syntax_uid)
{
    get_context_result result = GET_CONTEXT_NONE;
    int best = NO_RANK;
    for (uint32_t i = 0; i < request->ncontexts; i++) {
        const ul_context *context = &request->contexts[i];
        if (context->result != 0 || strcmp(context->abstract_syntax, sop_class_uid) != 0)
            continue;
        if (!context->peer_is_scp) {
            if (result == GET_CONTEXT_NONE)
                result = GET_CONTEXT_NO_ROLE;
            continue;
        }
        if (result != GET_CONTEXT_FOUND)
            result = GET_CONTEXT_SYNTAX;
        dcb_encoding encoding;
        const int candidate = rank(&encoding, context->accepted_syntax, stored_syntax_uid);
        if (candidate < best) {
            best = candidate;
            *out = (get_context){context->id, encoding};
            result = GET_CONTEXT_FOUND;
        }
    }
    return result;
}
