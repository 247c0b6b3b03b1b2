/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dimse_client.h - a small DICOM client for tests: plain sockets, its own encoding of everything,
 * nothing shared with scp/, so that a mistake there is not repeated here.
 *
 * It proposes what it is told (any UID, role, maximum length, protocol version), reads and writes
 * single PDUs, and can misbehave. One thread for each client; every wait is bounded.
 */
#ifndef DIMSE_CLIENT_H
#define DIMSE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLIENT_NO_ROLE = 0, CLIENT_SCU = 1, CLIENT_SCP = 2 }; /* or-ed */
enum { CLIENT_COMMAND = 1, CLIENT_LAST = 2 };                /* message control header */

typedef struct client_context {
    uint8_t id;
    const char *abstract_syntax;
    const char *syntaxes[64];
    size_t nsyntaxes;
    unsigned role;
    bool role_item; /* propose one even if role is 0 */
    /* The answer. */
    int result; /* -1: none came */
    char accepted_syntax[65];
    int answered_role; /* -1: no role item for its SOP class */
} client_context;

typedef struct client_options {
    const char *host; /* numeric */
    uint16_t port;
    const char *calling, *called;
    const char *application_context; /* NULL: the standard's */
    uint16_t protocol_version;       /* 0: 1 */
    uint32_t max_pdu;                /* what we announce */
    bool without_max_length;         /* announce none */
    int timeout_ms;                  /* for each wait */
    bool split_writes; /* head and body of each PDU by two writes, as DCMTK's clients do */
    const char *extended_sop_class; /* NULL: no extended negotiation item */
    uint8_t extended[8];
    size_t extended_nbytes;
} client_options;

typedef enum client_event {
    CLIENT_OK,
    CLIENT_REJECTED, /* client->reason: the whole PDU */
    CLIENT_ABORTED,  /* client->reason: the whole PDU */
    CLIENT_RELEASED, /* A-RELEASE-RP */
    CLIENT_CLOSED,   /* end of stream or reset */
    CLIENT_TIMEOUT,
    CLIENT_GARBAGE, /* the other side broke the standard: client->complaint */
} client_event;

typedef struct client_message {
    uint8_t context_id;
    uint8_t *command; /* implicit VR little endian */
    size_t command_nbytes;
    uint8_t *data;
    size_t data_nbytes;
    bool has_data;
} client_message;

typedef struct dimse_client {
    int fd;
    client_options options;
    client_context *contexts;
    size_t ncontexts;
    uint32_t peer_max_pdu;
    uint8_t reason[10];
    char complaint[128];
    uint8_t *pdu; /* the last one read: whole, head included */
    size_t pdu_nbytes, pdu_capacity;
    size_t pdv_pos; /* next PDV in it; 0: none left */
    uint32_t largest_pdu;
    uint32_t npdus;
    uint8_t extended_answer[8];
    size_t extended_answer_nbytes;
    client_message message;
} dimse_client;

/* A connected socket with default options, or -1. */
int client_connect(const char *host, uint16_t port);
/* The bytes of an A-ASSOCIATE-RQ; returns their number (capacity must suffice: 64 KiB do). */
size_t client_associate_rq(uint8_t *buffer, size_t capacity, const client_options *options,
                           const client_context *contexts, size_t ncontexts);

/* Connects and negotiates; fills the contexts' answers. Close it whatever comes back. */
client_event client_open(dimse_client *client, const client_options *options,
                         client_context *contexts, size_t ncontexts);
void client_close(dimse_client *client);

/* Everything or false. */
bool client_write(int fd, const void *bytes, size_t nbytes);
/* One PDU into client->pdu. */
client_event client_read_pdu(dimse_client *client, int timeout_ms);
/* A message into client->message, valid until the next call. */
client_event client_receive(dimse_client *client, int timeout_ms);

/* One P-DATA-TF with one PDV. */
bool client_send_pdv(dimse_client *client, uint8_t context_id, uint8_t control, const void *bytes,
                     size_t nbytes);
/* A command, and a data set where data is not NULL, in fragments the peer allows. */
bool client_send(dimse_client *client, uint8_t context_id, const void *command, size_t nbytes,
                 const void *data, size_t data_nbytes);
client_event client_release(dimse_client *client);
bool client_abort(dimse_client *client);

/* ---- Data sets and commands in implicit VR little endian ---- */

typedef struct client_buffer {
    uint8_t *bytes;
    size_t nbytes, capacity;
} client_buffer;

void client_put(client_buffer *b, uint32_t tag, const void *value, size_t nbytes, char padding);
void client_put_text(client_buffer *b, uint32_t tag,
                     const char *text); /* UI with NUL, else space */
void client_put_u16(client_buffer *b, uint32_t tag, uint16_t value);
/* Puts (0000,0000) in front. */
void client_end_command(client_buffer *b);
/* A request with its usual elements. */
void client_request(client_buffer *b, uint16_t command_field, uint16_t message_id,
                    const char *sop_class_uid, bool has_data);
/* The same with a move destination, unless that is NULL. */
void client_move_request(client_buffer *b, uint16_t command_field, uint16_t message_id,
                         const char *sop_class_uid, bool has_data, const char *destination);
void client_cancel(client_buffer *b, uint16_t message_id);
void client_store_response(client_buffer *b, const client_message *request, uint16_t status);

/* The element's value, or NULL. */
const uint8_t *client_find(const uint8_t *bytes, size_t nbytes, uint32_t tag, size_t *value_nbytes);
uint16_t client_u16(const client_message *message, uint32_t tag, uint16_t missing);
/* A command's text without padding. */
void client_text(const client_message *message, uint32_t tag, char *out, size_t size);

client_context *client_find_context(dimse_client *client, uint8_t id);

#endif
