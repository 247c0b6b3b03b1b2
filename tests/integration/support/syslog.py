# SPDX-License-Identifier: Apache-2.0
"""A syslog server for tests: RFC 5424 messages by datagram, or with octet counts over TCP and TLS."""

import re
import socket
import ssl
import threading
import time

HEADER = re.compile(rb"<(\d{1,3})>1 (\S+) (\S+) (\S+) (\S+) (\S+) (-|\[.*?\]) (.*)", re.DOTALL)


class Syslog:
    """Collects messages on a free loopback port while in its `with` block."""

    def __init__(self, kind, context=None, port=0):
        self.kind, self.context, self.wanted = kind, context, port
        self.messages, self.changed = [], threading.Condition()

    def __enter__(self):
        if self.kind == "udp":
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind(("127.0.0.1", self.wanted))
        else:
            self.socket = socket.create_server(("127.0.0.1", self.wanted))
        self.port = self.socket.getsockname()[1]
        self.socket.settimeout(0.1)
        self.over = False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.over = True
        self.thread.join()
        self.socket.close()

    def serve(self):
        while not self.over:
            try:
                if self.kind == "udp":
                    self.add(self.socket.recv(1 << 16))
                    continue
                connection, _ = self.socket.accept()
                connection.settimeout(5)
                if self.context is not None:
                    connection = self.context.wrap_socket(connection, server_side=True)
                self.read(connection)
            except (TimeoutError, OSError):
                pass

    def read(self, connection):
        with connection, connection.makefile("rb") as stream:
            while True:
                digits = b""
                while (byte := stream.read(1)) not in (b"", b" "):
                    digits += byte
                if byte == b"":
                    assert digits == b"", digits
                    return
                assert re.fullmatch(rb"[1-9][0-9]*", digits), digits
                self.add(stream.read(int(digits)))

    def add(self, message):
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def wait(self, count, seconds=30):
        """The first `count` messages, each as the header's fields and its text."""
        end = time.monotonic() + seconds
        with self.changed:
            while len(self.messages) < count:
                left = end - time.monotonic()
                if left <= 0 or not self.changed.wait(left):
                    raise AssertionError(f"{len(self.messages)} messages, {count} are due")
            return [HEADER.fullmatch(message).groups() for message in self.messages[:count]]
