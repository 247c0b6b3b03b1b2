/* SPDX-License-Identifier: Apache-2.0 */
/* dimse_client.c - the test client's protocol, from PS3.5, PS3.7 and PS3.8. */
#include "dimse_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Buffers ---- */

static void append(client_buffer *b, const void *bytes, size_t nbytes)
{
    if (b->capacity - b->nbytes < nbytes) {
        b->capacity = 2 * b->capacity + nbytes + 64;
        b->bytes = realloc(b->bytes, b->capacity);
        if (b->bytes == NULL)
            abort();
    }
    if (nbytes > 0)
        memcpy(b->bytes + b->nbytes, bytes, nbytes);
    b->nbytes += nbytes;
}

static void append_be16(client_buffer *b, unsigned v)
{
    append(b, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void append_be32(client_buffer *b, uint32_t v)
{
    append_be16(b, v >> 16);
    append_be16(b, v & 0xFFFF);
}

static uint32_t be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
    return be16(p) << 16 | be16(p + 2);
}

static uint32_t le16(const uint8_t *p)
{
    return (uint32_t)p[1] << 8 | p[0];
}

void client_put(client_buffer *b, uint32_t tag, const void *value, size_t nbytes, char padding)
{
    uint32_t padded = (uint32_t)(nbytes + (nbytes & 1));
    uint8_t head[8] = {(uint8_t)(tag >> 16),    (uint8_t)(tag >> 24),   (uint8_t)tag,
                       (uint8_t)(tag >> 8),     (uint8_t)padded,        (uint8_t)(padded >> 8),
                       (uint8_t)(padded >> 16), (uint8_t)(padded >> 24)};
    append(b, head, sizeof head);
    append(b, value, nbytes);
    if (padded != nbytes)
        append(b, &padding, 1);
}

void client_put_text(client_buffer *b, uint32_t tag, const char *text)
{
    static const uint32_t uids[] = {0x00000002, 0x00001000, 0x00080016, 0x00080018,
                                    0x0020000D, 0x0020000E, 0x00080062, 0x00083002};
    char padding = ' ';
    for (size_t i = 0; i < sizeof uids / sizeof uids[0]; i++) {
        if (uids[i] == tag)
            padding = '\0';
    }
    client_put(b, tag, text, strlen(text), padding);
}

void client_put_u16(client_buffer *b, uint32_t tag, uint16_t value)
{
    client_put(b, tag, (uint8_t[]){(uint8_t)value, (uint8_t)(value >> 8)}, 2, '\0');
}

void client_end_command(client_buffer *b)
{
    client_buffer whole = {0};
    uint32_t n = (uint32_t)b->nbytes;
    uint8_t length[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};
    client_put(&whole, 0, length, 4, '\0');
    append(&whole, b->bytes, b->nbytes);
    free(b->bytes);
    *b = whole;
}

void client_move_request(client_buffer *b, uint16_t command_field, uint16_t message_id,
                         const char *sop_class_uid, bool has_data, const char *destination)
{
    client_put_text(b, 0x00000002, sop_class_uid);
    client_put_u16(b, 0x00000100, command_field);
    client_put_u16(b, 0x00000110, message_id);
    if (destination != NULL)
        client_put_text(b, 0x00000600, destination);
    if (command_field != 0x0030)
        client_put_u16(b, 0x00000700, 0);
    client_put_u16(b, 0x00000800, has_data ? 0x0001 : 0x0101);
    client_end_command(b);
}

void client_request(client_buffer *b, uint16_t command_field, uint16_t message_id,
                    const char *sop_class_uid, bool has_data)
{
    client_move_request(b, command_field, message_id, sop_class_uid, has_data, NULL);
}

void client_cancel(client_buffer *b, uint16_t message_id)
{
    client_put_u16(b, 0x00000100, 0x0FFF);
    client_put_u16(b, 0x00000120, message_id);
    client_put_u16(b, 0x00000800, 0x0101);
    client_end_command(b);
}

void client_store_response(client_buffer *b, const client_message *request, uint16_t status)
{
    char sop_class[65], instance[65];
    client_text(request, 0x00000002, sop_class, sizeof sop_class);
    client_text(request, 0x00001000, instance, sizeof instance);
    client_put_text(b, 0x00000002, sop_class);
    client_put_u16(b, 0x00000100, 0x8001);
    client_put_u16(b, 0x00000120, client_u16(request, 0x00000110, 0));
    client_put_u16(b, 0x00000800, 0x0101);
    client_put_u16(b, 0x00000900, status);
    client_put_text(b, 0x00001000, instance);
    client_end_command(b);
}

const uint8_t *client_find(const uint8_t *bytes, size_t nbytes, uint32_t tag, size_t *value_nbytes)
{
    size_t pos = 0;
    while (nbytes - pos >= 8) {
        uint32_t at = le16(bytes + pos) << 16 | le16(bytes + pos + 2);
        uint32_t n = le16(bytes + pos + 4) | le16(bytes + pos + 6) << 16;
        pos += 8;
        if (n > nbytes - pos)
            return NULL;
        if (at == tag) {
            *value_nbytes = n;
            return bytes + pos;
        }
        pos += n;
    }
    return NULL;
}

uint16_t client_u16(const client_message *message, uint32_t tag, uint16_t missing)
{
    size_t n;
    const uint8_t *value = client_find(message->command, message->command_nbytes, tag, &n);
    return value != NULL && n == 2 ? (uint16_t)le16(value) : missing;
}

void client_text(const client_message *message, uint32_t tag, char *out, size_t size)
{
    size_t n = 0;
    const uint8_t *value = client_find(message->command, message->command_nbytes, tag, &n);
    out[0] = '\0';
    if (value == NULL)
        return;
    while (n > 0 && (value[n - 1] == '\0' || value[n - 1] == ' '))
        n--;
    if (n >= size)
        n = size - 1;
    memcpy(out, value, n);
    out[n] = '\0';
}

/* ---- Sockets ---- */

int client_connect(const char *host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

bool client_write(int fd, const void *bytes, size_t nbytes)
{
    const uint8_t *p = bytes;
    while (nbytes > 0) {
        ssize_t n = send(fd, p, nbytes, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        nbytes -= (size_t)n;
    }
    return true;
}

static client_event read_exactly(int fd, uint8_t *bytes, size_t nbytes, int timeout_ms)
{
    while (nbytes > 0) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        int ready = poll(&readable, 1, timeout_ms);
        if (ready == 0)
            return CLIENT_TIMEOUT;
        ssize_t n = recv(fd, bytes, nbytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return CLIENT_CLOSED;
        bytes += n;
        nbytes -= (size_t)n;
    }
    return CLIENT_OK;
}

static client_event garbage(dimse_client *client, const char *what)
{
    snprintf(client->complaint, sizeof client->complaint, "%s", what);
    return CLIENT_GARBAGE;
}

client_event client_read_pdu(dimse_client *client, int timeout_ms)
{
    uint8_t head[6];
    client_event event = read_exactly(client->fd, head, sizeof head, timeout_ms);
    if (event != CLIENT_OK)
        return event;
    uint32_t n = be32(head + 2);
    if (n > 64u << 20)
        return garbage(client, "a PDU of more than 64 MiB");
    if (client->pdu_capacity < n + 6) {
        client->pdu_capacity = n + 6;
        client->pdu = realloc(client->pdu, client->pdu_capacity);
        if (client->pdu == NULL)
            abort();
    }
    memcpy(client->pdu, head, sizeof head);
    client->pdu_nbytes = n + 6;
    client->pdv_pos = 0;
    client->npdus++;
    if (n > client->largest_pdu)
        client->largest_pdu = n;
    return read_exactly(client->fd, client->pdu + 6, n, client->options.timeout_ms);
}

/* ---- Association ---- */

static void put_item(client_buffer *b, uint8_t type, const void *bytes, size_t nbytes)
{
    append(b, (uint8_t[]){type, 0}, 2);
    append_be16(b, (unsigned)nbytes);
    append(b, bytes, nbytes);
}

static void put_title(client_buffer *b, const char *title)
{
    char padded[17];
    snprintf(padded, sizeof padded, "%-16s", title);
    append(b, padded, 16);
}

static void put_context(client_buffer *b, const client_context *c)
{
    client_buffer body = {0};
    append(&body, (uint8_t[]){c->id, 0, 0, 0}, 4);
    put_item(&body, 0x30, c->abstract_syntax, strlen(c->abstract_syntax));
    for (size_t i = 0; i < c->nsyntaxes; i++)
        put_item(&body, 0x40, c->syntaxes[i], strlen(c->syntaxes[i]));
    put_item(b, 0x20, body.bytes, body.nbytes);
    free(body.bytes);
}

static void put_uid_item(client_buffer *b, uint8_t type, const char *uid, const void *more,
                         size_t nmore)
{
    client_buffer body = {0};
    append_be16(&body, (unsigned)strlen(uid));
    append(&body, uid, strlen(uid));
    append(&body, more, nmore);
    put_item(b, type, body.bytes, body.nbytes);
    free(body.bytes);
}

static void put_user_information(client_buffer *b, const client_options *options,
                                 const client_context *contexts, size_t ncontexts)
{
    client_buffer body = {0};
    if (!options->without_max_length) {
        append(&body, (uint8_t[]){0x51, 0, 0, 4}, 4);
        append_be32(&body, options->max_pdu);
    }
    put_item(&body, 0x52, "1.2.3.4.5", 9);
    for (size_t i = 0; i < ncontexts; i++) {
        if (contexts[i].role == CLIENT_NO_ROLE && !contexts[i].role_item)
            continue;
        uint8_t roles[2] = {(contexts[i].role & CLIENT_SCU) != 0,
                            (contexts[i].role & CLIENT_SCP) != 0};
        put_uid_item(&body, 0x54, contexts[i].abstract_syntax, roles, 2);
    }
    put_item(&body, 0x55, "TESTCLIENT", 10);
    if (options->extended_sop_class != NULL)
        put_uid_item(&body, 0x56, options->extended_sop_class, options->extended,
                     options->extended_nbytes);
    put_item(b, 0x50, body.bytes, body.nbytes);
    free(body.bytes);
}

size_t client_associate_rq(uint8_t *buffer, size_t capacity, const client_options *options,
                           const client_context *contexts, size_t ncontexts)
{
    client_buffer b = {0};
    const char *application = options->application_context != NULL ? options->application_context
                                                                   : "1.2.840.10008.3.1.1.1";
    append(&b, (uint8_t[]){1, 0, 0, 0, 0, 0}, 6);
    append_be16(&b, options->protocol_version != 0 ? options->protocol_version : 1);
    append_be16(&b, 0);
    put_title(&b, options->called);
    put_title(&b, options->calling);
    append(&b, (uint8_t[32]){0}, 32);
    put_item(&b, 0x10, application, strlen(application));
    for (size_t i = 0; i < ncontexts; i++)
        put_context(&b, &contexts[i]);
    put_user_information(&b, options, contexts, ncontexts);
    if (b.nbytes > capacity)
        abort();
    memcpy(buffer, b.bytes, b.nbytes);
    uint32_t n = (uint32_t)b.nbytes - 6;
    memcpy(buffer + 2,
           (uint8_t[]){(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}, 4);
    free(b.bytes);
    return n + 6;
}

client_context *client_find_context(dimse_client *client, uint8_t id)
{
    for (size_t i = 0; i < client->ncontexts; i++) {
        if (client->contexts[i].id == id)
            return &client->contexts[i];
    }
    return NULL;
}

static bool take_context(dimse_client *client, const uint8_t *body, size_t nbytes)
{
    client_context *c = nbytes >= 4 ? client_find_context(client, body[0]) : NULL;
    if (c == NULL || c->result != -1)
        return false; /* not asked for, or answered twice */
    c->result = body[2];
    if (c->result == 0) {
        if (nbytes < 8 || body[4] != 0x40 || be16(body + 6) != nbytes - 8 || nbytes - 8 > 64)
            return false;
        memcpy(c->accepted_syntax, body + 8, nbytes - 8);
    }
    return true;
}

static bool take_user_item(dimse_client *client, uint8_t type, const uint8_t *body, size_t nbytes)
{
    if (type == 0x51)
        client->peer_max_pdu = be32(body);
    if (type != 0x54 && type != 0x56)
        return true;
    if (nbytes < 2 || be16(body) > nbytes - 2)
        return false;
    size_t uid_nbytes = be16(body);
    const uint8_t *rest = body + 2 + uid_nbytes;
    if (type == 0x56) {
        client->extended_answer_nbytes = nbytes - 2 - uid_nbytes;
        if (client->extended_answer_nbytes > sizeof client->extended_answer)
            return false;
        memcpy(client->extended_answer, rest, client->extended_answer_nbytes);
        return true;
    }
    bool known = false;
    for (size_t i = 0; i < client->ncontexts; i++) {
        client_context *c = &client->contexts[i];
        if (strlen(c->abstract_syntax) == uid_nbytes &&
            memcmp(c->abstract_syntax, body + 2, uid_nbytes) == 0) {
            if (c->answered_role != -1)
                return false; /* two items for one SOP class */
            c->answered_role = (rest[0] != 0 ? CLIENT_SCU : 0) | (rest[1] != 0 ? CLIENT_SCP : 0);
            known = true;
        }
    }
    return known;
}

static bool take_accept(dimse_client *client)
{
    const uint8_t *p = client->pdu;
    size_t end = client->pdu_nbytes;
    for (size_t pos = 74; pos < end;) {
        if (end - pos < 4 || be16(p + pos + 2) > end - pos - 4)
            return false;
        size_t n = be16(p + pos + 2);
        if (p[pos] == 0x21 && !take_context(client, p + pos + 4, n))
            return false;
        if (p[pos] == 0x50) { /* its sub-items are walked like items */
            pos += 4;
            continue;
        }
        if (p[pos] > 0x50 && !take_user_item(client, p[pos], p + pos + 4, n))
            return false;
        pos += 4 + n;
    }
    for (size_t i = 0; i < client->ncontexts; i++) {
        if (client->contexts[i].result == -1)
            return false;
    }
    return true;
}

/* What a PDU other than P-DATA-TF means. */
static client_event classify(dimse_client *client)
{
    switch (client->pdu[0]) {
    case 2:
        return client->pdu_nbytes >= 74 && take_accept(client)
                   ? CLIENT_OK
                   : garbage(client, "a malformed A-ASSOCIATE-AC");
    case 3:
    case 7:
        if (client->pdu_nbytes != 10)
            return garbage(client, "A-ASSOCIATE-RJ or A-ABORT not of 10 bytes");
        memcpy(client->reason, client->pdu, 10);
        return client->pdu[0] == 3 ? CLIENT_REJECTED : CLIENT_ABORTED;
    case 6:
        return CLIENT_RELEASED;
    default:
        return garbage(client, "an unexpected PDU");
    }
}

client_event client_open(dimse_client *client, const client_options *options,
                         client_context *contexts, size_t ncontexts)
{
    static _Thread_local uint8_t request[1 << 16];
    memset(client, 0, sizeof *client);
    client->options = *options;
    client->contexts = contexts;
    client->ncontexts = ncontexts;
    for (size_t i = 0; i < ncontexts; i++) {
        contexts[i].result = contexts[i].answered_role = -1;
        memset(contexts[i].accepted_syntax, 0, sizeof contexts[i].accepted_syntax);
    }
    client->fd = client_connect(options->host, options->port);
    if (client->fd < 0)
        return CLIENT_CLOSED;
    size_t n = client_associate_rq(request, sizeof request, options, contexts, ncontexts);
    if (!client_write(client->fd, request, n))
        return CLIENT_CLOSED;
    client_event event = client_read_pdu(client, options->timeout_ms);
    return event == CLIENT_OK ? classify(client) : event;
}

void client_close(dimse_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    free(client->pdu);
    free(client->message.command);
    free(client->message.data);
    memset(&client->message, 0, sizeof client->message);
    client->pdu = NULL;
    client->pdu_capacity = 0;
}

/* ---- Messages ---- */

bool client_send_pdv(dimse_client *client, uint8_t context_id, uint8_t control, const void *bytes,
                     size_t nbytes)
{
    client_buffer b = {0};
    append(&b, (uint8_t[]){4, 0}, 2);
    append_be32(&b, (uint32_t)nbytes + 6);
    append_be32(&b, (uint32_t)nbytes + 2);
    append(&b, (uint8_t[]){context_id, control}, 2);
    append(&b, bytes, nbytes);
    size_t first = client->options.split_writes ? 12 : b.nbytes;
    bool sent = client_write(client->fd, b.bytes, first) &&
                client_write(client->fd, b.bytes + first, b.nbytes - first);
    free(b.bytes);
    return sent;
}

static bool send_stream(dimse_client *client, uint8_t context_id, uint8_t control,
                        const uint8_t *bytes, size_t nbytes)
{
    const size_t fragment = client->peer_max_pdu > 6 ? (client->peer_max_pdu - 6) & ~1u : 16384;
    do {
        size_t n = nbytes < fragment ? nbytes : fragment;
        nbytes -= n;
        if (!client_send_pdv(client, context_id, nbytes == 0 ? control | CLIENT_LAST : control,
                             bytes, n))
            return false;
        bytes += n;
    } while (nbytes > 0);
    return true;
}

bool client_send(dimse_client *client, uint8_t context_id, const void *command, size_t nbytes,
                 const void *data, size_t data_nbytes)
{
    return send_stream(client, context_id, CLIENT_COMMAND, command, nbytes) &&
           (data == NULL || send_stream(client, context_id, 0, data, data_nbytes));
}

/* PS3.7 6.3.1: group length exact, tags ascending. */
static bool command_is_sound(const client_message *m)
{
    uint32_t previous = 0;
    size_t n, pos = 0;
    const uint8_t *length = client_find(m->command, m->command_nbytes, 0, &n);
    if (length == NULL || n != 4 ||
        (le16(length) | le16(length + 2) << 16) != m->command_nbytes - 12)
        return false;
    while (pos < m->command_nbytes) {
        if (m->command_nbytes - pos < 8)
            return false;
        uint32_t tag = le16(m->command + pos) << 16 | le16(m->command + pos + 2);
        uint32_t value = le16(m->command + pos + 4) | le16(m->command + pos + 6) << 16;
        if ((pos > 0 && tag <= previous) || value % 2 != 0 || value > m->command_nbytes - pos - 8)
            return false;
        previous = tag;
        pos += 8 + value;
    }
    return true;
}

/* The next PDV; reads a PDU where none is left. */
static client_event next_pdv(dimse_client *client, int timeout_ms, const uint8_t **pdv,
                             size_t *nbytes)
{
    if (client->pdv_pos == 0) {
        client_event event = client_read_pdu(client, timeout_ms);
        if (event != CLIENT_OK)
            return event;
        if (client->pdu[0] != 4)
            return classify(client);
        if (client->options.max_pdu != 0 && client->pdu_nbytes - 6 > client->options.max_pdu)
            return garbage(client, "a PDU longer than we allow");
        client->pdv_pos = 6;
    }
    const uint8_t *p = client->pdu + client->pdv_pos;
    size_t left = client->pdu_nbytes - client->pdv_pos;
    if (left < 6 || be32(p) > left - 4 || be32(p) < 2)
        return garbage(client, "a PDV that does not fit its PDU");
    *pdv = p + 4;
    *nbytes = be32(p);
    client->pdv_pos += 4 + *nbytes;
    if (client->pdv_pos == client->pdu_nbytes)
        client->pdv_pos = 0;
    return CLIENT_OK;
}

client_event client_receive(dimse_client *client, int timeout_ms)
{
    client_message *m = &client->message;
    client_buffer command = {0}, data = {0};
    bool command_done = false, done = false;
    free(m->command);
    free(m->data);
    memset(m, 0, sizeof *m);
    client_event event = CLIENT_OK;
    while (!done) {
        const uint8_t *pdv = NULL;
        size_t n = 0;
        event = next_pdv(client, timeout_ms, &pdv, &n);
        if (event == CLIENT_OK && m->context_id != 0 && pdv[0] != m->context_id)
            event = garbage(client, "a message on two contexts");
        if (event == CLIENT_OK && ((pdv[1] & CLIENT_COMMAND) != 0) == command_done)
            event = garbage(client, "command and data set PDVs out of order");
        if (event == CLIENT_OK && (pdv[1] & CLIENT_LAST) == 0 && n % 2 != 0)
            event = garbage(client, "an odd fragment");
        if (event != CLIENT_OK)
            break;
        m->context_id = pdv[0];
        append(command_done ? &data : &command, pdv + 2, n - 2);
        if ((pdv[1] & CLIENT_LAST) == 0)
            continue;
        if (command_done) {
            done = true;
            continue;
        }
        command_done = true;
        m->command = command.bytes;
        m->command_nbytes = command.nbytes;
        if (!command_is_sound(m)) {
            event = garbage(client, "a malformed command set");
            break;
        }
        m->has_data = client_u16(m, 0x00000800, 0x0101) != 0x0101;
        done = !m->has_data;
    }
    m->command = command.bytes;
    m->command_nbytes = command.nbytes;
    m->data = data.bytes;
    m->data_nbytes = data.nbytes;
    return event;
}

client_event client_release(dimse_client *client)
{
    if (!client_write(client->fd, (uint8_t[]){5, 0, 0, 0, 0, 4, 0, 0, 0, 0}, 10))
        return CLIENT_CLOSED;
    client_event event = client_read_pdu(client, client->options.timeout_ms);
    return event == CLIENT_OK ? classify(client) : event;
}

bool client_abort(dimse_client *client)
{
    return client_write(client->fd, (uint8_t[]){7, 0, 0, 0, 0, 4, 0, 0, 0, 0}, 10);
}
