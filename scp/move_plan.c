/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move_plan.c - see move_plan.h.
 *
 * Invariant: a need is in the set once; each makes one context, so that there are at most
 * UL_CONTEXTS_MAX.
 */
#include "move_plan.h"

#include "series_pool.h"
#include "sop_classes.h"

#include <stdlib.h>
#include <string.h>

#define FILES_AT_A_TIME 64
#define SYNTAXES_MAX    4 /* of one context */

/* Contexts of several syntaxes, of which the destination chooses. */
#define UNCOMPRESSED "uncompressed"
#define COMPRESSED   "compressed"

/* One context: a SOP class in a syntax, or one of the two above. */
typedef struct move_need {
    size_t sop_class; /* in the list's classes */
    char syntax[UL_UID_SIZE];
} move_need;

void move_plan_init(move_plan *plan, const scp_node *node, const instance_list *list,
                    const char *const *prefer, size_t nprefer)
{
    *plan = (move_plan){.node = node, .list = list, .prefer = prefer, .nprefer = nprefer};
}

void move_plan_clear(move_plan *plan)
{
    free(plan->needs);
    *plan = (move_plan){0};
}

/* ---- Needs ---- */

static bool is_uncompressed(const char *syntax)
{
    return strcmp(syntax, UID_EXPLICIT_LE) == 0 || strcmp(syntax, UID_IMPLICIT_LE) == 0 ||
           strcmp(syntax, UID_EXPLICIT_BE) == 0;
}

static bool has_need(const move_plan *plan, size_t sop_class, const char *syntax)
{
    for (size_t i = 0; i < plan->nneeds; i++) {
        if (plan->needs[i].sop_class == sop_class && strcmp(plan->needs[i].syntax, syntax) == 0)
            return true;
    }
    return false;
}

static move_plan_result add_need(move_plan *plan, size_t sop_class, const char *syntax)
{
    if (has_need(plan, sop_class, syntax))
        return MOVE_PLAN_SAME;
    if (plan->nneeds == plan->capacity) {
        const size_t wanted = plan->capacity * 2 + 16;
        move_need *grown = realloc(plan->needs, wanted * sizeof *grown);
        if (grown == NULL)
            return MOVE_PLAN_FAILED;
        plan->needs = grown;
        plan->capacity = wanted;
    }
    move_need *need = &plan->needs[plan->nneeds++];
    *need = (move_need){.sop_class = sop_class};
    memcpy(need->syntax, syntax, strnlen(syntax, sizeof need->syntax - 1));
    return MOVE_PLAN_CHANGED;
}

/* The contexts that a SOP class is wanted in. */
static move_plan_result add_needs(move_plan *plan, size_t sop_class, const char *stored,
                                  bool is_image)
{
    move_plan_result result = MOVE_PLAN_SAME;
    const char *const others[] = {stored, UNCOMPRESSED, is_image ? COMPRESSED : UNCOMPRESSED};
    for (size_t i = 0; i < plan->nprefer + 3; i++) {
        const char *syntax = i < plan->nprefer ? plan->prefer[i] : others[i - plan->nprefer];
        const move_plan_result added =
            add_need(plan, sop_class, is_uncompressed(syntax) ? UNCOMPRESSED : syntax);
        if (added > result)
            result = added;
    }
    return result;
}

/* ---- Files ---- */

/* What instance i needs. Where its file cannot tell (it may just have been packed into another one)
   it is taken for one of the archive's own. */
static move_plan_result look_at_instance(move_plan *plan, dcb_series *series, size_t i)
{
    const size_t sop_class = instance_list_class(plan->list, i);
    dcb_frame_info info;
    if (series == NULL ||
        dcb_series_frame_info(&info, series, instance_list_frame(plan->list, i), NULL) != DCB_OK)
        return add_needs(plan, sop_class, UID_HTJ2K_LOSSLESS, true);
    return add_needs(plan, sop_class, info.stored_syntax_uid, info.pixel.rows > 0);
}

static move_plan_result look_at_file(move_plan *plan, uint32_t file)
{
    const instance_list *list = plan->list;
    const size_t first = instance_list_first(list, file), end = instance_list_first(list, file + 1);
    move_plan_result result = MOVE_PLAN_SAME;
    dcb_series *series = NULL;
    series_pool_get(&series, plan->node->series, instance_list_path(list, first), NULL);
    bool *seen = calloc(list->nclasses + 1, sizeof *seen);
    for (size_t i = first; i < end && seen != NULL; i++) {
        bool *is_seen = &seen[instance_list_class(list, i)];
        const move_plan_result looked =
            *is_seen ? MOVE_PLAN_SAME : look_at_instance(plan, series, i);
        *is_seen = true;
        if (looked > result)
            result = looked;
    }
    dcb_series_release(series);
    if (seen == NULL)
        result = MOVE_PLAN_FAILED;
    free(seen);
    return result;
}

/* A set that overflows is begun anew with the file that was too much. */
move_plan_result move_plan_look(move_plan *plan)
{
    const instance_list *list = plan->list;
    move_plan_result result = MOVE_PLAN_SAME;
    if (plan->end == list->count)
        return result;
    const uint32_t first = instance_list_file(list, plan->end);
    uint32_t file = first;
    for (; file < list->nfiles && file < first + FILES_AT_A_TIME; file++) {
        const size_t before = plan->nneeds;
        move_plan_result looked = look_at_file(plan, file);
        if (looked == MOVE_PLAN_CHANGED && plan->nneeds > UL_CONTEXTS_MAX) {
            plan->nneeds = before;
            if (file > first)
                break;
            plan->nneeds = 0;
            looked = look_at_file(plan, file);
            if (plan->nneeds > UL_CONTEXTS_MAX) /* of a single file: some will find no context */
                plan->nneeds = UL_CONTEXTS_MAX;
        }
        if (looked == MOVE_PLAN_FAILED)
            return MOVE_PLAN_FAILED;
        if (looked > result)
            result = looked;
    }
    plan->end = instance_list_first(list, file);
    return result;
}

/* ---- Contexts ---- */

/* All syntaxes in which an instance stored in this one may leave as it is, the narrowest first. */
static size_t carriers(const char **out, const char *stored)
{
    static const char *const htj2k[] = {UID_HTJ2K_LOSSLESS_RPCL, UID_HTJ2K_LOSSLESS, UID_HTJ2K};
    size_t n = 0;
    out[n++] = stored;
    for (size_t i = 0; i < sizeof htj2k / sizeof htj2k[0]; i++) {
        if (strcmp(htj2k[i], stored) != 0 && transfer_syntax_carries(htj2k[i], stored))
            out[n++] = htj2k[i];
    }
    return n;
}

static size_t syntaxes_of(const char **out, const char *need)
{
    static const char *const uncompressed[] = {UID_EXPLICIT_LE, UID_IMPLICIT_LE};
    static const dcb_encoding compressed[] = {DCB_ENCODING_JPEG_LS, DCB_ENCODING_J2K,
                                              DCB_ENCODING_JPEG, DCB_ENCODING_RLE};
    size_t n = 0;
    if (strcmp(need, UNCOMPRESSED) == 0)
        for (; n < sizeof uncompressed / sizeof uncompressed[0]; n++)
            out[n] = uncompressed[n];
    else if (strcmp(need, COMPRESSED) == 0)
        for (; n < sizeof compressed / sizeof compressed[0]; n++)
            out[n] = dcb_encoding_uid(compressed[n]);
    else
        n = carriers(out, need);
    return n;
}

bool move_plan_propose(const move_plan *plan, ul_request *request)
{
    for (size_t i = 0; i < plan->nneeds; i++) {
        const char *syntaxes[SYNTAXES_MAX];
        const size_t n = syntaxes_of(syntaxes, plan->needs[i].syntax);
        if (!ul_request_add_context(request, plan->list->classes[plan->needs[i].sop_class],
                                    syntaxes, n))
            return false;
    }
    return true;
}

void move_plan_like(const move_plan *plan, ul_request *answered)
{
    for (uint32_t i = 0; i < answered->ncontexts; i++) {
        for (size_t k = plan->nprefer; k-- > 0;) {
            if (strcmp(answered->contexts[i].accepted_syntax, plan->prefer[k]) == 0)
                answered->contexts[i].liking = (int)k + 1;
        }
    }
}
