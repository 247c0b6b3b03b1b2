# SPDX-License-Identifier: Apache-2.0
"""Makes .dcbs files for tests out of existing ones: other UIDs, more frames, changed metadata."""

import json
import struct
import subprocess

HEADER = struct.Struct("<8sI13Q")


def _zstd(*words, data):
    return subprocess.run(["zstd", "-q", "-c", *words], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


def read_dcbs(path):
    """(sections by name, metadata, frames) of a file."""
    content = path.read_bytes()
    fields = HEADER.unpack_from(content)
    places = {name: fields[2 + 2 * i:4 + 2 * i] for i, name in enumerate(
        ("status", "meta", "space", "pixel_header", "offsets", "lengths"))}
    sections = {name: content[at:at + length] for name, (at, length) in places.items()}
    count = fields[14]
    offsets = struct.unpack(f"<{count}Q", sections.pop("offsets"))
    lengths = struct.unpack(f"<{count}Q", sections.pop("lengths"))
    meta = json.loads(_zstd("-d", data=sections.pop("meta")))
    return sections, meta, [content[at:at + n] for at, n in zip(offsets, lengths)]


def unattributable_tags(path):
    """Top-level tags whose per-slice values lie in the writer's listing order, not in slice order:
    all arrays under another key than Value (format section 2, rule 7)."""
    _, meta, _ = read_dcbs(path)
    return {int(tag, 16) for tag, element in meta.get("_merged_data", meta).items()
            if isinstance(element, dict) and element.get("shared") is False and
            any(isinstance(element.get(key), list)
                for key in ("InlineBinary", "null", "BulkDataURI"))}


def write_dcbs(path, sections, meta, frames):
    """Writes a file in DiCube's layout (format section 1), complete at once by rename. meta None:
    without dicommeta."""
    packed = b"" if meta is None else _zstd("-3", data=json.dumps(meta).encode())
    parts = [sections["status"], packed, sections["space"], sections["pixel_header"]]
    fields, at = [], HEADER.size
    for part in parts:
        fields += [at, len(part)]
        at += len(part)
    table = 8 * len(frames)
    fields += [at, table, at + table, table]
    at += 2 * table
    offsets = []
    for frame in frames:
        offsets.append(at)
        at += len(frame)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(b"".join([
        HEADER.pack(b"DCMCUBES", 1, *fields, len(frames)), *parts,
        struct.pack(f"<{len(frames)}Q", *offsets),
        struct.pack(f"<{len(frames)}Q", *map(len, frames)), *frames]))
    temporary.rename(path)


def repeat_series(path, base, nframes, uid_root, edit=None):
    """A series of nframes, made by repeating the frames of `base`, with its own UIDs:
    study uid_root.1, series uid_root.2, instances uid_root.3.N. edit(tags) may change more."""
    sections, meta, frames = read_dcbs(base)
    tags = meta["_merged_data"]
    for element in tags.values():
        if element.get("shared") is False:
            for key, value in element.items():
                if isinstance(value, list):
                    element[key] = [value[i % len(frames)] for i in range(nframes)]
        elif element.get("shared") is None:
            element["Value"] = []  # nested values per slice would need the same care
    tags["0020000D"]["Value"] = [f"{uid_root}.1"]
    tags["0020000E"]["Value"] = [f"{uid_root}.2"]
    tags["00080018"] = {"vr": "UI", "shared": False,
                        "Value": [f"{uid_root}.3.{i + 1}" for i in range(nframes)]}
    tags["00200013"] = {"vr": "IS", "shared": False, "Value": list(range(1, nframes + 1))}
    meta["slice_count"] = nframes
    if edit is not None:
        edit(tags)
    write_dcbs(path, sections, meta, [frames[i % len(frames)] for i in range(nframes)])
