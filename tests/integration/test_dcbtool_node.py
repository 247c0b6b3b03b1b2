# SPDX-License-Identifier: Apache-2.0
"""dcbtool status, query and reindex: beside a running node, and without one."""

import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import unittest

from support.golden import OWN
from support.http_node import HttpNode
from support.make_dcbs import repeat_series
from support.node import DCBTOOL, Node

PHANTOM = OWN / "ct_phantom_small" / "series.dcbs"
TINY = OWN / "tiny3" / "series.dcbs"
TOKEN = "0123456789abcdef-test-token"


def tool(*words, **environment):
    """(exit status, standard output, standard error)"""
    done = subprocess.run([str(DCBTOOL), *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=120, check=False,
                          env={**os.environ, **environment})
    assert b"Sanitizer" not in done.stderr and b"runtime error" not in done.stderr, done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Archive(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tool-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.archive = self.folder / "archive"
        self.archive.mkdir()
        shutil.copy(PHANTOM, self.archive / "ct.dcbs")
        repeat_series(self.archive / "other.dcbs", PHANTOM, 5, "1.2.3.4", edit=self.rename)

    @staticmethod
    def rename(tags):
        tags["00100010"] = {"vr": "PN", "shared": True, "Value": {"Alphabetic": "M\u00fcller^J\u00f6rg"}}
        tags["00100020"] = {"vr": "LO", "shared": True, "Value": "OTHER \x1b[31m"}
        tags["00080020"] = {"vr": "DA", "shared": True, "Value": "20200229"}

    def query(self, *words):
        status, out, said = tool("query", "--archive", self.archive, "--json", *words)
        self.assertEqual((status, said), (0, ""))
        return json.loads(out)


class Status(Archive):
    def test_a_table_and_json(self):
        with HttpNode(self.archive) as node:
            status, out, said = tool("status", node.url)
            self.assertEqual((status, said), (0, ""))
            self.assertIn(f"port {node.port}", out.splitlines()[0])
            self.assertTrue(out.splitlines()[0].endswith(": ready"))
            self.assertRegex(out, rf"archive .* 2 series, {node.ninstances} instances")
            status, out, _ = tool("status", node.url + "/", "--json")
            self.assertEqual(status, 0)
            self.assertEqual(json.loads(out)["port"], node.port)
            self.assertEqual(tool("status", node.url, "-q"), (0, "", ""))

    def test_token(self):
        token = self.folder / "token"
        token.write_text(TOKEN + "\n")
        with HttpNode(self.archive, "--http-token-file", token) as node:
            status, out, said = tool("status", node.url)
            self.assertEqual((status, out), (1, ""))
            self.assertIn("--token-file", said)
            self.assertEqual(tool("status", node.url, "--token-file", token)[0], 0)
            self.assertEqual(tool("status", node.url, DCBSCP_HTTP_TOKEN_FILE=str(token))[0], 0)
            self.assertEqual(tool("status", node.url, "--quiet"), (0, "", ""))
            self.assertEqual(tool("reindex", node.url)[0], 1)
            self.assertEqual(tool("reindex", node.url, "--token-file", token)[0], 0)

    def test_what_is_wrong(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            for answer, said in ((b"", "no node's HTTP port"), (b"SSH-2.0-x\r\n", "no node's"),
                                 (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "cut off")):
                def serve(answer=answer):
                    peer, _ = silent.accept()
                    with peer:
                        peer.recv(4096)
                        peer.sendall(answer)
                thread = threading.Thread(target=serve)
                thread.start()
                status, _, text = tool("status", f"http://127.0.0.1:{port}")
                thread.join()
                self.assertEqual(status, 1)
                self.assertIn(said, text)
        status, _, said = tool("status", f"http://127.0.0.1:{port}/")
        self.assertEqual(status, 1)
        self.assertIn("http_port", said)
        for url in ("127.0.0.1:80", "ftp://x", "http://", "http://x:123456", "http://x/y",
                    "http://[::1", "http://x:8x"):
            status, _, said = tool("status", url)
            self.assertEqual((status, said.count("\n")), (2, 1), url)
            self.assertIn("expected an address", said)
        self.assertEqual(tool("status", "--what")[0], 2)
        self.assertEqual(tool("status", "--token-file", "/nowhere")[0], 1)


class Query(Archive):
    def test_beside_a_running_node_and_after_it(self):
        state = self.folder / "state"
        with Node(self.archive, "--state", state):
            status, out, said = tool("query", "--state", state, "--json")
            self.assertEqual((status, said, len(json.loads(out))), (0, "", 2))
        status, out, said = tool("query", "--state", state, "--json")
        self.assertEqual((status, said, len(json.loads(out))), (0, "", 2))

    def test_keys_and_levels(self):
        with Node(self.archive, "--state", self.archive / ".dcbscp"):
            pass
        everything = self.query()
        self.assertEqual(len(everything), 2)
        one = next(s for s in everything if s["study_instance_uid"] == "1.2.3.4.1")
        self.assertEqual((one["patient_name"], one["date"], one["instances"]),
                         ("M\u00fcller^J\u00f6rg", "20200229", "5"))
        other = next(s for s in everything if s is not one)
        for words in (["--name", "muller*"], ["--name", "M\u00dcLLER^JORG"],
                      ["--date", "20200229"], ["--date", "20200101-20201231"], ["--date", "-20200301"],
                      ["--study", "1.2.3.4.1"], ["--patient", "OTHER*"],
                      ["--name", "mu*", "--modality", "CT", "--date", "2020*"[:4] + "0229"]):
            self.assertEqual(self.query(*words), [one], words)
        self.assertEqual(self.query("--accession", other["accession_number"] + "x"), [])
        self.assertEqual(self.query("--modality", "MR"), [])
        self.assertEqual([s["series_instance_uid"] for s in
                          self.query("--level", "series", "--study", "1.2.3.4.1")], ["1.2.3.4.2"])
        self.assertEqual([s["instances"] for s in
                          self.query("--level", "series", "--series", "1.2.3.4.2")], ["5"])
        patients = self.query("--level", "patient", "--name", "m*")
        self.assertEqual([(p["studies"], p["instances"]) for p in patients], [("1", "5")])
        status, out, _ = tool("query", "--archive", self.archive, "--files", "--study", "1.2.3.4.1")
        self.assertEqual((status, out), (0, f"{self.archive}/other.dcbs\n"))

    def test_a_table_for_people(self):
        with Node(self.archive, "--state", self.archive / ".dcbscp"):
            pass
        status, out, said = tool("query", "--archive", self.archive, "--name", "muller*")
        self.assertEqual((status, said), (0, ""))
        titles, row = out.splitlines()
        for title, text in (("DATE", "20200229"), ("NAME", "M\u00fcller^J\u00f6rg"),
                            ("INSTANCES", "5"), ("STUDY", "1.2.3.4.1")):
            at = titles.index(title)
            self.assertEqual(row[at:at + len(text)], text)
        self.assertNotIn("\x1b", out)
        # The same by the configuration file.
        conf = self.folder / "dcbscp.yaml"
        conf.write_text(f"archives: [{self.archive}]\n")
        self.assertEqual(tool("query", "-c", conf, "--name", "muller*"), (0, out, ""))

    def test_what_is_wrong(self):
        state = self.folder / "none"
        for words, code, said in (
                ([], 2, "no archive given"),
                (["--state", state], 1, "cannot read the index"),
                (["--archive", self.archive], 1, "cannot read the index"),
                (["--state", state, "--level", "image"], 2, "patient, study or series"),
                (["--state", state, "--files"], 2, "--study UID or --series UID"),
                (["--state", state, "--series", "1.2"], 2, "--level series"),
                (["--state", state, "--level", "patient", "--date", "2020"], 2, "--name and"),
                (["--state", state, "extra"], 2, "unexpected argument"),
                (["--state", state, "--nam"[:5] + "x", "y"], 2, "unknown")):
            status, out, text = tool("query", *words)
            self.assertEqual((status, out), (code, ""), words)
            self.assertIn(said, text)
            self.assertEqual(text.count("\n"), 1)
        with Node(self.archive, "--state", self.archive / ".dcbscp"):
            pass
        status, _, said = tool("query", "--archive", self.archive, "--date", "yesterday")
        self.assertEqual(status, 1)
        self.assertIn("expected a date", said)
        database = sqlite3.connect(self.archive / ".dcbscp" / "index.sqlite")
        database.execute("PRAGMA user_version = 1")
        database.close()
        status, _, said = tool("query", "--archive", self.archive)
        self.assertEqual(status, 1)
        self.assertIn("has version 1", said)


class Reindex(Archive):
    def test_without_a_node(self):
        index = self.archive / ".dcbscp" / "index.sqlite"
        self.assertEqual(tool("reindex", "--archive", self.archive)[0], 0)
        before = self.query()
        self.assertEqual(len(before), 2)
        # An index that lies: what it says is gone after.
        database = sqlite3.connect(index)
        database.execute("UPDATE study SET ninstances = 77")
        database.commit()
        database.close()
        self.assertEqual({s["instances"] for s in self.query()}, {"77"})
        (self.archive / "bad.dcbs").write_bytes(b"DCMCUBES, but no more")
        status, out, said = tool("reindex", "--archive", self.archive)
        self.assertEqual(status, 0)
        self.assertRegex(out, r"2 series, \d+ instances in 2 files; 1 files that cannot be read")
        self.assertIn("bad.dcbs", said)
        self.assertEqual(self.query(), before)
        # A damaged one, too.
        index.write_bytes(b"no database at all" * 100)
        self.assertEqual(tool("query", "--archive", self.archive)[0], 1)
        self.assertEqual(tool("reindex", "--archive", self.archive)[0], 0)
        self.assertEqual(self.query(), before)
        # A node takes it as it is.
        (self.archive / "bad.dcbs").unlink()
        with Node(self.archive, "--state", self.archive / ".dcbscp") as node:
            self.assertIn("read=0", node.wait_for_log("scan.finished files=2"))

    def test_beside_a_node(self):
        state = self.folder / "state"
        with HttpNode(self.archive, "--state", state) as node:
            status, _, said = tool("reindex", "--archive", self.archive, "--state", state)
            self.assertEqual(status, 1)
            self.assertIn("dcbtool reindex URL", said)
            start = len(node.log)
            status, out, said = tool("reindex", node.url)
            self.assertEqual((status, said), (0, ""))
            self.assertIn("reads all files again", out)
            self.assertIn("read=2", node.wait_for_log("scan.finished", start=start))
            self.assertEqual(node.json("/status.json")["archive"]["instances"], node.ninstances)

    def test_what_is_wrong(self):
        for words, code, said in ((["--archive", "/nowhere"], 1, "/nowhere"), ([], 2, "no archive"),
                                  (["--arhive", "x"], 2, "did you mean"),
                                  (["http://127.0.0.1:1/", "x"], 2, "one URL"),
                                  (["http://127.0.0.1:1/"], 1, "no node answers")):
            status, out, text = tool("reindex", *words)
            self.assertEqual((status, out), (code, ""), words)
            self.assertIn(said, text)


if __name__ == "__main__":
    unittest.main()
