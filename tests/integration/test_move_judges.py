# SPDX-License-Identifier: Apache-2.0
"""C-MOVE with Debian's programs: movescu as requester, itself, storescp and dcmqrscp as
destinations, and tshark's DICOM dissector over both associations."""

import pathlib
import re
import socket
import subprocess
import tempfile
import time
import unittest

import pydicom
from pydicom.misc import is_dicom

from support import compare, studies
from support.capture import Capture
from support.certificates import Certificates
from support.node import Node, require, run, stock_environment
from support.studies import GOOD, PHANTOM


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Program:
    """A server of DCMTK's, once it answers an echo."""

    def __init__(self, port, *command, echo=()):
        self.port, self.command, self.echo = port, [str(word) for word in command], echo

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env=stock_environment())
        for _ in range(200):
            if run("echoscu", *self.echo, "-aec", "DEST", "127.0.0.1", self.port, check=False).returncode == 0:
                return self
            time.sleep(0.05)
        self.__exit__()
        raise AssertionError(f"{self.command[0]} does not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


class MoveJudges(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        require("zstd", "movescu", "storescp", "dcmqrscp", "echoscu")
        cls.folder = tempfile.TemporaryDirectory(prefix="archive-")
        cls.archive = pathlib.Path(cls.folder.name)
        studies.write(cls.archive)
        cls.sources = {str(s.SOPInstanceUID): s for s in map(
            pydicom.dcmread, (PHANTOM / "source").glob("*.dcm"))}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def movescu(self, node, destination, *options):
        return run("movescu", "-v", "-S", "-aec", node.ae_title, "-aem", destination, *options,
                   "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={GOOD}",
                   *node.address(), check=False)

    def check(self, folder):
        paths = [path for path in pathlib.Path(folder).rglob("*") if path.is_file()]
        served = [pydicom.dcmread(path) for path in paths if is_dicom(path)]
        self.assertEqual(sorted(str(s.SOPInstanceUID) for s in served), sorted(self.sources))
        for one in served:
            source = self.sources[str(one.SOPInstanceUID)]
            self.assertEqual(compare.pixel_differences(source, one, compare.native_samples(one), 0),
                             [])
            self.assertEqual(one.PatientName, source.PatientName)

    @staticmethod
    def destination(port, host="127.0.0.1", ae_title="DEST"):
        return f"{{ae_title: {ae_title}, host: {host}, port: {port}}}"

    def test_movescu_receives_itself(self):
        port = free_port()
        with tempfile.TemporaryDirectory() as got, Node(
                self.archive, "--destination", self.destination(port, "peer", "MOVESCU")) as node:
            done = self.movescu(node, "MOVESCU", "+P", port, "-od", got)
            self.assertEqual(done.returncode, 0, done.text)
            self.assertIn("Final Move Response (Success)", done.text)
            self.check(got)

    def test_storescp(self):
        port = free_port()
        with tempfile.TemporaryDirectory() as got, \
                Program(port, "storescp", "-od", got, port), \
                Node(self.archive, "--destination", self.destination(port)) as node:
            done = self.movescu(node, "DEST")
            self.assertIn("Final Move Response (Success)", done.text)
            self.check(got)
            self.assertIn("Refused: MoveDestinationUnknown", self.movescu(node, "OTHER").text)

    def test_dcmqrscp(self):
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            store = pathlib.Path(folder) / "store"
            store.mkdir()
            config = pathlib.Path(folder) / "dcmqrscp.cfg"
            config.write_text(
                f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
                "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
                f"AETable BEGIN\nDEST {store} RW (200, 1024mb) ANY\nAETable END\n")
            with Program(port, "dcmqrscp", "-c", config), \
                    Node(self.archive, "--destination", self.destination(port)) as node:
                done = self.movescu(node, "DEST")
                self.assertIn("Final Move Response (Success)", done.text)
                self.check(store)

    def test_storescp_that_aborts(self):
        """--abort-during: A-ABORT within each data set that comes."""
        port = free_port()
        with Program(port, "storescp", "--abort-during", "--ignore", port), \
                Node(self.archive, "--destination", self.destination(port)) as node:
            done = self.movescu(node, "DEST")
            self.assertIn("Refused: OutOfResourcesSubOperations", done.text)

    def test_tls(self):
        """storescp +tls; a certificate for another host, or none at all, gets no instance."""
        require("openssl")
        with tempfile.TemporaryDirectory() as folder:
            got, certificates = pathlib.Path(folder) / "got", Certificates(folder)
            got.mkdir()
            mine, dest = certificates.make("node"), certificates.make("dest")
            other = certificates.make("other", names="DNS:elsewhere.example")
            good, wrong, plain = free_port(), free_port(), free_port()
            config = pathlib.Path(folder) / "c.yaml"
            config.write_text(
                f"tls_key: {mine[0]}\ntls_certificate: {mine[1]}\ntls_ca_file: {certificates.ca}\n"
                "destinations:\n" + "".join(
                    f"  - {{ae_title: {title}, host: localhost, port: {port}, tls: true, "
                    "retries: 0}\n" for title, port in
                    (("DEST", good), ("WRONG", wrong), ("PLAIN", plain))))

            def secure(port, key, pem):
                return Program(port, "storescp", "+tls", key, pem, "+cf", certificates.ca, "-od",
                               got, port, echo=("+tls", *mine, "+cf", certificates.ca))
            with secure(good, *dest), secure(wrong, *other), \
                    Program(plain, "storescp", "-od", got, plain), \
                    Node(self.archive, "-c", config) as node:
                for title in ("WRONG", "PLAIN"):
                    done = self.movescu(node, title)
                    self.assertIn("Refused: OutOfResourcesSubOperations", done.text)
                    node.wait_for_log(f"move.unreachable.*destination={title}.*TLS handshake")
                    self.assertEqual(list(got.iterdir()), [])
                self.assertIn("Final Move Response (Success)", self.movescu(node, "DEST").text)
                self.check(got)

    def test_dissector(self):
        require("tshark")
        port = free_port()
        with tempfile.TemporaryDirectory() as got, \
                Program(port, "storescp", "--ignore", port), \
                Node(self.archive, "--destination", self.destination(port)) as node:
            with Capture(node, pathlib.Path(got) / "capture.pcapng", port) as capture:
                done = self.movescu(node, "DEST")
            self.assertIn("Final Move Response (Success)", done.text)
            self.assertEqual(capture.fields("frame.number", "dicom and _ws.malformed"), [])
            seen = "\n".join(capture.fields("_ws.col.Info"))
            for wanted in ("C-MOVE-RQ", "C-MOVE-RSP", "C-STORE-RQ", "C-STORE-RSP", "A-ASSOCIATE",
                           "A-RELEASE"):
                self.assertIn(wanted, seen)
            self.assertIsNotNone(re.search(r"C-STORE-RQ ID=8\b", seen), seen)


if __name__ == "__main__":
    unittest.main()
