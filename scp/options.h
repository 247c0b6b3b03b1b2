/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h - the node's settings: one table (option_table.c) of name, type, range, default and
 * help drives the configuration file, the environment, the command line, the usage text and the
 * test that conf/dcbscp.yaml is complete.
 *
 * Order of precedence: command line, environment (DCBSCP_NAME), configuration file, default.
 * Read-only once parsed.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "log.h"
#include "scp_error.h"
#include "ul.h"
#include "ul_tls.h"
#include "users.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum store_durability { DURABILITY_FSYNC, DURABILITY_ASYNC } store_durability;
typedef enum store_duplicates {
    DUPLICATES_KEEP_FIRST,
    DUPLICATES_REPLACE,
    DUPLICATES_REJECT
} store_duplicates;

#define DESTINATION_PEER "peer" /* a destination's host: the address that the request came from */

/* Where instances may be sent (C-MOVE). */
typedef struct scp_destination {
    char *ae_title; /* no two have the same */
    char *host;     /* a name, a numeric address or DESTINATION_PEER */
    uint32_t port;
    bool tls;
    uint32_t associations; /* at a time for one retrieval, 1 to 8 */
    uint32_t retries;      /* of what failed to connect or broke off */
    bool only_self;        /* only for the caller that bears this AE title */
    char **prefer;         /* UIDs of transfer syntaxes, the best first; none: as they are stored */
    uint32_t nprefer;
} scp_destination;

#define OPTIONS_MOST_ASSOCIATIONS 10000

/* Another AE title on the same port, with an archive of its own. */
typedef struct scp_title {
    char *ae_title;
    char **archives; /* the store among them */
    uint32_t narchives;
    char *store;     /* NULL: it takes nothing in */
    char *state_dir; /* a folder in the node's own one unless set */
} scp_title;

/* What a caller may ask for. */
enum access_right {
    ACCESS_ECHO = 1,
    ACCESS_FIND = 2,
    ACCESS_GET = 4,
    ACCESS_MOVE = 8,
    ACCESS_STORE = 16,
    ACCESS_ALL = 31,
};

/* Who may do what. A rule matches where all that it names does; an empty list names nothing.
   Patterns have * and ?. */
typedef struct scp_access_rule {
    char *name;     /* for the log; NULL: it is told by its number */
    char **calling; /* AE titles, patterns */
    uint32_t ncalling;
    char **addresses; /* ranges (CIDR), or hosts by name */
    uint32_t naddresses;
    char **called; /* AE titles, patterns */
    uint32_t ncalled;
    char **users; /* names that were proved, patterns */
    uint32_t nusers;
    char **certificates; /* a subject or name of the client's certificate, patterns */
    uint32_t ncertificates;
    bool encrypted;      /* only over TLS */
    uint32_t rights;     /* access_right, or-ed; 0: refused */
    char **destinations; /* of ACCESS_MOVE: AE titles, patterns; none: all */
    uint32_t ndestinations;
} scp_access_rule;

typedef enum audit_mode {
    AUDIT_OFF,
    AUDIT_TO_FILE,
    AUDIT_TO_UDP,
    AUDIT_TO_TCP,
    AUDIT_TO_TLS
} audit_mode;

typedef struct scp_options {
    char **archives; /* absolute, without trailing slash */
    uint32_t narchives;
    char *state_dir; /* absolute; first archive + "/.dcbscp" unless set */
    char *bind_address;
    uint32_t port;
    char *ae_title;
    bool check_called_ae_title; /* false: whoever is called, it is us */
    scp_title *titles;
    uint32_t ntitles;
    scp_access_rule *access; /* the first that matches decides */
    uint32_t naccess;
    log_level log_level;
    log_format log_format;
    uint32_t max_associations;        /* up to OPTIONS_MOST_ASSOCIATIONS */
    uint32_t max_associations_per_ae; /* 0: no limit of its own; so the other ones */
    uint32_t max_associations_per_address;
    uint32_t max_data_set_mb; /* of an instance that comes in */
    uint32_t max_queries_per_association;
    uint32_t max_mb_per_association; /* both ways */
    uint32_t max_pdu;
    uint32_t request_timeout_s;  /* from connection to a whole A-ASSOCIATE-RQ */
    uint32_t idle_timeout_s;     /* no message on an association that runs no operation */
    uint32_t io_timeout_s;       /* a peer that neither reads nor writes during an operation */
    uint32_t connect_timeout_s;  /* a destination's name, connection and answer, together */
    uint32_t pending_interval_s; /* between responses of a C-MOVE while nothing changes */
    uint32_t shutdown_timeout_s;
    bool get_without_role; /* C-GET to peers that proposed no SCP role */
    uint32_t open_series;  /* series kept open */
    uint32_t cache_mb;
    char *store; /* absolute; the folder that takes instances in, within an archive; NULL: none */
    store_durability durability;
    uint32_t store_reserve_mb; /* free on the store's disk: with less nothing is taken */
    uint32_t store_journal_mb; /* what the journal may grow to */
    store_duplicates store_duplicates;
    uint32_t pack_after_s; /* without an arrival: then a series is packed; 0: only on demand */
    bool store_unknown_sop_classes;
    int32_t http_port; /* -1: no HTTP; 0: any free one */
    char *http_bind_address;
    char *http_token_file; /* absolute; NULL: no token */
    bool http_patient_data;
    bool http_tls; /* by tls_certificate, tls_key, tls_ca_file ... */
    scp_destination *destinations;
    uint32_t ndestinations;
    ul_tls_mode tls_mode;
    uint32_t tls_port; /* with UL_TLS_MODE_SEPARATE */
    ul_tls_profile tls_profile;
    char *tls_certificate, *tls_key, *tls_key_password_file; /* absolute; NULL: none */
    char *tls_ca_file, *tls_ca_folder, *tls_crl_file;
    ul_tls_client_certificates tls_client_certificates;
    identity_mode user_identity;
    char *users_file; /* absolute; NULL: none */
    audit_mode audit;
    char *audit_file;    /* absolute; NULL: none */
    char *audit_host;    /* of the syslog server; NULL: none */
    uint32_t audit_port; /* 0: the registered one */
    char **origins;      /* where each setting came from, in the table's order; NULL: its default */
} scp_options;

/* What the command line asked for besides running. */
typedef enum options_action {
    OPTIONS_RUN,
    OPTIONS_HELP,    /* print options_usage, exit 0 */
    OPTIONS_VERSION, /* print the version, exit 0 */
    OPTIONS_CHECK,   /* exit 0: the settings are good */
    OPTIONS_PRINT,   /* options_print, exit 0 */
} options_action;

/* Fills *out from the command line, the environment and the file that either names. On failure the
   error says which file and line, variable or argument, and what was expected. */
int options_parse(scp_options *out, options_action *action, int argc, char **argv,
                  scp_error *error);
void options_free(scp_options *options);
void options_print_usage(void);
/* The settings as a configuration file that gives the same ones, with where each came from. */
void options_print(FILE *out, const scp_options *options);

/* Of settings that were read anew: those that count only from a start on become what they are now,
   and changed[] gets the names, separated by ", ", of those that were to change. */
int options_keep_fixed(scp_options *fresh, const scp_options *now, char *changed, size_t size,
                       scp_error *error);
/* The names of all settings, as the configuration file has them; NULL after the last. */
const char *options_name(size_t i);
/* Whether a change counts from SIGHUP on, or from the next start only. */
bool options_reloads(size_t i);

#endif
