# SPDX-License-Identifier: Apache-2.0
"""Every frame of every golden series, as dcbtool extracts it, against its source."""

import json
import pathlib
import tempfile
import unittest

import pydicom

from support import compare, judges
from support.golden import goldens, older_writers
from support.make_dcbs import unattributable_tags
from support.node import DCBTOOL, run

SYNTAX_UID = {"explicit": "1.2.840.10008.1.2.1", "implicit": "1.2.840.10008.1.2"}


def loss(info):
    """The loss that the file itself states, in real-world units: half a step of its rounding.
    DiCube rounds real values to uint16 with a slope (format section 3); its slope is a float, so
    one step is allowed."""
    return info["pixel"]["rescale_slope"] if info["pixel"]["lossy_rescale"] else 0.0


class GoldenExtract(unittest.TestCase):
    def check(self, golden, syntax):
        info = json.loads(run(DCBTOOL, "info", "--json", golden.path).text)
        sources = [pydicom.dcmread(path, force=True) for path in golden.sources.values()]
        by_uid = {str(source.SOPInstanceUID): source for source in sources}
        seen = 0
        with tempfile.TemporaryDirectory(prefix="extract-") as folder:
            run(DCBTOOL, "extract", golden.path, "--all", "-o", folder, "--syntax", syntax)
            paths = sorted(pathlib.Path(folder).iterdir())
            self.assertEqual(len(paths), info["frames"])
            for path in paths:
                served = judges.read(path)
                uid = served.file_meta.TransferSyntaxUID
                if syntax == "htj2k":
                    self.assertIn(uid, judges.HTJ2K)
                    samples = judges.htj2k_samples(served)
                else:
                    self.assertEqual(uid, SYNTAX_UID[syntax])
                    samples = compare.native_samples(served)
                self.assertEqual(served.file_meta.MediaStorageSOPInstanceUID,
                                 served.SOPInstanceUID)
                if str(served.SOPInstanceUID) not in by_uid:
                    continue  # larger series keep only some of their sources
                seen += 1
                source = by_uid[str(served.SOPInstanceUID)]
                wrong = compare.differences(source, served, sources,
                                            unattributable_tags(golden.path))
                wrong += compare.pixel_differences(source, served, samples, loss(info))
                self.assertEqual(wrong, [], f"{golden}: {path.name} ({syntax})")
        self.assertEqual(seen, len(sources), f"{golden}: sources without a frame")

    def test_every_frame_equals_its_source(self):
        series = goldens()
        self.assertGreaterEqual(len(series), 6)
        for golden in series:
            for syntax in ("htj2k", "explicit", "implicit"):
                with self.subTest(golden=golden.name, syntax=syntax):
                    self.check(golden, syntax)

    def test_older_writers(self):
        series = older_writers()
        self.assertGreaterEqual(len(series), 5)
        for golden in series:
            for syntax in ("htj2k", "explicit"):
                with self.subTest(golden=golden.name, syntax=syntax):
                    self.check(golden, syntax)

    def test_bogus_multi_frame_series_fail_clearly(self):
        for golden in goldens(bogus=True):
            with self.subTest(golden=golden.name), \
                    tempfile.TemporaryDirectory(prefix="extract-") as folder:
                done = run(DCBTOOL, "extract", golden.path, "-o", folder, check=False)
                self.assertEqual(done.returncode, 1, done.text)
                self.assertEqual(list(pathlib.Path(folder).glob("*.dcm")), [])
                self.assertRegex(done.text, r"frame 0: the codestream has \d+ rows and \d+ columns")


if __name__ == "__main__":
    unittest.main()
