/* SPDX-License-Identifier: Apache-2.0 */
/* ul_associate.c - items out by a writer that counts first, items in by a bounded cursor. */
#include "ul_associate.h"

#include "sop_classes.h"
#include "ul_items.h"

#include <stdlib.h>
#include <string.h>

enum { PDU_ASSOCIATE_RQ = 0x01 };
enum { NO_REASON = 2 }; /* a context's result */

/* ---- Out ---- */

/* bytes NULL: only counts. */
typedef struct writer {
    uint8_t *bytes;
    size_t nbytes;
} writer;

static void put(writer *w, const void *bytes, size_t nbytes)
{
    if (w->bytes != NULL && nbytes > 0)
        memcpy(w->bytes + w->nbytes, bytes, nbytes);
    w->nbytes += nbytes;
}

/* Returns where the item's body begins, for end_item. */
static size_t begin_item(writer *w, uint8_t type)
{
    const uint8_t head[4] = {type, 0, 0, 0};
    put(w, head, sizeof head);
    return w->nbytes;
}

static void end_item(writer *w, size_t body)
{
    const size_t nbytes = w->nbytes - body;
    if (w->bytes != NULL) {
        w->bytes[body - 2] = (uint8_t)(nbytes >> 8);
        w->bytes[body - 1] = (uint8_t)nbytes;
    }
}

static void put_text_item(writer *w, uint8_t type, const char *text)
{
    const size_t body = begin_item(w, type);
    put(w, text, strlen(text));
    end_item(w, body);
}

static void put_ae_title(writer *w, const char *title)
{
    char padded[UL_AE_TITLE_SIZE - 1];
    const size_t n = strnlen(title, sizeof padded);
    memset(padded, ' ', sizeof padded);
    memcpy(padded, title, n);
    put(w, padded, sizeof padded);
}

static void put_context(writer *w, const ul_context *context)
{
    const uint8_t head[4] = {context->id, 0, 0, 0};
    const size_t body = begin_item(w, ITEM_PRESENTATION_CONTEXT);
    put(w, head, sizeof head);
    put_text_item(w, ITEM_ABSTRACT_SYNTAX, context->abstract_syntax);
    for (uint32_t i = 0; i < context->nsyntaxes; i++)
        put_text_item(w, ITEM_TRANSFER_SYNTAX, context->syntaxes[i]);
    end_item(w, body);
}

static void put_user_information(writer *w, uint32_t max_pdu)
{
    const uint8_t length[4] = {(uint8_t)(max_pdu >> 24), (uint8_t)(max_pdu >> 16),
                               (uint8_t)(max_pdu >> 8), (uint8_t)max_pdu};
    const size_t body = begin_item(w, ITEM_USER_INFORMATION);
    const size_t max_length = begin_item(w, ITEM_MAX_LENGTH);
    put(w, length, sizeof length);
    end_item(w, max_length);
    put_text_item(w, ITEM_IMPLEMENTATION_CLASS, UL_IMPLEMENTATION_CLASS_UID);
    put_text_item(w, ITEM_IMPLEMENTATION_VERSION, UL_IMPLEMENTATION_VERSION);
    end_item(w, body);
}

static void put_request(writer *w, const ul_request *request, uint32_t max_pdu)
{
    static const uint8_t version[4] = {0, 1, 0, 0}, reserved[32];
    put(w, version, sizeof version);
    put_ae_title(w, request->called_ae_title);
    put_ae_title(w, request->calling_ae_title);
    put(w, reserved, sizeof reserved);
    put_text_item(w, ITEM_APPLICATION_CONTEXT, UID_APPLICATION_CONTEXT);
    for (uint32_t i = 0; i < request->ncontexts; i++)
        put_context(w, &request->contexts[i]);
    put_user_information(w, max_pdu);
}

uint8_t *ul_associate_encode(size_t *nbytes, const ul_request *request, uint32_t max_pdu)
{
    writer w = {0};
    put_request(&w, request, max_pdu);
    const size_t length = w.nbytes;
    uint8_t *pdu = malloc(6 + length);
    if (pdu == NULL)
        return NULL;
    const uint8_t head[6] = {PDU_ASSOCIATE_RQ,        0,
                             (uint8_t)(length >> 24), (uint8_t)(length >> 16),
                             (uint8_t)(length >> 8),  (uint8_t)length};
    w = (writer){.bytes = pdu};
    put(&w, head, sizeof head);
    put_request(&w, request, max_pdu);
    *nbytes = w.nbytes;
    return pdu;
}

/* ---- In ---- */

/* Invariant: pos <= end. */
typedef struct cursor {
    const uint8_t *bytes;
    size_t pos, end;
} cursor;

typedef struct item {
    uint8_t type;
    cursor body;
} item;

static size_t left(const cursor *c)
{
    return c->end - c->pos;
}

static int next_item(item *out, cursor *c, scp_error *error)
{
    if (left(c) < 4)
        return scp_fail(error, "the A-ASSOCIATE-AC ends within an item's head");
    const uint8_t *head = c->bytes + c->pos;
    const size_t nbytes = (size_t)head[2] << 8 | head[3];
    c->pos += 4;
    if (nbytes > left(c))
        return scp_fail(error, "item %02XH of the A-ASSOCIATE-AC ends past its end", head[0]);
    *out = (item){head[0], {c->bytes, c->pos, c->pos + nbytes}};
    c->pos += nbytes;
    return 0;
}

/* Without padding; cut to fit. */
static void copy_text(char *out, size_t size, const cursor *c)
{
    const char *text = (const char *)c->bytes + c->pos;
    size_t n = strnlen(text, left(c));
    while (n > 0 && text[n - 1] == ' ')
        n--;
    if (n >= size)
        n = size - 1;
    memcpy(out, text, n);
    out[n] = '\0';
}

static bool was_proposed(const ul_context *context, const char *syntax)
{
    for (uint32_t i = 0; i < context->nsyntaxes; i++) {
        if (strcmp(context->syntaxes[i], syntax) == 0)
            return true;
    }
    return false;
}

static int read_context(ul_request *request, cursor *c, scp_error *error)
{
    if (left(c) < 4)
        return scp_fail(error, "a presentation context of the A-ASSOCIATE-AC has %zu bytes",
                        left(c));
    const uint8_t id = c->bytes[c->pos], result = c->bytes[c->pos + 2];
    c->pos += 4;
    char syntax[UL_UID_SIZE] = "";
    while (left(c) > 0) {
        item it;
        if (next_item(&it, c, error) != 0)
            return -1;
        if (it.type == ITEM_TRANSFER_SYNTAX)
            copy_text(syntax, sizeof syntax, &it.body);
    }
    for (uint32_t i = 0; i < request->ncontexts; i++) {
        ul_context *context = &request->contexts[i];
        if (context->id != id)
            continue;
        if (result == 0 && was_proposed(context, syntax))
            ul_context_accept(context, syntax, true);
        else
            ul_context_refuse(context, result != 0 ? result : NO_REASON);
    }
    return 0;
}

static int read_user_information(ul_request *request, cursor *c, scp_error *error)
{
    while (left(c) > 0) {
        item it;
        if (next_item(&it, c, error) != 0)
            return -1;
        const uint8_t *p = it.body.bytes + it.body.pos;
        if (it.type == ITEM_MAX_LENGTH && left(&it.body) == 4)
            request->peer_max_pdu =
                (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        else if (it.type == ITEM_IMPLEMENTATION_CLASS)
            copy_text(request->implementation_class_uid, sizeof request->implementation_class_uid,
                      &it.body);
        else if (it.type == ITEM_IMPLEMENTATION_VERSION)
            copy_text(request->implementation_version, sizeof request->implementation_version,
                      &it.body);
    }
    return 0;
}

int ul_associate_read_answer(ul_request *request, const uint8_t *pdu, size_t nbytes,
                             scp_error *error)
{
    if (nbytes < ASSOCIATE_FIXED_BYTES)
        return scp_fail(error, "the A-ASSOCIATE-AC has %zu bytes", nbytes);
    for (uint32_t i = 0; i < request->ncontexts; i++)
        ul_context_refuse(&request->contexts[i], NO_REASON);
    request->peer_max_pdu = 0;
    cursor c = {pdu, ASSOCIATE_FIXED_BYTES, nbytes};
    while (left(&c) > 0) {
        item it;
        if (next_item(&it, &c, error) != 0)
            return -1;
        if (it.type == ITEM_PRESENTATION_CONTEXT_ANSWER) {
            if (read_context(request, &it.body, error) != 0)
                return -1;
        } else if (it.type == ITEM_USER_INFORMATION) {
            if (read_user_information(request, &it.body, error) != 0)
                return -1;
        }
    }
    return 0;
}

const char *ul_associate_rejection(uint8_t source, uint8_t reason)
{
    static const struct {
        uint8_t source, reason;
        const char *text;
    } rows[] = {
        {1, 1, "no reason given"},
        {1, 2, "application context not supported"},
        {1, 3, "calling AE title not recognized"},
        {1, 7, "called AE title not recognized"},
        {2, 1, "no reason given"},
        {2, 2, "protocol version not supported"},
        {3, 1, "temporary congestion"},
        {3, 2, "local limit exceeded"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].source == source && rows[i].reason == reason)
            return rows[i].text;
    }
    return "unknown reason";
}
