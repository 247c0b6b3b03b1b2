/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_transport.h - one TCP connection of the upper layer: buffered reads, gathered writes,
 * deadlines, interruption. Private to the ul_*.c[c] files.
 *
 * Small exchanges must not wait for the peer's delayed acknowledgement, nor the peer for ours:
 * TCP_NODELAY is on, head and body of a PDU leave in one sendmsg, and what came in is acknowledged
 * (TCP_QUICKACK) before we wait for more of it; what we send meanwhile acknowledges it by itself.
 *
 * With a TLS session (ul_tls_session.h) the same calls read and write through it; it reaches the
 * socket by the two raw calls below, so that deadlines and interruption are these here.
 *
 * Threads: one owner, except ul_transport_interrupt. The wake descriptor outlives the connection.
 */
#ifndef UL_TRANSPORT_H
#define UL_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ul_io {
    UL_IO_OK = 0,
    UL_IO_CLOSED,  /* the peer closed its side */
    UL_IO_TIMEOUT, /* no progress in time */
    UL_IO_WOKEN,   /* ul_transport_interrupt, or the stop descriptor became readable */
    UL_IO_BROKEN,  /* the connection failed: `error` holds errno */
} ul_io;

#define UL_INBOX_BYTES 16384 /* also what one TLS record holds at most */

typedef struct ul_tls_session ul_tls_session; /* ul_tls_session.h */

typedef struct ul_transport {
    int fd;              /* -1: closed */
    int wake_fd;         /* eventfd of this connection */
    int stop_fd;         /* the listener's; -1: no longer heeded */
    int interrupted;     /* atomic: set by ul_transport_interrupt */
    int io_timeout_ms;   /* for one read or write without progress */
    int64_t deadline_ms; /* for all of it, on steady_clock_ms's clock; INT64_MAX: none */
    bool deaf;           /* interruption no longer counts: the last words are being sent */
    bool hold;           /* the next write may wait for the one after it */
    bool torn;           /* a message went out in part: no PDU may follow it */
    bool unanswered;     /* bytes came since we sent any: the peer may wait for the kernel's word */
    int64_t drained_ms;  /* when a read last took all that was there; -1: it left some */
    ul_io last;          /* why the last read or write failed */
    int error;
    uint64_t bytes_in, bytes_out; /* on the wire */
    ul_tls_session *tls;          /* NULL: plain */
    size_t nheld; /* bytes of writes that wait: sent before the next write, or any wait to read */
    uint8_t held[512];
    size_t inbox_pos, inbox_end;
    uint8_t inbox[UL_INBOX_BYTES];
} ul_transport;

/* -1 with errno where the wake descriptor cannot be made. */
int ul_transport_init(ul_transport *t, int stop_fd, int io_timeout_ms);
/* Takes fd over: an accepted, blocking socket. */
void ul_transport_attach(ul_transport *t, int fd);
/* Closes the socket; t stays usable for questions. */
void ul_transport_hang_up(ul_transport *t);
/* Ends t's life. */
void ul_transport_free(ul_transport *t);

/* Some bytes, at least one; or -1 with t->last. */
ssize_t ul_transport_read(ul_transport *t, void *buffer, size_t size);
/* Exactly nbytes. */
ul_io ul_transport_read_all(ul_transport *t, void *buffer, size_t nbytes);
/* All of it; iov is used up on the way. */
ul_io ul_transport_write(ul_transport *t, struct iovec *iov, size_t niov);
/* Is there something to read, or does it come in time? timeout_ms < 0: without limit; 0: that a
   read found no more in the same millisecond is answer enough. */
ul_io ul_transport_wait(ul_transport *t, int timeout_ms);
/* No more will be written: the peer sees the end of the stream behind what it has got. */
void ul_transport_end_writing(ul_transport *t);
/* What the last failure was, for a message. */
const char *ul_transport_failure(const ul_transport *t);
/* Reads and forgets until the peer hangs up, at most timeout_ms. */
void ul_transport_drain(ul_transport *t, int timeout_ms);

/* Beneath TLS. Some bytes, or -1 with t->last; without `wait`: 0 where none are there yet. */
ssize_t ul_transport_raw_read(ul_transport *t, void *buffer, size_t size, bool wait);
ul_io ul_transport_raw_write(ul_transport *t, struct iovec *iov, size_t niov);
/* The first byte that comes, which stays to be read; -1 with t->last. Before anything is read. */
int ul_transport_peek(ul_transport *t);
/* Notes why a read or write failed, and returns it. */
ul_io ul_transport_fail(ul_transport *t, ul_io why, int error);

/* From any thread, as long as t is not freed. */
void ul_transport_interrupt(ul_transport *t);

#ifdef __cplusplus
}
#endif
#endif
