/* SPDX-License-Identifier: Apache-2.0 */
/* get_contexts.c - see get_contexts.h. */
#include "get_contexts.h"

#include "sop_classes.h"

#include <limits.h>
#include <string.h>

#define NO_RANK 100
#define LIKINGS 10000 /* what a peer likes comes before all ranks */

/* Smaller is better. */
static int rank(dcb_encoding *encoding, const char *accepted, const char *stored)
{
    static const dcb_encoding made[] = {
        DCB_ENCODING_EXPLICIT_LE, DCB_ENCODING_IMPLICIT_LE, DCB_ENCODING_EXPLICIT_BE,
        DCB_ENCODING_DEFLATED,    DCB_ENCODING_HTJ2K,       DCB_ENCODING_JPEG_LS,
        DCB_ENCODING_J2K,         DCB_ENCODING_JPEG,        DCB_ENCODING_RLE};
    *encoding = DCB_ENCODING_STORED;
    if (strcmp(accepted, stored) == 0)
        return 0;
    if (transfer_syntax_carries(accepted, stored))
        return 1;
    for (int i = 0; i < (int)(sizeof made / sizeof made[0]); i++) {
        *encoding = made[i];
        if (transfer_syntax_carries(accepted, dcb_encoding_uid(made[i])))
            return 2 + i;
    }
    return NO_RANK;
}

/* Of those behind rank `after`. */
static get_context_result choose(get_context *out, const ul_request *request,
                                 const char *sop_class_uid, const char *stored_syntax_uid,
                                 int after)
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
        int candidate = rank(&encoding, context->accepted_syntax, stored_syntax_uid);
        if (candidate < NO_RANK && context->liking > 0)
            candidate = context->liking - LIKINGS;
        if (candidate < best && candidate > after) {
            best = candidate;
            *out = (get_context){context->id, encoding, candidate};
            result = GET_CONTEXT_FOUND;
        }
    }
    return result;
}

get_context_result get_context_choose(get_context *out, const ul_request *request,
                                      const char *sop_class_uid, const char *stored_syntax_uid)
{
    return choose(out, request, sop_class_uid, stored_syntax_uid, INT_MIN);
}

bool get_context_next(get_context *context, const ul_request *request, const char *sop_class_uid,
                      const char *stored_syntax_uid)
{
    return choose(context, request, sop_class_uid, stored_syntax_uid, context->rank) ==
           GET_CONTEXT_FOUND;
}

const ul_context *get_context_check(const ul_request *request, uint8_t id, const dcb_frame *frame)
{
    for (uint32_t i = 0; i < request->ncontexts; i++) {
        const ul_context *context = &request->contexts[i];
        if (context->id == id && context->result == 0 && context->peer_is_scp &&
            strcmp(context->abstract_syntax, dcb_frame_sop_class_uid(frame)) == 0 &&
            transfer_syntax_carries(context->accepted_syntax, dcb_frame_transfer_syntax_uid(frame)))
            return context;
    }
    return NULL;
}
