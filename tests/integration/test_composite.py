# SPDX-License-Identifier: Apache-2.0
"""Relational retrieve, Composite Instance Root Retrieve (PS3.4 annex Y) and Composite Instance
Retrieve Without Bulk Data (annex Z) on the wire."""

import collections
import pathlib
import re
import shutil
import struct
import tempfile
import unittest

import numpy
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from support.golden import OWN
from support.judges import dciodvfy_errors
from support.node import DCBTOOL, Node, require, run
from support.store_scp import StoreScp, first_of
from test_store import raw_dataset
from test_transcode import (CLASSES, EXPLICIT, HTJ2K, IMPLICIT, JPEG_LOSSLESS, SEND, decoded, make,
                            picture, samples_of, spooled)

CT = "1.2.840.10008.5.1.4.1.1.2"
PHANTOM = OWN / "ct_phantom_small"
SIMPLE, RANGES, TIMES = "00081161", "00081162", "00081163"


def numbers(*values):
    return "hex:" + struct.pack(f"<{len(values)}I", *values).hex()


class Composite(unittest.TestCase):
    def setUp(self):
        require("storescu", "dcmcjpeg", "gdcmconv")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="composite-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.archive = self.folder / "archive"
        self.archive.mkdir()

    def node(self):
        return Node(self.archive, "--store", self.archive, "-c", spooled(self.folder))

    def get(self, node, *options, model="composite", level="IMAGE", syntax=EXPLICIT, check=True):
        out = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        self.response = node.client("get", "--model", model, "--level", level, "--out", out,
                                    "--sop-class", f"{CT},{CLASSES}", "--separate", "--syntax",
                                    syntax, *options, check=check).text
        return {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID): p
                for p in out.iterdir()}

    def frames(self, node, uid, *keys, status=None, **options):
        words = [word for tag, value in keys for word in ("--key", f"{tag}={value}")]
        got = self.get(node, "--key", f"00080018={uid}", *words, level="FRAME",
                       check=status is None, **options)
        if status is not None:
            self.assertRegex(self.response, f"status={status}")
            self.assertEqual(got, {})
            return None
        self.assertEqual(len(got), 1, self.response)
        return next(iter(got.values()))

    def store(self, node, *paths):
        for path in paths:
            syntax = str(pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)
            run("storescu", "-aec", node.ae_title, *([SEND[syntax]] if syntax in SEND else []),
                *node.address(), path)

    def make_multi_frame(self, name, nframes=6, **changes):
        return make(self.folder, name, picture((nframes, 37, 41), 0, 4095, "<u2"), 12,
                    FrameIncrementPointer=0x00181063, FrameTime="40", **changes)

    # ---- IMAGE level ----

    def test_images_by_their_uid_alone(self):
        run(DCBTOOL, "pack", PHANTOM / "source", "-o", self.archive)
        sources = {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID): p
                   for p in (PHANTOM / "source").glob("*.dcm")}
        wanted = sorted(sources)[1:4]
        with self.node() as node:
            key = ("--key", "00080018=" + "\\".join(wanted))
            for model, options in (("composite", ()), ("study", ("--relational",)),
                                   ("patient", ("--relational",))):
                with self.subTest(model=model):
                    got = self.get(node, *key, *options, model=model)
                    self.assertEqual(sorted(got), wanted)
                    self.assertIn("status=0000 completed=3 failed=0 warning=0", self.response)
                    for uid, path in got.items():
                        numpy.testing.assert_array_equal(
                            pydicom.dcmread(sources[uid]).pixel_array,
                            pydicom.dcmread(path).pixel_array)
            # Without the negotiation the keys above are needed.
            self.assertEqual(self.get(node, *key, model="study", check=False), {})
            self.assertIn("status=A900", self.response)
            got = self.get(node, "--key", "00080018=1.2.3.4.5")
            self.assertEqual(got, {})
            self.assertIn("status=0000 completed=0", self.response)

    # ---- Without bulk data ----

    def test_headers_leave_without_a_frame_read(self):
        packed = self.folder / "packed"
        run(DCBTOOL, "pack", PHANTOM / "source", "-o", packed)
        [path] = packed.rglob("*.dcbs")
        content = bytearray(path.read_bytes())
        # Every frame is overwritten: who reads one fails.
        count, offsets, lengths = (struct.unpack_from("<Q", content, at)[0] for at in (108, 76, 92))
        for i in range(count):
            at, = struct.unpack_from("<Q", content, offsets + 8 * i)
            n, = struct.unpack_from("<Q", content, lengths + 8 * i)
            content[at:at + n] = b"\xAA" * n
        (self.archive / "damaged.dcbs").write_bytes(content)
        sources = {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID): p
                   for p in (PHANTOM / "source").glob("*.dcm")}
        key = ("--key", "00080018=" + "\\".join(sorted(sources)))
        with self.node() as node:
            self.assertEqual(node.ninstances, len(sources))
            for syntax in (EXPLICIT, IMPLICIT, HTJ2K):
                got = self.get(node, *key, model="headers", syntax=syntax)
                self.assertEqual(got.keys(), sources.keys())
                self.assertIn(f"completed={len(sources)} failed=0", self.response)
                for uid, served in got.items():
                    expected, header = pydicom.dcmread(sources[uid]), pydicom.dcmread(served)
                    del expected.PixelData
                    expected.pop(0x60003000, None)
                    for element in expected:
                        if syntax != IMPLICIT or not element.tag.is_private:
                            self.assertEqual(element, header[element.tag])
                    self.assertEqual(len(expected), len(header))
            # They are damaged indeed.
            self.get(node, *key, check=False)
            self.assertIn(f"status=A702 completed=0 failed={len(sources)}", self.response)

    def test_what_is_bulk(self):
        path = self.make_multi_frame("bulk")
        dataset = pydicom.dcmread(path)
        dataset.add_new(0x60003000, "OW", b"\1\2" * 200)
        dataset.add_new(0x60000010, "US", 37)
        dataset.add_new(0x56000020, "OF", b"\0" * 8)
        dataset.add_new(0x50003000, "OW", b"\1\2")
        dataset.add_new(0x00287FE0, "UR", "http://localhost/pixels")
        icon = Dataset()
        icon.add_new(0x7FE00010, "OB", b"\5\6")
        icon.Rows = icon.Columns = 1
        dataset.IconImageSequence = Sequence([icon])
        waveform = Dataset()
        waveform.add_new(0x54001010, "OW", b"\1\2\3\4")
        waveform.WaveformSampleInterpretation = "SS"
        dataset.WaveformSequence = Sequence([waveform])
        dataset.save_as(path)
        with self.node() as node:
            self.store(node, path)
            got = self.get(node, "--key", f"00080018={dataset.SOPInstanceUID}", model="headers")
        header = pydicom.dcmread(got[str(dataset.SOPInstanceUID)])
        left_out = {e.tag for e in dataset} - {e.tag for e in header}
        self.assertEqual(left_out, {0x60003000, 0x56000020, 0x50003000, 0x00287FE0, 0x7FE00010})
        self.assertEqual(header.IconImageSequence, dataset.IconImageSequence)
        del waveform[0x54001010]
        self.assertEqual(list(header.WaveformSequence), [waveform])

    # ---- FRAME level ----

    def check_frames(self, served, source, chosen, key, value):
        got, expected = pydicom.dcmread(served), pydicom.dcmread(source)
        numpy.testing.assert_array_equal(
            samples_of(source)[[n - 1 for n in chosen]], decoded(served, self.folder))
        self.assertEqual(got.NumberOfFrames, len(chosen))
        self.assertNotEqual(got.SOPInstanceUID, expected.SOPInstanceUID)
        for keyword in ("SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID"):
            self.assertEqual(got[keyword], expected[keyword])
        [item] = got[0x0008, 0x1164].value
        self.assertEqual(item[0x0008, 0x1167].value, expected.SOPInstanceUID)
        self.assertEqual(item[key].value, value)
        self.assertEqual(got.ContributingEquipmentSequence[-1].PurposeOfReferenceCodeSequence[0]
                         .CodeValue, "109105")
        self.assertEqual(dciodvfy_errors(served) - dciodvfy_errors(source), collections.Counter())
        return got

    def test_frames(self):
        native = self.make_multi_frame("native")
        uid = str(pydicom.dcmread(native).SOPInstanceUID)
        compressed, compressed_source = self.folder / "jpeg.dcm", self.make_multi_frame("jpeg-source")
        run("dcmcjpeg", "+e1", compressed_source, compressed)
        jpeg_uid = str(pydicom.dcmread(compressed).SOPInstanceUID)
        with self.node() as node:
            self.store(node, native, compressed)
            served = self.frames(node, uid, (SIMPLE, numbers(2, 3, 6)))
            self.check_frames(served, native, [2, 3, 6], 0x00081161, [2, 3, 6])
            again = self.frames(node, uid, (SIMPLE, numbers(2, 3, 6)))
            self.assertEqual(served.read_bytes(), again.read_bytes())
            served = self.frames(node, uid, (SIMPLE, numbers(2, 3)))
            self.assertEqual(pydicom.dcmread(served).FrameTime, 40)
            served = self.frames(node, uid, (RANGES, numbers(1, 4, 3, 5, 99, 1)))
            got = self.check_frames(served, native, [1, 4, 5, 6], 0x00081162, [1, 4, 3, 5, 99, 1])
            self.assertEqual(got.FrameTimeVector, [0, 120, 40, 40])
            self.assertEqual(got.FrameIncrementPointer, 0x00181065)
            served = self.frames(node, uid, (RANGES, numbers(1, 6, 2)))
            got = self.check_frames(served, native, [1, 3, 5], 0x00081162, [1, 6, 2])
            self.assertEqual(got.FrameTime, 80)
            served = self.frames(node, uid, (TIMES, "hex:" + struct.pack("<2d", 0.04, 0.1).hex()))
            self.check_frames(served, native, [2, 3], 0x00081163, [0.04, 0.1])
            # As it is stored, and decoded, from a compressed one.
            for syntax in (JPEG_LOSSLESS, EXPLICIT, HTJ2K):
                served = self.frames(node, jpeg_uid, (SIMPLE, numbers(1, 5)), syntax=syntax)
                self.assertEqual(pydicom.dcmread(served).file_meta.TransferSyntaxUID, syntax)
                numpy.testing.assert_array_equal(samples_of(compressed_source)[[0, 4]],
                                                 decoded(served, self.folder))

    def test_functional_groups_are_cut(self):
        path = self.make_multi_frame("groups", nframes=3)
        dataset = pydicom.dcmread(path)
        groups = []
        for i in range(3):
            group, content = Dataset(), Dataset()
            content.FrameAcquisitionNumber = i + 1
            group.FrameContentSequence = Sequence([content])
            groups.append(group)
        dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
        # Slice Vector and Slice Location Vector tell frames apart; angles come beside them.
        dataset.add_new(0x00280009, "AT", [0x00540080, 0x00182005])
        dataset.add_new(0x00540080, "US", [7, 8, 9])
        dataset.add_new(0x00182005, "DS", ["1.5", "2.50", "-3"])
        dataset.add_new(0x00181520, "DS", ["0", "10", "20"])
        dataset.add_new(0x00181521, "DS", "5")  # one for all
        dataset.add_new(0x00286020, "US", 2)
        dataset.add_new(0x00286010, "US", 3)
        dataset.add_new(0x00290010, "LO", "PRIVATE")
        dataset.add_new(0x00291001, "LO", "frame 2")
        del dataset.FrameTime
        dataset.save_as(path)
        uid = str(dataset.SOPInstanceUID)
        with self.node() as node:
            self.store(node, path)
            got = pydicom.dcmread(self.frames(node, uid, (SIMPLE, numbers(1, 3))))
            self.assertEqual([g.FrameContentSequence[0].FrameAcquisitionNumber
                              for g in got.PerFrameFunctionalGroupsSequence], [1, 3])
            self.assertEqual(list(got[0x00540080].value), [7, 9])
            self.assertEqual([str(v) for v in got[0x00182005].value], ["1.5", "-3"])
            self.assertEqual([str(v) for v in got[0x00181520].value], ["0", "20"])
            self.assertEqual(got[0x00181521].value, 5)
            self.assertNotIn(0x00286020, got)
            self.assertEqual(got[0x00286010].value, 2)
            self.assertNotIn(0x00291001, got)
            self.frames(node, uid, (TIMES, "hex:" + struct.pack("<2d", 0, 1).hex()), status="AA03")

    def test_frames_by_move(self):
        path = self.make_multi_frame("moved")
        uid = str(pydicom.dcmread(path).SOPInstanceUID)
        single = make(self.folder, "single", picture((37, 41), 0, 4095, "<u2"), 12)
        with StoreScp(accept=first_of(EXPLICIT)) as scp, Node(
                self.archive, "--store", self.archive, "-c", spooled(self.folder), "--destination",
                f"{{ae_title: DEST, host: 127.0.0.1, port: {scp.port}}}") as node:
            self.store(node, path, single)
            got = self.frames(node, uid, (SIMPLE, numbers(2, 5)))

            def move(uid, *options):
                return node.client("move", "--destination", "DEST", *options, "--key",
                                   f"00080018={uid}", "--key", f"{SIMPLE}={numbers(2, 5)}",
                                   "--model", "composite", "--level", "FRAME", check=False).text
            self.assertIn("status=0000 completed=1 failed=0 warning=0", move(uid))
            [stored] = scp.stored
            self.assertEqual(stored.data, raw_dataset(got))
            text = move(pydicom.dcmread(single).SOPInstanceUID)
            self.assertRegex(text, r"status=AA01 comment=")
            # By UID alone, where that is asked for.
            text = node.client("move", "--destination", "DEST", "--relational", "--level", "IMAGE",
                               "--key", f"00080018={uid}").text
            self.assertIn("status=0000 completed=1", text)
            self.assertEqual(len(scp.stored), 2)

    def test_frame_statuses(self):
        path = self.make_multi_frame("statuses")
        uid = str(pydicom.dcmread(path).SOPInstanceUID)
        single = make(self.folder, "single", picture((37, 41), 0, 4095, "<u2"), 12)
        odd = self.make_multi_frame("odd")
        dataset = pydicom.dcmread(odd)
        dataset.PerFrameFunctionalGroupsSequence = Sequence([Dataset()])
        dataset.save_as(odd)
        short = self.make_multi_frame("short")
        dataset_short = pydicom.dcmread(short)
        dataset_short.add_new(0x00280009, "AT", 0x00182005)
        dataset_short.add_new(0x00182005, "DS", ["1", "2"])
        dataset_short.save_as(short)
        with self.node() as node:
            self.store(node, path, single, odd, short)
            self.frames(node, str(dataset_short.SOPInstanceUID), (SIMPLE, numbers(1)),
                        status="AA02")
            self.frames(node, uid, (SIMPLE, numbers(7)), status="AA00")
            self.frames(node, uid, (RANGES, numbers(7, 9, 1)), status="AA00")
            self.frames(node, "1.2.3", (SIMPLE, numbers(1)), status="AA00")
            self.frames(node, str(pydicom.dcmread(single).SOPInstanceUID), (SIMPLE, numbers(1)),
                        status="AA01")
            self.frames(node, uid, (SIMPLE, numbers(1, 7)), status="AA02")
            self.frames(node, str(dataset.SOPInstanceUID), (SIMPLE, numbers(1)), status="AA02")
            self.frames(node, uid, status="AA04")
            self.frames(node, uid, (SIMPLE, numbers(2, 1)), status="AA04")
            self.frames(node, uid, (SIMPLE, numbers(1)), (RANGES, numbers(1, 2, 1)), status="AA04")
            self.frames(node, f"{uid}\\1.2.3", (SIMPLE, numbers(1)), status="A900")


if __name__ == "__main__":
    unittest.main()
