# SPDX-License-Identifier: Apache-2.0
"""An Orthanc on loopback: a requester, a destination, and what it says of what it holds."""

import json
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from .node import require, stock_environment

START_SECONDS = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Orthanc:
    """modalities: {symbolic name: (AE title, port)}, all on loopback."""

    AE_TITLE = "ORTHANC"

    def __init__(self, modalities=None, dicom_port=None):
        require("Orthanc")
        self.dicom_port = dicom_port or free_port()
        self.http_port = free_port()
        self.modalities = modalities or {}

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="orthanc-")
        folder = pathlib.Path(self.folder.name)
        config = folder / "orthanc.json"
        config.write_text(json.dumps({
            "DicomAet": self.AE_TITLE, "DicomPort": self.dicom_port, "HttpPort": self.http_port,
            "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": [],
            "StorageDirectory": str(folder / "store"), "IndexDirectory": str(folder / "store"),
            "DicomModalities": {name: [title, "127.0.0.1", port]
                                for name, (title, port) in self.modalities.items()},
            "DicomAlwaysAllowStore": True, "DicomCheckCalledAet": False}))
        with open(folder / "log", "wb") as log:
            self.process = subprocess.Popen([shutil.which("Orthanc"), config], stdout=log,
                                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                            env=stock_environment())
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self.rest("system")
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.__exit__()
                    raise AssertionError("Orthanc did not start:\n" + self.log[-3000:]) from None
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log = (pathlib.Path(self.folder.name) / "log").read_text(errors="replace")
        self.folder.cleanup()

    def rest_bytes(self, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}/{path}", data)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"Orthanc, {path}: {error.code} {error.read()[:500]}") from None

    def rest(self, path, body=None):
        return json.loads(self.rest_bytes(path, body))
