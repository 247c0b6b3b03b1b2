# SPDX-License-Identifier: Apache-2.0
"""A file without dicommeta, as DiCube writes it from NIfTI: served with an identity that is derived
from its content, and told to the operator once."""

import pathlib
import tempfile
import unittest

import numpy
import pydicom

from support import compare, judges
from support.golden import OWN
from support.make_dcbs import read_dcbs, write_dcbs
from support.node import DCBTOOL, Node, require, run

PHANTOM = OWN / "ct_phantom_small"
SPACE = (b'{"shape": [128, 128, 8], "origin": [-10.0, -20.0, 5.0], "spacing": [0.5, 0.75, 2.5], '
         b'"x_orientation": [1.0, 0.0, 0.0], "y_orientation": [0.0, 1.0, 0.0], '
         b'"z_orientation": [0.0, 0.0, 1.0]}')


def make_bare(path):
    sections, _, frames = read_dcbs(PHANTOM / "series.dcbs")
    sections["space"] = SPACE
    write_dcbs(path, sections, None, frames)


class BareSeries(unittest.TestCase):
    def setUp(self):
        require("zstd", "findscu", "getscu")
        folder = tempfile.TemporaryDirectory(prefix="archive-")
        self.addCleanup(folder.cleanup)
        self.archive = pathlib.Path(folder.name)
        make_bare(self.archive / "bare.dcbs")
        self.sources = sorted(map(pydicom.dcmread, (PHANTOM / "source").glob("*.dcm")),
                              key=lambda s: float(s.ImagePositionPatient[2]))

    def retrieve(self, folder):
        with Node(self.archive) as node:
            told = node.wait_for_log(r"file\.no_metadata path=\S+bare\.dcbs")
            self.assertEqual(len([line for line in node.log if line == told]), 1)
            series, = node.findscu("QueryRetrieveLevel=STUDY", "StudyInstanceUID",
                                   "ModalitiesInStudy", "NumberOfStudyRelatedInstances")
            self.assertEqual(series.ModalitiesInStudy, "OT")
            self.assertEqual(int(series.NumberOfStudyRelatedInstances), 8)
            node.getscu(folder, "QueryRetrieveLevel=STUDY",
                        f"StudyInstanceUID={series.StudyInstanceUID}")
        received = [judges.read(path) for path in pathlib.Path(folder).iterdir()]
        return sorted(received, key=lambda r: int(r.InstanceNumber))

    def test_identity_geometry_and_pixels(self):
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as again:
            received = self.retrieve(folder)
            self.assertEqual([r.SOPInstanceUID for r in received],
                             [r.SOPInstanceUID for r in self.retrieve(again)])
            for path in pathlib.Path(folder).iterdir():
                self.assertEqual(list(judges.dciodvfy_errors(path).elements()), [])
        self.assertEqual(len({r.SOPInstanceUID for r in received}), 8)
        for i, (served, source) in enumerate(zip(received, self.sources)):
            self.assertEqual(served.SOPClassUID, "1.2.840.10008.5.1.4.1.1.7")
            self.assertEqual(served.Modality, "OT")
            self.assertRegex(served.SOPInstanceUID, r"^2\.25\.\d+$")
            self.assertEqual((served.Rows, served.Columns), (128, 128))
            self.assertEqual([float(v) for v in served.PixelSpacing], [0.75, 0.5])
            self.assertEqual([float(v) for v in served.ImagePositionPatient],
                             [-10, -20, 5 + 2.5 * i])
            self.assertTrue(numpy.array_equal(
                compare.real_values(served, compare.native_samples(served)),
                compare.real_values(source, source.pixel_array)))

    def test_dcbtool_tells_that_there_is_no_metadata(self):
        done = run(DCBTOOL, "info", self.archive / "bare.dcbs")
        self.assertIn("dicommeta", done.text)
        self.assertIn("absent", done.text)


if __name__ == "__main__":
    unittest.main()
