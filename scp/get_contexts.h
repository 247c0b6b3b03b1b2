/* SPDX-License-Identifier: Apache-2.0 */
/*
 * get_contexts.h - on which of the accepted presentation contexts an instance leaves.
 *
 * Stateless; any thread.
 */
#ifndef GET_CONTEXTS_H
#define GET_CONTEXTS_H

#include "../reader/dcb.h"
#include "ul.h"

typedef struct get_context {
    uint8_t id;
    dcb_encoding encoding;
    int rank; /* smaller is better */
} get_context;

typedef enum get_context_result {
    GET_CONTEXT_FOUND,
    GET_CONTEXT_NONE,    /* no context of the SOP class was accepted */
    GET_CONTEXT_NO_ROLE, /* one was, but without the SCP role for the peer */
    GET_CONTEXT_SYNTAX,  /* with syntaxes only that the instance cannot have */
} get_context_result;

/* The best one for an instance stored in a transfer syntax: as stored, then in another syntax that
   carries it unchanged, then decoded (Explicit, Implicit, Big Endian, Deflated), then compressed
   anew without loss (HTJ2K, JPEG-LS, JPEG 2000, JPEG lossless, RLE: the smallest first, of equals
   the fastest). What the peer likes by configuration comes first. */
get_context_result get_context_choose(get_context *out, const ul_request *request,
                                      const char *sop_class_uid, const char *stored_syntax_uid);
/* The next best after *context, for an instance that its encoding turned out not to hold; false
   where there is none. */
bool get_context_next(get_context *context, const ul_request *request, const char *sop_class_uid,
                      const char *stored_syntax_uid);

/* The accepted context with that ID, where an instance may go out on it: its SOP class, a syntax
   that the context carries, a peer that stores. NULL: it must not, whatever a caller believes. */
const ul_context *get_context_check(const ul_request *request, uint8_t id, const dcb_frame *frame);

#endif
