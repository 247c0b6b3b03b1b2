/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c - the table of settings, and the three that are driven by it: configuration file,
 * command line, usage text.
 *
 * Invariant: every setting is one row; its default goes through the same parser as a user's value.
 * Threads: before any is started (getopt_long keeps its state in globals).
 */
#include "options.h"

#include "config_yaml.h"
#include "option_value.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT(member) offsetof(scp_options, member)

static const option_row ROWS[] = {
    {"archives", KIND_FOLDERS, AT(archives), 0, 0, NULL, "archive", "DIR",
     "a folder of .dcbs files, searched with all below it; may be repeated"},
    {"state_dir", KIND_FOLDER, AT(state_dir), 0, 0, NULL, "state", "DIR",
     "where the index is kept; default: .dcbscp in the first archive"},
    {"bind_address", KIND_ADDRESS, AT(bind_address), 0, 0, "127.0.0.1", "bind", "ADDR",
     "numeric address to listen on; 0.0.0.0 or :: for all interfaces"},
    {"port", KIND_NUMBER, AT(port), 0, 65535, "11112", "port", "N", "port; 0 for any free one"},
    {"ae_title", KIND_AE_TITLE, AT(ae_title), 0, 0, "DCBSCP", "ae-title", "NAME",
     "the node's application entity title"},
    {"log_level", KIND_LOG_LEVEL, AT(log_level), 0, 0, "info", "log-level", "error|warn|info|debug",
     "how much is logged to standard error"},
    {"log_format", KIND_LOG_FORMAT, AT(log_format), 0, 0, "text", "log-format", "text|json",
     "how it is logged: for people or for programs"},
    {"max_associations", KIND_NUMBER, AT(max_associations), 1, 10000, "256", NULL, NULL,
     "associations at a time; one more is rejected"},
    {"max_pdu", KIND_NUMBER, AT(max_pdu), 4096, 131072, "131072", NULL, NULL,
     "largest PDU received, in bytes"},
    {"request_timeout_s", KIND_NUMBER, AT(request_timeout_s), 1, 3600, "30", NULL, NULL,
     "seconds from connection to a whole association request"},
    {"idle_timeout_s", KIND_NUMBER, AT(idle_timeout_s), 1, 86400, "300", NULL, NULL,
     "seconds without a message while no operation runs"},
    {"io_timeout_s", KIND_NUMBER, AT(io_timeout_s), 1, 3600, "60", NULL, NULL,
     "seconds without progress while an operation runs"},
    {"shutdown_timeout_s", KIND_NUMBER, AT(shutdown_timeout_s), 0, 3600, "10", NULL, NULL,
     "seconds that running operations get to finish at exit"},
    {"get_without_role", KIND_SWITCH, AT(get_without_role), 0, 0, "true", NULL, NULL,
     "C-GET for clients that propose no SCP role"},
    {"open_series", KIND_NUMBER, AT(open_series), 1, 65536, "64", NULL, NULL,
     "series kept open while nobody uses them"},
    {"cache_mb", KIND_NUMBER, AT(cache_mb), 0, 1048576, "256", NULL, NULL,
     "mebibytes of instances kept in memory"},
    {"store", KIND_FOLDER, AT(store), 0, 0, NULL, "store", "DIR",
     "take instances in (C-STORE) and keep them in this folder, which is an archive too; default: "
     "nothing is taken"},
    {"durability", KIND_DURABILITY, AT(durability), 0, 0, "fsync", NULL, NULL,
     "success after the instance is on the disk (fsync), or before (async)"},
    {"store_reserve_mb", KIND_NUMBER, AT(store_reserve_mb), 0, 1048576, "512", NULL, NULL,
     "mebibytes of the store's disk that stay free"},
    {"store_duplicates", KIND_DUPLICATES, AT(store_duplicates), 0, 0, "keep-first", NULL, NULL,
     "another instance with a known UID: keep-first, replace or reject"},
    {"pack_after_s", KIND_NUMBER, AT(pack_after_s), 0, 86400, "30", NULL, NULL,
     "seconds without an arrival until a series is packed into its .dcbs file; 0: only on demand"},
    {"store_unknown_sop_classes", KIND_SWITCH, AT(store_unknown_sop_classes), 0, 0, "false", NULL,
     NULL, "take SOP classes that are not in the standard"},
};
#define NROWS (sizeof ROWS / sizeof ROWS[0])

const char *options_name(size_t i)
{
    return i < NROWS ? ROWS[i].name : NULL;
}

/* ---- Misspelt names -------------------------------------------------------------------------- */

/* Edits (insert, delete, replace) between two names of less than 32 characters. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[33];
    size_t na = strlen(a), nb = strlen(b);
    if (na > 32 || nb > 32)
        return UINT_MAX;
    for (size_t j = 0; j <= nb; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned above = row[j];
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[nb];
}

/* The row whose name (or flag) is within three edits, half the word at most; NULL: none. */
static const option_row *nearest_row(const char *text, bool flags)
{
    const option_row *nearest = NULL;
    unsigned least = 4;
    for (size_t i = 0; i < NROWS; i++) {
        const char *name = flags ? ROWS[i].flag : ROWS[i].name;
        unsigned distance = name != NULL ? edit_distance(text, name) : UINT_MAX;
        if (distance < least && distance * 2 <= strlen(name)) {
            least = distance;
            nearest = &ROWS[i];
        }
    }
    return nearest;
}

/* ---- The configuration file ------------------------------------------------------------------ */

typedef struct file_reading {
    scp_options *options;
    const char *base;
    bool seen[NROWS];
} file_reading;

static int unknown_name(const char *name, scp_error *error)
{
    const option_row *nearest = nearest_row(name, false);
    if (nearest != NULL)
        return scp_fail(error, "unknown option \"%.40s\"; did you mean \"%s\"?", name,
                        nearest->name);
    return scp_fail(error, "unknown option \"%.40s\"", name);
}

static int on_file_entry(void *context, const config_entry *entry, scp_error *error)
{
    file_reading *reading = context;
    size_t i = 0;
    while (i < NROWS && strcmp(ROWS[i].name, entry->name) != 0)
        i++;
    if (i == NROWS)
        return unknown_name(entry->name, error);
    const option_row *row = &ROWS[i];
    if (reading->seen[i] && entry->item == 0)
        return scp_fail(error, "%s: given a second time", row->name);
    reading->seen[i] = true;
    if (entry->in_list && row->kind != KIND_FOLDERS)
        return scp_fail(error, "%s: expected one value, not a list", row->name);
    scp_error inner = SCP_ERROR_INIT;
    if (option_parse(reading->options, row, entry->value, reading->base, &inner) != 0)
        return scp_fail(error, "%s: %s", row->name, inner.message);
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
    char *base = folder_of(working_folder, path);
    if (base == NULL)
        return scp_fail(error, "out of memory");
    file_reading reading = {.options = options, .base = base};
    int result = config_yaml_read(path, on_file_entry, &reading, error);
    free(base);
    return result;
}

/* ---- The command line ------------------------------------------------------------------------ */

enum { OPTION_HELP = 1000, OPTION_VERSION, OPTION_ROW };

static const struct option FIXED[] = {
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
};
#define NFIXED (sizeof FIXED / sizeof FIXED[0])

static void make_long_options(struct option *out)
{
    size_t n = 0;
    for (; n < NFIXED; n++)
        out[n] = FIXED[n];
    for (size_t i = 0; i < NROWS; i++) {
        if (ROWS[i].flag != NULL)
            out[n++] = (struct option){ROWS[i].flag, required_argument, NULL, OPTION_ROW + (int)i};
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
    const option_row *nearest = nearest_row(name, true);
    if (nearest != NULL)
        return scp_fail(error, "unknown option \"--%s\"; did you mean \"--%s\"?", name,
                        nearest->flag);
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
    struct option long_options[NFIXED + NROWS + 1];
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
        if (option == OPTION_HELP || option == OPTION_VERSION) {
            out->action = option == OPTION_HELP ? OPTIONS_HELP : OPTIONS_VERSION;
            return 0;
        }
        if (option == 'c') {
            out->file = optarg;
            continue;
        }
        out->values[out->nvalues].row = &ROWS[option - OPTION_ROW];
        out->values[out->nvalues++].text = optarg;
    }
    if (optind < argc)
        return scp_fail(error, "unexpected argument \"%.40s\"; see --help", argv[optind]);
    return 0;
}

static int apply_command_line(scp_options *options, const command_line *line,
                              const char *working_folder, scp_error *error)
{
    bool dropped = false;
    for (size_t i = 0; i < line->nvalues; i++) {
        const option_row *row = line->values[i].row;
        if (row->kind == KIND_FOLDERS && !dropped) {
            option_drop_archives(options);
            dropped = true;
        }
        scp_error inner = SCP_ERROR_INIT;
        if (option_parse(options, row, line->values[i].text, working_folder, &inner) != 0)
            return scp_fail(error, "--%s: %s", row->flag, inner.message);
    }
    return 0;
}

/* ---- All of it ------------------------------------------------------------------------------- */

static int apply_defaults(scp_options *options, scp_error *error)
{
    for (size_t i = 0; i < NROWS; i++) {
        if (ROWS[i].default_text != NULL &&
            option_parse(options, &ROWS[i], ROWS[i].default_text, "/", error) != 0)
            return -1;
    }
    return 0;
}

static bool is_within(const char *path, const char *folder)
{
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/' || n == 1);
}

/* What is taken in is served: the store is an archive, where it is not within one. */
static int add_store(scp_options *options, scp_error *error)
{
    for (uint32_t i = 0; options->store != NULL && i < options->narchives; i++) {
        if (is_within(options->store, options->archives[i]))
            return 0;
    }
    static const option_row row = {"archives", KIND_FOLDERS, AT(archives), 0,   0,
                                   NULL,       NULL,         NULL,         NULL};
    return options->store != NULL ? option_parse(options, &row, options->store, "/", error) : 0;
}

static int resolve(scp_options *options, const command_line *line, const char *working_folder,
                   scp_error *error)
{
    if (apply_defaults(options, error) != 0)
        return -1;
    if (line->file != NULL && read_file(options, line->file, working_folder, error) != 0)
        return -1;
    if (apply_command_line(options, line, working_folder, error) != 0)
        return -1;
    if (add_store(options, error) != 0)
        return -1;
    if (options->narchives == 0)
        return scp_fail(error, "no archive given: name a folder of .dcbs files with --archive DIR "
                               "or with `archives:` in the configuration file (-c FILE)");
    if (options->state_dir == NULL)
        options->state_dir = option_absolute_path(options->archives[0], ".dcbscp");
    return options->state_dir != NULL ? 0 : scp_fail(error, "out of memory");
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
    if (result == 0 && line.action == OPTIONS_RUN)
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
    option_drop_archives(options);
    free(options->state_dir);
    free(options->store);
    free(options->bind_address);
    free(options->ae_title);
    *options = (scp_options){0};
}

void options_print_usage(void)
{
    puts("Usage: dcbscp [-c FILE] [--archive DIR]... [option]...\n"
         "Serves DiCube .dcbs files to DICOM workstations: C-ECHO, C-FIND and C-GET; takes\n"
         "instances in by C-STORE where --store names a folder for them.\n");
    printf("  %-24s %s\n", "-c FILE", "configuration file (YAML); conf/dcbscp.yaml explains it");
    for (size_t i = 0; i < NROWS; i++) {
        if (ROWS[i].flag == NULL)
            continue;
        char flag[64];
        snprintf(flag, sizeof flag, "--%s %s", ROWS[i].flag, ROWS[i].argument);
        if (strlen(flag) > 24)
            printf("  %s\n  %-24s %s", flag, "", ROWS[i].help);
        else
            printf("  %-24s %s", flag, ROWS[i].help);
        if (ROWS[i].default_text != NULL)
            printf(" [%s]", ROWS[i].default_text);
        putchar('\n');
    }
    printf("  %-24s %s\n  %-24s %s\n", "--version", "print the version and exit", "--help",
           "print this and exit");
    puts("\nOnly in the configuration file:");
    for (size_t i = 0; i < NROWS; i++) {
        if (ROWS[i].flag == NULL)
            printf("  %-24s %s [%s]\n", ROWS[i].name, ROWS[i].help, ROWS[i].default_text);
    }
    puts("\nThe command line goes before the file. When ready, one line is printed to standard\n"
         "output; SIGTERM or SIGINT stops the node, a second one at once.\n"
         "Exit status: 0 stopped as asked, 1 could not run, 2 wrong option or configuration.");
}
