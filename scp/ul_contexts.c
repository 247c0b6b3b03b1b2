/* SPDX-License-Identifier: Apache-2.0 */
/* ul_contexts.c - an association request of our own being put together (ul.h). */
#include "ul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ul_request_add_context(ul_request *request, const char *abstract_syntax,
                            const char *const *syntaxes, size_t nsyntaxes)
{
    if (request->ncontexts == UL_CONTEXTS_MAX)
        return false;
    ul_context *contexts = realloc(request->contexts, (request->ncontexts + 1) * sizeof *contexts);
    char(*kept)[UL_UID_SIZE] = calloc(nsyntaxes + 1, sizeof *kept);
    if (contexts != NULL)
        request->contexts = contexts;
    if (contexts == NULL || kept == NULL) {
        free(kept);
        return false;
    }
    for (size_t i = 0; i < nsyntaxes; i++)
        snprintf(kept[i], sizeof kept[i], "%s", syntaxes[i]);
    ul_context *context = &contexts[request->ncontexts];
    *context = (ul_context){.id = (uint8_t)(request->ncontexts * 2 + 1),
                            .nsyntaxes = (uint32_t)nsyntaxes,
                            .syntaxes = kept,
                            .result = 2};
    snprintf(context->abstract_syntax, sizeof context->abstract_syntax, "%s", abstract_syntax);
    request->ncontexts++;
    return true;
}

bool ul_request_copy(ul_request *out, const ul_request *request)
{
    *out = *request;
    out->contexts = calloc(request->ncontexts + 1u, sizeof *out->contexts);
    out->ncontexts = 0;
    if (out->contexts == NULL)
        return false;
    for (; out->ncontexts < request->ncontexts; out->ncontexts++) {
        const ul_context *from = &request->contexts[out->ncontexts];
        ul_context *to = &out->contexts[out->ncontexts];
        *to = *from;
        to->syntaxes = calloc(from->nsyntaxes + 1u, sizeof *to->syntaxes);
        if (to->syntaxes == NULL) {
            ul_request_clear(out);
            return false;
        }
        memcpy(to->syntaxes, from->syntaxes, from->nsyntaxes * sizeof *to->syntaxes);
    }
    return true;
}

void ul_request_clear(ul_request *request)
{
    for (uint32_t i = 0; i < request->ncontexts; i++)
        free(request->contexts[i].syntaxes);
    free(request->contexts);
    request->contexts = NULL;
    request->ncontexts = 0;
}
