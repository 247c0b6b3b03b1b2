# SPDX-License-Identifier: Apache-2.0
"""Several AE titles on one port: each with its own archive, store and rights."""

import pathlib
import shutil
import tempfile
import unittest

import pydicom

from support.golden import OWN
from support.http_node import HttpNode
from support.node import DCBSCP, Node, require, responses, run
from support.store_scp import StoreScp

PHANTOM, OTHER = OWN / "ct_phantom_small", OWN / "tiny3"


def study_of(golden):
    return str(pydicom.dcmread(sorted((golden / "source").glob("*.dcm"))[0],
                               stop_before_pixels=True).StudyInstanceUID)


class Titles(unittest.TestCase):
    def setUp(self):
        require("findscu", "getscu", "storescu", "echoscu")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="titles-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for name, golden in (("main", PHANTOM), ("research", OTHER)):
            (self.folder / name).mkdir()
            shutil.copy(golden / "series.dcbs", self.folder / name / f"{golden.name}.dcbs")
        (self.folder / "in").mkdir()
        (self.folder / "in2").mkdir()
        self.conf = self.folder / "node.yaml"

    def node(self, more="", state=()):
        self.conf.write_text("titles:\n  - {ae_title: RESEARCH, archives: [research], store: in}\n"
                             + more)
        return Node(self.folder / "main", "-c", self.conf, *state)

    @staticmethod
    def studies(node, title):
        node.ae_title = title
        found = node.findscu("0008,0052=STUDY", "0020,000d", "0008,0054")
        for answer in found:
            if answer.RetrieveAETitle != title:
                raise AssertionError(f"{title} tells {answer.RetrieveAETitle}")
        return sorted(str(answer.StudyInstanceUID) for answer in found)

    def get(self, node, title, study):
        node.ae_title = title
        out = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        node.getscu(out, "0008,0052=STUDY", f"0020,000d={study}")
        return len(list(out.iterdir()))

    def test_each_has_its_own_archive(self):
        here, there = study_of(PHANTOM), study_of(OTHER)
        self.assertNotEqual(here, there)
        with self.node() as node:
            self.assertEqual(self.studies(node, "DCBSCP"), [here])
            self.assertEqual(self.studies(node, "RESEARCH"), [there])
            for title, own, other in (("DCBSCP", here, there), ("RESEARCH", there, here)):
                self.assertGreater(self.get(node, title, own), 0)
                self.assertEqual(self.get(node, title, other), 0)
            node.ae_title = "SOMEBODY"
            done = run("echoscu", "-aec", "SOMEBODY", *node.address(), check=False)
            self.assertIn("Called AE Title Not Recognized", done.text)

    def test_anybody_may_be_called(self):
        with self.node("check_called_ae_title: false\n") as node:
            node.ae_title = "SOMEBODY"
            node.echoscu()
            answers = node.findscu("0008,0052=STUDY", "0020,000d", "0008,0054")
            self.assertEqual([a.RetrieveAETitle for a in answers], ["DCBSCP"])
            self.assertEqual(self.studies(node, "RESEARCH"), [study_of(OTHER)])

    def test_each_takes_in_for_itself(self):
        sent = sorted((PHANTOM / "source").glob("*.dcm"))
        state = self.folder / "state"
        with self.node(state=("--state", state)) as node:
            self.assertEqual(self.get(node, "RESEARCH", study_of(PHANTOM)), 0)
            run("storescu", "-aec", "RESEARCH", *node.address(), *sent)
            self.assertEqual(self.get(node, "RESEARCH", study_of(PHANTOM)), len(sent))
            self.assertEqual(self.studies(node, "RESEARCH"),
                             sorted([study_of(PHANTOM), study_of(OTHER)]))
            done = run("storescu", "-v", "-aec", "DCBSCP", *node.address(), sent[0], check=False)
            self.assertIn("No Acceptable Presentation Contexts", done.text)
        self.assertTrue((state / "title-RESEARCH").is_dir())
        with self.node(state=("--state", state)) as node:
            self.assertEqual(self.studies(node, "DCBSCP"), [study_of(PHANTOM)])
            self.assertEqual(self.get(node, "RESEARCH", study_of(PHANTOM)), len(sent))

    def test_each_has_its_rights(self):
        rules = ("access:\n  - {name: science, calling: [LAB], called: [RESEARCH], allow: find}\n"
                 "  - {name: wards, calling: [WARD*], called: [DCBSCP], allow: [echo, find]}\n")
        with self.node(rules) as node:
            for calling, called, allowed in (("LAB", "RESEARCH", True), ("LAB", "DCBSCP", False),
                                             ("WARD7", "DCBSCP", True),
                                             ("WARD7", "RESEARCH", False)):
                start = len(node.log)
                done = run("findscu", "-S", "-aet", calling, "-aec", called, *node.address(), "-k",
                           "0008,0052=STUDY", "-k", "0020,000d", check=False)
                self.assertEqual("Calling AE Title Not Recognized" not in done.text, allowed)
                if not allowed:
                    node.wait_for_log(r"association\.rejected .*no access rule matches", start=start)
            done = run("echoscu", "-aet", "LAB", "-aec", "RESEARCH", *node.address(), check=False)
            self.assertIn("No Acceptable Presentation Contexts", done.text)

    def test_the_status_tells_of_all(self):
        counts = [len(list((golden / "source").glob("*.dcm"))) for golden in (PHANTOM, OTHER)]
        title = f"{{ae_title: RESEARCH, archives: [{self.folder}/research], store: {self.folder}/in}}"
        with HttpNode(self.folder / "main", "--title", title) as node:
            status = node.json("/status.json")
            self.assertEqual(status["archive"]["instances"], sum(counts))
            self.assertEqual(status["archive"]["studies"], 2)
            self.assertEqual(status["spool"]["received"], 0)
            self.assertIn("store", [disk["use"] for disk in status["disks"]])
            sent = sorted((PHANTOM / "source").glob("*.dcm"))
            run("storescu", "-aec", "RESEARCH", *node.address(), *sent)
            self.assertEqual(node.json("/status.json")["spool"]["received"], len(sent))
            self.assertEqual(node.metrics()["dcbscp_received_instances_total"], len(sent))

    def test_each_is_searched_for_itself(self):
        title = f"{{ae_title: RESEARCH, archives: [{self.folder}/research], store: {self.folder}/in}}"
        with HttpNode(self.folder / "main", "--title", title, patient_data=True) as node:
            self.assertEqual(node.json("/status.json")["titles"], ["DCBSCP", "RESEARCH"])
            pictures = set()
            for name, golden in (("", PHANTOM), ("DCBSCP", PHANTOM), ("RESEARCH", OTHER)):
                with self.subTest(title=name):
                    study, = node.json(f"/studies.json?title={name}")["studies"]
                    self.assertEqual(study["uid"], study_of(golden))
                    series, = node.json(f"/series.json?title={name}&study={study['uid']}")["series"]
                    path = f"/thumbnail.png?title={name}&series={series['uid']}"
                    status, _, picture = node.ask(path)
                    self.assertEqual((status, picture[1:4]), (200, b"PNG"))
                    self.assertEqual(node.ask(path)[2], picture)
                    pictures.add(picture)
            self.assertEqual(len(pictures), 2)
            for path in ("/studies.json?title=NOBODY", "/series.json?title=NOBODY&study=1",
                         f"/thumbnail.png?title=RESEARCH&series={self.series_of(PHANTOM)}"):
                self.assertEqual(node.ask(path)[0], 404, path)
            self.assertEqual(node.json(f"/series.json?title=RESEARCH&study={study_of(PHANTOM)}"),
                             {"series": []})

    @staticmethod
    def series_of(golden):
        return str(pydicom.dcmread(sorted((golden / "source").glob("*.dcm"))[0],
                                   stop_before_pixels=True).SeriesInstanceUID)

    def test_the_same_instance_in_two(self):
        """One instance, changed for research: each title shows its own."""
        source = pydicom.dcmread(sorted((PHANTOM / "source").glob("*.dcm"))[0])
        title = f"{{ae_title: RESEARCH, store: {self.folder}/in}}"
        with HttpNode(self.folder / "in2", "--store", self.folder / "in2", "--title", title,
                      patient_data=True) as node:
            pictures = []
            for name, pixels in (("DCBSCP", source.PixelData),
                                 ("RESEARCH", source.PixelData[::-1])):
                source.PixelData = pixels
                source.save_as(self.folder / "sent.dcm")
                run("storescu", "-aec", name, *node.address(), self.folder / "sent.dcm")
                node.ae_title = name
                self.assertEqual(len(node.findscu("0008,0052=STUDY", "0020,000d")), 1)
                pictures.append(node.ask(f"/thumbnail.png?title={name}"
                                         f"&series={source.SeriesInstanceUID}"))
            self.assertEqual([p[0] for p in pictures], [200, 200])
            self.assertNotEqual(pictures[0][2], pictures[1][2])

    def test_where_it_may_have_instances_sent(self):
        with StoreScp() as scp:
            more = ("destinations:\n"
                    f"  - {{ae_title: WS1, host: 127.0.0.1, port: {scp.port}}}\n"
                    f"  - {{ae_title: WS2, host: 127.0.0.1, port: {scp.port}}}\n"
                    "access:\n  - {name: ward, allow: move, destinations: [WS1]}\n")
            with self.node(more) as node:
                node.ae_title = "RESEARCH"
                for destination, status in (("WS2", "0124"), ("WS1", "0000")):
                    done = node.client("move", "--destination", destination, "--level", "STUDY",
                                       "--key", f"0020000D={study_of(OTHER)}", check=False)
                    last, fields = responses(done.text)[-1]
                    self.assertEqual(last, status, done.text)
                    if status == "0124":
                        self.assertIn("WS2 by access rule 1 (ward)", fields["comment"])
                        self.assertEqual(len(scp.stored), 0)
                self.assertEqual(len(scp.stored), len(list((OTHER / "source").glob("*.dcm"))))

    def test_two_with_one_store(self):
        self.conf.write_text("titles: [{ae_title: RESEARCH, store: in}]\nstore: in\n")
        done = run(DCBSCP, "--archive", self.folder / "main", "-c", self.conf, "--check-config",
                   check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("titles: DCBSCP and RESEARCH have the same store", done.text)


if __name__ == "__main__":
    unittest.main()
