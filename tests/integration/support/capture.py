# SPDX-License-Identifier: Apache-2.0
"""A capture of what goes over the loopback interface, read by tshark's dissectors."""

import signal
import subprocess
import time
import unittest


class Capture:
    """tshark on the loopback interface, on the node's port and others that are named."""

    def __init__(self, node, path, *ports):
        self.node, self.path = node, path
        self.ports = [node.port, *ports]

    def __enter__(self):
        self.process = subprocess.Popen(
            ["tshark", "-q", "-i", "lo", "-f",
             " or ".join(f"tcp port {port}" for port in self.ports), "-w", str(self.path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "Capturing on" in line:
                break
        else:
            raise unittest.SkipTest("this user may not capture packets")
        # The capture is up once a packet of ours is in its file.
        for _ in range(100):
            self.node.echoscu()
            if self.size() > 1000:
                return self
            if self.process.poll() is not None:
                self.process.stderr.close()
                raise unittest.SkipTest("this user may not capture packets")
        self.stop()
        raise AssertionError("tshark captured nothing")

    def __exit__(self, *_):
        # tshark drops what is still under way when it is told to end.
        deadline, quiet, size = time.monotonic() + 60, 0, -1
        while quiet < 10 and time.monotonic() < deadline:
            time.sleep(0.1)
            quiet, size = quiet + 1 if self.size() == size else 0, self.size()
        self.stop()

    def size(self):
        return self.path.stat().st_size if self.path.exists() else 0

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.process.stderr.close()

    def fields(self, name, display_filter="dicom"):
        """The field of all packets that the filter lets through, of connections that were captured
        from their SYN on: within one that was under way a PDU's beginning can only be guessed."""
        whole = set(self._ask("tcp.stream", "tcp.flags.syn == 1 and tcp.flags.ack == 0"))
        return self._ask(name, f"({display_filter}) and tcp.stream in {{{','.join(sorted(whole))}}}")

    def _ask(self, name, display_filter):
        # Two passes: the dissector reassembles PDUs over segments.
        done = subprocess.run(
            ["tshark", "-2", "-r", str(self.path),
             *[word for port in self.ports for word in ("-d", f"tcp.port=={port},dicom")],
             "-Y", display_filter, "-T", "fields", "-e", name],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, timeout=120)
        return [line for line in done.stdout.splitlines() if line]
