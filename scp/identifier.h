/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identifier.h - the identifier of a C-FIND or C-GET request, decoded and checked (PS3.4 C.4.1.1.3,
 * C.4.1.3, C.4.3.1.3).
 *
 * Invariant: a query that identifier_read gives obeys the hierarchical rules of its model: one
 * value for each unique key above its level, none below, and for a retrieval at least one at its
 * level. Where the standard leaves room, or senders do:
 * - an empty key is no key, so unique keys below the level may stand there empty;
 * - keys of other levels are allowed in C-FIND; a retrieval refuses any key with a value that is
 *   not a unique one, but for PatientID in Study Root, which many senders add: it narrows;
 * - QueryRetrieveView and TimezoneOffsetFromUTC are passed over.
 *
 * Where relational retrieval was negotiated, the unique keys above the level may be missing, or be
 * several. Of the composite instance models (annexes Y and Z) SOPInstanceUID is the unique key;
 * what comes above it narrows. At FRAME level it has one value, and one of three keys tells the
 * frames.
 *
 * Threads: a query is a plain value.
 */
#ifndef IDENTIFIER_H
#define IDENTIFIER_H

#include "index.h"
#include "service.h"
#include "sop_classes.h"

#define TAG_SPECIFIC_CHARACTER_SET DCB_TAG(0x0008, 0x0005)
#define TAG_SOP_CLASS_UID          DCB_TAG(0x0008, 0x0016)
#define TAG_SOP_INSTANCE_UID       DCB_TAG(0x0008, 0x0018)
#define TAG_STUDY_DATE             DCB_TAG(0x0008, 0x0020)
#define TAG_ACCESSION_NUMBER       DCB_TAG(0x0008, 0x0050)
#define TAG_QUERY_RETRIEVE_LEVEL   DCB_TAG(0x0008, 0x0052)
#define TAG_QUERY_RETRIEVE_VIEW    DCB_TAG(0x0008, 0x0053)
#define TAG_RETRIEVE_AE_TITLE      DCB_TAG(0x0008, 0x0054)
#define TAG_INSTANCE_AVAILABILITY  DCB_TAG(0x0008, 0x0056)
#define TAG_FAILED_SOP_UID_LIST    DCB_TAG(0x0008, 0x0058)
#define TAG_MODALITY               DCB_TAG(0x0008, 0x0060)
#define TAG_MODALITIES_IN_STUDY    DCB_TAG(0x0008, 0x0061)
#define TAG_SOP_CLASSES_IN_STUDY   DCB_TAG(0x0008, 0x0062)
#define TAG_TIMEZONE_OFFSET        DCB_TAG(0x0008, 0x0201)
#define TAG_SIMPLE_FRAME_LIST      DCB_TAG(0x0008, 0x1161)
#define TAG_CALCULATED_FRAME_LIST  DCB_TAG(0x0008, 0x1162)
#define TAG_TIME_RANGE             DCB_TAG(0x0008, 0x1163)
#define TAG_PATIENT_NAME           DCB_TAG(0x0010, 0x0010)
#define TAG_PATIENT_ID             DCB_TAG(0x0010, 0x0020)
#define TAG_STUDY_INSTANCE_UID     DCB_TAG(0x0020, 0x000D)
#define TAG_SERIES_INSTANCE_UID    DCB_TAG(0x0020, 0x000E)
#define TAG_INSTANCE_NUMBER        DCB_TAG(0x0020, 0x0013)

#define QUERY_LEVELS 4

/* Trimmed, without empty ones. */
typedef struct query_values {
    uint32_t count;
    const char **values; /* into `text` */
    char *text;
} query_values;

/* The frames of a FRAME level retrieval (PS3.4 Y.3.2.1), counted from 1. */
typedef enum frame_key { FRAMES_ALL, FRAMES_SIMPLE, FRAMES_CALCULATED, FRAMES_TIME } frame_key;

typedef struct query_frames {
    frame_key key;
    uint32_t count; /* of numbers: frames, or three for each range (first, last, step) */
    uint32_t *numbers;
    double from, to; /* FRAMES_TIME: seconds from Content Time, inclusive */
} query_frames;

typedef struct scp_query {
    query_model model;
    query_level level;
    dcb_syntax syntax; /* of the request, and so of its responses */
    dcb_dataset *keys; /* the whole identifier in UTF-8 */
    char *charset;     /* the request's (0008,0005); NULL where it had none */
    /* The unique keys by level; in a C-FIND, PatientID only where the model or level asks for
       exactly one. Count 0: not restricted. */
    query_values unique[QUERY_LEVELS];
    query_frames frames;
} scp_query;

/* Why a request is refused: what its final response says. */
typedef struct query_fault {
    uint16_t status;
    uint32_t offending_element;
    char comment[65]; /* (0000,0902) is LO: 64 characters */
} query_fault;

typedef enum query_purpose { QUERY_FIND, QUERY_RETRIEVE } query_purpose;

/* Returns false with *fault. Either way query_clear frees *out. */
bool identifier_read(scp_query *out, query_purpose purpose, const service_request *request,
                     query_fault *fault);
void query_clear(scp_query *query);

/* "PATIENT", "STUDY", "COMPOSITE", "WITHOUT BULK DATA". */
const char *query_model_name(query_model model);
/* "PATIENT", "STUDY", "SERIES", "IMAGE". */
const char *query_level_name(query_level level);
/* The unique key of a level (PS3.4 table C.6-1 to C.6-5). */
uint32_t query_unique_tag(query_level level);
/* Always false, so that a caller can write `return query_fail(fault, ...)`. */
bool query_fail(query_fault *fault, uint16_t status, uint32_t offending_element, const char *format,
                ...) __attribute__((format(printf, 4, 5)));
/* The syntax of identifiers in a context; false where identifiers cannot be had in it. */
bool query_syntax(dcb_syntax *out, const char *transfer_syntax_uid);

#endif
