# SPDX-License-Identifier: Apache-2.0
"""Instances in other transfer syntaxes than they are stored in: decoded, compressed without loss, or
both, each held against its source by programs that decode by themselves (gdcmconv, opj_decompress,
DCMTK's dcmdrle, dcmdjpeg, dcmdjpls)."""

import collections
import pathlib
import re
import shutil
import tempfile
import unittest
import zlib

import numpy
import pydicom
from pydicom.encaps import encapsulate, generate_pixel_data_fragment
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian

from support.golden import OWN
from support.judges import dciodvfy_errors, htj2k_samples
from support.node import Node, require, run

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
HTJ2K, J2K, J2K_ANY = "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
JPEG_LS, NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
JPEG_LOSSLESS, RLE = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.5"
BASELINE, EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
NATIVE = (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED)
LOSSLESS = (HTJ2K, JPEG_LS, J2K, JPEG_LOSSLESS, RLE)
PHANTOM = sorted((OWN / "ct_phantom_small" / "source").glob("*.dcm"))
SECONDARY, MULTI_GRAY8 = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.2"
MULTI_GRAY16, MULTI_COLOUR = "1.2.840.10008.5.1.4.1.1.7.3", "1.2.840.10008.5.1.4.1.1.7.4"
REPORT = "1.2.840.10008.5.1.4.1.1.88.11"
CLASSES = ",".join((SECONDARY, MULTI_GRAY8, MULTI_GRAY16, MULTI_COLOUR, REPORT))
# The senders of storescu for compressed files.
SEND = {RLE: "-xr", JPEG_LOSSLESS: "-xs", BASELINE: "-xy", EXTENDED: "-xx", JPEG_LS: "-xt",
        NEAR: "-xu", J2K: "-xv", J2K_ANY: "-xw"}


def picture(shape, low, high, dtype):
    """Smooth with noise: what codecs are made for, and what they are not."""
    random = numpy.random.default_rng(7)
    rows, columns = shape[-2:]
    wave = numpy.sin(numpy.linspace(0, 9, columns)) + numpy.cos(numpy.linspace(0, 7, rows))[:, None]
    values = (wave + 2) / 4 * (high - low) + low + random.normal(0, (high - low) / 50, shape)
    values = numpy.clip(values, low, high).astype(dtype)
    values.flat[:2] = low, high
    return values


def make(folder, name, samples, bits, photometric="MONOCHROME2", planar=0, signed=False, **changes):
    """An instance of samples [frame,] row, column[, sample]; returns its path."""
    dataset = pydicom.dcmread(PHANTOM[0])
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter",
                    "WindowWidth", "SmallestImagePixelValue", "LargestImagePixelValue",
                    "PixelPaddingValue"):
        if keyword in dataset:
            delattr(dataset, keyword)
    colour = photometric in ("RGB", "YBR_FULL")
    frames = samples.shape[0] if samples.ndim == (4 if colour else 3) else None
    dataset.SOPClassUID = (SECONDARY if frames is None else MULTI_COLOUR if colour else
                           MULTI_GRAY8 if samples.itemsize == 1 else MULTI_GRAY16)
    dataset.SOPInstanceUID = f"1.2.90.3.{zlib.crc32(name.encode())}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.90.1", "1.2.90.2"
    dataset.SeriesDescription = name
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = photometric
    if colour:
        dataset.PlanarConfiguration = planar
    if frames is not None:
        dataset.NumberOfFrames = frames
    dataset.Rows, dataset.Columns = samples.shape[-3:-1] if colour else samples.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * samples.itemsize, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    stored = numpy.moveaxis(samples, -1, -3) if planar else samples
    content = stored.tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if samples.itemsize == 1 else "OW"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    path = folder / f"{name}.dcm"
    dataset.save_as(path, write_like_original=False)
    return path


def make_all(folder):
    """Sources of every kind that matters to a codec, by name; sizes are odd."""
    gray = (37, 41)
    folder.mkdir()
    made = {
        "gray8": make(folder, "gray8", picture(gray, 0, 255, "u1"), 8),
        "gray12": make(folder, "gray12", picture(gray, 0, 4095, "<u2"), 12),
        "gray16": make(folder, "gray16", picture(gray, 0, 65535, "<u2"), 16),
        "signed12": make(folder, "signed12", picture(gray, -2048, 2047, "<i2"), 12, signed=True),
        "signed16": make(folder, "signed16", picture(gray, -32768, 32767, "<i2"), 16, signed=True),
        "inverse": make(folder, "inverse", picture(gray, 0, 1023, "<u2"), 10, "MONOCHROME1"),
        # Bits beyond those stored, as old overlays have them.
        "overlay": make(folder, "overlay", picture(gray, 0, 4095, "<u2") | 0x8000, 12),
        "rgb": make(folder, "rgb", picture((3,) + gray, 0, 255, "u1").transpose(1, 2, 0), 8, "RGB"),
        "planes": make(folder, "planes", picture((3,) + gray, 0, 255, "u1").transpose(1, 2, 0), 8,
                       "RGB", planar=1),
        "ybr": make(folder, "ybr", picture((3,) + gray, 0, 255, "u1").transpose(1, 2, 0), 8,
                    "YBR_FULL"),
        "frames8": make(folder, "frames8", picture((5,) + gray, 0, 255, "u1"), 8),
        "frames16": make(folder, "frames16", picture((4,) + gray, -1000, 3000, "<i2"), 16,
                         signed=True),
        "colours": make(folder, "colours",
                        picture((3, 3) + gray, 0, 255, "u1").transpose(0, 2, 3, 1), 8, "RGB"),
        "colour_planes": make(folder, "colour_planes",
                              picture((3, 3) + gray, 0, 255, "u1").transpose(0, 2, 3, 1), 8, "RGB",
                              planar=1),
    }
    return made


def samples_of(path):
    """Of an uncompressed instance, as [frame,] row, column[, sample]."""
    dataset = pydicom.dcmread(path)
    dtype = numpy.dtype(f"{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}")
    values = numpy.frombuffer(dataset.PixelData, dtype.newbyteorder(
        "<" if dataset.is_little_endian else ">"))
    frames, count = int(dataset.get("NumberOfFrames", 1)), dataset.SamplesPerPixel
    n = frames * dataset.Rows * dataset.Columns * count
    assert len(dataset.PixelData) == n * dtype.itemsize + n * dtype.itemsize % 2
    values = values[:n]
    if count > 1 and dataset.PlanarConfiguration == 1:
        values = numpy.moveaxis(values.reshape(frames, count, dataset.Rows, dataset.Columns), 1, -1)
    return values.reshape((frames, dataset.Rows, dataset.Columns, count)).astype(int)


def decoded(path, folder):
    """The samples of an instance in whatever syntax, by a decoder that is not the node's."""
    dataset = pydicom.dcmread(path)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax in NATIVE:
        return samples_of(path)
    if syntax == HTJ2K:
        frames, fragments = int(dataset.get("NumberOfFrames", 1)), []
        table = int.from_bytes(dataset.PixelData[4:8], "little")
        assert table == (0 if frames == 1 else 4 * frames), f"an offset table of {table} bytes"
        stream = DicomBytesIO(dataset.PixelData[8 + table:])
        stream.is_little_endian = True
        fragments = list(generate_pixel_data_fragment(stream))
        assert len(fragments) == frames, f"{len(fragments)} fragments for {frames} frames"
        shape = (dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
        all_frames = []
        for fragment in fragments:
            dataset.PixelData = encapsulate([fragment], has_bot=False)
            all_frames.append(htj2k_samples(dataset).reshape(shape))
        return numpy.array(all_frames).astype(int)
    if syntax == RLE: # by pydicom itself
        shape = (int(dataset.get("NumberOfFrames", 1)), dataset.Rows, dataset.Columns,
                 dataset.SamplesPerPixel)
        return dataset.pixel_array.reshape(shape).astype(int)
    raw = folder / "raw.dcm"
    # gdcmconv clears the bits beyond those stored.
    keeps_all = syntax == JPEG_LOSSLESS and dataset.BitsStored == 12 and not dataset.PixelRepresentation
    run(*(("dcmdjpeg",) if keeps_all else ("gdcmconv", "--raw")), path, raw)
    return samples_of(raw)


def spooled(folder):
    """A configuration with which instances stay in the spool, however slow the machine is: they are
    packed on demand only."""
    conf = folder / "spooled.yaml"
    conf.write_text("pack_after_s: 0\n")
    return conf


class Transcode(unittest.TestCase):
    def setUp(self):
        require("storescu", "dcmcrle", "dcmcjpeg", "dcmcjpls", "gdcmconv", "opj_decompress")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="transcode-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def store(self, node, paths):
        by_syntax = collections.defaultdict(list)
        for path in paths:
            syntax = str(pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)
            by_syntax[syntax].append(path)
        for syntax, group in by_syntax.items():
            run("storescu", "-aec", node.ae_title, *([SEND[syntax]] if syntax in SEND else []),
                *node.address(), *group)

    def fetch(self, node, syntax, check=True, **keys):
        """What comes with contexts for these syntaxes only, by SeriesDescription."""
        out = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        self.response = node.client(
            "get", "--level", "STUDY", "--key", "0020000D=1.2.90.1", "--out", out, "--sop-class",
            CLASSES, "--separate", "--syntax", syntax, check=check).text
        if check:
            self.assertIn("failed=0", self.response)
        return {pydicom.dcmread(p, stop_before_pixels=True).SeriesDescription: p
                for p in out.iterdir()}

    def node(self):
        archive = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        return Node(archive, "--store", archive, "-c", spooled(self.folder))

    def assert_same_elements(self, source, served, but=()):
        ours = pydicom.dcmread(served)
        theirs = pydicom.dcmread(source)
        pixels = {0x7FE00010, 0x00280006} | set(but)
        if ours.get("PhotometricInterpretation") == "YBR_RCT": # JPEG 2000's, which its decoder undoes
            self.assertEqual(theirs.PhotometricInterpretation, "RGB")
            self.assertEqual(ours.file_meta.TransferSyntaxUID, J2K)
            pixels.add(0x00280004)
        for element in theirs:
            if element.tag not in pixels and element.tag.element != 0:
                self.assertEqual(element, ours[element.tag], f"{source.name}: {element.tag}")
        extra = {e.tag for e in ours} - {e.tag for e in theirs} - pixels
        self.assertEqual(extra, set())

    def test_compressed_without_loss_for_who_takes_nothing_else(self):
        made = make_all(self.folder / "made")
        with self.node() as node:
            self.store(node, made.values())
            for syntax in LOSSLESS:
                got = self.fetch(node, syntax)
                self.assertEqual(got.keys(), made.keys())
                for name, path in got.items():
                    with self.subTest(name=name, syntax=syntax):
                        served = pydicom.dcmread(path)
                        self.assertEqual(served.file_meta.TransferSyntaxUID, syntax)
                        self.assert_same_elements(made[name], path)
                        self.assertEqual(served.get("PlanarConfiguration", 0), 0)
                        if syntax == J2K: # the only one that changes more than how pixels lie
                            self.assertEqual(dciodvfy_errors(path) - dciodvfy_errors(made[name]),
                                             collections.Counter())
                        numpy.testing.assert_array_equal(samples_of(made[name]),
                                                         decoded(path, self.folder))

    def compress(self, name, samples, tool, *options, **described):
        """A source, and the same compressed by a tool under the same description."""
        folder = self.folder / "made"
        folder.mkdir(exist_ok=True)
        source = make(folder, name, samples, **described)
        path = folder / f"{name}.compressed"
        run(tool, *options, source, path)
        # gdcmconv may write the group's length into the data set, and others a new UID.
        return source, path

    def compress_by_openjpeg(self, name, samples):
        """With loss, and without a word of it in the data set."""
        path, plain, coded = (self.folder / f"{name}.{end}" for end in ("dcm", "pgm", "j2k"))
        make(self.folder, name, samples, 8)
        plain.write_bytes(b"P5\n%d %d\n255\n" % samples.shape[::-1] + samples.tobytes())
        run("opj_compress", "-i", plain, "-o", coded, "-I", "-r", "6")
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = J2K_ANY
        dataset.PixelData = encapsulate([coded.read_bytes()])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path)
        return path

    def compressed_without_loss(self):
        gray, colour = (37, 41), (3, 37, 41)
        kinds = {
            "gray8": (picture(gray, 0, 255, "u1"), {"bits": 8}),
            "gray12": (picture(gray, 0, 4095, "<u2"), {"bits": 12}),
            "signed16": (picture(gray, -2000, 32767, "<i2"), {"bits": 16, "signed": True}),
            "rgb": (picture(colour, 0, 255, "u1").transpose(1, 2, 0),
                    {"bits": 8, "photometric": "RGB"}),
            "ybr": (picture(colour, 0, 255, "u1").transpose(1, 2, 0),
                    {"bits": 8, "photometric": "YBR_FULL"}),
            "frames16": (picture((4,) + gray, 0, 65535, "<u2"), {"bits": 16}),
            "colours": (picture((2,) + colour, 0, 255, "u1").transpose(0, 2, 3, 1),
                        {"bits": 8, "photometric": "RGB"}),
        }
        tools = {"rle": ("dcmcrle",), "jpeg": ("dcmcjpeg", "+e1"),
                 "jpeg-ls": ("dcmcjpls",), "j2k": ("gdcmconv", "--j2k")}
        for kind, (samples, described) in kinds.items():
            for name, (tool, *options) in tools.items():
                if name == "j2k" and kind == "ybr":
                    continue  # gdcmconv has no such thing
                yield self.compress(f"{kind}-{name}", samples, tool, *options, **described)

    def test_compressed_sources_come_out_native(self):
        pairs = dict((pydicom.dcmread(source).SeriesDescription, (source, path))
                     for source, path in self.compressed_without_loss())
        with self.node() as node:
            self.store(node, [path for _, path in pairs.values()])
            for syntax in NATIVE:
                got = self.fetch(node, syntax)
                self.assertEqual(got.keys(), pairs.keys())
                for name, path in got.items():
                    with self.subTest(name=name, syntax=syntax):
                        source, compressed = pairs[name]
                        served = pydicom.dcmread(path)
                        self.assertEqual(served.file_meta.TransferSyntaxUID, syntax)
                        numpy.testing.assert_array_equal(samples_of(source),
                                                         samples_of(path))
                        for keyword in ("PhotometricInterpretation", "BitsAllocated", "BitsStored",
                                        "HighBit", "PixelRepresentation", "SamplesPerPixel"):
                            self.assertEqual(served[keyword], pydicom.dcmread(source)[keyword])
                        self.assertNotEqual(served.get("LossyImageCompression"), "01")
                        if syntax == EXPLICIT:
                            self.assert_same_elements(compressed, path, but=[0x00280004])
            # Each as it is, where that is taken.
            for name, path in self.fetch(node, ",".join((RLE, JPEG_LOSSLESS, JPEG_LS,
                                                         J2K))).items():
                theirs, ours = pydicom.dcmread(pairs[name][1]), pydicom.dcmread(path)
                self.assertEqual(theirs.file_meta.TransferSyntaxUID,
                                 ours.file_meta.TransferSyntaxUID)
                self.assertEqual(theirs.PixelData, ours.PixelData)

    def test_lossy_sources_come_out_as_their_decoder_has_them(self):
        gray8, gray12 = picture((37, 41), 0, 255, "u1"), picture((37, 41), 0, 4095, "<u2")
        rgb = picture((3, 37, 41), 0, 255, "u1").transpose(1, 2, 0)
        frames = picture((2, 3, 37, 41), 0, 255, "u1").transpose(0, 2, 3, 1)
        colour = {"bits": 8, "photometric": "RGB"}
        jpeg, j2k = ("dcmdjpeg",), ("gdcmconv", "--raw")
        # name, compressed how, its judge, the method, the photometric interpretation then and after
        cases = [
            ("baseline", gray8, ("dcmcjpeg", "+eb"), {"bits": 8}, jpeg, "ISO_10918_1",
             "MONOCHROME2", "MONOCHROME2"),
            ("extended", gray12, ("dcmcjpeg", "+ee", "+bt"), {"bits": 12}, jpeg, "ISO_10918_1",
             "MONOCHROME2", "MONOCHROME2"),
            ("baseline-422", rgb, ("dcmcjpeg", "+eb"), colour, jpeg, "ISO_10918_1", "YBR_FULL_422",
             "RGB"),
            ("baseline-444", rgb, ("dcmcjpeg", "+eb", "+s4"), colour, jpeg, "ISO_10918_1",
             "YBR_FULL", "RGB"),
            ("baseline-rgb", rgb, ("dcmcjpeg", "+eb", "+cr"), colour, jpeg, "ISO_10918_1", "RGB",
             "RGB"),
            ("baseline-frames", frames, ("dcmcjpeg", "+eb"), colour, jpeg, "ISO_10918_1",
             "YBR_FULL_422", "RGB"),
            ("near", gray12, ("dcmcjpls", "+en"), {"bits": 12}, ("dcmdjpls",), "ISO_14495_1",
             "MONOCHROME2", "MONOCHROME2"),
            ("j2k-lossy", gray8, ("opj_compress",), {"bits": 8}, j2k, "ISO_15444_1",
             "MONOCHROME2", "MONOCHROME2"),
        ]
        made = {}
        for name, samples, tool, described, *_ in cases:
            made[name] = (self.compress_by_openjpeg(name, samples) if tool[0] == "opj_compress"
                          else self.compress(name, samples, *tool, **described)[1])
        with self.node() as node:
            self.store(node, made.values())
            got = self.fetch(node, EXPLICIT)
            again = self.fetch(node, J2K)  # what was lost stays lost, and no more is
        self.assertEqual(got.keys(), made.keys())
        for name, _, _, _, judge, method, before, after in cases:
            with self.subTest(name=name):
                source, served = pydicom.dcmread(made[name]), pydicom.dcmread(got[name])
                self.assertEqual(source.PhotometricInterpretation, before)
                self.assertEqual(served.PhotometricInterpretation, after)
                self.assertEqual(served.LossyImageCompression, "01")
                self.assertEqual(served.LossyImageCompressionMethod, method)
                self.assertGreater(float(served.LossyImageCompressionRatio), 1)
                raw = self.folder / "judged.dcm"
                run(*judge, made[name], raw)
                numpy.testing.assert_array_equal(samples_of(raw), samples_of(got[name]))
                numpy.testing.assert_array_equal(samples_of(raw), decoded(again[name], self.folder))
                self.assertEqual(pydicom.dcmread(again[name]).LossyImageCompression, "01")
                for path in (got[name], again[name]):
                    self.assertEqual(dciodvfy_errors(path) - dciodvfy_errors(made[name]),
                                     collections.Counter())

    def test_fragments(self):
        samples = picture((5, 37, 41), 0, 65535, "<u2")
        source, path = self.compress("fragments", samples, "dcmcjpeg", "+e1", bits=16)
        dataset = pydicom.dcmread(path)
        stream = DicomBytesIO(dataset.PixelData)
        stream.is_little_endian = True
        codestreams = list(generate_pixel_data_fragment(stream))[-5:]
        variants = {"table": (3, True), "no-table": (3, False), "one-each": (1, False)}
        for name, (count, table) in variants.items():
            dataset.PixelData = encapsulate(codestreams, fragments_per_frame=count, has_bot=table)
            dataset["PixelData"].is_undefined_length = True
            dataset.SeriesDescription = name
            dataset.SOPInstanceUID = f"1.2.90.4.{count}.{int(table)}"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.save_as(self.folder / f"{name}.dcm")
        with self.node() as node:
            self.store(node, [self.folder / f"{name}.dcm" for name in variants])
            got = self.fetch(node, EXPLICIT)
        self.assertEqual(got.keys(), variants.keys())
        for name in variants:
            numpy.testing.assert_array_equal(samples_of(source), samples_of(got[name]))

    def test_what_does_not_add_up_fails_alone(self):
        samples = picture((3, 37, 41), 0, 4095, "<u2")
        wrong = {"good": {}, "frames": {"NumberOfFrames": 4}, "rows": {"Rows": 36},
                 "columns": {"Columns": 42}, "bits": {"BitsAllocated": 8, "BitsStored": 8,
                                                      "HighBit": 7},
                 "colour": {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}}
        for tool, *options in (("dcmcrle",), ("dcmcjpeg", "+e1"), ("dcmcjpls",),
                               ("gdcmconv", "--j2k")):
            source, path = self.compress("wrong", samples, tool, *options, bits=12)
            paths = []
            for i, (name, changes) in enumerate(wrong.items()):
                dataset = pydicom.dcmread(path)
                dataset.SOPInstanceUID = f"1.2.90.5.{i + 1}"
                dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
                dataset.SeriesDescription = name
                for keyword, value in changes.items():
                    setattr(dataset, keyword, value)
                paths.append(self.folder / f"wrong-{name}.dcm")
                dataset.save_as(paths[-1])
            with self.subTest(tool=tool), self.node() as node:
                self.store(node, paths)
                for syntax in (EXPLICIT, HTJ2K):
                    got = self.fetch(node, syntax, check=False)
                    self.assertEqual(got.keys(), {"good"})
                    self.assertRegex(self.response, f"status=B000 completed=1 failed={len(wrong) - 1}")
                    numpy.testing.assert_array_equal(samples_of(source),
                                                     decoded(got["good"], self.folder))

    def test_an_icon_that_is_compressed_too(self):
        source, path = self.compress("icon", picture((37, 41), 0, 255, "u1"), "dcmcjpeg", "+e1",
                                     bits=8)
        dataset, icon = pydicom.dcmread(path), pydicom.Dataset()
        for keyword in ("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns",
                        "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
                        "PixelData"):
            icon[keyword] = dataset[keyword]
        dataset.IconImageSequence = pydicom.Sequence([icon])
        dataset.save_as(path)
        with self.node() as node:
            self.store(node, [path])
            as_it_is = self.fetch(node, JPEG_LOSSLESS)["icon"]
            self.assert_same_elements(path, as_it_is)
            for syntax in (EXPLICIT, RLE):
                served = self.fetch(node, syntax)["icon"]
                # A native data set cannot hold it.
                self.assertNotIn("IconImageSequence", pydicom.dcmread(served))
                numpy.testing.assert_array_equal(samples_of(source), decoded(served, self.folder))

    def test_without_pixels_any_syntax_will_do(self):
        dataset = pydicom.dcmread(PHANTOM[0])
        for element in list(dataset):
            if element.tag.group in (0x0018, 0x0028, 0x7FE0):
                del dataset[element.tag]
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = REPORT
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.90.1", "1.2.90.2"
        dataset.Modality, dataset.SeriesDescription = "SR", "report"
        path = self.folder / "report.dcm"
        dataset.save_as(path)
        with self.node() as node:
            self.store(node, [path])
            for syntax in (HTJ2K, RLE):
                served = self.fetch(node, syntax)["report"]
                self.assertEqual(pydicom.dcmread(served).file_meta.TransferSyntaxUID, syntax)
                self.assert_same_elements(path, served)

    def test_what_no_codec_holds_goes_to_the_next_context_or_fails(self):
        # 32 bits: RLE and JPEG lossless cannot; Explicit VR can.
        path = make(self.folder, "dose", picture((3, 20, 20), 0, 2**31, "<u4"), 32)
        with self.node() as node:
            self.store(node, [path])
            self.assertEqual(self.fetch(node, f"{RLE},{JPEG_LOSSLESS}", check=False), {})
            self.assertRegex(self.response, 'status=A702 completed=0 failed=1 .*comment="the value '
                                            'cannot be held by this encoding"')
            got = self.fetch(node, f"{RLE},{DEFLATED}")["dose"]
            numpy.testing.assert_array_equal(samples_of(path), samples_of(got))


if __name__ == "__main__":
    unittest.main()
