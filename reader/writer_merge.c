/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer_merge.c - elements as runs of slices with the same value, and those as JSON.
 *
 * Invariant: an element's runs cover the slices [0, next) without gaps; a run without bytes stands
 * for slices that lack the element.
 *
 * At every level values are in slice order, so that a reader that trusts the order is right.
 */
#include "writer_merge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "charset_sets.h"
#include "dcb_error.h"
#include "vr.h"

#define TAG_CHARSET      DCB_TAG(0x0008, 0x0005)
#define TAG_PIXEL_GROUP  DCB_TAG(0x7FE0, 0x0000)
#define MAX_TABLE        (1u << 20)
#define MAX_BINARY       7680u /* what DiCube keeps */
#define MAX_ELEMENT_JSON (64u << 20)

typedef struct run {
    uint32_t from; /* slice */
    uint32_t nbytes;
    const uint8_t *bytes; /* NULL: missing */
} run;

struct dcb__merged {
    uint32_t tag;
    dcb_vr vr;
    bool dropped; /* not in the JSON: kinds differ by slice, or binary data are too long */
    uint32_t next;
    run *runs;
    uint32_t nruns, capacity;
    dcb__merge_level *items; /* of SQ */
    uint32_t nitems;
};

void dcb__merge_init(dcb__merge *merge)
{
    *merge = (dcb__merge){.nslices = 0};
    dcb__arena_init(&merge->arena);
}

void dcb__merge_free(dcb__merge *merge)
{
    dcb__arena_free(&merge->arena);
    merge->root = (dcb__merge_level){NULL, 0, 0};
}

/* ---- Adding ---------------------------------------------------------------------------------- */

static bool is_binary(dcb_vr vr)
{
    return vr == DCB_VR_UN || vr >> 8 == 'O';
}

/* The element's place, made where it is new; NULL: out of memory. */
static dcb__merged *place(dcb__merge *merge, dcb__merge_level *level, uint32_t tag, dcb_vr vr)
{
    uint32_t low = 0, high = level->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (level->list[middle].tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < level->count && level->list[low].tag == tag)
        return &level->list[low];
    if (level->count == level->capacity) {
        uint32_t capacity = level->capacity > 0 ? level->capacity * 2 : 16;
        dcb__merged *grown = dcb__arena_alloc(&merge->arena, capacity * sizeof *grown, 8);
        if (grown == NULL)
            return NULL;
        if (level->count > 0)
            memcpy(grown, level->list, level->count * sizeof *grown);
        level->list = grown;
        level->capacity = capacity;
    }
    memmove(&level->list[low + 1], &level->list[low], (level->count - low) * sizeof *level->list);
    level->count++;
    level->list[low] = (dcb__merged){.tag = tag, .vr = vr};
    return &level->list[low];
}

static bool append_run(dcb__merge *merge, dcb__merged *merged, uint32_t from, const uint8_t *bytes,
                       uint32_t nbytes)
{
    if (merged->nruns == merged->capacity) {
        uint32_t capacity = merged->capacity > 0 ? merged->capacity * 2 : 1;
        run *grown = dcb__arena_alloc(&merge->arena, capacity * sizeof *grown, 8);
        if (grown == NULL)
            return false;
        if (merged->nruns > 0)
            memcpy(grown, merged->runs, merged->nruns * sizeof *grown);
        merged->runs = grown;
        merged->capacity = capacity;
    }
    const uint8_t *copy = NULL;
    if (bytes != NULL) {
        uint8_t *own = dcb__arena_alloc(&merge->arena, nbytes > 0 ? nbytes : 1, 1);
        if (own == NULL)
            return false;
        if (nbytes > 0)
            memcpy(own, bytes, nbytes);
        copy = own;
    }
    merged->runs[merged->nruns++] = (run){from, nbytes, copy};
    return true;
}

static bool add_value(dcb__merge *merge, dcb__merged *merged, const dcb_element *element)
{
    uint32_t slice = merge->nslices;
    if (merged->next < slice && !append_run(merge, merged, merged->next, NULL, 0))
        return false;
    merged->next = slice + 1;
    const run *last = merged->nruns > 0 ? &merged->runs[merged->nruns - 1] : NULL;
    if (last != NULL && last->bytes != NULL && last->nbytes == element->nbytes &&
        (element->nbytes == 0 || memcmp(last->bytes, element->value, element->nbytes) == 0))
        return true;
    /* Tables that pixels mean nothing without stay, where they are the same for all. */
    bool table = element->tag >> 16 == 0x0028 && last == NULL;
    uint32_t limit = table ? MAX_TABLE : MAX_BINARY;
    if (is_binary(element->vr) &&
        (element->nbytes > limit || (last != NULL && last->nbytes > limit)))
        merged->dropped = true;
    if (merged->dropped)
        return true;
    return append_run(merge, merged, slice,
                      element->nbytes > 0 ? element->value : (const uint8_t *)"", element->nbytes);
}

static bool add_level(dcb__merge *merge, dcb__merge_level *level, const dcb_dataset *dataset,
                      const dcb_element *charset, unsigned depth);

static bool add_items(dcb__merge *merge, dcb__merged *merged, const dcb_element *element,
                      unsigned depth)
{
    if (element->nitems > merged->nitems) {
        dcb__merge_level *grown =
            dcb__arena_alloc(&merge->arena, element->nitems * sizeof *grown, 8);
        if (grown == NULL)
            return false;
        memset(grown, 0, element->nitems * sizeof *grown);
        if (merged->nitems > 0)
            memcpy(grown, merged->items, merged->nitems * sizeof *grown);
        merged->items = grown;
        merged->nitems = element->nitems;
    }
    for (uint32_t i = 0; i < element->nitems; i++)
        if (!add_level(merge, &merged->items[i], element->items[i], NULL, depth + 1))
            return false;
    return true;
}

static bool add_level(dcb__merge *merge, dcb__merge_level *level, const dcb_dataset *dataset,
                      const dcb_element *charset, unsigned depth)
{
    for (size_t i = 0; i < dcb_dataset_count(dataset); i++) {
        const dcb_element *element = dcb_dataset_at(dataset, i);
        if (depth == 0 && (element->tag >= TAG_PIXEL_GROUP || element->tag == TAG_CHARSET))
            continue;
        dcb__merged *merged = place(merge, level, element->tag, element->vr);
        if (merged == NULL)
            return false;
        if (merged->vr != element->vr)
            merged->dropped = true;
        if (merged->dropped)
            continue;
        if (element->vr == DCB_VR_SQ ? !add_items(merge, merged, element, depth)
                                     : !add_value(merge, merged, element))
            return false;
    }
    if (charset == NULL)
        return true;
    dcb__merged *merged = place(merge, level, TAG_CHARSET, DCB_VR_CS);
    return merged != NULL && add_value(merge, merged, charset);
}

dcb_status dcb__merge_add(dcb__merge *merge, const dcb_dataset *dataset, const dcb_element *charset,
                          dcb_error *error)
{
    if (!add_level(merge, &merge->root, dataset, charset, 0))
        return dcb__fail_no_memory(error, sizeof(dcb__merged));
    merge->nslices++;
    return DCB_OK;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put(dcb__writer *json, const char *text)
{
    dcb__writer_append(json, text, strlen(text));
}

/* UTF-8 as ASCII: beyond it there are only strings. */
static void put_ascii(dcb__writer *json, const char *text, size_t nbytes)
{
    size_t done = 0;
    for (size_t pos = 0; pos < nbytes;) {
        if ((unsigned char)text[pos] < 0x80) {
            pos++;
            continue;
        }
        dcb__writer_append(json, text + done, pos - done);
        uint32_t code = dcb__utf8_next((const uint8_t *)text, nbytes, &pos);
        char escaped[16];
        if (code >= 0x10000)
            snprintf(escaped, sizeof escaped, "\\u%04x\\u%04x",
                     (unsigned)(0xD800 + ((code - 0x10000) >> 10)),
                     (unsigned)(0xDC00 + ((code - 0x10000) & 0x3FF)));
        else
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)code);
        put(json, escaped);
        done = pos;
    }
    dcb__writer_append(json, text + done, nbytes - done);
}

/* One value as PS3.18 has it: what follows "vr" in its element's object. free() *json; *body is in
   it, and empty where there is no value. */
static dcb_status value_json(char **json, const char **body, size_t *body_nbytes,
                             const dcb__merged *merged, const run *value, dcb_error *error)
{
    dcb_dataset *one = NULL;
    size_t nbytes = 0;
    *json = NULL;
    dcb_status status = dcb_dataset_create(&one, error);
    if (status == DCB_OK)
        status = dcb_dataset_put(one, merged->tag, merged->vr, value->bytes, value->nbytes, error);
    if (status == DCB_OK)
        status = dcb_dataset_to_json(json, &nbytes, one, MAX_ELEMENT_JSON, error);
    dcb_dataset_close(one);
    if (status != DCB_OK)
        return status;
    /* {"TTTTTTTT":{"vr":"XX"...}} */
    const size_t head = strlen("{\"TTTTTTTT\":{\"vr\":\"XX\""), tail = 2;
    *body = *json + head;
    *body_nbytes = nbytes - head - tail;
    return DCB_OK;
}

/* Whether there is exactly one value. */
static bool is_single(dcb_vr vr, const run *value)
{
    const dcb__vr_info *info = dcb__vr_info_or_un(vr);
    if (info->trim == DCB_TRIM_NONE && !info->several)
        return value->nbytes == (vr == DCB_VR_AT ? 4u : info->unit);
    return !info->several || memchr(value->bytes, '\\', value->nbytes) == NULL;
}

/* False where a value is padding alone: the JSON has none for it. */
static bool has_value(dcb_vr vr, const run *value)
{
    if (value->bytes == NULL || value->nbytes == 0)
        return false;
    if (dcb__vr_info_or_un(vr)->trim == DCB_TRIM_NONE)
        return true;
    for (uint32_t i = 0; i < value->nbytes; i++)
        if (value->bytes[i] != ' ' && value->bytes[i] != '\0')
            return true;
    return false;
}

typedef struct kind {
    bool any, all, flat;
} kind;

static kind look_at_runs(const dcb__merged *merged, uint32_t nslices)
{
    kind k = {false, merged->next == nslices, true};
    for (uint32_t i = 0; i < merged->nruns; i++) {
        bool has = has_value(merged->vr, &merged->runs[i]);
        k.any = k.any || has;
        k.all = k.all && has;
        k.flat = k.flat && has && is_single(merged->vr, &merged->runs[i]);
    }
    k.flat = k.flat && k.all;
    return k;
}

/* The value of one run, repeated for its slices. */
static dcb_status put_run(dcb__writer *json, const dcb__merged *merged, const run *value,
                          uint32_t end, bool flat, dcb_error *error)
{
    static const char key[] = ",\"Value\":[";
    static const char binary_key[] = ",\"InlineBinary\":";
    char *text = NULL;
    const char *body = "\"None\"";
    size_t nbytes = strlen(body);
    dcb_status status = DCB_OK;
    if (has_value(merged->vr, value)) {
        status = value_json(&text, &body, &nbytes, merged, value, error);
        if (status != DCB_OK)
            return status;
        size_t skip = is_binary(merged->vr) ? sizeof binary_key - 1 : sizeof key - 2;
        body += skip;
        nbytes -= skip;
        if (flat && !is_binary(merged->vr)) { /* without the brackets */
            body++;
            nbytes -= 2;
        }
    }
    for (uint32_t slice = value->from; slice < end; slice++) {
        if (slice > 0)
            put(json, ",");
        put_ascii(json, body, nbytes);
    }
    free(text);
    return DCB_OK;
}

static dcb_status put_slices(dcb__writer *json, const dcb__merged *merged, uint32_t nslices,
                             const kind *k, dcb_error *error)
{
    bool binary = is_binary(merged->vr);
    put(json, binary ? "\"shared\":false,\"InlineBinary\":[" : "\"shared\":false,\"Value\":[");
    dcb_status status = DCB_OK;
    for (uint32_t i = 0; status == DCB_OK && i < merged->nruns; i++)
        status = put_run(json, merged, &merged->runs[i],
                         i + 1 < merged->nruns ? merged->runs[i + 1].from : merged->next, k->flat,
                         error);
    if (status == DCB_OK && merged->next < nslices)
        status = put_run(json, merged, &(run){.from = merged->next}, nslices, k->flat, error);
    put(json, "]");
    if (binary) {
        put(json, ",\"Value\":[null");
        for (uint32_t i = 1; i < nslices; i++)
            put(json, ",null");
        put(json, "]");
    }
    return status;
}

static dcb_status put_level(dcb__writer *json, const dcb__merge *merge,
                            const dcb__merge_level *level, dcb_error *error);

static dcb_status put_merged(dcb__writer *json, const dcb__merge *merge, const dcb__merged *merged,
                             dcb_error *error)
{
    char head[48];
    snprintf(head, sizeof head, "\"%08" PRIX32 "\":{\"vr\":\"%c%c\",", merged->tag, merged->vr >> 8,
             merged->vr & 0xFF);
    put(json, head);
    dcb_status status = DCB_OK;
    if (merged->vr == DCB_VR_SQ) {
        put(json, "\"shared\":null,\"Value\":[");
        for (uint32_t i = 0; status == DCB_OK && i < merged->nitems; i++) {
            put(json, i > 0 ? ",{" : "{");
            status = put_level(json, merge, &merged->items[i], error);
            put(json, "}");
        }
        put(json, "]}");
        return status;
    }
    kind k = look_at_runs(merged, merge->nslices);
    bool shared = merged->nruns == 1 && merged->next == merge->nslices;
    /* Binary data that some slices lack: no reader agrees how to say that. */
    if (!k.any || (is_binary(merged->vr) && !shared && !k.all)) {
        put(json, "\"shared\":true");
    } else if (shared) {
        char *text = NULL;
        const char *body = "";
        size_t nbytes = 0;
        status = value_json(&text, &body, &nbytes, merged, &merged->runs[0], error);
        put(json, "\"shared\":true");
        put_ascii(json, body, nbytes);
        free(text);
    } else {
        status = put_slices(json, merged, merge->nslices, &k, error);
    }
    put(json, "}");
    return status;
}

static dcb_status put_level(dcb__writer *json, const dcb__merge *merge,
                            const dcb__merge_level *level, dcb_error *error)
{
    dcb_status status = DCB_OK;
    const char *separator = "";
    for (uint32_t i = 0; status == DCB_OK && i < level->count; i++) {
        if (level->list[i].dropped)
            continue;
        put(json, separator);
        separator = ",";
        status = put_merged(json, merge, &level->list[i], error);
    }
    return status;
}

dcb_status dcb__merge_write(dcb__writer *json, const dcb__merge *merge, dcb_error *error)
{
    char tail[48];
    put(json, "{\"_merged_data\":{");
    dcb_status status = put_level(json, merge, &merge->root, error);
    snprintf(tail, sizeof tail, "},\"slice_count\":%" PRIu32 "}", merge->nslices);
    put(json, tail);
    if (status == DCB_OK && json->status != DCB_OK) {
        if (error != NULL)
            *error = json->error;
        status = json->status;
    }
    return status;
}
