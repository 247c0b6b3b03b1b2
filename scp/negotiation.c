/* SPDX-License-Identifier: Apache-2.0 */
/* negotiation.c - the rules of negotiation.h. */
#include "negotiation.h"

#include "options.h"
#include "sop_classes.h"

#include <string.h>

enum { REFUSED_BY_USER = 1, REFUSED_ABSTRACT_SYNTAX = 3, REFUSED_TRANSFER_SYNTAXES = 4 };

#define UL_SMALLEST_PDU 14 /* shorter ones leave no room for two bytes of each kind of PDV */

/* What can be kept and sent only as it is: what comes last in both lists. */
#define LOSSY_SYNTAXES                                                                             \
    "1.2.840.10008.1.2.4.81",                                 /* JPEG-LS near lossless */          \
        "1.2.840.10008.1.2.4.50",                             /* JPEG baseline */                  \
        "1.2.840.10008.1.2.4.51",                             /* JPEG extended */                  \
        "1.2.840.10008.1.2.4.100",                            /* MPEG2 */                          \
        "1.2.840.10008.1.2.4.101", "1.2.840.10008.1.2.4.102", /* MPEG-4 AVC */                     \
        "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.104", "1.2.840.10008.1.2.4.105",           \
        "1.2.840.10008.1.2.4.106", "1.2.840.10008.1.2.4.107", /* HEVC */                           \
        "1.2.840.10008.1.2.4.108"

/* Every instance goes out in the HTJ2K ones (but .202, which only some codestreams meet) and in the
   native ones. Of the others, those without loss are made where there is nothing else; the lossy
   ones carry only what is stored in them. */
static const char *const instance_syntaxes[] = {
    UID_HTJ2K_LOSSLESS,      UID_HTJ2K,         UID_EXPLICIT_LE,
    UID_IMPLICIT_LE,         UID_EXPLICIT_BE,   UID_DEFLATED,
    UID_JPEG_LS_LOSSLESS,    UID_J2K_LOSSLESS,  UID_J2K,
    UID_JPEG_LOSSLESS_SV1,   UID_JPEG_LOSSLESS, UID_RLE,
    UID_HTJ2K_LOSSLESS_RPCL, LOSSY_SYNTAXES,
};

/* What can be kept verbatim, lossless ones first: a sender that has several forms of an instance
   then gives the smallest one that loses nothing. */
static const char *const store_syntaxes[] = {
    UID_HTJ2K_LOSSLESS,
    UID_HTJ2K_LOSSLESS_RPCL,
    UID_J2K_LOSSLESS,
    UID_JPEG_LS_LOSSLESS,
    UID_JPEG_LOSSLESS_SV1,
    UID_JPEG_LOSSLESS,
    UID_RLE,
    UID_EXPLICIT_LE,
    UID_IMPLICIT_LE,
    UID_DEFLATED,
    UID_EXPLICIT_BE,
    UID_HTJ2K,
    UID_J2K,
    LOSSY_SYNTAXES,
};

static const char *const message_syntaxes[] = {UID_EXPLICIT_LE, UID_IMPLICIT_LE, UID_EXPLICIT_BE};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool proposes(const ul_context *context, const char *syntax)
{
    for (uint32_t i = 0; i < context->nsyntaxes; i++) {
        if (strcmp(context->syntaxes[i], syntax) == 0)
            return true;
    }
    return false;
}

static bool accept_first(ul_context *context, const char *const *syntaxes, size_t nsyntaxes,
                         bool peer_is_scp)
{
    for (size_t i = 0; i < nsyntaxes; i++) {
        if (proposes(context, syntaxes[i])) {
            ul_context_accept(context, syntaxes[i], peer_is_scp);
            return true;
        }
    }
    ul_context_refuse(context, REFUSED_TRANSFER_SYNTAXES);
    return false;
}

static void answer_service(ul_context *context)
{
    if (context->role_proposed && !context->scu_proposed)
        ul_context_refuse(context, REFUSED_BY_USER);
    else
        accept_first(context, message_syntaxes, COUNT(message_syntaxes), false);
}

static void answer_instances(ul_context *context, sop_kind kind, bool has_get,
                             const negotiation_policy *policy)
{
    const bool for_store = policy->store && (kind == SOP_STORAGE || policy->store_unknown) &&
                           (context->scu_proposed || !context->role_proposed);
    const bool for_get =
        has_get && (context->scp_proposed ||
                    (!context->role_proposed && policy->get_without_role && kind == SOP_STORAGE));
    const bool stores = for_store && (policy->rights & ACCESS_STORE) != 0;
    const bool receives = for_get && (policy->rights & ACCESS_GET) != 0;
    bool accepted = false;
    if (!stores && !receives) {
        ul_context_refuse(context,
                          for_store || for_get ? REFUSED_BY_USER : REFUSED_ABSTRACT_SYNTAX);
        return;
    }
    if (receives)
        accepted = accept_first(context, instance_syntaxes, COUNT(instance_syntaxes), true);
    /* An archive that takes instances in has them in these syntaxes too. */
    if (!accepted && policy->store)
        accepted = accept_first(context, store_syntaxes, COUNT(store_syntaxes), receives);
    context->peer_stores = accepted && stores;
}

static bool is_allowed(sop_kind kind, const negotiation_policy *policy)
{
    const uint32_t right = kind == SOP_VERIFICATION ? ACCESS_ECHO
                           : kind == SOP_FIND       ? ACCESS_FIND
                           : kind == SOP_GET        ? ACCESS_GET
                           : kind == SOP_MOVE       ? ACCESS_MOVE
                                                    : ACCESS_ALL;
    return (policy->rights & right) != 0;
}

static bool is_blank(const char *title)
{
    return title[strspn(title, " ")] == '\0';
}

static negotiation_verdict reject(uint8_t source, uint8_t reason, const char *text)
{
    return (negotiation_verdict){
        .accepted = false, .result = 1, .source = source, .reason = reason, .text = text};
}

negotiation_verdict negotiate(ul_request *request, const negotiation_policy *policy)
{
    if (strcmp(request->application_context, UID_APPLICATION_CONTEXT) != 0)
        return reject(1, 2, "application context name not supported");
    if (is_blank(request->calling_ae_title))
        return reject(1, 3, "calling AE title is blank");
    if (strcmp(request->called_ae_title, policy->ae_title) != 0)
        return reject(1, 7, "called AE title is not ours");
    if (policy->rights == 0)
        return reject(1, 3, policy->access);
    if (request->peer_max_pdu != 0 && request->peer_max_pdu < UL_SMALLEST_PDU)
        return reject(1, 1, "maximum PDU length too small for any data");

    bool has_get = false;
    for (uint32_t i = 0; i < request->ncontexts; i++)
        has_get = has_get || sop_class_kind(request->contexts[i].abstract_syntax) == SOP_GET;
    for (uint32_t i = 0; i < request->ncontexts; i++) {
        ul_context *context = &request->contexts[i];
        sop_kind kind = sop_class_kind(context->abstract_syntax);
        if (!is_allowed(kind, policy))
            ul_context_refuse(context, REFUSED_BY_USER);
        else if (kind == SOP_VERIFICATION || kind == SOP_FIND || kind == SOP_GET ||
                 kind == SOP_MOVE)
            answer_service(context);
        else
            answer_instances(context, kind, has_get, policy);
    }
    return (negotiation_verdict){.accepted = true};
}

size_t negotiate_extended(uint8_t *answer, size_t capacity, const char *sop_class_uid,
                          const uint8_t *proposed, size_t proposed_nbytes)
{
    const sop_kind kind = sop_class_kind(sop_class_uid);
    const query_model model = sop_class_model(sop_class_uid);
    const bool retrieves = kind == SOP_GET || kind == SOP_MOVE;
    if ((kind != SOP_FIND && !retrieves) ||
        (model != MODEL_PATIENT_ROOT && model != MODEL_STUDY_ROOT))
        return 0;
    size_t n = proposed_nbytes < capacity ? proposed_nbytes : capacity;
    memset(answer, 0, n);
    if (retrieves && n > 0)
        answer[0] = proposed[0] == 1;
    return n;
}
