# SPDX-License-Identifier: Apache-2.0
"""A storage SCP for tests, with an encoding of its own: it takes what it is told, answers as it is
told, and keeps what came. Each association has a thread; a script is a set of functions."""

import collections
import socket
import struct
import threading

IMPLICIT = "1.2.840.10008.1.2"
APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"

Stored = collections.namedtuple("Stored", "association command syntax data pdu_sizes")
Association = collections.namedtuple("Association", "calling called proposed max_pdu end socket")

# What `answer` may give instead of a status.
SILENT, ABORT, HANG_UP, RELEASE = "silent", "abort", "hang up", "release"


def first_of(*syntaxes):
    """Accepts the first of these syntaxes that a context proposes."""
    return lambda abstract, proposed: next((s for s in syntaxes if s in proposed), None)


def items(data):
    at = 0
    while at + 4 <= len(data):
        kind, size = data[at], struct.unpack(">H", data[at + 2:at + 4])[0]
        yield kind, data[at + 4:at + 4 + size]
        at += 4 + size


def item(kind, data):
    return struct.pack(">BBH", kind, 0, len(data)) + data


def text(data):
    return data.decode("ascii").strip("\0 ")


def read_command(data):
    """{element: bytes} of a command set."""
    command, at = {}, 0
    while at + 8 <= len(data):
        group, element, size = struct.unpack("<HHI", data[at:at + 8])
        assert group == 0
        command[element] = data[at + 8:at + 8 + size]
        at += 8 + size
    return command


def u16(command, element):
    return struct.unpack("<H", command[element])[0]


def element(number, data):
    data += b"\0" * (len(data) % 2)
    return struct.pack("<HHI", 0, number, len(data)) + data


class StoreScp:
    """answer(n, command) gives the n-th (from 1) instance's status, or SILENT, ABORT, HANG_UP;
    accept(abstract, syntaxes) a transfer syntax or None; reject(n) the n-th association's (result,
    source, reason) or None. `with` ends it."""

    def __init__(self, answer=lambda n, command: 0, accept=lambda abstract, proposed: proposed[0],
                 reject=lambda n: None, max_pdu=16384, most_contexts=128):
        self.answer, self.accept, self.reject = answer, accept, reject
        self.max_pdu, self.most_contexts = max_pdu, most_contexts
        self.stored, self.associations = [], []
        self.nrequests = self.nstores = 0
        self.changed = threading.Condition()
        self.sockets, self.threads = [], []

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=32)
        self.port = self.listener.getsockname()[1]
        self.start(self.accept_connections)
        return self

    def start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def stop_listening(self):
        """From now on connections are refused."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def __exit__(self, *_):
        self.stop_listening()
        for one in self.sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(20)

    def wait_for(self, predicate, seconds=30):
        with self.changed:
            assert self.changed.wait_for(lambda: predicate(self), seconds), "did not happen in time"

    def accept_connections(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets.append(connection)
            self.start(self.serve, connection)

    # ---- One association ----

    @staticmethod
    def read_exactly(connection, size):
        data = bytearray()
        while len(data) < size:
            more = connection.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return bytes(data)

    def read_pdu(self, connection):
        kind, _, size = struct.unpack(">BBI", self.read_exactly(connection, 6))
        return kind, self.read_exactly(connection, size)

    def serve(self, connection):
        try:
            self.serve_association(connection)
        except (EOFError, OSError):
            for record in self.associations:
                if record.socket is connection and not record.end:
                    record.end.append("lost")
        finally:
            connection.close()
            with self.changed:
                self.changed.notify_all()

    def negotiate(self, connection):
        """The accepted contexts, {id: (abstract, syntax)}, and the association's record."""
        kind, body = self.read_pdu(connection)
        assert kind == 1, kind
        with self.changed:
            self.nrequests += 1
            number = self.nrequests
            self.changed.notify_all()
        rejection = self.reject(number)
        if rejection is not None:
            connection.sendall(struct.pack(">BBIBBBB", 3, 0, 4, 0, *rejection))
            raise EOFError
        called, calling = body[4:20], body[20:36]
        proposed, answers, accepted, max_pdu = [], b"", {}, None
        for kind, data in items(body[68:]):
            if kind == 0x20:
                inner = list(items(data[4:]))
                abstract = next(text(d) for k, d in inner if k == 0x30)
                syntaxes = [text(d) for k, d in inner if k == 0x40]
                proposed.append((data[0], abstract, syntaxes))
                chosen = self.accept(abstract, syntaxes)
                if len(accepted) >= self.most_contexts:
                    chosen = None
                if chosen is not None:
                    accepted[data[0]] = (abstract, chosen)
                answers += item(0x21, bytes((data[0], 0, 0 if chosen else 4, 0)) +
                                item(0x40, (chosen or IMPLICIT).encode()))
            elif kind == 0x50:
                max_pdu = next(struct.unpack(">I", d)[0] for k, d in items(data) if k == 0x51)
        user = item(0x51, struct.pack(">I", self.max_pdu)) + item(0x52, b"1.2.3.4")
        answer = (b"\0\1\0\0" + called + calling + bytes(32) + item(0x10, APPLICATION_CONTEXT) +
                  answers + item(0x50, user))
        connection.sendall(struct.pack(">BBI", 2, 0, len(answer)) + answer)
        record = Association(text(calling), text(called), proposed, max_pdu, [], connection)
        with self.changed:
            self.associations.append(record)
            self.changed.notify_all()
        return accepted, record

    def serve_association(self, connection):
        accepted, record = self.negotiate(connection)
        command, data, sizes = b"", b"", []
        while True:
            kind, body = self.read_pdu(connection)
            if kind == 5:
                record.end.append("released")
                connection.sendall(struct.pack(">BBII", 6, 0, 4, 0))
                return
            if kind == 7:
                record.end.append("aborted")
                return
            assert kind == 4, kind
            sizes.append(len(body))
            at = 0
            while at < len(body):
                size, context, control = struct.unpack(">IBB", body[at:at + 6])
                fragment = body[at + 6:at + 4 + size]
                at += 4 + size
                if control & 1:
                    command += fragment
                else:
                    data += fragment
                if control & 2 and not control & 1:
                    if not self.take(connection, record, context, accepted[context],
                                     read_command(command), data, sizes):
                        return
                    command, data, sizes = b"", b"", []

    def take(self, connection, record, context, accepted, command, data, sizes):
        """An instance. False: the association is over."""
        with self.changed:
            self.nstores += 1
            number = self.nstores
            self.changed.notify_all()
        status = self.answer(number, command)
        with self.changed:
            if isinstance(status, int):
                self.stored.append(Stored(record, command, accepted[1], data, sizes))
            self.changed.notify_all()
        if status == SILENT:  # until the peer has had enough, or the end
            if self.read_pdu(connection)[0] == 7:
                record.end.append("aborted")
            return False
        if status == ABORT:
            connection.sendall(struct.pack(">BBIBBBB", 7, 0, 4, 0, 0, 0, 0))
        if status == RELEASE:
            connection.sendall(struct.pack(">BBII", 5, 0, 4, 0))
            return self.read_pdu(connection)[0] == 0
        if status in (ABORT, HANG_UP):
            return False
        fields = (element(0x0002, command[0x0002]) + element(0x0100, struct.pack("<H", 0x8001)) +
                  element(0x0120, command[0x0110]) + element(0x0800, struct.pack("<H", 0x0101)) +
                  element(0x0900, struct.pack("<H", status)) + element(0x1000, command[0x1000]))
        fields = element(0x0000, struct.pack("<I", len(fields))) + fields
        pdv = struct.pack(">IBB", len(fields) + 2, context, 3) + fields
        connection.sendall(struct.pack(">BBI", 4, 0, len(pdv)) + pdv)
        return True

    def uids(self):
        """The SOP Instance UIDs of what was stored, in the order of arrival."""
        return [text(one.command[0x1000]) for one in self.stored]
