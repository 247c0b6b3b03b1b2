# SPDX-License-Identifier: Apache-2.0
"""Retrievals by requesters, and to destinations, that share no code with ours: what arrives is held
bit for bit against what was taken in, and by dciodvfy and dcentvfy."""

import collections
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy
import pydicom

from support.golden import OWN
from support.judges import dcentvfy_errors, dciodvfy_errors
from support.node import DCBTOOL, Node, require, run
from support.orthanc import Orthanc, free_port
from test_transcode import decoded

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, J2K = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"
SOURCE = OWN / "ct_phantom_small" / "source"


class Judges(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sources = {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID): p
                       for p in sorted(SOURCE.glob("*.dcm"))}
        cls.study = str(pydicom.dcmread(next(iter(cls.sources.values()))).StudyInstanceUID)
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="judges-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        run(DCBTOOL, "pack", SOURCE, "-o", cls.folder / "archive")

    def setUp(self):
        self.out = pathlib.Path(tempfile.mkdtemp(dir=self.folder))

    def node(self, *options):
        return Node(self.folder / "archive", *options)

    def check(self, paths, only_pixels=False):
        """All instances, each once; elements and pixels as in the source."""
        got = {str(pydicom.dcmread(p, stop_before_pixels=True, force=True).SOPInstanceUID): p
               for p in paths}
        self.assertEqual(len(got), len(paths))
        self.assertEqual(got.keys(), self.sources.keys())
        for uid, path in got.items():
            source, served = pydicom.dcmread(self.sources[uid]), pydicom.dcmread(path)
            numpy.testing.assert_array_equal(source.pixel_array.astype(int),
                                             decoded(path, self.out)[0, ..., 0])
            for element in source:
                if not only_pixels and element.tag != 0x7FE00010 and not element.tag.is_private:
                    self.assertEqual(element, served[element.tag])
            self.assertEqual(dciodvfy_errors(path) - dciodvfy_errors(self.sources[uid]),
                             collections.Counter())
        self.assertEqual(dcentvfy_errors(paths) - dcentvfy_errors(self.sources.values()),
                         collections.Counter())

    def test_odil(self):
        script = pathlib.Path(__file__).parent / "support" / "odil_get.py"
        if subprocess.run([sys.executable, "-c", "import odil"], stderr=subprocess.DEVNULL,
                          check=False).returncode != 0:
            self.skipTest("python3-odil is not installed")
        with self.node() as node:
            for syntax in (EXPLICIT, J2K):
                with self.subTest(syntax=syntax):
                    out = self.out / syntax
                    out.mkdir()
                    done = run(sys.executable, "-B", script, *node.address(), node.ae_title,
                               self.study, out, CT, syntax)
                    self.assertEqual(done.text.strip(), str(len(self.sources)))
                    self.check(sorted(out.glob("*.dcm")))

    def test_gdcmscu(self):
        """Neither its exit status nor what it prints is asked: GDCM 3.0.21 aborts after every
        release, whoever the peer."""
        require("gdcmscu")
        port = free_port()
        with self.node("--destination",
                       f"{{ae_title: GDCM, host: 127.0.0.1, port: {port}}}") as node:
            words = ("--studyroot", "--study", "--call", node.ae_title, "--aetitle", "GDCM")
            run("gdcmscu", "--find", *words, "--key", f"20,d={self.study}",
                "--key", "10,20=", *node.address(), check=False)
            node.wait_for_log("operation=find .*status=0000 .*matches=1 ")
            run("gdcmscu", "--move", *words, "--port-scp", port, "--key", f"20,d={self.study}",
                "-o", self.out, *node.address(), check=False)
            node.wait_for_log("operation=move .*status=0000 .*completed=8 failed=0")
            arrived = [p for p in self.out.rglob("*") if p.is_file()]
            self.check(arrived)

    def test_orthanc_as_requester(self):
        port = free_port()
        with self.node("--destination",
                       f"{{ae_title: {Orthanc.AE_TITLE}, host: 127.0.0.1, port: {port}, "
                       "only_self: true}") as node:
            modalities = {"node": (node.ae_title, node.port)}
            with Orthanc(modalities, dicom_port=port) as orthanc:
                query = orthanc.rest("modalities/node/query", {
                    "Level": "Study", "Query": {"StudyInstanceUID": self.study}})
                answers = orthanc.rest(f"queries/{query['ID']}/answers")
                self.assertEqual(len(answers), 1)
                orthanc.rest(f"queries/{query['ID']}/retrieve",
                             {"TargetAet": Orthanc.AE_TITLE, "Synchronous": True})
                self.check_orthanc(orthanc)

    def test_orthanc_as_destination(self):
        require("movescu")
        with Orthanc() as orthanc, self.node(
                "--destination", f"{{ae_title: {Orthanc.AE_TITLE}, host: 127.0.0.1, "
                f"port: {orthanc.dicom_port}, associations: 2}}") as node:
            run("movescu", "-S", "-aec", node.ae_title, "-aem", Orthanc.AE_TITLE, "-k",
                "0008,0052=STUDY", "-k", f"0020,000d={self.study}", *node.address())
            self.check_orthanc(orthanc)

    def check_orthanc(self, orthanc):
        """What it holds, its view of the attributes, and the pixels that it decodes itself."""
        [study] = orthanc.rest("studies")
        details = orthanc.rest(f"studies/{study}")
        source = pydicom.dcmread(next(iter(self.sources.values())))
        self.assertEqual(details["MainDicomTags"]["StudyInstanceUID"], self.study)
        self.assertEqual(details["PatientMainDicomTags"]["PatientID"], source.PatientID)
        instances = orthanc.rest("instances")
        self.assertEqual(len(instances), len(self.sources))
        paths = []
        for i, instance in enumerate(instances):
            paths.append(self.out / f"{i}.dcm")
            paths[-1].write_bytes(orthanc.rest_bytes(f"instances/{instance}/file"))
            served = pydicom.dcmread(paths[-1])
            uid = str(served.SOPInstanceUID)
            tags = orthanc.rest(f"instances/{instance}/tags?simplify")
            self.assertEqual((tags["SOPInstanceUID"], tags["Rows"], tags["Columns"]),
                             (uid, str(served.Rows), str(served.Columns)))
            expected = pydicom.dcmread(self.sources[uid])
            raw = numpy.frombuffer(orthanc.rest_bytes(f"instances/{instance}/frames/0/raw"),
                                   expected.pixel_array.dtype)
            numpy.testing.assert_array_equal(expected.pixel_array.ravel(),
                                             raw[:expected.pixel_array.size])
        self.check(paths)


if __name__ == "__main__":
    unittest.main()
