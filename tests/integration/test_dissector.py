# SPDX-License-Identifier: Apache-2.0
"""A capture of each service, read by tshark's DICOM dissector: no malformed packet, and the
messages that were to be there."""

import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

from support.golden import OWN
from support.make_dcbs import repeat_series
from support.node import Node, require, run

TINY = OWN / "tiny3" / "series.dcbs"


class Capture:
    """tshark on the loopback interface, on our own port only."""

    def __init__(self, node, path):
        self.node, self.path = node, path

    def __enter__(self):
        self.process = subprocess.Popen(
            ["tshark", "-q", "-i", "lo", "-f", f"tcp port {self.node.port}", "-w", str(self.path)],
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
        # Two passes: the dissector reassembles PDUs over segments.
        done = subprocess.run(
            ["tshark", "-2", "-r", str(self.path), "-d", f"tcp.port=={self.node.port},dicom",
             "-Y", display_filter, "-T", "fields", "-e", name],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, timeout=120)
        return [line for line in done.stdout.splitlines() if line]


class Dissector(unittest.TestCase):
    def test_no_malformed_packet(self):
        require("tshark", "zstd", "findscu", "getscu")
        with tempfile.TemporaryDirectory(prefix="archive-") as archive, \
                tempfile.TemporaryDirectory(prefix="got-") as got:
            repeat_series(pathlib.Path(archive) / "a.dcbs", TINY, 30, "1.2.8.1")
            with Node(archive) as node:
                with Capture(node, pathlib.Path(got) / "capture.pcapng") as capture:
                    node.findscu("QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName")
                    into = pathlib.Path(got) / "instances"
                    into.mkdir()
                    node.getscu(into, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.8.1.1")
                    node.getscu(into, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.8.9.9",
                                check=False)
                    run("findscu", "-S", "-aec", node.ae_title, "-k", "QueryRetrieveLevel=X",
                        *node.address(), check=False)
                self.assertEqual(len(list(into.iterdir())), 30)
                malformed = capture.fields("frame.number", "_ws.malformed")
                self.assertEqual(malformed, [])
                seen = "\n".join(capture.fields("_ws.col.Info"))
                for wanted in ("C-ECHO-RSP", "C-FIND-RSP", "C-GET-RSP", "C-STORE-RQ"):
                    self.assertIn(wanted, seen)


if __name__ == "__main__":
    unittest.main()
