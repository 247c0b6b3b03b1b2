/* SPDX-License-Identifier: Apache-2.0 */
/* make_certificate.c - see make_certificate.h. */
#include "make_certificate.h"

#include "must.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

static FILE *open_file(const char *folder, const char *name, const char *ending, const char *mode)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
    FILE *file = fopen(path, mode);
    must(file != NULL, path);
    return file;
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

static void write_key(const certificate_order *order, EVP_PKEY *key)
{
    FILE *file = open_file(order->folder, order->name, "key", "w");
    const bool locked = order->password != NULL;
    must(PEM_write_PrivateKey(file, key, locked ? EVP_aes_256_cbc() : NULL,
                              (const unsigned char *)order->password,
                              locked ? (int)strlen(order->password) : 0, NULL, NULL) == 1,
         "writing the key");
    fclose(file);
}

void make_certificate(const certificate_order *order)
{
    static long serial = 1000;
    EVP_PKEY *key = EVP_EC_gen("P-256"), *signer = key;
    X509 *certificate = X509_new(), *issuer = certificate;
    must(key != NULL && certificate != NULL, "making a key");
    if (order->issuer != NULL) {
        FILE *file = open_file(order->folder, order->issuer, "pem", "r");
        issuer = PEM_read_X509(file, NULL, NULL, NULL);
        fclose(file);
        file = open_file(order->folder, order->issuer, "key", "r");
        signer = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        fclose(file);
        must(issuer != NULL && signer != NULL, "reading the issuer");
    }
    const int to_days = order->from_days == 0 && order->to_days == 0 ? 1 : order->to_days;
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), order->from_days * 86400L - 60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), to_days * 86400L);
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, (const unsigned char *)"Test", -1, -1,
                               0);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)order->name, -1,
                               -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    X509_set_pubkey(certificate, key);
    add_extension(certificate, issuer, NID_basic_constraints,
                  order->issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE");
    if (order->alternatives != NULL)
        add_extension(certificate, issuer, NID_subject_alt_name, order->alternatives);
    must(X509_sign(certificate, signer, EVP_sha256()) > 0, "signing");

    FILE *file = open_file(order->folder, order->name, "pem", "w");
    must(PEM_write_X509(file, certificate) == 1, "writing the certificate");
    fclose(file);
    write_key(order, key);
    if (order->issuer != NULL) {
        X509_free(issuer);
        EVP_PKEY_free(signer);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
}
