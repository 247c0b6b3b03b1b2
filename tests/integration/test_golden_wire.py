# SPDX-License-Identifier: Apache-2.0
"""The golden series through the wire: found by Debian's findscu, retrieved by its getscu."""

import contextlib
import json
import pathlib
import shutil
import tempfile
import unittest

import pydicom

from support import compare, judges
from support.golden import goldens
from support.make_dcbs import unattributable_tags
from support.node import DCBTOOL, Node, require, run
from test_golden_extract import loss


@contextlib.contextmanager
def serving(golden):
    """A node over an archive of one series: some goldens share their UIDs."""
    with tempfile.TemporaryDirectory(prefix="archive-") as folder:
        shutil.copy(golden.path, pathlib.Path(folder) / "series.dcbs")
        with Node(folder) as node:
            yield node


class GoldenWire(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        require("findscu", "getscu")
        cls.goldens = goldens()

    def check_retrieved(self, golden, folder):
        info = json.loads(run(DCBTOOL, "info", "--json", golden.path).text)
        sources = [pydicom.dcmread(path, force=True) for path in golden.sources.values()]
        by_uid = {str(source.SOPInstanceUID): source for source in sources}
        received = [judges.read(path) for path in sorted(pathlib.Path(folder).iterdir())]
        self.assertEqual(len(received), info["frames"])
        self.assertEqual(len({r.SOPInstanceUID for r in received}), info["frames"])
        for served in received:
            source = by_uid.get(str(served.SOPInstanceUID))
            if source is None:
                continue
            wrong = compare.differences(source, served, sources,
                                            unattributable_tags(golden.path))
            wrong += compare.pixel_differences(source, served, compare.native_samples(served),
                                               loss(info))
            self.assertEqual(wrong, [], golden.name)

    def test_find_and_get_by_series(self):
        for golden in self.goldens:
            source = pydicom.dcmread(next(iter(golden.sources.values())), force=True)
            with self.subTest(golden=golden.name), serving(golden) as node, \
                    tempfile.TemporaryDirectory(prefix="got-") as folder:
                series, = node.findscu(
                    "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={source.StudyInstanceUID}",
                    "SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances")
                self.assertEqual(series.SeriesInstanceUID, source.SeriesInstanceUID)
                self.assertEqual(series.get("Modality", ""), source.get("Modality", ""))
                node.getscu(folder, "QueryRetrieveLevel=SERIES",
                            f"StudyInstanceUID={source.StudyInstanceUID}",
                            f"SeriesInstanceUID={source.SeriesInstanceUID}")
                self.assertEqual(int(series.NumberOfSeriesRelatedInstances),
                                 len(list(pathlib.Path(folder).iterdir())))
                self.check_retrieved(golden, folder)

    def test_image_level_lists_every_instance(self):
        for golden in self.goldens:
            source = pydicom.dcmread(next(iter(golden.sources.values())), force=True)
            with self.subTest(golden=golden.name), serving(golden) as node:
                answers = node.findscu(
                    "QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={source.StudyInstanceUID}",
                    f"SeriesInstanceUID={source.SeriesInstanceUID}", "SOPInstanceUID",
                    "SOPClassUID", "InstanceNumber", "Rows", "Columns", "ImagePositionPatient")
            found = {str(a.SOPInstanceUID): a for a in answers}
            self.assertEqual(len(found), len(answers), "a SOP Instance UID came twice")
            for uid, path in golden.sources.items():
                source = pydicom.dcmread(path, force=True)
                answer = found[uid]
                self.assertEqual(answer.SOPClassUID, source.SOPClassUID)
                self.assertEqual(answer.Rows, source.Rows)
                self.assertEqual(answer.Columns, source.Columns)
                for tag in ("InstanceNumber", "ImagePositionPatient"):
                    if source.get(tag) not in (None, ""):
                        self.assertEqual(answer.get(tag), source.get(tag), golden.name)

    def test_what_arrives_is_as_valid_as_the_source(self):
        require("dciodvfy")
        for golden in self.goldens:
            uid, path = next(iter(golden.sources.items()))
            source = pydicom.dcmread(path, force=True)
            with self.subTest(golden=golden.name), serving(golden) as node, \
                    tempfile.TemporaryDirectory(prefix="got-") as folder:
                node.getscu(folder, "QueryRetrieveLevel=IMAGE",
                            f"StudyInstanceUID={source.StudyInstanceUID}",
                            f"SeriesInstanceUID={source.SeriesInstanceUID}",
                            f"SOPInstanceUID={uid}")
                received, = pathlib.Path(folder).iterdir()
                new = judges.dciodvfy_errors(received) - judges.dciodvfy_errors(path)
                self.assertEqual(list(new.elements()), [], golden.name)


if __name__ == "__main__":
    unittest.main()
