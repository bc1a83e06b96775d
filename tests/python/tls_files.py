# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made with openssl."""

import os
import pathlib
import subprocess


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    """Signs certificates."""

    def __init__(self, folder, name):
        self.folder = pathlib.Path(folder)
        self.key, self.certificate = self.folder / f"{name}.key", self.folder / f"{name}.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    def sign(self, name, serial, names="IP:127.0.0.1"):
        """Makes NAME.key and NAME.crt for these names, whole or not at all."""
        request, extensions = self.folder / "request", self.folder / "extensions"
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.crt"
        extensions.write_text(f"subjectAltName={names}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{key}.new", "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-days", "2",
                "-set_serial", str(serial), "-extfile", extensions, "-out", f"{certificate}.new")
        os.replace(f"{key}.new", key)
        os.replace(f"{certificate}.new", certificate)
        return key, certificate
