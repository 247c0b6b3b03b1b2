/* SPDX-License-Identifier: Apache-2.0 */
/* ul_tls_files.c - see ul_tls_files.h. */
#include "ul_tls_files.h"

#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PASSWORD_MAX      1024
#define CA_NAMES_MAX      64 /* told to clients, so that they choose a certificate */
#define EXPIRES_SOON_DAYS 30

static const char *reason(void)
{
    const unsigned long code = ERR_peek_last_error();
    const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;
    return text != NULL ? text : "not understood";
}

static FILE *open_file(const char *option, const char *path, scp_error *error)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        scp_fail(error, "%s: cannot read %s: %s", option, path, strerror(errno));
    ERR_clear_error();
    return file;
}

static void print_time(char out[24], const ASN1_TIME *time)
{
    struct tm utc = {0};
    ASN1_TIME_to_tm(time, &utc);
    strftime(out, 24, "%Y-%m-%d %H:%M UTC", &utc);
}

static int check_times(const X509 *certificate, const char *path, scp_error *error)
{
    char when[24];
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
        print_time(when, X509_get0_notAfter(certificate));
        return scp_fail(error, "tls_certificate: %s expired on %s", path, when);
    }
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
        print_time(when, X509_get0_notBefore(certificate));
        return scp_fail(error, "tls_certificate: %s is not valid before %s", path, when);
    }
    return 0;
}

/* ---- Certificate and key ---- */

static X509 *read_certificate(const char *path, scp_error *error)
{
    FILE *file = open_file("tls_certificate", path, error);
    if (file == NULL)
        return NULL;
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    if (certificate == NULL)
        scp_fail(error, "tls_certificate: %s holds no certificate in PEM form (%s)", path,
                 reason());
    return certificate;
}

typedef struct password {
    bool wanted; /* the key is encrypted */
    bool there;
    char text[PASSWORD_MAX];
} password;

static int give_password(char *buffer, int size, int writing, void *context)
{
    password *p = context;
    (void)writing;
    p->wanted = true;
    const size_t n = strlen(p->text);
    if (!p->there || n > (size_t)size)
        return -1;
    memcpy(buffer, p->text, n);
    return (int)n;
}

static int read_password(password *out, const char *path, scp_error *error)
{
    FILE *file = open_file("tls_key_password_file", path, error);
    if (file == NULL)
        return -1;
    out->there = fgets(out->text, sizeof out->text, file) != NULL;
    out->text[strcspn(out->text, "\r\n")] = '\0';
    fclose(file);
    return out->there ? 0 : scp_fail(error, "tls_key_password_file: %s is empty", path);
}

static EVP_PKEY *read_key(const ul_tls_options *options, scp_error *error)
{
    password p = {0};
    if (options->key_password_file != NULL &&
        read_password(&p, options->key_password_file, error) != 0)
        return NULL;
    FILE *file = open_file("tls_key", options->key, error);
    EVP_PKEY *key = NULL;
    if (file != NULL) {
        key = PEM_read_PrivateKey(file, NULL, give_password, &p);
        fclose(file);
        if (key == NULL && p.wanted && !p.there)
            scp_fail(error, "tls_key: %s is encrypted: tls_key_password_file is needed",
                     options->key);
        else if (key == NULL && p.wanted)
            scp_fail(error, "tls_key: the password in %s does not open %s",
                     options->key_password_file, options->key);
        else if (key == NULL)
            scp_fail(error, "tls_key: %s holds no private key in PEM form (%s)", options->key,
                     reason());
    }
    OPENSSL_cleanse(&p, sizeof p);
    return key;
}

static void log_certificate(const X509 *certificate, const char *path)
{
    char when[24], *subject = X509_NAME_oneline(X509_get_subject_name(certificate), NULL, 0);
    int days = 0, seconds = 0;
    print_time(when, X509_get0_notAfter(certificate));
    ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate));
    log_event(days < EXPIRES_SOON_DAYS ? LOG_WARN : LOG_INFO, "tls.certificate",
              LOG_T("file", path), LOG_T("subject", subject), LOG_T("expires", when),
              LOG_U("days_left", days));
    OPENSSL_free(subject);
}

static int use_identity(SSL_CTX *context, const ul_tls_options *options, X509 *certificate,
                        EVP_PKEY *key, scp_error *error)
{
    if (check_times(certificate, options->certificate, error) != 0)
        return -1;
    if (X509_check_private_key(certificate, key) != 1)
        return scp_fail(error, "tls_key: %s does not belong to the certificate %s", options->key,
                        options->certificate);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, options->certificate) != 1)
        return scp_fail(error, "tls_certificate: %s: %s", options->certificate, reason());
    if (SSL_CTX_use_PrivateKey(context, key) != 1)
        return scp_fail(error, "tls_key: %s: %s", options->key, reason());
    return 0;
}

int ul_tls_load_identity(SSL_CTX *context, const ul_tls_options *options, scp_error *error)
{
    if (options->certificate == NULL && options->key == NULL && !options->accepts)
        return 0;
    if (options->certificate == NULL || options->key == NULL)
        return scp_fail(error, "%s: TLS needs a certificate and its key",
                        options->certificate == NULL ? "tls_certificate is not set"
                                                     : "tls_key is not set");
    X509 *certificate = read_certificate(options->certificate, error);
    EVP_PKEY *key = certificate != NULL ? read_key(options, error) : NULL;
    int result = key != NULL ? use_identity(context, options, certificate, key, error) : -1;
    if (result == 0 && options->accepts)
        log_certificate(certificate, options->certificate);
    EVP_PKEY_free(key);
    X509_free(certificate);
    return result;
}

/* ---- Whom we trust ---- */

/* Every certificate in the file; returns their number, or -1. */
static int add_authorities(SSL_CTX *context, const char *option, const char *path, scp_error *error)
{
    FILE *file = open_file(option, path, error);
    X509 *certificate;
    int n = 0;
    if (file == NULL)
        return -1;
    while ((certificate = PEM_read_X509(file, NULL, NULL, NULL)) != NULL) {
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1)
            n++;
        if (sk_X509_NAME_num(SSL_CTX_get_client_CA_list(context)) < CA_NAMES_MAX)
            SSL_CTX_add_client_CA(context, certificate);
        X509_free(certificate);
    }
    const bool bad = ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
    fclose(file);
    if (bad)
        return scp_fail(error, "%s: %s: certificate %d is damaged (%s)", option, path, n + 1,
                        reason());
    return n;
}

static int add_folder(SSL_CTX *context, const char *folder, scp_error *error)
{
    DIR *entries = opendir(folder);
    if (entries == NULL)
        return scp_fail(error, "tls_ca_folder: cannot read %s: %s", folder, strerror(errno));
    int total = 0, result = 0;
    const struct dirent *entry;
    while (result == 0 && (entry = readdir(entries)) != NULL) {
        char *path = NULL;
        if (entry->d_name[0] == '.' || entry->d_type == DT_DIR)
            continue;
        if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0) {
            result = scp_fail(error, "out of memory");
            break;
        }
        int n = add_authorities(context, "tls_ca_folder", path, error);
        result = n < 0 ? -1 : 0;
        total += n > 0 ? n : 0;
        free(path);
    }
    closedir(entries);
    if (result == 0 && total == 0)
        return scp_fail(error, "tls_ca_folder: no certificate in PEM form in %s", folder);
    return result;
}

static int add_revoked(SSL_CTX *context, const char *path, scp_error *error)
{
    FILE *file = open_file("tls_crl_file", path, error);
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    X509_CRL *list;
    int n = 0;
    if (file == NULL)
        return -1;
    while ((list = PEM_read_X509_CRL(file, NULL, NULL, NULL)) != NULL) {
        n += X509_STORE_add_crl(store, list) == 1;
        X509_CRL_free(list);
    }
    fclose(file);
    if (n == 0)
        return scp_fail(error, "tls_crl_file: %s holds no revocation list in PEM form", path);
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    return 0;
}

int ul_tls_load_trust(SSL_CTX *context, const ul_tls_options *options, scp_error *error)
{
    const bool any = options->ca_file != NULL || options->ca_folder != NULL;
    if (!any && options->accepts && options->client_certificates != UL_TLS_CLIENT_NO)
        return scp_fail(error,
                        "tls_client_certificates: to verify clients tls_ca_file or tls_ca_folder "
                        "is needed (or say no)");
    if (options->ca_file != NULL) {
        int n = add_authorities(context, "tls_ca_file", options->ca_file, error);
        if (n == 0)
            scp_fail(error, "tls_ca_file: %s holds no certificate in PEM form", options->ca_file);
        if (n <= 0)
            return -1;
    }
    if (options->ca_folder != NULL && add_folder(context, options->ca_folder, error) != 0)
        return -1;
    return options->crl_file != NULL ? add_revoked(context, options->crl_file, error) : 0;
}
