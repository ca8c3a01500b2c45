# SPDX-License-Identifier: Apache-2.0
"""A throw-away certificate authority and a server certificate for this machine, made with the openssl command."""
import pathlib
import subprocess

HOSTS = "DNS:localhost,IP:127.0.0.1,IP:::1"


def make(folder, hosts=HOSTS):
    """Makes them in `folder`; returns the paths (ca.pem, server.pem, server.key)."""
    folder = pathlib.Path(folder)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, capture_output=True, text=True)

    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Throw-away CA",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (folder / "server.ext").write_text(
        f"subjectAltName={hosts}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "server.ext", "-out", "server.pem")
    return paths(folder)


def find_or_make(folder):
    """Those that are in `folder` already, or new ones."""
    folder = pathlib.Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    found = paths(folder)
    return found if all(path.exists() for path in found) else make(folder)


def paths(folder):
    return folder / "ca.pem", folder / "server.pem", folder / "server.key"
