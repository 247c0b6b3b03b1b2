/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_sender.c - the ceiling: a server that sends ready bytes and awaits a C-STORE-RSP for each.
 *
 *     bench_sender NBYTES COUNT [ADDRESS]
 *
 * Listens on the address (127.0.0.1) and prints its port. To each association and each request on
 * it, it sends COUNT instances of NBYTES, as C-STORE-RQ in PDUs as large as the peer takes, one
 * sendmsg for each instance, then a final response. It reads no metadata, checks nothing and
 * decodes nothing: what it reaches is what this machine, its kernel and the client allow. Each
 * instance has bytes of its own, as a server's would: one buffer sent again and again stays in the
 * processor's cache and tells of nothing.
 *
 * One thread for each association; ended by a signal.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define CT_STORAGE "1.2.840.10008.5.1.4.1.1.2"
#define PDUS_MAX   1024

static uint8_t *payload;
static size_t payload_nbytes;
static unsigned count;

typedef struct peer {
    int fd;
    uint32_t max_pdu;
    uint8_t get_context, store_context;
    uint8_t pdu[1 << 17];
    size_t pdu_nbytes;
} peer;

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool read_all(int fd, uint8_t *to, size_t nbytes)
{
    while (nbytes > 0) {
        const ssize_t n = recv(fd, to, nbytes, 0);
        if (n <= 0)
            return false;
        to += n;
        nbytes -= (size_t)n;
    }
    return true;
}

static bool send_all(int fd, struct iovec *iov, size_t niov)
{
    while (niov > 0) {
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = niov};
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n < 0)
            return false;
        while (niov > 0 && (size_t)n >= iov->iov_len) {
            n -= (ssize_t)iov->iov_len;
            iov++;
            niov--;
        }
        if (niov > 0) {
            iov->iov_base = (uint8_t *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
    return true;
}

static bool read_pdu(peer *p)
{
    if (!read_all(p->fd, p->pdu, 6))
        return false;
    p->pdu_nbytes = get32(p->pdu + 2);
    return p->pdu_nbytes <= sizeof p->pdu - 6 && read_all(p->fd, p->pdu + 6, p->pdu_nbytes);
}

/* Accepts every context in its first transfer syntax, with the roles that were asked for. */
static bool accept_association(peer *p)
{
    uint8_t out[1 << 16] = {2};
    if (!read_pdu(p) || p->pdu[0] != 1)
        return false;
    memcpy(out + 6, p->pdu + 6, 68); /* version, titles, reserved */
    size_t n = 74, pos = 74;
    const size_t end = p->pdu_nbytes + 6;
    p->max_pdu = 16384;
    while (pos + 4 <= end && n < sizeof out - 1024) {
        const uint8_t *item = p->pdu + pos;
        const size_t nbytes = (size_t)item[2] << 8 | item[3];
        if (item[0] == 0x20) {
            const uint8_t *abstract = item + 8;
            const size_t abstract_nbytes = (size_t)abstract[2] << 8 | abstract[3];
            const uint8_t *syntax = abstract + 4 + abstract_nbytes;
            const size_t syntax_nbytes = 4 + ((size_t)syntax[2] << 8 | syntax[3]);
            const bool is_ct = abstract_nbytes == strlen(CT_STORAGE) &&
                               memcmp(abstract + 4, CT_STORAGE, abstract_nbytes) == 0;
            *(is_ct ? &p->store_context : &p->get_context) = item[4];
            const uint8_t head[8] = {0x21, 0, 0, (uint8_t)(4 + syntax_nbytes), item[4]};
            memcpy(out + n, head, 8);
            memcpy(out + n + 8, syntax, syntax_nbytes);
            n += 8 + syntax_nbytes;
        } else {
            if (item[0] == 0x50 && nbytes >= 8)
                p->max_pdu = get32(item + 8);
            memcpy(out + n, item, 4 + nbytes);
            n += 4 + nbytes;
        }
        pos += 4 + nbytes;
    }
    put32(out + 2, (uint32_t)n - 6);
    struct iovec iov = {out, n};
    return send_all(p->fd, &iov, 1);
}

static size_t put_element(uint8_t *to, uint16_t element, const void *value, size_t nbytes)
{
    const uint8_t head[8] = {
        0, 0, (uint8_t)element, (uint8_t)(element >> 8), (uint8_t)(nbytes + (nbytes & 1)), 0, 0, 0};
    memcpy(to, head, 8);
    memcpy(to + 8, value, nbytes);
    if (nbytes & 1)
        to[8 + nbytes] = 0;
    return 8 + nbytes + (nbytes & 1);
}

static size_t put_u16(uint8_t *to, uint16_t element, unsigned value)
{
    const uint8_t bytes[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
    return put_element(to, element, bytes, 2);
}

static void put_pdv_head(uint8_t *head, size_t nbytes, uint8_t context, uint8_t control)
{
    head[0] = 4;
    head[1] = 0;
    put32(head + 2, (uint32_t)nbytes + 6);
    put32(head + 6, (uint32_t)nbytes + 2);
    head[10] = context;
    head[11] = control;
}

static size_t end_command(uint8_t *command, size_t n)
{
    const uint8_t group[12] = {0, 0, 0, 0, 4, 0, 0, 0, (uint8_t)(n - 12), 0, 0, 0};
    memcpy(command, group, 12);
    return n;
}

static bool send_instance(peer *p, unsigned number)
{
    uint8_t command[256], heads[PDUS_MAX][12];
    struct iovec iov[2 * PDUS_MAX];
    char uid[64];
    size_t n = 12;
    n += put_element(command + n, 0x0002, CT_STORAGE, strlen(CT_STORAGE));
    n += put_u16(command + n, 0x0100, 1);
    n += put_u16(command + n, 0x0110, number & 0xFFFF);
    n += put_u16(command + n, 0x0700, 0);
    n += put_u16(command + n, 0x0800, 1);
    const int uid_nbytes = snprintf(uid, sizeof uid, "1.2.826.1.1.1.%u", number);
    n += put_element(command + n, 0x1000, uid, (size_t)uid_nbytes);
    n = end_command(command, n);
    put_pdv_head(heads[0], n, p->store_context, 3);
    iov[0] = (struct iovec){heads[0], 12};
    iov[1] = (struct iovec){command, n};
    size_t niov = 2, nheads = 1, done = 0;
    uint8_t *bytes = payload + (size_t)(number - 1) * payload_nbytes;
    const size_t most = (p->max_pdu == 0 ? 1u << 20 : p->max_pdu - 6) & ~(size_t)1;
    while (done < payload_nbytes && nheads < PDUS_MAX) {
        const size_t left = payload_nbytes - done, part = left < most ? left : most;
        put_pdv_head(heads[nheads], part, p->store_context, part == left ? 2 : 0);
        iov[niov++] = (struct iovec){heads[nheads++], 12};
        iov[niov++] = (struct iovec){bytes + done, part};
        done += part;
    }
    return done == payload_nbytes && send_all(p->fd, iov, niov);
}

static bool send_final(peer *p)
{
    uint8_t head[12], command[256];
    size_t n = 12;
    n += put_u16(command + n, 0x0100, 0x8010);
    n += put_u16(command + n, 0x0120, 1);
    n += put_u16(command + n, 0x0800, 0x0101);
    n += put_u16(command + n, 0x0900, 0);
    n = end_command(command, n);
    put_pdv_head(head, n, p->get_context, 3);
    struct iovec iov[] = {{head, 12}, {command, n}};
    return send_all(p->fd, iov, 2);
}

/* A request is over with its data set's last PDV. */
static bool read_request(peer *p)
{
    do {
        if (!read_pdu(p) || p->pdu[0] != 4)
            return false;
    } while (p->pdu[11] != 2);
    return true;
}

static void *serve(void *context)
{
    peer *p = context;
    const int on = 1;
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    bool good = accept_association(p);
    while (good && read_request(p)) {
        for (unsigned i = 1; good && i <= count; i++)
            good = send_instance(p, i) && read_pdu(p) && p->pdu[0] == 4;
        good = good && send_final(p);
    }
    if (p->pdu[0] == 5) { /* A-RELEASE-RQ */
        uint8_t release[10] = {6, 0, 0, 0, 0, 4};
        struct iovec iov = {release, sizeof release};
        send_all(p->fd, &iov, 1);
    }
    close(p->fd);
    free(p);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: bench_sender NBYTES COUNT [ADDRESS]\n", stderr);
        return 2;
    }
    payload_nbytes = strtoul(argv[1], NULL, 10) & ~1ul;
    count = (unsigned)strtoul(argv[2], NULL, 10);
    payload = malloc(payload_nbytes * count);
    if (payload == NULL)
        return 1;
    for (size_t i = 0; i < payload_nbytes * count; i++)
        payload[i] = (uint8_t)(i * 2654435761u >> 13);
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t nbytes = sizeof address;
    if (inet_pton(AF_INET, argc > 3 ? argv[3] : "127.0.0.1", &address.sin_addr) != 1) {
        fprintf(stderr, "bench_sender: %s is no IPv4 address\n", argv[3]);
        return 2;
    }
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 128) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &nbytes) != 0) {
        perror("bench_sender");
        return 1;
    }
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        peer *p = calloc(1, sizeof *p);
        pthread_t thread;
        if (p == NULL || (p->fd = accept(listener, NULL, NULL)) < 0 ||
            pthread_create(&thread, NULL, serve, p) != 0)
            return 1;
        pthread_detach(thread);
    }
}
