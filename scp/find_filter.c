/* SPDX-License-Identifier: Apache-2.0 */
/* find_filter.c - see find_filter.h. */
#include "find_filter.h"

#include "element_values.h"
#include "match.h"
#include "match_name.h"

#include <stdlib.h>
#include <string.h>

/* The key's only value, if it has the VR and exactly one value that restricts. */
static bool only_value(value_text *out, const dcb_dataset *keys, uint32_t tag, dcb_vr vr)
{
    const dcb_element *key = dcb_dataset_find(keys, tag);
    if (key == NULL || key->vr != vr || !match_key_restricts(key))
        return false;
    value_cursor cursor = value_cursor_start(key, vr);
    value_text more;
    return value_cursor_next(&cursor, out) && !value_cursor_next(&cursor, &more);
}

/* False where memory ran out; *out stays NULL where the value cannot narrow. */
static bool take_exact(char **out, const dcb_dataset *keys, uint32_t tag, dcb_vr vr)
{
    value_text value;
    if (!only_value(&value, keys, tag, vr) || memchr(value.text, '*', value.nbytes) != NULL ||
        memchr(value.text, '?', value.nbytes) != NULL)
        return true;
    *out = strndup(value.text, value.nbytes);
    return *out != NULL;
}

static bool take_name(find_filter *out, const dcb_dataset *keys)
{
    value_text value;
    if (!only_value(&value, keys, TAG_PATIENT_NAME, DCB_VR('P', 'N')))
        return true;
    out->patient_name_prefix = name_key_prefix(value);
    if (out->patient_name_prefix == NULL)
        return false;
    if (out->patient_name_prefix[0] != '\0')
        out->index.patient_name_prefix = out->patient_name_prefix;
    return true;
}

/* YYYYMMDD from that or YYYY.MM.DD; NULL where there is no date. */
static const char *take_day(char day[9], const char *text, size_t nbytes)
{
    size_t n = 0;
    for (size_t i = 0; i < nbytes && n < 8; i++) {
        if (text[i] >= '0' && text[i] <= '9')
            day[n++] = text[i];
    }
    day[n] = '\0';
    return n == 8 ? day : NULL;
}

static void take_dates(find_filter *out, const dcb_dataset *keys)
{
    value_text value;
    if (!only_value(&value, keys, TAG_STUDY_DATE, DCB_VR('D', 'A')))
        return;
    const char *end = value.text + value.nbytes;
    const char *hyphen = memchr(value.text, '-', value.nbytes);
    const char *from_end = hyphen != NULL ? hyphen : end;
    const char *to = hyphen != NULL ? hyphen + 1 : value.text;
    out->index.study_date_from =
        take_day(out->date_from, value.text, (size_t)(from_end - value.text));
    out->index.study_date_to = take_day(out->date_to, to, (size_t)(end - to));
}

bool find_filter_make(find_filter *out, const scp_query *query)
{
    *out = (find_filter){0};
    const uint32_t modality_tag = query->level == LEVEL_STUDY    ? TAG_MODALITIES_IN_STUDY
                                  : query->level == LEVEL_SERIES ? TAG_MODALITY
                                                                 : 0;
    const query_values *unique = query->unique;
    out->index.study_uids = unique[LEVEL_STUDY].values;
    out->index.nstudy_uids = unique[LEVEL_STUDY].count;
    out->index.series_uids = unique[LEVEL_SERIES].values;
    out->index.nseries_uids = unique[LEVEL_SERIES].count;
    out->index.sop_uids = unique[LEVEL_IMAGE].values;
    out->index.nsop_uids = unique[LEVEL_IMAGE].count;
    take_dates(out, query->keys);
    if (!take_name(out, query->keys) ||
        !take_exact(&out->patient_id, query->keys, TAG_PATIENT_ID, DCB_VR('L', 'O')) ||
        !take_exact(&out->accession_number, query->keys, TAG_ACCESSION_NUMBER, DCB_VR('S', 'H')) ||
        (modality_tag != 0 &&
         !take_exact(&out->modality, query->keys, modality_tag, DCB_VR('C', 'S'))))
        return false;
    out->index.patient_id = out->patient_id;
    out->index.accession_number = out->accession_number;
    out->index.modality = out->modality;
    return true;
}

void find_filter_clear(find_filter *filter)
{
    free(filter->patient_id);
    free(filter->accession_number);
    free(filter->patient_name_prefix);
    free(filter->modality);
    *filter = (find_filter){0};
}
