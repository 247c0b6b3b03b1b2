# SPDX-License-Identifier: Apache-2.0
"""The HTTP port: health, metrics, status, search and pictures, who may ask for them, and its
limits; while the node serves DICOM."""

import base64
import json
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

import pydicom

from support.golden import OWN, REPO
from support.http_node import HttpNode, StalledPeer
from support.make_dcbs import read_dcbs, repeat_series
from support.node import DCBSCP, DCBTOOL, Node, require, run

TINY = OWN / "tiny3" / "series.dcbs"
PHANTOM = OWN / "ct_phantom_small" / "series.dcbs"
TOKEN = "0123456789abcdef-test-token"


def study_uid(path):
    return read_dcbs(path)[1]["_merged_data"]["0020000D"]["Value"][0]


class Http(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="http-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.archive = self.folder / "archive"
        self.archive.mkdir()
        shutil.copy(PHANTOM, self.archive / "ct.dcbs")
        shutil.copy(TINY, self.archive / "tiny.dcbs")


class Status(Http):
    def test_health_and_readiness(self):
        with HttpNode(self.archive) as node:
            self.assertEqual(node.ask("/healthz")[::2], (200, b"alive\n"))
            self.assertEqual(node.ask("/readyz")[::2], (200, b"ready\n"))
            self.assertEqual(node.ask("/healthz", method="HEAD")[::2], (200, b""))
            self.assertEqual(node.process.stdout.readline(),
                             f"dcbscp: status page on {node.url}/\n")
            status = node.json("/status.json")
            self.assertEqual((status["state"], status["ready"], status["port"]),
                             ("ready", True, node.port))
            self.assertEqual(status["archive"]["series"], 2)
            self.assertEqual(status["archive"]["instances"], node.ninstances)

    def test_not_ready_without_the_reserve(self):
        (self.folder / "store").mkdir()
        big = tempfile.NamedTemporaryFile("w", suffix=".yaml")
        self.addCleanup(big.close)
        free_mb = shutil.disk_usage(self.folder).free >> 20
        if free_mb >= 1048576:
            self.skipTest("more than a tebibyte is free here: no reserve can be larger")
        node = HttpNode(self.archive, "--store", self.folder / "store")
        node.configuration.write("store_reserve_mb: 1048576\n")
        node.configuration.flush()
        with node:
            status, _, body = node.ask("/readyz")
            self.assertEqual(status, 503)
            self.assertIn(b"store_reserve_mb", body)
            self.assertEqual(node.ask("/healthz")[0], 200)
            self.assertEqual(node.metrics()["dcbscp_ready"], 0)
            self.assertFalse(node.json("/status.json")["ready"])

    def test_not_ready_while_nothing_can_be_written(self):
        """A file where the spool has its folder: what was acknowledged waits, and is not lost."""
        require("getscu", "storescu")
        store = self.folder / "store"
        store.mkdir()
        new = pydicom.dcmread(sorted((TINY.parent / "source").glob("*.dcm"))[0])
        new.StudyInstanceUID = "1.2.3.4"
        new.SOPInstanceUID = new.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5.7"
        new.save_as(self.folder / "new.dcm")
        with HttpNode(self.archive, "--store", store) as node:
            numbers = store / ".dcbscp-spool/000000"
            numbers.write_bytes(b"")
            run("storescu", "-aec", node.ae_title, *node.address(), self.folder / "new.dcm")
            self.assertIn("Not a directory", node.wait_for_log("spool.failing"))
            status, _, body = node.ask("/readyz")
            self.assertEqual((status, b"cannot be written" in body), (503, True))
            self.assertEqual(node.metrics()["dcbscp_spool_failing"], 1)
            self.assertTrue(node.json("/status.json")["spool"]["failing"])
            numbers.unlink()
            numbers.mkdir()
            node.wait_for_log("spool.recovered")
            self.assertEqual(node.ask("/readyz")[0], 200)
            self.assertEqual(node.metrics()["dcbscp_spool_failing"], 0)
            got = self.folder / "got"
            got.mkdir()
            node.getscu(got, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3.4")
            [served] = got.iterdir()
            self.assertEqual(pydicom.dcmread(served).PixelData, new.PixelData)

    def test_off_unless_asked_for(self):
        with Node(self.archive) as node:
            self.assertFalse([line for line in node.log if "http." in line])

    def test_metrics_count_what_clients_did(self):
        require("getscu", "findscu", "echoscu", "storescu")
        (self.folder / "store").mkdir()
        with HttpNode(self.archive, "--store", self.folder / "store") as node:
            before = node.metrics()
            self.assertEqual(before["dcbscp_index_entries{level=\"series\"}"], 2)
            self.assertEqual(before["dcbscp_archive_bytes"],
                             TINY.stat().st_size + PHANTOM.stat().st_size)
            self.assertGreater(before["dcbscp_index_bytes"], 4096)
            node.echoscu()
            run("echoscu", "-aec", "NOBODY", *node.address(), check=False)
            self.assertEqual(len(node.findscu("QueryRetrieveLevel=STUDY", "StudyInstanceUID")), 2)
            node.findscu("QueryRetrieveLevel=PATIENT", check=False)
            got = self.folder / "got"
            got.mkdir()
            node.getscu(got, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=" + study_uid(TINY))
            files = sorted(got.iterdir())
            self.assertEqual(len(files), 3)
            sent = sum(path.stat().st_size for path in files)
            new = pydicom.dcmread(files[0])
            new.SOPInstanceUID = new.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5.6"
            new.save_as(self.folder / "new.dcm")
            run("storescu", "-aec", node.ae_title, *node.address(), self.folder / "new.dcm")
            # A client may be gone before the node has counted that.
            end = time.monotonic() + 30
            after = node.metrics()
            while after["dcbscp_associations"] > 0 and time.monotonic() < end:
                time.sleep(0.05)
                after = node.metrics()

        def grew(name):
            return after.get(name, 0) - before.get(name, 0)

        def operations(service, status, outcome):
            return grew(f'dcbscp_operations_total{{service="{service}",status="{status}"'
                        f',outcome="{outcome}"}}')
        self.assertEqual(operations("echo", "0000", "success"), 1)
        self.assertEqual(operations("find", "0000", "success"), 1)
        self.assertEqual(operations("find", "A900", "failure"), 1)
        self.assertEqual(operations("get", "0000", "success"), 1)
        self.assertEqual(operations("store", "0000", "success"), 1)
        self.assertEqual(grew('dcbscp_suboperations_total{outcome="completed"}'), 3)
        self.assertEqual(grew('dcbscp_associations_rejected_total{reason="called_ae_title"}'), 1)
        self.assertEqual(grew("dcbscp_associations_accepted_total"), 5)
        self.assertEqual(grew('dcbscp_associations_ended_total{how="released"}'), 5)
        self.assertEqual(after["dcbscp_associations"], 0)
        # Each file has up to 512 bytes of meta information that are not sent.
        self.assertGreater(grew("dcbscp_sent_bytes_total"), sent - 3 * 1024)
        self.assertLess(grew("dcbscp_sent_bytes_total"), sent + 16384)
        self.assertGreater(grew("dcbscp_received_bytes_total"), files[0].stat().st_size - 1024)
        self.assertGreaterEqual(grew("dcbscp_cache_misses_total"), 3)
        self.assertEqual(grew('dcbscp_operation_duration_seconds_count{service="find"}'), 2)
        self.assertEqual(grew('dcbscp_operation_duration_seconds_bucket{service="get",le="+Inf"}'),
                         1)
        self.assertGreater(grew('dcbscp_operation_duration_seconds_sum{service="get"}'), 0)
        # getscu takes Explicit VR: the three were decoded.
        self.assertEqual(grew("dcbscp_decode_duration_seconds_count"), 3)
        self.assertEqual(after["dcbscp_received_instances_total"], 1)

    def test_metrics_please_prometheus(self):
        require("promtool")
        with HttpNode(self.archive) as node:
            node.echoscu()
            done = subprocess.run(["promtool", "check", "metrics"], input=node.ask("/metrics")[2],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, b""))

    def test_dashboard_asks_for_what_there_is(self):
        dashboard = json.loads((REPO / "conf" / "dcbscp-grafana.json").read_text())
        (self.folder / "store").mkdir()
        with HttpNode(self.archive, "--store", self.folder / "store") as node:
            there = {re.sub(r"\{.*", "", name) for name in node.metrics()}
            there |= {line.split()[2] for line in node.ask("/metrics")[2].decode().splitlines()
                      if line.startswith("# TYPE")}
        queries = [target["expr"] for panel in dashboard["panels"]
                   for target in panel.get("targets", [])]
        self.assertGreater(len(queries), 12)
        for query in queries:
            names = re.findall(r"\b(?:dcbscp|process)_[a-z_]+", query)
            self.assertTrue(names, query)
            for name in names:
                self.assertIn(name, there, query)

    def test_refusals_are_told_with_their_reason(self):
        require("findscu", "echoscu")
        with HttpNode(self.archive) as node:
            run("echoscu", "-aec", "NOBODY", "-aet", "<b>&\"", *node.address(), check=False)
            node.findscu("QueryRetrieveLevel=PATIENT", check=False)
            body = node.ask("/status.json")[2]
            self.assertNotIn(b"<b>", body)
            last, first = json.loads(body)["refusals"]
            self.assertEqual((first["what"], first["calling"], first["peer"]),
                             ("association", "<b>&\"", "127.0.0.1"))
            self.assertIn("called AE title", first["reason"])
            self.assertEqual((last["what"], last["calling"]), ("find", "FINDSCU"))
            self.assertTrue(last["reason"].startswith("A900 "), last["reason"])
            text = node.ask("/status.txt")[2].decode()
            self.assertIn(f"DCBSCP on 127.0.0.1 port {node.port}", text)
            self.assertIn("called AE title", text)

    def test_a_running_retrieval_is_seen(self):
        """A client that stops reading in the middle: the node has sent some, and says how many."""
        repeat_series(self.archive / "many.dcbs", PHANTOM, 80, "1.2.3.4")
        with HttpNode(self.archive) as node:
            command = ["getscu", "-S", "-aec", node.ae_title, "--ignore", "-k",
                       "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3.4.1"]
            seen = []
            with StalledPeer(node) as peer:
                client = subprocess.Popen([*command, "127.0.0.1", str(peer.port)],
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                peer.stall_after(200000)
                end = time.monotonic() + 60
                while time.monotonic() < end:
                    seen = node.json("/status.json")["associations"]
                    if seen and seen[0]["completed"] > 0:
                        break
                    time.sleep(0.05)
                entry = seen[0]
                self.assertEqual((entry["operation"], entry["calling"], entry["total"]),
                                 ("get", "GETSCU", 80))
                self.assertGreater(entry["completed"], 0)
                self.assertLess(entry["completed"], 80)
                self.assertGreater(entry["bytes_out"], 10000)
                # The last ones before the stall may still be on their way.
                told = re.search(r" (\d+)/80 ", node.ask("/status.txt")[2].decode())
                self.assertTrue(entry["completed"] <= int(told[1]) < 80, told)
                self.assertGreaterEqual(
                    node.metrics()['dcbscp_suboperations_total{outcome="completed"}'],
                    entry["completed"])
                peer.go_on()
                self.assertEqual(client.wait(120), 0)
            end = time.monotonic() + 20
            while node.json("/status.json")["open"] and time.monotonic() < end:
                time.sleep(0.05)
            self.assertEqual(node.json("/status.json")["open"], 0)
            self.assertEqual(node.metrics()['dcbscp_suboperations_total{outcome="completed"}'], 80)


class Search(Http):
    def test_studies_series_and_pictures(self):
        sections_uid = study_uid(PHANTOM)
        with HttpNode(self.archive, patient_data=True) as node:
            everything = node.json("/studies.json")
            self.assertEqual(len(everything["studies"]), 2)
            self.assertFalse(everything["more"])
            study = next(s for s in everything["studies"] if s["uid"] == sections_uid)
            judge = {e.keyword: e for e in node.findscu(
                "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={sections_uid}", "PatientName",
                "PatientID", "StudyDate", "NumberOfStudyRelatedInstances",
                "ModalitiesInStudy")[0]}
            self.assertEqual(study["patient_name"], str(judge["PatientName"].value))
            self.assertEqual(study["patient_id"], judge["PatientID"].value)
            self.assertEqual(study["date"], judge["StudyDate"].value)
            self.assertEqual(int(study["instances"]), judge["NumberOfStudyRelatedInstances"].value)
            for q in (study["patient_id"], study["patient_name"].split("^")[0].lower(),
                      study["patient_name"].replace("^", ", ")):
                found = node.json("/studies.json?q=" + urllib.parse.quote(q))["studies"]
                self.assertIn(study, found, q)
            self.assertEqual(node.json("/studies.json?q=no-such-thing")["studies"], [])
            day = study["date"]
            self.assertIn(study, node.json(f"/studies.json?date={day}-{day}")["studies"])
            self.assertNotIn(study, node.json("/studies.json?date=-19000101")["studies"])
            self.assertEqual(node.ask("/studies.json?date=yesterday")[0], 400)
            self.assertNotIn(study, node.json("/studies.json?modality=XY")["studies"])

            series = node.json("/series.json?study=" + sections_uid)["series"]
            self.assertEqual(len(series), 1)
            self.assertEqual(series[0]["modality"], "CT")
            self.assertEqual(series[0]["instances"], study["instances"])
            path = "/thumbnail.png?series=" + series[0]["uid"]
            status, headers, picture = node.ask(path)
            self.assertEqual((status, headers["Content-Type"]), (200, "image/png"))
            self.assertEqual(picture[:8], b"\x89PNG\r\n\x1a\n")
            self.assertEqual(int.from_bytes(picture[16:20], "big"), 160)
            self.assertEqual(node.ask(path)[2], picture)
            # The same as the preview of the middle frame.
            out = self.folder / "preview.png"
            run(DCBTOOL, "preview", self.archive / "ct.dcbs", "-f",
                int(series[0]["instances"]) // 2, "--size", 160, "-o", out)
            self.assertEqual(self.pixels(out.read_bytes()), self.pixels(picture))
            self.assertEqual(node.ask("/thumbnail.png?series=1.2.3")[0], 404)
            self.assertEqual(node.ask("/thumbnail.png")[0], 404)

    @staticmethod
    def pixels(png):
        """The bytes of a PNG's image data, unpacked but still filtered: enough to compare."""
        import zlib
        at, data = 8, b""
        while at < len(png):
            nbytes = int.from_bytes(png[at:at + 4], "big")
            if png[at + 4:at + 8] == b"IDAT":
                data += png[at + 8:at + 8 + nbytes]
            at += 12 + nbytes
        return zlib.decompress(data)

    def test_patient_data_stay_hidden(self):
        uid = study_uid(PHANTOM)
        with HttpNode(self.archive) as node:
            body = node.ask("/studies.json")[2].decode()
            studies = json.loads(body)["studies"]
            self.assertEqual(len(studies), 2)
            for study in studies:
                self.assertEqual(set(study), {"date", "modalities", "series", "instances"})
            for answer in node.findscu("QueryRetrieveLevel=STUDY", "PatientName", "PatientID",
                                       "StudyInstanceUID"):
                for word in (str(answer.PatientName), answer.PatientID, answer.StudyInstanceUID):
                    self.assertNotIn(word, body)
            for path in ("/studies.json?q=x", "/series.json?study=" + uid,
                         "/thumbnail.png?series=" + uid):
                status, _, body = node.ask(path)
                self.assertEqual(status, 403, path)
                self.assertIn(b"http_patient_data", body)
            self.assertFalse(node.json("/status.json")["patient_data"])


class Access(Http):
    def token_file(self, content=TOKEN + "\n"):
        path = self.folder / "token"
        path.write_text(content)
        return path

    def test_token(self):
        def basic(pair):
            return "Basic " + base64.b64encode(pair.encode()).decode()
        with HttpNode(self.archive, "--http-token-file", self.token_file()) as node:
            for given in (None, "Bearer wrong", "Bearer " + TOKEN[:-1], "Bearer " + TOKEN + "x",
                          basic("admin:wrong"), basic(TOKEN), "Basic %%%", "Digest " + TOKEN,
                          "Bearer", "Basic " + "A" * 2000, TOKEN):
                headers = {"Authorization": given} if given else {}
                for path in ("/", "/status.json", "/metrics", "/status.js", "/nothing",
                             "/studies.json"):
                    status, answered, _ = node.ask(path, **headers)
                    self.assertEqual(status, 401, (path, given))
                    self.assertIn("Basic realm", answered["WWW-Authenticate"])
            for given in ("Bearer " + TOKEN, "bearer " + TOKEN, basic("anyone:" + TOKEN)):
                self.assertEqual(node.ask("/status.json", Authorization=given)[0], 200)
                self.assertEqual(node.ask("/", Authorization=given)[0], 200)
            self.assertEqual(node.ask("/healthz")[0], 200)
            self.assertEqual(node.ask("/readyz")[0], 200)
            self.assertTrue(node.wait_for_log("http.refused.*wrong token"))
            self.assertNotIn(TOKEN, "\n".join(node.log))

    def refused(self, *options, configuration=""):
        path = self.folder / "conf.yaml"
        path.write_text(configuration)
        done = run(DCBSCP, "--archive", self.archive, "--state", self.folder / "state", "--port", 0,
                   "-c", path, *options, check=False)
        self.assertNotEqual(done.returncode, 0)
        return [line for line in done.text.splitlines() if line.startswith("dcbscp:")][-1]

    def test_beyond_loopback_a_token_is_needed(self):
        for address in ("0.0.0.0", "::"):
            line = self.refused("--http-port", 0, "--http-bind", address)
            self.assertIn("http_token_file", line)
            self.assertIn(address, line)
        with HttpNode(self.archive, "--http-bind", "0.0.0.0", "--http-token-file",
                      self.token_file()) as node:
            self.assertEqual(node.ask("/status.json", Authorization="Bearer " + TOKEN)[0], 200)
            self.assertEqual(node.ask("/status.json")[0], 401)

    def test_bad_token_files_and_ports(self):
        for content in ("", "short\n", "with space in it, long\n", "x" * 300, TOKEN + "\nmore\n"):
            line = self.refused("--http-port", 0, "--http-token-file", self.token_file(content))
            self.assertIn("expected one line", line)
        self.assertIn("cannot read", self.refused("--http-port", 0, "--http-token-file", "/nowhere"))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            line = self.refused("--http-port", taken.getsockname()[1])
            self.assertIn("cannot listen for HTTP", line)
        self.assertIn("expected off or a number", self.refused("--http-port", "yes"))

    def test_only_its_own_names(self):
        """What a page of the web could reach by a name that it points to this machine."""
        with HttpNode(self.archive) as node:
            port = node.http_port
            for host, status in ((f"localhost:{port}", 200), ("127.0.0.1", 200), ("[::1]:80", 200),
                                 (f"evil.example:{port}", 403), ("localhost.evil.example", 403),
                                 ("127.0.0.1.evil.example", 403), ("[::1", 403), ("", 403)):
                self.assertEqual(node.ask("/status.json", Host=host)[0], status, host)

    def test_headers_keep_the_browser_in_bounds(self):
        with HttpNode(self.archive) as node:
            for path in ("/", "/status.css", "/status.js", "/status.json", "/metrics", "/nothing"):
                _, headers, body = node.ask(path)
                policy = headers["Content-Security-Policy"]
                self.assertIn("default-src 'none'", policy)
                self.assertIn("frame-ancestors 'none'", policy)
                self.assertNotIn("unsafe", policy)
                self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
                self.assertEqual(headers["Cache-Control"], "no-store")
                self.assertEqual(len(body), int(headers["Content-Length"]))
            page = node.ask("/")[2].decode()
            self.assertNotRegex(page, r"https?://|<style|<script>|\son[a-z]+=|\sstyle=")

    def test_methods_and_bodies(self):
        with HttpNode(self.archive) as node:
            self.assertEqual(node.ask("/nothing")[0], 404)
            self.assertEqual(node.ask("/status.json", method="POST")[0], 405)
            self.assertEqual(node.ask("/rescan")[0], 405)
            self.assertEqual(node.ask("/status.json", method="DELETE")[0], 501)
            self.assertEqual(node.ask("/../etc/passwd")[0], 404)
            with socket.create_connection(("127.0.0.1", node.http_port)) as s:
                s.sendall(b"POST /rescan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n")
                self.assertIn(b" 413 ", s.recv(4096))
            with socket.create_connection(("127.0.0.1", node.http_port)) as s:
                s.sendall(b"GET /" + b"x" * 40000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                s.settimeout(20)
                try:
                    answer = s.recv(4096)
                except ConnectionError:
                    answer = b" 4"
                self.assertTrue(not answer or b" 4" in answer[:16], answer[:80])
            self.assertEqual(node.ask("/healthz")[0], 200)

    def test_idle_connections_push_nobody_out(self):
        """Many that send nothing, or half a request: one that asks is answered."""
        with HttpNode(self.archive) as node:
            silent = []
            try:
                for i in range(120):
                    s = socket.create_connection(("127.0.0.1", node.http_port), timeout=20)
                    if i % 2:
                        s.sendall(b"GET /status.json HTTP/1.1\r\nHost: local")
                    silent.append(s)
                self.assertEqual(node.ask("/healthz")[0], 200)
                node.echoscu()
            finally:
                for s in silent:
                    s.close()
            self.assertEqual(node.ask("/readyz")[0], 200)

    def test_rescan(self):
        with HttpNode(self.archive) as node:
            self.assertEqual(node.ask("/rescan", method="POST")[0], 403)
            start = len(node.log)
            self.assertEqual(node.ask("/rescan", method="POST", X_Requested_With="test")[0], 202)
            node.wait_for_log("scan.asked_for reads=news", start=start)
            start = len(node.log)
            self.assertEqual(
                node.ask("/rescan?all=1", method="POST", X_Requested_With="test")[0], 202)
            self.assertIn("read=2", node.wait_for_log("scan.finished files=2", start=start))
            self.assertEqual(node.json("/status.json")["archive"]["instances"], node.ninstances)


class UnderLoad(Http):
    def test_dicom_and_http_at_once(self):
        """Retrievals go on correctly while everything is asked for again and again."""
        require("getscu")
        with HttpNode(self.archive, patient_data=True) as node:
            uid = study_uid(PHANTOM)
            series = node.json("/series.json?study=" + uid)["series"][0]["uid"]
            stop, failures, asked = threading.Event(), [], []

            def ask():
                while not stop.is_set():
                    for path in ("/status.json", "/metrics", "/studies.json?q=a", "/status.txt",
                                 "/thumbnail.png?series=" + series):
                        status, _, _ = node.ask(path)
                        asked.append(path)
                        if status != 200:
                            failures.append((path, status))
            threads = [threading.Thread(target=ask) for _ in range(3)]
            for thread in threads:
                thread.start()
            try:
                for i in range(3):
                    got = self.folder / f"got{i}"
                    got.mkdir()
                    node.getscu(got, "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={uid}")
                    uids = {pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID
                            for p in got.iterdir()}
                    self.assertEqual(len(uids), node.ninstances - 3)
                end = time.monotonic() + 120
                while len(asked) <= 20 and not failures and time.monotonic() < end:
                    time.sleep(0.05)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            self.assertEqual(failures, [])
            self.assertGreater(len(asked), 20)


if __name__ == "__main__":
    unittest.main()
