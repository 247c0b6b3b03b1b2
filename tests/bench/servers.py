# SPDX-License-Identifier: Apache-2.0
"""The servers that retrieve.py measures: ours, the ceiling, and peers where they are installed."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

CT = "1.2.840.10008.5.1.4.1.1.2"
START_SECONDS = 30


def free_port(address="127.0.0.1"):
    with socket.socket() as listener:
        listener.bind((address, 0))
        return listener.getsockname()[1]


def wait_for_port(port, process):
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the server does not listen")


class Server:
    """One process that listens on self.host:self.port."""

    host = "127.0.0.1"
    aec = "ANY"

    def __init__(self, command, nodelay=True, prefix=()):
        environment = {k: v for k, v in os.environ.items() if k != "TCP_NODELAY"}
        if nodelay:
            environment["TCP_NODELAY"] = "1"
        self.process = subprocess.Popen([*prefix, *map(str, command)], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def cpu_seconds(self):
        """Of all threads so far, to the 10 ms."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return 0.0


class Dcbscp(Server):
    aec = "DCBSCP"

    def __init__(self, build, archive, state, host="127.0.0.1", prefix=(), options=()):
        super().__init__([build / "bin/dcbscp", "--archive", archive, "--state", state, "--port",
                          "0", "--bind", host, "--access", "{allow: all}", "--log-level", "error", *options],
                         nodelay=False, prefix=prefix)
        line = self.process.stdout.readline()
        if "listening" not in line:
            raise RuntimeError("dcbscp does not start")
        self.host = host
        self.port = int(line.split(" as ")[0].rsplit(":", 1)[1])


class Sender(Server):
    """Ready bytes, a response awaited for each instance."""

    def __init__(self, build, nbytes, count=200, host="127.0.0.1", prefix=()):
        super().__init__([build / "tests/bench_sender", nbytes, count, host], prefix=prefix)
        self.host = host
        self.port = int(self.process.stdout.readline())


class Dcmqrscp(Server):
    def __init__(self, folder, nodelay):
        self.port = free_port()
        folder.mkdir()
        store = folder / "store"
        store.mkdir()
        config = folder / "dcmqrscp.cfg"
        config.write_text(
            f"NetworkTCPPort = {self.port}\nMaxPDUSize = 131072\nMaxAssociations = 64\n"
            "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nANY {store} RW (200, 1024mb) ANY\nAETable END\n")
        super().__init__(["dcmqrscp", "-c", config], nodelay)
        wait_for_port(self.port, self.process)

    @staticmethod
    def version():
        text = subprocess.run(["dcmqrscp", "--version"], capture_output=True, text=True).stdout
        return "dcmqrscp " + text.split("v", 1)[1].split()[0]


class Sink(Server):
    """DCMTK's storescp, which throws away what it gets: what the sender can do."""

    def __init__(self, nodelay):
        self.port = free_port()
        super().__init__(["storescp", "--fork", "--ignore", "-pdu", 131072, self.port], nodelay)
        wait_for_port(self.port, self.process)


class Orthanc(Server):
    def __init__(self, folder, nodelay):
        self.port = free_port()
        folder.mkdir()
        config = folder / "orthanc.json"
        peers = {"AET": "BENCH", "Host": "127.0.0.1", "Port": 104, "AllowEcho": True,
                 "AllowFind": True, "AllowGet": True, "AllowStore": True}
        config.write_text(json.dumps({
            "DicomPort": self.port, "HttpServerEnabled": False, "DicomServerEnabled": True,
            "StorageDirectory": str(folder / "store"), "IndexDirectory": str(folder / "store"),
            "DicomModalities": {"bench": peers, "storescu": dict(peers, AET="STORESCU")},
            "DicomCheckModalityHost": False, "DicomAlwaysAllowEcho": True, "Plugins": [],
            "DicomAlwaysAllowFind": True, "DicomThreadsCount": 40, "MaximumPduLength": 131072}))
        super().__init__([shutil.which("Orthanc"), config], nodelay)
        wait_for_port(self.port, self.process)

    @staticmethod
    def version():
        text = subprocess.run(["Orthanc", "--version"], capture_output=True, text=True).stdout
        return text.split("\n", 1)[0]


def start_peers(folder, source):
    """Each installed peer twice: as it comes, and with TCP_NODELAY=1. All hold the series."""
    peers = {}
    for name, program, kind in (("dcmqrscp", "dcmqrscp", Dcmqrscp), ("Orthanc", "Orthanc", Orthanc)):
        if shutil.which(program) is None or shutil.which("storescu") is None:
            print(f"{name}: left out, not installed", flush=True)
            continue
        for nodelay in (True, False):
            key = name if nodelay else name + ", stock"
            peer = kind(folder / key.replace(", ", "-"), nodelay)
            peers[key] = peer
            subprocess.run(["storescu", "-aec", "ANY", "--scan-directories", "127.0.0.1",
                            str(peer.port), str(source)], check=True,
                           env=dict(os.environ, TCP_NODELAY="1"), stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    return peers
