# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import socket
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples" / "simulator"))

import certificate  # noqa: E402
from daemons import Daemon  # noqa: E402


@pytest.fixture
def start(tmp_path):
    """Starts daemons, and ends those that still run after the test."""
    running = []

    def begin(text, **options):
        daemon = Daemon(tmp_path, text, **options)
        running.append(daemon)
        return daemon

    yield begin
    for daemon in running:
        daemon.kill()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """(CA, chain, key) of two certificates for this machine."""
    return [certificate.make(tmp_path_factory.mktemp(name)) for name in ("first", "second")]


class Manager:
    """A service manager that is told things at a socket of its own."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name.replace("@", "\0"))
        self.socket.settimeout(20)

    def recv(self):
        return self.socket.recv(1000)

    def wait_for(self, word):
        while not self.recv().startswith(word.encode()):
            pass


@pytest.fixture
def manager(request, tmp_path):
    name = f"@pulsews-hub-{os.getpid()}" if getattr(request, "param", "path") == "abstract" else str(tmp_path / "notify")
    made = Manager(name)
    yield made
    made.socket.close()
