# SPDX-License-Identifier: Apache-2.0
"""The HTTP port by TLS: judged by Python's ssl and by dcbtool; client certificates in place of the
token."""

import pathlib
import shutil
import ssl
import tempfile
import unittest
import urllib.error
import urllib.request

from support.certificates import Certificates
from support.golden import OWN
from support.http_node import HttpNode
from support.node import DCBSCP, require, run
from test_dcbtool_node import tool

TINY = OWN / "tiny3" / "series.dcbs"
TOKEN = "0123456789abcdef-test-token"


class Https(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        require("openssl")
        folder = tempfile.TemporaryDirectory(prefix="https-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.archive = cls.folder / "archive"
        cls.archive.mkdir()
        shutil.copy(TINY, cls.archive / "tiny.dcbs")
        cls.made = Certificates(folder.name)
        cls.key, cls.certificate = cls.made.make("node")
        cls.client = cls.made.make("client")
        cls.stranger = cls.made.make("nobody", issuer="stranger")
        cls.expired = cls.made.make("expired", days=-1)
        (cls.folder / "token").write_text(TOKEN + "\n")

    def node(self, *options, ca=None):
        node = HttpNode(self.archive, *options)
        node.configuration.write(f"http_tls: true\ntls_certificate: {self.certificate}\n"
                                 f"tls_key: {self.key}\n")
        if ca is not None:
            node.configuration.write(f"tls_ca_file: {ca}\n")
        node.configuration.flush()
        return node

    def ask(self, node, path, identity=None, least=None, most=None, **headers):
        """The status, or None where there was no TLS connection."""
        context = ssl.create_default_context(cafile=str(self.made.ca))
        if identity is not None:
            context.load_cert_chain(identity[1], identity[0])
        if least is not None:
            context.minimum_version = least
        if most is not None:
            context.maximum_version = most
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=context))
        request = urllib.request.Request(f"https://127.0.0.1:{node.http_port}{path}",
                                         headers=headers)
        try:
            with opener.open(request, timeout=60) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except (urllib.error.URLError, ConnectionError):
            return None

    def test_by_tls_only(self):
        with self.node() as node:
            self.assertEqual(node.process.stdout.readline(),
                             f"dcbscp: status page on https://127.0.0.1:{node.http_port}/\n")
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                self.assertEqual(self.ask(node, "/status.json", least=version, most=version), 200)
            with self.assertRaises(OSError):
                node.ask("/healthz")
            self.assertEqual(self.ask(node, "/healthz"), 200)
            old = run("openssl", "s_client", "-connect", f"127.0.0.1:{node.http_port}", "-tls1_1",
                      "-cipher", "ALL:@SECLEVEL=0", check=False)
            self.assertNotEqual(old.returncode, 0)
            self.assertNotIn("BEGIN CERTIFICATE", old.text)

    def test_a_client_certificate_stands_for_the_token(self):
        with self.node("--http-bind", "0.0.0.0", ca=self.made.ca) as node:
            self.assertEqual(self.ask(node, "/status.json"), 401)
            self.assertEqual(self.ask(node, "/status.json", self.client), 200)
            self.assertEqual(self.ask(node, "/", self.client), 200)
            for identity in (self.stranger, self.expired):
                self.assertIn(self.ask(node, "/status.json", identity), (401, None))
            self.assertEqual(self.ask(node, "/healthz"), 200)
            self.assertEqual(self.ask(node, "/status.json", Authorization="Bearer "), 401)
        with self.node("--http-bind", "0.0.0.0", "--http-token-file", self.folder / "token",
                       ca=self.made.ca) as node:
            self.assertEqual(self.ask(node, "/status.json", self.client), 200)
            self.assertEqual(self.ask(node, "/status.json", Authorization="Bearer " + TOKEN), 200)
            self.assertEqual(self.ask(node, "/status.json", self.stranger,
                                      Authorization="Bearer " + TOKEN), 200)
            self.assertEqual(self.ask(node, "/status.json"), 401)
        # Without authorities no certificate counts.
        with self.node("--http-token-file", self.folder / "token") as node:
            self.assertEqual(self.ask(node, "/status.json", self.client), 401)

    def test_dcbtool(self):
        with self.node("--http-token-file", self.folder / "token") as node:
            url = f"https://127.0.0.1:{node.http_port}"
            trusted = ["--ca-file", self.made.ca]
            self.assertEqual(tool("status", url, "-q", *trusted), (0, "", ""))
            self.assertEqual(tool("status", url, "-q", DCBSCP_TLS_CA_FILE=str(self.made.ca))[0], 0)
            status, out, _ = tool("status", url, *trusted, "--token-file", self.folder / "token")
            self.assertEqual((status, out.splitlines()[0][-5:]), (0, "ready"))
            status, _, said = tool("status", url, "-q")
            self.assertEqual(status, 1)
            self.assertIn("--ca-file", said)
            status, _, said = tool("status", url, "-q", "--ca-file",
                                   self.folder / "stranger.pem")
            self.assertEqual(status, 1)
            self.assertIn("certificate", said)
            self.assertEqual(tool("status", url, "-q", "--ca-file", "/nowhere")[0], 1)
            self.assertEqual(tool("reindex", url, *trusted, "--token-file",
                                  self.folder / "token")[0], 0)
            self.assertEqual(tool("status", url.replace("https", "http"), "-q")[0], 1)

    def test_what_is_wrong_is_said(self):
        conf = self.folder / "wrong.yaml"
        for text, said in (
                ("http_tls: true\n", "tls_certificate"),
                (f"http_tls: true\ntls_certificate: {self.certificate}\ntls_key: /nowhere\n",
                 "/nowhere"),
                (f"http_tls: true\ntls_certificate: {self.certificate}\ntls_key: {self.client[0]}\n",
                 "client.key"),
                (f"http_tls: true\nhttp_bind_address: 0.0.0.0\ntls_certificate: {self.certificate}\n"
                 f"tls_key: {self.key}\n", "http_token_file")):
            conf.write_text(text)
            done = run(DCBSCP, "--archive", self.archive, "--state", self.folder / "state",
                       "--port", 0, "--http-port", 0, "-c", conf, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(said, [line for line in done.text.splitlines()
                                 if line.startswith("dcbscp: ")][-1])


if __name__ == "__main__":
    unittest.main()
