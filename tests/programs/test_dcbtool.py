# SPDX-License-Identifier: Apache-2.0
"""dcbtool as a person or a script meets it: what it prints, writes and returns."""
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

import pydicom

TOOL = Path(os.environ["DCB_BIN_DIR"]) / "dcbtool"
SAMPLE = Path(os.environ["DCB_SAMPLE_DIR"])
CT, MR, US = (SAMPLE / f for f in ("ct_thorax.dcbs", "mr_head.dcbs", "us_doppler.dcbs"))


def run(*arguments):
    return subprocess.run([TOOL, *arguments], capture_output=True, timeout=120)


def tables(path):
    """Offsets and lengths of the frames, by the format's description."""
    data = Path(path).read_bytes()
    header = struct.unpack_from("<8sI13Q", data)
    n = header[14]
    return (struct.unpack_from(f"<{n}Q", data, header[10]),
            struct.unpack_from(f"<{n}Q", data, header[12]))


class DcbtoolTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="dcbtool."))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def good(self, *arguments):
        result = run(*arguments)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        return result.stdout

    def bad(self, status, message, *arguments):
        result = run(*arguments)
        text = result.stderr.decode(errors="replace")
        self.assertEqual(result.returncode, status, text)
        self.assertTrue(text.startswith("dcbtool: ") and text.endswith("\n"), text)
        self.assertEqual(text.count("\n"), 1, text)
        self.assertIn(message, text)
        return result

    # ---- info ----

    def test_info_for_people(self):
        text = self.good("info", CT).decode()
        for wanted in ("48 frames", "Wiśniewska^Łucja", "SAMPLE-CT", "512 x 512, 16 bit signed",
                       "CT thorax, phantom", "MONOCHROME2", "HTJ2K lossless", "step 2.5 mm",
                       "consistent", "real = stored x 1 + 0", "pixel_header"):
            self.assertIn(wanted, text)

    def test_info_as_json(self):
        info = json.loads(self.good("info", "--json", MR))
        self.assertEqual(info["frames"], 20)
        self.assertEqual(info["bytes"], MR.stat().st_size)
        self.assertEqual(info["patient"], {"name": "Müller^Jörg", "id": "SAMPLE-MR",
                                           "birth_date": "19790802", "sex": "M"})
        self.assertEqual(info["study"]["description"], "MR Schädel, Phantom")
        self.assertIsNone(info["study"]["accession_number"] or None)
        self.assertEqual(info["series"]["modality"], "MR")
        self.assertEqual(info["sop_class_uid"], "1.2.840.10008.5.1.4.1.1.4")
        self.assertEqual(info["dicom_status"], "consistent")
        self.assertEqual((info["has_meta"], info["has_space"]), (True, False))
        self.assertEqual((info["unattributable"], info["dropped_binaries"], info["empty_frames"],
                          info["unreadable_frames"]), (0, 0, 0, []))
        pixel = info["pixel"]
        self.assertEqual((pixel["rows"], pixel["columns"], pixel["samples_per_pixel"],
                          pixel["bits_stored"], pixel["signed"], pixel["rescale_slope"],
                          pixel["photometric_interpretation"]),
                         (128, 128, 1, 16, False, 1, "MONOCHROME2"))
        self.assertEqual(info["geometry"]["pixel_spacing"], "1.75\\1.75")
        self.assertAlmostEqual(info["geometry"]["step"], 6.0)
        offsets, lengths = tables(MR)
        self.assertEqual(info["frame_bytes"], sum(lengths))
        self.assertEqual(sum(s["frames"] for s in info["stored_syntaxes"]), 20)
        sections = info["sections"]
        self.assertEqual(sections["dicom_status"], {"offset": 116, "bytes": 10})
        self.assertEqual(sections["space"]["bytes"], 0)
        self.assertEqual(sections["frame_lengths"]["offset"] + 160, offsets[0])
        self.assertIn("DiCube", info["writer"])

    def test_json_is_valid_whatever_the_name(self):
        for name in (b'a"b\\c.dcbs', b"bad\xffname\n.dcbs", "ö€.dcbs".encode()):
            path = os.path.join(os.fsencode(self.folder), name)
            shutil.copy(MR, path)
            info = json.loads(self.good("info", path, "--json").decode("utf-8"))
            self.assertEqual(info["file"], path.decode("utf-8", errors="replace"))

    # ---- extract ----

    def test_every_frame_as_stored(self):
        out = self.folder / "out"
        text = self.good("extract", CT, "-o", out).decode()
        self.assertEqual(text, f"48 files written to {out}\n")
        self.assertEqual(sorted(os.listdir(out)), [f"{i:04}.dcm" for i in range(48)])
        uids = set()
        for i in range(48):
            instance = pydicom.dcmread(out / f"{i:04}.dcm")
            self.assertIn(instance.file_meta.TransferSyntaxUID,
                          ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202"))
            self.assertEqual(instance.InstanceNumber, i + 1)
            self.assertEqual([float(x) for x in instance.ImagePositionPatient],
                             [-178.85, -178.85, -58.75 + 2.5 * i])
            self.assertEqual(str(instance.PatientName), "Wiśniewska^Łucja")
            self.assertEqual((instance.BitsStored, instance.HighBit, instance.PixelRepresentation,
                              float(instance.RescaleIntercept)), (16, 15, 1, 0.0))
            uids.add(instance.SOPInstanceUID)
        self.assertEqual(len(uids), 48)

    def test_listed_frames_in_both_decoded_syntaxes(self):
        pixels = {}
        for syntax, uid in (("explicit", "1.2.840.10008.1.2.1"), ("implicit", "1.2.840.10008.1.2")):
            out = self.folder / syntax
            self.good("extract", "--syntax", syntax, "-f", "3,0,4-5,5", US, "-o", out)
            self.assertEqual(sorted(os.listdir(out)),
                             ["0000.dcm", "0003.dcm", "0004.dcm", "0005.dcm"])
            instance = pydicom.dcmread(out / "0003.dcm")
            self.assertEqual(instance.file_meta.TransferSyntaxUID, uid)
            self.assertEqual((instance.PhotometricInterpretation, instance.PlanarConfiguration,
                              instance.SamplesPerPixel), ("RGB", 0, 3))
            self.assertEqual(len(instance.PixelData), 640 * 480 * 3)
            pixels[syntax] = instance.PixelData
        self.assertEqual(pixels["explicit"], pixels["implicit"])

    def test_character_set_of_the_file(self):
        self.good("extract", MR, "-f", "0", "-o", self.folder)
        instance = pydicom.dcmread(self.folder / "0000.dcm")
        self.assertEqual(instance.SpecificCharacterSet, "ISO_IR 100")
        self.assertEqual(str(instance.PatientName), "Müller^Jörg")
        self.assertEqual(instance["PatientName"].value.original_string, b"M\xfcller^J\xf6rg")

    def test_files_are_replaced(self):
        target = self.folder / "0000.dcm"
        target.write_bytes(b"old")
        self.good("extract", MR, "-f", "0", "-o", self.folder)
        self.assertEqual(target.read_bytes()[128:132], b"DICM")

    def test_a_damaged_frame_fails_alone(self):
        damaged = self.folder / "damaged.dcbs"
        data = bytearray(MR.read_bytes())
        offsets, lengths = tables(MR)
        start = offsets[2] + lengths[2] // 3
        data[start:start + lengths[2] // 3] = bytes(lengths[2] // 3)
        data[offsets[4]:offsets[4] + 2] = b"\0\0"  # no codestream at all
        damaged.write_bytes(data)
        out = self.folder / "out"
        result = run("extract", damaged, "--syntax", "explicit", "-o", out)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"18 files written", result.stdout)
        self.assertIn(b"2 frames could not be read", result.stdout)
        lines = result.stderr.decode().splitlines()
        self.assertEqual(len(lines), 2, lines)
        for line, frame in zip(lines, (2, 4)):
            self.assertRegex(line, rf"^dcbtool: .*damaged\.dcbs: .*frame {frame}\b")
        self.assertEqual(sorted(os.listdir(out)),
                         [f"{i:04}.dcm" for i in range(20) if i not in (2, 4)])
        info = json.loads(self.bad(1, "frame 4", "info", damaged, "--json").stdout)
        self.assertEqual(info["unreadable_frames"], [4])

    def test_what_is_extracted_is_valid(self):
        if shutil.which("dciodvfy") is None:
            self.skipTest("needs dciodvfy (dicom3tools)")
        for path, last in ((CT, 47), (MR, 19), (US, 5)):
            for syntax in ("explicit", "implicit"):  # it knows no HTJ2K
                self.good("extract", path, "-f", f"0,{last}", "--syntax", syntax, "-o",
                          self.folder)
                for frame in (0, last):
                    result = subprocess.run(["dciodvfy", self.folder / f"{frame:04}.dcm"],
                                            capture_output=True, timeout=60)
                    lines = (result.stderr + result.stdout).decode(errors="replace").splitlines()
                    errors = [line for line in lines if line.startswith("Error")]
                    self.assertEqual(errors, [], f"{path.name} {syntax}")

    # ---- Errors ----

    def test_usage_errors(self):
        for message, arguments in (
                ("a command is missing", []),
                ("unknown command \"show\"", ["show"]),
                ("info: expected one file, not 0", ["info"]),
                ("info: expected one file, not 2", ["info", MR, CT]),
                ("info: unknown option \"--jsn\"", ["info", "--jsn", MR]),
                ("extract: expected one file, not 0", ["extract"]),
                ("extract: -f needs a value", ["extract", MR, "-f"]),
                ("extract: unknown option \"--frame-list\"", ["extract", "--frame-list", MR]),
                ("extract: -f and --all exclude each other", ["extract", MR, "-f", "1", "--all"]),
                ("--syntax expects htj2k, explicit, implicit or source, not \"jpeg\"",
                 ["extract", MR, "--syntax", "jpeg"]),
                ("there is no frame 20: the file has frames 0 to 19", ["extract", MR, "-f", "20"]),
        ):
            self.bad(2, message, *arguments)
        for wrong in ("", "a", "1,", ",1", "1-", "-1", "3-1", "1,,2", "1 2", "99999999999"):
            self.bad(2, "-f expects frame numbers", "extract", MR, f"-f{wrong}" if wrong else "-f",
                     *([] if wrong else [""]))

    def test_files_that_cannot_be_read(self):
        self.bad(1, "No such file", "info", self.folder / "missing.dcbs")
        self.bad(1, "", "info", self.folder)
        for name, data in (("empty", b""), ("short", MR.read_bytes()[:100]),
                           ("other", b"DICM" * 100), ("cut", MR.read_bytes()[:1700]),
                           ("archive", b"DCMCUBEA" + MR.read_bytes()[8:])):
            path = self.folder / name
            path.write_bytes(data)
            self.bad(1, str(path), "info", path)
            self.bad(1, str(path), "extract", path, "-o", self.folder / "out")
        self.assertFalse((self.folder / "out").exists())
        cut = self.folder / "cut in the frames"
        cut.write_bytes(MR.read_bytes()[:2000])
        info = json.loads(self.bad(1, "frame 0", "info", "--json", cut).stdout)
        self.assertEqual(info["cut_off_frames"], 20)
        self.assertEqual(run("extract", cut, "-o", self.folder).stdout.decode(),
                         f"0 files written to {self.folder}, 20 frames could not be read\n")

    def test_folders_that_cannot_be_written(self):
        plain = self.folder / "file"
        plain.write_bytes(b"")
        self.bad(1, f"{plain}: not a folder", "extract", MR, "-o", plain)
        self.bad(1, "No such file", "extract", MR, "-o", self.folder / "a" / "b")
        blocked = self.folder / "blocked"
        (blocked / "0000.dcm" / "x").mkdir(parents=True)
        self.bad(1, "0000.dcm: cannot be written", "extract", MR, "-f", "0", "-o", blocked)
        self.assertEqual(os.listdir(blocked), ["0000.dcm"])
        if os.path.exists("/dev/full"):
            with open("/dev/full", "wb") as full:
                status = subprocess.run([TOOL, "info", MR], stdout=full,
                                        stderr=subprocess.PIPE, timeout=60)
            self.assertEqual(status.returncode, 1)
            self.assertIn(b"standard output", status.stderr)

    # ---- verify ----

    def test_good_files_verify(self):
        self.assertEqual(self.good("verify", CT).decode(), "1 file, 48 frames: all is well\n")
        nested = self.folder / "a" / "b"
        nested.mkdir(parents=True)
        shutil.copy(MR, nested / "mr.dcbs")
        shutil.copy(US, self.folder / "us.dcbs")
        (self.folder / "notes.txt").write_text("no series")
        (nested / "round").symlink_to(self.folder)
        frames = 20 + len(tables(US)[0])
        for more in ((), ("--jobs", "1"), ("-j", "3")):
            self.assertEqual(self.good("verify", *more, self.folder).decode(),
                             f"2 files, {frames} frames: all is well\n")

    def test_each_problem_is_a_line(self):
        offsets, lengths = tables(MR)
        data = bytearray(MR.read_bytes())
        for frame in (3, 11):
            end = offsets[frame] + lengths[frame]
            data[end - 2:end] = b"\0\0"
        bad = self.folder / "bad.dcbs"
        bad.write_bytes(data + b"rest")
        other = self.folder / "z\n.dcbs"
        other.write_bytes(b"DCMCUBEL" + bytes(200))
        result = run("verify", self.folder)
        self.assertEqual((result.returncode, result.stderr), (1, b""))
        lines = result.stdout.decode().splitlines()
        self.assertEqual(len(lines), 5, lines)
        self.assertTrue(lines[0].startswith(f"{bad}: 4 bytes after the last frame"), lines)
        self.assertTrue(lines[1].startswith(f"{bad}: frame 3: "), lines)
        self.assertTrue(lines[2].startswith(f"{bad}: frame 11: "), lines)
        self.assertTrue(lines[3].startswith(f"{self.folder}/z?.dcbs: a DiCube .dcbl file"), lines)
        self.assertEqual(lines[4], "2 files, 20 frames: 4 problems, 2 files with any")

    def test_verify_where_there_is_nothing(self):
        result = run("verify", self.folder, self.folder / "missing")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout.decode().splitlines(),
                         [f"{self.folder}: there are no .dcbs files in it",
                          f"{self.folder}/missing: No such file or directory",
                          "0 files, 0 frames: 2 problems, 0 files with any"])
        self.bad(2, "a file or folder is missing", "verify")
        self.bad(2, "--jobs takes a number", "verify", "--jobs", "0", MR)
        self.bad(2, "--jobs takes a number", "verify", "--jobs", "2x", MR)
        self.bad(2, "unknown option", "verify", "--fast", MR)

    def test_help_and_version(self):
        for option in ("--help", "-h"):
            self.assertIn(b"Usage: dcbtool info FILE", self.good(option))
        self.assertRegex(self.good("--version"), rb"^dcbtool \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    unittest.main()
