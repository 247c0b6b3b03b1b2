/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ul_listener.cc - the listening socket and what DCMTK sees of a connection.
 *
 * DCMTK is given our own connection class, made in the thread that waits in ul_receive; it hands
 * DCMTK's parser a request that ul_request.cc has read and checked.
 *
 * Threads: DCMTK's network object is only read after ul_listener_open; one thread at a time is
 * between accept and createConnection (the server's leader), any number are behind it.
 */
#include "ul_private.h"

#include "dcmtk_log.h"
#include "log.h"

#include "dcmtk/config/osconfig.h" /* DCMTK wants it first */
#include "dcmtk/dcmnet/assoc.h"
#include "dcmtk/dcmnet/dcmlayer.h"
#include "dcmtk/dcmnet/dcmtrans.h"
#include "dcmtk/dcmnet/dul.h"
#include "steady_clock.h"

#include <arpa/inet.h>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <netdb.h>
#include <new>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace
{

const int accept_pause_ms = 100; /* after a failed accept: no spinning without descriptors */
const int room_pause_ms = 10;    /* the same while a silent connection is being closed */
const int complaint_ms = 10000;  /* a failing accept is logged this often */
const int listen_backlog = 512;

class TransportLayer : public DcmTransportLayer
{
  public:
    DcmTransportConnection *createConnection(DcmNativeSocketType socket, OFBool secure) override;
};

} // namespace

/* A listening socket. */
struct ul_socket {
    T_ASC_Network *network;
    TransportLayer layer;
    int fd; /* DCMTK's, which it closes */
    uint16_t port;
    bool plain, tls; /* what it takes */
};

struct ul_listener {
    ul_socket sockets[2]; /* the second for TLS with a port of its own */
    uint32_t nsockets;
    int stop_fd;
    ul_listener_options options;
    uint32_t turn;         /* the waiting thread's own, as the next */
    int64_t complained_ms; /* when a failed accept was last logged */
    std::mutex lock;       /* oldest, newest, npending and the links of associations in that list */
    ul_association *oldest, *newest;
    uint32_t npending;
};

namespace
{

/* Set around ASC_receiveAssociation: whom the connection is for that this thread accepts. */
thread_local ul_association *receiving = nullptr;

/* ---- Connections without a request ---- */

void pending_add(ul_association *a)
{
    ul_listener *l = a->listener;
    std::lock_guard<std::mutex> guard(l->lock);
    a->pending = true;
    a->older = l->newest;
    (l->newest != nullptr ? l->newest->newer : l->oldest) = a;
    l->newest = a;
    if (++l->npending > l->options.max_pending && l->oldest != a)
        ul_transport_interrupt(&l->oldest->transport);
}

void pending_remove(ul_association *a)
{
    ul_listener *l = a->listener;
    std::lock_guard<std::mutex> guard(l->lock);
    if (!a->pending)
        return;
    (a->older != nullptr ? a->older->newer : l->oldest) = a->newer;
    (a->newer != nullptr ? a->newer->older : l->newest) = a->older;
    a->pending = false;
    l->npending--;
}

bool pending_end_oldest(ul_listener *l)
{
    std::lock_guard<std::mutex> guard(l->lock);
    if (l->oldest != nullptr)
        ul_transport_interrupt(&l->oldest->transport);
    return l->oldest != nullptr;
}

/* ---- DCMTK's view of the connection ---- */

/* The base class is told no socket: so it neither sets options on it nor closes it. */
class Connection : public DcmTCPConnection
{
  public:
    explicit Connection(ul_association *owner) : DcmTCPConnection(-1), owner_(owner)
    {
    }

    OFCondition serverSideHandshake() override
    {
        owner_->request_result = ul_request_read(owner_);
        pending_remove(owner_);
        return owner_->request_result == UL_OK ? EC_Normal : DUL_NETWORKCLOSED;
    }

    ssize_t read(void *buffer, size_t nbytes) override
    {
        ul_association *a = owner_;
        if (a->request_pos == a->request_end) {
            ssize_t got = ul_transport_read(&a->transport, buffer, nbytes);
            if (got < 0)
                errno = ECONNABORTED; /* never EINTR: DCMTK would come back at once */
            return got;
        }
        size_t left = a->request_end - a->request_pos;
        size_t n = nbytes < left ? nbytes : left;
        memcpy(buffer, a->request_pdu + a->request_pos, n);
        a->request_pos += n;
        return static_cast<ssize_t>(n);
    }

    ssize_t write(void *buffer, size_t nbytes) override
    {
        struct iovec iov = {buffer, nbytes};
        if (nbytes > 0 && *static_cast<uint8_t *>(buffer) == UL_PDU_ABORT)
            owner_->abort_sent = true;
        if (ul_transport_write(&owner_->transport, &iov, 1) == UL_IO_OK)
            return static_cast<ssize_t>(nbytes);
        errno = EPIPE; /* never EINTR: DCMTK would write it all again */
        return -1;
    }

    /* The socket is hung up by its owner, who may still have a last word to send. */
    void close() override
    {
    }

    void closeTransportConnection() override
    {
    }

    OFBool networkDataAvailable(int timeout) override
    {
        if (owner_->request_pos < owner_->request_end)
            return OFTrue;
        return ul_transport_wait(&owner_->transport, timeout < 0 ? 0 : timeout * 1000) == UL_IO_OK;
    }

  private:
    ul_association *owner_;
};

void note_peer(ul_request *request, int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    snprintf(request->peer_address, sizeof request->peer_address, "unknown");
    if (getpeername(fd, reinterpret_cast<struct sockaddr *>(&address), &size) != 0)
        return;
    if (address.ss_family == AF_INET) {
        const auto *v4 = reinterpret_cast<const struct sockaddr_in *>(&address);
        inet_ntop(AF_INET, &v4->sin_addr, request->peer_address, sizeof request->peer_address);
        request->peer_port = ntohs(v4->sin_port);
    } else if (address.ss_family == AF_INET6) {
        const auto *v6 = reinterpret_cast<const struct sockaddr_in6 *>(&address);
        request->peer_port = ntohs(v6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
            inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, request->peer_address,
                      sizeof request->peer_address);
        else
            inet_ntop(AF_INET6, &v6->sin6_addr, request->peer_address,
                      sizeof request->peer_address);
    }
}

DcmTransportConnection *TransportLayer::createConnection(DcmNativeSocketType socket, OFBool)
{
    ul_association *a = receiving;
    Connection *connection = new (std::nothrow) Connection(a);
    if (connection == nullptr)
        return nullptr; /* DCMTK closes the socket */
    a->connected = true;
    fcntl(socket, F_SETFD, FD_CLOEXEC);
    ul_transport_attach(&a->transport, socket);
    a->transport.deadline_ms = steady_clock_ms() + a->request_timeout_ms;
    note_peer(&a->request, socket);
    pending_add(a);
    if (a->on_accept != nullptr)
        a->on_accept(a->on_accept_context);
    return connection;
}

/* ---- Making and ending associations ---- */

ul_association *association_create(ul_listener *listener)
{
    auto *a = static_cast<ul_association *>(calloc(1, sizeof(ul_association)));
    if (a == nullptr)
        return nullptr;
    a->listener = listener;
    a->request_timeout_ms = listener->options.request_timeout_ms;
    if (ul_transport_init(&a->transport, listener->stop_fd, listener->options.io_timeout_ms) != 0) {
        free(a);
        return nullptr;
    }
    return a;
}

/* Waits for a connection; DCMTK then reads what read_request has let pass. */
OFCondition receive_with_dcmtk(ul_association *a, const ul_socket *socket)
{
    receiving = a;
    a->takes_plain = socket->plain;
    a->tls = socket->tls ? a->listener->options.tls : nullptr;
    OFCondition condition = ASC_receiveAssociation(socket->network, &a->dcmtk,
                                                   static_cast<long>(a->listener->options.max_pdu),
                                                   nullptr, nullptr, OFFalse, DUL_NOBLOCK, 0);
    receiving = nullptr;
    if (!a->connected)
        ASC_destroyAssociation(&a->dcmtk);
    return condition;
}

bool out_of_descriptors(int fd)
{
    int probe = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (probe < 0)
        return true;
    close(probe);
    return false;
}

/* An accept that failed is tried again after a pause; without descriptors the oldest connection
   that has not said anything yet gives its own. */
void pause_after_failure(ul_listener *l, const char *why)
{
    const log_field reason = {"reason", LOG_FIELD_TEXT, why, 0, 0};
    const int64_t now = steady_clock_ms();
    if (l->complained_ms == 0 || now - l->complained_ms >= complaint_ms) {
        log_event_fields(LOG_WARN, "listener.accept_failed", &reason, 1);
        l->complained_ms = now;
    }
    const bool room_is_made = out_of_descriptors(l->stop_fd) && pending_end_oldest(l);
    struct pollfd stop = {l->stop_fd, POLLIN, 0};
    poll(&stop, 1, room_is_made ? room_pause_ms : accept_pause_ms);
}

/* The socket that has something to accept; null where the listener was stopped. */
ul_socket *await_connection(ul_listener *l)
{
    for (;;) {
        struct pollfd fds[3] = {{l->stop_fd, POLLIN, 0}, {-1, 0, 0}, {-1, 0, 0}};
        for (uint32_t i = 0; i < l->nsockets; i++)
            fds[1 + i] = {l->sockets[i].fd, POLLIN, 0};
        int n = poll(fds, 3, -1);
        if (n > 0 && fds[0].revents != 0)
            return nullptr;
        /* In turn, so that a busy port does not starve the other. */
        for (uint32_t i = 0; n > 0 && i < l->nsockets; i++) {
            const uint32_t at = (l->turn + i) % l->nsockets;
            if (fds[1 + at].revents != 0) {
                l->turn = at + 1;
                return &l->sockets[at];
            }
        }
    }
}

ul_result receive(ul_association **out, ul_listener *l, void (*on_accept)(void *), void *context,
                  scp_error *error)
{
    ul_association *a = nullptr;
    OFCondition condition = EC_Normal;
    do {
        const ul_socket *socket = await_connection(l);
        if (socket == nullptr) {
            ul_association_close(a);
            scp_fail(error, "the listener was stopped");
            return UL_STOPPED;
        }
        if (a == nullptr)
            a = association_create(l);
        if (a == nullptr) {
            pause_after_failure(l, strerror(errno));
            continue;
        }
        a->on_accept = on_accept;
        a->on_accept_context = context;
        condition = receive_with_dcmtk(a, socket);
        if (!a->connected && condition != DUL_NOASSOCIATIONREQUEST)
            pause_after_failure(l, condition.text());
    } while (a == nullptr || !a->connected);

    ul_result result = ul_request_finish(a, condition, error);
    if (result != UL_OK) {
        ul_association_close(a);
        return result;
    }
    *out = a;
    return UL_OK;
}

/* ---- Listener ---- */

int bind_socket(const char *bind_address, uint16_t port_number, scp_error *error)
{
    struct addrinfo hints, *found = nullptr;
    char port[8];
    memset(&hints, 0, sizeof hints);
    hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE;
    hints.ai_socktype = SOCK_STREAM;
    snprintf(port, sizeof port, "%u", port_number);
    if (getaddrinfo(bind_address, port, &hints, &found) != 0)
        return scp_fail(error, "bind address %s is not a numeric IPv4 or IPv6 address",
                        bind_address);
    int on = 1;
    /* Not blocking: a peer that is gone again between poll and accept must not hold us there. */
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool good = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 &&
                listen(fd, listen_backlog) == 0;
    if (!good) {
        scp_fail(error, "cannot listen on %s port %s: %s", bind_address, port, strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

uint16_t bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    getsockname(fd, reinterpret_cast<struct sockaddr *>(&address), &size);
    return ntohs(address.ss_family == AF_INET6
                     ? reinterpret_cast<struct sockaddr_in6 *>(&address)->sin6_port
                     : reinterpret_cast<struct sockaddr_in *>(&address)->sin_port);
}

/* DCMTK can only listen on all addresses: it does so on some free port, and our own socket is then
   put in that one's place. */
int open_socket(ul_listener *l, uint16_t port, bool plain, bool tls, scp_error *error)
{
    int fd = bind_socket(l->options.bind_address, port, error);
    if (fd < 0)
        return -1;
    ul_socket *s = &l->sockets[l->nsockets];
    const int timeout_s = (l->options.request_timeout_ms + 999) / 1000;
    OFCondition condition = ASC_initializeNetwork(NET_ACCEPTOR, 0, timeout_s, &s->network);
    if (condition.bad()) {
        close(fd);
        return scp_fail(error, "DCMTK cannot set up its network: %s", condition.text());
    }
    l->nsockets++;
    s->plain = plain;
    s->tls = tls;
    s->fd = DUL_networkSocket(s->network->network);
    s->port = bound_port(fd);
    int replaced = dup3(fd, s->fd, O_CLOEXEC);
    close(fd);
    if (replaced < 0)
        return scp_fail(error, "cannot listen: %s", strerror(errno));
    ASC_setTransportLayer(s->network, &s->layer, 0);
    return 0;
}

int open_sockets(ul_listener *l, scp_error *error)
{
    const ul_tls_mode mode = l->options.tls_mode;
    if (open_socket(l, l->options.port, mode != UL_TLS_MODE_ONLY,
                    mode == UL_TLS_MODE_BOTH || mode == UL_TLS_MODE_ONLY, error) != 0)
        return -1;
    return mode == UL_TLS_MODE_SEPARATE ? open_socket(l, l->options.tls_port, false, true, error)
                                        : 0;
}

} // namespace

/* ---- ul.h: no exception leaves these ---- */

int ul_global_init(scp_error *error)
try {
    signal(SIGPIPE, SIG_IGN);
    dcmDisableGethostbyaddr.set(OFTrue); /* reverse DNS would delay every accept */
    return dcmtk_log_init(error);
} catch (...) {
    return scp_fail(error, "cannot set up DCMTK");
}

int ul_listener_open(ul_listener **out, const ul_listener_options *options, scp_error *error)
try {
    *out = nullptr;
    auto *l = new ul_listener();
    l->options = *options;
    l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->stop_fd < 0) {
        scp_fail(error, "cannot make an event descriptor: %s", strerror(errno));
        ul_listener_close(l);
        return -1;
    }
    int opened = open_sockets(l, error);
    l->options.bind_address = nullptr; /* borrowed for this call only */
    if (opened != 0) {
        ul_listener_close(l);
        return -1;
    }
    *out = l;
    return 0;
} catch (...) {
    return scp_fail(error, "out of memory");
}

uint16_t ul_listener_port(const ul_listener *listener)
{
    return listener->sockets[0].port;
}

uint16_t ul_listener_tls_port(const ul_listener *listener)
{
    return listener->nsockets > 1 ? listener->sockets[1].port : 0;
}

void ul_listener_stop(ul_listener *listener)
{
    const uint64_t one = 1;
    ssize_t written = write(listener->stop_fd, &one, sizeof one);
    (void)written; /* fails only where it is full, thus readable */
}

void ul_listener_close(ul_listener *listener)
try {
    if (listener == nullptr)
        return;
    for (uint32_t i = 0; i < listener->nsockets; i++)
        ASC_dropNetwork(&listener->sockets[i].network);
    if (listener->stop_fd >= 0)
        close(listener->stop_fd);
    delete listener;
} catch (...) {
}

ul_result ul_receive(ul_association **out, ul_listener *listener, void (*on_accept)(void *context),
                     void *context, scp_error *error)
try {
    *out = nullptr;
    return receive(out, listener, on_accept, context, error);
} catch (...) {
    scp_fail(error, "out of memory while an association was requested");
    return UL_FAILED;
}
