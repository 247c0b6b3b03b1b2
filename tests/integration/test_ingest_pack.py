# SPDX-License-Identifier: Apache-2.0
"""What came in by C-STORE is packed into .dcbs files: what leaves stays the same, through crashes."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import pydicom

from support.node import CLIENT, DCBTOOL, require, run, stock_environment
from test_store import (EXPLICIT, JPEG, JPEG_LOSSLESS, JPEG_LS, PHANTOM, RLE, Crash, StoreTest,
                        acknowledged, content, make_instances, raw_dataset)

# DCB_PACK_ROUNDS=500 for a long run.
ROUNDS = int(os.environ.get("DCB_PACK_ROUNDS", 5 if os.environ.get("DCB_QUICK") else 10))
STUDY = str(pydicom.dcmread(sorted(PHANTOM.glob("*.dcm"))[0]).StudyInstanceUID)


class PackTest(StoreTest):
    @property
    def spool(self):
        return self.archive / ".dcbscp-spool"

    def packing(self, after=0, **settings):
        return self.configured(pack_after_s=after, **settings)

    def pack_now(self, seconds=60):
        """Returns when all that waits was tried."""
        ask = self.spool / "pack-now"
        ask.touch()
        end = time.monotonic() + seconds
        while ask.exists():
            self.assertLess(time.monotonic(), end, "nothing packs")
            time.sleep(0.05)

    def spooled(self):
        return list(self.spool.rglob("0*.dcm"))

    def packed(self):
        return [p for p in self.archive.rglob("*.dcbs") if self.spool not in p.parents]

    def kept(self):
        return [p for p in self.archive.rglob("*.dcm") if self.spool not in p.parents]


class Packing(PackTest):
    def test_quiet_series_is_packed(self):
        sources = {str(pydicom.dcmread(p).SOPInstanceUID): p for p in PHANTOM.glob("*.dcm")}
        with self.packing(after=1) as node:
            self.storescu(node, *sources.values())
            line = node.wait_for_log("pack.done")
            self.assertRegex(line, f"packed={len(sources)} kept=0 replaced=0 merged=0 .*ratio=")
            self.assertEqual(self.spooled(), [])
            [file] = self.packed()
            for fetch, send in (("+xe", "-xe"), ("+xi", "-xi"), ("+xb", "-xb")):
                got = self.get(node, STUDY, fetch)
                self.assertEqual(got.keys(), sources.keys())
                for uid, path in sources.items():
                    if fetch == "+xe":
                        self.assertEqual(content(path), content(got[uid]))
                    a, b = pydicom.dcmread(path), pydicom.dcmread(got[uid])
                    self.assertTrue((a.pixel_array == b.pixel_array).all())
            [study] = node.findscu("0008,0052=STUDY", f"0020,000d={STUDY}", "0020,1208")
            self.assertEqual(study.NumberOfStudyRelatedInstances, len(sources))
        # By study, names from hashes, readable.
        self.assertRegex(str(file.relative_to(self.archive)),
                         r"^[0-9a-f]{16}/[0-9a-f]{16}-\d+\.dcbs$")
        self.assertIn(STUDY, run(DCBTOOL, "info", file).text)
        run(DCBTOOL, "verify", file)
        with self.packing() as node:
            self.assertEqual((node.nseries, node.ninstances), (1, len(sources)))
            self.assertEqual(self.get(node, STUDY).keys(), sources.keys())

    def test_late_arrivals_are_merged(self):
        made = make_instances(self.folder / "src", "1.2.90.1", 12, rows=64)
        paths = list(made.values())
        with self.packing() as node:
            for at in range(0, 12, 4):
                self.storescu(node, *paths[at:at + 4])
                self.pack_now()
                self.assertEqual(len(self.packed()), 1)
                self.assertEqual(self.spooled(), [])
                served = self.get_raw(node, "1.2.90.1")
                self.assertEqual(len(served), at + 4)
                for uid, path in list(made.items())[:at + 4]:
                    self.assertEqual(raw_dataset(path), raw_dataset(served[uid]))
            run(DCBTOOL, "verify", *self.packed())

    def test_compressed_sources(self):
        original = pydicom.dcmread(sorted(PHANTOM.glob("*.dcm"))[0])
        cases = [("dcmcrle", ("+un",), "-xr", RLE), ("dcmcjpeg", ("+e1", "+un"), "-xs", JPEG_LOSSLESS),
                 ("dcmcjpls", ("+un",), "-xt", JPEG_LS)]
        for tool, options, send, syntax in cases:
            require(tool)
            with self.subTest(syntax=syntax):
                shutil.rmtree(self.archive)
                self.archive.mkdir()
                path = self.folder / f"{tool}.dcm"
                run(tool, *options, sorted(PHANTOM.glob("*.dcm"))[0], path)
                with self.packing() as node:
                    self.storescu(node, path, options=[send])
                    self.pack_now()
                    self.assertEqual((len(self.packed()), self.kept()), (1, []))
                    [served] = map(pydicom.dcmread, self.get(node, STUDY).values())
                    self.assertTrue((served.pixel_array == original.pixel_array).all())
                    source = pydicom.dcmread(path)
                    for element in source:
                        if element.tag != 0x7FE00010:
                            self.assertEqual(element.value, served[element.tag].value)
                    # The same again is nothing new, though its pixels are encoded anew by now.
                    done = self.storescu(node, path, options=[send])
                    self.assertIn("Received Store Response (Success)", done.text)
                    self.assertEqual(self.spooled(), [])

    def test_lossy_is_kept_and_served(self):
        require("dcmcjpeg")
        path = self.folder / "lossy.dcm"
        run("dcmcjpeg", "+eb", "+Wi", "1", sorted(PHANTOM.glob("*.dcm"))[0], path)
        study = str(pydicom.dcmread(path).StudyInstanceUID)
        with self.packing() as node:
            self.storescu(node, path, options=["-xy"])
            self.pack_now()
            node.wait_for_log("pack.kept .*lossy")
            self.assertEqual((self.spooled(), self.packed(), len(self.kept())), ([], [], 1))
            [served] = self.get_raw(node, study, JPEG).values()
            self.assertEqual(content(path), content(served))
        shutil.rmtree(self.folder / "state", ignore_errors=True)
        with self.packing() as node:  # a new index finds it
            self.assertEqual(node.ninstances, 1)
            [served] = self.get_raw(node, study, JPEG).values()
            self.assertEqual(content(path), content(served))

    def test_replaced_after_packing(self):
        first = make_instances(self.folder / "a", "1.2.77.5", 2, PatientComments="first")
        second = make_instances(self.folder / "b", "1.2.77.5", 1, PatientComments="other")
        for policy, answer in (("keep-first", "first"), ("reject", "first"), ("replace", "other")):
            with self.subTest(policy=policy), self.packing(store_duplicates=policy) as node:
                self.storescu(node, *first.values())
                self.pack_now()
                self.storescu(node, *second.values(), check=False)
                for _ in range(2):
                    served = self.get(node, "1.2.77.5")
                    self.assertEqual(len(served), 2)
                    self.assertEqual(pydicom.dcmread(served["1.2.77.5.1.1"]).PatientComments,
                                     answer)
                    self.pack_now()
            shutil.rmtree(self.archive)
            self.archive.mkdir()

    def test_retrieval_while_packing(self):
        made = make_instances(self.folder / "src", "1.2.91", 150, rows=64)
        paths = list(made.values())
        failures = []

        def retrieve(node, stop):
            while not stop.is_set():
                served = self.get_raw(node, "1.2.91")
                if len(served) < 50:
                    failures.append(f"{len(served)} instances")
                failures.extend(uid for uid, path in served.items()
                                if raw_dataset(path) != raw_dataset(made[uid]))

        with self.packing() as node:
            self.storescu(node, *paths[:50])
            stop = threading.Event()
            readers = [threading.Thread(target=retrieve, args=(node, stop)) for _ in range(2)]
            for reader in readers:
                reader.start()
            for at in (50, 100, 150):
                self.pack_now()
                self.storescu(node, *paths[at:at + 50]) if at < 150 else None
            stop.set()
            for reader in readers:
                reader.join()
            self.assertEqual(failures, [])
            self.assertEqual(len(self.get_raw(node, "1.2.91")), 150)


class FullDisk(PackTest):
    def test_packing_waits_for_room(self):
        if os.geteuid() != 0:
            self.skipTest("only root can mount a small disk")
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs",
                                  str(self.archive)], check=False, capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("a tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", str(self.archive)], check=False)
        made = make_instances(self.folder / "src", "1.2.92", 20, rows=256)
        with self.packing(store_reserve_mb=0) as node:
            self.storescu(node, *made.values())
            self.assertEqual(len(self.get_raw(node, "1.2.92")), 20)  # in files, not only journaled
            ballast = self.archive / "ballast"
            free = shutil.disk_usage(self.archive).free
            ballast.write_bytes(bytes(free - (256 << 10)))
            self.pack_now()
            self.assertRegex(node.wait_for_log("pack.failed"), "No space left")
            self.assertEqual((len(self.spooled()), self.packed()), (20, []))
            self.assertEqual(list((self.spool / "packing").iterdir()), [])
            ballast.unlink()
            self.pack_now()
            self.assertEqual((self.spooled(), len(self.packed())), ([], 1))
            served = self.get_raw(node, "1.2.92")
            for uid, path in made.items():
                self.assertEqual(raw_dataset(path), raw_dataset(served[uid]))


class CrashWhilePacking(PackTest):
    """SIGKILL while series are packed, merged and switched, with senders at work."""

    start, end, check = Crash.start, staticmethod(Crash.end), Crash.check

    def test_sigkill_loses_nothing(self):
        rng = random.Random(2)
        expected, total = {}, 0
        made = {f"1.2.93.{k}": make_instances(self.folder / str(k), f"1.2.93.{k}", 6 * ROUNDS,
                                              rng.choice((40, 120, 200))) for k in range(3)}
        for number in range(ROUNDS):
            if self.spool.exists():
                (self.spool / "pack-now").touch()  # what is there is packed from the start on
            process, port, log, reader = self.start()
            senders, files = [], {}
            for study, instances in made.items():
                part = list(instances.items())[number * 6:(number + 1) * 6]
                files.update({str(path): uid for uid, path in part})
                senders.append(subprocess.Popen(
                    ["storescu", "-v", "-aec", "DCBSCP", "127.0.0.1", port,
                     *(str(path) for _, path in part)], stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, text=True, env=stock_environment()))
            end = time.monotonic() + 20
            while not any("association.accepted" in line for line in log) and time.monotonic() < end:
                time.sleep(0.005)
            time.sleep(rng.uniform(0.05, 0.4))
            process.send_signal(signal.SIGKILL)
            known = acknowledged([s.communicate()[0] for s in senders])
            self.end(process, reader)
            total += len(known)
            for path in known:
                expected[files[path]] = raw_dataset(path)
            if number % 25 == 24:
                self.check(expected)
        self.assertGreater(total, ROUNDS)
        self.check(expected)
        self.state = self.folder / "state"
        process, port, log, reader = self.start()
        self.pack_now()
        process.send_signal(signal.SIGTERM)
        self.end(process, reader)
        self.assertEqual(self.spooled(), [], log[-5:])
        self.assertEqual(len(self.packed()), 3)
        self.assertEqual(self.kept(), [])
        run(DCBTOOL, "verify", self.archive)
        self.check(expected)


del StoreTest, Crash, PackTest  # they have no tests of their own here


if __name__ == "__main__":
    unittest.main()
