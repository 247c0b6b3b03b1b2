# SPDX-License-Identifier: Apache-2.0
"""Pictures of DICOM files of any transfer syntax, held against those of DCMTK."""

import pathlib
import re
import shutil
import struct
import tempfile
import unittest
import zlib

import pydicom
from pydicom.uid import ExplicitVRLittleEndian

from support.golden import OWN
from support.node import DCBTOOL, require, run

SOURCE = sorted((OWN / "ct_phantom_small" / "source").glob("*.dcm"))[0]


def read_png(path):
    """(width, height, bytes of RGB); of PNGs as we write them: 8 bits, not interlaced."""
    data, at, packed = pathlib.Path(path).read_bytes(), 8, b""
    while at < len(data):
        nbytes, kind = struct.unpack(">I4s", data[at:at + 8])
        value = data[at + 8:at + 8 + nbytes]
        if kind == b"IHDR":
            width, height, bits, colour = struct.unpack(">IIBB", value[:10])
            assert (bits, colour) == (8, 2)
        elif kind == b"IDAT":
            packed += value
        at += 12 + nbytes
    raw, stride, above, pixels = zlib.decompress(packed), 3 * width, bytes(3 * width), b""
    for y in range(height):
        start = y * (stride + 1)
        line = bytearray(raw[start + 1:start + 1 + stride])
        for x in range(stride):
            a = line[x - 3] if x >= 3 else 0
            b, c = above[x], above[x - 3] if x >= 3 else 0
            paeth = min((a, b, c), key=lambda v: abs(a + b - c - v))  # in this order where equal
            line[x] = line[x] + (0, a, b, (a + b) // 2, paeth)[raw[start]] & 255
        above = bytes(line)
        pixels += above
    return width, height, pixels


def read_pnm(path):
    """The same of dcmj2pnm's: gray becomes RGB."""
    data = pathlib.Path(path).read_bytes()
    head = re.match(rb"P([56])\s(?:#[^\n]*\n)?(\d+)\s(\d+)\s255\s", data)
    pixels = data[head.end():]
    if head[1] == b"5":
        pixels = bytes(v for v in pixels for _ in range(3))
    return int(head[2]), int(head[3]), pixels


class Preview(unittest.TestCase):
    def setUp(self):
        require("dcmj2pnm", "dcml2pnm", "dcmconv", "dcmcjpeg", "dcmcrle", "dcmcjpls")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="preview-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def preview(self, path, *options):
        out = self.folder / "preview.png"
        run(DCBTOOL, "preview", path, "-f", "0", *options, "-o", out)
        return read_png(out)

    def compare(self, path, most, *options, judge=()):
        """Every pixel, by no more than `most`."""
        out = self.folder / "judge.pnm"
        syntax = str(pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)
        tool = "dcml2pnm" if syntax.startswith("1.2.840.10008.1.2.4.8") else "dcmj2pnm"
        run(tool, "--write-raw-pnm", "--no-overlays", *judge, path, out)
        expected, got = read_pnm(out), self.preview(path, *options)
        self.assertEqual(got[:2], expected[:2])
        self.assertEqual(len(got[2]), len(expected[2]))
        self.assertLessEqual(max(abs(a - b) for a, b in zip(got[2], expected[2])), most)
        self.assertGreater(len(set(got[2])), 20)  # there is something to be seen

    def test_gray_in_every_syntax(self):
        conversions = {"dcmconv": ("+te", "+ti", "+tb", "+td"), "dcmcjpeg": ("+e1", "+el"),
                       "dcmcrle": ("",), "dcmcjpls": ("+el",)}
        window = ("--window", "40,400"), ("+Ww", "40", "400")
        reference = self.preview(SOURCE, *window[0])
        for tool, syntaxes in conversions.items():
            for syntax in syntaxes:
                with self.subTest(tool=tool, syntax=syntax):
                    path = self.folder / "converted.dcm"
                    run(tool, *filter(None, [syntax]), SOURCE, path)
                    self.compare(path, 1, *window[0], judge=window[1])
                    self.assertEqual(self.preview(path, *window[0]), reference)
        with self.subTest(syntax="HTJ2K"):
            run(DCBTOOL, "pack", SOURCE, "-o", self.folder / "packed")
            packed = next((self.folder / "packed").rglob("*.dcbs"))
            self.assertEqual(self.preview(packed, *window[0]), reference)
            run(DCBTOOL, "extract", packed, "--all", "--syntax", "htj2k", "-o",
                self.folder / "htj2k")
            extracted = next((self.folder / "htj2k").iterdir())
            self.assertEqual(str(pydicom.dcmread(extracted).file_meta.TransferSyntaxUID),
                             "1.2.840.10008.1.2.4.201")
            self.assertEqual(self.preview(extracted, *window[0]), reference)

    def colour(self, **changes):
        """An RGB image of 40 x 24; returns its path."""
        rows, columns = 24, 40
        dataset = pydicom.dcmread(SOURCE)
        for name in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth",
                     "PixelPaddingValue", "SmallestImagePixelValue", "LargestImagePixelValue"):
            if name in dataset:
                delattr(dataset, name)
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, columns, 3
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelRepresentation = 0
        pixels = [(6 * x, 10 * y, 255 - 5 * x) for y in range(rows) for x in range(columns)]
        dataset.PixelData = bytes(v for pixel in pixels for v in pixel)
        for name, value in changes.items():
            setattr(dataset, name, value(pixels) if callable(value) else value)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = self.folder / "colour.dcm"
        dataset.save_as(path)
        return path

    def test_colour(self):
        by_pixel = self.preview(self.colour())
        self.assertEqual(by_pixel[2], self.colour_bytes())
        self.compare(self.folder / "colour.dcm", 0)
        planes = self.colour(PlanarConfiguration=1, PixelData=lambda pixels: bytes(
            pixel[i] for i in range(3) for pixel in pixels))
        self.compare(planes, 0)
        self.assertEqual(self.preview(planes), by_pixel)
        # Lossy: YBR_FULL_422 in the file.
        lossy = self.folder / "lossy.dcm"
        run("dcmcjpeg", "+eb", "+q", "95", self.colour(), lossy)
        self.assertEqual(pydicom.dcmread(lossy).PhotometricInterpretation, "YBR_FULL_422")
        self.compare(lossy, 3)
        for tool, options in (("dcmcrle", ()), ("dcmcjpls", ("+el",)), ("dcmcjpeg", ("+e1",))):
            with self.subTest(tool=tool):
                path = self.folder / "compressed.dcm"
                run(tool, *options, self.colour(), path)
                self.compare(path, 1)

    @staticmethod
    def colour_bytes():
        return bytes(v for y in range(24) for x in range(40) for v in (6 * x, 10 * y, 255 - 5 * x))

    def test_the_first_of_several_frames(self):
        dataset = pydicom.dcmread(SOURCE)
        first = dataset.PixelData
        dataset.NumberOfFrames = 3
        dataset.PixelData = first + first[::-1] + bytes(len(first))
        path, compressed = self.folder / "frames.dcm", self.folder / "compressed.dcm"
        dataset.save_as(path)
        run("dcmcrle", path, compressed)
        expected = self.preview(SOURCE, "--size", "64")
        self.assertEqual(expected[:2], (64, 64))
        self.assertEqual(self.preview(path, "--size", "64"), expected)
        self.assertEqual(self.preview(compressed, "--size", "64"), expected)

    def test_what_cannot_be_shown(self):
        for what, says in (("none", "no Pixel Data"), ("few", "Pixel Data has")):
            with self.subTest(what=what):
                dataset = pydicom.dcmread(SOURCE)
                if what == "none":
                    del dataset.PixelData
                else:
                    dataset.PixelData = dataset.PixelData[:-100]
                path = self.folder / f"{what}.dcm"
                dataset.save_as(path)
                done = run(DCBTOOL, "preview", path, "-f", "0", "-o", self.folder / "x.png",
                           check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(says, done.text)
                self.assertIn(str(path), done.text)


if __name__ == "__main__":
    unittest.main()
