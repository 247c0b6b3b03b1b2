/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_journal_private.h - the journal of a running node, for who writes records
 * (ingest_journal.c) and who makes segments ready (ingest_journal_segments.c).
 */
#ifndef INGEST_JOURNAL_PRIVATE_H
#define INGEST_JOURNAL_PRIVATE_H

#include "ingest_journal_format.h"

#include <pthread.h>
#include <sys/uio.h>

#define JOURNAL_CYCLE     3  /* segments that are used in turn, whatever comes */
#define JOURNAL_GROUP_MAX 64 /* records of one write */

typedef enum segment_state { SEGMENT_FREE, SEGMENT_ACTIVE, SEGMENT_FULL } segment_state;

typedef struct segment {
    int fd, read_fd; /* past the system's cache, where that can be; and through it */
    segment_state state;
    uint64_t sequence;
    bool lasting;   /* its records may stay */
    uint64_t nheld; /* records that were not released */
    bool suspect;   /* a syncfs failed: of its files the kernel may have dropped what it could not
                       write, and says so only once. Kept for the next start's replay */
} segment;

/* One who waits for his record; on his stack. */
typedef struct waiter {
    struct waiter *next;
    const journal_record *record;
    journal_place place;
    int result;
    bool done;
} waiter;

struct ingest_journal {
    int folder_fd;
    uint64_t segment_nbytes;
    pthread_mutex_t lock;   /* all below; the leader writes without it */
    pthread_cond_t changed; /* a group was written, or a segment became free */
    pthread_cond_t work;    /* for the thread: a segment may be due */
    waiter *first, **last;
    bool leading;
    segment segments[SEGMENTS_MAX];
    uint32_t nsegments;
    uint64_t most_nbytes; /* of all segments */
    bool grows;           /* a burst filled one whose records could not stay */
    segment *active;      /* the leader's */
    int64_t activated_ms; /* by the steady clock */
    int64_t written_ms;   /* the last record */
    uint64_t position, next_sequence;
    int checkpoint_failed; /* errno of the last one; 0: it went well */
    int create_failed;     /* errno of the last try to make a segment */
    bool files_failing;    /* journal_note_files */
    bool stopping;
    pthread_t thread;
};

/* ---- ingest_journal_segments.c ---- */

/* At most JOURNAL_GROUP_MAX parts, one behind the other. 0 or errno. */
int journal__write_all(int fd, const struct iovec *parts, int nparts, uint64_t at);
/* The first block; sequence 0: of a segment that holds nothing. */
int journal__write_first_block(int fd, uint64_t sequence);
/* How large it may become; opens the segments that are there. */
void journal__take_segments(ingest_journal *journal, uint32_t most_mb);
void journal__close_segments(ingest_journal *journal);
/* Segments that are free; the lock is held. */
uint32_t journal__count_free(const ingest_journal *journal);
/* The thread: makes segments, and those that are done free again. */
void *journal__run(void *journal);

#endif
