#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""C-MOVE measured: see move.sh. Server and requester are at one end of a cable, the destination,
DCMTK's storescp, at the other. All that is compared runs in turn; figures are medians."""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import servers

STUDIES = {"200 MR of 8 KB": "1.2.826.1.2", "200 CT of 512 KB": "1.2.826.1.1"}
ASSOCIATIONS = (1, 2, 4, 8)
PORT = 11104
NODELAY = dict(os.environ, TCP_NODELAY="1")


@contextlib.contextmanager
def process(*command, **more):
    started = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **more)
    try:
        yield started
    finally:
        started.terminate()
        started.communicate(timeout=20)


@contextlib.contextmanager
def cable(round_trip_ms):
    """Two namespaces and what runs a command in each; the destination's address. No delay: both are
    one, and there is loopback only."""
    names = [f"dcb{os.getpid()}{side}" for side in ("ab" if round_trip_ms else "a")]
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
            subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        ends = [["ip", "netns", "exec", name] for name in names]
        if not round_trip_ms:
            yield ends[0], ends[0], "127.0.0.1"
            return
        with process(sys.executable, pathlib.Path(__file__).with_name("netdelay.py"), names[0],
                     "10.78.0.1/24", names[1], "10.78.0.2/24", round_trip_ms / 2) as delay:
            if delay.stdout.readline() != "ready\n":
                raise RuntimeError("netdelay.py does not start")
            yield ends[0], ends[1], "10.78.0.2"
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def move(inside, aec, port, destination, study, count=200):
    """Seconds from the request to the final response, as its requester sees them."""
    begun = time.monotonic()
    done = subprocess.run([*inside, "movescu", "-v", "-S", "-aec", aec, "-aem", destination, "-k",
                           "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}",
                           "127.0.0.1", str(port)], capture_output=True, text=True, env=NODELAY,
                          check=False)
    seconds = time.monotonic() - begun
    if "Final Move Response (Success)" not in done.stdout + done.stderr:
        raise RuntimeError(f"{aec} to {destination}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return seconds / count


@contextlib.contextmanager
def ours(build, archive, folder, inside, address):
    names = [word for n in ASSOCIATIONS for word in (
        "--destination", f"{{ae_title: DEST{n}, host: {address}, port: {PORT}, associations: {n}}}")]
    node = servers.Dcbscp(build, archive, folder / "state", prefix=inside, options=names)
    try:
        yield node
    finally:
        node.stop()


@contextlib.contextmanager
def dcmqrscp(folder, inside, address):
    store, config = folder / "dcmqrscp", folder / "dcmqrscp.cfg"
    store.mkdir()
    config.write_text(
        "NetworkTCPPort = 11105\nMaxPDUSize = 131072\nMaxAssociations = 64\nHostTable BEGIN\n"
        f"dest = (DEST, {address}, {PORT})\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nANY {store} RW (200, 1024mb) ANY\nAETable END\n")
    with process(*inside, "dcmqrscp", "-c", config, env=NODELAY):
        yield "ANY", 11105


@contextlib.contextmanager
def orthanc(folder, inside, address):
    config = folder / "orthanc.json"
    config.write_text(json.dumps({
        "DicomPort": 11106, "HttpServerEnabled": False, "Plugins": [], "DicomAlwaysAllowStore": True,
        "StorageDirectory": str(folder / "orthanc"), "IndexDirectory": str(folder / "orthanc"),
        "DicomModalities": {"dest": ["DEST", address, PORT], "me": ["MOVESCU", "127.0.0.1", 104]},
        "DicomAlwaysAllowMove": True, "DicomCheckModalityHost": False, "MaximumPduLength": 131072}))
    with process(*inside, "Orthanc", config, env=NODELAY):
        yield "ORTHANC", 11106


def fill(inside, aec, port, source):
    """Waits for a peer, and gives it the series."""
    for _ in range(100):
        if subprocess.run([*inside, "echoscu", "-aec", aec, "127.0.0.1", str(port)],
                          capture_output=True, check=False).returncode == 0:
            break
        time.sleep(0.1)
    subprocess.run([*inside, "storescu", "-aec", aec, "+sd", "+r", "127.0.0.1", str(port),
                    str(source)], check=True, env=NODELAY, capture_output=True)


def measure(build, archive, source, round_trip_ms, rounds):
    """{(server, study): seconds for an instance}"""
    runs = {}
    with tempfile.TemporaryDirectory(prefix="dcbscp-bench-") as temporary, \
            contextlib.ExitStack() as stack:
        folder = pathlib.Path(temporary)
        here, there, address = stack.enter_context(cable(round_trip_ms))
        stack.enter_context(process(*there, "storescp", "--fork", "--ignore", "+xa", "-pdu",
                                    131072, PORT, env=NODELAY))
        node = stack.enter_context(ours(build, archive, folder, here, address))
        subjects = {f"dcbscp, {n}": (node.aec, node.port, f"DEST{n}") for n in ASSOCIATIONS}
        for name, program, peer in (("dcmqrscp", "dcmqrscp", dcmqrscp),
                                    ("Orthanc", "Orthanc", orthanc)):
            if shutil.which(program) is None:
                print(f"{name}: left out, not installed", flush=True)
                continue
            aec, port = stack.enter_context(peer(folder, here, address))
            fill(here, aec, port, source)
            subjects[name] = (aec, port, "DEST")
        for study in STUDIES.values():  # everything in memory
            move(here, *subjects["dcbscp, 8"], study)
        for _ in range(rounds):
            for name, subject in subjects.items():
                for what, study in STUDIES.items():
                    runs.setdefault((name, what), []).append(move(here, *subject, study))
    return {key: statistics.median(values) for key, values in runs.items()}


def print_table(round_trip_ms, figures):
    print(f"\n| {round_trip_ms} ms round trip: ms an instance | "
          f"{' | '.join(STUDIES)} |\n|---|{'---:|' * len(STUDIES)}")
    for name in dict.fromkeys(name for name, _ in figures):
        cells = []
        for what in STUDIES:
            one = figures["dcbscp, 1", what]
            times = f" ({one / figures[name, what]:.1f} ×)" if re.match("dcbscp, [2-9]", name) else ""
            cells.append(f"{1000 * figures[name, what]:.2f}{times}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="move.sh", description=__doc__)
    parser.add_argument("build", nargs="?", default="build", help="where dcbscp was built [build]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rtt", type=int, action="append", help="round trip, in ms [0, 20, 50]")
    arguments = parser.parse_args()
    build = pathlib.Path(arguments.build).resolve()
    if not (build / "tests/bench_archive").exists():
        sys.exit(f"move: {build}/tests/bench_archive is missing: build with DCB_TESTS=ON")
    if os.geteuid() != 0:
        sys.exit("move: needs root, for network namespaces")
    with tempfile.TemporaryDirectory(prefix="dcbscp-bench-") as folder:
        archive, source = pathlib.Path(folder) / "archive", pathlib.Path(folder) / "source"
        subprocess.run([build / "tests/bench_archive", archive, "0"], check=True,
                       stdout=subprocess.DEVNULL)
        source.mkdir()
        for name in ("ct", "mr"):
            subprocess.run([build / "bin/dcbtool", "extract", archive / f"{name}.dcbs", "--all",
                            "--syntax", "explicit", "-o", source / name], check=True,
                           stdout=subprocess.DEVNULL)
        for round_trip_ms in arguments.rtt or (0, 20, 50):
            print_table(round_trip_ms, measure(build, archive, source, round_trip_ms,
                                               arguments.rounds))


if __name__ == "__main__":
    main()
