# SPDX-License-Identifier: Apache-2.0
"""Files whose slices name several series, studies or patients: DiCube stacks whatever lies in a
folder (dicom_status non_uniform_series_uid). No slice may be found under another's name."""

import pathlib
import tempfile
import unittest

import pydicom

from support.golden import OWN
from support.make_dcbs import read_dcbs, write_dcbs
from support.node import Node, require

TINY = OWN / "tiny3" / "series.dcbs"


def shared(vr, value):
    return {"vr": vr, "shared": True, "Value": [value]}


def slices(vr, *values):
    return {"vr": vr, "shared": False, "Value": list(values)}


class MixedFiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        require("zstd", "findscu", "getscu")
        cls.folder = tempfile.TemporaryDirectory(prefix="archive-")
        archive = pathlib.Path(cls.folder.name)
        for root, changed in {
                "1.9.1": {"0020000E": slices("UI", "1.9.1.2", "1.9.1.22", "1.9.1.2")},
                "1.9.2": {"0020000D": slices("UI", "1.9.2.1", "1.9.2.11", "1.9.2.1"),
                          "0020000E": slices("UI", "1.9.2.2", "1.9.2.22", "1.9.2.2")},
                "1.9.3": {"00100020": slices("LO", "A", "B", "A")}}.items():
            sections, meta, frames = read_dcbs(TINY)
            meta["_merged_data"].update({
                "0020000D": shared("UI", f"{root}.1"), "0020000E": shared("UI", f"{root}.2"),
                "00080018": slices("UI", *(f"{root}.3.{i}" for i in (1, 2, 3))),
                "00100020": shared("LO", f"ID{root}")} | changed)
            write_dcbs(archive / f"{root}.dcbs", sections, meta, frames)
        cls.node = Node(archive)
        cls.node.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__(None, None, None)
        cls.folder.cleanup()

    def got(self, *keys, model="-S"):
        """SOPInstanceUID and the given identity of what getscu stores, as the instances say."""
        with tempfile.TemporaryDirectory(prefix="got-") as folder:
            self.node.getscu(folder, *keys, model=model)
            return sorted(((str(d.SOPInstanceUID), str(d.PatientID), str(d.StudyInstanceUID),
                            str(d.SeriesInstanceUID))
                           for d in map(pydicom.dcmread, pathlib.Path(folder).iterdir())))

    def images(self, study, series):
        return sorted((str(a.SOPInstanceUID), str(a.PatientID)) for a in self.node.findscu(
            "QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={study}", f"SeriesInstanceUID={series}",
            "SOPInstanceUID", "PatientID"))

    def test_two_series(self):
        answers = self.node.findscu("QueryRetrieveLevel=SERIES", "StudyInstanceUID=1.9.1.1",
                                    "SeriesInstanceUID", "NumberOfSeriesRelatedInstances")
        self.assertEqual(sorted((str(a.SeriesInstanceUID), int(a.NumberOfSeriesRelatedInstances))
                                for a in answers), [("1.9.1.2", 2), ("1.9.1.22", 1)])
        self.assertEqual(self.images("1.9.1.1", "1.9.1.22"), [("1.9.1.3.2", "ID1.9.1")])
        self.assertEqual(self.got("QueryRetrieveLevel=SERIES", "StudyInstanceUID=1.9.1.1",
                                  "SeriesInstanceUID=1.9.1.22"),
                         [("1.9.1.3.2", "ID1.9.1", "1.9.1.1", "1.9.1.22")])
        self.assertEqual(len(self.got("QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.9.1.1")), 3)

    def test_two_studies(self):
        for study, count in (("1.9.2.1", 2), ("1.9.2.11", 1)):
            answer, = self.node.findscu("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}",
                                        "NumberOfStudyRelatedInstances")
            self.assertEqual(int(answer.NumberOfStudyRelatedInstances), count)
            got = self.got("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}")
            self.assertEqual([one[2] for one in got], [study] * count)

    def test_two_patients(self):
        answers = self.node.findscu("QueryRetrieveLevel=PATIENT", "PatientID",
                                    "NumberOfPatientRelatedInstances", model="-P")
        counts = {str(a.PatientID): int(a.NumberOfPatientRelatedInstances) for a in answers}
        self.assertEqual((counts["A"], counts["B"]), (2, 1))
        self.assertEqual(self.images("1.9.3.1", "1.9.3.2"),
                         [("1.9.3.3.1", "A"), ("1.9.3.3.2", "B"), ("1.9.3.3.3", "A")])
        for patient, uids in (("A", ["1.9.3.3.1", "1.9.3.3.3"]), ("B", ["1.9.3.3.2"])):
            got = self.got("QueryRetrieveLevel=PATIENT", f"PatientID={patient}", model="-P")
            self.assertEqual([one[:2] for one in got], [(uid, patient) for uid in uids])

    def test_the_operator_is_told(self):
        self.node.wait_for_log(r"node\.ready")
        told = [line for line in self.node.log if "file.mixed_series" in line]
        self.assertEqual(len(told), 3)
        self.assertTrue(all("series=2" in line for line in told))


if __name__ == "__main__":
    unittest.main()
