/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sop_classes.h - the SOP classes and transfer syntaxes that the node knows, by UID.
 *
 * Constant tables; any thread.
 */
#ifndef SOP_CLASSES_H
#define SOP_CLASSES_H

#include <stdbool.h>

#define UID_APPLICATION_CONTEXT "1.2.840.10008.3.1.1.1" /* PS3.7 annex A.2.1 */

#define UID_VERIFICATION      "1.2.840.10008.1.1"
#define UID_PATIENT_ROOT_FIND "1.2.840.10008.5.1.4.1.2.1.1"
#define UID_PATIENT_ROOT_MOVE "1.2.840.10008.5.1.4.1.2.1.2"
#define UID_PATIENT_ROOT_GET  "1.2.840.10008.5.1.4.1.2.1.3"
#define UID_STUDY_ROOT_FIND   "1.2.840.10008.5.1.4.1.2.2.1"
#define UID_STUDY_ROOT_MOVE   "1.2.840.10008.5.1.4.1.2.2.2"
#define UID_STUDY_ROOT_GET    "1.2.840.10008.5.1.4.1.2.2.3"
#define UID_COMPOSITE_MOVE    "1.2.840.10008.5.1.4.1.2.4.2" /* Composite Instance Root Retrieve */
#define UID_COMPOSITE_GET     "1.2.840.10008.5.1.4.1.2.4.3"
#define UID_WITHOUT_BULK_GET  "1.2.840.10008.5.1.4.1.2.5.3" /* ... Retrieve Without Bulk Data */

#define UID_IMPLICIT_LE         "1.2.840.10008.1.2"
#define UID_EXPLICIT_LE         "1.2.840.10008.1.2.1"
#define UID_DEFLATED            "1.2.840.10008.1.2.1.99"
#define UID_EXPLICIT_BE         "1.2.840.10008.1.2.2"
#define UID_HTJ2K_LOSSLESS      "1.2.840.10008.1.2.4.201"
#define UID_HTJ2K_LOSSLESS_RPCL "1.2.840.10008.1.2.4.202"
#define UID_HTJ2K               "1.2.840.10008.1.2.4.203"
#define UID_JPEG_LOSSLESS       "1.2.840.10008.1.2.4.57"
#define UID_JPEG_LOSSLESS_SV1   "1.2.840.10008.1.2.4.70"
#define UID_JPEG_LS_LOSSLESS    "1.2.840.10008.1.2.4.80"
#define UID_J2K_LOSSLESS        "1.2.840.10008.1.2.4.90"
#define UID_J2K                 "1.2.840.10008.1.2.4.91"
#define UID_RLE                 "1.2.840.10008.1.2.5"

typedef enum sop_kind {
    SOP_UNKNOWN,
    SOP_VERIFICATION,
    SOP_FIND,
    SOP_GET,
    SOP_MOVE,
    SOP_STORAGE,
} sop_kind;

typedef enum query_model {
    MODEL_NONE,
    MODEL_PATIENT_ROOT,
    MODEL_STUDY_ROOT,
    MODEL_COMPOSITE,    /* PS3.4 annex Y */
    MODEL_WITHOUT_BULK, /* PS3.4 annex Z */
} query_model;

sop_kind sop_class_kind(const char *uid);
/* MODEL_NONE where the class is no query/retrieve class. */
query_model sop_class_model(const char *uid);
/* The class's keyword, or the UID itself where it is not known. */
const char *sop_class_name(const char *uid);

/* May an instance encoded in transfer syntax `instance` go out, as it is, on a presentation context
   that was accepted with `accepted`? The same syntax, or a wider one: any HTJ2K codestream in .203,
   an RPCL one in .201 (PS3.5 A.4.10), lossless JPEG 2000 in .91 (A.4.4), JPEG lossless with
   first-order prediction in .57 (A.4.1). */
bool transfer_syntax_carries(const char *accepted, const char *instance);

/* The UID that an operator wrote as PS3.6's keyword (ExplicitVRLittleEndian, HTJ2KLossless ...), in
   any case, or as itself; NULL: none of the standard. */
const char *transfer_syntax_uid(const char *text);

#endif
