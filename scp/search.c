/* SPDX-License-Identifier: Apache-2.0 */
/* search.c - keys made into the data set of an identifier; then the way that C-FIND goes: the index
   narrows, a matcher decides. */
#include "search.h"

#include "activity.h"
#include "find_filter.h"
#include "match.h"
#include "steady_clock.h"

#include <stdlib.h>
#include <string.h>

#define TAG_STUDY_DESCRIPTION DCB_TAG(0x0008, 0x1030)

struct search {
    scp_query query;
    find_filter filter;
    scp_matcher *matcher;
    index_cursor *cursor;
    int64_t due_ms; /* 0: it takes as long as it takes */
    bool cut;
};

static bool put_key(dcb_dataset *keys, uint32_t tag, dcb_vr vr, const char *text)
{
    return text == NULL || text[0] == '\0' ||
           dcb_dataset_put_text(keys, tag, vr, text, NULL) == DCB_OK;
}

static bool put_keys(dcb_dataset *to, query_level level, const search_keys *keys)
{
    if (!put_key(to, TAG_PATIENT_NAME, DCB_VR('P', 'N'), keys->patient_name) ||
        !put_key(to, TAG_PATIENT_ID, DCB_VR('L', 'O'), keys->patient_id))
        return false;
    if (level == LEVEL_PATIENT)
        return true;
    const uint32_t modality = level == LEVEL_STUDY ? TAG_MODALITIES_IN_STUDY : TAG_MODALITY;
    return put_key(to, TAG_STUDY_DATE, DCB_VR('D', 'A'), keys->study_date) &&
           put_key(to, TAG_ACCESSION_NUMBER, DCB_VR('S', 'H'), keys->accession_number) &&
           put_key(to, TAG_STUDY_DESCRIPTION, DCB_VR('L', 'O'), keys->description) &&
           put_key(to, modality, DCB_VR('C', 'S'), keys->modality);
}

static bool put_unique(query_values *to, const char *uid)
{
    if (uid == NULL || uid[0] == '\0')
        return true;
    to->text = strdup(uid);
    to->values = calloc(1, sizeof *to->values);
    if (to->text == NULL || to->values == NULL)
        return false;
    to->values[0] = to->text;
    to->count = 1;
    return true;
}

int search_open(search **out, scp_index *index, query_level level, const search_keys *keys,
                scp_error *error)
{
    *out = NULL;
    search *s = calloc(1, sizeof *s);
    if (s == NULL)
        return scp_fail(error, "out of memory for a search");
    s->query.model = MODEL_STUDY_ROOT;
    s->query.level = level;
    int result = 0;
    uint32_t offending = 0;
    matcher_status status = MATCHER_NO_MEMORY;
    if (dcb_dataset_create(&s->query.keys, NULL) == DCB_OK &&
        put_keys(s->query.keys, level, keys) &&
        put_unique(&s->query.unique[LEVEL_STUDY], keys->study_uid) &&
        put_unique(&s->query.unique[LEVEL_SERIES], keys->series_uid))
        status = matcher_create(&s->matcher, s->query.keys, &offending);
    if (status == MATCHER_BAD_KEY)
        result = scp_fail(error, "expected a date such as 20260131, or a range such as "
                                 "20260101-20260131, -20260131 or 20260101-");
    else if (status != MATCHER_OK || !find_filter_make(&s->filter, &s->query))
        result = scp_fail(error, "out of memory for a search");
    else
        result = index_find(&s->cursor, index, level, &s->filter.index, error);
    if (result != 0) {
        search_close(s);
        return -1;
    }
    *out = s;
    return 0;
}

void search_set_patience(search *s, int64_t ms)
{
    s->due_ms = steady_clock_ms() + ms;
}

bool search_was_cut(const search *s)
{
    return s->cut;
}

int search_next(search *s, const dcb_dataset **record, scp_error *error)
{
    for (;;) {
        if (s->due_ms != 0 && steady_clock_ms() >= s->due_ms) {
            s->cut = true;
            return 0;
        }
        int result = index_cursor_next(s->cursor, record, error);
        if (result != 1)
            return result;
        result = matcher_matches(s->matcher, *record);
        if (result < 0)
            return scp_fail(error, "out of memory for a search");
        if (result == 1)
            return 1;
    }
}

void search_close(search *s)
{
    if (s == NULL)
        return;
    index_cursor_close(s->cursor);
    matcher_close(s->matcher);
    find_filter_clear(&s->filter);
    query_clear(&s->query);
    free(s);
}

const char *search_text(const dcb_dataset *record, uint32_t tag, char *buffer, size_t size)
{
    if (dcb_dataset_get_text(record, tag, buffer, size) < 0)
        buffer[0] = '\0';
    return buffer;
}
