/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest_number.c - numbers of instances and packings, none of which is ever given twice: what the
 * journal and the notes of packings still say of a number, after a damage even long after, must not
 * be of another instance.
 *
 * The file `numbers` in the spool's folder tells where the next start begins: well ahead of what is
 * given out while the node runs, exactly where it stopped in order.
 */
#include "ingest_private.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NUMBERS "numbers"
#define AHEAD   1000000u

/* Durably: 0 or errno. */
static int write_end(scp_ingest *ingest, uint64_t end)
{
    char text[32];
    const int nbytes = snprintf(text, sizeof text, "%" PRIu64 "\n", end);
    const int cause = ingest__write_durably(ingest, NUMBERS, text, (size_t)nbytes);
    if (cause == 0)
        atomic_store(&ingest->numbers_end, end);
    return cause;
}

int ingest__numbers_open(scp_ingest *ingest, scp_error *error)
{
    char text[32] = "";
    const int fd = openat(ingest->folder_fd, NUMBERS, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return scp_fail(error, "cannot read %s/" NUMBERS ": %s", ingest->folder, strerror(errno));
    if (fd >= 0) {
        const ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        char *end;
        const uint64_t next = strtoull(text, &end, 10);
        if (n <= 0 || end == text || *end != '\n')
            return scp_fail(error,
                            "%s/" NUMBERS " is damaged: write a number into it that no file in the "
                            "spool has reached, and an end of line",
                            ingest->folder);
        if (next > atomic_load(&ingest->next_number))
            atomic_store(&ingest->next_number, next);
    }
    const int cause = write_end(ingest, atomic_load(&ingest->next_number) + AHEAD);
    if (cause != 0) /* a full disk is no reason not to serve what is there */
        log_event(LOG_ERROR, "spool.numbers", LOG_T("reason", strerror(cause)),
                  LOG_T("effect", "nothing is taken in until it can be written"));
    return 0;
}

void ingest__numbers_close(scp_ingest *ingest)
{
    if (atomic_load(&ingest->numbers_end) != 0)
        write_end(ingest, atomic_load(&ingest->next_number)); /* else the next start skips some */
}

uint64_t ingest__next_number(scp_ingest *ingest)
{
    const uint64_t number = atomic_fetch_add(&ingest->next_number, 1);
    int cause = 0;
    if (number + AHEAD / 2 >= atomic_load(&ingest->numbers_end)) {
        pthread_mutex_lock(&ingest->numbers_lock);
        if (number + AHEAD / 2 >= atomic_load(&ingest->numbers_end))
            cause = write_end(ingest, number + AHEAD);
        pthread_mutex_unlock(&ingest->numbers_lock);
    }
    /* There are some left to go on with, while the disk is tried again. */
    return cause == 0 || number < atomic_load(&ingest->numbers_end) ? number : 0;
}
