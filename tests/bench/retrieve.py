#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Retrieval measured: see retrieve.sh. All that is compared runs in turn, round by round, so that a
busy machine is as unkind to one as to the other; figures are medians."""

import argparse
import contextlib
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import servers

STORED = ["--syntax", "1.2.840.10008.1.2.4.201", "--syntax", "1.2.840.10008.1.2.4.202"]
DECODED = ["--syntax", "1.2.840.10008.1.2.1"]
MR = ["--sop-class", "1.2.840.10008.5.1.4.1.1.4"]
CT_SERIES = "1.2.826.1.1/1.2.826.1.1.1"
MR_SERIES = "1.2.826.1.2/1.2.826.1.2.1"
NCOLD = 32
DECODED_NBYTES = 512 * 512 * 2 + 2048
PENDING_NBYTES = 140  # a C-GET-RSP in its PDU, which ours sends with each instance


def cold_series(n):
    return f"1.2.826.1.{1000 + n}/1.2.826.1.{1000 + n}.1"


class Bench:
    def __init__(self, build, rounds, folder):
        self.build, self.rounds, self.folder = build, rounds, folder
        self.archive, self.state = folder / "archive", folder / "state"
        self.rows = []
        self.stack = contextlib.ExitStack()
        self.peers = {}
        made = subprocess.run([build / "tests/bench_archive", self.archive, str(NCOLD)], check=True,
                              capture_output=True, text=True)
        self.stored_nbytes = int(made.stdout)

    # ---- Running ----

    def load(self, server, action, *words, options=(), prefix=(), check=True):
        """One run of bench_retrieve: its figures by name."""
        command = [*prefix, self.build / "tests/bench_retrieve", "--aec", server.aec, *options,
                   server.host, server.port, action, *words]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              timeout=300)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
        return {k: float(v) for k, v in (item.split("=") for item in done.stdout.split())}

    def node(self, **more):
        """A node of its own, with nothing cached."""
        state = self.folder / "state-of-another"
        return self.manage(servers.Dcbscp(self.build, self.archive, state, **more))

    @staticmethod
    @contextlib.contextmanager
    def manage(server):
        try:
            yield server
        finally:
            server.stop()

    def keep(self, server):
        return self.stack.enter_context(self.manage(server))

    def rounds_of(self, measures):
        """{name: function} each called once a round; the medians."""
        values = {name: [] for name in measures}
        for _ in range(self.rounds):
            for name, measure in measures.items():
                values[name].append(measure())
        return {name: statistics.median(list_) for name, list_ in values.items()}

    def row(self, case, figures, goal, holds):
        verdict = "" if holds is None else "yes" if holds else "no"
        self.rows.append((case, figures, goal, verdict))
        print(f"{case}: {figures} (goal: {goal}) {verdict}", flush=True)

    # ---- What is measured ----

    def prepare(self):
        """What several cases use: the ceilings, the peers with one series, and our node."""
        self.ceiling_stored = self.keep(servers.Sender(self.build, self.stored_nbytes))
        self.ceiling_decoded = self.keep(servers.Sender(self.build, DECODED_NBYTES))
        source = self.folder / "source"
        subprocess.run([self.build / "bin/dcbtool", "extract", self.archive / "ct.dcbs", "--syntax",
                        "explicit", "-o", source], check=True, stdout=subprocess.DEVNULL)
        self.peers = servers.start_peers(self.folder, source)
        for peer in self.peers.values():
            self.stack.callback(peer.stop)
        self.ours = self.keep(servers.Dcbscp(self.build, self.archive, self.state))

    def tuned(self):
        return {name: peer for name, peer in self.peers.items() if "stock" not in name}

    def rate(self, server, nclients, syntax, repeat=10, **more):
        options = [*syntax, "--clients", nclients, "--repeat", repeat, *more.pop("options", ())]
        return lambda: self.load(server, "get", CT_SERIES, options=options, **more)["rate"]

    def case_rates(self):
        for nclients, stored_goal, decoded_goal in ((1, 0.70, 0.60), (8, 0.60, 0.60)):
            measures = {
                "ceiling stored": self.rate(self.ceiling_stored, nclients, STORED),
                "stored": self.rate(self.ours, nclients, STORED),
                "ceiling decoded": self.rate(self.ceiling_decoded, nclients, DECODED),
                "decoded": self.rate(self.ours, nclients, DECODED)}
            for name, peer in self.tuned().items():
                measures[name] = self.rate(peer, nclients, DECODED, repeat=1)
            self.load(self.ours, "get", CT_SERIES, options=DECODED)  # into the cache
            rates = self.rounds_of(measures)
            best = max([rates[name] for name in self.tuned()], default=0)
            for what, goal, times in (("stored", stored_goal, 4), ("decoded", decoded_goal, 2)):
                ratio = rates[what] / rates["ceiling " + what]
                peers = f", {rates[what] / best:.1f} × the best peer ({best:.0f}/s)" if best else ""
                self.row(f"{'HTJ2K as stored' if what == 'stored' else 'decoded, in the cache'}, "
                         f"{nclients} client{'s' if nclients > 1 else ''}",
                         f"{rates[what]:.0f}/s, {100 * ratio:.0f} % of {rates['ceiling ' + what]:.0f}"
                         f"/s{peers}", f"≥ {100 * goal:.0f} %, ≥ {times} × the best peer",
                         ratio >= goal and (best == 0 or rates[what] >= times * best))
            for name in self.tuned():
                print(f"  {name}, {nclients}: {rates[name]:.0f}/s", flush=True)
        for name, peer in self.peers.items():
            if "stock" in name:
                figures = self.load(peer, "get", CT_SERIES, options=[*DECODED, "--nagle"])
                self.row(f"{name}, 1 client", f"{figures['rate']:.0f}/s", "for comparison", None)

    def cold(self, nclients, full=False):
        """One series that is not cached, asked for by all: of a node that has just begun, or of one
        whose cache is full of other series."""
        with self.node() as node:
            if full:
                self.load(node, "get", *[cold_series(n) for n in range(NCOLD)], options=DECODED)
            figures = self.load(node, "get", CT_SERIES, options=[*DECODED, "--clients", nclients])
        return figures["rate"]

    def case_cold(self):
        def codec():
            done = subprocess.run([self.build / "tests/bench_decode", self.archive / "ct.dcbs"],
                                  check=True, capture_output=True, text=True)
            return float(done.stdout.split()[0].split("=")[1])
        rates = self.rounds_of({"codec": codec, "one": lambda: self.cold(1),
                                "eight": lambda: self.cold(8),
                                "one, full": lambda: self.cold(1, full=True),
                                "eight, full": lambda: self.cold(8, full=True)})
        for full, when in (("", "nothing cached"), (", full", "not cached, others fill the cache")):
            one, eight = rates["one" + full], rates["eight" + full]
            ratio = one / rates["codec"]
            self.row(f"decoded, {when}, 1 client", f"{one:.0f}/s, {100 * ratio:.0f} % of the codec "
                     f"alone ({rates['codec']:.0f}/s)", "≥ 75 %", ratio >= 0.75)
            self.row(f"decoded, {when}, 8 clients want the same series", f"{eight:.0f}/s, "
                     f"{eight / one:.1f} × the single client's", "≥ 5 ×", eight / one >= 5)

    def case_first(self):
        def first(*words, options=DECODED):
            return lambda: self.load(self.ours, "get", *words, options=options)["first_ms"]

        def opened():
            with self.node() as node:
                return self.load(node, "get", CT_SERIES, options=STORED)["first_ms"]

        def opened_decoded():
            with self.node() as node:
                return self.load(node, "get", CT_SERIES, options=DECODED)["first_ms"]
        measures = {"open, stored": first(CT_SERIES, options=STORED),
                    "open, decoded": first(CT_SERIES),
                    "to be opened, stored": opened, "to be opened, decoded": opened_decoded}
        for name, peer in self.tuned().items():
            measures[name] = lambda peer=peer: self.load(peer, "get", CT_SERIES,
                                                         options=DECODED)["first_ms"]
        times = self.rounds_of(measures)
        for name, goal in (("open, stored", 1.5), ("open, decoded", 1.5),
                           ("to be opened, stored", 5), ("to be opened, decoded", 5)):
            self.row(f"first instance, series {name}", f"{times[name]:.2f} ms", f"≤ {goal} ms",
                     times[name] <= goal)
        for name in self.tuned():
            self.row(f"first instance, {name}", f"{times[name]:.1f} ms", "for comparison", None)

    def stock(self, command, nodelay, count=None, folder=None):
        """How long one of DCMTK's programs takes; count: of the files it is to leave in folder."""
        environment = {k: v for k, v in os.environ.items() if k != "TCP_NODELAY"}
        if nodelay:
            environment["TCP_NODELAY"] = "1"
        started = time.monotonic()
        subprocess.run([str(word) for word in command], check=True, env=environment,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.monotonic() - started
        if count is not None and len(os.listdir(folder)) != count:
            raise RuntimeError(f"{command[0]}: not {count} instances")
        return seconds

    def case_small(self):
        """DCMTK's own programs as they come, beside the same with TCP_NODELAY=1 (the node's
        sockets always have it)."""
        keys = ["-k", "0008,0052=SERIES", "-k", "0020,000D=1.2.826.1.2", "-k",
                "0020,000E=1.2.826.1.2.1"]
        listener = servers.free_port()
        config, source, store = (self.folder / name for name in ("move.yaml", "small", "store"))
        config.write_text("destinations:\n  - ae_title: DEST\n    host: 127.0.0.1\n"
                          f"    port: {listener}\n")
        subprocess.run([self.build / "bin/dcbtool", "extract", self.archive / "mr.dcbs", "--all",
                        "--syntax", "explicit", "-o", source], check=True,
                       stdout=subprocess.DEVNULL)
        store.mkdir()

        def getscu(node, out):
            return ["getscu", "-S", "-aec", node.aec, "--output-directory", out, *keys, node.host,
                    node.port]

        def movescu(node, out):
            return ["movescu", "-S", "-aet", "DEST", "-aec", node.aec, "-aem", "DEST", "+P",
                    listener, "--output-directory", out, *keys, node.host, node.port]

        def storescu(node, _):
            return ["storescu", "-aec", node.aec, "--scan-directories", node.host, node.port,
                    source]

        def timed(node, make, nodelay):
            with tempfile.TemporaryDirectory(dir=self.folder) as out:
                stores = make is storescu
                return self.stock(make(node, out), nodelay, None if stores else 200, out)
        with self.node(options=["-c", config, "--store", store]) as node:
            for program, make in (("getscu", getscu), ("movescu", movescu),
                                  ("storescu", storescu)):
                if shutil.which(program) is None:
                    print(f"small: {program} is not installed", flush=True)
                    continue
                times = self.rounds_of({
                    "stock": lambda make=make: timed(node, make, False),
                    "tuned": lambda make=make: timed(node, make, True)})
                ratio = times["stock"] / times["tuned"]
                self.row(f"200 instances of 8 KB, {program} as it comes",
                         f"{times['stock']:.2f} s, {ratio:.2f} × with TCP_NODELAY", "≤ 2 ×",
                         ratio <= 2)

    def case_pdu(self):
        small = ["--max-pdu", "16384"]
        for what, syntax in (("stored", STORED), ("decoded, in the cache", DECODED)):
            rates = self.rounds_of({"large": self.rate(self.ours, 1, syntax),
                                    "small": self.rate(self.ours, 1, syntax, options=small)})
            slower = 1 - rates["small"] / rates["large"]
            self.row(f"maximum PDU of 16 KB instead of 128 KB, {what}",
                     f"{rates['small']:.0f}/s, {100 * slower:.0f} % slower", "≤ 15 % slower",
                     slower <= 0.15)

    def case_cpu(self):
        def cpu(server, syntax):
            def measure():
                before = server.cpu_seconds()
                figures = self.load(server, "get", CT_SERIES,
                                    options=[*syntax, "--repeat", 60])
                return 1e6 * (server.cpu_seconds() - before) / figures["instances"]
            return measure
        measures = {"stored": cpu(self.ours, STORED), "ceiling": cpu(self.ceiling_stored, STORED)}
        times = self.rounds_of(measures)
        self.row("server's processor time for an instance, stored",
                 f"{times['stored']:.0f} µs, the ceiling's {times['ceiling']:.0f} µs", "report",
                 None)

    def case_memory(self):
        with self.node() as node:
            before = node.peak_mb()
            self.load(node, "get", *[cold_series(n) for n in range(NCOLD)],
                      options=[*DECODED, "--clients", NCOLD])
            peak = node.peak_mb()
        goal = 256 + 1.5 * NCOLD + 64
        self.row("memory, 32 clients on 32 series, decoded",
                 f"{peak:.0f} MB at its peak ({before:.0f} MB idle)", f"≤ {goal:.0f} MB",
                 peak <= goal)

    def case_fair(self):
        """One who pulls 20 cold series, on one association and on twenty; another's first."""
        series = [cold_series(n) for n in range(20)]

        def first(how):
            with self.node() as node:
                heavy = subprocess.Popen(
                    [self.build / "tests/bench_retrieve", "--aec", node.aec, *DECODED, *how,
                     node.host, str(node.port), "get", *series], stdout=subprocess.DEVNULL)
                time.sleep(0.3)
                figures = self.load(node, "get", cold_series(25), options=DECODED)
                heavy.wait()
            return figures["first_ms"]
        times = self.rounds_of({"one": lambda: first(["--in-turn"]),
                                "twenty": lambda: first(["--clients", "20"])})
        for name, what in (("one", "one association"), ("twenty", "20 associations")):
            self.row(f"another pulls 20 cold series on {what}: first instance",
                     f"{times[name]:.1f} ms", "≤ 20 ms", times[name] <= 20)

    def quiet_after(self, node, process):
        """Seconds from now until the node has used no processor time for a tenth of one."""
        started, before = time.monotonic(), node.cpu_seconds()
        while time.monotonic() - started < 10:
            time.sleep(0.1)
            now = node.cpu_seconds()
            if now - before < 0.015:
                return time.monotonic() - started - 0.1
            before = now
        process.kill()
        raise RuntimeError("the node does not become quiet")

    def case_ill(self):
        """Clients that vanish, cancel or stop reading in the midst of cold series: how soon nothing
        is decoded for them any more."""
        series = [cold_series(n) for n in range(4)]

        def until_quiet(how, ends):
            with self.node() as node:
                client = subprocess.Popen(
                    [str(word) for word in (
                        self.build / "tests/bench_retrieve", "--aec", node.aec, *DECODED, *how,
                        "--in-turn", node.host, node.port, "get", *series)],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                if ends:
                    client.wait(60)
                else:
                    time.sleep(0.3)  # it stopped after five instances
                seconds = self.quiet_after(node, client)
                client.kill()
                client.wait()
                self.load(node, "echo", options=["--seconds", 0.1])  # it serves others
            return seconds
        times = self.rounds_of({
            "vanishes": lambda: until_quiet(["--stop-after", 20, "--seconds", 0], True),
            "cancels": lambda: until_quiet(["--cancel-after", 20], True),
            "stops reading": lambda: until_quiet(["--stop-after", 5, "--seconds", 30], False)})
        for name, seconds in times.items():
            self.row(f"a client {name}: no decoding for it any more after", f"{max(seconds, 0.1):.1f} s",
                     "≤ 1 s", seconds <= 1)

    def case_echo(self):
        for nclients in (1, 8, 32):
            measures = {"dcbscp": lambda: self.load(
                self.ours, "echo", options=["--clients", nclients, "--seconds", 1])["rate"]}
            for name, peer in self.tuned().items():
                measures[name] = lambda peer=peer: self.load(
                    peer, "echo", options=["--clients", nclients, "--seconds", 1],
                    check=False).get("rate", 0)
            rates = self.rounds_of(measures)
            self.row(f"associations with C-ECHO, {nclients} client{'s' if nclients > 1 else ''}",
                     ", ".join(f"{name} {rate:.0f}/s" for name, rate in rates.items()), "report",
                     None)

    def case_find(self):
        by_patient = (["--level", "STUDY"], ["00100020={}", "0020000D=", "00080020="])
        listing = (["--level", "IMAGE"], ["00080018=", "0020000D=1.2.826.1.1",
                                          "0020000E=1.2.826.1.1.1", "00200013="])
        for case, (options, keys), goal in (("C-FIND by PatientID", by_patient, None),
                                            ("C-FIND, 200 instances of a series", listing, 5)):
            measures = {}
            for name, server in {"dcbscp": self.ours, **self.tuned()}.items():
                words = [key.format("BENCH-1") for key in keys]
                measures[name] = lambda server=server, words=words: self.load(
                    server, "find", *words, options=[*options, "--repeat", 9])["find_ms"]
            times = self.rounds_of(measures)
            self.row(case, ", ".join(f"{name} {ms:.2f} ms" for name, ms in times.items()),
                     f"≤ {goal} ms" if goal else "report", times["dcbscp"] <= goal if goal else None)

    # ---- Networks ----

    @contextlib.contextmanager
    def namespaces(self):
        names = [f"dcb{os.getpid()}{side}" for side in "ab"]
        try:
            for name in names:
                subprocess.run(["ip", "netns", "add", name], check=True, stderr=subprocess.PIPE)
                subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
            yield names
        finally:
            for name in names:
                subprocess.run(["ip", "netns", "del", name], check=False,
                               stderr=subprocess.DEVNULL)

    def case_link(self):
        with self.namespaces() as (a, b):
            for command in (["ip", "link", "add", "v0", "netns", a, "type", "veth", "peer", "name",
                             "v0", "netns", b],
                            ["ip", "-n", a, "addr", "add", "10.77.0.1/24", "dev", "v0"],
                            ["ip", "-n", b, "addr", "add", "10.77.0.2/24", "dev", "v0"],
                            ["ip", "-n", a, "link", "set", "v0", "up"],
                            ["ip", "-n", b, "link", "set", "v0", "up"],
                            ["ip", "netns", "exec", a, "tc", "qdisc", "add", "dev", "v0", "root",
                             "tbf", "rate", "1gbit", "burst", "256kb", "latency", "50ms"]):
                subprocess.run(command, check=True, stderr=subprocess.PIPE)
            with self.node(host="10.77.0.1", prefix=["ip", "netns", "exec", a]) as node:
                inside = ["ip", "netns", "exec", b]
                runs = {"stored": [], "decoded": []}
                for n in range(self.rounds + 1):
                    for what, syntax in (("stored", STORED), ("decoded", DECODED)):
                        run = self.load(node, "get", CT_SERIES, options=[*syntax, "--repeat", 3],
                                        prefix=inside)
                        if n > 0:  # the first fills the cache
                            runs[what].append(run)
                figures = {what: (statistics.median(r["bytes"] / r["seconds"] for r in list_),
                                  statistics.median(r["rate"] for r in list_))
                           for what, list_ in runs.items()}
        share = figures["stored"][0] * 8 / 1e9
        self.row("link of 1 Gb/s, stored", f"{figures['stored'][1]:.0f}/s, {100 * share:.0f} % of "
                 f"the link in data sets; decoded {figures['decoded'][1]:.0f}/s: "
                 f"{figures['stored'][1] / figures['decoded'][1]:.1f} ×", "≥ 90 %", share >= 0.9)

    def case_delay(self):
        with self.namespaces() as (a, b):
            cable = subprocess.Popen(
                [sys.executable, pathlib.Path(__file__).with_name("netdelay.py"), a, "10.78.0.1/24",
                 b, "10.78.0.2/24", "25"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                if cable.stdout.readline() != "ready\n":
                    raise RuntimeError("netdelay.py does not start")
                there, here = ["ip", "netns", "exec", a], ["ip", "netns", "exec", b]
                small = self.load(self.ours, "get", MR_SERIES, options=[*MR, *DECODED])
                # Of one length on the wire, since a kernel that paces (BBR) takes longer for each
                # packet more.
                nbytes = int(small["bytes"] / small["instances"]) + PENDING_NBYTES
                with self.node(host="10.78.0.1", prefix=there) as node, self.manage(
                        servers.Sender(self.build, nbytes, host="10.78.0.1", prefix=there)) as ready:
                    # A round takes 20 s: three will do.
                    ours, ceiling = (min(runs, key=lambda run: run["seconds"]) for runs in zip(*(
                        (self.load(node, "get", MR_SERIES, options=[*MR, *DECODED], prefix=here),
                         self.load(ready, "get", CT_SERIES, options=DECODED, prefix=here))
                        for _ in range(3))))
            finally:
                cable.communicate("")
        each = [1000 * figures["seconds"] / figures["instances"] for figures in (ours, ceiling)]
        self.row("50 ms round trip, 200 instances of 8 KB",
                 f"{each[0]:.1f} ms an instance, the ceiling's {each[1]:.1f} ms",
                 "one round trip an instance and nothing more", each[0] <= 1.05 * each[1])

    # ---- Correctness ----

    def check_bytes(self):
        """What one client got is what dcbtool extract writes, to the byte."""
        for syntax, name in ((STORED, "htj2k"), (DECODED, "explicit")):
            got, wanted = self.folder / f"got-{name}", self.folder / f"wanted-{name}"
            got.mkdir()
            self.load(self.ours, "get", CT_SERIES, options=[*syntax, "--out", got])
            subprocess.run([self.build / "bin/dcbtool", "extract", self.archive / "ct.dcbs",
                            "--syntax", name, "-o", wanted], check=True, stdout=subprocess.DEVNULL)
            for i, path in enumerate(sorted(wanted.iterdir())):
                part10 = path.read_bytes()
                data_set = (got / f"1.2.826.1.1.1.{i + 1}").read_bytes()
                meta_nbytes = 144 + int.from_bytes(part10[140:144], "little")
                if part10[meta_nbytes:] != data_set:
                    raise RuntimeError(f"{name}: instance {i} is not what dcbtool extracts")
            count = len(list(got.iterdir()))
            shutil.rmtree(got)
            shutil.rmtree(wanted)
            if count != 200:
                raise RuntimeError(f"{name}: {count} instances instead of 200")
        print("all 200 instances are what dcbtool extracts, stored and decoded", flush=True)

    def run(self, wanted):
        cases = [name[5:] for name in dir(self) if name.startswith("case_")]
        order = ["rates", "cold", "first", "small", "pdu", "link", "delay", "cpu", "memory", "fair",
                 "ill", "echo", "find"]
        unknown = [name for name in wanted if name not in cases]
        if unknown:
            sys.exit(f"retrieve: no case {unknown[0]}: {' '.join(order)}")
        with self.stack:
            self.prepare()
            for name in order:
                if wanted and name not in wanted:
                    continue
                if name in ("link", "delay") and os.geteuid() != 0:
                    print(f"{name}: left out, network namespaces need root", flush=True)
                    continue
                try:
                    getattr(self, "case_" + name)()
                except (OSError, subprocess.CalledProcessError) as trouble:
                    if name not in ("link", "delay"):
                        raise
                    print(f"{name}: left out, {trouble}", flush=True)
                self.check_bytes()

    def print_table(self):
        model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                      if line.startswith("model name")), platform.machine())
        versions = [kind.version() for kind, program in
                    ((servers.Dcmqrscp, "dcmqrscp"), (servers.Orthanc, "Orthanc"))
                    if shutil.which(program)]
        print(f"\n{os.cpu_count()} × {model}, Linux {platform.release()}; "
              f"{', '.join(versions) or 'no peers'}; stored instances of "
              f"{self.stored_nbytes // 1000} KB, decoded ones of {DECODED_NBYTES // 1000} KB; "
              f"medians of {self.rounds}\n")
        print("| case | measured | goal | reached |\n|---|---|---|---|")
        for row in self.rows:
            print("| " + " | ".join(row) + " |")


def main():
    parser = argparse.ArgumentParser(prog="retrieve.sh", description=__doc__)
    parser.add_argument("build", nargs="?", default="build", help="where dcbscp was built [build]")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("cases", nargs="*", help="only these")
    arguments = parser.parse_intermixed_args()
    if hasattr(Bench, "case_" + arguments.build):
        arguments.cases.insert(0, arguments.build)
        arguments.build = "build"
    build = pathlib.Path(arguments.build).resolve()
    if not (build / "tests/bench_retrieve").exists():
        sys.exit(f"retrieve: {build}/tests/bench_retrieve is missing: build with DCB_TESTS=ON, or "
                 "name the build folder")
    with tempfile.TemporaryDirectory(prefix="dcbscp-bench-") as folder:
        bench = Bench(build, arguments.rounds, pathlib.Path(folder))
        bench.run(arguments.cases)
        bench.print_table()


if __name__ == "__main__":
    main()
