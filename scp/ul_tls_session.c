/* SPDX-License-Identifier: Apache-2.0 */
/* ul_tls_session.c - handshake, records and the end of ul_tls_session.h. */
#include "ul_tls_session.h"

#include "steady_clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_BYTES SSL3_RT_MAX_PLAIN_LENGTH
#define OUTBOX_BYTES (4 * (RECORD_BYTES + 256)) /* four sealed records */

struct ul_tls_session {
    SSL *ssl;
    bool wait;        /* reads wait for bytes */
    bool established; /* the handshake is done: data may be sent */
    bool broken;      /* OpenSSL gave up: not one more call */
    char failure[160];
    size_t nrecord, noutbox;
    uint8_t record[RECORD_BYTES]; /* on its way to OpenSSL: what is too short for a record alone */
    uint8_t outbox[OUTBOX_BYTES]; /* sealed, not sent yet */
};

/* ---- The BIO: OpenSSL's way to the socket ---- */

static ul_io flush(ul_transport *t)
{
    ul_tls_session *s = t->tls;
    struct iovec iov = {s->outbox, s->noutbox};
    if (s->noutbox == 0)
        return UL_IO_OK;
    s->noutbox = 0;
    return ul_transport_raw_write(t, &iov, 1);
}

static int bio_write(BIO *bio, const char *bytes, int nbytes)
{
    ul_transport *t = BIO_get_data(bio);
    ul_tls_session *s = t->tls;
    BIO_clear_retry_flags(bio);
    for (size_t done = 0; done < (size_t)nbytes;) {
        if (s->noutbox == OUTBOX_BYTES && flush(t) != UL_IO_OK)
            return -1;
        size_t n = (size_t)nbytes - done;
        n = n < OUTBOX_BYTES - s->noutbox ? n : OUTBOX_BYTES - s->noutbox;
        memcpy(s->outbox + s->noutbox, bytes + done, n);
        s->noutbox += n;
        done += n;
    }
    return nbytes;
}

static int bio_read(BIO *bio, char *buffer, int size)
{
    ul_transport *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    /* Until the handshake is over, all of it has one deadline, however it dribbles. */
    if (t->deadline_ms != INT64_MAX && steady_clock_ms() >= t->deadline_ms) {
        ul_transport_fail(t, UL_IO_TIMEOUT, ETIMEDOUT);
        return -1;
    }
    ssize_t n = ul_transport_raw_read(t, buffer, (size_t)size, t->tls->wait);
    if (n == 0)
        BIO_set_retry_read(bio);
    return n > 0 ? (int)n : -1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_FLUSH)
        return flush(BIO_get_data(bio)) == UL_IO_OK ? 1 : -1;
    return 0;
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "transport");
    if (bio_method == NULL)
        return;
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_ctrl(bio_method, bio_control);
}

static BIO *make_bio(ul_transport *t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bio_method);
    BIO *bio = bio_method != NULL ? BIO_new(bio_method) : NULL;
    if (bio == NULL)
        return NULL;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- Failures ---- */

/* Why the last OpenSSL call gave no success: the transport's own reason, or OpenSSL's. */
static ul_io explain(ul_transport *t, int returned)
{
    ul_tls_session *s = t->tls;
    const int kind = SSL_get_error(s->ssl, returned);
    const long verified = SSL_get_verify_result(s->ssl);
    const unsigned long code = ERR_peek_last_error();
    s->broken = true;
    if (t->last != UL_IO_OK)
        return t->last;
    if (kind == SSL_ERROR_ZERO_RETURN)
        return ul_transport_fail(t, UL_IO_CLOSED, 0);
    if (verified != X509_V_OK)
        snprintf(s->failure, sizeof s->failure, "the peer's certificate: %s",
                 X509_verify_cert_error_string(verified));
    else
        snprintf(s->failure, sizeof s->failure, "TLS: %s",
                 code != 0 && ERR_reason_error_string(code) != NULL ? ERR_reason_error_string(code)
                                                                    : "protocol error");
    return ul_transport_fail(t, UL_IO_BROKEN, EPROTO);
}

const char *ul_tls_failure(const ul_tls_session *session)
{
    return session->failure;
}

/* ---- Handshake ---- */

/* The certificate must be for whom we meant to reach. */
static bool expect_host(SSL *ssl, const char *host)
{
    struct in6_addr address;
    const bool numeric =
        inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
    if (numeric)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

ul_io ul_tls_handshake(ul_transport *t, ul_tls *tls, const char *host)
{
    ul_tls_session *s = malloc(sizeof *s); /* its buffers are not touched before they are used */
    if (s == NULL)
        return ul_transport_fail(t, UL_IO_BROKEN, ENOMEM);
    memset(s, 0, offsetof(ul_tls_session, record));
    t->tls = s;
    s->ssl = ul_tls_ssl(tls, host == NULL);
    BIO *bio = s->ssl != NULL ? make_bio(t) : NULL;
    if (bio == NULL || (host != NULL && !expect_host(s->ssl, host))) {
        BIO_free(bio);
        s->broken = true;
        return ul_transport_fail(t, UL_IO_BROKEN, ENOMEM);
    }
    SSL_set_bio(s->ssl, bio, bio);
    s->wait = true;
    t->last = UL_IO_OK;
    ERR_clear_error();
    int done = host == NULL ? SSL_accept(s->ssl) : SSL_connect(s->ssl);
    if (done != 1) {
        ul_io why = explain(t, done);
        if (why == UL_IO_BROKEN)
            flush(t); /* an alert that says what we did not like */
        t->last = why;
        return why;
    }
    s->established = true;
    return UL_IO_OK;
}

void ul_tls_session_free(ul_tls_session *session)
{
    if (session == NULL)
        return;
    SSL_free(session->ssl);
    free(session);
}

/* ---- Data ---- */

ssize_t ul_tls_read(ul_transport *t, void *buffer, size_t size, bool wait)
{
    ul_tls_session *s = t->tls;
    if (s->broken || !s->established || t->fd < 0) {
        ul_transport_fail(t, t->last != UL_IO_OK ? t->last : UL_IO_BROKEN, ENOTCONN);
        return -1;
    }
    s->wait = wait;
    t->last = UL_IO_OK;
    ERR_clear_error();
    int n = SSL_read(s->ssl, buffer, size < RECORD_BYTES ? (int)size : RECORD_BYTES);
    if (n > 0)
        return n;
    if (!wait && t->last == UL_IO_OK && SSL_get_error(s->ssl, n) == SSL_ERROR_WANT_READ)
        return 0;
    explain(t, n);
    return -1;
}

static ul_io seal(ul_transport *t, const void *bytes, size_t nbytes)
{
    ERR_clear_error();
    int n = SSL_write(t->tls->ssl, bytes, (int)nbytes);
    return n > 0 ? UL_IO_OK : explain(t, n);
}

/* Whole records from where the bytes lie; what is left of a slice shares one with the next. */
static ul_io seal_slice(ul_transport *t, const uint8_t *bytes, size_t nbytes)
{
    ul_tls_session *s = t->tls;
    const size_t most = (size_t)1 << 30; /* SSL_write takes an int */
    ul_io io = UL_IO_OK;
    while (io == UL_IO_OK && nbytes > 0) {
        size_t n = nbytes < most ? nbytes : most;
        if (s->nrecord == 0 && n >= RECORD_BYTES) {
            n -= n % RECORD_BYTES;
            io = seal(t, bytes, n);
        } else {
            n = n < RECORD_BYTES - s->nrecord ? n : RECORD_BYTES - s->nrecord;
            memcpy(s->record + s->nrecord, bytes, n);
            s->nrecord += n;
            if (s->nrecord == RECORD_BYTES) {
                s->nrecord = 0;
                io = seal(t, s->record, RECORD_BYTES);
            }
        }
        bytes += n;
        nbytes -= n;
    }
    return io;
}

ul_io ul_tls_write(ul_transport *t, const struct iovec *iov, size_t niov)
{
    ul_tls_session *s = t->tls;
    if (s->broken || !s->established)
        return ul_transport_fail(t, t->last != UL_IO_OK ? t->last : UL_IO_BROKEN, ENOTCONN);
    t->last = UL_IO_OK;
    s->nrecord = 0;
    ul_io io = UL_IO_OK;
    for (size_t i = 0; i < niov && io == UL_IO_OK; i++)
        io = seal_slice(t, iov[i].iov_base, iov[i].iov_len);
    if (io == UL_IO_OK && s->nrecord > 0)
        io = seal(t, s->record, s->nrecord);
    if (io == UL_IO_OK)
        io = flush(t);
    if (io != UL_IO_OK)
        t->torn = true; /* what is sealed and not sent is lost: nothing may follow */
    return io;
}

void ul_tls_close_notify(ul_transport *t)
{
    ul_tls_session *s = t->tls;
    if (s->broken || !s->established)
        return;
    ERR_clear_error();
    SSL_shutdown(s->ssl);
    flush(t);
}

/* ---- Who is there ---- */

/* Only text that says all there is: a name that is cut, or holds a NUL, could pass for another. */
static bool take_name(char out[UL_NAME_SIZE], const void *text, size_t nbytes)
{
    if (nbytes == 0 || nbytes >= UL_NAME_SIZE || memchr(text, '\0', nbytes) != NULL)
        return false;
    memcpy(out, text, nbytes);
    out[nbytes] = '\0';
    return true;
}

static void add_name(ul_secure *out, const void *text, size_t nbytes)
{
    if (out->nnames < UL_CERTIFICATE_NAMES && take_name(out->names[out->nnames], text, nbytes))
        out->nnames++;
}

static void add_subject(ul_secure *out, const X509 *certificate)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    BIO *memory = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (memory != NULL &&
        X509_NAME_print_ex(memory, subject, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
        long n = BIO_get_mem_data(memory, &text);
        take_name(out->subject, text, n > 0 ? (size_t)n : 0);
    }
    BIO_free(memory);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *name = NULL;
    int n = at < 0 ? -1
                   : ASN1_STRING_to_UTF8(
                         &name, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (n > 0)
        add_name(out, name, (size_t)n);
    OPENSSL_free(name);
}

static void add_alternative(ul_secure *out, const GENERAL_NAME *name)
{
    char address[INET6_ADDRSTRLEN];
    if (name->type == GEN_DNS || name->type == GEN_EMAIL || name->type == GEN_URI) {
        const ASN1_IA5STRING *text = name->d.ia5;
        add_name(out, ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
    } else if (name->type == GEN_IPADD) {
        const ASN1_OCTET_STRING *bytes = name->d.iPAddress;
        const int family = ASN1_STRING_length(bytes) == 4 ? AF_INET : AF_INET6;
        if ((family == AF_INET || ASN1_STRING_length(bytes) == 16) &&
            inet_ntop(family, ASN1_STRING_get0_data(bytes), address, sizeof address) != NULL)
            add_name(out, address, strlen(address));
    }
}

void ul_tls_describe(ul_secure *out, const ul_tls_session *session)
{
    memset(out, 0, sizeof *out);
    snprintf(out->protocol, sizeof out->protocol, "%s", SSL_get_version(session->ssl));
    snprintf(out->cipher, sizeof out->cipher, "%s", SSL_get_cipher_name(session->ssl));
    X509 *certificate = SSL_get1_peer_certificate(session->ssl);
    if (certificate == NULL || SSL_get_verify_result(session->ssl) != X509_V_OK) {
        X509_free(certificate);
        return;
    }
    add_subject(out, certificate);
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        add_alternative(out, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    X509_free(certificate);
}
