/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_unwritten.c - instances that stay in the journal: their files are written when somebody
 * wants to read one, when it waited for long, or when the node stops. Packing takes most of them
 * out of the journal, and their files are never written.
 *
 * Invariant: an instance is in this table, or its file is there, or it was dropped; its record is
 * released after the file has its name. Who has claimed an entry works on it alone.
 */
#include "ingest_private.h"

#include "log.h"
#include "steady_clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAMAGED (-1)
#define WAIT_MS 60000 /* longer than most series wait to be packed */

struct ingest_unwritten {
    ingest_unwritten *bucket_next;
    ingest_unwritten *older, *newer; /* in the order of arrival */
    uint64_t number, nbytes;
    int64_t arrived_ns, due_ms;
    journal_place place;
    bool claimed;
    bool damaged; /* its record is not what was written: it is in the table only */
};

void ingest__unwritten_init(ingest_unwritten_table *table)
{
    pthread_mutex_init(&table->lock, NULL);
    pthread_cond_init(&table->changed, NULL);
    table->wait_ms = WAIT_MS;
}

void ingest__unwritten_free(ingest_unwritten_table *table)
{
    for (size_t i = 0; i < UNWRITTEN_BUCKETS; i++) {
        for (ingest_unwritten *u = table->buckets[i], *next; u != NULL; u = next) {
            next = u->bucket_next;
            free(u);
        }
    }
    pthread_cond_destroy(&table->changed);
    pthread_mutex_destroy(&table->lock);
}

/* ---- The table; the lock is held ---- */

static ingest_unwritten **find(ingest_unwritten_table *table, uint64_t number)
{
    ingest_unwritten **link = &table->buckets[number % UNWRITTEN_BUCKETS];
    while (*link != NULL && (*link)->number != number)
        link = &(*link)->bucket_next;
    return link;
}

static void unlink_from_order(ingest_unwritten_table *table, const ingest_unwritten *u)
{
    *(u->older != NULL ? &u->older->newer : &table->oldest) = u->newer;
    *(u->newer != NULL ? &u->newer->older : &table->newest) = u->older;
}

/* ---- Claims ---- */

/* NULL: it is not in the table (any more). */
static ingest_unwritten *claim(ingest_unwritten_table *table, uint64_t number)
{
    ingest_unwritten *u;
    pthread_mutex_lock(&table->lock);
    while ((u = *find(table, number)) != NULL && u->claimed)
        pthread_cond_wait(&table->changed, &table->lock);
    if (u != NULL)
        u->claimed = true;
    pthread_mutex_unlock(&table->lock);
    return u;
}

static void give_back(ingest_unwritten_table *table, ingest_unwritten *u)
{
    pthread_mutex_lock(&table->lock);
    u->claimed = false;
    pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
}

/* Its file is there, or it is needed no more. */
static void remove_claimed(scp_ingest *ingest, ingest_unwritten *u)
{
    ingest_unwritten_table *table = &ingest->unwritten;
    pthread_mutex_lock(&table->lock);
    *find(table, u->number) = u->bucket_next;
    if (!u->damaged)
        unlink_from_order(table, u);
    pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
    journal_release(ingest->journal, &u->place);
    ingest__release_room(ingest, u->nbytes);
    free(u);
}

/* ---- What others do ---- */

bool ingest__unwritten_add(scp_ingest *ingest, const journal_record *record,
                           const journal_place *place)
{
    ingest_unwritten_table *table = &ingest->unwritten;
    ingest_unwritten *u = malloc(sizeof *u);
    if (u == NULL)
        return false;
    *u = (ingest_unwritten){.number = record->number,
                            .nbytes = record->nbytes,
                            .arrived_ns = record->arrived_ns,
                            .due_ms = steady_clock_ms() + table->wait_ms,
                            .place = *place};
    pthread_mutex_lock(&table->lock);
    ingest_unwritten **bucket = &table->buckets[u->number % UNWRITTEN_BUCKETS];
    u->bucket_next = *bucket;
    *bucket = u;
    u->older = table->newest;
    *(table->newest != NULL ? &table->newest->newer : &table->oldest) = u;
    table->newest = u;
    pthread_mutex_unlock(&table->lock);
    return true;
}

int ingest__unwritten_read(scp_ingest *ingest, uint64_t number, uint8_t *buffer, size_t *nbytes,
                           int64_t *arrived_ns)
{
    ingest_unwritten *u = claim(&ingest->unwritten, number);
    if (u == NULL)
        return ENOENT;
    *arrived_ns = u->arrived_ns;
    const int cause = journal_read(ingest->journal, &u->place, number, buffer, nbytes);
    give_back(&ingest->unwritten, u);
    return cause;
}

bool ingest__unwritten_read_ahead(scp_ingest *ingest, uint64_t number)
{
    ingest_unwritten *u = claim(&ingest->unwritten, number);
    if (u == NULL)
        return false;
    journal_read_ahead(ingest->journal, &u->place, u->nbytes);
    give_back(&ingest->unwritten, u);
    return true;
}

bool ingest__unwritten_has(scp_ingest *ingest, uint64_t number)
{
    ingest_unwritten_table *table = &ingest->unwritten;
    pthread_mutex_lock(&table->lock);
    const bool has = *find(table, number) != NULL;
    pthread_mutex_unlock(&table->lock);
    return has;
}

void ingest__unwritten_drop(scp_ingest *ingest, uint64_t number)
{
    ingest_unwritten *u = claim(&ingest->unwritten, number);
    if (u != NULL)
        remove_claimed(ingest, u);
}

/* ---- Files ---- */

/* Under its name when it is whole: others know that already. 0 or errno. */
static int write_under_name(scp_ingest *ingest, const ingest_unwritten *u, uint8_t *bytes,
                            size_t nbytes, bool cached)
{
    char part[INGEST_PATH_SIZE], path[INGEST_PATH_SIZE];
    file_stamp stamp;
    ingest__path(part, ingest, u->number, ".part");
    ingest__path(path, ingest, u->number, ".dcm");
    const ingest_content content = {bytes, nbytes, u->arrived_ns, cached};
    const int cause = ingest__write_spooled(ingest, u->number, ".part", &content, &stamp);
    if (cause != 0 || rename(part, path) == 0)
        return cause;
    const int failed = errno;
    unlink(part);
    return failed;
}

/* It stays where it is: somebody may look into the journal. */
static void note_damage(scp_ingest *ingest, ingest_unwritten *u)
{
    ingest_unwritten_table *table = &ingest->unwritten;
    log_event(
        LOG_ERROR, "spool.damaged", LOG_U("number", u->number),
        LOG_T("effect", "the journal does not hold what was written: it cannot be retrieved"));
    pthread_mutex_lock(&table->lock);
    u->damaged = true;
    unlink_from_order(table, u);
    pthread_mutex_unlock(&table->lock);
}

/* 0, errno, or DAMAGED. */
static int write_claimed(scp_ingest *ingest, ingest_unwritten *u, bool cached)
{
    size_t nbytes = 0;
    uint8_t *buffer = ingest__take_buffer(ingest);
    int cause = ENOMEM;
    if (buffer != NULL && journal_read(ingest->journal, &u->place, u->number, buffer, &nbytes) == 0)
        cause = write_under_name(ingest, u, buffer, nbytes, cached);
    else if (buffer != NULL) {
        cause = DAMAGED;
        if (!u->damaged)
            note_damage(ingest, u);
    }
    ingest__give_buffer(ingest, buffer);
    if (cause == 0)
        remove_claimed(ingest, u);
    else
        give_back(&ingest->unwritten, u);
    return cause;
}

int ingest__make_file(scp_ingest *ingest, uint64_t number)
{
    ingest_unwritten *u = claim(&ingest->unwritten, number);
    const int cause = u != NULL ? write_claimed(ingest, u, true) : 0;
    return cause == DAMAGED ? EIO : cause;
}

int64_t ingest__unwritten_due(scp_ingest *ingest)
{
    pthread_mutex_lock(&ingest->unwritten.lock);
    const ingest_unwritten *oldest = ingest->unwritten.oldest;
    const int64_t due_ms = oldest != NULL ? oldest->due_ms : INT64_MAX;
    pthread_mutex_unlock(&ingest->unwritten.lock);
    return due_ms;
}

int ingest__write_oldest(scp_ingest *ingest, scp_error *error)
{
    char path[INGEST_PATH_SIZE];
    pthread_mutex_lock(&ingest->unwritten.lock);
    const ingest_unwritten *oldest = ingest->unwritten.oldest;
    const uint64_t number = oldest != NULL ? oldest->number : 0;
    pthread_mutex_unlock(&ingest->unwritten.lock);
    ingest_unwritten *u = number != 0 ? claim(&ingest->unwritten, number) : NULL;
    if (u == NULL)
        return 0;
    const int cause = write_claimed(ingest, u, false);
    if (cause == 0 || cause == DAMAGED)
        return 0;
    ingest__path(path, ingest, number, ".dcm");
    return scp_fail(error, "cannot write %s: %s", path, strerror(cause));
}
