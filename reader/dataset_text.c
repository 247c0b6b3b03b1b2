/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dataset_text.c - the text of a whole data set to UTF-8 and back.
 *
 * Invariant: new values are all made before the first is put in place, so that a data set is never
 * left half converted.
 */
#include "dataset.h"

#include <stdlib.h>
#include <string.h>

#include "charset.h"
#include "dcb_error.h"
#include "vr.h"

#define TAG_CHARSET       DCB_TAG(0x0008, 0x0005)
#define MAX_CHARSET_VALUE 512

typedef struct edit {
    dcb_element *element;
    const uint8_t *value;
    uint32_t nbytes;
} edit;

typedef struct edits {
    edit *edits;
    size_t count, capacity;
    bool to_utf8, needs_charset; /* some text of the result is not plain */
    dcb_error *error;
} edits;

/* Whether text means the same without any (0008,0005): ASCII, and no escape that would be taken for
   a code extension. */
static bool is_plain(const uint8_t *bytes, size_t nbytes)
{
    bool plain = true;
    for (size_t i = 0; i < nbytes; i++)
        plain &= bytes[i] < 0x80 && bytes[i] != 0x1B;
    return plain;
}

/* (0008,0005) itself is never converted, whatever VR it came with. */
static bool is_text(const dcb_element *element)
{
    return dcb__vr_info_or_un(element->vr)->text && element->tag != TAG_CHARSET;
}

/* Opens what (0008,0005) of the data set names; *out is NULL where it has none, or an empty one. */
static dcb_status open_charset(dcb__charset **out, const dcb_dataset *dataset, dcb_error *error)
{
    char value[MAX_CHARSET_VALUE];
    *out = NULL;
    ptrdiff_t length = dcb_dataset_get_text(dataset, TAG_CHARSET, value, sizeof value);
    if (length <= 0)
        return DCB_OK;
    if ((size_t)length >= sizeof value)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                         "SpecificCharacterSet (0008,0005) has %td bytes, the limit is %d", length,
                         MAX_CHARSET_VALUE - 1);
    return dcb__charset_open(out, value, error);
}

/* The length without trailing padding, which belongs to the encoding and not to the text. */
static size_t without_padding(const uint8_t *text, size_t nbytes)
{
    while (nbytes > 0 && (text[nbytes - 1] == ' ' || text[nbytes - 1] == '\0'))
        nbytes--;
    return nbytes;
}

static dcb_status add_edit(edits *e, dcb__arena *arena, dcb_element *element,
                           const dcb__charset *charset)
{
    uint8_t *bytes = NULL;
    char *text = NULL;
    size_t nbytes;
    dcb_status status;
    if (e->to_utf8) {
        status = dcb__charset_decode(&text, &nbytes, charset, element->vr, element->value,
                                     element->nbytes, e->error);
        bytes = (uint8_t *)text;
        nbytes = without_padding(bytes, nbytes);
    } else {
        status =
            dcb__charset_encode(&bytes, &nbytes, charset, element->vr, (const char *)element->value,
                                without_padding(element->value, element->nbytes), e->error);
    }
    if (status != DCB_OK)
        return status;
    const uint8_t *value = NULL;
    if (nbytes > 0xFFFFFFFEu)
        status = dcb__fail(e->error, DCB_ERR_ENCODING, DCB_NO_OFFSET,
                           "a text of %zu bytes is longer than a length can say", nbytes);
    else if ((value = dcb__dataset_value(arena, element->vr, bytes, nbytes)) == NULL)
        status = dcb__fail_no_memory(e->error, nbytes);
    e->needs_charset = e->needs_charset || !is_plain(bytes, nbytes) || !e->to_utf8;
    free(bytes);
    if (status != DCB_OK)
        return status;
    if (e->count == e->capacity) {
        size_t capacity = e->capacity > 0 ? e->capacity * 2 : 32;
        edit *grown = realloc(e->edits, capacity * sizeof *grown);
        if (grown == NULL)
            return dcb__fail_no_memory(e->error, capacity * sizeof *grown);
        e->edits = grown;
        e->capacity = capacity;
    }
    e->edits[e->count++] = (edit){element, value, (uint32_t)(nbytes + (nbytes & 1))};
    return DCB_OK;
}

/* outer: what the data set round this one uses, for items without a set of their own. */
static dcb_status collect(edits *e, dcb_dataset *dataset, const dcb__charset *outer)
{
    dcb__charset *own = NULL;
    dcb_status status = e->to_utf8 ? open_charset(&own, dataset, e->error) : DCB_OK;
    const dcb__charset *charset = own != NULL ? own : outer;
    for (uint32_t i = 0; i < dataset->count && status == DCB_OK; i++) {
        dcb_element *element = &dataset->elements[i];
        for (uint32_t j = 0; j < element->nitems && status == DCB_OK; j++)
            status = collect(e, element->items[j], charset);
        if (status == DCB_OK && is_text(element) &&
            !dcb__charset_is_same(charset, element->value, element->nbytes))
            status = add_edit(e, dataset->arena, element, charset);
    }
    dcb__charset_close(own);
    return status;
}

static void remove_charsets(dcb_dataset *dataset)
{
    dcb_dataset_remove(dataset, TAG_CHARSET);
    for (uint32_t i = 0; i < dataset->count; i++) {
        for (uint32_t j = 0; j < dataset->elements[i].nitems; j++)
            remove_charsets(dataset->elements[i].items[j]);
    }
}

/* name: the new (0008,0005), or NULL for none. */
static dcb_status apply(const edits *e, dcb_dataset *dataset, const char *name, dcb_error *error)
{
    const uint8_t *value = NULL;
    size_t nbytes = name != NULL ? strlen(name) : 0;
    if (name != NULL) {
        value = dcb__dataset_value(dataset->arena, DCB_VR_CS, name, nbytes);
        if (value == NULL)
            return dcb__fail_no_memory(error, nbytes);
    }
    for (size_t i = 0; i < e->count; i++) {
        e->edits[i].element->value = e->edits[i].value;
        e->edits[i].element->nbytes = e->edits[i].nbytes;
    }
    remove_charsets(dataset);
    if (name != NULL) {
        dcb_element *place = dcb__dataset_place(dataset, TAG_CHARSET); /* reserved by the caller */
        *place = (dcb_element){.tag = TAG_CHARSET,
                               .vr = DCB_VR_CS,
                               .nbytes = (uint32_t)(nbytes + (nbytes & 1)),
                               .value = value};
    }
    return DCB_OK;
}

dcb_status dcb_dataset_to_utf8(dcb_dataset *dataset, dcb_error *error)
{
    edits e = {.to_utf8 = true, .error = error};
    dcb__charset *repertoire;
    dcb_status status = dcb__charset_open(&repertoire, "", error);
    if (status != DCB_OK)
        return status;
    /* Before elements are pointed at: this may move them. */
    if (!dcb__dataset_reserve(dataset))
        status = dcb__fail_no_memory(error, sizeof(dcb_element));
    else
        status = collect(&e, dataset, repertoire);
    if (status == DCB_OK)
        status = apply(&e, dataset, e.needs_charset ? "ISO_IR 192" : NULL, error);
    free(e.edits);
    dcb__charset_close(repertoire);
    return status;
}

/* Whether any text, items included, is not plain. */
static bool needs_charset(const dcb_dataset *dataset)
{
    for (uint32_t i = 0; i < dataset->count; i++) {
        const dcb_element *element = &dataset->elements[i];
        if (is_text(element) && !is_plain(element->value, element->nbytes))
            return true;
        for (uint32_t j = 0; j < element->nitems; j++) {
            if (needs_charset(element->items[j]))
                return true;
        }
    }
    return false;
}

dcb_status dcb_dataset_from_utf8(dcb_dataset *dataset, const char *charset, dcb_error *error)
{
    dcb_error trouble = DCB_ERROR_INIT; /* apart: text that does not fit is no failure */
    edits e = {.error = &trouble};
    dcb__charset *target;
    dcb_status status = dcb__charset_open(&target, charset, error);
    if (status != DCB_OK)
        return status;
    const char *name = NULL;
    if (!dcb__dataset_reserve(dataset)) {
        status = dcb__fail_no_memory(error, sizeof(dcb_element));
    } else if (needs_charset(dataset)) {
        name = charset;
        status = collect(&e, dataset, target);
        if (status == DCB_ERR_ENCODING) { /* then the whole data set stays as it is: UTF-8 */
            e.count = 0;
            name = "ISO_IR 192";
            status = DCB_OK;
        }
        if (status != DCB_OK && error != NULL)
            *error = trouble;
    }
    if (status == DCB_OK)
        status = apply(&e, dataset, name, error);
    free(e.edits);
    dcb__charset_close(target);
    return status;
}
