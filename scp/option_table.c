/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_table.c - every setting there is. A new one is a member in options.h, a row here and its
 * paragraph in conf/dcbscp.yaml, which a test asks for.
 *
 * Defaults go through the same parser as a user's value.
 */
#include "option_table.h"

#define AT(member)                     offsetof(STRUCT, member)
#define VALUE(kind, member)            kind, AT(member), 0, 0, 0, NULL, NULL
#define LIST(kind, member, count)      kind, AT(member), AT(count), 0, 0, NULL, NULL
#define NUMBER(member, min, max)       KIND_NUMBER, AT(member), 0, min, max, NULL, NULL
#define WORD(member, words)            KIND_WORD, AT(member), 0, 0, 0, words, NULL
#define SET(member, words)             KIND_SET, AT(member), 0, 0, 0, words, NULL
#define RECORDS(member, count, record) KIND_RECORD, AT(member), AT(count), 0, 0, NULL, record
#define FLAG(flag, argument)           flag, argument
#define NO_FLAG                        NULL, NULL
#define COUNT(rows)                    (sizeof(rows) / sizeof(rows)[0])

static const char *const LOG_LEVELS[] = {"error", "warn", "info", "debug", NULL};
static const char *const LOG_FORMATS[] = {"text", "json", NULL};
static const char *const DURABILITIES[] = {"fsync", "async", NULL};
static const char *const DUPLICATES[] = {"keep-first", "replace", "reject", NULL};
static const char *const TLS_MODES[] = {"off", "separate", "both", "only", NULL};
static const char *const TLS_PROFILES[] = {"bcp195", "bcp195-nd", "bcp195-2021", "bcp195-extended",
                                           NULL};
static const char *const AUDIT_MODES[] = {"off", "file", "udp", "tcp", "tls", NULL};
static const char *const IDENTITY_MODES[] = {"off", "accept", "require", NULL};
static const char *const CLIENT_CERTIFICATES[] = {"require", "request", "no", NULL};

/* ---- Records --------------------------------------------------------------------------------- */

#define STRUCT scp_destination
static const option_row DESTINATION_ROWS[] = {
    {"ae_title", VALUE(KIND_AE_TITLE, ae_title), NULL, NO_FLAG, OPTION_REQUIRED | OPTION_UNIQUE,
     "its application entity title"},
    {"host", VALUE(KIND_HOST, host), NULL, NO_FLAG, OPTION_REQUIRED,
     "name or numeric address; peer: the address that the request came from"},
    {"port", NUMBER(port, 1, 65535), "104", NO_FLAG, 0, "its port"},
    {"tls", VALUE(KIND_SWITCH, tls), "false", NO_FLAG, 0, "whether it wants TLS"},
    {"associations", NUMBER(associations, 1, 8), "1", NO_FLAG, 0,
     "how many at a time one retrieval opens"},
    {"retries", NUMBER(retries, 0, 100), "1", NO_FLAG, 0, "of what failed to connect or broke off"},
    {"only_self", VALUE(KIND_SWITCH, only_self), "false", NO_FLAG, 0,
     "sent to only where it asked itself"},
    {"prefer", LIST(KIND_SYNTAX, prefer, nprefer), NULL, NO_FLAG, 0,
     "transfer syntaxes, the best first"},
};
static const option_record DESTINATION = {sizeof(STRUCT), DESTINATION_ROWS,
                                          COUNT(DESTINATION_ROWS)};
#undef STRUCT

static const char *const RIGHTS[] = {"echo", "find", "get", "move", "store", "all", "none", NULL};

#define STRUCT scp_access_rule
static const option_row ACCESS_ROWS[] = {
    {"name", VALUE(KIND_TEXT, name), NULL, NO_FLAG, 0, "how the log calls it"},
    {"calling", LIST(KIND_TEXT, calling, ncalling), NULL, NO_FLAG, OPTION_FILLED,
     "the caller's AE title, one of these"},
    {"addresses", LIST(KIND_NETWORK, addresses, naddresses), NULL, NO_FLAG, OPTION_FILLED,
     "its address, in one of these ranges or of one of these hosts"},
    {"called", LIST(KIND_TEXT, called, ncalled), NULL, NO_FLAG, OPTION_FILLED,
     "the AE title that it calls, one of these"},
    {"users", LIST(KIND_TEXT, users, nusers), NULL, NO_FLAG, OPTION_FILLED,
     "the user that it proved to be"},
    {"certificates", LIST(KIND_TEXT, certificates, ncertificates), NULL, NO_FLAG, OPTION_FILLED,
     "a name in its certificate"},
    {"encrypted", VALUE(KIND_SWITCH, encrypted), "false", NO_FLAG, 0, "true: only over TLS"},
    {"allow", SET(rights, RIGHTS), NULL, NO_FLAG, OPTION_REQUIRED, "what it may then do"},
    {"destinations", LIST(KIND_TEXT, destinations, ndestinations), NULL, NO_FLAG, OPTION_FILLED,
     "where it may have instances sent"},
};
static const option_record ACCESS_RULE = {sizeof(STRUCT), ACCESS_ROWS, COUNT(ACCESS_ROWS)};
#undef STRUCT

#define STRUCT scp_title
static const option_row TITLE_ROWS[] = {
    {"ae_title", VALUE(KIND_AE_TITLE, ae_title), NULL, NO_FLAG, OPTION_REQUIRED | OPTION_UNIQUE,
     "the title"},
    {"archives", LIST(KIND_FOLDER, archives, narchives), NULL, NO_FLAG, 0, "what it serves"},
    {"store", VALUE(KIND_FOLDER, store), NULL, NO_FLAG, 0, "where it keeps what it takes in"},
    {"state_dir", VALUE(KIND_FOLDER, state_dir), NULL, NO_FLAG, 0, "where its index is kept"},
};
static const option_record TITLE = {sizeof(STRUCT), TITLE_ROWS, COUNT(TITLE_ROWS)};
#undef STRUCT

/* ---- Settings -------------------------------------------------------------------------------- */

#define STRUCT scp_options
const option_row OPTION_ROWS[] = {
    {"archives", LIST(KIND_FOLDER, archives, narchives), NULL, FLAG("archive", "DIR"), 0,
     "a folder of .dcbs files, searched with all below it; may be repeated"},
    {"state_dir", VALUE(KIND_FOLDER, state_dir), NULL, FLAG("state", "DIR"), 0,
     "where the index is kept; default: .dcbscp in the first archive"},
    {"bind_address", VALUE(KIND_ADDRESS, bind_address), "127.0.0.1", FLAG("bind", "ADDR"), 0,
     "numeric address to listen on; 0.0.0.0 or :: for all interfaces"},
    {"port", NUMBER(port, 0, 65535), "11112", FLAG("port", "N"), 0, "port; 0 for any free one"},
    {"ae_title", VALUE(KIND_AE_TITLE, ae_title), "DCBSCP", FLAG("ae-title", "NAME"), 0,
     "the node's application entity title"},
    {"check_called_ae_title", VALUE(KIND_SWITCH, check_called_ae_title), "true", NO_FLAG,
     OPTION_RELOADS, "false: callers of any other AE title get ae_title"},
    {"titles", RECORDS(titles, ntitles, &TITLE), NULL, FLAG("title", "RECORD"), 0,
     "another AE title with an archive of its own: {ae_title: NAME, archives: [DIR], store: DIR}; "
     "may "
     "be repeated"},
    {"access", RECORDS(access, naccess, &ACCESS_RULE), NULL, FLAG("access", "RECORD"),
     OPTION_RELOADS,
     "who may do what, the first that matches: {calling: NAME, addresses: CIDR, allow: [echo, "
     "find, get, move, store], ...}; may be repeated"},
    {"log_level", WORD(log_level, LOG_LEVELS), "info", FLAG("log-level", "error|warn|info|debug"),
     OPTION_RELOADS, "how much is logged to standard error"},
    {"log_format", WORD(log_format, LOG_FORMATS), "text", FLAG("log-format", "text|json"),
     OPTION_RELOADS, "how it is logged: for people or for programs"},
    {"max_associations", NUMBER(max_associations, 1, OPTIONS_MOST_ASSOCIATIONS), "256", NO_FLAG,
     OPTION_RELOADS, "associations at a time; one more is rejected"},
    {"max_associations_per_ae", NUMBER(max_associations_per_ae, 0, OPTIONS_MOST_ASSOCIATIONS),
     "128", NO_FLAG, OPTION_RELOADS, "the same of one calling AE title; 0: no limit of its own"},
    {"max_associations_per_address",
     NUMBER(max_associations_per_address, 0, OPTIONS_MOST_ASSOCIATIONS), "128", NO_FLAG,
     OPTION_RELOADS, "the same of one address; 0: no limit of its own"},
    {"max_data_set_mb", NUMBER(max_data_set_mb, 0, 1048576), "16384", NO_FLAG, OPTION_RELOADS,
     "mebibytes of an instance that comes in; 0: no limit"},
    {"max_queries_per_association", NUMBER(max_queries_per_association, 0, 1000000000), "0",
     NO_FLAG, OPTION_RELOADS, "C-FIND requests of one association; 0: no limit"},
    {"max_mb_per_association", NUMBER(max_mb_per_association, 0, 1000000000), "0", NO_FLAG,
     OPTION_RELOADS, "mebibytes of one association, both ways; 0: no limit"},
    {"max_pdu", NUMBER(max_pdu, 4096, 131072), "131072", NO_FLAG, 0,
     "largest PDU received, in bytes"},
    {"request_timeout_s", NUMBER(request_timeout_s, 1, 3600), "30", NO_FLAG, 0,
     "seconds from connection to a whole association request"},
    {"idle_timeout_s", NUMBER(idle_timeout_s, 1, 86400), "300", NO_FLAG, OPTION_RELOADS,
     "seconds without a message while no operation runs"},
    {"io_timeout_s", NUMBER(io_timeout_s, 1, 3600), "60", NO_FLAG, 0,
     "seconds without progress while an operation runs"},
    {"connect_timeout_s", NUMBER(connect_timeout_s, 1, 3600), "10", NO_FLAG, OPTION_RELOADS,
     "seconds for a destination's name, connection and answer to the association request"},
    {"pending_interval_s", NUMBER(pending_interval_s, 1, 3600), "5", NO_FLAG, OPTION_RELOADS,
     "seconds between C-MOVE responses while nothing changes"},
    {"shutdown_timeout_s", NUMBER(shutdown_timeout_s, 0, 3600), "10", NO_FLAG, OPTION_RELOADS,
     "seconds that running operations get to finish at exit"},
    {"get_without_role", VALUE(KIND_SWITCH, get_without_role), "true", NO_FLAG, OPTION_RELOADS,
     "C-GET for clients that propose no SCP role"},
    {"open_series", NUMBER(open_series, 1, 65536), "64", NO_FLAG, 0,
     "series kept open while nobody uses them"},
    {"cache_mb", NUMBER(cache_mb, 0, 1048576), "256", NO_FLAG, 0,
     "mebibytes of instances kept in memory"},
    {"store", VALUE(KIND_FOLDER, store), NULL, FLAG("store", "DIR"), 0,
     "take instances in (C-STORE) and keep them in this folder, which is an archive too; default: "
     "nothing is taken"},
    {"durability", WORD(durability, DURABILITIES), "fsync", NO_FLAG, 0,
     "success after the instance is on the disk (fsync), or before (async)"},
    {"store_reserve_mb", NUMBER(store_reserve_mb, 0, 1048576), "512", NO_FLAG, 0,
     "mebibytes of the store's disk that stay free"},
    {"store_journal_mb", NUMBER(store_journal_mb, 12, 2560), "2560", NO_FLAG, 0,
     "mebibytes of the store's disk that the journal may grow to"},
    {"store_duplicates", WORD(store_duplicates, DUPLICATES), "keep-first", NO_FLAG, 0,
     "another instance with a known UID: keep-first, replace or reject"},
    {"pack_after_s", NUMBER(pack_after_s, 0, 86400), "30", NO_FLAG, 0,
     "seconds without an arrival until a series is packed into its .dcbs file; 0: only on demand"},
    {"store_unknown_sop_classes", VALUE(KIND_SWITCH, store_unknown_sop_classes), "false", NO_FLAG,
     OPTION_RELOADS, "take SOP classes that are not in the standard"},
    {"http_port", VALUE(KIND_PORT, http_port), "off", FLAG("http-port", "N"), 0,
     "port of the status page, health and metrics (HTTP); 0 for any free one, or off"},
    {"http_bind_address", VALUE(KIND_ADDRESS, http_bind_address), "127.0.0.1",
     FLAG("http-bind", "ADDR"), 0,
     "numeric address for HTTP; where other machines reach it a token is needed"},
    {"http_token_file", VALUE(KIND_FILE, http_token_file), NULL, FLAG("http-token-file", "FILE"), 0,
     "holds the token that HTTP asks for; default: none is asked for"},
    {"http_tls", VALUE(KIND_SWITCH, http_tls), "false", NO_FLAG, 0,
     "HTTP by TLS, with the node's certificate; clients' certificates stand for the token"},
    {"http_patient_data", VALUE(KIND_SWITCH, http_patient_data), "false", NO_FLAG, 0,
     "the status page may show patients' data: names, studies, pictures"},
    {"destinations", RECORDS(destinations, ndestinations, &DESTINATION), NULL,
     FLAG("destination", "RECORD"), OPTION_RELOADS,
     "where instances may be sent (C-MOVE): {ae_title: NAME, host: HOST, port: N, ...}; may be "
     "repeated"},
    {"tls_mode", WORD(tls_mode, TLS_MODES), "off", NO_FLAG, 0,
     "off; separate: on tls_port; both: on port, beside plain; only: on port"},
    {"tls_port", NUMBER(tls_port, 0, 65535), "2762", NO_FLAG, 0,
     "the port of tls_mode separate; 0 for any free one"},
    {"tls_profile", WORD(tls_profile, TLS_PROFILES), "bcp195", NO_FLAG, OPTION_RELOADS,
     "PS3.15's profile: bcp195 (the newest there is), bcp195-nd, bcp195-2021 or bcp195-extended"},
    {"tls_certificate", VALUE(KIND_FILE, tls_certificate), NULL, NO_FLAG, OPTION_RELOADS,
     "the node's certificate, in PEM form, and those between it and the authority"},
    {"tls_key", VALUE(KIND_FILE, tls_key), NULL, NO_FLAG, OPTION_RELOADS, "its private key"},
    {"tls_key_password_file", VALUE(KIND_FILE, tls_key_password_file), NULL, NO_FLAG,
     OPTION_RELOADS, "a file whose first line opens the key"},
    {"tls_ca_file", VALUE(KIND_FILE, tls_ca_file), NULL, NO_FLAG, OPTION_RELOADS,
     "certificates of the authorities that are trusted"},
    {"tls_ca_folder", VALUE(KIND_FOLDER, tls_ca_folder), NULL, NO_FLAG, OPTION_RELOADS,
     "the same, every file in a folder"},
    {"tls_crl_file", VALUE(KIND_FILE, tls_crl_file), NULL, NO_FLAG, OPTION_RELOADS,
     "revoked certificates"},
    {"tls_client_certificates", WORD(tls_client_certificates, CLIENT_CERTIFICATES), "require",
     NO_FLAG, OPTION_RELOADS, "require, request (verify those that come) or no"},
    {"user_identity", WORD(user_identity, IDENTITY_MODES), "off", NO_FLAG, OPTION_RELOADS,
     "user names and passcodes: off, accept (those that come must be right) or require"},
    {"users_file", VALUE(KIND_FILE, users_file), NULL, NO_FLAG, OPTION_RELOADS,
     "lines NAME:HASH, as dcbtool password makes them; read at each check"},
    {"audit", WORD(audit, AUDIT_MODES), "off", NO_FLAG, 0,
     "DICOM audit messages: off, to a file, or to syslog by udp, tcp or tls"},
    {"audit_file", VALUE(KIND_FILE, audit_file), NULL, NO_FLAG, 0,
     "the file of audit: file, a message a line"},
    {"audit_host", VALUE(KIND_HOST, audit_host), NULL, NO_FLAG, 0, "the syslog server"},
    {"audit_port", NUMBER(audit_port, 0, 65535), "0", NO_FLAG, 0,
     "its port; 0: 514 (udp), 601 (tcp) or 6514 (tls)"},
};
const size_t OPTION_NROWS = COUNT(OPTION_ROWS);
