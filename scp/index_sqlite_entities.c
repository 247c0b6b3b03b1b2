/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_sqlite_entities.c - the rows of series, studies and patients follow their files: newest
 * file, keys, counts, and what of UIDs and modalities occurs below.
 *
 * Going up by level, each row is made from the rows of the level below only, once for each commit:
 * a batch of a study's many files lists its series once. Writer's thread only.
 */
#include "index_sqlite_write.h"

#include <stdlib.h>
#include <string.h>

/* Distinct words, sorted, to be joined by backslashes as a multi-valued element has them. */
typedef struct word_set {
    char **words;
    uint32_t n, capacity;
} word_set;

static void add_word(write_op *op, word_set *set, const char *word, size_t nbytes)
{
    uint32_t at = 0;
    for (; at < set->n; at++) {
        int order = strncmp(set->words[at], word, nbytes);
        if (order == 0 && set->words[at][nbytes] == '\0')
            return;
        if (order >= 0)
            break;
    }
    if (set->n == set->capacity) {
        uint32_t capacity = set->capacity * 2 + 4;
        char **words = realloc(set->words, capacity * sizeof *words);
        if (words == NULL) {
            op->rc = SQLITE_NOMEM;
            return;
        }
        set->words = words;
        set->capacity = capacity;
    }
    char *copy = strndup(word, nbytes);
    if (copy == NULL) {
        op->rc = SQLITE_NOMEM;
        return;
    }
    memmove(set->words + at + 1, set->words + at, (set->n - at) * sizeof *set->words);
    set->words[at] = copy;
    set->n++;
}

/* text: words joined by backslashes, or NULL. Empty words are left out. */
static void add_words(write_op *op, word_set *set, const unsigned char *text)
{
    const char *word = text != NULL ? (const char *)text : "";
    while (*word != '\0') {
        size_t nbytes = strcspn(word, "\\");
        if (nbytes > 0)
            add_word(op, set, word, nbytes);
        word += nbytes + (word[nbytes] != '\0');
    }
}

/* Empties the set; free() the result; NULL only where the operation has failed. */
static char *join_words(write_op *op, word_set *set)
{
    size_t nbytes = 1;
    for (uint32_t i = 0; i < set->n; i++)
        nbytes += strlen(set->words[i]) + 1;
    char *joined = calloc(nbytes, 1);
    if (joined == NULL)
        op->rc = SQLITE_NOMEM;
    char *end = joined;
    for (uint32_t i = 0; i < set->n; i++) {
        if (joined != NULL) {
            if (i > 0)
                *end++ = '\\';
            end = stpcpy(end, set->words[i]);
        }
        free(set->words[i]);
    }
    free(set->words);
    *set = (word_set){0};
    return joined;
}

/* The newest of several files, by mtime, then path. */
typedef struct newest_file {
    int64_t id, mtime_ns;
    char *path;
} newest_file;

/* A row that begins with file id, mtime_ns, path. */
static void take_newer(write_op *op, newest_file *newest, sqlite3_stmt *row)
{
    int64_t mtime_ns = sqlite3_column_int64(row, 1);
    const char *path = (const char *)sqlite3_column_text(row, 2);
    if (path == NULL)
        return;
    if (newest->path != NULL && (mtime_ns < newest->mtime_ns ||
                                 (mtime_ns == newest->mtime_ns && strcmp(path, newest->path) <= 0)))
        return;
    free(newest->path);
    newest->path = strdup(path);
    if (newest->path == NULL)
        op->rc = SQLITE_NOMEM;
    newest->id = sqlite3_column_int64(row, 0);
    newest->mtime_ns = mtime_ns;
}

static void refresh_series(write_op *op, int64_t id)
{
    int64_t study = write_find_id(op, DO_SERIES_STUDY, "i", id);
    int64_t newest = write_find_id(op, DO_SERIES_NEWEST, "i", id);
    if (op->rc != SQLITE_OK || study == 0)
        return;
    write_touch(op, &op->index->studies, study);
    if (newest == 0) {
        write_run(op, DO_SERIES_DELETE, "i", id);
        return;
    }
    word_set classes = {0};
    int64_t ninstances = 0;
    sqlite3_stmt *rows = write_start(op, DO_SERIES_CLASSES, "i", id);
    while (write_next(op, rows)) {
        add_words(op, &classes, sqlite3_column_text(rows, 0));
        ninstances += sqlite3_column_int64(rows, 1);
    }
    char *sop_classes = join_words(op, &classes);
    write_run(op, DO_SERIES_UPDATE, "iiit", id, newest, ninstances, sop_classes);
    free(sop_classes);
}

static void refresh_study(write_op *op, int64_t id)
{
    int64_t patient = write_find_id(op, DO_STUDY_PATIENT, "i", id);
    if (op->rc != SQLITE_OK || patient == 0)
        return;
    write_touch(op, &op->index->patients, patient);
    newest_file newest = {0};
    word_set modality_set = {0}, class_set = {0};
    int64_t nseries = 0, ninstances = 0;
    sqlite3_stmt *rows = write_start(op, DO_STUDY_PARTS, "i", id);
    while (write_next(op, rows)) {
        take_newer(op, &newest, rows);
        int64_t n = sqlite3_column_int64(rows, 5);
        if (n == 0)
            continue; /* all its instances are answered by newer files elsewhere */
        nseries++;
        ninstances += n;
        add_words(op, &modality_set, sqlite3_column_text(rows, 3));
        add_words(op, &class_set, sqlite3_column_text(rows, 4));
    }
    char *modalities = join_words(op, &modality_set), *classes = join_words(op, &class_set);
    if (newest.id == 0)
        write_run(op, DO_STUDY_DELETE, "i", id);
    else
        write_run(op, DO_STUDY_UPDATE, "iiiitt", id, newest.id, nseries, ninstances, modalities,
                  classes);
    free(newest.path);
    free(modalities);
    free(classes);
}

static void refresh_names(write_op *op, int64_t patient, int64_t newest)
{
    word_set names = {0};
    sqlite3_stmt *rows = write_start(op, DO_NAMES_OF_FILE, "i", newest);
    while (write_next(op, rows))
        add_words(op, &names, sqlite3_column_text(rows, 0));
    write_run(op, DO_NAMES_DELETE, "i", patient);
    for (uint32_t i = 0; i < names.n; i++)
        write_run(op, DO_NAME_INSERT, "it", patient, names.words[i]);
    free(join_words(op, &names));
}

static void refresh_patient(write_op *op, int64_t id)
{
    newest_file newest = {0};
    int64_t nstudies = 0, nseries = 0, ninstances = 0;
    sqlite3_stmt *rows = write_start(op, DO_PATIENT_PARTS, "i", id);
    while (write_next(op, rows)) {
        take_newer(op, &newest, rows);
        int64_t n = sqlite3_column_int64(rows, 4);
        nstudies += n > 0;
        nseries += sqlite3_column_int64(rows, 3);
        ninstances += n;
    }
    if (newest.id == 0) {
        write_run(op, DO_NAMES_DELETE, "i", id);
        write_run(op, DO_PATIENT_DELETE, "i", id);
    } else {
        refresh_names(op, id, newest.id);
        write_run(op, DO_PATIENT_UPDATE, "iiiii", id, newest.id, nstudies, nseries, ninstances);
    }
    free(newest.path);
}

void write_refresh_entities(write_op *op)
{
    sqlite_index *index = op->index;
    for (uint32_t i = 0; i < index->series.n; i++)
        refresh_series(op, index->series.ids[i]);
    for (uint32_t i = 0; i < index->studies.n; i++)
        refresh_study(op, index->studies.ids[i]);
    for (uint32_t i = 0; i < index->patients.n; i++)
        refresh_patient(op, index->patients.ids[i]);
    index->series.n = index->studies.n = index->patients.n = 0;
}
