/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.h - the audit trail: who did what with whose data, as DICOM audit messages (PS3.15 A.5), to
 * a file or a syslog server (RFC 5424 over UDP, TCP or TLS; PS3.15 A.6, A.7).
 *
 * Events wait in a bounded queue for a thread of their own, which looks up the patients and writes.
 * Nobody ever waits for it: what finds no room is dropped, counted and told in the log.
 *
 * Audit messages hold patient data by design: names, patient IDs, queries.
 *
 * Threads: any. A NULL trail is one that is off: every call does nothing then.
 */
#ifndef AUDIT_H
#define AUDIT_H

#include "audit_studies.h"
#include "node.h"

#include <time.h>

typedef enum audit_kind {
    AUDIT_STARTED,     /* Application Activity, Application Start */
    AUDIT_STOPPED,     /* Application Activity, Application Stop */
    AUDIT_REFUSED,     /* Security Alert, Node Authentication */
    AUDIT_QUERY,       /* Query */
    AUDIT_BEGINS,      /* Begin Transferring DICOM Instances */
    AUDIT_TRANSFERRED, /* DICOM Instances Transferred: sent */
    AUDIT_STORED,      /* DICOM Instances Transferred: received */
} audit_kind;

#define AUDIT_QUERY_MAX  16384 /* bytes of a query's identifier that are told */
#define AUDIT_STORED_MAX 1000  /* instances in one event */
#define AUDIT_QUEUE_MAX  4096  /* events that wait */

typedef struct audit_event {
    struct audit_event *next;
    const scp_node *node; /* whose archive it is about: that of the called AE title */
    audit_kind kind;
    struct timespec time;
    /* Who: "" where not known. */
    char calling[UL_AE_TITLE_SIZE], address[46], user[UL_USER_SIZE], certificate[UL_NAME_SIZE];
    char destination[UL_AE_TITLE_SIZE]; /* of instances, where that is not the caller */
    char reason[240];                   /* what went wrong */
    int outcome;                        /* 0 well, 4 in part, 8 not */
    char sop_class_uid[UL_UID_SIZE], syntax_uid[UL_UID_SIZE]; /* of a query */
    uint8_t *query;
    size_t query_nbytes;
    audit_studies studies;
    char (*stored)[UL_UID_SIZE]; /* SOP Instance UIDs, whose studies the index knows */
    uint32_t nstored;
} audit_event;

/* *out is NULL where options->audit is off. Parts of node are borrowed until audit_close: its
   options, index, ingest and tls. */
int audit_open(scp_audit **out, const scp_node *node, scp_error *error);
/* Writes what waits, for up to a few seconds. */
void audit_close(scp_audit *audit);

/* request may be NULL. NULL where the trail is off or memory ran out, which is counted. The node,
   as its audit, must outlive the trail. */
audit_event *audit_event_new(const scp_node *node, audit_kind kind, const ul_request *request);
/* Takes it over; NULL is nothing. */
void audit_submit(scp_audit *audit, audit_event *event);
void audit_event_free(audit_event *event);

/* A whole event in one call: started, stopped, refused. */
void audit_tell(const scp_node *node, audit_kind kind, const ul_request *request,
                const char *reason);

/* Events that were dropped so far. */
uint64_t audit_ndropped(scp_audit *audit);

#endif
