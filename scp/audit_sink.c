/* SPDX-License-Identifier: Apache-2.0 */
/* audit_sink.c - see audit_sink.h. */
#include "audit_sink.h"

#include "log.h"
#include "steady_clock.h"
#include "ul_tls_session.h"
#include "ul_transport.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define WAIT_MS  10000 /* for a connection, a handshake, a write that makes no progress */
#define PRIORITY 85    /* facility 10 (security), severity 5 (notice) */
#define BOM      "\xEF\xBB\xBF"

struct audit_sink {
    audit_mode mode;
    const char *file, *host;
    uint16_t port;
    ul_tls *tls;
    int fd; /* of the file or the datagram socket; -1: none */
    ul_transport transport;
    char host_name[256];
};

int audit_sink_open(audit_sink **out, const scp_options *options, ul_tls *tls, scp_error *error)
{
    static const uint16_t ports[] = {
        [AUDIT_TO_UDP] = 514, [AUDIT_TO_TCP] = 601, [AUDIT_TO_TLS] = 6514};
    *out = NULL;
    if (options->audit == AUDIT_TO_FILE && options->audit_file == NULL)
        return scp_fail(error, "audit: audit_file is needed");
    if (options->audit != AUDIT_TO_FILE && options->audit_host == NULL)
        return scp_fail(error, "audit: audit_host is needed");
    audit_sink *sink = calloc(1, sizeof *sink);
    if (sink == NULL || ul_transport_init(&sink->transport, -1, WAIT_MS) != 0) {
        free(sink);
        return scp_fail(error, "audit: out of memory or descriptors");
    }
    sink->mode = options->audit;
    sink->file = options->audit_file;
    sink->host = options->audit_host;
    sink->port = options->audit_port != 0 || options->audit == AUDIT_TO_FILE
                     ? (uint16_t)options->audit_port
                     : ports[options->audit];
    sink->tls = tls;
    sink->fd = -1;
    if (gethostname(sink->host_name, sizeof sink->host_name - 1) != 0 || !sink->host_name[0])
        snprintf(sink->host_name, sizeof sink->host_name, "-");
    if (sink->mode == AUDIT_TO_FILE) { /* what is wrong with it is to be told at the start */
        int fd = open(sink->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd < 0) {
            scp_fail(error, "audit_file: cannot write %s: %s", sink->file, strerror(errno));
            audit_sink_close(sink);
            return -1;
        }
        close(fd);
    }
    *out = sink;
    return 0;
}

static void disconnect(audit_sink *sink)
{
    if (sink->fd >= 0)
        close(sink->fd);
    sink->fd = -1;
    ul_transport_hang_up(&sink->transport);
    ul_tls_session_free(sink->transport.tls);
    sink->transport.tls = NULL;
    sink->transport.torn = false;
}

void audit_sink_close(audit_sink *sink)
{
    if (sink == NULL)
        return;
    if (sink->transport.fd >= 0)
        ul_transport_end_writing(&sink->transport);
    disconnect(sink);
    ul_transport_free(&sink->transport);
    free(sink);
}

void audit_sink_interrupt(audit_sink *sink)
{
    ul_transport_interrupt(&sink->transport);
}

/* ---- The file ---- */

/* Opened anew after each rest, so that it may be rotated away. */
static int write_line(audit_sink *sink, const char *message, size_t nbytes, scp_error *error)
{
    char end[] = "\n";
    struct iovec iov[2] = {{(void *)(uintptr_t)message, nbytes}, {end, 1}};
    struct stat before;
    if (sink->fd < 0)
        sink->fd = open(sink->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (sink->fd < 0 || fstat(sink->fd, &before) != 0)
        return scp_fail(error, "cannot write %s: %s", sink->file, strerror(errno));
    ssize_t n = writev(sink->fd, iov, 2);
    if (n == (ssize_t)nbytes + 1)
        return 0;
    scp_fail(error, "cannot write %s: %s", sink->file, n < 0 ? strerror(errno) : "disk full");
    if (n > 0 && ftruncate(sink->fd, before.st_size) != 0)
        scp_fail(error, "%s has half a line: %s", sink->file, strerror(errno));
    return -1;
}

void audit_sink_rest(audit_sink *sink)
{
    if (sink->mode != AUDIT_TO_FILE || sink->fd < 0)
        return;
    fdatasync(sink->fd);
    close(sink->fd);
    sink->fd = -1;
}

/* ---- Syslog ---- */

/* A connected socket of that address, or -1 with errno. */
static int connect_to(audit_sink *sink, const struct addrinfo *address)
{
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int trouble = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (trouble == EINPROGRESS) {
        struct pollfd fds[2] = {{.fd = fd, .events = POLLOUT},
                                {.fd = sink->transport.wake_fd, .events = POLLIN}};
        socklen_t size = sizeof trouble;
        const int n = poll(fds, 2, WAIT_MS);
        if (n <= 0 || fds[1].revents != 0)
            trouble = n == 0 ? ETIMEDOUT : EINTR;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &trouble, &size) != 0)
            trouble = errno;
    }
    if (trouble == 0)
        return fd;
    close(fd);
    errno = trouble;
    return -1;
}

static int connect_sink(audit_sink *sink, scp_error *error)
{
    struct addrinfo hints = {.ai_socktype = sink->mode == AUDIT_TO_UDP ? SOCK_DGRAM : SOCK_STREAM};
    struct addrinfo *found = NULL;
    char port[8];
    int fd = -1;
    snprintf(port, sizeof port, "%u", sink->port);
    const int trouble = getaddrinfo(sink->host, port, &hints, &found);
    if (trouble != 0)
        return scp_fail(error, "%s: %s", sink->host, gai_strerror(trouble));
    for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next)
        fd = connect_to(sink, a);
    freeaddrinfo(found);
    if (fd < 0)
        return scp_fail(error, "%s port %s: %s", sink->host, port, strerror(errno));
    if (sink->mode == AUDIT_TO_UDP) {
        sink->fd = fd;
        return 0;
    }
    ul_transport_attach(&sink->transport, fd);
    sink->transport.deadline_ms = steady_clock_ms() + WAIT_MS;
    if (sink->mode == AUDIT_TO_TLS &&
        ul_tls_handshake(&sink->transport, sink->tls, sink->host) != UL_IO_OK)
        return scp_fail(error, "%s port %s: %s", sink->host, port,
                        ul_transport_failure(&sink->transport));
    sink->transport.deadline_ms = INT64_MAX;
    return 0;
}

void audit_sink_head(char out[512], const char *host, long process, size_t nbytes, bool counted,
                     const struct timespec *time)
{
    char when[32], head[400];
    log_time(when, time);
    const int n = snprintf(head, sizeof head, "<%d>1 %s %s dcbscp %ld DICOM+RFC3881 - " BOM,
                           PRIORITY, when, host, process);
    if (counted)
        snprintf(out, 512, "%zu %s", (size_t)n + nbytes, head);
    else
        snprintf(out, 512, "%s", head);
}

static int send_datagram(audit_sink *sink, struct iovec *iov, scp_error *error)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    if (sendmsg(sink->fd, &message, MSG_NOSIGNAL) >= 0)
        return 0;
    if (errno != EMSGSIZE)
        return scp_fail(error, "%s: %s", sink->host, strerror(errno));
    /* It would be too long the next time as well: its beginning is more than nothing. */
    iov[1].iov_len = iov[1].iov_len < 60000 ? iov[1].iov_len : 60000;
    return sendmsg(sink->fd, &message, MSG_NOSIGNAL) >= 0
               ? 0
               : scp_fail(error, "%s: %s", sink->host, strerror(errno));
}

static bool is_connected(audit_sink *sink)
{
    if (sink->mode == AUDIT_TO_UDP)
        return sink->fd >= 0;
    /* A syslog server says nothing: whatever comes is the end. */
    return sink->transport.fd >= 0 && ul_transport_wait(&sink->transport, 0) == UL_IO_TIMEOUT;
}

int audit_sink_write(audit_sink *sink, const char *message, size_t nbytes,
                     const struct timespec *time, scp_error *error)
{
    char head[512];
    if (sink->mode == AUDIT_TO_FILE)
        return write_line(sink, message, nbytes, error);
    if (!is_connected(sink)) {
        disconnect(sink);
        if (connect_sink(sink, error) != 0) {
            disconnect(sink);
            return -1;
        }
    }
    audit_sink_head(head, sink->host_name, (long)getpid(), nbytes, sink->mode != AUDIT_TO_UDP,
                    time);
    struct iovec iov[2] = {{head, strlen(head)}, {(void *)(uintptr_t)message, nbytes}};
    if (sink->mode == AUDIT_TO_UDP)
        return send_datagram(sink, iov, error);
    if (ul_transport_write(&sink->transport, iov, 2) == UL_IO_OK)
        return 0;
    scp_fail(error, "%s: %s", sink->host, ul_transport_failure(&sink->transport));
    disconnect(sink);
    return -1;
}
