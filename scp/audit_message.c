/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_message.c - the messages of PS3.15 A.5.3, by the schema of A.5.1.
 *
 * Invariant: whatever the network or a file said, the text is well-formed XML: characters that XML
 * does not have are left out, what is not UTF-8 becomes '?'.
 */
#include "audit_message.h"

#include "log.h"

#include <openssl/evp.h>
#include <string.h>
#include <utf8proc.h>

typedef struct code {
    const char *value, *meaning; /* of DCM, PS3.16 annex D */
} code;

static const code APPLICATION_ACTIVITY = {"110100", "Application Activity"};
static const code BEGIN_TRANSFERRING = {"110102", "Begin Transferring DICOM Instances"};
static const code TRANSFERRED = {"110104", "DICOM Instances Transferred"};
static const code QUERY = {"110112", "Query"};
static const code SECURITY_ALERT = {"110113", "Security Alert"};
static const code APPLICATION_START = {"110120", "Application Start"};
static const code APPLICATION_STOP = {"110121", "Application Stop"};
static const code NODE_AUTHENTICATION = {"110126", "Node Authentication"};
static const code APPLICATION = {"110150", "Application"};
static const code DESTINATION_ROLE = {"110152", "Destination Role ID"};
static const code SOURCE_ROLE = {"110153", "Source Role ID"};
static const code STUDY_UID = {"110180", "Study Instance UID"};
static const code SOP_CLASS_UID = {"110181", "SOP Class UID"};
static const code NODE_ID = {"110182", "Node ID"};

/* ---- Text ---- */

/* The length of the UTF-8 character at s that XML 1.0 allows; 0: none. */
static size_t character(const unsigned char *s, size_t left)
{
    utf8proc_int32_t c;
    const utf8proc_ssize_t n = utf8proc_iterate(s, (utf8proc_ssize_t)left, &c);
    return n > 0 && c != 0xFFFE && c != 0xFFFF ? (size_t)n : 0;
}

static void put_escaped(text_buffer *out, const char *text)
{
    const unsigned char *s = (const unsigned char *)text, *end = s + strlen(text);
    while (s < end) {
        const size_t n = character(s, (size_t)(end - s));
        switch (*s) {
        case '&':
            text_put(out, "&amp;");
            break;
        case '<':
            text_put(out, "&lt;");
            break;
        case '>':
            text_put(out, "&gt;");
            break;
        case '"':
            text_put(out, "&quot;");
            break;
        default:
            if (n == 0)
                text_put(out, "?");
            else if (*s >= 0x20 && *s != 0x7F)
                text_put_bytes(out, (const char *)s, n);
        }
        s += n > 0 ? n : 1;
    }
}

static void put_attribute(text_buffer *out, const char *name, const char *value)
{
    text_format(out, " %s=\"", name);
    put_escaped(out, value);
    text_put(out, "\"");
}

static void put_base64(text_buffer *out, const void *bytes, size_t nbytes)
{
    enum { PIECE = 48 };
    unsigned char text[PIECE / 3 * 4 + 1];
    for (size_t i = 0; i < nbytes; i += PIECE) {
        const size_t left = nbytes - i;
        const int n = EVP_EncodeBlock(text, (const unsigned char *)bytes + i,
                                      left < PIECE ? (int)left : PIECE);
        text_put_bytes(out, (const char *)text, (size_t)n);
    }
}

/* ---- The schema's parts ---- */

static void put_code(text_buffer *out, const char *element, const code *which)
{
    text_format(out, "<%s csd-code=\"%s\" codeSystemName=\"DCM\" originalText=\"%s\"/>", element,
                which->value, which->meaning);
}

static void put_event(text_buffer *out, const audit_event *event, const code *id, const code *type,
                      char action)
{
    char when[32];
    log_time(when, &event->time);
    text_format(out,
                "<EventIdentification EventActionCode=\"%c\" EventDateTime=\"%s\" "
                "EventOutcomeIndicator=\"%d\">",
                action, when, event->outcome);
    put_code(out, "EventID", id);
    if (type != NULL)
        put_code(out, "EventTypeCode", type);
    if (event->reason[0] != '\0') {
        text_put(out, "<EventOutcomeDescription>");
        put_escaped(out, event->reason);
        text_put(out, "</EventOutcomeDescription>");
    }
    text_put(out, "</EventIdentification>");
}

/* id: an AE title, where there is one. */
static void put_participant(text_buffer *out, const char *id, const char *alternative,
                            const char *name, const char *address, bool is_requestor,
                            const code *role)
{
    text_put(out, "<ActiveParticipant");
    put_attribute(out, "UserID", id);
    if (alternative[0] != '\0')
        put_attribute(out, "AlternativeUserID", alternative);
    if (name[0] != '\0')
        put_attribute(out, "UserName", name);
    put_attribute(out, "UserIsRequestor", is_requestor ? "true" : "false");
    if (address[0] != '\0') {
        put_attribute(out, "NetworkAccessPointID", address);
        put_attribute(out, "NetworkAccessPointTypeCode", "2");
    }
    if (role == NULL) {
        text_put(out, "/>");
        return;
    }
    text_put(out, ">");
    put_code(out, "RoleIDCode", role);
    text_put(out, "</ActiveParticipant>");
}

/* The peer: its AE title, or its address; its user; its certificate as the other name. */
static void put_peer(text_buffer *out, const audit_event *event, bool is_requestor,
                     const code *role)
{
    const char *id = event->calling[0] != '\0'   ? event->calling
                     : event->address[0] != '\0' ? event->address
                                                 : "unknown";
    put_participant(out, id, event->certificate, event->user, event->address, is_requestor, role);
}

static void put_node(text_buffer *out, const audit_source *source, bool is_requestor,
                     const code *role)
{
    char process[24];
    snprintf(process, sizeof process, "%ld", source->process);
    put_participant(out, source->ae_title, process, "", source->address, is_requestor, role);
}

static void put_source(text_buffer *out, const audit_source *source)
{
    text_put(out, "<AuditSourceIdentification");
    put_attribute(out, "AuditSourceID", source->ae_title);
    text_put(out, "><AuditSourceTypeCode csd-code=\"4\"/></AuditSourceIdentification>");
}

static void open_object(text_buffer *out, const char *id, const char *type, const char *role,
                        const code *id_type)
{
    text_put(out, "<ParticipantObjectIdentification");
    put_attribute(out, "ParticipantObjectID", id);
    put_attribute(out, "ParticipantObjectTypeCode", type);
    if (role[0] != '\0')
        put_attribute(out, "ParticipantObjectTypeCodeRole", role);
    text_put(out, ">");
    put_code(out, "ParticipantObjectIDTypeCode", id_type);
}

static void close_object(text_buffer *out)
{
    text_put(out, "</ParticipantObjectIdentification>");
}

static void put_detail(text_buffer *out, const char *type, const char *value)
{
    text_put(out, "<ParticipantObjectDetail");
    put_attribute(out, "type", type);
    text_put(out, " value=\"");
    put_base64(out, value, strlen(value));
    text_put(out, "\"/>");
}

static void put_name(text_buffer *out, const char *name)
{
    text_put(out, "<ParticipantObjectName>");
    put_escaped(out, name);
    text_put(out, "</ParticipantObjectName>");
}

static void put_patient(text_buffer *out, const audit_patient *patient)
{
    text_put(out, "<ParticipantObjectIdentification");
    put_attribute(out, "ParticipantObjectID", patient->id);
    text_put(out, " ParticipantObjectTypeCode=\"1\" ParticipantObjectTypeCodeRole=\"1\">"
                  "<ParticipantObjectIDTypeCode csd-code=\"2\" codeSystemName=\"RFC-3881\" "
                  "originalText=\"Patient Number\"/>");
    put_name(out, patient->name);
    close_object(out);
}

/* Each study with its classes, then each patient. */
static void put_studies(text_buffer *out, const audit_studies *studies,
                        const audit_patient *patients)
{
    for (uint32_t i = 0, next; i < studies->count; i = next) {
        const char *uid = studies->items[i].study_uid;
        open_object(out, uid, "2", "3", &STUDY_UID);
        put_name(out, "");
        text_put(out, "<ParticipantObjectDescription>");
        for (next = i; next < studies->count && strcmp(studies->items[next].study_uid, uid) == 0;
             next++) {
            text_put(out, "<SOPClass");
            put_attribute(out, "UID", studies->items[next].sop_class_uid);
            text_format(out, " NumberOfInstances=\"%u\"/>",
                        (unsigned)studies->items[next].ninstances);
        }
        text_put(out, "</ParticipantObjectDescription>");
        close_object(out);
    }
    for (uint32_t i = 0; i < studies->count; i++) {
        if (i == 0 || strcmp(patients[i].id, patients[i - 1].id) != 0 ||
            strcmp(patients[i].name, patients[i - 1].name) != 0)
            put_patient(out, &patients[i]);
    }
}

/* ---- The messages ---- */

static void put_query(text_buffer *out, const audit_event *event, const audit_source *source)
{
    put_event(out, event, &QUERY, NULL, 'E');
    put_peer(out, event, true, &SOURCE_ROLE);
    put_node(out, source, false, &DESTINATION_ROLE);
    put_source(out, source);
    open_object(out, event->sop_class_uid, "2", "3", &SOP_CLASS_UID);
    text_put(out, "<ParticipantObjectQuery>");
    put_base64(out, event->query, event->query_nbytes);
    text_put(out, "</ParticipantObjectQuery>");
    put_detail(out, "TransferSyntax", event->syntax_uid);
    close_object(out);
}

static void put_refused(text_buffer *out, const audit_event *event, const audit_source *source)
{
    put_event(out, event, &SECURITY_ALERT, &NODE_AUTHENTICATION, 'E');
    put_node(out, source, true, NULL);
    put_peer(out, event, false, NULL);
    put_source(out, source);
    open_object(out, event->address[0] != '\0' ? event->address : "unknown", "2", "", &NODE_ID);
    put_name(out, event->calling);
    put_detail(out, "Alert Description", event->reason);
    close_object(out);
}

static void put_transfer(text_buffer *out, const audit_event *event, const audit_source *source,
                         const audit_patient *patients)
{
    const bool received = event->kind == AUDIT_STORED;
    if (event->kind == AUDIT_BEGINS)
        put_event(out, event, &BEGIN_TRANSFERRING, NULL, 'E');
    else
        put_event(out, event, &TRANSFERRED, NULL, received ? 'C' : 'R');
    const bool elsewhere = event->destination[0] != '\0';
    put_node(out, source, false, received ? &DESTINATION_ROLE : &SOURCE_ROLE);
    put_peer(out, event, true, received ? &SOURCE_ROLE : elsewhere ? NULL : &DESTINATION_ROLE);
    if (elsewhere)
        put_participant(out, event->destination, "", "", "", false, &DESTINATION_ROLE);
    put_source(out, source);
    put_studies(out, &event->studies, patients);
}

static void put_activity(text_buffer *out, const audit_event *event, const audit_source *source)
{
    put_event(out, event, &APPLICATION_ACTIVITY,
              event->kind == AUDIT_STARTED ? &APPLICATION_START : &APPLICATION_STOP, 'E');
    put_node(out, source, false, &APPLICATION);
    put_source(out, source);
}

void audit_message_put(text_buffer *out, const audit_event *event, const audit_source *source,
                       const audit_patient *patients)
{
    text_put(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><AuditMessage>");
    switch (event->kind) {
    case AUDIT_STARTED:
    case AUDIT_STOPPED:
        put_activity(out, event, source);
        break;
    case AUDIT_REFUSED:
        put_refused(out, event, source);
        break;
    case AUDIT_QUERY:
        put_query(out, event, source);
        break;
    case AUDIT_BEGINS:
    case AUDIT_TRANSFERRED:
    case AUDIT_STORED:
        put_transfer(out, event, source, patients);
        break;
    }
    text_put(out, "</AuditMessage>");
}
