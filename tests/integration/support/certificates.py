# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made by openssl."""

import pathlib
import subprocess


class Certificates:
    """Makes an authority, one that nobody trusts, and certificates by them in a folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        for name in ("authority", "stranger"):
            self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "60",
                         "-keyout", f"{name}.key", "-out", f"{name}.pem",
                         "-subj", f"/O=Test/CN={name}",
                         # Newer verifiers want to see it.
                         "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.ca = self.folder / "authority.pem"

    def openssl(self, *words, text=None):
        done = subprocess.run(["openssl", *words], cwd=self.folder, input=text, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise AssertionError(f"openssl {words[0]}: {done.stdout}")
        return done.stdout

    def make(self, name, issuer="authority", days=60, names="DNS:localhost,IP:127.0.0.1"):
        """Returns the paths of key and certificate. days -1: expired."""
        (self.folder / f"{name}.ext").write_text(
            f"subjectAltName={names}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key",
                     "-out", f"{name}.csr", "-subj", f"/O=Test/CN={name}")
        words = ["x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey",
                 f"{issuer}.key", "-CAcreateserial", "-extfile", f"{name}.ext", "-out",
                 f"{name}.pem"]
        if days < 0 and "-not_after" in self.openssl("x509", "-help"):
            # OpenSSL 3.4 and newer take no days that are over.
            self.openssl(*words, "-not_before", "20200101000000Z", "-not_after",
                         "20200201000000Z")
        else:
            self.openssl(*words, "-days", str(days))
        return self.folder / f"{name}.key", self.folder / f"{name}.pem"
