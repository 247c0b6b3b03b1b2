/* SPDX-License-Identifier: Apache-2.0 */
/* http_tls.c - certificate files read for libmicrohttpd, client certificates verified by OpenSSL.
 */
#include "http_tls.h"

#include "ul_tls_files.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES (1u << 20)

struct http_tls {
    char *certificate, *key, *password, *authorities;
    SSL_CTX *context; /* holds whom we trust */
};

static int read_text(char **out, const char *option, const char *path, scp_error *error)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return scp_fail(error, "%s: cannot read %s: %s", option, path, strerror(errno));
    char *text = malloc(FILE_MAX_BYTES + 1);
    const size_t n = text != NULL ? fread(text, 1, FILE_MAX_BYTES + 1, file) : 0;
    fclose(file);
    if (text == NULL || n == 0 || n > FILE_MAX_BYTES) {
        free(text);
        return scp_fail(error, "%s: %s is empty or has more than %u bytes", option, path,
                        FILE_MAX_BYTES);
    }
    text[n] = '\0';
    *out = text;
    return 0;
}

static int read_files(http_tls *tls, const scp_options *options, scp_error *error)
{
    if (read_text(&tls->certificate, "tls_certificate", options->tls_certificate, error) != 0 ||
        read_text(&tls->key, "tls_key", options->tls_key, error) != 0)
        return -1;
    if (options->tls_ca_file != NULL &&
        read_text(&tls->authorities, "tls_ca_file", options->tls_ca_file, error) != 0)
        return -1;
    if (options->tls_key_password_file == NULL)
        return 0;
    if (read_text(&tls->password, "tls_key_password_file", options->tls_key_password_file, error) !=
        0)
        return -1;
    tls->password[strcspn(tls->password, "\r\n")] = '\0';
    return 0;
}

int http_tls_open(http_tls **out, const scp_options *options, scp_error *error)
{
    const ul_tls_options files = {.certificate = options->tls_certificate,
                                  .key = options->tls_key,
                                  .key_password_file = options->tls_key_password_file,
                                  .ca_file = options->tls_ca_file,
                                  .ca_folder = options->tls_ca_folder,
                                  .crl_file = options->tls_crl_file,
                                  .client_certificates = options->tls_ca_file != NULL
                                                             ? UL_TLS_CLIENT_REQUEST
                                                             : UL_TLS_CLIENT_NO,
                                  .accepts = true};
    *out = NULL;
    if (options->tls_certificate == NULL || options->tls_key == NULL)
        return scp_fail(error, "http_tls wants tls_certificate and tls_key");
    http_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        return scp_fail(error, "out of memory for TLS");
    tls->context = SSL_CTX_new(TLS_server_method());
    int result = tls->context != NULL ? 0 : scp_fail(error, "out of memory for TLS");
    /* OpenSSL says better what is wrong with a file. */
    if (result == 0 && (ul_tls_load_identity(tls->context, &files, error) != 0 ||
                        ul_tls_load_trust(tls->context, &files, error) != 0 ||
                        read_files(tls, options, error) != 0))
        result = -1;
    if (result != 0) {
        http_tls_close(tls);
        return -1;
    }
    *out = tls;
    return 0;
}

void http_tls_close(http_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->context);
    if (tls->key != NULL)
        explicit_bzero(tls->key, strlen(tls->key));
    if (tls->password != NULL)
        explicit_bzero(tls->password, strlen(tls->password));
    free(tls->certificate);
    free(tls->key);
    free(tls->password);
    free(tls->authorities);
    free(tls);
}

const char *http_tls_certificate(const http_tls *tls)
{
    return tls->certificate;
}

const char *http_tls_key(const http_tls *tls)
{
    return tls->key;
}

const char *http_tls_password(const http_tls *tls)
{
    return tls->password;
}

const char *http_tls_authorities(const http_tls *tls)
{
    return tls->authorities;
}

/* ---- Clients ---- */

/* The peer's own certificate first, then those between it and whom we trust. */
static STACK_OF(X509) * take_chain(void *session)
{
    unsigned count = 0;
    const gnutls_datum_t *sent = gnutls_certificate_get_peers(session, &count);
    STACK_OF(X509) *chain = sk_X509_new_null();
    for (unsigned i = 0; sent != NULL && chain != NULL && i < count && i < 16; i++) {
        const unsigned char *at = sent[i].data;
        X509 *one = d2i_X509(NULL, &at, (long)sent[i].size);
        if (one == NULL || sk_X509_push(chain, one) == 0) {
            X509_free(one);
            break;
        }
    }
    return chain;
}

bool http_tls_admits(const http_tls *tls, void *session)
{
    if (tls->authorities == NULL || session == NULL)
        return false;
    STACK_OF(X509) *chain = take_chain(session);
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    bool good = false;
    if (check != NULL && chain != NULL && sk_X509_num(chain) > 0 &&
        X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(tls->context), sk_X509_value(chain, 0),
                            chain) == 1 &&
        X509_STORE_CTX_set_default(check, "ssl_client") == 1)
        good = X509_verify_cert(check) == 1;
    X509_STORE_CTX_free(check);
    sk_X509_pop_free(chain, X509_free);
    return good;
}
