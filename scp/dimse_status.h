/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dimse_status.h - the DIMSE statuses that the node sends, one table, each with its clause.
 */
#ifndef DIMSE_STATUS_H
#define DIMSE_STATUS_H

#include <stdint.h>

/*  X(name, value, clause, meaning) */
#define DIMSE_STATUS_MAP(X)                                                                        \
    X(SUCCESS, 0x0000, "PS3.7 C.1.1", "success")                                                   \
    X(CANCEL, 0xFE00, "PS3.7 C.1.3", "cancelled by the requester")                                 \
    X(PENDING, 0xFF00, "PS3.4 C.4.1.1.4", "pending")                                               \
    X(PENDING_OPTIONAL_KEYS, 0xFF01, "PS3.4 C.4.1.1.4", "pending, optional keys not supported")    \
    X(OUT_OF_RESOURCES, 0xA700, "PS3.4 C.4.1.1.4", "out of resources")                             \
    X(OUT_OF_RESOURCES_MATCHES, 0xA701, "PS3.4 C.4.2.1.5", "cannot count the matches")             \
    X(OUT_OF_RESOURCES_SUBOPERATIONS, 0xA702, "PS3.4 C.4.2.1.5", "cannot perform sub-operations")  \
    X(MOVE_DESTINATION_UNKNOWN, 0xA801, "PS3.4 C.4.2.1.5", "move destination unknown")             \
    X(IDENTIFIER_MISMATCH, 0xA900, "PS3.4 C.4.1.1.4", "identifier does not match the SOP class")   \
    X(FRAME_NONE_FOUND, 0xAA00, "PS3.4 Y.4.1.1.4", "no requested frame is in the instance")        \
    X(FRAME_SOP_CLASS, 0xAA01, "PS3.4 Y.4.1.1.4", "no new instance of this SOP class can be made") \
    X(FRAME_NOT_EXTRACTED, 0xAA02, "PS3.4 Y.4.1.1.4", "frames cannot be extracted")                \
    X(FRAME_NO_TIMES, 0xAA03, "PS3.4 Y.4.1.1.4", "times were asked for, the frames have none")     \
    X(FRAME_INVALID_REQUEST, 0xAA04, "PS3.4 Y.4.1.1.4", "invalid request for frames")              \
    X(WARNING_SUBOPERATIONS, 0xB000, "PS3.4 C.4.2.1.5", "one or more sub-operations failed")       \
    X(WARNING_DUPLICATE, 0xB007, "PS3.4 B.2.3", "another instance has this SOP Instance UID")      \
    X(UNABLE_TO_PROCESS, 0xC000, "PS3.4 C.4.1.1.4", "unable to process")                           \
    X(SOP_CLASS_NOT_SUPPORTED, 0x0122, "PS3.7 C.5.6", "SOP class not supported")                   \
    X(NOT_AUTHORIZED, 0x0124, "PS3.7 annex C", "not authorized")                                   \
    X(UNRECOGNIZED_OPERATION, 0x0211, "PS3.7 C.5.25", "unrecognized operation")                    \
    X(MISTYPED_ARGUMENT, 0x0212, "PS3.7 C.5.13", "mistyped argument")

enum dimse_status {
#define DIMSE_STATUS_ENUM(name, value, clause, meaning) DIMSE_##name = (value),
    DIMSE_STATUS_MAP(DIMSE_STATUS_ENUM)
#undef DIMSE_STATUS_ENUM
};

typedef enum dimse_status_class {
    DIMSE_CLASS_SUCCESS,
    DIMSE_CLASS_PENDING,
    DIMSE_CLASS_CANCEL,
    DIMSE_CLASS_WARNING,
    DIMSE_CLASS_FAILURE
} dimse_status_class;

/* PS3.7 annex C: by value; what is in no other class is a failure. */
dimse_status_class dimse_classify(uint16_t status);
/* "success", "pending", "cancelled", "warning", "failure". */
const char *dimse_outcome(uint16_t status);
/* The table's meaning, or "unknown status". */
const char *dimse_status_text(uint16_t status);

#endif
