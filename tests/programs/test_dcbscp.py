# SPDX-License-Identifier: Apache-2.0
"""dcbscp's start and end: command line, ready line, refusals, signals."""
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

NODE = Path(os.environ["DCB_BIN_DIR"]) / "dcbscp"
SAMPLE = Path(os.environ["DCB_SAMPLE_DIR"])
READY = re.compile(r"^dcbscp: listening on (\S+):(\d+) as (.+), (\d+) series, (\d+) instances\n$")


class DcbscpTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="dcbscp."))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def start(self, *arguments, environment=None):
        """A node that is ready, with the parts of its line."""
        node = subprocess.Popen(
            [NODE, "--archive", SAMPLE, "--state", self.folder / "state", "--port", "0",
             *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **(environment or {})})
        self.addCleanup(self.end, node)
        watchdog = threading.Timer(60, node.kill)
        watchdog.start()
        line = node.stdout.readline()
        watchdog.cancel()
        match = READY.match(line)
        self.assertIsNotNone(match, line + (node.stderr.read() if not line else ""))
        return node, match.groups()

    @staticmethod
    def end(node):
        if node.poll() is None:
            node.kill()
        node.communicate()

    def refused(self, status, message, *arguments):
        result = subprocess.run([NODE, *arguments], capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(result.stdout, "")
        told = [line for line in result.stderr.splitlines() if line.startswith("dcbscp: ")]
        self.assertEqual(len(told), 1, result.stderr)
        self.assertIn(message, told[0])
        return result

    def test_ready_line_and_sigterm(self):
        node, (address, port, title, nseries, ninstances) = self.start("--ae-title", "ARCHIVE 1")
        self.assertEqual((address, title, nseries, ninstances),
                         ("127.0.0.1", "ARCHIVE 1", "3", "74"))
        with socket.create_connection((address, int(port)), timeout=10):
            pass
        node.send_signal(signal.SIGTERM)
        out, _ = node.communicate(timeout=30)
        self.assertEqual((node.returncode, out), (0, ""))
        self.assertTrue((self.folder / "state").is_dir())

    def test_sigint_even_where_the_shell_has_it_ignored(self):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            node, _ = self.start()
        finally:
            signal.signal(signal.SIGINT, before)
        node.send_signal(signal.SIGINT)
        self.assertEqual(node.wait(timeout=30), 0)

    def test_a_silent_peer_does_not_hold_up_the_end(self):
        node, (address, port, *_) = self.start()
        with socket.create_connection((address, int(port)), timeout=10):
            began = time.monotonic()
            node.send_signal(signal.SIGTERM)
            self.assertEqual(node.wait(timeout=30), 0)
            self.assertLess(time.monotonic() - began, 12)

    def stalled_retrieval(self, port):
        """A getscu that stopped reading in the middle."""
        for _ in range(20):
            into = tempfile.mkdtemp(dir=self.folder)
            client = subprocess.Popen(
                ["getscu", "-P", "-aec", "DCBSCP", "-k", "QueryRetrieveLevel=PATIENT", "-k",
                 "PatientID=SAMPLE-CT", "-od", into, "127.0.0.1", port],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while client.poll() is None and not os.listdir(into):
                pass
            client.send_signal(signal.SIGSTOP)
            self.addCleanup(client.wait)
            self.addCleanup(client.kill)
            time.sleep(0.2)
            if len(os.listdir(into)) < 48:
                return
            client.kill()
        self.fail("getscu is always faster than a signal")

    @unittest.skipIf(shutil.which("getscu") is None, "needs getscu (dcmtk)")
    def test_a_second_signal_ends_at_once(self):
        node, (_, port, *_) = self.start()
        self.stalled_retrieval(port)
        began = time.monotonic()
        node.send_signal(signal.SIGTERM)
        time.sleep(1)
        self.assertIsNone(node.poll(), "it waits for the retrieval")
        node.send_signal(signal.SIGTERM)
        self.assertEqual(node.wait(timeout=5), 1)
        self.assertLess(time.monotonic() - began, 5)

    @unittest.skipIf(shutil.which("getscu") is None, "needs getscu (dcmtk)")
    def test_the_end_is_bounded(self):
        conf = self.folder / "node.yaml"
        conf.write_text("shutdown_timeout_s: 2\n")
        node, (_, port, *_) = self.start("-c", conf)
        self.stalled_retrieval(port)
        began = time.monotonic()
        node.send_signal(signal.SIGTERM)
        self.assertEqual(node.wait(timeout=30), 0)
        self.assertGreater(time.monotonic() - began, 1.5)
        self.assertLess(time.monotonic() - began, 8)

    def echo(self, *arguments, environment=None):
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DCBSCP_")}
        return subprocess.run([NODE.parent / "dcbtool", "echo", *arguments], capture_output=True,
                              text=True, timeout=60, env={**kept, **(environment or {})})

    def test_echo(self):
        node, (address, port, *_) = self.start("--ae-title", "ARCHIVE 1")
        asked = (
            ((address, port, "--called", "ARCHIVE 1"), None),
            ((), {"DCBSCP_PORT": port, "DCBSCP_AE_TITLE": "ARCHIVE 1"}),
            (("localhost", port, "--called", "ARCHIVE 1", "--calling", "ME"), None),
        )
        for arguments, environment in asked:
            told = self.echo(*arguments, environment=environment)
            self.assertEqual((told.returncode, told.stderr), (0, ""))
            self.assertRegex(told.stdout, rf"^ARCHIVE 1 at \S+:{port} answers, \d+\.\d ms\n$")
        refused = self.echo(address, port)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertRegex(refused.stderr, rf"^dcbtool: 127\.0\.0\.1:{port}: .*called AE title.*\n$")
        node.terminate()
        self.assertEqual(node.wait(timeout=30), 0)
        gone = self.echo(address, port)
        self.assertEqual(gone.returncode, 1)
        self.assertIn("refused", gone.stderr)

    def test_echo_of_what_does_not_answer(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            port = str(silent.getsockname()[1])
            told = self.echo("127.0.0.1", port, "--timeout", "1")
        self.assertEqual((told.returncode, told.stdout), (1, ""))
        self.assertTrue(told.stderr.startswith(f"dcbtool: 127.0.0.1:{port}: "), told.stderr)

    def test_echo_wrongly_asked(self):
        for message, *arguments in (("expected a port, 1 to 65535, not \"0\"", "host", "0"),
                                    ("expected a port", "host", "70000"),
                                    ("a host and a port", "a", "1", "b"),
                                    ("--timeout expects seconds", "--timeout", "0"),
                                    ("--called expects 1 to 16 characters", "--called", " "),
                                    ("--calling expects", "--calling", "A" * 17),
                                    ("needs a value", "--called"),
                                    ("unknown option", "--port", "1")):
            told = self.echo(*arguments)
            self.assertEqual((told.returncode, told.stdout), (2, ""), arguments)
            self.assertIn(message, told.stderr)

    def test_what_systemd_is_told(self):
        address = str(self.folder / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address)
            manager.settimeout(60)
            node, _ = self.start(environment={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"})
            self.assertEqual(manager.recv(4096),
                             b"READY=1\nSTATUS=serving 3 series, 74 instances")
            for _ in range(3):
                self.assertEqual(manager.recv(4096), b"WATCHDOG=1")
            node.send_signal(signal.SIGTERM)
            told = b"WATCHDOG=1"
            while told == b"WATCHDOG=1":
                told = manager.recv(4096)
            self.assertRegex(told, rb"^STOPPING=1\nSTATUS=.*\nEXTEND_TIMEOUT_USEC=70000000\n"
                                   rb"WATCHDOG_USEC=70000000$")
            self.assertEqual(node.wait(timeout=30), 0)

    def test_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError as error:
            self.skipTest(f"no IPv6 here: {error}")
        node, (address, port, *_) = self.start("--bind", "::1")
        self.assertEqual(address, "[::1]")
        with socket.create_connection(("::1", int(port)), timeout=10):
            pass
        node.terminate()
        self.assertEqual(node.wait(timeout=30), 0)

    def test_started_again_on_the_same_state(self):
        for _ in range(2):
            node, (*_, nseries, ninstances) = self.start()
            self.assertEqual((nseries, ninstances), ("3", "74"))
            node.terminate()
            self.assertEqual(node.wait(timeout=30), 0)

    def test_configuration_file(self):
        conf = self.folder / "node.yaml"
        conf.write_text("archives:\n  - archive\nae_title: FROMFILE\nport: 0\n")
        shutil.copytree(SAMPLE, self.folder / "archive")
        node = subprocess.Popen([NODE, "-c", conf], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(self.end, node)
        self.assertIn(" as FROMFILE, 3 series, 74 instances\n", node.stdout.readline())
        self.assertTrue((self.folder / "archive" / ".dcbscp").is_dir())
        node.terminate()
        self.assertEqual(node.wait(timeout=30), 0)

    def test_check_and_print(self):
        conf = self.folder / "node.yaml"
        conf.write_text("archives: [/a]\nport: 104\ndestinations:\n  - {ae_title: A, host: b}\n")
        command = [NODE, "-c", conf, "--ae-title", "X"]
        result = subprocess.run([*command, "--check-config"], capture_output=True, text=True,
                                check=True)
        self.assertEqual((result.stdout, result.stderr),
                         ("dcbscp: the configuration is good\n", ""))
        result = subprocess.run([*command, "--print-config"], capture_output=True, text=True,
                                env={**os.environ, "DCBSCP_CACHE_MB": "9"}, check=True)
        for line in (f"port: 104 # {conf}:2", 'ae_title: "X" # --ae-title', "max_pdu: 131072 # default",
                     "cache_mb: 9 # DCBSCP_CACHE_MB", f"destinations: # {conf}:3", '    host: "b"'):
            self.assertIn(line, result.stdout.splitlines())
        conf.write_text("destinations:\n  - {ae_title: A}\n")
        self.refused(2, f"{conf}:2: destinations, record 1: host is missing", "-c", conf,
                     "--check-config")

    def wait_for(self, log, event, nth=1):
        """The nth line of the log that has the event."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            lines = [line for line in log.read_text().splitlines() if f" {event} " in line]
            if len(lines) >= nth:
                return lines[nth - 1]
            time.sleep(0.02)
        self.fail(f"no {event} in {log.read_text()}")

    def test_reload(self):
        conf, log = self.folder / "node.yaml", self.folder / "log"
        base = f"archives: [{SAMPLE}]\nstate_dir: {self.folder}/state\n"
        conf.write_text(base + "log_level: info\n")
        with log.open("w") as out:
            node = subprocess.Popen([NODE, "-c", conf, "--port", "0"], stdout=subprocess.PIPE,
                                    stderr=out, text=True)
        self.addCleanup(self.end, node)
        port = READY.match(node.stdout.readline())[2]

        def echoes():
            with socket.create_connection(("127.0.0.1", int(port)), timeout=10):
                pass

        conf.write_text(base + "log_level: debug\nport: 1\nlog_formt: json\n")
        node.send_signal(signal.SIGHUP)
        line = self.wait_for(log, "config.rejected")
        self.assertIn(f"{conf}:5: unknown option", line)
        self.assertIn("log_format", line)
        echoes()
        conf.write_text(base + "log_level: error\nmax_pdu: 4096\ncache_mb: 1\n")
        node.send_signal(signal.SIGHUP)
        self.assertIn('options="max_pdu, cache_mb"', self.wait_for(log, "config.needs_restart"))
        # What was good counts: at level error this one is not logged any more.
        conf.write_text(base + "log_level: info\nlog_format: json\n")
        node.send_signal(signal.SIGHUP)
        until = time.monotonic() + 60
        while '"event":"config.reloaded"' not in log.read_text() and time.monotonic() < until:
            time.sleep(0.02)
        self.assertNotIn(" config.reloaded ", log.read_text())
        self.assertIn('"event":"config.reloaded"', log.read_text())
        echoes()
        node.terminate()
        self.assertEqual(node.wait(timeout=30), 0)

    def test_wrong_command_lines(self):
        self.refused(2, "no archive given")
        self.refused(2, "--port: expected a number from 0 to 65535", "--port", "x")
        self.refused(2, "unknown option \"--archives\"; did you mean \"--archive\"?",
                     "--archives", SAMPLE)
        conf = self.folder / "node.yaml"
        conf.write_text("archives: [/tmp]\nlog_levl: debug\n")
        self.refused(2, f"{conf}:2: unknown option \"log_levl\"; did you mean \"log_level\"?",
                     "-c", conf)

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            self.refused(1, port, "--archive", SAMPLE, "--state", self.folder, "--port", port)

    def test_an_address_of_another_machine(self):
        self.refused(1, "192.0.2.1", "--archive", SAMPLE, "--state", self.folder, "--port", "0",
                     "--bind", "192.0.2.1")

    def test_archives_that_cannot_be_read(self):
        missing = self.folder / "missing"
        self.refused(1, str(missing), "--archive", missing, "--state", self.folder / "s",
                     "--port", "0")
        self.refused(1, f"cannot read the archive {missing}: No such file", "--archive", missing)
        self.assertFalse(missing.exists())
        plain = self.folder / "file"
        plain.write_bytes(b"")
        self.refused(1, str(plain), "--archive", plain, "--state", self.folder / "s",
                     "--port", "0")
        if os.getuid() != 0:
            closed = self.folder / "closed"
            closed.mkdir(mode=0)
            self.refused(1, str(closed), "--archive", closed, "--state", self.folder / "s",
                         "--port", "0")
            closed.chmod(stat.S_IRWXU)

    def test_state_folders_that_cannot_be_written(self):
        plain = self.folder / "file"
        plain.write_bytes(b"")
        for state in (plain, plain / "below", Path("/proc/dcbscp")):
            self.refused(1, str(state), "--archive", SAMPLE, "--state", state, "--port", "0")

    def test_help_and_version(self):
        text = subprocess.run([NODE, "--help"], capture_output=True, text=True, check=True).stdout
        for word in ("--archive DIR", "--state DIR", "--bind ADDR", "--port N", "--ae-title NAME",
                     "--log-level", "--log-format", "--version", "--help", "-c FILE",
                     "Exit status"):
            self.assertIn(word, text)
        result = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True)
        self.assertRegex(result.stdout, r"^dcbscp \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    unittest.main()
