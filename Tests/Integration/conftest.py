# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import resource
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "Tests" / "Integration"
sys.path.insert(0, str(ROOT / "examples" / "simulator"))

import certificate  # noqa: E402

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


class Server:
    """A server program that prints its port and ends with its standard input."""

    def __init__(self, *command):
        self.process = subprocess.Popen([sys.executable, *map(str, command)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.strip().isdigit(), f"{command} did not start"
        self.port = int(line)

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        finally:
            self.process.kill()
            self.process.stdout.close()


class Servers:
    """Starts each kind of server once, and stops them all."""

    def __init__(self, certificates):
        self.certificates = certificates
        self.running = {}

    def port(self, *command):
        if command not in self.running:
            self.running[command] = Server(*command)
        return self.running[command].port

    def peer(self, name, *, compression=False, tls=False, ping=None):
        """The base URL of a server of peers.py."""
        command = [HERE / "peers.py", name]
        if compression:
            command.append("--compression")
        if tls:
            command += ["--tls", self.certificates["chain"], self.certificates["key"]]
        if ping:
            command += ["--ping", ping]
        return f"{'wss://localhost' if tls else 'ws://127.0.0.1'}:{self.port(*command)}"

    def hostile(self, mode):
        return f"ws://127.0.0.1:{self.port(HERE / 'hostile.py', mode)}/"

    def stop(self):
        for server in self.running.values():
            server.stop()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Two authorities: one that the tests trust, and one for a host of another name."""
    made = {}
    for name, hosts in (("", certificate.HOSTS), ("other_", "DNS:other.example")):
        folder = tmp_path_factory.mktemp("certificates")
        for what, path in zip(("ca", "chain", "key"), certificate.make(folder, hosts)):
            made[name + what] = str(path)
    return made


@pytest.fixture(scope="session")
def servers(certificates):
    started = Servers(certificates)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def captures():
    """The folder of captures: the invented ones, or recorded ones in $PULSEWS_CAPTURES."""
    folder = pathlib.Path(os.environ.get("PULSEWS_CAPTURES") or ROOT / "Tests" / "Captures")
    assert folder.is_dir(), f"PULSEWS_CAPTURES={folder} is no folder"
    return folder
