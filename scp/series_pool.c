/* SPDX-License-Identifier: Apache-2.0 */
/*
 * series_pool.c - open series by path.
 *
 * Invariant: an entry is in the table while it may be found; who finds it holds a use of it, and
 * the last one to leave an entry that is out of the table frees it. Files are opened and series
 * released without the lock: those who want a file that is being opened wait for its entry only.
 */
#include "series_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Which file a path named. */
typedef struct file_identity {
    dev_t device;
    ino_t inode;
    off_t nbytes;
    struct timespec mtime;
} file_identity;

typedef struct pool_entry {
    struct pool_entry *bucket_next;
    struct pool_entry *newer, *older; /* by last use, while open and in the table */
    char *path;
    file_identity identity;
    uint32_t nusers; /* callers within series_pool_get */
    bool in_table, opening;
    dcb_series *series; /* NULL while opening and where that failed */
    dcb_error error;
} pool_entry;

struct series_pool {
    uint32_t capacity;
    dcb_open_options open_options;
    pthread_mutex_t lock; /* all below, and every entry's fields but path and identity */
    pthread_cond_t opened;
    uint32_t nopen; /* entries in the list by last use */
    pool_entry *newest, *oldest;
    uint32_t bucket_mask;
    pool_entry **buckets;
    pthread_rwlock_t makers_lock;
    series_maker *makers;
};

static dcb_status fail(dcb_error *error, dcb_status status, const char *format, ...)
    DCB_PRINTF(3, 4);

static dcb_status fail(dcb_error *error, dcb_status status, const char *format, ...)
{
    if (error != NULL) {
        error->status = status;
        error->offset = UINT64_MAX;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

static bool same_identity(const file_identity *a, const file_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->nbytes == b->nbytes &&
           a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* ---- The table and the list; the lock is held ---- */

static pool_entry **bucket_of(const series_pool *pool, const char *path)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *path != '\0'; path++)
        hash = (hash ^ (unsigned char)*path) * 16777619u;
    return &pool->buckets[hash & pool->bucket_mask];
}

static pool_entry *find_entry(const series_pool *pool, const char *path)
{
    pool_entry *entry = *bucket_of(pool, path);
    while (entry != NULL && strcmp(entry->path, path) != 0)
        entry = entry->bucket_next;
    return entry;
}

static void unlink_from_list(series_pool *pool, pool_entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &pool->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &pool->oldest) = entry->newer;
    entry->newer = entry->older = NULL;
    pool->nopen--;
}

static void link_as_newest(series_pool *pool, pool_entry *entry)
{
    entry->older = pool->newest;
    entry->newer = NULL;
    *(pool->newest != NULL ? &pool->newest->newer : &pool->oldest) = entry;
    pool->newest = entry;
    pool->nopen++;
}

/* Takes the entry out of the table. The caller must free it without the lock where true. */
static bool detach(series_pool *pool, pool_entry *entry)
{
    pool_entry **link = bucket_of(pool, entry->path);
    while (*link != entry)
        link = &(*link)->bucket_next;
    *link = entry->bucket_next;
    entry->in_table = false;
    if (entry->series != NULL)
        unlink_from_list(pool, entry);
    return entry->nusers == 0;
}

static void free_entry(pool_entry *entry)
{
    if (entry == NULL)
        return;
    dcb_series_release(entry->series);
    free(entry->path);
    free(entry);
}

/* ---- Getting ---- */

static pool_entry *insert_opening(series_pool *pool, const char *path,
                                  const file_identity *identity)
{
    pool_entry *entry = calloc(1, sizeof *entry);
    char *copy = strdup(path);
    if (entry == NULL || copy == NULL) {
        free(entry);
        free(copy);
        return NULL;
    }
    pool_entry **bucket = bucket_of(pool, path);
    *entry = (pool_entry){.bucket_next = *bucket,
                          .path = copy,
                          .identity = *identity,
                          .in_table = true,
                          .opening = true,
                          .error = DCB_ERROR_INIT};
    *bucket = entry;
    return entry;
}

/* Opens the entry's file; called and returns with the lock held. Returns an entry to free. */
static pool_entry *open_entry(series_pool *pool, pool_entry *entry)
{
    dcb_series *series = NULL;
    dcb_error error = DCB_ERROR_INIT;
    pthread_mutex_unlock(&pool->lock);
    dcb_status status = dcb_series_open(&series, entry->path, &pool->open_options, &error);
    pthread_mutex_lock(&pool->lock);
    entry->opening = false;
    entry->series = series;
    entry->error = error;
    entry->error.status = status;
    pthread_cond_broadcast(&pool->opened);
    if (!entry->in_table)
        return NULL; /* forgotten meanwhile: good for those who wait */
    if (status != DCB_OK) {
        detach(pool, entry); /* the caller still uses it */
        return NULL;
    }
    link_as_newest(pool, entry);
    pool_entry *evicted = pool->nopen > pool->capacity ? pool->oldest : NULL;
    return evicted != NULL && detach(pool, evicted) ? evicted : NULL;
}

void series_pool_make(series_pool *pool, const char *path)
{
    pthread_rwlock_rdlock(&pool->makers_lock);
    for (const series_maker *maker = pool->makers; maker != NULL; maker = maker->next)
        maker->make(maker->context, path);
    pthread_rwlock_unlock(&pool->makers_lock);
}

dcb_status series_pool_get(dcb_series **out, series_pool *pool, const char *path, dcb_error *error)
{
    *out = NULL;
    struct stat st;
    int missing = stat(path, &st);
    if (missing != 0 && errno == ENOENT) {
        series_pool_make(pool, path);
        missing = stat(path, &st);
    }
    if (missing != 0) {
        int cause = errno;
        series_pool_forget(pool, path);
        return fail(error, DCB_ERR_IO, "the file cannot be opened: %s", strerror(cause));
    }
    file_identity identity = {st.st_dev, st.st_ino, st.st_size, st.st_mtim};
    pool_entry *unused[3] = {NULL, NULL, NULL}; /* to be freed without the lock */
    pthread_mutex_lock(&pool->lock);
    pool_entry *entry = find_entry(pool, path);
    if (entry != NULL && !same_identity(&entry->identity, &identity)) {
        if (detach(pool, entry))
            unused[0] = entry;
        entry = NULL;
    }
    bool opens = entry == NULL;
    if (opens)
        entry = insert_opening(pool, path, &identity);
    if (entry == NULL) {
        pthread_mutex_unlock(&pool->lock);
        free_entry(unused[0]);
        return fail(error, DCB_ERR_NO_MEMORY, "out of memory for an open file");
    }
    entry->nusers++;
    if (opens)
        unused[1] = open_entry(pool, entry);
    while (entry->opening)
        pthread_cond_wait(&pool->opened, &pool->lock);
    dcb_status status = entry->error.status;
    if (status == DCB_OK) {
        *out = dcb_series_ref(entry->series);
        if (entry->in_table && entry != pool->newest) {
            unlink_from_list(pool, entry);
            link_as_newest(pool, entry);
        }
    } else if (error != NULL) {
        *error = entry->error;
    }
    if (--entry->nusers == 0 && !entry->in_table)
        unused[2] = entry;
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < 3; i++)
        free_entry(unused[i]);
    return status;
}

void series_pool_forget(series_pool *pool, const char *path)
{
    pthread_mutex_lock(&pool->lock);
    pool_entry *entry = find_entry(pool, path);
    bool unused = entry != NULL && detach(pool, entry);
    pthread_mutex_unlock(&pool->lock);
    if (unused)
        free_entry(entry);
}

/* ---- Files that are not there yet ---- */

void series_pool_add_maker(series_pool *pool, series_maker *maker)
{
    pthread_rwlock_wrlock(&pool->makers_lock);
    maker->next = pool->makers;
    pool->makers = maker;
    pthread_rwlock_unlock(&pool->makers_lock);
}

void series_pool_remove_maker(series_pool *pool, const series_maker *maker)
{
    pthread_rwlock_wrlock(&pool->makers_lock);
    series_maker **link = &pool->makers;
    while (*link != NULL && *link != maker)
        link = &(*link)->next;
    if (*link != NULL)
        *link = maker->next;
    pthread_rwlock_unlock(&pool->makers_lock);
}

bool series_pool_can_make(series_pool *pool, const char *path)
{
    bool has = false;
    pthread_rwlock_rdlock(&pool->makers_lock);
    for (const series_maker *maker = pool->makers; maker != NULL && !has; maker = maker->next)
        has = maker->has(maker->context, path);
    pthread_rwlock_unlock(&pool->makers_lock);
    return has;
}

bool series_pool_has(series_pool *pool, const char *path)
{
    /* In this order: a maker has it until it is there. */
    return series_pool_can_make(pool, path) || access(path, R_OK) == 0;
}

/* ---- The pool ---- */

dcb_status series_pool_create(series_pool **out, uint32_t capacity,
                              const dcb_open_options *open_options, dcb_error *error)
{
    *out = NULL;
    uint32_t nbuckets = 64;
    while (nbuckets < capacity && nbuckets < 1u << 20)
        nbuckets *= 2;
    series_pool *pool = calloc(1, sizeof *pool);
    pool_entry **buckets = calloc(nbuckets, sizeof(pool_entry *));
    if (pool == NULL || buckets == NULL) {
        free(pool);
        free(buckets);
        return fail(error, DCB_ERR_NO_MEMORY, "out of memory for the pool of series");
    }
    static const dcb_open_options default_options = DCB_OPEN_OPTIONS_INIT;
    pool->capacity = capacity;
    pool->open_options = open_options != NULL ? *open_options : default_options;
    pool->buckets = buckets;
    pool->bucket_mask = nbuckets - 1;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->opened, NULL);
    pthread_rwlock_init(&pool->makers_lock, NULL);
    *out = pool;
    return DCB_OK;
}

void series_pool_close(series_pool *pool)
{
    if (pool == NULL)
        return;
    for (uint32_t i = 0; i <= pool->bucket_mask; i++) {
        while (pool->buckets[i] != NULL) {
            pool_entry *entry = pool->buckets[i];
            pool->buckets[i] = entry->bucket_next;
            free_entry(entry);
        }
    }
    pthread_cond_destroy(&pool->opened);
    pthread_rwlock_destroy(&pool->makers_lock);
    pthread_mutex_destroy(&pool->lock);
    free(pool->buckets);
    free(pool);
}
