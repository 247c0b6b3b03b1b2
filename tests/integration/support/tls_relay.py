# SPDX-License-Identifier: Apache-2.0
"""Takes plain connections and passes them on over TLS: for clients that have none (getscu)."""

import socket
import ssl
import threading


class TlsRelay:
    """Listens on a free loopback port while in its `with` block."""

    def __init__(self, port, ca, key=None, certificate=None):
        self.target = ("127.0.0.1", port)
        self.context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            self.context.load_cert_chain(certificate, key)
        self.versions = set()

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            connection = socket.create_connection(self.target)
            for end in (plain, connection):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secure = self.context.wrap_socket(connection, server_hostname="localhost")
            self.versions.add(secure.version())
            threading.Thread(target=self.serve, args=(plain, secure), daemon=True).start()

    def serve(self, plain, secure):
        with plain, secure:
            back = threading.Thread(target=self.copy, args=(secure, plain), daemon=True)
            back.start()
            self.copy(plain, secure)
            back.join()

    @staticmethod
    def copy(source, sink):
        try:
            while True:
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                data = source.recv(1 << 16)
                if not data:
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
