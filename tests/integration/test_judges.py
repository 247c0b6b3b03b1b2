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


if __name__ == "__main__":
    unittest.main()
