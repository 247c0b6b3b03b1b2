# SPDX-License-Identifier: Apache-2.0
"""dcbtool pack: what it takes in comes back exactly, judged by pydicom and DCMTK's tools."""

import filecmp
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import unittest

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian,
                         ImplicitVRLittleEndian)

from support.node import DCBTOOL

DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "golden"
GOLDEN = pathlib.Path(os.environ.get("GOLDEN_DIR", "/nowhere"))
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian,
          DeflatedExplicitVRLittleEndian)
# Series that a .dcbs file cannot hold, and what the summary says of them.
KEPT = {"edge_pet_slopes": "differ in rescale", "mf_ect": "multi-frame", "rtdose": "multi-frame"}


def dcbtool(*arguments):
    return subprocess.run([str(DCBTOOL), *map(str, arguments)], capture_output=True, text=True,
                          check=False)


def sources():
    """(name, folder of files) of every golden series."""
    found = {}
    for root in (DATA, GOLDEN):
        for folder in sorted(root.glob("*/source")):
            found.setdefault(folder.parent.name, folder)
    return sorted(found.items())


def dataset_bytes(path):
    """What follows group 2."""
    data = pathlib.Path(path).read_bytes()
    length = int.from_bytes(data[140:144], "little")
    assert data[132:140] == b"\x02\x00\x00\x00UL\x04\x00"
    return data[144 + length:]


def values(dataset: Dataset):
    """Raw bytes by tag, items and all; big endian and Pixel Data are the caller's to compare."""
    found = {}
    for tag in sorted(dataset.keys()):
        if tag.element == 0:  # group lengths belong to an encoding
            continue
        raw = dataset.get_item(tag)
        value = getattr(raw, "value", None)
        if isinstance(value, (bytes, type(None))):
            found[tag] = value or b""
        else:
            element = dataset[tag]
            found[tag] = ([values(item) for item in element.value] if element.VR == "SQ"
                          else element.value)
    return found


def samples(dataset):
    return dataset.pixel_array.astype("<i4").tobytes()


class Pack(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pack-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def pack(self, *paths, to="packed"):
        result = dcbtool("pack", *paths, "-o", self.folder / to, "--jobs", 2)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def unpacked(self, name="packed"):
        """Instances by UID, each in the syntax that it came in."""
        found = {}
        for number, path in enumerate(sorted((self.folder / name).glob("*.dcbs"))):
            out = self.folder / f"{name}-{number}"
            result = dcbtool("extract", path, "--syntax", "source", "-o", out)
            self.assertEqual(result.returncode, 0, result.stderr)
            result = dcbtool("verify", path)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            for file in out.iterdir():
                found[pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID] = file
        return found

    def check_same(self, source, made, what):
        a, b = pydicom.dcmread(source), pydicom.dcmread(made)
        syntax = a.file_meta.TransferSyntaxUID
        if syntax == ExplicitVRLittleEndian:
            self.assertEqual(dataset_bytes(source), dataset_bytes(made), what)
            return
        if syntax in NATIVE:
            self.assertEqual(b.file_meta.TransferSyntaxUID, syntax)
            self.assertEqual(a.PixelData, b.PixelData, what)
        x, y = values(a), values(b)
        pixel_data = 0x7FE00010
        x.pop(pixel_data)
        y.pop(pixel_data)
        self.assertEqual(x, y, what)

    def test_every_source_comes_back(self):
        nchecked = 0
        for name, folder in sources():
            with self.subTest(name):
                text = self.pack(folder, to=name)
                files = [path for path in folder.iterdir()
                         if path.read_bytes()[128:132] == b"DICM"]
                if name in KEPT:
                    self.assertIn(KEPT[name], text)
                    kept = list((self.folder / name).iterdir())
                    self.assertEqual(len(kept), len(files))
                    for file in files:
                        self.assertTrue(any(filecmp.cmp(file, copy, False) for copy in kept))
                    continue
                made = self.unpacked(name)
                self.assertEqual(len(made), len(files))
                for file in files:
                    uid = pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID
                    self.check_same(file, made[uid], f"{name}: {file.name}")
                    nchecked += 1
        self.assertGreater(nchecked, 20)

    def test_size_beside_dicube(self):
        """A CT of usual size: not more than 2 % larger. The trailer has a price of its own, which
        shows in tiny files."""
        for name, folder in sources():
            theirs = folder.parent / "series.dcbs"
            files = [path for path in folder.iterdir()
                     if path.read_bytes()[128:132] == b"DICM"]
            nframes = int.from_bytes(theirs.read_bytes()[108:116], "little")
            if name in KEPT or nframes != len(files):
                continue
            self.pack(folder, to=name)
            ours = sum(path.stat().st_size for path in (self.folder / name).iterdir())
            print(f"{name}: {ours} bytes, DiCube {theirs.stat().st_size},"
                  f" {100 * ours / theirs.stat().st_size - 100:+.1f} %")
            limit = 1.03 if name.startswith("ct_phantom") else 2.2
            self.assertLess(ours, limit * theirs.stat().st_size + 4096, name)

    # ---- Transfer syntaxes ----

    def convert(self, tool, name, *options):
        """ct_phantom_small through one of DCMTK's tools."""
        if shutil.which(tool) is None:
            self.skipTest(f"{tool} is not there")
        out = self.folder / name
        out.mkdir()
        for source in sorted((DATA / "ct_phantom_small" / "source").iterdir())[:3]:
            subprocess.run([tool, *options, source, out / source.name], check=True,
                           capture_output=True)
        return out

    def check_converted(self, folder):
        self.assertIn("3 packed into 1 series, 0 kept", self.pack(folder))
        made = self.unpacked()
        for file in folder.iterdir():
            source = pydicom.dcmread(file)
            original = pydicom.dcmread(DATA / "ct_phantom_small" / "source" / file.name)
            self.check_same(file, made[source.SOPInstanceUID], file.name)
            self.assertEqual(samples(pydicom.dcmread(made[source.SOPInstanceUID])),
                             samples(original))

    def test_implicit(self):
        self.check_converted(self.convert("dcmconv", "implicit", "+ti"))

    def test_big_endian(self):
        self.check_converted(self.convert("dcmconv", "big", "+tb"))

    def test_deflated(self):
        self.check_converted(self.convert("dcmconv", "deflated", "+td"))

    def test_group_lengths_and_undefined_lengths(self):
        self.check_converted(self.convert("dcmconv", "lengths", "+te", "+g", "-e"))

    def test_rle(self):
        self.check_converted(self.convert("dcmcrle", "rle", "+un"))

    def test_jpeg_lossless(self):
        self.check_converted(self.convert("dcmcjpeg", "jpeg", "+e1", "+un"))

    def test_jpeg_ls_lossless(self):
        self.check_converted(self.convert("dcmcjpls", "jpls", "+un"))

    def test_jpeg_2000_lossless(self):
        if shutil.which("opj_compress") is None:
            self.skipTest("opj_compress is not there")
        out = self.folder / "j2k"
        out.mkdir()
        for path in sorted((DATA / "ct_phantom_small" / "source").iterdir())[:3]:
            dataset = pydicom.dcmread(path)
            raw, codestream = self.folder / "frame.raw", self.folder / "frame.j2k"
            raw.write_bytes(dataset.PixelData)
            sign = "s" if dataset.PixelRepresentation else "u"
            form = f"{dataset.Columns},{dataset.Rows},1,{dataset.BitsAllocated},{sign}"
            subprocess.run(["opj_compress", "-i", raw.rename(self.folder / "frame.rawl"), "-o",
                            codestream, "-F", form], check=True, capture_output=True)
            dataset.PixelData = pydicom.encaps.encapsulate([codestream.read_bytes()])
            dataset["PixelData"].VR = "OB"
            dataset["PixelData"].is_undefined_length = True
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
            dataset.save_as(out / path.name)
        self.check_converted(out)

    def test_htj2k(self):
        source = DATA / "ct_phantom_small" / "source"
        self.pack(source, to="first")
        first = next((self.folder / "first").glob("*.dcbs"))
        result = dcbtool("extract", first, "--syntax", "htj2k", "-o", self.folder / "htj2k")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("8 packed into 1 series", self.pack(self.folder / "htj2k", to="second"))
        made = self.unpacked("second")
        for file in (self.folder / "htj2k").iterdir():
            uid = pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID
            self.assertEqual(dataset_bytes(file), dataset_bytes(made[uid]))

    def colour(self, planar, photometric="RGB"):
        """Three slices of noise in three samples."""
        folder = self.folder / f"colour-{planar}-{photometric}"
        folder.mkdir()
        dataset = pydicom.dcmread(DATA / "ct_phantom_small" / "source" / "CT0001.dcm")
        for name in ("RescaleSlope", "RescaleIntercept", "RescaleType", "PixelPaddingValue",
                     "SmallestImagePixelValue", "LargestImagePixelValue"):
            if name in dataset:
                del dataset[name]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, photometric
        dataset.PlanarConfiguration, dataset.PixelRepresentation = planar, 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.Rows, dataset.Columns = 31, 33
        for i in range(3):
            dataset.SOPInstanceUID = f"1.2.826.9.{planar}.{i}"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.InstanceNumber = i
            dataset.PixelData = random.Random(i).randbytes(31 * 33 * 3) + b"\0"
            dataset["PixelData"].VR = "OB"
            dataset.save_as(folder / f"{i}.dcm")
        return folder

    def test_colour_by_pixel_and_by_plane(self):
        for number, (planar, photometric) in enumerate(((0, "RGB"), (1, "RGB"), (0, "YBR_FULL"),
                                                        (1, "YBR_FULL"))):
            with self.subTest(planar=planar, photometric=photometric):
                folder = self.colour(planar, photometric)
                self.assertIn("3 packed", self.pack(folder, to=f"to{number}"))
                made = self.unpacked(f"to{number}")
                for file in folder.iterdir():
                    uid = pydicom.dcmread(file).SOPInstanceUID
                    self.check_same(file, made[uid], file.name)

    def test_colour_from_lossless_syntaxes(self):
        cases = [("dcmcrle", ()), ("dcmcjpls", ()), ("dcmcjpeg", ("+e1",))]
        for number, (tool, options) in enumerate(cases):
            if shutil.which(tool) is None:
                continue
            for planar in (0, 1):
                with self.subTest(tool=tool, planar=planar):
                    shutil.rmtree(self.folder)
                    self.folder.mkdir()
                    native = self.colour(planar)
                    folder = self.folder / f"{tool}-{planar}"
                    folder.mkdir()
                    for file in native.iterdir():
                        subprocess.run([tool, *options, "+un", file, folder / file.name],
                                       check=True, capture_output=True)
                    self.assertIn("3 packed", self.pack(folder, to=f"to{number}{planar}"))
                    made = self.unpacked(f"to{number}{planar}")
                    for file in folder.iterdir():
                        uid = pydicom.dcmread(file).SOPInstanceUID
                        self.check_same(file, made[uid], file.name)
                        self.assertEqual(samples(pydicom.dcmread(made[uid])),
                                         samples(pydicom.dcmread(native / file.name)))

    # ---- What is kept ----

    def test_lossy_and_foreign_files_are_kept(self):
        lossy = self.convert("dcmcjpeg", "lossy", "+eb", "+un")
        (lossy / "notes.txt").write_text("not DICOM")
        text = self.pack(lossy)
        self.assertIn("3 DICOM files, 0 packed into 0 series, 3 kept as they are", text)
        self.assertIn("1 files are not DICOM", text)
        self.assertIn("kept 3: the transfer syntax is lossy or not known", text)
        kept = sorted((self.folder / "packed").iterdir())
        self.assertEqual(len(kept), 3)
        for source in lossy.glob("*.dcm"):
            self.assertTrue(any(filecmp.cmp(source, path, False) for path in kept))

    def test_one_odd_slice_is_kept(self):
        mixed = self.folder / "mixed"
        shutil.copytree(DATA / "ct_phantom_small" / "source", mixed)
        odd = pydicom.dcmread(mixed / "CT0004.dcm")
        odd.RescaleSlope = "2"
        odd.save_as(mixed / "CT0004.dcm")
        cut = (mixed / "CT0001.dcm").read_bytes()[:-400]
        (mixed / "cut.dcm").write_bytes(cut)
        text = self.pack(mixed)
        self.assertIn("9 DICOM files, 7 packed into 1 series, 2 kept as they are", text)
        kept = [path.read_bytes() for path in (self.folder / "packed").glob("*.dcm")]
        self.assertIn((mixed / "CT0004.dcm").read_bytes(), kept)
        self.assertIn(cut, kept)

    def test_nothing_is_replaced(self):
        source = DATA / "ct_phantom_small" / "source"
        self.pack(source)
        path = next((self.folder / "packed").glob("*.dcbs"))
        before = path.read_bytes()
        result = dcbtool("pack", source, "-o", self.folder / "packed")
        self.assertEqual(result.returncode, 1)
        self.assertIn("is there already", result.stderr)
        self.assertEqual(path.read_bytes(), before)

    def test_order_of_slices(self):
        mixed = self.folder / "mixed"
        mixed.mkdir()
        names = sorted((DATA / "ct_phantom_small" / "source").iterdir())
        for number, path in enumerate(reversed(names)):
            shutil.copy(path, mixed / f"{number:03}.dcm")
        self.pack(mixed)
        out = self.folder / "out"
        dcbtool("extract", next((self.folder / "packed").glob("*.dcbs")), "-o", out)
        places = [float(pydicom.dcmread(path).ImagePositionPatient[2])
                  for path in sorted(out.iterdir())]
        self.assertEqual(places, sorted(places))

    def test_usage(self):
        for message, arguments in (("-o DIR is missing", ["pack", "x"]),
                                   ("no files and folders", ["pack", "-o", "x"]),
                                   ("--jobs expects", ["pack", "-o", "x", "--jobs", "0", "y"])):
            result = dcbtool(*arguments)
            self.assertEqual(result.returncode, 2)
            self.assertIn(message, result.stderr)
        result = dcbtool("pack", self.folder / "missing", "-o", self.folder / "packed")
        self.assertEqual(result.returncode, 1)
        self.assertIn("No such file", result.stderr)


if __name__ == "__main__":
    unittest.main()
