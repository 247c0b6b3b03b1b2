/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_request.cc - an association request: its bytes, read under one deadline and checked before
 * DCMTK parses them, and what DCMTK made of them, copied out.
 *
 * DCMTK's lists keep their cursor inside: nothing looks into them after ul_request_finish but
 * ul_association_accept, in the same thread.
 */
#include "ul_private.h"

#include "ul_pdata.h"
#include "ul_request_check.h"
#include "ul_tls_session.h"

#include "dcmtk/config/osconfig.h" /* DCMTK wants it first */
#include "dcmtk/dcmnet/assoc.h"
#include "dcmtk/dcmnet/cond.h"
#include "dcmtk/dcmnet/dul.h"
#include "dcmtk/dcmnet/lst.h"

#include <cstdlib>
#include <cstring>

namespace
{

ul_result request_failed(ul_association *a, ul_io io, size_t have)
{
    const ul_request *r = &a->request;
    const bool in_handshake = a->transport.tls != nullptr && r->secure.protocol[0] == '\0';
    const char *what = in_handshake ? "TLS handshake" : "A-ASSOCIATE-RQ";
    scp_error *error = &a->request_error;
    switch (io) {
    case UL_IO_TIMEOUT:
        scp_fail(error, "%s:%u: no whole %s within %d ms", r->peer_address, r->peer_port, what,
                 a->request_timeout_ms);
        return UL_TIMEOUT;
    case UL_IO_WOKEN:
        scp_fail(error, "%s:%u: ended while its %s was awaited", r->peer_address, r->peer_port,
                 what);
        return UL_STOPPED;
    default:
        scp_fail(error, "%s:%u: the peer hung up %s%s", r->peer_address, r->peer_port,
                 have == 0 ? "without a word" : "within its ", have == 0 ? "" : what);
        return UL_ABORTED;
    }
}

ul_result request_refused(ul_association *a, ul_abort_reason reason, const char *why)
{
    scp_fail(&a->request_error, "%s:%u: not an acceptable A-ASSOCIATE-RQ: %s",
             a->request.peer_address, a->request.peer_port, why);
    a->abort_source = 2;
    a->abort_reason = reason;
    ul_send_abort(a);
    return UL_FAILED;
}

ul_result handshake_failed(ul_association *a, ul_io io)
{
    ul_transport *t = &a->transport;
    if (io != UL_IO_BROKEN)
        return request_failed(a, io, 1);
    scp_fail(&a->request_error, "%s:%u: no TLS connection: %s", a->request.peer_address,
             a->request.peer_port, ul_transport_failure(t));
    a->abort_sent = true; /* OpenSSL has sent its alert: there is nothing more to say */
    ul_send_abort(a);
    return UL_FAILED;
}

/* TLS or not: as the first byte tells, and the port allows. */
ul_result secure_connection(ul_association *a)
{
    int first = ul_transport_peek(&a->transport);
    if (first < 0)
        return request_failed(a, a->transport.last, 0);
    if (first != UL_TLS_HANDSHAKE && a->takes_plain)
        return UL_OK;
    if (first != UL_TLS_HANDSHAKE)
        return request_refused(a, ABORT_UNRECOGNIZED_PDU,
                               first == UL_PDU_ASSOCIATE_RQ
                                   ? "it is not encrypted, and this port takes TLS only"
                                   : "neither TLS nor DICOM, on a port that takes TLS only");
    if (a->tls == nullptr)
        return request_refused(a, ABORT_UNRECOGNIZED_PDU,
                               "it is a TLS handshake, and this port takes no TLS");
    ul_io io = ul_tls_handshake(&a->transport, a->tls, nullptr);
    if (io != UL_IO_OK)
        return handshake_failed(a, io);
    ul_tls_describe(&a->request.secure, a->transport.tls);
    return UL_OK;
}

} // namespace

ul_result ul_request_read(ul_association *a)
{
    uint8_t head[6];
    ul_result secured = secure_connection(a);
    if (secured != UL_OK)
        return secured;
    ul_io io = ul_transport_read_all(&a->transport, head, sizeof head);
    if (io != UL_IO_OK)
        return request_failed(a, io, (size_t)a->transport.bytes_in);
    if (head[0] != UL_PDU_ASSOCIATE_RQ)
        return request_refused(
            a, head[0] >= 1 && head[0] <= 7 ? ABORT_UNEXPECTED_PDU : ABORT_UNRECOGNIZED_PDU,
            "another kind of PDU, or not DICOM");
    size_t nbytes = (size_t)head[2] << 24 | (size_t)head[3] << 16 | (size_t)head[4] << 8 | head[5];
    if (nbytes > UL_REQUEST_MAX)
        return request_refused(a, ABORT_INVALID_VALUE, "longer than 1 MiB");
    a->request_pdu = static_cast<uint8_t *>(malloc(sizeof head + nbytes));
    if (a->request_pdu == nullptr)
        return request_refused(a, ABORT_INVALID_VALUE, "out of memory");
    memcpy(a->request_pdu, head, sizeof head);
    io = ul_transport_read_all(&a->transport, a->request_pdu + sizeof head, nbytes);
    if (io != UL_IO_OK)
        return request_failed(a, io, 6);
    scp_error why;
    if (ul_request_check(a->request_pdu + sizeof head, nbytes, &why) != 0)
        return request_refused(a, ABORT_INVALID_VALUE, why.message);
    a->request_end = sizeof head + nbytes;
    return UL_OK;
}

namespace
{

template <class T> T *list_first(LST_HEAD **list)
{
    if (*list == nullptr)
        return nullptr;
    T *node = reinterpret_cast<T *>(LST_Head(list));
    if (node != nullptr)
        LST_Position(list, reinterpret_cast<LST_NODE *>(node));
    return node;
}

template <class T> T *list_next(LST_HEAD **list)
{
    return reinterpret_cast<T *>(LST_Next(list));
}

bool fill_context(ul_association *a, ul_context *out, DUL_PRESENTATIONCONTEXT *proposed)
{
    out->id = proposed->presentationContextID;
    ul_copy_trimmed(out->abstract_syntax, sizeof out->abstract_syntax, proposed->abstractSyntax);
    /* From the bytes: DCMTK takes an item of neither role for one of both. */
    out->role_proposed =
        ul_request_role(a->request_pdu + 6, a->request_end - 6, out->abstract_syntax,
                        &out->scu_proposed, &out->scp_proposed);
    out->result = 2;

    LST_HEAD **list = &proposed->proposedTransferSyntax;
    const size_t n = *list != nullptr ? LST_Count(list) : 0;
    out->syntaxes = static_cast<char(*)[UL_UID_SIZE]>(calloc(n + 1, UL_UID_SIZE));
    if (out->syntaxes == nullptr)
        return false;
    for (auto *node = list_first<DUL_TRANSFERSYNTAX>(list); node != nullptr && out->nsyntaxes < n;
         node = list_next<DUL_TRANSFERSYNTAX>(list))
        ul_copy_trimmed(out->syntaxes[out->nsyntaxes++], UL_UID_SIZE, node->transferSyntax);
    return true;
}

bool fill_request(ul_association *a)
{
    T_ASC_Parameters *params = a->dcmtk->params;
    ul_request *r = &a->request;
    const DUL_ASSOCIATESERVICEPARAMETERS *dul = &params->DULparams;
    ul_copy_trimmed(r->calling_ae_title, sizeof r->calling_ae_title, dul->callingAPTitle);
    ul_copy_trimmed(r->called_ae_title, sizeof r->called_ae_title, dul->calledAPTitle);
    ul_copy_trimmed(r->application_context, sizeof r->application_context,
                    dul->applicationContextName);
    ul_copy_trimmed(r->implementation_class_uid, sizeof r->implementation_class_uid,
                    dul->callingImplementationClassUID);
    ul_copy_trimmed(r->implementation_version, sizeof r->implementation_version,
                    dul->callingImplementationVersionName);
    ul_request_identity(a->request_pdu + 6, a->request_end - 6, &r->identity);
    r->peer_max_pdu = static_cast<uint32_t>(dul->peerMaxPDU);
    a->fragment_size = ul_fragment_size(r->peer_max_pdu);

    LST_HEAD **list = &params->DULparams.requestedPresentationContext;
    const size_t n = *list != nullptr ? LST_Count(list) : 0;
    r->contexts = static_cast<ul_context *>(calloc(n + 1, sizeof *r->contexts));
    if (r->contexts == nullptr)
        return false;
    for (auto *node = list_first<DUL_PRESENTATIONCONTEXT>(list);
         node != nullptr && r->ncontexts < n; node = list_next<DUL_PRESENTATIONCONTEXT>(list)) {
        if (!fill_context(a, &r->contexts[r->ncontexts++], node))
            return false;
    }
    return true;
}

} // namespace

ul_result ul_request_finish(ul_association *a, const OFCondition &condition, scp_error *error)
{
    if (a->request_result != UL_OK) {
        scp_fail(error, "%s", a->request_error.message);
        return a->request_result;
    }
    if (condition == DUL_UNSUPPORTEDPEERPROTOCOL) { /* DCMTK has sent A-ASSOCIATE-RJ 1/2/2 */
        ul_transport_drain(&a->transport, ul_goodbye_ms);
        scp_fail(error, "%s:%u: rejected, protocol version not supported", a->request.peer_address,
                 a->request.peer_port);
        return UL_FAILED;
    }
    if (condition.bad() || !fill_request(a)) {
        ul_result result = request_refused(a, ABORT_INVALID_VALUE,
                                           condition.bad() ? condition.text() : "out of memory");
        scp_fail(error, "%s", a->request_error.message);
        return result;
    }
    explicit_bzero(a->request_pdu, a->request_end); /* a passcode may be in it */
    free(a->request_pdu);
    a->request_pdu = nullptr;
    a->request_pos = a->request_end = 0;
    a->transport.deadline_ms = INT64_MAX;
    a->transport.stop_fd = -1;
    return UL_OK;
}
