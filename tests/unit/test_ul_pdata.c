/* SPDX-License-Identifier: Apache-2.0 */
/* P-DATA-TF out, over a socket pair: every fragment size gives back the same message. */
#include "ul_pdata.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define DATA_NBYTES 100002
#define CONTEXT     5

static uint8_t data[DATA_NBYTES];

static void test_fragment_sizes(void **state)
{
    (void)state;
    static const struct {
        uint32_t max_pdu;
        size_t fragment;
    } cases[] = {{0, 1 << 20},
                 {1, 0},
                 {5, 0},
                 {6, 0},
                 {7, 0},
                 {8, 2},
                 {13, 6},
                 {14, 8},
                 {15, 8},
                 {4096, 4090},
                 {16384, 16378},
                 {16385, 16378},
                 {0x100006, 1 << 20},
                 {0x100007, 1 << 20},
                 {UINT32_MAX, 1 << 20}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(ul_fragment_size(cases[i].max_pdu), cases[i].fragment);
}

/* ---- The other end: collects what comes ---- */

typedef struct stream {
    int fd;
    uint8_t *bytes;
    size_t nbytes;
} stream;

static void *collect(void *context)
{
    stream *s = context;
    s->bytes = malloc(8 << 20);
    ssize_t n;
    while ((n = recv(s->fd, s->bytes + s->nbytes, (8 << 20) - s->nbytes, 0)) > 0)
        s->nbytes += (size_t)n;
    return NULL;
}

static size_t be32(const uint8_t *p)
{
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

/* Takes one stream (command or data) off the PDUs at *pos; returns its length. */
static size_t take(const stream *s, size_t *pos, bool command, size_t fragment, uint8_t *out)
{
    size_t total = 0;
    for (;;) {
        const uint8_t *p = s->bytes + *pos;
        assert_true(s->nbytes - *pos >= 12);
        assert_memory_equal(p, "\4\0", 2);
        size_t n = be32(p + 6) - 2;
        assert_int_equal(be32(p + 2), n + 6);
        assert_true(n <= fragment);
        assert_int_equal(p[10], CONTEXT);
        assert_int_equal(p[11] & 1, command);
        bool last = (p[11] & 2) != 0;
        assert_true(last || n == fragment);
        memcpy(out + total, p + 12, n);
        total += n;
        *pos += 12 + n;
        if (last)
            return total;
    }
}

static void check_message(size_t fragment, size_t command_nbytes, size_t data_nbytes,
                          size_t slice_nbytes)
{
    static uint8_t out[DATA_NBYTES];
    static struct iovec slices[DATA_NBYTES];
    int fds[2];
    pthread_t thread;
    ul_transport t;
    size_t nslices = 0, pos = 0;
    for (size_t at = 0; at < data_nbytes; at += slice_nbytes, nslices++) {
        size_t left = data_nbytes - at;
        slices[nslices] = (struct iovec){data + at, left < slice_nbytes ? left : slice_nbytes};
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    stream s = {fds[1], NULL, 0};
    pthread_create(&thread, NULL, collect, &s);
    assert_int_equal(ul_transport_init(&t, -1, 10000), 0);
    ul_transport_attach(&t, fds[0]);
    assert_int_equal(ul_pdata_send(&t, fragment, CONTEXT, command_nbytes != 0 ? data : NULL,
                                   command_nbytes, slices, nslices),
                     UL_IO_OK);
    uint64_t sent = t.bytes_out;
    ul_transport_free(&t);
    pthread_join(thread, NULL);
    if (command_nbytes != 0) {
        assert_int_equal(take(&s, &pos, true, fragment, out), command_nbytes);
        assert_memory_equal(out, data, command_nbytes);
    }
    if (nslices != 0) {
        assert_int_equal(take(&s, &pos, false, fragment, out), data_nbytes);
        assert_memory_equal(out, data, data_nbytes);
    }
    assert_int_equal(pos, s.nbytes);
    assert_int_equal(pos, sent);
    close(fds[1]);
    free(s.bytes);
}

static void test_messages(void **state)
{
    (void)state;
    static const size_t fragments[] = {2, 6, 8, 100, 4090, 16378, 131066, 1 << 20};
    for (size_t i = 0; i < DATA_NBYTES; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof fragments / sizeof fragments[0]; i++) {
        check_message(fragments[i], 120, DATA_NBYTES, DATA_NBYTES);
        check_message(fragments[i], 120, DATA_NBYTES, 1001);
        check_message(fragments[i], 120, 0, 1);
        check_message(fragments[i], 0, 5000, 5000);
        check_message(fragments[i], 0, 5000, 3);
    }
    check_message(4090, 4090, 8180, 4090); /* exact multiples: no empty PDV behind */
}

static void test_empty_data_set(void **state)
{
    (void)state;
    int fds[2];
    ul_transport t;
    uint8_t got[64];
    struct iovec nothing = {data, 0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(ul_transport_init(&t, -1, 1000), 0);
    ul_transport_attach(&t, fds[0]);
    assert_int_equal(ul_pdata_send(&t, 100, CONTEXT, NULL, 0, &nothing, 1), UL_IO_OK);
    assert_int_equal(recv(fds[1], got, sizeof got, 0), 12);
    assert_memory_equal(got, "\4\0\0\0\0\6\0\0\0\2\5\2", 12);
    ul_transport_free(&t);
    close(fds[1]);
}

/* A peer that does not read, one that is gone, an interruption: each ends the write for its own
   reason, and the stream counts as torn where something went out. */
static void test_failures(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        static const ul_io expected[] = {UL_IO_TIMEOUT, UL_IO_BROKEN, UL_IO_WOKEN};
        static uint8_t big[4 << 20];
        int fds[2];
        ul_transport t;
        struct iovec slice = {big, sizeof big};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(ul_transport_init(&t, -1, 50), 0);
        ul_transport_attach(&t, fds[0]);
        if (kind == 1)
            close(fds[1]);
        if (kind == 2)
            ul_transport_interrupt(&t);
        assert_int_equal(ul_pdata_send(&t, 16378, CONTEXT, "xx", 2, &slice, 1), expected[kind]);
        assert_int_equal(t.last, expected[kind]);
        assert_int_equal(t.torn, kind == 0);
        if (kind != 1)
            close(fds[1]);
        ul_transport_free(&t);
    }
}

static void test_reading(void **state)
{
    (void)state;
    int fds[2];
    ul_transport t;
    uint8_t got[16];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(ul_transport_init(&t, -1, 20), 0);
    ul_transport_attach(&t, fds[0]);
    assert_int_equal(ul_transport_wait(&t, 0), UL_IO_TIMEOUT);
    assert_int_equal(ul_transport_read(&t, got, 1), -1);
    assert_int_equal(t.last, UL_IO_TIMEOUT);
    assert_int_equal(send(fds[1], "abcdef", 6, 0), 6);
    assert_int_equal(ul_transport_wait(&t, -1), UL_IO_OK);
    assert_int_equal(ul_transport_read(&t, got, 2), 2);
    assert_int_equal(ul_transport_wait(&t, 0), UL_IO_OK); /* the rest is in the inbox */
    assert_int_equal(ul_transport_read_all(&t, got + 2, 4), UL_IO_OK);
    assert_memory_equal(got, "abcdef", 6);
    assert_int_equal(t.bytes_in, 6);
    ul_transport_interrupt(&t);
    assert_int_equal(ul_transport_wait(&t, -1), UL_IO_WOKEN);
    assert_int_equal(ul_transport_read(&t, got, 1), -1);
    assert_int_equal(t.last, UL_IO_WOKEN);
    t.deaf = true;
    close(fds[1]);
    assert_int_equal(ul_transport_read(&t, got, 1), -1);
    assert_int_equal(t.last, UL_IO_CLOSED);
    ul_transport_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fragment_sizes), cmocka_unit_test(test_messages),
        cmocka_unit_test(test_empty_data_set), cmocka_unit_test(test_failures),
        cmocka_unit_test(test_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
