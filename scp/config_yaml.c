/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_yaml.c - libyaml's events to entries.
 *
 * Invariant: what is not a flat mapping of scalars and lists of scalars is refused with its line;
 * nothing that a file holds is silently ignored.
 */
#include "config_yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define MAX_FILE_BYTES (1u << 20)

typedef struct yaml_reader {
    const char *path;
    yaml_parser_t parser;
    yaml_event_t event;
    config_on_entry on_entry;
    void *context;
    scp_error *error;
} yaml_reader;

static int fail_at(yaml_reader *reader, size_t line, const char *what)
{
    return scp_fail(reader->error, "%s:%zu: %s", reader->path, line + 1, what);
}

static int next_event(yaml_reader *reader)
{
    yaml_event_delete(&reader->event);
    if (yaml_parser_parse(&reader->parser, &reader->event))
        return 0;
    const char *problem = reader->parser.problem != NULL ? reader->parser.problem : "not readable";
    char what[160];
    snprintf(what, sizeof what, "not valid YAML: %s", problem);
    if (reader->parser.error == YAML_READER_ERROR)
        return scp_fail(reader->error, "%s: byte %zu: %s", reader->path,
                        reader->parser.problem_offset, what);
    return fail_at(reader, reader->parser.problem_mark.line, what);
}

/* NULL where the scalar cannot be a C string. */
static const char *scalar_text(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    return strlen(text) == event->data.scalar.length ? text : NULL;
}

static int give_entry(yaml_reader *reader, const char *name, bool in_list, unsigned item)
{
    size_t line = reader->event.start_mark.line;
    config_entry entry = {name, scalar_text(&reader->event), in_list, item};
    if (entry.value == NULL)
        return fail_at(reader, line, "a value has a NUL character in it");
    scp_error inner = SCP_ERROR_INIT;
    if (reader->on_entry(reader->context, &entry, &inner) != 0)
        return fail_at(reader, line, inner.message);
    return 0;
}

static int read_list(yaml_reader *reader, const char *name)
{
    for (unsigned item = 0;; item++) {
        if (next_event(reader) != 0)
            return -1;
        if (reader->event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        if (reader->event.type != YAML_SCALAR_EVENT)
            return fail_at(reader, reader->event.start_mark.line,
                           "a list may hold plain values only");
        if (give_entry(reader, name, true, item) != 0)
            return -1;
    }
}

static int read_value(yaml_reader *reader, const char *name)
{
    if (next_event(reader) != 0)
        return -1;
    if (reader->event.type == YAML_SCALAR_EVENT)
        return give_entry(reader, name, false, 0);
    if (reader->event.type == YAML_SEQUENCE_START_EVENT)
        return read_list(reader, name);
    return fail_at(reader, reader->event.start_mark.line,
                   "expected a value or a list of values after the option's name");
}

static int read_mapping(yaml_reader *reader)
{
    for (;;) {
        if (next_event(reader) != 0)
            return -1;
        if (reader->event.type == YAML_MAPPING_END_EVENT)
            return 0;
        const char *text =
            reader->event.type == YAML_SCALAR_EVENT ? scalar_text(&reader->event) : NULL;
        if (text == NULL)
            return fail_at(reader, reader->event.start_mark.line, "expected an option's name");
        char *name = strdup(text);
        if (name == NULL)
            return scp_fail(reader->error, "%s: out of memory", reader->path);
        int result = read_value(reader, name);
        free(name);
        if (result != 0)
            return -1;
    }
}

/* A file of comments alone has no document: all defaults. */
static int read_stream(yaml_reader *reader)
{
    if (next_event(reader) != 0 || next_event(reader) != 0)
        return -1;
    if (reader->event.type == YAML_STREAM_END_EVENT)
        return 0;
    if (next_event(reader) != 0)
        return -1;
    if (reader->event.type != YAML_MAPPING_START_EVENT)
        return fail_at(reader, reader->event.start_mark.line,
                       "expected lines of the form `option: value`");
    if (read_mapping(reader) != 0 || next_event(reader) != 0 || next_event(reader) != 0)
        return -1;
    if (reader->event.type != YAML_STREAM_END_EVENT)
        return fail_at(reader, reader->event.start_mark.line,
                       "a second document begins here; one is expected");
    return 0;
}

/* Read whole, so that libyaml never waits on a device or an endless file. */
static int load_file(char **out, size_t *nbytes, const char *path, scp_error *error)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return scp_fail(error, "%s: cannot open the configuration file: %s", path, strerror(errno));
    char *bytes = malloc(MAX_FILE_BYTES + 1);
    *nbytes = bytes != NULL ? fread(bytes, 1, MAX_FILE_BYTES + 1, file) : 0;
    int trouble = ferror(file) ? errno : 0;
    fclose(file);
    int result = 0;
    if (bytes == NULL)
        result = scp_fail(error, "%s: out of memory", path);
    else if (trouble != 0)
        result =
            scp_fail(error, "%s: cannot read the configuration file: %s", path, strerror(trouble));
    else if (*nbytes > MAX_FILE_BYTES)
        result =
            scp_fail(error, "%s: a configuration file of more than %u bytes", path, MAX_FILE_BYTES);
    if (result != 0)
        free(bytes);
    else
        *out = bytes;
    return result;
}

int config_yaml_read(const char *path, config_on_entry on_entry, void *context, scp_error *error)
{
    char *bytes = NULL;
    size_t nbytes = 0;
    if (load_file(&bytes, &nbytes, path, error) != 0)
        return -1;
    yaml_reader reader = {.path = path, .on_entry = on_entry, .context = context, .error = error};
    int result;
    if (yaml_parser_initialize(&reader.parser)) {
        yaml_parser_set_input_string(&reader.parser, (const unsigned char *)bytes, nbytes);
        result = read_stream(&reader);
        yaml_event_delete(&reader.event);
        yaml_parser_delete(&reader.parser);
    } else {
        result = scp_fail(error, "%s: out of memory", path);
    }
    free(bytes);
    return result;
}
