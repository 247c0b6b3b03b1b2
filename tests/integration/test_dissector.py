# SPDX-License-Identifier: Apache-2.0
"""A capture of each service, read by tshark's DICOM dissector: no malformed packet, and the
messages that were to be there."""

import pathlib
import tempfile
import unittest

from support.capture import Capture
from support.golden import OWN
from support.make_dcbs import repeat_series
from support.node import Node, require, run

TINY = OWN / "tiny3" / "series.dcbs"


class Dissector(unittest.TestCase):
    def test_no_malformed_packet(self):
        require("tshark", "zstd", "findscu", "getscu")
        with tempfile.TemporaryDirectory(prefix="archive-") as archive, \
                tempfile.TemporaryDirectory(prefix="got-") as got:
            repeat_series(pathlib.Path(archive) / "a.dcbs", TINY, 30, "1.2.8.1")
            with Node(archive) as node:
                with Capture(node, pathlib.Path(got) / "capture.pcapng") as capture:
                    node.findscu("QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName")
                    into = pathlib.Path(got) / "instances"
                    into.mkdir()
                    node.getscu(into, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.8.1.1")
                    node.getscu(into, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.8.9.9",
                                check=False)
                    run("findscu", "-S", "-aec", node.ae_title, "-k", "QueryRetrieveLevel=X",
                        *node.address(), check=False)
                self.assertEqual(len(list(into.iterdir())), 30)
                malformed = capture.fields("frame.number", "dicom and _ws.malformed")
                self.assertEqual(malformed, [])
                seen = "\n".join(capture.fields("_ws.col.Info"))
                for wanted in ("C-ECHO-RSP", "C-FIND-RSP", "C-GET-RSP", "C-STORE-RQ"):
                    self.assertIn(wanted, seen)


if __name__ == "__main__":
    unittest.main()
