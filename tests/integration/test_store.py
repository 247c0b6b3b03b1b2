# SPDX-License-Identifier: Apache-2.0
"""C-STORE to the node: what stock senders send comes back bit-exact, at once and after crashes."""

import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import pydicom

from support.golden import OWN, goldens
from support.http_node import HttpNode
from support.node import CLIENT, DCBSCP, Node, require, run, stock_environment

PHANTOM = OWN / "ct_phantom_small" / "source"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
RLE, JPEG_LOSSLESS = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.70"
JPEG_LS, JPEG = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.50"
ROUNDS = 8 if os.environ.get("DCB_QUICK") else 50


def content(path):
    """The data set but its trailing padding, which storescu leaves out, and the group lengths, which
    it writes anew."""
    dataset = pydicom.dcmread(path, force=True)
    dataset.pop(0xFFFCFFFC, None)
    return pydicom.Dataset({tag: dataset[tag] for tag in dataset.keys()
                           if tag >> 16 != 2 and tag & 0xFFFF != 0})


def raw_dataset(path):
    """The bytes of the data set."""
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    start = 128 + 4 + 12 + dataset.file_meta.FileMetaInformationGroupLength
    return pathlib.Path(path).read_bytes()[start:]


def make_instances(folder, study, count, rows=8, **changes):
    """Small CT instances of one series; returns their paths by SOP Instance UID."""
    dataset = pydicom.dcmread(sorted(PHANTOM.glob("*.dcm"))[0])
    dataset.Rows = dataset.Columns = rows
    dataset.StudyInstanceUID = study
    dataset.SeriesInstanceUID = study + ".1"
    made = {}
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        dataset.SOPInstanceUID = f"{study}.1.{i + 1}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber = i + 1
        dataset.PixelData = random.Random(f"{study}{i}").randbytes(2 * rows * rows)
        for name, value in changes.items():
            setattr(dataset, name, value)
        made[str(dataset.SOPInstanceUID)] = folder / f"{i:05}.dcm"
        dataset.save_as(made[str(dataset.SOPInstanceUID)])
    return made


SENT = re.compile(r"^I: Sending file: (.*)$|^I: Received Store Response \((.*)\)$", re.MULTILINE)


def acknowledged(outputs):
    """The files that storescu received a success for, by what it printed."""
    done, path = set(), None
    for text in outputs:
        for match in SENT.finditer(text):
            if match[1] is not None:
                path = match[1]
            elif match[2] == "Success":
                done.add(path)
    return done


class StoreTest(unittest.TestCase):
    def setUp(self):
        require("storescu", "getscu", "findscu")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="store-"))
        self.archive = self.folder / "archive"
        self.archive.mkdir()
        self.addCleanup(shutil.rmtree, self.folder)

    def node(self, *options):
        return Node(self.archive, "--store", self.archive, *options)

    def configured(self, **settings):
        conf = self.folder / "dcbscp.yaml"
        conf.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
        return self.node("-c", conf)

    def grow_journal(self):
        """As a large burst would leave it: instances may stay in it, without files."""
        spool = self.archive / ".dcbscp-spool"
        spool.mkdir(mode=0o700, exist_ok=True)
        for i in range(12):
            with open(spool / f"journal-{i}", "ab") as segment:
                segment.truncate(64 << 20)

    def storescu(self, node, *paths, options=(), check=True):
        return run("storescu", "-v", "-aec", node.ae_title, *options, *node.address(), *paths,
                   check=check)

    def get(self, node, study, *options):
        out = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        done = node.getscu(out, "0008,0052=STUDY", f"0020,000d={study}", options=options)
        self.assertNotRegex(done.text, r"(?m)^[EF]: ")
        return {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID): p
                for p in out.iterdir()}

    def get_raw(self, node, study, syntax=EXPLICIT):
        """By our client, which writes the data set's bytes as they came."""
        out = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        node.client("get", "--level", "STUDY", "--key", f"0020000D={study}", "--out", out,
                    "--syntax", syntax)
        return {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID): p
                for p in out.iterdir()}


class Store(StoreTest):
    def test_every_golden_source_comes_back_as_it_is(self):
        native = {EXPLICIT: "-xe", IMPLICIT: "-xi", BIG_ENDIAN: "-xb"}
        compared = 0
        for golden in goldens():
            self.clear()
            by_syntax = {}
            for uid, path in golden.sources.items():
                source = pydicom.dcmread(path, force=True, stop_before_pixels=True)
                syntax = str(source.file_meta.get("TransferSyntaxUID", ""))
                if syntax in native and len(by_syntax.setdefault(syntax, {})) < 5:
                    by_syntax[syntax][uid] = (path, str(source.StudyInstanceUID))
            with self.node() as node:
                for syntax, sources in by_syntax.items():
                    with self.subTest(golden=golden.name, syntax=syntax):
                        self.storescu(node, *[p for p, _ in sources.values()],
                                      options=[native[syntax], "-R"])
                        got = {}
                        for study in {s for _, s in sources.values()}:
                            got.update(self.get(node, study, native[syntax].replace("-", "+")))
                        self.assertEqual(got.keys(), sources.keys())
                        for uid, (path, _) in sources.items():
                            self.assertEqual(content(path), content(got[uid]))
                            compared += 1
        self.assertGreater(compared, 20)

    def clear(self):
        shutil.rmtree(self.archive)
        self.archive.mkdir()

    def convert(self, tool, *options):
        source = sorted(PHANTOM.glob("*.dcm"))[0]
        out = self.folder / f"{tool}{len(list(self.folder.iterdir()))}.dcm"
        run(tool, *options, source, out)
        return out

    def test_compressed_instances_are_kept_as_they_are(self):
        study = str(pydicom.dcmread(sorted(PHANTOM.glob("*.dcm"))[0]).StudyInstanceUID)
        cases = [("dcmcrle", (), "-xr", RLE), ("dcmcjpeg", ("+e1",), "-xs", JPEG_LOSSLESS),
                 ("dcmcjpeg", ("+eb", "+Wi", "1"), "-xy", JPEG), ("dcmcjpls", (), "-xt", JPEG_LS)]
        for tool, options, send, syntax in cases:
            require(tool)
            with self.subTest(syntax=syntax):
                self.clear()
                path = self.convert(tool, *options)
                with self.node() as node:
                    self.storescu(node, path, options=[send])
                    [served] = self.get_raw(node, study, syntax).values()
                    [spooled] = self.archive.rglob("*.dcm")
                    self.assertEqual(pydicom.dcmread(spooled).file_meta.TransferSyntaxUID, syntax)
                    self.assertEqual(content(path), content(served))
                    # And decoded for who takes nothing else (test_transcode.py has the pixels).
                    [decoded] = self.get(node, study).values()
                    self.assertEqual(pydicom.dcmread(decoded).file_meta.TransferSyntaxUID, EXPLICIT)

    def test_native_encodings_go_out_as_each_other(self):
        source = sorted(PHANTOM.glob("*.dcm"))[0]
        study = str(pydicom.dcmread(source).StudyInstanceUID)
        expected = pydicom.dcmread(source)
        for option, send in (("+te", "-xe"), ("+ti", "-xi"), ("+tb", "-xb"), ("+td", "-xd")):
            with self.subTest(stored=option):
                self.clear()
                path = self.convert("dcmconv", option)
                with self.node() as node:
                    self.storescu(node, path, options=[send])
                    for fetch in ("+xe", "+xi", "+xb"):
                        [served] = map(pydicom.dcmread, self.get(node, study, fetch).values())
                        for element in expected:
                            if element.tag.is_private:
                                continue  # without a VR in Implicit VR
                            if element.tag == 0x7FE00010:
                                self.assertTrue((expected.pixel_array == served.pixel_array).all())
                            else:
                                self.assertEqual(element.value, served[element.tag].value)

    def test_found_at_once_at_every_level(self):
        made = make_instances(self.folder / "src", "1.2.77.1", 20)
        with self.node() as node:
            for i, path in enumerate(made.values()):
                self.storescu(node, path)
                [study] = node.findscu("0008,0052=STUDY", "0020,000d=1.2.77.1", "0020,1208",
                                       "0010,0010")
                self.assertEqual(study.NumberOfStudyRelatedInstances, i + 1)
            images = node.findscu("0008,0052=IMAGE", "0020,000d=1.2.77.1",
                                  "0020,000e=1.2.77.1.1", "0008,0018", "0020,0013",
                                  "0028,0010")
            self.assertEqual({str(i.SOPInstanceUID): i.Rows for i in images},
                             {uid: 8 for uid in made})
        with self.node() as node:
            self.assertEqual(node.ninstances, 20)

    def test_nothing_is_taken_without_a_store(self):
        with Node(self.archive) as node:
            done = self.storescu(node, *PHANTOM.glob("*.dcm"), check=False)
            self.assertIn("No Acceptable Presentation Contexts", done.text)
        self.assertEqual(list(self.archive.iterdir()), [])

    def test_reserve(self):
        with self.configured(store_reserve_mb=1048576) as node:
            done = self.storescu(node, *PHANTOM.glob("*.dcm"), check=False)
            self.assertRegex(done.text, "(?i)Refused: *OutOfResources|A700")
            self.assertEqual(list(self.archive.rglob("*.dcm")), [])
            node.echoscu()

    def test_larger_than_may_be(self):
        small = make_instances(self.folder / "a", "1.2.77.31", 1)
        large = make_instances(self.folder / "b", "1.2.77.32", 1, rows=1024)
        with self.configured(max_data_set_mb=1) as node:
            for paths in (large, small):
                done = self.storescu(node, *paths.values(), check=False)
                self.assertEqual(bool(re.search("(?i)Refused: *OutOfResources|A700", done.text)),
                                 paths is large, done.text)
            self.assertEqual(self.get(node, "1.2.77.31").keys(), small.keys())
            self.assertEqual(self.get(node, "1.2.77.32"), {})
            # The whole of it was read: the association went on.
            done = self.storescu(node, *large.values(), *small.values(), options=("-nh",),
                                 check=False)
            self.assertRegex(done.text, "(?s)OutOfResources.*Success")

    def test_duplicate_with_other_content(self):
        first = make_instances(self.folder / "a", "1.2.77.3", 1, PatientComments="first")
        other = make_instances(self.folder / "b", "1.2.77.3", 1, PatientComments="other")
        for policy, kept in (("keep-first", "first"), ("replace", "other"), ("reject", "first")):
            with self.subTest(policy=policy), self.configured(store_duplicates=policy) as node:
                self.storescu(node, *first.values())
                self.storescu(node, *first.values())
                done = self.storescu(node, *other.values(), check=False)
                self.assertRegex(done.text, "(?i)warning|B007|Refused|error|C000|cannot")
                [served] = self.get(node, "1.2.77.3").values()
                self.assertEqual(pydicom.dcmread(served).PatientComments, kept)
            self.clear()

    def test_four_senders_and_a_reader(self):
        studies = {f"1.2.78.{k}": make_instances(self.folder / f"s{k}", f"1.2.78.{k}", 60, rows=64)
                   for k in range(4)}
        with self.node() as node:
            senders = [subprocess.Popen(
                ["storescu", "-aec", node.ae_title, "+sd", *node.address(),
                 str(self.folder / f"s{k}")], env=stock_environment()) for k in range(4)]
            while any(s.poll() is None for s in senders):
                self.get_raw(node, "1.2.78.0")
            self.assertEqual([s.returncode for s in senders], [0] * 4)
            for study, made in studies.items():
                served = self.get_raw(node, study)
                self.assertEqual(served.keys(), made.keys())
                for uid, path in made.items():
                    self.assertEqual(raw_dataset(path), raw_dataset(served[uid]))

    def test_a_sender_that_vanishes(self):
        made = make_instances(self.folder / "big", "1.2.79", 1, rows=2000)
        with self.node() as node:
            sender = subprocess.Popen(
                ["storescu", "--max-send-pdu", "4096", "-aec", node.ae_title, *node.address(),
                 *map(str, made.values())], env=stock_environment())
            end = time.monotonic() + 20
            while not list(self.archive.rglob("*.part")) and time.monotonic() < end:
                if sender.poll() is not None:
                    break
            sender.kill()
            sender.wait()
            node.wait_for_log("association.(aborted|released)")
            self.assertEqual(list(self.archive.rglob("*.part")), [])
            self.storescu(node, *made.values())
            [served] = self.get_raw(node, "1.2.79").values()
            self.assertEqual(raw_dataset(served), raw_dataset(list(made.values())[0]))


class InTheJournal(StoreTest):
    """Instances that have no file: whoever looks for them finds them all the same."""

    def setUp(self):
        super().setUp()
        if shutil.disk_usage(self.archive).free < 16 << 30:
            self.skipTest("the journal does not grow where less than 16 GiB are free")
        self.grow_journal()
        self.made = make_instances(self.folder / "src", "1.2.95", 5, rows=64)

    def files(self):
        return len(list(self.archive.rglob("*.dcm")))

    def check_all(self, node):
        served = self.get_raw(node, "1.2.95")
        self.assertEqual(served.keys(), self.made.keys())
        for uid, path in self.made.items():
            self.assertEqual(raw_dataset(path), raw_dataset(served[uid]))

    def test_a_scan_leaves_them_alone(self):
        shutil.copy(OWN / "tiny3" / "series.dcbs", self.archive / "tiny.dcbs")
        with HttpNode(self.archive, "--store", self.archive, patient_data=True) as node:
            self.storescu(node, *self.made.values())
            start = len(node.log)
            done = node.ask("/rescan?all=1", method="POST", X_Requested_With="test")
            self.assertEqual(done[0], 202)
            node.wait_for_log("scan.finished", start=start)
            answers = node.findscu("0008,0052=IMAGE", "0020,000d=1.2.95", "0020,000e=1.2.95.1",
                                   "0008,0018", "0008,0056")
            self.assertEqual({str(a.SOPInstanceUID): a.InstanceAvailability for a in answers},
                             {uid: "ONLINE" for uid in self.made})
            self.assertEqual(self.files(), 0)
            # One of them is read for its picture.
            status, _, picture = node.ask("/thumbnail.png?series=1.2.95.1")
            self.assertEqual((status, picture[:8]), (200, b"\x89PNG\r\n\x1a\n"))
            self.assertEqual(self.files(), 1)
            self.check_all(node)
            self.assertEqual(self.files(), 5)

    def test_packed_without_files(self):
        with self.node() as node:
            self.storescu(node, *self.made.values())
            (self.archive / ".dcbscp-spool/pack-now").touch()
            self.assertIn(" packed=5 ", node.wait_for_log("pack.done"))
            self.assertEqual(self.files(), 0)
            self.check_all(node)
            # Once more into the same file; the switch is nothing to warn of.
            more = make_instances(self.folder / "more", "1.2.95", 7, rows=64)
            self.storescu(node, *list(more.values())[5:])
            start = len(node.log)
            (self.archive / ".dcbscp-spool/pack-now").touch()
            self.assertIn(" packed=2 ", node.wait_for_log("pack.done", start=start))
            self.made = more
            self.check_all(node)
            time.sleep(1)  # for the watch on the folder
        self.assertEqual([line for line in node.log if " warn " in line or " error " in line], [])
        self.assertEqual(len(list(self.archive.rglob("*.dcbs"))), 1)

    def test_files_after_a_restart(self):
        with self.node() as node:
            self.storescu(node, *self.made.values())
            self.assertEqual(self.files(), 0)
        self.assertEqual(self.files(), 5)
        with self.node() as node:
            self.check_all(node)


class Crash(StoreTest):
    """SIGKILL in the middle of parallel senders, again and again on the same spool."""

    nrestored = 0

    def start(self):
        self.state = self.folder / "state"
        process = subprocess.Popen(
            [str(DCBSCP), "--store", str(self.archive), "--state", str(self.state), "--port", "0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=stock_environment())
        log = []
        reader = threading.Thread(target=lambda: log.extend(process.stderr), daemon=True)
        reader.start()
        match = re.search(r"listening on \S+?:(\d+) as", process.stdout.readline())
        self.assertIsNotNone(match, log)
        return process, match[1], log, reader

    @staticmethod
    def end(process, reader):
        process.wait()
        reader.join()
        process.stdout.close()
        process.stderr.close()

    def send_and_end(self, number, how, rows, pause):
        """Three senders at once, the node ended meanwhile; what was acknowledged: data set bytes
        by SOP Instance UID."""
        made = {}
        for k in range(3):
            for uid, path in make_instances(self.folder / f"r{number}" / str(k),
                                            f"1.2.80.{number}.{k}", 40 if rows[k] < 800 else 4,
                                            rows[k]).items():
                made[str(path)] = uid
        process, port, log, reader = self.start()
        senders = [subprocess.Popen(
            ["storescu", "-v", "-aec", "DCBSCP", "+sd", "127.0.0.1", port,
             str(self.folder / f"r{number}" / str(k))], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env=stock_environment()) for k in range(3)]
        pause()
        process.send_signal(how)
        outputs = [s.communicate()[0] for s in senders]
        self.end(process, reader)
        for line in log:
            restored = re.search(r"spool.opened .*\brestored=(\d+)", line)
            self.nrestored += int(restored[1]) if restored else 0
        known = {made[path]: raw_dataset(path) for path in acknowledged(outputs)}
        shutil.rmtree(self.folder / f"r{number}")
        return process.returncode, known, log

    def test_sigkill_loses_nothing_acknowledged(self):
        rng = random.Random(1)
        expected = {}
        for number in range(ROUNDS):
            if number == ROUNDS // 3:
                self.grow_journal()
            # Now and then one that has a file of its own.
            rows = [800 if rng.random() < 0.1 else rng.choice((8, 40, 200)) for _ in range(3)]
            _, known, _ = self.send_and_end(number, signal.SIGKILL, rows,
                                            lambda: time.sleep(rng.uniform(0.02, 0.6)))
            expected.update(known)
            if number % 10 == 9 or number == ROUNDS - 1:
                self.check(expected)
        self.assertGreater(len(expected), ROUNDS)  # else nothing was proved
        if shutil.disk_usage(self.archive).free > 16 << 30:
            self.assertGreater(self.nrestored, ROUNDS)  # from the journal

    def test_sigterm_among_stores(self):
        """It stops by itself, with 0, and what was acknowledged is there."""
        expected = {}

        def count():
            return len(list(self.archive.rglob("*.dcm")))

        def one_was_answered():  # of four from three senders
            end = time.monotonic() + 60
            while count() <= before + 3 and time.monotonic() < end:
                time.sleep(0.005)

        for number in range(1000, 1003):
            before = count()
            status, known, log = self.send_and_end(number, signal.SIGTERM, [200, 200, 800],
                                                   one_was_answered)
            self.assertEqual(status, 0, "".join(log[-20:]))
            self.assertTrue(known)
            expected.update(known)
        self.check(expected)

    def check(self, expected):
        process, port, log, reader = self.start()
        try:
            out = self.folder / "got"
            studies = sorted({uid.rsplit(".", 2)[0] for uid in expected})
            got = {}
            for study in studies:
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                run(CLIENT, "--level", "STUDY", "--key", f"0020000D={study}", "--out", out,
                    "--syntax", EXPLICIT, "127.0.0.1", port, "get")
                for path in out.iterdir():
                    uid = str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
                    got[uid] = raw_dataset(path)
            missing = expected.keys() - got.keys()
            self.assertFalse(missing, f"{len(missing)} of {len(expected)} are missing\n" +
                             "".join(log[-20:]))
            for uid, data in expected.items():
                self.assertEqual(data, got[uid], uid)
        finally:
            process.send_signal(signal.SIGTERM)
            self.end(process, reader)
        self.assertEqual(process.returncode, 0, "".join(log[-20:]))
        # Only now: what an earlier node was asked to pack, this one may have been packing.
        self.assertEqual(list(self.archive.rglob("*.part")), [])


class FullDisk(StoreTest):
    def test_out_of_resources_and_back(self):
        if os.geteuid() != 0:
            self.skipTest("only root can mount a small disk")
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs",
                                  str(self.archive)], check=False, capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("a tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", str(self.archive)], check=False)
        made = make_instances(self.folder / "src", "1.2.81", 120, rows=512)
        for reserve in (8, 0):
            with self.subTest(reserve=reserve), self.configured(store_reserve_mb=reserve) as node:
                done = self.storescu(node, *made.values(), check=False, options=["-nh"])
                self.assertRegex(done.text, "(?i)OutOfResources|A700")
                kept = acknowledged([done.text])
                self.assertGreater(len(kept), 3)
                served = self.get_raw(node, "1.2.81")
                for uid, path in made.items():
                    if str(path) in kept:
                        self.assertEqual(raw_dataset(path), raw_dataset(served[uid]))
                free = shutil.disk_usage(self.archive).free
                self.assertGreaterEqual(free, (reserve - 1) << 20)
                node.echoscu()


if __name__ == "__main__":
    unittest.main()
