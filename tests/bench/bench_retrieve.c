/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_retrieve.c - clients that ask a DICOM server for as much as it can give:
 *
 *     bench_retrieve [options] HOST PORT get STUDY/SERIES...
 *     bench_retrieve [options] HOST PORT find GGGGEEEE=VALUE...
 *     bench_retrieve [options] HOST PORT echo
 *
 * get: client i asks for series i (modulo their number), or with --in-turn each for all of them on
 * one association; what arrives is counted, or kept with --out. find: the same query --repeat
 * times. echo: associations with one C-ECHO each, for --seconds. Prints one line of name=value.
 *
 * The clients begin together once all are associated. They read as fast as they can: data sets go
 * through one buffer and are not looked at.
 */
#include "dimse_client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX  64
#define BUFFER_BYTES (256u << 10)
#define STUDY_ROOT   "1.2.840.10008.5.1.4.1.2.2."

typedef struct settings {
    client_options client;
    unsigned nclients, repeat;
    double seconds;
    const char *action, *out, *level, *sop_class;
    const char *syntaxes[8];
    size_t nsyntaxes;
    bool in_turn, nodelay;
    int stop_after, cancel_after; /* instances; -1: never */
    double pause_ms;              /* before each C-STORE-RSP */
    char **words;
    int nwords;
} settings;

typedef struct load_client {
    const settings *settings;
    unsigned number;
    pthread_t thread;
    pthread_barrier_t *start;
    dimse_client dimse;
    uint8_t *buffer;
    size_t pos, end;
    /* What came of it. */
    uint64_t ninstances, nbytes, nanswers, nassociations;
    double asked, first, *times; /* seconds */
    size_t ntimes;
    double finished;
    char failure[160];
} load_client;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool fail(load_client *c, const char *what)
{
    if (c->failure[0] == '\0')
        snprintf(c->failure, sizeof c->failure, "%s", what);
    return false;
}

/* ---- Reading ---- */

static bool fill(load_client *c)
{
    const ssize_t n = recv(c->dimse.fd, c->buffer, BUFFER_BYTES, 0);
    c->pos = 0;
    c->end = n > 0 ? (size_t)n : 0;
    return n > 0 || fail(c, n == 0 ? "the server hung up" : strerror(errno));
}

/* NULL: the bytes are not wanted. */
static bool take(load_client *c, uint8_t *to, size_t nbytes, FILE *file)
{
    while (nbytes > 0) {
        if (c->pos == c->end && !fill(c))
            return false;
        const size_t have = c->end - c->pos, n = have < nbytes ? have : nbytes;
        if (to != NULL) {
            memcpy(to, c->buffer + c->pos, n);
            to += n;
        }
        if (file != NULL && fwrite(c->buffer + c->pos, n, 1, file) != 1)
            return fail(c, "writing an instance failed");
        c->pos += n;
        nbytes -= n;
    }
    return true;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* One message: the command is kept, the data set goes to the file named by its instance, if any. */
typedef struct message {
    client_message base;
    uint8_t command[4096];
} message;

static FILE *open_file(load_client *c, message *m)
{
    char uid[65], path[4200];
    if (c->settings->out == NULL)
        return NULL;
    client_text(&m->base, 0x00001000, uid, sizeof uid);
    snprintf(path, sizeof path, "%s/%s", c->settings->out, uid);
    return fopen(path, "wb");
}

static bool has_data(message *m)
{
    return client_u16(&m->base, 0x00000800, 0x0101) != 0x0101;
}

static bool receive(load_client *c, message *m)
{
    FILE *file = NULL;
    bool good = true, complete = false;
    m->base = (client_message){.command = m->command};
    while (good && !complete) {
        uint8_t head[12];
        good = take(c, head, 6, NULL);
        if (good && head[0] != 4)
            good = fail(c, head[0] == 7 ? "the server aborted" : "an unexpected PDU");
        for (size_t left = good ? be32(head + 2) : 0; good && left > 0;) {
            good = take(c, head + 6, 6, NULL);
            const size_t n = good ? be32(head + 6) - 2 : 0;
            if (!good || n + 6 > left) {
                good = fail(c, "a PDV longer than its PDU");
                break;
            }
            left -= n + 6;
            m->base.context_id = head[10];
            if ((head[11] & CLIENT_COMMAND) != 0) {
                if (n > sizeof m->command - m->base.command_nbytes)
                    return fail(c, "a command of more than 4096 bytes");
                good = take(c, m->command + m->base.command_nbytes, n, NULL);
                m->base.command_nbytes += n;
                if (good && (head[11] & CLIENT_LAST) != 0) {
                    complete = !has_data(m);
                    file = complete ? NULL : open_file(c, m);
                }
            } else {
                good = take(c, NULL, n, file);
                c->nbytes += n;
                complete = (head[11] & CLIENT_LAST) != 0;
            }
        }
    }
    if (file != NULL && fclose(file) != 0)
        good = fail(c, "writing an instance failed");
    return good;
}

/* ---- Asking ---- */

static size_t make_contexts(const settings *s, client_context *contexts)
{
    const bool get = strcmp(s->action, "get") == 0;
    contexts[0] =
        (client_context){.id = 1,
                         .abstract_syntax = strcmp(s->action, "echo") == 0 ? "1.2.840.10008.1.1"
                                            : get                          ? STUDY_ROOT "3"
                                                                           : STUDY_ROOT "1",
                         .syntaxes = {"1.2.840.10008.1.2"},
                         .nsyntaxes = 1};
    if (!get)
        return 1;
    contexts[1] = (client_context){
        .id = 3, .abstract_syntax = s->sop_class, .role = CLIENT_SCP, .role_item = true};
    contexts[1].nsyntaxes = s->nsyntaxes;
    memcpy(contexts[1].syntaxes, s->syntaxes, s->nsyntaxes * sizeof s->syntaxes[0]);
    return 2;
}

static bool associate(load_client *c, client_context *contexts)
{
    const int on = 1;
    const size_t n = make_contexts(c->settings, contexts);
    if (client_open(&c->dimse, &c->settings->client, contexts, n) != CLIENT_OK)
        return fail(c, "no association");
    for (size_t i = 0; i < n; i++) {
        if (contexts[i].result != 0)
            return fail(c, "a presentation context was refused");
    }
    if (c->settings->nodelay)
        setsockopt(c->dimse.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return true;
}

static bool send_request(load_client *c, uint16_t command_field, const client_buffer *identifier)
{
    client_buffer request = {0};
    client_request(&request, command_field, 1, c->dimse.contexts[0].abstract_syntax,
                   identifier != NULL);
    const bool sent = client_send(&c->dimse, 1, request.bytes, request.nbytes,
                                  identifier != NULL ? identifier->bytes : NULL,
                                  identifier != NULL ? identifier->nbytes : 0);
    free(request.bytes);
    return sent || fail(c, "the request cannot be sent");
}

static bool answer_store(load_client *c, const message *m)
{
    client_buffer response = {0};
    if (c->settings->pause_ms > 0)
        usleep((useconds_t)(c->settings->pause_ms * 1000));
    client_store_response(&response, &m->base, 0);
    client_end_command(&response);
    const bool sent = client_send_pdv(&c->dimse, m->base.context_id, CLIENT_COMMAND | CLIENT_LAST,
                                      response.bytes, response.nbytes);
    free(response.bytes);
    return sent || fail(c, "a response cannot be sent");
}

static bool send_cancel(load_client *c)
{
    client_buffer cancel = {0};
    client_cancel(&cancel, 1);
    const bool sent = client_send(&c->dimse, 1, cancel.bytes, cancel.nbytes, NULL, 0);
    free(cancel.bytes);
    return sent || fail(c, "a cancel cannot be sent");
}

/* Answers each C-STORE-RQ until the final response. */
static bool take_instances(load_client *c)
{
    static _Thread_local message m;
    for (;;) {
        if (!receive(c, &m))
            return false;
        if (client_u16(&m.base, 0x00000100, 0) == 0x0001) {
            if (c->ninstances++ == 0)
                c->first = now();
            if ((int)c->ninstances == c->settings->stop_after) {
                sleep((unsigned)c->settings->seconds);
                return fail(c, "stopped reading, as asked");
            }
            if (!answer_store(c, &m))
                return false;
            if ((int)c->ninstances == c->settings->cancel_after && !send_cancel(c))
                return false;
            continue;
        }
        const uint16_t status = client_u16(&m.base, 0x00000900, 0xFFFF);
        if (status != 0xFF00) {
            char text[40];
            snprintf(text, sizeof text, "status %04X", status);
            return status == 0 || fail(c, text);
        }
    }
}

static bool get_series(load_client *c, const char *word)
{
    const char *slash = strchr(word, '/');
    char study[65] = "";
    client_buffer identifier = {0};
    if (slash == NULL)
        return fail(c, "not STUDY/SERIES");
    memcpy(study, word, (size_t)(slash - word) < 64 ? (size_t)(slash - word) : 64);
    client_put_text(&identifier, 0x00080052, "SERIES");
    client_put_text(&identifier, 0x0020000D, study);
    client_put_text(&identifier, 0x0020000E, slash + 1);
    if (c->asked == 0)
        c->asked = now();
    const bool good = send_request(c, 0x0010, &identifier) && take_instances(c);
    free(identifier.bytes);
    return good;
}

static bool run_get(load_client *c)
{
    const settings *s = c->settings;
    bool good = true;
    for (unsigned n = 0; good && n < s->repeat; n++) {
        if (!s->in_turn)
            good = get_series(c, s->words[c->number % (unsigned)s->nwords]);
        for (int i = 0; good && s->in_turn && i < s->nwords; i++)
            good = get_series(c, s->words[i]);
    }
    return good;
}

static bool run_find(load_client *c)
{
    static _Thread_local message m;
    client_buffer identifier = {0};
    bool good = true, level_put = false;
    for (int i = 0; i < c->settings->nwords; i++) {
        const char *word = c->settings->words[i];
        const uint32_t tag = (uint32_t)strtoul(word, NULL, 16);
        if (tag > 0x00080052 && !level_put) {
            client_put_text(&identifier, 0x00080052, c->settings->level);
            level_put = true;
        }
        client_put_text(&identifier, tag, strchr(word, '=') != NULL ? strchr(word, '=') + 1 : "");
    }
    c->times = calloc(c->settings->repeat, sizeof *c->times);
    for (unsigned n = 0; good && c->times != NULL && n < c->settings->repeat; n++) {
        const double asked = now();
        uint16_t status = 0xFF00;
        good = send_request(c, 0x0020, &identifier);
        while (good && (status == 0xFF00 || status == 0xFF01)) {
            good = receive(c, &m);
            status = good ? client_u16(&m.base, 0x00000900, 0xFFFF) : 0;
            c->nanswers += status == 0xFF00 || status == 0xFF01;
        }
        c->times[c->ntimes++] = now() - asked;
    }
    free(identifier.bytes);
    return good;
}

static bool run_echo(load_client *c)
{
    client_context contexts[2];
    const double until = now() + c->settings->seconds;
    static _Thread_local message m;
    bool good = true;
    while (good && now() < until) {
        c->pos = c->end = 0;
        good = associate(c, contexts) && send_request(c, 0x0030, NULL) && receive(c, &m);
        good = good && (client_release(&c->dimse) == CLIENT_RELEASED || fail(c, "no release"));
        client_close(&c->dimse);
        c->nassociations += good;
    }
    return good;
}

static void *run_client(void *context)
{
    load_client *c = context;
    client_context contexts[2];
    const bool echo = strcmp(c->settings->action, "echo") == 0;
    bool good = (c->buffer = malloc(BUFFER_BYTES)) != NULL && (echo || associate(c, contexts));
    pthread_barrier_wait(c->start);
    if (good && echo)
        good = run_echo(c);
    else if (good)
        good = strcmp(c->settings->action, "get") == 0 ? run_get(c) : run_find(c);
    c->finished = now();
    if (good && !echo)
        client_release(&c->dimse);
    if (!echo)
        client_close(&c->dimse);
    free(c->buffer);
    return NULL;
}

/* ---- All clients ---- */

static int compare(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static int report(load_client *clients, unsigned n, double started)
{
    double finished = started, firsts[CLIENTS_MAX];
    uint64_t ninstances = 0, nbytes = 0, nanswers = 0, nassociations = 0;
    unsigned nfirsts = 0, nfailed = 0;
    for (unsigned i = 0; i < n; i++) {
        const load_client *c = &clients[i];
        finished = c->finished > finished ? c->finished : finished;
        ninstances += c->ninstances;
        nbytes += c->nbytes;
        nanswers += c->nanswers;
        nassociations += c->nassociations;
        if (c->first > 0)
            firsts[nfirsts++] = (c->first - c->asked) * 1e3;
        if (c->failure[0] != '\0' && nfailed++ == 0)
            fprintf(stderr, "bench_retrieve: client %u: %s\n", i, c->failure);
    }
    const double seconds = finished - started;
    printf("seconds=%.6f failed=%u", seconds, nfailed);
    if (ninstances > 0) {
        qsort(firsts, nfirsts, sizeof *firsts, compare);
        printf(" instances=%llu rate=%.1f first_ms=%.3f first_max_ms=%.3f bytes=%llu",
               (unsigned long long)ninstances, (double)ninstances / seconds, firsts[nfirsts / 2],
               firsts[nfirsts - 1], (unsigned long long)nbytes);
    }
    if (nassociations > 0)
        printf(" associations=%llu rate=%.1f", (unsigned long long)nassociations,
               (double)nassociations / seconds);
    if (clients[0].ntimes > 0) {
        load_client *c = &clients[0];
        qsort(c->times, c->ntimes, sizeof *c->times, compare);
        printf(" answers=%llu find_ms=%.3f find_max_ms=%.3f",
               (unsigned long long)(nanswers / n / c->ntimes), c->times[c->ntimes / 2] * 1e3,
               c->times[c->ntimes - 1] * 1e3);
    }
    putchar('\n');
    return nfailed > 0;
}

static int run(const settings *s)
{
    static load_client clients[CLIENTS_MAX];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, s->nclients + 1);
    for (unsigned i = 0; i < s->nclients; i++) {
        clients[i] = (load_client){.settings = s, .number = i, .start = &start};
        if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0) {
            fputs("bench_retrieve: no thread\n", stderr);
            return 1;
        }
    }
    pthread_barrier_wait(&start);
    const double started = now();
    for (unsigned i = 0; i < s->nclients; i++)
        pthread_join(clients[i].thread, NULL);
    const int status = report(clients, s->nclients, started);
    for (unsigned i = 0; i < s->nclients; i++)
        free(clients[i].times);
    return status;
}

static int usage(void)
{
    fputs(
        "usage: bench_retrieve [options] HOST PORT get STUDY/SERIES... | find KEY=VALUE... | echo\n"
        "  --clients N      at the same time (1)\n"
        "  --repeat N       the same again, on the same association (1)\n"
        "  --in-turn        every client gets all series\n"
        "  --syntax UID     of instances; may be repeated (Explicit VR Little Endian)\n"
        "  --sop-class UID  of instances (CT Image Storage)\n"
        "  --max-pdu N      that we announce (131072)\n"
        "  --level LEVEL    of find (IMAGE)\n"
        "  --aec TITLE      called AE title (DCBSCP)\n"
        "  --aet TITLE      calling AE title (BENCH)\n"
        "  --out DIR        data sets are kept there, by SOP instance UID\n"
        "  --nagle          without TCP_NODELAY\n"
        "  --pause-ms N     before each C-STORE-RSP\n"
        "  --stop-after N   stop reading after N instances, for --seconds\n"
        "  --cancel-after N send C-CANCEL after N instances\n"
        "  --seconds N      how long echo lasts (2)\n",
        stderr);
    return 2;
}

static bool take_option(settings *s, const char *name, const char *value)
{
    if (strcmp(name, "--clients") == 0)
        s->nclients = (unsigned)strtoul(value, NULL, 10);
    else if (strcmp(name, "--repeat") == 0)
        s->repeat = (unsigned)strtoul(value, NULL, 10);
    else if (strcmp(name, "--syntax") == 0 && s->nsyntaxes < 8)
        s->syntaxes[s->nsyntaxes++] = value;
    else if (strcmp(name, "--sop-class") == 0)
        s->sop_class = value;
    else if (strcmp(name, "--max-pdu") == 0)
        s->client.max_pdu = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(name, "--level") == 0)
        s->level = value;
    else if (strcmp(name, "--aec") == 0)
        s->client.called = value;
    else if (strcmp(name, "--aet") == 0)
        s->client.calling = value;
    else if (strcmp(name, "--out") == 0)
        s->out = value;
    else if (strcmp(name, "--pause-ms") == 0)
        s->pause_ms = strtod(value, NULL);
    else if (strcmp(name, "--stop-after") == 0)
        s->stop_after = (int)strtol(value, NULL, 10);
    else if (strcmp(name, "--cancel-after") == 0)
        s->cancel_after = (int)strtol(value, NULL, 10);
    else if (strcmp(name, "--seconds") == 0)
        s->seconds = strtod(value, NULL);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    settings s = {
        .client = {.calling = "BENCH", .called = "DCBSCP", .max_pdu = 131072, .timeout_ms = 60000},
        .nclients = 1,
        .repeat = 1,
        .seconds = 2,
        .level = "IMAGE",
        .sop_class = "1.2.840.10008.5.1.4.1.1.2",
        .nodelay = true,
        .stop_after = -1,
        .cancel_after = -1};
    int i = 1;
    while (i < argc && strncmp(argv[i], "--", 2) == 0) {
        if (strcmp(argv[i], "--in-turn") == 0) {
            s.in_turn = true;
            i++;
        } else if (strcmp(argv[i], "--nagle") == 0) {
            s.nodelay = false;
            i++;
        } else if (i + 1 < argc && take_option(&s, argv[i], argv[i + 1])) {
            i += 2;
        } else {
            return usage();
        }
    }
    if (argc - i < 3 || s.nclients == 0 || s.nclients > CLIENTS_MAX)
        return usage();
    if (s.nsyntaxes == 0)
        s.syntaxes[s.nsyntaxes++] = "1.2.840.10008.1.2.1";
    s.client.host = argv[i];
    s.client.port = (uint16_t)strtoul(argv[i + 1], NULL, 10);
    s.action = argv[i + 2];
    s.words = argv + i + 3;
    s.nwords = argc - i - 3;
    const bool known =
        strcmp(s.action, "echo") == 0 ||
        ((strcmp(s.action, "get") == 0 || strcmp(s.action, "find") == 0) && s.nwords > 0);
    return known ? run(&s) : usage();
}
