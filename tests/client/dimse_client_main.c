/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dimse_client_main.c - the test client as a program, for tests written in shell.
 *
 * Prints one line for each message; exits 0 where the last response's status was success or
 * pending, 2 for another status, 3 where the association was rejected, aborted, closed or broken.
 */
#include "dimse_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LIST 128

typedef struct settings {
    client_options client;
    const char *level, *model, *directory;
    const char *destination; /* of a move */
    bool late_cancel;        /* once the final response is there */
    bool cancel_on_input;    /* before any response is read */
    const char *syntaxes[64];
    size_t nsyntaxes;
    const char *sop_classes[64];
    size_t nsop_classes;
    bool separate; /* a context for each syntax */
    bool no_role, relational;
    int cancel_after, drop_after; /* -1: never */
    int silent_at;                /* the instance that is not answered; 0: none */
    int store_status[MAX_LIST];   /* for the n-th instance, 1-based; 0: success */
    int repeat;
    client_buffer identifier;
} settings;

static const char *const usage =
    "usage: dimse_client [options] HOST PORT echo|get|move|find|raw\n"
    "  --aec TITLE --aet TITLE     called and calling AE title (DCBSCP, TESTCLIENT)\n"
    "  --max-pdu N                 maximum PDU length that we announce (0: none)\n"
    "  --timeout MS                for each wait (30000)\n"
    "  --model study|patient|composite|headers  --level PATIENT|STUDY|SERIES|IMAGE|FRAME\n"
    "  --key GGGGEEEE=VALUE        for find, get and move, in ascending order of tags; the\n"
    "                              value is text, or hex:DIGITS\n"
    "  --relational                ask for relational retrieval\n"
    "  --destination TITLE         of move\n"
    "  --syntax UID,UID            transfer syntaxes for instances (Explicit, Implicit LE)\n"
    "  --separate                  one presentation context for each of them\n"
    "  --sop-class UID,UID         for instances (CT, MR, Secondary Capture, ... Image Storage)\n"
    "  --no-role                   propose no SCP role for them\n"
    "  --cancel-after N            send C-CANCEL after N instances or responses\n"
    "  --cancel-on-input           send the request, read a line, send C-CANCEL\n"
    "  --late-cancel               send C-CANCEL after the final response\n"
    "  --drop-after N              drop the connection after N of them\n"
    "  --silent-at N               do not answer the N-th instance\n"
    "  --store-status N:HEX        answer the N-th instance with that status\n"
    "  --repeat N                  the same request N times\n"
    "  --out DIR                   write received data sets as DIR/NNNNN.dcm (Part 10)\n"
    "raw sends hexadecimal digits from standard input, then prints the PDUs that come back.\n";

static const char *const default_sop_classes[] = {
    "1.2.840.10008.5.1.4.1.1.2",   "1.2.840.10008.5.1.4.1.1.4",   "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.1",   "1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.6.1",
    "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.20",  "1.2.840.10008.5.1.4.1.1.481.2"};

/* ---- Arguments ---- */

static void fail(const char *what, const char *value)
{
    fprintf(stderr, "dimse_client: %s: %s\n%s", what, value, usage);
    exit(1);
}

static unsigned long number(const char *text, int base)
{
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, base);
    if (errno != 0 || *text == '\0' || (*end != '\0' && *end != ':' && *end != '='))
        fail("not a number", text);
    return v;
}

static size_t split(char *list, const char **out, size_t capacity)
{
    size_t n = 0;
    char *rest = NULL;
    for (char *one = strtok_r(list, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
        if (n == capacity)
            fail("too many in a list", one);
        out[n++] = one;
    }
    return n;
}

static void add_key(settings *s, const char *key)
{
    const char *value = strchr(key, '=');
    if (value == NULL || value - key != 8)
        fail("not GGGGEEEE=VALUE", key);
    const uint32_t tag = (uint32_t)number(key, 16);
    if (strncmp(value, "=hex:", 5) != 0) {
        client_put_text(&s->identifier, tag, value + 1);
        return;
    }
    uint8_t bytes[4096];
    size_t n = 0;
    for (value += 5; value[0] != '\0' && value[1] != '\0' && n < sizeof bytes; value += 2)
        bytes[n++] = (uint8_t)number((char[]){value[0], value[1], '\0'}, 16);
    client_put(&s->identifier, tag, bytes, n, '\0');
}

static void add_store_status(settings *s, const char *text)
{
    const char *colon = strchr(text, ':');
    unsigned long n = number(text, 10);
    if (colon == NULL || n == 0 || n >= MAX_LIST)
        fail("not N:HEX", text);
    s->store_status[n] = (int)number(colon + 1, 16);
}

/* Returns how many arguments the option took; 0: it is none. */
static int take_option(settings *s, char **argv)
{
    const char *name = argv[0];
    char *value = argv[1];
    if (strncmp(name, "--", 2) != 0)
        return 0;
    if (strcmp(name, "--separate") == 0)
        return (s->separate = true, 1);
    if (strcmp(name, "--no-role") == 0)
        return (s->no_role = true, 1);
    if (strcmp(name, "--relational") == 0)
        return (s->relational = true, 1);
    if (strcmp(name, "--late-cancel") == 0)
        return (s->late_cancel = true, 1);
    if (strcmp(name, "--cancel-on-input") == 0)
        return (s->cancel_on_input = true, 1);
    if (value == NULL)
        fail("needs a value", name);
    if (strcmp(name, "--aec") == 0)
        s->client.called = value;
    else if (strcmp(name, "--aet") == 0)
        s->client.calling = value;
    else if (strcmp(name, "--max-pdu") == 0)
        s->client.max_pdu = (uint32_t)number(value, 10);
    else if (strcmp(name, "--timeout") == 0)
        s->client.timeout_ms = (int)number(value, 10);
    else if (strcmp(name, "--model") == 0)
        s->model = value;
    else if (strcmp(name, "--level") == 0)
        s->level = value;
    else if (strcmp(name, "--key") == 0)
        add_key(s, value);
    else if (strcmp(name, "--syntax") == 0)
        s->nsyntaxes = split(value, s->syntaxes, 64);
    else if (strcmp(name, "--sop-class") == 0)
        s->nsop_classes = split(value, s->sop_classes, 64);
    else if (strcmp(name, "--destination") == 0)
        s->destination = value;
    else if (strcmp(name, "--cancel-after") == 0)
        s->cancel_after = (int)number(value, 10);
    else if (strcmp(name, "--drop-after") == 0)
        s->drop_after = (int)number(value, 10);
    else if (strcmp(name, "--silent-at") == 0)
        s->silent_at = (int)number(value, 10);
    else if (strcmp(name, "--store-status") == 0)
        add_store_status(s, value);
    else if (strcmp(name, "--repeat") == 0)
        s->repeat = (int)number(value, 10);
    else if (strcmp(name, "--out") == 0)
        s->directory = value;
    else
        fail("unknown option", name);
    return 2;
}

/* ---- What is printed and written ---- */

static int ended(const dimse_client *client, client_event event)
{
    switch (event) {
    case CLIENT_REJECTED:
        printf("rejected %u/%u/%u\n", client->reason[7], client->reason[8], client->reason[9]);
        break;
    case CLIENT_ABORTED:
        printf("aborted source %u reason %u\n", client->reason[8], client->reason[9]);
        break;
    case CLIENT_RELEASED:
        printf("released\n");
        break;
    case CLIENT_TIMEOUT:
        printf("timeout\n");
        break;
    case CLIENT_GARBAGE:
        printf("garbage: %s\n", client->complaint);
        break;
    case CLIENT_CLOSED:
    case CLIENT_OK:
    default:
        printf("closed\n");
    }
    return 3;
}

static void put_meta(client_buffer *b, uint16_t element, const char *vr, const void *value,
                     size_t n)
{
    const bool is_long = strcmp(vr, "OB") == 0;
    const size_t padded = n + (n & 1);
    uint8_t head[12] = {
        2, 0, (uint8_t)element, (uint8_t)(element >> 8), (uint8_t)vr[0], (uint8_t)vr[1]};
    head[is_long ? 8 : 6] = (uint8_t)padded;
    size_t have = b->nbytes;
    b->bytes = realloc(b->bytes, have + sizeof head + padded);
    if (b->bytes == NULL)
        abort();
    memcpy(b->bytes + have, head, is_long ? 12 : 8);
    have += is_long ? 12 : 8;
    memcpy(b->bytes + have, value, n);
    if (padded != n)
        b->bytes[have + n] = 0;
    b->nbytes = have + padded;
}

/* PS3.10 section 7: preamble, prefix, file meta information, data set. */
static void write_file(const settings *s, int number_of_file, const client_message *m,
                       const char *syntax)
{
    char path[4096], sop_class[65], instance[65];
    uint8_t length[4] = {0};
    client_buffer meta = {0};
    client_text(m, 0x00000002, sop_class, sizeof sop_class);
    client_text(m, 0x00001000, instance, sizeof instance);
    if (instance[0] == '\0')
        snprintf(instance, sizeof instance, "1.2.3.%d", number_of_file);
    put_meta(&meta, 0x0000, "UL", length, 4);
    put_meta(&meta, 0x0001, "OB", "\0\1", 2);
    put_meta(&meta, 0x0002, "UI", sop_class, strlen(sop_class));
    put_meta(&meta, 0x0003, "UI", instance, strlen(instance));
    put_meta(&meta, 0x0010, "UI", syntax, strlen(syntax));
    put_meta(&meta, 0x0012, "UI", "1.2.3.4.5", 9);
    meta.bytes[8] = (uint8_t)(meta.nbytes - 12);
    meta.bytes[9] = (uint8_t)((meta.nbytes - 12) >> 8);
    mkdir(s->directory, 0777);
    snprintf(path, sizeof path, "%s/%05d.dcm", s->directory, number_of_file);
    FILE *file = fopen(path, "wb");
    static const uint8_t preamble[128];
    bool good = file != NULL && fwrite(preamble, 128, 1, file) == 1 &&
                fwrite("DICM", 4, 1, file) == 1 && fwrite(meta.bytes, meta.nbytes, 1, file) == 1 &&
                (m->data_nbytes == 0 || fwrite(m->data, m->data_nbytes, 1, file) == 1);
    if (file == NULL || fclose(file) != 0 || !good)
        fail("cannot write", path);
    free(meta.bytes);
}

static void print_counts(const client_message *m)
{
    static const struct {
        uint32_t tag;
        const char *name;
    } counts[] = {{0x00001020, "remaining"},
                  {0x00001021, "completed"},
                  {0x00001022, "failed"},
                  {0x00001023, "warning"}};
    for (size_t i = 0; i < 4; i++) {
        size_t n;
        if (client_find(m->command, m->command_nbytes, counts[i].tag, &n) != NULL)
            printf(" %s=%u", counts[i].name, client_u16(m, counts[i].tag, 0));
    }
}

static void print_data_set(const client_message *m)
{
    for (size_t pos = 0; m->data_nbytes - pos >= 8;) {
        const uint8_t *p = m->data + pos;
        size_t n = p[4] | (size_t)p[5] << 8 | (size_t)p[6] << 16 | (size_t)p[7] << 24;
        if (n > m->data_nbytes - pos - 8)
            n = m->data_nbytes - pos - 8;
        printf("  %02x%02x%02x%02x=", p[1], p[0], p[3], p[2]);
        for (size_t i = 0; i < n; i++) {
            uint8_t c = p[8 + i];
            if (c == 0 && i + 1 == n)
                break;
            if (c < 0x20 || c == 0x7F)
                printf("\\x%02x", c);
            else
                putchar(c);
        }
        putchar('\n');
        pos += 8 + n;
    }
}

static void print_response(const client_message *m)
{
    char comment[65];
    client_text(m, 0x00000902, comment, sizeof comment);
    printf("response status=%04X", client_u16(m, 0x00000900, 0xFFFF));
    print_counts(m);
    if (comment[0] != '\0')
        printf(" comment=\"%s\"", comment);
    putchar('\n');
    if (m->has_data)
        print_data_set(m);
}

/* ---- Requests ---- */

enum { GET = 0x0010, FIND = 0x0020, MOVE = 0x0021, ECHO_RQ = 0x0030 };

static const char *query_class(const settings *s, uint16_t command_field)
{
    if (strcmp(s->model, "composite") == 0)
        return command_field == MOVE ? "1.2.840.10008.5.1.4.1.2.4.2"
                                     : "1.2.840.10008.5.1.4.1.2.4.3";
    if (strcmp(s->model, "headers") == 0)
        return "1.2.840.10008.5.1.4.1.2.5.3";
    static const char *const classes[2][3] = {
        {"1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.1.2",
         "1.2.840.10008.5.1.4.1.2.1.3"},
        {"1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.2",
         "1.2.840.10008.5.1.4.1.2.2.3"}};
    return classes[strcmp(s->model, "study") == 0][command_field == FIND   ? 0
                                                   : command_field == MOVE ? 1
                                                                           : 2];
}

static size_t make_contexts(const settings *s, const char *service_class, bool get,
                            client_context *contexts)
{
    size_t n = 1;
    contexts[0] = (client_context){.id = 1,
                                   .abstract_syntax = service_class,
                                   .syntaxes = {"1.2.840.10008.1.2"},
                                   .nsyntaxes = 1};
    for (size_t i = 0; get && i < s->nsop_classes; i++) {
        for (size_t j = 0; j < (s->separate ? s->nsyntaxes : 1); j++) {
            if (n == MAX_LIST)
                fail("too many presentation contexts", s->sop_classes[i]);
            client_context *c = &contexts[n];
            *c = (client_context){.id = (uint8_t)(2 * n + 1), .abstract_syntax = s->sop_classes[i]};
            c->nsyntaxes = s->separate ? 1 : s->nsyntaxes;
            memcpy(c->syntaxes, s->syntaxes + (s->separate ? j : 0),
                   c->nsyntaxes * sizeof c->syntaxes[0]);
            c->role = j == 0 && !s->no_role ? CLIENT_SCP : CLIENT_NO_ROLE;
            n++;
        }
    }
    return n;
}

static void send_cancel(dimse_client *client)
{
    client_buffer cancel = {0};
    client_cancel(&cancel, 1);
    client_send(client, 1, cancel.bytes, cancel.nbytes, NULL, 0);
    free(cancel.bytes);
    printf("cancel sent\n");
}

/* Answers a C-STORE-RQ. */
static bool take_store(const settings *s, dimse_client *client, int n)
{
    const client_message *m = &client->message;
    const client_context *context = client_find_context(client, m->context_id);
    const uint16_t status = n < MAX_LIST ? (uint16_t)s->store_status[n] : 0;
    client_buffer response = {0};
    char instance[65];
    client_text(m, 0x00001000, instance, sizeof instance);
    printf("store %d context=%u syntax=%s bytes=%zu instance=%s\n", n, m->context_id,
           context != NULL ? context->accepted_syntax : "?", m->data_nbytes, instance);
    if (s->directory != NULL && context != NULL && status == 0)
        write_file(s, n, m, context->accepted_syntax);
    client_store_response(&response, m, status);
    bool sent = client_send(client, m->context_id, response.bytes, response.nbytes, NULL, 0);
    free(response.bytes);
    return sent;
}

/* Sends one request and takes what comes until its final response. -1 or an exit status. */
static int run_request(const settings *s, dimse_client *client, uint16_t command_field,
                       const char *service_class)
{
    const bool has_data = command_field != ECHO_RQ;
    client_buffer request = {0};
    client_move_request(&request, command_field, 1, service_class, has_data, s->destination);
    bool sent = client_send(client, 1, request.bytes, request.nbytes,
                            has_data ? s->identifier.bytes : NULL, s->identifier.nbytes);
    free(request.bytes);
    int nstores = 0, nresponses = 0;
    while (s->cancel_on_input && getchar() != '\n' && !feof(stdin))
        ;
    if (s->cancel_after == 0 || s->cancel_on_input)
        send_cancel(client);
    while (sent) {
        int done = command_field == GET ? nstores : nresponses;
        if (done == s->drop_after) {
            printf("dropped\n");
            exit(0);
        }
        client_event event = client_receive(client, s->client.timeout_ms);
        if (event != CLIENT_OK)
            return ended(client, event);
        if (client_u16(&client->message, 0x00000100, 0) == 0x0001) {
            sent = ++nstores == s->silent_at || take_store(s, client, nstores);
            if (nstores == s->cancel_after)
                send_cancel(client);
            continue;
        }
        print_response(&client->message);
        if (s->directory != NULL && command_field == FIND && client->message.has_data)
            write_file(s, nresponses + 1, &client->message, "1.2.840.10008.1.2");
        uint16_t status = client_u16(&client->message, 0x00000900, 0xFFFF);
        if (status != 0xFF00 && status != 0xFF01) {
            if (s->late_cancel)
                send_cancel(client);
            return status == 0 ? 0 : 2;
        }
        if (++nresponses == s->cancel_after && command_field != GET)
            send_cancel(client);
    }
    return ended(client, CLIENT_CLOSED);
}

static int run(settings *s, const char *what)
{
    client_context contexts[MAX_LIST];
    dimse_client client;
    uint16_t command_field = ECHO_RQ;
    const char *service_class = "1.2.840.10008.1.1";
    if (strcmp(what, "echo") != 0) {
        command_field = strcmp(what, "get") == 0 ? GET : strcmp(what, "move") == 0 ? MOVE : FIND;
        service_class = query_class(s, command_field);
    }
    size_t n = make_contexts(s, service_class, command_field == GET, contexts);
    if (s->relational) {
        s->client.extended_sop_class = service_class;
        s->client.extended[0] = 1;
        s->client.extended_nbytes = 1;
    }
    client_event event = client_open(&client, &s->client, contexts, n);
    if (event != CLIENT_OK)
        return ended(&client, event);
    for (size_t i = 0; i < n; i++)
        printf("context %u %s result=%d syntax=%s role=%d\n", contexts[i].id,
               contexts[i].abstract_syntax, contexts[i].result, contexts[i].accepted_syntax,
               contexts[i].answered_role);
    int status = 0;
    for (int i = 0; i < s->repeat && status == 0; i++)
        status = run_request(s, &client, command_field, service_class);
    if (status != 3) {
        event = client_release(&client);
        printf("%s\n", event == CLIENT_RELEASED ? "released" : "release failed");
        if (event != CLIENT_RELEASED)
            status = 3;
    }
    client_close(&client);
    return status;
}

static int run_raw(const settings *s)
{
    dimse_client client = {.options = s->client};
    client.fd = client_connect(s->client.host, s->client.port);
    if (client.fd < 0)
        return ended(&client, CLIENT_CLOSED);
    char digits[3] = "";
    for (int c, have = 0; (c = getchar()) != EOF;) {
        if (strchr("0123456789abcdefABCDEF", c) == NULL)
            continue;
        digits[have++] = (char)c;
        if (have == 2) {
            uint8_t byte = (uint8_t)number(digits, 16);
            if (!client_write(client.fd, &byte, 1))
                break;
            have = 0;
        }
    }
    client_event event;
    while ((event = client_read_pdu(&client, s->client.timeout_ms)) == CLIENT_OK) {
        for (size_t i = 0; i < client.pdu_nbytes; i++)
            printf("%02x", client.pdu[i]);
        putchar('\n');
    }
    printf("%s\n", event == CLIENT_TIMEOUT ? "timeout" : "closed");
    client_close(&client);
    return 0;
}

int main(int argc, char **argv)
{
    settings s = {.client = {.calling = "TESTCLIENT",
                             .called = "DCBSCP",
                             .max_pdu = 65536,
                             .timeout_ms = 30000},
                  .model = "study",
                  .syntaxes = {"1.2.840.10008.1.2.1", "1.2.840.10008.1.2"},
                  .nsyntaxes = 2,
                  .nsop_classes = sizeof default_sop_classes / sizeof default_sop_classes[0],
                  .cancel_after = -1,
                  .drop_after = -1,
                  .repeat = 1};
    memcpy(s.sop_classes, default_sop_classes, sizeof default_sop_classes);
    /* (0008,0052) comes before the keys that follow; those below it come first. */
    const char *keys[MAX_LIST];
    size_t nkeys = 0;
    int i = 1;
    for (int taken = 1; i < argc && taken > 0; i += taken) {
        if (strcmp(argv[i], "--key") == 0 && i + 1 < argc && nkeys < MAX_LIST) {
            keys[nkeys++] = argv[i + 1];
            taken = 2;
        } else {
            taken = take_option(&s, argv + i);
        }
    }
    if (argc - i != 3)
        fail("HOST, PORT and an action are due", argc - i > 3 ? argv[i + 3] : "missing");
    bool level_put = s.level == NULL;
    for (size_t k = 0; k < nkeys; k++) {
        if (!level_put && number(keys[k], 16) > 0x00080052) {
            client_put_text(&s.identifier, 0x00080052, s.level);
            level_put = true;
        }
        add_key(&s, keys[k]);
    }
    if (!level_put)
        client_put_text(&s.identifier, 0x00080052, s.level);
    s.client.host = argv[i];
    s.client.port = (uint16_t)number(argv[i + 1], 10);
    const char *what = argv[i + 2];
    setvbuf(stdout, NULL, _IOLBF, 0);
    int status = 1;
    if (strcmp(what, "raw") == 0)
        status = run_raw(&s);
    else if (strcmp(what, "echo") == 0 || strcmp(what, "get") == 0 || strcmp(what, "find") == 0 ||
             (strcmp(what, "move") == 0 && s.destination != NULL))
        status = run(&s, what);
    else
        fail("not echo, get, find, raw, or move with a destination", what);
    free(s.identifier.bytes);
    return status;
}
