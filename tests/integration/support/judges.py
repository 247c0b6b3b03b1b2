# SPDX-License-Identifier: Apache-2.0
"""Programs that share no code with ours and say whether our output is right."""

import collections
import fcntl
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import numpy
import pydicom
from pydicom.encaps import generate_pixel_data_fragment
from pydicom.filebase import DicomBytesIO

from .node import BUILD, require, run

HTJ2K = {"1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"}


def htj2k_samples(dataset):
    """The samples of an HTJ2K instance, decoded by opj_decompress."""
    require("opj_decompress")
    fragments = list(generate_pixel_data_fragment(
        _little_endian(_after_offset_table(dataset.PixelData))))
    assert len(fragments) == 1, f"{len(fragments)} fragments for one frame"
    assert len(fragments[0]) % 2 == 0, "a fragment of odd length"
    # opj_decompress tells formats apart by the name's ending.
    with tempfile.TemporaryDirectory(prefix="opj-") as folder:
        folder = pathlib.Path(folder)
        (folder / "frame.j2c").write_bytes(fragments[0])
        done = run("opj_decompress", "-i", folder / "frame.j2c", "-o", folder / "frame.rawl")
        header = re.search(r"Component 0 characteristics: (\d+)x(\d+)x(\d+) (un)?signed", done.text)
        columns, rows, bits, unsigned = header.groups()
        dtype = f"<{'u' if unsigned else 'i'}{(int(bits) + 7) // 8}"
        samples = numpy.fromfile(folder / "frame.rawl", dtype=dtype)
        if not unsigned and int(bits) % 8 != 0:  # it leaves the bits beyond the precision 0
            sign = 1 << (int(bits) - 1)
            samples = (samples ^ sign) - sign
    samples = samples.reshape(-1, int(rows), int(columns))
    return samples[0] if samples.shape[0] == 1 else samples.transpose(1, 2, 0)


def htj2k_client():
    """The folder of dcmjs-dimse and codec-openjph with the scripts that use them, installed by npm
    where it is not yet; one test at a time."""
    require("node", "npm")
    client = BUILD / "tests" / "htj2k_client"
    client.mkdir(parents=True, exist_ok=True)
    with open(client / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.copytree(pathlib.Path(__file__).parents[1] / "htj2k_client", client,
                        dirs_exist_ok=True)
        wanted = json.loads((client / "package.json").read_text())["dependencies"]
        if not all((client / "node_modules" / name).is_dir() for name in wanted):
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts",
                                   "--no-package-lock"], cwd=client, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
            if done.returncode != 0:
                raise unittest.SkipTest(f"npm cannot install {list(wanted)}: {done.stdout[-300:]}")
    return client


def openjph_samples(client, dataset):
    """The samples of an HTJ2K instance of one frame, decoded as web viewers do."""
    [fragment] = generate_pixel_data_fragment(
        _little_endian(_after_offset_table(dataset.PixelData)))
    with tempfile.TemporaryDirectory(prefix="openjph-") as folder:
        folder = pathlib.Path(folder)
        (folder / "frame.j2c").write_bytes(fragment)
        done = run("node", client / "decode.js", folder / "frame.j2c", folder / "frame.raw")
        info = json.loads(done.text)
        dtype = f"<{'i' if info['isSigned'] else 'u'}{(info['bitsPerSample'] + 7) // 8}"
        samples = numpy.fromfile(folder / "frame.raw", dtype=dtype)
    shape = (info["height"], info["width"], info["componentCount"])
    samples = samples.reshape(shape)
    return samples[..., 0] if info["componentCount"] == 1 else samples


def _little_endian(content):
    stream = DicomBytesIO(content)
    stream.is_little_endian = True
    return stream


def _after_offset_table(pixel_data):
    """Pixel Data without its offset table item, which must come first (PS3.5 A.4)."""
    assert pixel_data[:4] == b"\xfe\xff\x00\xe0", "no offset table item"
    length = int.from_bytes(pixel_data[4:8], "little")
    assert length in (0, 4), f"an offset table of {length} bytes for one frame"
    return pixel_data[8 + length:]


def dciodvfy_errors(path):
    """dciodvfy's error lines, each with how often it comes, without the numbers of items: these
    change where an item before had to be left out."""
    require("dciodvfy")
    done = run("dciodvfy", "-new", path, check=False)
    return collections.Counter(re.sub(r"\[\d+\]", "[]", line)
                               for line in done.text.splitlines() if line.startswith("Error"))


def dcentvfy_errors(paths):
    """dcentvfy's error lines about a set of files: what should be the same in all of them."""
    require("dcentvfy")
    done = run("dcentvfy", *paths, check=False)
    return collections.Counter(re.sub(r"<[^>]*/", "<", line) for line in done.text.splitlines()
                               if line.startswith("Error"))


def read(path):
    """A Part 10 file, strictly: with its preamble and meta information."""
    with open(path, "rb") as file:
        head = file.read(132)
    assert head[128:] == b"DICM", f"{path}: not a Part 10 file"
    return pydicom.dcmread(path)
