/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_yaml.c - libyaml's document as config_values.
 *
 * Invariant: what config_value cannot tell (a second document, names that are no text, NUL
 * characters) is refused with its line when the tree is made; nothing is silently ignored.
 */
#include "config_yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define MAX_FILE_BYTES (1u << 20)

struct config_tree {
    const char *name; /* while it is read */
    bool has_lines;
    bool has_document;
    yaml_document_t document;
};

static int fail_at(const config_tree *tree, size_t line, const char *what, scp_error *error)
{
    if (!tree->has_lines)
        return scp_fail(error, "%s: %s", tree->name, what);
    return scp_fail(error, "%s:%zu: %s", tree->name, line + 1, what);
}

/* libyaml gives no document by a root of NULL. */
static yaml_node_t *root_of(const yaml_document_t *document)
{
    return yaml_document_get_root_node((yaml_document_t *)(uintptr_t)document);
}

static yaml_node_t *node_at(const config_tree *tree, int node)
{
    return yaml_document_get_node((yaml_document_t *)(uintptr_t)&tree->document, node);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static int not_yaml(const config_tree *tree, const yaml_parser_t *parser, scp_error *error)
{
    char what[160];
    snprintf(what, sizeof what, "not valid YAML: %s",
             parser->problem != NULL ? parser->problem : "not readable");
    if (parser->error == YAML_READER_ERROR)
        return scp_fail(error, "%s: byte %zu: %s", tree->name, parser->problem_offset, what);
    return fail_at(tree, parser->problem_mark.line, what, error);
}

static int check_node(const config_tree *tree, const yaml_node_t *node, scp_error *error)
{
    if (node->type == YAML_SCALAR_NODE &&
        strlen((const char *)node->data.scalar.value) != node->data.scalar.length)
        return fail_at(tree, node->start_mark.line, "a value has a NUL character in it", error);
    if (node->type != YAML_MAPPING_NODE)
        return 0;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = node_at(tree, pair->key);
        if (key->type != YAML_SCALAR_NODE)
            return fail_at(tree, key->start_mark.line, "expected an option's name", error);
    }
    return 0;
}

static int check_document(config_tree *tree, yaml_parser_t *parser, scp_error *error)
{
    const yaml_node_t *root = root_of(&tree->document);
    if (tree->has_lines && root != NULL && root->type != YAML_MAPPING_NODE)
        return fail_at(tree, root->start_mark.line, "expected lines of the form `option: value`",
                       error);
    for (int i = 1; node_at(tree, i) != NULL; i++) {
        if (check_node(tree, node_at(tree, i), error) != 0)
            return -1;
    }
    if (root == NULL)
        return 0;
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next))
        return not_yaml(tree, parser, error);
    const yaml_node_t *second = root_of(&next);
    const size_t line = second != NULL ? next.start_mark.line : 0;
    yaml_document_delete(&next);
    return second == NULL
               ? 0
               : fail_at(tree, line, "a second document begins here; one is expected", error);
}

static int read_bytes(config_tree **out, const char *name, bool is_file, const char *bytes,
                      size_t nbytes, scp_error *error)
{
    yaml_parser_t parser;
    config_tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL || !yaml_parser_initialize(&parser)) {
        free(tree);
        return scp_fail(error, "%s: out of memory", name);
    }
    tree->name = name;
    tree->has_lines = is_file;
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, nbytes);
    tree->has_document = yaml_parser_load(&parser, &tree->document) != 0;
    int result =
        tree->has_document ? check_document(tree, &parser, error) : not_yaml(tree, &parser, error);
    yaml_parser_delete(&parser);
    tree->name = NULL;
    if (result != 0)
        config_close(tree);
    else
        *out = tree;
    return result;
}

/* Whole, so that libyaml never waits on a device or an endless file. */
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

int config_read_file(config_tree **out, const char *path, scp_error *error)
{
    char *bytes = NULL;
    size_t nbytes = 0;
    *out = NULL;
    if (load_file(&bytes, &nbytes, path, error) != 0)
        return -1;
    int result = read_bytes(out, path, true, bytes, nbytes, error);
    free(bytes);
    return result;
}

int config_read_text(config_tree **out, const char *name, const char *text, scp_error *error)
{
    *out = NULL;
    return read_bytes(out, name, false, text, strlen(text), error);
}

void config_close(config_tree *tree)
{
    if (tree == NULL)
        return;
    if (tree->has_document)
        yaml_document_delete(&tree->document);
    free(tree);
}

/* ---- Looking --------------------------------------------------------------------------------- */

static config_value value_of(const config_tree *tree, int node)
{
    const yaml_node_t *at = node_at(tree, node);
    config_value value = {.tree = tree, .node = node, .line = (uint32_t)at->start_mark.line + 1};
    if (at->type == YAML_SEQUENCE_NODE) {
        value.kind = CONFIG_LIST;
        value.count = (uint32_t)(at->data.sequence.items.top - at->data.sequence.items.start);
    } else if (at->type == YAML_MAPPING_NODE) {
        value.kind = CONFIG_RECORD;
        value.count = (uint32_t)(at->data.mapping.pairs.top - at->data.mapping.pairs.start);
    } else {
        value.kind = CONFIG_TEXT;
        value.text = (const char *)at->data.scalar.value;
    }
    return value;
}

config_value config_root(const config_tree *tree)
{
    const bool empty = root_of(&tree->document) == NULL;
    if (!empty)
        return value_of(tree, 1); /* libyaml's nodes count from 1, the root first */
    if (tree->has_lines)
        return (config_value){.kind = CONFIG_RECORD, .line = 1};
    return (config_value){.kind = CONFIG_TEXT, .line = 1, .text = ""};
}

config_value config_item(const config_value *of, uint32_t i)
{
    const yaml_node_t *at = node_at(of->tree, of->node);
    if (of->kind == CONFIG_LIST)
        return value_of(of->tree, at->data.sequence.items.start[i]);
    const yaml_node_pair_t *pair = &at->data.mapping.pairs.start[i];
    const yaml_node_t *name = node_at(of->tree, pair->key);
    config_value value = value_of(of->tree, pair->value);
    value.name = (const char *)name->data.scalar.value;
    value.name_line = (uint32_t)name->start_mark.line + 1;
    return value;
}
