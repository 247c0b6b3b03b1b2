# SPDX-License-Identifier: Apache-2.0
"""An archive for tests of retrieval: what can be sent, what cannot, few and many instances."""

import shutil

from .golden import OWN
from .make_dcbs import read_dcbs, repeat_series, write_dcbs

PHANTOM = OWN / "ct_phantom_small"
TINY = OWN / "tiny3" / "series.dcbs"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"

GOOD = "1.2.826.0.1.3680043.10.9999.77.1"  # 8 instances, ….77.3.1 to ….77.3.8; PHANTOM has sources
GOOD_UID = "1.2.826.0.1.3680043.10.9999.77.3."
LONG = "1.2.7.1.1"     # 400 instances, 1.2.7.1.3.1 to 1.2.7.1.3.400
MIXED = "1.2.7.2.1"    # 3 MR, 1.2.7.2.3.N, and 3 CT, 1.2.7.3.3.N
DAMAGED = "1.2.7.4.1"  # 8 that cannot be decoded, 1.2.7.4.3.0 to 1.2.7.4.3.7
PARTLY = "1.2.7.5.1"   # 8 of which 1.2.7.5.3.3 cannot


def write_damaged(path, root, damaged):
    sections, meta, frames = read_dcbs(PHANTOM / "series.dcbs")
    for frame in damaged:
        frames[frame] = frames[frame][:200] + bytes(len(frames[frame]) - 200)
    meta["_merged_data"]["0020000D"]["Value"] = [f"{root}.1"]
    meta["_merged_data"]["0020000E"]["Value"] = [f"{root}.2"]
    meta["_merged_data"]["00080018"]["Value"] = [f"{root}.3.{i}" for i in range(8)]
    write_dcbs(path, sections, meta, frames)


def write(archive):
    shutil.copy(PHANTOM / "series.dcbs", archive / "phantom.dcbs")
    repeat_series(archive / "long.dcbs", PHANTOM / "series.dcbs", 400, "1.2.7.1")

    def as_mr(tags):
        tags["00080016"]["Value"] = [MR]
        tags["00080060"]["Value"] = ["MR"]
    repeat_series(archive / "mr.dcbs", TINY, 3, "1.2.7.2", as_mr)
    # The same study holds a CT: a context of one class alone cannot carry all of it.
    repeat_series(archive / "ct.dcbs", TINY, 3, "1.2.7.3",
                  lambda tags: tags["0020000D"].update(Value=[MIXED]))
    write_damaged(archive / "damaged.dcbs", "1.2.7.4", range(8))
    write_damaged(archive / "partly.dcbs", "1.2.7.5", [3])
