/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_link.h - an association to a destination, on which instances are stored (C-STORE SCU).
 *
 * A table of functions, so that what is done with several of them can be tested without a socket;
 * store_link_network is the real one.
 *
 * Threads: a link belongs to one thread, except interrupt.
 */
#ifndef STORE_LINK_H
#define STORE_LINK_H

#include "../reader/dcb.h"
#include "ul_connect.h"

typedef struct store_target {
    char host[256]; /* a name or a numeric address */
    uint16_t port;
    char called_ae_title[UL_AE_TITLE_SIZE]; /* the destination's */
    char calling_ae_title[UL_AE_TITLE_SIZE];
    int connect_timeout_ms; /* for its name, the connection and the answer to the request */
    int io_timeout_ms;      /* for a C-STORE-RSP, and for data to make progress */
    uint32_t max_pdu;
    ul_tls *tls; /* NULL: plain */
    uint16_t priority;
    char originator_ae_title[UL_AE_TITLE_SIZE]; /* "": none, as for C-GET */
    uint16_t originator_message_id;
} store_target;

typedef enum store_result {
    STORE_ANSWERED, /* with a status */
    STORE_UNFIT,    /* not sent: the context does not carry the instance */
    STORE_SILENT,   /* no answer in time: the association is over */
    STORE_LOST,     /* the association broke off or was ended by the peer */
} store_result;

typedef struct store_link_kind {
    /* target is borrowed until close. NULL where memory ran out. */
    void *(*create)(const store_target *target);
    /* Requests an association with request's contexts and fills in what became of them.
       on_connected is called once the peer is reached, before it answers. */
    bool (*open)(void *link, ul_request *request, void (*on_connected)(void *context),
                 void *context, ul_connect_fault *fault);
    /* On one of the contexts that were accepted at the last open. */
    store_result (*store)(void *link, uint8_t context_id, const dcb_frame *frame, uint16_t *status,
                          scp_error *error);
    /* Ends the association in good order; does nothing where there is none. */
    void (*release)(void *link);
    /* From any thread: the owner's calls end soon, now and later. */
    void (*interrupt)(void *link);
    void (*close)(void *link);
} store_link_kind;

extern const store_link_kind store_link_network;

#endif
