# SPDX-License-Identifier: Apache-2.0
"""User Identity negotiation as storescu and raw bytes see it, with lines that dcbtool and openssl
made."""

import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import unittest

from support.golden import OWN
from support.node import DCBSCP, DCBTOOL, Node, require, run

INSTANCE = sorted((OWN / "ct_phantom_small" / "source").glob("*.dcm"))[0]


def item(kind, content):
    return struct.pack(">BBH", kind, 0, len(content)) + content


def request_pdu(identity):
    """An A-ASSOCIATE-RQ for Verification with that user identity sub-item."""
    context = b"\1\0\0\0" + item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2")
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3") + item(0x58, identity)
    body = (b"\0\1\0\0" + b"DCBSCP".ljust(16) + b"RAW".ljust(16) + bytes(32) +
            item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user))
    return struct.pack(">BBI", 1, 0, len(body)) + body


def identity(kind, wanted, primary, secondary=b""):
    return (bytes((kind, wanted)) + struct.pack(">H", len(primary)) + primary +
            struct.pack(">H", len(secondary)) + secondary)


class Users(unittest.TestCase):
    def setUp(self):
        require("storescu", "echoscu", "openssl")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="users-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.archive = self.folder / "archive"
        self.archive.mkdir()
        self.users = self.folder / "users"
        sha512 = run("openssl", "passwd", "-6", "-salt", "salt", "sesam").text.strip()
        self.users.write_text(self.password("anna", "geheim") + f"bert:{sha512}\ngast:\n")
        self.users.chmod(0o600)

    def password(self, name, passcode, check=True):
        done = subprocess.run([DCBTOOL, "password", name], input=passcode + "\n", text=True,
                              stdout=subprocess.PIPE, check=check, timeout=60)
        return done.stdout

    def node(self, mode, more=""):
        conf = self.folder / "dcbscp.yaml"
        conf.write_text(f"user_identity: {mode}\nusers_file: {self.users}\n"
                        f"store: {self.archive}\n{more}")
        return Node(self.archive, "-c", conf)

    def store(self, node, *options, reason="No Reason"):
        done = run("storescu", "-v", "-aec", node.ae_title, *options, *node.address(), INSTANCE,
                   check=False)
        if done.returncode == 0:
            self.assertIn("Received Store Response (Success)", done.text)
        else:
            self.assertIn("Rejected Permanent, Source: Service User", done.text)
            self.assertIn(f"Reason: {reason}", done.text)
        return done.returncode == 0

    def raw(self, node, pdu):
        """The answer to an association request."""
        with socket.create_connection((node.host, node.port), timeout=20) as connection:
            connection.sendall(pdu)
            head = connection.recv(6, socket.MSG_WAITALL)
            answer = head + connection.recv(struct.unpack(">I", head[2:])[0], socket.MSG_WAITALL)
            if head[0] == 2:
                connection.sendall(b"\7\0\0\0\0\4\0\0\0\0")
            return answer

    def test_required(self):
        with self.node("require") as node:
            self.assertTrue(self.store(node, "-usr", "anna", "-pwd", "geheim"))
            node.wait_for_log(r"association\.accepted.*user=anna")
            self.assertTrue(self.store(node, "-usr", "bert", "-pwd", "sesam", "-rsp"))
            self.assertTrue(self.store(node, "-usr", "gast", "-rsp"))
            self.assertFalse(self.store(node))
            self.assertFalse(self.store(node, "-usr", "anna", "-pwd", "sesam"))
            node.wait_for_log("association.rejected.*wrong user or passcode")
            self.assertFalse(self.store(node, "-usr", "anna", "-epw"))
            self.assertFalse(self.store(node, "--jwt", self.users))
            node.wait_for_log(r"type 5 \(JSON web token\) is not supported")
            self.assertNotIn("geheim", "\n".join(node.log))
            # A user that is added counts at once.
            self.assertFalse(self.store(node, "-usr", "carl", "-pwd", "neu"))
            with self.users.open("a") as file:
                file.write(self.password("carl", "neu"))
            self.assertTrue(self.store(node, "-usr", "carl", "-pwd", "neu"))

    def test_accepted(self):
        with self.node("accept") as node:
            self.assertTrue(self.store(node))
            self.assertTrue(self.store(node, "-usr", "anna", "-pwd", "geheim"))
            self.assertTrue(self.store(node, "--jwt", self.users))
            self.assertFalse(self.store(node, "-usr", "anna", "-pwd", "falsch"))

    def test_five_failures_and_a_minute(self):
        with self.node("accept") as node:
            wrong = request_pdu(identity(2, 0, b"anna", b"falsch"))
            for _ in range(5):
                self.assertEqual(self.raw(node, wrong), b"\3\0\0\0\0\4\0\1\1\1")
            self.assertFalse(self.store(node, "-usr", "anna", "-pwd", "geheim"))
            node.wait_for_log("too many failures from 127.0.0.1")
            node.echoscu()  # who says nothing about a user is not concerned

    def test_the_answer_on_the_wire(self):
        positive = item(0x59, b"\0\0")
        with self.node("accept") as node:
            for wanted in (0, 1):
                answer = self.raw(node, request_pdu(identity(2, wanted, b"anna", b"geheim")))
                self.assertEqual(answer[0], 2)
                self.assertEqual(answer.count(positive), wanted)
            for kind in (3, 5, 77):  # no answer to what is not supported
                answer = self.raw(node, request_pdu(identity(kind, 1, b"ticket")))
                self.assertEqual((answer[0], answer.count(positive)), (2, 0))
            for bad in (identity(2, 1, b"an\0na", b"geheim"), identity(2, 1, b"a" * 65, b"x"),
                        identity(2, 1, b"anna", b"x" * 257), identity(2, 1, b"", b"")):
                self.assertEqual(self.raw(node, request_pdu(bad)), b"\3\0\0\0\0\4\0\1\1\1")
            # Lengths past the item are no request at all.
            self.assertEqual(self.raw(node, request_pdu(b"\2\1\0\xff"))[0], 7)

    def test_rules_by_user(self):
        with self.node("accept", "access:\n  - {users: [anna], allow: [store]}\n") as node:
            self.assertTrue(self.store(node, "-usr", "anna", "-pwd", "geheim"))
            nobody = "Calling AE Title Not Recognized"
            self.assertFalse(self.store(node, "-usr", "gast", reason=nobody))
            self.assertFalse(self.store(node, reason=nobody))
            self.assertFalse(self.store(node, "-usr", "anna", "-pwd", "falsch"))

    def test_off(self):
        with self.node("off") as node:
            self.assertTrue(self.store(node, "-usr", "anna", "-pwd", "falsch"))
            answer = self.raw(node, request_pdu(identity(2, 1, b"anna", b"geheim")))
            self.assertNotIn(item(0x59, b"\0\0"), answer)

    def test_files_that_are_wrong(self):
        for text, said in ((f"user_identity: require\n", "users_file is needed"),
                           (f"user_identity: accept\nusers_file: {self.folder}/none\n",
                            "cannot read"),
                           (f"user_identity: accept\nusers_file: {INSTANCE}\n", ":1: ")):
            conf = self.folder / "bad.yaml"
            conf.write_text(text)
            for words in (["--check-config"], ["--port", "0", "--state", self.folder / "state"]):
                done = run(DCBSCP, "--archive", self.archive, "-c", conf, *words, check=False,
                           timeout=30)
                self.assertIn(done.returncode, (1, 2))
                self.assertIn(said, done.text)
        self.assertEqual(self.password("a:b", "x", check=False), "")


if __name__ == "__main__":
    unittest.main()
