# SPDX-License-Identifier: Apache-2.0
"""What `make demo` runs: three clients on an exchange that is killed, and a hub that stays at the end where somebody looks."""
import fcntl
import os
import re
import subprocess
import sys
import termios
import threading
import types
import urllib.request

import pytest
from daemons import PATIENCE, PROGRAM, ROOT, Daemon

sys.path.insert(0, str(ROOT / "examples"))

import demo_hub


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The library, the daemon and the page, as `make library hub page` leaves them."""
    made = tmp_path_factory.mktemp("dist")
    for name in ("libpulsews.so", "libpulsews.so.0", "pulsews-hub"):
        (made / name).symlink_to(PROGRAM.parent / name)
    subprocess.run([ROOT / ".ci" / "page.sh", made / "web"], check=True)
    return made


class Terminal:
    """A program on a terminal of its own, and what it shows."""

    def __init__(self, *arguments):
        self.master, terminal = os.openpty()
        environment = {name: value for name, value in os.environ.items() if name not in ("CAPTURE", "SPEED")}
        self.process = subprocess.Popen(
            [sys.executable, *arguments], stdin=terminal, stdout=terminal, stderr=terminal, env=environment, cwd=ROOT / "examples",
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(terminal)
        self.text, self.is_over = "", False
        self.news = threading.Condition()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        while True:
            try:
                piece = os.read(self.master, 65536)
            except OSError:  # the other end is closed
                piece = b""
            with self.news:
                self.text += piece.decode(errors="replace")
                self.is_over = not piece
                self.news.notify_all()
            if not piece:
                return

    def wait_for(self, pattern, patience):
        with self.news:
            assert self.news.wait_for(lambda: re.search(pattern, self.text) or self.is_over, patience), self.text
            assert re.search(pattern, self.text), self.text
            return re.search(pattern, self.text)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(PATIENCE)
        os.close(self.master)


@pytest.mark.timeout(400)  # where nothing is in Go's cache yet
def test_the_hub_stays_until_enter(folder, tmp_path):
    terminal = Terminal("demo.py", "--library", folder, "--work", tmp_path)
    try:
        terminal.wait_for("three clients", 300)
        url = terminal.wait_for(r"hub and page stay: (http://\S+)", 90)[1]
        lines = [line for line in terminal.text.splitlines() if re.match(r"(C|Python|Go) +\d", line)]
        assert len(lines) == 3 and all(line.endswith("yes") for line in lines)
        said = re.search(r"Hub: (\d+) messages of 24 topics, 0 gaps; (\d+) candles, \d+ closed; the page: 200", terminal.text)
        assert said and int(said[1]) > 500 and int(said[2]) >= 12
        with urllib.request.urlopen(f"{url}page/", timeout=PATIENCE) as answer:
            assert answer.status == 200
        os.write(terminal.master, b"\n")
        assert terminal.process.wait(PATIENCE) == 0
    finally:
        terminal.close()


@pytest.mark.parametrize("key", [b"\n", b"\x03"], ids=["Enter", "Ctrl-C"])
def test_keys_end_the_hub_in_order(folder, key):
    program = """if True:
        import pathlib, sys, demo_hub
        hub = demo_hub.Hub(pathlib.Path(sys.argv[1]), None)
        hub.wait_for_the_user()
        print("code", hub.stop())"""
    terminal = Terminal("-c", program, folder)
    try:
        terminal.wait_for("Enter or Ctrl-C ends them", PATIENCE)
        os.write(terminal.master, key)
        assert terminal.wait_for(r"code (-?\d+)", PATIENCE)[1] == "0"
    finally:
        terminal.close()


def test_a_hub_that_serves_nothing_is_no_success(tmp_path):
    daemon = Daemon(tmp_path, None, arguments=["--demo", "--listen", "127.0.0.1:0", "--page", tmp_path])
    try:
        shown = threading.Event()
        show = types.SimpleNamespace(log=lambda client, line: shown.set())
        watcher = demo_hub.Watcher(types.SimpleNamespace(page=f"http://{daemon.address}/"), show)
        while not watcher.candles:
            shown.clear()
            assert shown.wait(PATIENCE)
        watcher.stop()
    finally:
        daemon.kill()
    assert watcher.judge(200)[1] is True
    line, good = watcher.judge(404)
    assert "the page: 404" in line and not good
    watcher.messages, whole = 0, watcher.messages
    assert watcher.judge(200)[1] is False
    watcher.messages = whole
    watcher.take({"type": "price_update", "topic": "price.BTC", "o": 10_000_001, "p": 10_000_000, "data": {
        "type": "price_update", "symbol": "BTC", "price": "1"}})
    line, good = watcher.judge(200)
    assert " 1 gaps" in line and not good
