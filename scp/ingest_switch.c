/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_switch.c - see ingest_switch.h.
 *
 * What is written down is a file of text in the spool's folder, "pack-<id>", whose last line is the
 * hash of all before (INGEST.md).
 */
#include "ingest_switch.h"

#include "dictionary.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TITLE    "dcbscp pack 1"
#define NOTE_MAX (64u << 20)
#define REPLACED ".replaced.dcm" /* set aside, not served */

/* ---- The list of what changes ---------------------------------------------------------------- */

static bool grow(void **array, size_t *capacity, size_t n, size_t size)
{
    if (n < *capacity)
        return true;
    const size_t wanted = *capacity * 2 + 16;
    void *grown = realloc(*array, wanted * size);
    if (grown == NULL)
        return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

/* A name of ours: nothing else is ever made a path of. */
static bool is_own_name(const char *name, unsigned nslashes)
{
    unsigned n = 0;
    for (const char *c = name; *c != '\0'; c++) {
        if (strchr("0123456789abcdefghijklmnopqrstuvwxyz-./", *c) == NULL ||
            (*c == '.' && (c == name || c[-1] == '/' || c[-1] == '.')))
            return false;
        n += *c == '/';
    }
    return name[0] != '\0' && n == nslashes && strlen(name) < 96;
}

bool ingest__switch_place(ingest_switch *s, const char *staged, const char *final)
{
    void *places = s->places;
    if (!is_own_name(staged, 0) || !is_own_name(final, 1) ||
        !grow(&places, &s->places_capacity, s->nplaces, sizeof *s->places))
        return false;
    s->places = places;
    ingest_place_file *place = &s->places[s->nplaces++];
    memcpy(place->staged, staged, strlen(staged) + 1);
    memcpy(place->final, final, strlen(final) + 1);
    return true;
}

bool ingest__switch_drop(ingest_switch *s, uint64_t number)
{
    void *drops = s->drops;
    if (!grow(&drops, &s->drops_capacity, s->ndrops, sizeof *s->drops))
        return false;
    s->drops = drops;
    s->drops[s->ndrops++] = number;
    return true;
}

bool ingest__switch_remove(ingest_switch *s, const char *final)
{
    void *removes = s->removes;
    if (!is_own_name(final, 1) ||
        !grow(&removes, &s->removes_capacity, s->nremoves, sizeof *s->removes))
        return false;
    s->removes = removes;
    memcpy(s->removes[s->nremoves++], final, strlen(final) + 1);
    return true;
}

void ingest__switch_clear(ingest_switch *s)
{
    free(s->places);
    free(s->drops);
    free(s->removes);
    *s = (ingest_switch){0};
}

void ingest__final_path(char path[INGEST_PATH_SIZE], const scp_ingest *ingest, const char *final)
{
    snprintf(path, INGEST_PATH_SIZE, "%s/%s", ingest->options->store, final);
}

void ingest__staged_path(char path[INGEST_PATH_SIZE], const scp_ingest *ingest, const char *staged)
{
    snprintf(path, INGEST_PATH_SIZE, "%s/" INGEST_STAGING "/%s", ingest->folder, staged);
}

int ingest__sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int result = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return result;
}

/* ---- Written down ---------------------------------------------------------------------------- */

static void note_name(char name[40], uint64_t id)
{
    snprintf(name, 40, "pack-%010" PRIu64, id);
}

static char *compose(size_t *nbytes, const ingest_switch *s)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, nbytes);
    if (stream == NULL)
        return NULL;
    fputs(TITLE "\n", stream);
    for (size_t i = 0; i < s->nplaces; i++)
        fprintf(stream, "place %s %s\n", s->places[i].staged, s->places[i].final);
    for (size_t i = 0; i < s->ndrops; i++)
        fprintf(stream, "drop %" PRIu64 "\n", s->drops[i]);
    for (size_t i = 0; i < s->nremoves; i++)
        fprintf(stream, "remove %s\n", s->removes[i]);
    bool good = fflush(stream) == 0;
    if (good)
        fprintf(stream, "end %016" PRIx64 "\n", journal_hash(text, *nbytes));
    if (fclose(stream) != 0 || !good) {
        free(text);
        return NULL;
    }
    return text;
}

int ingest__switch_write(scp_ingest *ingest, const ingest_switch *s, scp_error *error)
{
    char name[40];
    size_t nbytes = 0;
    char *text = compose(&nbytes, s);
    if (text == NULL)
        return scp_fail(error, "out of memory");
    note_name(name, s->id);
    const int cause = ingest__write_durably(ingest, name, text, nbytes);
    free(text);
    if (cause == 0)
        return 0;
    /* Where it is there, whether it is written down is not known: then it is not to be. */
    if (unlinkat(ingest->folder_fd, name, 0) == 0 && fsync(ingest->folder_fd) != 0)
        log_event(LOG_ERROR, "pack.note", LOG_T("reason", strerror(errno)));
    return scp_fail(error, "cannot write %s/%s: %s", ingest->folder, name, strerror(cause));
}

static bool parse_line(ingest_switch *s, char *line)
{
    char *save = NULL;
    const char *word = strtok_r(line, " ", &save);
    const char *first = strtok_r(NULL, " ", &save), *second = strtok_r(NULL, " ", &save);
    if (word == NULL || first == NULL)
        return false;
    if (strcmp(word, "place") == 0)
        return second != NULL && ingest__switch_place(s, first, second);
    if (strcmp(word, "remove") == 0)
        return ingest__switch_remove(s, first);
    char *end;
    const uint64_t number = strtoull(first, &end, 10);
    return strcmp(word, "drop") == 0 && *end == '\0' && ingest__switch_drop(s, number);
}

/* The text is all there and what was written. */
static bool parse(ingest_switch *s, char *text, size_t nbytes)
{
    static const size_t end_nbytes = 21; /* "end ", 16 digits, newline */
    char end[32];
    if (nbytes < end_nbytes)
        return false;
    snprintf(end, sizeof end, "end %016" PRIx64 "\n", journal_hash(text, nbytes - end_nbytes));
    if (memcmp(text + nbytes - end_nbytes, end, end_nbytes) != 0)
        return false;
    text[nbytes - end_nbytes] = '\0';
    char *save = NULL, *line = strtok_r(text, "\n", &save);
    if (line == NULL || strcmp(line, TITLE) != 0)
        return false;
    while ((line = strtok_r(NULL, "\n", &save)) != NULL) {
        if (!parse_line(s, line))
            return false;
    }
    return true;
}

static int read_note(ingest_switch *s, const scp_ingest *ingest, uint64_t id, scp_error *error)
{
    char name[40];
    struct stat st;
    note_name(name, id);
    int fd = openat(ingest->folder_fd, name, O_RDONLY | O_CLOEXEC);
    char *text = NULL;
    bool good = fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < (off_t)NOTE_MAX &&
                (text = malloc((size_t)st.st_size + 1)) != NULL &&
                read(fd, text, (size_t)st.st_size) == st.st_size;
    s->id = id;
    if (good)
        good = parse(s, text, (size_t)st.st_size);
    free(text);
    if (fd >= 0)
        close(fd);
    return good ? 0
                : scp_fail(error,
                           "%s/%s is damaged: it tells which instances were packed; move it away "
                           "to start without it (they may then be in the spool again)",
                           ingest->folder, name);
}

/* ---- Done ------------------------------------------------------------------------------------ */

/* False where neither the staged file nor the final one is there. */
static int place(bool *there, const scp_ingest *ingest, const ingest_place_file *file,
                 scp_error *error)
{
    char from[INGEST_PATH_SIZE], to[INGEST_PATH_SIZE];
    ingest__staged_path(from, ingest, file->staged);
    ingest__final_path(to, ingest, file->final);
    *there = rename(from, to) == 0;
    if (!*there && errno != ENOENT)
        return scp_fail(error, "cannot move %s to %s: %s", from, to, strerror(errno));
    *there = *there || access(to, F_OK) == 0;
    return 0;
}

static int sync_places(const scp_ingest *ingest, const ingest_switch *s, scp_error *error)
{
    char path[INGEST_PATH_SIZE], last[INGEST_PATH_SIZE] = "";
    for (size_t i = 0; i < s->nplaces; i++) {
        ingest__final_path(path, ingest, s->places[i].final);
        *strrchr(path, '/') = '\0';
        if (strcmp(path, last) == 0)
            continue;
        const int cause = ingest__sync_folder(path);
        if (cause != 0)
            return scp_fail(error, "cannot sync %s: %s", path, strerror(cause));
        memcpy(last, path, strlen(path) + 1);
    }
    return 0;
}

static bool is_served(const char *final)
{
    const size_t n = strlen(final), tail = sizeof REPLACED - 1;
    return n < tail || strcmp(final + n - tail, REPLACED) != 0;
}

/* What the index is to know; 0 or -1. Where a file cannot be read nothing may be dropped. */
static int read_entry(index_entry *entry, char **path, index_record **record,
                      const scp_ingest *ingest, const char *final, scp_error *error)
{
    char name[INGEST_PATH_SIZE];
    struct stat st;
    dcb_series *series = NULL;
    dcb_error cause = DCB_ERROR_INIT;
    dcb_open_options options = DCB_OPEN_OPTIONS_INIT;
    options.vr_lookup = dictionary_vr;
    ingest__final_path(name, ingest, final);
    int result = 0;
    if (stat(name, &st) != 0)
        result = scp_fail(error, "cannot read %s: %s", name, strerror(errno));
    else if (dcb_series_open(&series, name, &options, &cause) != DCB_OK ||
             index_record_create(record, series, &cause) != DCB_OK)
        result = scp_fail(error, "%s: %s", name, cause.message);
    else if ((*path = strdup(name)) == NULL)
        result = scp_fail(error, "out of memory");
    dcb_series_release(series);
    if (result == 0)
        *entry = (index_entry){*path, ingest__stamp_of(&st), *record};
    return result;
}

/* The paths that go. */
static char **gone_paths(const scp_ingest *ingest, const ingest_switch *s)
{
    char path[INGEST_PATH_SIZE];
    char **paths = calloc(s->ndrops + s->nremoves + 1, sizeof *paths);
    bool good = paths != NULL;
    for (size_t i = 0; good && i < s->ndrops + s->nremoves; i++) {
        if (i < s->ndrops)
            ingest__path(path, ingest, s->drops[i], ".dcm");
        else
            ingest__final_path(path, ingest, s->removes[i - s->ndrops]);
        paths[i] = strdup(path);
        good = paths[i] != NULL;
    }
    for (size_t i = 0; !good && paths != NULL && i < s->ndrops + s->nremoves; i++)
        free(paths[i]);
    if (!good)
        free(paths);
    return good ? paths : NULL;
}

static int switch_index(scp_ingest *ingest, const ingest_switch *s, char *const *gone,
                        scp_error *error)
{
    index_entry *entries = calloc(s->nplaces + 1, sizeof *entries);
    index_record **records = calloc(s->nplaces + 1, sizeof *records);
    char **paths = calloc(s->nplaces + 1, sizeof *paths);
    uint32_t n = 0;
    int result =
        entries != NULL && records != NULL && paths != NULL ? 0 : scp_fail(error, "out of memory");
    for (size_t i = 0; result == 0 && i < s->nplaces; i++) {
        if (is_served(s->places[i].final)) {
            result =
                read_entry(&entries[n], &paths[n], &records[n], ingest, s->places[i].final, error);
            n++;
        }
    }
    if (result == 0)
        result = index_switch_files(ingest->index, entries, n, (const char *const *)gone,
                                    (uint32_t)(s->ndrops + s->nremoves), error);
    for (uint32_t i = 0; i < n; i++) {
        free(paths[i]);
        index_record_close(records[i]);
    }
    free(paths);
    free(records);
    free(entries);
    return result;
}

static int unlink_all(scp_ingest *ingest, const ingest_switch *s, char *const *gone,
                      scp_error *error)
{
    int result = 0;
    for (size_t i = 0; i < s->ndrops; i++)
        ingest__unwritten_drop(ingest, s->drops[i]);
    for (size_t i = 0; gone[i] != NULL; i++) {
        if (unlink(gone[i]) != 0 && errno != ENOENT && result == 0)
            result = scp_fail(error, "cannot remove %s: %s", gone[i], strerror(errno));
        series_pool_forget(ingest->series, gone[i]);
    }
    return result;
}

int ingest__switch_apply(scp_ingest *ingest, const ingest_switch *s, scp_error *error)
{
    for (size_t i = 0; i < s->nplaces; i++) {
        bool there = false;
        if (place(&there, ingest, &s->places[i], error) != 0)
            return -1;
        if (!there)
            return scp_fail(error, "%s is not there", s->places[i].final);
    }
    char **gone = gone_paths(ingest, s);
    if (gone == NULL)
        return scp_fail(error, "out of memory");
    int result = sync_places(ingest, s, error);
    if (result == 0)
        result = switch_index(ingest, s, gone, error);
    if (result == 0)
        result = unlink_all(ingest, s, gone, error);
    for (size_t i = 0; gone[i] != NULL; i++)
        free(gone[i]);
    free(gone);
    return result;
}

/* ---- Retiring -------------------------------------------------------------------------------- */

static void remove_note(scp_ingest *ingest, uint64_t id)
{
    char name[40];
    note_name(name, id);
    if (unlinkat(ingest->folder_fd, name, 0) != 0 && errno != ENOENT)
        log_event(LOG_WARN, "pack.note", LOG_T("name", name), LOG_T("reason", strerror(errno)));
}

void ingest__switch_retire(scp_ingest *ingest, uint64_t id)
{
    ingest_retired *list = &ingest->retired;
    void *notes = list->notes;
    if (ingest->journal == NULL) {
        remove_note(ingest, id);
        return;
    }
    if (!grow(&notes, &list->capacity, list->n, sizeof *list->notes))
        return; /* the next start removes it */
    list->notes = notes;
    list->notes[list->n].id = id;
    list->notes[list->n++].mark = journal_mark(ingest->journal);
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (journal_is_past(ingest->journal, list->notes[i].mark))
            remove_note(ingest, list->notes[i].id);
        else
            list->notes[kept++] = list->notes[i];
    }
    list->n = kept;
}

/* ---- At the start ---------------------------------------------------------------------------- */

static int compare_numbers(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* The ids of what is written down, ascending; free() them. */
static int list_notes(uint64_t **ids, size_t *n, const scp_ingest *ingest, scp_error *error)
{
    size_t capacity = 0;
    *ids = NULL;
    *n = 0;
    DIR *folder = opendir(ingest->folder);
    if (folder == NULL)
        return scp_fail(error, "cannot read %s: %s", ingest->folder, strerror(errno));
    int result = 0;
    for (const struct dirent *e; result == 0 && (e = readdir(folder)) != NULL;) {
        char *end = NULL;
        void *array = *ids;
        if (strncmp(e->d_name, "pack-", 5) != 0 || e->d_name[5] < '0' || e->d_name[5] > '9')
            continue;
        const uint64_t id = strtoull(e->d_name + 5, &end, 10);
        if (strcmp(end, ".part") == 0)
            unlinkat(ingest->folder_fd, e->d_name, 0);
        if (*end != '\0')
            continue;
        if (!grow(&array, &capacity, *n, sizeof **ids)) {
            result = scp_fail(error, "out of memory");
            break;
        }
        *ids = array;
        (*ids)[(*n)++] = id;
    }
    closedir(folder);
    if (*n > 0)
        qsort(*ids, *n, sizeof **ids, compare_numbers);
    return result;
}

static bool removed_later(const ingest_switch *all, size_t n, size_t i, const char *final)
{
    for (size_t k = i + 1; k < n; k++) {
        for (size_t r = 0; r < all[k].nremoves; r++) {
            if (strcmp(all[k].removes[r], final) == 0)
                return true;
        }
    }
    return false;
}

/* Leaves in the switch what can still be done. False where a new file is lost: nothing may go. */
static int settle_places(bool *whole, ingest_switch *all, size_t n, size_t i,
                         const scp_ingest *ingest, scp_error *error)
{
    ingest_switch *s = &all[i];
    size_t kept = 0;
    *whole = true;
    for (size_t k = 0; k < s->nplaces; k++) {
        bool there = false;
        if (place(&there, ingest, &s->places[k], error) != 0)
            return -1;
        if (there)
            s->places[kept++] = s->places[k];
        else if (!removed_later(all, n, i, s->places[k].final))
            *whole = false;
    }
    s->nplaces = kept;
    return 0;
}

static int redo_one(ingest_switch *all, size_t n, size_t i, scp_ingest *ingest,
                    ingest_switch *dropped, scp_error *error)
{
    bool whole = false;
    if (settle_places(&whole, all, n, i, ingest, error) != 0)
        return -1;
    if (!whole) {
        log_event(LOG_ERROR, "pack.lost", LOG_U("id", all[i].id),
                  LOG_T("effect", "a packed file is gone: its instances stay in the spool"));
        return 0;
    }
    for (size_t k = 0; k < all[i].ndrops; k++) {
        if (!ingest__switch_drop(dropped, all[i].drops[k]))
            return scp_fail(error, "out of memory");
    }
    return ingest__switch_apply(ingest, &all[i], error);
}

int ingest__switch_redo(scp_ingest *ingest, uint64_t **numbers, size_t *n, uint64_t *newest,
                        scp_error *error)
{
    uint64_t *ids = NULL;
    size_t nnotes = 0;
    ingest_switch dropped = {0};
    *numbers = NULL;
    *n = 0;
    if (list_notes(&ids, &nnotes, ingest, error) != 0) {
        free(ids);
        return -1;
    }
    ingest_switch *all = calloc(nnotes + 1, sizeof *all);
    int result = all != NULL ? 0 : scp_fail(error, "out of memory");
    for (size_t i = 0; result == 0 && i < nnotes; i++)
        result = read_note(&all[i], ingest, ids[i], error);
    for (size_t i = 0; result == 0 && i < nnotes; i++)
        result = redo_one(all, nnotes, i, ingest, &dropped, error);
    *newest = nnotes > 0 ? ids[nnotes - 1] : 0; /* taken after those of the instances */
    for (size_t i = 0; all != NULL && i < nnotes; i++)
        ingest__switch_clear(&all[i]);
    free(all);
    free(ids);
    if (result == 0 && dropped.ndrops > 0)
        qsort(dropped.drops, dropped.ndrops, sizeof *dropped.drops, compare_numbers);
    *numbers = dropped.drops;
    *n = dropped.ndrops;
    return result;
}

int ingest__switch_forget(scp_ingest *ingest, scp_error *error)
{
    uint64_t *ids = NULL;
    size_t n = 0;
    char path[INGEST_PATH_SIZE];
    int result = list_notes(&ids, &n, ingest, error);
    for (size_t i = 0; result == 0 && i < n; i++)
        remove_note(ingest, ids[i]);
    /* One that came back after a power failure could drop what has its number by then. */
    if (result == 0 && n > 0 && fsync(ingest->folder_fd) != 0)
        result = scp_fail(error, "cannot sync %s: %s", ingest->folder, strerror(errno));
    free(ids);
    if (result == 0 && mkdirat(ingest->folder_fd, INGEST_STAGING, 0700) != 0 && errno != EEXIST)
        result = scp_fail(error, "cannot write in %s: %s", ingest->folder, strerror(errno));
    snprintf(path, sizeof path, "%s/" INGEST_STAGING, ingest->folder);
    DIR *folder = result == 0 ? opendir(path) : NULL;
    for (const struct dirent *e; folder != NULL && (e = readdir(folder)) != NULL;) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(folder), e->d_name, 0);
    }
    if (folder != NULL)
        closedir(folder);
    return result;
}
