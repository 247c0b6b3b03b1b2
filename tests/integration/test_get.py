# SPDX-License-Identifier: Apache-2.0
"""C-GET on the wire: HTJ2K as stored, the best context for each instance, every final status, and
clients that cancel, refuse or vanish (PS3.4 C.4.3)."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import numpy
import pydicom

from support import compare, judges, studies
from support.make_dcbs import read_dcbs
from support.node import Node, failed_uids, require, responses, stock_environment
from support.studies import CT, MR, PHANTOM

STUDY = studies.GOOD
HTJ2K = "1.2.840.10008.1.2.4.201"
HTJ2K_ANY = "1.2.840.10008.1.2.4.203"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"


class Get(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        require("zstd")
        cls.folder = tempfile.TemporaryDirectory(prefix="archive-")
        archive = pathlib.Path(cls.folder.name)
        studies.write(archive)
        cls.sources = {str(s.SOPInstanceUID): s for s in map(
            pydicom.dcmread, (PHANTOM / "source").glob("*.dcm"))}
        cls.node = Node(archive, "--log-level", "debug")
        cls.node.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__(None, None, None)
        cls.folder.cleanup()

    def get(self, study, *options):
        """The client ends with 2 where the final status is not success: the tests look at that."""
        return self.node.client("get", "--level", "STUDY", "--key", f"0020000D={study}", *options,
                                check=False)

    def check_against_sources(self, folder, syntaxes):
        paths = sorted(pathlib.Path(folder).iterdir())
        self.assertEqual(len(paths), 8)
        for path in paths:
            served = judges.read(path)
            self.assertIn(served.file_meta.TransferSyntaxUID, syntaxes)
            samples = (judges.htj2k_samples(served)
                       if served.file_meta.TransferSyntaxUID in judges.HTJ2K
                       else compare.native_samples(served))
            source = self.sources[str(served.SOPInstanceUID)]
            self.assertEqual(compare.pixel_differences(source, served, samples, 0), [])
            self.assertEqual(served.PatientName, source.PatientName)
            self.assertEqual(served.ImagePositionPatient, source.ImagePositionPatient)

    def test_every_transfer_syntax(self):
        for proposed, got in ((HTJ2K, HTJ2K), (HTJ2K_ANY, HTJ2K_ANY), (EXPLICIT, EXPLICIT),
                              (IMPLICIT, IMPLICIT), (BIG_ENDIAN, BIG_ENDIAN), (DEFLATED, DEFLATED),
                              (f"{IMPLICIT},{EXPLICIT}", EXPLICIT),
                              (f"{EXPLICIT},{HTJ2K}", HTJ2K)):
            with self.subTest(proposed=proposed), tempfile.TemporaryDirectory() as folder:
                done = self.get(STUDY, "--syntax", proposed, "--out", folder)
                status, fields = responses(done.text)[-1]
                self.assertEqual((status, fields["completed"]), ("0000", "8"))
                self.check_against_sources(folder, {got})

    def test_separate_contexts_take_the_stored_form_first(self):
        with tempfile.TemporaryDirectory() as folder:
            self.get(STUDY, "--syntax", f"{IMPLICIT},{EXPLICIT},{HTJ2K}", "--separate",
                     "--out", folder)
            self.check_against_sources(folder, {HTJ2K})

    def test_small_and_odd_maximum_pdu(self):
        for pdu in (0, 4096, 4097, 16384, 1 << 20):
            with self.subTest(pdu=pdu), tempfile.TemporaryDirectory() as folder:
                self.get(STUDY, "--syntax", HTJ2K, "--max-pdu", pdu, "--out", folder)
                self.check_against_sources(folder, {HTJ2K})

    def test_no_role_item_is_served_by_default(self):
        self.assertEqual(responses(self.get(STUDY, "--no-role").text)[-1][0], "0000")

    def test_pending_responses_count_down(self):
        seen = responses(self.get(STUDY).text)
        pending = [fields for status, fields in seen if status == "FF00"]
        self.assertEqual(seen[-1][0], "0000")
        self.assertNotIn("remaining", seen[-1][1])
        remaining = [int(fields["remaining"]) for fields in pending]
        self.assertEqual(remaining, sorted(remaining, reverse=True))
        for fields in pending:
            self.assertEqual(sum(int(fields[k]) for k in (
                "remaining", "completed", "failed", "warning")), 8)

    def test_final_statuses(self):
        uid = studies.GOOD_UID
        all_refused = [word for i in range(1, 9) for word in ("--store-status", f"{i}:A900")]
        for what, study, options, status, counts, failed_list in (
                ("all succeed", STUDY, (), "0000", (8, 0, 0), []),
                ("none match", "1.2.3.99", (), "0000", (0, 0, 0), []),
                ("one refused", STUDY, ("--store-status", "2:A700"), "B000", (7, 1, 0),
                 [uid + "2"]),
                ("all refused", STUDY, all_refused, "A702", (0, 8, 0),
                 [uid + str(i) for i in range(1, 9)]),
                ("one undecodable", studies.PARTLY, ("--syntax", EXPLICIT), "B000", (7, 1, 0),
                 ["1.2.7.5.3.3"]),
                ("one warned", STUDY, ("--store-status", "3:B000"), "B000", (7, 0, 1), []),
                ("all undecodable", "1.2.7.4.1", ("--syntax", EXPLICIT), "A702", (0, 8, 0),
                 [f"1.2.7.4.3.{i}" for i in range(8)]),
                ("no context for one class", "1.2.7.2.1", ("--sop-class", CT), "B000", (3, 3, 0),
                 [f"1.2.7.2.3.{i}" for i in (1, 2, 3)]),
                ("no context at all", STUDY, ("--sop-class", MR), "A702", (0, 8, 0),
                 [uid + str(i) for i in range(1, 9)])):
            with self.subTest(what):
                done = self.get(study, *options)
                got, fields = responses(done.text)[-1]
                self.assertEqual(got, status, done.text[-800:])
                self.assertEqual(tuple(int(fields.get(k, 0)) for k in (
                    "completed", "failed", "warning")), counts)
                self.assertEqual(sorted(failed_uids(done.text)), sorted(failed_list))
                if status == "A702":
                    self.assertIn("comment", fields)

    def test_bad_identifiers(self):
        series = ("--key", f"0020000D={STUDY}")
        for what, options, status in (
                ("no unique key", ("--level", "STUDY"), "A900"),
                ("empty unique key", ("--level", "STUDY", "--key", "0020000D="), "A900"),
                ("wildcard", ("--level", "STUDY", "--key", "0020000D=1.2.*"), "A900"),
                ("series without study", ("--level", "SERIES", "--key", "0020000E=1.2"), "A900"),
                ("key below the level", ("--level", "STUDY", *series, "--key", "0020000E=1.2"),
                 "A900"),
                ("PATIENT in Study Root", ("--level", "PATIENT", "--key", "00100020=PID-0001"),
                 "A900"),
                ("PATIENT in Patient Root", ("--model", "patient", "--level", "PATIENT",
                                             "--key", "00100020=NOBODY"), "0000"),
                ("a list of UIDs", ("--level", "STUDY", "--key", f"0020000D={STUDY}\\1.2.7.2.1"),
                 "0000")):
            with self.subTest(what):
                done = self.node.client("get", *options, check=False)
                self.assertEqual(responses(done.text)[-1][0], status, done.text[-600:])

    def test_cancel_in_the_middle(self):
        done = self.get("1.2.7.1.1", "--cancel-after", 5)
        status, fields = responses(done.text)[-1]
        self.assertEqual(status, "FE00")
        completed = int(fields["completed"])
        self.assertGreaterEqual(completed, 5)
        self.assertLess(completed, 100)
        self.assertEqual(int(fields["remaining"]), 400 - completed)

    def test_cancel_before_the_first_and_after_the_last(self):
        done = self.get("1.2.7.1.1", "--cancel-after", 0)
        status, fields = responses(done.text)[-1]
        self.assertEqual(status, "FE00")
        self.assertLess(int(fields["completed"]), 100)
        self.assertEqual(int(fields["remaining"]) + int(fields["completed"]), 400)
        # Too late to mean anything; the association serves the next request.
        done = self.get(STUDY, "--late-cancel", "--repeat", 2)
        self.assertEqual([s for s, _ in responses(done.text) if s != "FF00"], ["0000", "0000"])
        self.assertIn("released", done.text)

    def test_a_client_that_does_not_answer(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "c.yaml"
            config.write_text("io_timeout_s: 1\n")
            shutil.copy(PHANTOM / "series.dcbs", folder)
            with Node(folder, "-c", config) as node:
                done = node.client("get", "--level", "STUDY", "--key", f"0020000D={STUDY}",
                                   "--silent-at", 3, check=False)
                self.assertIn("aborted", done.text)
                node.wait_for_log(r'association\.aborted .*reason="no C-STORE-RSP within 1 s"')

    def test_a_client_that_vanishes_costs_only_itself(self):
        for after in (0, 1, 137):
            start = len(self.node.log)
            self.get("1.2.7.1.1", "--drop-after", after)
            self.node.wait_for_log(r"association\.aborted", start=start)
        self.assertEqual(responses(self.get(STUDY).text)[-1][0], "0000")

    def test_log_has_no_patient_data(self):
        quiet = [line for line in self.node.log if " debug " not in line]
        text = "\n".join(quiet)
        self.assertIn("operation=get", text)
        for secret in ("Yamada", "PID-0001", "19600229", "山田"):
            self.assertNotIn(secret, text)


class Independent(unittest.TestCase):
    """dcmjs-dimse: a DIMSE implementation that proposes HTJ2K and shares no code with ours."""

    @classmethod
    def setUpClass(cls):
        cls.client = judges.htj2k_client()

    def test_htj2k_as_stored(self):
        with tempfile.TemporaryDirectory() as archive, tempfile.TemporaryDirectory() as folder:
            shutil.copy(PHANTOM / "series.dcbs", archive)
            sources = {str(s.SOPInstanceUID): s for s in map(
                pydicom.dcmread, (PHANTOM / "source").glob("*.dcm"))}
            with Node(archive) as node:
                done = subprocess.run(
                    ["node", str(self.client / "get.js"), *node.address(), node.ae_title, STUDY,
                     folder, CT, HTJ2K], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    text=True, timeout=120, env=stock_environment(), check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            outcome = json.loads(done.stdout)
            self.assertEqual((outcome["status"], outcome["completed"], outcome["failed"]),
                             (0, 8, 0))
            self.assertEqual({r["syntax"] for r in outcome["received"]}, {HTJ2K})
            frames = read_dcbs(PHANTOM / "series.dcbs")[2]
            self.assertTrue(outcome["received"])
            for i, received in enumerate(outcome["received"]):
                served = pydicom.dcmread(pathlib.Path(folder) / received["name"])
                samples = judges.htj2k_samples(served)
                source = sources[str(served.SOPInstanceUID)]
                # The decoder of web viewers gives the same as opj_decompress.
                self.assertTrue(numpy.array_equal(
                    samples, judges.openjph_samples(self.client, served)))
                self.assertTrue(numpy.array_equal(
                    compare.real_values(served, samples),
                    compare.real_values(source, source.pixel_array)))
                self.assertIn(frames[i], served.PixelData, "the codestream is not as stored")


if __name__ == "__main__":
    unittest.main()
