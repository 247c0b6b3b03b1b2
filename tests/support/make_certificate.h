/* SPDX-License-Identifier: Apache-2.0 */
/* make_certificate.h - certificates and keys for tests, as PEM files. Failures end the program. */
#ifndef MAKE_CERTIFICATE_H
#define MAKE_CERTIFICATE_H

typedef struct certificate_order {
    const char *folder;
    const char *name;         /* writes NAME.pem and NAME.key; also the common name */
    const char *issuer;       /* NAME of who signs it; NULL: itself, an authority */
    const char *alternatives; /* "DNS:localhost,IP:127.0.0.1"; NULL: none */
    int from_days, to_days;   /* valid, counted from now; both 0: for a day */
    const char *password;     /* of the key file; NULL: none */
} certificate_order;

void make_certificate(const certificate_order *order);

#endif
