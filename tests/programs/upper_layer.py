# SPDX-License-Identifier: Apache-2.0
"""Association requests and their answers (PS3.8 section 9.3), byte by byte: proposes anything."""
import socket
import struct

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"


def _item(kind, body):
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _uid(kind, uid):
    return _item(kind, uid.encode("ascii"))


def request(called, contexts, calling="CONFORMANCE", roles=(), application=APPLICATION_CONTEXT,
            version=1, max_pdu=16384):
    """contexts: (abstract syntax, [transfer syntaxes]), numbered 1, 3, 5 ...; roles: UIDs for which
    we want to be SCU and SCP."""
    items = _uid(0x10, application)
    for i, (abstract, syntaxes) in enumerate(contexts):
        body = struct.pack(">BBBB", 2 * i + 1, 0, 0, 0) + _uid(0x30, abstract)
        items += _item(0x20, body + b"".join(_uid(0x40, syntax) for syntax in syntaxes))
    user = _item(0x51, struct.pack(">I", max_pdu)) + _uid(0x52, "1.2.3.4") + _item(0x55, b"TEST")
    for uid in roles:
        user += _item(0x54, struct.pack(">H", len(uid)) + uid.encode("ascii") + b"\1\1")
    items += _item(0x50, user)
    fixed = struct.pack(">HH16s16s32x", version, 0, called.encode().ljust(16),
                        calling.encode().ljust(16))
    return struct.pack(">BBI", 1, 0, len(fixed) + len(items)) + fixed + items


class Answer:
    """contexts: {abstract syntax position: (result, transfer syntax)}; or rejected: the triple."""

    def __init__(self):
        self.contexts, self.roles, self.rejected = {}, set(), None
        self.max_pdu = self.class_uid = self.version_name = self.application = None

    def read(self, body):
        at = 68
        for kind, value in _items(body[at:]):
            if kind == 0x10:
                self.application = value.decode()
            elif kind == 0x21:
                syntax = dict(_items(value[4:])).get(0x40, b"")
                self.contexts[value[0] // 2] = (value[2], syntax.decode())
            elif kind == 0x50:
                self._read_user(value)

    def _read_user(self, body):
        for kind, value in _items(body):
            if kind == 0x51:
                self.max_pdu = struct.unpack(">I", value)[0]
            elif kind == 0x52:
                self.class_uid = value.decode()
            elif kind == 0x55:
                self.version_name = value.decode()
            elif kind == 0x54:
                length = struct.unpack(">H", value[:2])[0]
                self.roles.add((value[2:2 + length].decode(), value[-2], value[-1]))


def _items(body):
    at = 0
    while at < len(body):
        kind, length = struct.unpack(">BxH", body[at:at + 4])
        yield kind, body[at + 4:at + 4 + length]
        at += 4 + length


def _exactly(connection, nbytes):
    data = b""
    while len(data) < nbytes:
        more = connection.recv(nbytes - len(data))
        if not more:
            raise AssertionError("the node hung up")
        data += more
    return data


def associate(address, *arguments, hold=False, **options):
    """Asks for an association and aborts it once it is there; hold: gives the connection too."""
    connection = socket.create_connection(address, timeout=60)
    connection.sendall(request(*arguments, **options))
    kind, length = struct.unpack(">BxI", _exactly(connection, 6))
    body = _exactly(connection, length)
    answer = Answer()
    if kind == 3:
        answer.rejected = tuple(body[1:4])
    elif kind == 2:
        answer.read(body)
        if hold:
            return answer, connection
        connection.sendall(struct.pack(">BBIBBBB", 7, 0, 4, 0, 0, 0, 0))
    else:
        raise AssertionError(f"PDU type {kind} instead of an answer")
    connection.close()
    return answer
