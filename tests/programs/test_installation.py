# SPDX-License-Identifier: Apache-2.0
"""What is installed beside the programs: manual pages, completion, the systemd unit."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

BUILD = Path(os.environ["DCB_BUILD_DIR"])
SOURCE = Path(os.environ["DCB_SOURCE_DIR"])


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=120, check=False, **options)


class InstallationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prefix = Path(tempfile.mkdtemp(prefix="dcbscp-install."))
        cls.addClassCleanup(shutil.rmtree, cls.prefix)
        done = run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)

    def help(self, program):
        done = run(self.prefix / "bin" / program, "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    # ---- Manual pages ----

    def page(self, name):
        """The page as plain text, after it was found without fault."""
        path = self.prefix / "share/man" / f"man{name[-1]}" / name
        if shutil.which("mandoc"):
            lint = run("mandoc", "-T", "lint", "-W", "warning", path)
            self.assertEqual((lint.returncode, lint.stdout), (0, ""), lint.stderr)
            done = run("mandoc", "-T", "utf8", "-O", "width=1000", path)
        elif shutil.which("man"):
            done = run("man", "--warnings", "-l", path, env={**os.environ, "MANWIDTH": "1000"})
            self.assertEqual(done.stderr, "")
        else:
            self.skipTest("neither mandoc nor man is here")
        self.assertEqual(done.returncode, 0)
        return re.sub(".\x08", "", done.stdout)

    def test_every_option_of_dcbscp_is_in_its_page(self):
        page, text = self.page("dcbscp.8"), self.help("dcbscp")
        command_line, settings = text.split("\nOnly in the configuration file:\n")
        flags = re.findall(r"^  (--?[a-z-]+(?: [^ \n]+)?)", command_line, re.MULTILINE)
        names = re.findall(r"^  ([a-z][a-z0-9_.]+) ", settings, re.MULTILINE)
        self.assertIn("--store DIR", flags)
        self.assertIn("store_reserve_mb", names)
        for word in flags + names:
            self.assertRegex(page, rf"(?m)^ +{re.escape(word)}(,|$| )", f"{word} is not explained")
        help_of_port = re.search(r"--port N +(.*)", text)[1]
        self.assertIn(help_of_port, re.sub(r"\s+", " ", page))

    def test_every_command_and_option_of_dcbtool_is_in_its_page(self):
        page, text = self.page("dcbtool.1"), self.help("dcbtool")
        commands = re.findall(r"^(?:Usage:|      ) dcbtool ([a-z]+)", text, re.MULTILINE)
        self.assertIn("extract", commands)
        for command in commands:
            self.assertRegex(page, rf"(?m)^ +{command}( |$)",
                             f"dcbtool {command} is missing in scp/dcbtool.1")
        flags = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))
        self.assertIn("--window", flags)
        for flag in sorted(flags):
            self.assertRegex(page, rf"(?m)(?<![\w-]){flag}(?![\w-])",
                             f"dcbtool's {flag} is missing in scp/dcbtool.1")

    # ---- Completion ----

    def completed(self, *words):
        """What the last word may become."""
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
                  '_"${1##*/}"; printf "%s\\n" "${COMPREPLY[@]}"')
        source = self.prefix / "share/bash-completion/completions" / words[0]
        path = f"{self.prefix / 'bin'}:{os.environ['PATH']}"
        done = run("bash", "-euc", script, "bash", source, *words, cwd=self.prefix,
                   env={**os.environ, "PATH": path})
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return set(done.stdout.split())

    def test_completion_of_dcbscp(self):
        self.assertEqual(self.completed("dcbscp", "--log-l"), {"--log-level"})
        self.assertLessEqual({"-c", "--archive", "--port", "--help"}, self.completed("dcbscp", "-"))
        self.assertEqual(self.completed("dcbscp", "--log-level", ""),
                         {"error", "warn", "info", "debug"})
        self.assertEqual(self.completed("dcbscp", "--log-format", "j"), {"json"})
        self.assertEqual(self.completed("dcbscp", "--archive", "sh"), {"share"})
        self.assertEqual(self.completed("dcbscp", "--port", ""), set())

    def test_completion_of_dcbtool(self):
        self.assertEqual(self.completed("dcbtool", "ex"), {"extract"})
        self.assertLessEqual({"info", "extract", "preview", "verify", "pack", "--help"},
                             self.completed("dcbtool", ""))
        self.assertEqual(self.completed("dcbtool", "extract", "x.dcbs", "--syntax", ""),
                         {"htj2k", "explicit", "implicit", "source"})
        self.assertEqual(self.completed("dcbtool", "preview", "--w"), {"--window"})
        self.assertEqual(self.completed("dcbtool", "info", "--"), {"--json"})
        self.assertEqual(self.completed("dcbtool", "verify", "sh"), {"share"})

    def test_every_command_has_its_options(self):
        text = self.help("dcbtool")
        for command in set(re.findall(r"^(?:Usage:|      ) dcbtool ([a-z]+)", text, re.MULTILINE)):
            paragraph = re.search(rf"^{command} +.*?(?=^$)", text, re.MULTILINE | re.DOTALL)
            flags = set(re.findall(r"^  .*?(--[a-z]+(?:-[a-z]+)*)", paragraph[0] if paragraph else "",
                                   re.MULTILINE))
            self.assertLessEqual(flags, self.completed("dcbtool", command, "--"), command)

    # ---- The service ----

    def unit(self):
        """The unit as systemd on this machine can check it: with a program that is there."""
        text = (self.prefix / "lib/systemd/system/dcbscp.service").read_text()
        self.assertIn("\nExecStart=dcbscp -c /etc/dcbscp/dcbscp.yaml\n", text)
        path = self.prefix / "dcbscp.service"
        path.write_text(text.replace("ExecStart=dcbscp", f"ExecStart={self.prefix}/bin/dcbscp")
                        .replace("Documentation=man:dcbscp(8)\n", ""))
        return path

    @unittest.skipIf(shutil.which("systemd-analyze") is None, "needs systemd-analyze (systemd)")
    def test_the_unit_is_good_and_hardened(self):
        unit = self.unit()
        verified = run("systemd-analyze", "verify", "--recursive-errors=no", unit)
        told = [line for line in verified.stderr.splitlines() if "dcbscp" in line]
        self.assertEqual((verified.returncode, told), (0, []), verified.stderr)
        rated = run("systemd-analyze", "security", "--offline=true", "--no-pager",
                    "--threshold=20", unit)
        self.assertEqual(rated.returncode, 0, rated.stdout + rated.stderr)
        self.assertRegex(rated.stdout, r"Overall exposure level for dcbscp\.service: [01]\.\d")

    @unittest.skipIf(shutil.which("promtool") is None, "needs promtool (prometheus)")
    def test_the_container_s_prometheus_is_told_well(self):
        token = self.prefix / "token"
        token.write_text("x")
        config = self.prefix / "prometheus.yaml"
        config.write_text((SOURCE / "docker" / "prometheus.yaml").read_text()
                          .replace("/run/http-token", str(token)))
        done = run("promtool", "check", "config", config)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_its_user_is_made(self):
        text = (self.prefix / "lib/sysusers.d/dcbscp.conf").read_text()
        self.assertRegex(text, r"(?m)^u dcbscp - ")
        if shutil.which("systemd-sysusers") is None:
            self.skipTest("needs systemd-sysusers (systemd)")
        root = self.prefix / "root"
        (root / "etc").mkdir(parents=True)
        done = run("systemd-sysusers", f"--root={root}",
                   self.prefix / "lib/sysusers.d/dcbscp.conf")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex((root / "etc/passwd").read_text(),
                         r"(?m)^dcbscp:.*:/var/lib/dcbscp:/usr/sbin/nologin$")


if __name__ == "__main__":
    unittest.main()
