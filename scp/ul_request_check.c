/* SPDX-License-Identifier: Apache-2.0 */
/* ul_request_check.c - a walk over the items and sub-items of an A-ASSOCIATE-RQ. */
#include "ul_request_check.h"

#include "ul_items.h"

#include <string.h>

enum { UID_MAX = 64 };

/* Invariant: pos <= end. */
typedef struct cursor {
    const uint8_t *bytes;
    size_t pos, end;
} cursor;

typedef struct item {
    uint8_t type;
    cursor body;
} item;

typedef struct seen {
    unsigned application_contexts, user_informations, user_identities, max_lengths;
    bool context_ids[256];
} seen;

static unsigned get_u16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static size_t left(const cursor *c)
{
    return c->end - c->pos;
}

static int next_item(item *out, cursor *c, const char *where, scp_error *error)
{
    if (left(c) < 4)
        return scp_fail(error, "%s ends within an item's head", where);
    const uint8_t *head = c->bytes + c->pos;
    size_t nbytes = get_u16(head + 2);
    c->pos += 4;
    if (nbytes > left(c))
        return scp_fail(error, "item %02XH of %zu bytes ends past %s", head[0], nbytes, where);
    *out = (item){head[0], {c->bytes, c->pos, c->pos + nbytes}};
    c->pos += nbytes;
    return 0;
}

static int check_uid(const item *it, const char *what, scp_error *error)
{
    size_t n = left(&it->body);
    if (n > UID_MAX)
        return scp_fail(error, "%s of %zu characters, at most %d are allowed", what, n, UID_MAX);
    return 0;
}

static int check_context(cursor *c, seen *s, scp_error *error)
{
    unsigned nabstract = 0, ntransfer = 0;
    if (left(c) < 4)
        return scp_fail(error, "presentation context of %zu bytes", left(c));
    unsigned id = c->bytes[c->pos];
    c->pos += 4;
    if (id % 2 == 0 || s->context_ids[id])
        return scp_fail(error, "presentation context ID %u is %s", id,
                        id % 2 == 0 ? "even" : "used twice");
    s->context_ids[id] = true;
    while (left(c) > 0) {
        item it;
        if (next_item(&it, c, "a presentation context", error) != 0)
            return -1;
        if (it.type == ITEM_ABSTRACT_SYNTAX) {
            nabstract++;
            if (check_uid(&it, "abstract syntax", error) != 0)
                return -1;
        } else if (it.type == ITEM_TRANSFER_SYNTAX) {
            ntransfer++;
            if (check_uid(&it, "transfer syntax", error) != 0)
                return -1;
        }
    }
    if (nabstract != 1 || ntransfer == 0)
        return scp_fail(error, "presentation context %u with %u abstract and %u transfer syntaxes",
                        id, nabstract, ntransfer);
    return 0;
}

/* A UID with its own 16-bit length, and at least `more` bytes behind it. */
static int check_inner_uid(const cursor *c, size_t more, const char *what, scp_error *error)
{
    if (left(c) < 2 + more || get_u16(c->bytes + c->pos) > left(c) - 2 - more)
        return scp_fail(error, "%s item is too short for its SOP class UID", what);
    if (get_u16(c->bytes + c->pos) > UID_MAX)
        return scp_fail(error, "%s item with a SOP class UID of over %d characters", what, UID_MAX);
    return 0;
}

/* PS3.7 D.3.3.7: type, response requested, then two fields with 16-bit lengths. */
static int check_user_identity(cursor *c, scp_error *error)
{
    if (left(c) < 2)
        return scp_fail(error, "user identity item of %zu bytes", left(c));
    c->pos += 2;
    for (int field = 0; field < 2; field++) {
        if (left(c) < 2 || get_u16(c->bytes + c->pos) > left(c) - 2)
            return scp_fail(error, "user identity item is too short for its fields");
        c->pos += 2 + get_u16(c->bytes + c->pos);
    }
    return 0;
}

static int check_user_item(item *it, seen *s, scp_error *error)
{
    switch (it->type) {
    case ITEM_MAX_LENGTH:
        if (left(&it->body) != 4 || s->max_lengths++ > 0)
            return scp_fail(error, "maximum length item twice or not of 4 bytes");
        return 0;
    case ITEM_IMPLEMENTATION_CLASS:
        return check_uid(it, "implementation class UID", error);
    case ITEM_IMPLEMENTATION_VERSION:
        return check_uid(it, "implementation version name", error);
    case ITEM_ROLE:
        return check_inner_uid(&it->body, 2, "role selection", error);
    case ITEM_EXTENDED:
        return check_inner_uid(&it->body, 0, "extended negotiation", error);
    case ITEM_USER_IDENTITY:
        if (s->user_identities++ > 0)
            return scp_fail(error, "user identity item twice");
        return check_user_identity(&it->body, error);
    case ITEM_USER_IDENTITY_ANSWER: /* DCMTK would parse it, and leak it */
        return scp_fail(error, "user identity item of an answer in a request");
    default:
        return 0;
    }
}

static int check_item(item *it, seen *s, scp_error *error)
{
    switch (it->type) {
    case ITEM_APPLICATION_CONTEXT:
        if (s->application_contexts++ > 0)
            return scp_fail(error, "application context item twice");
        return check_uid(it, "application context", error);
    case ITEM_PRESENTATION_CONTEXT:
        return check_context(&it->body, s, error);
    case ITEM_PRESENTATION_CONTEXT_ANSWER: /* DCMTK would parse it, and leak where that fails */
        return scp_fail(error, "presentation context item of an answer in a request");
    case ITEM_USER_INFORMATION:
        if (s->user_informations++ > 0)
            return scp_fail(error, "user information item twice");
        while (left(&it->body) > 0) {
            item sub;
            if (next_item(&sub, &it->body, "the user information", error) != 0 ||
                check_user_item(&sub, s, error) != 0)
                return -1;
        }
        return 0;
    default:
        return 0;
    }
}

int ul_request_check(const uint8_t *pdu, size_t nbytes, scp_error *error)
{
    seen s = {0};
    cursor c = {pdu, ASSOCIATE_FIXED_BYTES, nbytes};
    if (nbytes < ASSOCIATE_FIXED_BYTES)
        return scp_fail(error, "A-ASSOCIATE-RQ of %zu bytes, at least %d are due", nbytes,
                        ASSOCIATE_FIXED_BYTES);
    if ((get_u16(pdu) & 1) == 0)
        return 0;
    while (left(&c) > 0) {
        item it;
        if (next_item(&it, &c, "the A-ASSOCIATE-RQ", error) != 0 || check_item(&it, &s, error) != 0)
            return -1;
    }
    return 0;
}

static bool take_role(const item *it, const char *uid, bool *scu, bool *scp)
{
    const uint8_t *body = it->body.bytes + it->body.pos;
    if (it->type != ITEM_ROLE || check_inner_uid(&it->body, 2, "", NULL) != 0)
        return false;
    const size_t n = get_u16(body);
    size_t trimmed = n; /* some pad UIDs here too */
    while (trimmed > 0 && (body[1 + trimmed] == '\0' || body[1 + trimmed] == ' '))
        trimmed--;
    if (trimmed != strlen(uid) || memcmp(body + 2, uid, trimmed) != 0)
        return false;
    *scu = body[2 + n] == 1;
    *scp = body[3 + n] == 1;
    return true;
}

/* A field of the user identity item as text; false where it is none, or too long. */
static bool take_text(char *out, size_t size, cursor *c)
{
    const size_t n = left(c) >= 2 ? get_u16(c->bytes + c->pos) : 0;
    if (left(c) < 2 || n > left(c) - 2 || n >= size)
        return false;
    const uint8_t *text = c->bytes + c->pos + 2;
    c->pos += 2 + n;
    memcpy(out, text, n);
    out[n] = '\0';
    return memchr(text, '\0', n) == NULL;
}

void ul_request_identity(const uint8_t *pdu, size_t nbytes, ul_identity *out)
{
    cursor c = {pdu, ASSOCIATE_FIXED_BYTES, nbytes};
    item it = {0}, sub = {0};
    memset(out, 0, sizeof *out);
    while (left(&c) > 0 && next_item(&it, &c, "", NULL) == 0) {
        if (it.type != ITEM_USER_INFORMATION)
            continue;
        while (left(&it.body) > 0 && next_item(&sub, &it.body, "", NULL) == 0) {
            if (sub.type != ITEM_USER_IDENTITY || left(&sub.body) < 2)
                continue;
            out->type = sub.body.bytes[sub.body.pos];
            out->answer_wanted = sub.body.bytes[sub.body.pos + 1] == 1;
            sub.body.pos += 2;
            if (out->type == 1 || out->type == 2)
                out->usable =
                    take_text(out->name, sizeof out->name, &sub.body) && out->name[0] != '\0' &&
                    (out->type == 1 || take_text(out->passcode, sizeof out->passcode, &sub.body));
            return;
        }
    }
}

bool ul_request_role(const uint8_t *pdu, size_t nbytes, const char *sop_class_uid, bool *scu,
                     bool *scp)
{
    cursor c = {pdu, ASSOCIATE_FIXED_BYTES, nbytes};
    item it = {0}, sub = {0};
    *scu = *scp = false;
    while (left(&c) > 0 && next_item(&it, &c, "", NULL) == 0) {
        if (it.type != ITEM_USER_INFORMATION)
            continue;
        while (left(&it.body) > 0 && next_item(&sub, &it.body, "", NULL) == 0) {
            if (take_role(&sub, sop_class_uid, scu, scp))
                return true;
        }
    }
    return false;
}
