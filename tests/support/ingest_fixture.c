/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest_fixture.h"

#include "dimse_status.h"
#include "log.h"
#include "must.h"
#include "temp_dir.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CT             "1.2.840.10008.5.1.4.1.1.2"
#define SEGMENT_NBYTES (4 << 20)
#define PIECE          100000 /* a PDV's worth */

void ingest_fixture_start(ingest_fixture *f)
{
    scp_error error = SCP_ERROR_INIT;
    must(index_open(&f->index, f->state, &error) == 0 &&
             ingest_open(&f->ingest, &f->options, f->index, f->series, &error) == 0,
         error.message);
}

void ingest_fixture_stop(ingest_fixture *f)
{
    ingest_close(f->ingest);
    index_close(f->index);
}

ingest_fixture *ingest_fixture_create(store_durability durability)
{
    ingest_fixture *f = calloc(1, sizeof *f);
    must(f != NULL, "out of memory");
    log_configure(LOG_ERROR, LOG_TEXT);
    f->store = temp_dir_create();
    f->state = temp_dir_create();
    f->options.store = f->store;
    f->options.durability = durability;
    must(series_pool_create(&f->series, 8, NULL, NULL) == DCB_OK, "no pool");
    ingest_fixture_start(f);
    return f;
}

void ingest_fixture_free(ingest_fixture *f)
{
    ingest_fixture_stop(f);
    series_pool_close(f->series);
    temp_dir_remove(f->store);
    temp_dir_remove(f->state);
    free(f);
}

int ingest_fixture_setup(void **state)
{
    *state = ingest_fixture_create(DURABILITY_FSYNC);
    return 0;
}

int ingest_fixture_setup_async(void **state)
{
    *state = ingest_fixture_create(DURABILITY_ASYNC);
    return 0;
}

int ingest_fixture_setup_grown(void **state)
{
    ingest_fixture *f = ingest_fixture_create(DURABILITY_FSYNC);
    ingest_fixture_stop(f);
    ingest_fixture_grow_journal(f);
    ingest_fixture_start(f);
    *state = f;
    return 0;
}

int ingest_fixture_teardown(void **state)
{
    ingest_fixture_free(*state);
    return 0;
}

char *ingest_fixture_path(const ingest_fixture *f, const char *name)
{
    char *folder = path_join(f->store, INGEST_FOLDER), *path = path_join(folder, name);
    free(folder);
    return path;
}

/* ---- Instances ---- */

const source_kind ingest_usual = {.name = "usual", .slope = "1", .intercept = "-1024"};
const source_kind ingest_other = {
    .name = "other", .slope = "1", .intercept = "-1024", .patient = "Roe^Jane"};
const source_kind ingest_large = {.name = "large",
                                  .rows = 1024,
                                  .columns = 1024,
                                  .slope = "1",
                                  .intercept = "-1024",
                                  .patient = "Poe^Max"};

void ingest_fixture_uid(char uid[32], uint32_t slice)
{
    snprintf(uid, 32, "1.2.3.4.%u", slice + 100);
}

uint16_t ingest_fixture_send(ingest_fixture *f, const source_kind *kind, uint32_t slice,
                             const char *syntax_uid)
{
    char uid[32];
    size_t nbytes;
    ingest_verdict verdict;
    ingest_fixture_uid(uid, slice);
    uint8_t *bytes = source_instance(&nbytes, kind, slice);
    const ingest_request request = {7, syntax_uid, CT, uid};
    ingest_instance *instance = ingest_begin(f->ingest, &request);
    for (size_t at = 0; at < nbytes; at += PIECE)
        ingest_take(instance, bytes + at, nbytes - at < PIECE ? nbytes - at : PIECE);
    ingest_finish(instance, &verdict);
    ingest_free(instance);
    free(bytes);
    return verdict.status;
}

bool ingest_fixture_holds(ingest_fixture *f, const source_kind *kind, uint32_t slice)
{
    char text[32];
    const char *uid = text;
    const index_filter filter = {.sop_uids = &uid, .nsop_uids = 1};
    index_cursor *cursor = NULL;
    index_instance found;
    dcb_series *series = NULL;
    dcb_frame *frame = NULL;
    size_t nbytes, got = 0;
    bool same = false;
    ingest_fixture_uid(text, slice);
    uint8_t *bytes = source_instance(&nbytes, kind, slice);
    must(index_find_instances(&cursor, f->index, &filter, NULL) == 0, "the index fails");
    if (index_cursor_next_instance(cursor, &found, NULL) == 1 &&
        series_pool_get(&series, f->series, found.path, NULL) == DCB_OK &&
        dcb_series_frame(&frame, series, found.frame, DCB_ENCODING_EXPLICIT_LE, NULL) == DCB_OK) {
        const uint8_t *dataset = dcb_frame_dataset(frame, &got);
        same = got == nbytes && memcmp(dataset, bytes, nbytes) == 0 &&
               index_cursor_next_instance(cursor, &found, NULL) == 0;
    }
    dcb_frame_release(frame);
    dcb_series_release(series);
    index_cursor_close(cursor);
    free(bytes);
    return same;
}

void ingest_fixture_send_all(ingest_fixture *f, const source_kind *kind, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        must(ingest_fixture_send(f, kind, i, "1.2.840.10008.1.2.1") == DIMSE_SUCCESS,
             "an instance is not taken in");
}

uint32_t ingest_fixture_first_missing(ingest_fixture *f, const source_kind *kind, uint32_t from,
                                      uint32_t to)
{
    must(ingest_settle(f->ingest), "the index is not written");
    while (from < to && ingest_fixture_holds(f, kind, from))
        from++;
    return from;
}

size_t ingest_fixture_count_spooled(const ingest_fixture *f)
{
    must(ingest_settle(f->ingest), "the index is not written");
    must(ingest_fixture_count(f, true, ".part") == 0, "a .part is left");
    return ingest_fixture_count(f, true, ".dcm");
}

/* ---- The journal ---- */

static char *segment_path(const ingest_fixture *f, unsigned i)
{
    char name[32];
    snprintf(name, sizeof name, "journal-%u", i);
    return ingest_fixture_path(f, name);
}

void ingest_fixture_grow_journal(ingest_fixture *f)
{
    f->options.durability = DURABILITY_FSYNC;
    f->options.store_journal_mb = FIXTURE_SEGMENTS * (SEGMENT_NBYTES >> 20);
    for (unsigned i = 0; i < FIXTURE_SEGMENTS; i++) {
        char *path = segment_path(f, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        must(fd >= 0 && ftruncate(fd, SEGMENT_NBYTES) == 0, path);
        close(fd);
        free(path);
    }
}

void ingest_fixture_copy_journal(journal_copy *out, const ingest_fixture *f)
{
    *out = (journal_copy){{NULL}, {0}};
    for (unsigned i = 0; i < FIXTURE_SEGMENTS; i++) {
        char *path = segment_path(f, i);
        if (access(path, F_OK) == 0)
            out->segments[i] = read_whole_file(path, &out->nbytes[i]);
        free(path);
    }
}

void ingest_fixture_put_journal(const journal_copy *copy, const ingest_fixture *f)
{
    for (unsigned i = 0; i < FIXTURE_SEGMENTS; i++) {
        char *path = segment_path(f, i);
        if (copy->segments[i] != NULL)
            write_file(path, copy->segments[i], copy->nbytes[i]);
        free(path);
    }
}

void ingest_fixture_drop_copy(journal_copy *copy)
{
    for (unsigned i = 0; i < FIXTURE_SEGMENTS; i++)
        free(copy->segments[i]);
}

/* ---- Files ---- */

/* nftw passes nothing on. */
static const char *counted_suffix;
static bool counted_spool;
static size_t counted;

static int count_one(const char *path, const struct stat *st, int type, struct FTW *place)
{
    (void)st;
    (void)place;
    const size_t n = strlen(path), tail = strlen(counted_suffix);
    counted += type == FTW_F && n > tail && strcmp(path + n - tail, counted_suffix) == 0 &&
               (strstr(path, INGEST_FOLDER) != NULL) == counted_spool;
    return 0;
}

size_t ingest_fixture_count(const ingest_fixture *f, bool in_spool, const char *suffix)
{
    counted_suffix = suffix;
    counted_spool = in_spool;
    counted = 0;
    must(nftw(f->store, count_one, 8, FTW_PHYS) == 0, "the store cannot be read");
    return counted;
}
