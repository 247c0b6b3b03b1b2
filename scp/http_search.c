/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_search.c - /studies.json and /series.json: the index searched for the status page.
 *
 * Invariant: where http_patient_data is false an answer holds dates, modalities and counts, nothing
 * that names a person, a study or its content, and no such thing can be searched for.
 */
#include "http_private.h"

#include "identifier.h"
#include "search.h"

#include <stdlib.h>
#include <string.h>

#define STUDIES_SHOWN 50
#define SERIES_SHOWN  500
#define QUERY_MAX     128
#define PATIENCE_MS   2000 /* for each of up to three searches */

typedef struct named_tag {
    const char *name;
    uint32_t tag;
} named_tag;

static void put_tag(text_buffer *to, const char *name, const dcb_dataset *record, uint32_t tag)
{
    char text[256];
    text_format(to, "%s\"%s\":", name[0] != '-' ? "," : "", name[0] == '-' ? name + 1 : name);
    text_put_json(to, search_text(record, tag, text, sizeof text));
}

/* ---- Studies ---- */

static void put_study(text_buffer *to, const dcb_dataset *record, bool patient_data)
{
    static const named_tag OPEN[] = {
        {"-date", TAG_STUDY_DATE},
        {"modalities", TAG_MODALITIES_IN_STUDY},
        {"series", DCB_TAG(0x0020, 0x1206)},
        {"instances", DCB_TAG(0x0020, 0x1208)},
    };
    static const named_tag CLOSED[] = {
        {"uid", TAG_STUDY_INSTANCE_UID},
        {"patient_name", TAG_PATIENT_NAME},
        {"patient_id", TAG_PATIENT_ID},
        {"birth_date", DCB_TAG(0x0010, 0x0030)},
        {"sex", DCB_TAG(0x0010, 0x0040)},
        {"time", DCB_TAG(0x0008, 0x0030)},
        {"accession_number", TAG_ACCESSION_NUMBER},
        {"description", DCB_TAG(0x0008, 0x1030)},
    };
    text_put(to, "{");
    for (size_t i = 0; i < sizeof OPEN / sizeof OPEN[0]; i++)
        put_tag(to, OPEN[i].name, record, OPEN[i].tag);
    for (size_t i = 0; patient_data && i < sizeof CLOSED / sizeof CLOSED[0]; i++)
        put_tag(to, CLOSED[i].name, record, CLOSED[i].tag);
    text_put(to, "}");
}

/* The studies of an answer so far. */
typedef struct listing {
    text_buffer *to;
    bool patient_data;
    bool more;
    size_t n;
    char uids[STUDIES_SHOWN][UL_UID_SIZE];
    char patients[STUDIES_SHOWN][65];
} listing;

/* A study of the same UID may be another patient's. */
static bool is_listed(const listing *list, const char *uid, const char *patient)
{
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->uids[i], uid) == 0 && strcmp(list->patients[i], patient) == 0)
            return true;
    }
    return false;
}

static void list_study(listing *list, const dcb_dataset *record)
{
    char uid[UL_UID_SIZE], patient[65];
    search_text(record, TAG_STUDY_INSTANCE_UID, uid, sizeof uid);
    search_text(record, TAG_PATIENT_ID, patient, sizeof patient);
    if (is_listed(list, uid, patient))
        return;
    if (list->n == STUDIES_SHOWN) {
        list->more = true;
        return;
    }
    memcpy(list->uids[list->n], uid, sizeof uid);
    memcpy(list->patients[list->n++], patient, sizeof patient);
    text_put(list->to, list->n > 1 ? "," : "");
    put_study(list->to, record, list->patient_data);
}

static int list_matches(listing *list, scp_index *index, const search_keys *keys, scp_error *error)
{
    search *found;
    const dcb_dataset *record;
    if (search_open(&found, index, LEVEL_STUDY, keys, error) != 0)
        return -1;
    int result = 1;
    search_set_patience(found, PATIENCE_MS);
    while (!list->more && (result = search_next(found, &record, error)) == 1)
        list_study(list, record);
    list->more |= search_was_cut(found);
    search_close(found);
    return result < 0 ? -1 : 0;
}

/* What people type where they look for a name: "doe", "doe, john", "doe^j*". */
static void make_name_key(char key[QUERY_MAX + 2], const char *text)
{
    size_t n = 0;
    for (const char *at = text; *at != '\0' && n < QUERY_MAX; at++) {
        if (*at == ',') {
            key[n++] = '^';
            while (at[1] == ' ')
                at++;
        } else {
            key[n++] = *at;
        }
    }
    key[n] = '\0';
    if (n > 0 && key[n - 1] != '*')
        memcpy(key + n, "*", 2);
}

/* One text for the three things that people know a study by. */
static int list_by_text(listing *list, scp_index *index, search_keys keys, const char *text,
                        scp_error *error)
{
    char name[QUERY_MAX + 2];
    make_name_key(name, text);
    keys.patient_id = text;
    if (list_matches(list, index, &keys, error) != 0)
        return -1;
    keys.patient_id = NULL;
    keys.accession_number = text;
    if (list_matches(list, index, &keys, error) != 0)
        return -1;
    keys.accession_number = NULL;
    keys.patient_name = name;
    return list_matches(list, index, &keys, error);
}

static const char *bounded(const http_request *request, const char *name)
{
    const char *text = request->parameter(request->connection, name);
    return text != NULL && text[0] != '\0' && strlen(text) <= QUERY_MAX ? text : NULL;
}

void http_studies(http_reply *reply, const scp_node *node, const http_request *request)
{
    scp_error error = SCP_ERROR_INIT;
    const bool patient_data = node->options->http_patient_data;
    const char *text = bounded(request, "q");
    const search_keys keys = {.study_date = bounded(request, "date"),
                              .modality = bounded(request, "modality")};
    if (text != NULL && !patient_data) {
        http_reply_error(reply, 403, "patient data are not shown here: http_patient_data is false");
        return;
    }
    listing *list = calloc(1, sizeof *list);
    if (list == NULL) {
        http_reply_error(reply, 503, "out of memory");
        return;
    }
    list->to = &reply->body;
    list->patient_data = patient_data;
    text_put(&reply->body, "{\"studies\":[");
    const int result = text != NULL ? list_by_text(list, node->index, keys, text, &error)
                                    : list_matches(list, node->index, &keys, &error);
    text_format(&reply->body, "],\"more\":%s}\n", list->more ? "true" : "false");
    free(list);
    if (result != 0) {
        text_free(&reply->body);
        http_reply_error(reply, 400, error.message);
    }
}

/* ---- Series ---- */

void http_series(http_reply *reply, const scp_node *node, const http_request *request)
{
    static const named_tag TAGS[] = {
        {"-uid", TAG_SERIES_INSTANCE_UID},
        {"number", DCB_TAG(0x0020, 0x0011)},
        {"modality", TAG_MODALITY},
        {"description", DCB_TAG(0x0008, 0x103E)},
        {"body_part", DCB_TAG(0x0018, 0x0015)},
        {"instances", DCB_TAG(0x0020, 0x1209)},
    };
    scp_error error = SCP_ERROR_INIT;
    const search_keys keys = {.study_uid = bounded(request, "study")};
    search *found = NULL;
    const dcb_dataset *record;
    if (keys.study_uid == NULL) {
        http_reply_error(reply, 400, "study=UID is missing");
        return;
    }
    int result = search_open(&found, node->index, LEVEL_SERIES, &keys, &error);
    size_t n = 0;
    text_put(&reply->body, "{\"series\":[");
    if (result == 0)
        search_set_patience(found, PATIENCE_MS);
    while (result == 0 && n < SERIES_SHOWN && search_next(found, &record, &error) == 1) {
        text_put(&reply->body, n++ > 0 ? ",{" : "{");
        for (size_t i = 0; i < sizeof TAGS / sizeof TAGS[0]; i++)
            put_tag(&reply->body, TAGS[i].name, record, TAGS[i].tag);
        text_put(&reply->body, "}");
    }
    text_put(&reply->body, "]}\n");
    search_close(found);
    if (error.message[0] != '\0') {
        text_free(&reply->body);
        http_reply_error(reply, 500, error.message);
    }
}
