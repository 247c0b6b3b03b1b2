/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul.h - the DICOM upper layer (PS3.8) as the node sees it: associations and the PDVs on them.
 *
 * DCMTK negotiates; it stays behind this header (ul_listener.cc, ul_request.cc, ul_association.cc).
 * Nothing here knows what a message means: a PDV is bytes for a presentation context, whatever its
 * transfer syntax, so that HTJ2K works on every DCMTK.
 *
 * Threads: a listener may be waited on by one thread at a time (see ul_receive); an association
 * belongs to one thread, except ul_association_interrupt.
 */
#ifndef UL_H
#define UL_H

#include "scp_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UL_UID_SIZE      65 /* PS3.5 section 9: 64 characters and a NUL */
#define UL_AE_TITLE_SIZE 17 /* PS3.5 6.2: 16 characters and a NUL */

/* Who we are (PS3.7 D.3.3.2). */
#define UL_IMPLEMENTATION_CLASS_UID "2.25.311754830497689714812860422989609332200"
#define UL_IMPLEMENTATION_VERSION   "DCBSCP_0.1"

typedef struct ul_listener ul_listener;
typedef struct ul_tls ul_tls; /* ul_tls.h */
typedef struct ul_association ul_association;

typedef enum ul_result {
    UL_OK = 0,
    UL_TIMEOUT,  /* nothing came in the given time */
    UL_RELEASED, /* the peer asked for release: ul_association_finish_release, then close */
    UL_ABORTED,  /* the peer aborted or vanished, or the connection broke: close */
    UL_STOPPED,  /* the listener or association was interrupted from another thread */
    UL_FAILED,   /* our side failed or the peer broke PS3.8: abort, then close; see the error */
} ul_result;

/* Once, before any thread: DCMTK's process-wide settings, its log led to the node's own. */
int ul_global_init(scp_error *error);

/* What a port takes; a connection's first byte tells TLS from plain. */
typedef enum ul_tls_mode {
    UL_TLS_MODE_OFF,      /* port: plain */
    UL_TLS_MODE_SEPARATE, /* port: plain; tls_port: TLS */
    UL_TLS_MODE_BOTH,     /* port: either */
    UL_TLS_MODE_ONLY,     /* port: TLS */
} ul_tls_mode;

typedef struct ul_listener_options {
    const char *bind_address; /* numeric IPv4 or IPv6 */
    uint16_t port;            /* 0: any free one */
    uint16_t tls_port;        /* the same, with UL_TLS_MODE_SEPARATE */
    ul_tls_mode tls_mode;
    ul_tls *tls;            /* borrowed until ul_listener_close; unused with UL_TLS_MODE_OFF */
    uint32_t max_pdu;       /* what we announce: 4096 to 131072 (DCMTK's bound) */
    int request_timeout_ms; /* from accept to a whole A-ASSOCIATE-RQ (ARTIM), TLS handshake
                               included, however it dribbles */
    int io_timeout_ms;      /* a single read or write on an association that makes no progress */
    uint32_t max_pending;   /* connections without a request yet; one more ends the oldest */
} ul_listener_options;

int ul_listener_open(ul_listener **out, const ul_listener_options *options, scp_error *error);
uint16_t ul_listener_port(const ul_listener *listener);
uint16_t ul_listener_tls_port(const ul_listener *listener); /* 0: no port of its own */
/* Wakes the waiting thread; every later ul_receive gives UL_STOPPED. Async-signal-safe. */
void ul_listener_stop(ul_listener *listener);
void ul_listener_close(ul_listener *listener);

/* One presentation context as proposed, and what became of it. */
typedef struct ul_context {
    uint8_t id;
    char abstract_syntax[UL_UID_SIZE];
    uint32_t nsyntaxes;
    char (*syntaxes)[UL_UID_SIZE]; /* as proposed, in their order */
    bool role_proposed;            /* an SCP/SCU role item came for the abstract syntax */
    bool scu_proposed, scp_proposed;
    /* The answer; set by ul_context_accept / _refuse. */
    uint8_t result; /* PS3.8 table 9-18: 0 acceptance, 1 user rejection, 2 no reason, 3, 4 */
    char accepted_syntax[UL_UID_SIZE];
    bool peer_is_scp; /* accepted: the requestor may act as SCP (C-GET's storage contexts) */
    int liking;       /* accepted: the peer's wish by configuration, 1 the first; 0: none */
    bool peer_stores; /* accepted: the requestor may C-STORE to us; set by negotiation */
    bool relational;  /* accepted: relational retrieval was negotiated for the SOP class */
} ul_context;

#define UL_NAME_SIZE         256
#define UL_CERTIFICATE_NAMES 8

/* How a connection is secured. A certificate is only shown here when it was verified. */
typedef struct ul_secure {
    char protocol[16];          /* "TLSv1.3"; "": the connection is plain */
    char cipher[48];            /* OpenSSL's name of it */
    char subject[UL_NAME_SIZE]; /* "CN=CT1,O=Hospital" (RFC 2253); "": no certificate, or longer */
    /* The common name, then the DNS names, addresses, mail addresses and URIs of the subject's
       alternative names; longer ones and those beyond the array are left out. */
    char names[UL_CERTIFICATE_NAMES][UL_NAME_SIZE];
    uint32_t nnames;
} ul_secure;

#define UL_USER_SIZE     65
#define UL_PASSCODE_SIZE 257

/* User Identity negotiation (PS3.7 D.3.3.7), as the peer claims it. */
typedef struct ul_identity {
    uint8_t type; /* 0: none came; 1 user name, 2 and passcode, 3 Kerberos, 4 SAML, 5 JWT */
    bool answer_wanted;
    bool usable;                     /* types 1 and 2: name and passcode are text and fit */
    char name[UL_USER_SIZE];         /* UTF-8 */
    char passcode[UL_PASSCODE_SIZE]; /* to be wiped when it was checked */
    bool answer;                     /* set by who checked it: a positive answer goes out */
} ul_identity;

/* What the peer asked for; lives as long as the association. */
typedef struct ul_request {
    char calling_ae_title[UL_AE_TITLE_SIZE]; /* trimmed */
    char called_ae_title[UL_AE_TITLE_SIZE];
    char application_context[UL_UID_SIZE];
    char peer_address[46]; /* numeric */
    uint16_t peer_port;
    char implementation_class_uid[UL_UID_SIZE];
    char implementation_version[17];
    uint32_t peer_max_pdu; /* bytes after the 6-byte PDU head (PS3.8 D.1); 0: no limit */
    uint32_t ncontexts;
    ul_context *contexts;
    ul_secure secure;
    ul_identity identity;
    char user[UL_USER_SIZE]; /* who it is: set when identity was found true; "": nobody */
} ul_request;

/*
 * Waits for a connection, then reads its A-ASSOCIATE-RQ in the calling thread. on_accept is called
 * once the connection is there and before anything is read from it: the caller then lets another
 * thread wait on the listener, so that a silent peer holds up nobody.
 *
 * Fails with *out NULL and the peer named in the error: UL_TIMEOUT (no whole request in time),
 * UL_ABORTED (the peer went away), UL_FAILED (what came is no request: it was answered with
 * A-ABORT or A-ASSOCIATE-RJ), UL_STOPPED (listener stopped, or ended for max_pending).
 * When on_accept was not called, the caller still has the listener and may call again.
 */
ul_result ul_receive(ul_association **out, ul_listener *listener, void (*on_accept)(void *context),
                     void *context, scp_error *error);

ul_request *ul_association_request(ul_association *association);

/* ---- A request of our own (ul_connect.h) ---- */

#define UL_CONTEXTS_MAX 128 /* their IDs are odd and have 8 bits */

/* One more context; false where there are UL_CONTEXTS_MAX or memory ran out. */
bool ul_request_add_context(ul_request *request, const char *abstract_syntax,
                            const char *const *syntaxes, size_t nsyntaxes);
/* False, with *out empty, where memory ran out. */
bool ul_request_copy(ul_request *out, const ul_request *request);
/* Frees the contexts. */
void ul_request_clear(ul_request *request);

/* ---- Answers ---- */

void ul_context_accept(ul_context *context, const char *transfer_syntax, bool peer_is_scp);
void ul_context_refuse(ul_context *context, uint8_t result);

/* One SOP Class Extended Negotiation answer (PS3.7 D.3.3.5): only for what was asked. Returns the
   proposed bytes in *info (borrowed), or false. */
bool ul_association_extended_request(ul_association *association, const char *sop_class_uid,
                                     const uint8_t **info, size_t *nbytes);
int ul_association_extended_answer(ul_association *association, const char *sop_class_uid,
                                   const uint8_t *info, size_t nbytes, scp_error *error);

/* Sends A-ASSOCIATE-AC with every context's answer. */
ul_result ul_association_accept(ul_association *association, scp_error *error);
/* Sends A-ASSOCIATE-RJ (PS3.8 table 9-21) and waits, bounded, for the peer to hang up. */
void ul_association_reject(ul_association *association, uint8_t result, uint8_t source,
                           uint8_t reason);

typedef struct ul_pdv {
    uint8_t context_id;
    bool is_command;
    bool is_last;
    const uint8_t *bytes; /* borrowed until the next call on the association */
    size_t nbytes;
} ul_pdv;

/* The next PDV. timeout_ms < 0: without limit; 0: only what is here already. */
ul_result ul_read_pdv(ul_association *association, ul_pdv *out, int timeout_ms, scp_error *error);

/*
 * Sends one command or data set as P-DATA-TF PDUs that the peer's maximum allows, fragments even,
 * with as few system calls as possible: slices go out from where they lie, never copied (but by
 * TLS). command may go out together with its data set: pass both. nslices may be 0.
 */
ul_result ul_send_message(ul_association *association, uint8_t context_id, const void *command,
                          size_t command_nbytes, const struct iovec *slices, size_t nslices,
                          scp_error *error);

/* The next message, where it is small, leaves together with the one after it: one call and one
   wake-up of the peer instead of two. It does not outlast the association's next wait to read. */
void ul_association_hold(ul_association *association);

/* Ends waits of the association's thread, from any thread: its calls give UL_STOPPED. */
void ul_association_interrupt(ul_association *association);
void ul_association_finish_release(ul_association *association);
void ul_association_abort(ul_association *association);
void ul_association_close(ul_association *association);

typedef struct ul_traffic {
    uint64_t bytes_in, bytes_out;
} ul_traffic;
void ul_association_traffic(const ul_association *association, ul_traffic *traffic);

#ifdef __cplusplus
}
#endif
#endif
