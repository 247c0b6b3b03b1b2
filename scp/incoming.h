/* SPDX-License-Identifier: Apache-2.0 */
/*
 * incoming.h - one DIMSE message being put together from PDVs (PS3.7 section 6.3, PS3.8 annex E).
 *
 * The command set is bounded by DIMSE_COMMAND_MAX; a data set is kept up to a limit, beyond it only
 * counted. Nothing is allocated by a number from the network. One thread.
 */
#ifndef INCOMING_H
#define INCOMING_H

#include "dimse_message.h"
#include "ul.h"

typedef struct incoming {
    bool begun;            /* a first PDV came */
    bool command_complete; /* `command` is decoded */
    uint8_t context_id;
    dimse_command command;
    size_t command_nbytes;
    uint8_t command_bytes[DIMSE_COMMAND_MAX];
    uint8_t *data; /* NULL: no data set, or not a byte of one */
    size_t data_nbytes, data_capacity;
    /* Not NULL: takes the data set's bytes, which are then not kept; till incoming_reset. */
    void (*sink)(void *context, const uint8_t *bytes, size_t nbytes);
    void *sink_context;
    uint64_t sink_limit, sink_nbytes; /* bytes that it takes at most (0: any), and took */
    bool data_too_long; /* over the limit: data holds, or the sink took, its beginning */
} incoming;

typedef enum incoming_state {
    INCOMING_MORE,
    INCOMING_COMPLETE,
    INCOMING_BROKEN, /* the peer broke the rules: see the error */
} incoming_state;

incoming_state incoming_add(incoming *message, const ul_pdv *pdv, size_t data_limit,
                            scp_error *error);
/* Ready for the next message; keeps the buffer. */
void incoming_reset(incoming *message);
void incoming_free(incoming *message);

#endif
