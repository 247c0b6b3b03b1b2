/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c - the settings from their four sources: defaults, configuration file, environment,
 * command line, each going before the ones before it.
 *
 * Invariant: what a source gives is taken or refused; nothing is silently ignored.
 * Threads: one at a time, at the start and at SIGHUP (getopt_long keeps its state in globals).
 */
#include "options.h"

#include "config_yaml.h"
#include "option_table.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_ROWS       128
#define VARIABLE_PREFIX "DCBSCP_"
#define CONFIG_VARIABLE VARIABLE_PREFIX "CONFIG"

const char *options_name(size_t i)
{
    return i < OPTION_NROWS ? OPTION_ROWS[i].name : NULL;
}

bool options_reloads(size_t i)
{
    return i < OPTION_NROWS && (OPTION_ROWS[i].marks & OPTION_RELOADS) != 0;
}

/* Where a setting's value came from: a file and its line, a variable, a flag. */
static int note_origin(scp_options *options, const option_row *row, const option_source *source,
                       uint32_t line, scp_error *error)
{
    char **origin = &options->origins[row - OPTION_ROWS];
    free(*origin);
    int made = source->is_file ? asprintf(origin, "%s:%u", source->name, (unsigned)line)
                               : asprintf(origin, "%s", source->name);
    if (made >= 0)
        return 0;
    *origin = NULL;
    return scp_fail(error, "out of memory");
}

/* ---- The configuration file ------------------------------------------------------------------ */

static int set_from_file(scp_options *options, const config_value *root,
                         const option_source *source, scp_error *error)
{
    bool seen[MOST_ROWS] = {false};
    for (uint32_t i = 0; i < root->count; i++) {
        const config_value value = config_item(root, i);
        const option_row *row = option_find(OPTION_ROWS, OPTION_NROWS, value.name);
        if (row == NULL) {
            char where[240];
            snprintf(where, sizeof where, "%s:%u: ", source->name, (unsigned)value.name_line);
            return option_unknown(OPTION_ROWS, OPTION_NROWS, where, value.name, error);
        }
        if (seen[row - OPTION_ROWS])
            return scp_fail(error, "%s:%u: %s: given a second time", source->name,
                            (unsigned)value.name_line, row->name);
        seen[row - OPTION_ROWS] = true;
        if (option_set(options, row, &value, source, error) != 0 ||
            note_origin(options, row, source, value.name_line, error) != 0)
            return -1;
    }
    return 0;
}

/* The folder that a file lies in, absolute; free() it. */
static char *folder_of(const char *working_folder, const char *path)
{
    char *folder = option_absolute_path(working_folder, path);
    char *slash = folder != NULL ? strrchr(folder, '/') : NULL;
    if (slash != NULL)
        slash[slash == folder ? 1 : 0] = '\0';
    return folder;
}

static int read_file(scp_options *options, const char *path, const char *working_folder,
                     scp_error *error)
{
    config_tree *tree;
    if (config_read_file(&tree, path, error) != 0)
        return -1;
    char *base = folder_of(working_folder, path);
    const config_value root = config_root(tree);
    const option_source source = {path, true, base};
    int result = base != NULL ? set_from_file(options, &root, &source, error)
                              : scp_fail(error, "out of memory");
    free(base);
    config_close(tree);
    return result;
}

/* ---- One value as text ----------------------------------------------------------------------- */

static int set_from_text(scp_options *options, const option_row *row, const char *text,
                         bool is_yaml, const option_source *source, scp_error *error)
{
    config_tree *tree = NULL;
    config_value value = {.kind = CONFIG_TEXT, .text = text};
    if (is_yaml) {
        if (config_read_text(&tree, source->name, text, error) != 0)
            return -1;
        value = config_root(tree);
    }
    int result = option_set(options, row, &value, source, error);
    config_close(tree);
    return result == 0 ? note_origin(options, row, source, 0, error) : -1;
}

/* ---- The environment ------------------------------------------------------------------------- */

/* Kubernetes gives every container variables about the services around it. For one that is called
   dcbscp they begin as ours do: DCBSCP_SERVICE_HOST, DCBSCP_PORT=tcp://10.0.0.1:11112 and more. */
static bool is_about_a_service(const char *name, const char *value)
{
    return strncmp(name, "SERVICE_", 8) == 0 ||
           (strncmp(name, "PORT_", 5) == 0 && isdigit((unsigned char)name[5])) ||
           (strcmp(name, "PORT") == 0 &&
            (strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0));
}

static void lower_case(char *text)
{
    for (; *text != '\0'; text++)
        *text = (char)tolower((unsigned char)*text);
}

/* variable: "DCBSCP_NAME=value" */
static int set_from_variable(scp_options *options, const char *variable, const char *working_folder,
                             scp_error *error)
{
    char name[64], option[64];
    const char *equals = strchr(variable, '=');
    snprintf(name, sizeof name, "%.*s", (int)(equals - variable), variable);
    snprintf(option, sizeof option, "%s", name + strlen(VARIABLE_PREFIX));
    if (strcmp(name, CONFIG_VARIABLE) == 0 || is_about_a_service(option, equals + 1))
        return 0;
    lower_case(option);
    const option_row *row = option_find(OPTION_ROWS, OPTION_NROWS, option);
    if (row == NULL) {
        char where[80];
        snprintf(where, sizeof where, "%s: ", name);
        return option_unknown(OPTION_ROWS, OPTION_NROWS, where, option, error);
    }
    const option_source source = {name, false, working_folder};
    const bool is_list = row->count_offset != 0;
    if (is_list)
        option_clear(options, row);
    return set_from_text(options, row, equals + 1, is_list, &source, error);
}

static int read_environment(scp_options *options, const char *working_folder, scp_error *error)
{
    for (char **variable = environ; *variable != NULL; variable++) {
        if (strncmp(*variable, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) == 0 &&
            strchr(*variable, '=') != NULL &&
            set_from_variable(options, *variable, working_folder, error) != 0)
            return -1;
    }
    return 0;
}

/* ---- The command line ------------------------------------------------------------------------ */

enum { OPTION_ACTION = 1000, OPTION_ROW = 1100 };

static const struct option FIXED[] = {
    {"help", no_argument, NULL, OPTION_ACTION + OPTIONS_HELP},
    {"version", no_argument, NULL, OPTION_ACTION + OPTIONS_VERSION},
    {"check-config", no_argument, NULL, OPTION_ACTION + OPTIONS_CHECK},
    {"print-config", no_argument, NULL, OPTION_ACTION + OPTIONS_PRINT},
};
#define NFIXED (sizeof FIXED / sizeof FIXED[0])

static void make_long_options(struct option *out)
{
    size_t n = 0;
    for (; n < NFIXED; n++)
        out[n] = FIXED[n];
    for (size_t i = 0; i < OPTION_NROWS; i++) {
        if (OPTION_ROWS[i].flag != NULL)
            out[n++] =
                (struct option){OPTION_ROWS[i].flag, required_argument, NULL, OPTION_ROW + (int)i};
    }
    out[n] = (struct option){NULL, 0, NULL, 0};
}

static int bad_argument(const char *argument, scp_error *error)
{
    char name[40];
    if (strncmp(argument, "--", 2) != 0)
        return scp_fail(error, "unknown option \"%.40s\"; see --help", argument);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(argument + 2, "="), argument + 2);
    for (size_t i = 0; i < NFIXED; i++) {
        if (strcmp(FIXED[i].name, name) == 0)
            return scp_fail(error, "--%s takes no value", name);
    }
    const char *nearest = NULL;
    unsigned least = UINT_MAX;
    for (size_t i = 0; i < OPTION_NROWS; i++) {
        const char *flag = OPTION_ROWS[i].flag;
        const unsigned distance = flag != NULL ? option_misspelling(name, flag) : UINT_MAX;
        nearest = distance < least ? flag : nearest;
        least = distance < least ? distance : least;
    }
    if (nearest != NULL)
        return scp_fail(error, "unknown option \"--%s\"; did you mean \"--%s\"?", name, nearest);
    return scp_fail(error, "unknown option \"--%s\"; see --help", name);
}

typedef struct command_line {
    options_action action;
    const char *file; /* -c; NULL: none */
    size_t nvalues;
    struct {
        const option_row *row;
        const char *text;
    } * values; /* in their order, so that of two the last one counts */
} command_line;

static int walk_arguments(command_line *out, int argc, char **argv, scp_error *error)
{
    struct option long_options[NFIXED + MOST_ROWS + 1];
    assert(OPTION_NROWS <= MOST_ROWS);
    make_long_options(long_options);
    opterr = 0;
    optind = 0; /* glibc: start anew, also when called again */
    for (;;) {
        int before = optind > 0 ? optind : 1;
        int option = getopt_long(argc, argv, "+:c:", long_options, NULL);
        if (option == -1)
            break;
        if (option == ':')
            return scp_fail(error, "%.40s needs a value; see --help", argv[optind - 1]);
        if (option == '?')
            return bad_argument(argv[before], error);
        if (option >= OPTION_ACTION && option < OPTION_ROW) {
            out->action = (options_action)(option - OPTION_ACTION);
            if (out->action == OPTIONS_HELP || out->action == OPTIONS_VERSION)
                return 0; /* whatever else there is */
            continue;
        }
        if (option == 'c') {
            out->file = optarg;
            continue;
        }
        out->values[out->nvalues].row = &OPTION_ROWS[option - OPTION_ROW];
        out->values[out->nvalues++].text = optarg;
    }
    if (optind < argc)
        return scp_fail(error, "unexpected argument \"%.40s\"; see --help", argv[optind]);
    return 0;
}

static int apply_command_line(scp_options *options, const command_line *line,
                              const char *working_folder, scp_error *error)
{
    bool seen[MOST_ROWS] = {false};
    for (size_t i = 0; i < line->nvalues; i++) {
        const option_row *row = line->values[i].row;
        char name[48];
        snprintf(name, sizeof name, "--%s", row->flag);
        const option_source source = {name, false, working_folder};
        if (row->count_offset != 0 && !seen[row - OPTION_ROWS])
            option_clear(options, row);
        seen[row - OPTION_ROWS] = true;
        if (set_from_text(options, row, line->values[i].text, row->kind == KIND_RECORD, &source,
                          error) != 0)
            return -1;
    }
    return 0;
}

/* ---- All of it ------------------------------------------------------------------------------- */

static int resolve(scp_options *options, const command_line *line, const char *working_folder,
                   scp_error *error)
{
    const char *file = line->file != NULL ? line->file : getenv(CONFIG_VARIABLE);
    options->origins = calloc(OPTION_NROWS, sizeof *options->origins);
    if (options->origins == NULL)
        return scp_fail(error, "out of memory");
    if (option_set_defaults(options, OPTION_ROWS, OPTION_NROWS, error) != 0)
        return -1;
    if (file != NULL && read_file(options, file, working_folder, error) != 0)
        return -1;
    if (read_environment(options, working_folder, error) != 0 ||
        apply_command_line(options, line, working_folder, error) != 0)
        return -1;
    return options_derive(options, error);
}

int options_parse(scp_options *out, options_action *action, int argc, char **argv, scp_error *error)
{
    *out = (scp_options){0};
    *action = OPTIONS_RUN;
    command_line line = {.action = OPTIONS_RUN};
    line.values = calloc((size_t)argc + 1, sizeof *line.values);
    char *working_folder = getcwd(NULL, 0);
    int result;
    if (line.values == NULL)
        result = scp_fail(error, "out of memory");
    else if (working_folder == NULL)
        result = scp_fail(error, "the working folder cannot be told: %s", strerror(errno));
    else
        result = walk_arguments(&line, argc, argv, error);
    if (result == 0 && line.action != OPTIONS_HELP && line.action != OPTIONS_VERSION)
        result = resolve(out, &line, working_folder, error);
    *action = line.action;
    free(line.values);
    free(working_folder);
    if (result != 0)
        options_free(out);
    return result;
}

void options_free(scp_options *options)
{
    for (size_t i = 0; i < OPTION_NROWS; i++) {
        option_clear(options, &OPTION_ROWS[i]);
        if (options->origins != NULL)
            free(options->origins[i]);
    }
    free(options->origins);
    *options = (scp_options){0};
}

int options_keep_fixed(scp_options *fresh, const scp_options *now, char *changed, size_t size,
                       scp_error *error)
{
    size_t n = 0;
    changed[0] = '\0';
    for (size_t i = 0; i < OPTION_NROWS; i++) {
        const option_row *row = &OPTION_ROWS[i];
        if ((row->marks & OPTION_RELOADS) != 0 || option_same(fresh, now, row))
            continue;
        if (n < size)
            n += (size_t)snprintf(changed + n, size - n, "%s%s", n == 0 ? "" : ", ", row->name);
        option_clear(fresh, row);
        if (option_copy(fresh, now, row) != 0)
            return scp_fail(error, "out of memory");
    }
    return 0;
}
