/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_transport.c - socket work for ul_transport.h.
 *
 * The socket itself stays in blocking mode, as DCMTK made it; every call here says MSG_DONTWAIT
 * first and polls only where the kernel has nothing to give, together with the wake descriptors.
 */
#include "ul_transport.h"

#include "steady_clock.h"
#include "ul_tls_session.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IOV_BATCH 1024 /* Linux' UIO_MAXIOV */
#define HELD_IOV  64   /* writes of fewer slices go out together with what was held */

int ul_transport_init(ul_transport *t, int stop_fd, int io_timeout_ms)
{
    memset(t, 0, offsetof(ul_transport, inbox));
    t->fd = -1;
    t->stop_fd = stop_fd;
    t->io_timeout_ms = io_timeout_ms;
    t->deadline_ms = INT64_MAX;
    t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return t->wake_fd < 0 ? -1 : 0;
}

/* A stock peer's Nagle algorithm keeps the rest of a message until what came was acknowledged,
   which the kernel puts off by 40 ms: this sends it now. It lasts for one acknowledgement. Not
   every socket is TCP (tests use socket pairs): a refusal does no harm. */
static void acknowledge(ul_transport *t)
{
    int on = 1;
    if (t->unanswered)
        setsockopt(t->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    t->unanswered = false;
}

void ul_transport_attach(ul_transport *t, int fd)
{
    int on = 1;
    t->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    t->unanswered = true; /* a new connection's first bytes may be there */
    t->drained_ms = -1;
}

void ul_transport_hang_up(ul_transport *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    t->nheld = t->inbox_pos = t->inbox_end = 0;
}

void ul_transport_free(ul_transport *t)
{
    ul_transport_hang_up(t);
    ul_tls_session_free(t->tls);
    t->tls = NULL;
    if (t->wake_fd >= 0)
        close(t->wake_fd);
    t->wake_fd = -1;
}

void ul_transport_interrupt(ul_transport *t)
{
    const uint64_t one = 1;
    __atomic_store_n(&t->interrupted, 1, __ATOMIC_RELEASE);
    /* Fails only where the counter is full, and then the descriptor is readable already. */
    ssize_t written = write(t->wake_fd, &one, sizeof one);
    (void)written;
}

ul_io ul_transport_fail(ul_transport *t, ul_io why, int error)
{
    t->last = why;
    t->error = error;
    return why;
}

static bool is_interrupted(const ul_transport *t)
{
    return !t->deaf && __atomic_load_n(&t->interrupted, __ATOMIC_ACQUIRE) != 0;
}

/* Waits for events on the socket until `until`. */
static ul_io wait_until(ul_transport *t, short events, int64_t until)
{
    if ((events & POLLIN) != 0)
        acknowledge(t);
    for (;;) {
        int64_t left = until == INT64_MAX ? -1 : until - steady_clock_ms();
        if (until != INT64_MAX && left < 0)
            left = 0;
        struct pollfd fds[3] = {
            {.fd = t->fd, .events = events},
            {.fd = t->deaf ? -1 : t->wake_fd, .events = POLLIN},
            {.fd = t->deaf ? -1 : t->stop_fd, .events = POLLIN},
        };
        int n = poll(fds, 3, left > INT_MAX ? INT_MAX : (int)left);
        if (n < 0 && errno != EINTR)
            return ul_transport_fail(t, UL_IO_BROKEN, errno);
        if (n > 0 && (fds[1].revents != 0 || fds[2].revents != 0))
            return ul_transport_fail(t, UL_IO_WOKEN, 0);
        if (n > 0)
            return UL_IO_OK; /* also errors and hang-ups: the next call on the socket tells */
        if (n == 0 && left <= INT_MAX)
            return ul_transport_fail(t, UL_IO_TIMEOUT, ETIMEDOUT);
    }
}

static ul_io write_held(ul_transport *t);

static int64_t progress_deadline(const ul_transport *t)
{
    int64_t until = steady_clock_ms() + t->io_timeout_ms;
    return until < t->deadline_ms ? until : t->deadline_ms;
}

ul_io ul_transport_wait(ul_transport *t, int timeout_ms)
{
    const int64_t until = timeout_ms < 0 ? INT64_MAX : steady_clock_ms() + timeout_ms;
    if (t->nheld > 0 && write_held(t) != UL_IO_OK)
        return t->last;
    for (;;) {
        if (t->inbox_pos < t->inbox_end)
            return UL_IO_OK;
        if (t->fd < 0)
            return ul_transport_fail(t, UL_IO_BROKEN, ENOTCONN);
        if (is_interrupted(t))
            return ul_transport_fail(t, UL_IO_WOKEN, 0);
        /* Bytes on the socket may be half a record, or TLS's own affair. */
        ssize_t n = t->tls != NULL ? ul_tls_read(t, t->inbox, sizeof t->inbox, false) : 0;
        if (n < 0)
            return t->last;
        t->inbox_pos = 0;
        t->inbox_end = (size_t)n;
        if (n > 0)
            continue;
        if (timeout_ms == 0 && t->drained_ms == steady_clock_ms())
            return ul_transport_fail(t, UL_IO_TIMEOUT, ETIMEDOUT);
        ul_io io = wait_until(t, POLLIN, until);
        if (io != UL_IO_OK || t->tls == NULL)
            return io;
    }
}

int ul_transport_peek(ul_transport *t)
{
    uint8_t byte;
    for (;;) {
        if (is_interrupted(t)) {
            ul_transport_fail(t, UL_IO_WOKEN, 0);
            return -1;
        }
        ssize_t n = recv(t->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
        if (n > 0)
            return byte;
        if (n == 0) {
            ul_transport_fail(t, UL_IO_CLOSED, 0);
            return -1;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (wait_until(t, POLLIN, progress_deadline(t)) != UL_IO_OK)
                return -1;
        } else if (errno != EINTR) {
            ul_transport_fail(t, UL_IO_BROKEN, errno);
            return -1;
        }
    }
}

ssize_t ul_transport_raw_read(ul_transport *t, void *buffer, size_t size, bool wait)
{
    for (;;) {
        if (t->fd < 0 || is_interrupted(t)) {
            ul_transport_fail(t, t->fd < 0 ? UL_IO_BROKEN : UL_IO_WOKEN, t->fd < 0 ? ENOTCONN : 0);
            return -1;
        }
        ssize_t n = recv(t->fd, buffer, size, MSG_DONTWAIT);
        if (n > 0) {
            t->bytes_in += (uint64_t)n;
            t->unanswered = true;
            t->drained_ms = (size_t)n < size ? steady_clock_ms() : -1;
            return n;
        }
        if (n == 0) {
            ul_transport_fail(t, UL_IO_CLOSED, 0);
            return -1;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait)
                return 0;
            if (wait_until(t, POLLIN, progress_deadline(t)) != UL_IO_OK)
                return -1;
        } else if (errno != EINTR) {
            ul_transport_fail(t, UL_IO_BROKEN, errno);
            return -1;
        }
    }
}

static ssize_t receive(ul_transport *t, void *buffer, size_t size)
{
    if (t->tls != NULL)
        return ul_tls_read(t, buffer, size, true);
    return ul_transport_raw_read(t, buffer, size, true);
}

ssize_t ul_transport_read(ul_transport *t, void *buffer, size_t size)
{
    if (t->nheld > 0 && write_held(t) != UL_IO_OK)
        return -1;
    if (t->inbox_pos == t->inbox_end) {
        if (size >= sizeof t->inbox)
            return receive(t, buffer, size);
        ssize_t n = receive(t, t->inbox, sizeof t->inbox);
        if (n < 0)
            return -1;
        t->inbox_pos = 0;
        t->inbox_end = (size_t)n;
    }
    size_t have = t->inbox_end - t->inbox_pos;
    size_t n = have < size ? have : size;
    memcpy(buffer, t->inbox + t->inbox_pos, n);
    t->inbox_pos += n;
    return (ssize_t)n;
}

ul_io ul_transport_read_all(ul_transport *t, void *buffer, size_t nbytes)
{
    for (size_t done = 0; done < nbytes;) {
        /* A whole request has one deadline, however it dribbles. */
        if (t->deadline_ms != INT64_MAX && steady_clock_ms() >= t->deadline_ms)
            return ul_transport_fail(t, UL_IO_TIMEOUT, ETIMEDOUT);
        ssize_t n = ul_transport_read(t, (uint8_t *)buffer + done, nbytes - done);
        if (n < 0)
            return t->last;
        done += (size_t)n;
    }
    return UL_IO_OK;
}

/* Skips n sent bytes: returns how many entries are used up. */
static size_t advance(struct iovec *iov, size_t niov, size_t n)
{
    size_t i = 0;
    while (i < niov && n >= iov[i].iov_len) {
        n -= iov[i].iov_len;
        i++;
    }
    if (i < niov) {
        iov[i].iov_base = (uint8_t *)iov[i].iov_base + n;
        iov[i].iov_len -= n;
    }
    return i;
}

ul_io ul_transport_raw_write(ul_transport *t, struct iovec *iov, size_t niov)
{
    size_t i = advance(iov, niov, 0);
    while (i < niov) {
        ul_io io = UL_IO_OK;
        ssize_t n = -1;
        if (t->fd < 0) {
            io = ul_transport_fail(t, UL_IO_BROKEN, ENOTCONN);
        } else if (is_interrupted(t)) {
            io = ul_transport_fail(t, UL_IO_WOKEN, 0);
        } else {
            size_t batch = niov - i < IOV_BATCH ? niov - i : IOV_BATCH;
            struct msghdr message = {.msg_iov = iov + i, .msg_iovlen = batch};
            n = sendmsg(t->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
                io = wait_until(t, POLLOUT, progress_deadline(t));
            else if (n < 0 && errno != EINTR)
                io = ul_transport_fail(t, UL_IO_BROKEN, errno);
        }
        if (io != UL_IO_OK)
            return io;
        if (n > 0) {
            t->bytes_out += (uint64_t)n;
            t->unanswered = false;
            i += advance(iov + i, niov - i, (size_t)n);
        }
    }
    return UL_IO_OK;
}

static ul_io write_now(ul_transport *t, struct iovec *iov, size_t niov)
{
    if (t->tls != NULL && t->fd >= 0)
        return ul_tls_write(t, iov, niov);
    return ul_transport_raw_write(t, iov, niov);
}

/* Small writes that may wait are kept; false where there is no room. */
static bool keep(ul_transport *t, const struct iovec *iov, size_t niov)
{
    size_t nbytes = 0;
    for (size_t i = 0; i < niov; i++)
        nbytes += iov[i].iov_len;
    if (nbytes > sizeof t->held - t->nheld)
        return false;
    for (size_t i = 0; i < niov; i++) {
        memcpy(t->held + t->nheld, iov[i].iov_base, iov[i].iov_len);
        t->nheld += iov[i].iov_len;
    }
    return true;
}

static ul_io write_held(ul_transport *t)
{
    struct iovec held = {t->held, t->nheld};
    t->nheld = 0;
    return held.iov_len == 0 ? UL_IO_OK : write_now(t, &held, 1);
}

ul_io ul_transport_write(ul_transport *t, struct iovec *iov, size_t niov)
{
    struct iovec joined[HELD_IOV];
    const bool hold = t->hold;
    t->hold = false;
    if (hold && keep(t, iov, niov))
        return UL_IO_OK;
    if (t->nheld == 0)
        return write_now(t, iov, niov);
    if (niov >= HELD_IOV) {
        ul_io io = write_held(t);
        return io == UL_IO_OK ? write_now(t, iov, niov) : io;
    }
    joined[0] = (struct iovec){t->held, t->nheld};
    memcpy(joined + 1, iov, niov * sizeof *iov);
    t->nheld = 0;
    return write_now(t, joined, niov + 1);
}

void ul_transport_end_writing(ul_transport *t)
{
    if (t->fd < 0)
        return;
    write_held(t);
    if (t->tls != NULL && !t->torn)
        ul_tls_close_notify(t);
    shutdown(t->fd, SHUT_WR);
}

const char *ul_transport_failure(const ul_transport *t)
{
    const char *said = t->tls != NULL ? ul_tls_failure(t->tls) : "";
    if (said[0] == '\0' && t->last == UL_IO_WOKEN)
        said = "interrupted";
    return said[0] != '\0' ? said : strerror(t->error);
}

void ul_transport_drain(ul_transport *t, int timeout_ms)
{
    uint8_t waste[4096];
    t->deadline_ms = steady_clock_ms() + timeout_ms;
    t->inbox_pos = t->inbox_end = 0;
    while (steady_clock_ms() < t->deadline_ms) {
        if (ul_transport_raw_read(t, waste, sizeof waste, true) < 0)
            return;
    }
}
