# SPDX-License-Identifier: Apache-2.0
"""C-FIND by Debian's findscu: levels, matching, character sets, and the status of every kind of
bad identifier (PS3.4 C.4.1)."""

import pathlib
import re
import shutil
import tempfile
import unittest

import pydicom

from support.golden import OWN, SHARED, goldens
from support.make_dcbs import repeat_series
from support.node import Node, require, run

TINY = OWN / "tiny3" / "series.dcbs"
PHANTOM = OWN / "ct_phantom_small" / "series.dcbs"


def set_tags(**values):
    """An edit for repeat_series: shared values by keyword."""
    words = {"name": ("00100010", "PN"), "id": ("00100020", "LO"), "date": ("00080020", "DA"),
             "time": ("00080030", "TM"), "accession": ("00080050", "SH"),
             "modality": ("00080060", "CS"), "description": ("00081030", "LO"),
             "charset": ("00080005", "CS")}

    def edit(tags):
        for word, value in values.items():
            tag, vr = words[word]
            tags[tag] = {"vr": vr, "shared": True,
                         "Value": [{"Alphabetic": value} if vr == "PN" else value]}
    return edit


class Find(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        require("findscu", "zstd")
        cls.folder = tempfile.TemporaryDirectory(prefix="archive-")
        archive = pathlib.Path(cls.folder.name)
        people = (
            ("1.2.9.1", dict(name="Müller^Jörg", id="P1", date="20240105", time="081500",
                             accession="A1", modality="CT", description="Thorax")),
            ("1.2.9.2", dict(name="MULLER^ANNA", id="P2", date="20240210", time="120000",
                             accession="A2", modality="MR", description="Schädel")),
            ("1.2.9.3", dict(name="Smith^John", id="P3", date="20240301", time="235900",
                             accession="A3", modality="CT", description="Abdomen")),
            ("1.2.9.4", dict(name="Smith^Johanna", id="P4", date="20250101", time="000000",
                             accession="A4", modality="US", description="")),
        )
        for root, values in people:
            repeat_series(archive / f"{root}.dcbs", TINY, 3, root, set_tags(**values))
        cls.node = Node(archive)
        cls.node.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__(None, None, None)
        cls.folder.cleanup()

    def studies(self, *keys, model="-S", level="STUDY"):
        answers = self.node.findscu(f"QueryRetrieveLevel={level}", "StudyInstanceUID",
                                    *keys, model=model)
        return sorted(str(a.StudyInstanceUID)[-3] for a in answers)

    def test_matching(self):
        for keys, expected in (
                (("PatientID=P2",), "2"),
                (("PatientID=P?",), "1234"),
                (("PatientID=p2",), ""),
                (("PatientName=muller*",), "12"),
                (("PatientName=MÜLLER^JÖRG", "SpecificCharacterSet=ISO_IR 192"), "1"),
                (("PatientName=smith^joh*",), "34"),
                (("PatientName=*^john",), "3"),
                (("PatientName=*",), "1234"),
                (("StudyDate=20240210",), "2"),
                (("StudyDate=20240201-20241231",), "23"),
                (("StudyDate=-20240210",), "12"),
                (("StudyDate=20240301-",), "34"),
                (("StudyTime=1200-",), "23"),
                (("AccessionNumber=A1",), "1"),
                (("AccessionNumber=B*",), ""),
                (("ModalitiesInStudy=CT",), "13"),
                (("StudyInstanceUID=1.2.9.1.1\\1.2.9.4.1",), "14"),
                (("StudyDescription=sch*", "PatientID"), ""),
                (("StudyDescription=Tho*",), "1"),
                (("StudyDescription=Thorax ",), "1"),
                (("StudyDate=20240101-20241231", "ModalitiesInStudy=CT", "PatientName=s*"), "3")):
            with self.subTest(keys=keys):
                self.assertEqual("".join(self.studies(*keys)), expected)

    def test_levels_and_computed_attributes(self):
        patients = self.node.findscu("QueryRetrieveLevel=PATIENT", "PatientID=P1", "PatientName",
                                     "NumberOfPatientRelatedStudies",
                                     "NumberOfPatientRelatedSeries",
                                     "NumberOfPatientRelatedInstances", model="-P")
        self.assertEqual(len(patients), 1)
        self.assertEqual(
            [int(patients[0][t].value) for t in ("NumberOfPatientRelatedStudies",
             "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances")], [1, 1, 3])
        study, = self.node.findscu(
            "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.9.3.1", "ModalitiesInStudy",
            "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "SOPClassesInStudy",
            "InstanceAvailability", "StudyDate", "PatientName", "PatientSex")
        self.assertEqual(study.ModalitiesInStudy, "CT")
        self.assertEqual((int(study.NumberOfStudyRelatedSeries),
                          int(study.NumberOfStudyRelatedInstances)), (1, 3))
        self.assertEqual(study.RetrieveAETitle, "DCBSCP")
        self.assertEqual(study.InstanceAvailability, "ONLINE")
        self.assertEqual(study.QueryRetrieveLevel, "STUDY")
        self.assertIn("PatientSex", study)
        series, = self.node.findscu("QueryRetrieveLevel=SERIES", "StudyInstanceUID=1.2.9.3.1",
                                    "SeriesInstanceUID", "NumberOfSeriesRelatedInstances")
        self.assertEqual(series.SeriesInstanceUID, "1.2.9.3.2")
        images = self.node.findscu(
            "QueryRetrieveLevel=IMAGE", "StudyInstanceUID=1.2.9.3.1",
            "SeriesInstanceUID=1.2.9.3.2", "SOPInstanceUID", "InstanceNumber=2",
            "ImagePositionPatient")
        self.assertEqual([i.SOPInstanceUID for i in images], ["1.2.9.3.3.2"])
        self.assertEqual(len(images[0].ImagePositionPatient), 3)

    def test_only_what_was_asked(self):
        answer, = self.node.findscu("QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.9.3.1",
                                    "StudyDate")
        self.assertEqual({e.keyword for e in answer},
                         {"StudyInstanceUID", "StudyDate", "QueryRetrieveLevel",
                          "RetrieveAETitle"})

    def test_text_outside_ascii_names_its_character_set(self):
        answer, = self.node.findscu("QueryRetrieveLevel=STUDY", "PatientID=P1", "PatientName",
                                    "StudyInstanceUID")
        self.assertEqual(answer.SpecificCharacterSet, "ISO_IR 192")
        self.assertEqual(str(answer.PatientName), "Müller^Jörg")

    def test_statuses_of_bad_identifiers(self):
        deep = ("StudyInstanceUID=1.2.9.1.1", "SeriesInstanceUID=1.2.9.1.2")
        for model, keys, status in (
                ("-S", ("StudyInstanceUID",), "a900"),  # no level
                ("-S", ("QueryRetrieveLevel=NONSENSE",), "a900"),
                ("-S", ("QueryRetrieveLevel=PATIENT", "PatientID=P1"), "a900"),
                ("-S", ("QueryRetrieveLevel=SERIES", "SeriesInstanceUID"), "a900"),
                ("-S", ("QueryRetrieveLevel=SERIES", "StudyInstanceUID=", "SeriesInstanceUID"),
                 "a900"),
                ("-S", ("QueryRetrieveLevel=SERIES", "StudyInstanceUID=1.2\\1.3",
                        "SeriesInstanceUID"), "a900"),
                ("-S", ("QueryRetrieveLevel=IMAGE", "StudyInstanceUID=1.2.9.1.1",
                        "SOPInstanceUID"), "a900"),
                ("-S", ("QueryRetrieveLevel=STUDY", *deep), "a900"),
                ("-P", ("QueryRetrieveLevel=STUDY", "StudyInstanceUID"), "a900"),
                ("-P", ("QueryRetrieveLevel=STUDY", "PatientID=P*", "StudyInstanceUID"), "a900"),
                ("-P", ("QueryRetrieveLevel=STUDY", "PatientID=P1", "StudyInstanceUID"), "0000"),
                ("-S", ("QueryRetrieveLevel=IMAGE", *deep, "SOPInstanceUID"), "0000")):
            with self.subTest(model=model, keys=keys):
                words = [w for key in keys for w in ("-k", key)]
                done = run("findscu", "-d", model, "-aec", self.node.ae_title, *words,
                           *self.node.address(), check=False)
                final = re.findall(r"DIMSE Status\s*: 0x([0-9a-f]{4})", done.text)[-1]
                self.assertEqual(final, status, done.text[-1500:])

    def test_cancel(self):
        done = run("findscu", "-d", "-S", "--cancel", "1", "-aec", self.node.ae_title,
                   "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID",
                   *self.node.address(), check=False)
        final = re.findall(r"DIMSE Status\s*: 0x([0-9a-f]{4})", done.text)[-1]
        # Four answers may be out before the cancel comes in: then the query was complete.
        self.assertIn(final, ("fe00", "0000"))

    def test_unsupported_matching_key_is_told(self):
        done = run("findscu", "-d", "-S", "-aec", self.node.ae_title,
                   "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID",
                   "-k", "DigitalSignatureUID=1.2.3", *self.node.address(), check=False)
        statuses = re.findall(r"DIMSE Status\s*: 0x([0-9a-f]{4})", done.text)
        self.assertEqual(set(statuses[:-1]), {"ff01"}, statuses)


class CharacterSets(unittest.TestCase):
    def test_names_of_every_character_set_are_found(self):
        require("findscu")
        series = [g for g in goldens() if g.name.startswith("charset_")]
        if not series:
            self.skipTest("the golden files of other character sets are not here")
        with tempfile.TemporaryDirectory(prefix="archive-") as folder:
            for golden in series:
                shutil.copy(golden.path, pathlib.Path(folder) / f"{golden.name}.dcbs")
            with Node(folder) as node:
                for golden in series:
                    source = pydicom.dcmread(next(iter(golden.sources.values())))
                    with self.subTest(golden=golden.name):
                        answer, = node.findscu(
                            "QueryRetrieveLevel=STUDY", "PatientName",
                            f"StudyInstanceUID={source.StudyInstanceUID}")
                        answer.decode()
                        source.decode()
                        self.assertEqual(str(answer.PatientName), str(source.PatientName))


if __name__ == "__main__":
    unittest.main()
