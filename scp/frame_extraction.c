/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_extraction.c - a new instance of some frames of a multi-frame one (PS3.4 Y.3.3).
 *
 * Invariant: what is made describes the frames that are in it and no others; what cannot be cut to
 * them with certainty is refused, with the status of PS3.4 Y.4.1.1.4 that says why.
 */

#include "frame_vectors.h"
#include "instance_part.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#define TAG_NUMBER_OF_FRAMES   DCB_TAG(0x0028, 0x0008)
#define TAG_INCREMENT_POINTER  DCB_TAG(0x0028, 0x0009)
#define TAG_FRAME_TIME         DCB_TAG(0x0018, 0x1063)
#define TAG_FRAME_TIME_VECTOR  DCB_TAG(0x0018, 0x1065)
#define TAG_FRAME_EXTRACTION   DCB_TAG(0x0008, 0x1164)
#define TAG_MULTI_FRAME_SOURCE DCB_TAG(0x0008, 0x1167)
#define TAG_CONTRIBUTING       DCB_TAG(0x0018, 0xA001)
#define TAG_PURPOSE_CODE       DCB_TAG(0x0040, 0xA170)
#define TAG_DIMENSION_TYPE     DCB_TAG(0x0020, 0x9311)

typedef struct extraction {
    const scp_query *query;
    dcb_dataset *head; /* becomes the new instance's */
    uint32_t nsource;  /* frames of the source */
    uint32_t *frames;  /* chosen, from 0 */
    uint32_t nframes;
    double *times;  /* ms of each source frame from the first; NULL: not known */
    bool by_vector; /* the times are a vector's */
} extraction;

static bool put_text(dcb_dataset *dataset, uint32_t tag, const char *vr, const char *text)
{
    return dcb_dataset_put_text(dataset, tag, DCB_VR(vr[0], vr[1]), text, NULL) == DCB_OK;
}

/* ---- Times ---- */

static size_t read_numbers(double *out, size_t capacity, const dcb_dataset *dataset, uint32_t tag)
{
    const dcb_element *element = dcb_dataset_find(dataset, tag);
    size_t n = 0;
    if (element == NULL || element->value == NULL)
        return 0;
    char *text = strndup((const char *)element->value, element->nbytes), *rest = text;
    for (char *one = text; one != NULL && one[0] != '\0' && n < capacity; one = rest) {
        char *end;
        rest = strchr(one, '\\');
        out[n++] = strtod(one, &end);
        if (end == one)
            n = 0;
        if (rest != NULL)
            rest++;
        if (n == 0)
            break;
    }
    free(text);
    return n;
}

/* Frame Time and Frame Time Vector (PS3.3 C.7.6.5): the first frame is at 0. */
static void read_times(extraction *e)
{
    double step;
    e->times = calloc(e->nsource, sizeof *e->times);
    if (e->times == NULL)
        return;
    e->by_vector = read_numbers(e->times, e->nsource, e->head, TAG_FRAME_TIME_VECTOR) == e->nsource;
    if (e->by_vector) {
        for (uint32_t i = 1; i < e->nsource; i++)
            e->times[i] += e->times[i - 1];
    } else if (read_numbers(&step, 1, e->head, TAG_FRAME_TIME) == 1 && step > 0) {
        for (uint32_t i = 0; i < e->nsource; i++)
            e->times[i] = i * step;
    } else {
        free(e->times);
        e->times = NULL;
    }
}

/* DS holds 16 characters. */
static void add_decimal(char **text, double value)
{
    char one[32], *longer = NULL;
    for (int digits = 12; digits > 0; digits--) {
        snprintf(one, sizeof one, "%.*g", digits, value);
        if (strlen(one) <= 16)
            break;
    }
    if (*text == NULL || asprintf(&longer, "%s%s%s", *text, **text != '\0' ? "\\" : "", one) < 0)
        longer = NULL;
    free(*text);
    *text = longer;
}

/* A step that is the same between all chosen frames stays a Frame Time. */
static bool write_times(extraction *e)
{
    if (e->times == NULL)
        return true;
    bool uniform = !e->by_vector;
    const uint32_t *f = e->frames;
    for (uint32_t i = 2; i < e->nframes; i++)
        uniform = uniform && f[i] - f[i - 1] == f[1] - f[0];
    char *text = strdup("");
    if (uniform) {
        const double step = e->nsource > 1 ? e->times[1] : 0;
        if (e->nframes < 2) { /* as it was */
            free(text);
            return true;
        }
        add_decimal(&text, step * (f[1] - f[0]));
    } else {
        for (uint32_t i = 0; i < e->nframes; i++)
            add_decimal(&text, i == 0 ? 0 : e->times[f[i]] - e->times[f[i - 1]]);
    }
    bool good = text != NULL &&
                put_text(e->head, uniform ? TAG_FRAME_TIME : TAG_FRAME_TIME_VECTOR, "DS", text);
    free(text);
    if (good && !uniform && !e->by_vector) { /* PS3.3 C.7.6.6: what tells frames apart now */
        static const uint8_t vector[4] = {0x18, 0x00, 0x65, 0x10};
        dcb_dataset_remove(e->head, TAG_FRAME_TIME);
        good = dcb_dataset_put(e->head, TAG_INCREMENT_POINTER, DCB_VR('A', 'T'), vector, 4, NULL) ==
               DCB_OK;
    }
    return good;
}

/* ---- Which frames ---- */

static bool is_chosen(const extraction *e, uint32_t frame)
{
    const query_frames *q = &e->query->frames;
    const uint32_t number = frame + 1;
    if (q->key == FRAMES_TIME)
        return e->times[frame] / 1000 >= q->from && e->times[frame] / 1000 <= q->to;
    for (uint32_t i = 0; i < q->count; i += q->key == FRAMES_SIMPLE ? 1 : 3) {
        const uint32_t *n = &q->numbers[i];
        if (q->key == FRAMES_SIMPLE
                ? *n == number
                : number >= n[0] && number <= n[1] && (number - n[0]) % n[2] == 0)
            return true;
    }
    return false;
}

/* A list names frames, and all must be there; ranges have an upper limit. */
static bool choose_frames(instance_part *out, extraction *e)
{
    const query_frames *q = &e->query->frames;
    read_times(e);
    if (q->key == FRAMES_TIME && e->times == NULL)
        return instance_part_fail(out, DIMSE_FRAME_NO_TIMES, "its frames have no times", "");
    e->frames = calloc(e->nsource, sizeof *e->frames);
    if (e->frames == NULL)
        return instance_part_fail(out, DIMSE_OUT_OF_RESOURCES_SUBOPERATIONS, "out of memory", "");
    for (uint32_t i = 0; i < e->nsource; i++) {
        if (is_chosen(e, i))
            e->frames[e->nframes++] = i;
    }
    if (e->nframes == 0)
        return instance_part_fail(out, DIMSE_FRAME_NONE_FOUND, "it has none of these frames", "");
    if (q->key == FRAMES_SIMPLE && e->nframes < q->count)
        return instance_part_fail(out, DIMSE_FRAME_NOT_EXTRACTED, "it has not all of these frames",
                                  "");
    return true;
}

/* Nobody knows which of them tell of frames (PS3.4 Y.3.3). */
static void remove_private(dcb_dataset *dataset)
{
    for (size_t i = dcb_dataset_count(dataset); i > 0; i--) {
        const uint32_t tag = dcb_dataset_at(dataset, i - 1)->tag;
        if ((tag >> 16 & 1) != 0)
            dcb_dataset_remove(dataset, tag);
    }
}

/* ---- Where it comes from ---- */

/* PS3.3 C.12.3: the source, and the key of the request. */
static bool add_extraction(extraction *e, const char *source_uid)
{
    static const uint32_t tags[] = {[FRAMES_SIMPLE] = TAG_SIMPLE_FRAME_LIST,
                                    [FRAMES_CALCULATED] = TAG_CALCULATED_FRAME_LIST,
                                    [FRAMES_TIME] = TAG_TIME_RANGE};
    const dcb_element *key = dcb_dataset_find(e->query->keys, tags[e->query->frames.key]);
    dcb_dataset *item;
    return key != NULL &&
           dcb_dataset_add_item(&item, e->head, TAG_FRAME_EXTRACTION, NULL) == DCB_OK &&
           dcb_dataset_put_element(item, key, NULL) == DCB_OK &&
           put_text(item, TAG_MULTI_FRAME_SOURCE, "UI", source_uid);
}

/* PS3.3 C.12.1.1.5, purpose from PS3.16 CID 7005. */
static bool add_equipment(extraction *e)
{
    dcb_dataset *item, *code;
    return dcb_dataset_add_item(&item, e->head, TAG_CONTRIBUTING, NULL) == DCB_OK &&
           put_text(item, DCB_TAG(0x0008, 0x0070), "LO", "dcbscp") &&
           put_text(item, DCB_TAG(0x0008, 0x1090), "LO", "dcbscp") &&
           put_text(item, DCB_TAG(0x0018, 0x1020), "LO", DCB_VERSION) &&
           dcb_dataset_add_item(&code, item, TAG_PURPOSE_CODE, NULL) == DCB_OK &&
           put_text(code, DCB_TAG(0x0008, 0x0100), "SH", "109105") &&
           put_text(code, DCB_TAG(0x0008, 0x0102), "SH", "DCM") &&
           put_text(code, DCB_TAG(0x0008, 0x0104), "LO", "Frame Extracting Equipment");
}

/* The same frames of the same instance have the same UID, however often they are asked for: a UUID
   (PS3.5 B.2) made of both. */
static void make_uid(char out[UL_UID_SIZE], const extraction *e, const char *source_uid)
{
    XXH3_state_t *state = XXH3_createState();
    char digits[41];
    XXH128_hash_t hash = {0, 0};
    if (state != NULL) {
        XXH3_128bits_reset(state);
        XXH3_128bits_update(state, source_uid, strlen(source_uid));
        XXH3_128bits_update(state, e->frames, e->nframes * sizeof *e->frames);
        hash = XXH3_128bits_digest(state);
        XXH3_freeState(state);
    }
    /* Version 8 (made of what its maker likes), variant 1. */
    hash.high64 = (hash.high64 & ~UINT64_C(0xF000)) | 0x8000;
    hash.low64 = (hash.low64 & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
    unsigned __int128 value = (unsigned __int128)hash.high64 << 64 | hash.low64;
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value != 0);
    snprintf(out, UL_UID_SIZE, "2.25.%s", digits + at);
}

/* ---- The new instance ---- */

/* What the standard leaves to us to be sure of. */
static bool check_source(instance_part *out, const extraction *e, const char *sop_class_uid)
{
    static const char *const nuclear = "1.2.840.10008.5.1.4.1.1.20"; /* its vectors count more */
    char type[17] = "";
    dcb_dataset_get_text(e->head, TAG_DIMENSION_TYPE, type, sizeof type);
    if (dcb_dataset_find(e->head, TAG_NUMBER_OF_FRAMES) == NULL ||
        strcmp(sop_class_uid, nuclear) == 0 || strcmp(type, "TILED_FULL") == 0)
        return instance_part_fail(out, DIMSE_FRAME_SOP_CLASS,
                                  "frames of this kind of instance cannot be extracted", "");
    for (uint32_t group = 0x6000; group <= 0x601E; group += 2) {
        if (dcb_dataset_find(e->head, DCB_TAG(group, 0x0015)) != NULL)
            return instance_part_fail(out, DIMSE_FRAME_NOT_EXTRACTED,
                                      "it has overlays of several frames", "");
    }
    return true;
}

static bool describe(extraction *e, const char *source_uid)
{
    char uid[UL_UID_SIZE], number[16];
    make_uid(uid, e, source_uid);
    snprintf(number, sizeof number, "%u", (unsigned)e->nframes);
    remove_private(e->head);
    dcb_dataset_remove(e->head, DCB_TAG(0x7FE0, 0x0001)); /* Extended Offset Table, lengths */
    dcb_dataset_remove(e->head, DCB_TAG(0x7FE0, 0x0002));
    return frame_vectors_cut(e->head, e->frames, e->nframes, e->nsource) && write_times(e) &&
           put_text(e->head, TAG_SOP_INSTANCE_UID, "UI", uid) &&
           put_text(e->head, TAG_NUMBER_OF_FRAMES, "IS", number) && add_extraction(e, source_uid) &&
           add_equipment(e);
}

static bool extract(instance_part *out, extraction *e, const dcb_frame *source)
{
    const char *source_uid = dcb_frame_sop_instance_uid(source);
    char text[16] = "";
    uint8_t *pixels = NULL;
    size_t nbytes = 0;
    dcb_error error = DCB_ERROR_INIT;
    if (!check_source(out, e, dcb_frame_sop_class_uid(source)))
        return false;
    dcb_dataset_get_text(e->head, TAG_NUMBER_OF_FRAMES, text, sizeof text);
    const unsigned long n = strtoul(text, NULL, 10);
    if (n == 0 || n > 1u << 20)
        return instance_part_fail(out, DIMSE_FRAME_NOT_EXTRACTED, "it has no number of frames", "");
    e->nsource = (uint32_t)n;
    if (!choose_frames(out, e))
        return false;
    if (dcb_frame_extract(&pixels, &nbytes, source, e->frames, e->nframes, &error) != DCB_OK)
        return instance_part_fail(out, DIMSE_FRAME_NOT_EXTRACTED, "its frames cannot be told apart",
                                  error.message);
    const bool good =
        describe(e, source_uid) &&
        instance_part_open(out, e->head, pixels, nbytes, dcb_frame_transfer_syntax_uid(source));
    free(pixels);
    return good || instance_part_fail(out, DIMSE_FRAME_NOT_EXTRACTED,
                                      "what describes its frames cannot be cut", out->reason);
}

bool instance_frames(instance_part *out, dcb_series *series, uint32_t frame, const char *uid,
                     const scp_query *query)
{
    dcb_frame *source = NULL;
    dcb_frame_info info;
    dcb_error error = DCB_ERROR_INIT;
    extraction e = {.query = query};
    *out = (instance_part){.series = NULL};
    dcb_status status = dcb_series_frame_info(&info, series, frame, &error);
    if (status == DCB_OK && strcmp(info.sop_instance_uid, uid) != 0)
        return instance_part_fail(out, DIMSE_FRAME_NOT_EXTRACTED,
                                  "the file changed since it was indexed", "");
    /* Compressed ones stay so; the others are cut in Explicit VR Little Endian. */
    static const char native[] = "1.2.840.10008.1.2";
    const char *end = info.stored_syntax_uid + strlen(native);
    const bool is_native =
        status == DCB_OK && (*end == '\0' || strncmp(end, ".1", 2) == 0 || strcmp(end, ".2") == 0);
    if (status == DCB_OK)
        status =
            dcb_series_frame(&source, series, frame,
                             is_native ? DCB_ENCODING_EXPLICIT_LE : DCB_ENCODING_STORED, &error);
    if (status == DCB_OK) {
        size_t nbytes;
        dcb_head_end head_end;
        const uint8_t *dataset = dcb_frame_dataset(source, &nbytes);
        status = dcb_dataset_parse_head(&e.head, &head_end, dataset, nbytes,
                                        dcb_frame_transfer_syntax_uid(source),
                                        DCB_TAG(0x7FE0, 0x0010), NULL, NULL, &error);
    }
    const bool good = status == DCB_OK
                          ? extract(out, &e, source)
                          : instance_part_fail(out, DIMSE_FRAME_NOT_EXTRACTED,
                                               dcb_status_text(error.status), error.message);
    dcb_frame_release(source);
    dcb_dataset_close(e.head);
    free(e.frames);
    free(e.times);
    return good;
}
