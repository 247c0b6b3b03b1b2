# SPDX-License-Identifier: Apache-2.0
"""TLS as DCMTK's tools, openssl and python's ssl see it: who gets a connection, with which protocol
and cipher; the wrong kind of client; bytes retrieved; slow and silent peers; what is wrong at the
start."""

import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

import pydicom

from support.certificates import Certificates
from support.golden import OWN
from support.make_dcbs import repeat_series
from support.node import DCBSCP, Node, require, run
from support.tls_relay import TlsRelay

TINY = OWN / "tiny3" / "series.dcbs"
PHANTOM = OWN / "ct_phantom_small" / "series.dcbs"


def setUpModule():
    require("echoscu", "findscu", "storescu", "getscu", "openssl")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tls-"))
    unittest.addModuleCleanup(shutil.rmtree, folder)
    TlsTest.certificates = Certificates(folder)
    TlsTest.node_key, TlsTest.node_pem = TlsTest.certificates.make("node")
    TlsTest.client_key, TlsTest.client_pem = TlsTest.certificates.make("client")


class TlsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(dir=cls.certificates.folder))
        cls.archive = cls.folder / "archive"
        cls.archive.mkdir()
        shutil.copy(PHANTOM, cls.archive / "phantom.dcbs")

    def configuration(self, **settings):
        settings = {"tls_mode": "only", "tls_certificate": self.node_pem,
                    "tls_key": self.node_key, "tls_ca_file": self.certificates.ca, **settings}
        conf = self.folder / f"{self.id()}.yaml"
        conf.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()
                                if value is not None))
        return conf

    def node(self, *options, **settings):
        return Node(self.archive, "-c", self.configuration(**settings), *options)

    def client_options(self, key=None, pem=None):
        return ["+tls", key or self.client_key, pem or self.client_pem, "+cf",
                self.certificates.ca]

    def echo(self, node, *options, port=None, check=True):
        return run("echoscu", "-aec", node.ae_title, *options, node.host, port or node.port,
                   check=check)


class WhoGetsIn(TlsTest):
    def test_echo_find_and_store_over_tls(self):
        with self.node("--store", self.archive) as node:
            self.echo(node, *self.client_options())
            line = node.wait_for_log("association.accepted")
            self.assertRegex(line, r'tls=TLSv1\.[23] cipher=\S+ certificate="?CN=client,O=Test')
            answers = node.findscu("QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName",
                                   options=self.client_options())
            self.assertEqual(len(answers), 1)
            instance = self.folder / "store.dcm"
            dataset = pydicom.dcmread(next((OWN / "ct_phantom_small" / "source").glob("*.dcm")))
            dataset.StudyInstanceUID = "1.2.3.99"
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.99.1"
            dataset.save_as(instance)
            run("storescu", "-aec", node.ae_title, *self.client_options(), *node.address(),
                instance)
            self.assertEqual(len(node.findscu("QueryRetrieveLevel=STUDY", "StudyInstanceUID",
                                              options=self.client_options())), 2)

    def test_certificates_that_are_not_good(self):
        expired = self.certificates.make("expired", days=-1)
        foreign = self.certificates.make("foreign", issuer="stranger")
        with self.node() as node:
            for options, said in (
                    (("+tla", "+cf", self.certificates.ca), "peer did not return a certificate"),
                    (self.client_options(*expired), "the peer's certificate: certificate has expired"),
                    (self.client_options(*foreign), "the peer's certificate: ")):
                start = len(node.log)
                done = self.echo(node, *options, check=False)
                self.assertNotEqual(done.returncode, 0, options)
                line = node.wait_for_log(r"warn association\.no_request", start=start)
                self.assertIn(f"no TLS connection: ", line)
                self.assertIn(said, line)
            self.echo(node, *self.client_options())

    def test_certificates_that_need_not_be(self):
        foreign = self.certificates.make("foreign2", issuer="stranger")
        with self.node(tls_client_certificates="request") as node:
            self.echo(node, "+tla", "+cf", self.certificates.ca)
            node.wait_for_log(r'association\.accepted.*tls=TLSv1.*certificate=""')
            self.assertNotEqual(self.echo(node, *self.client_options(*foreign),
                                          check=False).returncode, 0)
        with self.node(tls_client_certificates="no", tls_ca_file=None) as node:
            self.echo(node, "+tla", "+cf", self.certificates.ca)

    def test_rules_bind_certificates_to_ae_titles(self):
        key, pem = self.certificates.make("ct1", names="DNS:ct1.test")
        conf = self.configuration()
        with conf.open("a") as file:
            file.write("access:\n"
                       "  - {calling: [CT1], certificates: [ct1.test], allow: [echo]}\n"
                       "  - {calling: [ANY], certificates: ['CN=client,*'], allow: [echo]}\n")
        with Node(self.archive, "-c", conf) as node:
            for title, certificate, good in (("CT1", (key, pem), True), ("ANY", (), True),
                                             ("ANY", (key, pem), False), ("CT1", (), False)):
                done = self.echo(node, "-aet", title, *self.client_options(*certificate),
                                 check=False)
                self.assertEqual(done.returncode == 0, good, (title, done.text))

    def test_a_revoked_certificate(self):
        key, pem = self.certificates.make("revoked")
        conf = self.certificates.folder / "ca.cnf"
        (self.certificates.folder / "index.txt").write_text("")
        conf.write_text("[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ndefault_md=sha256\n"
                        "default_crl_days=30\n")
        authority = ("-config", conf, "-keyfile", "authority.key", "-cert", "authority.pem")
        self.certificates.openssl("ca", *authority, "-revoke", pem)
        self.certificates.openssl("ca", *authority, "-gencrl", "-out", "crl.pem")
        with self.node(tls_crl_file=self.certificates.folder / "crl.pem") as node:
            self.echo(node, *self.client_options())
            self.assertNotEqual(self.echo(node, *self.client_options(key, pem),
                                          check=False).returncode, 0)
            node.wait_for_log("the peer's certificate: certificate revoked")

    def test_protocols_and_ciphers(self):
        with self.node() as node:
            def connect(*options):
                return subprocess.run(
                    ["openssl", "s_client", "-connect", f"{node.host}:{node.port}", "-CAfile",
                     self.certificates.ca, "-cert", self.client_pem, "-key", self.client_key,
                     *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, text=True, timeout=60, check=False).stdout

            for options in (("-tls1",), ("-tls1_1",)):
                out = connect(*options, "-cipher", "ALL:@SECLEVEL=0")
                self.assertRegex(out, "alert protocol version|no protocols|unsupported protocol",
                                 out)
                self.assertIn("New, (NONE), Cipher is (NONE)", out)
            node.wait_for_log("no TLS connection: TLS: unsupported protocol")
            for cipher in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA",
                           "aNULL:eNULL:@SECLEVEL=0"):
                out = connect("-tls1_2", "-cipher", cipher)
                self.assertRegex(out, "handshake failure|no cipher|no ciphers", cipher)
            for cipher in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"):
                out = connect("-tls1_2", "-cipher", cipher)
                self.assertRegex(out, f"New, TLSv1.2, Cipher is {cipher}")
            self.assertRegex(connect("-tls1_3"), r"New, TLSv1.3, Cipher is TLS_AES_\d+_GCM")
            # No session is kept, so none is resumed past a look at the certificate.
            self.assertNotIn("Post-Handshake New Session Ticket", connect("-tls1_3"))


class Ports(TlsTest):
    def test_plain_on_tls_and_tls_on_plain(self):
        with self.node() as node:
            self.assertNotEqual(self.echo(node, check=False).returncode, 0)
            node.wait_for_log(r"it is not encrypted, and this port takes TLS only")
            with socket.create_connection((node.host, node.port)) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                node.wait_for_log("neither TLS nor DICOM")
            self.echo(node, *self.client_options())
        with self.node(tls_mode="off") as node:
            done = self.echo(node, *self.client_options(), check=False)
            self.assertNotEqual(done.returncode, 0)
            node.wait_for_log("it is a TLS handshake, and this port takes no TLS")
            self.echo(node)

    def test_both_on_one_port(self):
        with self.node(tls_mode="both") as node:
            for _ in range(3):
                self.echo(node)
                self.echo(node, *self.client_options())

    def test_separate_ports(self):
        with self.node(tls_mode="separate", tls_port=0) as node:
            self.assertNotIn(node.tls_port, (0, None, node.port))
            for _ in range(3):
                self.echo(node)
                self.echo(node, *self.client_options(), port=node.tls_port)
            self.assertNotEqual(self.echo(node, *self.client_options(), check=False).returncode, 0)
            self.assertNotEqual(self.echo(node, port=node.tls_port, check=False).returncode, 0)
            node.wait_for_log("this port takes no TLS")
            node.wait_for_log("this port takes TLS only")


class Retrieval(TlsTest):
    def test_the_same_bytes_as_without(self):
        archive = self.folder / "many"
        archive.mkdir()
        repeat_series(archive / "small.dcbs", TINY, 200, "1.2.3.4")
        shutil.copy(PHANTOM, archive / "phantom.dcbs")
        conf = self.configuration(tls_mode="both")
        with Node(archive, "-c", conf) as node, \
                TlsRelay(node.port, self.certificates.ca, self.client_key,
                         self.client_pem) as relay:
            got = {}
            for name, port in (("plain", node.port), ("tls", relay.port)):
                out = self.folder / name
                out.mkdir()
                run("getscu", "-S", "-od", out, "-aec", node.ae_title, "-k",
                    "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3.4.1", node.host,
                    port)
                phantom = str(pydicom.dcmread(next(
                    (OWN / "ct_phantom_small" / "source").glob("*.dcm"))).StudyInstanceUID)
                run("getscu", "-S", "-od", out, "-aec", node.ae_title, "-k",
                    "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={phantom}", node.host,
                    port)
                got[name] = {path.name: path.read_bytes() for path in out.iterdir()}
            self.assertEqual(len(got["plain"]), 208)
            self.assertEqual(got["plain"], got["tls"])
            self.assertTrue(relay.versions)


class SlowPeers(TlsTest):
    def test_silence_and_dribbling_within_the_handshake(self):
        hello = b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"
        with self.node(request_timeout_s=2) as node:
            silent = [socket.create_connection((node.host, node.port)) for _ in range(50)]
            for connection in silent:
                connection.sendall(hello)
            start = time.monotonic()
            self.echo(node, *self.client_options())
            self.assertLess(time.monotonic() - start, 10)
            dribbler = socket.create_connection((node.host, node.port))
            start = time.monotonic()
            try:
                while time.monotonic() - start < 30:
                    dribbler.sendall(hello[:1] if time.monotonic() - start < 0.1 else b"\x03")
                    time.sleep(0.05)
            except OSError:
                pass
            self.assertLess(time.monotonic() - start, 20)
            node.wait_for_log("no whole TLS handshake within 2000 ms")
            for connection in silent + [dribbler]:
                connection.close()
            self.echo(node, *self.client_options())

    def test_a_stop_within_a_handshake(self):
        with self.node(request_timeout_s=600) as node:
            held = socket.create_connection((node.host, node.port))
            held.sendall(b"\x16\x03\x01")
            self.echo(node, *self.client_options())
        held.close()  # the node has stopped within the `with` block's own limit


class Files(TlsTest):
    def test_certificates_are_read_again_on_sighup(self):
        key, pem = self.certificates.make("renewed")
        mine = self.folder / "mine.pem", self.folder / "mine.key"
        shutil.copy(self.node_pem, mine[0])
        shutil.copy(self.node_key, mine[1])

        def presented(node):
            context = ssl.create_default_context(cafile=self.certificates.ca)
            context.load_cert_chain(self.client_pem, self.client_key)
            with socket.create_connection((node.host, node.port)) as connection, \
                    context.wrap_socket(connection, server_hostname="localhost") as secure:
                return dict(part[0] for part in secure.getpeercert()["subject"])["commonName"]

        with self.node(tls_certificate=mine[0], tls_key=mine[1]) as node:
            self.assertEqual(presented(node), "node")
            context = ssl.create_default_context(cafile=self.certificates.ca)
            context.load_cert_chain(self.client_pem, self.client_key)
            with socket.create_connection((node.host, node.port)) as connection, \
                    context.wrap_socket(connection, server_hostname="localhost") as open_before:
                shutil.copy(pem, mine[0])
                node.process.send_signal(signal.SIGHUP)
                line = node.wait_for_log("config.rejected")
                self.assertIn("does not belong to the certificate", line)
                self.assertEqual(presented(node), "node")
                shutil.copy(key, mine[1])
                node.process.send_signal(signal.SIGHUP)
                node.wait_for_log("config.reloaded")
                self.assertEqual(presented(node), "renewed")
                # What was there before goes on: it answers what is no request.
                open_before.sendall(b"\x04\0\0\0\0\x06\0\0\0\x02\x01\x03")
                self.assertEqual(open_before.recv(100)[:1], b"\x07")
            self.echo(node, *self.client_options())

    def refused(self, **settings):
        done = run(DCBSCP, "--archive", self.archive, "--state", self.folder / "state",
                   "--port", "0", "-c", self.configuration(**settings), check=False, timeout=30)
        self.assertIn(done.returncode, (1, 2), done.text)
        self.assertEqual(len(done.text.strip().splitlines()), 1, done.text)
        return done.text

    def test_what_is_wrong_is_said_at_the_start(self):
        (self.folder / "junk.pem").write_text("junk\n")
        expired_key, expired_pem = self.certificates.make("old", days=-1)
        for settings, said in (
                ({"tls_certificate": None}, "tls_certificate is not set"),
                ({"tls_key": self.client_key}, "does not belong to the certificate"),
                ({"tls_certificate": expired_pem, "tls_key": expired_key}, "old.pem expired on"),
                ({"tls_key": self.folder / "none.key"}, "none.key: No such file"),
                ({"tls_ca_file": self.folder / "junk.pem"}, "junk.pem holds no certificate"),
                ({"tls_ca_file": None}, "tls_ca_file or tls_ca_folder is needed"),
                ({"tls_profile": "ssl3"}, "tls_profile")):
            self.assertIn(said, self.refused(**settings), settings)


if __name__ == "__main__":
    unittest.main()
