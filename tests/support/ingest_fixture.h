/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_fixture.h - a store with its index and its ingest, in folders of the test's own.
 *
 * Failures end the test program.
 */
#ifndef INGEST_FIXTURE_H
#define INGEST_FIXTURE_H

#include "ingest_private.h"
#include "source_instance.h"

typedef struct ingest_fixture {
    char *store, *state;
    scp_options options;
    scp_index *index;
    series_pool *series;
    scp_ingest *ingest;
} ingest_fixture;

ingest_fixture *ingest_fixture_create(store_durability durability);
void ingest_fixture_free(ingest_fixture *f);
/* For cmocka. grown: instances may stay in the journal (below). */
int ingest_fixture_setup(void **state);
int ingest_fixture_setup_async(void **state);
int ingest_fixture_setup_grown(void **state);
int ingest_fixture_teardown(void **state);
/* As the node would be stopped and started, with the options as they are then. */
void ingest_fixture_stop(ingest_fixture *f);
void ingest_fixture_start(ingest_fixture *f);

/* Of one series; `other` is of another patient's name, `large` is more than the journal takes. */
extern const source_kind ingest_usual, ingest_other, ingest_large;

/* C-STORE of a CT slice whose SOP Instance UID ingest_fixture_uid tells; the status. */
uint16_t ingest_fixture_send(ingest_fixture *f, const source_kind *kind, uint32_t slice,
                             const char *syntax_uid);
void ingest_fixture_uid(char uid[32], uint32_t slice);
/* Is it found once, and bit by bit what was sent in Explicit VR Little Endian? */
bool ingest_fixture_holds(ingest_fixture *f, const source_kind *kind, uint32_t slice);

/* In Explicit VR Little Endian; each must be a success. */
void ingest_fixture_send_all(ingest_fixture *f, const source_kind *kind, uint32_t from,
                             uint32_t to);
/* The first that is not held as it was sent; `to` where all are. */
uint32_t ingest_fixture_first_missing(ingest_fixture *f, const source_kind *kind, uint32_t from,
                                      uint32_t to);
/* In a file that includes cmocka.h. */
#define assert_held(f, kind, from, to)                                                             \
    do {                                                                                           \
        const uint32_t missing_ = ingest_fixture_first_missing((f), (kind), (from), (to));         \
        if (missing_ < (to))                                                                       \
            fail_msg("%s: slice %u is not there as it was sent", (kind)->name, missing_);          \
    } while (0)
/* Spool files, when all that was acknowledged is indexed. */
size_t ingest_fixture_count_spooled(const ingest_fixture *f);

/* While it is stopped: the journal is as if it had grown, to 12 segments of 4 MiB. In 9 of them
   instances may stay. */
#define FIXTURE_SEGMENTS         12
#define FIXTURE_SEGMENTS_LASTING 9
void ingest_fixture_grow_journal(ingest_fixture *f);

/* In the spool's folder; free(). */
char *ingest_fixture_path(const ingest_fixture *f, const char *name);
/* The journal as it is on the disk now, and as it was then: what a crash leaves. */
typedef struct journal_copy {
    void *segments[FIXTURE_SEGMENTS]; /* NULL: there was none */
    size_t nbytes[FIXTURE_SEGMENTS];
} journal_copy;
void ingest_fixture_copy_journal(journal_copy *out, const ingest_fixture *f);
void ingest_fixture_put_journal(const journal_copy *copy, const ingest_fixture *f);
void ingest_fixture_drop_copy(journal_copy *copy);

/* Files of the store whose names end so, in the spool or outside of it. */
size_t ingest_fixture_count(const ingest_fixture *f, bool in_spool, const char *suffix);

#endif
