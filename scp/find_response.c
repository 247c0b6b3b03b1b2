/* SPDX-License-Identifier: Apache-2.0 */
/* find_response.c - see find_response.h. */
#include "find_response.h"

#include "element_values.h"
#include "index_record.h"
#include "match.h"

#include <string.h>

static bool is_private(uint32_t tag)
{
    return ((tag >> 16) & 1) != 0;
}

static bool is_private_creator(uint32_t tag)
{
    return is_private(tag) && (tag & 0xFFFF) >= 0x10 && (tag & 0xFFFF) <= 0xFF;
}

/* Attributes that the index counts or has by instance; level: of the record that has them. */
static const struct {
    uint32_t tag;
    query_level level;
} computed[] = {
    {DCB_TAG(0x0020, 0x1200), LEVEL_PATIENT}, /* NumberOfPatientRelatedStudies */
    {DCB_TAG(0x0020, 0x1202), LEVEL_PATIENT}, /* NumberOfPatientRelatedSeries */
    {DCB_TAG(0x0020, 0x1204), LEVEL_PATIENT}, /* NumberOfPatientRelatedInstances */
    {TAG_MODALITIES_IN_STUDY, LEVEL_STUDY},   {TAG_SOP_CLASSES_IN_STUDY, LEVEL_STUDY},
    {DCB_TAG(0x0020, 0x1206), LEVEL_STUDY},  /* NumberOfStudyRelatedSeries */
    {DCB_TAG(0x0020, 0x1208), LEVEL_STUDY},  /* NumberOfStudyRelatedInstances */
    {DCB_TAG(0x0020, 0x1209), LEVEL_SERIES}, /* NumberOfSeriesRelatedInstances */
    {TAG_SOP_CLASS_UID, LEVEL_IMAGE},         {TAG_SOP_INSTANCE_UID, LEVEL_IMAGE},
    {TAG_INSTANCE_NUMBER, LEVEL_IMAGE},
};

/* The level whose records have the attribute; QUERY_LEVELS: none. */
static int record_level(uint32_t tag)
{
    for (size_t i = 0; i < sizeof computed / sizeof computed[0]; i++) {
        if (computed[i].tag == tag)
            return (int)computed[i].level;
    }
    for (int level = LEVEL_PATIENT; level < LEVEL_IMAGE; level++) {
        for (const uint32_t *known = index_record_tags(level); *known != 0; known++) {
            if (*known == tag)
                return level;
        }
    }
    return QUERY_LEVELS;
}

key_source find_key_source(query_level level, uint32_t tag)
{
    switch (tag) {
    case TAG_SPECIFIC_CHARACTER_SET:
    case TAG_QUERY_RETRIEVE_LEVEL:
    case TAG_QUERY_RETRIEVE_VIEW:   /* by extended negotiation only */
    case TAG_RETRIEVE_AE_TITLE:     /* ours, in every answer */
    case TAG_INSTANCE_AVAILABILITY: /* of the file, not in it */
    case TAG_TIMEZONE_OFFSET:       /* of the request, not a key (C.4.1.1.3.1) */
        return KEY_NONE;
    default:
        break;
    }
    if (tag < DCB_TAG(0x0008, 0x0000) || (tag & 0xFFFF) == 0)
        return KEY_NONE;
    const int owner = record_level(tag);
    if (owner <= (int)level)
        return KEY_RECORD;
    /* A series has no SOPInstanceUID: its first instance's would be a wrong answer. */
    if (level < LEVEL_SERIES || owner == LEVEL_IMAGE)
        return KEY_UNKNOWN;
    return KEY_FILE;
}

dcb_status find_keys_of(dcb_dataset **out, const scp_query *query, key_source source,
                        dcb_error *error)
{
    dcb_status status = dcb_dataset_create(out, error);
    for (size_t i = 0; status == DCB_OK && i < dcb_dataset_count(query->keys); i++) {
        const dcb_element *key = dcb_dataset_at(query->keys, i);
        if (!is_private(key->tag) && find_key_source(query->level, key->tag) == source)
            status = dcb_dataset_put_element(*out, key, error);
    }
    if (status != DCB_OK) {
        dcb_dataset_close(*out);
        *out = NULL;
    }
    return status;
}

bool find_has_key(const scp_query *query, key_source source)
{
    for (size_t i = 0; i < dcb_dataset_count(query->keys); i++) {
        if (find_key_source(query->level, dcb_dataset_at(query->keys, i)->tag) == source)
            return true;
    }
    return false;
}

bool find_keys_supported(const scp_query *query)
{
    for (size_t i = 0; i < dcb_dataset_count(query->keys); i++) {
        const dcb_element *key = dcb_dataset_at(query->keys, i);
        if (find_key_source(query->level, key->tag) == KEY_UNKNOWN)
            return false;
        if (is_private(key->tag) && !is_private_creator(key->tag) && match_key_restricts(key))
            return false;
    }
    return true;
}

/* ---- Private elements ---- */

static bool same_text(const dcb_element *a, const dcb_element *b)
{
    if (a == NULL || b == NULL || a->value == NULL || b->value == NULL)
        return false;
    const value_text x = value_trim((value_text){(const char *)a->value, a->nbytes}, a->vr);
    const value_text y = value_trim((value_text){(const char *)b->value, b->nbytes}, b->vr);
    return x.nbytes > 0 && x.nbytes == y.nbytes && memcmp(x.text, y.text, x.nbytes) == 0;
}

/* The source's element for a private key: in the block that its creator has there, which need not
   be the request's (PS3.5 7.8.1). A key without its creator cannot be answered. */
static const dcb_element *find_private(const dcb_dataset *source, const dcb_dataset *keys,
                                       uint32_t tag)
{
    const uint32_t group = tag & 0xFFFF0000u;
    const dcb_element *creator = dcb_dataset_find(keys, group | ((tag >> 8) & 0xFF));
    for (uint32_t block = 0x10; creator != NULL && block <= 0xFF; block++) {
        if (same_text(dcb_dataset_find(source, group | block), creator))
            return dcb_dataset_find(source, group | block << 8 | (tag & 0xFF));
    }
    return NULL;
}

/* ---- Answers ---- */

static dcb_status put_answers(dcb_dataset *out, const dcb_dataset *keys, const dcb_dataset *source,
                              dcb_error *error);

static dcb_status put_empty(dcb_dataset *out, const dcb_element *key, dcb_error *error)
{
    if (key->vr == DCB_VR('S', 'Q'))
        return dcb_dataset_add_item(NULL, out, key->tag, error);
    return dcb_dataset_put(out, key->tag, key->vr, "", 0, error);
}

/* Under the key's tag, which for private elements may differ. */
static dcb_status put_found(dcb_dataset *out, const dcb_element *key, const dcb_element *found,
                            dcb_error *error)
{
    dcb_element copy = *found;
    copy.tag = key->tag;
    return dcb_dataset_put_element(out, &copy, error);
}

/* A sequence key with an item asks for the item's attributes, without one (or with an empty one)
   for all (C.2.2.2.6). */
static dcb_status put_sequence(dcb_dataset *out, const dcb_element *key, const dcb_element *found,
                               dcb_error *error)
{
    const dcb_dataset *asked = key->nitems > 0 ? key->items[0] : NULL;
    if (asked == NULL || dcb_dataset_count(asked) == 0)
        return put_found(out, key, found, error);
    dcb_status status = dcb_dataset_add_item(NULL, out, key->tag, error);
    for (uint32_t i = 0; status == DCB_OK && i < found->nitems; i++) {
        dcb_dataset *item = NULL;
        status = dcb_dataset_add_item(&item, out, key->tag, error);
        if (status == DCB_OK)
            status = put_answers(item, asked, found->items[i], error);
    }
    return status;
}

static dcb_status put_answer(dcb_dataset *out, const dcb_dataset *keys, const dcb_element *key,
                             const dcb_dataset *source, dcb_error *error)
{
    if (is_private_creator(key->tag) && !element_is_empty(key))
        return dcb_dataset_put_element(out, key, error); /* what names the block asked for */
    const dcb_element *found = NULL;
    if (source != NULL && is_private(key->tag) && !is_private_creator(key->tag))
        found = find_private(source, keys, key->tag);
    else if (source != NULL)
        found = dcb_dataset_find(source, key->tag);
    if (found == NULL)
        return put_empty(out, key, error);
    if (found->vr == DCB_VR('S', 'Q'))
        return put_sequence(out, key, found, error);
    return put_found(out, key, found, error);
}

/* Every key of `keys`, from one source: the items of sequences. */
static dcb_status put_answers(dcb_dataset *out, const dcb_dataset *keys, const dcb_dataset *source,
                              dcb_error *error)
{
    dcb_status status = DCB_OK;
    for (size_t i = 0; status == DCB_OK && i < dcb_dataset_count(keys); i++)
        status = put_answer(out, keys, dcb_dataset_at(keys, i), source, error);
    return status;
}

static dcb_status fill(dcb_dataset *out, const scp_query *query, const dcb_dataset *record,
                       const dcb_dataset *file, const char *availability, const char *ae_title,
                       dcb_error *error)
{
    dcb_status status = DCB_OK;
    for (size_t i = 0; status == DCB_OK && i < dcb_dataset_count(query->keys); i++) {
        const dcb_element *key = dcb_dataset_at(query->keys, i);
        const key_source source = find_key_source(query->level, key->tag);
        if (source != KEY_NONE)
            status = put_answer(out, query->keys, key,
                                source == KEY_RECORD ? record
                                : source == KEY_FILE ? file
                                                     : NULL,
                                error);
    }
    if (status == DCB_OK)
        status = dcb_dataset_put_text(out, TAG_QUERY_RETRIEVE_LEVEL, DCB_VR('C', 'S'),
                                      query_level_name(query->level), error);
    if (status == DCB_OK)
        status =
            dcb_dataset_put_text(out, TAG_RETRIEVE_AE_TITLE, DCB_VR('A', 'E'), ae_title, error);
    if (status == DCB_OK && availability != NULL)
        status = dcb_dataset_put_text(out, TAG_INSTANCE_AVAILABILITY, DCB_VR('C', 'S'),
                                      availability, error);
    return status;
}

dcb_status find_response_make(uint8_t **bytes, size_t *nbytes, const scp_query *query,
                              const dcb_dataset *record, const dcb_dataset *file,
                              const char *availability, const char *ae_title, dcb_error *error)
{
    *bytes = NULL;
    *nbytes = 0;
    dcb_dataset *answer = NULL;
    dcb_status status = dcb_dataset_create(&answer, error);
    if (status == DCB_OK)
        status = fill(answer, query, record, file, availability, ae_title, error);
    /* In the requester's own set where that holds the text, else in ISO_IR 192 (C.4.1.1.3.2). */
    if (status == DCB_OK)
        status = dcb_dataset_from_utf8(
            answer, query->charset != NULL ? query->charset : "ISO_IR 192", error);
    if (status == DCB_OK)
        status = dcb_dataset_encode(bytes, nbytes, answer, query->syntax, error);
    dcb_dataset_close(answer);
    return status;
}
