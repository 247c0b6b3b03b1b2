/* SPDX-License-Identifier: Apache-2.0 */
/* TLS on a transport, both ends ours, over a socket pair: what goes in comes out, in full records;
   who is who; deadlines, interruption and broken peers; files that are wrong. */
#include "log.h"
#include "make_certificate.h"
#include "steady_clock.h"
#include "temp_dir.h"
#include "ul_pdata.h"
#include "ul_tls_session.h"

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

static char *folder;

/* A file of the folder; valid while the test runs. */
static char *at(const char *name)
{
    static char paths[128][256];
    static unsigned next;
    char *path = paths[next++ % 128];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int make_files(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_TEXT);
    folder = temp_dir_create();
    const certificate_order orders[] = {
        {folder, "authority", NULL, NULL, 0, 0, NULL},
        {folder, "stranger", NULL, NULL, 0, 0, NULL},
        {folder, "node", "authority",
         "DNS:node.test,IP:127.0.0.1,email:pacs@hospital.test,URI:urn:oid:1.2.3", 0, 0, NULL},
        {folder, "foreign", "stranger", "DNS:node.test", 0, 0, NULL},
        {folder, "expired", "authority", "DNS:node.test", -9, -2, NULL},
        {folder, "future", "authority", "DNS:node.test", 5, 9, NULL},
        {folder, "locked", "authority", "DNS:node.test", 0, 0, "open sesame"},
    };
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        make_certificate(&orders[i]);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    temp_dir_remove(folder);
    return 0;
}

/* ---- Two ends ---- */

static ul_tls_options options_of(const char *name)
{
    char certificate[64], key[64];
    snprintf(certificate, sizeof certificate, "%s.pem", name);
    snprintf(key, sizeof key, "%s.key", name);
    return (ul_tls_options){.certificate = at(certificate),
                            .key = at(key),
                            .ca_file = at("authority.pem"),
                            .accepts = true};
}

typedef struct pair {
    ul_tls *server, *client;
    ul_transport accepted, requested;
    const char *host;
    ul_io request_result;
    pthread_t thread;
} pair;

static void *request(void *context)
{
    pair *p = context;
    p->request_result = ul_tls_handshake(&p->requested, p->client, p->host);
    return NULL;
}

static void open_pair(pair *p)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(ul_transport_init(&p->accepted, -1, 20000), 0);
    assert_int_equal(ul_transport_init(&p->requested, -1, 20000), 0);
    ul_transport_attach(&p->accepted, fds[0]);
    ul_transport_attach(&p->requested, fds[1]);
}

/* Both handshakes; returns the accepting side's result. */
static ul_io shake_hands(pair *p, const ul_tls_options *server, const ul_tls_options *client,
                         const char *host)
{
    scp_error error = SCP_ERROR_INIT;
    memset(p, 0, sizeof *p);
    p->host = host;
    if (ul_tls_create(&p->server, server, &error) != 0 ||
        ul_tls_create(&p->client, client, &error) != 0)
        fail_msg("%s", error.message);
    open_pair(p);
    assert_int_equal(pthread_create(&p->thread, NULL, request, p), 0);
    ul_io io = ul_tls_handshake(&p->accepted, p->server, NULL);
    if (io != UL_IO_OK)
        ul_transport_hang_up(&p->accepted);
    pthread_join(p->thread, NULL);
    return io;
}

static void close_pair(pair *p)
{
    ul_transport_free(&p->accepted);
    ul_transport_free(&p->requested);
    ul_tls_close(p->server);
    ul_tls_close(p->client);
}

static void open_well(pair *p)
{
    const ul_tls_options options = options_of("node");
    if (shake_hands(p, &options, &options, "node.test") != UL_IO_OK)
        fail_msg("%s", ul_tls_failure(p->accepted.tls));
    assert_int_equal(p->request_result, UL_IO_OK);
}

/* ---- Data ---- */

typedef struct intake {
    ul_transport *from;
    uint8_t *bytes;
    size_t nbytes;
} intake;

static void *collect(void *context)
{
    intake *i = context;
    return ul_transport_read_all(i->from, i->bytes, i->nbytes) == UL_IO_OK ? i : NULL;
}

static void test_what_goes_in_comes_out(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 12, 100, 16383, 16384, 16385, 65536, 1000000, 5000001};
    pair p;
    open_well(&p);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t n = sizes[i];
        uint8_t *sent = malloc(n), *got = calloc(1, n + 4096);
        for (size_t k = 0; k < n; k++)
            sent[k] = (uint8_t)(k * 2654435761u >> 13);
        /* Slices of all lengths, none among them. */
        struct iovec iov[64];
        size_t niov = 0, done = 0;
        for (size_t part = 1; done < n && niov < 62; part = part * 3 + 7) {
            size_t take = part < n - done ? part : n - done;
            iov[niov++] = (struct iovec){sent + done, take};
            iov[niov++] = (struct iovec){sent, 0};
            done += take;
        }
        assert_int_equal(done, n);
        intake in = {&p.requested, got, n};
        const uint64_t before = p.accepted.bytes_out;
        pthread_t thread;
        void *whole;
        pthread_create(&thread, NULL, collect, &in);
        assert_int_equal(ul_transport_write(&p.accepted, iov, niov), UL_IO_OK);
        pthread_join(thread, &whole);
        assert_non_null(whole);
        assert_memory_equal(sent, got, n);
        /* No more records than there must be: 22 bytes each with TLS 1.3. */
        assert_int_equal(p.accepted.bytes_out - before, n + (n + 16383) / 16384 * 22);
        free(sent);
        free(got);
    }
    close_pair(&p);
}

static void test_heads_and_bodies_share_records(void **state)
{
    (void)state;
    pair p;
    open_well(&p);
    enum { DATA = 60000, FRAGMENT = 4090 };
    static uint8_t command[90], data[DATA], got[DATA * 2];
    struct iovec slice = {data, DATA};
    const size_t nfragments = (DATA + FRAGMENT - 1) / FRAGMENT;
    const size_t n = 12 + sizeof command + DATA + 12 * nfragments;
    intake in = {&p.requested, got, n};
    pthread_t thread;
    void *whole;
    const uint64_t before = p.accepted.bytes_out;
    pthread_create(&thread, NULL, collect, &in);
    assert_int_equal(ul_pdata_send(&p.accepted, FRAGMENT, 5, command, sizeof command, &slice, 1),
                     UL_IO_OK);
    pthread_join(thread, &whole);
    assert_non_null(whole);
    assert_int_equal(p.accepted.bytes_out - before, n + (n + 16383) / 16384 * 22);
    assert_memory_equal(got, "\4\0\0\0\0\x60\0\0\0\x5c\5\3", 12);
    close_pair(&p);
}

/* Half a record is nothing to read: who only looks must not be held up by it. */
static void test_half_a_record(void **state)
{
    (void)state;
    pair p;
    open_well(&p);
    int fds[2];
    uint8_t sealed[256], got[8];
    /* The requestor's next words go into another socket, from where they are passed on in parts. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    const int direct = p.requested.fd;
    p.requested.fd = fds[0];
    static char word[] = "whole";
    struct iovec iov = {word, 5};
    assert_int_equal(ul_transport_write(&p.requested, &iov, 1), UL_IO_OK);
    p.requested.fd = direct;
    const ssize_t n = recv(fds[1], sealed, sizeof sealed, 0);
    assert_int_equal(n, 5 + 22);
    assert_int_equal(ul_transport_wait(&p.accepted, 0), UL_IO_TIMEOUT);
    assert_int_equal(send(direct, sealed, 11, 0), 11);
    assert_int_equal(ul_transport_wait(&p.accepted, 0), UL_IO_TIMEOUT);
    assert_int_equal(ul_transport_wait(&p.accepted, 20), UL_IO_TIMEOUT);
    assert_int_equal(send(direct, sealed + 11, (size_t)n - 11, 0), n - 11);
    assert_int_equal(ul_transport_wait(&p.accepted, 20000), UL_IO_OK);
    assert_int_equal(ul_transport_read_all(&p.accepted, got, 5), UL_IO_OK);
    assert_memory_equal(got, "whole", 5);
    close(fds[0]);
    close(fds[1]);
    close_pair(&p);
}

static void test_a_changed_byte_breaks_the_connection(void **state)
{
    (void)state;
    pair p;
    open_well(&p);
    uint8_t got[8];
    static const uint8_t forged[27] = {23, 3, 3, 0, 22};
    assert_int_equal(send(p.requested.fd, forged, sizeof forged, 0), sizeof forged);
    assert_int_equal(ul_transport_read(&p.accepted, got, sizeof got), -1);
    assert_int_equal(p.accepted.last, UL_IO_BROKEN);
    assert_non_null(strstr(ul_transport_failure(&p.accepted), "TLS"));
    /* And stays broken, whatever is asked. */
    struct iovec iov = {got, 4};
    assert_int_equal(ul_transport_write(&p.accepted, &iov, 1), UL_IO_BROKEN);
    assert_int_equal(ul_transport_read(&p.accepted, got, sizeof got), -1);
    close_pair(&p);
}

static void test_the_end_of_the_stream(void **state)
{
    (void)state;
    pair p;
    uint8_t got[8];
    open_well(&p);
    ul_transport_end_writing(&p.requested); /* close_notify */
    assert_int_equal(ul_transport_read(&p.accepted, got, sizeof got), -1);
    assert_int_equal(p.accepted.last, UL_IO_CLOSED);
    close_pair(&p);
    open_well(&p);
    ul_transport_hang_up(&p.requested); /* without a word */
    assert_int_equal(ul_transport_wait(&p.accepted, 20000), UL_IO_CLOSED);
    close_pair(&p);
}

/* ---- Deadlines and interruption ---- */

static void test_a_handshake_has_one_deadline(void **state)
{
    (void)state;
    static const uint8_t hello[] = {22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3};
    const ul_tls_options options = options_of("node");
    /* Over while bytes still come; over in silence. */
    for (int silent = 0; silent < 2; silent++) {
        pair p = {0};
        assert_int_equal(ul_tls_create(&p.server, &options, NULL), 0);
        open_pair(&p);
        if (!silent)
            assert_int_equal(send(p.requested.fd, hello, sizeof hello, 0), sizeof hello);
        p.accepted.deadline_ms = steady_clock_ms() + (silent ? 30 : -1);
        assert_int_equal(ul_tls_handshake(&p.accepted, p.server, NULL), UL_IO_TIMEOUT);
        close_pair(&p);
    }
}

static void *interrupt(void *context)
{
    ul_transport_interrupt(context);
    return NULL;
}

static void test_interruption(void **state)
{
    (void)state;
    const ul_tls_options options = options_of("node");
    pair p = {0};
    pthread_t thread;
    assert_int_equal(ul_tls_create(&p.server, &options, NULL), 0);
    open_pair(&p);
    pthread_create(&thread, NULL, interrupt, &p.accepted);
    assert_int_equal(ul_tls_handshake(&p.accepted, p.server, NULL), UL_IO_WOKEN);
    pthread_join(thread, NULL);
    close_pair(&p);

    /* A writer whose peer reads nothing. */
    static uint8_t much[8 << 20];
    struct iovec iov = {much, sizeof much};
    open_well(&p);
    pthread_create(&thread, NULL, interrupt, &p.accepted);
    assert_int_equal(ul_transport_write(&p.accepted, &iov, 1), UL_IO_WOKEN);
    assert_true(p.accepted.torn);
    pthread_join(thread, NULL);
    close_pair(&p);
}

/* ---- Who is who ---- */

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {"node", "node.test", "127.0.0.1", "pacs@hospital.test",
                                        "urn:oid:1.2.3"};
    pair p;
    ul_secure secure;
    open_well(&p);
    ul_tls_describe(&secure, p.accepted.tls);
    assert_string_equal(secure.protocol, "TLSv1.3");
    assert_string_equal(secure.subject, "CN=node,O=Test");
    assert_int_equal(secure.nnames, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(secure.names[i], names[i]);
    close_pair(&p);
}

static void test_who_is_let_in(void **state)
{
    (void)state;
    static const struct {
        const char *client; /* NULL: none */
        ul_tls_client_certificates wanted;
        const char *host;
        const char *server_says, *client_says; /* NULL: all is well */
    } cases[] = {
        {"node", UL_TLS_CLIENT_REQUIRE, "127.0.0.1", NULL, NULL},
        {"node", UL_TLS_CLIENT_REQUIRE, "other.test", "", "hostname mismatch"},
        {"node", UL_TLS_CLIENT_REQUIRE, "127.0.0.2", "", "IP address mismatch"},
        {NULL, UL_TLS_CLIENT_REQUIRE, "node.test", "did not return a certificate", NULL},
        {NULL, UL_TLS_CLIENT_REQUEST, "node.test", NULL, NULL},
        {NULL, UL_TLS_CLIENT_NO, "node.test", NULL, NULL},
        {"foreign", UL_TLS_CLIENT_REQUIRE, "node.test", "unable to get local issuer", NULL},
        {"foreign", UL_TLS_CLIENT_REQUEST, "node.test", "unable to get local issuer", NULL},
        {"foreign", UL_TLS_CLIENT_NO, "node.test", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ul_tls_options server = options_of("node"), client = {.ca_file = server.ca_file};
        pair p;
        ul_secure secure;
        server.client_certificates = cases[i].wanted;
        if (cases[i].client != NULL)
            client = options_of(cases[i].client);
        client.accepts = false;
        ul_io io = shake_hands(&p, &server, &client, cases[i].host);
        if (cases[i].server_says == NULL) {
            assert_int_equal(io, UL_IO_OK);
            ul_tls_describe(&secure, p.accepted.tls);
            const bool known = cases[i].client != NULL && cases[i].wanted != UL_TLS_CLIENT_NO;
            assert_int_equal(secure.subject[0] != '\0', known);
            assert_int_equal(secure.nnames > 0, known);
        } else {
            assert_int_not_equal(io, UL_IO_OK);
            if (strstr(ul_tls_failure(p.accepted.tls), cases[i].server_says) == NULL)
                fail_msg("case %zu: %s", i, ul_tls_failure(p.accepted.tls));
        }
        if (cases[i].client_says != NULL) {
            assert_int_equal(p.request_result, UL_IO_BROKEN);
            if (strcasestr(ul_tls_failure(p.requested.tls), cases[i].client_says) == NULL)
                fail_msg("case %zu: %s", i, ul_tls_failure(p.requested.tls));
        }
        close_pair(&p);
    }
}

/* ---- Files ---- */

static void expect_error(const ul_tls_options *options, const char *said)
{
    ul_tls *tls;
    scp_error error = SCP_ERROR_INIT;
    assert_int_equal(ul_tls_create(&tls, options, &error), -1);
    assert_null(tls);
    if (strstr(error.message, said) == NULL)
        fail_msg("\"%s\" where \"%s\" is due", error.message, said);
}

static void test_wrong_files(void **state)
{
    (void)state;
    write_file(at("junk.pem"), "junk\n", 5);
    write_file(at("password"), "wrong\n", 6);
    const ul_tls_options good = options_of("node");
    ul_tls_options o = good;
    o.certificate = NULL;
    expect_error(&o, "tls_certificate is not set");
    o = good;
    o.key = NULL;
    expect_error(&o, "tls_key is not set");
    o = good;
    o.certificate = at("missing.pem");
    expect_error(&o, "missing.pem: No such file or directory");
    o = good;
    o.certificate = at("junk.pem");
    expect_error(&o, "junk.pem holds no certificate in PEM form");
    o = good;
    o.key = at("junk.pem");
    expect_error(&o, "junk.pem holds no private key in PEM form");
    o = good;
    o.key = at("foreign.key");
    expect_error(&o, "foreign.key does not belong to the certificate");
    o = options_of("expired");
    expect_error(&o, "expired.pem expired on 20");
    o = options_of("future");
    expect_error(&o, "future.pem is not valid before 20");
    o = options_of("locked");
    expect_error(&o, "locked.key is encrypted: tls_key_password_file is needed");
    o.key_password_file = at("password");
    expect_error(&o, "does not open");
    o.key_password_file = at("missing");
    expect_error(&o, "tls_key_password_file: cannot read");
    o = good;
    o.ca_file = NULL;
    expect_error(&o, "tls_ca_file or tls_ca_folder is needed");
    o.ca_file = at("junk.pem");
    expect_error(&o, "tls_ca_file: ");
    o.ca_file = NULL;
    o.ca_folder = at("nowhere");
    expect_error(&o, "tls_ca_folder: cannot read");
    o = good;
    o.crl_file = at("junk.pem");
    expect_error(&o, "tls_crl_file: ");
}

static void test_password_and_folder(void **state)
{
    (void)state;
    ul_tls *tls;
    scp_error error = SCP_ERROR_INIT;
    write_file(at("password"), "open sesame\n", 12);
    ul_tls_options o = options_of("locked");
    o.key_password_file = at("password");
    o.ca_file = NULL;
    o.ca_folder = folder; /* with keys and junk beside the certificates */
    if (ul_tls_create(&tls, &o, &error) != 0)
        fail_msg("%s", error.message);
    ul_tls_close(tls);
}

/* A reload is for new connections; a bad one changes nothing. */
static void test_reload(void **state)
{
    (void)state;
    pair p;
    scp_error error = SCP_ERROR_INIT;
    ul_tls_options options = options_of("node");
    open_well(&p);
    ul_tls_options bad = options_of("expired");
    assert_int_equal(ul_tls_reload(p.server, &bad, &error), -1);
    options.ca_file = at("stranger.pem");
    assert_int_equal(ul_tls_reload(p.server, &options, &error), 0);

    static char word[] = "still";
    struct iovec iov = {word, 5};
    uint8_t got[5];
    assert_int_equal(ul_transport_write(&p.accepted, &iov, 1), UL_IO_OK);
    assert_int_equal(ul_transport_read_all(&p.requested, got, 5), UL_IO_OK);
    assert_memory_equal(got, "still", 5);

    ul_transport_free(&p.accepted);
    ul_transport_free(&p.requested);
    open_pair(&p);
    pthread_create(&p.thread, NULL, request, &p);
    assert_int_equal(ul_tls_handshake(&p.accepted, p.server, NULL), UL_IO_BROKEN);
    if (strstr(ul_tls_failure(p.accepted.tls), "the peer's certificate: ") == NULL)
        fail_msg("%s", ul_tls_failure(p.accepted.tls));
    ul_transport_hang_up(&p.accepted);
    pthread_join(p.thread, NULL);
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_goes_in_comes_out),
        cmocka_unit_test(test_heads_and_bodies_share_records),
        cmocka_unit_test(test_half_a_record),
        cmocka_unit_test(test_a_changed_byte_breaks_the_connection),
        cmocka_unit_test(test_the_end_of_the_stream),
        cmocka_unit_test(test_a_handshake_has_one_deadline),
        cmocka_unit_test(test_interruption),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_who_is_let_in),
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_password_and_folder),
        cmocka_unit_test(test_reload),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
