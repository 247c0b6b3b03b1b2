# SPDX-License-Identifier: Apache-2.0
"""A node with its HTTP port on, and a peer that stops reading in the middle."""

import json
import re
import socket
import tempfile
import threading
import urllib.error
import urllib.request

from .node import Node

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class HttpNode(Node):
    """A node with its HTTP port on."""

    def __init__(self, archive, *options, patient_data=False):
        self.configuration = tempfile.NamedTemporaryFile("w", suffix=".yaml")
        self.configuration.write(f"http_patient_data: {str(patient_data).lower()}\n")
        self.configuration.flush()
        super().__init__(archive, "--http-port", "0", "-c", self.configuration.name, *options)

    def __enter__(self):
        super().__enter__()
        line = self.wait_for_log("http.listening")
        self.http_port = int(re.search(r"\bport=(\d+)", line)[1])
        self.url = f"http://127.0.0.1:{self.http_port}"
        return self

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        self.configuration.close()

    def ask(self, path, method="GET", **headers):
        """(status, headers, body)"""
        request = urllib.request.Request(
            self.url + path, method=method,
            headers={name.replace("_", "-"): value for name, value in headers.items()})
        try:
            with OPENER.open(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def json(self, path, **headers):
        status, _, body = self.ask(path, **headers)
        if status != 200:
            raise AssertionError(f"{path}: {status} {body!r}")
        return json.loads(body)

    def metrics(self, **headers):
        """{name with labels: value}, after a look at the form by rules of our own."""
        status, headers, body = self.ask("/metrics", **headers)
        assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return parse_metrics(body.decode())


LINE = re.compile(r'([a-z_:]+)((?:\{[a-z]+="[^"\\\n]*"(?:,[a-z]+="[^"\\\n]*")*\})?) (\S+)')


def parse_metrics(text):
    """Every line, strictly; each family has HELP and TYPE first, stands together, comes once."""
    values, kinds, family = {}, {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in kinds, f"{family} comes twice"
            assert len(line.split(None, 3)) == 4, f"no help: {line}"
        elif line.startswith("# TYPE "):
            assert line.split()[2] == family, line
            kinds[family] = line.split()[3]
            assert kinds[family] in ("counter", "gauge", "histogram"), line
        else:
            match = LINE.fullmatch(line)
            assert match, f"not a sample: {line!r}"
            base = match[1]
            if kinds[family] == "histogram":
                base = re.sub(r"_(bucket|sum|count)$", "", base)
            assert base == family, f"{line} under {family}"
            assert (kinds[family] == "counter") == family.endswith("_total"), family
            assert match[1] + match[2] not in values, f"{line} comes twice"
            values[match[1] + match[2]] = float(match[3])
    return values


class StalledPeer:
    """Leads a connection through to the node, and stops what comes back after so many bytes."""

    def __init__(self, node):
        self.node = node
        self.allowed = threading.Event()
        self.limit = 0

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._serve, daemon=True)]
        self.threads[0].start()
        return self

    def stall_after(self, nbytes):
        self.limit = nbytes

    def go_on(self):
        self.allowed.set()

    def _serve(self):
        client, _ = self.listener.accept()
        node = socket.create_connection((self.node.host, self.node.port))
        back = threading.Thread(target=self._pump, args=(node, client, True), daemon=True)
        back.start()
        self._pump(client, node, False)
        back.join()
        client.close()
        node.close()

    def _pump(self, source, to, stalls):
        passed = 0
        try:
            for one in (source, to):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while piece := source.recv(65536):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                passed += len(piece)
                to.sendall(piece)
                if stalls and passed > self.limit > 0:
                    self.allowed.wait(120)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def __exit__(self, *_):
        self.allowed.set()
        self.listener.close()
        self.threads[0].join(30)
