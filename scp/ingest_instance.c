/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_instance.c - one instance from its first byte to its answer.
 *
 * Up to JOURNAL_RECORD_MAX bytes of it are held; a larger one goes to its own file as it comes, and
 * is made durable there. Invariant: until `kept` nothing with a lasting name exists, so an
 * abandoned instance leaves nothing behind.
 */
#include "ingest_private.h"

#include "dictionary.h"
#include "dimse_status.h"
#include "log.h"
#include "pack_same.h"
#include "relocate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define HEAD_END  DCB_TAG(0x0040, 0x0281) /* after all that index records hold */
#define ROOM_STEP (16u << 20)             /* a large instance looks for room this often */

struct ingest_instance {
    scp_ingest *ingest;
    uint32_t association_number;
    char transfer_syntax_uid[UL_UID_SIZE], sop_class_uid[UL_UID_SIZE];
    char sop_instance_uid[UL_UID_SIZE];
    ingest_verdict verdict; /* status 0 until something fails */
    uint8_t *bytes; /* a journal_buffer: the Part 10 file, or its first JOURNAL_RECORD_MAX bytes */
    size_t nbytes, header_nbytes;
    uint64_t total_nbytes;
    uint64_t number; /* 0: none yet */
    int fd;          /* of the .part; -1: all of it is in bytes */
    char part[INGEST_PATH_SIZE];
    uint64_t room_checked;
    XXH3_state_t *hash; /* of all after the preamble */
};

static void fail(ingest_instance *in, uint16_t status, const char *format, ...) DCB_PRINTF(3, 4);

/* The first failure is the answer. */
static void fail(ingest_instance *in, uint16_t status, const char *format, ...)
{
    if (in->verdict.status != DIMSE_SUCCESS)
        return;
    in->verdict.status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(in->verdict.comment, sizeof in->verdict.comment, format, arguments);
    va_end(arguments);
}

static void fail_disk(ingest_instance *in, const char *what, int cause)
{
    log_event(LOG_ERROR, "store.failed", LOG_U("association", in->association_number),
              LOG_T("what", what), LOG_T("reason", strerror(cause)));
    fail(in, DIMSE_OUT_OF_RESOURCES, "the instance cannot be written");
}

/* ---- Receiving ---- */

ingest_instance *ingest_begin(scp_ingest *ingest, const ingest_request *request)
{
    ingest_instance *in = calloc(1, sizeof *in);
    if (in == NULL)
        return NULL;
    in->ingest = ingest;
    in->association_number = request->association_number;
    in->fd = -1;
    snprintf(in->transfer_syntax_uid, UL_UID_SIZE, "%s", request->transfer_syntax_uid);
    snprintf(in->sop_class_uid, UL_UID_SIZE, "%s", request->sop_class_uid);
    snprintf(in->sop_instance_uid, UL_UID_SIZE, "%s", request->sop_instance_uid);
    in->bytes = ingest__take_buffer(ingest);
    in->hash = XXH3_createState();
    if (in->bytes == NULL || in->hash == NULL || XXH3_64bits_reset(in->hash) != XXH_OK) {
        ingest_free(in);
        return NULL;
    }
    in->nbytes = in->header_nbytes = dcb_part10_header(in->bytes, in->transfer_syntax_uid,
                                                       in->sop_class_uid, in->sop_instance_uid);
    in->total_nbytes = in->nbytes;
    XXH3_64bits_update(in->hash, in->bytes + PREAMBLE, in->nbytes - PREAMBLE);
    if (!ingest__has_room(ingest, 0))
        fail(in, DIMSE_OUT_OF_RESOURCES, "the disk is full up to its reserve");
    return in;
}

static bool write_part(ingest_instance *in, const uint8_t *bytes, size_t nbytes)
{
    const int cause = ingest__write_all(in->fd, bytes, nbytes);
    if (cause != 0)
        fail_disk(in, "write", cause);
    return cause == 0;
}

/* From here on it goes to a file of its own. */
static bool begin_part(ingest_instance *in)
{
    uint8_t preamble[PREAMBLE] = {0};
    in->number = ingest__next_number(in->ingest);
    int cause = in->number != 0 ? ingest__make_folder(in->ingest, in->number) : EIO;
    if (cause == 0) {
        ingest__path(in->part, in->ingest, in->number, ".part");
        in->fd = open(in->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        cause = in->fd < 0 ? errno : 0;
    }
    if (cause == 0 && pwrite(in->fd, preamble, PREAMBLE, 0) != PREAMBLE)
        cause = errno != 0 ? errno : EIO;
    if (cause != 0 || lseek(in->fd, PREAMBLE, SEEK_SET) != PREAMBLE) {
        fail_disk(in, "open", cause != 0 ? cause : errno);
        return false;
    }
    return write_part(in, in->bytes + PREAMBLE, in->nbytes - PREAMBLE);
}

void ingest_take(ingest_instance *in, const uint8_t *bytes, size_t nbytes)
{
    if (in->verdict.status != DIMSE_SUCCESS || nbytes == 0)
        return;
    XXH3_64bits_update(in->hash, bytes, nbytes); /* while they are in the processor's cache */
    if (in->fd < 0 && nbytes <= JOURNAL_RECORD_MAX - in->nbytes) {
        memcpy(in->bytes + in->nbytes, bytes, nbytes);
        in->nbytes += nbytes;
        in->total_nbytes += nbytes;
        return;
    }
    if (in->total_nbytes >= in->room_checked) {
        in->room_checked = in->total_nbytes + ROOM_STEP;
        if (!ingest__has_room(in->ingest, ROOM_STEP)) {
            fail(in, DIMSE_OUT_OF_RESOURCES, "the disk is full up to its reserve");
            return;
        }
    }
    if (in->fd < 0 && !begin_part(in))
        return;
    if (write_part(in, bytes, nbytes))
        in->total_nbytes += nbytes;
}

/* ---- Checking ---- */

static bool has_uid(const dcb_dataset *dataset, uint32_t tag, const char *expected)
{
    char uid[UL_UID_SIZE];
    const ptrdiff_t n = dcb_dataset_get_text(dataset, tag, uid, sizeof uid);
    return n > 0 && n < UL_UID_SIZE && (expected == NULL || strcmp(uid, expected) == 0);
}

static dcb_status give_head(dcb_dataset **out, void *context, uint32_t frame, dcb_error *error)
{
    (void)frame;
    dcb_status status = dcb_dataset_copy(out, context, error);
    return status == DCB_OK ? index_record_to_utf8(*out, error) : status;
}

static void check_head(ingest_instance *in, const dcb_dataset *head, index_record **record)
{
    dcb_error error = DCB_ERROR_INIT;
    if (!has_uid(head, DCB_TAG(0x0008, 0x0016), in->sop_class_uid))
        fail(in, DIMSE_IDENTIFIER_MISMATCH, "(0008,0016) is not the command's SOP class");
    else if (!has_uid(head, DCB_TAG(0x0008, 0x0018), in->sop_instance_uid))
        fail(in, DIMSE_IDENTIFIER_MISMATCH, "(0008,0018) is not the command's SOP instance");
    else if (!has_uid(head, DCB_TAG(0x0020, 0x000D), NULL))
        fail(in, DIMSE_IDENTIFIER_MISMATCH, "no usable Study Instance UID (0020,000D)");
    else if (!has_uid(head, DCB_TAG(0x0020, 0x000E), NULL))
        fail(in, DIMSE_IDENTIFIER_MISMATCH, "no usable Series Instance UID (0020,000E)");
    else if (index_record_create_from(record, 1, give_head, (void *)(uintptr_t)head, &error) !=
             DCB_OK)
        fail(in,
             error.status == DCB_ERR_NO_MEMORY ? DIMSE_OUT_OF_RESOURCES : DIMSE_UNABLE_TO_PROCESS,
             "the data set cannot be indexed");
}

/* Reads no more than the index needs, and that the rest, as far as it is held, is made of elements.
 */
static index_record *read_head(ingest_instance *in)
{
    dcb_dataset *head = NULL;
    index_record *record = NULL;
    dcb_error error = DCB_ERROR_INIT;
    dcb_head_end end = DCB_HEAD_CUT;
    const size_t nbytes = in->nbytes - in->header_nbytes;
    if (dcb_dataset_parse_head(&head, &end, in->bytes + in->header_nbytes, nbytes,
                               in->transfer_syntax_uid, HEAD_END, dictionary_vr, NULL,
                               &error) != DCB_OK) {
        log_event(LOG_WARN, "store.malformed", LOG_U("association", in->association_number),
                  LOG_T("reason", error.message));
        fail(in, DIMSE_UNABLE_TO_PROCESS, "the data set is malformed at byte %" PRIu64,
             error.offset == UINT64_MAX ? 0 : error.offset);
    } else if (end != DCB_HEAD_WHOLE && in->fd < 0) {
        fail(in, DIMSE_UNABLE_TO_PROCESS, "the data set ends within an element");
    } else {
        check_head(in, head, &record);
    }
    dcb_dataset_close(head);
    return record;
}

/* ---- Duplicates ---- */

static bool same_bytes(dcb_frame *a, dcb_frame *b)
{
    size_t na, nb;
    const uint8_t *bytes_a = dcb_frame_dataset(a, &na), *bytes_b = dcb_frame_dataset(b, &nb);
    return na == nb && memcmp(bytes_a, bytes_b, na) == 0;
}

static bool same_in(dcb_series *known, uint32_t frame, dcb_series *arrived, dcb_encoding encoding)
{
    dcb_frame *a = NULL, *b = NULL;
    bool same = dcb_series_frame(&a, known, frame, encoding, NULL) == DCB_OK &&
                dcb_series_frame(&b, arrived, 0, encoding, NULL) == DCB_OK &&
                strcmp(dcb_frame_transfer_syntax_uid(a), dcb_frame_transfer_syntax_uid(b)) == 0 &&
                same_bytes(a, b);
    dcb_frame_release(a);
    dcb_frame_release(b);
    return same;
}

/* Against what was packed, where pixels may have been encoded since. */
static bool same_packed(ingest_instance *in, dcb_series *known, uint32_t frame)
{
    part10_file source;
    const part10_result result = in->fd < 0 ? part10_file_copy(&source, in->bytes, in->nbytes, NULL)
                                            : part10_file_read(&source, in->part, NULL);
    const bool same = result == PART10_OK && pack_holds(known, frame, &source);
    part10_file_close(&source);
    return same;
}

/* The same data set, in the bytes as they came or once both are written in one encoding. What
   cannot be compared is taken for different. */
static bool is_same(ingest_instance *in, dcb_series *known, uint32_t frame)
{
    dcb_series *arrived = NULL;
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.vr_lookup = dictionary_vr;
    if (dcb_series_get_info(known)->has_trailer)
        return same_packed(in, known, frame);
    const dcb_status status =
        in->fd < 0 ? dcb_series_open_memory(&arrived, in->bytes, in->nbytes, &options, NULL)
                   : dcb_series_open(&arrived, in->part, &options, NULL);
    const bool same =
        status == DCB_OK && (same_in(known, frame, arrived, DCB_ENCODING_STORED) ||
                             same_in(known, frame, arrived, DCB_ENCODING_EXPLICIT_LE));
    dcb_series_release(arrived);
    return same;
}

/* The one with the UID that is there. Packing may move it meanwhile: then it is looked for again.
 */
static dcb_series *open_known(ingest_instance *in, const ingest_place *place,
                              const char *series_uid, uint32_t *frame)
{
    dcb_series *known = NULL;
    *frame = place->frame;
    if (series_pool_get(&known, in->ingest->series, place->path, NULL) == DCB_OK &&
        relocate_holds(known, place->frame, in->sop_instance_uid))
        return known;
    dcb_series_release(known);
    return relocate(frame, in->ingest->index, in->ingest->series, series_uid, in->sop_instance_uid);
}

typedef enum comparison { SAME, DIFFERENT, UNREADABLE } comparison;

static comparison compare(ingest_instance *in, const ingest_place *place, const char *series_uid)
{
    uint32_t frame;
    dcb_series *known = open_known(in, place, series_uid, &frame);
    if (known == NULL)
        return UNREADABLE;
    const bool same = is_same(in, known, frame);
    dcb_series_release(known);
    return same ? SAME : DIFFERENT;
}

typedef enum duplicate_verdict { KEEP_IT, KEEP_WITH_WARNING, HAVE_IT, DROP_IT } duplicate_verdict;

static duplicate_verdict judge_duplicate(ingest_instance *in, const char *series_uid)
{
    ingest_place place;
    scp_error error = SCP_ERROR_INIT;
    if (ingest__find(&place, in->ingest, in->sop_instance_uid, series_uid, &error) != 0) {
        log_event(LOG_ERROR, "store.index", LOG_U("association", in->association_number),
                  LOG_T("reason", error.message));
        fail(in, DIMSE_OUT_OF_RESOURCES, "the index cannot be read");
        return DROP_IT;
    }
    if (place.path == NULL)
        return KEEP_IT;
    struct stat st;
    if (stat(place.path, &st) == 0) /* it may be of a time when the clock was ahead */
        ingest__see_time(in->ingest, ingest__stamp_of(&st).mtime_ns);
    duplicate_verdict verdict = KEEP_WITH_WARNING;
    const store_duplicates policy = in->ingest->options->store_duplicates;
    const char *effect = "the SOP instance is in another series too: both are kept";
    const comparison found = place.same_series ? compare(in, &place, series_uid) : DIFFERENT;
    if (found == SAME) {
        verdict = HAVE_IT;
        effect = "";
    } else if (found == UNREADABLE) { /* whatever the policy: it may be the only one */
        effect = "the instance that is here cannot be read: both are kept";
    } else if (place.same_series && policy == DUPLICATES_REPLACE) {
        effect = "another instance with this UID is replaced";
    } else if (place.same_series) {
        verdict = DROP_IT;
        effect = "another instance with this UID is here and kept";
        fail(in, policy == DUPLICATES_REJECT ? DIMSE_UNABLE_TO_PROCESS : DIMSE_WARNING_DUPLICATE,
             "%s", effect);
    }
    if (verdict != HAVE_IT)
        log_event(LOG_WARN, "store.duplicate", LOG_U("association", in->association_number),
                  LOG_T("known", place.path), LOG_T("effect", effect));
    if (verdict == KEEP_WITH_WARNING)
        snprintf(in->verdict.comment, sizeof in->verdict.comment, "%s", effect);
    free(place.path);
    return verdict;
}

/* ---- Keeping ---- */

/* With a journal the file is written later, if at all. */
static int keep_small(ingest_instance *in, ingest_pending *entry)
{
    scp_ingest *ingest = in->ingest;
    const uint64_t hash = XXH3_64bits_digest(in->hash);
    ingest__seal(in->bytes, in->nbytes, hash);
    if (ingest->journal == NULL) {
        const ingest_content content = {in->bytes, in->nbytes, ingest__arrive(ingest, entry), true};
        return ingest__write_spooled(ingest, in->number, ".dcm", &content, &entry->stamp);
    }
    int result = ingest__reserve(ingest, in->nbytes);
    if (result != 0)
        return result;
    const journal_record record = {.number = in->number,
                                   .arrived_ns = ingest__arrive(ingest, entry),
                                   .bytes = in->bytes,
                                   .nbytes = in->nbytes,
                                   .payload_hash = hash};
    result = journal_write(ingest->journal, &record, &entry->place);
    if (result != 0) {
        ingest__unreserve(ingest, in->nbytes);
        return result;
    }
    if (entry->place.may_stay && ingest__unwritten_add(ingest, &record, &entry->place)) {
        ingest__reserve_disk_only(ingest);
        entry->stamp = (file_stamp){.nbytes = in->nbytes, .mtime_ns = record.arrived_ns};
        return 0;
    }
    entry->bytes = in->bytes;
    in->bytes = NULL;
    return 0;
}

static int keep_large(ingest_instance *in, ingest_pending *entry)
{
    uint8_t preamble[PREAMBLE];
    ingest__seal(preamble, in->total_nbytes, XXH3_64bits_digest(in->hash));
    if (pwrite(in->fd, preamble, PREAMBLE, 0) != PREAMBLE)
        return errno != 0 ? errno : EIO;
    int result = ingest__settle_file(in->ingest, in->fd, in->part, entry->path,
                                     ingest__arrive(in->ingest, entry), &entry->stamp);
    if (result == 0) {
        close(in->fd);
        in->fd = -1;
    }
    return result;
}

/* Takes the record over. */
static void keep(ingest_instance *in, ingest_pending *entry, index_record *record)
{
    char path[INGEST_PATH_SIZE];
    int cause = 0;
    if (in->number == 0)
        in->number = ingest__next_number(in->ingest);
    ingest__path(path, in->ingest, in->number, ".dcm");
    entry->number = in->number;
    entry->nbytes = in->total_nbytes;
    entry->record = record;
    entry->path = strdup(path);
    if (in->number == 0)
        cause = EIO;
    else if (entry->path == NULL)
        cause = ENOMEM;
    if (cause == 0)
        cause = in->fd < 0 ? keep_small(in, entry) : keep_large(in, entry);
    if (cause == 0) {
        ingest__acknowledge(in->ingest, entry);
        ingest__count(&in->ingest->backlog, &in->ingest->backlog.stats.received, 1);
        ingest__count(&in->ingest->backlog, &in->ingest->backlog.stats.received_bytes,
                      in->total_nbytes);
        return;
    }
    fail_disk(in, "write", cause);
    ingest__leave(in->ingest, entry);
}

void ingest_finish(ingest_instance *in, ingest_verdict *verdict)
{
    index_record *record = NULL;
    ingest_pending *entry = NULL;
    duplicate_verdict duplicate = DROP_IT;
    if (in->verdict.status == DIMSE_SUCCESS && (record = read_head(in)) != NULL) {
        entry = ingest__enter(in->ingest, in->sop_instance_uid);
        if (entry == NULL)
            fail(in, DIMSE_OUT_OF_RESOURCES, "the instance cannot be taken in now");
        else
            duplicate = judge_duplicate(in, record->series_uid);
    }
    if (entry != NULL && (duplicate == KEEP_IT || duplicate == KEEP_WITH_WARNING)) {
        keep(in, entry, record);
        if (duplicate == KEEP_WITH_WARNING && in->verdict.status == DIMSE_SUCCESS)
            in->verdict.status = DIMSE_WARNING_DUPLICATE;
    } else {
        index_record_close(record);
        if (entry != NULL)
            ingest__leave(in->ingest, entry);
    }
    if (in->verdict.status != DIMSE_SUCCESS && in->verdict.status != DIMSE_WARNING_DUPLICATE)
        ingest__count(&in->ingest->backlog, &in->ingest->backlog.stats.refused, 1);
    else if (duplicate == HAVE_IT)
        ingest__count(&in->ingest->backlog, &in->ingest->backlog.stats.repeated, 1);
    *verdict = in->verdict;
}

void ingest_free(ingest_instance *in)
{
    if (in == NULL)
        return;
    if (in->fd >= 0) {
        close(in->fd);
        unlink(in->part);
    }
    XXH3_freeState(in->hash);
    ingest__give_buffer(in->ingest, in->bytes);
    free(in);
}
