/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dcbtool_query.c - what an archive holds, asked of its index: beside a node or without one.
 * Whoever may read the state folder may see what the node would tell.
 */
#include "dcbtool.h"

#include "identifier.h"
#include "index.h"
#include "options.h"
#include "search.h"
#include "text_buffer.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define VALUE_MAX 512

typedef struct column {
    const char *title, *name; /* in the table, in JSON */
    uint32_t tag;
    int width; /* 0: the last */
} column;

static const column PATIENT_COLUMNS[] = {
    {"ID", "patient_id", TAG_PATIENT_ID, 20},
    {"NAME", "patient_name", TAG_PATIENT_NAME, 30},
    {"BORN", "birth_date", DCB_TAG(0x0010, 0x0030), 8},
    {"SEX", "sex", DCB_TAG(0x0010, 0x0040), 3},
    {"STUDIES", "studies", DCB_TAG(0x0020, 0x1200), 7},
    {"SERIES", "series", DCB_TAG(0x0020, 0x1202), 6},
    {"INSTANCES", "instances", DCB_TAG(0x0020, 0x1204), 0},
};
static const column STUDY_COLUMNS[] = {
    {"DATE", "date", TAG_STUDY_DATE, 8},
    {"ID", "patient_id", TAG_PATIENT_ID, 16},
    {"NAME", "patient_name", TAG_PATIENT_NAME, 26},
    {"ACCESSION", "accession_number", TAG_ACCESSION_NUMBER, 12},
    {"MODALITIES", "modalities", TAG_MODALITIES_IN_STUDY, 10},
    {"SERIES", "series", DCB_TAG(0x0020, 0x1206), 6},
    {"INSTANCES", "instances", DCB_TAG(0x0020, 0x1208), 9},
    {"DESCRIPTION", "description", DCB_TAG(0x0008, 0x1030), 30},
    {"STUDY", "study_instance_uid", TAG_STUDY_INSTANCE_UID, 0},
};
static const column SERIES_COLUMNS[] = {
    {"DATE", "date", TAG_STUDY_DATE, 8},
    {"ID", "patient_id", TAG_PATIENT_ID, 16},
    {"NUMBER", "number", DCB_TAG(0x0020, 0x0011), 6},
    {"MODALITY", "modality", TAG_MODALITY, 8},
    {"INSTANCES", "instances", DCB_TAG(0x0020, 0x1209), 9},
    {"DESCRIPTION", "description", DCB_TAG(0x0008, 0x103E), 30},
    {"SERIES", "series_instance_uid", TAG_SERIES_INSTANCE_UID, 0},
};

static const struct {
    const char *name;
    query_level level;
    const column *columns;
    size_t ncolumns;
} LEVELS[] = {
    {"patient", LEVEL_PATIENT, PATIENT_COLUMNS, sizeof PATIENT_COLUMNS / sizeof(column)},
    {"study", LEVEL_STUDY, STUDY_COLUMNS, sizeof STUDY_COLUMNS / sizeof(column)},
    {"series", LEVEL_SERIES, SERIES_COLUMNS, sizeof SERIES_COLUMNS / sizeof(column)},
};
#define NLEVELS (sizeof LEVELS / sizeof LEVELS[0])

typedef struct query_request {
    size_t level;
    bool json, files;
    search_keys keys;
    const char *state_dir;
    char **node_words; /* a command line for dcbscp's parser, which knows where the state is */
    int nnode_words;
} query_request;

/* ---- Output ---- */

/* Padded or cut to `width` characters; what a terminal would take for a command is left out. */
static void print_cell(const char *text, int width)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t left = (utf8proc_ssize_t)strlen(text);
    int used = 0;
    while (left > 0) {
        utf8proc_int32_t code = 0;
        utf8proc_ssize_t n = utf8proc_iterate(at, left, &code);
        const bool printable = n > 0 && code >= 0x20 && (code < 0x7f || code >= 0xa0);
        const int wide = n > 0 ? utf8proc_charwidth(code) : 1;
        if (width > 0 && used + wide > width)
            break;
        if (printable)
            fwrite(at, 1, (size_t)n, stdout);
        else
            putchar('?');
        used += printable ? wide : 1;
        at += n > 0 ? n : 1;
        left -= n > 0 ? n : 1;
    }
    if (width > 0)
        printf("%*s", width - used + 2, "");
}

static void print_titles(const query_request *request)
{
    for (size_t i = 0; i < LEVELS[request->level].ncolumns; i++)
        print_cell(LEVELS[request->level].columns[i].title,
                   LEVELS[request->level].columns[i].width);
    putchar('\n');
}

static void print_row(const query_request *request, const dcb_dataset *record, bool first)
{
    char value[VALUE_MAX];
    const column *columns = LEVELS[request->level].columns;
    text_buffer json = TEXT_BUFFER_INIT;
    for (size_t i = 0; i < LEVELS[request->level].ncolumns; i++) {
        search_text(record, columns[i].tag, value, sizeof value);
        if (request->json) {
            text_format(&json, "%s\"%s\":", i == 0 ? "{" : ",", columns[i].name);
            text_put_json(&json, value);
        } else {
            print_cell(value, columns[i].width);
        }
    }
    if (request->json)
        printf("%s%s}", first ? "" : ",\n", json.bytes != NULL ? json.bytes : "{");
    else
        putchar('\n');
    text_free(&json);
}

static int print_records(scp_index *index, const query_request *request, scp_error *error)
{
    search *found;
    const dcb_dataset *record;
    uint64_t n = 0;
    int result;
    if (search_open(&found, index, LEVELS[request->level].level, &request->keys, error) != 0)
        return -1;
    if (request->json)
        putchar('[');
    else
        print_titles(request);
    while ((result = search_next(found, &record, error)) == 1)
        print_row(request, record, n++ == 0);
    search_close(found);
    if (request->json)
        puts("]");
    return result;
}

/* The files that hold a study or a series, each once. */
static int print_files(scp_index *index, const query_request *request, scp_error *error)
{
    const search_keys *keys = &request->keys;
    const index_filter filter = {.study_uids = &keys->study_uid,
                                 .nstudy_uids = keys->study_uid != NULL,
                                 .series_uids = &keys->series_uid,
                                 .nseries_uids = keys->series_uid != NULL};
    index_cursor *cursor;
    index_instance instance;
    char *last = NULL;
    int result;
    if (index_find_instances(&cursor, index, &filter, error) != 0)
        return -1;
    while ((result = index_cursor_next_instance(cursor, &instance, error)) == 1) {
        if (last != NULL && strcmp(last, instance.path) == 0)
            continue;
        puts(instance.path);
        free(last);
        last = strdup(instance.path);
    }
    free(last);
    index_cursor_close(cursor);
    return result;
}

/* ---- Arguments ---- */

static const struct option OPTIONS[] = {{"level", required_argument, NULL, 'l'},
                                        {"name", required_argument, NULL, 'n'},
                                        {"patient", required_argument, NULL, 'p'},
                                        {"accession", required_argument, NULL, 'a'},
                                        {"date", required_argument, NULL, 'd'},
                                        {"modality", required_argument, NULL, 'm'},
                                        {"description", required_argument, NULL, 'e'},
                                        {"study", required_argument, NULL, 's'},
                                        {"series", required_argument, NULL, 'r'},
                                        {"files", no_argument, NULL, 'f'},
                                        {"json", no_argument, NULL, 'j'},
                                        {"state", required_argument, NULL, 'S'},
                                        {"archive", required_argument, NULL, 'A'},
                                        {"config", required_argument, NULL, 'c'},
                                        {NULL, 0, NULL, 0}};

static int take_level(query_request *request, const char *name)
{
    for (size_t i = 0; i < NLEVELS; i++) {
        if (strcmp(LEVELS[i].name, name) == 0) {
            request->level = i;
            return DCBTOOL_OK;
        }
    }
    return dcbtool_usage_error("query: --level %.40s: patient, study or series is wanted", name);
}

static void take_node_word(query_request *request, const char *flag, char *value)
{
    request->node_words[request->nnode_words++] = (char *)(uintptr_t)flag;
    request->node_words[request->nnode_words++] = value;
}

static int take_option(query_request *request, int option)
{
    switch (option) {
    case 'l':
        return take_level(request, optarg);
    case 'n':
        request->keys.patient_name = optarg;
        break;
    case 'p':
        request->keys.patient_id = optarg;
        break;
    case 'a':
        request->keys.accession_number = optarg;
        break;
    case 'd':
        request->keys.study_date = optarg;
        break;
    case 'm':
        request->keys.modality = optarg;
        break;
    case 'e':
        request->keys.description = optarg;
        break;
    case 's':
        request->keys.study_uid = optarg;
        break;
    case 'r':
        request->keys.series_uid = optarg;
        break;
    case 'f':
        request->files = true;
        break;
    case 'j':
        request->json = true;
        break;
    case 'S':
        request->state_dir = optarg;
        break;
    case 'A':
        take_node_word(request, "--archive", optarg);
        break;
    case 'c':
        take_node_word(request, "-c", optarg);
        break;
    default:
        return dcbtool_usage_error("query: unknown or incomplete option; see dcbtool --help");
    }
    return DCBTOOL_OK;
}

static int check(const query_request *request)
{
    const search_keys *keys = &request->keys;
    const query_level level = LEVELS[request->level].level;
    if (request->files && keys->study_uid == NULL && keys->series_uid == NULL)
        return dcbtool_usage_error("query: --files wants --study UID or --series UID");
    if (!request->files && keys->series_uid != NULL && level != LEVEL_SERIES)
        return dcbtool_usage_error("query: --series UID wants --level series");
    if (level == LEVEL_PATIENT &&
        (keys->study_uid != NULL || keys->study_date != NULL || keys->accession_number != NULL ||
         keys->modality != NULL || keys->description != NULL))
        return dcbtool_usage_error("query: --level patient knows --name and --patient only");
    return DCBTOOL_OK;
}

static int parse_arguments(query_request *request, int argc, char **argv)
{
    int option;
    opterr = 0;
    request->level = 1;
    while ((option = getopt_long(argc, argv, "c:", OPTIONS, NULL)) != -1) {
        const int result = take_option(request, option);
        if (result != DCBTOOL_OK)
            return result;
    }
    if (optind < argc)
        return dcbtool_usage_error("query: unexpected argument \"%.40s\"; see dcbtool --help",
                                   argv[optind]);
    return check(request);
}

/* Where a state folder is told, no archive need be. */
static int find_state(char **state_dir, const query_request *request)
{
    scp_options options;
    options_action action;
    scp_error error = SCP_ERROR_INIT;
    if (request->state_dir != NULL) {
        *state_dir = strdup(request->state_dir);
    } else {
        if (options_parse(&options, &action, request->nnode_words, request->node_words, &error) !=
            0)
            return dcbtool_usage_error("query: %s", error.message);
        *state_dir = strdup(options.state_dir);
        options_free(&options);
    }
    return *state_dir != NULL ? DCBTOOL_OK : dcbtool_failed("out of memory");
}

static int run(const query_request *request)
{
    char *state_dir = NULL;
    scp_index *index = NULL;
    scp_error error = SCP_ERROR_INIT;
    int result = find_state(&state_dir, request);
    if (result != DCBTOOL_OK)
        return result;
    if (index_open_reading(&index, state_dir, &error) != 0 ||
        (request->files ? print_files(index, request, &error)
                        : print_records(index, request, &error)) != 0)
        result = dcbtool_failed("%s", error.message);
    index_close(index);
    free(state_dir);
    return result;
}

int dcbtool_query(int argc, char **argv)
{
    query_request request = {0};
    request.node_words = calloc((size_t)argc * 2 + 2, sizeof *request.node_words);
    if (request.node_words == NULL)
        return dcbtool_failed("out of memory");
    request.node_words[request.nnode_words++] = argv[0];
    int result = parse_arguments(&request, argc, argv);
    if (result == DCBTOOL_OK)
        result = run(&request);
    free(request.node_words);
    return result;
}
