/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_association.cc - ul.h's association on DCMTK: answers, PDVs in, messages out, the end.
 *
 * DCMTK builds A-ASSOCIATE-AC and -RJ and reads P-DATA-TF by its state machine, whatever the
 * transfer syntax; P-DATA-TF and A-ABORT go out by our own hand. No exception leaves this file.
 */
#include "ul_private.h"

#include "ul_pdata.h"

#include "dcmtk/config/osconfig.h" /* DCMTK wants it first */
#include "dcmtk/dcmnet/assoc.h"
#include "dcmtk/dcmnet/cond.h"
#include "dcmtk/dcmnet/dul.h"
#include "dcmtk/dcmnet/dulstruc.h"
#include "dcmtk/ofstd/ofstd.h"
#include "steady_clock.h"

#include <cstdlib>
#include <cstring>
#include <sys/socket.h>

namespace
{

const int last_words_ms = 1000; /* for an A-ABORT to leave */

ul_result io_result(const ul_association *a, const char *doing, scp_error *error)
{
    const ul_transport *t = &a->transport;
    switch (t->last) {
    case UL_IO_WOKEN:
        scp_fail(error, "interrupted while %s", doing);
        return UL_STOPPED;
    case UL_IO_TIMEOUT:
        scp_fail(error, "no progress for %d ms while %s", t->io_timeout_ms, doing);
        return UL_ABORTED;
    case UL_IO_CLOSED:
        scp_fail(error, "the peer hung up while %s", doing);
        return UL_ABORTED;
    default:
        scp_fail(error, "connection lost while %s: %s", doing, ul_transport_failure(t));
        return UL_ABORTED;
    }
}

} // namespace

void ul_send_abort(ul_association *a)
{
    ul_transport *t = &a->transport;
    uint8_t pdu[10] = {UL_PDU_ABORT, 0, 0, 0, 0, 4, 0, 0, a->abort_source, a->abort_reason};
    struct iovec iov = {pdu, sizeof pdu};
    t->deaf = true;
    t->deadline_ms = steady_clock_ms() + last_words_ms;
    if (!a->abort_sent && !t->torn && t->fd >= 0)
        ul_transport_write(t, &iov, 1);
    a->abort_sent = true;
    /* The peer sees the end of the stream behind our A-ABORT and hangs up; if we did first, what
       it has sent meanwhile would make the kernel reset the connection, A-ABORT and all. */
    ul_transport_end_writing(t);
    ul_transport_drain(t, last_words_ms);
}

void ul_copy_trimmed(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == ' ')
        n--;
    for (; n > 0 && *text == ' '; n--)
        text++;
    if (n >= size)
        n = size - 1;
    memcpy(out, text, n);
    out[n] = '\0';
}

ul_request *ul_association_request(ul_association *association)
{
    return &association->request;
}

void ul_context_accept(ul_context *context, const char *transfer_syntax, bool peer_is_scp)
{
    context->result = 0;
    ul_copy_trimmed(context->accepted_syntax, sizeof context->accepted_syntax, transfer_syntax);
    context->peer_is_scp = peer_is_scp;
}

void ul_context_refuse(ul_context *context, uint8_t result)
{
    context->result = result;
    context->accepted_syntax[0] = '\0';
    context->peer_is_scp = context->peer_stores = false;
}

bool ul_association_extended_request(ul_association *association, const char *sop_class_uid,
                                     const uint8_t **info, size_t *nbytes)
{
    const auto *list = association->dcmtk->params->DULparams.requestedExtNegList;
    if (list == nullptr)
        return false;
    for (auto it = list->begin(); it != list->end(); ++it) {
        if ((*it)->sopClassUID == sop_class_uid) {
            *info = (*it)->serviceClassAppInfo;
            *nbytes = (*it)->serviceClassAppInfoLength;
            return true;
        }
    }
    return false;
}

int ul_association_extended_answer(ul_association *association, const char *sop_class_uid,
                                   const uint8_t *info, size_t nbytes, scp_error *error)
try {
    auto **list = &association->dcmtk->params->DULparams.acceptedExtNegList;
    if (*list == nullptr)
        *list = new SOPClassExtendedNegotiationSubItemList;
    auto *item = new SOPClassExtendedNegotiationSubItem;
    item->sopClassUID = sop_class_uid;
    item->sopClassUIDLength = static_cast<unsigned short>(strlen(sop_class_uid));
    item->serviceClassAppInfo = new unsigned char[nbytes];
    item->serviceClassAppInfoLength = static_cast<unsigned short>(nbytes);
    item->itemLength = static_cast<unsigned short>(2 + item->sopClassUIDLength + nbytes);
    memcpy(item->serviceClassAppInfo, info, nbytes);
    (*list)->push_back(item);
    return 0;
} catch (...) {
    return scp_fail(error, "out of memory");
}

/* The role item is for the SOP class: one, however many contexts it has (PS3.7 D.3.3.4). */
static T_ASC_SC_ROLE role_answer(const ul_request *r, uint32_t i)
{
    const ul_context *c = &r->contexts[i];
    if (!c->role_proposed)
        return ASC_SC_ROLE_DEFAULT;
    for (uint32_t j = 0; j < i; j++) {
        if (r->contexts[j].result == 0 &&
            strcmp(r->contexts[j].abstract_syntax, c->abstract_syntax) == 0)
            return ASC_SC_ROLE_DEFAULT;
    }
    if (!c->peer_is_scp)
        return ASC_SC_ROLE_SCU;
    return c->peer_stores && c->scu_proposed ? ASC_SC_ROLE_SCUSCP : ASC_SC_ROLE_SCP;
}

ul_result ul_association_accept(ul_association *association, scp_error *error)
try {
    T_ASC_Parameters *params = association->dcmtk->params;
    const ul_request *r = &association->request;
    OFCondition condition = EC_Normal;
    for (uint32_t i = 0; i < r->ncontexts && condition.good(); i++) {
        const ul_context *c = &r->contexts[i];
        condition = c->result == 0
                        ? ASC_acceptPresentationContext(params, c->id, c->accepted_syntax,
                                                        role_answer(r, i), OFTrue)
                        : ASC_refusePresentationContext(
                              params, c->id, static_cast<T_ASC_P_ResultReason>(c->result));
    }
    /* To a user name the positive answer has no content (PS3.7 D.3.3.7.2). DCMTK frees it. */
    if (r->identity.answer && params->DULparams.ackUserIdentNeg == nullptr) {
        params->DULparams.ackUserIdentNeg = new UserIdentityNegotiationSubItemAC;
        params->DULparams.ackUserIdentNeg->setServerResponse("", 0);
    }
    OFStandard::strlcpy(params->ourImplementationClassUID, UL_IMPLEMENTATION_CLASS_UID,
                        sizeof params->ourImplementationClassUID);
    OFStandard::strlcpy(params->ourImplementationVersionName, UL_IMPLEMENTATION_VERSION,
                        sizeof params->ourImplementationVersionName);
    /* DCMTK makes a send buffer of this size, which we do not use, and takes some values for a
       greeting of its own releases before 3.0. */
    params->theirMaxPDUReceiveSize = ASC_MINIMUMPDUSIZE;
    association->transport.last = UL_IO_OK;
    if (condition.good())
        condition = ASC_acknowledgeAssociation(association->dcmtk);
    if (condition.good())
        return UL_OK;
    if (association->transport.last != UL_IO_OK)
        return io_result(association, "sending A-ASSOCIATE-AC", error);
    scp_fail(error, "cannot answer the association request: %s", condition.text());
    return UL_FAILED;
} catch (...) {
    scp_fail(error, "out of memory while an association was answered");
    return UL_FAILED;
}

void ul_association_reject(ul_association *association, uint8_t result, uint8_t source,
                           uint8_t reason)
try {
    T_ASC_RejectParameters rejection;
    rejection.result = static_cast<T_ASC_RejectParametersResult>(result);
    rejection.source = static_cast<T_ASC_RejectParametersSource>(source);
    rejection.reason = static_cast<T_ASC_RejectParametersReason>(source << 8 | reason);
    ASC_rejectAssociation(association->dcmtk, &rejection);
    ul_transport_drain(&association->transport, ul_goodbye_ms);
} catch (...) {
}

static ul_result read_failure(ul_association *a, const OFCondition &condition, scp_error *error)
{
    if (condition == DUL_PEERREQUESTEDRELEASE)
        return UL_RELEASED;
    if (a->transport.last != UL_IO_OK)
        return io_result(a, "reading a PDU", error);
    if (condition == DUL_PEERABORTEDASSOCIATION) {
        scp_fail(error, "the peer sent A-ABORT");
        return UL_ABORTED;
    }
    a->abort_source = 2;
    a->abort_reason = condition.code() == DULC_UNRECOGNIZEDPDUTYPE ? ABORT_UNRECOGNIZED_PDU
                      : condition.good()                           ? ABORT_UNEXPECTED_PDU
                                                                   : ABORT_INVALID_VALUE;
    scp_fail(error, "the peer broke the upper layer protocol: %s",
             condition.good() ? "an unexpected kind of PDU" : condition.text());
    return UL_FAILED;
}

/* The PDVs of the PDU that DUL_ReadPDVs has just read: it has made sure that each has its two bytes
   and that together they fill the PDU. DUL_NextPDV of all versions loses its place, and reads past
   the buffer, where more than two of differing length come in one PDU. */
static void take_pdvs(ul_association *a)
{
    auto *dul = reinterpret_cast<PRIVATE_ASSOCIATIONKEY *>(a->dcmtk->DULassociation);
    a->next_pdv = dul->fragmentBuffer;
    a->pdvs_left = dul->pdvCount;
    dul->pdvIndex = -1; /* none is left for DCMTK */
}

static void next_pdv(ul_pdv *out, ul_association *a)
{
    const uint8_t *p = a->next_pdv;
    const size_t nbytes =
        static_cast<size_t>(p[0]) << 24 | static_cast<size_t>(p[1]) << 16 | p[2] << 8 | p[3];
    out->context_id = p[4];
    out->is_command = (p[5] & 1) != 0;
    out->is_last = (p[5] & 2) != 0;
    out->bytes = p + 6;
    out->nbytes = nbytes - 2;
    a->next_pdv = p + 4 + nbytes;
    a->pdvs_left--;
}

ul_result ul_read_pdv(ul_association *association, ul_pdv *out, int timeout_ms, scp_error *error)
try {
    while (association->pdvs_left == 0) {
        association->transport.last = UL_IO_OK;
        ul_io io = ul_transport_wait(&association->transport, timeout_ms);
        if (io == UL_IO_TIMEOUT)
            return UL_TIMEOUT;
        if (io != UL_IO_OK)
            return io_result(association, "waiting for a message", error);
        DUL_PDVLIST list;
        memset(&list, 0, sizeof list);
        OFCondition condition =
            DUL_ReadPDVs(&association->dcmtk->DULassociation, &list, DUL_BLOCK, 0);
        if (condition != DUL_PDATAPDUARRIVED)
            return read_failure(association, condition, error);
        take_pdvs(association);
    }
    next_pdv(out, association);
    return UL_OK;
} catch (...) {
    scp_fail(error, "out of memory while a PDU was read");
    return UL_FAILED;
}

ul_result ul_send_message(ul_association *association, uint8_t context_id, const void *command,
                          size_t command_nbytes, const struct iovec *slices, size_t nslices,
                          scp_error *error)
{
    if (association->fragment_size == 0) {
        scp_fail(error, "the peer's maximum PDU length of %u bytes leaves no room for data",
                 association->request.peer_max_pdu);
        return UL_FAILED;
    }
    ul_io io = ul_pdata_send(&association->transport, association->fragment_size, context_id,
                             command, command_nbytes, slices, nslices);
    return io == UL_IO_OK ? UL_OK : io_result(association, "sending a message", error);
}

void ul_association_hold(ul_association *association)
{
    association->transport.hold = true;
}

void ul_association_interrupt(ul_association *association)
{
    ul_transport_interrupt(&association->transport);
}

void ul_association_finish_release(ul_association *association)
try {
    ASC_acknowledgeRelease(association->dcmtk);
    ul_transport_drain(&association->transport, ul_goodbye_ms);
} catch (...) {
}

void ul_association_abort(ul_association *association)
{
    ul_send_abort(association);
}

void ul_association_close(ul_association *association)
try {
    if (association == nullptr)
        return;
    ASC_destroyAssociation(&association->dcmtk);
    ul_transport_free(&association->transport);
    for (uint32_t i = 0; i < association->request.ncontexts; i++)
        free(association->request.contexts[i].syntaxes);
    free(association->request.contexts);
    free(association->request_pdu);
    free(association);
} catch (...) {
}

void ul_association_traffic(const ul_association *association, ul_traffic *traffic)
{
    traffic->bytes_in = association->transport.bytes_in;
    traffic->bytes_out = association->transport.bytes_out;
}
