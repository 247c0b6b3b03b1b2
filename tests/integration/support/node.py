# SPDX-License-Identifier: Apache-2.0
"""Runs a node under test, and the programs that judge it."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from .golden import REPO

BUILD = pathlib.Path(os.environ.get("DCB_BUILD_DIR", REPO / "build"))
DCBSCP = BUILD / "bin" / "dcbscp"
DCBTOOL = BUILD / "bin" / "dcbtool"
CLIENT = BUILD / "tests" / "dimse_client"

READY = re.compile(
    r"dcbscp: listening on (\S+):(\d+)(?: \(TLS: (\d+)\))? as (\S+), (\d+) series, (\d+) instances\n")
START_SECONDS = 60
STOP_SECONDS = 30

# What a sanitizer prints on its way out.
SANITIZER = re.compile(r"(ERROR|WARNING): \w+Sanitizer|runtime error:")


def require(*programs):
    """Skips the test where a judge is not installed, and says which."""
    for program in programs:
        if shutil.which(program) is None:
            raise unittest.SkipTest(f"{program} is not installed")


def stock_environment():
    """The environment without TCP_NODELAY: how hospital systems run DCMTK's tools."""
    return {k: v for k, v in os.environ.items() if k != "TCP_NODELAY"}


def run(*command, timeout=120, check=True, cwd=None):
    """Runs a program to its end; its output is in the failure."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                          env=stock_environment(), cwd=cwd, check=False)
    done.text = done.stdout.decode("utf-8", "replace")
    if check and done.returncode != 0:
        raise AssertionError(f"{command[0]} ended with {done.returncode}:\n{done.text[-4000:]}")
    return done


RESPONSE = re.compile(r"^response status=(\w{4})(.*)$", re.MULTILINE)


def responses(text):
    """(status, fields) of each response that our client printed."""
    return [(status, dict(re.findall(r"(\w+)=(\"[^\"]*\"|\S+)", rest)))
            for status, rest in RESPONSE.findall(text)]


def failed_uids(text):
    """The last Failed SOP Instance UID List that it printed."""
    lists = re.findall(r"^\s+00080058=(.*)$", text, re.MULTILINE)
    return lists[-1].strip().split("\\") if lists else []


class Node:
    """A dcbscp over an archive folder, on a free port, ended with the `with` block. Leaving the
    block asserts that it stopped cleanly: exit status 0 and nothing from a sanitizer."""

    def __init__(self, archive, *options):
        self.archive = pathlib.Path(archive)
        self.options = [str(option) for option in options]
        self.state = tempfile.TemporaryDirectory(prefix="dcbscp-state-")
        self.log = []
        self._log_changed = threading.Condition()

    def __enter__(self):
        command = [DCBSCP, "--archive", self.archive, "--state", self.state.name, "--port", "0",
                   *self.options]
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace", env=stock_environment())
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        match = READY.fullmatch(line)
        if match is None:
            self.process.kill()
            self._reader.join()
            raise AssertionError(f"no ready line but {line!r}; log:\n" + "\n".join(self.log))
        self.host, self.port, self.ae_title = match[1], int(match[2]), match[4]
        self.tls_port = int(match[3]) if match[3] else None
        self.nseries, self.ninstances = int(match[5]), int(match[6])
        return self

    def _read_log(self):
        for line in self.process.stderr:
            with self._log_changed:
                self.log.append(line.rstrip("\n"))
                self._log_changed.notify_all()
        with self._log_changed:
            self._log_changed.notify_all()

    def wait_for_log(self, pattern, seconds=20, start=0):
        """The first log line from `start` on that the pattern matches."""
        wanted = re.compile(pattern)
        end = time.monotonic() + seconds
        with self._log_changed:
            while True:
                for line in self.log[start:]:
                    if wanted.search(line):
                        return line
                left = end - time.monotonic()
                if left <= 0 or not self._log_changed.wait(left):
                    raise AssertionError(f"no log line like {pattern!r} in:\n" +
                                         "\n".join(self.log[start:][-40:]))

    def __exit__(self, kind, value, trace):
        running = self.process.poll() is None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            if kind is None:
                raise AssertionError("dcbscp did not stop on SIGTERM") from None
        self._reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        self.state.cleanup()
        log = "\n".join(self.log)
        if SANITIZER.search(log):
            raise AssertionError("a sanitizer complained:\n" + log[-8000:])
        if kind is None and (not running or self.process.returncode != 0):
            raise AssertionError(
                f"dcbscp ended with {self.process.returncode}, "
                f"{'after' if running else 'before'} SIGTERM; log:\n{log[-4000:]}")

    # ---- Clients ----

    def address(self):
        return [self.host, str(self.port)]

    def echoscu(self, *options):
        return run("echoscu", "-aec", self.ae_title, *options, *self.address())

    def findscu(self, *keys, model="-S", options=(), check=True):
        """Runs findscu; returns the answers as pydicom data sets."""
        import pydicom
        with tempfile.TemporaryDirectory(prefix="findscu-") as folder:
            words = [word for key in keys for word in ("-k", key)]
            done = run("findscu", model, "-X", "-od", folder, "-aec", self.ae_title, *options,
                       *words, *self.address(), check=check)
            answers = [pydicom.dcmread(path, force=True)
                       for path in sorted(pathlib.Path(folder).glob("rsp*.dcm"))]
        if check and re.search(r"^[EF]: ", done.text, re.MULTILINE):
            raise AssertionError("findscu complained:\n" + done.text)
        return answers

    def getscu(self, folder, *keys, model="-S", options=(), check=True):
        """Runs getscu into folder; returns the finished process."""
        words = [word for key in keys for word in ("-k", key)]
        return run("getscu", model, "-od", folder, "-aec", self.ae_title, *options, *words,
                   *self.address(), check=check)

    def client(self, subcommand, *options, check=True, timeout=120):
        """Our own test client: it proposes and sends what Debian's cannot."""
        return run(CLIENT, "--aec", self.ae_title, *options, *self.address(), subcommand,
                   check=check, timeout=timeout)
