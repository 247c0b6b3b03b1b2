/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_file.c - the files of the spool.
 *
 * Invariant: a file named .dcm whose preamble's length and hash agree with it is whole; names are
 * made of our own numbers. Threads: any.
 */
#include "ingest_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <xxhash.h>

#define SEAL_MAGIC       "DCBSPOOL"
#define FILES_PER_FOLDER 1000u
#define CHUNK            (1u << 20)
#define DIRECT_MIN       (128u << 10) /* smaller files are better gathered */
#define DIRECT_PIECE     (128u << 10) /* the journal's flush waits for what is under way */

static void store64(uint8_t *to, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t load64(const uint8_t *from)
{
    uint64_t value = 0;
    for (unsigned i = 8; i > 0; i--)
        value = value << 8 | from[i - 1];
    return value;
}

void ingest__seal(uint8_t preamble[PREAMBLE], uint64_t nbytes, uint64_t hash)
{
    memset(preamble, 0, PREAMBLE);
    memcpy(preamble, SEAL_MAGIC, 8);
    store64(preamble + 8, nbytes);
    store64(preamble + 16, hash);
}

void ingest__path(char path[INGEST_PATH_SIZE], const scp_ingest *ingest, uint64_t number,
                  const char *suffix)
{
    snprintf(path, INGEST_PATH_SIZE, "%s/%06" PRIu64 "/%09" PRIu64 "%s", ingest->folder,
             number / FILES_PER_FOLDER, number, suffix);
}

static struct timespec time_of(int64_t ns)
{
    return (struct timespec){ns / 1000000000, (long)(ns % 1000000000)};
}

int ingest__make_folder(const scp_ingest *ingest, uint64_t number)
{
    char name[32];
    snprintf(name, sizeof name, "%06" PRIu64, number / FILES_PER_FOLDER);
    if (mkdirat(ingest->folder_fd, name, 0700) == 0)
        return ingest->journal == NULL || fsync(ingest->folder_fd) == 0 ? 0 : errno;
    return errno == EEXIST ? 0 : errno;
}

int ingest__set_time(const char *path, int64_t arrived_ns)
{
    const struct timespec times[2] = {{0, UTIME_OMIT}, time_of(arrived_ns)};
    return utimensat(AT_FDCWD, path, times, 0) == 0 ? 0 : errno;
}

file_stamp ingest__stamp_of(const struct stat *st)
{
    return (file_stamp){.nbytes = (uint64_t)st->st_size,
                        .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
                        .inode = (uint64_t)st->st_ino};
}

/* Of a file of the spool. It says nothing of the inode: the index may know an instance before its
   file is there, and a number is never used again. */
static file_stamp spool_stamp(const struct stat *st)
{
    file_stamp stamp = ingest__stamp_of(st);
    stamp.inode = 0;
    return stamp;
}

static int take_stamp(int fd, file_stamp *stamp)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return errno;
    *stamp = spool_stamp(&st);
    return 0;
}

int ingest__write_all(int fd, const uint8_t *bytes, size_t nbytes)
{
    while (nbytes > 0) {
        const ssize_t n = write(fd, bytes, nbytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        bytes += n;
        nbytes -= (size_t)n;
    }
    return 0;
}

/* Past the system's cache as many whole blocks as can be, from the file's beginning (INGEST.md says
   why). Returns how many bytes; what is left, all of it where the file system cannot do this, goes
   by the cache. */
static size_t write_direct(int fd, const uint8_t *bytes, size_t nbytes)
{
    size_t done = 0;
    const size_t whole = nbytes / JOURNAL_BLOCK * JOURNAL_BLOCK;
    if (nbytes < DIRECT_MIN || (uintptr_t)bytes % JOURNAL_BLOCK != 0 ||
        fcntl(fd, F_SETFL, O_DIRECT) != 0)
        return 0;
    while (done < whole) {
        const size_t left = whole - done;
        const ssize_t n = write(fd, bytes + done, left < DIRECT_PIECE ? left : DIRECT_PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n > 0)
            done += (size_t)n;
        if (n <= 0 || n % JOURNAL_BLOCK != 0)
            break; /* what is wrong with the disk, the next write tells */
    }
    fcntl(fd, F_SETFL, 0);
    return done;
}

int ingest__write_file(const scp_ingest *ingest, const char *path, const ingest_content *content,
                       file_stamp *stamp)
{
    const bool direct = ingest->journal != NULL && !content->cached;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    const size_t done = direct ? write_direct(fd, content->bytes, content->nbytes) : 0;
    int result = ingest__write_all(fd, content->bytes + done, content->nbytes - done);
    const struct timespec times[2] = {{0, UTIME_OMIT}, time_of(content->arrived_ns)};
    if (result == 0 && content->arrived_ns != 0 && futimens(fd, times) != 0)
        result = errno;
    if (result == 0)
        result = take_stamp(fd, stamp);
    if (close(fd) != 0 && result == 0)
        result = errno;
    if (result != 0)
        unlink(path);
    return result;
}

static int sync_folder_of(const char *path)
{
    char folder[INGEST_PATH_SIZE];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int result = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return result;
}

int ingest__write_spooled(const scp_ingest *ingest, uint64_t number, const char *suffix,
                          const ingest_content *content, file_stamp *stamp)
{
    char path[INGEST_PATH_SIZE];
    const int cause = ingest__make_folder(ingest, number);
    ingest__path(path, ingest, number, suffix);
    return cause == 0 ? ingest__write_file(ingest, path, content, stamp) : cause;
}

int ingest__write_durably(const scp_ingest *ingest, const char *name, const char *text,
                          size_t nbytes)
{
    char path[INGEST_PATH_SIZE], part[64];
    file_stamp stamp;
    snprintf(part, sizeof part, "%s.part", name);
    snprintf(path, sizeof path, "%s/%s", ingest->folder, part);
    const ingest_content content = {(const uint8_t *)text, nbytes, 0, true};
    int cause = ingest__write_file(ingest, path, &content, &stamp);
    const int fd = cause == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (cause == 0 && (fd < 0 || fsync(fd) != 0))
        cause = errno;
    if (fd >= 0)
        close(fd);
    if (cause == 0 && renameat(ingest->folder_fd, part, ingest->folder_fd, name) != 0)
        cause = errno;
    if (cause != 0)
        unlinkat(ingest->folder_fd, part, 0);
    else if (fsync(ingest->folder_fd) != 0)
        cause = errno;
    return cause;
}

int64_t ingest__arrival_time(scp_ingest *ingest)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t by_clock = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    int64_t last = atomic_load(&ingest->last_arrival_ns), next;
    do {
        next = by_clock > last ? by_clock : last + 1;
    } while (!atomic_compare_exchange_weak(&ingest->last_arrival_ns, &last, next));
    return next;
}

void ingest__see_time(scp_ingest *ingest, int64_t arrived_ns)
{
    int64_t last = atomic_load(&ingest->last_arrival_ns);
    while (last < arrived_ns &&
           !atomic_compare_exchange_weak(&ingest->last_arrival_ns, &last, arrived_ns))
        ;
}

int ingest__settle_file(const scp_ingest *ingest, int fd, const char *part, const char *path,
                        int64_t arrived_ns, file_stamp *stamp)
{
    const bool durable = ingest->journal != NULL;
    const struct timespec times[2] = {{0, UTIME_OMIT}, time_of(arrived_ns)};
    if (futimens(fd, times) != 0)
        return errno;
    if (durable && fsync(fd) != 0)
        return errno;
    int result = take_stamp(fd, stamp);
    if (result == 0 && rename(part, path) != 0)
        result = errno;
    else if (result == 0 && durable && (result = sync_folder_of(path)) != 0)
        unlink(path);
    return result;
}

ingest_file_state ingest__check_file(const char *path, file_stamp *stamp)
{
    uint8_t preamble[PREAMBLE];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return INGEST_UNREADABLE;
    ingest_file_state state = INGEST_UNREADABLE;
    XXH3_state_t *hash = XXH3_createState();
    uint8_t *chunk = malloc(CHUNK);
    if (hash == NULL || chunk == NULL || fstat(fd, &st) != 0 || XXH3_64bits_reset(hash) != XXH_OK)
        goto out;
    *stamp = spool_stamp(&st);
    state = INGEST_TORN;
    if (read(fd, preamble, PREAMBLE) != PREAMBLE || memcmp(preamble, SEAL_MAGIC, 8) != 0 ||
        load64(preamble + 8) != (uint64_t)st.st_size)
        goto out;
    ssize_t n;
    while ((n = read(fd, chunk, CHUNK)) > 0)
        XXH3_64bits_update(hash, chunk, (size_t)n);
    if (n < 0)
        state = INGEST_UNREADABLE;
    else if (XXH3_64bits_digest(hash) == load64(preamble + 16))
        state = INGEST_WHOLE;
out:
    XXH3_freeState(hash);
    free(chunk);
    close(fd);
    return state;
}

bool ingest__has_seal(const char *path, const uint8_t preamble[PREAMBLE])
{
    uint8_t own[PREAMBLE];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const bool same = read(fd, own, PREAMBLE) == PREAMBLE && memcmp(own, preamble, PREAMBLE) == 0;
    close(fd);
    return same;
}

void ingest__read_ahead(scp_ingest *ingest, uint64_t number)
{
    char path[INGEST_PATH_SIZE];
    if (ingest__unwritten_read_ahead(ingest, number))
        return;
    ingest__path(path, ingest, number, ".dcm");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
    close(fd);
}

bool ingest__disk_has_room(const scp_ingest *ingest, uint64_t nbytes)
{
    struct statvfs disk;
    if (fstatvfs(ingest->folder_fd, &disk) != 0)
        return false;
    const uint64_t reserve = (uint64_t)ingest->options->store_reserve_mb << 20;
    const uint64_t available = (uint64_t)disk.f_bavail * disk.f_frsize;
    return available >= reserve && available - reserve >= nbytes;
}

uint8_t *ingest__take_buffer(scp_ingest *ingest)
{
    uint8_t *buffer = NULL;
    pthread_mutex_lock(&ingest->buffers_lock);
    if (ingest->nbuffers > 0)
        buffer = ingest->buffers[--ingest->nbuffers];
    else if ((buffer = journal_buffer(ingest->nbuffers_made < BUFFERS_KEPT)) != NULL)
        ingest->nbuffers_made++;
    pthread_mutex_unlock(&ingest->buffers_lock);
    return buffer;
}

void ingest__give_buffer(scp_ingest *ingest, uint8_t *buffer)
{
    if (buffer == NULL)
        return;
    pthread_mutex_lock(&ingest->buffers_lock);
    const bool kept = ingest->nbuffers < BUFFERS_KEPT;
    if (kept)
        ingest->buffers[ingest->nbuffers++] = buffer;
    else
        ingest->nbuffers_made--;
    pthread_mutex_unlock(&ingest->buffers_lock);
    if (!kept)
        journal_buffer_free(buffer);
}
