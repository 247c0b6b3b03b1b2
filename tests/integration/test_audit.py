# SPDX-License-Identifier: Apache-2.0
"""The audit trail: what is told of what is done, judged by a schema; to a file and to syslog servers,
one that goes away among them."""

import base64
import pathlib
import re
import shutil
import ssl
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

import pydicom

from support.certificates import Certificates
from support.golden import OWN
from support.node import Node, require, run
from support.syslog import Syslog

SCHEMA = pathlib.Path(__file__).parent / "support" / "audit_message.rng"
TINY = OWN / "tiny3" / "series.dcbs"
SOURCES = sorted((OWN / "ct_phantom_small" / "source").glob("*.dcm"))
CT = "1.2.840.10008.5.1.4.1.1.2"


class Message:
    def __init__(self, text):
        root = ElementTree.fromstring(text)
        event = root.find("EventIdentification")
        self.id = event.find("EventID").get("csd-code")
        self.types = [code.get("csd-code") for code in event.findall("EventTypeCode")]
        self.action, self.outcome = event.get("EventActionCode"), event.get("EventOutcomeIndicator")
        self.reason = event.findtext("EventOutcomeDescription", "")
        self.participants = {p.get("UserID"): p for p in root.findall("ActiveParticipant")}
        self.source = root.find("AuditSourceIdentification").get("AuditSourceID")
        self.objects = root.findall("ParticipantObjectIdentification")

    def role(self, user):
        code = self.participants[user].find("RoleIDCode")
        return None if code is None else code.get("csd-code")

    def of_type(self, code):
        return [o for o in self.objects
                if o.find("ParticipantObjectIDTypeCode").get("csd-code") == code]

    def studies(self):
        return {o.get("ParticipantObjectID"):
                {c.get("UID"): int(c.get("NumberOfInstances")) for c in o.iter("SOPClass")}
                for o in self.of_type("110180")}

    def patients(self):
        return [(o.get("ParticipantObjectID"), o.findtext("ParticipantObjectName"))
                for o in self.of_type("2")]

    def detail(self, kind):
        for o in self.objects:
            for detail in o.findall("ParticipantObjectDetail"):
                if detail.get("type") == kind:
                    return base64.b64decode(detail.get("value")).decode()
        return None


class AuditTest(unittest.TestCase):
    def setUp(self):
        require("echoscu", "findscu", "getscu", "storescu", "xmllint")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="audit-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.archive = self.folder / "archive"
        self.archive.mkdir()
        shutil.copy(TINY, self.archive / "tiny.dcbs")

    def node(self, **settings):
        conf = self.folder / "dcbscp.yaml"
        conf.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
        return Node(self.archive, "-c", conf, "--store", self.archive)

    def read(self, texts):
        """Messages that the schema has judged."""
        for i, text in enumerate(texts):
            (self.folder / f"{i:03}.msg").write_bytes(text)
        run("xmllint", "--noout", "--relaxng", SCHEMA, *sorted(self.folder.glob("*.msg")))
        return [Message(text) for text in texts]


class WhatIsTold(AuditTest):
    def test_of_everything_to_a_file(self):
        trail = self.folder / "audit.xml"
        with self.node(audit="file", audit_file=trail) as node:
            node.findscu("QueryRetrieveLevel=STUDY", "PatientName=x&<\"y*")
            out = self.folder / "out"
            out.mkdir()
            study, = node.findscu("QueryRetrieveLevel=STUDY", "StudyInstanceUID")
            node.getscu(out, "QueryRetrieveLevel=STUDY",
                        f"StudyInstanceUID={study.StudyInstanceUID}")
            run("storescu", "-aet", "CT1", "-aec", node.ae_title, *node.address(), *SOURCES)
            run("echoscu", "-aet", "WHO\tIS", "-aec", "WRONG", *node.address(), check=False)
            run("bash", "-c", f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' >/dev/tcp/127.0.0.1/{node.port}")
            node.wait_for_log("association.no_request")
            run("echoscu", "-aec", node.ae_title, *node.address())  # of which nothing is told
        messages = self.read(trail.read_bytes().splitlines())
        self.assertEqual(len(messages), 9, node.log)
        started, query, _, begins, sent, received, refused, junk, stopped = messages
        self.assertEqual((started.id, started.types, started.role("DCBSCP")),
                         ("110100", ["110120"], "110150"))
        self.assertEqual((stopped.id, stopped.types), ("110100", ["110121"]))

        self.assertEqual((query.id, query.action, query.outcome), ("110112", "E", "0"))
        self.assertEqual((query.role("FINDSCU"), query.role("DCBSCP")), ("110153", "110152"))
        self.assertEqual(query.participants["FINDSCU"].get("NetworkAccessPointID"), "127.0.0.1")
        asked, = query.of_type("110181")
        self.assertEqual(asked.get("ParticipantObjectID"), "1.2.840.10008.5.1.4.1.2.2.1")
        self.assertIn(b'x&<"y*', base64.b64decode(asked.findtext("ParticipantObjectQuery")))
        self.assertEqual(query.detail("TransferSyntax"), "1.2.840.10008.1.2.1")

        tiny = pydicom.dcmread(next(out.iterdir()), stop_before_pixels=True)
        for message, kind, action in ((begins, "110102", "E"), (sent, "110104", "R")):
            self.assertEqual((message.id, message.action, message.outcome), (kind, action, "0"))
            self.assertEqual((message.role("DCBSCP"), message.role("GETSCU")),
                             ("110153", "110152"))
            self.assertEqual(message.studies(), {str(study.StudyInstanceUID): {tiny.SOPClassUID: 3}})
            self.assertEqual(message.patients(), [(tiny.PatientID, str(tiny.PatientName))])

        phantom = pydicom.dcmread(SOURCES[0], stop_before_pixels=True)
        phantom.decode()
        self.assertEqual((received.id, received.action, received.outcome), ("110104", "C", "0"))
        self.assertEqual((received.role("CT1"), received.role("DCBSCP")), ("110153", "110152"))
        self.assertEqual(received.studies(), {str(phantom.StudyInstanceUID): {CT: len(SOURCES)}})
        self.assertEqual(received.patients(), [(phantom.PatientID, str(phantom.PatientName))])

        self.assertEqual((refused.id, refused.types, refused.outcome),
                         ("110113", ["110126"], "8"))
        self.assertIn("called AE title", refused.detail("Alert Description"))
        self.assertEqual(refused.of_type("110182")[0].get("ParticipantObjectID"), "127.0.0.1")
        self.assertEqual(junk.id, "110113")
        self.assertIn("not DICOM", junk.detail("Alert Description"))

    def test_another_title_tells_of_its_own_archive(self):
        trail = self.folder / "audit.xml"
        (self.folder / "research").mkdir()
        settings = {"audit": "file", "audit_file": trail,
                    "titles": "\n  - {ae_title: RESEARCH, archives: [], store: research}"}
        with self.node(**settings) as node:
            node.ae_title = "RESEARCH"
            run("storescu", "-aet", "CT1", "-aec", "RESEARCH", *node.address(), *SOURCES)
            phantom = pydicom.dcmread(SOURCES[0], stop_before_pixels=True)
            phantom.decode()
            out = self.folder / "out"
            out.mkdir()
            node.getscu(out, "QueryRetrieveLevel=STUDY",
                        f"StudyInstanceUID={phantom.StudyInstanceUID}")
            self.assertEqual(len(list(out.iterdir())), len(SOURCES))
        messages = self.read(trail.read_bytes().splitlines())
        self.assertEqual([m.id for m in messages],
                         ["110100", "110104", "110102", "110104", "110100"])
        for message, peer in ((messages[1], "CT1"), (messages[2], "GETSCU"),
                              (messages[3], "GETSCU")):
            self.assertEqual(message.studies(),
                             {str(phantom.StudyInstanceUID): {CT: len(SOURCES)}})
            self.assertEqual(message.patients(), [(phantom.PatientID, str(phantom.PatientName))])
            self.assertIsNotNone(message.role("RESEARCH"))
            self.assertIsNotNone(message.role(peer))

    def test_a_transfer_that_fails_in_part(self):
        trail = self.folder / "audit.xml"
        with self.node(audit="file", audit_file=trail) as node:
            content = bytearray((OWN / "ct_phantom_small" / "series.dcbs").read_bytes())
            offsets = int.from_bytes(content[76:84], "little")
            third = int.from_bytes(content[offsets + 16:offsets + 24], "little")
            content[third:third + 40] = bytes(40)
            (self.archive / "damaged.dcbs").write_bytes(content)
            node.wait_for_log("file.indexed|archive.changed|scan", seconds=30)
            study = str(pydicom.dcmread(SOURCES[0], stop_before_pixels=True).StudyInstanceUID)
            out = self.folder / "out"
            out.mkdir()
            for _ in range(300):
                if node.findscu("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}"):
                    break
            node.getscu(out, "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}", check=False)
        sent = [m for m in self.read(trail.read_bytes().splitlines())
                if m.id == "110104"]
        self.assertEqual(len(sent), 1)
        self.assertEqual(sent[0].outcome, "4")
        self.assertEqual(sent[0].reason, "status B000: 7 of 8 instances sent")


class WhereItGoes(AuditTest):
    def check_frames(self, node, frames, texts):
        for priority, time, host, app, process, kind, data, text in frames:
            self.assertEqual((priority, app, kind, data), (b"85", b"dcbscp", b"DICOM+RFC3881", b"-"))
            self.assertRegex(time, rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertEqual(int(process), node.process.pid)
            self.assertRegex(host, rb"^[!-~]+$")
            self.assertTrue(text.startswith(b"\xef\xbb\xbf<?xml "))
        messages = self.read([frame[-1][3:] for frame in frames])
        self.assertEqual([m.id for m in messages], texts)

    def test_udp_and_tcp(self):
        for kind in ("udp", "tcp"):
            with Syslog(kind) as syslog:
                with self.node(audit=kind, audit_host="127.0.0.1",
                               audit_port=syslog.port) as node:
                    node.findscu("QueryRetrieveLevel=STUDY", "PatientName")
                    self.check_frames(node, syslog.wait(2), ["110100", "110112"])
                self.check_frames(node, syslog.wait(3), ["110100", "110112", "110100"])

    def test_tls(self):
        certificates = Certificates(self.folder)
        server, client = certificates.make("localhost"), certificates.make("node")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server[1], server[0])
        context.load_verify_locations(certificates.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        settings = {"audit": "tls", "tls_certificate": client[1], "tls_key": client[0],
                    "tls_ca_file": certificates.ca}
        with Syslog("tls", context) as syslog:
            with self.node(audit_host="localhost", audit_port=syslog.port, **settings) as node:
                node.findscu("QueryRetrieveLevel=STUDY", "PatientName")
                self.check_frames(node, syslog.wait(2), ["110100", "110112"])
        # A server that nobody vouches for gets nothing.
        other = certificates.make("localhost", issuer="stranger")
        context.load_cert_chain(other[1], other[0])
        with Syslog("tls", context) as syslog:
            with self.node(audit_host="localhost", audit_port=syslog.port, **settings) as node:
                node.wait_for_log("audit.failed.*peer's certificate")
                node.echoscu()
            self.assertEqual(syslog.messages, [])

    def test_a_server_that_comes_later_and_goes_away(self):
        with Syslog("tcp") as first:
            port = first.port
        with self.node(audit="tcp", audit_host="127.0.0.1", audit_port=port) as node:
            node.wait_for_log("audit.failed")
            node.findscu("QueryRetrieveLevel=STUDY", "PatientName")  # held up by nothing
            with Syslog("tcp", port=port) as second:
                self.check_frames(node, second.wait(2), ["110100", "110112"])
                node.wait_for_log("audit.recovered dropped=0")

    def test_what_is_wrong_is_said_at_the_start(self):
        for settings, said in (({"audit": "file"}, "audit_file is needed"),
                               ({"audit": "tcp"}, "audit_host is needed"),
                               ({"audit": "file", "audit_file": self.folder / "no" / "x"},
                                "audit_file: cannot write")):
            with self.assertRaisesRegex(AssertionError, said):
                self.node(**settings).__enter__()


if __name__ == "__main__":
    unittest.main()
