# SPDX-License-Identifier: Apache-2.0
"""Exchange traffic, invented or recorded, through the simulator's real server to C, Python and Go: every message whole, once, in order."""
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import captures as capture_files
import pytest
from conftest import HERE, ROOT

LIBRARY = pathlib.Path(os.environ["PULSEWS_LIBRARY"]).parent
FILES = ["binance-futures", "binance-spot", "coinbase", "kraken"]


@pytest.fixture(scope="session")
def clients(tmp_path_factory):
    """The three replay programs: language -> command."""
    folder = tmp_path_factory.mktemp("replay")
    source = HERE / "replay"
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", source / "replay.c", f"-I{ROOT / 'include'}",
                    f"-L{LIBRARY}", "-lpulsews", "-lcrypto", "-o", folder / "replay-c"], check=True)
    subprocess.run(["go", "build", "-o", folder / "replay-go", "."], cwd=source / "go", check=True)
    return {"C": [folder / "replay-c"], "Python": [sys.executable, source / "replay.py"], "Go": [folder / "replay-go"]}


@pytest.fixture(scope="module")
def exchange():
    """Starts the simulator with arguments; gives what it says about itself."""
    started = []

    def start(*arguments):
        process = subprocess.Popen([sys.executable, ROOT / "examples" / "simulator" / "exchange.py", *map(str, arguments),
                                    "--with-parent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        process.stdin.close()
        process.stdout.close()


def environment():
    return dict(os.environ, LD_LIBRARY_PATH=str(LIBRARY))


@pytest.fixture(scope="module", params=[(name, compression) for name in FILES for compression in (False, True)],
                ids=lambda case: f"{case[0]}-{'compressed' if case[1] else 'uncompressed'}")
def replay(request, captures, exchange):
    """A running replay, and what a client has to see of it."""
    name, compression = request.param
    path = captures / f"{name}.log.xz"
    texts = [text for _, text in capture_files.read(path)]
    digest = hashlib.sha256(b"".join(text.encode() + b"\n" for text in texts)).hexdigest()
    ready = exchange("--capture", path, "--speed", "max", *(["--compression"] if compression else []))
    return ready, {"messages": len(texts), "bytes": sum(len(text.encode()) for text in texts), "sha256": digest}


@pytest.mark.parametrize("language", ["C", "Python", "Go"])
def test_replay(replay, clients, language):
    ready, expected = replay
    done = subprocess.run([*map(str, clients[language]), "--ca", ready["ca_file"], ready["url"] + "/stream"],
                          env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"language": language, **expected}


@pytest.mark.parametrize("capture", [False, True], ids=["live", "capture"])
def test_the_demo(tmp_path, request, capture):
    values = environment()
    values.pop("CAPTURE", None)
    if capture:
        values.update(CAPTURE=str(request.getfixturevalue("captures") / "binance-spot.log.xz"), SPEED="max")
    # Live it kills the exchange in between, so it takes the seconds that it takes.
    done = subprocess.run([sys.executable, ROOT / "examples" / "demo.py", "--library", LIBRARY, "--work", tmp_path / "demo"],
                          env=values, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    _, _, table = done.stdout.partition("\nlanguage ")
    assert [line.split()[0] for line in table.splitlines()[1:4]] == ["C", "Python", "Go"]
