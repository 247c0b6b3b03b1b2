# SPDX-License-Identifier: Apache-2.0
"""Taking in (storescu, stock and with TCP_NODELAY=1, one sender and four) into our node, the peers
and a sink that keeps nothing (what the sender can do); then packing: its speed beside the encoder's alone, a C-GET meanwhile, and the disk's use.

Every measurement has a server and a store of its own; rounds are interleaved, medians are told.
Before each the disk is quiet. Stores are removed at the end: an ext4 without a journal looks through
all inodes that were freed within minutes whenever it makes a file."""

import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

import pydicom

import servers

REPO = pathlib.Path(__file__).resolve().parents[2]


def make_studies(build, folder, nstudies, ninstances):
    """CT of 512 x 512, 16 bits: one phantom's slices again and again under UIDs of their own."""
    made = folder / "made"
    subprocess.run([build / "tests/sample_archive", made], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run([build / "bin/dcbtool", "extract", made / "ct_thorax.dcbs", "--all", "--syntax",
                    "explicit", "-o", folder / "slices"], check=True, stdout=subprocess.DEVNULL)
    slices = [pydicom.dcmread(p) for p in sorted((folder / "slices").iterdir())]
    for k in range(nstudies):
        study = folder / "source" / str(k)
        study.mkdir(parents=True)
        for i in range(ninstances):
            dataset = slices[i % len(slices)]
            dataset.StudyInstanceUID = f"1.2.826.3.{k}"
            dataset.SeriesInstanceUID = f"1.2.826.3.{k}.1"
            dataset.SOPInstanceUID = f"1.2.826.3.{k}.1.{i + 1}"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.InstanceNumber = i + 1
            dataset.ImagePositionPatient[2] = -100 + i
            dataset.save_as(study / f"{i:05}.dcm")
    return folder / "source"


def disk_use(folder):
    return sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.is_file())


class Bench:
    def __init__(self, build, folder, rounds, nstudies, ninstances):
        self.build, self.folder, self.rounds = build, folder, rounds
        self.nstudies, self.ninstances = nstudies, ninstances
        self.source = make_studies(build, folder, nstudies + 1, ninstances)  # one to begin with
        self.nbytes = sum(p.stat().st_size for k in range(nstudies)
                          for p in (self.source / str(k)).iterdir())
        self.number = 0

    def start(self, kind):
        self.number += 1
        folder = self.folder / f"store{self.number}"
        if kind == "Orthanc":
            return servers.Orthanc(folder, self.nodelay), folder
        if kind == "dcmqrscp":
            return servers.Dcmqrscp(folder, self.nodelay), folder
        if kind == "sink":
            return servers.Sink(self.nodelay), folder
        folder.mkdir()
        conf = folder.with_suffix(".yaml")
        conf.write_text(f"durability: {kind}\npack_after_s: 0\n")
        return servers.Dcbscp(self.build, folder, folder.with_suffix(".state"),
                              options=["-c", conf, "--store", folder]), folder

    def shares(self, nsenders):
        """The studies, dealt out."""
        return [[self.source / str(k) for k in range(self.nstudies)][n::nsenders]
                for n in range(nsenders)]

    def send(self, server, shares, nodelay, count):
        """Instances a second, of a sender for each share; of each study it sends `count`."""
        environment = {k: v for k, v in os.environ.items() if k != "TCP_NODELAY"}
        if nodelay:
            environment["TCP_NODELAY"] = "1"
        paths = [[str(p) for f in share for p in sorted(f.iterdir())[:count]] for share in shares]
        begin = time.monotonic()
        senders = [subprocess.Popen(["storescu", "-aec", server.aec, "127.0.0.1", str(server.port),
                                     *files], env=environment) for files in paths]
        if any([s.wait() != 0 for s in senders]):
            raise RuntimeError(f"a sender to {server.aec} at {server.port} failed")
        return sum(map(len, paths)) / (time.monotonic() - begin)

    def grow_journal(self, server, folder):
        """A first burst makes it grow, once in the life of a store."""
        self.send(server, [[self.source / str(self.nstudies)]], True, self.ninstances)
        before = -1
        while before != (now := len(list((folder / ".dcbscp-spool").glob("journal-*")))):
            before = now
            time.sleep(1)

    def rate(self, kind, nsenders, nodelay, count):
        self.nodelay = nodelay
        server, folder = self.start(kind)
        try:
            if kind == "fsync":
                self.grow_journal(server, folder)
            os.sync()
            rate = self.send(server, self.shares(nsenders), nodelay, count)
        except RuntimeError as failure:
            print(f"{kind}: {failure}", flush=True)
            rate = 0.0
        finally:
            server.stop()
        return rate

    def case_rates(self):
        kinds = ["fsync", "async", "sink"] + [name for name in ("Orthanc", "dcmqrscp") if shutil.which(name)]
        for nodelay in (True, False):
            # 40 ms stalls make stock peers slow: fewer instances will do.
            count = self.ninstances if nodelay else 40
            for nsenders in (1, min(4, self.nstudies)):
                values = {kind: [] for kind in kinds}
                for _ in range(self.rounds):
                    for kind in kinds:
                        values[kind].append(self.rate(kind, nsenders, nodelay, count))
                text = ", ".join(f"{kind} {statistics.median(list_):.0f}"
                                 for kind, list_ in values.items())
                print(f"{'TCP_NODELAY=1' if nodelay else 'stock'}, {nsenders} sender(s), "
                      f"{self.nstudies} x {count}, instances/s: {text}", flush=True)

    # ---- Packing ----

    def encoder_ms(self):
        """One frame of this size on one thread, encoded, decoded and compared, at the same priority."""
        done = subprocess.run(["nice", "-n", "10", self.build / "tests/bench_codec"],
                              capture_output=True, text=True, check=True)
        line = re.search(r"^encode, OpenJPH, and compare +([\d.]+)", done.stdout, re.MULTILINE)
        return float(line[1])

    def first_ms(self, server):
        done = subprocess.run([str(w) for w in (
            self.build / "tests/bench_retrieve", "--aec", "DCBSCP", "--syntax", "1.2.840.10008.1.2.1",
            "127.0.0.1", server.port, "get", "1.2.826.3.0/1.2.826.3.0.1")],
            capture_output=True, text=True, check=True, timeout=300)
        return float(dict(i.split("=") for i in done.stdout.split())["first_ms"])

    def pack(self, load):
        server, folder = self.start("fsync")
        try:
            self.grow_journal(server, folder)
            self.send(server, self.shares(self.nstudies), True, self.ninstances)
            first = [self.first_ms(server) for _ in range(3)] if load else []
            ask = folder / ".dcbscp-spool/pack-now"
            begin = time.monotonic()
            ask.touch()
            meanwhile = []
            while ask.exists():
                if load:
                    meanwhile.append(self.first_ms(server))
                else:
                    time.sleep(0.02)
            seconds = time.monotonic() - begin
            journal = sum(p.stat().st_blocks * 512
                          for p in (folder / ".dcbscp-spool").glob("journal-*"))
            return seconds, first, meanwhile, disk_use(folder) - journal
        finally:
            server.stop()

    def case_packing(self):
        nstudies = self.nstudies + 1
        total = nstudies * self.ninstances
        sent = self.nbytes * nstudies / self.nstudies
        encoder = self.encoder_ms()
        runs = [self.pack(False) for _ in range(self.rounds)]
        seconds = statistics.median(r[0] for r in runs)
        threads = max(1, os.cpu_count() // 2) if os.cpu_count() > 3 else 1
        alone = 1000 * threads / encoder
        print(f"packing: {total / seconds:.0f} instances/s, the encoder alone {alone:.0f} on its "
              f"{threads} thread(s): {100 * total / seconds / alone:.0f} %", flush=True)
        print(f"disk: {runs[0][3] / 1e6:.0f} MB packed, sent {sent / 1e6:.0f} MB: "
              f"{runs[0][3] / sent:.2f}", flush=True)
        _, before, meanwhile, _ = self.pack(True)
        print(f"first instance of a C-GET: {statistics.median(before):.1f} ms before, while packing "
              f"{statistics.median(meanwhile):.1f} ms, at most {max(meanwhile):.1f} "
              f"({len(meanwhile)} retrievals)", flush=True)

    def case_disk_of_peers(self):
        for kind in ("Orthanc", "dcmqrscp"):
            if not shutil.which(kind):
                continue
            self.nodelay = True
            server, folder = self.start(kind)
            self.send(server, [[self.source / "0"]], True, self.ninstances)
            server.stop()
            print(f"disk, {kind}: {disk_use(folder) * self.nstudies / self.nbytes:.2f} of what was "
                  "sent", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?", default="build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--studies", type=int, default=4)
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("--only", choices=("rates", "packing", "disk"))
    arguments = parser.parse_args()
    for kind in (servers.Orthanc, servers.Dcmqrscp):
        if shutil.which(kind.__name__) or shutil.which(kind.__name__.lower()):
            print(kind.version())
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as folder:
        bench = Bench(arguments.build.resolve(), pathlib.Path(folder), arguments.rounds,
                      arguments.studies, arguments.instances)
        if arguments.only in (None, "rates"):
            bench.case_rates()
        if arguments.only in (None, "packing"):
            bench.case_packing()
        if arguments.only in (None, "disk"):
            bench.case_disk_of_peers()


if __name__ == "__main__":
    main()
