/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_record.c - the level records of a file, out of its data sets.
 *
 * The first slice of a series speaks for patient, study and series; of the others only the
 * instance's own attributes are kept, and in which series attributes they differ. A slice that
 * names another patient, study or series is never put under the first one's: it begins a record of
 * its own. Stateless.
 */
#include "index_record.h"
#include "dataset_equal.h"
#include "text_fold.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG_SOP_CLASS_UID       DCB_TAG(0x0008, 0x0016)
#define TAG_SOP_INSTANCE_UID    DCB_TAG(0x0008, 0x0018)
#define TAG_STUDY_DATE          DCB_TAG(0x0008, 0x0020)
#define TAG_ACCESSION_NUMBER    DCB_TAG(0x0008, 0x0050)
#define TAG_MODALITY            DCB_TAG(0x0008, 0x0060)
#define TAG_PATIENT_NAME        DCB_TAG(0x0010, 0x0010)
#define TAG_PATIENT_ID          DCB_TAG(0x0010, 0x0020)
#define TAG_ISSUER              DCB_TAG(0x0010, 0x0021)
#define TAG_STUDY_INSTANCE_UID  DCB_TAG(0x0020, 0x000d)
#define TAG_SERIES_INSTANCE_UID DCB_TAG(0x0020, 0x000e)
#define TAG_INSTANCE_NUMBER     DCB_TAG(0x0020, 0x0013)

/* A record is for answering queries: what is longer comes from the file. */
#define MAX_ELEMENT_BYTES (64u << 10)

/* Series in one file; each slice is compared with them. */
#define MAX_SERIES 256u

/* PS3.4 tables C.6-1 and C.6-5, the patient module (PS3.3 C.7.1.1). */
static const uint32_t patient_tags[] = {
    0x00081120, 0x00100010, 0x00100020, 0x00100021, 0x00100022, 0x00100024, 0x00100026,
    0x00100030, 0x00100032, 0x00100033, 0x00100035, 0x00100040, 0x00101000, 0x00101001,
    0x00101002, 0x00101005, 0x00102160, 0x00102201, 0x00102202, 0x00102292, 0x00102293,
    0x00102297, 0x00102298, 0x00104000, 0x00120062, 0x00120063, 0,
};

/* PS3.4 tables C.6-2 and C.6-5, the patient study module, and what worklists of readers show. */
static const uint32_t study_tags[] = {
    0x00080020, 0x00080030, 0x00080050, 0x00080051, 0x00080080, 0x00080081, 0x00080090, 0x00080096,
    0x0008009c, 0x00080201, 0x00081030, 0x00081032, 0x00081040, 0x00081048, 0x00081049, 0x00081060,
    0x00081062, 0x00081080, 0x00081084, 0x00081110, 0x00101010, 0x00101020, 0x00101021, 0x00101030,
    0x00102000, 0x00102110, 0x00102180, 0x001021a0, 0x001021b0, 0x001021c0, 0x0020000d, 0x00200010,
    0x00321032, 0x00321033, 0x00321060, 0x00321064, 0x00324000, 0x00380010, 0x00380014, 0x00380060,
    0x00380500, 0x00401012, 0,
};

/* PS3.4 table C.6-3, the series and equipment modules. Where the series names its own institution,
   that goes before the study's. */
static const uint32_t series_tags[] = {
    0x00080021, 0x00080031, 0x00080060, 0x00080068, 0x00080070, 0x00080080, 0x00080081, 0x00081010,
    0x0008103e, 0x0008103f, 0x00081040, 0x00081050, 0x00081052, 0x00081070, 0x00081072, 0x00081090,
    0x00081111, 0x00081250, 0x00180010, 0x00180015, 0x00181000, 0x00181020, 0x00181030, 0x00185100,
    0x0020000e, 0x00200011, 0x00200052, 0x00200060, 0x00200200, 0x00201040, 0x00400244, 0x00400245,
    0x00400250, 0x00400251, 0x00400253, 0x00400254, 0x00400260, 0x00400275, 0x00400280, 0,
};

_Static_assert(sizeof series_tags / sizeof *series_tags <= 65, "index_record.varying has 64 bits");

const uint32_t *index_record_tags(int level)
{
    static const uint32_t *const tags[] = {patient_tags, study_tags, series_tags};
    return tags[level];
}

static dcb_status fail(dcb_error *error, dcb_status status, const char *format, ...)
    DCB_PRINTF(3, 4);

static dcb_status fail(dcb_error *error, dcb_status status, const char *format, ...)
{
    if (error != NULL) {
        error->status = status;
        error->offset = UINT64_MAX;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

static dcb_status fail_no_memory(dcb_error *error)
{
    return fail(error, DCB_ERR_NO_MEMORY, "out of memory for the index record");
}

/* ---- Values ---- */

/* The trimmed text of an element; "" where it is missing; NULL where memory ran out. */
static char *get_text(const dcb_dataset *dataset, uint32_t tag)
{
    ptrdiff_t length = dcb_dataset_get_text(dataset, tag, NULL, 0);
    size_t size = length > 0 ? (size_t)length + 1 : 1;
    char *text = calloc(size, 1);
    if (text != NULL && length > 0)
        dcb_dataset_get_text(dataset, tag, text, size);
    return text;
}

/* False where the UID is missing, empty or too long. */
static bool get_uid(char uid[INDEX_UID_SIZE], const dcb_dataset *dataset, uint32_t tag)
{
    ptrdiff_t length = dcb_dataset_get_text(dataset, tag, uid, INDEX_UID_SIZE);
    return length > 0 && length < INDEX_UID_SIZE;
}

static bool same_text(const dcb_dataset *dataset, uint32_t tag, const char *expected)
{
    char *text = get_text(dataset, tag);
    bool same = text != NULL && strcmp(text, expected) == 0;
    free(text);
    return same;
}

/* YYYYMMDD, also from the YYYY.MM.DD of ACR-NEMA (PS3.5 6.2 note); else "". */
static char *get_date(const dcb_dataset *dataset, uint32_t tag)
{
    char *date = get_text(dataset, tag);
    if (date == NULL)
        return NULL;
    if (strlen(date) == 10 && date[4] == '.' && date[7] == '.') {
        memmove(date + 4, date + 5, 2);
        memmove(date + 6, date + 8, 3);
    }
    if (strlen(date) != 8 || strspn(date, "0123456789") != 8)
        date[0] = '\0';
    return date;
}

/* The name as a whole and each of its component groups, folded; separated by backslashes. */
static char *get_folded_names(const dcb_dataset *dataset)
{
    char *name = get_text(dataset, TAG_PATIENT_NAME);
    char *folded = name != NULL ? text_fold(name) : NULL;
    free(name);
    char *names = NULL;
    if (folded != NULL && asprintf(&names, "%s\\%s", folded, folded) < 0)
        names = NULL;
    if (names != NULL) {
        for (char *c = names + strlen(folded) + 1; *c != '\0'; c++) {
            if (*c == '=')
                *c = '\\';
        }
    }
    free(folded);
    return names;
}

/* A backslash separates: it cannot be in a PatientID. */
static char *get_patient_key(const dcb_dataset *dataset, const char *patient_id,
                             const char *study_uid)
{
    char *issuer = get_text(dataset, TAG_ISSUER);
    char *key = NULL;
    if (issuer != NULL &&
        asprintf(&key, "%s\\%s", patient_id, patient_id[0] != '\0' ? issuer : study_uid) < 0)
        key = NULL;
    free(issuer);
    return key;
}

/* ---- Records ---- */

static dcb_status take_level(dcb_dataset **out, const dcb_dataset *dataset, const uint32_t *tags,
                             dcb_error *error)
{
    dcb_status status = dcb_dataset_create(out, error);
    for (; status == DCB_OK && *tags != 0; tags++) {
        const dcb_element *element = dcb_dataset_find(dataset, *tags);
        if (element != NULL && element->nbytes <= MAX_ELEMENT_BYTES)
            status = dcb_dataset_put_element(*out, element, error);
    }
    return status;
}

static dcb_status take_levels(index_record *record, const dcb_dataset *dataset, dcb_error *error)
{
    char uid[INDEX_UID_SIZE];
    if (!get_uid(uid, dataset, TAG_STUDY_INSTANCE_UID))
        return fail(error, DCB_ERR_META, "it has no usable StudyInstanceUID (0020,000D)");
    if (!get_uid(uid, dataset, TAG_SERIES_INSTANCE_UID))
        return fail(error, DCB_ERR_META, "it has no usable SeriesInstanceUID (0020,000E)");
    dcb_status status = take_level(&record->patient, dataset, patient_tags, error);
    if (status == DCB_OK)
        status = take_level(&record->study, dataset, study_tags, error);
    if (status == DCB_OK)
        status = take_level(&record->series, dataset, series_tags, error);
    if (status != DCB_OK)
        return status;
    record->patient_id = get_text(dataset, TAG_PATIENT_ID);
    record->study_uid = get_text(dataset, TAG_STUDY_INSTANCE_UID);
    record->series_uid = get_text(dataset, TAG_SERIES_INSTANCE_UID);
    record->folded_names = get_folded_names(dataset);
    record->study_date = get_date(dataset, TAG_STUDY_DATE);
    record->accession_number = get_text(dataset, TAG_ACCESSION_NUMBER);
    record->modality = get_text(dataset, TAG_MODALITY);
    if (record->patient_id != NULL && record->study_uid != NULL)
        record->patient_key = get_patient_key(dataset, record->patient_id, record->study_uid);
    bool complete = record->patient_key != NULL && record->series_uid != NULL &&
                    record->folded_names != NULL && record->study_date != NULL &&
                    record->accession_number != NULL && record->modality != NULL;
    return complete ? DCB_OK : fail_no_memory(error);
}

/* A slice that names no patient says nothing against the others of its series, nor does one that
   does not name the issuer of its PatientID. */
static bool same_patient(const index_record *record, const dcb_dataset *dataset)
{
    if (same_text(dataset, TAG_PATIENT_ID, ""))
        return true;
    if (!same_text(dataset, TAG_PATIENT_ID, record->patient_id))
        return false;
    const char *issuer = record->patient_key + strlen(record->patient_id) + 1;
    return same_text(dataset, TAG_ISSUER, "") || same_text(dataset, TAG_ISSUER, issuer);
}

static bool belongs(const index_record *record, const dcb_dataset *dataset)
{
    return same_text(dataset, TAG_SERIES_INSTANCE_UID, record->series_uid) &&
           same_text(dataset, TAG_STUDY_INSTANCE_UID, record->study_uid) &&
           same_patient(record, dataset);
}

static bool take_number(int32_t *number, const dcb_dataset *dataset)
{
    char text[16], *end;
    ptrdiff_t length = dcb_dataset_get_text(dataset, TAG_INSTANCE_NUMBER, text, sizeof text);
    if (length <= 0 || length >= (ptrdiff_t)sizeof text)
        return false;
    long long value = strtoll(text, &end, 10);
    *number = (int32_t)value;
    return *end == '\0' && value >= INT32_MIN && value <= INT32_MAX;
}

static dcb_status take_instance(index_record_instance *instance, const dcb_dataset *dataset,
                                uint32_t frame, dcb_error *error)
{
    if (!get_uid(instance->sop_class_uid, dataset, TAG_SOP_CLASS_UID))
        return fail(error, DCB_ERR_META, "slice %u has no usable SOPClassUID (0008,0016)", frame);
    if (!get_uid(instance->sop_instance_uid, dataset, TAG_SOP_INSTANCE_UID))
        return fail(error, DCB_ERR_META, "slice %u has no usable SOPInstanceUID (0008,0018)",
                    frame);
    instance->frame = frame;
    instance->has_number = take_number(&instance->number, dataset);
    return DCB_OK;
}

/* The record that a slice belongs to, a new one where none of the list is it. `last` is the one of
   the slice before: nearly always that. */
static dcb_status find_record(index_record **record, index_record **list, index_record *last,
                              const dcb_dataset *dataset, dcb_error *error)
{
    *record = last;
    if (last != NULL && belongs(last, dataset))
        return DCB_OK;
    uint32_t nrecords = 0;
    index_record **end = list;
    for (; *end != NULL; end = &(*end)->next, nrecords++) {
        *record = *end;
        if (belongs(*end, dataset))
            return DCB_OK;
    }
    if (nrecords == MAX_SERIES)
        return fail(error, DCB_ERR_LIMIT, "there are more than %u series in the file", MAX_SERIES);
    index_record *made = calloc(1, sizeof *made);
    if (made == NULL)
        return fail_no_memory(error);
    dcb_status status = take_levels(made, dataset, error);
    if (status != DCB_OK) {
        index_record_close(made);
        return status;
    }
    *record = *end = made;
    return DCB_OK;
}

/* Marks the series attributes in which the slice is not as the first. */
static void note_varying(index_record *record, const dcb_dataset *dataset)
{
    for (int i = 0; series_tags[i] != 0; i++) {
        const dcb_element *element = dcb_dataset_find(dataset, series_tags[i]);
        if (!dataset_same_element(element, dcb_dataset_find(record->series, series_tags[i])))
            record->varying |= (uint64_t)1 << i;
    }
}

static dcb_status append(index_record *record, const index_record_instance *instance,
                         dcb_error *error)
{
    if (record->ninstances == record->capacity) {
        uint32_t capacity = record->capacity * 2 + 16;
        index_record_instance *grown = realloc(record->instances, capacity * sizeof *grown);
        if (grown == NULL)
            return fail_no_memory(error);
        record->instances = grown;
        record->capacity = capacity;
    }
    record->instances[record->ninstances++] = *instance;
    return DCB_OK;
}

/* One slice into the list; where it cannot be used, error tells why. */
static dcb_status take_slice(index_record **list, index_record **last, const dcb_dataset *dataset,
                             uint32_t frame, dcb_error *error)
{
    index_record_instance instance = {0};
    index_record *record = NULL;
    dcb_status status = take_instance(&instance, dataset, frame, error);
    if (status == DCB_OK)
        status = find_record(&record, list, *last, dataset, error);
    if (status == DCB_OK)
        status = append(record, &instance, error);
    if (status == DCB_OK) {
        note_varying(record, dataset);
        *last = record;
    }
    return status;
}

dcb_status index_record_create_from(index_record **out, uint32_t nframes,
                                    dcb_status (*get)(dcb_dataset **out, void *context,
                                                      uint32_t frame, dcb_error *error),
                                    void *context, dcb_error *error)
{
    *out = NULL;
    if (nframes == 0)
        return fail(error, DCB_ERR_FORMAT, "the file has no frames");
    index_record *list = NULL, *last = NULL;
    uint32_t nunusable = 0;
    dcb_error cause = DCB_ERROR_INIT;
    for (uint32_t i = 0; i < nframes && cause.status != DCB_ERR_NO_MEMORY; i++) {
        dcb_error slice_error = DCB_ERROR_INIT;
        dcb_dataset *dataset = NULL;
        dcb_status status = get(&dataset, context, i, &slice_error);
        if (status == DCB_OK)
            status = take_slice(&list, &last, dataset, i, &slice_error);
        dcb_dataset_close(dataset);
        if (status != DCB_OK && (nunusable++ == 0 || status == DCB_ERR_NO_MEMORY))
            cause = slice_error;
    }
    if (list == NULL || cause.status == DCB_ERR_NO_MEMORY) {
        index_record_close(list);
        if (error != NULL)
            *error = cause;
        return cause.status;
    }
    list->nunusable = nunusable;
    list->unusable_reason = cause;
    *out = list;
    return DCB_OK;
}

static void forget_charset(dcb_dataset *dataset)
{
    dcb_dataset_remove(dataset, DCB_TAG(0x0008, 0x0005));
    for (size_t i = 0; i < dcb_dataset_count(dataset); i++) {
        const dcb_element *element = dcb_dataset_at(dataset, i);
        for (uint32_t k = 0; k < element->nitems; k++)
            forget_charset(element->items[k]);
    }
}

dcb_status index_record_to_utf8(dcb_dataset *dataset, dcb_error *error)
{
    dcb_status status = dcb_dataset_to_utf8(dataset, error);
    if (status != DCB_ERR_UNSUPPORTED)
        return status;
    forget_charset(dataset);
    return dcb_dataset_to_utf8(dataset, error);
}

dcb_status index_record_dataset(dcb_dataset **out, dcb_series *series, uint32_t frame,
                                dcb_error *error)
{
    dcb_status status = dcb_series_dataset(out, series, frame, true, error);
    if (status != DCB_ERR_UNSUPPORTED ||
        dcb_series_dataset(out, series, frame, false, error) != DCB_OK)
        return status;
    status = index_record_to_utf8(*out, error);
    if (status != DCB_OK) {
        dcb_dataset_close(*out);
        *out = NULL;
    }
    return status;
}

static dcb_status get_series_dataset(dcb_dataset **out, void *context, uint32_t frame,
                                     dcb_error *error)
{
    return index_record_dataset(out, context, frame, error);
}

dcb_status index_record_create(index_record **out, dcb_series *series, dcb_error *error)
{
    return index_record_create_from(out, dcb_series_get_info(series)->nframes, get_series_dataset,
                                    series, error);
}

void index_record_close(index_record *record)
{
    while (record != NULL) {
        index_record *next = record->next;
        dcb_dataset_close(record->patient);
        dcb_dataset_close(record->study);
        dcb_dataset_close(record->series);
        free(record->patient_key);
        free(record->patient_id);
        free(record->folded_names);
        free(record->study_uid);
        free(record->series_uid);
        free(record->study_date);
        free(record->accession_number);
        free(record->modality);
        free(record->instances);
        free(record);
        record = next;
    }
}
