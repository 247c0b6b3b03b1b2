# SPDX-License-Identifier: Apache-2.0
"""The golden series: .dcbs files with the DICOM sources that they were made from."""

import os
import pathlib

import pydicom

REPO = pathlib.Path(__file__).resolve().parents[3]
OWN = REPO / "tests" / "data" / "golden"
SHARED = pathlib.Path(os.environ.get("GOLDEN_DIR", REPO.parent / "shared" / "golden"))

# Made from multi-frame sources: the writer stored one codestream whose height is the number of
# frames. No correct instance can be made of them; the reader must say so.
BOGUS = {"mf_ect", "rtdose"}


# Files of older writers, and the golden series that they were made from.
OLDER_WRITERS = {"phantom_small": "ct_phantom_small", "mr_small": "mr_small"}


class Golden:
    """One series file and its sources, by SOP Instance UID."""

    def __init__(self, name, path, source):
        self.name = name
        self.path = path
        self.sources = {}
        for path in sorted(source.glob("*")):
            if path.suffix == ".txt":
                continue
            dataset = pydicom.dcmread(path, force=True)
            self.sources[str(dataset.SOPInstanceUID)] = path

    def __repr__(self):
        return self.name


def goldens(bogus=False):
    """Every golden series there is: our own synthetic ones, and the shared ones where present."""
    found = {}
    for root in (OWN, SHARED):
        if not root.is_dir():
            continue
        for folder in sorted(root.iterdir()):
            if (folder / "series.dcbs").is_file() and (folder / "source").is_dir():
                found.setdefault(folder.name, folder)
    return [Golden(name, folder / "series.dcbs", folder / "source")
            for name, folder in sorted(found.items()) if (name in BOGUS) == bogus]


def older_writers():
    """The same series as older writers wrote them (format section 4)."""
    source = OWN / "ct_phantom_small" / "source"
    found = {f"phantom_small-{path.parent.name.removeprefix('older_')}": (path, source)
             for path in sorted(OWN.glob("older_*/series.dcbs"))}
    for name, source in OLDER_WRITERS.items():
        for path in sorted((SHARED / "older_writers" / name).glob("*.dcbs")):
            found.setdefault(f"{name}-{path.stem}", (path, SHARED / source / "source"))
    return [Golden(name, path, source) for name, (path, source) in sorted(found.items())]
