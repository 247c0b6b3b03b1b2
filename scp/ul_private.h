/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_private.h - what ul_listener.cc, ul_request.cc and ul_association.cc share: the association's
 * insides. Only those three know DCMTK.
 *
 * Invariant: DCMTK may delete its connection object at any time; the transport and its socket
 * belong to the ul_association, which lives until ul_association_close.
 */
#ifndef UL_PRIVATE_H
#define UL_PRIVATE_H

#include "ul.h"

#include "ul_transport.h"

struct T_ASC_Association; /* DCMTK's */
class OFCondition;

/* PS3.8 table 9-26, reasons of source 2 (service-provider) */
enum ul_abort_reason : uint8_t {
    ABORT_UNRECOGNIZED_PDU = 1,
    ABORT_UNEXPECTED_PDU = 2,
    ABORT_INVALID_VALUE = 6
};

const uint8_t UL_PDU_ASSOCIATE_RQ = 1;
const uint8_t UL_PDU_ABORT = 7;
const uint8_t UL_TLS_HANDSHAKE = 0x16; /* what a TLS connection begins with */
const int ul_goodbye_ms = 5000; /* ARTIM: for the peer to hang up after our RJ or RELEASE-RP */

struct ul_association {
    ul_listener *listener;
    T_ASC_Association *dcmtk;
    ul_transport transport;
    bool takes_plain; /* by the port it came to */
    ul_tls *tls;      /* null: that port takes no TLS */
    int request_timeout_ms;
    ul_request request;
    size_t fragment_size;
    bool connected; /* createConnection was called */
    void (*on_accept)(void *context);
    void *on_accept_context;
    uint8_t *request_pdu; /* read by us, on its way to DCMTK */
    size_t request_pos, request_end;
    ul_result request_result;
    scp_error request_error;
    uint8_t abort_source, abort_reason;
    bool abort_sent;
    const uint8_t *next_pdv; /* in DCMTK's buffer, as are pdvs_left - 1 behind it */
    int pdvs_left;
    bool pending;
    ul_association *older, *newer;
};

/* Reads the whole A-ASSOCIATE-RQ into request_pdu; what is none is answered with A-ABORT. */
ul_result ul_request_read(ul_association *association);
/* Makes `request` of what DCMTK has parsed with that condition. */
ul_result ul_request_finish(ul_association *association, const OFCondition &condition,
                            scp_error *error);
/* Sends A-ABORT with the association's source and reason, where that is still possible, and waits
   a moment for the peer to hang up. */
void ul_send_abort(ul_association *association);
/* The trimmed text, cut to fit. */
void ul_copy_trimmed(char *out, size_t size, const char *text);

#endif
