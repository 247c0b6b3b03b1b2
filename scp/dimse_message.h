/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dimse_message.h - DIMSE command sets (PS3.7 section 9.3 and annex E): decode, encode.
 *
 * Always Implicit VR Little Endian, ascending tags, exact (0000,0000). A command is a plain struct;
 * `present` tells which of its optional fields are there.
 */
#ifndef DIMSE_MESSAGE_H
#define DIMSE_MESSAGE_H

#include "scp_error.h"
#include "ul.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Command Field (0000,0100), PS3.7 table E.1-1. A response is the request with bit 15 set. */
enum {
    DIMSE_C_STORE_RQ = 0x0001,
    DIMSE_C_GET_RQ = 0x0010,
    DIMSE_C_FIND_RQ = 0x0020,
    DIMSE_C_MOVE_RQ = 0x0021,
    DIMSE_C_ECHO_RQ = 0x0030,
    DIMSE_C_CANCEL_RQ = 0x0FFF,
    DIMSE_RESPONSE = 0x8000,
};

#define DIMSE_NO_DATA_SET 0x0101 /* (0000,0800): any other value means that one follows */
#define DIMSE_COMMAND_MAX                                                                          \
    4096 /* a command set longer than this is refused, unless it has a                             \
            failed list: that one is built on the heap */

enum dimse_present {
    DIMSE_HAS_MESSAGE_ID = 1 << 0,
    DIMSE_HAS_MESSAGE_ID_RESPONDED = 1 << 1,
    DIMSE_HAS_STATUS = 1 << 2,
    DIMSE_HAS_PRIORITY = 1 << 3,
    DIMSE_HAS_REMAINING = 1 << 4,
    DIMSE_HAS_COUNTS = 1 << 5, /* completed, failed, warning */
    DIMSE_HAS_ORIGINATOR = 1 << 6,
    DIMSE_HAS_DATA_SET_TYPE = 1 << 7,
};

typedef struct dimse_command {
    unsigned present;
    uint16_t command_field;
    uint16_t message_id;
    uint16_t message_id_responded;
    uint16_t data_set_type;
    uint16_t priority;
    uint16_t status;
    char affected_sop_class_uid[UL_UID_SIZE]; /* "" = absent, as for every string here */
    char affected_sop_instance_uid[UL_UID_SIZE];
    char move_destination[UL_AE_TITLE_SIZE];
    char originator_ae_title[UL_AE_TITLE_SIZE];
    uint16_t originator_message_id;
    uint16_t remaining, completed, failed, warning; /* sub-operations */
    char error_comment[65];                         /* (0000,0902) LO */
    uint32_t offending_element;                     /* (0000,0901) AT; 0 = absent */
} dimse_command;

/* Refuses what is not a command set: no command field, lengths past the end, UIDs too long. */
int dimse_command_decode(dimse_command *out, const uint8_t *bytes, size_t nbytes, scp_error *error);
/* Returns the bytes written, never more than capacity; DIMSE_COMMAND_MAX always suffices. */
size_t dimse_command_encode(uint8_t *buffer, size_t capacity, const dimse_command *command);

static inline bool dimse_has_data_set(const dimse_command *command)
{
    return (command->present & DIMSE_HAS_DATA_SET_TYPE) != 0 &&
           command->data_set_type != DIMSE_NO_DATA_SET;
}

/* The response to a request: command field, MessageIDBeingRespondedTo and the SOP class (and, for
   C-STORE, the instance) echoed; no data set. */
void dimse_response_init(dimse_command *response, const dimse_command *request, uint16_t status);

/* A C-STORE-RQ with its data set behind it. */
void dimse_store_init(dimse_command *request, uint16_t message_id, uint16_t priority,
                      const char *sop_class_uid, const char *sop_instance_uid);

#endif
